/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sip/sdp.h"

#define HEAD "v=0\r\no=- 7 8 IN IP4 192.0.2.9\r\ns=session\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
#define LYNC                                                                                                                     \
	HEAD "m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative text/html application/ms-imdn+xml\r\n"
#define MSRP                                                                                                                     \
	HEAD "m=audio 4000/2 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\nm=message 9 TCP/TLS/MSRP *\r\n"                           \
	"c=IN IP6 2001:db8::9\r\na=accept-types:message/cpim text/plain\r\na=accept-wrapped-types:text/plain *\r\n"                \
	"a=max-size:4096\r\na=path:msrps://a.example:2855/s1;tcp\r\na=setup:actpass\r\na=recvonly\r\n"

static struct sdp must(const char *text)
{
	struct sdp s;
	assert_int_equal(sdp_parse(&s, slice_str(text)), 0);
	return s;
}

#define EQ(s, lit)                                                                                                               \
	do {                                                                                                                     \
		if (!slice_eq((s), S(lit)))                                                                                      \
			print_message("got: %.*s\n", SFMT(s));                                                                   \
		assert_true(slice_eq((s), S(lit)));                                                                              \
	} while (0)

static void test_lync(void **state)
{
	(void)state;
	struct sdp s = must(LYNC);
	struct sdp_im_media m;
	assert_int_equal(s.n_media, 1);
	EQ(s.origin, "- 7 8 IN IP4 192.0.2.9");
	EQ(s.name, "session");
	EQ(s.media[0].connection, "IN IP4 192.0.2.9");
	assert_true(sdp_im_find(&s, 1u << SDP_IM_SIP, &m));
	assert_int_equal(m.form, SDP_IM_SIP);
	assert_int_equal(m.index, 0);
	EQ(m.word, "message");
	EQ(m.accept_types, "text/plain multipart/alternative text/html application/ms-imdn+xml");
	assert_true(m.can_send && m.can_receive);
	assert_false(sdp_im_find(&s, 1u << SDP_IM_MSRP, &m));
	assert_int_equal(m.form, SDP_IM_NONE);
}

/* The forms that Lync's generations write. */
static void test_lync_forms(void **state)
{
	static const struct {
		const char *line, *word, *fmt;
		bool found;
	} t[] = {
		{"m=message 5060 sip null", "message", "null", true},
		{"m=message 5061 sip sip:bob@b.example", "message", "sip:bob@b.example", true},
		{"m=x-ms-message 5060 sip null", "x-ms-message", "null", true},
		{"m=x-ms-message 5060 SIP sip:bob@b.example", "x-ms-message", "sip:bob@b.example", true},
		{"m=message 5060 sip", "message", "", true},
		{"m=message 0 sip null", "message", "null", false},
		{"m=message 5060 TCP/MSRP *", "message", "*", false}, /* no path: of no use */
		{"m=data 5060 sip null", "data", "null", false},
		{"m=x-ms-message 5060 TCP/MSRP *", "x-ms-message", "*", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char text[512];
		snprintf(text, sizeof text, "%s%s\r\n", HEAD, t[i].line);
		struct sdp s = must(text);
		struct sdp_im_media m;
		assert_true(slice_eq(s.media[0].type, slice_str(t[i].word)));
		assert_true(slice_eq(s.media[0].fmt, slice_str(t[i].fmt)));
		assert_int_equal(sdp_im_find(&s, 1u << SDP_IM_SIP | 1u << SDP_IM_MSRP, &m), t[i].found);
	}
}

static void test_msrp(void **state)
{
	(void)state;
	struct sdp s = must(MSRP);
	struct sdp_im_media m;
	assert_int_equal(s.n_media, 2);
	EQ(s.media[0].type, "audio");
	assert_int_equal(s.media[0].port, 4000);
	EQ(s.media[0].fmt, "0 8 101");
	EQ(s.media[1].connection, "IN IP6 2001:db8::9");
	assert_true(sdp_im_find(&s, 1u << SDP_IM_SIP | 1u << SDP_IM_MSRP, &m));
	assert_int_equal(m.form, SDP_IM_MSRP);
	assert_int_equal(m.index, 1);
	assert_true(m.tls);
	EQ(m.path, "msrps://a.example:2855/s1;tcp");
	EQ(m.setup, "actpass");
	EQ(m.accept_wrapped_types, "text/plain *");
	assert_int_equal(m.max_size, 4096);
	assert_false(m.can_send);
	assert_true(m.can_receive);
	assert_false(sdp_im_find(&s, 1u << SDP_IM_SIP, &m));
}

/* The second m-line of messages is taken where the first is a file transfer or refused; the direction of the session holds for media
 * that say nothing. */
static void test_choice(void **state)
{
	(void)state;
	struct sdp_im_media m;
	struct sdp s = must(HEAD "a=inactive\r\nm=message 9 TCP/MSRP *\r\na=path:msrp://a/1;tcp\r\na=file-selector:name:\"x\"\r\n"
				 "m=message 0 TCP/MSRP *\r\na=path:msrp://a/2;tcp\r\nm=message 9 TCP/MSRP *\r\na=path:msrp://a/3;tcp\r\n");
	assert_true(sdp_im_find(&s, 1u << SDP_IM_MSRP, &m));
	assert_int_equal(m.index, 2);
	EQ(m.path, "msrp://a/3;tcp");
	assert_false(m.can_send || m.can_receive);
}

static void test_tolerance(void **state)
{
	(void)state;
	struct sdp s = must("v=0\nm=message 5060 sip null\na=x\n\n");
	struct slice lines = s.media[0].lines, name, value;
	assert_true(sdp_attribute_next(&lines, &name, &value));
	EQ(name, "x");
	assert_int_equal(value.len, 0);
	assert_false(sdp_attribute_next(&lines, &name, &value));
	s = must("v=0\r\nX=new\r\n");
	assert_int_equal(s.n_media, 0);
	s = must("v=0");
	assert_int_equal(s.n_media, 0);
	/* names of attributes are compared exactly */
	s = must("v=0\r\na=Path:1\r\na=path:2\r\n");
	assert_true(sdp_attribute(s.lines, S("path"), &value));
	EQ(value, "2");
}

static void test_refused(void **state)
{
	static const struct {
		struct slice text;
		int rc;
	} t[] = {
		{S(""), ENTENTE_ESYNTAX},
		{S("o=x\r\n"), ENTENTE_ESYNTAX},
		{S("v=1\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nhello\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\n=x\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\ns=a\rb\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\ns=a\0b\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm=message\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm=message x sip null\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm=message -1 sip null\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm=message 65536 sip null\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm=message 5060\r\n"), ENTENTE_ESYNTAX},
		{S("v=0\r\nm= 5060 sip null\r\n"), ENTENTE_ESYNTAX},
	};
	(void)state;
	struct sdp s;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		assert_int_equal(sdp_parse(&s, t[i].text), t[i].rc);
}

static void repeated(size_t n, const char *line, int expected)
{
	struct buf b;
	struct sdp s;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "v=0\r\n");
	for (size_t i = 0; i < n; i++)
		buf_puts(&b, line);
	assert_int_equal(sdp_parse(&s, buf_slice(&b)), expected);
	buf_free(&b);
}

static void test_limits(void **state)
{
	(void)state;
	repeated(SDP_MEDIA_MAX, "m=audio 1 RTP/AVP 0\r\n", 0);
	repeated(SDP_MEDIA_MAX + 1, "m=audio 1 RTP/AVP 0\r\n", ENTENTE_ELIMIT);
	repeated(SDP_LINES_MAX, "a=x\r\n", 0);
	repeated(SDP_LINES_MAX + 1, "a=x\r\n", ENTENTE_ELIMIT);
	repeated(SDP_MAX / 40 + 1, "a=0123456789012345678901234567890123456\r\n", ENTENTE_ELIMIT);
}

static void test_types(void **state)
{
	static const struct {
		const char *list, *type;
		bool yes;
	} t[] = {
		{"text/plain text/html", "text/html; charset=UTF-8", true},
		{"text/plain  text/html ", "TEXT/HTML", true},
		{"text/plain", "text/html", false},
		{"text/*", "text/html", true},
		{"text/*", "application/xml", false},
		{"*", "application/xml", true},
		{"*/*", "application/xml", true},
		{"", "text/plain;charset=UTF-8", true},
		{"", "text/html", false},
		{"text/plainer", "text/plain", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		assert_int_equal(sdp_accepts(slice_str(t[i].list), slice_str(t[i].type)), t[i].yes);
	struct buf b;
	buf_init(&b, 1024);
	sdp_accept_both(&b, S("text/plain text/html message/cpim"), S("message/cpim text/plain image/gif"));
	EQ(buf_slice(&b), "text/plain message/cpim");
	buf_clear(&b);
	sdp_accept_both(&b, S("text/plain"), S("image/gif"));
	EQ(buf_slice(&b), "text/plain");
	buf_free(&b);
}

static void test_write(void **state)
{
	struct sdp_local l = {.address = S("192.0.2.1"), .id = 3, .version = 4, .form = SDP_IM_SIP, .accept_types = S("text/plain text/html")};
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	sdp_write_offer(&b, &l);
	EQ(buf_slice(&b), "v=0\r\no=- 3 4 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"
			  "a=accept-types:text/plain text/html\r\n");
	buf_clear(&b);
	l = (struct sdp_local){.address = S("2001:db8::1"), .form = SDP_IM_MSRP, .tls = true, .max_size = 20000, .path = S("msrps://gw:2855/x;tcp"),
			       .accept_types = S("text/plain"), .accept_wrapped_types = S("text/plain"), .setup = S("passive"), .port = 2856,
			       .fingerprint = S("sha-256 AA:BB")};
	struct sdp offer = must(MSRP "m=application 5 TCP/BFCP *\r\n");
	sdp_write_answer(&b, &offer, 1, &l);
	EQ(buf_slice(&b), "v=0\r\no=- 0 0 IN IP6 2001:db8::1\r\ns=session\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0 8 101\r\n"
			  "m=message 2856 TCP/TLS/MSRP *\r\na=accept-types:text/plain\r\na=accept-wrapped-types:text/plain\r\na=max-size:20000\r\n"
			  "a=path:msrps://gw:2855/x;tcp\r\na=setup:passive\r\na=fingerprint:sha-256 AA:BB\r\nm=application 0 TCP/BFCP *\r\n");
	/* what was written can be read */
	struct sdp back;
	struct sdp_im_media m;
	assert_int_equal(sdp_parse(&back, buf_slice(&b)), 0);
	assert_int_equal(back.n_media, offer.n_media);
	assert_true(sdp_im_find(&back, 1u << SDP_IM_MSRP, &m));
	assert_int_equal(m.index, 1);
	buf_clear(&b);
	/* Lync's word comes back as it was written */
	offer = must(HEAD "m=x-ms-message 5060 sip sip:bob@b.example\r\n");
	l = (struct sdp_local){.form = SDP_IM_SIP, .word = S("message"), .fmt = S("sip:alice@a.example")};
	sdp_write_answer(&b, &offer, 0, &l);
	assert_true(slice_find(buf_slice(&b), S("m=x-ms-message 5060 sip sip:alice@a.example\r\n")) > 0);
	buf_clear(&b);
	sdp_write_answer(&b, &offer, SIZE_MAX, &l);
	assert_true(slice_find(buf_slice(&b), S("m=x-ms-message 0 sip sip:bob@b.example\r\n")) > 0);
	buf_clear(&b);
	l.accept_types = S("text/plain\r\na=evil");
	sdp_write_offer(&b, &l);
	assert_false(buf_ok(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lync),	  cmocka_unit_test(test_lync_forms), cmocka_unit_test(test_msrp),
		cmocka_unit_test(test_choice),	  cmocka_unit_test(test_tolerance),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_types),	     cmocka_unit_test(test_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
