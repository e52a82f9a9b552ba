/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/edit.h"

void sip_edit_init(struct sip_edit *e, struct arena *a, const struct sip_msg *m)
{
	*e = (struct sip_edit){.m = m, .arena = a};
}

static bool inside(const struct sip_edit *e, const char *p, size_t n)
{
	const struct slice raw = e->m->raw;
	return p >= raw.p && p <= raw.p + raw.len && n <= (size_t)(raw.p + raw.len - p);
}

static struct sip_edit_one *add(struct sip_edit *e)
{
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 16;
		struct sip_edit_one *list = cap <= SIP_EDITS_MAX ? arena_alloc(e->arena, cap * sizeof *list) : NULL;
		if (!list) {
			e->failed = true;
			return NULL;
		}
		if (e->n)
			memcpy(list, e->list, e->n * sizeof *list);
		e->list = list;
		e->cap = cap;
	}
	return &e->list[e->n++];
}

void sip_edit_replace(struct sip_edit *e, struct slice piece, struct slice text)
{
	if (!inside(e, piece.p, piece.len)) {
		e->failed = true;
		return;
	}
	struct sip_edit_one *x = add(e);
	if (x)
		*x = (struct sip_edit_one){(size_t)(piece.p - e->m->raw.p), (size_t)(piece.p - e->m->raw.p) + piece.len, text};
}

void sip_edit_remove(struct sip_edit *e, struct slice piece)
{
	sip_edit_replace(e, piece, SLICE_NONE);
}

void sip_edit_insert(struct sip_edit *e, const char *at, struct slice text)
{
	sip_edit_replace(e, slice_of(at, 0), text);
}

static bool ends_line(struct slice s)
{
	return s.len && (memchr(s.p, '\r', s.len) || memchr(s.p, '\n', s.len) || memchr(s.p, 0, s.len));
}

static struct slice line_of(struct sip_edit *e, struct slice name, struct slice value)
{
	struct slice line = ARENA_JOIN(e->arena, name, S(": "), value, S("\r\n"));
	if (!line.p || ends_line(name) || ends_line(value))
		e->failed = true;
	return line;
}

static const char *after_start_line(const struct sip_edit *e)
{
	ptrdiff_t lf = slice_find_chr(e->m->raw, '\n');
	return e->m->raw.p + (lf < 0 ? 0 : lf + 1);
}

void sip_edit_push(struct sip_edit *e, struct slice name, struct slice value)
{
	const char *top = after_start_line(e);
	size_t at = (size_t)(top - e->m->raw.p);
	struct slice line = line_of(e, name, value);
	for (size_t i = 0; i < e->n; i++) { /* one place holds all: the newest comes first */
		struct sip_edit_one *x = &e->list[i];
		if (x->from != at || x->to != at)
			continue;
		x->text = ARENA_JOIN(e->arena, line, x->text);
		e->failed |= !x->text.p;
		return;
	}
	sip_edit_insert(e, top, line);
}

void sip_edit_append(struct sip_edit *e, struct slice name, struct slice value)
{
	const struct sip_msg *m = e->m;
	const struct sip_header *last = m->n_headers ? &m->headers[m->n_headers - 1] : NULL;
	sip_edit_insert(e, last ? last->line.p + last->line.len : after_start_line(e), line_of(e, name, value));
}

size_t sip_edit_remove_named(struct sip_edit *e, struct slice name)
{
	enum sip_hdr id = sip_hdr_of(name);
	size_t n = 0;
	for (size_t i = 0; i < e->m->n_headers; i++) {
		const struct sip_header *h = &e->m->headers[i];
		if (id != SIP_H_OTHER ? h->id != id : !slice_ieq(h->name, name))
			continue;
		sip_edit_remove(e, h->line);
		n++;
	}
	return n;
}

bool sip_edit_pop(struct sip_edit *e, enum sip_hdr id, size_t n)
{
	struct sip_values it = {0};
	struct slice value = SLICE_NONE;
	for (size_t i = 0; i <= n; i++) {
		if (sip_msg_next_value(e->m, id, &it, &value))
			continue;
		if (i < n)
			return false;
		value = SLICE_NONE; /* nothing is left behind them */
	}
	for (size_t i = 0; i < e->m->n_headers; i++) {
		const struct sip_header *h = &e->m->headers[i];
		if (h->id != id)
			continue;
		bool last = value.p && value.p >= h->line.p && value.p < h->line.p + h->line.len;
		if (last && value.p == h->value.p)
			break;
		if (last) {
			sip_edit_remove(e, slice_of(h->value.p, (size_t)(value.p - h->value.p)));
			break;
		}
		sip_edit_remove(e, h->line);
	}
	return true;
}

/* In front of a cut at the same place stands what is inserted there. */
static bool after(const struct sip_edit_one *a, const struct sip_edit_one *b)
{
	return a->from != b->from ? a->from > b->from : a->to > a->from && b->to == b->from;
}

/* Stable, by place: few edits, nearly in order. */
static void sort(struct sip_edit *e)
{
	for (size_t i = 1; i < e->n; i++) {
		struct sip_edit_one x = e->list[i];
		size_t k = i;
		for (; k && after(&e->list[k - 1], &x); k--)
			e->list[k] = e->list[k - 1];
		e->list[k] = x;
	}
}

bool sip_edit_apply(struct sip_edit *e, struct buf *out)
{
	struct slice raw = e->m->raw;
	size_t at = 0;
	if (e->failed)
		return false;
	sort(e);
	for (size_t i = 0; i < e->n; i++) {
		const struct sip_edit_one *x = &e->list[i];
		if (x->from < at)
			return false;
		buf_put(out, slice_of(raw.p + at, x->from - at));
		buf_put(out, x->text);
		at = x->to;
	}
	buf_put(out, slice_skip(raw, at));
	return buf_ok(out);
}
