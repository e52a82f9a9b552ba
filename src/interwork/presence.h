/* SPDX-License-Identifier: Apache-2.0 */
/* Presence values that both networks share: availability, one item per resource (XMPP) or tuple (PIDF), and an owned set of
 * items. Sources: RFC 8048 6, RFC 4480, interworking spec 3.3-3.5; table: availability.def. Not thread-safe per set. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

enum presence_show { /* in the order in which they win when one line must speak for several resources */
	PRESENCE_OFFLINE, PRESENCE_XA, PRESENCE_AWAY, PRESENCE_DND, PRESENCE_AVAILABLE, PRESENCE_CHAT,
};

enum { PRESENCE_NO_PRIORITY = -1000 };

struct presence_note {
	struct slice text, lang; /* lang may be empty */
};

/* MAX_NOTE: characters (code points) of a note towards XMPP; SIP_NOTE: of one towards SIP, whose clients show a line; NOTES:
 * languages of one item; ITEMS: resources of one set. */
enum { PRESENCE_MAX_ITEMS = 32, PRESENCE_MAX_NOTE = 1023, PRESENCE_SIP_NOTE = 256, PRESENCE_MAX_NOTES = 8 };

struct presence_item {
	struct slice resource; /* prepared; empty for the bare address */
	enum presence_show show;
	bool unsure;   /* open, but how available was not said (Lync's 0): whoever knows an earlier show keeps it */
	bool busy;     /* dnd only because the user is busy: nothing said that it does not want to be disturbed */
	const struct presence_note *notes; /* one per language */
	size_t n_notes;
	int priority;  /* -128..127 or PRESENCE_NO_PRIORITY */
	int64_t stamp; /* seconds since 1970 when the state was set, 0 unknown */
	int64_t idle;  /* seconds since 1970 of the user's last activity (XEP-0319; RFC 4480 user-input), 0: not idle, or unknown */
};

/* jabber:client <show/> text; "" for available; "unavailable" for offline (a type, not a show). */
struct slice presence_show_text(enum presence_show s);
/* <show/> text -> show; false for anything but away chat dnd xa. */
bool presence_show_of(struct slice text, enum presence_show *ret);
/* The RPID activity that we write, empty for none. */
struct slice presence_activity(enum presence_show s);
/* An RPID or Lync activity token, without case; false when unknown. */
bool presence_show_of_activity(struct slice token, enum presence_show *ret);
/* A token that asks not to be disturbed, where others of dnd say no more than that the user is busy. */
bool presence_activity_forbids(struct slice token);
/* What such a token says beyond the show, in English ("On the phone"); empty when it says no more, or is unknown. */
struct slice presence_activity_words(struct slice token);
/* AG Projects' <extended/> status (available, away, extended-away, busy, offline ...), without case; false when unknown. */
bool presence_show_of_extended(struct slice text, enum presence_show *ret);
/* The Lync aggregate availability that stands for it. */
unsigned presence_lync(enum presence_show s);
/* Lync availability number -> show; false for 0 (unknown: keep the last). */
bool presence_show_of_lync(unsigned availability, enum presence_show *ret);

/* The first `max` characters, the last of them "…" where something was left out; a letter keeps its accents and an emoji its
 * parts. Lives in the arena when it was cut (*ret_cut is set then, else left alone; may be NULL). */
struct slice presence_note_cut(struct arena *a, struct slice text, size_t max, bool *ret_cut);
/* Adds a note: trimmed, and cut to `max` characters. Ignored when empty, when there is one in that language (without case)
 * already, and from PRESENCE_MAX_NOTES on. The texts stay the caller's or live in the arena. True when it was cut. */
bool presence_note_add(struct presence_note notes[PRESENCE_MAX_NOTES], size_t *n, struct arena *a, struct slice text,
		       struct slice lang, size_t max);
bool presence_notes_equal(const struct presence_item *a, const struct presence_item *b);
/* <0 when a speaks for the user before b: open before closed, then priority (none counts as 0), then show, then the resource's
 * octets. */
int presence_rank(const struct presence_item *a, const struct presence_item *b);

/* An owned collection of items, one per resource, in the order in which they came. */
struct presence_set {
	struct presence_item *items; /* owned, text included */
	size_t count;
};

void presence_set_free(struct presence_set *s);
/* Puts a copy in place of the item with the same resource. True when anything but the stamp differs from before. At
 * PRESENCE_MAX_ITEMS a new resource replaces the item with the lowest rank. */
bool presence_set_put(struct presence_set *s, const struct presence_item *item);
/* True when it was there. */
bool presence_set_remove(struct presence_set *s, struct slice resource);
const struct presence_item *presence_set_find(const struct presence_set *s, struct slice resource);
/* The one of the best rank; NULL when empty. */
const struct presence_item *presence_set_best(const struct presence_set *s);
/* The language that all notes of the set have; empty when there is none, or more than one. */
struct slice presence_set_language(const struct presence_set *s);
/* Best rank first. Reorders in place. */
void presence_set_sort(struct presence_set *s);
