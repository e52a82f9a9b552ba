/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"

#include <arpa/inet.h>
#include "base/enc.h"
#include "sip/lex.h"

/* Comparing parameters is quadratic; a URI with more than this is only equal to its exact copy. */
enum { MAX_COMPARED = 32 };

static enum sip_scheme scheme_of(struct slice s)
{
	if (SIP_WORD(s, "sip"))
		return SIP_SCHEME_SIP;
	if (SIP_WORD(s, "sips"))
		return SIP_SCHEME_SIPS;
	if (SIP_WORD(s, "tel"))
		return SIP_SCHEME_TEL;
	if (SIP_WORD(s, "im"))
		return SIP_SCHEME_IM;
	if (SIP_WORD(s, "pres"))
		return SIP_SCHEME_PRES;
	return SIP_SCHEME_OTHER;
}

/* Every octet of s is in `classes` or part of a whole escape. */
static bool chars_ok(struct slice s, int classes)
{
	for (;;) {
		sip_take(&s, classes);
		if (!s.len)
			return true;
		if (*s.p != '%' || s.len < 3 || hex_value(s.p[1]) < 0 || hex_value(s.p[2]) < 0)
			return false;
		s = slice_skip(s, 3);
	}
}

int sip_uri_parse(struct slice text, struct sip_uri *ret)
{
	struct sip_uri u = {.raw = text};
	struct slice s = text;
	u.scheme_text = sip_take(&s, SIP_C_TOKEN);
	if (!u.scheme_text.len || !sip_is(*u.scheme_text.p, SIP_C_ALPHA) || !s.len || *s.p != ':')
		return ENTENTE_ESYNTAX;
	s = slice_skip(s, 1);
	u.scheme = scheme_of(u.scheme_text);
	if (u.scheme == SIP_SCHEME_TEL || u.scheme == SIP_SCHEME_OTHER) {
		if (!s.len || !chars_ok(s, SIP_C_URI))
			return ENTENTE_ESYNTAX;
		u.opaque = s;
		*ret = u;
		return 0;
	}
	struct slice rest = s, info = sip_take(&rest, SIP_C_USER);
	bool plain = rest.len && *rest.p == '@'; /* nearly always: no escape, or no user at all */
	ptrdiff_t at = plain ? (ptrdiff_t)info.len : rest.len ? slice_find_chr(rest, '@') : -1;
	if (at >= 0) {
		if (!plain)
			info.len += (size_t)at;
		s = slice_skip(s, info.len + 1);
		if (!plain && !chars_ok(info, SIP_C_USER))
			return ENTENTE_ESYNTAX;
		ptrdiff_t colon = slice_find_chr(info, ':');
		if (colon >= 0) {
			u.password = slice_skip(info, (size_t)colon + 1);
			info.len = (size_t)colon;
		}
		if (!info.len) /* RFC 3261 19.1.1: with "@" the user must not be empty */
			return ENTENTE_ESYNTAX;
		u.user = info;
	}
	if (!sip_take_hostport(&s, false, &u.host, &u.port))
		return ENTENTE_ESYNTAX;
	if (s.len) {
		if ((*s.p != ';' && *s.p != '?') || (at >= 0 && slice_find_chr(s, '@') >= 0) || !chars_ok(s, SIP_C_URI))
			return ENTENTE_ESYNTAX;
		ptrdiff_t q = slice_find_chr(s, '?');
		if (q >= 0) {
			u.headers = slice_skip(s, (size_t)q + 1);
			s.len = (size_t)q;
		}
		u.params = slice_skip(s, 1);
	}
	*ret = u;
	return 0;
}

/* One octet of a URI component, escapes decoded; an escaped reserved character stays different from a raw one. */
static int next_octet(struct slice *s)
{
	char c = *s->p;
	if (c != '%' || s->len < 3) {
		*s = slice_skip(*s, 1);
		return (unsigned char)c;
	}
	int v = (hex_value(s->p[1]) << 4) | hex_value(s->p[2]);
	*s = slice_skip(*s, 3);
	return v && memchr(";/?:@&=+$,", v, 10) ? v | 256 : v;
}

static bool component_equal(struct slice a, struct slice b, bool nocase)
{
	if (slice_find_chr(a, '%') < 0 && slice_find_chr(b, '%') < 0)
		return nocase ? slice_ieq(a, b) : slice_eq(a, b);
	while (a.len && b.len) {
		int x = next_octet(&a), y = next_octet(&b);
		if (nocase && x < 256 && y < 256) {
			x = (unsigned char)sip_lower((char)x);
			y = (unsigned char)sip_lower((char)y);
		}
		if (x != y)
			return false;
	}
	return a.len == b.len;
}

/* Next "name[=value]" of *rest; empty ones are stepped over. */
static bool next_pair(struct slice *rest, char sep, struct slice *name, struct slice *value)
{
	while (rest->len) {
		*value = slice_split(rest, sep);
		*name = slice_split(value, '=');
		if (name->len)
			return true;
	}
	return false;
}

static bool find_pair(struct slice list, char sep, struct slice name, struct slice *ret)
{
	struct slice n, v;
	while (next_pair(&list, sep, &n, &v)) {
		if (component_equal(n, name, true)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

bool sip_uri_param(const struct sip_uri *u, struct slice name, struct slice *ret)
{
	struct slice value;
	if (!find_pair(u->params, ';', name, &value))
		return false;
	if (ret)
		*ret = value;
	return true;
}

static size_t count_chr(struct slice s, char c)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++)
		n += s.p[i] == c;
	return n;
}

/* These never match when only one URI has them; transport too, as the examples of RFC 3261 19.1.4 say. */
static bool param_binds(struct slice name)
{
	return component_equal(name, S("user"), true) || component_equal(name, S("ttl"), true) ||
	       component_equal(name, S("method"), true) || component_equal(name, S("maddr"), true) ||
	       component_equal(name, S("transport"), true);
}

static bool params_match(struct slice a, struct slice b)
{
	struct slice name, value, other;
	while (next_pair(&a, ';', &name, &value)) {
		if (find_pair(b, ';', name, &other)) {
			if (!component_equal(value, other, true))
				return false;
		} else if (param_binds(name)) {
			return false;
		}
	}
	return true;
}

static bool headers_match(struct slice a, struct slice b)
{
	struct slice name, value, other;
	while (next_pair(&a, '&', &name, &value))
		if (!find_pair(b, '&', name, &other) || !component_equal(value, other, false))
			return false;
	return true;
}

static bool host_equal(struct slice a, struct slice b)
{
	if (slice_ieq(a, b))
		return true;
	char za[INET6_ADDRSTRLEN], zb[INET6_ADDRSTRLEN];
	struct in6_addr xa, xb;
	/* RFC 5954 4.2: IPv6 references compare as addresses, not as text */
	return a.len > 2 && b.len > 2 && *a.p == '[' && *b.p == '[' && slice_cstr(slice_of(a.p + 1, a.len - 2), za, sizeof za) &&
	       slice_cstr(slice_of(b.p + 1, b.len - 2), zb, sizeof zb) && inet_pton(AF_INET6, za, &xa) == 1 &&
	       inet_pton(AF_INET6, zb, &xb) == 1 && memcmp(&xa, &xb, sizeof xa) == 0;
}

bool sip_uri_equal(const struct sip_uri *a, const struct sip_uri *b)
{
	if (a->scheme != b->scheme)
		return false;
	if (slice_eq(a->raw, b->raw))
		return true;
	if (a->scheme == SIP_SCHEME_TEL || a->scheme == SIP_SCHEME_OTHER)
		return slice_ieq(a->scheme_text, b->scheme_text) && slice_eq(a->opaque, b->opaque);
	if (a->port != b->port || !a->user.p != !b->user.p || !a->password.p != !b->password.p || !host_equal(a->host, b->host) ||
	    !component_equal(a->user, b->user, false) || !component_equal(a->password, b->password, false))
		return false;
	if (count_chr(a->params, ';') >= MAX_COMPARED || count_chr(b->params, ';') >= MAX_COMPARED ||
	    count_chr(a->headers, '&') >= MAX_COMPARED || count_chr(b->headers, '&') >= MAX_COMPARED)
		return false;
	return params_match(a->params, b->params) && params_match(b->params, a->params) &&
	       headers_match(a->headers, b->headers) && headers_match(b->headers, a->headers);
}

int sip_unescape(struct slice s, struct buf *dst)
{
	for (struct slice probe = s; probe.len;) {
		ptrdiff_t i = slice_find_chr(probe, '%');
		if (i < 0)
			break;
		probe = slice_skip(probe, (size_t)i);
		if (probe.len < 3 || hex_value(probe.p[1]) < 0 || hex_value(probe.p[2]) < 0)
			return ENTENTE_ESYNTAX;
		probe = slice_skip(probe, 3);
	}
	while (s.len) {
		ptrdiff_t i = slice_find_chr(s, '%');
		buf_put(dst, i < 0 ? s : slice_first(s, (size_t)i));
		if (i < 0)
			break;
		s = slice_skip(s, (size_t)i);
		buf_putc(dst, (char)((hex_value(s.p[1]) << 4) | hex_value(s.p[2])));
		s = slice_skip(s, 3);
	}
	return 0;
}

static void escape(struct slice s, const char *extra, struct buf *dst)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (sip_is((char)c, SIP_C_ALPHA | SIP_C_DIGIT) || (c && (strchr("-_.!~*'()", c) || strchr(extra, c)))) {
			buf_putc(dst, (char)c);
		} else {
			char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
			buf_put(dst, slice_of(esc, 3));
		}
	}
}

void sip_escape_user(struct slice s, struct buf *dst)
{
	escape(s, "&=+$,;?/", dst);
}

void sip_escape_param(struct slice s, struct buf *dst)
{
	escape(s, "[]/:&+$", dst);
}
