/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as its callers see it: what is put is there again, in order, until it is ended; limits; many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include "rig.h"

static void test_round_trip(void **state)
{
	(void)state;
	struct journal *j = open_with(options());
	assert_int_equal(seen.n, 0);
	uint64_t id[5];
	unsigned tag;
	static const size_t sizes[5] = {1, 64, 100, 1000, 16000};
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(put_wait(j, i, sizes[i] < 4 ? 4 : sizes[i], "example.org", &id[i]), 0);
		assert_true(id[i] > (i ? id[i - 1] : 0));
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(read_wait(j, id[i], &tag), 0);
		assert_int_equal(tag, i);
	}
	assert_int_equal(journal_end(j, id[1]), 0);
	assert_int_equal(journal_end(j, id[1]), ENTENTE_ENOTFOUND);
	assert_int_equal(journal_end(j, 12345), ENTENTE_ENOTFOUND);
	assert_int_equal(read_wait(j, id[1], &tag), ENTENTE_ENOTFOUND);
	struct journal_marks m = {JOURNAL_HELD | JOURNAL_STATE_2, 1, 7, 1234567890123};
	assert_int_equal(journal_mark(j, id[2], &m), 0);
	assert_int_equal(journal_mark(j, id[1], &m), ENTENTE_ENOTFOUND);
	journal_close(j);

	j = open_with(options());
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.report.entries, 4);
	assert_int_equal(seen.report.ended, 1);
	assert_int_equal(seen.report.damaged + seen.report.lost + seen.report.cut, 0);
	assert_int_equal(seen.ids[0], id[0]);
	assert_int_equal(seen.ids[1], id[2]);
	assert_int_equal(seen.ids[3], id[4]);
	assert_int_equal(seen.marks[1].state, m.state);
	assert_int_equal(seen.marks[1].crashes, 1);
	assert_int_equal(seen.marks[1].attempts, 7);
	assert_true(seen.marks[1].due_at == m.due_at);
	assert_int_equal(seen.marks[0].state | seen.marks[0].attempts, 0);
	for (unsigned i = 0; i < 5; i++)
		if (i != 1) {
			assert_int_equal(read_wait(j, id[i], &tag), 0);
			assert_int_equal(tag, i);
		}
	uint64_t next;
	assert_int_equal(put_wait(j, 9, 50, "example.org", &next), 0);
	assert_true(next > id[4]);
	for (unsigned i = 0; i < 5; i++)
		journal_end(j, id[i]);
	journal_end(j, next);
	journal_close(j);

	/* an empty journal gives no id twice either */
	j = open_with(options());
	assert_int_equal(seen.n, 0);
	uint64_t later;
	assert_int_equal(put_wait(j, 9, 50, "example.org", &later), 0);
	assert_true(later > next);
	journal_close(j);
}

static void test_contract(void **state)
{
	(void)state;
	struct journal_options o = options();
	struct journal *j = NULL, *other = NULL;
	struct entente_err err;
	uint64_t id;
	o.segment = 1000;
	assert_int_equal(journal_open(&j, &o, NULL, &err), ENTENTE_EINVAL);
	o = options();
	j = open_with(o);
	assert_int_equal(journal_open(&other, &o, NULL, &err), ENTENTE_ESTORE); /* the lock */
	assert_non_null(strstr(err.text, "in use"));
	struct stat st;
	assert_int_equal(stat(scratch, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	char names[4][64], path[200];
	assert_int_equal(segment_files(names, 4), 1);
	snprintf(path, sizeof path, "%s/%s", scratch, names[0]);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_int_equal(put_tag(j, 1, 100, "", NULL, NULL, &id), ENTENTE_EINVAL);
	assert_int_equal(put_tag(j, 1, 17000, "a", NULL, NULL, &id), ENTENTE_EINVAL); /* a quarter of a small segment */
	static char key[JOURNAL_KEY_MAX + 1];
	struct journal_head h = {.partner = slice_of(key, sizeof key)};
	assert_int_equal(journal_put(j, &h, S("x"), NULL, NULL, &id), ENTENTE_EINVAL);
	h = (struct journal_head){.partner = S("a"), .pair = slice_of(key, sizeof key)};
	assert_int_equal(journal_put(j, &h, S("x"), NULL, NULL, &id), ENTENTE_EINVAL);
	assert_null(journal_close(j));
	assert_null(journal_close(NULL));
	journal_crashed(NULL, 11);

	/* the directory is made, its parent is not */
	snprintf(path, sizeof path, "%s/deeper", scratch);
	o.directory = path;
	j = open_with(o);
	journal_close(j);
	snprintf(path, sizeof path, "%s/not/there", scratch);
	j = NULL;
	assert_int_equal(journal_open(&j, &o, NULL, &err), ENTENTE_EIO);
	assert_null(j);
}

static void test_limits(void **state)
{
	(void)state;
	struct journal_options o = options();
	o.max = 40 * 1024;
	o.partner_max = 10 * 1024;
	struct journal *j = open_with(o);
	uint64_t id[64], n, octets;
	unsigned taken = 0, first;
	while (!put_wait(j, taken, 900, "a", &id[taken]))
		taken++;
	first = taken;
	assert_int_equal(taken, 10);
	assert_int_equal(journal_room(j, S("a"), 900), ENTENTE_ELIMIT);
	assert_int_equal(journal_room(j, S("b"), 900), 0);
	journal_partner(j, S("a"), &n, &octets);
	assert_int_equal(n, 10);
	assert_true(octets > 9000 && octets <= 10 * 1024);
	char name[8];
	int rc;
	for (char c = 'b'; taken < 64; taken++) {
		snprintf(name, sizeof name, "%c", c + (int)(taken - first) / 8);
		if ((rc = put_wait(j, taken, 900, name, &id[taken])))
			break;
	}
	assert_int_equal(rc, ENTENTE_ELIMIT);
	assert_int_equal(taken, 41); /* of 992 octets each */
	assert_int_equal(journal_room(j, S("z"), 900), ENTENTE_ELIMIT);
	struct journal_stats s;
	journal_stats(j, &s);
	assert_int_equal(s.entries, taken);
	assert_int_equal(s.oldest, 1000);
	assert_int_equal(s.refused, 2);
	assert_int_equal(s.puts, taken);
	assert_false(s.failing);

	/* an end gives its room back at once */
	assert_int_equal(journal_end(j, id[0]), 0);
	assert_int_equal(journal_room(j, S("z"), 900), 0);
	assert_int_equal(journal_room(j, S("a"), 900), 0);
	journal_stats(j, &s);
	assert_int_equal(s.oldest, 1001);
	journal_limits(j, 1 << 20, 0, 0, taken - 1);
	assert_int_equal(journal_room(j, S("z"), 900), ENTENTE_ELIMIT); /* entries */
	journal_limits(j, 1 << 20, 0, 0, 0);
	assert_int_equal(journal_room(j, S("a"), 900), 0);
	for (unsigned i = 1; i < taken; i++)
		journal_end(j, id[i]);
	assert_int_equal(journal_flush(j), 0);
	journal_partner(j, S("a"), &n, &octets);
	assert_int_equal(n + octets, 0);
	journal_stats(j, &s);
	assert_int_equal(s.entries + s.octets + (uint64_t)s.oldest, 0);
	assert_int_equal(s.ends, taken);
	journal_close(j);
}

static void block(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	(void)id, (void)code, (void)err;
	sem_wait(arg);
}

/* What happens to an entry before the thread has come to it. */
static void test_before_written(void **state)
{
	(void)state;
	struct journal *j = open_with(options());
	sem_t sem;
	sem_init(&sem, 0, 0);
	uint64_t first, id[3];
	struct wait w[2], r;
	sem_init(&w[0].sem, 0, 0);
	sem_init(&w[1].sem, 0, 0);
	sem_init(&r.sem, 0, 0);
	assert_int_equal(put_tag(j, 0, 100, "a", block, &sem, &first), 0);
	for (struct journal_stats s = {0}; !s.puts; journal_stats(j, &s))
		usleep(1000); /* until the thread stands in that completion */
	assert_int_equal(put_tag(j, 1, 100, "a", on_done, &w[0], &id[0]), 0);
	assert_int_equal(put_tag(j, 2, 100, "a", on_done, &w[1], &id[1]), 0);
	assert_int_equal(journal_end(j, id[0]), 0);
	struct journal_marks m = {JOURNAL_STATE_1, 0, 3, 4};
	assert_int_equal(journal_mark(j, id[1], &m), 0);
	assert_int_equal(journal_read(j, id[1], on_read, &r), 0);
	sem_post(&sem);
	sem_wait(&w[0].sem);
	assert_int_equal(w[0].code, 0); /* ended: nothing to be durable */
	sem_wait(&w[1].sem);
	assert_int_equal(w[1].code, 0);
	sem_wait(&r.sem);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.head.marks.attempts, 3);
	assert_int_equal(journal_flush(j), 0);
	struct journal_stats s;
	journal_stats(j, &s);
	assert_int_equal(s.puts, 2); /* it was never written */
	assert_int_equal(s.ends + s.marks, 0);
	journal_close(j);
	j = open_with(options());
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.ids[1], id[1]);
	assert_int_equal(seen.marks[1].attempts, 3);
	journal_close(j);
	sem_destroy(&sem);
}

static void put_lazy(struct journal *j, unsigned tag, struct wait *w, uint64_t *ret_id)
{
	sem_init(&w->sem, 0, 0);
	assert_int_equal(put_as(j, true, tag, 100, "a", on_done, w, ret_id), 0);
}

static void assert_waits(struct wait *w)
{
	usleep(30000);
	assert_int_equal(sem_trywait(&w->sem), -1);
}

static void assert_done(struct wait *w)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 30;
	assert_int_equal(sem_timedwait(&w->sem, &until), 0);
	assert_int_equal(w->code, 0);
	sem_destroy(&w->sem);
}

/* Puts that nobody waits for. */
static void test_lazy(void **state)
{
	(void)state;
	struct journal_options o = options();
	o.lazy_ms = 3600000;
	struct journal *j = open_with(o);
	struct journal_stats s;
	struct wait w[3], u;
	uint64_t id[3], urgent;

	put_lazy(j, 0, &w[0], &id[0]);
	assert_waits(&w[0]);
	assert_int_equal(journal_end(j, id[0]), 0);
	assert_int_equal(journal_flush(j), 0);
	assert_done(&w[0]);
	journal_stats(j, &s);
	assert_int_equal(s.puts + s.ends + s.written, 0); /* it was never written */

	/* one that is not lazy takes along what came before it */
	put_lazy(j, 1, &w[1], &id[1]);
	assert_waits(&w[1]);
	sem_init(&u.sem, 0, 0);
	assert_int_equal(put_tag(j, 2, 100, "a", on_done, &u, &urgent), 0);
	assert_done(&w[1]);
	assert_done(&u);

	/* so does an end of the journal itself */
	put_lazy(j, 3, &w[2], &id[2]);
	assert_waits(&w[2]);
	journal_close(j);
	assert_done(&w[2]);

	o.lazy_ms = 0;
	j = open_with(o);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.ids[0], id[1]);
	assert_int_equal(seen.ids[1], urgent);
	assert_int_equal(seen.ids[2], id[2]);
	put_lazy(j, 4, &w[0], &id[0]);
	assert_done(&w[0]); /* in its time */
	journal_stats(j, &s);
	assert_int_equal(s.puts, 1);
	/* many octets do not wait: there is room for a limited number only */
	journal_close(j);
	o.lazy_ms = 3600000;
	o.segment = 8 << 20;
	o.max = 64 << 20;
	j = open_with(o);
	static char mem[1 << 18];
	struct journal_head h = {.partner = S("a"), .lazy = true};
	sem_init(&u.sem, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(journal_put(j, &h, slice_of(mem, sizeof mem), i ? NULL : on_done, &u, &urgent), 0);
	assert_done(&u);
	journal_close(j);
}

static void assert_ended(struct journal *j, uint64_t ends)
{
	struct journal_stats s = {0};
	for (int i = 0; i < 30000 && s.ends < ends; i++) {
		usleep(1000);
		journal_stats(j, &s);
	}
	assert_int_equal(s.ends, ends);
}

/* Ends alone do not follow one another at once; whatever else is written takes them along. */
static void test_pace(void **state)
{
	(void)state;
	struct journal_options o = options();
	o.pace_ms = 3600000;
	struct journal *j = open_with(o);
	struct wait u;
	uint64_t id[6], more;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(put_tag(j, i, 100, "a", NULL, NULL, &id[i]), 0);
	assert_int_equal(journal_flush(j), 0);
	assert_int_equal(journal_end(j, id[0]), 0);
	assert_ended(j, 1);
	assert_int_equal(journal_end(j, id[1]), 0);
	usleep(30000);
	assert_ended(j, 1);
	sem_init(&u.sem, 0, 0);
	assert_int_equal(put_tag(j, 6, 100, "a", on_done, &u, &more), 0);
	assert_done(&u);
	assert_ended(j, 2);
	assert_int_equal(journal_end(j, id[2]), 0);
	usleep(30000);
	assert_ended(j, 2);
	assert_int_equal(journal_mark(j, id[3], &(struct journal_marks){.attempts = 1}), 0);
	assert_ended(j, 3);
	assert_int_equal(journal_end(j, id[3]), 0);
	usleep(30000);
	assert_ended(j, 3);
	assert_int_equal(journal_flush(j), 0);
	assert_ended(j, 4);
	assert_int_equal(journal_end(j, id[4]), 0);
	journal_close(j);
	j = open_with(options());
	assert_int_equal(seen.n, 2); /* the last one ended with the journal */
	assert_int_equal(seen.ids[0], id[5]);
	assert_int_equal(seen.ids[1], more);
	journal_close(j);
}

enum { THREADS = 4, EACH = 1500 };
static struct worker {
	struct journal *j;
	unsigned index;
	_Atomic unsigned done, bad;
	uint64_t ids[EACH];
} workers[THREADS];

static void counted(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	struct worker *w = arg;
	(void)id, (void)err;
	atomic_fetch_add(code ? &w->bad : &w->done, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	char name[16];
	snprintf(name, sizeof name, "partner%u", w->index);
	for (unsigned i = 0; i < EACH; i++) {
		while (put_as(w->j, i % 3 == 0, w->index * EACH + i, 200, name, counted, w, &w->ids[i]) != 0)
			usleep(1000);
		if (i % 3 == 1)
			journal_mark(w->j, w->ids[i], &(struct journal_marks){.attempts = (uint16_t)i});
		if (i >= 10 && i % 2)
			journal_end(w->j, w->ids[i - 10]); /* some before they are written, some after */
		if (i % 100 == 0)
			journal_room(w->j, S("partner0"), 100);
	}
	return NULL;
}

/* Many threads: each put completes once, few syncs serve many puts, and what was not ended is there with its marks. */
static void test_threads(void **state)
{
	(void)state;
	struct journal_options o = options();
	struct journal *j = open_with(o);
	pthread_t t[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].j = j;
		workers[i].index = i;
		workers[i].done = workers[i].bad = 0;
		pthread_create(&t[i], NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(journal_flush(j), 0);
	struct journal_stats s;
	journal_stats(j, &s);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(workers[i].done, EACH);
		assert_int_equal(workers[i].bad, 0);
	}
	assert_true(s.syncs < THREADS * EACH / 3); /* groups */
	assert_true(s.files <= s.octets + s.octets / 2 + 5 * JOURNAL_SEGMENT_MIN);
	journal_close(j);
	j = open_with(o);
	size_t n = 0;
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned k = 0; k < EACH; k++) {
			bool ended = k + 10 < EACH && (k + 10) % 2;
			unsigned tag;
			if (ended) {
				assert_int_equal(journal_end(j, workers[i].ids[k]), ENTENTE_ENOTFOUND);
				continue;
			}
			n++;
			if (k % 20 == 0) {
				assert_int_equal(read_wait(j, workers[i].ids[k], &tag), 0);
				assert_int_equal(tag, i * EACH + k);
			}
		}
	assert_int_equal(seen.n, n);
	for (size_t i = 0; i < seen.n; i++)
		for (unsigned w = 0; w < THREADS; w++)
			for (unsigned k = 1; k < 4; k += 3) /* a sample */
				if (seen.ids[i] == workers[w].ids[k])
					assert_int_equal(seen.marks[i].attempts, k);
	journal_close(j);
}

/* A few entries stay, thousands come and go: the files stay few, and the few survive all the copying. */
static void test_compaction(void **state)
{
	(void)state;
	struct journal_options o = options();
	struct journal *j = open_with(o);
	uint64_t keep[20], done[50];
	unsigned tag, kept = 0;
	for (unsigned i = 0; i < 4000;) {
		unsigned n = 0;
		do {
			uint64_t *id = i % 200 ? &done[n++] : &keep[kept++];
			assert_int_equal(put_tag(j, i, 1000, "a", NULL, NULL, id), 0);
		} while (++i % 50);
		assert_int_equal(journal_flush(j), 0); /* what ends before it is written never is */
		while (n)
			assert_int_equal(journal_end(j, done[--n]), 0);
		if (i == 2000)
			assert_int_equal(journal_mark(j, keep[0], &(struct journal_marks){.attempts = 77}), 0);
	}
	struct journal_stats s = {0};
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(journal_flush(j), 0);
		journal_stats(j, &s);
		if (s.files <= s.octets + s.octets / 2 + 4 * JOURNAL_SEGMENT_MIN)
			break;
		usleep(10000);
	}
	assert_int_equal(s.entries, 20);
	assert_true(s.compacted > 0);
	assert_true(s.files <= s.octets + s.octets / 2 + 4 * JOURNAL_SEGMENT_MIN);
	for (unsigned i = 0; i < kept; i++) {
		assert_int_equal(read_wait(j, keep[i], &tag), 0);
		assert_int_equal(tag, i * 200);
	}
	journal_close(j);
	j = open_with(o);
	assert_int_equal(seen.n, 20);
	for (unsigned i = 0; i < kept; i++)
		assert_int_equal(seen.ids[i], keep[i]);
	assert_int_equal(seen.marks[0].attempts, 77);
	assert_int_equal(seen.report.damaged, 0);
	journal_close(j);
}

static void test_crash_marker(void **state)
{
	(void)state;
	struct journal *j = open_with(options());
	uint64_t id[3];
	char mem[100];
	for (unsigned i = 0; i < 3; i++) {
		struct journal_head h = {.partner = S("a"), .pair = S("romeo\njuliet"), .accepted_at = 1000 + i, .expires_at = 2000 + i, .kind = 3, .flags = 5,
					 .marks = {.state = i == 1 ? JOURNAL_IN_FLIGHT : 0}};
		assert_int_equal(journal_put(j, &h, octets_of(i, 100, mem), NULL, NULL, &id[i]), 0);
	}
	assert_int_equal(journal_flush(j), 0);
	journal_crashed(j, 11);
	journal_close(j);
	j = open_with(options());
	assert_int_equal(seen.report.crash_signal, 11);
	assert_int_equal(seen.report.crashed, 1);
	assert_int_equal(seen.marks[0].crashes, 0);
	assert_int_equal(seen.marks[1].crashes, 1);
	assert_int_equal(seen.marks[1].state, JOURNAL_IN_FLIGHT); /* as it was */
	/* counted once: it is in flight no longer, and the marker is gone */
	journal_crashed(j, 6);
	journal_close(j);
	j = open_with(options());
	assert_int_equal(seen.report.crash_signal, 6);
	assert_int_equal(seen.report.crashed, 0);
	assert_int_equal(seen.marks[1].crashes, 1);
	assert_int_equal(seen.marks[1].state, 0);
	assert_int_equal(journal_mark(j, id[1], &(struct journal_marks){JOURNAL_IN_FLIGHT, 1, 1, 0}), 0);
	journal_close(j);
	j = open_with(options());
	assert_int_equal(seen.report.crash_signal, 0); /* killed, say: nobody is to blame */
	assert_int_equal(seen.marks[1].crashes, 1);
	assert_int_equal(seen.marks[1].state, JOURNAL_IN_FLIGHT);
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_contract, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_limits, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_before_written, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_lazy, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_pace, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_threads, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_compaction, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_crash_marker, scratch_make, scratch_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
