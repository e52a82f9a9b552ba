/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the tree of a file along the table. Nothing stops at the first error: each value stands for itself. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/mem.h"
#include "config/schema.h"

enum { ARENA_MAX = 64 << 20, PATH = 64 };

/* The names that may stand in the section `prefix` ("" for the top), each once, through `each`. */
static void each_name(const char *prefix, void (*each)(void *arg, struct slice name), void *arg)
{
	size_t skip = *prefix ? strlen(prefix) + 1 : 0;
	struct slice last = SLICE_NONE;
	for (size_t i = 0; i < config_n_rows; i++) {
		struct slice key = slice_str(config_rows[i].key);
		if (config_rows[i].kind != CONFIG_SETTING && config_rows[i].kind != CONFIG_RECORD)
			continue;
		if (skip && !(key.len > skip && key.p[skip - 1] == '.' && slice_starts(key, slice_str(prefix))))
			continue;
		struct slice rest = slice_skip(key, skip), name = slice_split(&rest, '.');
		if (!slice_eq(name, last)) /* rows of a section stand together */
			each(arg, name);
		last = name;
	}
}

struct names {
	struct config_nearest near;
	char all[160];
	size_t len;
	bool full;
};

static void collect(void *arg, struct slice name)
{
	struct names *n = arg;
	config_nearest_try(&n->near, name);
	if (n->full)
		return;
	n->full = n->len + name.len + 8 > sizeof n->all;
	if (!n->full)
		n->len += (size_t)snprintf(n->all + n->len, sizeof n->all - n->len, "%s%.*s", n->len ? ", " : "", SFMT(name));
	else
		n->len += (size_t)snprintf(n->all + n->len, sizeof n->all - n->len, ", ...");
}

/* Someone may have put a right key into the wrong place. */
static const char *elsewhere(struct slice key)
{
	for (size_t i = 0; i < config_n_rows; i++) {
		struct slice k = slice_str(config_rows[i].key);
		if ((config_rows[i].kind == CONFIG_SETTING || config_rows[i].kind == CONFIG_RECORD) &&
		    (slice_eq(k, key) || (k.len > key.len && k.p[k.len - key.len - 1] == '.' && slice_ends(k, key))))
			return config_rows[i].key;
	}
	return NULL;
}

static void unknown(struct config_loader *l, const struct config_node *n, const char *path, const char *place,
		    struct names *names)
{
	char q[CONFIG_QUOTE];
	const char *other = elsewhere(n->key);
	config_quote(q, n->key);
	if (names->near.best.p)
		config_error(l->errs, false, n->key_line, n->key_column, path, "unknown key '%s' %s; did you mean '%.*s'?", q,
			     place, SFMT(names->near.best));
	else if (other && slice_find_chr(n->key, '.') >= 0)
		config_error(l->errs, false, n->key_line, n->key_column, path,
			     "'%s' must be written as nested mappings, each part under the one before", q);
	else if (other)
		config_error(l->errs, false, n->key_line, n->key_column, path,
			     "unknown key '%s' %s; '%s' is a setting, does it belong there?", q, place, other);
	else
		config_error(l->errs, false, n->key_line, n->key_column, path, "unknown key '%s' %s; known are %s", q, place,
			     names->all);
}

static void wrong_shape(struct config_loader *l, const struct config_node *n, const char *path, const char *want)
{
	static const char *const shapes[] = {"a single value", "a list", "a mapping"};
	config_error(l->errs, false, n->line, n->column, path, "%s: %s is wanted, this is %s", path, want, shapes[n->kind]);
}

static void *need(struct config_loader *l, void *p)
{
	if (!p)
		config_error(l->errs, false, 0, 0, "", "the configuration is too large");
	return p;
}

struct config_place {
	const struct config_place *next;
	unsigned line;
	char key[];
};

static void note_place(struct config_loader *l, const char *key, unsigned line)
{
	size_t n = strlen(key) + 1;
	struct config_place *p = need(l, arena_alloc(l->config->arena, sizeof *p + n));
	if (!p)
		return;
	p->next = l->config->places;
	p->line = line;
	memcpy(p->key, key, n);
	l->config->places = p;
}

unsigned config_line(const struct config *c, const char *key)
{
	for (const struct config_place *p = c->places; p; p = p->next)
		if (slice_eq(slice_str(p->key), slice_str(key)))
			return p->line;
	return 0;
}

unsigned config_line_home(const struct config *c, struct slice name, struct slice domain)
{
	char key[64];
	for (size_t i = 0; i < c->n_homes; i++) {
		if (!slice_eq(slice_str(c->homes[i].name), name))
			continue;
		for (size_t k = 0; k < c->homes[i].domains.n; k++)
			if (slice_ieq(slice_str(c->homes[i].domains.items[k]), domain)) {
				snprintf(key, sizeof key, "homes[%zu].domains[%zu]", i, k);
				return config_line(c, key);
			}
		snprintf(key, sizeof key, "homes[%zu]", i);
		return config_line(c, key);
	}
	return 0;
}

static void read_scalar(struct config_loader *l, const struct config_row *row, const struct config_node *n, const char *path,
			void *p)
{
	char why[192], q[CONFIG_QUOTE];
	if (n->kind != CONFIG_NODE_SCALAR)
		wrong_shape(l, n, path, config_type_name(row->type));
	else if (!config_value_parse(row, l->config->arena, n->text, p, why, sizeof why))
		config_error(l->errs, false, n->line, n->column, path, "%s: '%s' %s", path, config_quote(q, n->text), why);
}

static void read_list(struct config_loader *l, const struct config_row *row, const struct config_node *n, const char *path,
		      void *p)
{
	if (n->kind != CONFIG_NODE_LIST) {
		wrong_shape(l, n, path, config_type_name(row->type));
		return;
	}
	if (n->n > CONFIG_LIST_MAX) {
		config_error(l->errs, false, n->line, n->column, path, "%s: more than %d entries", path, CONFIG_LIST_MAX);
		return;
	}
	const char **items = need(l, arena_alloc(l->config->arena, (n->n + 1) * sizeof *items));
	if (!items)
		return;
	size_t i = 0;
	for (const struct config_node *c = n->first; c; c = c->next) {
		char at[PATH * 2 + 16];
		snprintf(at, sizeof at, "%s[%zu]", path, i);
		note_place(l, at, c->line);
		items[i] = "";
		read_scalar(l, row, c, path, &items[i++]);
	}
	*(struct config_strings *)p = (struct config_strings){items, i};
}

static void read_value(struct config_loader *l, const struct config_row *row, const struct config_node *n, const char *path,
		       void *p)
{
	if (config_is_list(row->type))
		read_list(l, row, n, path, p);
	else
		read_scalar(l, row, n, path, p);
}

static void read_item(struct config_loader *l, const struct config_row *record, const struct config_node *n, const char *path,
		      char *item)
{
	char sub[PATH * 2];
	if (n->kind != CONFIG_NODE_MAP) {
		wrong_shape(l, n, path, "a mapping");
		return;
	}
	bool seen[32] = {false};
	for (const struct config_node *c = n->first; c; c = c->next) {
		const struct config_row *f = config_field_find(record, c->key);
		char q[CONFIG_QUOTE];
		snprintf(sub, sizeof sub, "%s.%s", path, config_quote(q, c->key));
		if (f) {
			seen[f - record] = true;
			note_place(l, sub, c->key_line);
			read_value(l, f, c, sub, item + f->offset);
			continue;
		}
		struct names names = {.len = 0};
		char place[PATH + 8];
		config_nearest_init(&names.near, c->key);
		for (f = record + 1; f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++)
			collect(&names, slice_str(f->key));
		snprintf(place, sizeof place, "in '%s'", path);
		unknown(l, c, sub, place, &names);
	}
	for (const struct config_row *f = record + 1; f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++)
		if (!f->def && !seen[f - record])
			config_error(l->errs, false, n->line, n->column, path, "%s: '%s' is missing (%s)", path, f->key, f->help);
}

static void read_record(struct config_loader *l, const struct config_row *row, const struct config_node *n)
{
	if (n->kind != CONFIG_NODE_LIST) {
		wrong_shape(l, n, row->key, "a list of mappings");
		return;
	}
	if (n->n > CONFIG_LIST_MAX) {
		config_error(l->errs, false, n->line, n->column, row->key, "%s: more than %d entries", row->key, CONFIG_LIST_MAX);
		return;
	}
	char *items = need(l, arena_alloc(l->config->arena, (n->n + 1) * row->size)), path[PATH];
	if (!items)
		return;
	size_t i = 0;
	for (const struct config_node *c = n->first; c; c = c->next, i++) {
		for (const struct config_row *f = row + 1; f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++)
			config_value_default(f, l->config->arena, items + i * row->size + f->offset);
		snprintf(path, sizeof path, "%s[%zu]", row->key, i);
		note_place(l, path, c->line);
		read_item(l, row, c, path, items + i * row->size);
	}
	*(void **)((char *)l->config + row->offset) = items;
	*(size_t *)((char *)l->config + row->n_offset) = i;
}

/* Sections nest no deeper than the keys of the table have dots. */
static void read_section(struct config_loader *l, const struct config_node *n, const char *prefix)
{
	if (n->kind == CONFIG_NODE_SCALAR && n->plain && slice_empty(n->text))
		return; /* a section of which everything is commented out */
	if (n->kind != CONFIG_NODE_MAP) {
		wrong_shape(l, n, *prefix ? prefix : "the file", "a mapping");
		return;
	}
	for (const struct config_node *c = n->first; c; c = c->next) {
		char path[PATH * 2], q[CONFIG_QUOTE];
		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", config_quote(q, c->key));
		bool dotted = slice_find_chr(c->key, '.') >= 0 || slice_empty(c->key);
		const struct config_row *row = dotted ? NULL : config_row_find(slice_str(path));
		if (row) {
			l->where[row - config_rows] = c;
			note_place(l, row->key, c->key_line);
		}
		if (row && row->kind == CONFIG_RECORD)
			read_record(l, row, c);
		else if (row)
			read_value(l, row, c, row->key, (char *)l->config + row->offset);
		else if (!dotted && config_is_section(slice_str(path)))
			read_section(l, c, path);
		else {
			struct names names = {.len = 0};
			char place[PATH + 8] = "at the top";
			config_nearest_init(&names.near, c->key);
			each_name(prefix, collect, &names);
			if (*prefix)
				snprintf(place, sizeof place, "in '%s'", prefix);
			unknown(l, c, path, place, &names);
		}
	}
}

int config_parse(struct config **ret, struct slice text, bool check_files, struct config_errors *errs)
{
	*errs = (struct config_errors){0};
	if (text.len > CONFIG_FILE_MAX) {
		config_error(errs, false, 0, 0, "", "the file is larger than %d octets", CONFIG_FILE_MAX);
		return ENTENTE_ELIMIT;
	}
	if (slice_starts(text, S("\xef\xbb\xbf"))) /* a byte order mark */
		text = slice_skip(text, 3);
	struct config *c = MEM_NEW(struct config);
	c->arena = arena_new(ARENA_MAX);
	struct arena *tree = arena_new(ARENA_MAX);
	struct config_loader l = {.config = c, .errs = errs, .check_files = check_files};
	l.where = mem_calloc(config_n_rows, sizeof *l.where);
	for (size_t i = 0; i < config_n_rows; i++)
		if (config_rows[i].kind == CONFIG_SETTING)
			config_value_default(&config_rows[i], c->arena, (char *)c + config_rows[i].offset);
	const struct config_node *root = config_node_read(tree, text, errs);
	if (root) {
		read_section(&l, root, "");
		config_check(&l);
	}
	config_errors_source(errs, text);
	mem_free(l.where);
	arena_release(NULL, tree);
	if (errs->n_errors) {
		config_free(c);
		return ENTENTE_ESYNTAX;
	}
	*ret = c;
	return 0;
}

int config_load(struct config **ret, const char *path, struct config_errors *errs)
{
	return config_read(ret, path, true, errs);
}

int config_read(struct config **ret, const char *path, bool check_files, struct config_errors *errs)
{
	struct buf text;
	int rc = ENTENTE_EIO, fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	*errs = (struct config_errors){0};
	buf_init(&text, CONFIG_FILE_MAX + 65536);
	if (fd < 0) {
		config_error(errs, false, 0, 0, "", "cannot open: %s", strerror(errno));
		goto out;
	}
	while (text.len <= CONFIG_FILE_MAX) {
		char *room = buf_reserve(&text, 16384);
		n = read(fd, room, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_commit(&text, (size_t)n);
	}
	if (n < 0) {
		config_error(errs, false, 0, 0, "", "cannot read: %s", strerror(errno));
		goto out;
	}
	rc = config_parse(ret, buf_slice(&text), check_files, errs);
out:
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return rc;
}

struct config *config_free(struct config *c)
{
	if (c) {
		arena_release(NULL, c->arena);
		mem_free(c);
	}
	return NULL;
}
