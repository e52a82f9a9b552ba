/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "net/udp.h"

struct side {
	struct udp *u;
	int n;
	size_t octets, last;
	bool echo, close;
	struct addr from;
};

static void data(struct udp *u, const struct addr *from, struct slice in)
{
	struct side *s = udp_owner(u);
	s->n++;
	s->octets += in.len;
	s->last = in.len;
	s->from = *from;
	if (s->echo)
		assert_int_equal(udp_send(u, from, in), 0);
	if (s->close)
		s->u = udp_close(u);
}

static void open_side(struct side *s, struct loop *l, size_t queue)
{
	struct udp_opts o = {.data = data, .owner = s, .queue_max = queue};
	struct entente_err err = {0};
	assert_true(addr_parse(S("127.0.0.1:0"), 0, &o.addr));
	assert_int_equal(udp_open(&s->u, l, &o, &err), 0);
	assert_true(addr_port(udp_addr(s->u)) != 0);
}

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		for (int turn_ = 0; !(cond) && turn_ < 3000; turn_++)                              \
			loop_once(l, 1);                                                           \
		assert_true(cond);                                                                 \
	} while (0)

static void test_echo(void **state)
{
	(void)state;
	struct loop *l;
	struct side a = {0}, b = {.echo = true};
	struct udp_counts n;
	static char big[65507];
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	open_side(&a, l, 0);
	open_side(&b, l, 0);
	for (int i = 0; i < 40; i++) /* more than one batch */
		assert_int_equal(udp_send(a.u, udp_addr(b.u), slice_of(big, (size_t)i)), 0);
	assert_int_equal(b.n, 0);
	UNTIL(a.n == 40);
	assert_int_equal(a.octets, 39 * 40 / 2);
	assert_true(addr_eq(&a.from, udp_addr(b.u)));
	udp_send(a.u, udp_addr(b.u), slice_of(big, sizeof big));
	UNTIL(a.n == 41);
	assert_int_equal(a.last, sizeof big);
	assert_int_equal(udp_send(a.u, udp_addr(b.u), slice_of(big, sizeof big + 1)), ENTENTE_ELIMIT);
	udp_counts(a.u, &n);
	assert_int_equal(n.out, 41);
	assert_int_equal(n.in, 41);
	assert_int_equal(n.out_dropped, 1);
	udp_close(a.u);
	udp_close(b.u);
	loop_free(l);
}

static void test_queue_and_errors(void **state)
{
	(void)state;
	struct loop *l;
	struct side a = {0}, b = {0};
	struct udp_counts n;
	struct addr nowhere, gone;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	open_side(&a, l, 500);
	open_side(&b, l, 0);
	static char some[200];
	assert_int_equal(udp_send(a.u, udp_addr(b.u), slice_of(some, 200)), 0);
	assert_int_equal(udp_send(a.u, udp_addr(b.u), slice_of(some, 200)), 0);
	assert_int_equal(udp_send(a.u, udp_addr(b.u), slice_of(some, 200)), ENTENTE_ELIMIT);
	UNTIL(b.n == 2); /* the others go on */
	/* what the kernel refuses is dropped; what stands behind it still leaves */
	assert_true(addr_parse(S("255.255.255.255:9"), 0, &nowhere));
	gone = *udp_addr(b.u);
	assert_int_equal(udp_send(a.u, &nowhere, S("x")), 0);
	assert_int_equal(udp_send(a.u, &gone, S("y")), 0);
	UNTIL(b.n == 3);
	udp_counts(a.u, &n);
	assert_int_equal(n.out_dropped, 2);
	/* closing inside the callback, with more of the batch to come */
	b.close = true;
	udp_send(a.u, &gone, S("1"));
	udp_send(a.u, &gone, S("2"));
	UNTIL(b.n == 4);
	assert_null(b.u);
	udp_send(a.u, &gone, S("nobody")); /* an ICMP error comes back */
	for (int i = 0; i < 10; i++)
		loop_once(l, 1);
	udp_close(a.u);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_queue_and_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
