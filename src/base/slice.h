/* SPDX-License-Identifier: Apache-2.0 */
/* A slice is a view of bytes that someone else owns: never NUL-terminated, never freed, valid only as long as its owner
 * (a receive buffer, an arena, a literal). Pure functions, no allocation, any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p; /* may be NULL when len is 0 */
	size_t len;
};

/* The slice of a string literal. */
#define S(lit) ((struct slice){"" lit, sizeof(lit) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* printf("%.*s", SFMT(s)) */
#define SFMT(s) (int)(s).len, ((s).p ? (s).p : "")

static inline struct slice slice_of(const char *p, size_t len)
{
	return (struct slice){p, len};
}

/* A NUL-terminated string (NULL gives the empty slice). */
static inline struct slice slice_str(const char *z)
{
	return (struct slice){z, z ? strlen(z) : 0};
}

static inline bool slice_empty(struct slice s)
{
	return s.len == 0;
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII letters compared without case, every other octet exactly. */
bool slice_ieq(struct slice a, struct slice b);

/* Total order by bytes, shorter first on a tie: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);

bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_istarts(struct slice s, struct slice prefix);

/* Index of the first occurrence, or -1. */
ptrdiff_t slice_find_chr(struct slice s, char c);
ptrdiff_t slice_find(struct slice s, struct slice needle);

/* s without its first n octets (empty when n >= len). */
static inline struct slice slice_skip(struct slice s, size_t n)
{
	return n >= s.len ? (struct slice){s.p ? s.p + s.len : NULL, 0} : (struct slice){s.p + n, s.len - n};
}

/* The first n octets at most. */
static inline struct slice slice_first(struct slice s, size_t n)
{
	return (struct slice){s.p, n < s.len ? n : s.len};
}

/* Without leading and trailing SP, HTAB, CR, LF. */
struct slice slice_trim(struct slice s);

/* Cuts *rest at the first `sep`: returns what stood before it and leaves what follows in *rest. Without a separator returns
 * all and leaves *rest empty with p == NULL. */
struct slice slice_split(struct slice *rest, char sep);

/* Decimal digits only, no sign, no spaces, at least one digit. False on anything else or when the value exceeds `max`;
 * *ret is then untouched. */
bool slice_u64(struct slice s, uint64_t max, uint64_t *ret);

/* Copies into a fixed buffer, cut to size - 1, always NUL-terminated. Returns false when it was cut. */
bool slice_cstr(struct slice s, char *dst, size_t size);
/* One after the other into a fixed buffer, NUL-terminated: keys and the like, many times faster than printf. p == NULL when they do not fit. */
struct slice slice_join(char *dst, size_t size, const struct slice *parts, size_t n);
#define SLICE_JOIN(dst, size, ...) \
	slice_join((dst), (size), (const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
