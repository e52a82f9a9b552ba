/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "msrp/uri.h"

static bool alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool all(struct slice s, const char *also)
{
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.p[i]) && (!s.p[i] || !strchr(also, s.p[i])))
			return false;
	return true;
}

/* host [":" port], without userinfo */
static bool host_port(struct slice s, struct msrp_uri *u)
{
	uint64_t port;
	struct slice rest;
	ptrdiff_t end;
	if (s.len && *s.p == '[') {
		end = slice_find_chr(s, ']');
		if (end < 0)
			return false;
		u->host = slice_of(s.p + 1, (size_t)end - 1);
		for (size_t i = 0; i < u->host.len; i++)
			if (!hex(u->host.p[i]) && u->host.p[i] != ':' && u->host.p[i] != '.')
				return false;
		if (slice_find_chr(u->host, ':') < 0)
			return false;
		rest = slice_skip(s, (size_t)end + 1);
	} else {
		end = slice_find_chr(s, ':');
		u->host = end < 0 ? s : slice_first(s, (size_t)end);
		rest = slice_skip(s, u->host.len);
		if (!all(u->host, "-._"))
			return false;
	}
	if (slice_empty(u->host))
		return false;
	if (slice_empty(rest))
		return true;
	if (*rest.p != ':' || !slice_u64(slice_skip(rest, 1), 65535, &port) || !port)
		return false;
	u->port = (uint16_t)port;
	return true;
}

int msrp_uri_parse(struct slice text, struct msrp_uri *ret)
{
	struct msrp_uri u = {.text = text};
	struct slice rest, authority, params;
	ptrdiff_t at;
	if (text.len > MSRP_URI_TEXT_MAX)
		return ENTENTE_ESYNTAX;
	if (slice_istarts(text, S("msrp://")))
		rest = slice_skip(text, 7);
	else if (slice_istarts(text, S("msrps://")))
		rest = slice_skip(text, 8), u.secure = true;
	else
		return ENTENTE_ESYNTAX;
	params = rest;
	rest = slice_split(&params, ';'); /* no ';' may stand before the transport */
	if (!params.p)
		return ENTENTE_ESYNTAX;
	authority = rest;
	at = slice_find_chr(rest, '/');
	if (at >= 0) {
		authority = slice_first(rest, (size_t)at);
		u.session = slice_skip(rest, (size_t)at + 1);
		if (slice_empty(u.session) || !all(u.session, "-._~+=/"))
			return ENTENTE_ESYNTAX;
	}
	at = slice_find_chr(authority, '@');
	if (at >= 0) {
		if (!all(slice_first(authority, (size_t)at), "-._~%!$&'()*+,;=:"))
			return ENTENTE_ESYNTAX;
		authority = slice_skip(authority, (size_t)at + 1);
	}
	if (!host_port(authority, &u))
		return ENTENTE_ESYNTAX;
	u.transport = slice_split(&params, ';');
	if (slice_empty(u.transport) || !all(u.transport, ""))
		return ENTENTE_ESYNTAX;
	while (params.p)
		if (!all(slice_split(&params, ';'), "-.!%*_+`'~="))
			return ENTENTE_ESYNTAX;
	*ret = u;
	return 0;
}

bool msrp_uri_eq(const struct msrp_uri *a, const struct msrp_uri *b)
{
	return a->secure == b->secure && a->port == b->port && slice_ieq(a->host, b->host) && slice_eq(a->session, b->session) &&
	       slice_ieq(a->transport, b->transport);
}

int msrp_path_parse(struct slice text, struct msrp_path *ret)
{
	struct slice rest = text, one;
	ret->text = text;
	ret->n = 0;
	while (rest.p) {
		one = slice_split(&rest, ' ');
		if (slice_empty(one))
			continue;
		if (ret->n == MSRP_PATH_MAX)
			return ENTENTE_ELIMIT;
		if (msrp_uri_parse(one, &ret->uri[ret->n]))
			return ENTENTE_ESYNTAX;
		ret->n++;
	}
	return ret->n ? 0 : ENTENTE_ESYNTAX;
}
