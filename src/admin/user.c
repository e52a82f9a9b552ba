/* SPDX-License-Identifier: Apache-2.0 */
/* Records of local users: as much of them as policy has to know. */
#include "admin/external.h"
#include "admin/federation.h"
#include "store/store_federation.h"

struct edit {
	struct admin_call *c;
	struct snapshot *s;
	struct arena *a;
	struct policy_user u;
	const struct policy_user *old; /* NULL: no record */
	struct buf what;
};

/* exit of the call */
static int begin(struct edit *e, struct admin_call *c)
{
	struct slice address = SLICE_NONE;
	*e = (struct edit){.c = c, .s = admin_snapshot(c), .a = arena_new(1 << 20)};
	buf_init(&e->what, 65536);
	policy_fields_defaults(POLICY_TABLE_USER, &e->u);
	if (!e->s)
		return ADMIN_EXIT_UNAVAILABLE;
	int exit = admin_local_user(c, e->s, "ADDRESS", admin_arg_text(c, "address"), e->a, &address);
	if (exit)
		return exit;
	struct slice domain = address, local = slice_split(&domain, '@');
	e->old = snapshot_user(e->s, local, domain);
	if (e->old)
		e->u = *e->old;
	e->u.address = address;
	return ADMIN_EXIT_OK;
}

static int end(struct edit *e, int exit)
{
	arena_release(NULL, e->a);
	buf_free(&e->what);
	return exit;
}

/* Which policy holds with this record (NULL: with none), and why. */
static void effect(json_t *j, struct snapshot *s, const struct policy_user *u, struct slice address)
{
	struct policy_holder h;
	struct slice domain = address, local = slice_split(&domain, '@');
	const struct policy_external *p;
	enum policy_scope scope = POLICY_SCOPE_USER;
	snapshot_holder(s, local, domain, &h);
	p = h.policy;
	if (u) { /* as it would be with the record that is shown */
		char site[POLICY_IDENTITY_MAX + 1];
		struct policy_holder of_home;
		snapshot_holder(s, SLICE_NONE, domain, &of_home);
		h.site = u->site.len ? u->site : of_home.site;
		p = u->policy.len ? snapshot_external(s, u->policy) : NULL;
		if (!u->policy.len) {
			snprintf(site, sizeof site, "site:%.*s", SFMT(slice_first(h.site, POLICY_EXTERNAL_NAME_MAX)));
			p = h.site.len ? snapshot_external(s, slice_str(site)) : NULL;
			scope = p ? POLICY_SCOPE_SITE : POLICY_SCOPE_GLOBAL;
			p = p ? p : snapshot_external(s, S("global"));
		}
	} else {
		scope = h.scope;
	}
	json_object_set_new(j, "holds", p ? admin_json_text(p->name) : json_null());
	json_object_set_new(j, "scope", json_string(policy_scope_name(scope)));
	admin_set_text(j, "effective_site", h.site);
	bool federation = p && p->federation;
	json_object_set_new(j, "may_sip", json_boolean(federation));
	json_object_set_new(j, "may_xmpp", json_boolean(federation && p->xmpp && !(u && u->branch)));
	json_object_set_new(j, "may_public", json_boolean(p && p->public_cloud));
	json_object_set_new(j, "may_public_calls", json_boolean(p && p->public_cloud && p->public_cloud_av));
}

static json_t *user_json(struct snapshot *s, const struct policy_user *u, bool has_record)
{
	json_t *j = json_object();
	admin_set_text(j, "address", u->address);
	json_object_set_new(j, "record", json_boolean(has_record));
	admin_fields_json(j, POLICY_TABLE_USER, u);
	effect(j, s, has_record ? u : NULL, u->address);
	return j;
}

static void show(struct edit *e, bool has_record)
{
	json_object_set_new(e->c->data, "users", json_pack("[o]", user_json(e->s, &e->u, has_record)));
}

int admin_user_show(struct admin_call *c)
{
	struct edit e;
	int exit = begin(&e, c);
	if (!exit)
		show(&e, e.old != NULL);
	return end(&e, exit);
}

static int check(struct edit *e)
{
	struct policy_user *u = &e->u;
	if (u->site.len && !policy_external_name_ok(u->site))
		return admin_fail(e->c, ADMIN_EXIT_USAGE, "usage", "e.g. --site Redmond", "--site: '%.*s' is no name of a site: at most %d octets, without : * ?",
				  SFMT(u->site), POLICY_EXTERNAL_NAME_MAX);
	if (!u->policy.len)
		return ADMIN_EXIT_OK;
	const struct policy_external *p = snapshot_external(e->s, u->policy);
	if (!p)
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "`entente external-access list` lists all, entente external-access add makes one",
				  "--policy: there is no external access policy %.*s", SFMT(slice_first(u->policy, 200)));
	if (p->scope != POLICY_SCOPE_USER)
		return admin_fail(e->c, ADMIN_EXIT_USAGE, "usage", "without a policy of its own, a user has that of the site, else the global one",
				  "--policy: %.*s is not granted to users", SFMT(p->name));
	u->policy = p->name; /* spelled as it was added, without the prefix */
	slice_split(&u->policy, ':');
	return ADMIN_EXIT_OK;
}

static int change(struct admin_call *c, bool add)
{
	struct edit e;
	struct store_wait w;
	struct buf fields;
	int exit = begin(&e, c);
	if (!exit && add && e.old)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "exists", "entente user set changes it", "there is a record of the user %.*s already", SFMT(e.u.address));
	if (!exit && !add && !e.old)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "entente user add makes one", "there is no record of the user %.*s", SFMT(e.u.address));
	if (!exit)
		exit = admin_fields_apply(c, e.a, POLICY_TABLE_USER, &e.u, &e.what);
	if (!exit)
		exit = check(&e);
	if (exit)
		return end(&e, exit);
	show(&e, true);
	if (admin_what_if(c))
		return end(&e, ADMIN_EXIT_OK);
	store_wait_init(&w);
	buf_init(&fields, 65536);
	policy_fields_write(POLICY_TABLE_USER, &e.u, &fields);
	struct slice what = arena_printf(e.a, "%s%s%.*s", add ? "add" : "set", e.what.len ? " " : "", SFMT(buf_slice(&e.what)));
	exit = admin_change_finish(c, store_federation_put(c->admin->store, STORE_USER, e.u.address, buf_slice(&fields), c->who, what, store_wait_done, &w), &w);
	buf_free(&fields);
	return end(&e, exit);
}

int admin_user_add(struct admin_call *c)
{
	return change(c, true);
}

int admin_user_set(struct admin_call *c)
{
	return change(c, false);
}

int admin_user_remove(struct admin_call *c)
{
	struct edit e;
	struct store_wait w;
	int exit = begin(&e, c);
	if (!exit && !e.old)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-found", NULL, "there is no record of the user %.*s", SFMT(e.u.address));
	if (exit)
		return end(&e, exit);
	policy_fields_defaults(POLICY_TABLE_USER, &e.u);
	json_object_set_new(c->data, "users", json_array());
	json_t *j = json_object();
	struct policy_user none = e.u; /* what holds afterwards: nobody's record */
	admin_set_text(j, "address", e.u.address);
	json_object_set_new(j, "record", json_false());
	admin_fields_json(j, POLICY_TABLE_USER, &none);
	effect(j, e.s, &none, e.u.address);
	json_array_append_new(json_object_get(c->data, "users"), j);
	if (admin_what_if(c))
		return end(&e, ADMIN_EXIT_OK);
	store_wait_init(&w);
	exit = admin_change_finish(c, store_federation_remove(c->admin->store, STORE_USER, e.u.address, c->who, store_wait_done, &w), &w);
	return end(&e, exit);
}

/* ---- list */

struct listing {
	struct admin_call *c;
	struct snapshot *s;
	json_t *list;
	uint64_t most;
	size_t all;
};

static int list_each(void *arg, struct slice key, struct slice fields)
{
	struct listing *l = arg;
	struct admin_call *c = l->c;
	struct policy_user u = {.address = key};
	struct slice domain = key, want = admin_arg_text(c, "domain"), site = admin_arg_text(c, "site"), tag = admin_arg_text(c, "policy");
	if (slice_istarts(tag, S("tag:")))
		slice_split(&tag, ':');
	slice_split(&domain, '@');
	policy_fields_defaults(POLICY_TABLE_USER, &u);
	policy_fields_read(POLICY_TABLE_USER, &u, fields, NULL);
	if (!admin_like(admin_arg_text(c, "filter"), key) || (want.len && !slice_eq(domain, want)) || (site.len && !slice_ieq(u.site, site)) ||
	    (tag.len && !slice_ieq(u.policy, tag)) || (admin_arg_given(c, "branch") && u.branch != admin_arg_bool(c, "branch", true)))
		return 0;
	l->all++;
	if (!l->most || l->all <= l->most)
		json_array_append_new(l->list, user_json(l->s, &u, true));
	return 0;
}

int admin_user_list(struct admin_call *c)
{
	struct entente_err err = {0};
	struct listing l = {.c = c, .s = admin_snapshot(c), .list = json_array(), .most = admin_arg_uint(c, "limit", 1000)};
	json_object_set_new(c->data, "users", l.list);
	if (!l.s)
		return ADMIN_EXIT_UNAVAILABLE;
	if (store_load_objects(c->admin->store, STORE_USER, SLICE_NONE, list_each, &l, &err) < 0)
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	json_object_set_new(c->data, "matched", json_integer((json_int_t)l.all));
	if (l.all > json_array_size(l.list))
		admin_warn(c, "%zu users match, the first %zu are shown: --limit 0 shows all", l.all, json_array_size(l.list));
	return ADMIN_EXIT_OK;
}

/* ---- text */

void admin_user_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"USER", ADMIN_TABLE_FLEX}, {"SITE", 0}, {"GRANTED", 0}, {"BRANCH", 0}, {"POLICY IN FORCE", 0},
							    {"SIP", 0}, {"XMPP", 0}, {"PUBLIC", 0}, {"COMMENT", ADMIN_TABLE_FLEX}};
	static const char *const members[] = {"address", "effective_site", "policy", "branch", "holds", "may_sip", "may_xmpp", "may_public", "comment"};
	json_t *list = json_object_get(c->data, "users"), *u;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, "No user has such a record.\n");
	struct admin_table *t = admin_table_new(columns, 9);
	json_array_foreach(list, i, u)
		for (size_t k = 0; k < 9; k++) {
			json_t *v = json_object_get(u, members[k]);
			if (json_is_boolean(v))
				admin_table_cell(t, json_is_true(v) ? S("yes") : k == 3 ? S("") : S("no"));
			else
				admin_table_cell(t, slice_str(admin_get_text(u, members[k])));
		}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

void admin_user_print(struct admin_call *c)
{
	static const char *const lines[][2] = {{"may_sip", "SIP partners"}, {"may_xmpp", "XMPP partners"}, {"may_public", "public IM providers"},
					       {"may_public_calls", "calls with those"}};
	json_t *u = json_array_get(json_object_get(c->data, "users"), 0);
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(admin_get_text(u, "address")));
	if (!json_is_true(json_object_get(u, "record")))
		buf_puts(&c->text, " has no record");
	if (json_is_true(json_object_get(c->data, "what_if")))
		buf_puts(&c->text, " (nothing was changed)");
	buf_putc(&c->text, '\n');
	if (json_is_true(json_object_get(u, "record")))
		admin_fields_print(c, POLICY_TABLE_USER, u);
	buf_printf(&c->text, "  %-38s ", "policy in force");
	admin_clean(&c->text, slice_str(*admin_get_text(u, "holds") ? admin_get_text(u, "holds") : "none: the one that was granted does not exist"));
	if (*admin_get_text(u, "effective_site")) {
		buf_puts(&c->text, " (site ");
		admin_clean(&c->text, slice_str(admin_get_text(u, "effective_site")));
		buf_putc(&c->text, ')');
	}
	buf_putc(&c->text, '\n');
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		buf_printf(&c->text, "  %-38s ", lines[i][1]);
		admin_field_print(&c->text, json_object_get(u, lines[i][0]));
		buf_putc(&c->text, '\n');
	}
}
