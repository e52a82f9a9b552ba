/* SPDX-License-Identifier: Apache-2.0 */
/* Which of many watchers are asked for when: turns after a start and after a failure, watchers who are nowhere, the daily probe (RFC 8048 8.1; interworking
 * spec 3.1). */
#include "watching.h"

static int subscribes(struct house *h)
{
	int n = 0;
	for (struct slice rest = buf_slice(&h->log); rest.len;) {
		ptrdiff_t at = slice_find(rest, S("S SUBSCRIBE "));
		if (at < 0)
			break;
		rest = slice_skip(rest, (size_t)at + 12);
		n++;
	}
	buf_clear(&h->log);
	return n;
}

/* What nobody waits for keeps its pace, what somebody waits for does not. */
static void turns(void **state)
{
	enum { WATCHERS = 90, RATE = 10 };
	struct house *h = *state;
	char who[64];
	h->cfg.max_subscriptions = 1000;
	h->cfg.subscribe_rate = RATE;
	house_restart(h, 0);
	for (int i = 0; i < WATCHERS; i++) {
		snprintf(who, sizeof who, "w%d@fabrikam.test", i);
		activate_as(h, who); /* users: all at once, at most so fast as they are */
	}
	assert_int_equal(house_records(h->watches), WATCHERS);
	house_restart(h, 0); /* the house gives all of them the same moment */
	house_pass(h, 200);
	int first = subscribes(h);
	assert_true(first >= 18 && first <= 22);
	for (int i = 1; i <= 3; i++) {
		house_pass(h, 1000);
		int n = subscribes(h);
		assert_true(n >= RATE - 1 && n <= RATE + 1);
	}
	/* a user who asks is served at once, whether it waits or never asked before */
	partner_presence(h, "new@fabrikam.test", ROMEO, "subscribe", "");
	assert_int_equal(subscribes(h), 1);
	int asked = 0;
	for (int i = 0; i < WATCHERS && !asked; i++) {
		snprintf(who, sizeof who, "w%d@fabrikam.test", i);
		partner_presence(h, who, ROMEO, "probe", "");
		asked = subscribes(h);
	}
	assert_int_equal(asked, 1);
	/* who unsubscribes while it waits is not asked for */
	for (int i = 0; i < WATCHERS; i++) {
		snprintf(who, sizeof who, "w%d@fabrikam.test", i);
		partner_presence(h, who, ROMEO, "unsubscribe", "");
	}
	subscribes(h);
	house_pass(h, 20000);
	buf_clear(&h->log);
	house_pass(h, 1000);
	assert_int_equal(subscribes(h), 0);
	assert_int_equal(house_records(h->watches), 0);
}

/* How many of the watchers w0, w1 ... the home was asked for; some may have been again, since it never answers. */
static int asked_for(struct house *h)
{
	bool seen[1000] = {0};
	int n = 0;
	for (int i = 0; i < h->n_sent; i++) {
		unsigned who;
		const char *from = strstr(h->sent[i].bytes, "\r\nFrom: <sip:w");
		if (strncmp(h->sent[i].bytes, "SUBSCRIBE ", 10) || !from || sscanf(from + 14, "%u", &who) != 1 || seen[who])
			continue;
		seen[who] = true;
		n++;
	}
	return n;
}

/* After a start: a few soon, many over a while, and a probe is not made to wait. */
static void resumes(void **state)
{
	static const struct {
		int n;
		uint32_t rate, all_by, not_by;
	} rows[] = {
		{3, 0, 200, 0},
		{60, 20, 200 + 60 * 50, 2000},
		{150, 20, 200 + 60000, 30000}, /* more than a hundred: over a minute */
		{150, 1, 400000, 75000},        /* or longer, where the pace wants it; those that fail meanwhile take turns, too */
	};
	struct house *h = *state;
	char who[64];
	h->cfg.max_subscriptions = 1000;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		h->cfg.subscribe_rate = rows[i].rate;
		house_restart(h, 0);
		house_forget(h, 0);
		for (int k = 0; k < rows[i].n; k++) {
			snprintf(who, sizeof who, "w%d@fabrikam.test", k);
			gateway_load_watch(h->gateway, slice_str(who), S(ROMEO), GATEWAY_RESUME);
		}
		house_pass(h, 100000);
		assert_int_equal(asked_for(h), 0); /* not by themselves */
		gateway_resume(h->gateway, 60000);
		house_pass(h, rows[i].not_by);
		int early = asked_for(h);
		if (rows[i].not_by && (early > rows[i].n * 7 / 10 || early < rows[i].n * 3 / 10))
			fail_msg("row %zu: %d of %d", i, early, rows[i].n);
		for (int k = 0; k < rows[i].n && early == asked_for(h); k++) { /* one that waits, or none does */
			snprintf(who, sizeof who, "w%d@fabrikam.test", k);
			partner_presence(h, who, ROMEO, "probe", "");
		}
		assert_int_equal(asked_for(h), early + 1);
		house_pass(h, rows[i].all_by - rows[i].not_by);
		assert_int_equal(asked_for(h), rows[i].n);
	}
}

/* ---- does anybody look? */

/* romeo watches juliet, too, so that it is known whether she is there. */
static void mutual(struct house *h)
{
	h->cfg.absence_s = 600;
	gateway_set(h->gateway, &h->cfg);
	activate(h);
	home_subscribes(h, "back", 1, ROMEO, JULIET, NULL, 3600);
	home_answers(h, "NOTIFY", 0, 200, "");
	partner_presence(h, JULIET, ROMEO, "subscribed", "");
	home_answers(h, "NOTIFY", 0, 200, "");
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	home_answers(h, "NOTIFY", 0, 200, "");
	house_pass(h, 10000);
	buf_clear(&h->log);
}

static void nobody_looks(void **state)
{
	struct house *h = *state;
	mutual(h);
	partner_presence(h, JULIET "/balcony", ROMEO, "unavailable", "");
	expect(h, "S NOTIFY active ID-bare:closed");
	home_answers(h, "NOTIFY", 0, 200, "");
	house_pass(h, 599000);
	expect(h, "");
	house_pass(h, 1000);
	expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0"); /* the authorisation stays */
	assert_int_equal(house_records(h->watches), 1);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	home_notifies(h, ROMEO, 3, "terminated;reason=timeout", NULL);
	expect(h, "S 200 NOTIFY");
	house_pass(h, 1000000);
	expect(h, "");
	/* back: she is shown everything */
	partner_presence(h, JULIET "/tower", ROMEO, NULL, "");
	expect_count(h, ASK, 1);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("xa"))));
	expect(h, AVAILABLE " xa; S 200 NOTIFY");
	/* a resource of several is not all of her */
	partner_presence(h, JULIET "/phone", ROMEO, NULL, "");
	partner_presence(h, JULIET "/tower", ROMEO, "unavailable", "");
	buf_clear(&h->log);
	house_pass(h, 700000);
	expect_count(h, "S SUBSCRIBE", 0);
}

/* Where nothing is known of the watcher nothing is concluded. */
static void perhaps_somebody_looks(void **state)
{
	struct house *h = *state;
	mutual(h);
	/* the stream is lost: shown closed, but she may be there */
	house_link(h, "fabrikam.test", false);
	house_pass(h, 700000);
	expect_count(h, "transport=tcp 0", 0);
	house_link(h, "fabrikam.test", true);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	home_answers(h, "NOTIFY", 0, 200, "");
	partner_presence(h, JULIET "/balcony", ROMEO, "unavailable", "");
	house_pass(h, 5000);
	home_answers(h, "NOTIFY", 0, 200, "");
	house_pass(h, 100000);
	/* romeo stops watching her before the time is over: nobody tells us any more */
	home_subscribes(h, "back", 2, ROMEO, JULIET, house_tag(h, "back"), 0);
	home_answers(h, "NOTIFY", 0, 200, "");
	buf_clear(&h->log);
	house_pass(h, 700000);
	expect_count(h, "transport=tcp 0", 0);
}

static void refresh_once(struct house *h)
{
	for (int i = 0; i < 4000 && !house_sip_has(h, "SUBSCRIBE", 0, "CSeq: 2 SUBSCRIBE"); i++)
		house_pass(h, 1000);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
}

#define LOOKS "X presence/probe " ROMEO ">" JULIET

/* RFC 8048 8.1: a subscription that goes on for ever is paid for on both sides. */
static void daily_probe(void **state)
{
	struct house *h = *state;
	h->cfg.watcher_probe_s = 7200;
	house_restart(h, 0);
	activate(h);
	refresh_once(h);
	expect_count(h, LOOKS, 0); /* she asked within two hours */
	unsigned cseq = 3;
	int probes = 0;
	for (int i = 0; i < 60; i++) { /* refreshes, about 54 minutes apart: every third has two hours behind it */
		while (slice_find(buf_slice(&h->log), S("S SUBSCRIBE")) < 0)
			house_pass(h, 10000);
		home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
		home_notifies(h, ROMEO, cseq++, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
		probes += slice_find(buf_slice(&h->log), S(LOOKS)) >= 0;
		buf_clear(&h->log);
	}
	if (probes < 16 || probes > 24)
		fail_msg("%d probes", probes);
	/* the answer of a server whose user does not share its presence with romeo is no reason to stop */
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	partner_presence(h, JULIET, ROMEO, "unavailable", "");
	expect_count(h, "transport=tcp 0", 0);
	assert_int_equal(count_subscriptions(h), 1);
}

#define NO_SUCH "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

/* An error from the watcher's server: there is no such user, or no such server. */
static void watcher_is_no_more(void **state)
{
	static const char *const gone[] = {"item-not-found", "gone", "redirect", "remote-server-not-found"},
				 *const not_gone[] = {"service-unavailable", "recipient-unavailable", "remote-server-timeout",
						      "internal-server-error", "resource-constraint"};
	struct house *h = *state;
	char e[200];
	activate(h);
	for (size_t i = 0; i < sizeof not_gone / sizeof *not_gone; i++) {
		snprintf(e, sizeof e, "<error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>", not_gone[i]);
		partner_presence(h, JULIET, ROMEO, "error", e);
		expect(h, "");
	}
	for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
		activate(h);
		snprintf(e, sizeof e, "<error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>", gone[i]);
		partner_presence(h, JULIET, ROMEO, "error", e);
		expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0");
		assert_int_equal(house_records(h->watches), 1); /* she may come back, and finds her contact */
		home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
		home_notifies(h, ROMEO, 9, "terminated;reason=timeout", NULL);
		buf_clear(&h->log);
		house_link(h, "fabrikam.test", true); /* that the server is there says nothing of her */
		house_pass(h, 86400000);
		expect(h, "");
		partner_presence(h, JULIET "/back", ROMEO, "probe", "");
		expect(h, ASK);
		home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
		home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
		buf_clear(&h->log);
	}
}

/* Her server is not reached: what is asked at the home for its users rests until it is. */
static void watcher_unreachable(void **state)
{
	struct house *h = *state;
	h->cfg.watcher_probe_s = 60;
	house_restart(h, 0);
	activate(h);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_DNS;
	refresh_once(h);
	house_pass(h, 0);
	expect_count(h, "transport=tcp 0", 1);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	home_notifies(h, ROMEO, 9, "terminated;reason=timeout", NULL);
	buf_clear(&h->log);
	house_pass(h, 86400000);
	expect(h, "");
	h->link = LINK_FINE;
	house_link(h, "verified.test", true); /* another's */
	house_pass(h, 1000);
	expect(h, "");
	house_link(h, "fabrikam.test", true);
	house_pass(h, 1000);
	expect(h, ASK);
	assert_int_equal(house_records(h->watches), 1);
}

/* That the probe had no room says nothing of her: no stream would come up and wake what sleeps. An error lets nobody else's sleep. */
static void watcher_not_asked(void **state)
{
	struct house *h = *state;
	h->cfg.watcher_probe_s = 60;
	house_restart(h, 0);
	activate(h);
	h->link = LINK_BAD;
	h->why = REASON_LIMIT_QUEUE_FULL;
	refresh_once(h);
	house_pass(h, 1000);
	assert_true(slice_find(buf_slice(&h->log), S(LOOKS)) >= 0);
	expect_count(h, "transport=tcp 0", 0);
	h->link = LINK_FINE;
	partner_presence(h, "nobody@fabrikam.test", ROMEO, "error", NO_SUCH);
	expect_count(h, "transport=tcp 0", 0);
	partner_presence(h, JULIET, ROMEO, "error", NO_SUCH);
	expect_count(h, "transport=tcp 0", 1);
	partner_presence(h, JULIET, ROMEO, "error", NO_SUCH);
	expect_count(h, "transport=tcp 0", 0);
}

/* presence.busy holds for those who are watched already. */
static void busy_live(void **state)
{
	struct house *h = *state;
	activate(h);
	h->cfg.busy_away = true;
	gateway_set(h->gateway, &h->cfg);
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "<activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'><busy/></activities>")));
	assert_non_null(strstr(h->stanza, "<show>away</show>"));
	h->cfg.busy_away = false;
	gateway_set(h->gateway, &h->cfg);
	home_notifies(h, ROMEO, 3, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "<activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'><busy/></activities>")));
	assert_non_null(strstr(h->stanza, "<show>dnd</show>"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(turns),
		TEST(resumes),
		TEST(nobody_looks),
		TEST(perhaps_somebody_looks),
		TEST(daily_probe),
		TEST(watcher_is_no_more),
		TEST(watcher_unreachable),
		TEST(watcher_not_asked),
		TEST(busy_live),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
