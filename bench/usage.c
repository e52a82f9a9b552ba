/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <errno.h>
#include <time.h>
#include "base/slice.h"
#include "track.h"

int usage_pids(const char *text, int ret[USAGE_PIDS])
{
	struct slice rest = slice_str(text);
	int n = 0;
	while (rest.len) {
		uint64_t pid;
		if (n == USAGE_PIDS || !slice_u64(slice_split(&rest, ','), 1 << 22, &pid))
			return -1;
		ret[n++] = (int)pid;
	}
	return n;
}

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts;
	return clock_gettime(id, &ts) ? 0 : (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* utime and stime, the 14th and 15th field of /proc/PID/stat; the 2nd is in brackets and may hold anything. */
static void ticks(int pid, struct usage *u)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	text[len] = '\0';
	const char *end = strrchr(text, ')');
	struct slice rest = end ? slice_str(end + 1) : SLICE_NONE;
	slice_split(&rest, ' ');
	for (int field = 3; rest.len && field <= 15; field++) {
		uint64_t v;
		struct slice s = slice_split(&rest, ' ');
		if (field == 14 && slice_u64(s, UINT64_MAX, &v))
			u->user += v;
		if (field == 15 && slice_u64(s, UINT64_MAX, &v))
			u->system += v;
	}
}

void usage_take(const int *pids, size_t n, struct usage *ret)
{
	*ret = (struct usage){.at = track_now(), .self = clock_of(CLOCK_PROCESS_CPUTIME_ID)};
	for (size_t i = 0; i < n; i++) {
		clockid_t id;
		if (!clock_getcpuclockid(pids[i], &id))
			ret->cpu += clock_of(id);
		ticks(pids[i], ret);
	}
}
