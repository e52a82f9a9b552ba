/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway role's end of the links: each worker has one to each edge, calls again when it breaks, and speaks with partners over the
 * edge that the partner's domain hashes to, among those that are there. */
#include <stdio.h>
#include "app/split_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "edge/dialer.h"

enum { RETRY_MIN_MS = 250, RETRY_MAX_MS = 10000, STABLE_MS = 5000, EDGE_BITS = 8 };

struct gw_edge {
	struct gw_node *g;
	unsigned index;
	char host[POLICY_DOMAIN_MAX + 1];
	uint16_t port;
	struct dialer *dialer;
	struct link_wire *wire;
	struct timer retry, rest;
	uint32_t backoff_ms;
	bool up, leaving, resting;
	bool missed;     /* it was away: what it would have said meanwhile is not known */
	uint64_t serial; /* of the present link */
	uint64_t since, stanzas, sends;
	uint8_t instance[LINK_INSTANCE];
	struct link_seen seen;
	struct entente_err err;
	enum reason told;
};

struct gw_node {
	struct node *node;
	struct link_outbox box;
	struct tls_ctx *tls;
	struct gw_edge *edges;
	size_t n_edges;
	uint64_t next_id, serials;
	size_t shown;
	bool closing;
};

struct gw_item { /* a stanza to a partner */
	struct link_item item; /* first */
	struct gateway_ticket ticket;
	size_t n_local, n_remote, n_octets;
	char bytes[];
};

static void call(struct gw_edge *e);

static bool usable(const struct gw_edge *e)
{
	return e->up && !e->leaving;
}

/* Rendezvous hashing: a domain stays with its edge while that is there, whatever becomes of the others. `also`: as if it were there. */
static struct gw_edge *choose(struct gw_node *g, struct slice remote, const struct gw_edge *also)
{
	struct gw_edge *best = NULL;
	uint64_t most = 0;
	for (size_t i = 0; i < g->n_edges; i++) {
		struct gw_edge *e = &g->edges[i];
		uint64_t h = hash_slice_stable(remote, i + 1);
		if ((usable(e) || e == also) && (!best || h > most)) {
			best = e;
			most = h;
		}
	}
	return best;
}

static void show_waiting(struct gw_node *g)
{
	metric_add(METRIC_LINK_WAITING, (int64_t)g->box.n_waiting - (int64_t)g->shown);
	g->shown = g->box.n_waiting;
}

/* ---- stanzas to partners */

static int down_send(void *arg, struct link_item *item)
{
	struct gw_node *g = arg;
	struct gw_item *i = (struct gw_item *)item;
	struct slice remote = slice_of(i->bytes + i->n_local, i->n_remote);
	struct gw_edge *e = choose(g, remote, NULL);
	struct link_frame f = {.kind = LINK_SEND,
			       .send = {item->answered ? item->id : 0, i->ticket.confirm, i->ticket.acked_only, slice_of(i->bytes, i->n_local), remote,
					slice_of(i->bytes + i->n_local + i->n_remote, i->n_octets)}};
	int rc = e ? link_wire_send(e->wire, &f, false) : ENTENTE_EAGAIN;
	if (rc)
		return rc == ENTENTE_ECLOSED ? ENTENTE_EAGAIN : rc;
	item->via = e->serial;
	e->sends++;
	return 0;
}

static void down_failed(void *arg, struct link_item *item, enum reason reason, struct slice why)
{
	struct gw_node *g = arg;
	struct gw_item *i = (struct gw_item *)item;
	if (reason == REASON_LINK_DOWN && !item->answered) /* presence, perhaps: it is told anew when an edge is back */
		for (size_t k = 0; k < g->n_edges; k++)
			g->edges[k].missed = true;
	if (item->answered)
		gateway_sent(g->node->gateway, &i->ticket, reason, why);
}

static const struct link_outbox_ops box_ops = {.send = down_send, .failed = down_failed};

void gw_node_send(struct gw_node *g, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *t)
{
	struct gw_item *i = link_item_new(sizeof *i + local.len + remote.len + stanza.len);
	i->item = (struct link_item){.id = ++g->next_id, .octets = stanza.len, .answered = t->id != 0, .again = t->repeat};
	i->ticket = *t;
	i->n_local = local.len;
	i->n_remote = remote.len;
	i->n_octets = stanza.len;
	memcpy(i->bytes, local.p, local.len);
	memcpy(i->bytes + local.len, remote.p, remote.len);
	memcpy(i->bytes + local.len + remote.len, stanza.p, stanza.len);
	if (link_outbox_put(&g->box, &i->item)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		if (t->id)
			gateway_sent(g->node->gateway, t, REASON_LIMIT_QUEUE_FULL, S("too much waits for the edge"));
	}
	show_waiting(g);
}

static void sent(struct gw_edge *e, const struct link_frame *f)
{
	struct gw_node *g = e->g;
	if (f->sent.step != SENT_OVER) {
		const struct link_item *i = link_outbox_rest(&g->box, f->sent.ticket, e->serial);
		if (i)
			gateway_handed(g->node->gateway, &((const struct gw_item *)i)->ticket, f->sent.step == SENT_HANDED_ACKS);
		return;
	}
	struct link_item *item = link_outbox_answer(&g->box, f->sent.ticket, e->serial);
	if (!item)
		return;
	struct gateway_ticket t = ((struct gw_item *)item)->ticket;
	mem_free(item);
	if (f->sent.reason || t.tell_sent)
		gateway_sent(g->node->gateway, &t, f->sent.reason, f->sent.why);
	show_waiting(g);
}

/* ---- stanzas of partners */

/* Of one process of an edge, in all the workers alike: an answer must not go to another one, which counts anew. */
static uint64_t receipt_stream(const struct gw_edge *e)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 7; i++)
		v = v << 8 | e->instance[i];
	return v << EDGE_BITS | e->index;
}

static void answer(struct gw_edge *e, uint64_t number, enum reason reason)
{
	if (e->up)
		link_wire_send(e->wire, &(struct link_frame){.kind = LINK_DONE, .done = {number, reason}}, true);
}

void gw_node_done(struct gw_node *g, const struct xmpp_receipt *r)
{
	unsigned index = (unsigned)(r->stream & ((1u << EDGE_BITS) - 1));
	struct gw_edge *e = index < g->n_edges ? &g->edges[index] : NULL;
	if (!e || receipt_stream(e) != r->stream)
		return;
	link_seen_done(&e->seen, r->number);
	answer(e, r->number, REASON_NONE);
}

static void rest_fired(struct timer *t, uint64_t now)
{
	struct gw_edge *e = CONTAINER_OF(t, struct gw_edge, rest);
	(void)now;
	e->resting = false;
	if (e->wire)
		link_wire_resume(e->wire);
}

/* An edge stands where strangers are: what it says is looked at as if it were one. */
static bool ours(const struct snapshot *s, struct arena *a, struct slice domain)
{
	struct slice ascii;
	return !xmpp_domain_ascii(a, domain, &ascii) && snapshot_local(s, ascii, NULL);
}

static bool carried(struct gw_node *g, struct slice local, struct slice remote)
{
	struct snapshot *s = snapshot_reader_get(&g->node->policy);
	struct arena *a = arena_acquire(g->node->worker->loop->arenas);
	struct slice ascii;
	bool yes = ours(s, a, local) && !ours(s, a, remote) && !xmpp_domain_ascii(a, remote, &ascii) && snapshot_partner(s, ascii);
	arena_release(g->node->worker->loop->arenas, a);
	return yes;
}

static enum reason read_stanza(struct gw_node *g, const struct link_frame *f, struct arena *a, struct xmpp_stanza *st)
{
	struct xml_limits lim = xml_limits_default;
	lim.max_bytes = LINK_FRAME_MAX;
	lim.max_depth = lim.max_attrs = 1024; /* the edge has looked at the partner's */
	lim.max_children = SIZE_MAX;
	int rc = xml_parse(&st->node, a, f->stanza.octets, &lim, NULL);
	if (rc)
		return rc == ENTENTE_ELIMIT ? REASON_LIMIT_SIZE : REASON_LINK_PROTOCOL;
	bool good = !xmpp_jid_parse(&st->from, a, xml_attr(st->node, S("from"))) && !xmpp_jid_parse(&st->to, a, xml_attr(st->node, S("to"))) &&
		    slice_eq(st->from.domain, f->stanza.remote) && slice_eq(st->to.domain, f->stanza.local) &&
		    !ours(snapshot_reader_get(&g->node->policy), a, st->from.domain);
	if (!good)
		return REASON_LINK_PROTOCOL;
	st->peer = xmpp_peer_vouched(a, f->stanza.local, f->stanza.remote, f->stanza.proof, f->stanza.encrypted);
	return st->peer ? REASON_NONE : REASON_LIMIT_SIZE;
}

static void stanza(struct gw_edge *e, const struct link_frame *f)
{
	struct gw_node *g = e->g;
	struct worker *w = g->node->worker;
	struct xmpp_stanza st = {.receipt = {.stream = receipt_stream(e), .number = f->stanza.number, .worker = w->id}};
	struct arena *a = arena_acquire(w->loop->arenas);
	enum reason unreadable = read_stanza(g, f, a, &st);
	enum link_fate fate = unreadable ? LINK_ENDED : link_seen_take(&e->seen, f->stanza.number);
	e->stanzas++;
	if (unreadable)
		log_ev_limited(LOG_ERROR, "link/stanza-unreadable", f->stanza.remote, {"partner", f->stanza.remote},
			       {"reason", slice_str(reason_info(unreadable)->id)});
	if (fate == LINK_ENDED)
		answer(e, f->stanza.number, unreadable);
	if (fate != LINK_NEW) { /* under way: its answer will come */
		arena_release(w->loop->arenas, a);
		return;
	}
	st.arena = a;
	unsigned ms = node_xmpp_ops.stanza(g->node, &st);
	if (ms && !e->resting && e->wire) {
		e->resting = true;
		link_wire_pause(e->wire);
		timer_arm(&w->loop->timers, &e->rest, ms);
	}
}

/* ---- policy */

static void push(struct gw_edge *e)
{
	struct app *app = e->g->node->app;
	struct snapshot *s = snapshot_reader_get(&e->g->node->policy);
	char secret[APP_SECRETS];
	struct buf b;
	buf_init(&b, LINK_POLICY_MAX);
	link_policy_write(&b, s, app_secrets(app, secret));
	explicit_bzero(secret, sizeof secret);
	if (!buf_ok(&b))
		log_ev(LOG_ERROR, "link/policy-too-large", {"text", S("the policy is too large to be pushed to an edge")});
	uint32_t part = 0;
	for (struct slice rest = buf_slice(&b); buf_ok(&b); part++) {
		struct slice piece = slice_first(rest, LINK_POLICY_PART);
		rest = slice_skip(rest, piece.len);
		struct link_frame f = {.kind = LINK_POLICY, .policy = {snapshot_generation(s), part, !rest.len, piece}};
		link_wire_send(e->wire, &f, true);
		if (!rest.len)
			break;
	}
	buf_wipe(&b);
}

void gw_node_policy(struct gw_node *g)
{
	struct snapshot *s = snapshot_reader_get(&g->node->policy);
	for (size_t i = 0; i < g->n_edges; i++) {
		struct gw_edge *e = &g->edges[i];
		if (!e->up)
			continue;
		if (g->node->worker->id == 0)
			push(e);
		link_wire_send(e->wire, &(struct link_frame){.kind = LINK_RECHECK, .number = snapshot_generation(s)}, true);
	}
}

/* ---- a link */

static bool served_by(void *arg, struct slice remote)
{
	struct gw_edge *e = arg;
	return choose(e->g, remote, e) == e;
}

static void edge_log(const struct gw_edge *e, enum log_level level, const char *event, const struct entente_err *err)
{
	char worker[16], where[POLICY_DOMAIN_MAX + 16];
	const struct link_hello *p = e->wire ? link_wire_peer(e->wire) : NULL;
	snprintf(worker, sizeof worker, "%u", e->g->node->worker->id + 1);
	snprintf(where, sizeof where, "%s:%u", e->host, e->port);
	const struct log_kv kv[] = {
		{"edge", slice_str(where)}, {"peer", p ? p->name : SLICE_NONE}, {"version", p ? p->software : SLICE_NONE},
		{"worker", slice_str(worker)}, {"address", e->wire ? slice_str(link_wire_address(e->wire)) : SLICE_NONE},
		{"reason", err && err->reason ? slice_str(reason_info(err->reason)->id) : SLICE_NONE}, {"text", err ? slice_str(err->text) : SLICE_NONE},
	};
	log_event(level, event, kv, sizeof kv / sizeof *kv);
}

static void later(struct gw_edge *e, const struct entente_err *why)
{
	bool stable = e->since && e->g->node->worker->loop->timers.now - e->since >= STABLE_MS;
	e->dialer = dialer_free(e->dialer);
	e->err = *why;
	if (e->g->closing)
		return;
	if (why->reason == REASON_LINK_REPLACED)
		e->backoff_ms = RETRY_MAX_MS; /* two gateways must not take the edge from each other all the time */
	else if (stable || !e->backoff_ms)
		e->backoff_ms = RETRY_MIN_MS;
	else
		e->backoff_ms = e->backoff_ms * 2 < RETRY_MAX_MS ? e->backoff_ms * 2 : RETRY_MAX_MS;
	timer_arm(&e->g->node->worker->loop->timers, &e->retry, e->backoff_ms / 2 + rand_below(e->backoff_ms / 2 + 1));
}

static void on_up(void *arg, const struct link_hello *p)
{
	struct gw_edge *e = arg;
	struct gw_node *g = e->g;
	e->dialer = dialer_free(e->dialer);
	e->up = true;
	e->leaving = false;
	e->serial = ++g->serials;
	e->since = g->node->worker->loop->timers.now;
	e->err = (struct entente_err){0};
	e->told = REASON_NONE;
	if (memcmp(e->instance, p->instance, LINK_INSTANCE)) {
		memcpy(e->instance, p->instance, LINK_INSTANCE);
		link_seen_clear(&e->seen);
	}
	metric_add(METRIC_LINKS, 1);
	edge_log(e, LOG_INFO, "link/up", NULL);
	push(e); /* on each link, so that nothing overtakes it */
	link_wire_send(e->wire, &(struct link_frame){.kind = LINK_RECHECK, .number = snapshot_generation(snapshot_reader_get(&g->node->policy))}, true);
	if (e->missed) {
		e->missed = false;
		gateway_links(g->node->gateway, true, served_by, e);
	}
	link_outbox_flush(&g->box);
	show_waiting(g);
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct gw_edge *e = arg;
	switch (f->kind) {
	case LINK_STANZA:
		stanza(e, f);
		break;
	case LINK_SENT:
		sent(e, f);
		break;
	case LINK_PAIR:
		if (choose(e->g, f->pair.remote, NULL) == e && carried(e->g, f->pair.local, f->pair.remote))
			gateway_link(e->g->node->gateway, f->pair.local, f->pair.remote, f->pair.up);
		break;
	default:
		break;
	}
}

/* Its partners are served by another edge from now on, if there is one. */
static void part(struct gw_edge *e)
{
	struct gw_node *g = e->g;
	struct gateway *gw = g->node->gateway;
	bool others = false;
	for (size_t i = 0; i < g->n_edges; i++)
		others |= usable(&g->edges[i]);
	e->missed = true;
	gateway_links(gw, false, served_by, e);
	if (others)
		gateway_links(gw, true, served_by, e);
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct gw_edge *e = arg;
	(void)why, (void)text;
	e->leaving = true; /* the rest of its answers may still come */
	edge_log(e, LOG_INFO, "link/leaving", NULL);
}

static void on_drained(void *arg)
{
	struct gw_edge *e = arg;
	link_outbox_flush(&e->g->box);
	show_waiting(e->g);
}

static bool another_address_may_help(const struct entente_err *why)
{
	return why->reason == REASON_LINK_DOWN;
}

static void on_down(void *arg, const struct entente_err *why)
{
	struct gw_edge *e = arg;
	struct gw_node *g = e->g;
	struct link_wire *wire = e->wire;
	struct entente_err err = *why;
	bool was_up = e->up;
	uint64_t serial = e->serial;
	e->up = false;
	timer_cancel(&g->node->worker->loop->timers, &e->rest);
	e->resting = false;
	if (!e->leaving)
		metric_add(METRIC_LINK_FAILURES, 1);
	if (was_up) {
		metric_add(METRIC_LINKS, -1);
		edge_log(e, e->leaving ? LOG_INFO : LOG_WARNING, "link/down", &err);
	}
	e->wire = NULL;
	link_wire_free(wire);
	if (was_up) {
		link_outbox_lost(&g->box, serial, REASON_LINK_DOWN, S("the link to the edge broke: it is not known whether the message left"));
		part(e);
		show_waiting(g);
	} else if (e->dialer && another_address_may_help(&err)) {
		dialer_failed(e->dialer, &err);
		dialer_next(e->dialer);
		return;
	} else if (e->told != err.reason) {
		e->told = err.reason;
		edge_log(e, LOG_WARNING, "link/failed", &err);
	}
	later(e, &err);
}

static const struct link_wire_ops wire_ops = {.up = on_up, .frame = on_frame, .leaving = on_leaving, .drained = on_drained, .down = on_down};

/* ---- calling */

static void try_address(void *arg, const struct addr *to, struct slice host)
{
	struct gw_edge *e = arg;
	struct worker *w = e->g->node->worker;
	struct entente_err err;
	struct link_wire_config c = {.loop = w->loop, .tls = e->g->tls, .connect_ms = 5000, .out_max = SPLIT_OUT_MAX};
	(void)host;
	c.names = split_names(e->g->node->app, &c.n_names);
	c.session.timers = &w->loop->timers;
	link_session_defaults(&c.session);
	split_hello(e->g->node->app, w, &c.session.own);
	e->since = 0;
	if (link_wire_connect(&e->wire, &c, to, slice_str(e->host), &wire_ops, e, &err)) {
		err.reason = REASON_LINK_DOWN;
		later(e, &err);
	}
}

static void exhausted(void *arg, const struct entente_err *err)
{
	struct gw_edge *e = arg;
	struct entente_err why = *err;
	why.reason = REASON_LINK_DOWN;
	metric_add(METRIC_LINK_FAILURES, 1);
	if (e->told != why.reason) {
		e->told = why.reason;
		edge_log(e, LOG_WARNING, "link/failed", &why);
	}
	later(e, &why);
}

static const struct dialer_ops dial_ops = {.address = try_address, .exhausted = exhausted};

static void call(struct gw_edge *e)
{
	struct node *n = e->g->node;
	struct dialer_target t = {.domain = slice_str(e->host), .host = slice_str(e->host), .port = e->port, .private_addresses = true};
	e->dialer = dialer_new(n->worker, n->app->dns, &t, &dial_ops, e);
	dialer_next(e->dialer);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct gw_edge *e = CONTAINER_OF(t, struct gw_edge, retry);
	(void)now;
	if (!e->g->closing)
		call(e);
}

/* ---- life */

void gw_node_leave(struct gw_node *g)
{
	for (size_t i = 0; i < g->n_edges; i++)
		if (g->edges[i].up)
			link_wire_goodbye(g->edges[i].wire, LINK_BYE_STOPPING, S("the gateway stops"));
}

void gw_node_close(struct gw_node *g)
{
	g->closing = true;
	for (size_t i = 0; i < g->n_edges; i++) {
		struct gw_edge *e = &g->edges[i];
		timer_cancel(&g->node->worker->loop->timers, &e->retry);
		timer_cancel(&g->node->worker->loop->timers, &e->rest);
		e->dialer = dialer_free(e->dialer);
		if (e->up)
			metric_add(METRIC_LINKS, -1);
		e->up = false;
		e->wire = link_wire_close(e->wire);
	}
}

void gw_node_set(struct gw_node *g, const struct config *cfg, struct tls_ctx *tls)
{
	struct link_outbox_config c;
	split_outbox_config(cfg, true, 1, &c);
	link_outbox_set(&g->box, &c);
	if (tls) {
		tls_ctx_unref(g->tls);
		g->tls = tls_ctx_ref(tls);
	}
}

struct gw_node *gw_node_new(struct node *n, const struct config *cfg)
{
	struct gw_node *g = MEM_NEW(struct gw_node);
	struct link_outbox_config c;
	g->node = n;
	g->tls = n->link_tls ? tls_ctx_ref(n->link_tls) : NULL;
	split_outbox_config(cfg, true, 1, &c);
	link_outbox_init(&g->box, &n->worker->loop->timers, &c, &box_ops, g);
	g->n_edges = cfg->link_edges.n;
	g->edges = mem_calloc(g->n_edges, sizeof *g->edges);
	for (size_t i = 0; i < g->n_edges; i++) {
		struct gw_edge *e = &g->edges[i];
		struct slice host = SLICE_NONE;
		e->g = g;
		e->index = (unsigned)i;
		config_edge_split(slice_str(cfg->link_edges.items[i]), &host, &e->port);
		slice_cstr(host, e->host, sizeof e->host);
		timer_init(&e->retry, retry_fired);
		timer_init(&e->rest, rest_fired);
		link_seen_init(&e->seen, SPLIT_WINDOW * 2);
		timer_arm(&n->worker->loop->timers, &e->retry, 0);
	}
	return g;
}

struct gw_node *gw_node_free(struct gw_node *g)
{
	if (!g)
		return NULL;
	gw_node_close(g);
	for (size_t i = 0; i < g->n_edges; i++)
		link_seen_free(&g->edges[i].seen);
	mem_free(g->edges);
	link_outbox_free(&g->box);
	tls_ctx_unref(g->tls);
	return mem_free(g);
}

void gw_node_each(struct gw_node *g, void (*fn)(void *, const struct split_facts *), void *arg)
{
	for (size_t i = 0; i < g->n_edges; i++) {
		struct gw_edge *e = &g->edges[i];
		const struct link_hello *p = e->wire ? link_wire_peer(e->wire) : NULL;
		char where[POLICY_DOMAIN_MAX + 16];
		snprintf(where, sizeof where, "%s:%u", e->host, e->port);
		struct split_facts f = {.state = e->up ? e->leaving ? "leaving" : "up" : timer_armed(&e->retry) ? "backoff" : "connecting",
					.address = e->up ? link_wire_address(e->wire) : where, .error = e->err.text[0] ? e->err.text : NULL,
					.peer = p ? p->name : slice_str(e->host), .software = p ? p->software : SLICE_NONE, .stanzas = e->stanzas, .sends = e->sends,
					.age_ms = e->up ? g->node->worker->loop->timers.now - e->since : 0,
					.waiting = g->box.n_waiting, .under_way = g->box.n_under_way};
		fn(arg, &f);
	}
}
