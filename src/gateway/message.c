/* SPDX-License-Identifier: Apache-2.0 */
/* Page-mode IM. SIP to XMPP: the SIP answer waits until the stanza was handed to the partner's stream; towards a contact that has
 * never been heard of it waits a little longer, so that "no such user" can still travel back as the answer. XMPP to SIP: one
 * MESSAGE per target at a time, the others wait in order (RFC 3428 8); the stanza is kept until the home has answered, and errors
 * go back with its id. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/gateway_int.h"

enum {
	CALL_IDS = 4, MAX_HELD = 10000,
	MAX_WAITING = 10000,   /* messages in the queues of all SIP users together: each has an arena */
	MAX_WAITING_MEMORY = 256 << 20, /* of all these arenas */
	HELD_MS = 40000,       /* longer than a SIP transaction waits: then nobody will be answered any more */
};

struct conversation {
	struct pair pair; /* first */
	struct list lru;
	bool confirmed;   /* the contact exists: something came from it, or a message was not refused */
	char call_id[40], tag[16]; /* of our MESSAGEs to the SIP user */
	uint32_t cseq;
	uint64_t seen[CALL_IDS]; /* hashes of the SIP user's recent Call-IDs */
	unsigned next_seen;
	uint64_t to_xmpp, to_sip, failed, last;
	size_t queued; /* messages that point here: then it stays */
};

/* A SIP MESSAGE that became a stanza and is not answered yet. */
struct held {
	struct map_node by_server; /* key: server_id */
	struct map_node by_id;     /* key: stanza id */
	struct gateway *g;
	struct timer timer;
	uint64_t server_id;        /* of the SIP transaction */
	char *id, *local, *remote; /* owned: bare addresses */
	bool handed;
};

/* A SIP user with MESSAGEs waiting, the first of them sent. */
struct target {
	struct map_node node; /* key: bare JID */
	struct gateway *g;
	struct list queue; /* of struct outgoing */
	size_t count, octets;
	bool busy;
	char key[];
};

struct outgoing { /* lies in its arena, together with the stanza */
	struct list node;
	struct arena *arena;
	struct target *target;
	struct conversation *conversation;
	size_t octets, memory; /* as counted when it began to wait */
	const struct xml_node *stanza;
	struct interwork_im_page page;
	struct slice uri, from_uri, local, remote, local_domain, remote_domain;
	uint32_t home;
	uint64_t record;
	uint64_t since;              /* when the stanza came */
	struct xmpp_receipt receipt; /* until the message is done */
	struct sip_client_trans *trans;
};

/* ---- conversations */

static struct conversation *conversation_find(struct gateway *g, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	struct map_node *n = pair_key(&key, mem, local, remote) ? map_find(&g->conversations, key) : NULL;
	return n ? CONTAINER_OF(n, struct conversation, pair.node) : NULL;
}

static void conversation_free(struct gateway *g, struct conversation *c)
{
	map_remove(&g->conversations, &c->pair.node);
	list_remove(&c->lru);
	mem_free(c->pair.key);
	mem_free(c);
}

/* The longest silent conversation makes room, but not one with messages under way (there are MAX_WAITING of these at most): it goes
 * to the end of the line. */
static void forget_oldest(struct gateway *g)
{
	enum { LOOKS = 16 };
	struct list *n;
	for (int i = 0; i < LOOKS && g->conversations.count >= g->cfg.max_conversations && (n = list_head(&g->recent)); i++) {
		struct conversation *c = CONTAINER_OF(n, struct conversation, lru);
		if (!c->queued) {
			conversation_free(g, c);
			return;
		}
		list_remove(n);
		list_append(&g->recent, n);
	}
}

static void conversation_touch(struct gateway *g, struct conversation *c)
{
	list_remove(&c->lru);
	list_append(&g->recent, &c->lru);
	c->last = g->cfg.timers->now;
}

static struct conversation *conversation_get(struct gateway *g, struct slice local, struct slice remote)
{
	struct conversation *c = conversation_find(g, local, remote);
	if (!c) {
		forget_oldest(g);
		c = MEM_NEW(struct conversation);
		pair_init(&c->pair, local, remote);
		rand_token(c->call_id, 24);
		rand_token(c->tag, 12);
		list_init(&c->lru);
		map_insert(&g->conversations, &c->pair.node, slice_of(c->pair.key, local.len + 1 + remote.len));
	}
	conversation_touch(g, c);
	return c;
}

static bool call_id_seen(void *ctx, struct slice call_id, struct slice *thread)
{
	struct conversation *c = ctx;
	uint64_t h = hash_slice(call_id);
	(void)thread;
	for (unsigned i = 0; i < CALL_IDS; i++)
		if (c->seen[i] == h)
			return true;
	c->seen[c->next_seen++ % CALL_IDS] = h;
	return false;
}

/* ---- SIP to XMPP */

static void held_free(struct held *h)
{
	timer_cancel(h->g->cfg.timers, &h->timer);
	map_remove(&h->g->held, &h->by_server);
	map_remove(&h->g->held_ids, &h->by_id);
	mem_free(h->id);
	mem_free(h->local);
	mem_free(h->remote);
	mem_free(h);
}

static void accepted(struct gateway *g, uint64_t server_id)
{
	struct sip_server_trans *st = sip_server_find(g->cfg.stack, server_id);
	metric_add(METRIC_MESSAGES_TO_XMPP, 1);
	gateway_record_told(g, sip_server_record(st), 200, RECORD_DELIVERED, REASON_NONE);
	metric_add(METRIC_MSG_SIP_XMPP_DELIVERED, 1);
	if (st)
		sip_server_reply(st, 200);
}

static void held_fired(struct timer *t, uint64_t now)
{
	struct held *h = CONTAINER_OF(t, struct held, timer);
	(void)now;
	if (h->handed) {
		struct conversation *c = conversation_find(h->g, slice_str(h->local), slice_str(h->remote));
		if (c)
			c->confirmed = true; /* no error came: from now on answers do not wait */
		accepted(h->g, h->server_id);
	}
	held_free(h);
}

static struct held *held_find(struct gateway *g, struct slice id, struct slice local, struct slice remote)
{
	struct map_node *n = id.len ? map_find(&g->held_ids, id) : NULL;
	struct held *h = n ? CONTAINER_OF(n, struct held, by_id) : NULL;
	return h && slice_eq(slice_str(h->local), local) && slice_eq(slice_str(h->remote), remote) ? h : NULL;
}

static void refuse_im(struct gateway *g, struct sip_server_trans *st, struct arena *a, const struct interwork_im_verdict *v,
		      const struct sip_msg *m)
{
	struct interwork_response more = {0};
	metric_refused((int)v->reason);
	metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
	if (v->header_name.len)
		interwork_response_add(&more, v->header_name, v->header_value);
	gateway_refuse(g, st, a, v->reason, &more, m->from.uri_text, m->uri_text);
}

void message_from_sip(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		      const struct sip_flow *from)
{
	struct xmpp_jid f, t;
	struct entente_err err;
	struct policy_verdict pv;
	struct slice id;
	if (interwork_sender_to_jid(&f, a, m, &err) || interwork_sip_to_jid(&t, a, &m->uri, &err)) {
		metric_refused((int)err.reason);
		metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
		gateway_refuse(g, st, a, err.reason, NULL, m->from.uri_text, m->uri_text);
		return;
	}
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_REMOTE, &f, &t, SLICE_NONE, from->target, &pv);
	if (!pv.allow) {
		metric_add(METRIC_MSG_SIP_XMPP_REFUSED, 1);
		gateway_refuse(g, st, a, pv.reason, NULL, m->from.uri_text, m->uri_text);
		return;
	}
	struct conversation *c = conversation_get(g, f.bare, t.bare);
	struct interwork_im_in in = {.msg = m, .from = &f, .to = &t, .now = clock_unix(), .call_id_seen = call_id_seen, .ctx = c};
	buf_clear(&g->out);
	struct interwork_im_verdict v = interwork_im_to_xmpp(&g->out, a, &in, &g->cfg.im, &id);
	if (v.action == INTERWORK_IM_DROP) {
		record_hop(g->cfg.records, g->record, RECORD_DROPPED, 0, REASON_NONE);
		gateway_record_told(g, g->record, 200, RECORD_IGNORED, REASON_NONE);
		sip_server_reply(st, 200);
		return;
	}
	if (v.action == INTERWORK_IM_REFUSE || !buf_ok(&g->out)) {
		if (v.action != INTERWORK_IM_REFUSE)
			v = (struct interwork_im_verdict){.reason = REASON_CONTENT_TOO_LARGE};
		refuse_im(g, st, a, &v, m);
		return;
	}
	if (from->conn != SIP_FLOW_TEST) { /* a test changes nothing that lasts */
		name_learn(g, f.bare, m->from.display);
		contact_learn(g, f.bare, t.bare, GATEWAY_BY_MESSAGE);
	}
	gateway_trace_out(t.domain, f.bare, t.bare, "message", SLICE_NONE);
	struct gateway_ticket ticket = {.kind = TICKET_MESSAGE, .tell_sent = true, .id = sip_server_id(st)};
	c->to_xmpp++;
	record_hop(g->cfg.records, g->record, RECORD_GIVEN, 0, REASON_NONE);
	record_via(g->cfg.records, g->record, t.domain);
	if (!c->confirmed && g->held.count < MAX_HELD && id.len && !map_find(&g->held_ids, id)) {
		struct held *h = MEM_NEW(struct held);
		h->g = g;
		h->server_id = ticket.id;
		h->id = mem_strndup(id.p, id.len);
		h->local = mem_strndup(f.bare.p, f.bare.len);
		h->remote = mem_strndup(t.bare.p, t.bare.len);
		timer_init(&h->timer, held_fired);
		map_insert(&g->held, &h->by_server, slice_of((const char *)&h->server_id, sizeof h->server_id));
		map_insert(&g->held_ids, &h->by_id, slice_str(h->id));
		timer_arm(g->cfg.timers, &h->timer, HELD_MS);
	}
	gateway_send_out(g, f.domain, t.domain, &ticket);
}

void message_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why)
{
	struct sip_server_trans *st = sip_server_find(g->cfg.stack, t->id);
	struct map_node *n = map_find(&g->held, slice_of((const char *)&t->id, sizeof t->id));
	struct held *h = n ? CONTAINER_OF(n, struct held, by_server) : NULL;
	char z[RECORD_ID_TEXT];
	if (reason == REASON_NONE) {
		record_hop(g->cfg.records, sip_server_record(st), RECORD_SENT, 0, REASON_NONE);
		if (st)
			metric_observe(HISTOGRAM_LATENCY_SIP_XMPP, g->cfg.timers->now - sip_server_since(st));
		if (h && !h->handed) {
			h->handed = true;
			timer_arm(g->cfg.timers, &h->timer, g->cfg.error_wait_ms);
		} else if (!h) {
			accepted(g, t->id);
		}
		return;
	}
	metric_refused((int)reason);
	metric_add(METRIC_MSG_SIP_XMPP_FAILED, 1);
	if (st) {
		struct arena *a = arena_acquire(g->cfg.arenas);
		log_ev_limited(LOG_WARNING, "message/undelivered", h ? slice_str(h->remote) : SLICE_NONE,
			       {"reason", slice_str(reason_info(reason)->id)}, {"text", why}, {"trace", record_id_text(sip_server_record(st), z)});
		record_end(g->cfg.records, sip_server_record(st), RECORD_FAILED, reason);
		gateway_refuse(g, st, a, reason, NULL, h ? slice_str(h->local) : SLICE_NONE,
			       h ? slice_str(h->remote) : SLICE_NONE);
		arena_release(g->cfg.arenas, a);
	}
	if (h)
		held_free(h);
}

/* ---- XMPP to SIP */

static void target_send(struct target *t);

static void target_free(struct target *t)
{
	map_remove(&t->g->targets, &t->node);
	mem_free(t);
}

/* The head of the queue is over. */
static void outgoing_free(struct outgoing *o)
{
	struct target *t = o->target;
	struct gateway *g = t->g;
	o->conversation->queued--;
	list_remove(&o->node);
	t->count--;
	t->octets -= o->octets;
	g->waiting--;
	g->waiting_memory -= o->memory;
	gateway_done(g, &o->receipt);
	arena_release(g->cfg.arenas, o->arena);
}

static void out_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct outgoing *o = arg;
	struct gateway *g = o->target->g;
	(void)ct;
	(void)from;
	char z[RECORD_ID_TEXT];
	if (m->status < 200)
		return;
	record_hop(g->cfg.records, o->record, RECORD_HEARD, m->status, REASON_NONE);
	if (m->status < 300) {
		record_end(g->cfg.records, o->record, RECORD_DELIVERED, REASON_NONE);
		metric_add(METRIC_MESSAGES_TO_SIP, 1);
		metric_add(METRIC_MSG_XMPP_SIP_DELIVERED, 1);
		metric_observe(HISTOGRAM_LATENCY_XMPP_SIP, g->cfg.timers->now - o->since);
		o->conversation->to_sip++;
		gateway_done(g, &o->receipt);
		return;
	}
	metric_add(METRIC_MSG_XMPP_SIP_FAILED, 1);
	log_ev_limited(LOG_INFO, "message/refused-by-home", o->remote, {"from", o->remote}, {"to", o->local},
	       {"status", arena_printf(o->arena, "%d %.*s", m->status, SFMT(slice_first(m->reason, 80)))}, {"trace", record_id_text(o->record, z)});
	gateway_record_told(g, o->record, 0, RECORD_FAILED, REASON_NONE);
	o->conversation->failed++;
	struct arena *a = arena_acquire(g->cfg.arenas);
	gateway_answer(g, interwork_error_from_response(a, o->stanza, m, &g->cfg.errors), o->local_domain, o->remote_domain,
		       &o->receipt);
	arena_release(g->cfg.arenas, a);
}

static void out_failed(struct outgoing *o, enum reason reason)
{
	struct gateway *g = o->target->g;
	char z[RECORD_ID_TEXT];
	metric_refused((int)reason);
	metric_add(METRIC_MSG_XMPP_SIP_FAILED, 1);
	log_ev_limited(LOG_WARNING, "message/undelivered", o->remote_domain, {"from", o->remote}, {"to", o->local},
	       {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(reason_info(reason)->text)},
	       {"trace", record_id_text(o->record, z)});
	gateway_record_told(g, o->record, 0, RECORD_FAILED, reason);
	o->conversation->failed++;
	gateway_bounce(g, o->stanza, reason, SLICE_NONE, o->local_domain, o->remote_domain, &o->receipt);
}

static void out_done(void *arg, enum sip_done why)
{
	struct outgoing *o = arg;
	struct target *t = o->target;
	o->trans = NULL;
	if (why == SIP_DONE_TIMEOUT)
		out_failed(o, REASON_SIP_TIMEOUT);
	else if (why == SIP_DONE_TRANSPORT)
		out_failed(o, REASON_SIP_HOME_UNREACHABLE);
	outgoing_free(o);
	target_send(t);
}

static const struct sip_client_handler out_handler = {.response = out_response, .done = out_done};

static void write_message(struct gateway *g, struct outgoing *o, struct buf *b)
{
	struct conversation *c = o->conversation;
	const struct interwork_im_page *p = &o->page;
	conversation_touch(g, c);
	sip_build_request(b, S("MESSAGE"), o->uri);
	sip_build_header_uint(b, SIP_H_MAX_FORWARDS, (uint64_t)p->max_forwards);
	sip_build_header_fmt(b, SIP_H_FROM, "<%.*s>;tag=%s", SFMT(o->from_uri), c->tag);
	sip_build_header_fmt(b, SIP_H_TO, "<%.*s>", SFMT(o->uri));
	sip_build_header(b, SIP_H_CALL_ID, slice_str(c->call_id));
	sip_build_header_fmt(b, SIP_H_CSEQ, "%u MESSAGE", ++c->cseq);
	if (p->subject.len)
		sip_build_header(b, SIP_H_SUBJECT, p->subject);
	if (p->language.len)
		sip_build_header(b, SIP_H_CONTENT_LANGUAGE, p->language);
	if (p->priority.len)
		sip_build_header(b, SIP_H_PRIORITY, p->priority);
	if (p->date.len)
		sip_build_header(b, SIP_H_DATE, p->date);
	if (p->expires >= 0)
		sip_build_header_uint(b, SIP_H_EXPIRES, (uint64_t)p->expires);
	sip_build_body(b, p->content_type, p->body);
}

static enum reason outgoing_start(struct gateway *g, struct outgoing *o)
{
	struct sip_flow flow;
	struct slice contact;
	if (!g->ops->home(g->arg, o->home, &flow, &contact))
		return REASON_SIP_HOME_UNREACHABLE;
	buf_clear(&g->out);
	write_message(g, o, &g->out);
	if (!buf_ok(&g->out))
		return REASON_CONTENT_TOO_LARGE;
	int rc = sip_client_start(&o->trans, g->cfg.stack, &flow, buf_slice(&g->out), &out_handler, o, NULL);
	return rc == 0 ? REASON_NONE : rc == ENTENTE_ELIMIT ? REASON_LIMIT_QUEUE_FULL : REASON_SERVER_INTERNAL;
}

/* Sends the head of the queue; what cannot be sent goes back, and the next one is tried. Frees a target with nothing left. */
static void target_send(struct target *t)
{
	t->busy = true; /* what comes in meanwhile only queues */
	for (struct list *n; (n = list_head(&t->queue));) {
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		enum reason reason = outgoing_start(t->g, o);
		if (!reason) {
			record_hop(t->g->cfg.records, o->record, RECORD_SENT, 0, REASON_NONE);
			gateway_record_home(t->g, o->record, o->home);
			metric_add(METRIC_SIP_REQUESTS_OUT, 1);
			return;
		}
		out_failed(o, reason);
		outgoing_free(o);
	}
	target_free(t);
}

static struct target *target_of(struct gateway *g, struct slice local)
{
	struct map_node *n = map_find(&g->targets, local);
	if (n)
		return CONTAINER_OF(n, struct target, node);
	struct target *t = mem_calloc(1, sizeof *t + local.len);
	t->g = g;
	memcpy(t->key, local.p, local.len);
	list_init(&t->queue);
	map_insert(&g->targets, &t->node, slice_of(t->key, local.len));
	return t;
}

/* The partner refused a message of ours: that is the answer to the SIP user, if it still waits for one. */
static void error_from_xmpp(struct gateway *g, struct stanza *st, struct arena *a)
{
	struct held *h = held_find(g, st->id, st->to.bare, st->from.bare);
	struct conversation *c = conversation_find(g, st->to.bare, st->from.bare);
	if (c) {
		c->failed++;
		c->confirmed = false; /* the next answer waits for what becomes of the message */
	}
	if (!h) {
		log_ev_limited(LOG_INFO, "message/error-too-late", st->from.bare, {"from", st->from.bare}, {"to", st->to.bare});
		return;
	}
	struct sip_server_trans *server = sip_server_find(g->cfg.stack, h->server_id);
	if (server) {
		struct interwork_response r;
		struct sip_extra extra[INTERWORK_RESPONSE_HEADERS];
		interwork_response_from_error(&r, a, st->node, st->from.resource.len > 0, &g->cfg.errors);
		for (size_t i = 0; i < r.n_headers; i++)
			extra[i] = (struct sip_extra){r.headers[i].name, r.headers[i].value};
		struct sip_answer ans = {.status = r.status, .reason = r.phrase, .headers = extra, .n_headers = r.n_headers};
		record_hop(g->cfg.records, sip_server_record(server), RECORD_HEARD, 0, REASON_NONE);
		gateway_record_told(g, sip_server_record(server), r.status, RECORD_FAILED, REASON_NONE);
		sip_server_respond(server, &ans);
	}
	metric_add(METRIC_MSG_SIP_XMPP_FAILED, 1);
	held_free(h);
}

static bool queue_full(struct gateway *g, struct slice local, const struct outgoing *o)
{
	struct map_node *n = map_find(&g->targets, local);
	const struct target *t = n ? CONTAINER_OF(n, struct target, node) : NULL;
	if (g->waiting >= MAX_WAITING || g->waiting_memory + o->memory > MAX_WAITING_MEMORY)
		return true;
	return t && (t->count >= g->cfg.max_queue ||
		     (g->cfg.max_queue_octets && t->octets + o->octets > g->cfg.max_queue_octets));
}

/* Everything that the answer to it needs lies in the stanza's arena, so *ret does too. REASON_NONE and *ret NULL: nothing to
 * send. */
static enum reason outgoing_make(struct outgoing **ret, struct gateway *g, struct stanza *st, const struct xmpp_peer *peer,
				 struct arena *a, const char **why)
{
	struct policy_verdict pv;
	struct sip_flow flow;
	struct slice contact;
	struct entente_err e;
	*ret = NULL;
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_LOCAL, &st->from, &st->to, xmpp_peer_remote(peer), UINT32_MAX, &pv);
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
		struct interwork_im_out in = {.stanza = st->node,
					      .from_uri = o->from_uri,
					      .to_uri = o->uri,
					      .reliable_path = g->ops->home(g->arg, pv.home, &flow, &contact) &&
							       sip_reliable(flow.transport)};
		struct interwork_im_verdict v = interwork_im_to_sip(&o->page, a, &in, &g->cfg.im);
		if (v.action == INTERWORK_IM_DROP)
			return REASON_NONE;
		if (v.action == INTERWORK_IM_REFUSE) {
			reason = v.reason;
			*why = v.why;
		}
	}
	if (!reason) {
		o->octets = arena_used(a);
		o->memory = arena_size(a);
		if (queue_full(g, st->to.bare, o)) {
			metric_add(METRIC_LIMIT_HITS, 1);
			reason = REASON_LIMIT_QUEUE_FULL;
		}
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
	o->home = pv.home;
	*ret = o;
	return REASON_NONE;
}

void message_from_xmpp(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a,
		       struct xmpp_receipt *r)
{
	struct outgoing *o;
	const char *why = NULL;
	if (st->type == STANZA_TYPE_ERROR) {
		if (st->to.local.len)
			error_from_xmpp(g, st, a);
		gateway_done(g, r);
		arena_release(g->cfg.arenas, a);
		return;
	}
	enum reason reason = outgoing_make(&o, g, st, peer, a, &why);
	if (!o) {
		if (reason) {
			metric_add(METRIC_MSG_XMPP_SIP_REFUSED, 1);
			gateway_bounce(g, st->node, reason, slice_str(why), st->to.domain, st->from.domain, r);
			gateway_record_told(g, g->record, 0, RECORD_REFUSED, reason);
		} else {
			record_hop(g->cfg.records, g->record, RECORD_DROPPED, 0, REASON_NONE);
			record_end(g->cfg.records, g->record, RECORD_IGNORED, REASON_NONE);
		}
		gateway_done(g, r);
		arena_release(g->cfg.arenas, a);
		return;
	}
	o->since = g->cfg.timers->now;
	o->receipt = *r;
	o->record = g->record;
	r->number = 0;
	struct target *t = o->target = target_of(g, o->local);
	struct conversation *c = o->conversation = conversation_get(g, o->local, o->remote);
	c->confirmed = true;
	c->queued++;
	list_append(&t->queue, &o->node);
	t->count++;
	t->octets += o->octets;
	g->waiting++;
	g->waiting_memory += o->memory;
	if (t->busy)
		record_hop(g->cfg.records, o->record, RECORD_WAITS, 0, REASON_NONE);
	else
		target_send(t);
}

/* ---- looking, ending */

void gateway_each_conversation(struct gateway *g, void (*fn)(void *, const struct gateway_conversation_facts *), void *arg)
{
	for (struct list *n = g->recent.prev; n != &g->recent; n = n->prev) {
		const struct conversation *c = CONTAINER_OF(n, struct conversation, lru);
		struct gateway_conversation_facts f = {c->pair.local, c->pair.remote, c->to_xmpp, c->to_sip, c->failed,
						       g->cfg.timers->now - c->last, c->queued};
		fn(arg, &f);
	}
}

void messages_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->held, i)
		held_free(CONTAINER_OF(n, struct held, by_server));
	map_free(&g->held);
	map_free(&g->held_ids);
	MAP_EACH(n, &g->targets, i) {
		struct target *t = CONTAINER_OF(n, struct target, node);
		LIST_EACH(q, &t->queue) {
			struct outgoing *o = CONTAINER_OF(q, struct outgoing, node);
			sip_client_drop(o->trans);
			arena_release(g->cfg.arenas, o->arena);
		}
		target_free(t);
	}
	map_free(&g->targets);
	LIST_EACH(n, &g->recent)
		conversation_free(g, CONTAINER_OF(n, struct conversation, lru));
	map_free(&g->conversations);
}
