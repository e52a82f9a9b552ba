/* SPDX-License-Identifier: Apache-2.0 */
/* How many records of a kind one user has: the limits per user, so that nobody can use up what is meant for all. */
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/gateway_int.h"

/* Of kinds whose records are put together; behind it the key, which is the kind and the user's bare address. */
struct tally {
	struct map_node node;
	uint64_t stamp;
	struct list records;
	char key[];
};

static bool kept(enum tally_kind kind)
{
	return kind == TALLY_WATCHER;
}

static struct slice key_of(char *dst, enum tally_kind kind, struct slice user)
{
	dst[0] = (char)('a' + kind);
	memcpy(dst + 1, user.p, user.len);
	return slice_of(dst, user.len + 1);
}

static bool mark_of(uint64_t *ret, enum tally_kind kind, struct slice user)
{
	char mem[PAIR_KEY_MAX];
	if (user.len >= PAIR_KEY_MAX)
		return false;
	*ret = hash_slice(key_of(mem, kind, user));
	return true;
}

static struct tally *find(struct gateway *g, enum tally_kind kind, struct slice user)
{
	char mem[PAIR_KEY_MAX];
	struct map_node *n = kept(kind) && user.len < PAIR_KEY_MAX ? map_find(&g->tallies, key_of(mem, kind, user)) : NULL;
	return n ? CONTAINER_OF(n, struct tally, node) : NULL;
}

bool tally_full(struct gateway *g, enum tally_kind kind, struct slice user, size_t max)
{
	uint64_t mark;
	if (!max || !mark_of(&mark, kind, user) || counts_get(&g->counts, mark) < max)
		return false;
	metric_add(METRIC_LIMIT_HITS, 1);
	return true;
}

void tally_add(struct gateway *g, enum tally_kind kind, struct slice user)
{
	uint64_t mark;
	if (!mark_of(&mark, kind, user))
		return;
	uint32_t n = counts_get(&g->counts, mark);
	if (!n && kept(kind)) {
		struct tally *t = mem_calloc(1, sizeof *t + user.len + 1);
		list_init(&t->records);
		map_insert(&g->tallies, &t->node, key_of(t->key, kind, user));
	}
	counts_set(&g->counts, mark, n + 1);
}

void tally_drop(struct gateway *g, enum tally_kind kind, struct slice user)
{
	uint64_t mark;
	uint32_t n = mark_of(&mark, kind, user) ? counts_get(&g->counts, mark) : 0;
	if (!n)
		return;
	counts_set(&g->counts, mark, n - 1);
	struct tally *t = n == 1 ? find(g, kind, user) : NULL;
	if (t) {
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
	counts_free(&g->counts);
}
