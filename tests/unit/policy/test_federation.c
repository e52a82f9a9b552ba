/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of SIP federation, one by one: default, what is taken, what is refused, text and back; and what may stand beside what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "policy/federation.h"

struct row {
	enum policy_table table;
	const char *name, *def, *lync;
	const char *good[4]; /* as printed again */
	const char *bad[5];
};
#define A POLICY_TABLE_ACCESS
#define L POLICY_TABLE_ALLOWED
#define P POLICY_TABLE_PROVIDER
#define BOOLS {"true", "false"}, {"maybe", "", "1"}
#define LEVELS {"always-verifiable", "always-unverifiable", "use-source-verification"}, {"always", "", "2"}
#define HOSTS {"sip.contoso.com", "a", ""}, {"sip contoso", "-x.com", "10.0.0.1", "Sip.Contoso.com"}
static const struct row rows[] = {
	{A, "federated-users", "false", "AllowFederatedUsers", BOOLS},
	{A, "routing", "dns-srv", "RoutingMethod", {"default", "dns-srv"}, {"dns", ""}},
	{A, "default-route-fqdn", "", "DefaultRouteFqdn", HOSTS},
	{A, "is-public-provider", "false", "IsPublicProvider", BOOLS},
	{A, "verification-level", "use-source-verification", "VerificationLevel", LEVELS},
	{A, "partner-discovery", "false", "EnablePartnerDiscovery", BOOLS},
	{A, "discovered-partner-verification-level", "use-source-verification", "DiscoveredPartnerVerificationLevel", LEVELS},
	{A, "discovered-partner-contacts-limit", "true", "EnableDiscoveredPartnerContactsLimit", BOOLS},
	{A, "max-contacts-per-discovered-partner", "1000", "MaxContactsPerDiscoveredPartner", {"1", "1000000"}, {"0", "1000001", "-1", "x"}},
	{A, "discovered-partner-standard-rate", "20", "DiscoveredPartnerStandardRate", {"1", "100000"}, {"0", "100001", " 5"}},
	{A, "discovered-partner-report-period", "60", "DiscoveredPartnerReportPeriodMinutes", {"1", "10080"}, {"0", "10081"}},
	{A, "archiving-disclaimer", "false", "EnableArchivingDisclaimer", BOOLS},
	{A, "mark-source-verifiable", "true", "MarkSourceVerifiableOnOutgoingMessages", BOOLS},
	{A, "outgoing-tls-count", "4", "OutgoingTlsCountForFederatedPartners", {"1", "4"}, {"0", "5"}},
	{A, "keep-crls-up-to-date", "true", "KeepCrlsUpToDateForPeers", BOOLS},
	{A, "max-accepted-certificates", "1000", "MaxAcceptedCertificatesStored", {"1", "100000"}, {"0", "100001"}},
	{A, "max-rejected-certificates", "500", "MaxRejectedCertificatesStored", {"1", "100000"}, {"0", "100001"}},
	{A, "certificates-deleted-percentage", "20", "CertificatesDeletedPercentage", {"1", "100"}, {"0", "101"}},
	{A, "srv-cache-records", "3000", "DnsSrvCacheRecordCount", {"16", "100000"}, {"15", "100001"}},
	{A, "clearing-house", "false", "BeClearingHouse", BOOLS},
	{L, "proxy-fqdn", "", "ProxyFqdn", HOSTS},
	{L, "verification-level", "use-source-verification", "VerificationLevel", LEVELS},
	{L, "mark-for-monitoring", "false", "MarkForMonitoring", BOOLS},
	{L, "comment", "", "Comment", {"a = b", ""}, {"two\nlines", "bell\a"}},
	{P, "proxy-fqdn", "", "ProxyFqdn", HOSTS},
	{P, "enabled", "false", "Enabled", BOOLS},
	{P, "verification-level", "always-unverifiable", "VerificationLevel", LEVELS},
	{P, "shared-address-space", "false", "EnabledSharedAddressSpace", BOOLS},
	{P, "hosts-ocs-users", "false", "HostsOCSUsers", BOOLS},
	{P, "is-local", "false", "IsLocal", BOOLS},
	{P, "name-decoration-routing-domain", "", "NameDecorationRoutingDomain", HOSTS},
	{P, "name-decoration-excluded-domains", "", "NameDecorationExcludedDomainList", {"msn.com outlook.com", ""}, {"msn.com,x", "not a/domain"}},
	{P, "comment", "", "-", {"x"}, {"a\rb"}},
};

union object {
	struct policy_access a;
	struct policy_allowed l;
	struct policy_provider p;
};

static void expect_text(const struct policy_field *f, const union object *o, const char *want)
{
	struct buf b;
	buf_init(&b, 4096);
	policy_field_print(f, o, &b);
	buf_putc(&b, '\0');
	assert_string_equal(buf_slice(&b).p, want);
	buf_free(&b);
}

static void test_each_parameter(void **state)
{
	size_t seen[3] = {0}, n;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		const struct policy_field *f = policy_field_find(r->table, slice_str(r->name));
		union object o = {0};
		struct entente_err err;
		assert_non_null(f);
		seen[r->table]++;
		assert_string_equal(f->lync, r->lync);
		policy_fields_defaults(r->table, &o);
		expect_text(f, &o, r->def);
		for (size_t k = 0; k < 4 && r->good[k]; k++) {
			assert_int_equal(policy_field_set(f, &o, slice_str(r->good[k]), &err), 0);
			expect_text(f, &o, r->good[k]);
			/* the whole object through its text */
			union object back = {0};
			struct buf b;
			buf_init(&b, 65536);
			policy_fields_write(r->table, &o, &b);
			assert_int_equal(policy_fields_read(r->table, &back, buf_slice(&b), &err), 0);
			expect_text(f, &back, r->good[k]);
			buf_free(&b);
		}
		for (size_t k = 0; k < 5 && r->bad[k]; k++) {
			if (!*r->bad[k] && (f->type >= POLICY_FIELD_FQDN))
				continue;
			union object before = o;
			if (policy_field_set(f, &o, slice_str(r->bad[k]), &err) != ENTENTE_EINVAL)
				fail_msg("%s takes '%s'", r->name, r->bad[k]);
			assert_non_null(strstr(err.text, r->name));
			assert_memory_equal(&before, &o, sizeof o);
		}
	}
	for (int t = 0; t < 3; t++) { /* no parameter without a row here */
		policy_fields((enum policy_table)t, &n);
		assert_int_equal(seen[t], n);
	}
}

static void test_read_is_lenient_to_versions(void **state)
{
	struct policy_allowed a = {0};
	struct entente_err err;
	(void)state;
	policy_fields_defaults(POLICY_TABLE_ALLOWED, &a);
	assert_int_equal(policy_fields_read(POLICY_TABLE_ALLOWED, &a, S("of-the-future=1\nproxy-fqdn=sip.x.test\n"), &err), 0);
	assert_true(slice_eq(a.proxy_fqdn, S("sip.x.test")));
	assert_int_equal(policy_fields_read(POLICY_TABLE_ALLOWED, &a, S("verification-level=?\ncomment=c\n"), &err), ENTENTE_EINVAL);
	assert_true(slice_eq(a.comment, S("c")));
}

static struct snapshot_builder *start(void)
{
	struct snapshot_builder *b = snapshot_builder_new();
	const struct slice d[] = {S("ours.test")};
	struct policy_home h = {.name = S("one"), .next_hop = S("sip:a"), .domains = d, .n_domains = 1};
	struct policy_partner p = {.domain = S("xmpp.test")};
	policy_partner_defaults(&p);
	assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	assert_int_equal(snapshot_builder_block(b, S("evil.test"), NULL), 0);
	return b;
}

static int allow(struct snapshot_builder *b, const char *domain, struct entente_err *err)
{
	struct policy_allowed a = {.domain = slice_str(domain)};
	policy_fields_defaults(POLICY_TABLE_ALLOWED, &a);
	return snapshot_builder_allow(b, &a, err);
}

static void test_allowed_unique_and_by_suffix(void **state)
{
	struct snapshot_builder *b = start();
	struct entente_err err;
	(void)state;
	assert_int_equal(allow(b, "Contoso.com", &err), 0);
	assert_int_equal(allow(b, "it.contoso.com", &err), 0);
	assert_int_equal(allow(b, "contoso.com.", &err), ENTENTE_EEXIST);
	assert_int_equal(allow(b, "evil.test", &err), ENTENTE_EEXIST);  /* never on both lists */
	assert_int_equal(allow(b, "good.evil.test", &err), 0);         /* only equal entries exclude each other */
	assert_int_equal(allow(b, "ours.test", &err), ENTENTE_EEXIST);
	assert_int_equal(allow(b, "xmpp.test", &err), ENTENTE_EEXIST);
	assert_int_equal(allow(b, "not a domain", &err), ENTENTE_EINVAL);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	static const struct {
		const char *domain, *by;
	} cases[] = {{"contoso.com", "contoso.com"}, {"CONTOSO.COM", "contoso.com"}, {"hr.contoso.com", "contoso.com"},
		     {"it.contoso.com", "it.contoso.com"}, {"a.b.it.contoso.com", "it.contoso.com"}, {"notcontoso.com", NULL}, {"com", NULL},
		     {"contoso.com.evil.test", NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct policy_allowed *a = snapshot_allowed(s, slice_str(cases[i].domain));
		assert_int_equal(a != NULL, cases[i].by != NULL);
		if (a)
			assert_true(slice_eq(a->domain, slice_str(cases[i].by)));
	}
	assert_int_equal(snapshot_allowed_count(s), 3);
	snapshot_unref(s);
}

static int provider(struct snapshot_builder *b, const char *name, enum policy_provider_kind kind, const char *fields, struct entente_err *err)
{
	struct policy_provider p = {.name = slice_str(name), .kind = kind};
	policy_fields_defaults(POLICY_TABLE_PROVIDER, &p);
	assert_int_equal(policy_fields_read(POLICY_TABLE_PROVIDER, &p, slice_str(fields), NULL), 0);
	return snapshot_builder_provider(b, &p, err);
}

static void test_providers_unique(void **state)
{
	struct snapshot_builder *b = start();
	struct entente_err err;
	(void)state;
	assert_int_equal(provider(b, "Online", POLICY_HOSTING, "proxy-fqdn=sipfed.online.test\n", &err), 0);
	assert_int_equal(provider(b, "Online", POLICY_PUBLIC, "proxy-fqdn=other.test\n", &err), ENTENTE_EEXIST); /* over both kinds */
	assert_int_equal(provider(b, "Two", POLICY_PUBLIC, "proxy-fqdn=sipfed.online.test\n", &err), ENTENTE_EEXIST);
	assert_int_equal(provider(b, "Two", POLICY_PUBLIC, "", &err), ENTENTE_EINVAL);
	assert_int_equal(provider(b, "", POLICY_PUBLIC, "proxy-fqdn=x.test\n", &err), ENTENTE_EINVAL);
	assert_int_equal(provider(b, "Two", POLICY_PUBLIC, "proxy-fqdn=x.test\nshared-address-space=true\n", &err), ENTENTE_EINVAL);
	assert_int_equal(provider(b, "Two", POLICY_HOSTING, "proxy-fqdn=x.test\nname-decoration-routing-domain=m.test\n", &err), ENTENTE_EINVAL);
	assert_int_equal(provider(b, "Two", POLICY_PUBLIC, "proxy-fqdn=x.test\nname-decoration-routing-domain=m.test\n", &err), 0);
	struct policy_access a;
	policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
	a.routing = POLICY_ROUTE_DEFAULT;
	a.default_route = S("sip.hub.test");
	assert_int_equal(snapshot_builder_access(b, &a, &err), ENTENTE_EINVAL); /* providers must be deleted first */
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	assert_ptr_equal(snapshot_provider(s, S("Two")), snapshot_provider_by_proxy(s, S("X.test")));
	assert_null(snapshot_provider(s, S("Three")));
	assert_int_equal(snapshot_provider_count(s), 2);
	snapshot_unref(s);
}

static void test_routing_modes(void **state)
{
	static const struct {
		const char *fields;
		bool ok;
	} cases[] = {
		{"routing=default\n", false},
		{"routing=default\ndefault-route-fqdn=hub.test\n", true},
		{"routing=default\ndefault-route-fqdn=hub.test\nis-public-provider=true\n", true},
		{"routing=default\ndefault-route-fqdn=hub.test\npartner-discovery=true\n", false},
		{"routing=default\ndefault-route-fqdn=hub.test\nclearing-house=true\n", false},
		{"default-route-fqdn=hub.test\n", false},
		{"is-public-provider=true\n", false},
		{"partner-discovery=true\nclearing-house=true\n", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct snapshot_builder *b = start();
		struct policy_access a;
		struct entente_err err;
		policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
		assert_int_equal(policy_fields_read(POLICY_TABLE_ACCESS, &a, slice_str(cases[i].fields), &err), 0);
		if ((snapshot_builder_access(b, &a, &err) == 0) != cases[i].ok)
			fail_msg("case %zu", i);
		if (cases[i].ok && a.routing == POLICY_ROUTE_DEFAULT)
			assert_int_equal(provider(b, "P", POLICY_PUBLIC, "proxy-fqdn=p.test\n", &err), ENTENTE_EINVAL);
		snapshot_builder_free(b);
	}
}

static void test_closed_by_default(void **state)
{
	struct snapshot *s = snapshot_builder_freeze(start(), 1);
	(void)state;
	assert_false(snapshot_access(s)->federated_users);
	assert_false(snapshot_access(s)->discovery);
	assert_int_equal(snapshot_access(s)->standard_rate, 20);
	assert_int_equal(snapshot_access(s)->max_contacts, 1000);
	snapshot_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"L01 each parameter: default, range, text", test_each_parameter, NULL, NULL, NULL},     cmocka_unit_test(test_read_is_lenient_to_versions),
		{"L03 L04 a domain is on one list, and covers those below", test_allowed_unique_and_by_suffix, NULL, NULL, NULL}, {"L03 names and proxies of providers are unique", test_providers_unique, NULL, NULL, NULL},
		{"L08 default route and providers exclude each other", test_routing_modes, NULL, NULL, NULL},      {"L08 closed by default", test_closed_by_default, NULL, NULL, NULL},
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
