/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what is watched: probes, the live view, a test message. */
#include "admin/command_set.h"

static const struct admin_arg probes_args[] = {
	{"filter", ADMIN_TEXT, .max = 253, .help = "only probes in which this text is found"},
	{"limit", ADMIN_UINT, .max = 100000, .def = "1000", .help = "at most so many"},
	{"partner", ADMIN_PARTNER, .help = "only probes of this domain"},
};
static const struct admin_field probes_fields[] = {
	{"probes[].partner", "the partner's domain"},
	{"probes[].protocol", "xmpp or sip"},
	{"probes[].result", "up; down: it did not answer; running; pending: not probed yet"},
	{"probes[].at", "when the last one ended, RFC 3339"},
	{"probes[].took", "milliseconds of it"},
	{"probes[].failures", "how many failed in a row"},
	{"probes[].step", "down: the step that failed, as of `partner test`"},
	{"probes[].reason", "down: reason ID"},
	{"probes[].who", "down: who has to change something: us, partner, network, dns, unclear"},
	{"probes[].text", "down: in words"},
	{"left_out", "how many more there are"},
};

static const struct admin_arg top_args[] = {
	{"interval", ADMIN_DURATION, .max = 3600, .def = "2s", .help = "how often"},
	{"once", ADMIN_BOOL, .help = "one picture, after one interval"},
	{"count", ADMIN_UINT, .max = 1000000, .def = "0", .help = "so many pictures; 0: until q"},
};
static const struct admin_field top_fields[] = {
	{"at", "RFC 3339"}, {"server", "server.name"}, {"seconds", "what the rates are of"}, {"uptime", "seconds"},
	{"rates.sip_to_xmpp", "messages delivered a second"}, {"rates.xmpp_to_sip", "likewise"}, {"rates.sip_to_sip", "likewise"},
	{"rates.sip_in", "requests of homes a second"}, {"rates.sip_out", "requests to homes"}, {"rates.stanzas_in", "of partners"},
	{"rates.stanzas_out", "to partners"}, {"rates.refused", "requests and stanzas"}, {"rates.limits", "times that a limit was hit"},
	{"latency.*.messages", "how many were delivered; without any the member is left out"},
	{"latency.*.half_ms", "half of them within so many milliseconds"}, {"latency.*.most_ms", "95 of 100 of them"},
	{"refusals[].reason", "reason ID, the most frequent ones"}, {"refusals[].rate", "a second"}, {"refusals[].total", "since the start"},
	{"partners[].partner", "those with most traffic"}, {"partners[].protocol", "xmpp or sip"},
	{"partners[].in", "stanzas or requests from them a second"}, {"partners[].out", "to them"}, {"partners[].rate", "both"},
	{"partners[].connections", "that are open"}, {"partners[].waiting", "stanzas that wait for a stream"},
	{"connections.xmpp_in", "streams that partners opened"}, {"connections.xmpp_out", "streams that we opened"}, {"connections.sip", "SIP connections"},
	{"connections.subscriptions", "who watches whom"},
	{"cpu", "of the daemon, percent of one core"}, {"memory", "resident octets"},
};
static const struct admin_arg test_im_args[] = {
	{"from", ADMIN_ADDRESS, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "who seems to write: a user of ours, or of an XMPP partner"},
	{"to", ADMIN_ADDRESS, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "who gets it: a user of a partner, or of ours"},
	{"text", ADMIN_TEXT, .max = 1024, .help = "a line more, behind the one that says that it is a test"},
	{"timeout", ADMIN_DURATION, .max = 300, .def = "30s", .help = "how long it may take"},
	{"html", ADMIN_BOOL, .help = "print a page of HTML"},
};
static const struct admin_field test_im_fields[] = {
	{"from", "bare address"}, {"to", "bare address"}, {"way", "sip-to-xmpp, xmpp-to-sip, sip-to-sip"}, {"at", "when it was sent, RFC 3339"},
	{"hops[].step", "taken, policy, given (to the stream), sent, answer, again (another server), waits, told (the sender), dropped"},
	{"hops[].outcome", "ok, failed, note"}, {"hops[].at", "milliseconds since it was taken"}, {"hops[].took", "milliseconds since the hop before"},
	{"hops[].text", "what was seen"},
	{"unseen[]", "what cannot be seen from here"},
	{"verdict", "delivered, refused (by us), failed, ignored, timeout"}, {"took", "milliseconds to the last hop"}, {"reason", "reason ID of a refusal or failure"},
	{"trace", "trace ID, for `entente explain --message`"}, {"next_step", "what to do, unless it was delivered"},
};
static const struct admin_group groups[] = {
	{{"test"}, "send something through, to see whether it arrives"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_TOP, .roles = ADMIN_MAY_SEE, .live = true, .lines = true, .where = ADMIN_AT_BOTH, .path = {"top"},
	 .summary = "show what happens now, again and again",
	 .help = "Messages a second and how long they take, the partners with most traffic, refusals by reason, what is open, and what the daemon needs. On a "
		 "terminal the picture is drawn anew each time; q ends it. With --json each picture is a line.",
	 .example = "entente top\nentente top --once --json", ARGS(top_args), FIELDS(top_fields)},
	{.id = ADMIN_CMD_TEST_IM, .roles = ADMIN_MAY_TEST, .live = true, .path = {"test", "im"}, .summary = "send a real message and tell each hop of it",
	 .help = "The message says that it is a test. It takes the way of every other: limits, policy, translation, the stream or connection, the other side's "
		 "answer; the time of each hop is told, and what cannot be seen from here. Nothing is learned from it: who writes a test has no new contact.\n\n"
		 "From a user of ours it enters as a MESSAGE of the home; from a user of an XMPP partner as a stanza of its stream. What a SIP partner sends "
		 "cannot be made here.\n\n"
		 "Exit status 1: it was not delivered; `next_step` tells how to go on.",
	 .example = "entente test im romeo@contoso.example juliet@fabrikam.example\n"
		    "entente test im romeo@contoso.example juliet@fabrikam.example --html > report.html",
	 ARGS(test_im_args), FIELDS(test_im_fields)},
	{.id = ADMIN_CMD_SHOW_PROBES, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_EDGE, .path = {"show", "probes"},
	 .summary = "list what came of the regular tests of partners",
	 .help = "The setting probes.interval has every partner tested now and then, as by `entente partner test`; without it there are none.",
	 ARGS(probes_args), FIELDS(probes_fields)},
};

const struct admin_command_set admin_commands_observe = {GROUPS(groups), COMMANDS(commands)};
