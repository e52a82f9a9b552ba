/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "setup/machine.h"

static void test_reach(void **state)
{
	static const struct {
		const char *address;
		enum setup_reach reach;
	} rows[] = {
		{"127.0.0.1", SETUP_LOOPBACK}, {"127.9.9.9", SETUP_LOOPBACK}, {"::1", SETUP_LOOPBACK}, {"::", SETUP_LOOPBACK}, {"nonsense", SETUP_LOOPBACK},
		{"", SETUP_LOOPBACK}, {"169.254.1.1", SETUP_LINK}, {"169.253.1.1", SETUP_GLOBAL}, {"fe80::1", SETUP_LINK}, {"febf::1", SETUP_LINK},
		{"10.0.0.1", SETUP_PRIVATE}, {"10.255.255.255", SETUP_PRIVATE}, {"11.0.0.0", SETUP_GLOBAL}, {"9.255.255.255", SETUP_GLOBAL},
		{"172.15.255.255", SETUP_GLOBAL}, {"172.16.0.0", SETUP_PRIVATE}, {"172.31.255.255", SETUP_PRIVATE}, {"172.32.0.0", SETUP_GLOBAL},
		{"192.168.0.1", SETUP_PRIVATE}, {"192.167.255.255", SETUP_GLOBAL}, {"192.169.0.0", SETUP_GLOBAL}, {"100.63.255.255", SETUP_GLOBAL},
		{"100.64.0.0", SETUP_PRIVATE}, {"100.127.255.255", SETUP_PRIVATE}, {"100.128.0.0", SETUP_GLOBAL}, {"192.0.2.10", SETUP_GLOBAL},
		{"fc00::1", SETUP_PRIVATE}, {"fdff::1", SETUP_PRIVATE}, {"fe00::1", SETUP_GLOBAL}, {"2001:db8::1", SETUP_GLOBAL},
		{"::ffff:10.0.0.1", SETUP_PRIVATE}, {"::ffff:192.0.2.1", SETUP_GLOBAL}, {"::ffff:127.0.0.1", SETUP_LOOPBACK},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (setup_reach(slice_str(rows[i].address)) != rows[i].reach)
			fail_msg("%s: %d", rows[i].address, setup_reach(slice_str(rows[i].address)));
}

/* header: id, flags; one question "." SOA; answers */
#define HEADER(flags_hi, flags_lo, answers) "\x12\x34" flags_hi flags_lo "\0\1" answers "\0\0\0\0" "\0\0\6\0\1"
#define SOA "\0\0\6\0\1\0\0\16\20\0\26" "\0\0" "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"
#define RRSIG "\0\0\x2e\0\1\0\0\16\20\0\4" "abcd"

static void test_dnssec(void **state)
{
	static const char signed_[] = HEADER("\x81", "\x80", "\0\2") SOA RRSIG, plain[] = HEADER("\x81", "\x80", "\0\1") SOA,
			  valid[] = HEADER("\x81", "\xa0", "\0\1") SOA, refused[] = HEADER("\x81", "\x85", "\0\0"), cut[] = "\x12\x34\x81";
	(void)state;
#define OF(x) setup_dnssec_of((const unsigned char *)(x), sizeof(x) - 1)
	assert_int_equal(OF(signed_), SETUP_DNSSEC_PASSES);
	assert_int_equal(OF(plain), SETUP_DNSSEC_NONE);
	assert_int_equal(OF(valid), SETUP_DNSSEC_VALIDATES);
	assert_int_equal(OF(refused), SETUP_DNSSEC_UNKNOWN);
	assert_int_equal(OF(cut), SETUP_DNSSEC_UNKNOWN);
	for (size_t n = 0; n < sizeof signed_ - 1; n++) /* cut anywhere: no answer, or one without its signature */
		assert_int_not_equal(setup_dnssec_of((const unsigned char *)signed_, n), SETUP_DNSSEC_PASSES);
}

static void one_port(bool udp, bool six)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *a = six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
	socklen_t len = six ? sizeof a6 : sizeof a4;
	char who[64];
	int fd = socket(six ? AF_INET6 : AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, a, len) < 0) {
		assert_true(six); /* a machine without IPv6 */
		if (fd >= 0)
			close(fd);
		return;
	}
	assert_int_equal(udp ? 0 : listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, a, &len), 0);
	struct setup_port p = {.address = six ? "::1" : "127.0.0.1", .port = ntohs(six ? a6.sin6_port : a4.sin_port), .udp = udp};
	setup_port_look(&p);
	assert_true(p.taken);
	snprintf(who, sizeof who, "(process %d)", (int)getpid());
	assert_non_null(strstr(p.holder, who));
	struct setup_port all = {.address = six ? "::" : "0.0.0.0", .port = p.port, .udp = udp};
	setup_port_look(&all);
	assert_true(all.taken);
	close(fd);
	setup_port_look(&p);
	assert_false(p.taken);
	assert_string_equal(p.holder, "");
}

static void test_ports(void **state)
{
	struct setup_port elsewhere = {.address = "203.0.113.77", .port = 5269}, nonsense = {.address = "pool.example", .port = 5269};
	(void)state;
	for (int i = 0; i < 4; i++)
		one_port(i & 1, i & 2);
	setup_port_look(&elsewhere); /* not our address: not a conflict */
	assert_false(elsewhere.taken);
	setup_port_look(&nonsense);
	assert_false(nonsense.taken);
}

static void test_names(void **state)
{
	struct setup_address a[4];
	struct setup_machine m = {.addresses = {{.text = "10.0.0.10"}, {.text = "2001:db8::1"}}, .n_addresses = 2};
	char from[SETUP_ADDRESS_TEXT] = "";
	(void)state;
	assert_int_equal(setup_resolve(a, 4, "192.0.2.7"), 1);
	assert_string_equal(a[0].text, "192.0.2.7");
	assert_int_equal(a[0].reach, SETUP_GLOBAL);
	assert_true(setup_machine_has(&m, S("2001:db8::1")));
	assert_false(setup_machine_has(&m, S("10.0.0.1")));
	assert_true(setup_is_address(S("192.0.2.7")) && setup_is_address(S("2001:db8::7")));
	assert_false(setup_is_address(S("192.0.2")) || setup_is_address(S("[::1]")) || setup_is_address(S("x.example")) || setup_is_address(SLICE_NONE));
	assert_true(setup_source_address(from, "127.0.0.9"));
	assert_string_equal(from, "127.0.0.1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_reach), cmocka_unit_test(test_dnssec), cmocka_unit_test(test_ports),
						  cmocka_unit_test(test_names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
