/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <stdatomic.h>
#include "base/reason.h"

struct cell {
	_Alignas(64) _Atomic int64_t v[METRIC_COUNT];
};

static struct cell cells[METRIC_THREADS];
static _Atomic int64_t refused[REASON_COUNT];
static atomic_uint next_cell;
static _Thread_local unsigned my_cell; /* index + 1 */

void metric_add(enum metric m, int64_t delta)
{
	if (!my_cell) {
		unsigned i = atomic_fetch_add(&next_cell, 1);
		my_cell = (i < METRIC_THREADS ? i : METRIC_THREADS - 1) + 1;
	}
	atomic_fetch_add_explicit(&cells[my_cell - 1].v[m], delta, memory_order_relaxed);
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
#define METRIC(name, kind, prom, help) [METRIC_##name] = {prom, #kind, help},
#include "base/metric.def"
#undef METRIC
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
