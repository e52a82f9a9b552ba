/* SPDX-License-Identifier: Apache-2.0 */
/* A document from text, strictly: every mistake with its place, the bad text, the rule, and an example. */
#include <string.h>
#include "admin/args.h"
#include "admin/call.h"
#include "admin/document_int.h"
#include "base/arena.h"
#include "base/enc.h"
#include "config/tree.h"

enum { MEMORY = 256 << 20, PATH = 200 };

struct reader {
	struct config_errors *errs;
	json_t *places;
	struct arena *a;
	const struct document_section *s;
	const struct config_node *object; /* that is being read */
	char path[PATH];                  /* "xmpp-partners[2]" */
};

static bool wrong(struct reader *r, const struct config_node *n, const char *field, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool wrong(struct reader *r, const struct config_node *n, const char *field, const char *fmt, ...)
{
	char text[256], key[2 * PATH];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(key, sizeof key, "%s%s%s", r->path, *field ? "." : "", field);
	config_error(r->errs, false, n->line, n->column, key, "%s: %s", key, text);
	return false;
}

/* ---- values */

static bool shape(struct reader *r, const struct config_node *n, enum config_node_kind kind, const char *field)
{
	static const char *const names[] = {"a single value", "a list", "a mapping"};
	if (n->kind == kind)
		return true;
	return wrong(r, n, field, "%s is wanted, this is %s", names[kind], names[n->kind]);
}

static bool word(struct reader *r, const struct config_node *n, const struct document_field *f, json_t **ret)
{
	struct slice value;
	char q[CONFIG_QUOTE];
	admin_values_find(f->values, n->text, &value);
	if (slice_eq(value, n->text)) { /* a document is spelt exactly */
		*ret = admin_json_text(value);
		return true;
	}
	return wrong(r, n, f->name, "'%s' is not one of %s%s%.*s%s", config_quote(q, n->text), f->values, value.len ? "; did you mean '" : "", SFMT(value), value.len ? "'?" : "");
}

static bool domain(struct reader *r, const struct config_node *n, const char *field, bool pattern, bool may_be_empty, json_t **ret)
{
	struct policy_domain d;
	char q[CONFIG_QUOTE];
	if (may_be_empty && !n->text.len) {
		*ret = json_string("");
		return true;
	}
	if (!(pattern ? policy_pattern_import(&d, n->text) : policy_domain_import(&d, n->text)))
		return wrong(r, n, field, "'%s' is not a domain%s, like fabrikam.example%s", config_quote(q, n->text),
			     pattern ? ", or *. and one" : "", pattern ? " or *.fabrikam.example" : "");
	*ret = admin_json_text(policy_domain_slice(&d));
	return true;
}

static bool text(struct reader *r, const struct config_node *n, const char *field, uint64_t max, json_t **ret)
{
	if (utf8_has_control(n->text))
		return wrong(r, n, field, "one line of text is wanted, without control characters");
	if (n->text.len > max)
		return wrong(r, n, field, "the text has %zu octets; at most %llu are allowed", n->text.len, (unsigned long long)max);
	*ret = admin_json_text(n->text);
	return true;
}

static bool pin(struct reader *r, const struct config_node *n, const char *field, json_t **ret)
{
	struct policy_pin p;
	struct buf b;
	char q[CONFIG_QUOTE];
	if (!policy_pin_parse(&p, n->text))
		return wrong(r, n, field, "'%s' is not a pin: SHA-256 of a public key, 64 hex digits or sha256//BASE64", config_quote(q, n->text));
	buf_init(&b, 128);
	policy_pin_print(&b, &p);
	*ret = admin_json_text(buf_slice(&b));
	buf_free(&b);
	return true;
}

/* As `partner xmpp add --server`, in the form that the export writes. */
static bool server(struct reader *r, const struct config_node *n, const char *field, json_t **ret)
{
	struct admin_server s;
	char q[CONFIG_QUOTE];
	if (!n->text.len) {
		*ret = json_string("");
		return true;
	}
	if (!admin_server_parse(&s, n->text))
		return wrong(r, n, field, "'%s' is not HOST, HOST:PORT or [IPV6]:PORT, like xmpp.fabrikam.example:5269", config_quote(q, n->text));
	bool v6 = s.port && strchr(s.host.text, ':');
	*ret = s.port ? json_sprintf("%s%s%s:%u", v6 ? "[" : "", s.host.text, v6 ? "]" : "", s.port) : json_string(s.host.text);
	return true;
}

static bool single(struct reader *r, const struct config_node *n, const struct document_field *f, json_t **ret)
{
	char q[CONFIG_QUOTE];
	uint64_t v;
	if (!shape(r, n, CONFIG_NODE_SCALAR, f->name))
		return false;
	switch (f->type) {
	case DOCUMENT_BOOL:
		if (!n->plain || (!slice_eq(n->text, S("true")) && !slice_eq(n->text, S("false"))))
			return wrong(r, n, f->name, "'%s' is not true or false", config_quote(q, n->text));
		*ret = json_boolean(slice_eq(n->text, S("true")));
		return true;
	case DOCUMENT_UINT:
		if (!n->plain || !slice_u64(n->text, f->max, &v) || v < f->min)
			return wrong(r, n, f->name, "'%s' is not a whole number from %llu to %llu, like %s", config_quote(q, n->text),
				     (unsigned long long)f->min, (unsigned long long)f->max, f->def);
		*ret = json_integer((json_int_t)v);
		return true;
	case DOCUMENT_WORD: return word(r, n, f, ret);
	case DOCUMENT_DOMAIN: return domain(r, n, f->name, false, true, ret);
	case DOCUMENT_DOMAINS: return domain(r, n, f->name, false, false, ret);
	case DOCUMENT_PATTERNS: return domain(r, n, f->name, true, false, ret);
	case DOCUMENT_PINS: return pin(r, n, f->name, ret);
	case DOCUMENT_SERVER: return server(r, n, f->name, ret);
	default: return text(r, n, f->name, f->max, ret);
	}
}

static bool value(struct reader *r, const struct config_node *n, const struct document_field *f, json_t **ret)
{
	size_t octets = 0;
	if (!document_is_list(f->type))
		return single(r, n, f, ret);
	if (!shape(r, n, CONFIG_NODE_LIST, f->name))
		return false;
	if (f->type != DOCUMENT_DOMAINS && n->n > f->max)
		return wrong(r, n, f->name, "%zu entries; at most %llu are allowed", n->n, (unsigned long long)f->max);
	*ret = json_array();
	for (const struct config_node *c = n->first; c; c = c->next) {
		json_t *one = NULL;
		if (!single(r, c, f, &one)) {
			json_decref(*ret);
			return false;
		}
		octets += json_string_length(one) + 1;
		json_array_append_new(*ret, one);
	}
	if (f->type == DOCUMENT_DOMAINS && octets > f->max + 1) {
		json_decref(*ret);
		return wrong(r, n, f->name, "the list has %zu octets; at most %llu are allowed", octets, (unsigned long long)f->max);
	}
	return true;
}

/* ---- objects */

static void unknown(struct reader *r, const struct config_node *n, const char *where, const char *const *known, size_t n_known)
{
	struct admin_nearest near;
	char q[CONFIG_QUOTE];
	admin_nearest_init(&near, n->key);
	for (size_t i = 0; i < n_known; i++)
		if (known[i])
			admin_nearest_try(&near, known[i]);
	config_error(r->errs, false, n->key_line, n->key_column, where, "unknown key '%s'%s%s%s%s%s", config_quote(q, n->key), *where ? " in " : " at the top",
		     where, near.best ? "; did you mean '" : "", near.best ? near.best : "", near.best ? "'?" : "");
}

static void key_read(struct reader *r, const struct config_node *map, json_t *o)
{
	json_t *v = NULL;
	const struct config_node *n = map->first;
	while (n && !slice_eq(n->key, slice_str(r->s->key)))
		n = n->next;
	if (!n)
		wrong(r, map, "", "'%s' is missing, which every object here needs", r->s->key);
	else if (!shape(r, n, CONFIG_NODE_SCALAR, r->s->key))
		return;
	else if (r->s->key_type == DOCUMENT_DOMAIN ? domain(r, n, r->s->key, false, false, &v)
						   : (n->text.len || wrong(r, n, r->s->key, "it must not be empty")) && text(r, n, r->s->key, 128, &v))
		json_object_set_new(o, r->s->key, v);
}

static void fields_read(struct reader *r, const struct config_node *map, json_t *o)
{
	struct document_field f[DOCUMENT_FIELDS_MAX];
	const char *names[DOCUMENT_FIELDS_MAX + 1];
	size_t n = document_fields(r->s, f);
	const struct config_node *nodes[DOCUMENT_FIELDS_MAX] = {NULL};
	for (size_t i = 0; i < n; i++)
		names[i] = f[i].name;
	names[n] = r->s->key;
	for (const struct config_node *c = map->first; c; c = c->next) {
		size_t i = 0;
		while (i <= n && !(names[i] && slice_eq(c->key, slice_str(names[i]))))
			i++;
		if (i > n)
			unknown(r, c, r->path, names, n + 1);
		else if (i < n)
			nodes[i] = c;
	}
	for (size_t i = 0; i < n; i++) {
		json_t *v = NULL;
		if (!nodes[i] && !f[i].def)
			wrong(r, map, "", "'%s' is missing (%s)", f[i].name, f[i].values);
		else if (!nodes[i])
			v = document_default(&f[i]);
		else if (!value(r, nodes[i], &f[i], &v))
			v = NULL;
		if (v)
			json_object_set_new(o, f[i].name, v);
	}
}

/* What needs more than one field; whatever is wrong with the whole is laid to its beginning. */
static void object_check(struct reader *r, const struct config_node *map, json_t *o)
{
	struct entente_err err = {0};
	struct policy_partner p;
	union document_object v;
	arena_reset(r->a);
	if (r->s->what == DOCUMENT_PARTNERS && document_partner(r->a, o, &p) && policy_partner_check(&p, POLICY_STRICT, NULL, &err) &&
	    policy_partner_check(&p, POLICY_LYNC, NULL, &err))
		wrong(r, map, "", "%s", err.text);
	else if (r->s->what == DOCUMENT_OBJECTS && document_object(r->a, r->s, o, &v, &err))
		wrong(r, map, "", "%s", err.text);
}

static json_t *object_read(struct reader *r, const struct config_node *map)
{
	size_t before = r->errs->n_errors;
	json_t *o = json_object();
	if (!shape(r, map, CONFIG_NODE_MAP, ""))
		return o;
	if (r->s->key)
		key_read(r, map, o);
	fields_read(r, map, o);
	if (r->errs->n_errors == before)
		object_check(r, map, o);
	return o;
}

static void section_read(struct reader *r, const struct config_node *n, json_t *document)
{
	json_t *list = json_array(), *seen = json_object();
	size_t i = 0;
	snprintf(r->path, sizeof r->path, "%s", r->s->name);
	if (n->kind == CONFIG_NODE_SCALAR && n->plain && !n->text.len) {
		/* everything in it is commented out */
	} else if (shape(r, n, CONFIG_NODE_LIST, "")) {
		for (const struct config_node *c = n->first; c; c = c->next, i++) {
			snprintf(r->path, sizeof r->path, "%s[%zu]", r->s->name, i);
			json_t *o = object_read(r, c);
			const char *key = admin_get_text(o, r->s->key);
			json_t *twice = *key ? json_object_get(seen, key) : NULL;
			if (twice)
				wrong(r, c, "", "%s is already on line %lld", key, (long long)json_integer_value(json_array_get(twice, 0)));
			else if (*key)
				json_object_set_new(seen, key, json_pack("[ii]", (int)c->line, (int)c->column));
			json_array_append_new(list, o);
		}
	}
	if (r->places)
		json_object_set(r->places, r->s->name, seen);
	json_decref(seen);
	json_object_set_new(document, r->s->name, list);
}

static void access_read(struct reader *r, const struct config_node *n, json_t *document)
{
	static const struct config_node empty = {.kind = CONFIG_NODE_MAP};
	snprintf(r->path, sizeof r->path, "%s", r->s->name);
	if (n->kind == CONFIG_NODE_SCALAR && n->plain && !n->text.len)
		n = &empty;
	json_object_set_new(document, r->s->name, object_read(r, n));
	if (r->places)
		json_object_set_new(r->places, r->s->name, json_pack("{s:[ii]}", "", (int)n->line, (int)n->column));
}

static void sections_read(struct reader *r, const struct config_node *root, bool merge, json_t *document)
{
	static const struct config_node nothing = {.kind = CONFIG_NODE_SCALAR, .plain = true};
	const char *names[32] = {"format"};
	const struct config_node *format = NULL;
	char q[CONFIG_QUOTE];
	for (size_t i = 0; i < document_n_sections; i++)
		names[i + 1] = document_sections[i].name;
	for (const struct config_node *c = root->first; c; c = c->next) {
		size_t i = 0;
		while (i <= document_n_sections && !slice_eq(c->key, slice_str(names[i])))
			i++;
		if (i > document_n_sections)
			unknown(r, c, "", names, document_n_sections + 1);
		else if (!i)
			format = c;
	}
	if (!format || format->kind != CONFIG_NODE_SCALAR)
		config_error(r->errs, false, format ? format->line : 0, format ? format->column : 0, "format", "format: " ADMIN_DOCUMENT_FORMAT " is wanted%s",
			     format ? "" : ", and is missing");
	else if (!slice_eq(format->text, S(ADMIN_DOCUMENT_FORMAT)))
		config_error(r->errs, false, format->line, format->column, "format", "format: this is '%s', " ADMIN_DOCUMENT_FORMAT " is wanted",
			     config_quote(q, format->text));
	for (size_t i = 0; i < document_n_sections; i++) {
		const struct config_node *c = root->first;
		r->s = &document_sections[i];
		while (c && !slice_eq(c->key, slice_str(r->s->name)))
			c = c->next;
		if (!c && merge)
			continue;
		if (r->s->key)
			section_read(r, c ? c : &nothing, document);
		else
			access_read(r, c ? c : &nothing, document);
	}
}

json_t *admin_document_read(struct slice text, bool merge, struct config_errors *errs, json_t *places)
{
	struct arena *tree = arena_new(MEMORY);
	struct reader r = {.errs = errs, .places = places, .a = arena_new(MEMORY)};
	json_t *document = json_pack("{s:s}", "format", ADMIN_DOCUMENT_FORMAT);
	*errs = (struct config_errors){0};
	if (slice_starts(text, S("\xef\xbb\xbf"))) /* a byte order mark */
		text = slice_skip(text, 3);
	const struct config_node *root = config_node_read(tree, text, errs);
	if (root && root->kind != CONFIG_NODE_MAP)
		config_error(errs, false, root->line, root->column, "", "a document is a mapping that begins with format: " ADMIN_DOCUMENT_FORMAT);
	else if (root)
		sections_read(&r, root, merge, document);
	config_errors_source(errs, text);
	arena_release(NULL, r.a);
	arena_release(NULL, tree);
	if (errs->n_errors) {
		json_decref(document);
		return NULL;
	}
	document_sort(document);
	return document;
}
