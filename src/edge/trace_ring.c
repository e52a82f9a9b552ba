/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/trace_ring.h"

#include <pthread.h>
#include <string.h>
#include "base/mem.h"

enum { LEAST = 65536, MARKS = 128, STEPS = 64 };

struct record { /* and after it the peer and the head; records lie one after the other and never wrap */
	uint32_t len;     /* of all, a multiple of 8; 0: the rest of the ring is unused, go on at its beginning */
	uint16_t peer, head;
	uint32_t size;
	uint32_t flags;   /* 1 out, 2 partner */
	int64_t at_ms;
};

/* Places count from the beginning of time; `cap` apart they are the same octets. What is overwritten is not read for it, as it is long out of the
 * processor's cache: the oldest records go some at a time, from one mark to the next. */
struct trace_ring {
	pthread_mutex_t lock;
	char *mem;                /* owned */
	uint64_t cap, tail;       /* where the next one goes */
	uint64_t marks[MARKS];    /* records begin there; the ring begins at the first one */
	size_t first, n_marks;
};

struct trace_ring *trace_ring_new(size_t octets)
{
	struct trace_ring *r = MEM_NEW(struct trace_ring);
	r->cap = octets < LEAST ? LEAST : octets & ~(size_t)4095;
	r->mem = mem_calloc(1, r->cap);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

struct trace_ring *trace_ring_free(struct trace_ring *r)
{
	if (!r)
		return NULL;
	pthread_mutex_destroy(&r->lock);
	mem_free(r->mem);
	return mem_free(r);
}

static struct record at(const char *mem, uint64_t offset)
{
	struct record rec;
	memcpy(&rec, mem + offset, sizeof rec);
	return rec;
}

static uint64_t begin(const struct trace_ring *r)
{
	return r->n_marks ? r->marks[r->first] : r->tail;
}

/* Room for `len` octets at the tail, in one piece. */
static char *room(struct trace_ring *r, uint64_t len)
{
	uint64_t rest = r->cap - r->tail % r->cap;
	if (rest < len) { /* the rest stays unused */
		if (rest >= sizeof(struct record))
			memset(r->mem + r->tail % r->cap, 0, sizeof(struct record));
		r->tail += rest;
	}
	while (r->n_marks && r->tail + len - begin(r) > r->cap) {
		r->first = (r->first + 1) % MARKS;
		r->n_marks--;
	}
	if (!r->n_marks || r->tail - r->marks[(r->first + r->n_marks - 1) % MARKS] >= r->cap / STEPS)
		r->marks[(r->first + r->n_marks++) % MARKS] = r->tail;
	r->tail += len;
	return r->mem + (r->tail - len) % r->cap;
}

static bool secret(struct slice line)
{
	switch (*line.p | 0x20) {
	case 'a': return slice_istarts(line, S("Authorization")) || slice_istarts(line, S("Authentication-Info"));
	case 'p': return slice_istarts(line, S("Proxy-Authorization")) || slice_istarts(line, S("Proxy-Authenticate"));
	default: return slice_istarts(line, S("WWW-Authenticate"));
	}
}

/* Start line and headers; a line that does not fit, and what is after it, is left out. Every message comes here, most lines are nobody's secret. */
static size_t put_head(char *dst, struct slice raw)
{
	const char *line = raw.p, *end = raw.p + raw.len, *from = line, *next; /* from..line is to be copied, in one piece */
	size_t n = 0;
	for (; line < end && *line != '\r' && *line != '\n'; line = next) {
		char c = *line | 0x20;
		next = line;
		do { /* folded lines belong to it */
			next = memchr(next, '\n', (size_t)(end - next));
			next = next ? next + 1 : end;
		} while (next < end && (*next == ' ' || *next == '\t'));
		if ((c == 'a' || c == 'p' || c == 'w') && secret(slice_of(line, (size_t)(next - line)))) {
			memcpy(dst + n, from, (size_t)(line - from));
			n += (size_t)(line - from);
			from = next;
		} else if (n + (size_t)(next - from) + 2 > TRACE_RING_HEAD) {
			break;
		}
	}
	memcpy(dst + n, from, (size_t)(line - from));
	n += (size_t)(line - from);
	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

void trace_ring_add(struct trace_ring *r, int64_t at_ms, bool out, bool partner, struct slice peer, struct slice raw)
{
	char head[TRACE_RING_HEAD];
	while (raw.len && (*raw.p == '\r' || *raw.p == '\n'))
		raw = slice_skip(raw, 1);
	if (!raw.len)
		return;
	peer = slice_first(peer, TRACE_RING_PEER);
	struct record rec = {.peer = (uint16_t)peer.len, .head = (uint16_t)put_head(head, raw), .size = (uint32_t)raw.len,
			     .flags = (out ? 1u : 0) | (partner ? 2u : 0), .at_ms = at_ms};
	rec.len = (uint32_t)((sizeof rec + rec.peer + rec.head + 7) & ~(size_t)7);
	pthread_mutex_lock(&r->lock);
	char *p = room(r, rec.len);
	memcpy(p, &rec, sizeof rec);
	if (peer.len)
		memcpy(p + sizeof rec, peer.p, peer.len);
	memcpy(p + sizeof rec + peer.len, head, rec.head);
	pthread_mutex_unlock(&r->lock);
}

/* The records of a copy, from its first octet at `from` on, that are not too old. */
static void walk(const struct trace_ring *r, const char *copy, uint64_t from, uint64_t to, int64_t since_ms, void (*fn)(void *, const struct trace_kept *),
		 void *arg)
{
	for (uint64_t i = from; i < to;) {
		uint64_t rest = r->cap - i % r->cap;
		struct record rec = {0};
		if (rest >= sizeof rec)
			rec = at(copy, i - from);
		if (!rec.len) {
			i += rest;
			continue;
		}
		const char *p = copy + (i - from) + sizeof rec;
		struct trace_kept k = {.at_ms = rec.at_ms, .out = rec.flags & 1, .partner = rec.flags & 2, .peer = slice_of(p, rec.peer),
				       .head = slice_of(p + rec.peer, rec.head), .size = rec.size};
		if (rec.at_ms >= since_ms)
			fn(arg, &k);
		i += rec.len;
	}
}

void trace_ring_each(struct trace_ring *r, int64_t now_ms, int64_t since_ms, void (*fn)(void *arg, const struct trace_kept *k), void *arg)
{
	char *copy = mem_calloc(1, r->cap);
	pthread_mutex_lock(&r->lock);
	uint64_t from = begin(r), to = r->tail, before = r->cap - from % r->cap; /* ... the end of the memory */
	if (before > to - from)
		before = to - from;
	memcpy(copy, r->mem + from % r->cap, before);
	memcpy(copy + before, r->mem, to - from - before);
	pthread_mutex_unlock(&r->lock);
	walk(r, copy, from, to, since_ms > now_ms - TRACE_RING_MS ? since_ms : now_ms - TRACE_RING_MS, fn, arg);
	mem_free(copy);
}
