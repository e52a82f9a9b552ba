/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room: which of the stanzas that came are done, when they are done in any order (XEP-0198 counts without gaps). A bit
 * for each one from the oldest that is not done to the newest; 64 of them without a heap block. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ack_window {
	uint64_t done;   /* all up to this number are */
	uint64_t top;    /* the newest number given */
	size_t pending;  /* given and not done */
	size_t n_bits;   /* room, a power of two from 64 on; 0: not used yet */
	uint64_t first;  /* the bits while there are 64 */
	uint64_t *more;  /* instead, when there are more */
};

/* Gives the next number. 0: there are `max` between the oldest pending one and this. */
uint64_t ack_window_add(struct ack_window *w, uint64_t max);
/* True when `done` rose. Numbers that are not pending are ignored. */
bool ack_window_done(struct ack_window *w, uint64_t number);
static inline uint64_t ack_window_span(const struct ack_window *w)
{
	return w->top - w->done;
}
void ack_window_free(struct ack_window *w);
