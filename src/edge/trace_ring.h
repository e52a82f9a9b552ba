/* SPDX-License-Identifier: Apache-2.0 */
/* The last SIP messages that passed, in memory only: a ring of octets, the oldest go first. Kept of each are its start line and headers, up to
 * TRACE_RING_HEAD octets, without Authorization and its like; never its body. Any thread; a lock for as long as the copy takes. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

enum { TRACE_RING_HEAD = 4096, TRACE_RING_PEER = 253, TRACE_RING_MS = 900000 /* older ones are not given out, and overwritten */ };

struct trace_ring;

/* `octets`: for everything; rounded down to a whole number of pages, 64 KiB at least. */
struct trace_ring *trace_ring_new(size_t octets);
/* Accepts NULL; returns NULL. */
struct trace_ring *trace_ring_free(struct trace_ring *r);

struct trace_kept {
	int64_t at_ms;       /* since 1970 */
	bool out, partner;   /* away from us; on the side of SIP partners */
	struct slice peer;   /* the home or the partner's domain */
	struct slice head;   /* ends with the blank line; Content-Length is as it was */
	size_t size;         /* of the whole message */
};
/* `raw`: the whole message; what does not begin like one is left out. */
void trace_ring_add(struct trace_ring *r, int64_t at_ms, bool out, bool partner, struct slice peer, struct slice raw);
/* Oldest first, those since `since_ms`; fn may take its time, it runs on a copy. */
void trace_ring_each(struct trace_ring *r, int64_t now_ms, int64_t since_ms, void (*fn)(void *arg, const struct trace_kept *k), void *arg);
