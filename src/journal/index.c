/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/internal.h"

#include "base/mem.h"

void index_init(struct journal_index *x)
{
	*x = (struct journal_index){.next_id = 1};
	map_init(&x->by_id);
	map_init(&x->partners);
	list_init(&x->order);
}

static struct slice id_key(const uint64_t *id)
{
	return slice_of((const char *)id, sizeof *id);
}

struct entry *index_find(const struct journal_index *x, uint64_t id)
{
	struct map_node *n = map_find(&x->by_id, id_key(&id));
	return n ? CONTAINER_OF(n, struct entry, node) : NULL;
}

struct partner *index_partner(const struct journal_index *x, struct slice key)
{
	struct map_node *n = map_find(&x->partners, key);
	return n ? CONTAINER_OF(n, struct partner, node) : NULL;
}

struct entry *index_add(struct journal_index *x, uint64_t id, struct slice partner, uint32_t len, int64_t accepted_at)
{
	struct partner *p = index_partner(x, partner);
	if (!p) {
		p = mem_calloc(1, sizeof *p + partner.len);
		memcpy(p->key, partner.p, partner.len);
		map_insert(&x->partners, &p->node, slice_of(p->key, partner.len));
	}
	struct entry *e = MEM_NEW(struct entry);
	e->id = id;
	e->partner = p;
	e->len = len;
	e->accepted_at = accepted_at;
	map_insert(&x->by_id, &e->node, id_key(&e->id));
	list_append(&x->order, &e->order);
	p->entries++;
	p->octets += len;
	x->entries++;
	x->octets += len;
	return e;
}

void index_over(struct journal_index *x, struct entry *e)
{
	struct partner *p = e->partner;
	map_remove(&x->by_id, &e->node);
	list_remove(&e->order);
	x->entries--;
	x->octets -= e->len;
	p->octets -= e->len;
	if (!--p->entries) {
		map_remove(&x->partners, &p->node);
		mem_free(p);
	}
	e->partner = NULL;
	e->over = true;
}

void index_free(struct journal_index *x)
{
	for (struct list *l; (l = list_head(&x->order));) {
		struct entry *e = CONTAINER_OF(l, struct entry, order);
		list_remove(&e->in_segment);
		list_remove(&e->dirty);
		index_over(x, e);
		mem_free(e);
	}
	map_free(&x->by_id);
	map_free(&x->partners);
}
