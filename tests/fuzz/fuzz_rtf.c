/* SPDX-License-Identifier: Apache-2.0 */
/* RTF made plain: whatever the octets, what comes out is UTF-8; and a text written as RTF, in Unicode escapes with a fallback each, comes back. */
#include "fuzz.h"
#include "base/enc.h"
#include "interwork/plaintext.h"

static void written(struct arena *a, struct slice text)
{
	struct buf rtf, want;
	buf_init(&rtf, 1 << 20);
	buf_init(&want, 1 << 20);
	buf_puts(&rtf, "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Segoe UI;}}\\pard ");
	while (text.len) {
		uint32_t cp = 0;
		size_t n = utf8_decode(text, &cp);
		if (!n || (cp < ' ' && cp != '\n' && cp != '\t') || cp == 0x7f) {
			text = slice_skip(text, 1);
			continue;
		}
		if (cp == '\n')
			buf_puts(&rtf, "\\par\r\n");
		else if (cp == '\t')
			buf_puts(&rtf, "\\tab ");
		else if (cp == '\\' || cp == '{' || cp == '}')
			buf_printf(&rtf, "\\%c", (char)cp);
		else if (cp < 0x7f)
			buf_putc(&rtf, (char)cp);
		else if (cp < 0x10000)
			buf_printf(&rtf, "\\u%d?", cp < 0x8000 ? (int)cp : (int)cp - 0x10000);
		else
			buf_printf(&rtf, "\\u%d?\\u%d?", (int)(0xd800 + ((cp - 0x10000) >> 10)) - 0x10000, (int)(0xdc00 + ((cp - 0x10000) & 0x3ff)) - 0x10000);
		buf_put(&want, slice_first(text, n));
		text = slice_skip(text, n);
	}
	buf_puts(&rtf, "}");
	struct slice out = interwork_rtf_to_text(a, buf_slice(&rtf)), expect = buf_slice(&want);
	while (expect.len && expect.p[expect.len - 1] == '\n')
		expect.len--;
	MUST(buf_ok(&rtf) && buf_ok(&want) && out.p && slice_eq(out, expect));
	buf_free(&rtf);
	buf_free(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	if (!size || size > 32768)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	char *exact = malloc(size + 6);
	memcpy(exact, "{\\rtf1", 6);
	memcpy(exact + 6, data, size);
	struct slice in = slice_of(exact, size + 6);
	struct slice out = interwork_rtf_to_text(a, in);
	MUST(out.p && utf8_valid(out) && out.len <= 4 * in.len + 16);
	written(a, slice_of((const char *)data, size));
	free(exact);
	return 0;
}
