/* SPDX-License-Identifier: Apache-2.0 */
#include "base/enc.h"
#include "interwork/html_token.h"

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

size_t html_entity(struct slice s, char dst[4], size_t *ret_len)
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

bool html_is_space(char c)
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
	while (n < t.len && !html_is_space(t.p[n]) && t.p[n] != '/' && t.p[n] != '>')
		n++;
	return slice_first(t, n);
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

static bool is_hidden(struct slice name)
{
	static const char *const names[] = {"script", "style", "title", "iframe"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_ieq(name, slice_str(names[i])))
			return true;
	return false;
}

bool html_next(struct html_reader *r, struct html_token *ret)
{
	while (r->rest.len) {
		struct slice s = r->rest;
		if (s.p[0] != '<') {
			ptrdiff_t lt = slice_find_chr(s, '<');
			size_t n = lt < 0 ? s.len : (size_t)lt;
			*ret = (struct html_token){.text = slice_first(s, n)};
			r->rest = slice_skip(s, n);
			return true;
		}
		if (slice_starts(s, S("<!--"))) {
			ptrdiff_t end = slice_find(slice_skip(s, 4), S("-->"));
			r->rest = end < 0 ? SLICE_NONE : slice_skip(s, (size_t)end + 7);
			continue;
		}
		bool tag = !r->no_more_tags && s.len > 1 &&
			   (((s.p[1] | 0x20) >= 'a' && (s.p[1] | 0x20) <= 'z') || (s.p[1] && strchr("/!?", s.p[1])));
		size_t n = tag ? tag_length(s) : 0;
		if (n == 0) { /* a lone "<" is text */
			r->no_more_tags |= tag;
			*ret = (struct html_token){.text = slice_first(s, 1)};
			r->rest = slice_skip(s, 1);
			return true;
		}
		bool closing = s.p[1] == '/';
		struct slice inside = slice_of(s.p + 1 + closing, n - 2 - closing), name = tag_name(inside);
		r->rest = slice_skip(s, n);
		if (is_hidden(name)) {
			if (!closing)
				r->rest = skip_hidden(r->rest, name);
			continue;
		}
		*ret = (struct html_token){.tag = true, .closing = closing, .name = name, .inside = inside};
		return true;
	}
	return false;
}
