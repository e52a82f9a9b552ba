/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/xhtml.h"
#include "base/enc.h"
#include "interwork/html_token.h"
#include "xmpp/ns.h"

enum {
	MAX_OUT = 65536, MAX_DEPTH = 16, MAX_ATTR = 2048, MAX_ATTRS = 64, MAX_DECLARATIONS = 16, MAX_FONTS = 8, MAX_FONT = 64,
	MAX_ELEMENTS = 1000, /* with their texts fewer nodes than XMPP servers take in a stanza */
};

enum element { NONE, P, BR, SPAN, STRONG, EM, A, UL, OL, LI, BLOCKQUOTE, CELL };

static const char *const names[] = {
	[P] = "p", [BR] = "br", [SPAN] = "span", [STRONG] = "strong", [EM] = "em", [A] = "a", [UL] = "ul", [OL] = "ol", [LI] = "li",
	[BLOCKQUOTE] = "blockquote",
};

/* What is written for what was read. */
static const struct {
	const char *name;
	enum element element;
	const char *style; /* that it stands for */
} known[] = {
	{"p", P, NULL}, {"br", BR, NULL}, {"span", SPAN, NULL}, {"strong", STRONG, NULL}, {"em", EM, NULL}, {"a", A, NULL},
	{"ul", UL, NULL}, {"ol", OL, NULL}, {"li", LI, NULL}, {"blockquote", BLOCKQUOTE, NULL}, {"b", STRONG, NULL}, {"i", EM, NULL},
	{"u", SPAN, "text-decoration:underline"}, {"ins", SPAN, "text-decoration:underline"}, {"s", SPAN, "text-decoration:line-through"},
	{"strike", SPAN, "text-decoration:line-through"}, {"del", SPAN, "text-decoration:line-through"}, {"font", SPAN, NULL},
	{"div", P, NULL}, {"h1", P, NULL}, {"h2", P, NULL}, {"h3", P, NULL}, {"h4", P, NULL}, {"h5", P, NULL}, {"h6", P, NULL},
	{"pre", P, NULL}, {"center", P, NULL}, {"table", P, NULL}, {"tr", P, NULL}, {"hr", P, NULL}, {"dt", P, NULL}, {"dd", P, NULL},
	{"td", CELL, NULL}, {"th", CELL, NULL},
};

/* An element that is open. */
struct open {
	enum element element;
	bool silent;   /* nothing was written: its end must not close another one */
	size_t start;  /* of it, in the output */
	size_t inside; /* where what it holds begins */
	bool space;    /* of the writer, before it */
};

struct writer {
	struct buf b;
	struct open stack[MAX_DEPTH];
	unsigned depth;
	unsigned marks; /* elements that say more than plain text does */
	unsigned elements;
	bool space;     /* white space would be one too many: after another one, at the start of a block */
};

/* ---- styles: every value is read by its grammar and written anew */

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool one_of(struct slice v, const char *list)
{
	for (struct slice rest = slice_str(list); rest.len;)
		if (slice_ieq(slice_split(&rest, ' '), v))
			return true;
	return false;
}

static void put_lower(struct buf *b, struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		buf_putc(b, v.p[i] >= 'A' && v.p[i] <= 'Z' ? (char)(v.p[i] | 0x20) : v.p[i]);
}

static bool put_word_of(struct buf *b, struct slice v, const char *list)
{
	if (!one_of(v, list))
		return false;
	put_lower(b, v);
	return true;
}

static bool put_rgb(struct buf *b, struct slice v)
{
	uint64_t n[3];
	if (!slice_istarts(v, S("rgb(")) || v.p[v.len - 1] != ')')
		return false;
	v = slice_of(v.p + 4, v.len - 5);
	for (size_t i = 0; i < 3; i++)
		if (!slice_u64(slice_trim(slice_split(&v, ',')), 255, &n[i]))
			return false;
	if (v.len)
		return false;
	buf_printf(b, "rgb(%u,%u,%u)", (unsigned)n[0], (unsigned)n[1], (unsigned)n[2]);
	return true;
}

static bool put_color(struct buf *b, struct slice v)
{
	bool hex = v.len > 1 && v.p[0] == '#';
	if (hex ? v.len != 4 && v.len != 7 : v.len > 32)
		return put_rgb(b, v);
	for (size_t i = hex; i < v.len; i++)
		if (hex ? hex_value(v.p[i]) < 0 : !is_alpha(v.p[i]))
			return put_rgb(b, v);
	put_lower(b, v);
	return true;
}

static bool put_size(struct buf *b, struct slice v)
{
	size_t whole = 0, n;
	if (put_word_of(b, v, "xx-small x-small small medium large x-large xx-large smaller larger"))
		return true;
	while (whole < v.len && is_digit(v.p[whole]))
		whole++;
	n = whole;
	if (n < v.len && v.p[n] == '.')
		for (n++; n < v.len && is_digit(v.p[n]);)
			n++;
	if (whole < 1 || whole > 3 || n > whole + 3 || v.p[n - 1] == '.' || !one_of(slice_skip(v, n), "px pt pc em ex in cm mm %"))
		return false;
	put_lower(b, v);
	return true;
}

static bool put_fonts(struct buf *b, struct slice v)
{
	for (size_t n = 0; v.len; n++) {
		struct slice one = slice_trim(slice_split(&v, ','));
		bool word = true;
		if (one.len > 2 && (one.p[0] == '\'' || one.p[0] == '"') && one.p[one.len - 1] == one.p[0])
			one = slice_trim(slice_of(one.p + 1, one.len - 2));
		if (one.len == 0 || one.len > MAX_FONT || n == MAX_FONTS)
			return false;
		for (size_t i = 0; i < one.len; i++) {
			if (!is_alpha(one.p[i]) && !is_digit(one.p[i]) && !memchr(" -_", one.p[i], 3))
				return false;
			word = word && (is_alpha(one.p[i]) || (i && one.p[i] == '-'));
		}
		buf_put(b, n ? S(",") : SLICE_NONE);
		buf_put(b, word ? SLICE_NONE : S("'"));
		buf_put(b, one);
		buf_put(b, word ? SLICE_NONE : S("'"));
	}
	return true;
}

static bool put_decoration(struct buf *b, struct slice v)
{
	for (size_t n = 0; v.len; n++) {
		struct slice one = slice_split(&v, ' ');
		v = slice_trim(v);
		buf_put(b, n ? S(" ") : SLICE_NONE);
		if (n == 3 || !put_word_of(b, one, "none underline overline line-through"))
			return false;
	}
	return true;
}

static bool put_value(struct buf *b, struct slice property, struct slice v)
{
	if (slice_ieq(property, S("color")))
		return put_color(b, v);
	if (slice_ieq(property, S("font-family")))
		return put_fonts(b, v);
	if (slice_ieq(property, S("font-size")))
		return put_size(b, v);
	if (slice_ieq(property, S("font-style")))
		return put_word_of(b, v, "normal italic oblique");
	if (slice_ieq(property, S("font-variant")))
		return put_word_of(b, v, "normal small-caps");
	if (slice_ieq(property, S("font-weight")))
		return put_word_of(b, v, "normal bold bolder lighter 100 200 300 400 500 600 700 800 900");
	if (slice_ieq(property, S("text-decoration")))
		return put_decoration(b, v);
	return false;
}

/* Appends what may stay. A value that holds a ";" is torn, and neither half of it passes. */
static void put_style(struct buf *b, struct slice style)
{
	if (style.len > MAX_ATTR)
		return;
	for (unsigned n = 0; style.len && n < MAX_DECLARATIONS; n++) {
		struct slice value = slice_split(&style, ';'), property = slice_trim(slice_split(&value, ':'));
		size_t before = b->len;
		value = slice_trim(value);
		buf_put(b, before ? S(";") : SLICE_NONE);
		put_lower(b, property);
		buf_put(b, S(":"));
		if (value.len == 0 || !put_value(b, property, value))
			buf_truncate(b, before);
	}
	if (b->len > MAX_ATTR)
		buf_clear(b);
}

/* ---- links */

/* What a browser would take out is taken out before the scheme is looked at; what no URI may hold is percent-encoded, so nothing in
 * it can look like something else. Empty: it must not be linked to. */
static void put_href(struct buf *b, struct slice href)
{
	static const char hex[] = "0123456789ABCDEF";
	static const struct slice schemes[] = {S("http://"), S("https://"), S("mailto:"), S("xmpp:"), S("sip:")};
	bool good = false;
	if (href.len > MAX_ATTR)
		return;
	while (href.len && (unsigned char)href.p[0] <= ' ')
		href = slice_skip(href, 1);
	while (href.len && (unsigned char)href.p[href.len - 1] <= ' ')
		href.len--;
	for (size_t i = 0; i < href.len; i++) {
		unsigned char c = (unsigned char)href.p[i];
		if (c < ' ' || c == 0x7f)
			continue;
		if (c > 0x7f || strchr(" \"<>\\^`{|}'", c)) {
			buf_putc(b, '%');
			buf_putc(b, hex[c >> 4]);
			buf_putc(b, hex[c & 15]);
		} else {
			buf_putc(b, (char)c);
		}
	}
	struct slice s = buf_slice(b);
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		good = good || (slice_istarts(s, schemes[i]) && s.len > schemes[i].len);
	if (!good || s.len > MAX_ATTR)
		buf_clear(b);
}

/* ---- elements */

static bool is_list(enum element e)
{
	return e == UL || e == OL;
}

static bool is_inline(enum element e)
{
	return e == SPAN || e == STRONG || e == EM || e == A;
}

static enum element top(const struct writer *w)
{
	return w->depth ? w->stack[w->depth - 1].element : NONE;
}

/* Old readers of HTML do not know the entity of the apostrophe, and it needs none here. */
static void put_escaped(struct buf *b, struct slice s)
{
	while (s.len) {
		ptrdiff_t at = slice_find_chr(s, '\'');
		size_t n = at < 0 ? s.len : (size_t)at;
		xml_escape(b, slice_first(s, n));
		buf_put(b, at < 0 ? SLICE_NONE : S("'"));
		s = slice_skip(s, n + 1);
	}
}

static void pop(struct writer *w)
{
	struct open *o = &w->stack[--w->depth];
	bool block = !is_inline(o->element);
	if (o->silent)
		return;
	if (o->element != P)
		w->marks--;
	if (w->b.len == o->inside) { /* nothing in it; it may still have kept two words apart */
		buf_truncate(&w->b, o->start);
		w->elements--;
		if (block && !o->space)
			buf_putc(&w->b, ' ');
	} else {
		buf_put(&w->b, S("</"));
		buf_puts(&w->b, names[o->element]);
		buf_putc(&w->b, '>');
		if (o->element != P)
			w->marks++;
	}
	if (block)
		w->space = true;
}

static void count(struct writer *w)
{
	if (++w->elements > MAX_ELEMENTS)
		w->b.failed = true;
}

static void push(struct writer *w, enum element e, const char *attribute, struct slice value)
{
	struct open *o = &w->stack[w->depth++];
	*o = (struct open){.element = e, .start = w->b.len, .silent = attribute && !value.len, .space = w->space};
	if (o->silent)
		return;
	count(w);
	buf_putc(&w->b, '<');
	buf_puts(&w->b, names[e]);
	if (attribute) {
		buf_putc(&w->b, ' ');
		buf_puts(&w->b, attribute);
		buf_put(&w->b, S("=\""));
		put_escaped(&w->b, value);
		buf_putc(&w->b, '"');
	}
	buf_putc(&w->b, '>');
	o->inside = w->b.len;
	if (e != P)
		w->marks++;
	if (!is_inline(e))
		w->space = true;
}

/* Ends the paragraph and what is open in it. */
static void to_container(struct writer *w)
{
	while (w->depth && (is_inline(top(w)) || top(w) == P))
		pop(w);
}

/* What stands between the items of a list gets an item of its own. */
static void to_flow(struct writer *w)
{
	if (is_list(top(w)))
		push(w, LI, NULL, SLICE_NONE); /* a list is opened only when there is room for one */
}

static void close_element(struct writer *w, enum element e)
{
	unsigned i = w->depth;
	while (i && w->stack[i - 1].element != e) {
		enum element o = w->stack[i - 1].element;
		if ((is_inline(e) && !is_inline(o)) || (e == LI && is_list(o)) || (e == P && o != P && !is_inline(o)))
			return;
		i--;
	}
	if (i == 0)
		return;
	while (w->depth >= i)
		pop(w);
}

static void open_block(struct writer *w, enum element e)
{
	to_container(w);
	if (e == LI) {
		unsigned i = w->depth;
		while (i && !is_list(w->stack[i - 1].element) && w->stack[i - 1].element != BLOCKQUOTE)
			i--;
		if (i == 0 || !is_list(w->stack[i - 1].element)) {
			open_block(w, P); /* an item of no list */
			return;
		}
		while (w->depth > i)
			pop(w);
	} else {
		to_flow(w);
	}
	if (w->depth + (is_list(e) ? 1 : 0) < MAX_DEPTH)
		push(w, e, NULL, SLICE_NONE);
}

static void open_inline(struct writer *w, enum element e, struct slice style, struct slice href)
{
	struct buf b;
	buf_init(&b, 4 * MAX_ATTR);
	if (e == A) {
		for (unsigned i = w->depth; i && is_inline(w->stack[i - 1].element); i--)
			if (w->stack[i - 1].element == A) {
				close_element(w, A); /* no link in a link */
				break;
			}
	}
	to_flow(w);
	if (e == SPAN)
		put_style(&b, style);
	else if (e == A)
		put_href(&b, href);
	if (w->depth < MAX_DEPTH)
		push(w, e, e == SPAN ? "style" : e == A ? "href" : NULL, buf_slice(&b));
	buf_free(&b);
}

static void open_element(struct writer *w, enum element e, struct slice style, struct slice href)
{
	if (e == BR) {
		to_flow(w);
		count(w);
		buf_put(&w->b, S("<br/>"));
		w->space = true;
	} else if (is_inline(e)) {
		open_inline(w, e, style, href);
	} else if (e != CELL) {
		open_block(w, e);
	}
}

static void put_space(struct writer *w)
{
	if (w->space || is_list(top(w)))
		return;
	buf_putc(&w->b, ' ');
	w->space = true;
}

/* A run without white space and entities. */
static void put_run(struct writer *w, struct slice s)
{
	to_flow(w);
	w->space = false;
	put_escaped(&w->b, s);
}

static void put_text(struct writer *w, struct slice s, bool entities)
{
	while (s.len && buf_ok(&w->b)) {
		char text[4];
		size_t len = 0, took = entities && s.p[0] == '&' ? html_entity(s, text, &len) : 0, n = took ? took : 1;
		if (took ? len == 1 && html_is_space(text[0]) : html_is_space(s.p[0])) {
			put_space(w);
		} else if (took) {
			put_run(w, slice_of(text, len));
		} else {
			while (n < s.len && !html_is_space(s.p[n]) && !(entities && s.p[n] == '&'))
				n++;
			put_run(w, slice_first(s, n));
		}
		s = slice_skip(s, n);
	}
}

static struct slice finish(struct writer *w, struct arena *a)
{
	while (w->depth)
		pop(w);
	while (w->b.len && w->b.mem[w->b.off + w->b.len - 1] == ' ')
		buf_truncate(&w->b, w->b.len - 1);
	struct slice s = buf_ok(&w->b) && w->marks ? arena_dup(a, buf_slice(&w->b)) : SLICE_NONE;
	buf_free(&w->b);
	return s;
}

/* The row of `known`, or -1. */
static int look_up(struct slice name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_ieq(name, slice_str(known[i].name)))
			return (int)i;
	return -1;
}

/* ---- of tag soup */

/* Decodes the entities of a value into dst, which has four octets more than MAX_ATTR. One that is too long is none. */
static struct slice decoded(struct slice v, char *dst)
{
	size_t n = 0;
	while (v.len && n <= MAX_ATTR) {
		char text[4];
		size_t len = 1, took = v.p[0] == '&' ? html_entity(v, text, &len) : 0;
		n = (size_t)((char *)mempcpy(dst + n, took ? text : v.p, took ? len : 1) - dst);
		v = slice_skip(v, took ? took : 1);
	}
	return n > MAX_ATTR ? SLICE_NONE : slice_of(dst, n);
}

/* The next attribute of a tag; false at the end. */
static bool next_attribute(struct slice *rest, struct slice *name, struct slice *value)
{
	struct slice s = *rest;
	size_t n = 0;
	while (s.len && (html_is_space(s.p[0]) || s.p[0] == '/'))
		s = slice_skip(s, 1);
	while (n < s.len && !html_is_space(s.p[n]) && s.p[n] != '/' && (s.p[n] != '=' || n == 0))
		n++;
	*name = slice_first(s, n);
	*value = SLICE_NONE;
	s = slice_skip(s, n);
	struct slice behind = s;
	while (behind.len && html_is_space(behind.p[0]))
		behind = slice_skip(behind, 1);
	if (n && behind.len && behind.p[0] == '=') {
		s = slice_skip(behind, 1);
		while (s.len && html_is_space(s.p[0]))
			s = slice_skip(s, 1);
		char quote = s.len && (s.p[0] == '"' || s.p[0] == '\'') ? s.p[0] : 0;
		s = slice_skip(s, quote != 0);
		for (n = 0; n < s.len && (quote ? s.p[n] != quote : !html_is_space(s.p[n]));)
			n++;
		*value = slice_first(s, n);
		s = slice_skip(s, n + (quote != 0));
	}
	*rest = s;
	return name->len > 0;
}

/* The first one of a name counts, as in browsers. */
static void open_tag(struct writer *w, int row, struct slice inside, struct slice tag)
{
	char style_text[MAX_ATTR + 4], href_text[MAX_ATTR + 4];
	struct slice rest = slice_skip(inside, tag.len), name, value, style = slice_str(known[row].style ? known[row].style : "");
	struct slice href = SLICE_NONE;
	bool has_style = known[row].style != NULL, has_href = false;
	if (is_inline(known[row].element)) {
		for (unsigned n = 0; n < MAX_ATTRS && next_attribute(&rest, &name, &value); n++) {
			if (!has_style && slice_ieq(name, S("style"))) {
				style = decoded(value, style_text);
				has_style = true;
			} else if (!has_href && slice_ieq(name, S("href"))) {
				href = decoded(value, href_text);
				has_href = true;
			}
		}
	}
	open_element(w, known[row].element, style, href);
}

struct slice interwork_xhtml_from_html(struct arena *a, struct slice html)
{
	struct html_reader r = {.rest = html};
	struct html_token t;
	struct writer w = {.space = true};
	buf_init(&w.b, MAX_OUT);
	while (buf_ok(&w.b) && html_next(&r, &t)) {
		int row = t.tag ? look_up(t.name) : -1;
		if (!t.tag)
			put_text(&w, t.text, true);
		else if (row < 0)
			continue;
		else if (known[row].element == CELL)
			put_space(&w);
		else if (t.closing)
			close_element(&w, known[row].element);
		else
			open_tag(&w, row, t.inside, t.name);
	}
	return finish(&w, a);
}

/* ---- of a stanza */

static bool is_hidden(const struct xml_node *n)
{
	return !slice_eq(n->ns, XMPP_NS_XHTML) || one_of(n->name, "script style title iframe");
}

struct slice interwork_xhtml_from_stanza(struct arena *a, const struct xml_node *html)
{
	const struct xml_node *body = xml_child(html, S("body"), XMPP_NS_XHTML), *n = body ? body->first : NULL;
	struct writer w = {.space = true};
	buf_init(&w.b, MAX_OUT);
	while (n && buf_ok(&w.b)) {
		int row = n->name.p ? look_up(n->name) : -1;
		bool inside = n->name.p && !is_hidden(n);
		if (!n->name.p)
			put_text(&w, n->text, false);
		else if (inside && row >= 0 && known[row].element == CELL)
			put_space(&w);
		else if (inside && row >= 0)
			open_element(&w, known[row].element, known[row].style ? slice_str(known[row].style) : xml_attr(n, S("style")),
				     xml_attr(n, S("href")));
		if (inside && n->first) {
			n = n->first;
			continue;
		}
		for (; n != body; n = n->parent) { /* without recursion: its depth is another room's limit */
			row = n->name.p && !(is_hidden(n)) ? look_up(n->name) : -1;
			if (row >= 0)
				close_element(&w, known[row].element);
			if (n->next) {
				n = n->next;
				break;
			}
		}
		if (n == body)
			break;
	}
	return finish(&w, a);
}
