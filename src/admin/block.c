/* SPDX-License-Identifier: Apache-2.0 */
/* Blocked domains. */
#include "admin/admin_int.h"
#include "base/clock.h"

static bool covers(struct slice blocked, struct slice domain)
{
	return slice_ends(domain, blocked) && (domain.len == blocked.len || domain.p[domain.len - blocked.len - 1] == '.');
}

static void affected(struct admin_call *c, struct snapshot *s, struct slice domain)
{
	json_t *list = json_array();
	for (size_t i = 0; i < snapshot_partner_count(s); i++) {
		const struct policy_partner *p = snapshot_partner_at(s, i);
		bool hit = covers(domain, p->domain);
		for (size_t k = 0; !hit && k < p->n_additional; k++)
			hit = covers(domain, p->additional[k]);
		if (hit)
			json_array_append_new(list, admin_json_text(p->domain));
	}
	json_object_set_new(c->data, "partners_affected", list);
}

static int no_partner(void *arg, const struct policy_partner *p)
{
	(void)arg;
	(void)p;
	return 0;
}

struct search {
	struct slice domain;
	bool found;
};

static int search_each(void *arg, const struct store_block *b)
{
	struct search *s = arg;
	s->found = slice_eq(b->domain, s->domain);
	return s->found;
}

/* Whether that can be done at all; the store has the last word. */
static int change_check(struct admin_call *c, struct snapshot *s, struct slice domain, bool add)
{
	struct entente_err err = {0};
	struct search search = {.domain = domain};
	if (store_load_policy(c->admin->store, no_partner, search_each, &search, NULL, &err) < 0)
		return admin_fail_err(c, "the database cannot be read", &err, NULL);
	const struct policy_allowed *allowed = snapshot_allowed(s, domain);
	if (add && allowed && slice_eq(allowed->domain, domain))
		return admin_fail(c, ADMIN_EXIT_REFUSED, "conflict", "entente allowed-domain remove DOMAIN",
				  "%.*s is an allowed domain: it can be on one of the lists only", SFMT(domain));
	if (add && search.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "exists", NULL, "%.*s is blocked already", SFMT(domain));
	if (!add && !search.found)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente blocked-domain list` lists all; a domain may be blocked by one above it",
				  "%.*s itself is not on the list of blocked domains", SFMT(domain));
	if (add && snapshot_local(s, domain, NULL))
		admin_warn(c, "%.*s is one of our own domains: blocking it has no effect", SFMT(domain));
	return ADMIN_EXIT_OK;
}

static int change(struct admin_call *c, bool add)
{
	struct snapshot *s = admin_snapshot(c);
	struct slice domain = admin_arg_text(c, "domain");
	struct store *store = c->admin->store;
	struct entente_err err = {0};
	struct store_wait w;
	int exit = s ? change_check(c, s, domain, add) : ADMIN_EXIT_UNAVAILABLE;
	if (exit)
		return exit;
	admin_set_text(c->data, "domain", domain);
	affected(c, s, domain);
	if (admin_arg_bool(c, "what-if", false)) {
		json_object_set_new(c->data, "what_if", json_true());
		return ADMIN_EXIT_OK;
	}
	store_wait_init(&w);
	int r = add ? store_block_add(store, domain, admin_arg_text(c, "comment"), c->who, store_wait_done, &w)
		    : store_block_remove(store, domain, c->who, store_wait_done, &w);
	if (r == 0)
		r = store_wait(&w, &err);
	else
		err_set(&err, r, REASON_NONE, "%s", entente_strerror(r));
	if (r)
		return admin_fail_err(c, "nothing was changed", &err, NULL);
	return admin_publish(c);
}

int admin_block_add(struct admin_call *c)
{
	return change(c, true);
}

int admin_block_remove(struct admin_call *c)
{
	return change(c, false);
}

static void change_print(struct admin_call *c, const char *did, const char *would, const char *partner)
{
	json_t *list = json_object_get(c->data, "partners_affected"), *one;
	size_t i;
	buf_printf(&c->text, "%s%s\n", admin_get_text(c->data, "domain"), json_is_true(json_object_get(c->data, "what_if")) ? would : did);
	json_array_foreach(list, i, one)
		buf_printf(&c->text, "  this concerns the XMPP partner %s%s\n", json_string_value(one), partner);
}

void admin_block_add_print(struct admin_call *c)
{
	change_print(c, " and its subdomains are now blocked.", " and its subdomains would be blocked.", ": nothing passes");
}

void admin_block_remove_print(struct admin_call *c)
{
	change_print(c, " is no longer blocked.", " would no longer be blocked.", "");
}

static int block_each(void *arg, const struct store_block *b)
{
	char at[CLOCK_TEXT];
	json_t *o = json_object();
	clock_text_at(b->since, at);
	admin_set_text(o, "domain", b->domain);
	admin_set_text(o, "comment", b->comment);
	admin_set_text(o, "since", slice_str(at));
	json_array_append_new(arg, o);
	return 0;
}

int admin_block_list(struct admin_call *c)
{
	struct entente_err err = {0};
	json_t *list = json_array();
	json_object_set_new(c->data, "blocked", list);
	int r = store_load_policy(c->admin->store, no_partner, block_each, list, NULL, &err);
	return r ? admin_fail_err(c, "the database cannot be read", &err, NULL) : ADMIN_EXIT_OK;
}

void admin_block_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"DOMAIN", ADMIN_TABLE_FLEX}, {"SINCE", 0}, {"COMMENT", ADMIN_TABLE_FLEX}};
	json_t *list = json_object_get(c->data, "blocked"), *b;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, "No domain is blocked.\n");
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_array_foreach(list, i, b) {
		admin_table_cell(t, slice_str(admin_get_text(b, "domain")));
		admin_table_cell(t, slice_str(admin_get_text(b, "since")));
		admin_table_cell(t, slice_str(admin_get_text(b, "comment")));
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}
