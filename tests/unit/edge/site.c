/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sip/build.h"
#include "sip/frame.h"

const char *request(const char *method, const char *from, const char *id)
{
	static char ring[8][1024];
	static unsigned next;
	char *p = ring[next++ % 8];
	snprintf(p, sizeof ring[0],
		 "%s sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;rport;branch=z9hG4bK%s\r\nMax-Forwards: "
		 "70\r\nFrom: <sip:%s>;tag=t\r\n"
		 "To: <sip:juliet@fabrikam.test>\r\nCall-ID: %s@x\r\nCSeq: 1 %s\r\nContent-Type: text/plain\r\nContent-Length: "
		 "5\r\n\r\nhello",
		 method, id, from, id, method);
	return p;
}

/* ---- the edge's owner */

static unsigned on_shard(void *arg, const struct sip_msg *m, struct arena *a)
{
	(void)arg, (void)m, (void)a;
	return 0;
}

static uint32_t on_home_of(void *arg, const struct sip_msg *m)
{
	(void)arg;
	return slice_eq(m->from.uri.host, S("second.test")) ? 1 : 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct site *s = arg;
	buf_printf(&s->seen, "%.*s %.*s %.*s %u\n", SFMT(m->method_text), SFMT(m->from.uri_text), SFMT(m->uri_text),
		   from->target);
	if (st && s->hold)
		s->held[s->n_held++ % 8] = sip_server_id(st);
	else if (st)
		sip_server_reply(st, s->status ? s->status : 200);
	arena_release(s->loop->arenas, a);
}

static struct sip_edge *on_edge(struct worker *w)
{
	return w->state;
}

static const struct sip_edge_ops ops = {on_shard, on_home_of, on_request, on_edge};

void site_setup(struct site *s)
{
	*s = (struct site){0};
	assert_int_equal(loop_new(&s->loop, NULL, NULL), 0);
	s->worker.loop = s->loop;
	s->set = (struct sip_edge_settings){
		.limits = sip_limits_default,
		.keepalive_ms = 60000,
		.connect_ms = 1500,
		.queue_messages = 10,
		.queue_octets = 65536,
		.queue_ms = 2000,
	};
	s->set.limits.max_message = 16384;
	struct sip_edge_config c = {
		.worker = &s->worker, .sent_by = {S("127.0.0.1:5060"), S("127.0.0.1:5060"), S("127.0.0.1:5061")}, .set = s->set};
	s->edge = sip_edge_new(&c, &ops, s);
	buf_init(&s->seen, 1 << 20);
	buf_init(&s->done, 1 << 20);
}

void site_teardown(struct site *s)
{
	listener_free(s->tcp);
	listener_free(s->tls);
	sip_edge_free(s->edge);
	loop_free(s->loop);
	buf_free(&s->seen);
	buf_free(&s->done);
}

void site_home(struct site *s, const char *next_hop)
{
	struct entente_err err;
	struct sip_edge_home h = {.name = S("first"), .next_hop = slice_str(next_hop)};
	if (sip_edge_set_homes(s->edge, &h, 1, &err))
		fail_msg("%s", err.text);
}

static void on_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)w, (void)from;
	sip_edge_accept(((struct site *)arg)->edge, fd, false, pass);
}

static void on_tls(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)w, (void)from;
	sip_edge_accept(((struct site *)arg)->edge, fd, true, pass);
}

void site_listen(struct site *s)
{
	struct entente_err err;
	struct listener_opts o = {.accepted = on_tcp, .arg = s};
	addr_parse(S("127.0.0.1"), 0, &o.addr);
	assert_int_equal(listener_new(&s->tcp, s->loop, &o, &err), 0);
	o.accepted = on_tls;
	assert_int_equal(listener_new(&s->tls, s->loop, &o, &err), 0);
}

struct asked {
	struct site *site;
	char id[16];
};

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct asked *q = arg;
	(void)ct, (void)from;
	if (m->status >= 200)
		buf_printf(&q->site->done, "%s %d\n", q->id, m->status);
}

static void on_done(void *arg, enum sip_done why)
{
	struct asked *q = arg;
	if (why != SIP_DONE_ANSWERED)
		buf_printf(&q->site->done, "%s %d\n", q->id, (int)why);
	mem_free(q);
}

void site_ask(struct site *s, const char *id)
{
	static const struct sip_client_handler handler = {on_response, on_done};
	struct asked *q = MEM_NEW(struct asked);
	struct sip_flow flow;
	char text[512];
	q->site = s;
	snprintf(q->id, sizeof q->id, "%s", id);
	loop_touch(s->loop);
	assert_true(sip_edge_home_flow(s->edge, 0, &flow, NULL));
	snprintf(text, sizeof text,
		 "MESSAGE sip:romeo@contoso.test SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:juliet@fabrikam.test>;tag=x\r\nTo: "
		 "<sip:romeo@contoso.test>\r\n"
		 "Call-ID: %s@us\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
		 id);
	assert_int_equal(sip_client_start(NULL, sip_edge_stack(s->edge), &flow, slice_str(text), &handler, q, NULL), 0);
}

struct look {
	char state[16], error[256];
};

static void on_home(void *arg, const struct sip_edge_facts *f)
{
	struct look *l = arg;
	if (l->state[0])
		return;
	snprintf(l->state, sizeof l->state, "%s", f->state);
	snprintf(l->error, sizeof l->error, "%.*s", SFMT(f->error));
}

static struct look look(struct site *s)
{
	struct look l = {0};
	sip_edge_each_home(s->edge, on_home, &l);
	return l;
}

const char *site_state(struct site *s)
{
	static struct look l;
	l = look(s);
	return l.state;
}

const char *site_error(struct site *s)
{
	static struct look l;
	l = look(s);
	return l.error;
}

/* ---- peers */

static void peer_connected(struct conn *c)
{
	((struct peer *)conn_owner(c))->connected = true;
}

static void peer_secured(struct conn *c, const struct tls_peer *t)
{
	(void)t;
	((struct peer *)conn_owner(c))->secured = true;
}

/* 200 to each request in `in`, by its own Via, From, To, Call-ID and CSeq. */
static void answer(struct peer *p, struct slice in)
{
	struct arena *a = arena_acquire(p->site->loop->arenas);
	struct sip_framer f;
	struct sip_frame frame;
	sip_framer_init(&f, &sip_limits_default);
	for (; sip_framer_next(&f, in, &frame), frame.kind == SIP_FRAME_MESSAGE || frame.kind == SIP_FRAME_PING;
	     in = slice_skip(in, frame.consume)) {
		struct sip_msg *m;
		struct sip_fault fault;
		struct buf b;
		if (frame.kind == SIP_FRAME_PING || sip_msg_parse(&m, a, frame.message, &sip_limits_default, &fault) ||
		    !m->is_request)
			continue;
		buf_init(&b, 65536);
		sip_build_response(&b, m, 200, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		conn_write(p->conn, buf_slice(&b));
		buf_free(&b);
	}
	arena_release(p->site->loop->arenas, a);
}

static size_t peer_data(struct conn *c, struct slice in)
{
	struct peer *p = conn_owner(c);
	buf_put(&p->got, in);
	if (p->answer)
		answer(p, in);
	if (p->pong && slice_eq(in, S("\r\n\r\n")))
		conn_write(c, S("\r\n"));
	return in.len;
}

static void peer_closed(struct conn *c, const struct entente_err *why)
{
	(void)why;
	((struct peer *)conn_owner(c))->closed = true;
}

static const struct conn_ops peer_ops = {
	.connected = peer_connected, .secured = peer_secured, .data = peer_data, .closed = peer_closed};

void peer_connect(struct peer *p, struct site *s, struct listener *to, struct tls_ctx *tls)
{
	struct entente_err err;
	struct conn_tls t = {.ctx = tls, .slot = TLS_SLOT_CLIENT};
	struct conn_opts o = {.ops = &peer_ops, .owner = p, .tls = tls ? &t : NULL};
	*p = (struct peer){.site = s};
	buf_init(&p->got, 1 << 22);
	assert_int_equal(conn_connect(&p->conn, s->loop, listener_addr(to), &o, &err), 0);
	UNTIL(s->loop, tls ? p->secured : p->connected);
}

void peer_say(struct peer *p, const char *text)
{
	assert_int_equal(conn_write(p->conn, slice_str(text)), 0);
}

void peer_free(struct peer *p)
{
	p->conn = conn_free(p->conn);
	buf_free(&p->got);
}

/* ---- where a home listens */

static void base_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct base *b = arg;
	struct entente_err err;
	(void)w, (void)from, (void)pass;
	assert_true(b->n < sizeof b->peers / sizeof *b->peers);
	struct peer *p = &b->peers[b->n++];
	struct conn_tls t = {.ctx = b->tls, .server = true};
	struct conn_opts o = {.ops = &peer_ops, .owner = p, .tls = b->tls ? &t : NULL};
	*p = (struct peer){.site = b->site, .answer = b->answer, .pong = b->pong};
	buf_init(&p->got, 1 << 22);
	assert_int_equal(conn_accept(&p->conn, b->site->loop, fd, &o, &err), 0);
	if (b->mute)
		conn_pause(p->conn);
}

void base_open(struct base *b, struct site *s, unsigned port)
{
	struct entente_err err;
	struct listener_opts o = {.accepted = base_accepted, .arg = b};
	struct base keep = *b;
	*b = (struct base){.site = s, .tls = keep.tls, .answer = keep.answer, .pong = keep.pong, .mute = keep.mute};
	addr_parse(S("127.0.0.1"), (uint16_t)port, &o.addr);
	if (listener_new(&b->listener, s->loop, &o, &err))
		fail_msg("%s", err.text);
}

void base_close(struct base *b)
{
	b->listener = listener_free(b->listener);
	for (size_t i = 0; i < b->n; i++)
		peer_free(&b->peers[i]);
	b->n = 0;
}

unsigned base_port(const struct base *b)
{
	return addr_port(listener_addr(b->listener));
}
