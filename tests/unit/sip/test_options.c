/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"
#include "sip/options.h"

struct watch {
	int results, dead, status;
	uint32_t rtt;
	struct sip_probe *probe;
	bool free_in_result;
};

static void on_result(void *arg, bool alive, int status, uint32_t rtt_ms)
{
	struct watch *w = arg;
	w->results++;
	w->dead += !alive;
	w->status = status;
	w->rtt = rtt_ms;
	if (w->free_in_result)
		w->probe = sip_probe_free(w->probe);
}

static const struct sip_probe_ops ops = {on_result};

static void answer(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)from;
	assert_int_equal(m->method, SIP_OPTIONS);
	struct sip_options_config c = {.allow = S("MESSAGE, OPTIONS"), .accept = S("text/plain")};
	assert_int_equal(sip_options_answer(st, &c), 0);
}

static void refuse(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	(void)e;
	(void)m;
	(void)from;
	sip_server_reply(st, 404);
}

static void test_probe(void **state)
{
	(void)state;
	struct pair *p = pair_new(SIP_TLS, NULL);
	struct watch w = {0};
	struct sip_probe_config c = {.flow = pair_flow(p, 1),
				     .uri = S("sip:home.example"),
				     .from = S("<sip:gw.example>"),
				     .interval_ms = 10000,
				     .timeout_ms = 4000};
	p->b.request = answer;
	w.probe = sip_probe_new(p->a.stack, &c, &ops, &w);
	pair_run(p, 1000);
	assert_int_equal(w.results, 1);
	assert_int_equal(w.status, 200);
	assert_int_equal(w.rtt, 20);
	struct packet *k = pair_packet(p, 1, "SIP/2.0 200", 0);
	assert_true(packet_has(k, "\r\nAllow: MESSAGE, OPTIONS\r\n"));
	assert_true(packet_has(k, "\r\nAccept: text/plain\r\n"));
	assert_false(packet_has(k, "Supported"));
	p->b.request = refuse; /* alive all the same */
	pair_run(p, 100000);
	assert_in_range(w.results, 9, 13);
	assert_int_equal(w.dead, 0);
	assert_int_equal(w.status, 404);
	p->b.request = NULL;
	pair_run(p, 20000);
	assert_true(w.dead >= 1);
	assert_int_equal(w.status, 0);
	p->a.refuse_all = true;
	int dead = w.dead;
	pair_run(p, 12000);
	assert_true(w.dead > dead);
	p->a.refuse_all = false;
	p->b.request = answer;
	w.free_in_result = true;
	pair_run(p, 20000);
	assert_null(w.probe);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_probe)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
