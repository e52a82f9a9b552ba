/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

#include "sip/frame.h"

#define HEAD                                                                                                                     \
	"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 "      \
	"OPTIONS\r\n"

static struct sip_framer f;
static struct sip_frame out;

static enum sip_frame_kind next(const char *z)
{
	sip_framer_next(&f, slice_str(z), &out);
	return out.kind;
}

static void start(void)
{
	sip_framer_init(&f, &sip_limits_default);
}

static void test_messages_in_one_read(void **state)
{
	const char *in = HEAD "Content-Length: 3\r\n\r\nabc" HEAD "l: 0\r\n\r\n\r\n" HEAD "L :\r\n 2\r\nX: y\r\n\r\n\r\n\r\n\r\n";
	static const char *const bodies[] = {"abc", "", "\r\n"};
	struct slice rest = slice_str(in);
	(void)state;
	start();
	for (size_t i = 0; i < 3; i++) {
		struct arena *a = arena_new(1 << 20);
		sip_framer_next(&f, rest, &out);
		assert_int_equal(out.kind, SIP_FRAME_MESSAGE);
		assert_slice(must_parse(a, out.message)->body, bodies[i]);
		rest = slice_skip(rest, out.consume);
		arena_release(NULL, a);
	}
	sip_framer_next(&f, rest, &out);
	assert_int_equal(out.kind, SIP_FRAME_PING);
	assert_int_equal(out.consume, 4);
	assert_int_equal(rest.len, 4);
}

/* RFC 3261 7.1: SIP-Version in any case of letters. */
static void test_version_in_any_case(void **state)
{
	(void)state;
	start();
	sip_framer_next(&f, S("OPTIONS scp:a@b.example sIP/2.0\r\nContent-Length: 0\r\n\r\n"), &out);
	assert_int_equal(out.kind, SIP_FRAME_MESSAGE);
}

/* However the octets arrive, the same frames come out. */
static void test_every_cut(void **state)
{
	const char *in = "\r\n" HEAD "Content-Length: 3\r\n\r\nabc\r\n\r\n" HEAD
			 "c: x\r\nContent-Length\t:\r\n\t4 \r\n\r\nabcd" HEAD "l:0\r\n\r\n";
	static const enum sip_frame_kind kinds[] = {SIP_FRAME_MESSAGE, SIP_FRAME_PING, SIP_FRAME_MESSAGE, SIP_FRAME_MESSAGE};
	size_t total = strlen(in);
	(void)state;
	for (size_t step = 1; step < total; step++) {
		size_t consumed = 0, n = 0;
		start();
		for (size_t have = step;; have = have + step < total ? have + step : total) {
			char *exact = mem_strndup(in + consumed, have - consumed);
			do {
				sip_framer_next(&f, slice_of(exact, have - consumed), &out);
				assert_int_not_equal(out.kind, SIP_FRAME_ERROR);
				if (out.kind != SIP_FRAME_MORE) {
					assert_true(n < 4);
					assert_int_equal(out.kind, kinds[n++]);
					consumed += out.consume;
					memmove(exact, exact + out.consume, have - consumed);
				} else {
					assert_true(out.missing > 0 && out.missing <= total - have + 1);
				}
			} while (out.kind != SIP_FRAME_MORE);
			mem_free(exact);
			if (have == total)
				break;
		}
		assert_int_equal(n, 4);
		assert_int_equal(consumed, total);
	}
}

/* What was scanned is not scanned again: the octets before may have become anything. */
static void test_no_rescan(void **state)
{
	char in[] = HEAD "Content-Length: 10\r\n\r\n0123456789";
	size_t total = sizeof in - 1, head = total - 10;
	(void)state;
	start();
	for (size_t n = 1; n < total; n++) {
		char copy[sizeof in];
		memset(copy, '\n', sizeof copy);
		size_t keep = n > head ? n : 80 < n ? n - 80 : 0; /* the line in work may be looked at */
		memcpy(copy + keep, in + keep, n - keep);
		sip_framer_next(&f, slice_of(copy, n), &out);
		assert_int_equal(out.kind, SIP_FRAME_MORE);
		assert_int_equal(out.missing, n >= head ? total - n : 1);
	}
	sip_framer_next(&f, slice_of(in, total), &out);
	assert_int_equal(out.kind, SIP_FRAME_MESSAGE);
	assert_int_equal(out.consume, total);
}

static void test_keep_alive(void **state)
{
	(void)state;
	start();
	assert_int_equal(next(""), SIP_FRAME_MORE);
	assert_int_equal(next("\r"), SIP_FRAME_MORE);
	assert_int_equal(next("\r\n"), SIP_FRAME_MORE);
	assert_int_equal(next("\r\n\r"), SIP_FRAME_MORE);
	assert_int_equal(next("\r\n\r\n"), SIP_FRAME_PING);
	assert_int_equal(out.consume, 4);
	assert_int_equal(next("\r\n\r\n\r\n"), SIP_FRAME_PING);
	assert_int_equal(out.consume, 4);
	f.expect_pong = true;
	assert_int_equal(next("\r"), SIP_FRAME_MORE);
	assert_int_equal(next("\r\n"), SIP_FRAME_PONG);
	assert_int_equal(out.consume, 2);
	assert_false(f.expect_pong);
	assert_int_equal(next("\r\n"), SIP_FRAME_MORE);
	/* a ping while our pong is due is still a ping, and the pong still due */
	start();
	f.expect_pong = true;
	assert_int_equal(next("\r\n\r\n"), SIP_FRAME_PING);
	assert_true(f.expect_pong);
	assert_int_equal(next("\r\nO"), SIP_FRAME_PONG);
	assert_int_equal(out.consume, 2);
	f.expect_pong = true;
	assert_int_equal(next(HEAD "l: 0\r\n\r\n"), SIP_FRAME_MESSAGE);
	assert_true(f.expect_pong);
	/* and CRLFs before a message are dropped with it */
	start();
	assert_int_equal(next("\r\n" HEAD "l: 0\r\n\r\n"), SIP_FRAME_MESSAGE);
	assert_slice(out.message, HEAD "l: 0\r\n\r\n");
	assert_int_equal(out.consume, out.message.len + 2);
}

static void test_errors(void **state)
{
	static const struct {
		const char *in;
		int status;
		bool answerable;
	} t[] = {
		{HEAD "\r\n", 400, true},
		{HEAD "Content-Length:\r\n\r\n", 400, true},
		{HEAD "Content-Length: -1\r\n\r\n", 400, true},
		{HEAD "Content-Length: 1 2\r\n\r\n", 400, true},
		{HEAD "Content-Length: 0x10\r\n\r\n", 400, true},
		{HEAD "Content-Length: 3, 3\r\n\r\n", 400, true},
		{HEAD "Content-Length: 99999999999999999999999\r\n\r\n", 400, true},
		{HEAD "Content-Length: 3\r\nl: 3\r\n\r\nabc", 400, true},
		{HEAD "Content-Length: 3\r\nl: 4\r\n\r\nabc", 400, true},
		{HEAD "Content-Length: 65536\r\n\r\n", 513, true},
		{HEAD "Content-Length: 2147483647\r\n\r\n", 513, true},
		{HEAD "X: a\nl: 0\r\n\r\n", 400, false},
		{HEAD "X: a\rb\r\n", 400, false},
		{"\n", 400, false},
		{"\rX", 400, false},
		{"\r\n\rX", 400, false},
		{"GET / HTTP/1.1\r\n", 400, false},
		{"\x16\x03\x01\x02\r\n", 400, false},
		{"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 "
		 "OPTIONS\r\n\r\n",
		 400, false},
		{"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 "
		 "ACK\r\n\r\n",
		 400, false},
		{"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n", 400, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		/* at once and octet by octet; an error stays */
		for (size_t first = 0; first < 2; first++) {
			struct slice in = slice_str(t[i].in);
			struct arena *a = arena_new(1 << 20);
			start();
			for (size_t n = first ? 1 : in.len; n <= in.len; n++) {
				sip_framer_next(&f, slice_first(in, n), &out);
				if (out.kind != SIP_FRAME_MORE)
					break;
			}
			if (out.kind != SIP_FRAME_ERROR || out.fault.status != t[i].status || !out.fault.text[0] ||
			    !sip_frame_answerable(&out, a, &sip_limits_default) != !t[i].answerable) {
				print_error("%s-> %d %d %s\n", t[i].in, out.kind, out.fault.status, out.fault.text);
				fail();
			}
			assert_int_equal(out.consume, 0);
			sip_framer_next(&f, in, &out);
			assert_int_equal(out.kind, SIP_FRAME_ERROR);
			assert_int_equal(out.fault.status, t[i].status);
			arena_release(NULL, a);
		}
	}
}

static void test_caps(void **state)
{
	struct sip_limits lim = {.max_message = 400, .max_headers = 20, .max_line = 50};
	char in[1000];
	(void)state;
	memset(in, 'a', sizeof in);
	sip_framer_init(&f, &lim);
	sip_framer_next(&f, slice_of(in, 50), &out);
	assert_int_equal(out.kind, SIP_FRAME_MORE);
	sip_framer_next(&f, slice_of(in, 51), &out); /* a start line without end */
	assert_int_equal(out.kind, SIP_FRAME_ERROR);
	assert_int_equal(out.fault.status, 400);
	memcpy(in, HEAD, sizeof HEAD - 1);
	sip_framer_init(&f, &lim);
	sip_framer_next(&f, slice_of(in, 400), &out);
	assert_int_equal(out.kind, SIP_FRAME_MORE);
	sip_framer_next(&f, slice_of(in, 401), &out); /* a header without end */
	assert_int_equal(out.kind, SIP_FRAME_ERROR);
	assert_int_equal(out.fault.status, 513);
	assert_int_equal(out.message.len, 0);
	size_t head = sizeof HEAD "l: 250\r\n\r\n" - 1;
	memcpy(in, HEAD "l: 250\r\n\r\n", head);
	lim.max_message = head + 250;
	sip_framer_init(&f, &lim);
	sip_framer_next(&f, slice_of(in, head), &out);
	assert_int_equal(out.kind, SIP_FRAME_MORE);
	assert_int_equal(out.missing, 250);
	sip_framer_next(&f, slice_of(in, sizeof in), &out);
	assert_int_equal(out.kind, SIP_FRAME_MESSAGE);
	assert_int_equal(out.consume, head + 250);
	lim.max_message--;
	sip_framer_next(&f, slice_of(in, head), &out); /* no waiting for a body that is too long */
	assert_int_equal(out.kind, SIP_FRAME_ERROR);
	assert_int_equal(out.fault.status, 513);
	assert_int_equal(out.message.len, head);
	lim.max_message = head - 1; /* the cap cuts the blank line */
	sip_framer_init(&f, &lim);
	sip_framer_next(&f, slice_of(in, head), &out);
	assert_int_equal(out.kind, SIP_FRAME_ERROR);
	assert_int_equal(out.fault.status, 513);
	assert_int_equal(out.message.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_in_one_read),
		cmocka_unit_test(test_version_in_any_case), cmocka_unit_test(test_every_cut), cmocka_unit_test(test_no_rescan),
		cmocka_unit_test(test_keep_alive),	     cmocka_unit_test(test_errors),    cmocka_unit_test(test_caps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
