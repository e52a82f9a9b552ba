/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <malloc.h>
#include <stdio.h>
#include "xmpp/xml_stream.h"

#define HEAD \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' " \
	"xmlns:stream='http://etherx.jabber.org/streams' from='a.example'>"

/* Everything that came out, as one text. */
struct rec {
	struct xml_stream *x;
	struct arena_pool *pool;
	struct buf log;
	const char *stop_at;               /* name of the element to stop at; "open", "close" */
	const struct xml_limits *then;     /* limits set when "auth" comes by */
	bool refeed;
	int refeed_rc;
	bool rests;                        /* between any two pieces */
	size_t rested;
	struct xml_limits lim;
};

static void note(struct rec *r, const char *what, const struct xml_node *n)
{
	buf_puts(&r->log, what);
	if (n)
		xml_write(&r->log, n, S("jabber:server"));
	buf_puts(&r->log, "|");
}

static bool is(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

static void on_open(void *arg, const struct xml_node *h, struct slice default_ns)
{
	struct rec *r = arg;
	note(r, "open ", h);
	buf_put(&r->log, default_ns);
	for (const struct xml_attr *at = h->attrs; at; at = at->next)
		if (slice_eq(at->ns, XML_NS_XMLNS))
			buf_printf(&r->log, " %.*s=%.*s", SFMT(at->name), SFMT(at->value));
	buf_puts(&r->log, "|");
	if (is(r->stop_at, "open"))
		xml_stream_stop(r->x);
}

static void on_element(void *arg, struct xml_node *el, struct arena *a)
{
	struct rec *r = arg;
	note(r, "", el);
	if (r->stop_at && slice_eq(el->name, slice_str(r->stop_at)))
		xml_stream_stop(r->x);
	if (r->then && slice_eq(el->name, S("auth")))
		xml_stream_set_limits(r->x, r->then);
	if (r->refeed)
		r->refeed_rc = xml_stream_feed(r->x, S("<x/>"), NULL, NULL, NULL);
	arena_release(r->pool, a);
}

static void on_close(void *arg)
{
	struct rec *r = arg;
	note(r, "close", NULL);
	if (is(r->stop_at, "close"))
		xml_stream_stop(r->x);
}

static void on_oversize(void *arg, struct xml_node *el, struct arena *a)
{
	struct rec *r = arg;
	buf_puts(&r->log, "over ");
	on_element(r, el, a);
}

static const struct xml_stream_ops ops = {on_open, on_element, on_close, on_oversize};

static void rec_open(struct rec *r)
{
	if (!r->lim.max_bytes)
		r->lim = xml_limits_default;
	r->pool = arena_pool_new(1 << 20, 4);
	buf_init(&r->log, 1 << 22);
	r->x = xml_stream_new(&ops, r, r->pool, &r->lim);
}

static void rec_close(struct rec *r)
{
	xml_stream_free(r->x);
	arena_pool_free(r->pool);
	buf_free(&r->log);
}

/* Feeds in pieces of `first` octets, then of `step`. */
static int feed(struct rec *r, struct slice s, size_t first, size_t step, size_t *used, enum xml_fault *f)
{
	struct entente_err err = {0};
	int rc = 0;
	size_t n = first;
	*used = 0;
	*f = XML_FAULT_NONE;
	while (s.len && !rc && !xml_stream_stopped(r->x)) {
		size_t got = 0;
		struct slice piece = slice_first(s, n);
		rc = xml_stream_feed(r->x, piece, &got, f, &err);
		*used += got;
		r->rested += r->rests && xml_stream_rest(r->x);
		if (!rc && !xml_stream_stopped(r->x))
			assert_int_equal(got, piece.len);
		s = slice_skip(s, piece.len);
		n = step;
	}
	if (rc) {
		assert_int_not_equal(*f, XML_FAULT_NONE);
		assert_int_equal(rc, *f == XML_FAULT_TOO_BIG ? ENTENTE_ELIMIT : ENTENTE_ESYNTAX);
		assert_int_equal(err.code, rc);
		assert_int_equal(err.reason, REASON_XMPP_MALFORMED);
		assert_true(err.text[0]);
	}
	return rc;
}

/* The input gives this log, fault and consumption whole, in single octets, and cut in two at every place. */
static void check_with(const struct rec *like, struct slice in, enum xml_fault fault, const char *log, size_t used)
{
	for (size_t n = 0; n < 2 * (in.len + 2); n++) {
		struct rec r = *like;
		size_t cut = n / 2;
		r.rests = n % 2;
		size_t got;
		enum xml_fault f;
		rec_open(&r);
		int rc = cut > in.len ? feed(&r, in, 1, 1, &got, &f) : feed(&r, in, cut ? cut : in.len, in.len, &got, &f);
		if (f != fault || !slice_eq(buf_slice(&r.log), slice_str(log)))
			print_message("# cut at %zu: fault %d, %.*s\n", cut, f, SFMT(buf_slice(&r.log)));
		assert_int_equal(f, fault);
		assert_int_equal(!rc, !fault);
		assert_slice(buf_slice(&r.log), log);
		if (!fault)
			assert_int_equal(got, used);
		rec_close(&r);
	}
}

static void check(const char *in, enum xml_fault fault, const char *log)
{
	struct rec r = {0};
	check_with(&r, slice_str(in), fault, log, strlen(in));
}

#define OPEN \
	"open <stream xmlns='http://etherx.jabber.org/streams' from='a.example'/>|" \
	"jabber:server stream=http://etherx.jabber.org/streams|"

static void test_plain(void **state)
{
	(void)state;
	check(HEAD "<message to='b'><body>hi</body></message> \r\n\t<presence/></stream:stream>", 0,
	      OPEN "<message to='b'><body>hi</body></message>|<presence/>|close|");
	/* text: entities, references, CDATA, line ends, several runs around an element, characters of 2, 3, 4 octets */
	check(HEAD "<a>1 &lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;\r\n2\r3<b/><![CDATA[<raw>]]]"
		" &x;]]>\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80</a>", 0,
	      OPEN "<a>1 &lt;&amp;&gt;\"'A\xf0\x9f\x98\x80\n2\n3<b/>&lt;raw&gt;]]]"
		" &amp;x;\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80</a>|");
	/* namespaces: default changed and taken back, prefixes, attributes in a namespace, xml:lang */
	check(HEAD "<a><b xmlns='u:1'><c/><d xmlns=''/></b><p:e xmlns:p='u:2' p:f='1' f='2' xml:lang='de'/></a>", 0,
	      OPEN "<a><b xmlns='u:1'><c/><d xmlns=''/></b><e xmlns='u:2' xmlns:ns1='u:2' ns1:f='1' f='2' xml:lang='de'/></a>|");
	/* attribute values are normalised, quotes of both kinds */
	check(HEAD "<a b=\"it's\tx\ny\" c='\"&#10;&#9;'/>", 0, OPEN "<a b='it&#39;s x y' c='&quot;&#10;&#9;'/>|");
	/* the header alone; white space and a byte order mark before it; no declaration; no default namespace; foreign prefix;
	 * UTF-8 declared */
	check("\n\r\t  " HEAD, 0, OPEN);
	check("\xef\xbb\xbf" HEAD, 0, OPEN);
	check("<a xmlns:db='x:y' v='1'>", 0, "open <a xmlns='' v='1'/>| db=x:y|");
	check("<s:s xmlns:s='s'><a/></s:s>\n ", 0, "open <s xmlns='s'/>| s=s|<a xmlns=''/>|close|");
	check("<?xml version='1.0' encoding='utf-8'?><a/>", 0, "open <a xmlns=''/>||close|");
	check("<?xml version=\"1.0\" standalone='yes'?><a>", 0, "open <a xmlns=''/>||");
	check(HEAD "<a/> &#32; <![CDATA[ \n ]]> <![CDATA[]]><b/>", 0, OPEN "<a/>|<b/>|");
	check("<a/><b/>", XML_FAULT_NOT_WELL_FORMED, "open <a xmlns=''/>||close|");
	check("", 0, "");
	check("  \n", 0, "");
}

static void test_faults(void **state)
{
	(void)state;
	enum xml_fault nwf = XML_FAULT_NOT_WELL_FORMED, res = XML_FAULT_RESTRICTED, enc = XML_FAULT_ENCODING;
	check(HEAD "<a></b>", nwf, OPEN);
	check(HEAD "<a><b></a>", nwf, OPEN);
	check(HEAD "<a x=1/>", nwf, OPEN);
	check(HEAD "<a x='1' x='2'/>", nwf, OPEN);
	check(HEAD "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>", nwf, OPEN);
	check(HEAD "<a x='<'/>", nwf, OPEN);
	check(HEAD "<p:a/>", nwf, OPEN);
	check(HEAD "<a p:x='1'/>", nwf, OPEN);
	check(HEAD "<a>&nbsp;</a>", nwf, OPEN);
	check(HEAD "<a>&#0;</a>", nwf, OPEN);
	check(HEAD "<a>&#xFFFE;</a>", nwf, OPEN);
	check(HEAD "<a>&#xD800;</a>", nwf, OPEN);
	check(HEAD "<a>\x01</a>", nwf, OPEN);
	check(HEAD "<a>\xc3\x28</a>", nwf, OPEN);         /* broken sequence */
	check(HEAD "<a>\xc0\xaf</a>", nwf, OPEN);         /* overlong */
	check(HEAD "<a>\xed\xa0\x80</a>", nwf, OPEN);     /* surrogate */
	check(HEAD "<a>\xf4\x90\x80\x80</a>", nwf, OPEN); /* past U+10FFFF */
	check(HEAD "<a>\xef\xbf\xbe</a>", nwf, OPEN);     /* U+FFFE */
	check(HEAD "<a>\xef\xbf\xbf</a>", nwf, OPEN);
	check(HEAD "<a>]]></a>", nwf, OPEN);
	check(HEAD "<a/></stream:stream><b/>", nwf, OPEN "<a/>|close|");
	check(HEAD "</stream:stream>x", nwf, OPEN "close|");
	check("GET / HTTP/1.1\r\n\r\n", nwf, "");
	check("\x16\x03\x01\x02\x00\x01", nwf, ""); /* a TLS ClientHello */
	check("<a xmlns:xml='urn:x'>", nwf, "");
	check("<a xmlns:p=''>", nwf, "");
	check(HEAD "<?xml version='1.0'?>", nwf, OPEN);

	check(HEAD "<a><!-- c --></a>", res, OPEN);
	check(HEAD "<!-- c -->", res, OPEN);
	check(HEAD "<a><?pi x?></a>", res, OPEN);
	check(HEAD "<?pi x?>", res, OPEN);
	check("<!-- c -->" HEAD, res, "");
	check("<?xml-stylesheet href='x'?><a>", res, "");
	check("<!DOCTYPE a><a>", res, "");
	check("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a>", res, "");
	check("<!DOCTYPE a [<!ENTITY x 'y'><!ENTITY z '&x;&x;&x;'>]><a>&z;</a>", res, "");
	check("<?xml version='1.0'?><!DOCTYPE a [<!ENTITY % p SYSTEM 'http://x/'> %p;]><a>", res, "");
	check(HEAD "<!DOCTYPE a>", nwf, OPEN); /* no DOCTYPE is possible there */

	check("<?xml version='1.0' encoding='ISO-8859-1'?><a>", enc, "");
	check("<?xml version='1.0' encoding='UTF-16'?><a>", enc, "");
	struct rec r = {0};
	check_with(&r, S("\xff\xfe<\0a\0>\0"), enc, "", 0);
	check_with(&r, S("\xfe\xff\0<\0a\0>"), enc, "", 0);
	check_with(&r, S("<\0a\0>\0"), enc, "", 0);
	check_with(&r, S("\0<\0a\0>"), enc, "", 0);
	check_with(&r, S(" \n\0<\0a\0>"), enc, "", 0);
	check_with(&r, S("4\0"), nwf, "", 0);
	check_with(&r, S("\xef\0<\0"), nwf, "", 0);
	check_with(&r, S("\xef\xbb<a>"), nwf, "", 0);

	check(HEAD "<a/>text", XML_FAULT_BAD_FORMAT, OPEN "<a/>|");
	check(HEAD "&#65;<a/>", XML_FAULT_BAD_FORMAT, OPEN);
	check(HEAD "<![CDATA[x]]>", XML_FAULT_BAD_FORMAT, OPEN);
}

static void test_stop(void **state)
{
	(void)state;
	/* whatever follows is not touched: not even looked at */
	const char *const tls[] = {
		HEAD "<starttls xmlns='t'/>", HEAD "<starttls xmlns='t'></starttls>",
		HEAD "<starttls xmlns='t'>\n<required/></starttls\n>",
	};
	const char *const log[] = {
		OPEN "<starttls xmlns='t'/>|", OPEN "<starttls xmlns='t'/>|",
		OPEN "<starttls xmlns='t'>\n<required/></starttls>|",
	};
	static const char *const rest[] = {"", "<message/>", "\x16\x03\x01", "</stream:stream>", "<!-- -->", "\n"};
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < sizeof rest / sizeof *rest; j++) {
			char in[512];
			int n = snprintf(in, sizeof in, "%s%s", tls[i], rest[j]);
			struct rec r = {.stop_at = "starttls"};
			check_with(&r, slice_of(in, (size_t)n), 0, log[i], strlen(tls[i]));
		}
	}
	struct rec r = {.stop_at = "open"};
	check_with(&r, S(HEAD "<a/>"), 0, OPEN, strlen(HEAD));
	check_with(&r, S("<a/><b/>"), 0, "open <a xmlns=''/>||", 4); /* the same tag closes it: no close */
	r.stop_at = "close";
	check_with(&r, S(HEAD "</stream:stream>junk"), 0, OPEN "close|", strlen(HEAD "</stream:stream>"));

	/* final: nothing is consumed afterwards; also when stopped from outside */
	struct rec q = {.stop_at = "a"};
	size_t used;
	enum xml_fault f;
	rec_open(&q);
	assert_int_equal(xml_stream_feed(q.x, S(HEAD "<a/><b/>"), &used, &f, NULL), 0);
	assert_int_equal(used, strlen(HEAD "<a/>"));
	assert_true(xml_stream_stopped(q.x));
	assert_int_equal(xml_stream_feed(q.x, S("<b/>"), &used, &f, NULL), 0);
	assert_int_equal(used, 0);
	assert_int_equal(f, XML_FAULT_NONE);
	assert_slice(buf_slice(&q.log), OPEN "<a/>|");
	rec_close(&q);
	rec_open(&q);
	xml_stream_stop(q.x);
	assert_int_equal(xml_stream_feed(q.x, S(HEAD), &used, &f, NULL), 0);
	assert_int_equal(used, 0);
	rec_close(&q);
}

static void test_dead_stays_dead(void **state)
{
	(void)state;
	struct rec r = {0};
	size_t used;
	enum xml_fault f;
	rec_open(&r);
	assert_int_equal(xml_stream_feed(r.x, S(HEAD "<a><!--"), NULL, NULL, NULL), 0);
	assert_int_equal(xml_stream_feed(r.x, S("-->"), &used, &f, NULL), ENTENTE_ESYNTAX);
	f = 0;
	assert_int_equal(xml_stream_feed(r.x, S("</a><b/>"), &used, &f, NULL), ENTENTE_ESYNTAX);
	assert_int_equal(f, XML_FAULT_RESTRICTED);
	assert_int_equal(used, 0);
	xml_stream_stop(r.x);
	assert_int_equal(xml_stream_feed(r.x, S("<b/>"), &used, &f, NULL), ENTENTE_ESYNTAX);
	assert_slice(buf_slice(&r.log), OPEN);
	rec_close(&r);

	struct rec q = {.refeed = true};
	rec_open(&q);
	assert_int_equal(xml_stream_feed(q.x, S(HEAD "<a/>"), NULL, NULL, NULL), 0);
	assert_int_equal(q.refeed_rc, ENTENTE_EINVAL);
	rec_close(&q);
	assert_null(xml_stream_free(NULL));
}

/* n times `piece` between `before` and `after`, in the arena. */
static struct slice repeat(struct arena *a, const char *before, const char *piece, size_t n, const char *after)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	buf_puts(&b, before);
	for (size_t i = 0; i < n; i++)
		buf_puts(&b, piece);
	buf_puts(&b, after);
	struct slice s = arena_dup(a, buf_slice(&b));
	buf_free(&b);
	return s;
}

static enum xml_fault verdict(const struct rec *like, struct slice in, size_t step)
{
	struct rec r = *like;
	size_t used;
	enum xml_fault f;
	rec_open(&r);
	feed(&r, in, step, step, &used, &f);
	rec_close(&r);
	return f;
}

static void expect(const struct rec *like, struct slice in, enum xml_fault f)
{
	static const size_t steps[] = {1, 7, 100, 4096, SIZE_MAX};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(verdict(like, in, steps[i]), f);
}

static void test_limits(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 24);
	const enum xml_fault big = XML_FAULT_TOO_BIG;
	const struct rec r = {.lim = {.max_bytes = 2000, .max_depth = 5, .max_attrs = 4, .max_children = 10}};

	/* octets: of text, of one tag, of an attribute, of a header, of a name; exactly at the limit and one past it */
	expect(&r, repeat(a, HEAD "<a>", "x", 2000 - 7, "</a>"), 0);
	expect(&r, repeat(a, HEAD "<a>", "x", 2000 - 6, "</a>"), big);
	expect(&r, repeat(a, HEAD "<a b='", "x", 2000 - 9, "'/>"), 0);
	expect(&r, repeat(a, HEAD "<a b='", "x", 2000 - 8, "'/>"), big);
	expect(&r, repeat(a, HEAD "<", "x", 2000 - 3, "/>"), 0);
	expect(&r, repeat(a, HEAD "<", "x", 2000 - 2, "/>"), big);
	expect(&r, repeat(a, HEAD "<a>", "x", 4000, ""), big);
	expect(&r, repeat(a, "<", "x", 2000 - 2, ">"), 0);
	expect(&r, repeat(a, "<", "x", 2000 - 1, ">"), big);
	expect(&r, repeat(a, HEAD "<a><![CDATA[", "x", 4000, "]]></a>"), big);
	expect(&r, repeat(a, HEAD "<!--", "x", 4000, ""), big);
	/* what lies between elements does not count, nor does what came before */
	expect(&r, repeat(a, HEAD, " ", 5000, "<a/>"), 0);
	expect(&r, repeat(a, "", "\n", 5000, HEAD), 0);
	expect(&r, repeat(a, HEAD, "<a b='c'>text</a>\n", 500, ""), 0);

	/* depth: the first-level element is 1 */
	expect(&r, S(HEAD "<a><a><a><a><a/></a></a></a></a>"), 0);
	expect(&r, S(HEAD "<a><a><a><a><a><a/>"), big);
	expect(&r, repeat(a, HEAD, "<a>", 600, ""), big);

	/* attributes and declarations of one tag */
	expect(&r, S(HEAD "<a b='1' c='1' d='1' e='1'/>"), 0);
	expect(&r, S(HEAD "<a b='1' c='1' d='1' e='1' f='1'/>"), big);
	expect(&r, S(HEAD "<a b='1' c='1' d='1' xmlns='u' xmlns:p='q'/>"), big);
	expect(&r, S("<a b='1' c='1' d='1' xmlns='u' xmlns:p='q'>"), big);
	expect(&r, S(HEAD "<a b='1' c='1' d='1' xmlns='u'/><a b='1' c='1' d='1' xmlns='u'/>"), 0);

	/* nodes of one element, texts counted */
	expect(&r, repeat(a, HEAD "<a>", "<b/>", 9, "</a><a/>"), 0);
	expect(&r, repeat(a, HEAD "<a>", "<b/>", 10, "</a>"), big);
	expect(&r, repeat(a, HEAD "<a>", "t<b/>", 5, "</a>"), big);

	/* the arena of the pool */
	const struct rec wide = {.lim = {.max_bytes = 1 << 21, .max_depth = 5, .max_attrs = 4, .max_children = 1 << 20}};
	assert_int_equal(verdict(&wide, repeat(a, HEAD "<a>", "<b/>", 100000, "</a>"), 65536), big);
	assert_int_equal(verdict(&wide, repeat(a, HEAD "<a>", "x", 1500000, "</a>"), 65536), big);

	/* the parser's memory: it keeps every name for good */
	struct rec m = {.lim = {.max_bytes = 2000, .max_depth = 5, .max_attrs = 4, .max_children = 10}};
	enum xml_fault f = 0;
	size_t i, used;
	rec_open(&m);
	assert_int_equal(xml_stream_feed(m.x, S(HEAD), NULL, NULL, NULL), 0);
	for (i = 0; i < 100000 && !f; i++) {
		char tag[64];
		int n = snprintf(tag, sizeof tag, "<name-%zu a%zu='1'/>", i, i);
		xml_stream_feed(m.x, slice_of(tag, (size_t)n), &used, &f, NULL);
	}
	assert_int_equal(f, 0); /* but not that of the stream: a parser that remembers too much is replaced */
	assert_int_equal(i, 100000);
	assert_int_equal(xml_stream_feed(m.x, S("<stream:x/></stream:stream>"), NULL, NULL, NULL), 0); /* the new one knows the header */
	buf_consume(&m.log, m.log.len - 80);
	assert_true(slice_find(buf_slice(&m.log), S("<x xmlns='http://etherx.jabber.org/streams'/>|close|")) >= 0);
	rec_close(&m);
	arena_release(NULL, a);
}

/* With max_skip an element beyond a limit is left out, however it is cut, and all others come. */
static void test_skip(void **state)
{
	(void)state;
	static const struct {
		const char *in, *log;
		enum xml_fault f;
	} rows[] = {
		/* depth: at once, deeper, closed again; what looks like an end is none */
		{"<a from='x' to='y' id='1' type='t'><b><c><d/></c></b></a>", "over <a from='x' to='y' id='1' type='t'/>|", 0},
		{"<a to='y'><b><c><d><e q='>'><f r=\"/>'</a>\"/></e>&gt;</d></c></b></a>", "", XML_FAULT_NOT_WELL_FORMED},
		{"<a to='y'><b><c><d><e q='/>'><f r=\"'>/\"/></e>></d></c></b></a>", "over <a to='y'/>|", 0},
		{"<a><b><c><d><![CDATA[</a>] ]><x>]>]]]></d></c></b></a>", "over <a/>|", 0},
		{"<a to='y'><b/><![CDATA[</a><x>11111111112222222222333333333344444444445555555555666666666677777777]] ]></x></a>]]></a>",
		 "over <a to='y'/>|", 0},
		{"<a><b><c><d ></d ></c\n></b></a >", "over <a/>|", 0},
		{"<a><b><c/><c><d/></c></b><b><c><d/></c></b></a>", "over <a/>|", 0},
		/* attributes, of itself and of a child; in another order, with others of the same names */
		{"<a i='1' type='t' j='2' id='3' k='4' to='y' l='5'/>", "over <a type='t' id='3' to='y'/>|", 0},
		{"<a to='y' xmlns:p='u' p:from='z' a='1' b='2' c='3'>text</a>", "over <a to='y'/>|", 0},
		{"<a to='y' lang='x'><b a='1' b='2' c='3' d='4' e='5' f='6'/></a>", "over <a to='y'/>|", 0},
		{"<a to='y'><b a='1' b='2' c='3' d='4' e='5' f='6'><c/></b>t</a>", "over <a to='y'/>|", 0},
		/* children, texts among them; the last one too many */
		{"<a to='y'><b/><b/><b/><b/><b/><b/></a>", "over <a to='y'/>|", 0},
		{"<a to='y'>1<b/>2<b/>3<b/>4</a>", "over <a to='y'/>|", 0},
		{"<a to='y'><b/>2<b/>3<b/>4</a>", "over <a to='y'/>|", 0},
		/* octets: in text, in a tag, in its own tag */
		{"<a to='y'>111111111122222222223333333333444444444455555555556666666666777777777788888888889999999999</a>", "over <a to='y'/>|", 0},
		{"<a to='y'><b c='11111111112222222222333333333344444444445555555555666666666677777777778888888888'/></a>", "over <a to='y'/>|", 0},
		{"<a to='y' c='1111111111222222222233333333334444444444555555555566666666667777777777888888888899999'/>", "over <a to='y'/>|", 0},
		{"<a to='y' c='1111111111222222222233333333334444444444555555555566666666667777777777888888888899999'><b/></a>",
		 "over <a to='y'/>|", 0},
		/* what cannot be skipped is a fault as ever */
		{"<a><b><c><d><!-- --></d></c></b></a>", "", XML_FAULT_RESTRICTED},
		{"<a><b><c><d><?x?></d></c></b></a>", "", XML_FAULT_RESTRICTED},
		{"<a><b><c><d><![CDAT[", "", XML_FAULT_RESTRICTED},
		{"<a><b><c><d>< d/></d></c></b></a>", "", XML_FAULT_NOT_WELL_FORMED},
		{"<a><b><c><d/ ></c></b></a>", "", XML_FAULT_NOT_WELL_FORMED},
		{"<a><b><c><d x='</c></b></a>", "", XML_FAULT_NOT_WELL_FORMED},
		{"<a><b><c><d></d</c></b></a>", "", XML_FAULT_NOT_WELL_FORMED},
	};
	const struct rec like = {.lim = {.max_bytes = 90, .max_depth = 3, .max_attrs = 5, .max_children = 6, .max_skip = 60}};
	char in[600], log[600];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool fault = rows[i].f;
		snprintf(in, sizeof in, "<s:s xmlns='jabber:server' xmlns:s='s'><m from='1'/> %s <n/><o><p/></o></s:s>", rows[i].in);
		snprintf(log, sizeof log, "open <s xmlns='s'/>|jabber:server s=s|<m from='1'/>|%s%s", rows[i].log,
			 fault ? "" : "<n/>|<o><p/></o>|close|");
		check_with(&like, slice_str(in), rows[i].f, log, strlen(in));
	}
}

/* The end of patience, exactly; and stopping in the middle of it. */
static void test_skip_bound(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	const struct rec r = {.lim = {.max_bytes = 2000, .max_depth = 3, .max_attrs = 5, .max_children = 6, .max_skip = 3000}};
	expect(&r, repeat(a, HEAD "<a>", "x", 5000 - 7, "</a><b/>"), 0);
	expect(&r, repeat(a, HEAD "<a>", "x", 5000 - 6, "</a><b/>"), XML_FAULT_TOO_BIG);
	expect(&r, repeat(a, HEAD "<a><b><c><d>", "x", 5000 - 28, "</d></c></b></a><b/>"), 0);
	expect(&r, repeat(a, HEAD "<a><b><c><d>", "x", 5000 - 27, "</d></c></b></a><b/>"), XML_FAULT_TOO_BIG);
	expect(&r, repeat(a, HEAD "<a b='", "x", 5000 - 9, "'/><b/>"), 0);
	expect(&r, repeat(a, HEAD "<a b='", "x", 5000 - 8, "'/><b/>"), XML_FAULT_TOO_BIG);
	expect(&r, repeat(a, HEAD, "<a><b><c><d/></c></b></a>", 3000, ""), 0); /* each counts for itself */
	expect(&r, repeat(a, "<stream:stream xmlns:stream='s' a='", "x", 3000, "'>"), XML_FAULT_TOO_BIG); /* not the header */
	arena_release(NULL, a);
	const struct rec stop = {.lim = r.lim, .stop_at = "a"};
	check_with(&stop, S(HEAD "<a to='1'><b><c><d/></c></b></a><e/>"), 0, OPEN "over <a to='1'/>|",
		   sizeof HEAD "<a to='1'><b><c><d/></c></b></a>" - 1);
}

/* One element with more names than the parser may remember: it goes, the stream stays. */
static void test_skip_names(void **state)
{
	(void)state;
	struct rec m = {.lim = {.max_bytes = 400000, .max_depth = 5, .max_attrs = 64, .max_children = 100000, .max_skip = 400000}};
	enum xml_fault f = 0;
	size_t used, n = 0;
	rec_open(&m);
	m.lim.max_bytes = 400000;
	assert_int_equal(xml_stream_feed(m.x, S(HEAD "<a to='b'>"), NULL, NULL, NULL), 0);
	for (size_t i = 0; i < 390000 && !f; i += n) {
		char tag[2048];
		n = 0;
		tag[n++] = '<';
		n += (size_t)snprintf(tag + n, sizeof tag - n, "z%zx", i);
		for (int k = 0; k < 60; k++)
			n += (size_t)snprintf(tag + n, sizeof tag - n, " y%zx-%d=''", i, k);
		n += (size_t)snprintf(tag + n, sizeof tag - n, "/>");
		xml_stream_feed(m.x, slice_of(tag, n), &used, &f, NULL);
	}
	assert_int_equal(f, 0);
	assert_int_equal(xml_stream_feed(m.x, S("</a><c/>"), NULL, NULL, NULL), 0);
	buf_consume(&m.log, sizeof OPEN - 1);
	assert_true(slice_ends(buf_slice(&m.log), S("</a>|<c/>|")) || slice_eq(buf_slice(&m.log), S("over <a to='b'/>|<c/>|")));
	rec_close(&m);
}

static void test_limits_change(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	static const struct xml_limits wide = {.max_bytes = 100000, .max_depth = 64, .max_attrs = 64, .max_children = 100};
	struct rec r = {.lim = {.max_bytes = 1000, .max_depth = 3, .max_attrs = 4, .max_children = 10}, .then = &wide};
	/* refused before, accepted after, whether or not both lie in one feed */
	expect(&r, repeat(a, HEAD "<a>", "x", 50000, "</a>"), XML_FAULT_TOO_BIG);
	expect(&r, repeat(a, HEAD "<auth/><a>", "x", 50000, "</a>"), 0);
	expect(&r, repeat(a, HEAD "<auth/><a>", "x", 100000, "</a>"), XML_FAULT_TOO_BIG);
	/* and narrower again */
	static const struct xml_limits tight = {.max_bytes = 100, .max_depth = 2, .max_attrs = 1, .max_children = 2};
	r.lim = wide;
	r.then = &tight;
	expect(&r, repeat(a, HEAD "<auth/><a>", "x", 93, "</a>"), 0);
	expect(&r, repeat(a, HEAD "<auth/><a>", "x", 94, "</a>"), XML_FAULT_TOO_BIG);
	arena_release(NULL, a);
}

/* One parser inside the callback of another: the memory accounts must not mix. */
static void open_nested(void *arg, const struct xml_node *h, struct slice ns)
{
	struct rec *inner = arg;
	(void)h;
	(void)ns;
	rec_open(inner);
	assert_int_equal(xml_stream_feed(inner->x, S(HEAD "<in/>"), NULL, NULL, NULL), 0);
}

static void test_nested_parsers(void **state)
{
	(void)state;
	static const struct xml_stream_ops nested = {open_nested, on_element, on_close};
	struct rec inner = {0};
	struct arena_pool *pool = arena_pool_new(1 << 20, 1);
	struct xml_stream *x = xml_stream_new(&nested, &inner, pool, &xml_limits_default);
	assert_int_equal(xml_stream_feed(x, S("<a xmlns='u' xmlns:v='w'>"), NULL, NULL, NULL), 0);
	assert_slice(buf_slice(&inner.log), OPEN "<in/>|");
	xml_stream_free(x);
	assert_int_equal(xml_stream_feed(inner.x, S("<on/>"), NULL, NULL, NULL), 0);
	assert_slice(buf_slice(&inner.log), OPEN "<in/>|<on/>|");
	rec_close(&inner);
	arena_pool_free(pool);
}

/* The text is one run, whatever the pieces, and NUL-terminated. */
static void keep_element(void *arg, struct xml_node *el, struct arena *a)
{
	struct rec *r = arg;
	assert_non_null(el->first);
	assert_ptr_equal(el->first, el->last);
	assert_ptr_equal(el->first->parent, el);
	assert_slice(el->first->text, "a&b\nc\xc3\xbc");
	assert_int_equal(el->first->text.p[el->first->text.len], 0);
	assert_int_equal(el->name.p[el->name.len], 0);
	assert_null(el->parent);
	assert_null(el->next);
	assert_ptr_equal(xml_child(el, S("x"), SLICE_NONE), NULL);
	buf_puts(&r->log, "seen ");
	arena_release(r->pool, a);
}

static void test_text_is_joined(void **state)
{
	(void)state;
	static const struct xml_stream_ops keep = {on_open, keep_element, on_close};
	const struct slice in = S("<s><t>a&amp;b\r\nc\xc3\xbc</t><t><![CDATA[a&b\nc]]>\xc3\xbc</t>");
	for (size_t cut = 1; cut < in.len; cut++) {
		struct rec r = {0};
		rec_open(&r);
		xml_stream_free(r.x);
		r.x = xml_stream_new(&keep, &r, r.pool, &xml_limits_default);
		assert_int_equal(xml_stream_feed(r.x, slice_first(in, cut), NULL, NULL, NULL), 0);
		assert_int_equal(xml_stream_feed(r.x, slice_skip(in, cut), NULL, NULL, NULL), 0);
		assert_slice(buf_slice(&r.log), "open <s xmlns=''/>||seen seen ");
		rec_close(&r);
	}
}

/* A large tag in small pieces must not cost the square of its length, and must still come out the moment it ends. */
static void test_large_tag_in_pieces(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 24);
	const struct slice plain = repeat(a, HEAD "<stop b='", "x", 200000, "'/>");
	const struct slice in = repeat(a, plain.p, "REST", 50, "");
	static const size_t steps[] = {3, 16, 100, 1400, 5000, SIZE_MAX};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct rec r = {.stop_at = "stop"};
		size_t used;
		enum xml_fault f;
		rec_open(&r);
		assert_int_equal(feed(&r, in, steps[i], steps[i], &used, &f), 0);
		assert_true(xml_stream_stopped(r.x));
		assert_int_equal(used, plain.len);
		assert_int_equal(r.log.len, strlen(OPEN) + 200000 + strlen("<stop b=''/>|"));
		rec_close(&r);
	}
	/* the limit counts what is held back, too */
	const struct rec r = {.lim = {.max_bytes = 20000, .max_depth = 5, .max_attrs = 4, .max_children = 10}};
	expect(&r, repeat(a, HEAD "<a b='", "x", 20000 - 9, "'/>"), 0);
	expect(&r, repeat(a, HEAD "<a b='", "x", 20000 - 8, "'/>"), XML_FAULT_TOO_BIG);
	/* pieces that might end it: some are all right, very many are not */
	const struct slice angles = repeat(a, HEAD "<a b='", "xxxxxxx>", 2400, "'/>");
	assert_int_equal(verdict(&r, angles, 1400), 0);
	assert_int_equal(verdict(&r, angles, 7), XML_FAULT_TOO_BIG);
	arena_release(NULL, a);
}

static size_t heap(void) /* 0 where a sanitizer has a heap of its own */
{
	return mallinfo2().uordblks;
}

/* A silent stream has no parser; white space does not make one, the next element does, and it knows the header. */
static void test_rest(void **state)
{
	(void)state;
	struct rec r = {0};
	rec_open(&r);
	assert_false(xml_stream_rest(r.x)); /* before the header */
	assert_int_equal(xml_stream_feed(r.x, S(HEAD "<a/>"), NULL, NULL, NULL), 0);
	size_t before = heap();
	assert_true(xml_stream_rest(r.x));
	size_t at_rest = heap();
	assert_true(!before || at_rest + 4096 < before);
	assert_int_equal(xml_stream_feed(r.x, S(" \r\n\t "), NULL, NULL, NULL), 0);
	assert_true(xml_stream_rest(r.x));
	assert_int_equal(heap(), at_rest);
	assert_int_equal(xml_stream_feed(r.x, S(" <stream:x>"), NULL, NULL, NULL), 0);
	assert_false(xml_stream_rest(r.x)); /* inside an element */
	assert_int_equal(xml_stream_feed(r.x, S("</stream:x>"), NULL, NULL, NULL), 0);
	assert_true(xml_stream_rest(r.x));
	assert_int_equal(heap(), at_rest); /* time and again the same */
	assert_int_equal(xml_stream_feed(r.x, S("\r"), NULL, NULL, NULL), 0);
	assert_int_equal(xml_stream_feed(r.x, S("</stream:stream>\n"), NULL, NULL, NULL), 0);
	assert_false(xml_stream_rest(r.x)); /* a new parser would not know that it is over */
	assert_slice(buf_slice(&r.log), OPEN "<a/>|<x xmlns='http://etherx.jabber.org/streams'/>|close|");
	assert_int_equal(xml_stream_feed(r.x, S("<a/>"), NULL, NULL, NULL), ENTENTE_ESYNTAX);
	assert_false(xml_stream_rest(r.x));
	rec_close(&r);
	/* stopped for STARTTLS: whoever takes over gets all the rest */
	struct rec t = {.stop_at = "proceed"};
	size_t used;
	rec_open(&t);
	assert_int_equal(xml_stream_feed(t.x, S(HEAD), NULL, NULL, NULL), 0);
	assert_true(xml_stream_rest(t.x));
	assert_int_equal(xml_stream_feed(t.x, S("<proceed/><a/>"), &used, NULL, NULL), 0);
	assert_int_equal(used, 10);
	assert_false(xml_stream_rest(t.x));
	rec_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_faults), cmocka_unit_test(test_stop),
		cmocka_unit_test(test_dead_stays_dead),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_skip), cmocka_unit_test(test_skip_bound),
		cmocka_unit_test(test_skip_names), cmocka_unit_test(test_limits_change), cmocka_unit_test(test_nested_parsers),
		cmocka_unit_test(test_text_is_joined), cmocka_unit_test(test_large_tag_in_pieces),
		cmocka_unit_test(test_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
