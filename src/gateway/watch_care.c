/* SPDX-License-Identifier: Apache-2.0 */
/* Care for the homes and for our memory: subscriptions that nobody is waiting for are made one after the other, and none is held for a
 * watcher who is nowhere (interworking spec 3.1; RFC 8048 8.1). */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/watch.h"
#include "xmpp/error.h"

/* ---- turns */

enum { AT_ONCE = 20 }; /* so many may go at the same time before the pace is kept */

static uint64_t step_us(const struct gateway *g)
{
	return 1000000 / g->cfg.subscribe_rate;
}

/* Milliseconds until the next may go; 0: now, and it is counted. */
static uint64_t take(struct gateway *g)
{
	if (!g->cfg.subscribe_rate)
		return 0;
	uint64_t now = g->cfg.timers->now * 1000, slack = AT_ONCE * step_us(g);
	if (g->turn_at < now)
		g->turn_at = now;
	if (g->turn_at - now >= slack)
		return (g->turn_at - now - slack) / 1000 + 1;
	g->turn_at += step_us(g);
	return 0;
}

static void turns_fired(struct timer *t, uint64_t now)
{
	struct gateway *g = CONTAINER_OF(t, struct gateway, turn_timer);
	uint64_t wait = 0;
	(void)now;
	while (!list_empty(&g->turns) && !(wait = take(g))) {
		struct watch *w = CONTAINER_OF(list_head(&g->turns), struct watch, turn);
		list_remove(&w->turn);
		watch_ask(w);
	}
	if (!list_empty(&g->turns))
		timer_arm(g->cfg.timers, &g->turn_timer, wait);
}

void turns_init(struct gateway *g)
{
	list_init(&g->turns);
	timer_init(&g->turn_timer, turns_fired);
}

void watch_turn(struct watch *w, uint32_t expires)
{
	struct gateway *g = w->g;
	w->expires = expires;
	watch_turn_cancel(w);
	uint64_t wait = list_empty(&g->turns) || w->eager ? take(g) : 1;
	if (!wait || w->eager) { /* users are slower than any limit of ours */
		watch_ask(w);
		return;
	}
	list_append(&g->turns, &w->turn);
	if (!timer_armed(&g->turn_timer))
		timer_arm(g->cfg.timers, &g->turn_timer, wait);
}

void watch_turn_cancel(struct watch *w)
{
	list_remove(&w->turn);
}

void gateway_resume(struct gateway *g, uint64_t spread_ms)
{
	enum { FEW = 100 };
	size_t i, n = 0, k = 0;
	MAP_EACH(node, &g->watches, i) {
		struct watch *w = CONTAINER_OF(node, struct watch, pair.node);
		n += w->allowed && xmpp_watcher_state(w->machine) == XMPP_WATCHER_DORMANT;
	}
	uint64_t step = g->cfg.subscribe_rate ? 1000 / g->cfg.subscribe_rate : 0;
	if (n > FEW && spread_ms / n > step) /* few are nobody's storm */
		step = spread_ms / n;
	MAP_EACH(node, &g->watches, i) {
		struct watch *w = CONTAINER_OF(node, struct watch, pair.node);
		if (w->allowed && xmpp_watcher_state(w->machine) == XMPP_WATCHER_DORMANT)
			xmpp_watcher_resume(w->machine, 200 + step * k++);
	}
}

/* ---- does anybody look? */

void watch_heard(struct watch *w)
{
	uint64_t *at = tally_stamp(w->g, TALLY_WATCHER, w->pair.remote);
	if (at)
		*at = w->g->cfg.timers->now;
	w->g->unreachable -= w->unreachable;
	w->unreachable = false;
	if (list_linked(&w->turn) && w->eager) { /* it was not urgent until now */
		list_remove(&w->turn);
		watch_ask(w);
	}
	xmpp_watcher_absent(w->machine, false);
}

void watch_absent(struct gateway *g, struct slice presentity, struct slice watcher, enum watch_presence p)
{
	struct watch *w = watch_find(g, presentity, watcher);
	if (!w || (p == WATCH_UNKNOWN && xmpp_watcher_state(w->machine) == XMPP_WATCHER_DORMANT))
		return;
	watch_judge(w);
	if (p != WATCH_ABSENT && !w->allowed)
		return;
	w->eager = true;
	xmpp_watcher_absent(w->machine, p == WATCH_ABSENT);
	w->eager = false;
}

struct asked { /* a probe on its way */
	struct map_node node; /* key: id */
	uint64_t id;
	char watcher[];
};

void watch_extended(struct watch *w)
{
	struct gateway *g = w->g;
	uint64_t *at = tally_stamp(g, TALLY_WATCHER, w->pair.remote), now = g->cfg.timers->now;
	if (!at || !g->cfg.watcher_probe_s || now - *at < (uint64_t)g->cfg.watcher_probe_s * 1000 ||
	    out_pending(g, w->pair.local, w->pair.remote)) /* the probe of one who is not approved yet would end its request */
		return;
	*at = now;
	struct asked *k = mem_calloc(1, sizeof *k + w->pair.remote.len + 1);
	k->id = ++g->next_id;
	memcpy(k->watcher, w->pair.remote.p, w->pair.remote.len);
	map_insert(&g->asked, &k->node, slice_of((const char *)&k->id, sizeof k->id));
	struct gateway_ticket t = {.kind = TICKET_PROBE, .tell_sent = true, .repeat = true, .id = k->id};
	buf_clear(&g->out);
	buf_puts(&g->out, "<presence from='");
	xml_escape(&g->out, w->pair.local);
	buf_puts(&g->out, "' to='");
	xml_escape(&g->out, w->pair.remote);
	buf_puts(&g->out, "' type='probe'/>");
	gateway_trace_out(jid_domain(w->pair.remote), w->pair.local, w->pair.remote, "presence/probe", S("does anybody look?"));
	gateway_send_out(g, jid_domain(w->pair.local), jid_domain(w->pair.remote), &t);
}

/* All that this user watches here sleeps: the authorisations stay. */
static void let_sleep(struct gateway *g, struct slice watcher, bool unreachable, struct slice why)
{
	struct list *all = tally_records(g, TALLY_WATCHER, watcher);
	size_t n = 0;
	if (!all)
		return;
	LIST_EACH(node, all) {
		struct watch *w = CONTAINER_OF(node, struct watch, mates);
		if (!xmpp_watcher_authorised(w->machine))
			continue;
		xmpp_watcher_sleep(w->machine, false);
		g->unreachable += unreachable && !w->unreachable;
		w->unreachable = w->unreachable || unreachable;
		n++;
	}
	if (n)
		log_ev_limited(LOG_INFO, "presence/nobody-looks", watcher, {"watcher", watcher}, {"text", why});
}

/* What a stream will mend. A queue that was full says nothing of the watcher, and no new stream would wake it. */
static bool unreachable(enum reason r)
{
	return (r >= REASON_XMPP_DNS && r <= REASON_XMPP_STREAM_ERROR) || r == REASON_TLS_REVOKED || r == REASON_TLS_REVOCATION;
}

void watch_asked(struct gateway *g, const struct gateway_ticket *t, enum reason reason)
{
	struct map_node *n = map_find(&g->asked, slice_of((const char *)&t->id, sizeof t->id));
	struct asked *k = n ? CONTAINER_OF(n, struct asked, node) : NULL;
	if (!k)
		return;
	map_remove(&g->asked, n);
	if (unreachable(reason))
		let_sleep(g, slice_str(k->watcher), true, slice_str(reason_info(reason)->text));
	mem_free(k);
}

void watch_error(struct gateway *g, const struct xml_node *stanza, struct arena *a, struct slice watcher)
{
	static const char *const final[] = {"item-not-found", "gone", "redirect", "remote-server-not-found", "jid-malformed"};
	struct xmpp_error e;
	xmpp_error_read(a, stanza, &e);
	for (size_t i = 0; i < sizeof final / sizeof *final; i++)
		if (slice_eq(e.condition, slice_str(final[i])))
			let_sleep(g, watcher, false, e.condition);
}

void watches_wake(struct gateway *g, struct slice local_domain, struct slice remote_domain)
{
	size_t i;
	if (!g->unreachable)
		return;
	MAP_EACH(node, &g->watches, i) {
		struct watch *w = CONTAINER_OF(node, struct watch, pair.node);
		if (!w->unreachable || !slice_eq(jid_domain(w->pair.remote), remote_domain) ||
		    !slice_eq(jid_domain(w->pair.local), local_domain))
			continue;
		w->unreachable = false;
		g->unreachable--;
		watch_judge(w);
		w->barred = !w->allowed;
		if (w->allowed && xmpp_watcher_state(w->machine) == XMPP_WATCHER_DORMANT)
			xmpp_watcher_resume(w->machine, 0);
	}
}

void turns_free(struct gateway *g)
{
	size_t i;
	timer_cancel(g->cfg.timers, &g->turn_timer);
	MAP_EACH(n, &g->asked, i) {
		map_remove(&g->asked, n);
		mem_free(CONTAINER_OF(n, struct asked, node));
	}
	map_free(&g->asked);
}
