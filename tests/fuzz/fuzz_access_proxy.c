/* SPDX-License-Identifier: Apache-2.0 */
/* Any messages from homes and partners, in any order, into the proxy core. Input: chunks of one octet (bit 0: from a partner; bit 1: no way is
 * found for it; bit 2: seconds pass afterwards; bit 3: its connections break), two of length, and the message. What leaves the
 * organisation carries no trust header and comes by our Via; when all is over nothing is left. */
#include <stdlib.h>
#include "edge/access_proxy.h"

#define MUST(x)             \
	do {                \
		if (!(x))   \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INNER, OUTER };
struct rig;
struct side {
	struct rig *rig;
	int which;
	struct sip_stack *stack;
};
struct rig {
	struct timers timers;
	struct arena_pool *pool;
	struct side side[2];
	struct access_proxy *proxy;
	bool lost;
	size_t sent;
};

static struct sip_flow flow_of(int which)
{
	return (struct sip_flow){.transport = which == INNER ? SIP_TCP : SIP_TLS, .conn = 1, .target = which == INNER ? 0 : 1};
}

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	static const struct sip_limits wide = {1 << 22, 4096, 1 << 22};
	struct side *s = arg;
	struct arena *a = arena_new(1 << 23);
	struct sip_msg *m;
	struct sip_fault fault;
	(void)to;
	s->rig->sent++;
	MUST(sip_msg_parse(&m, a, bytes, &wide, &fault) == 0); /* whatever came in, what goes out is sound */
	if (s->which == OUTER)
		for (size_t i = 0; i < m->n_headers; i++) {
			MUST(!slice_ieq(m->headers[i].name, S("ms-user-data")) && !slice_ieq(m->headers[i].name, S("Entente-Reason")));
			MUST(!slice_ieq(m->headers[i].name, S("Remote-Party-ID")));
		}
	if (m->is_request && m->method != SIP_CANCEL && m->method != SIP_ACK)
		MUST(slice_eq(m->via.host, s->which == OUTER ? S("edge.ours.test") : S("10.0.0.2")));
	arena_release(NULL, a);
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	static const struct access_terms terms = {.marks = {.source_type = "DirectPartner", .edge_name = {"edge.ours.test", 14}}};
	struct side *s = arg;
	struct access_look look;
	if (s->which == INNER) {
		access_proxy_outward(s->rig->proxy, st, m, a, from);
		return;
	}
	access_proxy_look(s->rig->proxy, m, a, false, &look);
	if (!look.status) {
		access_proxy_inward(s->rig->proxy, st, m, a, from, &terms);
		return;
	}
	access_proxy_answer(s->rig->proxy, st, false, &look);
	arena_release(s->rig->pool, a);
}

static void on_cancelled(void *arg, struct sip_server_trans *st)
{
	struct side *s = arg;
	if (sip_server_user(st))
		access_proxy_cancelled(s->rig->proxy, st);
	else
		sip_server_reply(st, 487);
}

static void on_gone(void *arg, struct sip_server_trans *st)
{
	struct side *s = arg;
	access_proxy_gone(s->rig->proxy, st);
}

static void op_way(void *arg, uint64_t leg, const struct sip_msg *m, struct slice local, struct slice remote, const struct sip_flow *from,
		   unsigned attempt, bool busy)
{
	struct rig *r = arg;
	struct sip_flow f = flow_of(OUTER);
	struct access_marks marks = {.mark = true};
	(void)m, (void)local, (void)remote, (void)from, (void)attempt, (void)busy;
	if (r->lost)
		access_proxy_refuse(r->proxy, leg, REASON_SIP_SRV_NONE, remote);
	else
		access_proxy_way(r->proxy, leg, &f, &marks);
}

static bool op_home(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact)
{
	(void)arg;
	*ret = flow_of(INNER);
	*ret_contact = S("sip:10.0.0.2:5060;transport=tcp");
	return home == 0;
}

static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request, .cancelled = on_cancelled, .gone = on_gone};
static const struct access_proxy_ops proxy_ops = {.way = op_way, .home = op_home};
static const struct access_own own[] = {{{"edge.ours.test", 14}, 5061}, {{"10.0.0.2", 8}, 5060}};

static void run(struct rig *r, uint64_t ms)
{
	uint64_t end = r->timers.now + ms;
	while (timers_next(&r->timers) <= end)
		timers_run(&r->timers, timers_next(&r->timers));
	timers_run(&r->timers, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r = {0};
	timers_init(&r.timers, 1000);
	r.pool = arena_pool_new(1 << 22, 4);
	for (int i = 0; i < 2; i++) {
		struct sip_stack_config c = {.pool = r.pool, .sent_by = {[SIP_TCP] = S("10.0.0.2:5060"), [SIP_TLS] = S("edge.ours.test:5061")}};
		r.side[i] = (struct side){&r, i, sip_stack_new(&stack_ops, &r.side[i], &r.timers, &c)};
	}
	struct access_proxy_config c = {.inner = r.side[0].stack, .outer = r.side[1].stack, .pool = r.pool, .outer_name = S("edge.ours.test:5061"),
					.own = own, .n_own = 2};
	r.proxy = access_proxy_new(&c, &proxy_ops, &r);
	while (size > 3) {
		uint8_t how = data[0];
		size_t n = (size_t)data[1] << 8 | data[2];
		data += 3;
		size -= 3;
		n = n < size ? n : size;
		struct arena *a = arena_acquire(r.pool);
		struct sip_flow f = flow_of(how & 1);
		struct sip_msg *m;
		struct sip_fault fault;
		r.lost = how & 2;
		if (sip_msg_parse(&m, a, arena_dup(a, slice_of((const char *)data, n)), &sip_limits_default, &fault))
			arena_release(r.pool, a);
		else
			sip_stack_input(r.side[how & 1].stack, &f, m, a);
		if (how & 4)
			run(&r, 5000);
		if (how & 8)
			sip_stack_transport_failed(r.side[how & 1].stack, &f);
		data += n;
		size -= n;
	}
	run(&r, 600000);
	MUST(access_proxy_legs(r.proxy) == 0);
	MUST(sip_stack_stats(r.side[0].stack)->servers == 0 && sip_stack_stats(r.side[1].stack)->clients == 0);
	access_proxy_free(r.proxy);
	for (int i = 0; i < 2; i++)
		sip_stack_free(r.side[i].stack);
	arena_pool_free(r.pool);
	timers_free(&r.timers);
	return 0;
}
