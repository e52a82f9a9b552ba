/* SPDX-License-Identifier: Apache-2.0 */
/* The SIP server of the organisation: sends MESSAGEs as it would pass them on from its users' devices (two Via fields, one
 * connection), and answers 200 to those that arrive. */
#include "base/list.h"
#include "base/mem.h"
#include "load.h"
#include "sip/build.h"
#include "sip/frame.h"

struct link { /* one connection */
	struct list node;
	struct sip_end *end;
	struct conn *conn;
	struct sip_framer framer;
	bool outbound;
};

struct sip_end {
	struct load *load;
	struct sip_end_opts o;
	struct listener *listener;
	struct list links;
	struct link *out;
	struct buf answer; /* scratch */
	char via[ADDR_TEXT];
};

static void drop(struct link *k)
{
	if (k == k->end->out)
		k->end->out = NULL;
	list_remove(&k->node);
	k->end->load->conns--;
	conn_free(k->conn);
	mem_free(k);
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct link *k = conn_owner(c);
	struct load *l = k->end->load;
	bool matters = k->outbound || why->code;
	drop(k);
	if (matters && !l->ending)
		l->broken(l, "a SIP connection ended", slice_str(why->text));
}

static void up(struct conn *c)
{
	struct link *k = conn_owner(c);
	if (k->outbound && !k->end->o.tls)
		k->end->load->ready(k->end->load);
}

static void secured(struct conn *c, const struct tls_peer *p)
{
	struct link *k = conn_owner(c);
	if (!p->chain_ok)
		k->end->load->broken(k->end->load, "the certificate on a SIP connection is not trusted", p->why_not);
	else if (k->outbound)
		k->end->load->ready(k->end->load);
}

/* "z9hG4bK.RUN.NUMBER" */
static bool branch_seq(const struct load *l, struct slice branch, uint64_t *ret)
{
	struct slice rest = branch;
	slice_split(&rest, '.');
	return slice_eq(slice_split(&rest, '.'), slice_str(l->run)) && slice_u64(rest, UINT64_MAX, ret);
}

static void request(struct link *k, const struct sip_msg *m)
{
	struct load *l = k->end->load;
	struct buf *b = &k->end->answer;
	uint64_t seq;
	buf_clear(b);
	sip_build_response(b, m, 200, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
	sip_build_body(b, SLICE_NONE, SLICE_NONE);
	conn_write(k->conn, buf_slice(b));
	if (load_text_seq(l, m->body, &seq))
		load_mark(l, seq, TRACK_ARRIVED);
}

static void response(struct link *k, const struct sip_msg *m)
{
	struct load *l = k->end->load;
	uint64_t seq;
	if (m->status < 200)
		return;
	if (!branch_seq(l, m->via.branch, &seq))
		l->track.stray++;
	else if (m->status < 300)
		load_mark(l, seq, TRACK_ANSWERED);
	else
		load_refused(l, seq, slice_of(m->raw.p, m->raw.len < 600 ? m->raw.len : 600));
}

static size_t data(struct conn *c, struct slice in)
{
	struct link *k = conn_owner(c);
	struct load *l = k->end->load;
	size_t used = 0;
	for (;;) {
		struct sip_frame f;
		struct sip_msg *m;
		struct sip_fault fault;
		sip_framer_next(&k->framer, slice_skip(in, used), &f);
		used += f.consume;
		if (f.kind == SIP_FRAME_MORE)
			return used;
		if (f.kind == SIP_FRAME_PING)
			conn_write(c, S("\r\n"));
		if (f.kind == SIP_FRAME_ERROR) {
			l->broken(l, "the SIP server sent what is no SIP", slice_str(f.fault.text));
			return in.len;
		}
		if (f.kind != SIP_FRAME_MESSAGE)
			continue;
		struct arena *a = arena_acquire(l->loop->arenas);
		if (sip_msg_parse(&m, a, f.message, &sip_limits_default, &fault))
			l->broken(l, "the SIP server sent a broken message", slice_str(fault.text));
		else if (m->is_request)
			request(k, m);
		else
			response(k, m);
		arena_release(l->loop->arenas, a);
	}
}

static const struct conn_ops link_ops = {.connected = up, .secured = secured, .data = data, .closed = closed};

static struct link *link_new(struct sip_end *e, bool outbound)
{
	struct link *k = MEM_NEW(struct link);
	k->end = e;
	k->outbound = outbound;
	sip_framer_init(&k->framer, &sip_limits_default);
	list_append(&e->links, &k->node);
	e->load->conns++;
	return k;
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct sip_end *e = arg;
	struct conn_tls t = {.ctx = e->o.ctx, .server = true};
	struct link *k = link_new(e, false);
	struct conn_opts o = {.ops = &link_ops, .owner = k, .limits = &load_conn_limits, .tls = e->o.tls ? &t : NULL,
			      .pass = pass};
	struct entente_err err;
	(void)w;
	(void)from;
	if (conn_accept(&k->conn, e->load->loop, fd, &o, &err)) {
		drop(k);
		e->load->broken(e->load, "accepting a SIP connection", slice_str(err.text));
	}
}

static int dial(struct sip_end *e, struct entente_err *err)
{
	struct conn_tls t = {.ctx = e->o.ctx, .sni = slice_str(e->o.sni)};
	struct addr from = e->o.home;
	addr_set_port(&from, 0);
	e->out = link_new(e, true);
	struct conn_opts o = {.ops = &link_ops, .owner = e->out, .limits = &load_conn_limits, .tls = e->o.tls ? &t : NULL,
			      .bind = &from};
	return conn_connect(&e->out->conn, e->load->loop, &e->o.target, &o, err);
}

struct sip_end *sip_end_new(struct load *l, const struct sip_end_opts *o)
{
	struct sip_end *e = MEM_NEW(struct sip_end);
	struct listener_opts lo = {.addr = o->home, .accepted = accepted, .arg = e};
	struct entente_err err;
	e->load = l;
	e->o = *o;
	list_init(&e->links);
	buf_init(&e->answer, 16384);
	addr_text(&o->home, e->via);
	if (listener_new(&e->listener, l->loop, &lo, &err) || (o->send && dial(e, &err)))
		l->broken(l, "opening the SIP side", slice_str(err.text));
	return e;
}

void sip_end_send(struct sip_end *e, unsigned user, uint64_t seq)
{
	struct load *l = e->load;
	char text[2048], body[LOAD_BODY_MAX];
	struct slice b = load_text(l, seq, body);
	const char *to = load_partner(l, user);
	const char *tr = e->o.tls ? "TLS" : "TCP";
	unsigned long long id = seq;
	int n = snprintf(text, sizeof text,
			 "MESSAGE sip:juliet%u@%s SIP/2.0\r\n"
			 "Via: SIP/2.0/%s %s;branch=z9hG4bK.%s.%llu\r\n"
			 "Via: SIP/2.0/UDP 192.0.2.7:5060;received=192.0.2.7;rport=5060;branch=z9hG4bK-d8754z-%s%llu\r\n"
			 "Max-Forwards: 69\r\n"
			 "From: \"Romeo %u\" <sip:romeo%u@%s>;tag=f%llu\r\n"
			 "To: <sip:juliet%u@%s>\r\n"
			 "Call-ID: %s-%llu@192.0.2.7\r\n"
			 "CSeq: 1 MESSAGE\r\n"
			 "User-Agent: Softphone 5.1.0 (belle-sip)\r\n"
			 "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY\r\n"
			 "Content-Type: text/plain;charset=UTF-8\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 user, to, tr, e->via, l->run, id, l->run, id, user, user, l->from_domain, id, user,
			 to, l->run, id, b.len);
	struct slice v[2] = {slice_of(text, (size_t)n), b};
	if (!e->out || conn_writev(e->out->conn, v, 2))
		l->broken(l, "the SIP connection takes no more", SLICE_NONE);
}

void sip_end_close(struct sip_end *e)
{
	LIST_EACH(n, &e->links)
		conn_close(CONTAINER_OF(n, struct link, node)->conn);
}

struct sip_end *sip_end_free(struct sip_end *e)
{
	if (!e)
		return NULL;
	LIST_EACH(n, &e->links)
		drop(CONTAINER_OF(n, struct link, node));
	listener_free(e->listener);
	buf_free(&e->answer);
	return mem_free(e);
}
