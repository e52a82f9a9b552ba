/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/presence.h"

#include <stdlib.h>
#include <unicode/uchar.h>
#include "base/enc.h"
#include "base/mem.h"

static const struct {
	enum presence_show show;
	const char *text, *activity;
	unsigned lync;
} shows[] = {
#define ACTIVITY(token, show, words)
#define EXTENDED(text, show)
#define LYNC(from, show)
#define SHOW(show, text, activity, lync) {PRESENCE_##show, text, activity, lync},
#include "interwork/availability.def"
#undef ACTIVITY
#undef EXTENDED
#undef LYNC
#undef SHOW
};

static const struct {
	const char *token;
	enum presence_show show;
	const char *words;
} activities[] = {
#define ACTIVITY(token, show, words) {token, PRESENCE_##show, words},
#define EXTENDED(text, show)
#define LYNC(from, show)
#define SHOW(show, text, activity, lync)
#include "interwork/availability.def"
#undef ACTIVITY
#undef EXTENDED
#undef LYNC
#undef SHOW
};

static const struct {
	const char *text;
	enum presence_show show;
} extended[] = {
#define ACTIVITY(token, show, words)
#define EXTENDED(text, show) {text, PRESENCE_##show},
#define LYNC(from, show)
#define SHOW(show, text, activity, lync)
#include "interwork/availability.def"
#undef ACTIVITY
#undef EXTENDED
#undef LYNC
#undef SHOW
};

static const struct {
	unsigned from;
	enum presence_show show;
} ranges[] = {
#define ACTIVITY(token, show, words)
#define EXTENDED(text, show)
#define LYNC(from, show) {from, PRESENCE_##show},
#define SHOW(show, text, activity, lync)
#include "interwork/availability.def"
#undef ACTIVITY
#undef EXTENDED
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

bool presence_activity_forbids(struct slice token)
{
	static const char *const forbids[] = {"dnd", "do-not-disturb", "urgent-interruptions-only"};
	for (size_t i = 0; i < COUNT(forbids); i++)
		if (slice_ieq(slice_str(forbids[i]), token))
			return true;
	return false;
}

struct slice presence_activity_words(struct slice token)
{
	for (size_t i = 0; i < COUNT(activities); i++)
		if (slice_ieq(slice_str(activities[i].token), token))
			return slice_str(activities[i].words);
	return SLICE_NONE;
}

bool presence_show_of_extended(struct slice text, enum presence_show *ret)
{
	for (size_t i = 0; i < COUNT(extended); i++)
		if (slice_ieq(slice_str(extended[i].text), text)) {
			*ret = extended[i].show;
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

/* ---- notes */

/* Belongs to the character before it: accents, the parts of an emoji. */
static bool extends(uint32_t cp)
{
	return cp == 0x200D || u_hasBinaryProperty((UChar32)cp, UCHAR_GRAPHEME_EXTEND) ||
	       u_hasBinaryProperty((UChar32)cp, UCHAR_EMOJI_MODIFIER);
}

struct slice presence_note_cut(struct arena *a, struct slice text, size_t max, bool *ret_cut)
{
	size_t chars = 0, at = 0, keep = 0; /* keep: where the text may end and leave room for the sign that more was there */
	uint32_t cp, before = 0;
	for (size_t len; at < text.len; at += len, chars++, before = cp) {
		if (!(len = utf8_decode(slice_skip(text, at), &cp))) {
			len = 1; /* malformed: counts as a character */
			cp = 0xFFFD;
		}
		if (chars < max && !extends(cp) && before != 0x200D)
			keep = at;
		if (chars == max)
			break;
	}
	if (at >= text.len)
		return text;
	if (ret_cut)
		*ret_cut = true;
	struct slice parts[] = {slice_trim(slice_first(text, keep)), S("\xe2\x80\xa6")};
	return arena_join(a, parts, 2);
}

bool presence_note_add(struct presence_note notes[PRESENCE_MAX_NOTES], size_t *n, struct arena *a, struct slice text,
		       struct slice lang, size_t max)
{
	bool cut = false;
	text = slice_trim(text);
	if (!text.len || *n >= PRESENCE_MAX_NOTES)
		return false;
	for (size_t i = 0; i < *n; i++)
		if (slice_ieq(notes[i].lang, lang))
			return false;
	text = presence_note_cut(a, text, max, &cut);
	if (text.len) /* else the arena is full */
		notes[(*n)++] = (struct presence_note){text, lang};
	return cut;
}

bool presence_notes_equal(const struct presence_item *a, const struct presence_item *b)
{
	if (a->n_notes != b->n_notes)
		return false;
	for (size_t i = 0; i < a->n_notes; i++)
		if (!slice_eq(a->notes[i].text, b->notes[i].text) || !slice_eq(a->notes[i].lang, b->notes[i].lang))
			return false;
	return true;
}

/* ---- sets */

static struct slice own(struct slice s)
{
	return s.len ? slice_of(mem_strndup(s.p, s.len), s.len) : SLICE_NONE;
}

static void drop(const void *p)
{
	mem_free((void *)(uintptr_t)p);
}

static void item_free(struct presence_item *it)
{
	drop(it->resource.p);
	for (size_t i = 0; i < it->n_notes; i++) {
		drop(it->notes[i].text.p);
		drop(it->notes[i].lang.p);
	}
	drop(it->notes);
}

static struct presence_item item_copy(const struct presence_item *it)
{
	struct presence_item c = *it;
	struct presence_note *notes = it->n_notes ? mem_calloc(it->n_notes, sizeof *notes) : NULL;
	c.resource = own(it->resource);
	for (size_t i = 0; i < it->n_notes; i++)
		notes[i] = (struct presence_note){own(it->notes[i].text), own(it->notes[i].lang)};
	c.notes = notes;
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

int presence_rank(const struct presence_item *a, const struct presence_item *b)
{
	bool ao = a->show == PRESENCE_OFFLINE, bo = b->show == PRESENCE_OFFLINE;
	if (ao != bo)
		return ao - bo;
	int pa = a->priority == PRESENCE_NO_PRIORITY ? 0 : a->priority;
	int pb = b->priority == PRESENCE_NO_PRIORITY ? 0 : b->priority;
	if (pa != pb)
		return pa > pb ? -1 : 1;
	if (a->show != b->show)
		return a->show > b->show ? -1 : 1;
	return slice_cmp(a->resource, b->resource);
}

const struct presence_item *presence_set_best(const struct presence_set *s)
{
	const struct presence_item *best = NULL;
	for (size_t i = 0; i < s->count; i++)
		if (!best || presence_rank(&s->items[i], best) < 0)
			best = &s->items[i];
	return best;
}

struct slice presence_set_language(const struct presence_set *s)
{
	struct slice lang = SLICE_NONE;
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < s->items[i].n_notes; k++) {
			struct slice one = s->items[i].notes[k].lang;
			if (!one.len || (lang.len && !slice_ieq(lang, one)))
				return SLICE_NONE;
			lang = one;
		}
	return lang;
}

static size_t worst(const struct presence_set *s)
{
	size_t w = 0;
	for (size_t i = 1; i < s->count; i++)
		if (presence_rank(&s->items[i], &s->items[w]) > 0)
			w = i;
	return w;
}

bool presence_set_put(struct presence_set *s, const struct presence_item *item)
{
	size_t i = find(s, item->resource);
	struct presence_item c = item_copy(item);
	if (i == s->count && s->count < PRESENCE_MAX_ITEMS) {
		s->items = mem_realloc(s->items, (s->count + 1) * sizeof *s->items);
		s->items[s->count++] = c;
		return true;
	}
	struct presence_item *old = &s->items[i < s->count ? i : worst(s)];
	bool same = slice_eq(old->resource, c.resource) && old->show == c.show && old->unsure == c.unsure &&
		    old->priority == c.priority && old->idle == c.idle && presence_notes_equal(old, &c);
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
	memmove(&s->items[i], &s->items[i + 1], (--s->count - i) * sizeof *s->items);
	if (!s->count)
		s->items = mem_free(s->items);
	return true;
}

static int compare(const void *a, const void *b)
{
	return presence_rank(a, b);
}

void presence_set_sort(struct presence_set *s)
{
	if (s->count > 1)
		qsort(s->items, s->count, sizeof *s->items, compare);
}
