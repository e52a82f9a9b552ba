/* SPDX-License-Identifier: Apache-2.0 */
/* `show messages`, and the way of one message for `explain --message`. */
#include "admin/admin_int.h"
#include "base/clock.h"

static int fetch(struct admin_call *c, const struct admin_records *what, json_t *list)
{
	struct entente_err err = {0};
	int r = c->admin->ops->records ? c->admin->ops->records(c->admin->arg, what, list, &err)
				       : err_set(&err, ENTENTE_ENOTFOUND, REASON_NONE, "this process keeps no decision log: ask at the gateway");
	if (!r)
		return ADMIN_EXIT_OK;
	if (r == ENTENTE_ENOTFOUND)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", "set limits.decision-log in the configuration, e.g. to 4MiB, and restart", "%s", err.text);
	admin_warn(c, "the list is not complete: %s", *err.text ? err.text : entente_strerror(r));
	return ADMIN_EXIT_UNAVAILABLE;
}

int admin_messages(struct admin_call *c)
{
	struct admin_records what = {.id = admin_arg_text(c, "id"), .from = admin_arg_text(c, "from"), .to = admin_arg_text(c, "to"),
				     .partner = admin_arg_text(c, "partner"), .failed = admin_arg_bool(c, "failed", false),
				     .most = (size_t)admin_arg_uint(c, "limit", 100)};
	uint64_t since = admin_arg_uint(c, "since", 0);
	json_t *list = json_array();
	if (since)
		what.since_ms = (clock_unix() - (int64_t)since) * 1000;
	json_object_set_new(c->data, "messages", list);
	return fetch(c, &what, list);
}

json_t *admin_record_get(struct admin_call *c, struct slice id, int *ret_exit)
{
	struct admin_records what = {.id = id, .most = 1};
	json_t *list = json_array(), *one = NULL;
	*ret_exit = fetch(c, &what, list);
	if (!*ret_exit && json_array_size(list))
		one = json_incref(json_array_get(list, 0));
	else if (!*ret_exit)
		*ret_exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente show messages` lists those that are remembered; the oldest are forgotten "
				       "(limits.decision-log), and all at a restart", "no message %.*s is remembered", SFMT(slice_first(id, 100)));
	json_decref(list);
	return one;
}

static struct slice text(json_t *o, const char *key)
{
	return slice_str(admin_get_text(o, key));
}

/* "policy/contact-required", or the last answer: "404". */
static void why(json_t *m, struct buf *out)
{
	json_t *hops = json_object_get(m, "hops");
	struct slice outcome = text(m, "outcome");
	if (*admin_get_text(m, "reason")) {
		buf_put(out, text(m, "reason"));
		return;
	}
	for (size_t i = json_array_size(hops); slice_eq(outcome, S("failed")) && i-- > 0;) {
		int64_t status = admin_get_int(json_array_get(hops, i), "status");
		if (status) {
			buf_printf(out, "answered %d", (int)status);
			return;
		}
	}
	if (slice_eq(outcome, S("failed")))
		buf_puts(out, "the partner answered with an error");
}

void admin_messages_print(struct admin_call *c)
{
	static const struct admin_table_column heads[] = {{"TIME", 0}, {"TRACE ID", 0}, {"FROM", ADMIN_TABLE_FLEX}, {"TO", ADMIN_TABLE_FLEX}, {"KIND", 0},
							  {"NETWORK", 0}, {"OUTCOME", 0}, {"MS", ADMIN_TABLE_RIGHT}, {"WHY", ADMIN_TABLE_FLEX}};
	json_t *list = json_object_get(c->data, "messages"), *m;
	size_t i;
	if (!json_array_size(list)) {
		bool asked = false;
		const char *name;
		json_t *v;
		json_object_foreach(c->args, name, v)
			asked = asked || *name;
		buf_puts(&c->text, asked ? "No message like that is remembered.\n" : "No message has come yet.\n");
		return;
	}
	struct admin_table *t = admin_table_new(heads, sizeof heads / sizeof *heads);
	json_array_foreach(list, i, m) {
		json_t *hops = json_object_get(m, "hops");
		size_t n = json_array_size(hops);
		struct buf b;
		buf_init(&b, 4096);
		admin_table_cell(t, text(m, "at"));
		admin_table_cell(t, text(m, "id"));
		admin_table_cell(t, text(m, "from"));
		admin_table_cell(t, text(m, "to"));
		admin_table_cell(t, *admin_get_text(m, "method") ? text(m, "method") : text(m, "kind"));
		admin_table_cell(t, text(m, "network"));
		admin_table_cell(t, text(m, "outcome"));
		if (n)
			admin_table_cell_int(t, admin_get_int(json_array_get(hops, n - 1), "after_ms"));
		else
			admin_table_cell(t, SLICE_NONE);
		why(m, &b);
		admin_table_cell(t, buf_slice(&b));
		buf_free(&b);
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

/* ---- one message */

static void line(struct admin_call *c, const char *label, struct slice value)
{
	if (!value.len)
		return;
	buf_printf(&c->text, "  %-10s ", label);
	admin_wrap(&c->text, value, 13, c->width, false);
}

static void hop_text(json_t *m, json_t *h, struct buf *out)
{
	struct slice what = text(h, "what"), via = text(m, "via"), reason = text(h, "reason");
	int64_t status = admin_get_int(h, "status");
	bool sip = slice_eq(text(m, "network"), S("sip"));
	if (slice_eq(what, S("waits")))
		buf_puts(out, sip ? "waits for DNS or a connection" : "waits for its turn");
	else if (slice_eq(what, S("given")))
		buf_printf(out, "given to the stream to %.*s", SFMT(via));
	else if (slice_eq(what, S("sent")))
		buf_printf(out, via.len ? "sent to %.*s" : "sent%.*s", SFMT(via));
	else if (slice_eq(what, S("heard")))
		buf_printf(out, via.len ? "answer of %.*s" : "answer%.*s", SFMT(via));
	else if (slice_eq(what, S("again")))
		buf_puts(out, "tried with another server or connection");
	else if (slice_eq(what, S("told")))
		buf_puts(out, "the sender was answered");
	else
		buf_puts(out, "dropped on purpose: it is nothing for the other network");
	if (status)
		buf_printf(out, ": %d", (int)status);
	else if (slice_eq(what, S("heard")))
		buf_puts(out, ": an error");
	if (reason.len)
		buf_printf(out, ": %.*s", SFMT(reason));
}

void admin_record_print(struct admin_call *c, json_t *m)
{
	json_t *hops = json_object_get(m, "hops"), *h;
	struct buf b;
	size_t i;
	buf_init(&b, 65536);
	line(c, "trace ID", text(m, "id"));
	line(c, "came", text(m, "at"));
	line(c, *admin_get_text(m, "method") ? "Call-ID" : "stanza id", text(m, "key"));
	line(c, "method", text(m, "method"));
	line(c, slice_eq(text(m, "direction"), S("to-local")) ? "proved" : "server", text(m, "peer"));
	if (*admin_get_text(m, "verdict")) {
		buf_printf(&b, "%s by generation %d of the policy; rule %s: %s", admin_get_text(m, "verdict"), (int)admin_get_int(m, "generation"),
			   admin_get_text(m, "rule"), admin_get_text(m, "detail"));
		line(c, "verdict", buf_slice(&b));
	} else {
		line(c, "verdict", S("the policy was not asked"));
	}
	json_array_foreach(hops, i, h) {
		buf_clear(&b);
		buf_printf(&b, "%d ms: ", (int)admin_get_int(h, "after_ms"));
		hop_text(m, h, &b);
		line(c, i ? "" : "way", buf_slice(&b));
	}
	buf_clear(&b);
	buf_puts(&b, admin_get_text(m, "outcome"));
	struct buf w;
	buf_init(&w, 4096);
	why(m, &w);
	if (w.len)
		buf_printf(&b, ": %.*s", SFMT(buf_slice(&w)));
	line(c, "outcome", buf_slice(&b));
	buf_free(&w);
	buf_free(&b);
}
