/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements between two proxies (XEP-0198): what the sender is told when, and what becomes of what nobody acknowledged. */
#include "org.h"

#include "edge/xmpp_proxy_int.h"

#include <stdio.h>
#include "base/clock.h"

static void up(struct orgs *o)
{
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
}

/* The partner's server dies with what it was sent: the sender hears of it. */
static void test_lost(void **state)
{
	struct orgs *o = *state;
	up(o);
	org_send(&o->a, "b.test", "2");
	org_send(&o->a, "b.test", "3");
	assert_false(buf_has(&o->a.sent, "2 "));
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, buf_lines(&o->a.sent) == 3);
	assert_true(buf_has(
		&o->a.sent,
		"1 none \n2 xmpp/unreachable the stream ended before the partner's server acknowledged it\n3 xmpp/unreachable "));
}

/* The partner's 200 waits for our receipt; a stream that is gone, or one that never was, does not mind one. */
static void test_receipts(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "10"); /* what waits for the stream goes before anything is counted */
	UNTIL(o->loop, buf_has(&o->a.sent, "10 none \n"));
	o->b.keep = true;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, o->b.n_receipts == 2);
	struct xmpp_receipt one = o->b.receipts[0], two = o->b.receipts[1], odd = two;
	assert_true(one.stream == two.stream && one.stream != 0 && two.number == one.number + 1);
	turn(o->loop, 100);
	assert_false(buf_has(&o->a.sent, "1 none"));
	xmpp_proxy_done(o->b.proxy, &two);
	odd.stream++;
	xmpp_proxy_done(o->b.proxy, &odd);
	odd = (struct xmpp_receipt){.stream = one.stream, .number = 1000000};
	xmpp_proxy_done(o->b.proxy, &odd);
	turn(o->loop, 150);
	assert_false(buf_has(&o->a.sent, "none \n2"));
	xmpp_proxy_done(o->b.proxy, &one);
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n2 none \n"));
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, o->b.n_receipts == 3);
	o->b.partner.enabled = false;
	org_publish(&o->b); /* the stream goes */
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
	UNTIL(o->loop, buf_has(&o->a.sent, "3 xmpp/unreachable the stream ended before"));
	xmpp_proxy_done(o->b.proxy, &o->b.receipts[2]);
}

/* The taker of the stanzas dies: its streams end, and their partners know what was lost. Others live. */
static void test_abandoned(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "10");
	org_send(&o->b, "a.test", "9");
	UNTIL(o->loop, buf_has(&o->a.sent, "10 none \n") && buf_has(&o->b.sent, "9 none \n"));
	o->b.keep = true;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, o->b.n_receipts == 2);
	xmpp_proxy_done(o->b.proxy, &o->b.receipts[0]);
	xmpp_proxy_abandon(o->b.proxy, "reset", S("the gateway was restarted"));
	xmpp_proxy_abandon(o->a.proxy, "reset", S("the gateway was restarted")); /* has nothing to lose */
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n2 xmpp/unreachable the stream ended before"));
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_false(org_streams(&o->b, "open", true));
}

/* A server that takes its time: what was handed over counts as sent after a while, and is not taken back. */
static void test_slow_acknowledgement(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.partner_rate = 1;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	for (int i = 2; i <= 9; i++)
		org_send(&o->a, "b.test", (const char[]){(char)('0' + i), 0});
	assert_int_equal(buf_lines(&o->a.sent), 1);
	UNTIL(o->loop, buf_has(&o->a.sent, "9 none \n"));
	assert_int_equal(buf_lines(&o->a.sent), 9);
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	turn(o->loop, 300);
	assert_int_equal(buf_lines(&o->a.sent), 9);
}

/* Neither when the partner does not offer them nor when we do not want them. */
static void test_without_acknowledgements(void **state)
{
	struct orgs *o = *state;
	o->b.set.acks = false;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	org_send(&o->a, "b.test", "2");
	assert_true(buf_has(&o->a.sent, "2 none \n"));
	org_send(&o->b, "a.test", "3"); /* a offers, b does not want */
	UNTIL(o->loop, buf_has(&o->b.sent, "3 none \n"));
	org_send(&o->b, "a.test", "4");
	assert_true(buf_has(&o->b.sent, "4 none \n"));
}

/* More than are remembered, faster than they are acknowledged: each is reported once, in order. */
static void test_many_unacknowledged(void **state)
{
	enum { MANY = 1500 };
	struct orgs *o = *state;
	char id[16];
	up(o);
	for (int i = 2; i <= MANY; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
	}
	assert_true(buf_lines(&o->a.sent) < MANY);
	UNTIL(o->loop, buf_lines(&o->a.sent) == MANY);
	struct slice rest = buf_slice(&o->a.sent);
	for (int i = 1; i <= MANY; i++) {
		snprintf(id, sizeof id, "%d none ", i);
		assert_true(slice_eq(slice_split(&rest, '\n'), slice_str(id)));
	}
}

/* Every ticket is answered, also of stanzas that nobody has acknowledged when the partner goes. */
static void test_removed_unacknowledged(void **state)
{
	struct orgs *o = *state;
	char id[8], want[64];
	o->a.set.acks = true;
	o->a.set.ack_wait_ms = 60000;
	o->a.set.queue_stanzas = 1000;
	o->a.set.queue_octets = 1 << 20;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.acks = true;
	o->b.set.partner_rate = 1; /* ten at once, then b hardly reads */
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	for (int i = 1; i <= 60; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send_octets(&o->a, "b.test", id, 10000);
		loop_once(o->loop, 0);
	}
	UNTIL(o->loop, buf_has(&journal, "xmpp/partner-slowed"));
	turn(o->loop, 50);
	assert_true(buf_lines(&o->a.sent) < 60);
	o->a.partner.enabled = false;
	org_publish(&o->a);
	turn(o->loop, 50);
	for (int i = 1; i <= 60; i++) {
		snprintf(want, sizeof want, "%d ", i);
		assert_true(buf_has(&o->a.sent, want));
	}
	assert_int_equal(buf_lines(&o->a.sent), 60);
	assert_true(buf_has(&o->a.sent, "60 policy/partner-disabled "));
}

/* In two steps: what is not acknowledged in time was handed over, and is acknowledged or lost later. */
static void test_handed_then_acknowledged(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 100;
	o->a.confirm = true;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "10"); /* before anything is counted */
	UNTIL(o->loop, buf_has(&o->a.sent, "10 none \n"));
	o->b.keep = true;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->a.sent, "1 handed acks\n2 handed acks\n3 handed acks\n"));
	UNTIL(o->loop, o->b.n_receipts == 3);
	xmpp_proxy_done(o->b.proxy, &o->b.receipts[0]);
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
	assert_false(buf_has(&o->a.sent, "2 none"));
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, buf_has(&o->a.sent, "3 xmpp/unreachable the stream ended before"));
	assert_true(buf_has(&o->a.sent, "1 none \n2 xmpp/unreachable "));
}

enum { MANY = 500 };

static void on_drained(void *arg)
{
	((struct org *)arg)->drained++;
}

/* B does not acknowledge and hardly reads; the kernels between are full, and some of A's texts wait behind them. */
static void flood(struct orgs *o)
{
	char id[16];
	o->a.confirm = true;
	o->a.set.queue_stanzas = MANY;
	o->a.set.queue_octets = 64 << 20;
	o->b.set.acks = false;
	o->b.set.partner_rate = 1; /* ten at once, then it hardly reads, and the kernels are full before all is in */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	org_send(&o->a, "b.test", "2");
	assert_false(buf_has(&o->a.sent, "2 "));
	UNTIL(o->loop, buf_has(&o->a.sent, "2 none \n"));
	for (int i = 3; i <= MANY; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send_octets(&o->a, "b.test", id, 40000);
		loop_once(o->loop, 0);
	}
	UNTIL(o->loop, buf_has(&o->a.sent, " handed\n"));
	turn(o->loop, 300);
	assert_false(buf_has(&o->a.sent, "500 none"));
}

/* A partner without acknowledgements: its kernel's word counts, and while that is missing it was handed over only. */
static void test_kernel_confirms(void **state)
{
	struct orgs *o = *state;
	char id[16];
	flood(o);
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, buf_has(&o->a.sent, " xmpp/unreachable the stream ended before"));
	/* everything has come to an end, in order, with what waited behind them */
	size_t handed = 0, ended = 0;
	struct slice rest = buf_slice(&o->a.sent), line;
	while ((line = slice_split(&rest, '\n')).len)
		if (slice_find(line, S(" handed")) >= 0)
			handed++;
	for (rest = buf_slice(&o->a.sent); (line = slice_split(&rest, '\n')).len;) {
		snprintf(id, sizeof id, "%zu ", ended + 1);
		ended += slice_find(line, S(" handed")) < 0 && slice_starts(line, slice_str(id));
	}
	assert_true(handed > 0);
	assert_int_equal(ended, MANY);
}

/* The stream ends, the next one may come up at once: what waited behind texts that are lost goes back with them, and does not overtake them there. */
static void test_nothing_overtakes(void **state)
{
	struct orgs *o = *state;
	flood(o);
	LIST_EACH(n, &o->a.proxy->all_links)
		CONTAINER_OF(n, struct xmpp_link, all)->since = 0; /* it has served for long */
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, buf_has(&o->a.sent, "\n500 handed\n500 xmpp/unreachable the stream ended, and texts"));
	assert_true(buf_has(&o->a.sent, " xmpp/unreachable the stream ended before"));
}

/* The end of service confirms nothing that the partner has not. */
static void test_drain_confirms_nothing(void **state)
{
	struct orgs *o = *state;
	flood(o);
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, o->a.drained);
	assert_true(buf_has(&o->a.sent, " xmpp/unreachable the stream ended before"));
}

/* What may only go where it is acknowledged is refused before it goes. */
static void test_acknowledged_only(void **state)
{
	struct orgs *o = *state;
	o->b.set.acks = false;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	o->a.confirm = o->a.acked_only = true;
	org_send(&o->a, "b.test", "2");
	assert_true(buf_has(&o->a.sent, "2 server/queue-full the partner's server does not acknowledge"));
	o->a.acked_only = false;
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->b.seen, " 3\n"));
	assert_false(buf_has(&o->b.seen, " 2\n"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, orgs_begin, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lost),
		T(test_receipts),
		T(test_abandoned),
		T(test_slow_acknowledgement),
		T(test_without_acknowledgements),
		T(test_many_unacknowledged),
		T(test_removed_unacknowledged),
		T(test_handed_then_acknowledged),
		T(test_kernel_confirms),
		T(test_nothing_overtakes),
		T(test_drain_confirms_nothing),
		T(test_acknowledged_only),
	};
	return cmocka_run_group_tests_name("xmpp_acks", tests, orgs_group_setup, orgs_group_teardown);
}
