/* SPDX-License-Identifier: Apache-2.0 */
/* External access policies, users and contacts by commands, against a real store: from the command line to the snapshot, and what may not be. */
#include "rig.h"

static const struct policy_external *named(struct rig *r, const char *name)
{
	return snapshot_external(r->snapshot, slice_str(name));
}

static bool holds(struct rig *r, const char *address, const char *name)
{
	struct policy_holder h;
	struct slice domain = slice_str(address), local = slice_split(&domain, '@');
	snapshot_holder(r->snapshot, local, domain, &h);
	return h.policy && slice_eq(h.policy->name, slice_str(name));
}

static json_int_t generation(struct rig *r)
{
	json_t *d = rig_data(r, "history", 0);
	json_int_t n = json_integer_value(json_object_get(json_array_get(json_object_get(d, "changes"), 0), "generation"));
	json_decref(d);
	return n;
}

static void global(void **state)
{
	struct rig *r = *state;
	struct entente_err err;
	r->closed = true; /* as a new installation */
	assert_int_equal(rig_publish(r, &err), 0);
	rig_text(r, "external-access list", 0,
		 "NAME    FEDERATION  XMPP  PUBLIC  PUBLIC A/V  GRANTS\n"
		 "global  no          no    no      no               0\n");
	rig_ok(r, "external-access set global --federation --what-if");
	assert_false(named(r, "global")->federation);
	rig_ok(r, "external-access set global --federation --xmpp --description 'all of us'");
	rig_ok(r, "external-access set GLOBAL --public-cloud"); /* what is not given stays */
	const struct policy_external *p = named(r, "global");
	assert_true(p->federation && p->xmpp && p->public_cloud && !p->public_cloud_av && !p->outside && slice_eq(p->description, S("all of us")));
	rig_error(r, "external-access add global", 1, "exists", "the global policy exists always: it is set, not added");
	rig_ok(r, "external-access remove global");
	assert_true(!named(r, "global")->federation && slice_empty(named(r, "global")->description));
	rig_error(r, "external-access set 'tag:a:b' --xmpp", 2, "usage",
		  "nothing was changed: 'tag:a:b' is no name of an external access policy: global, site:NAME or tag:NAME (or NAME alone), the name of at "
		  "most 128 octets and without : * ?, e.g. tag:Sales");
	rig_error(r, "external-access set Nobody --xmpp", 1, "not-found", "there is no external access policy tag:Nobody");
}

/* Every parameter by its option, from the table. */
static void parameters(void **state)
{
	struct rig *r = *state;
	size_t n;
	const struct policy_field *f = policy_fields(POLICY_TABLE_EXTERNAL, &n);
	for (size_t i = 0; i < n; i++) {
		char line[200];
		struct buf b;
		snprintf(line, sizeof line, "external-access add p%zu --%s%s", i, f[i].name, f[i].type == POLICY_FIELD_TEXT ? " word" : "");
		rig_ok(r, line);
		snprintf(line, sizeof line, "p%zu", i);
		const struct policy_external *p = named(r, line);
		for (size_t k = 0; k < n; k++) {
			buf_init(&b, 1024);
			policy_field_print(&f[k], p, &b);
			const char *want = k != i ? f[k].def : f[k].type == POLICY_FIELD_TEXT ? "word" : "true";
			assert_true(slice_eq(buf_slice(&b).p ? buf_slice(&b) : S(""), slice_str(want)));
			buf_free(&b);
		}
	}
	static const char *const user[] = {"--site East", "--policy p0", "--branch", "--comment word"};
	f = policy_fields(POLICY_TABLE_USER, &n);
	assert_int_equal(n, sizeof user / sizeof *user);
	for (size_t i = 0; i < n; i++) {
		char line[200];
		struct buf b;
		assert_true(strncmp(user[i] + 2, f[i].name, strlen(f[i].name)) == 0);
		snprintf(line, sizeof line, "user add u%zu@contoso.test %s", i, user[i]);
		rig_ok(r, line);
		snprintf(line, sizeof line, "u%zu", i);
		const struct policy_user *u = snapshot_user(r->snapshot, slice_str(line), S("contoso.test"));
		assert_non_null(u);
		for (size_t k = 0; k < n; k++) {
			buf_init(&b, 1024);
			policy_field_print(&f[k], u, &b);
			const char *given = strchr(user[k], ' '), *want = k != i ? f[k].def : given ? given + 1 : "true";
			assert_true(slice_eq(buf_slice(&b).p ? buf_slice(&b) : S(""), slice_str(want)));
			buf_free(&b);
		}
	}
}

static void grants(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "external-access add Sales --federation");
	rig_ok(r, "external-access add site:East --xmpp");
	json_int_t before = generation(r);
	rig_text(r, "external-access grant sales --user romeo@contoso.test --user sip:mercutio@contoso.test", 0,
		 "tag:Sales was granted to 2 users\n  romeo@contoso.test (new record)\n  mercutio@contoso.test (new record)\n");
	assert_int_equal(generation(r), before + 1); /* one change */
	assert_true(holds(r, "romeo@contoso.test", "tag:Sales") && holds(r, "mercutio@contoso.test", "tag:Sales") && holds(r, "tybalt@contoso.test", "global"));
	assert_int_equal(snapshot_external_grants(r->snapshot, named(r, "Sales")), 2);
	/* wildcards and domains: who has a record */
	rig_ok(r, "user add sales-1@contoso.test --site East");
	rig_ok(r, "user add sales-2@emea.contoso.test");
	assert_true(holds(r, "sales-1@contoso.test", "site:East"));
	json_t *d = rig_data(r, "external-access grant tag:Sales --user 'SALES-*' --what-if", 0);
	assert_int_equal(json_array_size(json_object_get(d, "users")), 2);
	json_decref(d);
	assert_true(holds(r, "sales-1@contoso.test", "site:East"));
	d = rig_data(r, "external-access grant tag:Sales --domain contoso.test", 0);
	assert_int_equal(json_array_size(json_object_get(d, "users")), 1); /* two had it */
	assert_int_equal(json_integer_value(json_object_get(d, "matched")), 3);
	json_decref(d);
	assert_true(holds(r, "sales-1@contoso.test", "tag:Sales") && holds(r, "sales-2@emea.contoso.test", "global"));
	before = generation(r);
	rig_ok(r, "external-access grant Sales --user romeo@contoso.test");
	assert_int_equal(generation(r), before); /* nothing to change */
	rig_ok(r, "external-access grant --global --user romeo@contoso.test --user nobody@contoso.test");
	assert_true(holds(r, "romeo@contoso.test", "global"));
	assert_null(snapshot_user(r->snapshot, S("nobody"), S("contoso.test")));
	/* all or none, and what may not be */
	rig_error(r, "external-access grant Sales --user romeo@contoso.test --user juliet@fabrikam.test", 4, "conflict",
		  "--user: juliet@fabrikam.test is not a user of ours: no home serves fabrikam.test");
	assert_true(holds(r, "romeo@contoso.test", "global"));
	rig_error(r, "external-access grant Nothing --user romeo@contoso.test", 1, "not-found", "there is no external access policy Nothing");
	rig_error(r, "external-access grant site:East --user romeo@contoso.test", 2, "usage",
		  "site:East holds by itself for all whom no nearer one is for; it is not granted");
	rig_error(r, "external-access grant Sales", 2, "usage", "to whom?");
	rig_error(r, "external-access grant Sales --global --user romeo@contoso.test", 2, "usage", "a policy and --global exclude each other");
	/* a policy that is granted goes only by force, and takes the grants along */
	rig_error(r, "external-access remove Sales", 4, "conflict", "tag:Sales is granted to 2 users");
	before = generation(r);
	rig_ok(r, "external-access remove Sales --force");
	assert_int_equal(generation(r), before + 1);
	assert_null(named(r, "Sales"));
	assert_true(holds(r, "sales-1@contoso.test", "site:East") && holds(r, "mercutio@contoso.test", "global"));
	rig_ok(r, "external-access remove site:east");
	assert_true(holds(r, "sales-1@contoso.test", "global"));
}

static void records(void **state)
{
	struct rig *r = *state;
	rig_text(r, "user list", 0, "No user has such a record.\n");
	rig_ok(r, "external-access add Sales --federation --xmpp");
	rig_ok(r, "user add romeo@contoso.test --policy sales --comment 'on trial'");
	assert_true(slice_eq(snapshot_user(r->snapshot, S("romeo"), S("contoso.test"))->policy, S("Sales"))); /* as it was added */
	rig_error(r, "user add romeo@contoso.test", 1, "exists", "there is a record of the user romeo@contoso.test already");
	rig_error(r, "user set nobody@contoso.test --branch", 1, "not-found", "there is no record of the user nobody@contoso.test");
	rig_error(r, "user add x@contoso.test --policy Nothing", 4, "conflict", "--policy: there is no external access policy Nothing");
	rig_error(r, "user add x@contoso.test --site a:b", 2, "usage", "--site: 'a:b' is no name of a site: at most 128 octets, without : * ?");
	rig_error(r, "user add x@elsewhere.test", 4, "conflict", "ADDRESS: x@elsewhere.test is not a user of ours: no home serves elsewhere.test");
	rig_error(r, "user add contoso.test", 2, "usage", "ADDRESS: 'contoso.test': it is the address of a domain, not of a user");
	rig_text(r, "user show romeo@contoso.test", 0,
		 "romeo@contoso.test\n"
		 "  site                                   -\n"
		 "  policy                                 Sales\n"
		 "  branch                                 no\n"
		 "  comment                                on trial\n"
		 "  policy in force                        tag:Sales\n"
		 "  SIP partners                           yes\n"
		 "  XMPP partners                          yes\n"
		 "  public IM providers                    no\n"
		 "  calls with those                       no\n");
	rig_text(r, "user set romeo@contoso.test --branch --no-policy --what-if", 0,
		 "romeo@contoso.test (nothing was changed)\n"
		 "  site                                   -\n"
		 "  policy                                 -\n"
		 "  branch                                 yes\n"
		 "  comment                                on trial\n"
		 "  policy in force                        global\n"
		 "  SIP partners                           yes\n"
		 "  XMPP partners                          no\n"
		 "  public IM providers                    yes\n"
		 "  calls with those                       yes\n");
	assert_true(holds(r, "romeo@contoso.test", "tag:Sales"));
	rig_ok(r, "user add a@contoso.test --branch");
	rig_ok(r, "user add b@emea.contoso.test --site East");
	static const struct {
		const char *filter, *found;
	} filters[] = {{"", "a@contoso.test b@emea.contoso.test romeo@contoso.test "}, {"--filter 'R*'", "romeo@contoso.test "}, {"--branch", "a@contoso.test "},
		       {"--branch=false", "b@emea.contoso.test romeo@contoso.test "}, {"--site east", "b@emea.contoso.test "}, {"--policy tag:SALES", "romeo@contoso.test "},
		       {"--domain emea.contoso.test", "b@emea.contoso.test "}, {"--limit 1", "a@contoso.test "}};
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		char line[200], found[400] = "";
		size_t k;
		json_t *u;
		snprintf(line, sizeof line, "user list %s", filters[i].filter);
		json_t *d = rig_data(r, line, 0);
		json_array_foreach(json_object_get(d, "users"), k, u) {
			snprintf(found + strlen(found), sizeof found - strlen(found), "%s ", json_string_value(json_object_get(u, "address")));
		}
		assert_string_equal(found, filters[i].found);
		json_decref(d);
	}
	rig_text(r, "user remove romeo@contoso.test", 0,
		 "romeo@contoso.test has no record\n"
		 "  policy in force                        global\n"
		 "  SIP partners                           yes\n"
		 "  XMPP partners                          yes\n"
		 "  public IM providers                    yes\n"
		 "  calls with those                       yes\n");
	assert_true(holds(r, "romeo@contoso.test", "global"));
	rig_error(r, "user remove romeo@contoso.test", 1, "not-found", "there is no record of the user romeo@contoso.test");
}

static void contacts(void **state)
{
	struct rig *r = *state;
	rig_text(r, "contact list", 0, "There is no such contact.\n");
	rig_text(r, "contact add romeo@contoso.test xmpp:nurse@fabrikam.test --what-if", 0,
		 "romeo@contoso.test has nurse@fabrikam.test as contact (nothing was changed)\n");
	assert_int_equal(r->contacts_set, 0);
	rig_text(r, "contact add romeo@contoso.test xmpp:nurse@fabrikam.test", 0, "romeo@contoso.test has nurse@fabrikam.test as contact\n");
	assert_int_equal(r->contacts_set, 1);
	assert_int_equal(r->published, 1); /* what is under way is judged anew */
	rig_text(r, "contact list --user romeo@contoso.test", 0,
		 "USER                CONTACT              BY     SINCE\n"
		 "romeo@contoso.test  nurse@fabrikam.test  admin  0000-00-00T00:00:00Z\n");
	rig_text(r, "contact list --user tybalt@contoso.test", 0, "There is no such contact.\n");
	rig_text(r, "contact list --how message", 0, "There is no such contact.\n");
	rig_text(r, "contact list --filter '*@litware.test'", 0, "There is no such contact.\n");
	rig_error(r, "contact add romeo@contoso.test juliet@chat.test", 1, "exists", "romeo@contoso.test has juliet@chat.test as contact already");
	rig_error(r, "contact add juliet@chat.test romeo@contoso.test", 4, "conflict", "LOCAL: juliet@chat.test is not a user of ours: no home serves chat.test");
	rig_error(r, "contact add romeo@contoso.test tybalt@contoso.test", 4, "conflict",
		  "REMOTE: tybalt@contoso.test is a user of ours, too: that is a matter of the home");
	rig_error(r, "contact remove romeo@contoso.test who@fabrikam.test", 1, "not-found", "romeo@contoso.test does not have who@fabrikam.test as contact");
	rig_ok(r, "contact remove romeo@contoso.test juliet@chat.test");
	assert_int_equal(r->contacts_set, 2);
}

/* The remedy of a refusal is the very command, whatever the policy is called. */
static void remedy(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *setup, *want;
	} rows[] = {
		{"external-access set global --federation=false --xmpp=false", "entente external-access set global --federation --xmpp"},
		{"external-access set global --federation", "entente external-access set global --xmpp"},
		{"external-access add 'Tom and Co' --xmpp", "entente external-access set 'tag:Tom and Co' --federation"},
	};
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		rig_ok(r, rows[i].setup);
		if (i == 2)
			rig_ok(r, "external-access grant 'Tom and Co' --user romeo@contoso.test");
		json_t *d = rig_data(r, "explain --from romeo@contoso.test --to juliet@fabrikam.test --kind message", 1);
		assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/user-denied");
		assert_true(strncmp(json_string_value(json_object_get(d, "next_step")), rows[i].want, strlen(rows[i].want)) == 0);
		json_t *steps = json_object_get(d, "steps"), *last = json_array_get(steps, json_array_size(steps) - 1);
		assert_non_null(strstr(json_string_value(json_object_get(last, "object")), i == 2 ? "external-access tag:Tom and Co" : "external-access global"));
		assert_non_null(strstr(json_string_value(json_object_get(last, "changed")), "by alice: external-access"));
		json_decref(d);
	}
	rig_ok(r, "user set romeo@contoso.test --branch");
	json_t *d = rig_data(r, "explain --from juliet@fabrikam.test --to romeo@contoso.test --kind message", 1);
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/survivable-branch");
	assert_non_null(strstr(json_string_value(json_object_get(d, "next_step")), "entente user set romeo@contoso.test --branch=false"));
	json_decref(d);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {T(global), T(parameters), T(grants), T(records), T(contacts), T(remedy)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
