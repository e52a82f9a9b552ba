/* SPDX-License-Identifier: Apache-2.0 */
/* SIP federation by commands, against a real store: each parameter from the command line to the snapshot, and what may not be. */
#include "fields.h"
#include "store/store_federation.h"

static void closed_then_open(void **state)
{
	struct rig *r = *state;
	assert_false(snapshot_access(r->snapshot)->federated_users);
	json_t *d = rig_data(r, "access-edge show", 0), *a = json_object_get(d, "access");
	assert_true(json_is_false(json_object_get(a, "federated_users")));
	assert_int_equal(json_integer_value(json_object_get(a, "max_contacts")), 1000);
	json_decref(d);
	rig_ok(r, "access-edge set --federated-users --what-if");
	assert_false(snapshot_access(r->snapshot)->federated_users);
	rig_ok(r, "access-edge set --federated-users --partner-discovery --discovered-partner-standard-rate 7 "
		  "--discovered-partner-verification-level always-unverifiable");
	rig_ok(r, "access-edge set --mark-source-verifiable=false"); /* the others stay */
	const struct policy_access *x = snapshot_access(r->snapshot);
	assert_true(x->federated_users && x->discovery && x->standard_rate == 7 && !x->mark_verifiable);
	assert_int_equal(x->discovered_verification, POLICY_ALWAYS_UNVERIFIABLE);
	rig_error(r, "access-edge set --routing default", 2, "usage", "nothing was changed: routing default needs default-route-fqdn");
	rig_ok(r, "access-edge set --routing default --default-route-fqdn hub.test --partner-discovery=false");
	assert_int_equal(snapshot_access(r->snapshot)->routing, POLICY_ROUTE_DEFAULT);
	rig_error(r, "public-provider add Chat --proxy-fqdn chat.test", 4, "conflict", "providers cannot be used with routing default");
	rig_ok(r, "access-edge set --routing dns-srv"); /* takes its server along */
	assert_true(slice_empty(snapshot_access(r->snapshot)->default_route));
}

static void allowed(void **state)
{
	struct rig *r = *state;
	rig_text(r, "allowed-domain list", 0, "No domain is allowed.\n");
	rig_ok(r, "allowed-domain add Fabrikam.test --proxy-fqdn edge.fabrikam.test --mark-for-monitoring --comment 'by contract'");
	const struct policy_allowed *a = snapshot_allowed(r->snapshot, S("it.fabrikam.test"));
	assert_non_null(a);
	assert_true(slice_eq(a->proxy_fqdn, S("edge.fabrikam.test")) && a->monitoring && a->verification == POLICY_USE_SOURCE);
	rig_ok(r, "allowed-domain set fabrikam.test --verification-level always-verifiable");
	a = snapshot_allowed(r->snapshot, S("fabrikam.test"));
	assert_true(slice_eq(a->proxy_fqdn, S("edge.fabrikam.test")) && a->verification == POLICY_ALWAYS_VERIFIABLE);
	rig_ok(r, "allowed-domain set fabrikam.test --dns-srv");
	assert_true(slice_empty(snapshot_allowed(r->snapshot, S("fabrikam.test"))->proxy_fqdn));
	rig_text(r, "allowed-domain list", 0,
		 "DOMAIN         VERIFICATION LEVEL  MONITORED  COMMENT\n"
		 "fabrikam.test  always-verifiable   yes        by contract\n");
	rig_error(r, "allowed-domain add fabrikam.test", 1, "exists", "the allowed domain fabrikam.test exists already");
	/* never on both lists, either way round */
	rig_error(r, "blocked-domain add fabrikam.test", 4, "conflict",
		  "fabrikam.test is an allowed domain: it can be on one of the lists only");
	rig_ok(r, "blocked-domain add evil.test");
	rig_error(r, "allowed-domain add evil.test", 4, "conflict", "evil.test is blocked: a domain can be on one of the lists only");
	rig_error(r, "allowed-domain add contoso.test", 4, "conflict", "contoso.test is one of our own domains");
	rig_ok(r, "allowed-domain remove fabrikam.test");
	assert_null(snapshot_allowed(r->snapshot, S("fabrikam.test")));
	rig_error(r, "allowed-domain set fabrikam.test --dns-srv", 1, "not-found", "there is no allowed domain fabrikam.test");
}

static void providers(void **state)
{
	struct rig *r = *state;
	rig_error(r, "hosting-provider add Online", 2, "usage", "nothing was changed: the provider Online needs proxy-fqdn");
	rig_ok(r, "hosting-provider add Online --proxy-fqdn sipfed.online.test --shared-address-space");
	const struct policy_provider *p = snapshot_provider(r->snapshot, S("Online"));
	assert_true(p && !p->enabled && p->shared_address_space && p->kind == POLICY_HOSTING && p->verification == POLICY_ALWAYS_UNVERIFIABLE);
	rig_ok(r, "hosting-provider enable Online");
	assert_true(snapshot_provider(r->snapshot, S("Online"))->enabled);
	rig_ok(r, "hosting-provider disable Online");
	assert_false(snapshot_provider(r->snapshot, S("Online"))->enabled);
	rig_error(r, "hosting-provider set Online --proxy-fqdn other.test", 4, "conflict", "proxy-fqdn of a provider cannot be changed");
	rig_error(r, "public-provider add Online --proxy-fqdn x.test", 1, "exists", "there is a hosting provider Online already");
	rig_error(r, "public-provider add Two --proxy-fqdn sipfed.online.test", 4, "conflict",
		  "sipfed.online.test is the server of the provider Online already");
	rig_ok(r, "public-provider add Skype --proxy-fqdn fed.msg.test --enabled --name-decoration-routing-domain msn.test "
		  "--name-decoration-excluded-domains msn.test --name-decoration-excluded-domains live.test");
	assert_true(slice_eq(snapshot_provider(r->snapshot, S("Skype"))->excluded_domains, S("msn.test live.test")));
	rig_text(r, "public-provider list", 0,
		 "NAME   PROXY FQDN    ENABLED  VERIFICATION LEVEL\n"
		 "Skype  fed.msg.test  yes      always-unverifiable\n");
	rig_ok(r, "public-provider remove Skype");
	assert_null(snapshot_provider(r->snapshot, S("Skype")));
}

static void survives_and_is_remembered(void **state)
{
	struct rig *r = *state;
	struct entente_err err;
	rig_ok(r, "allowed-domain add a.test --comment 'x=y'");
	rig_ok(r, "access-edge set --federated-users");
	store_close(r->store);
	assert_int_equal(store_open(&r->store, &(struct store_options){.directory = r->dir}, &err), 0);
	assert_int_equal(rig_publish(r, &err), 0);
	assert_true(snapshot_access(r->snapshot)->federated_users);
	assert_true(slice_eq(snapshot_allowed(r->snapshot, S("a.test"))->comment, S("x=y")));
	admin_free(r->admin);
	r->admin = admin_new(r->store, &rig_ops, r);
	json_t *d = rig_data(r, "history --limit 2", 0), *list = json_object_get(d, "changes");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "what")), "access-edge set federated-users=true");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "what")), "allowed-domain a.test add comment=x=y");
	json_decref(d);
}

static void documented(void **state)
{
	struct rig *r = *state;
	fields_check(r, "access-edge set --federated-users --what-if", 0);
	fields_check(r, "allowed-domain add a.test --what-if", 0);
	fields_check(r, "hosting-provider add A --proxy-fqdn a.test --what-if", 0);
	fields_check(r, "public-provider add A --proxy-fqdn a.test --what-if", 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(closed_then_open), TEST(allowed), TEST(providers), TEST(survives_and_is_remembered), TEST(documented)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
