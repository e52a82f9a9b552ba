/* SPDX-License-Identifier: Apache-2.0 */
/* What an XMPP user who watches a SIP user gets to see of its documents (interworking spec 3.4-3.6). */
#include "watcher_rig.h"

static void differences(void **state)
{
	(void)state;
	activate();
	notify(OPEN("orchard", ""));
	expect(""); /* twice the same gives one stanza */
	notify(OPEN("orchard", "") SHUT("desk"));
	expect(""); /* news of nobody */
	notify(OPEN("orchard", "") OPEN("desk", SHOW("away")));
	expect("away/desk");
	notify(OPEN("desk", SHOW("away")));
	expect("unavailable/orchard"); /* a tuple that vanished */
	notify(SHUT("desk"));
	expect("unavailable/desk");
	notify("<tuple id='desk'><status><basic>closed</basic></status><note>bye</note></tuple>");
	expect(""); /* still gone */
	notify("");
	expect("");
	notify(OPEN("b", "") OPEN("a", "") OPEN("c", ""));
	expect("available/b; available/a; available/c"); /* in the order of the document */
	notify("<tuple id='b'><status><basic>open</basic></status><contact priority='0.5'>sip:x@y</contact></tuple>" OPEN("a", "")
		       OPEN("c", ""));
	expect("available/b");
	notify("");
	expect("unavailable/b; unavailable/a; unavailable/c");
}

static void storm(void **state)
{
	(void)state;
	activate();
	for (int i = 0; i < 1000; i++)
		notify(OPEN("orchard", SHOW("dnd")) "<note>x</note>");
	expect("dnd/orchard 'x'");
}

static void note_rules(void **state)
{
	struct xmpp_watcher_config hidden = config;
	(void)state;
	hidden.hide_notes = true;
	activate();
	notify(OPEN("orchard", "") "<note xml:lang='en'>out</note><note xml:lang='de'>weg</note>");
	expect("available/orchard 'out' 'weg'");
	make(&hidden, false);
	activate();
	notify(OPEN("orchard", "") "<note>secret</note>");
	expect("");
	notify(OPEN("orchard", SHOW("away")) "<note>other secret</note>");
	expect("away/orchard");
	/* the partner's type was changed */
	xmpp_watcher_set_hide_notes(t.w, true);
	expect("");
	xmpp_watcher_set_hide_notes(t.w, false);
	expect("REFRESH");
	notify(OPEN("orchard", SHOW("away")) "<note>no secret</note>");
	expect("away/orchard 'no secret'");
	xmpp_watcher_set_hide_notes(t.w, true);
	expect("away/orchard"); /* taken back */
	notify(OPEN("orchard", SHOW("away")) "<note>no secret</note>");
	expect("");
}

static void stamps(void **state)
{
#define STAMPED(at)                                                                                                              \
	"<tuple id='orchard'><status><basic>open</basic></status><note>" at "</note><timestamp>2020-09-13T12:" at                \
	"Z</timestamp></tuple>"
	(void)state;
	activate(); /* UNIX is 2020-09-13T12:26:40Z */
	notify(STAMPED("26:40"));
	expect("available/orchard '26:40'");
	notify(STAMPED("25:41")); /* 59 s ago */
	expect("available/orchard '25:41'");
	notify(STAMPED("25:40")); /* 60 s: not older than that */
	expect("available/orchard '25:40' @1599999940");
	notify(STAMPED("59:59")); /* a clock that is ahead */
	expect("available/orchard '59:59'");
}

static void lync_unknown(void **state)
{
#define LYNC(n) "<availability>" n "</availability>"
	(void)state;
	activate();
	notify(OPEN("orchard", LYNC("6500")));
	expect("dnd/orchard");
	notify(OPEN("orchard", LYNC("0")));
	expect(""); /* unknown: the last one stays */
	notify(SHUT("orchard"));
	notify(OPEN("orchard", LYNC("0")));
	expect("unavailable/orchard; available/orchard");
}

static void wrong_bodies(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	buf_clear(&t.log);
	/* no approval can be read from what is refused */
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "text/plain", "open"), 415);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, NULL, "open"), 415);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", "<presence"), 400);
	expect("ignored; ignored; ignored");
	expect_state("neutral");
	assert_int_equal(
		notify_full(SUBSTATE_ACTIVE, NULL, 0, "Application/PIDF+XML", "<presence>" OPEN("orchard", "") "</presence>"),
		200);
	expect("+auth; subscribed; available/orchard");
	/* state and dialog stay */
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", "<oops/>"), 400);
	assert_int_equal(notify_full(SUBSTATE_PENDING, NULL, 0, "application/pidf+xml", "<oops/>"), 400);
	expect("ignored; ignored");
	expect_state("active");
	/* an end is an end */
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, "rejected", 0, "application/pidf+xml", "<oops/>"), 400);
	expect("ignored; unavailable/orchard; -auth; unsubscribed");
	/* too large */
	make(&config, false);
	activate();
	char *big = malloc(70000);
	memset(big, ' ', 70000);
	memcpy(big, "<presence/>", 11);
	memcpy(big + 69990, "<!-- -->", 9);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", big), 400);
	expect("ignored");
	free(big);
}

static void entities(void **state)
{
	static const char *const ours[] = {
		"sip:romeo@example.net", "pres:romeo@example.net",  "romeo@example.net",
		"SIP:Romeo@EXAMPLE.net", "sips:romeo@example.net",  "sip:romeo@example.net:5060;transport=tcp",
		"im:romeo@example.net",	 "sip:%72omeo@example.net", ""};
	static const char *const others[] = {"sip:juliet@example.net",
					     "sip:romeo@evil.example",
					     "sip:romeo.example.net",
					     "romeo",
					     "sip:",
					     "mailto:romeo@example.net",
					     "sip:romeo@example.net@evil.example",
					     "http://x/"};
	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		make(&config, false);
		activate();
		assert_int_equal(notify_as(SUBSTATE_ACTIVE, ours[i], OPEN("orchard", SHOW("away"))), 200);
		expect("away/orchard");
	}
	make(&config, false);
	activate();
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_int_equal(notify_as(SUBSTATE_ACTIVE, others[i], OPEN("orchard", SHOW("away"))), 200);
		expect("ignored"); /* a spoof: neither shown nor taken for "knows nothing" */
	}
	/* an approval it is all the same */
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	assert_int_equal(notify_as(SUBSTATE_ACTIVE, others[0], OPEN("orchard", "")), 200);
	expect("SUBSCRIBE 3600; ignored; +auth; subscribed");
	/* an escaped presentity is one person, however it is written */
	t.w = xmpp_watcher_free(t.w);
	t.w = xmpp_watcher_new(&ops, &t, &t.timers, &config, S("sip:o'malley@example.net"), true);
	xmpp_watcher_probe(t.w);
	notify_as(SUBSTATE_ACTIVE, "sip:o%27malley@example.net", OPEN("a", ""));
	expect("SUBSCRIBE 3600; available/a");
}

static void timed(void **state)
{
#define TIMED "<x:timed-status xmlns:x='urn:ietf:params:xml:ns:pidf:timed-status' from='2020-09-13T12:30:00Z'>" \
	      "<x:basic>closed</x:basic></x:timed-status>"
	(void)state;
	activate();
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	expect("");
	pass(199999); /* UNIX is 12:26:40 */
	expect("");
	pass(1);
	expect("REFRESH"); /* its NOTIFY is read by the clock of then */
	pass(86400000);
	expect("");
	/* a document that comes meanwhile and says nothing of the kind takes it back */
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	notify(OPEN("orchard", ""));
	pass(86400000);
	expect("");
	/* nor does a watcher who is nowhere end what is never to end */
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	xmpp_watcher_absent(t.w, true);
	pass(200000);
	expect("REFRESH");
	expect_state("active");
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	xmpp_watcher_absent(t.w, false);
	pass(200000);
	expect("REFRESH");
}

static void idleness(void **state)
{
#define INPUT(t) "<r:user-input xmlns:r='urn:ietf:params:xml:ns:pidf:rpid' last-input='" t "'>idle</r:user-input>"
	(void)state;
	activate();
	notify("<tuple id='orchard'><status><basic>open</basic></status>" INPUT("2020-09-13T12:20:00Z") "</tuple>");
	expect("available/orchard idle-400");
	notify("<tuple id='orchard'><status><basic>open</basic></status>" INPUT("2020-09-13T12:20:00Z") "</tuple>");
	expect("");
	notify(OPEN("orchard", "")); /* back at the keyboard */
	expect("available/orchard");
}

/* Busy may be shown as away; who asks not to be disturbed is dnd all the same. */
static void busy(void **state)
{
#define ACT(x) "<tuple id='orchard'><status><basic>open</basic><e:activities xmlns:e='urn:e'>" x "</e:activities></status></tuple>"
#define AVAILABILITY(n) "<tuple id='orchard'><status><basic>open</basic><availability>" n "</availability></status></tuple>"
	static const struct {
		const char *tuple, *as_dnd, *as_away;
	} rows[] = {
		{ACT("<e:busy/>"), "dnd/orchard", "away/orchard"},
		{ACT("<e:do-not-disturb/>"), "dnd/orchard 'Do not disturb'", "dnd/orchard 'Do not disturb'"},
		{ACT("<e:on-the-phone/>"), "dnd/orchard 'On the phone'", "away/orchard 'On the phone'"},
		{ACT("<e:busy/><e:dnd/>"), "dnd/orchard 'Do not disturb'", "dnd/orchard 'Do not disturb'"},
		{AVAILABILITY("6500"), "dnd/orchard", "away/orchard"},
		{AVAILABILITY("9500"), "dnd/orchard", "dnd/orchard"},
		{AVAILABILITY("7500"), "dnd/orchard", "away/orchard"},
		{OPEN("orchard", "") "<x/>", "available/orchard", "available/orchard"},
		{"<tuple id='orchard'><status><basic>open</basic>" SHOW("dnd") "</status></tuple>", "dnd/orchard", "dnd/orchard"},
		{ACT("<e:meal/>"), "away/orchard 'Having a meal'", "away/orchard 'Having a meal'"},
	};
	(void)state;
	for (int away = 0; away < 2; away++)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			struct xmpp_watcher_config c = config;
			c.busy_away = away;
			make(&c, true);
			xmpp_watcher_resume(t.w, 0);
			pass(0);
			buf_clear(&t.log);
			notify(rows[i].tuple);
			expect(away ? rows[i].as_away : rows[i].as_dnd);
		}
}

static void huge_note(void **state)
{
	char doc[6000];
	(void)state;
	activate();
	snprintf(doc, sizeof doc, "<tuple id='orchard'><status><basic>open</basic></status><note>%05000d</note></tuple>" OPEN("desk", ""), 3);
	notify(doc);
	assert_true(slice_starts(buf_slice(&t.log), S("ignored; available/orchard '0000")));
	assert_true(slice_ends(buf_slice(&t.log), S("; available/desk")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(differences),
		TEST(storm),
		TEST(note_rules),
		TEST(stamps),
		TEST(lync_unknown),
		TEST(wrong_bodies),
		TEST(entities),
		TEST(timed),
		TEST(idleness),
		TEST(busy),
		TEST(huge_note),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
