/* SPDX-License-Identifier: Apache-2.0 */
/* server.key-process: the process that keeps the private keys, as the daemon has it. */
#include <event2/event.h>
#include <unistd.h>
#include "app/app.h"
#include "app/json.h"
#include "base/log.h"
#include "keeper/keeper.h"
#include "plan/install.h"

/* A lane for each worker, and one for those who load keys. */
static unsigned lanes(const struct config *cfg)
{
	long n = cfg->server_workers ? (long)cfg->server_workers : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 2 : n + 1 > KEEPER_LANES ? KEEPER_LANES : (unsigned)n + 1;
}

int keys_start(struct app *app, const struct config *cfg, struct entente_err *err)
{
	/* what a reload may name is in the same places; one elsewhere takes a restart, as a certificate elsewhere does (app_confined) */
	const char *const known[] = {cfg->tls_key, cfg->tls_client_key, cfg->link_key, cfg->admin_key, app->config_path};
	const char *beside[KEEPER_FOLDERS];
	char folder[PLAN_PATH_MAX], own[PLAN_PATH_MAX + 8];
	struct keeper_opts o = {.lanes = lanes(cfg), .confine = cfg->server_sandbox != SANDBOX_OFF, .program = "/proc/self/exe", .beside = beside};
	for (size_t i = 0; o.confine && i < sizeof known / sizeof *known; i++)
		if (*known[i])
			beside[o.n_beside++] = known[i];
	if (o.confine && plan_key_folder(folder, app->config_path)) {
		snprintf(own, sizeof own, "%s/a.key", folder);
		beside[o.n_beside++] = own;
	}
	if (!cfg->server_key_process)
		return 0;
	int rc = keeper_start(&app->keeper, &o, err);
	if (rc)
		return rc;
	tls_set_keeper(app->keeper);
	struct keeper_facts f;
	char pid[16];
	keeper_facts(app->keeper, &f);
	if (cfg->server_sandbox == SANDBOX_REQUIRED && !f.confined)
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "server.sandbox is required, but the process that keeps the private keys cannot be restricted here (seccomp)");
	snprintf(pid, sizeof pid, "%ld", (long)f.pid);
	log_ev(LOG_INFO, "server/keys", {"pid", slice_str(pid)}, {"seccomp", f.confined ? S("yes") : S("no")},
	       {"locked", f.locked ? S("yes") : S("no")}, {"text", S("private keys are with a process of their own")});
	return 0;
}

/* What it held cannot be had again from here: whoever starts us starts it, too. */
static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;
	char why[128], text[300];
	(void)fd, (void)what;
	if (!keeper_ended(app->keeper, why, sizeof why))
		return;
	event_del(app->keeper_watch);
	app->keys_lost = true;
	snprintf(text, sizeof text, "the process that keeps the private keys is gone: %s; without it no connection can be proven ours, so the server ends too and is started again with it", why);
	log_ev(LOG_ERROR, "server/keys-lost", {"reason", slice_str(reason_info(REASON_SERVER_INTERNAL)->id)}, {"text", slice_str(text)});
	app->stopping = true;
	loop_stop(pool_control(app->pool)->loop);
}

void keys_watch(struct app *app)
{
	if (!app->keeper)
		return;
	app->keeper_watch = event_new(pool_control(app->pool)->loop->base, keeper_fd(app->keeper), EV_READ | EV_PERSIST, on_end, app);
	event_add(app->keeper_watch, NULL);
}

void keys_unwatch(struct app *app)
{
	if (app->keeper_watch)
		event_free(app->keeper_watch);
	app->keeper_watch = NULL;
}

void keys_stop(struct app *app)
{
	keys_unwatch(app);
	tls_set_keeper(NULL);
	app->keeper = keeper_free(app->keeper);
}

void keys_facts(const struct app *app, json_t *object)
{
	struct keeper_facts f;
	json_t *o = json_object();
	json_object_set_new(o, "process", json_string(app->keeper ? "own" : "server"));
	if (app->keeper) {
		keeper_facts(app->keeper, &f);
		json_put_int(o, "pid", (uint64_t)f.pid);
		json_put_int(o, "held", f.keys);
		json_put_int(o, "signatures", f.signatures);
		json_put_int(o, "failed", f.failed);
		json_put_int(o, "microseconds", f.busy_us);
		json_object_set_new(o, "seccomp", json_boolean(f.confined));
		json_object_set_new(o, "locked", json_boolean(f.locked));
	}
	json_object_set_new(object, "keys", o);
}
