/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "link/frame.h"

static void same(struct slice a, const char *z)
{
	assert_true(slice_eq(a, slice_str(z)));
}

/* Writes, then reads with every number of octets missing, and with one too many. */
static struct link_frame round_trip(struct buf *b, const struct link_frame *f)
{
	struct link_frame g;
	struct entente_err err;
	size_t n;
	buf_clear(b);
	link_frame_write(b, f);
	assert_true(buf_ok(b));
	for (size_t i = 0; i < b->len; i++)
		assert_int_equal(link_frame_read(&g, &n, slice_first(buf_slice(b), i), LINK_FRAME_MAX, &err), ENTENTE_EAGAIN);
	buf_puts(b, "next");
	assert_int_equal(link_frame_read(&g, &n, buf_slice(b), LINK_FRAME_MAX, &err), 0);
	assert_int_equal(n, b->len - 4);
	assert_int_equal(g.kind, f->kind);
	return g;
}

static void every_kind(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1 << 20);
	struct link_frame h = {.kind = LINK_HELLO, .hello = {.version = LINK_VERSION, .role = LINK_GATEWAY, .worker = 2, .workers = 3,
			       .instance = {1, 2, 255}, .software = S("0.1.0"), .name = S("gw.example.com")}};
	struct link_frame g = round_trip(&b, &h);
	assert_int_equal(g.hello.role, LINK_GATEWAY);
	assert_int_equal(g.hello.worker, 2);
	assert_int_equal(g.hello.workers, 3);
	assert_memory_equal(g.hello.instance, h.hello.instance, LINK_INSTANCE);
	same(g.hello.software, "0.1.0");
	same(g.hello.name, "gw.example.com");
	static const enum link_kind numbers[] = {LINK_PING, LINK_PONG, LINK_RECHECK};
	for (unsigned i = 0; i < 3; i++)
		assert_true(round_trip(&b, &(struct link_frame){.kind = numbers[i], .number = 0xfedcba9876543210}).number == 0xfedcba9876543210);
	g = round_trip(&b, &(struct link_frame){.kind = LINK_GOODBYE, .bye = {LINK_BYE_STOPPING, S("soon")}});
	assert_int_equal(g.bye.why, LINK_BYE_STOPPING);
	same(g.bye.text, "soon");
	g = round_trip(&b, &(struct link_frame){.kind = LINK_POLICY, .policy = {7, 3, true, S("octets")}});
	assert_true(g.policy.generation == 7 && g.policy.part == 3 && g.policy.last);
	same(g.policy.octets, "octets");
	g = round_trip(&b, &(struct link_frame){.kind = LINK_STANZA, .stanza = {9, XMPP_PROOF_DIALBACK, true, S("a.test"), S("b.test"), S("<x/>")}});
	assert_true(g.stanza.number == 9 && g.stanza.proof == XMPP_PROOF_DIALBACK && g.stanza.encrypted);
	same(g.stanza.local, "a.test");
	same(g.stanza.remote, "b.test");
	same(g.stanza.octets, "<x/>");
	g = round_trip(&b, &(struct link_frame){.kind = LINK_DONE, .done = {9, REASON_LIMIT_SIZE}});
	assert_true(g.done.number == 9 && g.done.reason == REASON_LIMIT_SIZE);
	assert_int_equal(round_trip(&b, &(struct link_frame){.kind = LINK_DONE, .done = {9}}).done.reason, REASON_NONE);
	g = round_trip(&b, &(struct link_frame){.kind = LINK_SEND, .send = {0, true, false, S("a.test"), S("b.test"), S("<y/>")}});
	assert_true(g.send.ticket == 0);
	same(g.send.octets, "<y/>");
	g = round_trip(&b, &(struct link_frame){.kind = LINK_SENT, .sent = {5, SENT_OVER, REASON_XMPP_DNS, S("no such name")}});
	assert_true(g.sent.ticket == 5 && g.sent.reason == REASON_XMPP_DNS);
	same(g.sent.why, "no such name");
	assert_int_equal(round_trip(&b, &(struct link_frame){.kind = LINK_SENT, .sent = {5}}).sent.reason, REASON_NONE);
	g = round_trip(&b, &(struct link_frame){.kind = LINK_PAIR, .pair = {true, S("a.test"), S("b.test")}});
	assert_true(g.pair.up);
	same(g.pair.remote, "b.test");
	buf_free(&b);
}

static int read_rc(const char *octets, size_t n, size_t max)
{
	struct link_frame g;
	struct entente_err err = {0};
	size_t used;
	int rc = link_frame_read(&g, &used, slice_of(octets, n), max, &err);
	if (rc && rc != ENTENTE_EAGAIN)
		assert_int_equal(err.reason, REASON_LINK_PROTOCOL);
	return rc;
}
#define READ(lit) read_rc(lit, sizeof(lit) - 1, LINK_FRAME_MAX)

static void malformed(void **state)
{
	(void)state;
	assert_int_equal(READ("\0\0\0\1\0"), ENTENTE_ESYNTAX);                     /* no such kind */
	assert_int_equal(READ("\0\0\0\1\x63"), ENTENTE_ESYNTAX);
	assert_int_equal(READ("\0\0\0\0\2"), ENTENTE_ESYNTAX);                     /* nothing in it */
	assert_int_equal(READ("\0\0\0\x8\2\0\0\0\0\0\0\0"), ENTENTE_ESYNTAX);      /* a number too short */
	assert_int_equal(READ("\0\0\0\xa\2\0\0\0\0\0\0\0\1\0"), ENTENTE_ESYNTAX);  /* too long */
	assert_int_equal(READ("\0\0\0\xd\xb\1\0\0\0\1x\0\0\0\1y"), ENTENTE_EAGAIN);
	assert_int_equal(READ("\0\0\0\xc\xb\2\0\0\0\1x\0\0\0\1y"), ENTENTE_ESYNTAX);  /* neither up nor down */
	assert_int_equal(READ("\0\0\0\xc\xb\1\0\0\0\x2x\0\0\0\1y"), ENTENTE_ESYNTAX); /* a text beyond the end */
	assert_int_equal(READ("\0\0\0\xc\xb\1\xff\xff\xff\xffx\0\0\0\1y"), ENTENTE_ESYNTAX);
	assert_int_equal(READ("\x7f\xff\xff\xff\7"), ENTENTE_ELIMIT);
	assert_int_equal(read_rc("\0\0\0\x9\2\0\0\0\0\0\0\0\1", 13, 12), ENTENTE_ELIMIT);
	assert_int_equal(READ("GET / HTTP/1.1\r\n\r\n"), ENTENTE_ESYNTAX);
}

static void other_version(void **state)
{
	struct buf b;
	struct link_frame g;
	size_t n;
	(void)state;
	buf_init(&b, 4096);
	struct link_frame f = {.kind = LINK_HELLO, .hello = {.version = LINK_VERSION + 1, .role = LINK_EDGE, .workers = 1}};
	link_frame_write(&b, &f);
	b.mem[b.off + 3] += 6; /* it has more to say than we know */
	buf_puts(&b, "future");
	assert_int_equal(link_frame_read(&g, &n, buf_slice(&b), LINK_HELLO_MAX, NULL), 0);
	assert_int_equal(g.hello.version, LINK_VERSION + 1);
	assert_int_equal(g.hello.role, LINK_EDGE);
	buf_free(&b);
}

static void unknown_reason(void **state)
{
	static const char frame[] = "\0\0\0\x17\xa\0\0\0\0\0\0\0\5\0\0\0\0\5no/ne\0\0\0\0";
	struct link_frame g;
	size_t n;
	(void)state;
	assert_int_equal(link_frame_read(&g, &n, slice_of(frame, sizeof frame - 1), LINK_FRAME_MAX, NULL), 0);
	assert_int_equal(g.sent.reason, REASON_XMPP_UNREACHABLE);
}

static void full_buffer(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 20);
	buf_puts(&b, "before");
	link_frame_write(&b, &(struct link_frame){.kind = LINK_SEND, .send = {1, false, false, S("a.test"), S("b.test"), S("<x/>")}});
	assert_false(buf_ok(&b));
	same(buf_slice(&b), "before");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind), cmocka_unit_test(malformed), cmocka_unit_test(other_version), cmocka_unit_test(unknown_reason),
		cmocka_unit_test(full_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
