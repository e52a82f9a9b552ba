/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/worker.h"

enum { ROUNDS = 20000 };

struct state {          /* of a worker */
	uint64_t last[4];   /* the last number seen from each sender */
	uint64_t seen, sent;
	unsigned to;
	int waits;
	struct worker *self;
	struct bus_wait wait;
	struct loop_hook more;
};

struct note {
	struct bus_msg msg;
	unsigned from;
	uint64_t number;
	struct worker *back;
};

static atomic_uint finished, dropped, ends, starts, waits, seen;

static int start(struct worker *w, struct entente_err *err)
{
	(void)err;
	atomic_fetch_add(&starts, 1);
	assert_ptr_equal(worker_self(), w);
	w->state = MEM_NEW(struct state);
	return 0;
}

static void end(struct worker *w)
{
	struct state *s = w->state;
	atomic_fetch_add(&ends, 1);
	atomic_fetch_add(&waits, (unsigned)s->waits);
	atomic_fetch_add(&seen, (unsigned)s->seen);
	w->state = mem_free(w->state);
}

static void run_note(struct worker *w, struct bus_msg *m)
{
	struct note *n = CONTAINER_OF(m, struct note, msg);
	struct state *s = w->state;
	assert_true(n->number == s->last[n->from] + 1); /* order per producer */
	s->last[n->from] = n->number;
	s->seen++;
	mem_free(n);
}

static void drop_note(struct bus_msg *m)
{
	atomic_fetch_add(&dropped, 1);
	mem_free(CONTAINER_OF(m, struct note, msg));
}

static void run_finished(struct worker *control, struct bus_msg *m)
{
	atomic_fetch_add(&finished, 1);
	mem_free(m);
	loop_stop(control->loop);
}

static void produce(struct state *s);

static void ready(struct bus_wait *b)
{
	produce(CONTAINER_OF(b, struct state, wait));
}

static void more(struct loop_hook *h)
{
	produce(CONTAINER_OF(h, struct state, more));
}

/* Sends as fast as the receiver takes; a full queue stops it until told to go on. */
static void produce(struct state *s)
{
	struct worker *to = pool_worker(s->self->pool, s->to);
	for (int i = 0; i < 300 && s->sent < ROUNDS; i++) {
		struct note *n = MEM_NEW(struct note);
		*n = (struct note){.msg = {.run = run_note, .drop = drop_note}, .from = s->self->id, .number = s->sent + 1};
		if (worker_post(to, &n->msg)) {
			mem_free(n);
			s->waits++;
			worker_wait(s->self, to, &s->wait);
			return;
		}
		s->sent++;
	}
	if (s->sent < ROUNDS) {
		loop_defer(s->self->loop, &s->more);
		return;
	}
	struct bus_msg *m = MEM_NEW(struct bus_msg);
	m->run = run_finished;
	worker_post_always(pool_control(s->self->pool), m);
}

static void run_begin(struct worker *w, struct bus_msg *m)
{
	struct note *n = CONTAINER_OF(m, struct note, msg);
	struct state *s = w->state;
	s->self = w;
	s->to = (unsigned)n->number;
	s->wait.ready = ready;
	s->more.run = more;
	mem_free(n);
	produce(s);
}

static const struct pool_ops ops = {.start = start, .end = end};

static void storm(unsigned workers, size_t queue)
{
	struct pool *p;
	struct pool_opts o = {.workers = workers, .queue = queue, .ops = &ops};
	finished = starts = ends = waits = seen = 0;
	assert_int_equal(pool_new(&p, &o, NULL), 0);
	assert_int_equal(pool_start(p, NULL), 0);
	assert_int_equal(starts, workers);
	assert_ptr_equal(worker_self(), pool_control(p));
	for (unsigned i = 0; i < workers; i++) { /* all shout at worker 0; worker 0 at the last */
		struct note *n = MEM_NEW(struct note);
		*n = (struct note){.msg.run = run_begin, .number = i ? 0 : workers - 1};
		worker_post_always(pool_worker(p, i), &n->msg);
	}
	while (finished < workers)
		pool_run(p);
	assert_true(pool_stop(p, 5000));
	assert_int_equal(ends, workers);
	assert_int_equal(seen, workers * ROUNDS);
	if (queue)
		assert_true(waits > 0);
	pool_free(p);
	assert_null(worker_self());
}

static void test_three_workers(void **state)
{
	(void)state;
	storm(3, 0);
	storm(3, 64); /* the queue is full all the time */
	storm(3, 1);
}

static void test_one_worker(void **state)
{
	(void)state;
	storm(1, 0);
	storm(1, 16);
}

static atomic_int ran;

static void run_count(struct worker *w, struct bus_msg *m)
{
	(void)w, (void)m;
	atomic_fetch_add(&ran, 1);
}

static void drop_count(struct bus_msg *m)
{
	(void)m;
	atomic_fetch_add(&dropped, 1);
}

static void test_full_and_dropped(void **state)
{
	(void)state;
	struct pool *p;
	struct pool_opts o = {.workers = 1, .queue = 4};
	assert_int_equal(pool_new(&p, &o, NULL), 0); /* not started: nobody takes */
	struct bus_msg m[6] = {{0}};
	ran = dropped = 0;
	for (int i = 0; i < 6; i++)
		m[i] = (struct bus_msg){.run = run_count, .drop = drop_count};
	for (int i = 0; i < 4; i++)
		assert_int_equal(worker_post(pool_worker(p, 0), &m[i]), 0);
	assert_int_equal(worker_post(pool_worker(p, 0), &m[4]), ENTENTE_EAGAIN);
	worker_post_always(pool_worker(p, 0), &m[5]);
	assert_int_equal(worker_depth(pool_worker(p, 0)), 5);
	pool_free(p);
	assert_int_equal(dropped, 5);
	assert_int_equal(ran, 0);
}

static int start_fails(struct worker *w, struct entente_err *err)
{
	if (w->id == 1)
		return err_set(err, ENTENTE_EIO, REASON_NONE, "worker one is ill");
	return start(w, err);
}

static void test_failed_start(void **state)
{
	(void)state;
	static const struct pool_ops failing = {.start = start_fails, .end = end};
	struct pool *p;
	struct entente_err err = {0};
	struct pool_opts o = {.workers = 3, .ops = &failing};
	starts = ends = 0;
	assert_int_equal(pool_new(&p, &o, NULL), 0);
	assert_int_equal(pool_start(p, &err), ENTENTE_EIO);
	assert_string_equal(err.text, "worker one is ill");
	assert_int_equal(starts, 1);
	assert_int_equal(ends, 1);
	pool_free(p);
}

static void never_stops(struct worker *w)
{
	assert_true(worker_stopping(w));
}

struct slow {
	struct timer t;
	struct worker *w;
};

static void slow_done(struct timer *t, uint64_t now)
{
	(void)now;
	struct slow *s = CONTAINER_OF(t, struct slow, t);
	worker_stopped(s->w);
	mem_free(s);
}

static void stops_slowly(struct worker *w)
{
	struct slow *s = MEM_NEW(struct slow);
	s->w = w;
	timer_init(&s->t, slow_done);
	timer_arm(&w->loop->timers, &s->t, 20);
}

static void test_stop(void **state)
{
	(void)state;
	static const struct pool_ops stubborn = {.stop = never_stops}, slow = {.stop = stops_slowly};
	struct pool *p;
	struct pool_opts o = {.workers = 2, .ops = &stubborn};
	assert_int_equal(pool_new(&p, &o, NULL), 0);
	assert_int_equal(pool_start(p, NULL), 0);
	assert_false(pool_stop(p, 30));
	pool_free(p);
	o.ops = &slow;
	assert_int_equal(pool_new(&p, &o, NULL), 0);
	assert_int_equal(pool_start(p, NULL), 0);
	assert_true(pool_stop(p, 5000));
	pool_free(p);
}

static void test_pick(void **state)
{
	(void)state;
	struct pool *p;
	struct pool_opts o = {.workers = 3};
	assert_int_equal(pool_new(&p, &o, NULL), 0);
	assert_ptr_equal(pool_pick(p, S("Example.ORG")), pool_pick(p, S("example.org")));
	bool hit[3] = {false};
	char name[2] = "a";
	for (int i = 0; i < 26; i++, name[0]++)
		hit[pool_pick(p, slice_str(name))->id] = true;
	assert_true(hit[0] && hit[1] && hit[2]);
	pool_free(p);
}

/* ---- a stack that is used up */

enum { SEEN = 7 };

static void on_crash(int signo)
{
	(void)signo;
	_exit(SEEN);
}

static size_t deep(volatile char *above, size_t n)
{
	volatile char frame[4096];
	frame[0] = above[0];
	return n ? deep(frame, n - 1) + (size_t)frame[0] : 0;
}

static int overflows(struct worker *w, struct entente_err *err)
{
	volatile char c = 1;
	(void)w, (void)err;
	return (int)deep(&c, SIZE_MAX);
}

static void test_stack(void **state)
{
	static const struct pool_ops over = {.start = overflows};
	int status = 0;
	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	pid_t child = fork();
	if (!child) {
		struct sigaction a = {.sa_handler = on_crash, .sa_flags = (int)SA_ONSTACK};
		struct pool *p;
		struct pool_opts po = {.workers = 1, .queue = 16, .ops = &over};
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		sigaction(SIGSEGV, &a, NULL);
		if (!pool_new(&p, &po, NULL))
			pool_start(p, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SEEN);
#else
	(void)over, (void)status, (void)on_crash;
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_workers),
		cmocka_unit_test(test_one_worker),
		cmocka_unit_test(test_full_and_dropped),
		cmocka_unit_test(test_failed_start),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
