/* SPDX-License-Identifier: Apache-2.0 */
/* TCP and TLS connections with homes, whoever opened them. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/sip_edge_int.h"

enum { STRANGERS_MAX = 64, STRANGER_IDLE_MS = 15000 };

static struct sip_flow flow_of(const struct sip_conn *c)
{
	struct sip_flow f = {.transport = c->transport, .conn = c->id, .target = c->home ? c->home->index : UINT32_MAX};
	const struct addr *remote = conn_remote(c->conn);
	memcpy(&f.remote, remote, addr_len(remote));
	return f;
}

static void on_message(void *owner, struct slice raw)
{
	struct sip_conn *c = owner;
	struct sip_flow flow = flow_of(c);
	c->stream.over = !sip_edge_input(c->edge, &flow, conn_remote(c->conn), raw);
}

static void on_broken(void *owner, const struct sip_frame *f)
{
	struct sip_conn *c = owner;
	struct sip_edge *e = c->edge;
	struct sip_flow flow = flow_of(c);
	char z[ADDR_TEXT];
	struct arena *a = arena_acquire(e->loop->arenas);
	struct sip_msg *m = c->stranger ? NULL : sip_frame_answerable(f, a, &e->cfg.set.limits);
	addr_text(conn_remote(c->conn), z);
	metric_add(METRIC_SIP_MALFORMED, 1);
	metric_add(METRIC_PARSE_SIP_FRAME, 1);
	log_ev_limited(LOG_WARNING, "sip/framing", slice_str(z), {"address", slice_str(z)}, {"reason", S("sip/malformed")},
		       {"text", slice_str(f->fault.text)});
	if (m && f->fault.status)
		sip_edge_refuse(e, &flow, m, f->fault.status, slice_str(f->fault.text), sip_edge_reason(f->fault.status));
	arena_release(e->loop->arenas, a);
}

static const struct sip_stream_ops stream_ops = {on_message, on_broken};

static size_t conn_data(struct conn *k, struct slice in)
{
	struct sip_conn *c = conn_owner(k);
	return sip_stream_input(&c->stream, k, in, &stream_ops, c);
}

static void conn_connected(struct conn *k)
{
	struct sip_conn *c = conn_owner(k);
	if (c->home && c->transport == SIP_TCP)
		sip_home_connected(c->home);
}

/* RFC 5922 7.1: a sip URI without user among the names counts, then dNSName; never a wildcard. */
static bool names(const struct tls_peer *p, struct slice host)
{
	for (size_t i = 0; i < p->n_uri; i++) {
		struct sip_uri u;
		if (!sip_uri_parse(p->uri[i], &u) && u.scheme == SIP_SCHEME_SIP && !u.user.p && slice_ieq(u.host, host))
			return true;
	}
	for (size_t i = 0; i < p->n_dns; i++)
		if (slice_ieq(p->dns[i], host))
			return true;
	return false;
}

/* Towards a home: its chain must be trusted, and its certificate must hold the host name of the next hop, if that is a name. */
static bool home_proven(const struct sip_home *h, const struct tls_peer *p, struct entente_err *err)
{
	struct slice host = sip_home_hop(h)->uri.host;
	bool literal = addr_is_literal(host);
	if (p->has_cert && p->chain_ok && (literal || names(p, host)))
		return true;
	if (!p->has_cert || !p->chain_ok)
		err_set(err, ENTENTE_ETLS, REASON_SIP_HOME_UNREACHABLE, "the certificate of home %s is not trusted: %.*s",
			h->name, SFMT(p->has_cert ? p->why_not : S("it has none")));
	else
		err_set(err, ENTENTE_ETLS, REASON_SIP_HOME_UNREACHABLE,
			"the certificate of home %s does not name %.*s, the host of its next-hop", h->name, SFMT(host));
	return false;
}

static void conn_secured(struct conn *k, const struct tls_peer *peer)
{
	struct sip_conn *c = conn_owner(k);
	struct sip_home *h = c->home;
	struct entente_err err;
	if (!h)
		return;
	if (home_proven(h, peer, &err)) {
		sip_home_connected(h);
		return;
	}
	c->home = NULL;
	sip_home_lost(h, &err);
	sip_conn_free(c);
}

static void conn_closed(struct conn *k, const struct entente_err *why)
{
	struct sip_conn *c = conn_owner(k);
	struct sip_home *h = c->home;
	struct sip_edge *e = c->edge;
	struct sip_flow flow = flow_of(c);
	struct entente_err copy = *why;
	c->home = NULL;
	if (h)
		sip_home_lost(h, &copy);
	else
		sip_stack_transport_failed(e->stack, &flow);
	sip_conn_free(c);
}

const struct conn_ops sip_conn_ops = {
	.connected = conn_connected, .secured = conn_secured, .data = conn_data, .closed = conn_closed};

struct sip_conn *sip_conn_new(struct sip_edge *e, enum sip_transport t, struct sip_home *home)
{
	struct sip_conn *c = MEM_NEW(struct sip_conn);
	c->edge = e;
	c->transport = t;
	c->home = home;
	c->id = (uint64_t)(e->worker->id + 1) << 48 | ++e->next_conn;
	sip_stream_init(&c->stream, &e->cfg.set.limits, e->loop->timers.now);
	map_insert(&e->conns, &c->node, slice_of((const char *)&c->id, sizeof c->id));
	c->outbound = home != NULL;
	metric_add(METRIC_SIP_CONNECTIONS, 1);
	metric_add(home ? METRIC_CONN_SIP_HOME_OUT : METRIC_CONN_SIP_HOME_IN, 1);
	return c;
}

void sip_conn_free(struct sip_conn *c)
{
	map_remove(&c->edge->conns, &c->node);
	metric_add(METRIC_SIP_CONNECTIONS, -1);
	metric_add(c->outbound ? METRIC_CONN_SIP_HOME_OUT : METRIC_CONN_SIP_HOME_IN, -1);
	if (c->stranger)
		c->edge->strangers--;
	conn_free(c->conn);
	mem_free(c);
}

int sip_conn_write(struct sip_conn *c, struct slice bytes)
{
	struct timers *q = &c->edge->loop->timers;
	struct sip_home *h = c->home;
	if (h && h->how == SIP_EDGE_PROBE_CRLF && sip_stream_sent(&c->stream, bytes, q->now) && (!timer_armed(&h->ping) || h->ping.due > q->now + SIP_STREAM_SILENT_MS))
		timer_arm(q, &h->ping, SIP_STREAM_SILENT_MS);
	return conn_write(c->conn, bytes);
}

void sip_edge_accept(struct sip_edge *e, int fd, bool tls, struct gate_pass *pass)
{
	struct entente_err err;
	struct conn_limits lim;
	struct sip_conn *c = sip_conn_new(e, tls ? SIP_TLS : SIP_TCP, NULL);
	struct conn_tls t = {.ctx = e->tls, .server = true};
	struct conn_opts o = {.ops = &sip_conn_ops, .owner = c, .limits = &lim, .tls = tls && e->tls ? &t : NULL, .pass = pass};
	sip_edge_conn_limits(e, &lim);
	if (conn_accept(&c->conn, e->loop, fd, &o, &err) || (tls && !e->tls) || e->quiet) {
		sip_conn_free(c);
		return;
	}
	if (sip_edge_whose(e, NULL, conn_remote(c->conn)) < HOME_UNSURE)
		return;
	/* It will hear 403; until then it may take neither the homes' places nor their time. */
	c->stranger = true;
	if (++e->strangers > STRANGERS_MAX) {
		metric_add(METRIC_LIMIT_HITS, 1);
		sip_conn_free(c);
		return;
	}
	lim.idle_ms = STRANGER_IDLE_MS;
	conn_set_limits(c->conn, &lim);
}
