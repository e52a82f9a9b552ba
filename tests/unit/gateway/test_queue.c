/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted is not lost: the journal between the two networks, under a virtual clock (docs/adr/0053). */
#include "house.h"

#include <stdio.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define OUT(text) "X message " ROMEO ">" JULIET " '" text "'"
#define IN(text) "S MESSAGE sip:" ROMEO " '" text "'"

static int setup(void **state)
{
	struct house *h = *state = house_new();
	house_journal(h);
	/* the two know each other: answers do not wait for errors */
	home_message(h, ROMEO, JULIET, "0");
	house_pass(h, 600);
	house_forget(h, 0);
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static void texts(struct house *h, int first, int last)
{
	for (int i = first; i <= last; i++)
		home_message(h, ROMEO, JULIET, (const char[]){(char)('0' + i), 0});
}

/* ---- SIP to XMPP */

/* A partner that acknowledges costs no disk. */
static void acknowledged(void **state)
{
	struct house *h = *state;
	home_message(h, ROMEO, JULIET, "1");
	house_pass(h, 100);
	expect(h, OUT("1") "; S 200 MESSAGE");
	assert_int_equal(h->journal_puts, 0);
}

/* Handed over, not confirmed: 200 when it is on the disk, and out of there when it is confirmed. */
static void handed(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	home_message(h, ROMEO, JULIET, "1");
	expect(h, OUT("1"));
	house_pass(h, 1);
	expect(h, "S 200 MESSAGE");
	assert_int_equal(house_journaled(h), 1);
	house_release(h, REASON_NONE);
	house_pass(h, 100000);
	expect(h, "");
	assert_int_equal(house_journaled(h), 0);
	assert_int_equal(h->journal_puts, 1);
}

/* The stream is lost with three of them: again, in order, and what comes meanwhile goes behind them. */
static void lost_and_sent_again(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 3);
	house_pass(h, 1);
	expect(h, OUT("1") "; " OUT("2") "; " OUT("3") "; S 200 MESSAGE; S 200 MESSAGE; S 200 MESSAGE");
	house_release(h, REASON_XMPP_UNREACHABLE);
	texts(h, 4, 5);
	house_pass(h, 1);
	expect(h, "S 202 MESSAGE; S 202 MESSAGE");
	assert_int_equal(house_journaled(h), 5);
	house_pass(h, 5000);
	expect(h, OUT("1") "; " OUT("2") "; " OUT("3") "; " OUT("4") "; " OUT("5"));
	house_release(h, REASON_NONE);
	assert_int_equal(house_journaled(h), 0);
	h->link = LINK_FINE;
	home_message(h, ROMEO, JULIET, "6");
	expect(h, OUT("6") "; S 200 MESSAGE");
	house_pass(h, 100000);
	expect(h, "");
}

/* A partner that stays away is asked again and again, ever more seldom; the first of a pair only. Its return is noticed at once. */
static void backs_off(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 3);
	home_message(h, "paris@contoso.test", JULIET, "p");
	house_pass(h, 600);
	house_release(h, REASON_XMPP_UNREACHABLE);
	house_forget(h, 0);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	house_pass(h, 600000);
	struct slice log = buf_slice(&h->log);
	int tries = 0, others = 0;
	for (ptrdiff_t at; (at = slice_find(log, S(" '"))) >= 0; log = slice_skip(log, (size_t)at + 2)) {
		tries++;
		others += log.p[at + 2] != '1' && log.p[at + 2] != 'p';
	}
	assert_in_range(tries, 8, 30);
	assert_int_equal(others, 0);
	house_forget(h, 0);
	h->link = LINK_FINE;
	house_link(h, "fabrikam.test", true);
	house_pass(h, 100);
	expect_count(h, "X message", 4);
	assert_int_equal(house_journaled(h), 0);
}

/* The stream acknowledges, but not soon: the same. */
static void slow_acknowledgement(void **state)
{
	struct house *h = *state;
	h->link = LINK_SLOW;
	texts(h, 1, 1);
	house_pass(h, 1);
	expect(h, OUT("1") "; S 200 MESSAGE");
	house_release(h, REASON_NONE);
	assert_int_equal(house_journaled(h), 0);
}

/* By default a partner that cannot be had is an error, as ever. */
static void refused(void **state)
{
	struct house *h = *state;
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	texts(h, 1, 1);
	house_pass(h, 100000);
	expect(h, OUT("1") "; S 504 MESSAGE xmpp/unreachable");
	assert_int_equal(h->journal_puts, 0);
}

/* With `keep` it is taken; but not what will never pass. */
static void kept(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	texts(h, 1, 2);
	house_pass(h, 1);
	expect(h, OUT("1") "; S 202 MESSAGE; S 202 MESSAGE");
	h->link = LINK_FINE;
	house_link(h, "fabrikam.test", true);
	house_pass(h, 10);
	expect(h, OUT("1") "; " OUT("2"));
	assert_int_equal(house_journaled(h), 0);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_CERTIFICATE;
	texts(h, 3, 3);
	expect(h, OUT("3") "; S 504 MESSAGE xmpp/certificate");
	h->why = REASON_XMPP_DNS;
	texts(h, 4, 4);
	expect(h, OUT("4") "; S 404 MESSAGE xmpp/dns-not-found");
	assert_int_equal(house_journaled(h), 0);
}

/* ... and when the stream takes its time to come up, after a short while. */
static void patience(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	h->link = LINK_QUEUED;
	texts(h, 1, 1);
	house_pass(h, 4990);
	expect(h, OUT("1"));
	house_pass(h, 20);
	expect(h, "S 202 MESSAGE");
	house_release(h, REASON_NONE);
	expect(h, "");
	assert_int_equal(house_journaled(h), 0);
}

/* It waited as long as it may: the SIP user reads so. */
static void lifetime(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	house_pass(h, 1);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	house_release(h, REASON_XMPP_UNREACHABLE);
	house_pass(h, 3590000);
	assert_int_equal(house_journaled(h), 1);
	house_forget(h, 0);
	house_pass(h, 20000); /* it may be tried once more in this time */
	expect_count(h, IN("[not delivered] \"1\": the user's server does not answer"), 1);
	assert_int_equal(house_journaled(h), 0);
	/* the same after a restart, when nobody remembers its id */
	h->link = LINK_HANDED;
	texts(h, 2, 2);
	house_pass(h, 1);
	house_restart(h, 3700000);
	house_forget(h, 0);
	house_pass(h, 5);
	expect(h, IN("[not delivered] \"2\": the user's server does not answer"));
	assert_int_equal(house_journaled(h), 0);
}

/* No room: what would need it is refused before it leaves; what does not need it goes on. */
static void disk_full(void **state)
{
	struct house *h = *state;
	h->disk_full = true;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	expect(h, OUT("1") "; S 503 MESSAGE server/queue-disk"); /* the edge was told to give it to a stream that acknowledges, only */
	assert_true(house_sip_has(h, "SIP/2.0 503", 0, "Retry-After:"));
	h->link = LINK_FINE;
	texts(h, 2, 2);
	expect(h, OUT("2") "; S 200 MESSAGE");
	h->link = LINK_SLOW;
	texts(h, 3, 3);
	house_pass(h, 5000);
	expect(h, OUT("3"));
	house_release(h, REASON_NONE);
	expect(h, "S 200 MESSAGE");
	texts(h, 4, 4);
	house_pass(h, 20001);
	expect(h, OUT("4") "; S 503 MESSAGE server/queue-disk");
	house_release(h, REASON_NONE);
	h->disk_full = false;
	h->link = LINK_HANDED;
	texts(h, 5, 5);
	house_pass(h, 1);
	expect(h, OUT("5") "; S 200 MESSAGE");
	house_release(h, REASON_NONE);
	assert_int_equal(house_journaled(h), 0);
}

/* The disk fails under a text that was handed over: it is taken when it is confirmed, and refused when it is lost. */
static void disk_failing(void **state)
{
	struct house *h = *state;
	h->disk_failing = true;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	house_pass(h, 100);
	expect(h, OUT("1"));
	house_release(h, REASON_NONE);
	expect(h, "S 200 MESSAGE");
	texts(h, 2, 2);
	house_pass(h, 100);
	house_release(h, REASON_XMPP_UNREACHABLE);
	expect(h, OUT("2") "; S 504 MESSAGE xmpp/unreachable");
	house_pass(h, 100000);
	expect(h, "");
}

static void says_again(struct house *h, int cseq)
{
	home_says(h, "MESSAGE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKq%d\nMax-Forwards: 70\n"
		     "From: <sip:" ROMEO ">;tag=same\nTo: <sip:" JULIET ">\nCall-ID: same@192.0.2.1\nCSeq: 7 MESSAGE\n"
		     "Content-Type: text/plain\n\nsame", cseq);
}

/* We die with it: it is sent again, once, and its repetition by the home is answered as the first. */
static void killed(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	says_again(h, 1);
	house_pass(h, 1);
	expect(h, OUT("same") "; S 200 MESSAGE");
	h->seen.len = 0; /* what was noted in the last tenth of a second is lost */
	house_restart(h, 1000);
	says_again(h, 2);
	expect(h, "S 200 MESSAGE");
	house_pass(h, 5000);
	expect(h, OUT("same"));
	house_release(h, REASON_NONE);
	says_again(h, 3);
	house_pass(h, 1000);
	expect(h, "S 200 MESSAGE");
	assert_int_equal(house_journaled(h), 0);
}

/* Not durable yet, so not answered: it is as if it had never come. */
static void killed_before(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	says_again(h, 1);
	expect(h, OUT("same"));
	house_restart(h, 100);
	house_pass(h, 100);
	expect(h, "");
	says_again(h, 2);
	house_pass(h, 600);
	expect(h, OUT("same") "; S 200 MESSAGE");
	house_release(h, REASON_NONE);
}

/* ---- XMPP to SIP */

/* A server that does not send again: we keep what it gave us. */
static void insured(void **state)
{
	struct house *h = *state;
	h->bare = true;
	partner_message(h, JULIET, ROMEO, "1");
	house_pass(h, 1);
	expect(h, IN("1"));
	assert_int_equal(house_journaled(h), 1);
	assert_true(h->entries[0].q.lazy); /* and nobody waits for the disk */
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 1);
	assert_int_equal(house_journaled(h), 0);
	partner_message(h, JULIET, ROMEO, "2");
	partner_message(h, JULIET, ROMEO, "3");
	house_pass(h, 1);
	expect(h, IN("2"));
	house_restart(h, 1000);
	house_pass(h, 5);
	expect(h, IN("2"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 5);
	expect(h, IN("3"));
	home_answers(h, "MESSAGE", 0, 404, "");
	house_pass(h, 5);
	expect(h, "X message/error " ROMEO ">" JULIET " service-unavailable/cancel");
	assert_int_equal(house_journaled(h), 0);
}

/* The disk fails: what is under way goes on, what only waits behind it would vanish with us. */
static void uninsured(void **state)
{
	struct house *h = *state;
	h->bare = true;
	h->disk_failing = true;
	partner_message(h, JULIET, ROMEO, "1");
	partner_message(h, JULIET, ROMEO, "2");
	house_pass(h, 1);
	expect(h, IN("1") "; X message/error " ROMEO ">" JULIET " resource-constraint/wait");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 5);
	expect(h, "");
	h->disk_failing = false;
	partner_message(h, JULIET, ROMEO, "3");
	house_pass(h, 1);
	expect(h, IN("3"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 1);
	assert_int_equal(house_journaled(h), 0);
}

/* With acknowledgements the partner's server is the journal. */
static void not_insured(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET, ROMEO, "1");
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(h->journal_puts, 0);
}

/* The home is away. Default: an error; `keep`: it waits, and the partner's server may forget it. */
static void home_away(void **state)
{
	struct house *h = *state;
	h->no_home = true;
	partner_message(h, JULIET, ROMEO, "1");
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/wait");
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	uint64_t done = h->n_done;
	partner_message(h, JULIET, ROMEO, "2");
	assert_int_equal(h->n_done, done);
	house_pass(h, 1);
	assert_int_equal(h->n_done, done + 1); /* it is on the disk */
	partner_message(h, JULIET, ROMEO, "3");
	house_pass(h, 1);
	assert_int_equal(h->n_done, done + 2);
	expect(h, "");
	house_restart(h, 1000);
	house_pass(h, 3000);
	expect(h, "");
	h->no_home = false;
	house_pass(h, 10000);
	expect(h, IN("2"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 10);
	expect(h, IN("3"));
	home_answers(h, "MESSAGE", 0, 503, "");
	house_pass(h, 10000);
	expect(h, IN("3"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 10);
	assert_int_equal(house_journaled(h), 0);
	expect(h, "");
}

static void home_away_too_long(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	h->no_home = true;
	partner_message(h, JULIET, ROMEO, "1");
	house_pass(h, 3700000);
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/cancel");
	assert_int_equal(house_journaled(h), 0);
}

/* The partner's server has not heard that we took it, and sends it again. */
static void sent_again_by_partner(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	h->no_home = true;
	for (int i = 0; i < 2; i++) {
		partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' id='x1' type='chat'><body>1</body></message>");
		house_pass(h, 10);
	}
	house_restart(h, 1000);
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' id='x1' type='chat'><body>1</body></message>");
	assert_int_equal(house_journaled(h), 1);
	h->no_home = false;
	house_pass(h, 10000);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 1);
	assert_int_equal(house_journaled(h), 0);
}

static void stanzas_without_room(void **state)
{
	struct house *h = *state;
	h->disk_full = h->bare = true;
	partner_message(h, JULIET, ROMEO, "1");
	expect(h, "X message/error " ROMEO ">" JULIET " resource-constraint/wait");
	partner_presence(h, JULIET, ROMEO, NULL, "");
	h->bare = false;
	partner_message(h, JULIET, ROMEO, "2");
	expect(h, IN("2"));
	home_answers(h, "MESSAGE", 0, 200, "");
}

/* ---- administrators, crashes */

static uint64_t only_id;
static char only_state[16];

static void only(void *arg, const struct gateway_queue_facts *f)
{
	(void)arg;
	only_id = f->id;
	snprintf(only_state, sizeof only_state, "%s", f->state);
}

static const char *look(struct house *h)
{
	only_id = 0;
	gateway_queue_each(h->gateway, only, NULL);
	return only_id ? only_state : "none";
}

static void administrators(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	gateway_queue_pause(h->gateway, S("fabrikam.test"), true);
	texts(h, 1, 1);
	house_pass(h, 100000);
	expect(h, "S 202 MESSAGE");
	assert_string_equal(look(h), "paused");
	assert_true(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_HOLD));
	gateway_queue_pause(h->gateway, S("fabrikam.test"), false);
	house_pass(h, 1000);
	assert_string_equal(look(h), "held");
	assert_false(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_RETRY));
	texts(h, 2, 2); /* is not kept by the one that is held */
	house_pass(h, 1);
	expect(h, OUT("2") "; S 200 MESSAGE");
	house_release(h, REASON_NONE);
	look(h);
	assert_true(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_RELEASE));
	house_pass(h, 5);
	expect(h, OUT("1"));
	assert_string_equal(look(h), "under way");
	assert_false(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_EXPIRE));
	house_release(h, REASON_XMPP_UNREACHABLE);
	look(h);
	assert_true(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_EXPIRE));
	house_pass(h, 5);
	expect(h, IN("[not delivered] \"1\": the user cannot be reached"));
	assert_int_equal(house_journaled(h), 0);
	assert_false(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_EXPIRE));
}

/* Two crashes with the same two under way: after the first they go one after the other, after the second the one that was on its way then is
 * left alone. */
static void poison(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	home_message(h, "paris@contoso.test", JULIET, "p");
	house_pass(h, 600);
	h->crashed = true;
	house_restart(h, 100);
	house_forget(h, 0);
	house_pass(h, 100);
	expect(h, OUT("1")); /* alone */
	h->crashed = true;
	house_restart(h, 100);
	house_pass(h, 100);
	expect(h, "X message paris@contoso.test>" JULIET " 'p'");
	house_release(h, REASON_NONE);
	house_pass(h, 100);
	assert_string_equal(look(h), "quarantined");
	expect(h, "");
	assert_true(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_RELEASE));
	house_pass(h, 5);
	expect(h, OUT("1"));
	house_release(h, REASON_NONE);
	assert_int_equal(house_journaled(h), 0);
}

/* An unreadable entry tells its sender, too. */
static void policy_has_changed(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	house_pass(h, 1);
	house_release(h, REASON_XMPP_UNREACHABLE);
	house_forget(h, 0);
	house_policy(h, -1, true, true);
	house_pass(h, 5000);
	expect(h, IN("[not delivered] \"1\": the user's server does not allow it"));
	assert_int_equal(house_journaled(h), 0);
}

/* One of two that go the same way is given up: the other one goes on. */
static void one_given_up(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	home_message(h, "paris@contoso.test", JULIET, "p");
	house_pass(h, 1);
	house_forget(h, 0);
	house_restart(h, 1000);
	h->link = LINK_BAD;
	h->why = REASON_LIMIT_SIZE;
	house_pass(h, 1);
	h->link = LINK_HANDED;
	house_pass(h, 100);
	expect_count(h, "X message paris@contoso.test>" JULIET " 'p'", 1);
	house_release(h, REASON_NONE);
	assert_int_equal(house_journaled(h), 0);
}

/* The disk does not give it just now: it stays, and its sender is told when its life is over. */
static void unread(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	texts(h, 1, 1);
	house_pass(h, 1);
	house_release(h, REASON_XMPP_UNREACHABLE);
	house_forget(h, 0);
	h->disk_unread = true;
	house_pass(h, 5000);
	assert_int_equal(house_journaled(h), 1);
	expect(h, "");
	h->disk_unread = false;
	house_pass(h, 60000);
	expect(h, OUT("1"));
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	house_release(h, REASON_XMPP_UNREACHABLE);
	h->disk_busy = true;
	house_pass(h, 3600000);
	house_forget(h, 0);
	assert_int_equal(house_journaled(h), 1);
	h->disk_busy = false;
	house_pass(h, 5000);
	expect_count(h, IN("[not delivered] \"1\": the user's server does not answer"), 1);
	assert_int_equal(house_journaled(h), 0);
}

/* To give it up it has to be read. Where that is what crashes us, it is not done for ever. */
static void poison_expires(void **state)
{
	struct house *h = *state;
	h->bare = true;
	partner_message(h, JULIET, ROMEO, "1");
	house_pass(h, 1);
	h->crashed = true;
	house_restart(h, 3700000);
	for (int i = 0; i < 2; i++) {
		house_pass(h, 0);
		assert_int_equal(h->journal_reads, i + 1);
		h->crashed = true; /* before it has it */
		house_restart(h, 1000);
	}
	house_pass(h, 10);
	assert_int_equal(h->journal_reads, 2);
	assert_int_equal(house_journaled(h), 0);
}

/* It goes on while it is still being written, and the disk fails: its receipt comes back all the same. */
static void begun_before_durable(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	h->no_home = true;
	uint64_t done = h->n_done;
	partner_message(h, JULIET, ROMEO, "1");
	h->no_home = false;
	look(h);
	assert_true(gateway_queue_do(h->gateway, only_id, GATEWAY_QUEUE_RETRY));
	house_pass(h, 0);
	expect(h, IN("1"));
	h->disk_failing = true;
	house_pass(h, 1);
	assert_int_equal(house_journaled(h), 0);
	assert_int_equal(h->n_done, done);
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(h->n_done, done + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(acknowledged), T(handed), T(lost_and_sent_again), T(backs_off), T(slow_acknowledgement), T(refused), T(kept), T(patience),
		T(lifetime), T(disk_full), T(disk_failing), T(killed), T(killed_before), T(insured), T(uninsured), T(not_insured), T(home_away),
		T(home_away_too_long), T(sent_again_by_partner), T(stanzas_without_room), T(administrators), T(poison), T(policy_has_changed),
		T(one_given_up), T(unread), T(poison_expires), T(begun_before_durable),
	};
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
