/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events become a tree of scalars, lists and maps with their places. Of YAML we leave out what a configuration
 * does not need and what makes surprises: anchors and aliases, tags, several documents, keys that are not plain text,
 * repeated keys. */
#include <yaml.h>
#include "base/enc.h"
#include "config/schema.h"

struct reader {
	struct arena *arena;
	struct config_errors *errs;
	struct config_node *stack[CONFIG_DEPTH_MAX];
	size_t depth;
	struct config_node *root;
	struct slice key; /* of the value that follows, when the top of the stack is a map and have_key */
	unsigned key_line, key_column;
	bool have_key, drop; /* drop: the value belongs to a key that was refused */
};

static void at(const yaml_mark_t *m, unsigned *line, unsigned *column)
{
	*line = (unsigned)m->line + 1;
	*column = (unsigned)m->column + 1;
}

static void complain(struct reader *r, const yaml_mark_t *m, const char *text)
{
	unsigned line, column;
	at(m, &line, &column);
	config_error(r->errs, false, line, column, "", "%s", text);
}

static struct config_node *find_key(const struct config_node *map, struct slice key)
{
	for (struct config_node *c = map->first; c; c = c->next)
		if (slice_eq(c->key, key))
			return c;
	return NULL;
}

static bool take_key(struct reader *r, struct config_node *map, const yaml_event_t *e)
{
	char q[CONFIG_QUOTE];
	if (e->type != YAML_SCALAR_EVENT) {
		complain(r, &e->start_mark, "a key must be text");
		return false;
	}
	struct slice key = slice_of((const char *)e->data.scalar.value, e->data.scalar.length);
	at(&e->start_mark, &r->key_line, &r->key_column);
	r->drop = false;
	const struct config_node *twice = find_key(map, key);
	if (twice) {
		config_error(r->errs, false, r->key_line, r->key_column, "", "'%s' is already given on line %u",
			     config_quote(q, key), twice->key_line);
		r->drop = true;
	} else if (map->n >= CONFIG_KEYS_MAX) {
		complain(r, &e->start_mark, "too many keys");
		return false;
	}
	r->key = arena_dup(r->arena, key);
	r->have_key = true;
	return r->key.p;
}

/* A node in its place under the top of the stack; NULL stops the reading. */
static struct config_node *add(struct reader *r, enum config_node_kind kind, const yaml_event_t *e)
{
	struct config_node *n = ARENA_NEW(r->arena, struct config_node);
	if (!n) {
		complain(r, &e->start_mark, "the file is too large");
		return NULL;
	}
	n->kind = kind;
	at(&e->start_mark, &n->line, &n->column);
	at(kind == CONFIG_NODE_SCALAR ? &e->end_mark : &e->start_mark, &n->end_line, &n->end_column);
	if (!r->depth) {
		r->root = n;
		return n;
	}
	struct config_node *up = r->stack[r->depth - 1];
	if (up->kind == CONFIG_NODE_MAP) {
		n->key = r->key;
		n->key_line = r->key_line;
		n->key_column = r->key_column;
		r->have_key = false;
		if (r->drop)
			return n;
	}
	if (up->last)
		up->last->next = n;
	else
		up->first = n;
	up->last = n;
	up->n++;
	return n;
}

static bool plain_yaml(struct reader *r, const yaml_event_t *e, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		complain(r, &e->start_mark, "anchors (&) are not used here");
	else if (tag)
		complain(r, &e->start_mark, "tags (!) are not used here");
	else
		return true;
	return false;
}

static bool take(struct reader *r, const yaml_event_t *e)
{
	struct config_node *up = r->depth ? r->stack[r->depth - 1] : NULL, *n;
	bool ends = e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT;
	if (e->type == YAML_DOCUMENT_START_EVENT && r->root) {
		complain(r, &e->start_mark, "a second document starts here; the file must be one document");
		return false;
	}
	if (e->type == YAML_ALIAS_EVENT) {
		complain(r, &e->start_mark, "aliases (*) are not used here");
		return false;
	}
	if (up && up->kind == CONFIG_NODE_MAP && !r->have_key && !ends)
		return take_key(r, up, e);
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		if (!plain_yaml(r, e, e->data.scalar.anchor, e->data.scalar.tag) || !(n = add(r, CONFIG_NODE_SCALAR, e)))
			return false;
		n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		n->text = arena_dup(r->arena, slice_of((const char *)e->data.scalar.value, e->data.scalar.length));
		return n->text.p;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (e->type == YAML_MAPPING_START_EVENT
			    ? !plain_yaml(r, e, e->data.mapping_start.anchor, e->data.mapping_start.tag)
			    : !plain_yaml(r, e, e->data.sequence_start.anchor, e->data.sequence_start.tag))
			return false;
		if (r->depth == CONFIG_DEPTH_MAX) {
			complain(r, &e->start_mark, "lists and mappings are nested too deeply");
			return false;
		}
		n = add(r, e->type == YAML_MAPPING_START_EVENT ? CONFIG_NODE_MAP : CONFIG_NODE_LIST, e);
		if (n)
			r->stack[r->depth++] = n;
		return n;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		if (e->end_mark.index > e->start_mark.index) /* a bracket; the end of lines has no length */
			at(&e->end_mark, &r->stack[r->depth]->end_line, &r->stack[r->depth]->end_column);
		return true;
	default:
		return true;
	}
}

static void bad_yaml(struct reader *r, const yaml_parser_t *p, struct slice text)
{
	unsigned line = (unsigned)p->problem_mark.line + 1, column = (unsigned)p->problem_mark.column + 1;
	if (p->error == YAML_READER_ERROR) { /* it knows an offset only */
		line = column = 1;
		for (size_t i = 0; i < p->problem_offset && i < text.len; i++) {
			column += ((unsigned char)text.p[i] & 0xc0) != 0x80;
			if (text.p[i] == '\n') {
				line++;
				column = 1;
			}
		}
	}
	if (p->context)
		config_error(r->errs, false, line, column, "", "not YAML: %s, %s (from line %zu)",
			     p->problem ? p->problem : "malformed", p->context, p->context_mark.line + 1);
	else
		config_error(r->errs, false, line, column, "", "not YAML: %s", p->problem ? p->problem : "malformed");
}

static size_t bad_utf8(struct slice text)
{
	size_t i = 0;
	uint32_t cp;
	for (size_t n; i < text.len && (n = utf8_decode(slice_skip(text, i), &cp)); i += n)
		;
	return i;
}

struct config_node *config_node_read(struct arena *a, struct slice text, struct config_errors *errs)
{
	struct reader r = {.arena = a, .errs = errs};
	yaml_parser_t p;
	if (!utf8_valid(text)) {
		p = (yaml_parser_t){.error = YAML_READER_ERROR, .problem = "this is not UTF-8", .problem_offset = bad_utf8(text)};
		bad_yaml(&r, &p, text);
		return NULL;
	}
	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.len);
	bool ok = true, end = false;
	while (ok && !end) {
		yaml_event_t e;
		if (!yaml_parser_parse(&p, &e)) {
			bad_yaml(&r, &p, text);
			ok = false;
			break;
		}
		end = e.type == YAML_STREAM_END_EVENT;
		ok = take(&r, &e);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	if (!ok && !errs->n_errors)
		config_error(errs, false, 0, 0, "", "the file is too large");
	if (ok && (!r.root || (r.root->kind == CONFIG_NODE_SCALAR && r.root->plain && slice_empty(r.root->text)))) {
		r.root = ARENA_NEW(a, struct config_node);
		if (r.root)
			*r.root = (struct config_node){.kind = CONFIG_NODE_MAP, .line = 1, .column = 1};
	}
	return ok ? r.root : NULL;
}
