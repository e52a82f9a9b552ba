/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/html_token.h"
#include "interwork/plaintext.h"

enum tag { TAG_OTHER, TAG_BREAK, TAG_BLOCK, TAG_ANCHOR };

static const struct {
	const char *name;
	enum tag tag;
} tags[] = {
	{"br", TAG_BREAK}, {"p", TAG_BLOCK}, {"div", TAG_BLOCK}, {"li", TAG_BLOCK}, {"tr", TAG_BLOCK}, {"ul", TAG_BLOCK},
	{"ol", TAG_BLOCK}, {"h1", TAG_BLOCK}, {"h2", TAG_BLOCK}, {"h3", TAG_BLOCK}, {"h4", TAG_BLOCK}, {"h5", TAG_BLOCK},
	{"h6", TAG_BLOCK}, {"blockquote", TAG_BLOCK}, {"pre", TAG_BLOCK}, {"table", TAG_BLOCK}, {"hr", TAG_BLOCK},
	{"body", TAG_BLOCK}, {"a", TAG_ANCHOR},
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
		if (!html_is_space(t.p[i - 1]) || !slice_ieq(slice_of(t.p + i, 4), S("href")))
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

static void put_text(struct writer *w, struct slice s)
{
	while (s.len) {
		char text[4];
		size_t len = 1, took = s.p[0] == '&' ? html_entity(s, text, &len) : 0;
		if (took == 0 && html_is_space(s.p[0]))
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
	struct html_reader r = {.rest = s};
	struct html_token t;
	struct slice href = SLICE_NONE;
	size_t href_start = 0;
	if (!w.out)
		return SLICE_NONE;
	while (html_next(&r, &t)) {
		if (!t.tag) {
			put_text(&w, t.text);
			continue;
		}
		switch (tag_of(t.name)) {
		case TAG_OTHER:
			break;
		case TAG_BREAK:
			put_newline(&w);
			break;
		case TAG_BLOCK:
			if (w.n && w.out[w.n - 1] != '\n')
				put_newline(&w);
			break;
		case TAG_ANCHOR:
			if (href.len)
				put_target(&w, href, href_start);
			href = t.closing ? SLICE_NONE : href_of(t.inside);
			href_start = w.n;
			break;
		}
	}
	while (w.n && w.out[w.n - 1] == '\n')
		w.n--;
	return slice_of(w.out, w.n);
}
