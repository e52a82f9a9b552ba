/* SPDX-License-Identifier: Apache-2.0 */
/* What a stack sends, to the socket that it belongs to: here, on worker 0 (UDP), or on the worker that has the connection. */
#include "base/log.h"
#include "edge/sip_edge_int.h"

struct handover { /* lies in its arena */
	struct bus_msg bus;
	const struct sip_edge_ops *ops;
	struct sip_flow flow;
	struct sip_msg *msg; /* input; NULL: `bytes` to send */
	struct slice bytes;
	struct arena *arena;
};

static void handover_run(struct worker *w, struct bus_msg *b)
{
	struct handover *h = CONTAINER_OF(b, struct handover, bus);
	struct sip_edge *e = h->ops->edge(w);
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

static struct handover *handover_new(struct sip_edge *e, struct arena *a, const struct sip_flow *flow)
{
	struct handover *h = ARENA_NEW(a, struct handover);
	if (h)
		*h = (struct handover){
			.bus = {.run = handover_run, .drop = handover_drop}, .ops = e->ops, .flow = *flow, .arena = a};
	return h;
}

unsigned sip_edge_workers(const struct sip_edge *e)
{
	return e->worker->pool ? pool_workers(e->worker->pool) : 1;
}

int sip_edge_hand_over(struct sip_edge *e, unsigned worker, const struct sip_flow *flow, struct sip_msg *m, struct arena *a)
{
	struct worker *w = pool_worker(e->worker->pool, worker);
	struct handover *h = handover_new(e, a, flow);
	if (!h)
		return ENTENTE_ELIMIT;
	h->msg = m;
	if (m->is_request)
		return worker_post(w, &h->bus);
	worker_post_always(w, &h->bus); /* as many as there were requests */
	return 0;
}

static int send_by(struct sip_edge *e, unsigned worker, const struct sip_flow *flow, struct slice bytes)
{
	struct arena *a = arena_acquire(e->loop->arenas);
	struct handover *h = handover_new(e, a, flow);
	int rc = ENTENTE_ELIMIT;
	if (h && (h->bytes = arena_dup(a, bytes)).p)
		rc = worker_post(pool_worker(e->worker->pool, worker), &h->bus);
	if (rc)
		arena_release(e->loop->arenas, a);
	return rc;
}

/* From the socket that the flow came in on: the other side expects answers from there. */
static int datagram_out(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes)
{
	struct addr to;
	struct udp *from = NULL;
	if (e->worker->id != 0)
		return send_by(e, 0, flow, bytes);
	if (!addr_from_sockaddr((const struct sockaddr *)&flow->remote, &to))
		return ENTENTE_ENET;
	if (flow->conn && flow->conn <= e->n_udp)
		from = e->udp[flow->conn - 1];
	for (size_t i = 0; i < e->n_udp && (!from || addr_is_v6(udp_addr(from)) != addr_is_v6(&to)); i++)
		from = e->udp[i];
	if (!from || addr_is_v6(udp_addr(from)) != addr_is_v6(&to))
		return ENTENTE_ENET;
	return udp_send(from, &to, bytes);
}

int sip_edge_output(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes)
{
	struct sip_home *h = sip_edge_home(e, flow->target);
	if (flow->conn == SIP_FLOW_TEST)
		return 0;
	if (flow->transport == SIP_UDP && flow->remote.ss_family != AF_UNSPEC)
		return datagram_out(e, flow, bytes);
	if (flow->transport != SIP_UDP && flow->conn) {
		uint64_t owner = (flow->conn >> 48) - 1;
		if (owner != e->worker->id && owner < sip_edge_workers(e))
			return send_by(e, (unsigned)owner, flow, bytes);
		struct map_node *n = map_find(&e->conns, slice_of((const char *)&flow->conn, sizeof flow->conn));
		if (n && !CONTAINER_OF(n, struct sip_conn, node)->stream.over)
			return sip_conn_write(CONTAINER_OF(n, struct sip_conn, node), bytes);
	}
	return h ? sip_home_send(h, bytes) : ENTENTE_ENET; /* its connection is gone: by ours to the same home */
}

int sip_edge_stack_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct sip_edge *e = arg;
	const struct sip_home *h = e->cfg.trace ? sip_edge_home(e, to->target) : NULL;
	trace_keep(e->cfg.trace, true, false, h ? slice_str(h->name) : SLICE_NONE, bytes);
	if (log_trace_enabled() || trace_on(e->cfg.trace)) {
		struct sip_msg *m;
		struct sip_fault fault;
		struct arena *a = arena_acquire(e->loop->arenas);
		if (!sip_msg_parse(&m, a, bytes, &e->cfg.set.limits, &fault)) {
			if (log_trace_enabled())
				sip_edge_trace(e, true, to, m);
			if (trace_on(e->cfg.trace))
				trace_sip(e->cfg.trace, true, h ? slice_str(h->name) : SLICE_NONE, m);
		}
		arena_release(e->loop->arenas, a);
	}
	return sip_edge_output(e, to, bytes);
}
