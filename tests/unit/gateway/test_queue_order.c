/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of two users stay in order when one of them has to wait and others are with the carrier already (docs/adr/0053). */
#include "calling.h"

#define IN(text) "S MESSAGE sip:" ROMEO " '" text "'"
#define LEG(text) "S MESSAGE sip:192.0.2.1:5060;transport=tcp '" text "'"
#define PARIS "paris@fabrikam.test"

static int keeping(void **state)
{
	struct house *h = *state = house_new();
	h->cfg.queue_keep = true;
	house_journal(h);
	home_message(h, ROMEO, JULIET, "0"); /* the two know each other */
	home_message(h, ROMEO, PARIS, "0");
	house_pass(h, 600);
	house_forget(h, 0);
	return 0;
}

static int calling(void **state)
{
	struct house *h;
	keeping(state);
	h = *state;
	dialect(h, GATEWAY_DIALECT_LYNC);
	return 0;
}

static void says(struct house *h, int first, int last)
{
	for (int i = first; i <= last; i++)
		partner_message(h, JULIET, ROMEO, (const char[]){(char)('0' + i), 0});
}

/* What the home takes now comes in this order, and nothing else. */
static void all_come(struct house *h, int first, int last)
{
	for (int i = first; i <= last; i++) {
		char want[] = IN("?");
		want[sizeof want - 3] = (char)('0' + i);
		for (int s = 0; s < 90 && !h->log.len; s++) /* the pause grows with each failure */
			house_pass(h, 1000);
		expect(h, want);
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	house_pass(h, 5000);
	expect(h, "");
	assert_int_equal(house_journaled(h), 0);
}

/* The home refuses the first for a while: the second, which is queued for the same client, does not overtake it; nor does what comes in the
 * same moment overtake the second. Others' texts go on. */
static void page(void **state)
{
	struct house *h = *state;
	says(h, 1, 2);
	partner_message(h, PARIS, ROMEO, "p");
	says(h, 3, 3);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 503, "");
	says(h, 4, 4);
	house_pass(h, 10);
	expect(h, IN("p"));
	assert_int_equal(house_journaled(h), 4);
	home_answers(h, "MESSAGE", 0, 200, "");
	all_come(h, 1, 4);
}

/* The same of texts that are in the journal already, since their server does not send again. */
static void insured(void **state)
{
	struct house *h = *state;
	h->bare = true;
	says(h, 1, 3);
	house_pass(h, 10);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 503, "");
	says(h, 4, 4);
	all_come(h, 1, 4);
}

/* The home is gone when the first is to be sent, and back when the second is. */
static void unreachable(void **state)
{
	struct house *h = *state;
	partner_message(h, PARIS, ROMEO, "p");
	says(h, 1, 3);
	expect(h, IN("p"));
	h->no_home = true;
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 5);
	h->no_home = false;
	all_come(h, 1, 3);
}

/* By default the first is refused and the second goes on: nobody waits. */
static void refusing(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = false;
	gateway_set(h->gateway, &h->cfg);
	says(h, 1, 2);
	home_answers(h, "MESSAGE", 0, 503, "");
	house_pass(h, 10);
	expect(h, IN("1") "; X message/error " ROMEO ">" JULIET " internal-server-error/wait; " IN("2"));
	assert_int_equal(h->journal_puts, 0);
}

/* The journal has room for the first alone: the second is refused, and not sent before it. */
static void no_room(void **state)
{
	struct house *h = *state;
	says(h, 1, 3);
	expect(h, IN("1"));
	h->room_for = 1;
	home_answers(h, "MESSAGE", 0, 503, "");
	house_pass(h, 10);
	expect(h, "X message/error " ROMEO ">" JULIET " resource-constraint/wait; X message/error " ROMEO ">" JULIET " resource-constraint/wait");
	all_come(h, 1, 1);
}

/* The client knows no sessions, and its queue in page mode has room for five of the seven that wait (max_queue): the sixth goes into the
 * journal, and those that stand before it in the queue and were not sent go there before it. */
static void overfull(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_CISCO);
	says(h, 1, 7);
	expect(h, CALLED);
	home_answers(h, "INVITE", 0, 488, "");
	expect(h, "S ACK sip:" ROMEO "; " IN("1"));
	assert_int_equal(house_journaled(h), 6);
	home_answers(h, "MESSAGE", 0, 200, "");
	all_come(h, 2, 7);
}

/* The same, and the journal has room for two: those that were said last are refused. */
static void overfull_no_room(void **state)
{
	struct house *h = *state;
	dialect(h, GATEWAY_DIALECT_CISCO);
	h->room_for = 2;
	says(h, 1, 7);
	expect(h, CALLED);
	home_answers(h, "INVITE", 0, 488, "");
	house_pass(h, 10);
	expect_count(h, "X message/error " ROMEO ">" JULIET " resource-constraint/wait", 4);
	assert_int_equal(house_journaled(h), 2);
	home_answers(h, "MESSAGE", 0, 200, "");
	all_come(h, 2, 3);
}

/* In a session: refused in its dialog. */
static void session(void **state)
{
	struct house *h = *state;
	open_ours(h);
	says(h, 1, 3);
	expect(h, LEG("1"));
	home_answers(h, "MESSAGE", 0, 503, "");
	says(h, 4, 4);
	house_pass(h, 10);
	expect(h, "");
	assert_int_equal(house_journaled(h), 4);
	static const char *const wants[] = {LEG("1"), LEG("2"), LEG("3"), LEG("4")};
	for (int i = 0; i < 4; i++) {
		house_pass(h, 5000);
		expect(h, wants[i]);
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	house_pass(h, 10);
	assert_int_equal(house_journaled(h), 0);
}

/* The session ends under the first, and the next one, too: that is its end, but not that of the fourth, which was tried once. All of them
 * wait, in order. */
static void two_sessions(void **state)
{
	struct house *h = *state;
	open_ours(h);
	says(h, 1, 3);
	home_answers(h, "MESSAGE", 0, 481, "");
	answers_sdp(h, "INVITE", "", IM);
	says(h, 4, 4);
	in_ours(h, "BYE", 3, "", "");
	house_pass(h, 33000);
	says(h, 5, 5);
	house_pass(h, 10);
	assert_int_equal(house_journaled(h), 5);
	h->dialect = GATEWAY_DIALECT_SIMPLE;
	house_forget(h, 0);
	all_come(h, 1, 5);
}

/* Nobody answers the call. */
static void no_answer(void **state)
{
	struct house *h = *state;
	says(h, 1, 3);
	home_answers(h, "INVITE", 0, 180, "");
	house_pass(h, 60000);
	expect(h, CALLED "; S CANCEL sip:" ROMEO);
	says(h, 4, 4);
	assert_int_equal(house_journaled(h), 4);
	home_answers(h, "CANCEL", 0, 200, "");
	home_answers(h, "INVITE", 0, 487, "");
	h->dialect = GATEWAY_DIALECT_SIMPLE;
	house_forget(h, 0);
	all_come(h, 1, 4);
}

#define T(f, setup) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(page, keeping), T(insured, keeping), T(unreachable, keeping), T(refusing, keeping), T(no_room, keeping), T(overfull, calling), T(overfull_no_room, calling), T(session, calling),
		T(two_sessions, calling), T(no_answer, calling),
	};
	return cmocka_run_group_tests_name("queue-order", tests, NULL, NULL);
}
