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

/* For tests: lines go to this function instead (NULL restores stderr). Not thread-safe. */
void log_set_sink(void (*sink)(void *arg, struct slice line), void *arg);
