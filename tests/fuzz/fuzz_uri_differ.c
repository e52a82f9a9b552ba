/* SPDX-License-Identifier: Apache-2.0 */
/* Two URIs, one a line, compared by sip_uri_equal and by the plain reading of RFC 3261 19.1.4 below, which brings both to a form of its own first (escapes
 * undone, case folded, parameters in lists) and compares those. */
#include "fuzz.h"
#include <arpa/inet.h>
#include <ctype.h>
#include "sip/uri.h"

enum { PAIRS = 32, TEXT = 512 };

/* An octet is a number: an escaped reserved character is another one than itself. */
struct text {
	int c[TEXT];
	size_t n;
};
struct pair {
	struct text name, value;
};
struct list {
	struct pair pair[PAIRS];
	size_t n, separators;
};

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static void read_text(struct text *t, struct slice s, bool fold)
{
	t->n = 0;
	for (size_t i = 0; i < s.len; i++) {
		int c = (unsigned char)s.p[i];
		if (c == '%') {
			c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
			i += 2;
			if (c && strchr(";/?:@&=+$,", c))
				c += 1000;
		}
		t->c[t->n++] = fold && c < 128 ? tolower(c) : c;
	}
}

static bool same(const struct text *a, const struct text *b)
{
	return a->n == b->n && !memcmp(a->c, b->c, a->n * sizeof *a->c);
}

static void read_list(struct list *l, struct slice s, char sep, bool fold)
{
	*l = (struct list){0};
	for (size_t i = 0; i < s.len; i++)
		l->separators += s.p[i] == sep;
	if (l->separators >= PAIRS)
		return;
	while (s.len) {
		struct slice value = slice_split(&s, sep), name = slice_split(&value, '=');
		if (!name.len)
			continue;
		read_text(&l->pair[l->n].name, name, true);
		read_text(&l->pair[l->n++].value, value, fold);
	}
}

static const struct pair *find(const struct list *l, const struct text *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (same(&l->pair[i].name, name))
			return &l->pair[i];
	return NULL;
}

static bool named(const struct text *t, const char *z)
{
	struct text want;
	read_text(&want, slice_str(z), false);
	return same(t, &want);
}

static bool binds(const struct text *t)
{
	return named(t, "user") || named(t, "ttl") || named(t, "method") || named(t, "maddr") || named(t, "transport");
}

static bool lists(const struct list *a, const struct list *b, bool headers)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct pair *other = find(b, &a->pair[i].name);
		if (other ? !same(&other->value, &a->pair[i].value) : headers || binds(&a->pair[i].name))
			return false;
	}
	return true;
}

static void read_host(struct text *t, struct slice host)
{
	char z[TEXT], again[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	read_text(t, host, true);
	if (host.len < 3 || host.p[0] != '[')
		return;
	slice_cstr(slice_of(host.p + 1, host.len - 2), z, sizeof z);
	if (inet_pton(AF_INET6, z, &addr) == 1)
		read_text(t, slice_str(inet_ntop(AF_INET6, &addr, again, sizeof again)), true);
}

static bool plainly(const struct sip_uri *a, const struct sip_uri *b)
{
	static struct list x, y;
	struct text s, t;
	if (a->scheme != b->scheme)
		return false;
	if (slice_eq(a->raw, b->raw))
		return true;
	if (a->scheme == SIP_SCHEME_TEL || a->scheme == SIP_SCHEME_OTHER) {
		read_text(&s, a->scheme_text, true);
		read_text(&t, b->scheme_text, true);
		return same(&s, &t) && slice_eq(a->opaque, b->opaque);
	}
	if (a->port != b->port || !a->user.p != !b->user.p || !a->password.p != !b->password.p)
		return false;
	read_text(&s, a->user, false);
	read_text(&t, b->user, false);
	if (!same(&s, &t))
		return false;
	read_text(&s, a->password, false);
	read_text(&t, b->password, false);
	if (!same(&s, &t))
		return false;
	read_host(&s, a->host);
	read_host(&t, b->host);
	if (!same(&s, &t))
		return false;
	for (int headers = 0; headers < 2; headers++) {
		read_list(&x, headers ? a->headers : a->params, headers ? '&' : ';', !headers);
		read_list(&y, headers ? b->headers : b->params, headers ? '&' : ';', !headers);
		if (x.separators >= PAIRS || y.separators >= PAIRS || !lists(&x, &y, headers) || !lists(&y, &x, headers))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of((const char *)data, size), first = slice_split(&rest, '\n');
	struct sip_uri a, b;
	if (size > TEXT)
		return 0;
	if (sip_uri_parse(first, &a) || sip_uri_parse(rest, &b))
		return 0;
	MUST(sip_uri_equal(&a, &b) == plainly(&a, &b));
	MUST(sip_uri_equal(&b, &a) == sip_uri_equal(&a, &b));
	return 0;
}
