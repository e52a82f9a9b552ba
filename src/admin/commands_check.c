/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what is, against the plan. */
#include "admin/command_set.h"

#define FILE_ARG {"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file"}
#define NET_ARGS                                                                                                               \
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .help = "a public IP address that leads to this server, beside those of its interfaces; several: a pool"}, \
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "a domain of ours that the configuration does not name, as on an edge of its own"}, \
	{"resolver", ADMIN_TEXT, .max = 60, .def = "as configured (dns.servers)", .help = "ask this resolver, ADDRESS or ADDRESS@PORT, as somebody outside would"}
#define CLOCK_ARG {"clock", ADMIN_TEXT, ADMIN_MANY, .max = 500, .help = "URL (http://...) whose date is compared with our clock, beside those of our revocation lists"}
#define TEST_ARG {"test", ADMIN_BOOL, .def = "yes", .aliases = no_test, .help = "test each partner as `entente partner test` does; no message is sent"}
static const struct admin_alias no_test[] = {{"no-test", "false", "look only at what the daemon remembers of partners"}, {NULL}};

static const struct admin_arg file_args[] = {FILE_ARG};
static const struct admin_arg net_args[] = {FILE_ARG, NET_ARGS};
static const struct admin_arg time_args[] = {FILE_ARG, CLOCK_ARG};
static const struct admin_arg partners_args[] = {
	{"partner", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_MANY, .def = "all", .help = "the domain of a partner"},
	FILE_ARG, TEST_ARG,
};
static const struct admin_arg all_args[] = {FILE_ARG, NET_ARGS, CLOCK_ARG, TEST_ARG};

static const struct admin_field fields[] = {
	{"checks", "how many were made"},
	{"passed", "how many of them found nothing"},
	{"errors", "findings that are errors: something does not work"},
	{"warnings", "something will not work, or not for everybody"},
	{"notes", "worth knowing; they leave the exit code at 0"},
	{"areas[].area", "config, dns, certs, ports, partners, pool, time, disk, system"},
	{"areas[].checks", "how many were made in it"},
	{"areas[].passed", "how many of them found nothing"},
	{"areas[].skipped", "why something of it could not be looked at, or empty"},
	{"findings[].id", "check/..., stable"},
	{"findings[].area", "where it belongs"},
	{"findings[].severity", "error, warning or note"},
	{"findings[].who", "can fix it: admin, partner, network (firewall, resolver), authority (of the certificate)"},
	{"findings[].subject", "what it is about: a name of DNS, a file, a listener, a partner"},
	{"findings[].title", "what is wrong with it"},
	{"findings[].evidence", "what was seen, and where"},
	{"findings[].why", "what comes of it"},
	{"findings[].remedy", "the exact command, record or line; lines to paste follow a first one of words"},
	{"findings[].doc", "where the documentation tells more"},
};

static const struct admin_group groups[] = {
	{{"check"}, "compare what is with the plan, and say how to mend what is not so"},
};

#define ROW(what, word, text, list) {.id = ADMIN_CMD_CHECK_##what, .local = true, .path = {"check", word}, .summary = text, ARGS(list), FIELDS(fields)}
static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_CHECK_CONFIG, .local = true, .path = {"check", "config"}, .summary = "check the configuration and its dangers",
	 .help = "As `entente config check`, and combinations of settings that are right each by itself and do harm together.", ARGS(file_args), FIELDS(fields)},
	{.id = ADMIN_CMD_CHECK_DNS, .local = true, .path = {"check", "dns"}, .summary = "compare DNS with `entente plan dns`",
	 .help = "Asks the configured resolver for each record of the plan and for where it leads. `--resolver` asks another one, as partners outside do.",
	 .example = "entente check dns --resolver 9.9.9.9", ARGS(net_args), FIELDS(fields)},
	{.id = ADMIN_CMD_CHECK_CERTS, .local = true, .path = {"check", "certs"}, .summary = "check our certificates and keys",
	 .help = "Reads files, keys and chains as they are now, and fetches the revocation lists that they name.", ARGS(net_args), FIELDS(fields)},
	{.id = ADMIN_CMD_CHECK_PORTS, .local = true, .path = {"check", "ports"}, .summary = "check who has our ports and who reaches them",
	 .help = "Who has each port (seen in full by root only), and a connection to each address that DNS gives for our names. A router that does "
		 "not let connections from inside back in looks like a closed port from here.", ARGS(net_args), FIELDS(fields)},
	{.id = ADMIN_CMD_CHECK_PARTNERS, .local = true, .path = {"check", "partners"}, .summary = "check each configured partner",
	 .help = "Needs the daemon: last contact, the certificate that was shown, and a test of each partner that sends no message.",
	 .example = "entente check partners --no-test", ARGS(partners_args), FIELDS(fields)},
	{.id = ADMIN_CMD_CHECK_POOL, .local = true, .path = {"check", "pool"}, .summary = "check whether all servers of a pool are alike",
	 .help = "Connects to each address of each name of ours. On a gateway also the edges.", ARGS(net_args), FIELDS(fields)},
	ROW(TIME, "time", "check the clock", time_args),
	ROW(DISK, "disk", "check state directory and database", file_args),
	ROW(SYSTEM, "system", "check the daemon, its unit, its limits", file_args),
	{.id = ADMIN_CMD_CHECK_ALL, .local = true, .path = {"check", "all"}, .summary = "check everything",
	 .help = "Exits with 0 when there is no error and no warning, with 1 when there is. What cannot be looked at (no daemon, not permitted) is named at the end.\n\n"
		 "docs/checks.md tells of every finding.",
	 .example = "entente check all\nentente check all --json", ARGS(all_args), FIELDS(fields)},
};

const struct admin_command_set admin_commands_check = {GROUPS(groups), COMMANDS(commands)};
