/* SPDX-License-Identifier: Apache-2.0 */
#include "app/queue_clock.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"

static char this_boot[QUEUE_CLOCK_BOOT];

void queue_clock_look(void)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!f || fscanf(f, "%63s", this_boot) != 1)
		this_boot[0] = '\0';
	if (f)
		fclose(f);
}

int64_t queue_clock_begin(const struct queue_clock_reading *saved, const char *boot, uint64_t ms, int64_t unix_now, int64_t youngest)
{
	if (!saved) /* the first time, or the file is lost: nobody is older than when the last one came */
		return youngest && youngest < unix_now ? youngest : unix_now;
	if (*boot && !strcmp(boot, saved->boot) && ms >= saved->ms)
		return saved->at + (int64_t)((ms - saved->ms) / 1000);
	return saved->at;
}

void queue_clock_open(struct queue_clock *c, const char *directory, int64_t youngest)
{
	struct queue_clock_reading saved = {0};
	long long at;
	unsigned long long ms;
	snprintf(c->path, sizeof c->path, "%s/clock", directory);
	FILE *f = fopen(c->path, "re");
	bool there = f && fscanf(f, "%63s %lld %llu", saved.boot, &at, &ms) == 3;
	if (f)
		fclose(f);
	if (there) {
		saved.at = at;
		saved.ms = ms;
	}
	c->base.ms = clock_ms();
	c->base.at = queue_clock_begin(there ? &saved : NULL, this_boot, c->base.ms, clock_unix(), youngest);
	queue_clock_save(c, true);
}

int64_t queue_clock_now(const struct queue_clock *c)
{
	return c->base.at + (int64_t)((clock_ms() - c->base.ms) / 1000);
}

/* Not synced: after a power cut the one before is there, or none. */
void queue_clock_save(struct queue_clock *c, bool at_once)
{
	char fresh[600];
	uint64_t ms = clock_ms();
	if (!*c->path || (!at_once && ms < c->saved_ms + QUEUE_CLOCK_SAVE_MS))
		return;
	c->saved_ms = ms;
	snprintf(fresh, sizeof fresh, "%s.new", c->path);
	FILE *f = fopen(fresh, "we");
	bool ok = f && fprintf(f, "%s %lld %llu\n", *this_boot ? this_boot : "-", (long long)queue_clock_now(c), (unsigned long long)ms) > 0 && !fflush(f);
	if (f)
		fclose(f);
	if (ok && rename(fresh, c->path)) /* the one before stays, and texts are a little younger after the next start of the machine */
		return;
}
