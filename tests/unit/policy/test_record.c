/* SPDX-License-Identifier: Apache-2.0 */
/* The decision log: a ring of records, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "policy/record.h"

enum { SLOTS = 8, UNIX_MS = 1600000000 };

static struct record_log *log_new(uint64_t *now)
{
	*now = 5000;
	struct record_log *l = record_log_new(SLOTS * RECORD_SLOT, 3, now, (int64_t)UNIX_MS * 1000);
	assert_non_null(l);
	return l;
}

static const struct record_start hello = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_REMOTE, .from = S("sip:romeo@contoso.test"),
					  .to = S("sip:juliet@fabrikam.test"), .key = S("call-1"), .method = S("MESSAGE"), .conn = 7};

static bool is(const struct record *r, enum record_text which, const char *want)
{
	return slice_eq(record_text(r, which), slice_str(want));
}

static void life_of_a_message(void **state)
{
	uint64_t now;
	struct record_log *l = log_new(&now);
	struct policy_question q = {.direction = POLICY_TO_REMOTE, .has_contact = POLICY_CONTACT_YES};
	struct policy_partner partner = {.domain = S("fabrikam.test")};
	struct policy_verdict v = {.allow = true, .home = 4, .partner = &partner, .n_steps = 1, .steps = {{"partner-enabled", "it is", S("x"), POLICY_PASS}}};
	(void)state;
	uint64_t id = record_begin(l, &hello);
	assert_int_equal(record_id_worker(id), 3);
	record_verdict(l, id, &v, &q, 12);
	now += 3;
	record_hop(l, id, RECORD_GIVEN, 0, REASON_NONE);
	now += 40;
	record_hop(l, id, RECORD_TOLD, 200, REASON_NONE);
	record_via(l, id, S("fabrikam.test"));
	record_end(l, id, RECORD_DELIVERED, REASON_NONE);
	const struct record *r = record_find(l, id);
	assert_non_null(r);
	assert_int_equal(r->at_ms, (int64_t)UNIX_MS * 1000);
	assert_true(r->asked && r->allowed && r->contact && !r->cut && !r->sip);
	assert_int_equal(r->generation, 12);
	assert_int_equal(r->home, 5);
	assert_string_equal(r->rule, "partner-enabled");
	assert_int_equal(r->outcome, RECORD_DELIVERED);
	assert_int_equal(r->n_hops, 2);
	assert_int_equal(r->hops[0].ms, 3);
	assert_int_equal(r->hops[1].ms, 43);
	assert_int_equal(r->hops[1].status, 200);
	assert_true(is(r, RECORD_FROM, "sip:romeo@contoso.test") && is(r, RECORD_TO, "sip:juliet@fabrikam.test"));
	assert_true(is(r, RECORD_KEY, "call-1") && is(r, RECORD_METHOD, "MESSAGE") && is(r, RECORD_VIA, "fabrikam.test") && is(r, RECORD_PARTNER, "fabrikam.test"));
	assert_true(is(r, RECORD_PEER, ""));
	/* delivered, but then an error came after all; and nothing after that */
	record_end(l, id, RECORD_FAILED, REASON_SIP_USER_UNKNOWN);
	record_end(l, id, RECORD_DELIVERED, REASON_NONE);
	assert_int_equal(record_find(l, id)->outcome, RECORD_FAILED);
	assert_int_equal(record_find(l, id)->reason, REASON_SIP_USER_UNKNOWN);
	record_log_free(l);
}

static void a_refusal_ends_it(void **state)
{
	uint64_t now;
	struct record_log *l = log_new(&now);
	struct policy_question q = {.direction = POLICY_TO_LOCAL, .sip = &(struct policy_sip){.mark = POLICY_MARK_UNVERIFIED}};
	struct policy_verdict v = {.reason = REASON_SIP_DNS, .need_srv = true, .home = UINT32_MAX, .n_steps = 1, .steps = {{"identity", "asks", S(""), POLICY_DENY}}};
	struct record_start s = hello;
	(void)state;
	s.sip = true;
	s.direction = POLICY_TO_LOCAL;
	uint64_t id = record_begin(l, &s);
	record_verdict(l, id, &v, &q, 1); /* DNS has to be asked: no verdict yet */
	assert_int_equal(record_find(l, id)->outcome, RECORD_OPEN);
	v = (struct policy_verdict){.reason = REASON_POLICY_PEER_IDENTITY, .home = UINT32_MAX, .n_steps = 1, .steps = {{"identity", "no", S(""), POLICY_DENY}}};
	record_verdict(l, id, &v, &q, 2);
	record_end(l, id, RECORD_DELIVERED, REASON_NONE);
	const struct record *r = record_find(l, id);
	assert_int_equal(r->outcome, RECORD_REFUSED);
	assert_int_equal(r->reason, REASON_POLICY_PEER_IDENTITY);
	assert_int_equal(r->mark, POLICY_MARK_UNVERIFIED);
	assert_int_equal(r->home, 0);
	assert_false(r->allowed);
	record_log_free(l);
}

/* The certificate of one connection does not do, that of another does; or none is found. */
static void one_connection_is_not_all(void **state)
{
	uint64_t now;
	struct record_log *l = log_new(&now);
	struct policy_question q = {.direction = POLICY_TO_REMOTE, .sip = &(struct policy_sip){.connected = true}};
	struct policy_verdict no = {.reason = REASON_SIP_CERTIFICATE, .home = UINT32_MAX, .n_steps = 1, .steps = {{"identity", "no", S(""), POLICY_DENY}}};
	struct policy_verdict yes = {.allow = true, .home = UINT32_MAX, .n_steps = 1, .steps = {{"contact", "yes", S(""), POLICY_PASS}}};
	struct record_start s = hello;
	(void)state;
	s.sip = true;
	s.direction = POLICY_TO_REMOTE;
	for (int i = 0; i < 2; i++) {
		uint64_t id = record_begin(l, &s);
		record_verdict(l, id, &no, &q, 1);
		const struct record *r = record_find(l, id);
		assert_int_equal(r->outcome, RECORD_OPEN);
		assert_string_equal(r->rule, "identity");
		if (i) {
			record_verdict(l, id, &yes, &q, 1);
			record_end(l, id, RECORD_DELIVERED, REASON_NONE);
			assert_true(r->allowed);
			assert_int_equal(r->outcome, RECORD_DELIVERED);
			assert_int_equal(r->reason, REASON_NONE);
		} else {
			record_end(l, id, RECORD_FAILED, no.reason);
			assert_int_equal(r->outcome, RECORD_FAILED);
			assert_int_equal(r->reason, REASON_SIP_CERTIFICATE);
		}
	}
	record_log_free(l);
}

struct seen {
	uint64_t ids[SLOTS * 4];
	size_t n, most;
};

static bool note(void *arg, const struct record *r)
{
	struct seen *s = arg;
	s->ids[s->n++] = r->id;
	return s->n < s->most;
}

static void the_oldest_goes(void **state)
{
	uint64_t now, ids[SLOTS + 3];
	struct record_log *l = log_new(&now);
	struct seen s = {.most = 100};
	(void)state;
	record_each(l, note, &s);
	assert_int_equal(s.n, 0);
	for (size_t i = 0; i < SLOTS + 3; i++)
		ids[i] = record_begin(l, &hello);
	assert_int_equal(record_count(l), SLOTS);
	assert_int_equal(record_room(l), SLOTS);
	assert_null(record_find(l, ids[2]));
	assert_non_null(record_find(l, ids[3]));
	record_hop(l, ids[2], RECORD_TOLD, 200, REASON_NONE); /* nobody's */
	record_end(l, ids[2], RECORD_FAILED, REASON_SIP_DNS);
	record_each(l, note, &s);
	assert_int_equal(s.n, SLOTS);
	for (size_t i = 0; i < SLOTS; i++) {
		assert_int_equal(s.ids[i], ids[SLOTS + 2 - i]);
		assert_int_equal(record_find(l, s.ids[i])->n_hops, 0);
		assert_int_equal(record_find(l, s.ids[i])->outcome, RECORD_OPEN);
	}
	s = (struct seen){.most = 2};
	record_each(l, note, &s);
	assert_int_equal(s.n, 2);
	assert_null(record_find(l, ids[SLOTS + 2] ^ 1)); /* another worker's */
	assert_null(record_find(l, 0));
	record_log_free(l);
}

static void limits(void **state)
{
	uint64_t now;
	struct record_log *l = log_new(&now);
	char big[600];
	(void)state;
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i % 2 ? 0xbc : 0xc3); /* "ü" again and again */
	struct record_start s = {.kind = POLICY_IQ, .from = slice_of(big, sizeof big), .to = slice_of(big, sizeof big), .key = slice_of(big, sizeof big),
				 .method = slice_of(big, sizeof big)};
	uint64_t id = record_begin(l, &s), id2 = record_begin(l, &(struct record_start){.key = slice_of(big, sizeof big)});
	record_peer(l, id, slice_of(big, sizeof big));
	record_via(l, id, slice_of(big, sizeof big));
	for (int i = 0; i < 20; i++) {
		now += 1;
		record_hop(l, id, RECORD_AGAIN, 500 + i, REASON_NONE);
	}
	const struct record *r = record_find(l, id), *r2 = record_find(l, id2);
	assert_true(r->cut);
	assert_false(r2->cut); /* a long identifier alone: found by its hash */
	assert_true(r->key == r2->key);
	assert_int_equal(r->n_hops, RECORD_HOPS);
	assert_int_equal(r->hops[RECORD_HOPS - 1].status, 519);
	assert_int_equal(r->hops[0].status, 500);
	for (int t = RECORD_FROM; t <= RECORD_VIA; t++) {
		struct slice text = record_text(r, (enum record_text)t);
		assert_true(text.len && text.len % 2 == 0); /* whole characters */
		assert_memory_equal(text.p, big, text.len);
	}
	now += UINT64_C(1) << 40;
	record_hop(l, id, RECORD_TOLD, 408, REASON_NONE);
	assert_int_equal(r->hops[RECORD_HOPS - 1].ms, UINT32_MAX);
	record_log_free(l);
	assert_null(record_log_new(RECORD_SLOT - 1, 0, &now, 0));
	assert_null(record_log_new(1 << 20, RECORD_WORKERS, &now, 0));
}

static void nothing_without_a_log(void **state)
{
	(void)state;
	assert_int_equal(record_begin(NULL, &hello), 0);
	record_hop(NULL, 0, RECORD_TOLD, 200, REASON_NONE);
	record_end(NULL, 5, RECORD_FAILED, REASON_NONE);
	record_peer(NULL, 0, S("x"));
	record_via(NULL, 0, S("x"));
	record_each(NULL, note, NULL);
	assert_null(record_find(NULL, 1));
	assert_int_equal(record_count(NULL), 0);
	record_log_free(NULL);
}

/* A number of before a restart must not name something else afterwards. */
static void numbers_after_a_restart(void **state)
{
	uint64_t now = 0, later = 0;
	(void)state;
	struct record_log *l = record_log_new(1 << 16, 0, &now, 1000000);
	uint64_t last = 0;
	for (int i = 0; i < 900; i++) /* in one millisecond */
		last = record_begin(l, &hello);
	record_log_free(l);
	l = record_log_new(1 << 16, 0, &later, 1000001);
	assert_true(record_begin(l, &hello) > last);
	record_log_free(l);
}

static void names(void **state)
{
	char text[RECORD_ID_TEXT];
	uint64_t id = 0;
	enum record_outcome o;
	(void)state;
	record_id_print(UINT64_C(0x0123456789abcdef), text);
	assert_string_equal(text, "0123456789abcdef");
	assert_true(record_id_parse(&id, S("0123456789ABCDEF")));
	assert_true(id == UINT64_C(0x0123456789abcdef));
	static const char *const bad[] = {"", "0", "0123456789abcdeg", "0123456789abcdef0", "0000000000000000", " 123456789abcdef"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(record_id_parse(&id, slice_str(bad[i])));
	for (int i = 0; i < RECORD_WHAT_COUNT; i++)
		assert_true(*record_what_name((enum record_what)i));
	for (int i = 0; i <= RECORD_IGNORED; i++) {
		assert_true(record_outcome_parse(&o, slice_str(record_outcome_name((enum record_outcome)i))));
		assert_int_equal(o, i);
	}
	assert_false(record_outcome_parse(&o, S("lost")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life_of_a_message), cmocka_unit_test(a_refusal_ends_it), cmocka_unit_test(one_connection_is_not_all), cmocka_unit_test(the_oldest_goes),
		cmocka_unit_test(limits), cmocka_unit_test(nothing_without_a_log), cmocka_unit_test(numbers_after_a_restart),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
