/* SPDX-License-Identifier: Apache-2.0 */
/* Instant messages through the gateway: both ways, in order, errors both ways, policy, limits. */
#include "house.h"

#include <stdio.h>

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

static void error(struct house *h, const char *from, const char *condition)
{
	/* the stanza that went out last, given back */
	struct arena *a = arena_new(1 << 20);
	struct xml_node *n;
	assert_int_equal(xml_parse(&n, a, slice_str(h->stanza), &xml_limits_default, NULL), 0);
	partner_says(h, "fabrikam.test",
		     "<message from='%s' to='%.*s' type='error' id='%.*s'><error type='cancel'><%s "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
		     "</error></message>",
		     from, SFMT(xml_attr(n, S("from"))), SFMT(xml_attr(n, S("id"))), condition);
	arena_release(NULL, a);
}

/* ---- SIP to XMPP */

static void first_is_held(void **state)
{
	struct house *h = *state;
	home_message(h, ROMEO, JULIET, "hello");
	expect(h, "store +contact " ROMEO " " JULIET " message; X message " ROMEO ">" JULIET " 'hello'");
	house_pass(h, 499);
	expect(h, "");
	house_pass(h, 1);
	expect(h, "S 200 MESSAGE");
	home_message(h, ROMEO, JULIET, "and again");
	expect(h, "X message " ROMEO ">" JULIET " 'and again'; S 200 MESSAGE"); /* the contact exists: no wait */
}

static void unknown_contact(void **state)
{
	static const struct {
		const char *condition, *answer;
	} rows[] = {
		{"item-not-found", "S 404 MESSAGE"}, {"service-unavailable", "S 403 MESSAGE"}, {"forbidden", "S 403 MESSAGE"},
		{"recipient-unavailable", "S 480 MESSAGE"}, {"remote-server-not-found", "S 404 MESSAGE"},
	};
	struct house *h = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		home_message(h, ROMEO, JULIET, "hello");
		house_pass(h, 100);
		buf_clear(&h->log);
		error(h, JULIET, rows[i].condition);
		expect(h, rows[i].answer);
		house_pass(h, 60000);
		expect(h, "");
	}
}

static void late_error(void **state)
{
	struct house *h = *state;
	home_message(h, ROMEO, JULIET, "one");
	house_pass(h, 500);
	expect_count(h, "S 200", 1);
	error(h, JULIET, "item-not-found");
	expect(h, "S MESSAGE sip:" ROMEO " '[not delivered] \"one\": there is no such user'"); /* answered already: nothing can be taken back */
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
	home_message(h, ROMEO, JULIET, "two"); /* but the next one waits again */
	expect(h, "X message " ROMEO ">" JULIET " 'two'");
	error(h, JULIET, "item-not-found");
	expect(h, "S 404 MESSAGE");
	/* errors that belong to nothing, or to somebody else's message */
	home_message(h, ROMEO, JULIET, "three");
	buf_clear(&h->log);
	error(h, "nurse@fabrikam.test", "item-not-found");
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error' id='unheard'/>");
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error'/>");
	partner_says(h, "fabrikam.test", "<message from='fabrikam.test' to='contoso.test' type='error' id='x'/>");
	expect(h, "");
	house_pass(h, 500);
	expect(h, "S 200 MESSAGE");
}

static void known_by_writing(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "hello");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	home_message(h, ROMEO, JULIET, "hi");
	expect_count(h, "S 200 MESSAGE", 1);
}

/* What becomes of the stanza decides. */
static void delivery(void **state)
{
	static const struct {
		enum reason why;
		const char *answer;
	} rows[] = {
		{REASON_XMPP_DNS, "S 404 MESSAGE xmpp/dns-not-found"},
		{REASON_XMPP_UNREACHABLE, "S 504 MESSAGE xmpp/unreachable"},
		{REASON_XMPP_CERTIFICATE, "S 504 MESSAGE xmpp/certificate"},
		{REASON_LIMIT_QUEUE_FULL, "S 503 MESSAGE limit/queue-full"},
		{REASON_LIMIT_SIZE, "S 513 MESSAGE limit/size"},
	};
	struct house *h = *state;
	for (int known = 0; known < 2; known++)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			h->link = i % 2 ? LINK_QUEUED : LINK_BAD; /* from inside xmpp_send, or later */
			h->why = rows[i].why;
			home_message(h, ROMEO, JULIET, "hello");
			house_pass(h, 20000);
			buf_clear(&h->log);
			if (h->link == LINK_QUEUED) {
				house_release(h, rows[i].why);
				expect(h, rows[i].answer);
			} else {
				home_message(h, ROMEO, JULIET, "hello");
				expect_count(h, rows[i].answer, 1);
			}
			h->link = LINK_FINE;
			if (!known && i == sizeof rows / sizeof *rows - 1) {
				home_message(h, ROMEO, JULIET, "x");
				house_pass(h, 500);
				buf_clear(&h->log);
			}
		}
}

/* The partner's stream needs a while. */
static void slow_stream(void **state)
{
	struct house *h = *state;
	h->link = LINK_QUEUED;
	home_message(h, ROMEO, JULIET, "hello");
	house_pass(h, 10000);
	expect_count(h, "S 200", 0);
	house_release(h, REASON_NONE);
	expect(h, "");
	error(h, JULIET, "service-unavailable"); /* the time for errors begins when it was handed over */
	expect(h, "S 403 MESSAGE");
	/* nobody ever reports: the transaction is over, the record too */
	h->link = LINK_SILENT;
	home_message(h, ROMEO, JULIET, "hello");
	buf_clear(&h->log);
	house_pass(h, 41000);
	expect(h, "");
}

static void refused_by_policy(void **state)
{
	struct house *h = *state;
	home_message(h, ROMEO, "who@nowhere.test", "x");
	expect(h, "S 403 MESSAGE policy/partner-unknown");
	home_message(h, ROMEO, "who@off.test", "x");
	expect(h, "S 403 MESSAGE policy/partner-disabled");
	home_message(h, "mallory@evil.test", JULIET, "x");
	expect(h, "S 403 MESSAGE policy/spoofed-domain");
	home_message(h, JULIET, ROMEO, "x");
	expect(h, "S 482 MESSAGE policy/loop");
	home_message(h, ROMEO, "tybalt@contoso.test", "x");
	expect(h, "S 482 MESSAGE policy/loop");
	assert_int_equal(house_records(h->contacts), 0); /* nobody was learned from it */
	house_policy(h, POLICY_FEDERATED, true, false);
	home_message(h, ROMEO, JULIET, "x");
	expect(h, "S 403 MESSAGE policy/xmpp-off");
}

static void refused_addresses(void **state)
{
#define MESSAGE_TO(uri)                                                                                                          \
	"MESSAGE " uri " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO             \
	">;tag=1\nTo: <" uri ">\n"                                                                                               \
	"Call-ID: a%d\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n\nx"
	struct house *h = *state;
	int n = 0;
#define TO(uri, answer)                            \
	do {                                       \
		n++;                               \
		home_says(h, MESSAGE_TO(uri), n, n); \
		expect(h, answer);                 \
	} while (0)
	TO("sips:juliet@fabrikam.test", "S 480 MESSAGE address/sips-not-allowed");
	assert_true(house_sip_has(h, "SIP/2.0 480", 0, "Warning: 380"));
	TO("tel:+12125551212", "S 416 MESSAGE address/scheme");
	TO("sip:juliet@192.0.2.9", "S 404 MESSAGE address/impossible");
	TO("sip:juliet@[2001:db8::1]", "S 404 MESSAGE address/impossible");
	TO("sip:%%20a@fabrikam.test", "S 404 MESSAGE address/impossible");
	TO("sip:x%%00y@fabrikam.test", "S 400 MESSAGE address/malformed");
}

static void refused_content(void **state)
{
	struct house *h = *state;
	int n = 0;
#define CONTENT(type, more, body)                                                                                                \
	do {                                                                                                                     \
		n++;                                                                                                             \
		home_says(h,                                                                                                     \
			  "MESSAGE sip:" JULIET                                                                                  \
			  " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKc%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO          \
			  ">;tag=1\nTo: <sip:" JULIET ">\nCall-ID: c%d\nCSeq: 1 MESSAGE\nContent-Type: " type "\n" more          \
			  "\n" body,                                                                                             \
			  n, n);                                                                                                 \
	} while (0)
	CONTENT("image/gif", "", "GIF89a");
	expect(h, "S 415 MESSAGE content/unsupported-type");
	assert_true(house_sip_has(h, "SIP/2.0 415", 0, "Accept: "));
	CONTENT("text/plain", "Content-Encoding: br\n", "x");
	expect(h, "S 415 MESSAGE content/unsupported-type");
	assert_true(house_sip_has(h, "SIP/2.0 415", 0, "Accept-Encoding: identity, deflate, gzip"));
	CONTENT("text/plain", "Content-Encoding: gzip\n", "x");
	expect(h, "S 400 MESSAGE content/malformed");
	CONTENT("application/im-iscomposing+xml", "", "<isComposing/>"); /* nothing to carry, no reason to refuse */
	expect(h, "S 200 MESSAGE");
	CONTENT("text/plain", "Expires: 1\nDate: Sat, 01 Jan 2000 00:00:00 GMT\n", "too late");
	expect(h, "S 200 MESSAGE");
}

static void large(void **state)
{
	struct house *h = *state;
	char *text = malloc(200001);
	memset(text, 'x', 200000);
	text[200000] = 0;
	h->cfg.im.max_stanza = 20000;
	house_restart(h, 0);
	struct sip_limits lim = sip_limits_default;
	assert_true(lim.max_message >= 65536);
	text[40000] = 0;
	home_message(h, ROMEO, JULIET, text);
	expect(h, "S 513 MESSAGE content/too-large");
	text[10000] = 0;
	home_message(h, ROMEO, JULIET, text);
	expect_count(h, "X message", 1);
	free(text);
}

#define TOO_LARGE "X message/error " ROMEO ">" JULIET "/balcony policy-violation/modify"

/* RFC 3428 8: by UDP little, by TCP more; refused whole, and the next one goes. */
static void large_to_sip(void **state)
{
	struct house *h = *state;
	static char text[30000];
	for (int udp = 1; udp >= 0; udp--) {
		h->udp = udp;
		memset(text, 'x', sizeof text);
		text[udp ? 1200 : 19900] = 0;
		partner_message(h, JULIET "/balcony", ROMEO, text);
		expect(h, TOO_LARGE);
		text[udp ? 700 : 19000] = 0;
		partner_message(h, JULIET "/balcony", ROMEO, text);
		struct arena *a;
		assert_int_equal(house_sip(h, &a, "MESSAGE", 0)->body.len, strlen(text));
		arena_release(NULL, a);
		home_answers(h, "MESSAGE", 0, 200, "");
		buf_clear(&h->log);
	}
}

/* A SIP user's device, by its gr, is the sender's resource; gr of the target reaches one device. */
static void instances(void **state)
{
	struct house *h = *state;
	home_says(h, "MESSAGE sip:" JULIET
		     ";gr=phone SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi1\nMax-Forwards: 70\nFrom: <sip:" ROMEO
		     ";gr=desk>;tag=1\n"
		     "To: <sip:" JULIET ";gr=phone>\nCall-ID: i1\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n\nhello");
	expect_count(h, "X message " ROMEO "/desk>" JULIET "/phone 'hello'", 1);
}

static void conversation_limit(void **state)
{
	struct house *h = *state;
	char to[64];
	h->cfg.max_conversations = 3;
	house_restart(h, 0);
	for (int i = 0; i < 20; i++) {
		snprintf(to, sizeof to, "c%d@fabrikam.test", i);
		home_message(h, ROMEO, to, "x");
		house_pass(h, 500);
	}
	expect_count(h, "S 200 MESSAGE", 20);
	/* the latest three are remembered: their answers do not wait */
	home_message(h, ROMEO, "c19@fabrikam.test", "x");
	expect_count(h, "S 200 MESSAGE", 1);
	home_message(h, ROMEO, "c0@fabrikam.test", "x");
	expect_count(h, "S 200 MESSAGE", 0);
	h->cfg.max_conversations = 0; /* at least the present one */
	house_restart(h, 0);
	home_message(h, ROMEO, JULIET, "x");
	home_message(h, ROMEO, "c0@fabrikam.test", "x");
	house_pass(h, 500);
	expect_count(h, "S 200 MESSAGE", 2);
}

/* ---- XMPP to SIP */

static void fifo(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	partner_message(h, "nurse@fabrikam.test", ROMEO, "two");
	partner_message(h, JULIET "/balcony", ROMEO, "three");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'"); /* one at a time (RFC 3428 8) */
	partner_message(h, JULIET "/balcony", "mercutio@contoso.test", "other");
	expect(h, "S MESSAGE sip:mercutio@contoso.test 'other'"); /* per SIP user */
	home_answers(h, "MESSAGE sip:" ROMEO, 0, 180, ""); /* no final answer */
	expect(h, "");
	home_answers(h, "MESSAGE sip:" ROMEO, 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE sip:" ROMEO, 0, 202, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'three'");
	home_answers(h, "MESSAGE sip:" ROMEO, 0, 200, "");
	home_answers(h, "MESSAGE sip:mercutio", 0, 200, "");
	expect(h, "");
	house_pass(h, 60000);
	expect(h, "");
	partner_message(h, JULIET, ROMEO, "four");
	expect(h, "S MESSAGE sip:" ROMEO " 'four'");
}

static void request_fields(void **state)
{
	struct house *h = *state;
	struct arena *a;
	partner_message(h, JULIET "/my phone", ROMEO "/orchard", "gr&#252;&#223;e\nzwei");
	struct sip_msg *m = house_sip(h, &a, "MESSAGE", 0);
	assert_true(slice_eq(m->uri_text, S("sip:" ROMEO)));
	assert_true(slice_eq(m->from.uri_text, S("sip:" JULIET))); /* no gr: peers reject it (interworking spec 1.3 step 7) */
	assert_true(m->from.tag.len > 0);
	assert_true(slice_eq(m->to.uri_text, S("sip:" ROMEO)));
	assert_int_equal(m->to.tag.len, 0);
	assert_null(sip_msg_header(m, SIP_H_CONTACT, 0)); /* RFC 3428 4 */
	assert_true(slice_eq(m->body, S("gr\xc3\xbc\xc3\x9f" "e\r\nzwei")));
	struct slice call_id = m->call_id;
	home_answers(h, "MESSAGE", 0, 200, "");
	/* the next of this conversation: the same tag, the next number, a Call-ID of its own (RFC 3261 8.1.1.4) */
	struct arena *b;
	partner_message(h, JULIET "/balcony", ROMEO, "again");
	struct sip_msg *next = house_sip(h, &b, "MESSAGE", 0);
	assert_true(!slice_eq(next->call_id, call_id) && slice_eq(next->from.tag, m->from.tag));
	assert_int_equal(next->cseq, m->cseq + 1);
	arena_release(NULL, a);
	arena_release(NULL, b);
}

/* A message is done when the home has it or when its error is away, and not before; what needs neither is done at once. */
static void done_when_final(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/r", ROMEO, "one");
	partner_message(h, JULIET "/r", ROMEO, "two");
	house_pass(h, 5000);
	assert_int_equal(h->n_done, 0);
	home_answers(h, "MESSAGE", 0, 180, "");
	assert_int_equal(h->n_done, 0);
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(h->n_done, 1);
	assert_true(h->done[0]);
	h->link = LINK_QUEUED;
	home_answers(h, "MESSAGE", 0, 480, "");
	house_pass(h, 1000);
	assert_int_equal(h->n_done, 1); /* the error still waits for the stream */
	house_release(h, REASON_NONE);
	assert_int_equal(h->n_done, 2);
	partner_message(h, JULIET "/r", ROMEO, "three"); /* the home never answers, and then the error cannot be sent */
	house_pass(h, 31000);
	assert_int_equal(h->n_done, 2);
	house_pass(h, 2000);
	assert_int_equal(h->n_done, 2);
	house_release(h, REASON_XMPP_UNREACHABLE);
	assert_int_equal(h->n_done, 3);
	partner_message(h, JULIET "/r", "nobody@contoso.test", "four");
	home_answers(h, "MESSAGE", 0, 404, "");
	assert_int_equal(h->n_done, 3);
	house_release(h, REASON_NONE);
	assert_int_equal(h->n_done, 4);
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='chat'><composing "
		     "xmlns='http://jabber.org/protocol/chatstates'/></message>");
	assert_int_equal(h->n_done, 5);
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error' id='x'/>");
	assert_int_equal(h->n_done, 6);
	partner_presence(h, JULIET "/r", ROMEO, NULL, "");
	assert_int_equal(h->n_done, 7);
	partner_says(h, "fabrikam.test", "<iq from='" JULIET "/r' to='" ROMEO "' type='get' id='y'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(h->n_done, 8);
	/* what is under way when the gateway ends is not done */
	partner_message(h, JULIET "/r", ROMEO, "five");
	house_restart(h, 0);
	assert_int_equal(h->n_receipts, 9);
	buf_clear(&h->log);
}

static void errors_from_home(void **state)
{
	static const struct {
		int status;
		const char *error;
	} rows[] = {
		{404, "service-unavailable/cancel"}, /* who exists is not told */
		{480, "recipient-unavailable/wait"},
		{486, "recipient-unavailable/wait"},
		{403, "forbidden/auth"},
		{503, "internal-server-error/wait"},
		{415, "not-acceptable/modify"},
		{600, "recipient-unavailable/wait"},
		{500, "internal-server-error/cancel"},
		{302, "redirect/modify"},
	};
	struct house *h = *state;
	char want[128];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		partner_message(h, JULIET "/balcony", ROMEO, "x");
		buf_clear(&h->log);
		home_answers(h, "MESSAGE", 0, rows[i].status, "");
		snprintf(want, sizeof want, "X message/error " ROMEO ">" JULIET "/balcony %s", rows[i].error);
		expect(h, want);
		assert_true(slice_find(slice_str(h->stanza), S("id='x")) > 0 ||
			    slice_find(slice_str(h->stanza), S("id=\"x")) > 0);
	}
}

static void home_silent(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET, ROMEO, "one");
	partner_message(h, JULIET, ROMEO, "two");
	buf_clear(&h->log);
	house_pass(h, 31999);
	expect(h, "");
	house_pass(h, 1);
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/wait; S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 60000);
	expect(h, "");
}

static void home_down(void **state)
{
	struct house *h = *state;
	/* no connection */
	h->home_unreachable = true;
	partner_message(h, JULIET, ROMEO, "one");
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/wait");
	h->home_unreachable = false;
	/* the connection breaks while several wait: each gets its error, in order */
	partner_message(h, JULIET, ROMEO, "one");
	partner_message(h, JULIET, ROMEO, "two");
	partner_message(h, JULIET, ROMEO, "three");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	struct sip_flow flow = {.transport = SIP_TCP, .conn = 7, .target = 0};
	h->home_unreachable = true;
	sip_stack_transport_failed(h->stack, &flow);
	house_pass(h, SIP_REPEAT_MS - 1000); /* the first may have arrived: it waits for another connection */
	expect(h, "");
	house_pass(h, 2000);
	expect_count(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/wait", 3);
	/* no such home any more */
	h->home_unreachable = false;
	h->no_home = true;
	for (int i = 0; i < 3; i++)
		partner_message(h, JULIET, ROMEO, "one");
	expect_count(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/wait", 3);
	h->no_home = false;
	partner_message(h, JULIET, ROMEO, "back");
	expect(h, "S MESSAGE sip:" ROMEO " 'back'");
}

static void queue_limit(void **state)
{
	struct house *h = *state; /* max_queue 5 */
	char text[16];
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof text, "%d", i);
		partner_message(h, JULIET, ROMEO, text);
	}
	expect(h, "S MESSAGE sip:" ROMEO " '0'; X message/error " ROMEO ">" JULIET
		  " resource-constraint/wait; X message/error " ROMEO ">" JULIET
		  " resource-constraint/wait; X message/error " ROMEO ">" JULIET " resource-constraint/wait");
	partner_message(h, JULIET, "mercutio@contoso.test", "x");
	expect_count(h, "S MESSAGE", 1);
	for (int i = 0; i < 5; i++)
		home_answers(h, "MESSAGE sip:" ROMEO, 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " '1'; S MESSAGE sip:" ROMEO " '2'; S MESSAGE sip:" ROMEO " '3'; S MESSAGE sip:" ROMEO
		  " '4'");
}

/* A few long messages are as much as many short ones. */
static void queue_limit_octets(void **state)
{
	struct house *h = *state; /* max_queue_octets 64000; the first message is sent, and counts until it is answered */
	enum { LONG = 12000 };
	static char text[LONG + 1];
	memset(text, 'x', LONG);
	for (int i = 0; i < 3; i++)
		partner_message(h, JULIET, ROMEO, text);
	expect_count(h, "X message/error", 1);
	partner_message(h, JULIET, "mercutio@contoso.test", text); /* his queue is his own */
	expect_count(h, "X message/error", 0);
	home_answers(h, "MESSAGE sip:" ROMEO, 0, 200, "");
	partner_message(h, JULIET, ROMEO, text); /* there is room again */
	expect_count(h, "X message/error", 0);
}

static void refused_from_xmpp(void **state)
{
	struct house *h = *state;
	partner_message(h, "tybalt@public.test", ROMEO, "x"); /* unverified, not a contact */
	expect(h, "X message/error " ROMEO ">tybalt@public.test service-unavailable/cancel");
	home_message(h, ROMEO, "tybalt@public.test", "hello");
	buf_clear(&h->log);
	partner_message(h, "tybalt@public.test", ROMEO, "x"); /* now it is */
	expect(h, "S MESSAGE sip:" ROMEO " 'x'");
	partner_message(h, "who@verified.test", "mercutio@contoso.test", "x");
	expect(h, "S MESSAGE sip:mercutio@contoso.test 'x'");
	partner_says(h, "fabrikam.test",
		     "<message from='" JULIET "' to='" ROMEO "' type='groupchat' id='g'><body>x</body></message>");
	expect(h, "X message/error " ROMEO ">" JULIET " service-unavailable/cancel");
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='contoso.test' id='d'><body>x</body></message>");
	expect(h, "X message/error contoso.test>" JULIET " service-unavailable/cancel");
	partner_says(h, "fabrikam.test",
		     "<message from='a\\2fb\\41@fabrikam.test' to='" ROMEO "' id='e'><body>x</body></message>");
	expect_count(h, "S MESSAGE", 0); /* waits behind the first for romeo */
	partner_says(h, "fabrikam.test",
		     "<message from='" JULIET "' to='" ROMEO
		     "'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>");
	expect(h, "");
}

/* Everything at once: what waits when the gateway ends is not lost memory. */
static void ends_in_the_middle(void **state)
{
	struct house *h = *state;
	h->link = LINK_QUEUED;
	for (int i = 0; i < 4; i++) {
		partner_message(h, JULIET, ROMEO, "x");
		partner_message(h, JULIET, "mercutio@contoso.test", "x");
		home_message(h, ROMEO, JULIET, "y");
	}
	house_release(h, REASON_NONE);
	home_message(h, ROMEO, JULIET, "z");
	house_restart(h, 1000);
}

static void shown(void *arg, const struct gateway_conversation_facts *f)
{
	struct buf *b = arg;
	buf_printf(b, "%.*s %.*s %llu %llu %llu q%zu;", SFMT(f->local), SFMT(f->remote), (unsigned long long)f->to_xmpp,
		   (unsigned long long)f->to_sip, (unsigned long long)f->failed, f->queued);
}

static void facts(void **state)
{
	struct house *h = *state;
	struct buf b;
	partner_message(h, JULIET, ROMEO, "x");
	partner_message(h, JULIET, ROMEO, "x");
	partner_message(h, "nurse@fabrikam.test", ROMEO, "x");
	home_answers(h, "MESSAGE", 0, 200, "");
	home_answers(h, "MESSAGE", 0, 480, "");
	home_message(h, ROMEO, JULIET, "y");
	buf_init(&b, 4096);
	gateway_each_conversation(h->gateway, shown, &b);
	assert_true(slice_eq(buf_slice(&b), S(ROMEO " " JULIET " 1 1 1 q0;" ROMEO " nurse@fabrikam.test 0 0 0 q1;")));
	buf_free(&b);
}

/* A room is declined whoever it is; who may not write to the user is not heard of, and nothing is kept of it. */
static void invited_by_strangers(void **state)
{
	struct house *h = *state;
	struct buf b;
	buf_init(&b, 4096);
	partner_says(h, "public.test", "<message from='cell@public.test' to='" ROMEO "'><x xmlns='http://jabber.org/protocol/muc#user'>"
		     "<invite from='tybalt@public.test/b'/></x></message>");
	expect(h, "X message " ROMEO ">cell@public.test");
	gateway_each_conversation(h->gateway, shown, &b);
	assert_int_equal(b.len, 0);
	partner_says(h, "fabrikam.test", "<message from='cell@fabrikam.test' to='" ROMEO "'><x xmlns='http://jabber.org/protocol/muc#user'>"
		     "<invite from='" JULIET "/b'/></x></message>");
	expect_count(h, "S MESSAGE sip:" ROMEO " '[" JULIET " invites you", 1);
	gateway_each_conversation(h->gateway, shown, &b);
	assert_int_not_equal(b.len, 0);
	buf_free(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(first_is_held),
		TEST(unknown_contact),
		TEST(late_error),
		TEST(known_by_writing),
		TEST(delivery),
		TEST(slow_stream),
		TEST(refused_by_policy),
		TEST(refused_addresses),
		TEST(refused_content),
		TEST(large), TEST(large_to_sip),
		TEST(instances),
		TEST(conversation_limit),
		TEST(fifo),
		TEST(request_fields),
		TEST(done_when_final), TEST(errors_from_home),
		TEST(home_silent),
		TEST(home_down),
		TEST(queue_limit),
		TEST(queue_limit_octets),
		TEST(refused_from_xmpp),
		TEST(ends_in_the_middle),
		TEST(facts),
		TEST(invited_by_strangers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
