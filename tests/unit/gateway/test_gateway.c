/* SPDX-License-Identifier: Apache-2.0 */
/* What comes to the gateway and is neither message nor presence, and a long random life of everything at once. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"

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

/* ---- SIP */

static void request(struct house *h, const char *method, const char *uri, const char *more)
{
	h->branch++;
	home_says(h,
		  "%s %s SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKg%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO
		  ">;tag=1\nTo: <%s>%s\nCall-ID: g%d\n"
		  "CSeq: 1 %s\nContact: <sip:x@192.0.2.1>\n",
		  method, uri, h->branch, uri, more, h->branch, method);
}

static void methods(void **state)
{
	struct house *h = *state;
	request(h, "OPTIONS", "sip:gw.contoso.test", "");
	expect(h, "S 200 OPTIONS");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Allow: MESSAGE, SUBSCRIBE"));
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Allow-Events: presence"));
	request(h, "REGISTER", "sip:contoso.test", "");
	expect(h, "S 405 REGISTER sip/method-not-allowed");
	assert_true(house_sip_has(h, "SIP/2.0 405", 0, "Allow: MESSAGE, SUBSCRIBE, NOTIFY, OPTIONS, INVITE"));
	request(h, "PUBLISH", "sip:" ROMEO, "");
	expect(h, "S 405 PUBLISH sip/method-not-allowed");
	request(h, "BYE", "sip:" JULIET, ";tag=unknown");
	expect(h, "S 481 BYE sip/no-dialog");
	request(h, "INFO", "sip:" JULIET, ";tag=unknown");
	expect(h, "S 481 INFO sip/no-dialog");
	request(h, "SUBSCRIBE", "sip:" JULIET, ";tag=unknown");
	expect(h, "S 481 SUBSCRIBE sip/no-dialog");
	request(h, "ACK", "sip:" JULIET, ";tag=unknown");
	request(h, "BENOTIFY", "sip:" JULIET, ";tag=unknown");
	expect(h, "");
}

static void invites(void **state)
{
	struct house *h = *state;
	request(h, "INVITE", "sip:" JULIET, "");
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 488 INVITE sip/session-not-supported");
	assert_true(gateway_knows_contact(h->gateway, S(ROMEO), S(JULIET)));
	request(h, "INVITE", "sip:" JULIET, "");
	expect(h, "S 488 INVITE sip/session-not-supported"); /* learned once */
	request(h, "INVITE", "sip:who@nowhere.test", "");
	expect(h, "S 403 INVITE policy/partner-unknown");
	assert_false(gateway_knows_contact(h->gateway, S(ROMEO), S("who@nowhere.test")));
	request(h, "INVITE", "sips:" JULIET, "");
	expect(h, "S 480 INVITE address/sips-not-allowed");
	request(h, "INVITE", "tel:+12125551212", "");
	expect(h, "S 416 INVITE address/scheme");
	request(h, "INVITE", "sip:nurse@192.0.2.9", "");
	expect(h, "S 404 INVITE address/impossible");
	assert_int_equal(house_records(h->contacts), 1);
}

static void local_users(void **state)
{
	struct house *h = *state;
	struct arena *a;
	struct slice user;
	home_message(h, "Romeo@Contoso.TEST", JULIET, "x");
	partner_message(h, JULIET, "Romeo@contoso.test", "y");
	struct sip_msg *m = house_sip(h, &a, "MESSAGE", 0);
	assert_true(gateway_local_user(&user, a, m, false) && slice_eq(user, S(ROMEO)));
	assert_true(gateway_local_user(&user, a, m, true) && slice_eq(user, S(JULIET)));
	arena_release(NULL, a);
	/* one person, however the home writes the name */
	assert_true(gateway_knows_contact(h->gateway, S(ROMEO), S(JULIET)));
}

/* ---- XMPP */

static void iqs(void **state)
{
	struct house *h = *state;
#define IQ(to, type, payload)                                                                                                    \
	partner_says(h, "fabrikam.test", "<iq from='" JULIET "/b' to='" to "' type='" type "' id='i1'>" payload "</iq>")
	IQ("contoso.test", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>");
	expect(h, "X iq/result contoso.test>" JULIET "/b");
	assert_true(slice_find(slice_str(h->stanza), S("identity")) > 0);
	IQ("contoso.test", "get", "<ping xmlns='urn:xmpp:ping'/>");
	expect(h, "X iq/result contoso.test>" JULIET "/b");
	IQ(ROMEO, "get", "<ping xmlns='urn:xmpp:ping'/>");
	expect_count(h, "X iq/", 1);
	IQ(ROMEO, "get", "<query xmlns='urn:x:unheard-of'/>");
	expect(h, "X iq/error " ROMEO ">" JULIET "/b service-unavailable/cancel");
	IQ(ROMEO, "set", "<jingle xmlns='urn:xmpp:jingle:1'/>");
	expect(h, "X iq/error " ROMEO ">" JULIET "/b service-unavailable/cancel");
	IQ(ROMEO, "result", "");
	IQ(ROMEO, "error", "");
	IQ("contoso.test", "result", "<query xmlns='http://jabber.org/protocol/disco#info'/>");
	expect(h, "");
	/* what he is called is what his home calls him; markup, quotes and all */
	IQ(ROMEO, "get", "<vCard xmlns='vcard-temp'/>");
	assert_true(slice_find(slice_str(h->stanza), S("<vCard xmlns='vcard-temp'/>")) > 0);
	home_says(h, "MESSAGE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKname\nMax-Forwards: 70\n"
		     "From: \"Romeo \\\"M\\\" <b>\" <sip:" ROMEO ">;tag=n\nTo: <sip:" JULIET ">\nCall-ID: name\nCSeq: 1 MESSAGE\n"
		     "Content-Type: text/plain\n\nhi");
	buf_clear(&h->log);
	IQ(ROMEO, "get", "<vCard xmlns='vcard-temp'/>");
	expect(h, "X iq/result " ROMEO ">" JULIET "/b");
	assert_true(slice_find(slice_str(h->stanza), S("<FN>Romeo &quot;M&quot; &lt;b&gt;</FN>")) > 0 ||
		    slice_find(slice_str(h->stanza), S("<FN>Romeo \"M\" &lt;b&gt;</FN>")) > 0);
	/* who may not know that romeo exists */
	partner_says(h, "public.test",
		     "<iq from='tybalt@public.test/x' to='" ROMEO
		     "' type='get' id='i2'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
	expect(h, "X iq/error " ROMEO ">tybalt@public.test/x service-unavailable/cancel");
}

/* ---- limits of memory */

/* Arenas so small that something is always missing: nothing crashes, nothing malformed goes out, every request is answered. */
static void small_arenas(void **state)
{
	struct house *h = *state;
	char text[9000];
	house_stop(h);
	arena_pool_free(h->arenas);
	h->arenas = arena_pool_new(ARENA_BLOCK, 2);
	h->cfg.arenas = h->arenas;
	house_start(h);
	for (size_t n = 100; n < sizeof text - 1; n += 400) {
		memset(text, 'x', n);
		text[n] = 0;
		home_message(h, ROMEO, JULIET, text);
		house_pass(h, 1000);
		expect_count(h, "S ", 1);
		partner_says(h, "fabrikam.test",
			     "<message from='" JULIET "' to='" ROMEO
			     "' id='i'><body>%s</body><x xmlns='urn:x' a='%s'/></message>",
			     text, text);
		expect_count(h, "MESSAGE sip:", 1);
		home_answers(h, "MESSAGE", 0, 200, "");
		partner_says(h, "fabrikam.test",
			     "<presence from='" JULIET "/%.900s' to='" ROMEO "'><status>%s</status></presence>", text, text);
	}
	buf_clear(&h->log);
}

/* ---- everything at once */

static unsigned seed;

static unsigned pick(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static void forget_sent(struct house *h)
{
	enum { KEEP = 64 };
	if (h->n_sent < HOUSE_SENT / 2)
		return;
	for (int i = 0; i < h->n_sent - KEEP; i++)
		mem_free(h->sent[i].bytes);
	memmove(h->sent, h->sent + h->n_sent - KEEP, KEEP * sizeof *h->sent);
	h->n_sent = KEEP;
}

static void step(struct house *h, int i)
{
	static const char *const partners[] = {JULIET, "nurse@fabrikam.test", "paris@verified.test", "tybalt@public.test"};
	static const char *const users[] = {ROMEO, "mercutio@contoso.test", "benvolio@contoso.test"};
	static const char *const types[] = {NULL,	  NULL,		 NULL,		 "unavailable", "subscribe",
					    "subscribed", "unsubscribe", "unsubscribed", "probe",	"error"};
	static const char *const shows[] = {
		"",
		"<show>dnd</show>",
		"<show>away</show><status>note</status>",
		"<priority>-5</priority>",
		"<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
		"<error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"};
	static const int statuses[] = {200, 200, 200, 200, 202, 403, 404, 408, 423, 480, 481, 500, 503, 603};
	static const char *const states[] = {"active;expires=3600",	      "active;expires=3600",
					     "active;expires=3600",	      "pending;expires=600",
					     "terminated;reason=deactivated", "terminated;reason=timeout",
					     "terminated;reason=rejected",    "terminated;reason=probation;retry-after=7",
					     "terminated;reason=noresource",  "terminated;reason=invariant"};
	static const char *const resources[] = {"", "/balcony", "/phone"};
	static const enum reason reasons[] = {REASON_NONE, REASON_XMPP_DNS, REASON_XMPP_UNREACHABLE, REASON_LIMIT_QUEUE_FULL,
					      REASON_SERVER_SHUTDOWN};
	const char *partner = partners[pick(4)], *user = users[pick(3)];
	char who[64], id[16], body[512];
	snprintf(who, sizeof who, "%s%s", partner, resources[pick(3)]);
	switch (pick(20)) {
	case 0: case 1: case 2:
		partner_presence(h, who, user, types[pick(10)], shows[pick(6)]);
		break;
	case 3:
		partner_message(h, who, user, "text");
		break;
	case 4:
		home_message(h, user, partner, "text");
		break;
	case 5: case 6:
		snprintf(id, sizeof id, "s%d", i);
		home_subscribes(h, id, 1, user, partner, NULL, pick(4) ? 60 + (int)pick(3600) : 0);
		break;
	case 7: case 8: case 9: case 10: { /* answer something that is perhaps answered already */
		static const char *const methods[] = {"MESSAGE", "SUBSCRIBE", "NOTIFY", "NOTIFY"};
		const char *m = methods[pick(4)];
		int back = (int)pick(4), n = 0;
		for (int k = 0; k < h->n_sent; k++)
			n += slice_starts(slice_of(h->sent[k].bytes, h->sent[k].len), slice_str(m));
		if (back < n)
			home_answers(h, m, back, statuses[pick(14)],
				     pick(8) ? "Expires: 3600\n" : "Retry-After: 9\nMin-Expires: 7000\n");
		break;
	}
	case 11: case 12: case 13: {
		bool asked = false;
		char to[128];
		snprintf(to, sizeof to, "\r\nTo: <sip:%s>", user);
		for (int k = 0; k < h->n_sent && !asked; k++) {
			struct slice b = slice_of(h->sent[k].bytes, h->sent[k].len);
			asked = slice_starts(b, S("SUBSCRIBE")) && slice_find(b, slice_str(to)) >= 0;
		}
		snprintf(body, sizeof body, PIDF("%s", OPEN("t%u", SHOW("dnd")) OPEN("desk", "")), user, pick(3));
		if (asked)
			home_notifies(h, user, (unsigned)i, states[pick(10)], pick(3) ? body : NULL);
		break;
	}
	case 14: { /* refresh or end a dialog of one's own */
		char find[32];
		snprintf(id, sizeof id, "s%d", i - (int)pick(40));
		snprintf(find, sizeof find, "Call-ID: %s\r\n", id);
		for (int k = 0; k < h->n_sent; k++) {
			struct slice b = slice_of(h->sent[k].bytes, h->sent[k].len);
			if (slice_starts(b, S("SIP/2.0 200")) && slice_find(b, slice_str(find)) >= 0 &&
			    slice_find(b, S("SUBSCRIBE")) >= 0) {
				home_subscribes(h, id, 2 + (unsigned)i, user, partner, house_tag(h, id), pick(2) ? 3600 : 0);
				break;
			}
		}
		break;
	}
	case 15:
		h->link = (enum house_link)pick(4);
		h->why = reasons[1 + pick(4)];
		break;
	case 16:
		house_release(h, reasons[pick(5)]);
		break;
	case 17:
		house_link(h, pick(2) ? "fabrikam.test" : "verified.test", pick(2));
		break;
	case 18:
		if (pick(10) == 0)
			house_policy(h, (int)pick(4) - 1, pick(4), pick(8));
		if (pick(4) == 0)
			gateway_recheck(h->gateway);
		h->home_unreachable = pick(6) == 0;
		h->no_home = pick(12) == 0;
		break;
	case 19:
		house_pass(h, pick(3) ? pick(7000) : pick(3) ? pick(100000) : pick(4000000));
		if (pick(30) == 0)
			house_restart(h, pick(100000));
		break;
	}
	if (h->link == LINK_QUEUED && pick(3) == 0)
		house_release(h, REASON_NONE);
	forget_sent(h);
	buf_clear(&h->log);
}

static void count_one(void *arg, const struct gateway_subscription_facts *f)
{
	struct house *h = arg;
	buf_printf(&h->log, "%s %.*s %.*s %s d%u; ", f->to_sip ? "to-sip" : "to-xmpp", SFMT(f->watcher), SFMT(f->presentity),
		   f->state, f->dialogs);
}

static void long_life(void **state)
{
	struct house *h = *state;
	for (unsigned round = 0; round < 6; round++) {
		seed = round * 7919 + 17;
		for (int i = 1; i < 2500; i++)
			step(h, i + (int)round * 10000);
		/* all becomes calm: whoever watches ends, and nothing is left */
		h->home_unreachable = h->no_home = false;
		h->link = LINK_FINE;
		house_policy(h, POLICY_FEDERATED, true, true);
		gateway_recheck(h->gateway);
		static const char *const partners[] = {JULIET, "nurse@fabrikam.test", "paris@verified.test",
						       "tybalt@public.test"};
		static const char *const users[] = {ROMEO, "mercutio@contoso.test", "benvolio@contoso.test"};
		for (size_t p = 0; p < 4; p++)
			for (size_t u = 0; u < 3; u++) {
				partner_presence(h, partners[p], users[u], "unsubscribe", "");
				partner_presence(h, partners[p], users[u], "unsubscribed", "");
			}
		for (int i = 0; i < 200; i++) {
			house_pass(h, 100000);
			forget_sent(h);
		}
		buf_clear(&h->log);
		gateway_each_subscription(h->gateway, count_one, h);
		expect(h, "");
		assert_int_equal(house_records(h->dialogs), 0);
		assert_int_equal(house_records(h->watches), 0);
		assert_int_equal(h->timers.count, 0);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(methods), TEST(invites), TEST(local_users), TEST(iqs), TEST(small_arenas), TEST(long_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
