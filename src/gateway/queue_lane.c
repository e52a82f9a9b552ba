/* SPDX-License-Identifier: Apache-2.0 */
/* What waits: in which order, when it is tried again, and how long it may wait. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/queue.h"

enum { EXPIRY_LATER_S = 60 }; /* one that is being delivered just then */

struct paused {
	struct map_node node;
	char key[];
};

static bool counts(uint8_t state)
{
	return !(state & (GATEWAY_QUEUE_HELD | GATEWAY_QUEUE_QUARANTINED));
}

static bool lane_key(struct slice *ret, char dst[PAIR_KEY_MAX + 1], enum gateway_queue_kind kind, struct slice local, struct slice remote)
{
	struct slice pair;
	if (!pair_key(&pair, dst + 1, local, remote))
		return false;
	dst[0] = (char)kind;
	*ret = slice_of(dst, pair.len + 1);
	return true;
}

static void shift_waiting(struct gateway *g, struct queue_lane *l, int by)
{
	l->n_waiting += (size_t)by;
	g->queue->n_waiting += (size_t)by;
	metric_add(METRIC_QUEUE_WAITING, by);
}

/* ---- targets */

static void retry_fired(struct timer *t, uint64_t now);
static void pump_run(struct later *l);

static struct queue_target *target_find(struct gateway *g, enum gateway_queue_kind kind, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX + 1];
	struct slice key;
	if (!g->queue->targets.count || !lane_key(&key, mem, kind, jid_domain(local), jid_domain(remote)))
		return NULL;
	struct map_node *n = map_find(&g->queue->targets, key);
	return n ? CONTAINER_OF(n, struct queue_target, node) : NULL;
}

static struct queue_target *target_of(const struct queue_entry *e)
{
	struct gateway *g = e->g;
	struct slice local = jid_domain(queue_local(e)), remote = jid_domain(queue_remote(e));
	struct queue_target *t = target_find(g, e->kind, local, remote);
	char mem[PAIR_KEY_MAX + 1];
	struct slice key = SLICE_NONE;
	if (t)
		return t;
	lane_key(&key, mem, e->kind, local, remote); /* shorter than the pair's, which fits */
	t = MEM_NEW(struct queue_target);
	t->g = g;
	t->kind = e->kind;
	t->key = mem_strndup(key.p, key.len);
	t->local = slice_of(t->key + 1, local.len);
	t->remote = slice_of(t->key + 2 + local.len, remote.len);
	t->window = 1;
	list_init(&t->lanes);
	timer_init(&t->retry, retry_fired);
	t->pump.run = pump_run;
	map_insert(&g->queue->targets, &t->node, slice_of(t->key, key.len));
	return t;
}

static void target_free(struct queue_target *t)
{
	timer_cancel(t->g->cfg.timers, &t->retry);
	later_cancel(&t->pump);
	map_remove(&t->g->queue->targets, &t->node);
	mem_free(t->key);
	mem_free(t);
}

/* ---- lanes */

static struct queue_lane *lane_find(struct gateway *g, enum gateway_queue_kind kind, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX + 1];
	struct slice key;
	if (!g->queue->lanes.count || !lane_key(&key, mem, kind, local, remote))
		return NULL;
	struct map_node *n = map_find(&g->queue->lanes, key);
	return n ? CONTAINER_OF(n, struct queue_lane, node) : NULL;
}

static struct queue_lane *lane_of(struct queue_entry *e)
{
	struct gateway *g = e->g;
	struct queue_lane *l = lane_find(g, e->kind, queue_local(e), queue_remote(e));
	char mem[PAIR_KEY_MAX + 1];
	struct slice key = SLICE_NONE;
	if (l)
		return l;
	lane_key(&key, mem, e->kind, queue_local(e), queue_remote(e)); /* store() has seen that it fits */
	l = MEM_NEW(struct queue_lane);
	l->key = mem_strndup(key.p, key.len);
	list_init(&l->ready);
	list_init(&l->entries);
	l->target = target_of(e);
	l->target->n_lanes++;
	map_insert(&g->queue->lanes, &l->node, slice_of(l->key, key.len));
	return l;
}

/* Its place among those that may go, or none. */
static void lane_look(struct gateway *g, struct queue_lane *l)
{
	bool ready = l->n_waiting && !l->busy;
	if (ready && !list_linked(&l->ready)) {
		list_append(&l->target->lanes, &l->ready);
		gateway_later(g, &l->target->pump);
	} else if (!ready) {
		list_remove(&l->ready);
	}
}

static void lane_free(struct gateway *g, struct queue_lane *l)
{
	list_remove(&l->ready);
	map_remove(&g->queue->lanes, &l->node);
	if (!--l->target->n_lanes)
		target_free(l->target);
	else
		gateway_later(g, &l->target->pump); /* it may have been under way */
	mem_free(l->key);
	mem_free(l);
}

static void not_alone(struct queue_entry *e)
{
	struct gateway *g = e->g;
	if (g->queue->alone != e)
		return;
	g->queue->alone = NULL;
	timer_cancel(g->cfg.timers, &g->queue->alone_limit);
	if (g->ops->queue_alone)
		g->ops->queue_alone(g->arg, false);
	queue_pump(g, NULL);
}

/* It has harmed nobody so far, and who has it may keep silent for long. */
static void alone_fired(struct timer *t, uint64_t now)
{
	struct queue *q = CONTAINER_OF(t, struct queue, alone_limit);
	(void)now;
	if (q->alone)
		not_alone(q->alone);
}

static void idle(struct queue_entry *e)
{
	struct queue_lane *l = e->lane;
	if (l->busy == e) {
		l->busy = NULL;
		l->target->under_way--;
	}
}

void queue_wait(struct queue_entry *e)
{
	struct gateway *g = e->g;
	if (e->lane) {
		idle(e);
	} else {
		e->lane = lane_of(e);
		struct list *after = e->lane->entries.prev; /* what was lost comes before what came meanwhile */
		while (after != &e->lane->entries && CONTAINER_OF(after, struct queue_entry, node)->journal > e->journal)
			after = after->prev;
		list_prepend(after, &e->node);
		if (counts(e->marks.state))
			shift_waiting(g, e->lane, 1);
	}
	lane_look(g, e->lane);
	not_alone(e);
}

void queue_leave(struct queue_entry *e)
{
	struct queue_lane *l = e->lane;
	struct gateway *g = e->g;
	if (l) {
		idle(e);
		list_remove(&e->node);
		if (counts(e->marks.state))
			shift_waiting(g, l, -1);
		e->lane = NULL;
		lane_look(g, l);
		if (list_empty(&l->entries))
			lane_free(g, l);
		else
			gateway_later(g, &l->target->pump);
	}
	if (!e->under_way)
		not_alone(e);
}

void queue_recount(struct queue_entry *e, uint8_t state)
{
	if (!e->lane || counts(state) == counts(e->marks.state))
		return;
	shift_waiting(e->g, e->lane, counts(state) ? 1 : -1);
	lane_look(e->g, e->lane);
}

bool queue_holds(struct gateway *g, enum gateway_queue_kind kind, struct slice local, struct slice remote)
{
	const struct queue_lane *l = lane_find(g, kind, local, remote);
	return (l && l->n_waiting) || (kind == GATEWAY_TO_XMPP && queue_paused(g, jid_domain(remote)));
}

/* ---- when */

static struct queue_target *way_of(const struct queue_entry *e)
{
	return e->lane ? e->lane->target : target_find(e->g, e->kind, queue_local(e), queue_remote(e));
}

static void open_up(struct queue_target *t)
{
	timer_cancel(t->g->cfg.timers, &t->retry);
	t->backoff_ms = 0;
	gateway_later(t->g, &t->pump);
}

void queue_well(struct queue_entry *e)
{
	struct queue_target *t = way_of(e);
	if (!t)
		return;
	if (t->window < QUEUE_WINDOW)
		t->window *= 2;
	open_up(t);
}

void queue_blocked(struct queue_entry *e)
{
	struct queue_target *t = way_of(e);
	if (!t || timer_armed(&t->retry))
		return;
	t->window = 1;
	t->backoff_ms = t->backoff_ms ? t->backoff_ms * 2 : QUEUE_RETRY_MIN_MS;
	if (t->backoff_ms > QUEUE_RETRY_MAX_MS)
		t->backoff_ms = QUEUE_RETRY_MAX_MS;
	timer_arm(t->g->cfg.timers, &t->retry, t->backoff_ms * 3 / 4 + rand_below(t->backoff_ms / 2 + 1));
}

/* A suspect goes alone: there must be no doubt about who it was. False: not now. */
static bool may_go(struct gateway *g, struct queue_entry *e, struct queue_target *t)
{
	struct queue *q = g->queue;
	if (q->alone)
		return !e->marks.crashes;
	if (!e->marks.crashes)
		return true;
	if (!e->durable || (g->ops->queue_alone && !g->ops->queue_alone(g->arg, true))) { /* not before its crashes can be counted */
		timer_arm(g->cfg.timers, &t->retry, QUEUE_ALONE_MS);
		return false;
	}
	q->alone = e;
	timer_arm(g->cfg.timers, &q->alone_limit, QUEUE_ALONE_MAX_MS);
	return true;
}

static struct queue_entry *first(const struct queue_lane *l)
{
	for (struct list *n = l->entries.next; n != &l->entries; n = n->next) {
		struct queue_entry *e = CONTAINER_OF(n, struct queue_entry, node);
		if (counts(e->marks.state))
			return e;
	}
	return NULL;
}

static void pump(struct queue_target *t)
{
	struct gateway *g = t->g;
	size_t looked = 0, n_lanes = t->n_lanes;
	if (g->draining || timer_armed(&t->retry) || queue_paused(g, t->remote))
		return;
	while (t->under_way < t->window && !list_empty(&t->lanes) && looked++ < n_lanes && !timer_armed(&t->retry)) {
		struct queue_lane *l = CONTAINER_OF(list_head(&t->lanes), struct queue_lane, ready);
		struct queue_entry *e = first(l);
		list_remove(&l->ready);
		if (!may_go(g, e, t)) {
			list_append(&t->lanes, &l->ready);
			continue;
		}
		l->busy = e;
		t->under_way++;
		t->n_lanes++; /* it stays while its entries go */
		queue_begin(e);
		if (!--t->n_lanes) {
			target_free(t);
			return;
		}
	}
}

static void pump_run(struct later *l)
{
	pump(CONTAINER_OF(l, struct queue_target, pump));
}

static void retry_fired(struct timer *timer, uint64_t now)
{
	(void)now;
	pump(CONTAINER_OF(timer, struct queue_target, retry));
}

void queue_pump(struct gateway *g, struct queue_target *only)
{
	size_t i;
	if (only) {
		open_up(only);
		return;
	}
	MAP_EACH(n, &g->queue->targets, i)
		gateway_later(g, &CONTAINER_OF(n, struct queue_target, node)->pump);
}

void queue_link(struct gateway *g, struct slice local_domain, struct slice remote_domain)
{
	struct queue_target *t = target_find(g, GATEWAY_TO_XMPP, local_domain, remote_domain);
	if (t)
		open_up(t);
}

void queue_home_well(struct gateway *g, struct slice local)
{
	size_t i;
	if (!g->queue->targets.count)
		return;
	MAP_EACH(n, &g->queue->targets, i) {
		struct queue_target *t = CONTAINER_OF(n, struct queue_target, node);
		if (t->kind == GATEWAY_TO_SIP && timer_armed(&t->retry) && slice_eq(t->local, jid_domain(local)))
			open_up(t);
	}
}

/* ---- paused partners */

bool queue_paused(const struct gateway *g, struct slice remote_domain)
{
	return g->queue->paused.count && map_find(&g->queue->paused, remote_domain);
}

void gateway_queue_pause(struct gateway *g, struct slice partner, bool paused)
{
	struct map_node *n = map_find(&g->queue->paused, partner);
	if (paused && !n) {
		struct paused *p = mem_calloc(1, sizeof *p + partner.len);
		memcpy(p->key, partner.p, partner.len);
		map_insert(&g->queue->paused, &p->node, slice_of(p->key, partner.len));
	} else if (!paused && n) {
		map_remove(&g->queue->paused, n);
		mem_free(CONTAINER_OF(n, struct paused, node));
		queue_pump(g, NULL);
	}
}

/* ---- the end of their lives */

int64_t queue_now(const struct gateway *g)
{
	return g->ops->queue_now ? g->ops->queue_now(g->arg) : clock_unix();
}

static void expiry_arm(struct gateway *g)
{
	struct list *n = list_head(&g->queue->expiring);
	if (!n) {
		timer_cancel(g->cfg.timers, &g->queue->expiry);
		return;
	}
	int64_t left = CONTAINER_OF(n, struct queue_entry, expiring)->expires_at - queue_now(g);
	if (left > 3600) /* that clock may be another one than that of timers */
		left = 3600;
	timer_arm(g->cfg.timers, &g->queue->expiry, left > 0 ? (uint64_t)left * 1000 : 0);
}

void queue_expiry_add(struct queue_entry *e)
{
	struct queue *q = e->g->queue;
	struct list *after = q->expiring.prev;
	while (after != &q->expiring && CONTAINER_OF(after, struct queue_entry, expiring)->expires_at > e->expires_at)
		after = after->prev;
	list_prepend(after, &e->expiring);
	if (after == &q->expiring || !timer_armed(&q->expiry))
		expiry_arm(e->g);
}

static void expiry_fired(struct timer *t, uint64_t now)
{
	struct queue *q = CONTAINER_OF(t, struct queue, expiry);
	struct list *n = list_head(&q->expiring);
	if (!n)
		return;
	struct gateway *g = CONTAINER_OF(n, struct queue_entry, expiring)->g;
	int64_t time = queue_now(g);
	(void)now;
	while ((n = list_head(&q->expiring)) && CONTAINER_OF(n, struct queue_entry, expiring)->expires_at <= time) {
		struct queue_entry *e = CONTAINER_OF(n, struct queue_entry, expiring);
		list_remove(n);
		if (e->out) { /* its fate comes soon */
			e->expires_at = time + EXPIRY_LATER_S;
			queue_expiry_add(e);
		} else {
			queue_expire(e);
		}
	}
	expiry_arm(g);
}

/* ---- life */

void queue_lanes_init(struct gateway *g)
{
	struct queue *q = g->queue;
	map_init(&q->lanes);
	map_init(&q->targets);
	map_init(&q->paused);
	list_init(&q->expiring);
	timer_init(&q->expiry, expiry_fired);
	timer_init(&q->alone_limit, alone_fired);
}

/* After the entries. */
void queue_lanes_free(struct gateway *g)
{
	struct queue *q = g->queue;
	size_t i;
	MAP_EACH(n, &q->paused, i) {
		map_remove(&q->paused, n);
		mem_free(CONTAINER_OF(n, struct paused, node));
	}
	timer_cancel(g->cfg.timers, &q->expiry);
	timer_cancel(g->cfg.timers, &q->alone_limit);
	map_free(&q->paused);
	map_free(&q->lanes);
	map_free(&q->targets);
}
