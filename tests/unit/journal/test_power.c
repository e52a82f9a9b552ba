/* SPDX-License-Identifier: Apache-2.0 */
/* The power goes at any moment: of what was written and not synced, any sectors of 512 octets are on the disk and any are not, and of what was done to the directory and
 * not synced, any of it. A model of the disk stands behind the table of system calls; at chosen calls it makes a directory as the power cut would have left it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/list.h"
#include "rig.h"

enum { SECTOR = 512, FILES = 64, PENDING = 4096, ENTRIES = 1500, CUTS = 40, IMAGE = JOURNAL_SEGMENT_MIN + 1024 };

struct inode {
	char durable[IMAGE];
	size_t durable_len;
	struct change {
		enum { WRITE, LENGTH } what;
		size_t at, len;
		char *octets;
	} pending[PENDING];
	unsigned n_pending, fds[16], n_fds; /* which descriptors are it */
	bool used;
};
static struct inode inodes[FILES];

struct name {
	char name[64];
	int inode; /* -1: none of that name */
};
static struct name durable_names[FILES], current_names[FILES];
static struct dir_change {
	char from[64], to[64]; /* to empty: removed; from empty: made */
	int inode;
} dir_pending[256];
static unsigned n_dir_pending, n_calls, next_cut, n_cuts;
static uint32_t seed;

static uint32_t chance(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* ---- what the test knows ---- */
static _Atomic uint64_t ids[ENTRIES];
static _Atomic uint8_t told[ENTRIES], ended[ENTRIES], settled[ENTRIES];
static struct cut {
	uint64_t ids[ENTRIES];
	uint8_t told[ENTRIES], ended[ENTRIES], settled[ENTRIES];
	char dir[128];
} cuts[CUTS];

static int find_name(struct name *t, const char *name)
{
	for (int i = 0; i < FILES; i++)
		if (t[i].name[0] && strcmp(t[i].name, name) == 0)
			return i;
	return -1;
}

static void set_name(struct name *t, const char *name, int inode)
{
	int i = find_name(t, name);
	for (int k = 0; i < 0 && k < FILES; k++)
		if (!t[k].name[0])
			i = k;
	assert_true(i >= 0);
	snprintf(t[i].name, sizeof t[i].name, "%s", inode < 0 ? "" : name);
	t[i].inode = inode;
}

static void apply_dir(struct name *t, const struct dir_change *c)
{
	if (c->from[0]) {
		int i = find_name(t, c->from);
		if (i < 0 || t[i].inode != c->inode)
			return;
		set_name(t, c->from, -1);
	}
	if (c->to[0])
		set_name(t, c->to, c->inode);
}

static void apply(char *mem, size_t *len, const struct change *c, bool some)
{
	if (c->what == LENGTH) {
		if (c->len > *len)
			memset(mem + *len, 0, c->len - *len);
		*len = c->len;
		return;
	}
	for (size_t at = c->at; at < c->at + c->len;) {
		size_t end = (at / SECTOR + 1) * SECTOR;
		end = end < c->at + c->len ? end : c->at + c->len;
		if (!some || chance(2)) {
			if (end > *len) {
				if (at > *len)
					memset(mem + *len, 0, at - *len);
				*len = end;
			}
			memcpy(mem + at, c->octets + (at - c->at), end - at);
		}
		at = end;
	}
}

/* ---- the cut ---- */
static void cut_power(void)
{
	struct cut *c = &cuts[n_cuts];
	static struct name names[FILES];
	static char mem[IMAGE];
	snprintf(c->dir, sizeof c->dir, "%s/cut-%u", scratch, n_cuts++);
	mkdir(c->dir, 0700);
	for (unsigned i = 0; i < ENTRIES; i++) {
		c->ids[i] = ids[i];
		c->told[i] = told[i];
		c->settled[i] = settled[i]; /* before `ended`: the other thread goes on */
		c->ended[i] = ended[i];
	}
	memcpy(names, durable_names, sizeof names);
	unsigned mode = chance(4); /* nothing of it, all of it, the first part, any part */
	unsigned upto = mode == 0 ? 0 : mode == 1 ? n_dir_pending : chance(n_dir_pending + 1);
	for (unsigned i = 0; i < n_dir_pending; i++)
		if (mode == 3 ? chance(2) : i < upto)
			apply_dir(names, &dir_pending[i]);
	for (unsigned i = 0; i < FILES; i++) {
		if (!names[i].name[0])
			continue;
		struct inode *f = &inodes[names[i].inode];
		size_t len = f->durable_len;
		memcpy(mem, f->durable, len);
		unsigned m = chance(4);
		for (unsigned k = 0; k < f->n_pending; k++)
			if (m == 0)
				apply(mem, &len, &f->pending[k], false);
			else if (m > 1 && (f->pending[k].what == WRITE || chance(2)))
				apply(mem, &len, &f->pending[k], true);
		file_store(c->dir, names[i].name, mem, len);
	}
}

static void step(void)
{
	if (++n_calls >= next_cut && n_cuts < CUTS) {
		cut_power();
		next_cut = n_calls + 1 + chance(40);
	}
}

/* ---- the calls ---- */
static struct inode *inode_of(int fd)
{
	for (unsigned i = 0; i < FILES; i++)
		for (unsigned k = 0; k < inodes[i].n_fds; k++)
			if (inodes[i].fds[k] == (unsigned)fd)
				return &inodes[i];
	return NULL;
}

static void add_change(struct inode *f, struct change c, const void *octets)
{
	assert_true(f->n_pending < PENDING);
	if (octets) {
		c.octets = malloc(c.len);
		memcpy(c.octets, octets, c.len);
	}
	f->pending[f->n_pending++] = c;
}

static void add_dir(const char *from, const char *to, int inode)
{
	struct dir_change *c = &dir_pending[n_dir_pending++];
	assert_true(n_dir_pending < 256);
	snprintf(c->from, sizeof c->from, "%s", from);
	snprintf(c->to, sizeof c->to, "%s", to);
	c->inode = inode;
	apply_dir(current_names, c);
}

static int io_open(int dir, const char *name, int flags, unsigned mode)
{
	int fd = journal_io_system.openat(dir, name, flags, mode);
	if (fd < 0 || strcmp(name, "lock") == 0 || strcmp(name, "crashed") == 0)
		return fd;
	int i = find_name(current_names, name), inode = i < 0 ? -1 : current_names[i].inode;
	if (inode < 0) {
		step();
		for (inode = 0; inode < FILES && inodes[inode].used; inode++)
			;
		assert_true(inode < FILES);
		inodes[inode].used = true;
		add_dir("", name, inode);
	}
	assert_true(inodes[inode].n_fds < 16);
	inodes[inode].fds[inodes[inode].n_fds++] = (unsigned)fd;
	return fd;
}

static int io_close(int fd)
{
	struct inode *f = inode_of(fd);
	for (unsigned k = 0; f && k < f->n_fds; k++)
		if (f->fds[k] == (unsigned)fd)
			f->fds[k] = f->fds[--f->n_fds];
	return close(fd);
}

static ssize_t io_pwrite(int fd, const void *p, size_t n, off_t at)
{
	step();
	ssize_t r = pwrite(fd, p, n, at);
	if (r > 0)
		add_change(inode_of(fd), (struct change){WRITE, (size_t)at, (size_t)r, NULL}, p);
	return r;
}

static int io_length(int fd, off_t len)
{
	step();
	struct inode *f = inode_of(fd);
	if (f)
		add_change(f, (struct change){LENGTH, 0, (size_t)len, NULL}, NULL);
	return ftruncate(fd, len);
}

static int io_fdatasync(int fd)
{
	step();
	struct inode *f = inode_of(fd);
	for (unsigned k = 0; k < f->n_pending; k++) {
		apply(f->durable, &f->durable_len, &f->pending[k], false);
		free(f->pending[k].octets);
	}
	f->n_pending = 0;
	return 0;
}

static int io_fsync(int fd)
{
	(void)fd;
	step();
	for (unsigned i = 0; i < n_dir_pending; i++)
		apply_dir(durable_names, &dir_pending[i]);
	n_dir_pending = 0;
	for (int i = 0; i < FILES; i++) { /* files of no name are gone */
		bool named = false;
		for (int k = 0; k < FILES; k++)
			named = named || (durable_names[k].name[0] && durable_names[k].inode == i) || (current_names[k].name[0] && current_names[k].inode == i);
		if (!named && inodes[i].used && !inodes[i].n_fds) {
			for (unsigned k = 0; k < inodes[i].n_pending; k++)
				free(inodes[i].pending[k].octets);
			memset(&inodes[i], 0, sizeof inodes[i]);
		}
	}
	return 0;
}

static int io_rename(int dir, const char *from, const char *to)
{
	step();
	int i = find_name(current_names, from);
	if (i >= 0)
		add_dir(from, to, current_names[i].inode);
	return journal_io_system.renameat(dir, from, to);
}

static int io_unlink(int dir, const char *name)
{
	step();
	int i = find_name(current_names, name);
	if (i >= 0)
		add_dir(name, "", current_names[i].inode);
	return journal_io_system.unlinkat(dir, name);
}

static int io_free(int dir, uint64_t *ret_free, uint64_t *ret_total)
{
	return journal_io_system.free_space(dir, ret_free, ret_total);
}

static const struct journal_io io = {io_open, io_close, pread, io_pwrite, io_length, io_length, io_fdatasync, io_fsync, io_rename, io_unlink, io_free};

static void note(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	(void)err;
	size_t i = (size_t)(uintptr_t)arg;
	ids[i] = id;
	if (!code)
		told[i] = 1;
}

/* Entries of all sizes; of each eight seven end, some at once, some late; many are copied forward meanwhile. */
static void load(struct journal *j)
{
	static uint64_t own[ENTRIES];
	for (unsigned i = 0; i < ENTRIES; i++) {
		assert_int_equal(put_tag(j, i, 30 + i * 53 % 1500, "a", note, (void *)(uintptr_t)i, &own[i]), 0);
		ids[i] = own[i];
		if (i % 5 == 4)
			journal_flush(j);
		for (unsigned back = 3; back <= 60; back += 57)
			if (i >= back && (i - back) % 8 && (i - back) % 2 == (back == 3)) {
				ended[i - back] = 1;
				journal_end(j, own[i - back]);
			}
		if (i % 9 == 0)
			journal_mark(j, own[i / 2], &(struct journal_marks){.attempts = 1});
		if (i % 40 == 39) {
			journal_flush(j);
			for (unsigned k = 0; k <= i; k++)
				settled[k] = ended[k];
		}
	}
	journal_flush(j);
}

static void check(const struct cut *c, uint32_t round)
{
	struct journal_options o = options();
	o.directory = c->dir;
	struct journal *j = open_with(o);
	if (seen.report.damaged || seen.report.lost)
		fail_msg("seed %u, %s: %s", round, c->dir, seen.report.damage);
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!c->ids[i])
			continue;
		bool there = was_seen(c->ids[i]);
		if (c->told[i] && !c->ended[i] && !there)
			fail_msg("seed %u, %s: entry %u (id %llu) was durable and is not there", round, c->dir, i, (unsigned long long)c->ids[i]);
		if (c->settled[i] && there)
			fail_msg("seed %u, %s: entry %u (id %llu) was over and is back", round, c->dir, i, (unsigned long long)c->ids[i]);
	}
	for (size_t i = 0; i < seen.n; i++) {
		unsigned tag;
		assert_int_equal(read_wait(j, seen.ids[i], &tag), 0);
		assert_true(!c->ids[tag] || c->ids[tag] == seen.ids[i]);
	}
	uint64_t id, before = seen.n;
	assert_int_equal(put_wait(j, 1, 100, "a", &id), 0); /* it goes on */
	assert_false(was_seen(id));
	journal_close(j);
	j = open_with(o);
	assert_int_equal(seen.n, before + 1);
	assert_int_equal(seen.report.damaged + seen.report.lost, 0);
	journal_close(j);
}

static void test_power_cut(void **state)
{
	(void)state;
	const char *from = getenv("SEED"), *rounds = getenv("ROUNDS"); /* more of it: ROUNDS=1000 */
	uint32_t first = from ? (uint32_t)strtoul(from, NULL, 10) : 1, n = rounds ? (uint32_t)strtoul(rounds, NULL, 10) : 2;
	for (uint32_t round = first; round < first + n; round++) {
		empty_directory(scratch);
		memset(inodes, 0, sizeof inodes);
		memset(durable_names, 0, sizeof durable_names);
		memset(current_names, 0, sizeof current_names);
		n_dir_pending = n_calls = n_cuts = 0;
		seed = round;
		next_cut = 1 + chance(20);
		for (unsigned i = 0; i < ENTRIES; i++)
			ids[i] = told[i] = ended[i] = settled[i] = 0;
		char path[100];
		snprintf(path, sizeof path, "%s/disk", scratch);
		struct journal_options o = options();
		o.directory = path;
		o.io = &io;
		struct journal *j = open_with(o);
		load(j);
		struct journal_stats s;
		journal_stats(j, &s);
		assert_true(s.compacted > 0);
		journal_close(j);
		assert_int_equal(n_cuts, CUTS);
		for (unsigned i = 0; i < n_cuts; i++)
			check(&cuts[i], round);
		for (unsigned i = 0; i < FILES; i++)
			for (unsigned k = 0; k < inodes[i].n_pending; k++)
				free(inodes[i].pending[k].octets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_power_cut, scratch_make, scratch_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
