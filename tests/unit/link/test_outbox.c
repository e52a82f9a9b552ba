/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/err.h"
#include "base/mem.h"
#include "link/outbox.h"

static struct timers clock_;
static struct link_outbox box;
static uint64_t via;      /* 0: no link */
static bool again;        /* of what is put */
static int refuse;        /* what send answers instead */
static char log_[2048];

static void note(const char *what, uint64_t id)
{
	size_t n = strlen(log_);
	snprintf(log_ + n, sizeof log_ - n, "%s%llu ", what, (unsigned long long)id);
}

static int on_send(void *arg, struct link_item *i)
{
	(void)arg;
	if (refuse)
		return refuse;
	if (!via)
		return ENTENTE_EAGAIN;
	i->via = via;
	note("s", i->id);
	return 0;
}

static void on_failed(void *arg, struct link_item *i, enum reason reason, struct slice why)
{
	(void)arg, (void)why;
	note(reason == REASON_LINK_DOWN ? "d" : reason == REASON_LIMIT_SIZE ? "z" : "f", i->id);
}

static const struct link_outbox_ops ops = {.send = on_send, .failed = on_failed};

static int setup(void **state)
{
	(void)state;
	struct link_outbox_config c = {.wait_ms = 1000, .waiting = 4, .waiting_octets = 1000, .window = 3, .window_octets = 500};
	timers_init(&clock_, 5000);
	link_outbox_init(&box, &clock_, &c, &ops, NULL);
	via = 0;
	refuse = 0;
	again = true;
	log_[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	link_outbox_free(&box);
	assert_int_equal(clock_.count, 0);
	timers_free(&clock_);
	return 0;
}

static int put(uint64_t id, size_t octets, bool answered)
{
	struct link_item *i = link_item_new(sizeof *i);
	i->id = id;
	i->octets = octets;
	i->answered = answered;
	i->again = again;
	return link_outbox_put(&box, i);
}

static bool answer(uint64_t id)
{
	struct link_item *i = link_outbox_take(&box, id);
	mem_free(i);
	timers_run(&clock_, clock_.now);
	return i;
}

static void passes(void **state)
{
	(void)state;
	via = 7;
	assert_int_equal(put(1, 10, true), 0);
	assert_int_equal(put(2, 10, false), 0);
	assert_string_equal(log_, "s1 s2 ");
	assert_int_equal(box.n_under_way, 1);
	assert_true(link_outbox_has(&box, 1));
	assert_true(answer(1));
	assert_false(answer(1));
	assert_false(answer(2));
	assert_int_equal(box.n_under_way, 0);
	assert_int_equal(box.under_way_octets, 0);
}

static void waits_in_order(void **state)
{
	(void)state;
	put(1, 10, true);
	put(2, 10, false);
	via = 7; /* nobody has said so yet: the third must not overtake */
	put(3, 10, true);
	assert_string_equal(log_, "");
	link_outbox_flush(&box);
	assert_string_equal(log_, "s1 s2 s3 ");
	assert_int_equal(box.n_waiting, 0);
	assert_int_equal(box.waiting_octets, 0);
}

static void impatient(void **state)
{
	(void)state;
	put(1, 10, true);
	timers_run(&clock_, 5500);
	put(2, 10, true);
	timers_run(&clock_, 5999);
	assert_string_equal(log_, "");
	timers_run(&clock_, 6000);
	assert_string_equal(log_, "d1 ");
	timers_run(&clock_, 6500);
	assert_string_equal(log_, "d1 d2 ");
	assert_false(link_outbox_has(&box, 1));
}

static void limits(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(put(i, 10, true), 0);
	assert_int_equal(put(5, 10, true), ENTENTE_ELIMIT);
	assert_false(link_outbox_has(&box, 5));
	link_outbox_bounce(&box, REASON_SERVER_SHUTDOWN, SLICE_NONE);
	assert_string_equal(log_, "f1 f2 f3 f4 ");
	assert_int_equal(put(6, 5000, true), 0); /* one always may */
	assert_int_equal(put(7, 10, true), ENTENTE_ELIMIT);
}

static void window(void **state)
{
	(void)state;
	via = 7;
	for (uint64_t i = 1; i <= 5; i++)
		put(i, 10, true);
	put(6, 10, false); /* in order, also what nobody answers */
	assert_string_equal(log_, "s1 s2 s3 ");
	answer(2);
	assert_string_equal(log_, "s1 s2 s3 s4 ");
	answer(1);
	assert_string_equal(log_, "s1 s2 s3 s4 s5 s6 ");
	for (uint64_t i = 3; i <= 5; i++)
		answer(i);
	put(7, 400, true);
	put(8, 400, true);
	assert_non_null(strstr(log_, "s7 "));
	assert_null(strstr(log_, "s8 "));
	answer(7);
	assert_non_null(strstr(log_, "s8 "));
}

/* What was told as handed over does not keep others waiting, however long its answer takes. */
static void rests(void **state)
{
	(void)state;
	via = 7;
	for (uint64_t i = 1; i <= 5; i++)
		put(i, 10, true);
	assert_null(link_outbox_rest(&box, 1, 8));
	assert_null(link_outbox_rest(&box, 4, 7)); /* it waits */
	assert_int_equal(link_outbox_rest(&box, 1, 7)->id, 1);
	assert_non_null(link_outbox_rest(&box, 1, 7));
	timers_run(&clock_, clock_.now);
	assert_string_equal(log_, "s1 s2 s3 s4 ");
	assert_int_equal(box.n_under_way, 3);
	assert_true(answer(1));
	assert_int_equal(box.n_under_way, 3);
	assert_non_null(link_outbox_rest(&box, 2, 7));
	log_[0] = '\0';
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE); /* what went first goes first */
	assert_string_equal(log_, "s2 s3 s4 ");
	assert_int_equal(box.n_under_way, 3);
	assert_true(answer(2));
	assert_true(answer(3));
	assert_true(answer(4));
	assert_true(answer(5));
	assert_int_equal(box.under_way_octets, 0);
}

static void lost_again(void **state)
{
	(void)state;
	via = 7;
	put(1, 10, true);
	via = 8;
	put(2, 10, true);
	via = 7;
	put(3, 10, true);
	put(4, 10, true); /* waits: the window is full */
	log_[0] = '\0';
	via = 0;
	timers_run(&clock_, 5900);
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
	assert_string_equal(log_, "");
	assert_int_equal(box.n_waiting, 3);
	timers_run(&clock_, 6800); /* its time began anew */
	assert_string_equal(log_, "");
	via = 9;
	link_outbox_flush(&box);
	assert_string_equal(log_, "s1 s3 ");
	answer(2);
	assert_string_equal(log_, "s1 s3 s4 ");
	assert_true(answer(1));
}

static void lost_for_good(void **state)
{
	(void)state;
	via = 7;
	again = false;
	put(1, 10, true);
	put(2, 10, true);
	via = 8;
	put(3, 10, true);
	log_[0] = '\0';
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
	assert_string_equal(log_, "d1 d2 ");
	assert_true(answer(3));
}

/* What was under way each time may be what breaks them. */
static void lost_too_often(void **state)
{
	(void)state;
	via = 7;
	put(1, 10, true);
	for (int i = 1; i < LINK_TRIES; i++) {
		log_[0] = '\0';
		link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
		assert_string_equal(log_, "s1 ");
	}
	put(2, 10, true);
	log_[0] = '\0';
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
	assert_string_equal(log_, "d1 s2 ");
	assert_false(link_outbox_has(&box, 1));
}

static void answered_while_waiting(void **state)
{
	(void)state;
	via = 7;
	put(1, 10, true);
	via = 0;
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
	assert_int_equal(box.n_waiting, 1);
	assert_true(answer(1)); /* by another link of the same process */
	assert_int_equal(box.n_waiting, 0);
}

/* Somebody at the end of another link says what became of it: he cannot know. */
static void answered_by_another(void **state)
{
	(void)state;
	via = 7;
	put(1, 10, true);
	assert_null(link_outbox_answer(&box, 1, 8));
	assert_int_equal(box.n_under_way, 1);
	via = 0;
	link_outbox_lost(&box, 7, REASON_LINK_DOWN, SLICE_NONE);
	assert_null(link_outbox_answer(&box, 1, 7)); /* it waits again */
	via = 8;
	link_outbox_flush(&box);
	assert_null(link_outbox_answer(&box, 1, 7));
	struct link_item *i = link_outbox_answer(&box, 1, 8);
	assert_non_null(i);
	mem_free(i);
	assert_int_equal(box.n_under_way, 0);
	assert_null(link_outbox_answer(&box, 1, 8));
	timers_run(&clock_, clock_.now);
}

static void never_from_inside(void **state)
{
	(void)state;
	refuse = ENTENTE_ELIMIT;
	assert_int_equal(put(1, 10, true), 0);
	assert_string_equal(log_, "");
	timers_run(&clock_, clock_.now);
	assert_string_equal(log_, "z1 ");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(passes), T(waits_in_order), T(impatient), T(limits), T(window), T(rests), T(lost_again), T(lost_for_good), T(lost_too_often), T(answered_while_waiting),
		T(answered_by_another), T(never_from_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
