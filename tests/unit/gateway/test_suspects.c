/* SPDX-License-Identifier: Apache-2.0 */
/* A text that crashes us and is in no journal, since whoever sent it still has it, and sends it again after each start (docs/adr/0053). */
#include "house.h"
#include "gateway/queue.h"

#include <stdio.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define OUT(text) "X message " ROMEO ">" JULIET " '" text "'"
#define IN(text) "S MESSAGE sip:" ROMEO " '" text "'"

static int setup(void **state)
{
	struct house *h = *state = house_new();
	house_journal(h);
	home_message(h, ROMEO, JULIET, "0"); /* the two know each other */
	house_pass(h, 600);
	house_forget(h, 0);
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

/* As a partner's server does that acknowledges: with its id, on each new stream until it is acknowledged. */
static void says(struct house *h, const char *id)
{
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' id='%s' type='chat'><body>%s</body></message>", id, id);
}

static void says_by_sip(struct house *h, int branch)
{
	home_says(h, "MESSAGE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKs%d\nMax-Forwards: 70\n"
		     "From: <sip:" ROMEO ">;tag=same\nTo: <sip:" JULIET ">\nCall-ID: same@192.0.2.1\nCSeq: 7 MESSAGE\n"
		     "Content-Type: text/plain\n\nsame", branch);
}

static void crash(struct house *h)
{
	h->crashed = true;
	house_restart(h, 100);
	h->stream++;
	house_forget(h, 0);
}

static unsigned under_way(const struct house *h)
{
	unsigned n = 0;
	for (size_t i = 0; i < GATEWAY_UNDER_WAY; i++)
		n += h->under_way.names[i] != 0;
	return n;
}

static char states[64];

static void one_state(void *arg, const struct gateway_queue_facts *f)
{
	(void)arg;
	snprintf(states + strlen(states), sizeof states - strlen(states), "%s %u;", f->state, f->crashes);
}

static const char *queued(struct house *h)
{
	states[0] = '\0';
	gateway_queue_each(h->gateway, one_state, NULL);
	return states;
}

/* What is under way has a name, as long as it is. */
static void noted(void **state)
{
	struct house *h = *state;
	assert_int_equal(under_way(h), 0);
	says(h, "1");
	says(h, "2");
	assert_int_equal(under_way(h), 2);
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(under_way(h), 1);
	home_answers(h, "MESSAGE", 0, 404, ""); /* its error is sent */
	assert_int_equal(under_way(h), 0);
	h->bare = true; /* in the journal, with marks of its own */
	says(h, "3");
	assert_int_equal(under_way(h), 0);
	home_answers(h, "MESSAGE", 0, 200, "");
	h->link = LINK_QUEUED;
	says_by_sip(h, 1);
	assert_int_equal(under_way(h), 1);
	house_release(h, REASON_NONE);
	assert_int_equal(under_way(h), 0);
	h->link = LINK_BAD;
	h->why = REASON_XMPP_UNREACHABLE;
	home_message(h, ROMEO, JULIET, "4");
	assert_int_equal(under_way(h), 0);
}

/* The partner's server sends the poison again after each start, and others with it. Two crashes, and it lies in quarantine, acknowledged. */
static void poison(void **state)
{
	struct house *h = *state;
	says(h, "poison");
	says(h, "other");
	expect(h, IN("poison"));
	crash(h);
	uint64_t done = h->n_done;
	says(h, "poison");
	says(h, "other");
	expect(h, ""); /* not before it is on the disk */
	assert_int_equal(under_way(h), 0);
	house_pass(h, 60);
	assert_int_equal(h->n_done, done + 2);
	expect(h, IN("poison"));
	assert_non_null(strstr(queued(h), "under way 1;"));
	assert_non_null(strstr(queued(h), "waiting 1;"));
	crash(h); /* before its acknowledgement has left: it comes a third time */
	done = h->n_done;
	says(h, "poison");
	says(h, "other");
	assert_int_equal(h->n_done, done + 2);
	house_pass(h, 60);
	expect(h, IN("other")); /* which was not under way this time */
	home_answers(h, "MESSAGE", 0, 200, "");
	says(h, "new");
	expect(h, IN("new"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 60000);
	expect(h, "");
	assert_string_equal(queued(h), "quarantined 2;");
	house_pass(h, 3600000); /* its sender hears of it in the end */
	expect(h, "X message/error " ROMEO ">" JULIET " remote-server-timeout/cancel");
}

/* A suspect that harms nobody arrives once, whatever happens to its acknowledgement. */
static void innocent(void **state)
{
	struct house *h = *state;
	says(h, "1");
	crash(h);
	partner_message(h, "paris@fabrikam.test", ROMEO, "p"); /* so that what ends next is noted a moment later */
	says(h, "1");
	house_pass(h, 60);
	expect(h, IN("p"));
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, IN("1"));
	h->killed = true; /* that it is over does not reach the journal, but is remembered otherwise */
	home_answers(h, "MESSAGE", 0, 200, "");
	h->killed = false;
	house_pass(h, 200);
	house_restart(h, 100);
	h->stream++;
	says(h, "1");
	house_pass(h, 5000);
	expect(h, "");
	assert_int_equal(house_journaled(h), 0);
	says(h, "2"); /* nobody else is a suspect */
	expect(h, IN("2"));
	home_answers(h, "MESSAGE", 0, 200, "");
}

/* The same words again within the window are its repetition, later they are said anew (without an id at once after the first repetition). */
static void said_again(void **state)
{
	struct house *h = *state;
	says(h, "1");
	crash(h);
	says(h, "1");
	house_pass(h, 60);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, SEEN_WINDOW_S * 1000 - 2000);
	uint64_t done = h->n_done;
	says(h, "1");
	house_pass(h, 60);
	expect(h, "");
	assert_int_equal(h->n_done, done + 1);
	house_pass(h, 4 * 3600 * 1000);
	says(h, "1");
	house_pass(h, 60);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(h->n_done, done + 2);
	house_pass(h, 5000);
	assert_int_equal(house_journaled(h), 0);
}

/* The home is away when it is its turn, and `keep` is on: it waits as others do, and comes once. */
static void kept(void **state)
{
	struct house *h = *state;
	h->cfg.queue_keep = true;
	gateway_set(h->gateway, &h->cfg);
	says(h, "1");
	crash(h);
	h->no_home = true;
	says(h, "1");
	house_pass(h, 60);
	h->no_home = false;
	house_pass(h, 5000);
	expect(h, IN("1"));
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 5000);
	expect(h, "");
	assert_int_equal(house_journaled(h), 0);
}

/* It crashed us before it was in the journal, too: it is refused, and acknowledged. When even that is too much, it is acknowledged. */
static void refused(void **state)
{
	struct house *h = *state;
	says(h, "poison");
	crash(h);
	h->suspects[0].crashes = 2;
	house_restart(h, 100);
	uint64_t done = h->n_done;
	says(h, "poison");
	expect(h, "X message/error " ROMEO ">" JULIET " internal-server-error/cancel");
	assert_int_equal(h->n_done, done + 1);
	h->suspects[0].crashes = 3;
	house_restart(h, 100);
	done = h->n_done;
	says(h, "poison");
	expect(h, "");
	assert_int_equal(h->n_done, done + 1);
	assert_int_equal(h->journal_puts, 0);
	says(h, "another");
	expect(h, IN("another"));
	home_answers(h, "MESSAGE", 0, 200, "");
}

/* The journal has no room for a suspect: it is refused, and may come again. */
static void no_room(void **state)
{
	struct house *h = *state;
	says(h, "1");
	crash(h);
	h->disk_full = true;
	says(h, "1");
	expect(h, "X message/error " ROMEO ">" JULIET " resource-constraint/wait");
	assert_int_equal(under_way(h), 0);
}

/* It has its second chance (what comes of it: `first`), and no third. */
static void no_third(struct house *h, const char *stanza, struct slice body, const char *first)
{
	h->stream = 1;
	partner_says(h, "fabrikam.test", "%s", stanza);
	assert_int_equal(under_way(h), 0); /* it is over at once, so its name is made here */
	const struct slice parts[] = {S(JULIET), S(ROMEO), S("t"), body};
	h->suspects[0].name = seen_key(h->gateway->seen, parts, 4).v[0];
	for (unsigned crashes = 1; crashes <= 2; crashes++) {
		h->suspects[0].crashes = crashes;
		house_restart(h, 100);
		house_forget(h, 0);
		uint64_t done = h->n_done;
		partner_says(h, "fabrikam.test", "%s", stanza);
		expect(h, crashes == 1 ? first : "X message/error " ROMEO ">" JULIET " internal-server-error/cancel");
		assert_int_equal(h->n_done, done + 1);
		assert_int_equal(h->journal_puts, 0);
	}
}

/* What is no text cannot wait in the journal. */
static void no_text(void **state)
{
	no_third(*state, "<message from='" JULIET "' to='" ROMEO "' id='t' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", SLICE_NONE, "");
}

/* Nor an invitation to a group chat, though it has words for old clients. */
static void invitation(void **state)
{
	no_third(*state, "<message from='" JULIET "' to='" ROMEO "' id='t'><body>come</body><x xmlns='jabber:x:conference' jid='r@rooms.fabrikam.test'/></message>", S("come"),
		 "X message/error " ROMEO ">" JULIET " not-acceptable/cancel; S MESSAGE sip:" ROMEO " '[" JULIET " invites you to the group chat r@rooms.fabrikam.test. Group chats "
		 "cannot cross to your network, so the invitation was declined. You can go on writing to each other here.]'");
}

/* A home that sends its request again, over UDP or a new connection. */
static void from_sip(void **state)
{
	struct house *h = *state;
	h->link = LINK_QUEUED;
	says_by_sip(h, 1);
	expect(h, OUT("same"));
	crash(h);
	says_by_sip(h, 1);
	expect(h, "");
	house_pass(h, 60);
	expect(h, "S 202 MESSAGE; " OUT("same"));
	crash(h);
	says_by_sip(h, 2);
	house_pass(h, 60);
	expect(h, "S 202 MESSAGE");
	assert_string_equal(queued(h), "quarantined 2;");
	h->suspects[0].crashes = 2; /* of one that could not be journaled */
	house_restart(h, 100);
	says_by_sip(h, 3);
	expect(h, "S 500 MESSAGE server/crashed");
}

/* The far side of one suspect keeps silent: the others wait for it, but not for ever. */
static void silent(void **state)
{
	struct house *h = *state;
	h->link = LINK_HANDED;
	home_message(h, ROMEO, JULIET, "1");
	home_message(h, "paris@contoso.test", JULIET, "p");
	house_pass(h, 600);
	crash(h);
	house_pass(h, QUEUE_ALONE_MAX_MS - 100);
	expect(h, OUT("1"));
	house_pass(h, 200);
	expect(h, "X message paris@contoso.test>" JULIET " 'p'");
	house_pass(h, QUEUE_ALONE_MAX_MS);
	assert_false(h->alone);
	house_release(h, REASON_NONE);
	house_pass(h, 1000);
	assert_int_equal(house_journaled(h), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(noted), T(poison), T(innocent), T(said_again), T(kept), T(refused), T(no_room), T(no_text), T(invitation), T(from_sip), T(silent),
	};
	return cmocka_run_group_tests_name("suspects", tests, NULL, NULL);
}
