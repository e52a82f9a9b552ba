/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/call.h"

#include <stdarg.h>
#include <unicode/uchar.h>
#include "base/arena.h"
#include "base/enc.h"

/* ---- errors ---- */
static void fail_set(struct admin_call *c, const char *code, const char *hint, const char *text)
{
	json_decref(c->error);
	c->error = json_object();
	json_object_set_new(c->error, "code", json_string(code));
	admin_set_text(c->error, "text", slice_str(text));
	if (hint)
		admin_set_text(c->error, "hint", slice_str(hint));
}

int admin_fail(struct admin_call *c, int exit, const char *code, const char *hint, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail_set(c, code, hint, text);
	return exit;
}

int admin_fail_err(struct admin_call *c, const char *what, const struct entente_err *err, const char *hint)
{
	static const struct {
		int error, exit;
		const char *code;
	} map[] = {
		{ENTENTE_EINVAL, ADMIN_EXIT_USAGE, "usage"},
		{ENTENTE_ESYNTAX, ADMIN_EXIT_USAGE, "usage"},
		{ENTENTE_ENOTFOUND, ADMIN_EXIT_FINDING, "not-found"},
		{ENTENTE_EEXIST, ADMIN_EXIT_FINDING, "exists"},
		{ENTENTE_EREFUSED, ADMIN_EXIT_REFUSED, "refused"},
		{ENTENTE_ESTORE, ADMIN_EXIT_CANNOT_CREATE, "store"},
		{ENTENTE_EIO, ADMIN_EXIT_CANNOT_CREATE, "store"},
	};
	char text[1024];
	const char *why = *err->text ? err->text : entente_strerror(err->code);
	snprintf(text, sizeof text, "%s%s%s", what, *what ? ": " : "", why);
	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (map[i].error == err->code) {
			fail_set(c, map[i].code, hint, text);
			return map[i].exit;
		}
	fail_set(c, "unavailable", hint, text);
	return ADMIN_EXIT_UNAVAILABLE;
}

void admin_warn(struct admin_call *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_array_append_new(c->warnings, admin_json_text(slice_str(text)));
}

/* ---- a call ---- */
void admin_call_init(struct admin_call *c)
{
	c->data = json_object();
	c->warnings = json_array();
	c->error = NULL;
	buf_init(&c->text, 1 << 26);
}

json_t *admin_call_response(struct admin_call *c, int exit, void (*print)(struct admin_call *c))
{
	json_t *response = json_pack("{s:i}", "exit", exit);
	if (c->error)
		json_object_set(response, "error", c->error);
	else if (c->json)
		json_object_set(response, "data", c->data);
	else {
		if (print)
			print(c);
		json_object_set_new(response, "text", admin_json_text(buf_slice(&c->text)));
	}
	if (json_array_size(c->warnings))
		json_object_set(response, "warnings", c->warnings);
	return response;
}

void admin_call_free(struct admin_call *c)
{
	json_decref(c->data);
	json_decref(c->warnings);
	json_decref(c->error);
	buf_free(&c->text);
}

json_t *admin_call_run(struct admin_call *c, const struct admin_handler *h)
{
	admin_call_init(c);
	json_t *response = admin_call_response(c, h->run(c), h->print);
	admin_call_free(c);
	return response;
}

/* ---- arguments ---- */
bool admin_arg_given(const struct admin_call *c, const char *name)
{
	return json_object_get(c->args, name);
}

struct slice admin_arg_text(const struct admin_call *c, const char *name)
{
	json_t *v = json_object_get(c->args, name);
	return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

bool admin_arg_bool(const struct admin_call *c, const char *name, bool def)
{
	json_t *v = json_object_get(c->args, name);
	return json_is_boolean(v) ? json_is_true(v) : def;
}

uint64_t admin_arg_uint(const struct admin_call *c, const char *name, uint64_t def)
{
	json_t *v = json_object_get(c->args, name);
	return json_is_integer(v) ? (uint64_t)json_integer_value(v) : def;
}

json_t *admin_arg_list(const struct admin_call *c, const char *name)
{
	return json_object_get(c->args, name);
}

struct slice *admin_arg_texts(const struct admin_call *c, const char *name, struct arena *a, size_t *ret_n)
{
	json_t *given = admin_arg_list(c, name);
	size_t n = json_array_size(given);
	struct slice *list = arena_alloc(a, (n + 1) * sizeof *list);
	for (size_t i = 0; list && i < n; i++)
		list[i] = slice_str(json_string_value(json_array_get(given, i)));
	*ret_n = list ? n : 0;
	return list;
}

/* ---- data ---- */
json_t *admin_json_text(struct slice s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.len);
	if (j)
		return j;
	struct buf b;
	buf_init(&b, s.len * 3 + 1);
	for (size_t off = 0, n; off < s.len; off += n ? n : 1) {
		uint32_t cp;
		n = utf8_decode(slice_skip(s, off), &cp);
		buf_put(&b, n ? slice_of(s.p + off, n) : S("\xef\xbf\xbd"));
	}
	j = json_stringn(buf_slice(&b).p, b.len);
	buf_free(&b);
	return j;
}

void admin_set_text(json_t *o, const char *key, struct slice s)
{
	json_object_set_new(o, key, admin_json_text(s));
}

const char *admin_get_text(json_t *o, const char *key)
{
	const char *z = json_string_value(json_object_get(o, key));
	return z ? z : "";
}

int64_t admin_get_int(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* ---- text ---- */
/* Controls, and format characters that reorder or hide text (bidi overrides, tags). The joiners are part of ordinary words in
 * several scripts. */
static bool steers(uint32_t cp)
{
	int8_t type = u_charType((UChar32)cp);
	if (cp == 0x200C || cp == 0x200D)
		return false;
	return type == U_CONTROL_CHAR || type == U_FORMAT_CHAR || type == U_LINE_SEPARATOR || type == U_PARAGRAPH_SEPARATOR;
}

void admin_clean(struct buf *out, struct slice s)
{
	for (size_t off = 0, n; off < s.len; off += n ? n : 1) {
		uint32_t cp;
		n = utf8_decode(slice_skip(s, off), &cp);
		buf_put(out, n && !steers(cp) ? slice_of(s.p + off, n) : S("?"));
	}
}

void admin_styled(struct buf *out, bool color, enum admin_style style, struct slice s)
{
	static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[1;31m", "\033[2m"};
	bool on = color && style != ADMIN_PLAIN;
	buf_puts(out, on ? codes[style] : "");
	admin_clean(out, s);
	buf_puts(out, on ? "\033[0m" : "");
}

void admin_wrap(struct buf *out, struct slice text, unsigned indent, unsigned width, bool first)
{
	size_t column = indent, limit = width ? width : 80;
	bool start = true;
	if (first)
		buf_printf(out, "%*s", (int)indent, "");
	while (text.p && text.len) {
		struct slice word = slice_split(&text, ' ');
		size_t w = admin_table_width(word);
		if (slice_empty(word))
			continue;
		if (!start && column + 1 + w > limit) {
			buf_printf(out, "\n%*s", (int)indent, "");
			column = indent;
			start = true;
		}
		if (!start)
			buf_putc(out, ' ');
		admin_clean(out, word);
		column += w + !start;
		start = false;
	}
	buf_putc(out, '\n');
}

void admin_duration(struct buf *out, int64_t s)
{
	if (s < 60)
		buf_printf(out, "%jd s", (intmax_t)s);
	else if (s < 3600)
		buf_printf(out, "%jd min", (intmax_t)(s / 60));
	else if (s < 86400)
		buf_printf(out, "%jd h %jd min", (intmax_t)(s / 3600), (intmax_t)(s % 3600 / 60));
	else
		buf_printf(out, "%jd d %jd h", (intmax_t)(s / 86400), (intmax_t)(s % 86400 / 3600));
}

void admin_value_put(struct buf *out, json_t *v)
{
	size_t i;
	json_t *one;
	if (json_is_string(v))
		admin_clean(out, slice_str(json_string_value(v)));
	else if (json_is_integer(v))
		buf_printf(out, "%jd", (intmax_t)json_integer_value(v));
	else if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "yes" : "no");
	json_array_foreach(v, i, one) {
		buf_puts(out, i ? ", " : "");
		admin_value_put(out, one);
	}
}
