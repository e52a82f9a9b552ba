/* SPDX-License-Identifier: Apache-2.0 */
#include "app/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct suspect {
	uint64_t name;
	unsigned crashes;
	int64_t at; /* of the last one */
};

struct crash {
	char directory[512];
	int fd; /* of `under-way`; -1: it could not be opened */
	struct journal *journal;
	struct gateway_under_way *tables; /* of `workers` */
	unsigned workers;
	struct suspect *suspects;
	size_t n, room;
};

static _Atomic(struct crash *) watched;

/* ---- the process dies */

void crash_note(struct crash *c, int signo)
{
	for (unsigned i = 0; c->fd >= 0 && i < c->workers; i++)
		if (pwrite(c->fd, &c->tables[i], sizeof c->tables[i], (off_t)(i * sizeof c->tables[i])) < 0)
			break; /* nothing more can be done where we are */
	journal_crashed(c->journal, signo);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void on_crash(int signo)
{
	int keep = errno;
	struct crash *c = atomic_load(&watched);
	if (c)
		crash_note(c, signo);
	errno = keep;
	raise(signo); /* the handler is gone with this call; also where somebody else has sent the signal */
}
#endif

void crash_watch(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct sigaction a = {.sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
		sigemptyset(&a.sa_mask);
		sigaction(signals[i], &a, NULL);
	}
#endif
}

/* ---- the next one starts */

static void path_of(const struct crash *c, char dst[560], const char *name)
{
	snprintf(dst, 560, "%s/%s", c->directory, name);
}

static void add(struct crash *c, uint64_t name, unsigned crashes, int64_t at)
{
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 64;
		c->suspects = mem_realloc(c->suspects, c->room * sizeof *c->suspects);
	}
	c->suspects[c->n++] = (struct suspect){name, crashes, at};
}

static void load(struct crash *c, int64_t now)
{
	char path[560];
	unsigned long long name;
	unsigned crashes;
	long long at;
	path_of(c, path, "suspects");
	FILE *f = fopen(path, "re");
	while (f && c->n < CRASH_SUSPECTS && fscanf(f, "%llx %u %lld\n", &name, &crashes, &at) == 3)
		if (name && at + CRASH_SUSPECTS_S > now)
			add(c, name, crashes, at);
	if (f)
		fclose(f);
}

static int by_name(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;
	return (x->name > y->name) - (x->name < y->name);
}

static int newest_first(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;
	return (x->at < y->at) - (x->at > y->at);
}

static void sort(struct suspect *s, size_t n, int (*order)(const void *a, const void *b))
{
	if (n)
		qsort(s, n, sizeof *s, order);
}

/* What was under way is one crash worse than before. */
static void count(struct crash *c, int64_t now)
{
	struct crash dead = {0};
	uint64_t name;
	size_t before = c->n;
	for (off_t at = 0; pread(c->fd, &name, sizeof name, at) == (ssize_t)sizeof name; at += (off_t)sizeof name)
		if (name)
			add(&dead, name, 1, now);
	sort(dead.suspects, dead.n, by_name);
	sort(c->suspects, before, by_name);
	for (size_t i = 0; i < dead.n; i++) {
		const struct suspect *d = &dead.suspects[i];
		struct suspect *s = before ? bsearch(d, c->suspects, before, sizeof *d, by_name) : NULL;
		if (i && d->name == d[-1].name) /* two of one name are one */
			continue;
		if (s)
			*s = (struct suspect){s->name, s->crashes + 1, now};
		else
			add(c, d->name, 1, now);
	}
	sort(c->suspects, c->n, newest_first);
	if (c->n > CRASH_SUSPECTS)
		c->n = CRASH_SUSPECTS;
	mem_free(dead.suspects);
}

static bool save(const struct crash *c)
{
	char path[560], fresh[560];
	path_of(c, path, "suspects");
	path_of(c, fresh, "suspects.new");
	FILE *f = fopen(fresh, "we");
	bool ok = f != NULL;
	for (size_t i = 0; ok && i < c->n; i++)
		ok = fprintf(f, "%016llx %u %lld\n", (unsigned long long)c->suspects[i].name, c->suspects[i].crashes, (long long)c->suspects[i].at) > 0;
	ok = ok && fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (f)
		fclose(f);
	return ok && rename(fresh, path) == 0;
}

/* What was there is counted, or lost: it must not count again. The handler writes into blocks that are there, also when the disk is full. */
static bool make_room(const struct crash *c)
{
	if (c->fd < 0 || ftruncate(c->fd, 0) != 0)
		return false;
	int rc = posix_fallocate(c->fd, 0, (off_t)(c->workers * sizeof *c->tables));
	errno = rc;
	return !rc || rc == EOPNOTSUPP || rc == EINVAL; /* the file system cannot */
}

struct crash *crash_open(const char *directory, unsigned workers, struct journal *j, int signo)
{
	struct crash *c = MEM_NEW(struct crash);
	char path[560];
	int64_t now = clock_unix();
	snprintf(c->directory, sizeof c->directory, "%s", directory);
	c->journal = j;
	c->workers = workers;
	c->tables = mem_calloc(workers, sizeof *c->tables);
	path_of(c, path, "under-way");
	c->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	load(c, now);
	if (c->fd >= 0 && signo)
		count(c, now);
	bool saved = !signo || c->fd < 0 || save(c);
	int why = errno;
	if (!make_room(c) || !saved) {
		errno = saved ? errno : why;
		log_ev(LOG_WARNING, "queue/suspects", {"directory", slice_str(directory)}, {"text", slice_str(strerror(errno))});
	}
	atomic_store(&watched, c);
	return c;
}

struct crash *crash_close(struct crash *c)
{
	if (!c)
		return NULL;
	atomic_store(&watched, NULL);
	if (c->fd >= 0)
		close(c->fd);
	mem_free(c->tables);
	mem_free(c->suspects);
	return mem_free(c);
}

struct gateway_under_way *crash_under_way(struct crash *c, unsigned worker)
{
	return &c->tables[worker];
}

void crash_each(const struct crash *c, void (*fn)(void *arg, uint64_t name, unsigned crashes), void *arg)
{
	for (size_t i = 0; i < c->n; i++)
		fn(arg, c->suspects[i].name, c->suspects[i].crashes);
}
