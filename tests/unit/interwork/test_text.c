/* SPDX-License-Identifier: Apache-2.0 */
/* Text that crosses, dates, MIME pieces, rich text. */
#include "parse.h"

#include "interwork/date.h"
#include "interwork/mime.h"
#include "interwork/plaintext.h"
#include "interwork/text.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

#define assert_slice(actual, expected)                                                                                        \
	do {                                                                                                                  \
		struct slice a_ = (actual), e_ = slice_str(expected);                                                         \
		if (!slice_eq(a_, e_))                                                                                        \
			fail_msg("%s:%d: \"%.*s\", not \"%.*s\"", __FILE__, __LINE__, SFMT(a_), SFMT(e_));                    \
	} while (0)

static void test_line(void **state)
{
	(void)state;
	assert_slice(interwork_line(arena, S("  a  b\r\n\t c \n"), 100), "a  b c");
	assert_slice(interwork_line(arena, S(" \r\n "), 100), "");
	assert_slice(interwork_line(arena, S("\0a\0\0b\x1b[0m"), 100), "a b [0m");
	assert_slice(interwork_line(arena,
				    S("\xE2\x80\xAE"
				      "abc\xE2\x81\xA6\xEF\xBB\xBF"),
				    100),
		     "abc");
	assert_slice(interwork_line(arena, S("\xE2\x80\x8F\xD7\x90"), 100),
		     "\xE2\x80\x8F\xD7\x90"); /* marks are language, overrides are not */
	assert_slice(interwork_line(arena, S("a\xC3"), 100), "a");
	assert_slice(interwork_line(arena, S("\xC3\xBC\xC3\xBC"), 3), "\xC3\xBC");
	assert_slice(interwork_line(arena, S("ab cd"), 3), "ab");
	assert_slice(interwork_line(arena, SLICE_NONE, 3), "");
}

static void test_lang(void **state)
{
	(void)state;
	assert_slice(interwork_lang(S("en")), "en");
	assert_slice(interwork_lang(S(" zh-Hant-TW , en;q=1")), "zh-Hant-TW");
	assert_slice(interwork_lang(S("en;q=0.5")), "en");
	static const char *const bad[] = {"", "*", "-en", "en-", "en'x", "\xC3\xBC", "abcdefghijklmnopqrstuvwxyzabcdefghij"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (interwork_lang(slice_str(bad[i])).len)
			fail_msg("%s", bad[i]);
}

static void test_dates(void **state)
{
	(void)state;
	int64_t t = -1;
	assert_true(interwork_date_parse(S(" Sat, 13 Nov 2010 23:29:00 GMT "), &t));
	assert_int_equal(t, 1289690940);
	assert_slice(interwork_date_format(arena, 1289690940), "Sat, 13 Nov 2010 23:29:00 GMT");
	assert_slice(interwork_date_format(arena, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_slice(interwork_date_format(arena, 253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
	assert_int_equal(interwork_date_format(arena, -1).len, 0);
	assert_int_equal(interwork_date_format(arena, 253402300800).len, 0);
	static const char *const bad[] = {
		"", "Sat, 13 Nov 2010 23:29:00", "Sat, 13 Nov 2010 23:29:00 CET", "Sat, 13 Nov 2010 24:29:00 GMT",
		 "Sat, 32 Nov 2010 23:29:00 GMT",
		"Sat, 00 Nov 2010 23:29:00 GMT", "Sat, 13 Now 2010 23:29:00 GMT", "Xxx, 13 Nov 2010 23:29:00 GMT",
		 "Sat, 13 Nov 1969 23:29:00 GMT",
		"Sat, +3 Nov 2010 23:29:00 GMT", "Sat, 13 Nov 2010 23.29.00 GMT", "Sat, 13 Nov 2010 23:29:00 GMTx",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		t = -7;
		if (interwork_date_parse(slice_str(bad[i]), &t) || t != -7)
			fail_msg("%s", bad[i]);
	}
}

static void test_mime_pieces(void **state)
{
	(void)state;
	struct mime_part p;
	struct slice v;
	mime_part_read(&p, S("content-type: text/plain;\r\n charset=\"a\\\"b\"\nContent-Type: second\r\nX\r\n\r\nbody\r\n"));
	assert_slice(p.body, "body\r\n");
	assert_true(mime_param(p.type, S("CHARSET"), arena, &v));
	assert_slice(v, "a\"b");
	assert_false(mime_param(p.type, S("boundary"), arena, &v));
	mime_part_read(&p, S("\r\nonly body"));
	assert_slice(p.body, "only body");
	mime_part_read(&p, S("Content-Type: text/plain"));
	assert_int_equal(p.body.len, 0);
	static const struct {
		const char *encoding;
		struct slice in;
		const char *out; /* NULL: refused */
	} t[] = {
		{"base64", {"", 0}, ""}, {"base64", {"YQ==", 4}, "a"}, {"base64", {"YWI=", 4}, "ab"}, {"BASE64", {"YWJj", 4},
		 "abc"},
		{"base64", {" Y W\r\nJj\tZA", 11}, "abcd"}, {"base64", {"YQ==YQ==", 8}, NULL}, {"base64", {"Y!==", 4}, NULL},
		{"base64", {"YWJjZGVmZw==", 12}, "abcdefg"}, {"8bit", {"=41", 3}, "=41"}, {"", {"=41", 3}, "=41"}, {"uuencode",
		 {"x", 1}, NULL},
		{"quoted-printable", {"=41=4g=", 7}, "A=4g"}, {"quoted-printable", {"a=\nb=\r\nc", 8}, "abc"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		int r = mime_decode(&v, arena, slice_str(t[i].encoding), t[i].in);
		if ((r == 0) != (t[i].out != NULL))
			fail_msg("%s %.*s: %d", t[i].encoding, SFMT(t[i].in), r);
		if (r == 0)
			assert_slice(v, t[i].out);
	}
}

static void test_html(void **state)
{
	(void)state;
	static const struct {
		const char *html, *text;
	} t[] = {
		{"plain", "plain"},
		{"a  \r\n b", "a b"},
		{"<p>one</p><p>two</p>", "one\ntwo"},
		{"one<br/><br>two", "one\n\ntwo"},
		{"<DIV>one <I>two</I></DIV>three", "one two\nthree"},
		{"1 &lt; 2 &amp;&amp; &#x41;&#66; &unknown; & &#0; &#xD800; &#x110000;",
		 "1 < 2 && AB &unknown; & &#0; &#xD800; &#x110000;"},
		{"a < b", "a < b"},
		{"a <b", "a <b"},
		{"<!-- <p>x</p> -->y", "y"},
		{"<!-- never ends", ""},
		{"<script>alert('</p>')</script>x<style>p{}</style>", "x"},
		{"<script>never ends", ""},
		{"<img alt='>' src=x>after", "after"},
		{"<a href='https://a.example/?x=1&amp;y=2'>here</a>!", "here (https://a.example/?x=1&y=2)!"},
		{"<a class=z href=https://a.example/>https://a.example/</a>", "https://a.example/"},
		{"<a href=\"mailto:r@a.example\">r@a.example</a>", "r@a.example"},
		{"<a href='javascript:alert(1)'>x</a>", "x"},
		{"<a href='data:text/html,x'>x</a>", "x"},
		{"<a name=href>x</a><a xhref='https://e.example'>y</a>", "xy"},
		{"<a href='http://a/'>1<a href='http://b/'>2</a>", "1 (http://a/)2 (http://b/)"},
		{"&lt;body&gt;", "<body>"},
		{"<ul><li>1</li><li>2</li></ul>", "1\n2"},
		{"\xC3\xBC&uuml;&nbsp;&euro;", "\xC3\xBC\xC3\xBC \xE2\x82\xAC"},
		{"<", "<"}, {"</", "</"}, {"<>", "<>"}, {"<a", "<a"}, {"&", "&"}, {"&;", "&;"}, {"&#;", "&#;"}, {"&#x;", "&#x;"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct slice s = interwork_html_to_text(arena, slice_str(t[i].html));
		if (!slice_eq(s, slice_str(t[i].text)))
			fail_msg("%s: \"%.*s\", not \"%s\"", t[i].html, SFMT(s), t[i].text);
	}
}

static void test_rtf(void **state)
{
	(void)state;
	static const struct {
		const char *rtf, *text; /* NULL: refused */
	} t[] = {
		{"{\\rtf1 hello}", "hello"},
		{"{\\rtf1\\ansi a\\par b\\line c\\tab d}", "a\nb\nc\td"},
		{"{\\rtf1{\\fonttbl{\\f0 Arial;}}{\\colortbl;\\red0;}{\\*\\generator X;}text}", "text"},
		{"{\\rtf1 a\\{b\\}c\\\\d\\~e\\_f}", "a{b}c\\d e-f"},
		{"{\\rtf1\\ansicpg1251 \\'cf\\'f0}", "\xD0\x9F\xD1\x80"},
		{"{\\rtf1\\ansicpg932 \\'93\\'fa}", "\xE6\x97\xA5"},
		{"{\\rtf1 \\u252?x}", "\xC3\xBCx"},
		{"{\\rtf1\\uc0 \\u252x}", "\xC3\xBCx"},
		{"{\\rtf1\\uc2 \\u-10179??\\u-9015?" "?!}", "\xF0\x9F\x93\x89!"},
		{"{\\rtf1 \\'zz\\", "zz"},
		{"{\\rtf1 a}tail", "a"},
		{"{\\rtf1 a\r\nb}", "ab"},
		{"hello", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct slice s = interwork_rtf_to_text(arena, slice_str(t[i].rtf));
		if (!t[i].text != !s.p || !slice_eq(s, slice_str(t[i].text)))
			fail_msg("%s: \"%.*s\"", t[i].rtf, SFMT(s));
	}
	interwork_rtf_to_text(
		arena, S("{\\rtf1 \\u99999999999999999999?x\\uc-5 \\u-99999?}")); /* absurd numbers: anything but a fault */
	char deep[512] = "{\\rtf1";
	memset(deep + 6, '{', 400);
	deep[406] = 'x';
	interwork_rtf_to_text(arena, slice_of(deep, 407));
}

/* Inputs made to be slow: each of these is handled in one pass or a test run would be felt. */
static void test_hostile_sizes(void **state)
{
	(void)state;
	static const char *const units[] = {"<a",    "<a href=", "<script>", "</script", "&",	   "<!--",
					    "<!-->", "\"'<b",	 "--b",	     "{",	 "\\'e9a", "\\u1?"};
	enum { N = 60000 };
	char *text = arena_bytes(arena, N + 16);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = 0, k = strlen(units[i]);
		struct slice rest, part;
		bool started = false;
		while (n + k <= N)
			n = (size_t)((char *)mempcpy(text + n, units[i], k) - text);
		interwork_html_to_text(arena, slice_of(text, n));
		rest = slice_of(text, n);
		while (mime_next_part(&rest, &started, S("b"), &part))
			;
		memcpy(text, "{\\rtf1 ", 7);
		interwork_rtf_to_text(arena, slice_of(text, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),	      cmocka_unit_test(test_lang), cmocka_unit_test(test_dates),
		cmocka_unit_test(test_mime_pieces),   cmocka_unit_test(test_html), cmocka_unit_test(test_rtf),
		cmocka_unit_test(test_hostile_sizes),
	};
	return cmocka_run_group_tests_name("interwork-text", tests, setup, teardown);
}
