/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(NULL, arena);
	return 0;
}

static void test_every_name_finds_itself(void **state)
{
	(void)state;
	for (int i = 1; i < SIP_H_COUNT; i++) {
		struct slice name = sip_hdr_name((enum sip_hdr)i);
		char other[40];
		assert_int_equal(sip_hdr_of(name), i);
		for (size_t k = 0; k < name.len; k++) {
			char c = name.p[k];
			other[k] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		}
		assert_int_equal(sip_hdr_of(slice_of(other, name.len)), i);
		for (size_t k = 0; k < name.len; k++) { /* one octet off is another name */
			memcpy(other, name.p, name.len);
			other[k] = '_';
			assert_int_equal(sip_hdr_of(slice_of(other, name.len)), SIP_H_OTHER);
		}
		if (name.len > 2)
			assert_int_not_equal(sip_hdr_of(slice_first(name, name.len - 1)), i);
	}
#define X(id, name, compact)                                                                                               \
	if (compact) {                                                                                                     \
		const char c = compact, up = (char)(compact - 32);                                                         \
		assert_int_equal(sip_hdr_of(slice_of(&c, 1)), SIP_H_##id);                                                 \
		assert_int_equal(sip_hdr_of(slice_of(&up, 1)), SIP_H_##id);                                                \
	}
	SIP_HEADERS(X)
#undef X
	assert_int_equal(sip_hdr_of(S("z")), SIP_H_OTHER);
	assert_int_equal(sip_hdr_of(S("")), SIP_H_OTHER);
	assert_int_equal(sip_hdr_of(S("Content-Lengthy")), SIP_H_OTHER);
	assert_slice(sip_hdr_name(SIP_H_OTHER), "");
}

static void test_methods(void **state)
{
	(void)state;
#define X(m)                                                                                                               \
	assert_int_equal(sip_method_of(S(#m)), SIP_##m);                                                                   \
	assert_slice(sip_method_name(SIP_##m), #m);
	SIP_METHODS(X)
#undef X
	assert_int_equal(sip_method_of(S("invite")), SIP_METHOD_OTHER);
	assert_int_equal(sip_method_of(S("INVITES")), SIP_METHOD_OTHER);
	assert_int_equal(sip_method_of(S("")), SIP_METHOD_OTHER);
	assert_slice(sip_method_name(SIP_METHOD_OTHER), "");
}

static void test_request(void **state)
{
	const struct slice raw =
		S("\r\nSUBSCRIBE sip:bob@b.example;transport=tls SIP/2.0\r\n"
		  "v: SIP/2.0/TLS edge.a.example:5061;branch=z9hG4bKx;rport, SIP/2.0/TLS in.a.example;branch=z9hG4bKy\r\n"
		  "Via: SIP/2.0/TCP old.a.example\r\n"
		  "f: \"Alice, A.\" <sip:alice@a.example>;tag=a1;epid=01\r\n"
		  "t : sip:bob@b.example;tag=b2\r\n"
		  "I: 77@a\r\n"
		  "CSeq:\t9  SUBSCRIBE\r\n"
		  "Max-Forwards: 70\r\n"
		  "o: presence\r\n"
		  "ms-Unknown: kept as  it is \r\n"
		  "Expires: 3600\r\n"
		  "Supported: one,\r\n\ttwo ;x=1 ,\"a,b\"\r\n"
		  "k:\r\n"
		  "l: 4\r\n\r\nbodyrest");
	struct sip_msg *m = must_parse(arena, raw);
	struct sip_values it = {0};
	struct slice v;
	uint32_t n;
	(void)state;
	assert_true(m->is_request);
	assert_int_equal(m->method, SIP_SUBSCRIBE);
	assert_slice(m->uri_text, "sip:bob@b.example;transport=tls");
	assert_slice(m->uri.host, "b.example");
	assert_slice(m->via.host, "edge.a.example");
	assert_int_equal(m->via.port, 5061);
	assert_slice(m->via.branch, "z9hG4bKx");
	assert_slice(m->via.transport, "TLS");
	assert_true(m->via.rport);
	assert_int_equal(m->via.rport_value, 0);
	assert_slice(m->from.display, "\"Alice, A.\"");
	assert_slice(m->from.tag, "a1");
	assert_slice(m->from.params, "tag=a1;epid=01");
	assert_slice(m->to.uri_text, "sip:bob@b.example");
	assert_slice(m->to.tag, "b2");
	assert_slice(m->call_id, "77@a");
	assert_int_equal(m->cseq, 9);
	assert_int_equal(m->cseq_method, SIP_SUBSCRIBE);
	assert_int_equal(m->max_forwards, 70);
	assert_int_equal(m->content_length, 4);
	assert_slice(m->body, "body");
	assert_ptr_equal(m->raw.p, raw.p + 2);
	assert_ptr_equal(m->raw.p + m->raw.len, raw.p + raw.len - 4);
	assert_slice(sip_msg_header_named(m, S("MS-unknown")), "kept as  it is");
	assert_slice(sip_msg_header_named(m, S("Call-ID")), "77@a");
	assert_null(sip_msg_header_named(m, S("ms-other")).p);
	v = sip_msg_header_named(m, S("X"));
	assert_null(v.p);
	assert_slice(sip_msg_header(m, SIP_H_EVENT, 0)->name, "o");
	assert_slice(sip_msg_header(m, SIP_H_TO, 0)->name, "t");
	assert_slice(sip_msg_header(m, SIP_H_TO, 0)->line, "t : sip:bob@b.example;tag=b2\r\n");
	assert_slice(sip_msg_header(m, SIP_H_SUPPORTED, 0)->line, "Supported: one,\r\n\ttwo ;x=1 ,\"a,b\"\r\n");
	assert_non_null(sip_msg_header(m, SIP_H_SUPPORTED, 1));
	assert_null(sip_msg_header(m, SIP_H_SUPPORTED, 2));
	assert_true(sip_msg_uint(m, SIP_H_EXPIRES, 7200, &n));
	assert_int_equal(n, 3600);
	assert_false(sip_msg_uint(m, SIP_H_EXPIRES, 3599, &n));
	assert_false(sip_msg_uint(m, SIP_H_MIN_EXPIRES, 7200, &n));
	assert_true(sip_msg_lists(m, SIP_H_SUPPORTED, S("TWO")));
	assert_false(sip_msg_lists(m, SIP_H_SUPPORTED, S("three")));
	/* several Via in one line and several lines */
	assert_true(sip_msg_next_value(m, SIP_H_VIA, &it, &v));
	assert_slice(v, "SIP/2.0/TLS edge.a.example:5061;branch=z9hG4bKx;rport");
	assert_true(sip_msg_next_value(m, SIP_H_VIA, &it, &v));
	assert_slice(v, "SIP/2.0/TLS in.a.example;branch=z9hG4bKy");
	assert_true(sip_msg_next_value(m, SIP_H_VIA, &it, &v));
	assert_slice(v, "SIP/2.0/TCP old.a.example");
	assert_false(sip_msg_next_value(m, SIP_H_VIA, &it, &v));
	assert_false(sip_msg_next_value(m, SIP_H_VIA, &it, &v));
}

static void test_response(void **state)
{
	struct sip_msg *m = must_parse(
		arena, S("sip/2.0 183 Session  Progress \r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
			 "Call-ID: x\r\nCSeq: 2147483647 FOO\r\n\r\nall of it"));
	(void)state;
	assert_false(m->is_request);
	assert_int_equal(m->status, 183);
	assert_slice(m->reason, "Session  Progress ");
	assert_int_equal(m->cseq, 2147483647);
	assert_int_equal(m->cseq_method, SIP_METHOD_OTHER);
	assert_slice(m->cseq_method_text, "FOO");
	assert_int_equal(m->content_length, -1);
	assert_int_equal(m->max_forwards, -1);
	assert_slice(m->body, "all of it");
}

/* One replaced or added field, and what must come of it: 0 accepted, else the status of the fault, -1 a fault that gets no
 * answer. */
static void test_fields(void **state)
{
	static const struct {
		const char *field;
		int expect;
	} t[] = {
		{"X: y\r\n", 0},
		{"X:\r\n", 0},
		{"X: a\r\n b\r\n\tc\r\n", 0},
		{"X: \"NUL \\\x01\"\r\n", 0},
		{"X: \xd0\xb0\xff\r\n", 0},
		{"X: \x01\r\n", 400},
		{"X: \x7f\r\n", 400},
		{"X: a\nVia: b\r\n", 400}, /* what ends a line for some ends it for all, or nothing */
		{"X: a\rY: b\r\n", 400},
		{"X: \"\\\rY: b\"\r\n", 400},
		{"X: \r\r\n", 400},
		{"X\r\n", 400},
		{": y\r\n", 400},
		{"X Y: z\r\n", 400},
		{"X(: z\r\n", 400},
		{"X : z\r\n", 0},
		{"Max-Forwards: 0\r\n", 0},
		{"Max-Forwards: 70000000000000000000000\r\n", 0},
		{"Max-Forwards: -1\r\n", 400},
		{"Max-Forwards: 1a\r\n", 400},
		{"Max-Forwards:\r\n", 400},
		{"Max-Forwards: 1\r\nMax-Forwards: 1\r\n", 400},
		{"l: 0\r\n", 400}, /* second one */
		{"From: <sip:x@y>;tag=1\r\n", 400},
		{"t: <sip:x@y>\r\n", 400},
		{"i: 2\r\n", 400},
		{"CSeq: 1 MESSAGE\r\n", 400},
		{"Via: garbage in a lower one is the next hop's affair\r\n", 0},
		{"Via:\r\n", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sip_msg *m;
		struct sip_fault fault;
		int rc = sip_msg_parse(&m, arena, with_field(arena, t[i].field), &sip_limits_default, &fault);
		if (!m || fault.status != t[i].expect || !rc != !t[i].expect) {
			print_error("%s-> %d %s\n", t[i].field, fault.status, fault.text);
			fail();
		}
	}
}

static void test_heads(void **state)
{
#define FIELDS "Via: SIP/2.0/UDP h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n"
#define REQ "INVITE sip:a@b SIP/2.0\r\n"
	static const struct {
		const char *raw;
		int expect; /* 0, a status, -1: dropped */
	} t[] = {
		{REQ FIELDS "CSeq: 1 INVITE\r\n\r\n", 0},
		{REQ FIELDS "CSeq: 1 INVITE\r\n", 400},
		{REQ FIELDS "CSeq: 1 INVITE", 400},
		{REQ FIELDS "CSeq: 1 BYE\r\n\r\n", 400},
		{"FOO sip:a@b SIP/2.0\r\n" FIELDS "CSeq: 1 BYE\r\n\r\n", 501},
		{"ACK sip:a@b SIP/2.0\r\n" FIELDS "CSeq: 1 BYE\r\n\r\n", -1},
		{REQ FIELDS "CSeq: 2147483648 INVITE\r\n\r\n", 400},
		{REQ FIELDS "CSeq: -1 INVITE\r\n\r\n", 400},
		{REQ FIELDS "CSeq: 1\r\n\r\n", 400},
		{REQ FIELDS "CSeq: 1INVITE\r\n\r\n", 400},
		{REQ FIELDS "CSeq: 1 INVITE INVITE\r\n\r\n", 400},
		{REQ FIELDS "\r\n", 400},
		{REQ FIELDS "CSeq: 1 INVITE\r\nContent-Length: 1\r\n\r\n", 400},
		{REQ FIELDS "CSeq: 1 INVITE\r\nContent-Length: +0\r\n\r\n", 400},
		{REQ FIELDS "CSeq: 1 INVITE\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{REQ "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", -1},
		{REQ "Via: x\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", -1},
		{REQ "Via:\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", -1}, /* one without a value is none */
		{REQ "Via: ,\r\nv:\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", -1},
		{REQ "Via: SIP/2.0/UDP h\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", 400},
		{REQ "Via: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", 400},
		{REQ "Via: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCSeq: 1 INVITE\r\n\r\n", 400},
		{REQ "Via: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCall-ID: a b\r\nCSeq: 1 INVITE\r\n\r\n", 400},
		{REQ "Via: SIP/2.0/UDP h\r\nFrom: *\r\nTo: <sip:c@d>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n", 400},
		{"INVITE sip:a@b SIP/3.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 505},
		{"INVITE sip:a@b sip/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 0},
		{"INVITE sip:a@b HTTP/1.1\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"INVITE sip:a@b\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"INVITE  sip:a@b SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
		{"INVITE sip:a@b SIP/2.0 \r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
		{"INVITE sip:a@b;x=\"y z\" SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
		{"INVITE <sip:a@b> SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
		{"INVITE sip:a@b?x=y SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
		{"INV(ITE sip:a@b SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{" INVITE sip:a@b SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0 200 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 0},
		{"SIP/2.0 200\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 0},
		{"SIP/2.0 099 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0 700 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0 2000 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0 20 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/3.0 200 OK\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", -1},
		{"SIP/2.0 200 OK\r\n" FIELDS "CSeq: x INVITE\r\n\r\n", -1},
		{"\r\n\r\n", -1},
		{"", -1},
		{"\n", -1},
		{"\r", -1},
		{"x", -1},
		{"\r\n\r\n" REQ FIELDS "CSeq: 1 INVITE\r\n\r\n", 0},
		{REQ " " FIELDS "CSeq: 1 INVITE\r\n\r\n", -1}, /* its Via is a fold of nothing */
		{REQ " x\r\n" FIELDS "CSeq: 1 INVITE\r\n\r\n", 400},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sip_msg *m;
		struct sip_fault fault;
		int rc = sip_msg_parse(&m, arena, slice_str(t[i].raw), &sip_limits_default, &fault);
		bool good = t[i].expect > 0 ? rc && m && fault.status == t[i].expect
			  : t[i].expect == 0 ? !rc && m && !fault.status
					     : rc && !m && !fault.status && fault.text[0];
		if (!good) {
			print_error("%s-> rc %d status %d %s\n", t[i].raw, rc, fault.status, fault.text);
			fail();
		}
	}
}

static void test_limits(void **state)
{
	struct sip_limits lim = sip_limits_default;
	struct slice raw = with_field(arena, "X: 123456\r\n 789\r\nY: 2\r\n");
	struct sip_msg *m;
	struct sip_fault fault;
	(void)state;
	lim.max_message = raw.len;
	lim.max_headers = 8;
	lim.max_line = 42; /* the start line and the Via have 33 and 42 */
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), 0);
	lim.max_message--;
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), ENTENTE_ELIMIT);
	assert_int_equal(fault.status, 513);
	assert_non_null(m);
	lim.max_message++;
	lim.max_headers--;
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), ENTENTE_ELIMIT);
	assert_int_equal(fault.status, 400);
	assert_non_null(m);
	lim.max_headers++;
	lim.max_line = 41;
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), ENTENTE_ELIMIT);
	assert_null(m); /* the Via was too long to be read */
	lim.max_line = 42;
	lim.max_message *= 2;
	raw = with_field(arena, "X: 1234567890123456\r\n 789012345678901234567\r\n"); /* 43 with the fold */
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), ENTENTE_ELIMIT);
	assert_int_equal(fault.status, 400);
	assert_non_null(m);
	lim.max_line = 32;
	assert_int_equal(sip_msg_parse(&m, arena, raw, &lim, &fault), ENTENTE_ELIMIT);
}

/* More fields than lie on the stack; and an arena too small for them. */
static void test_many_fields(void **state)
{
	struct sip_limits lim = sip_limits_default;
	struct buf b;
	struct sip_msg *m;
	struct sip_fault fault;
	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, REQ FIELDS "CSeq: 1 INVITE\r\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "X%d: %d\r\n", i, i);
	buf_puts(&b, "\r\n");
	assert_int_equal(sip_msg_parse(&m, arena, buf_slice(&b), &lim, &fault), ENTENTE_ELIMIT);
	assert_non_null(m);
	assert_int_equal(m->n_headers, 128);
	lim.max_headers = 2000;
	assert_int_equal(sip_msg_parse(&m, arena, buf_slice(&b), &lim, &fault), 0);
	assert_int_equal(m->n_headers, 1005);
	assert_slice(sip_msg_header_named(m, S("x999")), "999");
	struct arena *small = arena_new(ARENA_BLOCK);
	assert_int_equal(sip_msg_parse(&m, small, buf_slice(&b), &lim, &fault), ENTENTE_ELIMIT);
	arena_release(NULL, small);
	buf_free(&b);
}

/* Every prefix of a message, and every message with one octet removed or replaced, is read without a fault of memory. */
static void test_cut_and_spoilt(void **state)
{
	struct slice raw = with_field(arena, "Contact: \"x\\\"\" <sip:a@b?c=d>;q=0.1, *\r\nm: \"\r\n");
	struct sip_msg *m;
	struct sip_fault fault;
	char copy[1024];
	(void)state;
	assert_true(raw.len < sizeof copy);
	for (size_t n = 0; n < raw.len; n++) {
		struct arena *a = arena_new(1 << 20);
		char *exact = mem_strndup(raw.p, n);
		assert_int_not_equal(sip_msg_parse(&m, a, slice_of(exact, n), &sip_limits_default, &fault), 0);
		mem_free(exact);
		static const char octets[] = "\0\r\n\t \"<>,;:@%\\";
		for (size_t k = 0; k < sizeof octets; k++) {
			memcpy(copy, raw.p, raw.len);
			copy[n] = octets[k];
			arena_reset(a);
			sip_msg_parse(&m, a, slice_of(copy, raw.len), &sip_limits_default, &fault);
		}
		arena_release(NULL, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_name_finds_itself),
		cmocka_unit_test(test_methods),
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_response, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_and_spoilt, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
