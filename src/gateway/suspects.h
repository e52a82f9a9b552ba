/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are in no journal and may be what crashes us: their server, or their home, still has them and sends them again after each start.
 * So what is under way has a name that the handler of crashes writes down (gateway_under_way), and what comes again with such a name is a
 * suspect. After one crash a text is taken into the journal, where suspects go alone and end in quarantine (queue.h). After two it could not
 * even be brought there: it is refused. Private to the gateway. */
#pragma once
#include "gateway/gateway_int.h"

struct suspects;

struct suspects *suspects_new(struct gateway_under_way *where);
/* Accepts NULL; returns NULL. */
struct suspects *suspects_free(struct suspects *s);

/* A message stanza came: notes that it is under way (in->receipt.place). True: it is a suspect, and done with. */
bool suspects_stanza(struct gateway *g, const struct stanza *st, struct xmpp_stanza *in);
/* The same of a MESSAGE; handles it. While that goes on it has g->place, which queue_text takes over. */
void suspects_request(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* It is not under way any more; 0: it was not noted. */
void suspects_leave(struct gateway *g, uint32_t *place);
/* What comes again with this name within SEEN_WINDOW_S is in the journal: it is acknowledged, and no more. After that it is said again. */
void suspects_journaled(struct gateway *g, uint64_t name);
