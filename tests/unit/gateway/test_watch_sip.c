/* SPDX-License-Identifier: Apache-2.0 */
/* An XMPP user watches a SIP user: the whole life of the subscription (RFC 8048 5.2, RFC 6665 4.1; interworking spec 3.1,
 * 3.6). */
#include "house.h"

#include <stdio.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define ASK "S SUBSCRIBE sip:" ROMEO " 3600"
#define STORED "store +watch " JULIET " " ROMEO
#define ERASED "store -watch " JULIET " " ROMEO
#define SUBSCRIBED "X presence/subscribed " ROMEO ">" JULIET
#define UNSUBSCRIBED "X presence/unsubscribed " ROMEO ">" JULIET
#define AVAILABLE "X presence " ROMEO "/desk>" JULIET
#define GONE "X presence/unavailable " ROMEO "/desk>" JULIET

static int setup(void **state)
{
	*state = house_new();
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static void count_one(void *arg, const struct gateway_subscription_facts *f)
{
	assert_true(f->to_sip);
	++*(size_t *)arg;
}

static size_t count_subscriptions(struct house *h)
{
	size_t n = 0;
	gateway_each_subscription(h->gateway, count_one, &n);
	return n;
}

/* Active, "desk" available. */
static void activate_as(struct house *h, const char *watcher)
{
	partner_presence(h, watcher, ROMEO, "subscribe", "");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	buf_clear(&h->log);
}

static void activate(struct house *h)
{
	activate_as(h, JULIET);
}

/* Time passes until something is in the log, at most so long. */
static void until(struct house *h, uint64_t ms)
{
	for (uint64_t end = h->timers.now + ms; !h->log.len && h->timers.now < end;)
		house_pass(h, 1000);
}

static void whole_life(void **state)
{
	struct house *h = *state;
	struct arena *a;
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	expect(h, ASK);
	struct sip_msg *m = house_sip(h, &a, "SUBSCRIBE", 0);
	assert_true(slice_eq(m->from.uri_text, S("sip:" JULIET)));
	assert_true(slice_eq(m->to.uri_text, S("sip:" ROMEO)));
	assert_true(slice_eq(sip_msg_header(m, SIP_H_EVENT, 0)->value, S("presence")));
	assert_true(slice_eq(sip_msg_header(m, SIP_H_ACCEPT, 0)->value, S("application/pidf+xml")));
	assert_true(slice_eq(sip_msg_header(m, SIP_H_CONTACT, 0)->value, S("<sip:gw.contoso.test:5060;transport=tcp>")));
	arena_release(NULL, a);
	home_answers(h, "SUBSCRIBE", 0, 202, "Expires: 3600\n");
	expect(h, ""); /* not yet (RFC 8048 5.2.1) */
	home_notifies(h, ROMEO, 1, "pending;expires=3600", NULL);
	expect(h, "S 200 NOTIFY");
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("away") ) "<note>out</note>"));
	expect(h, STORED "; " SUBSCRIBED "; " AVAILABLE " away 'out'; S 200 NOTIFY");
	assert_true(slice_find(slice_str(h->stanza), S("http://jabber.org/protocol/caps")) > 0);
	home_notifies(h, ROMEO, 3, "active;expires=3590", PIDF(ROMEO, OPEN("desk", SHOW("away") ) "<note>out</note>"));
	expect(h, "S 200 NOTIFY"); /* no news */
	home_notifies(h, ROMEO, 4, "active;expires=3580", PIDF(ROMEO, OPEN("desk", "") OPEN("ID-phone", SHOW("dnd"))));
	expect(h, AVAILABLE "; X presence " ROMEO "/phone>" JULIET " dnd; S 200 NOTIFY");
	home_notifies(h, ROMEO, 5, "active;expires=3570", PIDF(ROMEO, OPEN("ID-phone", SHOW("dnd"))));
	expect(h, GONE "; S 200 NOTIFY");
	/* refreshed in the dialog, in time, the watcher unaware */
	house_pass(h, 1700000);
	expect(h, "");
	until(h, 1900000);
	expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 3600");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 6, "active;expires=3600", PIDF(ROMEO, OPEN("ID-phone", SHOW("dnd"))));
	expect(h, "S 200 NOTIFY");
	/* the end */
	partner_presence(h, JULIET, ROMEO, "unsubscribe", "");
	expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0; " ERASED "; " UNSUBSCRIBED "; X presence/unavailable " ROMEO
		  "/phone>" JULIET);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	assert_int_equal(count_subscriptions(h), 1); /* the last NOTIFY is still to be answered */
	home_notifies(h, ROMEO, 7, "terminated;reason=timeout", PIDF(ROMEO, OPEN("ID-phone", "")));
	expect(h, "S 200 NOTIFY");
	assert_int_equal(count_subscriptions(h), 0);
	home_notifies(h, ROMEO, 8, "active", PIDF(ROMEO, OPEN("ID-phone", "")));
	expect(h, "S 481 NOTIFY sip/no-dialog");
	assert_int_equal(house_records(h->watches), 0);
	house_pass(h, 86400000);
	expect(h, "");
}

/* Nobody is told what a crash could take back. */
static void stored_first(void **state)
{
	struct house *h = *state;
	h->slow_disk = true;
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	buf_clear(&h->log);
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, STORED "; S 200 NOTIFY");
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "") "<note>hi</note>"));
	partner_presence(h, JULIET, ROMEO, "subscribe", ""); /* asked again meanwhile */
	expect(h, "S 200 NOTIFY");
	gateway_stored(h->gateway, S(JULIET), S(ROMEO));
	expect(h, SUBSCRIBED "; " AVAILABLE " 'hi'");
	gateway_stored(h->gateway, S(JULIET), S(ROMEO)); /* of nothing */
	gateway_stored(h->gateway, S("nurse@fabrikam.test"), S(ROMEO));
	expect(h, "");
	/* gone again before it was on the disk, and asked once more */
	partner_presence(h, JULIET, ROMEO, "unsubscribe", "");
	house_pass(h, 100);
	buf_clear(&h->log);
	activate(h);
	partner_presence(h, JULIET, ROMEO, "unsubscribe", "");
	assert_true(slice_find(buf_slice(&h->log), S(UNSUBSCRIBED)) >= 0);
	gateway_stored(h->gateway, S(JULIET), S(ROMEO));
	buf_clear(&h->log);
	house_pass(h, 100000);
	expect(h, "");
}

static void notify_without_dialog(void **state)
{
	struct house *h = *state;
	home_says(h, "NOTIFY sip:gw.contoso.test SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKq\nMax-Forwards: 70\nFrom: "
		     "<sip:" ROMEO ">;tag=1\n"
		     "To: <sip:" JULIET
		     ">\nCall-ID: q\nCSeq: 1 NOTIFY\nEvent: presence\nSubscription-State: active\nContact: <sip:x@y>\n");
	expect(h, "S 481 NOTIFY sip/no-dialog");
}

static void refused_by_home(void **state)
{
	static const int statuses[] = {403, 404, 489, 603, 604, 401};
	struct house *h = *state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		partner_presence(h, JULIET, ROMEO, "subscribe", "");
		home_answers(h, "SUBSCRIBE", 0, statuses[i], "");
		expect(h, ASK "; " UNSUBSCRIBED);
		assert_int_equal(count_subscriptions(h), 0);
	}
	activate(h);
	home_notifies(h, ROMEO, 2, "terminated;reason=rejected", NULL);
	expect(h, GONE "; " ERASED "; " UNSUBSCRIBED "; S 200 NOTIFY");
	assert_int_equal(count_subscriptions(h), 0);
	activate(h);
	home_notifies(h, ROMEO, 2, "terminated;reason=noresource", NULL);
	expect(h, GONE "; " ERASED "; " UNSUBSCRIBED "; S 200 NOTIFY");
	house_pass(h, 86400000);
	expect(h, "");
	assert_int_equal(house_records(h->watches), 0);
}

static void home_in_trouble(void **state)
{
	struct house *h = *state;
	activate(h);
	/* it forgets the dialog: a new one, the watcher unaware */
	home_notifies(h, ROMEO, 2, "terminated;reason=deactivated", NULL);
	expect(h, ASK "; S 200 NOTIFY");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, "S 200 NOTIFY");
	/* too brief: asked for longer */
	house_pass(h, 31000);
	home_notifies(h, ROMEO, 2, "terminated;reason=timeout", NULL);
	home_answers(h, "SUBSCRIBE", 0, 423, "Min-Expires: 7200\n");
	expect(h, ASK "; S 200 NOTIFY; S SUBSCRIBE sip:" ROMEO " 7200");
	/* overloaded: not before it says */
	home_answers(h, "SUBSCRIBE", 0, 503, "Retry-After: 100\n");
	expect(h, GONE);
	house_pass(h, 99999);
	expect(h, "");
	until(h, 21000);
	expect(h, ASK);
	/* silent */
	house_pass(h, 31000 + 23999);
	expect(h, "");
	until(h, 15000);
	expect(h, ASK);
	/* not there at all */
	home_answers(h, "SUBSCRIBE", 0, 480, "");
	h->no_home = true;
	house_pass(h, 600000);
	expect(h, "");
	h->no_home = false;
	until(h, 1200000);
	expect(h, ASK);
	h->home_unreachable = true;
	home_answers(h, "SUBSCRIBE", 0, 500, "");
	house_pass(h, 7200000);
	expect(h, "");
	h->home_unreachable = false;
	until(h, 4400000);
	expect(h, ASK);
	assert_int_equal(house_records(h->watches), 1); /* the approval stayed all the time */
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, AVAILABLE "; S 200 NOTIFY");
}

static void accepted_but_silent(void **state)
{
	struct house *h = *state;
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	expect(h, ASK);
	house_pass(h, 31000 + 23999); /* Timer N, and the first wait */
	expect(h, "");
	until(h, 15000);
	expect(h, ASK);
}

static void bodies(void **state)
{
	struct house *h = *state;
	activate(h);
	home_notifies(h, ROMEO, 2, "active;expires=3600", "<presence");
	expect(h, "S 400 NOTIFY");
	home_notifies(h, ROMEO, 3, "active;expires=3600", PIDF("paris@contoso.test", OPEN("desk", SHOW("dnd"))));
	expect(h, "S 200 NOTIFY"); /* of somebody else: not shown */
	home_notifies(h, ROMEO, 4, "active;expires=3600",
		      PIDF("ROMEO@contoso.test:5060;transport=tcp", OPEN("desk", SHOW("dnd"))));
	expect(h, AVAILABLE " dnd; S 200 NOTIFY");
	/* the same dialog goes on */
	home_says(h, "NOTIFY sip:gw.contoso.test SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKt1\nMax-Forwards: 70\nFrom: "
		     "<sip:" ROMEO ">;tag=other\n"
		     "To: <sip:" JULIET ">;tag=unknown\nCall-ID: unknown\nCSeq: 1 NOTIFY\nEvent: presence\nSubscription-State: "
					"active\nContact: <sip:x@y>\n");
	expect(h, "S 481 NOTIFY sip/no-dialog");
	/* notes and languages */
	home_notifies(
		h, ROMEO, 5, "active;expires=3600",
		PIDF(ROMEO, OPEN("desk", "") "<note xml:lang='en'>a &lt;b&gt; &amp;amp;</note><note xml:lang='de'>zwei</note>"));
	expect(h, AVAILABLE " 'a <b> &amp;' 'zwei'; S 200 NOTIFY");
	assert_true(slice_find(slice_str(h->stanza), S("<status xml:lang='de'>")) > 0 ||
		    slice_find(slice_str(h->stanza), S("<status xml:lang=\"de\">")) > 0);
	/* a resource that needs escaping in XML */
	home_notifies(h, ROMEO, 6, "active;expires=3600",
		      PIDF(ROMEO, "<tuple id='x'><status><basic>open</basic></status><contact priority='0.5'>sip:" ROMEO
				  ";gr=%3Ca%26b%27%3E</contact></tuple>"));
	expect(h, "X presence " ROMEO "/<a&b'>>" JULIET "; " GONE "; S 200 NOTIFY");
}

static void old_state(void **state)
{
	struct house *h = *state;
	activate(h);
	home_notifies(h, ROMEO, 2, "active;expires=3600",
		      PIDF(ROMEO, "<tuple "
				  "id='desk'><status><basic>open</basic></status><note>x</note><timestamp>2020-01-02T03:04:05Z</"
				  "timestamp></tuple>"));
	expect(h, AVAILABLE " 'x'; S 200 NOTIFY");
	assert_true(slice_find(slice_str(h->stanza), S("<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z'/>")) > 0);
}

/* ---- asking again, probes */

static void asked_twice(void **state)
{
	struct house *h = *state;
	partner_presence(h, JULIET "/balcony", ROMEO, "subscribe", "");
	partner_presence(h, JULIET "/phone", ROMEO, "subscribe", ""); /* from another resource */
	expect(h, ASK);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	expect(h, "");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, STORED "; " SUBSCRIBED "; " AVAILABLE "; S 200 NOTIFY");
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	expect(h, SUBSCRIBED "; " AVAILABLE);
	assert_int_equal(count_subscriptions(h), 1);
}

static void probes(void **state)
{
	struct house *h = *state;
	partner_presence(h, JULIET, ROMEO, "probe", "");
	expect(h, UNSUBSCRIBED); /* who has not asked (RFC 6121 4.3.2) */
	assert_int_equal(count_subscriptions(h), 0);
	activate(h);
	partner_presence(h, JULIET "/balcony", ROMEO, "probe", "");
	expect(h, AVAILABLE);
	house_pass(h, 301000);
	partner_presence(h, JULIET, ROMEO, "probe", "");
	expect(h, AVAILABLE "; S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 3600"); /* old */
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("xa"))));
	expect(h, AVAILABLE " xa; S 200 NOTIFY");
	/* from others */
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "probe", "");
	expect(h, "X presence/unsubscribed " ROMEO ">nurse@fabrikam.test");
	partner_presence(h, "tybalt@public.test", ROMEO, "probe", "");
	expect(h, "");
	partner_presence(h, JULIET, ROMEO, "unsubscribe", "");
	buf_clear(&h->log);
	partner_presence(h, JULIET, ROMEO, "unsubscribe", ""); /* twice */
	expect_count(h, "subscribed", 1);
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "unsubscribe", ""); /* never asked */
	expect(h, "");
}

/* Asked again before the old dialog is over. */
/* How contacts are removed: Prosody says all three from the full address, ejabberd in another order and from the bare one. */
static void removed_by_servers(void **state)
{
	struct house *h = *state;
	static const struct {
		const char *from, *type;
	} rows[2][3] = {{{JULIET "/balcony", "unsubscribed"}, {JULIET "/balcony", "unavailable"}, {JULIET "/balcony", "unsubscribe"}},
			{{JULIET "/balcony", "unavailable"}, {JULIET, "unsubscribe"}, {JULIET, "unsubscribed"}}};
	for (int k = 0; k < 2; k++) {
		activate(h);
		assert_int_equal(house_records(h->watches), 1);
		for (int i = 0; i < 3; i++)
			partner_presence(h, rows[k][i].from, ROMEO, rows[k][i].type, "");
		assert_int_equal(house_records(h->watches), 0);
		expect_count(h, "X presence/unsubscribed " ROMEO ">" JULIET, 1);
		house_pass(h, 86400000); /* and nothing is left of it */
		buf_clear(&h->log);
		assert_int_equal(count_subscriptions(h), 0);
	}
}

static void quick_change_of_mind(void **state)
{
	struct house *h = *state;
	activate(h);
	partner_presence(h, JULIET, ROMEO, "unsubscribe", "");
	buf_clear(&h->log);
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	expect(h, ASK);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, STORED "; " SUBSCRIBED "; " AVAILABLE "; S 200 NOTIFY");
	assert_int_equal(count_subscriptions(h), 1);
	/* before the home has answered at all */
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "subscribe", "");
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "unsubscribe", "");
	expect(h, ASK "; X presence/unsubscribed " ROMEO ">nurse@fabrikam.test; X presence/unavailable " ROMEO
		      ">nurse@fabrikam.test");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect_count(h, "nurse", 0); /* nothing is told, and the dialog ended */
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	home_notifies(h, ROMEO, 2, "terminated;reason=timeout", NULL);
	assert_int_equal(count_subscriptions(h), 1);
}

/* ---- partner types (Microsoft's planning table) */

static void federated(void **state)
{
	struct house *h = *state;
	activate(h);
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "") "<note>all see this</note>"));
	expect(h, AVAILABLE " 'all see this'; S 200 NOTIFY");
}

static void verified(void **state)
{
	struct house *h = *state;
	activate_as(h, "paris@verified.test"); /* no consent needed */
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("dnd")) "<note>secret</note>"));
	expect(h, "X presence " ROMEO "/desk>paris@verified.test dnd; S 200 NOTIFY"); /* but never notes */
	home_notifies(h, ROMEO, 3, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("dnd")) "<note>other secret</note>"));
	expect(h, "S 200 NOTIFY");
}

static void unverified(void **state)
{
	struct house *h = *state;
	partner_presence(h, "tybalt@public.test", ROMEO, "subscribe", "");
	expect(h, "X presence/unsubscribed " ROMEO ">tybalt@public.test"); /* only those whom romeo has added */
	assert_int_equal(count_subscriptions(h), 0);
	home_subscribes(h, "d1", 1, ROMEO, "tybalt@public.test", NULL, 3600);
	home_subscribes(h, "d1", 2, ROMEO, "tybalt@public.test", house_tag(h, "d1"), 0);
	buf_clear(&h->log);
	activate_as(h, "tybalt@public.test");
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("away")) "<note>secret</note>"));
	expect(h, "X presence " ROMEO "/desk>tybalt@public.test away; S 200 NOTIFY");
}

static void contact_learned_by_invite(void **state)
{
	struct house *h = *state;
	home_says(h, "INVITE sip:tybalt@public.test SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi1\nMax-Forwards: "
		     "70\nFrom: <sip:" ROMEO ">;tag=1\n"
		     "To: <sip:tybalt@public.test>\nCall-ID: i1\nCSeq: 1 INVITE\nContact: <sip:x@192.0.2.1>\n");
	expect(h, "store +contact " ROMEO " tybalt@public.test invite; S 488 INVITE sip/session-not-supported");
	activate_as(h, "tybalt@public.test");
	assert_int_equal(count_subscriptions(h), 1);
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("away"))));
	expect_count(h, "away", 1);
}

/* ---- the policy changes */

static void partner_removed(void **state)
{
	struct house *h = *state;
	activate(h);
	activate_as(h, "paris@verified.test");
	house_policy(h, -1, true, true);
	gateway_recheck(h->gateway);
	house_pass(h, 0);
	expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0; " GONE); /* taking back is always allowed */
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	house_pass(h, 86400000);
	expect_count(h, "fabrikam", 0);
	/* the approval was kept: back again, it goes on by itself */
	house_policy(h, POLICY_FEDERATED, true, true);
	gateway_recheck(h->gateway);
	house_pass(h, 1000);
	expect(h, ASK);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, AVAILABLE "; S 200 NOTIFY");
}

/* Nobody tells the gateway: no presence passes all the same, and the next turn sweeps. */
static void partner_disabled_silently(void **state)
{
	struct house *h = *state;
	activate(h);
	house_policy(h, POLICY_FEDERATED, false, true);
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("dnd"))));
	expect(h, "S 200 NOTIFY; S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0; " GONE);
	/* one that waits for its home is stopped as well */
	house_policy(h, POLICY_FEDERATED, true, true);
	gateway_recheck(h->gateway);
	house_pass(h, 1000);
	home_answers(h, "SUBSCRIBE", 0, 503, "");
	house_policy(h, POLICY_FEDERATED, false, true);
	buf_clear(&h->log);
	house_pass(h, 86400000);
	expect(h, "X presence/unavailable " ROMEO ">" JULIET); /* and no SUBSCRIBE any more */
}

static void type_changed(void **state)
{
	struct house *h = *state;
	activate(h);
	activate_as(h, "nurse@fabrikam.test");
	h->watcher = "nurse@fabrikam.test";
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "") "<note>out</note>"));
	expect(h, "X presence " ROMEO "/desk>nurse@fabrikam.test 'out'; S 200 NOTIFY");
	/* notes are taken back */
	house_policy(h, POLICY_PUBLIC_VERIFIED, true, true);
	gateway_recheck(h->gateway);
	expect(h, "X presence " ROMEO "/desk>nurse@fabrikam.test");
	home_notifies(h, ROMEO, 3, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "") "<note>out again</note>"));
	expect(h, "S 200 NOTIFY");
	/* and shown again */
	house_policy(h, POLICY_FEDERATED, true, true);
	gateway_recheck(h->gateway);
	expect_count(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 3600", 2);
	/* who is no contact of romeo loses sight of him */
	home_message(h, ROMEO, "nurse@fabrikam.test", "hello");
	buf_clear(&h->log);
	house_policy(h, POLICY_PUBLIC_UNVERIFIED, true, true);
	gateway_recheck(h->gateway);
	expect_count(h, GONE, 1);
	h->watcher = "nurse@fabrikam.test";
	home_notifies(h, ROMEO, 4, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("dnd")) "<note>x</note>"));
	expect_count(h, "X presence " ROMEO "/desk>nurse@fabrikam.test dnd", 1);
	/* a contact now: wakes when asked */
	home_message(h, ROMEO, JULIET, "hello");
	partner_presence(h, JULIET, ROMEO, "probe", "");
	expect_count(h, ASK, 1);
	assert_int_equal(house_records(h->watches), 2);
}

static void access_switched_off(void **state)
{
	struct house *h = *state;
	activate(h);
	house_policy(h, POLICY_FEDERATED, true, false);
	gateway_recheck(h->gateway);
	house_pass(h, 0);
	expect(h, "S SUBSCRIBE sip:192.0.2.1:5060;transport=tcp 0; " GONE);
	partner_presence(h, JULIET, ROMEO, "probe", "");
	expect(h, "");
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "subscribe", "");
	expect(h, "X presence/unsubscribed " ROMEO ">nurse@fabrikam.test");
}

/* ---- restart, link, limits */

static void restart(void **state)
{
	struct house *h = *state;
	activate(h);
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "subscribe", ""); /* never approved: forgotten */
	buf_clear(&h->log);
	house_restart(h, 60000);
	expect(h, "");
	house_pass(h, 199);
	expect(h, "");
	house_pass(h, 1);
	expect(h, ASK);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	expect(h, AVAILABLE "; S 200 NOTIFY"); /* not subscribed again */
	assert_int_equal(count_subscriptions(h), 1);
	/* nobody is there any more: what the watcher still sees is taken back */
	house_restart(h, 0);
	house_pass(h, 200);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", NULL);
	expect(h, ASK "; X presence/unavailable " ROMEO ">" JULIET "; S 200 NOTIFY");
	/* the partner was removed meanwhile; the record stays for the case that it comes back */
	house_policy(h, -1, true, true);
	house_restart(h, 0);
	house_pass(h, 3600000);
	expect(h, "");
	assert_int_equal(house_records(h->watches), 1);
	house_policy(h, POLICY_FEDERATED, true, true);
	gateway_recheck(h->gateway);
	house_pass(h, 1000);
	expect(h, ASK);
	/* an unreadable record */
	gateway_load_watch(h->gateway, S("@@"), S(ROMEO), 0);
	gateway_load_watch(h->gateway, S(JULIET), S(ROMEO), 0); /* and one twice */
	assert_int_equal(count_subscriptions(h), 1);
}

/* ---- care for the homes */

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

/* A probe of somebody of whom no record is here, but whom romeo has as contact: the home knows whether she may (RFC 8048 7.1). */
static void poll(void **state)
{
#define ASK_ONCE "S SUBSCRIBE sip:" ROMEO " 0"
	struct house *h = *state;
	home_message(h, ROMEO, JULIET, "hello");
	house_pass(h, 1000);
	buf_clear(&h->log);
	partner_presence(h, JULIET "/balcony", ROMEO, "probe", "");
	expect(h, ASK_ONCE);
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 0\n");
	home_notifies(h, ROMEO, 1, "terminated;reason=timeout", PIDF(ROMEO, OPEN("desk", SHOW("away"))));
	expect(h, AVAILABLE " away; S 200 NOTIFY");
	house_pass(h, 1000);
	assert_int_equal(count_subscriptions(h), 0);
	assert_int_equal(house_records(h->watches), 0);
	partner_presence(h, JULIET "/balcony", ROMEO, "probe", "");
	home_answers(h, "SUBSCRIBE", 0, 403, "");
	expect(h, ASK_ONCE "; " UNSUBSCRIBED);
	house_pass(h, 1000);
	assert_int_equal(count_subscriptions(h), 0);
	/* no answer takes nothing away */
	partner_presence(h, JULIET "/balcony", ROMEO, "probe", "");
	house_pass(h, 70000);
	expect(h, ASK_ONCE);
	assert_int_equal(count_subscriptions(h), 0);
}

/* XEP-0319 towards the watcher. */
static void idleness(void **state)
{
	struct house *h = *state;
	activate(h);
	home_notifies(h, ROMEO, 2, "active;expires=3600",
		      PIDF(ROMEO, "<tuple id='desk'><status><basic>open</basic></status><user-input "
				  "xmlns='urn:ietf:params:xml:ns:pidf:rpid' last-input='2020-01-02T03:04:05Z'>idle</user-input></tuple>"));
	assert_non_null(strstr(h->stanza, "<idle xmlns='urn:xmpp:idle:1' since='2020-01-02T03:04:05Z'/></presence>"));
	home_notifies(h, ROMEO, 3, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	assert_null(strstr(h->stanza, "idle"));
}

static void link_back(void **state)
{
	struct house *h = *state;
	activate(h);
	activate_as(h, "paris@verified.test");
	house_link(h, "fabrikam.test", false);
	home_notifies(h, ROMEO, 2, "active;expires=3600", PIDF(ROMEO, OPEN("desk", SHOW("dnd"))));
	buf_clear(&h->log);
	house_link(h, "fabrikam.test", true);
	expect(h, AVAILABLE); /* its server has forgotten what we said */
}

static void limits(void **state)
{
	struct house *h = *state;
	char who[64];
	h->cfg.max_subscriptions = 3;
	house_restart(h, 0);
	for (int i = 0; i < 5; i++) {
		snprintf(who, sizeof who, "w%d@fabrikam.test", i);
		partner_presence(h, who, ROMEO, "subscribe", "");
	}
	expect_count(h, "X presence/unsubscribed", 2);
	assert_int_equal(count_subscriptions(h), 3);
	/* one user's share: to one SIP user here, then of one XMPP user */
	h->cfg.max_subscriptions = 100;
	h->cfg.max_subscriptions_per_user = 2;
	house_restart(h, 0);
	int before = count_subscriptions(h);
	for (int i = 0; i < 4; i++) {
		snprintf(who, sizeof who, "v%d@fabrikam.test", i);
		partner_presence(h, who, "mercutio@contoso.test", "subscribe", "");
	}
	assert_int_equal(count_subscriptions(h) - before, 2);
	h->cfg.max_subscriptions_per_user = 0;
	/* addresses that SIP cannot say */
	house_restart(h, 0);
	partner_presence(h, "a\\2Gb\\5c\\41@fabrikam.test", ROMEO, "subscribe", "");
	assert_true(count_subscriptions(h) <= 1);
}

static void show_one(void *arg, const struct gateway_subscription_facts *f)
{
	struct buf *b = arg;
	buf_printf(b, "%.*s %.*s %s d%u r%u %.*s;", SFMT(f->watcher), SFMT(f->presentity), f->state, f->dialogs, f->resources,
		   SFMT(f->show));
}

static void facts(void **state)
{
	struct house *h = *state;
	struct buf b;
	activate(h);
	home_notifies(h, ROMEO, 2, "active;expires=3600",
		      PIDF(ROMEO, OPEN("a", SHOW("xa")) "<tuple id='b'><status><basic>open</basic>" SHOW(
					  "dnd") "</status><contact priority='1'>sip:x@y</contact></tuple>"));
	buf_init(&b, 4096);
	gateway_each_subscription(h->gateway, show_one, &b);
	assert_true(slice_eq(buf_slice(&b), S(JULIET " " ROMEO " active d1 r2 dnd;")));
	buf_free(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(whole_life), TEST(stored_first),
		TEST(notify_without_dialog),
		TEST(refused_by_home),
		TEST(home_in_trouble),
		TEST(accepted_but_silent),
		TEST(bodies),
		TEST(old_state),
		TEST(asked_twice),
		{"S23 probes, from the full address too", probes, setup, teardown, NULL},
		{"S23 a contact is removed, as Prosody and ejabberd do it", removed_by_servers, setup, teardown, NULL}, TEST(quick_change_of_mind),
		TEST(federated),
		TEST(verified),
		TEST(unverified),
		TEST(contact_learned_by_invite),
		TEST(partner_removed),
		TEST(partner_disabled_silently),
		TEST(type_changed),
		TEST(access_switched_off),
		TEST(restart),
		TEST(link_back), TEST(turns), TEST(resumes), TEST(nobody_looks), TEST(perhaps_somebody_looks), TEST(daily_probe), TEST(watcher_is_no_more), TEST(watcher_unreachable), TEST(watcher_not_asked), TEST(busy_live), TEST(poll), TEST(idleness),
		TEST(limits),
		TEST(facts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
