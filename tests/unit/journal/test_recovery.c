/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in files that are not as they were written: cut off anywhere, any octet changed, of a newer version, left by a process that was killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "journal/internal.h"
#include "rig.h"

enum { FILE_MAX = 1 << 20 };
static char image[FILE_MAX], work[FILE_MAX];

/* The journal of one segment that a killed process left: 12 entries, three ended, one marked. Their ids. */
static size_t make_image(char name[64], uint64_t ids[12])
{
	struct journal *j = open_with(options());
	char names[4][64];
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(put_wait(j, i, 20 + i * 37, i % 2 ? "example.org" : "example.net", &ids[i]), 0);
	journal_end(j, ids[2]);
	journal_mark(j, ids[3], &(struct journal_marks){.attempts = 9});
	journal_end(j, ids[5]);
	assert_int_equal(journal_flush(j), 0);
	journal_end(j, ids[9]);
	assert_int_equal(journal_flush(j), 0);
	assert_int_equal(segment_files(names, 4), 1);
	size_t n = file_load(scratch, names[0], image, sizeof image); /* before the seal */
	memcpy(name, names[0], 64);
	journal_close(j);
	return n;
}

/* The sans-I/O half over octets: the same code as journal_open's, without files. */
struct found {
	struct journal_index index;
	struct replay replay;
	struct segment segment;
	uint64_t lost;
};

static void find(struct found *f, const char *mem, size_t n)
{
	struct journal_segment_head h;
	index_init(&f->index);
	replay_init(&f->replay, &f->index);
	f->segment = (struct segment){.number = 1};
	list_init(&f->segment.live);
	f->lost = 0;
	if (journal_segment_head_read(&h, slice_of(mem, n)) == 0) {
		f->segment.nonce = h.nonce;
		replay_segment(&f->replay, &f->segment, slice_of(mem, n), true);
	}
	f->lost = replay_finish(&f->replay);
}

static void found_free(struct found *f)
{
	index_free(&f->index);
	replay_free(&f->replay);
}

/* Where the records of the image stand. */
static size_t records(size_t n, struct journal_record *ret, size_t max)
{
	struct journal_segment_head h;
	size_t count = 0, gap;
	assert_int_equal(journal_segment_head_read(&h, slice_of(image, n)), 0);
	struct journal_scan scan = {slice_of(image, n), JOURNAL_SEGMENT_HEAD, h.nonce};
	while (count < max && journal_scan_next(&scan, &ret[count], &gap)) {
		assert_int_equal(gap, 0);
		count++;
	}
	return count;
}

/* Cut off at every octet: what stands before the cut is there, whole, and nothing else. */
static void test_every_cut(void **state)
{
	(void)state;
	char name[64];
	uint64_t ids[12];
	size_t n = make_image(name, ids);
	struct journal_record r[32];
	size_t n_records = records(n, r, 32);
	assert_int_equal(n_records, 16);
	size_t end = r[15].at + r[15].len;
	for (size_t cut = 0; cut <= end; cut++) {
		struct found f;
		memcpy(work, image, cut); /* of its own size, for the sanitizer */
		char *mem = malloc(cut + 1);
		memcpy(mem, image, cut);
		find(&f, mem, cut);
		uint64_t live = 0;
		for (size_t i = 0; i < n_records && r[i].at + r[i].len <= cut; i++)
			live += r[i].type == JOURNAL_PUT ? 1 : r[i].type == JOURNAL_END ? (uint64_t)-1 : 0;
		assert_int_equal(f.index.entries, cut < JOURNAL_SEGMENT_HEAD ? 0 : live);
		assert_int_equal(f.replay.places, 0);
		assert_int_equal(f.lost, 0);
		free(mem);
		found_free(&f);
	}
	/* and with files: some cuts, after which the journal goes on */
	for (size_t cut = 0; cut <= end; cut += 97) {
		empty_directory(scratch);
		file_store(scratch, name, image, cut);
		struct journal *j = open_with(options());
		uint64_t id;
		unsigned tag;
		for (size_t i = 0; i < seen.n; i++) {
			assert_int_equal(read_wait(j, seen.ids[i], &tag), 0);
			assert_int_equal(seen.ids[i], ids[tag]);
		}
		size_t before = seen.n;
		assert_int_equal(put_wait(j, 100, 100, "a", &id), 0);
		assert_false(was_seen(id));
		journal_close(j);
		j = open_with(options());
		assert_int_equal(seen.n, before + 1);
		assert_int_equal(seen.ids[before], id);
		journal_close(j);
	}
}

/* Every octet changed, one at a time: at most the entry that it belongs to is lost, and that is said. */
static void test_every_flip(void **state)
{
	(void)state;
	char name[64];
	uint64_t ids[12];
	size_t n = make_image(name, ids);
	struct journal_record r[32];
	size_t n_records = records(n, r, 32);
	size_t end = r[15].at + r[15].len;
	struct found whole;
	find(&whole, image, n);
	assert_int_equal(whole.index.entries, 9);
	assert_int_equal(whole.replay.ended, 3);
	for (size_t at = 0; at < end; at++) {
		struct found f;
		for (unsigned bit = 0; bit < 8; bit += 7) {
			image[at] = (char)(image[at] ^ (bit ? 0xff : 1));
			find(&f, image, n);
			size_t hit = 0;
			while (hit < n_records && !(at >= r[hit].at && at < r[hit].at + r[hit].len))
				hit++;
			for (unsigned i = 0; i < 12; i++) {
				bool lives = index_find(&f.index, ids[i]), lived = index_find(&whole.index, ids[i]);
				if (hit == n_records || r[hit].id != ids[i])
					assert_int_equal(lives, lived);
				else if (r[hit].type == JOURNAL_PUT)
					assert_false(lives);
				else
					assert_true(lives); /* its end or its marks are gone: it may come twice, it is not lost */
			}
			if (hit < n_records - 1) /* the last may as well be a torn tail */
				assert_int_equal(f.replay.places, 1);
			assert_true(f.lost <= 1);
			/* when the head of the record is whole, it is known whether an entry is lost */
			if (hit < n_records - 1 && at >= r[hit].at + JOURNAL_RECORD_HEAD && r[hit].type == JOURNAL_PUT)
				assert_int_equal(f.lost, index_find(&whole.index, r[hit].id) ? 1 : 0);
			image[at] = (char)(image[at] ^ (bit ? 0xff : 1));
			found_free(&f);
		}
	}
	found_free(&whole);

	/* with files: the damage is told, the file is kept aside when it is over */
	empty_directory(scratch);
	image[r[4].at + 70] ^= 1;
	file_store(scratch, name, image, n);
	struct journal *j = open_with(options());
	assert_int_equal(seen.report.damaged, 1);
	assert_int_equal(seen.report.lost, 1);
	assert_int_equal(seen.n, 8);
	assert_non_null(strstr(seen.report.damage, name));
	unsigned tag;
	for (size_t i = 0; i < seen.n; i++) {
		assert_int_equal(read_wait(j, seen.ids[i], &tag), 0);
		assert_int_equal(journal_end(j, seen.ids[i]), 0);
	}
	assert_int_equal(journal_flush(j), 0);
	char path[200];
	snprintf(path, sizeof path, "%s/%s.damaged", scratch, name);
	for (unsigned i = 0; i < 500 && access(path, F_OK) != 0; i++)
		usleep(10000);
	assert_int_equal(access(path, F_OK), 0);
	journal_close(j);
}

/* Both heads of a file gone: that file's entries are lost and told, the others' are not. */
static void test_no_head(void **state)
{
	(void)state;
	char name[64], names[16][64];
	uint64_t ids[12];
	make_image(name, ids);
	struct journal *j = open_with(options());
	uint64_t id;
	assert_int_equal(put_wait(j, 50, 100, "a", &id), 0);
	journal_close(j);
	assert_int_equal(segment_files(names, 16), 2);
	size_t n = file_load(scratch, names[0], image, sizeof image);
	memset(image, 0, JOURNAL_SEGMENT_HEAD);
	file_store(scratch, names[0], image, n);
	j = open_with(options());
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.ids[0], id);
	assert_int_equal(seen.report.damaged, 1);
	journal_close(j);
}

static void test_newer_version(void **state)
{
	(void)state;
	char name[64], again[FILE_MAX];
	uint64_t ids[12];
	size_t n = make_image(name, ids);
	struct journal_options o = options();
	struct journal *j = NULL;
	struct entente_err err;
	for (unsigned sums = 0; sums < 2; sums++) { /* whether or not it sums as we do */
		struct journal_segment_head h;
		memcpy(work, image, n);
		assert_int_equal(journal_segment_head_read(&h, slice_of(image, n)), 0);
		h.version = JOURNAL_VERSION + 1;
		journal_segment_head_write(work, &h);
		if (!sums)
			work[JOURNAL_SEGMENT_HEAD_USED - 1] ^= 1, work[JOURNAL_SEGMENT_COPY + JOURNAL_SEGMENT_HEAD_USED - 1] ^= 1;
		empty_directory(scratch);
		file_store(scratch, name, work, n);
		assert_int_equal(journal_open(&j, &o, NULL, &err), ENTENTE_EUNSUPPORTED);
		assert_non_null(strstr(err.text, "newer version"));
		assert_int_equal(file_load(scratch, name, again, sizeof again), n);
		assert_memory_equal(again, work, n); /* untouched */
	}
	/* one copy alone that says so is a flipped bit */
	memcpy(work, image, n);
	work[16] = 9;
	file_store(scratch, name, work, n);
	j = open_with(o);
	assert_int_equal(seen.n, 9);
	journal_close(j);
}

/* An entry whose octets look like a record of this room is an entry. */
static void test_record_within(void **state)
{
	(void)state;
	char mem[JOURNAL_RECORD_HEAD * 3] = {0};
	journal_record_write(mem + 4, &(struct journal_record){.type = JOURNAL_END, .id = 1});
	journal_record_finish(mem + 4, 0, 0, &(struct journal_marks){0});
	struct journal *j = open_with(options());
	uint64_t id[2];
	struct journal_head h = {.partner = S("0123456789ab"), .accepted_at = 1};
	assert_int_equal(journal_put(j, &h, slice_of(mem, sizeof mem), NULL, NULL, &id[0]), 0);
	assert_int_equal(journal_put(j, &h, slice_of(mem, sizeof mem), NULL, NULL, &id[1]), 0);
	assert_int_equal(journal_flush(j), 0);
	char names[2][64];
	segment_files(names, 2);
	size_t n = file_load(scratch, names[0], image, sizeof image);
	journal_close(j);
	image[JOURNAL_SEGMENT_HEAD] ^= 1; /* so that what follows is searched */
	struct found f;
	find(&f, image, n);
	assert_int_equal(f.index.entries, 1);
	assert_int_equal(f.replay.ended, 0);
	found_free(&f);
}

/* ---- kill -9 ---- */
struct shared {
	_Atomic uint64_t durable[4096], ended[4096]; /* ids by number; ended: asked for, flushed in `settled` */
	_Atomic unsigned n_puts, settled;
};
static struct shared *shared;

static void note_durable(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	(void)err;
	if (!code)
		shared->durable[(size_t)(uintptr_t)arg] = id;
}

/* Puts and ends without end, with much copying, until it is killed. */
static void child(unsigned from)
{
	struct journal *j = NULL;
	struct journal_options o = options();
	o.recovered = NULL;
	if (journal_open(&j, &o, NULL, NULL))
		_exit(1);
	for (unsigned i = from; i < 4096; i++) {
		uint64_t id;
		if (put_tag(j, i, 700, "a", note_durable, (void *)(uintptr_t)i, &id))
			_exit(2);
		shared->n_puts = i + 1;
		if (i % 16 == 15) {
			journal_flush(j);
			for (unsigned k = i - 15; k <= i; k++)
				if (k % 16) { /* one of sixteen stays */
					shared->ended[k] = 1;
					journal_end(j, shared->durable[k]);
				}
			journal_flush(j);
			shared->settled = i + 1;
		}
	}
	pause();
}

static void test_kill(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	unsigned from = 0, rounds = 0;
	while (from < 4000 && rounds < 8) {
		rounds++;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			child(from);
			_exit(0);
		}
		unsigned until = from + 60 + rounds * 29 % 150;
		for (unsigned i = 0; i < 6000 && shared->n_puts < until && shared->n_puts < 4096 && waitpid(pid, NULL, WNOHANG) == 0; i++)
			usleep(2000 - rounds * 130);
		assert_int_equal(kill(pid, SIGKILL), 0);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		struct journal *j = open_with(options());
		if (seen.report.damaged || seen.report.lost)
			fail_msg("%s", seen.report.damage);
		unsigned n = shared->n_puts;
		for (unsigned i = 0; i < n; i++) {
			uint64_t id = shared->durable[i];
			bool there = id && was_seen(id);
			if (id && !shared->ended[i])
				assert_true(there); /* it was told to be durable */
			if (shared->ended[i] && i < shared->settled)
				assert_false(there);
			if (there && i % 16 == 0) {
				unsigned tag;
				assert_int_equal(read_wait(j, id, &tag), 0);
				assert_int_equal(tag, i);
			}
		}
		struct journal_stats s;
		journal_stats(j, &s);
		/* what nobody was told of goes; the books begin anew behind it */
		for (size_t i = 0; i < seen.n; i++) {
			bool known = false;
			for (unsigned k = 0; k < n && !known; k++)
				known = shared->durable[k] == seen.ids[i];
			if (!known)
				journal_end(j, seen.ids[i]);
		}
		journal_flush(j);
		from = (n + 15) / 16 * 16;
		for (unsigned i = shared->settled; i < from; i++)
			if (shared->ended[i])
				journal_end(j, shared->durable[i]);
		shared->n_puts = shared->settled = from;
		assert_true(s.files <= s.octets + s.octets / 2 + (5 + 16) * (uint64_t)JOURNAL_SEGMENT_MIN);
		journal_close(j);
	}
	assert_int_equal(rounds, 8);
	munmap(shared, sizeof *shared);
}

/* A hundred thousand entries are there again quickly. The bound is for a loaded machine with sanitizers; the time is told. */
static void test_many(void **state)
{
	(void)state;
	struct journal_options o = options();
	o.segment = 0;
	struct journal *j = open_with(o);
	uint64_t id;
	unsigned n = 100000;
	for (unsigned i = 0; i < n; i++)
		while (put_tag(j, i, 300, i % 3 ? "a.example" : "b.example", NULL, NULL, &id) != 0)
			journal_flush(j);
	assert_int_equal(journal_flush(j), 0);
	journal_close(j);
	j = open_with(o);
	assert_int_equal(seen.n, n);
	assert_int_equal(seen.report.damaged + seen.report.lost + seen.report.cut, 0);
	print_message("# %u entries of 300 octets recovered in %u ms\n", n, seen.report.ms);
	assert_true(seen.report.ms < 60000);
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_cut, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_every_flip, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_no_head, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_newer_version, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_record_within, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_kill, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_many, scratch_make, scratch_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
