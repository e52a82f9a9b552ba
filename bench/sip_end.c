/* SPDX-License-Identifier: Apache-2.0 */
/* The SIP server of an organisation: sends MESSAGEs or calls as it would pass them on from its users' devices (two Via fields, one
 * connection or a few), and answers those that arrive. */
#include "base/list.h"
#include "base/mem.h"
#include "load.h"
#include "sip/build.h"
#include "sip_reader.h"

struct link { /* one connection */
	struct list node;
	struct sip_end *end;
	struct conn *conn;
	struct sip_reader reader;
	bool outbound;
};

struct answer { /* that waits for its time */
	struct list node;
	struct link *link;
	uint64_t due;
	size_t len;
	char text[];
};

struct sip_end {
	struct load *load;
	struct sip_end_opts o;
	struct listener *listener;
	struct list links;
	struct link *out[SIP_END_CONNS];
	unsigned up; /* of them */
	struct buf text; /* scratch */
	char via[ADDR_TEXT];
	struct call_place place;
	struct list answers; /* in the order of their times */
	struct timer timer;  /* of the first */
};

static void drop(struct link *k)
{
	LIST_EACH(n, &k->end->answers) {
		struct answer *a = CONTAINER_OF(n, struct answer, node);
		if (a->link == k) {
			list_remove(n);
			mem_free(a);
		}
	}
	for (unsigned i = 0; i < k->end->o.conns; i++)
		if (k == k->end->out[i])
			k->end->out[i] = NULL;
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

static void one_up(struct sip_end *e)
{
	if (++e->up == e->o.conns)
		e->load->ready(e->load);
}

static void up(struct conn *c)
{
	struct link *k = conn_owner(c);
	if (k->outbound && !k->end->o.tls)
		one_up(k->end);
}

static void secured(struct conn *c, const struct tls_peer *p)
{
	struct link *k = conn_owner(c);
	if (!p->chain_ok)
		k->end->load->broken(k->end->load, "the certificate on a SIP connection is not trusted", p->why_not);
	else if (k->outbound)
		one_up(k->end);
}

/* "z9hG4bK.RUN.NUMBER", in calls "z9hG4bK-B.RUN.NUMBER" too */
static bool branch_seq(const struct load *l, struct slice branch, uint64_t *ret)
{
	struct slice rest = branch;
	slice_split(&rest, '.');
	return slice_eq(slice_split(&rest, '.'), slice_str(l->run)) && slice_u64(rest, UINT64_MAX, ret);
}

static void answer_later(struct link *k, struct slice text)
{
	struct sip_end *e = k->end;
	struct timers *q = &e->load->loop->timers;
	struct answer *a = mem_calloc(1, sizeof *a + text.len);
	a->link = k;
	a->due = q->now + e->o.answer_ms;
	a->len = text.len;
	memcpy(a->text, text.p, text.len);
	list_append(&e->answers, &a->node);
	if (!timer_armed(&e->timer))
		timer_arm(q, &e->timer, e->o.answer_ms);
}

/* Those that are due by then; the time of the next one. */
static uint64_t answer_all(struct sip_end *e, uint64_t by)
{
	LIST_EACH(n, &e->answers) {
		struct answer *a = CONTAINER_OF(n, struct answer, node);
		if (a->due > by)
			return a->due;
		list_remove(n);
		conn_write(a->link->conn, slice_of(a->text, a->len));
		mem_free(a);
	}
	return 0;
}

static void answers_due(struct timer *t, uint64_t now)
{
	struct sip_end *e = CONTAINER_OF(t, struct sip_end, timer);
	uint64_t next = answer_all(e, now);
	if (next)
		timer_arm(&e->load->loop->timers, t, next - now);
}

static void request(struct link *k, const struct sip_msg *m)
{
	struct sip_end *e = k->end;
	struct buf *b = &e->text;
	uint64_t seq;
	buf_clear(b);
	if (m->method == SIP_INVITE) {
		call_accept(b, &e->place, m);
	} else if (m->method != SIP_ACK) {
		sip_build_response(b, m, 200, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
		sip_build_body(b, SLICE_NONE, SLICE_NONE);
	}
	if (b->len && m->method == SIP_MESSAGE && e->o.answer_ms)
		answer_later(k, buf_slice(b));
	else if (b->len)
		conn_write(k->conn, buf_slice(b));
	if (m->method == SIP_ACK ? call_seq(e->load, m, &seq) : m->method == SIP_MESSAGE && load_text_seq(e->load, m->body, &seq))
		load_mark(e->load, seq, TRACK_ARRIVED);
}

static void response(struct link *k, const struct sip_msg *m)
{
	struct sip_end *e = k->end;
	struct load *l = e->load;
	uint64_t seq;
	if (m->status < 200)
		return;
	if (!branch_seq(l, m->via.branch, &seq)) {
		l->track.stray++;
	} else if (m->status >= 300) {
		load_refused(l, seq, slice_of(m->raw.p, m->raw.len < 600 ? m->raw.len : 600));
	} else if (m->cseq_method != SIP_INVITE) {
		load_mark(l, seq, TRACK_ANSWERED);
	} else {
		buf_clear(&e->text);
		if (!call_answered(&e->text, l, &e->place, m, seq) || conn_write(k->conn, buf_slice(&e->text)))
			l->broken(l, "a call could not be acknowledged", SLICE_NONE);
	}
}

static void came(void *arg, struct sip_msg *m)
{
	if (m->is_request)
		request(arg, m);
	else
		response(arg, m);
}

static void broken(void *arg, bool whole, const char *text)
{
	struct link *k = arg;
	struct load *l = k->end->load;
	l->broken(l, whole ? "the SIP server sent what is no SIP" : "the SIP server sent a broken message", slice_str(text));
}

static size_t data(struct conn *c, struct slice in)
{
	struct link *k = conn_owner(c);
	return sip_reader_input(&k->reader, c, in);
}

static const struct conn_ops link_ops = {.connected = up, .secured = secured, .data = data, .closed = closed};

static struct link *link_new(struct sip_end *e, bool outbound)
{
	struct link *k = MEM_NEW(struct link);
	k->end = e;
	k->outbound = outbound;
	k->reader = (struct sip_reader){.loop = e->load->loop, .message = came, .broken = broken, .arg = k};
	sip_reader_init(&k->reader);
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

static int dial(struct sip_end *e, unsigned n, struct entente_err *err)
{
	struct conn_tls t = {.ctx = e->o.ctx, .sni = slice_str(e->o.sni)};
	struct addr from = e->o.home;
	addr_set_port(&from, 0);
	e->out[n] = link_new(e, true);
	struct conn_opts o = {.ops = &link_ops, .owner = e->out[n], .limits = &load_conn_limits, .tls = e->o.tls ? &t : NULL,
			      .bind = &from};
	return conn_connect(&e->out[n]->conn, e->load->loop, &e->o.target, &o, err);
}

struct sip_end *sip_end_new(struct load *l, const struct sip_end_opts *o)
{
	struct sip_end *e = MEM_NEW(struct sip_end);
	struct listener_opts lo = {.addr = o->home, .accepted = accepted, .arg = e};
	struct entente_err err;
	e->load = l;
	e->o = *o;
	e->o.conns = !o->send ? 0 : o->conns ? o->conns : 1;
	list_init(&e->links);
	list_init(&e->answers);
	timer_init(&e->timer, answers_due);
	buf_init(&e->text, 16384);
	addr_text(&o->home, e->via);
	e->place = (struct call_place){o->tls ? "TLS" : "TCP", e->via};
	bool failed = listener_new(&e->listener, l->loop, &lo, &err);
	for (unsigned i = 0; i < e->o.conns && !failed; i++)
		failed = dial(e, i, &err);
	if (failed)
		l->broken(l, "opening the SIP side", slice_str(err.text));
	return e;
}

static void message(struct buf *b, const struct sip_end *e, unsigned user, uint64_t seq)
{
	const struct load *l = e->load;
	char text[LOAD_BODY_MAX];
	struct slice body = load_text(l, seq, text);
	const char *to = load_partner(l, user);
	unsigned long long id = seq;
	buf_printf(b,
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
		   user, to, e->place.transport, e->via, l->run, id, l->run, id, user, user, l->from_domain, id, user,
		   to, l->run, id, body.len);
	buf_put(b, body);
}

void sip_end_send(struct sip_end *e, unsigned user, uint64_t seq)
{
	struct link *k = e->out[user % e->o.conns];
	buf_clear(&e->text);
	if (e->o.calls)
		call_invite(&e->text, e->load, &e->place, user, seq);
	else
		message(&e->text, e, user, seq);
	if (!k || conn_write(k->conn, buf_slice(&e->text)))
		e->load->broken(e->load, "the SIP connection takes no more", SLICE_NONE);
}

void sip_end_close(struct sip_end *e)
{
	answer_all(e, UINT64_MAX); /* what has no answer when the connection ends would be sent again */
	LIST_EACH(n, &e->links)
		conn_close(CONTAINER_OF(n, struct link, node)->conn);
}

struct sip_end *sip_end_free(struct sip_end *e)
{
	if (!e)
		return NULL;
	LIST_EACH(n, &e->links)
		drop(CONTAINER_OF(n, struct link, node));
	timer_cancel(&e->load->loop->timers, &e->timer);
	listener_free(e->listener);
	buf_free(&e->text);
	return mem_free(e);
}
