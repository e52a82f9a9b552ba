/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions over a pair of stacks, and a puppet in the place of B: what A sends is kept, and answered by hand. What a session tells its
 * owner becomes a line of words, so that a test reads like a trace:
 *   P180 progress, E established, O offer, C200 changed, R request, Sx=200 sent (l local, u unsent, x too late), X<why>=<status> ended */
#pragma once
#include "pair.h"
#include "sip/session.h"

struct side {
	struct end *e;
	struct sip_session *s;
	char log[4096];
	char *at;
	struct sip_session_config config;
	/* what a test wants */
	struct slice answer;      /* to an offer, and of an accepted INVITE; empty: not answered */
	int take;                 /* 200: accept at once; 180: ring only; 0: nothing */
	bool hold;                /* MESSAGE is not answered: `held` is its transaction */
	uint64_t held;
	void (*hook)(struct side *x, const char *what);
	size_t body;              /* length of the last body told */
};

static inline void note(struct side *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void note(struct side *x, const char *fmt, ...)
{
	va_list ap;
	if (!x->at)
		x->at = x->log;
	if (x->at > x->log)
		*x->at++ = ' ';
	va_start(ap, fmt);
	x->at += vsnprintf(x->at, (size_t)(x->log + sizeof x->log - x->at), fmt, ap);
	va_end(ap);
}

static inline void told(struct side *x, const char *what)
{
	if (x->hook)
		x->hook(x, what);
}

static inline void on_progress(void *arg, const struct sip_msg *m)
{
	note(arg, "P%d", m->status);
	told(arg, "P");
}

static inline void on_established(void *arg, const struct sip_msg *m)
{
	note(arg, "E");
	((struct side *)arg)->body = m->body.len;
	told(arg, "E");
}

static inline void on_offer(void *arg, const struct sip_msg *m)
{
	struct side *x = arg;
	note(x, m->body.len ? "O" : "O-");
	if (x->answer.len)
		assert_int_equal(sip_session_answer(x->s, 200, S("application/sdp"), x->answer), 0);
}

static inline void on_changed(void *arg, int status, const struct sip_msg *m)
{
	note(arg, "C%d%s", status, m ? "" : "l");
	((struct side *)arg)->body = m ? m->body.len : 0;
	told(arg, "C");
}

static inline void on_in_dialog(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct side *x = arg;
	(void)from;
	note(x, "R:%.*s", SFMT(m->body));
	if (x->hold)
		x->held = sip_server_id(st);
	else
		sip_server_reply(st, 200);
	sip_stack_release(x->e->stack, a);
	told(x, "R");
}

static inline void on_sent(void *arg, void *token, const struct sip_session_result *r)
{
	note(arg, "S%s=%d%s%s%s", (const char *)token, r->status, r->local ? "l" : "", r->left ? "" : "u", r->expired ? "x" : "");
	told(arg, "S");
}

static inline void on_ended(void *arg, const struct sip_session_end *e)
{
	static const char *const why[] = {"refused", "noanswer", "cancelled", "bye", "closed", "lost"};
	struct side *x = arg;
	note(x, "X%s=%d%s%s", why[e->why], e->status, e->local ? "l" : "", e->expired ? "x" : "");
	x->s = NULL;
	told(x, "X");
}

static const struct sip_session_ops side_ops = {on_progress, on_established, on_offer, on_changed, on_in_dialog, on_sent, on_ended, NULL};

#define assert_log(x, text)                                                                                                      \
	do {                                                                                                                     \
		if (strcmp((x)->log, (text)) != 0)                                                                               \
			print_message("told: %s\n", (x)->log);                                                                   \
		assert_string_equal((x)->log, (text));                                                                           \
	} while (0)

static inline void log_clear(struct side *x)
{
	x->at = x->log;
	*x->log = '\0';
}

/* --- two engines --- */

struct rig {
	struct pair *p;
	struct side a, b;
	/* puppet */
	unsigned branch;
	uint32_t cseq;
};

static struct rig *the_rig; /* of the running test; the hooks of struct end have no argument of their own */

static inline void rig_request(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	struct side *x = e->index ? &the_rig->b : &the_rig->a;
	(void)from;
	if (!st)
		return;
	if (m->method != SIP_INVITE || m->to.tag.len || x->s) {
		sip_server_reply(st, m->to.tag.len ? 481 : 486);
		return;
	}
	if (sip_session_take(&x->s, e->stack, st, m, &x->config, &side_ops, x) < 0)
		return;
	if (x->take)
		assert_int_equal(sip_session_ring(x->s, 180), 0);
	if (x->take == 200)
		assert_int_equal(sip_session_accept(x->s, S("application/sdp"), x->answer, NULL, 0), 0);
}

static inline struct rig *rig_new(enum sip_transport transport)
{
	struct rig *r = MEM_NEW(struct rig);
	r->p = pair_new(transport, NULL);
	for (int i = 0; i < 2; i++) {
		struct side *x = i ? &r->b : &r->a;
		x->e = i ? &r->p->b : &r->p->a;
		x->e->request = rig_request;
		x->config = (struct sip_session_config){.contact = i ? S("<sip:bob@192.0.2.2>") : S("<sip:alice@192.0.2.1>")};
		x->answer = i ? S("v=0 of B") : S("v=0 of A");
		x->take = 200;
	}
	r->cseq = 100;
	the_rig = r;
	return r;
}

static inline void rig_free(struct rig *r)
{
	r->a.s = sip_session_free(r->a.s);
	r->b.s = sip_session_free(r->b.s);
	pair_free(r->p);
	mem_free(r);
}

static inline void rig_call_with(struct rig *r, uint32_t ring_ms, const struct sip_extra *headers, size_t n)
{
	struct sip_flow to = pair_flow(r->p, 1);
	struct sip_session_call c = {.uri = S("sip:bob@b.example"),
				     .from = S("\"A\" <sip:alice@a.example>;epid=1"),
				     .content_type = S("application/sdp"),
				     .body = S("v=0 offer of A"),
				     .headers = headers,
				     .n_headers = n,
				     .ring_ms = ring_ms};
	assert_int_equal(sip_session_start(&r->a.s, r->p->a.stack, &to, &c, &r->a.config, &side_ops, &r->a), 0);
}

static inline void rig_call(struct rig *r)
{
	rig_call_with(r, 0, NULL, 0);
}

static inline int rig_send(struct side *x, enum sip_method method, const char *text)
{
	struct sip_session_request q = {
		.method = method, .content_type = S("text/plain"), .body = slice_str(text), .token = (void *)(uintptr_t)text};
	return sip_session_send(x->s, &q);
}

/* --- the puppet --- */

static inline bool rig_deaf(struct pair *p, struct packet *k)
{
	(void)p;
	return k->from == 0;
}

/* From now on B is ours: nothing of A reaches its stack. */
static inline void puppet(struct rig *r)
{
	r->p->lose = rig_deaf;
}

static inline void put_lines(struct buf *b, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			buf_putc(b, '\r');
		buf_putc(b, *c);
	}
}

/* The answer to a request of A. `headers`: lines that end in \n. A 2xx needs a Contact. */
static inline void reply(struct rig *r, const struct packet *k, int status, const char *tag, const char *headers, const char *body)
{
	struct arena *a;
	struct sip_msg *m = packet_msg(k, &a);
	struct sip_flow from = pair_flow(r->p, 1);
	struct buf b;
	buf_init(&b, 65536);
	sip_build_response(&b, m, status, SLICE_NONE, slice_str(tag), true, SLICE_NONE, 0);
	put_lines(&b, headers);
	sip_build_body(&b, *body ? S("application/sdp") : SLICE_NONE, slice_str(body));
	pair_input(&r->p->a, &from, buf_slice(&b));
	buf_free(&b);
	arena_release(NULL, a);
}

/* A request in the dialog of A's INVITE (or that A has answered: its 200), with B's tag and CSeq. */
static inline void ask_as(struct rig *r, uint32_t cseq, const char *method, const char *tag, const char *headers, const char *body)
{
	struct arena *a;
	struct packet *invite = pair_packet(r->p, 0, "INVITE", 0), *ok = pair_packet(r->p, 0, "SIP/2.0 200", 0);
	struct sip_msg *m = packet_msg(invite ? invite : ok, &a);
	struct slice a_tag = invite ? m->from.tag : m->to.tag;
	struct sip_flow from = pair_flow(r->p, 1);
	struct buf b;
	buf_init(&b, 65536);
	buf_printf(&b, "%s sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.2:5060;branch=z9hG4bKp%u\r\nMax-Forwards: 70\r\n", method,
		   sip_transport_name(r->p->transport), ++r->branch);
	buf_printf(&b, "From: <sip:bob@b.example>;tag=%s\r\nTo: <sip:alice@a.example>;tag=%.*s\r\nCall-ID: %.*s\r\nCSeq: %u %s\r\n", tag,
		   SFMT(a_tag), SFMT(m->call_id), cseq, method);
	put_lines(&b, headers);
	sip_build_body(&b, *body ? S("text/plain") : SLICE_NONE, slice_str(body));
	pair_input(&r->p->a, &from, buf_slice(&b));
	buf_free(&b);
	arena_release(NULL, a);
}

static inline void ask(struct rig *r, const char *method, const char *headers, const char *body)
{
	ask_as(r, strcmp(method, "ACK") == 0 ? r->cseq : ++r->cseq, method, "b1", headers, body);
}

/* The INVITE of a puppet that calls A. */
static inline void puppet_call(struct rig *r, const char *headers, const char *body)
{
	struct sip_flow from = pair_flow(r->p, 1);
	struct buf b;
	buf_init(&b, 65536);
	buf_printf(&b, "INVITE sip:alice@a.example SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.2:5060;branch=z9hG4bKi%u\r\nMax-Forwards: 70\r\n",
		   sip_transport_name(r->p->transport), r->branch);
	buf_printf(&b, "From: <sip:bob@b.example>;tag=b1\r\nTo: <sip:alice@a.example>\r\nCall-ID: pc@b\r\nCSeq: %u INVITE\r\n", r->cseq);
	put_lines(&b, headers);
	sip_build_body(&b, *body ? S("application/sdp") : SLICE_NONE, slice_str(body));
	pair_input(&r->p->a, &from, buf_slice(&b));
	buf_free(&b);
}

#define CONTACT "Contact: <sip:bob@192.0.2.2>\n"

/* A has called, the puppet has answered. */
static inline void opened(struct rig *r, const char *headers)
{
	char text[1024];
	snprintf(text, sizeof text, CONTACT "%s", headers);
	puppet(r);
	rig_call(r);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 200, "b1", text, "v=0 answer");
	assert_log(&r->a, "E");
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 1);
	log_clear(&r->a);
}
