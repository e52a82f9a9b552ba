/* SPDX-License-Identifier: Apache-2.0 */
/* Typing, receipts, read markers and failures after the fact, through the gateway in page mode: each row of the table of what crosses
 * (interworking spec 4.4), what must not, and the limits. */
#include "house.h"

#include <stdio.h>
#include <zlib.h>
#include "base/metric.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define STATES "http://jabber.org/protocol/chatstates"
#define R "xmlns='urn:xmpp:receipts'"
#define M "xmlns='urn:xmpp:chat-markers:0'"
#define COMPOSING "application/im-iscomposing+xml"
#define ACTIVE "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state><refresh>60</refresh></isComposing>"
#define IDLE "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>idle</state></isComposing>"

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

/* ---- the two users */

static int serial;

/* Any body from the SIP user. */
static void home_body(struct house *h, const char *from, const char *type, const char *more, struct slice body)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	serial++;
	buf_printf(&b,
		   "MESSAGE sip:" JULIET " SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKs%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=1\r\n"
		   "To: <sip:" JULIET ">\r\nCall-ID: s%d\r\nCSeq: 1 MESSAGE\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
		   serial, from, serial, type, more, body.len);
	buf_put(&b, body);
	house_sip_in(h, buf_slice(&b));
	buf_free(&b);
}

static void romeo(struct house *h, const char *type, const char *body)
{
	home_body(h, ROMEO, type, "", slice_str(body));
}

static void juliet(struct house *h, const char *attributes, const char *inner)
{
	partner_says(h, "fabrikam.test", "<message from='" JULIET "/balcony' to='" ROMEO "' %s>%s</message>", attributes, inner);
}

static void juliet_state(struct house *h, const char *state)
{
	char inner[128];
	snprintf(inner, sizeof inner, "<%s xmlns='" STATES "'/>", state);
	juliet(h, "type='chat'", inner);
}

/* They have talked: both know each other, and nothing waits. */
static void acquainted(struct house *h)
{
	home_message(h, ROMEO, JULIET, "hello");
	house_pass(h, 1000);
	juliet(h, "type='chat' id='first'", "<body>hi</body><active xmlns='" STATES "'/>");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
}

/* Has the last stanza this text? */
static bool stanza_has(struct house *h, const char *text)
{
	return h->stanza && strstr(h->stanza, text);
}

static bool sip_has(struct house *h, const char *text)
{
	return house_sip_has(h, "MESSAGE", 0, text);
}

#define NOTHING(h) expect(h, "")
#define SAYS_STATE(h, state)                                             \
	do {                                                             \
		expect(h, "X message " ROMEO ">" JULIET);                \
		assert_true(stanza_has(h, "<" state " xmlns='" STATES)); \
	} while (0)

/* ---- typing of the SIP user */

static void states_to_xmpp(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "X message " ROMEO ">" JULIET "; S 200 MESSAGE");
	assert_true(stanza_has(h, "<composing xmlns='" STATES "'/>"));
	assert_true(stanza_has(h, "type='chat'") && stanza_has(h, "<no-store xmlns='urn:xmpp:hints'/>") && !stanza_has(h, "<body"));
	romeo(h, COMPOSING, ACTIVE); /* each state once */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 1000);
	romeo(h, COMPOSING, IDLE);
	expect(h, "S 200 MESSAGE"); /* not before five seconds */
	house_pass(h, 3999);
	NOTHING(h);
	house_pass(h, 1);
	SAYS_STATE(h, "active");
	house_pass(h, 600000);
	NOTHING(h);
}

static void state_of_the_moment(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect_count(h, "X message", 1);
	for (int i = 0; i < 20; i++) /* back and forth: what is true in the end counts */
		romeo(h, COMPOSING, i % 2 ? ACTIVE : IDLE);
	expect_count(h, "X message", 0);
	house_pass(h, 5000);
	NOTHING(h);
}

static void refresh_expires(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect_count(h, "X message", 1);
	house_pass(h, 50000);
	romeo(h, COMPOSING, ACTIVE); /* refreshed */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 59999);
	NOTHING(h);
	house_pass(h, 1);
	SAYS_STATE(h, "active");
	/* without <refresh/> two minutes */
	romeo(h, COMPOSING, "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>");
	house_pass(h, 10000);
	expect_count(h, "X message", 1);
	house_pass(h, 109000);
	NOTHING(h);
	house_pass(h, 1000);
	SAYS_STATE(h, "active");
}

static void text_ends_typing(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	house_pass(h, 6000);
	home_message(h, ROMEO, JULIET, "there");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>") && stanza_has(h, "<body>there"));
	buf_clear(&h->log);
	romeo(h, COMPOSING, IDLE); /* said already */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 600000);
	NOTHING(h);
}

static void no_states_unasked(void **state)
{
	struct house *h = *state;
	/* nobody spoke of chat states (XEP-0085 5.1) */
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	home_message(h, ROMEO, JULIET, "hello");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>")); /* but the client is asked, as this one can show them */
	house_pass(h, 1000);
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	juliet(h, "type='chat' id='a'", "<body>hi</body>");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	/* a client that cannot show them does not ask */
	home_message(h, "benvolio@contoso.test", JULIET, "hello");
	assert_false(stanza_has(h, STATES));
}

static void refused_states(void **state)
{
	struct house *h = *state;
	char id[64] = "";
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	assert_non_null(strstr(h->stanza, "id='"));
	sscanf(strstr(h->stanza, "id='") + 4, "%63[^']", id);
	buf_clear(&h->log);
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error' id='%s'><error type='cancel'><service-unavailable "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", id);
	NOTHING(h); /* no word to anybody, and no more states */
	house_pass(h, 61000);
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	home_message(h, ROMEO, JULIET, "x");
	expect(h, "X message " ROMEO ">" JULIET " 'x'; S 200 MESSAGE"); /* the contact is no less confirmed for it */
}

/* ---- typing of the XMPP user */

static void states_to_sip(void **state)
{
	struct house *h = *state;
	acquainted(h);
	juliet_state(h, "composing");
	NOTHING(h); /* its client has not shown that it understands */
	romeo(h, COMPOSING, IDLE);
	expect(h, "S 200 MESSAGE");
	juliet_state(h, "active");
	juliet_state(h, "paused");
	juliet_state(h, "inactive");
	NOTHING(h); /* idle is what it thinks anyway */
	juliet_state(h, "composing");
	expect_count(h, "S MESSAGE sip:" ROMEO, 1);
	assert_true(sip_has(h, "Content-Type: " COMPOSING "\r\n") && sip_has(h, "<state>active</state>") && sip_has(h, "<refresh>90</refresh>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet_state(h, "composing");
	NOTHING(h);
	juliet_state(h, "paused");
	expect_count(h, "S MESSAGE sip:" ROMEO, 1);
	assert_true(sip_has(h, "<state>idle</state>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet_state(h, "active");
	juliet_state(h, "gone");
	NOTHING(h);
	house_pass(h, 600000);
	NOTHING(h);
}

static void composing_is_refreshed(void **state)
{
	struct house *h = *state;
	int n = 0;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	house_pass(h, 79999);
	NOTHING(h);
	for (; n < 10; n++) { /* XMPP says it once; RFC 3994 wants to hear it again */
		house_pass(h, n ? 80000 : 1);
		if (!buf_slice(&h->log).len)
			break;
		assert_true(sip_has(h, n < 3 ? "<state>active</state>" : "<state>idle</state>"));
		expect_count(h, "S MESSAGE sip:" ROMEO, 1);
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	assert_int_equal(n, 4); /* a client that says no more for five minutes has gone away */
}

static void texts_end_composing(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	juliet(h, "type='chat' id='a'", "<body>hi</body><active xmlns='" STATES "'/>");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'hi'");
	juliet_state(h, "active");
	house_pass(h, 600000);
	NOTHING(h); /* it is known, and nothing is repeated */
	juliet_state(h, "composing");
	expect_count(h, "S MESSAGE", 1);
}

static void unwanted(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 415, "Accept: text/plain\n");
	buf_clear(&h->log);
	juliet_state(h, "paused");
	juliet_state(h, "composing");
	house_pass(h, 600000);
	NOTHING(h);
	/* of no type that has states */
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet(h, "type='headline'", "<composing xmlns='" STATES "'/>");
	NOTHING(h);
}

static void typing_is_not_kept(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet(h, "type='chat' id='a'", "<body>one</body>");
	for (int i = 0; i < 5; i++) { /* while a text is under way only the last one waits */
		juliet_state(h, "composing");
		juliet_state(h, "paused");
	}
	juliet_state(h, "composing");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect_count(h, "S MESSAGE", 1);
	assert_true(sip_has(h, "<state>active</state>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	juliet(h, "type='chat' id='b'", "<body>two</body>");
	buf_clear(&h->log);
	juliet_state(h, "composing");
	house_pass(h, 11000);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h); /* it waited for too long to be true */
}

/* One who types on and off does not keep the texts of others away. */
static void texts_have_their_turn(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet(h, "type='chat' id='a'", "<body>one</body>");
	juliet_state(h, "composing");
	partner_message(h, "nurse@fabrikam.test", ROMEO, "two");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_true(sip_has(h, "<state>active</state>"));
	juliet_state(h, "paused");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_true(sip_has(h, "<state>idle</state>")); /* and that comes, too */
	home_answers(h, "MESSAGE", 0, 200, "");
	/* but not typing that a text has ended */
	juliet(h, "type='chat' id='b'", "<body>three</body>");
	juliet_state(h, "composing");
	juliet(h, "type='chat' id='c'", "<body>four</body>");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'four'");
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
}

/* ---- receipts of SIP users */

static void imdn(struct house *h, const char *from, const char *id, const char *kind, const char *status, bool cpim, const char *cpim_from)
{
	char doc[1024], body[2048];
	snprintf(doc, sizeof doc, "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>%s</message-id><%s-notification><status><%s/></status></%s-notification></imdn>", id,
		 kind, status, kind);
	snprintf(body, sizeof body, "From: <sip:%s>\r\nTo: <sip:" JULIET ">\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: n\r\n\r\nContent-Type: message/imdn+xml\r\n"
		 "Content-Disposition: notification\r\n\r\n%s", cpim_from ? cpim_from : from, doc);
	home_body(h, from, cpim ? "message/cpim" : "message/imdn+xml", "", slice_str(cpim ? body : doc));
}

/* The value of a header line of the last MESSAGE, or of the CPIM document in it. */
static const char *line_of(struct house *h, const char *name)
{
	static char value[128];
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, "MESSAGE", 0);
	ptrdiff_t at = slice_find(m->raw, slice_str(name));
	assert_true(at >= 0);
	struct slice rest = slice_skip(m->raw, (size_t)at + strlen(name));
	slice_cstr(slice_trim(slice_split(&rest, '\r')), value, sizeof value);
	arena_release(NULL, a);
	return value;
}

static const char *asks(struct house *h, const char *id, bool display)
{
	char attributes[64], inner[256];
	snprintf(attributes, sizeof attributes, "type='chat' id='%s'", id);
	snprintf(inner, sizeof inner, "<body>text</body><request " R "/>%s", display ? "<markable " M "/>" : "");
	juliet(h, attributes, inner);
	return NULL;
}

/* The peer takes CPIM once it has sent some. */
static void takes_cpim(struct house *h)
{
	romeo(h, "message/cpim", "From: <sip:" ROMEO ">\r\nTo: <sip:" JULIET ">\r\n\r\nContent-Type: text/plain\r\n\r\nin CPIM");
	house_pass(h, 1000);
	buf_clear(&h->log);
}

static void receipt_by_cpim(void **state)
{
	struct house *h = *state;
	char id[128];
	acquainted(h);
	takes_cpim(h);
	asks(h, "q1", true);
	assert_true(sip_has(h, "Content-Type: message/cpim\r\n") && sip_has(h, "\r\nNS: imdn <urn:ietf:params:imdn>\r\n"));
	assert_true(sip_has(h, "imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n"));
	assert_true(sip_has(h, "From: <sip:" JULIET ">\r\nTo: <sip:" ROMEO ">\r\nDateTime: "));
	snprintf(id, sizeof id, "%s", line_of(h, "imdn.Message-ID:"));
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h); /* the answer is no receipt */
	imdn(h, ROMEO, id, "delivery", "delivered", true, NULL);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 MESSAGE");
	assert_true(stanza_has(h, "<received xmlns='urn:xmpp:receipts' id='q1'/>") && !stanza_has(h, "<request") && stanza_has(h, "type='chat'"));
	imdn(h, ROMEO, id, "delivery", "delivered", true, NULL);
	expect(h, "S 200 MESSAGE"); /* once */
	imdn(h, ROMEO, id, "processing", "processed", true, NULL);
	imdn(h, ROMEO, id, "display", "forbidden", true, NULL);
	imdn(h, ROMEO, id, "display", "error", true, NULL);
	expect_count(h, "X message", 0);
	imdn(h, ROMEO, id, "display", "displayed", true, NULL);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 MESSAGE");
	assert_true(stanza_has(h, "<displayed xmlns='urn:xmpp:chat-markers:0' id='q1'/>"));
	imdn(h, ROMEO, id, "delivery", "failed", true, NULL);
	expect(h, "S 200 MESSAGE"); /* never both */
}

static void displayed_is_delivered(void **state)
{
	struct house *h = *state;
	acquainted(h);
	takes_cpim(h);
	asks(h, "q1", false);
	const char *id = line_of(h, "imdn.Message-ID:");
	assert_false(sip_has(h, "display\r\n"));
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	imdn(h, ROMEO, id, "display", "displayed", false, NULL);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 MESSAGE");
	assert_true(stanza_has(h, "<received xmlns='urn:xmpp:receipts' id='q1'/>"));
}

static void negative(void **state)
{
	struct house *h = *state;
	acquainted(h);
	takes_cpim(h);
	asks(h, "q1", true);
	const char *id = line_of(h, "imdn.Message-ID:");
	home_answers(h, "MESSAGE", 0, 202, "");
	buf_clear(&h->log);
	imdn(h, ROMEO, id, "delivery", "failed", true, NULL);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony recipient-unavailable/wait; S 200 MESSAGE");
	assert_true(stanza_has(h, "id='q1'"));
	imdn(h, ROMEO, id, "delivery", "failed", true, NULL);
	imdn(h, ROMEO, id, "delivery", "delivered", true, NULL);
	imdn(h, ROMEO, id, "display", "displayed", true, NULL);
	expect(h, "S 200 MESSAGE; S 200 MESSAGE; S 200 MESSAGE");
}

/* linphone: no CPIM, the id is the Call-ID of the MESSAGE, the body is deflated, and nobody has asked. */
static void receipt_by_call_id(void **state)
{
	struct house *h = *state;
	char doc[512], call_id[2][128];
	unsigned char octets[512];
	acquainted(h);
	for (int i = 0; i < 2; i++) {
		asks(h, i ? "q1" : "q0", true);
		assert_true(sip_has(h, "Content-Type: text/plain"));
		snprintf(call_id[i], sizeof call_id[i], "%s", line_of(h, "Call-ID:"));
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	assert_string_not_equal(call_id[0], call_id[1]);
	buf_clear(&h->log);
	for (int i = 1; i >= 0; i--) {
		uLongf n = sizeof octets;
		snprintf(doc, sizeof doc, "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>%s</message-id><delivery-notification><status><delivered/></status>"
			 "</delivery-notification></imdn>", call_id[i]);
		assert_int_equal(compress(octets, &n, (const unsigned char *)doc, strlen(doc)), Z_OK);
		home_body(h, ROMEO, "message/imdn+xml", "Content-Encoding: deflate\r\n", slice_of((const char *)octets, n));
		expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 MESSAGE");
		assert_true(stanza_has(h, i ? "id='q1'/>" : "id='q0'/>") && !stanza_has(h, "<body"));
	}
	/* one that we cannot read never becomes a text */
	home_body(h, ROMEO, "message/imdn+xml", "Content-Encoding: br\r\n", S("x"));
	expect(h, "S 415 MESSAGE content/unsupported-type");
	assert_true(house_sip_has(h, "SIP/2.0 415", 0, "Accept-Encoding: identity, deflate, gzip"));
	home_body(h, ROMEO, "message/imdn+xml", "Content-Encoding: deflate\r\n", S("not deflated"));
	expect(h, "S 400 MESSAGE content/malformed");
}

static void receipt_by_answer(void **state)
{
	struct house *h = *state;
	struct gateway_config cfg = h->cfg;
	acquainted(h);
	asks(h, "q1", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h); /* in page mode a server may have answered */
	cfg.signals.by_answer = GATEWAY_ANSWER_ALWAYS;
	gateway_set(h->gateway, &cfg);
	asks(h, "q2", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 202, "");
	NOTHING(h); /* that is only a promise */
	asks(h, "q3", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "X message " ROMEO ">" JULIET "/balcony");
	assert_true(stanza_has(h, "<received xmlns='urn:xmpp:receipts' id='q3'/>"));
	/* not asked, not told */
	juliet(h, "type='chat' id='q4'", "<body>x</body>");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
	asks(h, "q5", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 480, "");
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony recipient-unavailable/wait");
}

static void forged(void **state)
{
	struct house *h = *state;
	int64_t before;
	char id[128];
	acquainted(h);
	takes_cpim(h);
	asks(h, "q1", true);
	snprintf(id, sizeof id, "%s", line_of(h, "imdn.Message-ID:"));
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	before = metric_get(METRIC_SIGNALS_UNKNOWN);
	imdn(h, ROMEO, "made-up", "delivery", "delivered", true, NULL);
	expect(h, "S 200 MESSAGE");
	imdn(h, "tybalt@contoso.test", id, "delivery", "delivered", true, NULL); /* somebody else's message */
	expect(h, "S 200 MESSAGE");
	assert_int_equal(metric_get(METRIC_SIGNALS_UNKNOWN) - before, 2);
	imdn(h, ROMEO, id, "delivery", "delivered", true, "tybalt@contoso.test");
	expect(h, "S 403 MESSAGE content/sender-mismatch");
	/* markers of somebody who is not the partner's user, and of messages that there were not */
	juliet(h, "type='chat'", "<received " R " id='unheard'/>");
	juliet(h, "type='chat'", "<displayed " M " id='unheard'/>");
	partner_says(h, "fabrikam.test", "<message from='nurse@fabrikam.test' to='" ROMEO "'><received " R " id='q1'/></message>");
	NOTHING(h);
	assert_int_equal(metric_get(METRIC_SIGNALS_UNKNOWN) - before, 4);
	imdn(h, ROMEO, id, "delivery", "delivered", true, NULL); /* the true one still counts */
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 MESSAGE");
}

static void strangers(void **state)
{
	struct house *h = *state;
	struct gateway_config cfg = h->cfg;
	cfg.signals.by_answer = GATEWAY_ANSWER_ALWAYS;
	gateway_set(h->gateway, &cfg);
	/* whom the SIP user has never written to does not learn that it is there */
	asks(h, "q1", true);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
	imdn(h, ROMEO, line_of(h, "Call-ID:"), "delivery", "delivered", false, NULL);
	expect(h, "S 200 MESSAGE");
	house_contact(h, S(ROMEO), S(JULIET));
	asks(h, "q2", true);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "X message " ROMEO ">" JULIET "/balcony");
	/* receipts switched off */
	cfg.signals.receipts = false;
	gateway_set(h->gateway, &cfg);
	asks(h, "q3", true);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
}

/* Refused by policy: a text is told, what only goes with texts is not. */
static void refused_by_policy(void **state)
{
	struct house *h = *state;
	partner_says(h, "public.test", "<message from='tybalt@public.test' to='" ROMEO "' type='chat' id='a'><composing xmlns='" STATES "'/></message>");
	partner_says(h, "public.test", "<message from='tybalt@public.test' to='" ROMEO "' id='b'><received " R " id='x'/></message>");
	NOTHING(h);
	partner_says(h, "public.test", "<message from='tybalt@public.test' to='" ROMEO "' type='chat' id='c'><composing xmlns='" STATES "'/><body>x</body></message>");
	expect(h, "X message/error " ROMEO ">tybalt@public.test service-unavailable/cancel");
	/* a text that is none of <body/> is one all the same */
	partner_says(h, "public.test", "<message from='tybalt@public.test' to='" ROMEO "' type='chat' id='d'><active xmlns='" STATES "'/>"
		     "<x xmlns='jabber:x:oob'><url>https://public.test/1</url></x></message>");
	expect(h, "X message/error " ROMEO ">tybalt@public.test service-unavailable/cancel");
	juliet(h, "type='chat' id='e'", "<active xmlns='" STATES "'/><encrypted xmlns='eu.siacs.conversations.axolotl'><payload>AA==</payload></encrypted>");
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony not-acceptable/modify");
}

/* ---- receipts of XMPP users */

static void wants(struct house *h, const char *what, char id[64])
{
	char body[1024];
	snprintf(body, sizeof body, "From: <sip:" ROMEO ">\r\nTo: <sip:" JULIET ">\r\nDateTime: 2020-09-13T12:26:40Z\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: sip-1\r\n"
		 "%s%s\r\nContent-Type: text/plain\r\n\r\nhello", what ? "imdn.Disposition-Notification: " : "", what ? what : "");
	if (what) {
		char *end = strstr(body, "\r\nContent-Type");
		memmove(end + 2, end, strlen(end) + 1);
		memcpy(end, "\r\n", 2);
	}
	romeo(h, "message/cpim", body);
	*id = 0;
	const char *at = strstr(h->stanza, " id='");
	if (at)
		sscanf(at + 5, "%63[^']", id);
	house_pass(h, 1000);
	buf_clear(&h->log);
}

static void receipt_from_xmpp(void **state)
{
	struct house *h = *state;
	char id[64], inner[256];
	acquainted(h);
	wants(h, "positive-delivery, display", id);
	assert_true(stanza_has(h, "<request xmlns='urn:xmpp:receipts'/>") && stanza_has(h, "<markable xmlns='urn:xmpp:chat-markers:0'/>"));
	snprintf(inner, sizeof inner, "<received " R " id='%s'/>", id);
	juliet(h, "id='other'", inner); /* the attribute counts, not the stanza's id */
	expect_count(h, "S MESSAGE sip:" ROMEO, 1);
	assert_true(sip_has(h, "Content-Type: message/cpim\r\n") && sip_has(h, "Content-Disposition: notification\r\n"));
	assert_true(sip_has(h, "From: <sip:" JULIET ">\r\nTo: <sip:" ROMEO ">\r\n") && sip_has(h, "<message-id>sip-1</message-id>"));
	assert_true(sip_has(h, "<datetime>2020-09-13T12:26:40Z</datetime>") && sip_has(h, "<delivery-notification><status><delivered/>"));
	assert_true(sip_has(h, "<recipient-uri>sip:" JULIET "</recipient-uri>"));
	assert_false(sip_has(h, "Disposition-Notification")); /* IMDN never asks for IMDN */
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet(h, "id='other'", inner);
	NOTHING(h);
	snprintf(inner, sizeof inner, "<displayed " M " id='%s'/>", id);
	juliet(h, "type='chat'", inner);
	expect_count(h, "S MESSAGE", 1);
	assert_true(sip_has(h, "<display-notification><status><displayed/>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet(h, "type='chat'", inner);
	NOTHING(h);
}

static void asked_alone(void **state)
{
	struct house *h = *state;
	char id[64], inner[256];
	acquainted(h);
	wants(h, "display", id);
	assert_true(!stanza_has(h, "urn:xmpp:receipts") && stanza_has(h, "<markable"));
	snprintf(inner, sizeof inner, "<received " R " id='%s'/>", id);
	juliet(h, "", inner);
	NOTHING(h); /* not asked for */
	snprintf(inner, sizeof inner, "<displayed " M " id='%s'/>", id);
	juliet(h, "", inner);
	expect_count(h, "S MESSAGE", 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	wants(h, NULL, id);
	assert_true(!stanza_has(h, "urn:xmpp:receipts") && !stanza_has(h, "chat-markers"));
	snprintf(inner, sizeof inner, "<received " R " id='%s'/><displayed " M " id='%s'/>", id, id);
	juliet(h, "", inner);
	NOTHING(h);
	/* a marker says both where both were asked for */
	wants(h, "positive-delivery, display", id);
	snprintf(inner, sizeof inner, "<displayed " M " id='%s'/>", id);
	juliet(h, "", inner);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect_count(h, "S MESSAGE", 2);
}

/* ---- failures after the fact */

static void fails(struct house *h, const char *id, const char *type, const char *condition)
{
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error' id='%s'><error type='%s'><%s "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>click here</text></error></message>", id, type, condition);
}

static void negative_to_sip(void **state)
{
	static const struct {
		const char *type, *condition, *status;
	} rows[] = {
		{"cancel", "item-not-found", "<failed/>"}, {"cancel", "service-unavailable", "<failed/>"}, {"wait", "recipient-unavailable", "<failed/>"},
		{"auth", "forbidden", "<forbidden/>"}, {"auth", "not-authorized", "<forbidden/>"}, {"wait", "internal-server-error", "<error/>"},
	};
	struct house *h = *state;
	char id[64];
	acquainted(h);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		wants(h, "positive-delivery, negative-delivery", id);
		fails(h, id, rows[i].type, rows[i].condition);
		expect_count(h, "S MESSAGE sip:" ROMEO, 1);
		assert_true(sip_has(h, "<delivery-notification><status>") && sip_has(h, rows[i].status) && sip_has(h, "<message-id>sip-1<"));
		home_answers(h, "MESSAGE", 0, 200, "");
		fails(h, id, rows[i].type, rows[i].condition);
		NOTHING(h); /* once */
		house_pass(h, 61000);
	}
}

static void never_both(void **state)
{
	struct house *h = *state;
	char id[64], inner[128];
	acquainted(h);
	wants(h, "positive-delivery, negative-delivery", id);
	snprintf(inner, sizeof inner, "<received " R " id='%s'/>", id);
	juliet(h, "", inner);
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	fails(h, id, "cancel", "service-unavailable"); /* of another of its clients */
	NOTHING(h);
	wants(h, "positive-delivery, negative-delivery", id);
	fails(h, id, "cancel", "service-unavailable");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	snprintf(inner, sizeof inner, "<received " R " id='%s'/>", id);
	juliet(h, "", inner);
	NOTHING(h);
}

static void text_of(struct house *h, const char *text, char id[64])
{
	home_message(h, ROMEO, JULIET, text);
	const char *at = strstr(h->stanza, " id='");
	assert_non_null(at);
	sscanf(at + 5, "%63[^']", id);
	house_pass(h, 1000);
	buf_clear(&h->log);
}

static void notices(void **state)
{
	static const struct {
		const char *condition, *want;
	} rows[] = {
		{"item-not-found", "[not delivered] \"hello\": there is no such user"},
		{"service-unavailable", "[not delivered] \"hello\": the user cannot be reached"},
		{"remote-server-timeout", "[not delivered] \"hello\": the user's server does not answer"},
		{"forbidden", "[not delivered] \"hello\": the user's server does not allow it"},
		{"undefined-condition", "[not delivered] \"hello\": the user's server refused it"},
	};
	struct house *h = *state;
	struct gateway_config cfg = h->cfg;
	char id[64], want[256];
	acquainted(h);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		text_of(h, "hello", id);
		fails(h, id, "cancel", rows[i].condition); /* not in the partner's words */
		snprintf(want, sizeof want, "S MESSAGE sip:" ROMEO " '%s'", rows[i].want);
		expect(h, want);
		home_answers(h, "MESSAGE", 0, 486, "");
		NOTHING(h); /* whatever becomes of it, it is no message of anybody's */
	}
	/* a burst is told, a storm is not; after a while there is room for one again */
	text_of(h, "six", id);
	fails(h, id, "cancel", "item-not-found");
	NOTHING(h);
	house_pass(h, 60000);
	text_of(h, "seven", id);
	fails(h, id, "cancel", "item-not-found");
	expect(h, "S MESSAGE sip:" ROMEO " '[not delivered] \"seven\": there is no such user'");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 600000);
	cfg.signals.notices = false;
	gateway_set(h->gateway, &cfg);
	text_of(h, "eight", id);
	fails(h, id, "cancel", "item-not-found");
	NOTHING(h);
}

static void long_text(void **state)
{
	struct house *h = *state;
	char id[64], text[500];
	acquainted(h);
	for (size_t i = 0; i + 2 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xbc", 3);
	text_of(h, text, id);
	fails(h, id, "cancel", "item-not-found");
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, "MESSAGE", 0);
	assert_true(m->body.len < 160 && slice_find(m->body, S("...\": there is no such user")) > 0);
	arena_release(NULL, a);
}

/* Its end in the decision log. */
static bool late(void *arg, const struct record *r)
{
	*(int *)arg += r->outcome == RECORD_FAILED && r->reason == REASON_XMPP_FAILED_LATER;
	return true;
}

static void recorded(void **state)
{
	struct house *h = *state;
	char id[64];
	int n = 0;
	acquainted(h);
	text_of(h, "hello", id);
	record_each(h->records, late, &n);
	assert_int_equal(n, 0);
	fails(h, id, "cancel", "item-not-found");
	record_each(h->records, late, &n);
	assert_int_equal(n, 1);
}

/* ---- in a session of the Lync dialect */

#define IM "v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n"
#define TYPES "<KeyboardActivity><status status='type'/></KeyboardActivity>"

/* Juliet opens it; her client speaks of chat states. */
static void in_session(struct house *h)
{
	struct arena *a;
	h->dialect = GATEWAY_DIALECT_LYNC;
	house_contact(h, S(ROMEO), S(JULIET));
	juliet(h, "type='chat' id='first'", "<body>hi</body><active xmlns='" STATES "'/>");
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	home_says(h, "SIP/2.0 200 OK\nVia: %.*s\nFrom: %.*s\nTo: <sip:" ROMEO ">;tag=hometag\nCall-ID: %.*s\nCSeq: %u INVITE\nContact: <sip:192.0.2.1:5060;transport=tcp>\n"
		  "Content-Type: application/sdp\n\n" IM, SFMT(sip_msg_header(m, SIP_H_VIA, 0)->value), SFMT(sip_msg_header(m, SIP_H_FROM, 0)->value), SFMT(m->call_id), m->cseq);
	arena_release(NULL, a);
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
}

static void romeo_in_session(struct house *h, const char *method, unsigned cseq, const char *type, const char *body)
{
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	home_says(h, "%s sip:juliet@gw.contoso.test:5060;transport=tcp SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKd%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO
		  ">;tag=hometag\nTo: <sip:" JULIET ">;tag=%.*s\nCall-ID: %.*s\nCSeq: %u %s\nContent-Type: %s\n\n%s",
		  method, ++h->branch, SFMT(m->from.tag), SFMT(m->call_id), cseq, method, type, body);
	arena_release(NULL, a);
}

static void keyboard_in(void **state)
{
	struct house *h = *state;
	in_session(h);
	romeo_in_session(h, "INFO", 2, "application/xml", TYPES);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 INFO");
	assert_true(stanza_has(h, "<composing xmlns='" STATES "'/>"));
	for (unsigned i = 0; i < 5; i++) { /* it says so all the time */
		house_pass(h, 4000);
		romeo_in_session(h, "INFO", 3 + i, "application/xml", TYPES);
		expect(h, "S 200 INFO");
	}
	house_pass(h, 9999);
	NOTHING(h);
	house_pass(h, 1); /* and never says that it has stopped */
	expect(h, "X message " ROMEO ">" JULIET "/balcony");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>"));
	romeo_in_session(h, "INFO", 8, "application/xml", "<media_control/>");
	expect(h, "S 415 INFO");
	romeo_in_session(h, "INFO", 9, "application/csta+xml", "x");
	expect(h, "S 415 INFO");
	house_pass(h, 5000);
	romeo_in_session(h, "INFO", 10, "application/im-iscomposing+xml", ACTIVE);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 INFO");
}

static void keyboard_out(void **state)
{
	struct house *h = *state;
	unsigned n = 0;
	in_session(h);
	juliet_state(h, "composing");
	expect_count(h, "S INFO", 1);
	assert_true(house_sip_has(h, "INFO", 0, "Content-Type: application/xml\r\n") && house_sip_has(h, "INFO", 0, "<status status=\"type\""));
	home_answers(h, "INFO", 0, 200, "");
	juliet_state(h, "composing");
	NOTHING(h);
	house_pass(h, 4999);
	NOTHING(h);
	house_pass(h, 1);
	expect_count(h, "S INFO", 1); /* Lync forgets what is not repeated */
	home_answers(h, "INFO", 0, 200, "");
	juliet_state(h, "paused");
	expect_count(h, "S INFO", 1);
	assert_true(house_sip_has(h, "INFO", 0, "<status status=\"idle\""));
	home_answers(h, "INFO", 0, 200, "");
	house_pass(h, 60000);
	NOTHING(h);
	juliet_state(h, "composing");
	for (; n < 50; n++) {
		if (house_sip_has(h, "INFO", 0, "status=\"idle\"") && n)
			break;
		home_answers(h, "INFO", 0, 200, "");
		house_pass(h, 5000);
	}
	assert_int_equal(n, 12); /* a minute */
	home_answers(h, "INFO", 0, 200, "");
	buf_clear(&h->log);
	house_pass(h, 60000);
	NOTHING(h);
	/* one that does not understand is left alone */
	juliet_state(h, "composing");
	home_answers(h, "INFO", 0, 415, "");
	buf_clear(&h->log);
	house_pass(h, 60000);
	NOTHING(h);
}

static void receipt_in_session(void **state)
{
	struct house *h = *state;
	struct gateway_config cfg = h->cfg;
	in_session(h);
	asks(h, "q1", true);
	assert_true(sip_has(h, "Content-Type: text/plain"));
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "X message " ROMEO ">" JULIET "/balcony"); /* it is the client that answers there */
	assert_true(stanza_has(h, "<received xmlns='urn:xmpp:receipts' id='q1'/>"));
	asks(h, "q2", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 202, "");
	NOTHING(h);
	cfg.signals.by_answer = GATEWAY_ANSWER_NEVER;
	gateway_set(h->gateway, &cfg);
	asks(h, "q3", false);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
}

static void failure_in_session(void **state)
{
	struct house *h = *state;
	char id[64];
	in_session(h);
	romeo_in_session(h, "MESSAGE", 2, "text/plain", "hello");
	sscanf(strstr(h->stanza, " id='") + 5, "%63[^']", id);
	house_pass(h, 1000);
	buf_clear(&h->log);
	fails(h, id, "cancel", "service-unavailable");
	expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp '[not delivered] \"hello\": the user cannot be reached'");
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
	/* a message of Lync's that nobody remembers */
	romeo_in_session(h, "MESSAGE", 3, "application/ms-imdn+xml", "<imdn><message-id>7</message-id></imdn>");
	expect(h, "S 200 MESSAGE");
}

static void session_ends(void **state)
{
	struct house *h = *state;
	in_session(h);
	juliet_state(h, "composing");
	home_answers(h, "INFO", 0, 200, "");
	buf_clear(&h->log);
	romeo_in_session(h, "BYE", 2, "text/plain", "");
	expect_count(h, "X message " ROMEO ">" JULIET, 1);
	assert_true(stanza_has(h, "<gone xmlns='" STATES "'/>"));
	house_pass(h, 600000);
	NOTHING(h); /* nothing is repeated into a session that there is not */
	juliet_state(h, "paused");
	NOTHING(h);
}

/* ---- limits */

static void too_late(void **state)
{
	struct house *h = *state;
	char id[64];
	acquainted(h);
	text_of(h, "hello", id);
	house_pass(h, 86400000);
	fails(h, id, "cancel", "item-not-found");
	NOTHING(h);
}

static void bounded(void **state)
{
	struct house *h = *state;
	char id[64], first[64];
	acquainted(h);
	text_of(h, "first", first);
	for (int i = 0; i < 31; i++)
		text_of(h, "more", id);
	fails(h, first, "cancel", "item-not-found");
	expect_count(h, "S MESSAGE", 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	for (int i = 0; i < 32; i++)
		text_of(h, "more", id);
	house_pass(h, 600000);
	fails(h, first, "cancel", "item-not-found");
	NOTHING(h); /* the oldest gave way */
	fails(h, id, "cancel", "item-not-found");
	expect_count(h, "S MESSAGE", 1);
}

static void many_conversations(void **state)
{
	struct house *h = *state;
	char to[64];
	/* more than max_conversations: those that are forgotten take their memory along */
	for (int i = 0; i < 150; i++) {
		snprintf(to, sizeof to, "u%d@fabrikam.test", i);
		home_message(h, ROMEO, to, "hello");
		house_pass(h, 1000);
		partner_says(h, "fabrikam.test", "<message from='%s/r' to='" ROMEO "' type='chat' id='a'><body>x</body><request " R "/><composing xmlns='" STATES "'/></message>", to);
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	house_restart(h, 1000);
	house_pass(h, 600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(states_to_xmpp), T(state_of_the_moment), T(refresh_expires), T(text_ends_typing), T(no_states_unasked), T(refused_states),
		T(states_to_sip), T(composing_is_refreshed), T(texts_end_composing), T(unwanted), T(typing_is_not_kept), T(texts_have_their_turn), T(receipt_by_cpim),
		T(displayed_is_delivered), T(negative), T(receipt_by_call_id), T(receipt_by_answer), T(forged), T(strangers), T(refused_by_policy),
		T(receipt_from_xmpp), T(asked_alone), T(negative_to_sip), T(never_both), T(notices), T(long_text), T(recorded), T(too_late), T(bounded),
		T(keyboard_in), T(keyboard_out), T(receipt_in_session), T(failure_in_session), T(session_ends),
		T(many_conversations),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
