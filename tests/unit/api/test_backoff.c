/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "api/backoff.h"

static void grows(void **state)
{
	struct backoff *b = backoff_new();
	uint64_t now = 1000, before = 0, wait;
	(void)state;
	for (int i = 0; i < BACKOFF_FREE; i++)
		assert_int_equal(backoff_begin(b, S("bob"), S("1.2.3.4"), now), 0);
	for (int i = 0; i < 12; i++) {
		wait = backoff_begin(b, S("bob"), S("1.2.3.4"), now);
		assert_true(wait > 0 && wait >= before);
		assert_int_equal(backoff_begin(b, S("bob"), S("1.2.3.4"), now + wait - 1), 1); /* not a moment before, and asking costs nothing */
		before = wait;
		now += wait;
		assert_int_equal(backoff_begin(b, S("bob"), S("1.2.3.4"), now), 0);
	}
	wait = backoff_begin(b, S("bob"), S("1.2.3.4"), now);
	assert_true(wait > BACKOFF_ACCOUNT_MS && wait <= BACKOFF_ADDRESS_MS);
	/* from elsewhere the owner waits for the account alone */
	wait = backoff_begin(b, S("bob"), S("5.6.7.8"), now);
	assert_true(wait > 0 && wait <= BACKOFF_ACCOUNT_MS);
	/* and from there another account waits for the address */
	assert_true(backoff_begin(b, S("alice"), S("1.2.3.4"), now) > 0);
	assert_int_equal(backoff_begin(b, S("alice"), S("5.6.7.8"), now), 0);
	backoff_clear(b, S("bob"), S("1.2.3.4"));
	assert_int_equal(backoff_begin(b, S("bob"), S("1.2.3.4"), now), 0);
	backoff_free(b);
}

static void forgets(void **state)
{
	struct backoff *b = backoff_new();
	(void)state;
	for (int i = 0; i < BACKOFF_FREE; i++)
		assert_int_equal(backoff_begin(b, S("bob"), S("a"), 5), 0);
	assert_true(backoff_begin(b, S("bob"), S("a"), 5) > 0);
	for (int i = 0; i < BACKOFF_FREE; i++)
		assert_int_equal(backoff_begin(b, S("bob"), S("a"), 5 + BACKOFF_FORGET_MS), 0);
	assert_true(backoff_begin(b, S("bob"), S("a"), 5 + BACKOFF_FORGET_MS) > 0);
	backoff_free(b);
}

/* However many names somebody tries, one address is slowed down. */
static void many_names(void **state)
{
	struct backoff *b = backoff_new();
	unsigned let = 0;
	char name[16];
	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "user%d", i);
		let += backoff_begin(b, slice_str(name), S("attacker"), 1000) == 0;
	}
	assert_int_equal(let, BACKOFF_FREE);
	backoff_free(b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(grows), cmocka_unit_test(forgets), cmocka_unit_test(many_names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
