/* SPDX-License-Identifier: Apache-2.0 */
/* One connection with a partner's server and the stream on it: how they begin and end, and what the network says. What the stream
 * wants is in xmpp_s2s_stream.c. */
#include <stdatomic.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

enum {
	IN_MAX = 65536, OUT_HIGH = 256 << 10, OUT_LOW = 64 << 10, LINGER_MS = 3000,
	/* a read holds far fewer stanzas than the difference */
	CROWD_HIGH = XMPP_PENDING_MAX / 2, CROWD_LOW = XMPP_PENDING_MAX / 4,
};

struct slice xmpp_s2s_how(const struct s2s *s)
{
	if (s->inbound)
		return s->direct ? S("direct TLS") : SLICE_NONE;
	if (s->test)
		return xmpp_test_how(s->test);
	return slice_str(s->how);
}

bool xmpp_s2s_worth_another_address(const struct entente_err *err)
{
	return err->reason == REASON_XMPP_UNREACHABLE || err->reason == REASON_XMPP_TLS ||
	       err->reason == REASON_XMPP_STREAM_ERROR || err->reason == REASON_XMPP_DANE;
}

void xmpp_s2s_step(struct s2s *s, struct slice what, struct slice detail)
{
	struct xmpp_stream_info i = {0};
	if (!trace_on(s->proxy->cfg.trace))
		return;
	if (s->stream)
		xmpp_stream_info(s->stream, &i);
	trace_step(s->proxy->cfg.trace, !s->inbound, i.remote, s->id, what, detail.len ? detail : slice_str(s->address));
}

/* ---- what the network says */

static void conn_connected(struct conn *c)
{
	struct s2s *s = conn_owner(c);
	s->started = true;
	s->heard = s->proxy->loop->timers.now;
	if (s->inbound && !s->direct)
		return;
	if (!s->inbound)
		xmpp_attempt_step(s, XMPP_STEP_TCP, s->direct ? XMPP_STEP_TLS : XMPP_STEP_STREAM);
	if (s->test)
		xmpp_test_connected(s);
	if (s->link)
		s->link->state = LINK_STREAM;
	if (s->asker)
		xmpp_verify_started(s);
	if (s->direct)
		xmpp_stream_start_direct(s->stream);
	else
		xmpp_stream_start(s->stream);
}

void xmpp_s2s_tls_up(struct s2s *s, bool dane)
{
	const struct tls_peer *t = conn_peer(s->conn);
	struct xmpp_tls_info i = {
		.protocol = t->protocol,
		.cipher = t->cipher,
		.certificate = t->has_cert,
		.trusted = t->has_cert && t->chain_ok,
		.why = t->why_not,
		.dane = dane,
		.names = {.dns = t->dns,
			  .n_dns = t->n_dns,
			  .srv = t->srv,
			  .n_srv = t->n_srv,
			  .xmpp = t->xmpp,
			  .n_xmpp = t->n_xmpp},
	};
	if (!s->inbound)
		xmpp_cert_outbound(s, t, &i);
	xmpp_stream_tls_up(s->stream, &i);
}

static void heard(struct s2s *s)
{
	struct dialer *d = s->inbound ? NULL : xmpp_s2s_dialer(s);
	s->heard = s->proxy->loop->timers.now;
	if (d)
		dialer_heard(d);
}

static void conn_secured(struct conn *c, const struct tls_peer *t)
{
	struct s2s *s = conn_owner(c);
	heard(s);
	xmpp_attempt_step(s, XMPP_STEP_TLS, XMPP_STEP_AUTH);
	if (s->test)
		xmpp_test_secured(s, t);
	if (!s->inbound || !xmpp_cert_probe(s, t))
		xmpp_s2s_tls_up(s, false);
}

static size_t conn_data(struct conn *c, struct slice in)
{
	struct s2s *s = conn_owner(c);
	heard(s);
	if (!s->stream_over && !s->broken)
		xmpp_stream_input(s->stream, in);
	if (s->conn && !s->crowded && xmpp_stream_pending_span(s->stream) >= CROWD_HIGH) {
		metric_add(METRIC_LIMIT_HITS, 1);
		s->crowded = true;
		conn_pause(s->conn);
	}
	return in.len;
}

static void conn_drained(struct conn *c)
{
	struct s2s *s = conn_owner(c);
	if (s->link)
		xmpp_link_drained(s->link);
}

static void conn_closed(struct conn *c, const struct entente_err *why)
{
	struct s2s *s = conn_owner(c);
	if (!s->stream_over && !s->inbound && !s->started) { /* TCP failed; for links and questions the dialer has seen to that */
		if (s->test)
			xmpp_test_try_next(s, why);
		else
			xmpp_s2s_free(s);
		return;
	}
	if (!s->stream_over && why->code == ENTENTE_ETLS)
		xmpp_stream_tls_failed(s->stream, slice_str(why->text));
	if (!s->stream_over)
		xmpp_stream_disconnected(s->stream, why->code ? slice_str(why->text) : SLICE_NONE);
	timer_cancel(&s->proxy->loop->timers, &s->resume);
	xmpp_cert_forget(s);
	timer_cancel(&s->proxy->loop->timers, &s->shake);
	s->conn = conn_free(s->conn);
	loop_reap(s->proxy->loop, &s->kill);
}

static const struct conn_ops conn_callbacks = {
	.connected = conn_connected, .secured = conn_secured, .data = conn_data, .drained = conn_drained, .closed = conn_closed,
};

/* ---- life */

static _Atomic uint64_t last_id; /* of streams, in all workers */

static void kill_run(struct loop_hook *h)
{
	xmpp_s2s_free(CONTAINER_OF(h, struct s2s, kill));
}

struct s2s *xmpp_s2s_new(struct xmpp_proxy *p, bool inbound)
{
	struct s2s *s = MEM_NEW(struct s2s);
	s->proxy = p;
	s->inbound = inbound;
	s->kill.run = kill_run;
	timer_init(&s->resume, xmpp_s2s_resume);
	timer_init(&s->shake, xmpp_s2s_shake);
	s->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	s->since = s->heard = p->loop->timers.now;
	s->tag = p->first_tag + s->id;
	list_append(&p->all, &s->node);
	map_insert(&p->tags, &s->by_tag, slice_of((const char *)&s->tag, sizeof s->tag));
	p->n_s2s++;
	xmpp_attempt_begin(s);
	metric_add(inbound ? METRIC_XMPP_STREAMS_IN : METRIC_XMPP_STREAMS_OUT, 1);
	metric_add(inbound ? METRIC_CONN_XMPP_IN_NEGOTIATING : METRIC_CONN_XMPP_OUT_NEGOTIATING, 1);
	return s;
}

void xmpp_s2s_free(struct s2s *s)
{
	struct xmpp_proxy *p = s->proxy;
	struct xmpp_link *link = s->link;
	struct xmpp_stream_info i;
	bool parted = false;
	if (s->stream) {
		xmpp_stream_info(s->stream, &i);
		parted = i.peer_closed;
		struct slice reason = s->failed || s->broken ? slice_str(reason_info(s->err.reason)->id) : SLICE_NONE;
		const struct log_kv kv[] = {{"ended-by", i.peer_ended ? S("partner") : S("us")}, {"reason", reason}};
		if (i.pairs)
			xmpp_s2s_log(s, LOG_INFO, "xmpp/stream-down", NULL, NULL, kv, 2);
	}
	if (s->err.code) /* what no stream has told: the connection, a limit */
		xmpp_attempt_failed(s, &s->err, NULL);
	xmpp_attempt_end(s);
	xmpp_s2s_step(s, S("stream is gone"), SLICE_NONE);
	loop_undefer(&s->kill);
	timer_cancel(&p->loop->timers, &s->resume);
	list_remove(&s->node);
	map_remove(&p->tags, &s->by_tag);
	p->n_s2s--;
	metric_add(s->inbound ? METRIC_XMPP_STREAMS_IN : METRIC_XMPP_STREAMS_OUT, -1);
	if (s->counted_up) {
		metric_add(s->inbound ? METRIC_CONN_XMPP_IN_UP : METRIC_CONN_XMPP_OUT_UP, -1);
	} else {
		metric_add(s->inbound ? METRIC_CONN_XMPP_IN_NEGOTIATING : METRIC_CONN_XMPP_OUT_NEGOTIATING, -1);
		metric_add(s->inbound ? METRIC_OPENED_XMPP_IN_FAILED : METRIC_OPENED_XMPP_OUT_FAILED, 1);
	}
	s->link = NULL;
	if (s->inbound)
		xmpp_verify_forget(s);
	if (s->asker)
		xmpp_verify_down(s);
	if (s->test)
		xmpp_test_down(s);
	if (link && !s->failed && !s->broken)
		xmpp_link_look(link);
	xmpp_cert_forget(s);
	s->chain = revocation_chain_unref(s->proxy->cfg.revocation, s->chain);
	timer_cancel(&s->proxy->loop->timers, &s->shake);
	s->conn = conn_free(s->conn);
	s->stream = xmpp_stream_free(s->stream);
	mem_free(s->how);
	s->pass = xmpp_quota_leave(s->pass);
	struct entente_err err = s->err;
	if (link)
		link->parted = parted && !s->failed && !s->broken;
	bool clean = s->inbound || (!s->failed && !s->broken); /* our own way to the partner has not been tried */
	mem_free(s->remote_proven);
	mem_free(s);
	if (link)
		xmpp_link_down(link, clean ? NULL : &err);
	xmpp_proxy_ended(p);
}

void xmpp_s2s_close(struct s2s *s, const char *condition, struct slice text)
{
	struct xmpp_stream_info i;
	if (!s->stream || s->stream_over)
		return;
	xmpp_stream_info(s->stream, &i);
	if (condition)
		xmpp_stream_close_error(s->stream, condition, text);
	else
		xmpp_stream_close(s->stream);
	if (i.state <
	    XMPP_STREAM_VERIFY) { /* nothing was proven, nothing can be lost: no waiting for the other side's good-bye */
		s->stream_over = true;
		loop_reap(s->proxy->loop, &s->kill);
	}
}

void xmpp_s2s_leave(struct s2s *s, const char *condition)
{
	if (!s->stream || !s->conn || s->stream_over || !xmpp_stream_pending(s->stream)) {
		xmpp_s2s_close(s, condition, SLICE_NONE);
	} else if (!s->leaving) {
		s->leaving = condition;
		conn_pause(s->conn);
	}
}

void xmpp_s2s_settled(struct s2s *s)
{
	if (s->crowded && s->conn && xmpp_stream_pending_span(s->stream) < CROWD_LOW) {
		s->crowded = false;
		conn_resume(s->conn);
	}
	if (s->leaving && !xmpp_stream_pending(s->stream)) {
		const char *condition = s->leaving;
		s->leaving = NULL;
		if (s->conn)
			conn_resume(s->conn); /* the partner's own good-bye */
		xmpp_s2s_close(s, condition, SLICE_NONE);
	}
}

void xmpp_s2s_let_go(struct s2s *s)
{
	s->link = NULL;
	s->asker = NULL;
	if (!s->inbound)
		xmpp_s2s_close(s, NULL, SLICE_NONE);
}

void xmpp_s2s_limits(const struct xmpp_proxy *p, struct conn_limits *ret)
{
	const struct xmpp_proxy_settings *c = &p->cfg.set;
	*ret = (struct conn_limits){
		.in_max = IN_MAX, .out_max = OUT_HIGH + 2 * c->max_stanza + OUT_LOW, .out_high = OUT_HIGH, .out_low = OUT_LOW,
		.connect_ms = c->connect_ms, .handshake_ms = c->connect_ms, .linger_ms = LINGER_MS,
	};
}

struct dialer *xmpp_s2s_dialer(const struct s2s *s)
{
	if (s->link)
		return s->link->dialer;
	if (s->test)
		return xmpp_test_dialer(s->test);
	return s->asker ? xmpp_verify_dialer(s) : NULL;
}

int xmpp_s2s_connect(struct s2s *s, const struct addr *to, struct entente_err *err)
{
	struct conn_limits lim;
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &lim};
	xmpp_s2s_limits(s->proxy, &lim);
	addr_text(to, s->address);
	return conn_connect(&s->conn, s->proxy->loop, to, &o, err);
}

void xmpp_s2s_adopt(struct s2s *s, struct conn *c, const struct dialer *d)
{
	struct conn_limits lim;
	xmpp_s2s_limits(s->proxy, &lim);
	s->conn = c;
	s->direct = dialer_direct(d);
	s->how = mem_strndup(dialer_how(d), strlen(dialer_how(d)));
	s->mark = dialer_since(d);
	addr_text(conn_remote(c), s->address);
	conn_set_ops(c, &conn_callbacks, s);
	conn_set_limits(c, &lim);
	conn_connected(c);
}

struct xmpp_stream *xmpp_s2s_initiator(struct s2s *s, struct slice local, struct slice remote, bool verify_only)
{
	struct arena *a = arena_acquire(s->proxy->loop->arenas);
	struct slice ascii;
	if (xmpp_domain_ascii(a, remote, &ascii))
		ascii = remote;
	slice_cstr(ascii, s->remote_ascii, sizeof s->remote_ascii);
	arena_release(s->proxy->loop->arenas, a);
	s->stream = xmpp_stream_new_initiator(&s->proxy->stream_cfg, &xmpp_s2s_stream_ops, s, local, remote, verify_only);
	return s->stream;
}

void xmpp_proxy_accept(struct xmpp_proxy *p, int fd, bool direct, struct gate_pass *pass)
{
	struct entente_err err;
	struct conn_limits lim;
	struct s2s *s = xmpp_s2s_new(p, true);
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &lim, .pass = pass};
	xmpp_s2s_limits(p, &lim);
	if (conn_accept(&s->conn, p->loop, fd, &o, &err) || p->quiet) {
		xmpp_s2s_free(s);
		return;
	}
	addr_text(conn_remote(s->conn), s->address);
	s->stream = xmpp_stream_new_receiver(&p->stream_cfg, &xmpp_s2s_stream_ops, s);
	s->direct = direct;
	if (!direct) /* else when the connection can take TLS */
		xmpp_stream_start(s->stream);
}
