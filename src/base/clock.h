/* SPDX-License-Identifier: Apache-2.0 */
/* Real time. Only the loop, the log and the programs read it; engines take time from their timer queue. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Monotonic milliseconds. */
uint64_t clock_ms(void);
uint64_t clock_ns(void); /* the same clock, to measure how long something took */
/* Seconds since 1970 (UTC). */
int64_t clock_unix(void);

enum { CLOCK_TEXT = 32 };
/* RFC 3339 UTC with milliseconds, "2026-11-21T14:05:06.123Z". */
void clock_text(char dst[CLOCK_TEXT]);
/* RFC 3339 of a given second, as XMPP XEP-0082 and PIDF want it. */
void clock_text_at(int64_t unix_seconds, char dst[CLOCK_TEXT]);
