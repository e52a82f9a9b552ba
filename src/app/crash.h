/* SPDX-License-Identifier: Apache-2.0 */
/* The process dies of a signal: what was under way is noted, for the next start. Entries of the journal are marked there (journal_crashed). What
 * was under way and in no journal has a name in the gateways' memory (gateway_under_way), which goes into the file `under-way` of the queue's
 * directory. The next start makes of it the file `suspects`: names, and at how many crashes each was under way. Control thread, unless said. */
#pragma once
#include "gateway/gateway.h"
#include "journal/journal.h"

enum {
	CRASH_SUSPECTS = 16384,        /* remembered; those of the last crash first */
	CRASH_SUSPECTS_S = 24 * 3600,  /* nobody sends again for so long */
};

struct crash;

/* The handlers of the signals (not in builds with a sanitizer, which has better things to say). Before the threads. */
void crash_watch(void);
/* `signal`: the last process died of it (journal_report.crash_signal); 0: of none. What cannot be read or written is told in the log, and is
 * not known. From here on the handlers note things. `j` may be NULL. */
struct crash *crash_open(const char *directory, unsigned workers, struct journal *j, int signal);
/* Before journal_close. NULL is allowed; returns NULL. The memory of crash_under_way ends with it. */
struct crash *crash_close(struct crash *c);
/* Any thread. */
struct gateway_under_way *crash_under_way(struct crash *c, unsigned worker);
/* What earlier processes left. Any thread. */
void crash_each(const struct crash *c, void (*fn)(void *arg, uint64_t name, unsigned crashes), void *arg);
/* What the handler does. Async-signal-safe. */
void crash_note(struct crash *c, int signal);
