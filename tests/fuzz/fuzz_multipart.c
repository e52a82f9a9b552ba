/* SPDX-License-Identifier: Apache-2.0 */
/* A multipart body, read twice: by the gateway's reader and, line by line, by the plain one below. Input: the Content-Type in the first line, then the
 * body. Each part is undone by its transfer encoding; and whatever the octets are, put into a part, base64 or quoted-printable they come back. */
#include "fuzz.h"
#include "base/enc.h"
#include "base/err.h"
#include "interwork/mime.h"

enum { PARTS = 64 };

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 2046 5.1.1: a delimiter is a line of its own, "--", the boundary, perhaps "--" and blanks. Returns the octets of the line, 0 when it is none. */
static size_t delimiter(struct slice s, struct slice boundary, bool *ret_last)
{
	size_t n = boundary.len + 2;
	if (s.len < n || s.p[0] != '-' || s.p[1] != '-' || memcmp(s.p + 2, boundary.p, boundary.len))
		return 0;
	*ret_last = s.len >= n + 2 && s.p[n] == '-' && s.p[n + 1] == '-';
	if (*ret_last)
		return n + 2;
	while (n < s.len && blank(s.p[n]))
		n++;
	if (n < s.len && s.p[n] == '\r')
		return n + 1 < s.len && s.p[n + 1] == '\n' ? n + 2 : n + 1;
	return n == s.len ? n : s.p[n] == '\n' ? n + 1 : 0;
}

static size_t plainly(struct slice body, struct slice boundary, struct slice ret[PARTS])
{
	size_t n = 0, begin = 0;
	bool in_part = false, last = false, line = true;
	for (size_t at = 0; at < body.len && n < PARTS;) {
		size_t len = line ? delimiter(slice_skip(body, at), boundary, &last) : 0;
		if (!len) {
			line = body.p[at++] == '\n';
			continue;
		}
		if (in_part) {
			size_t end = at;
			if (end > begin && body.p[end - 1] == '\n')
				end -= end - 1 > begin && body.p[end - 2] == '\r' ? 2 : 1;
			ret[n++] = slice_of(body.p + begin, end - begin);
		}
		if (last)
			return n;
		in_part = true;
		begin = at += len;
		line = true;
	}
	if (in_part && begin < body.len && n < PARTS)
		ret[n++] = slice_skip(body, begin);
	return n;
}

static void parts(struct arena *a, struct slice body, struct slice boundary)
{
	struct slice want[PARTS], rest = body, entity, out;
	struct mime_part part;
	bool started = false, odd = slice_find_chr(boundary, '\n') >= 0 || slice_find_chr(boundary, '\r') >= 0;
	size_t n = 0, m = boundary.len && boundary.len <= 70 ? plainly(body, boundary, want) : 0;
	while (n < PARTS && mime_next_part(&rest, &started, boundary, &entity)) {
		MUST(inside(body, entity));
		if (!odd)
			MUST(n < m && slice_eq(entity, want[n]) && (!entity.len || entity.p == want[n].p));
		n++;
		mime_part_read(&part, entity);
		MUST(inside(entity, part.type) && inside(entity, part.encoding) && inside(entity, part.body) && inside(entity, part.language));
		if (mime_decode(&out, a, part.encoding, part.body) == 0)
			MUST(out.len <= part.body.len);
	}
	MUST(odd || n == m);
}

static void base64(struct buf *b, struct slice s)
{
	static const char c[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < s.len; i += 3) {
		uint32_t v = (uint32_t)(uint8_t)s.p[i] << 16;
		size_t n = s.len - i < 3 ? s.len - i : 3;
		v |= n > 1 ? (uint32_t)(uint8_t)s.p[i + 1] << 8 : 0;
		v |= n > 2 ? (uint8_t)s.p[i + 2] : 0;
		for (size_t k = 0; k < 4; k++)
			buf_putc(b, k <= n ? c[v >> (18 - 6 * k) & 63] : '=');
		if (i % 57 == 54)
			buf_puts(b, "\r\n");
	}
}

static void quoted(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (c == '=' || c < ' ' || c == 127)
			buf_printf(b, "=%02X", (unsigned char)c);
		else
			buf_putc(b, c);
		if (i % 70 == 69)
			buf_puts(b, "=\r\n");
	}
}

/* The octets as the content of a part that we write ourselves. */
static void round_trip(struct arena *a, struct slice s)
{
	static const char *const names[] = {"base64", "quoted-printable", "8bit"};
	struct buf b;
	struct mime_part part;
	struct slice out, entity, rest;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 3; i++) {
		bool started = false;
		buf_clear(&b);
		buf_printf(&b, "--=_bound\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: %s\r\n\r\n", names[i]);
		if (i == 0)
			base64(&b, s);
		else if (i == 1)
			quoted(&b, s);
		else
			buf_put(&b, s);
		if (i == 2 && slice_find(s, S("--=_bound")) >= 0)
			continue;
		buf_puts(&b, "\r\n--=_bound--\r\n");
		rest = buf_slice(&b);
		MUST(buf_ok(&b) && mime_next_part(&rest, &started, S("=_bound"), &entity));
		mime_part_read(&part, entity);
		MUST(slice_eq(part.type, S("text/plain")) && slice_eq(part.encoding, slice_str(names[i])));
		MUST(mime_decode(&out, a, part.encoding, part.body) == 0 && slice_eq(out, s));
		MUST(!mime_next_part(&rest, &started, S("=_bound"), &entity));
	}
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice body = slice_of((const char *)data, size), type, boundary, out;
	if (!size || size > 16384)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	type = slice_split(&body, '\n');
	if (mime_param(type, S("boundary"), a, &boundary))
		parts(a, body, boundary);
	parts(a, body, S("b"));
	static const char *const encodings[] = {"base64", " Quoted-Printable", "7bit", "x-other"};
	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
		int rc = mime_decode(&out, a, slice_str(encodings[i]), body);
		MUST(rc == 0 || (i == 0 && rc == ENTENTE_ESYNTAX) || (i == 3 && rc == ENTENTE_EUNSUPPORTED));
		MUST(rc || out.len <= body.len);
	}
	round_trip(a, body);
	return 0;
}
