/* SPDX-License-Identifier: Apache-2.0 */
/* `entente audit list`: a change and what came of it are two records, and one row. */
#include "admin/admin_int.h"
#include "admin/audit.h"
#include "base/clock.h"

struct listing {
	json_t *rows;  /* the newest last */
	json_t *ends;  /* by the number of what they are the end of */
	struct slice who;
	const char *since;
	size_t limit;
	bool older;    /* some record was before `since` */
};

static bool collect(void *arg, json_t *r)
{
	struct listing *l = arg;
	const char *event = admin_get_text(r, "event"), *at = admin_get_text(r, "at");
	char key[24];
	if (strcmp(at, l->since) < 0) { /* RFC 3339 in UTC sorts as text */
		l->older = true;
		return true;
	}
	if (!strcmp(event, "end")) {
		snprintf(key, sizeof key, "%jd", (intmax_t)admin_get_int(r, "of"));
		json_object_set(l->ends, key, r);
		return true;
	}
	if (!strcmp(event, "continue") || (l->who.len && !slice_eq(slice_str(admin_get_text(r, "who")), l->who)))
		return true;
	json_array_append(l->rows, r);
	if (json_array_size(l->rows) > l->limit)
		json_array_remove(l->rows, 0);
	return true;
}

static json_t *row_of(json_t *r, json_t *ends)
{
	char key[24];
	static const char *const same[] = {"seq", "at", "who", "via", "args", "text", "staged"};
	json_t *o = json_object(), *words = json_object_get(r, "command"), *one, *end;
	struct buf command;
	size_t i;
	for (i = 0; i < sizeof same / sizeof *same; i++)
		if (json_object_get(r, same[i]))
			json_object_set(o, same[i], json_object_get(r, same[i]));
	buf_init(&command, 1024);
	json_array_foreach(words, i, one)
		buf_printf(&command, "%s%s", i ? " " : "", json_string_value(one) ? json_string_value(one) : "");
	admin_set_text(o, "command", buf_slice(&command));
	buf_free(&command);
	if (json_object_get(r, "generation"))
		json_object_set(o, "before", json_object_get(r, "generation"));
	snprintf(key, sizeof key, "%jd", (intmax_t)admin_get_int(r, "seq"));
	end = json_object_get(ends, key);
	static const char *const of_end[][2] = {{"exit", "exit"}, {"code", "code"}, {"text", "text"}, {"staged", "staged"}, {"generation", "after"}};
	for (i = 0; i < sizeof of_end / sizeof *of_end; i++)
		if (json_object_get(end, of_end[i][0]))
			json_object_set(o, of_end[i][1], json_object_get(end, of_end[i][0]));
	return o;
}

int admin_audit_list(struct admin_call *c)
{
	char since[CLOCK_TEXT] = "";
	struct listing l = {.who = admin_arg_text(c, "who"), .since = since, .limit = (size_t)admin_arg_uint(c, "limit", 50), .ends = json_object()};
	json_t *rows = json_array(), *files, *list = json_array();
	struct entente_err err = {0};
	int rc = 0;
	if (!c->admin->audit_directory)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", NULL, "this process keeps no audit log: it has no state directory");
	if (admin_arg_given(c, "since"))
		clock_text_at(clock_unix() - (int64_t)admin_arg_uint(c, "since", 0), since);
	files = audit_files(c->admin->audit_directory);
	/* file by file from the youngest, until there are enough */
	for (size_t i = json_array_size(files); !rc && i-- && json_array_size(list) < l.limit && !l.older;) {
		json_t *one = json_pack("[O]", json_array_get(files, i));
		l.rows = json_array();
		rc = audit_read(one, collect, &l, &err);
		for (size_t k = json_array_size(l.rows); k-- && json_array_size(list) < l.limit;)
			json_array_append(list, json_array_get(l.rows, k));
		json_decref(l.rows);
		json_decref(one);
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		json_array_append_new(rows, row_of(json_array_get(list, i), l.ends));
	json_object_set_new(c->data, "records", rows);
	json_decref(list);
	json_decref(l.ends);
	json_decref(files);
	return rc ? admin_fail_err(c, "", &err, NULL) : ADMIN_EXIT_OK;
}

void admin_audit_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"SEQ", ADMIN_TABLE_RIGHT}, {"AT", 0}, {"WHO", 0}, {"VIA", 0}, {"RESULT", 0}, {"GENERATION", 0}, {"WHAT", ADMIN_TABLE_FLEX}};
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_t *list = json_object_get(c->data, "records"), *o;
	size_t i;
	json_array_foreach(list, i, o) {
		char result[80], generation[64] = "";
		struct buf what;
		json_t *args = json_object_get(o, "args"), *exit = json_object_get(o, "exit");
		char *text = json_object_size(args) ? json_dumps(args, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		intmax_t before = admin_get_int(o, "before"), after = admin_get_int(o, "after");
		buf_init(&what, 2 * AUDIT_RECORD_MAX);
		buf_puts(&what, *admin_get_text(o, "command") ? admin_get_text(o, "command") : admin_get_text(o, "text"));
		if (text)
			buf_printf(&what, " %s", text);
		if (!exit)
			snprintf(result, sizeof result, "%s", *admin_get_text(o, "command") ? "-" : "");
		else if (json_integer_value(exit) == 0)
			snprintf(result, sizeof result, "%s", json_is_true(json_object_get(o, "staged")) ? "staged" : "done");
		else
			snprintf(result, sizeof result, "%s", *admin_get_text(o, "code") ? admin_get_text(o, "code") : "failed");
		if (json_object_get(o, "before") && json_object_get(o, "after"))
			snprintf(generation, sizeof generation, "%jd", before);
		if (*generation && before != after)
			snprintf(generation, sizeof generation, "%jd to %jd", before, after);
		admin_table_cell_int(t, admin_get_int(o, "seq"));
		admin_table_cell(t, slice_first(slice_str(admin_get_text(o, "at")), 19));
		admin_table_cell(t, slice_str(admin_get_text(o, "who")));
		admin_table_cell(t, slice_str(admin_get_text(o, "via")));
		admin_table_cell(t, slice_str(result));
		admin_table_cell(t, slice_str(generation));
		admin_table_cell(t, buf_slice(&what));
		free(text);
		buf_free(&what);
	}
	if (!json_array_size(list))
		buf_puts(&c->text, "none\n");
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}
