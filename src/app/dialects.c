/* SPDX-License-Identifier: Apache-2.0 */
#include "app/dialects.h"

#include <pthread.h>
#include "base/list.h"
#include "base/mem.h"

struct entry {
	struct list node;
	struct dialect_place place;
	char name[];
};

struct dialects {
	pthread_mutex_t mutex;
	struct list entries; /* as many as homes were ever configured */
};

struct dialects *dialects_new(void)
{
	struct dialects *d = MEM_NEW(struct dialects);
	pthread_mutex_init(&d->mutex, NULL);
	list_init(&d->entries);
	return d;
}

struct dialects *dialects_free(struct dialects *d)
{
	if (!d)
		return NULL;
	LIST_EACH(n, &d->entries)
		mem_free(CONTAINER_OF(n, struct entry, node));
	pthread_mutex_destroy(&d->mutex);
	return mem_free(d);
}

struct dialect_place *dialects_of(struct dialects *d, struct slice home)
{
	struct entry *found = NULL;
	pthread_mutex_lock(&d->mutex);
	LIST_EACH(n, &d->entries) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);
		if (slice_eq(slice_str(e->name), home))
			found = e;
	}
	if (!found) {
		found = mem_calloc(1, sizeof *found + home.len + 1);
		found->place.name = found->name;
		if (home.len)
			memcpy(found->name, home.p, home.len);
		list_append(&d->entries, &found->node);
	}
	pthread_mutex_unlock(&d->mutex);
	return &found->place;
}
