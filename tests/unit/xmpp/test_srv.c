/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "xmpp/srv.h"

static uint64_t draws[64];
static size_t n_draws, at_draw;
static uint64_t last_n;

static uint64_t draw(uint64_t n)
{
	last_n = n;
	uint64_t v = at_draw < n_draws ? draws[at_draw++] : 0;
	return v < n ? v : n - 1;
}

static int ask(struct xmpp_targets *t, enum xmpp_dns status, const struct xmpp_srv *r, size_t n, struct entente_err *err)
{
	at_draw = 0;
	return xmpp_srv_targets(t, S("example.com"), status, r, n, draw, err);
}

static void test_fallback(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct entente_err err = {0};
	assert_int_equal(ask(&t, XMPP_DNS_NONE, NULL, 0, &err), 0);
	assert_int_equal(t.n, 1);
	assert_slice(t.t[0].host, "example.com");
	assert_int_equal(t.t[0].port, 5269);
	assert_true(t.t[0].fallback);
	assert_int_equal(ask(&t, XMPP_DNS_FAILED, NULL, 0, &err), 0);
	assert_true(t.t[0].fallback);
	assert_int_equal(ask(&t, XMPP_DNS_BOGUS, NULL, 0, &err), ENTENTE_EAUTH);
	assert_int_equal(err.reason, REASON_XMPP_DNS);
}

static void test_absent(void **state)
{
	(void)state;
	struct xmpp_targets t = {.n = 7};
	struct entente_err err = {0};
	struct xmpp_srv dot = {0, 0, 0, S(".")}, port0 = {0, 0, 0, S("x.example.com.")};
	assert_int_equal(ask(&t, XMPP_DNS_FOUND, &dot, 1, &err), ENTENTE_ENOTFOUND);
	assert_non_null(strstr(err.text, "\".\""));
	assert_int_equal(t.n, 7);
	assert_int_equal(ask(&t, XMPP_DNS_FOUND, &port0, 1, &err), ENTENTE_ENOTFOUND);
	struct xmpp_srv mixed[] = {{0, 0, 0, S(".")}, {5, 0, 5269, S("x.example.com.")}};
	assert_int_equal(ask(&t, XMPP_DNS_FOUND, mixed, 2, &err), 0);
	assert_int_equal(t.n, 1);
	assert_slice(t.t[0].host, "x.example.com");
	assert_false(t.t[0].fallback);
}

static void test_priority(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct xmpp_srv r[] = {{20, 0, 5269, S("c")}, {10, 0, 5270, S("a")}, {15, 100, 5271, S("b")}};
	assert_int_equal(ask(&t, XMPP_DNS_FOUND, r, 3, NULL), 0);
	assert_int_equal(t.n, 3);
	assert_slice(t.t[0].host, "a");
	assert_int_equal(t.t[0].port, 5270);
	assert_slice(t.t[1].host, "b");
	assert_slice(t.t[2].host, "c");
}

/* RFC 2782: weights 0, 10, 30: a draw of 0 takes the zero one, 1..10 the second, 11..40 the third. */
static void test_weight(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct xmpp_srv r[] = {{1, 10, 1, S("ten")}, {1, 30, 1, S("thirty")}, {1, 0, 1, S("zero")}};
	static const struct {
		uint64_t draw;
		const char *first;
	} cases[] = {{0, "zero"}, {1, "ten"}, {10, "ten"}, {11, "thirty"}, {40, "thirty"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		draws[0] = cases[i].draw;
		n_draws = 1;
		assert_int_equal(ask(&t, XMPP_DNS_FOUND, r, 3, NULL), 0);
		assert_int_equal(t.n, 3);
		assert_slice(t.t[0].host, cases[i].first);
	}
	n_draws = 0;
}

static void test_too_many(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct xmpp_srv r[100];
	for (size_t i = 0; i < 100; i++)
		r[i] = (struct xmpp_srv){(uint16_t)(100 - i), 1, (uint16_t)(i + 1), S("x.example")};
	assert_int_equal(ask(&t, XMPP_DNS_FOUND, r, 100, NULL), 0);
	assert_int_equal(t.n, XMPP_TARGETS);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.t[i].priority, i + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fallback), cmocka_unit_test(test_absent),	  cmocka_unit_test(test_priority),
		cmocka_unit_test(test_weight),	 cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
