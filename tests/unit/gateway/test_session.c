/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions through the gateway: the rows of the machine, from either side, in the dialects that carry texts in the dialog. */
#include "calling.h"

/* ---- rows */

static void xmpp_opens(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	expect(h, CALLED);
	shows(h, "session inviting lync balcony|");
	partner_message(h, JULIET "/balcony", ROMEO, "two"); /* waits */
	expect(h, "");
	home_answers(h, "INVITE", 0, 180, "");
	answers_sdp(h, "INVITE", "", IM);
	expect(h, "S ACK sip:192.0.2.1:5060;transport=tcp; S MESSAGE sip:192.0.2.1:5060;transport=tcp 'one'");
	shows(h, "session open lync balcony|");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
	in_ours(h, "MESSAGE", 2, TEXT, "and you?");
	expect(h, "store +contact " ROMEO " " JULIET " message; X message " ROMEO ">" JULIET "/balcony 'and you?'; S 200 MESSAGE");
	in_ours(h, "BYE", 3, "", "");
	expect(h, "S 200 BYE");
	shows(h, "page  lync balcony|");
}

static void sip_opens(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_SIMPLE); /* whatever the dialect, a session is accepted */
	invites(h, "c1", "", IM);
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 200 INVITE");
	shows(h, "session answering simple |");
	in_theirs(h, "c1", "ACK", 1, "", "");
	shows(h, "session open simple |");
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "hello");
	expect(h, "X message " ROMEO "/xyz>" JULIET " 'hello'; S 200 MESSAGE");
	partner_message(h, JULIET "/balcony", ROMEO, "hi");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'hi'");
	home_answers(h, "MESSAGE", 0, 200, "");
	in_theirs(h, "c1", "BYE", 3, "", "");
	expect(h, "S 200 BYE");
}

static void dead_dialog(void **state)
{
	struct house *h = *state;
	static const int statuses[] = {408, 480, 481};
	for (size_t i = 0; i < 3; i++) {
		open_ours(h);
		partner_message(h, JULIET "/balcony", ROMEO, "still there?");
		expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp 'still there?'");
		partner_message(h, JULIET "/balcony", ROMEO, "hm");
		home_answers(h, "MESSAGE", 0, statuses[i], "");
		expect(h, statuses[i] != 481 ? "S BYE sip:192.0.2.1:5060;transport=tcp; " CALLED : CALLED); /* with the same text */
		answers_sdp(h, "INVITE", "", IM);
		expect(h, "S ACK sip:192.0.2.1:5060;transport=tcp; S MESSAGE sip:192.0.2.1:5060;transport=tcp 'still there?'");
		home_answers(h, "MESSAGE", 0, 200, "");
		expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp 'hm'");
		home_answers(h, "MESSAGE", 0, 200, "");
		in_ours(h, "BYE", 3, "", "");
		expect(h, "S 200 BYE");
		house_pass(h, 1000);
	}
}

static void dead_twice(void **state)
{
	struct house *h = *state;
	open_ours(h);
	partner_message(h, JULIET "/balcony", ROMEO, "still there?");
	home_answers(h, "MESSAGE", 0, 481, "");
	answers_sdp(h, "INVITE", "", IM);
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 481, "");
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony item-not-found/cancel");
	house_pass(h, 100);
	shows(h, "page  lync balcony|");
}

static void glare(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	home_answers(h, "INVITE", 0, 180, "");
	expect(h, CALLED);
	invites(h, "c1", "", IM);
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 200 INVITE; S CANCEL sip:" ROMEO);
	home_answers(h, "CANCEL", 0, 200, "");
	home_answers(h, "INVITE", 0, 487, "");
	expect(h, "S ACK sip:" ROMEO);
	in_theirs(h, "c1", "ACK", 1, "", "");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	shows(h, "session open lync balcony|");
}

static void no_answer(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_CISCO);
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	home_answers(h, "INVITE", 0, 180, "");
	expect(h, CALLED);
	house_pass(h, 29999);
	expect(h, "");
	house_pass(h, 1);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony remote-server-timeout/wait; X message/error " ROMEO ">" JULIET
		  "/balcony remote-server-timeout/wait; S CANCEL sip:" ROMEO);
	house_pass(h, 0);
	shows(h, "page  cisco balcony|");
}

/* The users of Lync are asked before their clients answer: ringing counts. */
static void rings(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	home_answers(h, "INVITE", 0, 180, "");
	house_pass(h, 59999);
	expect(h, CALLED);
	house_pass(h, 1);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony remote-server-timeout/wait; S CANCEL sip:" ROMEO);
}

static void refused(void **state)
{
	static const struct {
		int status;
		const char *error;
	} rows[] = {
		{404, "service-unavailable/cancel"}, {480, "recipient-unavailable/wait"}, {486, "recipient-unavailable/wait"},
		{488, "not-acceptable/modify"}, {603, "recipient-unavailable/wait"},
	};
	struct house *h = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char want[300];
		partner_message(h, JULIET "/balcony", ROMEO, "one");
		partner_message(h, JULIET "/balcony", ROMEO, "two");
		expect(h, CALLED);
		home_answers(h, "INVITE", 0, rows[i].status, "");
		snprintf(want, sizeof want, "S ACK sip:" ROMEO "; X message/error " ROMEO ">" JULIET "/balcony %s; X message/error " ROMEO ">" JULIET "/balcony %s",
			 rows[i].error, rows[i].error);
		expect(h, want);
		house_pass(h, 100);
	}
}

static void falls_back(void **state)
{
	static const int statuses[] = {405, 415, 488, 501};
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_CISCO);
	for (size_t i = 0; i < 4; i++) {
		partner_message(h, JULIET "/balcony", ROMEO, "one");
		partner_message(h, JULIET "/balcony", ROMEO, "two");
		expect(h, CALLED);
		home_answers(h, "INVITE", 0, statuses[i], "");
		expect(h, "S ACK sip:" ROMEO "; S MESSAGE sip:" ROMEO " 'one'");
		home_answers(h, "MESSAGE", 0, 200, "");
		expect(h, "S MESSAGE sip:" ROMEO " 'two'");
		home_answers(h, "MESSAGE", 0, 200, "");
		shows(h, "page  cisco balcony|");
		partner_message(h, JULIET "/balcony", ROMEO, "three"); /* no session is tried now */
		expect(h, "S MESSAGE sip:" ROMEO " 'three'");
		home_answers(h, "MESSAGE", 0, 200, "");
		house_pass(h, 600000);
	}
}

static void queue(void **state)
{
	struct house *h = *state;
	char text[16];
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof text, "t%d", i);
		partner_message(h, JULIET "/balcony", ROMEO, text);
	}
	expect(h, CALLED);
	partner_message(h, JULIET "/balcony", ROMEO, "one more");
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony resource-constraint/wait");
	answers_sdp(h, "INVITE", "", IM);
	for (int i = 0; i < 20; i++)
		home_answers(h, "MESSAGE", 0, 200, "");
	expect_count(h, "S MESSAGE", 20);
}

/* The journal's disk fails: what no leg has yet is refused; it would vanish with us. */
static void uninsured(void **state)
{
	struct house *h = *state;
	house_journal(h);
	open_ours(h);
	h->bare = true;
	partner_message(h, JULIET "/balcony", ROMEO, "1");
	expect_count(h, "S MESSAGE", 1);
	h->disk_failing = true;
	partner_message(h, JULIET "/balcony", ROMEO, "2");
	partner_message(h, JULIET "/balcony", ROMEO, "3");
	house_pass(h, 1);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony resource-constraint/wait; X message/error " ROMEO ">" JULIET "/balcony resource-constraint/wait");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 5);
	expect(h, "");
	h->disk_failing = false;
	partner_message(h, JULIET "/balcony", ROMEO, "4");
	expect_count(h, "S MESSAGE", 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 1);
	assert_int_equal(house_journaled(h), 0);
}

static void queue_octets(void **state)
{
	struct house *h = *state;
	char *text = calloc(1, 15001);
	memset(text, 'x', 15000);
	for (int i = 0; i < 4; i++)
		partner_message(h, JULIET "/balcony", ROMEO, text);
	expect(h, CALLED);
	partner_message(h, JULIET "/balcony", ROMEO, text); /* past 64 KiB */
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony resource-constraint/wait");
	partner_message(h, JULIET "/balcony", ROMEO, "a short one");
	expect(h, "");
	free(text);
}

/* A text in the dialog may be as large as a MESSAGE over that path; the session goes on. */
static void too_large(void **state)
{
	struct house *h = *state;
	static char text[20000];
	memset(text, 'x', 19900);
	partner_message(h, JULIET "/balcony", ROMEO, text); /* not even called for it */
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony policy-violation/modify");
	open_ours(h);
	partner_message(h, JULIET "/balcony", ROMEO, text);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony policy-violation/modify");
	text[19000] = 0;
	partner_message(h, JULIET "/balcony", ROMEO, text);
	expect_count(h, "S MESSAGE", 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
}

/* RFC 3428 8 holds for the path, in a dialog or not. */
static void too_large_by_udp(void **state)
{
	struct house *h = *state;
	static char text[2000];
	memset(text, 'x', 1500);
	h->udp = true;
	partner_message(h, JULIET "/balcony", ROMEO, text);
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony policy-violation/modify");
	text[600] = 0;
	partner_message(h, JULIET "/balcony", ROMEO, text);
	expect(h, CALLED);
}

static void idles(void **state)
{
	struct house *h = *state;
	open_ours(h);
	house_pass(h, 599000);
	in_ours(h, "MESSAGE", 2, TEXT, "hm");
	buf_clear(&h->log);
	house_pass(h, 599999);
	expect(h, "");
	house_pass(h, 1);
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
	home_answers(h, "BYE", 0, 200, "");
	house_pass(h, 0);
	shows(h, "page  lync balcony|");
}

static void gone(void **state)
{
	struct house *h = *state;
	open_ours(h);
	partner_says(h, "fabrikam.test",
		     "<message type='chat' from='" JULIET "/balcony' to='" ROMEO "'><gone xmlns='http://jabber.org/protocol/chatstates'/></message>");
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
	home_answers(h, "BYE", 0, 200, "");
	house_pass(h, 0);
	/* what is still on its way comes first */
	open_ours(h);
	partner_says(h, "fabrikam.test",
		     "<message type='chat' from='" JULIET "/balcony' to='" ROMEO "'><body>bye</body><gone xmlns='http://jabber.org/protocol/chatstates'/></message>");
	expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp 'bye'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
}

/* Where the XMPP user is spoken to (RFC 6121 5.1). */
static void locks(void **state)
{
	struct house *h = *state;
	open_ours(h);
	shows(h, "session open lync balcony|");
	partner_message(h, JULIET "/garden", ROMEO, "I am outside");
	home_answers(h, "MESSAGE", 0, 200, "");
	shows(h, "session open lync garden|");
	partner_presence(h, JULIET "/garden", ROMEO, "unavailable", "");
	shows(h, "session open lync |");
	buf_clear(&h->log);
	in_ours(h, "MESSAGE", 2, TEXT, "where?");
	expect(h, "store +contact " ROMEO " " JULIET " message; X message " ROMEO ">" JULIET " 'where?'; S 200 MESSAGE");
	partner_message(h, JULIET "/balcony", ROMEO, "here");
	partner_presence(h, JULIET "/balcony", ROMEO, NULL, "<show>away</show>");
	shows(h, "session open lync |");
}

static void threads(void **state)
{
	struct house *h = *state;
	partner_says(h, "fabrikam.test", "<message type='chat' from='" JULIET "/b' to='" ROMEO "'><body>x</body><thread>t-1.2@x</thread></message>");
	assert_true(house_sip_has(h, "INVITE", 0, "Call-ID: t-1.2@x\r\n"));
	answers_sdp(h, "INVITE", "", IM);
	home_answers(h, "MESSAGE", 0, 200, "");
	in_ours(h, "MESSAGE", 2, TEXT, "y");
	assert_non_null(strstr(h->stanza, "<thread>t-1.2@x</thread>"));
	in_ours(h, "BYE", 3, "", "");
	house_pass(h, 0);
	partner_says(h, "fabrikam.test", "<message type='chat' from='" JULIET "/b' to='" ROMEO "'><body>x</body><thread>no call id</thread></message>");
	answers_sdp(h, "INVITE", "", IM);
	home_answers(h, "MESSAGE", 0, 200, "");
	in_ours(h, "MESSAGE", 4, TEXT, "z");
	assert_non_null(strstr(h->stanza, "<thread>no call id</thread>"));
	/* they call: their Call-ID is the thread */
	home_says(h, "MESSAGE sip:nobody@public.test SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKzz\nMax-Forwards: 70\nFrom: <sip:" ROMEO ">;tag=1\nTo: "
		     "<sip:nobody@public.test>\nCall-ID: only-page\nCSeq: 1 MESSAGE\n" TEXT "\nhello");
	assert_null(strstr(h->stanza, "<thread>"));
}

static void other_media(void **state)
{
	struct house *h = *state;
	invites(h, "c1", "", SDP_OF("m=audio 49170 RTP/AVP 0\r\n"));
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 488 INVITE sip/session-not-supported");
	invites(h, "c2", "", SDP_OF("m=applicationsharing 1 TCP/RTP/AVP 127\r\n"));
	expect(h, "S 488 INVITE sip/session-not-supported");
	invites(h, "c3", "", NULL);
	expect(h, "S 488 INVITE sip/session-not-supported");
	invites(h, "c4", "", "v=0\r\nm=");
	expect(h, "S 400 INVITE content/malformed");
	invites(h, "c5", "", SDP_OF("m=audio 49170 RTP/AVP 0\r\nm=x-ms-message 5060 sip sip:" JULIET "\r\n")); /* the older form, beside audio */
	expect(h, "S 200 INVITE");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "m=audio 0 RTP/AVP 0\r\n"));
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "m=x-ms-message 5060 sip null\r\n"));
}

static void reinvites(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	in_theirs(h, "c1", "INVITE", 2, "Contact: <sip:" ROMEO ";gruu>\n" OFFER, SDP_OF("m=message 5060 sip null\r\na=accept-types:" TYPES "\r\nm=audio 49170 RTP/AVP 0\r\n"));
	expect(h, "S 200 INVITE");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "m=audio 0 RTP/AVP 0\r\n"));
	in_theirs(h, "c1", "ACK", 2, "", "");
	in_theirs(h, "c1", "INVITE", 3, "Contact: <sip:" ROMEO ";gruu>\n" OFFER, SDP_OF("m=audio 49170 RTP/AVP 0\r\n"));
	expect(h, "S 488 INVITE");
	in_theirs(h, "c1", "ACK", 3, "", "");
	in_theirs(h, "c1", "REFER", 4, "Contact: <sip:" ROMEO ">\nRefer-To: <sip:x@contoso.test>\n", "");
	expect(h, "S 603 REFER");
	in_theirs(h, "c1", "MESSAGE", 5, TEXT, "still here");
	expect(h, "X message " ROMEO "/xyz>" JULIET " 'still here'; S 200 MESSAGE");
}

static void multiparty(void **state)
{
	struct house *h = *state;
	invites(h, "c1", "Require: com.microsoft.rtc-multiparty\n", IM);
	assert_true(house_sip_has(h, "SIP/2.0 420", 0, "Unsupported: com.microsoft.rtc-multiparty\r\n"));
	buf_clear(&h->log);
	house_pass(h, 0);
	shows(h, "page  simple |"); /* of the notice; no text has shown its home */
}

/* ---- what only Lync says */

#define FIRST "ms-text-format: text/plain; charset=UTF-8;msgr=WAAtAE0ATQBT;ms-body=aGVsbG8=\n" /* "hello" */

static void first_text(void **state)
{
	struct house *h = *state;
	invites(h, "c1", FIRST "Supported: ms-sender\nSupported: ms-text-format\nMs-Conversation-ID: conv-of-romeo\nEndPoints: <sip:" ROMEO ">, <sip:" JULIET ">\nRoster-Manager: <sip:" ROMEO ">\n", IM);
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 200 INVITE; X message " ROMEO "/xyz>" JULIET " 'hello'");
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Supported: ms-text-format\r\n"));
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, "Ms-Conversation-ID: conv-of-romeo\r\n"));
	assert_true(house_sip_has(h, "SIP/2.0 200", 0, ";epid=0102aabbcc"));
	in_theirs(h, "c1", "ACK", 1, "", "");
	house_pass(h, 4000);
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "hello"); /* said again */
	expect(h, "S 200 MESSAGE");
	in_theirs(h, "c1", "MESSAGE", 3, TEXT, "hello"); /* but only once */
	expect(h, "X message " ROMEO "/xyz>" JULIET " 'hello'; S 200 MESSAGE");
	in_theirs(h, "c1", "BYE", 4, "", "");
	house_pass(h, 0);
	invites(h, "c2", FIRST, IM);
	in_theirs(h, "c2", "ACK", 1, "", "");
	house_pass(h, 5001);
	buf_clear(&h->log);
	in_theirs(h, "c2", "MESSAGE", 2, TEXT, "hello"); /* too late to be the same */
	expect(h, "X message " ROMEO "/xyz>" JULIET " 'hello'; S 200 MESSAGE");
	invites(h, "c3", "ms-text-format: text/plain;ms-body=%%%\n", IM);
	expect_count(h, "X message", 0);
	assert_false(house_sip_has(h, "SIP/2.0 200", 0, "Supported: ms-text-format\r\n"));
}

/* It was answered 200 with the INVITE; what becomes of it afterwards is told in words, and it may come again. */
static void first_text_fails(void **state)
{
	struct house *h = *state;
	for (int with_records = 1; with_records >= 0; with_records--) {
		const char *c1 = with_records ? "c1" : "c3", *c2 = with_records ? "c2" : "c4";
		if (!with_records)
			h->cfg.records = NULL;
		house_restart(h, 1000);
		h->link = LINK_QUEUED;
		invites(h, c1, FIRST, IM);
		in_theirs(h, c1, "ACK", 1, "", "");
		buf_clear(&h->log);
		house_release(h, REASON_SIP_SRV_NONE);
		expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu '[not delivered] \"hello\": the user's server was not found'");
		home_answers(h, "MESSAGE", 0, 200, "");
		h->link = LINK_FINE;
		in_theirs(h, c1, "MESSAGE", 2, TEXT, "hello");
		house_pass(h, 1000);
		expect(h, "X message " ROMEO "/xyz>" JULIET " 'hello'; S 200 MESSAGE");
		/* the same with an error of the partner's server; and before the ACK */
		invites(h, c2, FIRST, IM);
		buf_clear(&h->log);
		struct slice id = slice_str(strstr(h->stanza, "id='") + 4);
		partner_says(h, "fabrikam.test", "<message type='error' id='%.*s' from='" JULIET "' to='" ROMEO "/xyz'><error type='cancel'>"
			     "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", (int)slice_split(&id, '\'').len,
			     strstr(h->stanza, "id='") + 4);
		expect(h, "");
		in_theirs(h, c2, "ACK", 1, "", "");
		expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu '[not delivered] \"hello\": there is no such user'");
		home_answers(h, "MESSAGE", 0, 200, "");
	}
}

static void our_headers(void **state)
{
	struct house *h = *state;
	struct arena *a;
	partner_message(h, JULIET "/balcony", ROMEO, "hello");
	assert_true(house_sip_has(h, "INVITE", 0, "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n"));
	assert_true(house_sip_has(h, "INVITE", 0, "EndPoints: <sip:" JULIET ">, <sip:" ROMEO ">\r\n"));
	assert_true(house_sip_has(h, "INVITE", 0, "a=accept-types:text/plain multipart/alternative text/html application/im-iscomposing+xml application/ms-imdn+xml\r\n"));
	assert_true(house_sip_has(h, "INVITE", 0, "ms-sender"));
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	struct slice epid, id = sip_msg_header_named(m, S("Ms-Conversation-ID"));
	char first[64], again[64];
	assert_true(sip_param(m->from.params, S("epid"), &epid) && epid.len == 10);
	assert_true(slice_find(sip_contact_uri(m), S(";opaque=user:epid:")) > 0 && slice_ends(sip_contact_uri(m), S(";gruu")));
	assert_true(slice_cstr(id, first, sizeof first));
	arena_release(NULL, a);
	/* it was taken from the INVITE: not said again */
	answers_sdp(h, "INVITE", "Supported: ms-text-format\n", IM);
	expect(h, CALLED "; S ACK sip:192.0.2.1:5060;transport=tcp");
	in_ours(h, "BYE", 2, "", "");
	house_pass(h, 0);
	/* the same conversation when it is opened anew */
	partner_message(h, JULIET "/balcony", ROMEO, "more");
	m = house_sip(h, &a, "INVITE", 0);
	assert_true(slice_cstr(sip_msg_header_named(m, S("Ms-Conversation-ID")), again, sizeof again));
	arena_release(NULL, a);
	assert_string_equal(first, again);
}

/* ---- whose dialect is not known */

static void learns(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_AUTO);
	partner_message(h, JULIET "/b", ROMEO, "one");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 405, "Server: RTC/6.0\n");
	expect(h, "home speaks lync; " CALLED);
	answers_sdp(h, "INVITE", "", IM);
	expect(h, "S ACK sip:192.0.2.1:5060;transport=tcp; S MESSAGE sip:192.0.2.1:5060;transport=tcp 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	h->learned = GATEWAY_DIALECT_AUTO;
	invites(h, "c1", "", IM);
	expect(h, "home speaks lync; store +contact " ROMEO " " JULIET " invite; S 200 INVITE; S BYE sip:192.0.2.1:5060;transport=tcp");
	h->learned = GATEWAY_DIALECT_AUTO;
	invites(h, "c2", "User-Agent: Cisco-CUP/14\n", IM);
	expect_count(h, "home speaks cisco", 1);
	h->learned = GATEWAY_DIALECT_AUTO;
	home_message(h, ROMEO, JULIET, "no news");
	expect_count(h, "home speaks", 0);
}

/* One client has spoken like Lync; another of the same home knows page mode alone. */
static void guessed_wrong(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_AUTO);
	h->learned = GATEWAY_DIALECT_LYNC;
	partner_message(h, JULIET "/b", ROMEO, "one");
	expect(h, CALLED);
	home_answers(h, "INVITE", 0, 488, "");
	expect(h, "S ACK sip:" ROMEO "; S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 415, "");
	expect(h, "X message/error " ROMEO ">" JULIET "/b not-acceptable/modify");
}

/* A telephone that is busy or declines, a user who is not there while the home keeps texts: the text is tried, once. */
static void guessed_elsewhere(void **state)
{
	static const int statuses[] = {404, 480, 486, 600, 603, 606};
	struct house *h = *state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		bool not_there = statuses[i] == 404 || statuses[i] == 480;
		house_restart(h, 1000);
		dialect(h, GATEWAY_DIALECT_AUTO);
		h->learned = GATEWAY_DIALECT_LYNC;
		partner_message(h, JULIET "/b", ROMEO, "one");
		expect(h, CALLED);
		home_answers(h, "INVITE", 0, statuses[i], "");
		expect(h, "S ACK sip:" ROMEO "; S MESSAGE sip:" ROMEO " 'one'");
		home_answers(h, "MESSAGE", 0, 202, "");
		expect(h, "");
		partner_message(h, JULIET "/b", ROMEO, "two");
		expect(h, not_there ? CALLED : "S MESSAGE sip:" ROMEO " 'two'");
		if (not_there)
			home_answers(h, "INVITE", 0, statuses[i], "");
		buf_clear(&h->log);
		home_answers(h, "MESSAGE", 0, 480, ""); /* and that is the end */
		expect(h, "X message/error " ROMEO ">" JULIET "/b recipient-unavailable/wait");
	}
}

/* It rings, and nobody answers. */
static void guessed_rings(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_AUTO);
	h->learned = GATEWAY_DIALECT_CISCO;
	partner_message(h, JULIET "/b", ROMEO, "one");
	home_answers(h, "INVITE", 0, 180, "");
	buf_clear(&h->log);
	house_pass(h, 30000);
	expect(h, "S MESSAGE sip:" ROMEO " 'one'; S CANCEL sip:" ROMEO);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
	partner_message(h, JULIET "/b", "tybalt@contoso.test", "two"); /* nobody says a word */
	buf_clear(&h->log);
	house_pass(h, 30000);
	expect_count(h, "X message/error", 1);
}

/* ---- ends */

/* Between the end of a session and the next turn. */
static void freed_while_ending(void **state)
{
	struct house *h = *state;
	open_ours(h);
	gateway_drain(h->gateway, false);
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
	house_restart(h, 0);
}

static void policy_ends(void **state)
{
	struct house *h = *state;
	open_ours(h);
	house_policy(h, -1, true, true);
	gateway_recheck(h->gateway);
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
}

static void drains(void **state)
{
	struct house *h = *state;
	open_ours(h);
	partner_message(h, JULIET "/balcony", ROMEO, "the last");
	buf_clear(&h->log);
	gateway_drain(h->gateway, false);
	expect(h, "");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
}

/* After a restart the dialog is not known: the home is told so, and calls anew. */
static void restarts(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	house_restart(h, 1000);
	buf_clear(&h->log);
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "are you there?");
	expect(h, "S 481 MESSAGE sip/no-dialog");
}

static void forgotten(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	invites(h, "c2", "", IM); /* the home has forgotten the first */
	in_theirs(h, "c2", "ACK", 1, "", "");
	buf_clear(&h->log);
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	expect(h, ""); /* not before the first is over, or it could overtake it */
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S BYE sip:" ROMEO ";opaque=user:epid:xyz;gruu; S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	/* it does not know that dialog: the text goes first in the other one */
	partner_message(h, JULIET "/balcony", ROMEO, "three");
	invites(h, "c3", "", IM);
	in_theirs(h, "c3", "ACK", 1, "", "");
	partner_message(h, JULIET "/balcony", ROMEO, "four");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 481, "");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'three'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'four'");
	home_answers(h, "MESSAGE", 0, 200, "");
}

static void hangs_up_with_texts(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	buf_clear(&h->log);
	in_theirs(h, "c1", "BYE", 2, "", "");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect_count(h, CALLED, 1);
	answers_sdp(h, "INVITE", "", IM);
	expect(h, "S ACK sip:192.0.2.1:5060;transport=tcp; S MESSAGE sip:192.0.2.1:5060;transport=tcp 'two'");
}

/* The same where our own calls are not understood. */
static void hangs_up_in_simple(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_SIMPLE);
	open_theirs(h, "c1");
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 481, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 404, "");
	expect(h, "X message/error " ROMEO ">" JULIET "/balcony service-unavailable/cancel");
}

static void counted(void *arg, const struct gateway_conversation_facts *f)
{
	(void)f;
	++*(int *)arg;
}

/* The longest silent session gives its place away. */
static void too_many(void **state)
{
	struct house *h = *state;
	char user[64];
	h->cfg.max_conversations = 4;
	house_restart(h, 0);
	for (int i = 0; i < 50; i++) {
		snprintf(user, sizeof user, "juliet%d@fabrikam.test/x", i);
		partner_message(h, user, ROMEO, "hello");
		expect_count(h, "S BYE", i >= 4);
		if (i >= 4)
			home_answers(h, "BYE", 0, 200, "");
		answers_sdp(h, "INVITE", "", IM);
		home_answers(h, "MESSAGE", 0, 200, "");
		house_pass(h, 10);
	}
	int n = 0;
	gateway_each_conversation(h->gateway, counted, &n);
	assert_int_equal(n, 5);
}

/* One whose ACK does not come cannot go yet: others go in its place. */
static void too_many_behind_one(void **state)
{
	struct house *h = *state;
	char user[64];
	int n = 0;
	h->cfg.max_conversations = 2;
	house_restart(h, 0);
	invites(h, "c1", "", IM);
	dialect(h, GATEWAY_DIALECT_SIMPLE);
	for (int i = 0; i < 20; i++) {
		snprintf(user, sizeof user, "juliet%d@fabrikam.test/x", i);
		partner_message(h, user, ROMEO, "hello");
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	gateway_each_conversation(h->gateway, counted, &n);
	assert_in_range(n, 2, 3);
}

/* One user's clients cannot have more sessions than this; others can. */
static void too_many_of_one(void **state)
{
	struct house *h = *state;
	h->cfg.max_sessions_per_user = 1;
	house_restart(h, 0);
	open_theirs(h, "c1");
	buf_clear(&h->log);
	invites(h, "c2", "", IM);
	expect(h, "S 486 INVITE limit/sessions");
}

static void refused_by_policy(void **state)
{
	struct house *h = *state;
	house_policy(h, -1, true, true);
	invites(h, "c1", "", IM);
	expect(h, "S 403 INVITE policy/partner-unknown");
	shows(h, "");
	house_policy(h, 0, true, true);
	open_theirs(h, "c2");
	house_policy(h, -1, true, true);
	in_theirs(h, "c2", "MESSAGE", 2, TEXT, "still there?"); /* before the change has reached the session */
	expect(h, "S 403 MESSAGE policy/partner-unknown; S BYE sip:" ROMEO ";opaque=user:epid:xyz;gruu");
}

/* A text in a session has a record like any other. */
static bool told(void *arg, const struct record *r)
{
	buf_printf(arg, "%s %.*s>%.*s %s;", r->direction == POLICY_TO_REMOTE ? "to-remote" : "to-local", SFMT(record_text(r, RECORD_FROM)), SFMT(record_text(r, RECORD_TO)),
		   record_outcome_name((enum record_outcome)r->outcome));
	return true;
}

static void records(void **state)
{
	struct house *h = *state;
	struct buf b;
	open_ours(h);
	in_ours(h, "MESSAGE", 2, TEXT, "hello, juliet");
	buf_init(&b, 4096);
	record_each(h->records, told, &b);
	if (!slice_eq(buf_slice(&b), S("to-remote sip:" ROMEO ">sip:" JULIET " delivered;to-local " JULIET ">" ROMEO " delivered;")))
		fail_msg("%.*s", SFMT(buf_slice(&b)));
	buf_free(&b);
}

static void useless_answer(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	answers_sdp(h, "INVITE", "", SDP_OF("m=message 0 sip null\r\n"));
	expect(h, CALLED "; S ACK sip:192.0.2.1:5060;transport=tcp; X message/error " ROMEO ">" JULIET "/balcony not-acceptable/modify; S BYE sip:192.0.2.1:5060;transport=tcp");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(xmpp_opens), TEST(too_large), TEST(too_large_by_udp),
		TEST(sip_opens),
		TEST(dead_dialog),
		TEST(dead_twice),
		TEST(glare),
		TEST(no_answer),
		TEST(rings),
		TEST(refused),
		TEST(falls_back),
		TEST(queue),
		TEST(uninsured),
		TEST(queue_octets),
		TEST(idles),
		TEST(gone),
		TEST(locks),
		TEST(threads),
		TEST(other_media),
		TEST(reinvites),
		TEST(multiparty),
		TEST(first_text),
		TEST(first_text_fails),
		TEST(our_headers),
		TEST(learns),
		TEST(guessed_wrong),
		TEST(guessed_elsewhere),
		TEST(guessed_rings),
		TEST(freed_while_ending),
		TEST(policy_ends),
		TEST(drains),
		TEST(restarts),
		TEST(forgotten),
		TEST(hangs_up_with_texts),
		TEST(hangs_up_in_simple),
		TEST(useless_answer),
		TEST(too_many), TEST(too_many_behind_one), TEST(too_many_of_one), TEST(refused_by_policy), TEST(records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
