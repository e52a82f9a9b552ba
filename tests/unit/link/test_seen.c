/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "link/seen.h"

static void fates(void **state)
{
	struct link_seen s;
	(void)state;
	link_seen_init(&s, 3);
	assert_int_equal(link_seen_take(&s, 1), LINK_NEW);
	assert_int_equal(link_seen_take(&s, 1), LINK_UNDER_WAY);
	link_seen_done(&s, 1);
	link_seen_done(&s, 1);
	link_seen_done(&s, 99);
	assert_int_equal(link_seen_take(&s, 1), LINK_ENDED);
	for (uint64_t i = 2; i <= 4; i++) {
		assert_int_equal(link_seen_take(&s, i), LINK_NEW);
		link_seen_done(&s, i);
	}
	assert_int_equal(link_seen_take(&s, 2), LINK_ENDED);
	assert_int_equal(link_seen_take(&s, 1), LINK_NEW); /* older than the window: forgotten */
	link_seen_clear(&s);
	assert_int_equal(s.numbers.count, 0);
	assert_int_equal(link_seen_take(&s, 4), LINK_NEW);
	link_seen_free(&s);
}

static void bounded(void **state)
{
	struct link_seen s;
	(void)state;
	link_seen_init(&s, 10);
	for (uint64_t i = 1; i < 10000; i++) {
		link_seen_take(&s, i);
		link_seen_done(&s, i);
	}
	assert_int_equal(s.numbers.count, 10);
	link_seen_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fates), cmocka_unit_test(bounded)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
