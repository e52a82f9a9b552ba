/* SPDX-License-Identifier: Apache-2.0 */
/* SIP users watching XMPP users: each pair has its machine (interwork/sip_watcher.h), shared by the dialogs of the watcher's
 * devices. Dialogs are saved, so that after a restart they go on without the watchers noticing. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/session_int.h"

enum { MAX_DIALOGS = 16, ID_LEN = 20, RETRY_S = 300, MAX_DOCUMENT = 65536 };

struct out_pair {
	struct pair pair; /* first: local = watcher (our user), remote = the XMPP contact */
	struct map_node by_id;
	uint64_t id;      /* for tickets */
	struct gateway *g;
	struct sip_watcher *machine;
	enum watch_presence contact; /* what was last said of it to the other direction */
	uint32_t home;       /* of the watcher; UINT32_MAX: unknown */
	struct list dialogs; /* of struct out_dialog */
	size_t n_dialogs;
	struct later gone;
};

struct out_dialog {
	struct list node;
	struct out_pair *pair;
	struct sip_notifier *n; /* NULL: it has ended */
	bool poll;
	bool saved, saved_active; /* there is a record, and what it says */
	bool restored;            /* the record's CSeq was used before: the next restart needs a later one */
	char id[ID_LEN + 1];    /* of the stored record */
	struct later gone;
};

/* ---- the machine's actions */

static void op_stanza(void *arg, enum sip_watcher_stanza kind)
{
	static const char *const type[] = {"subscribe", "probe", "unavailable"};
	static const char *const what[] = {"presence/subscribe", "presence/probe", "presence/unavailable"};
	struct out_pair *p = arg;
	struct gateway *g = p->g;
	struct gateway_ticket t = {.kind = TICKET_PRESENCE, .repeat = true, .id = kind == SIP_WATCHER_SUBSCRIBE ? p->id : 0};
	buf_clear(&g->out);
	buf_puts(&g->out, "<presence from='");
	xml_escape(&g->out, p->pair.local);
	buf_puts(&g->out, "' to='");
	xml_escape(&g->out, p->pair.remote);
	buf_printf(&g->out, "' type='%s'", type[kind]);
	struct slice name = name_of(g, p->pair.local);
	if (kind == SIP_WATCHER_SUBSCRIBE && name.len) { /* whoever is asked sees who asks (XEP-0172); nobody else needs it */
		buf_printf(&g->out, "><nick xmlns='%.*s'>", SFMT(XMPP_NS_NICK));
		xml_escape(&g->out, name);
		buf_puts(&g->out, "</nick></presence>");
	} else {
		buf_puts(&g->out, "/>");
	}
	gateway_trace_out(jid_domain(p->pair.remote), p->pair.local, p->pair.remote, what[kind], SLICE_NONE);
	gateway_send_out(g, jid_domain(p->pair.local), jid_domain(p->pair.remote), &t);
}

static void set_dialog(struct out_dialog *d)
{
	if (d->n)
		sip_notifier_set(d->n, sip_watcher_active(d->pair->machine) ? SIP_SUB_ACTIVE : SIP_SUB_PENDING, SLICE_NONE, SLICE_NONE);
}

/* Who unsubscribes is left with "closed", as far as it has seen anything (RFC 8048 5.3.3). */
static void n_document(void *arg, bool last, struct sip_notifier_document *ret, struct buf *b)
{
	struct out_dialog *d = arg;
	struct sip_watcher *w = d->pair->machine;
	struct gateway_home home;
	struct buf doc; /* of a size that homes take: a larger one loses its notes */
	if (!d->poll && !sip_watcher_active(w))
		return;
	gateway_home(d->pair->g, d->pair->home, &home);
	sip_watcher_set_flavour(w, home.dialect->presence);
	buf_init(&doc, MAX_DOCUMENT);
	if (last && !d->poll)
		sip_watcher_body_closed(w, &doc);
	else
		sip_watcher_body(w, &doc);
	buf_put(b, buf_slice(&doc));
	buf_free(&doc);
	*ret = (struct sip_notifier_document){S("application/pidf+xml"), last ? SLICE_NONE : sip_watcher_language(w)};
}

/* The record says what a restart needs, not the state: it changes with the dialog's life only. */
static void save(struct out_dialog *d)
{
	struct out_pair *p = d->pair;
	struct buf b;
	int64_t now = clock_unix();
	if (!d->n)
		return;
	d->saved = true;
	d->restored = false;
	d->saved_active = sip_watcher_active(p->machine);
	buf_init(&b, 32768);
	buf_puts(&b, d->saved_active ? "active\n" : "pending\n");
	sip_notifier_save(d->n, now, &b);
	if (buf_ok(&b))
		p->g->ops->dialog_put(p->g->arg, slice_str(d->id), p->pair.local, p->pair.remote, buf_slice(&b),
				      now + sip_notifier_remaining(d->n));
	buf_free(&b);
}

/* Whether the contact, who may watch our user in turn, is there to look. */
static void attend(struct out_pair *p)
{
	enum watch_presence now = sip_watcher_contact_gone(p->machine) ? WATCH_ABSENT
				  : presence_set_best(sip_watcher_presence(p->machine)) ? WATCH_THERE : WATCH_UNKNOWN;
	if (now == p->contact)
		return;
	p->contact = now;
	watch_absent(p->g, p->pair.local, p->pair.remote, now);
}

static void op_notify(void *arg, bool active)
{
	struct out_pair *p = arg;
	attend(p);
	LIST_EACH(n, &p->dialogs) {
		struct out_dialog *d = CONTAINER_OF(n, struct out_dialog, node);
		if (d->poll)
			continue;
		set_dialog(d);
		if (!d->saved || d->saved_active != active || d->restored)
			save(d);
	}
}

static void dialog_free(struct later *l)
{
	mem_free(CONTAINER_OF(l, struct out_dialog, gone));
}

/* The dialog has ended. Its memory stays until nobody can be working with it. */
static void dialog_drop(struct out_dialog *d)
{
	struct gateway *g = d->pair->g;
	list_remove(&d->node);
	d->pair->n_dialogs--;
	d->n = NULL;
	if (d->saved)
		g->ops->dialog_delete(g->arg, slice_str(d->id));
	d->gone.run = d->gone.drop = dialog_free;
	gateway_later(g, &d->gone);
}

static void op_terminate(void *arg, struct slice reason, uint32_t retry_after)
{
	struct out_pair *p = arg;
	log_ev(LOG_INFO, "presence/subscription-ended", {"watcher", p->pair.local}, {"presentity", p->pair.remote},
	       {"text", reason});
	LIST_EACH(n, &p->dialogs) {
		struct out_dialog *d = CONTAINER_OF(n, struct out_dialog, node);
		if (d->poll)
			continue;
		sip_notifier_terminate(d->n, reason, retry_after ? (int64_t)retry_after : -1, SLICE_NONE, SLICE_NONE);
		dialog_drop(d);
	}
	gateway_later(p->g, &p->gone);
}

static void op_polled(void *arg)
{
	struct out_pair *p = arg;
	LIST_EACH(n, &p->dialogs) {
		struct out_dialog *d = CONTAINER_OF(n, struct out_dialog, node);
		if (d->poll) {
			sip_notifier_set(d->n, SIP_SUB_ACTIVE, SLICE_NONE, SLICE_NONE);
			dialog_drop(d);
		}
	}
	gateway_later(p->g, &p->gone); /* the machine is idle only after this */
}

static void op_ignored(void *arg, const char *why)
{
	struct out_pair *p = arg;
	log_ev_limited(LOG_INFO, "presence/note-cut", p->pair.remote, {"watcher", p->pair.local}, {"presentity", p->pair.remote},
		       {"text", slice_str(why)});
}

static const struct sip_watcher_ops machine_ops = {
	.stanza = op_stanza, .notify = op_notify, .terminate = op_terminate, .polled = op_polled, .ignored = op_ignored};

/* ---- pairs */

static struct out_pair *pair_find(struct gateway *g, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	struct map_node *n = pair_key(&key, mem, local, remote) ? map_find(&g->outs, key) : NULL;
	return n ? CONTAINER_OF(n, struct out_pair, pair.node) : NULL;
}

static void pair_free(struct out_pair *p)
{
	struct gateway *g = p->g;
	if (p->contact == WATCH_ABSENT)
		watch_absent(g, p->pair.local, p->pair.remote, WATCH_UNKNOWN);
	later_cancel(&p->gone);
	map_remove(&g->outs, &p->pair.node);
	map_remove(&g->out_ids, &p->by_id);
	tally_drop(g, TALLY_SIP_WATCHER, p->pair.local);
	metric_add(METRIC_SUBSCRIPTIONS_TO_XMPP, -1);
	LIST_EACH(n, &p->dialogs) {
		struct out_dialog *d = CONTAINER_OF(n, struct out_dialog, node);
		sip_notifier_free(d->n);
		mem_free(d);
	}
	sip_watcher_free(p->machine);
	mem_free(p->pair.key);
	mem_free(p);
}

static bool useless(const struct out_pair *p)
{
	return list_empty(&p->dialogs) && sip_watcher_idle(p->machine);
}

static void gone_run(struct later *l)
{
	struct out_pair *p = CONTAINER_OF(l, struct out_pair, gone);
	if (useless(p))
		pair_free(p);
}

static void collect(struct out_pair *p)
{
	if (useless(p))
		gateway_later(p->g, &p->gone);
}

static struct out_pair *pair_get(struct gateway *g, struct slice local, struct slice remote, struct slice uri, uint32_t home)
{
	static const struct sip_watcher_config cfg = {.poll_wait_ms = 3000, .poll_more_ms = 500, .link_grace_ms = 60000,
						      .probe_wait_ms = 30000, .probe_again_ms = 5000};
	struct out_pair *p = pair_find(g, local, remote);
	if (p) {
		p->home = home;
		return p;
	}
	if (g->outs.count >= g->cfg.max_subscriptions || tally_full(g, TALLY_SIP_WATCHER, local, g->cfg.max_subscriptions_per_user)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		return NULL;
	}
	p = MEM_NEW(struct out_pair);
	pair_init(&p->pair, local, remote);
	p->g = g;
	p->id = ++g->next_id;
	p->home = home;
	p->gone.run = gone_run;
	list_init(&p->dialogs);
	p->machine = sip_watcher_new(&machine_ops, p, g->cfg.timers, &cfg, uri);
	map_insert(&g->outs, &p->pair.node, slice_of(p->pair.key, local.len + 1 + remote.len));
	map_insert(&g->out_ids, &p->by_id, slice_of((const char *)&p->id, sizeof p->id));
	tally_add(g, TALLY_SIP_WATCHER, local);
	metric_add(METRIC_SUBSCRIPTIONS_TO_XMPP, 1);
	return p;
}

/* ---- dialogs */

static void ended(struct out_dialog *d)
{
	struct out_pair *p = d->pair;
	bool poll = d->poll;
	if (!d->n)
		return;
	dialog_drop(d);
	if (!poll)
		sip_watcher_closed(p->machine);
	collect(p);
}

static void n_refreshed(void *arg, uint32_t expires)
{
	(void)expires;
	save(arg);
}

static void n_unsubscribed(void *arg)
{
	ended(arg);
}

static void n_expired(void *arg)
{
	ended(arg);
}

static void n_failed(void *arg, int status, bool local)
{
	struct out_dialog *d = arg;
	char z[32];
	snprintf(z, sizeof z, "%d%s", status, local ? " (local)" : "");
	log_ev_limited(LOG_INFO, "presence/notify-refused", d->pair->pair.local, {"watcher", d->pair->pair.local},
		       {"presentity", d->pair->pair.remote}, {"status", slice_str(z)});
	ended(d);
}

static void n_route(void *arg, struct slice next_hop, struct sip_flow *flow)
{
	struct out_dialog *d = arg;
	struct gateway *g = d->pair->g;
	struct snapshot *s = gateway_policy(g);
	struct slice domain = jid_domain(d->pair->pair.local);
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct gateway_home h;
	uint32_t home;
	(void)next_hop; /* everything to a local user goes through its home */
	xmpp_domain_ascii(a, domain, &domain);
	if (snapshot_local(s, domain, &home) && gateway_home(g, home, &h))
		*flow = h.flow;
	arena_release(g->cfg.arenas, a);
}

static const struct sip_notifier_ops notifier_ops = {
	.refreshed = n_refreshed, .unsubscribed = n_unsubscribed, .expired = n_expired, .failed = n_failed, .route = n_route,
	.document = n_document,
};

static void notifier_config(struct gateway *g, struct sip_notifier_config *c, struct slice contact, bool active)
{
	*c = (struct sip_notifier_config){
		.contact = contact,
		.min_expires = g->cfg.subscription_minimum, .max_expires = g->cfg.subscription_expires,
		.default_expires = g->cfg.subscription_expires,
		.interval_ms = g->cfg.notify_interval_ms ? g->cfg.notify_interval_ms : UINT32_MAX,
		.initial = active ? SIP_SUB_ACTIVE : SIP_SUB_PENDING,
		.transport_tries = 5,
	};
}

static bool acceptable(const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice v, params;
	bool any = false;
	while (sip_msg_next_value(m, SIP_H_ACCEPT, &it, &v)) {
		struct slice t = sip_token(v, &params);
		any = true;
		if (slice_ieq(t, S("application/pidf+xml")) || slice_ieq(t, S("*/*")) || slice_ieq(t, S("application/*")))
			return true;
	}
	return !any; /* the package's default is PIDF (RFC 3856 6.7) */
}

void out_subscribe(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		   const struct sip_flow *from)
{
	struct xmpp_jid f, t;
	struct entente_err err;
	struct policy_verdict v;
	struct slice params, uri;
	struct gateway_home home;
	enum reason reason = REASON_NONE;
	const struct sip_header *ev = sip_msg_header(m, SIP_H_EVENT, 0);
	if (interwork_sender_to_jid(&f, a, m, &err) || interwork_sip_to_jid(&t, a, &m->uri, &err)) {
		reason = err.reason;
		metric_refused((int)reason);
	} else {
		gateway_decide(g, a, POLICY_PRESENCE_SUBSCRIBE, POLICY_TO_REMOTE, &f, &t, SLICE_NONE, from->target, &v);
		if (!v.allow)
			reason = v.reason;
		else if (!ev || !slice_ieq(sip_token(ev->value, &params), S("presence")))
			reason = REASON_SIP_EVENT;
		else if (!acceptable(m))
			reason = REASON_SIP_ACCEPT;
		else if (interwork_jid_to_sip(&uri, a, &t, false, &err))
			reason = err.reason;
		else if (!gateway_home(g, v.home != UINT32_MAX ? v.home : from->target, &home))
			reason = REASON_SIP_HOME_UNREACHABLE;
	}
	if (reason) {
		struct interwork_response more = {0};
		if (reason == REASON_SIP_EVENT)
			interwork_response_add(&more, S("Allow-Events"), S("presence"));
		if (reason == REASON_SIP_ACCEPT)
			interwork_response_add(&more, S("Accept"), S("application/pidf+xml"));
		gateway_refuse(g, st, a, reason, &more, m->from.uri_text, m->uri_text);
		return;
	}
	uint32_t expires;
	bool poll = sip_msg_uint(m, SIP_H_EXPIRES, UINT32_MAX, &expires) && expires == 0;
	struct out_pair *p = pair_get(g, f.bare, t.bare, uri, v.home != UINT32_MAX ? v.home : from->target);
	if (!p || p->n_dialogs >= MAX_DIALOGS) {
		metric_refused(REASON_LIMIT_SUBSCRIPTIONS);
		gateway_refuse(g, st, a, REASON_LIMIT_SUBSCRIPTIONS, NULL, m->from.uri_text, m->uri_text);
		if (p)
			collect(p);
		return;
	}
	struct sip_notifier_config c;
	struct out_dialog *d = MEM_NEW(struct out_dialog);
	notifier_config(g, &c, arena_printf(a, "<%.*s>", SFMT(home.contact)), sip_watcher_active(p->machine));
	d->pair = p;
	d->poll = poll;
	rand_token(d->id, ID_LEN);
	if (sip_notifier_accept(&d->n, g->cfg.stack, st, m, &c, &notifier_ops, d)) {
		mem_free(d);
		collect(p);
		return;
	}
	gateway_record_told(g, g->record, 200, RECORD_DELIVERED, REASON_NONE);
	list_append(&p->dialogs, &d->node);
	p->n_dialogs++;
	name_learn(g, f.bare, m->from.display);
	contact_learn(g, f.bare, t.bare, GATEWAY_BY_SUBSCRIBE);
	if (poll) {
		sip_watcher_poll(p->machine);
		return;
	}
	sip_watcher_opened(p->machine);
	set_dialog(d);
	save(d);
}

/* ---- from the XMPP side */

bool out_pending(struct gateway *g, struct slice local, struct slice remote)
{
	struct out_pair *p = pair_find(g, local, remote);
	return p && p->n_dialogs && !sip_watcher_active(p->machine);
}

void out_presence(struct gateway *g, const struct stanza *st, struct arena *a)
{
	struct out_pair *p = pair_find(g, st->to.bare, st->from.bare);
	if (!p)
		return; /* nobody watches: directed presence of a stranger */
	sip_watcher_presence_in(p->machine, st->node, st->from.resource, a, clock_unix());
	attend(p); /* the answer to a probe may change nothing that is shown */
	collect(p);
}

/* RFC 6665 4.1.3: a change of policy; or the watcher shall ask again at once, and finds the other network. */
static void end_by_policy(struct out_pair *p, enum reason reason)
{
	sip_watcher_end(p->machine, reason == REASON_POLICY_OTHER_PROTOCOL ? S("deactivated") : S("rejected"), 0);
}

void out_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason)
{
	struct map_node *n = map_find(&g->out_ids, slice_of((const char *)&t->id, sizeof t->id));
	struct out_pair *p = n ? CONTAINER_OF(n, struct out_pair, by_id) : NULL;
	if (!p)
		return;
	/* The subscribe never reached the partner. What may be better in a while is tried again, by the watcher (interworking
	 * spec 3.2). */
	if (sip_watcher_active(p->machine))
		return;
	if (reason == REASON_XMPP_DNS)
		sip_watcher_end(p->machine, S("noresource"), 0);
	else if (reason >= REASON_POLICY_PARTNER_UNKNOWN && reason <= REASON_POLICY_LOOP)
		end_by_policy(p, reason);
	else
		sip_watcher_end(p->machine, S("probation"), RETRY_S);
}

static bool between(const struct out_pair *p, struct slice local_domain, struct slice remote_domain)
{
	return slice_eq(jid_domain(p->pair.remote), remote_domain) && slice_eq(jid_domain(p->pair.local), local_domain);
}

void outs_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up)
{
	size_t i;
	MAP_EACH(n, &g->outs, i) {
		struct out_pair *p = CONTAINER_OF(n, struct out_pair, pair.node);
		if (between(p, local_domain, remote_domain))
			sip_watcher_link(p->machine, up);
	}
}

bool outs_any(struct gateway *g, struct slice local_domain, struct slice remote_domain, struct slice *ret_local,
	      struct slice *ret_remote, bool *ret_active)
{
	bool found = false;
	size_t i;
	MAP_EACH(n, &g->outs, i) {
		struct out_pair *p = CONTAINER_OF(n, struct out_pair, pair.node);
		bool active = sip_watcher_active(p->machine);
		if (!p->n_dialogs || !between(p, local_domain, remote_domain) || (found && !active))
			continue;
		*ret_local = p->pair.local;
		*ret_remote = p->pair.remote;
		*ret_active = active;
		found = true;
		if (active)
			return true;
	}
	return found;
}

void outs_recheck(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->outs, i) {
		struct out_pair *p = CONTAINER_OF(n, struct out_pair, pair.node);
		struct policy_verdict v;
		gateway_judge(g, POLICY_PRESENCE_SUBSCRIBE, p->pair.local, p->pair.remote, &v);
		if (!v.allow)
			end_by_policy(p, v.reason);
	}
}

bool gateway_load_dialog(struct gateway *g, struct slice id, struct slice local, struct slice remote, struct slice blob)
{
	if (session_is_kept(blob)) {
		session_load(g, local, remote, blob);
		return false;
	}
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct slice state = slice_split(&blob, '\n'), uri;
	struct xmpp_jid j;
	struct gateway_home home;
	struct policy_verdict v;
	bool ok = false, active = slice_eq(state, S("active"));
	gateway_judge(g, POLICY_PRESENCE_SUBSCRIBE, local, remote, &v);
	if (!v.allow || id.len > ID_LEN || xmpp_jid_parse(&j, a, remote) || interwork_jid_to_sip(&uri, a, &j, false, NULL) ||
	    !gateway_home(g, v.home, &home))
		goto out;
	struct out_pair *p = pair_get(g, local, remote, uri, v.home);
	if (!p)
		goto out;
	struct sip_notifier_config c;
	struct out_dialog *d = MEM_NEW(struct out_dialog);
	notifier_config(g, &c, arena_printf(a, "<%.*s>", SFMT(home.contact)), active);
	d->pair = p;
	d->saved = d->restored = true;
	d->saved_active = active;
	slice_cstr(id, d->id, sizeof d->id);
	if (sip_notifier_restore(&d->n, g->cfg.stack, blob, clock_unix(), &c, &notifier_ops, d)) {
		mem_free(d);
		collect(p);
		goto out;
	}
	list_append(&p->dialogs, &d->node);
	p->n_dialogs++;
	sip_watcher_restored(p->machine, active);
	ok = true;
out:
	arena_release(g->cfg.arenas, a);
	return ok;
}

void outs_each(struct gateway *g, void (*fn)(void *, const struct gateway_subscription_facts *), void *arg)
{
	size_t i;
	MAP_EACH(n, &g->outs, i) {
		struct out_pair *p = CONTAINER_OF(n, struct out_pair, pair.node);
		const struct presence_set *set = sip_watcher_presence(p->machine);
		const struct presence_item *best = presence_set_best(set);
		struct gateway_subscription_facts f = {
			.watcher = p->pair.local,
			.presentity = p->pair.remote,
			.state = sip_watcher_active(p->machine) ? "active" : "pending",
			.dialogs = (unsigned)p->n_dialogs,
			.resources = (unsigned)set->count,
		};
		if (best)
			f.show = best->show == PRESENCE_AVAILABLE ? S("available") : presence_show_text(best->show);
		fn(arg, &f);
	}
}

void outs_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->outs, i)
		pair_free(CONTAINER_OF(n, struct out_pair, pair.node));
	map_free(&g->outs);
	map_free(&g->out_ids);
}
