/* SPDX-License-Identifier: Apache-2.0 */
/* From a domain to addresses, with real libunbound and a name server of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "edge/dialer.h"
#include "../net/names.h"

static struct pool *pool;
static struct worker *self;
static struct dns *dns;

struct seen {
	struct dialer *d;
	char text[4096];
	struct entente_err err;
	bool over;
};

static void on_address(void *arg, const struct addr *to, struct slice host)
{
	struct seen *s = arg;
	char z[ADDR_TEXT];
	addr_text(to, z);
	snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%s=%.*s ", z, SFMT(host));
	dialer_next(s->d);
}

static void on_exhausted(void *arg, const struct entente_err *err)
{
	struct seen *s = arg;
	s->err = *err;
	s->d = dialer_free(s->d);
	s->over = true;
}

static const struct dialer_ops ops = {on_address, on_exhausted};

static struct seen dial(const char *domain, const char *host, unsigned port, bool private_addresses)
{
	static struct seen s;
	struct dialer_target t = {.domain = slice_str(domain),
				  .host = slice_str(host),
				  .port = (uint16_t)port,
				  .private_addresses = private_addresses};
	s = (struct seen){0};
	s.d = dialer_new(self, dns, &t, &ops, &s);
	dialer_next(s.d);
	for (uint64_t end = clock_ms() + 8000; !s.over && clock_ms() < end;)
		loop_once(self->loop, 2);
	assert_true(s.over);
	return s;
}

static int setup(void **state)
{
	struct entente_err err;
	const char *servers[1];
	(void)state;
	names_start();
	servers[0] = names_spec();
	struct pool_opts po = {.workers = 1};
	assert_int_equal(pool_new(&pool, &po, &err), 0);
	self = pool_control(pool);
	struct dns_opts o = {.servers = servers, .n_servers = 1, .hosts = "", .timeout_ms = 1000};
	assert_int_equal(dns_new(&dns, self, &o, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dns = dns_free(dns);
	pool = pool_free(pool);
	names_stop();
	return 0;
}

static void test_srv(void **state)
{
	(void)state;
	names_srv("_xmpp-server._tcp.srv.test", 20, 0, 5270, "second.srv.test");
	names_srv("_xmpp-server._tcp.srv.test", 10, 0, 5269, "first.srv.test");
	names_a("first.srv.test", "192.0.2.1");
	names_a("first.srv.test", "2001:db8::1");
	names_a("second.srv.test", "192.0.2.2");
	struct seen s = dial("srv.test", "", 0, false);
	assert_non_null(strstr(s.text, "192.0.2.1:5269=first.srv.test"));
	assert_non_null(strstr(s.text, "[2001:db8::1]:5269=first.srv.test"));
	const char *second = strstr(s.text, "192.0.2.2:5270=second.srv.test");
	assert_non_null(second);
	assert_true(second > strstr(s.text, "192.0.2.1:5269"));
	assert_true(second > strstr(s.text, "[2001:db8::1]:5269"));
	assert_int_equal(s.err.reason, REASON_XMPP_UNREACHABLE);
}

static void test_fallback(void **state)
{
	(void)state;
	names_a("plain.test", "192.0.2.3");
	struct seen s = dial("plain.test", "", 0, false);
	assert_string_equal(s.text, "192.0.2.3:5269=plain.test ");
}

static void test_not_there(void **state)
{
	(void)state;
	struct seen s = dial("nobody.test", "", 0, false);
	assert_string_equal(s.text, "");
	assert_int_equal(s.err.reason, REASON_XMPP_DNS);
	names_srv("_xmpp-server._tcp.closed.test", 0, 0, 0, "");
	s = dial("closed.test", "", 0, false);
	assert_int_equal(s.err.reason, REASON_XMPP_DNS);
	names_srv("_xmpp-server._tcp.bare.test", 0, 0, 5269, "bare.test"); /* a target without any address */
	s = dial("bare.test", "", 0, false);
	assert_int_equal(s.err.reason, REASON_XMPP_DNS);
	assert_non_null(strstr(s.err.text, "bare.test"));
}

/* A partner's DNS must not make us knock at our own network's doors, if so configured; a server that the administrator named may
 * be anywhere. */
static void test_private(void **state)
{
	static const char *const ours[] = {"10.0.0.1", "127.0.0.1", "192.168.7.7", "169.254.0.1",
					   "fe80::1",  "fd00::1",   "::1",	   "100.64.0.1"};
	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		names_a("inside.test", ours[i]);
	struct seen s = dial("inside.test", "", 0, false);
	assert_string_equal(s.text, "");
	assert_int_equal(s.err.reason, REASON_XMPP_UNREACHABLE);
	assert_non_null(strstr(s.err.text, "xmpp.private-addresses"));
	names_a("mixed.test", "10.0.0.1");
	names_a("mixed.test", "192.0.2.9");
	s = dial("mixed.test", "", 0, false);
	assert_string_equal(s.text, "192.0.2.9:5269=mixed.test ");
	s = dial("mixed.test", "", 0, true);
	assert_non_null(strstr(s.text, "10.0.0.1:5269"));
	s = dial("x.test", "127.0.0.1", 5300, false);
	assert_string_equal(s.text, "127.0.0.1:5300=127.0.0.1 ");
	s = dial("x.test", "mixed.test", 0, false);
	assert_non_null(strstr(s.text, "10.0.0.1:5269=mixed.test"));
}

static void test_nobody(void **state)
{
	(void)state;
	names_a("odd.test", "0.0.0.0");
	names_a("odd.test", "255.255.255.255");
	names_a("odd.test", "224.0.0.1");
	names_a("odd.test", "ff02::1");
	names_a("odd.test", "::");
	struct seen s = dial("odd.test", "", 0, true);
	assert_string_equal(s.text, "");
}

/* However much DNS says, we do not knock without end. */
static void test_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		char host[32], ip[32];
		snprintf(host, sizeof host, "h%u.many.test", i);
		names_srv("_xmpp-server._tcp.many.test", i, 0, 5269, host);
		for (unsigned k = 0; k < 4; k++) {
			snprintf(ip, sizeof ip, "192.0.2.%u", i * 8 + k + 1);
			names_a(host, ip);
		}
	}
	struct seen s = dial("many.test", "", 0, false);
	unsigned n = 0;
	for (const char *p = s.text; (p = strchr(p, '=')); p++)
		n++;
	assert_int_equal(n, DIALER_TRIES);
}

static void test_silent_dns(void **state)
{
	(void)state;
	names_silent(true);
	struct seen s = dial("slow.test", "", 0, false);
	names_silent(false);
	assert_int_equal(s.err.reason, REASON_XMPP_DNS_FAILED);
	assert_non_null(strstr(s.err.text, "SRV look-up of slow.test"));
}

static void test_first_cause(void **state)
{
	struct entente_err a = {.code = ENTENTE_ENET, .reason = REASON_XMPP_UNREACHABLE, .text = "first"},
			   b = {.code = ENTENTE_ENET, .text = "second"};
	struct seen s = {0};
	struct dialer_target t = {.domain = S("x.test"), .host = S("192.0.2.1")};
	(void)state;
	static const struct dialer_ops once = {.exhausted = on_exhausted, .address = on_address};
	s.d = dialer_new(self, dns, &t, &once, &s);
	dialer_failed(s.d, &a);
	dialer_failed(s.d, &b);
	dialer_next(s.d);
	assert_true(s.over);
	assert_string_equal(s.err.text, "first");
}

static void test_freed_early(void **state)
{
	struct seen s = {0};
	struct dialer_target t = {.domain = S("plain.test")};
	(void)state;
	for (int i = 0; i < 30; i++) {
		s.d = dialer_new(self, dns, &t, &ops, &s);
		dialer_next(s.d);
		for (int k = 0; k < i % 6; k++)
			loop_once(self->loop, 1);
		if (!s.over)
			s.d = dialer_free(s.d);
		s.over = false;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_srv),	   cmocka_unit_test(test_fallback),    cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_private),	   cmocka_unit_test(test_nobody),      cmocka_unit_test(test_many),
		cmocka_unit_test(test_silent_dns), cmocka_unit_test(test_first_cause), cmocka_unit_test(test_freed_early),
	};
	return cmocka_run_group_tests_name("dialer", tests, setup, teardown);
}
