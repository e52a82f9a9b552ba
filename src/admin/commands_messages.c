/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what became of messages and requests. */
#include "admin/command_set.h"

static const struct admin_arg messages_args[] = {
	{"id", ADMIN_TEXT, ADMIN_POSITIONAL, .max = 256, .help = "trace ID (`trace` in the log), Call-ID of SIP, or id of an XMPP stanza"},
	{"from", ADMIN_ADDRESS, .help = "only of this sender: an address or a domain, * and ? stand for any characters"},
	{"to", ADMIN_ADDRESS, .help = "only for this recipient, likewise"},
	{"partner", ADMIN_PARTNER, .help = "only from or to this domain"},
	{"since", ADMIN_DURATION, .max = 31536000, .help = "only those that came within this time until now"},
	{"failed", ADMIN_BOOL, .help = "only those that were refused or failed"},
	{"limit", ADMIN_UINT, .max = 100000, .def = "100", .help = "at most so many, the newest"},
};
static const struct admin_field messages_fields[] = {
	{"messages[].id", "trace ID"},
	{"messages[].at", "when it came: RFC 3339, UTC"},
	{"messages[].direction", "to-local, to-remote; through: from one SIP partner to another"},
	{"messages[].network", "of the partner: sip or xmpp"},
	{"messages[].kind", "what was asked of the policy: message, presence-subscribe, session, ..., as in explain"},
	{"messages[].method", "of SIP, or null"},
	{"messages[].from", "the sender, as the message had it; a long address is cut"},
	{"messages[].to", "the recipient, likewise"},
	{"messages[].key", "Call-ID, or id of the stanza; the first 64 octets"},
	{"messages[].peer", "what the connection it came by, or the server it went to, has proved to be; null: a home"},
	{"messages[].via", "where it went: server, domain of the stream, or home"},
	{"messages[].partner", "first domain of the XMPP partner, or null"},
	{"messages[].outcome", "delivered; refused (by us); failed (or refused by the other side); ignored (on purpose); open (under way)"},
	{"messages[].reason", "reason ID of the refusal or failure; null: there is none, or the other side's answer says it"},
	{"messages[].verdict", "of the policy: allowed, refused; null: it was not asked"},
	{"messages[].rule", "the last rule that judged: of a refusal the one that refused"},
	{"messages[].detail", "what it saw"},
	{"messages[].class", "SIP: kind of partner"},
	{"messages[].identity", "SIP: by which rule the certificate proved the partner"},
	{"messages[].mark", "SIP, to-local: verified, unverified or none"},
	{"messages[].contact", "XMPP: whether our user had the other one as contact"},
	{"messages[].generation", "number of the policy that decided"},
	{"messages[].cut", "true: an address was too long to be kept whole"},
	{"messages[].hops[].after_ms", "milliseconds after it came"},
	{"messages[].hops[].what", "waits, given (to the stream), sent, heard (an answer), again (another server), told (the sender), dropped"},
	{"messages[].hops[].status", "of SIP, or null"},
	{"messages[].hops[].reason", "reason ID, or null"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_SHOW_MESSAGES, .roles = ADMIN_MAY_SEE, .path = {"show", "messages"}, .summary = "tell what became of messages and requests",
	 .help = "The last ones, as far as limits.decision-log has room: who wrote to whom, what was decided, where it went and what was answered. "
		 "What was written is never kept. A restart forgets them. `entente explain --message ID` tells all about one.",
	 .example = "entente show messages --failed --since 1h\n"
		    "entente show messages --from romeo@contoso.example --to fabrikam.example",
	 ARGS(messages_args), FIELDS(messages_fields)},
};

const struct admin_command_set admin_commands_messages = {COMMANDS(commands)};
