/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: the configuration file. */
#include "admin/command_set.h"

static const struct admin_arg config_check_args[] = {
	{"file", ADMIN_PATH, ADMIN_POSITIONAL, .def = CONFIG_FILE, .help = "the configuration file"},
};
static const struct admin_arg config_explain_args[] = {
	{"key", ADMIN_KEY, ADMIN_POSITIONAL, .def = "all", .help = "a setting (limits.max-stanza) or a section (limits)"},
};
static const struct admin_field config_check_fields[] = {
	{"file", "what was read"},
	{"valid", "whether the daemon would start with it"},
	{"findings[].severity", "error or warning"},
	{"findings[].line", "counted from 1; 0: the file as a whole"},
	{"findings[].column", "in characters, counted from 1"},
	{"findings[].key", "the setting"},
	{"findings[].text", "what is wrong and what would be right"},
};

static const struct admin_field reload_fields[] = {
	{"reloaded", "whether the new configuration is in force"},
	{"findings[].severity", "error or warning"},
	{"findings[].line", "counted from 1; 0: the file as a whole"},
	{"findings[].column", "in characters, counted from 1"},
	{"findings[].key", "the setting"},
	{"findings[].text", "what is wrong and what would be right"},
};

static const struct admin_group groups[] = {
	{{"config"}, "look at the configuration file and its settings"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_CONFIG_CHECK, .local = true, .path = {"config", "check"}, .summary = "check a configuration file",
	 .help = "Reads the file as the daemon would, with the certificates and keys that it names, and prints each finding with its "
		 "place. Needs no daemon and changes nothing. Exits with 1 when the daemon would not start with it.",
	 ARGS(config_check_args), FIELDS(config_check_fields)},

	{.id = ADMIN_CMD_CONFIG_EXPLAIN, .local = true, .anywhere = true, .path = {"config", "explain"}, .summary = "say what a setting means",
	 .example = "entente config explain limits.max-stanza", ARGS(config_explain_args), FIELDS(admin_text_fields)},

	{.id = ADMIN_CMD_CONFIG_EXAMPLE, .local = true, .anywhere = true, .path = {"config", "example"}, .summary = "print a configuration file to start from",
	 .help = "All settings with their defaults and what they mean.", .example = "entente config example > " CONFIG_FILE,
	 FIELDS(admin_text_fields)},

	{.id = ADMIN_CMD_CONFIG_EFFECTIVE, .local = true, .path = {"config", "effective"},
	 .summary = "print all settings of a file, defaults included", ARGS(config_check_args), FIELDS(admin_text_fields)},

	{.id = ADMIN_CMD_RELOAD, .roles = ADMIN_MAY_OPERATE, .where = ADMIN_AT_BOTH, .path = {"reload"}, .summary = "have the daemon read its configuration again",
	 .help = "All or nothing: a file with an error changes nothing, and what is wrong is printed (exit code 78). Settings that only a "
		 "restart changes are named as warnings. `systemctl reload entented` does the same.",
	 FIELDS(reload_fields)},
};

const struct admin_command_set admin_commands_config = {GROUPS(groups), COMMANDS(commands)};
