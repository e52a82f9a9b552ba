/* SPDX-License-Identifier: Apache-2.0 */
#include "msrp_test.h"
#include "base/buf.h"
#include "msrp/uri.h"

static void test_parts(void **state)
{
	struct msrp_uri u;
	(void)state;
	assert_int_equal(msrp_uri_parse(S("msrp://host.example.com:8493/asfd34;tcp"), &u), 0);
	assert_false(u.secure);
	assert_slice(u.host, "host.example.com");
	assert_int_equal(u.port, 8493);
	assert_slice(u.session, "asfd34");
	assert_slice(u.transport, "tcp");
	assert_int_equal(msrp_uri_parse(S("MSRPS://alice@[2001:db8::1]:2855/a/b+c=;TCP;x=y"), &u), 0);
	assert_true(u.secure);
	assert_slice(u.host, "2001:db8::1");
	assert_slice(u.session, "a/b+c=");
	assert_int_equal(msrp_uri_parse(S("msrps://relay.example.org;tcp"), &u), 0);
	assert_int_equal(u.port, 0);
	assert_int_equal(u.session.len, 0);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"", "msrp:", "msrp://", "msrp://;tcp", "msrp://h", "msrp://h:1/x", "http://h:1/x;tcp", "msrp://h:0/x;tcp", "msrp://h:65536/x;tcp",
		"msrp://h:/x;tcp", "msrp://h:1/;tcp", "msrp://h:1/x;", "msrp://h:1/x y;tcp", "msrp://h:1/x\r\n;tcp", "msrp://[::1:1/x;tcp",
		"msrp://[]:1/x;tcp", "msrp://[zz::]:1/x;tcp", "msrp://[::1]x:1/x;tcp", "msrp://h\xc3\xbc:1/x;tcp", "msrp://h:1/x;tcp;\"",
		"msrp://a b@h:1/x;tcp", "msrp://h:1/x%00;tcp",
	};
	struct msrp_uri u = {.port = 7};
	char longest[MSRP_URI_TEXT_MAX + 64];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (!msrp_uri_parse(slice_str(bad[i]), &u))
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(u.port, 7);
	}
	memcpy(longest, "msrp://h:1/", 11);
	memset(longest + 11, 'x', MSRP_URI_TEXT_MAX);
	memcpy(longest + MSRP_URI_TEXT_MAX - 4, ";tcp", 5);
	assert_int_equal(msrp_uri_parse(slice_str(longest), &u), 0);
	memset(longest + 11, 'x', MSRP_URI_TEXT_MAX);
	memcpy(longest + MSRP_URI_TEXT_MAX - 3, ";tcp", 5);
	assert_int_not_equal(msrp_uri_parse(slice_str(longest), &u), 0);
}

/* RFC 4975 6.1 */
static void test_comparison(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"msrp://h.example:1/aB;tcp", "MSRP://H.Example:1/aB;TCP", true}, {"msrp://u@h:1/a;tcp", "msrp://h:1/a;tcp", true},
		{"msrp://h:1/a;tcp;x=1", "msrp://h:1/a;tcp", true},               {"msrp://h:1/a;tcp", "msrp://h:1/A;tcp", false},
		{"msrp://h:1/a;tcp", "msrps://h:1/a;tcp", false},                 {"msrp://h:1/a;tcp", "msrp://h:2/a;tcp", false},
		{"msrp://h:2855/a;tcp", "msrp://h/a;tcp", false},                 {"msrp://h:1/a;tcp", "msrp://h:1;tcp", false},
		{"msrp://h:1/a;tcp", "msrp://h:1/a;sctp", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct msrp_uri a, b;
		assert_int_equal(msrp_uri_parse(slice_str(rows[i].a), &a), 0);
		assert_int_equal(msrp_uri_parse(slice_str(rows[i].b), &b), 0);
		if (msrp_uri_eq(&a, &b) != rows[i].same)
			fail_msg("%s %s", rows[i].a, rows[i].b);
	}
}

static void test_path(void **state)
{
	struct msrp_path p;
	struct buf many;
	(void)state;
	assert_int_equal(msrp_path_parse(S("msrps://r.example:9;tcp  msrp://192.0.2.1:7/x;tcp"), &p), 0);
	assert_int_equal(p.n, 2);
	assert_slice(p.uri[0].host, "r.example");
	assert_slice(msrp_path_end(&p)->session, "x");
	assert_int_not_equal(msrp_path_parse(S(""), &p), 0);
	assert_int_not_equal(msrp_path_parse(S("msrp://h:1/x;tcp nonsense"), &p), 0);
	buf_init(&many, 1024);
	for (int i = 0; i < MSRP_PATH_MAX; i++)
		buf_puts(&many, "msrp://h:1/x;tcp ");
	assert_int_equal(msrp_path_parse(buf_slice(&many), &p), 0);
	assert_int_equal(p.n, MSRP_PATH_MAX);
	buf_puts(&many, "msrp://h:1/x;tcp ");
	assert_int_not_equal(msrp_path_parse(buf_slice(&many), &p), 0);
	buf_free(&many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_comparison),
		cmocka_unit_test(test_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
