/* SPDX-License-Identifier: Apache-2.0 */
/* Partners and blocked domains against a real store. */
#include "rig.h"

#include "fields.h"

static void add(void **state)
{
	struct rig *r = *state;
	rig_text(r, "partner xmpp add Fabrikam.Test --type federated", 0,
		 "fabrikam.test is now an XMPP partner.\n"
		 "fabrikam.test\n"
		 "  type               federated\n"
		 "  enabled            yes\n"
		 "  tls                required\n"
		 "  sasl               optional\n"
		 "  dialback           yes\n"
		 "  proves itself by   certificate (SASL EXTERNAL) or dialback inside TLS\n"
		 "  server             by DNS SRV\n"
		 "  connection limit   as limits.max-connections-per-partner\n"
		 "  keep-alive         yes\n");
	assert_int_equal(r->published, 1);
	const struct policy_partner *p = snapshot_partner(r->snapshot, S("fabrikam.test"));
	assert_non_null(p);
	assert_int_equal(p->type, POLICY_FEDERATED);
	assert_int_equal(p->tls, POLICY_REQUIRED);
	rig_error(r, "partner xmpp add fabrikam.test --type federated", 1, "exists", "fabrikam.test is an XMPP partner already");
	assert_int_equal(r->published, 1);
}

static void add_everything(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add a.test --type public-unverified --tls optional --sasl required --dialback --server x.a.test:5270 "
		  "--additional-domain b.test --additional-domain c.test --connection-limit 7 --no-keep-alive --description 'free provider' --disabled");
	const struct policy_partner *p = snapshot_partner(r->snapshot, S("c.test"));
	assert_non_null(p);
	assert_true(slice_eq(p->domain, S("a.test")));
	assert_int_equal(p->type, POLICY_PUBLIC_UNVERIFIED);
	assert_int_equal(p->tls, POLICY_OPTIONAL);
	assert_int_equal(p->sasl, POLICY_REQUIRED);
	assert_true(p->dialback);
	assert_true(slice_eq(p->server_host, S("x.a.test")));
	assert_int_equal(p->server_port, 5270);
	assert_int_equal(p->n_additional, 2);
	assert_int_equal(p->connection_limit, 7);
	assert_false(p->keep_alive);
	assert_false(p->enabled);
	assert_true(slice_eq(p->description, S("free provider")));
}

static void pins(void **state)
{
	struct rig *r = *state;
	static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	rig_ok(r, "partner xmpp add a.test --type federated --pin sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= "
		  "--pin FF0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f --pin-mode block --client-certificate none "
		  "--no-dane --delegation");
	const struct policy_partner *p = snapshot_partner(r->snapshot, S("a.test"));
	assert_int_equal(p->n_pins, 2);
	assert_int_equal(p->pins[0].sha256[31], 0x1f);
	assert_int_equal(p->pins[1].sha256[0], 0xff);
	assert_int_equal(p->pin_mode, POLICY_PIN_BLOCK);
	assert_int_equal(p->own_certificate, POLICY_OWN_NONE);
	assert_false(p->dane);
	assert_true(p->delegation);
	json_t *j = rig_run(r, false, 0, "partner xmpp show a.test");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "  we show it         no certificate\n"));
	assert_non_null(strstr(text, "  another key than   these is refused:\n"));
	assert_non_null(strstr(text, hex));
	json_decref(j);
	rig_error(r, "partner xmpp set a.test --tls optional", 2, "usage",
		  "pins: to block other keys TLS must be required, or a stream without TLS goes round them");
	rig_ok(r, "partner xmpp set a.test --no-pins --client-certificate server --dane --no-delegation");
	p = snapshot_partner(r->snapshot, S("a.test"));
	assert_int_equal(p->n_pins, 0);
	assert_int_equal(p->own_certificate, POLICY_OWN_SERVER);
	assert_true(p->dane && !p->delegation);
}

static void shown(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add a.test --type federated");
	json_t *j = rig_run(r, false, 0, "partner xmpp show a.test");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "  key last seen      0102\n                     at 2026-11-21T18:00:00Z, when we called it\n"
				     "                     CN=a.test, by CN=CA, until 2027-01-15\n"));
	assert_non_null(strstr(text, "    strict           works, by certificates (one that demands TLS and certificates)\n"));
	assert_non_null(strstr(text, "    lenient          works, by certificates (one that takes what it gets)\n"));
	assert_non_null(strstr(text, "    plain            FAILS: TLS is required here and it has none (one without TLS)\n"));
	json_decref(j);
}

static void lookalikes(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	json_t *j = rig_run(r, true, 0, "partner xmpp add fabr1kam.test --type federated --additional-domain f\xd0\xb0rm.test --what-if");
	json_t *list = json_object_get(j, "warnings");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 0)),
			    "fabr1kam.test looks like fabrikam.test, which is a partner: make sure that it is the one that is meant");
	assert_non_null(strstr(json_string_value(json_array_get(list, 1)), "mixes scripts within a label"));
	json_decref(j);
	j = rig_run(r, true, 0, "partner xmpp set fabrikam.test --add-domain im.fabrikam.test"); /* its own subdomain is no imitation */
	assert_null(json_object_get(j, "warnings"));
	json_decref(j);
}

static void warnings(void **state)
{
	json_t *j = rig_run(*state, true, 0, "partner xmpp add a.test --type public-verified --tls optional");
	json_t *list = json_object_get(j, "warnings");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 0);
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(json_string_value(json_array_get(list, 0)), policy_warning_text(POLICY_WARN_SASL_NEEDS_TLS));
	assert_string_equal(json_string_value(json_array_get(list, 1)), policy_warning_text(POLICY_WARN_CLEARTEXT));
	assert_string_equal(json_string_value(json_array_get(list, 2)), policy_warning_text(POLICY_WARN_PUBLIC_VERIFIED));
	json_decref(j);
}

static void refusals(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add wide.test --type federated --additional-domain *.M\xc3\xbcnchen.test");
	rig_error(r, "partner xmpp add x.test --type federated --additional-domain *.xn--mnchen-3ya.test", 1, "exists",
		  "the domain *.xn--mnchen-3ya.test belongs to the partner wide.test already");
	rig_ok(r, "partner xmpp remove wide.test");
	rig_ok(r, "partner xmpp add a.test --type federated --additional-domain b.test");
	rig_error(r, "partner xmpp add emea.contoso.test --type federated", 4, "refused", "emea.contoso.test is one of our own domains (home main)");
	rig_error(r, "partner xmpp add x.test --type federated --additional-domain contoso.test", 4, "refused",
		  "contoso.test is one of our own domains (home main)");
	rig_error(r, "partner xmpp add b.test --type federated", 1, "exists", "b.test belongs to the XMPP partner a.test already");
	rig_error(r, "partner xmpp add x.test --type federated --no-tls --no-dialback", 2, "usage",
		  "no way to authenticate is left: enable dialback, or allow TLS and SASL");
	rig_error(r, "partner xmpp add x.test --type federated --additional-domain y.test --additional-domain y.test", 2, "usage",
		  "additional domains: 'y.test' is named twice");
	rig_error(r, "partner xmpp set x.test --disabled", 1, "not-found", "x.test is not an XMPP partner");
	rig_error(r, "partner xmpp set b.test --disabled", 1, "not-found", "b.test is an additional domain of the XMPP partner a.test");
	rig_error(r, "partner xmpp remove x.test", 1, "not-found", "x.test is not an XMPP partner");
	rig_error(r, "partner xmpp show x.test", 1, "not-found", "x.test is not an XMPP partner");
	rig_error(r, "partner xmpp set a.test --remove-domain c.test", 1, "not-found", "c.test is not an additional domain of a.test");
	assert_int_equal(snapshot_partner_count(r->snapshot), 1);
}

static void set(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add a.test --type federated --additional-domain b.test --server h.test --description old");
	rig_text(r, "partner xmpp set a.test --type public-unverified --add-domain c.test --no-server --description 'new one'", 0,
		 "a.test: changed\n"
		 "  type               federated -> public-unverified\n"
		 "  additional domains b.test -> b.test, c.test\n"
		 "  server             h.test -> none\n"
		 "  description        old -> new one\n");
	const struct policy_partner *p = snapshot_partner(r->snapshot, S("a.test"));
	assert_int_equal(p->type, POLICY_PUBLIC_UNVERIFIED);
	assert_int_equal(p->tls, POLICY_REQUIRED); /* not given: not changed */
	assert_int_equal(p->n_additional, 2);
	unsigned published = r->published;
	rig_text(r, "partner xmpp set a.test --type public-unverified", 0, "a.test is so already; nothing was changed.\n");
	assert_int_equal(r->published, published);
	rig_ok(r, "partner xmpp set a.test --remove-domain b.test");
	rig_ok(r, "partner xmpp set a.test --additional-domain d.test --add-domain e.test");
	p = snapshot_partner(r->snapshot, S("a.test"));
	assert_int_equal(p->n_additional, 2);
	assert_null(snapshot_partner(r->snapshot, S("c.test")));
	rig_ok(r, "partner xmpp set a.test --no-additional-domains --disabled");
	p = snapshot_partner(r->snapshot, S("a.test"));
	assert_int_equal(p->n_additional, 0);
	assert_false(p->enabled);
}

static void what_if(void **state)
{
	struct rig *r = *state;
	json_t *d = rig_data(r, "partner xmpp add a.test --type federated --what-if", 0);
	assert_true(json_is_true(json_object_get(d, "what_if")));
	json_decref(d);
	assert_null(snapshot_partner(r->snapshot, S("a.test")));
	rig_ok(r, "partner xmpp add a.test --type federated");
	rig_text(r, "partner xmpp set a.test --no-sasl --what-if", 0, "a.test: would change\n  sasl               optional -> not-supported\n");
	rig_text(r, "partner xmpp remove a.test --what-if", 0, "a.test would no longer be an XMPP partner.\n");
	assert_non_null(snapshot_partner(r->snapshot, S("a.test")));
	assert_int_equal(r->published, 1);
}

static void lists(void **state)
{
	struct rig *r = *state;
	rig_text(r, "partner xmpp list", 0, "There are no XMPP partners: nothing passes. `entente partner xmpp add` lets one in.\n");
	rig_ok(r, "partner xmpp add fabrikam.test --type federated --additional-domain fabrikam.org");
	rig_ok(r, "partner xmpp add chat.test --type public-unverified --no-sasl --disabled --description 'free provider'");
	rig_text(r, "partner xmpp list", 0,
		 "DOMAIN         TYPE               STATE     TLS       SASL           DIALBACK  ALSO          DESCRIPTION\n"
		 "chat.test      public-unverified  DISABLED  required  not-supported  yes                     free provider\n"
		 "fabrikam.test  federated          enabled   required  optional       yes       fabrikam.org\n");
	rig_text(r, "partner xmpp list --names", 0, "chat.test\nfabrikam.test\n");
	rig_text(r, "partner xmpp list --names --filter *.ORG", 0, "fabrikam.test\n");
	rig_text(r, "partner xmpp list --names --type public-unverified", 0, "chat.test\n");
	rig_text(r, "partner xmpp list --filter nothing*", 0, "No XMPP partner is like that.\n");
	json_t *d = rig_data(r, "partner xmpp show fabrikam.org", 0);
	assert_string_equal(json_string_value(json_object_get(d, "domain")), "fabrikam.test");
	json_decref(d);
}

static void removed(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add a.test --type federated");
	rig_text(r, "partner xmpp remove a.test", 0, "a.test is no longer an XMPP partner.\n");
	assert_null(snapshot_partner(r->snapshot, S("a.test")));
}

/* Saved, but the daemon cannot put it in force: the administrator must know both. */
static void not_in_force(void **state)
{
	struct rig *r = *state;
	r->refuse_publish = true;
	rig_error(r, "partner xmpp add a.test --type federated", 69, "not-in-force",
		  "the change is saved but not in force, the policy before it still is: no more room");
	r->refuse_publish = false;
	rig_error(r, "partner xmpp add a.test --type federated", 1, "exists", "the domain a.test belongs to the partner a.test already");
}

static void blocked(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add im.fabrikam.test --type federated");
	rig_text(r, "blocked-domain list", 0, "No domain is blocked.\n");
	rig_text(r, "blocked-domain add fabrikam.test --what-if", 0,
		 "fabrikam.test and its subdomains would be blocked.\n  this concerns the XMPP partner im.fabrikam.test: nothing passes\n");
	assert_false(snapshot_blocked(r->snapshot, S("im.fabrikam.test")).p);
	rig_text(r, "blocked-domain add fabrikam.test --comment spam", 0,
		 "fabrikam.test and its subdomains are now blocked.\n  this concerns the XMPP partner im.fabrikam.test: nothing passes\n");
	assert_true(snapshot_blocked(r->snapshot, S("im.fabrikam.test")).p);
	rig_error(r, "blocked-domain add fabrikam.test", 1, "exists", "fabrikam.test is blocked already");
	rig_error(r, "blocked-domain remove im.fabrikam.test", 1, "not-found", "im.fabrikam.test itself is not on the list of blocked domains");
	json_t *j = rig_run(r, true, 0, "partner xmpp set im.fabrikam.test --no-sasl");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "warnings"), 0)),
			    "im.fabrikam.test is blocked: nothing passes until `entente blocked-domain remove fabrikam.test`");
	json_decref(j);
	json_t *d = rig_data(r, "blocked-domain list", 0), *b = json_array_get(json_object_get(d, "blocked"), 0);
	assert_string_equal(json_string_value(json_object_get(b, "domain")), "fabrikam.test");
	assert_string_equal(json_string_value(json_object_get(b, "comment")), "spam");
	json_decref(d);
	rig_ok(r, "blocked-domain remove fabrikam.test");
	assert_false(snapshot_blocked(r->snapshot, S("im.fabrikam.test")).p);
}

static void history(void **state)
{
	struct rig *r = *state;
	rig_text(r, "history", 0, "Nothing was changed yet.\n");
	rig_ok(r, "partner xmpp add a.test --type federated");
	rig_ok(r, "partner xmpp remove a.test");
	json_t *d = rig_data(r, "history --limit 1", 0), *list = json_object_get(d, "changes");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "what")), "partner remove a.test");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "who")), "alice");
	json_decref(d);
}

/* What --json prints has the members that the manual names, all of them and no others. */
static void documented(void **state)
{
	struct rig *r = *state;
	fields_check(r, "partner xmpp add a.test --type federated --additional-domain b.test "
			"--pin 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f --what-if", 0);
	rig_ok(r, "partner xmpp add a.test --type federated --additional-domain b.test "
		  "--pin 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	fields_check(r, "partner xmpp set a.test --no-sasl --what-if", 0);
	fields_check(r, "partner xmpp show a.test", 0);
	fields_check(r, "partner xmpp list", 0);
	fields_check(r, "partner xmpp remove a.test --what-if", 0);
	fields_check(r, "blocked-domain add a.test --comment x --what-if", 0);
	rig_ok(r, "blocked-domain add a.test --comment x");
	fields_check(r, "blocked-domain list", 0);
	fields_check(r, "blocked-domain remove a.test --what-if", 0);
	fields_check(r, "history", 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(add), TEST(add_everything), TEST(pins), TEST(shown), TEST(lookalikes), TEST(warnings), TEST(refusals), TEST(set), TEST(what_if), TEST(lists), TEST(removed),
		TEST(not_in_force), TEST(blocked), TEST(history), TEST(documented),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
