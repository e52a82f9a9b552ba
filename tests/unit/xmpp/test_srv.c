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
	struct xmpp_srv_answer a = {status, r, n};
	return xmpp_srv_targets(t, S("example.com"), &a, NULL, draw, err);
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

/* ---- both services (XEP-0368) */

static int mix(struct xmpp_targets *t, const struct xmpp_srv_answer *plain, const struct xmpp_srv_answer *direct, struct entente_err *err)
{
	at_draw = 0;
	return xmpp_srv_targets(t, S("example.com"), plain, direct, draw, err);
}

static void test_mixed(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct xmpp_srv p[] = {{10, 0, 5269, S("p10")}, {30, 0, 5269, S("p30")}}, d[] = {{20, 0, 5270, S("d20")}, {5, 0, 443, S("d5")}};
	struct xmpp_srv_answer plain = {XMPP_DNS_FOUND, p, 2}, direct = {XMPP_DNS_FOUND, d, 2};
	assert_int_equal(mix(&t, &plain, &direct, NULL), 0);
	static const char *const want[] = {"d5", "p10", "d20", "p30"};
	assert_int_equal(t.n, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_slice(t.t[i].host, want[i]);
		assert_int_equal(t.t[i].direct, want[i][0] == 'd');
		assert_false(t.t[i].fallback);
	}
	/* the weights of one priority are of both services together */
	struct xmpp_srv p1 = {1, 10, 5269, S("p")}, d1 = {1, 30, 5270, S("d")};
	plain = (struct xmpp_srv_answer){XMPP_DNS_FOUND, &p1, 1};
	direct = (struct xmpp_srv_answer){XMPP_DNS_FOUND, &d1, 1};
	for (unsigned at = 10; at <= 11; at++) {
		draws[0] = at;
		n_draws = 1;
		assert_int_equal(mix(&t, &plain, &direct, NULL), 0);
		assert_slice(t.t[0].host, at == 10 ? "p" : "d");
		assert_int_equal(t.n, 2);
	}
	n_draws = 0;
}

/* What one service says, and what follows. Upper case: a record; D direct, P plain. */
static void test_one_of_two(void **state)
{
	(void)state;
	struct xmpp_srv rec = {1, 1, 5000, S("host")}, dot = {0, 0, 0, S(".")};
	struct xmpp_srv_answer yes = {XMPP_DNS_FOUND, &rec, 1}, gone = {XMPP_DNS_FOUND, &dot, 1}, none = {XMPP_DNS_NONE, NULL, 0},
			       fails = {XMPP_DNS_FAILED, NULL, 0}, bogus = {XMPP_DNS_BOGUS, &rec, 1};
	const struct {
		const struct xmpp_srv_answer *plain, *direct;
		int code;
		char first; /* p, d or f: fallback */
	} rows[] = {
		{&yes, &gone, 0, 'p'},	  {&yes, &none, 0, 'p'},   {&yes, &fails, 0, 'p'},  {&yes, &bogus, 0, 'p'},
		{&gone, &yes, 0, 'd'},	  {&none, &yes, 0, 'd'},   {&fails, &yes, 0, 'd'},  {&bogus, &yes, 0, 'd'},
		{&none, &none, 0, 'f'},	  {&fails, &none, 0, 'f'}, {&none, &fails, 0, 'f'}, {&none, NULL, 0, 'f'},
		{&none, &gone, ENTENTE_ENOTFOUND, 0},	{&fails, &gone, ENTENTE_ENOTFOUND, 0}, {&gone, &none, ENTENTE_ENOTFOUND, 0},
		{&gone, &gone, ENTENTE_ENOTFOUND, 0},	{&gone, NULL, ENTENTE_ENOTFOUND, 0},   {&none, &bogus, ENTENTE_EAUTH, 0},
		{&bogus, &none, ENTENTE_EAUTH, 0},	{&gone, &bogus, ENTENTE_EAUTH, 0},     {&bogus, &bogus, ENTENTE_EAUTH, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct xmpp_targets t = {.n = 0};
		struct entente_err err = {0};
		assert_int_equal(mix(&t, rows[i].plain, rows[i].direct, &err), rows[i].code);
		if (rows[i].code) {
			assert_int_equal(err.reason, REASON_XMPP_DNS);
			assert_int_equal(t.n, 0);
			continue;
		}
		assert_int_equal(t.n, 1);
		assert_int_equal(t.t[0].fallback, rows[i].first == 'f');
		assert_int_equal(t.t[0].direct, rows[i].first == 'd');
	}
}

static void test_too_many_of_both(void **state)
{
	(void)state;
	struct xmpp_targets t;
	struct xmpp_srv p[20], d[20];
	for (size_t i = 0; i < 20; i++) {
		p[i] = (struct xmpp_srv){(uint16_t)(2 * i + 1), 1, 1, S("p")};
		d[i] = (struct xmpp_srv){(uint16_t)(2 * i), 1, 1, S("d")};
	}
	struct xmpp_srv_answer plain = {XMPP_DNS_FOUND, p, 20}, direct = {XMPP_DNS_FOUND, d, 20};
	assert_int_equal(mix(&t, &plain, &direct, NULL), 0);
	assert_int_equal(t.n, XMPP_TARGETS);
	for (size_t i = 0; i < t.n; i++) {
		assert_int_equal(t.t[i].priority, i);
		assert_int_equal(t.t[i].direct, i % 2 == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fallback), cmocka_unit_test(test_absent),	  cmocka_unit_test(test_priority),
		cmocka_unit_test(test_weight),	 cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_mixed),	 cmocka_unit_test(test_one_of_two), cmocka_unit_test(test_too_many_of_both),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
