/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "policy/domain.h"

struct row {
	const char *in, *out; /* out NULL: refused */
};

static void run(const struct row *rows, size_t n, bool make(struct policy_domain *, struct slice))
{
	for (size_t i = 0; i < n; i++) {
		struct policy_domain d = {.len = 99};
		bool ok = make(&d, slice_str(rows[i].in));
		if (ok != (rows[i].out != NULL))
			fail_msg("'%s' %s", rows[i].in, ok ? "accepted" : "refused");
		if (ok) {
			assert_string_equal(d.text, rows[i].out);
			assert_int_equal(d.len, strlen(rows[i].out));
			assert_true(policy_domain_valid(policy_domain_slice(&d)));
		} else {
			assert_int_equal(d.len, 99); /* untouched */
		}
	}
}

static const struct row ascii[] = {
	{"example.org", "example.org"}, {"Example.ORG", "example.org"}, {"example.org.", "example.org"},
	{"localhost", "localhost"}, {"a-b.c--d.e", "a-b.c--d.e"}, {"1.example", "1.example"},
	{"xn--mnchen-3ya.test", "xn--mnchen-3ya.test"},
	{"", NULL}, {".", NULL}, {"a..b", NULL}, {".a", NULL}, {"a..", NULL}, {"-a.b", NULL}, {"a-.b", NULL}, {"a_b.c", NULL},
	{"10.0.0.1", NULL}, {"1", NULL}, {"[::1]", NULL}, {"a b", NULL}, {"a/b", NULL}, {"a@b", NULL}, {"*.a", NULL},
	{"a:5269", NULL}, {"a\n", NULL},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", /* 63 */
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", NULL}, /* 64 */
};

static void test_make(void **state)
{
	(void)state;
	run(ascii, sizeof ascii / sizeof *ascii, policy_domain_make);
	const struct row more[] = {{"b\303\274cher.example", NULL}};
	run(more, 1, policy_domain_make);
}

static void test_length(void **state)
{
	(void)state;
	char z[256];
	memset(z, 'a', sizeof z);
	for (size_t i = 50; i < 255; i += 51)
		z[i] = '.';
	struct policy_domain d;
	assert_true(policy_domain_make(&d, slice_of(z, 253)));
	assert_int_equal(d.len, 253);
	assert_false(policy_domain_make(&d, slice_of(z, 254)));
	z[253] = '.'; /* a final dot does not count */
	assert_true(policy_domain_make(&d, slice_of(z, 254)));
	assert_true(policy_domain_make(&d, slice_of("a\0.b", 1)));
	assert_false(policy_domain_make(&d, slice_of("a\0.b", 4)));
}

static void test_valid(void **state)
{
	(void)state;
	assert_true(policy_domain_valid(S("example.org")));
	assert_false(policy_domain_valid(S("Example.org")));
	assert_false(policy_domain_valid(S("example.org.")));
}

static void test_import(void **state)
{
	(void)state;
	run(ascii, sizeof ascii / sizeof *ascii, policy_domain_import);
	const struct row rows[] = {
		{"b\303\274cher.example", "xn--bcher-kva.example"},
		{"B\303\234CHER.Example.", "xn--bcher-kva.example"},
		{"xn--bcher-kva.EXAMPLE", "xn--bcher-kva.example"},
		{"fa\303\237.de", "xn--fa-hia.de"},                  /* non-transitional: not fass.de */
		{"example\343\200\202org", "example.org"},           /* ideographic full stop */
		{"xn--a.example", NULL},                             /* an A-label that decodes to nothing */
		{"a\314\210-\342\200\256.example", NULL},            /* right-to-left override */
		{"\344\276\213..example", NULL}, {"\303", NULL}, {"a.\303\274_b", NULL},
	};
	run(rows, sizeof rows / sizeof *rows, policy_domain_import);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make), cmocka_unit_test(test_length), cmocka_unit_test(test_valid),
		cmocka_unit_test(test_import)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
