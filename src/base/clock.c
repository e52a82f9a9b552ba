/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t clock_unix(void)
{
	return (int64_t)time(NULL);
}

void clock_text_at(int64_t unix_seconds, char dst[CLOCK_TEXT])
{
	time_t s = (time_t)unix_seconds;
	struct tm tm;
	gmtime_r(&s, &tm);
	strftime(dst, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_text(char dst[CLOCK_TEXT])
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	clock_text_at(t.tv_sec, dst);
	size_t n = strlen(dst) - 1;
	snprintf(dst + n, CLOCK_TEXT - n, ".%03ldZ", t.tv_nsec / 1000000);
}
