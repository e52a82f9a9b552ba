/* SPDX-License-Identifier: Apache-2.0 */
/* A document as text: YAML or JSON, the same octets for the same policy. */
#include <string.h>
#include "admin/document_int.h"
#include "base/enc.h"

static const char head[] = "# The policy: who may communicate with whom. `entente policy export` writes this, `entente policy import` makes it so;\n"
			   "# docs/changes.md tells how to keep it under version control.\n";

/* What YAML takes as it is and no reader takes for something else. */
static bool plain(struct slice s)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"};
	if (!s.len || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= 'A' && s.p[0] <= 'Z')))
		return false;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_ieq(s, slice_str(words[i])))
			return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '@' || c == '/'))
			return false;
	}
	return true;
}

/* Code points that YAML 1.2 does not take as they are (5.1): written as escapes that JSON knows too. */
static bool printable(uint32_t cp)
{
	return cp >= 0x20 && cp != 0x7f && !(cp >= 0x80 && cp < 0xa0) && cp != 0x2028 && cp != 0x2029 && cp != 0xfeff && cp != 0xfffe && cp != 0xffff;
}

void document_quote(struct buf *out, struct slice s)
{
	buf_putc(out, '"');
	for (size_t off = 0, n; off < s.len; off += n ? n : 1) {
		uint32_t cp = 0xfffd;
		n = utf8_decode(slice_skip(s, off), &cp);
		if (cp == '"' || cp == '\\')
			buf_printf(out, "\\%c", (int)cp);
		else if (!n || !printable(cp))
			buf_printf(out, "\\u%04x", cp);
		else
			buf_put(out, slice_of(s.p + off, n));
	}
	buf_putc(out, '"');
}

static void scalar(struct buf *out, json_t *v, bool yaml)
{
	struct slice s = slice_of(json_string_value(v), json_string_length(v));
	if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "true" : "false");
	else if (json_is_integer(v))
		buf_printf(out, "%lld", (long long)json_integer_value(v));
	else if (yaml && plain(s))
		buf_put(out, s);
	else
		document_quote(out, s);
}

static void line(struct buf *out, unsigned indent)
{
	buf_printf(out, "\n%*s", (int)indent, "");
}

/* After its key or dash, at the end of a line that is begun. `indent`: of what holds it. */
static void yaml_value(struct buf *out, json_t *v, unsigned indent, bool item)
{
	json_t *one;
	const char *key;
	size_t i;
	bool first = true;
	if (json_is_array(v) && !json_array_size(v)) {
		buf_puts(out, " []");
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, one) {
			line(out, indent + 2);
			buf_putc(out, '-');
			yaml_value(out, one, indent + 2, true);
		}
	} else if (json_is_object(v)) {
		json_object_foreach(v, key, one) {
			if (item && first)
				buf_putc(out, ' ');
			else
				line(out, indent + 2);
			first = false;
			buf_printf(out, "%s:", key);
			yaml_value(out, one, indent + 2, false);
		}
	} else {
		buf_putc(out, ' ');
		scalar(out, v, true);
	}
}

static void json_value(struct buf *out, json_t *v, unsigned indent)
{
	json_t *one;
	const char *key;
	size_t i, n = 0;
	if (json_is_array(v)) {
		buf_putc(out, '[');
		json_array_foreach(v, i, one) {
			buf_puts(out, i ? "," : "");
			line(out, indent + 2);
			json_value(out, one, indent + 2);
		}
		if (json_array_size(v))
			line(out, indent);
		buf_putc(out, ']');
	} else if (json_is_object(v)) {
		buf_putc(out, '{');
		json_object_foreach(v, key, one) {
			buf_puts(out, n++ ? "," : "");
			line(out, indent + 2);
			buf_printf(out, "\"%s\": ", key);
			json_value(out, one, indent + 2);
		}
		line(out, indent);
		buf_putc(out, '}');
	} else {
		scalar(out, v, false);
	}
}

void admin_document_write(struct buf *out, json_t *document, bool yaml)
{
	const char *key;
	json_t *v;
	if (!yaml) {
		json_value(out, document, 0);
		buf_putc(out, '\n');
		return;
	}
	buf_puts(out, head);
	json_object_foreach(document, key, v) {
		buf_printf(out, "%s:", key);
		yaml_value(out, v, 0, false);
		buf_putc(out, '\n');
	}
}
