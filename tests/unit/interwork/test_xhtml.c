/* SPDX-License-Identifier: Apache-2.0 */
/* Markup that may cross: what stays, what every known attack becomes, sizes, and that both readers agree. */
#include "parse.h"

#include "interwork/im.h"
#include "interwork/xhtml.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static struct xml_node *document(struct slice inside)
{
	return parse_xml(arena, arena_printf(arena, "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>%.*s</body></html>",
					     SFMT(inside)));
}

static void expect(struct slice html, const char *expected)
{
	struct slice s = interwork_xhtml_from_html(arena, html);
	if (!slice_eq(s, slice_str(expected)))
		fail_msg("%.*s:\n\"%.*s\", not\n\"%s\"", SFMT(slice_first(html, 200)), SFMT(s), expected);
	if (!s.len)
		return;
	struct slice again = interwork_xhtml_from_html(arena, s);
	if (!slice_eq(again, s))
		fail_msg("a second time: \"%.*s\", not \"%.*s\"", SFMT(again), SFMT(s));
	again = interwork_xhtml_from_stanza(arena, document(s));
	if (!slice_eq(again, s))
		fail_msg("of a stanza: \"%.*s\", not \"%.*s\"", SFMT(again), SFMT(s));
}

struct row {
	const char *html, *expected;
};

#define EXPECT(t)                                                                                                             \
	for (size_t i_ = 0; i_ < sizeof t / sizeof *t; i_++)                                                                  \
		expect(slice_str(t[i_].html), t[i_].expected)

static void test_structure(void **state)
{
	(void)state;
	static const struct row t[] = {
		{"", ""}, {"plain", ""}, {"<p>nothing <br>marked</p>", ""},
		{"one <b>two</b>  <i>three</i>", "one <strong>two</strong> <em>three</em>"},
		{"<DIV>a</DIV><div><b>b</b></div>", "<p>a</p><p><strong>b</strong></p>"},
		{"<ul><li>1<li>2</ul>", "<ul><li>1</li><li>2</li></ul>"},
		{"<ol> <li>1<ul><li>2</ul> </ol>x", "<ol><li>1<ul><li>2</li></ul></li></ol>x"},
		{"<ul>text<b>x</b><li>y</ul>", "<ul><li>text<strong>x</strong></li><li>y</li></ul>"},
		{"<li><b>no list</b>", "<p><strong>no list</strong></p>"},
		{"<blockquote><p>a<p>b</blockquote>c", "<blockquote><p>a</p><p>b</p></blockquote>c"},
		{"<b>a<p>b</b>c</p>", "<strong>a</strong><p>bc</p>"},
		{"<b>a<br>b", "<strong>a<br/>b</strong>"},
		{"<u>a</u> <s>b</s>", "<span style=\"text-decoration:underline\">a</span> <span style=\"text-decoration:line-through\">b</span>"},
		{"<span style='color:red'>a<span>b</span>c</span>", "<span style=\"color:red\">abc</span>"},
		{"x<p></p>y<ul><li></li></ul>z<b></b><i>e</i>", "x y z<em>e</em>"},
		{"<b>x</b><p></p> y", "<strong>x</strong> y"},
		{"</b></p></ul><b>x</i></b></b>", "<strong>x</strong>"},
		{"<table><tr><td><b>1</b><td>2<tr><td>3</table>", "<p><strong>1</strong> 2</p><p>3</p>"},
		{"<b>1 &lt; 2 &amp;&amp; &quot;it's&quot; &uuml;&#x20AC; & &bogus;</b>",
		 "<strong>1 &lt; 2 &amp;&amp; &quot;it's&quot; \xC3\xBC\xE2\x82\xAC &amp; &amp;bogus;</strong>"},
	};
	EXPECT(t);
}

static void test_links(void **state)
{
	(void)state;
	static const struct row t[] = {
		{"<a href='https://a.example/?a=1&amp;b=2'>x</a>", "<a href=\"https://a.example/?a=1&amp;b=2\">x</a>"},
		{"<A class=z HREF=http://a.example/ target=_blank>x</A>", "<a href=\"http://a.example/\">x</a>"},
		{"<a href='mailto:r@a.example'>1</a><a href='xmpp:r@a.example'>2</a><a href='sip:r@a.example'>3</a>",
		 "<a href=\"mailto:r@a.example\">1</a><a href=\"xmpp:r@a.example\">2</a><a href=\"sip:r@a.example\">3</a>"},
		{"<a href=' ht\ttps://a\n.example/ '>x</a>", "<a href=\"https://a.example/\">x</a>"},
		{"<a href='http://a.example/a b\"<>\\^`{|}'>x</a>", "<a href=\"http://a.example/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D\">x</a>"},
		{"<a href='http://\xE2\x80\xAE.example/\xC2\x85\xFF'>x</a>", "<a href=\"http://%E2%80%AE.example/%C2%85%FF\">x</a>"},
		{"<a href='http://a/'>1<a href='http://b/'>2</a>3</a>", "<a href=\"http://a/\">1</a><a href=\"http://b/\">2</a>3"},
		{"<a href='http://a/'>1<a href='javascript:x'>2</a>3</a>", "<a href=\"http://a/\">1</a>23"},
		{"<a href='http://first/' href='http://second/'>x</a>", "<a href=\"http://first/\">x</a>"},
		{"<a href='http://'>x</a>", ""}, {"<a href>x</a>", ""}, {"<a>x</a>", ""}, {"<a href=//a.example/>x</a>", ""},
		{"<a href='javascript:alert(1)'>x</a>", ""}, {"<a href='JaVaScRiPt:alert(1)'>x</a>", ""},
		{"<a href='java\tscript:alert(1)'>x</a>", ""}, {"<a href='java&#x09;script:alert(1)'>x</a>", ""},
		{"<a href='java&#10;script&#58;alert(1)'>x</a>", ""}, {"<a href='&#106;&#97;vascript:alert(1)'>x</a>", ""},
		{"<a href='&#106avascript:alert(1)'>x</a>", ""}, {"<a href='java&Tab;script&colon;alert(1)'>x</a>", ""},
		{"<a href='\x01javascript:alert(1)'>x</a>", ""}, {"<a href=' &#1; javascript:alert(1)'>x</a>", ""},
		{"<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>", ""}, {"<a href='DATA:text/html,x'>x</a>", ""},
		{"<a href='vbscript:x'>x</a>", ""}, {"<a href='file:///etc/passwd'>x</a>", ""}, {"<a href='ftp://a/'>x</a>", ""},
		{"<a href='https:javascript:x'>x</a>", ""}, {"<a href='sips:r@a'>x</a>", ""}, {"<a href='tel:1'>x</a>", ""},
		{"<a href='http&#58;//a.example/'>x</a>", "<a href=\"http://a.example/\">x</a>"},
	};
	EXPECT(t);
}

static void test_styles(void **state)
{
	(void)state;
	static const struct {
		const char *style, *expected; /* NULL: none */
	} t[] = {
		{"color:red", "color:red"}, {" COLOR : #FFaa00 ;", "color:#ffaa00"}, {"color:#fff", "color:#fff"},
		{"color: rgb(1, 2,255)", "color:rgb(1,2,255)"}, {"color:rgb(1,2,256)", NULL}, {"color:rgb(1,2)", NULL}, {"color:rgb(1,2,3,4)", NULL},
		{"color:#ff", NULL}, {"color:#ggg", NULL}, {"color:red!important", NULL}, {"color:", NULL}, {"color", NULL}, {":red", NULL},
		{"font-size:10.5pt;font-size:9999px;font-size:-1px;font-size:1e3px;font-size:x-large", "font-size:10.5pt;font-size:x-large"},
		{"font-size:1.px", NULL}, {"font-size:.5em", NULL}, {"font-size:12", NULL}, {"font-size:120%", "font-size:120%"},
		{"font-family:&quot;Segoe UI&quot;, Arial,sans-serif", "font-family:'Segoe UI',Arial,sans-serif"},
		{"font-family:MS Shell Dlg 2", "font-family:'MS Shell Dlg 2'"}, {"font-family:a&quot;b", NULL}, {"font-family:,a", NULL},
		{"font-family:'a;color:red'", NULL}, {"font-family:a,b,c,d,e,f,g,h,i", NULL},
		{"font-weight:bold;font-style:Italic;font-variant:small-caps;text-decoration:underline  line-through",
		 "font-weight:bold;font-style:italic;font-variant:small-caps;text-decoration:underline line-through"},
		{"font-weight:950", NULL}, {"text-decoration:blink", NULL}, {"font:12px a", NULL},
		{"background:url(http://a/)", NULL}, {"background-color:red", NULL}, {"color:url(javascript:x)", NULL}, {"font-family:url(x)", NULL},
		{"width:expression(alert(1))", NULL}, {"color:expression(alert(1))", NULL}, {"color:r\\65 d", NULL}, {"c\\6flor:red", NULL},
		{"color:/**/red", NULL}, {"color/**/:red", NULL}, {"behavior:url(x)", NULL}, {"-moz-binding:url(x)", NULL}, {"position:fixed;top:0", NULL},
		{"@import 'x';color:red", "color:red"}, {"color:red}body{color:blue", NULL}, {"color:&#x72;ed", "color:red"},
		{"color:\xC3\xBC", NULL}, {"color:r&#0;ed", NULL}, {"display:none", NULL},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct slice html = arena_printf(arena, "<b>x</b><span style=\"%s\">y</span>", t[i].style);
		struct slice expected = t[i].expected ? arena_printf(arena, "<strong>x</strong><span style=\"%s\">y</span>", t[i].expected)
						      : S("<strong>x</strong>y");
		expect(html, expected.p);
	}
}

static void test_attacks(void **state)
{
	(void)state;
	static const struct row t[] = {
		{"<script>alert('<b>')</script><b>x</b>", "<strong>x</strong>"}, {"<SCRIPT src=x></SCRIPT ><b>x</b>", "<strong>x</strong>"},
		{"<b>x</b><script>never ends <b>y</b>", "<strong>x</strong>"}, {"<scr<script>ipt><b>x</b>", "ipt&gt;<strong>x</strong>"},
		{"<style>b{color:red}</style><title>t</title><iframe src=x><b>in</b></iframe><b>x</b>", "<strong>x</strong>"},
		{"<img src=x onerror=alert(1)><b>x</b>", "<strong>x</strong>"}, {"<object data=x><b>x</b></object>", "<strong>x</strong>"},
		{"<b onclick=alert(1) onmouseover='x' id=i class=c style='color:red'>x</b>", "<strong>x</strong>"},
		{"<svg onload=alert(1)><b>x</b></svg><math><b>y</b>", "<strong>x</strong><strong>y</strong>"},
		{"<meta http-equiv=refresh content='0;url=x'><base href=x><link rel=stylesheet href=x><form action=x><input><b>x</b>", "<strong>x</strong>"},
		{"<b <script>x</b>", "<strong>x</strong>"}, {"<b/onclick=x>y</b>", "<strong>y</strong>"}, {"<bx>x</bx><b>y", "x<strong>y</strong>"},
		{"<!-- <script> --><b>x</b>", "<strong>x</strong>"}, {"<b>x</b><!-- never ends <i>y</i>", "<strong>x</strong>"},
		{"<![CDATA[<i>x</i>]]><b>y</b>", "x]]&gt;<strong>y</strong>"}, {"<?php echo '<i>' ?><b>y</b>", "<strong>y</strong>"},
		{"<!DOCTYPE x [<!ENTITY a 'b'>]><b>&a;</b>", "]&gt;<strong>&amp;a;</strong>"},
		{"<b>x</b><a href='http://a/' title='>\"", "<strong>x</strong>&lt;a href='http://a/' title='&gt;&quot;"},
		{"<span style='color:red\" onclick=\"x'>x</span><b>y</b>", "x<strong>y</strong>"},
		{"<a href='http://a/&quot; onclick=&quot;x'>x</a>", "<a href=\"http://a/%22%20onclick=%22x\">x</a>"},
		{"<b>&lt;script&gt;alert(1)&lt;/script&gt;</b>", "<strong>&lt;script&gt;alert(1)&lt;/script&gt;</strong>"},
		{"<b>\xC3<x>\xA9 \xFF &#1;\x02 &#xFFFE;</b>",
		 "<strong>\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD</strong>"},
	};
	EXPECT(t);
	expect(S("<b>x</b><span style='font-family:a\0b'>y</span>"), "<strong>x</strong>y");
	expect(S("<b>a\0b</b>"), "<strong>a\xEF\xBF\xBD" "b</strong>");
}

static struct slice repeated(const char *before, const char *unit, size_t n, const char *after)
{
	struct buf b;
	buf_init(&b, 32 << 20);
	buf_puts(&b, before);
	while (n--)
		buf_puts(&b, unit);
	buf_puts(&b, after);
	struct slice s = arena_dup(arena, buf_slice(&b));
	buf_free(&b);
	return s;
}

static void test_sizes(void **state)
{
	(void)state;
	static const char *const nests[] = {"<b>", "<p>", "<ul>", "<ul><li>", "<blockquote>", "<a href='http://a/'>", "<span>", "<span style='color:red'>", "<div><i>"};
	for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
		struct slice s = interwork_xhtml_from_html(arena, repeated("", nests[i], 10000, "x"));
		if (s.len) {
			struct xml_node *n = document(s);
			unsigned depth = 0;
			assert_true(slice_find(s, S("x")) >= 0);
			for (n = xml_first(n); (n = xml_first(n));)
				depth++;
			assert_in_range(depth, 1, 16);
		}
	}
	expect(repeated("<b>1</b>", "<p>", 10000, "2"), "<strong>1</strong> <p>2</p>");
	expect(repeated("<b ", "onclick=x ", 100000, ">y</b>"), "<strong>y</strong>");
	expect(repeated("<span ", "a=b ", 10, "style='color:red'>y</span>"), "<span style=\"color:red\">y</span>");
	expect(repeated("<b>1</b><span ", "a=b ", 1000, "style='color:red'>y</span>"), "<strong>1</strong>y");
	expect(repeated("<b>1</b><a href='http://", "a", 2100, "'>y</a>"), "<strong>1</strong>y");
	expect(repeated("<b>1</b><a href='http://", "\"", 1000, "'>y</a>"), "<strong>1</strong>y");
	expect(repeated("<b>1</b><span style='", "color:red;", 300, "'>y</span>"), "<strong>1</strong>y");
	/* beyond a limit nothing, never a part */
	expect(repeated("<b>", "x", 65000, "</b>"), repeated("<strong>", "x", 65000, "</strong>").p);
	expect(repeated("<b>", "x", 66000, "</b>"), "");
	expect(repeated("<b>1</b>", "<i>y</i>", 1000, ""), "");
	assert_int_equal(interwork_xhtml_from_html(arena, repeated("", "<i>y</i>", 1000, "")).len, 1000 * strlen("<em>y</em>"));
}

static void test_stanza(void **state)
{
	(void)state;
	static const struct row t[] = {
		{"<p>a <b>b</b><u>c</u></p>", "<p>a <strong>b</strong><span style=\"text-decoration:underline\">c</span></p>"},
		{"<p><em>x</em><f xmlns='x'>foreign</f><script>y</script></p><img src='http://a/' alt='z'/>w", "<p><em>x</em></p>w"},
		{"<span style='color:red;background:url(x)' onclick='y'>x</span>", "<span style=\"color:red\">x</span>"},
		{"<a href='javascript:x'>1</a><a href='xmpp:r@a'>2<a href='data:x'>3</a>4</a>", "1<a href=\"xmpp:r@a\">2</a>34"},
		{"<strong>&amp;lt;b&gt;</strong>", "<strong>&amp;lt;b&gt;</strong>"}, {"text", ""}, {"", ""},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct slice s = interwork_xhtml_from_stanza(arena, document(slice_str(t[i].html)));
		if (!slice_eq(s, slice_str(t[i].expected)))
			fail_msg("%s: \"%.*s\", not \"%s\"", t[i].html, SFMT(s), t[i].expected);
	}
	assert_int_equal(interwork_xhtml_from_stanza(arena, parse_xml(arena, S("<html xmlns='http://jabber.org/protocol/xhtml-im'/>"))).len, 0);
}

/* ---- beside the text */

#define BODY "xmlns='http://www.w3.org/1999/xhtml'>"
#define OPEN "<html xmlns='http://jabber.org/protocol/xhtml-im'><body " BODY

static struct slice to_xmpp(const char *type, const char *body, bool xhtml, size_t max)
{
	struct interwork_im_rules rules = interwork_im_rules_default;
	struct xmpp_jid from = parse_jid(arena, "romeo@a.example"), to = parse_jid(arena, "juliet@b.example");
	struct interwork_im_in in = {.content = {.type = slice_str(type), .body = slice_str(body), .max_forwards = -1}, .from = &from, .to = &to};
	struct buf b;
	rules.xhtml = xhtml;
	if (max)
		rules.max_stanza = max;
	buf_init(&b, rules.max_stanza);
	assert_int_equal(interwork_im_to_xmpp(&b, arena, &in, &rules, NULL).action, INTERWORK_IM_PASS);
	assert_true(buf_ok(&b));
	struct slice s = arena_dup(arena, buf_slice(&b));
	buf_free(&b);
	parse_xml(arena, s);
	return s;
}

static void test_to_xmpp(void **state)
{
	(void)state;
	static const char alternative[] = "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html;charset=iso-8859-1\r\n\r\n"
					  "<b>\xE9</b>\r\n--b--";
	struct slice s = to_xmpp("text/html", "<b>x</b>", true, 0);
	assert_true(slice_find(s, S("<body>x</body>")) > 0);
	assert_true(slice_find(s, S(OPEN "<strong>x</strong></body></html></message>")) > 0);
	assert_int_equal(slice_find(to_xmpp("text/html", "<b>x</b>", false, 0), S("<html")), -1);
	assert_int_equal(slice_find(to_xmpp("text/html", "<p>x</p>", true, 0), S("<html")), -1);
	assert_int_equal(slice_find(to_xmpp("text/plain", "<b>x</b>", true, 0), S("<html")), -1);
	s = to_xmpp("multipart/alternative;boundary=b", alternative, true, 0);
	assert_true(slice_find(s, S("<body>plain</body>")) > 0);
	assert_true(slice_find(s, S(OPEN "<strong>\xC3\xA9</strong></body></html></message>")) > 0);
	/* to the octet: without room for it the text goes alone */
	assert_true(slice_find(to_xmpp("text/html", "<b>x</b>", true, to_xmpp("text/html", "<b>x</b>", true, 0).len), S("<html")) > 0);
	s = to_xmpp("text/html", "<b>x</b>", true, to_xmpp("text/html", "<b>x</b>", true, 0).len - 1);
	assert_int_equal(slice_find(s, S("<html")), -1);
	assert_true(slice_find(s, S("<body>x</body>")) > 0);
}

static struct slice to_sip(const char *children, bool xhtml)
{
	struct interwork_im_rules rules = interwork_im_rules_default;
	struct interwork_im_page page;
	struct interwork_im_out out = {.stanza = parse_xml(arena, arena_printf(arena, "<message type='chat' xmlns='jabber:client'>%s</message>", children))};
	rules.xhtml = xhtml;
	assert_int_equal(interwork_im_to_sip(&page, arena, &out, &rules).action, INTERWORK_IM_PASS);
	return page.html;
}

static void test_to_sip(void **state)
{
	(void)state;
	static const char marked[] = "<body>x</body>" OPEN "<b>x</b></body></html>";
	assert_true(slice_eq(to_sip(marked, true), S("<html><body><strong>x</strong></body></html>")));
	assert_int_equal(to_sip(marked, false).len, 0);
	assert_int_equal(to_sip("<body>x</body>" OPEN "x</body></html>", true).len, 0);
	assert_int_equal(to_sip("<body>x</body><html " BODY "<b>x</b></html>", true).len, 0);
	/* what we put to the text is not in it */
	assert_int_equal(to_sip("<replace id='1' xmlns='urn:xmpp:message-correct:0'/><body>x</body>" OPEN "<b>x</b></body></html>", true).len, 0);
	assert_int_equal(to_sip("<x xmlns='jabber:x:oob'><url>http://a/</url></x><body>x</body>" OPEN "<b>x</b></body></html>", true).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure), cmocka_unit_test(test_links), cmocka_unit_test(test_styles), cmocka_unit_test(test_attacks),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_stanza), cmocka_unit_test(test_to_xmpp), cmocka_unit_test(test_to_sip),
	};
	return cmocka_run_group_tests_name("interwork-xhtml", tests, setup, teardown);
}
