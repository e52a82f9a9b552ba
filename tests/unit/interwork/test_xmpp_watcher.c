/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of an XMPP user who watches a SIP user: every row of interworking spec 3.1 (RFC 8048 5.2, RFC 6665 4.1), under a
 * virtual clock. */
#include "watcher_rig.h"

static void subscribe(void **state)
{
	(void)state;
	expect_state("none");
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	expect_state("trying");
	xmpp_watcher_accepted(t.w);
	expect(""); /* 2xx is not approval (RFC 8048 5.2.1) */
	expect_state("neutral");
	notify_empty(SUBSTATE_PENDING);
	expect(""); /* MUST */
	expect_state("neutral");
	notify(OPEN("orchard", SHOW("away")));
	expect("+auth; subscribed; away/orchard");
	expect_state("active");
	assert_true(xmpp_watcher_authorised(t.w));
	notify(OPEN("orchard", SHOW("dnd")));
	expect("dnd/orchard"); /* subscribed only once */
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 1);
}

/* A NOTIFY may overtake the answer to SUBSCRIBE. */
static void notify_first(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 3600; +auth; subscribed; available/orchard");
	xmpp_watcher_accepted(t.w);
	expect("");
	expect_state("active");
}

static void active_without_body(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	buf_clear(&t.log);
	notify_empty(SUBSTATE_ACTIVE);
	expect("+auth; subscribed; unavailable"); /* unknown or closed */
	notify_empty(SUBSTATE_ACTIVE);
	expect("");
	notify(OPEN("a", "") OPEN("b", ""));
	expect("available/a; available/b");
	notify_empty(SUBSTATE_ACTIVE);
	expect("unavailable/a; unavailable/b");
}

static void subscribed_twice(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_subscribe(t.w); /* from another resource */
	expect("");
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_subscribe(t.w);
	expect("");
	notify(OPEN("orchard", "") OPEN("desk", SHOW("xa")));
	buf_clear(&t.log);
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; available/orchard; xa/desk"); /* no second dialog */
	expect_state("active");
}

/* ---- refusals */

static void refused(void **state)
{
	static const int statuses[] = {403, 489, 603, 404, 604, 401, 407, 501};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("SUBSCRIBE 3600; unsubscribed");
		expect_state("none");
		pass(86400000);
		expect("");
		/* and when there was an authorisation */
		make(&config, true);
		activate();
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("unavailable/orchard; -auth; unsubscribed");
		assert_false(xmpp_watcher_authorised(t.w));
	}
	/* after a restart nobody knows what the watcher was shown */
	make(&config, true);
	xmpp_watcher_resume(t.w, 1000);
	pass(1000);
	xmpp_watcher_rejected(t.w, 403, 0);
	expect("SUBSCRIBE 3600; unavailable; -auth; unsubscribed");
}

static void transient(void **state)
{
	static const int statuses[] = {408, 480, 500, 502, 503, 504, 600, 423, 302, 0};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		make(&config, true);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("subscribed; SUBSCRIBE 3600");
		expect_state("wait");
		assert_true(xmpp_watcher_authorised(t.w));
		expect_retry(24, 36); /* 30 s, +-20 % */
	}
}

static void back_off(void **state)
{
	uint32_t s = 30;
	uint64_t differs = 0, first = 0;
	(void)state;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	for (int i = 0; i < 10; i++) {
		xmpp_watcher_rejected(t.w, 503, 0);
		expect_retry(s * 8 / 10, s * 12 / 10);
		s = s * 2 < 3600 ? s * 2 : 3600;
	}
	/* a success begins anew */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	xmpp_watcher_lost(t.w);
	expect("+auth; subscribed; available/orchard; unavailable/orchard");
	expect_retry(24, 36);
	/* jitter: not all at once */
	for (int i = 0; i < 20; i++) {
		make(&config, true);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, 503, 0);
		uint64_t wait = timers_next(&t.timers) - t.timers.now;
		first = first ? first : wait;
		differs |= wait ^ first;
	}
	assert_true(differs != 0);
}

static void retry_after(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, 503, 1000);
		expect("SUBSCRIBE 3600");
		expect_retry(1000, 1200); /* never earlier */
	}
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 480, 7200); /* longer than our own longest wait */
	expect("SUBSCRIBE 3600");
	expect_retry(7200, 8641);
	xmpp_watcher_rejected(t.w, 480, UINT32_MAX);
	expect_retry(86400, 103681);
}

static void dialog_unknown(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 481, 0);
	expect("SUBSCRIBE 3600; SUBSCRIBE 3600");
	expect_state("trying");
	xmpp_watcher_rejected(t.w, 481, 0); /* not in a circle */
	expect("");
	expect_retry(24, 36);
	pass(31000);
	xmpp_watcher_rejected(t.w, 481, 0);
	expect("SUBSCRIBE 3600");
}

/* The home cannot be reached: known at once, from within the op. */
static void no_home(void **state)
{
	(void)state;
	t.no_home = true;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	expect_state("wait");
	pass(36001);
	expect("SUBSCRIBE 3600");
	expect_state("wait");
	t.no_home = false;
	pass(72001);
	expect("SUBSCRIBE 3600");
	expect_state("trying");
	/* asked again, we do not wait */
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_accepted(t.w);
	pass(86400000);
	expect(""); /* the retry was forgotten */
}

/* ---- ends */

static void deactivated(void **state)
{
	(void)state;
	activate();
	terminated("deactivated", 0);
	expect("SUBSCRIBE 3600"); /* the watcher is unaware */
	expect_state("trying");
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("");
	notify(OPEN("orchard", SHOW("away")));
	expect("away/orchard");
	terminated("deactivated", 600); /* retry-after has no meaning with it; but not in a circle */
	expect("unavailable/orchard");
	expect_retry(24, 36);
	activate();
	pass(30000);
	terminated("Deactivated", 600);
	expect("SUBSCRIBE 3600");
}

static void timeout_or_none(void **state)
{
	static const char *const reasons[] = {"timeout", NULL, "whatever"};
	(void)state;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		make(&config, false);
		activate();
		terminated(reasons[i], 0);
		expect("SUBSCRIBE 3600");
		activate();
		pass(31000);
		terminated(reasons[i], 100);
		expect("unavailable/orchard");
		expect_retry(100, 120);
	}
}

static void probation_giveup(void **state)
{
	static const struct {
		const char *reason;
		uint32_t retry_after, from, to;
	} rows[] = {{"probation", 0, 60, 72}, {"probation", 200, 200, 240}, {"giveup", 0, 300, 360}, {"giveup", 20, 20, 24}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		make(&config, false);
		activate();
		terminated(rows[i].reason, rows[i].retry_after);
		expect("unavailable/orchard");
		assert_true(xmpp_watcher_authorised(t.w));
		expect_retry(rows[i].from, rows[i].to);
	}
}

static void rejected_noresource(void **state)
{
	static const char *const reasons[] = {"rejected", "noresource"};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_accepted(t.w);
		terminated(reasons[i], 0);
		expect("SUBSCRIBE 3600; unsubscribed");
		make(&config, false);
		activate();
		terminated(reasons[i], 60);
		expect("unavailable/orchard; -auth; unsubscribed");
		expect_state("none");
		pass(86400000);
		expect(""); /* never again by itself */
	}
}

static void invariant(void **state)
{
	(void)state;
	activate();
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, "invariant", 0, "application/pidf+xml",
				     "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:romeo@example.net'>" OPEN(
					     "orchard", SHOW("xa")) "</presence>"),
			 200);
	expect("xa/orchard");
	expect_state("final");
	pass(86400000);
	expect("");
	xmpp_watcher_probe(t.w);
	expect("xa/orchard");
	xmpp_watcher_subscribe(t.w); /* asked again, we look again */
	expect("subscribed; SUBSCRIBE 3600");
	activate();
	terminated("invariant", 0);
	expect("");
	expect_state("final");
	xmpp_watcher_unsubscribe(t.w);
	expect("-auth; unsubscribed; unavailable/orchard");
}

static void lost(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_lost(t.w);
	expect("unavailable/orchard"); /* nothing stale is shown */
	expect_retry(24, 36);
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_lost(t.w); /* accepted, but no NOTIFY came: back-off goes on */
	expect("");
	expect_retry(48, 72);
	make(&config, true);
	xmpp_watcher_lost(t.w);
	expect_state("none");
}

static void pending_again(void **state)
{
	(void)state;
	activate();
	notify_empty(SUBSTATE_PENDING);
	expect("unavailable/orchard"); /* but no unsubscribed */
	expect_state("neutral");
	assert_true(xmpp_watcher_authorised(t.w));
	notify(OPEN("orchard", ""));
	expect("available/orchard");
}

/* ---- probe, restart, sleep */

static void probe(void **state)
{
	(void)state;
	xmpp_watcher_probe(t.w);
	expect("unsubscribed"); /* RFC 6121 4.3.2 */
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600"); /* no answer yet */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", SHOW("dnd")) SHUT("desk"));
	buf_clear(&t.log);
	xmpp_watcher_probe(t.w);
	expect("dnd/orchard");
	notify(SHUT("orchard"));
	buf_clear(&t.log);
	xmpp_watcher_probe(t.w);
	expect("unavailable");
	/* what is old is asked for anew, but not with every probe */
	pass(300001);
	xmpp_watcher_probe(t.w);
	expect("unavailable; REFRESH");
	xmpp_watcher_probe(t.w);
	expect("unavailable");
	notify(OPEN("orchard", ""));
	expect("available/orchard");
	pass(300000);
	xmpp_watcher_probe(t.w);
	expect("available/orchard");
}

static void probe_authorised(void **state)
{
	(void)state;
	make(&config, true);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600"); /* as subscribe, but silent */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("available/orchard");
}

/* After a restart: nothing is told twice, and nothing stale remains. */
static void resume(void **state)
{
	(void)state;
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	pass(4999);
	expect("");
	pass(1);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("available/orchard"); /* no subscribed */
	/* the device that the watcher saw before is gone */
	make(&config, true);
	xmpp_watcher_resume(t.w, 0);
	pass(0);
	notify(SHUT("orchard"));
	expect("SUBSCRIBE 3600; unavailable/orchard");
	make(&config, true);
	xmpp_watcher_resume(t.w, 0);
	pass(0);
	notify("");
	expect("SUBSCRIBE 3600; unavailable");
	/* the watcher's server is quicker than we */
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	xmpp_watcher_probe(t.w); /* somebody is waiting */
	expect("SUBSCRIBE 3600");
	pass(5000);
	expect("");
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; SUBSCRIBE 3600");
	pass(5000);
	expect("");
	/* but a home in trouble is left alone */
	xmpp_watcher_rejected(t.w, 503, 0);
	expect_state("wait");
	xmpp_watcher_probe(t.w);
	expect("");
}

static void sleep_and_wake(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_sleep(t.w, false);
	expect("UNSUBSCRIBE");
	expect_state("dormant");
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 0);
	terminated("timeout", 0); /* the answer to it, if it is reported at all */
	expect("");
	pass(86400000);
	expect("");
	xmpp_watcher_sleep(t.w, true);
	expect("");
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600");
	notify(SHUT("orchard"));
	expect("unavailable/orchard");
	notify(OPEN("orchard", ""));
	buf_clear(&t.log);
	xmpp_watcher_sleep(t.w, true);
	expect("UNSUBSCRIBE; unavailable/orchard");
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; SUBSCRIBE 3600");
	xmpp_watcher_sleep(t.w, false);
	expect("UNSUBSCRIBE");
	xmpp_watcher_resume(t.w, 100);
	pass(100);
	expect("SUBSCRIBE 3600");
	/* while waiting there is no dialog to end; one that was never approved leaves nothing */
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_sleep(t.w, false);
	expect("");
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_sleep(t.w, true);
	expect("SUBSCRIBE 3600; UNSUBSCRIBE");
	expect_state("none");
}

static void unsubscribe(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_unsubscribe(t.w);
	expect("UNSUBSCRIBE; -auth; unsubscribed; unavailable/orchard");
	expect_state("none");
	notify(OPEN("orchard", SHOW("away"))); /* on its way before */
	xmpp_watcher_rejected(t.w, 481, 0);
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_lost(t.w);
	expect("");
	expect_state("none");
	/* at any other time */
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_unsubscribe(t.w);
	expect("SUBSCRIBE 3600; UNSUBSCRIBE; unsubscribed; unavailable");
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_unsubscribe(t.w);
	expect("SUBSCRIBE 3600; unsubscribed; unavailable");
	pass(86400000);
	expect("");
}

/* ---- documents */

/* The watcher's server came back. */
static void announce(void **state)
{
	(void)state;
	xmpp_watcher_announce(t.w);
	expect("");
	activate();
	xmpp_watcher_announce(t.w);
	expect("available/orchard");
	notify("");
	buf_clear(&t.log);
	xmpp_watcher_announce(t.w);
	expect("unavailable");
	xmpp_watcher_lost(t.w);
	xmpp_watcher_announce(t.w);
	expect("");
}

/* ---- one who is not known */

static void poll(void **state)
{
	static const int no[] = {401, 403, 404, 407, 489, 501, 603, 604}, not_now[] = {0, 408, 480, 481, 423, 500, 503, 504};
	(void)state;
	xmpp_watcher_poll(t.w);
	expect("SUBSCRIBE 0");
	expect_state("polling");
	xmpp_watcher_poll(t.w); /* one at a time */
	xmpp_watcher_probe(t.w);
	xmpp_watcher_accepted(t.w);
	expect("");
	/* the one NOTIFY: what there is, and nothing is kept */
	assert_int_equal(notify_as(SUBSTATE_TERMINATED, "sip:romeo@example.net", OPEN("orchard", SHOW("away"))), 200);
	expect("away/orchard");
	expect_state("none");
	assert_false(xmpp_watcher_authorised(t.w));
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 0);
	/* an older notifier says active and never ends it */
	xmpp_watcher_poll(t.w);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 0; available/orchard");
	expect_state("none");
	/* nothing is known of somebody who may be looked at */
	xmpp_watcher_poll(t.w);
	terminated("timeout", 0);
	expect("SUBSCRIBE 0; unavailable");
	/* a no */
	xmpp_watcher_poll(t.w);
	terminated("rejected", 0);
	expect("SUBSCRIBE 0; unsubscribed");
	xmpp_watcher_poll(t.w);
	notify_empty(SUBSTATE_PENDING);
	expect("SUBSCRIBE 0; unsubscribed");
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		xmpp_watcher_poll(t.w);
		xmpp_watcher_rejected(t.w, no[i], 0);
		expect("SUBSCRIBE 0; unsubscribed");
		expect_state("none");
	}
	/* the trouble of a moment takes nothing away, and is not tried again */
	for (size_t i = 0; i < sizeof not_now / sizeof *not_now; i++) {
		xmpp_watcher_poll(t.w);
		xmpp_watcher_rejected(t.w, not_now[i], 5);
		expect("SUBSCRIBE 0");
		expect_state("none");
	}
	xmpp_watcher_poll(t.w);
	xmpp_watcher_lost(t.w);
	expect("SUBSCRIBE 0");
	expect_state("none");
	/* somebody else's document says nothing */
	xmpp_watcher_poll(t.w);
	assert_int_equal(notify_as(SUBSTATE_TERMINATED, "sip:tybalt@example.net", OPEN("orchard", "")), 200);
	expect("SUBSCRIBE 0; ignored");
	/* who asks properly meanwhile is served properly */
	xmpp_watcher_poll(t.w);
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 0; SUBSCRIBE 3600");
	expect_state("trying");
	pass(7200000);
	expect("");
}

/* ---- a watcher who is nowhere */

static void absence(void **state)
{
	struct xmpp_watcher_config c = config;
	(void)state;
	c.absence_s = 600;
	make(&c, false);
	activate();
	xmpp_watcher_absent(t.w, true);
	pass(599999);
	notify(OPEN("orchard", SHOW("dnd"))); /* what happens meanwhile does not prolong it */
	expect("dnd/orchard");
	pass(1);
	expect("UNSUBSCRIBE"); /* nobody is told: nobody is there */
	expect_state("dormant");
	assert_true(xmpp_watcher_authorised(t.w));
	xmpp_watcher_absent(t.w, true);
	pass(86400000);
	expect("");
	xmpp_watcher_absent(t.w, false);
	expect("SUBSCRIBE 3600");
	notify(OPEN("orchard", SHOW("dnd")));
	expect("dnd/orchard"); /* all anew, and "subscribed" is not said again */
	/* back in time: nothing happens */
	xmpp_watcher_absent(t.w, true);
	pass(300000);
	xmpp_watcher_absent(t.w, false);
	pass(7200000);
	expect("");
	expect_state("active");
	/* already away when the home answers */
	xmpp_watcher_sleep(t.w, false);
	buf_clear(&t.log);
	xmpp_watcher_absent(t.w, true);
	xmpp_watcher_resume(t.w, 1000);
	pass(1000);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 3600; available/orchard");
	pass(600000);
	expect("UNSUBSCRIBE");
	/* a probe is somebody */
	xmpp_watcher_absent(t.w, false);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600");
	/* never, when it is switched off */
	make(&config, false);
	activate();
	xmpp_watcher_absent(t.w, true);
	pass(86400000);
	expect("");
	expect_state("active");
}

/* ---- a status that has a time (RFC 4481) */

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(subscribe),
		TEST(notify_first),
		TEST(active_without_body),
		TEST(subscribed_twice),
		TEST(refused),
		TEST(transient),
		TEST(back_off),
		TEST(retry_after),
		TEST(dialog_unknown),
		TEST(no_home),
		TEST(deactivated),
		TEST(timeout_or_none),
		TEST(probation_giveup),
		TEST(rejected_noresource),
		TEST(invariant),
		TEST(lost),
		TEST(pending_again),
		TEST(probe),
		TEST(probe_authorised),
		TEST(resume),
		TEST(sleep_and_wake),
		TEST(unsubscribe),
		TEST(announce),
		TEST(poll),
		TEST(absence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
