/* SPDX-License-Identifier: Apache-2.0 */
/* TLS connections with partners' servers, whoever opened them. */
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/access_int.h"

enum { IDLE_MS = 1200000, UNUSED_MS = 600000, /* of ours */
	RETIRED_MS = 35000, /* what was sent over it may be answered so late (RFC 3261 timer F, and a bit) */ LOOK_MS = 60000 };

void access_conn_limits(const struct access *e, struct conn_limits *ret)
{
	sip_stream_limits(&e->cfg.set.limits, e->cfg.set.queue_octets, e->cfg.set.connect_ms, ret);
	ret->idle_ms = IDLE_MS;
}

struct access_conn *access_conn_find(struct access *e, uint64_t id)
{
	struct map_node *n = map_find(&e->conns, slice_of((const char *)&id, sizeof id));
	return n ? CONTAINER_OF(n, struct access_conn, node) : NULL;
}

/* `target` tells connections apart: an answer counts only when it comes over the connection that was asked. */
struct sip_flow access_conn_flow(const struct access_conn *c)
{
	struct sip_flow f = {.transport = SIP_TLS, .conn = c->id, .target = (uint32_t)c->id};
	const struct addr *remote = conn_remote(c->conn);
	memcpy(&f.remote, remote, addr_len(remote));
	return f;
}

void access_conn_names(const struct access_conn *c, struct policy_sip *ret)
{
	const struct tls_peer *p = conn_peer(c->conn);
	ret->connected = true;
	ret->chain_ok = p && p->has_cert && p->chain_ok;
	sip_names_put(&c->names, ret);
	ret->host = slice_str(c->host);
}

static void refused(struct access_conn *c, const char *why, struct slice text)
{
	char z[ADDR_TEXT];
	addr_text(conn_remote(c->conn), z);
	metric_refused(REASON_POLICY_PEER_IDENTITY);
	metric_add(METRIC_AUTH_SIP_IN_FAILED, 1);
	metric_add(METRIC_OPENED_SIP_IN_FAILED, 1);
	log_ev_limited(LOG_WARNING, "access/connection-refused", slice_str(z), {"address", slice_str(z)},
		       {"reason", slice_str(reason_info(REASON_POLICY_PEER_IDENTITY)->id)}, {"text", slice_str(why)}, {"detail", text});
}

static void over(struct access_conn *c, const struct entente_err *why);

static void use(struct access_conn *c)
{
	if (c->peer) {
		access_peer_secured(c->peer, c);
		return;
	}
	c->ready = true;
	metric_add(METRIC_AUTH_SIP_IN_OK, 1);
	metric_add(METRIC_OPENED_SIP_IN_OK, 1);
	access_trust_seen(c, SLICE_NONE);
}

void access_conn_admit(struct access_conn *c)
{
	struct entente_err err = {0};
	switch (access_trust_judge(c, &err)) {
	case ACCESS_TRUST_WAITS: /* who is in use already, and was good: stays */
		if (!c->ready && !c->held && !c->peer)
			conn_pause(c->conn);
		c->held = !c->ready;
		return;
	case ACCESS_UNTRUSTED:
		access_trust_tell(c, &err);
		access_trust_seen(c, slice_str(err.text));
		over(c, &err);
		return;
	case ACCESS_TRUSTED:
		break;
	}
	if (c->held && !c->peer)
		conn_resume(c->conn);
	c->held = false;
	if (!c->ready)
		use(c);
}

static void on_secured(struct conn *k, const struct tls_peer *peer)
{
	struct access_conn *c = conn_owner(k);
	sip_names_of(&c->names, peer);
	if (!c->peer && (!peer->has_cert || !peer->chain_ok)) { /* nothing that it sends could pass: it need not send it */
		refused(c, peer->has_cert ? "its certificate is not trusted" : "it shows no certificate", peer->why_not);
		access_trust_seen(c, peer->why_not);
		access_conn_free(c);
		return;
	}
	access_conn_admit(c);
}

static void on_message(void *owner, struct slice raw)
{
	struct access_conn *c = owner;
	if (!c->peer)
		timer_cancel(&c->e->loop->timers, &c->timer); /* the next one has its own time */
	access_input(c->e, c, raw);
}

static void on_broken(void *owner, const struct sip_frame *f)
{
	struct access_conn *c = owner;
	struct access *e = c->e;
	struct sip_flow flow = access_conn_flow(c);
	char z[ADDR_TEXT];
	struct arena *a = arena_acquire(e->loop->arenas);
	struct sip_msg *m = sip_frame_answerable(f, a, &e->cfg.set.limits);
	addr_text(conn_remote(c->conn), z);
	metric_add(METRIC_SIP_MALFORMED, 1);
	metric_add(METRIC_PARSE_SIP_FRAME, 1);
	log_ev_limited(LOG_WARNING, "access/framing", slice_str(z), {"address", slice_str(z)}, {"reason", S("sip/malformed")},
		       {"text", slice_str(f->fault.text)});
	if (m && f->fault.status)
		sip_stack_refuse(e->outer, &flow, m, f->fault.status, slice_str(f->fault.text));
	arena_release(e->loop->arenas, a);
}

static const struct sip_stream_ops stream_ops = {on_message, on_broken};

void access_conn_fill(struct access_conn *c, bool full)
{
	struct timers *q = &c->e->loop->timers;
	c->stream.full = full;
	if (full) {
		conn_pause(c->conn);
		timer_arm(q, &c->timer, ACCESS_FULL_MS);
	} else {
		timer_cancel(q, &c->timer);
		conn_resume(c->conn);
	}
}

static size_t on_data(struct conn *k, struct slice in)
{
	struct access_conn *c = conn_owner(k);
	struct timers *q = &c->e->loop->timers;
	size_t used = sip_stream_input(&c->stream, k, in, &stream_ops, c);
	access_guard_wrote(c); /* pings are answered there */
	if (c->peer || c->stream.over || c->stream.full) /* full: the timer is that of the pause */
		return used;
	if (used < in.len && !timer_armed(&c->timer))
		timer_arm(q, &c->timer, c->e->cfg.set.connect_ms);
	else if (used == in.len)
		timer_cancel(q, &c->timer);
	return used;
}

static void over(struct access_conn *c, const struct entente_err *why)
{
	struct access *e = c->e;
	struct access_peer *p = c->peer;
	struct sip_flow flow = access_conn_flow(c);
	struct entente_err copy = *why;
	if (p)
		access_peer_lost(p, c, &copy);
	else
		access_conn_free(c);
	sip_stack_transport_failed(e->outer, &flow);
}

static void on_closed(struct conn *k, const struct entente_err *why)
{
	over(conn_owner(k), why);
}

static void on_connected(struct conn *k)
{
	struct access_conn *c = conn_owner(k);
	c->tcp = true;
	if (!c->peer)
		access_guard_connected(c);
}

static void on_drained(struct conn *k)
{
	access_guard_drained(conn_owner(k));
}

const struct conn_ops access_conn_ops = {
	.connected = on_connected, .secured = on_secured, .data = on_data, .drained = on_drained, .closed = on_closed};

void access_conn_end(struct access_conn *c, int code, const char *why)
{
	struct entente_err err;
	err_set(&err, code, REASON_SIP_PEER_UNREACHABLE, "%s", why);
	over(c, &err);
}

/* Ours, when there is nothing to hurry for. */
static void watch(struct access_conn *c, uint64_t ms)
{
	timer_arm(&c->e->loop->timers, &c->timer, ms < LOOK_MS ? ms : LOOK_MS);
}

static void on_timer(struct timer *t, uint64_t now)
{
	struct access_conn *c = CONTAINER_OF(t, struct access_conn, timer);
	uint64_t ms;
	if (c->stream.full) {
		c->hasty = true;
		access_conn_fill(c, false);
	} else if (!c->peer) {
		access_conn_end(c, ENTENTE_ETIMEOUT, "too slow");
	} else if (now - c->used > (c->retired ? RETIRED_MS : UNUSED_MS)) {
		access_conn_end(c, ENTENTE_OK, "not used any more");
	} else if (!sip_stream_turn(&c->stream, c->conn, now, c->e->cfg.set.keepalive_ms, &ms)) {
		access_conn_end(c, ENTENTE_ETIMEOUT, c->stream.asked ? "no answer, and none to a keep-alive" : "no answer to a keep-alive");
	} else {
		watch(c, ms);
	}
}

void access_conn_ready(struct access_conn *c)
{
	uint64_t ms, now = c->e->loop->timers.now;
	c->ready = true;
	c->coming = false;
	c->used = now;
	sip_stream_ping(&c->stream, c->conn, now); /* whether it knows pings is good to know before it falls silent */
	sip_stream_look(&c->stream, now, c->e->cfg.set.keepalive_ms, &ms);
	watch(c, ms);
}

void access_conn_sent(struct access_conn *c, struct slice bytes)
{
	struct timers *q = &c->e->loop->timers;
	c->used = q->now;
	if (c->peer && sip_stream_sent(&c->stream, bytes, q->now) && (!timer_armed(&c->timer) || c->timer.due > q->now + SIP_STREAM_SILENT_MS))
		timer_arm(q, &c->timer, SIP_STREAM_SILENT_MS);
}

struct access_conn *access_conn_make(struct access *e)
{
	struct access_conn *c = MEM_NEW(struct access_conn);
	c->e = e;
	c->id = (uint64_t)(e->worker->id + 1) << 48 | (uint32_t)++e->next_conn;
	c->since = c->used = e->loop->timers.now;
	sip_stream_init(&c->stream, &e->cfg.set.limits, c->since);
	timer_init(&c->timer, on_timer);
	access_guard_init(c);
	map_insert(&e->conns, &c->node, slice_of((const char *)&c->id, sizeof c->id));
	metric_add(METRIC_SIP_CONNECTIONS, 1);
	return c;
}

void access_conn_free(struct access_conn *c)
{
	map_remove(&c->e->conns, &c->node);
	metric_add(METRIC_SIP_CONNECTIONS, -1);
	metric_add(*c->host ? METRIC_CONN_SIP_PARTNER_OUT : METRIC_CONN_SIP_PARTNER_IN, -1);
	timer_cancel(&c->e->loop->timers, &c->timer);
	access_guard_end(c);
	list_remove(&c->of_peer);
	revocation_chain_unref(c->e->cfg.revocation, c->chain);
	conn_free(c->conn);
	mem_free(c);
}

struct access_conn *access_conn_open(struct access_peer *p, const struct sip_place *to, struct entente_err *err)
{
	struct access *e = p->e;
	struct conn_limits lim;
	struct access_conn *c = access_conn_make(e);
	struct slice host = slice_str(to->host);
	char session[2 * DNS_NAME_MAX + 32];
	struct conn_tls t = {.ctx = e->tls, .slot = TLS_SLOT_CLIENT, .sni = host};
	struct conn_opts o = {.ops = &access_conn_ops, .owner = c, .limits = &lim, .tls = &t};
	snprintf(session, sizeof session, "%s %.*s", p->key, SFMT(host));
	t.session_key = slice_str(session);
	slice_cstr(host, c->host, sizeof c->host);
	metric_add(METRIC_CONN_SIP_PARTNER_OUT, 1);
	access_conn_limits(e, &lim);
	if (!e->tls)
		err_set(err, ENTENTE_ETLS, REASON_SIP_PEER_UNREACHABLE, "TLS needs tls.certificate, which is not configured");
	else if (!conn_connect(&c->conn, e->loop, &to->addr, &o, err)) {
		c->peer = p;
		c->coming = true;
		list_append(&p->conns, &c->of_peer);
		return c;
	}
	access_conn_free(c);
	return NULL;
}

void access_each_conn(struct access *e, void (*fn)(void *, const struct access_conn_facts *), void *arg)
{
	size_t i;
	MAP_EACH(n, &e->conns, i) {
		struct access_conn *c = CONTAINER_OF(n, struct access_conn, node);
		const struct tls_peer *p = conn_peer(c->conn);
		char z[ADDR_TEXT];
		addr_text(conn_remote(c->conn), z);
		struct access_conn_facts f = {
			.id = (uint32_t)c->id, .inbound = !c->peer, .state = c->ready ? "up" : c->held ? "checking" : "connecting",
			.revocation = revocation_state_name(c->revocation), .address = slice_str(z), .host = slice_str(c->host),
			.subject = p ? p->subject : SLICE_NONE, .protocol = p ? p->protocol : SLICE_NONE, .cipher = p ? p->cipher : SLICE_NONE,
			.domain = policy_domain_slice(&c->domain), .requests = c->requests, .age_ms = e->loop->timers.now - c->since,
			.idle_ms = e->loop->timers.now - c->used};
		fn(arg, &f);
	}
}
