/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/pace.h"

#include <pthread.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { POLL_MS = 20, POLL_MAX_MS = 1000 };

struct spot { /* one address */
	struct map_node node;
	char key[ADDR_TEXT];
	unsigned held;
	struct list waiting; /* of struct pace_place, the first that came first */
	size_t n_waiting;
};

struct pace {
	pthread_mutex_t lock;
	unsigned refs;
	struct map spots;
	size_t busy;
};

struct pace *pace_new(void)
{
	struct pace *p = MEM_NEW(struct pace);
	pthread_mutex_init(&p->lock, NULL);
	p->refs = 1;
	map_init(&p->spots);
	return p;
}

struct pace *pace_ref(struct pace *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

struct pace *pace_unref(struct pace *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return NULL;
	map_free(&p->spots); /* spots live only as long as somebody holds or waits, and those hold references */
	pthread_mutex_destroy(&p->lock);
	return mem_free(p);
}

static struct spot *spot_of(struct pace *p, const struct addr *to)
{
	char key[ADDR_TEXT];
	addr_text(to, key);
	struct map_node *n = map_find(&p->spots, slice_str(key));
	if (n)
		return CONTAINER_OF(n, struct spot, node);
	struct spot *s = MEM_NEW(struct spot);
	slice_cstr(slice_str(key), s->key, sizeof s->key);
	list_init(&s->waiting);
	map_insert(&p->spots, &s->node, slice_str(s->key));
	return s;
}

static void forget_if_idle(struct pace *p, struct spot *s)
{
	if (s->held || s->n_waiting)
		return;
	map_remove(&p->spots, &s->node);
	mem_free(s);
}

/* Among the first for whom there is room? Whoever comes before may belong to another thread and not have looked yet, which is why
 * it is "among". */
static bool my_turn(const struct spot *s, const struct pace_place *x)
{
	unsigned seen = 0;
	for (const struct list *n = s->waiting.next; n != &s->waiting && seen < PACE_PLACES; n = n->next, seen++)
		if (n == &x->wait)
			return s->held < PACE_PLACES;
	return false;
}

static void take(struct spot *s, struct pace_place *x)
{
	s->held++;
	x->state = PACE_HELD;
	timer_arm(x->timers, &x->timer, PACE_HOLD_MS);
}

/* How long until it looks again: those far behind need not look often. Under the lock. */
static uint64_t patience(const struct spot *s)
{
	uint64_t ms = POLL_MS * (1 + s->n_waiting / 64);
	return ms > POLL_MAX_MS ? POLL_MAX_MS : ms;
}

static void fired(struct timer *t, uint64_t now)
{
	struct pace_place *x = CONTAINER_OF(t, struct pace_place, timer);
	bool go = false;
	(void)now;
	if (x->state == PACE_HELD) { /* the peer is slow to speak: that is not a reason to keep others away for ever */
		pace_leave(x);
		return;
	}
	if (x->state != PACE_WAITING)
		return;
	pthread_mutex_lock(&x->pace->lock);
	struct spot *s = spot_of(x->pace, &x->to);
	if ((go = my_turn(s, x))) {
		list_remove(&x->wait);
		s->n_waiting--;
		take(s, x);
	} else {
		timer_arm(x->timers, &x->timer, patience(s));
	}
	pthread_mutex_unlock(&x->pace->lock);
	if (go)
		x->go(x->arg);
}

void pace_place_init(struct pace_place *x, struct pace *p, struct timers *t, void (*go)(void *arg), void *arg)
{
	*x = (struct pace_place){.pace = p, .timers = t, .go = go, .arg = arg};
	list_init(&x->wait);
	timer_init(&x->timer, fired);
}

void pace_enter(struct pace_place *x, const struct addr *to)
{
	bool go;
	x->to = *to;
	pace_ref(x->pace);
	pthread_mutex_lock(&x->pace->lock);
	struct spot *s = spot_of(x->pace, to);
	x->pace->busy++;
	if ((go = s->held < PACE_PLACES && !s->n_waiting)) {
		take(s, x);
	} else {
		list_append(&s->waiting, &x->wait);
		s->n_waiting++;
		x->state = PACE_WAITING;
		timer_arm(x->timers, &x->timer, patience(s));
	}
	pthread_mutex_unlock(&x->pace->lock);
	if (go)
		x->go(x->arg);
}

void pace_leave(struct pace_place *x)
{
	struct pace *p = x->pace;
	if (x->state == PACE_IDLE)
		return;
	timer_cancel(x->timers, &x->timer);
	pthread_mutex_lock(&p->lock);
	struct spot *s = spot_of(p, &x->to);
	p->busy--;
	if (x->state == PACE_HELD) {
		s->held--;
	} else {
		list_remove(&x->wait);
		s->n_waiting--;
	}
	x->state = PACE_IDLE;
	/* one of our own thread need not wait until it looks */
	unsigned seen = 0;
	for (struct list *n = s->waiting.next; n != &s->waiting && seen < PACE_PLACES; n = n->next, seen++) {
		struct pace_place *w = CONTAINER_OF(n, struct pace_place, wait);
		if (w->timers == x->timers && s->held < PACE_PLACES) {
			timer_arm(w->timers, &w->timer, 0);
			break;
		}
	}
	forget_if_idle(p, s);
	pthread_mutex_unlock(&p->lock);
	pace_unref(p);
}

size_t pace_busy(struct pace *p)
{
	pthread_mutex_lock(&p->lock);
	size_t n = p->busy;
	pthread_mutex_unlock(&p->lock);
	return n;
}
