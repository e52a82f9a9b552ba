/* SPDX-License-Identifier: Apache-2.0 */
/* Contacts: which local user has which remote one as contact, learned from what local users do, or set here. */
#include "admin/external.h"
#include "admin/federation.h"
#include "base/clock.h"

struct listing {
	struct admin_call *c;
	struct slice user; /* of ours; empty: all */
	json_t *list;
	uint64_t most;
	size_t all;
};

static json_t *contact_json(struct slice local, struct slice remote, const char *how, int64_t at)
{
	char text[CLOCK_TEXT];
	json_t *j = json_object();
	admin_set_text(j, "local", local);
	admin_set_text(j, "remote", remote);
	json_object_set_new(j, "how", json_string(how));
	clock_text_at(at, text);
	json_object_set_new(j, "since", json_string(text));
	return j;
}

static int list_each(void *arg, const struct store_contact *k)
{
	struct listing *l = arg;
	struct slice how = admin_arg_text(l->c, "how");
	if ((l->user.len && !slice_eq(k->local_user, l->user)) || !admin_like(admin_arg_text(l->c, "filter"), k->remote_user) ||
	    (how.len && !slice_eq(how, slice_str(store_how_name(k->how)))))
		return 0;
	l->all++;
	if (!l->most || l->all <= l->most)
		json_array_append_new(l->list, contact_json(k->local_user, k->remote_user, store_how_name(k->how), k->learned_at));
	return 0;
}

int admin_contact_list(struct admin_call *c)
{
	struct entente_err err = {0};
	struct arena *a = arena_new(1 << 20);
	struct listing l = {.c = c, .list = json_array(), .most = admin_arg_uint(c, "limit", 1000)};
	int exit = ADMIN_EXIT_OK;
	json_object_set_new(c->data, "contacts", l.list);
	if (admin_arg_given(c, "user"))
		exit = admin_address(c, "--user", admin_arg_text(c, "user"), a, &l.user);
	if (!exit && store_load_contacts(c->admin->store, list_each, &l, &err) < 0)
		exit = admin_fail_err(c, "the database cannot be read", &err, NULL);
	if (!exit) {
		json_object_set_new(c->data, "matched", json_integer((json_int_t)l.all));
		if (l.all > json_array_size(l.list))
			admin_warn(c, "%zu contacts match, the first %zu are shown: --limit 0 shows all", l.all, json_array_size(l.list));
	}
	arena_release(NULL, a);
	return exit;
}

static int change(struct admin_call *c, bool add)
{
	struct snapshot *s = admin_snapshot(c);
	struct arena *a = arena_new(1 << 20);
	struct entente_err err = {0};
	struct slice local, remote;
	int exit = s ? admin_local_user(c, s, "LOCAL", admin_arg_text(c, "local"), a, &local) : ADMIN_EXIT_UNAVAILABLE;
	if (!exit)
		exit = admin_address(c, "REMOTE", admin_arg_text(c, "remote"), a, &remote);
	if (exit)
		goto out;
	struct slice domain = remote;
	slice_split(&domain, '@');
	if (snapshot_local(s, domain, NULL)) {
		exit = admin_fail(c, ADMIN_EXIT_REFUSED, "conflict", NULL, "REMOTE: %.*s is a user of ours, too: that is a matter of the home", SFMT(remote));
		goto out;
	}
	bool known = c->admin->ops->contact(c->admin->arg, local, remote);
	json_object_set_new(c->data, "contacts", json_pack("[o]", contact_json(local, remote, "admin", clock_unix())));
	if (add && known)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "exists", NULL, "%.*s has %.*s as contact already", SFMT(local), SFMT(remote));
	else if (!add && !known)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente contact list --user ADDRESS` lists those of a user",
				  "%.*s does not have %.*s as contact", SFMT(local), SFMT(remote));
	if (exit || admin_what_if(c))
		goto out;
	if (c->admin->ops->contact_set(c->admin->arg, local, remote, add, c->who, &err))
		exit = admin_fail_err(c, "nothing was changed", &err, NULL);
	else
		exit = admin_publish(c); /* what is under way is judged anew */
out:
	arena_release(NULL, a);
	return exit;
}

int admin_contact_add(struct admin_call *c)
{
	return change(c, true);
}

int admin_contact_remove(struct admin_call *c)
{
	return change(c, false);
}

void admin_contact_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"USER", ADMIN_TABLE_FLEX}, {"CONTACT", ADMIN_TABLE_FLEX}, {"BY", 0}, {"SINCE", 0}};
	static const char *const members[] = {"local", "remote", "how", "since"};
	json_t *list = json_object_get(c->data, "contacts"), *k;
	size_t i;
	if (!json_array_size(list))
		buf_puts(&c->text, "There is no such contact.\n");
	struct admin_table *t = admin_table_new(columns, 4);
	json_array_foreach(list, i, k)
		for (size_t m = 0; m < 4; m++)
			admin_table_cell(t, slice_str(admin_get_text(k, members[m])));
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

void admin_contact_print(struct admin_call *c)
{
	json_t *k = json_array_get(json_object_get(c->data, "contacts"), 0);
	admin_clean(&c->text, slice_str(admin_get_text(k, "local")));
	buf_puts(&c->text, c->command->id == ADMIN_CMD_CONTACT_ADD ? " has " : " no longer has ");
	admin_clean(&c->text, slice_str(admin_get_text(k, "remote")));
	buf_puts(&c->text, " as contact");
	buf_puts(&c->text, json_is_true(json_object_get(c->data, "what_if")) ? " (nothing was changed)\n" : "\n");
}
