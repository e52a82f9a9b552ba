/* SPDX-License-Identifier: Apache-2.0 */
/* explain: the text for each of the main refusals, word for word. */
#include "rig.h"

#include "fields.h"

static int setup(void **state)
{
	rig_setup(state);
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	rig_ok(r, "partner xmpp add chat.test --type public-unverified");
	rig_ok(r, "partner xmpp add off.test --type federated --disabled");
	rig_ok(r, "partner xmpp add spam.test --type federated");
	rig_ok(r, "blocked-domain add spam.test");
	return 0;
}

static void allowed_out(void **state)
{
	rig_text(*state, "explain --from sip:romeo@contoso.test --to xmpp:juliet@fabrikam.test --kind message", 0,
		 "a message from romeo@contoso.test to juliet@fabrikam.test\n"
		 "  direction  from our side to an XMPP partner\n"
		 "  supposed   it comes from the home main\n"
		 "\n"
		 "  pass  address          both domains are well-formed\n"
		 "  pass  loop             sender is no partner, recipient is not ours\n"
		 "  pass  sender-domain    the sender's domain is ours: contoso.test\n"
		 "                         by home main, domain contoso.test,\n"
		 "                         /etc/entente/entente.yaml:9\n"
		 "  pass  sender-identity  the connection belongs to the sender's home: main\n"
		 "                         by home main, /etc/entente/entente.yaml:7\n"
		 "  pass  domain-blocked   no blocked domain covers it: fabrikam.test\n"
		 "  pass  partner-known    the domain belongs to a partner: fabrikam.test\n"
		 "                         by partner xmpp fabrikam.test (0000-00-00T00:00:00Z by\n"
		 "                         alice: partner add fabrikam.test type=federated\n"
		 "                         enabled=yes tls=required sasl=optional dialback=yes\n"
		 "                         keep-alive=yes)\n"
		 "  pass  partner-enabled  the partner is enabled: fabrikam.test\n"
		 "                         by partner xmpp fabrikam.test enabled=yes\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add\n"
		 "                         fabrikam.test type=federated enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "  pass  partner-network  the partner is reached by this network: xmpp\n"
		 "                         by partner xmpp fabrikam.test protocol=xmpp\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add\n"
		 "                         fabrikam.test type=federated enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "  pass  local-domain     a home serves the local domain: main\n"
		 "                         by home main, domain contoso.test,\n"
		 "                         /etc/entente/entente.yaml:9\n"
		 "  pass  xmpp-access      XMPP is on for the organisation\n"
		 "                         by xmpp.access=true, /etc/entente/entente.yaml:21\n"
		 "  pass  external-access  the global policy allows XMPP: global\n"
		 "                         by external-access global\n"
		 "  pass  contact          users of this partner type need no consent: federated\n"
		 "                         by partner xmpp fabrikam.test type=federated\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add\n"
		 "                         fabrikam.test type=federated enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "\n"
		 "ALLOWED\n"
		 "  notes      status notes of our users are shown to this partner\n");
}

static void allowed_in(void **state)
{
	json_t *d = rig_data(*state, "explain --from juliet@chat.test --to romeo@contoso.test --kind presence", 0);
	assert_true(json_is_true(json_object_get(d, "allowed")));
	assert_true(json_is_null(json_object_get(d, "reason")));
	assert_string_equal(json_string_value(json_object_get(d, "direction")), "to-local");
	assert_string_equal(json_string_value(json_object_get(d, "kind")), "presence-subscribe");
	assert_string_equal(json_string_value(json_object_get(d, "contact")), "yes");
	assert_string_equal(json_string_value(json_object_get(d, "notes")), "hidden");
	json_decref(d);
}

static void partner_unknown(void **state)
{
	rig_text(*state, "explain --from sip:romeo@contoso.test --to xmpp:tybalt@litware.test --kind message", 1,
		 "a message from romeo@contoso.test to tybalt@litware.test\n"
		 "  direction  from our side to an XMPP partner\n"
		 "  supposed   it comes from the home main\n"
		 "\n"
		 "  pass  address          both domains are well-formed\n"
		 "  pass  loop             sender is no partner, recipient is not ours\n"
		 "  pass  sender-domain    the sender's domain is ours: contoso.test\n"
		 "                         by home main, domain contoso.test,\n"
		 "                         /etc/entente/entente.yaml:9\n"
		 "  pass  sender-identity  the connection belongs to the sender's home: main\n"
		 "                         by home main, /etc/entente/entente.yaml:7\n"
		 "  pass  domain-blocked   no blocked domain covers it: litware.test\n"
		 "  DENY  partner-known    no partner has this domain: litware.test\n"
		 "\n"
		 "REFUSED: policy/partner-unknown\n"
		 "  why        the domain is not a configured partner\n"
		 "  fixed by   you, the administrator\n"
		 "  next step  if you want to communicate with litware.test: entente partner xmpp\n"
		 "             add litware.test --type public-unverified (or federated, when you\n"
		 "             trust the organisation; `entente help partner xmpp add` tells the\n"
		 "             difference)\n"
		 "  answer     SIP status 403\n");
}

static void contact_required(void **state)
{
	rig_text(*state, "explain --from mercutio@chat.test --to romeo@contoso.test --kind message", 1,
		 "a message from mercutio@chat.test to romeo@contoso.test\n"
		 "  direction  from an XMPP partner to our side\n"
		 "  supposed   the partner's connection has proved the domain chat.test\n"
		 "\n"
		 "  pass  address          both domains are well-formed\n"
		 "  skip  loop             concerns only what comes from a home\n"
		 "  pass  sender-domain    the sender's domain is not ours: chat.test\n"
		 "  pass  sender-identity  the connection has proved the sender's domain:\n"
		 "                         chat.test\n"
		 "  pass  domain-blocked   no blocked domain covers it: chat.test\n"
		 "  pass  partner-known    the domain belongs to a partner: chat.test\n"
		 "                         by partner xmpp chat.test (0000-00-00T00:00:00Z by\n"
		 "                         alice: partner add chat.test type=public-unverified\n"
		 "                         enabled=yes tls=required sasl=optional dialback=yes\n"
		 "                         keep-alive=yes)\n"
		 "  pass  partner-enabled  the partner is enabled: chat.test\n"
		 "                         by partner xmpp chat.test enabled=yes\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add chat.test\n"
		 "                         type=public-unverified enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "  pass  partner-network  the partner is reached by this network: xmpp\n"
		 "                         by partner xmpp chat.test protocol=xmpp\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add chat.test\n"
		 "                         type=public-unverified enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "  pass  local-domain     a home serves the local domain: main\n"
		 "                         by home main, domain contoso.test,\n"
		 "                         /etc/entente/entente.yaml:9\n"
		 "  pass  xmpp-access      XMPP is on for the organisation\n"
		 "                         by xmpp.access=true, /etc/entente/entente.yaml:21\n"
		 "  pass  external-access  the global policy allows XMPP: global\n"
		 "                         by external-access global\n"
		 "  DENY  contact          the local user does not have the remote user as\n"
		 "                         contact: romeo\n"
		 "                         by partner xmpp chat.test type=public-unverified\n"
		 "                         (0000-00-00T00:00:00Z by alice: partner add chat.test\n"
		 "                         type=public-unverified enabled=yes tls=required\n"
		 "                         sasl=optional dialback=yes keep-alive=yes)\n"
		 "\n"
		 "REFUSED: policy/contact-required\n"
		 "  why        a public unverified partner may reach only users who have the\n"
		 "             sender as contact\n"
		 "  fixed by   your user\n"
		 "  next step  romeo@contoso.test adds mercutio@chat.test as contact, or writes\n"
		 "             first. For a partner that you trust: entente partner xmpp set\n"
		 "             chat.test --type federated\n"
		 "  answer     XMPP error service-unavailable, type cancel\n");
}

static void refused(struct rig *r, const char *command, const char *reason, const char *rule, const char *next)
{
	json_t *d = rig_data(r, command, 1), *steps = json_object_get(d, "steps");
	assert_false(json_is_true(json_object_get(d, "allowed")));
	assert_string_equal(json_string_value(json_object_get(d, "reason")), reason);
	json_t *last = json_array_get(steps, json_array_size(steps) - 1);
	assert_string_equal(json_string_value(json_object_get(last, "rule")), rule);
	assert_string_equal(json_string_value(json_object_get(last, "outcome")), "deny");
	assert_non_null(strstr(json_string_value(json_object_get(d, "next_step")), next));
	json_decref(d);
}

static void other_refusals(void **state)
{
	struct rig *r = *state;
	refused(r, "explain --from romeo@contoso.test --to juliet@off.test --kind message", "policy/partner-disabled", "partner-enabled",
		"entente partner xmpp set off.test --enabled");
	refused(r, "explain --from romeo@contoso.test --to juliet@spam.test --kind iq", "policy/domain-blocked", "domain-blocked",
		"entente blocked-domain remove spam.test");
	refused(r, "explain --from juliet@fabrikam.test --to romeo@nobody.test --kind message", "policy/local-domain-unknown", "local-domain",
		"if nobody.test is one of your domains");
	refused(r, "explain --from juliet@fabrikam.test --to tybalt@chat.test --kind message --direction to-local", "policy/local-domain-unknown",
		"local-domain", "chat.test");
	refused(r, "explain --from juliet@fabrikam.test --to romeo@contoso.test --kind message --peer chat.test", "policy/spoofed-domain", "sender-identity",
		"fabrikam.test");
	refused(r, "explain --from romeo@contoso.test --to mercutio@contoso.test --kind message", "policy/loop", "loop", "routes");
	refused(r, "explain --from romeo@contoso.test --to romeo@emea.contoso.test --kind message --direction to-local", "policy/spoofed-domain",
		"sender-domain", "");
	r->gateway.xmpp_access = false;
	rig_publish(r, NULL);
	refused(r, "explain --from romeo@contoso.test --to juliet@fabrikam.test --kind message", "policy/xmpp-off", "xmpp-access", "xmpp.access");
}

static void addresses(void **state)
{
	struct rig *r = *state;
	rig_text(r, "explain --from sips:romeo@contoso.test --to juliet@fabrikam.test --kind message", 1,
		 "a message from sips:romeo@contoso.test to juliet@fabrikam.test\n"
		 "\n"
		 "REFUSED: address/sips-not-allowed\n"
		 "  why        sips addresses are not translated\n"
		 "  fixed by   the sender\n"
		 "  next step  the sender uses the address with sip: instead of sips:\n"
		 "  answer     SIP status 480\n");
	rig_error(r, "explain --from romeo --to juliet@fabrikam.test --kind message", 2, "usage", "--from: 'romeo' has no domain");
}

/* Neither side ours: what the addresses look like decides, and the refusal says it. */
static void direction_guess(void **state)
{
	struct rig *r = *state;
	json_t *d = rig_data(r, "explain --from sip:a@x.test --to xmpp:b@y.test --kind message", 1);
	assert_string_equal(json_string_value(json_object_get(d, "direction")), "to-remote");
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/spoofed-domain");
	json_decref(d);
	d = rig_data(r, "explain --from xmpp:a@x.test --to sip:b@y.test --kind message", 1);
	assert_string_equal(json_string_value(json_object_get(d, "direction")), "to-local");
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/partner-unknown");
	json_decref(d);
}

static void documented(void **state)
{
	fields_check(*state, "explain --from juliet@chat.test --to romeo@contoso.test --kind message", 0);
	fields_check(*state, "explain --from tybalt@chat.test --to romeo@contoso.test --kind message", 1);
	fields_check(*state, "explain --from sips:romeo@contoso.test --to juliet@fabrikam.test --kind message", 1);
	fields_check(*state, "explain --from romeo@contoso.test --to sips:juliet@fabrikam.test --kind message", 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(allowed_out), TEST(allowed_in), TEST(partner_unknown), TEST(contact_required), TEST(other_refusals), TEST(addresses),
		TEST(direction_guess), TEST(documented),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
