/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/map.h"
#include "base/metric.h"

enum { LINE_MAX_LEN = 4096, VALUE_MAX = 512 };

static const char priority[] = "3467"; /* by level, RFC 5424 6.2.1 */

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

static void put_escaped(struct buf *b, struct slice v, bool quotes)
{
	while (v.len) {
		uint32_t cp;
		size_t n = utf8_decode(v, &cp);
		unsigned char c = (unsigned char)v.p[0];
		if (!n) /* not UTF-8: shown octet by octet */
			buf_printf(b, "\\x%02x", c);
		else if (c == '\\' || (c == '"' && quotes))
			buf_printf(b, "\\%c", c);
		else if (cp < 0x20 || cp == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else if (misleads(cp))
			buf_printf(b, "\\u%04x", (unsigned)cp);
		else
			buf_put(b, slice_first(v, n));
		v = slice_skip(v, n ? n : 1);
	}
}

static void put_value(struct buf *b, struct slice v)
{
	if (plain(v)) {
		buf_put(b, v);
		return;
	}
	buf_putc(b, '"');
	put_escaped(b, v, true);
	buf_putc(b, '"');
}

/* "event-id key=value ..." */
static void put_line(struct buf *b, const char *id, const struct log_kv *kv, size_t n, uint64_t hidden)
{
	buf_puts(b, id);
	for (size_t i = 0; i < n; i++) {
		if (!kv[i].value.len)
			continue;
		buf_printf(b, " %s=", kv[i].key);
		put_value(b, utf8_first(kv[i].value, VALUE_MAX));
	}
	if (hidden)
		buf_printf(b, " hidden=%llu", (unsigned long long)hidden);
}

/* An absurdly long line is cut, not lost. */
static void end_line(struct buf *b)
{
	if (!buf_ok(b)) {
		b->failed = false;
		buf_truncate(b, utf8_first(slice_first(buf_slice(b), b->limit - 8), b->limit - 8).len);
	}
	buf_putc(b, '\n');
}

/* ---- journald: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. No value has a newline, so each field is a line. */

static int journal_fd = -1;
static bool journal_stream; /* standard error is journald's, whether its socket can be reached or not */
static struct sockaddr_un journal_address;

static bool stderr_is_journal(void)
{
	const char *z = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	return z && sscanf(z, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

bool log_journal(const char *path)
{
	if (journal_fd >= 0)
		close(journal_fd);
	journal_fd = -1;
	journal_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	journal_stream = stderr_is_journal();
	if (journal_stream && slice_cstr(slice_str(path ? path : "/run/systemd/journal/socket"), journal_address.sun_path, sizeof journal_address.sun_path))
		journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal_fd >= 0;
}

void log_message_id(const char *id, char ret[LOG_MESSAGE_ID])
{
	const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;
	unsigned __int128 h = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * prime;
	snprintf(ret, LOG_MESSAGE_ID, "%016llx%016llx", (unsigned long long)(h >> 64), (unsigned long long)h);
}

static void put_field(struct buf *b, const char *key, struct slice value)
{
	buf_puts(b, "ENTENTE_");
	for (; *key; key++)
		buf_putc(b, *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A') : *key >= '0' && *key <= '9' ? *key : '_');
	buf_putc(b, '=');
	put_escaped(b, value, false);
	buf_putc(b, '\n');
}

static bool emit_entry(enum log_level level, const char *id, const struct log_kv *kv, size_t n, uint64_t hidden)
{
	char mem[2 * LINE_MAX_LEN], message_id[LOG_MESSAGE_ID], number[24];
	struct buf b = {.mem = mem, .cap = LINE_MAX_LEN, .limit = LINE_MAX_LEN};
	buf_puts(&b, "MESSAGE=");
	put_line(&b, id, kv, n, hidden);
	end_line(&b);
	b.cap = b.limit = sizeof mem;
	log_message_id(id, message_id);
	buf_printf(&b, "PRIORITY=%c\nSYSLOG_IDENTIFIER=entented\nMESSAGE_ID=%s\nENTENTE_EVENT=%s\n", priority[level], message_id, id);
	for (size_t i = 0; i < n && buf_ok(&b); i++) {
		size_t before = b.len;
		if (kv[i].value.len)
			put_field(&b, kv[i].key, utf8_first(kv[i].value, VALUE_MAX));
		if (!buf_ok(&b)) /* no half field */
			buf_truncate(&b, before);
	}
	snprintf(number, sizeof number, "%llu", (unsigned long long)hidden);
	if (hidden && buf_ok(&b))
		put_field(&b, "hidden", slice_str(number));
	struct slice all = buf_slice(&b);
	/* A journal that stalls must not hold up the workers: what it does not take at once is lost, and counted. */
	if (sendto(journal_fd, all.p, all.len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&journal_address, sizeof journal_address) == (ssize_t)all.len)
		return true;
	if (errno != EAGAIN)
		return false;
	metric_add(METRIC_LOG_LOST, 1);
	return true;
}

static void emit(enum log_level level, const char *id, const struct log_kv *kv, size_t n, uint64_t hidden)
{
	static const char *const name[] = {"error", "warning", "info", "debug"};
	char line_mem[LINE_MAX_LEN]; /* as large as the limit: the buffer never turns to the heap */
	struct buf b = {.mem = line_mem, .cap = sizeof line_mem, .limit = sizeof line_mem};
	if (journal_fd >= 0 && !sink_fn && emit_entry(level, id, kv, n, hidden))
		return;
	if (journal_stream) {
		buf_printf(&b, "<%c>", priority[level]);
	} else {
		char now[CLOCK_TEXT];
		clock_text(now);
		buf_printf(&b, "%s ", now);
	}
	buf_printf(&b, "%s ", name[level]);
	put_line(&b, id, kv, n, hidden);
	end_line(&b);
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
