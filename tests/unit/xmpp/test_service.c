/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "xmpp/service.h"

static struct xmpp_service service(void)
{
	static const struct slice abuse[] = {{"mailto:abuse@example.com", 24}};
	struct xmpp_service s = {.name = S("Entente"),
				 .url = S("https://entente.example"),
				 .contact = XMPP_CONTACT_CHATSTATES | XMPP_CONTACT_RECEIPTS,
				 .abuse = abuse,
				 .n_abuse = 1};
	xmpp_service_init(&s);
	return s;
}

struct asked {
	struct arena *a;
	const char *text; /* of the reply, "" for none */
	struct xml_node *reply;
};

static struct asked ask(const struct xmpp_service *s, const char *type, const char *to, const char *payload,
			const struct xmpp_service_contact *c)
{
	struct asked r = {.a = arena_new(1 << 18), .text = ""};
	struct xmpp_jid jid;
	struct slice iq = arena_printf(
		r.a, "<iq xmlns='jabber:server' type='%s' id='i1' from='bob@there.example/r' to='%s'>%s</iq>", type, to, payload);
	assert_int_equal(xmpp_jid_parse(&jid, r.a, slice_str(to)), 0);
	r.reply = xmpp_service_answer(s, r.a, unit_parse(r.a, iq.p), &jid, c);
	if (r.reply)
		r.text = unit_text(r.a, r.reply, S("jabber:server"));
	return r;
}

#define DISCO "<query xmlns='http://jabber.org/protocol/disco#info'/>"
static const struct xmpp_service_contact visible = {.visible = true}, hidden = {.visible = false};

static void expect(const struct xmpp_service *s, const char *type, const char *to, const char *payload,
		   const struct xmpp_service_contact *c, const char *part)
{
	struct asked r = ask(s, type, to, payload, c);
	if (!strstr(r.text, part))
		print_message("# wanted %s in %s\n", part, r.text);
	assert_non_null(strstr(r.text, part));
	if (r.reply) {
		assert_slice(xml_attr(r.reply, S("id")), "i1");
		assert_slice(xml_attr(r.reply, S("to")), "bob@there.example/r");
		assert_slice(xml_attr(r.reply, S("from")), to);
	}
	arena_release(NULL, r.a);
}

/* XEP-0115 5.2 */
static void test_caps_vector(void **state)
{
	(void)state;
	struct xmpp_identity_info id = {.category = S("client"), .type = S("pc"), .name = S("Exodus 0.9.1")};
	struct slice f[] = {S("http://jabber.org/protocol/muc"), S("http://jabber.org/protocol/disco#info"),
			    S("http://jabber.org/protocol/caps"), S("http://jabber.org/protocol/disco#items"),
			    S("http://jabber.org/protocol/caps")};
	char ver[XMPP_CAPS_VER + 1];
	xmpp_caps_ver(ver, &id, 1, f, 5);
	assert_string_equal(ver, "QgayPKawpkPSDYmwT/WM94uAlu0=");
}

/* What we advertise must be what we answer: recompute the hash from the disco#info of a client. */
static void test_caps_agree(void **state)
{
	(void)state;
	struct xmpp_service s = service();
	char payload[200];
	snprintf(payload, sizeof payload,
		 "<query xmlns='http://jabber.org/protocol/disco#info' node='https://entente.example#%s'/>", s.caps);
	struct asked r = ask(&s, "get", "alice@here.example/pc", payload, &visible);
	struct xml_node *q = xml_child(r.reply, S("query"), SLICE_NONE);
	struct xml_node *i = xml_child(q, S("identity"), SLICE_NONE);
	struct xmpp_identity_info id = {xml_attr(i, S("category")), xml_attr(i, S("type")), SLICE_NONE, xml_attr(i, S("name"))};
	struct slice f[32];
	size_t n = 0;
	for (struct xml_node *x = xml_child(q, S("feature"), SLICE_NONE); x; x = xml_next_same(x))
		f[n++] = xml_attr(x, S("var"));
	char ver[XMPP_CAPS_VER + 1];
	xmpp_caps_ver(ver, &id, 1, f, n);
	assert_string_equal(ver, s.caps);
	assert_true(n >= 6);
	assert_true(slice_starts(xml_attr(q, S("node")), S("https://entente.example#")));

	struct xml_node *p = xml_new(r.a, S("presence"), S("jabber:server"));
	xmpp_service_add_caps(&s, r.a, p);
	struct xml_node *c = xml_child(p, S("c"), S("http://jabber.org/protocol/caps"));
	assert_slice(xml_attr(c, S("ver")), s.caps);
	assert_slice(xml_attr(c, S("hash")), "sha-1");
	arena_release(NULL, r.a);
}

static void test_disco(void **state)
{
	(void)state;
	struct xmpp_service s = service();
	expect(&s, "get", "here.example", DISCO, NULL, "category='gateway' type='simple'");
	expect(&s, "get", "here.example", DISCO, NULL, "category='server' type='im'");
	expect(&s, "get", "here.example", DISCO, NULL, "mailto:abuse@example.com");
	expect(&s, "get", "alice@here.example", DISCO, &visible, "category='account' type='registered'");
	expect(&s, "get", "alice@here.example/pc", DISCO, &visible, "category='client' type='pc' name='Entente'");
	expect(&s, "get", "alice@here.example/pc", DISCO, &visible, "http://jabber.org/protocol/chatstates");
	expect(&s, "get", "alice@here.example/pc",
	       "<query xmlns='http://jabber.org/protocol/disco#info' node='https://entente.example#x'/>", &visible,
	       "item-not-found");
	expect(&s, "get", "here.example", "<query xmlns='http://jabber.org/protocol/disco#items'/>", NULL,
	       "type='result'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>");
	expect(&s, "get", "here.example",
	       "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>", NULL,
	       "item-not-found");
}

static void test_hidden(void **state)
{
	(void)state;
	struct xmpp_service s = service();
	static const char *const payloads[] = {DISCO, "<ping xmlns='urn:xmpp:ping'/>", "<vCard xmlns='vcard-temp'/>",
					       "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>", "<x xmlns='y'/>"};
	for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		expect(&s, "get", "alice@here.example", payloads[i], &hidden, "<service-unavailable ");
		expect(&s, "get", "alice@here.example", payloads[i], NULL, "<service-unavailable ");
	}
}

static void test_small_services(void **state)
{
	(void)state;
	struct xmpp_service s = service();
	struct xmpp_service_contact card = {
		.visible = true, .name = S("Alice <A>"), .email = S("a@here.example"), .org = S("Here"), .title = S("Dr")};
	expect(&s, "get", "here.example", "<ping xmlns='urn:xmpp:ping'/>", NULL, "type='result'/>");
	expect(&s, "get", "alice@here.example/pc", "<ping xmlns='urn:xmpp:ping'/>", &visible, "type='result'/>");
	expect(&s, "get", "here.example", "<query xmlns='jabber:iq:version'/>", NULL, "<service-unavailable ");
	s.version = S("0.1");
	xmpp_service_init(&s);
	expect(&s, "get", "here.example", "<query xmlns='jabber:iq:version'/>", NULL,
	       "<name>Entente</name><version>0.1</version>");
	expect(&s, "get", "alice@here.example", "<vCard xmlns='vcard-temp'/>", &visible,
	       "type='result'><vCard xmlns='vcard-temp'/></iq>");
	expect(&s, "get", "alice@here.example", "<vCard xmlns='vcard-temp'/>", &card, "<FN>Alice &lt;A&gt;</FN>");
	expect(&s, "get", "alice@here.example", "<vCard xmlns='vcard-temp'/>", &card, "<USERID>a@here.example</USERID>");
	expect(&s, "get", "alice@here.example", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='x'/></pubsub>",
	       &visible, "<item-not-found ");
}

static void test_refusals(void **state)
{
	(void)state;
	struct xmpp_service s = service();
	expect(&s, "get", "here.example", "<query xmlns='jabber:iq:roster'/>", NULL, "<service-unavailable ");
	expect(&s, "set", "here.example", "<vCard xmlns='vcard-temp'/>", NULL, "<service-unavailable ");
	expect(&s, "set", "alice@here.example", DISCO, &visible, "<service-unavailable ");
	expect(&s, "get", "here.example", "", NULL, "<bad-request ");
	expect(&s, "get", "here.example", "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>", NULL, "<bad-request ");
	/* rooms, nodes, files, sessions, avatars, bookmarks and whatever comes next: quickly, and never an answer to an answer */
	static const char *const strange[] = {
		"<query xmlns='http://jabber.org/protocol/muc#owner'/>",
		"<query xmlns='http://jabber.org/protocol/muc#admin'/>",
		"<query xmlns='jabber:iq:register'/>",
		"<si xmlns='http://jabber.org/protocol/si' profile='http://jabber.org/protocol/si/profile/file-transfer'/>",
		"<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate'/>",
		"<open xmlns='http://jabber.org/protocol/ibb' sid='1' block-size='4096'/>",
		"<request xmlns='urn:xmpp:http:upload:0' filename='a' size='1'/>",
		"<query xmlns='http://jabber.org/protocol/bytestreams'/>",
		"<command xmlns='http://jabber.org/protocol/commands' node='list'/>",
		"<query xmlns='jabber:iq:private'/>",
		"<query xmlns='jabber:iq:last'/>",
		"<time xmlns='urn:xmpp:time'/>",
		"<query xmlns='urn:xmpp:mam:2'/>",
		"<block xmlns='urn:xmpp:blocking'/>",
	};
	static const char *const where[] = {"here.example", "alice@here.example", "alice@here.example/pc"};
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
		for (size_t k = 0; k < 3; k++) {
			expect(&s, "get", where[k], strange[i], &visible, "type='error'><error type='cancel'><service-unavailable ");
			expect(&s, "set", where[k], strange[i], &visible, "type='error'><error type='cancel'><service-unavailable ");
		}
	for (size_t k = 0; k < 3; k++)
		expect(&s, "set", where[k], "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='x'/></pubsub>", &visible,
		       "<service-unavailable ");
	expect(&s, "get", "here.example", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='x'/></pubsub>", NULL,
	       "<service-unavailable ");
	static const char *const final[] = {"result", "error"};
	for (size_t i = 0; i < 2; i++) {
		struct asked r = ask(&s, final[i], "here.example", "<ping xmlns='urn:xmpp:ping'/>", NULL);
		assert_null(r.reply);
		arena_release(NULL, r.a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps_vector), cmocka_unit_test(test_caps_agree),	   NAMED("S25 disco", test_disco),
		cmocka_unit_test(test_hidden),	    NAMED("S25 ping, version, vCard", test_small_services), NAMED("S25 requests that nobody serves", test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
