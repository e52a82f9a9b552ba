/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "xmpp/identity.h"

static enum xmpp_identity dns(struct slice name, const char *domain)
{
	return xmpp_identity_match(&(struct xmpp_cert_names){.dns = &name, .n_dns = 1}, slice_str(domain));
}

static enum xmpp_identity srv(struct slice name, const char *domain)
{
	return xmpp_identity_match(&(struct xmpp_cert_names){.srv = &name, .n_srv = 1}, slice_str(domain));
}

static enum xmpp_identity addr(struct slice name, const char *domain)
{
	return xmpp_identity_match(&(struct xmpp_cert_names){.xmpp = &name, .n_xmpp = 1}, slice_str(domain));
}

static void test_dns(void **state)
{
	(void)state;
	assert_int_equal(dns(S("example.com"), "example.com"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("EXAMPLE.com"), "example.COM"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("example.com."), "example.com"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("example.com"), "im.example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("im.example.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("example.com.evil.org"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("xn--bcher-kva.example"), "b\xc3\xbc" "cher.example"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("xn--bcher-kva.example"), "xn--bcher-kva.example"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("example.com\0.evil.org"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S(""), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("example.com"), ""), XMPP_IDENTITY_NONE);
}

static void test_wildcard(void **state)
{
	(void)state;
	assert_int_equal(dns(S("*.example.com"), "im.example.com"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("*.Example.com"), "IM.example.com"), XMPP_IDENTITY_DNS);
	assert_int_equal(dns(S("*.example.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("*.example.com"), "a.im.example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("i*.example.com"), "im.example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("im.*.com"), "im.example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("*.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("*"), "example"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("*."), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(dns(S("*.*.com"), "im.example.com"), XMPP_IDENTITY_NONE);
}

static void test_srv(void **state)
{
	(void)state;
	assert_int_equal(srv(S("_xmpp-server.example.com"), "example.com"), XMPP_IDENTITY_SRV);
	assert_int_equal(srv(S("_XMPP-Server.Example.com"), "example.com"), XMPP_IDENTITY_SRV);
	assert_int_equal(srv(S("_xmpp-client.example.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(srv(S("_xmpp-server.*.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(srv(S("_xmpp-server.example.com\0x"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(srv(S("_xmpp-server."), ""), XMPP_IDENTITY_NONE);
	assert_int_equal(srv(S("example.com"), "example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(srv(S("_xmpp-server.xn--bcher-kva.example"), "b\xc3\xbc" "cher.example"), XMPP_IDENTITY_SRV);
}

static void test_xmpp_addr(void **state)
{
	(void)state;
	assert_int_equal(addr(S("example.com"), "example.com"), XMPP_IDENTITY_XMPP);
	assert_int_equal(addr(S("b\xc3\xbc" "cher.example"), "b\xc3\xbc" "cher.example"), XMPP_IDENTITY_XMPP);
	assert_int_equal(addr(S("*.example.com"), "im.example.com"), XMPP_IDENTITY_NONE);
	assert_int_equal(addr(S("user@example.com"), "example.com"), XMPP_IDENTITY_NONE);
}

static void test_order_and_none(void **state)
{
	(void)state;
	struct slice d[] = {S("a.example"), S("example.com")}, v[] = {S("_xmpp-server.b.example"), S("_xmpp-server.example.com")},
		     x[] = {S("example.com")};
	struct xmpp_cert_names n = {d, 2, v, 2, x, 1};
	assert_int_equal(xmpp_identity_match(&n, S("example.com")), XMPP_IDENTITY_SRV);
	assert_int_equal(xmpp_identity_match(&n, S("a.example")), XMPP_IDENTITY_DNS);
	assert_int_equal(xmpp_identity_match(&n, S("c.example")), XMPP_IDENTITY_NONE);
	assert_int_equal(xmpp_identity_match(&(struct xmpp_cert_names){0}, S("example.com")), XMPP_IDENTITY_NONE);
	assert_string_equal(xmpp_identity_text(XMPP_IDENTITY_SRV), "SRVName");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns),	  cmocka_unit_test(test_wildcard),	 cmocka_unit_test(test_srv),
		cmocka_unit_test(test_xmpp_addr), cmocka_unit_test(test_order_and_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
