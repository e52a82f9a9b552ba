/* SPDX-License-Identifier: Apache-2.0 */
/* A SIP user watches an XMPP contact: the whole life of the subscription (RFC 8048 5.3, RFC 6665 4.2; interworking spec 3.2). */
#include "house.h"

#include <stdio.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define ASKED "X presence/subscribe " ROMEO ">" JULIET
#define PROBED "X presence/probe " ROMEO ">" JULIET
#define LEFT "X presence/unavailable " ROMEO ">" JULIET
#define LEARNED "store +contact " ROMEO " " JULIET " subscribe"

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

static void yes(struct house *h)
{
	home_answers(h, "NOTIFY", 0, 200, "");
}

/* The NOTIFY that waits goes out when its time has come. */
static void next(struct house *h)
{
	yes(h);
	house_pass(h, 5000);
}

/* Active, "balcony" available. */
static void activate(struct house *h, const char *call_id)
{
	home_subscribes(h, call_id, 1, ROMEO, JULIET, NULL, 3600);
	yes(h);
	partner_presence(h, JULIET, ROMEO, "subscribed", "");
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	house_pass(h, 5000);
	next(h);
	next(h);
	assert_true(house_sip_has(h, "NOTIFY", 0, "ID-balcony"));
	buf_clear(&h->log);
}

static void whole_life(void **state)
{
	struct house *h = *state;
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 3600);
	expect(h, "S 200 SUBSCRIBE; " LEARNED "; " ASKED "; S NOTIFY pending -"); /* at once (RFC 6665 4.2.1.2) */
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Expires: 3600"));
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Contact: <sip:gw.contoso.test:5060;transport=tcp>"));
	assert_true(house_sip_has(h, "NOTIFY", 0, "Subscription-State: pending;expires=3600"));
	yes(h);
	partner_presence(h, JULIET, ROMEO, "unavailable", ""); /* Prosody's receipt */
	expect(h, "");
	house_pass(h, 5000);
	partner_presence(h, JULIET, ROMEO, "subscribed", "");
	expect(h, "S NOTIFY active ID-bare:closed; " PROBED);
	yes(h);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL,
			 "<show>away</show><status>nobody</status><priority>5</priority>");
	expect(h, "S NOTIFY active ID-balcony:open,away,'nobody'"); /* the first one after the approval is at once, too */
	yes(h);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL,
			 "<show>away</show><status xml:lang='en'>at the window</status><priority>5</priority>");
	expect(h, "");
	house_pass(h, 4999);
	expect(h, "");
	house_pass(h, 1); /* not faster than one in five seconds */
	expect(h, "S NOTIFY active ID-balcony:open,away,'at the window'");
	assert_true(house_sip_has(h, "NOTIFY", 0, "Content-Type: application/pidf+xml"));
	assert_true(house_sip_has(h, "NOTIFY", 0, "\r\nContent-Language: en\r\n"));
	assert_true(house_sip_has(h, "NOTIFY", 0, "Event: presence"));
	assert_false(house_sip_has(h, "NOTIFY", 1, "Content-Language")); /* of a note that did not say it */
	next(h);
	for (int i = 0; i < 50; i++)
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, i % 2 ? "<show>dnd</show>" : "<show>xa</show>");
	expect(h, "S NOTIFY active ID-balcony:open,xa"); /* the first change at once */
	next(h);
	expect(h, "S NOTIFY active ID-balcony:open,dnd"); /* then the last one counts */
	next(h);
	partner_presence(h, JULIET "/balcony", ROMEO, "unavailable", "");
	expect(h, "S NOTIFY active ID-bare:closed");
	yes(h);
	assert_int_equal(house_records(h->dialogs), 1);
	/* a refresh brings the full state */
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 1800);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY active ID-bare:closed");
	assert_true(house_sip_has(h, "NOTIFY", 0, "expires=1800"));
	next(h);
	partner_presence(h, JULIET "/phone", ROMEO, NULL, "");
	expect(h, "S NOTIFY active ID-phone:open");
	yes(h);
	/* the end: the approval stays, so no unsubscribe (RFC 8048 5.3.3) */
	home_subscribes(h, "d1", 3, ROMEO, JULIET, house_tag(h, "d1"), 0);
	expect(h, "S 200 SUBSCRIBE; " LEFT "; S NOTIFY terminated;timeout ID-bare:closed");
	yes(h);
	assert_int_equal(house_records(h->dialogs), 0);
	partner_presence(h, JULIET "/phone", ROMEO, NULL, "<show>dnd</show>");
	house_pass(h, 7200000);
	expect(h, "");
}

/* A home whose clients read the first tuple only gets one for all resources. */
static void dialects(void **state)
{
	static const struct {
		enum gateway_dialect dialect;
		const char *want, *has;
	} rows[] = {
		{GATEWAY_DIALECT_AUTO, "S NOTIFY active ID-phone:open,dnd ID-balcony:open", ";gr=phone"},
		{GATEWAY_DIALECT_SIMPLE, "S NOTIFY active ID-phone:open,dnd ID-balcony:open", ";gr=phone"},
		{GATEWAY_DIALECT_MSRP, "S NOTIFY active ID-phone:open,dnd ID-balcony:open", ";gr=phone"},
		{GATEWAY_DIALECT_LYNC, "S NOTIFY active ID-bare:open,dnd",
		 "<status><basic>open</basic><ep:activities><ep:activity>busy</ep:activity></ep:activities>"},
		{GATEWAY_DIALECT_CISCO, "S NOTIFY active ID-bare:open,dnd", "<dm:person id='person'><status><basic>open</basic>"},
	};
	struct house *h = *state;
	char call[16];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		h->dialect = rows[i].dialect;
		snprintf(call, sizeof call, "d%zu", i);
		home_subscribes(h, call, 1, ROMEO, JULIET, NULL, 3600);
		next(h);
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
		next(h);
		partner_presence(h, JULIET "/phone", ROMEO, NULL, "<show>dnd</show><priority>9</priority>");
		buf_clear(&h->log);
		next(h);
		home_subscribes(h, call, 2, ROMEO, JULIET, house_tag(h, call), 1800);
		buf_clear(&h->log);
		home_subscribes(h, call, 3, ROMEO, JULIET, house_tag(h, call), 1800);
		yes(h);
		assert_true(house_sip_has(h, "NOTIFY", 0, rows[i].has));
		if (slice_find(buf_slice(&h->log), slice_str(rows[i].want)) < 0)
			fail_msg("row %zu: %.*s", i, SFMT(buf_slice(&h->log)));
		home_subscribes(h, call, 4, ROMEO, JULIET, house_tag(h, call), 0);
		yes(h);
		buf_clear(&h->log);
	}
}

/* What Lync's servers and clients say that they can do, and what would take a proxy: none of it changes a thing. */
static void lync_subscribes(void **state)
{
	struct house *h = *state;
	home_says(h, "SUBSCRIBE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKl1\nMax-Forwards: 70\n"
		     "From: \"Romeo M.\" <sip:" ROMEO ">;tag=l1;epid=abcdef01\nTo: <sip:" JULIET ">\nCall-ID: l1\nCSeq: 1 SUBSCRIBE\n"
		     "Contact: <sip:" ROMEO ";opaque=user:epid:qIGJkJPk5Fa;gruu>\nEvent: presence\n"
		     "Accept: application/msrtc-event-categories+xml, application/xpidf+xml, text/xml+msrtc.pidf, application/pidf+xml, "
		     "application/rlmi+xml, multipart/related\n"
		     "Supported: com.microsoft.autoextend, ms-piggyback-first-notify, ms-benotify\nProxy-Require: ms-benotify\n"
		     "Expires: 3600\n");
	expect(h, "S 200 SUBSCRIBE; " LEARNED "; " ASKED "; S NOTIFY pending -");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Content-Length: 0"));
	assert_false(house_sip_has(h, "SIP/2.0 200", 0, "ms-"));
	assert_false(house_sip_has(h, "SIP/2.0 200", 0, "autoextend"));
	assert_true(house_sip_has(h, "NOTIFY", 0, ";epid=abcdef01"));
	assert_non_null(strstr(h->stanza, "<nick xmlns='http://jabber.org/protocol/nick'>Romeo M.</nick>"));
	/* formats that we do not have are no reason to invent one */
	home_says(h, "SUBSCRIBE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKl2\nMax-Forwards: 70\n"
		     "From: <sip:" ROMEO ">;tag=l2\nTo: <sip:" JULIET ">\nCall-ID: l2\nCSeq: 1 SUBSCRIBE\n"
		     "Contact: <sip:" ROMEO ";gruu>\nEvent: presence\nAccept: text/xml+msrtc.pidf, application/xpidf+xml\nExpires: 3600\n");
	expect(h, "S 406 SUBSCRIBE sip/not-acceptable");
	assert_true(house_sip_has(h, "SIP/2.0 406", 0, "\r\nAccept: application/pidf+xml\r\n"));
}

static void implied_approval(void **state)
{
	struct house *h = *state;
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 3600);
	next(h);
	buf_clear(&h->log);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	expect(h, "S NOTIFY active ID-balcony:open");
}

static void denied(void **state)
{
	struct house *h = *state;
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	expect(h, "S NOTIFY terminated;rejected -");
	yes(h);
	assert_int_equal(house_records(h->dialogs), 0);
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	expect(h, "S 481 SUBSCRIBE sip/no-dialog");
	/* taken back later */
	activate(h, "d2");
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	expect(h, "S NOTIFY terminated;rejected -");
}

static void contact_errors(void **state)
{
	static const struct {
		const char *condition, *notify;
	} rows[] = {
		{"item-not-found", "S NOTIFY terminated;noresource -"},
		{"remote-server-not-found", "S NOTIFY terminated;noresource -"},
		{"remote-server-timeout", "S NOTIFY terminated;probation;retry-after=300 -"},
		{"forbidden", "S NOTIFY terminated;rejected -"},
	};
	struct house *h = *state;
	char id[8], inner[128];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(id, sizeof id, "d%zu", i);
		home_subscribes(h, id, 1, ROMEO, JULIET, NULL, 3600);
		yes(h);
		buf_clear(&h->log);
		snprintf(inner, sizeof inner, "<error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
			 rows[i].condition);
		partner_presence(h, JULIET, ROMEO, "error", inner);
		expect(h, rows[i].notify);
		yes(h);
	}
}

/* The request does not even reach the partner; told from inside the sending, or later. */
static void not_deliverable(void **state)
{
	static const struct {
		enum reason why;
		const char *notify;
	} rows[] = {
		{REASON_XMPP_DNS, "S NOTIFY terminated;noresource -"},
		{REASON_POLICY_PARTNER_UNKNOWN, "S NOTIFY terminated;rejected -"},
		{REASON_XMPP_UNREACHABLE, "S NOTIFY terminated;probation;retry-after=300 -"},
		{REASON_XMPP_TLS_REQUIRED, "S NOTIFY terminated;probation;retry-after=300 -"},
		{REASON_LIMIT_QUEUE_FULL, "S NOTIFY terminated;probation;retry-after=300 -"},
	};
	struct house *h = *state;
	char id[8];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		h->link = LINK_BAD;
		h->why = rows[i].why;
		snprintf(id, sizeof id, "a%zu", i);
		home_subscribes(h, id, 1, ROMEO, JULIET, NULL, 3600);
		assert_true(house_sip_has(h, "NOTIFY", 0, "pending"));
		buf_clear(&h->log);
		yes(h);
		expect(h, rows[i].notify);
		yes(h);
		h->link = LINK_QUEUED;
		snprintf(id, sizeof id, "b%zu", i);
		home_subscribes(h, id, 1, ROMEO, JULIET, NULL, 3600);
		yes(h);
		house_pass(h, 25000);
		buf_clear(&h->log);
		house_release(h, rows[i].why);
		expect(h, rows[i].notify);
		yes(h);
		h->link = LINK_FINE;
	}
	assert_int_equal(house_records(h->dialogs), 0);
	/* we are shutting down: the dialog lives on and the request is made again then */
	h->link = LINK_QUEUED;
	home_subscribes(h, "c", 1, ROMEO, JULIET, NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	house_release(h, REASON_SERVER_SHUTDOWN);
	expect(h, "");
	assert_int_equal(house_records(h->dialogs), 1);
	h->link = LINK_FINE;
	house_restart(h, 3000);
	expect(h, ASKED);
}

static void several_dialogs(void **state)
{
	struct house *h = *state;
	activate(h, "desk");
	home_subscribes(h, "phone", 1, ROMEO, JULIET, NULL, 3600);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY active ID-balcony:open"); /* one XMPP subscription for all */
	yes(h);
	house_pass(h, 5000);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	expect(h, "S NOTIFY active ID-balcony:open,dnd; S NOTIFY active ID-balcony:open,dnd");
	home_answers(h, "NOTIFY", 0, 200, "");
	home_answers(h, "NOTIFY", 1, 200, "");
	assert_int_equal(house_records(h->dialogs), 2);
	home_subscribes(h, "desk", 2, ROMEO, JULIET, house_tag(h, "desk"), 0);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY terminated;timeout ID-bare:closed"); /* not the last: juliet sees nothing */
	yes(h);
	house_pass(h, 5000);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	expect(h, "S NOTIFY active ID-balcony:open");
	yes(h);
	home_subscribes(h, "phone", 2, ROMEO, JULIET, house_tag(h, "phone"), 0);
	expect(h, "S 200 SUBSCRIBE; " LEFT "; S NOTIFY terminated;timeout ID-bare:closed");
	/* while pending, too */
	h->log.len = 0;
	home_subscribes(h, "x1", 1, ROMEO, "nurse@fabrikam.test", NULL, 3600);
	home_subscribes(h, "x2", 1, ROMEO, "nurse@fabrikam.test", NULL, 3600);
	expect_count(h, "X presence/subscribe", 1);
}

static void expiry(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	house_pass(h, 3600000 - 16000);
	expect(h, "");
	house_pass(h, 16000);
	expect(h, LEFT "; S NOTIFY terminated;timeout ID-bare:closed");
	assert_int_equal(house_records(h->dialogs), 0);
}

static void watcher_is_gone(void **state)
{
	static const int statuses[] = {481, 410, 404, 408};
	struct house *h = *state;
	char id[8];
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		snprintf(id, sizeof id, "d%zu", i);
		activate(h, id);
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
		expect(h, "S NOTIFY active ID-balcony:open,dnd");
		home_answers(h, "NOTIFY", 0, statuses[i], "");
		expect(h, LEFT);
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
		house_pass(h, 10000);
		expect(h, "");
		assert_int_equal(house_records(h->dialogs), 0);
	}
	/* no answer at all */
	activate(h, "silent");
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	buf_clear(&h->log);
	house_pass(h, 32000);
	expect(h, LEFT);
	/* the home is down for a while: not the watcher's fault */
	activate(h, "patient");
	h->home_unreachable = true;
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	house_pass(h, 20000);
	expect(h, "");
	h->home_unreachable = false;
	house_pass(h, 30000);
	expect(h, "S NOTIFY active ID-balcony:open,dnd");
}

static void polls(void **state)
{
	struct house *h = *state;
	/* nothing is known: what comes within three seconds */
	home_subscribes(h, "p1", 1, ROMEO, JULIET, NULL, 0);
	expect(h, "S 200 SUBSCRIBE; " LEARNED "; " PROBED);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	partner_presence(h, JULIET "/phone", ROMEO, NULL, "");
	house_pass(h, 500);
	expect(h, "S NOTIFY terminated;timeout ID-phone:open ID-balcony:open,dnd");
	yes(h);
	/* nothing comes */
	home_subscribes(h, "p2", 1, ROMEO, JULIET, NULL, 0);
	house_pass(h, 2999);
	expect(h, "S 200 SUBSCRIBE; " PROBED);
	house_pass(h, 1);
	expect(h, "S NOTIFY terminated;timeout -");
	yes(h);
	/* no permission */
	home_subscribes(h, "p3", 1, ROMEO, JULIET, NULL, 0);
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	expect(h, "S 200 SUBSCRIBE; " PROBED "; S NOTIFY terminated;timeout -");
	yes(h);
	/* two at a time */
	home_subscribes(h, "p4", 1, ROMEO, JULIET, NULL, 0);
	home_subscribes(h, "p5", 1, ROMEO, JULIET, NULL, 0);
	expect(h, "S 200 SUBSCRIBE; " PROBED "; S 200 SUBSCRIBE");
	partner_presence(h, JULIET, ROMEO, "unavailable", "");
	expect(h, "S NOTIFY terminated;timeout ID-bare:closed; S NOTIFY terminated;timeout ID-bare:closed");
	home_answers(h, "NOTIFY", 0, 200, "");
	home_answers(h, "NOTIFY", 1, 200, "");
	assert_int_equal(house_records(h->dialogs), 0); /* polls are nothing to keep */
	/* beside a dialog: from what is known, at once */
	activate(h, "d1");
	home_subscribes(h, "p6", 1, ROMEO, JULIET, NULL, 0);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY terminated;timeout ID-balcony:open");
	yes(h);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	expect(h, "S NOTIFY active ID-balcony:open,dnd"); /* the dialog only */
	/* while juliet has not decided: nothing, and no probe that would end the request */
	home_subscribes(h, "d2", 1, ROMEO, "nurse@fabrikam.test", NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	home_subscribes(h, "p7", 1, ROMEO, "nurse@fabrikam.test", NULL, 0);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY terminated;timeout -");
}

static size_t count_subscriptions(struct house *h);

/* Nothing is left behind by any end. */
static void collected(void **state)
{
	struct house *h = *state;
	home_subscribes(h, "p1", 1, ROMEO, JULIET, NULL, 0);
	assert_int_equal(count_subscriptions(h), 1);
	house_pass(h, 3000);
	assert_int_equal(count_subscriptions(h), 0);
	home_subscribes(h, "p2", 1, ROMEO, JULIET, NULL, 0);
	partner_presence(h, JULIET "/a", ROMEO, NULL, "");
	house_pass(h, 3000);
	assert_int_equal(count_subscriptions(h), 0);
	activate(h, "d1");
	assert_int_equal(count_subscriptions(h), 1);
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 0);
	assert_int_equal(count_subscriptions(h), 0);
	home_subscribes(h, "d2", 1, ROMEO, JULIET, NULL, 3600);
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	assert_int_equal(count_subscriptions(h), 0);
	activate(h, "d3");
	house_pass(h, 3700000);
	assert_int_equal(count_subscriptions(h), 0);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_DNS;
	home_subscribes(h, "d4", 1, ROMEO, JULIET, NULL, 3600);
	assert_int_equal(count_subscriptions(h), 0);
	home_subscribes(h, "p5", 1, ROMEO, JULIET, NULL, 0);
	house_pass(h, 3000);
	assert_int_equal(count_subscriptions(h), 0);
	/* a SUBSCRIBE that the dialog layer refuses leaves nothing either */
	home_subscribes(h, "d6", 1, ROMEO, JULIET, NULL, 5);
	assert_int_equal(count_subscriptions(h), 0);
	assert_int_equal(house_records(h->dialogs), 0);
	/* gone and back within one turn */
	h->link = LINK_FINE;
	home_subscribes(h, "d7", 1, ROMEO, JULIET, NULL, 3600);
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	home_subscribes(h, "d8", 1, ROMEO, JULIET, NULL, 3600);
	assert_int_equal(count_subscriptions(h), 1);
	yes(h);
	partner_presence(h, JULIET, ROMEO, "subscribed", "");
	house_pass(h, 5000);
	expect_count(h, "NOTIFY active", 1);
}

static void count_one(void *arg, const struct gateway_subscription_facts *f)
{
	assert_false(f->to_sip);
	assert_true(slice_eq(f->watcher, S(ROMEO)));
	++*(size_t *)arg;
}

static size_t count_subscriptions(struct house *h)
{
	size_t n = 0;
	gateway_each_subscription(h->gateway, count_one, &n);
	return n;
}

static void refused(void **state)
{
	struct house *h = *state;
#define SUBSCRIBE(more)                                                                                                          \
	"SUBSCRIBE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKr%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO    \
	">;tag=1\nTo: <sip:" JULIET ">\nCall-ID: r%d\nCSeq: 1 SUBSCRIBE\n" more
	int n = 0;
#define ASK(more, answer)                      \
	do {                                   \
		n++;                           \
		home_says(h, SUBSCRIBE(more), n, n); \
		expect(h, answer);             \
	} while (0)
#define CONTACT "Contact: <sip:x@192.0.2.1>\n"
	ASK(CONTACT "Event: dialog\n", "S 489 SUBSCRIBE sip/bad-event");
	assert_true(house_sip_has(h, "SIP/2.0 489", 0, "Allow-Events: presence"));
	ASK(CONTACT "", "S 489 SUBSCRIBE sip/bad-event");
	ASK(CONTACT "Event: presence.winfo\n", "S 489 SUBSCRIBE sip/bad-event");
	ASK(CONTACT "Event: presence\nAccept: application/cpim-pidf+xml\n", "S 406 SUBSCRIBE sip/not-acceptable");
	ASK(CONTACT "Event: presence\nExpires: 59\n", "S 423 SUBSCRIBE");
	assert_true(house_sip_has(h, "SIP/2.0 423", 0, "Min-Expires: 60"));
	ASK("Event: presence\n", "S 400 SUBSCRIBE"); /* no Contact */
	home_subscribes(h, "x", 1, ROMEO, "who@nowhere.test", NULL, 3600);
	expect(h, "S 403 SUBSCRIBE policy/partner-unknown");
	home_subscribes(h, "y", 1, ROMEO, "who@off.test", NULL, 3600);
	expect(h, "S 403 SUBSCRIBE policy/partner-disabled");
	home_subscribes(h, "z", 1, "mallory@evil.test", JULIET, NULL, 3600);
	expect(h, "S 403 SUBSCRIBE policy/spoofed-domain");
	assert_int_equal(count_subscriptions(h), 0);
	assert_int_equal(house_records(h->contacts), 0);
	/* accepted: no Accept at all, ranges, no Expires, more than we grant, parameters */
	ASK(CONTACT "Event: presence\n", "S 200 SUBSCRIBE; " LEARNED "; " ASKED "; S NOTIFY pending -");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Expires: 3600"));
	ASK(CONTACT "Event: presence;id=7\nExpires: 99999\nAccept: text/html, application/*;q=0.1\n",
	    "S 200 SUBSCRIBE; S NOTIFY pending -");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Expires: 3600"));
	assert_true(house_sip_has(h, "NOTIFY", 0, "Event: presence;id=7"));
	ASK(CONTACT "Event: Presence\nAccept: */*\n", "S 200 SUBSCRIBE; S NOTIFY pending -");
}

static void limits(void **state)
{
	struct house *h = *state;
	char id[16], to[64];
	h->cfg.max_subscriptions = 3;
	house_restart(h, 0);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof id, "d%d", i);
		snprintf(to, sizeof to, "c%d@fabrikam.test", i);
		home_subscribes(h, id, 1, ROMEO, to, NULL, 3600);
	}
	expect_count(h, "S 503 SUBSCRIBE limit/subscriptions", 2);
	assert_int_equal(count_subscriptions(h), 3);
	/* dialogs of one pair */
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof id, "e%d", i);
		home_subscribes(h, id, 1, ROMEO, "c0@fabrikam.test", NULL, 3600);
	}
	expect_count(h, "S 503 SUBSCRIBE limit/subscriptions", 5); /* 16 with the first */
	assert_int_equal(count_subscriptions(h), 3);
}

/* ---- the link */

static void link_lost(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	house_link(h, "fabrikam.test", false);
	house_pass(h, 9999);
	expect(h, "");
	house_pass(h, 1);
	expect(h, PROBED); /* is the partner back? */
	for (int i = 0; i < 5; i++) {
		house_link(h, "fabrikam.test", false); /* it is not */
		house_pass(h, i == 4 ? 9999 : 10000);
	}
	expect(h, PROBED "; " PROBED "; " PROBED "; " PROBED);
	house_pass(h, 1);
	expect(h, "S NOTIFY active ID-bare:closed; " PROBED); /* a minute after the loss nothing stale stays */
	next(h);
	house_pass(h, 2000);
	buf_clear(&h->log);
	house_link(h, "fabrikam.test", true);
	expect(h, PROBED);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>xa</show>");
	expect(h, "S NOTIFY active ID-balcony:open,xa");
	next(h);
	house_pass(h, 600000);
	expect(h, ""); /* and no more probes */
}

/* Several pairs, other domains, contacts that have not approved; an idle link is no loss. */
static void link_selects(void **state)
{
	struct house *h = *state;
	house_link(h, "fabrikam.test", true);
	house_link(h, "fabrikam.test", false);
	house_pass(h, 60000);
	house_link(h, "fabrikam.test", true);
	expect(h, ""); /* nobody waits for it */
	activate(h, "d1");
	home_subscribes(h, "d2", 1, ROMEO, "nurse@fabrikam.test", NULL, 3600);
	yes(h);
	home_subscribes(h, "d3", 1, ROMEO, "paris@verified.test", NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	house_link(h, "verified.test", false);
	house_pass(h, 10000);
	expect(h, "X presence/subscribe " ROMEO ">paris@verified.test"); /* a probe would end the request */
	house_link(h, "verified.test", true);
	expect(h, "X presence/subscribe " ROMEO ">paris@verified.test");
	house_link(h, "fabrikam.test", false);
	house_pass(h, 10000);
	expect(h, PROBED);
	house_link(h, "fabrikam.test", true);
	expect_count(h, "X presence/probe", 1);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	next(h);
	gateway_link(h->gateway, S("other.test"), S("fabrikam.test"), false); /* the stream of another domain of ours */
	house_pass(h, 120000);
	expect_count(h, "probe", 0);
}

/* ---- the edge is another process, and goes and comes back */

static bool only_verified(void *arg, struct slice remote)
{
	++*(int *)arg;
	return slice_eq(remote, S("verified.test"));
}

static void edge_goes(void **state)
{
	struct house *h = *state;
	int asked = 0;
	activate(h, "d1");
	home_subscribes(h, "d3", 1, ROMEO, "paris@verified.test", NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	gateway_links(h->gateway, false, NULL, NULL);
	house_pass(h, 1000);
	expect(h, "");
	gateway_links(h->gateway, true, NULL, NULL);
	house_pass(h, 0);
	expect_count(h, "X presence/probe " ROMEO ">" JULIET, 1);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "");
	next(h);
	/* one of two edges: the partners of the other see nothing of it */
	gateway_links(h->gateway, false, only_verified, &asked);
	assert_true(asked >= 2);
	house_pass(h, 10000);
	expect(h, "X presence/subscribe " ROMEO ">paris@verified.test");
	gateway_links(h->gateway, true, only_verified, &asked);
	house_pass(h, 0);
	expect(h, "X presence/subscribe " ROMEO ">paris@verified.test");
	/* nobody noticed that it was away: what it missed is asked for all the same */
	gateway_links(h->gateway, true, NULL, NULL);
	house_pass(h, 0);
	expect_count(h, "X presence/probe " ROMEO ">" JULIET, 1);
}

/* ---- settings that change while it runs */

static void settings(void **state)
{
	struct house *h = *state;
	struct gateway_config c = h->cfg;
	c.subscription_minimum = 600;
	c.subscription_expires = 1200;
	c.max_subscriptions_per_user = 1;
	gateway_set(h->gateway, &c);
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 599);
	expect(h, "S 423 SUBSCRIBE");
	assert_true(house_sip_has(h, "SIP/2.0 423", 0, "Min-Expires: 600"));
	home_subscribes(h, "d2", 1, ROMEO, JULIET, NULL, 3600);
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Expires: 1200"));
	yes(h);
	buf_clear(&h->log);
	home_subscribes(h, "d3", 1, ROMEO, "paris@verified.test", NULL, 3600);
	expect(h, "S 503 SUBSCRIBE limit/subscriptions");
	c.max_subscriptions_per_user = 2;
	gateway_set(h->gateway, &c);
	home_subscribes(h, "d3", 1, ROMEO, "paris@verified.test", NULL, 3600);
	expect_count(h, "S 200 SUBSCRIBE", 1);
	yes(h);
	c.im.type_normal = true;
	gateway_set(h->gateway, &c);
	home_message(h, ROMEO, JULIET, "hello");
	assert_null(strstr(h->stanza, "type='chat'"));
	c.im.type_normal = false;
	gateway_set(h->gateway, &c);
	home_message(h, ROMEO, JULIET, "hello");
	assert_non_null(strstr(h->stanza, "type='chat'"));
}

/* ---- policy */

static void partner_removed(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	home_subscribes(h, "d2", 1, ROMEO, "paris@verified.test", NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	house_policy(h, -1, true, true);
	gateway_recheck(h->gateway);
	house_pass(h, 0);
	expect(h, "S NOTIFY terminated;rejected -"); /* that one only */
	yes(h);
	assert_int_equal(count_subscriptions(h), 1);
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	expect(h, "S 481 SUBSCRIBE sip/no-dialog");
	home_subscribes(h, "d3", 1, ROMEO, JULIET, NULL, 3600);
	expect(h, "S 403 SUBSCRIBE policy/partner-unknown");
	/* without a call, with the next thing that happens; disabled is as good as removed */
	house_policy(h, POLICY_FEDERATED, true, true);
	activate(h, "d4");
	house_policy(h, POLICY_FEDERATED, false, true);
	home_message(h, ROMEO, JULIET, "x");
	expect(h, "S 403 MESSAGE policy/partner-disabled; S NOTIFY terminated;rejected -");
}

/* ---- restart */

static void restart(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	home_subscribes(h, "d2", 1, ROMEO, "nurse@fabrikam.test", NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	house_restart(h, 60000);
	expect_count(h, PROBED, 1);
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>dnd</show>");
	expect(h, "S NOTIFY active ID-balcony:open,dnd"); /* the same dialog goes on */
	struct arena *a, *b;
	struct sip_msg *after = house_sip(h, &a, "NOTIFY", 0), *before = house_sip(h, &b, "NOTIFY", 2);
	assert_true(slice_eq(after->call_id, S("d1")) && slice_eq(before->call_id, S("d1")));
	assert_true(slice_eq(after->from.tag, before->from.tag) && slice_eq(after->to.tag, before->to.tag));
	assert_true(after->cseq > before->cseq + 100); /* ahead of all that may have been sent */
	assert_true(slice_starts(sip_msg_header(after, SIP_H_SUBSCRIPTION_STATE, 0)->value, S("active;expires=35")));
	arena_release(NULL, a);
	arena_release(NULL, b);
	next(h);
	/* a refresh in the restored dialog */
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY active ID-balcony:open,dnd");
	yes(h);
	house_pass(h, 5000);
	/* the pending one too */
	partner_presence(h, "nurse@fabrikam.test", ROMEO, "subscribed", "");
	expect(h, "S NOTIFY active -; X presence/probe " ROMEO ">nurse@fabrikam.test");
	yes(h);
	home_subscribes(h, "d1", 3, ROMEO, JULIET, house_tag(h, "d1"), 0);
	expect(h, "S 200 SUBSCRIBE; " LEFT "; S NOTIFY terminated;timeout ID-bare:closed");
	assert_int_equal(house_records(h->dialogs), 1);
}

static void restart_pending(void **state)
{
	struct house *h = *state;
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	house_restart(h, 0);
	expect(h, ASKED); /* it may have been lost */
	house_pass(h, 100000);
	expect(h, "");
	/* a refresh before anything is known */
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY pending -");
}

static void restart_unanswered(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	house_restart(h, 0);
	buf_clear(&h->log);
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	expect(h, "S 200 SUBSCRIBE; S NOTIFY active -"); /* full state: we know nothing */
	yes(h);
	house_pass(h, 29999);
	expect(h, PROBED "; " PROBED); /* the answers may have been lost */
	house_pass(h, 1);
	expect(h, "S NOTIFY active ID-bare:closed");
	yes(h);
	/* killed and started again and again: the number never goes back */
	uint32_t last = 0;
	for (int i = 0; i < 5; i++) {
		struct arena *a;
		house_restart(h, 10);
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, i % 2 ? "" : "<show>dnd</show>");
		struct sip_msg *m = house_sip(h, &a, "NOTIFY", 0);
		assert_true(m->cseq > last);
		last = m->cseq;
		arena_release(NULL, a);
		yes(h);
	}
}

static void restart_refused(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	house_restart(h, 3600000); /* expired meanwhile */
	expect(h, "store refused dialog");
	assert_int_equal(house_records(h->dialogs), 0);
	activate(h, "d2");
	house_policy(h, -1, true, true); /* no partner any more */
	house_restart(h, 0);
	expect(h, "store refused dialog");
	house_policy(h, POLICY_FEDERATED, true, true);
	activate(h, "d3");
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (h->dialogs[i].value)
			h->dialogs[i].value[strlen(h->dialogs[i].value) / 2] = 0; /* cut */
	house_restart(h, 0);
	expect(h, "store refused dialog");
	assert_false(gateway_load_dialog(h->gateway, S("x"), S(ROMEO), S(JULIET), S("")));
	assert_false(gateway_load_dialog(h->gateway, S("x"), S("@"), S("/"), S("active\nnotifier 1\n")));
}

/* What is stored changes with the dialog's life, not with each presence. */
static void store_is_spared(void **state)
{
	struct house *h = *state;
	activate(h, "d1");
	unsigned before = h->puts;
	assert_true(before <= 2);
	for (int i = 0; i < 20; i++) {
		partner_presence(h, JULIET "/balcony", ROMEO, NULL, i % 2 ? "" : "<show>dnd</show>");
		house_pass(h, 5000);
		yes(h);
	}
	assert_int_equal(h->puts, before);
	home_subscribes(h, "d1", 2, ROMEO, JULIET, house_tag(h, "d1"), 3600);
	assert_int_equal(h->puts, before + 1);
}

static void strangers(void **state)
{
	struct house *h = *state;
	partner_presence(h, JULIET "/x", ROMEO, NULL, ""); /* directed presence of somebody whom nobody watches */
	partner_presence(h, JULIET, ROMEO, "subscribed", "");
	partner_presence(h, JULIET, ROMEO, "unsubscribed", "");
	partner_presence(h, JULIET, ROMEO, "error",
			 "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
	partner_presence(h, JULIET, "contoso.test", NULL, "");
	partner_presence(h, JULIET, "contoso.test", "subscribe", "");
	expect(h, "");
	home_subscribes(h, "d1", 1, ROMEO, JULIET, NULL, 3600);
	yes(h);
	buf_clear(&h->log);
	partner_presence(h, "tybalt@fabrikam.test/x", ROMEO, NULL, ""); /* of another contact */
	partner_presence(h, JULIET "/x", "mercutio@contoso.test", NULL, ""); /* for another user */
	house_pass(h, 10000);
	expect(h, "");
	/* a user of a public unverified partner is seen because romeo asked */
	home_subscribes(h, "d2", 1, ROMEO, "tybalt@public.test", NULL, 3600);
	next(h);
	buf_clear(&h->log);
	partner_presence(h, "tybalt@public.test/x", ROMEO, NULL, "<status>seen</status>");
	expect(h, "S NOTIFY active ID-x:open,'seen'"); /* the partner's notes are not ours to hide */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		{"S23 a subscription, with unavailable from the bare address", whole_life, setup, teardown, NULL},      TEST(implied_approval),	 TEST(denied),		TEST(contact_errors),
		TEST(dialects),
		TEST(lync_subscribes),
		TEST(not_deliverable), TEST(several_dialogs),	 TEST(expiry),		TEST(watcher_is_gone),
		TEST(polls),	       TEST(collected),		 TEST(refused),		TEST(limits),
		TEST(link_lost),       TEST(link_selects),	 TEST(partner_removed), TEST(restart),
		TEST(restart_pending), TEST(restart_unanswered), TEST(restart_refused), TEST(store_is_spared),
		TEST(strangers),       TEST(edge_goes),		 TEST(settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
