/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/reason.h"
#include "xmpp/error.h"
#include "xmpp/stanza.h"

static struct arena *a;

static int setup(void **state)
{
	(void)state;
	a = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(NULL, a);
	return 0;
}

#define NS " xmlns='jabber:server'"
#define ST " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
#define SE " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"

static void reply(const char *stanza, struct slice type, struct slice cond, struct slice text, struct slice by, const char *want)
{
	struct xml_node *r = xmpp_error_reply(a, unit_parse(a, stanza), type, cond, text, by);
	if (!want)
		assert_null(r);
	else
		assert_string_equal(unit_text(a, r, XMPP_NS_SERVER), want);
}

static void test_reply(void **state)
{
	(void)state;
	const struct slice no = S("");
	reply("<message" NS " from='a@b/c' to='d@e' id='1' type='chat' xml:lang='de'><body>x</body></message>", S("wait"),
		S("recipient-unavailable"),
	      S("gone & lost"), S("e"),
	      "<message from='d@e' to='a@b/c' id='1' type='error'><error by='e' type='wait'><recipient-unavailable" ST "/>"
	      "<text" ST " xml:lang='en'>gone &amp; lost</text></error></message>");
	reply("<iq" NS " from='a' to='b' id='2' type='get'/>", no, S("service-unavailable"), no, no,
	      "<iq from='b' to='a' id='2' type='error'><error type='cancel'><service-unavailable" ST "/></error></iq>");
	reply("<presence" NS " from='a' type='subscribe'/>", no, S("jid-malformed"), no, no,
	      "<presence to='a' type='error'><error type='modify'><jid-malformed" ST "/></error></presence>");
	reply("<iq" NS " id='3'/>", no, S("bad-request"), no, no,
		"<iq id='3' type='error'><error type='modify'><bad-request" ST "/></error></iq>");
	/* never answered */
	reply("<iq" NS " type='error' id='4'/>", no, S("bad-request"), no, no, NULL);
	reply("<iq" NS " type='result' id='4'/>", no, S("bad-request"), no, no, NULL);
	reply("<message" NS " type='error'/>", no, S("bad-request"), no, no, NULL);
	reply("<presence" NS " type='error'/>", no, S("bad-request"), no, no, NULL);
	reply("<other" NS "/>", no, S("bad-request"), no, no, NULL);
	reply("<iq xmlns='jabber:client' type='get'/>", no, S("bad-request"), no, no, NULL);
	assert_null(xmpp_error_reply(a, NULL, no, S("bad-request"), no, no));
}

static void read(const char *error, const char *cond, const char *type, const char *text, const char *address, const char *by)
{
	struct xmpp_error e;
	char stanza[1024];
	assert_true(snprintf(stanza, sizeof stanza, "<message" NS " type='error'>%s</message>", error) < (int)sizeof stanza);
	xmpp_error_read(a, unit_parse(a, stanza), &e);
	assert_slice(e.condition, cond);
	assert_slice(e.type, type);
	assert_slice(e.text, text);
	assert_slice(e.address, address);
	assert_slice(e.by, by);
}

static void test_read(void **state)
{
	(void)state;
	read("<body/><error type='wait' by='x.y'><text" ST ">hm</text><app xmlns='u'/><remote-server-timeout" ST "/></error>",
	     "remote-server-timeout", "wait", "hm", "", "x.y");
	read("<error type='cancel'><gone" ST "> xmpp:a@b </gone></error>", "gone", "cancel", "", "xmpp:a@b", "");
	read("<error type='modify'><redirect" ST ">a@b</redirect></error>", "redirect", "modify", "", "a@b", "");
	read("<error type='cancel'><conflict" ST ">not an address</conflict></error>", "conflict", "cancel", "", "", "");
	read("<error type='strange'><new-thing" ST "/></error>", "undefined-condition", "strange", "", "", "");
	read("<error><forbidden" ST "/></error>", "forbidden", "auth", "", "", "");
	read("<error type='auth'><forbidden xmlns='other'/></error>", "undefined-condition", "auth", "", "", "");
	read("<error type='auth'/>", "undefined-condition", "auth", "", "", "");
	read("", "undefined-condition", "cancel", "", "", "");
	read("<error xmlns='other' type='auth'><forbidden" ST "/></error>", "undefined-condition", "cancel", "", "", "");
	/* numbers of old */
	read("<error code='404'>Not Found</error>", "item-not-found", "cancel", "Not Found", "", "");
	read("<error code='504'/>", "remote-server-timeout", "wait", "", "", "");
	read("<error code='999'/>", "undefined-condition", "cancel", "", "", "");
	read("<error code='404' type='wait'><conflict" ST "/></error>", "conflict", "wait", "", "", "");
	struct xmpp_error e;
	xmpp_error_read(a, NULL, &e);
	assert_slice(e.condition, "undefined-condition");
}

static void test_tables(void **state)
{
	(void)state;
	assert_string_equal(xmpp_error_type(S("jid-malformed")), "modify");
	assert_string_equal(xmpp_error_type(S("unexpected-request")), "wait");
	assert_string_equal(xmpp_error_type(S("nonsense")), "cancel");
	assert_true(xmpp_condition_known(S("redirect")));
	assert_false(xmpp_condition_known(S("host-unknown")));
	assert_true(xmpp_stream_condition_known(S("host-unknown")));
	assert_false(xmpp_stream_condition_known(S("invalid-id")));
	assert_false(xmpp_stream_condition_known(S("redirect")));
	/* every row of the table of reasons names a condition that exists */
	for (int r = 0; r < REASON_COUNT; r++) {
		const struct reason_info *i = reason_info((enum reason)r);
		if (i->xmpp_condition && *i->xmpp_condition)
			assert_true(xmpp_condition_known(slice_str(i->xmpp_condition)));
	}
}

static void test_stream_errors(void **state)
{
	(void)state;
	struct xml_node *e = xmpp_stream_error(a, S("policy-violation"), S("too big"), S(""));
	struct buf b;
	buf_init(&b, 1000);
	stanza_write(&b, e, false);
	assert_slice(buf_slice(&b), "<stream:error><policy-violation" SE "/><text" SE " xml:lang='en'>too big</text>"
		"</stream:error>");
	buf_free(&b);
	assert_string_equal(unit_text(a, xmpp_stream_error(a, S("see-other-host"), S(""), S("h:1")), XMPP_NS_STREAM),
			    "<error><see-other-host" SE ">h:1</see-other-host></error>");
	struct xmpp_error r;
	xmpp_stream_error_read(a, e, &r);
	assert_slice(r.condition, "policy-violation");
	assert_slice(r.text, "too big");
	static const struct {
		const char *in, *cond, *address;
	} t[] = {
		{"<see-other-host" SE "> [::1]:5269\n</see-other-host>", "see-other-host", "[::1]:5269"},
		{"<xml-not-well-formed" SE "/>", "not-well-formed", ""},
		{"<invalid-id" SE "/>", "invalid-from", ""},
		{"<reset" SE ">x</reset>", "reset", ""},
		{"<future-thing" SE "/>", "undefined-condition", ""},
		{"<stanza-too-big xmlns='urn:xmpp:errors'/><policy-violation" SE "/>", "policy-violation", ""},
		{"", "undefined-condition", ""},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char text[512];
		snprintf(text, sizeof text, "<error xmlns='http://etherx.jabber.org/streams'>%s</error>", t[i].in);
		xmpp_stream_error_read(a, unit_parse(a, text), &r);
		assert_slice(r.condition, t[i].cond);
		assert_slice(r.address, t[i].address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
		{"S26 legacy names of stream errors", test_stream_errors, setup, teardown, NULL},
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
