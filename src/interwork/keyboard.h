/* SPDX-License-Identifier: Apache-2.0 */
/* What Lync clients send as INFO inside a session while somebody types (application/xml, KeyboardActivity). They repeat "type" every few
 * seconds, most never say "idle", and they forget one that is not repeated. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define KEYBOARD_TYPE S("application/xml")

/* Seconds. EVERY: how often "type" is said while it is true; HOLDS: how long one holds for us (pidgin-sipe: 4 and 6). */
enum { KEYBOARD_EVERY = 5, KEYBOARD_HOLDS = 10 };

/* *ret_typing: the status is "type". 0; ENTENTE_ENOTFOUND: well-formed, but something else (application/xml is used for much); ENTENTE_ESYNTAX,
 * ENTENTE_ELIMIT (4 KiB). */
int keyboard_read(bool *ret_typing, struct arena *a, struct slice doc, struct entente_err *err);
void keyboard_write(struct buf *b, bool typing);
