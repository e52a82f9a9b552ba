/* SPDX-License-Identifier: Apache-2.0 */
/* What the stream engine of a connection asks for: policy, octets out, TLS, what came, what failed. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"
#include "xmpp/stanza.h"

static struct slice direction(const struct s2s *s)
{
	return s->inbound ? S("in") : S("out");
}

static struct xmpp_stream_policy on_policy(void *arg, struct slice local, struct slice remote)
{
	struct s2s *s = arg;
	return s->test ? xmpp_test_rules(s->test) : xmpp_proxy_policy(s->proxy, s, local, remote);
}

static void on_write(void *arg, struct slice bytes)
{
	struct s2s *s = arg;
	if (s->conn && conn_write(s->conn, bytes) == ENTENTE_ELIMIT && !s->broken) {
		/* stanzas are held back long before (xmpp_link.c): only a peer that makes us answer and never reads gets here */
		metric_add(METRIC_LIMIT_HITS, 1);
		s->broken = true;
		err_set(&s->err, ENTENTE_ELIMIT, REASON_LIMIT_QUEUE_FULL, "the partner's server does not read what it is sent");
		loop_reap(s->proxy->loop, &s->kill);
	}
}

/* What the partner wants to see of us. */
static enum tls_slot own_certificate(struct s2s *s)
{
	static const enum tls_slot slot[] = {
		[POLICY_OWN_CLIENT] = TLS_SLOT_CLIENT, [POLICY_OWN_SERVER] = TLS_SLOT_SERVER, [POLICY_OWN_NONE] = TLS_SLOT_NONE};
	const struct policy_partner *partner;
	struct xmpp_stream_info i;
	xmpp_stream_info(s->stream, &i);
	xmpp_proxy_judge(s->proxy, i.local, i.remote, &partner);
	return partner ? slot[partner->own_certificate] : TLS_SLOT_CLIENT;
}

static void begin_tls(struct s2s *s)
{
	struct entente_err err;
	struct conn_tls t = {.ctx = s->proxy->tls, .server = s->inbound, .slot = TLS_SLOT_CLIENT};
	if (s->at == XMPP_STEP_STREAM)
		xmpp_attempt_step(s, XMPP_STEP_STREAM, XMPP_STEP_TLS);
	if (s->test)
		xmpp_test_starting_tls(s);
	if (!s->inbound) {
		t.slot = own_certificate(s);
		t.sni = slice_str(s->remote_ascii);
		const struct tls_tlsa *records;
		struct dialer *d = xmpp_s2s_dialer(s);
		if (!d || !dialer_tlsa(d, &records)) /* TLSA records judge a chain, and a resumed session shows none */
			t.session_key = t.sni;
		t.alpn = s->direct ? S("xmpp-server") : SLICE_NONE;
	}
	if (!t.ctx)
		xmpp_stream_tls_failed(s->stream, S("no certificate is configured (tls.certificate)"));
	else if (!s->conn || conn_start_tls(s->conn, &t, &err))
		xmpp_stream_tls_failed(s->stream, s->conn ? slice_str(err.text) : S("the connection is gone"));
}

void xmpp_s2s_shake(struct timer *t, uint64_t now)
{
	struct s2s *s = CONTAINER_OF(t, struct s2s, shake);
	(void)now;
	conn_resume(s->conn);
	begin_tls(s);
}

/* A handshake costs us a thousand times what the ClientHello costs a stranger: callers take turns. */
static void on_start_tls(void *arg)
{
	struct s2s *s = arg;
	uint64_t wait = s->inbound && s->conn ? conn_handshake_wait(s->conn) : 0;
	if (wait)
		metric_add(METRIC_LIMIT_HITS, 1);
	if (wait == GATE_NEVER) {
		xmpp_stream_tls_failed(s->stream, S("too many TLS handshakes are waiting here (limits.handshake-rate)"));
	} else if (wait) {
		conn_pause(s->conn);
		timer_arm(&s->proxy->loop->timers, &s->shake, wait);
	} else {
		begin_tls(s);
	}
}

static void on_close(void *arg)
{
	struct s2s *s = arg;
	s->stream_over = true;
	if (s->link && !s->failed && !s->broken) /* while it can be asked */
		xmpp_link_look(s->link);
	if (s->conn)
		conn_close(s->conn);
	else
		loop_reap(s->proxy->loop, &s->kill);
}

static void admit(struct s2s *s, const struct xmpp_peer *peer)
{
	struct xmpp_proxy *p = s->proxy;
	struct slice remote = xmpp_peer_remote(peer);
	if (s->conn)
		conn_prove(s->conn);
	if (s->pass || xmpp_proxy_admit(p, s, xmpp_peer_local(peer), remote)) {
		p->ops->alive(p->arg, remote);
		return;
	}
	s->refused = true;
	metric_add(METRIC_LIMIT_HITS, 1);
	metric_refused(REASON_LIMIT_CONNECTIONS);
	log_ev_limited(LOG_WARNING, "xmpp/stream-refused", remote, {"partner", remote}, {"address", slice_str(s->address)},
		       {"reason", slice_str(reason_info(REASON_LIMIT_CONNECTIONS)->id)},
		       {"text", S("the partner has as many connections as its limit allows, or all partners together have")});
	xmpp_stream_close_error(s->stream, "resource-constraint", S("too many connections with this server"));
}

static void count_proof(struct s2s *s, const struct xmpp_peer *peer)
{
	static const enum metric rows[][2] = {
		[XMPP_PROOF_EXTERNAL] = {METRIC_AUTH_XMPP_OUT_EXTERNAL, METRIC_AUTH_XMPP_IN_EXTERNAL},
		[XMPP_PROOF_DIALBACK] = {METRIC_AUTH_XMPP_OUT_DIALBACK, METRIC_AUTH_XMPP_IN_DIALBACK},
		[XMPP_PROOF_CERTIFICATE] = {METRIC_AUTH_XMPP_OUT_CERTIFICATE, METRIC_AUTH_XMPP_IN_CERTIFICATE},
		[XMPP_PROOF_DANE] = {METRIC_AUTH_XMPP_OUT_DANE, METRIC_AUTH_XMPP_IN_DANE},
	};
	metric_add(rows[xmpp_peer_proof(peer)][s->inbound], 1);
	if (s->counted_up)
		return;
	s->counted_up = true; /* a stream may prove several pairs */
	metric_add(s->inbound ? METRIC_CONN_XMPP_IN_NEGOTIATING : METRIC_CONN_XMPP_OUT_NEGOTIATING, -1);
	metric_add(s->inbound ? METRIC_CONN_XMPP_IN_UP : METRIC_CONN_XMPP_OUT_UP, 1);
	metric_add(s->inbound ? METRIC_OPENED_XMPP_IN_OK : METRIC_OPENED_XMPP_OUT_OK, 1);
}

static void on_established(void *arg, const struct xmpp_peer *peer)
{
	struct s2s *s = arg;
	struct xmpp_stream_info i;
	xmpp_stream_info(s->stream, &i);
	xmpp_s2s_log(s, LOG_INFO, "xmpp/stream-up", peer, NULL, NULL, 0);
	count_proof(s, peer);
	xmpp_attempt_up(s, peer);
	xmpp_s2s_step(s, S("stream is up"), slice_str(xmpp_proof_text(xmpp_peer_proof(peer))));
	xmpp_cert_seen(s, xmpp_peer_remote(peer), xmpp_proof_text(xmpp_peer_proof(peer)));
	if (s->inbound) {
		admit(s, peer);
		if (i.bidi && !s->refused)
			xmpp_link_adopt(s, xmpp_peer_local(peer), xmpp_peer_remote(peer));
	} else if (s->test) {
		xmpp_test_established(s, peer);
	} else if (s->link) {
		xmpp_link_up(s->link);
	}
}

static void on_acked(void *arg, uint64_t n)
{
	struct s2s *s = arg;
	if (s->link)
		xmpp_link_acked(s->link, n);
}

static void on_pair_failed(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	struct s2s *s = arg;
	metric_add(s->inbound ? METRIC_AUTH_XMPP_IN_FAILED : METRIC_AUTH_XMPP_OUT_FAILED, 1);
	log_ev_limited(LOG_WARNING, "xmpp/pair-refused", slice_str(s->address), {"local", local}, {"partner", remote},
		       {"address", slice_str(s->address)}, {"reason", slice_str(reason_info(err->reason)->id)},
		       {"text", slice_str(err->text)});
}

/* ---- stanzas */

/* Reads on later. What was read already is still handled. */
static void rest(struct s2s *s, uint64_t ms)
{
	if (timer_armed(&s->resume) || !s->conn)
		return;
	conn_pause(s->conn);
	timer_arm(&s->proxy->loop->timers, &s->resume, ms);
}

/* A partner that sends faster than it may is read more slowly: its own queue grows, nothing is lost. */
static void pace(struct s2s *s)
{
	struct xmpp_proxy *p = s->proxy;
	uint64_t wait =
		s->pass && p->cfg.set.partner_rate ? xmpp_quota_stanza(s->pass, p->loop->timers.now, p->cfg.set.partner_rate) : 0;
	if (!wait || timer_armed(&s->resume) || !s->conn)
		return;
	metric_add(METRIC_LIMIT_HITS, 1);
	metric_add(METRIC_RATE_XMPP_PARTNER, 1);
	log_ev_limited(LOG_WARNING, "xmpp/partner-slowed", slice_str(s->address), {"address", slice_str(s->address)},
		       {"reason", slice_str(reason_info(REASON_LIMIT_RATE)->id)},
		       {"text", S("more stanzas a second than limits.partner-rate: the stream is read more slowly")});
	rest(s, wait);
}

void xmpp_s2s_resume(struct timer *t, uint64_t now)
{
	struct s2s *s = CONTAINER_OF(t, struct s2s, resume);
	(void)now;
	if (s->conn)
		conn_resume(s->conn);
}

static void answer(struct s2s *s, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, struct slice type,
		   struct slice condition, struct slice text)
{
	struct xmpp_proxy *p = s->proxy;
	struct xml_node *err = xmpp_error_reply(a, node, type, condition, text, SLICE_NONE);
	struct buf b;
	if (!err)
		return;
	buf_init(&b, p->cfg.set.max_stanza);
	xml_write(&b, err, S("jabber:server"));
	if (buf_ok(&b))
		p->ops->reply(p->arg, xmpp_peer_local(peer), xmpp_peer_remote(peer), buf_slice(&b));
	buf_free(&b);
}

/* What changes presence always passes: it is small, the last word counts, and to lose it would show a wrong state for long. */
static bool counts(const struct xml_node *n)
{
	enum stanza_type t = stanza_type(n);
	switch (stanza_kind(n)) {
	case STANZA_PRESENCE:
		return t == STANZA_TYPE_SUBSCRIBE || t == STANZA_TYPE_PROBE;
	case STANZA_NONE:
		return false;
	default:
		return t != STANZA_TYPE_ERROR && t != STANZA_TYPE_RESULT;
	}
}

static void on_stanza(void *arg, struct xmpp_stanza *st)
{
	struct s2s *s = arg;
	struct xmpp_proxy *p = s->proxy;
	metric_add(METRIC_XMPP_STANZAS_IN, 1);
	if (trace_on(p->cfg.trace))
		trace_stanza(p->cfg.trace, false, st->from.domain, s->id, st->node, 0);
	if (s->refused) { /* not done: its sender must hear that it was lost */
		arena_release(p->loop->arenas, st->arena);
		return;
	}
	if (xmpp_test_takes(s, st)) {
		arena_release(p->loop->arenas, st->arena);
		xmpp_stream_done(s->stream, st->receipt.number);
		return;
	}
	if (st->receipt.number) {
		st->receipt.stream = s->tag;
		st->receipt.worker = p->worker->id;
	}
	pace(s);
	if (p->cfg.set.sender_rate && counts(st->node) &&
	    !rate_admit(p->senders, st->from.bare, p->loop->timers.now, p->cfg.set.sender_rate)) {
		const struct reason_info *r = reason_info(REASON_LIMIT_RATE);
		metric_add(METRIC_LIMIT_HITS, 1);
		metric_add(METRIC_RATE_XMPP_SENDER, 1);
		metric_refused(REASON_LIMIT_RATE);
		log_ev_limited(LOG_WARNING, "xmpp/sender-too-fast", st->from.bare, {"from", st->from.bare}, {"to", st->to.bare},
			       {"reason", slice_str(r->id)});
		answer(s, st->peer, st->node, st->arena, slice_str(r->xmpp_type), slice_str(r->xmpp_condition), slice_str(r->id));
		arena_release(p->loop->arenas, st->arena);
		xmpp_stream_done(s->stream, st->receipt.number);
		return;
	}
	unsigned ms = p->ops->stanza(p->arg, st);
	if (ms)
		rest(s, ms);
}

static void on_misaddressed(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, const char *which)
{
	struct s2s *s = arg;
	metric_add(METRIC_PARSE_XMPP_ADDRESS, 1);
	log_ev_limited(LOG_INFO, "xmpp/address-malformed", xmpp_peer_remote(peer), {"partner", xmpp_peer_remote(peer)},
		       {"which", slice_str(which)});
	if (slice_eq(slice_str(which), S("to")) && !s->refused) /* only a usable sender can be answered */
		answer(s, peer, node, a, S("modify"), S("jid-malformed"), SLICE_NONE);
	arena_release(s->proxy->loop->arenas, a);
}

static void on_oversize(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a)
{
	struct s2s *s = arg;
	const struct reason_info *r = reason_info(REASON_LIMIT_SIZE);
	metric_add(METRIC_LIMIT_HITS, 1);
	metric_add(METRIC_PARSE_XMPP_SIZE, 1);
	metric_refused(REASON_LIMIT_SIZE);
	log_ev_limited(LOG_WARNING, "xmpp/stanza-too-big", xmpp_peer_remote(peer), {"partner", xmpp_peer_remote(peer)},
		       {"from", stanza_from(node)}, {"to", stanza_to(node)}, {"reason", slice_str(r->id)});
	if (!s->refused)
		answer(s, peer, node, a, slice_str(r->xmpp_type), slice_str(r->xmpp_condition), slice_str(r->id));
	arena_release(s->proxy->loop->arenas, a);
}

/* ---- failures and questions */

/* The partner's server says good-bye for a reason of its own. */
static bool orderly(const struct xmpp_failure *f)
{
	return f->received && (slice_eq(f->condition, S("system-shutdown")) || slice_eq(f->condition, S("reset")) ||
			       slice_eq(f->condition, S("connection-timeout")));
}

static void on_failed(void *arg, const struct xmpp_failure *f)
{
	static const char *const side[] = {"unknown", "here", "partner"};
	struct s2s *s = arg;
	struct xmpp_stream_info i;
	xmpp_stream_info(s->stream, &i);
	s->err = f->err;
	s->failed = true;
	xmpp_attempt_failed(s, &f->err, f);
	xmpp_s2s_step(s, f->received ? S("stream failed, the partner says") : S("stream failed"), slice_str(f->err.text));
	if (s->test)
		xmpp_test_failed(s, f);
	metric_add(METRIC_XMPP_STREAM_ERRORS, 1);
	if (f->err.reason == REASON_XMPP_MALFORMED && !f->received)
		metric_add(METRIC_PARSE_XMPP_XML, 1);
	metric_refused((int)f->err.reason);
	const struct log_kv kv[] = {
		{"stage", slice_str(f->stage)},
		{"reason", slice_str(reason_info(f->err.reason)->id)},
		{"text", slice_str(f->err.text)},
		{"condition", f->condition},
		{"from", f->received ? S("partner") : S("us")},
		{"said", f->received ? f->text : SLICE_NONE},
		{"fault", slice_str(side[f->fault])},
	};
	struct slice key = s->inbound ? slice_str(s->address) : i.remote;
	enum log_level level = orderly(f) ? LOG_INFO : LOG_WARNING;
	if (s->link) /* limited by its own memory of what was said */
		xmpp_s2s_log(s, xmpp_link_told(s->link, f->err.reason) ? LOG_DEBUG : level, "xmpp/stream-failed", NULL, NULL, kv,
			     sizeof kv / sizeof *kv);
	else
		xmpp_s2s_log(s, level, "xmpp/stream-failed", NULL, &key, kv, sizeof kv / sizeof *kv);
}

static void on_verify(void *arg, const struct xmpp_verify *v)
{
	xmpp_verify_start(arg, v);
}

static void on_verified(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	xmpp_verify_answer(arg, v, verdict, condition);
}

static void on_trace(void *arg, enum xmpp_trace what, struct slice text)
{
	struct s2s *s = arg;
	if (s->test)
		xmpp_test_trace(s, what, text);
	if (what == XMPP_TRACE_STEP || what == XMPP_TRACE_ODD)
		xmpp_s2s_step(s, text, SLICE_NONE);
	if (what == XMPP_TRACE_ODD)
		log_ev_limited(LOG_INFO, "xmpp/odd", slice_str(s->address), {"direction", direction(s)},
			       {"address", slice_str(s->address)}, {"text", text});
	else if (what == XMPP_TRACE_STEP)
		log_ev(LOG_DEBUG, "xmpp/step", {"direction", direction(s)}, {"address", slice_str(s->address)}, {"text", text});
}

const struct xmpp_stream_ops xmpp_s2s_stream_ops = {
	.policy = on_policy,
	.write = on_write,
	.start_tls = on_start_tls,
	.close = on_close,
	.established = on_established,
	.pair_failed = on_pair_failed,
	.stanza = on_stanza,
	.misaddressed = on_misaddressed,
	.oversize = on_oversize,
	.verify = on_verify,
	.verified = on_verified,
	.acked = on_acked,
	.failed = on_failed,
	.trace = on_trace,
};
