/* SPDX-License-Identifier: Apache-2.0 */
/* Two SIP stacks, A and B, back to back under a virtual clock. Packets take `latency` ms and can be dropped, doubled or
 * delayed by a function of the test; every packet that was sent is kept for inspection. Used by the tests of the
 * engines above the message layer. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include "base/mem.h"
#include "sip/trans.h"

enum { PAIR_PACKETS = 8192 };

struct packet {
	uint64_t sent, due;   /* ms */
	int from;             /* 0: A, 1: B, -1: injected */
	struct sip_flow flow; /* as the sender named it */
	char *bytes;
	size_t len;
	bool delivered, lost;
};

struct pair;
struct end {
	struct pair *pair;
	int index;
	struct sip_stack *stack;
	bool refuse_conn, refuse_all; /* send fails: for the connection, or always */
	/* what the tests hook */
	void (*request)(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from);
	void (*cancelled)(struct end *e, struct sip_server_trans *st);
	int n_requests, n_cancelled, n_unacked, n_gone;
	uint64_t last_id; /* of the server transaction of the last request */
	char last_method[16];
};

struct pair {
	struct timers timers;
	struct arena_pool *pool;
	struct end a, b;
	enum sip_transport transport;
	uint64_t latency;
	bool (*lose)(struct pair *p, struct packet *k); /* true: the packet is lost */
	struct packet packets[PAIR_PACKETS];
	int n;
	unsigned seed;
};

/* A small generator of its own, so that a failing run can be repeated. */
static inline unsigned pair_random(struct pair *p)
{
	p->seed = p->seed * 1103515245u + 12345u;
	return (p->seed >> 16) & 0x7fff;
}

static inline struct sip_flow pair_flow(struct pair *p, int to)
{
	struct sip_flow f = {.transport = p->transport, .conn = sip_reliable(p->transport) ? 7 : 0, .target = 0};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&f.remote;
	sin->sin_family = AF_INET;
	sin->sin_port = htons(5060);
	sin->sin_addr.s_addr = htonl(to == 0 ? 0xC0000201 : 0xC0000202); /* 192.0.2.1, 192.0.2.2 */
	return f;
}

static inline int pair_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct end *e = arg;
	struct pair *p = e->pair;
	if (e->refuse_all || (e->refuse_conn && to->conn))
		return ENTENTE_ENET;
	assert_true(p->n < PAIR_PACKETS);
	struct packet *k = &p->packets[p->n++];
	*k = (struct packet){.sent = p->timers.now,
			     .due = p->timers.now + p->latency,
			     .from = e->index,
			     .flow = *to,
			     .bytes = mem_strndup(bytes.p, bytes.len),
			     .len = bytes.len};
	k->lost = p->lose && p->lose(p, k);
	return 0;
}

static inline void pair_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
				const struct sip_flow *from)
{
	struct end *e = arg;
	e->n_requests++;
	if (st)
		e->last_id = sip_server_id(st);
	slice_cstr(m->method_text, e->last_method, sizeof e->last_method);
	if (e->request)
		e->request(e, st, m, from);
	arena_release(e->pair->pool, a);
}

static inline void pair_cancelled(void *arg, struct sip_server_trans *st)
{
	struct end *e = arg;
	e->n_cancelled++;
	if (e->cancelled)
		e->cancelled(e, st);
	else
		sip_server_reply(st, 487);
}

static inline void pair_unacked(void *arg, struct sip_server_trans *st)
{
	(void)st;
	((struct end *)arg)->n_unacked++;
}

static inline void pair_gone(void *arg, struct sip_server_trans *st)
{
	(void)st;
	((struct end *)arg)->n_gone++;
}

static const struct sip_stack_ops pair_ops = {
	.send = pair_send, .request = pair_request, .cancelled = pair_cancelled, .unacked = pair_unacked, .gone = pair_gone};

static inline struct pair *pair_new(enum sip_transport transport, const struct sip_stack_config *config)
{
	struct pair *p = MEM_NEW(struct pair);
	struct sip_stack_config c = config ? *config : (struct sip_stack_config){0};
	p->transport = transport;
	p->latency = 10;
	p->seed = 1;
	timers_init(&p->timers, 1000000);
	p->pool = arena_pool_new(1 << 20, 8);
	c.pool = p->pool;
	for (int i = 0; i < 2; i++) {
		struct end *e = i ? &p->b : &p->a;
		e->pair = p;
		e->index = i;
		for (int t = 0; t < 3; t++)
			c.sent_by[t] = i ? S("192.0.2.2:5060") : S("192.0.2.1:5060");
		e->stack = sip_stack_new(&pair_ops, e, &p->timers, &c);
	}
	return p;
}

static inline void pair_free(struct pair *p)
{
	sip_stack_free(p->a.stack);
	sip_stack_free(p->b.stack);
	arena_pool_free(p->pool);
	timers_free(&p->timers);
	for (int i = 0; i < p->n; i++)
		mem_free(p->packets[i].bytes);
	mem_free(p);
}

/* Gives a message to a stack as if it had come over this flow. */
static inline void pair_input(struct end *e, const struct sip_flow *from, struct slice bytes)
{
	struct arena *a = arena_acquire(e->pair->pool);
	struct slice copy = arena_dup(a, bytes);
	struct sip_msg *m;
	struct sip_fault fault;
	int rc = sip_msg_parse(&m, a, copy, &sip_limits_default, &fault);
	if (rc)
		print_message("%s: %.*s\n", fault.text, SFMT(bytes));
	assert_int_equal(rc, 0);
	sip_stack_input(e->stack, from, m, a);
}

/* The other end's view: text with \n line ends, which become CRLF. */
static inline void pair_inject(struct pair *p, struct end *to, const char *text)
{
	struct buf b;
	struct sip_flow from = pair_flow(p, 1 - to->index);
	buf_init(&b, 65536);
	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			buf_putc(&b, '\r');
		buf_putc(&b, *c);
	}
	pair_input(to, &from, buf_slice(&b));
	buf_free(&b);
}

static inline void pair_deliver(struct pair *p, struct packet *k)
{
	struct end *to = k->from == 0 ? &p->b : &p->a;
	struct sip_flow from = pair_flow(p, k->from);
	k->delivered = true;
	pair_input(to, &from, slice_of(k->bytes, k->len));
}

/* Lets `ms` pass. */
static inline void pair_run(struct pair *p, uint64_t ms)
{
	uint64_t until = p->timers.now + ms;
	for (;;) {
		struct packet *next = NULL;
		for (int i = 0; i < p->n; i++) {
			struct packet *k = &p->packets[i];
			if (!k->lost && !k->delivered && (!next || k->due < next->due))
				next = k;
		}
		uint64_t timer = timers_next(&p->timers), at = next ? next->due : TIMER_NEVER;
		if (timer > until && at > until)
			break;
		if (at <= timer) {
			timers_set_now(&p->timers, at);
			pair_deliver(p, next);
		} else {
			timers_run(&p->timers, timer);
		}
	}
	timers_set_now(&p->timers, until);
}

/* How many packets from this end (-1: any) since packet number `since` begin with this text. */
static inline int pair_count(struct pair *p, int from, int since, const char *start)
{
	int n = 0;
	for (int i = since; i < p->n; i++)
		if ((from < 0 || p->packets[i].from == from) &&
		    slice_starts(slice_of(p->packets[i].bytes, p->packets[i].len), slice_str(start)))
			n++;
	return n;
}

/* The n-th (from 0) such packet, or NULL. */
static inline struct packet *pair_packet(struct pair *p, int from, const char *start, int n)
{
	for (int i = 0; i < p->n; i++)
		if ((from < 0 || p->packets[i].from == from) &&
		    slice_starts(slice_of(p->packets[i].bytes, p->packets[i].len), slice_str(start)) && n-- == 0)
			return &p->packets[i];
	return NULL;
}

static inline struct packet *pair_last(struct pair *p, int from, const char *start)
{
	struct packet *k = NULL, *next;
	for (int n = 0; (next = pair_packet(p, from, start, n)); n++)
		k = next;
	return k;
}

static inline bool packet_has(const struct packet *k, const char *text)
{
	return k && slice_find(slice_of(k->bytes, k->len), slice_str(text)) >= 0;
}

/* Parsed again, in an arena of its own that the caller frees. */
static inline struct sip_msg *packet_msg(const struct packet *k, struct arena **a)
{
	struct sip_msg *m;
	struct sip_fault fault;
	assert_non_null(k);
	*a = arena_new(1 << 20);
	assert_int_equal(sip_msg_parse(&m, *a, slice_of(k->bytes, k->len), &sip_limits_default, &fault), 0);
	return m;
}

#define PAIR_MESSAGE_TEXT                                                                                                        \
	"MESSAGE sip:bob@b.example SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:alice@a.example>;tag=a1\r\n"                        \
	"To: <sip:bob@b.example>\r\nCall-ID: c1@a\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
#define PAIR_INVITE_TEXT                                                                                                         \
	"INVITE sip:bob@b.example SIP/2.0\r\nMax-Forwards: 70\r\nRoute: <sip:p.example;lr>\r\nFrom: "                            \
	"<sip:alice@a.example>;tag=a1\r\n"                                                                                       \
	"To: <sip:bob@b.example>\r\nCall-ID: c2@a\r\nCSeq: 4 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\nContent-Length: "       \
	"0\r\n\r\n"

/* A client's owner that counts. */
struct seen {
	int provisional, final, done, status;
	enum sip_done why;
	uint64_t done_at;
	struct pair *pair;
	struct sip_client_trans *ct;
	void (*on_final)(struct seen *w, struct sip_client_trans *ct, const struct sip_msg *m);
};

static inline void seen_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct seen *w = arg;
	(void)from;
	assert_int_equal(w->done, 0);
	if (m->status < 200) {
		w->provisional++;
	} else {
		w->final++;
		w->status = m->status;
		if (w->on_final)
			w->on_final(w, ct, m);
	}
}

static inline void seen_done(void *arg, enum sip_done why)
{
	struct seen *w = arg;
	w->done++;
	w->why = why;
	w->done_at = w->pair->timers.now;
	assert_int_equal(w->done, 1);
}

static const struct sip_client_handler seen_handler = {seen_response, seen_done};

static inline void pair_start(struct pair *p, struct seen *w, struct slice request)
{
	struct sip_flow to = pair_flow(p, 1);
	*w = (struct seen){.pair = p, .on_final = w->on_final};
	assert_int_equal(sip_client_start(&w->ct, p->a.stack, &to, request, &seen_handler, w, NULL), 0);
}
