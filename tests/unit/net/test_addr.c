/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "net/addr.h"

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1:99"},
		{"192.0.2.1:5061", "192.0.2.1:5061"},
		{"192.0.2.1:0", "192.0.2.1:0"},
		{"::1", "[::1]:99"},
		{"[::1]", "[::1]:99"},
		{"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{"::ffff:192.0.2.7", "192.0.2.7:99"},
		{"[::ffff:192.0.2.7]:1", "192.0.2.7:1"},
		{"fe80::1%3", "[fe80::1%3]:99"},
		{"[fe80::1%lo]:5", "[fe80::1%1]:5"},
		{"", NULL},
		{"example.org", NULL},
		{"192.0.2", NULL},
		{"192.0.2.1:", NULL},
		{"192.0.2.1:65536", NULL},
		{"192.0.2.1:-1", NULL},
		{"192.0.2.1:5061x", NULL},
		{" 192.0.2.1", NULL},
		{"[192.0.2.1]", NULL},
		{"[::1", NULL},
		{"[::1]5", NULL},
		{"[]", NULL},
		{":", NULL},
		{"::1%", NULL},
		{"::1%nosuchif", NULL},
		{"192.0.2.1%1", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
		{"00000000000000000000000000000000000000000000000000000000000::1", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct addr a;
		char text[ADDR_TEXT] = "";
		memset(&a, 0x55, sizeof a);
		bool ok = addr_parse(slice_str(rows[i].in), 99, &a);
		if (ok)
			addr_text(&a, text);
		if (ok != (rows[i].out != NULL) || (ok && strcmp(text, rows[i].out)))
			fail_msg("%s gives %s", rows[i].in, text);
	}
	struct addr a;
	assert_false(addr_parse(S("127.0.0.1\0x"), 1, &a));
	assert_true(addr_is_literal(S("::1")));
	assert_false(addr_is_literal(S("localhost")));
}

static void test_private(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		bool private;
	} rows[] = {
		{"127.0.0.1", true}, {"10.1.2.3", true}, {"172.16.0.1", true}, {"172.32.0.1", false}, {"192.168.5.5", true},
		{"100.64.0.1", true}, {"100.128.0.1", false}, {"169.254.169.254", true}, {"0.0.0.0", true}, {"224.0.0.1", true},
		{"255.255.255.255", true}, {"198.18.0.1", true}, {"8.8.8.8", false}, {"193.0.6.139", false}, {"::1", true},
		{"::", true}, {"fe80::1", true}, {"fd00::1", true}, {"ff02::1", true}, {"2001:67c:2e8::1", false},
		{"64:ff9b::7f00:1", true}, {"64:ff9b::808:808", false}, {"2002:7f00:1::", true}, {"2002:808:808::", false},
		{"::ffff:10.0.0.1", true}, {"::ffff:8.8.8.8", false}, {"::127.0.0.1", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct addr a;
		assert_true(addr_parse(slice_str(rows[i].in), 1, &a));
		if (addr_is_private(&a) != rows[i].private)
			fail_msg("%s", rows[i].in);
	}
}

static void test_compare(void **state)
{
	(void)state;
	struct addr a, b, c, d;
	assert_true(addr_parse(S("[2001:db8:1:2::3]:1"), 0, &a) && addr_parse(S("[2001:db8:1:2::4]:1"), 0, &b));
	assert_true(addr_parse(S("[2001:db8:1:3::3]:1"), 0, &c) && addr_parse(S("192.0.2.1:1"), 0, &d));
	assert_false(addr_eq(&a, &b));
	struct addr_source sa = addr_source(&a), sb = addr_source(&b), sc = addr_source(&c), sd = addr_source(&d);
	assert_memory_equal(&sa, &sb, sizeof sa); /* one /64 */
	assert_memory_not_equal(&sa, &sc, sizeof sa);
	assert_memory_not_equal(&sa, &sd, sizeof sa);
	b = a;
	addr_set_port(&b, 2);
	assert_true(addr_host_eq(&a, &b) && !addr_eq(&a, &b) && addr_port(&b) == 2);
	assert_false(addr_host_eq(&a, &d));
	assert_false(addr_from_octets(S("12345"), 1, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_compare),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
