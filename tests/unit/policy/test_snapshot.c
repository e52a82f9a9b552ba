/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "policy/snapshot.h"

static int home(struct snapshot_builder *b, const char *name, const struct slice *domains, size_t n, struct entente_err *err)
{
	struct policy_home h = {.name = slice_str(name), .next_hop = S("sip:10.0.0.1"), .transport = POLICY_TCP,
				.domains = domains, .n_domains = n};
	return snapshot_builder_home(b, &h, err);
}

static int partner(struct snapshot_builder *b, const char *domain, const struct slice *more, size_t n, struct entente_err *err)
{
	struct policy_partner p = {.domain = slice_str(domain)};
	policy_partner_defaults(&p);
	p.additional = more;
	p.n_additional = n;
	return snapshot_builder_partner(b, &p, err);
}

static void test_lookup(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	char text[] = "Contoso.Test";
	const struct slice ours[] = {slice_str(text), S("b.contoso.test"), S("contoso.test")}, other[] = {S("c.test")};
	assert_int_equal(home(b, "one", ours, 3, NULL), 0);
	assert_int_equal(home(b, "two", other, 1, NULL), 0);
	memset(text, 'x', sizeof text - 1); /* copied */
	const struct slice more[] = {S("chat.fabrikam.test"), S("FABRIKAM.test")};
	assert_int_equal(partner(b, "fabrikam.test", more, 2, NULL), 0);
	assert_int_equal(partner(b, "a.test", NULL, 0, NULL), 0);
	struct policy_gateway g;
	policy_gateway_defaults(&g);
	g.connection_limit = 7;
	snapshot_builder_gateway(b, &g);
	struct snapshot *s = snapshot_builder_freeze(b, 42);

	assert_int_equal(snapshot_generation(s), 42);
	assert_int_equal(snapshot_gateway(s)->connection_limit, 7);
	assert_int_equal(snapshot_home_count(s), 2);
	assert_int_equal(snapshot_home(s, 0)->n_domains, 2); /* the third spelling is the first */
	assert_true(slice_eq(snapshot_home(s, 0)->domains[0], S("contoso.test")));
	uint32_t i = 9;
	assert_true(snapshot_local(s, S("CONTOSO.test."), &i));
	assert_int_equal(i, 0);
	assert_true(snapshot_local(s, S("c.test"), &i));
	assert_int_equal(i, 1);
	assert_false(snapshot_local(s, S("fabrikam.test"), &i));
	assert_false(snapshot_local(s, S("x.contoso.test"), NULL)); /* no implicit subdomains */
	assert_false(snapshot_local(s, S("bad domain"), NULL));

	assert_int_equal(snapshot_partner_count(s), 2);
	assert_true(slice_eq(snapshot_partner_at(s, 0)->domain, S("a.test")));
	const struct policy_partner *p = snapshot_partner(s, S("Chat.Fabrikam.Test"));
	assert_non_null(p);
	assert_ptr_equal(p, snapshot_partner(s, S("fabrikam.test")));
	assert_int_equal(p->n_additional, 1);
	assert_true(slice_eq(p->additional[0], S("chat.fabrikam.test")));
	assert_null(snapshot_partner(s, S("x.fabrikam.test")));
	assert_null(snapshot_partner(s, S("contoso.test")));
	assert_null(snapshot_partner(s, SLICE_NONE));
	assert_null(snapshot_unref(s));
}

/* Domains below one: the nearest pattern, and whatever is named before any pattern. */
static void test_patterns(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	const struct slice ours[] = {S("contoso.wide.test")}, wide[] = {S("*.wide.test")}, deep[] = {S("*.deep.wide.test")};
	assert_int_equal(home(b, "one", ours, 1, NULL), 0);
	assert_int_equal(partner(b, "a.test", wide, 1, NULL), 0);
	assert_int_equal(partner(b, "b.test", deep, 1, NULL), 0);
	assert_int_equal(partner(b, "named.wide.test", NULL, 0, NULL), 0);
	assert_int_equal(partner(b, "c.test", wide, 1, NULL), ENTENTE_EEXIST);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	static const struct {
		const char *domain, *partner;
	} rows[] = {
		{"x.wide.test", "a.test"}, {"y.x.WIDE.test.", "a.test"}, {"wide.test", NULL}, {"xwide.test", NULL}, {"deep.wide.test", "a.test"},
		{"x.deep.wide.test", "b.test"}, {"named.wide.test", "named.wide.test"}, {"x.named.wide.test", "a.test"}, {"contoso.wide.test", NULL},
		{"x.contoso.wide.test", "a.test"}, {"*.wide.test", NULL}, {"test", NULL}, {"x.test", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct policy_partner *p = snapshot_partner(s, slice_str(rows[i].domain));
		if ((p != NULL) != (rows[i].partner != NULL) || (p && !slice_eq(p->domain, slice_str(rows[i].partner))))
			fail_msg("%s: %.*s", rows[i].domain, SFMT(p ? p->domain : S("nobody's")));
	}
	snapshot_unref(s);
}

static void test_conflicts(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	struct entente_err err;
	const struct slice ours[] = {S("contoso.test")}, clash[] = {S("new.test"), S("fabrikam.test")}, bad[] = {S("a b")};
	assert_int_equal(home(b, "one", ours, 1, NULL), 0);
	assert_int_equal(home(b, "one", clash, 1, &err), ENTENTE_EEXIST);
	assert_int_equal(home(b, "", clash, 1, &err), ENTENTE_EINVAL);
	assert_int_equal(home(b, "two", clash, 0, &err), ENTENTE_EINVAL);
	assert_int_equal(home(b, "two", bad, 1, &err), ENTENTE_EINVAL);
	assert_int_equal(home(b, "two", ours, 1, &err), ENTENTE_EEXIST);
	assert_non_null(strstr(err.text, "home one"));
	assert_int_equal(partner(b, "fabrikam.test", NULL, 0, NULL), 0);
	assert_int_equal(partner(b, "Fabrikam.test", NULL, 0, &err), ENTENTE_EEXIST);
	assert_int_equal(partner(b, "contoso.test", NULL, 0, &err), ENTENTE_EEXIST);
	assert_non_null(strstr(err.text, "one of ours"));
	assert_int_equal(partner(b, "other.test", clash, 2, &err), ENTENTE_EEXIST);
	assert_non_null(strstr(err.text, "partner fabrikam.test"));
	assert_int_equal(partner(b, "a b", NULL, 0, &err), ENTENTE_EINVAL);
	assert_int_equal(partner(b, "big.test", clash, POLICY_ADDITIONAL_MAX + 1, &err), ENTENTE_ELIMIT);
	struct snapshot *s = snapshot_builder_freeze(b, 0);
	/* failures added nothing */
	assert_int_equal(snapshot_home_count(s), 1);
	assert_int_equal(snapshot_partner_count(s), 1);
	assert_null(snapshot_partner(s, S("other.test")));
	assert_null(snapshot_partner(s, S("new.test")));
	assert_false(snapshot_local(s, S("new.test"), NULL));
	snapshot_unref(s);
	snapshot_unref(NULL);
	snapshot_builder_free(snapshot_builder_new());
	snapshot_builder_free(NULL);
}

static void test_blocked(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	assert_int_equal(snapshot_builder_block(b, S("Evil.test"), NULL), 0);
	assert_int_equal(snapshot_builder_block(b, S("evil.test"), NULL), 0);
	assert_int_equal(snapshot_builder_block(b, S("more.evil.test"), NULL), 0);
	assert_int_equal(snapshot_builder_block(b, S("*.test"), NULL), ENTENTE_EINVAL);
	struct snapshot *s = snapshot_builder_freeze(b, 0);
	assert_true(slice_eq(snapshot_blocked(s, S("evil.test")), S("evil.test")));
	assert_true(slice_eq(snapshot_blocked(s, S("A.EVIL.test")), S("evil.test")));
	assert_true(slice_eq(snapshot_blocked(s, S("x.more.evil.test")), S("more.evil.test")));
	assert_null(snapshot_blocked(s, S("notevil.test")).p); /* labels, not letters */
	assert_null(snapshot_blocked(s, S("test")).p);
	assert_null(snapshot_blocked(s, S("evil.test.example")).p);
	snapshot_unref(s);
}

static void test_many(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	char name[32];
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "p%d.test", i);
		assert_int_equal(partner(b, name, NULL, 0, NULL), 0);
	}
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "P%d.test", i);
		assert_non_null(snapshot_partner(s, slice_str(name)));
	}
	for (size_t i = 1; i < 20000; i++)
		assert_true(slice_cmp(snapshot_partner_at(s, i - 1)->domain, snapshot_partner_at(s, i)->domain) < 0);
	snapshot_unref(s);
}

static void test_limits(void **state)
{
	(void)state;
	struct snapshot_builder *b = snapshot_builder_new();
	char name[32];
	for (int i = 0; i <= SNAPSHOT_HOMES_MAX; i++) {
		snprintf(name, sizeof name, "h%d.test", i);
		struct slice d = slice_str(name);
		assert_int_equal(home(b, name, &d, 1, NULL), i < SNAPSHOT_HOMES_MAX ? 0 : ENTENTE_ELIMIT);
	}
	for (int i = 0; i <= SNAPSHOT_PARTNERS_MAX; i++) {
		snprintf(name, sizeof name, "p%d.test", i);
		assert_int_equal(partner(b, name, NULL, 0, NULL), i < SNAPSHOT_PARTNERS_MAX ? 0 : ENTENTE_ELIMIT);
	}
	struct snapshot *s = snapshot_builder_freeze(b, 0);
	assert_int_equal(snapshot_home_count(s), SNAPSHOT_HOMES_MAX);
	assert_int_equal(snapshot_partner_count(s), SNAPSHOT_PARTNERS_MAX);
	assert_null(snapshot_blocked(s, S("p1.test")).p);
	snapshot_unref(s);
}

static struct snapshot *generation(uint64_t n)
{
	struct snapshot_builder *b = snapshot_builder_new();
	partner(b, n & 1 ? "odd.test" : "even.test", NULL, 0, NULL);
	return snapshot_builder_freeze(b, n);
}

enum { ROUNDS = 300, READERS = 3 };
static atomic_bool stop;

static void *reader(void *arg)
{
	struct snapshot_reader r;
	snapshot_reader_init(&r, arg);
	uint64_t last = 0, seen = 0;
	while (!atomic_load(&stop) || !seen) {
		struct snapshot *a = snapshot_reader_get(&r), *b = snapshot_slot_acquire(arg);
		const struct snapshot *both[] = {a, b};
		for (int i = 0; i < 2; i++) {
			uint64_t g = snapshot_generation(both[i]);
			if (g < last || !snapshot_partner(both[i], g & 1 ? S("odd.test") : S("even.test")) ||
			    snapshot_partner(both[i], g & 1 ? S("even.test") : S("odd.test")))
				return (void *)1;
			last = g;
		}
		snapshot_unref(b);
		seen++;
	}
	bool newest = snapshot_generation(snapshot_reader_get(&r)) == ROUNDS;
	snapshot_reader_destroy(&r);
	return newest ? NULL : (void *)2;
}

static void test_slot(void **state)
{
	(void)state;
	struct snapshot_slot slot;
	snapshot_slot_init(&slot, NULL);
	assert_null(snapshot_slot_acquire(&slot));
	struct snapshot *s = generation(1);
	snapshot_slot_publish(&slot, s);
	snapshot_unref(s);
	pthread_t t[READERS];
	for (int i = 0; i < READERS; i++)
		pthread_create(&t[i], NULL, reader, &slot);
	for (uint64_t n = 2; n <= ROUNDS; n++) {
		s = generation(n);
		snapshot_slot_publish(&slot, s);
		snapshot_unref(s);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++) {
		void *ret;
		pthread_join(t[i], &ret);
		assert_null(ret);
	}
	snapshot_slot_destroy(&slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lookup),  cmocka_unit_test(test_patterns), {"L03 a domain belongs to one home or partner", test_conflicts, NULL, NULL, NULL},
					   {"L04 the longest blocked suffix", test_blocked, NULL, NULL, NULL}, cmocka_unit_test(test_many),
					   cmocka_unit_test(test_limits),  cmocka_unit_test(test_slot)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
