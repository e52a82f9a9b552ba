/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer with a hard limit and a sticky failure: a builder appends without checking each step and looks at
 * buf_ok() once. Consuming from the front is cheap, so the same type serves as receive and send queue. Not thread-safe. */
#pragma once
#include <stdarg.h>
#include "base/slice.h"

struct buf {
	char *mem;         /* owned */
	size_t off, len;   /* contents are mem[off .. off + len) */
	size_t cap, limit; /* octets */
	bool failed;       /* an append went past the limit; contents stay as they were before it */
};

/* No allocation until the first append. */
void buf_init(struct buf *b, size_t limit);
/* Frees the memory; the buffer may be used again after buf_init. Accepts NULL. */
void buf_free(struct buf *b);
/* As buf_free, for secrets: nothing of them stays in this memory. (A buffer that grew has left copies behind: reserve first where that
 * matters.) */
void buf_wipe(struct buf *b);
/* Empties it, clears the failure, keeps the memory. */
void buf_clear(struct buf *b);
/* As buf_clear, and gives memory above `keep` octets back to the heap. */
void buf_shrink(struct buf *b, size_t keep);

static inline bool buf_ok(const struct buf *b)
{
	return !b->failed;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->mem ? b->mem + b->off : NULL, b->len);
}

void buf_put_slow(struct buf *b, struct slice s); /* private: no room, or failed */
static inline void buf_put(struct buf *b, struct slice s)
{
	if (b->failed || b->off + b->len + s.len > b->cap || b->len + s.len > b->limit) {
		buf_put_slow(b, s);
	} else if (s.len) {
		memcpy(b->mem + b->off + b->len, s.p, s.len);
		b->len += s.len;
	}
}
static inline void buf_puts(struct buf *b, const char *z)
{
	buf_put(b, slice_str(z));
}
static inline void buf_putc(struct buf *b, char c)
{
	buf_put(b, slice_of(&c, 1));
}
void buf_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more octets to be written at the returned pointer and confirmed by buf_commit; NULL past the limit. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/* Drops n octets from the front (at most all). */
void buf_consume(struct buf *b, size_t n);
/* Cuts the contents to `len` octets (a builder that takes back a half-written piece). */
void buf_truncate(struct buf *b, size_t len);
