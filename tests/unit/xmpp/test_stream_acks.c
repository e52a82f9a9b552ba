/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements (XEP-0198) in both roles, against scripts and between our own engines. */
#include "stream_rig.h"

static const struct slice here_names[] = {{"here.example", 12}}, there_names[] = {{"there.example", 13}};

#define OPEN(attrs)                                                                                                              \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' " attrs       \
	" version='1.0'>"
#define THERE OPEN("from='there.example' to='here.example' id='1'")
#define HERE OPEN("from='here.example' to='there.example'")
#define FEATURES(x) "<stream:features>" x "</stream:features>"
#define F_EXTERNAL "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
#define F_SM "<sm xmlns='urn:xmpp:sm:3'><optional/></sm>"
#define SUCCESS "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
#define ENABLE "<enable xmlns='urn:xmpp:sm:3'/>"
#define ENABLED "<enabled xmlns='urn:xmpp:sm:3'/>"
#define R "<r xmlns='urn:xmpp:sm:3'/>"
#define A(h) "<a xmlns='urn:xmpp:sm:3' h='" h "'/>"
#define MESSAGE "<message from='a@here.example' to='b@there.example'/>"

struct one {
	struct rig rig;
	struct end e;
};

static void initiator(struct one *o, const char *features)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, "here.example");
	set_names(&o->e, there_names, 1);
	end_initiator(&o->e, "here.example", "there.example", false);
	xmpp_stream_start_direct(o->e.s);
	tls_up(&o->e);
	give(&o->e, THERE FEATURES(F_EXTERNAL) SUCCESS THERE);
	buf_clear(&o->e.wire);
	give(&o->e, features);
	assert_events(&o->e, "established here.example there.example external tls");
}

static void receiver(struct one *o)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, "there.example");
	set_names(&o->e, here_names, 1);
	o->e.s = xmpp_stream_new_receiver(&o->rig.cfg, &rig_ops, &o->e);
	xmpp_stream_start_direct(o->e.s);
	tls_up(&o->e);
	give(&o->e, HERE "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
	buf_clear(&o->e.wire);
}

static void authenticated(struct one *o)
{
	receiver(o);
	give(&o->e, HERE);
	assert_events(&o->e, "established there.example here.example external tls");
	assert_wire(&o->e, "<stream:features>", "<sm xmlns='urn:xmpp:sm:3'/>", "</stream:features>");
}

static void one_free(struct one *o)
{
	end_free(&o->e);
	rig_free(&o->rig);
}

static void send_one(struct one *o)
{
	assert_int_equal(xmpp_stream_send(o->e.s, S(MESSAGE)), 0);
}

#define assert_exactly(o, text)                                                                                                  \
	do {                                                                                                                     \
		assert_string_equal(zstr(&(o)->e.wire), text);                                                                   \
		buf_clear(&(o)->e.wire);                                                                                         \
	} while (0)

/* ---- we ask */

static void test_one_question_at_a_time(void **state)
{
	(void)state;
	struct one o;
	uint64_t n;
	initiator(&o, FEATURES(F_SM));
	assert_exactly(&o, ENABLE);
	give(&o.e, ENABLED);
	assert_true(xmpp_stream_acks(o.e.s, &n));
	assert_int_equal(n, 0);
	rig_wait(&o.rig, 60000);
	assert_silent(&o.e); /* nothing to ask for */
	send_one(&o);
	send_one(&o);
	assert_exactly(&o, MESSAGE MESSAGE);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, R);
	send_one(&o);
	rig_wait(&o.rig, 100);
	assert_exactly(&o, MESSAGE); /* one is out */
	give(&o.e, A("2"));
	assert_events(&o.e, "acked 2\n");
	rig_wait(&o.rig, 1);
	assert_exactly(&o, R);
	give(&o.e, A("3"));
	assert_events(&o.e, "acked 3\n");
	rig_wait(&o.rig, 60000);
	assert_silent(&o.e);
	assert_true(xmpp_stream_acks(o.e.s, &n));
	assert_int_equal(n, 3);
	one_free(&o);
}

/* Not offered, switched off, offered and refused. */
static void test_without(void **state)
{
	(void)state;
	struct one o;
	uint64_t n;
	initiator(&o, FEATURES("<sm xmlns='urn:xmpp:sm:2'/>"));
	assert_silent(&o.e);
	assert_false(xmpp_stream_acks(o.e.s, &n));
	send_one(&o);
	rig_wait(&o.rig, 1000);
	assert_exactly(&o, MESSAGE);
	give(&o.e, A("5")); /* nobody asked */
	assert_no_events(&o.e);
	one_free(&o);

	initiator(&o, FEATURES(F_SM));
	send_one(&o);
	send_one(&o);
	give(&o.e, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
	assert_events(&o.e, "acked 2\n"); /* nothing more is to be awaited */
	assert_false(xmpp_stream_acks(o.e.s, &n));
	buf_clear(&o.e.wire);
	send_one(&o);
	rig_wait(&o.rig, 1000);
	assert_exactly(&o, MESSAGE);
	one_free(&o);
}

/* A peer that acknowledges nothing new is not asked in a circle. */
static void test_no_progress(void **state)
{
	(void)state;
	struct one o;
	initiator(&o, FEATURES(F_SM));
	send_one(&o);
	rig_wait(&o.rig, 1);
	buf_clear(&o.e.wire);
	for (int i = 0; i < 3; i++) {
		give(&o.e, A("0"));
		rig_wait(&o.rig, 999);
		assert_silent(&o.e);
		rig_wait(&o.rig, 1);
		assert_exactly(&o, R);
	}
	assert_no_events(&o.e);
	one_free(&o);
}

static void test_wrong_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *a, *condition;
	} rows[] = {
		{A("2"), "<undefined-condition "}, {A("4294967295"), "<undefined-condition "}, {A("-1"), "<bad-format "},
		{A("x"), "<bad-format "}, {A("4294967297"), "<bad-format "}, {"<a xmlns='urn:xmpp:sm:3'/>", "<bad-format "},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		initiator(&o, FEATURES(F_SM));
		send_one(&o);
		give(&o.e, rows[i].a);
		assert_wire(&o.e, "<stream:error>", rows[i].condition);
		assert_events(&o.e, "failed xmpp/malformed at open");
		one_free(&o);
	}
}

/* An acknowledgement is awaited and nothing at all comes: dead. Any octet is a sign of life. */
static void test_dead_peer(void **state)
{
	(void)state;
	struct one o;
	initiator(&o, FEATURES(F_SM));
	rig_wait(&o.rig, 200000);
	send_one(&o);
	rig_wait(&o.rig, 299000);
	give(&o.e, " ");
	rig_wait(&o.rig, 299000);
	assert_no_events(&o.e);
	rig_wait(&o.rig, 1100);
	assert_events(&o.e, "failed xmpp/unreachable at open sent connection-timeout", "acknowledged nothing");
	one_free(&o);
	/* nothing is awaited: nothing is missed */
	initiator(&o, FEATURES(F_SM));
	o.rig.cfg.idle_ms = 0;
	send_one(&o);
	rig_wait(&o.rig, 1);
	give(&o.e, A("1"));
	assert_events(&o.e, "acked 1");
	rig_wait(&o.rig, 1500000);
	assert_no_events(&o.e);
	one_free(&o);
}

static void test_last_word_while_closing(void **state)
{
	(void)state;
	struct one o;
	initiator(&o, FEATURES(F_SM));
	send_one(&o);
	xmpp_stream_close(o.e.s);
	give(&o.e, A("1") "</stream:stream>");
	assert_events(&o.e, "acked 1\n", "close\n");
	rig_wait(&o.rig, 600000);
	one_free(&o);
}

/* ---- we are asked */

static void test_counting(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	give(&o.e, MESSAGE R);
	assert_exactly(&o, A("0")); /* nobody counts yet */
	give(&o.e, ENABLE);
	assert_exactly(&o, ENABLED);
	give(&o.e, R);
	assert_exactly(&o, A("0"));
	give(&o.e, MESSAGE MESSAGE R);
	assert_exactly(&o, A("2"));
	/* an odd address is a stanza too */
	give(&o.e, "<message from='a@here.example' to='@there.example'/>" R);
	assert_exactly(&o, A("3"));
	buf_clear(&o.e.events);
	/* twice, resumption, answers to nothing, things unheard of */
	give(&o.e, ENABLE);
	assert_wire(&o.e, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request ");
	give(&o.e, "<resume xmlns='urn:xmpp:sm:3' h='1' previd='x'/>");
	assert_wire(&o.e, "<failed xmlns='urn:xmpp:sm:3'><item-not-found ");
	give(&o.e, A("3") "<x xmlns='urn:xmpp:sm:3'/>");
	assert_silent(&o.e);
	assert_no_events(&o.e);
	/* the last word */
	give(&o.e, MESSAGE "</stream:stream>");
	assert_exactly(&o, A("4") "</stream:stream>");
	rig_wait(&o.rig, 1000); /* nothing comes after */
	one_free(&o);
	authenticated(&o);
	give(&o.e, ENABLE MESSAGE);
	assert_exactly(&o, ENABLED);
	xmpp_stream_close_error(o.e.s, "system-shutdown", SLICE_NONE);
	assert_wire(&o.e, A("1") "<stream:error><system-shutdown ", "</stream:error></stream:stream>");
	one_free(&o);
}

/* ---- acknowledged when done */

/* Delivered is not done: a question is answered at once, with what is final by then. */
static void test_done_later(void **state)
{
	(void)state;
	struct one o;
	struct xmpp_stream_info i;
	authenticated(&o);
	o.e.keep = true;
	give(&o.e, MESSAGE);
	assert_int_equal(o.e.receipts[0], 0); /* nobody counts yet: no receipt */
	give(&o.e, ENABLE MESSAGE MESSAGE R);
	assert_exactly(&o, ENABLED A("0"));
	assert_int_equal(o.e.receipts[1], 1);
	assert_int_equal(o.e.receipts[2], 2);
	assert_int_equal(xmpp_stream_pending(o.e.s), 2);
	xmpp_stream_info(o.e.s, &i);
	assert_int_equal(i.pending, 2);
	rig_wait(&o.rig, 60000);
	assert_silent(&o.e);
	xmpp_stream_done(o.e.s, 1);
	assert_silent(&o.e); /* with the turn */
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("1"));
	give(&o.e, MESSAGE);
	xmpp_stream_done(o.e.s, 2);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("2")); /* that is what was asked for */
	xmpp_stream_done(o.e.s, 3);
	rig_wait(&o.rig, 99);
	assert_silent(&o.e); /* this was not: a little later */
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("3"));
	assert_int_equal(xmpp_stream_pending(o.e.s), 0);
	rig_wait(&o.rig, 60000);
	assert_silent(&o.e);
	one_free(&o);
}

/* The count has no gaps, whatever the order; numbers that are wrong or come twice change nothing. */
static void test_done_out_of_order(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	o.e.keep = true;
	give(&o.e, ENABLE);
	for (int k = 0; k < 5; k++)
		give(&o.e, MESSAGE);
	give(&o.e, R);
	assert_exactly(&o, ENABLED A("0"));
	xmpp_stream_done(o.e.s, 3);
	xmpp_stream_done(o.e.s, 2);
	xmpp_stream_done(o.e.s, 5);
	xmpp_stream_done(o.e.s, 0);
	xmpp_stream_done(o.e.s, 6);
	xmpp_stream_done(o.e.s, UINT64_MAX);
	xmpp_stream_done(o.e.s, 3);
	rig_wait(&o.rig, 200);
	assert_silent(&o.e);
	assert_int_equal(xmpp_stream_pending(o.e.s), 2);
	xmpp_stream_done(o.e.s, 1);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("3"));
	xmpp_stream_done(o.e.s, 1);
	xmpp_stream_done(o.e.s, 4);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("5"));
	assert_int_equal(xmpp_stream_pending(o.e.s), 0);
	one_free(&o);
}

/* Many that are done in one turn are told in one word, asked for or not. */
static void test_done_gathered(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	o.e.keep = true;
	give(&o.e, ENABLE);
	buf_clear(&o.e.wire);
	for (int k = 0; k < 1000; k++)
		give(&o.e, MESSAGE);
	give(&o.e, R);
	assert_exactly(&o, A("0"));
	for (uint64_t k = 500; k; k--)
		xmpp_stream_done(o.e.s, k);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("500"));
	for (uint64_t k = 501; k <= 1000; k++)
		xmpp_stream_done(o.e.s, k);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("1000"));
	for (int k = 0; k < 64; k++)
		give(&o.e, MESSAGE);
	for (uint64_t k = 1001; k <= 1064; k++)
		xmpp_stream_done(o.e.s, k);
	rig_wait(&o.rig, 1);
	assert_exactly(&o, A("1064")); /* so many are not kept back, though nobody asked */
	one_free(&o);
}

/* The last word of a stream says what is done, not what was delivered; what is done after it is nobody's business. */
static void test_done_too_late(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	o.e.keep = true;
	give(&o.e, ENABLE MESSAGE MESSAGE);
	xmpp_stream_done(o.e.s, 1);
	buf_clear(&o.e.wire);
	xmpp_stream_close_error(o.e.s, "system-shutdown", SLICE_NONE);
	assert_wire(&o.e, A("1") "<stream:error><system-shutdown ");
	xmpp_stream_done(o.e.s, 2);
	give(&o.e, MESSAGE); /* crossed our good-bye: its server knows that it is lost, so it must be */
	assert_int_equal(o.e.n_receipts, 2);
	rig_wait(&o.rig, 1000);
	assert_silent(&o.e);
	give(&o.e, "</stream:stream>");
	assert_true(o.e.closed);
	xmpp_stream_done(o.e.s, 2);
	rig_wait(&o.rig, 1000);
	assert_silent(&o.e);
	one_free(&o);
}

/* One stanza that never gets done holds back the count, costs a bit for each that follows, and in the end the stream. */
/* Its <enable/> crosses our good-bye: it counts from there on, and hears nothing of what follows; so that must not be taken. */
static void test_enabled_too_late(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	o.e.keep = true;
	xmpp_stream_close_error(o.e.s, "system-shutdown", SLICE_NONE);
	give(&o.e, MESSAGE); /* it counts nothing yet: this would be lost */
	assert_int_equal(o.e.n_receipts, 1);
	give(&o.e, ENABLE MESSAGE MESSAGE);
	assert_int_equal(o.e.n_receipts, 1);
	give(&o.e, "</stream:stream>");
	assert_true(o.e.closed);
	one_free(&o);
}

static void test_never_done(void **state)
{
	(void)state;
	struct one o;
	struct buf many;
	authenticated(&o);
	buf_init(&many, 1 << 20);
	give(&o.e, ENABLE);
	o.e.keep = true;
	give(&o.e, MESSAGE);
	o.e.keep = false;
	for (int k = 0; k < 1023; k++)
		buf_puts(&many, MESSAGE);
	for (uint64_t got = 1; got + 1023 < XMPP_PENDING_MAX; got += 1023) {
		xmpp_stream_input(o.e.s, buf_slice(&many));
		buf_clear(&o.e.events);
		assert_int_equal(xmpp_stream_pending(o.e.s), 1);
		assert_int_equal(xmpp_stream_pending_span(o.e.s), got + 1023);
	}
	buf_clear(&o.e.wire);
	give(&o.e, R);
	assert_exactly(&o, A("0"));
	xmpp_stream_input(o.e.s, buf_slice(&many));
	xmpp_stream_input(o.e.s, buf_slice(&many));
	assert_wire(&o.e, A("0") "<stream:error><resource-constraint ");
	assert_true(happened(&o.e, "failed limit/queue-full"));
	buf_free(&many);
	one_free(&o);
}

static void test_asked_too_early(void **state)
{
	(void)state;
	struct one o;
	rig_init(&o.rig);
	end_init(&o.e, &o.rig, "there.example");
	end_receiver(&o.e);
	give(&o.e, HERE);
	assert_null(strstr(zstr(&o.e.wire), "urn:xmpp:sm:3"));
	buf_clear(&o.e.wire);
	give(&o.e, ENABLE);
	assert_wire(&o.e, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request ");
	give(&o.e, R);
	assert_exactly(&o, A("0"));
	one_free(&o);
}

static void test_switched_off(void **state)
{
	(void)state;
	struct one o;
	receiver(&o);
	o.rig.cfg.acks = false;
	give(&o.e, HERE);
	assert_null(strstr(zstr(&o.e.wire), "urn:xmpp:sm:3"));
	buf_clear(&o.e.wire);
	give(&o.e, ENABLE);
	assert_wire(&o.e, "<failed ");
	one_free(&o);
}

/* ---- both */

static void test_between_us(void **state)
{
	(void)state;
	struct rig rig;
	struct end in, out;
	struct xmpp_stream_info i;
	rig_init(&rig);
	end_init(&in, &rig, "there.example");
	end_init(&out, &rig, "here.example");
	set_names(&in, here_names, 1);
	set_names(&out, there_names, 1);
	end_receiver(&in);
	end_initiator(&out, "here.example", "there.example", false);
	xmpp_stream_start(out.s);
	pump(&out, &in, 7);
	assert_events(&out, "established here.example there.example external tls");
	for (unsigned k = 1; k <= 200; k++) {
		assert_int_equal(xmpp_stream_send(out.s, S(MESSAGE)), 0);
		if (k % 8)
			continue;
		rig_wait(&rig, 1);
		pump(&out, &in, 11);
	}
	rig_wait(&rig, 1);
	pump(&out, &in, 0);
	assert_events(&out, "acked 8\n", "acked 200\n");
	xmpp_stream_info(out.s, &i);
	assert_true(i.acks);
	assert_int_equal(i.unacked, 0);
	xmpp_stream_info(in.s, &i);
	assert_true(i.acks);
	assert_int_equal(i.stanzas_in, 200);
	end_free(&in);
	end_free(&out);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_question_at_a_time), cmocka_unit_test(test_without), cmocka_unit_test(test_no_progress),
		cmocka_unit_test(test_wrong_numbers), cmocka_unit_test(test_dead_peer), cmocka_unit_test(test_last_word_while_closing),
		cmocka_unit_test(test_counting), cmocka_unit_test(test_done_later), cmocka_unit_test(test_done_out_of_order),
		cmocka_unit_test(test_done_gathered), cmocka_unit_test(test_done_too_late),
		cmocka_unit_test(test_enabled_too_late), cmocka_unit_test(test_never_done),
		cmocka_unit_test(test_asked_too_early), cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_between_us),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
