/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/table.h"

#include <unicode/uchar.h>
#include "admin/call.h"
#include "base/enc.h"
#include "base/mem.h"

enum { GAP = 2, FLEX_MIN = 10 };

struct admin_table {
	const struct admin_table_column *columns;
	size_t n, n_cells, cap;
	char **cells; /* owned, cleaned */
};

static unsigned char_width(uint32_t cp)
{
	int8_t type = u_charType((UChar32)cp);
	if (type == U_NON_SPACING_MARK || type == U_ENCLOSING_MARK || type == U_FORMAT_CHAR)
		return 0;
	int wide = u_getIntPropertyValue((UChar32)cp, UCHAR_EAST_ASIAN_WIDTH);
	return wide == U_EA_FULLWIDTH || wide == U_EA_WIDE ? 2 : 1;
}

/* The longest prefix of at most `columns`; its width into *ret. */
static struct slice fitting(struct slice s, size_t columns, size_t *ret)
{
	size_t used = 0, off = 0, n;
	uint32_t cp;
	while (off < s.len && (n = utf8_decode(slice_skip(s, off), &cp))) {
		unsigned w = char_width(cp);
		if (used + w > columns)
			break;
		used += w;
		off += n;
	}
	*ret = used;
	return slice_first(s, off);
}

size_t admin_table_width(struct slice utf8)
{
	size_t w;
	fitting(utf8, SIZE_MAX, &w);
	return w;
}

struct admin_table *admin_table_new(const struct admin_table_column *columns, size_t n)
{
	struct admin_table *t = MEM_NEW(struct admin_table);
	t->columns = columns;
	t->n = n;
	return t;
}

struct admin_table *admin_table_free(struct admin_table *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->n_cells; i++)
		mem_free(t->cells[i]);
	mem_free(t->cells);
	return mem_free(t);
}

void admin_table_cell(struct admin_table *t, struct slice text)
{
	struct buf b;
	buf_init(&b, text.len * 3 + 1);
	admin_clean(&b, text);
	if (t->n_cells == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cells = mem_realloc(t->cells, t->cap * sizeof *t->cells);
	}
	struct slice s = buf_slice(&b);
	t->cells[t->n_cells++] = mem_strndup(s.p ? s.p : "", s.len);
	buf_free(&b);
}

void admin_table_cell_int(struct admin_table *t, int64_t v)
{
	char z[24];
	snprintf(z, sizeof z, "%jd", (intmax_t)v);
	admin_table_cell(t, slice_str(z));
}

/* Narrows flexible columns, the widest first, until all fits. */
static void shrink(const struct admin_table *t, size_t *widths, unsigned width)
{
	for (;;) {
		size_t sum = 0, widest = SIZE_MAX;
		for (size_t c = 0; c < t->n; c++) {
			sum += widths[c] ? widths[c] + GAP : 0;
			if (t->columns[c].flags & ADMIN_TABLE_FLEX && widths[c] > FLEX_MIN &&
			    (widest == SIZE_MAX || widths[c] > widths[widest]))
				widest = c;
		}
		if (sum <= width + GAP || widest == SIZE_MAX)
			return;
		size_t over = sum - GAP - width, room = widths[widest] - FLEX_MIN;
		size_t step = over < room ? over : room;
		widths[widest] -= step > 8 ? 8 : step;
	}
}

static void cell_print(struct buf *out, struct slice text, size_t width, bool right)
{
	size_t used = admin_table_width(text);
	bool cut = used > width;
	struct slice shown = cut ? fitting(text, width - 1, &used) : text;
	size_t pad = width - used - cut;
	if (right)
		buf_printf(out, "%*s", (int)pad, "");
	buf_put(out, shown);
	buf_puts(out, cut ? "…" : "");
	if (!right)
		buf_printf(out, "%*s", (int)pad, "");
}

/* Row 0 has the titles. */
static void row_print(const struct admin_table *t, struct buf *out, size_t row, const size_t *widths, bool bold)
{
	buf_puts(out, bold ? "\033[1m" : "");
	for (size_t c = 0, shown = 0; c < t->n; c++) {
		if (!widths[c])
			continue;
		if (shown++)
			buf_printf(out, "%*s", GAP, "");
		cell_print(out, slice_str(row ? t->cells[(row - 1) * t->n + c] : t->columns[c].title), widths[c],
			   t->columns[c].flags & ADMIN_TABLE_RIGHT);
	}
	while (out->len && out->mem[out->off + out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	buf_puts(out, bold ? "\033[0m\n" : "\n");
}

void admin_table_print(const struct admin_table *t, struct buf *out, unsigned width, bool color)
{
	size_t *widths = mem_calloc(t->n, sizeof *widths);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t w = admin_table_width(slice_str(t->cells[i]));
		widths[i % t->n] = w > widths[i % t->n] ? w : widths[i % t->n];
	}
	for (size_t c = 0; c < t->n; c++) {
		size_t w = admin_table_width(slice_str(t->columns[c].title));
		if (widths[c] && w > widths[c])
			widths[c] = w;
	}
	if (width)
		shrink(t, widths, width);
	for (size_t row = 0; row * t->n < t->n_cells + t->n && t->n_cells; row++)
		row_print(t, out, row, widths, color && row == 0);
	mem_free(widths);
}
