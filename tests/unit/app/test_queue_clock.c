/* SPDX-License-Identifier: Apache-2.0 */
/* By which clock queued texts grow old: not by that of the day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "app/queue_clock.h"

enum { NOW = 1800000000, DAY = 86400 };

static uint64_t ms = 5000000;
static int64_t unix_now = NOW;

uint64_t __wrap_clock_ms(void);
uint64_t __wrap_clock_ms(void)
{
	return ms;
}

int64_t __wrap_clock_unix(void);
int64_t __wrap_clock_unix(void)
{
	return unix_now;
}

static void first_reading(void **state)
{
	const struct queue_clock_reading saved = {.boot = "a", .at = NOW, .ms = 1000};
	(void)state;
	/* the very first time; with texts of a version without this clock */
	assert_int_equal(queue_clock_begin(NULL, "a", 1, NOW, 0), NOW);
	assert_int_equal(queue_clock_begin(NULL, "a", 1, NOW, NOW - 100), NOW - 100);
	assert_int_equal(queue_clock_begin(NULL, "a", 1, 5, NOW), 5); /* their lives are cut to what they may be */
	/* another process of the same start of the machine, whatever the time of day */
	assert_int_equal(queue_clock_begin(&saved, "a", 61000, NOW + 60, NOW), NOW + 60);
	assert_int_equal(queue_clock_begin(&saved, "a", 61000, NOW + 5 * DAY, NOW), NOW + 60);
	assert_int_equal(queue_clock_begin(&saved, "a", 61000, 0, NOW), NOW + 60);
	/* the machine was off */
	assert_int_equal(queue_clock_begin(&saved, "b", 500, NOW + 5 * DAY, NOW), NOW);
	assert_int_equal(queue_clock_begin(&saved, "b", 61000, 12, NOW), NOW);
	assert_int_equal(queue_clock_begin(&saved, "", 61000, NOW, NOW), NOW);
	assert_int_equal(queue_clock_begin(&saved, "a", 999, NOW, NOW), NOW); /* that cannot be */
}

/* While it runs, and over an end. */
static void goes_on(void **state)
{
	char directory[] = "/tmp/entente-clock-XXXXXX", path[64];
	struct queue_clock c = {0}, next = {0};
	(void)state;
	assert_non_null(mkdtemp(directory));
	queue_clock_look();
	queue_clock_open(&c, directory, 0);
	assert_int_equal(queue_clock_now(&c), NOW);
	ms += 10000;
	unix_now += 5 * DAY;
	assert_int_equal(queue_clock_now(&c), NOW + 10);
	unix_now = 7;
	ms += 10000;
	assert_int_equal(queue_clock_now(&c), NOW + 20);
	ms += QUEUE_CLOCK_SAVE_MS;
	queue_clock_save(&c, false);
	ms += 5000; /* killed */
	queue_clock_open(&next, directory, NOW);
	if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0)
		assert_int_equal(queue_clock_now(&next), NOW + 85);
	else
		assert_int_equal(queue_clock_now(&next), NOW + 80);
	snprintf(path, sizeof path, "%s/clock", directory);
	assert_int_equal(unlink(path), 0);
	queue_clock_open(&next, directory, NOW - 5); /* lost, and it is 1970 */
	assert_int_equal(queue_clock_now(&next), 7);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* The journal could not be opened: there is nothing to save, and no directory for it. */
static void never_opened(void **state)
{
	char directory[] = "/tmp/entente-clock-XXXXXX", before[512];
	struct queue_clock c = {0};
	(void)state;
	assert_non_null(getcwd(before, sizeof before));
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	queue_clock_save(&c, true);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(rmdir(directory), 0); /* it is empty */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(first_reading), cmocka_unit_test(goes_on), cmocka_unit_test(never_opened)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
