/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "config/schema.h"

static void print_is(void print(struct buf *, uint64_t), uint64_t v, const char *want)
{
	struct buf b;
	buf_init(&b, 64);
	print(&b, v);
	if (!slice_eq(buf_slice(&b), slice_str(want)))
		fail_msg("%llu: %.*s", (unsigned long long)v, SFMT(buf_slice(&b)));
	buf_free(&b);
}

static void test_units(void **state)
{
	(void)state;
	print_is(config_duration_print, 0, "0s");
	print_is(config_duration_print, 1, "1ms");
	print_is(config_duration_print, 1500, "1500ms");
	print_is(config_duration_print, 90000, "90s");
	print_is(config_duration_print, 86400000, "1d");
	print_is(config_size_print, 0, "0");
	print_is(config_size_print, 10000, "10000");
	print_is(config_size_print, 65536, "64KiB");
	print_is(config_size_print, 1ull << 31, "2GiB");
}

/* Every number that is printed reads back as itself. */
static void test_numbers(void **state)
{
	(void)state;
	struct config_row row = {.key = "x", .min = 0, .max = UINT64_MAX};
	const uint64_t values[] = {0, 1, 59, 1000, 1023, 1024, 60000, 61000, 3600000, 86400000, 1048576, UINT32_MAX, UINT64_MAX};
	struct buf b;
	buf_init(&b, 64);
	char why[160];
	for (row.type = CONFIG_TYPE_UINT; row.type <= CONFIG_TYPE_DURATION; row.type++)
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			uint64_t got = 77;
			buf_clear(&b);
			config_value_print(&b, &row, &values[i]);
			assert_true(config_value_parse(&row, NULL, buf_slice(&b), &got, why, sizeof why));
			assert_int_equal(got, values[i]);
		}
	row.type = CONFIG_TYPE_SIZE;
	uint64_t got = 77;
	assert_true(config_value_parse(&row, NULL, S("3 KiB"), &got, why, sizeof why));
	assert_int_equal(got, 3072);
	assert_true(config_value_parse(&row, NULL, S("5B"), &got, why, sizeof why));
	assert_int_equal(got, 5);
	assert_false(config_value_parse(&row, NULL, S("18014398509481984KiB"), &got, why, sizeof why)); /* 2^64 */
	assert_false(config_value_parse(&row, NULL, S("3  KiB"), &got, why, sizeof why));
	assert_false(config_value_parse(&row, NULL, S("3 "), &got, why, sizeof why));
	assert_false(config_value_parse(&row, NULL, S(" 3"), &got, why, sizeof why));
	assert_int_equal(got, 5);
	buf_free(&b);
}

static void test_sip_uri(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int transport; /* -1: refused */
		bool explicit_transport;
	} rows[] = {
		{"sip:127.0.0.11:5060;transport=tcp", POLICY_TCP, true},
		{"sip:h", POLICY_UDP, false},
		{"SIP:h.example:1", POLICY_UDP, false},
		{"sips:h", POLICY_TLS, true},
		{"sips:h;transport=tcp", POLICY_TLS, true},
		{"sip:h;transport=TLS", POLICY_TLS, true},
		{"sip:h;transport=udp;lr", POLICY_UDP, true},
		{"sip:[2001:db8::1]", POLICY_UDP, false},
		{"sip:[2001:db8::1]:5061;lr;transport=tls", POLICY_TLS, true},
		{"", -1, 0},
		{"sip:", -1, 0},
		{"h", -1, 0},
		{"tel:+1", -1, 0},
		{"sip:a@h", -1, 0},
		{"sip:h:", -1, 0},
		{"sip:h:0", -1, 0},
		{"sip:h:65536", -1, 0},
		{"sip:h:x", -1, 0},
		{"sip:2001:db8::1", -1, 0},
		{"sip:[2001:db8::1", -1, 0},
		{"sip:[]", -1, 0},
		{"sip:[10.0.0.1]", -1, 0},
		{"sip:[h]", -1, 0},
		{"sip:h;transport=sctp", -1, 0},
		{"sip:h;transport", -1, 0},
		{"sip:h;transport=udp;transport=tcp", -1, 0},
		{"sips:h;transport=udp", -1, 0},
		{"sip:h;ttl=1", -1, 0},
		{"sip:h;", -1, 0},
		{"sip:h?Subject=x", -1, 0},
		{"sip:999.1.1.1", -1, 0},
		{"sip:h_x", -1, 0},
		{"sip:[::1]x", -1, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum policy_transport t = 77;
		bool named = false;
		const char *why = NULL;
		bool ok = config_sip_uri(slice_str(rows[i].text), &t, &named, &why);
		if (ok != (rows[i].transport >= 0))
			fail_msg("'%s' %s", rows[i].text, ok ? "accepted" : why);
		if (ok) {
			assert_int_equal(t, rows[i].transport);
			assert_int_equal(named, rows[i].explicit_transport);
		} else {
			assert_non_null(why);
		}
	}
}

static void test_nearest(void **state)
{
	(void)state;
	assert_int_equal(config_distance(S("kitten"), S("sitting"), 9), 3);
	assert_int_equal(config_distance(S("prot"), S("port"), 9), 1); /* a transposition */
	assert_int_equal(config_distance(S(""), S("ab"), 9), 2);
	assert_int_equal(config_distance(S("same"), S("same"), 0), 0);
	assert_int_equal(config_distance(S("abc"), S("xyz"), 2), SIZE_MAX);
	char big[100];
	memset(big, 'a', sizeof big);
	assert_int_equal(config_distance(slice_of(big, 100), slice_of(big, 100), 100), SIZE_MAX); /* longer than any key */
	assert_int_equal(config_distance(slice_of(big, 64), slice_of(big, 63), 64), 1);
	struct config_nearest n;
	config_nearest_init(&n, S("levl"));
	config_nearest_try(&n, S("trace"));
	assert_null(n.best.p);
	config_nearest_try(&n, S("level"));
	assert_true(slice_eq(n.best, S("level")));
	config_nearest_init(&n, S("x"));
	config_nearest_try(&n, S("y"));
	assert_null(n.best.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_units), cmocka_unit_test(test_numbers),
					   cmocka_unit_test(test_sip_uri), cmocka_unit_test(test_nearest)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
