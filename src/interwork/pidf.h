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
	struct slice name;            /* CIPID display-name (RFC 4482), as written; empty for none */
	struct presence_item *items;  /* one per resource that says open or closed, in document order; resource = gr of <contact>,
					 else tuple id without our "ID-"; of several tuples with the same one the best in rank */
	size_t count;                 /* at most PRESENCE_MAX_ITEMS, further tuples are not read */
	int64_t changes_at;           /* seconds since 1970: when a timed status (RFC 4481) begins or ends next, 0: never */
	bool cut;                     /* a note was longer than PRESENCE_MAX_NOTE characters */
};

/* Reads a document as it holds at now_unix (0: timed statuses are not looked at). `lang` is the Content-Language of the message, the
 * language of notes that do not say theirs. A tuple without any note gets what its activity says beyond the show, in English.
 * Everything in the arena. ENTENTE_ESYNTAX: not XML or not a presence document; ENTENTE_ELIMIT. */
int pidf_read(struct pidf *ret, struct arena *a, struct slice doc, struct slice lang, int64_t now_unix, struct entente_err *err);

/* What a home's readers want of a document. Namespaces and elements are the same superset in all of them (RPID of RFC 4480 in a
 * <dm:person>, the draft's <ep:activities> inside <status>, RFC 8048's <show>): old readers skip what they do not know. */
enum pidf_flavour {
	PIDF_SIMPLE, /* RFC 8048: one tuple per resource, best first */
	PIDF_LYNC,   /* one tuple, the aggregate of all resources, with a stable id and without gr: its readers take the first */
	PIDF_CISCO,  /* as PIDF_LYNC, and <basic> inside the person too */
};

struct pidf_writing {
	struct slice entity; /* "sip:..."; each tuple's contact, with ";gr=" for a resource */
	struct slice name;   /* display name, written as CIPID; may be empty */
	enum pidf_flavour flavour;
	bool hide_notes;     /* notes and name are left out */
};

/* Writes the full state. `set` is sorted best first by the call; an empty set gives one closed tuple. Notes are cut to
 * PRESENCE_SIP_NOTE characters by whoever made the items. */
void pidf_write(struct buf *b, const struct pidf_writing *w, struct presence_set *set);

/* "ID-" and the resource when that is a valid xs:ID, else "ID-" and 16 hex digits of a stable hash; "ID-bare" for no resource. */
void pidf_tuple_id(struct buf *b, struct slice resource);
