/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy as a whole: policy, settings, its end, a look at it. */
#include "edge/xmpp_proxy_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "policy/decide.h"

enum { MAX_SENDERS = 65536, SWEEP_MS = 15000 };

/* ---- policy */

/* Domains of streams are prepared (U-labels); policy compares A-labels. */
static struct slice ascii(struct arena *a, struct slice domain)
{
	struct slice out;
	return domain.len && xmpp_domain_ascii(a, domain, &out) == 0 ? out : domain;
}

/* local and remote in A-labels. */
static void decide(struct snapshot *s, struct slice local, struct slice remote, struct policy_verdict *ret)
{
	struct policy_question q = {
		.kind = POLICY_STREAM, .direction = POLICY_TO_LOCAL, .from = {.domain = remote}, .to = {.domain = local}};
	policy_decide(s, &q, ret);
}

enum reason xmpp_proxy_judge(struct xmpp_proxy *p, struct slice local, struct slice remote,
			     const struct policy_partner **ret_partner)
{
	struct snapshot *s = snapshot_reader_get(&p->policy);
	struct policy_verdict v = {.reason = REASON_POLICY_PARTNER_UNKNOWN};
	struct arena *a = arena_acquire(p->loop->arenas);
	if (s)
		decide(s, ascii(a, local), ascii(a, remote), &v);
	arena_release(p->loop->arenas, a);
	*ret_partner = v.partner;
	return v.allow ? REASON_NONE : v.reason;
}

enum xmpp_need xmpp_proxy_need(enum policy_negotiation n)
{
	return n == POLICY_REQUIRED ? XMPP_REQUIRED : n == POLICY_OPTIONAL ? XMPP_OPTIONAL : XMPP_OFF;
}

struct xmpp_stream_policy xmpp_proxy_policy(struct xmpp_proxy *p, struct s2s *s, struct slice local, struct slice remote)
{
	struct snapshot *snap = snapshot_reader_get(&p->policy);
	struct xmpp_stream_policy out = {.tls = XMPP_OPTIONAL, .sasl = XMPP_OPTIONAL, .dialback = true};
	struct policy_verdict v;
	if (!local.len || !remote.len) { /* decided again with names before anything is granted */
		out.local_ours = out.partner = true;
		return out;
	}
	if (!snap)
		return out;
	struct arena *a = arena_acquire(p->loop->arenas);
	struct slice l = ascii(a, local), r = ascii(a, remote);
	out.local_ours = snapshot_local(snap, l, NULL);
	out.remote_ours = snapshot_local(snap, r, NULL);
	decide(snap, l, r, &v);
	out.partner = v.allow && v.partner;
	if (v.partner) {
		out.tls = xmpp_proxy_need(v.partner->tls);
		/* Who could do TLS before can do it now; an offer that is missing was taken out on the way. */
		if (v.partner->tls == POLICY_OPTIONAL && p->cfg.seen && xmpp_seen_tls(p->cfg.seen, r))
			out.tls = XMPP_REQUIRED;
		out.sasl = xmpp_proxy_need(v.partner->sasl);
		out.dialback = v.partner->dialback;
		out.bidi = true;
		out.lenient = snapshot_gateway(snap)->negotiation == POLICY_LYNC;
		out.barred = xmpp_cert_barred(s, v.partner);
	}
	struct xmpp_stream_policy test;
	if (!out.partner && xmpp_test_covers(p, local, remote, &test)) { /* it may ask about a key of ours, nothing else */
		out.tls = test.tls;
		out.sasl = XMPP_OFF;
		out.dialback = out.verify = true;
	} else if (!v.allow) {
		out.refusal = slice_str(reason_info(v.reason)->text);
		metric_refused((int)v.reason);
	}
	arena_release(p->loop->arenas, a);
	return out;
}

bool xmpp_proxy_target(struct xmpp_proxy *p, struct arena *a, struct slice local, struct slice remote, struct dialer_target *ret,
		       enum reason *ret_reason)
{
	const struct policy_partner *partner;
	if ((*ret_reason = xmpp_proxy_judge(p, local, remote, &partner)))
		return false;
	*ret_reason = REASON_XMPP_DNS;
	*ret = (struct dialer_target){.host = partner->server_host,
				      .port = partner->server_port,
				      .direct = partner->tls != POLICY_NOT_SUPPORTED,
				      .private_addresses = p->cfg.set.private_addresses,
				      .dane = p->cfg.set.dane && partner->dane,
				      .pace = p->cfg.pace};
	return xmpp_domain_ascii(a, remote, &ret->domain) == 0;
}

bool xmpp_proxy_admit(struct xmpp_proxy *p, struct s2s *s, struct slice local, struct slice remote)
{
	const struct policy_partner *partner;
	xmpp_proxy_judge(p, local, remote, &partner);
	if (!partner)
		return false;
	s->keep_alive = partner->keep_alive;
	if (!p->cfg.quota)
		return true;
	const struct policy_gateway *g = snapshot_gateway(p->policy.held);
	uint32_t limit = partner->connection_limit ? partner->connection_limit : g->partner_connection_limit;
	s->pass = xmpp_quota_enter(p->cfg.quota, partner->domain, limit, g->connection_limit);
	return s->pass;
}

/* A revocation list has come: who is on it goes. */
static void news(void *arg)
{
	struct xmpp_proxy *p = arg;
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (!s->stream || s->stream_over || !xmpp_cert_refused(s))
			continue;
		xmpp_s2s_close(s, "not-authorized", S("the certificate of this server has been revoked"));
	}
}

void xmpp_proxy_recheck(struct xmpp_proxy *p)
{
	const struct policy_partner *partner;
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		struct xmpp_stream_info i;
		if (!s->stream || s->stream_over)
			continue;
		xmpp_stream_info(s->stream, &i);
		unsigned proven = i.pairs, left = proven ? xmpp_stream_review(s->stream) : 0;
		/* one that has proven nothing yet is judged when it does, unless it cannot become anything any more */
		if (left || !i.local.len || !i.remote.len)
			continue;
		struct xmpp_stream_policy rules = xmpp_proxy_policy(p, s, i.local, i.remote);
		if (!rules.partner || !rules.local_ours)
			xmpp_s2s_close(s, "policy-violation", S("this domain is no longer a partner here"));
		else if (proven)
			xmpp_s2s_close(s, "reset", S("the rules for this partner have changed"));
	}
	LIST_EACH(n, &p->all_links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, all);
		enum reason reason = xmpp_proxy_judge(p, slice_str(l->local), slice_str(l->remote), &partner);
		if (l->state == LINK_BACKOFF)
			l->retry_at = l->backoff_ms = 0; /* what was wrong may have been set right */
		if (reason)
			xmpp_link_remove(l, reason);
	}
}

/* ---- partners that should say something now and then */

static void sweep_fired(struct timer *t, uint64_t now)
{
	struct xmpp_proxy *p = CONTAINER_OF(t, struct xmpp_proxy, sweep);
	uint32_t limit = p->cfg.set.silence_ms;
	uint64_t next = limit && limit < SWEEP_MS ? limit : SWEEP_MS;
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		struct xmpp_stream_info i;
		if (!limit || !s->inbound || !s->keep_alive || s->stream_over)
			continue;
		if (now - s->heard < limit) {
			next = s->heard + limit - now < next ? s->heard + limit - now : next;
			continue;
		}
		xmpp_stream_info(s->stream, &i);
		log_ev(LOG_INFO, "xmpp/stream-silent", {"partner", i.remote}, {"address", slice_str(s->address)},
		       {"text", S("nothing came for timers.keepalive-timeout: the stream is closed; the partner opens another "
				  "when it has something to say")});
		xmpp_stream_close(s->stream);
	}
	xmpp_link_sweep(p);
	timer_arm(&p->loop->timers, t, next ? next : 1);
}

/* ---- life */

static void settings(struct xmpp_proxy *p, const struct xmpp_proxy_settings *set)
{
	struct xmpp_stream_config *c = &p->stream_cfg;
	p->cfg.set = *set;
	c->auth_ms = set->auth_ms;
	c->setup_ms = set->setup_ms;
	c->dialback_ms = set->dialback_ms;
	c->ping_ms = set->ping_ms;
	c->idle_ms = set->idle_ms;
	c->bidi = set->bidi;
	c->acks = set->acks;
	c->ack_ms = set->silence_ms;
	c->max_stanza = c->max_out = set->max_stanza;
	c->max_early = set->max_early;
	c->max_depth = set->max_depth;
	c->max_attributes = set->max_attributes;
}

struct xmpp_proxy *xmpp_proxy_new(const struct xmpp_proxy_config *cfg, const struct xmpp_proxy_ops *ops, void *arg)
{
	struct xmpp_proxy *p = MEM_NEW(struct xmpp_proxy);
	p->cfg = *cfg;
	p->worker = cfg->worker;
	p->loop = cfg->worker->loop;
	p->ops = ops;
	p->arg = arg;
	list_init(&p->all);
	list_init(&p->all_links);
	map_init(&p->links);
	map_init(&p->remotes);
	map_init(&p->askers);
	map_init(&p->tags);
	p->first_tag = rand_u64();
	list_init(&p->tests);
	p->senders = rate_new(MAX_SENDERS);
	timer_init(&p->sweep, sweep_fired);
	timer_arm(&p->loop->timers, &p->sweep, SWEEP_MS);
	snapshot_reader_init(&p->policy, cfg->policy);
	if (cfg->revocation)
		p->revocation = revocation_watch(cfg->revocation, cfg->worker, news, p);
	struct xmpp_stream_config *c = &p->stream_cfg;
	xmpp_stream_config_defaults(c);
	c->timers = &p->loop->timers;
	c->pool = p->loop->arenas;
	if (cfg->dialback_secret.len)
		xmpp_dialback_secrets_init(&c->secrets, cfg->dialback_secret);
	p->cfg.dialback_secret = SLICE_NONE;
	c->features = cfg->features;
	settings(p, &cfg->set);
	return p;
}

void xmpp_proxy_set_secret(struct xmpp_proxy *p, struct slice secret)
{
	xmpp_dialback_secrets_init(&p->stream_cfg.secrets, secret);
}

void xmpp_proxy_set(struct xmpp_proxy *p, const struct xmpp_proxy_settings *set)
{
	struct conn_limits lim;
	settings(p, set);
	xmpp_s2s_limits(p, &lim);
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (s->conn)
			conn_set_limits(s->conn, &lim);
	}
	timer_arm(&p->loop->timers, &p->sweep, 1);
}

struct xmpp_proxy *xmpp_proxy_free(struct xmpp_proxy *p)
{
	if (!p)
		return NULL;
	p->drained = NULL;
	xmpp_verify_end_all(p, false);
	xmpp_test_end_all(p, false);
	LIST_EACH(n, &p->all_links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, all);
		if (l->s2s)
			l->s2s->link = NULL;
		xmpp_link_free(l);
	}
	LIST_EACH(n, &p->all)
		xmpp_s2s_free(CONTAINER_OF(n, struct s2s, node));
	map_free(&p->links);
	map_free(&p->remotes);
	map_free(&p->askers);
	map_free(&p->tags);
	revocation_unwatch(p->revocation);
	timer_cancel(&p->loop->timers, &p->sweep);
	rate_free(p->senders);
	snapshot_reader_destroy(&p->policy);
	tls_ctx_unref(p->tls);
	explicit_bzero(&p->stream_cfg.secrets, sizeof p->stream_cfg.secrets);
	return mem_free(p);
}

void xmpp_proxy_set_tls(struct xmpp_proxy *p, struct tls_ctx *tls)
{
	struct tls_ctx *old = p->tls;
	p->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

/* ---- the end of service */

void xmpp_proxy_quiesce(struct xmpp_proxy *p)
{
	p->quiet = true;
	xmpp_test_end_all(p, true);
	xmpp_verify_end_all(p, true);
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (s->inbound)
			xmpp_s2s_leave(s, "system-shutdown");
	}
}

size_t xmpp_proxy_leaving(const struct xmpp_proxy *p)
{
	size_t count = 0;
	for (const struct list *n = p->all.next; n != &p->all; n = n->next)
		count += CONTAINER_OF(n, struct s2s, node)->leaving != NULL;
	return count;
}

void xmpp_proxy_ended(struct xmpp_proxy *p)
{
	if (p->draining && !p->n_s2s && p->drained) {
		void (*done)(void *) = p->drained;
		p->drained = NULL;
		done(p->drained_arg);
	}
}

void xmpp_proxy_drain(struct xmpp_proxy *p, void (*done)(void *), void *arg)
{
	p->draining = true;
	p->drained = done;
	p->drained_arg = arg;
	xmpp_proxy_quiesce(p);
	LIST_EACH(n, &p->all_links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, all);
		xmpp_link_halt(l);
		xmpp_link_bounce(l, REASON_SERVER_SHUTDOWN, S("the server is shutting down"));
	}
	LIST_EACH(n, &p->all)
		xmpp_s2s_close(CONTAINER_OF(n, struct s2s, node), "system-shutdown", SLICE_NONE);
	xmpp_proxy_ended(p);
}

/* ---- receipts */

void xmpp_proxy_done(struct xmpp_proxy *p, const struct xmpp_receipt *r)
{
	struct map_node *n = r->number ? map_find(&p->tags, slice_of((const char *)&r->stream, sizeof r->stream)) : NULL;
	if (!n)
		return;
	struct s2s *s = CONTAINER_OF(n, struct s2s, by_tag);
	if (!s->stream) /* nothing came on it: the receipt is made up */
		return;
	xmpp_stream_done(s->stream, r->number);
	xmpp_s2s_settled(s);
}

void xmpp_proxy_abandon(struct xmpp_proxy *p, const char *condition, struct slice text)
{
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (s->stream && xmpp_stream_pending(s->stream))
			xmpp_s2s_close(s, condition, text);
	}
}

/* ---- a look at it */

static void queue_facts(const struct xmpp_link *l, struct xmpp_proxy_facts *f)
{
	struct list *n = list_head((struct list *)(uintptr_t)&l->queue);
	f->queued = l->n_queue;
	f->queued_octets = l->queue_octets;
	f->waiting_ms = n ? l->proxy->loop->timers.now - CONTAINER_OF(n, struct queued, node)->since : 0;
}

void xmpp_proxy_each(struct xmpp_proxy *p, void (*fn)(void *, const struct xmpp_proxy_facts *), void *arg)
{
	LIST_EACH(n, &p->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		struct xmpp_stream_info i = {0};
		if (!s->stream)
			continue;
		xmpp_stream_info(s->stream, &i);
		const struct xmpp_peer *peer =
			i.local.len && i.remote.len ? xmpp_stream_peer(s->stream, i.local, i.remote) : NULL;
		struct xmpp_proxy_facts f = {
			.id = s->id,
			.inbound = s->inbound,
			.purpose = s->purpose,
			.stream = &i,
			.certificate = s->conn ? conn_peer(s->conn) : NULL,
			.heard_ms = p->loop->timers.now - s->heard,
			.state = xmpp_stream_state_text(i.state),
			.local = i.local,
			.remote = i.remote,
			.address = slice_str(s->address),
			.tls = i.tls_protocol,
			.cipher = i.tls_cipher,
			.stanzas_in = i.stanzas_in,
			.stanzas_out = i.stanzas_out,
			.age_ms = p->loop->timers.now - s->since,
			.how = xmpp_s2s_how(s),
			.proof = peer ? slice_str(xmpp_proof_text(xmpp_peer_proof(peer))) : SLICE_NONE,
			.bidi = i.bidi,
			.pending = i.pending,
			.unacked = i.unacked,
		};
		if (s->link)
			queue_facts(s->link, &f);
		if (!s->inbound && !s->started)
			f.state = "connecting";
		if (s->conn) {
			struct conn_facts c;
			conn_show(s->conn, &c);
			f.in_octets = c.in_wire;
			f.out_octets = c.out_wire;
		}
		fn(arg, &f);
	}
	LIST_EACH(n, &p->all_links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, all);
		if (l->s2s || l->state == LINK_IDLE)
			continue;
		uint64_t now = p->loop->timers.now;
		bool connecting = l->state == LINK_RESOLVING && dialer_connecting(l->dialer);
		struct xmpp_proxy_facts f = {
			.purpose = "messages",
			.state = l->state != LINK_RESOLVING ? "backoff" : connecting ? "connecting" : "resolving",
			.retry_ms = l->state == LINK_BACKOFF && l->retry_at > now ? l->retry_at - now : 0,
			.local = slice_str(l->local),
			.remote = slice_str(l->remote),
			.last_error = slice_str(l->err.text),
			.age_ms = p->loop->timers.now - l->since,
		};
		queue_facts(l, &f);
		fn(arg, &f);
	}
}
