/* SPDX-License-Identifier: Apache-2.0 */
#include "home.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/listener.h"
#include "sip/build.h"
#include "sip_reader.h"

/* So long a branch is looked for in `taken`: 64 * T1. */
enum { AGAIN_MS = 50, TAKEN = 1 << 17, TAKEN_MS = 32000 };

static const struct conn_limits limits = {
	.in_max = 1 << 20, .out_max = 64 << 20, .out_high = 32 << 20, .out_low = 1 << 20,
	.connect_ms = 5000, .handshake_ms = 5000, .linger_ms = 1000,
};

struct link {
	struct list node, thoughts;
	struct home *home;
	struct conn *conn;
	struct sip_reader reader;
	struct loop_hook kill;
	struct dialler *by; /* of one that requests leave on; NULL: the other side made it */
	bool up;
};

struct dialler {
	struct timer timer;
	struct home *home;
	struct link *link;
	unsigned index;
};

struct thought { /* an answer that is not given yet */
	struct list node;
	struct list of_link;
	struct link *link;
	uint64_t due;
	struct slice text; /* behind it */
};

struct home {
	struct home_opts o;
	struct loop *loop;
	struct listener *listener;
	struct list links, thoughts;
	struct dialler diallers[HOME_CONNS];
	struct timer think;
	struct home_counts counts;
	bool on, held;
	char via[ADDR_TEXT];
	struct buf text; /* scratch */
	struct { uint64_t hash, at, answered; } *taken;
};

static void thought_free(struct thought *t)
{
	list_remove(&t->node);
	list_remove(&t->of_link);
	mem_free(t);
}

/* No callback. */
static void link_free(struct link *k)
{
	struct home *h = k->home;
	LIST_EACH(n, &k->thoughts)
		thought_free(CONTAINER_OF(n, struct thought, of_link));
	if (k->by) {
		k->by->link = NULL;
		h->counts.up -= k->up;
	}
	loop_undefer(&k->kill);
	list_remove(&k->node);
	conn_free(k->conn);
	mem_free(k);
}

static void gone(struct link *k)
{
	struct home *h = k->home;
	struct dialler *d = k->by;
	bool was_up = k->up;
	link_free(k);
	if (!d)
		return;
	h->counts.refused += !was_up;
	if (was_up)
		h->o.down(h->o.arg, d->index);
	if (h->on)
		timer_arm(&h->loop->timers, &d->timer, AGAIN_MS);
}

static void kill_run(struct loop_hook *hook)
{
	gone(CONTAINER_OF(hook, struct link, kill));
}

static void closed(struct conn *c, const struct entente_err *why)
{
	(void)why;
	gone(conn_owner(c));
}

static void link_up(struct link *k)
{
	if (!k->by)
		return;
	k->up = true;
	k->home->counts.up++;
	k->home->o.up(k->home->o.arg, k->by->index);
}

static void connected(struct conn *c)
{
	struct link *k = conn_owner(c);
	if (!k->home->o.tls)
		link_up(k);
}

static void secured(struct conn *c, const struct tls_peer *p)
{
	struct link *k = conn_owner(c);
	if (p->chain_ok)
		link_up(k);
	else
		loop_reap(k->home->loop, &k->kill);
}

/* ---- what comes */

static void think_over(struct timer *t, uint64_t now)
{
	struct home *h = CONTAINER_OF(t, struct home, think);
	LIST_EACH(n, &h->thoughts) {
		struct thought *o = CONTAINER_OF(n, struct thought, node);
		if (o->due > now) {
			timer_arm(&h->loop->timers, t, o->due - now);
			return;
		}
		conn_write(o->link->conn, o->text);
		thought_free(o);
	}
}

static void answer(struct link *k, const struct sip_msg *m, int status, uint32_t wait_ms)
{
	struct home *h = k->home;
	struct buf *b = &h->text;
	buf_clear(b);
	sip_build_response(b, m, status, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
	sip_build_body(b, SLICE_NONE, SLICE_NONE);
	if (!wait_ms) {
		conn_write(k->conn, buf_slice(b));
		return;
	}
	struct thought *t = mem_calloc(1, sizeof *t + b->len);
	*t = (struct thought){.link = k, .due = h->loop->timers.now + wait_ms};
	memcpy(t + 1, buf_slice(b).p, b->len);
	t->text = slice_of((const char *)(t + 1), b->len);
	struct list *before = &h->thoughts; /* in the order of their times: it may think faster than it did */
	while (before->prev != &h->thoughts && CONTAINER_OF(before->prev, struct thought, node)->due > t->due)
		before = before->prev;
	list_append(before, &t->node);
	list_append(&k->thoughts, &t->of_link);
	if (h->thoughts.next == &t->node)
		timer_arm(&h->loop->timers, &h->think, wait_ms);
}

/* Whoever is watched for is open for communication: 200, and the one NOTIFY that follows. */
static void watched(struct link *k, const struct sip_msg *m)
{
	static uint64_t number;
	struct home *h = k->home;
	struct buf *b = &h->text;
	struct slice target = sip_msg_header_named(m, S("Contact")), uri = target;
	uint32_t seconds = 3600;
	char body[512];
	ptrdiff_t begin = slice_find_chr(target, '<'), end = slice_find_chr(target, '>');
	sip_msg_uint(m, SIP_H_EXPIRES, 86400, &seconds);
	buf_clear(b);
	sip_build_response(b, m, 200, SLICE_NONE, m->to.tag.len ? SLICE_NONE : S("home"), true, SLICE_NONE, 0);
	sip_build_header_uint(b, SIP_H_EXPIRES, seconds);
	sip_build_header_fmt(b, SIP_H_CONTACT, "<sip:home@%s;transport=%s>", h->via, h->o.tls ? "tls" : "tcp");
	sip_build_body(b, SLICE_NONE, SLICE_NONE);
	conn_write(k->conn, buf_slice(b));
	if (begin >= 0 && end > begin)
		uri = slice_of(target.p + begin + 1, (size_t)(end - begin - 1));
	snprintf(body, sizeof body,
		 "<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='%.*s'><tuple id='home'><status><basic>open</basic></status>"
		 "</tuple></presence>", SFMT(slice_first(m->to.uri_text, 200)));
	number++;
	buf_clear(b);
	buf_printf(b,
		   "NOTIFY %.*s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK.n.%llu\r\nMax-Forwards: 69\r\nFrom: <%.*s>;tag=%.*s\r\nTo: <%.*s>;tag=%.*s\r\n"
		   "Call-ID: %.*s\r\nCSeq: %llu NOTIFY\r\nContact: <sip:home@%s>\r\nEvent: presence\r\nSubscription-State: %s\r\n",
		   SFMT(uri), h->o.tls ? "TLS" : "TCP", h->via, (unsigned long long)number, SFMT(m->to.uri_text),
		   SFMT(m->to.tag.len ? m->to.tag : S("home")), SFMT(m->from.uri_text), SFMT(m->from.tag), SFMT(m->call_id), (unsigned long long)number, h->via,
		   seconds ? "active;expires=3600" : "terminated;reason=timeout");
	sip_build_body(b, S("application/pidf+xml"), slice_str(body));
	conn_write(k->conn, buf_slice(b));
	h->counts.watched++;
}

/* Is it a repetition of what is not answered yet? */
static bool repeated(struct home *h, const struct sip_msg *m)
{
	uint64_t hash = hash_slice(m->via.branch) ^ (uint64_t)m->method, now = h->loop->timers.now;
	size_t i = hash % TAKEN;
	if (h->taken[i].hash == hash && now - h->taken[i].at < TAKEN_MS) {
		h->counts.repeated++;
		return now < h->taken[i].answered;
	}
	h->taken[i].hash = hash;
	h->taken[i].at = now;
	h->taken[i].answered = now + h->o.think_ms;
	return false;
}

static void request(struct link *k, const struct sip_msg *m)
{
	struct home *h = k->home;
	int status = 200;
	if (m->method == SIP_ACK)
		return;
	if (m->method == SIP_MESSAGE && !repeated(h, m))
		status = h->o.message(h->o.arg, m->body);
	if (m->method == SIP_SUBSCRIBE)
		watched(k, m);
	else if (status)
		answer(k, m, status, m->method == SIP_MESSAGE ? h->o.think_ms : 0);
}

/* "z9hG4bK.RUN.NUMBER" */
static bool branch_seq(const struct home *h, struct slice branch, uint64_t *ret)
{
	struct slice rest = branch;
	slice_split(&rest, '.');
	return slice_eq(slice_split(&rest, '.'), slice_str(h->o.run)) && slice_u64(rest, UINT64_MAX, ret);
}

static void response(struct home *h, const struct sip_msg *m)
{
	uint64_t seq;
	if (m->status >= 200 && branch_seq(h, m->via.branch, &seq))
		h->o.answer(h->o.arg, seq, m->status, sip_msg_header_named(m, S("Entente-Reason")));
}

static void came(void *arg, struct sip_msg *m)
{
	struct link *k = arg;
	if (m->is_request)
		request(k, m);
	else
		response(k->home, m);
}

static void broken(void *arg, bool whole, const char *text)
{
	struct link *k = arg;
	fprintf(stderr, "ledger: %s: %s\n", whole ? "what came is no SIP" : "a broken SIP message came", text);
	if (whole)
		loop_reap(k->home->loop, &k->kill);
}

static size_t data(struct conn *c, struct slice in)
{
	struct link *k = conn_owner(c);
	return sip_reader_input(&k->reader, c, in);
}

static const struct conn_ops link_ops = {.connected = connected, .secured = secured, .data = data, .closed = closed};

/* ---- connections */

static struct link *link_new(struct home *h, struct dialler *by)
{
	struct link *k = MEM_NEW(struct link);
	k->home = h;
	k->by = by;
	k->kill.run = kill_run;
	list_init(&k->thoughts);
	k->reader = (struct sip_reader){.loop = h->loop, .message = came, .broken = broken, .arg = k};
	sip_reader_init(&k->reader);
	list_append(&h->links, &k->node);
	return k;
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct home *h = arg;
	struct conn_tls t = {.ctx = h->o.ctx, .server = true};
	struct link *k = link_new(h, NULL);
	struct conn_opts o = {.ops = &link_ops, .owner = k, .limits = &limits, .tls = h->o.tls ? &t : NULL, .pass = pass};
	struct entente_err err;
	(void)w, (void)from;
	h->counts.accepted++;
	if (conn_accept(&k->conn, h->loop, fd, &o, &err))
		link_free(k);
	else if (h->held)
		conn_pause(k->conn);
}

static void dial(struct timer *t, uint64_t now)
{
	struct dialler *d = CONTAINER_OF(t, struct dialler, timer);
	struct home *h = d->home;
	struct conn_tls tls = {.ctx = h->o.ctx, .sni = slice_str(h->o.sni)};
	struct addr from = h->o.listen;
	struct entente_err err;
	(void)now;
	addr_set_port(&from, 0);
	struct link *k = d->link = link_new(h, d);
	struct conn_opts o = {.ops = &link_ops, .owner = k, .limits = &limits, .tls = h->o.tls ? &tls : NULL, .bind = &from};
	h->counts.dialled++;
	if (conn_connect(&k->conn, h->loop, &h->o.target, &o, &err))
		loop_reap(h->loop, &k->kill);
	else if (h->held)
		conn_pause(k->conn);
}

/* ---- the home */

static int open_port(struct home *h, struct entente_err *err)
{
	struct listener_opts lo = {.addr = h->o.listen, .accepted = accepted, .arg = h};
	return listener_new(&h->listener, h->loop, &lo, err);
}

int home_new(struct home **ret, struct loop *loop, const struct home_opts *o, struct entente_err *err)
{
	struct home *h = MEM_NEW(struct home);
	h->o = *o;
	h->loop = loop;
	h->on = true;
	list_init(&h->links);
	list_init(&h->thoughts);
	timer_init(&h->think, think_over);
	buf_init(&h->text, 16384);
	addr_text(&o->listen, h->via);
	h->taken = mem_calloc(TAKEN, sizeof *h->taken);
	for (unsigned i = 0; i < o->conns; i++) {
		h->diallers[i] = (struct dialler){.home = h, .index = i};
		timer_init(&h->diallers[i].timer, dial);
		timer_arm(&loop->timers, &h->diallers[i].timer, 0);
	}
	int rc = open_port(h, err);
	if (rc)
		home_free(h);
	else
		*ret = h;
	return rc;
}

static void cut(struct home *h)
{
	LIST_EACH(n, &h->links) {
		struct link *k = CONTAINER_OF(n, struct link, node);
		struct dialler *d = k->by;
		bool was_up = k->up;
		link_free(k);
		if (d && was_up)
			h->o.down(h->o.arg, d->index);
	}
}

struct home *home_free(struct home *h)
{
	if (!h)
		return NULL;
	h->on = false;
	LIST_EACH(n, &h->links)
		link_free(CONTAINER_OF(n, struct link, node));
	for (unsigned i = 0; i < h->o.conns; i++)
		timer_cancel(&h->loop->timers, &h->diallers[i].timer);
	timer_cancel(&h->loop->timers, &h->think);
	listener_free(h->listener);
	buf_free(&h->text);
	mem_free(h->taken);
	return mem_free(h);
}

int home_send(struct home *h, unsigned user, const char *to, uint64_t seq, struct slice body)
{
	struct buf *b = &h->text;
	unsigned long long id = seq;
	for (unsigned n = 0; n < h->o.conns; n++) {
		unsigned i = (user + n) % h->o.conns;
		struct link *k = h->diallers[i].link;
		if (!k || !k->up)
			continue;
		buf_clear(b);
		buf_printf(b,
			   "MESSAGE sip:%s SIP/2.0\r\n"
			   "Via: SIP/2.0/%s %s;branch=z9hG4bK.%s.%llu\r\n"
			   "Max-Forwards: 69\r\n"
			   "From: <sip:romeo%u@%s>;tag=f%llu\r\n"
			   "To: <sip:%s>\r\n"
			   "Call-ID: %s-%llu@192.0.2.7\r\n"
			   "CSeq: 1 MESSAGE\r\n"
			   "Content-Type: text/plain;charset=UTF-8\r\n"
			   "Content-Length: %zu\r\n\r\n",
			   to, h->o.tls ? "TLS" : "TCP", h->via, h->o.run, id, user, h->o.domain, id, to, h->o.run, id, body.len);
		buf_put(b, body);
		return conn_write(k->conn, buf_slice(b)) ? -1 : (int)i;
	}
	return -1;
}

int home_switch(struct home *h, bool on, struct entente_err *err)
{
	if (on == h->on)
		return 0;
	h->on = on;
	if (!on) {
		for (unsigned i = 0; i < h->o.conns; i++)
			timer_cancel(&h->loop->timers, &h->diallers[i].timer);
		h->listener = listener_free(h->listener);
		cut(h);
		return 0;
	}
	for (unsigned i = 0; i < h->o.conns; i++)
		timer_arm(&h->loop->timers, &h->diallers[i].timer, 0);
	return open_port(h, err);
}

void home_hold(struct home *h, bool hold)
{
	if (hold == h->held)
		return;
	h->held = hold;
	LIST_EACH(n, &h->links) {
		struct link *k = CONTAINER_OF(n, struct link, node);
		if (k->conn)
			(hold ? conn_pause : conn_resume)(k->conn);
	}
}

void home_think(struct home *h, uint32_t ms)
{
	h->o.think_ms = ms;
}

void home_counts(const struct home *h, struct home_counts *ret)
{
	*ret = h->counts;
}
