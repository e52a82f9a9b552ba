/* SPDX-License-Identifier: Apache-2.0 */
/* A server that dies is started again at once, so that nobody notices. One that dies again and again as soon as it runs would only heat the
 * room and fill the log: it waits, longer each time. How often it was is kept in memory that outlives the process (net/kept.h). Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	STARTS_QUICK_MS = 3000,  /* who has lived so long has not died at once */
	STARTS_FREE = 10,        /* quick deaths in a row before it waits */
	STARTS_FIRST_MS = 500, STARTS_MOST_MS = 30000,
};

struct starts {
	uint64_t began; /* monotonic ms of the latest start, after its wait; 0: none, or it has ended as it should */
	uint64_t quick; /* deaths in a row that were quick */
	uint64_t database[2]; /* device and inode of the one that was found sound */
};

/* A start at `now`: how long it has to wait before anything else, in ms. Pure but for *s. */
uint64_t starts_judge(struct starts *s, uint64_t now);

/* Waits if it has to; systemd and the log are told. False: it was asked to end meanwhile. */
bool starts_begin(void);
/* Was this file found sound by one of us before, and nothing but processes has ended since? */
bool starts_found_sound(const char *path);
void starts_note_sound(const char *path);
/* The end is meant. */
void starts_planned_end(void);
