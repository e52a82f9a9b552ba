/* SPDX-License-Identifier: Apache-2.0 */
/* Our subscriber and our notifier against each other, for hours, over a network that loses and reorders. */
#include "pair.h"
#include "sip/notifier.h"
#include "sip/subscriber.h"

static struct sip_notifier *notifier;
static struct sip_subscriber *subscriber;
static char seen_state[32], told_state[32];
static int notified, ended, rejected, refreshed, over;
static enum sip_ended why;

static void on_accepted(void *arg, uint32_t expires)
{
	(void)arg;
	assert_true(expires <= 600);
}

static void on_rejected(void *arg, int status, int64_t retry_after, struct slice reason, bool local)
{
	(void)arg;
	(void)status;
	(void)retry_after;
	(void)reason;
	(void)local;
	rejected++;
}

static int on_notify(void *arg, const struct sip_notification *n)
{
	(void)arg;
	notified++;
	slice_cstr(n->body, seen_state, sizeof seen_state);
	return 200;
}

static void on_ended(void *arg, enum sip_ended w)
{
	(void)arg;
	ended++;
	why = w;
}

static const struct sip_subscriber_ops subscriber_ops = {on_accepted, on_rejected, on_notify, on_ended, NULL};

static void on_refreshed(void *arg, uint32_t expires)
{
	(void)arg;
	(void)expires;
	refreshed++;
}

static void on_over(void *arg)
{
	(void)arg;
	over++;
	notifier = NULL;
}

static void on_failed(void *arg, int status, bool local)
{
	(void)status;
	(void)local;
	on_over(arg);
}

static const struct sip_notifier_ops notifier_ops = {on_refreshed, on_over, on_over, on_failed, NULL};

static void at_notifier(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	static const struct sip_notifier_config config = {.contact = {"<sip:b@192.0.2.2>", 17}, .max_expires = 600};
	(void)from;
	if (!st || m->method != SIP_SUBSCRIBE || !slice_empty(m->to.tag) || notifier) {
		if (st)
			sip_server_reply(st, 481);
		return;
	}
	assert_int_equal(sip_notifier_accept(&notifier, e->stack, st, m, &config, &notifier_ops, NULL), 0);
}

static bool bad_network(struct pair *p, struct packet *k)
{
	k->due += pair_random(p) % 1500;
	return pair_random(p) % 100 < 10;
}

static void test_hours(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_UDP, NULL);
	struct sip_flow to = pair_flow(p, 1);
	struct sip_subscriber_config c = {.uri = S("sip:b@b.example"),
					  .from = S("<sip:a@a.example>"),
					  .contact = S("<sip:a@192.0.2.1>"),
					  .event = S("presence")};
	p->b.request = at_notifier;
	p->lose = bad_network;
	subscriber = sip_subscriber_new(p->a.stack, &c, &subscriber_ops, NULL);
	assert_int_equal(sip_subscriber_start(subscriber, &to, 3600), 0);
	for (int i = 0; i < 600; i++) {
		pair_run(p, pair_random(p) % 20000);
		if (notifier) {
			snprintf(told_state, sizeof told_state, "state %d", i);
			sip_notifier_set(notifier, SIP_SUB_ACTIVE, S("text/plain"), slice_str(told_state));
		}
	}
	pair_run(p, 60000);
	assert_string_equal(seen_state, told_state); /* the last state has arrived, whatever got lost */
	assert_int_equal(ended + rejected + over, 0);
	assert_true(refreshed >= 8);
	assert_true(notified > 300);
	sip_subscriber_stop(subscriber);
	pair_run(p, 60000);
	assert_int_equal(ended, 1);
	assert_int_equal(why, SIP_ENDED_UNSUBSCRIBED);
	assert_int_equal(over, 1);
	assert_null(notifier);
	pair_run(p, 60000);
	assert_int_equal(sip_stack_stats(p->a.stack)->clients + sip_stack_stats(p->a.stack)->servers, 0);
	assert_int_equal(sip_stack_stats(p->b.stack)->clients + sip_stack_stats(p->b.stack)->servers, 0);
	sip_subscriber_free(subscriber);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hours)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
