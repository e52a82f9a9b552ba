/* SPDX-License-Identifier: Apache-2.0 */
/* One hub and a scripted peer on lines 1 and 2: what the hub writes is kept as text, what the test says goes through a framer. */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "msrp/session.h"
#include "msrp_test.h"

#define US "msrp://us.example:2855/ours;tcp"
#define THEM "msrp://them.example:9/theirs;tcp"

static struct timers timers;
static struct msrp_hub *hub;
static struct msrp_session *ses;
static struct buf wrote, told; /* octets; what the owner heard, a line each */
static bool full;              /* the line takes no more */
static uint64_t last_token;
static int answer_now;         /* status; 0: later */
static bool free_in_callback;

static bool on_write(void *arg, uint64_t line, struct slice octets)
{
	(void)arg;
	if (line != 1)
		buf_printf(&wrote, "(%u) ", (unsigned)line);
	buf_put(&wrote, octets);
	return !full;
}
static const struct msrp_hub_ops hub_ops = {.write = on_write};

static void maybe_free(void)
{
	if (free_in_callback)
		ses = msrp_session_free(ses);
}

static void on_message(void *arg, const struct msrp_message *m)
{
	(void)arg;
	buf_printf(&told, "message %.*s %.*s %zu%s%s:%.*s\n", SFMT(m->message_id), SFMT(m->content_type), m->body.len,
		   m->success_report ? " success" : "", m->failure_report == MSRP_FAILURE_NO ? " nofail" : "", m->body.len < 64 ? (int)m->body.len : 0,
		   m->body.p ? m->body.p : "");
	last_token = m->token;
	if (answer_now)
		msrp_session_answer(ses, m->token, answer_now, SLICE_NONE);
	maybe_free();
}

static void on_sent(void *arg, uint64_t number, int status, struct slice comment)
{
	(void)arg, (void)comment;
	buf_printf(&told, "sent %u %d\n", (unsigned)number, status);
	maybe_free();
}

static void on_report(void *arg, uint64_t number, struct slice message_id, int status, struct slice comment)
{
	(void)message_id, (void)arg, (void)comment;
	buf_printf(&told, "report %u %d\n", (unsigned)number, status);
	maybe_free();
}

static void on_open(void *arg)
{
	(void)arg;
	buf_puts(&told, "open\n");
}

static void on_ended(void *arg, enum msrp_end why, int status)
{
	(void)arg;
	buf_printf(&told, "ended %s %d\n", why == MSRP_END_LOST ? "lost" : why == MSRP_END_UNBOUND ? "unbound" : "refused", status);
	ses = msrp_session_free(ses);
}

static const struct msrp_session_ops session_ops = {on_message, on_sent, on_report, on_open, on_ended};

static int setup(void **state)
{
	struct msrp_session_config c = {.id = S("ours"), .from_path = S(US), .to_path = S(THEM), .max_message = 10000, .max_partial = 3,
					.max_queue = 4, .max_queue_octets = 20000};
	(void)state;
	timers_init(&timers, 1000);
	buf_init(&wrote, 1 << 20);
	buf_init(&told, 1 << 20);
	full = free_in_callback = false;
	answer_now = 200;
	hub = msrp_hub_new(&timers, &hub_ops, NULL);
	ses = msrp_session_new(hub, &c, &session_ops, NULL);
	assert_non_null(ses);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hub = msrp_hub_free(hub);
	buf_free(&wrote);
	buf_free(&told);
	timers_free(&timers);
	return 0;
}

/* Moves the clock on by ms, firing on the way. */
static inline void pass(uint64_t ms)
{
	uint64_t end = timers.now + ms, next;
	while ((next = timers_next(&timers)) <= end)
		timers_run(&timers, next);
	timers_run(&timers, end);
}

/* The peer says this on a line, cut into reads of `step` octets. */
static inline void peer_cut(uint64_t line, struct slice in, size_t step)
{
	struct msrp_framer f;
	struct msrp_frame x;
	char session[128] = "", tid[64] = "";
	size_t at = 0, have = 0;
	msrp_framer_init(&f);
	while (have < in.len) {
		have = have + step < in.len ? have + step : in.len;
		for (;;) {
			msrp_framer_next(&f, slice_of(in.p + at, have - at), &x);
			assert_int_not_equal(x.kind, MSRP_FRAME_ERROR);
			if (x.kind == MSRP_FRAME_MORE)
				break;
			if (x.piece.head.len) {
				struct msrp_head h;
				msrp_head_parse(x.piece.head, &h);
				slice_cstr(h.tid, tid, sizeof tid);
				slice_cstr(msrp_head_session(x.piece.head), session, sizeof session);
			}
			at += x.consume;
			msrp_hub_input(hub, line, slice_str(session), slice_str(tid), &x.piece);
		}
	}
}

static inline void peer(uint64_t line, const char *z)
{
	peer_cut(line, slice_str(z), SIZE_MAX / 2);
}

#define expect(buffer, z)                                                                                                        \
	do {                                                                                                                     \
		assert_slice(buf_slice(&(buffer)), (z));                                                                         \
		buf_clear(&(buffer));                                                                                            \
	} while (0)

#define TO_US "To-Path: " US "\r\nFrom-Path: " THEM "\r\n"
#define TO_THEM "To-Path: " THEM "\r\nFrom-Path: " US "\r\n"
#define SEND(tid, id, rest) "MSRP " tid " SEND\r\n" TO_US "Message-ID: " id "\r\n" rest
#define CHUNK(tid, id, range, body, flag) SEND(tid, id, "Byte-Range: " range "\r\nContent-Type: text/plain\r\n\r\n" body "\r\n-------" tid flag "\r\n")
#define ANSWER(tid, words) "MSRP " tid " " words "\r\n" TO_THEM "-------" tid "$\r\n"
#define HELLO SEND("hello", "h", "-------hello$\r\n")

/* The peer binds the session; what that causes is forgotten. */
static inline void bound(void)
{
	peer(1, HELLO);
	buf_clear(&wrote);
	buf_clear(&told);
}

/* The n-th word behind `what` in what was written, e.g. the transaction identifier of the first SEND ("MSRP "). */
static inline struct slice word_after(const char *what, size_t n)
{
	struct slice s = buf_slice(&wrote);
	for (;; n--) {
		ptrdiff_t i = slice_find(s, slice_str(what));
		assert_true(i >= 0);
		s = slice_skip(s, (size_t)i + strlen(what));
		if (!n)
			break;
	}
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == ' ' || s.p[i] == '\r')
			return slice_first(s, i);
	return s;
}

static inline void peer_answers(const char *tid, const char *words)
{
	char z[400];
	snprintf(z, sizeof z, "MSRP %s %s\r\n" TO_US "-------%s$\r\n", tid, words, tid);
	peer(1, z);
}
