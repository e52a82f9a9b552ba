/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

#include "sip/flow.h"

static struct arena *arena;
static struct buf b;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	buf_init(&b, 65536);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&b);
	arena_release(NULL, arena);
	return 0;
}

static void test_request(void **state)
{
	(void)state;
	sip_build_request(&b, S("MESSAGE"), S("sip:a@b"));
	sip_build_header(&b, SIP_H_TO, S("<sip:a@b>"));
	sip_build_header_named(&b, S("ms-x"), S("y"));
	sip_build_header_uint(&b, SIP_H_MAX_FORWARDS, 70);
	sip_build_header_fmt(&b, SIP_H_CSEQ, "%d %s", 1, "MESSAGE");
	sip_build_body(&b, S("text/plain"), S("hi\r\n"));
	assert_true(buf_ok(&b));
	assert_slice(buf_slice(&b),
		     "MESSAGE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\nms-x: y\r\nMax-Forwards: 70\r\nCSeq: 1 MESSAGE\r\n"
		     "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nhi\r\n");
	buf_clear(&b);
	sip_build_status(&b, 404, SLICE_NONE);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	assert_slice(buf_slice(&b), "SIP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

/* Nothing that a caller passes can end its line. */
static void test_injection(void **state)
{
	static const struct slice evil[] = {
		{"a\r\nVia: x", 9}, {"a\nVia: x", 8}, {"a\rVia: x", 8}, {"a\0b", 3}, {"\r\n", 2}, {"a\r", 2}, {"\n", 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
		for (int what = 0; what < 10; what++) {
			buf_clear(&b);
			switch (what) {
			case 0: sip_build_request(&b, evil[i], S("sip:a@b")); break;
			case 1: sip_build_request(&b, S("INVITE"), evil[i]); break;
			case 2: sip_build_status(&b, 200, evil[i]); break;
			case 3: sip_build_header(&b, SIP_H_SUBJECT, evil[i]); break;
			case 4: sip_build_header_named(&b, evil[i], S("x")); break;
			case 5: sip_build_header_named(&b, S("x"), evil[i]); break;
			case 6:
				if (memchr(evil[i].p, 0, evil[i].len))
					continue; /* cannot come through %s */
				sip_build_header_fmt(&b, SIP_H_SUBJECT, "%s", evil[i].p);
				break;
			case 7: sip_build_body(&b, evil[i], S("x")); break;
			case 8:
			case 9: {
				struct sip_msg *m = must_parse(arena, with_field(arena, ""));
				sip_build_response(&b, m, 200, SLICE_NONE, what == 8 ? evil[i] : S("t"), false,
						   what == 9 ? evil[i] : SLICE_NONE, 1);
				break;
			}
			}
			sip_build_body(&b, SLICE_NONE, SLICE_NONE);
			if (buf_ok(&b)) {
				print_error("case %d, %zu\n", what, i);
				fail();
			}
		}
	}
	buf_clear(&b);
	sip_build_request(&b, S("INVITE"), S("sip:a b@c"));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_request(&b, S(""), S("sip:a@c"));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_request(&b, S("INVITE"), S(""));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_header_named(&b, S("a b"), S("x"));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_header(&b, SIP_H_OTHER, S("x"));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_status(&b, 99, SLICE_NONE);
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_status(&b, -200, SLICE_NONE);
	assert_false(buf_ok(&b));
	buf_clear(&b);
	sip_build_body(&b, SLICE_NONE, S("\r\n\0")); /* a body may hold anything */
	assert_true(buf_ok(&b));
}

static void respond(const char *via, const char *rest, const char *ip, const char *expect_via)
{
	struct slice raw = arena_printf(
		arena, "INVITE sip:b@b SIP/2.0\r\n%sFrom: sip:a@b;tag=1\r\nTo: sip:c@d\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n%s\r\n",
		via, rest);
	struct sip_msg *m = must_parse(arena, raw);
	struct slice expect = arena_printf(
		arena, "SIP/2.0 200 OK\r\n%sFrom: sip:a@b;tag=1\r\nTo: sip:c@d\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n", expect_via);
	buf_clear(&b);
	sip_build_response(&b, m, 200, SLICE_NONE, SLICE_NONE, false, slice_str(ip), 5999);
	assert_true(buf_ok(&b));
	assert_slice(buf_slice(&b), expect.p);
}

static void test_response_via(void **state)
{
	(void)state;
	/* RFC 3261 18.2.1: only when the address differs from sent-by */
	respond("Via: SIP/2.0/UDP 192.0.2.1;branch=b\r\n", "", "192.0.2.1", "Via: SIP/2.0/UDP 192.0.2.1;branch=b\r\n");
	respond("Via: SIP/2.0/UDP 192.0.2.1;branch=b\r\n", "", "192.0.2.2",
		"Via: SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.2\r\n");
	respond("Via: SIP/2.0/UDP host:5070\r\n", "", "192.0.2.2", "Via: SIP/2.0/UDP host:5070;received=192.0.2.2\r\n");
	respond("Via: SIP/2.0/UDP host:5070\r\n", "", "", "Via: SIP/2.0/UDP host:5070\r\n");
	/* RFC 3581 4: rport filled, received always beside it */
	respond("Via: SIP/2.0/UDP 192.0.2.1;rport;branch=b\r\n", "", "192.0.2.1",
		"Via: SIP/2.0/UDP 192.0.2.1;rport=5999;branch=b;received=192.0.2.1\r\n");
	/* what the sender claims about itself is replaced */
	respond("Via: SIP/2.0/UDP h;received=10.0.0.1;rport=1;ms-x=\"a;b\"\r\n", "", "192.0.2.1",
		"Via: SIP/2.0/UDP h;rport=5999;ms-x=\"a;b\";received=192.0.2.1\r\n");
	/* RFC 5118: IPv6 without brackets in received; addresses compare as addresses */
	respond("Via: SIP/2.0/UDP [2001:DB8:0::9:1]:5060;branch=b\r\n", "", "2001:db8::9:1",
		"Via: SIP/2.0/UDP [2001:DB8:0::9:1]:5060;branch=b\r\n");
	respond("Via: SIP/2.0/UDP [2001:db8::9:1];branch=b\r\n", "", "2001:db8::9:255",
		"Via: SIP/2.0/UDP [2001:db8::9:1];branch=b;received=2001:db8::9:255\r\n");
	/* all of them, in order, folds gone */
	respond("v: SIP/2.0/UDP h;branch=a , SIP/2.0/UDP i;branch=\r\n\tb\r\nSubject: x\r\nVia: SIP/2.0/UDP\r\n j\r\n", "",
		"192.0.2.1", "Via: SIP/2.0/UDP h;branch=a;received=192.0.2.1, SIP/2.0/UDP i;branch= b\r\nVia: SIP/2.0/UDP j\r\n");
}

static void test_response_fields(void **state)
{
	struct sip_msg *m = must_parse(
		arena,
		S("INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/TLS h\r\nf: \"a\r\n b\" <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: x\r\n"
		  "CSeq: 1\r\n INVITE\r\nRecord-Route: <sip:r1;lr>\r\nRecord-Route: <sip:r2;lr>,<sip:r3;lr>\r\nTimestamp: 54\r\n"
		  "Secret: x\r\n\r\n"));
	(void)state;
	sip_build_response(&b, m, 180, S("Is ringing"), S("tt"), true, SLICE_NONE, 0);
	assert_true(buf_ok(&b));
	assert_slice(
		buf_slice(&b),
		"SIP/2.0 180 Is ringing\r\nVia: SIP/2.0/TLS h\r\nRecord-Route: <sip:r1;lr>\r\nRecord-Route: "
		"<sip:r2;lr>,<sip:r3;lr>\r\n"
		"From: \"a b\" <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=tt\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nTimestamp: 54\r\n");
	m = must_parse(arena, S("BYE sip:b@b SIP/2.0\r\nVia: SIP/2.0/TLS h\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>;x;tag=old\r\ni: "
				"x\r\nCSeq: 1 BYE\r\n\r\n"));
	buf_clear(&b);
	sip_build_response(&b, m, 481, SLICE_NONE, S("tt"), true, SLICE_NONE, 0);
	assert_slice(buf_slice(&b),
		     "SIP/2.0 481 Call/Transaction Does Not Exist\r\nVia: SIP/2.0/TLS h\r\nFrom: <sip:a@b>;tag=1\r\n"
		     "To: <sip:c@d>;x;tag=old\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n");
}

/* A request that could not be read whole still gets its Via back as it was, so that its sender knows the answer. */
static void test_response_to_faulty(void **state)
{
	struct sip_msg *m;
	struct sip_fault fault;
	(void)state;
	assert_int_equal(
		sip_msg_parse(&m, arena,
			      S("BYE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP h;;rport;branch=b, x\r\nTo: \"c <sip:c@d>\r\n\r\n"),
			      &sip_limits_default, &fault),
		ENTENTE_ESYNTAX);
	assert_int_equal(fault.status, 400);
	sip_build_response(&b, m, fault.status, slice_str(fault.text), S("t"), false, S("192.0.2.1"), 5060);
	assert_slice(buf_slice(&b), "SIP/2.0 400 Malformed Via\r\nVia: SIP/2.0/UDP h;;rport;branch=b;received=192.0.2.1, x\r\n"
				    "To: \"c <sip:c@d>;tag=t\r\n");
	assert_true(buf_ok(&b));
}

static void test_limit(void **state)
{
	struct sip_msg *m = must_parse(arena, with_field(arena, ""));
	(void)state;
	buf_free(&b);
	buf_init(&b, 60);
	sip_build_response(&b, m, 200, SLICE_NONE, S("t"), true, SLICE_NONE, 0);
	assert_false(buf_ok(&b));
}

static void test_phrases(void **state)
{
	(void)state;
	assert_string_equal(sip_status_phrase(100), "Trying");
	assert_string_equal(sip_status_phrase(489), "Bad Event");
	assert_string_equal(sip_status_phrase(608), "Rejected");
	assert_string_equal(sip_status_phrase(299), "Unknown");
	assert_string_equal(sip_transport_name(SIP_TLS), "TLS");
	assert_true(sip_reliable(SIP_TCP));
	assert_false(sip_reliable(SIP_UDP));
	for (int i = 100, known = 0; i < 700; i++) { /* sorted, or some would not be found */
		known += strcmp(sip_status_phrase(i), "Unknown") != 0;
		if (i == 699)
			assert_int_equal(known, 74);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_request), T(test_injection), T(test_response_via), T(test_response_fields), T(test_response_to_faulty),
		T(test_limit),	 T(test_phrases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
