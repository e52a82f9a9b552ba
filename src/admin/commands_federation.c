/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: SIP federation. Arguments and members come from policy/federation.def. */
#include "admin/command_set.h"

/* ---- block ---- */
static const struct admin_arg block_add_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the domain; its subdomains are blocked too"},
	{"comment", ADMIN_TEXT, .max = 1024, .help = "why"},
	WHAT_IF_ARG,
};
static const struct admin_arg block_remove_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the domain"},
	WHAT_IF_ARG,
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

#define ARG_BOOL(max) ADMIN_BOOL, 0
#define ARG_UINT(m) ADMIN_UINT, 0, .max = m
#define ARG_VERIFICATION(max) ADMIN_ENUM, 0, .values = "always-verifiable|always-unverifiable|use-source-verification"
#define ARG_ROUTING(max) ADMIN_ENUM, 0, .values = "dns-srv|default"
#define ARG_FQDN(max) ADMIN_DOMAIN, 0
#define ARG_DOMAINS(max) ADMIN_DOMAIN, ADMIN_MANY
#define ARG_TEXT(m) ADMIN_TEXT, 0, .max = m
#define FIELD_ARG(member_, name_, type_, def_, min_, max_, lync_, help_) {name_, ARG_##type_(max_), .help = help_},

#define ACCESS FIELD_ARG
static const struct admin_arg access_set_args[] = {
#include "policy/federation.def"
	WHAT_IF_ARG,
};
#define ALLOWED_KEY {"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the partner's domain; it covers the domains below it too"}
#define PROVIDER_KEY {"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 128, .help = "the provider's name"}
#define ALLOWED FIELD_ARG
static const struct admin_arg allowed_add_args[] = {
	ALLOWED_KEY,
#include "policy/federation.def"
	WHAT_IF_ARG,
};
#define ALLOWED FIELD_ARG
static const struct admin_arg allowed_set_args[] = {
	ALLOWED_KEY,
	{"dns-srv", ADMIN_BOOL, .help = "forget proxy-fqdn: the partner's server is found by DNS SRV"},
#include "policy/federation.def"
	WHAT_IF_ARG,
};
static const struct admin_arg allowed_remove_args[] = {ALLOWED_KEY, WHAT_IF_ARG};
#define PROVIDER FIELD_ARG
static const struct admin_arg provider_add_args[] = {
	PROVIDER_KEY,
#include "policy/federation.def"
	WHAT_IF_ARG,
};
static const struct admin_arg provider_remove_args[] = {PROVIDER_KEY, WHAT_IF_ARG};
static const struct admin_arg federation_list_args[] = {
	{"filter", ADMIN_TEXT, .max = 253, .help = "only those like this pattern, e.g. '*.net'; * and ? stand for any characters"},
};

#define ACCESS(member, name, type, def, min, max, lync, help) {"access." #member, help},
static const struct admin_field access_fields[] = {
#include "policy/federation.def"
	{"what_if", "true: nothing was changed"},
};
#define ALLOWED(member, name, type, def, min, max, lync, help) {"allowed[]." #member, help},
static const struct admin_field allowed_fields[] = {
	{"allowed[].domain", "covers the domains below it too"},
#include "policy/federation.def"
	{"what_if", "true: nothing was changed"},
};
#define PROVIDER(member, name, type, def, min, max, lync, help) {"providers[]." #member, help},
static const struct admin_field provider_fields[] = {
	{"providers[].name", "unique"},
	{"providers[].kind", "hosting or public"},
#include "policy/federation.def"
	{"what_if", "true: nothing was changed"},
};
#undef FIELD_ARG

static const struct admin_group groups[] = {
	{{"access-edge"}, "switches of the federation with other SIP organisations"},
	{{"allowed-domain"}, "SIP organisations that are let in"},
	{{"blocked-domain"}, "domains that are refused, whatever else is configured"},
	{{"hosting-provider"}, "servers that carry the domains of many SIP organisations"},
	{{"public-provider"}, "public instant messaging services"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_ACCESS_SHOW, .roles = ADMIN_MAY_SEE, .path = {"access-edge", "show"}, .summary = "show the switches of SIP federation", FIELDS(access_fields)},
	{.id = ADMIN_CMD_ACCESS_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {"access-edge", "set"}, .summary = "change the switches of SIP federation",
	 .help = "Only what is given changes. Everything is closed until federated-users is true, and then only allowed domains and "
		 "providers are let in, unless partner-discovery is true too.\n\nThe names are those of Lync's Set-CsAccessEdgeConfiguration.",
	 .example = "entente access-edge set --federated-users\nentente access-edge set --partner-discovery --discovered-partner-standard-rate 10",
	 ARGS(access_set_args), FIELDS(access_fields)},

	{.id = ADMIN_CMD_ALLOWED_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {"allowed-domain", "add"}, .summary = "let a SIP organisation in",
	 .help = "With --proxy-fqdn the partner is that one server (direct federation); without, its server is found by its DNS record "
		 "_sipfederationtls._tcp (enhanced federation). A domain can be allowed or blocked, not both.\n\n"
		 "By default the partner must mark whether it has verified the sender of each message, as Lync does; other servers do not: "
		 "give --verification-level always-verifiable for those that you trust, always-unverifiable for others.",
	 .example = "entente allowed-domain add fabrikam.example\n"
		    "entente allowed-domain add litware.example --proxy-fqdn edge.litware.example --verification-level always-verifiable",
	 ARGS(allowed_add_args), FIELDS(allowed_fields)},
	{.id = ADMIN_CMD_ALLOWED_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {"allowed-domain", "set"}, .summary = "change an allowed domain",
	 .help = "Only what is given changes.", ARGS(allowed_set_args), FIELDS(allowed_fields)},
	{.id = ADMIN_CMD_ALLOWED_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {"allowed-domain", "remove"}, .summary = "let a SIP organisation in no longer",
	 .help = "With partner-discovery it may still come in as a discovered partner: block it to keep it out.", ARGS(allowed_remove_args),
	 FIELDS(allowed_fields)},
	{.id = ADMIN_CMD_ALLOWED_LIST, .roles = ADMIN_MAY_SEE, .path = {"allowed-domain", "list"}, .summary = "list the allowed domains", ARGS(federation_list_args),
	 FIELDS(allowed_fields)},

	{.id = ADMIN_CMD_BLOCKED_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {"blocked-domain", "add"}, .summary = "refuse a domain and all its subdomains",
	 .help = "By SIP and by XMPP, in both directions, whatever else is configured.", ARGS(block_add_args), FIELDS(block_change_fields)},
	{.id = ADMIN_CMD_BLOCKED_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {"blocked-domain", "remove"}, .summary = "refuse a domain no longer",
	 .help = "That alone lets nobody in: the domain must be a partner too.", ARGS(block_remove_args), FIELDS(block_change_fields)},
	{.id = ADMIN_CMD_BLOCKED_LIST, .roles = ADMIN_MAY_SEE, .path = {"blocked-domain", "list"}, .summary = "list the blocked domains", FIELDS(block_list_fields)},

#define PROVIDER_COMMANDS(ID, KIND, WHAT)                                                                                                  \
	{.id = ADMIN_CMD_##ID##_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {KIND "-provider", "add"}, .summary = "let a " WHAT " in",                     \
	 .help = "It is disabled until --enabled is given. --proxy-fqdn is required, and cannot be changed later.",                         \
	 .example = "entente " KIND "-provider add Example --proxy-fqdn sipfed.provider.example --enabled", ARGS(provider_add_args),         \
	 FIELDS(provider_fields)},                                                                                                         \
	{.id = ADMIN_CMD_##ID##_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {KIND "-provider", "set"}, .summary = "change a " WHAT,                        \
	 .help = "Only what is given changes.", ARGS(provider_add_args), FIELDS(provider_fields)},                                          \
	{.id = ADMIN_CMD_##ID##_ENABLE, .roles = ADMIN_MAY_SET, .changes = true, .path = {KIND "-provider", "enable"}, .summary = "let a " WHAT " carry traffic",    \
	 ARGS(provider_remove_args), FIELDS(provider_fields)},                                                                             \
	{.id = ADMIN_CMD_##ID##_DISABLE, .roles = ADMIN_MAY_SET, .changes = true, .path = {KIND "-provider", "disable"},                                           \
	 .summary = "keep a " WHAT ", but refuse everything", ARGS(provider_remove_args), FIELDS(provider_fields)},                         \
	{.id = ADMIN_CMD_##ID##_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {KIND "-provider", "remove"}, .summary = "forget a " WHAT,                  \
	 ARGS(provider_remove_args), FIELDS(provider_fields)},                                                                             \
	{.id = ADMIN_CMD_##ID##_LIST, .roles = ADMIN_MAY_SEE, .path = {KIND "-provider", "list"}, .summary = "list the " WHAT "s", ARGS(federation_list_args),       \
	 FIELDS(provider_fields)},
	PROVIDER_COMMANDS(HOSTING, "hosting", "hosting provider")
	PROVIDER_COMMANDS(PUBLIC, "public", "public provider")
#undef PROVIDER_COMMANDS
};

const struct admin_command_set admin_commands_federation = {GROUPS(groups), COMMANDS(commands)};
