/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

static unsigned char lower(char c)
{
	unsigned char u = (unsigned char)c;
	return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool slice_ieq(struct slice a, struct slice b)
{
	size_t i = 0;
	if (a.len != b.len)
		return false;
	for (; a.len - i >= 8 && memcmp(a.p + i, b.p + i, 8) == 0; i += 8) /* as a rule they are spelt the same */
		;
	for (; i < a.len; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	if (c)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

bool slice_istarts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_ieq(slice_first(s, prefix.len), prefix);
}

ptrdiff_t slice_find_chr(struct slice s, char c)
{
	const char *q = s.len ? memchr(s.p, c, s.len) : NULL;
	return q ? q - s.p : -1;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
	if (needle.len == 0)
		return 0;
	const char *q = s.len ? memmem(s.p, s.len, needle.p, needle.len) : NULL;
	return q ? q - s.p : -1;
}

static bool is_ws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.len && is_ws(s.p[0]))
		s = slice_skip(s, 1);
	while (s.len && is_ws(s.p[s.len - 1]))
		s.len--;
	return s;
}

struct slice slice_split(struct slice *rest, char sep)
{
	ptrdiff_t i = slice_find_chr(*rest, sep);
	struct slice head = *rest;
	if (i < 0) {
		*rest = SLICE_NONE;
		return head;
	}
	head.len = (size_t)i;
	*rest = slice_skip(*rest, (size_t)i + 1);
	return head;
}

bool slice_u64(struct slice s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		unsigned d = (unsigned)(s.p[i] - '0');
		if (v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (v > max)
		return false;
	*ret = v;
	return true;
}

bool slice_cstr(struct slice s, char *dst, size_t size)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;
	if (n)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
	return n == s.len;
}

struct slice slice_join(char *dst, size_t size, const struct slice *parts, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].len >= size - len)
			return SLICE_NONE;
		if (parts[i].len)
			memcpy(dst + len, parts[i].p, parts[i].len);
		len += parts[i].len;
	}
	dst[len] = '\0';
	return slice_of(dst, len);
}
