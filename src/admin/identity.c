/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and tokens of administrators, for the HTTP API. */
#include "admin/admin_int.h"
#include "admin/password.h"
#include "admin/role.h"
#include "base/clock.h"
#include "base/rand.h"
#include "store/store_identity.h"

enum { NAME_MAX = 48, SECRET = 40 };

/* Kept while a table is looked through. */
struct found {
	char name[NAME_MAX + 1], role[24], hash[ADMIN_PASSWORD_HASH];
	bool found, enabled;
	int64_t made_at;
	size_t count;
	struct slice wanted;
	json_t *list;
};

static bool name_ok(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (i && (c == '-' || c == '_' || c == '.' || c == '@'))))
			return false;
	}
	return name.len && name.len <= NAME_MAX;
}

static int name_bad(struct admin_call *c, struct slice name)
{
	return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "like alice, ops-team or panel.berlin",
			  "NAME: '%.*s' is no name: 1 to %d small letters, digits, and - _ . @ after the first", SFMT(slice_first(name, 80)), NAME_MAX);
}

/* RFC 3339, or null: never. */
static void put_time(json_t *o, const char *key, int64_t at)
{
	char text[CLOCK_TEXT];
	if (at)
		clock_text_at(at, text);
	json_object_set_new(o, key, at ? json_string(text) : json_null());
}

static int each_account(void *arg, const struct store_account *a)
{
	struct found *f = arg;
	f->count++;
	if (f->list) {
		json_t *o = json_object();
		admin_set_text(o, "name", a->name);
		admin_set_text(o, "role", a->role);
		json_object_set_new(o, "enabled", json_boolean(a->enabled));
		put_time(o, "made", a->made_at);
		put_time(o, "changed", a->changed_at);
		json_array_append_new(f->list, o);
	}
	if (slice_eq(a->name, f->wanted)) {
		f->found = true;
		f->enabled = a->enabled;
		f->made_at = a->made_at;
		slice_cstr(a->role, f->role, sizeof f->role);
		slice_cstr(a->hash, f->hash, sizeof f->hash);
	}
	return 0;
}

static int each_token(void *arg, const struct store_token *t)
{
	struct found *f = arg;
	f->count++;
	f->found = f->found || slice_eq(t->name, f->wanted);
	if (f->list) {
		json_t *o = json_object();
		admin_set_text(o, "name", t->name);
		admin_set_text(o, "role", t->role);
		put_time(o, "made", t->made_at);
		put_time(o, "expires", t->expires_at);
		json_object_set_new(o, "expired", json_boolean(t->expires_at && t->expires_at <= clock_unix()));
		json_array_append_new(f->list, o);
	}
	return 0;
}

/* 0, or the exit: the database cannot be read. */
static int look(struct admin_call *c, bool tokens, struct found *f)
{
	struct entente_err err = {0};
	int rc = tokens ? store_load_tokens(c->admin->store, each_token, f, &err) : store_load_accounts(c->admin->store, each_account, f, &err);
	return rc ? admin_fail_err(c, "the database cannot be read", &err, NULL) : ADMIN_EXIT_OK;
}

/* Waits for what was queued (rc: of the call), tells the application. */
static int finish(struct admin_call *c, int rc, struct store_wait *w)
{
	struct entente_err err = {0};
	if (rc == 0)
		rc = store_wait(w, &err);
	else
		err_set(&err, rc, REASON_NONE, "%s", entente_strerror(rc));
	if (rc)
		return admin_fail_err(c, "nothing was changed", &err, NULL);
	if (c->admin->ops->identities_changed)
		c->admin->ops->identities_changed(c->admin->arg);
	return ADMIN_EXIT_OK;
}

/* ---- accounts */

static int account_write(struct admin_call *c, const struct found *f)
{
	struct store_account a = {.name = f->wanted, .role = slice_str(f->role), .hash = slice_str(f->hash), .enabled = f->enabled, .changed_at = clock_unix()};
	struct store_wait w;
	store_wait_init(&w);
	int exit = finish(c, store_account_put(c->admin->store, &a, store_wait_done, &w), &w);
	json_t *o = json_object();
	admin_set_text(o, "name", a.name);
	admin_set_text(o, "role", a.role);
	json_object_set_new(o, "enabled", json_boolean(a.enabled));
	put_time(o, "made", f->made_at ? f->made_at : a.changed_at);
	put_time(o, "changed", a.changed_at);
	json_object_set_new(c->data, "account", o);
	return exit;
}

static void role_take(struct admin_call *c, struct found *f)
{
	struct buf name;
	buf_init(&name, 256);
	admin_roles_print(&name, admin_role_find(admin_arg_text(c, "role")));
	slice_cstr(buf_slice(&name), f->role, sizeof f->role);
	buf_free(&name);
}

int admin_account_add(struct admin_call *c)
{
	struct found f = {.wanted = admin_arg_text(c, "name")};
	if (!name_ok(f.wanted))
		return name_bad(c, f.wanted);
	int exit = look(c, false, &f);
	if (exit)
		return exit;
	if (f.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "exists", "`entente account set` and `entente account password` change it", "there is an account %.*s already",
				  SFMT(f.wanted));
	if (f.count >= STORE_ACCOUNTS_MAX)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "limit", "entente account remove NAME", "there are %d accounts already", STORE_ACCOUNTS_MAX);
	role_take(c, &f);
	slice_cstr(admin_arg_text(c, "password"), f.hash, sizeof f.hash);
	f.enabled = true;
	return account_write(c, &f);
}

int admin_account_set(struct admin_call *c)
{
	struct found f = {.wanted = admin_arg_text(c, "name")};
	int exit = look(c, false, &f);
	if (exit)
		return exit;
	if (!f.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente account list` lists all", "there is no account %.*s", SFMT(slice_first(f.wanted, 80)));
	if (admin_arg_given(c, "role"))
		role_take(c, &f);
	if (admin_arg_given(c, "password"))
		slice_cstr(admin_arg_text(c, "password"), f.hash, sizeof f.hash);
	f.enabled = admin_arg_bool(c, "enabled", f.enabled);
	return account_write(c, &f);
}

int admin_account_remove(struct admin_call *c)
{
	struct found f = {.wanted = admin_arg_text(c, "name")};
	struct store_wait w;
	int exit = look(c, false, &f);
	if (exit)
		return exit;
	if (!f.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente account list` lists all", "there is no account %.*s", SFMT(slice_first(f.wanted, 80)));
	store_wait_init(&w);
	admin_set_text(c->data, "removed", f.wanted);
	return finish(c, store_account_delete(c->admin->store, f.wanted, store_wait_done, &w), &w);
}

int admin_account_list(struct admin_call *c)
{
	struct found f = {.list = json_array()};
	json_object_set_new(c->data, "accounts", f.list);
	return look(c, false, &f);
}

void admin_account_print(struct admin_call *c)
{
	json_t *a = json_object_get(c->data, "account");
	if (!a) {
		buf_printf(&c->text, "account %s removed, its sessions are over\n", admin_get_text(c->data, "removed"));
		return;
	}
	buf_printf(&c->text, "account %s: %s, %s\n", admin_get_text(a, "name"), admin_get_text(a, "role"),
		   json_is_true(json_object_get(a, "enabled")) ? "enabled" : "disabled");
}

static const char *yes_no(json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key)) ? "yes" : "no";
}

void admin_account_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"NAME", 0}, {"ROLE", 0}, {"ENABLED", 0}, {"MADE", 0}, {"CHANGED", 0}};
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_t *list = json_object_get(c->data, "accounts"), *a;
	size_t i;
	json_array_foreach(list, i, a) {
		admin_table_cell(t, slice_str(admin_get_text(a, "name")));
		admin_table_cell(t, slice_str(admin_get_text(a, "role")));
		admin_table_cell(t, slice_str(yes_no(a, "enabled")));
		admin_table_cell(t, slice_str(admin_get_text(a, "made")));
		admin_table_cell(t, slice_str(admin_get_text(a, "changed")));
	}
	if (!json_array_size(list))
		buf_puts(&c->text, "No accounts. `entente account add NAME --role ROLE` makes one.\n");
	else
		admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

/* ---- tokens */

int admin_token_add(struct admin_call *c)
{
	struct found f = {.wanted = admin_arg_text(c, "name")};
	char secret[SECRET + 1], text[SECRET + 16], hash[ADMIN_SECRET_HASH];
	struct store_wait w;
	if (!name_ok(f.wanted))
		return name_bad(c, f.wanted);
	int exit = look(c, true, &f);
	if (exit)
		return exit;
	if (f.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "exists", "`entente token remove NAME` first", "there is a token %.*s already", SFMT(f.wanted));
	if (f.count >= STORE_TOKENS_MAX)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "limit", "entente token remove NAME", "there are %d tokens already", STORE_TOKENS_MAX);
	role_take(c, &f);
	rand_token(secret, SECRET);
	snprintf(text, sizeof text, "entente_%s", secret);
	admin_secret_hash(hash, slice_str(text));
	int64_t now = clock_unix(), life = (int64_t)admin_arg_uint(c, "expires", 0);
	struct store_token k = {.name = f.wanted, .role = slice_str(f.role), .hash = slice_str(hash), .expires_at = life ? now + life : 0, .made_at = now};
	store_wait_init(&w);
	exit = finish(c, store_token_put(c->admin->store, &k, store_wait_done, &w), &w);
	admin_set_text(c->data, "name", k.name);
	admin_set_text(c->data, "role", k.role);
	put_time(c->data, "made", k.made_at);
	put_time(c->data, "expires", k.expires_at);
	json_object_set_new(c->data, "token", json_string(text));
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(text, sizeof text);
	return exit;
}

void admin_token_add_print(struct admin_call *c)
{
	buf_printf(&c->text, "%s\n", admin_get_text(c->data, "token"));
	admin_warn(c, "this is the only time that the token is shown: it stands in the header Authorization: Bearer TOKEN");
}

int admin_token_remove(struct admin_call *c)
{
	struct found f = {.wanted = admin_arg_text(c, "name")};
	struct store_wait w;
	int exit = look(c, true, &f);
	if (exit)
		return exit;
	if (!f.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente token list` lists all", "there is no token %.*s", SFMT(slice_first(f.wanted, 80)));
	store_wait_init(&w);
	admin_set_text(c->data, "removed", f.wanted);
	return finish(c, store_token_delete(c->admin->store, f.wanted, store_wait_done, &w), &w);
}

void admin_token_remove_print(struct admin_call *c)
{
	buf_printf(&c->text, "token %s removed\n", admin_get_text(c->data, "removed"));
}

int admin_token_list(struct admin_call *c)
{
	struct found f = {.list = json_array()};
	json_object_set_new(c->data, "tokens", f.list);
	return look(c, true, &f);
}

void admin_token_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"NAME", 0}, {"ROLE", 0}, {"MADE", 0}, {"EXPIRES", 0}, {"EXPIRED", 0}};
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_t *list = json_object_get(c->data, "tokens"), *k;
	size_t i;
	json_array_foreach(list, i, k) {
		const char *expires = admin_get_text(k, "expires");
		admin_table_cell(t, slice_str(admin_get_text(k, "name")));
		admin_table_cell(t, slice_str(admin_get_text(k, "role")));
		admin_table_cell(t, slice_str(admin_get_text(k, "made")));
		admin_table_cell(t, slice_str(*expires ? expires : "never"));
		admin_table_cell(t, slice_str(yes_no(k, "expired")));
	}
	if (!json_array_size(list))
		buf_puts(&c->text, "No tokens. `entente token add NAME --role ROLE` makes one.\n");
	else
		admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}
