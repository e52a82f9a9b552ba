/* SPDX-License-Identifier: Apache-2.0 */
/* `entente policy export`, `import`, `test`; `entente backup`; and many commands as one change (apply.h). */
#include <string.h>
#include "admin/apply.h"
#include "admin/args.h"
#include "admin/changeset.h"
#include "admin/document.h"
#include "admin/file.h"
#include "admin/findings.h"
#include "admin/policy_test.h"
#include "base/clock.h"

/* ---- export, import */

int admin_policy_export(struct admin_call *c)
{
	struct entente_err err = {0};
	struct slice format = admin_arg_text(c, "format");
	bool yaml = !slice_eq(format, S("json"));
	json_t *d = NULL;
	struct buf text;
	if (admin_document_load(&d, c->admin->store, &err))
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	buf_init(&text, 64 << 20);
	admin_document_write(&text, d, yaml);
	json_object_set_new(c->data, "format", json_string(yaml ? "yaml" : "json"));
	admin_set_text(c->data, "text", buf_slice(&text));
	buf_free(&text);
	json_decref(d);
	return ADMIN_EXIT_OK;
}

void admin_text_print(struct admin_call *c)
{
	buf_puts(&c->text, admin_get_text(c->data, "text"));
}

static int unreadable(struct admin_call *c, const struct config_errors *errs)
{
	struct buf b;
	buf_init(&b, 65536);
	config_errors_print(&b, "document", errs);
	size_t end = b.len && buf_slice(&b).p[b.len - 1] == '\n' ? b.len - 1 : b.len;
	int exit = admin_fail(c, ADMIN_EXIT_FINDING, "syntax", NULL, "nothing was changed: %zu error%s\n%.*s", errs->n_errors, errs->n_errors == 1 ? "" : "s",
			      SFMT(slice_first(buf_slice(&b), end < 900 ? end : 900)));
	admin_findings(c, errs);
	json_object_set(c->error, "findings", json_object_get(c->data, "findings"));
	buf_free(&b);
	return exit;
}

int admin_policy_import(struct admin_call *c)
{
	struct config_errors errs;
	struct entente_err err = {0};
	bool merge = admin_arg_bool(c, "merge", false);
	json_t *places = json_object(), *live = NULL, *to = admin_document_read(admin_arg_text(c, "document"), merge, &errs, places);
	int exit;
	if (!to) {
		json_decref(places);
		return unreadable(c, &errs);
	}
	if (admin_document_load(&live, c->admin->store, &err)) {
		exit = admin_fail_err(c, "the database cannot be read", &err, NULL);
	} else {
		json_t *changes = admin_document_diff(live, to, merge);
		exit = changeset_commit(c, &(struct changeset){.changes = changes, .after = to, .places = places, .verb = merge ? "import, merged" : "import",
								.what_if = admin_arg_bool(c, "what-if", false)});
		json_object_set_new(c->data, "generation", json_integer((json_int_t)store_generation(c->admin->store)));
		json_decref(changes);
	}
	json_decref(live);
	json_decref(places);
	json_decref(to);
	return exit;
}

/* ---- tests */

int admin_policy_test(struct admin_call *c)
{
	struct admin *a = c->admin->draft ? c->admin->draft->live : c->admin;
	json_t *results = json_array();
	struct entente_err err = {0};
	struct buf text;
	struct snapshot *s = admin_snapshot(c);
	json_object_set_new(c->data, "tests", results);
	if (!s)
		return ADMIN_EXIT_UNAVAILABLE;
	if (!a->ops->build)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", NULL, "this process has no policy of its own");
	buf_init(&text, CONFIG_FILE_MAX + 65536);
	file_read(a->ops->config_path(a->arg), &text, CONFIG_FILE_MAX, &err);
	size_t failed = policy_tests_run(c->admin, a->ops->config(a->arg), buf_slice(&text), s, results);
	buf_free(&text);
	json_object_set_new(c->data, "failed", json_integer((json_int_t)failed));
	return failed ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

void admin_policy_test_print(struct admin_call *c)
{
	json_t *r, *list = json_object_get(c->data, "tests");
	size_t i;
	json_array_foreach(list, i, r) {
		bool ok = json_is_true(json_object_get(r, "ok"));
		admin_styled(&c->text, c->color, ok ? ADMIN_GOOD : ADMIN_BAD_STYLE, ok ? S("ok  ") : S("FAIL"));
		buf_putc(&c->text, ' ');
		policy_test_print(&c->text, r);
		buf_putc(&c->text, '\n');
	}
	if (json_array_size(list))
		buf_printf(&c->text, "%zu policy tests, %lld failed\n", json_array_size(list), (long long)admin_get_int(c->data, "failed"));
	else
		buf_puts(&c->text, "The configuration has no policy tests; `entente config explain policy-tests` tells how to write one.\n");
}

/* ---- many commands as one */

static int apply_one(struct admin_call *c, struct draft *trial, json_t *one, size_t index)
{
	json_t *words = json_object_get(one, "command"), *args = json_object_get(one, "args"), *o = NULL;
	struct slice w[8];
	size_t n = json_array_size(words) < 8 ? json_array_size(words) : 8;
	struct buf why;
	int exit = ADMIN_EXIT_USAGE;
	if (!json_is_object(one))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "nothing was changed: command %zu is no object", index + 1);
	buf_init(&why, 65536);
	for (size_t i = 0; i < n; i++)
		w[i] = slice_str(json_is_string(json_array_get(words, i)) ? json_string_value(json_array_get(words, i)) : "");
	const struct admin_command *command = admin_command_find(w, n, &why);
	bool within = command && (command->id == ADMIN_CMD_CONFIG_APPLY || command->id == ADMIN_CMD_POLICY_IMPORT); /* there is one trial at a time */
	if (command && (!command->changes || command->direct || within || !(command->roles & ADMIN_ROLE_POLICY))) {
		buf_puts(&why, "not a command that changes policy");
		command = NULL;
	}
	if (!json_object_get(one, "args"))
		json_object_set_new(one, "args", args = json_object());
	if (command && admin_args_check(command, args, &why)) {
		struct admin_call call = {.admin = &trial->admin, .who = c->who, .command = command, .args = args, .json = true};
		const struct admin_handler *h = admin_handler(command->id);
		admin_call_init(&call);
		json_object_del(args, "what-if"); /* the whole is tried, or nothing of it */
		exit = h->run(&call);
		if (exit)
			o = json_pack("{s:s s:s}", "code", admin_get_text(call.error, "code"), "text", admin_get_text(call.error, "text"));
		for (size_t i = 0; i < json_array_size(call.warnings); i++)
			json_array_append(c->warnings, json_array_get(call.warnings, i));
		admin_call_free(&call);
	} else {
		o = json_pack("{s:s}", "code", "usage");
		admin_set_text(o, "text", buf_slice(&why));
	}
	if (exit) {
		json_object_set_new(o, "index", json_integer((json_int_t)index));
		json_object_set(o, "command", words ? words : json_null());
		json_object_set(o, "args", args);
		json_object_set(c->data, "failed", o);
		exit = admin_fail(c, exit, admin_get_text(o, "code"), NULL, "nothing was changed: command %zu: %s", index + 1, admin_get_text(o, "text"));
		json_object_set_new(c->error, "failed", o);
	}
	buf_free(&why);
	return exit;
}

int admin_apply(struct admin_call *c, json_t *changes, struct slice what, bool what_if)
{
	struct entente_err err = {0};
	struct draft *trial = NULL;
	json_t *live = NULL, *after = NULL, *one;
	char verb[128];
	size_t i;
	int exit = ADMIN_EXIT_OK;
	if (!json_is_array(changes))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "a list of commands is wanted");
	if (draft_trial(&trial, c->admin, c->who, &err))
		return admin_fail_err(c, "the change cannot be tried", &err, NULL);
	json_array_foreach(changes, i, one) {
		if ((exit = apply_one(c, trial, one, i)))
			break;
	}
	if (!exit && (admin_document_load(&live, c->admin->store, &err) || admin_document_load(&after, trial->store, &err)))
		exit = admin_fail_err(c, "the database cannot be read", &err, NULL);
	draft_trial_free(trial);
	if (!exit) {
		json_t *diff = admin_document_diff(live, after, false);
		snprintf(verb, sizeof verb, "%.*s", SFMT(slice_first(what.len ? what : S("apply"), 120)));
		exit = changeset_commit(c, &(struct changeset){.changes = diff, .after = after, .verb = verb, .what_if = what_if});
		json_object_set_new(c->data, "generation", json_integer((json_int_t)store_generation(c->admin->store)));
		json_decref(diff);
	}
	json_decref(live);
	json_decref(after);
	return exit;
}

int admin_config_apply(struct admin_call *c)
{
	struct slice text = admin_arg_text(c, "changes");
	json_error_t e;
	json_t *list = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &e);
	if (!list)
		return admin_fail(c, ADMIN_EXIT_FINDING, "syntax", NULL, "nothing was changed: line %d, column %d: %s", e.line, e.column, e.text);
	int exit = admin_apply(c, list, admin_arg_text(c, "what"), admin_arg_bool(c, "what-if", false));
	json_decref(list);
	return exit;
}

/* ---- backup */

int admin_backup(struct admin_call *c)
{
	struct entente_err err = {0};
	char path[4300], at[CLOCK_TEXT];
	clock_text_at(clock_unix(), at);
	snprintf(path, sizeof path, "%s/backup-%s.db", store_directory(c->admin->store), at);
	if (store_backup(c->admin->store, path, &err))
		return admin_fail_err(c, "there is no backup", &err, NULL);
	admin_set_text(c->data, "file", slice_str(path));
	return ADMIN_EXIT_OK;
}

void admin_backup_print(struct admin_call *c)
{
	buf_printf(&c->text, "%s\nIt holds everything, secrets included. The way back: stop entented, put it in the place of entente.db, remove entente.db-wal and "
			     "entente.db-shm, start entented.\n",
		   admin_get_text(c->data, "file"));
}
