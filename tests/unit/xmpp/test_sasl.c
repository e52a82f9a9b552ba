/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "xmpp/sasl.h"

static enum xmpp_sasl check(const char *response, const char *from)
{
	struct arena *a = arena_new(1 << 16);
	enum xmpp_sasl c = xmpp_sasl_check_authzid(a, slice_str(response), slice_str(from));
	arena_release(NULL, a);
	return c;
}

static void test_authzid(void **state)
{
	(void)state;
	char big[2001];
	memset(big, 'A', 2000);
	big[2000] = 0;
	assert_int_equal(check("", "example.com"), XMPP_SASL_OK);
	assert_int_equal(check("=", "example.com"), XMPP_SASL_OK);
	assert_int_equal(check(" =\n", "example.com"), XMPP_SASL_OK);
	assert_int_equal(check("ZXhhbXBsZS5jb20=", "example.com"), XMPP_SASL_OK);
	assert_int_equal(check("RXhhbXBsZS5DT00=", "example.com"), XMPP_SASL_OK);
	assert_int_equal(check("b3RoZXIudGVzdA==", "example.com"), XMPP_SASL_INVALID_AUTHZID);
	assert_int_equal(check("dXNlckBleGFtcGxlLmNvbQ==", "example.com"), XMPP_SASL_INVALID_AUTHZID);
	assert_int_equal(check("ZXhhbXBsZS5jb20", "example.com"), XMPP_SASL_INCORRECT_ENCODING);
	assert_int_equal(check("%%%%", "example.com"), XMPP_SASL_INCORRECT_ENCODING);
	assert_int_not_equal(check(big, "example.com"), XMPP_SASL_OK);
}

static void test_names(void **state)
{
	(void)state;
	for (enum xmpp_sasl c = XMPP_SASL_ABORTED; c <= XMPP_SASL_TEMPORARY_AUTH_FAILURE; c++)
		assert_int_equal(xmpp_sasl_parse(slice_str(xmpp_sasl_name(c))), c);
	assert_int_equal(xmpp_sasl_parse(S("no-such-thing")), XMPP_SASL_NOT_AUTHORIZED);
}

static void test_elements(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	xmpp_sasl_write_auth(&b, S("example.com"));
	assert_slice(buf_slice(&b),
		     "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXhhbXBsZS5jb20=</auth>");
	buf_clear(&b);
	xmpp_sasl_write_failure(&b, XMPP_SASL_INVALID_AUTHZID, S("a<b"));
	assert_slice(buf_slice(&b), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/><text "
				    "xml:lang='en'>a&lt;b</text></failure>");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_authzid), cmocka_unit_test(test_names),
					   cmocka_unit_test(test_elements)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
