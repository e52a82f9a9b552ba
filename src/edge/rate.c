/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/rate.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { SWEEP = 4 };

struct sender {
	struct map_node node;
	struct list lru;
	uint64_t name; /* hash of the key: whoever shares it with another shares his bucket, once in 2^64 */
	uint64_t due;  /* microseconds: when the next event would be exactly in time */
};

struct rate {
	struct map senders;
	struct list lru; /* the longest silent first */
	size_t max;
};

struct rate *rate_new(size_t max_keys)
{
	struct rate *r = MEM_NEW(struct rate);
	map_init(&r->senders);
	list_init(&r->lru);
	r->max = max_keys;
	return r;
}

static void forget(struct rate *r, struct sender *s)
{
	map_remove(&r->senders, &s->node);
	list_remove(&s->lru);
	mem_free(s);
}

struct rate *rate_free(struct rate *r)
{
	if (!r)
		return NULL;
	LIST_EACH(n, &r->lru)
		forget(r, CONTAINER_OF(n, struct sender, lru));
	map_free(&r->senders);
	return mem_free(r);
}

/* Room for one more: those go that owe nothing any more. */
static void sweep(struct rate *r, uint64_t now_us)
{
	for (int i = 0; i < SWEEP && !list_empty(&r->lru); i++) {
		struct sender *s = CONTAINER_OF(r->lru.next, struct sender, lru);
		if (s->due > now_us && r->senders.count < r->max)
			return;
		forget(r, s);
	}
}

static struct sender *sender_of(struct rate *r, struct slice key, uint64_t now_us)
{
	uint64_t name = hash_slice(key);
	struct map_node *n = map_find(&r->senders, slice_of((const char *)&name, sizeof name));
	if (n)
		return CONTAINER_OF(n, struct sender, node);
	sweep(r, now_us);
	struct sender *s = MEM_NEW(struct sender);
	s->name = name;
	map_insert(&r->senders, &s->node, slice_of((const char *)&s->name, sizeof s->name));
	list_append(&r->lru, &s->lru);
	return s;
}

bool rate_admit(struct rate *r, struct slice key, uint64_t now, uint32_t per_second)
{
	uint64_t now_us = now * 1000;
	struct sender *s = sender_of(r, key, now_us);
	list_remove(&s->lru);
	list_append(&r->lru, &s->lru);
	if (s->due < now_us)
		s->due = now_us;
	if (s->due - now_us > (uint64_t)RATE_SLACK_MS * 1000)
		return false;
	s->due += 1000000 / (per_second ? per_second : 1);
	return true;
}

size_t rate_count(const struct rate *r)
{
	return r->senders.count;
}
