/* SPDX-License-Identifier: Apache-2.0 */
/* Markup that may cross. The first octet chooses: tag soup, or the inside of an XHTML-IM body. What comes out must parse, hold nothing
 * but what the white list names, and come out of both readers as it is. */
#include "interwork/xhtml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xml_node *parsed(struct arena *a, struct slice inside)
{
	struct xml_node *n = NULL;
	struct slice doc = arena_printf(a, "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>%.*s</body></html>",
					SFMT(inside));
	return xml_parse(&n, a, doc, &xml_limits_default, NULL) == 0 ? n : NULL;
}

static bool named(struct slice name)
{
	static const char *const names[] = {"p", "br", "span", "strong", "em", "a", "ul", "ol", "li", "blockquote"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_eq(name, slice_str(names[i])))
			return true;
	return false;
}

static void check_link(struct slice v)
{
	if (!slice_istarts(v, S("http://")) && !slice_istarts(v, S("https://")) && !slice_istarts(v, S("mailto:")) &&
	    !slice_istarts(v, S("xmpp:")) && !slice_istarts(v, S("sip:")))
		__builtin_trap();
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] <= ' ' || v.p[i] == 0x7f) /* or beyond ASCII: char is signed */
			__builtin_trap();
}

static void check(const struct xml_node *n)
{
	for (; n; n = n->next) {
		if (!n->name.p)
			continue;
		if (!named(n->name))
			__builtin_trap();
		for (const struct xml_attr *at = n->attrs; at; at = at->next) {
			bool link = slice_eq(at->name, S("href")) && slice_eq(n->name, S("a"));
			if (at->next || at->ns.len || (!link && !(slice_eq(at->name, S("style")) && slice_eq(n->name, S("span")))))
				__builtin_trap();
			if (link)
				check_link(at->value);
			else if (slice_find(at->value, S("url(")) >= 0 || slice_find(at->value, S("expression(")) >= 0 ||
				 slice_find_chr(at->value, '\\') >= 0 || slice_find_chr(at->value, '@') >= 0 || slice_find(at->value, S("/*")) >= 0)
				__builtin_trap();
		}
		check(n->first); /* 16 deep */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	if (size == 0 || size > 65536)
		return 0;
	if (!a)
		a = arena_new(16 << 20);
	arena_reset(a);
	struct slice in = slice_of((const char *)data + 1, size - 1), out;
	struct xml_node *n;
	if (data[0] == 'x') {
		n = parsed(a, in);
		out = n ? interwork_xhtml_from_stanza(a, n) : SLICE_NONE;
	} else {
		out = interwork_xhtml_from_html(a, in);
	}
	if (!out.len)
		return 0;
	n = parsed(a, out);
	if (!n || !n->first || n->first->next)
		__builtin_trap();
	check(n->first->first);
	if (!slice_eq(interwork_xhtml_from_html(a, out), out) || !slice_eq(interwork_xhtml_from_stanza(a, n), out))
		__builtin_trap();
	return 0;
}
