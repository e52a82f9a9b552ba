/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/groupchat.h"
#include "gateway/queue.h"
#include "gateway/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/receipts.h"
#include "gateway/suspects.h"
#include "sip/options.h"

/* ---- pairs */

bool pair_key(struct slice *ret, char dst[PAIR_KEY_MAX], struct slice local, struct slice remote)
{
	if (local.len + remote.len + 1 > PAIR_KEY_MAX)
		return false;
	memcpy(dst, local.p, local.len);
	dst[local.len] = '\0';
	memcpy(dst + local.len + 1, remote.p, remote.len);
	*ret = slice_of(dst, local.len + 1 + remote.len);
	return true;
}

void pair_init(struct pair *p, struct slice local, struct slice remote)
{
	p->key = mem_calloc(1, local.len + remote.len + 2);
	memcpy(p->key, local.p, local.len);
	memcpy(p->key + local.len + 1, remote.p, remote.len);
	p->local = slice_of(p->key, local.len);
	p->remote = slice_of(p->key + local.len + 1, remote.len);
}

struct slice jid_domain(struct slice bare)
{
	ptrdiff_t at = slice_find_chr(bare, '@');
	return at < 0 ? bare : slice_skip(bare, (size_t)at + 1);
}

/* ---- policy */

static struct slice ascii(struct arena *a, struct slice domain)
{
	struct slice out;
	return xmpp_domain_ascii(a, domain, &out) == 0 ? out : domain;
}

struct snapshot *gateway_policy(struct gateway *g)
{
	struct snapshot *s = snapshot_reader_get(&g->policy);
	if (snapshot_generation(s) != g->generation)
		gateway_later(g, &g->recheck);
	return s;
}

static void decide(struct gateway *g, struct arena *a, enum policy_kind kind, enum policy_direction dir,
		   const struct xmpp_jid *from, const struct xmpp_jid *to, struct slice peer, uint32_t peer_home, bool recorded,
		   struct policy_verdict *ret)
{
	const struct xmpp_jid *local = dir == POLICY_TO_LOCAL ? to : from, *remote = dir == POLICY_TO_LOCAL ? from : to;
	struct policy_question q = {
		.kind = kind,
		.direction = dir,
		.from = {from->local, ascii(a, from->domain)},
		.to = {to->local, ascii(a, to->domain)},
		.peer = peer.len ? ascii(a, peer) : SLICE_NONE,
		.peer_home = peer_home == UINT32_MAX ? 0 : peer_home + 1,
		.has_contact = contact_known(g, local->bare, remote->bare) ? POLICY_CONTACT_YES : POLICY_CONTACT_NO,
	};
	struct snapshot *s = gateway_policy(g);
	policy_decide(s, &q, ret);
	if (recorded)
		gateway_record_verdict(g, from->bare, to->bare, &q, ret, snapshot_generation(s));
}

void gateway_decide(struct gateway *g, struct arena *a, enum policy_kind kind, enum policy_direction dir,
		    const struct xmpp_jid *from, const struct xmpp_jid *to, struct slice peer, uint32_t peer_home,
		    struct policy_verdict *ret)
{
	char z[RECORD_ID_TEXT];
	decide(g, a, kind, dir, from, to, peer, peer_home, true, ret);
	metric_decided((int)ret->reason);
	if (!ret->allow) {
		metric_refused((int)ret->reason);
		log_ev_limited(LOG_INFO, "policy/refused", from->bare, {"kind", slice_str(policy_kind_name(kind))}, {"from", from->bare},
			       {"to", to->bare}, {"reason", slice_str(reason_info(ret->reason)->id)},
		       {"text", slice_str(reason_info(ret->reason)->text)}, {"trace", record_id_text(g->record, z)});
	}
}

void gateway_judge(struct gateway *g, enum policy_kind kind, struct slice local, struct slice remote, struct policy_verdict *ret)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct xmpp_jid l, r;
	*ret = (struct policy_verdict){.reason = REASON_ADDRESS_MALFORMED, .home = UINT32_MAX};
	if (!xmpp_jid_parse(&l, a, local) && !xmpp_jid_parse(&r, a, remote))
		decide(g, a, kind, POLICY_TO_REMOTE, &l, &r, SLICE_NONE, UINT32_MAX, false, ret);
	arena_release(g->cfg.arenas, a);
}

void gateway_recheck(struct gateway *g)
{
	g->generation = snapshot_generation(snapshot_reader_get(&g->policy));
	watches_recheck(g);
	outs_recheck(g);
	sessions_recheck(g);
}

static void recheck_run(struct later *l)
{
	gateway_recheck(CONTAINER_OF(l, struct gateway, recheck));
}

/* ---- the next turn */

void gateway_later(struct gateway *g, struct later *l)
{
	if (list_linked(&l->node))
		return;
	list_append(&g->later, &l->node);
	if (!timer_armed(&g->later_timer))
		timer_arm(g->cfg.timers, &g->later_timer, 0);
}

static void later_fired(struct timer *t, uint64_t now)
{
	struct gateway *g = CONTAINER_OF(t, struct gateway, later_timer);
	struct list todo; /* what comes up meanwhile is for the turn after this */
	(void)now;
	list_init(&todo);
	for (struct list *n; (n = list_head(&g->later));) {
		list_remove(n);
		list_append(&todo, n);
	}
	for (struct list *n; (n = list_head(&todo));) {
		struct later *l = CONTAINER_OF(n, struct later, node);
		list_remove(n);
		l->run(l);
	}
}

/* ---- stanzas out */

void gateway_trace_out(struct slice partner, struct slice from, struct slice to, const char *what, struct slice detail)
{
	log_tr("trace/xmpp-out", {"peer", partner}, {"from", from}, {"to", to}, {"what", slice_str(what)}, {"detail", detail});
}

static void trace_node(const char *id, const struct xml_node *n, struct slice partner)
{
	char what[96], detail[200] = "";
	if (!log_trace_enabled())
		return;
	struct slice type = xml_attr(n, S("type"));
	const struct xml_node *show = xml_child(n, S("show"), SLICE_NONE);
	snprintf(what, sizeof what, "%.*s%s%.*s", SFMT(n->name), type.len ? "/" : "", SFMT(slice_first(type, 32)));
	if (show && show->first)
		snprintf(detail, sizeof detail, "show=%.*s", SFMT(slice_first(show->first->text, 20)));
	if (xml_child(n, S("error"), SLICE_NONE)) {
		const struct xml_node *e = xml_child(n, S("error"), SLICE_NONE);
		for (const struct xml_node *c = e->first; c; c = c->next)
			if (c->name.p && !slice_eq(c->name, S("text"))) {
				snprintf(detail, sizeof detail, "%.*s", SFMT(slice_first(c->name, 60)));
				break;
			}
	}
	log_tr(id, {"peer", partner}, {"from", xml_attr(n, S("from"))}, {"to", xml_attr(n, S("to"))}, {"what", slice_str(what)},
	       {"detail", slice_str(detail)});
}

void gateway_send_out(struct gateway *g, struct slice local_domain, struct slice remote_domain, const struct gateway_ticket *t)
{
	static const struct gateway_ticket none;
	if (!buf_ok(&g->out)) {
		log_ev_limited(LOG_WARNING, "xmpp/stanza-too-large", remote_domain, {"partner", remote_domain});
		if (t)
			gateway_sent(g, t, REASON_LIMIT_SIZE, SLICE_NONE);
		return;
	}
	g->ops->xmpp_send(g->arg, local_domain, remote_domain, buf_slice(&g->out), t ? t : &none);
}

static void send_node(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain,
		      const struct gateway_ticket *t)
{
	trace_node("trace/xmpp-out", n, remote_domain);
	buf_clear(&g->out);
	xml_write(&g->out, n, XMPP_NS_SERVER);
	gateway_send_out(g, local_domain, remote_domain, t);
}

void gateway_send_node(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain)
{
	if (n)
		send_node(g, n, local_domain, remote_domain, NULL);
}

/* ---- when a stanza is done */

struct answer {
	struct map_node node; /* key: id */
	uint64_t id;
	struct xmpp_receipt receipt;
};

void gateway_done(struct gateway *g, struct xmpp_receipt *r)
{
	struct xmpp_receipt copy = *r;
	r->number = 0;
	if (!copy.number) /* it was given on, and its place with it */
		return;
	suspects_leave(g, &copy.place);
	g->ops->stanza_done(g->arg, &copy);
}

void gateway_answer(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain,
		    struct xmpp_receipt *r)
{
	if (!n || !r->number) {
		gateway_send_node(g, n, local_domain, remote_domain);
		gateway_done(g, r);
		return;
	}
	struct answer *w = MEM_NEW(struct answer);
	w->id = ++g->next_id;
	w->receipt = *r;
	r->number = 0;
	map_insert(&g->answers, &w->node, slice_of((const char *)&w->id, sizeof w->id));
	struct gateway_ticket t = {.kind = TICKET_ANSWER, .tell_sent = true, .repeat = true, .id = w->id};
	send_node(g, n, local_domain, remote_domain, &t);
}

/* One that could not be sent cannot be sent later either. */
static void answer_sent(struct gateway *g, uint64_t id)
{
	struct map_node *n = map_find(&g->answers, slice_of((const char *)&id, sizeof id));
	if (!n)
		return;
	struct answer *w = CONTAINER_OF(n, struct answer, node);
	map_remove(&g->answers, n);
	gateway_done(g, &w->receipt);
	mem_free(w);
}

static void answers_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->answers, i)
		mem_free(CONTAINER_OF(n, struct answer, node));
	map_free(&g->answers);
}

void gateway_bounce(struct gateway *g, const struct xml_node *stanza, enum reason reason, struct slice detail,
		    struct slice local_domain, struct slice remote_domain, struct xmpp_receipt *r)
{
	struct arena *a = arena_acquire(g->cfg.arenas); /* the stanza's own may be what is exhausted */
	gateway_answer(g, interwork_error_from_reason(a, stanza, reason, detail, &g->cfg.errors), local_domain, remote_domain, r);
	arena_release(g->cfg.arenas, a);
}

/* ---- SIP in */

void gateway_refusal(struct gateway *g, struct sip_answer *ret, struct sip_extra *extra, struct arena *a, enum reason reason,
		     const struct interwork_response *more)
{
	struct interwork_response r;
	size_t n = 0;
	interwork_response_from_reason(&r, a, reason, &g->cfg.errors);
	for (size_t i = 0; i < r.n_headers; i++)
		extra[n++] = (struct sip_extra){r.headers[i].name, r.headers[i].value};
	for (size_t i = 0; more && i < more->n_headers; i++)
		extra[n++] = (struct sip_extra){more->headers[i].name, more->headers[i].value};
	*ret = (struct sip_answer){.status = r.status, .reason = r.phrase, .headers = extra, .n_headers = n};
}

void gateway_refuse(struct gateway *g, struct sip_server_trans *st, struct arena *a, enum reason reason,
		    const struct interwork_response *more, struct slice from, struct slice to)
{
	struct sip_extra extra[REFUSAL_HEADERS];
	struct sip_answer ans;
	char z[RECORD_ID_TEXT];
	if (!st)
		return;
	gateway_refusal(g, &ans, extra, a, reason, more);
	log_ev_limited(LOG_INFO, "sip/refused", from, {"method", sip_method_name(sip_server_method(st))}, {"from", from}, {"to", to},
	       {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(reason_info(reason)->text)},
	       {"trace", record_id_text(sip_server_record(st), z)});
	gateway_record_told(g, sip_server_record(st), ans.status, RECORD_REFUSED, reason);
	sip_server_respond(st, &ans);
}

/* Belongs it to a dialog that we do not know? Some clients of page mode write a To tag, too: then it is addressed to the user whom its To
 * names; one in a dialog is addressed to our Contact. */
static bool lost(const struct sip_msg *m, struct arena *a)
{
	struct xmpp_jid uri, to;
	if (m->method == SIP_NOTIFY)
		return true;
	if (!m->to.tag.len || m->method != SIP_MESSAGE)
		return m->to.tag.len > 0;
	return interwork_sip_to_jid(&uri, a, &m->uri, NULL) || interwork_sip_to_jid(&to, a, &m->to.uri, NULL) || !slice_eq(uri.bare, to.bare);
}

void gateway_request(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		     const struct sip_flow *from)
{
	static const struct sip_options_config options = {
		.allow = S(INTERWORK_ALLOW),
		.accept = S("text/plain, message/cpim, multipart/alternative, application/pidf+xml, application/sdp"),
		.allow_events = S("presence"),
	};
	metric_add(METRIC_SIP_REQUESTS_IN, 1);
	if (!st)
		goto out;
	if (m->method == SIP_OPTIONS) {
		sip_options_answer(st, &options);
		goto out;
	}
	gateway_record_request(g, st, m, from);
	if (from->conn != SIP_FLOW_TEST)
		gateway_home_heard(g, from->target, m);
	if (lost(m, a)) {
		gateway_refuse(g, st, a, REASON_SIP_NO_DIALOG, NULL, m->from.uri_text, m->uri_text);
	} else if (m->method == SIP_MESSAGE) {
		suspects_request(g, st, m, a, from);
	} else if (m->method == SIP_SUBSCRIBE) {
		out_subscribe(g, st, m, a, from);
	} else if (m->method == SIP_INVITE) {
		session_invited(g, st, m, a, from);
	} else if (m->method == SIP_REFER) {
		groupchat_referred(g, st, m, a, from);
	} else {
		gateway_refuse(g, st, a, REASON_SIP_METHOD, NULL, m->from.uri_text, m->uri_text);
	}
out:
	g->record = 0;
	arena_release(g->cfg.arenas, a);
}

bool gateway_local_user(struct slice *ret, struct arena *a, const struct sip_msg *m, bool from_home)
{
	struct xmpp_jid j;
	if (interwork_sip_to_jid(&j, a, from_home ? &m->from.uri : &m->to.uri, NULL))
		return false;
	*ret = j.bare;
	return true;
}

/* ---- XMPP in */

/* Whoever has changed its presence may have moved to another device (RFC 6121 5.1). */
static void unlock(struct gateway *g, const struct stanza *st)
{
	struct conversation *c = conversation_find(g, st->to.bare, st->from.bare);
	if (c)
		conversation_lock(c, SLICE_NONE);
}

static void presence(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a)
{
	struct policy_verdict v;
	struct slice remote = xmpp_peer_remote(peer);
	if (!st->to.local.len)
		return; /* presence to the domain itself means nothing here */
	switch (st->type) {
	case STANZA_TYPE_SUBSCRIBE:
		gateway_decide(g, a, POLICY_PRESENCE_SUBSCRIBE, POLICY_TO_LOCAL, &st->from, &st->to, remote, UINT32_MAX, &v);
		if (v.allow)
			watch_subscribe(g, &st->from, &st->to);
		else
			watch_refuse(g, &st->from, &st->to);
		if (!v.allow)
			gateway_record_told(g, g->record, 0, RECORD_REFUSED, v.reason);
		break;
	case STANZA_TYPE_PROBE:
		gateway_decide(g, a, POLICY_PRESENCE_PROBE, POLICY_TO_LOCAL, &st->from, &st->to, remote, UINT32_MAX, &v);
		if (v.allow)
			watch_probe(g, &st->from, &st->to);
		break;
	case STANZA_TYPE_UNSUBSCRIBE:
		watch_unsubscribe(g, &st->from, &st->to);
		break;
	default:
		gateway_decide(g, a, POLICY_PRESENCE_STATE, POLICY_TO_LOCAL, &st->from, &st->to, remote, UINT32_MAX, &v);
		unlock(g, st);
		if (v.allow && st->type == STANZA_TYPE_ERROR)
			watch_error(g, st->node, a, st->from.bare);
		if (v.allow)
			out_presence(g, st, a);
		break;
	}
}

static void iq(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a)
{
	struct xmpp_service_contact c = {0};
	struct policy_verdict v;
	if (st->type != STANZA_TYPE_GET && st->type != STANZA_TYPE_SET)
		return;
	if (st->to.local.len) {
		gateway_decide(g, a, POLICY_IQ, POLICY_TO_LOCAL, &st->from, &st->to, xmpp_peer_remote(peer), UINT32_MAX, &v);
		c.visible = v.allow;
		c.name = name_of(g, st->to.bare);
	}
	gateway_send_node(g, xmpp_service_answer(g->cfg.service, a, st->node, &st->to, &c), xmpp_peer_local(peer),
			  xmpp_peer_remote(peer));
}

void gateway_stanza(struct gateway *g, struct xmpp_stanza *in)
{
	struct stanza st = {.node = in->node,
			    .kind = stanza_kind(in->node),
			    .type = stanza_type(in->node),
			    .id = stanza_id(in->node),
			    .from_text = stanza_from(in->node),
			    .to_text = stanza_to(in->node),
			    .from = in->from,
			    .to = in->to};
	trace_node("trace/xmpp-in", in->node, xmpp_peer_remote(in->peer));
	gateway_record_stanza(g, &st, in->peer);
	switch (st.kind) {
	case STANZA_MESSAGE:
		if (suspects_stanza(g, &st, in))
			return;
		message_from_xmpp(g, &st, in->peer, in->arena, &in->receipt);
		g->record = 0;
		return; /* the arena went with it, and `in` may lie there */
	case STANZA_PRESENCE:
		presence(g, &st, in->peer, in->arena);
		break;
	case STANZA_IQ:
		iq(g, &st, in->peer, in->arena);
		break;
	case STANZA_NONE:
		break;
	}
	g->record = 0;
	gateway_done(g, &in->receipt);
	arena_release(g->cfg.arenas, in->arena);
}

struct undelivered {
	struct later later;
	struct gateway *g;
	struct gateway_ticket ticket;
	enum reason reason;
};

/* A stanza may be refused while its sender is still at work on the same record. */
static void undelivered_run(struct later *l)
{
	struct undelivered *u = CONTAINER_OF(l, struct undelivered, later);
	if (u->ticket.kind == TICKET_PROBE)
		watch_asked(u->g, &u->ticket, u->reason);
	else
		out_sent(u->g, &u->ticket, u->reason);
	mem_free(u);
}

static void undelivered_drop(struct later *l)
{
	mem_free(CONTAINER_OF(l, struct undelivered, later));
}

void gateway_handed(struct gateway *g, const struct gateway_ticket *t, bool acks)
{
	if (t->kind == TICKET_TEXT)
		queue_handed(g, t, acks);
}

void gateway_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why)
{
	if (t->kind == TICKET_MESSAGE || t->kind == TICKET_MESSAGE_INVITE || t->kind == TICKET_MESSAGE_MSRP) {
		message_sent(g, t, reason, why);
	} else if (t->kind == TICKET_TEXT) {
		queue_sent(g, t, reason, why);
	} else if (t->kind == TICKET_ANSWER) {
		answer_sent(g, t->id);
	} else if (t->kind == TICKET_PROBE) {
		struct undelivered *u = MEM_NEW(struct undelivered);
		*u = (struct undelivered){
			.later = {.run = undelivered_run, .drop = undelivered_drop}, .g = g, .ticket = *t, .reason = reason};
		gateway_later(g, &u->later);
	} else if (t->kind == TICKET_PRESENCE && t->id && reason != REASON_NONE && reason != REASON_SERVER_SHUTDOWN &&
		   reason != REASON_LINK_DOWN) {
		/* after a restart, and when the edge is back, the request is made again by itself */
		struct undelivered *u = MEM_NEW(struct undelivered);
		*u = (struct undelivered){
			.later = {.run = undelivered_run, .drop = undelivered_drop}, .g = g, .ticket = *t, .reason = reason};
		gateway_later(g, &u->later);
	}
}

void gateway_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up)
{
	partner_link(g, local_domain, remote_domain, up);
	if (up)
		queue_link(g, local_domain, remote_domain);
}

void gateway_links(struct gateway *g, bool up, bool (*ours)(void *, struct slice), void *arg)
{
	partners_links(g, up, ours, arg);
	if (up)
		queue_pump(g, NULL);
}

void gateway_load_seen(struct gateway *g, struct slice records)
{
	seen_load(g->seen, records);
}

void gateway_set(struct gateway *g, const struct gateway_config *cfg)
{
	struct gateway_config *c = &g->cfg;
	c->im = cfg->im;
	c->errors = cfg->errors;
	c->signals = cfg->signals;
	c->subscription_expires = cfg->subscription_expires;
	c->subscription_minimum = cfg->subscription_minimum;
	c->notify_interval_ms = cfg->notify_interval_ms;
	c->subscribe_rate = cfg->subscribe_rate;
	c->busy_away = cfg->busy_away;
	c->absence_s = cfg->absence_s;
	c->watcher_probe_s = cfg->watcher_probe_s;
	c->max_subscriptions = cfg->max_subscriptions;
	c->max_subscriptions_per_user = cfg->max_subscriptions_per_user;
	c->max_contacts_per_user = cfg->max_contacts_per_user;
	c->max_sessions_per_user = cfg->max_sessions_per_user;
	c->max_queue_octets = cfg->max_queue_octets;
	c->queue_lifetime_s = cfg->queue_lifetime_s;
	c->queue_keep = cfg->queue_keep;
	c->max_msrp_message = cfg->max_msrp_message;
	c->group_notice = cfg->group_notice;
	buf_free(&g->out);
	buf_init(&g->out, c->im.max_stanza);
	watches_rules(g);
}

/* ---- life */

struct gateway *gateway_new(const struct gateway_config *cfg, const struct gateway_ops *ops, void *arg)
{
	struct gateway *g = MEM_NEW(struct gateway);
	g->cfg = *cfg;
	g->ops = ops;
	g->arg = arg;
	snapshot_reader_init(&g->policy, cfg->policy);
	map_init(&g->tallies);
	map_init(&g->names);
	map_init(&g->conversations);
	list_init(&g->recent);
	list_init(&g->tracked);
	list_init(&g->tracked_free);
	list_init(&g->later);
	list_init(&g->sessions);
	msrp_start(g);
	timer_init(&g->later_timer, later_fired);
	g->recheck.run = recheck_run;
	g->generation = snapshot_generation(snapshot_reader_get(&g->policy));
	map_init(&g->targets);
	struct seen_config seen = {.timers = cfg->timers, .put = ops->seen_put, .purge = ops->seen_purge, .arg = arg,
				   .secret = {cfg->seen_secret[0], cfg->seen_secret[1]}};
	g->seen = seen_new(&seen);
	g->suspects = suspects_new(cfg->under_way);
	queue_init(g);
	map_init(&g->held);
	map_init(&g->held_ids);
	map_init(&g->watches);
	map_init(&g->asked);
	turns_init(g);
	map_init(&g->outs);
	map_init(&g->out_ids);
	map_init(&g->partners);
	map_init(&g->answers);
	buf_init(&g->out, cfg->im.max_stanza);
	return g;
}

struct gateway *gateway_free(struct gateway *g)
{
	if (!g)
		return NULL;
	timer_cancel(g->cfg.timers, &g->later_timer);
	partners_free(g);
	outs_free(g);
	watches_free(g);
	turns_free(g);
	later_cancel(&g->recheck);
	LIST_EACH(n, &g->later) { /* sessions take theirs away below */
		struct later *l = CONTAINER_OF(n, struct later, node);
		if (l->drop)
			l->drop(l);
	}
	messages_free(g);
	msrp_stop(g);
	receipts_free(g);
	seen_free(g->seen);
	suspects_free(g->suspects);
	answers_free(g);
	contacts_free(g);
	names_free(g);
	tallies_free(g);
	timer_cancel(g->cfg.timers, &g->later_timer);
	snapshot_reader_destroy(&g->policy);
	buf_free(&g->out);
	return mem_free(g);
}
