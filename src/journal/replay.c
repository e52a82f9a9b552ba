/* SPDX-License-Identifier: Apache-2.0 */
/* What the octets of the segments, oldest first, make of the index. A record may come twice (it was copied forward): the later one says where it is. What does not
 * read is damage when the segment was durable at that place; behind that it is the torn tail of a power cut, of which nobody was told that it is durable. */
#include "journal/internal.h"

#include "base/mem.h"

struct damaged {
	struct map_node node;
	uint64_t id;
};

struct hole {
	size_t at, len;
	uint64_t id; /* of the entry that stood there; 0: not known */
};

void replay_init(struct replay *r, struct journal_index *x)
{
	*r = (struct replay){.index = x};
	map_init(&r->damaged);
	map_init(&r->heads);
}

static void forget_head(struct replay *r, struct replay_head *h)
{
	map_remove(&r->heads, &h->node);
	mem_free(h);
}

void replay_free(struct replay *r)
{
	size_t i;
	MAP_EACH(n, &r->damaged, i)
	{
		map_remove(&r->damaged, n);
		mem_free(CONTAINER_OF(n, struct damaged, node));
	}
	MAP_EACH(n, &r->heads, i)
	{
		forget_head(r, CONTAINER_OF(n, struct replay_head, node));
	}
	map_free(&r->damaged);
	map_free(&r->heads);
}

static struct slice key_of(const uint64_t *id)
{
	return slice_of((const char *)id, sizeof *id);
}

struct replay_head *replay_head_of(const struct replay *r, uint64_t id)
{
	struct map_node *n = map_find(&r->heads, key_of(&id));
	return n ? CONTAINER_OF(n, struct replay_head, node) : NULL;
}

static void forget_damaged(struct replay *r, uint64_t id)
{
	struct map_node *n = r->damaged.count ? map_find(&r->damaged, key_of(&id)) : NULL;
	if (!n)
		return;
	map_remove(&r->damaged, n);
	mem_free(CONTAINER_OF(n, struct damaged, node));
}

static void add_damaged(struct replay *r, uint64_t id)
{
	if (map_find(&r->damaged, key_of(&id)) || index_find(r->index, id)) /* an earlier copy is whole */
		return;
	struct damaged *d = MEM_NEW(struct damaged);
	d->id = id;
	map_insert(&r->damaged, &d->node, key_of(&d->id));
}

static void take_put(struct replay *r, struct segment *s, const struct journal_record *rec)
{
	if (!rec->id || rec->id >= UINT64_MAX / 2 || slice_empty(rec->head.partner) || rec->head.partner.len > JOURNAL_KEY_MAX || rec->head.pair.len > JOURNAL_KEY_MAX ||
	    rec->octets.len > JOURNAL_OCTETS_MAX)
		return; /* nothing that we would write */
	struct entry *e = index_find(r->index, rec->id);
	if (e && (e->len != rec->len || !slice_eq(e->partner->node.key, rec->head.partner)))
		return; /* an id is never given twice: this is no copy of it */
	if (e) {
		list_remove(&e->in_segment);
		e->seg->live_octets -= e->len;
	} else {
		e = index_add(r->index, rec->id, rec->head.partner, (uint32_t)rec->len, rec->head.accepted_at);
		struct replay_head *h = mem_calloc(1, sizeof *h + rec->head.partner.len + rec->head.pair.len);
		char *p = (char *)(h + 1);
		memcpy(p, rec->head.partner.p, rec->head.partner.len);
		if (rec->head.pair.len)
			memcpy(p + rec->head.partner.len, rec->head.pair.p, rec->head.pair.len);
		h->id = rec->id;
		h->head = rec->head;
		h->head.partner.p = p;
		h->head.pair.p = p + rec->head.partner.len;
		h->octets = rec->octets.len;
		map_insert(&r->heads, &h->node, key_of(&h->id));
	}
	e->marks = rec->head.marks;
	e->seg = s;
	e->at = (uint32_t)rec->at;
	list_append(&s->live, &e->in_segment);
	s->live_octets += e->len;
	forget_damaged(r, rec->id); /* a copy of it is whole */
}

static void take(struct replay *r, struct segment *s, const struct journal_record *rec)
{
	struct entry *e;
	if (rec->id > r->max_id && rec->id < UINT64_MAX / 2)
		r->max_id = rec->id;
	switch (rec->type) {
	case JOURNAL_PUT:
		take_put(r, s, rec);
		break;
	case JOURNAL_END:
		r->ended++;
		forget_damaged(r, rec->id);
		if (!(e = index_find(r->index, rec->id)))
			break;
		list_remove(&e->in_segment);
		e->seg->live_octets -= e->len;
		index_over(r->index, e);
		mem_free(e);
		forget_head(r, replay_head_of(r, rec->id));
		break;
	case JOURNAL_MARK:
		if ((e = index_find(r->index, rec->id)))
			e->marks = rec->head.marks;
		break;
	case JOURNAL_SEAL:
		break;
	}
}

static void note(struct replay *r, const struct segment *s, const struct hole *h, size_t durable)
{
	if (h->at >= durable) {
		r->cut += h->len;
		return;
	}
	if (!r->places++) {
		char name[SEGMENT_NAME];
		segment_name(name, s->number);
		snprintf(r->first, sizeof r->first, "%s, octet %zu: %zu octets do not read as they were written", name, h->at, h->len);
	}
	r->damaged_octets += h->len;
}

/* Behind the last record stands what was never written, or an older use of the file; a torn record at least begins as one. */
static bool begins(const struct segment *s, struct slice rest)
{
	char head[JOURNAL_RECORD_HEAD] = {0};
	journal_record_finish(head, s->nonce, 0, &(struct journal_marks){0});
	return rest.len >= 4 && memcmp(rest.p, head, 4) == 0;
}

void replay_segment(struct replay *r, struct segment *s, struct slice file, bool last)
{
	struct journal_scan scan = {file, JOURNAL_SEGMENT_HEAD, s->nonce};
	struct journal_record rec;
	struct hole *holes = NULL;
	size_t n = 0, room = 0, gap, durable = JOURNAL_SEGMENT_HEAD;
	bool more;
	s->used = JOURNAL_SEGMENT_HEAD;
	do {
		size_t from = scan.at;
		more = journal_scan_next(&scan, &rec, &gap);
		if (n + 2 > room)
			holes = mem_realloc(holes, (room = room ? room * 2 : 16) * sizeof *holes);
		if (gap && (more || begins(s, slice_of(file.p + from, gap))))
			holes[n++] = (struct hole){from, gap, 0};
		if (!more)
			break;
		/* a seal says that all before it is durable; of the newest segment that is not known: the sync came after it */
		if (rec.synced > durable && rec.synced <= rec.at && !(last && rec.type == JOURNAL_SEAL))
			durable = rec.synced;
		if (rec.damaged) {
			holes[n++] = (struct hole){rec.at, rec.len, rec.type == JOURNAL_PUT ? rec.id : 0};
			if (rec.type == JOURNAL_PUT)
				add_damaged(r, rec.id); /* until its end is read */
			continue;
		}
		s->used = (uint32_t)(rec.at + rec.len);
		take(r, s, &rec);
	} while (more);
	for (size_t i = 0; i < n; i++) {
		note(r, s, &holes[i], durable);
		if (holes[i].at < durable)
			s->damaged = true;
		else if (holes[i].id)
			forget_damaged(r, holes[i].id);
	}
	mem_free(holes);
	s->synced = (uint32_t)durable;
}

static int by_id(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	return x->id < y->id ? -1 : x->id > y->id;
}

uint64_t replay_finish(struct replay *r)
{
	struct journal_index *x = r->index;
	struct entry **all = mem_calloc(x->entries + 1, sizeof *all);
	size_t n = 0;
	LIST_EACH(l, &x->order)
	{
		all[n++] = CONTAINER_OF(l, struct entry, order);
	}
	qsort(all, n, sizeof *all, by_id); /* copies of old entries stand behind newer ones */
	list_init(&x->order);
	for (size_t i = 0; i < n; i++)
		list_append(&x->order, &all[i]->order);
	mem_free(all);
	if (r->max_id >= x->next_id)
		x->next_id = r->max_id + 1;
	return r->damaged.count;
}
