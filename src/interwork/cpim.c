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

/* The formal name before the bracket: quotes off, unescaped. */
static struct slice formal_name(struct arena *a, struct slice v)
{
	const char *open = v.len ? memrchr(v.p, '<', v.len) : NULL;
	if (!open)
		return SLICE_NONE;
	v = slice_trim(slice_first(v, (size_t)(open - v.p)));
	if (v.len >= 2 && v.p[0] == '"' && v.p[v.len - 1] == '"')
		v = slice_of(v.p + 1, v.len - 2);
	return unescape(a, v);
}

/* Require: a list of headers, of which one that we do not know forbids to show the message (RFC 3862 4.5). */
static bool knows_all(struct slice list, struct slice imdn)
{
	static const char *const known[] = {"From", "To", "cc", "DateTime", "Subject", "NS", "Require"};
	while (list.len) {
		struct slice name = slice_trim(slice_split(&list, ','));
		bool found = name.len == 0 || (imdn.len && slice_starts(name, imdn) && name.len > imdn.len && name.p[imdn.len] == '.');
		for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
			found = slice_eq(name, slice_str(known[i]));
		if (!found)
			return false;
	}
	return true;
}

/* "prefix <urn>", "<urn>": the prefix when the namespace is that of IMDN. */
static void read_ns(struct slice value, struct slice *imdn)
{
	if (slice_ieq(bracketed(value), CPIM_IMDN)) {
		ptrdiff_t open = slice_find_chr(value, '<');
		*imdn = open < 0 ? SLICE_NONE : slice_trim(slice_first(value, (size_t)open));
	}
}

int cpim_read(struct cpim *ret, struct arena *a, struct slice doc)
{
	struct cpim c = {0};
	struct slice name, value, imdn = S("imdn") /* the prefix that everybody uses, some without NS */, require = SLICE_NONE, bare_id = SLICE_NONE;
	while (mime_next_header(&doc, &name, &value)) {
		struct slice local = name;
		if (slice_eq(name, S("From"))) {
			c.several_from = c.from.p != NULL;
			c.from = bracketed(value);
			c.from_name = formal_name(a, value);
		} else if (slice_eq(name, S("To")) && !c.to.p) {
			c.to = bracketed(value);
		} else if (slice_eq(name, S("DateTime"))) {
			c.date = value;
		} else if (slice_eq(name, S("Require"))) {
			require = value;
		} else if (slice_eq(name, S("NS"))) {
			read_ns(value, &imdn);
		} else if (slice_eq(name, S("Subject")) && !c.subject.p) {
			if (value.len && value.p[0] == ';' && value.p[-1] == ':') { /* Subject:;lang=fr Objet; behind a space ";" is text (RFC 3862 2.3) */
				struct slice params = slice_split(&value, ' ');
				while (params.len) {
					struct slice param = slice_split(&params, ';');
					if (slice_istarts(param, S("lang=")))
						c.subject_lang = slice_skip(param, 5);
				}
				value = value.p ? slice_trim(value) : S("");
			}
			c.subject = unescape(a, value);
			if (!c.subject.p)
				return ENTENTE_ELIMIT;
		} else if (slice_ieq(name, S("Message-ID"))) {
			bare_id = value; /* linphone once forgot the prefix */
		} else if (imdn.len ? slice_eq(slice_split(&local, '.'), imdn) : true) {
			if (slice_ieq(local, S("Message-ID")) && !c.imdn_id.p)
				c.imdn_id = value;
			else if (slice_ieq(local, S("Disposition-Notification")) && !c.imdn_wanted.p)
				c.imdn_wanted = value;
		}
	}
	if (doc.len == 0)
		return ENTENTE_ESYNTAX;
	if (!c.imdn_id.p)
		c.imdn_id = bare_id;
	c.requires = !knows_all(require, imdn);
	mime_part_read(&c.content, doc);
	*ret = c;
	return 0;
}

/* ---- writing */

/* One line of UTF-8 with the escapes of RFC 3862 2.3.1; controls go. */
static void put_string(struct buf *b, struct slice s, bool quoted)
{
	while (s.len) {
		uint32_t cp = 0;
		size_t n = utf8_decode(s, &cp);
		if (n && cp >= 0x20 && cp != 0x7f && !(cp >= 0x80 && cp < 0xa0)) {
			if (cp == '\\' || (quoted && cp == '"'))
				buf_putc(b, '\\');
			buf_put(b, slice_first(s, n));
		} else if (cp == '\t' || cp == '\n') {
			buf_putc(b, ' ');
		}
		s = slice_skip(s, n ? n : 1);
	}
}

static void put_address(struct buf *b, const char *header, struct slice name, struct slice uri)
{
	if (uri.len == 0)
		return;
	for (size_t i = 0; i < uri.len; i++)
		if ((unsigned char)uri.p[i] <= ' ' || strchr("<>\"\x7f", uri.p[i]))
			b->failed = true;
	buf_puts(b, header);
	if (name.len) {
		buf_putc(b, '"');
		put_string(b, name, true);
		buf_put(b, S("\" "));
	}
	buf_putc(b, '<');
	buf_put(b, uri);
	buf_put(b, S(">\r\n"));
}

static void put_line(struct buf *b, const char *header, struct slice value)
{
	if (value.len == 0)
		return;
	buf_puts(b, header);
	put_string(b, value, false);
	buf_put(b, S("\r\n"));
}

void cpim_write(struct buf *b, const struct cpim_headers *h, struct slice type, struct slice body)
{
	put_address(b, "From: ", h->from_name, h->from);
	put_address(b, "To: ", SLICE_NONE, h->to);
	put_line(b, "DateTime: ", h->date);
	if (h->subject.len) {
		buf_put(b, S("Subject:"));
		if (h->subject_lang.len) {
			buf_put(b, S(";lang="));
			buf_put(b, h->subject_lang);
		}
		put_line(b, " ", h->subject);
	}
	if (h->imdn_id.len || h->imdn_wanted.len) {
		buf_put(b, S("NS: imdn <urn:ietf:params:imdn>\r\n"));
		put_line(b, "imdn.Message-ID: ", h->imdn_id);
		put_line(b, "imdn.Disposition-Notification: ", h->imdn_wanted);
	}
	buf_put(b, S("\r\nContent-Type: "));
	buf_put(b, type);
	if (h->disposition.len) {
		buf_put(b, S("\r\nContent-Disposition: "));
		buf_put(b, h->disposition);
	}
	buf_put(b, S("\r\nContent-Length: "));
	buf_u64(b, body.len);
	buf_put(b, S("\r\n\r\n"));
	buf_put(b, body);
}
