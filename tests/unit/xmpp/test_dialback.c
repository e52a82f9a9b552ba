/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "xmpp/dialback.h"

static void vector(const char *secret, const char *receiving, const char *originating, const char *id, const char *want)
{
	struct xmpp_dialback_secret s;
	char key[XMPP_DIALBACK_KEY + 1];
	xmpp_dialback_secret_init(&s, slice_str(secret));
	xmpp_dialback_key(key, &s, slice_str(receiving), slice_str(originating), slice_str(id));
	assert_string_equal(key, want);
}

/* XEP-0185 4 and XEP-0220 2.1.1 */
static void test_vectors(void **state)
{
	(void)state;
	vector("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
	       "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
	vector("d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25",
	       "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d");
}

static void test_check(void **state)
{
	(void)state;
	static const char key[] = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643";
	struct xmpp_dialback_secret s, other;
	struct slice r = S("xmpp.example.com"), o = S("example.org"), id = S("D60000229F");
	xmpp_dialback_secret_init(&s, S("s3cr3tf0rd14lb4ck"));
	xmpp_dialback_secret_random(&other);
	assert_int_equal(strlen(other.hex), 64);
	assert_true(xmpp_dialback_check(&s, r, o, id, slice_str(key)));
	assert_true(
		xmpp_dialback_check(&s, r, o, id, S("\n 37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643\t")));
	assert_false(xmpp_dialback_check(&s, o, r, id, slice_str(key)));
	assert_false(xmpp_dialback_check(&s, r, o, S("D60000229E"), slice_str(key)));
	assert_false(xmpp_dialback_check(&s, r, o, id, slice_first(slice_str(key), 63)));
	assert_false(xmpp_dialback_check(&s, r, o, id, SLICE_NONE));
	assert_false(xmpp_dialback_check(&s, r, o, id, S("47c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643")));
	assert_false(xmpp_dialback_check(&other, r, o, id, slice_str(key)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {NAMED("S01 both vectors of the key", test_vectors), cmocka_unit_test(test_check)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
