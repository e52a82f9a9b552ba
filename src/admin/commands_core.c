/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: how the daemon is, what the policy says, and about the program itself. */
#include "admin/command_set.h"

static const struct admin_field status_fields[] = {
	{"version", "of the daemon"},
	{"server_name", "server.name of the configuration"},
	{"state", "running, draining"},
	{"uptime", "seconds"},
	{"workers", "threads that carry traffic"},
	{"listeners[]", "protocol and address"},
	{"role", "all, edge or gateway"},
	{"sandbox.state", "on, off, or none: built for tests"},
	{"sandbox.text", "what the daemon has given up"}, {"sandbox.lacks", "what it could not give up, and why"}, {"sandbox.syscalls", "are system calls restricted?"},
	{"sandbox.files", "are files?"}, {"sandbox.keys", "are private keys unreadable?"}, {"sandbox.ports", "are listening TCP ports?"}, {"sandbox.signals", "are signals to other processes?"},
	{"sandbox.landlock", "the kernel's ABI of Landlock, 0: none"},
	{"links", "how many links between edge and gateway are up; not with role all"},
	{"store", "ok, or what is wrong with the database; not on an edge"},
	{"certificate.subject", "our certificate"},
	{"certificate.names[]", "what it is valid for"},
	{"certificate.not_after", "its end, seconds since 1970"},
	{"keys.process", "who holds the private keys: own, a process for that alone; server, server.key-process is off"},
	{"keys.pid", "of that process"}, {"keys.held", "how many keys it has"}, {"keys.signatures", "made since the start"}, {"keys.failed", "not made"},
	{"keys.microseconds", "for which threads of the server have waited for signatures"}, {"keys.seccomp", "whether it can only use the system calls that it needs"},
	{"keys.locked", "whether the keys are in memory that is never swapped out"},
	{"generation", "number of the policy in force; each change takes the next"},
	{"partners", "how many are configured"},
	{"homes", "how many SIP servers are configured"},
	{"local_domains[]", "the domains that they serve"},
	{"metrics.*", "counters and gauges, by their Prometheus names"},
	{"problems[]", "what needs attention"},
};
static const struct admin_arg explain_args[] = {
	{"message", ADMIN_TEXT, .max = 256, .help = "a real one instead: its trace ID (`trace` in the log), Call-ID, or id of its stanza"},
	{"from", ADMIN_ADDRESS, .help = "the sender: sip:romeo@contoso.example, xmpp:juliet@fabrikam.example, or without a scheme"},
	{"to", ADMIN_ADDRESS, .help = "the recipient"},
	{"kind", ADMIN_ENUM,
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
	{"steps[].object", "the administrator's object that decided: partner xmpp fabrikam.example enabled=no, home contoso"},
	{"steps[].place", "of a setting: file:line of the configuration in force"},
	{"steps[].changed", "of an object: when it was made so, by whom and how, from the history"},
	{"steps[].help", "what the rule demands"},
	{"message", "with --message: what became of it, as in `show messages`; else null"},
	{"same", "with --message: whether the verdict is the same now as then; null: the policy was not asked then"},
	{"policy_changed", "with --message: whether another policy is in force now"},
	{"contact_changed", "with --message, XMPP: whether the user's contacts are others now"},
	{"changes[]", "with --message: changes made since, newest first: at, who, what"},
};
static const struct admin_arg reason_args[] = {
	{"id", ADMIN_REASON, ADMIN_POSITIONAL, .def = "all", .help = "a reason ID, e.g. policy/partner-unknown"},
	{"language", ADMIN_ENUM, .values = "en|de|ru|zh", .def = "LC_ALL, LC_MESSAGES, LANG", .help = "of the meaning"},
};
static const struct admin_arg why_args[] = {
	{"id", ADMIN_REASON, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "a reason ID, e.g. policy/partner-unknown"},
	{"language", ADMIN_ENUM, .values = "en|de|ru|zh", .def = "LC_ALL, LC_MESSAGES, LANG", .help = "of meaning, causes and next step"},
};
static const struct admin_field reason_fields[] = {
	{"reasons[].id", "the reason ID"},
	{"reasons[].text", "what it means"},
	{"reasons[].causes", "what it usually comes from"},
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
static const struct admin_field version_fields[] = {
	{"version", "of this program"},
};
static const struct admin_arg help_args[] = {
	{"command", ADMIN_WORDS, ADMIN_POSITIONAL | ADMIN_MANY, .help = "the words of a command"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_STATUS, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_BOTH, .path = {"status"}, .summary = "say how the daemon is",
	 .help = "Version, listeners, homes, partners, traffic, and what needs attention. Exits with 1 when something does.",
	 FIELDS(status_fields)},

	{.id = ADMIN_CMD_EXPLAIN, .roles = ADMIN_MAY_SEE, .path = {"explain"}, .summary = "say whether something would be allowed, and why",
	 .help = "Asks the policy in force the same question that the daemon asks for each message, and prints every rule that was "
		 "looked at. Nothing is sent. When the answer is no, it says which rule refused, who can fix it and how. Exits with 0 "
		 "when it would be allowed and with 1 when it would be refused.\n\n"
		 "With --message it first tells what became of a real message or request, which way it took and who answered what, then asks the policy "
		 "in force about it anew, and says what has changed since. Exits with 1 when it was refused or failed.\n\n"
		 "The other side's servers may refuse what is allowed here: whether they can be reached is not looked at.",
	 .example = "entente explain --from sip:romeo@contoso.example --to xmpp:juliet@fabrikam.example --kind message\n"
		    "entente explain --from juliet@fabrikam.example --to romeo@contoso.example --kind presence\n"
		    "entente explain --message 06440b3c5d1e2f00",
	 ARGS(explain_args), FIELDS(explain_fields)},

	{.id = ADMIN_CMD_REASON, .local = true, .anywhere = true, .path = {"reason"}, .summary = "look up reason IDs",
	 .help = "Every refusal has a reason ID: in the log, in the SIP header Entente-Reason, in the text of an XMPP error, in "
		 "metrics. This tells what it means, what the sender was told, and who can fix it.",
	 .example = "entente reason policy/partner-unknown", ARGS(reason_args), FIELDS(reason_fields)},

	{.id = ADMIN_CMD_WHY, .local = true, .path = {"why"}, .summary = "tell causes and remedies of a reason ID",
	 .help = "The same as `entente reason ID`; in English, German, Russian or Chinese.", .example = "entente why xmpp/dns-not-found --language de", ARGS(why_args),
	 FIELDS(reason_fields)},

	{.id = ADMIN_CMD_HISTORY, .roles = ADMIN_MAY_SEE, .path = {"history"}, .summary = "list the changes of partners and blocked domains",
	 ARGS(history_args), FIELDS(history_fields)},

	{.id = ADMIN_CMD_VERSION, .local = true, .anywhere = true, .path = {"version"}, .summary = "print the version of this program", FIELDS(version_fields)},

	{.id = ADMIN_CMD_HELP, .local = true, .anywhere = true, .path = {"help"}, .summary = "say what a command does", .example = "entente help partner xmpp add",
	 ARGS(help_args), FIELDS(admin_text_fields)},
};

const struct admin_command_set admin_commands_core = {COMMANDS(commands)};
