/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/jid.h"

#include "base/enc.h"
#include "xmpp/precis.h"

/* Addresses are nearly always ASCII: then one look at each octet is all, and the three parts are written straight to where they
 * stay. Anything else goes through precis.c and idn.c, part by part. */

enum { LOCAL = 1, DOMAIN = 2, RESOURCE = 4, DIGIT = 8, HEX = 16 };

static const unsigned char class[256] = {
	[' '] = RESOURCE,
	/* not in a localpart (RFC 7622 3.3.1) */
	['"'] = RESOURCE, ['&'] = RESOURCE, ['\''] = RESOURCE, ['/'] = RESOURCE, [':'] = RESOURCE, ['<'] = RESOURCE,
	['>'] = RESOURCE, ['@'] = RESOURCE,
	['!'] = LOCAL | RESOURCE, ['#' ... '%'] = LOCAL | RESOURCE, ['(' ... ','] = LOCAL | RESOURCE, [';'] = LOCAL | RESOURCE,
	['='] = LOCAL | RESOURCE, ['?'] = LOCAL | RESOURCE, ['[' ... '`'] = LOCAL | RESOURCE, ['{' ... '~'] = LOCAL | RESOURCE,
	['-'] = LOCAL | DOMAIN | RESOURCE, ['.'] = LOCAL | DOMAIN | RESOURCE,
	['0' ... '9'] = LOCAL | DOMAIN | RESOURCE | DIGIT | HEX,
	['A' ... 'F'] = LOCAL | DOMAIN | RESOURCE | HEX, ['G' ... 'Z'] = LOCAL | DOMAIN | RESOURCE,
	['a' ... 'f'] = LOCAL | DOMAIN | RESOURCE | HEX, ['g' ... 'z'] = LOCAL | DOMAIN | RESOURCE,
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static unsigned octet_class(char c)
{
	return class[(unsigned char)c];
}

/* ---- the ASCII way: each writes at most in.len octets and says false when the string is not plain enough */

static bool escaped_space_at_end(const char *p, size_t n)
{
	return n >= 3 && (memcmp(p, "\\20", 3) == 0 || memcmp(p + n - 3, "\\20", 3) == 0);
}

static bool ascii_resource(char *dst, struct slice in)
{
	unsigned ok = RESOURCE;
	if (in.len > PRECIS_MAX)
		return false;
	for (size_t i = 0; i < in.len; i++)
		ok &= octet_class(in.p[i]);
	memcpy(dst, in.p, in.len);
	return ok != 0;
}

/* What inet_aton() would take for (the end of) an IPv4 address; no top-level domain looks like that. */
static bool numeric_label(const char *p, size_t n)
{
	unsigned mask = DIGIT;
	size_t i = 0;
	if (n > 2 && p[0] == '0' && p[1] == 'x') {
		mask = HEX;
		i = 2;
	}
	while (i < n && (octet_class(p[i]) & mask))
		i++;
	return i == n;
}

enum { LABEL_MAX = 63, NAME_MAX_DNS = 253 };

/* Lower case; false when an octet is not in the class. Without a branch in it, for this is most of the work. */
static bool copy_lower(char *dst, struct slice in, unsigned mask)
{
	unsigned ok = mask;
	for (size_t i = 0; i < in.len; i++) {
		ok &= octet_class(in.p[i]);
		dst[i] = lower(in.p[i]);
	}
	return ok != 0;
}

static bool ascii_local(char *dst, struct slice in)
{
	return in.len <= PRECIS_MAX && copy_lower(dst, in, LOCAL) && !escaped_space_at_end(dst, in.len);
}

/* Lower case, one trailing dot off; *n is the length. With `a_labels`, xn-- is let through. */
static bool ascii_domain(char *dst, struct slice in, bool a_labels, size_t *n)
{
	if (in.len && in.p[in.len - 1] == '.')
		in.len--;
	if (!in.len || in.len > NAME_MAX_DNS || !copy_lower(dst, in, DOMAIN))
		return false;
	*n = in.len;
	for (const char *p = dst, *end = dst + in.len;;) {
		const char *dot = memchr(p, '.', (size_t)(end - p));
		size_t len = (size_t)((dot ? dot : end) - p);
		bool a_label = len > 4 && memcmp(p, "xn--", 4) == 0;
		if (!len || len > LABEL_MAX || p[0] == '-' || p[len - 1] == '-' || (a_label && !a_labels))
			return false;
		if (!dot)
			return !numeric_label(p, len);
		p = dot + 1;
	}
}

/* ---- one part, the general way */

static int prep_local(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	int rc = precis_username(in, dst, len);
	if (rc)
		return rc;
	for (size_t i = 0; i < *len; i++)
		if ((unsigned char)dst[i] < 0x80 && !(octet_class(dst[i]) & LOCAL))
			return ENTENTE_ESYNTAX;
	return escaped_space_at_end(dst, *len) ? ENTENTE_ESYNTAX : 0;
}

static int prep_domain(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	char ascii[PRECIS_MAX], check[PRECIS_MAX];
	size_t n;
	if (!in.len)
		return ENTENTE_ESYNTAX;
	if (in.len > PRECIS_MAX)
		return ENTENTE_ELIMIT;
	/* Before any library sees it: those that map what they do not like make two names one. */
	for (size_t i = 0; i < in.len; i++)
		if ((unsigned char)in.p[i] < 0x80 && !(octet_class(in.p[i]) & DOMAIN))
			return ENTENTE_ESYNTAX;
	int rc = utf8_valid(in) ? idn_to_ascii(in, ascii, &n) : ENTENTE_ESYNTAX;
	if (rc)
		return rc;
	if (!ascii_domain(check, slice_of(ascii, n), true, &n))
		return ENTENTE_ESYNTAX;
	return idn_to_unicode(slice_of(check, n), dst, len);
}

int xmpp_prep_local(struct arena *a, struct slice in, struct slice *ret)
{
	char out[PRECIS_MAX];
	size_t n = in.len;
	int rc = n && n <= sizeof out && ascii_local(out, in) ? 0 : prep_local(in, out, &n);
	if (rc)
		return rc;
	struct slice s = arena_dup(a, slice_of(out, n));
	if (!s.p)
		return ENTENTE_ELIMIT;
	*ret = s;
	return 0;
}

int xmpp_prep_domain(struct arena *a, struct slice in, struct slice *ret)
{
	char out[PRECIS_MAX];
	size_t n;
	int rc = ascii_domain(out, in, false, &n) ? 0 : prep_domain(in, out, &n);
	if (rc)
		return rc;
	struct slice s = arena_dup(a, slice_of(out, n));
	if (!s.p)
		return ENTENTE_ELIMIT;
	*ret = s;
	return 0;
}

int xmpp_prep_resource(struct arena *a, struct slice in, struct slice *ret)
{
	char out[PRECIS_MAX];
	size_t n = in.len;
	int rc = n && n <= sizeof out && ascii_resource(out, in) ? 0 : precis_opaque(in, out, &n);
	if (rc)
		return rc;
	struct slice s = arena_dup(a, slice_of(out, n));
	if (!s.p)
		return ENTENTE_ELIMIT;
	*ret = s;
	return 0;
}

int xmpp_domain_ascii(struct arena *a, struct slice domain, struct slice *ret)
{
	char mapped[PRECIS_MAX], out[PRECIS_MAX];
	size_t n;
	if (!ascii_domain(out, domain, true, &n)) {
		int rc = prep_domain(domain, mapped, &n);
		if (!rc)
			rc = idn_to_ascii(slice_of(mapped, n), out, &n);
		if (rc)
			return rc;
	}
	struct slice s = arena_dup(a, slice_of(out, n));
	if (!s.p)
		return ENTENTE_ELIMIT;
	*ret = s;
	return 0;
}

/* ---- whole addresses */

/* Points the parts into the text that stands at p. */
static void lay_out(struct xmpp_jid *j, char *p, size_t local, size_t domain, size_t resource)
{
	size_t at = local ? local + 1 : 0, bare = at + domain;
	*j = (struct xmpp_jid){.domain = slice_of(p + at, domain), .bare = slice_of(p, bare), .full = slice_of(p, bare)};
	if (local) {
		j->local = slice_of(p, local);
		p[local] = '@';
	}
	if (resource) {
		p[bare] = '/';
		j->resource = slice_of(p + bare + 1, resource);
		j->full.len = bare + 1 + resource;
	}
	p[j->full.len] = '\0';
}

static int make_general(struct xmpp_jid *ret, struct arena *a, struct slice local, struct slice domain, struct slice resource)
{
	char l[PRECIS_MAX], d[PRECIS_MAX], r[PRECIS_MAX];
	size_t nl = 0, nd = 0, nr = 0;
	int rc = prep_domain(domain, d, &nd);
	if (!rc && local.len)
		rc = prep_local(local, l, &nl);
	if (!rc && resource.len)
		rc = precis_opaque(resource, r, &nr);
	if (rc)
		return rc;
	char *p = arena_bytes(a, nl + nd + nr + 3);
	if (!p)
		return ENTENTE_ELIMIT;
	memcpy(p, l, nl);
	memcpy(p + (nl ? nl + 1 : 0), d, nd);
	memcpy(p + (nl ? nl + 1 : 0) + nd + 1, r, nr);
	lay_out(ret, p, nl, nd, nr);
	return 0;
}

int xmpp_jid_make(struct xmpp_jid *ret, struct arena *a, struct slice local, struct slice domain, struct slice resource)
{
	if (local.len <= PRECIS_MAX && domain.len <= NAME_MAX_DNS + 1 && resource.len <= PRECIS_MAX) {
		char *p = arena_bytes(a, local.len + domain.len + resource.len + 3);
		if (!p)
			return ENTENTE_ELIMIT;
		char *d = p + (local.len ? local.len + 1 : 0);
		size_t nd;
		if (ascii_domain(d, domain, false, &nd) && (!local.len || ascii_local(p, local)) &&
		    (!resource.len || ascii_resource(d + nd + 1, resource))) {
			lay_out(ret, p, local.len, nd, resource.len);
			return 0;
		}
	}
	return make_general(ret, a, local, domain, resource);
}

int xmpp_jid_parse(struct xmpp_jid *ret, struct arena *a, struct slice text)
{
	struct slice local = SLICE_NONE, domain = text, resource = SLICE_NONE;
	ptrdiff_t slash = slice_find_chr(text, '/');
	if (slash >= 0) {
		resource = slice_skip(text, (size_t)slash + 1);
		domain.len = (size_t)slash;
		if (!resource.len)
			return ENTENTE_ESYNTAX;
	}
	ptrdiff_t at = slice_find_chr(domain, '@');
	if (at >= 0) {
		local = slice_first(domain, (size_t)at);
		domain = slice_skip(domain, (size_t)at + 1);
		if (!local.len)
			return ENTENTE_ESYNTAX;
	}
	return xmpp_jid_make(ret, a, local, domain, resource);
}

struct xmpp_jid xmpp_jid_bare(const struct xmpp_jid *j)
{
	struct xmpp_jid b = *j;
	b.resource = SLICE_NONE;
	b.full = j->bare;
	return b;
}

bool xmpp_jid_equal(const struct xmpp_jid *a, const struct xmpp_jid *b)
{
	return slice_eq(a->full, b->full) && a->local.len == b->local.len && a->domain.len == b->domain.len;
}
