/* SPDX-License-Identifier: Apache-2.0 */
/* What holds callers down: their TLS handshakes take turns, they count as unknown until something of theirs was let in, one certificate has
 * only so many connections and requests under way, and who does not read what we say is not listened to, and is cut off in the end. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/access_int.h"

enum { SHARE = 4 }; /* one partner may have that part of all requests under way */

static void begin_tls(struct access_conn *c)
{
	struct entente_err err;
	struct conn_tls t = {.ctx = c->e->tls, .server = true};
	if (!t.ctx || conn_start_tls(c->conn, &t, &err))
		access_conn_free(c);
}

static void tell(struct access_conn *c, const char *event, enum reason reason, const char *why)
{
	char z[ADDR_TEXT];
	const struct tls_peer *p = conn_peer(c->conn);
	addr_text(conn_remote(c->conn), z);
	metric_add(METRIC_LIMIT_HITS, 1);
	metric_add(METRIC_RATE_SIP_PARTNER, 1);
	log_ev_limited(LOG_WARNING, event, slice_str(z), {"address", slice_str(z)}, {"subject", p ? p->subject : SLICE_NONE},
		       {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(why)});
}

static void fired(struct timer *t, uint64_t now)
{
	struct access_conn *c = CONTAINER_OF(t, struct access_conn, turn);
	(void)now;
	if (c->stuck) {
		tell(c, "access/slow-reader", REASON_LIMIT_QUEUE_FULL, "it does not read what it is sent: the connection is closed");
		access_conn_end(c, ENTENTE_ETIMEOUT, "it does not read what it is sent");
	} else {
		conn_resume(c->conn);
		begin_tls(c);
	}
}

void access_guard_init(struct access_conn *c)
{
	timer_init(&c->turn, fired);
}

void access_guard_end(struct access_conn *c)
{
	timer_cancel(&c->e->loop->timers, &c->turn);
	if (c->guest)
		access_guest_leave(c->e->cfg.shared, c->guest);
}

/* A handshake costs us a thousand times what it costs a stranger to ask for one. */
void access_guard_connected(struct access_conn *c)
{
	uint64_t wait = conn_handshake_wait(c->conn);
	if (!wait) {
		begin_tls(c);
	} else if (wait == GATE_NEVER) {
		tell(c, "access/connection-refused", REASON_LIMIT_CONNECTIONS, "too many TLS handshakes are waiting here (limits.handshake-rate)");
		access_conn_free(c);
	} else {
		metric_add(METRIC_LIMIT_HITS, 1);
		conn_pause(c->conn);
		timer_arm(&c->e->loop->timers, &c->turn, wait);
	}
}

void access_guard_limits(const struct access_conn *c, struct conn_limits *ret)
{
	access_conn_limits(c->e, ret);
	if (!c->peer && !c->guest)
		ret->idle_ms = c->e->cfg.set.unproven_ms;
}

static bool prove(struct access_conn *c)
{
	struct conn_limits lim;
	c->guest = access_guest_enter(c->e->cfg.shared, conn_peer(c->conn), c->peer ? UINT32_MAX : c->e->cfg.set.conns_per_partner);
	if (c->peer)
		return true;
	if (!c->guest) {
		tell(c, "access/too-many-connections", REASON_LIMIT_CONNECTIONS, "this certificate has as many connections as one partner may have");
		return false;
	}
	conn_prove(c->conn);
	access_guard_limits(c, &lim);
	conn_set_limits(c->conn, &lim);
	return true;
}

enum reason access_guard_ask(struct access_conn *c, struct access_guest **ret)
{
	struct access *e = c->e;
	if (!c->guest && !prove(c))
		return REASON_LIMIT_CONNECTIONS;
	if (!access_guest_ask(e->cfg.shared, c->guest, e->cfg.max_transactions / SHARE)) {
		tell(c, "access/too-many-requests", REASON_LIMIT_QUEUE_FULL, "too many requests of this partner, or for it, are under way");
		return REASON_LIMIT_QUEUE_FULL;
	}
	*ret = c->guest;
	return REASON_NONE;
}

/* A caller reads our answers before it asks for more; to a partner that does not read, nothing more is sent (conn_limits.out_max). */
void access_guard_wrote(struct access_conn *c)
{
	if (c->stuck || !c->ready || !conn_congested(c->conn))
		return;
	c->stuck = true;
	if (!c->peer)
		conn_pause(c->conn);
	timer_arm(&c->e->loop->timers, &c->turn, c->e->cfg.set.stuck_ms);
}

void access_guard_drained(struct access_conn *c)
{
	if (!c->stuck)
		return;
	c->stuck = false;
	timer_cancel(&c->e->loop->timers, &c->turn);
	if (!c->peer)
		conn_resume(c->conn);
}

void access_accept(struct access *e, int fd, struct gate_pass *pass)
{
	struct entente_err err;
	struct conn_limits lim;
	struct access_conn *c = access_conn_make(e);
	struct conn_opts o = {.ops = &access_conn_ops, .owner = c, .limits = &lim, .pass = pass};
	metric_add(METRIC_CONN_SIP_PARTNER_IN, 1);
	access_guard_limits(c, &lim);
	if (conn_accept(&c->conn, e->loop, fd, &o, &err) || !e->tls || e->quiet || e->conns.count > ACCESS_CONNS_MAX)
		access_conn_free(c);
}
