/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/errormap.h"

#include "interwork/address.h"
#include "interwork/text.h"
#include "sip/build.h"

enum { TEXT_MAX = 1024, ADDRESS_MAX = 3072 };

#define NS_ERRORS S("urn:entente:errors:0")

const struct interwork_error_rules interwork_error_rules_default = {
	.hide_unknown_users = true,
	.retry_after = 60,
	.allow = {INTERWORK_ALLOW, sizeof INTERWORK_ALLOW - 1},
};

/* ---- towards XMPP */

static const struct interwork_sip_row sip_rows[] = {
#define SIP_ROW(status, condition, type, text) {status, condition, type, INTERWORK_TEXT_##text},
#include "interwork/errormap.def"
};

const struct interwork_sip_row *interwork_error_of_status(int status)
{
	const struct interwork_sip_row *class_row = NULL;
	if (status < 300 || status > 699)
		return NULL;
	for (size_t i = 0; i < sizeof sip_rows / sizeof *sip_rows && sip_rows[i].status <= status; i++) {
		if (sip_rows[i].status == status)
			return &sip_rows[i];
		if (sip_rows[i].status == status / 100 * 100)
			class_row = &sip_rows[i];
	}
	return class_row;
}

static struct xml_node *error_child(struct xml_node *reply)
{
	for (struct xml_node *n = reply ? reply->first : NULL; n; n = n->next)
		if (slice_eq(n->name, S("error")))
			return n;
	return NULL;
}

static bool iri_char(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c && strchr("-._~!$&'()*+,;=@/:", c));
}

/* xmpp: IRI of a JID (RFC 5122). */
static struct slice xmpp_iri(struct arena *a, const struct xmpp_jid *j)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_bytes(a, sizeof "xmpp:" + 3 * j->full.len), *p = out;
	if (!out)
		return SLICE_NONE;
	p = (char *)mempcpy(p, "xmpp:", 5);
	for (size_t i = 0; i < j->full.len; i++) {
		unsigned char c = (unsigned char)j->full.p[i];
		if (iri_char(c)) {
			*p++ = (char)c;
		} else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	return slice_of(out, (size_t)(p - out));
}

/* Where a 3xx points, as the other network writes it; empty when it cannot be reached from there. */
static struct slice redirect_iri(struct arena *a, const struct sip_msg *resp, const struct interwork_error_rules *rules)
{
	struct sip_values it = {0};
	struct slice value;
	while (sip_msg_next_value(resp, SIP_H_CONTACT, &it, &value)) {
		struct sip_addr contact;
		struct xmpp_jid j;
		if (sip_addr_parse(value, &contact) != 0 || contact.star || interwork_sip_to_jid(&j, a, &contact.uri, NULL) != 0)
			continue;
		if (!rules->domain_allowed || rules->domain_allowed(rules->ctx, j.domain))
			return xmpp_iri(a, &j);
	}
	return SLICE_NONE;
}

/* The number of ms-diagnostics; its text and its source would show internal names. */
static struct slice diagnostics_code(const struct sip_msg *resp)
{
	struct slice v = sip_msg_header_named(resp, S("ms-diagnostics"));
	size_t n = 0;
	if (!v.p)
		v = sip_msg_header_named(resp, S("ms-diagnostics-public"));
	while (n < v.len && v.p[n] >= '0' && v.p[n] <= '9')
		n++;
	return n <= 9 && (n == v.len || v.p[n] == ';' || v.p[n] == ' ') ? slice_of(v.p, n) : SLICE_NONE;
}

struct xml_node *interwork_error_from_response(struct arena *a, const struct xml_node *stanza, const struct sip_msg *resp,
					       const struct interwork_error_rules *rules)
{
	const struct interwork_sip_row *row = resp->is_request ? NULL : interwork_error_of_status(resp->status);
	if (!row)
		return NULL;
	switch (resp->status) {
	case 404: case 484: case 485: case 604:
		if (rules->hide_unknown_users)
			return xmpp_error_reply(a, stanza, S("cancel"), S("service-unavailable"), SLICE_NONE, rules->by);
	}
	struct xml_node *reply = xmpp_error_reply(a, stanza, slice_str(row->type), slice_str(row->condition),
						  interwork_line(a, resp->reason, TEXT_MAX), rules->by);
	struct xml_node *error = error_child(reply);
	if (!error)
		return reply;
	if (row->text == INTERWORK_TEXT_ADDRESS) {
		struct xml_node *condition = xml_child(error, slice_str(row->condition), XMPP_NS_STANZAS);
		struct slice iri = redirect_iri(a, resp, rules);
		if (condition && iri.len)
			xml_add_text(a, condition, iri);
	}
	struct slice code = diagnostics_code(resp);
	if (code.len)
		xml_set(a, xml_add(a, error, S("diagnostics"), NS_ERRORS), S("code"), code);
	return reply;
}

static bool is_quiet(enum reason reason)
{
	switch (reason) {
#define QUIET_ROW(name) case REASON_##name:
#include "interwork/errormap.def"
		return true;
	default:
		return false;
	}
}

struct xml_node *interwork_error_from_reason(struct arena *a, const struct xml_node *stanza, enum reason reason,
					     struct slice detail, const struct interwork_error_rules *rules)
{
	const struct reason_info *info = reason_info(reason);
	struct slice text = SLICE_NONE;
	if (!is_quiet(reason)) {
		detail = interwork_line(a, detail, TEXT_MAX / 2);
		text = arena_printf(a, "%s%s%.*s (%s)", info->text, detail.len ? ": " : "", SFMT(detail), info->id);
	}
	return xmpp_error_reply(a, stanza, slice_str(info->xmpp_type), slice_str(info->xmpp_condition), text, rules->by);
}

/* ---- towards SIP */

static const struct condition_row {
	const char *condition;
	int full, bare;
} condition_rows[] = {
#define CONDITION_ROW(condition, full, bare) {condition, full, bare},
#include "interwork/errormap.def"
};

int interwork_status_of_condition(struct slice condition, bool from_full, bool has_address,
				  const struct interwork_error_rules *rules)
{
	const struct condition_row *row = &condition_rows[0];
	for (size_t i = 1; i < sizeof condition_rows / sizeof *condition_rows; i++)
		if (slice_eq(condition, slice_str(condition_rows[i].condition)))
			row = &condition_rows[i];
	if (row->full == 410 && has_address)
		return 301;
	return from_full || (row->bare >= 600 && !rules->bare_6xx) ? row->full : row->bare;
}

bool interwork_response_add(struct interwork_response *r, struct slice name, struct slice value)
{
	size_t i = 0;
	while (i < r->n_headers && !slice_ieq(r->headers[i].name, name))
		i++;
	if (i == INTERWORK_RESPONSE_HEADERS)
		return false;
	r->headers[i].name = name;
	r->headers[i].value = value;
	if (i == r->n_headers)
		r->n_headers++;
	return true;
}

static void add_status_headers(struct interwork_response *r, struct arena *a, const struct interwork_error_rules *rules)
{
	static const struct {
		int status;
		const char *name, *value;
	} rows[] = {
#define RESPONSE_ROW(status, name, value) {status, name, value},
#include "interwork/errormap.def"
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].status == r->status)
			interwork_response_add(r, slice_str(rows[i].name), slice_str(rows[i].value));
	if (r->status == 405)
		interwork_response_add(r, S("Allow"), rules->allow);
	if (r->status == 503 && rules->retry_after)
		interwork_response_add(r, S("Retry-After"), arena_printf(a, "%u", (unsigned)rules->retry_after));
}

/* A new address from an XMPP error as Contact, when it is one that the SIP side may go to. */
static struct slice redirect_contact(struct arena *a, struct slice address, const struct interwork_error_rules *rules)
{
	struct xmpp_jid j;
	struct slice uri;
	address = slice_trim(address);
	if (!rules->domain_allowed || address.len == 0 || address.len > ADDRESS_MAX)
		return SLICE_NONE;
	if (slice_istarts(address, S("xmpp:"))) {
		struct buf text;
		int r;
		size_t end = 5;
		/* No authority part, no query, no fragment: those would name an account or an action. */
		while (end < address.len && address.p[end] != '?' && address.p[end] != '#')
			end++;
		buf_init(&text, ADDRESS_MAX);
		r = sip_unescape(slice_of(address.p + 5, end - 5), &text);
		if (r == 0)
			r = buf_ok(&text) ? xmpp_jid_parse(&j, a, buf_slice(&text)) : ENTENTE_ELIMIT;
		buf_free(&text);
		if (r)
			return SLICE_NONE;
	} else if (interwork_uri_to_jid(&j, a, address, NULL) != 0) {
		return SLICE_NONE;
	}
	if (!rules->domain_allowed(rules->ctx, j.domain) || interwork_jid_to_sip(&uri, a, &j, true, NULL) != 0)
		return SLICE_NONE;
	return arena_printf(a, "<%.*s>", SFMT(uri));
}

void interwork_response_from_error(struct interwork_response *ret, struct arena *a, const struct xml_node *stanza, bool from_full,
				   const struct interwork_error_rules *rules)
{
	struct interwork_response r = {0};
	struct xmpp_error e;
	xmpp_error_read(a, stanza, &e);
	r.status = interwork_status_of_condition(e.condition, from_full, !slice_empty(slice_trim(e.address)), rules);
	r.phrase = interwork_phrase(a, e.text);
	if (r.status == 301 || r.status == 302) {
		struct slice contact = redirect_contact(a, e.address, rules);
		if (contact.len)
			interwork_response_add(&r, S("Contact"), contact);
	}
	if (slice_eq(e.condition, S("resource-constraint")) && rules->retry_after)
		interwork_response_add(&r, S("Retry-After"), arena_printf(a, "%u", (unsigned)rules->retry_after));
	if (r.status == 405)
		add_status_headers(&r, a, rules);
	*ret = r;
}

void interwork_response_from_reason(struct interwork_response *ret, struct arena *a, enum reason reason,
				    const struct interwork_error_rules *rules)
{
	const struct reason_info *info = reason_info(reason);
	struct interwork_response r = {.status = info->sip_status, .phrase = interwork_phrase(a, slice_str(info->text))};
	interwork_response_add(&r, S("Entente-Reason"), slice_str(info->id));
	add_status_headers(&r, a, rules);
	if (reason == REASON_ADDRESS_SIPS) /* RFC 5630 5.1.2 */
		interwork_response_add(&r, S("Warning"), arena_printf(a, "380 %.*s \"SIPS Not Allowed\"",
								     SFMT(rules->by.len ? rules->by : S("entente"))));
	*ret = r;
}

void interwork_response_write_headers(struct buf *b, const struct interwork_response *r)
{
	for (size_t i = 0; i < r->n_headers; i++)
		sip_build_header_named(b, r->headers[i].name, r->headers[i].value);
}
