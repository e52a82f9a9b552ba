/* SPDX-License-Identifier: Apache-2.0 */
/* Lexical elements of the SIP grammar (RFC 3261 25.1), private to src/sip. Pure, any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "sip/msg.h"

enum {
	SIP_C_TOKEN = 1,  /* alphanum - . ! % * _ + ` ' ~ */
	SIP_C_HOST = 2,   /* alphanum - . and _, which Windows host names carry */
	SIP_C_USER = 4,   /* what may stand raw in a userinfo; # is tolerated, dialled strings carry it */
	SIP_C_URI = 8,    /* what may stand raw anywhere in a URI (without %) */
	SIP_C_LWS = 16,   /* SP HTAB CR LF */
	SIP_C_CTL = 32,   /* C0 controls and DEL, not HTAB */
	SIP_C_ALPHA = 64,
	SIP_C_DIGIT = 128,
};

extern const uint8_t sip_chars[256];

static inline bool sip_is(char c, int classes)
{
	return sip_chars[(unsigned char)c] & classes;
}

static inline char sip_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* s without leading linear white space; folds count (the index has checked their shape). */
static inline struct slice sip_skip_lws(struct slice s)
{
	while (s.len && sip_is(*s.p, SIP_C_LWS)) {
		s.p++;
		s.len--;
	}
	return s;
}

static inline struct slice sip_trim(struct slice s)
{
	s = sip_skip_lws(s);
	while (s.len && sip_is(s.p[s.len - 1], SIP_C_LWS))
		s.len--;
	return s;
}

/* Cuts the longest prefix of octets in `classes` off *s. */
static inline struct slice sip_take(struct slice *s, int classes)
{
	struct slice in = *s;
	if (!in.len)
		return in;
	const char *p = in.p, *end = in.p + in.len;
	while (p < end && sip_is(*p, classes))
		p++;
	*s = slice_of(p, (size_t)(end - p));
	return slice_of(in.p, (size_t)(p - in.p));
}

/* Does a name equal this lower-case word of letters, without case? Only a letter of either case becomes a lower-case letter by
 * bit 5. */
static inline bool sip_word(struct slice token, const char *word, size_t n)
{
	unsigned differ = 0;
	if (token.len != n)
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned)((token.p[i] | 32) ^ word[i]);
	return !differ;
}
#define SIP_WORD(token, lit) sip_word((token), "" lit, sizeof(lit) - 1)

/* Index of the first control character but HTAB in p[0 .. n), or n. The line scanner of the parser and of the framer. */
static inline size_t sip_find_control(const char *p, size_t n)
{
	size_t i = 0;
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(31), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(127);
	for (; i + 16 <= n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i c = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), _mm_cmpeq_epi8(_mm_min_epu8(v, low), v));
		int mask = _mm_movemask_epi8(_mm_or_si128(c, _mm_cmpeq_epi8(v, del)));
		if (mask)
			return i + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	while (i < n && !sip_is(p[i], SIP_C_CTL))
		i++;
	return i;
}

static inline bool sip_is_token(struct slice s)
{
	struct slice rest = s;
	return s.len && sip_take(&rest, SIP_C_TOKEN).len == s.len;
}

/* Length of the quoted-string that s begins with (both quotes included), 0 when it has no end. Escaped octets are skipped. */
static inline size_t sip_quoted_len(struct slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* One ";name=value" of a header parameter list. *rest holds what follows (it may start with ";"). value.p is NULL without "=".
 * 1: one was read, 0: the list is at its end, -1: malformed. */
int sip_next_param(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

/* The host part at the front of *s: name, IPv4 or "[" IPv6 "]", then an optional port (white space around ":" only when lws).
 * What follows stays in *s. False when there is none or it is malformed. Used for URIs and for Via sent-by. */
bool sip_take_hostport(struct slice *s, bool lws, struct slice *ret_host, uint16_t *ret_port);

/* As sip_via_parse, but *ret is filled as far as reading came: with a host, a response can still find its way. */
int sip_via_read(struct slice value, struct sip_via *ret);

/* The next item of a comma-separated list at *offset of `value`, trimmed; empty ones are stepped over, quotes and brackets
 * respected. */
bool sip_next_item(struct slice value, size_t *offset, struct slice *ret);
