/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

static void test_addresses(void **state)
{
	struct sip_addr a;
	struct slice v;
	(void)state;
	assert_int_equal(sip_addr_parse(S("\"A, \\\"B\\\" <x>; \" <sip:a@b;lr?x=y>;tag=t1 ; q = 0.5;flag"), &a), 0);
	assert_slice(a.display, "\"A, \\\"B\\\" <x>; \"");
	assert_slice(a.uri_text, "sip:a@b;lr?x=y");
	assert_slice(a.uri.params, "lr");
	assert_slice(a.uri.headers, "x=y");
	assert_slice(a.tag, "t1");
	assert_true(sip_param(a.params, S("Q"), &v));
	assert_slice(v, "0.5");
	assert_true(sip_param(a.params, S("flag"), &v));
	assert_int_equal(v.len, 0);
	assert_false(sip_param(a.params, S("lr"), &v));
	assert_int_equal(sip_addr_parse(S("caller<sip:caller@example.com>"), &a), 0);
	assert_slice(a.display, "caller");
	assert_int_equal(sip_addr_parse(S("Two Words\r\n <sips:x@y>"), &a), 0);
	assert_slice(a.display, "Two Words");
	assert_int_equal(sip_addr_parse(S("J\xc3\xbcrgen <sips:x@y>"), &a), 0);
	assert_slice(a.display, "J\xc3\xbcrgen");
	assert_int_equal(sip_addr_parse(S("<sip:x>"), &a), 0);
	assert_int_equal(a.display.len, 0);
	/* without brackets, parameters are the header's */
	assert_int_equal(sip_addr_parse(S("sip:+19725552222@gw1.example.net;unknownparam;tag=7"), &a), 0);
	assert_slice(a.uri_text, "sip:+19725552222@gw1.example.net");
	assert_int_equal(a.uri.params.len, 0);
	assert_slice(a.params, "unknownparam;tag=7");
	assert_slice(a.tag, "7");
	assert_int_equal(sip_addr_parse(S("tel:+1 ; tag=7"), &a), 0);
	assert_slice(a.uri.opaque, "+1");
	assert_slice(a.tag, "7");
	assert_int_equal(sip_addr_parse(S(" * "), &a), 0);
	assert_true(a.star);
	assert_int_equal(sip_addr_parse(S("<sip:a@b>;+sip.instance=\"<urn:uuid:1;2>\";x"), &a), 0);
	assert_true(sip_param(a.params, S("+sip.instance"), &v));
	assert_slice(v, "\"<urn:uuid:1;2>\"");
}

static void test_bad_addresses(void **state)
{
	static const char *const bad[] = {
		"",
		"<",
		"<>",
		"<sip:a@b",
		"\"x <sip:a@b>",
		"\"x\" sip:a@b",
		"< sip:a@b>",
		"<sip:a@b >",
		"<sip:a@b>x",
		"<sip:a@b> x",
		"<sip:a@b>;;",
		"<sip:a@b>;",
		"<sip:a@b>;=1",
		"<sip:a@b>;tag=",
		"<sip:a@b>;tag",
		"<sip:a@b>;tag=1;tag=2",
		"<sip:a@b>;tag=\"1\"",
		"<sip:a@b>;x=\"y",
		"<sip:a@b>;x=a\"b\"",
		"sip:a@b?c=d",
		"sip:a@b,c",
		"Bell, A <sip:a@b>",
		"a;b <sip:a@b>",
		"sip:a@b x",
		"* x",
		"\"\\",
		"\"a\\\" <sip:a@b>",
		"<sip:a@b>, <sip:c@d>",
	};
	struct sip_addr a = {.star = true};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (sip_addr_parse(slice_str(bad[i]), &a) != ENTENTE_ESYNTAX) {
			print_error("accepted: %s\n", bad[i]);
			fail();
		}
	}
	assert_true(a.star); /* untouched */
}

static void test_vias(void **state)
{
	struct sip_via v;
	(void)state;
	assert_int_equal(
		sip_via_parse(S("SIP / 2.0\r\n /UDP  192.0.2.2 : 5070 ; branch = z9x;ReceiveD=1.2.3.4;rport=99;ttl=1"), &v), 0);
	assert_slice(v.transport, "UDP");
	assert_slice(v.host, "192.0.2.2");
	assert_int_equal(v.port, 5070);
	assert_slice(v.branch, "z9x");
	assert_slice(v.received, "1.2.3.4");
	assert_true(v.rport);
	assert_int_equal(v.rport_value, 99);
	assert_int_equal(sip_via_parse(S("SIP/2.0/TLS [2001:db8::9:1];received=[2001:db8::9:255];branch=b"), &v), 0);
	assert_slice(v.host, "[2001:db8::9:1]");
	assert_slice(v.received, "[2001:db8::9:255]");
	assert_slice(v.branch, "b");
	assert_false(v.rport);
	assert_int_equal(sip_via_parse(S("SIP/2.0/TLS x;received=2001:db8::9:255;branch=b"), &v), 0);
	assert_slice(v.received, "2001:db8::9:255");
	assert_int_equal(sip_via_parse(S("SIP/7.0/X h"), &v), 0);
	static const char *const bad[] = {
		"",
		"SIP",
		"SIP/2.0",
		"SIP/2.0/UDP",
		"SIP/2.0/UDPh",
		"SIP/2.0/UDP ;x",
		"SIP/2.0/UDP h x",
		"SIP/2.0/UDP h;",
		"SIP/2.0/UDP h;;a",
		"SIP/2.0/UDP h:0",
		"SIP/2.0/UDP h:65536",
		"SIP/2.0/UDP h:",
		"SIP/2.0/UDP ::1",
		"SIP/2.0/UDP [::1",
		"SIP/2.0/UDP h;rport=65536",
		"SIP/2.0/UDP h;rport=x",
		"SIP//UDP h",
		"SIP/2.0/UDP h, x",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (sip_via_parse(slice_str(bad[i]), &v) != ENTENTE_ESYNTAX) {
			print_error("accepted: %s\n", bad[i]);
			fail();
		}
	}
}

static void test_lists(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *m =
		must_parse(a, with_field(a, "Contact: \"a,b\" <sip:a@b>;x=\",\" , <sip:c,d@e>,,\r\n\tsip:f@g\r\nContact: ,\r\n"
					    "m:*\r\nRoute: <sip:a@b\r\nRoute: <sip:z>\r\nWarning: \"unclosed, x\r\n"));
	static const char *const expect[] = {"\"a,b\" <sip:a@b>;x=\",\"", "<sip:c,d@e>", "sip:f@g", "*"};
	struct sip_values it = {0};
	struct slice v, params;
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_true(sip_msg_next_value(m, SIP_H_CONTACT, &it, &v));
		assert_slice(v, expect[i]);
	}
	assert_false(sip_msg_next_value(m, SIP_H_CONTACT, &it, &v));
	it = (struct sip_values){0};
	assert_true(sip_msg_next_value(m, SIP_H_ROUTE, &it, &v));
	assert_slice(v, "<sip:a@b");
	assert_true(sip_msg_next_value(m, SIP_H_ROUTE, &it, &v));
	assert_slice(v, "<sip:z>");
	it = (struct sip_values){0};
	assert_true(sip_msg_next_value(m, SIP_H_WARNING, &it, &v));
	assert_slice(v, "\"unclosed, x");
	assert_slice(sip_token(S(" text/plain ; charset=UTF-8"), &params), "text/plain");
	assert_slice(params, "charset=UTF-8");
	assert_true(sip_param(params, S("Charset"), &v));
	assert_slice(v, "UTF-8");
	assert_slice(sip_token(S("presence"), &params), "presence");
	assert_int_equal(params.len, 0);
	assert_slice(sip_token(S("active;expires=60"), NULL), "active");
	arena_release(NULL, a);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *field;
		bool ok;
		uint32_t value;
	} t[] = {
		{"Retry-After: 18000;duration=3600\r\n", true, 18000},
		{"Retry-After: 120 (I'm in a meeting)\r\n", true, 120},
		{"Retry-After: 4294967295\r\n", true, UINT32_MAX},
		{"Retry-After: 4294967296\r\n", false, 0},
		{"Retry-After: -1\r\n", false, 0},
		{"Retry-After: 1x\r\n", false, 0},
		{"Retry-After:\r\n", false, 0},
		{"", false, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct arena *a = arena_new(1 << 20);
		struct sip_msg *m = must_parse(a, with_field(a, t[i].field));
		uint32_t n = 0;
		assert_int_equal(sip_msg_uint(m, SIP_H_RETRY_AFTER, UINT32_MAX, &n), t[i].ok);
		assert_int_equal(n, t[i].value);
		arena_release(NULL, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_bad_addresses), cmocka_unit_test(test_vias),
		cmocka_unit_test(test_lists),	  cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
