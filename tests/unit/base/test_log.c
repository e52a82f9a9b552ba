/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that a stranger causes are few, whatever he does; none is hidden without being counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/log.h"

static unsigned admitted(const char *id, const char *key, uint64_t now, unsigned tries, uint64_t *ret_hidden)
{
	unsigned n = 0;
	uint64_t hidden;
	*ret_hidden = 0;
	for (unsigned i = 0; i < tries; i++) {
		if (log_admit(id, slice_str(key), now, &hidden)) {
			n++;
			*ret_hidden += hidden;
		}
	}
	return n;
}

static void test_per_key(void **state)
{
	uint64_t hidden;
	(void)state;
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000, 100, &hidden), LOG_PER_KEY);
	assert_int_equal(hidden, 0);
	assert_int_equal(admitted("test/key", "192.0.2.2", 1000, 1, &hidden), 1);
	assert_int_equal(hidden, 100 - LOG_PER_KEY);
	assert_int_equal(admitted("test/other", "192.0.2.1", 1000, 1, &hidden), 1); /* another event has its own count */
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000 + LOG_WINDOW_MS - 1, 1, &hidden), 0);
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000 + LOG_WINDOW_MS, 1, &hidden), 1);
	assert_int_equal(hidden, 1);
}

static void test_per_event(void **state)
{
	uint64_t hidden;
	unsigned n = 0;
	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		char key[32];
		snprintf(key, sizeof key, "2001:db8::%x", i);
		n += admitted("test/event", key, 5000, 3, &hidden);
	}
	assert_int_equal(n, LOG_PER_EVENT);
}

static struct buf seen;

static void sink(void *arg, struct slice line)
{
	(void)arg;
	buf_put(&seen, line);
}

static unsigned lines(void)
{
	unsigned n = 0;
	for (struct slice rest = buf_slice(&seen); rest.len && slice_split(&rest, '\n').len;)
		n++;
	return n;
}

static void test_line(void **state)
{
	(void)state;
	buf_init(&seen, 65536);
	log_set_sink(sink, NULL);
	for (int i = 0; i < 9; i++)
		log_ev_limited(LOG_WARNING, "test/line", S("a"), {"address", S("a")});
	assert_int_equal(lines(), LOG_PER_KEY);
	buf_clear(&seen);
	log_ev_limited(LOG_WARNING, "test/line", S("b"), {"address", S("b")});
	assert_true(slice_find(buf_slice(&seen), S(" address=b hidden=4\n")) >= 0);
	buf_clear(&seen);
	log_ev_limited(LOG_DEBUG, "test/line", S("c"), {"address", S("c")}); /* below the level: neither written nor counted */
	assert_int_equal(seen.len, 0);
	log_set_sink(NULL, NULL);
	buf_free(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_per_key), cmocka_unit_test(test_per_event),
					   cmocka_unit_test(test_line)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
