/* SPDX-License-Identifier: Apache-2.0 */
/* The page for the other side: who we are on the wire, and what a partner's administrator types on the server that is there. In Markdown,
 * readable as it is. Pure; any thread. */
#pragma once
#include "plan/plan.h"

struct plan_software { /* a kind of server that partners run */
	const char *id;    /* "prosody" */
	const char *title;
	bool xmpp, sip;    /* how it federates with us */
};
size_t plan_software_count(void);
const struct plan_software *plan_software(size_t index);

/* `only`: the id of one kind of server; empty: all that can reach the site. False: there is no such id. */
bool plan_handout_print(struct buf *out, const struct plan_site *site, const struct plan *plan, struct slice only);
