/* SPDX-License-Identifier: Apache-2.0 */
/* PIDF documents (RFC 3863, 4479, 4480; RFC 8048 6) to and from presence items. Reading is liberal: namespaces by local name as
 * fallback, the draft RPID layout of older systems, Lync states, any encoding expat knows. Writing gives one superset that all
 * readers known to us understand. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "interwork/presence.h"

struct pidf {
	struct slice entity;          /* as written */
	struct presence_item *items;  /* one per resource that says open or closed, in document order; resource = gr of <contact>,
					 else tuple id without our "ID-"; of several tuples with the same one the best in rank */
	size_t count;                 /* at most PRESENCE_MAX_ITEMS, further tuples are not read */
};

/* Reads a document. `lang` is the Content-Language of the message, the language of notes that do not say theirs. Everything in
 * the arena. ENTENTE_ESYNTAX: not XML or not a presence document; ENTENTE_ELIMIT. */
int pidf_read(struct pidf *ret, struct arena *a, struct slice doc, struct slice lang, struct entente_err *err);

/* Writes the full state of `entity_uri` ("sip:..."). `set` is sorted best first by the call; an empty set gives one closed tuple.
 * Notes are left out when hide_notes. entity_uri is each tuple's contact, with ";gr=" for a resource. */
void pidf_write(struct buf *b, struct slice entity_uri, struct presence_set *set, bool hide_notes);

/* "ID-" and the resource when that is a valid xs:ID, else "ID-" and 16 hex digits of a stable hash; "ID-bare" for no resource. */
void pidf_tuple_id(struct buf *b, struct slice resource);
