/* SPDX-License-Identifier: Apache-2.0 */
/* The one way by which many changes become one: tried on a copy, checked as a whole, committed in one transaction of the store. */
#include "admin/changeset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "admin/document.h"
#include "admin/file.h"
#include "admin/policy_test.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/edit.h"
#include "policy/external.h"

struct work {
	struct admin_call *c;
	struct admin *a;
	const struct changeset *cs;
	struct draft *trial;
	struct buf before, after; /* of the configuration file */
	struct config *config;    /* what it would be; NULL: as in force */
	json_t *findings;
	size_t errors;
};

static void finding(struct work *w, bool error, int line, int column, const char *object, const char *text)
{
	json_t *o = json_pack("{s:s s:i s:i}", "severity", error ? "error" : "warning", "line", line, "column", column);
	admin_set_text(o, "object", slice_str(object));
	admin_set_text(o, "text", slice_str(text));
	json_array_append_new(w->findings, o);
	w->errors += error;
}

static void errors_take(struct work *w, const struct config_errors *errs)
{
	for (size_t i = 0; i < errs->n; i++)
		if (!errs->list[i].warning)
			finding(w, true, (int)errs->list[i].line, (int)errs->list[i].column, *errs->list[i].key ? errs->list[i].key : "configuration",
				errs->list[i].text);
}

/* ---- the configuration */

static int settings_try(struct work *w)
{
	struct config_errors errs;
	struct entente_err err = {0};
	const char *path = w->a->ops->config_path(w->a->arg), *key;
	json_t *value;
	struct buf step;
	if (file_read(path, &w->before, CONFIG_FILE_MAX, &err))
		return admin_fail_err(w->c, "the configuration file", &err, NULL);
	if (!json_object_size(w->cs->settings))
		return ADMIN_EXIT_OK;
	buf_put(&w->after, buf_slice(&w->before));
	json_object_foreach(w->cs->settings, key, value) {
		buf_init(&step, 2 * CONFIG_FILE_MAX);
		struct slice v = json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value)) : SLICE_NONE;
		int rc = config_edit(&step, buf_slice(&w->after), slice_str(key), v, &err);
		if (!rc) {
			buf_clear(&w->after);
			buf_put(&w->after, buf_slice(&step));
		}
		buf_free(&step);
		if (rc)
			return admin_fail_err(w->c, key, &err, NULL);
	}
	if (config_parse(&w->config, buf_slice(&w->after), true, &errs))
		errors_take(w, &errs);
	else if (w->a->ops->config_check(w->a->arg, w->config, &err))
		finding(w, true, 0, 0, "configuration", err.text);
	if (!file_replaceable(path, &err))
		return admin_fail(w->c, ADMIN_EXIT_CANNOT_CREATE, "read-only",
				  "docs/changes.md tells how to let it; or change the file yourself and `entente reload`", "the daemon cannot write %s: %s", path,
				  err.text);
	return ADMIN_EXIT_OK;
}

/* ---- the policy */

static int submit(struct store *s, struct store_set *set, int64_t expect, struct slice who, struct slice what, struct entente_err *err)
{
	struct store_wait wait;
	store_wait_init(&wait);
	int rc = store_set_submit(s, set, expect, who, what, store_wait_done, &wait);
	return rc ? err_set(err, rc, REASON_NONE, "%s", entente_strerror(rc)) : store_wait(&wait, err);
}

static bool known(json_t *list, json_t *one)
{
	json_t *o;
	size_t i;
	json_array_foreach(list, i, o)
		if (json_equal(o, one))
			return true;
	return false;
}

static void places_find(struct work *w, const char *kind, const char *key, int *line, int *column)
{
	const char *section = admin_document_section(kind);
	json_t *at = json_object_get(json_object_get(w->cs->places, section ? section : ""), key);
	*line = (int)json_integer_value(json_array_get(at, 0));
	*column = (int)json_integer_value(json_array_get(at, 1));
}

/* What the builder leaves out is an error of this change, unless it is left out already. */
static void misfits_take(struct work *w, json_t *now, json_t *before)
{
	json_t *o;
	size_t i;
	json_array_foreach(now, i, o) {
		const char *kind = admin_get_text(o, "kind"), *key = admin_get_text(o, "key");
		char object[400];
		int line, column;
		places_find(w, kind, key, &line, &column);
		snprintf(object, sizeof object, "%s%s%s", kind, *key ? " " : "", key);
		finding(w, !known(before, o), line, column, object, admin_get_text(o, "text"));
	}
}

/* What the builder does not look at: whether a way to authenticate is left, with the mode that is configured. */
static void partners_check(struct work *w, struct snapshot *s)
{
	json_t *change;
	size_t i;
	json_array_foreach(w->cs->changes, i, change) {
		const char *key = admin_get_text(change, "key");
		struct entente_err err = {0};
		int line, column;
		char object[400];
		if (strcmp(admin_get_text(change, "section"), "xmpp-partners") || !strcmp(admin_get_text(change, "change"), "remove"))
			continue;
		const struct policy_partner *p = snapshot_partner(s, slice_str(key));
		if (!p || !slice_eq(p->domain, slice_str(key)) || !policy_partner_check(p, snapshot_gateway(s)->negotiation, NULL, &err))
			continue;
		places_find(w, "xmpp-partner", key, &line, &column);
		snprintf(object, sizeof object, "xmpp-partner %s", key);
		finding(w, true, line, column, object, err.text);
	}
}

/* Users and external access policies are found by their names as the commands write them: another spelling would be a record of nobody. */
static void names_check(struct work *w)
{
	json_t *change;
	size_t i;
	json_array_foreach(w->cs->changes, i, change) {
		const char *section = admin_get_text(change, "section"), *key = admin_get_text(change, "key");
		bool user = !strcmp(section, "users");
		char jid[ADMIN_ADDRESS_MAX], object[400], text[600];
		struct entente_err err = {0};
		struct slice right = SLICE_NONE, name;
		enum policy_scope scope;
		struct buf b;
		bool sip;
		int line, column;
		if ((!user && strcmp(section, "external-access")) || !strcmp(admin_get_text(change, "change"), "remove"))
			continue;
		buf_init(&b, 4096);
		if (user && !w->a->ops->address(w->a->arg, slice_str(key), &sip, jid, sizeof jid, &err)) {
			right = slice_str(jid);
		} else if (!user && !policy_external_parse(&scope, &name, slice_str(key), &err)) {
			policy_external_print(&b, scope, name);
			right = buf_slice(&b);
		}
		/* what differs in more than the case of letters is for the builder to judge; "Sales" alone is tag:Sales */
		if (right.p && !slice_eq(right, slice_str(key)) && (!user || slice_ieq(right, slice_str(key)))) {
			places_find(w, user ? "user" : "external-access", key, &line, &column);
			snprintf(object, sizeof object, "%s %s", user ? "user" : "external-access", key);
			snprintf(text, sizeof text, "it is written '%.*s'", SFMT(slice_first(right, 400)));
			finding(w, true, line, column, object, text);
		}
		buf_free(&b);
	}
}

static int build(struct work *w)
{
	struct entente_err err = {0};
	struct snapshot *now = NULL, *s = NULL;
	json_t *before = json_array(), *after = json_array(), *tests = json_array(), *t;
	size_t i;
	int exit = ADMIN_EXIT_OK;
	const struct config *config = w->config ? w->config : w->a->ops->config(w->a->arg);
	if (w->a->ops->build(w->a->arg, w->a->store, NULL, &now, before, &err) || w->a->ops->build(w->a->arg, w->trial->store, w->config, &s, after, &err)) {
		exit = admin_fail_err(w->c, "the policy cannot be built", &err, NULL);
		goto out;
	}
	misfits_take(w, after, before);
	partners_check(w, s);
	names_check(w);
	if (w->errors)
		goto out;
	policy_tests_run(w->a, config, buf_slice(w->config ? &w->after : &w->before), s, tests);
	json_t *failed = json_array();
	json_array_foreach(tests, i, t)
		if (!json_is_true(json_object_get(t, "ok")))
			json_array_append(failed, t);
	json_object_set_new(w->c->data, "tests", failed);
out:
	snapshot_unref(now);
	snapshot_unref(s);
	json_decref(before);
	json_decref(after);
	json_decref(tests);
	return exit;
}

static struct slice title(struct work *w, char *ret, size_t size)
{
	size_t n = json_array_size(w->cs->changes), m = json_object_size(w->cs->settings);
	int at = snprintf(ret, size, "%s: %zu object%s", w->cs->verb, n, n == 1 ? "" : "s");
	if (m)
		snprintf(ret + at, size - (size_t)at, ", %zu setting%s", m, m == 1 ? "" : "s");
	return slice_str(ret);
}

static int set_fill(struct work *w, struct store_set *set, json_t *changes, json_t *after, struct entente_err *err)
{
	const char *key;
	json_t *value;
	struct store *collector = store_set_collector(set);
	int rc = admin_document_requests(collector, changes, after, w->c->who, err);
	json_object_foreach(w->cs->settings, key, value) {
		char line[600];
		struct slice text = utf8_first(slice_str(json_is_string(value) ? json_string_value(value) : "default"), 400); /* the store takes no half character */
		snprintf(line, sizeof line, "setting %s %.*s", key, SFMT(text));
		rc = rc ? rc : store_remark(collector, slice_str(line), w->c->who, NULL, NULL);
	}
	return rc;
}

static int trial_fill(struct work *w)
{
	struct entente_err err = {0};
	int rc = draft_trial(&w->trial, w->a, w->c->who, &err);
	if (rc)
		return admin_fail_err(w->c, "the change cannot be tried", &err, NULL);
	struct store_set *set = store_set_new();
	rc = set_fill(w, set, w->cs->changes, w->cs->after, &err);
	if (!rc)
		rc = submit(w->trial->store, set, -1, w->c->who, S("trial"), &err);
	else
		store_set_free(set);
	return rc ? admin_fail_err(w->c, "nothing was changed", &err, NULL) : ADMIN_EXIT_OK;
}

/* "The first finding, and how many more": what stands in one line of the error. */
static int refuse(struct work *w)
{
	json_t *tests = json_object_get(w->c->data, "tests"), *o;
	struct buf b;
	size_t i, n = 0;
	if (!w->errors && !json_array_size(tests))
		return ADMIN_EXIT_OK;
	buf_init(&b, 65536);
	json_array_foreach(w->findings, i, o) {
		if (strcmp(admin_get_text(o, "severity"), "error") || n++)
			continue;
		if (admin_get_int(o, "line"))
			buf_printf(&b, "line %lld, ", (long long)admin_get_int(o, "line"));
		buf_printf(&b, "%s: %s", admin_get_text(o, "object"), admin_get_text(o, "text"));
	}
	json_array_foreach(tests, i, o)
		if (!n++) {
			buf_puts(&b, "a policy test fails, ");
			policy_test_print(&b, o);
		}
	if (n > 1)
		buf_printf(&b, "; and %zu more", n - 1);
	int exit = admin_fail(w->c, ADMIN_EXIT_REFUSED, w->errors ? "invalid" : "policy-test", w->errors ? NULL : "`entente policy test` runs them all",
			      "nothing was changed: %.*s", SFMT(buf_slice(&b)));
	json_object_set(w->c->error, "findings", w->findings);
	if (json_array_size(tests))
		json_object_set(w->c->error, "tests", tests);
	buf_free(&b);
	return exit;
}

static int check(struct work *w)
{
	int exit = settings_try(w);
	if (!exit)
		exit = trial_fill(w);
	if (!exit && !w->errors && !w->a->draft) /* a draft may be unfinished: its commit asks */
		exit = build(w);
	return exit ? exit : refuse(w);
}

/* ---- for good */

static json_t *intent(struct work *w)
{
	json_t *o = json_object();
	admin_set_text(o, "path", slice_str(w->a->ops->config_path(w->a->arg)));
	admin_set_text(o, "before", buf_slice(&w->before));
	admin_set_text(o, "after", buf_slice(&w->after));
	return o;
}

static void intent_drop(struct admin *a)
{
	store_note_delete(a->store, S("file"), NULL, NULL);
	store_flush(a->store);
}

/* The database has it, the file could not be put in force: everything back as it was. */
static int take_back(struct work *w, const char *why)
{
	struct entente_err err = {0};
	json_t *now = NULL;
	char text[256];
	struct buf file;
	const char *path = w->a->ops->config_path(w->a->arg);
	buf_init(&file, CONFIG_FILE_MAX + 65536);
	/* where nothing can be written it still is as before */
	bool same = !file_read(path, &file, CONFIG_FILE_MAX, &err) && slice_eq(buf_slice(&file), buf_slice(&w->before));
	int rc = same ? 0 : file_write(path, buf_slice(&w->before), &err);
	buf_free(&file);
	if (!rc)
		rc = admin_document_load(&now, w->a->store, &err);
	json_t *before = json_object_get(w->c->data, "before"), *changes = rc ? NULL : admin_document_diff(now, before, false);
	if (!rc) { /* with it the note: whoever is killed here finds a commit to complete, or none */
		struct store_set *set = store_set_new();
		rc = admin_document_requests(store_set_collector(set), changes, before, w->c->who, &err);
		rc = rc ? rc : store_note_delete(store_set_collector(set), S("file"), NULL, NULL);
		if (!rc)
			rc = submit(w->a->store, set, -1, w->c->who, S("taken back: the configuration could not be put in force"), &err);
		else
			store_set_free(set);
	}
	json_decref(changes);
	json_decref(now);
	if (!rc) {
		changeset_keep(w->a);
		rc = w->a->ops->policy_changed(w->a->arg, &err);
	}
	snprintf(text, sizeof text, "%.250s", why);
	return rc ? admin_fail_err(w->c, "the change could be neither put in force nor taken back: look at the configuration file", &err, NULL)
		  : admin_fail(w->c, ADMIN_EXIT_CONFIG, "config", "`entente config check` looks at a file", "nothing was changed: %s", text);
}

static int commit(struct work *w)
{
	struct entente_err err = {0};
	char text[200];
	bool file = json_object_size(w->cs->settings) > 0;
	const char *path = w->a->ops->config_path(w->a->arg);
	struct store_set *set = store_set_new();
	int rc = set_fill(w, set, w->cs->changes, w->cs->after, &err);
	if (!rc && file) {
		json_t *o = intent(w);
		char *note = json_dumps(o, JSON_COMPACT);
		rc = store_note_put(store_set_collector(set), S("file"), slice_str(note), NULL, NULL);
		free(note);
		json_decref(o);
	}
	if (rc)
		store_set_free(set);
	else
		rc = submit(w->a->store, set, w->trial->base_generation, w->c->who, title(w, text, sizeof text), &err);
	if (rc)
		return admin_fail_err(w->c, "nothing was changed", &err, NULL);
	if (w->a->draft) {
		draft_changed(w->a->draft);
		return ADMIN_EXIT_OK;
	}
	changeset_keep(w->a);
	if (file) { /* from here on a restart brings it to its end (changeset_recover) */
		struct config_errors errs = {0};
		if (file_write(path, buf_slice(&w->after), &err))
			return take_back(w, err.text);
		if (w->a->ops->reload(w->a->arg, &errs))
			{
			size_t i = 0;
			while (i + 1 < errs.n && errs.list[i].warning)
				i++;
			return take_back(w, errs.n ? errs.list[i].text : "the configuration could not be loaded");
		}
		intent_drop(w->a);
		return ADMIN_EXIT_OK;
	}
	return w->a->ops->policy_changed(w->a->arg, &err)
		       ? admin_fail(w->c, ADMIN_EXIT_UNAVAILABLE, "not-in-force", "take the change back, or restart the daemon",
				    "the change is saved but not in force, the policy before it still is: %s", *err.text ? err.text : entente_strerror(err.code))
		       : ADMIN_EXIT_OK;
}

int changeset_commit(struct admin_call *c, const struct changeset *cs)
{
	struct work w = {.c = c, .a = c->admin, .cs = cs, .findings = json_array()};
	struct entente_err err = {0};
	json_t *before = NULL;
	int exit = ADMIN_EXIT_OK;
	if (!w.a->ops->build) {
		json_decref(w.findings);
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", NULL, "this process has no policy of its own");
	}
	buf_init(&w.before, CONFIG_FILE_MAX + 65536);
	buf_init(&w.after, 2 * CONFIG_FILE_MAX);
	json_object_set(c->data, "changes", cs->changes);
	json_object_set_new(c->data, "settings", cs->settings ? json_incref(cs->settings) : json_object());
	json_object_set_new(c->data, "findings", json_incref(w.findings));
	json_object_set_new(c->data, "tests", json_array());
	if (cs->what_if)
		json_object_set_new(c->data, "what_if", json_true());
	if (admin_document_load(&before, w.a->store, &err))
		exit = admin_fail_err(c, "the database cannot be read", &err, NULL);
	json_object_set_new(c->data, "before", before ? before : json_null());
	if (!exit)
		exit = check(&w);
	if (!exit && !cs->what_if && (json_array_size(cs->changes) || json_object_size(cs->settings)))
		exit = commit(&w);
	json_object_del(c->data, "before");
	draft_trial_free(w.trial);
	config_free(w.config);
	json_decref(w.findings);
	buf_free(&w.before);
	buf_free(&w.after);
	return exit;
}

void changeset_print(struct admin_call *c)
{
	json_t *o, *value;
	const char *key;
	size_t i;
	json_array_foreach(json_object_get(c->data, "changes"), i, o) {
		buf_puts(&c->text, "  ");
		admin_document_change_print(&c->text, o);
		buf_putc(&c->text, '\n');
	}
	json_object_foreach(json_object_get(c->data, "settings"), key, value) {
		buf_printf(&c->text, "  %s: ", key);
		admin_clean(&c->text, json_is_string(value) ? slice_str(json_string_value(value)) : S("(default)"));
		buf_putc(&c->text, '\n');
	}
	json_array_foreach(json_object_get(c->data, "findings"), i, o)
		buf_printf(&c->text, "  %s: %s: %s\n", admin_get_text(o, "severity"), admin_get_text(o, "object"), admin_get_text(o, "text"));
	json_array_foreach(json_object_get(c->data, "tests"), i, o) {
		buf_puts(&c->text, "  policy test ");
		policy_test_print(&c->text, o);
		buf_putc(&c->text, '\n');
	}
}

void changeset_print_done(struct admin_call *c)
{
	bool what_if = json_is_true(json_object_get(c->data, "what_if"));
	bool nothing = !json_array_size(json_object_get(c->data, "changes")) && !json_object_size(json_object_get(c->data, "settings"));
	if (nothing)
		buf_puts(&c->text, what_if ? "Nothing would be changed.\n" : "Nothing was changed.\n");
	else if (what_if)
		buf_puts(&c->text, "All is well; this would be changed:\n");
	else
		buf_printf(&c->text, c->admin->draft ? "In your draft:\n" : "In force, as generation %lld:\n", (long long)admin_get_int(c->data, "generation"));
	changeset_print(c);
}

/* ---- what is kept */

void changeset_keep(struct admin *a)
{
	struct entente_err err = {0};
	json_t *d = NULL;
	struct buf b;
	char path[4300];
	if (!a->store || !a->ops->build || admin_document_load(&d, a->store, &err))
		return;
	buf_init(&b, STORE_LARGE_MAX);
	admin_document_write(&b, d, true);
	if (buf_ok(&b)) {
		store_document_put(a->store, store_generation(a->store), buf_slice(&b), NULL, NULL);
		snprintf(path, sizeof path, "%s/policy.yaml", store_directory(a->store));
		/* a second way back; the first are the database and its backups */
		if (file_write(path, buf_slice(&b), &err))
			log_ev(LOG_WARNING, "policy/file-not-written", {"file", slice_str(path)}, {"text", slice_str(err.text)});
	} else {
		log_ev(LOG_WARNING, "policy/file-not-written", {"text", S("the policy is larger than policy.yaml may be; backups of the database have it")});
	}
	buf_free(&b);
	json_decref(d);
}

void changeset_tests_warn(struct admin_call *c)
{
	struct admin *a = c->admin;
	struct buf text, line;
	struct entente_err err = {0};
	json_t *results, *r;
	size_t i;
	const struct config *config = a->ops->build ? a->ops->config(a->arg) : NULL;
	if (!config || !config->n_policy_tests)
		return;
	results = json_array();
	buf_init(&text, CONFIG_FILE_MAX + 65536);
	file_read(a->ops->config_path(a->arg), &text, CONFIG_FILE_MAX, &err);
	policy_tests_run(a, config, buf_slice(&text), a->ops->snapshot(a->arg), results);
	json_array_foreach(results, i, r)
		if (!json_is_true(json_object_get(r, "ok"))) {
			buf_init(&line, 65536);
			policy_test_print(&line, r);
			admin_warn(c, "a policy test fails now: %.*s", SFMT(slice_first(buf_slice(&line), 900)));
			buf_free(&line);
		}
	buf_free(&text);
	json_decref(results);
}

bool changeset_recover(struct admin *a, struct entente_err *err)
{
	struct buf note, now;
	bool written = false;
	*err = (struct entente_err){0};
	buf_init(&note, STORE_LARGE_MAX + 1);
	buf_init(&now, CONFIG_FILE_MAX + 65536);
	json_t *o = store_note_load(a->store, S("file"), &note, &(struct entente_err){0}) ? NULL : json_loadb(buf_slice(&note).p, note.len, 0, NULL);
	if (o) {
		const char *path = admin_get_text(o, "path"), *before = admin_get_text(o, "before"), *after = admin_get_text(o, "after");
		if (file_read(path, &now, CONFIG_FILE_MAX, err)) {
			/* err says it; the note stays for the next start */
		} else if (slice_eq(buf_slice(&now), slice_str(before))) {
			written = !file_write(path, slice_str(after), err);
		} else if (!slice_eq(buf_slice(&now), slice_str(after))) {
			err_set(err, ENTENTE_EEXIST, REASON_NONE, "%s was changed by hand while a commit was under way: its settings are not applied", path);
		}
		if (written || slice_eq(buf_slice(&now), slice_str(after)) || err->code == ENTENTE_EEXIST)
			intent_drop(a);
	}
	json_decref(o);
	buf_free(&note);
	buf_free(&now);
	return written;
}

bool admin_recover(struct admin *a, struct entente_err *err)
{
	bool written = false;
	struct buf kept;
	*err = (struct entente_err){0};
	if (!a->store)
		return false;
	written = changeset_recover(a, err);
	buf_init(&kept, STORE_LARGE_MAX + 1);
	if (store_document_load(a->store, store_generation(a->store), &kept, &(struct entente_err){0}))
		changeset_keep(a); /* a change whose document was not kept any more, or a new version */
	buf_free(&kept);
	return written;
}
