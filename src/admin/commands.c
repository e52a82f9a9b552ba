/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: arguments first, then the commands in the order of the documentation. What a command does is in the
 * handler of its id (local.c; in the daemon admin.c). */
#include "admin/command.h"

#define ARGS(a) .args = a, .n_args = sizeof(a) / sizeof *(a)
#define FIELDS(f) .fields = f, .n_fields = sizeof(f) / sizeof *(f)

/* ---- options of every command ---- */
static const struct admin_arg globals[] = {
	{"json", ADMIN_BOOL, .help = "print JSON instead of text; the names of members are stable"},
	{"socket", ADMIN_PATH, .def = "$ENTENTE_SOCKET, else /run/entente/control.sock", .help = "control socket of the daemon"},
	{"help", ADMIN_BOOL, .help = "say what the words before it do, and nothing else"},
};

/* ---- config ---- */
#define CONFIG_FILE "/etc/entente/entente.yaml"
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
static const struct admin_field text_fields[] = {
	{"text", "the text"},
};

/* ---- plan ---- */
#define PLAN_ARGS                                                                                                              \
	{"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file"},                                             \
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .help = "a public IP address of this server; several: a pool behind one name"}, \
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
	{"certificates[].usage", "external or internal"}, {"certificates[].subject", "its common name"},                         \
	{"certificates[].names[]", "dNSName of each"}, {"certificates[].purposes[]", "extended key usages"},                     \
	{"certificates[].issuer", "who should issue it"}
#define PLAN_RECORDS                                                                                                           \
	{"records[].type", "A, AAAA, SRV"}, {"records[].name", "full name"}, {"records[].zone", "the likeliest zone"},            \
	{"records[].priority", "of SRV"}, {"records[].weight", "of SRV"}, {"records[].port", "of SRV"},                           \
	{"records[].target", "name or address; in angle brackets what only you know"}, {"records[].purpose", "what for"}
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
};
static const struct admin_field import_lync_fields[] = {
	{"commands[]", "commands that make the same here, for a shell"},
	{"settings[].key", "a setting of the configuration file"}, {"settings[].value", "its value"}, {"settings[].from", "the property it comes from"},
	{"findings[].severity", "error: not translated; warning: no equivalent; note"}, {"findings[].object", "kind of object"},
	{"findings[].name", "its identity"}, {"findings[].property", "the property, or empty"}, {"findings[].text", "what is the matter"},
};

/* ---- partner xmpp ---- */
static const struct admin_alias tls_aliases[] = {{"no-tls", "not-supported", "the same as --tls not-supported"}, {NULL}};
static const struct admin_alias sasl_aliases[] = {{"no-sasl", "not-supported", "the same as --sasl not-supported"}, {NULL}};
static const struct admin_alias dialback_aliases[] = {{"no-dialback", "false", "ignore dialback from the partner"}, {NULL}};
static const struct admin_alias enabled_aliases[] = {{"disabled", "false", "keep the partner, but refuse everything"}, {NULL}};
static const struct admin_alias keep_alive_aliases[] = {{"no-keep-alive", "false", "tolerate a partner that stays silent"}, {NULL}};
static const struct admin_alias server_aliases[] = {{"no-server", "", "find the server by DNS SRV"}, {NULL}};
static const struct admin_alias pin_aliases[] = {{"no-pins", "", "any key of the partner will do"}, {NULL}};
static const struct admin_alias dane_aliases[] = {{"no-dane", "false", "look at no TLSA records of the partner"}, {NULL}};
static const struct admin_alias delegation_aliases[] = {{"no-delegation", "false", "only the domain itself counts"}, {NULL}};
static const struct admin_alias own_aliases[] = {{"no-client-certificate", "none", "the same as --client-certificate none"}, {NULL}};
static const struct admin_alias additional_aliases[] = {{"no-additional-domains", "", "only the partner's own domain"}, {NULL}};

#define TYPES "federated|public-verified|public-unverified"
#define NEGOTIATIONS "required|optional|not-supported"
#define WHAT_IF_HELP "check and show what would change, but change nothing"
#define TYPE_HELP "what the partner's users may do, and what they see"
#define PARTNER_COMMON(additional_def, sasl_def, tls_def, on_def, limit_def, server_def, own_def, pin_def, off_def)                                              \
	{"tls", ADMIN_ENUM, .values = NEGOTIATIONS, .def = tls_def, .aliases = tls_aliases, .help = "STARTTLS with the partner"},   \
	{"sasl", ADMIN_ENUM, .values = NEGOTIATIONS, .def = sasl_def, .aliases = sasl_aliases,                                      \
	 .help = "SASL EXTERNAL: the partner proves its domain by certificate"},                                                    \
	{"dialback", ADMIN_BOOL, .def = on_def, .aliases = dialback_aliases,                                                        \
	 .help = "server dialback (XEP-0220): the partner proves its domain by DNS"},                                               \
	{"server", ADMIN_SERVER, .def = server_def, .aliases = server_aliases, .help = "the partner's XMPP server, instead of DNS SRV; port 5270 means direct TLS"}, \
	{"additional-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .def = additional_def, .aliases = additional_aliases,                       \
	 .help = "a further domain of the same partner; *.fabrikam.example: all below that, which nothing else implies"},                                               \
	{"connection-limit", ADMIN_UINT, .max = 100000, .def = limit_def, .help = "most connections with the partner; 0: as limits.max-connections-per-partner"}, \
	{"keep-alive", ADMIN_BOOL, .def = on_def, .aliases = keep_alive_aliases,                                                    \
	 .help = "disconnect a partner that is silent for timers.keepalive-timeout"},                                               \
	{"client-certificate", ADMIN_ENUM, .values = "client|server|none", .def = own_def, .aliases = own_aliases,                  \
	 .help = "which of our certificates we show when we connect to it (tls.client-certificate, tls.certificate)"},             \
	{"pin", ADMIN_PIN, ADMIN_MANY, .aliases = pin_aliases, .help = "SHA-256 of a public key that the partner may have, in hex or base64; replaces all"}, \
	{"pin-mode", ADMIN_ENUM, .values = "alarm|block", .def = pin_def, .help = "what another key means: it is logged, or refused"}, \
	{"dane", ADMIN_BOOL, .def = on_def, .aliases = dane_aliases, .help = "believe TLSA records of its servers, where DNSSEC is on"}, \
	{"delegation", ADMIN_BOOL, .def = off_def, .aliases = delegation_aliases,                                                                              \
	 .help = "accept a certificate for the name of its server, where DNSSEC vouches for the SRV record"},                      \
	{"description", ADMIN_TEXT, .max = 1024, .help = "a note for administrators"},                                               \
	{"enabled", ADMIN_BOOL, .def = on_def, .aliases = enabled_aliases, .help = "let the partner in"},                           \
	{"what-if", ADMIN_BOOL, .help = WHAT_IF_HELP}

static const struct admin_arg partner_add_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain"},
	{"type", ADMIN_ENUM, ADMIN_REQUIRED, .values = TYPES, .help = TYPE_HELP},
	PARTNER_COMMON(NULL, "optional", "required", "yes", "0", "by DNS SRV", "client", "alarm", "no"),
};
static const struct admin_arg partner_set_args[] = {
	{"domain", ADMIN_PARTNER, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain"},
	{"type", ADMIN_ENUM, .values = TYPES, .help = TYPE_HELP},
	{"add-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .help = "one more additional domain"},
	{"remove-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .help = "one additional domain less"},
	PARTNER_COMMON(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
};
static const struct admin_arg partner_show_args[] = {
	{"domain", ADMIN_PARTNER, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain, or one of its additional domains"},
};
static const struct admin_arg partner_list_args[] = {
	{"filter", ADMIN_TEXT, .max = 253, .help = "only domains like this pattern, e.g. '*.org'; * and ? stand for any characters"},
	{"type", ADMIN_ENUM, .values = TYPES, .help = "only partners of this type"},
	{"names", ADMIN_BOOL, .help = "print the domains only, one a line"},
};
static const struct admin_arg partner_remove_args[] = {
	{"domain", ADMIN_PARTNER, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain"},
	{"what-if", ADMIN_BOOL, .help = WHAT_IF_HELP},
};
#define PARTNER_FIELDS(p)                                                                                                  \
	{p "domain", "in lower-case A-labels"}, {p "type", TYPES}, {p "enabled", "whether the partner is let in"},          \
	{p "additional_domains[]", "further domains of the partner"}, {p "tls", NEGOTIATIONS}, {p "sasl", NEGOTIATIONS},    \
	{p "dialback", "whether dialback is done"},                                                                        \
	{p "methods[]", "what a stream may be authenticated by: sasl-external, dialback-over-tls, dialback-in-clear"},     \
	{p "server", "host or host:port; empty: by DNS SRV"}, {p "connection_limit", "0: the gateway's"},                  \
	{p "keep_alive", "whether silence disconnects"},                                                                    \
	{p "client_certificate", "which of our certificates it is shown: client, server, none"},                           \
	{p "outcomes.*", "with a strict, a lenient and a plain server: a method, or fails-no-tls, fails-tls-off, fails-no-method"}, \
	{p "pins[]", "SHA-256 of the public keys that it may have, in hex"}, {p "pin_mode", "alarm or block"},             \
	{p "dane", "whether TLSA records are believed"}, {p "delegation", "whether the name of its server counts"},        \
	{p "description", "a note"}
static const struct admin_field partner_show_fields[] = {
	PARTNER_FIELDS(""),
	{"certificate.*", "the one it showed last: key (for --pin), subject, issuer, not_after, at, direction, auth, believed"},
};
static const struct admin_field partner_list_fields[] = {PARTNER_FIELDS("partners[].")};
static const struct admin_field partner_change_fields[] = {
	PARTNER_FIELDS("partner."),
	{"changes[].field", "what was changed"},
	{"changes[].from", "its value before"},
	{"changes[].to", "its value now"},
	{"what_if", "true: nothing was changed"},
};
static const struct admin_field partner_one_fields[] = {
	PARTNER_FIELDS("partner."),
	{"what_if", "true: nothing was changed"},
};

/* ---- block ---- */
static const struct admin_arg block_add_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the domain; its subdomains are blocked too"},
	{"comment", ADMIN_TEXT, .max = 1024, .help = "why"},
	{"what-if", ADMIN_BOOL, .help = WHAT_IF_HELP},
};
static const struct admin_arg block_remove_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the domain"},
	{"what-if", ADMIN_BOOL, .help = WHAT_IF_HELP},
};
static const struct admin_field block_change_fields[] = {
	{"domain", "what was blocked or is no longer"},
	{"partners_affected[]", "domains of partners that the block concerns"},
	{"what_if", "true: nothing was changed"},
};
static const struct admin_field block_list_fields[] = {
	{"blocked[].domain", "blocked with all its subdomains"},
	{"blocked[].comment", "why"},
	{"blocked[].since", "RFC 3339, UTC"},
};

#define FEDERATION_ARGS
#include "admin/federation_table.def"

#include "admin/show_table.def"

#define FEDERATION_SHOW
#include "admin/federation_table.def"

/* ---- status, explain, reason, history, reload, version ---- */
static const struct admin_field status_fields[] = {
	{"version", "of the daemon"},
	{"server_name", "server.name of the configuration"},
	{"state", "running, draining"},
	{"uptime", "seconds"},
	{"workers", "threads that carry traffic"},
	{"listeners[]", "protocol and address"},
	{"role", "all, edge or gateway"},
	{"links", "how many links between edge and gateway are up; not with role all"},
	{"store", "ok, or what is wrong with the database; not on an edge"},
	{"certificate.subject", "our certificate"},
	{"certificate.names[]", "what it is valid for"},
	{"certificate.not_after", "its end, seconds since 1970"},
	{"generation", "number of the policy in force; each change takes the next"},
	{"partners", "how many are configured"},
	{"homes", "how many SIP servers are configured"},
	{"local_domains[]", "the domains that they serve"},
	{"metrics.*", "counters and gauges, by their Prometheus names"},
	{"problems[]", "what needs attention"},
};
static const struct admin_arg explain_args[] = {
	{"from", ADMIN_ADDRESS, ADMIN_REQUIRED, .help = "the sender: sip:romeo@contoso.example, xmpp:juliet@fabrikam.example, or without a scheme"},
	{"to", ADMIN_ADDRESS, ADMIN_REQUIRED, .help = "the recipient"},
	{"kind", ADMIN_ENUM, ADMIN_REQUIRED,
	 .values = "message|presence|presence-subscribe|presence-probe|presence-state|iq|session|request",
	 .help = "what the sender sends; presence: a request to see the recipient's presence"},
	{"direction", ADMIN_ENUM, .values = "auto|to-local|to-remote", .def = "auto: by whose domain is ours",
	 .help = "from a partner to our user, or from our user to a partner"},
	{"via", ADMIN_ENUM, .values = "sip|xmpp", .def = "as requests to and from the other domain go", .help = "by which network"},
	{"peer", ADMIN_DOMAIN, .def = "the sender's domain; SIP: the name that is wanted", .help = "to-local: the domain that the partner's connection has proved; SIP: what its certificate names"},
	{"srv", ADMIN_TEXT, .max = 253, .def = "sip.DOMAIN", .help = "SIP: what DNS names as the partner's server: a name, none (no record), failed (no answer)"},
	{"mark", ADMIN_ENUM, .values = "verified|unverified|none", .def = "verified", .help = "SIP, to-local: how the partner marks the sender"},
};
static const struct admin_field explain_fields[] = {
	{"allowed", "the verdict"},
	{"reason", "reason ID of the refusal, or null"},
	{"text", "the reason in words; null when allowed"},
	{"who", "who can fix it: admin, partner, sender, user, both, nobody; null when allowed"},
	{"next_step", "what to do; null when allowed"},
	{"sip_status", "what a SIP sender would get; null when allowed"},
	{"xmpp_condition", "what an XMPP sender would get; null when allowed"},
	{"kind", "what was asked about"},
	{"direction", "to-local or to-remote; through: from one SIP partner to another, as a clearing house"},
	{"from", "canonical address of the sender"},
	{"to", "canonical address of the recipient"},
	{"partner", "domain of the partner that was found, or null"},
	{"home", "name of the home that serves our domain, or null"},
	{"network", "sip or xmpp: whose rules were asked"},
	{"class", "SIP: kind of partner: allowed-domain, allowed-server, hosting-provider, public-provider, discovered; null for XMPP"},
	{"notes", "XMPP, allowed: whether status notes of our users reach this partner: shown or hidden"},
	{"limits", "SIP, allowed, a discovered partner: what it is held to"},
	{"contact", "whether our user has the other one as contact: yes or no"},
	{"assumptions[]", "what was supposed about the connection"},
	{"generation", "number of the policy that was asked"},
	{"steps[].rule", "ID of the rule, in order of evaluation"},
	{"steps[].outcome", "pass, deny, skip"},
	{"steps[].detail", "what the rule saw"},
	{"steps[].subject", "what it looked at"},
	{"steps[].object", "SIP: the administrator's object that decided: allowed-domain fabrikam.example, access-edge partner-discovery=false"},
	{"steps[].changed", "SIP: when that was made so, by whom and how, from the history"},
	{"steps[].help", "what the rule demands"},
};
static const struct admin_arg reason_args[] = {
	{"id", ADMIN_REASON, ADMIN_POSITIONAL, .def = "all", .help = "a reason ID, e.g. policy/partner-unknown"},
	{"language", ADMIN_ENUM, .values = "en|de|ru|zh", .def = "LC_ALL, LC_MESSAGES, LANG", .help = "of the meaning"},
};
static const struct admin_field reason_fields[] = {
	{"reasons[].id", "the reason ID"},
	{"reasons[].text", "what it means"},
	{"reasons[].who", "who can fix it: admin, partner, sender, user, both, nobody"},
	{"reasons[].next_step", "what to do"},
	{"reasons[].sip_status", "towards SIP"},
	{"reasons[].xmpp_condition", "towards XMPP, RFC 6120 8.3.3"},
	{"reasons[].xmpp_type", "towards XMPP, RFC 6120 8.3.2"},
};
static const struct admin_arg history_args[] = {
	{"limit", ADMIN_UINT, .max = 100000, .def = "50", .help = "how many changes, newest first"},
};
static const struct admin_field history_fields[] = {
	{"changes[].generation", "number of the policy that the change made"},
	{"changes[].at", "RFC 3339, UTC"},
	{"changes[].who", "user who made it"},
	{"changes[].what", "the change"},
};
static const struct admin_field reload_fields[] = {
	{"reloaded", "whether the new configuration is in force"},
	{"findings[].severity", "error or warning"},
	{"findings[].line", "counted from 1; 0: the file as a whole"},
	{"findings[].column", "in characters, counted from 1"},
	{"findings[].key", "the setting"},
	{"findings[].text", "what is wrong and what would be right"},
};
static const struct admin_field version_fields[] = {
	{"version", "of this program"},
};
static const struct admin_arg help_args[] = {
	{"command", ADMIN_WORDS, ADMIN_POSITIONAL | ADMIN_MANY, .help = "the words of a command"},
};

static const struct admin_group groups[] = {
	{{"config"}, "look at the configuration file and its settings"},
	{{"partner"}, "who may communicate with our users"},
	{{"partner", "xmpp"}, "XMPP partners: the organisations on the XMPP network that are let in"},
	{{"import"}, "take over settings from other servers"},
	{{"plan"}, "certificates, DNS records and firewall ports that the configuration asks for"},
#define FEDERATION_GROUPS
#include "admin/federation_table.def"
	{{"show"}, "what goes on in the daemon now"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_STATUS, .where = ADMIN_AT_BOTH, .path = {"status"}, .summary = "say how the daemon is",
	 .help = "Version, listeners, homes, partners, traffic, and what needs attention. Exits with 1 when something does.",
	 FIELDS(status_fields)},

	{.id = ADMIN_CMD_EXPLAIN, .path = {"explain"}, .summary = "say whether something would be allowed, and why",
	 .help = "Asks the policy in force the same question that the daemon asks for each message, and prints every rule that was "
		 "looked at. Nothing is sent. When the answer is no, it says which rule refused, who can fix it and how. Exits with 0 "
		 "when it would be allowed and with 1 when it would be refused.\n\n"
		 "The other side's servers may refuse what is allowed here: whether they can be reached is not looked at.",
	 .example = "entente explain --from sip:romeo@contoso.example --to xmpp:juliet@fabrikam.example --kind message\n"
		    "entente explain --from juliet@fabrikam.example --to romeo@contoso.example --kind presence",
	 ARGS(explain_args), FIELDS(explain_fields)},

	{.id = ADMIN_CMD_REASON, .local = true, .path = {"reason"}, .summary = "look up reason IDs",
	 .help = "Every refusal has a reason ID: in the log, in the SIP header Entente-Reason, in the text of an XMPP error, in "
		 "metrics. This tells what it means, what the sender was told, and who can fix it.",
	 .example = "entente reason policy/partner-unknown", ARGS(reason_args), FIELDS(reason_fields)},

	{.id = ADMIN_CMD_PARTNER_ADD, .changes = true, .path = {"partner", "xmpp", "add"}, .summary = "let an XMPP domain in",
	 .help = "Until a domain is a partner, nothing passes to it or from it. The type says what its users may do:\n\n"
		 "federated: write to our users and ask for their presence without being a contact before; status notes are shown. For "
		 "organisations that you trust.\n\n"
		 "public-verified: the same, but status notes are hidden.\n\n"
		 "public-unverified: they reach only users of ours who added them as contact, or wrote to them first; status notes "
		 "are hidden. For public providers, where anybody can have an address.\n\n"
		 "By default TLS is required, and the partner proves its domain by certificate (SASL EXTERNAL) or, where it cannot, by "
		 "dialback inside TLS.",
	 .example = "entente partner xmpp add fabrikam.example --type federated\n"
		    "entente partner xmpp add chat.example --type public-unverified --description 'free provider'",
	 ARGS(partner_add_args), FIELDS(partner_one_fields)},

	{.id = ADMIN_CMD_PARTNER_SET, .changes = true, .path = {"partner", "xmpp", "set"}, .summary = "change an XMPP partner",
	 .help = "Only what is given changes. --additional-domain replaces the whole list; --add-domain and --remove-domain change it.",
	 .example = "entente partner xmpp set fabrikam.example --no-sasl\n"
		    "entente partner xmpp set fabrikam.example --add-domain research.fabrikam.example",
	 ARGS(partner_set_args), FIELDS(partner_change_fields)},

	{.id = ADMIN_CMD_PARTNER_SHOW, .path = {"partner", "xmpp", "show"}, .summary = "show all settings of an XMPP partner",
	 ARGS(partner_show_args), FIELDS(partner_show_fields)},

	{.id = ADMIN_CMD_PARTNER_LIST, .path = {"partner", "xmpp", "list"}, .summary = "list the XMPP partners",
	 ARGS(partner_list_args), FIELDS(partner_list_fields)},

	{.id = ADMIN_CMD_PARTNER_REMOVE, .changes = true, .path = {"partner", "xmpp", "remove"},
	 .summary = "let an XMPP domain in no longer", .help = "Its streams are closed. `partner xmpp set DOMAIN --disabled` keeps its settings.",
	 ARGS(partner_remove_args), FIELDS(partner_one_fields)},

	{.id = ADMIN_CMD_PARTNER_TEST, .where = ADMIN_AT_EDGE, .live = true, .path = {"partner", "test"}, .summary = "test step by step whether a domain can be reached",
	 .help = "Does step by step what the daemon does when it connects with the domain, and tells what it sees. By SIP: DNS with Lync's rule for "
		 "the names of servers, and for each address TCP, TLS with the certificate, the rule by which it proves the domain, and OPTIONS there "
		 "and back. By XMPP: DNS, TCP, TLS with the "
		 "certificate, the stream, authentication, a ping. The ping's answer has to come on a stream that the other side opens: when "
		 "it does not, we reach them, but they do not reach us. At the end it says what failed, and who has to change something.\n\n"
		 "The domain need not be let in. By XMPP then the settings that `partner xmpp add` would give it are tried, or those of the options; "
		 "only the ping is left out. Streams that carry messages are not disturbed. Exits with 0 when it works and with 1 when it does "
		 "not.",
	 .example = "entente partner test fabrikam.example\n"
		    "entente partner test adatum.example --sip\n"
		    "entente partner test fabrikam.example --no-dialback --timeout 1m",
	 ARGS(partner_test_args), FIELDS(partner_test_fields)},

#define FEDERATION_COMMANDS
#include "admin/federation_table.def"

	{.id = ADMIN_CMD_SHOW_STREAMS, .where = ADMIN_AT_EDGE, .path = {"show", "streams"}, .summary = "list the XMPP streams with partners",
	 .help = "A partner that cannot be reached is listed with the reason and in state backoff.", ARGS(streams_args), FIELDS(streams_fields)},
	{.id = ADMIN_CMD_SHOW_STREAM, .where = ADMIN_AT_EDGE, .path = {"show", "stream"}, .summary = "show everything about one XMPP stream",
	 .example = "entente show stream 12", ARGS(stream_args), FIELDS(stream_fields)},
	{.id = ADMIN_CMD_SHOW_ATTEMPTS, .where = ADMIN_AT_EDGE, .path = {"show", "attempts"}, .summary = "tell how the last contacts with a domain went",
	 .help = "Attempts to reach the domain, and of its server to reach us: the last 20, newest first, with the time of each step, and why those failed that did. They are forgotten when the daemon "
		 "stops.",
	 .example = "entente show attempts fabrikam.example", ARGS(attempts_args), FIELDS(attempts_fields)},
	{.id = ADMIN_CMD_SHOW_SUBSCRIPTIONS, .path = {"show", "subscriptions"}, .summary = "list who watches whose presence",
	 ARGS(show_args), FIELDS(subscriptions_fields)},
	{.id = ADMIN_CMD_SHOW_CONVERSATIONS, .path = {"show", "conversations"}, .summary = "list who talks to whom",
	 .help = "Counts only: what is said is neither shown nor kept.", ARGS(show_args), FIELDS(conversations_fields)},
	{.id = ADMIN_CMD_SHOW_HOMES, .path = {"show", "homes"}, .summary = "list the SIP servers of the organisation",
	 ARGS(show_args), FIELDS(homes_fields)},
	{.id = ADMIN_CMD_SHOW_LINKS, .where = ADMIN_AT_BOTH, .path = {"show", "links"}, .summary = "list the links between edge and gateway",
	 .help = "Only where edge and gateway are two processes (server.role): one link for each worker of the gateway and each edge.",
	 ARGS(show_args), FIELDS(links_fields)},

	{.id = ADMIN_CMD_SHOW_METRICS, .where = ADMIN_AT_BOTH, .path = {"show", "metrics"}, .summary = "print all counters and gauges",
	 .help = "In the text format of Prometheus. The setting metrics.listen offers the same by HTTP.", FIELDS(metrics_fields)},

	{.id = ADMIN_CMD_TRACE, .where = ADMIN_AT_BOTH, .live = true, .lines = true, .path = {"trace"}, .summary = "show messages and stream steps as they pass",
	 .help = "One line for each SIP message, XMPP stanza and step of a stream, until the time is over or Ctrl-C. --> is away from us, <-- is "
		 "to us. What is written is hidden unless asked for; keys are never shown. SIP messages of the last 15 minutes are kept, as far as "
		 "limits.trace-buffer has room and without their bodies: --since shows them. Whoever reads too slowly loses lines, and is told "
		 "how many; traffic never waits. With --json one object a line.",
	 .example = "entente trace --partner fabrikam.example\n"
		    "entente trace --user romeo@contoso.example --bodies --for 5m\n"
		    "entente trace --since 10m --failed",
	 ARGS(trace_args), FIELDS(trace_fields)},

	{.id = ADMIN_CMD_HISTORY, .path = {"history"}, .summary = "list the changes of partners and blocked domains",
	 ARGS(history_args), FIELDS(history_fields)},

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
		 "Get-CsHostingProvider, Get-CsPublicProvider, Get-CsAccessEdgeConfiguration and Get-CsExternalAccessPolicy, and prints the commands that make the same here, as a shell script; settings for the configuration file and what has no equivalent "
		 "stand in it as comments. Nothing is changed: look at it, then run it. Exits with 1 when something could not be translated.\n\n"
		 "Export-Clixml loses nothing; Export-Csv loses lists, ConvertTo-Json the names of enumerations.",
	 .example = "entente import lync partners.xml gateway.xml > take-over.sh", ARGS(import_lync_args), FIELDS(import_lync_fields)},

	{.id = ADMIN_CMD_CONFIG_CHECK, .local = true, .path = {"config", "check"}, .summary = "check a configuration file",
	 .help = "Reads the file as the daemon would, with the certificates and keys that it names, and prints each finding with its "
		 "place. Needs no daemon and changes nothing. Exits with 1 when the daemon would not start with it.",
	 ARGS(config_check_args), FIELDS(config_check_fields)},
	{.id = ADMIN_CMD_CONFIG_EXPLAIN, .local = true, .path = {"config", "explain"}, .summary = "say what a setting means",
	 .example = "entente config explain limits.max-stanza", ARGS(config_explain_args), FIELDS(text_fields)},
	{.id = ADMIN_CMD_CONFIG_EXAMPLE, .local = true, .path = {"config", "example"}, .summary = "print a configuration file to start from",
	 .help = "All settings with their defaults and what they mean.", .example = "entente config example > " CONFIG_FILE,
	 FIELDS(text_fields)},
	{.id = ADMIN_CMD_CONFIG_EFFECTIVE, .local = true, .path = {"config", "effective"},
	 .summary = "print all settings of a file, defaults included", ARGS(config_check_args), FIELDS(text_fields)},
	{.id = ADMIN_CMD_RELOAD, .where = ADMIN_AT_BOTH, .path = {"reload"}, .summary = "have the daemon read its configuration again",
	 .help = "All or nothing: a file with an error changes nothing, and what is wrong is printed (exit code 78). Settings that only a "
		 "restart changes are named as warnings. `systemctl reload entented` does the same.",
	 FIELDS(reload_fields)},

	{.id = ADMIN_CMD_VERSION, .local = true, .path = {"version"}, .summary = "print the version of this program", FIELDS(version_fields)},
	{.id = ADMIN_CMD_HELP, .local = true, .path = {"help"}, .summary = "say what a command does", .example = "entente help partner xmpp add",
	 ARGS(help_args), FIELDS(text_fields)},
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
	return sizeof commands / sizeof *commands;
}

const struct admin_command *admin_command(size_t index)
{
	return &commands[index];
}

const struct admin_command *admin_command_by_id(enum admin_id id)
{
	for (size_t i = 0; i < admin_command_count(); i++)
		if (commands[i].id == id)
			return &commands[i];
	return NULL;
}

size_t admin_group_count(void)
{
	return sizeof groups / sizeof *groups;
}

const struct admin_group *admin_group(size_t index)
{
	return &groups[index];
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
