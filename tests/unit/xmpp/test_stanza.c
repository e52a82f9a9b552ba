/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

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

static void kind(const char *text, enum stanza_kind k, enum stanza_type t)
{
	struct xml_node *n = unit_parse(a, text);
	assert_int_equal(stanza_kind(n), k);
	assert_int_equal(stanza_type(n), t);
}

static void test_kinds(void **state)
{
	(void)state;
	kind("<message" NS "/>", STANZA_MESSAGE, STANZA_TYPE_NORMAL);
	kind("<message" NS " type='normal'/>", STANZA_MESSAGE, STANZA_TYPE_NORMAL);
	kind("<message" NS " type='chat'/>", STANZA_MESSAGE, STANZA_TYPE_CHAT);
	kind("<message" NS " type='groupchat'/>", STANZA_MESSAGE, STANZA_TYPE_GROUPCHAT);
	kind("<message" NS " type='headline'/>", STANZA_MESSAGE, STANZA_TYPE_HEADLINE);
	kind("<message" NS " type='error'/>", STANZA_MESSAGE, STANZA_TYPE_ERROR);
	kind("<message" NS " type='subscribe'/>", STANZA_MESSAGE, STANZA_TYPE_NORMAL); /* unknown here: normal */
	kind("<presence" NS "/>", STANZA_PRESENCE, STANZA_TYPE_AVAILABLE);
	kind("<presence" NS " type='unavailable'/>", STANZA_PRESENCE, STANZA_TYPE_UNAVAILABLE);
	kind("<presence" NS " type='subscribe'/>", STANZA_PRESENCE, STANZA_TYPE_SUBSCRIBE);
	kind("<presence" NS " type='subscribed'/>", STANZA_PRESENCE, STANZA_TYPE_SUBSCRIBED);
	kind("<presence" NS " type='unsubscribe'/>", STANZA_PRESENCE, STANZA_TYPE_UNSUBSCRIBE);
	kind("<presence" NS " type='unsubscribed'/>", STANZA_PRESENCE, STANZA_TYPE_UNSUBSCRIBED);
	kind("<presence" NS " type='probe'/>", STANZA_PRESENCE, STANZA_TYPE_PROBE);
	kind("<presence" NS " type='available'/>", STANZA_PRESENCE, STANZA_TYPE_UNKNOWN);
	kind("<presence" NS " type=''/>", STANZA_PRESENCE, STANZA_TYPE_UNKNOWN);
	kind("<presence" NS " type='chat'/>", STANZA_PRESENCE, STANZA_TYPE_UNKNOWN);
	kind("<iq" NS "/>", STANZA_IQ, STANZA_TYPE_UNKNOWN);
	kind("<iq" NS " type='get'/>", STANZA_IQ, STANZA_TYPE_GET);
	kind("<iq" NS " type='set'/>", STANZA_IQ, STANZA_TYPE_SET);
	kind("<iq" NS " type='result'/>", STANZA_IQ, STANZA_TYPE_RESULT);
	kind("<iq" NS " type='GET'/>", STANZA_IQ, STANZA_TYPE_UNKNOWN);
	kind("<iq xmlns='jabber:client' type='get'/>", STANZA_NONE, STANZA_TYPE_UNKNOWN);
	kind("<messages" NS "/>", STANZA_NONE, STANZA_TYPE_UNKNOWN);
	kind("<Message" NS "/>", STANZA_NONE, STANZA_TYPE_UNKNOWN);
	kind("<message/>", STANZA_NONE, STANZA_TYPE_UNKNOWN);
	assert_int_equal(stanza_kind(NULL), STANZA_NONE);
	assert_true(stanza_final(NULL));
	assert_false(stanza_final(unit_parse(a, "<iq" NS "/>")));

	/* what is written reads back */
	for (int t = STANZA_TYPE_ERROR; t <= STANZA_TYPE_RESULT; t++) {
		enum stanza_kind k = t <= STANZA_TYPE_HEADLINE ? STANZA_MESSAGE :
				     t <= STANZA_TYPE_PROBE ? STANZA_PRESENCE : STANZA_IQ;
		struct xml_node *n = stanza_new(a, k, (enum stanza_type)t, S("a"), S("b"), S("i"));
		assert_int_equal(stanza_kind(n), k);
		assert_int_equal(stanza_type(n), t);
	}
	assert_string_equal(unit_text(a, stanza_new(a, STANZA_MESSAGE, STANZA_TYPE_CHAT, S("a"), S("b"), S("")), XMPP_NS_SERVER),
			    "<message from='a' to='b' type='chat'/>");
	assert_string_equal(unit_text(a, stanza_new(a, STANZA_PRESENCE, STANZA_TYPE_AVAILABLE, S(""), S(""), S("i")),
		XMPP_NS_SERVER),
			    "<presence id='i'/>");
}

static void test_read(void **state)
{
	(void)state;
	struct stanza s;
	stanza_read(&s, a, unit_parse(a, "<message" NS " xmlns:p='p' p:to='no' id='7' from='Romeo@A.example/x'"
		" to='B.example' type='chat'/>"));
	assert_int_equal(s.kind, STANZA_MESSAGE);
	assert_int_equal(s.type, STANZA_TYPE_CHAT);
	assert_slice(s.id, "7");
	assert_int_equal(s.from_rc, 0);
	assert_int_equal(s.to_rc, 0);
	assert_slice(s.from.full, "romeo@a.example/x");
	assert_slice(s.to.full, "b.example");
	assert_slice(s.from_text, "Romeo@A.example/x");
	stanza_read(&s, a, unit_parse(a, "<iq" NS " to='@x' type='set'/>"));
	assert_int_equal(s.from_rc, ENTENTE_ENOTFOUND);
	assert_int_equal(s.to_rc, ENTENTE_ESYNTAX);
	assert_null(s.from.full.p);
	assert_null(s.to.full.p);
	assert_null(s.id.p);
	assert_int_equal(s.type, STANZA_TYPE_SET);
	stanza_read(&s, a, unit_parse(a, "<iq" NS " to='' type='set'/>"));
	assert_int_equal(s.to_rc, ENTENTE_ESYNTAX);
	stanza_read(&s, a, unit_parse(a, "<x" NS " to='a'/>"));
	assert_int_equal(s.kind, STANZA_NONE);
	assert_null(s.to_text.p);
}

static void test_answers(void **state)
{
	(void)state;
	struct xml_node *iq = unit_parse(a, "<iq" NS " from='a@b/c' to='d' id='5' type='get'> <query xmlns='q'/> </iq>");
	struct xml_node *r = stanza_result(a, iq);
	assert_string_equal(unit_text(a, r, XMPP_NS_SERVER), "<iq from='d' to='a@b/c' id='5' type='result'/>");
	r = stanza_result(a, unit_parse(a, "<iq" NS " from='a@b' to='d' id='' type='get'/>"));
	assert_string_equal(unit_text(a, r, XMPP_NS_SERVER), "<iq from='d' to='a@b' id='' type='result'/>");
	assert_slice(stanza_payload(iq)->name, "query");
	assert_null(stanza_payload(unit_parse(a, "<iq" NS "> <a/><b/></iq>")));
	assert_null(stanza_payload(unit_parse(a, "<iq" NS "> text </iq>")));
	assert_null(stanza_result(a, r));
	assert_null(stanza_result(a, unit_parse(a, "<iq" NS " type='error'/>")));
	assert_null(stanza_result(a, unit_parse(a, "<message" NS " type='get'/>")));

	struct xml_node *m = unit_parse(a, "<message" NS " xml:lang='en'><body xmlns='other'>no</body><body>one<x/> two</body>"
					   "<body xml:lang='DE-at'>drei</body><subject/></message>");
	assert_slice(stanza_child_text(m, a, S("body"), S("")), "one two");
	assert_slice(stanza_child_text(m, a, S("body"), S("de-AT")), "drei");
	assert_slice(stanza_child_text(m, a, S("body"), S("en")), "one two");
	assert_slice(stanza_child_text(m, a, S("body"), S("fr")), "one two");
	assert_slice(stanza_child_text(m, a, S("subject"), S("")), "");
	assert_non_null(stanza_child_text(m, a, S("subject"), S("")).p);
	assert_null(stanza_child_text(m, a, S("thread"), S("")).p);
	assert_null(stanza_child_text(NULL, a, S("thread"), S("")).p);

	struct buf b;
	buf_init(&b, 1000);
	struct xml_node *db = xml_new(a, S("result"), XMPP_NS_DIALBACK);
	stanza_write(&b, db, true);
	stanza_write(&b, db, false);
	stanza_write(&b, m->last, true);
	assert_slice(buf_slice(&b), "<db:result/><result xmlns='jabber:server:dialback'/><subject/>");
	buf_free(&b);
}

static void time_is(const char *text, int64_t want)
{
	int64_t ms = -7;
	bool ok = stanza_time_parse(slice_str(text), &ms);
	if (ok != (want >= 0) || ms != (want >= 0 ? want : -7))
		fail_msg("%s gives %d %lld", text, ok, (long long)ms);
}

static void test_time(void **state)
{
	(void)state;
	time_is("1970-01-01T00:00:00Z", 0);
	time_is("2002-09-10T23:08:25Z", 1031699305000);
	time_is("2026-11-21T14:05:06.123Z", 1795269906123);
	time_is("2026-11-21T14:05:06.1Z", 1795269906100);
	time_is("2026-11-21T14:05:06.123456789Z", 1795269906123);
	time_is("2026-11-21T16:35:06+02:30", 1795269906000);
	time_is("2026-11-21T06:05:06-08:00", 1795269906000);
	time_is("2000-02-29T00:00:00Z", 951782400000);
	time_is("2100-03-01T00:00:00Z", 4107542400000);
	time_is("9999-12-31T23:59:59Z", 253402300799000);
	time_is("2016-12-31T23:59:60Z", 1483228800000); /* leap second */
	static const char *const bad[] = {
		"", "2026", "2026-11-21", "2026-11-21T14:05:06", "2026-11-21 14:05:06Z", "2026-11-21T14:05:06z",
		"2026-11-21T14:05:06.Z", "2026-11-21T14:05Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
		"2026-01-01T00:00:00ZZ",
		"2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+0100", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00",
		"20261-01-01T00:00:00Z",
		"+026-01-01T00:00:00Z", "20260910T23:08:25",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		time_is(bad[i], -1);

	assert_slice(stanza_time_format(a, 0), "1970-01-01T00:00:00Z");
	assert_slice(stanza_time_format(a, 1795269906123), "2026-11-21T14:05:06.123Z");
	assert_slice(stanza_time_format(a, 1795269906000), "2026-11-21T14:05:06Z");
	assert_slice(stanza_time_format(a, 1795269906001), "2026-11-21T14:05:06.001Z");
	assert_null(stanza_time_format(a, -1).p);
	assert_null(stanza_time_format(a, INT64_MAX).p);
	for (int64_t day = 0; day < 2932896; day += 997) {
		int64_t ms = day * 86400000 + day % 86400000, back;
		assert_true(stanza_time_parse(stanza_time_format(a, ms), &back));
		assert_int_equal(back, ms);
	}
}

static void test_delay(void **state)
{
	(void)state;
	int64_t ms = -7;
	assert_false(stanza_delay_read(unit_parse(a, "<message" NS "/>"), &ms));
	assert_false(stanza_delay_read(unit_parse(a, "<message" NS "><delay xmlns='urn:xmpp:delay' stamp='soon'/><delay"
		" stamp='2026-11-21T14:05:06Z'/></message>"), &ms));
	assert_int_equal(ms, -7);
	struct xml_node *n = unit_parse(a, "<message" NS "><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T14:05:06Z'/>"
					   "<delay xmlns='urn:xmpp:delay'/>"
					   "<delay xmlns='urn:xmpp:delay' from='x' stamp='2002-09-10T23:08:25Z'>Offline"
					   "</delay></message>");
	assert_true(stanza_delay_read(n, &ms));
	assert_int_equal(ms, 1031699305000);
	struct xml_node *m = stanza_new(a, STANZA_MESSAGE, STANZA_TYPE_NORMAL, S(""), S(""), S(""));
	stanza_delay_add(a, m, 1031699305000, S("a.example"));
	assert_string_equal(unit_text(a, m, XMPP_NS_SERVER),
		"<message><delay xmlns='urn:xmpp:delay' from='a.example' stamp='2002-09-10T23:08:25Z'/></message>");
	stanza_delay_add(a, m, -5, S(""));
	assert_ptr_equal(m->first, m->last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
