/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP message -> SIP MESSAGE: fields, stanza types, newer payloads, and what must not cross. */
#include "parse.h"

#include "interwork/im.h"
#include "sip/build.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

#define assert_slice(actual, expected)                                                                                        \
	do {                                                                                                                  \
		struct slice a_ = (actual), e_ = slice_str(expected);                                                         \
		if (!slice_eq(a_, e_))                                                                                        \
			fail_msg("%s:%d: \"%.*s\", not \"%.*s\"", __FILE__, __LINE__, SFMT(a_), SFMT(e_));                    \
	} while (0)

static struct interwork_im_verdict translate_with(struct interwork_im_page *page, struct interwork_im_out out, const char *attrs,
						  const char *inside)
{
	out.stanza = parse_xml(
		arena,
		arena_printf(arena,
			     "<message xmlns='jabber:server' from='juliet@x.example/b' to='romeo@example.net' %s>%s</message>",
			     attrs, inside));
	struct slice from_uri = S("sip:juliet@x.example"), to_uri = S("sip:romeo@example.net");
	memset(page, 0, sizeof *page);
	struct interwork_im_verdict v = interwork_im_to_sip(page, arena, &out, &interwork_im_rules_default);
	if (v.action != INTERWORK_IM_PASS) {
		assert_null(page->body.p); /* untouched */
		return v;
	}
	/* Whatever was accepted can be written as a request and is read back as the same. */
	struct buf b;
	buf_init(&b, 65536);
	sip_build_request(&b, S("MESSAGE"), to_uri);
	sip_build_header(&b, SIP_H_VIA, S("SIP/2.0/TLS gw.example;branch=z9hG4bK1"));
	sip_build_header_fmt(&b, SIP_H_FROM, "<%.*s>;tag=1", SFMT(from_uri));
	sip_build_header_fmt(&b, SIP_H_TO, "<%.*s>", SFMT(to_uri));
	sip_build_header(&b, SIP_H_CALL_ID, S("c"));
	sip_build_header(&b, SIP_H_CSEQ, S("1 MESSAGE"));
	const struct {
		enum sip_hdr id;
		struct slice value;
	} headers[] = {{SIP_H_SUBJECT, page->subject},
		       {SIP_H_CONTENT_LANGUAGE, page->language},
		       {SIP_H_PRIORITY, page->priority},
		       {SIP_H_DATE, page->date}};
	for (size_t i = 0; i < 4; i++)
		if (headers[i].value.len)
			sip_build_header(&b, headers[i].id, headers[i].value);
	sip_build_body(&b, page->content_type, page->body);
	assert_true(buf_ok(&b));
	struct sip_msg *m = parse_sip(arena, arena_dup(arena, buf_slice(&b)));
	buf_free(&b);
	assert_true(slice_eq(m->body, page->body));
	for (size_t i = 0; i < 4; i++)
		if (headers[i].value.len)
			assert_true(slice_eq(sip_msg_header(m, headers[i].id, 0)->value, headers[i].value));
	assert_true(page->max_forwards >= 0 && page->max_forwards <= 70);
	return v;
}

static struct interwork_im_verdict translate(struct interwork_im_page *page, const char *attrs, const char *inside)
{
	arena_reset(arena);
	return translate_with(page, (struct interwork_im_out){0}, attrs, inside);
}

/* A server that does not rewrite what a client has written with a prefix (jabberd2). */
static void test_body_of_a_client(void **state)
{
	struct interwork_im_page page;
	(void)state;
	assert_int_equal(translate(&page, "xmlns:c='jabber:client'", "<c:body>Art thou</c:body><c:subject>he</c:subject>").action, INTERWORK_IM_PASS);
	assert_slice(page.body, "Art thou");
	assert_slice(page.subject, "he");
	assert_int_not_equal(translate(&page, "", "<body xmlns='urn:other'>no</body>").action, INTERWORK_IM_PASS);
}

static void test_plain(void **state)
{
	(void)state;
	struct interwork_im_page p;
	assert_int_equal(translate(&p, "type='chat' id='m1'", "<body>Art thou not Romeo?</body>").action, INTERWORK_IM_PASS);
	assert_slice(p.body, "Art thou not Romeo?");
	assert_slice(p.content_type, "text/plain;charset=UTF-8");
	assert_slice(p.id, "m1");
	assert_int_equal(p.expires, -1);
	assert_int_equal(p.max_forwards, 70);
	assert_int_equal(p.subject.len + p.language.len + p.priority.len + p.date.len + p.thread.len, 0);
	assert_false(p.receipt_requested);
}

/* body, and what becomes of it in a chat message */
static const struct {
	const char *name, *inside, *body; /* body NULL: dropped or refused */
	enum interwork_im_kind kind;
	enum reason reason;
} payloads[] = {
	{"line ends", "<body>a\nb&#13;\nc&#13;d</body>", "a\r\nb\r\nc\r\nd", 0, 0},
	{"controls", "<body>a&#x7f;&#x85;b&#9;</body>", "a\xEF\xBF\xBD\xEF\xBF\xBD" "b\t", 0, 0},
	{"header look-alike", "<body>\n\nVia: x</body>", "\r\n\r\nVia: x", 0, 0},
	{"no-lang body first", "<body xml:lang='de'>Hallo</body><body>Hi</body>", "Hi", 0, 0},
	{"body in the stanza's language", "<body xml:lang='de'>Hallo</body><body xml:lang='EN'>Hi</body><body "
	 "xml:lang='en'>Hi 2</body>", "Hi", 0, 0},
	{"first body", "<body xml:lang='de'>Hallo</body><body xml:lang='fr'>Salut</body>", "Hallo", 0, 0},
	{"body of another namespace", "<body xmlns='http://www.w3.org/1999/xhtml'>x</body>", NULL, INTERWORK_IM_EMPTY, 0},
	{"no body", "", NULL, INTERWORK_IM_EMPTY, 0},
	{"empty body", "<body/>", NULL, INTERWORK_IM_EMPTY, 0},
	{"subject only", "<subject>s</subject>", NULL, INTERWORK_IM_EMPTY, 0},
	{"spaces are a body", "<body> </body>", " ", 0, 0},
	{"unknown payload", "<x xmlns='urn:example:x'><y/></x>", NULL, INTERWORK_IM_EMPTY, 0},
	{"chat state", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", NULL, INTERWORK_IM_COMPOSING, 0},
	{"chat state with body", "<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>", "x", 0, 0},
	{"receipt", "<received xmlns='urn:xmpp:receipts' id='1'/>", NULL, INTERWORK_IM_RECEIPT, 0},
	{"marker", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", NULL, INTERWORK_IM_RECEIPT, 0},
	{"markable", "<body>x</body><markable xmlns='urn:xmpp:chat-markers:0'/>", "x", 0, 0},
	{"correction", "<body>right</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>", "[corrected] right", 0, 0},
	{"correction without id", "<body>right</body><replace xmlns='urn:xmpp:message-correct:0'/>", "right", 0, 0},
	{"reply with fallback",
	 "<body>&gt; quoted\nyes</body><reply xmlns='urn:xmpp:reply:0' id='1'/><fallback xmlns='urn:xmpp:fallback:0' "
	 "for='urn:xmpp:reply:0'><body start='0' end='9'/></fallback>",
	 "> quoted\r\nyes", 0, 0},
	{"reaction", "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>x</reaction></reactions><store "
	 "xmlns='urn:xmpp:hints'/>", NULL, INTERWORK_IM_EMPTY, 0},
	{"retraction", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", NULL, INTERWORK_IM_EMPTY, 0},
	{"retraction with fallback", "<body>/me retracted</body><retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
	 "/me retracted", 0, 0},
	{"styling", "<body>*bold* _it_</body>", "*bold* _it_", 0, 0},
	{"xhtml-im", "<body>b</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body "
	 "xmlns='http://www.w3.org/1999/xhtml'><b>b</b></body></html>", "b", 0, 0},
	{"oob shown", "<body>https://up.example/a.png</body><x xmlns='jabber:x:oob'><url>https://up.example/a.png</url></x>",
	 "https://up.example/a.png", 0, 0},
	{"oob appended", "<body>look</body><x xmlns='jabber:x:oob'><url> https://up.example/a.png </url></x>",
	 "look\r\nhttps://up.example/a.png", 0, 0},
	{"oob alone", "<x xmlns='jabber:x:oob'><url>https://up.example/a.png</url></x>", "https://up.example/a.png", 0, 0},
	{"oob twice", "<body>l</body><x xmlns='jabber:x:oob'><url>http://a/1</url></x><x "
	 "xmlns='jabber:x:oob'><url>http://a/1</url></x><x xmlns='jabber:x:oob'><url>http://a/2</url></x>",
	 "l\r\nhttp://a/1\r\nhttp://a/2", 0, 0},
	{"oob that is no URL", "<body>l</body><x xmlns='jabber:x:oob'><url>a b</url></x><x "
	 "xmlns='jabber:x:oob'><url>http://a/&#10;b</url></x>", "l", 0, 0},
	{"stateless file sharing",
	 "<body>photo</body><file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'/><sources><url-data "
	 "xmlns='http://jabber.org/protocol/url-data' target='https://up.example/p.jpg'/></sources></file-sharing>",
	 "photo\r\nhttps://up.example/p.jpg", 0, 0},
	{"SIMS",
	 "<body>photo</body><reference xmlns='urn:xmpp:reference:0' type='data'><media-sharing "
	 "xmlns='urn:xmpp:sims:1'><sources><reference "
	 "xmlns='urn:xmpp:reference:0' type='data' uri='https://up.example/s.jpg'/></sources></media-sharing></reference>",
	 "photo\r\nhttps://up.example/s.jpg", 0, 0},
	{"mention", "<body>@romeo hi</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:romeo@example.net'/>",
	 "@romeo hi", 0, 0},
	{"carbon received", "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message "
	 "xmlns='jabber:client'><body>x</body></message></forwarded></received>",
	 NULL, INTERWORK_IM_FORGED, 0},
	{"carbon sent, with a body", "<body>x</body><sent xmlns='urn:xmpp:carbons:2'/>", NULL, INTERWORK_IM_FORGED, 0},
	{"carbon private", "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>", "x", 0, 0},
	{"archive result", "<result xmlns='urn:xmpp:mam:2' id='1'/>", NULL, INTERWORK_IM_FORGED, 0},
	{"EME with fallback", "<body>I sent you an OMEMO encrypted message</body><encryption xmlns='urn:xmpp:eme:0' "
	 "namespace='eu.siacs.conversations.axolotl'/>", NULL, 0,
	 REASON_CONTENT_ENCRYPTED},
	{"OMEMO 0.3", "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>eA==</payload></encrypted>",
	 NULL, 0, REASON_CONTENT_ENCRYPTED},
	{"OMEMO 0.8", "<body>fallback</body><encrypted xmlns='urn:xmpp:omemo:2'><header "
	 "sid='1'/><payload>eA==</payload></encrypted>", NULL, 0, REASON_CONTENT_ENCRYPTED},
	{"OMEMO key transport", "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted><encryption "
	 "xmlns='urn:xmpp:eme:0' namespace='x'/>", NULL,
	 INTERWORK_IM_EMPTY, 0},
	{"OpenPGP", "<openpgp xmlns='urn:xmpp:openpgp:0'>hQE=</openpgp>", NULL, 0, REASON_CONTENT_ENCRYPTED},
	{"legacy PGP", "<body>This message is encrypted.</body><x xmlns='jabber:x:encrypted'>hQE=</x>", NULL, 0,
	 REASON_CONTENT_ENCRYPTED},
	{"OTR", "<body>?OTR:AAMC</body>", NULL, 0, REASON_CONTENT_ENCRYPTED},
};

static void test_payloads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		struct interwork_im_page p;
		struct interwork_im_verdict v = translate(&p, "type='chat' id='m1' xml:lang='en'", payloads[i].inside);
		enum interwork_im_action action = payloads[i].body     ? INTERWORK_IM_PASS
						  : payloads[i].reason ? INTERWORK_IM_REFUSE
								       : INTERWORK_IM_DROP;
		if (v.action != action || v.kind != payloads[i].kind || v.reason != payloads[i].reason)
			fail_msg("%s: action %d kind %d %s", payloads[i].name, v.action, v.kind, reason_info(v.reason)->id);
		if (payloads[i].body && !slice_eq(p.body, slice_str(payloads[i].body)))
			fail_msg("%s: \"%.*s\"", payloads[i].name, SFMT(p.body));
	}
	assert_string_equal(reason_info(REASON_CONTENT_ENCRYPTED)->xmpp_condition, "not-acceptable");
}

static void test_types(void **state)
{
	(void)state;
	struct interwork_im_page p;
	static const char *const passing[] = {"", "type='normal'", "type='chat'", "type='nonsense'"};
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
		assert_int_equal(translate(&p, passing[i], "<body>x</body>").action, INTERWORK_IM_PASS);
		assert_int_equal(p.priority.len, 0);
	}
	assert_int_equal(translate(&p, "type='headline'", "<body>x</body>").action, INTERWORK_IM_PASS);
	assert_slice(p.priority, "non-urgent");
	assert_int_equal(p.expires, 60);
	struct interwork_im_verdict v = translate(&p, "type='groupchat'", "<body>x</body>");
	assert_int_equal(v.action, INTERWORK_IM_REFUSE);
	assert_string_equal(reason_info(v.reason)->xmpp_condition, "service-unavailable");
	v = translate(&p, "type='error'",
		      "<body>x</body><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
	assert_int_equal(v.action, INTERWORK_IM_DROP);
	assert_int_equal(v.kind, INTERWORK_IM_ERROR);
}

static void test_fields(void **state)
{
	(void)state;
	struct interwork_im_page p;
	translate(&p, "id='m1' xml:lang='cs'",
		  "<subject> a&#13;&#10;Via: evil&#9;b </subject><subject xml:lang='en'>second</subject><thread> t1 "
		  "</thread><body>x</body>"
		  "<delay xmlns='urn:xmpp:delay' stamp='2010-11-13T23:29:00.5Z'/><request xmlns='urn:xmpp:receipts'/>");
	assert_slice(p.subject, "a Via: evil b");
	assert_slice(p.language, "cs");
	assert_slice(p.thread, "t1");
	assert_slice(p.date, "Sat, 13 Nov 2010 23:29:00 GMT");
	assert_true(p.receipt_requested);
	translate(&p, "xml:lang='cs'",
		  "<body xml:lang='de'>x</body><request xmlns='urn:xmpp:receipts'/><delay xmlns='urn:xmpp:delay' stamp='soon'/>");
	assert_slice(p.language, "de");
	assert_int_equal(p.date.len, 0);
	assert_false(p.receipt_requested); /* no id to acknowledge */
	translate(&p, "xml:lang='a&lt;&#13;&#10;b'", "<body>x</body>");
	assert_int_equal(p.language.len, 0);
}

static void test_hops(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		int hops; /* -1: refused */
	} t[] = {{"69", 68}, {"1", 0}, {"0", -1}, {"70", 69}, {"100000", 69}, {"x", 70}, {"-1", 70}, {" 5 ", 4}};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct interwork_im_page p;
		arena_reset(arena);
		struct slice shim = arena_printf(
			arena,
			"<body>x</body><headers xmlns='http://jabber.org/protocol/shim'><header name='Other'>1</header>"
			"<header name='Max-Forwards'>%s</header></headers>",
			t[i].value);
		struct interwork_im_verdict v = translate_with(&p, (struct interwork_im_out){0}, "", shim.p);
		if (t[i].hops < 0)
			assert_int_equal(v.reason, REASON_SIP_TOO_MANY_HOPS);
		else
			assert_int_equal(p.max_forwards, t[i].hops);
	}
}

static bool never(void *ctx, struct slice id)
{
	assert_slice(id, "m0");
	++*(int *)ctx;
	return false;
}

static void test_unknown_correction(void **state)
{
	(void)state;
	struct interwork_im_page p;
	int calls = 0;
	translate_with(&p, (struct interwork_im_out){.id_known = never, .ctx = &calls}, "",
		       "<body>right</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>");
	assert_slice(p.body, "right");
	assert_int_equal(calls, 1);
}

/* What a MESSAGE has room for; who carries it judges by that. Nothing is cut here. */
static void test_size(void **state)
{
	(void)state;
	struct slice from = S("sip:juliet@x.example"), to = S("sip:romeo@example.net");
	struct interwork_im_page p;
	static char body[20100] = "<body>";
	memset(body + 6, 'x', 20000);
	memcpy(body + 6 + 20000, "</body>", 8);
	arena_reset(arena);
	assert_int_equal(translate_with(&p, (struct interwork_im_out){0}, "", body).action, INTERWORK_IM_PASS);
	assert_int_equal(p.body.len, 20000);
	size_t udp = interwork_im_message_room(&p, from, to, false, &interwork_im_rules_default);
	size_t tcp = interwork_im_message_room(&p, from, to, true, &interwork_im_rules_default);
	assert_in_range(udp, 700, 1000);
	assert_int_equal(tcp - udp, 20000 - 1300);
	p.subject = S("0123456789");
	assert_int_equal(interwork_im_message_room(&p, from, to, true, &interwork_im_rules_default), tcp - 10);
	struct interwork_im_rules small = interwork_im_rules_default;
	small.max_message = 100;
	assert_int_equal(interwork_im_message_room(&p, from, to, true, &small), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),  cmocka_unit_test(test_payloads), cmocka_unit_test(test_types),
		cmocka_unit_test(test_fields), cmocka_unit_test(test_hops),	cmocka_unit_test(test_unknown_correction),
		cmocka_unit_test(test_size),   cmocka_unit_test(test_body_of_a_client),
	};
	return cmocka_run_group_tests_name("interwork-im-out", tests, setup, teardown);
}
