/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/role.h"

#include "admin/args.h"

static const struct admin_role roles[] = {
	{ADMIN_ROLE_VIEWER, "viewer", "CsViewOnlyAdministrator", "sees state, settings and metrics"},
	{ADMIN_ROLE_HELPDESK, "helpdesk", "CsHelpDesk", "viewer, and tests partners and traces what passes, never its bodies"},
	{ADMIN_ROLE_AUDITOR, "auditor", "CsArchivingAdministrator", "viewer, and reads what was changed and decided, never bodies"},
	{ADMIN_ROLE_OPERATOR, "operator", "CsServerAdministrator", "viewer, and runs the service: reload, certificates, tests, traces"},
	{ADMIN_ROLE_POLICY, "policy-admin", "CsUserAdministrator", "viewer, and changes who may communicate with whom"},
	{ADMIN_ROLE_ADMIN, "admin", "CsAdministrator", "everything, accounts and tokens too"},
};
enum { ROLES = sizeof roles / sizeof *roles };

size_t admin_role_count(void)
{
	return ROLES;
}

const struct admin_role *admin_role(size_t index)
{
	return &roles[index];
}

unsigned admin_role_find(struct slice name)
{
	for (size_t i = 0; i < ROLES; i++) {
		if (slice_ieq(name, slice_str(roles[i].name)))
			return roles[i].bit;
		for (struct slice rest = slice_str(roles[i].lync); rest.p;)
			if (slice_ieq(name, admin_values_next(&rest)))
				return roles[i].bit;
	}
	return 0;
}

void admin_roles_print(struct buf *out, unsigned which)
{
	bool first = true;
	for (size_t i = 0; i < ROLES; i++)
		if (which & roles[i].bit) {
			buf_printf(out, "%s%s", first ? "" : ", ", roles[i].name);
			first = false;
		}
}

bool admin_may(unsigned which, const struct admin_command *c)
{
	return which & ADMIN_ROLE_ADMIN || (c->local ? which != 0 : (which & c->roles) != 0);
}

const struct admin_arg *admin_may_not_give(unsigned which, const struct admin_command *c, json_t *args)
{
	for (size_t i = 0; i < c->n_args; i++) {
		const struct admin_arg *a = &c->args[i];
		json_t *v = json_object_get(args, a->name);
		if (a->roles && v && !json_is_false(v) && !(which & (a->roles | ADMIN_ROLE_ADMIN)))
			return a;
	}
	return NULL;
}

void admin_markdown_roles(struct buf *out)
{
	buf_puts(out, "# Roles\n"
		      "Who may do what, on the control socket and over the [HTTP API](api.md) alike; one place in the daemon decides. This page is made from the table of commands.\n\n"
		      "| role | name in Lync | what it is for |\n|---|---|---|\n");
	for (size_t i = 0; i < ROLES; i++)
		buf_printf(out, "| `%s` | `%s` | %s |\n", roles[i].name, roles[i].lync, roles[i].help);
	buf_puts(out, "\nAn account or a token has one role. Users of the machine itself have what `admin.roles` says:\n\n"
		      "```yaml\nadmin:\n  roles: [\"group:support=helpdesk\", \"user:alice=policy-admin\", \"others=none\"]\n```\n\n"
		      "root and the daemon's user may always everything. Without an entry that fits, whoever may open the socket (the group entente) may everything. Lync's names are understood wherever "
		      "a role is named; its roles cut some things elsewhere: CsUserAdministrator assigned policies but did not edit them, CsArchivingAdministrator is only the nearest.\n\n");
	buf_puts(out, "| command |");
	for (size_t i = 0; i < ROLES; i++)
		buf_printf(out, " %s |", roles[i].name);
	buf_puts(out, "\n|---|");
	for (size_t i = 0; i < ROLES; i++)
		buf_puts(out, "---|");
	buf_putc(out, '\n');
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		if (c->local)
			continue;
		buf_puts(out, "| `");
		admin_path_print(out, c->path);
		buf_puts(out, "` |");
		for (size_t k = 0; k < ROLES; k++)
			buf_puts(out, admin_may(roles[k].bit, c) ? " yes |" : " – |");
		buf_putc(out, '\n');
		for (size_t a = 0; a < c->n_args; a++) {
			if (!c->args[a].roles)
				continue;
			buf_puts(out, "| `");
			admin_path_print(out, c->path);
			buf_printf(out, " --%s` |", c->args[a].name);
			for (size_t k = 0; k < ROLES; k++)
				buf_puts(out, admin_may(roles[k].bit, c) && roles[k].bit & (c->args[a].roles | ADMIN_ROLE_ADMIN) ? " yes |" : " – |");
			buf_putc(out, '\n');
		}
	}
}
