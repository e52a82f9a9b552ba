/* SPDX-License-Identifier: Apache-2.0 */
/* The clock by which queued texts grow old. It goes on while this process runs, and from one process to the next as long as the machine was not
 * started again in between; it knows nothing of the time of day but for its very first reading. So a clock that is set, or a machine that
 * starts in 1970, makes nobody's text expire, and while the machine is off (or asleep) nothing grows old.
 * The file `clock` of the queue's directory has its last reading: once a minute while texts are taken, and at the end. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { QUEUE_CLOCK_BOOT = 64, QUEUE_CLOCK_SAVE_MS = 60000 };

struct queue_clock_reading {
	char boot[QUEUE_CLOCK_BOOT]; /* which start of the machine; empty: not known */
	int64_t at;                  /* seconds; near those since 1970 as long as nothing unusual has happened */
	uint64_t ms;                 /* monotonic (clock_ms), at the same moment */
};

struct queue_clock {
	char path[560];
	struct queue_clock_reading base;
	uint64_t saved_ms; /* of who saves */
};

/* Which start of the machine this is: before the sandbox. */
void queue_clock_look(void);
/* `youngest`: when the last text was taken that is there, by this clock; 0: none is. Start-up; what cannot be read is not known. */
void queue_clock_open(struct queue_clock *c, const char *directory, int64_t youngest);
/* What it shows first. `saved`: NULL, there is none. Pure. */
int64_t queue_clock_begin(const struct queue_clock_reading *saved, const char *boot, uint64_t ms, int64_t unix_now, int64_t youngest);
/* Any thread. */
int64_t queue_clock_now(const struct queue_clock *c);
/* Every now and then, and at the end (`at_once`): the reading is written when the last one is QUEUE_CLOCK_SAVE_MS old. Waits for the disk; one
 * thread at a time (the journal's while it runs). A clock that was never opened is not saved. */
void queue_clock_save(struct queue_clock *c, bool at_once);
