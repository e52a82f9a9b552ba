/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/listener.h"

struct stream {
	struct list node;
	struct fleet *fleet;
	struct member *member; /* of an inbound one: known when it is authenticated */
	struct conn *conn;
	struct xmpp_stream *xmpp;
	struct loop_hook kill;
	bool inbound, up, over;
	struct list thoughts; /* stanzas that are not taken yet */
	struct timer think;
	char why[sizeof ((struct entente_err *)0)->text];
};

struct thought {
	struct list node;
	uint64_t due, number;
};

struct member {
	struct map_node node;
	unsigned index;
	char domain[80];
	struct tls_ctx *ctx;
	struct addr from;
	struct stream *out;
};

struct fleet {
	struct fleet_opts o;
	struct loop *loop;
	struct listener *listener;
	struct xmpp_stream_config cfg;
	struct member *members;
	struct map by_domain;
	struct list streams;
	struct slice server;
	struct fleet_counts counts;
	bool held;
};

static const struct conn_limits limits = {
	.in_max = 1 << 20, .out_max = 16 << 20, .out_high = 8 << 20, .out_low = 1 << 20,
	.connect_ms = 30000, .handshake_ms = 30000, .linger_ms = 1000,
};

static struct member *member_of(const struct fleet *f, struct slice domain)
{
	struct map_node *n = map_find(&f->by_domain, domain);
	return n ? CONTAINER_OF(n, struct member, node) : NULL;
}

/* Sockets made between these two belong to the fleet's namespace. */
static int enter(const struct fleet *f)
{
	int own = f->o.netns > 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
	if (own >= 0 && setns(f->o.netns, CLONE_NEWNET))
		perror("setns");
	return own;
}

static void leave(int own)
{
	if (own < 0)
		return;
	if (setns(own, CLONE_NEWNET))
		perror("setns");
	close(own);
}

static void stream_free(struct stream *s)
{
	struct fleet *f = s->fleet;
	timer_cancel(&f->loop->timers, &s->think);
	LIST_EACH(n, &s->thoughts)
		mem_free(CONTAINER_OF(n, struct thought, node));
	if (s->up)
		*(s->inbound ? &f->counts.in : &f->counts.out) -= 1;
	if (s->member && s->member->out == s)
		s->member->out = NULL;
	loop_undefer(&s->kill);
	list_remove(&s->node);
	f->counts.conns--;
	conn_free(s->conn);
	xmpp_stream_free(s->xmpp);
	mem_free(s);
}

static void kill_run(struct loop_hook *h)
{
	struct stream *s = CONTAINER_OF(h, struct stream, kill);
	struct fleet *f = s->fleet;
	struct member *m = s->inbound ? NULL : s->member;
	char why[sizeof s->why];
	memcpy(why, s->why, sizeof why);
	if (!s->up)
		f->counts.failed++;
	stream_free(s);
	if (m)
		f->o.down(f->o.arg, m->index, slice_str(why));
}

/* ---- stream */

static struct xmpp_stream_policy policy(void *arg, struct slice local, struct slice remote)
{
	const struct stream *s = arg;
	const struct fleet *f = s->fleet;
	return (struct xmpp_stream_policy){
		.local_ours = !local.len || member_of(f, local),
		.partner = !remote.len || slice_eq(remote, f->server),
		.tls = XMPP_REQUIRED,
		.sasl = f->o.dialback ? XMPP_OFF : XMPP_REQUIRED,
		.dialback = f->o.dialback,
	};
}

static void out(void *arg, struct slice bytes)
{
	struct stream *s = arg;
	if (s->conn)
		conn_write(s->conn, bytes);
}

static void start_tls(void *arg)
{
	struct stream *s = arg;
	struct fleet *f = s->fleet;
	struct entente_err err;
	struct conn_tls t = {.ctx = s->inbound ? f->members[0].ctx : s->member->ctx, .server = s->inbound};
	if (!s->inbound)
		t.sni = t.session_key = f->server;
	if (!s->conn || conn_start_tls(s->conn, &t, &err))
		xmpp_stream_tls_failed(s->xmpp, s->conn ? slice_str(err.text) : S("the connection is gone"));
}

static void over(void *arg)
{
	struct stream *s = arg;
	s->over = true;
	if (s->conn)
		conn_close(s->conn);
	else
		loop_reap(s->fleet->loop, &s->kill);
}

static void established(void *arg, const struct xmpp_peer *peer)
{
	struct stream *s = arg;
	struct fleet *f = s->fleet;
	if (s->up)
		return;
	s->up = true;
	if (s->inbound) {
		s->member = member_of(f, xmpp_peer_local(peer));
		f->counts.in++;
	} else {
		f->counts.out++;
		f->o.up(f->o.arg, s->member->index);
	}
}

static void pair_failed(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	struct stream *s = arg;
	(void)local, (void)remote;
	snprintf(s->why, sizeof s->why, "%s", err->text);
}

static void thought_over(struct timer *t, uint64_t now)
{
	struct stream *s = CONTAINER_OF(t, struct stream, think);
	LIST_EACH(n, &s->thoughts) {
		struct thought *o = CONTAINER_OF(n, struct thought, node);
		if (o->due > now) {
			timer_arm(&s->fleet->loop->timers, t, o->due - now);
			return;
		}
		xmpp_stream_done(s->xmpp, o->number);
		list_remove(n);
		mem_free(o);
	}
}

static void taken(struct stream *s, uint64_t number)
{
	struct fleet *f = s->fleet;
	if (!f->o.think_ms || !number) {
		xmpp_stream_done(s->xmpp, number);
		return;
	}
	struct thought *o = MEM_NEW(struct thought);
	o->number = number;
	o->due = f->loop->timers.now + f->o.think_ms;
	list_append(&s->thoughts, &o->node);
	if (!timer_armed(&s->think))
		timer_arm(&f->loop->timers, &s->think, f->o.think_ms);
}

static void stanza(void *arg, struct xmpp_stanza *st)
{
	struct stream *s = arg;
	struct fleet *f = s->fleet;
	if (s->member)
		f->o.stanza(f->o.arg, s->member->index, st);
	taken(s, st->receipt.number);
	arena_release(f->loop->arenas, st->arena);
}

static void acked(void *arg, uint64_t n)
{
	const struct stream *s = arg;
	const struct fleet *f = s->fleet;
	uint64_t sent;
	if (f->o.acked && s->member && !s->inbound && xmpp_stream_acks(s->xmpp, &sent))
		f->o.acked(f->o.arg, s->member->index, n);
}

static void misaddressed(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, const char *which)
{
	struct stream *s = arg;
	(void)peer, (void)node, (void)which;
	arena_release(s->fleet->loop->arenas, a);
}

/* The generator has no partners to ask: that the server under test would be believed is all it takes. */
static void verify(void *arg, const struct xmpp_verify *v)
{
	struct stream *s = arg;
	xmpp_stream_verify_done(s->xmpp, v, XMPP_VALID, SLICE_NONE);
}

static void verified(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	(void)arg, (void)v, (void)verdict, (void)condition;
}

static void failed(void *arg, const struct xmpp_failure *f)
{
	struct stream *s = arg;
	snprintf(s->why, sizeof s->why, "%s", f->err.text);
}

static const struct xmpp_stream_ops stream_ops = {
	.policy = policy, .write = out, .start_tls = start_tls, .close = over, .established = established,
	.pair_failed = pair_failed, .stanza = stanza, .misaddressed = misaddressed, .verify = verify, .verified = verified,
	.acked = acked, .failed = failed,
};

/* ---- connection */

static void connected(struct conn *c)
{
	struct stream *s = conn_owner(c);
	if (!s->inbound)
		xmpp_stream_start(s->xmpp);
}

static void secured(struct conn *c, const struct tls_peer *t)
{
	struct stream *s = conn_owner(c);
	struct xmpp_tls_info i = {
		.protocol = t->protocol, .cipher = t->cipher,
		.certificate = t->has_cert, .trusted = t->has_cert && t->chain_ok, .why = t->why_not,
		.names = {.dns = t->dns, .n_dns = t->n_dns, .srv = t->srv, .n_srv = t->n_srv,
			  .xmpp = t->xmpp, .n_xmpp = t->n_xmpp},
	};
	xmpp_stream_tls_up(s->xmpp, &i);
}

static size_t data(struct conn *c, struct slice in)
{
	struct stream *s = conn_owner(c);
	if (!s->over)
		xmpp_stream_input(s->xmpp, in);
	return in.len;
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct stream *s = conn_owner(c);
	if (!s->over)
		xmpp_stream_disconnected(s->xmpp, slice_str(why->text));
	if (!*s->why)
		snprintf(s->why, sizeof s->why, "%s", why->text);
	s->conn = conn_free(s->conn);
	loop_reap(s->fleet->loop, &s->kill);
}

static const struct conn_ops conn_callbacks = {.connected = connected, .secured = secured, .data = data, .closed = closed};

static struct stream *stream_new(struct fleet *f, struct member *m)
{
	struct stream *s = MEM_NEW(struct stream);
	s->fleet = f;
	s->member = m;
	s->inbound = !m;
	s->kill.run = kill_run;
	list_init(&s->thoughts);
	timer_init(&s->think, thought_over);
	list_append(&f->streams, &s->node);
	f->counts.conns++;
	return s;
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct fleet *f = arg;
	struct entente_err err;
	struct stream *s = stream_new(f, NULL);
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &limits, .pass = pass};
	(void)w, (void)from;
	f->counts.accepted++;
	if (conn_accept(&s->conn, f->loop, fd, &o, &err)) {
		stream_free(s);
		return;
	}
	s->xmpp = xmpp_stream_new_receiver(&f->cfg, &stream_ops, s);
	if (f->held)
		conn_pause(s->conn);
	xmpp_stream_start(s->xmpp);
}

void fleet_dial(struct fleet *f, unsigned i)
{
	struct member *m = &f->members[i];
	struct entente_err err;
	if (m->out)
		return;
	struct stream *s = m->out = stream_new(f, m);
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &limits, .bind = &m->from};
	f->counts.dialled++;
	s->xmpp = xmpp_stream_new_initiator(&f->cfg, &stream_ops, s, slice_str(m->domain), f->server, false);
	int own = enter(f), rc = conn_connect(&s->conn, f->loop, &f->o.target, &o, &err);
	leave(own);
	if (rc) {
		snprintf(s->why, sizeof s->why, "%s", err.text);
		loop_reap(f->loop, &s->kill);
	} else if (f->held) {
		conn_pause(s->conn);
	}
}

/* ---- the fleet */

static struct tls_ctx *choose(void *arg, struct slice sni)
{
	const struct member *m = member_of(arg, sni);
	return m ? m->ctx : NULL;
}

static int identity(struct member *m, const struct fleet_opts *o, struct entente_err *err)
{
	char chain[1024], key[1024];
	struct tls_settings s = {.server_chain = chain, .server_key = key, .trust_file = o->trust, .sessions = 2};
	struct tls_material *t;
	snprintf(chain, sizeof chain, "%s/%s.pem", o->certs, m->domain);
	snprintf(key, sizeof key, "%s/%s.key", o->certs, m->domain);
	int rc = tls_material_load(&t, &s, err);
	if (rc)
		return rc;
	rc = tls_ctx_new(&m->ctx, t, err);
	tls_material_unref(t);
	return rc;
}

int fleet_new(struct fleet **ret, struct loop *loop, const struct fleet_opts *o, struct entente_err *err)
{
	struct fleet *f = MEM_NEW(struct fleet);
	int rc = 0;
	f->o = *o;
	f->loop = loop;
	f->server = slice_str(o->server);
	list_init(&f->streams);
	map_init(&f->by_domain);
	xmpp_stream_config_defaults(&f->cfg);
	f->cfg.timers = &loop->timers;
	f->cfg.pool = loop->arenas;
	f->cfg.acks = o->acks;
	f->members = mem_calloc(o->n, sizeof *f->members);
	for (unsigned i = 0; i < o->n && !rc; i++) {
		struct member *m = &f->members[i];
		m->index = i;
		m->from = o->from;
		m->from.v4.sin_addr.s_addr = htonl(ntohl(o->from.v4.sin_addr.s_addr) + (i << 8));
		snprintf(m->domain, sizeof m->domain, "%s%04u.%s", o->prefix, i, o->suffix);
		map_insert(&f->by_domain, &m->node, slice_str(m->domain));
		rc = identity(m, o, err);
	}
	if (!rc) {
		tls_ctx_set_choose(f->members[0].ctx, choose, f);
		rc = fleet_listen(f, true, err);
	}
	if (rc)
		fleet_free(f);
	else
		*ret = f;
	return rc;
}

struct fleet *fleet_free(struct fleet *f)
{
	if (!f)
		return NULL;
	fleet_cut(f);
	listener_free(f->listener);
	for (unsigned i = 0; i < f->o.n; i++)
		tls_ctx_unref(f->members[i].ctx);
	map_free(&f->by_domain);
	mem_free(f->members);
	return mem_free(f);
}

const char *fleet_domain(const struct fleet *f, unsigned i)
{
	return f->members[i].domain;
}

bool fleet_send(struct fleet *f, unsigned i, struct slice stanza)
{
	struct stream *s = f->members[i].out;
	return s && s->up && !s->over && !xmpp_stream_send(s->xmpp, stanza);
}

uint64_t fleet_sent(const struct fleet *f, unsigned i)
{
	const struct stream *s = f->members[i].out;
	uint64_t n;
	return s && s->up && xmpp_stream_acks(s->xmpp, &n) ? n : 0;
}

int fleet_listen(struct fleet *f, bool on, struct entente_err *err)
{
	struct listener_opts lo = {.addr = f->o.listen, .backlog = 4096, .accepted = accepted, .arg = f};
	int rc = 0;
	if (!on) {
		f->listener = listener_free(f->listener);
	} else if (!f->listener) {
		int own = enter(f);
		rc = listener_new(&f->listener, f->loop, &lo, err);
		leave(own);
	}
	return rc;
}

void fleet_hold(struct fleet *f, bool hold)
{
	if (hold == f->held)
		return;
	f->held = hold;
	LIST_EACH(n, &f->streams) {
		struct stream *s = CONTAINER_OF(n, struct stream, node);
		if (s->conn)
			(hold ? conn_pause : conn_resume)(s->conn);
	}
}

void fleet_cut(struct fleet *f)
{
	LIST_EACH(n, &f->streams)
		stream_free(CONTAINER_OF(n, struct stream, node));
}

void fleet_close(struct fleet *f)
{
	LIST_EACH(n, &f->streams) {
		struct stream *s = CONTAINER_OF(n, struct stream, node);
		if (s->conn && !s->over)
			xmpp_stream_close(s->xmpp);
	}
}

void fleet_counts(const struct fleet *f, struct fleet_counts *ret)
{
	*ret = f->counts;
}
