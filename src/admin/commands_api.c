/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: who may use the HTTP API, and its description. */
#include "admin/command_set.h"
#include "admin/role.h"

#define NAME_HELP "small letters, digits, and - _ . @ after the first"
#define ROLE_HELP "what it may do"
static const struct admin_alias account_enabled_aliases[] = {{"disabled", "false", "keep the account, but let nobody log in by it"}, {NULL}};
#define YEARS_10 315360000

static const struct admin_arg account_add_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = NAME_HELP},
	{"role", ADMIN_ENUM, ADMIN_REQUIRED, .values = ADMIN_ROLE_VALUES, .also = ADMIN_ROLE_LYNC, .help = ROLE_HELP},
	{"password", ADMIN_PASSWORD, ADMIN_REQUIRED, .help = "file with the password in its first line, - for standard input; without it you are asked"},
};
static const struct admin_arg account_set_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = "the account"},
	{"role", ADMIN_ENUM, .values = ADMIN_ROLE_VALUES, .also = ADMIN_ROLE_LYNC, .help = ROLE_HELP},
	{"enabled", ADMIN_BOOL, .aliases = account_enabled_aliases, .help = "let its owner log in"},
};
static const struct admin_arg account_password_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = "the account"},
	{"password", ADMIN_PASSWORD, ADMIN_REQUIRED, .help = "file with the password in its first line, - for standard input; without it you are asked"},
};
static const struct admin_arg account_remove_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = "the account"},
};
static const struct admin_arg token_add_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = "what the token is for: " NAME_HELP},
	{"role", ADMIN_ENUM, ADMIN_REQUIRED, .values = ADMIN_ROLE_VALUES, .also = ADMIN_ROLE_LYNC, .help = ROLE_HELP},
	{"expires", ADMIN_DURATION, .max = YEARS_10, .def = "never", .help = "after so long it is good for nothing"},
};
static const struct admin_arg token_remove_args[] = {
	{"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 48, .help = "the token"},
};

#define ACCOUNT_FIELDS(p)                                                                                                      \
	{p "name", "of the account"}, {p "role", ADMIN_ROLE_VALUES}, {p "enabled", "whether its owner may log in"},              \
	{p "made", "RFC 3339, UTC"}, {p "changed", "RFC 3339, UTC: password, role or enabled"}
static const struct admin_field account_fields[] = {ACCOUNT_FIELDS("account.")};
static const struct admin_field account_list_fields[] = {ACCOUNT_FIELDS("accounts[].")};
static const struct admin_field removed_fields[] = {{"removed", "its name"}};
#define TOKEN_FIELDS(p)                                                                                                        \
	{p "name", "of the token"}, {p "role", ADMIN_ROLE_VALUES}, {p "made", "RFC 3339, UTC"}, {p "expires", "RFC 3339, UTC; null: never"}
static const struct admin_field token_add_fields[] = {TOKEN_FIELDS(""), {"token", "the secret; it is never shown again"}};
static const struct admin_field token_list_fields[] = {TOKEN_FIELDS("tokens[]."), {"tokens[].expired", "whether it is good for nothing any more"}};
static const struct admin_field openapi_fields[] = {
	{"openapi", "version of the format, 3.1.0"}, {"info.*", "title, version, licence"}, {"servers[].*", "where it is served"}, {"security[].*", "how one proves who one is"},
	{"tags[].*", "groups of commands"}, {"paths.*", "the operations"}, {"components.*", "what they share"},
};

static const struct admin_group groups[] = {
	{{"account"}, "people who log in to the HTTP API with a password"},
	{{"token"}, "programs that use the HTTP API"},
	{{"api"}, "the HTTP API"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_ACCOUNT_ADD, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"account", "add"}, .summary = "let somebody log in to the HTTP API",
	 .help = "There is no account until you make one, and no default password. A password has at least 12 characters; it is kept as its "
		 "argon2id hash. The page roles.md of the documentation says what "
		 "each role may do.",
	 .example = "entente account add alice --role helpdesk", ARGS(account_add_args), FIELDS(account_fields)},

	{.id = ADMIN_CMD_ACCOUNT_SET, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"account", "set"}, .summary = "change an account",
	 .help = "What is changed holds at once, for sessions too.", .example = "entente account set alice --disabled", ARGS(account_set_args), FIELDS(account_fields)},

	{.id = ADMIN_CMD_ACCOUNT_PASSWORD, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"account", "password"}, .summary = "give an account another password",
	 .help = "Its sessions are over.", .example = "entente account password alice", ARGS(account_password_args), FIELDS(account_fields)},

	{.id = ADMIN_CMD_ACCOUNT_REMOVE, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"account", "remove"}, .summary = "remove an account",
	 .help = "Its sessions are over.", ARGS(account_remove_args), FIELDS(removed_fields)},

	{.id = ADMIN_CMD_ACCOUNT_LIST, .roles = ADMIN_MAY_ADMINISTER | ADMIN_MAY_AUDIT, .path = {"account", "list"}, .summary = "list the accounts", FIELDS(account_list_fields)},

	{.id = ADMIN_CMD_TOKEN_ADD, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"token", "add"}, .summary = "let a program use the HTTP API",
	 .help = "Prints a secret, once: the program sends it in the header Authorization, after the word Bearer. Only its hash is kept.",
	 .example = "entente token add monitoring --role viewer --expires 365d", ARGS(token_add_args), FIELDS(token_add_fields)},

	{.id = ADMIN_CMD_TOKEN_REMOVE, .roles = ADMIN_MAY_ADMINISTER, .changes = true, .path = {"token", "remove"}, .summary = "take a token back", ARGS(token_remove_args),
	 FIELDS(removed_fields)},

	{.id = ADMIN_CMD_TOKEN_LIST, .roles = ADMIN_MAY_ADMINISTER | ADMIN_MAY_AUDIT, .path = {"token", "list"}, .summary = "list the tokens", FIELDS(token_list_fields)},

	{.id = ADMIN_CMD_API_OPENAPI, .local = true, .anywhere = true, .path = {"api", "openapi"}, .summary = "print the description of the HTTP API, OpenAPI 3.1",
	 .help = "Made from the table of commands: each command of the daemon is an operation. The daemon gives the same at /v1/openapi.json.",
	 .example = "entente api openapi > entente.json", FIELDS(openapi_fields)},
};

const struct admin_command_set admin_commands_api = {GROUPS(groups), COMMANDS(commands)};
