/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: the audit log. */
#include "admin/command_set.h"

static const struct admin_arg list_args[] = {
	{"since", ADMIN_DURATION, .max = 10ULL * 365 * 86400, .def = "all", .help = "only what is not older"},
	{"who", ADMIN_TEXT, .max = 256, .help = "only what this one did"},
	{"limit", ADMIN_UINT, .max = 10000, .def = "50", .help = "how many, the newest first"},
};
static const struct admin_field list_fields[] = {
	{"records[].seq", "its number in the log"}, {"records[].at", "RFC 3339"}, {"records[].who", "who did it"},
	{"records[].via", "socket (the daemon was asked), api (by HTTP), program (entente by itself), signal, service"},
	{"records[].command", "what was to be done, or start and stop of the daemon"}, {"records[].args", "arguments, without secrets"},
	{"records[].exit", "exit code of the command; absent: it was not finished"}, {"records[].code", "of the error"}, {"records[].text", "of the error"},
	{"records[].staged", "true: only in a draft"}, {"records[].before", "generation of the policy before"}, {"records[].after", "generation of the policy after"},
};
static const struct admin_arg verify_args[] = {
	{"log", ADMIN_PATH, ADMIN_POSITIONAL | ADMIN_MANY, .def = "audit*.jsonl of the state directory", .help = "files of the log, the oldest first"},
	{"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file, which names the state directory"},
};
static const struct admin_field verify_fields[] = {
	{"whole", "whether nothing is broken"}, {"records", "how many are good"}, {"first", "number of the first"}, {"last", "number of the last good one"},
	{"last_sha256", "of the last good one: note it elsewhere, and a log written anew is found even when the database was, too"},
	{"head", "number of the record that the database knows; absent: it was not asked"}, {"fault", "what is wrong"}, {"log_file", "where the first broken record is"},
	{"line", "which line that is, from 1"}, {"log_files[]", "what was read"},
};

static const struct admin_group groups[] = {
	{{"audit"}, "who changed what, and whether that is the whole truth"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_AUDIT_LIST, .roles = ADMIN_MAY_AUDIT, .where = ADMIN_AT_BOTH, .path = {"audit", "list"}, .summary = "list who changed what",
	 .help = "Every change that was made or tried: by the command line, by the HTTP API, by reload, with certificates; and start and stop of the daemon. Newest first.",
	 .example = "entente audit list --since 7d\nentente audit list --who alice --json", ARGS(list_args), FIELDS(list_fields)},

	{.id = ADMIN_CMD_AUDIT_VERIFY, .local = true, .path = {"audit", "verify"}, .summary = "check that the audit log is whole",
	 .help = "Reads the files itself: each record names the hash of the one before it, and the database knows the last one. Names the first record that was altered, "
		 "left out, put in or moved, and says when the end was cut off. Exits with 1 then.",
	 .example = "entente audit verify\nentente audit verify /backup/audit-000000000001.jsonl", ARGS(verify_args), FIELDS(verify_fields)},
};

const struct admin_command_set admin_commands_audit = {GROUPS(groups), COMMANDS(commands)};
