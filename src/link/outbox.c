/* SPDX-License-Identifier: Apache-2.0 */
#include "link/outbox.h"

#include "base/err.h"
#include "base/mem.h"

void *link_item_new(size_t size)
{
	return mem_calloc(1, size);
}

static struct link_item *item_of(struct list *n)
{
	return CONTAINER_OF(n, struct link_item, node);
}

static struct slice id_key(const uint64_t *id)
{
	return slice_of((const char *)id, sizeof *id);
}

static void arm(struct link_outbox *o)
{
	struct list *n = list_head(&o->waiting);
	if (!n) {
		timer_cancel(o->timers, &o->patience);
		return;
	}
	uint64_t due = item_of(n)->since + o->cfg.wait_ms;
	timer_arm(o->timers, &o->patience, due > o->timers->now ? due - o->timers->now : 0);
}

static void wait_in(struct link_outbox *o, struct link_item *i, bool front)
{
	if (front)
		list_prepend(&o->waiting, &i->node);
	else
		list_append(&o->waiting, &i->node);
	o->n_waiting++;
	o->waiting_octets += i->octets;
}

static void wait_out(struct link_outbox *o, struct link_item *i)
{
	list_remove(&i->node);
	o->n_waiting--;
	o->waiting_octets -= i->octets;
}

static void uncount(struct link_outbox *o, struct link_item *i)
{
	if (i->rests)
		return;
	o->n_under_way--;
	o->under_way_octets -= i->octets;
}

static void way_out(struct link_outbox *o, struct link_item *i)
{
	list_remove(&i->node);
	uncount(o, i);
	i->rests = false;
}

static void forget(struct link_outbox *o, struct link_item *i)
{
	if (i->answered)
		map_remove(&o->by_id, &i->by_id);
	mem_free(i);
}

static void fail(struct link_outbox *o, struct link_item *i, enum reason reason, struct slice why)
{
	if (i->answered)
		map_remove(&o->by_id, &i->by_id);
	o->ops->failed(o->arg, i, reason, why);
	mem_free(i);
}

static bool window_open(const struct link_outbox *o, const struct link_item *i)
{
	return !o->n_under_way || !i->answered || (o->n_under_way < o->cfg.window && o->under_way_octets + i->octets <= o->cfg.window_octets);
}

/* ---- */

void link_outbox_flush(struct link_outbox *o)
{
	if (o->flushing)
		return;
	o->flushing = true;
	for (struct list *n; (n = list_head(&o->waiting));) {
		struct link_item *i = item_of(n);
		int rc = window_open(o, i) ? o->ops->send(o->arg, i) : ENTENTE_EAGAIN;
		if (rc == ENTENTE_EAGAIN)
			break;
		wait_out(o, i);
		if (rc) {
			fail(o, i, rc == ENTENTE_ELIMIT ? REASON_LIMIT_SIZE : REASON_LINK_DOWN, SLICE_NONE);
		} else if (!i->answered) {
			mem_free(i);
		} else {
			i->sent = true;
			list_append(&o->under_way, &i->node);
			o->n_under_way++;
			o->under_way_octets += i->octets;
		}
	}
	o->flushing = false;
	arm(o);
}

static void patience_fired(struct timer *t, uint64_t now)
{
	struct link_outbox *o = CONTAINER_OF(t, struct link_outbox, patience);
	link_outbox_flush(o);
	for (struct list *n; (n = list_head(&o->waiting)) && item_of(n)->since + o->cfg.wait_ms <= now;) {
		wait_out(o, item_of(n));
		fail(o, item_of(n), REASON_LINK_DOWN, S("the other half of the server did not take it in time"));
	}
	arm(o);
}

int link_outbox_put(struct link_outbox *o, struct link_item *i)
{
	if (o->n_waiting && (o->n_waiting >= o->cfg.waiting || o->waiting_octets + i->octets > o->cfg.waiting_octets)) {
		mem_free(i);
		return ENTENTE_ELIMIT;
	}
	i->since = o->timers->now;
	if (i->answered)
		map_insert(&o->by_id, &i->by_id, id_key(&i->id));
	wait_in(o, i, false);
	if (o->n_waiting > 1) { /* it is not its turn */
		arm(o);
		return 0;
	}
	/* a refusal is told on the next turn of the timers: the caller may be in the middle of something */
	if (!o->flushing && window_open(o, i)) {
		int rc = o->ops->send(o->arg, i);
		if (!rc) {
			wait_out(o, i);
			if (!i->answered) {
				mem_free(i);
				return 0;
			}
			i->sent = true;
			list_append(&o->under_way, &i->node);
			o->n_under_way++;
			o->under_way_octets += i->octets;
			return 0;
		}
		if (rc != ENTENTE_EAGAIN) {
			timer_arm(o->timers, &o->patience, 0);
			return 0;
		}
	}
	arm(o);
	return 0;
}

struct link_item *link_outbox_take(struct link_outbox *o, uint64_t id)
{
	struct map_node *n = map_find(&o->by_id, id_key(&id));
	struct link_item *i = n ? CONTAINER_OF(n, struct link_item, by_id) : NULL;
	if (!i)
		return NULL;
	if (i->sent)
		way_out(o, i);
	else /* it went over a link that was lost, and the answer comes by another */
		wait_out(o, i);
	map_remove(&o->by_id, &i->by_id);
	if (!list_empty(&o->waiting))
		timer_arm(o->timers, &o->patience, 0); /* the window is open again */
	else
		arm(o);
	return i;
}

static struct link_item *find(const struct link_outbox *o, uint64_t id, uint64_t via)
{
	struct map_node *n = map_find(&o->by_id, id_key(&id));
	struct link_item *i = n ? CONTAINER_OF(n, struct link_item, by_id) : NULL;
	return i && i->sent && i->via == via ? i : NULL;
}

const struct link_item *link_outbox_rest(struct link_outbox *o, uint64_t id, uint64_t via)
{
	struct link_item *i = find(o, id, via);
	if (!i || i->rests)
		return i;
	uncount(o, i);
	i->rests = true;
	if (!list_empty(&o->waiting))
		timer_arm(o->timers, &o->patience, 0); /* the window is open again */
	return i;
}

struct link_item *link_outbox_answer(struct link_outbox *o, uint64_t id, uint64_t via)
{
	return find(o, id, via) ? link_outbox_take(o, id) : NULL;
}

bool link_outbox_has(const struct link_outbox *o, uint64_t id)
{
	return map_find(&o->by_id, id_key(&id));
}

void link_outbox_lost(struct link_outbox *o, uint64_t via, enum reason reason, struct slice why)
{
	struct list over, again;
	list_init(&over);
	list_init(&again);
	LIST_EACH(n, &o->under_way) {
		struct link_item *i = item_of(n);
		if (i->via != via)
			continue;
		way_out(o, i);
		list_append(i->again && ++i->lost < LINK_TRIES ? &again : &over, &i->node);
	}
	while (!list_empty(&again)) { /* the last one first, so that the first is in front at the end */
		struct link_item *i = item_of(again.prev);
		list_remove(&i->node);
		i->sent = false;
		i->since = o->timers->now;
		wait_in(o, i, true);
	}
	for (struct list *n; (n = list_head(&over));) {
		list_remove(n);
		fail(o, item_of(n), reason, why);
	}
	link_outbox_flush(o);
}

void link_outbox_bounce(struct link_outbox *o, enum reason reason, struct slice why)
{
	for (size_t left = o->n_waiting; left && !list_empty(&o->waiting); left--) {
		struct link_item *i = item_of(list_head(&o->waiting));
		wait_out(o, i);
		fail(o, i, reason, why);
	}
	arm(o);
}

/* ---- life */

void link_outbox_set(struct link_outbox *o, const struct link_outbox_config *cfg)
{
	o->cfg = *cfg;
	arm(o);
}

void link_outbox_init(struct link_outbox *o, struct timers *timers, const struct link_outbox_config *cfg, const struct link_outbox_ops *ops,
		      void *arg)
{
	*o = (struct link_outbox){.timers = timers, .cfg = *cfg, .ops = ops, .arg = arg};
	list_init(&o->waiting);
	list_init(&o->under_way);
	map_init(&o->by_id);
	timer_init(&o->patience, patience_fired);
}

void link_outbox_free(struct link_outbox *o)
{
	timer_cancel(o->timers, &o->patience);
	LIST_EACH(n, &o->waiting)
		forget(o, item_of(n));
	LIST_EACH(n, &o->under_way)
		forget(o, item_of(n));
	map_free(&o->by_id);
}
