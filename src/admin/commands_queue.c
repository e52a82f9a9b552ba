/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: texts that were accepted and are not delivered yet. */
#include "admin/command_set.h"

#define STATES "waiting|under-way|held|quarantined|paused"

static const struct admin_arg list_args[] = {
	{"partner", ADMIN_PARTNER, ADMIN_POSITIONAL, .help = "only from or to this domain"},
	{"state", ADMIN_ENUM, .values = STATES, .help = "only what is in this state"},
	{"user", ADMIN_ADDRESS, .help = "only from or to this address, of either network"},
	{"limit", ADMIN_UINT, .max = 100000, .def = "100", .help = "at most so many, the oldest"},
};
#define ENTRY_FIELDS(p) \
	{p "number", "by which the other commands know it"}, {p "direction", "to-xmpp or to-sip"}, {p "from", "who wrote it"}, {p "to", "to whom"}, \
	{p "partner", "the domain of the other network"}, \
	{p "state", "waiting, under-way, held, quarantined (after two crashes of the daemon, or by hand), paused (its partner is)"}, \
	{p "octets", "of its stanza"}, {p "accepted", "RFC 3339, UTC"}, {p "expires", "when its sender is told that it could not be delivered"}, \
	{p "left", "seconds until then"}, {p "attempts", "how often it was tried"}, {p "crashes", "of the daemon, with it under way"}, {p "retry", "seconds until its way is tried again, or null"}
static const struct admin_field list_fields[] = {
	ENTRY_FIELDS("entries[]."),
	{"matching", "how many there are, with those past the limit"},
	{"total", "entries in the journal"}, {"octets", "that they take, with their heads"}, {"oldest", "seconds since the oldest was accepted, or null"},
	{"paused[]", "partners whose deliveries are paused"}, {"failing", "true: the disk is full or fails, and what would have to be kept is refused"}, {"why", "what the disk says, or null"},
	{"directory", "where the journal is"},
};
static const struct admin_arg show_args[] = {
	{"number", ADMIN_UINT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = INT64_MAX, .help = "of the entry, as `queue list` has it"},
	{"body", ADMIN_BOOL, .help = "also what was written: the whole stanza; that it was looked at is logged", .roles = ADMIN_MAY_OPERATE},
};
static const struct admin_field show_fields[] = {ENTRY_FIELDS(""), {"stanza", "XML; only with --body"}};

static const struct admin_arg do_args[] = {
	{"number", ADMIN_UINT, ADMIN_POSITIONAL, .max = INT64_MAX, .help = "of one entry, as `queue list` has it"},
	{"partner", ADMIN_PARTNER, .help = "all entries from or to this domain"},
	{"all", ADMIN_BOOL, .help = "all entries"},
};
static const struct admin_field do_fields[] = {{"count", "how many entries it was done to"}};
static const struct admin_arg pause_args[] = {
	{"partner", ADMIN_PARTNER, ADMIN_POSITIONAL | ADMIN_REQUIRED, .help = "domain of the partner"},
};
static const struct admin_field pause_fields[] = {{"partner", "its domain"}, {"paused", "whether it is paused now"}};

static const struct admin_group groups[] = {
	{{"queue"}, "texts that were accepted and are not delivered yet"},
};

#define DO(i, verb, sum, about, ex) \
	{.id = i, .changes = true, .roles = ADMIN_MAY_OPERATE, .path = {"queue", verb}, .summary = sum, \
	 .help = about " One entry, those of a partner, or all: one of the three has to be said.", .example = ex, ARGS(do_args), FIELDS(do_fields)}

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_QUEUE_LIST, .roles = ADMIN_MAY_SEE, .path = {"queue", "list"}, .summary = "list what waits to be delivered",
	 .help = "Texts that were accepted and whose fate is not final: they lie in the journal on the disk, and survive crashes and restarts. The oldest first. "
		 "What was written is not shown. Under all of them: how much it is, and what is paused.",
	 .example = "entente queue list\nentente queue list fabrikam.example --state waiting --json", ARGS(list_args), FIELDS(list_fields)},

	{.id = ADMIN_CMD_QUEUE_SHOW, .roles = ADMIN_MAY_SEE, .path = {"queue", "show"}, .summary = "show one entry of the queue",
	 .help = "Without --body not what was written.", .example = "entente queue show 4711\nentente queue show 4711 --body", ARGS(show_args), FIELDS(show_fields)},

	DO(ADMIN_CMD_QUEUE_HOLD, "hold", "keep entries back until they are released",
	   "What is held is not delivered, and does not keep others of the same two users waiting; it still expires.", "entente queue hold 4711"),
	DO(ADMIN_CMD_QUEUE_RELEASE, "release", "let go what is held or in quarantine", "It takes its place in the order again, with no crash on its account.",
	   "entente queue release 4711\nentente queue release --partner fabrikam.example"),
	DO(ADMIN_CMD_QUEUE_RETRY, "retry", "try to deliver now", "Without waiting for the next attempt.", "entente queue retry --partner fabrikam.example"),
	DO(ADMIN_CMD_QUEUE_EXPIRE, "expire", "give up entries: their senders are told",
	   "As if their lives were over: each sender is told that the text could not be delivered, where there is a way to tell.", "entente queue expire 4711"),
	DO(ADMIN_CMD_QUEUE_QUARANTINE, "quarantine", "put entries aside, as those that crash the daemon",
	   "They are not tried again until they are released, and still expire.", "entente queue quarantine 4711"),

	{.id = ADMIN_CMD_QUEUE_PAUSE, .changes = true, .roles = ADMIN_MAY_OPERATE, .path = {"queue", "pause"}, .summary = "pause deliveries to a partner",
	 .help = "What is under way ends. New texts to the partner are accepted and wait, as long as there is room, until they expire; what waits from the partner stays, too. "
		 "Holds over restarts.",
	 .example = "entente queue pause fabrikam.example", ARGS(pause_args), FIELDS(pause_fields)},

	{.id = ADMIN_CMD_QUEUE_RESUME, .changes = true, .roles = ADMIN_MAY_OPERATE, .path = {"queue", "resume"}, .summary = "go on with deliveries to a partner",
	 .example = "entente queue resume fabrikam.example", ARGS(pause_args), FIELDS(pause_fields)},
};

const struct admin_command_set admin_commands_queue = {GROUPS(groups), COMMANDS(commands)};
