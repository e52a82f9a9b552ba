/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

static struct arena *a;

static int setup(void **state)
{
	(void)state;
	a = arena_new(1 << 22);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(NULL, a);
	return 0;
}

static void test_reading(void **state)
{
	(void)state;
	struct xml_node *n = unit_parse(a, "<?xml version='1.0'?><r xmlns='u' xml:lang='de' k='v' p:k='w' e=''"
		" xmlns:p='q'>one<a/>two<p:a n='1'/><b><c/></b>"
					   "<a n='2' xml:lang='fr'/><p:a n='3'/> three</r>");
	assert_true(xml_is(n, S("r"), S("u")));
	assert_true(xml_is(n, S("r"), SLICE_NONE));
	assert_false(xml_is(n, S("r"), S("q")));
	assert_false(xml_is(n, S("R"), S("u")));
	assert_false(xml_is(NULL, S("r"), S("u")));
	assert_false(xml_is(n->first, S(""), SLICE_NONE)); /* a text */
	assert_slice(xml_attr(n, S("k")), "v");
	assert_slice(xml_attr_ns(n, S("q"), S("k")), "w");
	assert_true(xml_attr(n, S("e")).p != NULL && xml_attr(n, S("e")).len == 0);
	assert_null(xml_attr(n, S("x")).p);
	assert_null(xml_attr(n, S("lang")).p);
	assert_null(xml_attr(NULL, S("x")).p);
	struct xml_node *c = xml_child(n, S("a"), S("q"));
	assert_slice(xml_attr(c, S("n")), "1");
	assert_ptr_equal(c->parent, n);
	c = xml_next_same(c);
	assert_slice(xml_attr(c, S("n")), "3");
	assert_null(xml_next_same(c));
	assert_ptr_equal(xml_child(n, S("a"), SLICE_NONE), xml_first(n));
	assert_null(xml_child(n, S("c"), SLICE_NONE));
	assert_null(xml_child(NULL, S("c"), SLICE_NONE));
	assert_slice(xml_next(xml_first(n))->ns, "q");
	assert_null(xml_first(c));
	assert_null(xml_next(c));
	assert_null(xml_first(NULL));
	assert_slice(xml_text(n, a), "onetwo three");
	assert_slice(xml_text(c, a), "");
	assert_non_null(xml_text(c, a).p);
	assert_non_null(xml_text(NULL, a).p);
	assert_slice(xml_lang(n), "de");
	assert_slice(xml_lang(xml_child(xml_child(n, S("b"), S("u")), S("c"), S("u"))), "de");
	assert_slice(xml_lang(xml_next_same(xml_child(n, S("a"), S("u")))), "fr");
	assert_null(xml_lang(NULL).p);
	assert_null(xml_lang(unit_parse(a, "<x/>")).p);
}

static void reparse(const char *in, const char *ns, const char *out)
{
	struct xml_node *n = unit_parse(a, in);
	assert_string_equal(unit_text(a, n, slice_str(ns)), out);
	assert_string_equal(unit_text(a, xml_copy(a, n), slice_str(ns)), out);
}

static void test_writing(void **state)
{
	(void)state;
	reparse("<a/>", "", "<a/>");
	reparse("<a></a>", NULL, "<a/>");
	reparse("<a/>", "u", "<a xmlns=''/>");
	reparse("<a xmlns='u'/>", "u", "<a/>");
	reparse("<a xmlns='u'/>", "v", "<a xmlns='u'/>");
	reparse("<a xmlns='u'><b/><c xmlns='v'><d xmlns='u'/><e/></c><f/></a>", "u",
		"<a><b/><c xmlns='v'><d xmlns='u'/><e/></c><f/></a>");
	reparse("<p:a xmlns:p='u' xmlns='v'><b/><p:c/></p:a>", "", "<a xmlns='u'><b xmlns='v'/><c/></a>");
	reparse("<a xmlns:p='1' xmlns:q='2' p:x='a' y='b' q:x='c' p:z='d' xml:id='e'><b q:x=''/></a>", "",
		"<a xmlns:ns1='1' ns1:x='a' y='b' xmlns:ns3='2' ns3:x='c' ns1:z='d' xml:id='e'><b xmlns:ns1='2' ns1:x=''/></a>");
	reparse("<a xmlns='&amp;&apos;'/>", "", "<a xmlns='&amp;&#39;'/>");
	reparse("<a b='&lt;&#9;&#10;&#13;&apos;\"&gt;'>\"'\t\n&#13;&gt;]]&gt;\xf0\x9f\x98\x80</a>", "",
		"<a b='&lt;&#9;&#10;&#13;&#39;&quot;&gt;'>\"'\t\n&#13;&gt;]]&gt;\xf0\x9f\x98\x80</a>");
}

static void test_bound_prefixes(void **state)
{
	(void)state;
	const struct xml_prefix pre[] = {{S("stream"), S("st")}, {S("db"), S("di")}};
	struct xml_node *n = unit_parse(a, "<x:features xmlns:x='st' xmlns='d' xmlns:y='di' y:z='1'><b/><y:c/><x:e><f"
		" xmlns='di'/></x:e><g xmlns='other'><x:h/><b xmlns='d'/></g></x:features>");
	struct buf b;
	buf_init(&b, 4096);
	buf_puts(&b, ">");
	xml_write_in(&b, n, S("d"), pre, 2);
	assert_slice(buf_slice(&b), "><stream:features db:z='1'><b/><db:c/><stream:e><db:f/></stream:e><g xmlns='other'>"
		"<stream:h/><b xmlns='d'/></g></stream:features>");
	buf_free(&b);
}

static const char *escaped(const char *p, size_t len)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	xml_escape(&b, slice_of(p, len));
	struct slice s = arena_dup(a, buf_slice(&b));
	assert_true(buf_ok(&b));
	buf_free(&b);
	return s.p;
}

#define ESCAPED(lit) escaped(lit, sizeof(lit) - 1)
#define RC "\xef\xbf\xbd"

static void test_escaping(void **state)
{
	(void)state;
	assert_string_equal(ESCAPED(""), "");
	assert_string_equal(ESCAPED("plain text, long enough for the fast way\x7f"),
		"plain text, long enough for the fast way\x7f");
	assert_string_equal(ESCAPED("<&>\"'\t\n\r"), "&lt;&amp;&gt;&quot;&#39;&#9;&#10;&#13;");
	assert_string_equal(ESCAPED("a\0b\x01\x1f" "c\x0b"), "a" RC "b" RC RC "c" RC);
	assert_string_equal(
		ESCAPED("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
			    "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	assert_string_equal(ESCAPED("\xef\xbf\xbe\xef\xbf\xbf" "a"), RC RC "a");
	assert_string_equal(ESCAPED("\x80\xbf\xc0\xc1\xf5\xff"), RC RC RC RC RC RC);
	assert_string_equal(ESCAPED("\xc3"), RC);            /* cut */
	assert_string_equal(ESCAPED("\xe2\x82"), RC RC);
	assert_string_equal(ESCAPED("\xc3(x"), RC "(x");
	assert_string_equal(ESCAPED("\xe0\x9f\xbf"), RC RC RC); /* overlong */
	assert_string_equal(ESCAPED("\xed\xa0\x80"), RC RC RC); /* surrogate */
	assert_string_equal(ESCAPED("\xf0\x8f\xbf\xbf"), RC RC RC RC);
	assert_string_equal(ESCAPED("\xf4\x90\x80\x80"), RC RC RC RC);

	assert_true(xml_text_legal(S("")));
	assert_true(xml_text_legal(S("a<&>\"'\t\r\n\x7f\xc3\xbc\xf0\x9f\x98\x80 and more than eight octets")));
	assert_false(xml_text_legal(S("0123456789\x01")));
	assert_false(xml_text_legal(S("a\0")));
	assert_false(xml_text_legal(S("\xef\xbf\xbe")));
	assert_false(xml_text_legal(S("\xc3")));
	assert_false(xml_text_legal(S("\r\xed\xa0\x80")));
}

/* Each octet at each place of a word, in a text and in an attribute, comes back as it was or as U+FFFD. */
static void test_every_octet_round_trip(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 17; at++) {
			char text[18] = "abcdefghijklmnopq", want[32];
			arena_reset(a);
			text[at] = (char)c;
			struct slice s = slice_of(text, 17);
			bool legal = (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') && c < 0x80;
			int n = legal ? 17 : snprintf(want, sizeof want, "%.*s" RC "%s", (int)at, text, text + at + 1);
			assert_int_equal(xml_text_legal(s), legal);
			struct xml_node *r = xml_new(a, S("r"), SLICE_NONE);
			xml_set(a, r, S("k"), s);
			xml_add_text(a, r, s);
			struct xml_node *back = unit_parse(a, unit_text(a, r, SLICE_NONE));
			assert_int_equal(xml_text(back, a).len, n);
			assert_memory_equal(xml_text(back, a).p, legal ? text : want, (size_t)n);
			assert_true(slice_eq(xml_text(back, a), xml_attr(back, S("k"))));
		}
	}
}

static void test_building(void **state)
{
	(void)state;
	struct xml_node *m = xml_new(a, S("message"), S("jabber:server"));
	xml_set(a, m, S("to"), S("x"));
	xml_set(a, m, S("type"), S("chat"));
	xml_set(a, m, S("to"), S("y")); /* replaced in its place */
	xml_set(a, m, S("id"), SLICE_NONE);
	xml_set(a, m, S("empty"), S(""));
	xml_set_lang(a, m, S("de"));
	xml_set_lang(a, m, S("en"));
	xml_set_lang(a, m, S(""));
	xml_set_ns(a, m, S("u"), S("to"), S("z"));
	struct xml_node *b = xml_add(a, m, S("body"), SLICE_NONE);
	xml_add_text(a, b, S("hi "));
	xml_add_text(a, b, S(""));
	xml_add_text(a, b, S("ho"));
	xml_add(a, m, S("active"), S("cs"));
	xml_append(m, xml_new(a, S("last"), S("jabber:server")));
	assert_string_equal(unit_text(a, m, S("jabber:server")),
			    "<message to='y' type='chat' empty='' xml:lang='en' xmlns:ns5='u' ns5:to='z'><body>hi ho</body>"
			"<active xmlns='cs'/><last/></message>");
	assert_slice(xml_text(b, a), "hi ho");

	/* a copy shares nothing and stands alone */
	struct xml_node *c = xml_copy(a, b);
	assert_null(c->parent);
	assert_null(c->next);
	assert_ptr_not_equal(c->name.p, b->name.p);
	xml_add_text(a, b, S("!"));
	assert_slice(xml_text(c, a), "hi ho");
	assert_null(xml_copy(a, NULL));
}

static void test_exhausted_arena(void **state)
{
	(void)state;
	/* Wherever the arena ends, the result is the whole text or a failed buffer that is as before. */
	unsigned failed = 0, whole = 0;
	for (size_t spare = 0; spare < 1200; spare += 16) {
		struct arena *small = arena_new(ARENA_BLOCK);
		assert_non_null(arena_alloc(small, ARENA_BLOCK - spare));
		struct xml_node *r = xml_new(small, S("r"), S("u"));
		struct xml_node *c = xml_add(small, xml_add(small, r, S("a"), SLICE_NONE), S("b"), SLICE_NONE);
		xml_add_text(small, c, S("text"));
		xml_set(small, c, S("k"), S("v"));
		xml_set_lang(small, r, S("de"));
		xml_append(r, xml_new(small, S("z"), S("u")));
		struct buf b;
		buf_init(&b, 4096);
		buf_puts(&b, "before");
		xml_write(&b, r, S("u"));
		if (buf_ok(&b)) {
			assert_slice(buf_slice(&b), "before<r xml:lang='de'><a><b k='v'>text</b></a><z/></r>");
			assert_non_null(xml_copy(a, r));
			whole++;
		} else {
			assert_slice(buf_slice(&b), "before");
			failed++;
		}
		buf_free(&b);
		arena_release(NULL, small);
	}
	assert_true(whole > 5);
	assert_true(failed > 5);
}

static void test_full_buffer(void **state)
{
	(void)state;
	struct xml_node *n = unit_parse(a, "<r xmlns='u' k='v&amp;w'><a>text &lt; text</a><b xmlns='v'/></r>");
	const char *all = unit_text(a, n, S("u"));
	size_t len = strlen(all);
	for (size_t limit = 0; limit <= len + 3; limit++) {
		struct buf b;
		buf_init(&b, limit);
		buf_puts(&b, limit >= 3 ? "abc" : "");
		size_t before = b.len;
		xml_write(&b, n, S("u"));
		assert_int_equal(buf_ok(&b), limit >= len + 3);
		assert_int_equal(b.len, buf_ok(&b) ? len + 3 : before);
		buf_free(&b);
	}
	/* longer than one reservation */
	struct buf b;
	struct xml_node *big = xml_new(a, S("r"), SLICE_NONE);
	char *p = arena_bytes(a, 100000);
	memset(p, 'x', 100000);
	xml_add_text(a, big, slice_of(p, 100000));
	xml_set(a, big, S("k"), slice_of(p, 5000));
	buf_init(&b, 200000);
	xml_write(&b, big, SLICE_NONE);
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 100000 + 5000 + strlen("<r k=''></r>"));
	buf_free(&b);
}

static int parse_rc(struct slice doc, const struct xml_limits *lim)
{
	struct xml_node *n = (struct xml_node *)(uintptr_t)1;
	struct entente_err err = {0};
	int rc = xml_parse(&n, a, doc, lim, &err);
	if (rc) {
		assert_ptr_equal(n, (uintptr_t)1);
		assert_int_equal(err.code, rc);
		assert_int_equal(err.reason, REASON_XMPP_MALFORMED);
		assert_true(err.text[0]);
		assert_int_equal(xml_parse(&n, a, doc, lim, NULL), rc);
	}
	return rc;
}

static void test_documents(void **state)
{
	(void)state;
	const struct xml_limits *d = &xml_limits_default;
	assert_int_equal(parse_rc(S("<?xml version='1.0'?><!-- c --><?pi?>\n<a>x<!-- c -->y<?pi?>z</a><!-- c -->\n"), d), 0);
	struct xml_node *n = unit_parse(a, "<a>x<!-- c -->y<?pi?>z</a>");
	assert_ptr_equal(n->first, n->last);
	assert_slice(xml_text(n, a), "xyz");

	assert_int_equal(parse_rc(S("<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>"), d), 0);
	n = unit_parse(a, "<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe9'>\xfc</a>");
	assert_slice(xml_text(n, a), "\xc3\xbc");
	assert_slice(xml_attr(n, S("b")), "\xc3\xa9");
	struct entente_err err;
	assert_int_equal(xml_parse(&n, a, S("\xff\xfe<\0a\0>\0\xfc\0<\0/\0a\0>\0"), d, &err), 0);
	assert_slice(xml_text(n, a), "\xc3\xbc");
	assert_int_equal(parse_rc(S("<?xml version='1.0' encoding='US-ASCII'?><a>x</a>"), d), 0);
	assert_int_equal(parse_rc(S("<?xml version='1.0' encoding='US-ASCII'?><a>\xc3\xbc</a>"), d), ENTENTE_ESYNTAX);
	assert_int_equal(parse_rc(S("<?xml version='1.0' encoding='KOI8-R'?><a/>"), d), ENTENTE_ESYNTAX);

	const struct slice bad[] = {
		S(""), S(" "), S("x"), S("<a>"), S("<a></b>"), S("<a/><b/>"), S("<a/>x"), S("<a>&x;</a>"), S("<a>\xff</a>"),
		S("<p:a/>"),
		S("<a>\xef\xbf\xbe</a>"), S("<!DOCTYPE a><a/>"), S("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
		S("<!DOCTYPE a SYSTEM 'http://x/'><a/>"), S("\0"), S("<a/>\0"),
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse_rc(bad[i], d), ENTENTE_ESYNTAX);
	assert_int_equal(parse_rc(SLICE_NONE, d), ENTENTE_ESYNTAX);

	const struct xml_limits lim = {.max_bytes = 100, .max_depth = 3, .max_attrs = 2, .max_children = 4};
	assert_int_equal(parse_rc(S("<a><b><c/></b></a>"), &lim), 0);
	assert_int_equal(parse_rc(S("<a><b><c><d/></c></b></a>"), &lim), ENTENTE_ELIMIT);
	assert_int_equal(parse_rc(S("<a b='' c=''/>"), &lim), 0);
	assert_int_equal(parse_rc(S("<a b='' c='' d=''/>"), &lim), ENTENTE_ELIMIT);
	assert_int_equal(parse_rc(S("<a b='' c='' xmlns='d'/>"), &lim), ENTENTE_ELIMIT);
	assert_int_equal(parse_rc(S("<a>1<b/>2</a>"), &lim), 0);
	assert_int_equal(parse_rc(S("<a>1<b/>2<c/></a>"), &lim), ENTENTE_ELIMIT);
	char big[101];
	memset(big, ' ', sizeof big);
	memcpy(big, "<a/>", 4);
	assert_int_equal(parse_rc(slice_of(big, 100), &lim), 0);
	assert_int_equal(parse_rc(slice_of(big, 101), &lim), ENTENTE_ELIMIT);

	struct arena *small = arena_new(ARENA_BLOCK);
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "<a>");
	for (int i = 0; i < 1000; i++)
		buf_puts(&b, "<b/>");
	buf_puts(&b, "</a>");
	assert_int_equal(xml_parse(&n, small, buf_slice(&b), d, &err), ENTENTE_ELIMIT);
	buf_free(&b);
	arena_release(NULL, small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound_prefixes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escaping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_octet_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_building, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exhausted_arena, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
