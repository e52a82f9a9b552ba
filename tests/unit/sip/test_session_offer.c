/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: offers within them, and the session timer. */
#include "session_rig.h"

#define SDP S("application/sdp")

static struct packet *last(struct rig *r, const char *start)
{
	return pair_last(r->p, 0, start);
}

/* How A answered what was asked last. */
static bool answered(struct rig *r, const char *start)
{
	return slice_starts(slice_of(r->p->packets[r->p->n - 1].bytes, r->p->packets[r->p->n - 1].len), slice_str(start));
}

/* --- of the peer --- */

static void test_identical(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "");
	/* Lync's refresh: the very description that it answered with, from a new address */
	ask(r, "INVITE", "Contact: <sip:moved@192.0.2.2>\n", "v=0 answer");
	assert_true(answered(r, "SIP/2.0 200"));
	assert_true(packet_has(last(r, "SIP/2.0 200"), "v=0 offer of A"));
	ask(r, "ACK", "", "");
	assert_log(&r->a, "");
	rig_send(&r->a, SIP_MESSAGE, "1");
	assert_non_null(pair_packet(r->p, 0, "MESSAGE sip:moved@192.0.2.2", 0));
	/* an UPDATE with it */
	ask(r, "UPDATE", CONTACT, "v=0 answer");
	assert_true(answered(r, "SIP/2.0 200") && packet_has(last(r, "SIP/2.0 200"), "v=0 offer of A"));
	/* a bare one */
	ask(r, "UPDATE", CONTACT, "");
	assert_true(answered(r, "SIP/2.0 200") && !packet_has(last(r, "SIP/2.0 200"), "v=0"));
	assert_log(&r->a, "");
	rig_free(r);
}

static void test_offered(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "");
	ask(r, "INVITE", CONTACT, "v=0 new");
	assert_true(answered(r, "SIP/2.0 200") && packet_has(last(r, "SIP/2.0 200"), "v=0 of A"));
	/* until its ACK is here nothing else is begun */
	ask_as(r, r->cseq + 1, "INVITE", "b1", CONTACT, "v=0 newer");
	assert_true(answered(r, "SIP/2.0 491"));
	ask(r, "ACK", "", "");
	r->cseq++;
	assert_log(&r->a, "O");
	/* now it is the known one */
	ask(r, "INVITE", CONTACT, "v=0 new");
	assert_true(answered(r, "SIP/2.0 200") && packet_has(last(r, "SIP/2.0 200"), "v=0 of A"));
	ask(r, "ACK", "", "");
	assert_log(&r->a, "O");
	ask(r, "UPDATE", CONTACT, "v=0 third");
	assert_log(&r->a, "O O");
	/* without an offer: ours is in the 200, the answer in the ACK */
	ask(r, "INVITE", CONTACT, "");
	assert_true(answered(r, "SIP/2.0 200") && packet_has(last(r, "SIP/2.0 200"), "v=0 of A"));
	ask(r, "ACK", "", "v=0 answer in ACK");
	assert_log(&r->a, "O O O- C200");
	assert_int_equal(r->a.body, 17);
	rig_free(r);
}

static void test_offered_later(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	r->a.answer = SLICE_NONE;
	opened(r, "");
	assert_int_equal(sip_session_answer(r->a.s, 200, SDP, S("v=0")), ENTENTE_ENOTFOUND);
	ask(r, "INVITE", CONTACT, "v=0 new");
	/* another meanwhile: 500 and when to come again (RFC 3261 14.2, RFC 3311 5.2) */
	ask(r, "INVITE", CONTACT, "v=0 newer");
	assert_true(answered(r, "SIP/2.0 500") && packet_has(last(r, "SIP/2.0 500"), "Retry-After: "));
	ask(r, "UPDATE", CONTACT, "v=0 newer");
	assert_true(answered(r, "SIP/2.0 500"));
	/* ours must wait, too */
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 mine")), ENTENTE_EEXIST);
	assert_int_equal(sip_session_answer(r->a.s, 488, SLICE_NONE, SLICE_NONE), 0);
	assert_true(answered(r, "SIP/2.0 488"));
	assert_int_equal(sip_session_answer(r->a.s, 200, SDP, S("v=0")), ENTENTE_ENOTFOUND);
	/* a description that cannot be written is not left without an answer */
	ask(r, "UPDATE", CONTACT, "v=0 new");
	assert_int_equal(sip_session_answer(r->a.s, 200, S("a\r\nb"), S("v=0")), ENTENTE_EINVAL);
	assert_true(answered(r, "SIP/2.0 500"));
	/* cancelled; then the dialog ends under one */
	ask(r, "INVITE", CONTACT, "v=0 new");
	char cancel[512];
	struct arena *a;
	struct sip_msg *m = packet_msg(pair_packet(r->p, 0, "INVITE", 0), &a);
	snprintf(cancel, sizeof cancel,
		 "CANCEL sip:alice@192.0.2.1 SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bKp%u\nFrom: <sip:bob@b.example>;tag=b1\n"
		 "To: <sip:alice@a.example>;tag=%.*s\nCall-ID: %.*s\nCSeq: %u CANCEL\nContent-Length: 0\n\n",
		 r->branch, SFMT(m->from.tag), SFMT(m->call_id), r->cseq);
	arena_release(NULL, a);
	pair_inject(r->p, &r->p->a, cancel);
	assert_true(answered(r, "SIP/2.0 487"));
	assert_int_equal(sip_session_answer(r->a.s, 200, SDP, S("v=0")), ENTENTE_ENOTFOUND);
	assert_non_null(r->a.s);
	ask(r, "INVITE", CONTACT, "v=0 new");
	int n = r->p->n;
	ask(r, "BYE", "", "");
	assert_int_equal(pair_count(r->p, 0, n, "SIP/2.0 487"), 1);
	assert_int_equal(pair_count(r->p, 0, n, "SIP/2.0 200"), 1);
	assert_log(&r->a, "O O O O Xbye=0");
	rig_free(r);
}

/* No ACK for the 2xx to a re-INVITE: over (RFC 3261 14.2). */
static void test_offer_unacked(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "");
	ask(r, "INVITE", CONTACT, "v=0 new");
	pair_run(r->p, 1000);
	/* a bare UPDATE does not change that */
	ask(r, "UPDATE", CONTACT, "");
	pair_run(r->p, 33000);
	assert_log(&r->a, "O Xlost=408l");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
	rig_free(r);
}

/* --- ours --- */

static void test_our_offer(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "Allow: INVITE, UPDATE\n");
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 mine")), 0);
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 mine")), ENTENTE_EEXIST);
	struct packet *k = last(r, "INVITE sip:bob@192.0.2.2");
	assert_true(packet_has(k, "v=0 mine") && packet_has(k, "Contact: <sip:alice@192.0.2.1>"));
	/* a text does not overtake it, but need not wait for its end */
	rig_send(&r->a, SIP_MESSAGE, "1");
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 0);
	reply(r, k, 180, "b1", CONTACT, "");
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 1);
	/* glare of the peer meanwhile */
	ask(r, "INVITE", CONTACT, "v=0 theirs");
	assert_true(answered(r, "SIP/2.0 491"));
	ask(r, "UPDATE", CONTACT, "v=0 theirs");
	assert_true(answered(r, "SIP/2.0 491"));
	ask(r, "UPDATE", CONTACT, "");
	assert_true(answered(r, "SIP/2.0 200"));
	reply(r, k, 200, "b1", "Contact: <sip:moved@192.0.2.2>\n", "v=0 theirs");
	assert_true(packet_has(last(r, "ACK sip:moved@192.0.2.2"), "CSeq: 2 ACK"));
	assert_log(&r->a, "C200");
	assert_int_equal(r->a.body, 10);
	/* refused: the session stays, with the description of before */
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 other")), 0);
	reply(r, pair_packet(r->p, 0, "MESSAGE", 0), 200, "b1", "", ""); /* it waits for the text */
	reply(r, last(r, "INVITE"), 488, "b1", "", "");
	assert_log(&r->a, "C200 S1=200 C488");
	ask(r, "INVITE", CONTACT, "v=0 theirs");
	assert_true(packet_has(last(r, "SIP/2.0 200"), "v=0 mine"));
	ask(r, "ACK", "", "");
	/* no way; then no answer */
	r->p->a.refuse_all = true;
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 other")), 0);
	pair_run(r->p, 10);
	r->p->a.refuse_all = false;
	assert_log(&r->a, "C200 S1=200 C488 C503l");
	assert_int_equal(sip_session_offer(r->a.s, SDP, S("v=0 other")), 0);
	pair_run(r->p, 40000);
	assert_log(&r->a, "C200 S1=200 C488 C503l C408l Xlost=408l");
	rig_free(r);
}

static void test_our_offer_ends(void **state)
{
	static const struct {
		int status;
		const char *log;
	} t[] = {{481, "C481 Xlost=481"}, {408, "C408 Xlost=408"}, {500, "C500"}, {503, "C503"}, {401, "C401"}, {606, "C606"}};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(SIP_TCP);
		opened(r, "");
		sip_session_offer(r->a.s, SDP, S("v=0 mine"));
		reply(r, last(r, "INVITE"), t[i].status, "b1", "", "");
		assert_log(&r->a, t[i].log);
		rig_free(r);
	}
}

/* 491: who made the Call-ID comes again after 2.1 to 4 s, the other after at most 2 s (RFC 3261 14.1). */
static void test_glare(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct rig *r = rig_new(SIP_TCP);
		opened(r, "");
		sip_session_offer(r->a.s, SDP, S("v=0 mine"));
		int n = pair_count(r->p, 0, 0, "INVITE");
		reply(r, last(r, "INVITE"), 491, "b1", "", "");
		rig_send(&r->a, SIP_MESSAGE, "1"); /* texts go on */
		assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 1);
		reply(r, last(r, "MESSAGE"), 200, "b1", "", "");
		pair_run(r->p, 2095);
		assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), n);
		pair_run(r->p, 1910);
		assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), n + 1);
		reply(r, last(r, "INVITE"), 200, "b1", CONTACT, "v=0");
		assert_log(&r->a, "S1=200 C200");
		rig_free(r);

		r = rig_new(SIP_TCP);
		puppet(r);
		puppet_call(r, CONTACT, "v=0");
		ask(r, "ACK", "", "");
		sip_session_offer(r->a.s, SDP, S("v=0 mine"));
		reply(r, last(r, "INVITE"), 491, "b1", "", "");
		pair_run(r->p, 2005);
		assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), 2);
		rig_free(r);
	}
}

/* Both offer at once, both engines: each refuses the other's, and both come through in the end. */
static void test_glare_both(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct rig *r = rig_new(i & 1 ? SIP_UDP : SIP_TCP);
		rig_call(r);
		pair_run(r->p, 100);
		sip_session_offer(r->a.s, SDP, S("v=0 a2"));
		sip_session_offer(r->b.s, SDP, S("v=0 b2"));
		pair_run(r->p, 10000);
		assert_int_equal(pair_count(r->p, -1, 0, "SIP/2.0 491"), 2);
		assert_non_null(strstr(r->a.log, "C200"));
		assert_non_null(strstr(r->a.log, "O"));
		assert_non_null(strstr(r->b.log, "C200"));
		assert_non_null(strstr(r->b.log, "O"));
		assert_non_null(r->a.s);
		assert_non_null(r->b.s);
		rig_free(r);
	}
}

/* --- the session timer --- */

static void timers_of(struct rig *r, uint32_t interval, bool ours)
{
	bool b;
	assert_int_equal(sip_session_interval(r->a.s, &b), interval);
	if (interval)
		assert_int_equal(b, ours);
}

/* What we answer to what is asked (RFC 4028 9, table 2). */
static void test_timer_asked(void **state)
{
	static const struct {
		const char *headers, *has;
		uint32_t interval;
		bool ours;
	} t[] = {
		{"", NULL, 0, false},
		{"Supported: timer\n", "Session-Expires: 1800;refresher=uac", 1800, false},
		{"Supported: timer\nSession-Expires: 600\n", "Session-Expires: 600;refresher=uac", 600, false},
		{"Supported: timer\nx: 600;refresher=uas\n", "Session-Expires: 600;refresher=uas", 600, true},
		{"Supported: timer\nSession-Expires: 7200;refresher=uac\n", "Session-Expires: 1800;refresher=uac", 1800, false},
		{"Supported: timer\nSession-Expires: 7200\nMin-SE: 3600\n", "Session-Expires: 3600;refresher=uac", 3600, false},
		{"Session-Expires: 600\n", "Session-Expires: 600;refresher=uas", 600, true}, /* a proxy's wish, the caller knows nothing */
		{"Session-Expires: 60\n", "Session-Expires: 90;refresher=uas", 90, true},
		{"Supported: timer\nSession-Expires: soon\n", "Session-Expires: 1800;refresher=uac", 1800, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(SIP_TCP);
		char headers[256];
		puppet(r);
		snprintf(headers, sizeof headers, CONTACT "%s", t[i].headers);
		puppet_call(r, headers, "v=0");
		ask(r, "ACK", "", "");
		struct packet *ok = last(r, "SIP/2.0 200");
		if (t[i].has)
			assert_true(packet_has(ok, t[i].has));
		else
			assert_false(packet_has(ok, "Session-Expires"));
		assert_int_equal(packet_has(ok, "Require: timer"), t[i].has && !t[i].ours);
		timers_of(r, t[i].interval, t[i].ours);
		rig_free(r);
	}
	/* nobody wants one unless asked */
	struct rig *r = rig_new(SIP_TCP);
	puppet(r);
	r->a.config.session_expires = UINT32_MAX;
	puppet_call(r, CONTACT "Supported: timer\n", "v=0");
	timers_of(r, 0, false);
	rig_free(r);
}

/* What the 2xx to our call makes of it. */
static void test_timer_granted(void **state)
{
	static const struct {
		const char *headers;
		uint32_t interval;
		bool ours;
	} t[] = {
		{"", 0, false},
		{"Session-Expires: 1800;refresher=uac\nRequire: timer\n", 1800, true},
		{"Session-Expires: 600;refresher=uas\n", 600, false},
		{"Session-Expires: 600\n", 600, true},
		{"Session-Expires: 5;refresher=uac\n", 90, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(SIP_TCP);
		opened(r, t[i].headers);
		timers_of(r, t[i].interval, t[i].ours);
		rig_free(r);
	}
}

static void test_refresh_update(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "Allow: INVITE, UPDATE\nSession-Expires: 1800;refresher=uac\n");
	for (int i = 1; i <= 3; i++) {
		pair_run(r->p, 899000);
		assert_int_equal(pair_count(r->p, 0, 0, "UPDATE"), i - 1);
		pair_run(r->p, 1000);
		assert_int_equal(pair_count(r->p, 0, 0, "UPDATE"), i);
		struct packet *k = last(r, "UPDATE");
		assert_true(packet_has(k, "Session-Expires: 1800;refresher=uac\r\n") && packet_has(k, "Content-Length: 0\r\n"));
		reply(r, k, 200, "b1", CONTACT "Session-Expires: 1800;refresher=uac\n", "");
	}
	assert_log(&r->a, "");
	/* a 2xx that says nothing ends the timer, not the session (RFC 4028 7.2) */
	pair_run(r->p, 900000);
	reply(r, last(r, "UPDATE"), 200, "b1", CONTACT, "");
	timers_of(r, 0, false);
	pair_run(r->p, 7200000);
	assert_log(&r->a, "");
	rig_free(r);
}

static void test_refresh_invite(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "Session-Expires: 600;refresher=uac\n");
	pair_run(r->p, 300000);
	struct packet *k = last(r, "INVITE sip:bob@192.0.2.2");
	assert_true(packet_has(k, "v=0 offer of A"));
	reply(r, k, 200, "b1", CONTACT "Session-Expires: 600;refresher=uac\n", "v=0 answer");
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 2);
	assert_log(&r->a, "");
	/* the peer's description is another one now: its owner hears of it */
	pair_run(r->p, 300000);
	reply(r, last(r, "INVITE"), 200, "b1", CONTACT "Session-Expires: 600;refresher=uac\n", "v=0 changed");
	assert_log(&r->a, "C200");
	rig_free(r);
	/* UPDATE is refused after all: by INVITE from then on */
	r = rig_new(SIP_TCP);
	opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
	pair_run(r->p, 300000);
	reply(r, last(r, "UPDATE"), 405, "b1", "Allow: INVITE\n", "");
	assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), 2);
	reply(r, last(r, "INVITE"), 200, "b1", CONTACT "Session-Expires: 600;refresher=uac\nAllow: UPDATE\n", "v=0 answer");
	pair_run(r->p, 300000);
	assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), 3);
	assert_int_equal(pair_count(r->p, 0, 0, "UPDATE"), 1);
	rig_free(r);
	/* 422 of a proxy on the way */
	r = rig_new(SIP_TCP);
	opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
	pair_run(r->p, 300000);
	reply(r, last(r, "UPDATE"), 422, "b1", "Min-SE: 2000\n", "");
	assert_true(packet_has(last(r, "UPDATE"), "Session-Expires: 2000;refresher=uac\r\nMin-SE: 2000\r\n"));
	reply(r, last(r, "UPDATE"), 200, "b1", "Session-Expires: 2000;refresher=uac\n", "");
	timers_of(r, 2000, true);
	rig_free(r);
}

/* A refresh that fails is tried again until the end of the interval; then BYE. */
static void test_refresh_fails(void **state)
{
	static const int statuses[] = {500, 503, 488, 403};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		struct rig *r = rig_new(SIP_TCP);
		opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
		pair_run(r->p, 300000);
		for (int n = 1; r->a.s && n < 100; n++) {
			if (pair_count(r->p, 0, 0, "UPDATE") == n)
				reply(r, last(r, "UPDATE"), statuses[i], "b1", "Retry-After: 30\n", "");
			pair_run(r->p, 30000);
		}
		assert_log(&r->a, "Xlost=408lx");
		assert_int_equal(pair_count(r->p, 0, 0, "UPDATE"), 10);
		assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
		rig_free(r);
	}
	/* and one that succeeds in time saves it; a broken way is tried anew */
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
	r->p->a.refuse_all = true;
	pair_run(r->p, 320000);
	r->p->a.refuse_all = false;
	pair_run(r->p, 11000);
	assert_int_equal(pair_count(r->p, 0, 0, "UPDATE"), 1);
	reply(r, last(r, "UPDATE"), 200, "b1", "Session-Expires: 600;refresher=uac\n", "");
	pair_run(r->p, 299000);
	assert_log(&r->a, "");
	rig_free(r);
	/* 481 and silence end it at once */
	r = rig_new(SIP_TCP);
	opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
	pair_run(r->p, 300000);
	reply(r, last(r, "UPDATE"), 481, "b1", "", "");
	assert_log(&r->a, "Xlost=481");
	rig_free(r);
	r = rig_new(SIP_TCP);
	opened(r, "Allow: UPDATE\nSession-Expires: 600;refresher=uac\n");
	pair_run(r->p, 333000);
	assert_log(&r->a, "Xlost=408l");
	rig_free(r);
}

/* The peer refreshes: or not, then BYE a third, at most 32 s, before the end (RFC 4028 10). */
static void test_refreshee(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "Session-Expires: 600;refresher=uas\n");
	for (int i = 0; i < 3; i++) {
		pair_run(r->p, 400000);
		ask(r, i & 1 ? "INVITE" : "UPDATE", CONTACT "Supported: timer\nSession-Expires: 600;refresher=uac\n", i & 1 ? "v=0 answer" : "");
		assert_true(answered(r, "SIP/2.0 200") && packet_has(last(r, "SIP/2.0 200"), "Session-Expires: 600;refresher=uac"));
		if (i & 1)
			ask(r, "ACK", "", "");
	}
	timers_of(r, 600, false);
	/* too brief */
	ask(r, "UPDATE", CONTACT "Supported: timer\nSession-Expires: 30\n", "");
	assert_true(answered(r, "SIP/2.0 422"));
	timers_of(r, 600, false);
	/* a role that is not said stays */
	ask(r, "UPDATE", CONTACT "Supported: timer\nSession-Expires: 600\n", "");
	timers_of(r, 600, false);
	/* an offer that is refused changes nothing */
	r->a.answer = SLICE_NONE;
	ask(r, "UPDATE", CONTACT "Supported: timer\nSession-Expires: 1200;refresher=uas\n", "v=0 new");
	sip_session_answer(r->a.s, 488, SLICE_NONE, SLICE_NONE);
	timers_of(r, 600, false);
	log_clear(&r->a);
	pair_run(r->p, 567000);
	assert_log(&r->a, "");
	pair_run(r->p, 1001);
	assert_log(&r->a, "Xlost=408lx");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
	rig_free(r);
	r = rig_new(SIP_TCP);
	opened(r, "Session-Expires: 90;refresher=uas\n");
	pair_run(r->p, 59000);
	assert_log(&r->a, "");
	pair_run(r->p, 1001);
	assert_log(&r->a, "Xlost=408lx");
	rig_free(r);
}

/* Two engines for a day: kept alive by themselves, by the caller, over a network that loses one packet in five. */
static bool lossy(struct pair *p, struct packet *k)
{
	(void)k;
	return pair_random(p) % 5 == 0;
}

static void test_day(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig *r = rig_new(i ? SIP_UDP : SIP_TCP);
		rig_call(r);
		pair_run(r->p, 1000);
		bool ours;
		assert_int_equal(sip_session_interval(r->a.s, &ours), 1800);
		assert_true(ours);
		if (i == 2)
			r->p->lose = lossy;
		for (int h = 0; h < 24; h++)
			pair_run(r->p, 3600000);
		assert_non_null(r->a.s);
		assert_non_null(r->b.s);
		r->p->lose = NULL;
		rig_send(&r->b, SIP_MESSAGE, "1");
		pair_run(r->p, 1000);
		assert_log(&r->a, "P180 E R:1");
		assert_log(&r->b, "E S1=200");
		assert_true(pair_count(r->p, 0, 0, "UPDATE") >= 96);
		rig_free(r);
	}
}

static void test_end_with_offer(void **state)
{
	(void)state;
	struct rig *r = rig_new(SIP_TCP);
	opened(r, "");
	sip_session_offer(r->a.s, SDP, S("v=0 mine"));
	sip_session_end(r->a.s);
	assert_log(&r->a, "Xclosed=0l");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
	reply(r, last(r, "INVITE"), 487, "b1", "", "");
	reply(r, last(r, "BYE"), 200, "b1", "", "");
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identical),      cmocka_unit_test(test_offered),	       cmocka_unit_test(test_offered_later),
		cmocka_unit_test(test_offer_unacked),  cmocka_unit_test(test_our_offer),       cmocka_unit_test(test_our_offer_ends),
		cmocka_unit_test(test_glare),	       cmocka_unit_test(test_glare_both),      cmocka_unit_test(test_timer_asked),
		cmocka_unit_test(test_timer_granted),  cmocka_unit_test(test_refresh_update),  cmocka_unit_test(test_refresh_invite),
		cmocka_unit_test(test_refresh_fails),  cmocka_unit_test(test_refreshee),       cmocka_unit_test(test_day),
		cmocka_unit_test(test_end_with_offer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
