/* SPDX-License-Identifier: Apache-2.0 */
/* What became of messages: show messages, explain --message. */
#include "rig.h"

#include "fields.h"

static int setup(void **state)
{
	rig_setup(state);
	rig_ok(*state, "partner xmpp add fabrikam.test --type federated");
	rig_ok(*state, "partner xmpp add off.test --type federated --disabled");
	rig_ok(*state, "access-edge set --federated-users");
	rig_ok(*state, "allowed-domain add adatum.test");
	return 0;
}

static struct slice domain_of(const char *address)
{
	struct slice rest = slice_str(strchr(address, '@') + 1);
	return slice_split(&rest, ';');
}

/* As the gateway records it: what policy says, and then its end. */
static uint64_t pass(struct rig *r, const char *from, const char *to, const char *key, enum policy_direction dir)
{
	bool in = dir == POLICY_TO_LOCAL;
	struct policy_verdict v;
	struct slice domain = domain_of(from), other = domain_of(to);
	struct policy_question q = {.kind = POLICY_MESSAGE, .direction = dir, .from = {S("someone"), domain}, .to = {S("someone"), other}, .peer = in ? domain : SLICE_NONE,
				    .has_contact = POLICY_CONTACT_NO};
	struct record_start s = {.kind = q.kind, .direction = dir, .from = slice_str(from), .to = slice_str(to), .key = slice_str(key), .method = in ? SLICE_NONE : S("MESSAGE")};
	uint64_t id = record_begin(r->log, &s);
	policy_decide(r->snapshot, &q, &v);
	record_verdict(r->log, id, &v, &q, snapshot_generation(r->snapshot));
	if (in)
		record_peer(r->log, id, domain);
	r->now += 12;
	if (v.allow) {
		record_hop(r->log, id, in ? RECORD_SENT : RECORD_GIVEN, 0, REASON_NONE);
		record_via(r->log, id, in ? S("main") : other);
		r->now += 30;
	}
	record_hop(r->log, id, RECORD_TOLD, in ? 0 : v.allow ? 200 : reason_info(v.reason)->sip_status, v.reason);
	record_end(r->log, id, v.allow ? RECORD_DELIVERED : RECORD_REFUSED, v.reason);
	return id;
}

static size_t shown(struct rig *r, const char *command)
{
	json_t *d = rig_data(r, command, 0);
	size_t n = json_array_size(json_object_get(d, "messages"));
	json_decref(d);
	return n;
}

static void list(void **state)
{
	struct rig *r = *state;
	char id[RECORD_ID_TEXT], command[200];
	rig_text(r, "show messages", 0, "No message has come yet.\n");
	uint64_t one = pass(r, "sip:romeo@contoso.test", "sip:juliet@fabrikam.test;transport=tls", "call-1", POLICY_TO_REMOTE);
	pass(r, "juliet@fabrikam.test", "romeo@contoso.test", "stanza-1", POLICY_TO_LOCAL);
	pass(r, "sip:romeo@contoso.test", "sip:tybalt@litware.test", "call-2", POLICY_TO_REMOTE);
	assert_int_equal(shown(r, "show messages"), 3);
	assert_int_equal(shown(r, "show messages --limit 2"), 2);
	assert_int_equal(shown(r, "show messages --failed"), 1);
	assert_int_equal(shown(r, "show messages --from romeo@contoso.test"), 2);
	assert_int_equal(shown(r, "show messages --from CONTOSO.test"), 2);
	assert_int_equal(shown(r, "show messages --from sip:romeo@contoso.test --to fabrikam.test"), 1);
	assert_int_equal(shown(r, "show messages --from *@contoso.test"), 2);
	assert_int_equal(shown(r, "show messages --from *.test"), 3);
	assert_int_equal(shown(r, "show messages --to j?liet@*"), 1);
	assert_int_equal(shown(r, "show messages --to rome"), 0);
	assert_int_equal(shown(r, "show messages --partner fabrikam.test"), 2);
	assert_int_equal(shown(r, "show messages call-1"), 1);
	assert_int_equal(shown(r, "show messages CALL-1"), 0);
	assert_int_equal(shown(r, "show messages stanza-1"), 1);
	assert_int_equal(shown(r, "show messages --since 1h"), 3);
	record_id_print(one, id);
	snprintf(command, sizeof command, "show messages %s", id);
	assert_int_equal(shown(r, command), 1);
	snprintf(command, sizeof command, "show messages %.15s0", id);
	assert_int_equal(shown(r, command), 0);
	fields_check(r, "show messages", 0);
	rig_text(r, "show messages call-3", 0, "No message like that is remembered.\n");
	json_t *j = rig_run(r, false, 0, "show messages --failed");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "policy/partner-unknown"));
	assert_non_null(strstr(text, "tybalt@litware.test"));
	json_decref(j);
}

static void gone_by(void **state)
{
	struct rig *r = *state;
	uint64_t old = pass(r, "sip:romeo@contoso.test", "sip:juliet@fabrikam.test", "old", POLICY_TO_REMOTE);
	char id[RECORD_ID_TEXT], command[200];
	for (int i = 0; i < 200; i++)
		pass(r, "sip:romeo@contoso.test", "sip:juliet@fabrikam.test", "new", POLICY_TO_REMOTE);
	record_id_print(old, id);
	snprintf(command, sizeof command, "explain --message %s", id);
	char why[100];
	snprintf(why, sizeof why, "no message %s is remembered", id);
	rig_error(r, command, 1, "not-found", why);
	rig_error(r, "explain --message old", 1, "not-found", "no message old is remembered");
	r->log = record_log_free(r->log);
	rig_error(r, "explain --message new", 69, "unavailable", "nothing is recorded: limits.decision-log is 0");
	rig_error(r, "show messages", 69, "unavailable", "nothing is recorded: limits.decision-log is 0");
}

static json_t *explained(struct rig *r, const char *id, int exit, bool same, bool changed)
{
	char command[200];
	snprintf(command, sizeof command, "explain --message %s", id);
	json_t *d = rig_data(r, command, exit);
	assert_true(json_is_boolean(json_object_get(d, "same")));
	assert_int_equal(json_is_true(json_object_get(d, "same")), same);
	assert_int_equal(json_is_true(json_object_get(d, "policy_changed")), changed);
	return d;
}

static void message(void **state)
{
	struct rig *r = *state;
	pass(r, "sip:romeo@contoso.test", "sip:tybalt@litware.test", "call-2", POLICY_TO_REMOTE);
	pass(r, "juliet@off.test", "romeo@contoso.test", "stanza-2", POLICY_TO_LOCAL);
	json_t *d = explained(r, "call-2", 1, true, false);
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/partner-unknown");
	assert_string_equal(json_string_value(json_object_get(d, "direction")), "to-remote");
	assert_string_equal(json_string_value(json_object_get(json_object_get(d, "message"), "key")), "call-2");
	assert_true(json_array_size(json_object_get(d, "steps")) > 3);
	json_decref(d);
	json_decref(explained(r, "stanza-2", 1, true, false));
	rig_ok(r, "partner xmpp set off.test --enabled"); /* then it would pass */
	d = explained(r, "stanza-2", 1, false, true);
	assert_true(json_is_true(json_object_get(d, "allowed")));
	json_t *change = json_array_get(json_object_get(d, "changes"), 0);
	assert_string_equal(json_string_value(json_object_get(change, "who")), "alice");
	assert_non_null(strstr(json_string_value(json_object_get(change, "what")), "off.test"));
	json_decref(d);
	d = explained(r, "call-2", 1, true, true);
	json_decref(d);
	pass(r, "sip:romeo@contoso.test", "sip:juliet@off.test", "call-3", POLICY_TO_REMOTE);
	json_decref(explained(r, "call-3", 0, true, false));
	rig_error(r, "explain --message call-3 --kind message", 2, "usage", "--message stands alone: --kind is what the message tells");
	rig_error(r, "explain --from romeo@contoso.test --to juliet@fabrikam.test", 2, "usage", "--kind is missing");
	json_t *j = rig_run(r, false, 0, "explain --message stanza-2");
	const char *text = json_string_value(json_object_get(j, "text"));
	static const char *const want[] = {"What became of it\n", "  stanza id  stanza-2\n", "  proved     off.test\n", "  outcome    refused: policy/partner-disabled\n",
					   "The policy has changed since: generation ", "partner set off.test", "the verdict is another one", "ALLOWED"};
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		if (!strstr(text, want[i]))
			fail_msg("no '%s' in:\n%s", want[i], text);
	json_decref(j);
}

/* SIP partners: what the connection had proved then is supposed again. */
static void sip_partner(void **state)
{
	struct rig *r = *state;
	struct slice names[] = {S("sip.adatum.test")}, targets[] = {S("sip.adatum.test")};
	struct policy_sip sip = {.connected = true, .chain_ok = true, .dns = names, .n_dns = 1, .srv = POLICY_SRV_FOUND, .targets = targets, .n_targets = 1,
				 .mark = POLICY_MARK_VERIFIED};
	struct policy_question q = {.kind = POLICY_SESSION, .direction = POLICY_TO_LOCAL, .from = {S("mercutio"), S("adatum.test")}, .to = {S("romeo"), S("contoso.test")},
				    .sip = &sip};
	struct record_start s = {.kind = POLICY_SESSION, .direction = POLICY_TO_LOCAL, .sip = true, .from = S("sip:mercutio@adatum.test"), .to = S("sip:romeo@contoso.test"),
				 .key = S("c1"), .method = S("INVITE")};
	struct policy_verdict v;
	uint64_t id = record_begin(r->log, &s);
	policy_decide_request(r->snapshot, &q, NULL, NULL, &v);
	assert_true(v.allow && v.identity == POLICY_ID_EDGE);
	record_verdict(r->log, id, &v, &q, snapshot_generation(r->snapshot));
	record_peer(r->log, id, names[0]);
	json_decref(explained(r, "c1", 0, true, false));
	/* another one, whose certificate proved nothing */
	names[0] = S("mail.adatum.test");
	s.key = S("c2");
	id = record_begin(r->log, &s);
	policy_decide_request(r->snapshot, &q, NULL, NULL, &v);
	assert_int_equal(v.reason, REASON_POLICY_PEER_IDENTITY);
	record_verdict(r->log, id, &v, &q, snapshot_generation(r->snapshot));
	record_peer(r->log, id, names[0]);
	json_t *d = explained(r, "c2", 1, true, false);
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "policy/peer-identity");
	json_decref(d);
	/* ... and one that was not marked */
	names[0] = S("sip.adatum.test");
	sip.mark = POLICY_MARK_NONE;
	s.key = S("c3");
	id = record_begin(r->log, &s);
	policy_decide_request(r->snapshot, &q, NULL, NULL, &v);
	assert_int_equal(v.reason, REASON_POLICY_UNVERIFIED);
	record_verdict(r->log, id, &v, &q, snapshot_generation(r->snapshot));
	record_peer(r->log, id, names[0]);
	json_decref(explained(r, "c3", 1, true, false));
	/* ... and one whose certificate was not trusted */
	sip.mark = POLICY_MARK_VERIFIED;
	sip.chain_ok = false;
	s.key = S("c4");
	id = record_begin(r->log, &s);
	policy_decide_request(r->snapshot, &q, NULL, NULL, &v);
	assert_string_equal(v.steps[v.n_steps - 1].rule, "certificate");
	record_verdict(r->log, id, &v, &q, snapshot_generation(r->snapshot));
	record_peer(r->log, id, names[0]);
	json_decref(explained(r, "c4", 1, true, false));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(list), TEST(gone_by), {"L12 what became of a message, and what has changed since", message, setup, rig_teardown, NULL}, TEST(sip_partner)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
