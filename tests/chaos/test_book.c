/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement of the books, of messages that are made up: what a deed excuses, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "ledger.h"

static uint64_t now;
#define MS 1000000ull
#define S0 1000000000000ull

/* Beside book.c. */
uint64_t track_now(void)
{
	return now;
}

void track_summarise(struct track_times *times, struct track_summary *ret)
{
	(void)times;
	*ret = (struct track_summary){0};
}

void home_counts(const struct home *h, struct home_counts *ret)
{
	(void)h;
	*ret = (struct home_counts){0};
}

void fleet_counts(const struct fleet *f, struct fleet_counts *ret)
{
	(void)f;
	*ret = (struct fleet_counts){0};
}

struct stand {
	struct loop loop;
	struct ledger l;
	struct member members[2];
	struct pair pairs[2];
};
enum { SM, PLAIN };

static int begin(void **state)
{
	struct stand *s = MEM_NEW(struct stand);
	s->l.loop = &s->loop;
	s->l.grace_ms = 50;
	s->l.ends_ms = 1500;
	s->l.think_ms = s->l.home_think_ms = 20;
	s->l.n_groups = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct group *g = &s->l.groups[i];
		*g = (struct group){.ledger = &s->l, .name = i ? "plain" : "sm", .acks = i == SM, .on = true, .n = 1, .n_pairs = 1,
				    .members = &s->members[i], .pairs = &s->pairs[i]};
		s->members[i].group = g;
		s->pairs[i].member = &s->members[i];
		times_init(&g->sides[0]);
		times_init(&g->sides[1]);
	}
	book_init(&s->l);
	now = S0;
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct stand *s = *state;
	book_free(&s->l);
	mem_free(s);
	return 0;
}

static struct entry *sent(struct stand *s, unsigned group, unsigned side, uint64_t ms)
{
	now = S0 + ms * MS;
	struct entry *e = book_open(&s->l, &s->l.groups[group], &s->pairs[group], side, now);
	e->sent = now;
	return e;
}

static void accepted(struct stand *s, struct entry *e, uint64_t ms)
{
	now = S0 + ms * MS;
	if (e->side == TO_XMPP)
		book_answer(&s->l, e, 200, SLICE_NONE);
	else
		book_acked(&s->l, e);
}

static void came(struct stand *s, struct entry *e, uint64_t ms)
{
	now = S0 + ms * MS;
	book_arrived(&s->l, e);
}

static void deed(struct stand *s, enum deed kind, uint64_t ms)
{
	book_mark(&s->l, kind, S("deed"), NULL, S0 + ms * MS);
}

static void twice(struct stand *s, unsigned group, unsigned side, uint64_t first, uint64_t second)
{
	struct entry *e = sent(s, group, side, first - 5);
	came(s, e, first);
	accepted(s, e, first + 25);
	came(s, e, second);
}

#define J(group, side) (s->l.groups[group].sides[side].j)

static void a_kill_excuses_what_it_can(void **state)
{
	struct stand *s = *state;
	deed(s, DEED_KILL, 1000);
	twice(s, SM, TO_XMPP, 990, 1300);  /* not confirmed yet */
	twice(s, PLAIN, TO_SIP, 940, 1300); /* confirmed at 960, 40 ms before */
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled, 1);
	assert_int_equal(J(PLAIN, TO_SIP).doubled, 1);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong + J(PLAIN, TO_SIP).doubled_wrong, 0);
	assert_int_equal(J(PLAIN, TO_SIP).doubled_ns, 40 * MS);
}

static void a_kill_excuses_no_more(void **state)
{
	struct stand *s = *state;
	deed(s, DEED_KILL, 1000);
	twice(s, SM, TO_XMPP, 920, 1300);  /* confirmed 60 ms before */
	twice(s, SM, TO_SIP, 1200, 1300);  /* both after it */
	twice(s, PLAIN, TO_SIP, 800, 900); /* both before it */
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 1);
	assert_int_equal(J(SM, TO_SIP).doubled_wrong, 1);
	assert_int_equal(J(PLAIN, TO_SIP).doubled_wrong, 1);
}

static void each_copy_needs_a_deed(void **state)
{
	struct stand *s = *state;
	struct entry *e = sent(s, SM, TO_XMPP, 990);
	deed(s, DEED_KILL, 1000);
	came(s, e, 995);
	came(s, e, 1300);
	came(s, e, 2000);
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled, 1);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 1);
}

/* A home that thinks for seconds, and is quick again when the second copy comes. */
static void each_copy_is_thought_about(void **state)
{
	struct stand *s = *state;
	struct entry *e;
	deed(s, DEED_KILL, 2500);
	s->l.home_think_ms = 3000;
	e = sent(s, PLAIN, TO_SIP, 995);
	came(s, e, 1000);
	s->l.home_think_ms = 20;
	came(s, e, 2700);
	book_judge(&s->l);
	assert_int_equal(J(PLAIN, TO_SIP).doubled, 1);
	assert_int_equal(J(PLAIN, TO_SIP).doubled_wrong, 0);
}

static void notes_and_restarts_excuse_nothing(void **state)
{
	struct stand *s = *state;
	for (unsigned at = 0; at < 3000; at += 100)
		deed(s, at % 200 ? DEED_NOTE : DEED_RESTART, at);
	twice(s, SM, TO_XMPP, 995, 1300);
	twice(s, PLAIN, TO_SIP, 995, 1300);
	sent(s, PLAIN, TO_SIP, 1399);
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 1);
	assert_int_equal(J(PLAIN, TO_SIP).doubled_wrong, 1);
	assert_int_equal(J(PLAIN, TO_SIP).silent_wrong, 1);
}

static void a_power_cut_has_its_own_patience(void **state)
{
	struct stand *s = *state;
	deed(s, DEED_POWER, 3000);
	twice(s, SM, TO_XMPP, 1700, 4000); /* confirmed 1280 ms before: its end may not have been synced */
	twice(s, SM, TO_SIP, 1400, 4000);  /* 1580 ms */
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 0);
	assert_int_equal(J(SM, TO_SIP).doubled_wrong, 1);
}

static void a_cut_excuses_its_own_direction(void **state)
{
	struct stand *s = *state;
	struct group *sm = &s->l.groups[SM];
	book_mark(&s->l, DEED_CUT, SLICE_NONE, sm, S0 + 1000 * MS);
	twice(s, SM, TO_XMPP, 990, 1300);
	twice(s, PLAIN, TO_XMPP, 990, 1300); /* another's */
	twice(s, SM, TO_SIP, 990, 1300);     /* known by its name when its server sends it again */
	book_mark(&s->l, DEED_CUT, SLICE_NONE, NULL, S0 + 2000 * MS); /* the home's */
	twice(s, PLAIN, TO_SIP, 1990, 2300);
	twice(s, SM, TO_XMPP, 1990, 2300);
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled, 2);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 1);
	assert_int_equal(J(PLAIN, TO_XMPP).doubled_wrong, 1);
	assert_int_equal(J(SM, TO_SIP).doubled_wrong, 1);
	assert_int_equal(J(PLAIN, TO_SIP).doubled_wrong, 0);
}

static void deeds_that_are_told_late(void **state)
{
	struct stand *s = *state;
	deed(s, DEED_NOTE, 500);
	deed(s, DEED_KILL, 2000);
	twice(s, SM, TO_XMPP, 995, 1300);
	deed(s, DEED_KILL, 1000); /* known only now */
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).doubled_wrong, 0);
	assert_int_equal(s->l.marks[1].at, S0 + 1000 * MS);
	assert_int_equal(s->l.deeds[DEED_KILL], 2);
}

static void who_vanishes_without_a_word(void **state)
{
	struct stand *s = *state;
	deed(s, DEED_KILL, 1000);
	sent(s, PLAIN, TO_SIP, 997);
	sent(s, PLAIN, TO_SIP, 1010); /* into a socket that nobody reads any more */
	sent(s, PLAIN, TO_SIP, 900);
	sent(s, PLAIN, TO_SIP, 1200);
	book_judge(&s->l);
	assert_int_equal(J(PLAIN, TO_SIP).accepted, 0);
	assert_int_equal(J(PLAIN, TO_SIP).silent, 4);
	assert_int_equal(J(PLAIN, TO_SIP).silent_wrong, 2);
	assert_int_equal(J(PLAIN, TO_SIP).silent_ns, 3 * MS);
}

static void lost_is_lost(void **state)
{
	struct stand *s = *state;
	struct group *plain = &s->l.groups[PLAIN];
	deed(s, DEED_KILL, 1000);
	accepted(s, sent(s, SM, TO_XMPP, 990), 995);
	accepted(s, sent(s, SM, TO_SIP, 990), 995);
	book_mark(&s->l, DEED_CUT, SLICE_NONE, plain, S0 + 2000 * MS);
	accepted(s, sent(s, PLAIN, TO_XMPP, 1995), 2010); /* its server's kernel had it */
	accepted(s, sent(s, PLAIN, TO_XMPP, 1995), 3000); /* this one was accepted long after */
	accepted(s, sent(s, PLAIN, TO_XMPP, 1800), 1810); /* ... and this one long before */
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).lost, 1);
	assert_int_equal(J(SM, TO_SIP).lost, 1);
	assert_int_equal(J(PLAIN, TO_XMPP).lost_there, 1);
	assert_int_equal(J(PLAIN, TO_XMPP).lost, 2);
}

static void an_answer_is_owed(void **state)
{
	struct stand *s = *state;
	sent(s, SM, TO_XMPP, 500); /* its connection stands */
	sent(s, SM, TO_XMPP, 600)->broken = S0 + 700 * MS; /* broke without a deed */
	deed(s, DEED_KILL, 1000);
	sent(s, SM, TO_XMPP, 995)->broken = S0 + 1002 * MS;
	deed(s, DEED_RESTART, 20000);
	sent(s, SM, TO_XMPP, 21000)->broken = S0 + 21010 * MS;
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).unanswered, 4);
	assert_int_equal(J(SM, TO_XMPP).unanswered_wrong, 2);
}

static void refused_and_came(void **state)
{
	struct stand *s = *state;
	struct entry *e = sent(s, SM, TO_XMPP, 100);
	book_answer(&s->l, e, 503, S("server/shutdown"));
	came(s, e, 130);
	deed(s, DEED_KILL, 1000);
	for (unsigned i = 0; i < 2; i++) { /* 504: not known; 503: not taken */
		e = sent(s, SM, TO_XMPP, 985);
		came(s, e, 990);
		now = S0 + 1020 * MS;
		book_answer(&s->l, e, i ? 503 : 504, S("link/down"));
	}
	e = sent(s, SM, TO_XMPP, 1500);
	came(s, e, 1510);
	now = S0 + 1520 * MS;
	book_answer(&s->l, e, 504, S("xmpp/unreachable"));
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_XMPP).refused, 4);
	assert_int_equal(J(SM, TO_XMPP).refused_came, 4);
	assert_int_equal(J(SM, TO_XMPP).refused_came_wrong, 3);
}

static void old_after_new(void **state)
{
	struct stand *s = *state;
	struct entry *a = sent(s, SM, TO_SIP, 990), *b;
	deed(s, DEED_KILL, 1000);
	came(s, a, 995);
	b = sent(s, SM, TO_SIP, 1200);
	came(s, b, 1205);
	came(s, a, 1300);
	book_judge(&s->l);
	assert_int_equal(J(SM, TO_SIP).disordered, 0);
	assert_int_equal(J(SM, TO_SIP).doubled_wrong, 0);
	assert_int_equal(s->l.groups[SM].sides[TO_SIP].repeated_late, 1);
}

static void slow_is_said(void **state)
{
	struct stand *s = *state;
	came(s, sent(s, SM, TO_SIP, 0), 60000);
	assert_int_equal(s->l.groups[SM].sides[TO_SIP].arrival.ns[0], 60000000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_kill_excuses_what_it_can), T(a_kill_excuses_no_more), T(each_copy_needs_a_deed), T(each_copy_is_thought_about), T(notes_and_restarts_excuse_nothing),
		T(a_power_cut_has_its_own_patience), T(a_cut_excuses_its_own_direction), T(deeds_that_are_told_late),
		T(who_vanishes_without_a_word), T(lost_is_lost), T(an_answer_is_owed), T(refused_and_came), T(old_after_new), T(slow_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
