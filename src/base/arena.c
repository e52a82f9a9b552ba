/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(16) char data[];
};

struct arena {
	struct arena *next_idle;
	struct block *first, *cur;
	size_t max, total, used;
};

struct arena_pool {
	struct arena *idle;
	size_t n_idle, keep, max;
};

static struct block *block_new(size_t size)
{
	struct block *b = mem_realloc(NULL, sizeof *b + size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

struct arena *arena_new(size_t max)
{
	struct arena *a = MEM_NEW(struct arena);
	a->max = max;
	a->first = a->cur = block_new(ARENA_BLOCK);
	a->total = ARENA_BLOCK;
	return a;
}

static void arena_destroy(struct arena *a)
{
	for (struct block *b = a->first, *n; b; b = n) {
		n = b->next;
		mem_free(b);
	}
	mem_free(a);
}

void arena_reset(struct arena *a)
{
	for (struct block *b = a->first->next, *n; b; b = n) {
		n = b->next;
		mem_free(b);
	}
	a->first->next = NULL;
	a->first->used = 0;
	a->cur = a->first;
	a->total = a->first->size;
	a->used = 0;
}

struct arena_pool *arena_pool_new(size_t max, size_t keep)
{
	struct arena_pool *p = MEM_NEW(struct arena_pool);
	p->max = max;
	p->keep = keep;
	return p;
}

void arena_pool_set_max(struct arena_pool *pool, size_t max)
{
	pool->max = max;
}

struct arena_pool *arena_pool_free(struct arena_pool *pool)
{
	if (!pool)
		return NULL;
	while (pool->idle) {
		struct arena *a = pool->idle;
		pool->idle = a->next_idle;
		arena_destroy(a);
	}
	return mem_free(pool);
}

struct arena *arena_acquire(struct arena_pool *pool)
{
	struct arena *a = pool->idle;
	if (!a)
		return arena_new(pool->max);
	pool->idle = a->next_idle;
	pool->n_idle--;
	a->next_idle = NULL;
	a->max = pool->max;
	return a;
}

struct arena *arena_release(struct arena_pool *pool, struct arena *a)
{
	if (!a)
		return NULL;
	if (!pool || pool->n_idle >= pool->keep) {
		arena_destroy(a);
		return NULL;
	}
	arena_reset(a);
	a->next_idle = pool->idle;
	pool->idle = a;
	pool->n_idle++;
	return NULL;
}

static void *take(struct arena *a, size_t n, size_t align)
{
	struct block *b = a->cur;
	size_t at = (b->used + align - 1) & ~(align - 1);
	if (at > b->size || n > b->size - at) {
		size_t size = n > ARENA_BLOCK ? n : ARENA_BLOCK;
		if (size < n || a->total + size < size || a->total + size > a->max)
			return NULL;
		struct block *nb = block_new(size);
		b->next = nb;
		a->cur = b = nb;
		a->total += size;
		at = 0;
	}
	b->used = at + n;
	a->used += n;
	return b->data + at;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p = take(a, n, 16);
	if (p)
		memset(p, 0, n);
	return p;
}

char *arena_bytes(struct arena *a, size_t n)
{
	return take(a, n, 1);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	if (s.len == SIZE_MAX)
		return SLICE_NONE;
	char *p = take(a, s.len + 1, 1);
	if (!p)
		return SLICE_NONE;
	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return slice_of(p, s.len);
}

/* Once when it fits into the present block, as nearly always; a second time when it turns out that it does not. */
struct slice arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	struct block *b = a->cur;
	size_t room = b->size - b->used;
	va_list again;
	va_copy(again, ap);
	char *p = b->data + b->used;
	int n = vsnprintf(p, room, fmt, ap);
	if (n >= 0 && (size_t)n < room) {
		b->used += (size_t)n + 1;
		a->used += (size_t)n + 1;
	} else {
		p = n < 0 ? NULL : take(a, (size_t)n + 1, 1);
		if (p)
			vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return p ? slice_of(p, (size_t)n) : SLICE_NONE;
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	struct slice s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return s;
}

struct slice arena_join(struct arena *a, const struct slice *parts, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		len += parts[i].len;
	char *p = take(a, len + 1, 1);
	if (!p)
		return SLICE_NONE;
	char *at = p;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	*at = '\0';
	return slice_of(p, len);
}

struct slice arena_u64(struct arena *a, uint64_t v)
{
	char tmp[20];
	size_t i = sizeof tmp;
	do
		tmp[--i] = (char)('0' + v % 10);
	while (v /= 10);
	return arena_dup(a, slice_of(tmp + i, sizeof tmp - i));
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_size(const struct arena *a)
{
	return a->total;
}
