/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of what goes on in the running daemon. */
#include "admin/admin_int.h"
#include "policy/domain.h"

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
	{{"CARRIER", 0}, "carrier", PLAIN},
	{{"STATE", 0}, "state", PLAIN}, {{"DIALECT", 0}, "dialect", PLAIN}, {{"RESOURCE", ADMIN_TABLE_FLEX}, "resource", PLAIN},
	{{"TO XMPP", ADMIN_TABLE_RIGHT}, "to_xmpp", PLAIN}, {{"TO SIP", ADMIN_TABLE_RIGHT}, "to_sip", PLAIN},
	{{"FAILED", ADMIN_TABLE_RIGHT}, "failed", PLAIN}, {{"WAIT", ADMIN_TABLE_RIGHT}, "queued", PLAIN},
	{{"IDLE", ADMIN_TABLE_RIGHT}, "idle", SECONDS}};
static const struct column homes[] = {
	{{"NAME", 0}, "name", PLAIN}, {{"STATE", 0}, "state", PLAIN}, {{"DIALECT", 0}, "dialect", PLAIN}, {{"NEXT HOP", ADMIN_TABLE_FLEX}, "next_hop", PLAIN},
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
	{{"PARTNER", ADMIN_TABLE_FLEX}, "domain", PLAIN}, {{"FROM", ADMIN_TABLE_FLEX}, "from", PLAIN}, {{"TO", ADMIN_TABLE_FLEX}, "to", PLAIN},
	{{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS}};
static const struct column sip_dialogs[] = {
	{{"KIND", 0}, "kind", PLAIN}, {{"DIRECTION", 0}, "direction", PLAIN}, {{"STATE", 0}, "state", PLAIN}, {{"LOCAL", ADMIN_TABLE_FLEX}, "local", PLAIN},
	{{"REMOTE", ADMIN_TABLE_FLEX}, "remote", PLAIN}, {{"EVENT", 0}, "event", PLAIN}, {{"IN", ADMIN_TABLE_RIGHT}, "requests_in", PLAIN},
	{{"OUT", ADMIN_TABLE_RIGHT}, "requests_out", PLAIN}, {{"AGE", ADMIN_TABLE_RIGHT}, "age", SECONDS}, {{"IDLE", ADMIN_TABLE_RIGHT}, "idle", SECONDS},
	{{"LEFT", ADMIN_TABLE_RIGHT}, "left", SECONDS}};
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
static const struct column probes[] = {
	{{"PARTNER", ADMIN_TABLE_FLEX}, "partner", PLAIN}, {{"BY", 0}, "protocol", PLAIN}, {{"RESULT", 0}, "result", PLAIN}, {{"WHEN", 0}, "at", PLAIN},
	{{"MS", ADMIN_TABLE_RIGHT}, "took", PLAIN}, {{"FAILED", ADMIN_TABLE_RIGHT}, "failures", PLAIN}, {{"STEP", 0}, "step", PLAIN},
	{{"REASON", 0}, "reason", PLAIN}, {{"WHO", 0}, "who", PLAIN}, {{"WHY", ADMIN_TABLE_FLEX}, "text", PLAIN}};

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
	{ADMIN_CMD_SHOW_SIP_DIALOGS, ADMIN_SIP_DIALOGS, "dialogs", "There are no sessions or subscriptions with SIP partners.", sip_dialogs,
	 sizeof sip_dialogs / sizeof *sip_dialogs},
	{ADMIN_CMD_SHOW_WATCH_LIST, ADMIN_WATCH_LIST, "watched", "No discovered partner has sent anything.", watch_list,
	 sizeof watch_list / sizeof *watch_list},
	{ADMIN_CMD_SHOW_SIP_CERTIFICATES, ADMIN_SIP_CERTIFICATES, "certificates", "No SIP partner has shown a certificate.", sip_certificates,
	 sizeof sip_certificates / sizeof *sip_certificates},
	{ADMIN_CMD_SHOW_REVOCATION_LISTS, ADMIN_REVOCATION_LISTS, "lists", "No revocation list was needed.", revocation_lists,
	 sizeof revocation_lists / sizeof *revocation_lists},
	{ADMIN_CMD_SHOW_PROBES, ADMIN_PROBES, "probes", "No partner is probed: probes.interval is 0, or there are none.", probes,
	 sizeof probes / sizeof *probes},
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

/* The domain of an address: "sip:romeo@contoso.example;user=phone", "romeo@contoso.example". */
static struct slice domain_of(struct slice address)
{
	ptrdiff_t at = slice_find_chr(address, '@');
	struct slice d = at < 0 ? slice_istarts(address, S("sip:")) ? slice_skip(address, 4) : address : slice_skip(address, (size_t)at + 1);
	for (size_t i = 0; i < d.len; i++)
		if (d.p[i] == ';' || d.p[i] == ':' || d.p[i] == '?' || d.p[i] == '/' || d.p[i] == '>')
			return slice_first(d, i);
	return d;
}

static bool concerns(json_t *row, struct slice partner)
{
	static const char *const addresses[] = {"from", "to", "local", "remote"};
	struct slice words = slice_str(admin_get_text(row, "domains"));
	if (slice_empty(partner) || same_domain(admin_get_text(row, "remote"), partner) || slice_ieq(slice_str(admin_get_text(row, "domain")), partner) ||
	    slice_ieq(slice_str(admin_get_text(row, "partner")), partner))
		return true;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		if (slice_ieq(domain_of(slice_str(admin_get_text(row, addresses[i]))), partner))
			return true;
	while (words.len)
		if (slice_ieq(slice_split(&words, ' '), partner))
			return true;
	return false;
}

int admin_show(struct admin_call *c)
{
	const struct view *view = view_of(c);
	struct entente_err err = {0};
	struct slice filter = admin_arg_text(c, "filter"), partner = admin_arg_text(c, "partner");
	json_t *all = json_array(), *list = json_array(), *row;
	size_t i, limit = (size_t)admin_arg_uint(c, "limit", 1000), left_out = 0;
	json_object_set_new(c->data, view->key, list);
	int r = c->admin->ops->show(c->admin->arg, view->what, all, &err);
	json_array_foreach(all, i, row)
		if ((slice_empty(filter) || contains(row, filter)) && concerns(row, partner)) {
			if (json_array_size(list) < limit)
				json_array_append(list, row);
			else
				left_out++;
		}
	json_decref(all);
	if (left_out) {
		json_object_set_new(c->data, "left_out", json_integer((json_int_t)left_out));
		admin_warn(c, "%zu more are not listed: --limit, --filter", left_out);
	}
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
		admin_value_put(&b, v);
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
