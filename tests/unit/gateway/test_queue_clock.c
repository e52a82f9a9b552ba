/* SPDX-License-Identifier: Apache-2.0 */
/* What the clock of the day does while texts wait: nothing (docs/queue.md). */
#include "house.h"

#include <string.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define IN(text) "S MESSAGE sip:" ROMEO " '" text "'"

enum { DAY = 86400 };

static int setup(void **state)
{
	struct house *h = *state = house_new();
	h->cfg.queue_keep = true;
	house_journal(h);
	home_message(h, ROMEO, JULIET, "0"); /* the two know each other */
	house_pass(h, 600);
	house_forget(h, 0);
	h->no_home = true;
	partner_message(h, JULIET, ROMEO, "1");
	house_pass(h, 1000);
	assert_int_equal(house_journaled(h), 1);
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static int64_t left_s;

static void look(void *arg, const struct gateway_queue_facts *f)
{
	left_s = f->expires_at - *(const int64_t *)arg;
}

static int64_t left(struct house *h)
{
	int64_t day = HOUSE_UNIX + (int64_t)(h->timers.now / 1000) + h->jump;
	left_s = -1;
	gateway_queue_each(h->gateway, look, &day);
	return left_s;
}

static void there_for_its_life(struct house *h)
{
	assert_in_range(left(h), 3590, 3600); /* as it is shown, by the time of day */
	house_pass(h, 3500000);
	assert_int_equal(house_journaled(h), 1);
	house_pass(h, 110000);
	assert_int_equal(house_journaled(h), 0);
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/cancel");
}

/* Five days on, or back to 1970: it lives as long as it would have. */
static void forward(void **state)
{
	struct house *h = *state;
	h->jump = 5 * DAY;
	there_for_its_life(h);
}

static void backward(void **state)
{
	struct house *h = *state;
	h->jump = -HOUSE_UNIX;
	there_for_its_life(h);
}

/* For a moment. */
static void there_and_back(void **state)
{
	struct house *h = *state;
	h->jump = 5 * DAY;
	house_pass(h, 2000);
	partner_message(h, JULIET, ROMEO, "2"); /* taken meanwhile */
	house_pass(h, 1000);
	h->jump = 0;
	house_pass(h, 1000);
	assert_int_equal(house_journaled(h), 2);
	h->no_home = false;
	house_pass(h, 10000);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 1000);
	expect(h, IN("2"));
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(house_journaled(h), 0);
}

/* Over a restart, too. */
static void restarted(void **state)
{
	struct house *h = *state;
	h->jump = 5 * DAY;
	house_restart(h, 1000);
	there_for_its_life(h);
}

/* What an entry says that nobody's setting allows is cut to it. */
static void too_long(void **state)
{
	struct house *h = *state;
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		h->entries[i].q.expires_at += 100 * DAY;
	house_restart(h, 1000);
	there_for_its_life(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(forward), T(backward), T(there_and_back), T(restarted), T(too_long)};
	return cmocka_run_group_tests_name("queue-clock", tests, NULL, NULL);
}
