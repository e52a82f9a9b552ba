/* SPDX-License-Identifier: Apache-2.0 */
/* HTML made plain. Any octets: the pieces lie in the document, one behind the other; valid UTF-8 stays valid; nothing grows. And any text, written as
 * HTML by the plain writer below, comes back as that text with its white space run together. */
#include "fuzz.h"
#include "base/enc.h"
#include "interwork/html_token.h"
#include "interwork/plaintext.h"

static void pieces(struct slice html)
{
	struct html_reader r = {.rest = html};
	struct html_token t;
	const char *at = html.p;
	size_t n = 0;
	while (html_next(&r, &t)) {
		MUST(inside(html, t.text) && inside(html, t.name) && inside(html, t.inside) && n++ <= html.len);
		struct slice s = t.tag ? t.inside : t.text;
		MUST(!s.len || s.p >= at);
		if (s.len)
			at = s.p + s.len;
		MUST(inside(html, r.rest));
	}
}

static void written(struct arena *a, struct slice text)
{
	static const char *const lt[] = {"&lt;", "&#60;", "&#x3c;"};
	struct buf html, want;
	bool space = false;
	buf_init(&html, 1 << 20);
	buf_init(&want, 1 << 20);
	buf_puts(&html, "<div title='>'>");
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];
		if (html_is_space(c)) {
			if (!space)
				space = true;
			buf_putc(&html, c);
			continue;
		}
		if (c == '/') { /* stands for a break */
			space = false;
			buf_puts(&html, i & 1 ? "<br/>" : "<BR>");
			buf_putc(&want, '\n');
			continue;
		}
		if (space && want.len && buf_slice(&want).p[want.len - 1] != '\n')
			buf_putc(&want, ' ');
		space = false;
		if (c == '<')
			buf_puts(&html, lt[i % 3]);
		else if (c == '&')
			buf_puts(&html, i & 1 ? "&amp;" : "&#38;");
		else if (c == '>')
			buf_puts(&html, "&gt;");
		else
			buf_putc(&html, c);
		buf_putc(&want, c);
		if (i % 5 == 4)
			buf_puts(&html, "<!-- x -->");
	}
	buf_puts(&html, "</div>");
	struct slice out = interwork_html_to_text(a, buf_slice(&html)), expect = buf_slice(&want);
	while (expect.len && expect.p[expect.len - 1] == '\n')
		expect.len--;
	MUST(buf_ok(&html) && buf_ok(&want) && out.p && slice_eq(out, expect));
	buf_free(&html);
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
	char *exact = malloc(size);
	memcpy(exact, data, size);
	struct slice html = slice_of(exact, size);
	pieces(html);
	struct slice out = interwork_html_to_text(a, html);
	MUST(out.p && out.len <= size + 8);
	MUST(!utf8_valid(html) || utf8_valid(out));
	written(a, html);
	free(exact);
	return 0;
}
