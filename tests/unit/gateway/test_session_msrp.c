/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions by MSRP through the gateway: what descriptions and texts come to. (The protocol: tests/unit/msrp; with clients: tests/e2e/msrp.py.) */
#include "house.h"

#include "msrp/message.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define PATH "msrp://192.0.2.7:9/theirs;tcp"
#define RELAY "msrp://relay.contoso.test:9/x;tcp"
#define SDP_OF(proto, more) "v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=message 9 " proto " *\r\n" \
			    "a=accept-types:text/plain\r\na=setup:passive\r\n" more
#define FINGERPRINT "a=fingerprint:sha-256 AB:CD\r\n"

static int setup(void **state)
{
	struct house *h = *state = house_new();
	h->dialect = GATEWAY_DIALECT_MSRP;
	h->msrp = true;
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static void in_theirs(struct house *h, const char *method, unsigned cseq, const char *body)
{
	bool first = cseq == 1 && method[0] == 'I';
	home_says(h,
		  "%s sip:%s SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi%d\nMax-Forwards: 70\n"
		  "From: <sip:" ROMEO ">;tag=ft\nTo: <sip:" JULIET ">%s%s\nCall-ID: c1\nCSeq: %u %s\n"
		  "Contact: <sip:" ROMEO ";gr=x>\n%s\n%s",
		  method, first ? JULIET : "juliet@gw.contoso.test:5060;transport=tcp", ++h->branch, first ? "" : ";tag=",
		  first ? "" : house_tag(h, "c1"), cseq, method, body ? "Content-Type: application/sdp\n" : "", body ? body : "");
}

/* The SIP user calls, and we connect to its client. */
static void called(struct house *h, const char *sdp)
{
	in_theirs(h, "INVITE", 1, sdp);
	expect(h, "store +contact " ROMEO " " JULIET " invite; S 200 INVITE");
	in_theirs(h, "ACK", 1, NULL);
}

/* The head of the last request of ours with a body; static buffer. */
static struct msrp_head last(struct house *h, const char *text)
{
	static char keep[4096];
	struct msrp_head m;
	struct slice all = buf_slice(&h->msrp_out), one = all;
	for (ptrdiff_t at; (at = slice_find(slice_skip(all, 5), S("MSRP "))) >= 0; one = all)
		all = slice_skip(all, (size_t)at + 5);
	if (slice_find(one, slice_str(text)) < 0)
		fail_msg("no '%s' in: %.*s", text, SFMT(one));
	slice_cstr(slice_first(one, (size_t)slice_find(one, S("\r\n\r\n")) + 2), keep, sizeof keep);
	msrp_head_parse(slice_str(keep), &m);
	assert_null(m.fault);
	return m;
}

static void answers(struct house *h, const struct msrp_head *m, int status)
{
	struct buf b;
	buf_init(&b, 4096);
	msrp_put_response(&b, m->tid, status, SLICE_NONE, m->from.uri[0].text, m->to.text);
	ptrdiff_t end = slice_find(buf_slice(&b), S("-------"));
	struct msrp_piece p = {.head = slice_first(buf_slice(&b), (size_t)end), .flag = '$'};
	gateway_msrp_input(h->gateway, h->msrp_line, msrp_head_session(p.head), m->tid, &p);
	buf_free(&b);
}

/* RFC 3261 14.2: a re-INVITE that is refused changes nothing, least of all for a text that is under way. */
static void refused_reinvite(void **state)
{
	static const char *const useless[] = {
		SDP_OF("TCP/TLS/MSRP", "a=path:msrps://192.0.2.7:10/other;tcp\r\n"), /* no place of ours with TLS */
		SDP_OF("TCP/MSRP", "a=path:msrps://192.0.2.7:10/other;tcp\r\n"),
		SDP_OF("TCP/MSRP", "a=path:rubbish\r\n"),
	};
	struct house *h = *state;
	char id[64];
	called(h, SDP_OF("TCP/MSRP", "a=path:" PATH "\r\n"));
	gateway_msrp_up(h->gateway, h->msrp_line);
	partner_message(h, JULIET "/balcony", ROMEO, "one");
	struct msrp_head m = last(h, "one");
	expect(h, "");
	for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
		in_theirs(h, "INVITE", 2 + (unsigned)i, useless[i]);
		expect(h, "S 488 INVITE");
		in_theirs(h, "ACK", 2 + (unsigned)i, NULL);
	}
	assert_int_equal(h->msrp_closed, 0);
	partner_message(h, JULIET "/balcony", ROMEO, "two");
	answers(h, &m, 200);
	last(h, "two");
	/* one that is of use: the text goes that way, as the one that it is */
	m = last(h, "two");
	slice_cstr(m.message_id, id, sizeof id);
	uint64_t line = h->msrp_line;
	in_theirs(h, "INVITE", 9, SDP_OF("TCP/MSRP", "a=path:msrp://192.0.2.7:10/other;tcp\r\n"));
	expect(h, "S 200 INVITE");
	in_theirs(h, "ACK", 9, NULL);
	assert_int_equal(h->msrp_closed, line);
	assert_true(h->msrp_line != line);
	gateway_msrp_up(h->gateway, h->msrp_line);
	m = last(h, "two");
	assert_true(slice_eq(m.message_id, slice_str(id)));
	assert_true(slice_eq(m.to.uri[0].session, S("other")));
}

/* Two texts are never one, though their stanzas have no id and come at the same time. */
static void ids(void **state)
{
	struct house *h = *state;
	char id[64];
	called(h, SDP_OF("TCP/MSRP", "a=path:" PATH "\r\n"));
	gateway_msrp_up(h->gateway, h->msrp_line);
	for (int i = 0; i < 2; i++) {
		partner_says(h, "fabrikam.test", "<message type='chat' from='" JULIET "/balcony' to='" ROMEO "'><body>the same</body></message>");
		struct msrp_head m = last(h, "the same");
		if (i)
			assert_false(slice_eq(m.message_id, slice_str(id)));
		slice_cstr(m.message_id, id, sizeof id);
		answers(h, &m, 200);
	}
}

/* RFC 4975 14.4: the fingerprint is that of the client, to whom we do not connect where a relay stands in between. */
static void fingerprint(void **state)
{
	static const struct {
		const char *sdp, *want;
	} rows[] = {
		{SDP_OF("TCP/MSRP", "a=path:" PATH "\r\n" FINGERPRINT), "192.0.2.7 sha-256 AB:CD"},
		{SDP_OF("TCP/MSRP", "a=path:" RELAY " " PATH "\r\n" FINGERPRINT), "relay.contoso.test "},
	};
	struct house *h = *state;
	for (size_t i = 0; i < 2; i++) {
		called(h, rows[i].sdp);
		assert_string_equal(h->msrp_to, rows[i].want);
		house_free(h);
		setup((void **)&h);
	}
	*state = h;
}

/* What the client said that it takes (a=max-size), and at most msrp.max-message; the next text goes. */
static void too_large(void **state)
{
	static const struct {
		const char *sdp;
		size_t most;
	} rows[] = {
		{SDP_OF("TCP/MSRP", "a=path:" PATH "\r\na=max-size:3000\r\n"), 3000},
		{SDP_OF("TCP/MSRP", "a=path:" PATH "\r\n"), 65536},
		{SDP_OF("TCP/MSRP", "a=path:" PATH "\r\na=max-size:99999999\r\n"), 65536},
	};
	static char text[70000];
	struct house *h = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		called(h, rows[i].sdp);
		gateway_msrp_up(h->gateway, h->msrp_line);
		memset(text, 'x', rows[i].most + 1);
		text[rows[i].most + 1] = 0;
		partner_message(h, JULIET "/balcony", ROMEO, text);
		expect(h, "X message/error " ROMEO ">" JULIET "/balcony policy-violation/modify");
		text[rows[i].most] = 0;
		partner_message(h, JULIET "/balcony", ROMEO, text);
		expect(h, "");
		assert_true(h->msrp_out.len > 2000);
		house_free(h);
		setup((void **)&h);
	}
	*state = h;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(refused_reinvite), TEST(ids), TEST(fingerprint), TEST(too_large)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
