/* SPDX-License-Identifier: Apache-2.0 */
/* External access: which policy holds for whom, and what it allows in each network and direction, for every combination of what the global, the site's
 * and the granted policy allow, against an oracle that is written another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>
#include "policy/decide.h"

enum { FED = 1, XMPP = 2, PUB = 4, AV = 8, ALL = 16 };
enum { ABSENT = -1, DANGLING = -2 };

static void policy(struct snapshot_builder *b, const char *name, int flags)
{
	struct policy_external p = {.name = slice_str(name)};
	struct entente_err err = {0};
	policy_fields_defaults(POLICY_TABLE_EXTERNAL, &p);
	p.federation = flags & FED;
	p.xmpp = flags & XMPP;
	p.public_cloud = flags & PUB;
	p.public_cloud_av = flags & AV;
	if (snapshot_builder_external(b, &p, &err))
		fail_msg("%s: %s", name, err.text);
}

static void user(struct snapshot_builder *b, const char *address, const char *site, const char *tag, bool branch)
{
	struct policy_user u = {.address = slice_str(address)};
	struct entente_err err = {0};
	policy_fields_defaults(POLICY_TABLE_USER, &u);
	u.site = slice_str(site);
	u.policy = slice_str(tag);
	u.branch = branch;
	if (snapshot_builder_user(b, &u, &err))
		fail_msg("%s: %s", address, err.text);
}

/* Homes: here.test at the site East, far.test without one. Partners: fed.test (XMPP), allowed.test, hosted.test at a hosting provider, pub.test at a public one. */
static struct snapshot_builder *start(void)
{
	struct snapshot_builder *b = snapshot_builder_new();
	const struct slice d1[] = {S("here.test")}, d2[] = {S("far.test")};
	struct policy_home one = {.name = S("one"), .next_hop = S("sip:a"), .domains = d1, .n_domains = 1, .site = S("East")};
	struct policy_home two = {.name = S("two"), .next_hop = S("sip:b"), .domains = d2, .n_domains = 1};
	struct policy_partner p = {.domain = S("fed.test")};
	struct policy_access a;
	struct policy_allowed x[2] = {{.domain = S("allowed.test")}, {.domain = S("hosted.test")}};
	struct policy_provider v[2] = {{.name = S("host"), .kind = POLICY_HOSTING}, {.name = S("chat"), .kind = POLICY_PUBLIC}};
	policy_partner_defaults(&p);
	p.type = POLICY_FEDERATED;
	assert_int_equal(snapshot_builder_home(b, &one, NULL), 0);
	assert_int_equal(snapshot_builder_home(b, &two, NULL), 0);
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
	a.federated_users = true;
	assert_int_equal(snapshot_builder_access(b, &a, NULL), 0);
	for (int i = 0; i < 2; i++) {
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &x[i]);
		x[i].verification = POLICY_ALWAYS_VERIFIABLE;
		x[i].proxy_fqdn = i ? S("") : S("edge.allowed.test");
		assert_int_equal(snapshot_builder_allow(b, &x[i], NULL), 0);
		policy_fields_defaults(POLICY_TABLE_PROVIDER, &v[i]);
		v[i].proxy_fqdn = i ? S("chat.pub.test") : S("host.prov.test");
		v[i].verification = POLICY_ALWAYS_VERIFIABLE;
		v[i].enabled = true;
		assert_int_equal(snapshot_builder_provider(b, &v[i], NULL), 0);
	}
	return b;
}

static const struct who {
	const char *local, *domain;
	bool east, west, record, granted, branch;
} users[] = {
	{"plain", "here.test", true, false, false, false, false},   /* no record: the home's site */
	{"plain", "far.test", false, false, false, false, false},   /* ... and a home without one */
	{"moved", "far.test", true, false, true, false, false},     /* the record names a site, in other letters */
	{"away", "here.test", false, true, true, false, false},     /* ... one without a policy */
	{"granted", "here.test", true, false, true, true, false},
	{"granted", "far.test", false, false, true, true, false},
	{"branch", "here.test", true, false, true, false, true},
};
enum { USERS = sizeof users / sizeof *users };

static struct snapshot *make(int global, int site, int tag)
{
	struct snapshot_builder *b = start();
	if (global != ABSENT)
		policy(b, "GLOBAL", global);
	if (site != ABSENT)
		policy(b, "site:East", site);
	if (tag >= 0)
		policy(b, "Sales Team", tag);
	for (int i = 0; i < USERS; i++) {
		char address[64];
		const struct who *w = &users[i];
		snprintf(address, sizeof address, "%s@%s", w->local, w->domain);
		if (w->record)
			user(b, address, w->west ? "West" : w->east && strcmp(w->domain, "far.test") == 0 ? "eAST" : "",
			     w->granted && tag != ABSENT ? "sales team" : "", w->branch);
	}
	return snapshot_builder_freeze(b, 1);
}

enum network { N_XMPP, N_ALLOWED, N_HOSTED, N_PUBLIC, N_PUBLIC_CALL, NETWORKS };
static const char *const remotes[] = {"fed.test", "allowed.test", "hosted.test", "wild.test", "wild.test"};
static const char *const servers[] = {"", "edge.allowed.test", "host.prov.test", "chat.pub.test", "chat.pub.test"};

static void ask(const struct snapshot *s, const struct who *w, enum network n, bool in, enum policy_kind kind, struct policy_verdict *ret)
{
	struct slice server = slice_str(servers[n]);
	struct policy_sip sip = {.connected = in, .chain_ok = true, .dns = &server, .n_dns = 1, .srv = POLICY_SRV_FOUND, .targets = &server, .n_targets = 1,
				 .mark = POLICY_MARK_VERIFIED, .media = n == N_PUBLIC_CALL};
	struct policy_party us = {slice_str(w->local), slice_str(w->domain)}, them = {S("x"), slice_str(remotes[n])};
	struct policy_question q = {.kind = kind, .direction = in ? POLICY_TO_LOCAL : POLICY_TO_REMOTE, .from = in ? them : us, .to = in ? us : them,
				    .peer = in && n == N_XMPP ? them.domain : SLICE_NONE, .sip = n == N_XMPP ? NULL : &sip};
	memset(ret, 0xa5, sizeof *ret);
	policy_decide(s, &q, ret);
}

/* The oracle: a list of those that could hold, nearest first; the first one that is there decides. */
static int holds(const struct who *w, int global, int site, int tag, const char **ret_name)
{
	const struct {
		bool there;
		int flags;
		const char *name;
	} nearest[] = {{w->granted && tag == DANGLING, 0, NULL}, {w->granted && tag >= 0, tag, "tag:Sales Team"}, {w->east && site != ABSENT, site, "site:East"},
		       {global != ABSENT, global, "global"}, {true, 0, "global"}};
	int i = 0;
	while (!nearest[i].there)
		i++;
	*ret_name = nearest[i].name;
	return nearest[i].flags;
}

static bool may(const struct who *w, int flags, enum network n)
{
	static const int needs[] = {FED | XMPP, FED, FED, PUB, PUB | AV};
	return (flags & needs[n]) == needs[n] && !(n == N_XMPP && w->branch);
}

static void test_every_combination(void **state)
{
	(void)state;
	unsigned allowed = 0, refused = 0;
	for (int global = ABSENT; global < ALL; global++)
	for (int site = ABSENT; site < ALL; site++)
	for (int tag = DANGLING; tag < ALL; tag++) {
		struct snapshot *s = make(global, site, tag);
		for (int u = 0; u < USERS; u++)
		for (int n = 0; n < NETWORKS; n++)
		for (int in = 0; in < 2; in++) {
			struct policy_verdict v;
			const char *name;
			int flags = holds(&users[u], global, site, tag, &name);
			bool want = may(&users[u], flags, (enum network)n);
			ask(s, &users[u], (enum network)n, in, n == N_PUBLIC_CALL ? POLICY_SESSION : POLICY_MESSAGE, &v);
			const struct policy_step *last = &v.steps[v.n_steps - 1];
			enum reason why = want ? REASON_NONE : n == N_XMPP && users[u].branch && name ? REASON_POLICY_BRANCH : REASON_POLICY_USER_DENIED;
			if (v.allow != want || v.reason != why || (!want && strcmp(last->rule, "external-access") != 0))
				fail_msg("global %d site %d tag %d, %s@%s, network %d, inbound %d: %s by %s (%s)", global, site, tag, users[u].local,
					 users[u].domain, n, in, reason_info(v.reason)->id, last->rule, last->detail);
			if (name)
				assert_true(v.external && slice_eq(v.external->name, slice_str(name)));
			else
				assert_null(v.external);
			if (!want && v.external && why == REASON_POLICY_USER_DENIED) { /* with what it lacks, it would be allowed */
				static const int bits[] = {FED, XMPP, PUB, AV};
				int more = flags;
				for (int i = 0; i < 4; i++)
					more |= v.lacks & (1u << i) ? bits[i] : 0;
				assert_true(v.lacks && !(flags & (int)v.lacks) && ((n == N_XMPP && users[u].branch) || may(&users[u], more, (enum network)n)));
			}
			want ? allowed++ : refused++;
		}
		snapshot_unref(s);
	}
	assert_true(allowed > 10000 && refused > 10000);
}

static void test_nobody_is_concerned(void **state)
{
	(void)state;
	struct snapshot *s = make(0, 0, 0); /* nobody may anything */
	struct policy_verdict v;
	struct who server = {"", "here.test", false, false, false, false, false};
	ask(s, &server, N_XMPP, true, POLICY_STREAM, &v);
	assert_true(v.allow);
	ask(s, &users[0], N_XMPP, true, POLICY_STREAM, &v);
	assert_true(v.allow);
	ask(s, &server, N_XMPP, true, POLICY_IQ, &v); /* a ping of the partner's server */
	assert_true(v.allow);
	ask(s, &server, N_ALLOWED, true, POLICY_REQUEST, &v); /* OPTIONS */
	assert_true(v.allow);
	ask(s, &server, N_ALLOWED, true, POLICY_MESSAGE, &v); /* but a message is for somebody */
	assert_int_equal(v.reason, REASON_POLICY_USER_DENIED);
	for (int kind = 0; kind < POLICY_KIND_COUNT; kind++)
		for (int in = 0; in < 2; in++) {
			ask(s, &users[0], N_XMPP, in, (enum policy_kind)kind, &v);
			assert_int_equal(v.allow, kind == POLICY_STREAM);
			ask(s, &users[0], N_ALLOWED, in, (enum policy_kind)kind, &v);
			assert_false(v.allow);
		}
	snapshot_unref(s);
}

/* Inside a dialog the home may go by the Request-URI: whom that names is who counts. */
static void test_whom_it_is_taken_to(void **state)
{
	(void)state;
	struct snapshot *s = make(FED, 0, FED);
	struct slice server = S("edge.allowed.test");
	struct policy_sip sip = {.connected = true, .chain_ok = true, .dns = &server, .n_dns = 1, .mark = POLICY_MARK_VERIFIED};
	struct policy_party shut = {S("plain"), S("here.test")}, open = {S("granted"), S("here.test")}, far = {S("plain"), S("far.test")};
	struct policy_question q = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_LOCAL, .from = {S("x"), S("allowed.test")}, .to = open, .sip = &sip};
	struct policy_verdict v;
	policy_decide(s, &q, &v);
	assert_true(v.allow);
	q.user = &shut;
	policy_decide(s, &q, &v);
	assert_int_equal(v.reason, REASON_POLICY_USER_DENIED);
	q.to = shut;
	q.user = &far; /* the home of the question stays that of `to` */
	policy_decide(s, &q, &v);
	assert_true(v.allow && v.home == 0);
	snapshot_unref(s);
}

static void test_names(void **state)
{
	static const struct {
		const char *text;
		int scope; /* -1: no name */
		const char *name;
	} rows[] = {
		{"global", POLICY_SCOPE_GLOBAL, ""}, {"Global", POLICY_SCOPE_GLOBAL, ""}, {"site:Redmond", POLICY_SCOPE_SITE, "Redmond"},
		{"SITE:a b", POLICY_SCOPE_SITE, "a b"}, {"tag:Sales", POLICY_SCOPE_USER, "Sales"}, {"Sales", POLICY_SCOPE_USER, "Sales"},
		{"V\303\244rmland", POLICY_SCOPE_USER, "V\303\244rmland"}, {"", -1, ""}, {"tag:", -1, ""}, {"site:", -1, ""}, {"site:global", -1, ""},
		{"tag:Global", -1, ""}, {"a:b", -1, ""}, {"a*", -1, ""}, {"a?", -1, ""}, {" a", -1, ""}, {"a ", -1, ""}, {"a\nb", -1, ""},
	};
	(void)state;
	char longest[POLICY_EXTERNAL_NAME_MAX + 2];
	memset(longest, 'x', sizeof longest);
	assert_true(policy_external_name_ok(slice_of(longest, POLICY_EXTERNAL_NAME_MAX)));
	assert_false(policy_external_name_ok(slice_of(longest, POLICY_EXTERNAL_NAME_MAX + 1)));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum policy_scope scope = 77;
		struct slice name = S("?");
		struct entente_err err = {0};
		int rc = policy_external_parse(&scope, &name, slice_str(rows[i].text), &err);
		if (rc != (rows[i].scope < 0 ? ENTENTE_EINVAL : 0) || (!rc && ((int)scope != rows[i].scope || !slice_eq(name, slice_str(rows[i].name)))))
			fail_msg("'%s'", rows[i].text);
		assert_true(!rc || strstr(err.text, "tag:Sales")); /* the rule and an example */
	}
	struct snapshot_builder *b = start();
	struct policy_external again = {.name = S("tag:SALES"), .description = S("")};
	policy(b, "Sales", FED);
	assert_int_equal(snapshot_builder_external(b, &again, NULL), ENTENTE_EEXIST);
	policy(b, "site:Sales", 0); /* another scope, another policy */
	user(b, "a@here.test", "", "Sales", false);
	struct policy_user u = {.address = S("a@HERE.test"), .site = S(""), .policy = S(""), .comment = S("")};
	assert_int_equal(snapshot_builder_user(b, &u, NULL), ENTENTE_EEXIST);
	static const char *const bad[] = {"", "here.test", "@here.test", "a@", "a@here..test", "a\n@here.test"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		u.address = slice_str(bad[i]);
		assert_int_equal(snapshot_builder_user(b, &u, NULL), ENTENTE_EINVAL);
	}
	u.address = S("b@here.test");
	u.site = S("a:b");
	assert_int_equal(snapshot_builder_user(b, &u, NULL), ENTENTE_EINVAL);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	assert_int_equal(snapshot_user_count(s), 1);
	assert_int_equal(snapshot_external_count(s), 3);
	assert_true(slice_eq(snapshot_external_at(s, 0)->name, S("global")) && !snapshot_external_at(s, 0)->federation);
	assert_int_equal(snapshot_external_grants(s, snapshot_external(s, S("sales"))), 1);
	assert_null(snapshot_external(s, S("Sales:x")));
	snapshot_unref(s);
}

static double ns_per_decision(const struct snapshot *s)
{
	struct policy_verdict v;
	double best = 1e9;
	for (int round = 0; round < 7; round++) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int i = 0; i < 2000; i++)
			ask(s, &users[0], N_XMPP, i & 1, POLICY_MESSAGE, &v);
		clock_gettime(CLOCK_MONOTONIC, &to);
		double ns = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 2000;
		best = ns < best ? ns : best;
	}
	assert_true(v.allow);
	return best;
}

/* What a decision about a user without a record costs does not depend on how many have one. */
static void test_flat(void **state)
{
	enum { MANY = 100000 };
	(void)state;
	double ns[2];
	for (int big = 0; big < 2; big++) {
		struct snapshot_builder *b = start();
		policy(b, "global", FED | XMPP);
		policy(b, "Sales", 0);
		for (int i = 0; i < (big ? MANY : 10); i++) {
			char address[64];
			snprintf(address, sizeof address, "user%d@here.test", i);
			user(b, address, "", i & 1 ? "Sales" : "", false);
		}
		struct snapshot *s = snapshot_builder_freeze(b, 1);
		ns[big] = ns_per_decision(s);
		if (big) {
			struct who last = {"user99999", "here.test", false, false, false, false, false};
			struct policy_verdict v;
			ask(s, &last, N_XMPP, false, POLICY_MESSAGE, &v);
			assert_int_equal(v.reason, REASON_POLICY_USER_DENIED);
			assert_int_equal(snapshot_user_count(s), MANY);
			assert_int_equal(snapshot_external_grants(s, snapshot_external(s, S("Sales"))), MANY / 2);
		}
		snapshot_unref(s);
	}
	print_message("# a decision: %.0f ns with 10 records, %.0f ns with 100000\n", ns[0], ns[1]);
	assert_true(ns[1] < 4 * ns[0] + 2000); /* a list would be a thousand times slower */
}

int main(void)
{
	const struct CMUnitTest tests[] = {{"L06 user, site, global: the nearest policy as a whole", test_every_combination, NULL, NULL, NULL}, cmocka_unit_test(test_nobody_is_concerned),
					   cmocka_unit_test(test_whom_it_is_taken_to), cmocka_unit_test(test_names), cmocka_unit_test(test_flat)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
