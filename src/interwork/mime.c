/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/mime.h"

#include "base/enc.h"
#include "base/err.h"
#include "sip/msg.h"

static size_t line_length(struct slice s) /* with its line end */
{
	const char *lf = s.len ? memchr(s.p, '\n', s.len) : NULL;
	return lf ? (size_t)(lf - s.p) + 1 : s.len;
}

bool mime_next_header(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	size_t n = line_length(*rest);
	struct slice line = slice_first(*rest, n);
	if (slice_trim(line).len == 0) {
		*rest = slice_skip(*rest, n);
		return false;
	}
	while (n < rest->len && (rest->p[n] == ' ' || rest->p[n] == '\t')) { /* folds, but not a line of blanks */
		size_t more = line_length(slice_skip(*rest, n));
		if (slice_trim(slice_of(rest->p + n, more)).len == 0)
			break;
		n += more;
	}
	line = slice_first(*rest, n);
	*rest = slice_skip(*rest, n);
	ptrdiff_t colon = slice_find_chr(line, ':');
	*ret_name = colon < 0 ? SLICE_NONE : slice_trim(slice_first(line, (size_t)colon));
	*ret_value = slice_trim(colon < 0 ? line : slice_skip(line, (size_t)colon + 1));
	return true;
}

void mime_part_read(struct mime_part *ret, struct slice entity)
{
	struct mime_part part = {0};
	struct slice name, value;
	while (mime_next_header(&entity, &name, &value)) {
		static const struct {
			const char *name;
			size_t at;
		} fields[] = {
			{"content-type", offsetof(struct mime_part, type)},
			{"content-transfer-encoding", offsetof(struct mime_part, encoding)},
			{"content-disposition", offsetof(struct mime_part, disposition)},
			{"content-language", offsetof(struct mime_part, language)},
		};
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
			struct slice *field = (struct slice *)((char *)&part + fields[i].at);
			if (!field->p && slice_ieq(name, slice_str(fields[i].name)))
				*field = value;
		}
	}
	part.body = entity;
	*ret = part;
}

bool mime_param(struct slice value, struct slice name, struct arena *a, struct slice *ret)
{
	struct slice params, v;
	sip_token(value, &params);
	if (params.len == 0 || !sip_param(params, name, &v))
		return false;
	if (v.len >= 2 && v.p[0] == '"' && v.p[v.len - 1] == '"') {
		v = slice_of(v.p + 1, v.len - 2);
		if (slice_find_chr(v, '\\') >= 0) {
			char *out = arena_bytes(a, v.len);
			size_t n = 0;
			if (!out)
				return false;
			for (size_t i = 0; i < v.len; i++) {
				if (v.p[i] == '\\' && i + 1 < v.len)
					i++;
				out[n++] = v.p[i];
			}
			v = slice_of(out, n);
		}
	}
	*ret = v;
	return true;
}

/* Where the next delimiter line stands in s; *ret_end is behind it, *ret_last tells whether it closes. -1 for none. */
static ptrdiff_t find_delimiter(struct slice s, struct slice boundary, size_t *ret_end, bool *ret_last)
{
	size_t from = 0;
	while (from < s.len) {
		const char *p = memmem(s.p + from, s.len - from, boundary.p, boundary.len);
		if (!p)
			return -1;
		size_t at = (size_t)(p - s.p), end = at + boundary.len;
		from = end;
		if (at < 2 || s.p[at - 1] != '-' || s.p[at - 2] != '-' || (at > 2 && s.p[at - 3] != '\n'))
			continue;
		bool last = s.len - end >= 2 && s.p[end] == '-' && s.p[end + 1] == '-';
		if (last)
			end += 2;
		while (end < s.len && (s.p[end] == ' ' || s.p[end] == '\t'))
			end++;
		if (!last && end < s.len && s.p[end] != '\r' && s.p[end] != '\n') /* only the beginning of a longer one */
			continue;
		if (end < s.len && s.p[end] == '\r')
			end++;
		if (end < s.len && s.p[end] == '\n')
			end++;
		*ret_end = end;
		*ret_last = last;
		return (ptrdiff_t)at - 2;
	}
	return -1;
}

bool mime_next_part(struct slice *rest, bool *started, struct slice boundary, struct slice *ret_entity)
{
	size_t end;
	bool last = false;
	if (boundary.len == 0 || boundary.len > 70)
		return false;
	if (!*started) {
		if (find_delimiter(*rest, boundary, &end, &last) < 0 || last)
			return false;
		*rest = slice_skip(*rest, end);
		*started = true;
	}
	if (!rest->p || rest->len == 0)
		return false;
	ptrdiff_t at = find_delimiter(*rest, boundary, &end, &last);
	struct slice part = at < 0 ? *rest : slice_first(*rest, (size_t)at);
	*rest = at < 0 || last ? SLICE_NONE : slice_skip(*rest, end);
	if (at >= 0 && part.len && part.p[part.len - 1] == '\n') { /* the line end belongs to the delimiter */
		part.len--;
		if (part.len && part.p[part.len - 1] == '\r')
			part.len--;
	}
	*ret_entity = part;
	return true;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 2045 6.8: line ends inside are ignored, so base/enc.h's strict reader does not fit. */
static int decode_base64(struct slice body, char *out, size_t *ret_len)
{
	uint32_t bits = 0;
	size_t n = 0, chars = 0;
	bool padded = false;
	for (size_t i = 0; i < body.len; i++) {
		char c = body.p[i];
		if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
			continue;
		if (c == '=') {
			padded = true;
			continue;
		}
		int v = base64_value(c);
		if (v < 0 || padded)
			return ENTENTE_ESYNTAX;
		bits = bits << 6 | (uint32_t)v;
		if (chars++ % 4) /* the first of four completes no octet; after the k-th, 6k mod 8 bits are left over */
			out[n++] = (char)(bits >> (6 * chars % 8));
	}
	*ret_len = n;
	return 0;
}

static void decode_quoted_printable(struct slice body, char *out, size_t *ret_len)
{
	size_t n = 0;
	for (size_t i = 0; i < body.len; i++) {
		char c = body.p[i];
		if (c == '=' && i + 2 < body.len && hex_value(body.p[i + 1]) >= 0 && hex_value(body.p[i + 2]) >= 0) {
			c = (char)(hex_value(body.p[i + 1]) << 4 | hex_value(body.p[i + 2]));
			i += 2;
		} else if (c == '=' &&
			   (i + 1 == body.len || body.p[i + 1] == '\n' || body.p[i + 1] == '\r')) { /* soft line break */
			i += i + 2 < body.len && body.p[i + 1] == '\r' && body.p[i + 2] == '\n' ? 2 : 1;
			continue;
		}
		out[n++] = c;
	}
	*ret_len = n;
}

int mime_decode(struct slice *ret, struct arena *a, struct slice encoding, struct slice body)
{
	encoding = slice_trim(encoding);
	if (encoding.len == 0 || slice_ieq(encoding, S("7bit")) || slice_ieq(encoding, S("8bit")) ||
	    slice_ieq(encoding, S("binary"))) {
		*ret = body;
		return 0;
	}
	bool base64 = slice_ieq(encoding, S("base64"));
	if (!base64 && !slice_ieq(encoding, S("quoted-printable")))
		return ENTENTE_EUNSUPPORTED;
	char *out = arena_bytes(a, body.len + 1);
	size_t n;
	if (!out)
		return ENTENTE_ELIMIT;
	if (base64) {
		int r = decode_base64(body, out, &n);
		if (r)
			return r;
	} else {
		decode_quoted_printable(body, out, &n);
	}
	*ret = slice_of(out, n);
	return 0;
}
