/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: drafts, the policy as a document, policy tests, backups. */
#include "admin/admin.h"
#include "admin/command_set.h"

#define CHANGES                                                                                                                                  \
	{"changes[].section", "of the document, such as xmpp-partners"}, {"changes[].key", "the object; empty: access-edge"},                         \
	{"changes[].change", "add, set or remove"}, {"changes[].fields[].field", "what of it"}, {"changes[].fields[].from", "before"},             \
	{"changes[].fields[].to", "after"}
#define SETTINGS {"settings.*", "settings of the configuration file that change: their new values; null: the default"}
#define CHECKED                                                                                                                                  \
	{"findings[].severity", "error or warning"}, {"findings[].line", "of the document or the configuration file; 0: none"},                     \
	{"findings[].column", "in characters, counted from 1"}, {"findings[].object", "what it concerns"}, {"findings[].text", "what is wrong"},    \
	{"tests[].line", "policy tests that fail: where they stand"}, {"tests[].from", "the sender"}, {"tests[].to", "the recipient"},              \
	{"tests[].kind", "what is sent"}, {"tests[].expect", "allow or refuse"}, {"tests[].reason", "the reason that is wanted"},                   \
	{"tests[].got", "allow, refuse, or nonsense: it cannot be asked"}, {"tests[].got_reason", "the reason that came"},                          \
	{"tests[].why", "the steps in short"}
#define COMMITTED CHANGES, SETTINGS, CHECKED, {"what_if", "true: nothing was changed"}, {"generation", "number of the policy now"}

static const struct admin_arg export_args[] = {
	{"format", ADMIN_ENUM, .values = "yaml|json", .def = "yaml", .help = "how it is written"},
};
static const struct admin_field export_fields[] = {{"format", "yaml or json"}, {"text", "the document"}};
static const struct admin_arg import_args[] = {
	{"document", ADMIN_FILE, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = ADMIN_DOCUMENT_MAX, .help = "what `entente policy export` has written"},
	{"merge", ADMIN_BOOL, .help = "what the document does not name stays; without, it goes"},
	WHAT_IF_ARG,
};
static const struct admin_field import_fields[] = {COMMITTED};
static const struct admin_field test_fields[] = {
	{"tests[].ok", "whether the answer is the one that is expected"}, {"tests[].line", "in the configuration file"}, {"tests[].column", "in characters, counted from 1"},
	{"tests[].from", "the sender"}, {"tests[].to", "the recipient"}, {"tests[].kind", "what is sent"}, {"tests[].expect", "allow or refuse"},
	{"tests[].reason", "the reason that is wanted; empty: any"}, {"tests[].got", "allow, refuse, or nonsense: it cannot be asked"},
	{"tests[].got_reason", "the reason that came"}, {"tests[].why", "the steps in short"}, {"failed", "how many fail"},
};
static const struct admin_field begin_fields[] = {
	{"base", "the generation that the draft begins with"}, {"drafts[].who", "whose"}, {"drafts[].begun", "RFC 3339, UTC"},
	{"drafts[].base", "generation"}, {"drafts[].damaged", "what is wrong with it"},
};
static const struct admin_arg set_args[] = {
	{"key", ADMIN_KEY, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "a setting, e.g. log.level"},
	{"value", ADMIN_TEXT, ADMIN_POSITIONAL, .max = 4096, .help = "its value; of a list: entries separated by commas"},
	{"default", ADMIN_BOOL, .help = "take it out of the file: its default holds"},
};
static const struct admin_field set_fields[] = {{"key", "the setting"}, {"from", "its value now"}, {"to", "its value after the commit; null: the default"}};
#define CONFLICTS                                                                                                                                \
	{"conflicts[].section", "settings, or of the document"}, {"conflicts[].key", "the object that somebody else has changed since"},            \
	{"conflicts[].mine", "my change"}, {"conflicts[].theirs", "the other change"}, {"conflicts[].who", "who made it"},                          \
	{"conflicts[].at", "RFC 3339, UTC"}, {"conflicts[].generation", "of that change"}, {"conflicts[].what", "as the history has it"}
#define DRAFT {"who", "whose draft"}, {"begun", "RFC 3339, UTC"}, {"base", "the generation that it began with"}
static const struct admin_field diff_fields[] = {
	DRAFT, {"generation", "the one in force"}, CHANGES, SETTINGS, CONFLICTS, {"drafts[].who", "whose drafts there are"},
	{"drafts[].begun", "RFC 3339, UTC"}, {"drafts[].base", "generation"}, {"drafts[].damaged", "what is wrong with it"},
};
static const struct admin_arg commit_args[] = {
	{"comment", ADMIN_TEXT, .max = 100, .help = "why, for the history"},
	WHAT_IF_ARG,
};
static const struct admin_field commit_fields[] = {DRAFT, COMMITTED, CONFLICTS};
static const struct admin_field abort_fields[] = {{"dropped", "whether there was one"}};
static const struct admin_arg rollback_args[] = {
	{"generation", ADMIN_UINT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = INT64_MAX, .help = "the generation to go back to; `entente config history` marks them"},
	WHAT_IF_ARG,
};
static const struct admin_field rollback_fields[] = {COMMITTED};
static const struct admin_arg history_args[] = {
	{"limit", ADMIN_UINT, .max = 10000, .def = "50", .help = "how many changes, newest first"},
	{"generation", ADMIN_UINT, .max = INT64_MAX, .help = "tell what this one changed, object by object"},
};
static const struct admin_field history_fields[] = {
	{"history[].generation", "number of the policy that the change made"}, {"history[].at", "RFC 3339, UTC"}, {"history[].who", "user who made it"},
	{"history[].what", "the change"}, {"history[].lines[]", "of many changes as one: each"}, {"history[].kept", "whether `config rollback` can go back to it"},
	CHANGES,
};
static const struct admin_arg apply_args[] = {
	{"changes", ADMIN_FILE, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = ADMIN_DOCUMENT_MAX, .help = "JSON: a list of {\"command\": [words], \"args\": {...}}"},
	{"what", ADMIN_TEXT, .max = 100, .def = "apply", .help = "a word for the history"},
	WHAT_IF_ARG,
};
static const struct admin_field apply_fields[] = {COMMITTED, {"failed.*", "the command that was refused: index, command, args, code, text"}};
static const struct admin_field backup_fields[] = {{"file", "the backup, in the state directory"}};

static const struct admin_group groups[] = {
	{{"policy"}, "the whole policy as one document, and its tests"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_POLICY_EXPORT, .roles = ADMIN_MAY_SEE, .path = {"policy", "export"}, .summary = "print the policy as a document",
	 .help = "XMPP partners, blocked domains, and everything of SIP federation, in a stable order, every field of every object: the same policy is always the same "
		 "text. For version control, and for `entente policy import`.",
	 .example = "entente policy export > policy.yaml\nentente policy export --format json --staged", ARGS(export_args), FIELDS(export_fields)},
	{.id = ADMIN_CMD_POLICY_IMPORT, .changes = true, .roles = ADMIN_MAY_SET, .path = {"policy", "import"}, .summary = "make the policy what a document says",
	 .help = "All or nothing, as one generation. The document is checked strictly: an unknown key, a wrong value, objects that do not fit together or a policy test "
		 "that fails change nothing, and each is told with its place. Fields that the document leaves out have their defaults.",
	 .example = "entente policy import policy.yaml --what-if\nentente policy import partners.yaml --merge", ARGS(import_args), FIELDS(import_fields)},
	{.id = ADMIN_CMD_POLICY_TEST, .roles = ADMIN_MAY_SEE, .path = {"policy", "test"}, .summary = "run the policy tests",
	 .help = "The section policy-tests of the configuration file names questions and the answers that they must have. They are asked of the policy in force, with "
		 "--staged of your draft. A commit, an import and a reload ask them too, and change nothing when one fails. Exits with 1 when one fails.",
	 .example = "entente policy test\nentente policy test --staged", FIELDS(test_fields)},

	{.id = ADMIN_CMD_CONFIG_BEGIN, .changes = true, .direct = true, .roles = ADMIN_MAY_SET | ADMIN_MAY_OPERATE, .path = {"config", "begin"},
	 .summary = "begin a draft: your changes wait in it",
	 .help = "Your commands that change policy go into the draft and say so; those of others do not. Questions are about what is in force, unless --staged is "
		 "given. A draft survives a restart.",
	 .example = "entente config begin", FIELDS(begin_fields)},
	{.id = ADMIN_CMD_CONFIG_SET, .changes = true, .direct = true, .roles = ADMIN_MAY_OPERATE, .path = {"config", "set"},
	 .summary = "change a setting with your draft",
	 .help = "At the commit the file is edited, with its comments and its order, checked as a whole, and loaded; when that fails, file and policy are as before. Settings of "
		 "the section admin need the role admin.",
	 .example = "entente config set limits.max-connections 2000\nentente config set log.level --default", ARGS(set_args), FIELDS(set_fields)},
	{.id = ADMIN_CMD_CONFIG_DIFF, .direct = true, .roles = ADMIN_MAY_SEE, .path = {"config", "diff"}, .summary = "show what your draft changes", FIELDS(diff_fields)},
	{.id = ADMIN_CMD_CONFIG_COMMIT, .changes = true, .direct = true, .roles = ADMIN_MAY_SET | ADMIN_MAY_OPERATE, .path = {"config", "commit"},
	 .summary = "put your draft in force, as one generation",
	 .help = "Refused as a whole when something does not fit together, a policy test fails, or somebody else has changed one of the same objects since your draft "
		 "began. `entente config check --staged` asks the same and changes nothing.",
	 .example = "entente config commit --comment 'ticket 4711'", ARGS(commit_args), FIELDS(commit_fields)},
	{.id = ADMIN_CMD_CONFIG_ABORT, .changes = true, .direct = true, .roles = ADMIN_MAY_SET | ADMIN_MAY_OPERATE, .path = {"config", "abort"}, .summary = "forget your draft",
	 FIELDS(abort_fields)},
	{.id = ADMIN_CMD_CONFIG_ROLLBACK, .changes = true, .direct = true, .roles = ADMIN_MAY_SET, .path = {"config", "rollback"},
	 .summary = "go back to an earlier generation",
	 .help = "As a new generation: nothing is lost. The last 100 generations are kept. Settings of the configuration file are not part of it.",
	 .example = "entente config rollback 41 --what-if", ARGS(rollback_args), FIELDS(rollback_fields)},
	{.id = ADMIN_CMD_CONFIG_HISTORY, .direct = true, .roles = ADMIN_MAY_SEE, .path = {"config", "history"}, .summary = "list the changes, and what each did",
	 .example = "entente config history --generation 42", ARGS(history_args), FIELDS(history_fields)},
	{.id = ADMIN_CMD_CONFIG_APPLY, .changes = true, .roles = ADMIN_MAY_SET, .path = {"config", "apply"}, .summary = "carry out many commands as one change",
	 .help = "They run one after the other on a copy; what they did is checked as a whole and becomes one generation. When one is refused, nothing is changed.",
	 .example = "entente config apply changes.json --what-if", ARGS(apply_args), FIELDS(apply_fields)},
	{.id = ADMIN_CMD_BACKUP, .changes = true, .roles = ADMIN_MAY_OPERATE, .path = {"backup"}, .summary = "copy the database into a file",
	 .help = "Everything is in it: policy, history, contacts, subscriptions, secrets. It is made in the state directory, readable for the daemon alone.",
	 FIELDS(backup_fields)},
};

const struct admin_command_set admin_commands_change = {GROUPS(groups), COMMANDS(commands)};
