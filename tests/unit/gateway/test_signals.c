/* SPDX-License-Identifier: Apache-2.0 */
/* Typing through the gateway, in page mode and in a session: each row of the table of what crosses (interworking spec 4.4), and what must not. */
#include "signalling.h"

/* ---- typing of the SIP user */

static void states_to_xmpp(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "X message " ROMEO ">" JULIET "; S 200 MESSAGE");
	assert_true(stanza_has(h, "<composing xmlns='" STATES "'/>"));
	assert_true(stanza_has(h, "type='chat'") && stanza_has(h, "<no-store xmlns='urn:xmpp:hints'/>") && !stanza_has(h, "<body"));
	romeo(h, COMPOSING, ACTIVE); /* each state once */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 1000);
	romeo(h, COMPOSING, IDLE);
	expect(h, "S 200 MESSAGE"); /* not before five seconds */
	house_pass(h, 3999);
	NOTHING(h);
	house_pass(h, 1);
	SAYS_STATE(h, "active");
	house_pass(h, 600000);
	NOTHING(h);
}

static void state_of_the_moment(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect_count(h, "X message", 1);
	for (int i = 0; i < 20; i++) /* back and forth: what is true in the end counts */
		romeo(h, COMPOSING, i % 2 ? ACTIVE : IDLE);
	expect_count(h, "X message", 0);
	house_pass(h, 5000);
	NOTHING(h);
}

static void refresh_expires(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	expect_count(h, "X message", 1);
	house_pass(h, 50000);
	romeo(h, COMPOSING, ACTIVE); /* refreshed */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 59999);
	NOTHING(h);
	house_pass(h, 1);
	SAYS_STATE(h, "active");
	/* without <refresh/> two minutes */
	romeo(h, COMPOSING, "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>");
	house_pass(h, 10000);
	expect_count(h, "X message", 1);
	house_pass(h, 109000);
	NOTHING(h);
	house_pass(h, 1000);
	SAYS_STATE(h, "active");
}

static void text_ends_typing(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	house_pass(h, 6000);
	home_message(h, ROMEO, JULIET, "there");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>") && stanza_has(h, "<body>there"));
	buf_clear(&h->log);
	romeo(h, COMPOSING, IDLE); /* said already */
	expect(h, "S 200 MESSAGE");
	house_pass(h, 600000);
	NOTHING(h);
}

static void no_states_unasked(void **state)
{
	struct house *h = *state;
	/* nobody spoke of chat states (XEP-0085 5.1) */
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	home_message(h, ROMEO, JULIET, "hello");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>")); /* but the client is asked, as this one can show them */
	house_pass(h, 1000);
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	juliet(h, "type='chat' id='a'", "<body>hi</body>");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	/* a client that cannot show them does not ask */
	home_message(h, "benvolio@contoso.test", JULIET, "hello");
	assert_false(stanza_has(h, STATES));
}

static void refused_states(void **state)
{
	struct house *h = *state;
	char id[64] = "";
	acquainted(h);
	romeo(h, COMPOSING, ACTIVE);
	assert_non_null(strstr(h->stanza, "id='"));
	sscanf(strstr(h->stanza, "id='") + 4, "%63[^']", id);
	buf_clear(&h->log);
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='error' id='%s'><error type='cancel'><service-unavailable "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", id);
	NOTHING(h); /* no word to anybody, and no more states */
	house_pass(h, 61000);
	buf_clear(&h->log);
	romeo(h, COMPOSING, ACTIVE);
	expect(h, "S 200 MESSAGE");
	home_message(h, ROMEO, JULIET, "x");
	expect(h, "X message " ROMEO ">" JULIET " 'x'; S 200 MESSAGE"); /* the contact is no less confirmed for it */
}

/* ---- typing of the XMPP user */

static void states_to_sip(void **state)
{
	struct house *h = *state;
	acquainted(h);
	juliet_state(h, "composing");
	NOTHING(h); /* its client has not shown that it understands */
	romeo(h, COMPOSING, IDLE);
	expect(h, "S 200 MESSAGE");
	juliet_state(h, "active");
	juliet_state(h, "paused");
	juliet_state(h, "inactive");
	NOTHING(h); /* idle is what it thinks anyway */
	juliet_state(h, "composing");
	expect_count(h, "S MESSAGE sip:" ROMEO, 1);
	assert_true(sip_has(h, "Content-Type: " COMPOSING "\r\n") && sip_has(h, "<state>active</state>") && sip_has(h, "<refresh>90</refresh>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet_state(h, "composing");
	NOTHING(h);
	juliet_state(h, "paused");
	expect_count(h, "S MESSAGE sip:" ROMEO, 1);
	assert_true(sip_has(h, "<state>idle</state>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	juliet_state(h, "active");
	juliet_state(h, "gone");
	NOTHING(h);
	house_pass(h, 600000);
	NOTHING(h);
}

static void composing_is_refreshed(void **state)
{
	struct house *h = *state;
	int n = 0;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	house_pass(h, 79999);
	NOTHING(h);
	for (; n < 10; n++) { /* XMPP says it once; RFC 3994 wants to hear it again */
		house_pass(h, n ? 80000 : 1);
		if (!buf_slice(&h->log).len)
			break;
		assert_true(sip_has(h, n < 3 ? "<state>active</state>" : "<state>idle</state>"));
		expect_count(h, "S MESSAGE sip:" ROMEO, 1);
		home_answers(h, "MESSAGE", 0, 200, "");
	}
	assert_int_equal(n, 4); /* a client that says no more for five minutes has gone away */
}

static void texts_end_composing(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	juliet(h, "type='chat' id='a'", "<body>hi</body><active xmlns='" STATES "'/>");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'hi'");
	juliet_state(h, "active");
	house_pass(h, 600000);
	NOTHING(h); /* it is known, and nothing is repeated */
	juliet_state(h, "composing");
	expect_count(h, "S MESSAGE", 1);
}

static void unwanted(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet_state(h, "composing");
	home_answers(h, "MESSAGE", 0, 415, "Accept: text/plain\n");
	buf_clear(&h->log);
	juliet_state(h, "paused");
	juliet_state(h, "composing");
	house_pass(h, 600000);
	NOTHING(h);
	/* of no type that has states */
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet(h, "type='headline'", "<composing xmlns='" STATES "'/>");
	NOTHING(h);
}

static void typing_is_not_kept(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	buf_clear(&h->log);
	juliet(h, "type='chat' id='a'", "<body>one</body>");
	for (int i = 0; i < 5; i++) { /* while a text is under way only the last one waits */
		juliet_state(h, "composing");
		juliet_state(h, "paused");
	}
	juliet_state(h, "composing");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect_count(h, "S MESSAGE", 1);
	assert_true(sip_has(h, "<state>active</state>"));
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
	juliet(h, "type='chat' id='b'", "<body>two</body>");
	buf_clear(&h->log);
	juliet_state(h, "composing");
	house_pass(h, 11000);
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h); /* it waited for too long to be true */
}

/* One who types on and off does not keep the texts of others away. */
static void texts_have_their_turn(void **state)
{
	struct house *h = *state;
	acquainted(h);
	romeo(h, COMPOSING, IDLE);
	juliet(h, "type='chat' id='a'", "<body>one</body>");
	juliet_state(h, "composing");
	partner_message(h, "nurse@fabrikam.test", ROMEO, "two");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_true(sip_has(h, "<state>active</state>"));
	juliet_state(h, "paused");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_true(sip_has(h, "<state>idle</state>")); /* and that comes, too */
	home_answers(h, "MESSAGE", 0, 200, "");
	/* but not typing that a text has ended */
	juliet(h, "type='chat' id='b'", "<body>three</body>");
	juliet_state(h, "composing");
	juliet(h, "type='chat' id='c'", "<body>four</body>");
	buf_clear(&h->log);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'four'");
	home_answers(h, "MESSAGE", 0, 200, "");
	NOTHING(h);
}

/* ---- in a session of Lync's dialect */

static void keyboard_in(void **state)
{
	struct house *h = *state;
	in_session(h);
	romeo_in_session(h, "INFO", 2, "application/xml", TYPES);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 INFO");
	assert_true(stanza_has(h, "<composing xmlns='" STATES "'/>"));
	for (unsigned i = 0; i < 5; i++) { /* it says so all the time */
		house_pass(h, 4000);
		romeo_in_session(h, "INFO", 3 + i, "application/xml", TYPES);
		expect(h, "S 200 INFO");
	}
	house_pass(h, 9999);
	NOTHING(h);
	house_pass(h, 1); /* and never says that it has stopped */
	expect(h, "X message " ROMEO ">" JULIET "/balcony");
	assert_true(stanza_has(h, "<active xmlns='" STATES "'/>"));
	romeo_in_session(h, "INFO", 8, "application/xml", "<media_control/>");
	expect(h, "S 415 INFO");
	romeo_in_session(h, "INFO", 9, "application/csta+xml", "x");
	expect(h, "S 415 INFO");
	house_pass(h, 5000);
	romeo_in_session(h, "INFO", 10, "application/im-iscomposing+xml", ACTIVE);
	expect(h, "X message " ROMEO ">" JULIET "/balcony; S 200 INFO");
}

static void keyboard_out(void **state)
{
	struct house *h = *state;
	unsigned n = 0;
	in_session(h);
	juliet_state(h, "composing");
	expect_count(h, "S INFO", 1);
	assert_true(house_sip_has(h, "INFO", 0, "Content-Type: application/xml\r\n") && house_sip_has(h, "INFO", 0, "<status status=\"type\""));
	home_answers(h, "INFO", 0, 200, "");
	juliet_state(h, "composing");
	NOTHING(h);
	house_pass(h, 4999);
	NOTHING(h);
	house_pass(h, 1);
	expect_count(h, "S INFO", 1); /* Lync forgets what is not repeated */
	home_answers(h, "INFO", 0, 200, "");
	juliet_state(h, "paused");
	expect_count(h, "S INFO", 1);
	assert_true(house_sip_has(h, "INFO", 0, "<status status=\"idle\""));
	home_answers(h, "INFO", 0, 200, "");
	house_pass(h, 60000);
	NOTHING(h);
	juliet_state(h, "composing");
	for (; n < 50; n++) {
		if (house_sip_has(h, "INFO", 0, "status=\"idle\"") && n)
			break;
		home_answers(h, "INFO", 0, 200, "");
		house_pass(h, 5000);
	}
	assert_int_equal(n, 12); /* a minute */
	home_answers(h, "INFO", 0, 200, "");
	buf_clear(&h->log);
	house_pass(h, 60000);
	NOTHING(h);
	/* one that does not understand is left alone */
	juliet_state(h, "composing");
	home_answers(h, "INFO", 0, 415, "");
	buf_clear(&h->log);
	house_pass(h, 60000);
	NOTHING(h);
}

static void session_ends(void **state)
{
	struct house *h = *state;
	in_session(h);
	juliet_state(h, "composing");
	home_answers(h, "INFO", 0, 200, "");
	buf_clear(&h->log);
	romeo_in_session(h, "BYE", 2, "text/plain", "");
	expect_count(h, "X message " ROMEO ">" JULIET, 1);
	assert_true(stanza_has(h, "<gone xmlns='" STATES "'/>"));
	house_pass(h, 600000);
	NOTHING(h); /* nothing is repeated into a session that there is not */
	juliet_state(h, "paused");
	NOTHING(h);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(states_to_xmpp), T(state_of_the_moment), T(refresh_expires), T(text_ends_typing), T(no_states_unasked),
		T(refused_states), T(states_to_sip), T(composing_is_refreshed), T(texts_end_composing), T(unwanted),
		T(typing_is_not_kept), T(texts_have_their_turn), T(keyboard_in), T(keyboard_out), T(session_ends),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
