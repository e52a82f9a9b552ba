/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include "base/mem.h"

static const struct slice *var_find(const struct world *w, struct slice name)
{
	for (size_t i = w->n_vars; i--;)
		if (slice_eq(w->vars[i].name, name))
			return &w->vars[i].value;
	return NULL;
}

void var_set(struct world *w, struct slice name, struct slice value)
{
	for (size_t i = 0; i < w->n_vars; i++)
		if (slice_eq(w->vars[i].name, name)) {
			w->vars[i].value = arena_dup(w->arena, value);
			return;
		}
	if (w->n_vars == sizeof w->vars / sizeof *w->vars)
		wrong(w, "too many names");
	w->vars[w->n_vars++] = (struct var){arena_dup(w->arena, name), arena_dup(w->arena, value)};
}

static bool is_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* Steps over "$name" or "${name}" at the start of *s. */
static bool take_name(struct slice *s, struct slice *ret)
{
	bool braces = s->len > 1 && s->p[1] == '{';
	size_t i = braces ? 2 : 1, from = i;
	while (i < s->len && is_name(s->p[i], i == from))
		i++;
	if (s->p[0] != '$' || i == from || (braces && (i == s->len || s->p[i] != '}')))
		return false;
	*ret = slice_of(s->p + from, i - from);
	*s = slice_skip(*s, i + braces);
	return true;
}

struct slice expand(struct world *w, struct slice text)
{
	struct buf b;
	struct slice name;
	buf_init(&b, 1 << 22);
	while (text.len) {
		if (text.p[0] == '$' && text.len > 1 && text.p[1] == '$') {
			buf_putc(&b, '$');
			text = slice_skip(text, 2);
		} else if (text.p[0] == '$' && take_name(&text, &name)) {
			const struct slice *v = var_find(w, name);
			if (!v)
				wrong(w, "$%.*s has no value yet", SFMT(name));
			buf_put(&b, *v);
		} else {
			buf_putc(&b, text.p[0]);
			text = slice_skip(text, 1);
		}
	}
	struct slice ret = arena_dup(w->arena, buf_slice(&b));
	buf_free(&b);
	return ret;
}

static bool match(struct world *w, struct slice p, struct slice t)
{
	struct slice name;
	while (p.len) {
		struct slice rest = p;
		if (p.p[0] == '*') {
			while (p.len && p.p[0] == '*')
				p = slice_skip(p, 1);
			for (size_t i = 0; i <= t.len; i++) {
				size_t mark = w->n_vars;
				if (match(w, p, slice_skip(t, i)))
					return true;
				w->n_vars = mark;
			}
			return false;
		}
		if (p.p[0] == '$' && p.len > 1 && p.p[1] == '$') {
			p = slice_skip(p, 1);
		} else if (p.p[0] == '$' && take_name(&rest, &name)) {
			const struct slice *v = var_find(w, name);
			p = rest;
			if (v) {
				if (!slice_starts(t, *v))
					return false;
				t = slice_skip(t, v->len);
				continue;
			}
			for (size_t i = 1; i <= t.len; i++) { /* as little as will do */
				size_t mark = w->n_vars;
				if (i < t.len && !p.len)
					continue;
				var_set(w, name, slice_first(t, i));
				if (match(w, p, slice_skip(t, i)))
					return true;
				w->n_vars = mark;
			}
			return false;
		} else if (p.p[0] == '\\' && p.len > 1 && strchr("*$\\", p.p[1])) {
			p = slice_skip(p, 1);
		}
		if (!t.len || t.p[0] != p.p[0])
			return false;
		p = slice_skip(p, 1);
		t = slice_skip(t, 1);
	}
	return !t.len;
}

bool match_text(struct world *w, struct slice pattern, struct slice text)
{
	size_t mark = w->n_vars;
	bool yes = match(w, pattern, text);
	if (!yes)
		w->n_vars = mark;
	return yes;
}

struct slice shown(struct world *w, struct slice text)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c == '\r')
			buf_puts(&b, "\\r");
		else if (c == '\n')
			buf_puts(&b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(&b, "\\x%02x", c);
		else
			buf_putc(&b, text.p[i]);
	}
	struct slice ret = arena_dup(w->arena, slice_first(buf_slice(&b), 2000));
	buf_free(&b);
	return ret;
}

/* ---- XML */

#define ANY "any"
#define OPEN_TAG                                                                                                                         \
	"<x xmlns='" ANY "' xmlns:pidf='urn:ietf:params:xml:ns:pidf' xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid'"                     \
	" xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' xmlns:ci='urn:ietf:params:xml:ns:pidf:cipid'"                     \
	" xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' xmlns:client='jabber:client' xmlns:server='jabber:server'"                   \
	" xmlns:cs='http://jabber.org/protocol/chatstates' xmlns:receipts='urn:xmpp:receipts' xmlns:markers='urn:xmpp:chat-markers:0'"   \
	" xmlns:stanzas='urn:ietf:params:xml:ns:xmpp-stanzas' xmlns:delay='urn:xmpp:delay' xmlns:nick='http://jabber.org/protocol/nick'" \
	" xmlns:hints='urn:xmpp:hints' xmlns:sid='urn:xmpp:sid:0' xmlns:imdn='urn:ietf:params:xml:ns:imdn'>"

/* Names of elements may be values. */
static struct slice expand_names(struct world *w, struct slice text)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	while (text.len) {
		size_t n = slice_starts(text, S("<$")) ? 1 : slice_starts(text, S("</$")) ? 2 : 0;
		struct slice rest = slice_skip(text, n), name;
		if (n && take_name(&rest, &name)) {
			buf_put(&b, slice_first(text, n));
			buf_put(&b, expand(w, slice_of(text.p + n, (size_t)(rest.p - text.p) - n)));
			text = rest;
		} else {
			buf_putc(&b, text.p[0]);
			text = slice_skip(text, 1);
		}
	}
	struct slice ret = arena_dup(w->arena, buf_slice(&b));
	buf_free(&b);
	return ret;
}

struct xml_node *xml_pattern(struct world *w, struct slice text)
{
	static const struct xml_limits lim = {1 << 22, 64, 64, 4096, 0};
	struct xml_node *n;
	struct entente_err err = {0};
	struct slice rest = text;
	if (slice_starts(text, S("<?xml")))
		rest = slice_skip(text, (size_t)slice_find(text, S("?>")) + 2);
	rest = expand_names(w, rest);
	if (xml_parse(&n, w->arena, arena_printf(w->arena, OPEN_TAG "%.*s</x>", SFMT(rest)), &lim, &err) || !xml_first(n))
		wrong(w, "this is no XML (%s): %.*s", err.text, SFMT(text));
	return xml_first(n);
}

static bool blank(struct slice s)
{
	return !slice_trim(s).len;
}

/* The words of a pattern, and whether it leaves room for more elements ("..." among them). */
static struct slice pattern_text(struct world *w, const struct xml_node *n, bool *ret_more)
{
	struct buf b;
	*ret_more = false;
	buf_init(&b, 1 << 20);
	for (const struct xml_node *c = n->first; c; c = c->next) {
		if (c->name.p)
			continue;
		if (slice_eq(slice_trim(c->text), S("...")))
			*ret_more = true;
		else
			buf_put(&b, c->text);
	}
	struct slice ret = arena_dup(w->arena, buf_slice(&b));
	buf_free(&b);
	return ret;
}

static const struct xml_attr *attr_find(const struct xml_node *n, const struct xml_attr *like)
{
	for (const struct xml_attr *a = n->attrs; a; a = a->next)
		if (slice_eq(a->name, like->name) && slice_eq(a->ns, like->ns))
			return a;
	return NULL;
}

static bool differ(struct world *w, struct slice *why, const char *what, struct slice name, struct slice is, struct slice wanted)
{
	*why = arena_printf(w->arena, "%s%.*s is \"%.*s\", wanted \"%.*s\"", what, SFMT(name), SFMT(shown(w, is)), SFMT(shown(w, wanted)));
	return false;
}

static bool match_attrs(struct world *w, const struct xml_node *p, const struct xml_node *n, bool top, struct slice *why)
{
	bool type = false;
	for (const struct xml_attr *a = p->attrs; a; a = a->next) {
		const struct xml_attr *is = attr_find(n, a);
		type |= slice_eq(a->name, S("type"));
		if (slice_eq(a->value, S("(none)"))) {
			if (is)
				return differ(w, why, "attribute ", a->name, is->value, a->value);
		} else if (!is || !match_text(w, a->value, is->value)) {
			return differ(w, why, "attribute ", a->name, is ? is->value : S("(none)"), a->value);
		}
	}
	struct slice is = xml_attr(n, S("type"));
	if (top && !type && is.p)
		return differ(w, why, "attribute ", S("type"), is, S("(none)"));
	return true;
}

static bool match_children(struct world *w, const struct xml_node *p, const struct xml_node *n, bool more, struct slice *why)
{
	const struct xml_node *left[512];
	size_t count = 0;
	for (const struct xml_node *c = xml_first(n); c && count < 512; c = xml_next(c))
		left[count++] = c;
	for (const struct xml_node *c = xml_first(p); c; c = xml_next(c)) {
		struct slice best = SLICE_NONE, reason = SLICE_NONE;
		size_t i;
		for (i = 0; i < count; i++) {
			if (!left[i])
				continue;
			if (match_xml(w, c, left[i], false, &reason))
				break;
			if (slice_eq(c->name, left[i]->name))
				best = reason;
		}
		if (i == count) {
			*why = best.len ? best : arena_printf(w->arena, "there is no <%.*s>", SFMT(c->name));
			return false;
		}
		left[i] = NULL;
	}
	for (size_t i = 0; i < count && !more; i++)
		if (left[i] && !slice_eq(left[i]->ns, S("http://jabber.org/protocol/caps"))) { /* everything we send has them */
			*why = arena_printf(w->arena, "<%.*s xmlns='%.*s'> is there, too", SFMT(left[i]->name), SFMT(left[i]->ns));
			return false;
		}
	return true;
}

bool match_xml(struct world *w, const struct xml_node *p, const struct xml_node *n, bool top, struct slice *why)
{
	size_t mark = w->n_vars;
	bool more, yes;
	struct slice words = pattern_text(w, p, &more), is = xml_text(n, w->arena), inner = SLICE_NONE;
	if (!slice_eq(p->name, n->name)) {
		yes = differ(w, &inner, "element", SLICE_NONE, n->name, p->name);
	} else if (!slice_eq(p->ns, S(ANY)) && !slice_eq(p->ns, n->ns)) {
		yes = differ(w, &inner, "namespace", SLICE_NONE, n->ns, p->ns);
	} else {
		yes = match_attrs(w, p, n, top, &inner) && match_children(w, p, n, more, &inner);
		if (yes && xml_first(p) ? !blank(words) && !match_text(w, slice_trim(words), slice_trim(is))
					: yes && !more && !match_text(w, words, blank(is) && xml_first(n) ? SLICE_NONE : is))
			yes = differ(w, &inner, "text", SLICE_NONE, is, words);
	}
	if (!yes) {
		w->n_vars = mark;
		*why = arena_printf(w->arena, "%.*s%s%.*s", SFMT(p->name), slice_starts(inner, p->name) ? " " : ": ", SFMT(inner));
	}
	return yes;
}

/* ---- bodies */

static bool match_lines(struct world *w, struct slice pattern, struct slice body, int line, struct slice *why)
{
	while (pattern.len || body.len) {
		struct slice p = slice_split(&pattern, '\n');
		if (slice_eq(slice_trim(p), S("..."))) {
			for (;;) {
				struct slice at = body;
				if (match_lines(w, pattern, at, line, why))
					return true;
				if (!body.len)
					return false;
				slice_split(&body, '\n');
				line++;
			}
		}
		struct slice t = slice_split(&body, '\n');
		line++;
		if (!body.len && slice_ends(p, S("\r")) && !slice_ends(t, S("\r")))
			p.len--; /* of "..." that stands for no line */
		if (!match_text(w, p, t)) {
			*why = arena_printf(w->arena, "line %d of the body is \"%.*s\", wanted \"%.*s\"", line, SFMT(shown(w, t)), SFMT(shown(w, p)));
			return false;
		}
	}
	return true;
}

bool match_body(struct world *w, struct slice pattern, struct slice body, struct slice *why)
{
	if (slice_starts(pattern, S("<")) && slice_starts(slice_trim(body), S("<"))) {
		struct xml_node *n, *p = xml_pattern(w, pattern);
		if (xml_parse(&n, w->arena, arena_dup(w->arena, body), &xml_limits_default, NULL)) {
			*why = S("the body is no XML");
			return false;
		}
		return match_xml(w, p, n, false, why);
	}
	if (slice_ends(body, S("\r\n")) && !slice_ends(pattern, S("\r\n")))
		body.len -= 2; /* of its last line */
	return match_lines(w, pattern, body, 0, why);
}
