/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: external access policies, users, contacts. Parameters come from policy/federation.def. */
#include "admin/command_set.h"

#define ARG_BOOL(max) ADMIN_BOOL, 0
#define ARG_TEXT(m) ADMIN_TEXT, 0, .max = m
#define NAME_ARG(help_) {"name", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 133, .help = help_}
#define LIMIT_ARG {"limit", ADMIN_UINT, .max = 1000000, .def = "1000", .help = "at most so many; 0: all"}

/* ---- external-access ---- */
#define NAME_HELP "global, site:NAME or tag:NAME (NAME alone is a tag)"
#define EXTERNAL(member_, name_, type_, def_, min_, max_, lync_, help_) {name_, ARG_##type_(max_), .help = help_},
static const struct admin_arg external_set_args[] = {
	NAME_ARG(NAME_HELP),
#include "policy/federation.def"
	WHAT_IF_ARG,
};
static const struct admin_arg external_show_args[] = {NAME_ARG(NAME_HELP)};
static const struct admin_arg external_remove_args[] = {
	NAME_ARG(NAME_HELP),
	{"force", ADMIN_BOOL, .help = "also when it is granted to users: it is taken back from them"},
	WHAT_IF_ARG,
};
static const struct admin_arg external_list_args[] = {
	{"filter", ADMIN_TEXT, .max = 133, .help = "only those like this pattern, e.g. 'site:*'; * and ? stand for any characters"},
};
static const struct admin_arg external_grant_args[] = {
	{"policy", ADMIN_TEXT, ADMIN_POSITIONAL, .max = 133, .help = "the policy, with or without tag:"},
	{"user", ADMIN_TEXT, ADMIN_MANY, .max = 1280,
	 .help = "an address, or a pattern with * and ?, which stands for all users that have a record and are like it"},
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "all users of a domain of ours that have a record"},
	{"global", ADMIN_BOOL, .help = "instead of a policy: take grants back, so that the policy of the site, else the global one holds"},
	WHAT_IF_ARG,
};
#define EXTERNAL(member, name, type, def, min, max, lync, help) {"policies[]." #member, help},
static const struct admin_field external_fields[] = {
	{"policies[].name", "global, site:NAME, tag:NAME"},
	{"policies[].scope", "global, site or user"},
#include "policy/federation.def"
	{"policies[].grants", "how many users it was granted to"},
	{"what_if", "true: nothing was changed"},
};
#define GRANTED(p)                                                                                                                  \
	{p "users[].address", "whose grant changes"}, {p "users[].from", "the tag before; empty: none"}, {p "users[].to", "the tag now; empty: none"}, \
	{p "users[].created", "whether the user had no record before"}
#define EXTERNAL(member, name, type, def, min, max, lync, help) {"policies[]." #member, help},
static const struct admin_field external_remove_fields[] = {
	{"policies[].name", "what was removed"},
	{"policies[].scope", "global, site or user"},
#include "policy/federation.def"
	{"policies[].grants", "how many users it was granted to"},
	GRANTED(""),
	{"what_if", "true: nothing was changed"},
};
static const struct admin_field external_grant_fields[] = {
	{"policy", "the policy; null: grants were taken back"},
	GRANTED(""),
	{"matched", "how many users the arguments name; those that had it so already are not among users"},
	{"what_if", "true: nothing was changed"},
};

/* ---- user ---- */
static const struct admin_alias policy_aliases[] = {{"no-policy", "", "the policy of the site, else the global one"}, {NULL}};
static const struct admin_alias site_aliases[] = {{"no-site", "", "the site of the home"}, {NULL}};
#define ADDRESS_ARG {"address", ADMIN_ADDRESS, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the user's address"}
static const struct admin_arg user_set_args[] = {
	ADDRESS_ARG,
	{"site", ADMIN_TEXT, .max = 128, .aliases = site_aliases, .help = "the user's site, when it is not that of the home"},
	{"policy", ADMIN_TEXT, .max = 133, .aliases = policy_aliases, .help = "the external access policy that is granted"},
	{"branch", ADMIN_BOOL, .help = "the user is on a survivable branch appliance: XMPP does not reach those"},
	{"comment", ADMIN_TEXT, .max = 1024, .help = "a note"},
	WHAT_IF_ARG,
};
static const struct admin_arg user_show_args[] = {ADDRESS_ARG};
static const struct admin_arg user_remove_args[] = {ADDRESS_ARG, WHAT_IF_ARG};
static const struct admin_arg user_list_args[] = {
	{"filter", ADMIN_TEXT, .max = 1280, .help = "only addresses like this pattern; * and ? stand for any characters"},
	{"domain", ADMIN_DOMAIN, .help = "only users of this domain"},
	{"site", ADMIN_TEXT, .max = 128, .help = "only users whose record names this site"},
	{"policy", ADMIN_TEXT, .max = 133, .help = "only users to whom this policy was granted"},
	{"branch", ADMIN_BOOL, .help = "only users of survivable branch appliances; =false: only others"},
	LIMIT_ARG,
};
#define USER(member, name, type, def, min, max, lync, help) {"users[]." #member, help},
#define USER_FIELDS                                                                                                                 \
	{"users[].holds", "the policy in force; null: the one that was granted does not exist"}, {"users[].scope", "whose that is: global, site or user"}, \
	{"users[].effective_site", "of the record, else of the home"}, {"users[].may_sip", "whether the user reaches SIP partners and hosting providers"}, \
	{"users[].may_xmpp", "... XMPP partners"}, {"users[].may_public", "... public IM providers"}, {"users[].may_public_calls", "... and calls them"}
static const struct admin_field user_fields[] = {
	{"users[].address", "the user"}, {"users[].record", "whether there is a record"},
#include "policy/federation.def"
	USER_FIELDS,
	{"what_if", "true: nothing was changed"},
};
#define USER(member, name, type, def, min, max, lync, help) {"users[]." #member, help},
static const struct admin_field user_list_fields[] = {
	{"users[].address", "the user"}, {"users[].record", "true"},
#include "policy/federation.def"
	USER_FIELDS,
	{"matched", "how many there are"},
};

/* ---- contact ---- */
static const struct admin_arg contact_args[] = {
	{"local", ADMIN_ADDRESS, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the user of ours"},
	{"remote", ADMIN_ADDRESS, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the other, of a partner"},
	WHAT_IF_ARG,
};
static const struct admin_arg contact_list_args[] = {
	{"user", ADMIN_ADDRESS, .help = "only contacts of this user of ours"},
	{"filter", ADMIN_TEXT, .max = 1280, .help = "only contacts like this pattern, e.g. '*@fabrikam.example'; * and ? stand for any characters"},
	{"how", ADMIN_ENUM, .values = "message|subscribe|invite|admin", .help = "only those that came about so"},
	LIMIT_ARG,
};
#define CONTACT_FIELDS                                                                                                              \
	{"contacts[].local", "the user of ours"}, {"contacts[].remote", "the contact"},                                               \
	{"contacts[].how", "by what it came about: message, subscribe, invite (of the user of ours), admin"}, {"contacts[].since", "RFC 3339, UTC"}
static const struct admin_field contact_fields[] = {CONTACT_FIELDS, {"what_if", "true: nothing was changed"}};
static const struct admin_field contact_list_fields[] = {CONTACT_FIELDS, {"matched", "how many there are"}};

static const struct admin_group groups[] = {
	{{"external-access"}, "what local users may reach outside"},
	{{"user"}, "what is known of single local users"},
	{{"contact"}, "whom local users have as contact"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_EXTERNAL_LIST, .roles = ADMIN_MAY_SEE, .path = {"external-access", "list"}, .summary = "list the external access policies",
	 ARGS(external_list_args), FIELDS(external_fields)},
	{.id = ADMIN_CMD_EXTERNAL_SHOW, .roles = ADMIN_MAY_SEE, .path = {"external-access", "show"}, .summary = "show an external access policy",
	 ARGS(external_show_args), FIELDS(external_fields)},
	{.id = ADMIN_CMD_EXTERNAL_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {"external-access", "add"}, .summary = "make a policy for a site or for granting",
	 .help = "site:NAME holds at once for all users of the site; a tag for those to whom it is granted. What is not given is off. The nearest policy to a "
		 "user holds, as a whole: the granted one, else that of the site, else the global one.",
	 .example = "entente external-access add site:Redmond --federation --xmpp\nentente external-access add Sales --federation --xmpp --public-cloud",
	 ARGS(external_set_args), FIELDS(external_fields)},
	{.id = ADMIN_CMD_EXTERNAL_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {"external-access", "set"}, .summary = "change what a policy allows",
	 .help = "Only what is given changes. In a new installation the global policy allows nothing, as in Lync.\n\n"
		 "The names are those of Lync's Set-CsExternalAccessPolicy. XMPP needs xmpp and federation, calls with public providers need "
		 "public-cloud-audio-video and public-cloud.",
	 .example = "entente external-access set global --federation --xmpp\nentente external-access set tag:Sales --xmpp=false",
	 ARGS(external_set_args), FIELDS(external_fields)},
	{.id = ADMIN_CMD_EXTERNAL_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {"external-access", "remove"}, .summary = "remove a policy",
	 .help = "The global policy cannot go: it allows nothing then. A policy that is granted to users stays, unless --force takes it back from them.",
	 ARGS(external_remove_args), FIELDS(external_remove_fields)},
	{.id = ADMIN_CMD_EXTERNAL_GRANT, .roles = ADMIN_MAY_SET, .changes = true, .path = {"external-access", "grant"}, .summary = "grant users a policy, or take it back",
	 .help = "A user whose address is written out gets a record where there is none. Patterns and domains mean the users that have a record now "
		 "(entente user list), as in Lync; who is added later is not among them.\n\nAll grants of one command are one change: all or none.",
	 .example = "entente external-access grant Sales --user romeo@contoso.example --user mercutio@contoso.example\n"
		    "entente external-access grant Sales --user 'sales-*@contoso.example'\n"
		    "entente external-access grant --global --domain contoso.example",
	 ARGS(external_grant_args), FIELDS(external_grant_fields)},

	{.id = ADMIN_CMD_USER_LIST, .roles = ADMIN_MAY_SEE, .path = {"user", "list"}, .summary = "list the users that have a record",
	 .help = "Nobody needs a record: without one the policy of the home's site holds, else the global one.", ARGS(user_list_args), FIELDS(user_list_fields)},
	{.id = ADMIN_CMD_USER_SHOW, .roles = ADMIN_MAY_SEE, .path = {"user", "show"}, .summary = "show a user's record, and which policy holds",
	 .help = "Also of users without a record.", ARGS(user_show_args), FIELDS(user_fields)},
	{.id = ADMIN_CMD_USER_ADD, .roles = ADMIN_MAY_SET, .changes = true, .path = {"user", "add"}, .summary = "make a record of a user",
	 .example = "entente user add romeo@contoso.example --site Redmond\nentente user add benvolio@contoso.example --branch", ARGS(user_set_args), FIELDS(user_fields)},
	{.id = ADMIN_CMD_USER_SET, .roles = ADMIN_MAY_SET, .changes = true, .path = {"user", "set"}, .summary = "change a user's record", .help = "Only what is given changes.",
	 .example = "entente user set romeo@contoso.example --policy Sales\nentente user set romeo@contoso.example --no-policy", ARGS(user_set_args), FIELDS(user_fields)},
	{.id = ADMIN_CMD_USER_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .path = {"user", "remove"}, .summary = "forget a user's record",
	 .help = "The user goes on, as one without a record.", ARGS(user_remove_args), FIELDS(user_fields)},

	{.id = ADMIN_CMD_CONTACT_LIST, .roles = ADMIN_MAY_SEE, .path = {"contact", "list"}, .summary = "list whom local users have as contact",
	 .help = "Users of public unverified XMPP partners, and unverified users of SIP partners, reach only who has them as contact. Contacts are learned "
		 "when a local user writes to somebody, calls or watches somebody; or they are set here.",
	 .example = "entente contact list --user romeo@contoso.example", ARGS(contact_list_args), FIELDS(contact_list_fields)},
	{.id = ADMIN_CMD_CONTACT_ADD, .roles = ADMIN_MAY_SET, .changes = true, .direct = true, .path = {"contact", "add"}, .summary = "give a local user a contact",
	 .help = "The contact reaches the user from now on, as if the user had written first.", .example = "entente contact add romeo@contoso.example juliet@fabrikam.example",
	 ARGS(contact_args), FIELDS(contact_fields)},
	{.id = ADMIN_CMD_CONTACT_REMOVE, .roles = ADMIN_MAY_SET, .changes = true, .direct = true, .path = {"contact", "remove"}, .summary = "take a contact from a local user",
	 .help = "It is learned anew as soon as the user writes to it.", ARGS(contact_args), FIELDS(contact_fields)},
};

const struct admin_command_set admin_commands_external = {GROUPS(groups), COMMANDS(commands)};
