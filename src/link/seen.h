/* SPDX-License-Identifier: Apache-2.0 */
/* Which stanzas of an edge were taken already: after a link broke, the edge sends again what it has no answer for, and what only the
 * answer was lost of must not be delivered twice. Numbers that are done are remembered in a ring as long as the edge's window: more
 * answers cannot be missing. One thread. */
#pragma once
#include "base/map.h"

enum link_fate { LINK_NEW, LINK_UNDER_WAY, LINK_ENDED };

struct link_seen {
	struct map numbers;
	struct link_seen_entry **ring; /* of `size` places: the ones that are done, oldest at `next` */
	size_t size, next;
};

/* `size` > 0 */
void link_seen_init(struct link_seen *s, size_t size);
void link_seen_free(struct link_seen *s);
/* Another process: its numbers mean nothing yet. */
void link_seen_clear(struct link_seen *s);
/* What became of this number so far; a NEW one is UNDER_WAY from now on. */
enum link_fate link_seen_take(struct link_seen *s, uint64_t number);
/* It is done. A number that is not under way is ignored. */
void link_seen_done(struct link_seen *s, uint64_t number);
