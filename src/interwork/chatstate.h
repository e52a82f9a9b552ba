/* SPDX-License-Identifier: Apache-2.0 */
/* XEP-0085 chat states, and what they are in SIP (RFC 7573 tables 3 and 4). Pure, any thread. */
#pragma once
#include "base/buf.h"
#include "xmpp/xml.h"

enum chatstate { CHATSTATE_NONE, CHATSTATE_ACTIVE, CHATSTATE_COMPOSING, CHATSTATE_PAUSED, CHATSTATE_INACTIVE, CHATSTATE_GONE };

/* The state that a message carries, alone or with a body; of several the first. */
enum chatstate chatstate_of(const struct xml_node *message);
/* "active" ...; "" for NONE. */
struct slice chatstate_name(enum chatstate s);
/* Appends <composing xmlns='...'/> or the like; nothing for NONE. */
void chatstate_put(struct buf *b, enum chatstate s);

/* RFC 3994 and KeyboardActivity know two states. GONE is none of them: it ends the session. */
static inline bool chatstate_typing(enum chatstate s)
{
	return s == CHATSTATE_COMPOSING;
}
static inline enum chatstate chatstate_of_typing(bool typing)
{
	return typing ? CHATSTATE_COMPOSING : CHATSTATE_ACTIVE;
}
