/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uas_check.h"

#include "base/buf.h"
#include "sip/lex.h"

static int refuse(struct sip_uas_verdict *v, int status, const char *reason)
{
	v->status = status;
	v->reason = slice_str(reason);
	return status;
}

static bool listed(const struct sip_slices *list, struct slice s)
{
	for (size_t i = 0; i < list->n; i++)
		if (slice_ieq(list->v[i], s))
			return true;
	return false;
}

/* "text/plain" in the media range "text/plain", "text" slash star, star slash star; white space inside does not count. */
static bool type_matches(struct slice range, struct slice type)
{
	while (range.len) {
		type = sip_skip_lws(type);
		range = sip_skip_lws(range);
		if (range.len && *range.p == '*')
			return true;
		if (!range.len || !type.len || sip_lower(*range.p) != sip_lower(*type.p))
			break;
		range = slice_skip(range, 1);
		type = slice_skip(type, 1);
	}
	return !sip_skip_lws(range).len && !sip_skip_lws(type).len;
}

static struct slice join(struct arena *a, const struct sip_slices *list)
{
	struct slice text = S("");
	for (size_t i = 0; i < list->n; i++)
		text = arena_printf(a, "%.*s%s%.*s", SFMT(text), i ? ", " : "", SFMT(list->v[i]));
	return text;
}

static int check_required(const struct sip_msg *m, const struct sip_uas_caps *c, struct arena *a, struct sip_uas_verdict *ret)
{
	enum sip_hdr id = c->proxy ? SIP_H_PROXY_REQUIRE : SIP_H_REQUIRE;
	struct sip_values it = {0};
	struct slice tag;
	struct buf text;
	buf_init(&text, 65536);
	while (sip_msg_next_value(m, id, &it, &tag)) {
		if (listed(&c->extensions, tag))
			continue;
		if (text.len)
			buf_put(&text, S(", "));
		if (!sip_is_token(tag)) {
			buf_free(&text);
			return refuse(ret, 400, "Malformed option tag");
		}
		buf_put(&text, tag);
	}
	if (text.len) {
		ret->value = arena_dup(a, buf_slice(&text));
		if (ret->value.len) /* else the arena is full: refused all the same, without saying which */
			ret->header = sip_hdr_name(SIP_H_UNSUPPORTED);
		refuse(ret, 420, NULL);
	}
	buf_free(&text);
	return ret->status;
}

/* Addresses that we would send to must at least be addresses (RFC 4475 3.1.2.13). */
static int check_addresses(const struct sip_msg *m, enum sip_hdr id, size_t sound, struct sip_uas_verdict *ret)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_addr addr;
	size_t n = 0;
	bool star = false;
	while (sip_msg_next_value(m, id, &it, &value)) {
		if (n++ < sound)
			continue;
		if (sip_addr_parse(value, &addr))
			return refuse(ret, 400, id == SIP_H_CONTACT ? "Malformed Contact" : "Malformed Route");
		star |= addr.star;
	}
	return star && (n > 1 || id != SIP_H_CONTACT) ? refuse(ret, 400, "Malformed Contact") : 0;
}

static bool body_optional(const struct sip_msg *m)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_CONTENT_DISPOSITION, 0);
	struct slice params, handling;
	if (!h)
		return false;
	sip_token(h->value, &params);
	return sip_param(params, S("handling"), &handling) && slice_ieq(handling, S("optional"));
}

static int check_body(const struct sip_msg *m, const struct sip_uas_caps *c, struct arena *a, struct sip_uas_verdict *ret)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct sip_values it = {0};
	struct slice coding;
	if (!m->body.len || body_optional(m))
		return 0;
	while (sip_msg_next_value(m, SIP_H_CONTENT_ENCODING, &it, &coding)) {
		if (slice_ieq(coding, S("identity")) || listed(&c->encodings, coding))
			continue;
		ret->header = S("Accept-Encoding");
		ret->value = c->encodings.n ? join(a, &c->encodings) : S("identity");
		return refuse(ret, 415, NULL);
	}
	if (!h)
		return refuse(ret, 400, "Missing Content-Type");
	struct slice type = sip_token(h->value, NULL);
	for (size_t i = 0; i < c->types.n; i++)
		if (type_matches(c->types.v[i], type))
			return 0;
	ret->header = sip_hdr_name(SIP_H_ACCEPT);
	ret->value = join(a, &c->types);
	return refuse(ret, 415, NULL);
}

static int check_accept(const struct sip_msg *m, const struct sip_uas_caps *c, struct sip_uas_verdict *ret)
{
	struct sip_values it = {0};
	struct slice range;
	if (!c->produces.n || !sip_msg_header(m, SIP_H_ACCEPT, 0))
		return 0;
	while (sip_msg_next_value(m, SIP_H_ACCEPT, &it, &range))
		for (size_t i = 0; i < c->produces.n; i++)
			if (type_matches(sip_token(range, NULL), c->produces.v[i]))
				return 0;
	return refuse(ret, 406, NULL);
}

int sip_uas_check(const struct sip_msg *m, const struct sip_uas_caps *c, struct arena *a, struct sip_uas_verdict *ret)
{
	*ret = (struct sip_uas_verdict){0};
	if (!(c->schemes & 1u << m->uri.scheme))
		return refuse(ret, 416, NULL);
	if (c->proxy && m->max_forwards == 0)
		return refuse(ret, 483, NULL);
	if (m->method != SIP_ACK && m->method != SIP_CANCEL && check_required(m, c, a, ret))
		return ret->status;
	if (check_addresses(m, SIP_H_ROUTE, c->routes, ret) || c->proxy)
		return ret->status;
	if (check_addresses(m, SIP_H_CONTACT, 0, ret) || check_body(m, c, a, ret) || check_accept(m, c, ret))
		return ret->status;
	return 0;
}
