/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/text.h"

#include <unicode/ucnv.h>

#include "base/enc.h"
#include "base/err.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Nothing of this may stand in running text: C0 but TAB and line ends, DEL, C1, surrogates (never decoded), non-characters. */
static bool is_bad(uint32_t cp)
{
	return (cp < 0x20 && cp != '\t' && cp != '\n' && cp != '\r') || (cp >= 0x7f && cp < 0xa0) || (cp & 0xfffe) == 0xfffe ||
	       (cp >= 0xfdd0 && cp <= 0xfdef);
}

static bool is_line_break(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029;
}

static bool is_override(uint32_t cp)
{
	return (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

struct slice interwork_line(struct arena *a, struct slice text, size_t max)
{
	size_t cap = text.len < max ? text.len : max, n = 0;
	char *out = arena_bytes(a, cap + 1);
	bool broken = true; /* at the start, or behind a line break that became a space: more space adds nothing */
	if (!out)
		return SLICE_NONE;
	while (text.len) {
		uint32_t cp;
		size_t k = utf8_decode(text, &cp);
		const char *p = text.p;
		text = slice_skip(text, k ? k : 1);
		if (k == 0 || is_override(cp))
			continue;
		if (is_line_break(cp)) {
			if (broken || out[n - 1] == ' ') {
				broken = true;
				continue;
			}
			p = " ";
			k = 1;
			broken = true;
		} else if (is_bad(cp) || (broken && cp == ' ')) {
			continue;
		} else {
			broken = false;
		}
		if (k > cap - n)
			break;
		memcpy(out + n, p, k);
		n += k;
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return slice_of(out, n);
}

/* Printable ASCII that Reason-Phrase cannot hold, and the nearest that it can. */
static char phrase_char(char c)
{
	switch (c) {
	case '"': case '`': return '\'';
	case '<': case '[': case '{': return '(';
	case '>': case ']': case '}': return ')';
	case '\\': case '|': return '/';
	case '%': case '#': case '^': return '*';
	}
	return c;
}

struct slice interwork_phrase(struct arena *a, struct slice text)
{
	struct slice s = interwork_line(a, text, 128);
	for (size_t i = 0; i < s.len; i++)
		((char *)s.p)[i] = phrase_char(s.p[i]); /* the line was made just now, in our arena */
	return s;
}

struct slice interwork_lang(struct slice list)
{
	size_t n = 0;
	list = slice_trim(list);
	while (n < list.len && ((list.p[n] >= '0' && list.p[n] <= '9') ||
				((list.p[n] | 0x20) >= 'a' && (list.p[n] | 0x20) <= 'z') || list.p[n] == '-'))
		n++;
	if (n == 0 || n > 35 || list.p[0] == '-' || list.p[n - 1] == '-' || (n < list.len && !strchr(", ;\t\r\n", list.p[n])))
		return SLICE_NONE;
	return slice_of(list.p, n);
}

/* How many octets at the start of s are ASCII that stands in any document as it is: printable, none of & < >. */
static size_t plain_run(struct slice s)
{
	size_t i = 0;
	while (i < s.len && (unsigned char)(s.p[i] - 0x20) < 0x5f && s.p[i] != '&' && s.p[i] != '<' && s.p[i] != '>')
		i++;
	return i;
}

void interwork_put_body(struct buf *b, struct slice text)
{
	size_t i = 0, run = 0; /* text.p[run .. i) is fine as it stands */
	while ((i += plain_run(slice_skip(text, i))) < text.len) {
		unsigned char c = (unsigned char)text.p[i];
		const char *put = NULL;
		size_t skip = 1;
		if (c >= 0x80) {
			uint32_t cp;
			skip = utf8_decode(slice_skip(text, i), &cp);
			if (skip == 0) {
				put = replacement;
				skip = 1;
			} else if (is_bad(cp)) {
				put = replacement;
			}
		} else if (c == '&') {
			put = "&amp;";
		} else if (c == '<') {
			put = "&lt;";
		} else if (c == '>') {
			put = "&gt;";
		} else if (c == '\r') {
			put = "\n";
			if (i + 1 < text.len && text.p[i + 1] == '\n')
				skip = 2;
		} else if (is_bad(c)) {
			put = replacement;
		}
		if (put) {
			buf_put(b, slice_of(text.p + run, i - run));
			buf_puts(b, put);
			run = i + skip;
		}
		i += skip;
	}
	if (run < text.len)
		buf_put(b, slice_of(text.p + run, text.len - run));
}

struct slice interwork_crlf(struct arena *a, struct slice text)
{
	size_t extra = 0, n = plain_run(text);
	if (n == text.len)
		return arena_dup(a, text);
	n = 0;
	for (size_t i = 0; i < text.len; i++) { /* how much it can grow */
		unsigned char c = (unsigned char)text.p[i];
		if (c == '\n' || c == '\r')
			extra++;
		else if (c < 0x20 || c >= 0x7f)
			extra += 2;
	}
	char *out = arena_bytes(a, text.len + extra + 1);
	if (!out)
		return SLICE_NONE;
	for (size_t i = 0; i < text.len;) {
		unsigned char c = (unsigned char)text.p[i];
		size_t k = plain_run(slice_skip(text, i));
		if (k) {
			memcpy(out + n, text.p + i, k);
			n += k;
			i += k;
			continue;
		}
		k = 1;
		if (c == '\r' || c == '\n') {
			if (c == '\r' && i + 1 < text.len && text.p[i + 1] == '\n')
				k = 2;
			out[n++] = '\r';
			out[n++] = '\n';
		} else {
			uint32_t cp = c;
			if (c >= 0x80)
				k = utf8_decode(slice_skip(text, i), &cp);
			if (k == 0 || is_bad(cp)) {
				memcpy(out + n, replacement, 3);
				n += 3;
				k = k ? k : 1;
			} else {
				memcpy(out + n, text.p + i, k);
				n += k;
			}
		}
		i += k;
	}
	out[n] = '\0';
	return slice_of(out, n);
}

/* ICU looks names up as aliases and, failing that, as file names: only what it lists may get there. */
static bool charset_known(struct slice charset, char name[64])
{
	UErrorCode status = U_ZERO_ERROR;
	if (charset.len == 0 || charset.len > 40)
		return false;
	for (size_t i = 0; i < charset.len; i++) {
		char c = charset.p[i];
		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-_.:+", c)))
			return false;
	}
	return slice_cstr(charset, name, 64) && ucnv_countAliases(name, &status) > 0 && U_SUCCESS(status);
}

int interwork_from_charset(struct slice *ret, struct arena *a, struct slice charset, struct slice text)
{
	char name[64];
	UErrorCode status = U_ZERO_ERROR;
	if (charset.len == 0 || slice_ieq(charset, S("utf-8")) || slice_ieq(charset, S("utf8")) ||
	    slice_ieq(charset, S("us-ascii"))) {
		*ret = slice_starts(text, S("\xEF\xBB\xBF")) ? slice_skip(text, 3) : text;
		return 0;
	}
	if (!charset_known(charset, name))
		return ENTENTE_EUNSUPPORTED;
	if (text.len > INT32_MAX / 4)
		return ENTENTE_ELIMIT;
	UConverter *cnv = ucnv_open(name, &status);
	if (U_FAILURE(status))
		return ENTENTE_EUNSUPPORTED;
	/* The worst legacy charsets give one three-octet character per octet, and a pair (four octets) per two. */
	size_t cap = 3 * text.len + 8;
	char *out = arena_bytes(a, cap);
	int r = out ? 0 : ENTENTE_ELIMIT;
	if (out) {
		int32_t n =
			ucnv_toAlgorithmic(UCNV_UTF8, cnv, out, (int32_t)cap, text.p ? text.p : "", (int32_t)text.len, &status);
		if (U_FAILURE(status) || n < 0 || (size_t)n > cap)
			r = status == U_BUFFER_OVERFLOW_ERROR ? ENTENTE_ELIMIT : ENTENTE_EUNSUPPORTED;
		else
			*ret = slice_starts(slice_of(out, (size_t)n), S("\xEF\xBB\xBF")) ? slice_of(out + 3, (size_t)n - 3)
											 : slice_of(out, (size_t)n);
	}
	ucnv_close(cnv);
	return r;
}
