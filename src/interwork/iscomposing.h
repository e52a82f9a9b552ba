/* SPDX-License-Identifier: Apache-2.0 */
/* application/im-iscomposing+xml (RFC 3994): is the other one typing? Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define ISCOMPOSING_TYPE S("application/im-iscomposing+xml")

/* Seconds (RFC 3994 3.2, 3.3). REFRESH: how long "active" holds where the document does not say; MIN: the shortest refresh that may be
 * asked for; MAX: what a longer one is read as; IDLE: after so much silence of the keyboard a composer says idle; OURS: what we ask for,
 * since XMPP does not repeat itself. */
enum { ISCOMPOSING_IDLE = 15, ISCOMPOSING_REFRESH = 120, ISCOMPOSING_MIN = 60, ISCOMPOSING_MAX = 600, ISCOMPOSING_OURS = 90 };

struct iscomposing {
	bool active;      /* any state but "active" is idle (RFC 3994 3.3) */
	uint32_t refresh; /* seconds that "active" holds: ISCOMPOSING_MIN..MAX; 0 when idle */
};

/* The namespace may be missing or wrong, since there are such phones; the name of the root and <state/> not. 0, ENTENTE_ESYNTAX,
 * ENTENTE_ELIMIT (8 KiB, depth 8). */
int iscomposing_read(struct iscomposing *ret, struct arena *a, struct slice doc, struct entente_err *err);
/* refresh 0: the element is left out. */
void iscomposing_write(struct buf *b, bool active, uint32_t refresh);
