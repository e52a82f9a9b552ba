/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/seen.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/reason.h"

enum { KEY_TEXT_MAX = 1024, PURGE_MS = 60000 };

struct entry {
	struct map_node node; /* key: key */
	struct list age;      /* of those that are over, the oldest first */
	struct seen_key key;
	uint64_t stream;
	int64_t at;
	uint16_t status, reason;
	struct seen_run *run; /* NULL: over */
};

struct seen_run {
	struct entry *entry;
	void *owner;
	struct map_node by_name; /* key: name; linked when named */
	uint64_t name[2];
	bool named;
	size_t n_others;
	uint64_t others[SEEN_OTHERS];
};

struct seen {
	struct seen_config c;
	struct map entries, names;
	struct list over;
	size_t n_over;
	struct buf out;
	uint64_t flushed; /* ms */
	struct timer t_flush, t_purge;
};

static void put_u64(struct buf *b, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_putc(b, (char)(v >> 8 * i));
}

static uint64_t get_u64(const char *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return v;
}

/* ---- writing out */

static void flush(struct seen *s)
{
	timer_cancel(s->c.timers, &s->t_flush);
	if (!s->out.len)
		return;
	s->flushed = s->c.timers->now;
	s->c.put(s->c.arg, clock_unix(), buf_slice(&s->out));
	buf_clear(&s->out);
}

static void fire_flush(struct timer *t, uint64_t now)
{
	(void)now;
	flush(CONTAINER_OF(t, struct seen, t_flush));
}

static void fire_purge(struct timer *t, uint64_t now)
{
	struct seen *s = CONTAINER_OF(t, struct seen, t_purge);
	(void)now;
	if (s->c.purge)
		s->c.purge(s->c.arg, clock_unix() - SEEN_WINDOW_S);
}

static void write_out(struct seen *s, const struct entry *e)
{
	uint64_t now = s->c.timers->now;
	if (!s->c.put)
		return;
	put_u64(&s->out, e->key.v[0], 8);
	put_u64(&s->out, e->key.v[1], 8);
	put_u64(&s->out, e->stream, 8);
	put_u64(&s->out, (uint64_t)e->at, 6);
	put_u64(&s->out, e->status, 2);
	if (s->out.len >= (size_t)SEEN_PIECE * SEEN_RECORD)
		flush(s);
	else if (!timer_armed(&s->t_flush))
		timer_arm(s->c.timers, &s->t_flush, now >= s->flushed + SEEN_FLUSH_MS ? 0 : s->flushed + SEEN_FLUSH_MS - now);
	if (!timer_armed(&s->t_purge)) /* not while nothing happens */
		timer_arm(s->c.timers, &s->t_purge, PURGE_MS);
}

/* ---- life */

struct seen *seen_new(const struct seen_config *c)
{
	struct seen *s = MEM_NEW(struct seen);
	s->c = *c;
	map_init(&s->entries);
	map_init(&s->names);
	list_init(&s->over);
	buf_init(&s->out, (size_t)(SEEN_PIECE + 1) * SEEN_RECORD);
	timer_init(&s->t_flush, fire_flush);
	timer_init(&s->t_purge, fire_purge);
	return s;
}

static void entry_free(struct seen *s, struct entry *e)
{
	map_remove(&s->entries, &e->node);
	if (list_linked(&e->age)) {
		list_remove(&e->age);
		s->n_over--;
	}
	mem_free(e);
}

static void run_free(struct seen *s, struct seen_run *run)
{
	if (run->named)
		map_remove(&s->names, &run->by_name);
	mem_free(run);
}

struct seen *seen_free(struct seen *s)
{
	size_t i;
	if (!s)
		return NULL;
	if (s->c.put)
		flush(s);
	timer_cancel(s->c.timers, &s->t_purge);
	MAP_EACH(n, &s->entries, i) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);
		if (e->run)
			run_free(s, e->run);
		entry_free(s, e);
	}
	map_free(&s->entries);
	map_free(&s->names);
	buf_free(&s->out);
	return mem_free(s);
}

static struct entry *find(struct seen *s, const struct seen_key *key)
{
	struct map_node *n = map_find(&s->entries, slice_of((const char *)key, sizeof *key));
	return n ? CONTAINER_OF(n, struct entry, node) : NULL;
}

static struct entry *add(struct seen *s, struct seen_key key, uint64_t stream)
{
	struct entry *e = MEM_NEW(struct entry);
	e->key = key;
	e->stream = stream;
	list_init(&e->age);
	map_insert(&s->entries, &e->node, slice_of((const char *)&e->key, sizeof e->key));
	return e;
}

static void age(struct seen *s, int64_t now)
{
	struct list *l;
	while ((l = list_head(&s->over))) {
		struct entry *e = CONTAINER_OF(l, struct entry, age);
		if (s->n_over <= SEEN_MAX && e->at + SEEN_WINDOW_S > now && e->at <= now + SEEN_WINDOW_S) /* the clock may be turned back */
			return;
		entry_free(s, e);
	}
}

void seen_load(struct seen *s, struct slice records)
{
	int64_t now = clock_unix();
	for (; records.len >= SEEN_RECORD; records = slice_skip(records, SEEN_RECORD)) {
		const char *p = records.p;
		struct seen_key key = {{get_u64(p, 8), get_u64(p + 8, 8)}};
		int64_t at = (int64_t)get_u64(p + 24, 6);
		uint16_t status = (uint16_t)get_u64(p + 30, 2);
		struct entry *e = find(s, &key);
		if (at + SEEN_WINDOW_S <= now || at > now + SEEN_WINDOW_S || status < 200 || status > 699 || (e && e->run))
			continue;
		if (e)
			entry_free(s, e);
		e = add(s, key, get_u64(p + 16, 8));
		e->at = at;
		e->status = status;
		list_append(&s->over, &e->age);
		s->n_over++;
	}
	age(s, now);
}

/* ---- keys */

struct seen_key seen_key(const struct seen *s, const struct slice *parts, size_t n)
{
	struct seen_key k;
	for (int i = 0; i < 2; i++) {
		uint64_t h[16];
		size_t m = n < 16 ? n : 16;
		for (size_t j = 0; j < m; j++) /* each by itself: what one ends with another cannot begin with */
			h[j] = hash_slice_stable(parts[j], s->c.secret[i] + j);
		k.v[i] = hash_slice_stable(slice_of((const char *)h, m * sizeof *h), s->c.secret[i]);
	}
	return k;
}

/* ---- texts */

enum seen_fate seen_take(struct seen *s, struct seen_key key, uint64_t stream, struct seen_run **ret, struct seen_outcome *ret_outcome)
{
	age(s, clock_unix());
	struct entry *e = find(s, &key);
	bool same_stream = e && stream && e->stream == stream;
	*ret = NULL;
	if (e && e->run) {
		if (same_stream)
			return SEEN_NEW;
		e->stream = stream;
		*ret = e->run;
		return SEEN_UNDER_WAY;
	}
	if (e && !same_stream) {
		*ret_outcome = (struct seen_outcome){e->status, e->reason};
		e->stream = stream;
		return SEEN_OVER;
	}
	if (e)
		entry_free(s, e);
	e = add(s, key, stream);
	e->run = MEM_NEW(struct seen_run);
	e->run->entry = e;
	*ret = e->run;
	return SEEN_NEW;
}

void seen_know(struct seen *s, struct seen_key key, struct seen_outcome outcome, int64_t at)
{
	int64_t now = clock_unix();
	if (find(s, &key) || at + SEEN_WINDOW_S <= now)
		return;
	struct entry *e = add(s, key, 0);
	e->at = at <= now ? at : now;
	e->status = (uint16_t)outcome.status;
	e->reason = (uint16_t)outcome.reason;
	list_append(&s->over, &e->age);
	s->n_over++;
	write_out(s, e);
	age(s, now);
}

void seen_end(struct seen *s, struct seen_run *run, struct seen_outcome outcome)
{
	struct entry *e = run->entry;
	int status = outcome.status ? outcome.status : outcome.reason ? reason_info((enum reason)outcome.reason)->sip_status : 200;
	e->run = NULL;
	e->at = clock_unix();
	e->status = (uint16_t)status;
	e->reason = (uint16_t)outcome.reason;
	run_free(s, run);
	list_append(&s->over, &e->age);
	s->n_over++;
	write_out(s, e);
	age(s, e->at);
}

void seen_forget(struct seen *s, struct seen_run *run)
{
	if (!run)
		return;
	entry_free(s, run->entry);
	run_free(s, run);
}

void seen_set_owner(struct seen_run *run, void *owner)
{
	run->owner = owner;
}

void *seen_owner(const struct seen_run *run)
{
	return run->owner;
}

void seen_name(struct seen *s, struct seen_run *run, uint64_t kind, uint64_t id)
{
	run->name[0] = kind;
	run->name[1] = id;
	run->named = true;
	map_insert(&s->names, &run->by_name, slice_of((const char *)run->name, sizeof run->name));
}

struct seen_run *seen_named(struct seen *s, uint64_t kind, uint64_t id)
{
	const uint64_t name[2] = {kind, id};
	struct map_node *n = map_find(&s->names, slice_of((const char *)name, sizeof name));
	return n ? CONTAINER_OF(n, struct seen_run, by_name) : NULL;
}

bool seen_add_other(struct seen_run *run, uint64_t id)
{
	if (run->n_others == SEEN_OTHERS)
		return false;
	run->others[run->n_others++] = id;
	return true;
}

size_t seen_others(const struct seen_run *run, uint64_t ret[SEEN_OTHERS])
{
	memcpy(ret, run->others, run->n_others * sizeof *ret);
	return run->n_others;
}

size_t seen_count(const struct seen *s)
{
	return s->n_over;
}
