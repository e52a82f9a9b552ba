/* SPDX-License-Identifier: Apache-2.0 */
/* One stream in detail, and the last attempts to reach a domain or of a domain to reach us. */
#include "admin/admin_int.h"
#include "base/clock.h"

/* ---- show stream */

int admin_stream(struct admin_call *c)
{
	struct entente_err err = {0};
	json_t *all = json_array(), *row;
	json_int_t id = (json_int_t)admin_arg_uint(c, "id", 0);
	size_t i;
	int rc = c->admin->ops->show(c->admin->arg, ADMIN_STREAMS, all, &err);
	bool found = false;
	json_array_foreach(all, i, row)
		if (!found && admin_get_int(row, "id") == id && id) {
			json_object_update(c->data, row);
			found = true;
		}
	json_decref(all);
	if (found)
		return ADMIN_EXIT_OK;
	if (rc)
		return admin_fail_err(c, "", &err, NULL);
	return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente show streams` lists their numbers; `entente show attempts DOMAIN` "
			  "tells of those that are gone", "there is no stream %jd", (intmax_t)id);
}

static void members(struct admin_call *c, json_t *o, unsigned indent)
{
	static const struct {
		const char *key;
		bool seconds;
	} times[] = {{"age", true}, {"opened", true}, {"heard", true}, {"retry", true}};
	const char *key;
	json_t *v;
	json_object_foreach(o, key, v) {
		struct buf b;
		bool time = false;
		char label[40];
		if (json_is_object(v)) {
			buf_printf(&c->text, "%*s%s\n", (int)indent, "", key);
			members(c, v, indent + 2);
			continue;
		}
		buf_init(&b, 65536);
		for (size_t i = 0; i < sizeof times / sizeof *times; i++)
			time = time || slice_eq(slice_str(key), slice_str(times[i].key));
		if (time)
			admin_duration(&b, json_integer_value(v));
		else
			admin_value_put(&b, v);
		snprintf(label, sizeof label, "%s", key);
		for (char *p = label; *p; p++)
			*p = *p == '_' ? ' ' : *p;
		if (b.len) {
			buf_printf(&c->text, "%*s%-*s ", (int)indent, "", (int)(20 - indent), label);
			admin_wrap(&c->text, buf_slice(&b), 21, c->width, false);
		}
		buf_free(&b);
	}
}

void admin_stream_print(struct admin_call *c)
{
	buf_printf(&c->text, "stream %jd\n", (intmax_t)admin_get_int(c->data, "id"));
	members(c, c->data, 2);
}

/* ---- show attempts */

int admin_attempts(struct admin_call *c)
{
	json_t *list = json_array();
	json_object_set_new(c->data, "attempts", list);
	c->admin->ops->attempts(c->admin->arg, admin_arg_text(c, "domain"), list);
	return ADMIN_EXIT_OK;
}

static void steps(struct admin_call *c, json_t *took)
{
	static const char *const order[] = {"dns", "tcp", "stream", "tls", "auth"};
	bool first = true;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		json_t *v = json_object_get(took, order[i]);
		if (!json_is_integer(v))
			continue;
		buf_printf(&c->text, "%s%s %jd ms", first ? "" : ", ", order[i], (intmax_t)json_integer_value(v));
		first = false;
	}
}

static void line(struct admin_call *c, unsigned indent, const char *label, const char *text)
{
	if (!*text)
		return;
	buf_printf(&c->text, "%*s%-12s ", (int)indent, "", label);
	admin_wrap(&c->text, slice_str(text), indent + 13, c->width > 60 ? c->width : 120, false);
}

void admin_attempt_print(struct admin_call *c, json_t *a, unsigned indent)
{
	const char *result = admin_get_text(a, "result");
	bool failed = slice_eq(slice_str(result), S("failed"));
	json_t *up = json_object_get(json_object_get(a, "took"), "up");
	buf_printf(&c->text, "%s  %-3s  ", admin_get_text(a, "at"), admin_get_text(a, "direction"));
	admin_styled(&c->text, c->color, failed ? ADMIN_BAD_STYLE : ADMIN_GOOD, slice_str(result));
	if (failed)
		buf_printf(&c->text, " at %s", admin_get_text(a, "step"));
	if (*admin_get_text(a, "auth"))
		buf_printf(&c->text, " by %s", admin_get_text(a, "auth"));
	if (json_is_integer(up)) {
		buf_puts(&c->text, " after ");
		admin_duration(&c->text, json_integer_value(up) / 1000);
	}
	buf_puts(&c->text, "  (");
	steps(c, json_object_get(a, "took"));
	buf_puts(&c->text, ")\n");
	indent += 13;
	line(c, indent, "for", admin_get_text(a, "purpose"));
	line(c, indent, "address", admin_get_text(a, "address"));
	line(c, indent, "found by", admin_get_text(a, "how"));
	line(c, indent, "certificate", admin_get_text(a, "certificate"));
	line(c, indent, json_is_true(json_object_get(a, "said")) ? "they said" : "why", admin_get_text(a, "text"));
	line(c, indent, "reason", admin_get_text(a, "reason"));
	if (!slice_eq(slice_str(admin_get_text(a, "who")), S("nobody")))
		line(c, indent, "who", admin_get_text(a, "who"));
}

void admin_attempts_print(struct admin_call *c)
{
	json_t *list = json_object_get(c->data, "attempts"), *one;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, "Nothing was tried, and nobody came, since the daemon started. `entente partner test DOMAIN` tries.\n");
	json_array_foreach(list, i, one)
		admin_attempt_print(c, one, 0);
}
