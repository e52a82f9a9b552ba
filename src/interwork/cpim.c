/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/cpim.h"

#include "base/enc.h"
#include "base/err.h"

/* The URI in `Formal name <uri>`: the last bracket, as the name may be a string with brackets of its own. */
static struct slice bracketed(struct slice v)
{
	const char *open = v.len ? memrchr(v.p, '<', v.len) : NULL;
	if (!open)
		return v; /* not in the grammar, but seen */
	v = slice_skip(v, (size_t)(open - v.p) + 1);
	ptrdiff_t close = slice_find_chr(v, '>');
	return close < 0 ? v : slice_first(v, (size_t)close);
}

/* Backslash escapes of RFC 3862 2.3.1: \uXXXX, \b \t \n \r, and the character itself. */
static struct slice unescape(struct arena *a, struct slice v)
{
	if (slice_find_chr(v, '\\') < 0)
		return v;
	char *out = arena_bytes(a, v.len + 1);
	size_t n = 0;
	if (!out)
		return SLICE_NONE;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] != '\\' || i + 1 == v.len) {
			out[n++] = v.p[i];
			continue;
		}
		char c = v.p[++i];
		if (c == 'u' && v.len - i > 4) {
			uint32_t cp = 0;
			bool hex = true;
			for (size_t k = 1; k <= 4; k++) {
				int d = hex_value(v.p[i + k]);
				hex = hex && d >= 0;
				cp = cp << 4 | (uint32_t)(d & 15);
			}
			if (hex) {
				n += utf8_encode(cp, out + n); /* six octets became three at most */
				i += 4;
				continue;
			}
		}
		out[n++] = c == 'b' || c == 't' || c == 'n' || c == 'r' ? ' ' : c;
	}
	return slice_of(out, n);
}

int cpim_read(struct cpim *ret, struct arena *a, struct slice doc)
{
	struct cpim c = {0};
	struct slice name, value;
	while (mime_next_header(&doc, &name, &value)) {
		if (slice_eq(name, S("From"))) {
			c.several_from = c.from.p != NULL;
			c.from = bracketed(value);
		} else if (slice_eq(name, S("Subject")) && !c.subject.p) {
			while (value.len && value.p[0] == ';') { /* Subject:;lang=fr Objet */
				size_t n = 0;
				while (n < value.len && value.p[n] != ' ')
					n++;
				struct slice param = slice_of(value.p + 1, n - 1);
				if (slice_istarts(param, S("lang=")))
					c.subject_lang = slice_skip(param, 5);
				value = slice_trim(slice_skip(value, n));
			}
			c.subject = unescape(a, value);
			if (!c.subject.p)
				return ENTENTE_ELIMIT;
		}
	}
	if (doc.len == 0)
		return ENTENTE_ESYNTAX;
	mime_part_read(&c.content, doc);
	*ret = c;
	return 0;
}
