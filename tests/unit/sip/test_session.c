/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: how they begin and end. */
#include "session_rig.h"

static const enum sip_transport TCP = SIP_TCP, UDP = SIP_UDP;

static bool status_of(struct rig *r, int n, const char *start)
{
	return pair_count(r->p, 0, n, start) == 1;
}

/* --- both engines --- */

static void end_a(struct side *x, const char *what)
{
	if (*what == 'E' && x == &the_rig->a)
		sip_session_end(x->s);
}

static void test_life(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig *r = rig_new(i ? UDP : TCP);
		rig_call(r);
		assert_int_equal(sip_session_state(r->a.s), SIP_SESSION_CALLING);
		pair_run(r->p, 1000);
		assert_log(&r->a, "P180 E");
		assert_log(&r->b, "E");
		assert_int_equal(r->a.body, 8);
		assert_int_equal(sip_session_state(r->a.s), SIP_SESSION_OPEN);
		assert_int_equal(sip_session_state(r->b.s), SIP_SESSION_OPEN);
		assert_true(sip_session_allows(r->a.s, SIP_UPDATE));
		assert_true(sip_session_allows(r->b.s, SIP_INFO));
		/* texts both ways, in order, one at a time */
		assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "1"), 0);
		assert_int_equal(rig_send(&r->a, SIP_INFO, "2"), 0);
		assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "3"), 0);
		assert_int_equal(rig_send(&r->b, SIP_MESSAGE, "4"), 0);
		assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE") + pair_count(r->p, 0, 0, "INFO"), 1);
		assert_int_equal(sip_session_queued(r->a.s), 2);
		assert_true(sip_session_sending(r->a.s));
		pair_run(r->p, 1000);
		assert_log(&r->a, "P180 E R:4 S1=200 S2=200 S3=200");
		assert_log(&r->b, "E R:1 S4=200 R:2 R:3");
		sip_session_end(r->a.s);
		assert_null(r->a.s);
		pair_run(r->p, 1000);
		assert_log(&r->a, "P180 E R:4 S1=200 S2=200 S3=200 Xclosed=0l");
		assert_log(&r->b, "E R:1 S4=200 R:2 R:3 Xbye=0");
		rig_free(r);
	}
}

static bool lossy(struct pair *p, struct packet *k)
{
	(void)k;
	return pair_random(p) % 10 < 3;
}

/* Three in ten packets are lost: all is repeated until it arrives, nothing arrives twice. */
static void test_loss(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 30; seed++) {
		struct rig *r = rig_new(UDP);
		r->p->seed = seed;
		r->p->lose = lossy;
		rig_call(r);
		rig_send(&r->a, SIP_MESSAGE, "1");
		rig_send(&r->a, SIP_MESSAGE, "2");
		pair_run(r->p, 90000);
		if (r->a.s && r->b.s)
			assert_log(&r->b, "E R:1 R:2");
		if (r->a.s)
			sip_session_end(r->a.s);
		pair_run(r->p, 90000);
		if (!r->b.s)
			assert_non_null(strchr(r->b.log, 'X'));
		rig_free(r);
	}
}

static void test_end_inside(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	r->a.hook = end_a;
	rig_call(r);
	pair_run(r->p, 1000);
	assert_log(&r->a, "P180 E Xclosed=0l");
	assert_log(&r->b, "E Xbye=0");
	rig_free(r);
}

static void free_it(struct side *x, const char *what)
{
	if (*what != 'X')
		x->s = sip_session_free(x->s);
}

/* Freed from inside each callback: the sanitizers watch. */
static void test_free_inside(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	r->a.hook = free_it;
	rig_call(r);
	pair_run(r->p, 100);
	assert_log(&r->a, "P180");
	assert_null(r->a.s);
	pair_run(r->p, 100);
	/* the 200 crossed our CANCEL: acknowledged, and hung up */
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 1);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
	assert_null(r->b.s);
	rig_free(r);

	r = rig_new(TCP);
	rig_call(r);
	pair_run(r->p, 100);
	r->a.hook = free_it;
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	pair_run(r->p, 100);
	assert_log(&r->a, "P180 E S1=200");
	assert_log(&r->b, "E R:1 Xbye=0");
	r->b.hook = free_it;
	rig_free(r);
}

static void test_queue_end(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	rig_call(r);
	rig_send(&r->a, SIP_MESSAGE, "1"); /* waits for the dialog */
	rig_send(&r->a, SIP_MESSAGE, "2");
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 0);
	pair_run(r->p, 15);
	sip_session_end(r->b.s); /* accepted, no ACK yet: later */
	assert_non_null(r->b.s);
	assert_int_equal(sip_session_state(r->b.s), SIP_SESSION_ACCEPTED);
	pair_run(r->p, 1000);
	assert_log(&r->b, "Xclosed=0l");
	assert_int_equal(pair_count(r->p, 1, 0, "BYE"), 1);
	/* what was on its way when the BYE came was answered 481; what was not comes back as never sent */
	assert_log(&r->a, "P180 E S1=481 S2=0lu Xbye=0");
	rig_free(r);

	/* our own end waits for what is queued */
	r = rig_new(TCP);
	rig_call(r);
	pair_run(r->p, 100);
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	sip_session_end(r->a.s);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "3"), ENTENTE_ECLOSED);
	pair_run(r->p, 100);
	assert_log(&r->a, "P180 E S1=200 S2=200 Xclosed=0l");
	assert_log(&r->b, "E R:1 R:2 Xbye=0");
	rig_free(r);

	/* abort does not */
	r = rig_new(TCP);
	rig_call(r);
	pair_run(r->p, 100);
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	sip_session_abort(r->a.s);
	assert_log(&r->a, "P180 E S1=408l S2=0lu Xclosed=0l");
	pair_run(r->p, 100);
	rig_free(r);
}

static void test_crossing_byes(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	rig_call(r);
	pair_run(r->p, 100);
	sip_session_end(r->a.s);
	sip_session_end(r->b.s);
	pair_run(r->p, 1000);
	assert_log(&r->a, "P180 E Xclosed=0l");
	assert_log(&r->b, "E Xclosed=0l");
	assert_int_equal(pair_count(r->p, 0, 0, "SIP/2.0 200"), 1);
	assert_int_equal(pair_count(r->p, -1, 0, "SIP/2.0 481"), 0);
	rig_free(r);
}

/* --- we call --- */

static void test_refused(void **state)
{
	static const int statuses[] = {302, 401, 404, 407, 415, 480, 486, 488, 491, 500, 503, 600, 606};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		struct rig *r = rig_new(TCP);
		char text[64];
		puppet(r);
		rig_call(r);
		rig_send(&r->a, SIP_MESSAGE, "1");
		reply(r, pair_packet(r->p, 0, "INVITE", 0), 183, "b1", "", "");
		reply(r, pair_packet(r->p, 0, "INVITE", 0), statuses[i], "b1", "Retry-After: 5\n", "");
		snprintf(text, sizeof text, "P183 S1=0lu Xrefused=%d", statuses[i]);
		assert_log(&r->a, text);
		assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 1);
		assert_int_equal(pair_count(r->p, 0, 0, "INVITE"), 1);
		pair_run(r->p, 60000);
		rig_free(r);
	}
}

static void test_invite_text(void **state)
{
	static const struct sip_extra always = {S("Ms-Conversation-ID"), S("c1")}, first = {S("ms-text-format"), S("text/plain")};
	(void)state;
	struct rig *r = rig_new(TCP);
	r->a.config.headers = &always;
	r->a.config.n_headers = 1;
	r->a.config.supported = S("ms-sender");
	r->a.config.user_agent = S("Entente");
	rig_call_with(r, 0, &first, 1);
	struct packet *k = pair_packet(r->p, 0, "INVITE sip:bob@b.example SIP/2.0\r\n", 0);
	assert_true(packet_has(k, "\r\nMs-Conversation-ID: c1\r\n"));
	assert_true(packet_has(k, "\r\nms-text-format: text/plain\r\n"));
	assert_true(packet_has(k, "\r\nSupported: timer, ms-sender\r\n"));
	assert_true(packet_has(k, "\r\nSession-Expires: 1800\r\n"));
	assert_true(packet_has(k, "\r\nUser-Agent: Entente\r\n"));
	assert_true(packet_has(k, "\r\nFrom: \"A\" <sip:alice@a.example>;epid=1;tag="));
	pair_run(r->p, 100);
	rig_send(&r->a, SIP_MESSAGE, "1");
	k = pair_last(r->p, 0, "MESSAGE sip:bob@192.0.2.2 SIP/2.0");
	assert_true(k && !packet_has(k, "Contact:") && !packet_has(k, "ms-text-format"));
	struct sip_extra own = {S("Message-ID"), S("7")}, bad = {S("X"), S("a\r\nb")};
	struct sip_session_request q = {.method = SIP_MESSAGE, .content_type = S("text/plain"), .body = S("2"), .headers = &own, .n_headers = 1, .token = (void *)(uintptr_t)"2"};
	assert_int_equal(sip_session_send(r->a.s, &q), 0);
	q.headers = &bad;
	assert_int_equal(sip_session_send(r->a.s, &q), ENTENTE_EINVAL);
	q.headers = NULL;
	q.n_headers = 0;
	q.method = SIP_REFER;
	assert_int_equal(sip_session_send(r->a.s, &q), ENTENTE_EINVAL);
	pair_run(r->p, 100);
	assert_true(packet_has(pair_last(r->p, 0, "MESSAGE"), "\r\nMessage-ID: 7\r\n"));
	rig_free(r);
}

static void test_no_answer(void **state)
{
	(void)state;
	/* silence: Timer B */
	struct rig *r = rig_new(UDP);
	puppet(r);
	rig_call(r);
	pair_run(r->p, 40000);
	assert_log(&r->a, "Xnoanswer=408l");
	assert_true(pair_count(r->p, 0, 0, "INVITE") > 3);
	rig_free(r);
	/* no way to send */
	r = rig_new(TCP);
	r->p->a.refuse_all = true;
	rig_call(r);
	assert_log(&r->a, "");
	pair_run(r->p, 10);
	assert_log(&r->a, "Xnoanswer=503l");
	rig_free(r);
	/* it rings too long: CANCEL, and the 487 tells nobody anything */
	r = rig_new(TCP);
	puppet(r);
	rig_call_with(r, 30000, NULL, 0);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 180, "b1", CONTACT, "");
	pair_run(r->p, 29000);
	assert_log(&r->a, "P180");
	pair_run(r->p, 2000);
	assert_log(&r->a, "P180 Xnoanswer=408l");
	assert_int_equal(pair_count(r->p, 0, 0, "CANCEL"), 1);
	reply(r, pair_packet(r->p, 0, "CANCEL", 0), 200, "b1", "", "");
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 487, "b1", "", "");
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 1);
	rig_free(r);
	/* a 2xx that nobody can talk to */
	r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 200, "b1", "", "v=0");
	assert_log(&r->a, "Xnoanswer=502l");
	rig_free(r);
}

/* CANCEL waits for a sign of life (RFC 3261 9.1), and the 2xx that crosses it is acknowledged and ended. */
static void test_cancel(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	sip_session_end(r->a.s);
	assert_log(&r->a, "Xclosed=0l");
	assert_int_equal(pair_count(r->p, 0, 0, "CANCEL"), 0);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 100, "", "", "");
	assert_int_equal(pair_count(r->p, 0, 0, "CANCEL"), 1);
	for (int i = 0; i < 3; i++)
		reply(r, pair_packet(r->p, 0, "INVITE", 0), 200, "b1", CONTACT "Record-Route: <sip:p1.example;lr>\nRecord-Route: <sip:p2.example;lr>\n", "v=0");
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 3);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE sip:bob@192.0.2.2"), 1);
	struct packet *bye = pair_packet(r->p, 0, "BYE", 0);
	assert_true(packet_has(bye, "Route: <sip:p2.example;lr>\r\nRoute: <sip:p1.example;lr>\r\n"));
	assert_true(packet_has(bye, "CSeq: 2 BYE"));
	assert_true(packet_has(pair_packet(r->p, 0, "ACK", 0), "CSeq: 1 ACK"));
	assert_log(&r->a, "Xclosed=0l");
	rig_free(r);
}

static void test_forks(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	struct packet *invite = pair_packet(r->p, 0, "INVITE", 0);
	reply(r, invite, 200, "b1", CONTACT, "v=0 answer"); /* repeated: its ACK again */
	assert_int_equal(pair_count(r->p, 0, 0, "ACK"), 2);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 0);
	for (int i = 0; i < 2; i++) {
		reply(r, invite, 200, "b2", "Contact: <sip:two@192.0.2.2>\n", "v=0");
		reply(r, invite, 200, "b3", "Contact: <sip:three@192.0.2.2>\n", "v=0");
	}
	assert_int_equal(pair_count(r->p, 0, 0, "ACK sip:two@"), 2);
	assert_int_equal(pair_count(r->p, 0, 0, "ACK sip:three@"), 2);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE sip:two@"), 1);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE sip:three@"), 1);
	assert_log(&r->a, "");
	/* a loser's requests are not of this dialog */
	int n = r->p->n;
	ask_as(r, 5, "MESSAGE", "b2", "", "no");
	assert_true(status_of(r, n, "SIP/2.0 481"));
	n = r->p->n;
	ask(r, "MESSAGE", "", "yes");
	assert_true(status_of(r, n, "SIP/2.0 200"));
	assert_log(&r->a, "R:yes");
	/* also when the session is over meanwhile */
	sip_session_end(r->a.s);
	reply(r, invite, 200, "b4", "Contact: <sip:four@192.0.2.2>\n", "v=0");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE sip:four@"), 1);
	reply(r, invite, 200, "b1", CONTACT, "v=0 answer");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE sip:bob@"), 1);
	rig_free(r);
}

static void test_422(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 422, "b1", "Min-SE: 3600\n", "");
	struct packet *again = pair_packet(r->p, 0, "INVITE", 1);
	assert_true(packet_has(again, "\r\nSession-Expires: 3600\r\nMin-SE: 3600\r\n"));
	assert_true(packet_has(again, "\r\nCSeq: 2 INVITE\r\n"));
	assert_true(packet_has(again, "v=0 offer of A"));
	reply(r, again, 200, "b1", CONTACT "Session-Expires: 3600;refresher=uas\n", "v=0");
	assert_log(&r->a, "E");
	bool ours;
	assert_int_equal(sip_session_interval(r->a.s, &ours), 3600);
	assert_false(ours);
	rig_send(&r->a, SIP_MESSAGE, "1");
	assert_true(packet_has(pair_last(r->p, 0, "MESSAGE"), "CSeq: 3 MESSAGE"));
	rig_free(r);
	/* not without end */
	r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	for (int i = 0; i < 3; i++) {
		char min[32];
		snprintf(min, sizeof min, "Min-SE: %d\n", 2000 * (i + 1));
		reply(r, pair_packet(r->p, 0, "INVITE", i), 422, "b1", min, "");
	}
	assert_log(&r->a, "Xrefused=422");
	rig_free(r);
	/* nor beyond a day */
	r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 422, "b1", "Min-SE: 4000000000\n", "");
	assert_log(&r->a, "Xrefused=422");
	rig_free(r);
}

/* A text overtakes the 2xx: it waits. */
static void test_early(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	int n = r->p->n;
	ask(r, "MESSAGE", "", "1");
	ask(r, "INFO", "", "2");
	ask_as(r, 1, "MESSAGE", "b2", "", "of a loser");
	assert_int_equal(r->p->n, n);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 200, "b1", CONTACT, "v=0");
	assert_log(&r->a, "E R:1 R:2");
	assert_int_equal(pair_count(r->p, 0, n, "SIP/2.0 200"), 2);
	assert_int_equal(pair_count(r->p, 0, n, "SIP/2.0 481"), 1);
	rig_free(r);
	/* refused after all; and more than four do not wait */
	r = rig_new(TCP);
	puppet(r);
	rig_call(r);
	for (int i = 0; i < 6; i++)
		ask(r, "MESSAGE", "", "x");
	assert_int_equal(pair_count(r->p, 0, 0, "SIP/2.0 481"), 2);
	reply(r, pair_packet(r->p, 0, "INVITE", 0), 486, "b1", "", "");
	assert_int_equal(pair_count(r->p, 0, 0, "SIP/2.0 481"), 6);
	assert_log(&r->a, "Xrefused=486");
	rig_free(r);
}

/* --- we are called --- */

static void test_take_refusals(void **state)
{
	static const struct {
		const char *headers, *status, *has;
	} t[] = {
		{CONTACT "Require: com.microsoft.rtc-multiparty, timer\n", "SIP/2.0 420", "Unsupported: com.microsoft.rtc-multiparty\r\n"},
		{CONTACT "Require: 100rel\n", "SIP/2.0 420", "Unsupported: 100rel\r\n"},
		{CONTACT "Replaces: x;to-tag=1;from-tag=2\n", "SIP/2.0 603", "Decline"},
		{CONTACT "Supported: timer\nSession-Expires: 60\n", "SIP/2.0 422", "Min-SE: 90\r\n"},
		{"", "SIP/2.0 400", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(TCP);
		puppet(r);
		puppet_call(r, t[i].headers, "v=0");
		assert_null(r->a.s);
		assert_int_equal(pair_count(r->p, 0, 0, t[i].status), 1);
		assert_true(packet_has(&r->p->packets[0], t[i].has));
		rig_free(r);
	}
}

static void test_taken(void **state)
{
	static const struct sip_extra always = {S("Ms-Conversation-ID"), S("c1")}, once = {S("Supported"), S("ms-text-format")};
	(void)state;
	struct rig *r = rig_new(UDP);
	puppet(r);
	r->a.take = 180;
	r->a.config.headers = &always;
	r->a.config.n_headers = 1;
	puppet_call(r, CONTACT "Record-Route: <sip:p1.example;lr>\nSupported: timer\nSession-Expires: 1200\nMin-SE: 300\nAllow: INVITE, UPDATE\n", "v=0");
	assert_true(packet_has(pair_packet(r->p, 0, "SIP/2.0 180", 0), "Ms-Conversation-ID: c1\r\n"));
	pair_run(r->p, 5000);
	assert_int_equal(sip_session_accept(r->a.s, S("application/sdp"), S("v=0 a"), &once, 1), 0);
	struct packet *ok = pair_packet(r->p, 0, "SIP/2.0 200", 0);
	assert_true(packet_has(ok, "Record-Route: <sip:p1.example;lr>\r\n"));
	assert_true(packet_has(ok, "Contact: <sip:alice@192.0.2.1>\r\n"));
	assert_true(packet_has(ok, "Supported: ms-text-format\r\n"));
	assert_true(packet_has(ok, "Session-Expires: 1200;refresher=uac\r\n"));
	assert_true(packet_has(ok, "Require: timer\r\n"));
	assert_true(packet_has(ok, "Ms-Conversation-ID: c1\r\n"));
	assert_int_equal(sip_session_accept(r->a.s, S("application/sdp"), S("v=0 a"), NULL, 0), ENTENTE_ECLOSED);
	/* repeated until the ACK comes */
	pair_run(r->p, 3000);
	assert_true(pair_count(r->p, 0, 0, "SIP/2.0 200") >= 3);
	rig_send(&r->a, SIP_MESSAGE, "1");
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 0);
	ask(r, "ACK", "", "");
	assert_log(&r->a, "E");
	struct packet *k = pair_packet(r->p, 0, "MESSAGE sip:bob@192.0.2.2", 0);
	assert_true(packet_has(k, "Route: <sip:p1.example;lr>\r\n"));
	int n = r->p->n;
	ask(r, "ACK", "", "");
	pair_run(r->p, 100);
	assert_int_equal(pair_count(r->p, 0, n, "SIP/2.0 200"), 0);
	assert_log(&r->a, "E");
	rig_free(r);
}

static void test_no_offer(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	puppet(r);
	puppet_call(r, CONTACT, "");
	assert_true(packet_has(pair_packet(r->p, 0, "SIP/2.0 200", 0), "v=0 of A"));
	ask(r, "ACK", "", "v=0 late answer");
	assert_log(&r->a, "E");
	assert_int_equal(r->a.body, 15);
	rig_free(r);
}

static void test_unacked(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	puppet(r);
	puppet_call(r, CONTACT, "v=0");
	rig_send(&r->a, SIP_MESSAGE, "1");
	pair_run(r->p, 33000);
	assert_log(&r->a, "S1=0lu Xlost=408l");
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 0);
	pair_run(r->p, 40000);
	rig_free(r);
	/* ended or freed meanwhile: the BYE waits for the ACK, or for its time */
	for (int i = 0; i < 4; i++) {
		r = rig_new(TCP);
		puppet(r);
		puppet_call(r, CONTACT, "v=0");
		if (i & 1)
			sip_session_end(r->a.s);
		else
			r->a.s = sip_session_free(r->a.s);
		assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 0);
		if (i & 2)
			ask(r, "ACK", "", "");
		else
			pair_run(r->p, 33000);
		assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 1);
		assert_log(&r->a, i & 1 ? "Xclosed=0l" : "");
		rig_free(r);
	}
	/* no room for the BYE either: nothing is left of it */
	struct sip_stack_config few = {.max_client = 1};
	r = rig_new(TCP);
	pair_free(r->p);
	r->p = pair_new(TCP, &few);
	r->a.e = &r->p->a;
	r->b.e = &r->p->b;
	r->p->a.request = rig_request;
	puppet(r);
	puppet_call(r, CONTACT, "v=0");
	char tag[64];
	struct slice ours = sip_session_dialog(r->a.s)->local_tag;
	snprintf(tag, sizeof tag, "%.*s", SFMT(ours));
	r->a.s = sip_session_free(r->a.s);
	pair_run(r->p, 20000);
	assert_true(sip_usage_known(r->p->a.stack, S("pc@b"), slice_str(tag)));
	struct sip_flow to = pair_flow(r->p, 0);
	assert_int_equal(sip_client_start(NULL, r->p->a.stack, &to,
					  S("OPTIONS sip:b.example SIP/2.0\r\nFrom: <sip:a.example>;tag=1\r\nTo: <sip:b.example>\r\nCall-ID: o\r\n"
					    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"),
					  NULL, NULL, NULL),
			 0);
	pair_run(r->p, 13000);
	assert_int_equal(pair_count(r->p, 0, 0, "BYE"), 0);
	assert_false(sip_usage_known(r->p->a.stack, S("pc@b"), slice_str(tag)));
	rig_free(r);
	/* no way back for the 200 */
	r = rig_new(TCP);
	puppet(r);
	r->a.take = 180;
	puppet_call(r, CONTACT, "v=0");
	r->p->a.refuse_all = true;
	assert_int_equal(sip_session_accept(r->a.s, S("application/sdp"), S("v=0"), NULL, 0), ENTENTE_ECLOSED);
	assert_log(&r->a, "");
	pair_run(r->p, 10);
	assert_log(&r->a, "Xlost=503l");
	rig_free(r);
}

static void test_cancelled(void **state)
{
	(void)state;
	/* by CANCEL */
	struct rig *r = rig_new(TCP);
	r->b.take = 180;
	rig_call(r);
	pair_run(r->p, 100);
	sip_session_end(r->a.s);
	pair_run(r->p, 100);
	assert_log(&r->b, "Xcancelled=487l");
	assert_int_equal(pair_count(r->p, 1, 0, "SIP/2.0 487"), 1);
	rig_free(r);
	/* by BYE in the early dialog */
	r = rig_new(TCP);
	puppet(r);
	r->a.take = 180;
	puppet_call(r, CONTACT, "v=0");
	struct arena *a;
	struct sip_msg *m = packet_msg(pair_packet(r->p, 0, "SIP/2.0 180", 0), &a);
	char text[512];
	snprintf(text, sizeof text,
		 "BYE sip:alice@192.0.2.1 SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bKbye\nFrom: <sip:bob@b.example>;tag=b1\n"
		 "To: <sip:alice@a.example>;tag=%.*s\nCall-ID: pc@b\nCSeq: 101 BYE\nContent-Length: 0\n\n",
		 SFMT(m->to.tag));
	pair_inject(r->p, &r->p->a, text);
	arena_release(NULL, a);
	assert_log(&r->a, "Xcancelled=0l");
	assert_int_equal(pair_count(r->p, 0, 0, "SIP/2.0 487"), 1);
	assert_int_equal(pair_count(r->p, 0, 0, "SIP/2.0 200"), 1);
	rig_free(r);
	/* nobody answers in time: the stack says 408 */
	r = rig_new(TCP);
	puppet(r);
	r->a.take = 180;
	puppet_call(r, CONTACT, "v=0");
	pair_run(r->p, 275000);
	assert_log(&r->a, "Xcancelled=408l");
	rig_free(r);
	/* refused */
	r = rig_new(TCP);
	r->b.take = 180;
	rig_call(r);
	pair_run(r->p, 100);
	sip_session_refuse(r->b.s, 603, S("No"), NULL, 0);
	assert_log(&r->b, "Xclosed=603l");
	pair_run(r->p, 100);
	assert_log(&r->a, "P180 Xrefused=603");
	rig_free(r);
	/* the owner goes away */
	r = rig_new(TCP);
	r->b.take = 180;
	rig_call(r);
	pair_run(r->p, 100);
	r->b.s = sip_session_free(r->b.s);
	pair_run(r->p, 100);
	assert_log(&r->a, "P180 Xrefused=480");
	assert_log(&r->b, "");
	rig_free(r);
}

/* --- in the dialog --- */

static void test_methods(void **state)
{
	static const struct {
		const char *method, *headers, *status, *has;
	} t[] = {
		{"REFER", CONTACT "Refer-To: <sip:x@y>\n", "SIP/2.0 603", ""},
		{"NOTIFY", CONTACT "Event: refer\nSubscription-State: active\n", "SIP/2.0 405", "Allow: INVITE, ACK"},
		{"SUBSCRIBE", CONTACT "Event: presence\n", "SIP/2.0 405", "Allow: INVITE, ACK"},
		{"PRACK", "RAck: 1 1 INVITE\n", "SIP/2.0 405", "Allow: INVITE, ACK"},
		{"FROB", "", "SIP/2.0 501", "Allow: INVITE, ACK"},
		{"OPTIONS", "", "SIP/2.0 200", "Allow: INVITE, ACK"},
		{"MESSAGE", "Require: frob\n", "SIP/2.0 420", "Unsupported: frob"},
		{"BYE", "Require: frob\n", "SIP/2.0 200", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(TCP);
		opened(r, "");
		int n = r->p->n;
		ask(r, t[i].method, t[i].headers, "");
		assert_int_equal(r->p->n, n + 1);
		assert_true(status_of(r, n, t[i].status));
		assert_true(packet_has(&r->p->packets[n], t[i].has));
		assert_log(&r->a, strcmp(t[i].method, "BYE") ? "" : "Xbye=0");
		rig_free(r);
	}
}

static void test_order(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	ask_as(r, 50, "MESSAGE", "b1", "", "1");
	int n = r->p->n;
	ask_as(r, 49, "MESSAGE", "b1", "", "old");
	assert_true(status_of(r, n, "SIP/2.0 500"));
	n = r->p->n;
	ask_as(r, 49, "BYE", "b1", "", "");
	assert_true(status_of(r, n, "SIP/2.0 500"));
	ask_as(r, 51, "MESSAGE", "b1", "", "2");
	assert_log(&r->a, "R:1 R:2");
	rig_free(r);
}

static void test_ends_by_answer(void **state)
{
	static const struct {
		int status;
		bool over, bye;
	} t[] = {
		{200, false, false}, {202, false, false}, {400, false, false}, {401, false, false}, {403, false, false}, {404, true, true},
		{405, false, false}, {408, true, true},   {410, true, true},   {413, false, false}, {415, false, false}, {480, true, true},
		{481, true, false},  {486, false, false}, {488, false, false}, {500, false, false}, {503, false, false}, {606, false, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct rig *r = rig_new(TCP);
		char text[128];
		opened(r, "");
		rig_send(&r->a, SIP_MESSAGE, "1");
		rig_send(&r->a, SIP_MESSAGE, "2");
		reply(r, pair_packet(r->p, 0, "MESSAGE", 0), t[i].status, "b1", "", "");
		if (t[i].over)
			snprintf(text, sizeof text, "S1=%d S2=0lu Xlost=%d", t[i].status, t[i].status);
		else
			snprintf(text, sizeof text, "S1=%d", t[i].status);
		assert_log(&r->a, text);
		assert_int_equal(pair_count(r->p, 0, 0, "BYE"), t[i].bye);
		assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), t[i].over ? 1 : 2);
		rig_free(r);
	}
	/* silence, and no way */
	struct rig *r = rig_new(TCP);
	opened(r, "");
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	pair_run(r->p, 33000);
	assert_log(&r->a, "S1=408l S2=0lu Xlost=408l");
	rig_free(r);
	r = rig_new(TCP);
	opened(r, "");
	r->p->a.refuse_all = true;
	rig_send(&r->a, SIP_MESSAGE, "1");
	pair_run(r->p, 10);
	r->p->a.refuse_all = false;
	rig_send(&r->a, SIP_MESSAGE, "2");
	reply(r, pair_last(r->p, 0, "MESSAGE"), 200, "b1", "", "");
	assert_log(&r->a, "S1=503l S2=200");
	rig_free(r);
}

/* The peer hangs up while a text of ours is on its way: its fate is awaited, then the end is told. */
static void test_bye_meets_text(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	ask(r, "BYE", "", "");
	assert_log(&r->a, "");
	assert_int_equal(sip_session_state(r->a.s), SIP_SESSION_LEAVING);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "3"), 0);
	int n = r->p->n;
	ask(r, "MESSAGE", "", "late");
	assert_true(status_of(r, n, "SIP/2.0 481"));
	reply(r, pair_packet(r->p, 0, "MESSAGE", 0), 200, "b1", "", "");
	assert_log(&r->a, "S1=200 S2=0lu S3=0lu Xbye=0");
	rig_free(r);
}

static void resend(struct side *x, const char *what)
{
	if (*what == 'S' && x->s)
		rig_send(x, SIP_MESSAGE, "again");
}

/* An owner that queues again whatever came back: not into a dialog that is no more, and not without end. */
static void test_resend(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	r->a.hook = resend;
	rig_send(&r->a, SIP_MESSAGE, "1");
	reply(r, pair_packet(r->p, 0, "MESSAGE", 0), 481, "b1", "", "");
	assert_log(&r->a, "S1=481 Sagain=0lu Xlost=481");
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 1);
	rig_free(r);
}

static void test_limits(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	r->a.config.max_queue = 3;
	r->a.config.max_queue_octets = 2000;
	opened(r, "");
	for (int i = 0; i < 4; i++)
		assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "x"), 0);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "y"), ENTENTE_ELIMIT);
	rig_free(r);
	r = rig_new(TCP);
	r->a.config.max_queue_octets = 2000;
	opened(r, "");
	char big[1500];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, big), 0);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, big), 0);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, big), ENTENTE_ELIMIT);
	rig_free(r);
}

static void test_unsend_and_late(void **state)
{
	static const char one[] = "1", two[] = "2", three[] = "3";
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	rig_send(&r->a, SIP_MESSAGE, one);
	rig_send(&r->a, SIP_MESSAGE, two);
	assert_false(sip_session_unsend(r->a.s, one)); /* it has left */
	assert_true(sip_session_unsend(r->a.s, two));
	assert_false(sip_session_unsend(r->a.s, two));
	struct sip_session_request q = {.method = SIP_INFO, .content_type = S("application/xml"), .body = S("typing"), .ttl_ms = 5000, .token = (void *)(uintptr_t)"t"};
	assert_int_equal(sip_session_send(r->a.s, &q), 0);
	rig_send(&r->a, SIP_MESSAGE, three);
	pair_run(r->p, 6000);
	reply(r, pair_packet(r->p, 0, "MESSAGE", 0), 200, "b1", "", "");
	assert_log(&r->a, "S1=200 St=0lux");
	assert_int_equal(pair_count(r->p, 0, 0, "INFO"), 0);
	assert_int_equal(pair_count(r->p, 0, 0, "MESSAGE"), 2);
	rig_free(r);
}

/* A full stack: later, in order. */
static void test_stack_full(void **state)
{
	(void)state;
	struct sip_stack_config few = {.max_client = 1};
	struct rig *r = rig_new(TCP);
	pair_free(r->p);
	r->p = pair_new(TCP, &few);
	r->a.e = &r->p->a;
	r->b.e = &r->p->b;
	r->p->b.request = rig_request;
	rig_call(r);
	pair_run(r->p, 100);
	/* the INVITE still lives for the sake of forks, and there is no room beside it */
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "1"), 0);
	assert_int_equal(rig_send(&r->a, SIP_MESSAGE, "2"), 0);
	pair_run(r->p, 100);
	assert_log(&r->a, "P180 E");
	pair_run(r->p, 40000);
	assert_log(&r->a, "P180 E S1=200 S2=200");
	assert_log(&r->b, "E R:1 R:2");
	rig_free(r);
}

static void test_memory(void **state)
{
	(void)state;
	struct rig *r = rig_new(TCP);
	opened(r, "");
	size_t n = sip_session_memory(r->a.s);
	print_message("# a session: %zu octets\n", n);
	assert_in_range(n, 400, 2048);
	rig_send(&r->a, SIP_MESSAGE, "1");
	rig_send(&r->a, SIP_MESSAGE, "2");
	assert_true(sip_session_memory(r->a.s) > n);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),	    cmocka_unit_test(test_loss),	    cmocka_unit_test(test_end_inside),
		cmocka_unit_test(test_free_inside), cmocka_unit_test(test_queue_end),	    cmocka_unit_test(test_crossing_byes),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_invite_text),	    cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_cancel),	    cmocka_unit_test(test_forks),	    cmocka_unit_test(test_422),
		cmocka_unit_test(test_early),	    cmocka_unit_test(test_take_refusals),   cmocka_unit_test(test_taken),
		cmocka_unit_test(test_no_offer),    cmocka_unit_test(test_unacked),	    cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_methods),	    cmocka_unit_test(test_order),	    cmocka_unit_test(test_ends_by_answer),
		cmocka_unit_test(test_bye_meets_text), cmocka_unit_test(test_resend),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unsend_and_late), cmocka_unit_test(test_stack_full),  cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
