/* SPDX-License-Identifier: Apache-2.0 */
/* A document read by our reader (expat and the tree on top of it) and by libxml2: the same elements, attributes and texts with the same namespaces, and
 * what one takes the other takes. Left out where the two differ by choice: declared encodings, other versions of XML, DOCTYPE, names beyond ASCII (expat
 * has those of the fourth edition of XML 1.0), our limits. */
#include "fuzz.h"
#include <libxml/parser.h>
#include "base/enc.h"
#include "xmpp/xml.h"

enum { ATTRS = 256 };

/* What was seen, in one text: "<{ns}name", attributes in order, ">", texts with their length. */
struct seen {
	struct buf out, text;
	bool doctype, many;
};

static void flush(struct seen *s)
{
	if (s->text.len)
		buf_printf(&s->out, "T%zu:", s->text.len);
	buf_put(&s->out, buf_slice(&s->text));
	buf_clear(&s->text);
}

static int by_octets(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void element(struct seen *s, struct arena *a, struct slice ns, struct slice name, struct slice *attrs, size_t n)
{
	flush(s);
	buf_printf(&s->out, "<{%.*s}%.*s", SFMT(ns), SFMT(name));
	if (n)
		qsort(attrs, n, sizeof *attrs, by_octets);
	for (size_t i = 0; i < n; i++)
		buf_put(&s->out, attrs[i]);
	buf_putc(&s->out, '>');
	(void)a;
}

static struct slice attribute(struct arena *a, struct slice ns, struct slice name, struct slice value)
{
	return arena_printf(a, " {%.*s}%.*s=%zu:%.*s", SFMT(ns), SFMT(name), value.len, SFMT(value));
}

/* ---- ours */

static void walk(struct seen *s, struct arena *a, const struct xml_node *root)
{
	const struct xml_node *n = root;
	while (n) {
		if (n->name.p) {
			struct slice attrs[ATTRS];
			size_t k = 0;
			for (const struct xml_attr *at = n->attrs; at; at = at->next)
				attrs[k++] = attribute(a, at->ns, at->name, at->value);
			element(s, a, n->ns, n->name, attrs, k);
			if (n->first) {
				n = n->first;
				continue;
			}
			flush(s);
			buf_puts(&s->out, "</>");
		} else {
			buf_put(&s->text, n->text);
		}
		while (n != root && !n->next) {
			n = n->parent;
			flush(s);
			buf_puts(&s->out, "</>");
		}
		if (n == root)
			break;
		n = n->next;
	}
}

/* ---- theirs */

static struct seen theirs;
static struct arena *arena;

static struct slice xs(const xmlChar *z)
{
	return slice_str((const char *)z);
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns, const xmlChar **ns, int n, int n_default, const xmlChar **at)
{
	struct slice attrs[ATTRS];
	(void)arg, (void)prefix, (void)n_ns, (void)ns, (void)n_default;
	if (n > ATTRS) {
		theirs.many = true;
		return;
	}
	for (int i = 0; i < n; i++)
		attrs[i] = attribute(arena, xs(at[5 * i + 2]), xs(at[5 * i]), slice_of((const char *)at[5 * i + 3], (size_t)(at[5 * i + 4] - at[5 * i + 3])));
	element(&theirs, arena, xs(uri), xs(name), attrs, (size_t)n);
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	(void)arg, (void)name, (void)prefix, (void)uri;
	flush(&theirs);
	buf_puts(&theirs.out, "</>");
}

static void on_text(void *arg, const xmlChar *p, int len)
{
	(void)arg;
	buf_put(&theirs.text, slice_of((const char *)p, (size_t)len));
}

static void on_doctype(void *arg, const xmlChar *name, const xmlChar *id, const xmlChar *system)
{
	(void)arg, (void)name, (void)id, (void)system;
	theirs.doctype = true;
}

static void quiet(void *arg, const char *fmt, ...)
{
	(void)arg, (void)fmt;
}

static void read_theirs(struct slice doc, bool *ret_well, bool *ret_ns)
{
	static xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC, .startElementNs = on_start, .endElementNs = on_end, .characters = on_text, .cdataBlock = on_text,
				    .ignorableWhitespace = on_text, .internalSubset = on_doctype};
	xmlParserCtxtPtr c = xmlNewParserCtxt();
	*c->sax = sax;
	theirs.doctype = theirs.many = false;
	xmlCtxtReadMemory(c, doc.p, (int)doc.len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	*ret_well = c->wellFormed;
	*ret_ns = c->nsWellFormed;
	xmlFreeParserCtxt(c);
}

static bool ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	xmlSetGenericErrorFunc(NULL, quiet);
	arena = arena_new(32 << 20);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice doc = slice_of((const char *)data, size);
	struct xml_node *root;
	bool well, well_ns;
	if (!size || size > 32768 || !utf8_valid(doc) || slice_find_chr(doc, 0) >= 0 || slice_find(doc, S("encoding")) >= 0)
		return 0;
	if (slice_find(doc, S("version")) >= 0 && slice_find(doc, S("version='1.0'")) < 0 && slice_find(doc, S("version=\"1.0\"")) < 0)
		return 0;
	arena_reset(arena);
	buf_init(&theirs.out, 32 << 20);
	buf_init(&theirs.text, 1 << 20);
	int rc = xml_parse(&root, arena, doc, &xml_limits_default, NULL);
	read_theirs(doc, &well, &well_ns);
	if (rc == 0 && !theirs.doctype) {
		struct seen ours = {0};
		buf_init(&ours.out, 32 << 20);
		buf_init(&ours.text, 1 << 20);
		walk(&ours, arena, root);
		MUST(well && buf_ok(&ours.out) && slice_eq(buf_slice(&ours.out), buf_slice(&theirs.out)));
		buf_free(&ours.out);
		buf_free(&ours.text);
	}
	if (well && well_ns && !theirs.doctype && !theirs.many && ascii(doc))
		MUST(rc == 0 || rc == ENTENTE_ELIMIT);
	buf_free(&theirs.out);
	buf_free(&theirs.text);
	return 0;
}
