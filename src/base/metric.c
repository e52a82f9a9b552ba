/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <stdatomic.h>
#include "base/reason.h"

struct cell {
	_Alignas(64) _Atomic int64_t v[METRIC_COUNT];
	_Atomic int64_t h[HISTOGRAM_COUNT][METRIC_BUCKETS + 2]; /* each bucket by itself, what is above, and the sum */
};

static const uint32_t bounds[METRIC_BUCKETS] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 30000, 60000};

static struct cell cells[METRIC_THREADS];
static _Atomic int64_t refused[REASON_COUNT], denied[REASON_COUNT];
static atomic_uint next_cell;
static _Thread_local unsigned my_cell; /* index + 1 */

static struct cell *mine(void)
{
	if (!my_cell) {
		unsigned i = atomic_fetch_add(&next_cell, 1);
		my_cell = (i < METRIC_THREADS ? i : METRIC_THREADS - 1) + 1;
	}
	return &cells[my_cell - 1];
}

void metric_add(enum metric m, int64_t delta)
{
	atomic_fetch_add_explicit(&mine()->v[m], delta, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
	int64_t sum = 0;
	for (unsigned i = 0; i < METRIC_THREADS; i++)
		sum += atomic_load_explicit(&cells[i].v[m], memory_order_relaxed);
	return sum;
}

const struct metric_info *metric_info(enum metric m)
{
	static const struct metric_info info[METRIC_COUNT] = {
#define METRIC(name, kind, prom, labels, help) [METRIC_##name] = {prom, #kind, labels, help},
#include "base/metric.def"
#undef METRIC
#undef HISTOGRAM
	};
	return &info[m];
}

const struct metric_info *metric_asked_info(enum metric_asked m)
{
	static const struct metric_info info[METRIC_ASKED_COUNT] = {
#define ASKED(name, kind, prom, labels, help) [METRIC_ASKED_##name] = {prom, #kind, labels, help},
#include "base/metric_asked.def"
#undef ASKED
	};
	return &info[m];
}

void metric_refused(int reason)
{
	if (reason > 0 && reason < REASON_COUNT) {
		atomic_fetch_add_explicit(&refused[reason], 1, memory_order_relaxed);
		metric_add(METRIC_REFUSED, 1);
	}
}

int64_t metric_refused_get(int reason)
{
	return reason > 0 && reason < REASON_COUNT ? atomic_load_explicit(&refused[reason], memory_order_relaxed) : 0;
}

void metric_decided(int reason)
{
	if (reason > 0 && reason < REASON_COUNT)
		atomic_fetch_add_explicit(&denied[reason], 1, memory_order_relaxed);
	else
		metric_add(METRIC_POLICY_ALLOWED, 1);
}

int64_t metric_denied_get(int reason)
{
	return reason > 0 && reason < REASON_COUNT ? atomic_load_explicit(&denied[reason], memory_order_relaxed) : 0;
}

/* ---- histograms */

void metric_observe(enum metric_histogram h, uint64_t ms)
{
	_Atomic int64_t *v = mine()->h[h];
	unsigned i = 0;
	while (i < METRIC_BUCKETS && ms > bounds[i])
		i++;
	atomic_fetch_add_explicit(&v[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&v[METRIC_BUCKETS + 1], (int64_t)ms, memory_order_relaxed);
}

void metric_histogram_get(enum metric_histogram h, struct metric_histogram_value *ret)
{
	int64_t all = 0;
	*ret = (struct metric_histogram_value){0};
	for (unsigned b = 0; b <= METRIC_BUCKETS; b++) {
		for (unsigned i = 0; i < METRIC_THREADS; i++)
			all += atomic_load_explicit(&cells[i].h[h][b], memory_order_relaxed);
		ret->buckets[b] = all;
	}
	for (unsigned i = 0; i < METRIC_THREADS; i++)
		ret->sum_ms += atomic_load_explicit(&cells[i].h[h][METRIC_BUCKETS + 1], memory_order_relaxed);
}

const struct metric_info *metric_histogram_info(enum metric_histogram h)
{
	static const struct metric_info info[HISTOGRAM_COUNT] = {
#define HISTOGRAM(name, prom, labels, help) [HISTOGRAM_##name] = {prom, "histogram", labels, help},
#include "base/metric.def"
#undef METRIC
#undef HISTOGRAM
	};
	return &info[h];
}

uint32_t metric_bucket(unsigned index)
{
	return index < METRIC_BUCKETS ? bounds[index] : UINT32_MAX;
}
