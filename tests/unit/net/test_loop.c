/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/clock.h"
#include "net/loop.h"

struct alarm {
	struct timer t;
	struct loop *loop;
	uint64_t fired_at;
	int times, again;
};

static void fire(struct timer *t, uint64_t now)
{
	struct alarm *a = CONTAINER_OF(t, struct alarm, t);
	a->times++;
	a->fired_at = now;
	if (a->again-- > 0)
		timer_arm(&a->loop->timers, t, 5);
	else
		loop_stop(a->loop);
}

static void test_timers(void **state)
{
	(void)state;
	struct loop *l;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	struct alarm a = {.loop = l, .again = 3}, late = {.loop = l};
	timer_init(&a.t, fire);
	timer_init(&late.t, fire);
	uint64_t start = clock_ms();
	timer_arm(&l->timers, &late.t, 60000);
	timer_arm(&l->timers, &a.t, 10);
	loop_run(l);
	assert_int_equal(a.times, 4);
	assert_int_equal(late.times, 0);
	assert_in_range(clock_ms() - start, 24, 2000);
	assert_true(a.fired_at - start >= 24);
	struct loop_stats s;
	loop_stats(l, &s);
	assert_int_equal(s.timers, 1);
	assert_in_range(s.turns, 4, 40); /* it slept in between */
	/* a shorter timer armed from outside shortens the wait */
	timer_arm(&l->timers, &a.t, 1);
	loop_run(l);
	assert_int_equal(a.times, 5);
	loop_free(l);
}

struct hooked {
	struct loop_hook hook;
	struct loop *loop;
	int runs, again;
};

static void run_hook(struct loop_hook *h)
{
	struct hooked *k = CONTAINER_OF(h, struct hooked, hook);
	k->runs++;
	if (k->again-- > 0)
		loop_defer(k->loop, h);
}

static void test_hooks(void **state)
{
	(void)state;
	struct loop *l;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	struct hooked a = {.hook.run = run_hook, .loop = l}, b = a, c = a, endless = a;
	loop_defer(l, &a.hook);
	loop_defer(l, &a.hook);
	loop_defer(l, &b.hook);
	loop_undefer(&b.hook);
	c.again = 2;
	loop_defer(l, &c.hook);
	loop_once(l, 1000); /* does not wait: there is work */
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 0);
	assert_int_equal(c.runs, 3); /* the same turn */
	endless.again = 1000000;
	loop_defer(l, &endless.hook);
	loop_once(l, 1000);
	assert_in_range(endless.runs, 2, 64); /* one hook cannot hold the loop */
	loop_undefer(&endless.hook);
	loop_free(l);
}

static void on_signal(void *arg, int signo)
{
	struct alarm *a = arg;
	a->times = signo;
	loop_stop(a->loop);
}

static void test_signal(void **state)
{
	(void)state;
	struct loop *l;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	struct alarm a = {.loop = l};
	assert_int_equal(loop_signal(l, SIGHUP, on_signal, &a), 0);
	raise(SIGHUP);
	loop_run(l);
	assert_int_equal(a.times, SIGHUP);
	loop_free(l);
}

static void test_wait_is_bounded(void **state)
{
	(void)state;
	struct loop *l;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	uint64_t start = clock_ms();
	loop_once(l, 30);
	assert_in_range(clock_ms() - start, 28, 1000);
	start = clock_ms();
	loop_once(l, 0);
	assert_in_range(clock_ms() - start, 0, 20);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_wait_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
