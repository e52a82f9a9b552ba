/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/precis.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include "base/enc.h"

enum { U_MAX = 4096 }; /* UTF-16 units; the input is at most 3069 octets and normalisation grows a string at most threefold */

struct ustr {
	UChar s[U_MAX];
	int32_t len;
};

/* ---- derived properties (RFC 8264 8, the order matters) */

enum derived { PVALID, FREE_PVAL /* not in identifiers */, CONTEXTJ, CONTEXTO, DISALLOWED, UNASSIGNED };

/* RFC 8264 9.6; -1 for no exception */
static int exception(UChar32 c)
{
	switch (c) {
	case 0xdf: case 0x3c2: case 0x6fd: case 0x6fe: case 0xf0b: case 0x3007:
		return PVALID;
	case 0xb7: case 0x375: case 0x5f3: case 0x5f4: case 0x30fb:
		return CONTEXTO;
	case 0x640: case 0x7fa: case 0x302e: case 0x302f: case 0x303b:
		return DISALLOWED;
	}
	if ((c >= 0x660 && c <= 0x669) || (c >= 0x6f0 && c <= 0x6f9))
		return CONTEXTO;
	return c >= 0x3031 && c <= 0x3035 ? DISALLOWED : -1;
}

static bool old_hangul_jamo(UChar32 c)
{
	int t = u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE);
	return t == U_HST_LEADING_JAMO || t == U_HST_VOWEL_JAMO || t == U_HST_TRAILING_JAMO;
}

/* NFKC changes the code point. */
static bool has_compat(UChar32 c)
{
	UErrorCode ec = U_ZERO_ERROR;
	const UNormalizer2 *n = unorm2_getNFKCInstance(&ec);
	UChar in[2], out[32];
	int32_t len = 0;
	U16_APPEND_UNSAFE(in, len, c);
	int32_t n_out = unorm2_normalize(n, in, len, out, 32, &ec);
	return U_FAILURE(ec) || n_out != len || u_memcmp(in, out, len) != 0;
}

static enum derived derived(UChar32 c)
{
	int e = exception(c);
	if (e >= 0)
		return (enum derived)e;
	int8_t cat = u_charType(c);
	bool nonchar = U_IS_UNICODE_NONCHAR(c);
	if (cat == U_UNASSIGNED && !nonchar)
		return UNASSIGNED;
	if (c >= 0x21 && c <= 0x7e)
		return PVALID;
	if (c == 0x200c || c == 0x200d)
		return CONTEXTJ;
	if (old_hangul_jamo(c) || nonchar || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || cat == U_CONTROL_CHAR)
		return DISALLOWED;
	if (has_compat(c))
		return FREE_PVAL;
	switch (cat) {
	case U_LOWERCASE_LETTER: case U_UPPERCASE_LETTER: case U_OTHER_LETTER:
	case U_DECIMAL_DIGIT_NUMBER: case U_MODIFIER_LETTER: case U_NON_SPACING_MARK: case U_COMBINING_SPACING_MARK:
		return PVALID;
	case U_TITLECASE_LETTER: case U_LETTER_NUMBER: case U_OTHER_NUMBER: case U_ENCLOSING_MARK: case U_SPACE_SEPARATOR:
	case U_MATH_SYMBOL: case U_CURRENCY_SYMBOL: case U_MODIFIER_SYMBOL: case U_OTHER_SYMBOL:
	case U_CONNECTOR_PUNCTUATION: case U_DASH_PUNCTUATION: case U_START_PUNCTUATION: case U_END_PUNCTUATION:
	case U_INITIAL_PUNCTUATION: case U_FINAL_PUNCTUATION: case U_OTHER_PUNCTUATION:
		return FREE_PVAL;
	}
	return DISALLOWED;
}

bool idn_code_point(int32_t c)
{
	if ((c >= 0x20d0 && c <= 0x20ff) || (c >= 0x1d100 && c <= 0x1d24f)) /* IgnorableBlocks, RFC 5892 2.4 */
		return false;
	enum derived d = derived(c);
	return d == PVALID || d == CONTEXTJ || d == CONTEXTO;
}

/* ---- contextual rules (RFC 5892 appendix A) */

static UChar32 before(const struct ustr *u, int32_t i)
{
	UChar32 c = 0;
	if (i <= 0)
		return -1;
	U16_PREV(u->s, 0, i, c);
	return c;
}

static UChar32 after(const struct ustr *u, int32_t i)
{
	UChar32 c = 0;
	U16_FWD_1(u->s, i, u->len);
	if (i >= u->len)
		return -1;
	U16_NEXT(u->s, i, u->len, c);
	return c;
}

static bool script_is(UChar32 c, UScriptCode want)
{
	UErrorCode ec = U_ZERO_ERROR;
	return c >= 0 && uscript_getScript(c, &ec) == want;
}

static bool any_in(const struct ustr *u, UChar32 from, UChar32 to)
{
	for (int32_t i = 0; i < u->len;) {
		UChar32 c;
		U16_NEXT(u->s, i, u->len, c);
		if (c >= from && c <= to)
			return true;
	}
	return false;
}

static bool any_kana_or_han(const struct ustr *u)
{
	for (int32_t i = 0; i < u->len;) {
		UChar32 c;
		U16_NEXT(u->s, i, u->len, c);
		if (script_is(c, USCRIPT_HIRAGANA) || script_is(c, USCRIPT_KATAKANA) || script_is(c, USCRIPT_HAN))
			return true;
	}
	return false;
}

static int joining(UChar32 c)
{
	return u_getIntPropertyValue(c, UCHAR_JOINING_TYPE);
}

/* A.1: after a virama, or between letters that would join across it. */
static bool non_joiner_ok(const struct ustr *u, int32_t at)
{
	UChar32 c = before(u, at);
	if (c >= 0 && u_getCombiningClass(c) == 9)
		return true;
	int32_t i = at;
	int type = U_JT_TRANSPARENT;
	while (i > 0 && type == U_JT_TRANSPARENT) {
		U16_PREV(u->s, 0, i, c);
		type = joining(c);
	}
	if (type != U_JT_LEFT_JOINING && type != U_JT_DUAL_JOINING)
		return false;
	i = at + 1; /* U+200C is one unit */
	type = U_JT_TRANSPARENT;
	while (i < u->len && type == U_JT_TRANSPARENT) {
		U16_NEXT(u->s, i, u->len, c);
		type = joining(c);
	}
	return type == U_JT_RIGHT_JOINING || type == U_JT_DUAL_JOINING;
}

static bool context_ok(const struct ustr *u, int32_t at, UChar32 c)
{
	UChar32 prev = before(u, at);
	switch (c) {
	case 0x200c: return non_joiner_ok(u, at);
	case 0x200d: return prev >= 0 && u_getCombiningClass(prev) == 9;
	case 0xb7: return prev == 'l' && after(u, at) == 'l';
	case 0x375: return script_is(after(u, at), USCRIPT_GREEK);
	case 0x5f3: case 0x5f4: return script_is(prev, USCRIPT_HEBREW);
	case 0x30fb: return any_kana_or_han(u);
	}
	/* Arabic-Indic and extended Arabic-Indic digits do not mix. */
	return c <= 0x669 ? !any_in(u, 0x6f0, 0x6f9) : !any_in(u, 0x660, 0x669);
}

static bool code_points_ok(const struct ustr *u, bool identifier)
{
	for (int32_t i = 0; i < u->len;) {
		int32_t at = i;
		UChar32 c;
		U16_NEXT(u->s, i, u->len, c);
		switch (derived(c)) {
		case PVALID:
			break;
		case FREE_PVAL:
			if (identifier)
				return false;
			break;
		case CONTEXTJ: case CONTEXTO:
			if (!context_ok(u, at, c))
				return false;
			break;
		case DISALLOWED: case UNASSIGNED:
			return false;
		}
	}
	return true;
}

/* ---- directionality (RFC 5893 2): only strings with right-to-left code points must satisfy it */

#define DIR(d) (1u << (d))
enum {
	RTL = DIR(U_RIGHT_TO_LEFT) | DIR(U_RIGHT_TO_LEFT_ARABIC),
	NEUTRAL = DIR(U_EUROPEAN_NUMBER) | DIR(U_EUROPEAN_NUMBER_SEPARATOR) | DIR(U_COMMON_NUMBER_SEPARATOR) |
		  DIR(U_EUROPEAN_NUMBER_TERMINATOR) | DIR(U_OTHER_NEUTRAL) | DIR(U_BOUNDARY_NEUTRAL) |
		  DIR(U_DIR_NON_SPACING_MARK),
};

static bool direction_ok(const struct ustr *u)
{
	unsigned seen = 0, first = 0, last = 0;
	for (int32_t i = 0; i < u->len;) {
		UChar32 c;
		U16_NEXT(u->s, i, u->len, c);
		unsigned d = DIR(u_charDirection(c));
		if (!seen)
			first = d;
		seen |= d;
		if (d != DIR(U_DIR_NON_SPACING_MARK))
			last = d;
	}
	if (!(seen & (RTL | DIR(U_ARABIC_NUMBER))))
		return true;
	/* A string that starts left to right may hold no such code point (condition 5), another is out at once (1). */
	if (!(first & RTL) || (seen & ~(RTL | NEUTRAL | DIR(U_ARABIC_NUMBER))))
		return false;
	if ((seen & DIR(U_EUROPEAN_NUMBER)) && (seen & DIR(U_ARABIC_NUMBER)))
		return false;
	return (last & (RTL | DIR(U_EUROPEAN_NUMBER) | DIR(U_ARABIC_NUMBER))) != 0;
}

/* ---- mappings; false when the result does not fit or ICU fails */

static bool map_width(struct ustr *to, const struct ustr *from)
{
	UErrorCode ec = U_ZERO_ERROR;
	const UNormalizer2 *nfkc = unorm2_getNFKCInstance(&ec);
	int32_t n = 0;
	for (int32_t i = 0; i < from->len;) {
		UChar32 c;
		UChar piece[32];
		int32_t n_piece = 0;
		U16_NEXT(from->s, i, from->len, c);
		int type = u_getIntPropertyValue(c, UCHAR_DECOMPOSITION_TYPE);
		if (type == U_DT_WIDE || type == U_DT_NARROW)
			n_piece = unorm2_getRawDecomposition(nfkc, c, piece, 32, &ec);
		else
			U16_APPEND_UNSAFE(piece, n_piece, c);
		if (U_FAILURE(ec) || n_piece < 0 || n + n_piece > U_MAX)
			return false;
		u_memcpy(to->s + n, piece, n_piece);
		n += n_piece;
	}
	to->len = n;
	return true;
}

static bool map_lower(struct ustr *to, const struct ustr *from)
{
	UErrorCode ec = U_ZERO_ERROR;
	to->len = u_strToLower(to->s, U_MAX, from->s, from->len, "", &ec);
	return U_SUCCESS(ec);
}

static void map_spaces(struct ustr *u)
{
	for (int32_t i = 0; i < u->len; i++) /* all of Zs lies in the first plane */
		if (u_charType(u->s[i]) == U_SPACE_SEPARATOR)
			u->s[i] = ' ';
}

static bool map_nfc(struct ustr *to, const struct ustr *from)
{
	UErrorCode ec = U_ZERO_ERROR;
	const UNormalizer2 *nfc = unorm2_getNFCInstance(&ec);
	to->len = unorm2_normalize(nfc, from->s, from->len, to->s, U_MAX, &ec);
	return U_SUCCESS(ec);
}

static int from_utf8(struct ustr *u, struct slice in)
{
	UErrorCode ec = U_ZERO_ERROR;
	if (in.len > 3 * PRECIS_MAX) /* no mapping makes it short enough */
		return ENTENTE_ELIMIT;
	if (!in.len || !utf8_valid(in))
		return ENTENTE_ESYNTAX;
	u_strFromUTF8(u->s, U_MAX, &u->len, in.p, (int32_t)in.len, &ec);
	return U_SUCCESS(ec) ? 0 : ENTENTE_ESYNTAX;
}

static int to_utf8(const struct ustr *u, char dst[PRECIS_MAX], size_t *len)
{
	UErrorCode ec = U_ZERO_ERROR;
	int32_t n = 0;
	u_strToUTF8(dst, PRECIS_MAX, &n, u->s, u->len, &ec);
	if (ec == U_BUFFER_OVERFLOW_ERROR)
		return ENTENTE_ELIMIT;
	if (U_FAILURE(ec) || n == 0)
		return ENTENTE_ESYNTAX;
	*len = (size_t)n;
	return 0;
}

static bool same(const struct ustr *a, const struct ustr *b)
{
	return a->len == b->len && u_memcmp(a->s, b->s, a->len) == 0;
}

/* The rules are applied until nothing changes any more, four times at most (RFC 8264 7). */
static int prepare(struct slice in, bool identifier, char dst[PRECIS_MAX], size_t *len)
{
	struct ustr cur, x, y;
	UErrorCode ec = U_ZERO_ERROR;
	int rc = from_utf8(&cur, in);
	if (rc)
		return rc;
	unorm2_getNFCInstance(&ec);
	unorm2_getNFKCInstance(&ec);
	if (U_FAILURE(ec))
		return ENTENTE_EUNSUPPORTED;
	for (int round = 0;; round++) {
		if (identifier) {
			if (!map_width(&x, &cur) || !map_lower(&y, &x) || !map_nfc(&x, &y))
				return ENTENTE_ELIMIT;
		} else {
			y.len = cur.len;
			u_memcpy(y.s, cur.s, cur.len);
			map_spaces(&y);
			if (!map_nfc(&x, &y))
				return ENTENTE_ELIMIT;
		}
		if (same(&x, &cur))
			break;
		if (round == 4)
			return ENTENTE_ESYNTAX;
		cur.len = x.len;
		u_memcpy(cur.s, x.s, x.len);
	}
	if ((identifier && !direction_ok(&cur)) || !code_points_ok(&cur, identifier))
		return ENTENTE_ESYNTAX;
	return to_utf8(&cur, dst, len);
}

int precis_username(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	return prepare(in, true, dst, len);
}

int precis_opaque(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	return prepare(in, false, dst, len);
}
