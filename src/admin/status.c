/* SPDX-License-Identifier: Apache-2.0 */
/* How the daemon is, what was changed, and reload. */
#include "admin/admin_int.h"
#include "admin/findings.h"
#include "base/clock.h"
#include "base/metric.h"

/* ---- status ---- */
int admin_status(struct admin_call *c)
{
	json_t *d = c->data, *domains = json_array(), *metrics = json_object();
	struct snapshot *s = c->admin->ops->snapshot(c->admin->arg);
	json_object_set_new(d, "version", json_string(ENTENTE_VERSION));
	json_object_set_new(d, "generation", s ? json_integer((json_int_t)snapshot_generation(s)) : json_null());
	json_object_set_new(d, "partners", json_integer(s ? (json_int_t)snapshot_partner_count(s) : 0));
	json_int_t homes = 0; /* without gaps, the places of removed ones */
	for (size_t i = 0; s && i < snapshot_home_count(s); i++)
		homes += !slice_empty(snapshot_home(s, i)->name);
	json_object_set_new(d, "homes", json_integer(homes));
	for (size_t i = 0; s && i < snapshot_home_count(s); i++)
		for (size_t k = 0; k < snapshot_home(s, i)->n_domains; k++)
			json_array_append_new(domains, admin_json_text(snapshot_home(s, i)->domains[k]));
	json_object_set_new(d, "local_domains", domains);
	for (int m = 0; m < METRIC_COUNT; m++)
		if (!*metric_info((enum metric)m)->labels)
			json_object_set_new(metrics, metric_info((enum metric)m)->prom, json_integer(metric_get((enum metric)m)));
	json_object_set_new(d, "metrics", metrics);
	c->admin->ops->status(c->admin->arg, d);
	if (!json_object_get(d, "problems"))
		json_object_set_new(d, "problems", json_array());
	if (admin_audit_trouble(c->admin))
		json_array_append_new(json_object_get(d, "problems"), json_sprintf("changes are refused, because they cannot be recorded: %s", admin_audit_trouble(c->admin)));
	return json_array_size(json_object_get(d, "problems")) ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

static void fact(struct admin_call *c, const char *label, json_t *v)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	admin_value_put(&b, v);
	if (b.len) {
		buf_printf(&c->text, "  %-14s ", label);
		admin_wrap(&c->text, buf_slice(&b), 17, c->width, false);
	}
	buf_free(&b);
}

static void certificate_print(struct admin_call *c, json_t *cert)
{
	struct buf b;
	char at[CLOCK_TEXT];
	int64_t end = admin_get_int(cert, "not_after");
	if (!json_is_object(cert))
		return;
	buf_init(&b, 1 << 16);
	admin_value_put(&b, json_object_get(cert, "names"));
	if (!b.len)
		buf_puts(&b, admin_get_text(cert, "subject"));
	if (end) {
		int64_t left = end - clock_unix();
		clock_text_at(end, at);
		buf_printf(&b, " until %.10s (", at);
		if (left > 0)
			admin_duration(&b, left);
		else
			buf_puts(&b, "EXPIRED");
		buf_putc(&b, ')');
	}
	buf_puts(&c->text, "  certificate    ");
	admin_wrap(&c->text, buf_slice(&b), 17, c->width, false);
	buf_free(&b);
}

static void sandbox_print(struct admin_call *c, json_t *o)
{
	const char *lacks = admin_get_text(o, "lacks");
	fact(c, "sandbox", json_object_get(o, "text"));
	if (*lacks)
		fact(c, "", json_object_get(o, "lacks"));
}

static void keys_print(struct admin_call *c, json_t *keys)
{
	if (!json_is_object(keys))
		return;
	if (strcmp(admin_get_text(keys, "process"), "own"))
		buf_puts(&c->text, "  private keys   in the server itself (server.key-process is off)\n");
	else
		buf_printf(&c->text, "  private keys   %jd, in a process of their own (%jd)%s; %jd signatures\n", (intmax_t)admin_get_int(keys, "held"),
			   (intmax_t)admin_get_int(keys, "pid"), json_is_true(json_object_get(keys, "seccomp")) ? "" : ", not confined", (intmax_t)admin_get_int(keys, "signatures"));
}

static bool known(const char *key)
{
	static const char *const keys[] = {"version", "server_name", "state", "uptime", "workers", "listeners", "role", "store", "certificate",
		"generation", "partners", "homes", "local_domains", "metrics", "problems", "checks", "sandbox", "keys"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (slice_eq(slice_str(key), slice_str(keys[i])))
			return true;
	return false;
}

static intmax_t metric_of(json_t *d, enum metric m)
{
	return (intmax_t)admin_get_int(json_object_get(d, "metrics"), metric_info(m)->prom);
}

void admin_status_print(struct admin_call *c)
{
	json_t *d = c->data, *value, *problems = json_object_get(d, "problems");
	struct buf *out = &c->text;
	const char *state = admin_get_text(d, "state"), *key;
	size_t i;
	admin_styled(out, c->color, ADMIN_BOLD, slice_str(*admin_get_text(d, "server_name") ? admin_get_text(d, "server_name") : "entented"));
	buf_puts(out, ": ");
	admin_styled(out, c->color, json_array_size(problems) ? ADMIN_BAD_STYLE : ADMIN_GOOD, slice_str(*state ? state : "running"));
	buf_printf(out, ", version %s", admin_get_text(d, "version"));
	if (json_object_get(d, "uptime")) {
		buf_puts(out, ", up ");
		admin_duration(out, admin_get_int(d, "uptime"));
	}
	buf_putc(out, '\n');
	json_array_foreach(problems, i, value) {
		buf_puts(out, "  PROBLEM: ");
		admin_wrap(out, slice_str(json_string_value(value)), 11, c->width, false);
	}
	fact(c, "listeners", json_object_get(d, "listeners"));
	fact(c, "workers", json_object_get(d, "workers"));
	fact(c, "our domains", json_object_get(d, "local_domains"));
	fact(c, "homes", json_object_get(d, "homes"));
	fact(c, "XMPP partners", json_object_get(d, "partners"));
	fact(c, "policy", json_object_get(d, "generation"));
	fact(c, "store", json_object_get(d, "store"));
	if (strcmp(admin_get_text(d, "role"), "all"))
		fact(c, "role", json_object_get(d, "role"));
	certificate_print(c, json_object_get(d, "certificate"));
	sandbox_print(c, json_object_get(d, "sandbox"));
	keys_print(c, json_object_get(d, "keys"));
	json_object_foreach(d, key, value)
		if (!known(key))
			fact(c, key, value);
	buf_printf(out, "  streams        %jd in, %jd out\n", metric_of(d, METRIC_XMPP_STREAMS_IN), metric_of(d, METRIC_XMPP_STREAMS_OUT));
	buf_printf(out, "  messages       %jd to XMPP, %jd to SIP, %jd requests and stanzas refused\n", metric_of(d, METRIC_MESSAGES_TO_XMPP),
		   metric_of(d, METRIC_MESSAGES_TO_SIP), metric_of(d, METRIC_REFUSED));
	buf_printf(out, "  subscriptions  %jd of XMPP users, %jd of SIP users\n", metric_of(d, METRIC_SUBSCRIPTIONS_TO_SIP),
		   metric_of(d, METRIC_SUBSCRIPTIONS_TO_XMPP));
}

/* ---- history ---- */
static int change_each(void *arg, const struct store_change *ch)
{
	char at[CLOCK_TEXT];
	json_t *o = json_pack("{s:I}", "generation", (json_int_t)ch->generation);
	clock_text_at(ch->at, at);
	admin_set_text(o, "at", slice_str(at));
	admin_set_text(o, "who", ch->who);
	admin_set_text(o, "what", ch->what);
	json_array_append_new(arg, o);
	return 0;
}

int admin_history(struct admin_call *c)
{
	struct entente_err err = {0};
	json_t *list = json_array();
	json_object_set_new(c->data, "changes", list);
	int r = store_load_history(c->admin->store, (size_t)admin_arg_uint(c, "limit", 50), change_each, list, &err);
	return r ? admin_fail_err(c, "the database cannot be read", &err, NULL) : ADMIN_EXIT_OK;
}

void admin_history_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"GENERATION", ADMIN_TABLE_RIGHT}, {"WHEN", 0}, {"WHO", 0}, {"CHANGE", ADMIN_TABLE_FLEX}};
	json_t *list = json_object_get(c->data, "changes"), *ch;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, "Nothing was changed yet.\n");
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_array_foreach(list, i, ch) {
		admin_table_cell_int(t, admin_get_int(ch, "generation"));
		admin_table_cell(t, slice_str(admin_get_text(ch, "at")));
		admin_table_cell(t, slice_str(admin_get_text(ch, "who")));
		admin_table_cell(t, slice_str(admin_get_text(ch, "what")));
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

/* ---- reload ---- */
int admin_reload(struct admin_call *c)
{
	struct config_errors errs = {0};
	int r = c->admin->ops->reload(c->admin->arg, &errs);
	json_object_set_new(c->data, "reloaded", json_boolean(r == 0));
	admin_findings(c, &errs);
	if (!c->json) {
		config_errors_print(&c->text, "configuration", &errs);
		buf_puts(&c->text, r == 0 ? "The configuration is in force.\n" : "Nothing was changed: the configuration has errors.\n");
	}
	return r == 0 ? ADMIN_EXIT_OK : ADMIN_EXIT_CONFIG;
}
