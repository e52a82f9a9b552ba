/* SPDX-License-Identifier: Apache-2.0 */
/* What two proxies let each other do: queues, sizes, streams, rates; the slow reader and the slow taker. */
#include "org.h"

#include <stdio.h>
#include "base/clock.h"

static void expect(struct orgs *o, const char *id, const char *reason)
{
	char want[64];
	snprintf(want, sizeof want, "%s %s ", id, reason);
	UNTIL(o->loop, buf_has(&o->a.sent, want));
}

static void test_queue_full(void **state)
{
	struct orgs *o = *state;
	char id[8];
	o->b.hold = true;
	for (int i = 1; i <= 21; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
	}
	assert_true(buf_has(&o->a.sent, "21 limit/queue-full "));
	assert_int_equal(buf_lines(&o->a.sent), 1);
}

static void test_queue_octets(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send_octets(&o->a, "b.test", "1", 60000);
	org_send_octets(&o->a, "b.test", "2", 60000);
	org_send_octets(&o->a, "b.test", "3", 60000);
	assert_int_equal(o->a.sent.len, 0);
	org_send_octets(&o->a, "b.test", "4", 60000);
	assert_true(buf_has(&o->a.sent, "4 limit/queue-full "));
}

static void test_stanza_too_large(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	org_send_octets(&o->a, "b.test", "2", 70000); /* over our own limit */
	assert_true(buf_has(&o->a.sent, "2 limit/size "));
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	/* b takes less than a sends, and has said so: the stream lives on */
	o->b.set.max_stanza = 20000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send_octets(&o->b, "a.test", "4", 30000);
	UNTIL(o->loop, buf_has(&o->b.sent, "4 limit/size "));
}

static void test_partner_limit(void **state)
{
	struct orgs *o = *state;
	o->a.partner.connection_limit = 1;
	org_publish(&o->a);
	org_send(&o->b, "a.test", "1"); /* one in */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 1);
	org_send(&o->a, "b.test", "2"); /* so none out */
	expect(o, "2", "limit/connections");
	o->a.partner.connection_limit = 0;
	o->a.partner_limit = 2;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 2);
	/* a second one in is refused with a reason, and its stanzas do not pass */
	o->b.partner.enabled = false;
	org_publish(&o->b);
	UNTIL(o->loop, !org_streams(&o->b, NULL, false));
	UNTIL(o->loop, xmpp_quota_open(o->a.quota, S("b.test")) == 0);
	o->a.partner_limit = 1;
	o->b.partner.enabled = true;
	org_publish(&o->a);
	org_publish(&o->b);
	org_send(&o->a, "b.test", "4");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 4\n"));
	org_send(&o->b, "a.test", "5");
	UNTIL(o->loop, buf_has(&journal, "xmpp/stream-refused"));
	turn(o->loop, 50);
	assert_false(buf_has(&o->a.seen, "message 5\n"));
	assert_true(buf_has(&journal, "condition=resource-constraint"));
}

static void test_sender_rate(void **state)
{
	struct orgs *o = *state;
	o->a.set.sender_rate = 1; /* sixty at once */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	for (int i = 2; i <= 80; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->b, "a.test", id);
	}
	UNTIL(o->loop, buf_has(&o->b.seen, "v@a.test>u@b.test message 80\n")); /* the error came back */
	assert_in_range(buf_lines(&o->a.seen), 60, 63);
	assert_int_equal(buf_lines(&o->a.seen) + buf_lines(&o->b.seen), 80);
}

static void test_partner_rate(void **state)
{
	struct orgs *o = *state;
	o->a.set.partner_rate = 2; /* twenty at once */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.queue_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	for (int i = 2; i <= 19; i++)
		org_send(&o->b, "a.test", "5");
	UNTIL(o->loop, buf_lines(&o->a.seen) == 19);
	uint64_t before = clock_ms();
	org_send(&o->b, "a.test", "90");
	org_send(&o->b, "a.test", "91");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 91\n"));
	turn(o->loop, 5);
	org_send(&o->b, "a.test", "92"); /* read only when the debt is paid: half a second each */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 92\n"));
	assert_in_range(clock_ms() - before, 300, 3000);
	assert_int_equal(o->b.sent.len && buf_has(&o->b.sent, "limit"), 0);
}

/* Whoever takes the stanzas falls behind: the stream waits, and nothing is lost. */
static void test_busy(void **state)
{
	struct orgs *o = *state;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.busy_ms = 100;
	uint64_t before = clock_ms();
	for (int i = 2; i <= 5; i++) {
		char id[16];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->b, "a.test", id);
		snprintf(id, sizeof id, "message %d\n", i);
		UNTIL(o->loop, buf_has(&o->a.seen, id));
	}
	assert_in_range(clock_ms() - before, 280, 2000);
}

/* The partner's server stops reading: our memory does not grow, the senders hear of it. */
static void test_slow_reader(void **state)
{
	struct orgs *o = *state;
	char id[8];
	o->a.set.queue_ms = 500;
	o->a.set.acks = false; /* to see what is handed over */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	/* b pays half a second for each of them */
	o->b.set.partner_rate = 1;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	for (int i = 0; i < 12; i++)
		org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&journal, "xmpp/partner-slowed"));
	unsigned full = 0, sent = 0;
	for (int i = 0; i < 400; i++) {
		snprintf(id, sizeof id, "%d", i + 100);
		buf_clear(&o->a.sent);
		org_send_octets(&o->a, "b.test", id, 60000);
		full += buf_has(&o->a.sent, "limit/queue-full");
		sent += buf_has(&o->a.sent, " none ");
		loop_once(o->loop, 0);
	}
	assert_true(full > 0);
	assert_true(sent > 3);
	buf_clear(&o->a.sent);
	UNTIL(o->loop, buf_has(&o->a.sent, "reads too slowly"));
	assert_int_equal(org_streams(&o->a, "open", false), 1); /* slow is not dead */
}

#define T(f) cmocka_unit_test_setup_teardown(f, orgs_begin, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_queue_full),
		T(test_queue_octets),
		T(test_stanza_too_large),
		T(test_partner_limit),
		T(test_sender_rate),
		T(test_partner_rate),
		T(test_busy),
		T(test_slow_reader),
	};
	return cmocka_run_group_tests_name("xmpp_limits", tests, orgs_group_setup, orgs_group_teardown);
}
