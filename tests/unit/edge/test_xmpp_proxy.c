/* SPDX-License-Identifier: Apache-2.0 */
/* Two proxies in one process: streams by every method, what fails and why, changes of policy, keep-alive. */
#include "org.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

/* ---- coming up */

static void test_external(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	assert_int_equal(o->a.sent.len, 0); /* it waits */
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
	assert_true(buf_has(&o->a.links, "up a.test b.test\n"));
	assert_true(buf_has(&journal, "proof=external"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	org_send(&o->a, "b.test", "2"); /* up: at once, but not acknowledged yet */
	assert_false(buf_has(&o->a.sent, "2 "));
	UNTIL(o->loop, buf_has(&o->a.sent, "2 none \n"));
	org_send(&o->b, "a.test", "3"); /* the other direction has a stream of its own */
	UNTIL(o->loop, buf_has(&o->a.seen, "u@b.test>v@a.test message 3\n"));
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_int_equal(org_streams(&o->a, "open", false), 1);
}

/* XEP-0368: port 5270 of a partner's own server means direct TLS. */
static void test_direct(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, true);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
	assert_true(buf_has(&journal, ":5270 direct\""));
	assert_true(buf_has(&journal, "how=\"direct TLS\""));
	assert_true(buf_has(&journal, "proof=external"));
	assert_false(buf_has(&journal, "STARTTLS"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
}

/* Without TLS for the partner the port is a port like any other. */
static void test_direct_switched_off(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, false);
	o->a.partner.tls = o->b.partner.tls = POLICY_OPTIONAL;
	o->a.partner.tls = POLICY_NOT_SUPPORTED;
	o->a.partner.sasl = o->b.partner.sasl = POLICY_NOT_SUPPORTED;
	org_publish(&o->a);
	org_publish(&o->b);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	assert_true(buf_has(&journal, "proof=dialback"));
	assert_false(buf_has(&journal, ":5270 direct"));
}

/* The two ways do not mix: who begins with TLS where STARTTLS is spoken, or the other way round, gets nowhere and hears why. */
static void test_direct_mixed_up(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, false);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_lines(&o->a.sent) == 1);
	assert_true(buf_has(&o->a.sent, "1 xmpp/tls-failed "));
	assert_int_equal(o->b.seen.len, 0);
	struct addr to;
	addr_parse(slice_str(o->b.address), 5270, &to);
	listener_free(o->b.second);
	o->b.second = NULL;
	org_listen_5270(&o->b, &o->a, true);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char octets[64];
	assert_int_equal(connect(fd, &to.sa, addr_len(&to)), 0);
	assert_int_equal(send(fd, "<?xml version='1.0'?>", 21, 0), 21);
	UNTIL(o->loop, buf_has(&journal, "direction=in") && buf_has(&journal, "stage=tls"));
	turn(o->loop, 50);
	ssize_t n = recv(fd, octets, sizeof octets, MSG_DONTWAIT);
	assert_true(n <= 0 || octets[0] == 0x15); /* at most a TLS alert */
	close(fd);
}

static void test_order(void **state)
{
	struct orgs *o = *state;
	char id[8], want[1000] = "";
	for (int i = 1; i <= 15; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
		snprintf(want + strlen(want), sizeof want - strlen(want), "u@a.test>v@b.test message %d\n", i);
	}
	UNTIL(o->loop, buf_lines(&o->b.seen) == 15);
	assert_true(slice_eq(buf_slice(&o->b.seen), slice_str(want)));
}

/* What the owner sends when it hears of the first must not overtake those that still wait. */
static void send_more(struct org *o, const struct xmpp_ticket *t, enum reason reason)
{
	assert_int_equal(reason, REASON_NONE);
	if (t->id == 1)
		org_send(o, "b.test", "9");
}

static void test_order_from_inside(void **state)
{
	struct orgs *o = *state;
	o->a.on_sent = send_more;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_lines(&o->b.seen) == 4);
	assert_true(slice_eq(buf_slice(&o->b.seen), S("u@a.test>v@b.test message 1\nu@a.test>v@b.test message 2\n"
						      "u@a.test>v@b.test message 3\nu@a.test>v@b.test message 9\n")));
}

/* ---- not coming up */

static void expect(struct orgs *o, const char *id, const char *reason)
{
	char want[64];
	snprintf(want, sizeof want, "%s %s ", id, reason);
	UNTIL(o->loop, buf_has(&o->a.sent, want));
}

static void test_refused(void **state)
{
	struct orgs *o = *state;
	o->a.partner.server_port = 1; /* nobody listens there */
	org_publish(&o->a);
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	expect(o, "1", "xmpp/unreachable");
	expect(o, "2", "xmpp/unreachable");
	assert_true(buf_has(&o->a.sent, "Connection refused")); /* the cause, not "no address" */
	assert_true(buf_has(&o->a.links, "down a.test b.test\n"));
	org_send(&o->a, "b.test", "3"); /* back-off: at once */
	assert_true(buf_has(&o->a.sent, "3 xmpp/unreachable "));
	assert_int_equal(org_streams(&o->a, "backoff", false), 1);
	assert_int_equal(org_streams(&o->a, "connecting", false), 0);
}

static void test_timeout(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	o->a.set.queue_ms = 300;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	uint64_t before = clock_ms();
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/unreachable");
	assert_true(clock_ms() - before >= 290);
	assert_true(buf_has(&o->a.sent, "did not come up in time"));
	/* what comes later gets its own time */
	before = clock_ms();
	org_send(&o->a, "b.test", "2");
	assert_false(buf_has(&o->a.sent, "2 "));
	expect(o, "2", "xmpp/unreachable");
	assert_true(clock_ms() - before >= 290);
}

/* Where texts are kept, one that has waited too long takes those behind it along, back to whoever has their order. */
static void test_timeout_kept(void **state)
{
	struct orgs *o = *state;
	o->b.hold = o->a.confirm = o->a.set.kept = true;
	o->a.set.queue_ms = 300;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	uint64_t before = clock_ms();
	org_send(&o->a, "b.test", "1");
	while (clock_ms() < before + 150)
		loop_once(o->loop, 10);
	org_send(&o->a, "b.test", "2");
	expect(o, "1", "xmpp/unreachable");
	assert_true(buf_has(&o->a.sent, "2 handed\n2 xmpp/unreachable")); /* taken, and given back */
}

static void test_certificate(void **state)
{
	static const char *const bad[] = {"wrong", "old", "self"};
	struct orgs *o = *state;
	o->a.partner.dialback = false;
	org_publish(&o->a);
	for (size_t i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof id, "%zu", i + 1);
		org_tls(&o->b, bad[i]);
		org_publish(&o->a); /* forgets the back-off */
		org_send(&o->a, "b.test", id);
		expect(o, id, "xmpp/certificate");
	}
	assert_true(buf_has(&o->a.sent, "expired"));
	assert_int_equal(o->b.seen.len, 0);
	/* and in: the same certificates are no proof either */
	org_send(&o->b, "a.test", "9");
	UNTIL(o->loop, buf_has(&o->b.sent, "9 xmpp/"));
	assert_int_equal(o->a.seen.len, 0);
}

static void test_no_tls_here(void **state)
{
	struct orgs *o = *state;
	xmpp_proxy_set_tls(o->a.proxy, NULL);
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/tls-failed");
	assert_true(buf_has(&o->a.sent, "tls.certificate"));
}

static void test_stranger(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "c.test", "1"); /* nobody is called */
	assert_true(buf_has(&o->a.sent, "1 policy/partner-unknown "));
	assert_int_equal(org_streams(&o->a, NULL, false), 0);
	o->b.partner.domain = SLICE_NONE; /* b does not know a */
	org_publish(&o->b);
	org_send(&o->a, "b.test", "2");
	expect(o, "2", "xmpp/stream-error");
	assert_true(buf_has(&journal, "policy-violation"));
}

static void test_backoff_ends(void **state)
{
	struct orgs *o = *state;
	uint16_t port = o->a.partner.server_port;
	o->a.partner.server_port = 1;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/unreachable");
	/* by time */
	turn(o->loop, 1300);
	org_send(&o->a, "b.test", "2");
	assert_false(buf_has(&o->a.sent, "2 "));
	expect(o, "2", "xmpp/unreachable");
	/* twice as long now; an inbound stream of the partner ends it */
	turn(o->loop, 700);
	org_send(&o->a, "b.test", "3");
	assert_true(buf_has(&o->a.sent, "3 xmpp/unreachable "));
	org_send(&o->b, "a.test", "4");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 4"));
	o->a.partner.server_port = port;
	struct org keep = o->a; /* publishing would end the back-off by itself */
	o->a.proxy = NULL;
	org_publish(&o->a);
	o->a.proxy = keep.proxy;
	org_send(&o->a, "b.test", "5");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 5"));
}

/* A domain that nobody writes to any more is no memory for ever; until then its back-off and what was said of it are kept. */
static void test_forgotten(void **state)
{
	struct orgs *o = *state;
	struct timers *q = &o->loop->timers;
	o->a.partner.server_port = 1;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/unreachable");
	timers_run(q, q->now + 300000);
	assert_int_equal(org_streams(&o->a, "backoff", false), 1);
	timers_run(q, q->now + 600000);
	assert_int_equal(org_streams(&o->a, "backoff", false), 0);
	org_send(&o->a, "b.test", "2");
	expect(o, "2", "xmpp/unreachable");
	assert_int_equal(org_streams(&o->a, "backoff", false), 1);
}

static void test_logged_once(void **state)
{
	struct orgs *o = *state;
	unsigned lines = 0;
	o->a.partner.server_port = 1;
	for (int i = 0; i < 20; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i + 1);
		org_publish(&o->a);
		org_send(&o->a, "b.test", id);
		expect(o, id, "xmpp/unreachable");
	}
	for (struct slice rest = buf_slice(&journal), line; rest.len && (line = slice_split(&rest, '\n')).p;)
		lines += slice_find(line, S("xmpp/link-failed")) >= 0;
	assert_int_equal(lines, 1);
}

/* ---- changes of policy, keep-alive */

static void test_partner_removed(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n") && buf_has(&o->a.seen, "message 2\n"));
	o->a.partner.domain = SLICE_NONE;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "3");
	assert_true(buf_has(&o->a.sent, "3 policy/partner-unknown "));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true) && !org_streams(&o->a, NULL, false));
	assert_true(buf_has(&journal, "no longer a partner"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 0);
}

static void test_removed_while_coming_up(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, o->b.n_held == 1);
	o->a.partner.enabled = false;
	org_publish(&o->a);
	assert_true(buf_has(&o->a.sent, "1 policy/partner-disabled "));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
}

static void test_rules_changed(void **state)
{
	struct orgs *o = *state;
	org_tls(&o->b, "self");
	org_send(&o->b, "a.test", "1"); /* by dialback */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.partner.description = S("something that does not matter");
	org_publish(&o->a);
	turn(o->loop, 50);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	o->a.partner.dialback = false; /* now only a certificate will do */
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	org_tls(&o->b, "b");
	org_publish(&o->b); /* forgets the back-off of the error */
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
}

static void test_silent_partner(void **state)
{
	struct orgs *o = *state;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.set.silence_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_true(buf_has(&journal, "xmpp/stream-silent"));
	assert_false(buf_has(&o->b.links, "down")); /* an orderly end: nothing is lost */
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
	o->a.partner.keep_alive = false;
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	org_send(&o->b, "a.test", "3"); /* this one was not promised to speak */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
	turn(o->loop, 500);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
}

static void test_idle(void **state)
{
	struct orgs *o = *state;
	o->a.set.idle_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	assert_false(buf_has(&o->a.links, "down"));
	/* a stanza that meets the closing stream opens the next one without waiting */
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	turn(o->loop, 195);
	for (int i = 3; i < 40; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
		turn(o->loop, 5 + (unsigned)i % 7 * 40);
		snprintf(id, sizeof id, " %d\n", i);
		UNTIL(o->loop, buf_has(&o->b.seen, id));
	}
	assert_int_equal(buf_lines(&o->b.seen), 39);
}

/* The partner's server is restarted: after good service the next stanza calls again, without a back-off. */
static void test_partner_restart(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	timers_set_now(&o->loop->timers, o->loop->timers.now + 6000); /* it served for a while */
	o->b.partner.enabled = false;
	org_publish(&o->b);
	UNTIL(o->loop, buf_has(&o->a.links, "down a.test b.test\n"));
	o->b.partner.enabled = true;
	org_publish(&o->b);
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_int_equal(buf_lines(&o->a.links), 3); /* up, down, up */
}

static void test_new_certificate(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	org_tls(&o->b, "b2"); /* open streams stay */
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	org_send(&o->b, "a.test", "3"); /* new ones use it */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, orgs_begin, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_external),
		{"S16 direct TLS with ALPN", test_direct, orgs_begin, orgs_end, NULL},
		T(test_direct_switched_off),
		{"S16 direct TLS meets something else", test_direct_mixed_up, orgs_begin, orgs_end, NULL},
		T(test_order),
		T(test_order_from_inside),
		T(test_refused),
		T(test_timeout),
		T(test_timeout_kept),
		T(test_certificate),
		T(test_no_tls_here),
		T(test_stranger),
		T(test_backoff_ends),
		T(test_forgotten),
		T(test_logged_once),
		T(test_partner_removed),
		T(test_removed_while_coming_up),
		T(test_rules_changed),
		T(test_silent_partner),
		T(test_idle),
		T(test_partner_restart),
		T(test_new_certificate),
	};
	return cmocka_run_group_tests_name("xmpp_proxy", tests, orgs_group_setup, orgs_group_teardown);
}
