/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"

static struct addr at(const char *z)
{
	struct addr a;
	assert_true(addr_parse(slice_str(z), 1, &a));
	return a;
}

static void test_gate_counts(void **state)
{
	(void)state;
	struct gate *g = gate_new(&(struct gate_limits){.total = 4, .per_source = 2});
	struct addr a = at("192.0.2.1"), b = at("192.0.2.2"), c = at("192.0.2.3");
	const char *why = NULL;
	struct gate_pass *p[4];
	p[0] = gate_enter(g, &a, 0, &why);
	p[1] = gate_enter(g, &a, 0, &why);
	assert_true(p[0] && p[1]);
	assert_null(gate_enter(g, &a, 0, &why));
	assert_string_equal(why, "per-source");
	p[2] = gate_enter(g, &b, 0, &why);
	p[3] = gate_enter(g, &c, 0, &why);
	assert_true(p[2] && p[3]);
	assert_null(gate_enter(g, &b, 0, &why));
	assert_string_equal(why, "total");
	p[0] = gate_leave(p[0]);
	p[0] = gate_enter(g, &a, 0, &why);
	assert_non_null(p[0]);
	struct gate_counts n;
	gate_counts(g, &n);
	assert_int_equal(n.open, 4);
	assert_int_equal(n.sources, 3);
	assert_int_equal(n.admitted, 5);
	assert_int_equal(n.refused_per_source, 1);
	assert_int_equal(n.refused_total, 1);
	for (int i = 0; i < 4; i++)
		gate_leave(p[i]);
	gate_counts(g, &n);
	assert_int_equal(n.open, 0);
	assert_int_equal(n.sources, 0); /* nothing to remember without a rate */
	gate_leave(NULL);
	gate_unref(g);
}

static void test_gate_rate(void **state)
{
	(void)state;
	struct gate *g = gate_new(&(struct gate_limits){.rate_per_minute = 60, .burst = 3});
	struct addr a = at("2001:db8::1"), same = at("2001:db8::ffff"), b = at("2001:db8:0:1::1");
	const char *why = NULL;
	for (int i = 0; i < 3; i++)
		gate_leave(gate_enter(g, i & 1 ? &a : &same, 1000, &why));
	assert_null(gate_enter(g, &a, 1000, &why)); /* one /64 is one source */
	assert_string_equal(why, "rate");
	assert_null(gate_enter(g, &a, 1999, &why));
	struct gate_pass *p = gate_enter(g, &a, 2000, &why); /* one a second */
	assert_non_null(p);
	gate_leave(p);
	p = gate_enter(g, &b, 2000, &why);
	assert_non_null(p);
	gate_leave(p);
	struct gate_counts n;
	gate_counts(g, &n);
	assert_int_equal(n.sources, 2); /* remembered while their bucket is not full */
	struct addr c = at("192.0.2.1");
	p = gate_enter(g, &c, 100000, &why);
	gate_counts(g, &n);
	assert_int_equal(n.sources, 1); /* then forgotten */
	gate_unref(g); /* a pass keeps the gate */
	gate_leave(p);
}

static void test_gate_unproven(void **state)
{
	(void)state;
	struct gate *g = gate_new(&(struct gate_limits){.unproven = 3, .unproven_per_network = 2});
	struct addr a = at("192.0.2.1"), b = at("192.0.2.255"), c = at("192.0.3.1"), d = at("2001:db8:0:aa00::1"), e = at("2001:db8:0:aaff::1");
	const char *why = NULL;
	struct gate_counts n;
	struct gate_pass *p = gate_enter(g, &a, 0, &why), *q = gate_enter(g, &b, 0, &why);
	assert_true(p && q);
	assert_null(gate_enter(g, &a, 0, &why)); /* one /24 is one network */
	assert_string_equal(why, "unproven-per-network");
	struct gate_pass *r = gate_enter(g, &c, 0, &why);
	assert_non_null(r);
	assert_null(gate_enter(g, &d, 0, &why));
	assert_string_equal(why, "unproven");
	gate_prove(p);
	gate_prove(p);
	gate_prove(NULL);
	struct gate_pass *s = gate_enter(g, &d, 0, &why); /* one place is free, in all and in the network */
	assert_non_null(s);
	gate_prove(q);
	gate_prove(r);
	gate_counts(g, &n);
	assert_int_equal(n.open, 4);
	assert_int_equal(n.unproven, 1);
	assert_int_equal(n.networks, 1);
	struct gate_pass *t = gate_enter(g, &e, 0, &why);
	assert_non_null(t);
	assert_null(gate_enter(g, &e, 0, &why)); /* nor is one /56 two */
	assert_string_equal(why, "unproven-per-network");
	gate_leave(p); /* proven */
	gate_leave(s); /* not */
	gate_counts(g, &n);
	assert_int_equal(n.open, 3);
	assert_int_equal(n.unproven, 1);
	assert_int_equal(n.refused_network, 2);
	assert_int_equal(n.refused_unproven, 1);
	gate_leave(q);
	gate_leave(r);
	gate_leave(t);
	gate_counts(g, &n);
	assert_int_equal(n.networks, 0);
	gate_unref(g);
}

struct server {
	struct listener *l;
	struct gate *gate;
	atomic_int accepted, refused, closed, by_worker[8];
	const char *why;
};

static size_t take(struct conn *c, struct slice in)
{
	(void)c;
	return in.len;
}

static void closed(struct conn *c, const struct entente_err *why)
{
	(void)why;
	struct server *s = conn_owner(c);
	conn_free(c);
	atomic_fetch_add(&s->closed, 1);
}

static const struct conn_ops server_ops = {.data = take, .closed = closed};

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct server *s = arg;
	struct conn *c;
	struct conn_opts o = {.ops = &server_ops, .owner = s, .pass = pass};
	assert_ptr_equal(worker_self(), w);
	assert_true(addr_is_loopback(from));
	atomic_fetch_add(&s->by_worker[w->id], 1);
	assert_int_equal(conn_accept(&c, w->loop, fd, &o, NULL), 0);
	atomic_fetch_add(&s->accepted, 1);
}

static void refused(void *arg, const struct addr *from, const char *why)
{
	struct server *s = arg;
	(void)from;
	s->why = why;
	atomic_fetch_add(&s->refused, 1);
}

static int dial(const struct addr *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, &to->sa, addr_len(to)), 0);
	return fd;
}

#define UNTIL(loop, cond)                                                                          \
	do {                                                                                       \
		for (int turn_ = 0; !(cond) && turn_ < 5000; turn_++)                              \
			loop_once(loop, 1);                                                        \
		assert_true(cond);                                                                 \
	} while (0)

static void test_deal_out(void **state)
{
	(void)state;
	struct pool *p;
	struct server s = {.gate = gate_new(&(struct gate_limits){.per_source = 6})};
	struct pool_opts po = {.workers = 3};
	struct entente_err err = {0};
	assert_int_equal(pool_new(&p, &po, NULL), 0);
	struct loop *l = pool_control(p)->loop;
	struct listener_opts o = {
		.addr = at("127.0.0.1:0"), .gate = s.gate, .pool = p, .accepted = accepted, .refused = refused, .arg = &s};
	assert_int_equal(listener_new(&s.l, l, &o, &err), 0);
	assert_int_equal(pool_start(p, NULL), 0);
	int fd[8];
	for (int i = 0; i < 6; i++)
		fd[i] = dial(listener_addr(s.l));
	UNTIL(l, s.accepted == 6);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s.by_worker[i], 2); /* in turn */
	fd[6] = dial(listener_addr(s.l));
	UNTIL(l, s.refused == 1);
	assert_string_equal(s.why, "per-source");
	char byte;
	assert_int_equal(read(fd[6], &byte, 1), 0);
	close(fd[6]);
	close(fd[0]);
	UNTIL(l, s.closed == 1); /* its pass is back */
	fd[0] = dial(listener_addr(s.l));
	UNTIL(l, s.accepted == 7);
	assert_int_equal(listener_accepted(s.l), 7);
	listener_pause(s.l, true);
	fd[6] = dial(listener_addr(s.l)); /* waits in the backlog */
	for (int i = 0; i < 20; i++)
		loop_once(l, 1);
	assert_int_equal(s.refused, 1);
	listener_pause(s.l, false);
	UNTIL(l, s.refused == 2);
	/* the address is taken */
	struct listener *second = NULL;
	o.addr = *listener_addr(s.l);
	assert_int_equal(listener_new(&second, l, &o, &err), ENTENTE_ENET);
	assert_non_null(strstr(err.text, "another program"));
	assert_null(second);
	s.l = listener_free(s.l);
	assert_true(pool_stop(p, 5000));
	pool_free(p); /* frees the connections that are left, and with them their passes */
	struct gate_counts n;
	gate_counts(s.gate, &n);
	assert_int_equal(n.open, 0);
	gate_unref(s.gate);
	for (int i = 0; i < 7; i++)
		close(fd[i]);
}

static void test_undelivered(void **state)
{
	(void)state;
	struct pool *p;
	struct server s = {.gate = gate_new(&(struct gate_limits){.total = 10})};
	struct pool_opts po = {.workers = 2, .queue = 1};
	assert_int_equal(pool_new(&p, &po, NULL), 0); /* never started: hand-overs stay in the queues */
	struct loop *l = pool_control(p)->loop;
	struct listener_opts o = {
		.addr = at("127.0.0.1:0"), .gate = s.gate, .pool = p, .accepted = accepted, .refused = refused, .arg = &s};
	assert_int_equal(listener_new(&s.l, l, &o, NULL), 0);
	int fd[3];
	for (int i = 0; i < 3; i++)
		fd[i] = dial(listener_addr(s.l));
	UNTIL(l, s.refused == 1); /* both queues are full */
	assert_string_equal(s.why, "busy");
	s.l = listener_free(s.l);
	pool_free(p);
	struct gate_counts n;
	gate_counts(s.gate, &n);
	assert_int_equal(n.open, 0);
	char byte;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read(fd[i], &byte, 1), 0); /* none leaks */
		close(fd[i]);
	}
	gate_unref(s.gate);
}

static void local_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct server *s = arg;
	(void)from;
	assert_true(!w && !pass);
	close(fd);
	s->accepted++;
}

static void test_out_of_descriptors(void **state)
{
	(void)state;
	struct loop *l;
	struct server s = {0};
	struct listener_opts o = {.addr = at("127.0.0.1:0"), .accepted = local_accepted, .refused = refused, .arg = &s};
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(listener_new(&s.l, l, &o, NULL), 0);
	int fd = dial(listener_addr(s.l));
	struct rlimit old, none;
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 3; /* everything above is open already; nothing new may be */
	setrlimit(RLIMIT_NOFILE, &none);
	UNTIL(l, s.refused == 1);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(s.accepted, 0);
	struct loop_stats before, after;
	loop_stats(l, &before);
	for (int i = 0; i < 5; i++)
		loop_once(l, 10);
	loop_stats(l, &after);
	assert_int_equal(after.turns - before.turns, 5); /* it rests instead of spinning */
	UNTIL(l, s.accepted == 1);
	close(fd);
	listener_free(s.l);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate_counts),
		cmocka_unit_test(test_gate_rate),
		cmocka_unit_test(test_gate_unproven),
		cmocka_unit_test(test_deal_out),
		cmocka_unit_test(test_undelivered),
		cmocka_unit_test(test_out_of_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
