/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list: the node lies inside the element, no allocation. Not thread-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* True when the node is in some list; list_init or list_remove make it false. */
static inline bool list_linked(const struct list *n)
{
	return n->next && n->next != n;
}

static inline void list_append(struct list *l, struct list *n)
{
	n->prev = l->prev;
	n->next = l;
	l->prev->next = n;
	l->prev = n;
}

static inline void list_prepend(struct list *l, struct list *n)
{
	list_append(l->next, n);
}

/* Unlinks; harmless on a node that is not linked. */
static inline void list_remove(struct list *n)
{
	if (n->next) {
		n->prev->next = n->next;
		n->next->prev = n->prev;
	}
	list_init(n);
}

/* The first node, or NULL. */
static inline struct list *list_head(const struct list *l)
{
	return list_empty(l) ? NULL : l->next;
}

/* Visits each node; the visited node may be removed inside the loop. */
#define LIST_EACH(it, l)                                                                           \
	for (struct list *it = (l)->next, *it##_next = it->next; it != (l);                        \
	     it = it##_next, it##_next = it->next)
