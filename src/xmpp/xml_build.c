/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/xml_build.h"

#include "base/mem.h"
#include "base/rand.h"

/* ---- expat's memory */

struct head { /* before each block */
	struct xml_mem *owner;
	size_t size;
};

static _Thread_local struct xml_mem *account;

struct xml_mem *xml_mem_enter(struct xml_mem *m)
{
	struct xml_mem *before = account;
	account = m;
	return before;
}

void xml_mem_leave(struct xml_mem *before)
{
	account = before;
}

static void *expat_realloc(void *p, size_t size)
{
	struct head *h = p ? (struct head *)p - 1 : NULL;
	struct xml_mem *m = h ? h->owner : account;
	size_t old = h ? h->size : 0;
	if (size > m->max || m->used - old > m->max - size)
		return NULL;
	h = mem_realloc(h, sizeof *h + size);
	h->owner = m;
	h->size = size;
	m->used = m->used - old + size;
	return h + 1;
}

static void *expat_malloc(size_t size)
{
	return expat_realloc(NULL, size);
}

static void expat_free(void *p)
{
	if (p) {
		struct head *h = (struct head *)p - 1;
		h->owner->used -= h->size;
		mem_free(h);
	}
}

size_t xml_parser_memory(const struct xml_limits *lim)
{
	/* expat's input buffer doubles, and old and new live side by side while it does; 256 KiB hold some 3000 names. */
	return lim->max_bytes > SIZE_MAX / 16 ? SIZE_MAX / 2 : 256 * 1024 + 6 * lim->max_bytes;
}

XML_Parser xml_parser_new(struct xml_mem *m, const char *encoding)
{
	static const XML_Memory_Handling_Suite suite = {expat_malloc, expat_realloc, expat_free};
	static const XML_Char sep[] = {XML_SEP, '\0'};
	struct xml_mem *before = xml_mem_enter(m);
	XML_Parser p = XML_ParserCreate_MM(encoding, &suite, sep);
	if (p) {
		XML_SetHashSalt(p, (unsigned long)rand_u64() | 1); /* else expat asks the kernel each time */
#ifdef HAVE_XML_REPARSE_DEFERRAL
		XML_SetReparseDeferralEnabled(p, XML_FALSE); /* a finished tag must come out at once, not with the next bytes */
#endif
	}
	xml_mem_leave(before);
	return p;
}

/* ---- the tree */

enum { TEXT_KEEP = 4096 }; /* of the run buffer, between elements */

void xml_builder_init(struct xml_builder *b, const struct xml_limits *lim)
{
	*b = (struct xml_builder){.lim = *lim};
	buf_init(&b->text, SIZE_MAX / 2); /* bounded by max_bytes already */
}

void xml_builder_free(struct xml_builder *b)
{
	buf_free(&b->text);
}

void xml_builder_begin(struct xml_builder *b, struct arena *a)
{
	b->arena = a;
	b->root = b->cur = NULL;
	b->depth = b->nodes = 0;
	buf_shrink(&b->text, TEXT_KEEP);
}

static enum xml_fault flush(struct xml_builder *b)
{
	if (!b->text.len)
		return XML_FAULT_NONE;
	struct xml_node *t = ++b->nodes > b->lim.max_children ? NULL : ARENA_NEW(b->arena, struct xml_node);
	if (!t)
		return XML_FAULT_TOO_BIG;
	t->text = arena_dup(b->arena, buf_slice(&b->text));
	if (!t->text.p)
		return XML_FAULT_TOO_BIG;
	xml_append(b->cur, t);
	buf_clear(&b->text);
	return XML_FAULT_NONE;
}

/* "namespace SEP local" or "local", copied; the namespace is shared with `near` when it is the same. */
static bool split(struct arena *a, const char *z, struct slice near, struct slice *ns, struct slice *name)
{
	size_t len = strlen(z);
	const char *sep = memchr(z, XML_SEP, len);
	size_t ns_len = sep ? (size_t)(sep - z) : 0;
	*ns = SLICE_NONE;
	if (sep && slice_eq(near, slice_of(z, ns_len))) {
		*ns = near;
	} else if (sep) {
		*ns = arena_dup(a, slice_of(z, ns_len));
		if (!ns->p)
			return false;
	}
	*name = arena_dup(a, sep ? slice_of(sep + 1, len - ns_len - 1) : slice_of(z, len));
	return name->p != NULL;
}

enum xml_fault xml_builder_start(struct xml_builder *b, const char *name, const char **atts, size_t decls)
{
	enum xml_fault f = flush(b);
	if (f)
		return f;
	size_t n_atts = 0;
	while (atts[2 * n_atts])
		n_atts++;
	if (++b->depth > b->lim.max_depth || ++b->nodes > b->lim.max_children || n_atts + decls > b->lim.max_attrs)
		return XML_FAULT_TOO_BIG;
	struct xml_node *n = ARENA_NEW(b->arena, struct xml_node);
	struct xml_attr *at = n_atts ? arena_alloc(b->arena, n_atts * sizeof *at) : NULL;
	if (!n || (n_atts && !at) || !split(b->arena, name, b->cur ? b->cur->ns : SLICE_NONE, &n->ns, &n->name))
		return XML_FAULT_TOO_BIG;
	n->attrs = at;
	for (size_t i = 0; i < n_atts; i++) {
		if (!split(b->arena, atts[2 * i], n->ns, &at[i].ns, &at[i].name))
			return XML_FAULT_TOO_BIG;
		at[i].value = arena_dup(b->arena, slice_str(atts[2 * i + 1]));
		if (!at[i].value.p)
			return XML_FAULT_TOO_BIG;
		at[i].next = i + 1 < n_atts ? &at[i + 1] : NULL;
	}
	if (b->cur)
		xml_append(b->cur, n);
	else
		b->root = n;
	b->cur = n;
	return XML_FAULT_NONE;
}

enum xml_fault xml_builder_text(struct xml_builder *b, const char *p, size_t len)
{
	buf_put(&b->text, slice_of(p, len));
	return buf_ok(&b->text) ? XML_FAULT_NONE : XML_FAULT_TOO_BIG;
}

enum xml_fault xml_builder_end(struct xml_builder *b, bool *done)
{
	enum xml_fault f = flush(b);
	if (f)
		return f;
	b->depth--;
	b->cur = b->cur->parent;
	*done = b->cur == NULL;
	return XML_FAULT_NONE;
}
