/* SPDX-License-Identifier: Apache-2.0 */
/* entented: command line, signals, start and stop. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include "app/app.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { EXIT_USAGE = 2, EXIT_UNAVAILABLE = 69, EXIT_CANTCREAT = 73, EXIT_CONFIG = 78, DRAIN_DEFAULT_MS = 10000 };

static const char usage[] =
	"Usage: entented [--config FILE] [--check] [--version]\n"
	"  -c, --config FILE  configuration (default /etc/entente/entente.yaml)\n"
	"      --check        read the configuration, report what is wrong, end\n"
	"      --version      print the version\n"
	"  -h, --help         this text\n"
	"Signals: HUP reloads, TERM and INT drain and stop (a second one stops at once).\n"
	"See entented(8), entente.conf(5); the command line tool is entente(1).\n";

/* ---- start-up pieces */

/* What each transport of ours is called in Via and Contact: the first listener of it; by name when it listens everywhere. */
static void name_ourselves(struct app *app, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_sip_listen; i++) {
		const struct config_sip_listen *l = &cfg->sip_listen[i];
		char *dst = app->sent_by[l->transport];
		struct addr a;
		if (*dst || !addr_parse(slice_str(l->address), (uint16_t)l->port, &a))
			continue;
		if (addr_is_any(&a))
			snprintf(dst, sizeof app->sent_by[0], "%.70s:%u", cfg->server_name, (unsigned)l->port);
		else
			addr_text(&a, dst);
	}
	for (unsigned t = 0; t < 3; t++) {
		static const char *const param[] = {"", ";transport=tcp", ";transport=tls"};
		unsigned use = t;
		for (unsigned k = 0; k < 3 && !app->sent_by[use][0]; k++) /* a home over a transport that we do not listen on */
			use = k;
		snprintf(app->contact[t], sizeof app->contact[t], "sip:%s%s", app->sent_by[use], param[use]);
	}
}

static int load_tls(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct tls_material *m = NULL;
	if (cfg->tls_certificate[0]) {
		struct tls_settings s = {.server_chain = cfg->tls_certificate, .server_key = cfg->tls_key,
					 .trust_file = cfg->tls_trust[0] ? cfg->tls_trust : NULL, .alpn = {"xmpp-server"}};
		int rc = tls_material_load(&m, &s, err);
		if (rc)
			return rc;
		const struct tls_peer *f = tls_material_facts(m, TLS_SLOT_SERVER);
		if (f && f->not_after && f->not_after < clock_unix() + 14 * 86400)
			log_ev(LOG_WARNING, "tls/expires-soon", {"certificate", slice_str(cfg->tls_certificate)},
			       {"text", f->not_after < clock_unix() ? S("our certificate has expired: renew it, then reload") : S("our certificate expires within 14 days: renew it, then reload")});
		if (f && f->n_xmpp)
			log_ev(LOG_WARNING, "tls/xmpp-addr", {"certificate", slice_str(cfg->tls_certificate)},
			       {"text", S("the certificate holds an id-on-xmppAddr name: ejabberd before 24 ends streams because of it; use dNSName only")});
	}
	tls_material_unref(app->tls);
	app->tls = m;
	return 0;
}

static void refused(void *arg, const struct addr *from, const char *why)
{
	char z[ADDR_TEXT];
	(void)arg;
	addr_text(from, z);
	log_ev(LOG_WARNING, "net/connection-refused", {"address", slice_str(z)}, {"limit", slice_str(why)}, {"reason", S("limit/connections")});
}

static int listen_on(struct app *app, const char *address, uint64_t port, struct gate *gate,
		     void (*accepted)(void *, struct worker *, int, const struct addr *, struct gate_pass *), struct entente_err *err)
{
	struct listener_opts o = {.gate = gate, .pool = app->pool, .accepted = accepted, .refused = refused, .arg = app};
	if (app->n_listeners == sizeof app->listeners / sizeof *app->listeners)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "more than %zu listeners are configured", app->n_listeners);
	addr_parse(slice_str(address), (uint16_t)port, &o.addr);
	int rc = listener_new(&app->listeners[app->n_listeners], pool_control(app->pool)->loop, &o, err);
	if (!rc)
		app->n_listeners++;
	return rc;
}

static int open_listeners(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct gate_limits x = {.total = cfg->limits_max_connections, .per_source = cfg->limits_max_connections_per_address, .rate_per_minute = 600, .burst = 200};
	struct gate_limits s = {.total = cfg->limits_max_connections};
	int rc;
	app->xmpp_gate = gate_new(&x);
	app->sip_gate = gate_new(&s);
	for (size_t i = 0; i < cfg->n_xmpp_listen; i++) {
		const struct config_xmpp_listen *l = &cfg->xmpp_listen[i];
		if ((rc = listen_on(app, l->address, l->port, app->xmpp_gate, l->tls == CONFIG_DIRECT ? node_accept_xmpp_direct : node_accept_xmpp, err)))
			return rc;
	}
	for (size_t i = 0; i < cfg->n_sip_listen; i++) {
		const struct config_sip_listen *l = &cfg->sip_listen[i];
		if (l->transport == CONFIG_UDP)
			continue; /* worker 0 opens these */
		if (l->transport == CONFIG_TLS && !app->tls)
			return err_set(err, ENTENTE_ETLS, REASON_NONE, "sip.listen has a TLS listener but tls.certificate is not set");
		if ((rc = listen_on(app, l->address, l->port, app->sip_gate, l->transport == CONFIG_TLS ? node_accept_sip_tls : node_accept_sip_tcp, err)))
			return rc;
	}
	return 0;
}

static void store_health(void *arg, bool failing, const struct entente_err *err)
{
	(void)arg;
	if (failing)
		log_ev(LOG_ERROR, "store/failing", {"reason", S("server/store")}, {"text", slice_str(err->text)});
	else
		log_ev(LOG_INFO, "store/recovered", {"text", S("the database can be written again")});
}

static int open_store(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct store_options o = {.directory = cfg->server_state_directory, .health = store_health, .arg = app};
	if (mkdir(o.directory, 0700) && access(o.directory, W_OK))
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "the state directory %s cannot be written: create it for the daemon's user",
			       o.directory);
	return store_open(&app->store, &o, err);
}

static int open_dns(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct dns_opts o = {.servers = cfg->dns_servers.items, .n_servers = cfg->dns_servers.n, .timeout_ms = (unsigned)cfg->timers_dns,
			     .trust_anchor_file = cfg->dns_trust_anchor[0] ? cfg->dns_trust_anchor : NULL};
	if (!o.n_servers)
		o.servers = NULL;
	return dns_new(&app->dns, pool_control(app->pool), &o, err);
}

/* ---- reload */

int app_reload(struct app *app, struct config_errors *errs)
{
	struct config *cfg = NULL;
	struct entente_err err;
	struct buf text;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_ms() * 1000);
	int rc = config_load(&cfg, app->config_path, errs);
	if (rc) {
		buf_init(&text, 16384);
		config_errors_print(&text, app->config_path, errs);
		log_ev(LOG_ERROR, "server/reload-refused", {"text", buf_slice(&text)});
		buf_free(&text);
		goto out;
	}
	if ((rc = load_tls(app, cfg, &err)) || (rc = app_publish(app, cfg, &err))) {
		log_ev(LOG_ERROR, "server/reload-refused", {"text", slice_str(err.text)});
		errs->n_errors = errs->n = 1;
		errs->list[0] = (struct config_error){0};
		slice_cstr(slice_str(err.text), errs->list[0].text, sizeof errs->list[0].text);
		config_free(cfg);
		goto out;
	}
	log_set_level((enum log_level)cfg->log_level);
	log_set_trace(cfg->log_trace);
	struct gate_limits x = {.total = cfg->limits_max_connections, .per_source = cfg->limits_max_connections_per_address, .rate_per_minute = 600, .burst = 200};
	gate_set_limits(app->xmpp_gate, &x);
	bool homes = cfg->n_homes != app->config->n_homes;
	for (size_t i = 0; !homes && i < cfg->n_homes; i++)
		homes = strcmp(cfg->homes[i].next_hop, app->config->homes[i].next_hop) || strcmp(cfg->homes[i].name, app->config->homes[i].name);
	nodes_reload(app, homes ? cfg : NULL);
	config_free(app->config);
	app->config = cfg;
	log_ev(LOG_INFO, "server/reloaded", {"config", slice_str(app->config_path)});
out:
	sd_notify(0, "READY=1");
	return rc;
}

static void on_signal(void *arg, int signo)
{
	struct app *app = arg;
	struct config_errors errs;
	if (signo == SIGHUP) {
		app_reload(app, &errs);
		return;
	}
	if (app->stopping) {
		log_ev(LOG_WARNING, "server/stopped-at-once", {"text", S("second signal")});
		_exit(0);
	}
	app->stopping = true;
	loop_stop(pool_control(app->pool)->loop);
}

/* ---- main */

static int start(struct app *app, struct entente_err *err)
{
	const struct config *cfg = app->config;
	struct pool_opts po = {.workers = (unsigned)cfg->server_workers, .ops = &node_ops, .arg = app};
	struct loop *control;
	int rc;
	name_ourselves(app, cfg);
	snprintf(app->service_url, sizeof app->service_url, "https://%.255s/entente", cfg->server_name);
	app->service = (struct xmpp_service){.name = S("Entente"), .url = slice_str(app->service_url)};
	xmpp_service_init(&app->service);
	snapshot_slot_init(&app->policy, NULL);
	app->quota = xmpp_quota_new();
	if ((rc = load_tls(app, cfg, err)) || (rc = open_store(app, cfg, err)) || (rc = app_publish(app, cfg, err)) || (rc = pool_new(&app->pool, &po, err)) ||
	    (rc = open_dns(app, cfg, err)))
		return rc;
	app->nodes = mem_calloc(pool_workers(app->pool), sizeof *app->nodes);
	if ((rc = pool_start(app->pool, err)) || (rc = open_listeners(app, cfg, err)) || (rc = control_open(&app->control, app, err)))
		return rc;
	control = pool_control(app->pool)->loop;
	loop_signal(control, SIGHUP, on_signal, app);
	loop_signal(control, SIGTERM, on_signal, app);
	loop_signal(control, SIGINT, on_signal, app);
	return 0;
}

static void stop(struct app *app)
{
	app->control = control_close(app->control);
	for (size_t i = 0; i < app->n_listeners; i++)
		listener_free(app->listeners[i]);
	if (app->pool) {
		if (!pool_stop(app->pool, app->config->timers_drain ? app->config->timers_drain : 1))
			log_ev(LOG_WARNING, "server/drain-cut", {"text", S("work under way did not finish in time")});
		app->dns = dns_free(app->dns);
		app->pool = pool_free(app->pool);
	}
	mem_free(app->nodes);
	xmpp_quota_free(app->quota);
	gate_unref(app->xmpp_gate);
	gate_unref(app->sip_gate);
	tls_material_unref(app->tls);
	store_close(app->store);
	snapshot_slot_destroy(&app->policy);
	config_free(app->config);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'C'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	static struct app app = {.config_path = "/etc/entente/entente.yaml"};
	struct config_errors errs;
	struct entente_err err = {0};
	bool check = false;
	for (int o; (o = getopt_long(argc, argv, "c:h", opts, NULL)) != -1;) {
		switch (o) {
		case 'c':
			app.config_path = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'V':
			puts("entented " ENTENTE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "entented: unexpected argument: %s\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	int rc = config_load(&app.config, app.config_path, &errs);
	if (errs.n) {
		struct buf text;
		buf_init(&text, 65536);
		config_errors_print(&text, app.config_path, &errs);
		fwrite(buf_slice(&text).p, 1, text.len, stderr);
		buf_free(&text);
	}
	if (rc)
		return EXIT_CONFIG;
	if (check) {
		config_free(app.config);
		return 0;
	}
	log_set_level((enum log_level)app.config->log_level);
	log_set_trace(app.config->log_trace);
	app.started_ms = clock_ms();
	app.started_at = clock_unix();
	rc = start(&app, &err);
	if (rc) {
		log_ev(LOG_ERROR, "server/start-failed", {"reason", slice_str(reason_info(err.reason)->id)}, {"text", slice_str(err.text)});
		stop(&app);
		return rc == ENTENTE_EIO || rc == ENTENTE_ESTORE ? EXIT_CANTCREAT : rc == ENTENTE_ETLS ? EXIT_CONFIG : EXIT_UNAVAILABLE;
	}
	char workers[16];
	snprintf(workers, sizeof workers, "%u", pool_workers(app.pool));
	log_ev(LOG_INFO, "server/ready", {"version", S(ENTENTE_VERSION)}, {"workers", slice_str(workers)}, {"name", slice_str(app.config->server_name)});
	sd_notifyf(0, "READY=1\nSTATUS=federating for %zu homes", app.config->n_homes);
	pool_run(app.pool);
	sd_notify(0, "STOPPING=1");
	log_ev(LOG_INFO, "server/stopping", {"text", S("draining")});
	stop(&app);
	log_ev(LOG_INFO, "server/stopped", {"version", S(ENTENTE_VERSION)});
	return 0;
}
