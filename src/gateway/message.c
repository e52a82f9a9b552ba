/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, both ways. SIP to XMPP: the answer waits until the stanza was handed to the partner's stream; towards a contact that has
 * never been heard of it waits a little longer, so that "no such user" can still travel back as the answer. XMPP to SIP: the stanza is
 * kept until the carrier has ended the text, and errors go back with its id. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/conversation.h"
#include "gateway/groupchat.h"
#include "gateway/queue.h"
#include "gateway/session.h"
#include "interwork/inflate.h"

enum {
	MAX_HELD = 10000,
	MAX_WAITING = 10000,   /* texts in all queues together: each has an arena */
	MAX_WAITING_MEMORY = 256 << 20, /* of all these arenas */
	HELD_MS = 40000,       /* longer than a SIP transaction waits: then nobody will be answered any more */
	ANSWER_MS = 29000,     /* shorter than anyone does: MSRP 30 s (RFC 4975 7.1.1), a SIP client 32 s (RFC 3261 17.1.2.2, timer F) */
};

/* ---- how what came in is answered */

static void request_answer(struct gateway *g, uint64_t id, const struct sip_answer *answer)
{
	struct sip_server_trans *st = sip_server_find(g->cfg.stack, id);
	if (st)
		sip_server_respond(st, answer);
}

static bool request_known(struct gateway *g, uint64_t id, uint64_t *ret_record, uint64_t *ret_since)
{
	struct sip_server_trans *st = sip_server_find(g->cfg.stack, id);
	*ret_record = sip_server_record(st);
	*ret_since = st ? sip_server_since(st) : 0;
	return st != NULL;
}

const struct incoming_way incoming_by_request = {.ticket = TICKET_MESSAGE, .answer = request_answer, .known = request_known};

static const struct incoming_way *const ways[] = {&incoming_by_request, &incoming_by_invite, &incoming_by_msrp};

static const struct incoming_way *way_of(unsigned ticket)
{
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (ways[i]->ticket == ticket)
			return ways[i];
	return NULL;
}

/* Its answer, and that of its repetitions; remembered for those that come later. */
static void answer(struct gateway *g, const struct incoming_way *way, uint64_t id, const struct sip_answer *an)
{
	struct seen_run *run = seen_named(g->seen, way->ticket, id);
	uint64_t others[SEEN_OTHERS];
	size_t n = run ? seen_others(run, others) : 0;
	if (run)
		seen_end(g->seen, run, (struct seen_outcome){.status = an->status});
	way->answer(g, id, an);
	for (size_t i = 0; i < n; i++)
		way->answer(g, others[i], an);
}

/* ---- SIP to XMPP */

struct held_key {
	uint64_t ticket, id;
};

/* What came in, became a stanza and is not answered yet. */
struct held {
	struct map_node by_asked; /* key: asked */
	struct map_node by_id;    /* key: stanza id */
	struct gateway *g;
	struct timer timer;
	const struct incoming_way *way;
	struct held_key asked;
	char *id, *local, *remote; /* owned: bare addresses */
	bool handed;
};

static void held_free(struct held *h)
{
	timer_cancel(h->g->cfg.timers, &h->timer);
	map_remove(&h->g->held, &h->by_asked);
	map_remove(&h->g->held_ids, &h->by_id);
	mem_free(h->id);
	mem_free(h->local);
	mem_free(h->remote);
	mem_free(h);
}

static void accepted(struct gateway *g, const struct incoming_way *way, uint64_t id, int status)
{
	uint64_t record, since;
	way->known(g, id, &record, &since);
	if (status == 200) {
		metric_add(METRIC_MESSAGES_TO_XMPP, 1);
		gateway_record_told(g, record, 200, RECORD_DELIVERED, REASON_NONE);
		metric_add(METRIC_MSG_SIP_XMPP_DELIVERED, 1);
	} else { /* it waits in the journal: what becomes of it is recorded later */
		record_hop(g->cfg.records, record, RECORD_WAITS, 0, REASON_NONE);
		record_hop(g->cfg.records, record, RECORD_TOLD, status, REASON_NONE);
	}
	answer(g, way, id, &(struct sip_answer){.status = status});
}

static void held_fired(struct timer *t, uint64_t now)
{
	struct held *h = CONTAINER_OF(t, struct held, timer);
	(void)now;
	if (h->handed) {
		struct conversation *c = conversation_find(h->g, slice_str(h->local), slice_str(h->remote));
		if (c)
			c->confirmed = true; /* no error came: from now on answers do not wait */
		accepted(h->g, h->way, h->asked.id, 200);
	}
	held_free(h);
}

static struct held *held_find(struct gateway *g, struct slice id, struct slice local, struct slice remote)
{
	struct map_node *n = id.len ? map_find(&g->held_ids, id) : NULL;
	struct held *h = n ? CONTAINER_OF(n, struct held, by_id) : NULL;
	return h && slice_eq(slice_str(h->local), local) && slice_eq(slice_str(h->remote), remote) ? h : NULL;
}

static void hold(struct gateway *g, const struct incoming *in, struct slice id)
{
	struct held *h = MEM_NEW(struct held);
	h->g = g;
	h->way = in->way;
	h->asked = (struct held_key){in->way->ticket, in->id};
	h->id = mem_strndup(id.p, id.len);
	h->local = mem_strndup(in->from.bare.p, in->from.bare.len);
	h->remote = mem_strndup(in->to.bare.p, in->to.bare.len);
	timer_init(&h->timer, held_fired);
	map_insert(&g->held, &h->by_asked, slice_of((const char *)&h->asked, sizeof h->asked));
	map_insert(&g->held_ids, &h->by_id, slice_str(h->id));
	timer_arm(g->cfg.timers, &h->timer, HELD_MS);
}

static void refuse(struct gateway *g, const struct incoming_way *way, uint64_t id, struct arena *a, enum reason reason,
		   const struct interwork_response *more, const char *method, struct slice from, struct slice to)
{
	struct sip_extra extra[REFUSAL_HEADERS];
	struct sip_answer ans;
	uint64_t record, since;
	char z[RECORD_ID_TEXT];
	way->known(g, id, &record, &since);
	gateway_refusal(g, &ans, extra, a, reason, more);
	log_ev_limited(LOG_INFO, "sip/refused", from, {"method", slice_str(method)}, {"from", from}, {"to", to},
	       {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(reason_info(reason)->text)},
	       {"trace", record_id_text(record, z)});
	gateway_record_told(g, record, ans.status, RECORD_REFUSED, reason);
	answer(g, way, id, &ans);
}

static void refuse_incoming(struct gateway *g, const struct incoming *in, struct arena *a, enum reason reason,
			    const struct interwork_response *more)
{
	refuse(g, in->way, in->id, a, reason, more, in->method, in->from_text, in->to_text);
}

static void hear(struct conversation *c, const struct incoming *in)
{
	static const struct {
		struct slice type;
		unsigned heard;
	} rows[] = {
		{S("text/plain"), HEARD_TEXT},
		{S("text/html"), HEARD_HTML},
		{S("multipart/alternative"), HEARD_ALTERNATIVE | HEARD_HTML},
		{S("message/cpim"), HEARD_CPIM},
		{S("application/im-iscomposing+xml"), HEARD_COMPOSING},
		{S("message/imdn+xml"), HEARD_IMDN},
	};
	struct slice rest = in->content_type;
	struct slice type = slice_trim(slice_split(&rest, ';'));
	if (in->home != UINT32_MAX)
		c->home = in->home;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (slice_ieq(rows[i].type, type))
			c->heard |= rows[i].heard;
}

/* What a request says in its headers; of MSRP only what was sent, as the headers are those of the INVITE. */
static struct interwork_im_content content_of(const struct incoming *in)
{
	struct interwork_im_content c = interwork_im_content_of(in->msg);
	if (in->message_id.len)
		c = (struct interwork_im_content){.thread = c.thread, .max_forwards = -1,
						  .id_material = {in->message_id, in->msg->call_id, in->msg->from.tag}};
	c.type = in->content_type;
	c.body = in->body;
	return c;
}

/* Not a text: passed on where it means something there, and answered at once. */
static void signal_incoming(struct gateway *g, const struct incoming *in, struct arena *a, const struct signal *sig, enum reason bad)
{
	static const struct sip_answer ok = {.status = 200};
	bool typing = sig->kind == SIGNAL_TYPING && bad == REASON_CONTENT_MALFORMED; /* nothing is lost that an error could bring back */
	if (bad && !typing) {
		struct interwork_response more = {0};
		metric_refused((int)bad);
		if (bad == REASON_CONTENT_TYPE)
			interwork_response_add(&more, S("Accept-Encoding"), INTERWORK_ENCODINGS);
		refuse_incoming(g, in, a, bad, &more);
		return;
	}
	bool crossed = !bad && signals_from_sip(g, in->conversation, in, sig);
	record_hop(g->cfg.records, g->record, crossed ? RECORD_GIVEN : RECORD_DROPPED, 0, REASON_NONE);
	if (crossed)
		record_via(g->cfg.records, g->record, in->to.domain);
	gateway_record_told(g, g->record, 200, crossed ? RECORD_DELIVERED : RECORD_IGNORED, REASON_NONE);
	in->way->answer(g, in->id, &ok);
}

/* Has it come before? Then it is answered as it was the first time, or will be with it. The branch does not count: over another
 * connection it is another one. What it says does, since clients name different texts the same. */
static bool again(struct gateway *g, struct incoming *in)
{
	char cseq[12];
	snprintf(cseq, sizeof cseq, "%u", in->msg->cseq);
	const struct slice way = slice_of((const char *)&in->way->ticket, sizeof in->way->ticket); /* it answers its repetitions, too */
	const struct slice parts[] = {in->from.bare, in->to.bare, in->msg->call_id, in->msg->from.tag,
				      in->message_id.len ? in->message_id : slice_str(cseq), in->content_type, in->body, way};
	struct seen_run *run;
	struct seen_outcome o;
	in->name = seen_key(g->seen, parts, sizeof parts / sizeof *parts);
	in->has_name = true;
	switch (seen_take(g->seen, in->name, 0, &run, &o)) {
	case SEEN_NEW:
		if (run)
			seen_name(g->seen, run, in->way->ticket, in->id);
		return false;
	case SEEN_UNDER_WAY:
		metric_add(METRIC_MESSAGES_REPEATED, 1);
		record_end(g->cfg.records, g->record, RECORD_IGNORED, REASON_NONE);
		seen_add_other(run, in->id); /* without room the transaction runs out, and its sender asks again */
		return true;
	default:
		metric_add(METRIC_MESSAGES_REPEATED, 1);
		gateway_record_told(g, g->record, o.status, RECORD_IGNORED, REASON_NONE);
		in->way->answer(g, in->id, &(struct sip_answer){.status = o.status});
		return true;
	}
}

void message_incoming(struct gateway *g, struct incoming *in, struct arena *a)
{
	static const struct sip_answer ok = {.status = 200};
	struct policy_verdict pv;
	struct entente_err err = {0};
	struct signal sig;
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_REMOTE, &in->from, &in->to, SLICE_NONE, in->home, &pv);
	if (!pv.allow) {
		metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
		refuse_incoming(g, in, a, pv.reason, NULL);
		return;
	}
	struct conversation *c = in->conversation ? in->conversation : conversation_get(g, in->from.bare, in->to.bare);
	in->conversation = c;
	conversation_touch(c);
	if (!in->test)
		hear(c, in);
	if (in->in_session && c->resource && !in->to.resource.len) {
		struct xmpp_jid full;
		if (!xmpp_jid_parse(&full, a, arena_printf(a, "%.*s/%s", SFMT(c->pair.remote), c->resource)))
			in->to = full;
	}
	int bad = signals_look(&sig, a, in, &err);
	if (sig.kind != SIGNAL_NONE) {
		signal_incoming(g, in, a, &sig, bad ? err.reason : REASON_NONE);
		return;
	}
	c->signals.report_wanted = in->success_report;
	struct interwork_im_in im = {.content = content_of(in), .from = &in->from, .to = &in->to, .now = clock_unix(),
				     .call_id_seen = conversation_call_id_seen, .children = signals_children, .ctx = c};
	buf_clear(&g->out);
	struct interwork_im_verdict v = interwork_im_to_xmpp(&g->out, a, &im, &g->cfg.im, &in->found);
	struct slice id = in->found.id;
	if (v.action == INTERWORK_IM_DROP) {
		record_hop(g->cfg.records, g->record, RECORD_DROPPED, 0, REASON_NONE);
		gateway_record_told(g, g->record, 200, RECORD_IGNORED, REASON_NONE);
		in->way->answer(g, in->id, &ok);
		return;
	}
	if (v.action == INTERWORK_IM_REFUSE || !buf_ok(&g->out)) {
		struct interwork_response more = {0};
		if (v.action != INTERWORK_IM_REFUSE)
			v = (struct interwork_im_verdict){.reason = REASON_CONTENT_TOO_LARGE};
		metric_refused((int)v.reason);
		metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
		if (v.header_name.len)
			interwork_response_add(&more, v.header_name, v.header_value);
		refuse_incoming(g, in, a, v.reason, &more);
		if (v.reason == REASON_GROUP_CHAT && !in->test)
			groupchat_tell_xmpp(g, a, &in->from, &in->to);
		return;
	}
	if (!in->test && again(g, in))
		return;
	if (!in->test) {
		name_learn(g, in->from.bare, in->msg->from.display);
		contact_learn(g, in->from.bare, in->to.bare, GATEWAY_BY_MESSAGE);
	}
	gateway_trace_out(in->to.domain, in->from.bare, in->to.bare, "message", SLICE_NONE);
	signals_text_in(g, c, in, id);
	struct gateway_ticket ticket = {.kind = in->way->ticket, .tell_sent = true, .id = in->id};
	c->to_xmpp++;
	record_hop(g->cfg.records, g->record, RECORD_GIVEN, 0, REASON_NONE);
	record_via(g->cfg.records, g->record, in->to.domain);
	/* one that is answered already is kept, so that its sender can be told of a failure */
	bool answered = in->way == &incoming_by_invite;
	if ((answered || !c->confirmed) && g->held.count < MAX_HELD && id.len && !map_find(&g->held_ids, id))
		hold(g, in, id);
	if (queue_on(g) && !in->test)
		queue_text(g, in);
	else
		gateway_send_out(g, in->from.domain, in->to.domain, &ticket);
}

void message_from_sip(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		      const struct sip_flow *from)
{
	struct entente_err err;
	const struct sip_header *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct incoming in = {.way = &incoming_by_request, .id = sip_server_id(st), .msg = m, .content_type = type ? type->value : SLICE_NONE,
			      .body = m->body, .home = from->target, .test = from->conn == SIP_FLOW_TEST,
			      .from_text = m->from.uri_text, .to_text = m->uri_text, .method = "MESSAGE"};
	if (interwork_sender_to_jid(&in.from, a, m, &err) || interwork_sip_to_jid(&in.to, a, &m->uri, &err)) {
		metric_refused((int)err.reason);
		metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
		refuse_incoming(g, &in, a, err.reason, NULL);
		return;
	}
	message_incoming(g, &in, a);
}

/* The text of an INVITE, whose 200 has said that it was taken, was not delivered: should it come again, it is another one. */
static struct conversation *first_failed(struct gateway *g, const struct held *h)
{
	struct conversation *c = h && h->way == &incoming_by_invite ? conversation_find(g, slice_str(h->local), slice_str(h->remote)) : NULL;
	if (c && c->session)
		c->session->first_hash = 0;
	return c;
}

static struct held *held_of(struct gateway *g, const struct incoming_way *way, uint64_t id)
{
	struct held_key key = {way->ticket, id};
	struct map_node *n = map_find(&g->held, slice_of((const char *)&key, sizeof key));
	return n ? CONTAINER_OF(n, struct held, by_asked) : NULL;
}

void message_handed(struct gateway *g, const struct incoming_way *way, uint64_t id)
{
	uint64_t record, since;
	if (way->known(g, id, &record, &since))
		metric_observe(HISTOGRAM_LATENCY_SIP_XMPP, g->cfg.timers->now - since);
}

/* For how long the answer can wait for an error of the partner's: one that comes when its sender has given up says that a text which
 * was delivered was not. */
static uint32_t error_wait(struct gateway *g, const struct incoming_way *way, uint64_t id)
{
	uint64_t record, since;
	if (!way->known(g, id, &record, &since))
		return g->cfg.error_wait_ms;
	uint64_t age = g->cfg.timers->now - since, left = age < ANSWER_MS ? ANSWER_MS - age : 0;
	return left < g->cfg.error_wait_ms ? (uint32_t)left : g->cfg.error_wait_ms;
}

void message_taken(struct gateway *g, const struct incoming_way *way, uint64_t id, int status)
{
	struct held *h = held_of(g, way, id);
	if (h && status == 200) {
		if (!h->handed) {
			h->handed = true;
			timer_arm(g->cfg.timers, &h->timer, error_wait(g, way, id));
		}
		return;
	}
	if (h)
		held_free(h); /* an error of the partner's is too far away to be waited for */
	accepted(g, way, id, status);
}

void message_untaken(struct gateway *g, const struct incoming_way *way, uint64_t id, enum reason reason, struct slice why)
{
	struct held *h = held_of(g, way, id);
	uint64_t record, since;
	char z[RECORD_ID_TEXT];
	metric_refused((int)reason);
	metric_add(METRIC_MSG_SIP_XMPP_FAILED, 1);
	if (way->known(g, id, &record, &since)) {
		struct arena *a = arena_acquire(g->cfg.arenas);
		log_ev_limited(LOG_WARNING, "message/undelivered", h ? slice_str(h->remote) : SLICE_NONE,
			       {"reason", slice_str(reason_info(reason)->id)}, {"text", why}, {"trace", record_id_text(record, z)});
		record_end(g->cfg.records, record, RECORD_FAILED, reason);
		refuse(g, way, id, a, reason, NULL, "MESSAGE", h ? slice_str(h->local) : SLICE_NONE, h ? slice_str(h->remote) : SLICE_NONE);
		arena_release(g->cfg.arenas, a);
	} else {
		struct conversation *c = first_failed(g, h);
		seen_forget(g->seen, seen_named(g->seen, way->ticket, id)); /* not delivered, and nobody was told: it may come again */
		if (c)
			signals_failed_late(g, c, slice_str(h->id), reason);
	}
	if (h)
		held_free(h);
}

/* Without a journal: what came in has reached the partner's stream, or cannot. */
void message_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why)
{
	const struct incoming_way *way = way_of(t->kind);
	uint64_t record, since;
	if (reason) {
		message_untaken(g, way, t->id, reason, why);
		return;
	}
	way->known(g, t->id, &record, &since);
	record_hop(g->cfg.records, record, RECORD_SENT, 0, REASON_NONE);
	message_handed(g, way, t->id);
	message_taken(g, way, t->id, 200);
}

/* The partner refused a message of ours: that is the answer to the SIP user, if it still waits for one. */
static void error_from_xmpp(struct gateway *g, struct stanza *st, struct arena *a)
{
	struct held *h = held_find(g, st->id, st->to.bare, st->from.bare);
	struct conversation *c = conversation_find(g, st->to.bare, st->from.bare);
	uint64_t record, since;
	if (signals_error(c, st))
		return;
	if (c) {
		c->failed++;
		if (st->from.resource.len && c->resource && slice_eq(slice_str(c->resource), st->from.resource))
			conversation_lock(c, SLICE_NONE);
		c->confirmed = false; /* the next answer waits for what becomes of the message */
	}
	if (!h) {
		log_ev_limited(LOG_INFO, "message/error-too-late", st->from.bare, {"from", st->from.bare}, {"to", st->to.bare});
		if (c)
			signals_error_late(g, c, st);
		return;
	}
	if (h->way->known(g, h->asked.id, &record, &since)) {
		struct interwork_response r;
		struct sip_extra extra[INTERWORK_RESPONSE_HEADERS];
		interwork_response_from_error(&r, a, st->node, st->from.resource.len > 0, &g->cfg.errors);
		for (size_t i = 0; i < r.n_headers; i++)
			extra[i] = (struct sip_extra){r.headers[i].name, r.headers[i].value};
		struct sip_answer ans = {.status = r.status, .reason = r.phrase, .headers = extra, .n_headers = r.n_headers};
		record_hop(g->cfg.records, record, RECORD_HEARD, 0, REASON_NONE);
		gateway_record_told(g, record, r.status, RECORD_FAILED, REASON_NONE);
		answer(g, h->way, h->asked.id, &ans);
	} else {
		seen_forget(g->seen, seen_named(g->seen, h->asked.ticket, h->asked.id)); /* nobody heard of this end */
		if (first_failed(g, h)) {
			signals_error_late(g, c, st);
			held_free(h);
			return;
		}
	}
	metric_add(METRIC_MSG_SIP_XMPP_FAILED, 1);
	held_free(h);
}

/* ---- XMPP to SIP */

/* Everything that the answer to it needs lies in the stanza's arena, so *ret does too. REASON_NONE and *ret NULL: it is no text, and
 * *v tells what it is. */
static enum reason outgoing_make(struct outgoing **ret, struct gateway *g, struct stanza *st, struct slice proven, struct arena *a,
				 struct interwork_im_verdict *v)
{
	struct policy_verdict pv;
	struct entente_err e;
	*ret = NULL;
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_LOCAL, &st->from, &st->to, proven, UINT32_MAX, &pv);
	if (!pv.allow)
		return pv.reason; /* counted and logged */
	struct outgoing *o = ARENA_NEW(a, struct outgoing);
	enum reason reason = REASON_NONE;
	if (!o) {
		reason = REASON_LIMIT_SIZE;
	} else if (!st->to.local.len) {
		reason = REASON_XMPP_UNSUPPORTED; /* a domain has no phone */
	} else if (interwork_jid_to_sip(&o->from_uri, a, &st->from, false, &e) ||
		   interwork_jid_to_sip(&o->uri, a, &st->to, false, &e)) {
		reason = e.reason;
	} else {
		struct interwork_im_out in = {.stanza = st->node};
		*v = interwork_im_to_sip(&o->page, a, &in, &g->cfg.im);
		if (v->action == INTERWORK_IM_DROP)
			return REASON_NONE;
		if (v->action == INTERWORK_IM_REFUSE)
			reason = v->reason;
	}
	if (!reason) {
		o->home = pv.home;
		o->octets = arena_used(a);
		o->memory = arena_size(a);
		o->conversation = conversation_get(g, st->to.bare, st->from.bare);
		session_choose(o->conversation, pv.home, st->type != STANZA_TYPE_HEADLINE);
		if (!o->conversation->session && page_waits(o->conversation))
			o->conversation->carrier = &page_carrier; /* none overtakes another */
		reason = g->waiting >= MAX_WAITING || g->waiting_memory + o->memory > MAX_WAITING_MEMORY
				 ? REASON_LIMIT_QUEUE_FULL
				 : conversation_room(o->conversation, o);
		if (reason == REASON_CONTENT_TOO_LARGE)
			v->why = "the text is longer than the SIP user's side takes";
		else if (reason)
			metric_add(METRIC_LIMIT_HITS, 1);
	}
	if (reason) {
		metric_refused((int)reason);
		return reason;
	}
	o->arena = a;
	o->stanza = st->node;
	o->local = st->to.bare;
	o->remote = st->from.bare;
	o->local_domain = st->to.domain;
	o->remote_domain = st->from.domain;
	*ret = o;
	return REASON_NONE;
}

/* The same of a stanza, which a partner's server sends again on its next stream when it was not acknowledged on the last one. The first
 * goes on; its receipt is that of the last. */
static bool stanza_again(struct gateway *g, struct outgoing *o, const struct stanza *st, struct xmpp_receipt *r, uint64_t stream)
{
	const struct slice parts[] = {st->from_text, st->to_text, st->id, o->page.content_type, o->page.body};
	struct seen_run *run;
	struct seen_outcome out;
	if (!st->id.len)
		return false;
	o->name = seen_key(g->seen, parts, sizeof parts / sizeof *parts);
	switch (seen_take(g->seen, o->name, stream, &run, &out)) {
	case SEEN_NEW:
		o->seen = run;
		if (run)
			seen_set_owner(run, &o->receipt);
		return false;
	case SEEN_UNDER_WAY: {
		struct xmpp_receipt *first = seen_owner(run);
		if (first->number && r->number) {
			gateway_done(g, first);
			*first = *r;
			r->number = 0;
		} /* else it is in the journal already, and need not be sent again */
		record_end(g->cfg.records, g->record, RECORD_IGNORED, REASON_NONE);
		break;
	}
	default:
		gateway_record_told(g, g->record, 0, RECORD_IGNORED, REASON_NONE);
		if (out.reason) {
			gateway_bounce(g, st->node, (enum reason)out.reason, SLICE_NONE, st->to.domain, st->from.domain, r);
		} else if (out.status >= 300) {
			struct sip_msg m = {.status = out.status};
			gateway_answer(g, interwork_error_from_response(o->arena, st->node, &m, &g->cfg.errors), st->to.domain, st->from.domain, r);
		}
	}
	metric_add(METRIC_MESSAGES_REPEATED, 1);
	return true;
}

/* Not a text that can go on: refused, or none at all. */
static void not_sent(struct gateway *g, const struct stanza *st, struct xmpp_receipt *r, enum reason reason,
		     const struct interwork_im_verdict *v)
{
	if (reason && signals_only(st->node)) {
		record_end(g->cfg.records, g->record, RECORD_REFUSED, reason);
		return;
	}
	if (reason) {
		metric_add(METRIC_MSG_XMPP_SIP_REFUSED, 1);
		gateway_bounce(g, st->node, reason, slice_str(v->why), st->to.domain, st->from.domain, r);
		gateway_record_told(g, g->record, 0, RECORD_REFUSED, reason);
		return;
	}
	struct conversation *c = conversation_find(g, st->to.bare, st->from.bare);
	bool crossed = c && signals_from_xmpp(g, c, st, v);
	record_hop(g->cfg.records, g->record, crossed ? RECORD_SENT : RECORD_DROPPED, 0, REASON_NONE);
	record_end(g->cfg.records, g->record, crossed ? RECORD_DELIVERED : RECORD_IGNORED, REASON_NONE);
	if (c && signals_gone(st))
		session_hang_up(c);
}

/* It belongs to the conversation until it is ended. */
static void outgoing_begin(struct gateway *g, struct outgoing *o)
{
	o->serial = ++g->next_id;
	o->since = g->cfg.timers->now;
	o->record = g->record;
	o->conversation->home = o->home;
	o->conversation->queued++;
	g->waiting++;
	g->waiting_memory += o->memory;
}

void message_notice(struct gateway *g, const struct xmpp_jid *from, const struct xmpp_jid *to, struct slice text)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct interwork_im_verdict v = {0};
	struct outgoing *o = NULL;
	struct stanza st;
	uint64_t record = g->record;
	struct xml_node *n = stanza_new(a, STANZA_MESSAGE, STANZA_TYPE_CHAT, arena_dup(a, from->bare), arena_dup(a, to->bare), SLICE_NONE);
	xml_add_text(a, xml_add(a, n, S("body"), SLICE_NONE), arena_dup(a, text));
	g->record = 0; /* it is no message of anybody's */
	if (n && !n->broken) {
		stanza_read(&st, a, n);
		outgoing_make(&o, g, &st, st.from.domain, a, &v);
	}
	if (o) {
		o->quiet = true;
		outgoing_begin(g, o);
		conversation_send(o->conversation, o);
	} else {
		arena_release(g->cfg.arenas, a);
	}
	g->record = record;
}

/* Into the journal where nobody else has it, or where it has to wait. True: it is done with for now. */
static bool journaled(struct gateway *g, struct outgoing *o, const struct stanza *st, struct xmpp_receipt *r)
{
	struct interwork_im_verdict v = {0};
	enum reason reason = REASON_NONE;
	bool waits;
	if (!queue_on(g))
		return false;
	o->record = g->record;
	if ((waits = queue_holds(g, GATEWAY_TO_SIP, o->local, o->remote))) {
		reason = queue_stanza(g, o, r);
		if (!reason)
			record_hop(g->cfg.records, g->record, RECORD_WAITS, 0, REASON_NONE);
	} else if (!r->number) {
		reason = queue_insure(g, o);
	}
	if (!reason)
		return waits;
	seen_forget(g->seen, o->seen);
	metric_refused((int)reason);
	not_sent(g, st, r, reason, &v);
	return true;
}

void message_from_xmpp(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a,
		       struct xmpp_receipt *r)
{
	struct outgoing *o = NULL;
	struct interwork_im_verdict v = {0};
	if (st->type == STANZA_TYPE_ERROR) {
		if (st->to.local.len)
			error_from_xmpp(g, st, a);
		gateway_done(g, r);
		arena_release(g->cfg.arenas, a);
		return;
	}
	if (!groupchat_from_xmpp(g, st, peer, a, r)) {
		enum reason reason = outgoing_make(&o, g, st, xmpp_peer_remote(peer), a, &v);
		if (!o)
			not_sent(g, st, r, reason, &v);
		else if (r->number && stanza_again(g, o, st, r, r->stream))
			o = NULL;
		else if (journaled(g, o, st, r))
			o = NULL;
	}
	if (!o) {
		gateway_done(g, r);
		arena_release(g->cfg.arenas, a);
		return;
	}
	struct conversation *c = o->conversation;
	outgoing_begin(g, o);
	o->receipt = *r;
	r->number = 0;
	c->confirmed = true;
	struct slice thread = o->page.thread;
	bool over = signals_gone(st);
	if (c->carrier == &session_carrier) {
		conversation_lock(c, st->from.resource);
		conversation_keep_thread(c, thread);
	}
	signals_text_out(g, c, o);
	conversation_send(c, o); /* `st` may be gone with it */
	if (over)
		session_hang_up(c);
}

/* ---- out of the journal */

static struct xml_node *reread(struct gateway *g, const struct queue_entry *e, struct arena *a)
{
	struct xml_limits lim = xml_limits_default;
	struct xml_node *n;
	struct slice octets = queue_octets(e);
	lim.max_bytes = lim.max_children = SIZE_MAX;
	lim.max_depth = lim.max_attrs = 1024; /* it was looked at when it came */
	(void)g;
	if (e->kind == GATEWAY_TO_XMPP) /* as it goes on a stream: without its namespace */
		octets = ARENA_JOIN(a, S("<x xmlns='jabber:server'>"), octets, S("</x>"));
	else
		octets = arena_dup(a, octets);
	if (!octets.p || xml_parse(&n, a, octets, &lim, NULL))
		return NULL;
	return e->kind == GATEWAY_TO_XMPP ? xml_first(n) : n;
}

void message_again(struct gateway *g, struct queue_entry *e)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct interwork_im_verdict v = {0};
	struct outgoing *o = NULL;
	struct xml_node *n = reread(g, e, a);
	enum reason reason = REASON_SERVER_INTERNAL;
	struct stanza st;
	g->record = e->record;
	if (n) {
		stanza_read(&st, a, n);
		reason = outgoing_make(&o, g, &st, st.from.domain, a, &v);
	}
	if (!o) {
		g->record = 0;
		arena_release(g->cfg.arenas, a);
		queue_not_now(e, reason);
		return;
	}
	if (queue_unread(e) && stanza_again(g, o, &st, &e->receipt, 0)) {
		g->record = 0;
		arena_release(g->cfg.arenas, a);
		queue_over(g, e);
		return;
	}
	outgoing_begin(g, o);
	g->record = 0;
	if (o->seen) { /* it has the name that it would have had */
		e->name = o->name;
	} else {
		o->name = e->name;
		o->seen = e->seen;
		e->seen = NULL;
	}
	if (o->seen)
		seen_set_owner(o->seen, &o->receipt);
	o->queue = e;
	e->out = o;
	o->conversation->confirmed = true;
	signals_text_out(g, o->conversation, o);
	conversation_send(o->conversation, o);
}

void message_given_up(struct gateway *g, struct queue_entry *e, enum reason reason)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct xml_node *n = e->has_octets ? reread(g, e, a) : NULL;
	struct slice local = queue_local(e), remote = queue_remote(e), domain;
	if (e->kind == GATEWAY_TO_SIP && n) {
		gateway_bounce(g, n, reason, SLICE_NONE, jid_domain(local), jid_domain(remote), &e->receipt);
	} else if (e->kind == GATEWAY_TO_XMPP) {
		struct conversation *c = conversation_get(g, local, remote);
		const struct xml_node *body = n ? xml_child(n, S("body"), SLICE_NONE) : NULL;
		if (c->home == UINT32_MAX && !xmpp_domain_ascii(a, jid_domain(local), &domain))
			snapshot_local(gateway_policy(g), domain, &c->home);
		signals_given_up(g, c, n ? stanza_id(n) : SLICE_NONE, body ? xml_text(body, a) : SLICE_NONE, reason);
	}
	arena_release(g->cfg.arenas, a);
}

/* ---- how it ends */

/* What became of it, should it come again. */
static void remember(struct outgoing *o, int status, enum reason reason)
{
	struct gateway *g = o->conversation->g;
	if (o->seen)
		seen_end(g->seen, o->seen, (struct seen_outcome){.status = status, .reason = (int)reason});
	o->seen = NULL;
}

void outgoing_drop(struct gateway *g, struct outgoing *o)
{
	seen_forget(g->seen, o->seen);
	o->conversation->queued--;
	g->waiting--;
	g->waiting_memory -= o->memory;
	arena_release(g->cfg.arenas, o->arena);
}

static void outgoing_over(struct gateway *g, struct outgoing *o)
{
	if (o->queue)
		queue_over(g, o->queue);
	gateway_done(g, &o->receipt);
	outgoing_drop(g, o);
}

void outgoing_delivered(struct outgoing *o, int status)
{
	struct gateway *g = o->conversation->g;
	record_hop(g->cfg.records, o->record, RECORD_HEARD, status, REASON_NONE);
	record_end(g->cfg.records, o->record, RECORD_DELIVERED, REASON_NONE);
	metric_add(METRIC_MESSAGES_TO_SIP, 1);
	metric_add(METRIC_MSG_XMPP_SIP_DELIVERED, 1);
	metric_observe(HISTOGRAM_LATENCY_XMPP_SIP, g->cfg.timers->now - o->since);
	o->conversation->to_sip++;
	remember(o, 200, REASON_NONE);
	queue_home_well(g, o->local);
	signals_text_done(g, o->conversation, o, status, REASON_NONE);
	outgoing_over(g, o);
}

void outgoing_answered(struct outgoing *o, const struct sip_msg *m)
{
	struct gateway *g = o->conversation->g;
	char z[RECORD_ID_TEXT];
	record_hop(g->cfg.records, o->record, RECORD_HEARD, m->status, REASON_NONE);
	if ((m->status == 503 || m->status == 504) && queue_defers(o, REASON_SIP_HOME_UNREACHABLE))
		return;
	metric_add(METRIC_MSG_XMPP_SIP_FAILED, 1);
	log_ev_limited(LOG_INFO, "message/refused-by-home", o->remote, {"from", o->remote}, {"to", o->local},
	       {"status", arena_printf(o->arena, "%d %.*s", m->status, SFMT(slice_first(m->reason, 80)))}, {"trace", record_id_text(o->record, z)});
	gateway_record_told(g, o->record, 0, RECORD_FAILED, REASON_NONE);
	o->conversation->failed++;
	remember(o, m->status, REASON_NONE);
	signals_text_done(g, o->conversation, o, m->status, REASON_NONE);
	struct arena *a = arena_acquire(g->cfg.arenas);
	gateway_answer(g, o->quiet ? NULL : interwork_error_from_response(a, o->stanza, m, &g->cfg.errors), o->local_domain, o->remote_domain,
		       &o->receipt);
	arena_release(g->cfg.arenas, a);
	outgoing_over(g, o);
}

void outgoing_status(struct outgoing *o, int status, struct slice phrase)
{
	struct sip_msg m = {.status = status, .reason = phrase};
	outgoing_answered(o, &m);
}

void outgoing_failed(struct outgoing *o, enum reason reason)
{
	struct gateway *g = o->conversation->g;
	char z[RECORD_ID_TEXT];
	if (queue_defers(o, reason))
		return;
	metric_refused((int)reason);
	metric_add(METRIC_MSG_XMPP_SIP_FAILED, 1);
	log_ev_limited(LOG_WARNING, "message/undelivered", o->remote_domain, {"from", o->remote}, {"to", o->local},
	       {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(reason_info(reason)->text)},
	       {"trace", record_id_text(o->record, z)});
	gateway_record_told(g, o->record, 0, RECORD_FAILED, reason);
	o->conversation->failed++;
	remember(o, 0, reason);
	signals_text_done(g, o->conversation, o, 0, reason);
	if (!o->quiet)
		gateway_bounce(g, o->stanza, reason, SLICE_NONE, o->local_domain, o->remote_domain, &o->receipt);
	outgoing_over(g, o);
}

/* ---- ending */

void messages_free(struct gateway *g)
{
	size_t i;
	queue_free(g);
	MAP_EACH(n, &g->held, i)
		held_free(CONTAINER_OF(n, struct held, by_asked));
	map_free(&g->held);
	map_free(&g->held_ids);
	pages_free(g);
	sessions_free(g);
	conversations_free(g);
}
