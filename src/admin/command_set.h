/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: how a file commands_<noun>.c contributes its rows to the table of commands (command.h). */
#pragma once
#include "admin/command.h"

#define ARGS(a) .args = a, .n_args = sizeof(a) / sizeof *(a)
#define FIELDS(f) .fields = f, .n_fields = sizeof(f) / sizeof *(f)
#define COMMANDS(c) .commands = c, .n_commands = sizeof(c) / sizeof *(c)
#define GROUPS(g) .groups = g, .n_groups = sizeof(g) / sizeof *(g)

#define CONFIG_FILE "/etc/entente/entente.yaml"
#define WHAT_IF_HELP "check and show what would change, but change nothing"
#define WHAT_IF_ARG {"what-if", ADMIN_BOOL, .help = WHAT_IF_HELP, .aliases = admin_what_if_aliases}
extern const struct admin_alias admin_what_if_aliases[2]; /* --dry-run, as other programs say */
/* Of a command that prints nothing but a text. */
extern const struct admin_field admin_text_fields[1];

/* How streams with a partner are made: the same options where a partner is set and where it is tried. */
#define NEGOTIATIONS "required|optional|not-supported"
extern const struct admin_alias admin_tls_aliases[2], admin_sasl_aliases[2], admin_dialback_aliases[2];

/* Rows and groups in the order of the documentation; groups may be heads of other sets' commands, too. */
struct admin_command_set {
	const struct admin_group *groups;
	size_t n_groups;
	const struct admin_command *commands;
	size_t n_commands;
};

extern const struct admin_command_set admin_commands_core, admin_commands_partner, admin_commands_federation, admin_commands_show, admin_commands_test,
	admin_commands_plan, admin_commands_config, admin_commands_api, admin_commands_quickstart, admin_commands_certificate, admin_commands_check, admin_commands_messages;
extern const struct admin_command_set admin_commands_observe;
extern const struct admin_command_set admin_commands_external;
extern const struct admin_command_set admin_commands_audit, admin_commands_queue;
extern const struct admin_command_set admin_commands_change;
