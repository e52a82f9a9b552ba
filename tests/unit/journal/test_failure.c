/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that fail: the nth of each kind, for a while; a full disk; a reserve. What was told to be durable stays, what was refused never comes back, and the journal
 * finds out by itself when it can write again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "rig.h"

enum kind { OPENAT, PWRITE, FALLOCATE, FTRUNCATE, FDATASYNC, FSYNC, RENAMEAT, UNLINKAT, KINDS };
static const char *const kind_names[] = {"openat", "pwrite", "fallocate", "ftruncate", "fdatasync", "fsync", "renameat", "unlinkat"};
static _Atomic int calls[KINDS], fail_from, fail_count, fail_errno;
static _Atomic int fail_kind = -1;
static _Atomic uint64_t disk_free, disk_total; /* disk_total 0: the real one */

static bool fails(enum kind k)
{
	int n = atomic_fetch_add(&calls[k], 1);
	if ((int)k != fail_kind || n < fail_from || n >= fail_from + fail_count)
		return false;
	errno = fail_errno;
	return true;
}

static int io_open(int dir, const char *name, int flags, unsigned mode)
{
	return fails(OPENAT) ? -1 : journal_io_system.openat(dir, name, flags, mode);
}

static ssize_t io_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (fails(PWRITE)) {
		ssize_t some = n > 100 && calls[PWRITE] % 2 ? pwrite(fd, p, n / 2, at) : -1; /* some of it is there all the same */
		errno = fail_errno;
		return errno == ENOSPC ? some : -1;
	}
	return pwrite(fd, p, n, at);
}

static int io_fallocate(int fd, off_t len)
{
	if (disk_total && disk_free < (uint64_t)len) {
		errno = ENOSPC;
		return -1;
	}
	return fails(FALLOCATE) ? -1 : journal_io_system.fallocate(fd, len);
}

static int io_ftruncate(int fd, off_t len)
{
	return fails(FTRUNCATE) ? -1 : ftruncate(fd, len);
}

static int io_fdatasync(int fd)
{
	(void)fd; /* nothing here needs the disk */
	return fails(FDATASYNC) ? -1 : 0;
}

static int io_fsync(int fd)
{
	(void)fd;
	return fails(FSYNC) ? -1 : 0;
}

static int io_rename(int dir, const char *from, const char *to)
{
	return fails(RENAMEAT) ? -1 : journal_io_system.renameat(dir, from, to);
}

static int io_unlink(int dir, const char *name)
{
	if (fails(UNLINKAT))
		return -1;
	return journal_io_system.unlinkat(dir, name);
}

static int io_free(int dir, uint64_t *ret_free, uint64_t *ret_total)
{
	if (!disk_total)
		return journal_io_system.free_space(dir, ret_free, ret_total);
	*ret_free = disk_free;
	*ret_total = disk_total;
	return 0;
}

static const struct journal_io io = {io_open, close, pread, io_pwrite, io_fallocate, io_ftruncate, io_fdatasync, io_fsync, io_rename, io_unlink, io_free};

static _Atomic int failing_now, times_failing;
static char why[256];

static void on_health(void *arg, bool failing, const struct entente_err *err)
{
	(void)arg;
	if (failing == (failing_now != 0) || failing != (err != NULL))
		times_failing = 10000; /* told twice, or the wrong thing */
	failing_now = failing;
	times_failing += failing;
	if (err)
		snprintf(why, sizeof why, "%s", err->text);
}

static struct journal_options failing_options(void)
{
	struct journal_options o = options();
	o.io = &io;
	o.health = on_health;
	o.probe_ms = 5;
	fail_kind = -1;
	failing_now = times_failing = 0;
	for (unsigned i = 0; i < KINDS; i++)
		calls[i] = 0;
	return o;
}

enum { ENTRIES = 240 };
static struct {
	uint64_t id;
	int code;
	bool ended;
} book[ENTRIES];

static void note(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	(void)id, (void)err;
	book[(size_t)(uintptr_t)arg].code = code;
}

/* Some hundred entries over several segments, most of which end, while calls fail. How many were taken. */
static unsigned load(struct journal *j)
{
	unsigned taken = 0;
	for (unsigned i = 0; i < ENTRIES; i++) {
		book[i].id = 0;
		book[i].ended = false;
		book[i].code = 12345; /* the completion says */
		int rc = put_as(j, i % 3 == 0, i, 900, "a", note, (void *)(uintptr_t)i, &book[i].id);
		if (rc) {
			book[i].code = rc;
			book[i].id = 0;
		}
		if (i % 8 == 7)
			journal_flush(j);
		if (i >= 20 && i % 10 && book[i - 20].id) {
			journal_end(j, book[i - 20].id);
			book[i - 20].ended = true;
		}
		if (i % 120 == 100)
			usleep(6000); /* a probe passes */
	}
	journal_flush(j);
	for (unsigned i = 0; i < ENTRIES; i++) {
		assert_int_not_equal(book[i].code, 12345);
		taken += book[i].code == 0;
	}
	return taken;
}

static const char *round_name = "";
static int round_n;

static void check(struct journal *j)
{
	unsigned there = 0, tag;
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!book[i].id)
			continue;
		bool wanted = !book[i].code && !book[i].ended;
		if (was_seen(book[i].id) != wanted)
			fail_msg("%s from the %dth: entry %u: code %d, ended %d, seen %d", round_name, round_n, i, book[i].code, book[i].ended, was_seen(book[i].id));
		there += wanted;
		if (wanted) {
			assert_int_equal(read_wait(j, book[i].id, &tag), 0);
			assert_int_equal(tag, i);
		}
	}
	assert_int_equal(seen.n, there);
	assert_int_equal(seen.report.lost, 0);
}

static void wait_fine(struct journal *j)
{
	for (unsigned i = 0; i < 5000 && journal_room(j, S("a"), 100) != 0; i++)
		usleep(2000);
	assert_int_equal(journal_room(j, S("a"), 100), 0);
	assert_int_equal(failing_now, 0);
}

/* Every kind of call fails from its nth on, once, or ten times. */
static void test_nth_failure(void **state)
{
	(void)state;
	static const int errors[] = {EIO, ENOSPC, EDQUOT};
	unsigned told[KINDS] = {0}, refused[KINDS] = {0}, run = 0;
	for (unsigned k = 0; k < KINDS; k++)
		for (int n = 0; n < 40; n += n < 6 ? 1 : 9, run++) {
			empty_directory(scratch);
			struct journal_options o = failing_options();
			struct journal *j = open_with(o);
			fail_errno = errors[run % 3];
			fail_count = run % 2 ? 10 : 1;
			fail_from = calls[k] + n;
			fail_kind = (int)k;
			unsigned taken = load(j);
			fail_kind = -1;
			wait_fine(j);
			uint64_t id;
			assert_int_equal(put_wait(j, 5, 100, "a", &id), 0); /* it works again */
			assert_int_equal(journal_end(j, id), 0);
			assert_int_equal(journal_flush(j), 0);
			assert_true(times_failing < 1000);
			told[k] += times_failing != 0;
			refused[k] += taken < ENTRIES;
			journal_close(j);
			o.io = NULL;
			j = open_with(o);
			round_name = kind_names[k];
			round_n = n;
			check(j);
			journal_close(j);
		}
	for (unsigned k = 0; k < KINDS; k++)
		print_message("# %s: told %u times, puts refused %u times\n", kind_names[k], told[k], refused[k]);
	assert_true(refused[PWRITE] && refused[FDATASYNC] && told[FALLOCATE] && told[RENAMEAT] && told[FSYNC]);
}

/* The disk is full: puts are refused, what is there can be read and ended, and all goes on when there is space. */
static void test_disk_full(void **state)
{
	(void)state;
	struct journal_options o = failing_options();
	o.probe_ms = 0; /* as it is */
	disk_total = 100 << 20;
	disk_free = 50 << 20;
	o.reserve = 10 << 20;
	struct journal *j = open_with(o);
	uint64_t id[400], n = 0, extra;
	unsigned tag;
	while (n < 100)
		assert_int_equal(put_wait(j, (unsigned)n, 900, "a", &id[n]), 0), n++;
	disk_free = (10 << 20) + 1000; /* the reserve is all there is */
	int rc;
	while (n < 400 && !(rc = put_wait(j, (unsigned)n, 900, "a", &id[n])))
		n++;
	assert_int_equal(rc, ENTENTE_EIO);
	assert_int_equal(journal_room(j, S("a"), 100), ENTENTE_EIO);
	assert_int_equal(failing_now, 1);
	assert_non_null(strstr(why, "full"));
	struct journal_stats s;
	journal_stats(j, &s);
	assert_true(s.failing);
	assert_int_equal(s.entries, n);
	for (unsigned i = 0; i < n; i += 7) {
		assert_int_equal(read_wait(j, id[i], &tag), 0);
		assert_int_equal(tag, i);
	}
	/* ends are written in what is left */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(journal_end(j, id[i]), 0);
	journal_flush(j);
	journal_stats(j, &s);
	assert_int_equal(s.ends, 10);
	assert_true(s.failing);
	uint64_t began = clock_ms();
	disk_free = 50 << 20;
	wait_fine(j);
	print_message("# writes again %u ms after there was space\n", (unsigned)(clock_ms() - began)); /* told, not asserted: the machine may be busy */
	assert_int_equal(put_wait(j, 999, 900, "a", &extra), 0);
	journal_close(j);
	disk_total = 0;
	j = open_with(options());
	assert_int_equal(seen.n, n - 10 + 1);
	assert_false(was_seen(id[9]));
	assert_true(was_seen(id[10]) && was_seen(extra));
	journal_close(j);
}

/* Full from the start: it opens, tells what is there, has no room; and what ends gives it files to go on with, without a free octet. */
static void test_opened_full(void **state)
{
	(void)state;
	struct journal_options o = failing_options();
	struct journal *j = open_with(o);
	uint64_t id[300], other;
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(put_tag(j, i, 900, "a", NULL, NULL, &id[i]), 0);
	assert_int_equal(journal_flush(j), 0);
	journal_close(j);
	char path[200];
	snprintf(path, sizeof path, "%s/spare", scratch);
	unlink(path);
	disk_total = 100 << 20;
	disk_free = 0;
	o = failing_options();
	o.reserve = 10 << 20;
	j = open_with(o);
	assert_int_equal(seen.n, 300);
	assert_int_equal(failing_now, 1);
	assert_int_equal(put_tag(j, 1, 100, "a", NULL, NULL, &other), ENTENTE_EIO);
	unsigned tag;
	assert_int_equal(read_wait(j, id[0], &tag), 0);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(journal_end(j, id[i]), 0);
	journal_flush(j);
	wait_fine(j);
	assert_int_equal(put_wait(j, 7, 900, "a", &other), 0);
	journal_close(j);
	disk_total = 0;
	j = open_with(options());
	assert_int_equal(seen.n, 101);
	assert_int_equal(seen.ids[0], id[200]);
	journal_close(j);
}

/* The default reserve: 5 % of the file system, 256 MiB at most. */
static void test_reserve(void **state)
{
	(void)state;
	static const struct {
		uint64_t total, free;
		bool room;
	} cases[] = {
		{100 << 20, (5 << 20) + JOURNAL_SEGMENT_MIN, true},
		{100 << 20, (5 << 20) + JOURNAL_SEGMENT_MIN - 1, false},
		{(uint64_t)1 << 40, (256u << 20) + JOURNAL_SEGMENT_MIN, true},
		{(uint64_t)1 << 40, (256u << 20) + JOURNAL_SEGMENT_MIN - 1, false},
		{100 << 20, 0, false},
	};
	for (unsigned i = 0; i < 5; i++) {
		empty_directory(scratch);
		struct journal_options o = failing_options();
		o.reserve = UINT64_MAX;
		disk_total = cases[i].total;
		disk_free = cases[i].free;
		struct journal *j = open_with(o);
		assert_int_equal(journal_room(j, S("a"), 10), cases[i].room ? 0 : ENTENTE_EIO);
		journal_limits(j, 0, 0, 0, 0);
		if (cases[i].free)
			wait_fine(j); /* a reserve of nothing, set while it runs */
		journal_close(j);
	}
	disk_total = 0;
}

/* What cannot be read back is told, and is no reason to stop. */
static void test_damaged_while_running(void **state)
{
	(void)state;
	struct journal *j = open_with(options());
	uint64_t id[3];
	unsigned tag;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(put_wait(j, i, 500, "a", &id[i]), 0);
	char names[4][64], path[200];
	assert_int_equal(segment_files(names, 4), 1);
	snprintf(path, sizeof path, "%s/%s", scratch, names[0]);
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, JOURNAL_SEGMENT_HEAD + 200), 1);
	close(fd);
	assert_int_equal(read_wait(j, id[0], &tag), ENTENTE_ESTORE);
	assert_int_equal(read_wait(j, id[1], &tag), 0);
	struct journal_stats s;
	journal_stats(j, &s);
	assert_int_equal(s.damaged, 1);
	assert_int_equal(s.entries, 3);
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nth_failure, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_disk_full, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_opened_full, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_reserve, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_damaged_while_running, scratch_make, scratch_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
