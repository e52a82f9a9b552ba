/* SPDX-License-Identifier: Apache-2.0 */
/* Process-wide metrics, one table (base/metric.def). Relaxed atomics in per-thread cells: adding never contends.
 * Any thread; reading sums the cells. Threads beyond METRIC_THREADS share the last cell. */
#pragma once
#include <stdint.h>

enum metric {
#define METRIC(name, kind, prom, labels, help) METRIC_##name,
#include "base/metric.def"
#undef METRIC
#undef HISTOGRAM
	METRIC_COUNT
};
enum metric_histogram {
#define HISTOGRAM(name, prom, labels, help) HISTOGRAM_##name,
#include "base/metric.def"
#undef METRIC
#undef HISTOGRAM
	HISTOGRAM_COUNT
};

/* Looked up when somebody asks. */
enum metric_asked {
#define ASKED(name, kind, prom, labels, help) METRIC_ASKED_##name,
#include "base/metric_asked.def"
#undef ASKED
	METRIC_ASKED_COUNT
};

enum { METRIC_THREADS = 64, METRIC_BUCKETS = 16, METRIC_PARTNERS_MAX = 2000 };

struct metric_info {
	const char *prom, *kind, *labels, *help; /* labels: a=b,c=d or empty; help: of the first of its name */
};

void metric_add(enum metric m, int64_t delta);
int64_t metric_get(enum metric m);
const struct metric_info *metric_info(enum metric m);
const struct metric_info *metric_asked_info(enum metric_asked m); /* labels: their names alone */
/* One per reason ID, counted apart from the table. */
void metric_refused(int reason);
int64_t metric_refused_get(int reason);
/* A decision of the policy about a message, stanza or request: REASON_NONE allowed it. */
void metric_decided(int reason);
int64_t metric_denied_get(int reason);

/* Something took so long. As cheap as metric_add. */
void metric_observe(enum metric_histogram h, uint64_t ms);
struct metric_histogram_value {
	int64_t buckets[METRIC_BUCKETS + 1]; /* each with those below it; the last one is all */
	int64_t sum_ms;
};
void metric_histogram_get(enum metric_histogram h, struct metric_histogram_value *ret);
const struct metric_info *metric_histogram_info(enum metric_histogram h); /* kind "histogram" */
/* Upper end of a bucket in ms. */
uint32_t metric_bucket(unsigned index);
