/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "policy/lookalike.h"

/* Both as people type them. */
static enum policy_likeness like(const char *a, const char *b)
{
	struct policy_domain x, y;
	if (!policy_domain_import(&x, slice_str(a)) || !policy_domain_import(&y, slice_str(b)))
		fail_msg("%s or %s is no domain", a, b);
	enum policy_likeness l = policy_domain_like(policy_domain_slice(&x), policy_domain_slice(&y));
	assert_int_equal(l, policy_domain_like(policy_domain_slice(&y), policy_domain_slice(&x)));
	return l;
}

static void skeletons(void **state)
{
	static const char *const same[][2] = {
		{"fabrikam.example", "f\xd0\xb0" "brikam.example"},      /* Cyrillic a */
		{"paypal.example", "\xd1\x80\xd0\xb0\xd1\x83\xd1\x80\xd0\xb0l.example"},
		{"fabrikam.example", "fabr\xc4\xb1kam.example"},        /* dotless i */
		{"fabrikam.example", "fabrlkam.example"},               /* l for i */
		{"fabrikam.example", "fabr1kam.example"},
		{"contoso.example", "c0nt0s0.example"},
		{"contoso.example", "conto5o.example"},
		{"modern.example", "rnodern.example"},
		{"wide.example", "vvide.example"},
		{"bad.example", "bacl.example"},
		{"cafe.example", "caf\xc3\xa9.example"},                  /* an accent */
		{"zurich.example", "z\xc3\xbcrich.example"},
		{"contoso.example", "cont\xce\xbfso.example"},            /* Greek omicron */
		{"scope.example", "\xd1\x95\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5.example"},
		{"hello.example", "\xd5\xb0\x65llo.example"},             /* Armenian ho */
	};
	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (like(same[i][0], same[i][1]) != POLICY_LIKE_SKELETON)
			fail_msg("%s and %s: %d", same[i][0], same[i][1], like(same[i][0], same[i][1]));
}

static void typos(void **state)
{
	(void)state;
	assert_int_equal(like("fabrikam.example", "fabrikan.example"), POLICY_LIKE_TYPO);
	assert_int_equal(like("fabrikam.example", "fabrkam.example"), POLICY_LIKE_TYPO);
	assert_int_equal(like("fabrikam.example", "fabrikkam.example"), POLICY_LIKE_TYPO);
	assert_int_equal(like("fabrikam.example", "fabirkam.example"), POLICY_LIKE_TYPO);
	assert_int_equal(like("fabrikam.example", "afabrikam.example"), POLICY_LIKE_TYPO);
	assert_int_equal(like("fabrikam.com", "fabrikam.co"), POLICY_LIKE_SUFFIX);
	assert_int_equal(like("fabrikam.com", "fabrikam.net"), POLICY_LIKE_SUFFIX);
	assert_int_equal(like("fabrikam.example", "fabrxxam.example"), POLICY_UNLIKE);
	assert_int_equal(like("fabrikam.example", "contoso.example"), POLICY_UNLIKE);
	assert_int_equal(like("ab.example", "ac.example"), POLICY_UNLIKE); /* short names are all alike */
	assert_int_equal(like("abc.com", "abc.net"), POLICY_UNLIKE);
}

static void relatives(void **state)
{
	(void)state;
	assert_int_equal(like("fabrikam.example", "fabrikam.example"), POLICY_UNLIKE);
	assert_int_equal(like("fabrikam.example", "im.fabrikam.example"), POLICY_UNLIKE);
	assert_int_equal(like("a.fabrikam.example", "b.fabrikam.example"), POLICY_LIKE_TYPO); /* one letter apart, and it may matter */
}

static unsigned odd(const char *u)
{
	struct policy_domain d;
	assert_true(policy_domain_import(&d, slice_str(u)));
	return policy_domain_odd(policy_domain_slice(&d));
}

static void scripts(void **state)
{
	(void)state;
	assert_int_equal(odd("example.com"), 0);
	assert_int_equal(odd("b\xc3\xbc" "cher.example"), 0);
	assert_int_equal(odd("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.example"), 0); /* each label in one script */
	assert_int_equal(odd("f\xd0\xb0" "brikam.example"), POLICY_ODD_SCRIPTS);
	assert_int_equal(odd("\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d.example"), POLICY_ODD_BIDI);
	assert_int_equal(odd("\xe6\x9d\xb1\xe4\xba\xac\xe3\x82\xbf\xe3\x83\xaf\xe3\x83\xbc.example"), 0); /* Japanese mixes by nature */
}

static void in_a_snapshot(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	struct slice ours = S("contoso.example"), more = S("research.fabrikam2.example"), what;
	struct policy_home h = {.name = S("home"), .next_hop = S("sip:192.0.2.1"), .domains = &ours, .n_domains = 1};
	struct policy_partner p = {.domain = S("fabrikam.example")};
	bool is_ours;
	policy_partner_defaults(&p);
	p.additional = &more;
	p.n_additional = 1;
	assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	assert_int_equal(policy_lookalike(s, S("c0ntoso.example"), SLICE_NONE, &what, &is_ours), POLICY_LIKE_SKELETON);
	assert_true(is_ours && slice_eq(what, ours));
	assert_int_equal(policy_lookalike(s, S("fabrikam.test"), SLICE_NONE, &what, &is_ours), POLICY_LIKE_SUFFIX);
	assert_true(!is_ours && slice_eq(what, S("fabrikam.example")));
	assert_int_equal(policy_lookalike(s, S("research.fabrikam3.example"), SLICE_NONE, &what, &is_ours), POLICY_LIKE_TYPO);
	assert_int_equal(policy_lookalike(s, S("fabrlkam.example"), S("fabrikam.example"), &what, &is_ours), POLICY_UNLIKE); /* its own */
	assert_int_equal(policy_lookalike(s, S("other.example"), SLICE_NONE, &what, &is_ours), POLICY_UNLIKE);
	snapshot_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(skeletons), cmocka_unit_test(typos), cmocka_unit_test(relatives),
					   cmocka_unit_test(scripts), cmocka_unit_test(in_a_snapshot)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
