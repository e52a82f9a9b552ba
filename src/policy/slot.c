/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/snapshot.h"

void snapshot_slot_init(struct snapshot_slot *slot, struct snapshot *first)
{
	pthread_mutex_init(&slot->lock, NULL);
	slot->current = first ? snapshot_ref(first) : NULL;
	atomic_init(&slot->version, 1);
}

void snapshot_slot_destroy(struct snapshot_slot *slot)
{
	slot->current = snapshot_unref(slot->current);
	pthread_mutex_destroy(&slot->lock);
}

void snapshot_slot_publish(struct snapshot_slot *slot, struct snapshot *s)
{
	snapshot_ref(s);
	pthread_mutex_lock(&slot->lock);
	struct snapshot *old = slot->current;
	slot->current = s;
	atomic_fetch_add_explicit(&slot->version, 1, memory_order_release);
	pthread_mutex_unlock(&slot->lock);
	snapshot_unref(old); /* may free a large thing: not under the lock */
}

static struct snapshot *acquire(struct snapshot_slot *slot, uint64_t *ret_version)
{
	pthread_mutex_lock(&slot->lock);
	struct snapshot *s = slot->current ? snapshot_ref(slot->current) : NULL;
	*ret_version = atomic_load_explicit(&slot->version, memory_order_relaxed);
	pthread_mutex_unlock(&slot->lock);
	return s;
}

struct snapshot *snapshot_slot_acquire(struct snapshot_slot *slot)
{
	uint64_t version;
	return acquire(slot, &version);
}

void snapshot_reader_init(struct snapshot_reader *r, struct snapshot_slot *slot)
{
	*r = (struct snapshot_reader){.slot = slot};
}

void snapshot_reader_destroy(struct snapshot_reader *r)
{
	r->held = snapshot_unref(r->held);
	r->version = 0;
}

struct snapshot *snapshot_reader_get(struct snapshot_reader *r)
{
	if (atomic_load_explicit(&r->slot->version, memory_order_acquire) != r->version) {
		struct snapshot *old = r->held;
		r->held = acquire(r->slot, &r->version);
		snapshot_unref(old);
	}
	return r->held;
}
