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

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_SHOW_PROBES, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_EDGE, .path = {"show", "probes"},
	 .summary = "list what came of the regular tests of partners",
	 .help = "The setting probes.interval has every partner tested now and then, as by `entente partner test`; without it there are none.",
	 ARGS(probes_args), FIELDS(probes_fields)},
};

const struct admin_command_set admin_commands_observe = {COMMANDS(commands)};
