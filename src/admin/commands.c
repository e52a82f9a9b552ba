/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, from its sets: each file commands_<noun>.c has the rows of one noun, with their arguments and members. What a command
 * does is in the handler of its id (local.c; in the daemon handlers.c). */
#include "admin/command_set.h"

const struct admin_alias admin_what_if_aliases[] = {{"dry-run", "true", "the same as --what-if"}, {NULL}};
const struct admin_field admin_text_fields[] = {{"text", "the text"}};

/* In the order of the documentation. */
static const struct admin_command_set *const sets[] = {
	&admin_commands_core,
	&admin_commands_partner,
	&admin_commands_federation,
	&admin_commands_external,
	&admin_commands_show,
	&admin_commands_messages,
	&admin_commands_queue,
	&admin_commands_test,
	&admin_commands_quickstart,
	&admin_commands_plan,
	&admin_commands_check,
	&admin_commands_config,
	&admin_commands_certificate,
	&admin_commands_audit,
	&admin_commands_change,
	&admin_commands_api,
	&admin_commands_observe,
};
enum { SETS = sizeof sets / sizeof *sets };

/* ---- options of every command ---- */
static const struct admin_arg globals[] = {
	{"json", ADMIN_BOOL, .help = "print JSON instead of text; the names of members are stable"},
	{"socket", ADMIN_PATH, .def = "$ENTENTE_SOCKET, else /run/entente/control.sock", .help = "control socket of the daemon"},
	{"if-generation", ADMIN_UINT, .max = INT64_MAX, .help = "of a command that changes: only if the policy is still at this generation (`entente history`)"},
	{"staged", ADMIN_BOOL, .help = "of a command that does not change: ask your draft (`config begin`), not what is in force"},
	{"help", ADMIN_BOOL, .help = "say what the words before it do, and nothing else"},
};

static const struct admin_exit_info exits[] = {
	{ADMIN_EXIT_OK, "done; allowed; nothing found"},
	{ADMIN_EXIT_FINDING, "the answer is no: refused, not found, exists already, or a check found something"},
	{ADMIN_EXIT_USAGE, "the command line is wrong"},
	{ADMIN_EXIT_UNREACHABLE, "no daemon answers on the control socket"},
	{ADMIN_EXIT_REFUSED, "the change contradicts the policy in force"},
	{ADMIN_EXIT_UNAVAILABLE, "the daemon cannot do it now"},
	{ADMIN_EXIT_CANNOT_CREATE, "the database cannot be written"},
	{ADMIN_EXIT_PERMISSION, "not permitted: the control socket or a file may not be opened"},
	{ADMIN_EXIT_CONFIG, "the configuration is wrong"},
};

size_t admin_command_count(void)
{
	size_t n = 0;
	for (size_t i = 0; i < SETS; i++)
		n += sets[i]->n_commands;
	return n;
}

const struct admin_command *admin_command(size_t index)
{
	size_t i = 0;
	for (; index >= sets[i]->n_commands; i++)
		index -= sets[i]->n_commands;
	return &sets[i]->commands[index];
}

const struct admin_command *admin_command_by_id(enum admin_id id)
{
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < sets[i]->n_commands; k++)
			if (sets[i]->commands[k].id == id)
				return &sets[i]->commands[k];
	return NULL;
}

size_t admin_group_count(void)
{
	size_t n = 0;
	for (size_t i = 0; i < SETS; i++)
		n += sets[i]->n_groups;
	return n;
}

const struct admin_group *admin_group(size_t index)
{
	size_t i = 0;
	for (; index >= sets[i]->n_groups; i++)
		index -= sets[i]->n_groups;
	return &sets[i]->groups[index];
}

size_t admin_global_count(void)
{
	return sizeof globals / sizeof *globals;
}

const struct admin_arg *admin_global(size_t index)
{
	return &globals[index];
}

size_t admin_exit_count(void)
{
	return sizeof exits / sizeof *exits;
}

struct admin_exit_info admin_exit_info(size_t index)
{
	return exits[index];
}
