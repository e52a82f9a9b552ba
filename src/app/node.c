/* SPDX-License-Identifier: Apache-2.0 */
/* One worker: SIP edge, XMPP proxy and gateway, and what passes between workers. State of a local user lives on the worker that its bare address hashes
 * to, a link to a partner on the worker of the partner's domain; with one worker everything is a direct call. */
#include "app/app.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/decide.h"

static struct node *node_of(struct app *app, struct worker *w)
{
	return &app->nodes[w->id];
}

/* ---- stanzas from partners */

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

static void proxy_stanza(void *arg, struct xmpp_stanza *st)
{
	struct node *n = arg;
	struct worker *w = st->to.local.len ? pool_pick(n->app->pool, st->to.bare) : n->worker;
	if (w == n->worker) {
		gateway_stanza(n->gateway, st);
		return;
	}
	struct stanza_msg *m = ARENA_NEW(st->arena, struct stanza_msg);
	const struct xmpp_peer *peer = xmpp_peer_copy(st->arena, st->peer);
	if (!m || !peer) {
		arena_release(n->worker->loop->arenas, st->arena);
		return;
	}
	*m = (struct stanza_msg){.bus = {.run = stanza_run, .drop = stanza_drop}, .to = node_of(n->app, w), .st = *st};
	m->st.peer = peer;
	/* the partner's stream is read no faster than the workers can take it: what exceeds the queue is refused, not lost silently */
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
		arena_release(n->worker->loop->arenas, st->arena);
	}
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

static void gw_xmpp_send(void *arg, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *t)
{
	struct node *n = arg;
	struct worker *w = pool_pick(n->app->pool, remote);
	struct xmpp_ticket ticket = {.worker = n->worker->id, .kind = t->kind, .tell_sent = t->tell_sent, .id = t->id};
	if (w == n->worker) {
		xmpp_proxy_send(n->xmpp, local, remote, stanza, &ticket);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct send_msg *m = ARENA_NEW(a, struct send_msg);
	bool full = !m;
	if (m) {
		*m = (struct send_msg){.bus = {.run = send_run, .drop = send_drop}, .to = node_of(n->app, w), .arena = a, .local = arena_dup(a, local),
				       .remote = arena_dup(a, remote), .stanza = arena_dup(a, stanza), .ticket = ticket};
		full = !m->local.p || !m->remote.p || !m->stanza.p || worker_post(w, &m->bus);
	}
	if (full) {
		arena_release(n->worker->loop->arenas, a);
		if (t->id)
			gateway_sent(n->gateway, t, REASON_LIMIT_QUEUE_FULL, S("the worker of the partner is overloaded"));
	}
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
	struct gateway_ticket ticket;
	enum reason reason;
	struct slice why;
};

static void sent_run(struct worker *w, struct bus_msg *b)
{
	struct sent_msg *m = CONTAINER_OF(b, struct sent_msg, bus);
	gateway_sent(m->to->gateway, &m->ticket, m->reason, m->why);
	arena_release(w->loop->arenas, m->arena);
}

static void sent_drop(struct bus_msg *b)
{
	arena_release(NULL, CONTAINER_OF(b, struct sent_msg, bus)->arena);
}

static void proxy_sent(void *arg, const struct xmpp_ticket *t, enum reason reason, struct slice why)
{
	struct node *n = arg;
	struct gateway_ticket ticket = {.kind = t->kind, .tell_sent = t->tell_sent, .id = t->id};
	if (t->worker == n->worker->id) {
		gateway_sent(n->gateway, &ticket, reason, why);
		return;
	}
	struct arena *a = arena_acquire(n->worker->loop->arenas);
	struct sent_msg *m = ARENA_NEW(a, struct sent_msg);
	*m = (struct sent_msg){.bus = {.run = sent_run, .drop = sent_drop}, .to = &n->app->nodes[t->worker], .arena = a, .ticket = ticket, .reason = reason,
			       .why = arena_dup(a, why)};
	worker_post_always(pool_worker(n->app->pool, t->worker), &m->bus);
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
	gateway_link(m->to->gateway, m->local, m->remote, m->up);
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

static const struct xmpp_proxy_ops proxy_ops = {
	.stanza = proxy_stanza, .sent = proxy_sent, .link = proxy_link, .reply = proxy_reply, .alive = proxy_alive,
};

/* ---- SIP */

static unsigned sip_shard(void *arg, const struct sip_msg *m, struct arena *a)
{
	struct node *n = arg;
	struct slice user;
	if (pool_workers(n->app->pool) == 1)
		return 0;
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
	gateway_request(n->gateway, st, m, a, from);
}

static struct sip_edge *sip_edge_of(struct worker *w)
{
	struct node *n = w->state;
	return n->sip;
}

static const struct sip_edge_ops sip_ops = {.shard = sip_shard, .home_of = sip_home_of, .request = sip_request, .edge = sip_edge_of};

static bool gw_home(void *arg, uint32_t home, struct sip_flow *ret_flow, struct slice *ret_contact)
{
	struct node *n = arg;
	bool ipv6;
	if (!sip_edge_home_flow(n->sip, home, ret_flow, &ipv6))
		return false;
	*ret_contact = slice_str(n->app->contact[ret_flow->transport][ipv6]);
	return true;
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

static const struct gateway_ops gw_ops = {
	.xmpp_send = gw_xmpp_send, .home = gw_home, .contact_put = gw_contact_put, .watch_put = gw_watch_put, .watch_delete = gw_watch_delete,
	.dialog_put = gw_dialog_put, .dialog_delete = gw_dialog_delete,
};

/* ---- what the store remembers */

struct loading {
	struct node *node;
	uint64_t resume_ms;
	struct buf dead; /* ids of dialogs to delete, a line each */
};

static bool mine(const struct node *n, struct slice local)
{
	return pool_pick(n->app->pool, local) == n->worker;
}

static int load_contact(void *arg, const struct store_contact *c)
{
	struct loading *l = arg;
	if (mine(l->node, c->local_user))
		gateway_load_contact(l->node->gateway, c->local_user, c->remote_user);
	return 0;
}

static int load_watch(void *arg, const struct store_watch *w)
{
	enum { PACE_MS = 50 }; /* 20 a second: no storm on the home */
	struct loading *l = arg;
	if (mine(l->node, w->presentity)) {
		gateway_load_watch(l->node->gateway, w->watcher, w->presentity, l->resume_ms);
		l->resume_ms += PACE_MS;
	}
	return 0;
}

static int load_dialog(void *arg, const struct store_dialog *d)
{
	struct loading *l = arg;
	if (mine(l->node, d->local_user) && !gateway_load_dialog(l->node->gateway, d->id, d->local_user, d->remote_user, d->blob)) {
		buf_put(&l->dead, d->id);
		buf_putc(&l->dead, '\n');
	}
	return 0;
}

static int load(struct node *n, struct entente_err *err)
{
	struct loading l = {.node = n, .resume_ms = 200};
	buf_init(&l.dead, 64 << 20);
	int rc = store_load_contacts(n->app->store, load_contact, &l, err);
	if (!rc)
		rc = store_load_watches(n->app->store, load_watch, &l, err);
	if (!rc)
		rc = store_load_dialogs(n->app->store, load_dialog, &l, err);
	for (struct slice rest = buf_slice(&l.dead), id; rest.len && (id = slice_split(&rest, '\n')).len;)
		store_dialog_delete(n->app->store, id, NULL, NULL);
	buf_free(&l.dead);
	return rc;
}

/* ---- life of a node */

static struct slice *slices(const struct config_strings *in)
{
	struct slice *out = mem_calloc(in->n ? in->n : 1, sizeof *out);
	for (size_t i = 0; i < in->n; i++)
		out[i] = slice_str(in->items[i]);
	return out;
}

static int each_home(struct node *n, const struct config *cfg, struct entente_err *err)
{
	struct sip_edge_home *h = mem_calloc(cfg->n_homes, sizeof *h);
	int rc = 0;
	for (size_t i = 0; i < cfg->n_homes; i++)
		h[i] = (struct sip_edge_home){slice_str(cfg->homes[i].name), slice_str(cfg->homes[i].next_hop), slices(&cfg->homes[i].senders),
					      cfg->homes[i].senders.n};
	if (n)
		rc = sip_edge_set_homes(n->sip, h, cfg->n_homes, err);
	for (size_t i = 0; i < cfg->n_homes; i++) {
		if (!n && !rc)
			rc = sip_edge_home_check(&h[i], err);
		mem_free((void *)(uintptr_t)h[i].senders);
	}
	mem_free(h);
	return rc;
}

int nodes_check(const struct config *cfg, struct entente_err *err)
{
	return each_home(NULL, cfg, err);
}

enum { QUEUE_MAX_MS = 25000 }; /* below the 32 s of a SIP transaction: its sender must still hear of it */

static uint32_t queue_ms(const struct config *cfg)
{
	return (uint32_t)(cfg->timers_queue < QUEUE_MAX_MS ? cfg->timers_queue : QUEUE_MAX_MS);
}

static void sip_settings(struct sip_edge_settings *ret, const struct config *cfg)
{
	*ret = (struct sip_edge_settings){
		.limits = sip_limits_default, .keepalive_ms = (uint32_t)cfg->timers_keepalive, .connect_ms = (uint32_t)cfg->timers_connect,
		.queue_messages = cfg->limits_queue_messages, .queue_octets = cfg->limits_queue_size, .queue_ms = queue_ms(cfg),
		.sender_rate = (uint32_t)cfg->limits_sender_rate,
	};
	ret->limits.max_message = cfg->limits_max_sip_message;
	ret->limits.max_headers = cfg->limits_max_headers;
}

static int make_sip(struct node *n, const struct config *cfg, struct entente_err *err)
{
	struct sip_edge_config c = {.worker = n->worker, .dns = n->app->dns};
	sip_settings(&c.set, cfg);
	for (unsigned i = 0; i < 3; i++)
		c.sent_by[i] = slice_str(n->app->sent_by[i]);
	n->sip = sip_edge_new(&c, &sip_ops, n);
	sip_edge_set_tls(n->sip, n->tls);
	for (size_t i = 0; n->worker->id == 0 && i < cfg->n_sip_listen; i++) {
		struct addr at, bound;
		if (cfg->sip_listen[i].transport != CONFIG_UDP)
			continue;
		addr_parse(slice_str(cfg->sip_listen[i].address), (uint16_t)cfg->sip_listen[i].port, &at);
		int rc = sip_edge_udp(n->sip, &at, &bound, err);
		if (rc)
			return rc;
		app_tell_listener("sip/udp", &bound);
	}
	return each_home(n, cfg, err);
}

static void xmpp_settings(struct xmpp_proxy_settings *ret, const struct config *cfg)
{
	*ret = (struct xmpp_proxy_settings){
		.max_stanza = cfg->limits_max_stanza, .max_early = cfg->limits_max_stanza_before_auth, .max_depth = (unsigned)cfg->limits_max_depth,
		.max_attributes = (unsigned)cfg->limits_max_attributes, .connect_ms = (uint32_t)cfg->timers_connect,
		.auth_ms = (uint32_t)(cfg->timers_stream_setup < 30000 ? cfg->timers_stream_setup : 30000), .setup_ms = (uint32_t)cfg->timers_stream_setup,
		.dialback_ms = (uint32_t)cfg->timers_dialback, .ping_ms = (uint32_t)cfg->timers_keepalive, .idle_ms = (uint32_t)cfg->timers_stream_idle,
		.silence_ms = (uint32_t)cfg->timers_keepalive_timeout,
		.queue_ms = queue_ms(cfg), .queue_stanzas = cfg->limits_queue_messages,
		.queue_octets = cfg->limits_queue_size, .acks = cfg->xmpp_acknowledgements,
		.ack_wait_ms = 2000, /* proxies give up after five seconds without an answer */
		.retry_max_ms = 8000, .partner_rate = (uint32_t)cfg->limits_partner_rate,
		.sender_rate = (uint32_t)cfg->limits_sender_rate, .private_addresses = cfg->xmpp_private_addresses,
	};
}

static void make_xmpp(struct node *n, const struct config *cfg)
{
	unsigned char secret[STORE_SECRET_LEN];
	store_dialback_secret(n->app->store, secret);
	struct xmpp_proxy_config c = {
		.worker = n->worker, .dns = n->app->dns, .policy = &n->app->policy, .quota = n->app->quota,
		.dialback_secret = slice_of((const char *)secret, sizeof secret),
	};
	xmpp_settings(&c.set, cfg);
	n->xmpp = xmpp_proxy_new(&c, &proxy_ops, n);
	explicit_bzero(secret, sizeof secret);
	xmpp_proxy_set_tls(n->xmpp, n->tls);
}

static void make_gateway(struct node *n, const struct config *cfg)
{
	unsigned w = pool_workers(n->app->pool);
	struct gateway_config c = {
		.stack = sip_edge_stack(n->sip), .timers = &n->worker->loop->timers, .arenas = n->worker->loop->arenas, .policy = &n->app->policy,
		.service = &n->app->service, .im = interwork_im_rules_default, .errors = interwork_error_rules_default,
		.subscription_expires = (uint32_t)(cfg->timers_subscription_expires / 1000), .notify_interval_ms = (uint32_t)cfg->timers_notify_interval,
		.error_wait_ms = 500, .max_queue = 200, .max_subscriptions = cfg->limits_max_subscriptions / w + 1, .max_conversations = 20000,
		.max_subscriptions_per_user = cfg->limits_max_subscriptions_per_user, .max_contacts_per_user = cfg->limits_max_contacts_per_user,
		.subscription_minimum = (uint32_t)(cfg->timers_subscription_minimum / 1000),
		.xmpp_retry_ms = 10000,
	};
	c.im.type_normal = cfg->im_type == CONFIG_IM_NORMAL;
	c.im.max_stanza = cfg->limits_max_stanza;
	c.errors.bare_6xx = cfg->im_bare_jid_errors == CONFIG_BARE_JID_6XX;
	n->gateway = gateway_new(&c, &gw_ops, n);
}

static void node_end(struct worker *w)
{
	struct node *n = w->state;
	if (!n)
		return;
	timer_cancel(&w->loop->timers, &n->drain);
	n->gateway = gateway_free(n->gateway);
	n->xmpp = xmpp_proxy_free(n->xmpp);
	n->sip = sip_edge_free(n->sip);
	snapshot_reader_destroy(&n->policy);
	n->tls = tls_ctx_unref(n->tls);
	w->state = NULL;
}

/* ---- the end of service: first what is under way finishes, while nothing new begins; then the streams are closed */

enum { DRAIN_POLL_MS = 20 };

static void drained(void *arg)
{
	struct node *n = arg;
	worker_stopped(n->worker);
}

static void drain_fired(struct timer *t, uint64_t now)
{
	struct node *n = CONTAINER_OF(t, struct node, drain);
	struct app *app = n->app;
	size_t waiting = 0;
	atomic_store(&n->waiting, sip_stack_waiting(sip_edge_stack(n->sip)));
	for (unsigned i = 0; i < pool_workers(app->pool); i++) /* what waits there may need a link that lives here */
		waiting += atomic_load(&app->nodes[i].waiting);
	if (waiting && now < n->drain_until) {
		timer_arm(&n->worker->loop->timers, t, DRAIN_POLL_MS);
		return;
	}
	if (waiting && n->worker->id == 0)
		log_ev(LOG_WARNING, "server/drain-refused", {"text", S("some requests have had no answer in time: what waits for a stream is refused")});
	xmpp_proxy_drain(n->xmpp, drained, n);
}

static void node_stop(struct worker *w)
{
	struct node *n = w->state;
	sip_edge_quiesce(n->sip);
	xmpp_proxy_quiesce(n->xmpp);
	n->drain_until = w->loop->timers.now + n->app->drain_ms / 2; /* the other half is for the streams */
	timer_arm(&w->loop->timers, &n->drain, 0);
}

static int node_start(struct worker *w, struct entente_err *err)
{
	struct app *app = pool_arg(w->pool);
	struct node *n = node_of(app, w);
	int rc;
	n->app = app;
	n->worker = w;
	w->state = n;
	atomic_store(&n->waiting, 1);
	timer_init(&n->drain, drain_fired);
	snapshot_reader_init(&n->policy, &app->policy);
	if (app->tls && (rc = tls_ctx_new(&n->tls, app->tls, err)))
		goto out;
	if ((rc = make_sip(n, app->config, err)))
		goto out;
	make_xmpp(n, app->config);
	make_gateway(n, app->config);
	rc = load(n, err);
out:
	if (rc)
		node_end(w);
	return rc;
}

const struct pool_ops node_ops = {.start = node_start, .stop = node_stop, .end = node_end};

void node_accept_xmpp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	xmpp_proxy_accept(node_of(app, w)->xmpp, fd, false, pass);
}

void node_accept_xmpp_direct(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	xmpp_proxy_accept(node_of(app, w)->xmpp, fd, true, pass);
}

void node_accept_sip_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	sip_edge_accept(node_of(app, w)->sip, fd, false, pass);
}

void node_accept_sip_tls(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	sip_edge_accept(node_of(app, w)->sip, fd, true, pass);
}

/* ---- calls from the control thread */

struct call {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned left, refs;
	void (*fn)(struct node *n, void *arg);
	void *arg;
	bool abandoned;
	struct call_msg {
		struct bus_msg bus;
		struct call *call;
		struct node *node;
	} msgs[];
};

static void call_unref(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	bool last = --c->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (last) {
		pthread_mutex_destroy(&c->lock);
		pthread_cond_destroy(&c->cond);
		mem_free(c);
	}
}

static void call_run(struct worker *w, struct bus_msg *b)
{
	struct call_msg *m = CONTAINER_OF(b, struct call_msg, bus);
	struct call *c = m->call;
	(void)w;
	/* under the lock: the caller's data must not vanish meanwhile, and workers fill it one after the other */
	pthread_mutex_lock(&c->lock);
	if (!c->abandoned)
		c->fn(m->node, c->arg);
	c->left--;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	call_unref(c);
}

static void call_drop(struct bus_msg *b)
{
	call_unref(CONTAINER_OF(b, struct call_msg, bus)->call);
}

bool nodes_call(struct app *app, void (*fn)(struct node *, void *), void *arg)
{
	unsigned n = pool_workers(app->pool);
	struct call *c = mem_calloc(1, sizeof *c + n * sizeof *c->msgs);
	struct timespec until;
	pthread_condattr_t steady;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, &steady);
	pthread_condattr_destroy(&steady);
	c->left = n;
	c->refs = n + 1;
	c->fn = fn;
	c->arg = arg;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 5;
	for (unsigned i = 0; i < n; i++) {
		c->msgs[i] = (struct call_msg){.bus = {.run = call_run, .drop = call_drop}, .call = c, .node = &app->nodes[i]};
		worker_post_always(pool_worker(app->pool, i), &c->msgs[i].bus);
	}
	pthread_mutex_lock(&c->lock);
	while (c->left && pthread_cond_timedwait(&c->cond, &c->lock, &until) == 0)
		;
	bool ok = c->left == 0;
	c->abandoned = true;
	pthread_mutex_unlock(&c->lock);
	call_unref(c);
	return ok;
}

struct reload {
	struct tls_material *tls;
	const struct config *cfg; /* NULL: only the policy changed */
};

static void reload_node(struct node *n, void *arg)
{
	struct reload *r = arg;
	struct entente_err err;
	struct tls_ctx *ctx = NULL;
	if (r->tls && (!n->tls || tls_ctx_material(n->tls) != r->tls) && tls_ctx_new(&ctx, r->tls, &err))
		log_ev(LOG_ERROR, "server/reload-tls", {"text", slice_str(err.text)});
	if (ctx) {
		sip_edge_set_tls(n->sip, ctx);
		xmpp_proxy_set_tls(n->xmpp, ctx);
		tls_ctx_unref(n->tls);
		n->tls = ctx;
	}
	if (r->cfg) {
		struct sip_edge_settings sip;
		struct xmpp_proxy_settings xmpp;
		sip_settings(&sip, r->cfg);
		xmpp_settings(&xmpp, r->cfg);
		sip_edge_set(n->sip, &sip);
		xmpp_proxy_set(n->xmpp, &xmpp);
		if (each_home(n, r->cfg, &err))
			log_ev(LOG_ERROR, "server/reload-homes", {"text", slice_str(err.text)});
	}
	gateway_recheck(n->gateway); /* says goodbye while the streams are still there */
	xmpp_proxy_recheck(n->xmpp);
}

void nodes_reload(struct app *app, const struct config *cfg)
{
	struct reload r = {app->tls, cfg};
	if (!nodes_call(app, reload_node, &r))
		log_ev(LOG_ERROR, "server/reload-slow", {"text", S("a worker did not take the new configuration within 5 s")});
}
