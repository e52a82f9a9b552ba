/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses where one domain, server or home may be reached, in the order of RFC 2782, with a memory of those that failed: which one to
 * try next. The memory belongs to this list alone (so to the pair of domain and target), never to the domain as a whole: what failed is
 * tried last for a while, never not at all. Pure: the time is given. Not thread-safe. */
#pragma once
#include "net/addr.h"
#include "sip/target.h"

enum { SIP_PLACE_FAILED_MS = 30000, SIP_PLACES_MAX = SIP_TARGETS_MAX };

struct sip_place {
	struct addr addr;
	char host[SIP_TARGET_NAME_MAX]; /* whose address it is */
	enum sip_transport transport;
	uint32_t hop;          /* which of several next hops it belongs to; as given to sip_places_add */
	uint64_t failed_until; /* 0 or past: not lately */
	bool tried;            /* in this round */
};

struct sip_places {
	struct sip_place *list; /* owned */
	size_t n;
};

/* Empty. */
void sip_places_init(struct sip_places *p);
void sip_places_free(struct sip_places *p);
/* Appends what DNS gave, up to SIP_PLACES_MAX; an address (with port and transport) that is there already is left out. */
void sip_places_add(struct sip_places *p, const struct sip_target_entry *e, size_t n, uint32_t hop);
/* The same from another list, those of its next hop `hop`. */
void sip_places_copy(struct sip_places *p, const struct sip_places *from, uint32_t hop);
/* *p becomes *fresh, which is empty then; addresses that were there before keep their memory. */
void sip_places_take(struct sip_places *p, struct sip_places *fresh);

/* A new round: all may be tried again. */
void sip_places_round(struct sip_places *p);
/* The next one of this round: in order, but those that failed lately last, the one that failed longest ago first. NULL: all were tried.
 * `host`, unless empty: only addresses of that name. Marks it as tried. */
struct sip_place *sip_places_next(struct sip_places *p, uint64_t now, struct slice host);
/* NULL: not there (any more). */
struct sip_place *sip_places_find(const struct sip_places *p, const struct addr *a, enum sip_transport t);
bool sip_places_has_host(const struct sip_places *p, struct slice host);
/* Harmless when the address is not in the list any more. */
void sip_places_failed(struct sip_places *p, const struct addr *a, enum sip_transport t, uint64_t now);
void sip_places_good(struct sip_places *p, const struct addr *a, enum sip_transport t);
static inline bool sip_place_lately(const struct sip_place *x, uint64_t now)
{
	return x->failed_until > now;
}
