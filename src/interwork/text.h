/* SPDX-License-Identifier: Apache-2.0 */
/* Human text that crosses: made one line for headers, made legal for XML, brought to UTF-8. Malformed octets and characters that
 * could start a header, an element or a lie on a screen never get past these functions. Pure, any thread; results live in the
 * arena, p == NULL at its limit. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

/* One line: line ends and other controls become one space, direction overrides, byte order marks and malformed octets go; outer
 * space off; at most `max` octets, no character cut. */
struct slice interwork_line(struct arena *a, struct slice text, size_t max);
/* The same in the grammar of Reason-Phrase (RFC 3261 25.1), at most 128 octets. */
struct slice interwork_phrase(struct arena *a, struct slice text);

/* The first language tag of a list ("en, fr;q=1"), empty unless it has the shape of one (RFC 5646: letters, digits and "-", at
 * most 35). */
struct slice interwork_lang(struct slice list);

/* Appends a body for XML: CRLF and CR become LF, controls other than TAB and LF, non-characters and malformed octets U+FFFD, and
 * it is escaped. */
void interwork_put_body(struct buf *b, struct slice text);

/* A body for SIP: every line end becomes CRLF, controls other than TAB U+FFFD, malformed octets U+FFFD. */
struct slice interwork_crlf(struct arena *a, struct slice text);

/* Converts from a declared charset (MIME name, without case) to UTF-8. UTF-8 and US-ASCII are returned as they are (but for a
 * byte order mark); anything else goes through ICU. 0, ENTENTE_EUNSUPPORTED (unknown name), ENTENTE_ELIMIT. */
int interwork_from_charset(struct slice *ret, struct arena *a, struct slice charset, struct slice text);
