/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include "base/mem.h"

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){.limit = limit};
}

void buf_free(struct buf *b)
{
	if (b) {
		mem_free(b->mem);
		*b = (struct buf){.limit = b->limit};
	}
}

void buf_wipe(struct buf *b)
{
	if (b && b->mem)
		explicit_bzero(b->mem, b->cap);
	buf_free(b);
}

void buf_clear(struct buf *b)
{
	b->off = b->len = 0;
	b->failed = false;
}

void buf_shrink(struct buf *b, size_t keep)
{
	buf_clear(b);
	if (b->cap > keep) {
		b->mem = mem_free(b->mem);
		b->cap = 0;
	}
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->failed || n > b->limit || b->len > b->limit - n) {
		b->failed = true;
		return NULL;
	}
	if (!b->mem || b->off + b->len + n > b->cap) {
		if (b->off && b->len + n <= b->cap) {
			memmove(b->mem, b->mem + b->off, b->len);
		} else {
			size_t cap = b->cap ? b->cap : 512;
			while (cap < b->len + n)
				cap *= 2;
			char *mem = mem_realloc(NULL, cap);
			if (b->len)
				memcpy(mem, b->mem + b->off, b->len);
			mem_free(b->mem);
			b->mem = mem;
			b->cap = cap;
		}
		b->off = 0;
	}
	return b->mem + b->off + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

void buf_put_slow(struct buf *b, struct slice s)
{
	if (!s.len)
		return;
	char *p = buf_reserve(b, s.len);
	if (p) {
		memcpy(p, s.p, s.len);
		b->len += s.len;
	}
}

void buf_u64(struct buf *b, uint64_t v)
{
	char tmp[20];
	size_t i = sizeof tmp;
	do
		tmp[--i] = (char)('0' + v % 10);
	while (v /= 10);
	buf_put(b, slice_of(tmp + i, sizeof tmp - i));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	size_t used = b->off + b->len, room = b->failed ? 0 : b->cap - used;
	va_start(ap, fmt);
	va_copy(again, ap);
	if (room > b->limit - b->len)
		room = b->limit - b->len;
	/* Once when there is room already, as nearly always. */
	int n = vsnprintf(room ? b->mem + used : NULL, room, fmt, ap);
	if (n >= 0 && (size_t)n < room) {
		b->len += (size_t)n;
	} else {
		char *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
		if (p) {
			vsnprintf(p, (size_t)n + 1, fmt, again);
			b->len += (size_t)n;
		}
	}
	va_end(again);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->off = b->len = 0;
		return;
	}
	b->off += n;
	b->len -= n;
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len < b->len)
		b->len = len;
}
