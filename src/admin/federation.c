/* SPDX-License-Identifier: Apache-2.0 */
/* SIP federation: the Access Edge configuration, allowed domains, providers. All are read from the store, changed by the table of their
 * parameters, checked against what is in force, and written back whole. */
#include "admin/federation.h"

#include <fnmatch.h>
#include "base/arena.h"
#include "store/store_federation.h"

enum { EDIT_MEMORY = 1 << 20 };

union object {
	struct policy_access access;
	struct policy_allowed allowed;
	struct policy_provider provider;
};

struct edit {
	struct admin_call *c;
	struct arena *a;
	struct snapshot *snapshot;
	enum store_federation kind;
	enum policy_table table;
	struct slice key;
	union object o;
	struct buf what; /* for the history */
	bool found;
	json_t *list;    /* while listing */
};

static enum store_federation kind_of(enum admin_id id)
{
	switch (id) {
	case ADMIN_CMD_ACCESS_SHOW:
	case ADMIN_CMD_ACCESS_SET: return STORE_ACCESS_EDGE;
	case ADMIN_CMD_ALLOWED_ADD:
	case ADMIN_CMD_ALLOWED_SET:
	case ADMIN_CMD_ALLOWED_REMOVE:
	case ADMIN_CMD_ALLOWED_LIST: return STORE_ALLOWED_DOMAIN;
	case ADMIN_CMD_HOSTING_ADD:
	case ADMIN_CMD_HOSTING_SET:
	case ADMIN_CMD_HOSTING_ENABLE:
	case ADMIN_CMD_HOSTING_DISABLE:
	case ADMIN_CMD_HOSTING_REMOVE:
	case ADMIN_CMD_HOSTING_LIST: return STORE_HOSTING_PROVIDER;
	default: return STORE_PUBLIC_PROVIDER;
	}
}

static const char *noun(const struct edit *e)
{
	static const char *const nouns[] = {"access-edge", "allowed domain", "hosting provider", "public provider"};
	return nouns[e->kind];
}

static void begin(struct edit *e, struct admin_call *c)
{
	*e = (struct edit){.c = c, .a = arena_new(EDIT_MEMORY), .snapshot = admin_snapshot(c), .kind = kind_of(c->command->id)};
	buf_init(&e->what, 65536);
	if (e->kind == STORE_ACCESS_EDGE) {
		e->table = POLICY_TABLE_ACCESS;
	} else if (e->kind == STORE_ALLOWED_DOMAIN) {
		e->table = POLICY_TABLE_ALLOWED;
		e->key = e->o.allowed.domain = admin_arg_text(c, "domain");
	} else {
		e->table = POLICY_TABLE_PROVIDER;
		e->key = e->o.provider.name = admin_arg_text(c, "name");
		e->o.provider.kind = e->kind == STORE_HOSTING_PROVIDER ? POLICY_HOSTING : POLICY_PUBLIC;
	}
	policy_fields_defaults(e->table, &e->o);
}

static int end(struct edit *e, int exit)
{
	arena_release(NULL, e->a);
	buf_free(&e->what);
	return exit;
}

/* ---- data */

void admin_fields_json(json_t *j, enum policy_table t, const void *o)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++) {
		const void *at = (const char *)o + f[i].offset;
		struct buf b;
		buf_init(&b, 8192);
		policy_field_print(&f[i], o, &b);
		if (f[i].type == POLICY_FIELD_BOOL)
			json_object_set_new(j, f[i].member, json_boolean(*(const bool *)at));
		else if (f[i].type == POLICY_FIELD_UINT)
			json_object_set_new(j, f[i].member, json_integer(*(const uint32_t *)at));
		else
			admin_set_text(j, f[i].member, buf_slice(&b));
		buf_free(&b);
	}
}

static json_t *object_json(enum policy_table t, const union object *o)
{
	json_t *j = json_object();
	if (t == POLICY_TABLE_ALLOWED)
		admin_set_text(j, "domain", o->allowed.domain);
	if (t == POLICY_TABLE_PROVIDER) {
		admin_set_text(j, "name", o->provider.name);
		json_object_set_new(j, "kind", json_string(policy_provider_kind_name(o->provider.kind)));
	}
	admin_fields_json(j, t, o);
	return j;
}

static void show(struct edit *e)
{
	json_t *j = object_json(e->table, &e->o);
	if (e->kind == STORE_ACCESS_EDGE)
		json_object_set_new(e->c->data, "access", j);
	else
		json_object_set_new(e->c->data, e->kind == STORE_ALLOWED_DOMAIN ? "allowed" : "providers", json_pack("[o]", j));
}

static int find_each(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct edit *e = arg;
	if (kind != e->kind || !slice_eq(key, e->key))
		return 0;
	e->found = true;
	policy_fields_read(e->table, &e->o, arena_dup(e->a, fields), NULL);
	return 1;
}

static int load(struct edit *e)
{
	struct entente_err err = {0};
	if (!e->snapshot)
		return ADMIN_EXIT_UNAVAILABLE;
	if (store_load_federation(e->c->admin->store, find_each, e, &err) < 0)
		return admin_fail_err(e->c, "the database cannot be read", &err, NULL);
	return ADMIN_EXIT_OK;
}

/* ---- changes */

static struct slice arg_as_text(struct admin_call *c, struct arena *a, const struct policy_field *f)
{
	json_t *list, *one;
	size_t i;
	struct slice all = S("");
	switch (f->type) {
	case POLICY_FIELD_BOOL: return admin_arg_bool(c, f->name, false) ? S("true") : S("false");
	case POLICY_FIELD_UINT: return arena_printf(a, "%llu", (unsigned long long)admin_arg_uint(c, f->name, 0));
	case POLICY_FIELD_DOMAINS:
		list = admin_arg_list(c, f->name);
		json_array_foreach(list, i, one)
			all = arena_printf(a, "%.*s%s%s", SFMT(all), i ? " " : "", json_string_value(one));
		return all;
	default: return admin_arg_text(c, f->name);
	}
}

int admin_fields_apply(struct admin_call *c, struct arena *a, enum policy_table t, void *o, struct buf *what)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	struct entente_err err = {0};
	for (size_t i = 0; i < n; i++) {
		if (!admin_arg_given(c, f[i].name))
			continue;
		struct slice value = arg_as_text(c, a, &f[i]);
		if (policy_field_set(&f[i], o, value.p ? value : S(""), &err))
			return admin_fail_err(c, "nothing was changed", &err, NULL);
		buf_printf(what, "%s%s=%.*s", what->len ? " " : "", f[i].name, SFMT(value));
	}
	return ADMIN_EXIT_OK;
}

static int check_allowed(struct edit *e, bool add)
{
	const struct policy_allowed *same = snapshot_allowed(e->snapshot, e->key);
	if (!add)
		return ADMIN_EXIT_OK;
	if (same && slice_eq(same->domain, e->key))
		return admin_fail(e->c, ADMIN_EXIT_FINDING, "exists", NULL, "%.*s is allowed already", SFMT(e->key));
	if (slice_eq(snapshot_blocked(e->snapshot, e->key), e->key))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "entente blocked-domain remove DOMAIN",
				  "%.*s is blocked: a domain can be on one of the lists only", SFMT(e->key));
	if (snapshot_local(e->snapshot, e->key, NULL))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", NULL, "%.*s is one of our own domains", SFMT(e->key));
	if (!policy_partner_by_sip(snapshot_partner(e->snapshot, e->key)))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "entente partner xmpp set DOMAIN --protocol sip-first: by both networks", "%.*s belongs to an XMPP partner",
				  SFMT(e->key));
	struct slice above = snapshot_blocked(e->snapshot, e->key);
	if (above.p)
		admin_warn(e->c, "%.*s is blocked by %.*s: nothing passes", SFMT(e->key), SFMT(above));
	return ADMIN_EXIT_OK;
}

static int check_provider(struct edit *e, bool add)
{
	struct entente_err err = {0};
	const struct policy_provider *same = snapshot_provider(e->snapshot, e->key);
	if (policy_provider_check(&e->o.provider, &err))
		return admin_fail_err(e->c, "nothing was changed", &err, NULL);
	if (add && same)
		return admin_fail(e->c, ADMIN_EXIT_FINDING, "exists", NULL, "there is a %s provider %.*s already",
				  policy_provider_kind_name(same->kind), SFMT(e->key));
	if (snapshot_access(e->snapshot)->routing == POLICY_ROUTE_DEFAULT)
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "entente access-edge set --routing dns-srv",
				  "providers cannot be used with routing default");
	if (!add && same && !slice_eq(same->proxy_fqdn, e->o.provider.proxy_fqdn))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "remove the provider and add it again",
				  "proxy-fqdn of a provider cannot be changed");
	same = snapshot_provider_by_proxy(e->snapshot, e->o.provider.proxy_fqdn);
	if (add && same)
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", NULL, "%.*s is the server of the provider %.*s already",
				  SFMT(same->proxy_fqdn), SFMT(same->name));
	return ADMIN_EXIT_OK;
}

static int check(struct edit *e, bool add)
{
	struct entente_err err = {0};
	if (add && e->found)
		return admin_fail(e->c, ADMIN_EXIT_FINDING, "exists", NULL, "the %s %.*s exists already", noun(e), SFMT(e->key));
	if (e->kind == STORE_ALLOWED_DOMAIN)
		return check_allowed(e, add);
	if (e->kind != STORE_ACCESS_EDGE)
		return check_provider(e, add);
	if (policy_access_check(&e->o.access, snapshot_provider_count(e->snapshot), &err))
		return admin_fail_err(e->c, "nothing was changed", &err, NULL);
	return ADMIN_EXIT_OK;
}

int admin_change_finish(struct admin_call *c, int submitted, struct store_wait *w)
{
	struct entente_err err = {0};
	if (submitted == 0)
		submitted = store_wait(w, &err);
	else
		err_set(&err, submitted, REASON_NONE, "%s", entente_strerror(submitted));
	return submitted ? admin_fail_err(c, "nothing was changed", &err, NULL) : admin_publish(c);
}

bool admin_what_if(struct admin_call *c)
{
	bool yes = admin_arg_bool(c, "what-if", false);
	if (yes)
		json_object_set_new(c->data, "what_if", json_true());
	return yes;
}

static int write_object(struct edit *e, const char *verb)
{
	struct store_wait w;
	struct buf fields;
	struct slice what = arena_printf(e->a, "%s%s%.*s", verb, e->what.len ? " " : "", SFMT(buf_slice(&e->what)));
	if (admin_what_if(e->c))
		return ADMIN_EXIT_OK;
	store_wait_init(&w);
	buf_init(&fields, 65536);
	policy_fields_write(e->table, &e->o, &fields);
	int rc = store_federation_put(e->c->admin->store, e->kind, e->key, buf_slice(&fields), e->c->who, what, store_wait_done, &w);
	int exit = admin_change_finish(e->c, rc, &w);
	buf_free(&fields);
	return exit;
}

int admin_federation_add(struct admin_call *c)
{
	struct edit e;
	begin(&e, c);
	int exit = load(&e);
	if (!exit)
		exit = admin_fields_apply(c, e.a, e.table, &e.o, &e.what);
	if (!exit)
		exit = check(&e, true);
	if (!exit) {
		show(&e);
		exit = write_object(&e, "add");
	}
	return end(&e, exit);
}

static int not_found(struct edit *e)
{
	return admin_fail(e->c, ADMIN_EXIT_FINDING, "not-found", NULL, "there is no %s %.*s", noun(e), SFMT(e->key));
}

/* What belongs together: leaving the default route takes its settings along. */
static void settle(struct edit *e)
{
	struct policy_access *a = &e->o.access;
	if (e->kind == STORE_ALLOWED_DOMAIN && admin_arg_bool(e->c, "dns-srv", false)) {
		e->o.allowed.proxy_fqdn = S("");
		buf_puts(&e->what, " proxy-fqdn=");
	}
	if (e->kind != STORE_ACCESS_EDGE || a->routing == POLICY_ROUTE_DEFAULT || !admin_arg_given(e->c, "routing"))
		return;
	if (!admin_arg_given(e->c, "default-route-fqdn"))
		a->default_route = S("");
	if (!admin_arg_given(e->c, "is-public-provider"))
		a->public_provider = false;
}

static void switch_on(struct edit *e)
{
	enum admin_id id = e->c->command->id;
	bool on = id == ADMIN_CMD_HOSTING_ENABLE || id == ADMIN_CMD_PUBLIC_ENABLE;
	if (!on && id != ADMIN_CMD_HOSTING_DISABLE && id != ADMIN_CMD_PUBLIC_DISABLE)
		return;
	e->o.provider.enabled = on;
	buf_printf(&e->what, "enabled=%s", on ? "true" : "false");
}

int admin_federation_set(struct admin_call *c)
{
	struct edit e;
	begin(&e, c);
	int exit = load(&e);
	if (!exit && !e.found && e.kind != STORE_ACCESS_EDGE)
		exit = not_found(&e);
	if (!exit)
		exit = admin_fields_apply(c, e.a, e.table, &e.o, &e.what);
	if (!exit) {
		settle(&e);
		switch_on(&e);
		exit = check(&e, false);
	}
	if (!exit) {
		show(&e);
		exit = write_object(&e, "set");
	}
	return end(&e, exit);
}

int admin_federation_remove(struct admin_call *c)
{
	struct edit e;
	struct store_wait w;
	begin(&e, c);
	int exit = load(&e);
	if (!exit && !e.found)
		exit = not_found(&e);
	if (!exit)
		show(&e);
	if (!exit && !admin_what_if(c)) {
		store_wait_init(&w);
		exit = admin_change_finish(c, store_federation_remove(c->admin->store, e.kind, e.key, c->who, store_wait_done, &w), &w);
	}
	return end(&e, exit);
}

/* ---- lists */

static int list_each(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct edit *e = arg;
	struct slice like = admin_arg_text(e->c, "filter");
	char name[POLICY_DOMAIN_MAX + 1], pattern[POLICY_DOMAIN_MAX + 1];
	union object o = e->o;
	if (kind != e->kind || !slice_cstr(key, name, sizeof name) || !slice_cstr(like, pattern, sizeof pattern))
		return 0;
	if (like.len && fnmatch(pattern, name, FNM_CASEFOLD))
		return 0;
	if (kind == STORE_ALLOWED_DOMAIN)
		o.allowed.domain = key;
	else
		o.provider.name = key;
	policy_fields_read(e->table, &o, fields, NULL);
	json_array_append_new(e->list, object_json(e->table, &o));
	return 0;
}

int admin_federation_list(struct admin_call *c)
{
	struct edit e;
	struct entente_err err = {0};
	begin(&e, c);
	int exit = ADMIN_EXIT_OK;
	if (e.kind == STORE_ACCESS_EDGE) {
		exit = load(&e);
		if (!exit)
			show(&e);
		return end(&e, exit);
	}
	e.list = json_array();
	json_object_set_new(c->data, e.kind == STORE_ALLOWED_DOMAIN ? "allowed" : "providers", e.list);
	if (store_load_federation(c->admin->store, list_each, &e, &err) < 0)
		exit = admin_fail_err(c, "the database cannot be read", &err, NULL);
	return end(&e, exit);
}

/* ---- text */

void admin_field_print(struct buf *out, json_t *v)
{
	if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "yes" : "no");
	else if (json_is_integer(v))
		buf_u64(out, (uint64_t)json_integer_value(v));
	else
		admin_clean(out, slice_str(*json_string_value(v) ? json_string_value(v) : "-"));
}

void admin_fields_print(struct admin_call *c, enum policy_table t, json_t *o)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&c->text, "  %-38s ", f[i].name);
		admin_field_print(&c->text, json_object_get(o, f[i].member));
		buf_putc(&c->text, '\n');
	}
}

void admin_federation_print(struct admin_call *c)
{
	enum store_federation kind = kind_of(c->command->id);
	enum policy_table t = kind == STORE_ACCESS_EDGE ? POLICY_TABLE_ACCESS : kind == STORE_ALLOWED_DOMAIN ? POLICY_TABLE_ALLOWED : POLICY_TABLE_PROVIDER;
	json_t *o = t == POLICY_TABLE_ACCESS ? json_object_get(c->data, "access")
					     : json_array_get(json_object_get(c->data, t == POLICY_TABLE_ALLOWED ? "allowed" : "providers"), 0);
	const char *key = t == POLICY_TABLE_ALLOWED ? admin_get_text(o, "domain") : t == POLICY_TABLE_PROVIDER ? admin_get_text(o, "name") : "access-edge";
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(key));
	if (json_is_true(json_object_get(c->data, "what_if")))
		buf_puts(&c->text, " (nothing was changed)");
	buf_putc(&c->text, '\n');
	admin_fields_print(c, t, o);
}

void admin_federation_list_print(struct admin_call *c)
{
	static const struct admin_table_column allowed[] = {{"DOMAIN", ADMIN_TABLE_FLEX}, {"PROXY FQDN", ADMIN_TABLE_FLEX}, {"VERIFICATION LEVEL", 0},
							    {"MONITORED", 0}, {"COMMENT", ADMIN_TABLE_FLEX}};
	static const char *const allowed_members[] = {"domain", "proxy_fqdn", "verification", "monitoring", "comment"};
	static const struct admin_table_column providers[] = {{"NAME", ADMIN_TABLE_FLEX}, {"PROXY FQDN", ADMIN_TABLE_FLEX}, {"ENABLED", 0},
							      {"VERIFICATION LEVEL", 0}, {"COMMENT", ADMIN_TABLE_FLEX}};
	static const char *const provider_members[] = {"name", "proxy_fqdn", "enabled", "verification", "comment"};
	bool domains = kind_of(c->command->id) == STORE_ALLOWED_DOMAIN;
	json_t *list = json_object_get(c->data, domains ? "allowed" : "providers"), *o;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, domains ? "No domain is allowed.\n" : "There is no provider.\n");
	struct admin_table *t = admin_table_new(domains ? allowed : providers, 5);
	json_array_foreach(list, i, o)
		for (size_t k = 0; k < 5; k++) {
			json_t *v = json_object_get(o, domains ? allowed_members[k] : provider_members[k]);
			admin_table_cell(t, json_is_boolean(v) ? (json_is_true(v) ? S("yes") : S("no")) : slice_str(json_string_value(v)));
		}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}
