/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and quotas, under a virtual clock. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/list.h"
#include "edge/rate.h"
#include "edge/xmpp_quota.h"

static unsigned burst(struct rate *r, const char *who, uint64_t now, uint32_t per_second, unsigned tries)
{
	unsigned n = 0;
	for (unsigned i = 0; i < tries; i++)
		n += rate_admit(r, slice_str(who), now, per_second);
	return n;
}

static void test_rate(void **state)
{
	struct rate *r = rate_new(1000);
	(void)state;
	assert_in_range(burst(r, "a", 1000000, 10, 5000), 600, 602); /* a minute's worth at once */
	assert_in_range(burst(r, "b", 1000000, 10, 5000), 600, 602); /* each his own */
	assert_in_range(burst(r, "a", 1001000, 10, 5000), 9, 11);    /* then the average */
	assert_in_range(burst(r, "a", 1006000, 10, 5000), 49, 51);
	assert_in_range(burst(r, "a", 2000000, 10, 5000), 600, 602);
	unsigned n = 0;
	for (uint64_t t = 3000000; t < 3100000; t += 10) /* steadily below it: never refused */
		n += rate_admit(r, S("c"), t, 100);
	assert_int_equal(n, 10000);
	rate_free(r);
}

static void test_rate_bounded(void **state)
{
	struct rate *r = rate_new(100);
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		char who[16];
		snprintf(who, sizeof who, "u%u", i);
		assert_true(rate_admit(r, slice_str(who), 1000, 1));
		assert_true(rate_count(r) <= 100);
	}
	burst(r, "loud", 1000, 1, 1000);
	assert_true(rate_admit(r, S("later"), 200000, 1)); /* the quiet ones are forgotten when room is needed */
	assert_true(rate_count(r) <= 100);
	rate_free(r);
	rate_free(NULL);
}

static void test_quota(void **state)
{
	struct xmpp_quota *q = xmpp_quota_new();
	struct xmpp_quota_pass *a = xmpp_quota_enter(q, S("a.test"), 2, 3), *b = xmpp_quota_enter(q, S("a.test"), 2, 3);
	(void)state;
	assert_true(a && b);
	assert_null(xmpp_quota_enter(q, S("a.test"), 2, 3));
	struct xmpp_quota_pass *c = xmpp_quota_enter(q, S("b.test"), 2, 3);
	assert_non_null(c);
	assert_null(xmpp_quota_enter(q, S("c.test"), 2, 3)); /* all together */
	assert_int_equal(xmpp_quota_open(q, S("a.test")), 2);
	xmpp_quota_leave(a);
	assert_non_null(a = xmpp_quota_enter(q, S("c.test"), 2, 3));
	xmpp_quota_leave(a);
	xmpp_quota_leave(b);
	xmpp_quota_leave(c);
	xmpp_quota_leave(NULL);
	assert_int_equal(xmpp_quota_open(q, S("a.test")), 0);
	assert_int_equal(xmpp_quota_open(q, S("never.test")), 0);
	xmpp_quota_free(q);
}

static void test_quota_pace(void **state)
{
	struct xmpp_quota *q = xmpp_quota_new();
	struct xmpp_quota_pass *a = xmpp_quota_enter(q, S("a.test"), 9, 9), *b = xmpp_quota_enter(q, S("a.test"), 9, 9);
	uint64_t wait = 0;
	unsigned n = 0;
	(void)state;
	for (; !wait; n++)
		wait = xmpp_quota_stanza(n % 2 ? a : b, 1000, 100); /* two streams, one partner */
	assert_in_range(n, 1000, 1002);
	assert_in_range(wait, 1, 20);
	assert_true(xmpp_quota_stanza(a, 1000, 100) > wait);
	assert_int_equal(xmpp_quota_stanza(a, 60000, 100), 0);
	xmpp_quota_leave(a);
	xmpp_quota_leave(b);
	xmpp_quota_free(q);
}

static struct xmpp_quota *shared;

static void *use(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		struct xmpp_quota_pass *p = xmpp_quota_enter(shared, S("a.test"), 3, 3);
		if (!p)
			continue;
		xmpp_quota_stanza(p, 1000, 1000000);
		assert_true(xmpp_quota_open(shared, S("a.test")) <= 3);
		xmpp_quota_leave(p);
	}
	return NULL;
}

static void test_quota_threads(void **state)
{
	pthread_t t[4];
	(void)state;
	shared = xmpp_quota_new();
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, use, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(xmpp_quota_open(shared, S("a.test")), 0);
	xmpp_quota_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),	   cmocka_unit_test(test_rate_bounded),	 cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_pace), cmocka_unit_test(test_quota_threads),
	};
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
