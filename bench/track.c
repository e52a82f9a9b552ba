/* SPDX-License-Identifier: Apache-2.0 */
#include "track.h"

#include <time.h>
#include "base/mem.h"

enum { SLOTS = 1 << 17, TIMES = 4 << 20 };

uint64_t track_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void track_init(struct track *t, uint8_t needed)
{
	*t = (struct track){.needed = needed, .slots = mem_calloc(SLOTS, sizeof *t->slots)};
	t->arrival.ns = mem_calloc(TIMES, sizeof *t->arrival.ns);
	t->answer.ns = mem_calloc(TIMES, sizeof *t->answer.ns);
}

void track_free(struct track *t)
{
	mem_free(t->slots);
	mem_free(t->arrival.ns);
	mem_free(t->answer.ns);
}

bool track_begin(struct track *t, uint64_t due, uint64_t *ret_seq)
{
	struct track_slot *s = &t->slots[t->next % SLOTS];
	if (s->open) {
		t->unsent++;
		return false;
	}
	*s = (struct track_slot){.seq = t->next, .due = due, .open = true, .measured = t->measuring};
	*ret_seq = t->next++;
	t->open++;
	t->sent++;
	return true;
}

static void note(struct track_times *times, uint64_t ns)
{
	if (times->n < TIMES)
		times->ns[times->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

bool track_mark(struct track *t, uint64_t seq, uint8_t bit)
{
	struct track_slot *s = &t->slots[seq % SLOTS];
	if (s->seq != seq || (!s->open && !s->done)) {
		t->stray++;
		return false;
	}
	if (s->done & bit) {
		t->doubled++;
		return false;
	}
	s->done |= bit;
	if (bit == TRACK_FAILED)
		t->refused++;
	else if (s->measured)
		note(bit == TRACK_ARRIVED ? &t->arrival : &t->answer, track_now() - s->due);
	if (bit == TRACK_ARRIVED)
		t->arrived++;
	if (!s->open || ((s->done & t->needed) != t->needed && bit != TRACK_FAILED))
		return false;
	s->open = false;
	t->open--;
	t->completed++;
	return true;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

void track_summarise(struct track_times *times, struct track_summary *ret)
{
	size_t n = times->n;
	*ret = (struct track_summary){.n = n};
	if (!n)
		return;
	qsort(times->ns, n, sizeof *times->ns, by_size);
	ret->p50 = times->ns[n / 2] / 1e3;
	ret->p95 = times->ns[n * 95 / 100] / 1e3;
	ret->p99 = times->ns[n * 99 / 100] / 1e3;
	ret->max = times->ns[n - 1] / 1e3;
}

double track_quantile(const struct track_times *times, double share)
{
	size_t i = (size_t)((double)times->n * share);
	return times->n ? times->ns[i < times->n ? i : times->n - 1] / 1e3 : 0;
}
