/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when the disk is full, the queue is full, or the process is killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "scratch.h"

static void hold(void *arg, int code, const struct entente_err *err)
{
	(void)code, (void)err;
	sem_wait(arg);
}

static void test_queue_full(void **state)
{
	(void)state;
	struct store *s = NULL;
	assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch, .queue_max = 5}, NULL), 0);
	sem_t sem;
	sem_init(&sem, 0, 0);
	struct store_contact c = {S("r"), S("j"), 1, STORE_BY_MESSAGE};
	assert_int_equal(store_contact_put(s, &c, hold, &sem), 0); /* the thread stops in its completion */
	int taken = 0, rc;
	while ((rc = store_contact_put(s, &c, NULL, NULL)) == 0 && taken < 100)
		taken++;
	assert_int_equal(rc, ENTENTE_ELIMIT);
	assert_true(taken >= 4 && taken <= 10); /* the thread may have taken some along, or none yet */
	sem_post(&sem);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(WAIT(NULL, store_contact_put(s, &c, done, arg)), 0);

	/* the octets count too */
	static char big[STORE_BLOB_MAX];
	store_close(s);
	assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch}, NULL), 0);
	assert_int_equal(store_contact_put(s, &c, hold, &sem), 0);
	struct store_dialog d = {S("id"), S("a"), S("b"), slice_of(big, sizeof big), 1};
	taken = 0;
	while ((rc = store_dialog_put(s, &d, NULL, NULL)) == 0 && taken < 5000)
		taken++;
	assert_int_equal(rc, ENTENTE_ELIMIT);
	assert_true(taken < 2000);
	sem_post(&sem);
	store_close(s); /* carries out what was taken */
	sem_destroy(&sem);
}

struct health {
	_Atomic int bad, good;
	char text[256];
};

static void health(void *arg, bool failing, const struct entente_err *err)
{
	struct health *h = arg;
	assert_int_equal(failing, err != NULL);
	if (failing) {
		memcpy(h->text, err->text, sizeof h->text);
		h->bad++;
	} else {
		h->good++;
	}
}

static void limit_files(rlim_t octets)
{
	struct rlimit r;
	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = octets;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static int none(void *arg, const struct store_dialog *d)
{
	(void)arg, (void)d;
	return 1;
}

static int found_one(void *arg, const struct store_contact *c)
{
	(void)arg, (void)c;
	return 1;
}

static int count(void *arg, const struct store_contact *c)
{
	(void)c;
	++*(int *)arg;
	return 0;
}

static void test_disk_full(void **state)
{
	(void)state;
	struct store *s = NULL;
	struct health h = {0};
	struct rlimit before;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch, .health = health, .arg = &h}, NULL), 0);
	static char big[STORE_BLOB_MAX];
	struct store_dialog d = {S("id"), S("a"), S("b"), slice_of(big, sizeof big), 1};
	struct entente_err err = {0};
	limit_files(32768);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(WAIT(&err, store_dialog_put(s, &d, done, arg)), ENTENTE_ESTORE);
		assert_int_equal(err.reason, REASON_SERVER_STORE);
	}
	assert_int_equal(store_flush(s), ENTENTE_ESTORE);
	assert_int_equal(h.bad, 1); /* told once */
	assert_true(*h.text);
	limit_files(before.rlim_cur); /* someone made room */
	assert_int_equal(store_load_dialogs(s, none, NULL, NULL), 0);
	assert_int_equal(WAIT(&err, store_dialog_put(s, &d, done, arg)), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(h.good, 1);
	assert_int_equal(store_load_dialogs(s, none, NULL, NULL), 1);
	store_close(s);
	store_close(scratch_open()); /* and it is intact */
	signal(SIGXFSZ, SIG_DFL);
}

static void must_fail(void *arg, int code, const struct entente_err *err)
{
	*(int *)arg += code == ENTENTE_ESTORE && err && err->reason == REASON_SERVER_STORE;
}

/* A group so large that SQLite writes before the commit: the failure comes in the middle, and takes the whole group back. */
static void test_disk_full_in_group(void **state)
{
	(void)state;
	enum { N = 80 };
	struct store *s = NULL;
	struct health h = {0};
	struct rlimit before;
	int failed = 0;
	sem_t sem;
	sem_init(&sem, 0, 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch, .health = health, .arg = &h}, NULL), 0);
	struct store_contact c = {S("first"), S("j"), 1, STORE_BY_MESSAGE};
	assert_int_equal(store_contact_put(s, &c, hold, &sem), 0);
	while (store_load_contacts(s, found_one, NULL, NULL) != 1)
		usleep(1000); /* committed: the thread waits in the completion */
	c.local_user = S("second");
	assert_int_equal(store_contact_put(s, &c, must_fail, &failed), 0);
	static char big[STORE_BLOB_MAX];
	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof id, "id%d", i);
		struct store_dialog d = {slice_str(id), S("a"), S("b"), slice_of(big, sizeof big), 1};
		assert_int_equal(store_dialog_put(s, &d, must_fail, &failed), 0);
	}
	limit_files(1 << 20);
	sem_post(&sem);
	assert_int_equal(store_flush(s), ENTENTE_ESTORE);
	limit_files(before.rlim_cur);
	assert_int_equal(failed, N + 1);
	assert_int_equal(h.bad, 1);
	assert_int_equal(store_load_dialogs(s, none, NULL, NULL), 0);
	int n = 0;
	assert_int_equal(store_load_contacts(s, count, &n, NULL), 0);
	assert_int_equal(n, 1);
	store_close(s);
	sem_destroy(&sem);
	signal(SIGXFSZ, SIG_DFL);
}

/* ---- kill -9 ---- */
static int ack_fd;

static void ack(void *arg, int code, const struct entente_err *err)
{
	(void)err;
	uint32_t i = (uint32_t)(uintptr_t)arg;
	if (code == 0 && write(ack_fd, &i, sizeof i) != sizeof i)
		_exit(1);
}

/* Contacts with even numbers, partners with two further domains for odd ones, as fast as it goes. */
static void child(uint32_t first)
{
	struct store *s = NULL;
	if (store_open(&s, &(struct store_options){.directory = scratch, .queue_max = 300}, NULL))
		_exit(1);
	for (uint32_t i = first;; i++) {
		char a[32], b[32], c[32];
		snprintf(a, sizeof a, "n%u.test", i);
		snprintf(b, sizeof b, "x%u.test", i);
		snprintf(c, sizeof c, "y%u.test", i);
		struct slice more[] = {slice_str(b), slice_str(c)};
		struct store_contact contact = {slice_str(a), S("j"), i, STORE_BY_MESSAGE};
		struct policy_partner p = {.domain = slice_str(a)};
		policy_partner_defaults(&p);
		p.additional = more;
		p.n_additional = 2;
		while ((i & 1 ? store_partner_add(s, &p, S("t"), ack, (void *)(uintptr_t)i)
			      : store_contact_put(s, &contact, ack, (void *)(uintptr_t)i)) == ENTENTE_ELIMIT)
			usleep(100);
	}
}

enum { KILL_MAX = 1 << 20 };
static unsigned char acked[KILL_MAX], found[KILL_MAX];
static size_t n_partners;

static int found_contact(void *arg, const struct store_contact *c)
{
	(void)arg;
	found[c->learned_at] = 1;
	return 0;
}

static int found_partner(void *arg, const struct policy_partner *p)
{
	uint64_t i;
	(void)arg;
	struct slice digits = slice_skip(p->domain, 1);
	if (!slice_u64(slice_split(&digits, '.'), KILL_MAX - 1, &i) || p->n_additional != 2)
		return 1;
	found[i] = 1;
	n_partners++;
	return 0;
}

static void test_kill(void **state)
{
	(void)state;
	uint32_t next = 0;
	for (int round = 0; round < 6; round++) {
		int fd[2];
		assert_int_equal(pipe(fd), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fd[0]);
			ack_fd = fd[1];
			child(next);
		}
		close(fd[1]);
		uint32_t i, got = 0, last = next;
		while (read(fd[0], &i, sizeof i) == sizeof i) {
			assert_true(i < KILL_MAX);
			acked[i] = 1;
			last = i > last ? i : last;
			if (++got == 40u + 97u * (uint32_t)round)
				kill(pid, SIGKILL);
		}
		close(fd[0]);
		int status;
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		next = (last + 2000) & ~1u; /* beyond what may have been committed without an answer */

		struct store *s = scratch_open();
		int64_t generation;
		n_partners = 0;
		assert_int_equal(store_load_contacts(s, found_contact, NULL, NULL), 0);
		assert_int_equal(store_load_policy(s, found_partner, NULL, NULL, &generation, NULL), 0);
		assert_int_equal(generation, n_partners); /* a partner and its line in the history come together */
		for (uint32_t k = 0; k < KILL_MAX; k++)
			if (acked[k] && !found[k])
				fail_msg("round %d: %u was acknowledged and is lost", round, k);
		store_close(s);
	}
}

/* Several threads at once, loads beside them. */
struct writer {
	pthread_t thread;
	struct store *s;
	int n;
};

static int look(void *arg, const struct store_contact *c)
{
	(void)arg;
	return c->learned_at == 7 ? 0 : 1;
}

static void *write_some(void *arg)
{
	struct writer *w = arg;
	for (int i = 0; i < 300; i++) {
		char z[32];
		snprintf(z, sizeof z, "t%d-%d", w->n, i);
		struct store_contact c = {slice_str(z), S("j"), 7, STORE_BY_MESSAGE};
		if (store_contact_put(w->s, &c, NULL, NULL))
			return (void *)1;
		if (i % 100 == 99 && (store_flush(w->s) || store_load_contacts(w->s, look, NULL, NULL)))
			return (void *)1;
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct writer w[3];
	struct store *s = scratch_open();
	for (int i = 0; i < 3; i++) {
		w[i] = (struct writer){.s = s, .n = i};
		pthread_create(&w[i].thread, NULL, write_some, &w[i]);
	}
	for (int i = 0; i < 3; i++) {
		void *ret;
		pthread_join(w[i].thread, &ret);
		assert_null(ret);
	}
	int n = 0;
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_load_contacts(s, count, &n, NULL), 0);
	assert_int_equal(n, 900);
	store_close(s);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(test_kill), FRESH(test_queue_full), FRESH(test_disk_full),
					   FRESH(test_disk_full_in_group), FRESH(test_threads)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
