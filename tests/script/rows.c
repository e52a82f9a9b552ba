/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rows against what proves them. */
#include "script.h"

#include <stdio.h>
#include "base/mem.h"

struct row {
	struct slice id, missing;
	int line;
	unsigned proofs;
};

struct rows {
	struct row row[1024];
	size_t n;
};

static struct row *row_find(struct rows *r, struct slice id)
{
	for (size_t i = 0; i < r->n; i++)
		if (slice_eq(r->row[i].id, id))
			return &r->row[i];
	return NULL;
}

static bool say(const char *where, int line, const char *what, struct slice who)
{
	if (line)
		print_error("%s:%d: %s: %.*s\n", where, line, what, SFMT(who));
	else
		print_error("%s: %s: %.*s\n", where, what, SFMT(who));
	return false;
}

/* "interwork/test_errormap.c statuses", "msrp.py refused": that file of the folder has a function of this name, as `before` begins one. */
static bool there(const char *root, const char *folder, const char *before, struct slice words, struct arena *a)
{
	char path[1024];
	struct slice file = slice_split(&words, ' ');
	size_t at = strlen(before);
	snprintf(path, sizeof path, "%s/tests/%s/%.*s", root, folder, SFMT(file));
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	fclose(f);
	struct script s;
	script_read(&s, a, path, folder);
	for (size_t i = 0; i < s.n_lines && words.len; i++) {
		struct slice l = s.lines[i].text;
		if (slice_starts(l, slice_str(before)) && slice_starts(slice_skip(l, at), words) && l.len > at + words.len && l.p[at + words.len] == '(')
			return true;
	}
	return false;
}

bool rows_check(const char *root, const struct script *scripts, size_t n, bool strict)
{
	struct arena *a = arena_new(256 << 20);
	struct rows *r = MEM_NEW(struct rows);
	struct script table;
	char path[1024];
	bool good = true;
	size_t proved = 0, open = 0;
	snprintf(path, sizeof path, "%s/tests/script/rows", root);
	script_read(&table, a, path, "rows");
	for (size_t i = 0; i < table.n_lines; i++) {
		const struct line *l = &table.lines[i];
		struct slice rest = l->text, id = slice_trim(slice_split(&rest, '='));
		struct row *last = r->n ? &r->row[r->n - 1] : NULL;
		if (!l->inside) {
			assert_true(r->n < sizeof r->row / sizeof *r->row);
			if (row_find(r, id))
				good = say(path, l->number, "this row is there twice", id);
			r->row[r->n++] = (struct row){.id = id, .line = l->number};
		} else if (slice_starts(l->text, S("unit ")) && last) {
			if (there(root, "unit", "static void ", slice_skip(l->text, 5), a))
				last->proofs++;
			else
				good = say(path, l->number, "there is no such unit test", slice_skip(l->text, 5));
		} else if (slice_starts(l->text, S("e2e ")) && last) {
			if (there(root, "e2e", "def ", slice_skip(l->text, 4), a))
				last->proofs++;
			else
				good = say(path, l->number, "there is no such scenario", slice_skip(l->text, 4));
		} else if (slice_starts(l->text, S("missing:")) && last) {
			last->missing = slice_trim(slice_skip(l->text, 8));
		} else {
			good = say(path, l->number, "neither \"unit FILE TEST\", \"e2e FILE SCENARIO\" nor \"missing: WHAT\"", l->text);
		}
	}
	for (size_t i = 0; i < n; i++) {
		struct slice id;
		size_t at = 0, rows = 0;
		for (; (id = script_row(&scripts[i], &at)).p; rows++) {
			bool found = false, many = slice_ends(id, S("*"));
			for (size_t k = 0; k < r->n; k++)
				if (many ? slice_starts(r->row[k].id, slice_first(id, id.len - 1)) : slice_eq(r->row[k].id, id)) {
					r->row[k].proofs++;
					found = true;
				}
			if (!found)
				good = say(scripts[i].path, 0, "there is no such row in tests/script/rows", id);
		}
		if (!rows)
			good = say(scripts[i].path, 0, "names no row that it proves", slice_str(scripts[i].name));
	}
	for (size_t i = 0; i < r->n; i++) {
		proved += r->row[i].proofs > 0;
		if (r->row[i].missing.p) {
			open++;
			print_message("# missing: %.*s: %.*s\n", SFMT(r->row[i].id), SFMT(r->row[i].missing));
			good &= !strict;
		} else if (!r->row[i].proofs) {
			good = say(path, r->row[i].line, "nothing proves this row", r->row[i].id);
		}
	}
	print_message("# %zu rows, %zu proved, %zu with something missing, %zu scripts\n", r->n, proved, open, n);
	mem_free(r);
	arena_release(NULL, a);
	return good;
}
