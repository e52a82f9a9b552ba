/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, checks of a configuration that need more than the file, and the change from one configuration to the next. */
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include "api/api.h"
#include "app/app.h"
#include "app/probes.h"
#include "app/queue.h"
#include "app/split.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "plan/certificates.h"

/* ---- certificates */

void app_look_at_certificate(const struct app *app)
{
	struct config_errors found = {0};
	plan_certificates(app->config, &found);
	for (size_t i = 0; i < found.n; i++)
		log_ev(found.list[i].warning ? LOG_WARNING : LOG_ERROR, "tls/certificate", {"setting", slice_str(found.list[i].key)},
		       {"text", slice_str(found.list[i].text)});
}

int app_load_tls(struct tls_material **ret, const struct config *cfg, struct entente_err *err)
{
	struct tls_settings s;
	*ret = NULL;
	if (!plan_tls_settings(&s, cfg))
		return 0;
	s.sessions = cfg->limits_max_connections; /* after a cut all partners resume */
	return tls_material_load(ret, &s, err);
}

void app_revocation_settings(struct revocation_settings *ret, const struct config *cfg)
{
	*ret = (struct revocation_settings){.off = cfg->tls_revocation == CONFIG_REVOCATION_OFF, .timeout_ms = (uint32_t)cfg->tls_revocation_timeout,
					    .list_max = (size_t)cfg->tls_revocation_size, .private_ok = cfg->tls_revocation_private};
}

/* ---- what the parser cannot know */

int app_check(const struct config *cfg, struct entente_err *err)
{
	bool udp = false, tls = *cfg->tls_certificate;
	for (size_t i = 0; i < cfg->n_sip_listen; i++) {
		udp |= cfg->sip_listen[i].transport == CONFIG_UDP;
		if (cfg->sip_listen[i].transport == CONFIG_TLS && !tls)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE,
				       "sip.listen has a TLS listener but tls.certificate is not set");
	}
	for (size_t i = 0; i < cfg->n_homes; i++) {
		struct sip_uri uri;
		struct slice t = SLICE_NONE;
		const struct config_homes *h = &cfg->homes[i];
		if (sip_uri_parse(slice_str(h->next_hop), &uri))
			continue;
		bool named = sip_uri_param(&uri, S("transport"), &t), sips = uri.scheme == SIP_SCHEME_SIPS;
		if (!sips && (!named || slice_ieq(t, S("udp"))) && !udp)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE,
				       "home %s is reached by UDP, but sip.listen has no listener with transport udp: nothing "
				       "can be sent from there",
				       h->name);
		if ((sips || slice_ieq(t, S("tls"))) && !tls)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE,
				       "home %s is reached by TLS, but tls.certificate is not set", h->name);
	}
	struct addr at;
	int rc = app_check_secrets(cfg, err);
	if (!rc)
		rc = api_check(cfg, err);
	if (!rc)
		rc = app_access_check(cfg, err);
	if (!rc)
		rc = app_msrp_check(cfg, err);
	if (rc)
		return rc;
	rc = cfg->metrics_listen[0] ? metrics_http_address(cfg, &at, err) : 0;
	return rc ? rc : nodes_check(cfg, err);
}

/* ---- places of homes */

static const struct config_homes *home_named(const struct config *c, const char *name)
{
	for (size_t i = 0; *name && i < c->n_homes; i++)
		if (!strcmp(c->homes[i].name, name))
			return &c->homes[i];
	return NULL;
}

/* A home keeps its place from one configuration to the next, and a place that becomes free stays so: flows, subscriptions and
 * messages that wait name their home by its place, and must never find another one there. */
static void keep_places(struct config *new, const struct config *old)
{
	static const struct config_homes gap = {.name = "", .next_hop = ""};
	size_t n = 0, cap = old->n_homes + new->n_homes;
	struct config_homes *list = arena_alloc(new->arena, cap * sizeof *list);
	if (!list || cap > SIP_EDGE_HOMES_MAX)
		return; /* after hundreds of changes: begin anew */
	for (; n < old->n_homes; n++) {
		const struct config_homes *h = home_named(new, old->homes[n].name);
		list[n] = h ? *h : gap;
	}
	for (size_t i = 0; i < new->n_homes; i++)
		if (!home_named(old, new->homes[i].name))
			list[n++] = new->homes[i];
	new->homes = list;
	new->n_homes = n;
}

/* ---- reload */

static void tell_findings(const struct app *app, const struct config_errors *errs, int rc)
{
	for (size_t i = 0; i < errs->n; i++) {
		const struct config_error *e = &errs->list[i];
		char where[300];
		snprintf(where, sizeof where, e->line ? "%.255s:%u:%u" : "%.255s", app->config_path, e->line, e->column);
		if (e->warning)
			log_ev(LOG_WARNING, "server/config-warning", {"where", slice_str(where)}, {"text", slice_str(e->text)});
		else
			log_ev(LOG_ERROR, "server/config-error", {"where", slice_str(where)}, {"text", slice_str(e->text)});
	}
	if (rc)
		log_ev(LOG_ERROR, "server/reload-refused", {"config", slice_str(app->config_path)},
		       {"text", S("the configuration has errors: nothing was changed")});
}

static void tell_restart(void *arg, const char *key, bool live)
{
	(void)arg;
	if (!live)
		log_ev(LOG_WARNING, "server/needs-restart", {"setting", slice_str(key)},
		       {"text", S("changed in the file, but only a restart applies it")});
}

const char *app_role_name(const struct app *app)
{
	static const char *const names[] = {"all", "edge", "gateway"};
	return names[app->role];
}

void app_status(const struct app *app)
{
	size_t homes = 0, partners = 0;
	if (app->role == CONFIG_EDGE && !edge_has_policy(app)) {
		sd_notify(0, "READY=1\nSTATUS=edge: the gateway has not connected yet, partners are not served");
		return;
	}
	struct snapshot *s = snapshot_slot_acquire((struct snapshot_slot *)(uintptr_t)&app->policy);
	for (size_t i = 0; i < app->config->n_homes; i++)
		homes += *app->config->homes[i].name != 0;
	partners = s ? snapshot_partner_count(s) : 0;
	snapshot_unref(s);
	sd_notifyf(0, "READY=1\nSTATUS=%zu %s, %zu %s", homes, homes == 1 ? "home" : "homes", partners,
		   partners == 1 ? "partner" : "partners");
}

int app_reload_check(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct tls_material *tls = NULL, *link_tls = NULL;
	int rc = 0;
	if (cfg->server_role != app->role)
		rc = err_set(err, ENTENTE_EINVAL, REASON_NONE, "server.role has changed: that needs a restart, and nothing else of the file is applied before");
	if (!rc && !(rc = app_confined(app, cfg, err)) && !(rc = app_check(cfg, err)) && !(rc = app_load_tls(&tls, cfg, err)) && app->split)
		rc = split_load_tls(&link_tls, cfg, err);
	tls_material_unref(tls);
	tls_material_unref(link_tls);
	return rc;
}

/* What the new configuration would make of the policy must pass its own tests. */
static int policy_tests(struct app *app, const struct config *cfg, struct config_errors *errs, struct entente_err *err)
{
	struct snapshot *s = NULL;
	if (app->role == CONFIG_EDGE || !cfg->n_policy_tests || !app->control)
		return 0;
	int rc = app_build(app, app->store, cfg, &s, NULL, err);
	if (!rc && (rc = control_policy_tests(app->control, cfg, s, errs))) {
		tell_findings(app, errs, 0);
		err_set(err, rc, REASON_NONE, "%zu of the policy tests fail: nothing was changed", errs->n_errors);
	}
	snapshot_unref(s);
	return rc;
}

int app_reload(struct app *app, struct config_errors *errs)
{
	struct config *cfg = NULL;
	struct tls_material *tls = NULL, *link_tls = NULL;
	struct entente_err err;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_ms() * 1000);
	int rc = config_load(&cfg, app->config_path, errs);
	tell_findings(app, errs, rc);
	if (rc)
		goto out;
	if (cfg->server_role != app->role)
		rc = err_set(&err, ENTENTE_EINVAL, REASON_NONE, "server.role has changed: that needs a restart, and nothing else of the file is applied before");
	if (!rc && !(rc = app_confined(app, cfg, &err)) && !(rc = app_check(cfg, &err)) && !(rc = app_load_tls(&tls, cfg, &err)) &&
	    !(rc = app->split ? split_load_tls(&link_tls, cfg, &err) : 0) && !(rc = policy_tests(app, cfg, errs, &err))) {
		keep_places(cfg, app->config);
		app_use_secrets(app, cfg, &err); /* checked just now; should the file be gone since, the old ones stay */
		rc = app->role == CONFIG_EDGE ? 0 : app_publish(app, cfg, &err);
	}
	if (rc) {
		log_ev(LOG_ERROR, "server/reload-refused", {"config", slice_str(app->config_path)},
		       {"text", slice_str(err.text)});
		if (rc != ENTENTE_EREFUSED) { /* else they are the tests */
			errs->n_errors = errs->n = 1;
			errs->list[0] = (struct config_error){0};
			slice_cstr(slice_str(err.text), errs->list[0].text, sizeof errs->list[0].text);
		}
		tls_material_unref(tls);
		tls_material_unref(link_tls);
		config_free(cfg);
		goto out;
	}
	log_set_level((enum log_level)cfg->log_level);
	log_set_trace(cfg->log_trace);
	app_set_gates(app, cfg);
	tls_material_unref(app->tls);
	app->tls = tls;
	if (app->split)
		split_set_tls(app, link_tls);
	struct revocation_settings revocation;
	app_revocation_settings(&revocation, cfg);
	revocation_set(app->revocation, &revocation);
	config_diff(app->config, cfg, tell_restart, NULL);
	nodes_reload(app, cfg);
	app_queue_set(app, cfg);
	config_free(app->config);
	app->config = cfg;
	if (app->api)
		api_set(app->api, cfg);
	app_look_at_certificate(app);
	timer_arm(&pool_control(app->pool)->loop->timers, &app->expiring, 0);
	app->config_at = clock_unix();
	probes_wake(app->probes);
	log_ev(LOG_INFO, "server/reloaded", {"config", slice_str(app->config_path)});
out:
	app->reload_refused = rc != 0;
	app_status(app);
	return rc;
}
