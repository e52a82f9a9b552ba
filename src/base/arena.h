/* SPDX-License-Identifier: Apache-2.0 */
/* An arena holds everything that belongs to one message and is given back in one step. Arenas come from a pool (one per
 * worker, not thread-safe), so that taking one costs no heap allocation in the steady state. An arena may travel to another
 * worker with the message that it holds; it must go back through arena_release on whatever pool is at hand there. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct arena;
struct arena_pool;

enum { ARENA_BLOCK = 16384 };

/* `max` is the limit in octets of one arena (all its blocks); `keep` how many idle arenas the pool retains. */
struct arena_pool *arena_pool_new(size_t max, size_t keep);
/* Of arenas that are acquired from now on. */
void arena_pool_set_max(struct arena_pool *pool, size_t max);
/* Frees the pool and its idle arenas; accepts NULL; returns NULL. Arenas still in use stay valid until released. */
struct arena_pool *arena_pool_free(struct arena_pool *pool);

struct arena *arena_acquire(struct arena_pool *pool);
/* Gives the arena back (or frees it when the pool is full or NULL). Accepts NULL; returns NULL. */
struct arena *arena_release(struct arena_pool *pool, struct arena *a);

/* An arena outside any pool, for tests and tools. Free with arena_release(NULL, a). */
struct arena *arena_new(size_t max);

/* Forgets all contents, keeps the first block. */
void arena_reset(struct arena *a);

/* 16-octet aligned, zeroed. NULL when the limit would be exceeded: the message is too big, refuse it. */
void *arena_alloc(struct arena *a, size_t n);
/* Like arena_alloc without zeroing and with alignment 1: for text. */
char *arena_bytes(struct arena *a, size_t n);
/* A copy that lives as long as the arena, NUL-terminated after its len; p == NULL when the limit is exceeded. */
struct slice arena_dup(struct arena *a, struct slice s);
/* printf into the arena; p == NULL when the limit is exceeded. */
struct slice arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct slice arena_vprintf(struct arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Slices one after the other, and a number in decimal, as arena_dup would return them: many times faster than printf. */
struct slice arena_join(struct arena *a, const struct slice *parts, size_t n);
#define ARENA_JOIN(a, ...) \
	arena_join((a), (const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
struct slice arena_u64(struct arena *a, uint64_t v);

/* Octets handed out so far. */
size_t arena_used(const struct arena *a);
/* Octets of memory that it occupies. */
size_t arena_size(const struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
