/* SPDX-License-Identifier: Apache-2.0 */
/* An XMPP user watches a SIP user: the whole life of the subscription (RFC 8048 5.2, RFC 6665 4.1; interworking spec 3.1,
 * 3.6). */
#include "watching.h"

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
		TEST(link_back), TEST(poll), TEST(idleness),
		TEST(limits),
		TEST(facts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
