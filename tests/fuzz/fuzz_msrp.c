/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as a stream. However they are cut (the last octet says how), the same messages come out as from one read, nothing is held
 * back beyond its limit, and a session that is given them keeps its own; what it writes in return is MSRP itself. */
#include <stdlib.h>
#include "base/mem.h"
#include "msrp/session.h"

#define MUST(x)                                                                                                            \
	do {                                                                                                               \
		if (!(x))                                                                                                  \
			abort();                                                                                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct msrp_session *ses;
static uint64_t pending;

static bool on_write(void *arg, uint64_t line, struct slice octets)
{
	struct msrp_framer f;
	struct msrp_frame x;
	struct msrp_head h;
	(void)arg, (void)line;
	msrp_framer_init(&f);
	msrp_framer_next(&f, octets, &x);
	MUST(x.kind == MSRP_FRAME_PIECE && x.piece.flag && x.consume == octets.len);
	msrp_head_parse(x.piece.head, &h);
	MUST(!h.fault);
	return octets.len & 1;
}
static void on_message(void *arg, const struct msrp_message *m)
{
	(void)arg;
	MUST(m->body.len <= 500 && m->content_type.len && m->message_id.len);
	if (m->body.len & 1) {
		msrp_session_answer(ses, pending, 403, SLICE_NONE);
		pending = m->token;
	} else {
		msrp_session_answer(ses, m->token, 200, SLICE_NONE);
		msrp_session_report(ses, m->message_id, m->body.len & 2 ? 200 : 403, SLICE_NONE);
	}
}
static void on_sent(void *arg, uint64_t number, int status, struct slice comment)
{
	(void)arg, (void)comment;
	MUST(number && status >= 0 && status <= 999);
}
static void on_report(void *arg, uint64_t number, struct slice message_id, int status, struct slice comment)
{
	(void)message_id, (void)arg, (void)number, (void)status, (void)comment;
}
static void on_open(void *arg)
{
	(void)arg;
}
static void on_ended(void *arg, enum msrp_end why, int status)
{
	(void)arg, (void)why, (void)status;
	ses = msrp_session_free(ses);
}

/* All that comes out, as one text; also to the hub, if any. Returns octets consumed. */
static size_t stream(struct slice in, size_t step, struct buf *out, struct msrp_hub *hub)
{
	struct msrp_framer f;
	struct msrp_frame x;
	char tid[64] = "", session[128] = "";
	size_t at = 0, have = 0;
	msrp_framer_init(&f);
	while (have < in.len) {
		have += step < in.len - have ? step : in.len - have;
		for (;;) {
			char *exact = malloc(have - at ? have - at : 1);
			if (have - at)
				memcpy(exact, in.p + at, have - at);
			msrp_framer_next(&f, slice_of(exact, have - at), &x);
			MUST(x.consume <= have - at && (x.kind == MSRP_FRAME_PIECE) == (x.consume > 0));
			MUST(x.kind != MSRP_FRAME_MORE || have - at <= MSRP_HEAD_MAX);
			if (x.piece.head.len) {
				struct msrp_head h;
				msrp_head_parse(x.piece.head, &h);
				slice_cstr(h.tid, tid, sizeof tid);
				slice_cstr(msrp_head_session(x.piece.head), session, sizeof session);
				buf_putc(out, '[');
				buf_put(out, x.piece.head);
				buf_puts(out, x.piece.body ? "|" : "!");
			}
			buf_put(out, x.piece.data);
			if (x.piece.flag) {
				buf_putc(out, x.piece.flag);
				buf_putc(out, ']');
			}
			if (hub && x.kind == MSRP_FRAME_PIECE)
				msrp_hub_input(hub, 1, slice_str(session), slice_str(tid), &x.piece);
			free(exact);
			at += x.consume;
			if (x.kind == MSRP_FRAME_ERROR) {
				MUST(x.fault);
				return at;
			}
			if (x.kind == MSRP_FRAME_MORE)
				break;
		}
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct msrp_hub_ops ho = {.write = on_write};
	static const struct msrp_session_ops so = {on_message, on_sent, on_report, on_open, on_ended};
	struct msrp_session_config c = {.id = S("ours"), .from_path = S("msrp://us:1/ours;tcp"), .to_path = S("msrp://them:1/theirs;tcp"),
					.max_message = 500, .max_partial = 2, .max_queue = 8, .max_queue_octets = 8000};
	struct msrp_text t = {.content_type = S("text/plain"), .body = S("hello"), .success_report = true};
	struct msrp_session_facts facts;
	struct timers timers;
	struct buf one, cut;
	uint64_t n;
	if (!size || size > 100000)
		return 0;
	struct slice in = slice_of((const char *)data, size - 1);
	timers_init(&timers, 1);
	buf_init(&one, 1 << 20);
	buf_init(&cut, 1 << 20);
	struct msrp_hub *hub = msrp_hub_new(&timers, &ho, NULL);
	ses = msrp_session_new(hub, &c, &so, NULL);
	pending = 0;
	msrp_session_send(ses, &t, &n);
	size_t a = stream(in, in.len + 1, &one, hub), b = stream(in, data[size - 1] % 97 + 1, &cut, NULL);
	MUST(a == b);
	MUST(slice_eq(buf_slice(&one), buf_slice(&cut)));
	if (ses) {
		msrp_session_show(ses, &facts);
		MUST(facts.partial <= 2 && facts.partial_octets <= 1000);
		msrp_hub_writable(hub, 1);
	}
	timers_run(&timers, 40000);
	timers_run(&timers, 1000000);
	if (ses)
		msrp_hub_lost(hub, 1);
	hub = msrp_hub_free(hub);
	timers_free(&timers);
	buf_free(&one);
	buf_free(&cut);
	return 0;
}
