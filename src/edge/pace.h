/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections may be on their way to one address at once: servers have short backlogs (ejabberd 23.01: 5), and whoever
 * overflows one waits a second for TCP to try again. A place is taken before connecting and given back when the peer has said
 * something, the attempt failed, or PACE_HOLD_MS are over. First come, first served among the waiters of one worker. */
#pragma once
#include "base/list.h"
#include "base/timer.h"
#include "net/addr.h"

enum { PACE_PLACES = 4, PACE_HOLD_MS = 2000 };

struct pace;
/* Shared by all workers, reference-counted. Any thread. */
struct pace *pace_new(void);
struct pace *pace_ref(struct pace *p);
/* Accepts NULL; returns NULL. */
struct pace *pace_unref(struct pace *p);

/* One who wants a place; part of the owner's struct. One thread: that of the timers. */
struct pace_place {
	struct pace *pace;
	struct timers *timers;
	void (*go)(void *arg); /* may connect now */
	void *arg;
	struct addr to;
	struct timer timer;
	enum { PACE_IDLE, PACE_WAITING, PACE_HELD } state;
	struct list wait;
};
void pace_place_init(struct pace_place *x, struct pace *p, struct timers *t, void (*go)(void *arg), void *arg);
/* go() is called, from here when there is room, else later. The place must be idle. */
void pace_enter(struct pace_place *x, const struct addr *to);
/* Gives the place back, or leaves the queue. Harmless when idle. */
void pace_leave(struct pace_place *x);
/* Those that wait or hold a place. */
size_t pace_busy(struct pace *p);
