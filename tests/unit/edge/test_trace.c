/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of the SIP messages that passed: in order, bounded, old ones forgotten, without bodies and secrets; and who is shown what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/rand.h"
#include "edge/trace.h"
#include "edge/trace_ring.h"

static struct buf told;

static void on_kept(void *arg, const struct trace_kept *k)
{
	(void)arg;
	buf_printf(&told, "%lld %d%d %.*s %zu|%.*s\n", (long long)k->at_ms, k->out, k->partner, SFMT(k->peer), k->size, SFMT(k->head));
}

static int setup(void **state)
{
	(void)state;
	buf_init(&told, 16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&told);
	return 0;
}

static bool has(const char *text)
{
	return slice_find(buf_slice(&told), slice_str(text)) >= 0;
}

static void one_more(void *arg, const struct trace_kept *k)
{
	(void)k;
	++*(int *)arg;
}

static int kept(struct trace_ring *r, int64_t now_ms)
{
	int n = 0;
	trace_ring_each(r, now_ms, INT64_MIN, one_more, &n);
	return n;
}

static void keeps_heads(void **state)
{
	struct trace_ring *r = trace_ring_new(0);
	(void)state;
	trace_ring_add(r, 5, true, false, S("main"), S("\r\nMESSAGE sip:a@b SIP/2.0\r\nVia: x\r\nProxy-Authorization: Digest secret,\r\n response=\"secret\"\r\nl: 6\r\n\r\nhidden"));
	trace_ring_add(r, 7, false, true, S("fabrikam.test"), S("SIP/2.0 200 OK\r\nauthorization : secret\r\n\r\n"));
	trace_ring_add(r, 7, false, true, S("x"), S("\r\n\r\n"));
	trace_ring_each(r, 10, 0, on_kept, NULL);
	assert_string_equal((buf_putc(&told, 0), buf_slice(&told).p),
			    "5 10 main 104|MESSAGE sip:a@b SIP/2.0\r\nVia: x\r\nl: 6\r\n\r\n\n"
			    "7 01 fabrikam.test 42|SIP/2.0 200 OK\r\n\r\n\n");
	buf_clear(&told);
	trace_ring_each(r, 10, 6, on_kept, NULL);
	assert_false(has("MESSAGE"));
	assert_true(has("200 OK"));
	buf_clear(&told);
	trace_ring_each(r, 6 + TRACE_RING_MS, 0, on_kept, NULL); /* the older one is too old by now, and gone for good */
	assert_int_equal(kept(r, 6 + TRACE_RING_MS), 1);
	trace_ring_add(r, 9 + TRACE_RING_MS, true, false, S("main"), S("ACK sip:a@b SIP/2.0\r\n\r\n"));
	assert_int_equal(kept(r, 9 + TRACE_RING_MS), 1);
	trace_ring_free(r);
}

static uint64_t expect_next, seen;

static void in_order(void *arg, const struct trace_kept *k)
{
	uint64_t n;
	(void)arg;
	struct slice number = slice_skip(k->head, 2);
	assert_true(slice_u64(slice_first(number, (size_t)slice_find_chr(number, ' ')), UINT64_MAX, &n));
	assert_true(!seen || n == expect_next);
	assert_int_equal(k->at_ms, (int64_t)n);
	expect_next = n + 1;
	seen++;
}

/* Messages of every size, far more than fit: what comes out is always the last ones, whole and in order. */
static void turns(void **state)
{
	struct trace_ring *r = trace_ring_new(65536);
	static char raw[32768];
	(void)state;
	for (uint64_t i = 1; i <= 20000; i++) {
		int n = snprintf(raw, sizeof raw, "M %llu SIP/2.0\r\n", (unsigned long long)i);
		size_t lines = rand_below(12), wide = rand_below(1500);
		for (size_t k = 0; k < lines; k++)
			n += snprintf(raw + n, sizeof raw - (size_t)n, "X: %0*d\r\n", (int)wide, 1);
		n += snprintf(raw + n, sizeof raw - (size_t)n, "\r\n");
		trace_ring_add(r, (int64_t)i, false, false, slice_of("peer.test", rand_below(10)), slice_of(raw, (size_t)n));
		if (i % 97 == 0 || i > 19900) {
			seen = 0;
			trace_ring_each(r, (int64_t)i, 0, in_order, NULL);
			assert_int_equal(expect_next, i + 1);
			assert_true(i < 20 || seen >= 10);
		}
	}
	trace_ring_free(r);
}

/* ---- recalling */

static void on_event(void *arg, uint64_t id, const struct trace_event *e)
{
	(void)arg;
	assert_int_equal(id, 9);
	assert_null(e->body.p);
	assert_true(e->at_ms > 0);
	buf_printf(&told, "%s %s %.*s %.*s %.*s->%.*s %zu %.*s\n", e->out ? "out" : "in", e->partner ? "partner" : "home", SFMT(e->peer), SFMT(e->what),
		   SFMT(e->from), SFMT(e->to), e->body_size, SFMT(e->detail));
}

static void pass(struct trace *t, bool out, bool partner, const char *peer, const char *start, const char *from, const char *to, const char *id,
		 const char *method)
{
	char raw[1024];
	int n = snprintf(raw, sizeof raw,
			 "%s\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK%s\r\nFrom: <sip:%s>;tag=1\r\nTo: <sip:%s>\r\nCall-ID: %s\r\nCSeq: 3 %s\r\nMax-Forwards: 9\r\n"
			 "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecret",
			 start, id, from, to, id, method);
	trace_keep(t, out, partner, slice_str(peer), slice_of(raw, (size_t)n));
}

static size_t recall(struct trace *t, const struct trace_watch *how, size_t most)
{
	struct trace_watch w = how ? *how : (struct trace_watch){0};
	w.id = 9;
	w.event = on_event;
	buf_clear(&told);
	return trace_recall(t, &w, 1, most);
}

static unsigned lines(void)
{
	unsigned n = 0;
	for (size_t i = 0; i < told.len; i++)
		n += buf_slice(&told).p[i] == '\n';
	return n;
}

static void recalls(void **state)
{
	struct trace *t = trace_new(1 << 20), *none = trace_new(0);
	(void)state;
	pass(none, false, false, "main", "MESSAGE sip:b@fabrikam.test SIP/2.0", "a@contoso.test", "b@fabrikam.test", "one", "MESSAGE");
	assert_int_equal(recall(none, NULL, 100), 0);
	assert_int_equal(lines(), 0);
	trace_keep(NULL, false, false, S("x"), S("y"));
	pass(t, false, false, "main", "MESSAGE sip:b@fabrikam.test SIP/2.0", "a@contoso.test", "b@fabrikam.test", "one", "MESSAGE");
	pass(t, true, true, "fabrikam.test", "MESSAGE sip:b@fabrikam.test SIP/2.0", "a@contoso.test", "b@fabrikam.test", "one", "MESSAGE");
	pass(t, false, true, "fabrikam.test", "SIP/2.0 200 OK", "a@contoso.test", "b@fabrikam.test", "one", "MESSAGE");
	pass(t, true, false, "main", "SIP/2.0 200 OK", "a@contoso.test", "b@fabrikam.test", "one", "MESSAGE");
	pass(t, false, true, "adatum.test", "INVITE sip:a@contoso.test SIP/2.0", "c@adatum.test", "a@contoso.test", "two", "INVITE");
	pass(t, true, true, "adatum.test", "SIP/2.0 403 Forbidden", "c@adatum.test", "a@contoso.test", "two", "INVITE");
	pass(t, true, true, "provider.test", "MESSAGE sip:d@hosted.test SIP/2.0", "z@contoso.test", "d@hosted.test", "three", "MESSAGE");
	pass(t, false, true, "provider.test", "SIP/2.0 407 Proxy Authentication Required", "z@contoso.test", "d@hosted.test", "three", "MESSAGE");
	trace_keep(t, false, true, S("junk.test"), S("not SIP at all\r\n\r\n"));
	assert_int_equal(recall(t, NULL, 100), 0);
	assert_int_equal(lines(), 8);
	assert_true(has("in home main MESSAGE sip:a@contoso.test->sip:b@fabrikam.test 6 Call-ID one, text/plain\n"));
	assert_true(has("out partner adatum.test 403 Forbidden (INVITE)"));
	assert_false(has("secret"));
	recall(t, &(struct trace_watch){.partner = S("fabrikam.test")}, 100);
	assert_int_equal(lines(), 4); /* the home's side of it too */
	recall(t, &(struct trace_watch){.partner = S("hosted.test")}, 100);
	assert_int_equal(lines(), 2);
	recall(t, &(struct trace_watch){.user = S("c@adatum.test")}, 100);
	assert_int_equal(lines(), 2);
	recall(t, &(struct trace_watch){.failed = true}, 100); /* with the request; a challenge is no failure */
	assert_int_equal(lines(), 2);
	assert_true(has("INVITE") && has("403"));
	recall(t, &(struct trace_watch){.failed = true, .partner = S("fabrikam.test")}, 100);
	assert_int_equal(lines(), 0);
	assert_int_equal(recall(t, NULL, 3), 5);
	assert_int_equal(lines(), 3);
	assert_true(has("407") && !has("INVITE sip"));
	trace_free(t);
	trace_free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_heads, setup, teardown),
		cmocka_unit_test_setup_teardown(turns, setup, teardown),
		cmocka_unit_test_setup_teardown(recalls, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
