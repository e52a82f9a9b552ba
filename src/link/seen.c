/* SPDX-License-Identifier: Apache-2.0 */
#include "link/seen.h"

#include "base/list.h"
#include "base/mem.h"

struct link_seen_entry {
	struct map_node node;
	uint64_t number;
	bool done;
};

static struct link_seen_entry *find(const struct link_seen *s, const uint64_t *number)
{
	struct map_node *n = map_find(&s->numbers, slice_of((const char *)number, sizeof *number));
	return n ? CONTAINER_OF(n, struct link_seen_entry, node) : NULL;
}

void link_seen_init(struct link_seen *s, size_t size)
{
	*s = (struct link_seen){.size = size, .ring = mem_calloc(size, sizeof *s->ring)};
	map_init(&s->numbers);
}

void link_seen_clear(struct link_seen *s)
{
	size_t i;
	MAP_EACH(n, &s->numbers, i) {
		map_remove(&s->numbers, n);
		mem_free(CONTAINER_OF(n, struct link_seen_entry, node));
	}
	for (i = 0; i < s->size; i++)
		s->ring[i] = NULL;
	s->next = 0;
}

void link_seen_free(struct link_seen *s)
{
	link_seen_clear(s);
	map_free(&s->numbers);
	s->ring = mem_free(s->ring);
}

enum link_fate link_seen_take(struct link_seen *s, uint64_t number)
{
	struct link_seen_entry *e = find(s, &number);
	if (e)
		return e->done ? LINK_ENDED : LINK_UNDER_WAY;
	e = MEM_NEW(struct link_seen_entry);
	e->number = number;
	map_insert(&s->numbers, &e->node, slice_of((const char *)&e->number, sizeof e->number));
	return LINK_NEW;
}

void link_seen_done(struct link_seen *s, uint64_t number)
{
	struct link_seen_entry *e = find(s, &number), *oldest = s->ring[s->next];
	if (!e || e->done)
		return;
	e->done = true;
	if (oldest) {
		map_remove(&s->numbers, &oldest->node);
		mem_free(oldest);
	}
	s->ring[s->next] = e;
	s->next = (s->next + 1) % s->size;
}
