/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include "base/mem.h"

void timers_init(struct timers *q, uint64_t now)
{
	*q = (struct timers){.now = now};
}

void timers_free(struct timers *q)
{
	for (size_t i = 0; i < q->count; i++)
		q->heap[i].t->pos = 0;
	mem_free(q->heap);
	*q = (struct timers){.now = q->now};
}

void timer_init(struct timer *t, void (*fire)(struct timer *, uint64_t))
{
	*t = (struct timer){.fire = fire};
}

enum { CHILDREN = 4 };

static void place(struct timers *q, size_t i, struct timer_place x)
{
	q->heap[i] = x;
	x.t->pos = i + 1;
}

static void sift_up(struct timers *q, size_t i, struct timer_place x)
{
	while (i) {
		size_t up = (i - 1) / CHILDREN;
		if (q->heap[up].due <= x.due)
			break;
		place(q, i, q->heap[up]);
		i = up;
	}
	place(q, i, x);
}

static void sift_down(struct timers *q, size_t i, struct timer_place x)
{
	for (;;) {
		size_t first = CHILDREN * i + 1, c = first;
		if (first >= q->count)
			break;
		for (size_t k = first + 1; k < q->count && k < first + CHILDREN; k++)
			if (q->heap[k].due < q->heap[c].due)
				c = k;
		if (x.due <= q->heap[c].due)
			break;
		place(q, i, q->heap[c]);
		i = c;
	}
	place(q, i, x);
}

void timer_cancel(struct timers *q, struct timer *t)
{
	if (!t->pos)
		return;
	size_t i = t->pos - 1;
	t->pos = 0;
	struct timer_place last = q->heap[--q->count];
	if (last.t == t)
		return;
	if (i && q->heap[(i - 1) / CHILDREN].due > last.due)
		sift_up(q, i, last);
	else
		sift_down(q, i, last);
}

void timer_arm(struct timers *q, struct timer *t, uint64_t delay_ms)
{
	timer_cancel(q, t);
	t->due = q->now + delay_ms;
	if (q->count == q->cap) {
		q->cap = q->cap ? q->cap * 2 : 64;
		q->heap = mem_realloc(q->heap, q->cap * sizeof *q->heap);
	}
	q->count++;
	sift_up(q, q->count - 1, (struct timer_place){t->due, t});
}

uint64_t timers_next(const struct timers *q)
{
	return q->count ? q->heap[0].due : TIMER_NEVER;
}

void timers_set_now(struct timers *q, uint64_t now)
{
	if (now > q->now)
		q->now = now;
}

void timers_run(struct timers *q, uint64_t now)
{
	timers_set_now(q, now);
	/* A callback that re-arms with delay 0 must not keep us here: only what was due on entry fires. */
	uint64_t until = q->now;
	size_t budget = q->count;
	while (q->count && q->heap[0].due <= until && budget--) {
		struct timer *t = q->heap[0].t;
		timer_cancel(q, t);
		t->fire(t, q->now);
	}
}
