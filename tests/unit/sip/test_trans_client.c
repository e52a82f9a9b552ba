/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

static bool lose_all(struct pair *p, struct packet *k)
{
	(void)p;
	(void)k;
	return true;
}

static void reply_200(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)m;
	(void)from;
	if (st)
		assert_int_equal(sip_server_reply(st, 200), 0);
}

static void reply_486(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)from;
	if (st && m->method == SIP_INVITE)
		assert_int_equal(sip_server_reply(st, 486), 0);
}

static void ring(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)from;
	if (st && m->method == SIP_INVITE)
		assert_int_equal(sip_server_reply(st, 180), 0);
}

/* Times of all packets from A, relative to the first. */
static void expect_times(struct pair *p, const uint64_t *ms, int n)
{
	int k = 0;
	for (int i = 0; i < p->n; i++)
		if (p->packets[i].from == 0) {
			assert_true(k < n);
			assert_int_equal(p->packets[i].sent - p->packets[0].sent, ms[k]);
			k++;
		}
	assert_int_equal(k, n);
}

/* Timers E and F (RFC 3261 17.1.2.2). */
static void test_message_udp_unanswered(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen w = {0};
	p->lose = lose_all;
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	pair_run(p, 60000);
	expect_times(p, ms, 11);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.final, 0);
	assert_int_equal(w.why, SIP_DONE_TIMEOUT);
	assert_int_equal(w.done_at - p->packets[0].sent, 32000);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	pair_free(p);
}

static void test_message_tcp_unanswered(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0};
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct seen w = {0};
	p->lose = lose_all;
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	pair_run(p, 60000);
	expect_times(p, ms, 1);
	assert_int_equal(w.why, SIP_DONE_TIMEOUT);
	assert_int_equal(w.done_at - p->packets[0].sent, 32000);
	pair_free(p);
}

/* Timers A and B (17.1.1.2). */
static void test_invite_udp_unanswered(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen w = {0};
	p->lose = lose_all;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 60000);
	expect_times(p, ms, 7);
	assert_int_equal(w.why, SIP_DONE_TIMEOUT);
	assert_int_equal(w.done_at - p->packets[0].sent, 32000);
	pair_free(p);
}

/* In Proceeding, E is T2 (17.1.2.2); the 100 comes from RFC 4320 4.1 at 3.5 s. */
static void test_message_udp_proceeding(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen w = {0};
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	pair_run(p, 40000);
	expect_times(p, ms, 11);
	assert_int_equal(p->b.n_requests, 1);
	struct packet *k = pair_packet(p, 1, "SIP/2.0 100", 0);
	assert_non_null(k);
	assert_int_equal(k->sent - p->packets[0].sent, 3510);
	assert_true(w.provisional >= 1);
	assert_int_equal(w.why, SIP_DONE_TIMEOUT);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 408"), 0);
	pair_free(p);
}

static void test_message_answered(void **state)
{
	(void)state;
	for (int t = SIP_UDP; t <= SIP_TLS; t++) {
		struct pair *p = pair_new((enum sip_transport)t, NULL);
		struct seen w = {0};
		p->b.request = reply_200;
		pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
		pair_run(p, 100);
		assert_int_equal(w.final, 1);
		assert_int_equal(w.status, 200);
		assert_int_equal(w.done, 1);
		assert_int_equal(w.why, SIP_DONE_ANSWERED);
		/* K and J hold them over UDP only */
		assert_int_equal(sip_stack_stats(p->a.stack)->clients, t == SIP_UDP);
		assert_int_equal(sip_stack_stats(p->b.stack)->servers, t == SIP_UDP);
		/* K: a second copy of the answer is absorbed */
		struct packet *k = pair_packet(p, 1, "SIP/2.0 200", 0);
		pair_deliver(p, k);
		assert_int_equal(sip_stack_stats(p->a.stack)->absorbed, t == SIP_UDP);
		assert_int_equal(sip_stack_stats(p->a.stack)->stray_responses, t != SIP_UDP);
		pair_run(p, 4999);
		assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
		pair_run(p, 32000);
		assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
		pair_free(p);
	}
}

static void test_via_comes_first(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct sip_flow to = pair_flow(p, 1);
	struct sip_client_opts opts = {
		.sent_by = S("edge.example:5061"), .branch_suffix = S(".loop1"), .via_params = S(";alias")};
	p->lose = lose_all;
	struct slice proxied =
		S("OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKold\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n"
		  "Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, proxied, NULL, NULL, &opts), 0);
	struct arena *a;
	struct sip_msg *m = packet_msg(&p->packets[0], &a);
	assert_true(slice_eq(m->via.host, S("edge.example")));
	assert_true(slice_starts(m->via.branch, S("z9hG4bK")));
	assert_true(slice_ends(m->via.branch, S(".loop1")));
	assert_true(m->via.rport);
	assert_true(packet_has(&p->packets[0], ";alias\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKold\r\n"));
	arena_release(NULL, a);
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S("SIP/2.0 200 OK\r\n\r\n"), NULL, NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S("ACK sip:b SIP/2.0\r\n\r\n"), NULL, NULL, NULL),
			 ENTENTE_EINVAL);
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S("nonsense"), NULL, NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(sip_stack_send(p->a.stack, &to, S("ACK sip:b SIP/2.0\r\n\r\n"), NULL), 0);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 1);
	pair_free(p);
}

/* 17.1.1.2, 17.1.1.3: the ACK of a non-2xx belongs to the transaction; Timer D absorbs and re-acknowledges. */
static void test_invite_refused_udp(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen w = {0};
	p->b.request = reply_486;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 100);
	assert_int_equal(w.status, 486);
	assert_int_equal(w.done, 1);
	assert_int_equal(pair_count(p, 0, 0, "ACK "), 1);
	struct arena *a, *a2;
	struct sip_msg *inv = packet_msg(&p->packets[0], &a), *ack = packet_msg(pair_packet(p, 0, "ACK ", 0), &a2);
	assert_true(slice_eq(inv->via.raw, ack->via.raw));
	assert_true(slice_eq(inv->uri_text, ack->uri_text));
	assert_true(slice_eq(inv->from.raw, ack->from.raw));
	assert_true(slice_eq(inv->call_id, ack->call_id));
	assert_int_equal(ack->cseq, 4);
	assert_true(ack->to.tag.len > 0);
	assert_non_null(sip_msg_header(ack, SIP_H_ROUTE, 0));
	assert_int_equal(ack->content_length, 0);
	arena_release(NULL, a);
	arena_release(NULL, a2);
	assert_int_equal(p->b.n_requests, 1); /* the ACK stays in the transaction */
	pair_deliver(p, pair_packet(p, 1, "SIP/2.0 486", 0));
	assert_int_equal(pair_count(p, 0, 0, "ACK "), 2);
	pair_run(p, 31000);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 1);
	pair_run(p, 2000);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	assert_int_equal(w.final, 1);
	pair_free(p);
}

/* Without ACK the server repeats a 486 by Timer G until H; over TCP it only waits. */
static bool lose_ack(struct pair *p, struct packet *k)
{
	(void)p;
	return slice_starts(slice_of(k->bytes, k->len), S("ACK "));
}

static void test_timer_g_h(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
	for (int t = SIP_UDP; t <= SIP_TCP; t++) {
		struct pair *p = pair_new((enum sip_transport)t, NULL);
		struct seen w = {0};
		p->b.request = reply_486;
		p->lose = lose_ack;
		pair_start(p, &w, S(PAIR_INVITE_TEXT));
		pair_run(p, 60000);
		int want = t == SIP_UDP ? 11 : 1;
		assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 486"), want);
		for (int i = 0; i < want; i++)
			assert_int_equal(pair_packet(p, 1, "SIP/2.0 486", i)->sent - pair_packet(p, 1, "SIP/2.0 486", 0)->sent,
					 ms[i]);
		assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
		assert_int_equal(w.final, 1);
		assert_int_equal(p->b.n_unacked, 0);
		pair_free(p);
	}
}

/* --- 2xx to INVITE: RFC 6026 --- */

#define ACK_2XX                                                                                                                  \
	"ACK sip:bob@192.0.2.2 SIP/2.0\r\nFrom: <sip:alice@a.example>;tag=a1\r\nTo: <sip:bob@b.example>;tag=%.*s\r\n"            \
	"Call-ID: c2@a\r\nCSeq: 4 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

static void ack_it(struct seen *w, struct sip_client_trans *ct, const struct sip_msg *m)
{
	char text[512];
	struct sip_flow to = pair_flow(w->pair, 1);
	int n = snprintf(text, sizeof text, ACK_2XX, SFMT(m->to.tag));
	assert_int_equal(sip_client_ack(ct, &to, slice_of(text, (size_t)n)), 0);
	assert_int_equal(sip_client_ack(ct, &to, slice_of(text, (size_t)n)), ENTENTE_EEXIST);
}

static void test_invite_accepted(void **state)
{
	(void)state;
	for (int t = SIP_UDP; t <= SIP_TCP; t++) {
		struct pair *p = pair_new((enum sip_transport)t, NULL);
		struct seen w = {.on_final = ack_it};
		p->b.request = reply_200;
		pair_start(p, &w, S(PAIR_INVITE_TEXT));
		pair_run(p, 1000);
		assert_int_equal(w.final, 1);
		assert_int_equal(w.done, 0); /* until Timer M */
		assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 1);
		assert_int_equal(p->b.n_requests, 2); /* the ACK is told */
		assert_string_equal(p->b.last_method, "ACK");
		/* the same 2xx again: acknowledged without us; the ACK again: absorbed */
		pair_deliver(p, pair_packet(p, 1, "SIP/2.0 200", 0));
		pair_run(p, 100);
		assert_int_equal(w.final, 1);
		assert_int_equal(pair_count(p, 0, 0, "ACK "), 2);
		assert_int_equal(p->b.n_requests, 2);
		/* a repeated INVITE is absorbed in Accepted */
		int before = p->n;
		pair_deliver(p, pair_packet(p, 0, "INVITE ", 0));
		assert_int_equal(p->n, before);
		/* a 2xx of another branch of a fork is told */
		struct packet *k = pair_packet(p, 1, "SIP/2.0 200", 0);
		char *tag = strstr(k->bytes, "\r\nTo: ");
		tag = strstr(tag, "tag=") + 4;
		*tag = *tag == 'x' ? 'y' : 'x';
		w.on_final = NULL;
		pair_deliver(p, k);
		assert_int_equal(w.final, 2);
		pair_run(p, 32000);
		assert_int_equal(w.done, 1);
		assert_int_equal(w.why, SIP_DONE_ANSWERED);
		assert_int_equal(p->b.n_unacked, 0);
		assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
		assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
		pair_free(p);
	}
}

/* RFC 3261 13.3.1.4: over any transport the 2xx is repeated until its ACK. */
static void test_2xx_unacked(void **state)
{
	(void)state;
	static const uint64_t ms[] = {0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
	struct pair *p = pair_new(SIP_TLS, NULL);
	struct seen w = {0};
	p->b.request = reply_200;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 40000);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 11);
	for (int i = 0; i < 11; i++)
		assert_int_equal(pair_packet(p, 1, "SIP/2.0 200", i)->sent - pair_packet(p, 1, "SIP/2.0 200", 0)->sent, ms[i]);
	assert_int_equal(p->b.n_unacked, 1);
	assert_int_equal(w.final, 11); /* nobody acknowledged: each is told */
	assert_int_equal(w.done, 1);
	pair_free(p);
}

/* --- CANCEL --- */

static void test_cancel(void **state)
{
	(void)state;
	for (int t = SIP_UDP; t <= SIP_TCP; t++) {
		struct pair *p = pair_new((enum sip_transport)t, NULL);
		struct seen w = {0};
		p->b.request = ring;
		pair_start(p, &w, S(PAIR_INVITE_TEXT));
		sip_client_cancel(w.ct); /* nothing heard yet: it must wait (9.1) */
		assert_int_equal(pair_count(p, 0, 0, "CANCEL "), 0);
		pair_run(p, 200);
		assert_int_equal(pair_count(p, 0, 0, "CANCEL "), 1);
		sip_client_cancel(w.ct);
		assert_int_equal(pair_count(p, 0, 0, "CANCEL "), 1);
		struct arena *a, *a2;
		struct sip_msg *inv = packet_msg(&p->packets[0], &a), *c = packet_msg(pair_packet(p, 0, "CANCEL ", 0), &a2);
		assert_true(slice_eq(inv->via.raw, c->via.raw));
		assert_true(slice_eq(inv->to.raw, c->to.raw));
		assert_int_equal(c->cseq, 4);
		arena_release(NULL, a);
		arena_release(NULL, a2);
		assert_int_equal(p->b.n_cancelled, 1);
		assert_int_equal(w.status, 487);
		assert_int_equal(w.done, 1);
		/* the two answers carry one tag (9.2) */
		struct sip_msg *ok = packet_msg(pair_packet(p, 1, "SIP/2.0 200", 0), &a),
			       *no = packet_msg(pair_packet(p, 1, "SIP/2.0 487", 0), &a2);
		assert_int_equal(ok->cseq_method, SIP_CANCEL);
		assert_true(slice_eq(ok->to.tag, no->to.tag));
		arena_release(NULL, a);
		arena_release(NULL, a2);
		pair_run(p, 40000);
		assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
		assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
		pair_free(p);
	}
}

/* The final answer crosses the CANCEL: 200 to both, no 487, and the owner of the INVITE is not told to give up. */
static void test_cancel_crosses_200(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct seen w = {.on_final = ack_it};
	p->b.request = ring;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 50);
	sip_client_cancel(w.ct);
	struct sip_server_trans *st = sip_server_find(p->b.stack, p->b.last_id);
	assert_non_null(st);
	assert_int_equal(sip_server_reply(st, 200), 0);
	pair_run(p, 50);
	assert_int_equal(p->b.n_cancelled, 0);
	assert_int_equal(w.status, 200);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 487"), 0);
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 200"), 2);
	pair_free(p);
}

static void test_cancel_without_answer(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct seen w = {0};
	p->b.request = ring;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 50);
	p->lose = lose_all;
	sip_client_cancel(w.ct);
	pair_run(p, 31999);
	assert_int_equal(w.done, 0);
	pair_run(p, 2);
	assert_int_equal(w.why, SIP_DONE_TIMEOUT);
	assert_int_equal(w.done, 1);
	pair_free(p);
}

/* Timer C: an INVITE that rings for ever is cancelled. */
static void test_ring_limit(void **state)
{
	(void)state;
	struct sip_stack_config c = {.ring_ms = 60000};
	struct pair *p = pair_new(SIP_TCP, &c);
	struct seen w = {0};
	p->b.request = ring;
	pair_start(p, &w, S(PAIR_INVITE_TEXT));
	pair_run(p, 59000);
	assert_int_equal(w.done, 0);
	pair_run(p, 2000);
	assert_int_equal(w.status, 487);
	pair_free(p);
}

static void test_cancel_unknown(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	pair_inject(
		p, &p->b,
		"CANCEL sip:bob@b SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnone\nFrom: <sip:a@a>;tag=1\nTo: <sip:b@b>\n"
		"Call-ID: x\nCSeq: 1 CANCEL\nContent-Length: 0\n\n");
	assert_int_equal(pair_count(p, 1, 0, "SIP/2.0 481"), 1);
	pair_free(p);
}

/* --- ways that fail --- */

static void test_transport_failure(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct seen w = {0}, v = {0}, u = {0};
	struct sip_flow to = pair_flow(p, 1), other = to, fresh = to;
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	other.conn = 8;
	sip_stack_transport_failed(p->a.stack, &other);
	pair_run(p, 1);
	assert_int_equal(w.done, 0); /* another connection's fate */
	sip_stack_transport_failed(p->a.stack, &to);
	assert_int_equal(w.done, 0); /* never from within */
	pair_run(p, 1);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.why, SIP_DONE_TRANSPORT);
	/* started without a connection: known by address and target */
	fresh.conn = 0;
	u.pair = p;
	assert_int_equal(sip_client_start(&u.ct, p->a.stack, &fresh, S(PAIR_MESSAGE_TEXT), &seen_handler, &u, NULL), 0);
	other.target = 9;
	sip_stack_transport_failed(p->a.stack, &other);
	pair_run(p, 1);
	assert_int_equal(u.done, 0);
	sip_stack_transport_failed(p->a.stack, &to);
	pair_run(p, 1);
	assert_int_equal(u.why, SIP_DONE_TRANSPORT);
	assert_int_equal(u.done, 1);
	/* send says so at once */
	p->a.refuse_all = true;
	pair_start(p, &v, S(PAIR_INVITE_TEXT));
	assert_int_equal(v.done, 0);
	pair_run(p, 1);
	assert_int_equal(v.why, SIP_DONE_TRANSPORT);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	pair_free(p);
}

/* A connection that breaks before the answer: once more, the same octets, where the owner wants it so. */
static void test_repeat(void **state)
{
	(void)state;
	static const struct sip_client_opts opts = {.repeat = true};
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct sip_flow to = pair_flow(p, 1), nowhere = to;
	struct seen w = {.pair = p}, v = {.pair = p}, u = {.pair = p};
	p->b.request = reply_200;
	p->lose = lose_all;
	assert_int_equal(sip_client_start(&w.ct, p->a.stack, &to, S(PAIR_MESSAGE_TEXT), &seen_handler, &w, &opts), 0);
	pair_run(p, 100);
	p->lose = NULL;
	sip_stack_transport_failed(p->a.stack, &to);
	assert_int_equal(pair_count(p, 0, 0, "MESSAGE"), 1); /* not from within */
	pair_run(p, 100);
	assert_int_equal(pair_count(p, 0, 0, "MESSAGE"), 2);
	assert_int_equal(w.status, 200);
	assert_int_equal(w.done, 1);
	/* not for ever */
	nowhere.conn = 0;
	p->lose = lose_all;
	assert_int_equal(sip_client_start(&v.ct, p->a.stack, &to, S(PAIR_MESSAGE_TEXT), &seen_handler, &v, &opts), 0);
	sip_stack_transport_failed(p->a.stack, &to);
	for (int ms = 0; ms < SIP_REPEAT_MS; ms += 1000) { /* no connection comes up */
		assert_int_equal(v.done, 0);
		sip_stack_transport_failed(p->a.stack, &nowhere);
		pair_run(p, 1000);
	}
	sip_stack_transport_failed(p->a.stack, &nowhere);
	pair_run(p, 10);
	assert_int_equal(v.done, 1);
	assert_int_equal(v.why, SIP_DONE_TRANSPORT);
	/* nothing went out: there is no connection */
	assert_int_equal(sip_client_start(&u.ct, p->a.stack, &nowhere, S(PAIR_MESSAGE_TEXT), &seen_handler, &u, &opts), 0);
	sip_stack_transport_failed(p->a.stack, &nowhere);
	pair_run(p, 10);
	assert_int_equal(u.done, 1);
	assert_int_equal(u.why, SIP_DONE_TRANSPORT);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	pair_free(p);
}

static void test_wrong_answerer(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TCP, NULL);
	struct seen w = {0};
	p->latency = 1000;
	p->b.request = reply_200;
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	pair_run(p, 1500);
	struct packet *k = pair_packet(p, 1, "SIP/2.0 200", 0);
	struct sip_flow stranger = pair_flow(p, 1);
	stranger.target = 5;
	pair_input(&p->a, &stranger, slice_of(k->bytes, k->len));
	assert_int_equal(w.final, 0);
	assert_int_equal(sip_stack_stats(p->a.stack)->stray_responses, 1);
	pair_run(p, 1000);
	assert_int_equal(w.final, 1);
	pair_free(p);
}

static void test_client_limit(void **state)
{
	(void)state;
	struct sip_stack_config c = {.max_client = 3};
	struct pair *p = pair_new(SIP_TCP, &c);
	struct sip_flow to = pair_flow(p, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S(PAIR_MESSAGE_TEXT), NULL, NULL, NULL), 0);
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S(PAIR_MESSAGE_TEXT), NULL, NULL, NULL), ENTENTE_ELIMIT);
	assert_int_equal(p->n, 3);
	pair_free(p);
}

/* Calls that are answered take no room from new ones; the oldest is told that it is over. */
static void test_client_limit_of_calls(void **state)
{
	(void)state;
	struct sip_stack_config c = {.max_client = 3};
	struct pair *p = pair_new(SIP_TCP, &c);
	struct sip_flow to = pair_flow(p, 1);
	struct seen w[5] = {0};
	p->b.request = reply_200;
	for (int i = 0; i < 5; i++) {
		pair_start(p, &w[i], S(PAIR_INVITE_TEXT));
		pair_run(p, 1000);
		assert_int_equal(w[i].status, 200);
		assert_int_equal(w[i].done, 0);
	}
	assert_int_equal(w[0].done + w[1].done, 2);
	assert_int_equal(w[0].why, SIP_DONE_ANSWERED);
	assert_int_equal(w[2].done + w[3].done, 0);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 3);
	p->b.request = ring;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S(PAIR_INVITE_TEXT), NULL, NULL, NULL), 0);
		pair_run(p, 1000);
	}
	assert_int_equal(sip_client_start(NULL, p->a.stack, &to, S(PAIR_INVITE_TEXT), NULL, NULL, NULL), ENTENTE_ELIMIT);
	assert_int_equal(w[4].done, 1);
	pair_free(p);
}

static void drop_in_callback(struct seen *w, struct sip_client_trans *ct, const struct sip_msg *m)
{
	(void)w;
	(void)m;
	sip_client_drop(ct);
}

static void test_drop(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen w = {.on_final = drop_in_callback}, v = {0};
	p->b.request = reply_200;
	pair_start(p, &w, S(PAIR_MESSAGE_TEXT));
	pair_start(p, &v, S(PAIR_MESSAGE_TEXT));
	sip_client_drop(v.ct);
	pair_run(p, 40000);
	assert_int_equal(w.final, 1);
	assert_int_equal(w.done, 0);
	assert_int_equal(v.final, 0);
	assert_int_equal(v.done, 0);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	pair_free(p);
}

/* --- a bad network: every transaction ends exactly once, duplicates are not seen twice --- */

static bool lose_some(struct pair *p, struct packet *k)
{
	k->due += pair_random(p) % 900; /* reordering */
	return pair_random(p) % 100 < 30;
}

static void test_bad_network(void **state)
{
	(void)state;
	enum { N = 60 };
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen *w = mem_calloc(N, sizeof *w);
	p->lose = lose_some;
	p->b.request = reply_200;
	for (int i = 0; i < N; i++) {
		pair_start(p, &w[i], S(PAIR_MESSAGE_TEXT));
		pair_run(p, 20);
	}
	pair_run(p, 70000);
	int answered = 0;
	for (int i = 0; i < N; i++) {
		assert_int_equal(w[i].done, 1);
		assert_true(w[i].final <= 1);
		answered += w[i].why == SIP_DONE_ANSWERED;
	}
	assert_true(answered >= N - 2);
	assert_true(p->b.n_requests <= N);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	mem_free(w);
	pair_free(p);
}

static void test_bad_network_invite(void **state)
{
	(void)state;
	enum { N = 40 };
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct seen *w = mem_calloc(N, sizeof *w);
	p->lose = lose_some;
	p->b.request = reply_486;
	for (int i = 0; i < N; i++)
		pair_start(p, &w[i], S(PAIR_INVITE_TEXT));
	pair_run(p, 120000);
	for (int i = 0; i < N; i++) {
		assert_int_equal(w[i].done, 1);
		assert_true(w[i].final <= 1);
	}
	assert_true(p->b.n_requests <= N);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients, 0);
	assert_int_equal(sip_stack_stats(p->b.stack)->servers, 0);
	mem_free(w);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_udp_unanswered),
		cmocka_unit_test(test_message_tcp_unanswered),
		cmocka_unit_test(test_invite_udp_unanswered),
		cmocka_unit_test(test_message_udp_proceeding),
		cmocka_unit_test(test_message_answered),
		cmocka_unit_test(test_via_comes_first),
		cmocka_unit_test(test_invite_refused_udp),
		cmocka_unit_test(test_timer_g_h),
		cmocka_unit_test(test_invite_accepted),
		cmocka_unit_test(test_2xx_unacked),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_crosses_200),
		cmocka_unit_test(test_cancel_without_answer),
		cmocka_unit_test(test_ring_limit),
		cmocka_unit_test(test_cancel_unknown),
		cmocka_unit_test(test_transport_failure),
		cmocka_unit_test(test_repeat),
		cmocka_unit_test(test_wrong_answerer),
		cmocka_unit_test(test_client_limit),
		cmocka_unit_test(test_client_limit_of_calls),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_bad_network),
		cmocka_unit_test(test_bad_network_invite),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
