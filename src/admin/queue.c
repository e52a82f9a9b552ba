/* SPDX-License-Identifier: Apache-2.0 */
/* `queue ...`: the journal of what was accepted, and what administrators do to it. */
#include "admin/admin_int.h"
#include "base/log.h"

static int no_queue(struct admin_call *c)
{
	return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", "ask at the gateway", "this process has no queue");
}

/* From an error of the application. */
static int failed(struct admin_call *c, int rc, const struct entente_err *err)
{
	switch (rc) {
	case ENTENTE_ENOTFOUND:
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente queue list` has what waits; what is delivered is in `entente show messages`",
				  "%s", *err->text ? err->text : "there is no such entry");
	case ENTENTE_EAGAIN:
		return admin_fail(c, ADMIN_EXIT_FINDING, "busy", "what is held goes on with `entente queue release`; what is under way has its fate in a moment", "%s",
				  *err->text ? err->text : "it is under way just now, or held");
	case ENTENTE_EUNSUPPORTED:
		return no_queue(c);
	default:
		return admin_fail_err(c, "the queue", err, NULL);
	}
}

/* ---- list */
int admin_queue_list(struct admin_call *c)
{
	const struct admin_ops *o = c->admin->ops;
	struct entente_err err = {0};
	bool is_sip;
	char jid[ADMIN_ADDRESS_MAX];
	struct admin_queue_query q = {.partner = admin_arg_text(c, "partner"), .state = admin_arg_text(c, "state"), .most = (size_t)admin_arg_uint(c, "limit", 100)};
	if (!o->queue_list)
		return no_queue(c);
	if (admin_arg_given(c, "user")) {
		int rc = o->address(c->admin->arg, admin_arg_text(c, "user"), &is_sip, jid, sizeof jid, &err);
		if (rc)
			return admin_fail_err(c, "--user", &err, NULL);
		q.user = slice_str(jid);
	}
	json_t *list = json_array();
	json_object_set_new(c->data, "entries", list);
	int rc = o->queue_list(c->admin->arg, &q, list, c->data, &err);
	if (!rc)
		return ADMIN_EXIT_OK;
	if (rc != ENTENTE_ETIMEOUT)
		return failed(c, rc, &err);
	admin_warn(c, "the list is not complete: %s", *err.text ? err.text : entente_strerror(rc));
	return ADMIN_EXIT_UNAVAILABLE;
}

static struct slice text(json_t *o, const char *key)
{
	return slice_str(admin_get_text(o, key));
}

static void put_octets(struct buf *b, int64_t n)
{
	if (n < 10240)
		buf_printf(b, "%jd octets", (intmax_t)n);
	else if (n < 10 << 20)
		buf_printf(b, "%jd KiB", (intmax_t)(n >> 10));
	else
		buf_printf(b, "%jd MiB", (intmax_t)(n >> 20));
}

static void summary(struct admin_call *c)
{
	int64_t total = admin_get_int(c->data, "total"), oldest = admin_get_int(c->data, "oldest");
	json_t *paused = json_object_get(c->data, "paused"), *p;
	size_t i, shown = json_array_size(json_object_get(c->data, "entries"));
	int64_t matching = admin_get_int(c->data, "matching");
	if ((int64_t)shown < matching)
		buf_printf(&c->text, "%jd more like these (--limit).\n", (intmax_t)(matching - (int64_t)shown));
	if (total) {
		buf_printf(&c->text, "%jd in the journal, ", (intmax_t)total);
		put_octets(&c->text, admin_get_int(c->data, "octets"));
		if (oldest) {
			buf_puts(&c->text, ", the oldest for ");
			admin_duration(&c->text, oldest);
		}
		buf_puts(&c->text, ".\n");
	}
	json_array_foreach(paused, i, p) {
		buf_puts(&c->text, i ? ", " : "Paused: ");
		admin_clean(&c->text, slice_str(json_string_value(p)));
	}
	if (json_array_size(paused))
		buf_puts(&c->text, ".\n");
	if (json_is_true(json_object_get(c->data, "failing"))) {
		admin_styled(&c->text, c->color, ADMIN_BAD_STYLE, S("Nothing can be added: "));
		admin_clean(&c->text, text(c->data, "why"));
		buf_puts(&c->text, "\n");
	}
}

void admin_queue_list_print(struct admin_call *c)
{
	static const struct admin_table_column heads[] = {{"NUMBER", ADMIN_TABLE_RIGHT}, {"ACCEPTED", 0}, {"FROM", ADMIN_TABLE_FLEX}, {"TO", ADMIN_TABLE_FLEX}, {"STATE", 0},
							  {"TRIED", ADMIN_TABLE_RIGHT}, {"EXPIRES IN", 0}, {"OCTETS", ADMIN_TABLE_RIGHT}};
	json_t *list = json_object_get(c->data, "entries"), *e;
	size_t i;
	if (!json_array_size(list)) {
		buf_puts(&c->text, admin_get_int(c->data, "total") ? "Nothing like that waits.\n" : "Nothing waits.\n");
		summary(c);
		return;
	}
	struct admin_table *t = admin_table_new(heads, sizeof heads / sizeof *heads);
	json_array_foreach(list, i, e) {
		struct buf left;
		buf_init(&left, 100);
		int64_t expires = admin_get_int(e, "left");
		if (expires > 0)
			admin_duration(&left, expires);
		else
			buf_puts(&left, "now");
		admin_table_cell_int(t, admin_get_int(e, "number"));
		admin_table_cell(t, text(e, "accepted"));
		admin_table_cell(t, text(e, "from"));
		admin_table_cell(t, text(e, "to"));
		admin_table_cell(t, text(e, "state"));
		admin_table_cell_int(t, admin_get_int(e, "attempts"));
		admin_table_cell(t, buf_slice(&left));
		admin_table_cell_int(t, admin_get_int(e, "octets"));
		buf_free(&left);
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
	summary(c);
}

/* ---- show */
int admin_queue_show(struct admin_call *c)
{
	const struct admin_ops *o = c->admin->ops;
	uint64_t number = admin_arg_uint(c, "number", 0);
	bool body = admin_arg_bool(c, "body", false);
	struct entente_err err = {0};
	if (!o->queue_show)
		return no_queue(c);
	char n[24];
	snprintf(n, sizeof n, "%ju", (uintmax_t)number);
	if (body)
		log_event(LOG_WARNING, "admin/queue", (const struct log_kv[]){{"who", c->who}, {"number", slice_str(n)}, {"body", S("shown")}}, 3);
	int rc = o->queue_show(c->admin->arg, number, body, c->data, &err);
	return rc ? failed(c, rc, &err) : ADMIN_EXIT_OK;
}

static void line(struct admin_call *c, const char *label, const char *key)
{
	json_t *v = json_object_get(c->data, key);
	if (!v || json_is_null(v))
		return;
	buf_printf(&c->text, "%-10s ", label);
	admin_value_put(&c->text, v);
	buf_puts(&c->text, "\n");
}

void admin_queue_show_print(struct admin_call *c)
{
	static const char *const lines[][2] = {{"Number", "number"}, {"Direction", "direction"}, {"From", "from"}, {"To", "to"}, {"Partner", "partner"}, {"State", "state"},
					       {"Accepted", "accepted"}, {"Expires", "expires"}, {"Attempts", "attempts"}, {"Crashes", "crashes"}, {"Octets", "octets"}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		line(c, lines[i][0], lines[i][1]);
	if (json_object_get(c->data, "stanza")) {
		buf_puts(&c->text, "\n");
		admin_clean(&c->text, text(c->data, "stanza"));
		buf_puts(&c->text, "\n");
	}
}

/* ---- hold, release, retry, expire, quarantine */
int admin_queue_do(struct admin_call *c)
{
	static const struct {
		enum admin_id id;
		enum admin_queue_verb verb;
	} verbs[] = {{ADMIN_CMD_QUEUE_HOLD, ADMIN_QUEUE_HOLD}, {ADMIN_CMD_QUEUE_RELEASE, ADMIN_QUEUE_RELEASE}, {ADMIN_CMD_QUEUE_RETRY, ADMIN_QUEUE_RETRY},
		     {ADMIN_CMD_QUEUE_EXPIRE, ADMIN_QUEUE_EXPIRE}, {ADMIN_CMD_QUEUE_QUARANTINE, ADMIN_QUEUE_QUARANTINE}};
	const struct admin_ops *o = c->admin->ops;
	struct entente_err err = {0};
	bool one = admin_arg_given(c, "number"), partner = admin_arg_given(c, "partner"), all = admin_arg_bool(c, "all", false);
	size_t v = 0, n = 1;
	if (!o->queue_do)
		return no_queue(c);
	if (one + partner + all != 1)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "a number of `entente queue list`, --partner DOMAIN, or --all", "%s",
				  one + partner + all ? "one number, one partner or all: only one of them can be meant" : "which entries?");
	while (verbs[v].id != c->command->id)
		v++;
	int rc = one ? o->queue_do(c->admin->arg, admin_arg_uint(c, "number", 0), verbs[v].verb, &err)
		     : o->queue_do_all(c->admin->arg, admin_arg_text(c, "partner"), verbs[v].verb, &n, &err);
	if (rc)
		return failed(c, rc, &err);
	json_object_set_new(c->data, "count", json_integer((json_int_t)n));
	return ADMIN_EXIT_OK;
}

void admin_queue_do_print(struct admin_call *c)
{
	int64_t n = admin_get_int(c->data, "count");
	const char *did = c->command->id == ADMIN_CMD_QUEUE_HOLD ? "held" : c->command->id == ADMIN_CMD_QUEUE_RELEASE ? "released" :
			  c->command->id == ADMIN_CMD_QUEUE_RETRY ? "tried now" : c->command->id == ADMIN_CMD_QUEUE_EXPIRE ? "given up" : "in quarantine";
	if (!n)
		buf_puts(&c->text, "There was nothing to do that to.\n");
	else
		buf_printf(&c->text, "%jd %s %s.\n", (intmax_t)n, n == 1 ? "entry is" : "entries are", did);
}

/* ---- pause, resume */
int admin_queue_pause(struct admin_call *c)
{
	bool pause = c->command->id == ADMIN_CMD_QUEUE_PAUSE;
	struct slice partner = admin_arg_text(c, "partner");
	struct entente_err err = {0};
	if (!c->admin->ops->queue_pause)
		return no_queue(c);
	int rc = c->admin->ops->queue_pause(c->admin->arg, partner, pause, &err);
	if (rc == ENTENTE_EIO) /* it holds, but for now */
		admin_warn(c, "%s", *err.text ? err.text : "it cannot be written down, and does not hold over a restart");
	else if (rc)
		return failed(c, rc, &err);
	admin_set_text(c->data, "partner", partner);
	json_object_set_new(c->data, "paused", json_boolean(pause));
	return ADMIN_EXIT_OK;
}

void admin_queue_pause_print(struct admin_call *c)
{
	buf_printf(&c->text, "Deliveries to %s %s.\n", admin_get_text(c->data, "partner"), json_is_true(json_object_get(c->data, "paused")) ? "are paused" : "go on");
}
