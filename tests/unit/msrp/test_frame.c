/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "msrp_test.h"
#include "base/buf.h"
#include "base/mem.h"
#include "msrp/frame.h"

/* All that comes out of a stream that arrives `step` octets at a time, as "[head|data|flag]", pieces of a message joined. */
static void frames(struct slice in, size_t step, struct buf *ret)
{
	struct msrp_framer f;
	struct msrp_frame x;
	size_t at = 0, have = 0;
	msrp_framer_init(&f);
	while (have < in.len) {
		have = have + step < in.len ? have + step : in.len;
		for (;;) {
			char *exact = mem_strndup(in.p + at, have - at);
			char *tight = malloc(have - at ? have - at : 1); /* so that a sanitizer sees a read past the end */
			memcpy(tight, exact, have - at);
			msrp_framer_next(&f, slice_of(tight, have - at), &x);
			if (x.kind == MSRP_FRAME_PIECE) {
				if (x.piece.head.len) {
					buf_putc(ret, '[');
					buf_put(ret, x.piece.head);
					buf_putc(ret, x.piece.body ? '|' : '!');
				}
				buf_put(ret, x.piece.data);
				if (x.piece.flag) {
					buf_putc(ret, x.piece.flag);
					buf_putc(ret, ']');
				}
				assert_true(x.consume > 0);
			}
			free(tight);
			mem_free(exact);
			at += x.consume;
			assert_true(have - at <= MSRP_HEAD_MAX);
			if (x.kind == MSRP_FRAME_ERROR) {
				buf_put(ret, S("ERROR"));
				return;
			}
			if (x.kind == MSRP_FRAME_MORE)
				break;
		}
	}
	if (at < in.len || !msrp_framer_idle(&f))
		buf_put(ret, S("..."));
}

static void check_octets(struct slice in, struct slice expect)
{
	for (size_t step = 1; step <= in.len; step++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		frames(in, step, &b);
		if (!slice_eq(buf_slice(&b), expect))
			fail_msg("%zu at a time: %.*s", step, SFMT(buf_slice(&b)));
		buf_free(&b);
	}
}

static void check(const char *in, const char *expect)
{
	check_octets(slice_str(in), slice_str(expect));
}

#define H "MSRP abcd SEND\r\nA: b\r\n"

static void test_every_cut(void **state)
{
	(void)state;
	check(H "\r\nhello\r\n-------abcd$\r\n" H "-------abcd$\r\nMSRP x 200 OK\r\nA: b\r\n-------x$\r\n" H "\r\npart\r\n-------abcd+\r\n",
	      "[" H "|hello$][" H "!$][MSRP x 200 OK\r\nA: b\r\n!$][" H "|part+]");
}

static void test_what_looks_like_an_end(void **state)
{
	(void)state;
	check(H "\r\n-------abce$\r\n-------abcd$x\r\n-------abcd*\r\n-------abcd\r\n\r\n------abcd$\r\n --------abcd$\r\r\n-------abcd#\r\n",
	      "[" H "|-------abce$\r\n-------abcd$x\r\n-------abcd*\r\n-------abcd\r\n\r\n------abcd$\r\n --------abcd$\r#]");
	check(H "\r\n-------abcd+x\r\n-------abcd$\r\n", "[" H "|-------abcd+x$]");
	check(H "\r\n\r\n\r\n\r\n-------abcd$\r\n", "[" H "|\r\n\r\n$]");
	check(H "\r\nA: b\r\n-------abcd\r\n-------abcd$\r\n", "[" H "|A: b\r\n-------abcd$]");
	check(H "-------abcx$\r\n\r\nx\r\n-------abcd$\r\n", "[" H "-------abcx$\r\n|x$]"); /* a bad header, no end */
	check_octets(S(H "-------abcd\0\r\n\r\nx\r\n-------abcd$\r\n"), S("[" H "-------abcd\0\r\n|x$]"));
}

static void test_empty_bodies(void **state)
{
	(void)state;
	check(H "\r\n\r\n-------abcd$\r\n", "[" H "|$]");
	check(H "\r\n-------abcd$\r\n", "[" H "|$]"); /* one CRLF short */
	check(H "\r\n-\r\n-------abcd$\r\n", "[" H "|-$]");
}

static void test_incomplete(void **state)
{
	(void)state;
	check(H, "...");
	check(H "\r\nabc", "[" H "|abc...");
	check(H "\r\nabc\r\n-------abcd$", "[" H "|abc...");
}

static void test_no_msrp(void **state)
{
	(void)state;
	check("GET / HTTP/1.1\r\n", "ERROR");
	check("MSRQ", "ERROR");
	check("MSRP \r\n", "ERROR");
	check("MSRP abcd\r\n", "ERROR");
	check("MSRP a_b SEND\r\n", "ERROR");
	check("MSRP 012345678901234567890123456789012 SEND\r\n", "ERROR");
	check("MSRP 01234567890123456789012345678901 SEND\r\n-------01234567890123456789012345678901$\r\n",
	      "[MSRP 01234567890123456789012345678901 SEND\r\n!$]");
	check("\r\nMSRP abcd SEND\r\n", "ERROR");
	check(H "-------abcd$\r\nrubbish", "[" H "!$]ERROR");
}

static void test_head_limit(void **state)
{
	struct msrp_framer f;
	struct msrp_frame x;
	char *in = malloc(MSRP_HEAD_MAX + 100);
	(void)state;
	memset(in, 'x', MSRP_HEAD_MAX + 100);
	memcpy(in, H, sizeof H - 1);
	msrp_framer_init(&f);
	msrp_framer_next(&f, slice_of(in, MSRP_HEAD_MAX), &x);
	assert_int_equal(x.kind, MSRP_FRAME_MORE);
	msrp_framer_next(&f, slice_of(in, MSRP_HEAD_MAX + 1), &x);
	assert_int_equal(x.kind, MSRP_FRAME_ERROR);
	memcpy(in + MSRP_HEAD_MAX, "\r\n\r\n", 4);
	msrp_framer_init(&f);
	msrp_framer_next(&f, slice_of(in, MSRP_HEAD_MAX + 4), &x);
	assert_int_equal(x.kind, MSRP_FRAME_ERROR);
	memcpy(in + MSRP_HEAD_MAX - 4, "\r\n\r\n", 4); /* with the blank line */
	msrp_framer_init(&f);
	msrp_framer_next(&f, slice_of(in, MSRP_HEAD_MAX), &x);
	assert_int_equal(x.kind, MSRP_FRAME_PIECE);
	free(in);
}

/* A body that never ends is handed on as it comes; nothing is kept. */
static void test_endless_body(void **state)
{
	struct msrp_framer f;
	struct msrp_frame x;
	char chunk[4096];
	size_t held = 0, out = 0;
	(void)state;
	msrp_framer_init(&f);
	msrp_framer_next(&f, S(H "\r\n"), &x);
	assert_int_equal(x.kind, MSRP_FRAME_PIECE);
	for (int i = 0; i < 1000; i++) {
		memset(chunk, '-', sizeof chunk); /* much like an end-line */
		memcpy(chunk + held, "\r\n", 2);
		msrp_framer_next(&f, slice_of(chunk, sizeof chunk), &x);
		assert_int_equal(x.kind, MSRP_FRAME_PIECE);
		out += x.piece.data.len;
		held = sizeof chunk - x.consume;
		assert_true(held < 64);
		memmove(chunk, chunk + x.consume, held);
	}
	assert_true(out > 4000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),   cmocka_unit_test(test_what_looks_like_an_end), cmocka_unit_test(test_empty_bodies),
		cmocka_unit_test(test_incomplete),  cmocka_unit_test(test_no_msrp),                cmocka_unit_test(test_head_limit),
		cmocka_unit_test(test_endless_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
