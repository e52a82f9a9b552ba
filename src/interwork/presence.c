/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/presence.h"

#include <stdlib.h>
#include "base/enc.h"
#include "base/mem.h"

static const struct {
	enum presence_show show;
	const char *text, *activity;
	unsigned lync;
} shows[] = {
#define ACTIVITY(token, show)
#define LYNC(from, show)
#define SHOW(show, text, activity, lync) {PRESENCE_##show, text, activity, lync},
#include "interwork/availability.def"
#undef ACTIVITY
#undef LYNC
#undef SHOW
};

static const struct {
	const char *token;
	enum presence_show show;
} activities[] = {
#define ACTIVITY(token, show) {token, PRESENCE_##show},
#define LYNC(from, show)
#define SHOW(show, text, activity, lync)
#include "interwork/availability.def"
#undef ACTIVITY
#undef LYNC
#undef SHOW
};

static const struct {
	unsigned from;
	enum presence_show show;
} ranges[] = {
#define ACTIVITY(token, show)
#define LYNC(from, show) {from, PRESENCE_##show},
#define SHOW(show, text, activity, lync)
#include "interwork/availability.def"
#undef ACTIVITY
#undef LYNC
#undef SHOW
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct slice presence_show_text(enum presence_show s)
{
	for (size_t i = 0; i < COUNT(shows); i++)
		if (shows[i].show == s)
			return slice_str(shows[i].text);
	return SLICE_NONE;
}

bool presence_show_of(struct slice text, enum presence_show *ret)
{
	for (size_t i = 0; i < COUNT(shows); i++)
		if (shows[i].show != PRESENCE_OFFLINE && shows[i].show != PRESENCE_AVAILABLE &&
		    slice_eq(slice_str(shows[i].text), text)) {
			*ret = shows[i].show;
			return true;
		}
	return false;
}

struct slice presence_activity(enum presence_show s)
{
	for (size_t i = 0; i < COUNT(shows); i++)
		if (shows[i].show == s)
			return slice_str(shows[i].activity);
	return SLICE_NONE;
}

bool presence_show_of_activity(struct slice token, enum presence_show *ret)
{
	for (size_t i = 0; i < COUNT(activities); i++)
		if (slice_ieq(slice_str(activities[i].token), token)) {
			*ret = activities[i].show;
			return true;
		}
	return false;
}

unsigned presence_lync(enum presence_show s)
{
	for (size_t i = 0; i < COUNT(shows); i++)
		if (shows[i].show == s)
			return shows[i].lync;
	return 0;
}

bool presence_show_of_lync(unsigned availability, enum presence_show *ret)
{
	bool found = false;
	for (size_t i = 0; i < COUNT(ranges) && availability >= ranges[i].from; i++) {
		*ret = ranges[i].show;
		found = true;
	}
	return found;
}

static struct slice own(struct slice s)
{
	return s.len ? slice_of(mem_strndup(s.p, s.len), s.len) : SLICE_NONE;
}

static void drop(struct slice s)
{
	mem_free((void *)(uintptr_t)s.p);
}

static void item_free(struct presence_item *it)
{
	drop(it->resource);
	drop(it->note);
	drop(it->lang);
}

static struct presence_item item_copy(const struct presence_item *it)
{
	struct presence_item c = *it;
	c.resource = own(it->resource);
	c.note = own(utf8_first(it->note, PRESENCE_MAX_NOTE));
	c.lang = own(it->lang);
	return c;
}

void presence_set_free(struct presence_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		item_free(&s->items[i]);
	s->items = mem_free(s->items);
	s->count = 0;
}

static size_t find(const struct presence_set *s, struct slice resource)
{
	size_t i = 0;
	while (i < s->count && !slice_eq(s->items[i].resource, resource))
		i++;
	return i;
}

const struct presence_item *presence_set_find(const struct presence_set *s, struct slice resource)
{
	size_t i = find(s, resource);
	return i < s->count ? &s->items[i] : NULL;
}

static int rank(const void *a, const void *b)
{
	const struct presence_item *x = a, *y = b;
	bool xo = x->show == PRESENCE_OFFLINE, yo = y->show == PRESENCE_OFFLINE;
	if (xo != yo)
		return xo - yo;
	int px = x->priority == PRESENCE_NO_PRIORITY ? 0 : x->priority;
	int py = y->priority == PRESENCE_NO_PRIORITY ? 0 : y->priority;
	if (px != py)
		return px > py ? -1 : 1;
	if (x->show != y->show)
		return x->show > y->show ? -1 : 1;
	return slice_cmp(x->resource, y->resource);
}

bool presence_set_put(struct presence_set *s, const struct presence_item *item)
{
	size_t i = find(s, item->resource);
	if (i == s->count && s->count == PRESENCE_MAX_ITEMS) {
		presence_set_sort(s);
		i = s->count - 1;
	}
	if (i == s->count) {
		s->items = mem_realloc(s->items, (s->count + 1) * sizeof *s->items);
		s->items[s->count++] = item_copy(item);
		return true;
	}
	struct presence_item *old = &s->items[i];
	bool same = slice_eq(old->resource, item->resource) && old->show == item->show && old->priority == item->priority &&
		    slice_eq(old->note, utf8_first(item->note, PRESENCE_MAX_NOTE)) && slice_eq(old->lang, item->lang);
	struct presence_item c = item_copy(item);
	item_free(old);
	*old = c;
	return !same;
}

bool presence_set_remove(struct presence_set *s, struct slice resource)
{
	size_t i = find(s, resource);
	if (i == s->count)
		return false;
	item_free(&s->items[i]);
	s->items[i] = s->items[--s->count];
	if (!s->count)
		s->items = mem_free(s->items);
	return true;
}

void presence_set_sort(struct presence_set *s)
{
	if (s->count > 1)
		qsort(s->items, s->count, sizeof *s->items, rank);
}
