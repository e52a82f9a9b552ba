/* SPDX-License-Identifier: Apache-2.0 */
/* Names of header fields and methods. */
#include "sip/msg.h"

#include "sip/lex.h"

static const struct slice names[SIP_H_COUNT] = {
	[SIP_H_OTHER] = {"", 0},
#define X(id, name, compact) [SIP_H_##id] = {name, sizeof(name) - 1},
	SIP_HEADERS(X)
#undef X
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* those without a compact form meet in [0] */
static const uint8_t compact_ids[256] = {
#define X(id, name, compact) [compact] = SIP_H_##id,
	SIP_HEADERS(X)
#undef X
	[0] = SIP_H_OTHER,
};
#pragma GCC diagnostic pop

struct slice sip_hdr_name(enum sip_hdr h)
{
	return names[h];
}

/* The one known name that this can be, by length and the first letter, or a further one where two share it. A header added to
 * SIP_HEADERS needs its place here: a test looks every name up. */
static enum sip_hdr candidate(struct slice n)
{
	char c = sip_lower(n.p[0]), d = sip_lower(n.p[1]);
	switch (n.len) {
	case 2:
		return SIP_H_TO;
	case 3:
		return SIP_H_VIA;
	case 4:
		return c == 'f' ? SIP_H_FROM : c == 'c' ? SIP_H_CSEQ : SIP_H_DATE;
	case 5:
		return c == 'r' ? SIP_H_ROUTE : c == 'e' ? SIP_H_EVENT : SIP_H_ALLOW;
	case 6:
		return c == 'a' ? SIP_H_ACCEPT : c == 's' ? SIP_H_SERVER : SIP_H_REASON;
	case 7:
		if (c == 'c')
			return d == 'a' ? SIP_H_CALL_ID : SIP_H_CONTACT;
		return c == 'e' ? SIP_H_EXPIRES : c == 's' ? SIP_H_SUBJECT : c == 'w' ? SIP_H_WARNING : SIP_H_REQUIRE;
	case 8:
		return c == 'p' ? SIP_H_PRIORITY : sip_lower(n.p[2]) == 'p' ? SIP_H_REPLACES : SIP_H_REFER_TO;
	case 9:
		return c == 's' ? SIP_H_SUPPORTED : SIP_H_TIMESTAMP;
	case 10:
		return SIP_H_USER_AGENT;
	case 11:
		if (c == 'r')
			return sip_lower(n.p[2]) == 't' ? SIP_H_RETRY_AFTER : SIP_H_REFERRED_BY;
		return c == 'm' ? SIP_H_MIN_EXPIRES : c == 'u' ? SIP_H_UNSUPPORTED : SIP_H_IN_REPLY_TO;
	case 12:
		if (c == 'm')
			return d == 'a' ? SIP_H_MAX_FORWARDS : SIP_H_MIME_VERSION;
		return c == 'c' ? SIP_H_CONTENT_TYPE : c == 'r' ? SIP_H_RECORD_ROUTE : SIP_H_ALLOW_EVENTS;
	case 13:
		return SIP_H_PROXY_REQUIRE;
	case 14:
		return SIP_H_CONTENT_LENGTH;
	case 16:
		return sip_lower(n.p[8]) == 'e' ? SIP_H_CONTENT_ENCODING : SIP_H_CONTENT_LANGUAGE;
	case 18:
		return SIP_H_SUBSCRIPTION_STATE;
	case 19:
		return c == 'c' ? SIP_H_CONTENT_DISPOSITION : SIP_H_P_ASSERTED_IDENTITY;
	default:
		return SIP_H_OTHER;
	}
}

/* Both are names of the same length >= 2: with bit 5 set, a letter meets only its other case and "-" only itself. The last octets
 * are compared by a load that overlaps the one before. */
static bool same_name(const char *a, const char *b, size_t n)
{
	const uint64_t fold = UINT64_C(0x2020202020202020);
	uint64_t x, y;
	uint32_t v, w;
	if (n >= 8) {
		for (size_t i = 0; i < n; i += 8) {
			size_t at = i + 8 <= n ? i : n - 8;
			memcpy(&x, a + at, 8);
			memcpy(&y, b + at, 8);
			if ((x ^ y) & ~fold)
				return false;
		}
		return true;
	}
	if (n >= 4) {
		memcpy(&v, a, 4);
		memcpy(&w, b, 4);
		x = v ^ w;
		memcpy(&v, a + n - 4, 4);
		memcpy(&w, b + n - 4, 4);
		return !((x | (v ^ w)) & ~fold);
	}
	return (a[0] | 32) == (b[0] | 32) && (a[1] | 32) == (b[1] | 32) && (a[n - 1] | 32) == (b[n - 1] | 32);
}

enum sip_hdr sip_hdr_of(struct slice name)
{
	if (name.len < 2)
		return name.len ? (enum sip_hdr)compact_ids[(unsigned char)sip_lower(*name.p)] : SIP_H_OTHER;
	enum sip_hdr id = candidate(name);
	return id != SIP_H_OTHER && same_name(names[id].p, name.p, name.len) ? id : SIP_H_OTHER;
}

static const struct slice methods[] = {
	{"", 0},
#define X(m) {#m, sizeof(#m) - 1},
	SIP_METHODS(X)
#undef X
};
enum { N_METHODS = sizeof methods / sizeof *methods };

struct slice sip_method_name(enum sip_method m)
{
	return methods[m];
}

enum sip_method sip_method_of(struct slice name)
{
	for (size_t i = 1; i < N_METHODS; i++)
		if (methods[i].len == name.len && *methods[i].p == *name.p && memcmp(methods[i].p, name.p, name.len) == 0)
			return (enum sip_method)i;
	return SIP_METHOD_OTHER;
}
