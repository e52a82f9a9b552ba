/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the test's own, entries whose octets say who they are, and what a journal reports. Include after cmocka.h. */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "journal/io.h"
#include "journal/journal.h"
#include "journal/record.h"

#define UNUSED __attribute__((unused))

static char scratch[64];

static UNUSED void empty_directory(const char *dir)
{
	char path[400];
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%.120s/%.255s", dir, e->d_name);
		if (unlink(path) != 0) {
			empty_directory(path);
			rmdir(path);
		}
	}
	if (d)
		closedir(d);
}

static UNUSED int scratch_make(void **state)
{
	(void)state;
	snprintf(scratch, sizeof scratch, "/tmp/entente-journal-XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static UNUSED int scratch_remove(void **state)
{
	(void)state;
	empty_directory(scratch);
	return rmdir(scratch);
}

enum { SEEN_MAX = 200000 };
/* What an opening found. */
static struct {
	size_t n;
	uint64_t ids[SEEN_MAX];
	struct journal_marks marks[SEEN_MAX];
	struct journal_report report;
} seen;

static UNUSED int on_recovered(void *arg, const struct journal_entry *e)
{
	(void)arg;
	assert_true(seen.n < SEEN_MAX);
	if (seen.n)
		assert_true(e->id > seen.ids[seen.n - 1]); /* in order */
	assert_true(e->head.partner.len > 0 && e->octets > 0);
	seen.marks[seen.n] = e->head.marks;
	seen.ids[seen.n++] = e->id;
	return 0;
}

static UNUSED struct journal_options options(void)
{
	return (struct journal_options){.directory = scratch, .segment = JOURNAL_SEGMENT_MIN, .reserve = 0, .recovered = on_recovered};
}

static UNUSED struct journal *open_with(struct journal_options o)
{
	struct journal *j = NULL;
	struct entente_err err = {0};
	seen.n = 0;
	if (journal_open(&j, &o, &seen.report, &err))
		fail_msg("%s", err.text);
	return j;
}

static UNUSED bool was_seen(uint64_t id)
{
	for (size_t i = 0; i < seen.n; i++)
		if (seen.ids[i] == id)
			return true;
	return false;
}

/* The octets of entry number `tag`: it can be told from them whether they are whole. */
static UNUSED struct slice octets_of(unsigned tag, size_t size, char *mem)
{
	for (size_t i = 0; i < size; i++)
		mem[i] = (char)(tag * 31 + i * 7 + (i >> 8));
	snprintf(mem, size, "%u", tag);
	return slice_of(mem, size);
}

static UNUSED int put_as(struct journal *j, bool lazy, unsigned tag, size_t size, const char *partner, journal_done *done, void *arg, uint64_t *ret_id)
{
	char mem[20000];
	struct journal_head h = {.partner = slice_str(partner), .pair = S("romeo\njuliet"), .accepted_at = 1000 + tag, .expires_at = 2000 + tag, .kind = 3, .flags = 5,
				 .lazy = lazy};
	return journal_put(j, &h, octets_of(tag, size, mem), done, arg, ret_id);
}

static UNUSED int put_tag(struct journal *j, unsigned tag, size_t size, const char *partner, journal_done *done, void *arg, uint64_t *ret_id)
{
	return put_as(j, false, tag, size, partner, done, arg, ret_id);
}

/* An answer to wait for. */
struct wait {
	sem_t sem;
	int code;
	uint64_t id;
	struct journal_head head;
	struct entente_err err;
	char partner[64], pair[64], octets[20000];
	size_t len;
};

static UNUSED void on_done(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	struct wait *w = arg;
	w->id = id;
	w->code = code;
	w->err = err ? *err : (struct entente_err){0};
	assert_true(!code == !err);
	sem_post(&w->sem);
}

static UNUSED int put_wait(struct journal *j, unsigned tag, size_t size, const char *partner, uint64_t *ret_id)
{
	struct wait w;
	sem_init(&w.sem, 0, 0);
	int rc = put_tag(j, tag, size, partner, on_done, &w, ret_id);
	if (rc)
		return rc;
	sem_wait(&w.sem);
	sem_destroy(&w.sem);
	assert_int_equal(w.id, *ret_id);
	return w.code;
}

static UNUSED void on_read(void *arg, int code, const struct journal_entry *e, struct slice octets)
{
	struct wait *w = arg;
	w->code = code;
	w->id = e->id;
	w->head = e->head;
	slice_cstr(e->head.partner, w->partner, sizeof w->partner);
	slice_cstr(e->head.pair, w->pair, sizeof w->pair);
	w->len = octets.len;
	if (octets.len)
		memcpy(w->octets, octets.p, octets.len);
	sem_post(&w->sem);
}

/* Code; *ret_tag what the octets say, after they were found whole. */
static UNUSED int read_wait(struct journal *j, uint64_t id, unsigned *ret_tag)
{
	static struct wait w;
	char want[20000];
	sem_init(&w.sem, 0, 0);
	int rc = journal_read(j, id, on_read, &w);
	if (!rc) {
		sem_wait(&w.sem);
		rc = w.code;
	}
	sem_destroy(&w.sem);
	if (rc)
		return rc;
	unsigned tag = (unsigned)strtoul(w.octets, NULL, 10);
	assert_int_equal(w.id, id);
	octets_of(tag, w.len, want);
	assert_memory_equal(want, w.octets, w.len);
	assert_string_equal(w.pair, "romeo\njuliet");
	assert_int_equal(w.head.accepted_at, 1000 + tag);
	assert_int_equal(w.head.expires_at, 2000 + tag);
	assert_int_equal(w.head.kind, 3);
	assert_int_equal(w.head.flags, 5);
	*ret_tag = tag;
	return 0;
}

/* Names of the segment files, sorted. */
static UNUSED unsigned segment_files(char names[][64], unsigned max)
{
	unsigned n = 0;
	DIR *d = opendir(scratch);
	for (struct dirent *e; d && (e = readdir(d));)
		if (n < max && strlen(e->d_name) == 24 && strcmp(e->d_name + 16, ".journal") == 0)
			snprintf(names[n++], 64, "%.40s", e->d_name);
	closedir(d);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = i + 1; k < n; k++)
			if (strcmp(names[i], names[k]) > 0) {
				char t[64];
				memcpy(t, names[i], 64);
				memcpy(names[i], names[k], 64);
				memcpy(names[k], t, 64);
			}
	return n;
}

static UNUSED size_t file_load(const char *dir, const char *name, char *mem, size_t max)
{
	char path[200];
	snprintf(path, sizeof path, "%.120s/%.70s", dir, name);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, mem, max);
	close(fd);
	assert_true(n >= 0);
	return (size_t)n;
}

static UNUSED void file_store(const char *dir, const char *name, const char *mem, size_t n)
{
	char path[200];
	snprintf(path, sizeof path, "%.120s/%.70s", dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, mem, n), n);
	close(fd);
}
