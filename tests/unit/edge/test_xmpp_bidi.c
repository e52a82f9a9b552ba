/* SPDX-License-Identifier: Apache-2.0 */
/* One stream for both directions (XEP-0288) between two proxies; and which worker has it. */
#include "org.h"

#include "base/clock.h"
#include "edge/xmpp_routes.h"

static int setup(void **state)
{
	orgs_begin(state);
	struct orgs *o = *state;
	o->a.set.bidi = o->b.set.bidi = true;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	return 0;
}

static void come_up(struct orgs *o)
{
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n") && buf_has(&o->b.links, "up b.test a.test\n"));
}

/* Nobody but a has connected, and nobody needs to. */
static void assert_one_stream(struct orgs *o)
{
	assert_int_equal(org_streams(&o->a, "open", false), 1);
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	assert_int_equal(org_streams(&o->a, NULL, true), 0);
	assert_int_equal(org_streams(&o->b, NULL, false), 0);
}

static void both_told(void *arg, const struct xmpp_proxy_facts *f)
{
	*(bool *)arg &= f->bidi;
}

static void test_both_ways(void **state)
{
	struct orgs *o = *state;
	bool all = true;
	come_up(o);
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "u@b.test>v@a.test message 2\n") && buf_has(&o->b.sent, "2 none \n"));
	assert_one_stream(o);
	xmpp_proxy_each(o->a.proxy, both_told, &all);
	xmpp_proxy_each(o->b.proxy, both_told, &all);
	assert_true(all);
	/* what a receives there is acknowledged when it is done, too */
	o->b.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	o->a.keep = true;
	org_send(&o->b, "a.test", "3");
	UNTIL(o->loop, o->a.n_receipts == 1);
	turn(o->loop, 150);
	assert_false(buf_has(&o->b.sent, "3 "));
	xmpp_proxy_done(o->a.proxy, &o->a.receipts[0]);
	UNTIL(o->loop, buf_has(&o->b.sent, "3 none \n"));
	assert_one_stream(o);
}

/* Either side off: two streams, as ever. */
static void test_switched_off(void **state)
{
	struct orgs *o = *state;
	for (int k = 0; k < 2; k++) {
		struct org *x = k ? &o->b : &o->a;
		x->set.bidi = false;
		xmpp_proxy_set(x->proxy, &x->set);
		org_send(&o->a, "b.test", "1");
		UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
		org_send(&o->b, "a.test", "2");
		UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
		assert_int_equal(org_streams(&o->a, "open", true), 1);
		assert_int_equal(org_streams(&o->b, "open", true), 1);
		if (k)
			break;
		o->a.partner.enabled = o->b.partner.enabled = false; /* all ends */
		org_publish(&o->a);
		org_publish(&o->b);
		UNTIL(o->loop, !org_streams(&o->a, NULL, true) && !org_streams(&o->b, NULL, true) &&
				       !org_streams(&o->a, NULL, false) && !org_streams(&o->b, NULL, false));
		o->a.partner.enabled = o->b.partner.enabled = true;
		org_publish(&o->a);
		org_publish(&o->b);
		buf_clear(&o->a.seen);
		buf_clear(&o->b.seen);
		x->set.bidi = true;
		xmpp_proxy_set(x->proxy, &x->set);
	}
}

/* The partner ends its stream: what it had not acknowledged fails, and the next stanza calls it. */
static void test_its_stream_ends(void **state)
{
	struct orgs *o = *state;
	come_up(o);
	o->b.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.sent, "2 none \n"));
	o->a.keep = true;
	org_send(&o->b, "a.test", "3");
	UNTIL(o->loop, o->a.n_receipts == 1);
	xmpp_proxy_abandon(o->a.proxy, "reset", S("the test says so"));
	UNTIL(o->loop, buf_has(&o->b.sent, "3 xmpp/unreachable the stream ended before"));
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
	o->a.keep = false;
	org_send(&o->b, "a.test", "4"); /* no back-off: our own way was not what failed */
	UNTIL(o->loop, buf_has(&o->b.sent, "4 none \n"));
	assert_int_equal(org_streams(&o->b, "open", false), 1);
	org_send(&o->a, "b.test", "5"); /* now it is b's stream that serves a */
	UNTIL(o->loop, buf_has(&o->b.seen, "message 5\n"));
	assert_int_equal(org_streams(&o->a, NULL, false), 0);
}

/* We cannot reach the partner, but it reaches us: its stream takes what waits, and what was refused before goes now. */
static void test_ends_a_backoff(void **state)
{
	struct orgs *o = *state;
	o->b.partner.server_port = 1;
	org_publish(&o->b);
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.sent, "2 xmpp/unreachable "));
	org_send(&o->b, "a.test", "3");
	assert_true(buf_has(&o->b.sent, "3 xmpp/unreachable "));
	come_up(o);
	org_send(&o->b, "a.test", "4");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 4\n") && buf_has(&o->b.sent, "4 none \n"));
	assert_one_stream(o);
}

/* A link that we have stays what it is. */
static void test_ours_stays(void **state)
{
	struct orgs *o = *state;
	o->b.set.bidi = false;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->b.set.bidi = true;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	org_send(&o->b, "a.test", "3");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
	assert_int_equal(org_streams(&o->b, "open", false), 1);
	assert_int_equal(org_streams(&o->b, "open", true), 1);
}

/* b's certificate proves nothing, so a does not let b speak on a's stream; a's proves a, so b asks for both ways, and a, whose
 * question the authoritative server has answered, may. */
static void test_dialback(void **state)
{
	struct orgs *o = *state;
	org_tls(&o->b, "self");
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	assert_false(buf_has(&o->b.links, "up b.test a.test"));
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_int_equal(org_streams(&o->b, "open", true), 1);
}

/* Shutting down: partners are told on their streams, also on those that we used. */
static void on_drained(void *arg)
{
	((struct org *)arg)->drained++;
}

static void test_drain(void **state)
{
	struct orgs *o = *state;
	come_up(o);
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.sent, "2 none \n"));
	xmpp_proxy_quiesce(o->b.proxy);
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
	org_send(&o->b, "a.test", "3"); /* what is under way goes by a stream of our own */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
	xmpp_proxy_drain(o->b.proxy, on_drained, &o->b);
	UNTIL(o->loop, o->b.drained);
}

static void test_routes(void **state)
{
	(void)state;
	struct xmpp_routes *r = xmpp_routes_new();
	struct slice a = S("a.test"), b = S("b.test");
	assert_int_equal(xmpp_routes_pick(r, a, b, 2), 2);
	assert_true(xmpp_routes_claim(r, a, b, 2, false));
	assert_false(xmpp_routes_claim(r, a, b, 1, true)); /* the usual one has a stream */
	assert_int_equal(xmpp_routes_pick(r, a, b, 2), 2);
	xmpp_routes_release(r, a, b);
	assert_true(xmpp_routes_claim(r, a, b, 1, true));
	assert_false(xmpp_routes_claim(r, a, b, 2, false));
	assert_int_equal(xmpp_routes_pick(r, a, b, 2), 1);
	assert_int_equal(xmpp_routes_pick(r, b, a, 2), 2); /* the pair has an order */
	assert_int_equal(xmpp_routes_pick(r, a, S("c.test"), 0), 0);
	xmpp_routes_release(r, a, b);
	assert_int_equal(xmpp_routes_pick(r, a, b, 2), 2);
	xmpp_routes_release(r, a, b); /* nothing there */
	assert_true(xmpp_routes_claim(r, a, b, 1, true));
	xmpp_routes_free(r);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_both_ways), T(test_switched_off), T(test_its_stream_ends), T(test_ends_a_backoff), T(test_ours_stays),
		T(test_dialback), T(test_drain), cmocka_unit_test(test_routes),
	};
	return cmocka_run_group_tests(tests, orgs_group_setup, orgs_group_teardown);
}
