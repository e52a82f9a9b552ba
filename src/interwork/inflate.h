/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed bodies (Content-Encoding of RFC 3261 20.12). linphone deflates what is not text. A bomb ends at the caller's limit, before
 * more than that was written anywhere. Pure, any thread. */
#pragma once
#include "base/arena.h"

/* What a refusal lists in Accept-Encoding. */
#define INTERWORK_ENCODINGS S("identity, deflate, gzip")

/* Undoes one encoding, named without case: empty and "identity" (the body as it is), "deflate" (RFC 1950, and RFC 1951 alone, which some
 * call so too), "gzip", "x-gzip". The result lies in the arena. 0; ENTENTE_EUNSUPPORTED: another encoding; ENTENTE_ESYNTAX: broken, cut off,
 * or something follows its end; ENTENTE_ELIMIT: more than `max` octets, or the arena's limit. */
int interwork_inflate(struct slice *ret, struct arena *a, struct slice encoding, struct slice body, size_t max);
