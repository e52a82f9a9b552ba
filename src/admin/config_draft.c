/* SPDX-License-Identifier: Apache-2.0 */
/* `entente config begin`, `set`, `diff`, `commit`, `abort`, `rollback`, `history`: changes that wait in a draft, and the way back. */
#include <string.h>
#include "admin/changeset.h"
#include "admin/document.h"
#include "admin/file.h"
#include "base/clock.h"
#include "config/edit.h"

static int no_draft(struct admin_call *c, const struct entente_err *err)
{
	if (err->code == ENTENTE_ENOTFOUND)
		return admin_fail(c, ADMIN_EXIT_FINDING, "no-draft", "`entente config begin` makes one", "you have no draft");
	return admin_fail(c, ADMIN_EXIT_CANNOT_CREATE, "damaged", "`entente config abort` drops it", "%s", err->text);
}

/* The settings below admin. say who is an administrator, with which role. */
static bool about_roles(struct slice key)
{
	return slice_starts(key, S("admin."));
}

/* What a row of the table cannot say: it depends on what the draft holds, and roles may be others now than when that came in. ADMIN_EXIT_OK: they
 * are enough. */
static int roles_enough(struct admin_call *c, bool policy, bool settings, bool admin)
{
	if (c->roles & ADMIN_ROLE_ADMIN || (!admin && (!policy || c->roles & ADMIN_ROLE_POLICY) && (!settings || c->roles & ADMIN_ROLE_OPERATOR)))
		return ADMIN_EXIT_OK;
	return admin_fail(c, ADMIN_EXIT_REFUSED, "forbidden", admin ? "ask somebody with the role admin" : "ask an administrator for the role, or `entente config abort`",
			  "nothing was changed: your role is not enough for %s", admin ? "the settings of the section admin" : settings && !(c->roles & ADMIN_ROLE_OPERATOR) ?
			  "settings" : "the policy");
}

/* ---- begin, abort, set */

int admin_config_begin(struct admin_call *c)
{
	struct entente_err err = {0};
	struct draft *d = NULL;
	json_t *all = json_array();
	if (!c->admin->ops->build) {
		json_decref(all);
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", NULL, "this process has no policy of its own");
	}
	if (draft_begin(&d, c->admin, c->who, &err)) {
		json_decref(all);
		return admin_fail_err(c, "", &err, NULL);
	}
	json_object_set_new(c->data, "base", json_integer((json_int_t)d->base_generation));
	draft_list(c->admin, all);
	json_object_set_new(c->data, "drafts", all);
	return ADMIN_EXIT_OK;
}

void admin_config_begin_print(struct admin_call *c)
{
	json_t *d;
	size_t i;
	buf_printf(&c->text, "Your draft begins with generation %lld. What you change now waits in it: `entente config diff` shows it, `entente config commit` "
			     "puts it in force, `entente config abort` forgets it.\n",
		   (long long)admin_get_int(c->data, "base"));
	json_array_foreach(json_object_get(c->data, "drafts"), i, d)
		if (!slice_eq(slice_str(admin_get_text(d, "who")), c->who))
			buf_printf(&c->text, "%s has a draft, too, since %s.\n", admin_get_text(d, "who"), admin_get_text(d, "begun"));
}

int admin_config_abort(struct admin_call *c)
{
	struct entente_err err = {0};
	int rc = draft_drop(c->admin, c->who, &err);
	json_object_set_new(c->data, "dropped", json_boolean(!rc));
	return !rc ? ADMIN_EXIT_OK : err.code == ENTENTE_ENOTFOUND ? no_draft(c, &err) : admin_fail_err(c, "", &err, NULL);
}

void admin_config_abort_print(struct admin_call *c)
{
	buf_puts(&c->text, "Your draft is gone; nothing of it was put in force.\n");
}

int admin_config_set(struct admin_call *c)
{
	struct entente_err err = {0};
	struct draft *d = draft_find(c->admin, c->who, &err);
	struct slice key = admin_arg_text(c, "key"), value = admin_arg_text(c, "value");
	bool def = admin_arg_bool(c, "default", false);
	struct buf text, result, was;
	int exit = ADMIN_EXIT_OK;
	char name[128];
	if (!d)
		return no_draft(c, &err);
	if (roles_enough(c, false, true, about_roles(key)))
		return ADMIN_EXIT_REFUSED;
	if (def == admin_arg_given(c, "value"))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "a value is wanted, or --default, and not both");
	buf_init(&text, CONFIG_FILE_MAX + 65536);
	buf_init(&result, 2 * CONFIG_FILE_MAX);
	buf_init(&was, CONFIG_FILE_MAX);
	if (file_read(c->admin->ops->config_path(c->admin->arg), &text, CONFIG_FILE_MAX, &err) ||
	    config_edit(&result, buf_slice(&text), key, def ? SLICE_NONE : value.p ? value : S(""), &err))
		exit = admin_fail_err(c, "", &err, err.code == ENTENTE_ENOTFOUND ? "`entente config explain` lists all settings" : NULL);
	config_value(&was, c->admin->ops->config(c->admin->arg), key);
	slice_cstr(key, name, sizeof name);
	if (!exit) {
		json_object_set_new(d->settings, name, json_pack("{s:o s:o}", "to", def ? json_null() : admin_json_text(value.p ? value : S("")), "was",
								  admin_json_text(buf_slice(&was))));
		if (draft_settings_save(d, &err))
			exit = admin_fail_err(c, "the draft", &err, NULL);
	}
	admin_set_text(c->data, "key", key);
	admin_set_text(c->data, "from", buf_slice(&was));
	json_object_set_new(c->data, "to", def ? json_null() : admin_json_text(value.p ? value : S("")));
	buf_free(&text);
	buf_free(&result);
	buf_free(&was);
	return exit;
}

void admin_config_set_print(struct admin_call *c)
{
	json_t *to = json_object_get(c->data, "to");
	buf_printf(&c->text, "%s: %s -> %s, with the commit of your draft.\n", admin_get_text(c->data, "key"), admin_get_text(c->data, "from"),
		   json_is_string(to) ? json_string_value(to) : "its default");
}

/* ---- what a draft is about */

struct standing {
	json_t *live, *mine, *draft; /* documents; mine: changes */
	json_t *conflicts, *settings;
};

static void standing_free(struct standing *s)
{
	json_decref(s->live);
	json_decref(s->mine);
	json_decref(s->draft);
	json_decref(s->conflicts);
	json_decref(s->settings);
}

struct search {
	const char *key;
	int64_t after;
	json_t *conflict;
};

/* As a word: fabrikam.example is not in evil.fabrikam.example. */
static bool has_word(struct slice line, struct slice word)
{
	for (size_t from = 0; from < line.len;) {
		ptrdiff_t at = slice_find(slice_skip(line, from), word);
		if (at < 0)
			return false;
		size_t begin = from + (size_t)at, end = begin + word.len;
		if ((!begin || line.p[begin - 1] == ' ') && (end == line.len || line.p[end] == ' '))
			return true;
		from = begin + 1;
	}
	return false;
}

/* The newest change since the draft began that names the object. */
static int search_each(void *arg, const struct store_change *ch)
{
	struct search *s = arg;
	char at[CLOCK_TEXT];
	if (ch->generation <= s->after)
		return 1;
	for (struct slice rest = ch->what; rest.p;) {
		struct slice line = slice_split(&rest, '\n');
		if (!has_word(line, slice_str(*s->key ? s->key : "access-edge")))
			continue;
		clock_text_at(ch->at, at);
		json_object_set_new(s->conflict, "generation", json_integer((json_int_t)ch->generation));
		json_object_set_new(s->conflict, "at", json_string(at));
		admin_set_text(s->conflict, "who", ch->who);
		admin_set_text(s->conflict, "what", slice_first(line, 300));
		return 1;
	}
	return 0;
}

static json_t *find_change(json_t *list, json_t *one)
{
	json_t *o;
	size_t i;
	json_array_foreach(list, i, o)
		if (json_equal(json_object_get(o, "section"), json_object_get(one, "section")) && json_equal(json_object_get(o, "key"), json_object_get(one, "key")))
			return o;
	return NULL;
}

static void objects_compare(struct admin_call *c, const struct draft *d, struct standing *s)
{
	json_t *theirs = admin_document_diff(d->base, s->live, false), *mine = s->mine, *one;
	struct entente_err err;
	size_t i;
	s->mine = json_array();
	json_array_foreach(mine, i, one) {
		const char *section = admin_get_text(one, "section"), *key = admin_get_text(one, "key");
		json_t *other = find_change(theirs, one);
		json_t *a = admin_document_object(s->draft, section, key), *b = admin_document_object(s->live, section, key);
		if (other && ((!a && !b) || (a && b && json_equal(a, b))))
			continue; /* somebody has done just that */
		json_array_append(s->mine, one);
		if (!other)
			continue;
		json_t *conflict = json_pack("{s:s s:s s:O s:O}", "section", section, "key", key, "mine", one, "theirs", other);
		store_load_history(c->admin->store, STORE_HISTORY_MAX, search_each, &(struct search){key, d->base_generation, conflict}, &err);
		json_array_append_new(s->conflicts, conflict);
	}
	json_decref(mine);
	json_decref(theirs);
}

static void settings_compare(struct admin_call *c, const struct draft *d, struct standing *s)
{
	const char *key;
	json_t *v;
	json_object_foreach(d->settings, key, v) {
		struct buf now;
		buf_init(&now, CONFIG_FILE_MAX);
		config_value(&now, c->admin->ops->config(c->admin->arg), slice_str(key));
		if (!slice_eq(buf_slice(&now), slice_str(admin_get_text(v, "was")))) {
			json_t *conflict = json_pack("{s:s s:s s:O}", "section", "settings", "key", key, "mine", json_object_get(v, "to"));
			admin_set_text(conflict, "theirs", buf_slice(&now));
			json_array_append_new(s->conflicts, conflict);
		}
		json_object_set(s->settings, key, json_object_get(v, "to"));
		buf_free(&now);
	}
}

static int standing_find(struct admin_call *c, struct draft *d, struct standing *s)
{
	struct entente_err err = {0};
	*s = (struct standing){.conflicts = json_array(), .settings = json_object()};
	if (admin_document_load(&s->live, c->admin->store, &err) || admin_document_load(&s->draft, d->store, &err))
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	s->mine = admin_document_diff(d->base, s->draft, false);
	objects_compare(c, d, s);
	settings_compare(c, d, s);
	return ADMIN_EXIT_OK;
}

static void draft_facts(struct admin_call *c, const struct draft *d, const struct standing *s)
{
	char at[CLOCK_TEXT];
	clock_text_at(d->begun, at);
	json_object_set_new(c->data, "who", json_string(d->who));
	json_object_set_new(c->data, "begun", json_string(at));
	json_object_set_new(c->data, "base", json_integer((json_int_t)d->base_generation));
	json_object_set_new(c->data, "generation", json_integer((json_int_t)store_generation(c->admin->store)));
	json_object_set(c->data, "changes", s->mine);
	json_object_set(c->data, "settings", s->settings);
	json_object_set(c->data, "conflicts", s->conflicts);
}

int admin_config_diff(struct admin_call *c)
{
	struct entente_err err = {0};
	struct standing s;
	struct draft *d = draft_find(c->admin, c->who, &err);
	json_t *all = json_array();
	if (!d) {
		json_decref(all);
		return no_draft(c, &err);
	}
	int exit = standing_find(c, d, &s);
	if (!exit)
		draft_facts(c, d, &s);
	draft_list(c->admin, all);
	json_object_set_new(c->data, "drafts", all);
	standing_free(&s);
	return exit;
}

static void conflicts_print(struct admin_call *c)
{
	json_t *o;
	size_t i;
	json_array_foreach(json_object_get(c->data, "conflicts"), i, o) {
		buf_printf(&c->text, "CONFLICT: %s %s was changed since", admin_get_text(o, "section"), admin_get_text(o, "key"));
		if (*admin_get_text(o, "who"))
			buf_printf(&c->text, ", at %s by %s (generation %lld): %s", admin_get_text(o, "at"), admin_get_text(o, "who"),
				   (long long)admin_get_int(o, "generation"), admin_get_text(o, "what"));
		buf_putc(&c->text, '\n');
	}
}

void admin_config_diff_print(struct admin_call *c)
{
	json_t *o;
	size_t i;
	bool nothing = !json_array_size(json_object_get(c->data, "changes")) && !json_object_size(json_object_get(c->data, "settings"));
	buf_printf(&c->text, "Your draft of generation %lld, begun %s%s\n", (long long)admin_get_int(c->data, "base"), admin_get_text(c->data, "begun"),
		   nothing ? ", changes nothing." : ":");
	changeset_print(c);
	conflicts_print(c);
	json_array_foreach(json_object_get(c->data, "drafts"), i, o)
		if (strcmp(admin_get_text(o, "who"), admin_get_text(c->data, "who")))
			buf_printf(&c->text, "%s has a draft, too%s%s.\n", admin_get_text(o, "who"), *admin_get_text(o, "damaged") ? "; it is damaged" : " since ",
				   admin_get_text(o, "begun"));
}

/* ---- commit */

static int conflict(struct admin_call *c, const struct standing *s)
{
	json_t *o = json_array_get(s->conflicts, 0);
	size_t n = json_array_size(s->conflicts);
	char more[64] = "", by[400] = "";
	if (n > 1)
		snprintf(more, sizeof more, "; and %zu more", n - 1);
	if (*admin_get_text(o, "who"))
		snprintf(by, sizeof by, ", at %s by %s (generation %lld: %s)", admin_get_text(o, "at"), admin_get_text(o, "who"),
			 (long long)admin_get_int(o, "generation"), admin_get_text(o, "what"));
	int exit = admin_fail(c, ADMIN_EXIT_REFUSED, "conflict", "`entente config diff` shows all; begin anew with what is in force now",
			      "nothing was changed: %s %s was changed since your draft began%s%s", admin_get_text(o, "section"), admin_get_text(o, "key"), by, more);
	json_object_set(c->error, "conflicts", s->conflicts);
	return exit;
}

int admin_config_commit(struct admin_call *c)
{
	struct entente_err err = {0};
	struct standing s;
	struct draft *d = draft_find(c->admin, c->who, &err);
	bool what_if = admin_arg_bool(c, "what-if", false);
	if (!d)
		return no_draft(c, &err);
	int exit = standing_find(c, d, &s);
	bool admin = false;
	const char *key;
	json_t *to;
	json_object_foreach(s.settings, key, to)
		admin = admin || about_roles(slice_str(key));
	if (!exit)
		exit = roles_enough(c, json_array_size(s.mine) > 0, json_object_size(s.settings) > 0, admin);
	if (!exit)
		draft_facts(c, d, &s);
	if (!exit && json_array_size(s.conflicts))
		exit = conflict(c, &s);
	if (!exit) {
		struct slice note = admin_arg_text(c, "comment");
		char verb[128];
		snprintf(verb, sizeof verb, "commit%s%.*s%s", note.len ? " (" : "", SFMT(slice_first(note, 100)), note.len ? ")" : "");
		exit = changeset_commit(c, &(struct changeset){.changes = s.mine, .after = s.draft, .settings = s.settings, .verb = verb, .what_if = what_if});
	}
	if (!exit && !what_if) {
		json_object_set_new(c->data, "generation", json_integer((json_int_t)store_generation(c->admin->store)));
		if (draft_drop(c->admin, c->who, &err))
			admin_warn(c, "the change is in force, but the draft could not be removed: %s", err.text);
	}
	standing_free(&s);
	return exit;
}

/* ---- the way back */

/* The document of a past generation. NULL: the call has failed. */
static json_t *kept(struct admin_call *c, int64_t generation)
{
	struct entente_err err = {0};
	struct config_errors errs;
	struct buf text;
	buf_init(&text, STORE_LARGE_MAX + 1);
	json_t *d = NULL;
	int rc = store_document_load(c->admin->store, generation, &text, &err);
	if (rc == ENTENTE_ENOTFOUND)
		admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente config history` marks those that are kept", "generation %lld is not kept",
			   (long long)generation);
	else if (rc)
		admin_fail_err(c, "the database cannot be read", &err, NULL);
	else if (!(d = admin_document_read(buf_slice(&text), false, &errs, NULL)))
		admin_fail(c, ADMIN_EXIT_FINDING, "damaged", NULL, "the document of generation %lld cannot be read: line %u: %s", (long long)generation,
			   errs.list[0].line, errs.list[0].text);
	buf_free(&text);
	return d;
}

int admin_config_rollback(struct admin_call *c)
{
	struct entente_err err = {0};
	json_t *to = kept(c, (int64_t)admin_arg_uint(c, "generation", 0)), *live = NULL;
	char verb[64];
	int exit;
	if (!to)
		return c->error && !strcmp(admin_get_text(c->error, "code"), "store") ? ADMIN_EXIT_CANNOT_CREATE : ADMIN_EXIT_FINDING;
	if (admin_document_load(&live, c->admin->store, &err)) {
		json_decref(to);
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	}
	json_t *changes = admin_document_diff(live, to, false);
	snprintf(verb, sizeof verb, "rollback to %llu", (unsigned long long)admin_arg_uint(c, "generation", 0));
	exit = changeset_commit(c, &(struct changeset){.changes = changes, .after = to, .verb = verb, .what_if = admin_arg_bool(c, "what-if", false)});
	json_object_set_new(c->data, "generation", json_integer((json_int_t)store_generation(c->admin->store)));
	json_decref(changes);
	json_decref(live);
	json_decref(to);
	return exit;
}

static int history_each(void *arg, const struct store_change *ch)
{
	char at[CLOCK_TEXT];
	struct slice rest = ch->what, first = slice_split(&rest, '\n');
	json_t *o = json_pack("{s:I s:b}", "generation", (json_int_t)ch->generation, "kept", 0), *lines = json_array();
	clock_text_at(ch->at, at);
	admin_set_text(o, "at", slice_str(at));
	admin_set_text(o, "who", ch->who);
	admin_set_text(o, "what", first);
	while (rest.p)
		json_array_append_new(lines, admin_json_text(slice_split(&rest, '\n')));
	json_object_set_new(o, "lines", lines);
	json_array_append_new(arg, o);
	return 0;
}

static int kept_each(void *arg, int64_t generation, size_t octets)
{
	json_t *o;
	size_t i;
	(void)octets;
	json_array_foreach(arg, i, o)
		if (admin_get_int(o, "generation") == generation)
			json_object_set_new(o, "kept", json_true());
	return 0;
}

int admin_config_history(struct admin_call *c)
{
	struct entente_err err = {0};
	json_t *list = json_array(), *before, *after;
	json_object_set_new(c->data, "history", list);
	if (store_load_history(c->admin->store, (size_t)admin_arg_uint(c, "limit", 50), history_each, list, &err) ||
	    store_load_documents(c->admin->store, kept_each, list, &err))
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	int64_t n = (int64_t)admin_arg_uint(c, "generation", 0);
	if (!admin_arg_given(c, "generation"))
		return ADMIN_EXIT_OK;
	if (!(after = kept(c, n)))
		return ADMIN_EXIT_FINDING;
	if ((before = kept(c, n - 1)))
		json_object_set_new(c->data, "changes", admin_document_diff(before, after, false));
	json_decref(before);
	json_decref(after);
	return before ? ADMIN_EXIT_OK : ADMIN_EXIT_FINDING;
}

void admin_config_history_print(struct admin_call *c)
{
	json_t *list = json_object_get(c->data, "history"), *o, *line;
	size_t i, k;
	if (json_object_get(c->data, "changes")) {
		changeset_print(c);
		return;
	}
	if (!json_array_size(list))
		buf_puts(&c->text, "Nothing was changed yet.\n");
	json_array_foreach(list, i, o) {
		buf_printf(&c->text, "%lld%s  %s  %s  ", (long long)admin_get_int(o, "generation"), json_is_true(json_object_get(o, "kept")) ? "*" : " ",
			   admin_get_text(o, "at"), admin_get_text(o, "who"));
		admin_clean(&c->text, slice_str(admin_get_text(o, "what")));
		buf_putc(&c->text, '\n');
		json_array_foreach(json_object_get(o, "lines"), k, line) {
			buf_puts(&c->text, "       ");
			admin_clean(&c->text, slice_str(json_string_value(line)));
			buf_putc(&c->text, '\n');
		}
	}
	if (json_array_size(list))
		buf_puts(&c->text, "* `entente config rollback` can go back to it\n");
}
