/* SPDX-License-Identifier: Apache-2.0 */
/* Which texts were taken already, and what became of each: so that one that comes again is answered as the first time, and not
 * delivered twice. It comes again when its answer was lost: over UDP after our restart, over another connection of the home, on the
 * next stream of a partner's server that had no acknowledgement (XEP-0198). Private to the gateway, one for each.
 *
 * Bounded in time and number; the oldest are forgotten first. Durable as far as it can be without waiting: what ends is written out in
 * pieces, at once when it is quiet, at most ten times a second when it is not. So a kill can lose what ended within the last tenth of a
 * second; what comes again of that is delivered twice, never lost. */
#pragma once
#include "base/buf.h"
#include "base/timer.h"

struct seen;
struct seen_run; /* a text under way */

enum {
	SEEN_MAX = 65536,         /* remembered */
	SEEN_WINDOW_S = 900,
	SEEN_RECORD = 32,         /* octets of one in what is written out */
	SEEN_PIECE = 1024,        /* of them at a time */
	SEEN_FLUSH_MS = 100,
	SEEN_OTHERS = 4,          /* repetitions of one under way that are answered with it */
};

struct seen_config {
	struct timers *timers;
	uint64_t secret[2];       /* of the keys; the same after a restart */
	/* Write this out, durably, later; never block. NULL: nothing is durable. */
	void (*put)(void *arg, int64_t at, struct slice records);
	/* What was written out before is of no use any more. */
	void (*purge)(void *arg, int64_t before);
	void *arg;
};

struct seen *seen_new(const struct seen_config *c);
/* Writes out what is waiting. Those under way are forgotten. Accepts NULL; returns NULL. */
struct seen *seen_free(struct seen *s);
/* What `put` wrote before a restart, oldest first. What is too old or malformed is left out. */
void seen_load(struct seen *s, struct slice records);

struct seen_key {
	uint64_t v[2];
};
/* Of the parts that name a text, in this order. */
struct seen_key seen_key(const struct seen *s, const struct slice *parts, size_t n);

struct seen_outcome {
	int status; /* of SIP; of a reason its own */
	int reason; /* enum reason, REASON_NONE where another refused it; not known any more after a restart */
};

enum seen_fate {
	SEEN_NEW,       /* *ret is its run, to be ended; NULL: it is not followed */
	SEEN_UNDER_WAY, /* *ret is the run of the first */
	SEEN_OVER,      /* *ret_outcome is what became of it */
};
/* `stream`: on which it came; the same stream does not repeat itself, so what looks the same is another text. 0: not on one. */
enum seen_fate seen_take(struct seen *s, struct seen_key key, uint64_t stream, struct seen_run **ret, struct seen_outcome *ret_outcome);
/* Of a text that another process has taken: as if it had ended then. */
void seen_know(struct seen *s, struct seen_key key, struct seen_outcome outcome, int64_t at);
/* It is over; the run is freed. */
void seen_end(struct seen *s, struct seen_run *run, struct seen_outcome outcome);
/* As if it had never come. Accepts NULL. */
void seen_forget(struct seen *s, struct seen_run *run);

/* A pointer of the owner. */
void seen_set_owner(struct seen_run *run, void *owner);
void *seen_owner(const struct seen_run *run);
/* Names of two numbers, for an owner that has no other way back to it. */
void seen_name(struct seen *s, struct seen_run *run, uint64_t kind, uint64_t id);
struct seen_run *seen_named(struct seen *s, uint64_t kind, uint64_t id);
/* Repetitions that wait for the same answer; false: no room. */
bool seen_add_other(struct seen_run *run, uint64_t id);
size_t seen_others(const struct seen_run *run, uint64_t ret[SEEN_OTHERS]);

size_t seen_count(const struct seen *s);
