/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what has passed, how contacts with a domain went, and trying it. */
#include "admin/command_set.h"

static const struct admin_arg attempts_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the other side's domain; it need not be a partner"},
};
#define ATTEMPT_FIELDS(p)                                                                                                             \
	{p "at", "when it began, RFC 3339"},                                                                                         \
	{p "direction", "in: they came to us; out: we went to them"},                                                                \
	{p "purpose", "messages, dialback question, test"},                                                                          \
	{p "result", "up, ended (it was up), failed"},                                                                               \
	{p "step", "how far it came: dns, tcp, stream, tls, auth, up"},                                                              \
	{p "took.*", "milliseconds of each step; up: how long it was up"},                                                           \
	{p "stream", "number of the stream; 0: it came to none"},                                                                    \
	{p "local", "our domain"},                                                                                                    \
	{p "remote", "their domain"},                                                                                                 \
	{p "address", "IP address and port"},                                                                                        \
	{p "how", "out: how the address was found"},                                                                                  \
	{p "auth", "how the domain was proved"},                                                                                      \
	{p "tls", "version of TLS"},                                                                                                  \
	{p "certificate", "their certificate: subject, end, whether it is trusted"},                                                 \
	{p "reason", "reason ID of the failure"},                                                                                    \
	{p "text", "what went wrong"},                                                                                                \
	{p "said", "whether the partner's server said that"},                                                                        \
	{p "condition", "stream error, RFC 6120 4.9.3"},                                                                             \
	{p "who", "who has to change something: us, partner, network, dns, unclear, nobody"}
static const struct admin_field attempts_fields[] = {ATTEMPT_FIELDS("attempts[].")};
static const struct admin_alias protocol_aliases[] = {
	{"sip", "sip", "the same as --protocol sip"}, {"xmpp", "xmpp", "the same as --protocol xmpp"}, {NULL}};
static const struct admin_arg partner_test_args[] = {
	{"domain", ADMIN_DOMAIN, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "the other side's domain; it need not be a partner"},
	{"protocol", ADMIN_ENUM, .values = "xmpp|sip", .def = "as the domain is configured, else by DNS", .aliases = protocol_aliases,
	 .help = "by which protocol"},
	{"from", ADMIN_DOMAIN, .def = "the first of our domains", .help = "the domain of ours to come from"},
	{"tls", ADMIN_ENUM, .values = NEGOTIATIONS, .def = "as the partner is set, else required", .aliases = admin_tls_aliases, .help = "try with this"},
	{"sasl", ADMIN_ENUM, .values = NEGOTIATIONS, .def = "as the partner is set, else optional", .aliases = admin_sasl_aliases, .help = "try with this"},
	{"dialback", ADMIN_BOOL, .def = "as the partner is set, else yes", .aliases = admin_dialback_aliases, .help = "try with or without dialback"},
	{"server", ADMIN_SERVER, .def = "as the partner is set, else by DNS", .help = "try this server"},
	{"timeout", ADMIN_DURATION, .max = 300, .def = "30s", .help = "for all steps together"},
};
static const struct admin_field partner_test_fields[] = {
	{"domain", "what was tested"},
	{"from", "our domain"},
	{"partner", "whether the domain is let in"},
	{"protocol", "xmpp or sip"},
	{"steps[].step", "policy, dns, tcp, stream, tls, auth, ping; by SIP: policy, dns, tcp, tls, identity, options"},
	{"steps[].outcome", "ok, failed, warning, skipped; note: something on the way"},
	{"steps[].at", "milliseconds since the beginning"},
	{"steps[].took", "milliseconds of the step"},
	{"steps[].text", "what was seen"},
	{"steps[].facts.*", "what else is known: addresses, the certificate, what the other side said"},
	{"steps[].reason", "failed: reason ID"},
	{"steps[].who", "failed: who has to change something"},
	{"took", "milliseconds of all"},
	{"verdict", "works, fails, one-way (we reach them, they do not reach us), undecided (dialback needs a partner)"},
	{"failed_step", "where it failed"},
	{"reason", "reason ID"},
	{"cause", "in words"},
	{"who", "us, partner, network, dns, unclear"},
	{"next_step", "what to do"},
	{"answered", "by SIP: how many of its addresses answered, \"1 of 2\""},
	{"inbound_up", "whether a stream or connection that the other side opened is up"},
	ATTEMPT_FIELDS("inbound_last."),
	{"inbound_last", "the last time that the other side's server came to us; null: never since the daemon started"},
};
static const struct admin_arg trace_args[] = {
	{"partner", ADMIN_PARTNER, .help = "only what concerns this domain"},
	{"user", ADMIN_ADDRESS, .help = "only messages and presence of this user, ours or a partner's"},
	{"bodies", ADMIN_BOOL, .roles = ADMIN_MAY_OPERATE, .help = "show what is written too; that you asked for it is logged"},
	{"failed", ADMIN_BOOL, .help = "only what failed: SIP answers from 400 on, error stanzas, failed streams; of what was kept, the requests too"},
	{"for", ADMIN_DURATION, .max = 86400, .def = "10m; nothing with --since", .help = "for so long"},
	{"since", ADMIN_DURATION, .max = 900, .help = "first the SIP messages that were kept from that long ago"},
	{"limit", ADMIN_UINT, .max = 1000, .def = "500", .help = "with --since: at most so many, the last ones"},
};
static const struct admin_field trace_fields[] = {
	{"event", "sip: a SIP message; xmpp: a stanza; step: of a stream; lost: some were lost; left-out: --limit has cut older ones"},
	{"at", "RFC 3339"},
	{"direction", "in: to us; out: from us"},
	{"side", "of a SIP message: home, partner"},
	{"peer", "the home, or the partner's domain"},
	{"what", "method or status; stanza and its type; what the stream did"},
	{"from", "the sender"},
	{"to", "the recipient"},
	{"detail", "Call-ID, CSeq, id, state of a subscription"},
	{"stream", "number of the stream"},
	{"size", "octets"},
	{"body_size", "octets of the body"},
	{"body", "with --bodies: what is written"},
	{"lost", "how many"},
	{"left_out", "how many"},
	{"events", "last line: how many there were"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_SHOW_ATTEMPTS, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_EDGE, .path = {"show", "attempts"}, .summary = "tell how the last contacts with a domain went",
	 .help = "Attempts to reach the domain, and of its server to reach us: the last 20, newest first, with the time of each step, and why those failed that did. They are forgotten when the daemon "
		 "stops.",
	 .example = "entente show attempts fabrikam.example", ARGS(attempts_args), FIELDS(attempts_fields)},

	{.id = ADMIN_CMD_PARTNER_TEST, .roles = ADMIN_MAY_TEST, .where = ADMIN_AT_EDGE, .live = true, .path = {"partner", "test"}, .summary = "test step by step whether a domain can be reached",
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

	{.id = ADMIN_CMD_TRACE, .roles = ADMIN_MAY_TEST, .where = ADMIN_AT_BOTH, .live = true, .lines = true, .path = {"trace"}, .summary = "show messages and stream steps as they pass",
	 .help = "One line for each SIP message, XMPP stanza and step of a stream, until the time is over or Ctrl-C. --> is away from us, <-- is "
		 "to us. What is written is hidden unless asked for; keys are never shown. SIP messages of the last 15 minutes are kept, as far as "
		 "limits.trace-buffer has room and without their bodies: --since shows them. Whoever reads too slowly loses lines, and is told "
		 "how many; traffic never waits. With --json one object a line.",
	 .example = "entente trace --partner fabrikam.example\n"
		    "entente trace --user romeo@contoso.example --bodies --for 5m\n"
		    "entente trace --since 10m --failed",
	 ARGS(trace_args), FIELDS(trace_fields)},
};

const struct admin_command_set admin_commands_test = {COMMANDS(commands)};
