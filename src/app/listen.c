/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets, and what the homes are told to call us. */
#include <stdio.h>
#include <sys/resource.h>
#include "app/app.h"
#include "app/split.h"
#include "base/log.h"

enum { CONNECTIONS_PER_MINUTE = 600, CONNECTIONS_AT_ONCE = 200 }; /* from one address */

void app_tell_listener(const char *what, const struct addr *at)
{
	char z[ADDR_TEXT];
	addr_text(at, z);
	log_ev(LOG_INFO, "net/listening", {"service", slice_str(what)}, {"address", slice_str(z)});
}

static void refused(void *arg, const struct addr *from, const char *why)
{
	char z[ADDR_TEXT];
	(void)arg;
	addr_host_text(from, z);
	log_ev_limited(LOG_WARNING, "net/connection-refused", slice_str(z), {"address", slice_str(z)}, {"limit", slice_str(why)},
		       {"reason", slice_str(reason_info(REASON_LIMIT_CONNECTIONS)->id)});
}

/* Each connection is a descriptor; the soft limit is often 1024 and may be raised by everybody. */
static void allow_descriptors(const struct config *cfg)
{
	enum { OTHERS = 200 }; /* listeners, homes, the database, libunbound */
	struct rlimit r;
	char have[24], need[24];
	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	if (r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r))
			getrlimit(RLIMIT_NOFILE, &r);
	}
	if (r.rlim_cur == RLIM_INFINITY || r.rlim_cur >= cfg->limits_max_connections + OTHERS)
		return;
	snprintf(have, sizeof have, "%llu", (unsigned long long)r.rlim_cur);
	snprintf(need, sizeof need, "%llu", (unsigned long long)cfg->limits_max_connections + OTHERS);
	log_ev(LOG_WARNING, "server/descriptors", {"limit", slice_str(have)}, {"needed", slice_str(need)},
	       {"text", S("limits.max-connections cannot be reached: raise LimitNOFILE of the unit, or ulimit -n")});
}

void app_set_gates(struct app *app, const struct config *cfg)
{
	allow_descriptors(cfg);
	struct gate_limits x = {.total = cfg->limits_max_connections, .per_source = cfg->limits_max_connections_per_address,
				.rate_per_minute = CONNECTIONS_PER_MINUTE, .burst = CONNECTIONS_AT_ONCE,
				.unproven = cfg->limits_max_unproven, .unproven_per_network = cfg->limits_max_unproven_per_network,
				.handshakes = (unsigned)cfg->limits_handshake_rate,
				.handshakes_per_network = (unsigned)cfg->limits_handshake_rate_per_network};
	struct gate_limits s = {.total = cfg->limits_max_connections}; /* homes are exempt, strangers are held down by the edge */
	struct gate_limits m = {.total = cfg->msrp_max_connections};
	struct gate_limits l = {.total = 4 * POOL_WORKERS_MAX, .per_source = 2 * POOL_WORKERS_MAX, .rate_per_minute = CONNECTIONS_PER_MINUTE,
				.burst = CONNECTIONS_AT_ONCE};
	if (!app->xmpp_gate) {
		app->xmpp_gate = gate_new(&x);
		app->sip_gate = gate_new(&s);
		app->link_gate = gate_new(&l);
		app->access_gate = gate_new(&x);
		app->msrp_gate = gate_new(&m);
	}
	gate_set_limits(app->xmpp_gate, &x);
	gate_set_limits(app->sip_gate, &s);
	gate_set_limits(app->access_gate, &x);
	gate_set_limits(app->msrp_gate, &m);
}

static int listen_on(struct app *app, const char *what, const char *address, uint64_t port, struct gate *gate,
		     void (*accepted)(void *, struct worker *, int, const struct addr *, struct gate_pass *),
		     struct addr *ret_bound, struct entente_err *err)
{
	struct listener_opts o = {.gate = gate, .pool = app->pool, .accepted = accepted, .refused = refused, .arg = app, .kept = LISTENER_KEPT};
	if (app->n_listeners == sizeof app->listeners / sizeof *app->listeners)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "more than %zu listeners are configured", app->n_listeners);
	addr_parse(slice_str(address), (uint16_t)port, &o.addr);
	int rc = listener_new(&app->listeners[app->n_listeners], pool_control(app->pool)->loop, &o, err);
	if (rc)
		return rc;
	*ret_bound = *listener_addr(app->listeners[app->n_listeners++]);
	app_tell_listener(what, ret_bound);
	return 0;
}

/* ---- names: in Via and Contact */

struct own { /* a SIP listener */
	unsigned transport;
	struct addr addr;
};

static void name_of(const struct own *o, const char *server_name, char *dst, size_t size)
{
	char z[ADDR_TEXT];
	addr_text(&o->addr, z);
	if (!addr_port(&o->addr)) /* UDP, port 0 */
		addr_host_text(&o->addr, z);
	if (!addr_is_any(&o->addr))
		snprintf(dst, size, "%s", z);
	else if (addr_port(&o->addr))
		snprintf(dst, size, "%.250s:%u", server_name, addr_port(&o->addr));
	else
		snprintf(dst, size, "%.250s", server_name);
}

/* The listener for homes of a transport and a family: the transport counts for more, and a home's request needs some way in at
 * all. */
static const struct own *best(const struct own *own, size_t n, unsigned transport, bool ipv6)
{
	const struct own *found = NULL;
	unsigned score = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned s = 1 + (own[i].transport == transport) * 4 + (addr_is_v6(&own[i].addr) == ipv6) * 2;
		if (s > score) {
			score = s;
			found = &own[i];
		}
	}
	return found;
}

static void name_ourselves(struct app *app, const struct config *cfg, const struct own *own, size_t n)
{
	static const char *const param[] = {"", ";transport=tcp", ";transport=tls"};
	for (size_t i = 0; i < n; i++)
		if (!app->sent_by[own[i].transport][0])
			name_of(&own[i], cfg->server_name, app->sent_by[own[i].transport], sizeof app->sent_by[0]);
	for (unsigned t = 0; t < 3; t++) {
		for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
			const struct own *o = best(own, n, t, ipv6);
			char name[APP_NAME_MAX];
			if (o && o->transport == SIP_TLS && addr_port(&o->addr)) /* what our certificate names (RFC 5922 7.5) */
				snprintf(name, sizeof name, "%.250s:%u", cfg->server_name, addr_port(&o->addr));
			else if (o)
				name_of(o, cfg->server_name, name, sizeof name);
			else
				snprintf(name, sizeof name, "%.250s", cfg->server_name);
			snprintf(app->contact[t][ipv6], sizeof app->contact[t][ipv6], "sip:%s%s", name,
				 o ? param[o->transport] : "");
		}
	}
}

static int open_partners(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct addr bound;
	for (size_t i = 0; i < cfg->n_xmpp_listen; i++) {
		const struct config_xmpp_listen *l = &cfg->xmpp_listen[i];
		bool direct = l->tls == CONFIG_DIRECT;
		int rc = listen_on(app, direct ? "xmpp/direct-tls" : "xmpp", l->address, l->port, app->xmpp_gate,
				   direct ? node_accept_xmpp_direct : node_accept_xmpp, &bound, err);
		if (rc)
			return rc;
	}
	app->serving = true;
	return 0;
}

int app_serve(struct app *app, struct entente_err *err)
{
	return app->serving ? 0 : open_partners(app, app->config, err);
}

/* Nobody may come in before there is a policy, but an address that cannot be had is better known at the start. */
static int try_partners(struct app *app, const struct config *cfg, struct entente_err *err)
{
	for (size_t i = 0; i < cfg->n_xmpp_listen; i++) {
		struct listener_opts o = {.pool = app->pool, .accepted = node_accept_xmpp, .arg = app, .kept = LISTENER_TRIED};
		struct listener *l;
		addr_parse(slice_str(cfg->xmpp_listen[i].address), (uint16_t)cfg->xmpp_listen[i].port, &o.addr);
		int rc = listener_new(&l, pool_control(app->pool)->loop, &o, err);
		if (rc)
			return rc;
		listener_free(l);
	}
	return 0;
}

static int open_link(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct addr bound;
	for (size_t i = 0; i < cfg->n_link_listen; i++) {
		int rc = listen_on(app, "link", cfg->link_listen[i].address, cfg->link_listen[i].port, app->link_gate, edge_accept, &bound, err);
		if (rc)
			return rc;
	}
	return 0;
}

int app_listen(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct own own[32];
	struct addr bound;
	size_t n = 0;
	int rc;
	app_set_gates(app, cfg);
	if (app->role == CONFIG_EDGE)
		return (rc = try_partners(app, cfg, err)) ? rc : open_link(app, cfg, err);
	if (app->role == CONFIG_ALL && (rc = open_partners(app, cfg, err)))
		return rc;
	for (size_t i = 0; i < cfg->n_sip_listen; i++) {
		const struct config_sip_listen *l = &cfg->sip_listen[i];
		bool tls = l->transport == CONFIG_TLS;
		if (n == sizeof own / sizeof *own)
			return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "more than %zu SIP listeners are configured", n);
		if (l->transport == CONFIG_UDP) /* worker 0 opens these */
			addr_parse(slice_str(l->address), (uint16_t)l->port, &bound);
		else if ((rc = listen_on(app, tls ? "sip/tls" : "sip/tcp", l->address, l->port, app->sip_gate,
					 tls ? node_accept_sip_tls : node_accept_sip_tcp, &bound, err)))
			return rc;
		own[n++] = (struct own){l->transport, bound};
	}
	for (size_t i = 0; i < cfg->n_sip_external_listen; i++) {
		const struct config_sip_external_listen *l = &cfg->sip_external_listen[i];
		if ((rc = listen_on(app, "sip/partners", l->address, l->port, app->access_gate, node_accept_access, &bound, err)))
			return rc;
		if (!i)
			app->outer_port = addr_port(&bound);
	}
	for (size_t i = 0; i < cfg->n_msrp_listen; i++) {
		const struct config_msrp_listen *l = &cfg->msrp_listen[i];
		bool tls = l->transport == CONFIG_MSRP_TLS;
		if ((rc = listen_on(app, tls ? "msrp/tls" : "msrp/tcp", l->address, l->port, app->msrp_gate, tls ? node_accept_msrp_tls : node_accept_msrp_tcp,
				    &bound, err)))
			return rc;
		app_msrp_place(app, cfg, tls, &bound);
	}
	name_ourselves(app, cfg, own, n);
	return 0;
}
