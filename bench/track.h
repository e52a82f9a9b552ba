/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a run: each has a number that travels in its body; here is noted when it was due, when it arrived at the other
 * end, and when its answer came back. What is lost, doubled or refused is counted. Times are monotonic nanoseconds. Not
 * thread-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACK_ARRIVED = 1, TRACK_ANSWERED = 2, TRACK_FAILED = 4 };

struct track_slot {
	uint64_t seq, due;
	uint8_t done; /* TRACK_ bits */
	bool open, measured;
};

struct track_times {
	uint32_t *ns;
	size_t n;
};

struct track {
	struct track_slot *slots;
	uint8_t needed;         /* bits that complete a message */
	uint64_t next, open;    /* number of the next message; how many are under way */
	uint64_t sent, completed, arrived;
	uint64_t refused, doubled, stray, unsent; /* stray: a number that nobody waits for */
	bool measuring;         /* messages begun now count for the times */
	struct track_times arrival, answer;
};

uint64_t track_now(void);
void track_init(struct track *t, uint8_t needed);
void track_free(struct track *t);
/* The number of a new message that was due at `due`. False when far too many are under way (counted as unsent). */
bool track_begin(struct track *t, uint64_t due, uint64_t *ret_seq);
/* A bit became true. True when the message is complete by that. TRACK_FAILED completes it at once. */
bool track_mark(struct track *t, uint64_t seq, uint8_t bit);

struct track_summary { /* microseconds */
	size_t n;
	double p50, p95, p99, max;
};
/* Sorts the times. */
void track_summarise(struct track_times *times, struct track_summary *ret);
/* After it: the time, in microseconds, that `share` (0 .. 1) of the messages did not exceed; 0 without any. */
double track_quantile(const struct track_times *times, double share);
