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

/* A pool changes its secret node after node: add the new one, make it the first, take the old one away. */
static void test_several(void **state)
{
	(void)state;
	struct xmpp_dialback_secrets a, b;
	struct entente_err err;
	char key[XMPP_DIALBACK_KEY + 1], text[XMPP_DIALBACK_SECRETS * XMPP_DIALBACK_KEY];
	struct slice us = S("here.example"), them = S("there.example"), id = S("77");
	assert_int_equal(xmpp_dialback_secrets_parse(&a, S("# of the pool\n  0123456789abcdef \r\n\nfedcba9876543210\n"), &err), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(xmpp_dialback_secrets_parse(&b, S("fedcba9876543210\n0123456789abcdef"), &err), 0);
	xmpp_dialback_key(key, &a.s[0], them, us, id);
	assert_true(xmpp_dialback_check_any(&b, them, us, id, slice_str(key))); /* either node knows the other's */
	xmpp_dialback_key(key, &b.s[0], them, us, id);
	assert_true(xmpp_dialback_check_any(&a, them, us, id, slice_str(key)));
	assert_false(xmpp_dialback_check_any(&a, them, us, S("78"), slice_str(key)));
	assert_false(xmpp_dialback_check_any(&a, us, them, id, slice_str(key)));
	a.n = 1;
	assert_false(xmpp_dialback_check_any(&a, them, us, id, slice_str(key)));
	/* as text and back; one secret of any octets */
	assert_int_equal(xmpp_dialback_secrets_text(&b, text), 2 * XMPP_DIALBACK_KEY);
	xmpp_dialback_secrets_init(&a, slice_of(text, 2 * XMPP_DIALBACK_KEY));
	assert_int_equal(a.n, 2);
	assert_memory_equal(a.s, b.s, 2 * sizeof *a.s);
	xmpp_dialback_secrets_init(&a, S("s3cr3tf0rd14lb4ck"));
	struct xmpp_dialback_secret one;
	xmpp_dialback_secret_init(&one, S("s3cr3tf0rd14lb4ck"));
	assert_int_equal(a.n, 1);
	assert_memory_equal(&a.s[0], &one, sizeof one);
	/* what is no file of secrets */
	static const char *const bad[] = {"", "\n# nothing\n", "0123456789abcde", "0123456789abcdef\nshort",
					  "0123456789abcde1\n0123456789abcde2\n0123456789abcde3\n0123456789abcde4\n0123456789abcde5"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		a.n = 99;
		assert_int_equal(xmpp_dialback_secrets_parse(&a, slice_str(bad[i]), &err), ENTENTE_ESYNTAX);
		assert_int_equal(a.n, 99);
		assert_true(err.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {NAMED("S01 both vectors of the key", test_vectors), cmocka_unit_test(test_check), cmocka_unit_test(test_several)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
