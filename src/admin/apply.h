/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: many commands as one change. Whoever translates something into commands (lync_import.c) gives a list
 *   [{"command": ["partner","xmpp","add"], "args": {"domain": "fabrikam.example", ...}}, ...]
 * and all of it happens, or nothing: the commands run one after the other on a copy of the policy, what they did to it is checked as a whole
 * (policy tests, too) and committed as one generation. Args are those of a request; only commands that change policy may stand in it.
 *
 * From the program `entente` it is a request to the daemon: command ["config","apply"], args {"changes": the list as JSON text, "what": one line
 * for the history, "what-if": true or absent}. Its data:
 *   changes[]   as `config diff` tells them        what_if     true: nothing was changed
 *   failed      the command that was refused: {"index", "command", "args", "code", "text"}; nothing was changed */
#pragma once
#include "admin/admin_int.h"

/* Fills c->data as above. An enum admin_exit. `changes` is borrowed; its args may be put into canonical form. */
int admin_apply(struct admin_call *c, json_t *changes, struct slice what, bool what_if);
