/* SPDX-License-Identifier: Apache-2.0 */
/* SIP MESSAGE -> XMPP message: field by field, every kind of content, and what must not cross. */
#include "parse.h"

#include <zlib.h>
#include "base/enc.h"
#include "interwork/im.h"

enum { NOW = 1290000000 }; /* 2010-11-17T13:20:00Z */

static struct arena *arena;
static struct xmpp_jid from, to;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

struct result {
	struct interwork_im_verdict v;
	struct interwork_im_found found;
	struct slice text, id; /* the stanza as written */
	struct xml_node *stanza;
};

static struct result translate_raw(struct slice raw, const struct interwork_im_rules *rules, const struct interwork_im_in *hooks)
{
	struct result r = {0};
	struct buf b;
	from = parse_jid(arena, "romeo@example.net/orchard");
	to = parse_jid(arena, "juliet@x.example");
	struct interwork_im_in in = {.content = interwork_im_content_of(parse_sip(arena, raw)), .from = &from, .to = &to, .now = NOW};
	if (hooks) {
		in.call_id_seen = hooks->call_id_seen;
		in.ctx = hooks->ctx;
	}
	buf_init(&b, 1 << 20);
	buf_puts(&b, "kept");
	r.v = interwork_im_to_xmpp(&b, arena, &in, rules, &r.found);
	r.id = r.found.id;
	assert_true(buf_ok(&b));
	struct slice out = buf_slice(&b);
	assert_true(slice_starts(out, S("kept")));
	r.text = arena_dup(arena, slice_skip(out, 4));
	buf_free(&b);
	if (r.v.action == INTERWORK_IM_PASS) {
		assert_int_equal(r.v.kind, INTERWORK_IM_TEXT);
		struct xml_node *stream =
			parse_xml(arena, arena_printf(arena, "<s xmlns='jabber:server'>%.*s</s>", SFMT(r.text)));
		r.stanza = stream->first;
		assert_null(r.stanza->next);
	} else {
		assert_int_equal(r.text.len, 0);
		if (r.v.action == INTERWORK_IM_REFUSE) {
			assert_int_not_equal(r.v.reason, REASON_NONE);
			assert_non_null(r.v.why);
		}
	}
	return r;
}

static struct slice message(const char *headers, struct slice body)
{
	struct slice head = arena_printf(
		arena,
		"MESSAGE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK77\r\nMax-Forwards: 70\r\n"
		"From: <sip:romeo@example.net;gr=orchard>;tag=1\r\nTo: <sip:juliet@x.example>\r\nCall-ID: call-1\r\nCSeq: 7 "
		"MESSAGE\r\n"
		"%sContent-Length: %zu\r\n\r\n",
		headers, body.len);
	char *p = arena_bytes(arena, head.len + body.len);
	memcpy(p, head.p, head.len);
	memcpy(p + head.len, body.p, body.len);
	return slice_of(p, head.len + body.len);
}

static struct result translate(const char *headers, struct slice body)
{
	arena_reset(arena);
	return translate_raw(message(headers, body), &interwork_im_rules_default, NULL);
}

static struct slice child_text(const struct result *r, const char *name)
{
	const struct xml_node *n = xml_child(r->stanza, slice_str(name), SLICE_NONE);
	return n ? xml_text(n, arena) : SLICE_NONE;
}

#define assert_slice(actual, expected)                                                                                        \
	do {                                                                                                                  \
		struct slice a_ = (actual), e_ = slice_str(expected);                                                         \
		if (!slice_eq(a_, e_))                                                                                        \
			fail_msg("%s:%d: \"%.*s\", not \"%.*s\"", __FILE__, __LINE__, SFMT(a_), SFMT(e_));                    \
	} while (0)

static void test_plain(void **state)
{
	(void)state;
	struct result r = translate("Content-Type: text/plain\r\n", S("Neither, fair saint"));
	assert_int_equal(r.v.action, INTERWORK_IM_PASS);
	assert_slice(xml_attr(r.stanza, S("from")), "romeo@example.net/orchard");
	assert_slice(xml_attr(r.stanza, S("to")), "juliet@x.example");
	assert_slice(xml_attr(r.stanza, S("type")), "chat");
	assert_slice(child_text(&r, "body"), "Neither, fair saint");
	assert_null(xml_child(r.stanza, S("thread"), SLICE_NONE));
	assert_null(xml_child(r.stanza, S("subject"), SLICE_NONE));
	assert_null(xml_child(r.stanza, S("delay"), SLICE_NONE));
	assert_null(xml_attr(r.stanza, S("lang")).p);
	const struct xml_node *shim = xml_child(r.stanza, S("headers"), S("http://jabber.org/protocol/shim"));
	assert_slice(xml_text(shim->first, arena), "69");
	assert_slice(xml_attr(xml_child(r.stanza, S("origin-id"), S("urn:xmpp:sid:0")), S("id")), r.id.p);
}

static void test_type_normal(void **state)
{
	(void)state;
	struct interwork_im_rules rules = interwork_im_rules_default;
	rules.type_normal = true;
	struct result r = translate_raw(message("Content-Type: text/plain\r\n", S("x")), &rules, NULL);
	assert_null(xml_attr(r.stanza, S("type")).p);
}

static void test_fields(void **state)
{
	(void)state;
	struct result r =
		translate("Content-Type: text/plain;charset=UTF-8\r\nSubject: Hi\r\n  <you> & me\r\nContent-Language: cs, en\r\n",
			  S("a<b>&'\""));
	assert_slice(child_text(&r, "subject"), "Hi <you> & me");
	assert_slice(child_text(&r, "body"), "a<b>&'\"");
	assert_slice(xml_lang(r.stanza), "cs");
	r = translate("c: text/plain\r\ns: compact\r\nContent-Language: en'><x/>\r\n", S("x"));
	assert_slice(child_text(&r, "subject"), "compact");
	assert_null(xml_lang(r.stanza).p);
	r = translate("Content-Type: text/plain\r\nSubject: a\xFF\tb\xE2\x80\xAE" "c\xC2\x85" "d\r\n", S("x"));
	assert_slice(child_text(&r, "subject"), "a bc d");
}

static void test_body_hygiene(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		const char *out;
	} t[] = {
		{{"a\r\nb\rc\nd", 8}, "a\nb\nc\nd"},
		{{"a\0b\x01\x1b[31m\x7f", 10}, "a\xEF\xBF\xBD" "b\xEF\xBF\xBD\xEF\xBF\xBD[31m\xEF\xBF\xBD"},
		{{"\xff" "a\xc3", 3}, "\xEF\xBF\xBD" "a\xEF\xBF\xBD"},
		{{"\xed\xa0\x80", 3}, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
		{{"\xef\xbf\xbf!", 4}, "\xEF\xBF\xBD!"},
		{{"\xc2\x85x", 3}, "\xEF\xBF\xBDx"},
		{{"\xef\xbb\xbfhi", 5}, "hi"}, /* byte order mark */
		{{"\tx ", 3}, "\tx "},
		{{"]]></body>", 10}, "]]></body>"},
		{{"\xF0\x9F\x92\xA9", 4}, "\xF0\x9F\x92\xA9"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct result r = translate("Content-Type: text/plain\r\n", t[i].in);
		assert_int_equal(r.v.action, INTERWORK_IM_PASS);
		assert_slice(child_text(&r, "body"), t[i].out);
	}
}

static void test_charsets(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		struct slice in;
		const char *out; /* NULL: 415 */
	} t[] = {
		{"text/plain;charset=iso-8859-1", {"gr\xFC\xDF", 4}, "gr\xC3\xBC\xC3\x9F"},
		{"text/plain; charset=\"ISO-8859-1\"", {"\xE9", 1}, "\xC3\xA9"},
		{"text/plain;charset=windows-1251", {"\xCF\xF0\xE8\xE2\xE5\xF2", 6},
		 "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82"},
		{"text/plain;charset=Shift_JIS", {"\x93\xFA\x96\x7B", 4}, "\xE6\x97\xA5\xE6\x9C\xAC"},
		{"text/plain;charset=UTF-16LE", {"a\0b\0", 4}, "ab"},
		{"text/plain;charset=utf-8", {"\xC3\xBC", 2}, "\xC3\xBC"},
		{"text/plain;charset=US-ASCII", {"a\xFC", 2}, "a\xEF\xBF\xBD"},
		{"text/plain;charset=x-klingon", {"a", 1}, NULL},
		{"text/plain;charset=\"../../../etc/passwd\"", {"a", 1}, NULL},
		{"text/plain;charset=\"\"", {"a", 1}, "a"},
		{"TEXT/PLAIN ; Charset=UTF-8; msgr=WAAtAE0ATQBTAC0ASQBNAA", {"a", 1}, "a"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		arena_reset(arena);
		struct result r = translate_raw(message(arena_printf(arena, "Content-Type: %s\r\n", t[i].type).p, t[i].in),
						&interwork_im_rules_default, NULL);
		if (t[i].out) {
			if (r.v.action != INTERWORK_IM_PASS)
				fail_msg("%s: %s", t[i].type, r.v.why);
			assert_slice(child_text(&r, "body"), t[i].out);
		} else {
			assert_int_equal(r.v.reason, REASON_CONTENT_CHARSET);
			assert_int_equal(reason_info(r.v.reason)->sip_status, 415);
		}
	}
}

/* What a body of this type becomes. */
static const struct {
	const char *name, *headers, *body, *text;
	enum interwork_im_action action;
	enum interwork_im_kind kind;
	enum reason reason;
} contents[] = {
	{"no Content-Type", "", "hello", "hello", INTERWORK_IM_PASS, 0, 0},
	{"empty", "Content-Type: text/plain\r\n", "", NULL, INTERWORK_IM_DROP, INTERWORK_IM_EMPTY, 0},
	{"html", "Content-Type: text/html\r\n", "<html><head><title>t</title><style>p{}</style></head><body><p>Hi <b>you</b> "
	 "&amp; me<br>2<script>x()</script></p></body>",
	 "Hi you & me\n2", INTERWORK_IM_PASS, 0, 0},
	{"html of tags only", "Content-Type: text/html\r\n", "<p><br></p>", NULL, INTERWORK_IM_DROP, INTERWORK_IM_EMPTY, 0},
	{"rtf", "Content-Type: text/rtf\r\n", "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}\\f0 Hi \\b you\\b0\\par 2 "
	 "\\'fc \\u8364?}", "Hi you\n2 \xC3\xBC \xE2\x82\xAC",
	 INTERWORK_IM_PASS, 0, 0},
	{"not rtf", "Content-Type: text/rtf\r\n", "hello", NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_MALFORMED},
	{"gif", "Content-Type: image/gif\r\n", "GIF89a", NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_TYPE},
	{"ink", "Content-Type: application/x-ms-ink\r\n", "x", NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_TYPE},
	{"not a type", "Content-Type: text\r\n", "x", NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_TYPE},
	{"composing", "Content-Type: application/im-iscomposing+xml\r\n", "<isComposing/>", NULL, INTERWORK_IM_DROP,
	 INTERWORK_IM_COMPOSING, 0},
	{"imdn", "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n", "<imdn/>", NULL, INTERWORK_IM_DROP,
	 INTERWORK_IM_RECEIPT, 0},
	{"ms-imdn", "Content-Type: application/ms-imdn+xml\r\n", "<imdn/>", NULL, INTERWORK_IM_DROP, INTERWORK_IM_RECEIPT, 0},
	{"file invitation", "Content-Type: text/x-msmsgsinvite; charset=UTF-8\r\n", "Application-Name: File Transfer\r\n", NULL,
	 INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_FILE},
	{"S/MIME", "Content-Type: application/pkcs7-mime\r\n", "x", NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_ENCRYPTED},
	{"disposition inline", "Content-Type: text/plain\r\nContent-Disposition: inline\r\n", "x", "x", INTERWORK_IM_PASS, 0, 0},
	{"disposition icon", "Content-Type: text/plain\r\nContent-Disposition: icon\r\n", "x", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_TYPE},
	{"disposition optional", "Content-Type: text/plain\r\nContent-Disposition: icon;handling=optional\r\n", "x", NULL,
	 INTERWORK_IM_DROP, INTERWORK_IM_EMPTY, 0},
	{"identity encoding", "Content-Type: text/plain\r\nContent-Encoding: Identity\r\n", "x", "x", INTERWORK_IM_PASS, 0, 0},

	{"alternative: own plain text wins", "Content-Type: multipart/alternative;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--b--\r\n",
	 "plain", INTERWORK_IM_PASS, 0, 0},
	{"alternative: html when nothing else", "Content-Type: multipart/alternative;boundary=\"b b\"\r\n",
	 "--b b\r\nContent-Type: application/x-ms-ink\r\n\r\nx\r\n--b b\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--b b--",
	 "rich", INTERWORK_IM_PASS, 0, 0},
	{"alternative: empty plain", "Content-Type: multipart/alternative;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--b--\r\n", "rich",
	 INTERWORK_IM_PASS, 0, 0},
	{"mixed: first text", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "preamble\r\n--b\r\nContent-Type: image/gif\r\n\r\nx\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: "
	 "text/plain\r\n\r\ntwo\r\n--b--\r\nepilogue",
	 "one", INTERWORK_IM_PASS, 0, 0},
	{"mixed: attachments are not the text", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\none\r\n--b\r\nContent-Type: "
	 "text/plain\r\n\r\ntwo\r\n--b--\r\n",
	 "two", INTERWORK_IM_PASS, 0, 0},
	{"mixed: base64", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
	 "base64\r\n\r\nZ3L8\r\n3w==\r\n--b--\r\n",
	 "gr\xC3\xBC\xC3\x9F", INTERWORK_IM_PASS, 0, 0},
	{"mixed: quoted-printable", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\na=3Db =C3=BC=\r\nc=\r\n--b--\r\n",
	 "a=b \xC3\xBC"
	 "c",
	 INTERWORK_IM_PASS, 0, 0},
	{"related", "Content-Type: multipart/related;boundary=b\r\n",
	 "--b\r\nContent-Type: text/html\r\n\r\n<p>see <img src=x></p>\r\n--b\r\nContent-Type: image/gif\r\n\r\nx\r\n--b--\r\n",
	 "see", INTERWORK_IM_PASS, 0, 0},
	{"signed", "Content-Type: multipart/signed;boundary=b\r\n",
	 "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\ns\r\n--b--\r\n",
	 "x", INTERWORK_IM_PASS, 0, 0},
	{"encrypted", "Content-Type: multipart/encrypted;boundary=b\r\n", "--b\r\n\r\nx\r\n--b--\r\n", NULL, INTERWORK_IM_REFUSE,
	 0, REASON_CONTENT_ENCRYPTED},
	{"no boundary", "Content-Type: multipart/mixed\r\n", "--b\r\n\r\nx\r\n--b--\r\n", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_MALFORMED},
	{"wrong boundary", "Content-Type: multipart/mixed;boundary=c\r\n", "--b\r\n\r\nx\r\n--b--\r\n", NULL, INTERWORK_IM_REFUSE,
	 0, REASON_CONTENT_MALFORMED},
	{"boundary is a prefix", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--bb\r\n\r\nno\r\n--b\r\n\r\nx\r\n--bb\r\ny\r\n--b--\r\n", "x\n--bb\ny",
	 INTERWORK_IM_PASS, 0, 0},
	{"cut", "Content-Type: multipart/mixed;boundary=b\r\n", "--b\r\n\r\nx", "x", INTERWORK_IM_PASS, 0, 0},
	{"nothing but images", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--b\r\nContent-Type: image/gif\r\n\r\nx\r\n--b--\r\n", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_TYPE},
	{"depth 3", "Content-Type: multipart/mixed;boundary=a\r\n",
	 "--a\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: "
	 "multipart/mixed;boundary=c\r\n\r\n--c\r\n\r\ndeep\r\n--c--\r\n--b--\r\n--a--\r\n",
	 "deep", INTERWORK_IM_PASS, 0, 0},
	{"depth 4", "Content-Type: multipart/mixed;boundary=a\r\n",
	 "--a\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: "
	 "multipart/mixed;boundary=c\r\n\r\n--c\r\nContent-Type: "
	 "multipart/mixed;boundary=d\r\n\r\n--d\r\n\r\ndeep\r\n--d--\r\n--c--\r\n--b--\r\n--a--\r\n",
	 NULL, INTERWORK_IM_REFUSE, 0, REASON_CONTENT_TYPE},

	{"cpim", "Content-Type: message/cpim\r\n",
	 "From: \"R <x>\" <sip:Romeo@EXAMPLE.net>\r\nTo: <im:juliet@x.example>\r\nDateTime: "
	 "2010-11-17T13:20:00Z\r\n\r\nContent-Type: text/plain\r\n\r\ninner",
	 "inner", INTERWORK_IM_PASS, 0, 0},
	{"cpim without From", "Content-Type: Message/CPIM\r\n",
	 "To: <im:juliet@x.example>\r\n\r\nContent-Type: text/plain\r\n\r\ninner", "inner", INTERWORK_IM_PASS, 0, 0},
	{"cpim, im: and instance", "Content-Type: message/cpim\r\n",
	 "From: <im:romeo@example.net;gr=other>\r\n\r\nContent-Type: text/plain\r\n\r\ninner", "inner",
	 INTERWORK_IM_PASS, 0, 0},
	{"cpim of another", "Content-Type: message/cpim\r\n",
	 "From: <sip:ceo@example.net>\r\n\r\nContent-Type: text/plain\r\n\r\npay", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_IDENTITY},
	{"cpim with two From", "Content-Type: message/cpim\r\n",
	 "From: <sip:ceo@example.net>\r\nFrom: <sip:romeo@example.net>\r\n\r\nContent-Type: text/plain\r\n\r\npay", NULL,
	 INTERWORK_IM_REFUSE, 0, REASON_CONTENT_IDENTITY},
	{"cpim with an unmappable From", "Content-Type: message/cpim\r\n",
	 "From: <tel:+1>\r\n\r\nContent-Type: text/plain\r\n\r\npay", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_IDENTITY},
	{"cpim of another within multipart", "Content-Type: multipart/mixed;boundary=b\r\n",
	 "--b\r\nContent-Type: message/cpim\r\n\r\nFrom: <sip:ceo@example.net>\r\n\r\nContent-Type: "
	 "text/plain\r\n\r\npay\r\n--b\r\n\r\nx\r\n--b--\r\n", NULL,
	 INTERWORK_IM_REFUSE, 0, REASON_CONTENT_IDENTITY},
	{"cpim within cpim", "Content-Type: message/cpim\r\n",
	 "\r\nContent-Type: message/cpim\r\n\r\n\r\nContent-Type: text/plain\r\n\r\nx", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_TYPE},
	{"cpim cut", "Content-Type: message/cpim\r\n", "From: <sip:romeo@example.net>\r\n", NULL, INTERWORK_IM_REFUSE, 0,
	 REASON_CONTENT_MALFORMED},
	{"imdn in cpim", "Content-Type: message/cpim\r\n",
	 "From: <sip:romeo@example.net>\r\n\r\nContent-Type: message/imdn+xml\r\nContent-Disposition: "
	 "notification\r\n\r\n<imdn/>", NULL, INTERWORK_IM_DROP,
	 INTERWORK_IM_RECEIPT, 0},
	{"composing in cpim", "Content-Type: message/cpim\r\n",
	 "From: <sip:romeo@example.net>\r\n\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n<isComposing/>",
	 NULL, INTERWORK_IM_DROP, INTERWORK_IM_COMPOSING, 0},
	{"cpim with multipart", "Content-Type: message/cpim\r\n",
	 "From: <sip:romeo@example.net>\r\n\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", "x",
	 INTERWORK_IM_PASS, 0, 0},
};

static void test_contents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		struct result r = translate(contents[i].headers, slice_str(contents[i].body));
		if (r.v.action != contents[i].action || r.v.kind != contents[i].kind || r.v.reason != contents[i].reason)
			fail_msg("%s: action %d kind %d %s (%s)", contents[i].name, r.v.action, r.v.kind,
				 reason_info(r.v.reason)->id, r.v.why ? r.v.why : "-");
		if (contents[i].text && !slice_eq(child_text(&r, "body"), slice_str(contents[i].text)))
			fail_msg("%s: \"%.*s\"", contents[i].name, SFMT(child_text(&r, "body")));
		if (r.v.reason == REASON_CONTENT_TYPE)
			assert_slice(slice_first(r.v.header_value, 10), "text/plain");
	}
}

static void test_part_limit(void **state)
{
	(void)state;
	struct buf b;
	for (size_t images = 14; images <= 16; images++) {
		buf_init(&b, 65536);
		for (size_t i = 0; i < images; i++)
			buf_puts(&b, "--b\r\nContent-Type: image/gif\r\n\r\nx\r\n");
		buf_puts(&b, "--b\r\n\r\nthe text\r\n--b--\r\n");
		struct result r = translate("Content-Type: multipart/mixed;boundary=b\r\n", buf_slice(&b));
		assert_int_equal(r.v.action, images < 16 ? INTERWORK_IM_PASS : INTERWORK_IM_REFUSE);
		buf_free(&b);
	}
}

static struct slice squeeze_into(char *mem, size_t size, struct slice text, int window)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text.p, .avail_in = (uInt)text.len, .next_out = (Bytef *)mem, .avail_out = (uInt)size};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return slice_of(mem, size - z.avail_out);
}
#define squeeze(mem, text, window) squeeze_into(mem, sizeof(mem), text, window)

static void test_content_encoding(void **state)
{
	(void)state;
	char mem[3][200];
	const char *text = "hello from the deflated side, hello from the deflated side";
	struct slice packed = squeeze(mem[0], slice_str(text), 15);
	struct result r = translate("Content-Type: text/plain\r\nContent-Encoding: deflate\r\n", packed);
	assert_int_equal(r.v.action, INTERWORK_IM_PASS);
	assert_slice(child_text(&r, "body"), text);
	r = translate("Content-Type: text/plain\r\ne: GZIP, identity\r\n", squeeze(mem[1], slice_str(text), 31));
	assert_int_equal(r.v.action, INTERWORK_IM_PASS);
	r = translate("Content-Type: text/plain\r\ne: deflate\r\nContent-Encoding: x-gzip\r\n", squeeze(mem[2], packed, 31)); /* the last one first */
	assert_int_equal(r.v.action, INTERWORK_IM_PASS);
	r = translate("Content-Type: text/plain\r\nContent-Encoding: deflate\r\n", slice_first(packed, packed.len - 6));
	assert_int_equal(r.v.reason, REASON_CONTENT_MALFORMED);
	r = translate("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", S("\x1f\x8b"));
	assert_int_equal(r.v.reason, REASON_CONTENT_MALFORMED);
	static const char *const unknown[] = {"br", "deflate, br", "gzip, gzip, gzip, gzip"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		char headers[100];
		snprintf(headers, sizeof headers, "Content-Type: text/plain\r\nContent-Encoding: %s\r\n", unknown[i]);
		r = translate(headers, packed);
		assert_int_equal(reason_info(r.v.reason)->sip_status, 415);
		assert_slice(r.v.header_name, "Accept-Encoding");
		assert_slice(r.v.header_value, "identity, deflate, gzip");
	}
	/* a bomb ends at the limit of a stanza */
	enum { MUCH = 400000 };
	static char bomb[MUCH];
	char small[2000];
	memset(bomb, 'x', MUCH);
	r = translate("Content-Type: text/plain\r\nContent-Encoding: deflate\r\n", squeeze_into(small, sizeof small, slice_of(bomb, MUCH), 15));
	assert_int_equal(r.v.reason, REASON_CONTENT_TOO_LARGE);
}

static void test_conference(void **state)
{
	(void)state;
	struct result r = translate("Content-Type: application/ms-conf-invite+xml\r\n", S("<Conferencing version='2.0'/>"));
	assert_int_equal(r.v.reason, REASON_GROUP_CHAT);
	assert_int_equal(reason_info(r.v.reason)->sip_status, 488);
}

static void test_cpim_subject(void **state)
{
	(void)state;
	struct result r = translate(
		"Content-Type: message/cpim\r\nSubject: outer\r\nContent-Language: en\r\n",
		S("From: <sip:romeo@example.net>\r\nSubject:;lang=fr Objet \\u00e9t\\u00E9\\r\\nVia: x\r\nSubject: second\r\n\r\n"
		  "Content-Type: text/plain\r\n\r\nx"));
	const struct xml_node *subject = xml_child(r.stanza, S("subject"), SLICE_NONE);
	assert_slice(xml_text(subject, arena), "Objet \xC3\xA9t\xC3\xA9  Via: x");
	assert_slice(xml_lang(subject), "fr");
	assert_slice(xml_lang(r.stanza), "en");
	r = translate("Content-Type: message/cpim\r\nSubject: outer\r\n",
		      S("From: <sip:romeo@example.net>\r\n\r\nContent-Type: text/plain\r\n\r\nx"));
	assert_slice(child_text(&r, "subject"), "outer");
}

static bool seen(void *ctx, struct slice call_id, struct slice *thread)
{
	assert_slice(call_id, "call-1");
	assert_true(slice_eq(*thread, call_id));
	if (ctx && *(const char *)ctx)
		*thread = slice_str(ctx);
	return ctx != NULL;
}

static void test_thread(void **state)
{
	(void)state;
	static char mine[] = "thread <1>", same[] = "";
	struct interwork_im_in hooks = {.call_id_seen = seen};
	struct slice raw = message("Content-Type: text/plain\r\n", S("x"));
	struct result r = translate_raw(raw, &interwork_im_rules_default, &hooks);
	assert_null(xml_child(r.stanza, S("thread"), SLICE_NONE));
	hooks.ctx = same;
	r = translate_raw(raw, &interwork_im_rules_default, &hooks);
	assert_slice(child_text(&r, "thread"), "call-1");
	hooks.ctx = mine;
	r = translate_raw(raw, &interwork_im_rules_default, &hooks);
	assert_slice(child_text(&r, "thread"), "thread <1>");
}

static struct slice with(const char *branch, const char *call_id, unsigned cseq)
{
	return arena_printf(arena,
			    "MESSAGE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example%s\r\nMax-Forwards: 70\r\nFrom: "
			    "<sip:romeo@example.net>;tag=1\r\n"
			    "To: <sip:juliet@x.example>\r\nCall-ID: %s\r\nCSeq: %u MESSAGE\r\nContent-Type: "
			    "text/plain\r\nContent-Length: 1\r\n\r\nx",
			    branch, call_id, cseq);
}

static void test_id(void **state)
{
	(void)state;
	const struct interwork_im_rules *rules = &interwork_im_rules_default;
	struct slice id = translate_raw(with(";branch=z9hG4bK1", "c", 1), rules, NULL).id;
	assert_int_equal(id.len, 26);
	assert_true(slice_eq(id, translate_raw(with(";branch=z9hG4bK1", "c", 1), rules, NULL).id)); /* a retransmission */
	assert_true(slice_eq(id, translate_raw(with(";received=192.0.2.1;branch=z9hG4bK1", "c", 1), rules, NULL).id));
	assert_false(slice_eq(id, translate_raw(with(";branch=z9hG4bK2", "c", 1), rules, NULL).id));
	assert_false(slice_eq(id, translate_raw(with(";branch=z9hG4bK1", "d", 1), rules, NULL).id));
	assert_false(slice_eq(id, translate_raw(with(";branch=z9hG4bK1", "c", 2), rules, NULL).id));
	struct slice long_id = arena_printf(arena, "%0400d", 1);
	struct slice a = translate_raw(with("", long_id.p, 1), rules, NULL).id;
	((char *)long_id.p)[0] = '1';
	assert_false(slice_eq(a, translate_raw(with("", long_id.p, 1), rules, NULL).id));
}

static void test_expiry_and_delay(void **state)
{
	(void)state;
	/* NOW is Wed, 17 Nov 2010 13:20:00 GMT */
	static const struct {
		const char *headers, *stamp; /* stamp NULL: no delay */
		bool dropped;
	} t[] = {
		{"Date: Wed, 17 Nov 2010 13:19:01 GMT\r\n", NULL, false},
		{"Date: Wed, 17 Nov 2010 13:18:59 GMT\r\n", "2010-11-17T13:18:59Z", false},
		{"Date: Wed, 17 Nov 2010 14:20:00 GMT\r\n", NULL, false}, /* a clock ahead */
		{"Date: yesterday\r\n", NULL, false},
		{"Date: Wed, 17 Nov 2010 13:00:00 GMT\r\nExpires: 1199\r\n", NULL, true},
		{"Date: Wed, 17 Nov 2010 13:00:00 GMT\r\nExpires: 1200\r\n", "2010-11-17T13:00:00Z", false},
		{"Expires: 0\r\n", NULL, false},
		{"Expires: 5\r\n", NULL, false},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		arena_reset(arena);
		struct result r =
			translate_raw(message(arena_printf(arena, "Content-Type: text/plain\r\n%s", t[i].headers).p, S("x")),
				      &interwork_im_rules_default, NULL);
		if (t[i].dropped) {
			assert_int_equal(r.v.action, INTERWORK_IM_DROP);
			assert_int_equal(r.v.kind, INTERWORK_IM_EXPIRED);
			continue;
		}
		const struct xml_node *delay = xml_child(r.stanza, S("delay"), S("urn:xmpp:delay"));
		if (!t[i].stamp != !delay)
			fail_msg("%s", t[i].headers);
		if (delay)
			assert_slice(xml_attr(delay, S("stamp")), t[i].stamp);
	}
}

static void test_hops(void **state)
{
	(void)state;
	struct slice raw =
		S("MESSAGE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK77\r\nMax-Forwards: 0\r\n"
		  "From: <sip:romeo@example.net>;tag=1\r\nTo: <sip:juliet@x.example>\r\nCall-ID: c\r\nCSeq: 7 MESSAGE\r\n"
		  "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");
	struct result r = translate_raw(raw, &interwork_im_rules_default, NULL);
	assert_int_equal(r.v.reason, REASON_SIP_TOO_MANY_HOPS);
	assert_int_equal(reason_info(r.v.reason)->sip_status, 483);
}

static void test_size(void **state)
{
	(void)state;
	struct interwork_im_rules rules = interwork_im_rules_default;
	char body[12000];
	memset(body, '&', sizeof body);
	/* Escaping makes five octets of one: what counts is what is sent. */
	rules.max_stanza = 40000;
	struct result r = translate_raw(message("Content-Type: text/plain\r\n", slice_of(body, sizeof body)), &rules, NULL);
	assert_int_equal(r.v.action, INTERWORK_IM_REFUSE);
	assert_int_equal(r.v.reason, REASON_CONTENT_TOO_LARGE);
	assert_int_equal(reason_info(r.v.reason)->sip_status, 513);
	rules.max_stanza = 70000;
	assert_int_equal(
		translate_raw(message("Content-Type: text/plain\r\n", slice_of(body, sizeof body)), &rules, NULL).v.action,
		INTERWORK_IM_PASS);
	/* A full buffer is not spoiled for the next message. */
	struct buf b;
	struct interwork_im_in in = {.content = interwork_im_content_of(parse_sip(arena, message("Content-Type: text/plain\r\n",
		slice_of(body, sizeof body)))), .from = &from, .to = &to, .now = NOW};
	buf_init(&b, 1000);
	buf_puts(&b, "x");
	assert_int_equal(interwork_im_to_xmpp(&b, arena, &in, &rules, NULL).reason, REASON_CONTENT_TOO_LARGE);
	assert_true(buf_ok(&b));
	assert_int_equal(buf_slice(&b).len, 1);
	buf_free(&b);
}

static void test_hostile_addresses(void **state)
{
	(void)state;
	arena_reset(arena);
	struct xmpp_jid f = parse_jid(arena, "a@b.example/<x y='1'/>&\""), t = parse_jid(arena, "c\\27@d.example/'><evil/>");
	struct interwork_im_in in = {
		.content = interwork_im_content_of(parse_sip(arena, message("Content-Type: text/plain\r\n", S("x")))), .from = &f, .to = &t, .now = NOW};
	struct buf b;
	buf_init(&b, 4096);
	assert_int_equal(interwork_im_to_xmpp(&b, arena, &in, &interwork_im_rules_default, NULL).action, INTERWORK_IM_PASS);
	struct xml_node *n = parse_xml(arena, buf_slice(&b));
	assert_true(slice_eq(xml_attr(n, S("from")), f.full));
	assert_true(slice_eq(xml_attr(n, S("to")), t.full));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_type_normal), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_body_hygiene), cmocka_unit_test(test_charsets), cmocka_unit_test(test_contents),
		cmocka_unit_test(test_part_limit), cmocka_unit_test(test_content_encoding), cmocka_unit_test(test_conference), cmocka_unit_test(test_cpim_subject),
		cmocka_unit_test(test_thread), cmocka_unit_test(test_id), cmocka_unit_test(test_expiry_and_delay),
		cmocka_unit_test(test_hops), cmocka_unit_test(test_size), cmocka_unit_test(test_hostile_addresses),
	};
	return cmocka_run_group_tests_name("interwork-im-in", tests, setup, teardown);
}
