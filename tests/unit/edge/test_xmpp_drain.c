/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a proxy: what is under way is finished, everybody is told, and nothing new is taken. And freed in every state. */
#include "org.h"

#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

static void on_drained(void *arg)
{
	((struct org *)arg)->drained++;
}

static void test_drain(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n") && buf_has(&o->a.seen, "message 2\n"));
	xmpp_proxy_quiesce(o->a.proxy);
	org_send(&o->a, "b.test", "3"); /* what is under way may still go out */
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_true(buf_has(&journal, "condition=system-shutdown"));
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_int_equal(o->a.drained, 0);
	org_send(&o->a, "b.test", "4");
	assert_true(buf_has(&o->a.sent, "4 server/shutdown "));
	UNTIL(o->loop, o->a.drained);
	assert_int_equal(org_streams(&o->a, NULL, false), 0);
	turn(o->loop, 50);
	assert_int_equal(o->a.drained, 1);
	int fd = stranger_connect(&o->a, 1); /* nobody is let in any more */
	char c;
	turn(o->loop, 50);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
}

/* What came is finished and acknowledged before the good-bye; meanwhile nothing new is taken. */
static void test_drain_finishes(void **state)
{
	struct orgs *o = *state;
	o->b.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "10");
	UNTIL(o->loop, buf_has(&o->b.sent, "10 none \n"));
	o->a.keep = true;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, o->a.n_receipts == 1);
	xmpp_proxy_quiesce(o->a.proxy);
	org_send(&o->b, "a.test", "2");
	turn(o->loop, 100);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_false(buf_has(&o->a.seen, "message 2\n"));
	xmpp_proxy_done(o->a.proxy, &o->a.receipts[0]);
	UNTIL(o->loop, buf_has(&o->b.sent, "1 none \n2 xmpp/unreachable the stream ended before"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_int_equal(o->a.n_receipts, 1);
	/* and what never gets done keeps nobody for ever */
	o->a.keep = false;
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	UNTIL(o->loop, o->a.drained);
}

static void test_drain_while_coming_up(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, o->b.n_held == 1);
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_true(buf_has(&o->a.sent, "1 server/shutdown "));
	UNTIL(o->loop, o->a.drained);
	assert_int_equal(o->a.drained, 1);
}

static void test_drain_nothing(void **state)
{
	struct orgs *o = *state;
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_int_equal(o->a.drained, 1);
}

/* Freed in every state: the sanitizers judge. */
static void test_free_anywhere(void **state)
{
	(void)state;
	for (int turns = 0; turns < 60; turns += 1 + turns / 8) {
		struct orgs o;
		orgs_setup(&o);
		org_tls(&o.a, "a");
		org_tls(&o.b, turns % 2 ? "self" : "b");
		org_send(&o.a, "b.test", "1");
		org_send(&o.b, "a.test", "2");
		for (int i = 0; i < turns; i++)
			loop_once(o.loop, 1);
		orgs_teardown(&o);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, orgs_begin, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_drain),
		T(test_drain_finishes),
		T(test_drain_while_coming_up),
		T(test_drain_nothing),
		cmocka_unit_test(test_free_anywhere),
	};
	return cmocka_run_group_tests_name("xmpp_drain", tests, orgs_group_setup, orgs_group_teardown);
}
