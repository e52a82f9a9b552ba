/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings of certificates that end, under a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "app/expiry.h"

struct heard {
	char text[4096];
};

static void tell(void *arg, const struct expiry_entry *e, enum plan_expiry level)
{
	struct heard *h = arg;
	size_t n = strlen(h->text);
	snprintf(h->text + n, sizeof h->text - n, "%s%s/%s:%s ", e->own ? "" : "partner/", e->protocol, e->name, plan_expiry_text(level));
}

static struct expiry_entry *put(struct expiry_list *l, bool own, const char *name, unsigned char id, int64_t from, int64_t to)
{
	struct expiry_entry *e = expiry_add(l);
	assert_non_null(e);
	e->own = own;
	e->protocol = own ? "" : "xmpp";
	snprintf(e->name, sizeof e->name, "%s", name);
	e->sha256[0] = id;
	e->not_before = from;
	e->not_after = to;
	e->seen = from;
	return e;
}

/* From threshold to threshold, as the daemon's timer goes: each is told once, in order, and at its very second. */
static void test_year(void **state)
{
	(void)state;
	struct expiry_watch w = {0};
	struct heard h = {""};
	struct expiry_list l = {0};
	put(&l, true, "server", 1, 0, 1200);
	put(&l, false, "fabrikam.example", 2, 0, 2400);
	int64_t at = 0, next;
	static const int64_t times[] = {801, 901, 1051, 1101, 1200, 1601, 1801, 2101, 2201, 2400};
	size_t step = 0;
	while ((next = expiry_look(&w, &l, at, tell, &h)) != INT64_MAX) {
		assert_true(step < sizeof times / sizeof *times && next == times[step++]);
		at = next;
	}
	assert_int_equal(step, sizeof times / sizeof *times);
	assert_string_equal(h.text, "/server:soon /server:critical /server:urgent /server:expired partner/xmpp/fabrikam.example:soon "
				    "partner/xmpp/fabrikam.example:critical partner/xmpp/fabrikam.example:urgent partner/xmpp/fabrikam.example:expired ");
	expiry_clear(&l);
	expiry_watch_free(&w);
}

static void test_once_and_anew(void **state)
{
	(void)state;
	struct expiry_watch w = {0};
	struct heard h = {""};
	struct expiry_list l = {0};
	put(&l, true, "server", 1, 0, 1200);
	for (int i = 0; i < 5; i++)
		expiry_look(&w, &l, 1000, tell, &h);
	assert_string_equal(h.text, "/server:soon ");
	expiry_look(&w, &l, 1190, tell, &h); /* one level may be passed unseen */
	assert_string_equal(h.text, "/server:soon /server:urgent ");
	expiry_look(&w, &l, 1000, tell, &h); /* a clock that goes back says nothing twice */
	expiry_look(&w, &l, 1190, tell, &h);
	assert_string_equal(h.text, "/server:soon /server:urgent ");
	/* renewed, and near its end again */
	*h.text = 0;
	l.list[0].sha256[0] = 9;
	l.list[0].not_after = 2400;
	l.list[0].not_before = 1190;
	expiry_look(&w, &l, 1191, tell, &h);
	assert_string_equal(h.text, "");
	expiry_look(&w, &l, 2390, tell, &h);
	assert_string_equal(h.text, "/server:urgent ");
	expiry_clear(&l);
	expiry_watch_free(&w);
}

static void test_limits(void **state)
{
	(void)state;
	struct expiry_list l = {0};
	for (int i = 0; i < EXPIRY_MOST; i++)
		assert_non_null(expiry_add(&l));
	assert_null(expiry_add(&l));
	expiry_clear(&l);
	assert_null(l.list);
}

static void test_metrics(void **state)
{
	(void)state;
	struct expiry_list l = {0};
	struct buf b;
	buf_init(&b, 65536);
	expiry_metrics(&b, &l, 0);
	assert_int_equal(b.len, 0);
	put(&l, true, "server", 1, 0, 1000);
	put(&l, false, "a\"b.example", 2, 0, 4000);
	expiry_metrics(&b, &l, 750);
	buf_putc(&b, 0);
	assert_string_equal(buf_slice(&b).p,
			    "# HELP entente_certificate_not_after_timestamp_seconds when a certificate ends, ours (role own) or one that a partner has shown\n"
			    "# TYPE entente_certificate_not_after_timestamp_seconds gauge\n"
			    "entente_certificate_not_after_timestamp_seconds{name=\"server\",role=\"own\"} 1000\n"
			    "entente_certificate_not_after_timestamp_seconds{name=\"a\\\"b.example\",role=\"partner\",proto=\"xmpp\"} 4000\n"
			    "# HELP entente_certificate_remaining_ratio the part of a certificate's lifetime that is left, 1 to 0\n"
			    "# TYPE entente_certificate_remaining_ratio gauge\n"
			    "entente_certificate_remaining_ratio{name=\"server\",role=\"own\"} 0.250000\n"
			    "entente_certificate_remaining_ratio{name=\"a\\\"b.example\",role=\"partner\",proto=\"xmpp\"} 0.812500\n");
	buf_free(&b);
	expiry_clear(&l);
}

static void test_problems(void **state)
{
	(void)state;
	struct expiry_list l = {0};
	json_t *list = json_array();
	put(&l, true, "server", 1, 0, 1200);
	put(&l, false, "soon.example", 2, 0, 1100);
	expiry_problems(list, &l, 901);
	assert_int_equal(json_array_size(list), 1); /* a partner has time until an eighth is left */
	assert_non_null(strstr(json_string_value(json_array_get(list, 0)), "our certificate (server) ends soon (1970-01-01T00:20 UTC), less than a quarter"));
	json_array_clear(list);
	for (int i = 0; i < 7; i++)
		put(&l, false, "late.example", (unsigned char)(10 + i), 0, 1000);
	expiry_problems(list, &l, 1000);
	assert_int_equal(json_array_size(list), 1 + 5 + 1);
	assert_non_null(strstr(json_string_value(json_array_get(list, 1)), "soon.example (xmpp) ends soon"));
	assert_non_null(strstr(json_string_value(json_array_get(list, 2)), "late.example (xmpp) has expired (1970-01-01); no newer one was seen since 1970-01-01"));
	assert_non_null(strstr(json_string_value(json_array_get(list, 6)), "3 more partners"));
	json_decref(list);
	expiry_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_year), cmocka_unit_test(test_once_and_anew), cmocka_unit_test(test_limits),
					   cmocka_unit_test(test_metrics), cmocka_unit_test(test_problems)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
