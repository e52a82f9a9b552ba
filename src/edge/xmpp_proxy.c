/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/xmpp_proxy_int.h"

#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "policy/decide.h"

/* ---- policy */

/* Domains of streams are prepared (U-labels); policy compares A-labels. */
static struct slice ascii(struct arena *a, struct slice domain)
{
	struct slice out;
	return domain.len && xmpp_domain_ascii(a, domain, &out) == 0 ? out : domain;
}

const struct policy_partner *xmpp_proxy_partner(struct xmpp_proxy *p, struct arena *a, struct slice remote)
{
	struct snapshot *s = snapshot_reader_get(&p->policy);
	return s ? snapshot_partner(s, ascii(a, remote)) : NULL;
}

static enum xmpp_need need(enum policy_negotiation n)
{
	return n == POLICY_REQUIRED ? XMPP_REQUIRED : n == POLICY_OPTIONAL ? XMPP_OPTIONAL : XMPP_OFF;
}

static struct xmpp_stream_policy policy_cb(void *arg, struct slice local, struct slice remote)
{
	struct s2s *s = arg;
	struct xmpp_proxy *p = s->proxy;
	struct snapshot *snap = snapshot_reader_get(&p->policy);
	struct xmpp_stream_policy out = {.tls = XMPP_OPTIONAL, .sasl = XMPP_OPTIONAL, .dialback = true};
	struct policy_verdict v;
	if (!local.len || !remote.len) { /* decided again with names before anything is granted */
		out.local_ours = out.partner = true;
		return out;
	}
	struct arena *a = arena_acquire(p->loop->arenas);
	struct slice l = ascii(a, local), r = ascii(a, remote);
	struct policy_question q = {.kind = POLICY_STREAM, .direction = POLICY_TO_LOCAL, .from = {.domain = r}, .to = {.domain = l}};
	out.local_ours = snap && snapshot_local(snap, l, NULL);
	out.remote_ours = snap && snapshot_local(snap, r, NULL);
	if (snap) {
		policy_decide(snap, &q, &v);
		out.partner = v.allow && v.partner;
		if (v.partner) {
			out.tls = need(v.partner->tls);
			out.sasl = need(v.partner->sasl);
			out.dialback = v.partner->dialback;
			out.lenient = snapshot_gateway(snap)->negotiation == POLICY_LYNC;
		}
		if (!v.allow) {
			out.refusal = slice_str(reason_info(v.reason)->text);
			metric_refused((int)v.reason);
		}
	}
	arena_release(p->loop->arenas, a);
	return out;
}

/* ---- a connection and its stream */

static void write_cb(void *arg, struct slice bytes)
{
	struct s2s *s = arg;
	if (s->conn && conn_write(s->conn, bytes) == ENTENTE_ELIMIT) {
		/* a partner that reads too slowly must not grow our memory: the stream ends, what was not sent is reported */
		metric_add(METRIC_LIMIT_HITS, 1);
		s->overflow = true;
		loop_reap(s->proxy->loop, &s->kill);
	}
}

static void start_tls_cb(void *arg)
{
	struct s2s *s = arg;
	struct entente_err err;
	struct conn_tls t = {.ctx = s->proxy->tls, .server = s->inbound, .slot = TLS_SLOT_CLIENT};
	if (!s->inbound) {
		t.sni = slice_str(s->remote_ascii);
		t.session_key = t.sni;
	}
	if (!t.ctx)
		xmpp_stream_tls_failed(s->stream, S("no certificate is configured"));
	else if (conn_start_tls(s->conn, &t, &err))
		xmpp_stream_tls_failed(s->stream, slice_str(err.text));
}

static void close_cb(void *arg)
{
	struct s2s *s = arg;
	s->stream_over = true;
	if (s->conn)
		conn_close(s->conn);
	else
		loop_reap(s->proxy->loop, &s->kill);
}

static void established_cb(void *arg, const struct xmpp_peer *peer)
{
	struct s2s *s = arg;
	struct xmpp_stream_info i;
	xmpp_stream_info(s->stream, &i);
	log_ev(LOG_INFO, "xmpp/stream-up", {"direction", s->inbound ? S("in") : S("out")}, {"local", xmpp_peer_local(peer)},
	       {"partner", xmpp_peer_remote(peer)}, {"proof", slice_str(xmpp_proof_text(xmpp_peer_proof(peer)))}, {"tls", i.tls_protocol},
	       {"cipher", i.tls_cipher}, {"address", slice_str(s->address)}, {"how", s->link && s->link->dialer ? slice_str(dialer_how(s->link->dialer)) : SLICE_NONE});
	if (s->inbound)
		xmpp_proxy_clear_backoff(s->proxy, xmpp_peer_remote(peer));
	else if (s->link)
		xmpp_link_up(s->link);
}

static void pair_failed_cb(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	(void)arg;
	log_ev(LOG_WARNING, "xmpp/pair-refused", {"local", local}, {"partner", remote}, {"reason", slice_str(reason_info(err->reason)->id)},
	       {"text", slice_str(err->text)});
}

static void stanza_cb(void *arg, struct xmpp_stanza *st)
{
	struct s2s *s = arg;
	metric_add(METRIC_XMPP_STANZAS_IN, 1);
	s->proxy->ops->stanza(s->proxy->arg, st);
}

static void misaddressed_cb(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, const char *which)
{
	struct s2s *s = arg;
	struct xmpp_proxy *p = s->proxy;
	log_ev(LOG_INFO, "xmpp/address-malformed", {"partner", xmpp_peer_remote(peer)}, {"which", slice_str(which)});
	/* only a usable sender can be answered */
	struct xml_node *err = slice_eq(slice_str(which), S("to")) ? xmpp_error_reply(a, node, S("modify"), S("jid-malformed"), SLICE_NONE, SLICE_NONE) : NULL;
	if (err) {
		struct buf b;
		struct xmpp_ticket none = {0};
		buf_init(&b, p->cfg.max_stanza);
		xml_write(&b, err, S("jabber:server"));
		if (buf_ok(&b) && p->ops->sent)
			xmpp_proxy_send(p, xmpp_peer_local(peer), xmpp_peer_remote(peer), buf_slice(&b), &none);
		buf_free(&b);
	}
	arena_release(p->loop->arenas, a);
}

static void failed_cb(void *arg, const struct xmpp_failure *f)
{
	static const char *const side[] = {"unknown", "here", "partner"};
	struct s2s *s = arg;
	struct xmpp_stream_info i;
	xmpp_stream_info(s->stream, &i);
	s->err = f->err;
	s->failed = true;
	metric_add(METRIC_XMPP_STREAM_ERRORS, 1);
	metric_refused((int)f->err.reason);
	log_ev(LOG_WARNING, "xmpp/stream-failed", {"direction", s->inbound ? S("in") : S("out")}, {"local", i.local}, {"partner", i.remote},
	       {"address", slice_str(s->address)}, {"stage", slice_str(f->stage)}, {"reason", slice_str(reason_info(f->err.reason)->id)},
	       {"text", slice_str(f->err.text)}, {"condition", f->condition}, {"from", f->received ? S("partner") : S("us")}, {"said", f->text},
	       {"fault", slice_str(side[f->fault])});
}

static void verify_cb(void *arg, const struct xmpp_verify *v)
{
	xmpp_verify_start(arg, v);
}

static void verified_cb(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	xmpp_verify_answer(arg, v, verdict, condition);
}

static void trace_cb(void *arg, enum xmpp_trace what, struct slice text)
{
	struct s2s *s = arg;
	if (what == XMPP_TRACE_ODD)
		log_ev(LOG_INFO, "xmpp/odd", {"direction", s->inbound ? S("in") : S("out")}, {"address", slice_str(s->address)}, {"text", text});
	else if (what == XMPP_TRACE_STEP)
		log_ev(LOG_DEBUG, "xmpp/step", {"direction", s->inbound ? S("in") : S("out")}, {"address", slice_str(s->address)}, {"text", text});
}

static const struct xmpp_stream_ops stream_ops = {
	.policy = policy_cb, .write = write_cb, .start_tls = start_tls_cb, .close = close_cb, .established = established_cb,
	.pair_failed = pair_failed_cb, .stanza = stanza_cb, .misaddressed = misaddressed_cb, .verify = verify_cb, .verified = verified_cb,
	.failed = failed_cb, .trace = trace_cb,
};

/* ---- connection events */

static void conn_connected(struct conn *c)
{
	struct s2s *s = conn_owner(c);
	s->started = true;
	if (!s->inbound) {
		if (s->link)
			s->link->state = LINK_STREAM;
		xmpp_stream_start(s->stream);
	}
}

static void conn_secured(struct conn *c, const struct tls_peer *t)
{
	struct s2s *s = conn_owner(c);
	struct xmpp_tls_info i = {
		.protocol = t->protocol, .cipher = t->cipher, .certificate = t->has_cert, .trusted = t->has_cert && t->chain_ok, .why = t->why_not,
		.names = {.dns = t->dns, .n_dns = t->n_dns, .srv = t->srv, .n_srv = t->n_srv, .xmpp = t->xmpp, .n_xmpp = t->n_xmpp},
	};
	xmpp_stream_tls_up(s->stream, &i);
}

static size_t conn_data(struct conn *c, struct slice in)
{
	struct s2s *s = conn_owner(c);
	if (!s->stream_over)
		xmpp_stream_input(s->stream, in);
	return in.len;
}

static void conn_closed(struct conn *c, const struct entente_err *why)
{
	struct s2s *s = conn_owner(c);
	bool handshake = why->code == ENTENTE_ETLS;
	if (!s->stream_over) {
		if (!s->inbound && !s->started) { /* TCP failed: the next address */
			if (s->link)
				xmpp_link_try_next(s->link);
			else
				xmpp_s2s_free(s);
			return;
		}
		if (handshake)
			xmpp_stream_tls_failed(s->stream, slice_str(why->text));
		else
			xmpp_stream_disconnected(s->stream, why->code ? slice_str(why->text) : SLICE_NONE);
	}
	s->conn = conn_free(s->conn);
	loop_reap(s->proxy->loop, &s->kill);
}

static const struct conn_ops conn_callbacks = {.connected = conn_connected, .secured = conn_secured, .data = conn_data, .closed = conn_closed};

/* ---- life of a s2s */

static void kill_run(struct loop_hook *h)
{
	struct s2s *s = CONTAINER_OF(h, struct s2s, kill);
	xmpp_s2s_free(s);
}

struct s2s *xmpp_s2s_new(struct xmpp_proxy *p, bool inbound)
{
	struct s2s *s = MEM_NEW(struct s2s);
	s->proxy = p;
	s->inbound = inbound;
	s->kill.run = kill_run;
	s->id = ++p->next_id;
	s->since = p->loop->timers.now;
	list_append(&p->all, &s->node);
	p->n_s2s++;
	metric_add(inbound ? METRIC_XMPP_STREAMS_IN : METRIC_XMPP_STREAMS_OUT, 1);
	return s;
}

void xmpp_s2s_free(struct s2s *s)
{
	struct xmpp_proxy *p = s->proxy;
	struct xmpp_stream_info i;
	if (s->stream) {
		xmpp_stream_info(s->stream, &i);
		if (i.pairs || s->inbound)
			log_ev(LOG_INFO, "xmpp/stream-down", {"direction", s->inbound ? S("in") : S("out")}, {"local", i.local}, {"partner", i.remote},
			       {"address", slice_str(s->address)}, {"reason", s->failed ? slice_str(reason_info(s->err.reason)->id) : SLICE_NONE});
	}
	loop_undefer(&s->kill);
	list_remove(&s->node);
	p->n_s2s--;
	metric_add(s->inbound ? METRIC_XMPP_STREAMS_IN : METRIC_XMPP_STREAMS_OUT, -1);
	xmpp_verify_forget(s);
	s->conn = conn_free(s->conn);
	struct xmpp_link *link = s->link;
	s->link = NULL;
	s->stream = xmpp_stream_free(s->stream);
	struct entente_err err = s->err;
	if (s->overflow)
		err_set(&err, ENTENTE_ELIMIT, REASON_LIMIT_QUEUE_FULL, "the partner reads too slowly");
	bool clean = !s->failed && !s->overflow;
	mem_free(s);
	if (link)
		xmpp_link_down(link, clean ? NULL : &err);
	if (p->draining && !p->n_s2s && p->drained) {
		void (*done)(void *) = p->drained;
		p->drained = NULL;
		done(p->drained_arg);
	}
}

static const struct conn_limits s2s_limits = {
	.in_max = 65536, .out_max = 4 << 20, .out_high = 1 << 20, .out_low = 256 << 10, .connect_ms = 10000, .handshake_ms = 10000, .linger_ms = 3000,
};

int xmpp_s2s_connect(struct s2s *s, const struct addr *to, struct entente_err *err)
{
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &s2s_limits};
	addr_text(to, s->address);
	return conn_connect(&s->conn, s->proxy->loop, to, &o, err);
}

struct xmpp_stream *xmpp_s2s_initiator(struct s2s *s, struct slice local, struct slice remote, bool verify_only)
{
	struct arena *a = arena_acquire(s->proxy->loop->arenas);
	slice_cstr(ascii(a, remote), s->remote_ascii, sizeof s->remote_ascii);
	arena_release(s->proxy->loop->arenas, a);
	s->stream = xmpp_stream_new_initiator(&s->proxy->stream_cfg, &stream_ops, s, local, remote, verify_only);
	return s->stream;
}

void xmpp_proxy_accept(struct xmpp_proxy *p, int fd, struct gate_pass *pass)
{
	struct entente_err err;
	struct s2s *s = xmpp_s2s_new(p, true);
	struct conn_opts o = {.ops = &conn_callbacks, .owner = s, .limits = &s2s_limits, .pass = pass};
	if (conn_accept(&s->conn, p->loop, fd, &o, &err)) {
		xmpp_s2s_free(s);
		return;
	}
	addr_text(conn_remote(s->conn), s->address);
	s->stream = xmpp_stream_new_receiver(&p->stream_cfg, &stream_ops, s);
	xmpp_stream_start(s->stream);
	if (p->draining)
		xmpp_stream_close_error(s->stream, "system-shutdown", SLICE_NONE);
}

/* ---- the proxy */

struct xmpp_proxy *xmpp_proxy_new(const struct xmpp_proxy_config *cfg, const struct xmpp_proxy_ops *ops, void *arg)
{
	struct xmpp_proxy *p = MEM_NEW(struct xmpp_proxy);
	p->cfg = *cfg;
	p->worker = cfg->worker;
	p->loop = cfg->worker->loop;
	p->ops = ops;
	p->arg = arg;
	list_init(&p->all);
	list_init(&p->verifies);
	map_init(&p->links);
	snapshot_reader_init(&p->policy, cfg->policy);
	struct xmpp_stream_config *c = &p->stream_cfg;
	xmpp_stream_config_defaults(c);
	c->timers = &p->loop->timers;
	c->pool = p->loop->arenas;
	if (cfg->dialback_secret.len)
		xmpp_dialback_secret_init(&c->secret, cfg->dialback_secret);
	c->features = cfg->features;
	c->auth_ms = cfg->auth_ms;
	c->setup_ms = cfg->setup_ms;
	c->dialback_ms = cfg->dialback_ms;
	c->ping_ms = cfg->ping_ms;
	c->idle_ms = cfg->idle_ms;
	c->max_stanza = c->max_out = cfg->max_stanza;
	c->max_early = cfg->max_early;
	return p;
}

struct xmpp_proxy *xmpp_proxy_free(struct xmpp_proxy *p)
{
	size_t i;
	if (!p)
		return NULL;
	p->drained = NULL;
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		s->link = NULL;
		xmpp_s2s_free(s);
	}
	xmpp_verify_free_all(p);
	MAP_EACH(n, &p->links, i)
		xmpp_link_free(CONTAINER_OF(n, struct xmpp_link, node));
	map_free(&p->links);
	snapshot_reader_destroy(&p->policy);
	tls_ctx_unref(p->tls);
	return mem_free(p);
}

void xmpp_proxy_set_tls(struct xmpp_proxy *p, struct tls_ctx *tls)
{
	struct tls_ctx *old = p->tls;
	p->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

void xmpp_proxy_drain(struct xmpp_proxy *p, void (*done)(void *), void *arg)
{
	size_t i;
	p->draining = true;
	p->drained = done;
	p->drained_arg = arg;
	MAP_EACH(n, &p->links, i) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, node);
		if (!l->s2s || l->state != LINK_UP)
			xmpp_link_bounce(l, REASON_SERVER_SHUTDOWN, S("the server is shutting down"));
	}
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (s->stream && !s->stream_over && s->conn)
			xmpp_stream_close_error(s->stream, "system-shutdown", SLICE_NONE);
	}
	if (!p->n_s2s && p->drained) {
		p->drained = NULL;
		done(arg);
	}
}

void xmpp_proxy_recheck(struct xmpp_proxy *p)
{
	struct arena *a = arena_acquire(p->loop->arenas);
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		struct xmpp_stream_info i;
		if (!s->stream || s->stream_over)
			continue;
		xmpp_stream_info(s->stream, &i);
		if (!i.remote.len || i.verify_only)
			continue;
		const struct policy_partner *partner = xmpp_proxy_partner(p, a, i.remote);
		if (!partner || !partner->enabled)
			xmpp_stream_close_error(s->stream, "policy-violation", S("this domain is no longer a partner here"));
	}
	arena_release(p->loop->arenas, a);
}

void xmpp_proxy_each(struct xmpp_proxy *p, void (*fn)(void *, const struct xmpp_proxy_facts *), void *arg)
{
	size_t k;
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		struct xmpp_stream_info i = {0};
		if (!s->stream)
			continue;
		xmpp_stream_info(s->stream, &i);
		const struct xmpp_peer *peer = i.local.len && i.remote.len ? xmpp_stream_peer(s->stream, i.local, i.remote) : NULL;
		struct xmpp_proxy_facts f = {
			.id = s->id, .inbound = s->inbound, .state = xmpp_stream_state_text(i.state), .local = i.local, .remote = i.remote,
			.address = slice_str(s->address), .tls = i.tls_protocol, .cipher = i.tls_cipher, .stanzas_in = i.stanzas_in,
			.stanzas_out = i.stanzas_out, .age_ms = p->loop->timers.now - s->since,
			.how = s->link && s->link->dialer ? slice_str(dialer_how(s->link->dialer)) : SLICE_NONE,
			.proof = peer ? slice_str(xmpp_proof_text(xmpp_peer_proof(peer))) : SLICE_NONE, .queued = s->link ? s->link->n_queue : 0,
		};
		if (s->link && s->link->state == LINK_CONNECTING)
			f.state = "connecting";
		fn(arg, &f);
	}
	MAP_EACH(n, &p->links, k) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, node);
		if (l->s2s || l->state == LINK_IDLE)
			continue;
		struct xmpp_proxy_facts f = {
			.state = l->state == LINK_RESOLVING ? "resolving" : "backoff", .local = slice_str(l->local), .remote = slice_str(l->remote),
			.queued = l->n_queue, .last_error = slice_str(l->err.text), .age_ms = p->loop->timers.now - l->since,
		};
		fn(arg, &f);
	}
}
