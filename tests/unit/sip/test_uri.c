/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

#include "sip/uri.h"

static struct sip_uri parse(const char *z)
{
	struct sip_uri u;
	if (sip_uri_parse(slice_str(z), &u)) {
		print_error("%s\n", z);
		fail();
	}
	return u;
}

static void test_parts(void **state)
{
	struct sip_uri u = parse("sips:alice;day=tuesday:pw%20@[2001:db8::10]:5070;transport=tls;lr?subject=a%20b&to=x");
	struct slice v;
	(void)state;
	assert_int_equal(u.scheme, SIP_SCHEME_SIPS);
	assert_slice(u.scheme_text, "sips");
	assert_slice(u.user, "alice;day=tuesday");
	assert_slice(u.password, "pw%20");
	assert_slice(u.host, "[2001:db8::10]");
	assert_int_equal(u.port, 5070);
	assert_slice(u.params, "transport=tls;lr");
	assert_slice(u.headers, "subject=a%20b&to=x");
	assert_true(sip_uri_param(&u, S("TRANSPORT"), &v));
	assert_slice(v, "tls");
	assert_true(sip_uri_param(&u, S("lr"), &v));
	assert_int_equal(v.len, 0);
	assert_true(sip_uri_param(&u, S("lr"), NULL));
	assert_false(sip_uri_param(&u, S("maddr"), &v));
	u = parse("SIP:example.com");
	assert_null(u.user.p);
	assert_null(u.password.p);
	assert_slice(u.host, "example.com");
	assert_int_equal(u.port, 0);
	u = parse("sip:user;par=u%40example.net@example.com");
	assert_slice(u.user, "user;par=u%40example.net");
	assert_slice(u.host, "example.com");
	u = parse("sip:a?b@c.example?d=e");
	assert_slice(u.user, "a?b");
	assert_slice(u.headers, "d=e");
	u = parse("sip:a@c.example;x=%6C;%6c%72");
	assert_true(sip_uri_param(&u, S("lr"), NULL));
	u = parse("sip:alice@contoso.example;opaque=user:epid:Ab_c-;gruu");
	assert_true(sip_uri_param(&u, S("opaque"), &v));
	assert_slice(v, "user:epid:Ab_c-");
}

static void test_schemes(void **state)
{
	struct sip_uri u = parse("tel:+358-555-1234567;phone-context=x");
	(void)state;
	assert_int_equal(u.scheme, SIP_SCHEME_TEL);
	assert_slice(u.opaque, "+358-555-1234567;phone-context=x");
	assert_int_equal(u.host.len, 0);
	u = parse("pres:juliet@capulet.example");
	assert_int_equal(u.scheme, SIP_SCHEME_PRES);
	assert_slice(u.user, "juliet");
	assert_slice(u.host, "capulet.example");
	u = parse("im:juliet@capulet.example?subject=x");
	assert_int_equal(u.scheme, SIP_SCHEME_IM);
	assert_slice(u.headers, "subject=x");
	u = parse("soap.beep://192.0.2.103:3002");
	assert_int_equal(u.scheme, SIP_SCHEME_OTHER);
	assert_slice(u.scheme_text, "soap.beep");
	assert_slice(u.opaque, "//192.0.2.103:3002");
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"sip",
		"sip:",
		":a@b",
		"1sip:a@b",
		"sip:@b",
		"sip:a@",
		"sip:a@b@c",
		"sip:a@b:",
		"sip:a@b:0",
		"sip:a@b:65536",
		"sip:a@b:5x",
		"sip:a b@c",
		"sip:a@b c",
		" sip:a@b",
		"sip:a@b ",
		"sip:a%4@b",
		"sip:a%zz@b",
		"sip:a@b;x=%",
		"sip:a@b;x=%2",
		"sip:a@b?x=%g0",
		"sip:a\x01@b",
		"sip:a\x7f@b",
		"sip:\xc3\xa9@b",
		"sip:a@\xc3\xa9",
		"sip:<a@b>",
		"<sip:a@b>",
		"sip:a@[::1",
		"sip:a@[::1]x",
		"sip:a@[:::1]",
		"sip:a@[fe80::1%1]",
		"sip:a@[1.2.3.4]",
		"sip:a@[]",
		"sip:2001:db8::1",
		"sip:a@2001:db8::1",
		"sip:a@b\"c",
		"sip:a@b;\"",
		"sip:a@b/c",
		"http:",
		"http://a b",
		"tel:",
		"tel:+1\r\n2",
		"sip:a@b\r\nVia: x",
		"sip:a@[2001:db8::10]]",
		"sip:[2001:db8::1]:a",
		"sip:a@b;<x>",
		"sip::pw@b",
		"x y:z",
	};
	struct sip_uri u;
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (sip_uri_parse(slice_str(bad[i]), &u) != ENTENTE_ESYNTAX) {
			print_error("accepted: %s\n", bad[i]);
			fail();
		}
	}
	assert_int_equal(sip_uri_parse(S("sip:a\0b@c"), &u), ENTENTE_ESYNTAX);
	assert_int_equal(sip_uri_parse(S("sip:a@[::1\0]"), &u), ENTENTE_ESYNTAX);
	assert_int_equal(sip_uri_parse(S("sip:a@[::1\0x]"), &u), ENTENTE_ESYNTAX);
}

static void test_equal(void **state)
{
	/* RFC 3261 19.1.4, RFC 5954 4.2 */
	static const struct {
		const char *a, *b;
		bool equal;
	} t[] = {
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
		 "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
		 "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		{"sip:a@b", "sips:a@b", false},
		{"sip:a@b", "sip:b", false},
		{"sip:a@b", "sip:a:@b", false},
		{"sip:a;b@c", "sip:a%3Bb@c", false}, /* an escaped reserved character is another one */
		{"sip:a%3bb@c", "sip:a%3Bb@c", true},
		{"sip:a@b;user=phone", "sip:a@b", false},
		{"sip:a@b", "sip:a@b;ttl=1", false},
		{"sip:a@b;maddr=x", "sip:a@b", false},
		{"sip:a@[2001:DB8:0:0::1]", "sip:a@[2001:db8::1]", true},
		{"sip:a@[::ffff:192.0.2.1]", "sip:a@[::ffff:c000:201]", true},
		{"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", false},
		{"sip:a@b;x=1;x=2", "sip:a@b;x=1", false}, /* a name twice is an error; at least both directions agree */
		{"tel:+123", "tel:+123", true},
		{"tel:+123", "tel:+124", false},
		{"x:1", "y:1", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sip_uri a = parse(t[i].a), b = parse(t[i].b);
		if (sip_uri_equal(&a, &b) != t[i].equal || sip_uri_equal(&b, &a) != t[i].equal) {
			print_error("%s | %s\n", t[i].a, t[i].b);
			fail();
		}
	}
}

static void test_many_params(void **state)
{
	struct buf x, y;
	struct sip_uri a, b;
	(void)state;
	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	buf_puts(&x, "sip:a@b");
	for (int i = 0; i < 20000; i++)
		buf_printf(&x, ";p%d", i);
	buf_put(&y, buf_slice(&x));
	assert_int_equal(sip_uri_parse(buf_slice(&x), &a), 0);
	assert_int_equal(sip_uri_parse(buf_slice(&y), &b), 0);
	assert_true(sip_uri_equal(&a, &b));
	buf_puts(&y, ";q"); /* equal by the rules, but too costly to find out */
	assert_int_equal(sip_uri_parse(buf_slice(&y), &b), 0);
	assert_false(sip_uri_equal(&a, &b));
	buf_free(&x);
	buf_free(&y);
}

static void test_escapes(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	assert_int_equal(sip_unescape(S("I%20have%00%C3%a9"), &b), 0);
	assert_true(slice_eq(buf_slice(&b), S("I have\0\xc3\xa9")));
	buf_clear(&b);
	assert_int_equal(sip_unescape(S("a%2"), &b), ENTENTE_ESYNTAX);
	assert_int_equal(sip_unescape(S("a%"), &b), ENTENTE_ESYNTAX);
	assert_int_equal(sip_unescape(S("%xy"), &b), ENTENTE_ESYNTAX);
	assert_int_equal(b.len, 0);
	sip_escape_user(S("a@b:c \xc3\xa9\"<&=+$,;?/-_.!~*'()#%"), &b);
	assert_slice(buf_slice(&b), "a%40b%3Ac%20%C3%A9%22%3C&=+$,;?/-_.!~*'()%23%25");
	buf_clear(&b);
	sip_escape_param(S("[a]/:&+$;=?@ \0"), &b);
	assert_slice(buf_slice(&b), "[a]/:&+$%3B%3D%3F%40%20%00");
	buf_free(&b);
}

static void test_every_octet_comes_back(void **state)
{
	char octets[256];
	struct buf there, back;
	(void)state;
	buf_init(&there, 1000);
	buf_init(&back, 1000);
	for (int i = 0; i < 256; i++)
		octets[i] = (char)i;
	sip_escape_user(slice_of(octets, 256), &there);
	assert_int_equal(sip_unescape(buf_slice(&there), &back), 0);
	assert_true(slice_eq(buf_slice(&back), slice_of(octets, 256)));
	buf_free(&there);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts), cmocka_unit_test(test_schemes),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_equal), cmocka_unit_test(test_many_params), cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_every_octet_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
