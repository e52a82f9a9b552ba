/* SPDX-License-Identifier: Apache-2.0 */
/* The edge role's end of the links. A stanza waits on the worker of its stream until the gateway says what became of it (DONE); the
 * link that it goes over may be another worker's: then it goes there over the bus. A gateway worker's link is found by a hash of the local
 * user, so that one user's stanzas stay in order. */
#include <stdio.h>
#include "app/split_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "interwork/errormap.h"

enum { RETRY_MS = 20, REST_MS = 5, LONG_REST_MS = 100, NUMBER_BITS = 48 };

struct edge_node {
	struct node *node;
	struct link_outbox box;
	struct list wires; /* of struct edge_wire */
	struct tls_ctx *tls;
	struct timer retry;
	struct buf scratch;
	uint64_t next_number;
	size_t shown; /* waiting, as the metric has it */
};

struct edge_wire {
	struct list node;
	struct edge_node *e;
	struct link_wire *wire;
	uint64_t serial; /* 0: not up yet */
	unsigned slot;
	bool leaving;
	uint8_t instance[LINK_INSTANCE];
	struct buf policy; /* what came of it so far */
	uint64_t generation, since, stanzas, sends;
	uint32_t parts;
};

struct edge_item {
	struct link_item item; /* first */
	struct xmpp_receipt receipt;
	enum xmpp_proof proof;
	bool encrypted;
	uint64_t hash; /* of the local user */
	size_t n_local, n_remote, n_octets;
	char bytes[];
};

static struct edge_hub *hub_of(const struct edge_node *e)
{
	return &e->node->app->split->hub;
}

static struct slice item_local(const struct edge_item *i)
{
	return slice_of(i->bytes, i->n_local);
}

static struct slice item_remote(const struct edge_item *i)
{
	return slice_of(i->bytes + i->n_local, i->n_remote);
}

static struct slice item_octets(const struct edge_item *i)
{
	return slice_of(i->bytes + i->n_local + i->n_remote, i->n_octets);
}

static struct edge_wire *wire_find(struct edge_node *e, uint64_t serial)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		if (w->serial == serial)
			return w;
	}
	return NULL;
}

static void show_waiting(struct edge_node *e)
{
	metric_add(METRIC_LINK_WAITING, (int64_t)e->box.n_waiting - (int64_t)e->shown);
	e->shown = e->box.n_waiting;
	if (e->shown && !timer_armed(&e->retry))
		timer_arm(&e->node->worker->loop->timers, &e->retry, RETRY_MS);
}

/* ---- between workers */

enum what { DONE, FLUSH, LOST, DROP_OTHERS, RECHECK, SECRET, FAR };

struct hop {
	struct bus_msg bus;
	struct arena *arena;
	struct edge_node *to;
	enum what what;
	uint64_t number; /* of a stanza, a link */
	enum reason reason;
	uint8_t instance[LINK_INSTANCE];
	struct link_frame frame;
};

static void up_failed(void *arg, struct link_item *item, enum reason reason, struct slice why);

static void done(struct edge_node *e, uint64_t number, enum reason reason)
{
	struct link_item *i = link_outbox_take(&e->box, number);
	if (!i)
		return;
	if (reason)
		up_failed(e, i, reason, SLICE_NONE);
	else
		xmpp_proxy_done(e->node->xmpp, &((struct edge_item *)i)->receipt);
	mem_free(i);
	show_waiting(e);
}

static void drop_others(struct edge_node *e, const uint8_t *instance)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		if (!w->serial || !memcmp(w->instance, instance, LINK_INSTANCE))
			continue;
		link_wire_goodbye(w->wire, LINK_BYE_REPLACED, S("another gateway process has connected"));
		link_outbox_lost(&e->box, w->serial, REASON_LINK_DOWN, SLICE_NONE);
	}
}

static void apply_secret(struct edge_node *e)
{
	struct edge_hub *h = hub_of(e);
	char secret[LINK_SECRET_MAX];
	pthread_mutex_lock(&h->lock);
	size_t n = h->secret_len;
	memcpy(secret, h->secret, n);
	pthread_mutex_unlock(&h->lock);
	xmpp_proxy_set_secret(e->node->xmpp, slice_of(secret, n));
	explicit_bzero(secret, sizeof secret);
}

static void hop_run(struct worker *w, struct bus_msg *b)
{
	struct hop *m = CONTAINER_OF(b, struct hop, bus);
	struct edge_node *e = m->to;
	struct edge_wire *wire;
	switch (m->what) {
	case DONE:
		done(e, m->number, m->reason);
		break;
	case FLUSH:
		link_outbox_flush(&e->box);
		break;
	case LOST:
		link_outbox_lost(&e->box, m->number, REASON_LINK_DOWN, SLICE_NONE);
		break;
	case DROP_OTHERS:
		drop_others(e, m->instance);
		break;
	case RECHECK:
		xmpp_proxy_recheck(e->node->xmpp);
		break;
	case SECRET:
		apply_secret(e);
		break;
	case FAR: /* when that link is gone its end was or will be told to everybody: the stanza goes again */
		if ((wire = wire_find(e, m->number)) && !link_wire_send(wire->wire, &m->frame, true)) {
			wire->stanzas++;
			atomic_store(&hub_of(e)->slots[wire->slot].busy, link_wire_congested(wire->wire));
		}
		break;
	}
	show_waiting(e);
	arena_release(w->loop->arenas, m->arena);
}

static void hop_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct hop, bus)->arena);
}

static struct hop *hop_new(struct edge_node *e, unsigned worker, enum what what, uint64_t number)
{
	struct arena *a = arena_acquire(e->node->worker->loop->arenas);
	struct hop *m = ARENA_NEW(a, struct hop);
	*m = (struct hop){.bus = {.run = hop_run, .drop = hop_drop}, .arena = a, .to = e->node->app->nodes[worker].edge, .what = what, .number = number};
	return m;
}

static void hop_post(struct hop *m)
{
	worker_post_always(m->to->node->worker, &m->bus);
}

static void everybody(struct edge_node *e, enum what what, uint64_t number, const uint8_t *instance)
{
	for (unsigned i = 0; i < pool_workers(e->node->app->pool); i++) {
		struct hop *m = hop_new(e, i, what, number);
		if (instance)
			memcpy(m->instance, instance, LINK_INSTANCE);
		hop_post(m);
	}
}

/* ---- stanzas up */

static void frame_of(const struct edge_item *i, struct link_frame *ret)
{
	*ret = (struct link_frame){.kind = LINK_STANZA, .stanza = {i->item.id, i->proof, i->encrypted, item_local(i), item_remote(i), item_octets(i)}};
}

static int up_send(void *arg, struct link_item *item)
{
	struct edge_node *e = arg;
	struct edge_item *i = (struct edge_item *)item;
	struct edge_hub *h = hub_of(e);
	unsigned n = atomic_load(&h->n);
	struct edge_slot *slot = n ? &h->slots[i->hash % n] : NULL;
	uint64_t at = slot ? atomic_load(&slot->at) : 0;
	struct link_frame f;
	if (!at || atomic_load(&slot->busy))
		return ENTENTE_EAGAIN;
	unsigned worker = (unsigned)(at & 255) - 1;
	frame_of(i, &f);
	if (worker == e->node->worker->id) {
		struct edge_wire *w = wire_find(e, at >> 8);
		int rc = w ? link_wire_send(w->wire, &f, false) : ENTENTE_EAGAIN;
		if (rc)
			return rc == ENTENTE_ECLOSED ? ENTENTE_EAGAIN : rc;
		w->stanzas++;
		atomic_store(&slot->busy, link_wire_congested(w->wire));
	} else {
		if (worker_depth(pool_worker(e->node->app->pool, worker)) > APP_BUS_QUEUE / 2)
			return ENTENTE_EAGAIN;
		struct hop *m = hop_new(e, worker, FAR, at >> 8);
		m->frame = f;
		m->frame.stanza.local = arena_dup(m->arena, f.stanza.local);
		m->frame.stanza.remote = arena_dup(m->arena, f.stanza.remote);
		m->frame.stanza.octets = arena_dup(m->arena, f.stanza.octets);
		if (!m->frame.stanza.octets.p) {
			arena_release(e->node->worker->loop->arenas, m->arena);
			return ENTENTE_ELIMIT;
		}
		hop_post(m);
	}
	item->via = at >> 8;
	return 0;
}

/* The sender hears why; only then its server may forget the stanza. */
static void refuse(struct edge_node *e, struct arena *a, const struct xml_node *node, struct slice local, struct slice remote, enum reason reason)
{
	struct xml_node *err = interwork_error_from_reason(a, node, reason, SLICE_NONE, &interwork_error_rules_default);
	static const struct xmpp_ticket none;
	metric_refused((int)reason);
	log_ev_limited(LOG_WARNING, "link/stanza-refused", remote, {"partner", remote}, {"reason", slice_str(reason_info(reason)->id)});
	buf_clear(&e->scratch);
	xml_write(&e->scratch, err, S("jabber:server"));
	if (err && buf_ok(&e->scratch))
		node_to_partner(e->node, local, remote, buf_slice(&e->scratch), &none);
	buf_clear(&e->scratch);
}

static void up_failed(void *arg, struct link_item *item, enum reason reason, struct slice why)
{
	struct edge_node *e = arg;
	struct edge_item *i = (struct edge_item *)item;
	struct arena *a = arena_acquire(e->node->worker->loop->arenas);
	struct xml_limits lim = xml_limits_default;
	struct xml_node *node;
	(void)why;
	lim.max_bytes = LINK_FRAME_MAX;
	lim.max_depth = lim.max_attrs = 1024;
	lim.max_children = SIZE_MAX;
	if (!xml_parse(&node, a, item_octets(i), &lim, NULL))
		refuse(e, a, node, item_local(i), item_remote(i), reason);
	arena_release(e->node->worker->loop->arenas, a);
	xmpp_proxy_done(e->node->xmpp, &i->receipt);
}

static const struct link_outbox_ops box_ops = {.send = up_send, .failed = up_failed};

unsigned edge_node_stanza(struct edge_node *e, struct xmpp_stanza *st)
{
	enum { MOST = LINK_FRAME_MAX - 8192 };
	struct slice local = xmpp_peer_local(st->peer), remote = xmpp_peer_remote(st->peer);
	enum reason reason = REASON_LIMIT_SIZE;
	struct edge_item *i = NULL;
	buf_clear(&e->scratch);
	xml_write(&e->scratch, st->node, SLICE_NONE);
	struct slice octets = buf_slice(&e->scratch);
	if (buf_ok(&e->scratch) && octets.len <= MOST) {
		i = link_item_new(sizeof *i + local.len + remote.len + octets.len);
		i->item = (struct link_item){.id = (uint64_t)(e->node->worker->id + 1) << NUMBER_BITS | ++e->next_number, .octets = octets.len,
					     .answered = true, .again = true};
		i->receipt = st->receipt;
		i->proof = xmpp_peer_proof(st->peer);
		i->encrypted = xmpp_peer_encrypted(st->peer);
		i->hash = hash_slice_nocase(st->to.bare);
		i->n_local = local.len;
		i->n_remote = remote.len;
		i->n_octets = octets.len;
		memcpy(i->bytes, local.p, local.len);
		memcpy(i->bytes + local.len, remote.p, remote.len);
		memcpy(i->bytes + local.len + remote.len, octets.p, octets.len);
		reason = link_outbox_put(&e->box, &i->item) ? REASON_LIMIT_QUEUE_FULL : REASON_NONE;
	}
	buf_shrink(&e->scratch, 65536);
	if (reason) {
		metric_add(METRIC_LIMIT_HITS, 1);
		refuse(e, st->arena, st->node, local, remote, reason);
		xmpp_proxy_done(e->node->xmpp, &st->receipt);
	}
	arena_release(e->node->worker->loop->arenas, st->arena);
	show_waiting(e);
	if (!e->box.n_waiting)
		return 0;
	return e->box.n_waiting > e->box.cfg.waiting / 2 || e->box.waiting_octets > e->box.cfg.waiting_octets / 2 ? LONG_REST_MS : REST_MS;
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct edge_node *e = CONTAINER_OF(t, struct edge_node, retry);
	(void)now;
	link_outbox_flush(&e->box);
	show_waiting(e);
}

/* ---- policy */

struct open_msg {
	struct bus_msg bus;
	struct app *app;
};

static void open_run(struct worker *w, struct bus_msg *b)
{
	struct app *app = CONTAINER_OF(b, struct open_msg, bus)->app;
	struct entente_err err;
	(void)w;
	mem_free(CONTAINER_OF(b, struct open_msg, bus));
	if (!app->stopping && app_serve(app, &err))
		log_ev(LOG_ERROR, "net/listen-failed", {"text", slice_str(err.text)});
	app_status(app);
}

static void open_drop(struct bus_msg *b)
{
	mem_free(CONTAINER_OF(b, struct open_msg, bus));
}

/* The workers of the gateway push on their own: what one of them says last may be older than what is in force. The lock is held. */
static bool outdated(const struct edge_wire *w)
{
	const struct edge_hub *h = hub_of(w->e);
	if (memcmp(h->instance, w->instance, LINK_INSTANCE)) /* another process has taken its place */
		return true;
	return !memcmp(h->policy_of, w->instance, LINK_INSTANCE) && w->generation <= h->policy;
}

/* The lock is held. True: it is another one. */
static bool keep_secret(struct edge_hub *h, struct slice secret)
{
	if (!secret.len || (secret.len == h->secret_len && !memcmp(h->secret, secret.p, secret.len)))
		return false;
	memcpy(h->secret, secret.p, secret.len);
	h->secret_len = secret.len;
	return true;
}

static int take_policy(struct edge_wire *w, struct entente_err *err)
{
	struct edge_node *e = w->e;
	struct edge_hub *h = hub_of(e);
	struct snapshot *s;
	struct slice secret;
	char n[32], g[32];
	bool changed = false;
	pthread_mutex_lock(&h->lock);
	bool known = outdated(w);
	pthread_mutex_unlock(&h->lock);
	if (known) /* another of its workers was faster */
		return 0;
	int rc = link_policy_read(&s, &secret, buf_slice(&w->policy), w->generation, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&h->lock);
	if (!(known = outdated(w))) {
		snapshot_slot_publish(&e->node->app->policy, s);
		memcpy(h->policy_of, w->instance, LINK_INSTANCE);
		h->policy = w->generation;
		changed = keep_secret(h, secret);
		atomic_store(&h->has_policy, true);
	}
	pthread_mutex_unlock(&h->lock);
	snprintf(n, sizeof n, "%zu", snapshot_partner_count(s));
	snapshot_unref(s);
	if (known)
		return 0;
	if (changed)
		everybody(e, SECRET, 0, NULL);
	snprintf(g, sizeof g, "%llu", (unsigned long long)w->generation);
	log_ev(LOG_INFO, "policy/published", {"generation", slice_str(g)}, {"partners", slice_str(n)}, {"from", link_wire_peer(w->wire)->name});
	struct open_msg *m = MEM_NEW(struct open_msg);
	*m = (struct open_msg){.bus = {.run = open_run, .drop = open_drop}, .app = e->node->app};
	worker_post_always(pool_control(e->node->app->pool), &m->bus);
	return 0;
}

static int policy_part(struct edge_wire *w, const struct link_frame *f, struct entente_err *err)
{
	int rc = 0;
	if (!f->policy.part) {
		buf_clear(&w->policy);
		w->generation = f->policy.generation;
		w->parts = 0;
	}
	if (f->policy.part != w->parts++ || f->policy.generation != w->generation)
		return err_set(err, ENTENTE_ESYNTAX, REASON_LINK_PROTOCOL, "pieces of the policy came out of order");
	buf_put(&w->policy, f->policy.octets);
	if (!buf_ok(&w->policy))
		return err_set(err, ENTENTE_ELIMIT, REASON_LINK_PROTOCOL, "the policy is larger than %d octets", LINK_POLICY_MAX);
	if (f->policy.last) {
		rc = take_policy(w, err);
		buf_wipe(&w->policy);
	}
	return rc;
}

/* When all of the gateway's workers have said what had to be said before. */
static void recheck(struct edge_wire *w, uint64_t generation)
{
	struct edge_hub *h = hub_of(w->e);
	uint64_t live = 0;
	pthread_mutex_lock(&h->lock);
	if (h->recheck != generation)
		h->recheck_from = 0;
	h->recheck = generation;
	h->recheck_from |= 1ull << w->slot;
	for (unsigned i = 0; i < h->n; i++)
		live |= atomic_load(&h->slots[i].at) ? 1ull << i : 0;
	bool all = (h->recheck_from & live) == live;
	pthread_mutex_unlock(&h->lock);
	if (all)
		everybody(w->e, RECHECK, 0, NULL);
}

/* ---- a link */

static void wire_free(struct edge_wire *w)
{
	list_remove(&w->node);
	buf_wipe(&w->policy);
	mem_free(w);
}

/* Nothing new goes over it. */
static void vacate(struct edge_wire *w)
{
	struct edge_hub *h = hub_of(w->e);
	pthread_mutex_lock(&h->lock);
	if (w->serial && atomic_load(&h->slots[w->slot].at) >> 8 == w->serial)
		atomic_store(&h->slots[w->slot].at, 0);
	pthread_mutex_unlock(&h->lock);
}

static void wire_log(const struct edge_wire *w, enum log_level level, const char *event, const struct entente_err *err)
{
	char n[16] = "";
	const struct link_hello *p = link_wire_peer(w->wire);
	if (p)
		snprintf(n, sizeof n, "%u/%u", p->worker + 1, p->workers);
	const struct log_kv kv[] = {
		{"peer", p ? p->name : SLICE_NONE}, {"version", p ? p->software : SLICE_NONE}, {"worker", slice_str(n)},
		{"address", slice_str(link_wire_address(w->wire))},
		{"reason", err && err->reason ? slice_str(reason_info(err->reason)->id) : SLICE_NONE}, {"text", err ? slice_str(err->text) : SLICE_NONE},
	};
	if (err && !p)
		log_limited(level, event, slice_str(link_wire_address(w->wire)), kv, sizeof kv / sizeof *kv);
	else
		log_event(level, event, kv, sizeof kv / sizeof *kv);
}


static void backoff_row(void *arg, const struct xmpp_proxy_facts *f)
{
	struct edge_node *e = arg;
	if (!strcmp(f->state, "backoff"))
		node_xmpp_ops.link(e->node, f->local, f->remote, false);
}

static void tell_backoff(struct node *n, void *arg)
{
	(void)arg;
	xmpp_proxy_each(n->xmpp, backoff_row, n->edge);
}

static void on_up(void *arg, const struct link_hello *p)
{
	struct edge_wire *w = arg;
	struct edge_node *e = w->e;
	struct edge_hub *h = hub_of(e);
	bool other = false;
	if (p->workers > POOL_WORKERS_MAX) {
		link_wire_goodbye(w->wire, LINK_BYE_PROTOCOL, S("more workers than there can be"));
		return;
	}
	memcpy(w->instance, p->instance, LINK_INSTANCE);
	w->slot = p->worker;
	w->since = e->node->worker->loop->timers.now;
	pthread_mutex_lock(&h->lock);
	w->serial = ++h->serial;
	if (memcmp(h->instance, p->instance, LINK_INSTANCE)) { /* another process: the links of the one before mean nothing any more */
		other = true;
		memcpy(h->instance, p->instance, LINK_INSTANCE);
		for (unsigned i = 0; i < POOL_WORKERS_MAX; i++)
			atomic_store(&h->slots[i].at, 0);
		h->recheck_from = 0;
		atomic_store(&h->n, p->workers);
	}
	atomic_store(&h->slots[w->slot].busy, false);
	atomic_store(&h->slots[w->slot].at, w->serial << 8 | (e->node->worker->id + 1));
	pthread_mutex_unlock(&h->lock);
	metric_add(METRIC_LINKS, 1);
	wire_log(w, LOG_INFO, "link/up", NULL);
	if (other)
		everybody(e, DROP_OTHERS, 0, w->instance);
	everybody(e, FLUSH, 0, NULL);
	for (unsigned i = 0; i < pool_workers(e->node->app->pool); i++)
		node_post_call(&e->node->app->nodes[i], tell_backoff, NULL);
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct edge_wire *w = arg;
	struct edge_node *e = w->e;
	struct entente_err err;
	struct xmpp_ticket t = {.worker = e->node->worker->id, .kind = (unsigned)w->serial, .tell_sent = true};
	unsigned worker;
	switch (f->kind) {
	case LINK_SEND:
		t.id = f->send.ticket;
		t.confirm = f->send.confirm;
		t.acked_only = f->send.acked_only;
		w->sends++;
		node_to_partner(e->node, f->send.local, f->send.remote, f->send.octets, &t);
		break;
	case LINK_DONE:
		worker = (unsigned)(f->done.number >> NUMBER_BITS) - 1;
		if (worker == e->node->worker->id) {
			done(e, f->done.number, f->done.reason);
		} else if (worker < pool_workers(e->node->app->pool)) {
			struct hop *m = hop_new(e, worker, DONE, f->done.number);
			m->reason = f->done.reason;
			hop_post(m);
		}
		break;
	case LINK_POLICY:
		if (policy_part(w, f, &err)) {
			wire_log(w, LOG_ERROR, "link/policy-refused", &err);
			link_wire_goodbye(w->wire, LINK_BYE_PROTOCOL, slice_str(err.text));
		}
		break;
	case LINK_RECHECK:
		recheck(w, f->number);
		break;
	default:
		break;
	}
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct edge_wire *w = arg;
	(void)why, (void)text;
	w->leaving = true;
	vacate(w);
}

static void on_drained(void *arg)
{
	struct edge_wire *w = arg;
	atomic_store(&hub_of(w->e)->slots[w->slot].busy, false);
	link_outbox_flush(&w->e->box);
	show_waiting(w->e);
}

static void on_down(void *arg, const struct entente_err *why)
{
	struct edge_wire *w = arg;
	struct edge_node *e = w->e;
	if (w->serial) {
		metric_add(METRIC_LINKS, -1);
		wire_log(w, w->leaving ? LOG_INFO : LOG_WARNING, "link/down", why);
	} else {
		wire_log(w, LOG_WARNING, "link/refused", why);
	}
	if (!w->leaving)
		metric_add(METRIC_LINK_FAILURES, 1);
	vacate(w);
	if (w->serial)
		everybody(e, LOST, w->serial, NULL);
	link_wire_free(w->wire);
	wire_free(w);
}

static const struct link_wire_ops wire_ops = {.up = on_up, .frame = on_frame, .leaving = on_leaving, .drained = on_drained, .down = on_down};

void edge_accept(void *arg, struct worker *worker, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	struct edge_node *e = node_of(app, worker)->edge;
	struct edge_wire *w = MEM_NEW(struct edge_wire);
	struct entente_err err;
	struct link_wire_config c = {.loop = worker->loop, .tls = e->tls, .connect_ms = 10000, .out_max = SPLIT_OUT_MAX};
	(void)from;
	c.names = split_names(app, &c.n_names);
	c.session.timers = &worker->loop->timers;
	link_session_defaults(&c.session);
	split_hello(app, worker, &c.session.own);
	w->e = e;
	buf_init(&w->policy, LINK_POLICY_MAX);
	list_append(&e->wires, &w->node);
	if (link_wire_accept(&w->wire, &c, fd, pass, &wire_ops, w, &err))
		wire_free(w);
}

/* ---- what the proxy says */

void edge_node_sent(struct edge_node *e, const struct xmpp_ticket *t, enum link_sent_step step, enum reason reason, struct slice why)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		if ((unsigned)w->serial == t->kind)
			link_wire_send(w->wire, &(struct link_frame){.kind = LINK_SENT, .sent = {t->id, step, reason, why}}, true);
	}
}

void edge_node_pair(struct edge_node *e, struct slice local, struct slice remote, bool up)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		link_wire_send(w->wire, &(struct link_frame){.kind = LINK_PAIR, .pair = {up, local, remote}}, true);
	}
}

bool edge_has_policy(const struct app *app)
{
	return atomic_load(&app->split->hub.has_policy);
}

/* ---- life */

void edge_node_leave(struct edge_node *e)
{
	LIST_EACH(n, &e->wires)
		link_wire_goodbye(CONTAINER_OF(n, struct edge_wire, node)->wire, LINK_BYE_STOPPING, S("the edge stops"));
}

bool edge_node_busy(const struct edge_node *e)
{
	return e->box.n_under_way;
}

void edge_node_close(struct edge_node *e)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		vacate(w);
		if (w->serial)
			metric_add(METRIC_LINKS, -1);
		link_wire_close(w->wire);
		wire_free(w);
	}
}

void edge_node_set(struct edge_node *e, const struct config *cfg, struct tls_ctx *tls)
{
	struct link_outbox_config c;
	split_outbox_config(cfg, false, pool_workers(e->node->app->pool), &c);
	link_outbox_set(&e->box, &c);
	if (tls) {
		tls_ctx_unref(e->tls);
		e->tls = tls_ctx_ref(tls);
	}
}

struct edge_node *edge_node_new(struct node *n, const struct config *cfg)
{
	struct edge_node *e = MEM_NEW(struct edge_node);
	struct link_outbox_config c;
	e->node = n;
	e->tls = n->link_tls ? tls_ctx_ref(n->link_tls) : NULL;
	list_init(&e->wires);
	timer_init(&e->retry, retry_fired);
	buf_init(&e->scratch, LINK_FRAME_MAX);
	split_outbox_config(cfg, false, pool_workers(n->app->pool), &c);
	link_outbox_init(&e->box, &n->worker->loop->timers, &c, &box_ops, e);
	return e;
}

struct edge_node *edge_node_free(struct edge_node *e)
{
	if (!e)
		return NULL;
	timer_cancel(&e->node->worker->loop->timers, &e->retry);
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		link_wire_free(w->wire);
		wire_free(w);
	}
	link_outbox_free(&e->box);
	buf_free(&e->scratch);
	tls_ctx_unref(e->tls);
	return mem_free(e);
}

void edge_node_each(struct edge_node *e, void (*fn)(void *, const struct split_facts *), void *arg)
{
	LIST_EACH(n, &e->wires) {
		struct edge_wire *w = CONTAINER_OF(n, struct edge_wire, node);
		const struct link_hello *p = link_wire_peer(w->wire);
		struct split_facts f = {.state = !p ? "connecting" : w->leaving ? "leaving" : "up", .address = link_wire_address(w->wire),
					.peer = p ? p->name : SLICE_NONE, .software = p ? p->software : SLICE_NONE, .stanzas = w->stanzas, .sends = w->sends,
					.age_ms = w->serial ? e->node->worker->loop->timers.now - w->since : 0,
					.waiting = e->box.n_waiting, .under_way = e->box.n_under_way};
		fn(arg, &f);
	}
}
