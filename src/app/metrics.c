/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics for Prometheus: the table, refusals by reason, and what is looked up when somebody asks. */
#include "app/facts.h"
#include "base/clock.h"
#include "base/metric.h"
#include "policy/domain.h"

static void head(struct buf *out, const char *name, const char *kind, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void label(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\\' || s.p[i] == '"')
			buf_printf(out, "\\%c", s.p[i]);
		else
			buf_putc(out, s.p[i] == '\n' ? ' ' : s.p[i]);
}

static void refusals(struct buf *out)
{
	const struct metric_info *i = metric_info(METRIC_REFUSED);
	int64_t rest = metric_get(METRIC_REFUSED);
	head(out, i->prom, i->kind, i->help);
	for (int r = 1; r < REASON_COUNT; r++) {
		int64_t n = metric_refused_get(r);
		rest -= n;
		buf_printf(out, "%s{reason=\"%s\"} %jd\n", i->prom, reason_info((enum reason)r)->id, (intmax_t)n);
	}
	buf_printf(out, "%s{reason=\"none\"} %jd\n", i->prom, (intmax_t)(rest > 0 ? rest : 0));
}

/* Is there a stream of either direction with a configured partner's domain? Bounded by the configuration. */
static void partners(struct app *app, struct buf *out)
{
	enum { MOST = 2000 };
	struct snapshot *s = snapshot_slot_acquire(&app->policy);
	struct entente_err err;
	json_t *rows = json_array(), *row, *up = json_object();
	size_t i;
	facts_show(app, ADMIN_STREAMS, rows, &err);
	json_array_foreach(rows, i, row) {
		const char *remote = json_string_value(json_object_get(row, "remote")), *state = json_string_value(json_object_get(row, "state"));
		struct policy_domain d; /* streams name domains in U-labels */
		if (remote && state && slice_eq(slice_str(state), S("open")) && policy_domain_import(&d, slice_str(remote)))
			json_object_set_new(up, d.text, json_true());
	}
	head(out, "entente_partner_up", "gauge", "whether an authenticated stream with the partner's domain is open");
	for (i = 0; s && i < snapshot_partner_count(s) && i < MOST; i++) {
		struct slice domain = snapshot_partner_at(s, i)->domain;
		char z[256];
		buf_puts(out, "entente_partner_up{partner=\"");
		label(out, domain);
		buf_printf(out, "\",proto=\"xmpp\"} %d\n", slice_cstr(domain, z, sizeof z) && json_object_get(up, z) ? 1 : 0);
	}
	json_decref(rows);
	json_decref(up);
	snapshot_unref(s);
}

void metrics_print(struct app *app, struct buf *out)
{
	head(out, "entente_build_info", "gauge", "1; the labels tell what runs");
	buf_puts(out, "entente_build_info{version=\"" ENTENTE_VERSION "\"} 1\n");
	head(out, "entente_uptime_seconds", "gauge", "since the daemon started");
	buf_printf(out, "entente_uptime_seconds %ju\n", (uintmax_t)(clock_ms() - app->started_ms) / 1000);
	head(out, "entente_policy_generation", "gauge", "number of the policy in force");
	buf_printf(out, "entente_policy_generation %ju\n", (uintmax_t)app->generation);
	struct expiry_list certificates = {0};
	certificates_collect(app, &certificates);
	expiry_metrics(out, &certificates, clock_unix());
	expiry_clear(&certificates);
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *i = metric_info((enum metric)m);
		if (m == METRIC_REFUSED)
			continue;
		head(out, i->prom, i->kind, i->help);
		buf_printf(out, "%s %jd\n", i->prom, (intmax_t)metric_get((enum metric)m));
	}
	refusals(out);
	if (app->role != CONFIG_GATEWAY) /* the edge has the streams */
		partners(app, out);
}
