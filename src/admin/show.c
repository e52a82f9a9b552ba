/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on: status, rows of the running daemon, the history of changes; and reload. */
#include "admin/admin_int.h"
#include "admin/findings.h"
#include "policy/domain.h"
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
		json_object_set_new(metrics, metric_info((enum metric)m)->prom, json_integer(metric_get((enum metric)m)));
	json_object_set_new(d, "metrics", metrics);
	c->admin->ops->status(c->admin->arg, d);
	if (!json_object_get(d, "problems"))
		json_object_set_new(d, "problems", json_array());
	return json_array_size(json_object_get(d, "problems")) ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

static void join(struct buf *out, json_t *v)
{
	size_t i;
	json_t *one;
	if (json_is_string(v))
		admin_clean(out, slice_str(json_string_value(v)));
	else if (json_is_integer(v))
		buf_printf(out, "%jd", (intmax_t)json_integer_value(v));
	else if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "yes" : "no");
	json_array_foreach(v, i, one) {
		buf_puts(out, i ? ", " : "");
		join(out, one);
	}
}

static void fact(struct admin_call *c, const char *label, json_t *v)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	join(&b, v);
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
	join(&b, json_object_get(cert, "names"));
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

static bool known(const char *key)
{
	static const char *const keys[] = {"version", "server_name", "state", "uptime", "workers", "listeners", "role", "store", "certificate",
		"generation", "partners", "homes", "local_domains", "metrics", "problems"};
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
	json_object_foreach(d, key, value)
		if (!known(key))
			fact(c, key, value);
	buf_printf(out, "  streams        %jd in, %jd out\n", metric_of(d, METRIC_XMPP_STREAMS_IN), metric_of(d, METRIC_XMPP_STREAMS_OUT));
	buf_printf(out, "  messages       %jd to XMPP, %jd to SIP, %jd requests and stanzas refused\n", metric_of(d, METRIC_MESSAGES_TO_XMPP),
		   metric_of(d, METRIC_MESSAGES_TO_SIP), metric_of(d, METRIC_REFUSED));
	buf_printf(out, "  subscriptions  %jd of XMPP users, %jd of SIP users\n", metric_of(d, METRIC_SUBSCRIPTIONS_TO_SIP),
		   metric_of(d, METRIC_SUBSCRIPTIONS_TO_XMPP));
}

/* ---- rows ---- */
struct column {
	struct admin_table_column head;
	const char *key;
	enum { PLAIN, SECONDS, ARROW } form;
};

static const struct column streams[] = {
	{{"ID", ADMIN_TABLE_RIGHT}, "id", PLAIN}, {{"DIR", 0}, "direction", PLAIN}, {{"CARRIES", 0}, "carries", PLAIN},
	{{"LOCAL", ADMIN_TABLE_FLEX}, "local", PLAIN}, {{"REMOTE", ADMIN_TABLE_FLEX}, "remote", PLAIN},
	{{"STATE", 0}, "state", PLAIN}, {{"AUTH", 0}, "auth", PLAIN}, {{"TLS", 0}, "tls", PLAIN},
	{{"ADDRESS", ADMIN_TABLE_FLEX}, "address", PLAIN}, {{"IN", ADMIN_TABLE_RIGHT}, "stanzas_in", PLAIN},
	{{"OUT", ADMIN_TABLE_RIGHT}, "stanzas_out", PLAIN}, {{"WAIT", ADMIN_TABLE_RIGHT}, "queued", PLAIN},
	{{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS}, {{"ERROR", ADMIN_TABLE_FLEX}, "error", PLAIN}};
static const struct column subscriptions[] = {
	{{"WATCHER", ADMIN_TABLE_FLEX}, "watcher", PLAIN}, {{"", 0}, "direction", ARROW}, {{"WATCHED", ADMIN_TABLE_FLEX}, "presentity", PLAIN},
	{{"STATE", 0}, "state", PLAIN}, {{"SHOW", 0}, "show", PLAIN}, {{"DIALOGS", ADMIN_TABLE_RIGHT}, "dialogs", PLAIN},
	{{"RESOURCES", ADMIN_TABLE_RIGHT}, "resources", PLAIN}};
static const struct column conversations[] = {
	{{"OUR USER", ADMIN_TABLE_FLEX}, "local", PLAIN}, {{"PARTNER'S USER", ADMIN_TABLE_FLEX}, "remote", PLAIN},
	{{"TO XMPP", ADMIN_TABLE_RIGHT}, "to_xmpp", PLAIN}, {{"TO SIP", ADMIN_TABLE_RIGHT}, "to_sip", PLAIN},
	{{"FAILED", ADMIN_TABLE_RIGHT}, "failed", PLAIN}, {{"WAIT", ADMIN_TABLE_RIGHT}, "queued", PLAIN},
	{{"IDLE", ADMIN_TABLE_RIGHT}, "idle", SECONDS}};
static const struct column homes[] = {
	{{"NAME", 0}, "name", PLAIN}, {{"STATE", 0}, "state", PLAIN}, {{"NEXT HOP", ADMIN_TABLE_FLEX}, "next_hop", PLAIN},
	{{"DOMAINS", ADMIN_TABLE_FLEX}, "domains", PLAIN}, {{"ADDRESSES", ADMIN_TABLE_FLEX}, "addresses", PLAIN},
	{{"ERROR", ADMIN_TABLE_FLEX}, "error", PLAIN}};

static const struct column links[] = {
	{{"PEER", ADMIN_TABLE_FLEX}, "peer", PLAIN}, {{"STATE", 0}, "state", PLAIN}, {{"ADDRESS", ADMIN_TABLE_FLEX}, "address", PLAIN},
	{{"WORKER", ADMIN_TABLE_RIGHT}, "worker", PLAIN}, {{"IN", ADMIN_TABLE_RIGHT}, "stanzas_in", PLAIN},
	{{"OUT", ADMIN_TABLE_RIGHT}, "stanzas_out", PLAIN}, {{"WAIT", ADMIN_TABLE_RIGHT}, "queued", PLAIN},
	{{"OPEN", ADMIN_TABLE_RIGHT}, "unanswered", PLAIN}, {{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS}, {{"ERROR", ADMIN_TABLE_FLEX}, "error", PLAIN}};
static const struct column sip_connections[] = {
	{{"DIRECTION", 0}, "direction", PLAIN}, {{"STATE", 0}, "state", PLAIN}, {{"DOMAIN", ADMIN_TABLE_FLEX}, "domain", PLAIN},
	{{"HOST", ADMIN_TABLE_FLEX}, "host", PLAIN}, {{"ADDRESS", 0}, "address", PLAIN}, {{"CERTIFICATE", ADMIN_TABLE_FLEX}, "subject", PLAIN},
	{{"TLS", 0}, "tls", PLAIN}, {{"REVOCATION", 0}, "revocation", PLAIN}, {{"REQUESTS", ADMIN_TABLE_RIGHT}, "requests", PLAIN}, {{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS},
	{{"IDLE", ADMIN_TABLE_RIGHT}, "idle", SECONDS}};
static const struct column sip_transactions[] = {
	{{"DIRECTION", 0}, "direction", PLAIN}, {{"METHOD", 0}, "method", PLAIN}, {{"STATE", 0}, "state", PLAIN},
	{{"FROM", ADMIN_TABLE_FLEX}, "from", PLAIN}, {{"TO", ADMIN_TABLE_FLEX}, "to", PLAIN}, {{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS}};
static const struct column watch_list[] = {
	{{"CERTIFICATE", ADMIN_TABLE_FLEX}, "subject", PLAIN}, {{"DOMAINS", ADMIN_TABLE_FLEX}, "domains", PLAIN}, {{"MODE", 0}, "mode", PLAIN},
	{{"REQUESTS", ADMIN_TABLE_RIGHT}, "requests", PLAIN}, {{"THROTTLED", ADMIN_TABLE_RIGHT}, "throttled", PLAIN},
	{{"CONTACTS", ADMIN_TABLE_RIGHT}, "contacts", PLAIN}, {{"OK", ADMIN_TABLE_RIGHT}, "succeeded", PLAIN},
	{{"FAILED", ADMIN_TABLE_RIGHT}, "failed", PLAIN}, {{"IDLE", ADMIN_TABLE_RIGHT}, "idle", SECONDS}};
static const struct column sip_certificates[] = {
	{{"STATE", 0}, "state", PLAIN}, {{"CERTIFICATE", ADMIN_TABLE_FLEX}, "subject", PLAIN}, {{"ISSUER", ADMIN_TABLE_FLEX}, "issuer", PLAIN},
	{{"SERIAL", ADMIN_TABLE_FLEX}, "serial", PLAIN}, {{"DOMAINS", ADMIN_TABLE_FLEX}, "domains", PLAIN}, {{"REVOCATION", 0}, "revocation", PLAIN},
	{{"EXPIRES", 0}, "not_after", PLAIN}, {{"ADDRESS", 0}, "address", PLAIN}, {{"WHY NOT", ADMIN_TABLE_FLEX}, "why", PLAIN}};
static const struct column revocation_lists[] = {
	{{"STATE", 0}, "state", PLAIN}, {{"URL", ADMIN_TABLE_FLEX}, "url", PLAIN}, {{"ISSUER", ADMIN_TABLE_FLEX}, "issuer", PLAIN},
	{{"REVOKED", ADMIN_TABLE_RIGHT}, "revoked", PLAIN}, {{"NEXT UPDATE", 0}, "next_update", PLAIN},
	{{"ERROR", ADMIN_TABLE_FLEX}, "error", PLAIN}};

static const struct view {
	enum admin_id id;
	enum admin_show what;
	const char *key, *none;
	const struct column *columns;
	size_t n;
} views[] = {
	{ADMIN_CMD_SHOW_STREAMS, ADMIN_STREAMS, "streams", "There are no streams: they open with the first message.", streams,
	 sizeof streams / sizeof *streams},
	{ADMIN_CMD_SHOW_SUBSCRIPTIONS, ADMIN_SUBSCRIPTIONS, "subscriptions", "Nobody watches anybody's presence.", subscriptions,
	 sizeof subscriptions / sizeof *subscriptions},
	{ADMIN_CMD_SHOW_CONVERSATIONS, ADMIN_CONVERSATIONS, "conversations", "Nobody talks now.", conversations,
	 sizeof conversations / sizeof *conversations},
	{ADMIN_CMD_SHOW_SIP_CONNECTIONS, ADMIN_SIP_CONNECTIONS, "connections", "There are no connections with SIP partners.", sip_connections,
	 sizeof sip_connections / sizeof *sip_connections},
	{ADMIN_CMD_SHOW_SIP_TRANSACTIONS, ADMIN_SIP_TRANSACTIONS, "transactions", "No request is on its way.", sip_transactions,
	 sizeof sip_transactions / sizeof *sip_transactions},
	{ADMIN_CMD_SHOW_WATCH_LIST, ADMIN_WATCH_LIST, "watched", "No discovered partner has sent anything.", watch_list,
	 sizeof watch_list / sizeof *watch_list},
	{ADMIN_CMD_SHOW_SIP_CERTIFICATES, ADMIN_SIP_CERTIFICATES, "certificates", "No SIP partner has shown a certificate.", sip_certificates,
	 sizeof sip_certificates / sizeof *sip_certificates},
	{ADMIN_CMD_SHOW_REVOCATION_LISTS, ADMIN_REVOCATION_LISTS, "lists", "No revocation list was needed.", revocation_lists,
	 sizeof revocation_lists / sizeof *revocation_lists},
	{ADMIN_CMD_SHOW_HOMES, ADMIN_HOMES, "homes", "There are no homes.", homes, sizeof homes / sizeof *homes},
	{ADMIN_CMD_SHOW_LINKS, ADMIN_LINKS, "links", "There are no links: edge and gateway are one process, or the gateway is not there.", links,
	 sizeof links / sizeof *links},
};

static const struct view *view_of(const struct admin_call *c)
{
	for (size_t i = 0; i < sizeof views / sizeof *views; i++)
		if (views[i].id == c->command->id)
			return &views[i];
	return NULL;
}

static bool contains(json_t *v, struct slice what)
{
	size_t i;
	json_t *one;
	const char *key;
	if (json_is_string(v))
		return slice_find(slice_str(json_string_value(v)), what) >= 0;
	json_array_foreach(v, i, one)
		if (contains(one, what))
			return true;
	json_object_foreach(v, key, one)
		if (contains(one, what))
			return true;
	return false;
}

/* Streams name domains in U-labels. */
static bool same_domain(const char *shown, struct slice ascii)
{
	struct policy_domain d;
	return policy_domain_import(&d, slice_str(shown)) && slice_ieq(slice_of(d.text, d.len), ascii);
}

int admin_show(struct admin_call *c)
{
	const struct view *view = view_of(c);
	struct entente_err err = {0};
	struct slice filter = admin_arg_text(c, "filter"), partner = admin_arg_text(c, "partner");
	json_t *all = json_array(), *list = json_array(), *row;
	size_t i;
	json_object_set_new(c->data, view->key, list);
	int r = c->admin->ops->show(c->admin->arg, view->what, all, &err);
	json_array_foreach(all, i, row)
		if ((slice_empty(filter) || contains(row, filter)) &&
		    (slice_empty(partner) || same_domain(admin_get_text(row, "remote"), partner)))
			json_array_append(list, row);
	json_decref(all);
	if (!r)
		return ADMIN_EXIT_OK;
	admin_warn(c, "the list is not complete: %s", *err.text ? err.text : entente_strerror(r));
	return ADMIN_EXIT_UNAVAILABLE;
}

static void column_put(struct admin_table *t, const struct column *col, json_t *v)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	if (col->form == SECONDS && json_is_integer(v))
		admin_duration(&b, json_integer_value(v));
	else if (col->form == ARROW)
		buf_puts(&b, "->");
	else
		join(&b, v);
	admin_table_cell(t, buf_slice(&b));
	buf_free(&b);
}

void admin_show_print(struct admin_call *c)
{
	const struct view *view = view_of(c);
	json_t *list = json_object_get(c->data, view->key), *row;
	struct admin_table_column heads[16];
	size_t i;
	if (!json_array_size(list)) {
		buf_printf(&c->text, "%s\n", admin_arg_given(c, "filter") || admin_arg_given(c, "partner") ? "Nothing is like that." : view->none);
		return;
	}
	for (i = 0; i < view->n; i++)
		heads[i] = view->columns[i].head;
	struct admin_table *t = admin_table_new(heads, view->n);
	json_array_foreach(list, i, row)
		for (size_t k = 0; k < view->n; k++)
			column_put(t, &view->columns[k], json_object_get(row, view->columns[k].key));
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
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
