/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: XMPP partners. */
#include "admin/command_set.h"

const struct admin_alias admin_tls_aliases[] = {{"no-tls", "not-supported", "the same as --tls not-supported"}, {NULL}};
const struct admin_alias admin_sasl_aliases[] = {{"no-sasl", "not-supported", "the same as --sasl not-supported"}, {NULL}};
const struct admin_alias admin_dialback_aliases[] = {{"no-dialback", "false", "ignore dialback from the partner"}, {NULL}};
static const struct admin_alias enabled_aliases[] = {{"disabled", "false", "keep the partner, but refuse everything"}, {NULL}};
static const struct admin_alias keep_alive_aliases[] = {{"no-keep-alive", "false", "tolerate a partner that stays silent"}, {NULL}};
static const struct admin_alias server_aliases[] = {{"no-server", "", "find the server by DNS SRV"}, {NULL}};
static const struct admin_alias pin_aliases[] = {{"no-pins", "", "any key of the partner will do"}, {NULL}};
static const struct admin_alias dane_aliases[] = {{"no-dane", "false", "look at no TLSA records of the partner"}, {NULL}};
static const struct admin_alias delegation_aliases[] = {{"no-delegation", "false", "only the domain itself counts"}, {NULL}};
static const struct admin_alias own_aliases[] = {{"no-client-certificate", "none", "the same as --client-certificate none"}, {NULL}};
static const struct admin_alias additional_aliases[] = {{"no-additional-domains", "", "only the partner's own domain"}, {NULL}};

#define TYPES "federated|public-verified|public-unverified"
#define PROTOCOLS "xmpp|sip|xmpp-first|sip-first"
#define TYPE_HELP "what the partner's users may do, and what they see"
#define PARTNER_COMMON(additional_def, sasl_def, tls_def, on_def, limit_def, server_def, own_def, protocol_def, pin_def, off_def)                                              \
	{"tls", ADMIN_ENUM, .values = NEGOTIATIONS, .def = tls_def, .aliases = admin_tls_aliases, .help = "STARTTLS with the partner"},   \
	{"sasl", ADMIN_ENUM, .values = NEGOTIATIONS, .def = sasl_def, .aliases = admin_sasl_aliases,                                      \
	 .help = "SASL EXTERNAL: the partner proves its domain by certificate"},                                                    \
	{"dialback", ADMIN_BOOL, .def = on_def, .aliases = admin_dialback_aliases,                                                        \
	 .help = "server dialback (XEP-0220): the partner proves its domain by DNS"},                                               \
	{"server", ADMIN_SERVER, .def = server_def, .aliases = server_aliases, .help = "the partner's XMPP server, instead of DNS SRV; port 5270 means direct TLS"}, \
	{"additional-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .def = additional_def, .aliases = additional_aliases,                       \
	 .help = "a further domain of the same partner; *.fabrikam.example: all below that, which nothing else implies"},                                               \
	{"connection-limit", ADMIN_UINT, .max = 100000, .def = limit_def, .help = "most connections with the partner; 0: as limits.max-connections-per-partner"}, \
	{"keep-alive", ADMIN_BOOL, .def = on_def, .aliases = keep_alive_aliases,                                                    \
	 .help = "disconnect a partner that is silent for timers.keepalive-timeout"},                                               \
	{"client-certificate", ADMIN_ENUM, .values = "client|server|none", .def = own_def, .aliases = own_aliases,                  \
	 .help = "which of our certificates we show when we connect to it (tls.client-certificate, tls.certificate)"},             \
	{"protocol", ADMIN_ENUM, .values = PROTOCOLS, .def = protocol_def,                                                           \
	 .help = "by which network it is reached; ...-first: by the other one where the first has no server that answers"},         \
	{"pin", ADMIN_PIN, ADMIN_MANY, .aliases = pin_aliases, .help = "SHA-256 of a public key that the partner may have, in hex or base64; replaces all"}, \
	{"pin-mode", ADMIN_ENUM, .values = "alarm|block", .def = pin_def, .help = "what another key means: it is logged, or refused"}, \
	{"dane", ADMIN_BOOL, .def = on_def, .aliases = dane_aliases, .help = "believe TLSA records of its servers, where DNSSEC is on"}, \
	{"delegation", ADMIN_BOOL, .def = off_def, .aliases = delegation_aliases,                                                                              \
	 .help = "accept a certificate for the name of its server, where DNSSEC vouches for the SRV record"},                      \
	{"description", ADMIN_TEXT, .max = 1024, .help = "a note for administrators"},                                               \
	{"enabled", ADMIN_BOOL, .def = on_def, .aliases = enabled_aliases, .help = "let the partner in"},                           \
	WHAT_IF_ARG

static const struct admin_arg partner_add_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain"},
	{"type", ADMIN_ENUM, ADMIN_REQUIRED, .values = TYPES, .help = TYPE_HELP},
	PARTNER_COMMON(NULL, "optional", "required", "yes", "0", "by DNS SRV", "client", "xmpp", "alarm", "no"),
};
static const struct admin_arg partner_set_args[] = {
	{"domain", ADMIN_PARTNER, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain"},
	{"type", ADMIN_ENUM, .values = TYPES, .help = TYPE_HELP},
	{"add-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .help = "one more additional domain"},
	{"remove-domain", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .help = "one additional domain less"},
	PARTNER_COMMON(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
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
	WHAT_IF_ARG,
};
#define PARTNER_FIELDS(p)                                                                                                  \
	{p "domain", "in lower-case A-labels"}, {p "type", TYPES}, {p "enabled", "whether the partner is let in"},          \
	{p "additional_domains[]", "further domains of the partner"}, {p "tls", NEGOTIATIONS}, {p "sasl", NEGOTIATIONS},    \
	{p "dialback", "whether dialback is done"},                                                                        \
	{p "methods[]", "what a stream may be authenticated by: sasl-external, dialback-over-tls, dialback-in-clear"},     \
	{p "server", "host or host:port; empty: by DNS SRV"}, {p "connection_limit", "0: the gateway's"},                  \
	{p "keep_alive", "whether silence disconnects"},                                                                    \
	{p "protocol", PROTOCOLS},                                                                                          \
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

static const struct admin_group groups[] = {
	{{"partner"}, "who may communicate with our users"},
	{{"partner", "xmpp"}, "XMPP partners: the organisations on the XMPP network that are let in"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_PARTNER_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {"partner", "xmpp", "add"}, .summary = "let an XMPP domain in",
	 .help = "Until a domain is a partner, nothing passes to it or from it. The type says what its users may do:\n\n"
		 "federated: write to our users and ask for their presence without being a contact before; status notes are shown. For "
		 "organisations that you trust.\n\n"
		 "public-verified: the same, but status notes are hidden.\n\n"
		 "public-unverified: they reach only users of ours who added them as contact, or wrote to them first; status notes "
		 "are hidden. For public providers, where anybody can have an address.\n\n"
		 "A domain with servers on both networks may be an allowed domain of SIP federation, too, where --protocol is not xmpp. With sip everything is kept, "
		 "and XMPP rests: so an organisation moves from one network to the other, and back.\n\n"
		 "By default TLS is required, and the partner proves its domain by certificate (SASL EXTERNAL) or, where it cannot, by "
		 "dialback inside TLS.",
	 .example = "entente partner xmpp add fabrikam.example --type federated\n"
		    "entente partner xmpp add chat.example --type public-unverified --description 'free provider'",
	 ARGS(partner_add_args), FIELDS(partner_one_fields)},

	{.id = ADMIN_CMD_PARTNER_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {"partner", "xmpp", "set"}, .summary = "change an XMPP partner",
	 .help = "Only what is given changes. --additional-domain replaces the whole list; --add-domain and --remove-domain change it.",
	 .example = "entente partner xmpp set fabrikam.example --no-sasl\n"
		    "entente partner xmpp set fabrikam.example --add-domain research.fabrikam.example",
	 ARGS(partner_set_args), FIELDS(partner_change_fields)},

	{.id = ADMIN_CMD_PARTNER_SHOW, .roles = ADMIN_MAY_SEE, .path = {"partner", "xmpp", "show"}, .summary = "show all settings of an XMPP partner",
	 ARGS(partner_show_args), FIELDS(partner_show_fields)},

	{.id = ADMIN_CMD_PARTNER_LIST, .roles = ADMIN_MAY_SEE, .path = {"partner", "xmpp", "list"}, .summary = "list the XMPP partners",
	 ARGS(partner_list_args), FIELDS(partner_list_fields)},

	{.id = ADMIN_CMD_PARTNER_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {"partner", "xmpp", "remove"},
	 .summary = "let an XMPP domain in no longer", .help = "Its streams are closed. `partner xmpp set DOMAIN --disabled` keeps its settings.",
	 ARGS(partner_remove_args), FIELDS(partner_one_fields)},
};

const struct admin_command_set admin_commands_partner = {GROUPS(groups), COMMANDS(commands)};
