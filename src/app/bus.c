/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between the roles of one worker, and between workers. State of a local user lives on the worker that its bare
 * address hashes to, a link to a partner on the worker of the partner's domain; with one worker everything is a direct call. */
#include "app/node_int.h"

#include "app/dialects.h"
#include "app/queue.h"
#include "app/split.h"
#include "app/test_im.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/decide.h"

/* ---- stanzas from partners */

enum { REST_MS = 5 }; /* a worker takes thousands of messages in it */

struct stanza_msg { /* lies in the stanza's arena */
	struct bus_msg bus;
	struct node *to;
	struct xmpp_stanza st;
};

static void stanza_run(struct worker *w, struct bus_msg *b)
{
	struct stanza_msg *m = CONTAINER_OF(b, struct stanza_msg, bus);
	(void)w;
	gateway_stanza(m->to->gateway, &m->st);
}

static void stanza_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct stanza_msg, bus)->st.arena);
}

static void proxy_reply(void *arg, struct slice local, struct slice remote, struct slice stanza);
static void gw_stanza_done(void *arg, const struct xmpp_receipt *r);

static unsigned proxy_stanza(void *arg, struct xmpp_stanza *st)
{
	struct node *n = arg;
	struct worker *w = st->to.local.len ? pool_pick(n->app->pool, st->to.bare) : n->worker;
	if (n->edge)
		return edge_node_stanza(n->edge, st);
	if (w == n->worker) {
		gateway_stanza(n->gateway, st);
		return 0;
	}
	struct stanza_msg *m = ARENA_NEW(st->arena, struct stanza_msg);
	const struct xmpp_peer *peer = xmpp_peer_copy(st->arena, st->peer);
	if (!m || !peer) { /* an element that fills its arena to the last octet */
		gw_stanza_done(n, &st->receipt);
		arena_release(n->worker->loop->arenas, st->arena);
		return 0;
	}
	*m = (struct stanza_msg){.bus = {.run = stanza_run, .drop = stanza_drop}, .to = node_of(n->app, w), .st = *st};
	m->st.peer = peer;
	/* the stream rests while the worker has much to do; should its queue fill all the same, the stanza is refused, not lost silently */
	if (worker_post(w, &m->bus)) {
		struct xml_node *err = interwork_error_from_reason(st->arena, st->node, REASON_LIMIT_QUEUE_FULL, SLICE_NONE, &interwork_error_rules_default);
		if (err) {
			struct buf b;
			buf_init(&b, 65536);
			xml_write(&b, err, S("jabber:server"));
			if (buf_ok(&b))
				proxy_reply(n, st->to.domain, st->from.domain, buf_slice(&b));
			buf_free(&b);
		}
		gw_stanza_done(n, &st->receipt);
		arena_release(n->worker->loop->arenas, st->arena);
	}
	return worker_depth(w) > APP_BUS_QUEUE / 2 ? REST_MS : 0;
}

/* ---- their receipts */

struct done_msg {
	struct bus_msg bus;
	struct node *to;
	struct arena *arena;
	struct xmpp_receipt receipt;
};

static void done_run(struct worker *w, struct bus_msg *b)
{
	struct done_msg *m = CONTAINER_OF(b, struct done_msg, bus);
	gw_stanza_done(m->to, &m->receipt);
	arena_release(w->loop->arenas, m->arena);
}

static void done_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct done_msg, bus)->arena);
}

static void gw_stanza_done(void *arg, const struct xmpp_receipt *r)
{
	struct node *n = arg;
	if (r->worker == n->worker->id) {
		if (n->remote)
			gw_node_done(n->remote, r);
		else
			xmpp_proxy_done(n->xmpp, r);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct done_msg *m = ARENA_NEW(a, struct done_msg);
	*m = (struct done_msg){.bus = {.run = done_run, .drop = done_drop}, .to = &n->app->nodes[r->worker], .arena = a, .receipt = *r};
	worker_post_always(pool_worker(n->app->pool, r->worker), &m->bus);
}

/* ---- stanzas to partners */

struct send_msg { /* lies in its arena */
	struct bus_msg bus;
	struct node *to;
	struct arena *arena;
	struct slice local, remote, stanza;
	struct xmpp_ticket ticket;
};

static void send_run(struct worker *w, struct bus_msg *b)
{
	struct send_msg *m = CONTAINER_OF(b, struct send_msg, bus);
	xmpp_proxy_send(m->to->xmpp, m->local, m->remote, m->stanza, &m->ticket);
	arena_release(w->loop->arenas, m->arena);
}

static void send_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct send_msg, bus)->arena);
}

static void proxy_sent(void *arg, const struct xmpp_ticket *t, enum reason reason, struct slice why);

void node_to_partner(struct node *n, struct slice local, struct slice remote, struct slice stanza, const struct xmpp_ticket *t)
{
	struct worker *w = pool_worker(n->app->pool, xmpp_routes_pick(n->app->routes, local, remote, pool_pick(n->app->pool, remote)->id));
	if (w == n->worker) {
		xmpp_proxy_send(n->xmpp, local, remote, stanza, t);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct send_msg *m = ARENA_NEW(a, struct send_msg);
	bool full = !m;
	if (m) {
		*m = (struct send_msg){.bus = {.run = send_run, .drop = send_drop}, .to = node_of(n->app, w), .arena = a, .local = arena_dup(a, local),
				       .remote = arena_dup(a, remote), .stanza = arena_dup(a, stanza), .ticket = *t};
		full = !m->local.p || !m->remote.p || !m->stanza.p || worker_post(w, &m->bus);
	}
	if (full) {
		arena_release(n->worker->loop->arenas, a);
		if (t->id)
			proxy_sent(n, t, REASON_LIMIT_QUEUE_FULL, S("the worker of the partner is overloaded"));
	}
}

static void gw_xmpp_send(void *arg, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *t)
{
	struct node *n = arg;
	struct xmpp_ticket ticket = {.worker = n->worker->id, .kind = t->kind, .tell_sent = t->tell_sent, .confirm = t->confirm,
				     .acked_only = t->acked_only, .id = t->id};
	if (test_ims_take(n->app->test_ims, stanza)) /* the error to a message that a test has made */
		return;
	if (n->remote)
		gw_node_send(n->remote, local, remote, stanza, t);
	else
		node_to_partner(n, local, remote, stanza, &ticket);
}

static void proxy_reply(void *arg, struct slice local, struct slice remote, struct slice stanza)
{
	static const struct gateway_ticket none;
	gw_xmpp_send(arg, local, remote, stanza, &none);
}

struct sent_msg {
	struct bus_msg bus;
	struct node *to;
	struct arena *arena;
	struct xmpp_ticket ticket;
	enum link_sent_step step;
	enum reason reason;
	struct slice why;
};

static void tell_sent(struct node *n, const struct xmpp_ticket *t, enum link_sent_step step, enum reason reason, struct slice why)
{
	struct gateway_ticket ticket = {.kind = t->kind, .tell_sent = t->tell_sent, .confirm = t->confirm, .id = t->id};
	if (n->edge)
		edge_node_sent(n->edge, t, step, reason, why);
	else if (step != SENT_OVER)
		gateway_handed(n->gateway, &ticket, step == SENT_HANDED_ACKS);
	else if (t->kind == WAYS_TICKET)
		ways_sent(n->ways, t->id, reason);
	else
		gateway_sent(n->gateway, &ticket, reason, why);
}

static void sent_run(struct worker *w, struct bus_msg *b)
{
	struct sent_msg *m = CONTAINER_OF(b, struct sent_msg, bus);
	tell_sent(m->to, &m->ticket, m->step, m->reason, m->why);
	arena_release(w->loop->arenas, m->arena);
}

static void sent_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct sent_msg, bus)->arena);
}

static void tell_ticket(struct node *n, const struct xmpp_ticket *t, enum link_sent_step step, enum reason reason, struct slice why)
{
	if (t->worker == n->worker->id) {
		tell_sent(n, t, step, reason, why);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct sent_msg *m = ARENA_NEW(a, struct sent_msg);
	*m = (struct sent_msg){.bus = {.run = sent_run, .drop = sent_drop}, .to = &n->app->nodes[t->worker], .arena = a, .ticket = *t, .step = step, .reason = reason,
			       .why = arena_dup(a, why)};
	worker_post_always(pool_worker(n->app->pool, t->worker), &m->bus);
}

static void proxy_sent(void *arg, const struct xmpp_ticket *t, enum reason reason, struct slice why)
{
	tell_ticket(arg, t, SENT_OVER, reason, why);
}

static void proxy_handed(void *arg, const struct xmpp_ticket *t, bool acks)
{
	tell_ticket(arg, t, acks ? SENT_HANDED_ACKS : SENT_HANDED, REASON_NONE, SLICE_NONE);
}

/* ---- links */

struct link_msg {
	struct bus_msg bus;
	struct node *to;
	struct arena *arena;
	struct slice local, remote;
	bool up;
};

static void link_run(struct worker *w, struct bus_msg *b)
{
	struct link_msg *m = CONTAINER_OF(b, struct link_msg, bus);
	if (m->to->edge)
		edge_node_pair(m->to->edge, m->local, m->remote, m->up);
	else {
		if (m->to->ways)
			ways_link(m->to->ways, m->remote, m->up);
		gateway_link(m->to->gateway, m->local, m->remote, m->up);
	}
	arena_release(w->loop->arenas, m->arena);
}

static void link_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct link_msg, bus)->arena);
}

static void proxy_link(void *arg, struct slice local, struct slice remote, bool up)
{
	struct node *n = arg;
	/* never from inside: the gateway may be in the middle of sending on this very link */
	for (unsigned i = 0; i < pool_workers(n->app->pool); i++) {
		struct arena *a = arena_acquire(n->worker->loop->arenas);
		struct link_msg *m = ARENA_NEW(a, struct link_msg);
		*m = (struct link_msg){.bus = {.run = link_run, .drop = link_drop}, .to = &n->app->nodes[i], .arena = a, .local = arena_dup(a, local),
				       .remote = arena_dup(a, remote), .up = up};
		worker_post_always(pool_worker(n->app->pool, i), &m->bus);
	}
}

static void alive_run(struct worker *w, struct bus_msg *b)
{
	struct link_msg *m = CONTAINER_OF(b, struct link_msg, bus);
	xmpp_proxy_alive(m->to->xmpp, m->remote);
	arena_release(w->loop->arenas, m->arena);
}

static void proxy_alive(void *arg, struct slice remote)
{
	struct node *n = arg;
	struct worker *w = pool_pick(n->app->pool, remote);
	if (w == n->worker) {
		xmpp_proxy_alive(n->xmpp, remote);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct link_msg *m = ARENA_NEW(a, struct link_msg);
	*m = (struct link_msg){.bus = {.run = alive_run, .drop = link_drop}, .to = node_of(n->app, w), .arena = a, .remote = arena_dup(a, remote)};
	worker_post_always(w, &m->bus);
}

const struct xmpp_proxy_ops node_xmpp_ops = {
	.stanza = proxy_stanza, .sent = proxy_sent, .handed = proxy_handed, .link = proxy_link, .reply = proxy_reply, .alive = proxy_alive,
};

/* ---- SIP */

static unsigned sip_shard(void *arg, const struct sip_msg *m, struct arena *a)
{
	struct node *n = arg;
	struct slice user;
	unsigned worker;
	if (pool_workers(n->app->pool) == 1)
		return 0;
	if (node_access_shard(n, m, a, &worker))
		return worker;
	/* requests of a home come from the local user; answers go to requests of ours, addressed to the local user */
	return gateway_local_user(&user, a, m, m->is_request) ? pool_pick(n->app->pool, user)->id : n->worker->id;
}

static uint32_t sip_home_of(void *arg, const struct sip_msg *m)
{
	struct node *n = arg;
	uint32_t home;
	struct snapshot *s = snapshot_reader_get(&n->policy);
	return s && snapshot_local(s, m->from.uri.host, &home) ? home : UINT32_MAX;
}

static void sip_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct node *n = arg;
	if (ways_concern(n->ways, m))
		ways_request(n->ways, st, m, a, from);
	else if (node_access_carries(n, m))
		access_request(n->access, st, m, a, from);
	else
		gateway_request(n->gateway, st, m, a, from);
}

static bool sip_carried(void *arg, const struct sip_msg *m)
{
	return node_access_carries(arg, m);
}

static void sip_cancelled(void *arg, struct sip_server_trans *st)
{
	struct node *n = arg;
	if (n->access)
		access_cancelled(n->access, st);
	else
		sip_server_reply(st, 487);
}

static void sip_gone(void *arg, struct sip_server_trans *st)
{
	struct node *n = arg;
	if (n->access)
		access_gone(n->access, st);
}

static struct sip_edge *sip_edge_of(struct worker *w)
{
	struct node *n = w->state;
	return n->sip;
}

const struct sip_edge_ops node_sip_ops = {.shard = sip_shard, .home_of = sip_home_of, .request = sip_request, .carried = sip_carried,
					.cancelled = sip_cancelled, .gone = sip_gone, .edge = sip_edge_of};

static bool gw_home(void *arg, uint32_t home, struct gateway_home *ret)
{
	struct node *n = arg;
	bool ipv6;
	if (!sip_edge_home_flow(n->sip, home, &ret->flow, &ipv6))
		return false;
	ret->contact = slice_str(n->app->contact[ret->flow.transport][ipv6]);
	if (home < n->n_homes) {
		const struct node_home *h = &n->homes[home];
		ret->setting = node_home_dialect(h);
		ret->learned = (enum gateway_dialect)atomic_load(&h->place->learned);
	}
	return true;
}

enum gateway_dialect node_home_dialect(const struct node_home *h)
{
	return h->dialect == GATEWAY_DIALECT_AUTO && h->type == CONFIG_HOME_LYNC ? GATEWAY_DIALECT_LYNC : (enum gateway_dialect)h->dialect;
}

static void gw_home_learned(void *arg, uint32_t home, enum gateway_dialect dialect)
{
	struct node *n = arg;
	if (home < n->n_homes && atomic_exchange(&n->homes[home].place->learned, dialect) != (unsigned)dialect)
		log_ev(LOG_INFO, "home/dialect", {"home", slice_str(n->homes[home].place->name)},
		       {"dialect", slice_str(gateway_dialect_name(dialect))});
}

/* ---- durable records */

static void gw_contact_put(void *arg, struct slice local, struct slice remote, enum gateway_how how)
{
	static const enum store_how map[] = {STORE_BY_MESSAGE, STORE_BY_SUBSCRIBE, STORE_BY_INVITE};
	struct node *n = arg;
	struct store_contact c = {.local_user = local, .remote_user = remote, .learned_at = clock_unix(), .how = map[how]};
	store_contact_put(n->app->store, &c, NULL, NULL);
}

struct stored_msg {
	struct bus_msg bus;
	struct node *to;
	char *watcher, *presentity; /* owned */
};

static void stored_drop(struct bus_msg *b)
{
	struct stored_msg *m = CONTAINER_OF(b, struct stored_msg, bus);
	mem_free(m->watcher);
	mem_free(m->presentity);
	mem_free(m);
}

static void stored_run(struct worker *w, struct bus_msg *b)
{
	struct stored_msg *m = CONTAINER_OF(b, struct stored_msg, bus);
	(void)w;
	gateway_stored(m->to->gateway, slice_str(m->watcher), slice_str(m->presentity));
	stored_drop(b);
}

/* On the store thread. A record that could not be written keeps nobody from watching now; store/failing tells the administrator. */
static void on_stored(void *arg, int code, const struct entente_err *err)
{
	struct stored_msg *m = arg;
	(void)code, (void)err;
	worker_post_always(m->to->worker, &m->bus);
}

static bool gw_watch_put(void *arg, struct slice watcher, struct slice presentity)
{
	struct node *n = arg;
	struct store_watch w = {.watcher = watcher, .presentity = presentity, .state = STORE_WATCH_ACTIVE, .since = clock_unix()};
	struct stored_msg *m = MEM_NEW(struct stored_msg);
	*m = (struct stored_msg){.bus = {.run = stored_run, .drop = stored_drop}, .to = n, .watcher = mem_strndup(watcher.p, watcher.len),
				 .presentity = mem_strndup(presentity.p, presentity.len)};
	if (!store_watch_put(n->app->store, &w, on_stored, m))
		return true;
	stored_drop(&m->bus);
	return false;
}

static void gw_watch_delete(void *arg, struct slice watcher, struct slice presentity)
{
	struct node *n = arg;
	store_watch_delete(n->app->store, watcher, presentity, NULL, NULL);
}

static void gw_dialog_put(void *arg, struct slice id, struct slice local, struct slice remote, struct slice blob, int64_t expires_at)
{
	struct node *n = arg;
	struct store_dialog d = {.id = id, .local_user = local, .remote_user = remote, .blob = blob, .expires_at = expires_at};
	store_dialog_put(n->app->store, &d, NULL, NULL);
}

static void gw_dialog_delete(void *arg, struct slice id)
{
	struct node *n = arg;
	store_dialog_delete(n->app->store, id, NULL, NULL);
}

static void gw_seen_put(void *arg, int64_t at, struct slice records)
{
	struct node *n = arg;
	store_seen_put(n->app->store, at, records, NULL, NULL);
}

static void gw_seen_purge(void *arg, int64_t before)
{
	struct node *n = arg;
	store_seen_purge(n->app->store, before, NULL, NULL);
}

const struct gateway_ops node_gateway_ops = {
	.xmpp_send = gw_xmpp_send, .stanza_done = gw_stanza_done, .home = gw_home, .home_learned = gw_home_learned,
	.contact_put = gw_contact_put, .watch_put = gw_watch_put, .watch_delete = gw_watch_delete,
	.dialog_put = gw_dialog_put, .dialog_delete = gw_dialog_delete,
	.msrp_place = node_msrp_place, .msrp_connect = node_msrp_connect, .msrp_write = node_msrp_write, .msrp_close = node_msrp_close,
	.seen_put = gw_seen_put, .seen_purge = gw_seen_purge,
	.queue_room = node_queue_room, .queue_put = node_queue_put, .queue_end = node_queue_end, .queue_mark = node_queue_mark,
	.queue_read = node_queue_read, .queue_alone = node_queue_alone, .queue_now = node_queue_now,
};
