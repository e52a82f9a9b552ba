/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of the house: what the gateway has put into its journal, written and read a millisecond later, or not. */
#include "house.h"

#include "base/mem.h"

static struct house_entry *entry_of(struct house *h, uint64_t id)
{
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (id && h->entries[i].q.id == id)
			return &h->entries[i];
	return NULL;
}

void house_entry_drop(struct house_entry *e)
{
	mem_free(e->partner);
	mem_free(e->pair);
	mem_free(e->octets);
	*e = (struct house_entry){0};
}

static enum reason on_queue_room(void *arg, struct slice partner, size_t octets)
{
	struct house *h = arg;
	assert_true(partner.len > 0 && octets > 0);
	return h->disk_full ? REASON_SERVER_QUEUE_DISK : REASON_NONE;
}

static enum reason on_queue_put(void *arg, struct gateway_queued *q, struct slice octets)
{
	struct house *h = arg;
	struct house_entry *e = NULL;
	/* else somebody waits: the sender for its answer, a partner's server for its acknowledgement */
	assert_true(!q->lazy || (q->kind == GATEWAY_TO_SIP && q->marks.state == GATEWAY_QUEUE_IN_FLIGHT));
	if (h->disk_full)
		return REASON_SERVER_QUEUE_DISK;
	for (size_t i = 0; !e && i < HOUSE_RECORDS; i++)
		if (!h->entries[i].q.id)
			e = &h->entries[i];
	assert_non_null(e);
	h->disk_full = h->room_for && !--h->room_for; /* this is the last */
	q->id = ++h->n_entries;
	*e = (struct house_entry){.q = *q, .partner = mem_strndup(q->partner.p, q->partner.len), .pair = mem_strndup(q->pair.p, q->pair.len),
				  .octets = mem_strndup(octets.p, octets.len), .n_octets = octets.len};
	e->q.partner = slice_of(e->partner, q->partner.len);
	e->q.pair = slice_of(e->pair, q->pair.len);
	e->q.octets = octets.len;
	h->journal_puts++;
	timer_arm(&h->timers, &h->disk, 1);
	return REASON_NONE;
}

static void on_queue_end(void *arg, uint64_t id)
{
	struct house *h = arg;
	struct house_entry *e = entry_of(h, id);
	assert_non_null(e);
	if (!h->killed)
		house_entry_drop(e);
}

static void on_queue_mark(void *arg, uint64_t id, const struct gateway_marks *m)
{
	struct house *h = arg;
	assert_non_null(entry_of(h, id));
	entry_of(h, id)->q.marks = *m;
}

static bool on_queue_read(void *arg, uint64_t id)
{
	struct house *h = arg;
	assert_non_null(entry_of(h, id));
	if (h->disk_busy)
		return false;
	entry_of(h, id)->reading = true;
	h->journal_reads++;
	timer_arm(&h->timers, &h->disk, 1);
	return true;
}

static bool on_queue_alone(void *arg, bool begin)
{
	struct house *h = arg;
	assert_true(h->alone != begin);
	h->alone = begin;
	return true;
}

static int64_t on_queue_now(void *arg)
{
	const struct house *h = arg;
	return HOUSE_UNIX + (int64_t)(h->timers.now / 1000);
}

void house_disk_fired(struct timer *t, uint64_t now)
{
	struct house *h = CONTAINER_OF(t, struct house, disk);
	(void)now;
	for (uint64_t id = 1; id <= h->n_entries; id++) {
		struct house_entry *e = entry_of(h, id);
		if (e && !e->durable && h->disk_failing) {
			house_entry_drop(e);
			gateway_queue_stored(h->gateway, id, REASON_SERVER_QUEUE_DISK);
			continue;
		}
		if (e && !e->durable) {
			e->durable = true;
			gateway_queue_stored(h->gateway, id, REASON_NONE);
			e = entry_of(h, id);
		}
		if (e && e->reading) {
			e->reading = false;
			if (h->disk_unread)
				gateway_queue_unread(h->gateway, id);
			else
				gateway_queue_octets(h->gateway, id, true, slice_of(e->octets, e->n_octets));
		}
	}
}

void house_journal(struct house *h)
{
	h->journal = true;
	house_restart(h, 0);
}

unsigned house_journaled(const struct house *h)
{
	unsigned n = 0;
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		n += h->entries[i].q.id != 0;
	return n;
}

/* What the handler of crashes writes down, and the next start makes of it. */
void house_journal_crash(struct house *h)
{
	for (size_t i = 0; i < HOUSE_RECORDS; i++) {
		struct gateway_marks *m = &h->entries[i].q.marks;
		h->entries[i].reading = false;
		m->crashes += h->crashed && h->entries[i].durable && m->state & GATEWAY_QUEUE_IN_FLIGHT;
	}
	for (size_t i = 0; h->crashed && i < GATEWAY_UNDER_WAY; i++) {
		uint64_t name = h->under_way.names[i];
		size_t k = 0;
		while (name && h->suspects[k].name && h->suspects[k].name != name)
			k++;
		if (!name)
			continue;
		assert_in_range(k, 0, sizeof h->suspects / sizeof *h->suspects - 2);
		h->suspects[k].name = name;
		h->suspects[k].crashes++;
	}
	h->crashed = false;
}

void house_journal_load(struct house *h)
{
	for (size_t k = 0; h->suspects[k].name; k++)
		gateway_load_suspect(h->gateway, h->suspects[k].name, h->suspects[k].crashes);
	for (uint64_t id = 1; id <= h->n_entries; id++) {
		struct house_entry *e = entry_of(h, id);
		if (e && !e->durable)
			house_entry_drop(e);
		else if (e && !gateway_queue_load(h->gateway, &e->q))
			house_entry_drop(e);
	}
}

void house_journal_ops(struct gateway_ops *ops)
{
	ops->queue_room = on_queue_room;
	ops->queue_put = on_queue_put;
	ops->queue_end = on_queue_end;
	ops->queue_mark = on_queue_mark;
	ops->queue_read = on_queue_read;
	ops->queue_alone = on_queue_alone;
	ops->queue_now = on_queue_now;
}
