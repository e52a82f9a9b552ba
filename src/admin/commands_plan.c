/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what should be, and moving from other servers. */
#include "admin/command_set.h"

#define PLAN_ARGS                                                                                                              \
	{"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file"},                                             \
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .help = "a public IP address of this server; several: a pool behind one name"}, \
	{"load-balancer", ADMIN_TEXT, .max = 45, .help = "the public IP address of a load balancer in front of the edges; --address are then their own"}, \
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "a domain of ours that the configuration does not name, as on an edge of its own"}, \
	{"sip-federation", ADMIN_BOOL, .help = "plan for SIP partners too, before sip.external-listen is set"},                                                     \
	{"client-eku", ADMIN_BOOL, .help = "some partner wants a certificate that is also good for clients"}
static const struct admin_arg plan_args[] = {PLAN_ARGS};
static const struct admin_arg plan_certificates_args[] = {
	PLAN_ARGS,
	{"format", ADMIN_ENUM, .values = "table|openssl", .def = "table", .help = "openssl: for `openssl req -new -config FILE`"},
};
static const struct admin_arg plan_dns_args[] = {
	PLAN_ARGS,
	{"format", ADMIN_ENUM, .values = "table|bind|nsupdate|aws|azure|gcloud", .def = "table", .help = "lines of a zone file, or commands to paste"},
};
static const struct admin_arg plan_ports_args[] = {
	PLAN_ARGS,
	{"format", ADMIN_ENUM, .values = "table|nftables", .def = "table", .help = "nftables: rules for nft(8)"},
};
static const struct admin_arg plan_handout_args[] = {
	{"for", ADMIN_TEXT, ADMIN_POSITIONAL, .max = 32, .def = "all that can reach you",
	 .help = "what the partner runs: prosody, ejabberd, openfire, entente, lync, lync-sip, kamailio, expressway"},
	PLAN_ARGS,
};
#define PLAN_WARNINGS {"warnings[].id", "plan/..., stable"}, {"warnings[].text", "what, why, and what to do"}
#define PLAN_CERTIFICATES                                                                                                      \
	{"certificates[].usage", "external, client or internal"}, {"certificates[].note", "what else to know; may be missing"}, {"certificates[].subject", "its common name"},                         \
	{"certificates[].names[]", "dNSName of each"}, {"certificates[].purposes[]", "extended key usages"},                     \
	{"certificates[].issuer", "who should issue it"}
#define PLAN_RECORDS                                                                                                           \
	{"records[].type", "A, AAAA, SRV"}, {"records[].name", "full name"}, {"records[].zone", "the likeliest zone"},            \
	{"records[].priority", "of SRV"}, {"records[].weight", "of SRV"}, {"records[].port", "of SRV"},                           \
	{"records[].target", "name or address; in angle brackets what only you know"}, {"records[].purpose", "what for"}, {"records[].internal", "for the DNS of the own network only"}
#define PLAN_PORTS                                                                                                             \
	{"ports[].direction", "in or out"}, {"ports[].side", "external or internal"}, {"ports[].protocol", "in words"},           \
	{"ports[].transport", "tcp or udp"}, {"ports[].port", "of the destination"}, {"ports[].source", "who begins"},            \
	{"ports[].destination", "whom it reaches"}, {"ports[].purpose", "what for"}
#define PLAN_TEXT {"text", "with another format than table: the text"}
static const struct admin_field plan_certificates_fields[] = {PLAN_CERTIFICATES, PLAN_WARNINGS, PLAN_TEXT};
static const struct admin_field plan_dns_fields[] = {PLAN_RECORDS, PLAN_WARNINGS, PLAN_TEXT};
static const struct admin_field plan_ports_fields[] = {PLAN_PORTS, PLAN_WARNINGS, PLAN_TEXT};
static const struct admin_field plan_handout_fields[] = {{"text", "the page, in Markdown"}, PLAN_WARNINGS};
static const struct admin_field plan_all_fields[] = {PLAN_CERTIFICATES, PLAN_RECORDS, PLAN_PORTS, PLAN_WARNINGS};

/* ---- import ---- */
static const struct admin_arg import_lync_args[] = {
	{"file", ADMIN_PATH, ADMIN_POSITIONAL | ADMIN_REQUIRED | ADMIN_MANY, .help = "an export: Export-Clixml, ConvertTo-Json or Export-Csv"},
	{"apply", ADMIN_BOOL, .help = "have the daemon carry the commands out, as one change: all of them or none"},
	{"what-if", ADMIN_BOOL, .help = "with --apply: " WHAT_IF_HELP, .aliases = admin_what_if_aliases},
};
static const struct admin_field import_lync_fields[] = {
	{"commands[].text", "a command that makes the same here, for a shell"}, {"commands[].command[]", "its words"}, {"commands[].args", "its arguments"},
	{"commands[].object", "kind of object that it comes from"}, {"commands[].name", "its identity"},
	{"settings[].key", "a setting of the configuration file"}, {"settings[].value", "its value"}, {"settings[].from", "the property it comes from"},
	{"findings[].severity", "error: not translated; warning: no equivalent; note"}, {"findings[].object", "kind of object"},
	{"findings[].name", "its identity"}, {"findings[].property", "the property, or empty"}, {"findings[].text", "what is the matter"},
	{"applied.*", "with --apply: what `config apply` says"},
};

static const struct admin_group groups[] = {
	{{"import"}, "take over settings from other servers"},
	{{"plan"}, "certificates, DNS records and firewall ports that the configuration asks for"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_PLAN_CERTIFICATES, .local = true, .path = {"plan", "certificates"}, .summary = "list the names that the certificates need",
	 .help = "From the configuration alone: needs no daemon and looks at nothing. What is wrong in reality is another question.",
	 .example = "entente plan certificates --format openssl > request.cnf", ARGS(plan_certificates_args), FIELDS(plan_certificates_fields)},

	{.id = ADMIN_CMD_PLAN_DNS, .local = true, .path = {"plan", "dns"}, .summary = "list the DNS records by which partners find us",
	 .example = "entente plan dns --address 192.0.2.10 --format bind", ARGS(plan_dns_args), FIELDS(plan_dns_fields)},

	{.id = ADMIN_CMD_PLAN_PORTS, .local = true, .path = {"plan", "ports"}, .summary = "list what firewalls must let through",
	 .example = "entente plan ports --format nftables", ARGS(plan_ports_args), FIELDS(plan_ports_fields)},

	{.id = ADMIN_CMD_PLAN_HANDOUT, .local = true, .path = {"plan", "handout"}, .summary = "print the page for a partner's administrator",
	 .help = "Who you are on the wire, what can be looked up, and what to type on the server that the partner runs: most failures of "
		 "federation are on the other side.",
	 .example = "entente plan handout prosody --address 192.0.2.10 > federating-with-us.md", ARGS(plan_handout_args), FIELDS(plan_handout_fields)},

	{.id = ADMIN_CMD_PLAN_ALL, .local = true, .path = {"plan", "all"}, .summary = "print the whole plan", ARGS(plan_args), FIELDS(plan_all_fields)},

	{.id = ADMIN_CMD_IMPORT_LYNC, .local = true, .path = {"import", "lync"}, .summary = "translate exports of Lync settings",
	 .help = "Reads the output of Get-CsXmppAllowedPartner, Get-CsXmppGatewayConfiguration, Get-CsAllowedDomain, Get-CsBlockedDomain, "
		 "Get-CsHostingProvider, Get-CsPublicProvider, Get-CsAccessEdgeConfiguration, Get-CsExternalAccessPolicy and Get-CsUser, and prints the commands that make the same here, as a shell script; settings for the configuration file and what has no equivalent "
		 "stand in it as comments. Nothing is changed: look at it, then run it. Exits with 1 when something could not be translated.\n\n"
		 "Export-Clixml loses nothing; Export-Csv loses lists, ConvertTo-Json the names of enumerations.",
	 .example = "entente import lync partners.xml gateway.xml > take-over.sh\nentente import lync partners.xml --apply --what-if", ARGS(import_lync_args), FIELDS(import_lync_fields)},
};

const struct admin_command_set admin_commands_plan = {GROUPS(groups), COMMANDS(commands)};
