/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn_int.h"
#include "net/loop_int.h"

enum { ROUNDS = 8 };

struct signal_watch {
	struct list node;
	struct event *ev;
	struct loop *loop;
	void (*fn)(void *arg, int signo);
	void *arg;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct loop *l = arg;
	l->own->tick_due = TIMER_NEVER;
}

int loop_new(struct loop **ret, const struct loop_opts *opts, struct entente_err *err)
{
	static atomic_ushort ids;
	struct loop_opts none = {0};
	if (!opts)
		opts = &none;
	signal(SIGPIPE, SIG_IGN);
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;
	if (cfg) {
		event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
		event_config_avoid_method(cfg, "select");
		base = event_base_new_with_config(cfg);
		event_config_free(cfg);
	}
	if (!base)
		return err_set(err, ENTENTE_EIO, REASON_NONE, "no event loop from the kernel: too many open files?");
	struct loop *l = MEM_NEW(struct loop);
	l->own = MEM_NEW(struct loop_own);
	l->base = base;
	list_init(&l->own->hooks);
	list_init(&l->own->reaps);
	list_init(&l->own->signals);
	list_init(&l->own->conns);
	list_init(&l->own->shakers);
	list_init(&l->own->eofs);
	list_init(&l->own->ends);
	l->own->id = atomic_fetch_add(&ids, 1);
	l->own->tick_due = TIMER_NEVER;
	l->own->tick = evtimer_new(base, on_tick, l);
	l->arenas = arena_pool_new(opts->arena_max ? opts->arena_max : 1 << 20, opts->arena_keep ? opts->arena_keep : 512);
	timers_init(&l->timers, clock_ms());
	*ret = l;
	return 0;
}

static void run_list(struct list *from)
{
	struct list now;
	list_init(&now);
	while (!list_empty(from)) {
		struct list *n = from->next;
		list_remove(n);
		list_append(&now, n);
	}
	while (!list_empty(&now)) {
		struct loop_hook *h = CONTAINER_OF(now.next, struct loop_hook, node);
		list_remove(&h->node);
		h->run(h);
	}
}

static void settle(struct loop *l)
{
	for (int i = 0; i < ROUNDS && !list_empty(&l->own->hooks); i++)
		run_list(&l->own->hooks);
	run_list(&l->own->reaps);
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	conn_free_all(l);
	while (!list_empty(&l->own->reaps))
		run_list(&l->own->reaps);
	LIST_EACH(n, &l->own->signals) {
		struct signal_watch *s = CONTAINER_OF(n, struct signal_watch, node);
		event_free(s->ev);
		mem_free(s);
	}
	timers_free(&l->timers);
	arena_pool_free(l->arenas);
	event_free(l->own->tick);
	event_base_free(l->base);
	mem_free(l->own->wire);
	mem_free(l->own->plain);
	mem_free(l->own->udp);
	while (l->own->n_spares)
		mem_free(l->own->spares[--l->own->n_spares].mem);
	mem_free(l->own);
	return mem_free(l);
}

void loop_touch(struct loop *l)
{
	uint64_t now = clock_ms();
	timers_set_now(&l->timers, now);
	if (!l->own->woke)
		l->own->woke = now;
}

static void turn(struct loop *l, uint64_t max_ms)
{
	struct loop_own *o = l->own;
	uint64_t now = clock_ms();
	if (o->woke && now - o->woke > o->stats.slowest_ms)
		o->stats.slowest_ms = now - o->woke;
	uint64_t due = max_ms == TIMER_NEVER ? TIMER_NEVER : now + max_ms, next = timers_next(&l->timers);
	if (next < due)
		due = next;
	bool waits = !list_empty(&o->hooks) || !list_empty(&o->reaps) || !list_empty(&o->shakers) || !list_empty(&o->eofs) ||
		!list_empty(&o->ends);
	bool busy = due <= now || waits || (o->idle && o->idle(o->bus_arg));
	if (!busy && due != o->tick_due && due != TIMER_NEVER) {
		struct timeval tv = {(time_t)((due - now) / 1000), (suseconds_t)((due - now) % 1000 * 1000)};
		evtimer_add(o->tick, &tv);
		o->tick_due = due;
	}
	o->woke = 0;
	o->shaken_ns = 0;
	o->ends_told = 0;
	o->stats.turns++;
	/* ONCE in either case: without it libevent goes on as long as something is ready, and a flood keeps hooks and timers waiting */
	event_base_loop(l->base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : EVLOOP_NO_EXIT_ON_EMPTY));
	loop_touch(l);
	if (o->pump)
		o->pump(o->bus_arg);
	timers_run(&l->timers, clock_ms());
	conn_shake(l);
	conn_tell_ends(l);
	settle(l);
}

void loop_run(struct loop *l)
{
	l->own->stop = false;
	while (!l->own->stop)
		turn(l, TIMER_NEVER);
}

void loop_once(struct loop *l, uint64_t max_ms)
{
	turn(l, max_ms);
}

void loop_stop(struct loop *l)
{
	l->own->stop = true;
}

void loop_defer(struct loop *l, struct loop_hook *h)
{
	if (!list_linked(&h->node))
		list_append(&l->own->hooks, &h->node);
}

void loop_undefer(struct loop_hook *h)
{
	list_remove(&h->node);
}

void loop_reap(struct loop *l, struct loop_hook *h)
{
	list_remove(&h->node);
	list_append(&l->own->reaps, &h->node);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct signal_watch *s = arg;
	loop_touch(s->loop);
	s->fn(s->arg, (int)signo);
}

int loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct signal_watch *s = MEM_NEW(struct signal_watch);
	*s = (struct signal_watch){.loop = l, .fn = fn, .arg = arg};
	s->ev = evsignal_new(l->base, signo, on_signal, s);
	if (!s->ev || event_add(s->ev, NULL)) {
		if (s->ev)
			event_free(s->ev);
		mem_free(s);
		return ENTENTE_EIO;
	}
	list_append(&l->own->signals, &s->node);
	return 0;
}

void loop_stats(struct loop *l, struct loop_stats *ret)
{
	*ret = l->own->stats;
	ret->timers = l->timers.count;
	l->own->stats.slowest_ms = 0;
}
