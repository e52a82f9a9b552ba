/* SPDX-License-Identifier: Apache-2.0 */
#include "config/edit.h"

#include "base/mem.h"
#include "config/schema.h"

enum { MEMORY = 64 << 20 };

/* ---- places in the text: lines and columns count from 1, columns in characters */

static size_t offset_of(struct slice text, unsigned line, unsigned column)
{
	size_t i = 0;
	for (unsigned l = 1; l < line && i < text.len; i++)
		l += text.p[i] == '\n';
	for (unsigned c = 1; c < column && i < text.len && text.p[i] != '\n'; c++) {
		i++;
		while (i < text.len && ((unsigned char)text.p[i] & 0xc0) == 0x80)
			i++;
	}
	return i;
}

/* Where the line after that one begins. */
static size_t after_line(struct slice text, unsigned line)
{
	size_t i = offset_of(text, line, 1);
	while (i < text.len && text.p[i] != '\n')
		i++;
	return i < text.len ? i + 1 : i;
}

static const struct config_node *child(const struct config_node *map, struct slice key)
{
	for (const struct config_node *c = map && map->kind == CONFIG_NODE_MAP ? map->first : NULL; c; c = c->next)
		if (slice_eq(c->key, key))
			return c;
	return NULL;
}

/* ---- values */

static bool safe(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' || (c == '-' && i)))
			return false;
	}
	return s.len > 0;
}

static void scalar_put(struct buf *out, struct slice s)
{
	if (safe(s)) {
		buf_put(out, s);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '"');
}

static void value_put(struct buf *out, const struct config_row *row, struct slice value)
{
	bool first = true;
	if (!config_is_list(row->type)) {
		scalar_put(out, value);
		return;
	}
	if (slice_starts(value, S("["))) {
		buf_put(out, value);
		return;
	}
	buf_putc(out, '[');
	while (value.len) {
		struct slice one = slice_trim(slice_split(&value, ','));
		if (!one.len)
			continue;
		buf_puts(out, first ? "" : ", ");
		scalar_put(out, one);
		first = false;
	}
	buf_putc(out, ']');
}

/* ---- edits */

static void splice(struct buf *out, struct slice text, size_t from, size_t to, struct slice with)
{
	buf_put(out, slice_first(text, from));
	buf_put(out, with);
	buf_put(out, slice_skip(text, to));
}

/* Is it alone at the beginning of its line, so that lines may be moved? */
static bool in_block(struct slice text, const struct config_node *n)
{
	size_t begin = offset_of(text, n->key_line, 1), key = offset_of(text, n->key_line, n->key_column);
	for (size_t i = begin; i < key; i++)
		if (text.p[i] != ' ')
			return false;
	return true;
}

static unsigned last_line(const struct config_node *n)
{
	unsigned last = n->end_line > n->line ? n->end_line : n->line;
	for (const struct config_node *c = n->first; c; c = c->next) {
		unsigned l = last_line(c);
		last = l > last ? l : last;
	}
	return last > n->key_line ? last : n->key_line;
}

static void replace(struct buf *out, struct slice text, const struct config_node *n, struct slice value)
{
	size_t from = offset_of(text, n->line, n->column), to = offset_of(text, n->end_line, n->end_column);
	if (n->kind == CONFIG_NODE_LIST && n->line != n->key_line) { /* a list in lines: it comes to stand behind its key */
		from = offset_of(text, n->key_line, n->key_column) + n->key.len;
		while (from < text.len && text.p[from] != ':')
			from++;
		from++;
		buf_put(out, slice_first(text, from));
		buf_putc(out, ' ');
		buf_put(out, value);
		buf_putc(out, '\n');
		buf_put(out, slice_skip(text, after_line(text, last_line(n))));
		return;
	}
	if (n->kind == CONFIG_NODE_SCALAR && !n->text.len && n->plain) { /* "key:" without a value */
		from = to = offset_of(text, n->key_line, n->key_column) + n->key.len;
		while (from < text.len && text.p[from] != ':')
			from++;
		to = ++from;
		buf_put(out, slice_first(text, from));
		buf_putc(out, ' ');
		buf_put(out, value);
		buf_put(out, slice_skip(text, to));
		return;
	}
	splice(out, text, from, to, value);
}

static void line_put(struct buf *out, unsigned indent, struct slice key, struct slice value)
{
	buf_printf(out, "%*s%.*s: %.*s\n", (int)indent, "", SFMT(key), SFMT(value));
}

static void ends_line(struct buf *out)
{
	if (out->len && buf_slice(out).p[out->len - 1] != '\n')
		buf_putc(out, '\n');
}

/* `section` exists: NULL says that the file has to be edited by hand. */
static bool insert(struct buf *out, struct slice text, const struct config_node *section, struct slice key, struct slice value)
{
	bool empty = section->kind == CONFIG_NODE_SCALAR && section->plain && !section->text.len;
	if (!in_block(text, section) || (!empty && (section->kind != CONFIG_NODE_MAP || !section->first || !in_block(text, section->first) ||
						     section->first->key_line == section->key_line)))
		return false;
	unsigned indent = empty ? section->key_column + 1 : section->first->key_column - 1;
	size_t at = after_line(text, empty ? section->key_line : last_line(section));
	buf_put(out, slice_first(text, at));
	ends_line(out);
	line_put(out, indent, key, value);
	buf_put(out, slice_skip(text, at));
	return true;
}

static bool edit(struct buf *out, struct slice text, const struct config_node *root, const struct config_row *row, struct slice value)
{
	const struct config_node *n = root, *up = NULL;
	struct slice rest = slice_str(row->key), first = slice_split(&rest, '.');
	n = child(root, first);
	up = n;
	n = rest.p ? child(n, rest) : n;
	if (n && !in_block(text, n))
		return false;
	if (n && value.p)
		replace(out, text, n, value);
	else if (n)
		splice(out, text, offset_of(text, n->key_line, 1), after_line(text, last_line(n)), S(""));
	else if (!value.p)
		buf_put(out, text);
	else if (up && rest.p)
		return insert(out, text, up, rest, value);
	else {
		buf_put(out, text);
		ends_line(out);
		if (rest.p)
			buf_printf(out, "%.*s:\n", SFMT(first));
		line_put(out, rest.p ? 2 : 0, rest.p ? rest : first, value);
	}
	return true;
}

struct compare {
	const char *key;
	bool other;
};

static void differs(void *arg, const char *key, bool live)
{
	struct compare *c = arg;
	(void)live;
	c->other |= !slice_eq(slice_str(key), slice_str(c->key));
}

static const struct config_error *first(const struct config_errors *errs)
{
	size_t i = 0;
	while (i + 1 < errs->n && errs->list[i].warning)
		i++;
	return &errs->list[i];
}

/* Nothing else may have changed. */
static int verify(struct slice before, struct slice after, const struct config_row *row, struct entente_err *err)
{
	struct config_errors errs;
	struct config *a = NULL, *b = NULL;
	struct compare c = {.key = row->key};
	int rc = 0;
	if (config_parse(&a, before, false, &errs))
		rc = err_set(err, ENTENTE_EINVAL, REASON_NONE, "the file has errors already: line %u: %s", first(&errs)->line, first(&errs)->text);
	else if (config_parse(&b, after, false, &errs))
		rc = err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s", first(&errs)->text);
	else
		config_diff(a, b, differs, &c);
	if (!rc && c.other)
		rc = ENTENTE_EUNSUPPORTED;
	config_free(a);
	config_free(b);
	return rc;
}

int config_edit(struct buf *out, struct slice text, struct slice key, struct slice value, struct entente_err *err)
{
	const struct config_row *row = config_row_find(key);
	struct arena *a = arena_new(MEMORY);
	struct config_errors errs = {0};
	struct buf v, result;
	int rc = 0;
	if (!row || row->kind != CONFIG_SETTING) {
		arena_release(NULL, a);
		struct buf ignored;
		buf_init(&ignored, 1 << 20);
		rc = row ? err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "%s is a list of mappings: change it in the file", row->key)
			 : config_explain(&ignored, key, err);
		buf_free(&ignored);
		return rc ? rc : err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "'%.*s' is a section, not a setting", SFMT(slice_first(key, 64)));
	}
	buf_init(&v, CONFIG_FILE_MAX);
	buf_init(&result, 2 * CONFIG_FILE_MAX);
	if (value.p)
		value_put(&v, row, value);
	const struct config_node *root = config_node_read(a, text, &errs);
	if (!root)
		rc = err_set(err, ENTENTE_EINVAL, REASON_NONE, "the file has errors already: line %u: %s", errs.list[0].line, errs.list[0].text);
	else if (!edit(&result, text, root, row, value.p ? buf_slice(&v) : SLICE_NONE))
		rc = ENTENTE_EUNSUPPORTED;
	if (!rc)
		rc = verify(text, buf_slice(&result), row, err);
	if (rc == ENTENTE_EUNSUPPORTED)
		err_set(err, rc, REASON_NONE, "%s stands in the file in a way that cannot be edited safely: change it by hand", row->key);
	if (!rc)
		buf_put(out, buf_slice(&result));
	buf_free(&v);
	buf_free(&result);
	arena_release(NULL, a);
	return rc;
}

bool config_place(struct slice text, const char *record, size_t index, unsigned *ret_line, unsigned *ret_column)
{
	struct arena *a = arena_new(MEMORY);
	struct config_errors errs = {0};
	const struct config_node *n = config_node_read(a, text, &errs);
	n = n ? child(n, slice_str(record)) : NULL;
	n = n && n->kind == CONFIG_NODE_LIST ? n->first : NULL;
	for (; n && index; index--)
		n = n->next;
	if (n) {
		*ret_line = n->line;
		*ret_column = n->column;
	}
	arena_release(NULL, a);
	return n;
}
