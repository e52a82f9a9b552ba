/* SPDX-License-Identifier: Apache-2.0 */
/* Timers for the protocol engines. A queue knows nothing of real time: its owner (a worker's loop, or a test with a virtual
 * clock) calls timers_run with the present time. Milliseconds of a monotonic clock everywhere. Not thread-safe: one queue per
 * worker. Arm and cancel cost O(log n), no allocation but the growth of the heap array. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
	void (*fire)(struct timer *t, uint64_t now); /* set by timer_init; the timer is idle when called and may be armed again or freed */
	uint64_t due;
	size_t pos; /* 1-based place in the heap, 0 when idle */
};

struct timer_place { /* the time beside the pointer: comparing touches no timer */
	uint64_t due;
	struct timer *t;
};

struct timers {
	struct timer_place *heap; /* of four children each */
	size_t count, cap;
	uint64_t now; /* the last time given to timers_run or timers_set_now: engines read this */
};

void timers_init(struct timers *q, uint64_t now);
/* Frees the array; timers still armed become idle. */
void timers_free(struct timers *q);

void timer_init(struct timer *t, void (*fire)(struct timer *t, uint64_t now));
/* Arms or re-arms for q->now + delay_ms. */
void timer_arm(struct timers *q, struct timer *t, uint64_t delay_ms);
/* Harmless on an idle timer. Call before freeing the memory that holds t. */
void timer_cancel(struct timers *q, struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
	return t->pos != 0;
}

/* When the next timer is due, or TIMER_NEVER. */
uint64_t timers_next(const struct timers *q);
/* Moves the clock without firing (before input is handled). Never backwards. */
void timers_set_now(struct timers *q, uint64_t now);
/* Fires all that are due at `now`, in order of due time; ones armed by a callback with delay 0 fire on the next run. */
void timers_run(struct timers *q, uint64_t now);
