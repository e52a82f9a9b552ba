/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what `entente check` asks a running daemon for, over its control socket. */
#pragma once
#include "admin/call.h"
#include "check/facts.h"

/* Fills f->live (but for pid and uid). Partners and edges only when asked for; `only`: an array of domains, or NULL for all; `test`: have the daemon test them.
 * Texts are copied into the arena. */
void admin_check_live(struct admin_call *c, struct check_facts *f, struct arena *a, const char *socket, bool partners, json_t *only, bool test);
