/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#define HEAD(method, via)                                                                                                        \
	method " sip:bob@b.example SIP/2.0\nVia: " via "\nVia: SIP/2.0/TLS far.example;branch=z9hG4bKfar;ms-received-cid=4\n"    \
	       "Record-Route: <sip:p1.example;lr;ms-fe=x>\nRecord-Route: <sip:p2.example;lr>\nTimestamp: 54\n"                   \
	       "From: <sip:alice@a.example>;tag=a1\nTo: <sip:bob@b.example>\nCall-ID: c9@a\nMax-Forwards: 70\n"
#define TAIL "Content-Length: 0\n\n"
#define MESSAGE(via) HEAD("MESSAGE", via) "CSeq: 1 MESSAGE\n" TAIL
#define INVITE(via) HEAD("INVITE", via) "CSeq: 1 INVITE\nContact: <sip:alice@192.0.2.1>\n" TAIL

static void reply_200(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)m;
	(void)from;
	if (st)
		assert_int_equal(sip_server_reply(st, 200), 0);
}

static struct sip_server_trans *last(struct pair *p)
{
	return sip_server_find(p->b.stack, p->b.last_id);
}

static void test_duplicates(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	const char *text = MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKd1");
	pair_inject(p, &p->b, text);
	pair_inject(p, &p->b, text); /* Trying: nothing to repeat */
	assert_int_equal(p->b.n_requests, 1);
	assert_int_equal(p->n, 0);
	assert_int_equal(sip_server_reply(last(p), 200), 0);
	assert_null(last(p));
	for (int i = 0; i < 3; i++)
		pair_inject(p, &p->b, text);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 4);
	assert_string_equal(p->packets[0].bytes, p->packets[3].bytes);
	assert_int_equal(p->b.n_requests, 1);
	/* another sent-by, host or port, another method: not the same transaction */
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1:5099;branch=z9hG4bKd1"));
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP other.example;branch=z9hG4bKd1"));
	assert_int_equal(p->b.n_requests, 3);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP OTHER.example;branch=z9hG4bKd1")); /* host names have no case */
	assert_int_equal(p->b.n_requests, 3);
	/* J over: it is a new request */
	p->b.request = reply_200;
	pair_run(p, 32001);
	pair_inject(p, &p->b, text);
	assert_int_equal(p->b.n_requests, 4);
	pair_free(p);
}

/* RFC 4320. */
static void test_non_invite_rules(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKn1"));
	assert_int_equal(sip_server_reply(last(p), 180), ENTENTE_EREFUSED);
	assert_int_equal(sip_server_reply(last(p), 100), ENTENTE_EREFUSED); /* too early over UDP */
	assert_int_equal(sip_server_reply(last(p), 99), ENTENTE_EINVAL);
	assert_int_equal(p->n, 0);
	assert_int_equal(sip_server_reply(last(p), 408), ENTENTE_EREFUSED);
	assert_int_equal(p->n, 0);
	assert_null(last(p));
	/* unanswered: 100 at 3.5 s, repeated for repetitions, then silence; a late answer finds nobody */
	const char *text = MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKn2");
	pair_inject(p, &p->b, text);
	uint64_t id = p->b.last_id, start = p->timers.now;
	pair_run(p, 3499);
	assert_int_equal(p->n, 0);
	pair_run(p, 1);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 100"), 1);
	pair_inject(p, &p->b, text);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 100"), 2);
	pair_run(p, start + 31999 - p->timers.now);
	assert_non_null(sip_server_find(p->b.stack, id));
	pair_run(p, 2);
	assert_null(sip_server_find(p->b.stack, id));
	assert_int_equal(p->n, 2);
	pair_free(p);
	/* over TCP a 100 may come at any time; a repetition of the request, which should not be, gets it again */
	p = pair_new(SIP_TCP, NULL);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKn3"));
	assert_int_equal(sip_server_reply(last(p), 100), 0);
	pair_run(p, 10000);
	assert_int_equal(p->n, 1);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKn3"));
	assert_string_equal(p->packets[0].bytes, p->packets[1].bytes);
	pair_free(p);
}

static void test_response_text(void **state)
{
	(void)state;
	struct sip_stack_config c = {.server = S("Entente")};
	struct pair *p = pair_new(SIP_TCP, &c);
	pair_inject(p, &p->b, INVITE("SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bKr1;ms-received-port=99"));
	struct sip_server_trans *st = last(p);
	struct slice tag = sip_server_tag(st);
	assert_true(tag.len >= 8);
	struct sip_extra evil = {S("X"), S("a\r\nInjected: 1")}, good = {S("Contact"), S("<sip:b@192.0.2.2>")};
	assert_int_equal(sip_server_respond(st, &(struct sip_answer){.status = 183, .headers = &evil, .n_headers = 1}),
			 ENTENTE_EINVAL);
	assert_int_equal(sip_server_respond(st, &(struct sip_answer){.status = 183, .reason = S("Prog\ress")}), ENTENTE_EINVAL);
	assert_int_equal(p->n, 0);
	struct sip_answer an = {.status = 200,
				.reason = S("Fine"),
				.headers = &good,
				.n_headers = 1,
				.content_type = S("text/plain"),
				.body = S("yes")};
	assert_int_equal(sip_server_respond(st, &an), 0);
	assert_int_equal(sip_server_respond(st, &an), ENTENTE_EINVAL);
	struct arena *a;
	struct sip_msg *m = packet_msg(&p->packets[0], &a);
	assert_int_equal(m->status, 200);
	assert_true(slice_eq(m->reason, S("Fine")));
	assert_true(slice_eq(m->via.received, S("192.0.2.1")));
	assert_true(packet_has(&p->packets[0], ";ms-received-port=99"));
	assert_true(packet_has(&p->packets[0], "SIP/2.0/TLS far.example;branch=z9hG4bKfar;ms-received-cid=4"));
	assert_true(
		packet_has(&p->packets[0], "Record-Route: <sip:p1.example;lr;ms-fe=x>\r\nRecord-Route: <sip:p2.example;lr>\r\n"));
	assert_true(packet_has(&p->packets[0], "\r\nServer: Entente\r\n"));
	assert_true(packet_has(&p->packets[0], "\r\nTimestamp: 54\r\n"));
	assert_true(slice_eq(m->to.tag, tag));
	assert_true(slice_eq(m->body, S("yes")));
	arena_release(NULL, a);
	/* no Record-Route where no dialog starts */
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKr2"));
	sip_server_reply(last(p), 200);
	assert_false(packet_has(pair_last(p, 1, "SIP/2.0"), "Record-Route"));
	pair_inject(p, &p->b, INVITE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKr3"));
	sip_server_reply(last(p), 404);
	assert_false(packet_has(pair_last(p, 1, "SIP/2.0 404"), "Record-Route"));
	pair_free(p);
}

static uint16_t port_of(const struct packet *k)
{
	return ntohs(((const struct sockaddr_in *)(const void *)&k->flow.remote)->sin_port);
}

/* RFC 3261 18.2.2, RFC 3581. */
static void test_where_answers_go(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	p->b.request = reply_200;
	struct sip_flow from = pair_flow(p, 0);
	((struct sockaddr_in *)(void *)&from.remote)->sin_port = htons(40000);
	static const struct {
		const char *via;
		uint16_t port;
	} cases[] = {
		{"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKw1", 5060},
		{"SIP/2.0/UDP 192.0.2.1:5088;branch=z9hG4bKw2", 5088},
		{"SIP/2.0/UDP 192.0.2.1:5088;branch=z9hG4bKw3;rport", 40000},
	};
	for (size_t i = 0; i < 3; i++) {
		char text[512];
		int n = snprintf(text, sizeof text,
				 "OPTIONS sip:b SIP/2.0\r\nVia: %s\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: "
				 "w\r\nCSeq: 1 OPTIONS\r\n"
				 "Content-Length: 0\r\n\r\n",
				 cases[i].via);
		pair_input(&p->b, &from, slice_of(text, (size_t)n));
		assert_int_equal(port_of(&p->packets[i]), cases[i].port);
	}
	assert_true(packet_has(&p->packets[2], "rport=40000"));
	assert_true(packet_has(&p->packets[2], "received=192.0.2.1"));
	pair_free(p);
	/* the connection is gone: a new one to the source address and sent-by port */
	p = pair_new(SIP_TLS, NULL);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TLS gw.example;branch=z9hG4bKw4"));
	p->b.refuse_conn = true;
	assert_int_equal(sip_server_reply(last(p), 200), 0);
	assert_int_equal(p->packets[0].flow.conn, 0);
	assert_int_equal(port_of(&p->packets[0]), 5061);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TLS gw.example:7000;branch=z9hG4bKw5"));
	assert_int_equal(sip_server_reply(last(p), 200), 0);
	assert_int_equal(port_of(&p->packets[1]), 7000);
	p->b.refuse_all = true;
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TLS gw.example:7000;branch=z9hG4bKw6"));
	assert_int_equal(sip_server_reply(last(p), 200), ENTENTE_ENET);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	pair_free(p);
}

static void test_ids(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi1"));
	uint64_t first = p->b.last_id;
	assert_true(first != 0);
	sip_server_set_user(last(p), p);
	assert_ptr_equal(sip_server_user(last(p)), p);
	sip_server_reply(last(p), 200);
	assert_int_equal(p->b.n_gone, 1);
	assert_null(sip_server_find(p->b.stack, first));
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi2"));
	assert_true(p->b.last_id != first); /* the same memory, another name */
	assert_null(sip_server_find(p->b.stack, first));
	assert_non_null(last(p));
	assert_null(sip_server_user(last(p)));
	assert_null(sip_server_find(p->b.stack, 0));
	assert_null(sip_server_find(p->b.stack, 77));
	pair_free(p);
}

static void test_limit(void **state)
{
	(void)state;
	struct sip_stack_config c = {.max_server = 2, .retry_after = 7};
	struct pair *p = pair_new(SIP_UDP, &c);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKl1"));
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKl2"));
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKl3"));
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKl3"));
	assert_int_equal(p->b.n_requests, 2);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 503"), 2);
	assert_true(packet_has(&p->packets[0], "Retry-After: 7\r\n"));
	assert_string_equal(p->packets[0].bytes, p->packets[1].bytes); /* stateless: the same tag again (8.2.7) */
	pair_inject(p, &p->b, HEAD("ACK", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKl3") "CSeq: 1 ACK\n" TAIL);
	assert_int_equal(p->n, 2);
	assert_int_equal(sip_stack_stats(p->b.stack)->refused_limit, 2);
	pair_free(p);
}

#define FORWARDED                                                                                                                \
	S("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1\r\nFrom: <sip:alice@a.example>;tag=a1\r\nTo: <sip:bob@b.example>;tag=1\r\n"  \
	  "Call-ID: c9@a\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")

/* Calls that a proxy has set up take no room from new ones, where nothing is sent twice. */
static void limit_of_calls(enum sip_transport transport, const char *const via[4], bool make_room)
{
	struct sip_stack_config c = {.max_server = 2};
	struct pair *p = pair_new(transport, &c);
	uint64_t first = 0;
	for (int i = 0; i < 4; i++) {
		int before = p->b.n_requests;
		pair_inject(p, &p->b, via[i]);
		assert_int_equal(p->b.n_requests - before, i < 2 || make_room);
		if (i >= 2 && !make_room)
			continue;
		first = first ? first : p->b.last_id;
		sip_server_set_user(last(p), p);
		assert_int_equal(sip_server_forward(last(p), 200, FORWARDED), 0);
		assert_non_null(last(p));
	}
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 2);
	assert_int_equal(p->b.n_gone, make_room ? 2 : 0);
	assert_true(!sip_server_find(p->b.stack, first) == make_room);
	/* what still waits for an answer is never ended */
	if (make_room) {
		pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKm1"));
		pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKm2"));
		pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKm3"));
		assert_int_equal(p->b.n_requests, 6);
		assert_int_equal(sip_stack_stats(p->b.stack)->refused_limit, 1);
	}
	pair_free(p);
}

static void test_limit_of_calls(void **state)
{
	(void)state;
#define FOUR(t)                                                                                                                  \
	(const char *const[4]){INVITE("SIP/2.0/" t " 192.0.2.1;branch=z9hG4bKc1"), INVITE("SIP/2.0/" t " 192.0.2.1;branch=z9hG4bKc2"),  \
			       INVITE("SIP/2.0/" t " 192.0.2.1;branch=z9hG4bKc3"), INVITE("SIP/2.0/" t " 192.0.2.1;branch=z9hG4bKc4")}
	limit_of_calls(SIP_TCP, FOUR("TCP"), true);
	limit_of_calls(SIP_UDP, FOUR("UDP"), false);
}

/* More Via and Record-Route than a transaction remembers. */
static void test_head_limit(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "SUBSCRIBE sip:b SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKbig\n");
	for (int i = 0; i < 6; i++) {
		buf_puts(&b, "Record-Route: <sip:p;lr;x=");
		for (int k = 0; k < 7000; k++)
			buf_putc(&b, 'y');
		buf_puts(&b, ">\n");
	}
	buf_puts(&b, "From: <sip:a@a>;tag=1\nTo: <sip:b@b>\nCall-ID: x\nCSeq: 1 SUBSCRIBE\nContent-Length: 0\n\n");
	buf_putc(&b, 0);
	pair_inject(p, &p->b, buf_slice(&b).p);
	assert_int_equal(p->b.n_requests, 0);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 513"), 1);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	pair_inject(p, &p->b, MESSAGE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKsmall"));
	assert_int_equal(p->b.n_requests, 1);
	buf_free(&b);
	pair_free(p);
}

/* An INVITE from a client of RFC 2543: the branch proves nothing. */
static void test_rfc2543(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
#define OLD(method, cseq, to)                                                                                                    \
	method " sip:b@b SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1\nFrom: <sip:a@a>\nTo: <sip:b@b>" to "\nCall-ID: old\nCSeq: " cseq   \
	       " " method "\nContent-Length: 0\n\n"
	pair_inject(p, &p->b, OLD("INVITE", "5", ""));
	pair_inject(p, &p->b, OLD("INVITE", "5", ""));
	assert_int_equal(p->b.n_requests, 1);
	pair_inject(p, &p->b, OLD("INVITE", "6", ""));
	assert_int_equal(p->b.n_requests, 2);
	char ack[300], tag[40];
	assert_true(slice_cstr(sip_server_tag(last(p)), tag, sizeof tag));
	sip_server_reply(last(p), 486);
	/* an ACK with another To tag is not for us */
	pair_inject(p, &p->b, OLD("ACK", "6", ";tag=else"));
	assert_int_equal(p->b.n_requests, 3);
	snprintf(ack, sizeof ack, OLD("ACK", "6", ";tag=%s"), tag);
	pair_inject(p, &p->b, ack);
	assert_int_equal(p->b.n_requests, 3);
	int n = pair_count(p, 1, 0, "SIP/2.0 486");
	pair_run(p, 4000);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 486"), n); /* G is off */
	pair_inject(p, &p->b, OLD("CANCEL", "5", ""));
	assert_int_equal(p->b.n_cancelled, 1);
	pair_free(p);
}

static void test_invite_100(void **state)
{
	(void)state;
	struct sip_stack_config c = {.ring_ms = 60000};
	struct pair *p = pair_new(SIP_TCP, &c);
	pair_inject(p, &p->b, INVITE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKv1"));
	pair_run(p, 199);
	assert_int_equal(p->n, 0);
	pair_run(p, 2);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 100"), 1);
	/* nobody answers: we do, before the state piles up */
	pair_run(p, 60000 + 32000);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 408"), 1);
	pair_run(p, 33000);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	pair_free(p);
}

/* A proxy passes on what it got, several 2xx too (RFC 6026 7.1). */
static void test_forward(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	pair_inject(p, &p->b, INVITE("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKf1"));
	uint64_t id = p->b.last_id;
#define RESPONSE(s, tag)                                                                                                         \
	S("SIP/2.0 " s "\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKf1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=" tag      \
	  "\r\n"                                                                                                                 \
	  "Call-ID: c9@a\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
	assert_int_equal(sip_server_forward(sip_server_find(p->b.stack, id), 180, RESPONSE("180 Ringing", "1")), 0);
	assert_int_equal(sip_server_forward(sip_server_find(p->b.stack, id), 200, RESPONSE("200 OK", "1")), 0);
	assert_int_equal(sip_server_forward(sip_server_find(p->b.stack, id), 200, RESPONSE("200 OK", "2")), 0);
	assert_int_equal(sip_server_forward(sip_server_find(p->b.stack, id), 486, RESPONSE("486 Busy", "3")), ENTENTE_EINVAL);
	pair_run(p, 31000);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 2); /* the far end repeats, not we */
	pair_run(p, 2000);
	assert_null(sip_server_find(p->b.stack, id));
	assert_int_equal(p->b.n_unacked, 0);
	pair_free(p);
}

#define LONG "z9hG4bK-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789"

/* Of a request whose 2xx went by the head of answers is forgotten; who it was, and its tag, are not, be they short or long. */
static void test_forwarded(void **state)
{
	(void)state;
	static const struct {
		enum sip_transport transport;
		const char *invite, *cancel, *other;
	} all[] = {
#define ROW(t, branch) {SIP_##t, INVITE("SIP/2.0/" #t " 192.0.2.1;branch=" branch), HEAD("CANCEL", "SIP/2.0/" #t " 192.0.2.1;branch=" branch) "CSeq: 1 CANCEL\n" TAIL, \
			INVITE("SIP/2.0/" #t " 192.0.2.1;branch=" branch "x")}
		ROW(TCP, "z9hG4bKs1"), ROW(UDP, "z9hG4bKs2"), ROW(TCP, LONG), ROW(UDP, LONG),
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char tag[64], want[80];
		struct pair *p = pair_new(all[i].transport, NULL);
		pair_inject(p, &p->b, all[i].invite);
		uint64_t id = p->b.last_id;
		slice_cstr(sip_server_tag(last(p)), tag, sizeof tag);
		assert_int_equal(sip_server_forward(last(p), 200, FORWARDED), 0);
		assert_int_equal(sip_server_forward(last(p), 200, FORWARDED), 0);
		assert_true(slice_eq(sip_server_tag(last(p)), slice_str(tag)));
		pair_inject(p, &p->b, all[i].other); /* takes up what was forgotten */
		assert_int_equal(p->b.n_requests, 2);
		assert_int_equal(sip_server_reply(last(p), 486), 0);
		pair_inject(p, &p->b, all[i].invite); /* once more: absorbed */
		assert_int_equal(p->b.n_requests, 2);
		assert_int_equal(sip_stack_stats(p->b.stack)->absorbed, 1);
		pair_inject(p, &p->b, all[i].cancel); /* too late, and answered as the INVITE would be (RFC 3261 9.2) */
		assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 487"), 0);
		assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 3);
		snprintf(want, sizeof want, ";tag=%s\r\n", tag);
		assert_true(packet_has(&p->packets[p->n - 1], want));
		assert_true(slice_eq(sip_server_tag(sip_server_find(p->b.stack, id)), slice_str(tag)));
		pair_run(p, 32001);
		assert_null(sip_server_find(p->b.stack, id));
		pair_inject(p, &p->b, all[i].invite);
		assert_int_equal(p->b.n_requests, 3);
		pair_free(p);
	}
}

/* At the limit the call that it means is the one that makes room for it. */
static void test_cancel_at_limit(void **state)
{
	(void)state;
	struct sip_stack_config c = {.max_server = 1};
	struct pair *p = pair_new(SIP_TCP, &c);
	pair_inject(p, &p->b, INVITE("SIP/2.0/TCP 192.0.2.1;branch=" LONG));
	uint64_t id = p->b.last_id;
	assert_int_equal(sip_server_forward(last(p), 200, FORWARDED), 0);
	pair_inject(p, &p->b, HEAD("CANCEL", "SIP/2.0/TCP 192.0.2.1;branch=" LONG) "CSeq: 1 CANCEL\n" TAIL);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 481"), 1);
	assert_null(sip_server_find(p->b.stack, id));
	pair_free(p);
}

struct take {
	struct sip_usage u;
	struct pair *p;
	bool want;
	int n, without_st;
};

static bool take_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
			 const struct sip_flow *from)
{
	struct take *t = CONTAINER_OF(u, struct take, u);
	(void)m;
	(void)from;
	t->n++;
	if (!t->want)
		return false;
	t->without_st += !st;
	if (st)
		sip_server_reply(st, 200);
	arena_release(t->p->pool, a);
	return true;
}

static void test_usages(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct take one = {.u = {.request = take_request}, .p = p}, two = {.u = {.request = take_request}, .p = p, .want = true};
	sip_usage_register(p->b.stack, &one.u, S("dlg"), S("t1"));
	sip_usage_register(p->b.stack, &two.u, S("dlg"), S("t1"));
	assert_true(sip_usage_known(p->b.stack, S("dlg"), S("t1")));
	assert_false(sip_usage_known(p->b.stack, S("dlg"), S("t2")));
#define IN(method, branch, tag)                                                                                                  \
	method " sip:b@b SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK" branch "\nFrom: <sip:a@a>;tag=9\n"                  \
	       "To: <sip:b@b>;tag=" tag "\nCall-ID: dlg\nCSeq: 1 " method "\nContent-Length: 0\n\n"
	pair_inject(p, &p->b, IN("NOTIFY", "u1", "t1"));
	assert_int_equal(one.n, 1);
	assert_int_equal(two.n, 1);
	assert_int_equal(p->b.n_requests, 0);
	pair_inject(p, &p->b, IN("NOTIFY", "u2", "t2"));
	assert_int_equal(p->b.n_requests, 1);
	pair_inject(p, &p->b, IN("ACK", "u3", "t1"));
	pair_inject(p, &p->b, IN("BENOTIFY", "u4", "t1"));
	assert_int_equal(two.without_st, 2);
	sip_usage_unregister(p->b.stack, &two.u);
	sip_usage_unregister(p->b.stack, &two.u);
	pair_inject(p, &p->b, IN("NOTIFY", "u5", "t1"));
	assert_int_equal(p->b.n_requests, 2);
	sip_usage_unregister(p->b.stack, &one.u);
	assert_false(sip_usage_known(p->b.stack, S("dlg"), S("t1")));
	/* best-effort NOTIFY is never answered, not even by refusal */
	int n = p->n;
	pair_inject(p, &p->b, IN("BENOTIFY", "u6", "t1"));
	assert_int_equal(p->n, n);
	pair_free(p);
}

/* What the parser calls faulty but answerable. */
static void test_refuse(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct sip_flow from = pair_flow(p, 0);
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *m;
	struct sip_fault fault;
	struct slice text = S("MESSAGE sip:b@b SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx\r\nFrom: "
			      "<sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n"
			      "Call-ID: x\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n");
	assert_true(sip_msg_parse(&m, a, text, &sip_limits_default, &fault) < 0);
	assert_non_null(m);
	sip_stack_refuse(p->b.stack, &from, m, fault.status, slice_str(fault.text));
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 400"), 1);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	arena_release(NULL, a);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duplicates),    cmocka_unit_test(test_non_invite_rules),
		cmocka_unit_test(test_response_text), cmocka_unit_test(test_where_answers_go),
		cmocka_unit_test(test_ids),           cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_of_calls),
		cmocka_unit_test(test_head_limit),    cmocka_unit_test(test_rfc2543),
		cmocka_unit_test(test_invite_100),    cmocka_unit_test(test_forward),
		cmocka_unit_test(test_forwarded),     cmocka_unit_test(test_cancel_at_limit),
		cmocka_unit_test(test_usages),        cmocka_unit_test(test_refuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
