/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line per event, `time level event-id key=value key="quoted" ...`, to standard error, or to journald as an entry with
 * fields (log_journal). Roles log; library layers never do. Message bodies, keys and secrets are never logged; control characters and
 * what turns the writing direction never get out unescaped. Any thread; a line is one write(2), an entry one sendmsg(2). */
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

/* Does standard error lead to journald ($JOURNAL_STREAM names its device and inode)? Then entries go to its socket `path` (NULL: the
 * usual one) in its native protocol, until it cannot take one: that becomes a line on standard error, with the priority as <n>. False:
 * lines on standard error, as before. Once at the start, before there are threads; again: anew.
 *
 * Fields: MESSAGE (the line without time and level), PRIORITY, SYSLOG_IDENTIFIER, MESSAGE_ID (log_message_id), ENTENTE_EVENT (the
 * event's ID), and each key as ENTENTE_KEY in capitals with _ for -: ENTENTE_REASON, ENTENTE_PARTNER, ENTENTE_FROM ... The values are
 * escaped like those of the line, but not quoted. */
bool log_journal(const char *path);
enum { LOG_MESSAGE_ID = 33 };
/* Always the same for an event ID: FNV-1a of 128 bits over it, in lower-case hex. */
void log_message_id(const char *id, char ret[LOG_MESSAGE_ID]);

/* For tests: lines go to this function instead (NULL restores stderr). Not thread-safe. */
void log_set_sink(void (*sink)(void *arg, struct slice line), void *arg);
