/* SPDX-License-Identifier: Apache-2.0 */
/* The Access Edge in the daemon: made when sip.external-listen says where partners connect. One internal listener serves all: for each
 * request of a home the snapshot says whether its domain is the gateway's or the Access Edge's. */
#include "app/node_int.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "app/facts.h"
#include "interwork/address.h"
#include "policy/decide.h"

enum { CONTACTS_MAX = 4 << 20 };

/* ---- the process */

static void learn(void *arg, struct slice local, struct slice remote)
{
	access_contact_learn(arg, local, remote);
}

static int load_contact(void *arg, const struct store_contact *c)
{
	app_contact_loaded(c->local_user, c->remote_user, false, learn, arg);
	return 0;
}

static void own_add(struct app *app, struct slice host, uint16_t port)
{
	if (app->n_own < sizeof app->own / sizeof *app->own)
		app->own[app->n_own++] = (struct access_own){host, port};
}

/* Ours, of outer_name: what the workers share outlives the configuration that it came from. */
static struct slice outer_host(const struct app *app)
{
	struct slice name = slice_str(app->outer_name);
	return slice_first(name, (size_t)slice_find_chr(name, ':'));
}

/* "10.0.0.3:5060", "[2001:db8::3]"; the text stays in use. */
static bool member_parse(const char *text, struct access_own *ret)
{
	struct sip_uri u;
	if (strncmp(text, "sip:", 4) || sip_uri_parse(slice_str(text), &u) || u.user.len || u.params.len || !u.host.len)
		return false;
	*ret = (struct access_own){u.host, u.port};
	return true;
}

static char *member_text(const char *member)
{
	char text[APP_NAME_MAX + 8];
	return mem_strndup(text, (size_t)snprintf(text, sizeof text, "sip:%.250s", member));
}

int app_access_start(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct sip_uri u;
	snprintf(app->test_name, sizeof app->test_name, "%.250s:%u", cfg->server_name, cfg->n_sip_external_listen ? app->outer_port : 5061);
	if (!cfg->n_sip_external_listen)
		return 0;
	app->access_shared = access_shared_new(CONTACTS_MAX);
	app->access_certs = access_certs_new();
	snprintf(app->outer_name, sizeof app->outer_name, "%.250s:%u", cfg->server_name, app->outer_port);
	own_add(app, outer_host(app), app->outer_port);
	if (cfg->sip_route_name[0]) {
		snprintf(app->route_name, sizeof app->route_name, "%.250s:%u", cfg->sip_route_name, app->outer_port);
		own_add(app, slice_first(slice_str(app->route_name), strlen(cfg->sip_route_name)), app->outer_port);
	}
	for (unsigned t = 0; t < 3; t++)
		for (unsigned v6 = 0; v6 < 2; v6++)
			if (!sip_uri_parse(slice_str(app->contact[t][v6]), &u))
				own_add(app, u.host, u.port ? u.port : t == SIP_TLS ? 5061 : 5060);
	for (size_t i = 0; i < cfg->sip_pool.n && i < APP_POOL_MAX; i++) {
		struct access_own member;
		app->pool_text[i] = member_text(cfg->sip_pool.items[i]);
		if (member_parse(app->pool_text[i], &member))
			own_add(app, member.host, member.port);
	}
	return store_load_contacts(app->store, load_contact, app->access_shared, err);
}

void app_access_end(struct app *app)
{
	app->access_shared = access_shared_free(app->access_shared);
	app->access_certs = access_certs_free(app->access_certs);
	for (size_t i = 0; i < APP_POOL_MAX; i++)
		app->pool_text[i] = mem_free(app->pool_text[i]);
}

/* ---- one worker */

static bool op_home(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact)
{
	struct node *n = arg;
	bool ipv6;
	if (!sip_edge_home_flow(n->sip, home, ret, &ipv6))
		return false;
	*ret_contact = slice_str(n->app->contact[ret->transport][ipv6]);
	return true;
}

static bool op_lync(void *arg, uint32_t home)
{
	struct node *n = arg;
	return home < n->n_home_types && n->home_types[home] == CONFIG_HOME_LYNC;
}

static void op_learned(void *arg, struct slice local, struct slice remote, enum sip_method by)
{
	struct node *n = arg;
	struct store_contact c = {.local_user = local, .remote_user = remote, .learned_at = clock_unix(),
				  .how = by == SIP_SUBSCRIBE ? STORE_BY_SUBSCRIBE : by == SIP_INVITE ? STORE_BY_INVITE : STORE_BY_MESSAGE};
	store_contact_put(n->app->store, &c, NULL, NULL);
}

static bool op_user(void *arg, struct arena *a, const struct sip_uri *u, struct slice *ret)
{
	(void)arg;
	return interwork_sip_local(ret, a, u);
}

static bool op_elsewhere(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason)
{
	struct node *n = arg;
	return n->ways && ways_elsewhere(n->ways, st, m, a, from, reason);
}

static const struct access_ops ops = {.user = op_user, .home = op_home, .lync = op_lync, .learned = op_learned, .elsewhere = op_elsewhere};

/* *ret_bad: the first name that is no method that we know. */
static uint32_t methods_of(const struct config_strings *names, const char **ret_bad)
{
	uint32_t all = 0;
	for (size_t i = 0; i < names->n; i++) {
		enum sip_method m = sip_method_of(slice_str(names->items[i]));
		if (m)
			all |= 1u << m;
		else if (ret_bad)
			*ret_bad = names->items[i];
	}
	if (all & 1u << SIP_INVITE) /* a session that begins also ends */
		all |= 1u << SIP_ACK | 1u << SIP_BYE | 1u << SIP_CANCEL;
	return all;
}

int app_access_check(const struct config *cfg, struct entente_err *err)
{
	const char *bad = NULL;
	struct access_own member;
	struct policy_domain d;
	if (cfg->sip_route_name[0] && !policy_domain_make(&d, slice_str(cfg->sip_route_name)))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "sip.route-name: %s is no domain name", cfg->sip_route_name);
	if (cfg->sip_pool.n > APP_POOL_MAX)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "sip.pool: more than %d members", APP_POOL_MAX);
	for (size_t i = 0; i < cfg->sip_pool.n; i++) {
		char *text = member_text(cfg->sip_pool.items[i]);
		bool good = member_parse(text, &member);
		mem_free(text);
		if (!good)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "sip.pool: %s is no address with a port", cfg->sip_pool.items[i]);
	}
	methods_of(&cfg->sip_federated_methods, &bad);
	return bad ? err_set(err, ENTENTE_EINVAL, REASON_NONE, "sip.federated-methods: %s is not a method that can be carried", bad) : 0;
}

static void settings(struct access_settings *ret, struct app *app, const struct config *cfg)
{
	char secrets[APP_SECRETS];
	*ret = (struct access_settings){
		.limits = sip_limits_default,
		.connect_ms = (uint32_t)cfg->timers_connect,
		.keepalive_ms = (uint32_t)cfg->timers_keepalive,
		.unproven_ms = (uint32_t)cfg->timers_stream_authentication,
		.stuck_ms = (uint32_t)cfg->timers_slow_reader,
		.conns_per_partner = (uint32_t)cfg->limits_max_connections_per_partner,
		.queue_octets = cfg->limits_queue_size,
		.sips_fallback = cfg->sip_sips_fallback,
		.revocation_hard = cfg->tls_revocation == CONFIG_REVOCATION_HARD,
	};
	ret->limits.max_message = cfg->limits_max_sip_message;
	ret->limits.max_headers = cfg->limits_max_headers;
	ret->rules = access_rules_default;
	ret->rules.telephone = cfg->sip_telephone_numbers;
	ret->rules.hide = cfg->sip_hide_topology;
	access_hide_keys(&ret->rules.keys, app_secrets(app, secrets));
	explicit_bzero(secrets, sizeof secrets);
	ret->rules.public_diagnostics = cfg->sip_diagnostics_outside;
	if (cfg->sip_federated_methods.n)
		ret->rules.methods = methods_of(&cfg->sip_federated_methods, NULL);
}

void node_access_set(struct node *n, const struct config *cfg)
{
	struct access_settings set;
	if (!n->access)
		return;
	mem_free(n->home_types);
	n->home_types = mem_calloc(cfg->n_homes ? cfg->n_homes : 1, sizeof *n->home_types);
	n->n_home_types = cfg->n_homes;
	for (size_t i = 0; i < cfg->n_homes; i++)
		n->home_types[i] = cfg->homes[i].type;
	settings(&set, n->app, cfg);
	access_set(n->access, &set);
}

void node_access_make(struct node *n, const struct config *cfg)
{
	struct app *app = n->app;
	struct sip_tests_config t = {.worker = n->worker, .dns = app->dns, .policy = &app->policy, .name = slice_str(app->test_name)};
	struct access_config c = {.worker = n->worker, .dns = app->dns, .policy = &app->policy, .shared = app->access_shared, .trace = app->trace,
				  .inner = sip_edge_stack(n->sip), .name = outer_host(app), .outer_name = slice_str(app->outer_name), .route_name = slice_str(app->route_name),
				  .own = app->own, .n_own = app->n_own, .max_transactions = cfg->limits_max_transactions};
	if (app->role == CONFIG_ALL) {
		n->sip_tests = sip_tests_new(&t);
		sip_tests_set_tls(n->sip_tests, n->tls);
	}
	if (!app->access_shared)
		return;
	c.certs = app->access_certs;
	c.revocation = app->revocation;
	c.records = n->records;
	settings(&c.set, app, cfg);
	n->access = access_new(&c, &ops, n);
	access_set_tls(n->access, n->tls);
	node_access_set(n, cfg);
}

void node_access_end(struct node *n)
{
	n->sip_tests = sip_tests_free(n->sip_tests);
	n->access = access_free(n->access);
	mem_free(n->home_types);
	n->home_types = NULL;
	n->n_home_types = 0;
}

void node_accept_access(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	access_accept(node_of(app, w)->access, fd, pass);
}

/* ---- what the internal side asks */

bool node_access_carries(struct node *n, const struct sip_msg *m)
{
	struct snapshot *s = n->access ? snapshot_reader_get(&n->policy) : NULL;
	return s && (ways_concern(n->ways, m) || policy_is_sip(s, access_target(m)));
}

/* Few connections with one partner, and order for each user: a user's requests leave from one of as many workers as there may be
 * connections. An answer goes to the worker that asked. */
bool node_access_shard(struct node *n, const struct sip_msg *m, struct arena *a, unsigned *ret)
{
	unsigned workers = pool_workers(n->app->pool);
	struct slice user;
	if (!n->access)
		return false;
	if (!m->is_request)
		return access_branch_worker(m, ret) && *ret < workers;
	if (!node_access_carries(n, m) || ways_concern(n->ways, m)) /* what may end at the gateway goes where the gateway has its user */
		return false;
	uint32_t max = snapshot_access(snapshot_reader_get(&n->policy))->tls_count;
	if (!gateway_local_user(&user, a, m, true))
		user = m->from.uri.user;
	*ret = (unsigned)(hash_slice_nocase(user) % (workers < max ? workers : max));
	return true;
}
