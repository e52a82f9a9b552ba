/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_edge_int.h"

#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "sip/uas_check.h"

const struct conn_limits sip_conn_limits = {
	.in_max = 1100000, .out_max = 8 << 20, .out_high = 1 << 20, .out_low = 256 << 10, .connect_ms = 10000, .handshake_ms = 10000, .linger_ms = 2000,
};

/* ---- trace */

static void trace(const struct sip_edge *e, bool out, const struct sip_flow *flow, const struct sip_msg *m)
{
	char what[64];
	struct slice home = flow->target < e->n_homes ? slice_str(e->homes[flow->target]->name) : SLICE_NONE;
	const struct sip_header *ss = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0), *ex = sip_msg_header(m, SIP_H_EXPIRES, 0);
	char detail[128] = "";
	if (m->is_request)
		snprintf(what, sizeof what, "%.*s", SFMT(slice_first(m->method_text, 30)));
	else
		snprintf(what, sizeof what, "%d %.*s", m->status, SFMT(slice_first(m->reason, 40)));
	if (ss)
		snprintf(detail, sizeof detail, "%.*s", SFMT(slice_first(ss->value, 60)));
	else if (m->is_request && ex)
		snprintf(detail, sizeof detail, "expires=%.*s", SFMT(slice_first(ex->value, 20)));
	else if (!m->is_request)
		snprintf(detail, sizeof detail, "%.*s", SFMT(slice_first(m->cseq_method_text, 30)));
	log_tr(out ? "trace/sip-out" : "trace/sip-in", {"peer", home}, {"from", m->from.uri_text}, {"to", m->to.uri_text}, {"what", slice_str(what)},
	       {"detail", slice_str(detail)});
}

static void trace_out(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes)
{
	struct sip_msg *m;
	struct sip_fault fault;
	if (!log_trace_enabled())
		return;
	struct arena *a = arena_acquire(e->loop->arenas);
	if (!sip_msg_parse(&m, a, bytes, &e->cfg.limits, &fault))
		trace(e, true, flow, m);
	arena_release(e->loop->arenas, a);
}

/* ---- between workers */

struct handover { /* lies in its arena */
	struct bus_msg bus;
	struct sip_edge *to;
	struct sip_flow flow;
	struct sip_msg *msg; /* input; NULL: `bytes` to send */
	struct slice bytes;
	struct arena *arena;
};

static void handover_run(struct worker *w, struct bus_msg *b)
{
	struct handover *h = CONTAINER_OF(b, struct handover, bus);
	struct sip_edge *e = h->to;
	if (h->msg) {
		sip_stack_input(e->stack, &h->flow, h->msg, h->arena);
		return;
	}
	sip_edge_output(e, &h->flow, h->bytes);
	arena_release(w->loop->arenas, h->arena);
}

static void handover_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct handover, bus)->arena);
}

static struct handover *handover_new(struct sip_edge *to, struct arena *a, const struct sip_flow *flow)
{
	struct handover *h = ARENA_NEW(a, struct handover);
	if (h)
		*h = (struct handover){.bus = {.run = handover_run, .drop = handover_drop}, .to = to, .flow = *flow, .arena = a};
	return h;
}

static int send_by(struct sip_edge *e, unsigned worker, const struct sip_flow *flow, struct slice bytes)
{
	struct sip_edge *other = e->ops->edge(e->arg, worker);
	struct arena *a = arena_acquire(e->loop->arenas);
	struct handover *h = handover_new(other, a, flow);
	if (!h || !(h->bytes = arena_dup(a, bytes)).p) {
		arena_release(e->loop->arenas, a);
		return ENTENTE_ELIMIT;
	}
	worker_post_always(other->worker, &h->bus);
	return 0;
}

/* ---- output */

int sip_edge_output(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes)
{
	if (flow->transport == SIP_UDP && flow->remote.ss_family != AF_UNSPEC) {
		struct addr to;
		if (e->worker->id != 0)
			return send_by(e, 0, flow, bytes);
		if (!e->n_udp || !addr_from_sockaddr((const struct sockaddr *)&flow->remote, &to))
			return ENTENTE_ENET;
		return udp_send(e->udp[0], &to, bytes);
	}
	if (flow->conn) {
		unsigned owner = (unsigned)(flow->conn >> 48) - 1;
		if (owner != e->worker->id)
			return send_by(e, owner, flow, bytes);
		struct map_node *n = map_find(&e->conns, slice_of((const char *)&flow->conn, sizeof flow->conn));
		if (n)
			return conn_write(CONTAINER_OF(n, struct sip_conn, node)->conn, bytes);
	}
	if (flow->target < e->n_homes)
		return sip_home_send(e->homes[flow->target], bytes);
	return ENTENTE_ENET;
}

static int stack_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct sip_edge *e = arg;
	trace_out(e, to, bytes);
	return sip_edge_output(e, to, bytes);
}

/* ---- input */

static void stack_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	static const struct slice any[] = {S("*/*")};
	static const struct sip_uas_caps caps = {
		.schemes = 1u << SIP_SCHEME_SIP | 1u << SIP_SCHEME_SIPS | 1u << SIP_SCHEME_IM | 1u << SIP_SCHEME_PRES, .types = {any, 1},
	};
	struct sip_edge *e = arg;
	struct sip_uas_verdict v;
	if (st && sip_uas_check(m, &caps, a, &v)) {
		struct sip_extra x = {v.header, v.value};
		struct sip_answer ans = {.status = v.status, .reason = v.reason, .headers = &x, .n_headers = v.header.len ? 1 : 0};
		sip_server_respond(st, &ans);
		sip_stack_release(e->stack, a);
		return;
	}
	e->ops->request(e->arg, st, m, a, from);
}

static const struct sip_stack_ops stack_ops = {.send = stack_send, .request = stack_request};

/* Which home does this request come from? Its address must be one of the home's (the internal listener trusts nobody else). */
static uint32_t home_of(struct sip_edge *e, const struct sip_msg *m, const struct addr *from)
{
	uint32_t h = e->ops->home_of(e->arg, m);
	if (h < e->n_homes && sip_home_is(e->homes[h], from))
		return h;
	for (uint32_t i = 0; i < e->n_homes; i++)
		if (sip_home_is(e->homes[i], from))
			return i;
	return UINT32_MAX;
}

/* One framed message; its octets are copied into an arena, which the message keeps on its whole way. */
static void input(struct sip_edge *e, struct sip_flow *flow, const struct addr *from, struct slice raw)
{
	struct sip_msg *m;
	struct sip_fault fault;
	struct arena *a = arena_acquire(e->loop->arenas);
	struct slice own = arena_dup(a, raw);
	if (!own.p) {
		arena_release(e->loop->arenas, a);
		return;
	}
	if (sip_msg_parse(&m, a, own, &e->cfg.limits, &fault)) {
		char z[ADDR_TEXT];
		addr_text(from, z);
		metric_add(METRIC_SIP_MALFORMED, 1);
		log_ev(LOG_WARNING, "sip/malformed", {"address", slice_str(z)}, {"reason", S("sip/malformed")}, {"text", slice_str(fault.text)});
		if (m && fault.status)
			sip_stack_refuse(e->stack, flow, m, fault.status, slice_str(fault.text));
		arena_release(e->loop->arenas, a);
		return;
	}
	if (m->is_request) {
		flow->target = home_of(e, m, from);
		if (flow->target == UINT32_MAX) {
			char z[ADDR_TEXT];
			addr_text(from, z);
			metric_refused(REASON_POLICY_PEER_UNKNOWN);
			log_ev(LOG_WARNING, "sip/stranger", {"address", slice_str(z)}, {"method", m->method_text}, {"from", m->from.uri_text},
			       {"reason", slice_str(reason_info(REASON_POLICY_PEER_UNKNOWN)->id)},
			       {"text", slice_str(reason_info(REASON_POLICY_PEER_UNKNOWN)->text)});
			sip_stack_refuse(e->stack, flow, m, 403, SLICE_NONE);
			arena_release(e->loop->arenas, a);
			return;
		}
	}
	trace(e, false, flow, m);
	unsigned shard = e->ops->shard(e->arg, m, a);
	if (shard == e->worker->id) {
		sip_stack_input(e->stack, flow, m, a);
		return;
	}
	struct sip_edge *other = e->ops->edge(e->arg, shard);
	struct handover *h = handover_new(other, a, flow);
	if (!h) {
		arena_release(e->loop->arenas, a);
		return;
	}
	h->msg = m;
	if (!m->is_request) {
		worker_post_always(other->worker, &h->bus);
	} else if (worker_post(other->worker, &h->bus)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		sip_stack_refuse(e->stack, flow, m, 503, SLICE_NONE);
		arena_release(e->loop->arenas, a);
	}
}

static size_t conn_data(struct conn *k, struct slice in)
{
	struct sip_conn *c = conn_owner(k);
	struct sip_edge *e = c->edge;
	size_t used = 0;
	struct sip_flow flow = {.transport = c->transport, .conn = c->id, .target = c->home ? c->home->index : UINT32_MAX};
	memcpy(&flow.remote, conn_remote(k), addr_len(conn_remote(k)));
	for (;;) {
		struct sip_frame f;
		sip_framer_next(&c->framer, slice_skip(in, used), &f);
		used += f.consume;
		switch (f.kind) {
		case SIP_FRAME_MORE:
			return used;
		case SIP_FRAME_PING:
			conn_write(k, S("\r\n"));
			break;
		case SIP_FRAME_PONG:
			break;
		case SIP_FRAME_MESSAGE: {
			struct sip_flow own = flow;
			input(e, &own, conn_remote(k), f.message);
			break;
		}
		case SIP_FRAME_ERROR: {
			char z[ADDR_TEXT];
			struct arena *a = arena_acquire(e->loop->arenas);
			struct sip_msg *m = sip_frame_answerable(&f, a, &e->cfg.limits);
			addr_text(conn_remote(k), z);
			metric_add(METRIC_SIP_MALFORMED, 1);
			log_ev(LOG_WARNING, "sip/framing", {"address", slice_str(z)}, {"reason", S("sip/malformed")}, {"text", slice_str(f.fault.text)});
			if (m && f.fault.status)
				sip_stack_refuse(e->stack, &flow, m, f.fault.status, slice_str(f.fault.text));
			arena_release(e->loop->arenas, a);
			conn_close(k);
			return in.len;
		}
		}
	}
}

static void datagram(struct udp *u, const struct addr *from, struct slice in)
{
	struct sip_edge *e = udp_owner(u);
	struct sip_flow flow = {.transport = SIP_UDP, .target = UINT32_MAX};
	memcpy(&flow.remote, from, addr_len(from));
	if (slice_trim(in).len) /* not a keep-alive */
		input(e, &flow, from, in);
}

/* ---- connections */

static void conn_connected(struct conn *k)
{
	struct sip_conn *c = conn_owner(k);
	if (c->home && c->transport == SIP_TCP)
		sip_home_connected(c->home);
}

/* Towards a home: its chain must be trusted, and its certificate must hold the host name of the next hop, if that is a name. */
static bool home_proven(const struct sip_home *h, const struct tls_peer *p, struct entente_err *err)
{
	bool named = addr_is_literal(h->uri.host);
	for (size_t i = 0; !named && i < p->n_dns; i++)
		named = slice_ieq(p->dns[i], h->uri.host);
	if (p->has_cert && p->chain_ok && named)
		return true;
	err_set(err, ENTENTE_ETLS, REASON_SIP_HOME_UNREACHABLE, "the certificate of home %s is not accepted: %.*s", h->name,
		SFMT(p->chain_ok ? S("it does not name the next hop") : p->why_not));
	return false;
}

static void conn_secured(struct conn *k, const struct tls_peer *peer)
{
	struct sip_conn *c = conn_owner(k);
	struct entente_err err;
	if (!c->home)
		return;
	if (home_proven(c->home, peer, &err)) {
		sip_home_connected(c->home);
		return;
	}
	struct sip_home *h = c->home;
	c->home = NULL;
	sip_conn_free(c);
	sip_home_lost(h, &err);
}

static void conn_closed(struct conn *k, const struct entente_err *why)
{
	struct sip_conn *c = conn_owner(k);
	struct sip_home *h = c->home;
	struct sip_flow flow = {.transport = c->transport, .conn = c->id, .target = UINT32_MAX};
	struct entente_err copy = *why;
	c->home = NULL;
	if (h)
		sip_home_lost(h, &copy);
	else
		sip_stack_transport_failed(c->edge->stack, &flow);
	sip_conn_free(c);
}

const struct conn_ops sip_conn_ops = {.connected = conn_connected, .secured = conn_secured, .data = conn_data, .closed = conn_closed};

struct sip_conn *sip_conn_new(struct sip_edge *e, enum sip_transport t, struct sip_home *home)
{
	struct sip_conn *c = MEM_NEW(struct sip_conn);
	c->edge = e;
	c->transport = t;
	c->home = home;
	c->id = (uint64_t)(e->worker->id + 1) << 48 | ++e->next_conn;
	sip_framer_init(&c->framer, &e->cfg.limits);
	map_insert(&e->conns, &c->node, slice_of((const char *)&c->id, sizeof c->id));
	metric_add(METRIC_SIP_CONNECTIONS, 1);
	return c;
}

void sip_conn_free(struct sip_conn *c)
{
	map_remove(&c->edge->conns, &c->node);
	metric_add(METRIC_SIP_CONNECTIONS, -1);
	conn_free(c->conn);
	mem_free(c);
}

void sip_edge_accept(struct sip_edge *e, int fd, bool tls, struct gate_pass *pass)
{
	struct entente_err err;
	struct sip_conn *c = sip_conn_new(e, tls ? SIP_TLS : SIP_TCP, NULL);
	struct conn_tls t = {.ctx = e->tls, .server = true};
	struct conn_opts o = {.ops = &sip_conn_ops, .owner = c, .limits = &sip_conn_limits, .tls = tls ? &t : NULL, .pass = pass};
	if (conn_accept(&c->conn, e->loop, fd, &o, &err))
		sip_conn_free(c);
}

int sip_edge_udp(struct sip_edge *e, const struct addr *at, struct entente_err *err)
{
	struct udp_opts o = {.addr = *at, .data = datagram, .owner = e};
	if (e->n_udp == sizeof e->udp / sizeof *e->udp)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "more than 8 UDP listeners");
	int rc = udp_open(&e->udp[e->n_udp], e->loop, &o, err);
	if (!rc)
		e->n_udp++;
	return rc;
}

/* ---- life */

struct sip_edge *sip_edge_new(const struct sip_edge_config *cfg, const struct sip_edge_ops *ops, void *arg)
{
	struct sip_edge *e = MEM_NEW(struct sip_edge);
	struct sip_stack_config sc = {.server = S("Entente/" ENTENTE_VERSION), .pool = cfg->worker->loop->arenas};
	e->cfg = *cfg;
	e->ops = ops;
	e->arg = arg;
	e->worker = cfg->worker;
	e->loop = cfg->worker->loop;
	map_init(&e->conns);
	memcpy(sc.sent_by, cfg->sent_by, sizeof sc.sent_by);
	e->stack = sip_stack_new(&stack_ops, e, &e->loop->timers, &sc);
	return e;
}

struct sip_edge *sip_edge_free(struct sip_edge *e)
{
	size_t i;
	if (!e)
		return NULL;
	for (i = 0; i < e->n_homes; i++)
		sip_home_free(e->homes[i]);
	mem_free(e->homes);
	MAP_EACH(n, &e->conns, i)
		sip_conn_free(CONTAINER_OF(n, struct sip_conn, node));
	map_free(&e->conns);
	for (i = 0; i < e->n_udp; i++)
		udp_close(e->udp[i]);
	sip_stack_free(e->stack);
	tls_ctx_unref(e->tls);
	return mem_free(e);
}

struct sip_stack *sip_edge_stack(struct sip_edge *e)
{
	return e->stack;
}

void sip_edge_set_tls(struct sip_edge *e, struct tls_ctx *tls)
{
	struct tls_ctx *old = e->tls;
	e->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

int sip_edge_set_homes(struct sip_edge *e, const struct sip_edge_home *homes, size_t n, struct entente_err *err)
{
	struct sip_home **new = mem_calloc(n, sizeof *new);
	size_t i;
	for (i = 0; i < n; i++)
		if (!(new[i] = sip_home_new(e, (uint32_t)i, &homes[i], err)))
			break;
	if (i < n) {
		while (i--)
			sip_home_free(new[i]);
		mem_free(new);
		return ENTENTE_ESYNTAX;
	}
	struct sip_home **old = e->homes;
	size_t n_old = e->n_homes;
	e->homes = new;
	e->n_homes = n;
	for (i = 0; i < n_old; i++)
		sip_home_free(old[i]);
	mem_free(old);
	for (i = 0; i < n; i++)
		sip_home_prepare(e->homes[i]); /* senders are judged by the homes' addresses */
	return 0;
}

bool sip_edge_home_flow(struct sip_edge *e, uint32_t home, struct sip_flow *ret)
{
	if (home >= e->n_homes)
		return false;
	*ret = (struct sip_flow){.transport = e->homes[home]->transport, .target = home};
	return true;
}

void sip_edge_each_home(struct sip_edge *e, void (*fn)(void *, const struct sip_edge_facts *), void *arg)
{
	static const char *const state[] = {"idle", "resolving", "connecting", "up", "down"};
	for (size_t i = 0; i < e->n_homes; i++) {
		struct sip_home *h = e->homes[i];
		struct sip_edge_facts f = {slice_str(h->name), slice_str(h->next_hop), slice_str(h->address), state[h->state],
					   h->state == HOME_DOWN ? slice_str(h->err.text) : SLICE_NONE};
		fn(arg, &f);
	}
}
