/* SPDX-License-Identifier: Apache-2.0 */
/* Which stanzas are done, against a plain list of all of them. */
#include "unit.h"
#include "base/mem.h"
#include "xmpp/ack_window.h"

static void test_small(void **state)
{
	(void)state;
	struct ack_window w = {0};
	assert_false(ack_window_done(&w, 0));
	assert_false(ack_window_done(&w, 1));
	assert_int_equal(ack_window_add(&w, 2), 1);
	assert_int_equal(ack_window_add(&w, 2), 2);
	assert_int_equal(ack_window_add(&w, 2), 0);
	assert_int_equal(w.pending, 2);
	assert_false(ack_window_done(&w, 2));
	assert_int_equal(ack_window_add(&w, 2), 0); /* the oldest is what counts */
	assert_true(ack_window_done(&w, 1));
	assert_int_equal(w.done, 2);
	assert_int_equal(ack_window_add(&w, 2), 3);
	assert_null(w.more); /* a few cost no block */
	ack_window_free(&w);
}

/* Everything in all orders: blocks of stanzas, done from the back, from the front, or strided. */
static void test_against_a_list(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct ack_window w = {0};
	unsigned char *done = mem_calloc(N + 1, 1);
	uint64_t given = 0, low = 0, seed = 7;
	while (given < N || low < N) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint64_t n = 1 + (low + (seed >> 33) % 900);
		if ((seed >> 20) % 2 && given < N) {
			assert_int_equal(ack_window_add(&w, 1 << 20), ++given);
		} else if (n <= given) {
			bool rose = ack_window_done(&w, n);
			assert_int_equal(rose, !done[n] && n == low + 1);
			done[n] = 1;
			while (low < given && done[low + 1])
				low++;
		}
		assert_int_equal(w.done, low);
		assert_int_equal(w.top, given);
		size_t pending = 0;
		for (uint64_t k = low + 1; given % 64 == 0 && k <= given; k++)
			pending += !done[k];
		if (given % 64 == 0)
			assert_int_equal(w.pending, pending);
	}
	assert_null(w.more); /* the memory of a busy hour is not kept */
	mem_free(done);
	ack_window_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_against_a_list)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
