/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/map.h"

enum { LINE_MAX_LEN = 4096 };

static atomic_int level_now = LOG_INFO;
static atomic_bool trace_now;
static void (*sink_fn)(void *, struct slice);
static void *sink_arg;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_now, level, memory_order_relaxed);
}

void log_set_trace(bool on)
{
	atomic_store_explicit(&trace_now, on, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool log_trace_enabled(void)
{
	return atomic_load_explicit(&trace_now, memory_order_relaxed);
}

void log_set_sink(void (*sink)(void *, struct slice), void *arg)
{
	sink_fn = sink;
	sink_arg = arg;
}

/* C1 controls, line separators, direction overrides: what could act on the terminal of whoever reads the journal. */
static bool misleads(uint32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f || cp == 0xfeff;
}

static bool plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return s.len > 0;
}

static void put_value(struct buf *b, struct slice v)
{
	if (plain(v)) {
		buf_put(b, v);
		return;
	}
	buf_putc(b, '"');
	while (v.len) {
		uint32_t cp;
		size_t n = utf8_decode(v, &cp);
		unsigned char c = (unsigned char)v.p[0];
		if (!n) /* not UTF-8: shown octet by octet */
			buf_printf(b, "\\x%02x", c);
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (cp < 0x20 || cp == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else if (misleads(cp))
			buf_printf(b, "\\u%04x", (unsigned)cp);
		else
			buf_put(b, slice_first(v, n));
		v = slice_skip(v, n ? n : 1);
	}
	buf_putc(b, '"');
}

static void emit(enum log_level level, const char *id, const struct log_kv *kv, size_t n, uint64_t hidden)
{
	static const char *const name[] = {"error", "warning", "info", "debug"};
	static const char *const prio[] = {"<3>", "<4>", "<6>", "<7>"};
	char line_mem[LINE_MAX_LEN]; /* as large as the limit: the buffer never turns to the heap */
	struct buf b = {.mem = line_mem, .cap = sizeof line_mem, .limit = sizeof line_mem};
	if (getenv("JOURNAL_STREAM")) {
		buf_puts(&b, prio[level]);
	} else {
		char now[CLOCK_TEXT];
		clock_text(now);
		buf_printf(&b, "%s ", now);
	}
	buf_printf(&b, "%s %s", name[level], id);
	for (size_t i = 0; i < n; i++) {
		if (!kv[i].value.len)
			continue;
		buf_printf(&b, " %s=", kv[i].key);
		put_value(&b, utf8_first(kv[i].value, 512));
	}
	if (hidden)
		buf_printf(&b, " hidden=%llu", (unsigned long long)hidden);
	if (!buf_ok(&b)) { /* an absurdly long line is cut, not lost */
		b.failed = false;
		buf_truncate(&b, LINE_MAX_LEN - 8);
	}
	buf_putc(&b, '\n');
	struct slice line = buf_slice(&b);
	if (sink_fn) {
		sink_fn(sink_arg, line);
		return;
	}
	if (write(STDERR_FILENO, line.p, line.len) < 0)
		return; /* nowhere left to say it */
}

void log_event(enum log_level level, const char *id, const struct log_kv *kv, size_t n)
{
	if (log_enabled(level))
		emit(level, id, kv, n, 0);
}

void log_trace(const char *id, const struct log_kv *kv, size_t n)
{
	if (log_trace_enabled())
		emit(LOG_INFO, id, kv, n, 0);
}

/* ---- limited events */

enum { EVENTS = 64, KEYS = 512 };

struct window {
	uint64_t name; /* hash of what it counts */
	uint64_t since, count, hidden;
};

static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct window events[EVENTS], keys[KEYS]; /* under limit_lock */

/* Its own window, one whose time is over, or, when all is taken, somebody else's: that costs lines, never memory. */
static struct window *window_of(struct window *w, size_t n, uint64_t name, uint64_t now)
{
	enum { PROBES = 4 };
	struct window *found = NULL;
	for (size_t i = 0; i < PROBES; i++) {
		struct window *x = &w[((name >> 1) + i) % n];
		bool over = !x->name || now - x->since >= LOG_WINDOW_MS;
		if (x->name == name) {
			if (over) {
				x->since = now;
				x->count = 0;
			}
			return x;
		}
		if (over && !found)
			found = x;
	}
	if (!found)
		return &w[(name >> 1) % n];
	*found = (struct window){.name = name, .since = now};
	return found;
}

bool log_admit(const char *id, struct slice key, uint64_t now, uint64_t *ret_hidden)
{
	uint64_t event = hash_slice(slice_str(id)) | 1;
	uint64_t name = (hash_slice(key) ^ event * 3) | 1;
	pthread_mutex_lock(&limit_lock);
	struct window *e = window_of(events, EVENTS, event, now), *k = window_of(keys, KEYS, name, now);
	bool admit = e->count < LOG_PER_EVENT && k->count < LOG_PER_KEY;
	if (admit) {
		e->count++;
		k->count++;
		*ret_hidden = e->hidden;
		e->hidden = 0;
	} else {
		e->hidden++;
	}
	pthread_mutex_unlock(&limit_lock);
	return admit;
}

void log_limited(enum log_level level, const char *id, struct slice key, const struct log_kv *kv, size_t n)
{
	uint64_t hidden;
	if (log_enabled(level) && log_admit(id, key, clock_ms(), &hidden))
		emit(level, id, kv, n, hidden);
}
