/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/counts.h"

/* Marks that crowd into few places, so that chains run into each other and around the end: every change against a plain array. */
static void against_an_array(void **state)
{
	enum { NAMES = 700, STEPS = 200000 };
	static uint32_t model[NAMES];
	static uint64_t mark[NAMES];
	struct counts c = {0};
	uint32_t random = 1;
	size_t n = 0;
	(void)state;
	for (unsigned i = 0; i < NAMES; i++)
		mark[i] = i % 3 ? (uint64_t)i << 32 | (i % 7 ? 60 + i % 5 : i) : i; /* one of them is 0 */
	for (unsigned i = 0; i < STEPS; i++) {
		random = random * 1664525u + 1013904223u;
		/* it grows for a while, then shrinks */
		unsigned name = (random >> 8) % NAMES, number = (random >> 20) % ((i / 20000) % 2 ? 12 : 2) ? i + 1 : 0;
		if ((i / 20000) % 2)
			number = number ? 0 : i + 1;
		n += (number != 0) - (model[name] != 0);
		model[name] = number;
		counts_set(&c, mark[name], number);
		assert_int_equal(counts_get(&c, mark[name]), number);
		assert_int_equal(c.n, n);
		if (i % 997 == 0)
			for (unsigned j = 0; j < NAMES; j++)
				assert_int_equal(counts_get(&c, mark[j]), model[j]);
	}
	for (unsigned j = 0; j < NAMES; j++) {
		counts_set(&c, mark[j], 0);
		assert_int_equal(counts_get(&c, mark[j]), 0);
	}
	assert_int_equal(c.n, 0);
	assert_true(c.cap <= 64);
	counts_free(&c);
}

static void an_empty_one(void **state)
{
	struct counts c = {0};
	(void)state;
	assert_int_equal(counts_get(&c, 5), 0);
	counts_set(&c, 5, 0);
	assert_int_equal(c.cap, 0);
	counts_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(against_an_array), cmocka_unit_test(an_empty_one)};
	return cmocka_run_group_tests_name("counts", tests, NULL, NULL);
}
