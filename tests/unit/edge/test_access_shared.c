/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of discovered partners, and contacts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "edge/access_shared.h"

static const struct tls_peer one = {.issuer = {"CN=Authority", 12}, .serial = {"01", 2}, .subject = {"CN=sip.one.test", 15}};
static const struct tls_peer two = {.issuer = {"CN=Authority", 12}, .serial = {"02", 2}, .subject = {"CN=sip.two.test", 15}};

static enum reason ask(struct access_shared *s, const struct tls_peer *p, int user, uint64_t now, uint32_t rate, uint32_t max, uint64_t *id)
{
	char local[32];
	uint64_t ignored;
	snprintf(local, sizeof local, "user%d@ours.test", user);
	return access_watch_admit(s, p, S("one.test"), slice_str(local), now, rate, max, id ? id : &ignored);
}

/* How many of `per_second` requests a second pass, over 60 seconds. */
static unsigned passed(struct access_shared *s, const struct tls_peer *p, uint64_t from, unsigned per_second, uint32_t rate)
{
	unsigned n = 0;
	for (uint64_t k = 0; k < 60 * per_second; k++)
		n += ask(s, p, 1, from + k * 1000 / per_second, rate, 0, NULL) == REASON_NONE;
	return n;
}

static void rate(void **state)
{
	struct access_shared *s = access_shared_new(100);
	(void)state;
	assert_in_range(passed(s, &one, 1000, 100, 20), 1195, 1225); /* 20 a second of 100 */
	assert_int_equal(passed(s, &one, 200000, 10, 20), 600);      /* who stays below passes whole */
	assert_int_equal(passed(s, &one, 300000, 100, 0), 6000);     /* no limit */
	access_shared_free(s);
}

static void suspicion(void **state)
{
	struct access_shared *s = access_shared_new(100);
	uint64_t id, other;
	(void)state;
	assert_int_equal(ask(s, &one, 1, 1000, 20, 0, &id), REASON_NONE);
	assert_int_equal(ask(s, &two, 1, 1000, 20, 0, &other), REASON_NONE);
	assert_int_not_equal(id, other);
	for (int i = 0; i < ACCESS_SUSPECT_AFTER; i++)
		access_watch_outcome(s, id, i % 2 ? 404 : 200); /* half and half is no suspicion */
	assert_true(passed(s, &one, 10000, 100, 20) > 1000);
	access_watch_outcome(s, id, 404);
	access_watch_outcome(s, id, 0);
	assert_in_range(passed(s, &one, 100000, 10, 20), 55, 65); /* one a second */
	assert_true(passed(s, &two, 100000, 100, 20) > 1000);    /* by certificate: the other is not touched */
	for (int i = 0; i < 200; i++)
		access_watch_outcome(s, id, 202);
	assert_true(passed(s, &one, 200000, 100, 20) > 1000); /* it has made up for it */
	access_shared_free(s);
}

static void contacts_limit(void **state)
{
	struct access_shared *s = access_shared_new(100);
	uint64_t now = 1000;
	(void)state;
	for (int i = 0; i < 1000; i++, now += 100)
		assert_int_equal(ask(s, &one, i, now, 20, 1000, NULL), REASON_NONE);
	for (int i = 1000; i < 1100; i++, now += 100)
		assert_int_equal(ask(s, &one, i, now, 20, 1000, NULL), REASON_LIMIT_CONTACTS);
	assert_int_equal(ask(s, &one, 999, now + 100, 20, 1000, NULL), REASON_NONE); /* those known before still pass */
	assert_int_equal(ask(s, &one, 5000, now + 200, 20, 0, NULL), REASON_NONE);   /* the limit is switched off */
	assert_int_equal(ask(s, &two, 5000, now, 20, 1000, NULL), REASON_NONE);
	access_shared_free(s);
}

static unsigned rows;
static void row(void *arg, const struct access_watch_facts *f)
{
	(void)arg;
	rows++;
	assert_true(slice_eq(f->serial, S("01")) && slice_eq(f->issuer, S("CN=Authority")) && slice_eq(f->subject, S("CN=sip.one.test")));
	assert_true(slice_eq(f->domains, S("one.test other.test")));
	assert_string_equal(f->mode, "standard");
	assert_int_equal(f->requests, 3);
	assert_int_equal(f->contacts, 2);
	assert_int_equal(f->succeeded, 1);
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->idle_ms, 500);
}

static void watch_list(void **state)
{
	struct access_shared *s = access_shared_new(100);
	uint64_t id;
	(void)state;
	ask(s, &one, 1, 1000, 20, 1000, &id);
	ask(s, &one, 2, 1000, 20, 1000, &id);
	access_watch_admit(s, &one, S("other.test"), S("user1@ours.test"), 1500, 20, 1000, &id);
	access_watch_outcome(s, id, 200);
	access_watch_outcome(s, id, 503);
	access_watch_outcome(s, id + 99, 503); /* nobody's */
	access_watch_each(s, 2000, row, NULL);
	assert_int_equal(rows, 1);
	access_shared_free(s);
}

static void bounded(void **state)
{
	struct access_shared *s = access_shared_new(3);
	(void)state;
	for (int i = 0; i < ACCESS_WATCH_MAX + 100; i++) { /* the longest silent one is forgotten */
		char serial[16];
		struct tls_peer p = one;
		snprintf(serial, sizeof serial, "%x", i);
		p.serial = slice_str(serial);
		assert_int_equal(ask(s, &p, i, 1000, 20, 1000, NULL), REASON_NONE);
	}
	assert_true(access_contact_learn(s, S("A@ours.test"), S("b@far.test")));
	assert_false(access_contact_learn(s, S("a@ours.test"), S("B@far.test"))); /* known */
	assert_true(access_contact_known(s, S("a@OURS.test"), S("b@far.test")));
	assert_false(access_contact_known(s, S("b@far.test"), S("a@ours.test"))); /* the other way round is something else */
	assert_true(access_contact_learn(s, S("c@ours.test"), S("b@far.test")));
	assert_true(access_contact_learn(s, S("d@ours.test"), S("b@far.test")));
	assert_false(access_contact_learn(s, S("e@ours.test"), S("b@far.test"))); /* full */
	assert_false(access_contact_known(s, S("e@ours.test"), S("b@far.test")));
	access_contact_forget(s, S("A@ours.test"), S("b@FAR.test"));
	access_contact_forget(s, S("nobody@ours.test"), S("b@far.test"));
	assert_false(access_contact_known(s, S("a@ours.test"), S("b@far.test")));
	assert_true(access_contact_learn(s, S("e@ours.test"), S("b@far.test"))); /* there is room again */
	access_shared_free(s);
}

/* What stands in the place that another one left is still found. */
static void contacts_come_and_go(void **state)
{
	enum { N = 400 };
	struct access_shared *s = access_shared_new(N);
	char user[32];
	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(user, sizeof user, "u%d@ours.test", i);
		assert_true(access_contact_learn(s, slice_str(user), S("b@far.test")));
	}
	for (int gone = 0; gone < N; gone += 3) {
		snprintf(user, sizeof user, "u%d@ours.test", gone);
		access_contact_forget(s, slice_str(user), S("b@far.test"));
		for (int i = 0; i < N; i++) {
			snprintf(user, sizeof user, "u%d@ours.test", i);
			assert_int_equal(access_contact_known(s, slice_str(user), S("b@far.test")), i > gone || i % 3 != 0);
		}
	}
	access_shared_free(s);
}

/* Connections and requests under way, by certificate; what is over makes room. */
static void t28_guests(void **state)
{
	struct access_shared *s = access_shared_new(3);
	struct access_guest *g[5], *other;
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_non_null(g[i] = access_guest_enter(s, &one, 5));
	assert_null(access_guest_enter(s, &one, 5));
	assert_non_null(other = access_guest_enter(s, &two, 5)); /* by certificate */
	assert_null(access_guest_enter(s, &two, 0));
	access_guest_leave(s, g[0]);
	assert_non_null(g[0] = access_guest_enter(s, &one, 5));
	assert_null(access_guest_enter(s, &one, 4)); /* the setting was changed meanwhile */
	for (int i = 0; i < 100; i++)
		assert_true(access_guest_ask(s, g[i % 5], 100));
	assert_false(access_guest_ask(s, g[0], 100));
	assert_true(access_guest_ask(s, other, 100));
	access_guest_answered(s, g[3]);
	assert_true(access_guest_ask(s, g[1], 100));
	for (int i = 0; i < 5; i++)
		access_guest_leave(s, g[i]);
	for (int i = 0; i < 100; i++) /* the connections are gone, the requests still end */
		access_guest_answered(s, g[0]);
	access_guest_leave(s, other);
	access_guest_answered(s, other);
	assert_non_null(other = access_guest_enter(s, &two, 1)); /* it had been forgotten */
	access_shared_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rate), cmocka_unit_test(suspicion), cmocka_unit_test(contacts_limit), cmocka_unit_test(watch_list),
					   cmocka_unit_test(bounded),   cmocka_unit_test(contacts_come_and_go), cmocka_unit_test(t28_guests)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
