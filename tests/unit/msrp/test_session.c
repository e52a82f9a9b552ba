/* SPDX-License-Identifier: Apache-2.0 */
/* What a session sends: RFC 4975 5.4, 7.1. */
#include "rig.h"

static uint64_t send_text(const char *body, enum msrp_failure f, bool success, bool urgent)
{
	struct msrp_text t = {.content_type = S("text/plain"), .body = slice_str(body), .failure_report = f, .success_report = success, .urgent = urgent};
	uint64_t n = 0;
	assert_int_equal(msrp_session_send(ses, &t, &n), 0);
	return n;
}

static void tid(size_t n, char dst[64])
{
	slice_cstr(word_after("MSRP ", n), dst, 64);
}

static size_t requests(void)
{
	struct slice s = buf_slice(&wrote);
	size_t n = 0;
	for (ptrdiff_t i; (i = slice_find(s, S("MSRP "))) >= 0; n++)
		s = slice_skip(s, (size_t)i + 5);
	return n;
}

static void test_passive(void **state)
{
	char t[64];
	(void)state;
	assert_int_equal(send_text("hi", MSRP_FAILURE_YES, false, false), 1);
	expect(wrote, ""); /* nobody is there yet */
	peer(1, HELLO);
	expect(told, "open\n");
	assert_int_equal(requests(), 2); /* our text, and the answer */
	tid(0, t);
	assert_true(slice_find(buf_slice(&wrote), S(" SEND\r\n" TO_THEM "Message-ID: ")) > 0);
	assert_true(slice_find(buf_slice(&wrote), S("Byte-Range: 1-2/2\r\nContent-Type: text/plain\r\n\r\nhi\r\n-------")) > 0);
	peer_answers(t, "200 OK");
	expect(told, "sent 1 200\n");
	peer_answers(t, "403 late");
	pass(100000);
	expect(told, "");
}

static void test_active(void **state)
{
	char t[64];
	(void)state;
	msrp_session_connect(ses, 1);
	pass(MSRP_BIND_MS * 2); /* the connection takes its time: not our affair */
	expect(told, "");
	peer(2, HELLO);
	expect(wrote, "(2) " ANSWER("hello", "506 Session In Use"));
	msrp_hub_up(hub, 2);
	expect(told, "");
	msrp_hub_up(hub, 1);
	expect(told, "open\n");
	assert_int_equal(requests(), 1);
	tid(0, t);
	assert_true(slice_find(buf_slice(&wrote), S("Byte-Range: 1-0/0\r\n-------")) > 0);
	peer_answers(t, "200 OK");
	buf_clear(&wrote);
	send_text("hi", MSRP_FAILURE_YES, false, false);
	assert_int_equal(requests(), 1);
}

static void test_active_with_something_to_say(void **state)
{
	(void)state;
	msrp_session_connect(ses, 1);
	send_text("hi", MSRP_FAILURE_YES, false, false);
	msrp_session_up(ses);
	assert_int_equal(requests(), 1); /* no bodiless one is needed */
	assert_true(slice_find(buf_slice(&wrote), S("\r\nhi\r\n")) > 0);
}

static void test_refused_at_the_door(void **state)
{
	char t[64];
	(void)state;
	msrp_session_connect(ses, 1);
	msrp_session_up(ses);
	tid(0, t);
	buf_clear(&told);
	send_text("hi", MSRP_FAILURE_YES, false, false);
	peer_answers(t, "481 No Such Session");
	expect(told, "sent 1 408\nended refused 481\n"); /* the text is on its way: nobody knows */
	assert_null(ses);
}

/* Our path comes with the 200 to our INVITE, the peer may be quicker. */
static void test_peer_before_its_answer(void **state)
{
	struct msrp_session_config c = {.id = S("second"), .from_path = S("msrp://us.example:2855/second;tcp"), .max_message = 100};
	struct msrp_session *first = ses;
	(void)state;
	ses = msrp_session_new(hub, &c, &session_ops, NULL);
	assert_null(msrp_session_new(hub, &c, &session_ops, NULL));
	send_text("hi", MSRP_FAILURE_YES, false, false);
	peer(1, "MSRP t111 SEND\r\nTo-Path: msrp://us.example:2855/second;tcp\r\nFrom-Path: " THEM
		"\r\nMessage-ID: m\r\nContent-Type: text/plain\r\n\r\nearly\r\n-------t111$\r\n");
	expect(told, "message m text/plain 5:early\n");
	buf_clear(&wrote);
	assert_int_not_equal(msrp_session_peer(ses, S("rubbish")), 0);
	assert_int_equal(msrp_session_peer(ses, S("msrp://r.example:1;tcp " THEM)), 0);
	expect(told, "open\n");
	assert_true(slice_find(buf_slice(&wrote), S("To-Path: msrp://r.example:1;tcp " THEM "\r\n")) > 0);
	ses = msrp_session_free(ses);
	/* nobody is waited for before it is known who */
	ses = msrp_session_new(hub, &c, &session_ops, NULL);
	msrp_session_free(first);
	buf_clear(&told);
	pass(MSRP_BIND_MS * 2);
	assert_int_equal(msrp_session_peer(ses, S(THEM)), 0);
	pass(MSRP_BIND_MS - 1);
	expect(told, "");
	pass(1);
	expect(told, "ended unbound 0\n");
}

static void test_long_text(void **state)
{
	char *body = mem_calloc(1, 5001), t[3][64];
	uint64_t urgent;
	(void)state;
	memset(body, 'x', 5000);
	body[0] = '1';
	body[2048] = '2';
	body[4096] = '3';
	bound();
	full = true;
	send_text(body, MSRP_FAILURE_YES, false, false);
	assert_int_equal(requests(), 1); /* the line takes no more */
	urgent = send_text("typing", MSRP_FAILURE_NO, false, true);
	send_text("second", MSRP_FAILURE_YES, false, false);
	assert_int_equal(requests(), 1);
	full = false;
	msrp_hub_writable(hub, 2);
	assert_int_equal(requests(), 1);
	msrp_hub_writable(hub, 1);
	assert_int_equal(requests(), 5);
	struct slice w = buf_slice(&wrote);
	const char *const order[] = {"Byte-Range: 1-2048/5000\r\n", "\r\n\r\n1x", "+\r\n", "typing", "Byte-Range: 2049-4096/5000\r\n", "\r\n\r\n2x", "+\r\n",
				     "Byte-Range: 4097-5000/5000\r\n", "\r\n\r\n3x", "$\r\n", "second"};
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		ptrdiff_t at = slice_find(w, slice_str(order[i]));
		if (at < 0)
			fail_msg("%s is missing or not in order", order[i]);
		w = slice_skip(w, (size_t)at);
	}
	pass(0);
	char z[40];
	snprintf(z, sizeof z, "sent %u 200\n", (unsigned)urgent);
	expect(told, z);
	tid(0, t[0]);
	tid(2, t[1]);
	tid(3, t[2]);
	peer_answers(t[2], "200 OK");
	peer_answers(t[0], "200 OK");
	expect(told, "");
	peer_answers(t[1], "200 OK");
	expect(told, "sent 1 200\n");
	mem_free(body);
}

/* 10.5: no more of it; the others go on. */
static void test_stop_sending(void **state)
{
	char *body = mem_calloc(1, 5001), t[64];
	(void)state;
	memset(body, 'x', 5000);
	bound();
	full = true;
	send_text(body, MSRP_FAILURE_YES, false, false);
	send_text("second", MSRP_FAILURE_YES, false, false);
	tid(0, t);
	buf_clear(&wrote);
	peer_answers(t, "413 Stop Sending");
	expect(told, "sent 1 413\n");
	full = false;
	msrp_hub_writable(hub, 1);
	assert_int_equal(requests(), 1);
	assert_true(slice_find(buf_slice(&wrote), S("second")) > 0);
	mem_free(body);
}

static void test_timeouts(void **state)
{
	(void)state;
	bound();
	send_text("one", MSRP_FAILURE_YES, false, false);
	send_text("two", MSRP_FAILURE_PARTIAL, false, false);
	send_text("three", MSRP_FAILURE_NO, false, false);
	pass(0);
	expect(told, "sent 3 200\n");
	pass(10000);
	send_text("four", MSRP_FAILURE_YES, false, false);
	pass(MSRP_RESPONSE_MS - 10001);
	expect(told, "");
	pass(1);
	expect(told, "sent 1 408\nsent 2 200\n");
	pass(9999);
	expect(told, "");
	pass(1);
	expect(told, "sent 4 408\n");
	assert_non_null(ses);
}

static void test_partial_refused(void **state)
{
	char t[64];
	(void)state;
	bound();
	send_text("one", MSRP_FAILURE_PARTIAL, false, false);
	assert_true(slice_find(buf_slice(&wrote), S("Failure-Report: partial\r\n")) > 0);
	tid(0, t);
	peer_answers(t, "415 no");
	pass(100000);
	expect(told, "sent 1 415\n");
}

static void report(const char *id, const char *rest)
{
	char z[500];
	snprintf(z, sizeof z, "MSRP rrrr REPORT\r\n" TO_US "Message-ID: %s\r\n%s\r\n-------rrrr$\r\n", id, rest);
	peer(1, z);
}

static void test_success_report(void **state)
{
	char t[64], id[64];
	(void)state;
	bound();
	send_text("hello", MSRP_FAILURE_YES, true, false);
	assert_true(slice_find(buf_slice(&wrote), S("Success-Report: yes\r\n")) > 0);
	tid(0, t);
	slice_cstr(word_after("Message-ID: ", 0), id, sizeof id);
	report("nonsense", "Status: 000 200 OK");
	report(id, "Status: 001 200 OK");
	report(id, "Byte-Range: 3-5/5\r\nStatus: 000 200 OK"); /* not from the beginning: nothing is covered yet */
	expect(told, "");
	report(id, "Byte-Range: 1-2/5\r\nStatus: 000 200 OK");
	expect(told, "");
	report(id, "Byte-Range: 3-5/5\r\nStatus: 000 200 OK");
	expect(told, "report 1 200\n"); /* before the answer, even */
	peer_answers(t, "200 OK");
	expect(told, "sent 1 200\n");
	report(id, "Byte-Range: 1-5/5\r\nStatus: 000 200 OK");
	report(id, "Status: 000 403 No");
	expect(told, "");
	assert_int_equal(requests(), 1); /* no answer to any of them */
}

static void test_failure_report(void **state)
{
	char t[64], id[64];
	(void)state;
	bound();
	send_text("hello", MSRP_FAILURE_YES, false, false);
	tid(0, t);
	slice_cstr(word_after("Message-ID: ", 0), id, sizeof id);
	peer_answers(t, "200 OK");
	expect(told, "sent 1 200\n");
	report(id, "Byte-Range: 1-5/5\r\nStatus: 000 403 No");
	expect(told, "report 1 403\n");
	assert_non_null(ses);
	/* instead of a response: the text is over */
	buf_clear(&wrote);
	send_text("again", MSRP_FAILURE_YES, false, false);
	slice_cstr(word_after("Message-ID: ", 0), id, sizeof id);
	report(id, "Byte-Range: 1-5/5\r\nStatus: 000 413 Stop");
	expect(told, "sent 2 413\n");
	/* 7.3.2: not received somewhere behind the next hop: the session has failed */
	buf_clear(&wrote);
	send_text("third", MSRP_FAILURE_YES, false, false);
	tid(0, t);
	slice_cstr(word_after("Message-ID: ", 0), id, sizeof id);
	peer_answers(t, "200 OK");
	buf_clear(&told);
	report(id, "Byte-Range: 1-5/5\r\nStatus: 000 408 Timeout");
	expect(told, "report 3 408\nended refused 408\n");
}

/* What becomes of texts when the session ends: certain, or nobody knows, or it may be sent another way. */
static void test_lost(void **state)
{
	char *body = mem_calloc(1, 5001), t[64];
	(void)state;
	memset(body, 'x', 5000);
	bound();
	send_text("answered", MSRP_FAILURE_YES, false, false);
	tid(0, t);
	peer_answers(t, "200 OK");
	send_text("unanswered", MSRP_FAILURE_YES, false, false);
	send_text("unasked", MSRP_FAILURE_NO, false, false);
	full = true;
	send_text(body, MSRP_FAILURE_YES, false, false);
	send_text("waiting", MSRP_FAILURE_YES, false, false);
	msrp_hub_lost(hub, 1);
	expect(told, "sent 1 200\nsent 3 200\nsent 2 408\nsent 4 0\nsent 5 0\nended lost 0\n");
	mem_free(body);
}

static void test_refused_in_the_middle(void **state)
{
	char t[3][64];
	(void)state;
	bound();
	for (int i = 0; i < 3; i++) {
		send_text("text", MSRP_FAILURE_YES, false, false);
		tid((size_t)i, t[i]);
	}
	peer_answers(t[1], "481 Gone");
	expect(told, "sent 2 481\nsent 1 408\nsent 3 481\nended refused 481\n");
}

static void test_limits(void **state)
{
	struct msrp_text t = {.content_type = S("text/plain"), .body = S("x")};
	struct msrp_session_facts f;
	uint64_t n;
	char *body = mem_calloc(1, 20001);
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(msrp_session_send(ses, &t, &n), 0);
	assert_int_equal(msrp_session_send(ses, &t, &n), ENTENTE_ELIMIT);
	msrp_session_cancel(ses, n);
	t.body = slice_of(body, 20000);
	assert_int_equal(msrp_session_send(ses, &t, &n), ENTENTE_ELIMIT);
	t.body = slice_of(body, 19997);
	assert_int_equal(msrp_session_send(ses, &t, &n), 0);
	msrp_session_show(ses, &f);
	assert_int_equal(f.queued, 4);
	assert_int_equal(f.queued_octets, 20000);
	msrp_session_cancel(ses, n);
	t.body = S("x");
	t.message_id = S("0123456789012345678901234");
	assert_int_equal(msrp_session_send(ses, &t, &n), ENTENTE_EINVAL);
	t.message_id = S("again");
	assert_int_equal(msrp_session_send(ses, &t, &n), 0);
	bound();
	peer(1, HELLO);
	msrp_session_cancel(ses, n);
	t.content_type = S("text/plain\r\nX: y");
	assert_int_equal(msrp_session_send(ses, &t, &n), ENTENTE_EINVAL);
	mem_free(body);
}

static void test_cancel(void **state)
{
	char *body = mem_calloc(1, 5001);
	uint64_t n;
	(void)state;
	memset(body, 'x', 5000);
	bound();
	full = true;
	n = send_text(body, MSRP_FAILURE_YES, false, false);
	buf_clear(&wrote);
	msrp_session_cancel(ses, n);
	assert_true(slice_find(buf_slice(&wrote), S("Byte-Range: 2049-2048/5000\r\nContent-Type: text/plain\r\n\r\n\r\n-------")) > 0);
	assert_true(slice_ends(buf_slice(&wrote), S("#\r\n")));
	pass(100000);
	expect(told, "");
	mem_free(body);
}

/* Two hubs, each the other's peer, over lines that stutter: all texts arrive whole, in order, once. */
struct side {
	struct msrp_hub *hub;
	struct msrp_session *s;
	struct buf line; /* towards it */
	struct msrp_framer framer;
	char session[64], tid[64];
	size_t got, sent;
};
static struct side sides[2];

static size_t size_of(size_t n)
{
	return n * 997 % 9000;
}

static bool side_write(void *arg, uint64_t line, struct slice octets)
{
	struct side *to = arg == &sides[0] ? &sides[1] : &sides[0];
	(void)line;
	buf_put(&to->line, octets);
	return to->line.len < 4000;
}

static void side_message(void *arg, const struct msrp_message *m)
{
	struct side *x = arg;
	size_t n = ++x->got;
	assert_int_equal(m->body.len, size_of(n));
	for (size_t i = 0; i < m->body.len; i++)
		assert_int_equal((unsigned char)m->body.p[i], (n + i) & 255);
	msrp_session_answer(x->s, m->token, 200, SLICE_NONE);
}

static void side_sent(void *arg, uint64_t number, int status, struct slice comment)
{
	struct side *x = arg;
	(void)comment;
	assert_int_equal(status, 200);
	assert_int_equal(number, ++x->sent);
}

static void side_report(void *arg, uint64_t number, struct slice message_id, int status, struct slice comment)
{
	(void)message_id, (void)arg, (void)number, (void)status, (void)comment;
}
static void side_open(void *arg)
{
	(void)arg;
}
static void side_ended(void *arg, enum msrp_end why, int status)
{
	(void)arg, (void)why, (void)status;
	fail();
}

static void test_back_to_back(void **state)
{
	static const struct msrp_hub_ops ho = {.write = side_write};
	static const struct msrp_session_ops so = {side_message, side_sent, side_report, side_open, side_ended};
	static const char *const paths[] = {"msrp://a:1/aa;tcp", "msrp://b:1/bb;tcp"}, *const ids[] = {"aa", "bb"};
	char *body = mem_calloc(1, 10000);
	size_t queued[2] = {0, 0};
	uint64_t number;
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct msrp_session_config c = {.id = slice_str(ids[i]), .from_path = slice_str(paths[i]), .to_path = slice_str(paths[!i]), .max_message = 9000};
		memset(&sides[i], 0, sizeof sides[i]);
		buf_init(&sides[i].line, 1 << 20);
		msrp_framer_init(&sides[i].framer);
		sides[i].hub = msrp_hub_new(&timers, &ho, &sides[i]);
		sides[i].s = msrp_session_new(sides[i].hub, &c, &so, &sides[i]);
	}
	msrp_session_connect(sides[0].s, 7);
	msrp_session_up(sides[0].s);
	for (unsigned round = 0; round < 100000 && (sides[0].sent < 60 || sides[1].sent < 60); round++) {
		int i = round & 1;
		struct side *x = &sides[i];
		struct msrp_frame f;
		if (queued[i] < 60 && round % 3 == 0) {
			struct msrp_text t = {.content_type = S("application/octet-stream"), .body = slice_of(body, size_of(queued[i] + 1))};
			for (size_t k = 0; k < t.body.len; k++)
				body[k] = (char)(queued[i] + 1 + k);
			if (!msrp_session_send(x->s, &t, &number))
				queued[i]++;
		}
		size_t have = round * 31 % 3000 + 1, at = 0;
		if (have > x->line.len)
			have = x->line.len;
		for (;;) {
			msrp_framer_next(&x->framer, slice_of(buf_slice(&x->line).p + at, have - at), &f);
			assert_int_not_equal(f.kind, MSRP_FRAME_ERROR);
			if (f.kind == MSRP_FRAME_MORE)
				break;
			if (f.piece.head.len) {
				struct msrp_head h;
				msrp_head_parse(f.piece.head, &h);
				assert_null(h.fault);
				slice_cstr(h.tid, x->tid, sizeof x->tid);
				slice_cstr(msrp_head_session(f.piece.head), x->session, sizeof x->session);
			}
			at += f.consume;
			msrp_hub_input(x->hub, 7, slice_str(x->session), slice_str(x->tid), &f.piece);
		}
		buf_consume(&x->line, at);
		if (at && x->line.len < 4000)
			msrp_hub_writable(sides[!i].hub, 7);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sides[i].sent, 60);
		assert_int_equal(sides[i].got, 60);
		msrp_hub_free(sides[i].hub);
		buf_free(&sides[i].line);
	}
	mem_free(body);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_passive), T(test_active), T(test_active_with_something_to_say), T(test_refused_at_the_door), T(test_peer_before_its_answer),
		T(test_long_text), T(test_stop_sending), T(test_timeouts), T(test_partial_refused), T(test_success_report), T(test_failure_report),
		T(test_lost), T(test_refused_in_the_middle), T(test_limits), T(test_cancel), T(test_back_to_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
