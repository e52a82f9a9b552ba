/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/xml.h"

const struct xml_limits xml_limits_default = {.max_bytes = 256 * 1024, .max_depth = 64, .max_attrs = 64, .max_children = 4096};

bool xml_is(const struct xml_node *n, struct slice name, struct slice ns)
{
	return n && n->name.p && slice_eq(n->name, name) && (!ns.p || slice_eq(n->ns, ns));
}

struct xml_node *xml_child(const struct xml_node *n, struct slice name, struct slice ns)
{
	for (struct xml_node *c = n ? n->first : NULL; c; c = c->next)
		if (xml_is(c, name, ns))
			return c;
	return NULL;
}

struct xml_node *xml_next_same(const struct xml_node *n)
{
	for (struct xml_node *c = n ? n->next : NULL; c; c = c->next)
		if (c->name.p && slice_eq(c->name, n->name) && slice_eq(c->ns, n->ns))
			return c;
	return NULL;
}

struct xml_node *xml_first(const struct xml_node *n)
{
	struct xml_node *c = n ? n->first : NULL;
	while (c && !c->name.p)
		c = c->next;
	return c;
}

struct xml_node *xml_next(const struct xml_node *n)
{
	struct xml_node *c = n ? n->next : NULL;
	while (c && !c->name.p)
		c = c->next;
	return c;
}

static struct xml_attr *find_attr(const struct xml_node *n, struct slice ns, struct slice name)
{
	for (struct xml_attr *at = n ? n->attrs : NULL; at; at = at->next)
		if (slice_eq(at->name, name) && slice_eq(at->ns, ns))
			return at;
	return NULL;
}

struct slice xml_attr(const struct xml_node *n, struct slice name)
{
	return xml_attr_ns(n, SLICE_NONE, name);
}

struct slice xml_attr_ns(const struct xml_node *n, struct slice ns, struct slice name)
{
	const struct xml_attr *at = find_attr(n, ns, name);
	return at ? at->value : SLICE_NONE;
}

struct slice xml_lang(const struct xml_node *n)
{
	for (; n; n = n->parent) {
		struct slice v = xml_attr_ns(n, XML_NS_XML, S("lang"));
		if (v.p)
			return v;
	}
	return SLICE_NONE;
}

struct slice xml_text(const struct xml_node *n, struct arena *a)
{
	const struct xml_node *only = NULL;
	size_t runs = 0, len = 0;
	for (const struct xml_node *c = n ? n->first : NULL; c; c = c->next) {
		if (!c->name.p) {
			only = c;
			runs++;
			len += c->text.len;
		}
	}
	if (runs == 0)
		return S("");
	if (runs == 1)
		return only->text.p ? only->text : S("");
	char *p = arena_bytes(a, len + 1);
	if (!p)
		return SLICE_NONE;
	size_t at = 0;
	for (const struct xml_node *c = n->first; c; c = c->next) {
		if (!c->name.p && c->text.len) {
			memcpy(p + at, c->text.p, c->text.len);
			at += c->text.len;
		}
	}
	p[len] = '\0';
	return slice_of(p, len);
}

/* ---- building */

struct xml_node *xml_new(struct arena *a, struct slice name, struct slice ns)
{
	struct xml_node *n = ARENA_NEW(a, struct xml_node);
	if (n) {
		n->name = name;
		n->ns = ns;
	}
	return n;
}

void xml_append(struct xml_node *parent, struct xml_node *child)
{
	if (!parent)
		return;
	if (!child) {
		parent->broken = true;
		return;
	}
	child->parent = parent;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

struct xml_node *xml_add(struct arena *a, struct xml_node *parent, struct slice name, struct slice ns)
{
	if (!parent)
		return NULL;
	struct xml_node *n = xml_new(a, name, ns.p ? ns : parent->ns);
	xml_append(parent, n);
	return n;
}

void xml_set_ns(struct arena *a, struct xml_node *n, struct slice ns, struct slice name, struct slice value)
{
	if (!n || !value.p)
		return;
	struct xml_attr **end = &n->attrs;
	for (; *end; end = &(*end)->next) {
		if (slice_eq((*end)->name, name) && slice_eq((*end)->ns, ns)) {
			(*end)->value = value;
			return;
		}
	}
	struct xml_attr *at = ARENA_NEW(a, struct xml_attr);
	if (!at) {
		n->broken = true;
		return;
	}
	at->ns = ns;
	at->name = name;
	at->value = value;
	*end = at;
}

void xml_set(struct arena *a, struct xml_node *n, struct slice name, struct slice value)
{
	xml_set_ns(a, n, SLICE_NONE, name, value);
}

void xml_set_lang(struct arena *a, struct xml_node *n, struct slice lang)
{
	if (lang.len)
		xml_set_ns(a, n, XML_NS_XML, S("lang"), lang);
}

void xml_add_text(struct arena *a, struct xml_node *n, struct slice text)
{
	if (!n || !text.len)
		return;
	struct xml_node *t = ARENA_NEW(a, struct xml_node);
	if (t)
		t->text = text;
	xml_append(n, t);
}

/* An empty slice stays what it was: absent (p == NULL) or empty. */
static bool copy_slice(struct arena *a, struct slice *s)
{
	if (s->p)
		*s = arena_dup(a, *s);
	else
		return true;
	return s->p != NULL;
}

static struct xml_node *copy_one(struct arena *a, const struct xml_node *n)
{
	struct xml_node *c = ARENA_NEW(a, struct xml_node);
	if (!c)
		return NULL;
	c->ns = n->ns;
	c->name = n->name;
	c->text = n->text;
	c->broken = n->broken;
	if (!copy_slice(a, &c->ns) || !copy_slice(a, &c->name) || !copy_slice(a, &c->text))
		return NULL;
	struct xml_attr **end = &c->attrs;
	for (const struct xml_attr *at = n->attrs; at; at = at->next) {
		struct xml_attr *d = ARENA_NEW(a, struct xml_attr);
		if (!d)
			return NULL;
		d->ns = at->ns;
		d->name = at->name;
		d->value = at->value;
		if (!copy_slice(a, &d->ns) || !copy_slice(a, &d->name) || !copy_slice(a, &d->value))
			return NULL;
		*end = d;
		end = &d->next;
	}
	return c;
}

struct xml_node *xml_copy(struct arena *a, const struct xml_node *n)
{
	struct xml_node *root = n ? copy_one(a, n) : NULL;
	if (!root)
		return NULL;
	for (const struct xml_node *c = n->first; c; c = c->next) {
		struct xml_node *d = xml_copy(a, c);
		if (!d)
			return NULL;
		xml_append(root, d);
	}
	return root;
}
