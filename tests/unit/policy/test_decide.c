/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "policy/decide.h"
#include "../external.h"

/* Homes: one (contoso.test, alt.test), two (second.test). Partners by type; off.test disabled; evil.test blocked. */
static struct snapshot *make(bool xmpp_access)
{
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	const struct slice d1[] = {S("contoso.test"), S("alt.test")}, d2[] = {S("second.test")}, more[] = {S("sub.fed.test")};
	struct policy_home one = {.name = S("one"), .next_hop = S("sip:a"), .domains = d1, .n_domains = 2};
	struct policy_home two = {.name = S("two"), .next_hop = S("sip:b"), .domains = d2, .n_domains = 1};
	snapshot_builder_home(b, &one, NULL);
	snapshot_builder_home(b, &two, NULL);
	const struct {
		struct slice domain;
		enum policy_partner_type type;
		bool enabled;
		enum policy_protocol protocol;
	} partners[] = {
		{S("fed.test"), POLICY_FEDERATED, true}, {S("ver.test"), POLICY_PUBLIC_VERIFIED, true},
		{S("unv.test"), POLICY_PUBLIC_UNVERIFIED, true}, {S("off.test"), POLICY_FEDERATED, false},
		{S("p.evil.test"), POLICY_FEDERATED, true},
		{S("moved.test"), POLICY_FEDERATED, true, POLICY_PROTOCOL_SIP}, {S("both.test"), POLICY_FEDERATED, true, POLICY_PROTOCOL_SIP_FIRST},
	};
	for (size_t i = 0; i < sizeof partners / sizeof *partners; i++) {
		struct policy_partner p = {.domain = partners[i].domain};
		policy_partner_defaults(&p);
		p.type = partners[i].type;
		p.enabled = partners[i].enabled;
		p.protocol = partners[i].protocol;
		if (i == 0) {
			p.additional = more;
			p.n_additional = 1;
		}
		assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	}
	snapshot_builder_block(b, S("evil.test"), NULL);
	struct policy_gateway g;
	policy_gateway_defaults(&g);
	g.xmpp_access = xmpp_access;
	snapshot_builder_gateway(b, &g);
	return snapshot_builder_freeze(b, 1);
}

/* short names, for the table */
#define IN POLICY_TO_LOCAL
#define OUT POLICY_TO_REMOTE
#define MSG POLICY_MESSAGE
#define SUB POLICY_PRESENCE_SUBSCRIBE
#define PROBE POLICY_PRESENCE_PROBE
#define STATE POLICY_PRESENCE_STATE
#define IQ POLICY_IQ
#define STREAM POLICY_STREAM
#define YES POLICY_CONTACT_YES
#define NO POLICY_CONTACT_NO
#define DUNNO POLICY_CONTACT_UNKNOWN
#define DENY(r) REASON_##r
#define SPOOFED REASON_POLICY_SPOOFED_DOMAIN
#define DISABLED REASON_POLICY_PARTNER_DISABLED
#define BLOCKED REASON_POLICY_DOMAIN_BLOCKED
#define BOTH (POLICY_NO_CONSENT | POLICY_HIDE_NOTE)

static const struct row {
	int line;
	enum policy_kind kind;
	enum policy_direction dir;
	const char *from, *to, *peer;
	uint32_t peer_home;
	enum policy_contact contact;
	enum reason want;      /* REASON_NONE: allowed */
	const char *rule;      /* that refuses */
	unsigned flags;
} rows[] = {
	/* address */
	{__LINE__, MSG, IN, "j@", "r@contoso.test", "fed.test", 0, YES, DENY(ADDRESS_MALFORMED), "address", 0},
	{__LINE__, MSG, IN, "j@fed.test", "r@con toso", "fed.test", 0, YES, DENY(ADDRESS_MALFORMED), "address", 0},
	{__LINE__, MSG, IN, "j@b\303\274cher.test", "r@contoso.test", "fed.test", 0, YES, DENY(ADDRESS_MALFORMED), "address", 0},
	{__LINE__, 77, IN, "j@fed.test", "r@contoso.test", "fed.test", 0, YES, DENY(SERVER_INTERNAL), "address", 0},
	{__LINE__, MSG, 5, "j@fed.test", "r@contoso.test", "fed.test", 0, YES, DENY(SERVER_INTERNAL), "address", 0},
	/* loop */
	{__LINE__, MSG, OUT, "j@fed.test", "x@unv.test", "", 0, YES, DENY(POLICY_LOOP), "loop", 0},
	{__LINE__, MSG, OUT, "j@fed.test", "r@contoso.test", "", 1, YES, DENY(POLICY_LOOP), "loop", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "s@second.test", "", 1, YES, DENY(POLICY_LOOP), "loop", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "q@contoso.test", "", 0, YES, DENY(POLICY_LOOP), "loop", 0},
	/* sender-domain */
	{__LINE__, MSG, IN, "r@contoso.test", "s@contoso.test", "contoso.test", 0, YES, SPOOFED, "sender-domain", 0},
	{__LINE__, MSG, IN, "r@Contoso.TEST", "s@second.test", "fed.test", 0, YES, SPOOFED, "sender-domain", 0},
	{__LINE__, STREAM, IN, "alt.test", "contoso.test", "", 0, DUNNO, SPOOFED, "sender-domain", 0},
	{__LINE__, MSG, OUT, "r@stranger.test", "j@fed.test", "", 0, YES, SPOOFED, "sender-domain", 0},
	{__LINE__, MSG, OUT, "r@x.contoso.test", "j@fed.test", "", 1, YES, SPOOFED, "sender-domain", 0},
	/* sender-identity */
	{__LINE__, MSG, IN, "j@fed.test", "r@contoso.test", "unv.test", 0, YES, SPOOFED, "sender-identity", 0},
	{__LINE__, MSG, IN, "j@fed.test", "r@contoso.test", "", 0, YES, SPOOFED, "sender-identity", 0},
	{__LINE__, MSG, IN, "j@sub.fed.test", "r@contoso.test", "fed.test", 0, YES, SPOOFED, "sender-identity", 0},
	{__LINE__, STREAM, IN, "fed.test", "contoso.test", "unv.test", 0, DUNNO, SPOOFED, "sender-identity", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "j@fed.test", "", 2, YES, SPOOFED, "sender-identity", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "j@fed.test", "", 99, YES, SPOOFED, "sender-identity", 0},
	{__LINE__, MSG, OUT, "s@second.test", "j@fed.test", "", 2, YES, REASON_NONE, NULL, POLICY_NO_CONSENT},
	/* domain-blocked, before partner-known: a blocked partner is blocked */
	{__LINE__, MSG, IN, "j@p.evil.test", "r@contoso.test", "p.evil.test", 0, YES, BLOCKED, "domain-blocked", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "j@x.evil.test", "", 1, YES, BLOCKED, "domain-blocked", 0},
	/* partner-known, before the local domain is looked at */
	{__LINE__, MSG, IN, "j@who.test", "r@contoso.test", "who.test", 0, YES, DENY(POLICY_PARTNER_UNKNOWN), "partner-known", 0},
	{__LINE__, MSG, IN, "j@who.test", "r@nowhere.test", "who.test", 0, YES, DENY(POLICY_PARTNER_UNKNOWN), "partner-known", 0},
	{__LINE__, MSG, OUT, "r@contoso.test", "j@x.fed.test", "", 1, YES, DENY(POLICY_PARTNER_UNKNOWN), "partner-known", 0},
	/* partner-enabled */
	{__LINE__, MSG, IN, "j@off.test", "r@contoso.test", "off.test", 0, YES, DISABLED, "partner-enabled", 0},
	{__LINE__, STREAM, OUT, "contoso.test", "off.test", "", 0, DUNNO, DISABLED, "partner-enabled", 0},
	/* partner-network */
	{__LINE__, MSG, IN, "j@moved.test", "r@contoso.test", "moved.test", 0, YES, DENY(POLICY_OTHER_PROTOCOL), "partner-network", 0},
	{__LINE__, STREAM, OUT, "contoso.test", "moved.test", "", 0, DUNNO, DENY(POLICY_OTHER_PROTOCOL), "partner-network", 0},
	{__LINE__, MSG, IN, "j@both.test", "r@contoso.test", "both.test", 0, YES, REASON_NONE, NULL, POLICY_NO_CONSENT},
	/* local-domain */
	{__LINE__, MSG, IN, "j@fed.test", "r@nowhere.test", "fed.test", 0, YES, DENY(POLICY_LOCAL_UNKNOWN), "local-domain", 0},
	{__LINE__, MSG, IN, "j@fed.test", "x@unv.test", "fed.test", 0, YES, DENY(POLICY_LOCAL_UNKNOWN), "local-domain", 0},
	/* contact: federated and public verified need none */
	{__LINE__, MSG, IN, "j@fed.test", "r@contoso.test", "fed.test", 0, NO, REASON_NONE, NULL, POLICY_NO_CONSENT},
	{__LINE__, SUB, IN, "j@SUB.fed.test", "r@alt.test", "sub.FED.test", 0, DUNNO, REASON_NONE, NULL, POLICY_NO_CONSENT},
	{__LINE__, MSG, IN, "j@ver.test", "r@contoso.test", "ver.test", 0, NO, REASON_NONE, NULL, BOTH},
	{__LINE__, SUB, IN, "j@ver.test", "r@contoso.test", "ver.test", 0, DUNNO, REASON_NONE, NULL, BOTH},
	/* contact: public unverified */
	{__LINE__, MSG, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, MSG, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, DUNNO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, MSG, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, YES, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, SUB, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, SUB, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, YES, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, PROBE, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, STATE, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, IQ, IN, "j@unv.test", "r@contoso.test", "unv.test", 0, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, IQ, IN, "unv.test", "contoso.test", "unv.test", 0, NO, REASON_NONE, NULL, POLICY_HIDE_NOTE}, /* servers */
	{__LINE__, MSG, OUT, "r@contoso.test", "j@unv.test", "", 1, NO, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, SUB, OUT, "r@contoso.test", "j@unv.test", "", 0, NO, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, STATE, OUT, "r@contoso.test", "j@unv.test", "", 1, NO, DENY(POLICY_NO_CONTACT), "contact", 0},
	{__LINE__, STATE, OUT, "r@contoso.test", "j@unv.test", "", 1, YES, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, STATE, OUT, "r@contoso.test", "j@fed.test", "", 1, NO, REASON_NONE, NULL, POLICY_NO_CONSENT},
	/* streams */
	{__LINE__, STREAM, IN, "unv.test", "contoso.test", "", 0, DUNNO, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, STREAM, IN, "fed.test", "contoso.test", "FED.test", 0, DUNNO, REASON_NONE, NULL, POLICY_NO_CONSENT},
	{__LINE__, STREAM, OUT, "contoso.test", "unv.test", "", 0, DUNNO, REASON_NONE, NULL, POLICY_HIDE_NOTE},
	{__LINE__, STREAM, IN, "who.test", "contoso.test", "", 0, DUNNO, DENY(POLICY_PARTNER_UNKNOWN), "partner-known", 0},
};

static struct policy_party party(const char *z)
{
	struct slice s = slice_str(z);
	ptrdiff_t at = slice_find_chr(s, '@');
	if (at < 0)
		return (struct policy_party){.domain = s};
	return (struct policy_party){slice_first(s, (size_t)at), slice_skip(s, (size_t)at + 1)};
}

static struct policy_question question(const struct row *r)
{
	return (struct policy_question){.kind = r->kind, .direction = r->dir, .from = party(r->from), .to = party(r->to),
					.peer = slice_str(r->peer), .peer_home = r->peer_home, .has_contact = r->contact};
}

static void test_rules(void **state)
{
	(void)state;
	struct snapshot *s = make(true);
	unsigned refused[POLICY_STEPS_MAX] = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct policy_question q = question(r);
		struct policy_verdict v;
		memset(&v, 0xa5, sizeof v);
		policy_decide(s, &q, &v);
		const struct policy_step *last = &v.steps[v.n_steps - 1];
		if (v.reason != r->want || v.allow != (r->want == REASON_NONE) || v.flags != r->flags ||
		    (r->rule && strcmp(last->rule, r->rule) != 0))
			fail_msg("line %d: allow %d reason %s rule %s flags %x", r->line, v.allow, reason_info(v.reason)->id,
				 last->rule, v.flags);
		/* the path names the rules in order, each with a detail, and only the last one refuses */
		assert_true(v.n_steps >= 1 && v.n_steps <= policy_rule_count());
		for (size_t k = 0; k < v.n_steps; k++) {
			assert_string_equal(v.steps[k].rule, policy_rule_info(k).id);
			assert_true(v.steps[k].detail && *v.steps[k].detail);
			assert_int_equal(v.steps[k].outcome == POLICY_DENY, !v.allow && k == v.n_steps - 1);
		}
		if (v.allow) {
			assert_int_equal(v.n_steps, policy_rule_count());
			assert_true(v.partner && v.partner->enabled && v.home < snapshot_home_count(s));
		} else {
			refused[v.n_steps - 1]++;
		}
	}
	snapshot_unref(s);
	for (size_t k = 0; k < policy_rule_count(); k++) /* no rule goes untested; xmpp-access is below, external-access in test_external.c */
		if (!refused[k] && strcmp(policy_rule_info(k).id, "external-access") != 0 && strcmp(policy_rule_info(k).id, "xmpp-access") != 0)
			fail_msg("rule %s never refused", policy_rule_info(k).id);
}

static void test_xmpp_access(void **state)
{
	(void)state;
	struct snapshot *s = make(false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct policy_question q = question(&rows[i]);
		struct policy_verdict v;
		policy_decide(s, &q, &v);
		assert_false(v.allow);
		if (!rows[i].rule || strcmp(rows[i].rule, "contact") == 0) {
			assert_int_equal(v.reason, REASON_POLICY_XMPP_OFF);
			assert_string_equal(v.steps[v.n_steps - 1].rule, "xmpp-access");
		} else {
			assert_int_equal(v.reason, rows[i].want);
		}
	}
	snapshot_unref(s);
}

/* Every combination: nothing is allowed that an independent statement of the policy does not allow. */
static void test_space(void **state)
{
	(void)state;
	struct snapshot *s = make(true);
	const char *domains[] = {"contoso.test", "alt.test", "second.test", "fed.test", "sub.fed.test", "ver.test", "unv.test",
				 "off.test", "p.evil.test", "who.test", "bad..test", ""};
	enum { N = sizeof domains / sizeof *domains };
	size_t allowed = 0;
	for (int kind = 0; kind < POLICY_SESSION; kind++)
	for (int dir = 0; dir < 2; dir++)
	for (int f = 0; f < N; f++)
	for (int t = 0; t < N; t++)
	for (int p = 0; p < N; p++)
	for (uint32_t h = 0; h < 3; h++)
	for (int c = 0; c < 3; c++) {
		struct policy_question q = {.kind = kind, .direction = dir, .from = {S("a"), slice_str(domains[f])},
					    .to = {S("b"), slice_str(domains[t])}, .peer = slice_str(domains[p]), .peer_home = h,
					    .has_contact = c};
		struct policy_verdict v;
		policy_decide(s, &q, &v);
		assert_int_equal(v.allow, v.reason == REASON_NONE);
		int local = dir == IN ? t : f, remote = dir == IN ? f : t;
		bool ok = local <= 2 && remote >= 3 && remote <= 6;
		if (dir == IN)
			ok = ok && (p == f || (kind == STREAM && !*domains[p]));
		else
			ok = ok && (h == 0 || h == (local == 2 ? 2u : 1u));
		if (remote == 6 && kind != STREAM && c != YES && (dir == IN || kind == STATE))
			ok = false;
		if (ok != v.allow)
			fail_msg("kind %d dir %d from %s to %s peer %s home %u contact %d: %d", kind, dir, domains[f], domains[t],
				 domains[p], h, c, v.allow);
		if (ok) {
			allowed++;
			assert_int_equal(!!(v.flags & POLICY_HIDE_NOTE), remote == 5 || remote == 6);
			assert_int_equal(!!(v.flags & POLICY_NO_CONSENT), remote != 6);
			assert_int_equal(v.home, local == 2 ? 1 : 0);
		}
	}
	assert_true(allowed > 100);
	snapshot_unref(s);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned k = 0; k < POLICY_KIND_COUNT; k++) {
		enum policy_kind got = 99;
		assert_true(policy_kind_parse(&got, slice_str(policy_kind_name(k))));
		assert_int_equal(got, k);
	}
	enum policy_kind got;
	assert_false(policy_kind_parse(&got, S("call")));
	assert_string_equal(policy_direction_name(IN), "to-local");
	assert_string_equal(policy_direction_name(OUT), "to-remote");
	assert_string_equal(policy_outcome_name(POLICY_SKIP), "skip");
	assert_string_equal(policy_outcome_name(POLICY_PASS), "pass");
	assert_string_equal(policy_outcome_name(POLICY_DENY), "deny");
	for (size_t i = 0; i < policy_rule_count(); i++)
		assert_true(strlen(policy_rule_info(i).help) > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {{"L07 partner types: who needs consent, who sees notes", test_rules, NULL, NULL, NULL}, cmocka_unit_test(test_xmpp_access),
					   cmocka_unit_test(test_space), cmocka_unit_test(test_names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
