/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts, read markers and failures after the fact, through the gateway: each row of the table of what crosses (interworking spec 4.4), what must
 * not, and the limits. */
#include "signalling.h"

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
/* ---- in a session of Lync's dialect */

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
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(receipt_by_cpim), T(displayed_is_delivered), T(negative), T(receipt_by_call_id), T(receipt_by_answer), T(forged),
		T(strangers), T(refused_by_policy), T(receipt_from_xmpp), T(asked_alone), T(negative_to_sip), T(never_both),
		T(notices), T(long_text), T(recorded), T(receipt_in_session), T(failure_in_session), T(too_late), T(bounded),
		T(many_conversations),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
