/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy_rig.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include "base/mem.h"

struct sip_flow rig_flow(int which, uint32_t conn)
{
	struct sip_flow f = {.transport = which == RIG_INNER ? SIP_TCP : SIP_TLS, .conn = conn, .target = which == RIG_INNER ? 0 : conn};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&f.remote;
	sin->sin_family = AF_INET;
	sin->sin_port = htons(4321);
	sin->sin_addr.s_addr = htonl(which == RIG_INNER ? 0xC0000201 : 0xC6336401); /* 192.0.2.1, 198.51.100.1 */
	return f;
}

static struct sip_flow flow_in(const struct rig *r, int which, uint32_t conn)
{
	struct sip_flow f = rig_flow(which, conn);
	if (which == RIG_INNER && r->tls_home)
		f.transport = SIP_TLS;
	return f;
}

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct rig_side *s = arg;
	if (s->refuse)
		return ENTENTE_ENET;
	if (s->rig->on_sent) {
		s->rig->on_sent(s->rig, s->which, bytes);
		return 0;
	}
	if (s->n == RIG_SENT_MAX)
		abort();
	char *copy = mem_calloc(1, bytes.len + 1);
	memcpy(copy, bytes.p, bytes.len);
	s->sent[s->n++] = (struct rig_sent){slice_of(copy, bytes.len), *to};
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct rig_side *s = arg;
	struct access_look look;
	if (s->which == RIG_INNER) {
		access_proxy_outward(s->rig->proxy, st, m, a, from);
		return;
	}
	access_proxy_look(s->rig->proxy, m, a, false, &look);
	if (look.status) {
		access_proxy_answer(s->rig->proxy, st, false, &look);
		arena_release(s->rig->pool, a);
		return;
	}
	if (look.place != ACCESS_PLACE_ANY && s->rig->transit != (look.place == ACCESS_PLACE_PARTNER)) { /* as access.c */
		access_proxy_reject(s->rig->proxy, st, false, REASON_POLICY_ROUTE, SLICE_NONE);
		arena_release(s->rig->pool, a);
	} else if (s->rig->transit) {
		access_proxy_transit(s->rig->proxy, st, m, a, from, &s->rig->terms);
	} else {
		access_proxy_inward(s->rig->proxy, st, m, a, from, &s->rig->terms);
	}
}

static void on_cancelled(void *arg, struct sip_server_trans *st)
{
	struct rig_side *s = arg;
	if (sip_server_user(st))
		access_proxy_cancelled(s->rig->proxy, st);
	else
		sip_server_reply(st, 487);
}

static void on_gone(void *arg, struct sip_server_trans *st)
{
	struct rig_side *s = arg;
	access_proxy_gone(s->rig->proxy, st);
}

static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request, .cancelled = on_cancelled, .gone = on_gone};

void rig_give_way(struct rig *r)
{
	struct sip_flow f = rig_flow(RIG_OUTER, r->conn);
	access_proxy_way(r->proxy, r->leg, &f, &r->marks, r->guests ? (struct access_guest *)(void *)&r->over_guest : NULL);
}

static void op_way(void *arg, uint64_t leg, const struct sip_msg *m, struct slice local, struct slice remote, const struct sip_flow *from,
		   unsigned attempt, bool busy)
{
	struct rig *r = arg;
	(void)m, (void)local, (void)from, (void)attempt;
	r->ways++;
	r->busy_ways += busy;
	r->leg = leg;
	if (!r->one_conn || !r->conn)
		r->conn++;
	if (r->way == RIG_AT_ONCE)
		rig_give_way(r);
	else if (r->way == RIG_LOST)
		access_proxy_refuse(r->proxy, leg, REASON_SIP_SRV_NONE, remote);
}

static void op_forget(void *arg, uint64_t leg)
{
	struct rig *r = arg;
	r->forgotten += leg == r->leg;
}

static bool op_home(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact)
{
	struct rig *r = arg;
	*ret = flow_in(r, RIG_INNER, 1);
	ret->target = home;
	*ret_contact = r->tls_home ? S("sip:10.0.0.2:5060;transport=tls") : S("sip:10.0.0.2:5060;transport=tcp");
	return home == 0;
}

static void op_outcome(void *arg, uint64_t sender, int status)
{
	struct rig *r = arg;
	if (sender != 77)
		abort();
	r->last_outcome = status;
}

static void op_over(void *arg, struct access_guest *guest)
{
	(void)arg;
	++*(unsigned *)(void *)guest;
}

static const struct access_proxy_ops proxy_ops = {.way = op_way, .forget = op_forget, .home = op_home, .outcome = op_outcome, .over = op_over};
static const struct access_own own[] = {{{"edge.ours.test", 14}, 5061}, {{"10.0.0.2", 8}, 5060}};

void rig_start_with(struct rig *r, const struct access_rules *rules)
{
	memset(r, 0, sizeof *r);
	timers_init(&r->timers, 1000);
	r->pool = arena_pool_new(1 << 22, 8);
	for (int i = 0; i < 2; i++) {
		struct sip_stack_config c = {.pool = r->pool, .sent_by = {[SIP_TCP] = S("10.0.0.2:5060"), [SIP_TLS] = S("edge.ours.test:5061")}};
		r->side[i].rig = r;
		r->side[i].which = i;
		r->side[i].stack = sip_stack_new(&stack_ops, &r->side[i], &r->timers, &c);
	}
	struct access_proxy_config c = {.inner = r->side[RIG_INNER].stack, .outer = r->side[RIG_OUTER].stack, .pool = r->pool, .worker = 5,
					.outer_name = S("edge.ours.test:5061"), .own = own, .n_own = 2};
	r->proxy = access_proxy_new(&c, &proxy_ops, r);
	if (rules)
		access_proxy_set(r->proxy, rules);
	r->terms.sender = 77;
	r->over_caller = r->over_guest = 0;
	r->last_outcome = -1;
}

void rig_start(struct rig *r)
{
	rig_start_with(r, NULL);
}

void rig_end(struct rig *r)
{
	access_proxy_free(r->proxy);
	for (int i = 0; i < 2; i++) {
		sip_stack_free(r->side[i].stack);
		for (size_t k = 0; k < r->side[i].n; k++)
			mem_free((void *)(uintptr_t)r->side[i].sent[k].octets.p);
	}
	arena_pool_free(r->pool);
	timers_free(&r->timers);
}

bool rig_feed(struct rig *r, int which, uint32_t conn, struct slice octets)
{
	struct arena *a = arena_acquire(r->pool);
	struct sip_flow f = flow_in(r, which, conn);
	struct sip_msg *m;
	struct sip_fault fault;
	if (sip_msg_parse(&m, a, arena_dup(a, octets), &sip_limits_default, &fault)) {
		r->broken = true;
		if (m && fault.status)
			sip_stack_refuse(r->side[which].stack, &f, m, fault.status, slice_str(fault.text));
		r->broken = false;
		arena_release(r->pool, a);
		return false;
	}
	r->received++;
	sip_stack_input(r->side[which].stack, &f, m, a);
	return true;
}

static void broken(struct rig *r, int which, const struct sip_frame *frame)
{
	struct arena *a = arena_acquire(r->pool);
	struct sip_flow f = flow_in(r, which, 1);
	struct sip_msg *m = sip_frame_answerable(frame, a, &sip_limits_default);
	if (m && frame->fault.status)
		sip_stack_refuse(r->side[which].stack, &f, m, frame->fault.status, slice_str(frame->fault.text));
	arena_release(r->pool, a);
}

bool rig_stream(struct rig *r, int which, struct sip_framer *f, struct slice in, size_t *ret_used)
{
	*ret_used = 0;
	for (;;) {
		struct sip_frame frame;
		sip_framer_next(f, slice_skip(in, *ret_used), &frame);
		*ret_used += frame.consume;
		if (frame.kind == SIP_FRAME_MORE)
			return true;
		if (frame.kind == SIP_FRAME_MESSAGE)
			rig_feed(r, which, 1, frame.message);
		if (frame.kind == SIP_FRAME_ERROR) {
			broken(r, which, &frame);
			return false;
		}
	}
}

void rig_run(struct rig *r, uint64_t ms)
{
	uint64_t end = r->timers.now + ms;
	while (timers_next(&r->timers) <= end)
		timers_run(&r->timers, timers_next(&r->timers));
	timers_run(&r->timers, end);
}

struct slice rig_next(struct rig *r, int which)
{
	struct rig_side *s = &r->side[which];
	return s->read < s->n ? s->sent[s->read++].octets : SLICE_NONE;
}
