/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line per event, `time level event-id key=value key="quoted" ...`, to standard error (journald reads it; with
 * JOURNAL_STREAM set, lines carry the <n> priority prefix instead of the time). Roles log; library layers never do.
 * Message bodies, keys and secrets are never logged. Any thread; a line is written with one write(2). */
#pragma once
#include <stdbool.h>
#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_kv {
	const char *key;
	struct slice value; /* quoted and escaped as needed; an empty value is left out */
};

/* Default level is LOG_INFO, trace off. Atomic; any thread, any time. */
void log_set_level(enum log_level level);
void log_set_trace(bool on);
bool log_enabled(enum log_level level);
bool log_trace_enabled(void);

/* `id` names the event: area/noun-verb, e.g. "xmpp/stream-up". kv ends at n. */
void log_event(enum log_level level, const char *id, const struct log_kv *kv, size_t n);
/* A wire event (trace/sip-in ...), written at info when tracing is on. */
void log_trace(const char *id, const struct log_kv *kv, size_t n);

/* log_ev(LOG_INFO, "server/ready", {"workers", n}, {"version", v}); at least one pair. */
#define log_ev(level, id, ...)                                                                     \
	do {                                                                                       \
		if (log_enabled(level)) {                                                          \
			const struct log_kv kv_[] = {__VA_ARGS__};                                 \
			log_event(level, id, kv_, sizeof kv_ / sizeof *kv_);                       \
		}                                                                                  \
	} while (0)
#define log_tr(id, ...)                                                                            \
	do {                                                                                       \
		if (log_trace_enabled()) {                                                         \
			const struct log_kv kv_[] = {__VA_ARGS__};                                 \
			log_trace(id, kv_, sizeof kv_ / sizeof *kv_);                              \
		}                                                                                  \
	} while (0)

/* For what others can cause as often as they like. At most LOG_PER_KEY lines a minute for one event and one `key` (the address or
 * the domain that causes it), LOG_PER_EVENT for one event in all; what is hidden meanwhile is counted, and told as hidden=N by
 * the next line that is written. */
enum { LOG_PER_KEY = 5, LOG_PER_EVENT = 60, LOG_WINDOW_MS = 60000 };
/* False: hide it. *ret_hidden: lines of this event hidden since the last one that was not. `now` in ms, monotonic. Any thread. */
bool log_admit(const char *id, struct slice key, uint64_t now, uint64_t *ret_hidden);
void log_limited(enum log_level level, const char *id, struct slice key, const struct log_kv *kv, size_t n);
#define log_ev_limited(level, id, key, ...)                                                        \
	do {                                                                                       \
		if (log_enabled(level)) {                                                          \
			const struct log_kv kv_[] = {__VA_ARGS__};                                 \
			log_limited(level, id, key, kv_, sizeof kv_ / sizeof *kv_);                \
		}                                                                                  \
	} while (0)

/* For tests: lines go to this function instead (NULL restores stderr). Not thread-safe. */
void log_set_sink(void (*sink)(void *arg, struct slice line), void *arg);
