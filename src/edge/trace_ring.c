/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/trace_ring.h"

#include <pthread.h>
#include <string.h>
#include "base/mem.h"

enum { LEAST = 65536 };

struct record { /* and after it the peer and the head; records lie one after the other and never wrap */
	uint32_t len;     /* of all, a multiple of 8; 0: the rest of the ring is unused, go on at its beginning */
	uint16_t peer, head;
	uint32_t size;
	uint32_t flags;   /* 1 out, 2 partner */
	int64_t at_ms;
};

struct trace_ring {
	pthread_mutex_t lock;
	char *mem;        /* owned */
	size_t cap, head, tail; /* the oldest record; where the next one goes */
	size_t n;
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

static struct record at(const char *mem, size_t offset)
{
	struct record rec;
	memcpy(&rec, mem + offset, sizeof rec);
	return rec;
}

static bool fits(const struct trace_ring *r, size_t offset)
{
	return r->cap - offset >= sizeof(struct record);
}

static void drop(struct trace_ring *r)
{
	r->head += at(r->mem, r->head).len;
	r->n--;
	if (r->n && (!fits(r, r->head) || !at(r->mem, r->head).len))
		r->head = 0;
	if (!r->n)
		r->head = r->tail;
}

/* Room for `len` octets at the tail, in one piece. */
static void room(struct trace_ring *r, size_t len)
{
	if (!r->n)
		r->head = r->tail = 0;
	if (r->cap - r->tail < len) { /* the rest stays unused */
		while (r->n && r->head >= r->tail)
			drop(r);
		if (fits(r, r->tail))
			memset(r->mem + r->tail, 0, sizeof(struct record));
		r->tail = 0;
		if (!r->n)
			r->head = 0;
	}
	while (r->n && r->head >= r->tail && r->head - r->tail < len)
		drop(r);
}

static bool secret(struct slice line)
{
	switch (*line.p | 0x20) { /* most lines begin otherwise, and every message comes here */
	case 'a': return slice_istarts(line, S("Authorization")) || slice_istarts(line, S("Authentication-Info"));
	case 'p': return slice_istarts(line, S("Proxy-Authorization")) || slice_istarts(line, S("Proxy-Authenticate"));
	case 'w': return slice_istarts(line, S("WWW-Authenticate"));
	default: return false;
	}
}

/* Where the next header begins, folded lines passed over. */
static const char *next_header(const char *p, const char *end)
{
	do {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : end;
	} while (p < end && (*p == ' ' || *p == '\t'));
	return p;
}

/* Start line and headers; a line that does not fit, and what is after it, is left out. */
static size_t put_head(char *dst, struct slice raw)
{
	const char *line = raw.p, *end = raw.p + raw.len, *from = line, *next; /* from..line is to be copied, in one piece */
	size_t n = 0;
	for (; line < end && *line != '\r' && *line != '\n'; line = next) {
		next = next_header(line, end);
		if (secret(slice_of(line, (size_t)(next - line)))) {
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
	while (r->n && at(r->mem, r->head).at_ms < at_ms - TRACE_RING_MS)
		drop(r);
	room(r, rec.len);
	char *p = r->mem + r->tail;
	memcpy(p, &rec, sizeof rec);
	if (peer.len)
		memcpy(p + sizeof rec, peer.p, peer.len);
	memcpy(p + sizeof rec + peer.len, head, rec.head);
	r->tail += rec.len;
	r->n++;
	pthread_mutex_unlock(&r->lock);
}

void trace_ring_each(struct trace_ring *r, int64_t now_ms, int64_t since_ms, void (*fn)(void *arg, const struct trace_kept *k), void *arg)
{
	char *copy = mem_calloc(1, r->cap);
	pthread_mutex_lock(&r->lock);
	while (r->n && at(r->mem, r->head).at_ms < now_ms - TRACE_RING_MS)
		drop(r);
	size_t n = r->n, offset = r->head;
	memcpy(copy, r->mem, r->cap);
	pthread_mutex_unlock(&r->lock);
	for (; n; n--) {
		if (!fits(r, offset) || !at(copy, offset).len)
			offset = 0;
		struct record rec = at(copy, offset);
		const char *p = copy + offset + sizeof rec;
		struct trace_kept k = {.at_ms = rec.at_ms, .out = rec.flags & 1, .partner = rec.flags & 2, .peer = slice_of(p, rec.peer),
				       .head = slice_of(p + rec.peer, rec.head), .size = rec.size};
		if (rec.at_ms >= since_ms)
			fn(arg, &k);
		offset += rec.len;
	}
	mem_free(copy);
}

size_t trace_ring_count(struct trace_ring *r)
{
	pthread_mutex_lock(&r->lock);
	size_t n = r->n;
	pthread_mutex_unlock(&r->lock);
	return n;
}
