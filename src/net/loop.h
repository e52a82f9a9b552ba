/* SPDX-License-Identifier: Apache-2.0 */
/* One event loop per thread: libevent for descriptors and signals, the timer queue of base/timer.h for everything timed, and
 * work put off to the end of the turn (so that many small writes become one). One turn: wait, run descriptor events, fire
 * timers, run the deferred hooks, free what was reaped. Everything here belongs to the loop's own thread. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/timer.h"

struct event_base;
struct loop_own;

struct loop {
	struct timers timers;      /* engines arm on this; its `now` is fresh in every callback */
	struct arena_pool *arenas; /* one arena per message in work */
	struct event_base *base;   /* for evhttp and other libevent users; call loop_touch first in such callbacks */
	struct loop_own *own;      /* private */
};

struct loop_opts {
	size_t arena_max;  /* octets of one arena; 0 = 1 MiB */
	size_t arena_keep; /* idle arenas kept; 0 = 64 */
};

/* opts may be NULL. Ignores SIGPIPE for the whole process. ENTENTE_EIO when the kernel gives no epoll descriptor. */
int loop_new(struct loop **ret, const struct loop_opts *opts, struct entente_err *err);
/* Frees every connection still on it (without callbacks), runs what is reaped. Accepts NULL; returns NULL. */
struct loop *loop_free(struct loop *l);

/* Turns until loop_stop; may be called again afterwards. */
void loop_run(struct loop *l);
/* One turn that waits at most max_ms (0 = only what is ready now). For tests and nested start-up work; not from a callback. */
void loop_once(struct loop *l, uint64_t max_ms);
/* loop_run returns at the end of the present turn. From a callback on the loop's thread. */
void loop_stop(struct loop *l);
/* Brings timers.now up to date; every event of this room does so by itself. */
void loop_touch(struct loop *l);

/* Work for the end of this turn, run once; lies inside its owner, node zeroed or list_init'ed before first use. Deferring it
 * again while it waits does nothing. `run` may defer more, which runs in the same turn (up to 8 rounds, then the next). */
struct loop_hook {
	struct list node;
	void (*run)(struct loop_hook *h);
};
void loop_defer(struct loop *l, struct loop_hook *h);
void loop_undefer(struct loop_hook *h);
/* As loop_defer, but after all deferred work of the turn: for freeing what a caller up the stack may still be using. */
void loop_reap(struct loop *l, struct loop_hook *h);

/* Calls fn(arg, signo) on each signal; one handler per signal and process. The watch lives as long as the loop. */
int loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

struct loop_stats {
	uint64_t turns;
	uint64_t slowest_ms; /* the longest time between two waits since the last call of loop_stats */
	size_t conns, timers;
};
/* Reads and resets slowest_ms. */
void loop_stats(struct loop *l, struct loop_stats *ret);
