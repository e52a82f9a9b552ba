/* SPDX-License-Identifier: Apache-2.0 */
/* How long somebody has to wait before the next attempt to log in: the delay grows with each attempt that failed, by account and by address.
 * Fixed memory: counters in two tables whose places are picked by a keyed hash, so nobody can push another's counter out or aim at a place.
 * Attempts count from their beginning: many at once gain nothing. The owner's thread, times are monotonic milliseconds. */
#pragma once
#include "base/slice.h"

enum {
	BACKOFF_FREE = 3,             /* attempts without any delay */
	BACKOFF_ACCOUNT_MS = 30000,   /* longest delay of an account: its owner must not be locked out for long by others */
	BACKOFF_ADDRESS_MS = 300000,  /* longest delay of an address */
	BACKOFF_FORGET_MS = 3600000,  /* without an attempt */
};

struct backoff;
struct backoff *backoff_new(void);
/* Accepts NULL; returns NULL. */
struct backoff *backoff_free(struct backoff *b);

/* 0: go on, and the attempt is counted; else milliseconds to wait, and nothing is counted. `address`: any octets that stand for where it comes from. */
uint64_t backoff_begin(struct backoff *b, struct slice account, struct slice address, uint64_t now);
/* The attempt was right: both are as new. */
void backoff_clear(struct backoff *b, struct slice account, struct slice address);
