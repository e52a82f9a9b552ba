/* SPDX-License-Identifier: Apache-2.0 */
/* Roles of administrators (ADMIN_ROLE_... of command.h): their names, those of Lync's role-based access control, and whether a role is
 * enough for a command. Who has which role is found out elsewhere (the control socket, api/); the one place that enforces is admin.c.
 * Pure functions, any thread. */
#pragma once
#include "admin/command.h"

enum { ADMIN_ROLES_ALL = ADMIN_MAY_SEE | ADMIN_ROLE_ADMIN };

struct admin_role {
	unsigned bit;
	const char *name; /* "policy-admin" */
	const char *lync; /* names of Lync's roles that mean this one here, separated by | */
	const char *help; /* one line, no final stop */
};
size_t admin_role_count(void);
const struct admin_role *admin_role(size_t index); /* from the least to the most */

/* One of our names or of Lync's, in any case; 0: there is none. */
unsigned admin_role_find(struct slice name);
/* "viewer" of one role; "viewer, operator" of several. */
void admin_roles_print(struct buf *out, unsigned roles);
/* The names of all, separated by |, as the table of commands wants them. */
#define ADMIN_ROLE_LYNC "CsViewOnlyAdministrator=viewer|CsHelpDesk=helpdesk|CsArchivingAdministrator=auditor|CsServerAdministrator=operator|CsUserAdministrator=policy-admin|CsAdministrator=admin"
#define ADMIN_ROLE_VALUES "viewer|helpdesk|auditor|operator|policy-admin|admin"

/* May somebody with these roles run it? Local commands have no roles: everybody may, who may connect at all. */
bool admin_may(unsigned roles, const struct admin_command *c);
/* The first of the (checked) arguments that these roles may not give; NULL: none. */
const struct admin_arg *admin_may_not_give(unsigned roles, const struct admin_command *c, json_t *args);

/* Table of every command and role, in Markdown, for docs/roles.md. */
void admin_markdown_roles(struct buf *out);
