/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of text for people, aligned by the width that terminals give to characters (East Asian wide ones take two columns,
 * combining ones none). Cells are cleaned of what could steer a terminal. Not thread-safe. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

struct admin_table;

enum { ADMIN_TABLE_RIGHT = 1, ADMIN_TABLE_FLEX = 2 /* may be cut when the table is wider than the terminal */ };
struct admin_table_column {
	const char *title;
	unsigned flags;
};

/* The columns are borrowed. */
struct admin_table *admin_table_new(const struct admin_table_column *columns, size_t n);
/* Accepts NULL; returns NULL. */
struct admin_table *admin_table_free(struct admin_table *t);
/* Cells from left to right, rows from top to bottom; copied. */
void admin_table_cell(struct admin_table *t, struct slice text);
void admin_table_cell_int(struct admin_table *t, int64_t v);
/* width 0: nothing is cut. Columns without any text are left out. */
void admin_table_print(const struct admin_table *t, struct buf *out, unsigned width, bool color);

/* Columns that the text takes. */
size_t admin_table_width(struct slice utf8);
