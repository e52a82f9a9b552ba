/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/lookalike.h"

#include <unicode/uchar.h>
#include <unicode/uidna.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include "base/enc.h"
#include "policy/domain.h"

enum { SKELETON_MAX = 512, LABEL_MIN = 5 /* shorter names differ by one letter all the time */ };

/* What a character is taken for, after it was decomposed and its marks were dropped. Of UTS 39's confusables those that IDNA 2008 lets
 * into a domain and that pass for a Latin letter or digit in common fonts. */
static const struct {
	uint16_t from;
	char to;
} confusable[] = {
	{0x0131, 'i'}, {0x0142, 'l'}, {0x0180, 'b'}, {0x0185, 'b'}, {0x01bf, 'p'}, {0x0237, 'j'}, {0x0251, 'a'}, {0x0261, 'g'},
	{0x0262, 'g'}, {0x0269, 'i'}, {0x026a, 'i'}, {0x026f, 'w'}, {0x0274, 'n'}, {0x028b, 'u'}, {0x028f, 'y'}, {0x00f8, 'o'},
	{0x0111, 'd'}, {0x0127, 'h'}, {0x0138, 'k'}, {0x0167, 't'}, {0x017f, 'f'}, {0x0455, 's'}, {0x0456, 'i'}, {0x0458, 'j'},
	/* Greek */
	{0x03b1, 'a'}, {0x03b3, 'y'}, {0x03b5, 'e'}, {0x03b7, 'n'}, {0x03b9, 'i'}, {0x03ba, 'k'}, {0x03bd, 'v'}, {0x03bf, 'o'},
	{0x03c1, 'p'}, {0x03c3, 'o'}, {0x03c4, 't'}, {0x03c5, 'u'}, {0x03c7, 'x'}, {0x03c9, 'w'}, {0x03f3, 'j'},
	/* Cyrillic */
	{0x0430, 'a'}, {0x0432, 'b'}, {0x0433, 'r'}, {0x0435, 'e'}, {0x043a, 'k'}, {0x043c, 'm'}, {0x043d, 'h'}, {0x043e, 'o'},
	{0x0440, 'p'}, {0x0441, 'c'}, {0x0442, 't'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0448, 'w'}, {0x044a, 'b'}, {0x044c, 'b'},
	{0x0461, 'w'}, {0x0475, 'v'}, {0x04ae, 'y'}, {0x04af, 'y'}, {0x04bb, 'h'}, {0x04cf, 'l'}, {0x0501, 'd'}, {0x051b, 'q'},
	{0x051d, 'w'},
	/* Armenian */
	{0x0561, 'w'}, {0x0563, 'q'}, {0x0566, 'q'}, {0x0570, 'h'}, {0x0575, 'j'}, {0x0578, 'n'}, {0x057c, 'n'}, {0x057d, 'u'},
	{0x0581, 'g'}, {0x0584, 'f'}, {0x0585, 'o'},
	/* Georgian, Cherokee in small letters, others */
	{0x10e7, 'y'}, {0x10ff, 'o'}, {0x1d04, 'c'}, {0x1d0f, 'o'}, {0x1d1b, 't'}, {0x1d1c, 'u'}, {0x1d20, 'v'}, {0x1d21, 'w'},
	{0x1d22, 'z'}, {0xab4e, 'u'}, {0xab83, 'a'}, {0xab93, 'z'}, {0xab9f, 'm'}, {0xaba5, 'd'}, {0xabae, 'b'}, {0xabaf, 'f'},
	{0x05d5, 'l'}, {0x05d8, 'v'}, {0x05df, 'l'}, {0x05e1, 'o'}, {0x0665, 'o'}, {0x0966, 'o'}, {0x0ae6, 'o'}, {0x0be6, 'o'},
	{0x0c66, 'o'}, {0x0d20, 'o'}, {0x0d66, 'o'}, {0x0e50, 'o'}, {0x101d, 'o'}, {0x1040, 'o'}, {0x12d0, 'o'}, {0x3007, 'o'},
	/* digits */
	{'0', 'o'},    {'1', 'l'},    {'i', 'l'},    {'3', 'e'},    {'5', 's'},
};

static uint32_t taken_for(uint32_t cp)
{
	for (int pass = 0; pass < 2; pass++) /* an i from elsewhere is an i first, and an l in the end */
		for (size_t i = 0; i < sizeof confusable / sizeof *confusable; i++)
			if (confusable[i].from == cp) {
				cp = (unsigned char)confusable[i].to;
				break;
			}
	return cp;
}

struct text {
	uint32_t c[SKELETON_MAX];
	size_t n;
};

/* As people read it. */
static bool to_unicode(struct slice domain, char *dst, size_t size)
{
	UErrorCode code = U_ZERO_ERROR;
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UIDNA *idna = uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_UNICODE, &code);
	int32_t n = U_SUCCESS(code) ? uidna_nameToUnicodeUTF8(idna, domain.p, (int32_t)domain.len, dst, (int32_t)size - 1, &info, &code) : 0;
	uidna_close(idna);
	if (U_FAILURE(code) || n <= 0 || (size_t)n >= size)
		return false;
	dst[n] = 0;
	return true;
}

static void put(struct text *t, uint32_t cp)
{
	if (t->n < SKELETON_MAX)
		t->c[t->n++] = cp;
}

/* The base letter of a precomposed one. */
static uint32_t base_letter(uint32_t cp)
{
	UErrorCode code = U_ZERO_ERROR;
	UChar out[16];
	if (cp < 0x80)
		return cp;
	int32_t n = u_getCombiningClass((UChar32)cp) ? 0 : 1;
	if (!n)
		return 0; /* a mark of its own */
	const UNormalizer2 *nfkd = unorm2_getNFKDInstance(&code);
	n = U_SUCCESS(code) ? unorm2_getDecomposition(nfkd, (UChar32)cp, out, 16, &code) : -1;
	if (U_FAILURE(code) || n <= 0)
		return cp;
	UChar32 first;
	int32_t i = 0;
	U16_NEXT(out, i, n, first);
	return (uint32_t)first;
}

static void skeleton(struct text *t, struct slice domain)
{
	char z[4 * 256];
	struct slice s = domain;
	t->n = 0;
	if (to_unicode(domain, z, sizeof z))
		s = slice_str(z);
	while (s.len) {
		uint32_t cp;
		size_t n = utf8_decode(s, &cp);
		if (!n)
			break;
		s = slice_skip(s, n);
		if ((cp = base_letter(cp)))
			put(t, taken_for(cp));
	}
	/* pairs that run together: "rn" is m, "vv" is w, "cl" is d */
	size_t o = 0;
	for (size_t i = 0; i < t->n; i++, o++) {
		uint32_t a = t->c[i], b = i + 1 < t->n ? t->c[i + 1] : 0, to = a == 'r' && b == 'n' ? 'm' : a == 'v' && b == 'v' ? 'w' : a == 'c' && b == 'l' ? 'd' : 0;
		t->c[o] = to ? to : a;
		i += to != 0;
	}
	t->n = o;
}

static bool same(const struct text *a, const struct text *b)
{
	return a->n == b->n && !memcmp(a->c, b->c, a->n * sizeof *a->c);
}

/* At most one letter inserted, left out, replaced, or two neighbours swapped. */
static bool one_off(struct slice a, struct slice b)
{
	if (a.len > b.len) {
		struct slice x = a;
		a = b;
		b = x;
	}
	if (b.len - a.len > 1)
		return false;
	size_t i = 0;
	while (i < a.len && a.p[i] == b.p[i])
		i++;
	if (a.len < b.len)
		return !memcmp(a.p + i, b.p + i + 1, a.len - i);
	if (i == a.len || !memcmp(a.p + i + 1, b.p + i + 1, a.len - i - 1))
		return true;
	return i + 1 < a.len && a.p[i] == b.p[i + 1] && a.p[i + 1] == b.p[i] && !memcmp(a.p + i + 2, b.p + i + 2, a.len - i - 2);
}

/* Before the last dot, and behind it. Suffixes of several labels are not known here; that costs a warning, not more. */
static struct slice without_suffix(struct slice d)
{
	for (size_t i = d.len; i > 0; i--)
		if (d.p[i - 1] == '.')
			return slice_first(d, i - 1);
	return d;
}

static bool below(struct slice a, struct slice b)
{
	return a.len > b.len && slice_eq(slice_skip(a, a.len - b.len), b) && a.p[a.len - b.len - 1] == '.';
}

enum policy_likeness policy_domain_like(struct slice a, struct slice b)
{
	struct text x, y;
	if (slice_eq(a, b) || below(a, b) || below(b, a)) /* whoever owns one owns the other */
		return POLICY_UNLIKE;
	skeleton(&x, a);
	skeleton(&y, b);
	if (same(&x, &y))
		return POLICY_LIKE_SKELETON;
	struct slice na = without_suffix(a), nb = without_suffix(b);
	if (na.len < LABEL_MIN || nb.len < LABEL_MIN)
		return POLICY_UNLIKE;
	if (slice_eq(na, nb))
		return POLICY_LIKE_SUFFIX;
	return one_off(a, b) ? POLICY_LIKE_TYPO : POLICY_UNLIKE;
}

struct search {
	struct slice domain, what;
	enum policy_likeness best;
	bool ours;
};

static void try(struct search *x, struct slice other, bool ours)
{
	enum policy_likeness l = policy_domain_like(x->domain, other);
	if (l == POLICY_UNLIKE || (x->best && x->best <= l))
		return;
	x->best = l;
	x->what = other;
	x->ours = ours;
}

enum policy_likeness policy_lookalike(const struct snapshot *s, struct slice domain, struct slice except, struct slice *ret_what,
				      bool *ret_ours)
{
	struct search x = {.domain = domain};
	for (size_t i = 0; i < snapshot_home_count(s); i++)
		for (size_t k = 0; k < snapshot_home(s, i)->n_domains; k++)
			try(&x, snapshot_home(s, i)->domains[k], true);
	for (size_t i = 0; i < snapshot_partner_count(s); i++) {
		const struct policy_partner *p = snapshot_partner_at(s, i);
		if (slice_eq(p->domain, except))
			continue;
		try(&x, p->domain, false);
		for (size_t k = 0; k < p->n_additional; k++)
			try(&x, p->additional[k], false);
	}
	*ret_what = x.what;
	*ret_ours = x.ours;
	return x.best;
}

unsigned policy_domain_odd(struct slice domain)
{
	char z[4 * 256];
	unsigned odd = 0;
	UScriptCode script = USCRIPT_COMMON;
	if (!to_unicode(domain, z, sizeof z))
		return 0;
	for (struct slice s = slice_str(z); s.len;) {
		uint32_t cp;
		UErrorCode code = U_ZERO_ERROR;
		size_t n = utf8_decode(s, &cp);
		if (!n)
			break;
		s = slice_skip(s, n);
		if (cp == '.') {
			script = USCRIPT_COMMON; /* each label by itself */
			continue;
		}
		UScriptCode now = uscript_getScript((UChar32)cp, &code);
		UCharDirection dir = u_charDirection((UChar32)cp);
		if (dir == U_RIGHT_TO_LEFT || dir == U_RIGHT_TO_LEFT_ARABIC)
			odd |= POLICY_ODD_BIDI;
		if (U_FAILURE(code) || now == USCRIPT_COMMON || now == USCRIPT_INHERITED)
			continue;
		bool east = (script == USCRIPT_HAN || script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA || script == USCRIPT_HANGUL) &&
			    (now == USCRIPT_HAN || now == USCRIPT_HIRAGANA || now == USCRIPT_KATAKANA || now == USCRIPT_HANGUL);
		if (script != USCRIPT_COMMON && now != script && !east)
			odd |= POLICY_ODD_SCRIPTS;
		script = now;
	}
	return odd;
}
