/* SPDX-License-Identifier: Apache-2.0 */
/* How many records of a kind one user has: the limits per user, so that nobody can use up what is meant for all. */
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/gateway_int.h"

struct tally {
	struct map_node node; /* key: kind, then the user's bare address; behind this struct */
	size_t n;
	uint64_t stamp;
	struct list records;
	char key[];
};

static struct slice key_of(char *dst, enum tally_kind kind, struct slice user)
{
	dst[0] = (char)('a' + kind);
	memcpy(dst + 1, user.p, user.len);
	return slice_of(dst, user.len + 1);
}

static struct tally *find(struct gateway *g, enum tally_kind kind, struct slice user)
{
	char mem[PAIR_KEY_MAX];
	struct map_node *n = user.len < PAIR_KEY_MAX ? map_find(&g->tallies, key_of(mem, kind, user)) : NULL;
	return n ? CONTAINER_OF(n, struct tally, node) : NULL;
}

bool tally_full(struct gateway *g, enum tally_kind kind, struct slice user, size_t max)
{
	struct tally *t = max ? find(g, kind, user) : NULL;
	if (!t || t->n < max)
		return false;
	metric_add(METRIC_LIMIT_HITS, 1);
	return true;
}

void tally_add(struct gateway *g, enum tally_kind kind, struct slice user)
{
	struct tally *t = find(g, kind, user);
	if (!t) {
		t = mem_calloc(1, sizeof *t + user.len + 1);
		list_init(&t->records);
		map_insert(&g->tallies, &t->node, key_of(t->key, kind, user));
	}
	t->n++;
}

void tally_drop(struct gateway *g, enum tally_kind kind, struct slice user)
{
	struct tally *t = find(g, kind, user);
	if (t && --t->n == 0) {
		map_remove(&g->tallies, &t->node);
		mem_free(t);
	}
}

uint64_t *tally_stamp(struct gateway *g, enum tally_kind kind, struct slice user)
{
	struct tally *t = find(g, kind, user);
	return t ? &t->stamp : NULL;
}

struct list *tally_records(struct gateway *g, enum tally_kind kind, struct slice user)
{
	struct tally *t = find(g, kind, user);
	return t ? &t->records : NULL;
}

void tallies_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->tallies, i)
		mem_free(CONTAINER_OF(n, struct tally, node));
	map_free(&g->tallies);
}
