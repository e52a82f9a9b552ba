/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that come in: RFC 4975 5.4, 7.2, 7.3. */
#include "rig.h"

static void test_a_whole_message(void **state)
{
	(void)state;
	peer(1, CHUNK("t111", "m1", "1-5/5", "hello", "$"));
	expect(told, "open\nmessage m1 text/plain 5:hello\n");
	expect(wrote, ANSWER("t111", "200 OK"));
	peer(1, SEND("t112", "m2", "Content-Type: text/plain\r\n\r\nno range\r\n-------t112$\r\n"));
	expect(told, "message m2 text/plain 8:no range\n");
	expect(wrote, ANSWER("t112", "200 OK"));
	peer(1, CHUNK("t113", "m3", "1-0/0", "", "$"));
	expect(told, "message m3 text/plain 0:\n");
}

static void test_bodiless(void **state)
{
	(void)state;
	peer(1, HELLO);
	expect(told, "open\n");
	expect(wrote, ANSWER("hello", "200 OK"));
	peer(1, SEND("hello", "h2", "Byte-Range: 1-0/0\r\n\r\n\r\n-------hello$\r\n")); /* a blank line, but nothing in it */
	expect(told, "");
	expect(wrote, ANSWER("hello", "200 OK"));
	peer(1, SEND("t111", "h3", "\r\ntext\r\n-------t111$\r\n"));
	expect(told, "");
	expect(wrote, ANSWER("t111", "400 no Content-Type"));
}

static void test_who_may_speak(void **state)
{
	(void)state;
	peer(1, "MSRP t111 REPORT\r\n" TO_US "Message-ID: x\r\nStatus: 000 200 OK\r\n-------t111$\r\n");
	assert_int_equal(msrp_session_line(ses), 0); /* only a SEND binds */
	peer(1, "MSRP t111 SEND\r\nTo-Path: msrp://us.example:2855/other;tcp\r\nFrom-Path: " THEM "\r\nMessage-ID: x\r\n-------t111$\r\n");
	expect(wrote, "MSRP t111 481 No Such Session\r\nTo-Path: " THEM "\r\nFrom-Path: msrp://us.example:2855/other;tcp\r\n-------t111$\r\n");
	peer(1, "MSRP t111 SEND\r\nTo-Path: msrp://us.example:2855/other;tcp\r\nFrom-Path: " THEM
		"\r\nMessage-ID: x\r\nFailure-Report: no\r\n-------t111$\r\n");
	expect(wrote, "");
	peer(1, "MSRP t111 SEND\r\nTo-Path: " US " msrp://x:1/y;tcp\r\nFrom-Path: " THEM "\r\nMessage-ID: x\r\n-------t111$\r\n");
	expect(wrote, "MSRP t111 481 No Such Session\r\nTo-Path: " THEM "\r\nFrom-Path: " US "\r\n-------t111$\r\n"); /* we are no relay */
	bound();
	peer(2, CHUNK("t112", "m1", "1-5/5", "hello", "$"));
	expect(wrote, "(2) " ANSWER("t112", "506 Session In Use"));
	expect(told, "");
	peer(1, CHUNK("t113", "m1", "1-5/5", "hello", "$"));
	expect(told, "message m1 text/plain 5:hello\n");
	msrp_hub_lost(hub, 2);
	expect(told, "");
	msrp_hub_lost(hub, 1);
	expect(told, "ended lost 0\n");
	buf_clear(&wrote);
	peer(1, CHUNK("t114", "m2", "1-5/5", "hello", "$"));
	expect(wrote, ANSWER("t114", "481 No Such Session"));
}

static void test_faults_and_methods(void **state)
{
	(void)state;
	bound();
	peer(1, SEND("t111", "m1", "Byte-Range: nonsense\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t111$\r\n"));
	expect(wrote, ANSWER("t111", "400 malformed Byte-Range"));
	peer(1, "MSRP t112 NICKNAME\r\n" TO_US "Use-Nickname: \"x\"\r\n-------t112$\r\n");
	expect(wrote, ANSWER("t112", "501 Unknown Method"));
	peer(1, "MSRP t113 REPORT\r\n" TO_US "Message-ID: x\r\n-------t113$\r\n"); /* never an answer to a REPORT */
	peer(1, "MSRP t114 SEND\r\nnothing\r\nof use\r\n\r\nbody\r\n-------t114$\r\n");
	expect(wrote, "");
	peer(1, CHUNK("t115", "m1", "1-5/5", "hello", "$"));
	expect(told, "message m1 text/plain 5:hello\n"); /* and goes on */
}

/* The five ways of RFC 4975 7.2 and 7.1.4. */
static void test_failure_report(void **state)
{
	(void)state;
	bound();
	peer(1, SEND("t111", "m1", "Failure-Report: no\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t111$\r\n"));
	peer(1, SEND("t112", "m2", "Failure-Report: partial\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t112$\r\n"));
	expect(wrote, "");
	answer_now = 403;
	peer(1, SEND("t113", "m3", "Failure-Report: no\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t113$\r\n"));
	expect(wrote, "");
	peer(1, SEND("t114", "m4", "Failure-Report: partial\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t114$\r\n"));
	expect(wrote, ANSWER("t114", "403 Forbidden"));
	peer(1, SEND("t115", "m5", "Failure-Report: yes\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t115$\r\n"));
	expect(wrote, ANSWER("t115", "403 Forbidden"));
}

static void test_chunks_in_order(void **state)
{
	(void)state;
	bound();
	peer(1, CHUNK("t111", "m1", "1-*/8", "abcd", "+"));
	expect(wrote, ANSWER("t111", "200 OK"));
	peer(1, HELLO);
	buf_clear(&wrote);
	peer(1, CHUNK("t112", "m1", "5-8/8", "EFGH", "$"));
	expect(told, "message m1 text/plain 8:abcdEFGH\n");
	expect(wrote, ANSWER("t112", "200 OK"));
}

/* Every order of four chunks that overlap, in every cut of the stream: the same text. */
static void test_chunks_in_any_order(void **state)
{
	static const char *const ranges[] = {"1-3/10", "4-6/10", "7-8/*", "9-10/10"};
	static const char *const bodies[] = {"abc", "def", "gh", "ij"};
	static const char *const flags[] = {"+", "+", "+", "$"};
	unsigned n = 0;
	char z[1000];
	(void)state;
	bound();
	for (unsigned p = 0; p < 256; p++) {
		unsigned order[] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6 & 3}, set = 0;
		for (int i = 0; i < 4; i++)
			set |= 1u << order[i];
		if (set != 15)
			continue;
		n++;
		for (int i = 0; i < 4; i++) {
			unsigned k = order[i];
			snprintf(z, sizeof z, "MSRP tt%u%u SEND\r\n" TO_US "Message-ID: m%u\r\nByte-Range: %s\r\nContent-Type: text/plain\r\n\r\n%s\r\n-------tt%u%u%s\r\n",
				 n, k, n, ranges[k], bodies[k], n, k, flags[k]);
			peer_cut(1, slice_str(z), n % 7 + 1);
		}
		snprintf(z, sizeof z, "message m%u text/plain 10:abcdefghij\n", n);
		expect(told, z);
	}
	assert_int_equal(n, 24);
}

static void test_overlap_the_last_wins(void **state)
{
	struct msrp_session_facts f;
	(void)state;
	bound();
	peer(1, CHUNK("t111", "m1", "1-6/8", "aaaaaa", "+"));
	peer(1, CHUNK("t112", "m1", "4-8/8", "bbbbb", "+"));
	peer(1, CHUNK("t113", "m1", "2-3/8", "cc", "+"));
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 1);
	peer(1, CHUNK("t114", "m1", "8-8/8", "d", "$"));
	expect(told, "message m1 text/plain 8:accbbbbd\n");
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
	assert_int_equal(f.partial_octets, 0);
	/* the chunk with '$' defines the length, whatever was said before */
	peer(1, CHUNK("t121", "m2", "1-*/*", "abcdefgh", "+"));
	peer(1, CHUNK("t122", "m2", "5-*/*", "E", "$"));
	expect(told, "message m2 text/plain 5:abcdE\n");
	/* shorter than its Byte-Range says */
	peer(1, CHUNK("t131", "m3", "1-100/8", "abcd", "+"));
	buf_clear(&wrote);
	peer(1, CHUNK("t132", "m3", "1-100/100", "abcd", "+"));
	peer(1, CHUNK("t133", "m3", "5-8/8", "efgh", "$"));
	expect(told, "message m3 text/plain 8:abcdefgh\n");
}

static void test_aborted(void **state)
{
	struct msrp_session_facts f;
	(void)state;
	bound();
	peer(1, CHUNK("t111", "m1", "1-*/8", "abcd", "+"));
	peer(1, CHUNK("t112", "m1", "5-*/8", "ef", "#"));
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
	expect(told, "");
	expect(wrote, ANSWER("t111", "200 OK") ANSWER("t112", "200 OK"));
}

/* RFC 7573 8 (MUST): 413 at the first chunk whose total is too much; before its data has come. */
static void test_too_large(void **state)
{
	struct msrp_session_facts f;
	char z[9000];
	(void)state;
	bound();
	peer(1, SEND("t111", "m1", "Byte-Range: 1-*/10001\r\nContent-Type: text/plain\r\n\r\nabc"));
	expect(wrote, ANSWER("t111", "413 Stop Sending"));
	peer(1, CHUNK("t112", "m1", "4-*/10001", "abc", "+")); /* the same message again: again */
	expect(wrote, ANSWER("t112", "413 Stop Sending"));
	peer(1, CHUNK("t113", "m2", "10001-10001/*", "x", "$")); /* just past */
	expect(wrote, ANSWER("t113", "413 Stop Sending"));
	peer(1, CHUNK("t114", "m3", "99999999-99999999/*", "x", "$"));
	expect(wrote, ANSWER("t114", "413 Stop Sending"));
	/* of unknown length: when it has become too much, once */
	snprintf(z, sizeof z, SEND("t115", "m4", "Byte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n") "%05000d", 0);
	peer_cut(1, slice_str(z), 1000);
	expect(wrote, "");
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 1);
	struct msrp_piece p = {.data = slice_of(z, 5001)};
	msrp_hub_input(hub, 1, S("ours"), S("t115"), &p);
	expect(wrote, ANSWER("t115", "413 Stop Sending"));
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
	assert_int_equal(f.partial_octets, 0);
	for (int i = 0; i < 1000; i++)
		msrp_hub_input(hub, 1, S("ours"), S("t115"), &p);
	p.flag = '+';
	msrp_hub_input(hub, 1, S("ours"), S("t115"), &p);
	expect(wrote, "");
	expect(told, "");
	/* exactly the limit is no error, and the session is not harmed */
	snprintf(z, sizeof z, CHUNK("t116", "m5", "1-8000/10000", "%08000d", "+"), 1);
	peer(1, z);
	snprintf(z, sizeof z, CHUNK("t117", "m5", "8001-10000/10000", "%02000d", "$"), 1);
	peer(1, z);
	expect(told, "message m5 text/plain 10000:\n");
}

static void test_limits_of_what_is_incomplete(void **state)
{
	struct msrp_session_facts f;
	char z[1000];
	(void)state;
	bound();
	for (int i = 0; i < 3; i++) {
		snprintf(z, sizeof z, CHUNK("t%03d", "m%d", "1-*/8", "abcd", "+"), i, i, i);
		peer(1, z);
	}
	buf_clear(&wrote);
	peer(1, CHUNK("t111", "m9", "1-*/8", "abcd", "+"));
	expect(wrote, ANSWER("t111", "413 too many messages at a time"));
	pass(MSRP_PARTIAL_MS - 1);
	peer(1, CHUNK("t112", "m1", "5-*/*", "ef", "+")); /* one of them grows */
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 3);
	pass(1);
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 1);
	pass(MSRP_PARTIAL_MS);
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
	assert_int_equal(f.partial_octets, 0);
	/* holes without end */
	for (int i = 0; i <= MSRP_RANGES; i++) {
		buf_clear(&wrote);
		snprintf(z, sizeof z, CHUNK("t%03d", "holes", "%d-%d/*", "x", "+"), i, 1 + 2 * i, 1 + 2 * i, i);
		peer(1, z);
	}
	expect(wrote, ANSWER("t064", "413 Stop Sending"));
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
}

/* However many sessions somebody opens: one octet at the end of what may be there costs all of it. */
static void test_limit_of_all(void **state)
{
	enum { LARGE = 16 << 20, FIT = MSRP_PARTIAL_TOTAL / LARGE };
	struct msrp_session *many[FIT + 1];
	char id[16], z[1000], want[400];
	(void)state;
	for (int i = 0; i <= FIT + 1; i++) {
		int n = i <= FIT ? i : 0; /* once more, when there is room again */
		if (i <= FIT) {
			struct msrp_session_config c = {.from_path = S(US), .to_path = S(THEM), .max_message = LARGE};
			snprintf(id, sizeof id, "s%d", i);
			c.id = slice_str(id);
			many[i] = msrp_session_new(hub, &c, &session_ops, NULL);
		} else {
			many[1] = msrp_session_free(many[1]);
		}
		snprintf(z, sizeof z, "MSRP t%03d SEND\r\nTo-Path: msrp://us.example:2855/s%d;tcp\r\nFrom-Path: " THEM "\r\nMessage-ID: m%d\r\n"
			 "Byte-Range: %d-*/*\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t%03d+\r\n", i, n, i, LARGE, i);
		peer(1, z);
		snprintf(want, sizeof want, "MSRP t%03d %s\r\n" TO_THEM "-------t%03d$\r\n", i, i == FIT ? "413 Stop Sending" : "200 OK", i);
		expect(wrote, want);
	}
	buf_clear(&told);
	peer(1, CHUNK("t111", "m1", "1-5/5", "hello", "$")); /* what comes whole is no affair of this */
	expect(told, "open\nmessage m1 text/plain 5:hello\n");
}

/* A request that stands still for longer than its message is kept: what still comes of it is nobody's. */
static void test_given_up_in_the_middle(void **state)
{
	struct msrp_piece more = {.data = S("more")}, last = {.data = S("!"), .flag = '$'};
	struct msrp_session_facts f;
	(void)state;
	bound();
	peer(1, SEND("t111", "m1", "Byte-Range: 1-*/9\r\nContent-Type: text/plain\r\n\r\nhalf"));
	pass(MSRP_PARTIAL_MS);
	msrp_session_show(ses, &f);
	assert_int_equal(f.partial, 0);
	msrp_hub_input(hub, 1, S("ours"), S("t111"), &more);
	expect(wrote, "");
	msrp_hub_input(hub, 1, S("ours"), S("t111"), &last);
	expect(wrote, ANSWER("t111", "408 Timeout"));
	expect(told, "");
	peer(1, CHUNK("t112", "m1", "1-9/9", "half more", "$"));
	expect(told, "message m1 text/plain 9:half more\n");
}

/* What is no end-line is none: the pieces behind a request without a body are not its. */
static void test_nul_for_a_flag(void **state)
{
	(void)state;
	bound();
	peer_cut(1, S(SEND("t111", "m1", "-------t111\0\r\n\r\nx\r\n-------t111$\r\n")), SIZE_MAX / 2);
	expect(wrote, ANSWER("t111", "400 a line that is no header"));
	peer_cut(1, S("MSRP t111 SEND\r\n" TO_US "\r\n" "no Message-ID\r\n-------t111$\r\n"), 1);
	expect(wrote, ANSWER("t111", "400 no Message-ID"));
	expect(told, "");
}

/* RFC 4975 5.4: acknowledged again, not presented again. */
static void test_duplicates(void **state)
{
	char z[1000];
	(void)state;
	bound();
	peer(1, CHUNK("t111", "m1", "1-5/5", "hello", "$"));
	buf_clear(&told);
	buf_clear(&wrote);
	peer(1, CHUNK("t112", "m1", "1-5/5", "hello", "$"));
	peer(1, CHUNK("t113", "m1", "1-*/5", "he", "+"));
	expect(told, "");
	expect(wrote, ANSWER("t112", "200 OK") ANSWER("t113", "200 OK"));
	answer_now = 415;
	peer(1, CHUNK("t114", "m2", "1-5/5", "hello", "$"));
	expect(told, "message m2 text/plain 5:hello\n");
	peer(1, CHUNK("t115", "m2", "1-5/5", "hello", "$"));
	expect(told, "");
	expect(wrote, ANSWER("t114", "415 Unsupported Media Type") ANSWER("t115", "415 Unsupported Media Type"));
	for (int i = 0; i < MSRP_SEEN; i++) {
		snprintf(z, sizeof z, CHUNK("t%03d", "x%d", "1-1/1", "x", "$"), i, i, i);
		peer(1, z);
	}
	buf_clear(&told);
	peer(1, CHUNK("t116", "m1", "1-5/5", "hello", "$")); /* too long ago */
	expect(told, "message m1 text/plain 5:hello\n");
}

static void test_answer_later_and_report(void **state)
{
	uint64_t first;
	(void)state;
	bound();
	answer_now = 0;
	peer(1, CHUNK("t110", "m1", "1-2/4", "ab", "+"));
	expect(wrote, ANSWER("t110", "200 OK"));
	peer(1, SEND("t111", "m1", "Byte-Range: 3-4/4\r\nSuccess-Report: yes\r\nContent-Type: text/plain\r\n\r\ncd\r\n-------t111$\r\n"));
	first = last_token;
	peer(1, CHUNK("t112", "m2", "1-1/1", "x", "$"));
	expect(told, "message m1 text/plain 4 success:abcd\nmessage m2 text/plain 1:x\n");
	expect(wrote, "");
	assert_false(msrp_session_report(ses, S("m1"), 200, SLICE_NONE)); /* not answered yet */
	msrp_session_answer(ses, last_token, 404, S("nobody"));
	expect(wrote, ANSWER("t112", "404 nobody"));
	msrp_session_answer(ses, first, 200, SLICE_NONE);
	expect(wrote, ANSWER("t111", "200 OK"));
	msrp_session_answer(ses, first, 403, SLICE_NONE);
	expect(wrote, "");
	assert_false(msrp_session_report(ses, S("m2"), 200, SLICE_NONE)); /* not asked for, and refused */
	assert_false(msrp_session_report(ses, S("m2"), 403, SLICE_NONE));
	assert_false(msrp_session_report(ses, S("zz"), 200, SLICE_NONE));
	assert_true(msrp_session_report(ses, S("m1"), 200, SLICE_NONE));
	ptrdiff_t at = slice_find(buf_slice(&wrote), S(" REPORT\r\n" TO_THEM "Message-ID: m1\r\nByte-Range: 1-4/4\r\nStatus: 000 200 OK\r\n-------"));
	assert_true(at > 0);
	assert_false(msrp_session_report(ses, S("m1"), 200, SLICE_NONE)); /* once */
}

/* 7.1.4: after a 200, unless Failure-Report forbids it. */
static void test_failure_after_the_fact(void **state)
{
	(void)state;
	bound();
	peer(1, CHUNK("t111", "m1", "1-1/1", "x", "$"));
	peer(1, SEND("t112", "m2", "Failure-Report: no\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t112$\r\n"));
	peer(1, SEND("t113", "m3", "Failure-Report: partial\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t113$\r\n"));
	buf_clear(&wrote);
	assert_false(msrp_session_report(ses, S("m2"), 403, SLICE_NONE));
	assert_false(msrp_session_report(ses, S("m3"), 403, SLICE_NONE));
	expect(wrote, "");
	assert_true(msrp_session_report(ses, S("m1"), 403, S("no longer here")));
	assert_true(slice_find(buf_slice(&wrote), S("Byte-Range: 1-1/1\r\nStatus: 000 403 no longer here\r\n")) > 0);
}

/* Behind relays: a response goes to the last hop, a report all the way (7.2, 7.1.3). */
static void test_behind_a_relay(void **state)
{
	(void)state;
	peer(1, "MSRP t111 SEND\r\nTo-Path: " US "\r\nFrom-Path: msrp://relay.example:7/r;tcp " THEM
		"\r\nMessage-ID: m1\r\nSuccess-Report: yes\r\nContent-Type: text/plain\r\n\r\nx\r\n-------t111$\r\n");
	expect(wrote, "MSRP t111 200 OK\r\nTo-Path: msrp://relay.example:7/r;tcp\r\nFrom-Path: " US "\r\n-------t111$\r\n");
	assert_true(msrp_session_report(ses, S("m1"), 200, SLICE_NONE));
	assert_true(slice_find(buf_slice(&wrote), S("To-Path: msrp://relay.example:7/r;tcp " THEM "\r\nFrom-Path: " US "\r\n")) > 0);
}

static void test_freed_in_the_callback(void **state)
{
	(void)state;
	free_in_callback = true;
	answer_now = 0;
	peer_cut(1, slice_str(CHUNK("t111", "m1", "1-*/8", "abcd", "+") CHUNK("t112", "m1", "5-8/8", "EFGH", "$")), 10);
	assert_null(ses);
	assert_int_equal(msrp_hub_count(hub), 0);
}

static void test_nobody_comes(void **state)
{
	(void)state;
	pass(MSRP_BIND_MS - 1);
	expect(told, "");
	pass(1);
	expect(told, "ended unbound 0\n");
}

static void test_ids(void **state)
{
	char a[MSRP_SESSION_ID_MAX], b[MSRP_SESSION_ID_MAX], z[200];
	struct msrp_uri u;
	(void)state;
	for (unsigned w = 0; w < 62; w++) {
		msrp_hub_new_id(w, a);
		msrp_hub_new_id(w, b);
		assert_string_not_equal(a, b);
		assert_int_equal(msrp_id_worker(slice_str(a)), w);
		snprintf(z, sizeof z, "msrp://h:1/%s;tcp", a);
		assert_int_equal(msrp_uri_parse(slice_str(z), &u), 0);
		assert_slice(u.session, a);
	}
	assert_true(msrp_id_worker(S("")) == SIZE_MAX);
	assert_true(msrp_id_worker(S("0123")) == SIZE_MAX);
	assert_true(msrp_id_worker(S("_aaaaaaaaaaaaaaaaaaaa")) == SIZE_MAX);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_whole_message), T(test_bodiless), T(test_who_may_speak), T(test_faults_and_methods), T(test_failure_report),
		T(test_chunks_in_order), T(test_chunks_in_any_order), T(test_overlap_the_last_wins), T(test_aborted), T(test_too_large),
		T(test_limits_of_what_is_incomplete), T(test_limit_of_all), T(test_given_up_in_the_middle), T(test_nul_for_a_flag), T(test_duplicates), T(test_answer_later_and_report), T(test_failure_after_the_fact),
		T(test_behind_a_relay), T(test_freed_in_the_callback), T(test_nobody_comes), T(test_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
