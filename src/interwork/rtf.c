/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/enc.h"
#include "interwork/plaintext.h"
#include "interwork/text.h"

enum { RTF_DEPTH = 64, RTF_RUN = 256 };

/* Destinations whose text is not part of the message. */
static const char *const hidden[] = {
	"fonttbl",   "colortbl",  "stylesheet",	       "info",	   "pict",    "object",	   "header",
	"footer",    "headerl",	  "headerr",	       "footerl",  "footerr", "themedata", "datastore",
	"generator", "listtable", "listoverridetable", "xmlnstbl", "fldinst",
};

struct rtf {
	struct arena *arena;
	struct buf out;
	struct {
		bool hidden;
		int fallback; /* \ucN: how many characters follow a \u for readers without Unicode */
	} group[RTF_DEPTH];
	size_t depth;
	int skip;           /* fallback characters still to be left out */
	uint32_t high;      /* a high surrogate that waits for its low one */
	char codepage[24];
	char run[RTF_RUN];  /* octets in the code page, not converted yet */
	size_t n_run;
};

static void flush(struct rtf *r)
{
	struct slice text;
	if (r->n_run && interwork_from_charset(&text, r->arena, slice_str(r->codepage), slice_of(r->run, r->n_run)) == 0)
		buf_put(&r->out, text);
	r->n_run = 0;
}

static void put_octet(struct rtf *r, char c)
{
	if (r->group[r->depth].hidden)
		return;
	if (r->skip) {
		r->skip--;
		return;
	}
	if (r->n_run == RTF_RUN)
		flush(r);
	r->run[r->n_run++] = c;
}

static void put_text(struct rtf *r, struct slice s)
{
	if (r->group[r->depth].hidden)
		return;
	flush(r);
	buf_put(&r->out, s);
}

static void put_unicode(struct rtf *r, int n)
{
	uint32_t cp = (uint32_t)(n < 0 ? n + 65536 : n) & 0xffff;
	char text[4];
	if (cp >= 0xd800 && cp < 0xdc00) {
		r->high = cp;
	} else {
		if (cp >= 0xdc00 && cp < 0xe000 && r->high)
			cp = 0x10000 + ((r->high - 0xd800) << 10) + (cp - 0xdc00);
		r->high = 0;
		put_text(r, slice_of(text, utf8_encode(cp, text)));
	}
	r->skip = r->group[r->depth].fallback;
}

static void control_word(struct rtf *r, struct slice word, bool has_number, int number)
{
	static const struct {
		const char *word, *text;
	} texts[] = {
		{"par", "\n"}, {"line", "\n"}, {"tab", "\t"}, {"cell", "\t"}, {"row", "\n"}, {"emdash", "\xE2\x80\x94"},
		 {"endash", "\xE2\x80\x93"},
		{"lquote", "\xE2\x80\x98"}, {"rquote", "\xE2\x80\x99"}, {"ldblquote", "\xE2\x80\x9C"}, {"rdblquote",
		 "\xE2\x80\x9D"},
		{"bullet", "\xE2\x80\xA2"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (slice_eq(word, slice_str(texts[i].word))) {
			put_text(r, slice_str(texts[i].text));
			return;
		}
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (slice_eq(word, slice_str(hidden[i]))) {
			r->group[r->depth].hidden = true;
			return;
		}
	if (!has_number)
		return;
	if (slice_eq(word, S("u")))
		put_unicode(r, number);
	else if (slice_eq(word, S("uc")))
		r->group[r->depth].fallback = number < 0 ? 0 : number > 16 ? 16 : number;
	else if (slice_eq(word, S("ansicpg")) && number > 0 && number < 100000)
		snprintf(r->codepage, sizeof r->codepage, "%s%d", number < 1000 ? "cp" : "windows-", number);
}

/* What follows a backslash; returns how many octets it took. */
static size_t control(struct rtf *r, struct slice s)
{
	size_t n = 0;
	while (n < s.len && (s.p[n] | 0x20) >= 'a' && (s.p[n] | 0x20) <= 'z')
		n++;
	if (n) {
		struct slice word = slice_first(s, n);
		bool negative = n < s.len && s.p[n] == '-', has_number = false;
		int number = 0;
		size_t at = n + negative;
		for (; at < s.len && s.p[at] >= '0' && s.p[at] <= '9'; at++) {
			has_number = true;
			if (number < 1000000)
				number = number * 10 + (s.p[at] - '0');
		}
		n = has_number ? at : n;
		control_word(r, word, has_number, negative ? -number : number);
		return n < s.len && s.p[n] == ' ' ? n + 1 : n; /* the delimiter */
	}
	if (s.len == 0)
		return 0;
	switch (s.p[0]) {
	case '\'':
		if (s.len >= 3 && hex_value(s.p[1]) >= 0 && hex_value(s.p[2]) >= 0) {
			put_octet(r, (char)(hex_value(s.p[1]) << 4 | hex_value(s.p[2])));
			return 3;
		}
		break;
	case '\\': case '{': case '}':
		put_octet(r, s.p[0]);
		break;
	case '~':
		put_octet(r, ' ');
		break;
	case '_':
		put_octet(r, '-');
		break;
	case '\r': case '\n':
		put_text(r, S("\n"));
		break;
	case '*':
		r->group[r->depth].hidden = true;
		break;
	}
	return 1;
}

struct slice interwork_rtf_to_text(struct arena *a, struct slice s)
{
	struct rtf r = {.arena = a, .codepage = "windows-1252"};
	struct slice ret = SLICE_NONE;
	if (!slice_starts(s, S("{\\rtf")))
		return ret;
	r.group[0].fallback = 1;
	buf_init(&r.out, 4 * s.len + 16);
	while (s.len) {
		char c = s.p[0];
		s = slice_skip(s, 1);
		if (c == '{') {
			flush(&r);
			if (r.depth + 1 == RTF_DEPTH)
				break;
			r.depth++;
			r.group[r.depth] = r.group[r.depth - 1];
			r.skip = 0;
		} else if (c == '}') {
			flush(&r);
			r.skip = 0;
			if (r.depth <= 1)
				break; /* the document's own group */
			r.depth--;
		} else if (c == '\\') {
			s = slice_skip(s, control(&r, s));
		} else if (c != '\r' && c != '\n') {
			put_octet(&r, c);
		}
	}
	flush(&r);
	if (buf_ok(&r.out)) {
		struct slice text = buf_slice(&r.out);
		while (text.len && text.p[text.len - 1] == '\n')
			text.len--;
		ret = arena_dup(a, text);
	}
	buf_free(&r.out);
	return ret;
}
