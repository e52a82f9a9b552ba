/* SPDX-License-Identifier: Apache-2.0 */
#include "msrp_test.h"
#include "msrp/message.h"

#define PATHS "To-Path: msrp://a.example:1/aa;tcp\r\nFrom-Path: msrp://r.example:2;tcp msrp://b.example:3/bb;tcp\r\n"

static struct msrp_head h;

static const char *fault(const char *z)
{
	msrp_head_parse(slice_str(z), &h);
	return h.fault;
}

static void test_send(void **state)
{
	struct slice v;
	(void)state;
	assert_null(fault("MSRP d93kswow SEND\r\n" PATHS "Message-ID: 12339sdqwer\r\nByte-Range: 1-*/*\r\nSuccess-Report: yes\r\n"
			  "failure-report: Partial\r\nContent-Disposition: render\r\nX-New: 1\r\nContent-Type: text/plain;charset=utf-8\r\n"));
	assert_int_equal(h.method, MSRP_SEND);
	assert_slice(h.tid, "d93kswow");
	assert_int_equal(h.to.n, 1);
	assert_int_equal(h.from.n, 2);
	assert_slice(h.message_id, "12339sdqwer");
	assert_true(h.has_range && h.range.start == 1 && h.range.end == MSRP_UNKNOWN && h.range.total == MSRP_UNKNOWN);
	assert_true(h.success_report);
	assert_int_equal(h.failure_report, MSRP_FAILURE_PARTIAL);
	assert_slice(h.content_type, "text/plain;charset=utf-8");
	assert_true(msrp_head_field(&h, S("content-disposition"), &v));
	assert_slice(v, "render");
	assert_false(msrp_head_field(&h, S("To-Path"), &v));
	assert_null(fault("MSRP x SEND\r\n" PATHS "Message-ID: y\r\n"));
	assert_false(h.has_range || h.success_report);
	assert_int_equal(h.failure_report, MSRP_FAILURE_YES);
}

static void test_response_and_report(void **state)
{
	(void)state;
	assert_null(fault("MSRP d93kswow 200 OK\r\n" PATHS));
	assert_int_equal(h.method, MSRP_RESPONSE);
	assert_int_equal(h.status, 200);
	assert_slice(h.comment, "OK");
	assert_null(fault("MSRP d93kswow 481\r\n" PATHS));
	assert_int_equal(h.status, 481);
	assert_null(fault("MSRP q REPORT\r\n" PATHS "Message-ID: m\r\nByte-Range: 1-39/39\r\nStatus: 000 403 not you\r\n"));
	assert_int_equal(h.method, MSRP_REPORT);
	assert_int_equal(h.status, 403);
	assert_slice(h.comment, "not you");
	assert_null(fault("MSRP q REPORT\r\n" PATHS "Message-ID: m\r\nStatus: 001 200\r\n"));
	assert_int_equal(h.status_namespace, 1);
	assert_int_equal(h.status, 0);
	assert_null(fault("MSRP q NICKNAME\r\n" PATHS "Use-Nickname: \"Alice\"\r\n"));
	assert_int_equal(h.method, MSRP_OTHER);
	assert_slice(h.method_name, "NICKNAME");
}

static void test_faults(void **state)
{
	static const char *const bad[] = {
		"MSRP t SEND\r\n",
		"MSRP t SEND\r\nFrom-Path: msrp://a:1/a;tcp\r\nTo-Path: msrp://a:1/a;tcp\r\nMessage-ID: m\r\n",
		"MSRP t SEND\r\nTo-Path: msrp://a:1/a;tcp\r\nMessage-ID: m\r\n",
		"MSRP t SEND\r\nTo-Path: msrp://a:1/a\r\nFrom-Path: msrp://a:1/a;tcp\r\nMessage-ID: m\r\n",
		"MSRP t SEND\r\n" PATHS,
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nMessage-ID: n\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m n\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nTo-Path: msrp://a:1/a;tcp\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 0-5/5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: *-5/5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 3-1/5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 1-6/5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 1-5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: -1-5/5\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 1-99999999999999999999/*\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nSuccess-Report: maybe\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nFailure-Report: maybe\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nno header\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nX: a\nb\r\n",
		"MSRP t SEND\r\n" PATHS "Message-ID: m\r\nX : a\r\n",
		"MSRP t SEND x\r\n" PATHS "Message-ID: m\r\n",
		"MSRP t send\r\n" PATHS "Message-ID: m\r\n",
		"MSRP t REPORT\r\n" PATHS "Message-ID: m\r\n",
		"MSRP t REPORT\r\n" PATHS "Status: 000 200\r\n",
		"MSRP t REPORT\r\n" PATHS "Message-ID: m\r\nStatus: 200\r\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!fault(bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_null(fault("MSRP t SEND\r\n" PATHS "Message-ID: m\r\nByte-Range: 1-0/0\r\n"));
}

static void test_session_of_a_broken_head(void **state)
{
	(void)state;
	assert_slice(msrp_head_session(S("MSRP t SEND\r\nTo-Path: msrp://a:1/xyz;tcp\r\nrubbish\r\n")), "xyz");
	assert_slice(msrp_head_session(S("MSRP t SEND\r\nFrom-Path: msrp://a:1/xyz;tcp\r\n")), "");
	assert_slice(msrp_head_session(S("MSRP")), "");
}

/* What is written is read back the same. */
static void test_writing(void **state)
{
	struct buf b;
	struct msrp_send s = {.tid = S("abcd"), .to_path = S("msrp://r:2;tcp msrp://a:1/aa;tcp"), .from_path = S("msrp://b:3/bb;tcp"),
			      .message_id = S("mm"), .range = {1, 5, 10}, .success_report = true, .failure_report = MSRP_FAILURE_NO,
			      .content_type = S("text/plain"), .data = S("hello"), .flag = '+'};
	struct msrp_range r = {1, 10, 10};
	(void)state;
	buf_init(&b, 4096);
	msrp_put_send(&b, &s);
	assert_slice(buf_slice(&b), "MSRP abcd SEND\r\nTo-Path: msrp://r:2;tcp msrp://a:1/aa;tcp\r\nFrom-Path: msrp://b:3/bb;tcp\r\n"
				    "Message-ID: mm\r\nByte-Range: 1-5/10\r\nSuccess-Report: yes\r\nFailure-Report: no\r\n"
				    "Content-Type: text/plain\r\n\r\nhello\r\n-------abcd+\r\n");
	buf_clear(&b);
	s = (struct msrp_send){.tid = S("abcd"), .to_path = S("msrp://a:1/aa;tcp"), .from_path = S("msrp://b:3/bb;tcp"), .message_id = S("mm"),
			       .range = {1, 0, 0}, .flag = '$'};
	msrp_put_send(&b, &s);
	assert_slice(buf_slice(&b), "MSRP abcd SEND\r\nTo-Path: msrp://a:1/aa;tcp\r\nFrom-Path: msrp://b:3/bb;tcp\r\nMessage-ID: mm\r\n"
				    "Byte-Range: 1-0/0\r\n-------abcd$\r\n");
	buf_clear(&b);
	msrp_put_report(&b, S("rrrr"), s.to_path, s.from_path, s.message_id, &r, 200, SLICE_NONE);
	assert_slice(buf_slice(&b), "MSRP rrrr REPORT\r\nTo-Path: msrp://a:1/aa;tcp\r\nFrom-Path: msrp://b:3/bb;tcp\r\nMessage-ID: mm\r\n"
				    "Byte-Range: 1-10/10\r\nStatus: 000 200 OK\r\n-------rrrr$\r\n");
	buf_clear(&b);
	msrp_put_response(&b, S("rrrr"), 413, S("too much"), s.to_path, s.from_path);
	assert_slice(buf_slice(&b), "MSRP rrrr 413 too much\r\nTo-Path: msrp://a:1/aa;tcp\r\nFrom-Path: msrp://b:3/bb;tcp\r\n-------rrrr$\r\n");
	buf_clear(&b);
	s.message_id = S("m\r\nX: y");
	msrp_put_send(&b, &s);
	assert_false(buf_ok(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),     cmocka_unit_test(test_response_and_report),
		cmocka_unit_test(test_faults),   cmocka_unit_test(test_session_of_a_broken_head),
		cmocka_unit_test(test_writing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
