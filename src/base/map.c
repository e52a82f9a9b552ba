/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/mem.h"
#include "base/rand.h"

static uint64_t key0, key1;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static atomic_bool key_made; /* each hash asks: in place of a call */

static void key_make(void)
{
	uint64_t k[2];
	rand_bytes(k, sizeof k);
	key0 = k[0];
	key1 = k[1];
	atomic_store_explicit(&key_made, true, memory_order_release);
}

static inline void key_need(void)
{
	if (!atomic_load_explicit(&key_made, memory_order_acquire))
		pthread_once(&key_once, key_make);
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND                                                                                      \
	do {                                                                                       \
		v0 += v1; v1 = ROTL(v1, 13); v1 ^= v0; v0 = ROTL(v0, 32);                          \
		v2 += v3; v3 = ROTL(v3, 16); v3 ^= v2;                                             \
		v0 += v3; v3 = ROTL(v3, 21); v3 ^= v0;                                             \
		v2 += v1; v1 = ROTL(v1, 17); v1 ^= v2; v2 = ROTL(v2, 32);                          \
	} while (0)

/* Up to eight octets as a little-endian number; ASCII capitals become small letters, all at once. */
static inline uint64_t word(const char *p, size_t n, bool fold)
{
	const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
	uint64_t m = 0;
	if (n == 8) {
		memcpy(&m, p, 8);
		m = le64toh(m);
	} else if (n >= 4) { /* two loads that overlap, instead of a call */
		uint32_t low, high4;
		memcpy(&low, p, 4);
		memcpy(&high4, p + n - 4, 4);
		m = le32toh(low) | (uint64_t)le32toh(high4) << (n - 4) * 8;
	} else if (n) {
		m = (unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << n / 2 * 8 | (uint64_t)(unsigned char)p[n - 1] << (n - 1) * 8;
	}
	if (fold) {
		uint64_t low = m & ~high;
		uint64_t upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x80 - 'Z' - 1)) & ~m & high;
		m |= upper >> 2; /* 0x80 >> 2 is the bit between A and a */
	}
	return m;
}

/* SipHash-1-3 with a key of the process, as hash tables have it elsewhere (Rust, Python); 2-4 where the value is for others. */
static inline __attribute__((always_inline)) uint64_t siphash(struct slice s, uint64_t k0, uint64_t k1, bool fold, bool strong)
{
	uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
	uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
	uint64_t m;
	size_t whole = s.len & ~(size_t)7;
	for (size_t i = 0; i < whole; i += 8) {
		m = word(s.p + i, 8, fold);
		v3 ^= m; ROUND;
		if (strong)
			ROUND;
		v0 ^= m;
	}
	m = word(s.p ? s.p + whole : "", s.len - whole, fold) | (uint64_t)s.len << 56;
	v3 ^= m; ROUND;
	if (strong)
		ROUND;
	v0 ^= m;
	v2 ^= 0xff; ROUND; ROUND; ROUND;
	if (strong)
		ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t hash_slice(struct slice s)
{
	key_need();
	return siphash(s, key0, key1, false, false);
}

uint64_t hash_slice_nocase(struct slice s)
{
	key_need();
	return siphash(s, key0, key1, true, false);
}

uint64_t hash_slice_stable(struct slice s, uint64_t seed)
{
	return siphash(s, seed, ~seed, false, true);
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_free(struct map *m)
{
	mem_free(m->buckets);
	*m = (struct map){0};
}

struct map_node *map_find(const struct map *m, struct slice key)
{
	if (!m->count)
		return NULL;
	uint64_t h = hash_slice(key);
	for (struct map_node *n = m->buckets[h & (m->n_buckets - 1)]; n; n = n->next)
		if (n->hash == h && slice_eq(n->key, key))
			return n;
	return NULL;
}

static void grow(struct map *m)
{
	size_t nb = m->n_buckets ? m->n_buckets * 2 : 16;
	struct map_node **b = mem_calloc(nb, sizeof *b);
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct map_node *n = m->buckets[i], *next; n; n = next) {
			next = n->next;
			n->next = b[n->hash & (nb - 1)];
			b[n->hash & (nb - 1)] = n;
		}
	mem_free(m->buckets);
	m->buckets = b;
	m->n_buckets = nb;
}

void map_insert(struct map *m, struct map_node *n, struct slice key)
{
	if (m->count >= m->n_buckets)
		grow(m);
	n->key = key;
	n->hash = hash_slice(key);
	struct map_node **b = &m->buckets[n->hash & (m->n_buckets - 1)];
	n->next = *b;
	*b = n;
	m->count++;
}

void map_remove(struct map *m, struct map_node *n)
{
	struct map_node **b = &m->buckets[n->hash & (m->n_buckets - 1)];
	while (*b != n)
		b = &(*b)->next;
	*b = n->next;
	n->next = NULL;
	m->count--;
}
