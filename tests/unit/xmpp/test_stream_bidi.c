/* SPDX-License-Identifier: Apache-2.0 */
/* Stanzas of both directions on one stream (XEP-0288): who may ask, who may then speak for whom, and with acknowledgements. */
#include "stream_rig.h"

static const struct slice here_names[] = {{"here.example", 12}}, there_names[] = {{"there.example", 13}};

#define OPEN(attrs)                                                                                                              \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "             \
	"xmlns:db='jabber:server:dialback' " attrs " version='1.0'>"
#define THERE OPEN("from='there.example' to='here.example' id='1'")
#define HERE OPEN("from='here.example' to='there.example'")
#define FEATURES(x) "<stream:features>" x "</stream:features>"
#define F_EXTERNAL "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
#define F_DIALBACK "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
#define F_BIDI "<bidi xmlns='urn:xmpp:features:bidi'/>"
#define F_SM "<sm xmlns='urn:xmpp:sm:3'/>"
#define BIDI "<bidi xmlns='urn:xmpp:bidi'/>"
#define AUTH "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
#define SUCCESS "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
#define ENABLE "<enable xmlns='urn:xmpp:sm:3'/>"
#define R "<r xmlns='urn:xmpp:sm:3'/>"
#define A(h) "<a xmlns='urn:xmpp:sm:3' h='" h "'/>"
#define TO_THERE "<message from='a@here.example' to='b@there.example'/>"
#define TO_HERE "<message from='b@there.example' to='a@here.example'/>"

struct one {
	struct rig rig;
	struct end e;
};

static void begin(struct one *o, bool receiver, const char *ours, const struct slice *names)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, ours);
	o->e.rules.bidi = true;
	if (names)
		set_names(&o->e, names, 1);
	if (receiver)
		o->e.s = xmpp_stream_new_receiver(&o->rig.cfg, &rig_ops, &o->e);
	else
		end_initiator(&o->e, "here.example", "there.example", false);
}

static void secure(struct one *o)
{
	xmpp_stream_start_direct(o->e.s);
	tls_up(&o->e);
}

static void one_free(struct one *o)
{
	end_free(&o->e);
	rig_free(&o->rig);
}

static bool both_ways(struct one *o)
{
	struct xmpp_stream_info i;
	xmpp_stream_info(o->e.s, &i);
	return i.bidi;
}

/* ---- between us */

static void test_between_us(void **state)
{
	(void)state;
	struct rig rig;
	struct end in, out;
	struct xmpp_stream_info i;
	uint64_t n;
	rig_init(&rig);
	end_init(&in, &rig, "there.example");
	end_init(&out, &rig, "here.example");
	set_names(&in, here_names, 1);
	set_names(&out, there_names, 1);
	in.rules.bidi = out.rules.bidi = true;
	end_receiver(&in);
	end_initiator(&out, "here.example", "there.example", false);
	xmpp_stream_start(out.s);
	pump(&out, &in, 5);
	assert_wire(&in, "<starttls ", "<proceed ", "<stream:features>", F_BIDI, "</stream:features>", "<success ");
	assert_wire(&out, "<bidi xmlns='urn:xmpp:bidi'><limits ", "</bidi><auth ", ENABLE);
	assert_events(&in, "established there.example here.example external tls");
	assert_events(&out, "established here.example there.example external tls");
	xmpp_stream_info(in.s, &i);
	assert_true(i.bidi && i.acks && xmpp_stream_acks(in.s, &n));
	for (int k = 0; k < 20; k++) {
		assert_int_equal(xmpp_stream_send(out.s, S(TO_THERE)), 0);
		assert_int_equal(xmpp_stream_send(in.s, S(TO_HERE)), 0);
		rig_wait(&rig, 1);
		pump(&out, &in, 11);
	}
	rig_wait(&rig, 1);
	pump(&out, &in, 0);
	assert_events(&in, "stanza message a@here.example->b@there.example by here.example\n", "acked 20\n");
	assert_events(&out, "stanza message b@there.example->a@here.example by there.example\n", "acked 20\n");
	xmpp_stream_info(in.s, &i);
	assert_true(i.stanzas_in == 20 && i.stanzas_out == 20 && i.unacked == 0 && i.pending == 0);
	/* and the end of it */
	xmpp_stream_close(in.s);
	pump(&out, &in, 0);
	assert_events(&out, "close");
	assert_events(&in, "close");
	end_free(&in);
	end_free(&out);
	rig_free(&rig);
}

/* ---- receiver */

static void test_receiver(void **state)
{
	(void)state;
	struct one o;
	begin(&o, true, "there.example", here_names);
	secure(&o);
	give(&o.e, HERE);
	assert_wire(&o.e, F_BIDI);
	give(&o.e, "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>12000</max-bytes></limits></bidi>" AUTH);
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), ENTENTE_EAGAIN);
	give(&o.e, HERE);
	assert_events(&o.e, "established");
	assert_true(both_ways(&o));
	assert_null(strstr(strstr(zstr(&o.e.wire), "<success"), "urn:xmpp:features:bidi")); /* settled: not offered again */
	buf_clear(&o.e.wire);
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), 0);
	assert_wire(&o.e, TO_HERE);
	char big[12001]; /* what the peer takes, said before SASL, still counts */
	memset(big, 'x', sizeof big);
	assert_int_equal(xmpp_stream_send(o.e.s, slice_of(big, sizeof big)), ENTENTE_ELIMIT);
	one_free(&o);
}

/* Nobody asked, or it is not offered: in the clear, switched off here, switched off for this partner, asked too late. */
static void test_receiver_without(void **state)
{
	(void)state;
	for (int k = 0; k < 5; k++) {
		struct one o;
		begin(&o, true, "there.example", here_names);
		o.rig.cfg.bidi = k != 1;
		o.e.rules.bidi = k != 2;
		if (k == 3) {
			o.e.rules.tls = XMPP_OPTIONAL;
			xmpp_stream_start(o.e.s);
		} else {
			secure(&o);
		}
		give(&o.e, HERE);
		assert_int_equal(strstr(zstr(&o.e.wire), "urn:xmpp:features:bidi") != NULL, k == 0 || k == 4);
		if (k != 0 && k != 4)
			give(&o.e, BIDI);
		if (k == 3) {
			give(&o.e, "<db:result from='here.example' to='there.example'>key</db:result>");
			xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
		} else {
			give(&o.e, AUTH HERE);
		}
		if (k == 4)
			give(&o.e, BIDI);
		assert_events(&o.e, "established");
		assert_false(both_ways(&o));
		assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), ENTENTE_EREFUSED);
		give(&o.e, TO_THERE);
		assert_events(&o.e, "stanza message");
		one_free(&o);
	}
}

/* By dialback: only when the authoritative server has vouched, and only for the inverse of that pair. What looks like an answer to a
 * request that was never made changes nothing. */
static void test_receiver_dialback(void **state)
{
	(void)state;
	struct one o;
	begin(&o, true, "there.example", NULL);
	o.e.tls.trusted = false;
	secure(&o);
	give(&o.e, HERE "<bidi xmlns='urn:xmpp:features:bidi'/>" /* as ejabberd once did */
		   "<db:result from='here.example' to='there.example'>key</db:result>");
	assert_true(both_ways(&o));
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), ENTENTE_EAGAIN);
	give(&o.e, "<db:result from='here.example' to='there.example' type='valid'/>"
		   "<db:result from='bank.example' to='there.example' type='valid'/>"
		   "<db:verify from='here.example' to='there.example' id='1' type='valid'/>");
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), ENTENTE_EAGAIN);
	assert_null(xmpp_stream_peer(o.e.s, S("there.example"), S("bank.example")));
	assert_false(happened(&o.e, "established"));
	assert_non_null(strstr(zstr(&o.e.odd), "unsolicited db:result"));
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	assert_events(&o.e, "established there.example here.example dialback tls");
	give(&o.e, "<db:result from='bank.example' to='there.example' type='valid'/>");
	assert_null(xmpp_stream_peer(o.e.s, S("there.example"), S("bank.example")));
	buf_clear(&o.e.wire);
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), 0);
	assert_wire(&o.e, TO_HERE);
	one_free(&o);
}

/* While the authoritative server was asked the partner was removed, or dialback with it was switched off. */
static void test_receiver_dialback_too_late(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		struct one o;
		begin(&o, true, "there.example", NULL);
		o.e.tls.trusted = false;
		secure(&o);
		give(&o.e, HERE BIDI "<db:result from='here.example' to='there.example'>key</db:result>");
		o.e.strangers = k ? "" : "here.example";
		o.e.rules.dialback = !k;
		buf_clear(&o.e.wire);
		xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
		assert_wire(&o.e, "<db:result ", "type='error'", "<policy-violation ");
		assert_false(happened(&o.e, "established"));
		assert_null(xmpp_stream_peer(o.e.s, S("there.example"), S("here.example")));
		give(&o.e, TO_THERE);
		assert_false(happened(&o.e, "stanza message"));
		one_free(&o);
	}
}

/* ---- initiator */

static void external(struct one *o, const char *features)
{
	begin(o, false, "here.example", there_names);
	secure(o);
	give(&o->e, THERE);
	give(&o->e, features);
}

static void test_initiator(void **state)
{
	(void)state;
	struct one o;
	external(&o, FEATURES("<bidi xmlns='urn:xmpp:bidi'/>" F_EXTERNAL)); /* either namespace */
	assert_wire(&o.e, "<bidi xmlns='urn:xmpp:bidi'><limits ", "</bidi><auth ");
	give(&o.e, SUCCESS THERE FEATURES(""));
	assert_events(&o.e, "established here.example there.example external tls");
	give(&o.e, TO_HERE);
	assert_events(&o.e, "stanza message b@there.example->a@here.example by there.example\n");
	/* more than an unauthenticated peer may say */
	struct buf big;
	buf_init(&big, 1 << 20);
	buf_puts(&big, "<message from='b@there.example' to='a@here.example'><body>");
	for (int k = 0; k < 20000; k++)
		buf_putc(&big, 'x');
	buf_puts(&big, "</body></message>");
	xmpp_stream_input(o.e.s, buf_slice(&big));
	assert_events(&o.e, "stanza message");
	buf_free(&big);
	/* unusable addresses are not the stream's fault */
	give(&o.e, "<message from='b@there.example' to='@here.example'/>");
	assert_events(&o.e, "misaddressed to message by there.example");
	give(&o.e, "<message from='b@bank.example' to='a@here.example'/>");
	assert_wire(&o.e, "<stream:error><invalid-from ");
	one_free(&o);
}

static void test_initiator_without(void **state)
{
	(void)state;
	for (int k = 0; k < 3; k++) { /* not offered, switched off here, for this partner */
		struct one o;
		begin(&o, false, "here.example", there_names);
		o.rig.cfg.bidi = k != 1;
		o.e.rules.bidi = k != 2;
		secure(&o);
		give(&o.e, THERE);
		give(&o.e, k ? FEATURES(F_BIDI F_EXTERNAL) : FEATURES(F_EXTERNAL));
		assert_null(strstr(zstr(&o.e.wire), "<bidi"));
		give(&o.e, SUCCESS THERE FEATURES(F_BIDI));
		assert_false(both_ways(&o));
		buf_clear(&o.e.wire);
		give(&o.e, TO_HERE);
		assert_wire(&o.e, "<stream:error><not-authorized ");
		assert_false(happened(&o.e, "stanza message"));
		one_free(&o);
	}
}

/* A peer whose certificate proves nothing is not asked: our key proves us to it, but nothing proves it to us. */
static void test_initiator_needs_a_certificate(void **state)
{
	(void)state;
	struct one o;
	begin(&o, false, "here.example", here_names); /* a certificate of somebody else */
	secure(&o);
	give(&o.e, THERE FEATURES(F_BIDI F_DIALBACK));
	assert_null(strstr(zstr(&o.e.wire), "<bidi"));
	assert_wire(&o.e, "<db:result ");
	give(&o.e, "<db:result from='there.example' to='here.example' type='valid'/>");
	assert_events(&o.e, "established here.example there.example dialback tls");
	give(&o.e, TO_HERE);
	assert_wire(&o.e, "<stream:error><not-authorized ");
	one_free(&o);
	/* and with one, dialback is as good as EXTERNAL */
	begin(&o, false, "here.example", there_names);
	secure(&o);
	give(&o.e, THERE FEATURES(F_BIDI F_DIALBACK));
	assert_wire(&o.e, "<bidi xmlns='urn:xmpp:bidi'>", "<db:result ");
	give(&o.e, TO_HERE); /* too early */
	assert_wire(&o.e, "<stream:error><not-authorized ");
	one_free(&o);
	begin(&o, false, "here.example", there_names);
	secure(&o);
	give(&o.e, THERE FEATURES(F_BIDI F_DIALBACK) "<db:result from='there.example' to='here.example' type='valid'/>" TO_HERE);
	assert_events(&o.e, "established here.example there.example dialback tls", "stanza message b@there.example->a@here.example");
	one_free(&o);
}

/* Where both directions are asked for, both are taken: TLSA records and delegation prove the domain that was called, and no other. */
static void test_initiator_without_authority(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		struct one o;
		begin(&o, false, "here.example", NULL);
		o.e.tls.trusted = k;
		o.e.tls.dane = !k;
		o.e.tls.delegated = k;
		secure(&o);
		give(&o.e, THERE FEATURES(F_BIDI F_EXTERNAL));
		assert_wire(&o.e, "<bidi xmlns='urn:xmpp:bidi'>", "<auth ");
		give(&o.e, SUCCESS THERE FEATURES(F_DIALBACK) TO_HERE);
		assert_events(&o.e, "established here.example there.example", "stanza message b@there.example->a@here.example");
		assert_int_equal(xmpp_stream_add(o.e.s, S("here.example"), S("bank.example")), 0);
		give(&o.e, "<db:result from='bank.example' to='here.example' type='valid'/>"
			   "<message from='b@bank.example' to='a@here.example'/>");
		assert_wire(&o.e, "<stream:error><invalid-from ");
		assert_false(happened(&o.e, "stanza message"));
		one_free(&o);
	}
}

/* A second remote domain that only accepted our key: we may send to it, it may not speak. */
static void test_initiator_other_domain(void **state)
{
	(void)state;
	struct one o;
	external(&o, FEATURES(F_BIDI F_EXTERNAL));
	give(&o.e, SUCCESS THERE FEATURES(F_DIALBACK));
	assert_int_equal(xmpp_stream_add(o.e.s, S("here.example"), S("bank.example")), 0);
	give(&o.e, "<db:result from='bank.example' to='here.example' type='valid'/>");
	assert_events(&o.e, "established here.example there.example", "established here.example bank.example dialback");
	assert_non_null(xmpp_stream_peer(o.e.s, S("here.example"), S("bank.example")));
	give(&o.e, "<message from='b@bank.example' to='a@here.example'/>");
	assert_wire(&o.e, "<stream:error><invalid-from ");
	assert_false(happened(&o.e, "stanza message"));
	one_free(&o);
}

/* The receiver may use the stream for its own dialback business: keys of ours are confirmed, further domains are politely refused. */
static void test_initiator_dialback_requests(void **state)
{
	(void)state;
	struct one o;
	char key[XMPP_DIALBACK_KEY + 1], text[400];
	external(&o, FEATURES(F_BIDI F_EXTERNAL));
	give(&o.e, SUCCESS THERE FEATURES(F_DIALBACK));
	buf_clear(&o.e.wire);
	xmpp_dialback_key(key, &o.rig.cfg.secrets.s[0], S("there.example"), S("here.example"), S("77"));
	snprintf(text, sizeof text, "<db:verify from='there.example' to='here.example' id='77'>%s</db:verify>", key);
	give(&o.e, text);
	assert_wire(&o.e, "<db:verify ", "from='here.example' to='there.example' id='77' type='valid'/>");
	give(&o.e, "<db:result from='rooms.there.example' to='here.example'>abc</db:result>");
	assert_wire(&o.e, "<db:result ", "from='here.example' to='rooms.there.example' type='error'", "<resource-constraint ");
	assert_false(happened(&o.e, "verify "));
	give(&o.e, "<message from='x@rooms.there.example' to='a@here.example'/>");
	assert_wire(&o.e, "<stream:error><invalid-from ");
	one_free(&o);
	/* without both directions it is none of its business */
	external(&o, FEATURES(F_EXTERNAL));
	give(&o.e, SUCCESS THERE FEATURES(F_DIALBACK));
	buf_clear(&o.e.wire);
	give(&o.e, text);
	give(&o.e, "<db:result from='rooms.there.example' to='here.example'>abc</db:result>");
	assert_silent(&o.e);
	one_free(&o);
}

/* Counting begins with <enabled/>, on both sides. */
static void test_acknowledgements(void **state)
{
	(void)state;
	struct one o;
	uint64_t n;
	external(&o, FEATURES(F_BIDI F_EXTERNAL));
	give(&o.e, SUCCESS THERE);
	buf_clear(&o.e.wire);
	give(&o.e, FEATURES(F_SM));
	assert_string_equal(zstr(&o.e.wire), ENABLE);
	o.e.keep = true;
	give(&o.e, TO_HERE "<enabled xmlns='urn:xmpp:sm:3'/>" TO_HERE TO_HERE);
	buf_clear(&o.e.wire);
	give(&o.e, R);
	assert_string_equal(zstr(&o.e.wire), A("0"));
	buf_clear(&o.e.wire);
	assert_int_equal(o.e.receipts[0], 0);
	xmpp_stream_done(o.e.s, 1);
	xmpp_stream_done(o.e.s, 2);
	rig_wait(&o.rig, 1);
	assert_string_equal(zstr(&o.e.wire), A("2"));
	give(&o.e, TO_HERE "</stream:stream>");
	assert_wire(&o.e, A("2") "</stream:stream>");
	one_free(&o);
	/* a receiver: of what it sent before nobody will hear */
	begin(&o, true, "there.example", here_names);
	secure(&o);
	give(&o.e, HERE BIDI AUTH HERE);
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), 0);
	assert_false(xmpp_stream_acks(o.e.s, &n));
	give(&o.e, ENABLE);
	assert_true(xmpp_stream_acks(o.e.s, &n));
	assert_int_equal(n, 1);
	assert_int_equal(xmpp_stream_send(o.e.s, S(TO_HERE)), 0);
	buf_clear(&o.e.wire);
	rig_wait(&o.rig, 1);
	assert_string_equal(zstr(&o.e.wire), R);
	give(&o.e, A("1"));
	assert_events(&o.e, "acked 2\n");
	give(&o.e, A("2"));
	assert_wire(&o.e, "<stream:error><undefined-condition ");
	one_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_between_us), cmocka_unit_test(test_receiver), cmocka_unit_test(test_receiver_without),
		NAMED("S08 unsolicited verdicts on a stream of both directions", test_receiver_dialback), cmocka_unit_test(test_initiator), cmocka_unit_test(test_initiator_without),
		cmocka_unit_test(test_initiator_needs_a_certificate), cmocka_unit_test(test_receiver_dialback_too_late), cmocka_unit_test(test_initiator_without_authority), cmocka_unit_test(test_initiator_other_domain),
		cmocka_unit_test(test_initiator_dialback_requests), cmocka_unit_test(test_acknowledgements),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
