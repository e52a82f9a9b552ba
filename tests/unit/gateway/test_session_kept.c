/* SPDX-License-Identifier: Apache-2.0 */
/* A planned end: sessions that are at rest go on in the next process (docs/adr/0056). */
#include "calling.h"

static uint32_t last_cseq(struct house *h)
{
	struct arena *a;
	uint32_t n = house_sip(h, &a, "MESSAGE", 0)->cseq;
	arena_release(NULL, a);
	return n;
}

static void planned_restart(struct house *h, uint64_t down_ms)
{
	gateway_drain(h->gateway, true);
	gateway_keep_sessions(h->gateway);
	expect(h, ""); /* the peer is told nothing */
	house_restart(h, down_ms);
	expect(h, "store refused dialog"); /* it is read once */
}

static void theirs_goes_on(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "hello");
	partner_message(h, JULIET "/balcony", ROMEO, "hi");
	home_answers(h, "MESSAGE", 0, 200, "");
	uint32_t cseq = last_cseq(h);
	buf_clear(&h->log);
	planned_restart(h, 2000);
	shows(h, "session open lync balcony|");
	in_theirs(h, "c1", "MESSAGE", 3, TEXT, "still there?");
	expect(h, "X message " ROMEO "/xyz>" JULIET "/balcony 'still there?'; S 200 MESSAGE");
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "old number");
	expect(h, "S 500 MESSAGE");
	partner_message(h, JULIET "/balcony", ROMEO, "yes");
	expect(h, "S MESSAGE sip:" ROMEO ";opaque=user:epid:xyz;gruu 'yes'");
	assert_int_equal(last_cseq(h), cseq + 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	planned_restart(h, 2000); /* and once more */
	in_theirs(h, "c1", "BYE", 4, "", "");
	expect(h, "S 200 BYE");
	shows(h, "page  lync balcony|");
	house_restart(h, 1000);
	in_theirs(h, "c1", "MESSAGE", 5, TEXT, "it has ended");
	expect(h, "S 481 MESSAGE sip/no-dialog");
}

static void ours_goes_on(void **state)
{
	struct house *h = *state;
	open_ours(h);
	uint32_t cseq = last_cseq(h);
	planned_restart(h, 60000);
	partner_message(h, JULIET "/balcony", ROMEO, "again");
	expect(h, "S MESSAGE sip:192.0.2.1:5060;transport=tcp 'again'");
	assert_int_equal(last_cseq(h), cseq + 1);
	home_answers(h, "MESSAGE", 0, 200, "");
	in_ours(h, "INVITE", 2, "Contact: <sip:192.0.2.1:5060;transport=tcp>\n" OFFER, IM); /* Lync's refresh: nothing changes */
	expect(h, "S 200 INVITE");
	in_ours(h, "ACK", 2, "", "");
	house_pass(h, SESSION_IDLE_MS);
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
}

/* It was away for so long that the session would have been ended. */
static void late_it_hangs_up(void **state)
{
	struct house *h = *state;
	open_ours(h);
	planned_restart(h, SESSION_IDLE_MS + 1000);
	house_pass(h, 10);
	expect(h, "S BYE sip:192.0.2.1:5060;transport=tcp");
}

static void what_is_under_way_is_not_kept(void **state)
{
	struct house *h = *state;
	open_ours(h);
	partner_message(h, JULIET "/balcony", ROMEO, "under way");
	buf_clear(&h->log);
	gateway_drain(h->gateway, true);
	gateway_keep_sessions(h->gateway);
	expect(h, "");
	house_restart(h, 1000); /* its text is the partner's again: it was not acknowledged */
	buf_clear(&h->log);
	in_ours(h, "MESSAGE", 2, TEXT, "who are you?");
	expect(h, "S 481 MESSAGE sip/no-dialog");
}

/* Policy has changed meanwhile. */
static void not_allowed_any_more(void **state)
{
	struct house *h = *state;
	open_theirs(h, "c1");
	gateway_drain(h->gateway, true);
	gateway_keep_sessions(h->gateway);
	house_policy(h, -1, true, true);
	house_restart(h, 1000);
	buf_clear(&h->log);
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "hello");
	expect(h, "S 481 MESSAGE sip/no-dialog");
}

/* The session timer has run out while nobody was there: the peer has ended it by itself. */
static void expired_meanwhile(void **state)
{
	struct house *h = *state;
	invites(h, "c1", "Session-Expires: 90;refresher=uac\nSupported: timer\n", IM);
	in_theirs(h, "c1", "ACK", 1, "", "");
	buf_clear(&h->log);
	planned_restart(h, 100000);
	in_theirs(h, "c1", "MESSAGE", 2, TEXT, "hello");
	expect(h, "S 481 MESSAGE sip/no-dialog");
}

/* Our refresh was due while nobody was there: it is sent at once. */
static void refreshed_late(void **state)
{
	struct house *h = *state;
	invites(h, "c1", "Session-Expires: 90;refresher=uas\nSupported: timer\nAllow: UPDATE\n", IM);
	in_theirs(h, "c1", "ACK", 1, "", "");
	buf_clear(&h->log);
	planned_restart(h, 60000);
	house_pass(h, 10);
	expect(h, "S UPDATE sip:" ROMEO ";opaque=user:epid:xyz;gruu");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(theirs_goes_on),
		TEST(ours_goes_on),
		TEST(late_it_hangs_up),
		TEST(what_is_under_way_is_not_kept),
		TEST(not_allowed_any_more),
		TEST(expired_meanwhile),
		TEST(refreshed_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
