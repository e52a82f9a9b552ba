/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP users watching SIP users: each pair has its machine (interwork/xmpp_watcher.h) and, while it runs, one subscription at the
 * home. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/watch.h"

static void collect(struct watch *w);

/* ---- the machine's actions */

static const struct sip_subscriber_ops sub_ops;

static void op_subscribe(void *arg, uint32_t expires)
{
	struct watch *w = arg;
	w->sub = sip_subscriber_free(w->sub);
	watch_turn(w, expires);
}

void watch_ask(struct watch *w)
{
	struct gateway *g = w->g;
	struct gateway_home home;
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct xmpp_jid watcher;
	struct slice from;
	int rc = ENTENTE_ENOTFOUND;
	watch_judge(w);
	if (w->allowed && !xmpp_jid_parse(&watcher, a, w->pair.remote) && !interwork_jid_to_sip(&from, a, &watcher, false, NULL) &&
	    gateway_home(g, w->home, &home)) {
		struct sip_subscriber_config c = {
			.uri = slice_str(w->uri),
			.from = arena_printf(a, "<%.*s>", SFMT(from)),
			.contact = arena_printf(a, "<%.*s>", SFMT(home.contact)),
			.event = S("presence"),
			.accept = S("application/pidf+xml"),
		};
		w->sub = sip_subscriber_new(g->cfg.stack, &c, &sub_ops, w);
		rc = sip_subscriber_start(w->sub, &home.flow, w->expires);
	}
	arena_release(g->cfg.arenas, a);
	if (rc)
		xmpp_watcher_rejected(w->machine, 0, 0);
	else
		metric_add(METRIC_SIP_REQUESTS_OUT, 1);
	if (!rc) {
		record_hop(g->cfg.records, w->record, RECORD_SENT, 0, REASON_NONE);
		gateway_record_home(g, w->record, w->home);
	}
}

static void op_unsubscribe(void *arg)
{
	struct watch *w = arg;
	watch_turn_cancel(w);
	if (!w->sub)
		return;
	if (sip_subscriber_running(w->sub))
		sip_subscriber_stop(w->sub);
}

static void put_attr(struct buf *b, const char *name, struct slice value)
{
	buf_printf(b, " %s='", name);
	xml_escape(b, value);
	buf_putc(b, '\'');
}

static void put_time(struct buf *b, const char *element, struct slice ns, const char *attr, int64_t at)
{
	char t[CLOCK_TEXT];
	clock_text_at(at, t);
	buf_printf(b, "<%s xmlns='%.*s' %s='%s'/>", element, SFMT(ns), attr, t);
}

static void op_stanza(void *arg, enum xmpp_watcher_stanza kind, const struct presence_item *it)
{
	static const char *const type[] = {NULL, "subscribed", "unsubscribed"};
	struct watch *w = arg;
	struct gateway *g = w->g;
	struct buf *b = &g->out;
	char from[PAIR_KEY_MAX], detail[64] = "";
	bool here = it && it->show != PRESENCE_OFFLINE;
	watch_judge(w); /* the policy may have changed since the home was asked; taking back is always allowed */
	if (!w->allowed && (here || kind == XMPP_WATCHER_SUBSCRIBED))
		return;
	if (w->storing && xmpp_watcher_authorised(w->machine)) {
		w->owed = w->owed || kind == XMPP_WATCHER_SUBSCRIBED;
		return;
	}
	const char *t = kind == XMPP_WATCHER_PRESENCE ? (it->show == PRESENCE_OFFLINE ? "unavailable" : NULL) : type[kind];
	size_t n = (size_t)snprintf(from, sizeof from, "%.*s%s%.*s", SFMT(w->pair.local), it && it->resource.len ? "/" : "",
				    it ? (int)it->resource.len : 0, it && it->resource.len ? it->resource.p : "");
	struct slice from_s = slice_of(from, n < sizeof from ? n : sizeof from - 1);
	buf_clear(b);
	buf_puts(b, "<presence");
	put_attr(b, "from", from_s);
	put_attr(b, "to", w->pair.remote);
	if (t)
		put_attr(b, "type", slice_str(t));
	if (kind != XMPP_WATCHER_PRESENCE) {
		buf_puts(b, "/>");
	} else {
		struct slice show = presence_show_text(it->show);
		buf_putc(b, '>');
		if (here && show.len) {
			buf_printf(b, "<show>%.*s</show>", SFMT(show));
			snprintf(detail, sizeof detail, "show=%.*s", SFMT(show));
		}
		for (size_t i = 0; i < it->n_notes && !w->hide_notes; i++) {
			buf_puts(b, "<status");
			if (it->notes[i].lang.len)
				put_attr(b, "xml:lang", it->notes[i].lang);
			buf_putc(b, '>');
			xml_escape(b, it->notes[i].text);
			buf_puts(b, "</status>");
		}
		if (here && it->priority != PRESENCE_NO_PRIORITY)
			buf_printf(b, "<priority>%d</priority>", it->priority);
		if (here)
			buf_printf(b, "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='%.*s' ver='%s'/>",
				   SFMT(g->cfg.service->url), g->cfg.service->caps);
		if (it->stamp)
			put_time(b, "delay", XMPP_NS_DELAY, "stamp", it->stamp);
		if (here && it->idle)
			put_time(b, "idle", XMPP_NS_IDLE, "since", it->idle);
		buf_puts(b, "</presence>");
	}
	gateway_trace_out(jid_domain(w->pair.remote), from_s, w->pair.remote,
			  t ? (kind ? type[kind] : "presence/unavailable") : "presence", slice_str(detail));
	gateway_send_out(g, jid_domain(w->pair.local), jid_domain(w->pair.remote), NULL);
}

static void op_authorise(void *arg, bool authorised)
{
	struct watch *w = arg;
	w->owed = false;
	if (authorised)
		w->storing += w->g->ops->watch_put(w->g->arg, w->pair.remote, w->pair.local);
	else
		w->g->ops->watch_delete(w->g->arg, w->pair.remote, w->pair.local);
	log_ev(LOG_INFO, authorised ? "presence/watcher-authorised" : "presence/watcher-removed", {"watcher", w->pair.remote},
	       {"presentity", w->pair.local});
}

static void op_refresh(void *arg)
{
	struct watch *w = arg;
	if (w->sub)
		sip_subscriber_refresh(w->sub);
}

static void op_ignored(void *arg, const char *why)
{
	struct watch *w = arg;
	log_ev_limited(LOG_WARNING, "presence/document-ignored", w->pair.local, {"watcher", w->pair.remote},
		       {"presentity", w->pair.local}, {"text", slice_str(why)});
}

static const struct xmpp_watcher_ops machine_ops = {
	.subscribe = op_subscribe,
	.unsubscribe = op_unsubscribe,
	.stanza = op_stanza,
	.authorise = op_authorise,
	.refresh = op_refresh,
	.ignored = op_ignored,
};

/* ---- the subscription's events */

static void sub_accepted(void *arg, uint32_t expires)
{
	struct watch *w = arg;
	(void)expires;
	record_hop(w->g->cfg.records, w->record, RECORD_HEARD, 200, REASON_NONE);
	record_end(w->g->cfg.records, w->record, RECORD_DELIVERED, REASON_NONE);
	w->record = 0;
	if (xmpp_watcher_state(w->machine) == XMPP_WATCHER_ACTIVE)
		watch_extended(w);
	xmpp_watcher_accepted(w->machine);
}

static void sub_rejected(void *arg, int status, int64_t retry_after, struct slice reason, bool local)
{
	struct watch *w = arg;
	char z[RECORD_ID_TEXT];
	log_ev_limited(LOG_INFO, "presence/subscribe-refused", w->pair.remote, {"watcher", w->pair.remote},
		       {"presentity", w->pair.local}, {"text", reason}, {"trace", record_id_text(w->record, z)});
	record_hop(w->g->cfg.records, w->record, RECORD_HEARD, local ? 0 : status, local ? REASON_SIP_HOME_UNREACHABLE : REASON_NONE);
	record_end(w->g->cfg.records, w->record, RECORD_FAILED, local ? REASON_SIP_HOME_UNREACHABLE : REASON_NONE);
	w->record = 0;
	xmpp_watcher_rejected(w->machine, local ? 0 : status, retry_after > 0 ? (uint32_t)retry_after : 0);
	collect(w);
}

static int sub_notify(void *arg, const struct sip_notification *n)
{
	static const enum xmpp_watcher_substate state[] = {
		[SIP_SUB_PENDING] = SUBSTATE_PENDING,
		[SIP_SUB_ACTIVE] = SUBSTATE_ACTIVE,
		[SIP_SUB_TERMINATED] = SUBSTATE_TERMINATED,
	};
	struct watch *w = arg;
	struct slice params;
	const struct sip_header *lang = sip_msg_header(n->msg, SIP_H_CONTENT_LANGUAGE, 0);
	struct slice l = lang ? lang->value : SLICE_NONE;
	metric_add(METRIC_SIP_REQUESTS_IN, 1);
	return xmpp_watcher_notify(w->machine, state[n->state], n->reason, n->retry_after > 0 ? (uint32_t)n->retry_after : 0,
				   sip_token(n->content_type, &params), slice_trim(slice_split(&l, ',')), n->body, clock_unix());
}

static void sub_ended(void *arg, enum sip_ended why)
{
	struct watch *w = arg;
	if (why == SIP_ENDED_NO_NOTIFY || why == SIP_ENDED_EXPIRED)
		xmpp_watcher_lost(w->machine);
	collect(w);
}

static const struct sip_subscriber_ops sub_ops = {
	.accepted = sub_accepted, .rejected = sub_rejected, .notify = sub_notify, .ended = sub_ended};

/* ---- records */

struct watch *watch_find(struct gateway *g, struct slice presentity, struct slice watcher)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	struct map_node *n = pair_key(&key, mem, presentity, watcher) ? map_find(&g->watches, key) : NULL;
	return n ? CONTAINER_OF(n, struct watch, pair.node) : NULL;
}

bool watch_authorised(struct gateway *g, struct slice presentity, struct slice watcher)
{
	const struct watch *w = watch_find(g, presentity, watcher);
	return w && xmpp_watcher_authorised(w->machine);
}

static void watch_free(struct watch *w)
{
	later_cancel(&w->gone);
	watch_turn_cancel(w);
	w->g->unreachable -= w->unreachable;
	map_remove(&w->g->watches, &w->pair.node);
	list_remove(&w->mates);
	tally_drop(w->g, TALLY_WATCHER, w->pair.remote);
	tally_drop(w->g, TALLY_PRESENTITY, w->pair.local);
	metric_add(METRIC_SUBSCRIPTIONS_TO_SIP, -1);
	sip_subscriber_free(w->sub);
	xmpp_watcher_free(w->machine);
	mem_free(w->pair.key);
	mem_free(w->uri);
	mem_free(w);
}

static bool useless(const struct watch *w)
{
	return xmpp_watcher_state(w->machine) == XMPP_WATCHER_NONE && !xmpp_watcher_authorised(w->machine) &&
	       (!w->sub || !sip_subscriber_running(w->sub));
}

static void gone_run(struct later *l)
{
	struct watch *w = CONTAINER_OF(l, struct watch, gone);
	if (useless(w))
		watch_free(w);
}

/* Frees a record that says nothing any more, when nobody works on it. */
static void collect(struct watch *w)
{
	if (useless(w))
		gateway_later(w->g, &w->gone);
}

/* What policy says of this pair now; asked once for each policy. */
void watch_judge(struct watch *w)
{
	struct policy_verdict v;
	uint64_t generation = snapshot_generation(gateway_policy(w->g));
	if (w->judged == generation && w->allowed) /* a refusal may end by a contact learned meanwhile */
		return;
	gateway_judge(w->g, POLICY_PRESENCE_STATE, w->pair.local, w->pair.remote, &v);
	w->judged = generation;
	w->allowed = v.allow;
	if (v.allow) {
		w->home = v.home;
		w->hide_notes = v.flags & POLICY_HIDE_NOTE;
	}
}

static struct xmpp_watcher_config rules(const struct gateway *g)
{
	return (struct xmpp_watcher_config){.expires = g->cfg.subscription_expires, .backoff_min_s = 30, .backoff_max_s = 3600,
					    .absence_s = g->cfg.absence_s, .busy_away = g->cfg.busy_away};
}

void watches_rules(struct gateway *g)
{
	struct xmpp_watcher_config c = rules(g);
	size_t i;
	MAP_EACH(n, &g->watches, i)
		xmpp_watcher_set_rules(CONTAINER_OF(n, struct watch, pair.node)->machine, &c);
}

static struct watch *watch_new(struct gateway *g, struct slice presentity, struct slice watcher, bool authorised)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct xmpp_jid local, remote;
	struct slice uri, from;
	struct watch *w = NULL;
	if (g->watches.count >= g->cfg.max_subscriptions || tally_full(g, TALLY_WATCHER, watcher, g->cfg.max_subscriptions_per_user) ||
	    tally_full(g, TALLY_PRESENTITY, presentity, g->cfg.max_subscriptions_per_user)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		metric_refused(REASON_LIMIT_SUBSCRIPTIONS);
		log_ev_limited(LOG_WARNING, "presence/too-many-watchers", watcher, {"watcher", watcher}, {"presentity", presentity});
	} else if (!xmpp_jid_parse(&local, a, presentity) && !xmpp_jid_parse(&remote, a, watcher) &&
		   !interwork_jid_to_sip(&uri, a, &local, false, NULL) && !interwork_jid_to_sip(&from, a, &remote, false, NULL)) {
		struct xmpp_watcher_config c = rules(g);
		w = MEM_NEW(struct watch);
		pair_init(&w->pair, presentity, watcher);
		w->g = g;
		w->gone.run = gone_run;
		w->uri = mem_strndup(uri.p, uri.len);
		watch_judge(w);
		c.hide_notes = w->hide_notes;
		w->machine = xmpp_watcher_new(&machine_ops, w, g->cfg.timers, &c, slice_str(w->uri), authorised);
		map_insert(&g->watches, &w->pair.node, slice_of(w->pair.key, presentity.len + 1 + watcher.len));
		tally_add(g, TALLY_WATCHER, watcher);
		list_append(tally_records(g, TALLY_WATCHER, watcher), &w->mates);
		tally_add(g, TALLY_PRESENTITY, presentity);
		metric_add(METRIC_SUBSCRIPTIONS_TO_SIP, 1);
	}
	arena_release(g->cfg.arenas, a);
	return w;
}

static void bare_presence(struct gateway *g, const struct xmpp_jid *from, const struct xmpp_jid *to, const char *type)
{
	buf_clear(&g->out);
	buf_puts(&g->out, "<presence");
	put_attr(&g->out, "from", from->bare);
	put_attr(&g->out, "to", to->bare);
	put_attr(&g->out, "type", slice_str(type));
	buf_puts(&g->out, "/>");
	gateway_trace_out(to->domain, from->bare, to->bare, type, SLICE_NONE);
	gateway_send_out(g, from->domain, to->domain, NULL);
}

void watch_refuse(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity)
{
	bare_presence(g, presentity, watcher, "unsubscribed");
}

void watch_subscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity)
{
	struct watch *w = watch_find(g, presentity->bare, watcher->bare);
	if (!w)
		w = watch_new(g, presentity->bare, watcher->bare, false);
	if (!w) {
		watch_refuse(g, watcher, presentity);
		gateway_record_told(g, g->record, 0, RECORD_REFUSED, REASON_LIMIT_SUBSCRIPTIONS);
		return;
	}
	watch_judge(w);
	w->record = g->record;
	xmpp_watcher_set_hide_notes(w->machine, w->hide_notes);
	watch_heard(w);
	w->eager = true;
	if (xmpp_watcher_authorised(w->machine)) /* it has it already: said again, the home is not asked */
		gateway_record_told(g, g->record, 0, RECORD_DELIVERED, REASON_NONE);
	xmpp_watcher_subscribe(w->machine);
	w->eager = false;
	collect(w);
}

void watch_probe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity)
{
	struct watch *w = watch_find(g, presentity->bare, watcher->bare);
	bool known = w != NULL;
	/* Of somebody whom the presentity knows itself the home is asked, once (RFC 8048 7.1): that our record is lost is no reason to empty
	 * the watcher's roster. */
	if (!w && contact_known(g, presentity->bare, watcher->bare))
		w = watch_new(g, presentity->bare, watcher->bare, false);
	if (!w) {
		watch_refuse(g, watcher, presentity); /* RFC 6121 4.3.2 */
		return;
	}
	watch_judge(w);
	w->eager = true;
	watch_heard(w);
	xmpp_watcher_set_hide_notes(w->machine, w->hide_notes);
	if (known)
		xmpp_watcher_probe(w->machine);
	else
		xmpp_watcher_poll(w->machine);
	w->eager = false;
	collect(w);
}

void gateway_stored(struct gateway *g, struct slice watcher, struct slice presentity)
{
	struct watch *w = watch_find(g, presentity, watcher);
	if (!w || !w->storing || --w->storing || !xmpp_watcher_authorised(w->machine))
		return;
	if (w->owed)
		op_stanza(w, XMPP_WATCHER_SUBSCRIBED, NULL);
	w->owed = false;
	xmpp_watcher_announce(w->machine); /* what was held back: only the last of it counts */
}

void watch_unsubscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity)
{
	struct watch *w = watch_find(g, presentity->bare, watcher->bare);
	if (!w)
		return;
	xmpp_watcher_unsubscribe(w->machine);
	collect(w);
}

void gateway_load_watch(struct gateway *g, struct slice watcher, struct slice presentity, uint64_t resume_ms)
{
	struct watch *w = watch_find(g, presentity, watcher) ? NULL : watch_new(g, presentity, watcher, true);
	if (!w)
		return;
	w->barred = !w->allowed; /* the partner may be allowed again */
	if (w->allowed && resume_ms != GATEWAY_RESUME)
		xmpp_watcher_resume(w->machine, resume_ms);
	else
		xmpp_watcher_sleep(w->machine, false);
}

void watches_recheck(struct gateway *g)
{
	enum { PACE_MS = 50 };
	uint64_t resume_ms = 0;
	size_t i;
	MAP_EACH(n, &g->watches, i) {
		struct watch *w = CONTAINER_OF(n, struct watch, pair.node);
		watch_judge(w);
		if (w->allowed) {
			xmpp_watcher_set_hide_notes(w->machine, w->hide_notes);
			if (w->barred && xmpp_watcher_state(w->machine) == XMPP_WATCHER_DORMANT)
				xmpp_watcher_resume(w->machine, resume_ms += PACE_MS);
			w->barred = false;
			continue;
		}
		w->barred = true;
		/* The authorisation is kept: a partner that comes back finds its contacts. Where a stream is still open the watcher
		 * sees the SIP user go; the edge opens none for this. */
		xmpp_watcher_sleep(w->machine, true);
		collect(w);
	}
}

void watches_link(struct gateway *g, struct slice local_domain, struct slice remote_domain)
{
	size_t i;
	MAP_EACH(n, &g->watches, i) {
		struct watch *w = CONTAINER_OF(n, struct watch, pair.node);
		if (slice_eq(jid_domain(w->pair.remote), remote_domain) && slice_eq(jid_domain(w->pair.local), local_domain))
			xmpp_watcher_announce(w->machine);
	}
	watches_wake(g, local_domain, remote_domain);
}

void gateway_each_subscription(struct gateway *g, void (*fn)(void *, const struct gateway_subscription_facts *), void *arg)
{
	size_t i;
	MAP_EACH(n, &g->watches, i) {
		struct watch *w = CONTAINER_OF(n, struct watch, pair.node);
		const struct presence_set *set = xmpp_watcher_presence(w->machine);
		const struct presence_item *best = presence_set_best(set);
		struct gateway_subscription_facts f = {
			.to_sip = true,
			.watcher = w->pair.remote,
			.presentity = w->pair.local,
			.state = xmpp_watcher_state_name(xmpp_watcher_state(w->machine)),
			.dialogs = w->sub && sip_subscriber_running(w->sub),
			.resources = (unsigned)set->count,
		};
		if (best)
			f.show = best->show == PRESENCE_AVAILABLE ? S("available") : presence_show_text(best->show);
		fn(arg, &f);
	}
	outs_each(g, fn, arg);
}

void watches_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->watches, i)
		watch_free(CONTAINER_OF(n, struct watch, pair.node));
	map_free(&g->watches);
}
