/* SPDX-License-Identifier: Apache-2.0 */
/* Presence values that both networks share: availability, one item per resource (XMPP) or tuple (PIDF), and an owned set of items.
 * Sources: RFC 8048 6, RFC 4480, interworking spec 3.3-3.5; table: availability.def. Not thread-safe per set. */
#pragma once
#include "base/slice.h"

enum presence_show { /* in the order in which they win when one line must speak for several resources */
	PRESENCE_OFFLINE, PRESENCE_XA, PRESENCE_AWAY, PRESENCE_DND, PRESENCE_AVAILABLE, PRESENCE_CHAT,
};

enum { PRESENCE_NO_PRIORITY = -1000 };

struct presence_item {
	struct slice resource; /* prepared; empty for the bare address */
	enum presence_show show;
	struct slice note, lang;
	int priority;  /* -128..127 or PRESENCE_NO_PRIORITY */
	int64_t stamp; /* seconds since 1970 when the state was set, 0 unknown */
};

/* jabber:client <show/> text; "" for available and chat-less states; "unavailable" for offline (a type, not a show). */
struct slice presence_show_text(enum presence_show s);
/* <show/> text -> show; false for anything but away chat dnd xa. */
bool presence_show_of(struct slice text, enum presence_show *ret);
/* The RPID activity that we write, empty for none. */
struct slice presence_activity(enum presence_show s);
/* An RPID or Lync activity token, without case; false when unknown. */
bool presence_show_of_activity(struct slice token, enum presence_show *ret);
/* The Lync aggregate availability that we write. */
unsigned presence_lync(enum presence_show s);
/* Lync availability number -> show; false for 0 (unknown: keep the last). */
bool presence_show_of_lync(unsigned availability, enum presence_show *ret);

/* An owned collection of items, one per resource. */
enum { PRESENCE_MAX_ITEMS = 32, PRESENCE_MAX_NOTE = 1023 };

struct presence_set {
	struct presence_item *items; /* owned, text included */
	size_t count;
};

void presence_set_free(struct presence_set *s);
/* Puts a copy in place of the item with the same resource. True when anything but the stamp differs from before. At PRESENCE_MAX_ITEMS a
 * new resource replaces the item with the lowest rank. Notes are cut to PRESENCE_MAX_NOTE octets. */
bool presence_set_put(struct presence_set *s, const struct presence_item *item);
/* True when it was there. */
bool presence_set_remove(struct presence_set *s, struct slice resource);
const struct presence_item *presence_set_find(const struct presence_set *s, struct slice resource);
/* Best first: priority, then show. Reorders in place. */
void presence_set_sort(struct presence_set *s);
