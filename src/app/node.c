/* SPDX-License-Identifier: Apache-2.0 */
/* One worker: SIP edge, XMPP proxy and gateway; how they are made, changed and ended. */
#include "app/node_int.h"
#include "app/dialects.h"
#include "app/queue.h"
#include "app/seeing.h"

#include "app/split.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "app/facts.h"
#include "base/rand.h"

/* ---- what the store remembers */

struct loading {
	struct node *node;
	struct buf dead; /* ids of dialogs to delete, a line each */
};

static bool mine(const struct node *n, struct slice local)
{
	return pool_pick(n->app->pool, local) == n->worker;
}

static void contact_loaded(void *arg, struct slice local, struct slice remote)
{
	struct loading *l = arg;
	if (mine(l->node, local))
		gateway_load_contact(l->node->gateway, local, remote);
}

static int load_contact(void *arg, const struct store_contact *c)
{
	app_contact_loaded(c->local_user, c->remote_user, true, contact_loaded, arg);
	return 0;
}

static int load_watch(void *arg, const struct store_watch *w)
{
	struct loading *l = arg;
	if (mine(l->node, w->presentity))
		gateway_load_watch(l->node->gateway, w->watcher, w->presentity, GATEWAY_RESUME);
	return 0;
}

static int load_dialog(void *arg, const struct store_dialog *d)
{
	struct loading *l = arg;
	if (mine(l->node, d->local_user) &&
	    !gateway_load_dialog(l->node->gateway, d->id, d->local_user, d->remote_user, d->blob)) {
		buf_put(&l->dead, d->id);
		buf_putc(&l->dead, '\n');
	}
	return 0;
}

static int load_seen(void *arg, struct slice records)
{
	struct loading *l = arg;
	gateway_load_seen(l->node->gateway, records);
	return 0;
}

static int load(struct node *n, struct entente_err *err)
{
	struct loading l = {.node = n};
	buf_init(&l.dead, 64 << 20);
	int rc = store_load_seen(n->app->store, load_seen, &l, err);
	if (!rc)
		rc = store_load_contacts(n->app->store, load_contact, &l, err);
	if (!rc)
		rc = store_load_watches(n->app->store, load_watch, &l, err);
	if (!rc)
		rc = store_load_dialogs(n->app->store, load_dialog, &l, err);
	if (!rc)
		node_queue_load(n);
	for (struct slice rest = buf_slice(&l.dead), id; rest.len && (id = slice_split(&rest, '\n')).len;)
		store_dialog_delete(n->app->store, id, NULL, NULL);
	gateway_resume(n->gateway, n->app->config->timers_resubscribe_spread);
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
		h[i] = (struct sip_edge_home){slice_str(cfg->homes[i].name), slice_str(cfg->homes[i].next_hop),
					      slices(&cfg->homes[i].senders), cfg->homes[i].senders.n, slices(&cfg->homes[i].further_next_hops),
					      cfg->homes[i].further_next_hops.n, (enum sip_edge_probe)cfg->homes[i].probe};
	if (n)
		rc = sip_edge_set_homes(n->sip, h, cfg->n_homes, err);
	for (size_t i = 0; i < cfg->n_homes; i++) {
		if (!n && !rc)
			rc = sip_edge_home_check(&h[i], err);
		mem_free((void *)(uintptr_t)h[i].senders);
		mem_free((void *)(uintptr_t)h[i].further);
	}
	mem_free(h);
	return rc;
}

static void set_dialects(struct node *n, const struct config *cfg)
{
	mem_free(n->homes);
	n->homes = mem_calloc(cfg->n_homes ? cfg->n_homes : 1, sizeof *n->homes);
	n->n_homes = cfg->n_homes;
	for (size_t i = 0; i < cfg->n_homes; i++)
		n->homes[i] = (struct node_home){cfg->homes[i].dialect, cfg->homes[i].type,
						 dialects_of(n->app->dialects, slice_str(cfg->homes[i].name))};
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
		.limits = sip_limits_default,
		.keepalive_ms = (uint32_t)cfg->timers_keepalive,
		.connect_ms = (uint32_t)cfg->timers_connect,
		.queue_messages = cfg->limits_queue_messages,
		.queue_octets = cfg->limits_queue_size,
		.queue_ms = queue_ms(cfg),
		.sender_rate = (uint32_t)cfg->limits_sender_rate,
	};
	ret->limits.max_message = cfg->limits_max_sip_message;
	ret->limits.max_headers = cfg->limits_max_headers;
}

static int make_sip(struct node *n, const struct config *cfg, struct entente_err *err)
{
	struct sip_edge_config c = {.worker = n->worker, .dns = n->app->dns, .trace = n->app->trace};
	sip_settings(&c.set, cfg);
	for (unsigned i = 0; i < 3; i++)
		c.sent_by[i] = slice_str(n->app->sent_by[i]);
	n->sip = sip_edge_new(&c, &node_sip_ops, n);
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
	set_dialects(n, cfg);
	return each_home(n, cfg, err);
}

static void xmpp_settings(struct xmpp_proxy_settings *ret, const struct config *cfg)
{
	*ret = (struct xmpp_proxy_settings){
		.max_stanza = cfg->limits_max_stanza,
		.max_early = cfg->limits_max_stanza_before_auth,
		.max_depth = (unsigned)cfg->limits_max_depth,
		.max_attributes = (unsigned)cfg->limits_max_attributes,
		.connect_ms = (uint32_t)cfg->timers_connect,
		.auth_ms = (uint32_t)(cfg->timers_stream_authentication < cfg->timers_stream_setup ? cfg->timers_stream_authentication : cfg->timers_stream_setup),
		.setup_ms = (uint32_t)cfg->timers_stream_setup,
		.dialback_ms = (uint32_t)cfg->timers_dialback,
		.ping_ms = (uint32_t)cfg->timers_keepalive,
		.idle_ms = (uint32_t)cfg->timers_stream_idle,
		.silence_ms = (uint32_t)cfg->timers_keepalive_timeout,
		.queue_ms = queue_ms(cfg),
		.queue_stanzas = cfg->limits_queue_messages,
		.queue_octets = cfg->limits_queue_size,
		.kept = cfg->queue_unreachable == CONFIG_UNREACHABLE_KEEP,
		.bidi = cfg->xmpp_bidirectional,
		.acks = cfg->xmpp_acknowledgements,
		.ack_wait_ms = (uint32_t)cfg->timers_acknowledgement,
		.retry_max_ms = (uint32_t)cfg->timers_retry,
		.partner_rate = (uint32_t)cfg->limits_partner_rate,
		.sender_rate = (uint32_t)cfg->limits_sender_rate,
		.private_addresses = cfg->xmpp_private_addresses,
		.revocation_hard = cfg->tls_revocation == CONFIG_REVOCATION_HARD,
		.dane = cfg->xmpp_dane && *cfg->dns_trust_anchor,
	};
}

static void make_xmpp(struct node *n, const struct config *cfg)
{
	char text[APP_SECRETS], own[32];
	struct slice secret = app_secrets(n->app, text);
	if (!secret.len) { /* until the gateway pushes its own */
		rand_bytes(own, sizeof own);
		secret = slice_of(own, sizeof own);
	}
	struct xmpp_proxy_config c = {
		.worker = n->worker, .dns = n->app->dns, .policy = &n->app->policy, .quota = n->app->quota, .revocation = n->app->revocation,
		.routes = n->app->routes,
		.history = n->app->history, .tests = n->app->tests, .trace = n->app->trace,
		.pace = n->app->pace, .seen = n->app->seen,
		.dialback_secret = secret,
	};
	xmpp_settings(&c.set, cfg);
	n->xmpp = xmpp_proxy_new(&c, &node_xmpp_ops, n);
	explicit_bzero(text, sizeof text);
	xmpp_proxy_set_tls(n->xmpp, n->tls);
}

static void gateway_settings(struct gateway_config *ret, const struct config *cfg, unsigned workers)
{
	ret->im = interwork_im_rules_default;
	ret->im.type_normal = cfg->im_type == CONFIG_IM_NORMAL;
	ret->im.max_stanza = cfg->limits_max_stanza;
	ret->im.xhtml = cfg->im_xhtml;
	ret->group_notice = cfg->im_group_chat_notice;
	ret->errors = interwork_error_rules_default;
	ret->errors.bare_6xx = cfg->im_bare_jid_errors == CONFIG_BARE_JID_6XX;
	ret->signals = (struct gateway_signals){
		.typing = cfg->im_typing,
		.receipts = cfg->im_receipts,
		.notices = cfg->im_failure_notices,
		.by_answer = (enum gateway_by_answer)cfg->im_receipts_by_answer,
		.life_ms = cfg->im_receipt_life,
	};
	ret->subscription_expires = (uint32_t)(cfg->timers_subscription_expires / 1000);
	ret->subscription_minimum = (uint32_t)(cfg->timers_subscription_minimum / 1000);
	ret->notify_interval_ms = (uint32_t)cfg->timers_notify_interval;
	ret->busy_away = cfg->presence_busy == CONFIG_BUSY_AWAY;
	ret->subscribe_rate = (uint32_t)((cfg->limits_subscribe_rate + workers - 1) / workers);
	ret->absence_s = (uint32_t)(cfg->timers_watcher_absence / 1000);
	ret->watcher_probe_s = (uint32_t)(cfg->timers_watcher_probe / 1000);
	ret->max_subscriptions = cfg->limits_max_subscriptions / workers + 1;
	ret->max_subscriptions_per_user = cfg->limits_max_subscriptions_per_user;
	ret->max_contacts_per_user = cfg->limits_max_contacts_per_user;
	ret->max_sessions_per_user = cfg->limits_max_sessions_per_user;
	ret->max_queue_octets = cfg->limits_queue_size;
	ret->max_msrp_message = cfg->msrp_max_message;
	ret->queue_lifetime_s = (uint32_t)(cfg->queue_lifetime / 1000);
	ret->queue_keep = cfg->queue_unreachable == CONFIG_UNREACHABLE_KEEP;
}

static void make_gateway(struct node *n, const struct config *cfg)
{
	struct gateway_config c = {
		.stack = sip_edge_stack(n->sip),
		.timers = &n->worker->loop->timers,
		.arenas = n->worker->loop->arenas,
		.policy = &n->app->policy,
		.records = n->records,
		.service = &n->app->service,
		.error_wait_ms = 500,
		.max_queue = 200,
		.max_conversations = 20000,
		.xmpp_retry_ms = 10000,
	};
	unsigned char secret[STORE_SECRET_LEN];
	store_dialback_secret(n->app->store, secret);
	memcpy(c.seen_secret, secret, sizeof c.seen_secret);
	c.under_way = node_queue_under_way(n);
	gateway_settings(&c, cfg, pool_workers(n->app->pool));
	n->gateway = gateway_new(&c, &node_gateway_ops, n);
}

static void node_end(struct worker *w)
{
	struct node *n = w->state;
	if (!n)
		return;
	timer_cancel(&w->loop->timers, &n->drain);
	seeing_node_end(n);
	node_access_end(n);
	mem_free(n->homes);
	n->homes = NULL;
	n->n_homes = 0;
	n->remote = gw_node_free(n->remote);
	n->gateway = gateway_free(n->gateway);
	n->msrp = msrp_edge_free(n->msrp);
	n->xmpp = xmpp_proxy_free(n->xmpp);
	n->edge = edge_node_free(n->edge);
	n->sip = sip_edge_free(n->sip);
	n->ways = ways_free(n->ways);
	n->records = record_log_free(n->records);
	snapshot_reader_destroy(&n->policy);
	n->tls = tls_ctx_unref(n->tls);
	n->link_tls = tls_ctx_unref(n->link_tls);
	w->state = NULL;
}

/* ---- the end of service: first what is under way finishes, while nothing new begins; then the streams are closed */

enum { DRAIN_POLL_MS = 20 };

static bool all_drained(const struct app *app)
{
	bool all = true;
	for (unsigned i = 0; i < pool_workers(app->pool); i++)
		all = all && atomic_load(&app->nodes[i].drained);
	return all;
}

static void drained(void *arg)
{
	struct node *n = arg;
	if (!n->edge) {
		worker_stopped(n->worker);
		return;
	}
	atomic_store(&n->drained, true); /* the links go last: what became of the stanzas must still be told */
	timer_arm(&n->worker->loop->timers, &n->drain, 0);
}

static size_t unanswered(const struct node *n)
{
	if (n->edge)
		return edge_node_busy(n->edge);
	/* What came on a stream may still be on its way to the worker that it is for, where nothing of it can be seen. */
	return sip_stack_waiting(sip_edge_stack(n->sip)) + (n->access ? access_waiting(n->access) : 0) + (n->xmpp ? xmpp_proxy_leaving(n->xmpp) : 0);
}

static void drain_fired(struct timer *t, uint64_t now)
{
	struct node *n = CONTAINER_OF(t, struct node, drain);
	struct app *app = n->app;
	size_t waiting = 0;
	if (atomic_load(&n->drained)) { /* an edge */
		if (!all_drained(app)) {
			timer_arm(&n->worker->loop->timers, t, DRAIN_POLL_MS);
			return;
		}
		edge_node_close(n->edge);
		worker_stopped(n->worker);
		return;
	}
	atomic_store(&n->waiting, unanswered(n));
	for (unsigned i = 0; i < pool_workers(app->pool); i++) /* what waits there may need a link that lives here */
		waiting += atomic_load(&app->nodes[i].waiting);
	if (waiting && now < n->drain_until) {
		timer_arm(&n->worker->loop->timers, t, DRAIN_POLL_MS);
		return;
	}
	if (waiting && n->worker->id == 0)
		log_ev(LOG_WARNING, "server/drain-refused",
		       {"text", S("some requests have had no answer in time: what waits for a stream is refused")});
	if (n->gateway && n->app->keep_sessions)
		gateway_keep_sessions(n->gateway);
	if (n->remote) {
		gw_node_close(n->remote);
		worker_stopped(n->worker);
	} else {
		xmpp_proxy_drain(n->xmpp, drained, n);
	}
}

static void node_stop(struct worker *w)
{
	struct node *n = w->state;
	if (n->sip)
		sip_edge_quiesce(n->sip);
	if (n->access)
		access_quiesce(n->access);
	if (n->sip_tests)
		sip_tests_end(n->sip_tests);
	if (n->xmpp)
		xmpp_proxy_quiesce(n->xmpp);
	if (n->edge)
		edge_node_leave(n->edge);
	if (n->remote)
		gw_node_leave(n->remote);
	if (n->gateway)
		gateway_drain(n->gateway, n->app->keep_sessions);
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
	atomic_store(&n->drained, false);
	timer_init(&n->drain, drain_fired);
	list_init(&n->deciding);
	snapshot_reader_init(&n->policy, &app->policy);
	if (app->tls && (rc = tls_ctx_new(&n->tls, app->tls, err)))
		goto out;
	if (app->split && (rc = split_context(app, &n->link_tls, err)))
		goto out;
	if (app->role != CONFIG_EDGE && (rc = make_sip(n, app->config, err)))
		goto out;
	if (app->role != CONFIG_GATEWAY)
		make_xmpp(n, app->config);
	if (app->role == CONFIG_EDGE) {
		n->edge = edge_node_new(n, app->config);
		goto out;
	}
	if (app->role == CONFIG_GATEWAY)
		n->remote = gw_node_new(n, app->config);
	n->records = record_log_new(app->config->limits_decision_log / pool_workers(app->pool), w->id, &w->loop->timers.now, clock_unix() * 1000);
	node_msrp_make(n, app->config);
	make_gateway(n, app->config);
	node_access_make(n, app->config);
	if (n->xmpp && n->access)
		n->ways = ways_new(n);
	rc = load(n, err);
out:
	if (rc)
		node_end(w);
	return rc;
}

const struct pool_ops node_ops = {.start = node_start, .stop = node_stop, .end = node_end};

/* ---- accepted connections */

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

/* ---- reload */

struct reload {
	struct tls_material *tls, *link_tls;
	const struct config *cfg; /* NULL: only the policy changed */
};

static struct tls_ctx *context(struct tls_material *m, const struct tls_ctx *old)
{
	struct entente_err err;
	struct tls_ctx *ctx = NULL;
	if (m && (!old || tls_ctx_material(old) != m) && tls_ctx_new(&ctx, m, &err))
		log_ev(LOG_ERROR, "server/reload-tls", {"text", slice_str(err.text)});
	return ctx;
}

static void reload_tls(struct node *n, const struct reload *r)
{
	struct tls_ctx *ctx = context(r->tls, n->tls), *link = context(r->link_tls, n->link_tls);
	if (ctx) {
		if (n->sip)
			sip_edge_set_tls(n->sip, ctx);
		if (n->msrp)
			msrp_edge_set_tls(n->msrp, ctx);
		if (n->access)
			access_set_tls(n->access, ctx);
		if (n->sip_tests)
			sip_tests_set_tls(n->sip_tests, ctx);
		if (n->xmpp)
			xmpp_proxy_set_tls(n->xmpp, ctx);
		tls_ctx_unref(n->tls);
		n->tls = ctx;
	}
	if (link) {
		tls_ctx_unref(n->link_tls);
		n->link_tls = link;
	}
}

static void change_xmpp(struct node *n, const struct xmpp_proxy_settings *set)
{
	char text[APP_SECRETS];
	struct slice secret = app_secrets(n->app, text);
	xmpp_proxy_set(n->xmpp, set);
	if (secret.len)
		xmpp_proxy_set_secret(n->xmpp, secret);
	explicit_bzero(text, sizeof text);
}

size_t app_arena_max(const struct config *cfg)
{
	enum { LEAST = 1 << 20, TIMES = 4 };
	uint64_t most =
		cfg->limits_max_stanza > cfg->limits_max_sip_message ? cfg->limits_max_stanza : cfg->limits_max_sip_message;
	return TIMES * most > LEAST ? (size_t)(TIMES * most) : LEAST;
}

static void reload_settings(struct node *n, const struct config *cfg)
{
	struct sip_edge_settings sip;
	struct xmpp_proxy_settings xmpp;
	struct gateway_config gateway;
	struct entente_err err;
	arena_pool_set_max(n->worker->loop->arenas, app_arena_max(cfg));
	sip_settings(&sip, cfg);
	xmpp_settings(&xmpp, cfg);
	gateway_settings(&gateway, cfg, pool_workers(n->app->pool));
	if (n->sip)
		sip_edge_set(n->sip, &sip);
	if (n->xmpp)
		change_xmpp(n, &xmpp);
	if (n->gateway)
		gateway_set(n->gateway, &gateway);
	if (n->edge)
		edge_node_set(n->edge, cfg, n->link_tls);
	if (n->remote)
		gw_node_set(n->remote, cfg, n->link_tls);
	node_access_set(n, cfg);
	node_msrp_set(n, cfg);
	if (n->sip)
		set_dialects(n, cfg);
	if (n->sip && each_home(n, cfg, &err))
		log_ev(LOG_ERROR, "server/reload-homes", {"text", slice_str(err.text)});
}

static void reload_node(struct node *n, void *arg)
{
	struct reload *r = arg;
	reload_tls(n, r);
	if (r->cfg)
		reload_settings(n, r->cfg);
	if (n->gateway)
		gateway_recheck(n->gateway); /* says goodbye while the streams are still there */
	if (n->remote)
		gw_node_policy(n->remote);
	if (n->xmpp)
		xmpp_proxy_recheck(n->xmpp);
}

void nodes_reload(struct app *app, const struct config *cfg)
{
	struct reload r = {app->tls, app->split ? split_tls(app) : NULL, cfg};
	if (!nodes_call(app, reload_node, &r))
		log_ev(LOG_ERROR, "server/reload-slow", {"text", S("a worker did not take the new configuration within 5 s")});
}
