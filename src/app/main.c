/* SPDX-License-Identifier: Apache-2.0 */
/* entented: command line, signals, start and stop. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include "api/api.h"
#include "app/dialects.h"
#include "app/app.h"
#include "app/crash.h"
#include "app/facts.h"
#include "app/health.h"
#include "app/probes.h"
#include "app/queue.h"
#include "app/queue_clock.h"
#include "app/split.h"
#include "app/starts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keeper/keeper.h"
#include "net/kept.h"

enum { EXIT_USAGE = 2, EXIT_UNAVAILABLE = 69, EXIT_SOFTWARE = 70, EXIT_CANTCREAT = 73, EXIT_CONFIG = 78 };

enum {
	STOP_MS = 10000, /* beyond timers.drain, for the disk */
	LOST_MS = 1000,  /* instead of timers.drain, without keys: whoever connects now is not served before the next start */
};

static const char usage[] =
	"Usage: entented [--config FILE] [--check] [--version]\n"
	"  -c, --config FILE  configuration (default /etc/entente/entente.yaml)\n"
	"      --check        read the configuration, report what is wrong, end\n"
	"      --version      print the version\n"
	"  -h, --help         this text\n"
	"Signals: HUP reloads, TERM and INT drain and stop (a second one stops at once); INT also hangs up the\n"
	"sessions with SIP users, which else go on at the next start.\n"
	"See entented(8), entente.conf(5); the command line tool is entente(1).\n";

/* ---- start-up pieces */

static void store_health(void *arg, bool failing, const struct entente_err *err)
{
	struct app *app = arg;
	atomic_store(&app->store_failing, failing);
	if (failing)
		log_ev(LOG_ERROR, "store/failing", {"reason", S("server/store")}, {"text", slice_str(err->text)});
	else
		log_ev(LOG_INFO, "store/recovered", {"text", S("the database can be written again")});
}

static int open_store(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct store_options o = {.directory = cfg->server_state_directory, .health = store_health, .arg = app};
	if (mkdir(o.directory, 0700) && access(o.directory, W_OK))
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE,
			       "the state directory %s cannot be written: create it for the daemon's user", o.directory);
	char path[4200];
	snprintf(path, sizeof path, "%.4000s/entente.db", o.directory);
	o.checked = starts_found_sound(path);
	int rc = store_open(&app->store, &o, err);
	if (!rc)
		starts_note_sound(path);
	return rc;
}

static int open_dns(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct dns_opts o = {.servers = cfg->dns_servers.items,
			     .n_servers = cfg->dns_servers.n,
			     .timeout_ms = (unsigned)cfg->timers_dns,
			     .trust_anchor_file = cfg->dns_trust_anchor[0] ? cfg->dns_trust_anchor : NULL};
	if (!o.n_servers)
		o.servers = NULL;
	return dns_new(&app->dns, pool_control(app->pool), &o, err);
}

static int open_revocation(struct app *app, const struct config *cfg)
{
	struct revocation_settings s;
	app_revocation_settings(&s, cfg);
	app->revocation = revocation_new(pool_control(app->pool), app->dns, &s);
	return 0;
}

static void unwanted(void *arg, const char *name)
{
	(void)arg;
	log_ev(LOG_INFO, "net/not-listening", {"socket", slice_str(name)}, {"text", S("it was kept, but the configuration does not want it any more")});
}

static void on_signal(void *arg, int signo)
{
	struct app *app = arg;
	if (signo == SIGHUP) {
		if (!app->stopping)
			control_reload(app->control);
		return;
	}
	if (app->stopping) {
		log_ev(LOG_WARNING, "server/stopped-at-once", {"text", S("a second signal: what was under way is cut off")});
		if (app->store)
			store_flush(app->store);
		_exit(0);
	}
	app->stopping = true;
	app->keep_sessions = signo == SIGTERM;
	starts_planned_end();
	loop_stop(pool_control(app->pool)->loop);
}

static void certificate_fired(struct timer *t, uint64_t now)
{
	enum { HALF_A_DAY_MS = 12 * 3600 * 1000 };
	struct app *app = CONTAINER_OF(t, struct app, certificate);
	(void)now;
	app_look_at_certificate(app);
	timer_arm(&pool_control(app->pool)->loop->timers, t, HALF_A_DAY_MS);
}

/* At the next threshold of any certificate; and now and then, for partners that have come since. */
static void expiring_fired(struct timer *t, uint64_t now)
{
	enum { TEN_MINUTES_S = 600 };
	struct app *app = CONTAINER_OF(t, struct app, expiring);
	(void)now;
	int64_t next = certificates_watch(app), at = clock_unix(), wait = next == INT64_MAX || next - at > TEN_MINUTES_S ? TEN_MINUTES_S : next - at;
	timer_arm(&pool_control(app->pool)->loop->timers, t, wait < 1 ? 1000 : (uint64_t)wait * 1000);
}

/* Both clocks are read at once: the loop's is old when something took long. */
static int64_t wall_offset(void)
{
	return clock_unix() - (int64_t)(clock_ms() / 1000);
}

/* Nothing that is timed here knows the clock of the day (base/timer.h); certificates, the log and the lifetimes in the database do. */
static void wall_fired(struct timer *t, uint64_t now)
{
	enum { LOOK_MS = 2000, JUMP_S = 30 };
	struct app *app = CONTAINER_OF(t, struct app, wall);
	struct timers *q = &pool_control(app->pool)->loop->timers;
	int64_t offset = wall_offset(), by = offset - app->wall_offset;
	(void)now;
	if (by > JUMP_S || by < -JUMP_S) {
		char seconds[24];
		snprintf(seconds, sizeof seconds, "%lld", (long long)by);
		log_ev(LOG_WARNING, "server/clock-jumped", {"seconds", slice_str(seconds)},
		       {"text", S("the clock of the day is not where it was: certificates are judged by the new one")});
		app->wall_offset = offset;
		timer_arm(q, &app->expiring, 0);
		timer_arm(q, &app->certificate, 0);
	}
	timer_arm(q, t, LOOK_MS);
}

/* ---- main */

/* A commit that was cut short is brought to its end; and the policy tests have their say, though at the start they keep nothing out. */
static void recover(struct app *app)
{
	struct config_errors errs = {0};
	struct entente_err err = {0};
	if (app->role == CONFIG_EDGE)
		return;
	if (control_recover(app->control, &err)) {
		log_ev(LOG_WARNING, "server/commit-completed", {"config", slice_str(app->config_path)});
		app_reload(app, &errs);
	}
	if (*err.text)
		log_ev(LOG_ERROR, "server/commit-incomplete", {"config", slice_str(app->config_path)}, {"text", slice_str(err.text)});
	struct snapshot *s = snapshot_slot_acquire(&app->policy);
	if (s && app->config->n_policy_tests && control_policy_tests(app->control, app->config, s, &errs))
		for (size_t i = 0; i < errs.n; i++)
			log_ev(LOG_WARNING, "policy/test-failed", {"text", slice_str(errs.list[i].text)});
	snapshot_unref(s);
}

/* Everything that can be refused because of the configuration, the disk or the machine comes before anything is sent to anybody.
 * *ret_exit: what the exit status will be when the present step fails. */
static int start(struct app *app, int *ret_exit, struct entente_err *err)
{
	const struct config *cfg = app->config;
	struct pool_opts po = {.workers = (unsigned)cfg->server_workers, .queue = APP_BUS_QUEUE, .ops = &node_ops, .arg = app,
			       .loop = {.arena_max = app_arena_max(cfg)}};
	int rc;
	snprintf(app->service_url, sizeof app->service_url, "https://%.255s/entente", cfg->server_name);
	app->service = (struct xmpp_service){.name = S("Entente"), .url = slice_str(app->service_url)};
	xmpp_service_init(&app->service);
	snapshot_slot_init(&app->policy, NULL);
	app->quota = xmpp_quota_new();
	app->routes = xmpp_routes_new();
	app->history = xmpp_history_new();
	app->tests = xmpp_tests_new();
	app->trace = trace_new(cfg->limits_trace_buffer);
	app->pace = pace_new();
	app->seen = xmpp_seen_new();
	app->dialects = dialects_new();
	app->role = (enum config_role)cfg->server_role;
	*ret_exit = EXIT_UNAVAILABLE;
	if ((rc = keys_start(app, cfg, err)))
		return rc;
	*ret_exit = EXIT_CONFIG;
	if ((rc = app_check(cfg, err)) || (rc = app_use_secrets(app, cfg, err)) || (rc = app_load_tls(&app->tls, cfg, err)) || (rc = split_new(&app->split, app, cfg, err)))
		return rc;
	*ret_exit = EXIT_UNAVAILABLE;
	crash_watch();
	queue_clock_look();
	if ((rc = app_confine(app, cfg, err)))
		return rc;
	if ((rc = pool_new(&app->pool, &po, err)))
		return rc;
	*ret_exit = EXIT_CANTCREAT;
	if (app->role != CONFIG_EDGE && ((rc = open_store(app, cfg, err)) || (rc = app_queue_open(app, cfg, err)) || (rc = app_publish(app, cfg, err))))
		return rc;
	if ((rc = control_open(&app->control, app, err)))
		return rc;
	*ret_exit = EXIT_CONFIG;
	if ((rc = open_dns(app, cfg, err)) || (rc = open_revocation(app, cfg)))
		return rc;
	*ret_exit = EXIT_UNAVAILABLE;
	app->nodes = mem_calloc(pool_workers(app->pool), sizeof *app->nodes);
	if (app->queue)
		app_queue_nodes(app);
	struct api_opts api = {.control = pool_control(app->pool), .admin = control_admin(app->control), .store = app->store, .cfg = cfg};
	if ((rc = metrics_http_open(&app->metrics, app, cfg, err)) || (rc = api_open(&app->api, &api, err)) || (rc = app_listen(app, cfg, err)) ||
	    (rc = app_access_start(app, cfg, err)) || (rc = pool_start(app->pool, err)))
		return rc;
	kept_end(unwanted, NULL);
	keys_watch(app);
	recover(app);
	struct loop *control = pool_control(app->pool)->loop;
	loop_signal(control, SIGHUP, on_signal, app);
	loop_signal(control, SIGTERM, on_signal, app);
	loop_signal(control, SIGINT, on_signal, app);
	app->config_at = clock_unix();
	app->health = health_new(app);
	app->probes = probes_new(app);
	timer_init(&app->certificate, certificate_fired);
	timer_arm(&control->timers, &app->certificate, 0);
	timer_init(&app->expiring, expiring_fired);
	timer_arm(&control->timers, &app->expiring, 0);
	app->wall_offset = wall_offset();
	timer_init(&app->wall, wall_fired);
	timer_arm(&control->timers, &app->wall, 0);
	return 0;
}

static void stop(struct app *app)
{
	for (size_t i = 0; i < app->n_listeners; i++)
		listener_free(app->listeners[i]);
	if (app->pool) {
		app->drain_ms = app->keys_lost && app->config->timers_drain > LOST_MS ? LOST_MS : app->config->timers_drain;
		if (!pool_stop(app->pool, app->drain_ms ? app->drain_ms : 1))
			log_ev(LOG_WARNING, "server/drain-cut",
			       {"text", S("some partners did not close their streams within timers.drain: cut off")});
		app->metrics = metrics_http_close(app->metrics);
		app->api = api_close(app->api);
		app->probes = probes_free(app->probes);
		app->control = control_close(app->control);
		app->revocation = revocation_free(app->revocation);
		app->dns = dns_free(app->dns);
		if (app->store)
			store_flush(app->store); /* what it completes is told to workers */
		app_queue_close(app);
		keys_unwatch(app);
		app->pool = pool_free(app->pool);
		app_queue_free(app);
		app->health = health_free(app->health); /* its questions may have waited there until now */
	}
	sandbox_paths_free(app->paths);
	expiry_watch_free(&app->expiry);
	mem_free(app->nodes);
	xmpp_quota_free(app->quota);
	xmpp_routes_free(app->routes);
	xmpp_history_free(app->history);
	xmpp_tests_free(app->tests);
	trace_free(app->trace);
	pace_unref(app->pace);
	xmpp_seen_free(app->seen);
	dialects_free(app->dialects);
	gate_unref(app->xmpp_gate);
	gate_unref(app->sip_gate);
	gate_unref(app->access_gate);
	gate_unref(app->msrp_gate);
	app_access_end(app);
	gate_unref(app->link_gate);
	split_free(app->split);
	tls_material_unref(app->tls);
	keys_stop(app);
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
	keeper_child_main(argc, argv);
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
		rc = app_check(app.config, &err);
		if (rc)
			fprintf(stderr, "%s: error: %s\n", app.config_path, err.text);
		config_free(app.config);
		return rc ? EXIT_CONFIG : 0;
	}
	log_journal(NULL);
	log_set_level((enum log_level)app.config->log_level);
	log_set_trace(app.config->log_trace);
	kept_begin();
	if (!starts_begin())
		return 0;
	app.started_ms = clock_ms();
	app.started_at = clock_unix();
	int code = EXIT_UNAVAILABLE;
	rc = start(&app, &code, &err);
	if (rc) {
		log_ev(LOG_ERROR, "server/start-failed",
		       {"reason", err.reason ? slice_str(reason_info(err.reason)->id) : SLICE_NONE},
		       {"text", slice_str(err.text)});
		stop(&app);
		/* a database of a newer version: trying again does not help */
		return rc == ENTENTE_EEXIST ? EXIT_UNAVAILABLE : rc == ENTENTE_EUNSUPPORTED ? EXIT_CONFIG : code;
	}
	char workers[16];
	snprintf(workers, sizeof workers, "%u", pool_workers(app.pool));
	log_ev(LOG_INFO, "server/ready", {"version", S(ENTENTE_VERSION)}, {"workers", slice_str(workers)},
	       {"role", slice_str(app_role_name(&app))}, {"name", slice_str(app.config->server_name)});
	app_status(&app);
	control_note(app.control, "service", "start");
	pool_run(app.pool);
	unsigned long long rest = ((unsigned long long)app.config->timers_drain + STOP_MS) * 1000;
	sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nWATCHDOG=1\nWATCHDOG_USEC=%llu", rest, 2 * rest);
	control_note(app.control, "service", "stop");
	log_ev(LOG_INFO, "server/stopping", {"text", S("no new work is taken, what is under way finishes")});
	stop(&app);
	log_ev(LOG_INFO, "server/stopped", {"version", S(ENTENTE_VERSION)});
	return app.keys_lost ? EXIT_SOFTWARE : 0;
}
