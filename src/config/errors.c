/* SPDX-License-Identifier: Apache-2.0 */
#include "base/enc.h"
#include "config/schema.h"

static bool before(const struct config_error *a, const struct config_error *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void config_error(struct config_errors *errs, bool warning, unsigned line, unsigned column, const char *key, const char *fmt, ...)
{
	struct config_error e = {.warning = warning, .line = line, .column = column};
	slice_cstr(slice_str(key), e.key, sizeof e.key);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	e.text[utf8_first(slice_str(e.text), sizeof e.text - 1).len] = '\0';
	if (!warning)
		errs->n_errors++;
	/* a full list gives up warnings first, then what stands last in the file */
	if (errs->n == CONFIG_ERRORS_MAX) {
		size_t out = errs->n;
		while (out > 0 && !errs->list[out - 1].warning)
			out--;
		if (!out && (warning || !before(&e, &errs->list[errs->n - 1])))
			return;
		if (!out)
			out = errs->n;
		else if (warning)
			return;
		memmove(&errs->list[out - 1], &errs->list[out], (errs->n - out) * sizeof e);
		errs->n--;
	}
	size_t i = errs->n;
	while (i > 0 && before(&e, &errs->list[i - 1])) {
		errs->list[i] = errs->list[i - 1];
		i--;
	}
	errs->list[i] = e;
	errs->n++;
}

const char *config_quote(char dst[CONFIG_QUOTE], struct slice text)
{
	struct slice head = utf8_first(text, 60);
	size_t n = 0;
	for (size_t i = 0; i < head.len; i++) {
		unsigned char c = (unsigned char)head.p[i];
		dst[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	if (head.len < text.len) {
		memcpy(dst + n, "...", 3);
		n += 3;
	}
	dst[n] = '\0';
	return dst;
}

/* Characters, not octets, so that a caret stands right under UTF-8. */
static size_t octets_of(struct slice s, size_t chars)
{
	size_t i = 0;
	while (chars && i < s.len) {
		i++;
		while (i < s.len && ((unsigned char)s.p[i] & 0xc0) == 0x80)
			i++;
		chars--;
	}
	return i;
}

void config_errors_source(struct config_errors *errs, struct slice text)
{
	size_t line = 1;
	struct slice rest = text, cur = slice_split(&rest, '\n');
	for (size_t i = 0; i < errs->n; i++) {
		struct config_error *e = &errs->list[i];
		if (!e->line)
			continue;
		for (; line < e->line && rest.p; line++)
			cur = slice_split(&rest, '\n');
		if (line != e->line)
			return;
		struct slice s = cur;
		if (s.len && s.p[s.len - 1] == '\r')
			s.len--;
		unsigned skip = e->column > 80 ? e->column - 60 : 0; /* a long line is shown around the place */
		s = slice_skip(s, octets_of(s, skip));
		s = slice_first(s, octets_of(s, 120));
		s = utf8_first(s, sizeof e->source - 1);
		for (size_t k = 0; k < s.len; k++)
			e->source[k] = (unsigned char)s.p[k] < 0x20 || s.p[k] == 0x7f ? ' ' : s.p[k];
		e->source[s.len] = '\0';
		e->caret = e->column ? e->column - skip : 0;
	}
}

void config_errors_print(struct buf *out, const char *name, const struct config_errors *errs)
{
	size_t shown = 0;
	for (size_t i = 0; i < errs->n; i++) {
		const struct config_error *e = &errs->list[i];
		buf_puts(out, name);
		if (e->line)
			buf_printf(out, ":%u:%u", e->line, e->column);
		buf_printf(out, ": %s: %s\n", e->warning ? "warning" : "error", e->text);
		if (*e->source)
			buf_printf(out, "    %s\n    %*s^\n", e->source, e->caret ? (int)e->caret - 1 : 0, "");
		shown += !e->warning;
	}
	if (errs->n_errors > shown)
		buf_printf(out, "%s: error: %zu more errors are not shown\n", name, errs->n_errors - shown);
}
