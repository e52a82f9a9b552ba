/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive hash map keyed by octets (SipHash-1-3 under a random key per process, so that peers cannot aim at one bucket).
 * The node lies inside the element and the key must live as long as the node is in the map. Not thread-safe. */
#pragma once
#include "base/slice.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	struct slice key;
};

struct map {
	struct map_node **buckets;
	size_t n_buckets, count; /* n_buckets is a power of two */
};

void map_init(struct map *m);
/* Frees the table, not the elements. */
void map_free(struct map *m);

struct map_node *map_find(const struct map *m, struct slice key);
/* The key must not be in the map yet. */
void map_insert(struct map *m, struct map_node *n, struct slice key);
/* The node must be in the map. */
void map_remove(struct map *m, struct map_node *n);

/* Iteration in no order; the visited node may be removed. `i` is a size_t of the caller. */
#define MAP_EACH(it, m, i)                                                                         \
	for ((i) = 0; (i) < (m)->n_buckets; (i)++)                                                 \
		for (struct map_node *it = (m)->buckets[i], *it##_next; it && (it##_next = it->next, 1); it = it##_next)

/* The process-wide keyed hash that the maps use; also picks the worker of a domain or a user. */
uint64_t hash_slice(struct slice s);
/* ASCII letters folded first. */
uint64_t hash_slice_nocase(struct slice s);
/* The same in every process, for names that must survive a restart; others can compute it, so never for buckets. */
uint64_t hash_slice_stable(struct slice s, uint64_t seed);
