/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "app/starts.h"

static void quick_deaths_wait_longer_and_longer(void **state)
{
	struct starts s = {0};
	uint64_t now = 1000, want = STARTS_FIRST_MS;
	(void)state;
	for (int i = 0; i <= STARTS_FREE; i++, now += 200)
		assert_int_equal(starts_judge(&s, now), 0);
	for (int i = 0; i < 100; i++) {
		uint64_t wait = starts_judge(&s, now);
		assert_int_equal(wait, want);
		now += wait + 200; /* it lives so long each time */
		want = want * 2 > STARTS_MOST_MS ? STARTS_MOST_MS : want * 2;
	}
	now += STARTS_QUICK_MS; /* this one lived */
	assert_int_equal(starts_judge(&s, now), 0);
	assert_int_equal(s.quick, 0);
}

/* Killed every five seconds for ten minutes: never late. */
static void slow_deaths_never_wait(void **state)
{
	struct starts s = {0};
	(void)state;
	for (uint64_t now = 1; now < 600000; now += 5000)
		assert_int_equal(starts_judge(&s, now), 0);
}

static void a_planned_end_is_no_death(void **state)
{
	struct starts s = {0};
	(void)state;
	for (uint64_t now = 1; now < 20000; now += 100) {
		assert_int_equal(starts_judge(&s, now), 0);
		s = (struct starts){0};
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_deaths_wait_longer_and_longer),
		cmocka_unit_test(slow_deaths_never_wait),
		cmocka_unit_test(a_planned_end_is_no_death),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
