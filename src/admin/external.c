/* SPDX-License-Identifier: Apache-2.0 */
/* External access policies: which there are, what they allow, whom they were granted to. */
#include "admin/external.h"

#include <fnmatch.h>
#include "admin/federation.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/decide.h"
#include "store/store_federation.h"
#include "store/store_set.h"

enum { MEMORY = 256 << 20 };

bool admin_like(struct slice pattern, struct slice text)
{
	char p[POLICY_USER_MAX + 1], t[POLICY_USER_MAX + 1];
	return slice_empty(pattern) || (slice_cstr(pattern, p, sizeof p) && slice_cstr(text, t, sizeof t) && fnmatch(p, t, FNM_CASEFOLD) == 0);
}

void admin_external_names(const struct policy_verdict *v, struct buf *policy, struct buf *switches)
{
	static const struct {
		unsigned lacks;
		const char *option;
	} options[] = {{POLICY_LACKS_FEDERATION, "--federation"}, {POLICY_LACKS_XMPP, "--xmpp"}, {POLICY_LACKS_PUBLIC, "--public-cloud"},
		       {POLICY_LACKS_PUBLIC_AV, "--public-cloud-audio-video"}};
	if (!v->external)
		return;
	bool word = true; /* a shell takes it as it is */
	for (size_t i = 0; i < v->external->name.len; i++)
		word = word && (slice_find_chr(S(" '\"$`\\|&;<>()#~!"), v->external->name.p[i]) < 0);
	buf_puts(policy, word ? "" : "'");
	for (size_t i = 0; i < v->external->name.len; i++)
		if (v->external->name.p[i] == '\'')
			buf_puts(policy, "'\\''");
		else
			buf_putc(policy, v->external->name.p[i]);
	buf_puts(policy, word ? "" : "'");
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (v->lacks & options[i].lacks)
			buf_printf(switches, "%s%s", switches->len ? " " : "", options[i].option);
}

int admin_address(struct admin_call *c, const char *name, struct slice text, struct arena *a, struct slice *ret)
{
	char jid[ADMIN_ADDRESS_MAX];
	struct entente_err err = {0};
	bool sip;
	if (c->admin->ops->address(c->admin->arg, text, &sip, jid, sizeof jid, &err) || slice_find_chr(slice_str(jid), '@') < 0)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "sip:user@domain, xmpp:user@domain or user@domain is wanted, e.g. romeo@contoso.example",
				  "%s: '%.*s': %s", name, SFMT(slice_first(text, 200)), *err.text ? err.text : "it is the address of a domain, not of a user");
	*ret = arena_dup(a, slice_str(jid));
	return ADMIN_EXIT_OK;
}

int admin_local_user(struct admin_call *c, struct snapshot *s, const char *name, struct slice text, struct arena *a, struct slice *ret)
{
	int exit = admin_address(c, name, text, a, ret);
	struct slice domain = exit ? SLICE_NONE : *ret;
	if (exit)
		return exit;
	slice_split(&domain, '@');
	if (snapshot_local(s, domain, NULL))
		return ADMIN_EXIT_OK;
	return admin_fail(c, ADMIN_EXIT_REFUSED, "conflict", "the domains of `homes` in the configuration are ours; `entente show homes` lists them",
			  "%s: %.*s is not a user of ours: no home serves %.*s", name, SFMT(*ret), SFMT(domain));
}

/* ---- one policy */

struct edit {
	struct admin_call *c;
	struct snapshot *s;
	struct arena *a;
	struct policy_external o;
	struct buf what;
};

/* exit of the call */
static int begin(struct edit *e, struct admin_call *c)
{
	struct entente_err err = {0};
	struct slice name;
	*e = (struct edit){.c = c, .s = admin_snapshot(c), .a = arena_new(1 << 20)};
	buf_init(&e->what, 65536);
	policy_fields_defaults(POLICY_TABLE_EXTERNAL, &e->o);
	if (!e->s)
		return ADMIN_EXIT_UNAVAILABLE;
	if (policy_external_parse(&e->o.scope, &name, admin_arg_text(c, "name"), &err))
		return admin_fail_err(c, "nothing was changed", &err, NULL);
	struct buf b;
	buf_init(&b, 1024);
	policy_external_print(&b, e->o.scope, name);
	e->o.name = arena_dup(e->a, buf_slice(&b));
	buf_free(&b);
	return ADMIN_EXIT_OK;
}

static int end(struct edit *e, int exit)
{
	arena_release(NULL, e->a);
	buf_free(&e->what);
	return exit;
}

static int find(struct edit *e)
{
	const struct policy_external *p = snapshot_external(e->s, e->o.name);
	if (!p)
		return admin_fail(e->c, ADMIN_EXIT_FINDING, "not-found", "`entente external-access list` lists all",
				  "there is no external access policy %.*s", SFMT(e->o.name));
	e->o = *p;
	return ADMIN_EXIT_OK;
}

static json_t *policy_json(struct snapshot *s, const struct policy_external *p)
{
	json_t *j = json_object();
	const struct policy_external *known = snapshot_external(s, p->name);
	admin_set_text(j, "name", p->name);
	json_object_set_new(j, "scope", json_string(policy_scope_name(p->scope)));
	admin_fields_json(j, POLICY_TABLE_EXTERNAL, p);
	json_object_set_new(j, "grants", json_integer(known ? (json_int_t)snapshot_external_grants(s, known) : 0));
	return j;
}

static int write_policy(struct edit *e, const char *verb)
{
	struct store_wait w;
	struct buf fields;
	struct slice what = arena_printf(e->a, "%s%s%.*s", verb, e->what.len ? " " : "", SFMT(buf_slice(&e->what)));
	json_object_set_new(e->c->data, "policies", json_pack("[o]", policy_json(e->s, &e->o)));
	if (admin_what_if(e->c))
		return ADMIN_EXIT_OK;
	store_wait_init(&w);
	buf_init(&fields, 65536);
	policy_fields_write(POLICY_TABLE_EXTERNAL, &e->o, &fields);
	int exit = admin_change_finish(e->c, store_federation_put(e->c->admin->store, STORE_EXTERNAL_ACCESS, e->o.name, buf_slice(&fields), e->c->who, what,
								   store_wait_done, &w), &w);
	buf_free(&fields);
	return exit;
}

/* What is allowed on paper only. */
static void remarks(struct edit *e)
{
	const struct policy_external *p = &e->o;
	struct slice site = p->name;
	bool any = p->scope != POLICY_SCOPE_SITE;
	slice_split(&site, ':');
	for (size_t i = 0; i < snapshot_home_count(e->s) && !any; i++)
		any = slice_ieq(snapshot_home(e->s, i)->site, site);
	if (!any)
		admin_warn(e->c, "no home has the site %.*s: the policy holds for users whose record names it (entente user set ADDRESS --site ...)", SFMT(site));
	if (p->xmpp && !p->federation)
		admin_warn(e->c, "xmpp has no effect without federation: XMPP needs both");
	if (p->public_cloud_av && !p->public_cloud)
		admin_warn(e->c, "public-cloud-audio-video has no effect without public-cloud");
	if (p->outside && admin_arg_given(e->c, "outside"))
		admin_warn(e->c, "outside has no effect here: Entente signs nobody in");
}

int admin_external_add(struct admin_call *c)
{
	struct edit e;
	int exit = begin(&e, c);
	if (!exit && e.o.scope == POLICY_SCOPE_GLOBAL)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "exists", "entente external-access set global ...", "the global policy exists always: it is set, not added");
	if (!exit && snapshot_external(e.s, e.o.name))
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "exists", NULL, "there is an external access policy %.*s already", SFMT(snapshot_external(e.s, e.o.name)->name));
	if (!exit)
		exit = admin_fields_apply(c, e.a, POLICY_TABLE_EXTERNAL, &e.o, &e.what);
	if (!exit) {
		remarks(&e);
		exit = write_policy(&e, "add");
	}
	return end(&e, exit);
}

int admin_external_set(struct admin_call *c)
{
	struct edit e;
	int exit = begin(&e, c);
	if (!exit)
		exit = find(&e);
	if (!exit)
		exit = admin_fields_apply(c, e.a, POLICY_TABLE_EXTERNAL, &e.o, &e.what);
	if (!exit) {
		remarks(&e);
		exit = write_policy(&e, "set");
	}
	return end(&e, exit);
}

int admin_external_show(struct admin_call *c)
{
	struct edit e;
	int exit = begin(&e, c);
	if (!exit)
		exit = find(&e);
	if (!exit)
		json_object_set_new(c->data, "policies", json_pack("[o]", policy_json(e.s, &e.o)));
	return end(&e, exit);
}

int admin_external_list(struct admin_call *c)
{
	struct snapshot *s = admin_snapshot(c);
	json_t *list = json_array();
	json_object_set_new(c->data, "policies", list);
	for (size_t i = 0; s && i < snapshot_external_count(s); i++) {
		const struct policy_external *p = snapshot_external_at(s, i);
		if (admin_like(admin_arg_text(c, "filter"), p->name))
			json_array_append_new(list, policy_json(s, p));
	}
	return s ? ADMIN_EXIT_OK : ADMIN_EXIT_UNAVAILABLE;
}

/* ---- grants */

struct grant {
	struct admin_call *c;
	struct snapshot *s;
	struct arena *a;
	struct slice policy;         /* the tag; empty: taken back */
	struct map done;             /* addresses that have been looked at; nodes in the arena */
	struct store_set *set;       /* owned, until it is submitted */
	size_t n;
	json_t *users;
	struct slice only;           /* not empty: only who has this policy */
	int exit;
};

static void put(struct grant *g, const struct policy_user *old, struct slice address, bool created)
{
	struct policy_user u = *old;
	struct map_node *seen = ARENA_NEW(g->a, struct map_node);
	struct slice key = arena_dup(g->a, address);
	struct buf fields;
	if (!seen || !key.p || map_find(&g->done, key))
		return;
	map_insert(&g->done, seen, key);
	if (slice_ieq(u.policy, g->policy) && !created)
		return;
	json_t *j = json_object();
	admin_set_text(j, "address", key);
	admin_set_text(j, "from", u.policy);
	admin_set_text(j, "to", g->policy);
	json_object_set_new(j, "created", json_boolean(created));
	json_array_append_new(g->users, j);
	u.policy = g->policy;
	buf_init(&fields, 65536);
	policy_fields_write(POLICY_TABLE_USER, &u, &fields);
	struct slice what = arena_printf(g->a, "%s policy=%.*s", created ? "add" : "set", SFMT(g->policy));
	if (store_federation_put(store_set_collector(g->set), STORE_USER, key, buf_slice(&fields), g->c->who, what, NULL, NULL) && !g->exit)
		g->exit = admin_fail(g->c, ADMIN_EXIT_USAGE, "limit", "name fewer users at once", "nothing was changed: so many users do not fit into one change");
	g->n++;
	buf_free(&fields);
}

static bool pattern(struct slice s)
{
	return slice_find_chr(s, '*') >= 0 || slice_find_chr(s, '?') >= 0;
}

/* Is the record one of those that the arguments name by pattern or domain? */
static bool wanted(const struct grant *g, const struct policy_user *u)
{
	json_t *one;
	size_t i;
	struct slice domain = u->address;
	slice_split(&domain, '@');
	if (g->only.len)
		return slice_ieq(u->policy, g->only);
	json_array_foreach(admin_arg_list(g->c, "user"), i, one)
		if (pattern(slice_str(json_string_value(one))) && admin_like(slice_str(json_string_value(one)), u->address))
			return true;
	json_array_foreach(admin_arg_list(g->c, "domain"), i, one)
		if (slice_eq(slice_str(json_string_value(one)), domain))
			return true;
	return false;
}

static int record(void *arg, struct slice key, struct slice fields)
{
	struct grant *g = arg;
	struct policy_user u = {.address = key};
	policy_fields_defaults(POLICY_TABLE_USER, &u);
	policy_fields_read(POLICY_TABLE_USER, &u, fields, NULL);
	if (wanted(g, &u))
		put(g, &u, key, false);
	return g->exit;
}

static int by_address(struct grant *g)
{
	json_t *one;
	size_t i;
	json_array_foreach(admin_arg_list(g->c, "user"), i, one) {
		struct slice text = slice_str(json_string_value(one)), address;
		struct policy_user fresh;
		if (pattern(text))
			continue;
		int exit = admin_local_user(g->c, g->s, "--user", text, g->a, &address);
		if (exit)
			return exit;
		struct slice domain = address, local = slice_split(&domain, '@');
		const struct policy_user *u = snapshot_user(g->s, local, domain);
		policy_fields_defaults(POLICY_TABLE_USER, &fresh);
		if (u)
			put(g, u, u->address, false);
		else if (g->policy.len)
			put(g, &fresh, address, true);
		if (g->exit)
			return g->exit;
	}
	return ADMIN_EXIT_OK;
}

static void grant_begin(struct grant *g, struct admin_call *c)
{
	*g = (struct grant){.c = c, .s = admin_snapshot(c), .a = arena_new(MEMORY), .users = json_array(), .policy = S("")};
	map_init(&g->done);
	g->set = store_set_new();
	json_object_set_new(c->data, "users", g->users);
	g->exit = g->s ? ADMIN_EXIT_OK : ADMIN_EXIT_UNAVAILABLE;
}

static int grant_end(struct grant *g)
{
	map_free(&g->done);
	store_set_free(g->set);
	arena_release(NULL, g->a);
	return g->exit;
}

/* All or nothing, in the order of the puts. */
static int grant_submit(struct grant *g, struct slice what)
{
	struct store_wait w;
	struct store_set *set = g->set;
	g->set = NULL;
	store_wait_init(&w);
	return admin_change_finish(g->c, store_set_submit(g->c->admin->store, set, -1, g->c->who, what, store_wait_done, &w), &w);
}

static int records(struct grant *g)
{
	struct entente_err err = {0};
	if (store_load_objects(g->c->admin->store, STORE_USER, SLICE_NONE, record, g, &err) < 0)
		return admin_fail_err(g->c, "the database cannot be read", &err, NULL);
	return g->exit;
}

/* Which policy, as it was added. */
static int what_policy(struct grant *g)
{
	struct slice text = admin_arg_text(g->c, "policy");
	bool back = admin_arg_bool(g->c, "global", false);
	if (back == (text.len > 0))
		return admin_fail(g->c, ADMIN_EXIT_USAGE, "usage", "entente external-access grant POLICY --user ADDRESS, or grant --global --user ADDRESS",
				  back ? "a policy and --global exclude each other" : "which policy? or --global, to take a grant back");
	if (back)
		return ADMIN_EXIT_OK;
	const struct policy_external *p = snapshot_external(g->s, text);
	if (!p)
		return admin_fail(g->c, ADMIN_EXIT_FINDING, "not-found", "`entente external-access list` lists all",
				  "there is no external access policy %.*s", SFMT(slice_first(text, 200)));
	if (p->scope != POLICY_SCOPE_USER)
		return admin_fail(g->c, ADMIN_EXIT_USAGE, "usage", "entente external-access add NAME makes a policy that can be granted",
				  "%.*s holds by itself for all whom no nearer one is for; it is not granted", SFMT(p->name));
	g->policy = p->name;
	slice_split(&g->policy, ':');
	return ADMIN_EXIT_OK;
}

int admin_external_grant(struct admin_call *c)
{
	struct grant g;
	grant_begin(&g, c);
	size_t given = json_array_size(admin_arg_list(c, "user")) + json_array_size(admin_arg_list(c, "domain"));
	if (!g.exit)
		g.exit = what_policy(&g);
	if (!g.exit && !given)
		g.exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", "--user romeo@contoso.example, --user 'sales-*@contoso.example', --domain contoso.example",
				    "to whom?");
	if (!g.exit)
		g.exit = by_address(&g);
	if (!g.exit)
		g.exit = records(&g);
	if (g.exit)
		return grant_end(&g);
	if (!g.done.count)
		admin_warn(c, "nobody: no user's record is like that; addresses that are written out need none");
	if (g.policy.len)
		admin_set_text(c->data, "policy", snapshot_external(g.s, g.policy)->name);
	else
		json_object_set_new(c->data, "policy", json_null());
	json_object_set_new(c->data, "matched", json_integer((json_int_t)g.done.count));
	if (admin_what_if(c) || !g.n)
		return grant_end(&g);
	g.exit = grant_submit(&g, g.policy.len ? arena_printf(g.a, "external-access tag:%.*s grant to %zu", SFMT(g.policy), g.n)
					       : arena_printf(g.a, "external-access grants taken back from %zu", g.n));
	return grant_end(&g);
}

/* The global policy goes back to what it is without being set. */
int admin_external_remove(struct admin_call *c)
{
	struct edit e;
	struct grant g;
	int exit = begin(&e, c);
	if (!exit)
		exit = find(&e);
	if (exit)
		return end(&e, exit);
	grant_begin(&g, c);
	if (e.o.scope == POLICY_SCOPE_GLOBAL) {
		policy_fields_defaults(POLICY_TABLE_EXTERNAL, &e.o);
		g.exit = write_policy(&e, "remove: everything off");
		grant_end(&g);
		return end(&e, g.exit);
	}
	size_t grants = snapshot_external_grants(e.s, snapshot_external(e.s, e.o.name));
	if (grants && !admin_arg_bool(c, "force", false)) {
		grant_end(&g);
		return end(&e, admin_fail(c, ADMIN_EXIT_REFUSED, "conflict", "grant them another policy, or take the grants back: --force does it in the same step",
					  "%.*s is granted to %zu user%s", SFMT(e.o.name), grants, grants == 1 ? "" : "s"));
	}
	json_object_set_new(c->data, "policies", json_pack("[o]", policy_json(e.s, &e.o)));
	if (e.o.scope == POLICY_SCOPE_USER) {
		g.only = e.o.name;
		slice_split(&g.only, ':');
		g.exit = records(&g);
	}
	store_federation_remove(store_set_collector(g.set), STORE_EXTERNAL_ACCESS, e.o.name, c->who, NULL, NULL);
	if (!g.exit && !admin_what_if(c))
		g.exit = grant_submit(&g, arena_printf(e.a, "external-access %.*s remove, granted to %zu", SFMT(e.o.name), g.n));
	exit = grant_end(&g);
	return end(&e, exit);
}

/* ---- text */

static void head(struct admin_call *c, const char *text)
{
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(text));
	if (json_is_true(json_object_get(c->data, "what_if")))
		buf_puts(&c->text, " (nothing was changed)");
	buf_putc(&c->text, '\n');
}

void admin_external_print(struct admin_call *c)
{
	json_t *p = json_array_get(json_object_get(c->data, "policies"), 0);
	head(c, admin_get_text(p, "name"));
	admin_fields_print(c, POLICY_TABLE_EXTERNAL, p);
	if (slice_eq(slice_str(admin_get_text(p, "scope")), S("user")))
		buf_printf(&c->text, "  %-38s %lld\n", "granted to users", (long long)admin_get_int(p, "grants"));
}

void admin_external_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"NAME", ADMIN_TABLE_FLEX}, {"FEDERATION", 0}, {"XMPP", 0}, {"PUBLIC", 0}, {"PUBLIC A/V", 0},
							    {"GRANTS", ADMIN_TABLE_RIGHT}, {"DESCRIPTION", ADMIN_TABLE_FLEX}};
	static const char *const members[] = {"name", "federation", "xmpp", "public_cloud", "public_cloud_av", "grants", "description"};
	json_t *list = json_object_get(c->data, "policies"), *p;
	size_t i;
	struct admin_table *t = admin_table_new(columns, 7);
	if (!json_array_size(list))
		buf_puts(&c->text, "No policy is like that.\n");
	json_array_foreach(list, i, p)
		for (size_t k = 0; k < 7; k++) {
			struct buf b;
			buf_init(&b, 65536);
			if (k < 5 || json_is_integer(json_object_get(p, members[k])) || *admin_get_text(p, members[k]))
				admin_field_print(&b, json_object_get(p, members[k]));
			admin_table_cell(t, buf_slice(&b));
			buf_free(&b);
		}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

static void users_print(struct admin_call *c, json_t *list)
{
	json_t *u;
	size_t i;
	json_array_foreach(list, i, u) {
		buf_puts(&c->text, "  ");
		admin_clean(&c->text, slice_str(admin_get_text(u, "address")));
		if (*admin_get_text(u, "from"))
			buf_printf(&c->text, " (was tag:%s)", admin_get_text(u, "from"));
		if (json_is_true(json_object_get(u, "created")))
			buf_puts(&c->text, " (new record)");
		buf_putc(&c->text, '\n');
	}
}

void admin_external_remove_print(struct admin_call *c)
{
	json_t *p = json_array_get(json_object_get(c->data, "policies"), 0), *users = json_object_get(c->data, "users");
	bool global = slice_eq(slice_str(admin_get_text(p, "scope")), S("global"));
	struct buf b;
	buf_init(&b, 1024);
	buf_printf(&b, "%s %s", admin_get_text(p, "name"), global ? "allows nothing now" : "is gone");
	buf_putc(&b, 0);
	head(c, buf_slice(&b).p);
	buf_free(&b);
	if (json_array_size(users))
		buf_puts(&c->text, "It was taken back from:\n");
	users_print(c, users);
}

void admin_external_grant_print(struct admin_call *c)
{
	json_t *users = json_object_get(c->data, "users");
	const char *policy = admin_get_text(c->data, "policy");
	size_t n = json_array_size(users);
	struct buf b;
	buf_init(&b, 1024);
	if (*policy)
		buf_printf(&b, "%s %s to %zu user%s", policy, json_is_true(json_object_get(c->data, "what_if")) ? "would be granted" : "was granted", n, n == 1 ? "" : "s");
	else
		buf_printf(&b, "the policy of the site, else the global one %s for %zu user%s",
			   json_is_true(json_object_get(c->data, "what_if")) ? "would hold" : "holds now", n, n == 1 ? "" : "s");
	buf_putc(&b, 0);
	head(c, buf_slice(&b).p);
	buf_free(&b);
	users_print(c, users);
	int64_t same = admin_get_int(c->data, "matched") - (int64_t)n;
	if (same > 0)
		buf_printf(&c->text, "  %lld had it so already\n", (long long)same);
}
