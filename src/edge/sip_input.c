/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in: whose is it, may it, and which worker's stack gets it. */
#include <stdio.h>
#include "base/log.h"
#include "base/metric.h"
#include "edge/sip_edge_int.h"
#include "sip/uas_check.h"

enum { STRANGER_ANSWERS = 20, UNSURE_S = 2, RATE_S = 10 };

void sip_edge_trace(const struct sip_edge *e, bool out, const struct sip_flow *flow, const struct sip_msg *m)
{
	char what[64], detail[128] = "";
	const struct sip_home *h = sip_edge_home(e, flow->target);
	const struct sip_header *ss = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0), *ex = sip_msg_header(m, SIP_H_EXPIRES, 0);
	if (m->is_request)
		snprintf(what, sizeof what, "%.*s", SFMT(slice_first(m->method_text, 30)));
	else
		snprintf(what, sizeof what, "%d %.*s", m->status, SFMT(slice_first(m->reason, 40)));
	if (ss)
		snprintf(detail, sizeof detail, "%.*s", SFMT(slice_first(ss->value, 60)));
	else if (m->is_request && ex)
		snprintf(detail, sizeof detail, "expires=%.*s", SFMT(slice_first(ex->value, 20)));
	else if (!m->is_request)
		snprintf(detail, sizeof detail, "%.*s", SFMT(slice_first(m->cseq_method_text, 30)));
	log_tr(out ? "trace/sip-out" : "trace/sip-in", {"peer", h ? slice_str(h->name) : SLICE_NONE}, {"from", m->from.uri_text},
	       {"to", m->to.uri_text}, {"what", slice_str(what)}, {"detail", slice_str(detail)});
}

/* ---- on the worker of the user */

static void refuse(struct sip_server_trans *st, enum reason reason, unsigned retry_after)
{
	const struct reason_info *r = reason_info(reason);
	char seconds[16];
	snprintf(seconds, sizeof seconds, "%u", retry_after);
	struct sip_extra x[] = {{S("Entente-Reason"), slice_str(r->id)}, {S("Retry-After"), slice_str(seconds)}};
	struct sip_answer ans = {.status = r->sip_status, .headers = x, .n_headers = 2};
	metric_refused((int)reason);
	sip_server_respond(st, &ans);
}

/* One user behind a home must not take the place of all others. Answers to what we asked never come here. */
static bool too_fast(struct sip_edge *e, const struct sip_msg *m)
{
	char key[512];
	if (!e->cfg.set.sender_rate || m->method == SIP_OPTIONS)
		return false;
	struct slice user = SLICE_JOIN(key, sizeof key, slice_first(m->from.uri.user, sizeof key / 2), S("@"), slice_first(m->from.uri.host, sizeof key / 2 - 2));
	if (rate_admit(e->senders, user, e->loop->timers.now, e->cfg.set.sender_rate))
		return false;
	metric_add(METRIC_LIMIT_HITS, 1);
	metric_add(METRIC_RATE_SIP_SENDER, 1);
	log_ev_limited(LOG_WARNING, "sip/sender-too-fast", user, {"from", user}, {"method", m->method_text},
		       {"reason", slice_str(reason_info(REASON_LIMIT_RATE)->id)});
	return true;
}

enum reason sip_edge_reason(int status)
{
	switch (status) {
	case 406: return REASON_SIP_ACCEPT;
	case 413:
	case 513: return REASON_LIMIT_SIZE;
	case 415: return REASON_CONTENT_TYPE;
	case 416: return REASON_ADDRESS_SCHEME;
	case 420: return REASON_SIP_EXTENSION;
	case 483: return REASON_SIP_TOO_MANY_HOPS;
	default: return REASON_SIP_MALFORMED;
	}
}

void sip_edge_refuse(struct sip_edge *e, const struct sip_flow *flow, const struct sip_msg *m, int status, struct slice phrase,
		     enum reason reason)
{
	struct sip_extra x = {S("Entente-Reason"), slice_str(reason_info(reason)->id)};
	sip_stack_refuse_with(e->stack, flow, m, status, phrase, &x);
}

bool sip_edge_answers(struct sip_server_trans *st, const struct sip_msg *m, struct arena *a)
{
	/* RFC 4028; the gateway refuses invitations to group chats with words of its own (gateway/groupchat.c) */
	static const struct slice session[] = {S("timer"), S("com.microsoft.rtc-multiparty"), S("recipient-list-invite")};
	static const struct slice any[] = {S("*/*")}, packed[] = {S("deflate"), S("gzip"), S("x-gzip")};
	struct sip_uas_caps caps = {
		.schemes = 1u << SIP_SCHEME_SIP | 1u << SIP_SCHEME_SIPS | 1u << SIP_SCHEME_IM | 1u << SIP_SCHEME_PRES,
		.extensions = {session, m->method == SIP_INVITE ? 3 : m->method == SIP_UPDATE},
		.types = {any, 1},
		.encodings = {packed, m->method == SIP_MESSAGE ? 3 : 0}, /* interwork/inflate.h */
	};
	struct sip_uas_verdict v;
	if (!sip_uas_check(m, &caps, a, &v))
		return false;
	struct sip_extra x[] = {{S("Entente-Reason"), slice_str(reason_info(sip_edge_reason(v.status))->id)}, {v.header, v.value}};
	struct sip_answer ans = {.status = v.status, .reason = v.reason, .headers = x, .n_headers = v.header.len ? 2 : 1};
	sip_server_respond(st, &ans);
	return true;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct sip_edge *e = arg;
	bool carried = e->ops->carried && e->ops->carried(e->arg, m);
	if (st && !carried && sip_edge_answers(st, m, a)) {
		;
	} else if (st && e->quiet) {
		refuse(st, REASON_SERVER_SHUTDOWN, UNSURE_S);
	} else if (st && too_fast(e, m)) {
		refuse(st, REASON_LIMIT_RATE, RATE_S);
	} else {
		e->ops->request(e->arg, st, m, a, from);
		return;
	}
	sip_stack_release(e->stack, a);
}

/* Texts and typing in a session count like those outside; what a dialog itself needs (BYE, NOTIFY, a refresh) does not. */
static bool on_within(void *arg, struct sip_server_trans *st, const struct sip_msg *m)
{
	if ((m->method != SIP_MESSAGE && m->method != SIP_INFO) || !too_fast(arg, m))
		return false;
	refuse(st, REASON_LIMIT_RATE, RATE_S);
	return true;
}

static void on_cancelled(void *arg, struct sip_server_trans *st)
{
	struct sip_edge *e = arg;
	if (e->ops->cancelled)
		e->ops->cancelled(e->arg, st);
	else
		sip_server_reply(st, 487);
}

static void on_gone(void *arg, struct sip_server_trans *st)
{
	struct sip_edge *e = arg;
	if (e->ops->gone)
		e->ops->gone(e->arg, st);
}

const struct sip_stack_ops sip_edge_stack_ops = {
	.send = sip_edge_stack_send, .request = on_request, .within = on_within, .cancelled = on_cancelled, .gone = on_gone};

/* ---- on the worker of the socket */

/* Whoever forges his address makes us write to somebody else: not often. */
static bool may_answer(struct sip_edge *e, const struct sip_flow *flow)
{
	uint64_t second = e->loop->timers.now / 1000;
	if (flow->transport != SIP_UDP)
		return true;
	if (e->second != second) {
		e->second = second;
		e->answers = 0;
	}
	return e->answers++ < STRANGER_ANSWERS;
}

static bool stranger(struct sip_edge *e, struct sip_flow *flow, const struct addr *from, const struct sip_msg *m, bool unsure)
{
	const struct reason_info *r = reason_info(REASON_POLICY_PEER_UNKNOWN);
	char z[ADDR_TEXT];
	addr_host_text(from, z);
	if (!m->is_request) {
		metric_add(METRIC_REFUSED, 1);
		return false;
	}
	metric_refused(REASON_POLICY_PEER_UNKNOWN);
	log_ev_limited(LOG_WARNING, "sip/stranger", slice_str(z), {"address", slice_str(z)},
		       {"transport", slice_str(sip_transport_name(flow->transport))}, {"method", m->method_text},
		       {"from", m->from.uri_text}, {"reason", slice_str(r->id)},
		       {"text", unsure ? S("not known as a home's address, but DNS has not answered for all homes yet")
				       : slice_str(r->text)});
	if (may_answer(e, flow))
		sip_edge_refuse(e, flow, m, unsure ? 503 : 403, SLICE_NONE, REASON_POLICY_PEER_UNKNOWN);
	return unsure;
}

static bool malformed(struct sip_edge *e, const struct sip_flow *flow, const struct addr *from, const struct sip_msg *m,
		      const struct sip_fault *fault)
{
	bool known = sip_edge_whose(e, NULL, from) < HOME_UNSURE;
	char z[ADDR_TEXT];
	addr_host_text(from, z);
	metric_add(METRIC_SIP_MALFORMED, 1);
	metric_add(METRIC_PARSE_SIP_MESSAGE, 1);
	log_ev_limited(LOG_WARNING, "sip/malformed", slice_str(z), {"address", slice_str(z)},
		       {"transport", slice_str(sip_transport_name(flow->transport))}, {"reason", S("sip/malformed")},
		       {"text", slice_str(fault->text)});
	if (known && m && fault->status)
		sip_edge_refuse(e, flow, m, fault->status, slice_str(fault->text), sip_edge_reason(fault->status));
	return known;
}

/* To the worker that it belongs to. Takes the arena. */
static void pass_on(struct sip_edge *e, struct sip_flow *flow, struct sip_msg *m, struct arena *a)
{
	unsigned shard = sip_edge_workers(e) > 1 ? e->ops->shard(e->arg, m, a) : e->worker->id;
	if (shard == e->worker->id) {
		sip_stack_input(e->stack, flow, m, a);
	} else if (sip_edge_hand_over(e, shard, flow, m, a)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		metric_refused(REASON_LIMIT_QUEUE_FULL);
		sip_edge_refuse(e, flow, m, 503, SLICE_NONE, REASON_LIMIT_QUEUE_FULL);
		arena_release(e->loop->arenas, a);
	}
}

bool sip_edge_inject(struct sip_edge *e, uint32_t home, struct slice raw)
{
	struct sip_msg *m = NULL;
	struct sip_fault fault;
	struct sip_flow flow = {.transport = SIP_TCP, .conn = SIP_FLOW_TEST, .target = home};
	struct arena *a = arena_acquire(e->loop->arenas);
	struct slice own = arena_dup(a, raw);
	const struct sip_home *h = sip_edge_home(e, home);
	if (!h || !own.p || sip_msg_parse(&m, a, own, &e->cfg.set.limits, &fault)) {
		arena_release(e->loop->arenas, a);
		return false;
	}
	trace_keep(e->cfg.trace, false, false, slice_str(h->name), m->raw);
	if (trace_on(e->cfg.trace))
		trace_sip(e->cfg.trace, false, slice_str(h->name), m);
	pass_on(e, &flow, m, a);
	return true;
}

/* Its octets are copied once, into an arena, which the message keeps on its whole way. */
bool sip_edge_input(struct sip_edge *e, struct sip_flow *flow, const struct addr *from, struct slice raw)
{
	struct sip_msg *m = NULL;
	struct sip_fault fault = {.text = "larger than the memory of one message"};
	struct arena *a = arena_acquire(e->loop->arenas);
	struct slice own = arena_dup(a, raw);
	bool more;
	if (!own.p || sip_msg_parse(&m, a, own, &e->cfg.set.limits, &fault)) {
		more = malformed(e, flow, from, m, &fault);
		arena_release(e->loop->arenas, a);
		return more;
	}
	uint32_t home = sip_edge_whose(e, m, from);
	if (home >= HOME_UNSURE) {
		more = stranger(e, flow, from, m, home == HOME_UNSURE);
		arena_release(e->loop->arenas, a);
		return more;
	}
	if (m->is_request)
		flow->target = home; /* an answer need not say which of several homes at one address it comes from */
	e->homes[home]->heard = e->loop->timers.now;
	if (log_trace_enabled())
		sip_edge_trace(e, false, flow, m);
	trace_keep(e->cfg.trace, false, false, slice_str(e->homes[home]->name), m->raw);
	if (trace_on(e->cfg.trace))
		trace_sip(e->cfg.trace, false, slice_str(e->homes[home]->name), m);
	pass_on(e, flow, m, a);
	return true;
}
