/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/error.h"

#include "xmpp/stanza.h"

struct condition {
	struct slice name;
	const char *type;
};
#define C(name, type) {{"" name, sizeof(name) - 1}, type}

/* RFC 6120 8.3.3 */
static const struct condition stanza_conditions[] = {
	C("bad-request", "modify"), C("conflict", "cancel"), C("feature-not-implemented", "cancel"), C("forbidden", "auth"),
	C("gone", "cancel"), C("internal-server-error", "cancel"), C("item-not-found", "cancel"), C("jid-malformed", "modify"),
	C("not-acceptable", "modify"), C("not-allowed", "cancel"), C("not-authorized", "auth"), C("policy-violation", "modify"),
	C("recipient-unavailable", "wait"), C("redirect", "modify"), C("registration-required", "auth"),
	C("remote-server-not-found", "cancel"), C("remote-server-timeout", "wait"), C("resource-constraint", "wait"),
	C("service-unavailable", "cancel"), C("subscription-required", "auth"), C("undefined-condition", "cancel"),
	C("unexpected-request", "wait"),
};

/* RFC 6120 4.9.3; the second column is today's name of one that RFC 3920 knew */
static const struct condition stream_conditions[] = {
	C("bad-format", NULL), C("bad-namespace-prefix", NULL), C("conflict", NULL), C("connection-timeout", NULL),
	C("host-gone", NULL), C("host-unknown", NULL), C("improper-addressing", NULL), C("internal-server-error", NULL),
	C("invalid-from", NULL), C("invalid-namespace", NULL), C("invalid-xml", NULL), C("not-authorized", NULL),
	C("not-well-formed", NULL),
	C("policy-violation", NULL), C("remote-connection-failed", NULL), C("reset", NULL), C("resource-constraint", NULL),
	C("restricted-xml", NULL), C("see-other-host", NULL), C("system-shutdown", NULL), C("undefined-condition", NULL),
	C("unsupported-encoding", NULL), C("unsupported-feature", NULL), C("unsupported-stanza-type", NULL),
	C("unsupported-version", NULL), C("xml-not-well-formed", "not-well-formed"), C("invalid-id", "invalid-from"),
};

/* Before RFC 3920 an error was a number only (XEP-0086); old servers still send no more than that. */
static const struct {
	struct slice code;
	const char *condition;
} legacy[] = {
	C("302", "redirect"), C("400", "bad-request"), C("401", "not-authorized"), C("403", "forbidden"),
	C("404", "item-not-found"), C("405", "not-allowed"), C("406", "not-acceptable"), C("407", "registration-required"),
	C("408", "remote-server-timeout"), C("409", "conflict"), C("500", "internal-server-error"), C("501",
	"feature-not-implemented"),
	C("502", "service-unavailable"), C("503", "service-unavailable"), C("504", "remote-server-timeout"),
	C("510", "service-unavailable"),
};

#define N(table) (sizeof(table) / sizeof *(table))

static const struct condition *find(const struct condition *table, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(table[i].name, name))
			return &table[i];
	return NULL;
}

const char *xmpp_error_type(struct slice condition)
{
	const struct condition *c = find(stanza_conditions, N(stanza_conditions), condition);
	return c ? c->type : "cancel";
}

bool xmpp_condition_known(struct slice condition)
{
	return find(stanza_conditions, N(stanza_conditions), condition) != NULL;
}

bool xmpp_stream_condition_known(struct slice condition)
{
	const struct condition *c = find(stream_conditions, N(stream_conditions), condition);
	return c && !c->type;
}

static void add_text(struct arena *a, struct xml_node *error, struct slice text, struct slice ns)
{
	if (text.len) {
		struct xml_node *t = xml_add(a, error, S("text"), ns);
		xml_set_lang(a, t, S("en"));
		xml_add_text(a, t, text);
	}
}

struct xml_node *xmpp_error_reply(struct arena *a, const struct xml_node *stanza, struct slice type, struct slice condition,
				  struct slice text, struct slice by)
{
	if (stanza_final(stanza))
		return NULL;
	struct xml_node *r = xml_new(a, stanza->name, stanza->ns);
	xml_set(a, r, S("from"), stanza_to(stanza));
	xml_set(a, r, S("to"), stanza_from(stanza));
	xml_set(a, r, S("id"), stanza_id(stanza));
	xml_set(a, r, S("type"), S("error"));
	struct xml_node *e = xml_add(a, r, S("error"), SLICE_NONE);
	if (by.len)
		xml_set(a, e, S("by"), by);
	xml_set(a, e, S("type"), type.len ? type : slice_str(xmpp_error_type(condition)));
	xml_add(a, e, condition, XMPP_NS_STANZAS);
	add_text(a, e, text, XMPP_NS_STANZAS);
	return r;
}

/* Condition, text and address of an error whose children are in `ns`. The table's name replaces the peer's. */
static void read_children(struct arena *a, const struct xml_node *e, struct slice ns, const struct condition *table, size_t n,
			  struct xmpp_error *ret)
{
	bool found = false;
	ret->condition = S("undefined-condition");
	for (const struct xml_node *c = xml_first(e); c; c = xml_next(c)) {
		if (!slice_eq(c->ns, ns))
			continue;
		if (xml_is(c, S("text"), ns)) {
			if (!ret->text.len)
				ret->text = xml_text(c, a);
		} else if (!found) {
			const struct condition *row = find(table, n, c->name);
			found = true;
			if (row)
				ret->condition = table == stream_conditions && row->type ? slice_str(row->type) : row->name;
			ret->address = slice_trim(xml_text(c, a));
		}
	}
}

void xmpp_error_read(struct arena *a, const struct xml_node *stanza, struct xmpp_error *ret)
{
	*ret = (struct xmpp_error){0};
	const struct xml_node *e = stanza ? xml_child(stanza, S("error"), stanza->ns) : NULL;
	read_children(a, e, XMPP_NS_STANZAS, stanza_conditions, N(stanza_conditions), ret);
	ret->type = xml_attr(e, S("type"));
	ret->by = xml_attr(e, S("by"));
	if (e && !xml_first(e)) {
		struct slice code = xml_attr(e, S("code"));
		for (size_t i = 0; i < N(legacy); i++)
			if (slice_eq(legacy[i].code, code))
				ret->condition = slice_str(legacy[i].condition);
		ret->text = xml_text(e, a);
	}
	if (!ret->type.len)
		ret->type = slice_str(xmpp_error_type(ret->condition));
	if (!slice_eq(ret->condition, S("gone")) && !slice_eq(ret->condition, S("redirect")))
		ret->address = SLICE_NONE;
}

struct xml_node *xmpp_stream_error(struct arena *a, struct slice condition, struct slice text, struct slice host)
{
	struct xml_node *e = xml_new(a, S("error"), XMPP_NS_STREAM);
	xml_add_text(a, xml_add(a, e, condition, XMPP_NS_STREAMS), host);
	add_text(a, e, text, XMPP_NS_STREAMS);
	return e;
}

void xmpp_stream_error_read(struct arena *a, const struct xml_node *error, struct xmpp_error *ret)
{
	*ret = (struct xmpp_error){0};
	read_children(a, error, XMPP_NS_STREAMS, stream_conditions, N(stream_conditions), ret);
	if (!slice_eq(ret->condition, S("see-other-host")))
		ret->address = SLICE_NONE;
}
