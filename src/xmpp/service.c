/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/service.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/enc.h"
#include "xmpp/error.h"
#include "xmpp/ns.h"
#include "xmpp/stanza.h"

enum { CAPS_MAX = 64, CAPS_TEXT = 65536, FEATURES_MAX = 16 };

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- entity capabilities */

static void sort(struct slice *s, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct slice x = s[i];
		size_t k = i;
		for (; k && slice_cmp(s[k - 1], x) > 0; k--)
			s[k] = s[k - 1];
		s[k] = x;
	}
}

/* Sorted by octets, each followed by "<", once. */
static void put_sorted(struct buf *b, struct slice *s, size_t n)
{
	sort(s, n);
	for (size_t i = 0; i < n; i++) {
		if (i && slice_eq(s[i], s[i - 1]))
			continue;
		buf_put(b, s[i]);
		buf_putc(b, '<');
	}
}

void xmpp_caps_ver(char ret[XMPP_CAPS_VER + 1], const struct xmpp_identity_info *ids, size_t n_ids, const struct slice *features,
		   size_t n_features)
{
	struct slice list[CAPS_MAX];
	struct arena *a = arena_new(CAPS_TEXT);
	struct buf text;
	buf_init(&text, CAPS_TEXT);
	n_ids = n_ids < CAPS_MAX ? n_ids : CAPS_MAX;
	n_features = n_features < CAPS_MAX ? n_features : CAPS_MAX;
	for (size_t i = 0; i < n_ids; i++)
		list[i] = arena_printf(a, "%.*s/%.*s/%.*s/%.*s", SFMT(ids[i].category), SFMT(ids[i].type), SFMT(ids[i].lang),
				       SFMT(ids[i].name));
	put_sorted(&text, list, n_ids);
	for (size_t i = 0; i < n_features; i++)
		list[i] = features[i];
	put_sorted(&text, list, n_features);

	unsigned char md[SHA_DIGEST_LENGTH];
	struct slice s = buf_slice(&text);
	SHA1((const unsigned char *)(s.p ? s.p : ""), s.len, md);
	buf_clear(&text);
	base64_put(&text, slice_of((const char *)md, sizeof md));
	slice_cstr(buf_slice(&text), ret, XMPP_CAPS_VER + 1);
	buf_free(&text);
	arena_release(NULL, a);
}

/* ---- who has which features */

static size_t contact_features(const struct xmpp_service *s, struct slice f[FEATURES_MAX])
{
	size_t n = 0;
	f[n++] = XMPP_NS_CAPS;
	f[n++] = XMPP_NS_DISCO_INFO;
	f[n++] = XMPP_NS_DISCO_ITEMS;
	f[n++] = XMPP_NS_PING;
	f[n++] = XMPP_NS_VCARD;
	if (!slice_empty(s->version))
		f[n++] = XMPP_NS_VERSION;
	if (s->contact & XMPP_CONTACT_CHATSTATES)
		f[n++] = XMPP_NS_CHATSTATES;
	if (s->contact & XMPP_CONTACT_RECEIPTS)
		f[n++] = XMPP_NS_RECEIPTS;
	if (s->contact & XMPP_CONTACT_XHTML)
		f[n++] = XMPP_NS_XHTML_IM;
	return n;
}

static size_t account_features(struct slice f[FEATURES_MAX])
{
	size_t n = 0;
	f[n++] = XMPP_NS_DISCO_INFO;
	f[n++] = XMPP_NS_DISCO_ITEMS;
	f[n++] = XMPP_NS_PING;
	f[n++] = XMPP_NS_VCARD;
	return n;
}

static size_t domain_features(const struct xmpp_service *s, struct slice f[FEATURES_MAX])
{
	size_t n = account_features(f);
	if (!slice_empty(s->version))
		f[n++] = XMPP_NS_VERSION;
	return n;
}

static struct xmpp_identity_info client_identity(const struct xmpp_service *s)
{
	return (struct xmpp_identity_info){.category = S("client"), .type = S("pc"), .name = s->name};
}

void xmpp_service_init(struct xmpp_service *s)
{
	struct slice f[FEATURES_MAX];
	struct xmpp_identity_info id = client_identity(s);
	size_t n = contact_features(s, f);
	xmpp_caps_ver(s->caps, &id, 1, f, n);
}

void xmpp_service_add_caps(const struct xmpp_service *s, struct arena *a, struct xml_node *presence)
{
	struct xml_node *c = xml_add(a, presence, S("c"), XMPP_NS_CAPS);
	xml_set(a, c, S("hash"), S("sha-1"));
	xml_set(a, c, S("node"), s->url);
	xml_set(a, c, S("ver"), arena_dup(a, slice_str(s->caps)));
}

/* ---- requests */

enum target { DOMAIN, ACCOUNT, CLIENT };

struct request {
	const struct xmpp_service *s;
	struct arena *a;
	const struct xml_node *iq, *payload;
	const struct xmpp_service_contact *contact; /* NULL for the domain */
	enum target target;
	bool set;
};

static struct xml_node *refuse(const struct request *r, struct slice type, struct slice condition)
{
	return xmpp_error_reply(r->a, r->iq, type, condition, SLICE_NONE, SLICE_NONE);
}

static struct xml_node *unavailable(const struct request *r)
{
	return refuse(r, S("cancel"), S("service-unavailable"));
}

static void add_identity(const struct request *r, struct xml_node *query, const struct xmpp_identity_info *id)
{
	struct xml_node *n = xml_add(r->a, query, S("identity"), XMPP_NS_DISCO_INFO);
	xml_set(r->a, n, S("category"), id->category);
	xml_set(r->a, n, S("type"), id->type);
	if (!slice_empty(id->name))
		xml_set(r->a, n, S("name"), id->name);
}

static void add_features(const struct request *r, struct xml_node *query, const struct slice *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		xml_set(r->a, xml_add(r->a, query, S("feature"), XMPP_NS_DISCO_INFO), S("var"), f[i]);
}

static struct xml_node *add_field(const struct request *r, struct xml_node *form, struct slice var, struct slice type)
{
	struct xml_node *f = xml_add(r->a, form, S("field"), XMPP_NS_DATA);
	xml_set(r->a, f, S("var"), var);
	xml_set(r->a, f, S("type"), type);
	return f;
}

/* Contact addresses for other administrators, XEP-0157. */
static void add_contact_addresses(const struct request *r, struct xml_node *query)
{
	const struct xmpp_service *s = r->s;
	const struct {
		struct slice var;
		const struct slice *uri;
		size_t n;
	} list[] = {
		{S("abuse-addresses"), s->abuse, s->n_abuse},
		{S("admin-addresses"), s->admin, s->n_admin},
		{S("security-addresses"), s->security, s->n_security},
		{S("support-addresses"), s->support, s->n_support},
	};
	if (!(s->n_abuse || s->n_admin || s->n_security || s->n_support))
		return;
	struct xml_node *form = xml_add(r->a, query, S("x"), XMPP_NS_DATA);
	xml_set(r->a, form, S("type"), S("result"));
	struct xml_node *f = add_field(r, form, S("FORM_TYPE"), S("hidden"));
	xml_add_text(r->a, xml_add(r->a, f, S("value"), XMPP_NS_DATA), S("http://jabber.org/network/serverinfo"));
	for (size_t i = 0; i < COUNT(list); i++) {
		if (list[i].n == 0)
			continue;
		f = add_field(r, form, list[i].var, S("list-multi"));
		for (size_t k = 0; k < list[i].n; k++)
			xml_add_text(r->a, xml_add(r->a, f, S("value"), XMPP_NS_DATA), list[i].uri[k]);
	}
}

/* The only node that we have anywhere is the one of our caps, on a contact's client. */
static bool node_known(const struct request *r, struct slice node)
{
	if (slice_empty(node))
		return true;
	struct slice rest = node;
	if (r->target != CLIENT || !slice_starts(node, r->s->url))
		return false;
	rest = slice_skip(rest, r->s->url.len);
	return slice_starts(rest, S("#")) && slice_eq(slice_skip(rest, 1), slice_str(r->s->caps));
}

static struct xml_node *answer_info(const struct request *r)
{
	struct slice node = xml_attr(r->payload, S("node"));
	if (!node_known(r, node))
		return refuse(r, S("cancel"), S("item-not-found"));
	struct xml_node *iq = stanza_result(r->a, r->iq);
	struct xml_node *query = xml_add(r->a, iq, S("query"), XMPP_NS_DISCO_INFO);
	struct slice f[FEATURES_MAX];
	size_t n = 0;
	if (node.p)
		xml_set(r->a, query, S("node"), node);
	switch (r->target) {
	case DOMAIN:
		add_identity(r, query,
			     &(struct xmpp_identity_info){.category = S("gateway"), .type = S("simple"), .name = r->s->name});
		add_identity(r, query,
			     &(struct xmpp_identity_info){.category = S("server"), .type = S("im"), .name = r->s->name});
		n = domain_features(r->s, f);
		break;
	case ACCOUNT:
		add_identity(r, query, &(struct xmpp_identity_info){.category = S("account"), .type = S("registered")});
		n = account_features(f);
		break;
	case CLIENT: {
		struct xmpp_identity_info id = client_identity(r->s);
		add_identity(r, query, &id);
		n = contact_features(r->s, f);
		break;
	}
	}
	add_features(r, query, f, n);
	if (r->target == DOMAIN)
		add_contact_addresses(r, query);
	return iq;
}

static struct xml_node *answer_items(const struct request *r)
{
	if (!slice_empty(xml_attr(r->payload, S("node"))))
		return refuse(r, S("cancel"), S("item-not-found"));
	struct xml_node *iq = stanza_result(r->a, r->iq);
	xml_add(r->a, iq, S("query"), XMPP_NS_DISCO_ITEMS);
	return iq;
}

static struct xml_node *answer_ping(const struct request *r)
{
	return stanza_result(r->a, r->iq);
}

static struct xml_node *answer_version(const struct request *r)
{
	if (slice_empty(r->s->version) || r->target == ACCOUNT)
		return unavailable(r);
	struct xml_node *iq = stanza_result(r->a, r->iq);
	struct xml_node *query = xml_add(r->a, iq, S("query"), XMPP_NS_VERSION);
	xml_add_text(r->a, xml_add(r->a, query, S("name"), XMPP_NS_VERSION), r->s->name);
	xml_add_text(r->a, xml_add(r->a, query, S("version"), XMPP_NS_VERSION), r->s->version);
	return iq;
}

static struct xml_node *answer_vcard(const struct request *r)
{
	struct xml_node *iq = stanza_result(r->a, r->iq);
	struct xml_node *card = xml_add(r->a, iq, S("vCard"), XMPP_NS_VCARD);
	const struct xmpp_service_contact *c = r->contact;
	struct slice name = c ? c->name : r->s->name;
	/* Clients hide contacts whose card has no FN, but an invented name is worse than none. */
	if (!slice_empty(name))
		xml_add_text(r->a, xml_add(r->a, card, S("FN"), XMPP_NS_VCARD), name);
	if (!c)
		return iq;
	if (!slice_empty(c->email)) {
		struct xml_node *e = xml_add(r->a, card, S("EMAIL"), XMPP_NS_VCARD);
		xml_add(r->a, e, S("INTERNET"), XMPP_NS_VCARD);
		xml_add_text(r->a, xml_add(r->a, e, S("USERID"), XMPP_NS_VCARD), c->email);
	}
	if (!slice_empty(c->org)) {
		struct xml_node *o = xml_add(r->a, card, S("ORG"), XMPP_NS_VCARD);
		xml_add_text(r->a, xml_add(r->a, o, S("ORGNAME"), XMPP_NS_VCARD), c->org);
	}
	if (!slice_empty(c->title))
		xml_add_text(r->a, xml_add(r->a, card, S("TITLE"), XMPP_NS_VCARD), c->title);
	return iq;
}

/* Avatars and the like by PEP: clients ask for items of many nodes, and none exists. */
static struct xml_node *answer_pubsub(const struct request *r)
{
	return r->target == ACCOUNT ? refuse(r, S("cancel"), S("item-not-found")) : unavailable(r);
}

static const struct {
	const char *name, *ns;
	struct xml_node *(*answer)(const struct request *r);
} table[] = {
	{"query", "http://jabber.org/protocol/disco#info", answer_info},
	{"query", "http://jabber.org/protocol/disco#items", answer_items},
	{"ping", "urn:xmpp:ping", answer_ping},
	{"query", "jabber:iq:version", answer_version},
	{"vCard", "vcard-temp", answer_vcard},
	{"pubsub", "http://jabber.org/protocol/pubsub", answer_pubsub},
};

struct xml_node *xmpp_service_answer(const struct xmpp_service *s, struct arena *a, const struct xml_node *iq,
				     const struct xmpp_jid *to, const struct xmpp_service_contact *contact)
{
	struct slice type = xml_attr(iq, S("type"));
	struct request r = {.s = s, .a = a, .iq = iq, .payload = stanza_payload(iq), .set = slice_eq(type, S("set"))};
	if (slice_eq(type, S("result")) || slice_eq(type, S("error")))
		return NULL;
	if ((!r.set && !slice_eq(type, S("get"))) || !r.payload || slice_empty(xml_attr(iq, S("id"))))
		return refuse(&r, S("modify"), S("bad-request"));
	r.target = slice_empty(to->local) ? DOMAIN : slice_empty(to->resource) ? ACCOUNT : CLIENT;
	if (r.target != DOMAIN) {
		r.contact = contact;
		if (!contact || !contact->visible)
			return unavailable(&r);
	}
	for (size_t i = 0; i < COUNT(table) && !r.set; i++)
		if (xml_is(r.payload, slice_str(table[i].name), slice_str(table[i].ns)))
			return table[i].answer(&r);
	return unavailable(&r);
}
