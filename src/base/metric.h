/* SPDX-License-Identifier: Apache-2.0 */
/* Process-wide metrics, one table (base/metric.def). Relaxed atomics in per-thread cells: adding never contends.
 * Any thread; reading sums the cells. Threads beyond METRIC_THREADS share the last cell. */
#pragma once
#include <stdint.h>

enum metric {
#define METRIC(name, kind, prom, help) METRIC_##name,
#include "base/metric.def"
#undef METRIC
	METRIC_COUNT
};

enum { METRIC_THREADS = 64 };

struct metric_info {
	const char *prom, *kind, *help;
};

void metric_add(enum metric m, int64_t delta);
int64_t metric_get(enum metric m);
const struct metric_info *metric_info(enum metric m);
/* One per reason ID, counted apart from the table. */
void metric_refused(int reason);
int64_t metric_refused_get(int reason);
