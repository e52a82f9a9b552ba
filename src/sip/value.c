/* SPDX-License-Identifier: Apache-2.0 */
/* Typed readings of header values. */
#include "sip/lex.h"
#include "sip/msg.h"

bool sip_param(struct slice params, struct slice name, struct slice *ret)
{
	struct slice n, v;
	while (sip_next_param(&params, &n, &v) > 0) {
		if (slice_ieq(n, name)) {
			if (ret)
				*ret = v.p ? v : slice_of(n.p + n.len, 0);
			return true;
		}
	}
	return false;
}

struct slice sip_token(struct slice value, struct slice *ret_params)
{
	ptrdiff_t semi = slice_find_chr(value, ';');
	if (ret_params)
		*ret_params = semi < 0 ? SLICE_NONE : sip_trim(slice_skip(value, (size_t)semi + 1));
	return sip_trim(semi < 0 ? value : slice_first(value, (size_t)semi));
}

/* Header parameters of an address; takes the tag out on the way. */
static int addr_params(struct slice s, struct sip_addr *a)
{
	s = sip_skip_lws(s);
	if (!s.len)
		return 0;
	if (*s.p != ';')
		return ENTENTE_ESYNTAX;
	a->params = sip_skip_lws(slice_skip(s, 1));
	struct slice name, value;
	int rc;
	while ((rc = sip_next_param(&s, &name, &value)) > 0) {
		if (SIP_WORD(name, "tag")) {
			if (a->tag.len || !sip_is_token(value))
				return ENTENTE_ESYNTAX;
			a->tag = value;
		}
	}
	return rc < 0 ? ENTENTE_ESYNTAX : 0;
}

/* Length of the display name in front of "<", or -1 when s is an addr-spec. */
static ptrdiff_t display_len(struct slice s)
{
	size_t i = 0;
	if (s.len && *s.p == '"') {
		i = sip_quoted_len(s);
		struct slice after = sip_skip_lws(slice_skip(s, i));
		return i && after.len && *after.p == '<' ? (ptrdiff_t)i : -1;
	}
	/* *(token LWS); octets above 127 are tolerated, as phones send raw UTF-8 names */
	while (i < s.len && (sip_is(s.p[i], SIP_C_TOKEN | SIP_C_LWS) || (s.p[i] & 128)))
		i++;
	return i < s.len && s.p[i] == '<' ? (ptrdiff_t)i : -1;
}

int sip_addr_parse(struct slice value, struct sip_addr *ret)
{
	struct slice s = sip_trim(value);
	struct sip_addr a = {.raw = s};
	if (slice_eq(s, S("*"))) {
		a.star = true;
		*ret = a;
		return 0;
	}
	ptrdiff_t display = display_len(s);
	if (display >= 0) {
		a.display = sip_trim(slice_first(s, (size_t)display));
		s = sip_skip_lws(slice_skip(s, (size_t)display));
		ptrdiff_t end = slice_find_chr(s, '>');
		if (end < 0)
			return ENTENTE_ESYNTAX;
		a.uri_text = slice_of(s.p + 1, (size_t)end - 1);
		s = slice_skip(s, (size_t)end + 1);
	} else {
		/* RFC 3261 20.10: without brackets, what follows ";" is the header's, and "?" and "," cannot stand in the URI */
		size_t n = 0;
		while (n < s.len && s.p[n] != ';' && !sip_is(s.p[n], SIP_C_LWS))
			n++;
		a.uri_text = slice_first(s, n);
		if (slice_find_chr(a.uri_text, '?') >= 0 || slice_find_chr(a.uri_text, ',') >= 0)
			return ENTENTE_ESYNTAX;
		s = slice_skip(s, n);
	}
	int rc = sip_uri_parse(a.uri_text, &a.uri);
	if (!rc)
		rc = addr_params(s, &a);
	if (!rc)
		*ret = a;
	return rc;
}

static bool take_chr(struct slice *s, char c)
{
	*s = sip_skip_lws(*s);
	if (!s->len || *s->p != c)
		return false;
	*s = sip_skip_lws(slice_skip(*s, 1));
	return true;
}

int sip_via_read(struct slice value, struct sip_via *ret)
{
	struct slice s = sip_trim(value), name, v;
	int rc;
	*ret = (struct sip_via){.raw = s};
	/* the grammar allows any protocol name and version here; only the start line decides the version */
	if (!sip_take(&s, SIP_C_TOKEN).len || !take_chr(&s, '/') || !sip_take(&s, SIP_C_TOKEN).len || !take_chr(&s, '/'))
		return ENTENTE_ESYNTAX;
	ret->transport = sip_take(&s, SIP_C_TOKEN);
	if (!ret->transport.len || !s.len || !sip_is(*s.p, SIP_C_LWS))
		return ENTENTE_ESYNTAX;
	s = sip_skip_lws(s);
	if (!sip_take_hostport(&s, true, &ret->host, &ret->port))
		return ENTENTE_ESYNTAX;
	s = sip_skip_lws(s);
	if (s.len && *s.p != ';')
		return ENTENTE_ESYNTAX;
	ret->params = slice_skip(s, 1);
	while ((rc = sip_next_param(&s, &name, &v)) > 0) {
		uint64_t port = 0;
		if (SIP_WORD(name, "branch") && !ret->branch.len) {
			ret->branch = v;
		} else if (SIP_WORD(name, "received") && !ret->received.len) {
			ret->received = v;
		} else if (SIP_WORD(name, "rport")) {
			if (v.len && !slice_u64(v, UINT16_MAX, &port))
				return ENTENTE_ESYNTAX;
			ret->rport = true;
			ret->rport_value = (uint16_t)port;
		}
	}
	return rc < 0 ? ENTENTE_ESYNTAX : 0;
}

int sip_via_parse(struct slice value, struct sip_via *ret)
{
	struct sip_via via;
	int rc = sip_via_read(value, &via);
	if (!rc)
		*ret = via;
	return rc;
}

/* The end of the comma-separated item that s begins with: the index of its comma, or s.len. */
static size_t item_end(struct slice s)
{
	const char *comma = memchr(s.p, ',', s.len);
	size_t i = 0, plain = comma ? (size_t)(comma - s.p) : s.len;
	if (!comma || (!memchr(s.p, '"', plain) && !memchr(s.p, '<', plain)))
		return plain;
	for (; i < s.len; i++) {
		if (s.p[i] == ',')
			return i;
		if (s.p[i] == '"') {
			size_t n = sip_quoted_len(slice_skip(s, i));
			if (!n)
				return s.len;
			i += n - 1;
		} else if (s.p[i] == '<') {
			ptrdiff_t n = slice_find_chr(slice_skip(s, i), '>');
			if (n < 0)
				return s.len;
			i += (size_t)n;
		}
	}
	return s.len;
}

bool sip_next_item(struct slice value, size_t *offset, struct slice *ret)
{
	while (*offset < value.len) {
		struct slice rest = slice_skip(value, *offset);
		size_t n = item_end(rest);
		*offset += n + 1;
		struct slice item = sip_trim(slice_first(rest, n));
		if (item.len) {
			*ret = item;
			return true;
		}
	}
	return false;
}

bool sip_msg_next_value(const struct sip_msg *m, enum sip_hdr id, struct sip_values *it, struct slice *ret)
{
	if (!(m->has >> id & 1))
		return false;
	for (; it->field < m->n_headers; it->field++, it->offset = 0)
		if (m->headers[it->field].id == id && sip_next_item(m->headers[it->field].value, &it->offset, ret))
			return true;
	return false;
}
