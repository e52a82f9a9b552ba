/* SPDX-License-Identifier: Apache-2.0 */
#include "base/enc.h"
#include "interwork/plaintext.h"

enum tag { TAG_OTHER, TAG_BREAK, TAG_BLOCK, TAG_HIDDEN, TAG_ANCHOR };

static const struct {
	const char *name;
	enum tag tag;
} tags[] = {
	{"br", TAG_BREAK}, {"p", TAG_BLOCK}, {"div", TAG_BLOCK}, {"li", TAG_BLOCK}, {"tr", TAG_BLOCK}, {"ul", TAG_BLOCK},
	{"ol", TAG_BLOCK}, {"h1", TAG_BLOCK}, {"h2", TAG_BLOCK}, {"h3", TAG_BLOCK}, {"h4", TAG_BLOCK}, {"h5", TAG_BLOCK},
	{"h6", TAG_BLOCK}, {"blockquote", TAG_BLOCK}, {"pre", TAG_BLOCK}, {"table", TAG_BLOCK}, {"hr", TAG_BLOCK},
	{"body", TAG_BLOCK}, {"script", TAG_HIDDEN}, {"style", TAG_HIDDEN}, {"title", TAG_HIDDEN}, {"a", TAG_ANCHOR},
};

static const struct {
	const char *name, *text;
} entities[] = {
	{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "}, {"copy", "\xC2\xA9"},
	{"reg", "\xC2\xAE"}, {"trade", "\xE2\x84\xA2"}, {"hellip", "\xE2\x80\xA6"}, {"mdash", "\xE2\x80\x94"},
	{"ndash", "\xE2\x80\x93"}, {"lsquo", "\xE2\x80\x98"}, {"rsquo", "\xE2\x80\x99"}, {"ldquo", "\xE2\x80\x9C"},
	{"rdquo", "\xE2\x80\x9D"}, {"bull", "\xE2\x80\xA2"}, {"middot", "\xC2\xB7"}, {"euro", "\xE2\x82\xAC"},
	{"pound", "\xC2\xA3"}, {"auml", "\xC3\xA4"}, {"ouml", "\xC3\xB6"}, {"uuml", "\xC3\xBC"}, {"Auml", "\xC3\x84"},
	{"Ouml", "\xC3\x96"}, {"Uuml", "\xC3\x9C"}, {"szlig", "\xC3\x9F"}, {"eacute", "\xC3\xA9"}, {"egrave", "\xC3\xA8"},
	{"agrave", "\xC3\xA0"}, {"ccedil", "\xC3\xA7"},
};

struct writer {
	char *out;
	size_t n;
	bool space; /* white space is pending: written before the next word, never at the start of a line */
};

static void put(struct writer *w, const char *p, size_t n)
{
	if (w->space && w->n && w->out[w->n - 1] != '\n')
		w->out[w->n++] = ' ';
	w->space = false;
	memcpy(w->out + w->n, p, n);
	w->n += n;
}

static void put_newline(struct writer *w)
{
	w->space = false;
	w->out[w->n++] = '\n';
}

/* Decodes the entity at s (which begins with "&") into dst; returns how many octets of s it took, 0 when it is none. */
static size_t entity(struct slice s, char dst[4], size_t *ret_len)
{
	ptrdiff_t semi = slice_find_chr(slice_first(s, 12), ';');
	if (semi < 2)
		return 0;
	struct slice name = slice_of(s.p + 1, (size_t)semi - 1);
	if (name.p[0] == '#') {
		bool hex = name.len > 2 && (name.p[1] | 0x20) == 'x';
		uint32_t cp = 0;
		for (size_t i = hex ? 2 : 1; i < name.len; i++) {
			int d = hex_value(name.p[i]);
			if (d < 0 || (!hex && d > 9))
				return 0;
			cp = cp * (hex ? 16 : 10) + (uint32_t)d;
			if (cp > 0x10ffff)
				return 0;
		}
		*ret_len = cp ? utf8_encode(cp, dst) : 0;
		return *ret_len ? (size_t)semi + 1 : 0;
	}
	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
		if (slice_eq(name, slice_str(entities[i].name))) {
			*ret_len = strlen(entities[i].text);
			memcpy(dst, entities[i].text, *ret_len);
			return (size_t)semi + 1;
		}
	}
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

/* Length of the tag at s (which begins with "<"), quotes respected; 0 when it does not end. */
static size_t tag_length(struct slice s)
{
	char quote = 0;
	for (size_t i = 1; i < s.len; i++) {
		if (quote) {
			if (s.p[i] == quote)
				quote = 0;
		} else if (s.p[i] == '"' || s.p[i] == '\'') {
			quote = s.p[i];
		} else if (s.p[i] == '>') {
			return i + 1;
		}
	}
	return 0;
}

static struct slice tag_name(struct slice t)
{
	size_t n = 0;
	while (n < t.len && !is_space(t.p[n]) && t.p[n] != '/' && t.p[n] != '>')
		n++;
	return slice_first(t, n);
}

static enum tag tag_of(struct slice name)
{
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (slice_ieq(name, slice_str(tags[i].name)))
			return tags[i].tag;
	return TAG_OTHER;
}

/* The http, https or mailto target of an <a>, entities still inside. */
static struct slice href_of(struct slice t)
{
	t = slice_first(t, 4096);
	for (size_t i = 1; i + 5 < t.len; i++) {
		if (!is_space(t.p[i - 1]) || !slice_ieq(slice_of(t.p + i, 4), S("href")))
			continue;
		struct slice v = slice_trim(slice_skip(t, i + 4));
		if (v.len < 2 || v.p[0] != '=')
			continue;
		v = slice_trim(slice_skip(v, 1));
		char end = v.len && (v.p[0] == '"' || v.p[0] == '\'') ? v.p[0] : ' ';
		v = end == ' ' ? v : slice_skip(v, 1);
		size_t n = 0;
		while (n < v.len && v.p[n] != end && v.p[n] != '>')
			n++;
		v = slice_first(v, n);
		return slice_istarts(v, S("http://")) || slice_istarts(v, S("https://")) || slice_istarts(v, S("mailto:"))
			       ? v
			       : SLICE_NONE;
	}
	return SLICE_NONE;
}

/* What lies behind "</name>", or the end. */
static struct slice skip_hidden(struct slice s, struct slice name)
{
	for (ptrdiff_t at; (at = slice_find(s, S("</"))) >= 0;) {
		s = slice_skip(s, (size_t)at + 2);
		if (slice_istarts(s, name)) {
			ptrdiff_t gt = slice_find_chr(s, '>');
			return gt < 0 ? SLICE_NONE : slice_skip(s, (size_t)gt + 1);
		}
	}
	return SLICE_NONE;
}

static void put_text(struct writer *w, struct slice s)
{
	while (s.len) {
		char text[4];
		size_t len = 1, took = s.p[0] == '&' ? entity(s, text, &len) : 0;
		if (took == 0 && is_space(s.p[0]))
			w->space = true;
		else
			put(w, took ? text : s.p, took ? len : 1);
		s = slice_skip(s, took ? took : 1);
	}
}

/* Behind the text of a link: its target, unless the text already shows it. */
static void put_target(struct writer *w, struct slice href, size_t text_start)
{
	struct slice shown = slice_of(w->out + text_start, w->n - text_start), bare = href;
	if (slice_istarts(bare, S("mailto:")))
		bare = slice_skip(bare, 7);
	if (bare.len == 0 || slice_find(shown, bare) >= 0)
		return;
	put(w, " (", 2);
	put_text(w, href);
	w->space = false;
	put(w, ")", 1);
}

struct slice interwork_html_to_text(struct arena *a, struct slice s)
{
	/* Every tag, entity and link target is at least as long as what it becomes, but a link needs three more for " ()" and `<a
	 * href=x>` has them. */
	struct writer w = {.out = arena_bytes(a, s.len + 8)};
	struct slice href = SLICE_NONE;
	size_t href_start = 0;
	bool no_more_tags = false;
	if (!w.out)
		return SLICE_NONE;
	while (s.len) {
		if (s.p[0] != '<') {
			ptrdiff_t lt = slice_find_chr(s, '<');
			size_t n = lt < 0 ? s.len : (size_t)lt;
			put_text(&w, slice_first(s, n));
			s = slice_skip(s, n);
			continue;
		}
		if (slice_starts(s, S("<!--"))) {
			ptrdiff_t end = slice_find(slice_skip(s, 4), S("-->"));
			s = end < 0 ? SLICE_NONE : slice_skip(s, (size_t)end + 7);
			continue;
		}
		bool tag = !no_more_tags && s.len > 1 &&
			   (((s.p[1] | 0x20) >= 'a' && (s.p[1] | 0x20) <= 'z') || (s.p[1] && strchr("/!?", s.p[1])));
		size_t n = tag ? tag_length(s) : 0;
		if (n == 0) { /* a lone "<" is text; a tag without end makes text of all that follows, so that nobody looks for
				 the end twice */
			no_more_tags |= tag;
			put(&w, "<", 1);
			s = slice_skip(s, 1);
			continue;
		}
		bool closing = s.p[1] == '/';
		struct slice inside = slice_of(s.p + 1 + closing, n - 2 - closing), name = tag_name(inside);
		s = slice_skip(s, n);
		switch (tag_of(name)) {
		case TAG_OTHER:
			break;
		case TAG_BREAK:
			put_newline(&w);
			break;
		case TAG_BLOCK:
			if (w.n && w.out[w.n - 1] != '\n')
				put_newline(&w);
			break;
		case TAG_HIDDEN:
			if (!closing)
				s = skip_hidden(s, name);
			break;
		case TAG_ANCHOR:
			if (href.len)
				put_target(&w, href, href_start);
			href = closing ? SLICE_NONE : href_of(inside);
			href_start = w.n;
			break;
		}
	}
	while (w.n && w.out[w.n - 1] == '\n')
		w.n--;
	return slice_of(w.out, w.n);
}
