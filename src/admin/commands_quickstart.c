/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: the first start. */
#include "admin/command_set.h"
#include "plan/request.h"

static const struct admin_alias xmpp_aliases[] = {{"no-xmpp", "false", "no XMPP partners"}, {NULL}};
static const struct admin_alias start_aliases[] = {{"no-start", "false", "write the files, start nothing"}, {NULL}};
static const struct admin_arg args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "a SIP domain of yours; the first one is the main one"},
	{"next-hop", ADMIN_TEXT, .max = 300, .help = "your SIP server: HOST:PORT with /tls, /tcp or /udp after it, or a SIP URI"},
	{"name", ADMIN_DOMAIN, .def = "the name of this machine", .help = "the name by which partners' servers reach this one"},
	{"xmpp", ADMIN_BOOL, .def = "true", .help = "whether there will be XMPP partners", .aliases = xmpp_aliases},
	{"federation", ADMIN_ENUM, .values = "closed|allow-list|discovered", .def = "closed",
	 .help = "SIP partners: none; those that you allow; anybody that DNS names, within limits"},
	{"certificates", ADMIN_ENUM, .values = "csr|acme|files", .def = "csr",
	 .help = "where the certificate comes from: an authority that gets a request; an ACME client (certbot); files that are there"},
	{"certificate", ADMIN_PATH, .help = "with --certificates files: the chain, PEM"},
	{"key", ADMIN_PATH, .help = "with --certificates files: its private key, PEM"},
	{"key-type", ADMIN_ENUM, .values = PLAN_KEY_NAMES, .def = "rsa-2048", .help = "of the key that is made"},
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .def = "what DNS says of the name, else the public ones of this machine",
	 .help = "an IP address at which partners reach this server; for DNS and the page for partners"},
	{"listen", ADMIN_TEXT, .max = 45, .def = "the one from which your SIP server is reached", .help = "IP address for requests of your SIP server"},
	{"listen-port", ADMIN_UINT, .max = 65535, .def = "5060, with TLS 5061 or what is free of partners", .help = "and its port"},
	{"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file to write; certificates go into its folder, keys into one of their own: /etc/entente-keys"},
	{"log", ADMIN_PATH, .def = "/var/log/entente/quickstart-TIME.log, beside --file if that is elsewhere", .help = "the file that tells what was done"},
	{"start", ADMIN_BOOL, .def = "true", .help = "enable and start the service, and set the policy", .aliases = start_aliases},
	{"what-if", ADMIN_BOOL, .help = "show what would be written, write nothing", .aliases = admin_what_if_aliases},
	{"yes", ADMIN_BOOL, .help = "ask nothing: what is not given is as it would be proposed"},
};
static const struct admin_field fields[] = {
	{"file", "the configuration file"},
	{"done", "whether it was written; with --what-if false"},
	{"started", "whether the daemon runs with it"},
	{"configuration", "the text of the file"},
	{"written[]", "files that were made"},
	{"commands[]", "what set the policy, or has to when the daemon runs"},
	{"answers.domains[]", "SIP domains"}, {"answers.next_hop", "SIP URI of the SIP server"}, {"answers.name", "of this server"},
	{"answers.xmpp", "whether there will be XMPP partners"}, {"answers.federation", "closed, allow-list or discovered"},
	{"answers.certificates", "csr, acme or files"}, {"answers.listen", "address and port for the SIP server"},
	{"machine.name", "fully qualified name of this machine; may be empty"}, {"machine.addresses[]", "of its interfaces"},
	{"machine.dns[]", "addresses of answers.name in DNS"}, {"machine.nat", "whether DNS names an address that is not this machine's"},
	{"machine.dnssec", "unknown, none, passes or validates: what the resolver does with signatures"},
	{"machine.clock", "unknown, synchronised, free or wrong"}, {"machine.systemd", "whether it runs here"},
	{"certificates[].*", "as of `entente plan certificates`"}, {"records[].*", "as of `entente plan dns`"}, {"ports[].*", "as of `entente plan ports`"},
	{"warnings[].id", "plan/... or quickstart/..., stable"}, {"warnings[].text", "what, why, and what to do"},
	{"handout", "file with the page for partners' administrators"}, {"request", "file with the request for a certificate; may be missing"},
	{"next[]", "what is left to do, in order"}, {"undo[]", "shell commands that take it back"}, {"log", "file that tells what was done"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_QUICKSTART, .local = true, .changes = true, .path = {"quickstart"}, .summary = "make a server of this machine",
	 .help = "Asks six questions, or takes their answers as options: your SIP domains, your SIP server, the name of this server, whether there will be XMPP partners, how "
		 "open SIP federation is, where the certificate comes from. Looks at the machine (name, addresses, NAT, ports that are taken, resolver, clock), writes a commented "
		 "configuration, a key, a request for a certificate, and one that is signed by itself to begin with; starts the service, sets the policy, and prints the "
		 "DNS records, the ports and what is left to do. The page for your partners' administrators is a file beside the configuration.\n\n"
		 "Nothing that exists is overwritten: with a configuration already there it ends with 73. When something fails, what was written is removed again. The log tells "
		 "everything.\n\n"
		 "Without a terminal, with --json or --yes nothing is asked; then --domain and --next-hop are needed.",
	 .example = "entente quickstart\n"
		    "entente quickstart --yes --domain contoso.example --next-hop 10.0.0.5:5060/tcp --name gw.contoso.example",
	 ARGS(args), FIELDS(fields)},
};

const struct admin_command_set admin_commands_quickstart = {COMMANDS(commands)};
