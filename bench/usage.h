/* SPDX-License-Identifier: Apache-2.0 */
/* What some processes, threads included, have used of the processors since they began. Linux. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { USAGE_PIDS = 64 };

struct usage {
	uint64_t at;           /* monotonic nanoseconds */
	uint64_t cpu;          /* nanoseconds, exact */
	uint64_t user, system; /* clock ticks, coarse: only their proportion is used */
	uint64_t self;         /* nanoseconds of this process */
};

/* Comma-separated process ids. How many, or -1 when malformed. */
int usage_pids(const char *text, int ret[USAGE_PIDS]);
/* Processes that are gone count as nothing. */
void usage_take(const int *pids, size_t n, struct usage *ret);
