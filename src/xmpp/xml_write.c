/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include "base/buf.h"
#include "xmpp/xml.h"
#include "xmpp/xml_stream.h" /* XML_NS_XMLNS */

/* ---- the cursor: a stanza is some fifty small pieces, so each costs one comparison and a copy into room reserved in steps */

struct out {
	struct buf *b;
	char *start, *p, *end; /* reserved: start .. end; written: start .. p */
	const struct xml_prefix *prefixes;
	size_t n_prefixes;
};

enum { OUT_STEP = 1024 };

static bool out_more(struct out *o, size_t need)
{
	if (o->start)
		buf_commit(o->b, (size_t)(o->p - o->start));
	size_t room = o->b->limit > o->b->len ? o->b->limit - o->b->len : 0;
	size_t want = need > OUT_STEP ? need : room < OUT_STEP ? room : OUT_STEP;
	o->start = o->p = buf_reserve(o->b, want > need ? want : need);
	o->end = o->p ? o->p + want : NULL;
	return o->p != NULL;
}

static inline void put(struct out *o, struct slice s)
{
	if (s.len && ((size_t)(o->end - o->p) >= s.len || out_more(o, s.len))) {
		memcpy(o->p, s.p, s.len);
		o->p += s.len;
	}
}

static inline void putch(struct out *o, char c)
{
	if (o->end != o->p || out_more(o, 1))
		*o->p++ = c;
}

static void out_begin(struct out *o, struct buf *b)
{
	*o = (struct out){.b = b};
}

/* Takes everything back when anything was lost. */
static void out_end(struct out *o, size_t len_before)
{
	if (o->start)
		buf_commit(o->b, (size_t)(o->p - o->start));
	if (!buf_ok(o->b))
		buf_truncate(o->b, len_before);
}

/* ---- characters */

enum { IN_TEXT = 1, IN_ATTR = 2 };

/* Where an octet needs a look. White space stays as it is in text; in an attribute a parser would turn it into blanks. */
static const unsigned char special[256] = {
	[0x00 ... 0x08] = 3, ['\t'] = IN_ATTR, ['\n'] = IN_ATTR, [0x0b ... 0x1f] = 3, ['&'] = 3, ['<'] = 3, ['>'] = 3,
	['"'] = IN_ATTR, ['\''] = IN_ATTR, [0x80 ... 0xff] = 3,
};

/* False only when no octet of the eight can be special. */
static inline bool maybe_special(const char *p)
{
	const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
	uint64_t x;
	memcpy(&x, p, 8);
	uint64_t angle = (x | ones * 2) ^ ones * '>', amp = (x | ones) ^ ones * '\'', quote = x ^ ones * '"';
	uint64_t zero = ((angle - ones) & ~angle) | ((amp - ones) & ~amp) | ((quote - ones) & ~quote) | ((x - ones * 0x20) & ~x);
	return ((zero | x) & high) != 0;
}

/* A character of more than one octet: its length, or minus the octets to replace when XML does not allow it. */
static inline int multibyte(const unsigned char *p, size_t left)
{
	unsigned char c = p[0];
	if (c >= 0xc2 && c <= 0xdf)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : -1;
	if (c >= 0xe0 && c <= 0xef) {
		if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return -1;
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f)) /* overlong, surrogate */
			return -1;
		return c == 0xef && p[1] == 0xbf && p[2] >= 0xbe ? -3 : 3; /* U+FFFE, U+FFFF */
	}
	if (c >= 0xf0 && c <= 0xf4) {
		if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
			return -1;
		return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? -1 : 4;
	}
	return -1;
}

/* How many octets from `at` may be copied as they are. */
static size_t plain_run(struct slice s, size_t at, unsigned where)
{
	size_t i = at;
	for (;;) {
		while (s.len - i >= 8 && !maybe_special(s.p + i))
			i += 8;
		size_t stop = s.len - i < 8 ? s.len : i + 8;
		while (i < stop) {
			unsigned char c = (unsigned char)s.p[i];
			if (!(special[c] & where)) {
				i++;
				continue;
			}
			int n = c >= 0x80 ? multibyte((const unsigned char *)s.p + i, s.len - i) : 0;
			if (n <= 0)
				return i - at;
			i += (size_t)n;
		}
		if (i >= s.len)
			return i - at;
	}
}

static struct slice entity(unsigned char c)
{
	switch (c) {
	case '&': return S("&amp;");
	case '<': return S("&lt;");
	case '>': return S("&gt;");
	case '"': return S("&quot;");
	case '\'': return S("&#39;");
	case '\t': return S("&#9;");
	case '\n': return S("&#10;");
	case '\r': return S("&#13;");
	}
	return S("\xef\xbf\xbd");
}

static void escape(struct out *o, struct slice s, unsigned where)
{
	for (size_t i = 0; i < s.len;) {
		size_t run = plain_run(s, i, where);
		put(o, slice_of(s.p + i, run));
		i += run;
		if (i < s.len) {
			unsigned char c = (unsigned char)s.p[i];
			put(o, entity(c));
			int n = c >= 0x80 ? multibyte((const unsigned char *)s.p + i, s.len - i) : -1;
			i += (size_t)-n;
		}
	}
}

void xml_escape(struct buf *b, struct slice s)
{
	struct out o;
	size_t before = b->len;
	out_begin(&o, b);
	escape(&o, s, IN_ATTR);
	out_end(&o, before);
}

bool xml_text_legal(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		i += plain_run(s, i, IN_TEXT);
		if (i >= s.len)
			break;
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80 || (c < 0x20 && c != '\r'))
			return false;
	}
	return true;
}

/* ---- elements */

static const struct xml_prefix *bound(const struct out *o, struct slice ns)
{
	for (size_t i = 0; i < o->n_prefixes; i++)
		if (slice_eq(o->prefixes[i].ns, ns))
			return &o->prefixes[i];
	return NULL;
}

/* The prefix of a foreign attribute is the place in the list of the first one in its namespace; there it is declared, too. */
static void generated_prefix(struct out *o, const struct xml_node *n, const struct xml_attr *at)
{
	unsigned k = 1;
	const struct xml_attr *first = n->attrs;
	for (; !slice_eq(first->ns, at->ns); first = first->next)
		k++;
	char digits[12];
	struct slice num = slice_of(digits, (size_t)snprintf(digits, sizeof digits, "%u", k));
	if (first == at) {
		put(o, S(" xmlns:ns"));
		put(o, num);
		put(o, S("='"));
		escape(o, at->ns, IN_ATTR);
		putch(o, '\'');
	}
	put(o, S(" ns"));
	put(o, num);
	putch(o, ':');
}

static void write_attrs(struct out *o, const struct xml_node *n)
{
	for (const struct xml_attr *at = n->attrs; at; at = at->next) {
		const struct xml_prefix *pre = NULL;
		if (!at->ns.len) {
			putch(o, ' ');
		} else if (slice_eq(at->ns, XML_NS_XML)) {
			put(o, S(" xml:"));
		} else if (slice_eq(at->ns, XML_NS_XMLNS)) {
			continue; /* declarations are made anew */
		} else if ((pre = bound(o, at->ns))) {
			putch(o, ' ');
			put(o, pre->prefix);
			putch(o, ':');
		} else {
			generated_prefix(o, n, at);
		}
		put(o, at->name);
		put(o, S("='"));
		escape(o, at->value, IN_ATTR);
		putch(o, '\'');
	}
}

static void write_node(struct out *o, const struct xml_node *n, struct slice ns)
{
	if (n->broken)
		o->b->failed = true;
	if (!buf_ok(o->b))
		return;
	if (!n->name.p) {
		escape(o, n->text, IN_TEXT);
		return;
	}
	const struct xml_prefix *pre = slice_eq(n->ns, ns) ? NULL : bound(o, n->ns);
	putch(o, '<');
	if (pre) {
		put(o, pre->prefix);
		putch(o, ':');
	}
	put(o, n->name);
	if (!pre && !slice_eq(n->ns, ns)) {
		put(o, S(" xmlns='"));
		escape(o, n->ns, IN_ATTR);
		putch(o, '\'');
		ns = n->ns;
	}
	write_attrs(o, n);
	if (!n->first) {
		put(o, S("/>"));
		return;
	}
	putch(o, '>');
	for (const struct xml_node *c = n->first; c; c = c->next)
		write_node(o, c, ns);
	put(o, S("</"));
	if (pre) {
		put(o, pre->prefix);
		putch(o, ':');
	}
	put(o, n->name);
	putch(o, '>');
}

void xml_write_in(struct buf *b, const struct xml_node *n, struct slice ns_context, const struct xml_prefix *prefixes,
	size_t n_prefixes)
{
	struct out o;
	size_t before = b->len;
	out_begin(&o, b);
	o.prefixes = prefixes;
	o.n_prefixes = n_prefixes;
	if (n)
		write_node(&o, n, ns_context);
	else
		b->failed = true;
	out_end(&o, before);
}

void xml_write(struct buf *b, const struct xml_node *n, struct slice ns_context)
{
	xml_write_in(b, n, ns_context, NULL, 0);
}
