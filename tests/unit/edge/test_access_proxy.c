/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy core between two transaction layers, under a virtual clock: octets in on one side, octets out on the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/metric.h"
#include "base/mem.h"
#include "proxy_rig.h"

enum { INNER = RIG_INNER, OUTER = RIG_OUTER };

static void feed_octets(struct rig *r, int which, uint32_t conn, struct slice octets)
{
	rig_feed(r, which, conn, octets);
}

static void feed(struct rig *r, int which, const char *text)
{
	feed_octets(r, which, 1, slice_str(text));
}

static void run(struct rig *r, uint64_t ms)
{
	rig_run(r, ms);
}

/* The next message that was sent on this side; fails when there is none. */
static const char *next(struct rig *r, int which)
{
	struct slice s = rig_next(r, which);
	if (!s.p)
		fail_msg("nothing was sent to the %s side", which == INNER ? "inner" : "outer");
	return s.p;
}

static void nothing(struct rig *r, int which)
{
	struct slice s = rig_next(r, which);
	if (s.p)
		fail_msg("unexpected on the %s side: %s", which == INNER ? "inner" : "outer", s.p);
}

static void expect_status(struct rig *r, int which, int status)
{
	char want[32];
	const char *got = next(r, which);
	snprintf(want, sizeof want, "SIP/2.0 %d ", status);
	if (strncmp(got, want, strlen(want)))
		fail_msg("wanted %d, got %s", status, got);
}

static bool has(const char *text, const char *piece)
{
	return strstr(text, piece) != NULL;
}

/* What a peer answers to a request that we sent: its Via fields and the rest, by hand. */
static void answer(struct rig *r, int which, const char *request, int status, const char *more)
{
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *m;
	struct sip_fault fault;
	struct buf b;
	assert_int_equal(sip_msg_parse(&m, a, arena_dup(a, slice_str(request)), &sip_limits_default, &fault), 0);
	buf_init(&b, 1 << 20);
	sip_build_response(&b, m, status, SLICE_NONE, S("far"), true, SLICE_NONE, 0);
	buf_puts(&b, more);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	const struct rig_side *s = &r->side[which];
	uint32_t conn = 1;
	for (size_t i = 0; i < s->n; i++)
		if (s->sent[i].octets.p == request)
			conn = (uint32_t)s->sent[i].to.conn;
	feed_octets(r, which, conn, buf_slice(&b));
	buf_free(&b);
	arena_release(NULL, a);
}

/* Our branch differs from run to run. */
static char *without_branch(const char *text, char *dst, size_t size)
{
	const char *at = strstr(text, "branch=z9hG4bK");
	assert_non_null(at);
	snprintf(dst, size, "%.*s*%s", (int)(at - text + 14), text, at + 14 + 16 + 19);
	return dst;
}

#define HEAD_OUT(method) method " sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-h1;ms-received-cid=AA\r\n"
#define REST_OUT(method)                                                                                                        \
	"Max-Forwards: 70\r\nfrom:  \"A\\\"\" <sip:alice@ours.test;x=1>;epid=0aB;tag=a1\r\nTo: <sip:bob@far.test>\r\nCall-ID: c1\r\n" \
	"CSeq: 1 " method "\r\nms-Conversation-ID: =xY=\r\nX-Odd :\tv , w\r\n"

/* ---- octets */

static void outward_octets(void **state)
{
	struct rig r;
	char got[4096];
	(void)state;
	rig_start(&r);
	r.marks = (struct access_marks){.mark = true, .verified = true};
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "Remote-Party-ID: <sip:x@y>\r\nl: 2\r\n\r\nhi");
	assert_string_equal(without_branch(next(&r, OUTER), got, sizeof got),
		"MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS edge.ours.test:5061;branch=z9hG4bK*\r\n"
		"Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-h1;ms-received-cid=AA\r\n"
		"Max-Forwards: 69\r\nfrom:  \"A\\\"\" <sip:alice@ours.test;x=1>;epid=0aB;tag=a1\r\nTo: <sip:bob@far.test>\r\nCall-ID: c1\r\n"
		"CSeq: 1 MESSAGE\r\nms-Conversation-ID: =xY=\r\nX-Odd :\tv , w\r\nl: 2\r\n"
		"Max-Breadth: 60\r\nms-asserted-verification-level: ms-source-verified-user=verified\r\n\r\nhi");
	feed(&r, OUTER, "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS nobody;branch=z9hG4bK-stray\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
			"Call-ID: c1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"); /* a stray answer goes nowhere */
	nothing(&r, INNER);
	answer(&r, OUTER, r.side[OUTER].sent[0].octets.p, 200, "ms-diagnostics: 1;source=\"x\"\r\nms-Odd: kept\r\n");
	const char *back = next(&r, INNER);
	assert_true(slice_starts(slice_str(back), S("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-h1;ms-received-cid=AA\r\n")));
	assert_true(has(back, "ms-Odd: kept\r\n") && !has(back, "ms-diagnostics"));
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);
}

static void answers_of_another_connection(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	const char *request = next(&r, OUTER);
	r.side[OUTER].sent[0].to.conn = 99; /* the right branch, over a connection that was not asked */
	answer(&r, OUTER, request, 200, "");
	nothing(&r, INNER);
	r.side[OUTER].sent[0].to.conn = 1;
	answer(&r, OUTER, request, 200, "");
	expect_status(&r, INNER, 200);
	rig_end(&r);
}

static void record_route_pairs(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	feed(&r, INNER, HEAD_OUT("INVITE") "Record-Route: <sip:home.ours.test;lr>\r\n" REST_OUT("INVITE") "Contact: <sip:alice@ours.test;gruu;opaque=Z>\r\nl: 0\r\n\r\n");
	const char *m = next(&r, OUTER);
	const char *outer = strstr(m, "Record-Route: <sip:edge.ours.test:5061;transport=tls;lr>\r\n");
	const char *inner = strstr(m, "Record-Route: <sip:10.0.0.2:5060;transport=tcp;lr>\r\n"), *home = strstr(m, "Record-Route: <sip:home.ours.test;lr>\r\n");
	assert_true(outer && inner && home && outer < inner && inner < home); /* the next hop's side on top */
	assert_true(has(m, "Contact: <sip:alice@ours.test;gruu;opaque=Z>\r\n"));
	feed(&r, OUTER, "SUBSCRIBE sip:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\n"
			"From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>\r\nCall-ID: c2\r\nCSeq: 4 SUBSCRIBE\r\nContent-Length: 0\r\n\r\n");
	m = next(&r, INNER);
	outer = strstr(m, "<sip:edge.ours.test:5061;transport=tls;lr>");
	inner = strstr(m, "<sip:10.0.0.2:5060;transport=tcp;lr>");
	assert_true(outer && inner && inner < outer);
	rig_end(&r);
}

/* ---- routes */

static void routes(void **state)
{
	static const struct {
		const char *uri, *routes, *tag; /* as they come, from a partner */
		int status;                     /* 0: forwarded */
		const char *want_uri, *want;    /* what is left */
	} cases[] = {
		{"sip:alice@10.9.9.9", "Route: <sip:edge.ours.test:5061;transport=tls;lr>, <sip:10.0.0.2;transport=tcp;lr>,<sip:home.ours.test;lr;x=Y>\r\n", ";tag=t", 0,
		 "sip:alice@10.9.9.9", "Route: <sip:home.ours.test;lr;x=Y>\r\n"},
		{"sip:alice@10.9.9.9", "Route: <sip:EDGE.ours.test:5061;lr;transport=TLS>\r\nRoute: <sip:10.0.0.2:5060;lr>\r\nRoute: <sip:home.ours.test;lr>\r\n", ";tag=t", 0,
		 "sip:alice@10.9.9.9", "Route: <sip:home.ours.test;lr>\r\n"},
		{"sip:alice@ours.test", "Route: <sip:edge.ours.test:5061;transport=tls;lr>\r\n", "", 0, "sip:alice@ours.test", ""},
		{"sip:alice@ours.test", "Route: <sip:edge.ours.test:5061;transport=tls;lr>, <sip:elsewhere.test;lr>\r\n", "", 403, NULL, NULL},
		{"sip:alice@ours.test", "Route: <sip:elsewhere.test;lr>, <sip:edge.ours.test:5061;transport=tls;lr>\r\n", "", 403, NULL, NULL},
		{"sip:alice@ours.test", "Route: <sip:edge.ours.test:5099;transport=tls;lr>\r\n", "", 403, NULL, NULL}, /* another port is somebody else */
		/* a strict router before us */
		{"sip:edge.ours.test:5061;transport=tls;lr", "Route: <sip:10.0.0.2:5060;lr>, <sip:alice@10.9.9.9>\r\n", ";tag=t", 0, "sip:alice@10.9.9.9", ""},
		{"sip:edge.ours.test:5061;transport=tls;lr", "Route: <sip:10.0.0.2:5060;lr>\r\nRoute: <sip:home.ours.test;lr>\r\nRoute: <sip:alice@10.9.9.9>\r\n", ";tag=t", 0,
		 "sip:alice@10.9.9.9", "Route: <sip:home.ours.test;lr>\r\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig r;
		char text[2048], first[256];
		rig_start(&r);
		snprintf(text, sizeof text, "INFO %s SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\n%sFrom: <sip:bob@far.test>;tag=b\r\n"
			 "To: <sip:alice@ours.test>%s\r\nCall-ID: c2\r\nCSeq: 4 INFO\r\nContent-Length: 0\r\n\r\n", cases[i].uri, cases[i].routes, cases[i].tag);
		feed(&r, OUTER, text);
		if (cases[i].status) {
			expect_status(&r, OUTER, cases[i].status);
			nothing(&r, INNER);
		} else {
			const char *m = next(&r, INNER);
			snprintf(first, sizeof first, "INFO %s SIP/2.0\r\n", cases[i].want_uri);
			if (strncmp(m, first, strlen(first)) || (*cases[i].want ? !has(m, cases[i].want) : has(m, "Route:")) ||
			    has(m, "edge.ours.test:5061;transport=tls;lr>\r\nRoute") || has(m, "<sip:10.0.0.2"))
				fail_msg("case %zu: %s", i, m);
		}
		rig_end(&r);
	}
}

/* ---- what is refused, and what is answered here */

static void refused(void **state)
{
	static const struct {
		const char *method, *uri, *more;
		int from_partner, from_home; /* status; 0: forwarded; -1: not asked */
	} cases[] = {
		{"MESSAGE", "sip:x@Y", "Max-Forwards: 5\r\n", 0, 0},
		{"MESSAGE", "sip:x@Y", "Max-Forwards: 0\r\n", 483, 483},
		{"OPTIONS", "sip:x@Y", "Max-Forwards: 0\r\n", 200, 200},
		{"OPTIONS", "sip:edge.ours.test:5061;transport=tls", "", 200, -1},
		{"OPTIONS", "sip:x@Y", "", 0, 0},
		{"NEGOTIATE", "sip:edge.ours.test:5061", "Max-Forwards: 0\r\n", 405, 405},
		{"REGISTER", "sip:Y", "", 403, 403},
		{"PUBLISH", "sip:x@Y", "", 403, 403},
		{"SERVICE", "sip:x@Y", "", 403, 403},
		{"FOO", "sip:x@Y", "", 403, 403},
		{"REGISTER", "sip:edge.ours.test:5061;transport=tls", "", 405, -1},
		{"MESSAGE", "tel:+4930", "", 416, 416},
		{"MESSAGE", "sip:x@Y", "Proxy-Require: foo\r\n", 420, 420},
		{"SUBSCRIBE", "sip:x@Y", "Proxy-Require: ms-benotify\r\n", 0, 0},
		{"MESSAGE", "sip:x@Y", "Require: foo\r\n", 0, 0}, /* the far end's affair */
		{"MESSAGE", "sip:x@Y", "Max-Breadth: 1\r\n", 0, 0},
		{"MESSAGE", "sip:x@Y", "Max-Breadth: 0\r\n", 440, 440},
		{"INVITE", "sip:x@Y;user=phone", "", 403, 403},
		{"INVITE", "sip:x@Y;USER=Phone", "", 403, 403},
		{"INVITE", "sip:+49-30.1(2)@Y", "", 403, 403},
		{"INVITE", "sip:+4930;ext=5@Y", "", 403, 403},
		{"INVITE", "sip:+4930x@Y", "", 0, 0},
		{"INVITE", "sip:%2B4930@Y", "", 403, 403},
		{"INVITE", "sip:%2b%349%330@Y", "", 403, 403},
		{"INVITE", "sip:x@Y;user=%70h%4Fne", "", 403, 403},
		{"INVITE", "sip:x@Y;user=phones", "", 0, 0},
		{"INVITE", "sip:%2B%34%x@Y", "", 400, 400},
		{"INVITE", "sip:1001@Y", "", 0, 0},
		{"INVITE", "sip:+@Y", "", 0, 0},
		{"MESSAGE", "sips:x@Y", "", 480, 480}, /* the home is reached by TCP */
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int from = 0; from < 2; from++) {
			struct rig r;
			char text[2048], uri[128];
			const char *y = strchr(cases[i].uri, 'Y');
			int want = from == OUTER ? cases[i].from_partner : cases[i].from_home;
			if (want < 0)
				continue;
			snprintf(uri, sizeof uri, "%.*s%s%s", (int)(y ? y - cases[i].uri : (long)strlen(cases[i].uri)), cases[i].uri,
				 y ? from == OUTER ? "ours.test" : "far.test" : "", y ? y + 1 : "");
			snprintf(text, sizeof text, "%s %s SIP/2.0\r\nVia: SIP/2.0/TLS z.test;branch=z9hG4bK-f1\r\n%sFrom: <sip:a@%s>;tag=b\r\n"
				 "To: <sip:alice@%s>\r\nCall-ID: c2\r\nCSeq: 4 %s\r\nContent-Length: 0\r\n\r\n", cases[i].method, uri, cases[i].more,
				 from == OUTER ? "far.test" : "ours.test", from == OUTER ? "ours.test" : "far.test", cases[i].method);
			rig_start(&r);
			feed(&r, from, text);
			if (want) {
				const char *got = r.side[from].n ? r.side[from].sent[0].octets.p : "nothing";
				expect_status(&r, from, want);
				nothing(&r, 1 - from);
				if (from == OUTER && (has(got, "Entente-Reason") || has(got, "ms-diagnostics")))
					fail_msg("a partner is told why: %s", got);
				if (want == 420)
					assert_true(has(got, "Unsupported: foo"));
			} else {
				assert_true(has(next(&r, 1 - from), cases[i].method));
			}
			rig_end(&r);
		}
}

static void hops(void **state)
{
	static const char *const cases[][2] = {{"Max-Forwards: 70\r\n", "Max-Forwards: 69\r\n"}, {"max-forwards :  1\r\n", "max-forwards :  0\r\n"},
					       {"", "Max-Forwards: 70\r\n"}, {"Max-Breadth: 7\r\n", "Max-Breadth: 7\r\n"},
					       {"Max-Breadth: 900\r\n", "Max-Breadth: 60\r\n"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig r;
		char text[1024];
		rig_start(&r);
		snprintf(text, sizeof text, HEAD_OUT("MESSAGE") "%sFrom: <sip:a@ours.test>;tag=b\r\nTo: <sip:bob@far.test>\r\nCall-ID: c2\r\nCSeq: 4 MESSAGE\r\n"
			 "Content-Length: 0\r\n\r\n", cases[i][0]);
		feed(&r, INNER, text);
		assert_true(has(next(&r, OUTER), cases[i][1]));
		rig_end(&r);
	}
}

/* RFC 5393: what comes back unchanged is a loop; what comes back for somebody else is a spiral. */
static void loops(void **state)
{
	struct rig r;
	char text[4096];
	(void)state;
	rig_start(&r);
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	const char *m = next(&r, OUTER);
	const char *rest = strstr(m, "\r\n") + 2;
	snprintf(text, sizeof text, "MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK-again\r\n%s", rest);
	feed(&r, INNER, text);
	expect_status(&r, INNER, 482);
	snprintf(text, sizeof text, "MESSAGE sip:carol@far.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK-other\r\n%s", rest);
	feed(&r, INNER, text);
	assert_true(has(next(&r, OUTER), "MESSAGE sip:carol@far.test"));
	unsigned worker;
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *parsed;
	struct sip_fault fault;
	assert_int_equal(sip_msg_parse(&parsed, a, slice_str(m), &sip_limits_default, &fault), 0);
	assert_true(access_branch_worker(parsed, &worker) && worker == 5);
	arena_release(NULL, a);
	rig_end(&r);
}

/* ---- transactions */

static void invite(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "Content-Type: application/sdp\r\nl: 5\r\n\r\nv=0\r\n");
	const char *req = next(&r, OUTER);
	assert_true(has(req, "\r\n\r\nv=0\r\n"));
	run(&r, 300);
	expect_status(&r, INNER, 100);
	answer(&r, OUTER, req, 100, "");
	nothing(&r, INNER);
	answer(&r, OUTER, req, 180, "");
	expect_status(&r, INNER, 180);
	answer(&r, OUTER, req, 200, "Contact: <sip:bob@far.test;gruu>\r\n");
	expect_status(&r, INNER, 200);
	answer(&r, OUTER, req, 200, "Contact: <sip:bob@far.test;gruu>\r\n"); /* repeated by the far end: passes again (RFC 6026) */
	expect_status(&r, INNER, 200);
	feed(&r, INNER, "ACK sip:bob@far.test;gruu SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK-ack\r\nMax-Forwards: 70\r\n"
			"Route: <sip:10.0.0.2:5060;transport=tcp;lr>, <sip:edge.ours.test:5061;transport=tls;lr>, <sip:sip.far.test;lr>\r\n"
			"From: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>;tag=far\r\nCall-ID: c1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n");
	const char *ack = next(&r, OUTER);
	assert_true(slice_starts(slice_str(ack), S("ACK sip:bob@far.test;gruu ")) && has(ack, "Route: <sip:sip.far.test;lr>") && !has(ack, "10.0.0.2"));
	run(&r, 70000);
	nothing(&r, INNER);
	nothing(&r, OUTER);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	assert_int_equal(sip_stack_stats(r.side[INNER].stack)->servers, 0);
	assert_int_equal(sip_stack_stats(r.side[OUTER].stack)->clients, 0);
	rig_end(&r);
}

static const char cancel[] = "CANCEL sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-h1;ms-received-cid=AA\r\n" REST_OUT("CANCEL") "l: 0\r\n\r\n";

static void cancelled(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	const char *req = next(&r, OUTER);
	answer(&r, OUTER, req, 180, "");
	expect_status(&r, INNER, 180);
	feed(&r, INNER, cancel);
	expect_status(&r, INNER, 200);
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("CANCEL sip:bob@far.test ")));
	answer(&r, OUTER, req, 487, "");
	expect_status(&r, INNER, 487);
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("ACK "))); /* hop by hop */
	run(&r, 70000);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);

	rig_start(&r); /* while the way is being looked for */
	r.way = RIG_LATER;
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	feed(&r, INNER, cancel);
	expect_status(&r, INNER, 200);
	expect_status(&r, INNER, 487);
	assert_int_equal(r.forgotten, 1);
	rig_give_way(&r); /* too late: nothing happens */
	nothing(&r, OUTER);
	rig_end(&r);

	rig_start(&r); /* the 2xx crosses the CANCEL */
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	req = next(&r, OUTER);
	answer(&r, OUTER, req, 180, "");
	feed(&r, INNER, cancel);
	answer(&r, OUTER, req, 200, "");
	expect_status(&r, INNER, 180);
	expect_status(&r, INNER, 200); /* of the CANCEL */
	expect_status(&r, INNER, 200); /* of the INVITE */
	run(&r, 70000);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);
}

static void silence(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r); /* RFC 4320: no 408 to a MESSAGE, and nothing late */
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	const char *req = next(&r, OUTER);
	run(&r, 40000);
	expect_status(&r, INNER, 100);
	nothing(&r, INNER);
	answer(&r, OUTER, req, 200, "");
	nothing(&r, INNER);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);

	rig_start(&r); /* an INVITE is given up */
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	run(&r, 33000);
	expect_status(&r, INNER, 100);
	expect_status(&r, INNER, 408);
	run(&r, 40000);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);
}

static void another_way(void **state)
{
	struct rig r;
	struct sip_flow f;
	(void)state;
	rig_start(&r); /* 503, 503, 200 */
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	answer(&r, OUTER, next(&r, OUTER), 503, "");
	answer(&r, OUTER, next(&r, OUTER), 503, "");
	assert_int_equal(r.busy_ways, 2);
	answer(&r, OUTER, next(&r, OUTER), 200, "");
	expect_status(&r, INNER, 200);
	assert_string_not_equal(r.side[OUTER].sent[0].octets.p, r.side[OUTER].sent[1].octets.p); /* a new branch each time */
	rig_end(&r);

	rig_start(&r); /* 503 for good: it is not we who are overloaded */
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	for (int i = 0; i < ACCESS_ATTEMPTS; i++) {
		answer(&r, OUTER, next(&r, OUTER), 503, "");
		assert_true(slice_starts(slice_str(next(&r, OUTER)), S("ACK "))); /* before the next attempt */
	}
	expect_status(&r, INNER, 500);
	nothing(&r, OUTER);
	run(&r, 70000);
	rig_end(&r);

	rig_start(&r); /* the connection breaks before any answer */
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	f = r.side[OUTER].sent[0].to;
	sip_stack_transport_failed(r.side[OUTER].stack, &f);
	run(&r, 1);
	assert_true(r.ways == 2 && !r.busy_ways);
	(void)next(&r, OUTER);
	answer(&r, OUTER, next(&r, OUTER), 202, "");
	expect_status(&r, INNER, 202);
	rig_end(&r);

	rig_start(&r); /* it breaks after the far end has begun to answer: the request may have been carried out */
	feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
	answer(&r, OUTER, next(&r, OUTER), 180, "");
	expect_status(&r, INNER, 180);
	f = r.side[OUTER].sent[0].to;
	sip_stack_transport_failed(r.side[OUTER].stack, &f);
	run(&r, 1);
	expect_status(&r, INNER, 504);
	assert_int_equal(r.ways, 1);
	run(&r, 70000);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);

	rig_start(&r); /* refused by whoever finds the way */
	r.way = RIG_LATER;
	feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
	access_proxy_refuse(r.proxy, r.leg, REASON_SIP_SRV_DOMAIN, S("no \"match\"\r\n"));
	const char *no = next(&r, INNER);
	assert_true(has(no, "SIP/2.0 504") && has(no, "Entente-Reason: sip/srv-outside-domain\r\n") && has(no, "ms-diagnostics: 1009;reason=\"No match for domain in DNS SRV results\";source=\"edge.ours.test\";detail=\"no 'match'''\"\r\n"));
	rig_end(&r);
}

static void inward(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	feed(&r, OUTER, "MESSAGE sip:alice@ours.test SIP/2.0\r\nv: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\nf: <sip:bob@far.test>;tag=b\r\n"
			"t: <sip:alice@ours.test>\r\ni: c2\r\nCSeq: 4 MESSAGE\r\nl: 2\r\n\r\nyo");
	const char *m = next(&r, INNER);
	assert_true(has(m, "v: SIP/2.0/TLS far.test;branch=z9hG4bK-f1;received=198.51.100.1\r\n"));
	answer(&r, INNER, m, 503, "Entente-Reason: secret\r\nP-Asserted-Identity: <sip:alice@ours.test>\r\nms-diagnostics: 1;source=\"in\"\r\n");
	m = next(&r, OUTER);
	assert_true(has(m, "SIP/2.0 500 Server Internal Error\r\n") && !has(m, "secret") && !has(m, "ms-diagnostics"));
	assert_true(has(m, "P-Asserted-Identity: <sip:alice@ours.test>\r\n"));
	assert_int_equal(r.last_outcome, 503);
	rig_end(&r);

	static const char *const noted[][2] = { /* what a sender says of where it is, and what we do */
		{"far.test;branch=z9hG4bK-1", "far.test;branch=z9hG4bK-1;received=198.51.100.1"},
		{"198.51.100.1;branch=z9hG4bK-1", "198.51.100.1;branch=z9hG4bK-1"},
		{"198.51.100.1;rport;branch=z9hG4bK-1", "198.51.100.1;rport=4321;branch=z9hG4bK-1;received=198.51.100.1"},
		{"198.51.100.1; rport ;branch=z9hG4bK-1", "198.51.100.1; rport=4321 ;branch=z9hG4bK-1;received=198.51.100.1"},
		{"far.test;rport=5;received=10.0.0.1;branch=z9hG4bK-1", "far.test;rport=4321;received=198.51.100.1;branch=z9hG4bK-1"},
		{"198.51.100.1;received=10.0.0.1;branch=z9hG4bK-1", "198.51.100.1;received=198.51.100.1;branch=z9hG4bK-1"},
		{"far.test;rport=4321;received=198.51.100.1;branch=z9hG4bK-1", "far.test;rport=4321;received=198.51.100.1;branch=z9hG4bK-1"},
		{"far.test;branch=z9hG4bK-1 , SIP/2.0/UDP low;received=1.2.3.4", "far.test;branch=z9hG4bK-1;received=198.51.100.1 , SIP/2.0/UDP low;received=1.2.3.4"},
	};
	for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
		char text[1024], want[512];
		rig_start(&r);
		snprintf(text, sizeof text, "MESSAGE sip:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS %s\r\nMax-Forwards: 9\r\nFrom: <sip:bob@far.test>;tag=b\r\n"
			 "To: <sip:alice@ours.test>\r\nCall-ID: c2\r\nCSeq: 4 MESSAGE\r\nContent-Length: 0\r\n\r\n", noted[i][0]);
		snprintf(want, sizeof want, "\r\nVia: SIP/2.0/TLS %s\r\nMax-Forwards: 8\r\n", noted[i][1]);
		feed(&r, OUTER, text);
		m = next(&r, INNER);
		if (!has(m, want))
			fail_msg("%s: %s", noted[i][0], m);
		rig_end(&r);
	}

	rig_start(&r); /* BENOTIFY: carried, never answered */
	feed(&r, OUTER, "BENOTIFY sip:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\nFrom: <sip:bob@far.test>;tag=b\r\n"
			"To: <sip:alice@ours.test>;tag=x\r\nCall-ID: c2\r\nCSeq: 4 BENOTIFY\r\nContent-Length: 0\r\n\r\n");
	assert_true(slice_starts(slice_str(next(&r, INNER)), S("BENOTIFY ")));
	run(&r, 40000);
	nothing(&r, OUTER);
	rig_end(&r);
}

/* ---- rules */

#define FROM_PARTNER(method, uri, more)                                                                                                        \
	method " " uri " SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\nFrom: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>\r\n" \
	       "Call-ID: c2\r\nCSeq: 4 " method "\r\n" more "Content-Length: 0\r\n\r\n"

static void rules(void **state)
{
	struct rig r;
	struct access_rules few = {.methods = 1u << SIP_MESSAGE | 1u << SIP_PUBLISH, .telephone = true, .public_diagnostics = true};
	(void)state;
	rig_start_with(&r, &few);
	feed(&r, OUTER, FROM_PARTNER("PUBLISH", "sip:alice@ours.test", ""));
	assert_true(slice_starts(slice_str(next(&r, INNER)), S("PUBLISH ")));
	feed(&r, OUTER, FROM_PARTNER("INVITE", "sip:alice@ours.test", ""));
	const char *no = next(&r, OUTER);
	assert_true(has(no, "SIP/2.0 403 ") && has(no, "ms-diagnostics-public: 1027;reason=\"Cannot route this type of SIP request to or from federated partners\"\r\n"));
	assert_false(has(no, "source=") || has(no, "Entente-Reason") || has(no, "ms-diagnostics:"));
	feed(&r, OUTER, FROM_PARTNER("NEGOTIATE", "sip:edge.ours.test:5061", ""));
	assert_true(has(next(&r, OUTER), "Allow: MESSAGE, PUBLISH\r\n"));
	feed(&r, INNER, FROM_PARTNER("MESSAGE", "sip:+4930@far.test;user=phone", ""));
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("MESSAGE sip:+4930@far.test;user=phone ")));
	rig_end(&r);

	rig_start(&r); /* what a dialog was made with stays its business */
	feed(&r, OUTER, "INFO sip:+4930@gw.ours.test;user=phone SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nMax-Forwards: 9\r\n"
			"From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>;tag=x\r\nCall-ID: c2\r\nCSeq: 4 INFO\r\nContent-Length: 0\r\n\r\n");
	assert_true(slice_starts(slice_str(next(&r, INNER)), S("INFO sip:+4930@gw.ours.test;user=phone ")));
	feed(&r, INNER, FROM_PARTNER("INVITE", "sip:+4930@far.test;user=phone", ""));
	assert_true(has(next(&r, INNER), "Entente-Reason: policy/telephone-number\r\n"));
	rig_end(&r);
}

/* RFC 3261 16.6: sips is recorded as sips, and needs TLS on our other side. */
static void secure(void **state)
{
	struct rig r;
	(void)state;
	rig_start(&r);
	r.tls_home = true;
	feed(&r, INNER, FROM_PARTNER("INVITE", "sips:bob@far.test", ""));
	const char *m = next(&r, OUTER);
	assert_true(has(m, "Record-Route: <sips:edge.ours.test:5061;lr>\r\nRecord-Route: <sips:10.0.0.2:5060;transport=tls;lr>\r\n"));
	feed(&r, OUTER, "BYE sips:alice@10.1.1.1 SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f2\r\nMax-Forwards: 9\r\n"
			"Route: <sips:edge.ours.test:5061;lr>, <sips:10.0.0.2:5060;transport=tls;lr>, <sips:home.ours.test;lr>\r\n"
			"From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>;tag=x\r\nCall-ID: c2\r\nCSeq: 4 BYE\r\nContent-Length: 0\r\n\r\n");
	m = next(&r, INNER);
	assert_true(has(m, "Route: <sips:home.ours.test;lr>\r\n") && !has(m, "<sips:10.0.0.2"));
	rig_end(&r);
	rig_start(&r);
	feed(&r, INNER, FROM_PARTNER("INVITE", "sips:bob@far.test", ""));
	assert_true(has(next(&r, INNER), "Entente-Reason: address/sips-not-allowed\r\n"));
	nothing(&r, OUTER);
	rig_end(&r);
}

/* An answer whose Vias are not those that we sent would go nowhere, or to somebody else. */
static void answers_without_via(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig r;
		char text[2048];
		rig_start(&r);
		feed(&r, INNER, HEAD_OUT("INVITE") REST_OUT("INVITE") "l: 0\r\n\r\n");
		const char *request = next(&r, OUTER), *via = strstr(request, "Via:");
		static const char *const below[] = {"", "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-other\r\n", "Via: SIP/2.0/TCP\r\n"};
		for (int status = 180; status < 300; status += 20) {
			if (status > 180 && status < 200)
				continue;
			snprintf(text, sizeof text, "SIP/2.0 %d X\r\n%.*s\r\n%sFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>;tag=2\r\nCall-ID: c1\r\n"
				 "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n", status, (int)(strchr(via, '\r') - via), via, below[i]);
			feed(&r, OUTER, text);
			if (status == 200)
				break;
			nothing(&r, INNER);
		}
		expect_status(&r, INNER, 502);
		run(&r, 70000);
		assert_int_equal(access_proxy_legs(r.proxy), 0);
		rig_end(&r);
	}
}

/* A Lync home learns that a partner said no without a word; not when the partner says why, and nobody else does. */
static void diagnosed(void **state)
{
	static const char diag[] = "ms-diagnostics: 1034;reason=\"Previous hop federated peer did not report diagnostic information\";Domain=\"far.test\";source=\"edge.ours.test\"\r\n";
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct rig r;
		rig_start(&r);
		r.marks.source_type = i == 1 ? NULL : "AutoFederation";
		r.marks.edge_name = S("edge.ours.test");
		feed(&r, INNER, HEAD_OUT("MESSAGE") REST_OUT("MESSAGE") "l: 0\r\n\r\n");
		answer(&r, OUTER, next(&r, OUTER), i == 3 ? 200 : 504, i == 2 ? "ms-diagnostics-public: 1003;reason=\"x\"\r\n" : "ms-diagnostics: 1;source=\"x\"\r\n");
		const char *m = next(&r, INNER);
		if (has(m, diag) != (i == 0) || has(m, "ms-diagnostics: 1;"))
			fail_msg("case %d: %s", i, m);
		rig_end(&r);
	}
}

/* ---- headers at the border */

static void border(void **state)
{
	/* each stands twice, in another case and folded */
	static const char *const trust[] = {"ms-edge-proxy-message-trust", "ms-asserted-verification-level", "ms-user-data", "ms-user-logon-data",
					    "ms-split-domain-info", "ms-application-via", "ms-diagnostics", "ms-keep-alive", "P-Preferred-Identity",
					    "Remote-Party-ID", "Entente-Reason", "ms-received-port", "P-Charging-Vector"};
	(void)state;
	for (int from = 0; from < 2; from++) {
		struct rig r;
		struct buf b;
		const char *theirs = from == OUTER ? "far.test" : "ours.test", *ours = from == OUTER ? "ours.test" : "far.test";
		rig_start(&r);
		r.terms.marks = (struct access_marks){.source_type = "DirectPartner", .edge_name = S("edge.ours.test"), .verified = true};
		r.marks = (struct access_marks){.mark = true};
		buf_init(&b, 65536);
		buf_printf(&b, "MESSAGE sip:x@%s SIP/2.0\r\nVia: SIP/2.0/TLS z.test;branch=z9hG4bK-f1\r\nFrom: <sip:a@%s>;tag=b\r\nTo: <sip:x@%s>\r\nCall-ID: c\r\n"
			       "CSeq: 1 MESSAGE\r\n", ours, theirs, ours);
		for (size_t i = 0; i < sizeof trust / sizeof *trust; i++) {
			buf_printf(&b, "%s: forged\r\n", trust[i]);
			for (const char *p = trust[i]; *p; p++)
				buf_putc(&b, *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
			buf_puts(&b, " \t:\r\n forged\r\n");
		}
		buf_puts(&b, "ms-diagnostics-public: 1;reason=\"kept\"\r\nIdentity: kept\r\nMs-Sender: kept\r\nContent-Length: 0\r\n\r\n");
		feed_octets(&r, from, 1, buf_slice(&b));
		const char *m = next(&r, 1 - from);
		assert_false(has(m, "forged"));
		assert_true(has(m, "ms-diagnostics-public: 1;reason=\"kept\"\r\nIdentity: kept\r\nMs-Sender: kept\r\n"));
		if (from == OUTER)
			assert_true(has(m, "ms-edge-proxy-message-trust: ms-source-type=DirectPartner;ms-ep-fqdn=edge.ours.test;ms-source-verified-user=verified;"
					   "ms-source-network=federation\r\n"));
		else
			assert_true(has(m, "ms-asserted-verification-level: ms-source-verified-user=unverified\r\n"));
		buf_free(&b);
		rig_end(&r);
	}
}

static void asserted_identity(void **state)
{
	static const struct {
		int from;
		const char *lines;
		bool believed, kept;
	} cases[] = {
		{INNER, "P-Asserted-Identity: <sip:a@ours.test>\r\n", false, true},
		{INNER, "P-Asserted-Identity: \"A\" <sip:a@ours.test>, <tel:+491>\r\n", false, true},
		{INNER, "P-Asserted-Identity: <sip:a@other.test>\r\n", false, false},
		{INNER, "P-Asserted-Identity: <sip:a@ours.test>, <sip:a@other.test>\r\n", false, false},
		{INNER, "P-Asserted-Identity: <sip:a@ours.test>\r\nPrivacy: header; id\r\n", false, false},
		{INNER, "P-Asserted-Identity: <http://ours.test>\r\n", false, false},
		{OUTER, "P-Asserted-Identity: <sip:a@far.test>\r\n", false, false},
		{OUTER, "P-Asserted-Identity: <sip:a@far.test>\r\n", true, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig r;
		char text[1024];
		rig_start(&r);
		r.terms.marks.keep_asserted = cases[i].believed;
		snprintf(text, sizeof text, "MESSAGE sip:x@%s SIP/2.0\r\nVia: SIP/2.0/TLS z.test;branch=z9hG4bK-f1\r\nFrom: <sip:a@%s>;tag=b\r\nTo: <sip:x@%s>\r\nCall-ID: c\r\n"
			 "CSeq: 1 MESSAGE\r\n%sContent-Length: 0\r\n\r\n", cases[i].from == OUTER ? "ours.test" : "far.test",
			 cases[i].from == OUTER ? "far.test" : "ours.test", cases[i].from == OUTER ? "ours.test" : "far.test", cases[i].lines);
		feed(&r, cases[i].from, text);
		if (has(next(&r, 1 - cases[i].from), "P-Asserted-Identity") != cases[i].kept)
			fail_msg("case %zu", i);
		rig_end(&r);
	}
}

/* ---- the clearing house: from one partner to another */

#define THROUGH(method, branch, routes, to)                                                                                                  \
	method " sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test:5061;branch=z9hG4bK" branch "\r\n" routes                       \
	"Max-Forwards: 70\r\nFrom: <sip:ann@near.test>;epid=0a;tag=n1\r\nTo: <sip:bob@far.test>" to "\r\nCall-ID: t1\r\nCSeq: 1 " method "\r\n" \
	"Contact: <sip:ann@10.1.1.1>\r\n"

enum { NEAR = 50 }; /* the connection of who asks; those that we open count from 1 */

static void start_through(struct rig *r, bool hide)
{
	static const char key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct access_rules rules = access_rules_default;
	access_hide_keys(&rules.keys, slice_str(key));
	rules.hide = hide;
	rig_start_with(r, &rules);
	r->transit = true;
	r->terms.marks.verified = true;
	r->marks = (struct access_marks){.mark = true, .verified = true, .disclaimer = true};
}

static const struct sip_flow *last_flow(const struct rig *r)
{
	return &r->side[OUTER].sent[r->side[OUTER].read - 1].to;
}

static void through_octets(void **state)
{
	(void)state;
	for (int vouched = 0; vouched < 2; vouched++) {
		struct rig r;
		char got[4096];
		start_through(&r, false);
		r.terms.marks.verified = vouched;
		feed_octets(&r, OUTER, NEAR, S(THROUGH("MESSAGE", "t1", "", "")
			"P-Asserted-Identity: <sip:ann@near.test>\r\nms-edge-proxy-message-trust: ms-source-type=InternalEdge;ms-ep-fqdn=x\r\n"
			"ms-asserted-verification-level: ms-source-verified-user=verified\r\nms-Conversation-ID: =x=\r\nl: 2\r\n\r\nhi"));
		assert_string_equal(without_branch(next(&r, OUTER), got, sizeof got), vouched ?
			"MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS edge.ours.test:5061;branch=z9hG4bK*\r\n"
			"Via: SIP/2.0/TLS sip.near.test:5061;branch=z9hG4bKt1;received=198.51.100.1\r\n"
			"Max-Forwards: 69\r\nFrom: <sip:ann@near.test>;epid=0a;tag=n1\r\nTo: <sip:bob@far.test>\r\nCall-ID: t1\r\nCSeq: 1 MESSAGE\r\n"
			"Contact: <sip:ann@10.1.1.1>\r\nP-Asserted-Identity: <sip:ann@near.test>\r\nms-Conversation-ID: =x=\r\nl: 2\r\n"
			"Max-Breadth: 60\r\nms-asserted-verification-level: ms-source-verified-user=verified\r\nms-archiving: true\r\n\r\nhi" :
			"MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS edge.ours.test:5061;branch=z9hG4bK*\r\n"
			"Via: SIP/2.0/TLS sip.near.test:5061;branch=z9hG4bKt1;received=198.51.100.1\r\n"
			"Max-Forwards: 69\r\nFrom: <sip:ann@near.test>;epid=0a;tag=n1\r\nTo: <sip:bob@far.test>\r\nCall-ID: t1\r\nCSeq: 1 MESSAGE\r\n"
			"Contact: <sip:ann@10.1.1.1>\r\nms-Conversation-ID: =x=\r\nl: 2\r\n"
			"Max-Breadth: 60\r\nms-asserted-verification-level: ms-source-verified-user=unverified\r\nms-archiving: true\r\n\r\nhi");
		assert_int_equal(last_flow(&r)->conn, 1);
		answer(&r, OUTER, r.side[OUTER].sent[0].octets.p, 404, "P-Asserted-Identity: <sip:boss@near.test>\r\nms-diagnostics: 4005;source=\"inside\"\r\n"
			"ms-edge-proxy-message-trust: ms-source-type=x\r\nms-archiving: false\r\nms-Odd: kept\r\n");
		const char *back = next(&r, OUTER);
		assert_int_equal(last_flow(&r)->conn, NEAR);
		assert_true(slice_starts(slice_str(back), S("SIP/2.0 404 Not Found\r\nVia: SIP/2.0/TLS sip.near.test:5061;branch=z9hG4bKt1;received=198.51.100.1\r\n")));
		assert_true(has(back, "ms-Odd: kept\r\n") && !has(back, "Asserted") && !has(back, "trust") && !has(back, "ms-diagnostics"));
		assert_int_equal(r.last_outcome, 404);
		nothing(&r, INNER);
		assert_int_equal(access_proxy_legs(r.proxy), 0);
		rig_end(&r);
	}
}

static void through_call(void **state)
{
	(void)state;
	for (int hide = 0; hide < 2; hide++) { /* nobody's topology is hidden from another partner: hiding changes nothing */
		struct rig r;
		char us[300], text[2048], record[400];
		start_through(&r, hide);
		feed_octets(&r, OUTER, NEAR, S(THROUGH("INVITE", "i", "Record-Route: <sip:in.near.test;lr>\r\n", "") "User-Agent: near\r\nContent-Length: 0\r\n\r\n"));
		const char *invite = next(&r, OUTER);
		assert_int_equal(last_flow(&r)->conn, 1);
		assert_true(has(invite, "Contact: <sip:ann@10.1.1.1>\r\n") && has(invite, "User-Agent: near\r\n") && has(invite, ";branch=z9hG4bKi;received="));
		const char *at = strstr(invite, "Record-Route: <sip:edge.ours.test:5061;transport=tls;lr;dlg=");
		assert_non_null(at);
		const char *second = strstr(at + 1, "Record-Route: ");
		assert_true(second && slice_starts(slice_str(second), S("Record-Route: <sip:in.near.test;lr>\r\n")) && !has(second + 1, "Record-Route")); /* one is enough */
		snprintf(us, sizeof us, "%.*s", (int)(strchr(at, '>') - at - 15), at + 15);
		snprintf(record, sizeof record, "Record-Route: <%s>, <sip:in.near.test;lr>\r\nContact: <sip:bob@10.2.2.2>\r\n", us);
		answer(&r, OUTER, invite, 180, record);
		expect_status(&r, OUTER, 180);
		assert_int_equal(last_flow(&r)->conn, NEAR);
		answer(&r, OUTER, invite, 200, record);
		const char *ok = next(&r, OUTER);
		assert_true(slice_starts(slice_str(ok), S("SIP/2.0 200 ")) && has(ok, record));
		/* ACK, then a request from either end, over whichever connection: each goes the other way */
		snprintf(text, sizeof text, "ACK sip:bob@10.2.2.2 SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test;branch=z9hG4bKa\r\nRoute: <%s>, <sip:in.far.test;lr>\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:ann@near.test>;tag=n1\r\nTo: <sip:bob@far.test>;tag=far\r\nCall-ID: t1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n", us);
		feed_octets(&r, OUTER, NEAR, slice_str(text));
		const char *ack = next(&r, OUTER);
		assert_true(slice_starts(slice_str(ack), S("ACK sip:bob@10.2.2.2 ")) && has(ack, "\r\nRoute: <sip:in.far.test;lr>\r\n"));
		snprintf(text, sizeof text, "BYE sip:ann@10.1.1.1 SIP/2.0\r\nVia: SIP/2.0/TLS sip.far.test;branch=z9hG4bKb\r\nRoute: <%s>, <sip:in.near.test;lr>\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:bob@far.test>;tag=far\r\nTo: <sip:ann@near.test>;tag=n1\r\nCall-ID: t1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n", us);
		feed_octets(&r, OUTER, NEAR + 1, slice_str(text));
		const char *bye = next(&r, OUTER);
		assert_true(slice_starts(slice_str(bye), S("BYE sip:ann@10.1.1.1 ")) && has(bye, "\r\nRoute: <sip:in.near.test;lr>\r\n") && !has(bye, "Record-Route"));
		answer(&r, OUTER, bye, 200, "");
		expect_status(&r, OUTER, 200);
		assert_int_equal(last_flow(&r)->conn, NEAR + 1);
		/* with this dialog nobody gets to a user of ours, nor to a telephone */
		r.transit = false;
		snprintf(text, sizeof text, "INVITE sip:+4930123@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test;branch=z9hG4bKd\r\nRoute: <%s>\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:ann@near.test>;tag=n1\r\nTo: <sip:+4930123@ours.test>;tag=z\r\nCall-ID: t1\r\nCSeq: 8 INVITE\r\nContent-Length: 0\r\n\r\n", us);
		feed_octets(&r, OUTER, NEAR, slice_str(text));
		expect_status(&r, OUTER, 403);
		nothing(&r, INNER);
		snprintf(text, sizeof text, "INFO sip:victim@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test;branch=z9hG4bKc\r\nRoute: <%s>\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:ann@near.test>;tag=n1\r\nTo: <sip:romeo@ours.test>;tag=z\r\nCall-ID: t1\r\nCSeq: 9 INFO\r\nContent-Length: 0\r\n\r\n", us);
		feed_octets(&r, OUTER, NEAR, slice_str(text));
		expect_status(&r, OUTER, 403);
		nothing(&r, INNER);
		rig_end(&r);
	}
}

/* What is answered is nobody's share any more, though the leg of a call stays for what forks may answer. */
static void shares(void **state)
{
	struct rig r;
	(void)state;
	start_through(&r, false);
	r.guests = true;
	r.terms.guest = (struct access_guest *)(void *)&r.over_caller;
	int64_t before = metric_get(METRIC_MSG_SIP_SIP_SESSION_DELIVERED);
	feed_octets(&r, OUTER, NEAR, S(THROUGH("INVITE", "i", "", "") "l: 0\r\n\r\n"));
	const char *invite = next(&r, OUTER);
	answer(&r, OUTER, invite, 503, ""); /* another way: the first one's share is given back, the caller's is not */
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("ACK ")));
	const char *second = next(&r, OUTER);
	assert_true(r.over_guest == 1 && r.over_caller == 0);
	answer(&r, OUTER, second, 180, "");
	expect_status(&r, OUTER, 180);
	assert_true(r.over_guest == 1 && r.over_caller == 0);
	answer(&r, OUTER, second, 200, "");
	expect_status(&r, OUTER, 200);
	assert_true(r.over_guest == 2 && r.over_caller == 1);
	answer(&r, OUTER, second, 200, ""); /* of another fork, or again */
	expect_status(&r, OUTER, 200);
	assert_int_equal(metric_get(METRIC_MSG_SIP_SIP_SESSION_DELIVERED) - before, 1);
	rig_end(&r);
	assert_true(r.over_guest == 2 && r.over_caller == 1);
}

/* A dialog with a user of ours is no way to another partner; neither is a made-up one. */
static void through_strange(void **state)
{
	struct rig r;
	char us[300], text[2048];
	(void)state;
	start_through(&r, false);
	r.transit = false;
	feed_octets(&r, OUTER, NEAR, S("INVITE sip:romeo@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test;branch=z9hG4bKi\r\nMax-Forwards: 70\r\n"
		"From: <sip:ann@near.test>;tag=n1\r\nTo: <sip:romeo@ours.test>\r\nCall-ID: t1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"));
	const char *inward = next(&r, INNER), *at = strstr(inward, "<sip:edge.ours.test:5061;transport=tls;lr;dlg=");
	assert_non_null(at);
	snprintf(us, sizeof us, "%.*s", (int)(strchr(at, '>') - at - 1), at + 1);
	r.transit = true;
	static const char *const uris[] = {"sip:bob@10.2.2.2", "sip:bob@10.2.2.2", "sip:bob@edge.ours.test:5061;transport=tls", "sip:edge.ours.test:5061;transport=tls"};
	for (int i = 0; i < 4; i++) {
		char route[400];
		snprintf(route, sizeof route, "Route: <%s>\r\n", i ? "sip:edge.ours.test:5061;transport=tls;lr" : us);
		snprintf(text, sizeof text, "INFO %s SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test;branch=z9hG4bKs%d\r\n%sMax-Forwards: 70\r\nFrom: <sip:ann@near.test>;tag=n1\r\n"
			 "To: <sip:bob@far.test>;tag=f\r\nCall-ID: t1\r\nCSeq: %d INFO\r\nContent-Length: 0\r\n\r\n", uris[i], i, i == 3 ? "" : route, i + 2);
		feed_octets(&r, OUTER, NEAR, slice_str(text));
		expect_status(&r, OUTER, 403);
	}
	assert_int_equal(r.ways, 0);
	rig_end(&r);
}

static void through_fails(void **state)
{
	struct rig r;
	(void)state;
	start_through(&r, false); /* no way: the partner learns the status, not the reason */
	r.way = RIG_LOST;
	feed_octets(&r, OUTER, NEAR, S(THROUGH("MESSAGE", "m", "", "") "l: 0\r\n\r\n"));
	const char *no = next(&r, OUTER);
	assert_true(slice_starts(slice_str(no), S("SIP/2.0 504 ")) && !has(no, "Entente-Reason") && !has(no, "ms-diagnostics"));
	assert_int_equal(r.last_outcome, 504);
	rig_end(&r);
	start_through(&r, false); /* the last hop, and around in a circle */
	feed_octets(&r, OUTER, NEAR, S("MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS n;branch=z9hG4bKh\r\nMax-Forwards: 0\r\nFrom: <sip:ann@near.test>;tag=n1\r\n"
		"To: <sip:bob@far.test>\r\nCall-ID: t0\r\nCSeq: 1 MESSAGE\r\nl: 0\r\n\r\n"));
	expect_status(&r, OUTER, 483);
	feed_octets(&r, OUTER, NEAR, S(THROUGH("MESSAGE", "m", "", "") "l: 0\r\n\r\n"));
	const char *sent = next(&r, OUTER);
	feed_octets(&r, OUTER, 1, slice_str(sent));
	expect_status(&r, OUTER, 482);
	rig_end(&r);
	start_through(&r, false); /* given up while it rings; 503 of one server: the next; of all: not ours */
	feed_octets(&r, OUTER, NEAR, S(THROUGH("INVITE", "g", "", "") "l: 0\r\n\r\n"));
	answer(&r, OUTER, next(&r, OUTER), 503, "");
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("ACK ")));
	const char *again = next(&r, OUTER);
	assert_int_equal(last_flow(&r)->conn, 2);
	answer(&r, OUTER, again, 180, "");
	expect_status(&r, OUTER, 180);
	feed_octets(&r, OUTER, NEAR, S("CANCEL sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TLS sip.near.test:5061;branch=z9hG4bKg\r\nMax-Forwards: 70\r\n"
		"From: <sip:ann@near.test>;epid=0a;tag=n1\r\nTo: <sip:bob@far.test>\r\nCall-ID: t1\r\nCSeq: 1 CANCEL\r\nl: 0\r\n\r\n"));
	expect_status(&r, OUTER, 200);
	assert_int_equal(last_flow(&r)->conn, NEAR);
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("CANCEL ")));
	answer(&r, OUTER, again, 487, "");
	assert_true(slice_starts(slice_str(next(&r, OUTER)), S("ACK ")));
	expect_status(&r, OUTER, 487);
	assert_int_equal(last_flow(&r)->conn, NEAR);
	run(&r, 40000);
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	nothing(&r, INNER);
	rig_end(&r);
}

/* What is a call: also where the offer cannot be read. */
static void media(void **state)
{
	static const struct {
		const char *method, *headers, *body;
		bool is;
	} rows[] = {
		{"INVITE", "", "v=0\r\nm=message 5060 sip null\r\n", false},
		{"INVITE", "", "v=0\r\nm=audio 5060 RTP/AVP 0\r\n", true},
		{"INVITE", "", "v=0\nm=message 5060 sip null\nm=video 5060 RTP/AVP 31\n", true},
		{"INVITE", "", "v=0\rm=audio 5060 RTP/AVP 0\r", true},
		{"UPDATE", "", "m=audio 0 RTP/AVP 0\r\n", false},
		{"UPDATE", "", "m=audio 0 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\n", true},
		{"INVITE", "", "", true},
		{"UPDATE", "", "", false},
		{"MESSAGE", "", "m=audio 5060 RTP/AVP 0\r\n", false},
		{"INVITE", "Content-Encoding: gzip\r\n", "what", true},
		{"INVITE", "e: Identity\r\n", "v=0\r\n", false},
		{"UPDATE", "Content-Encoding: gzip\r\n", "", false},
		{"INVITE", "", "--b\r\ncontent-transfer-encoding: base64\r\n\r\nbT1hdWRpbyA1MDYwIA==\r\n--b--\r\n", true},
		{"INVITE", "", "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nv=0\r\n--b--\r\n", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_new(1 << 18);
		struct sip_msg *m;
		struct sip_fault fault;
		struct slice raw = arena_printf(a, "%s sip:a@b.test SIP/2.0\r\nVia: SIP/2.0/TLS c.test;branch=z9hG4bKq\r\nFrom: <sip:c@c.test>;tag=1\r\n"
						   "To: <sip:a@b.test>\r\nCall-ID: m\r\nCSeq: 1 %s\r\n%sContent-Type: application/sdp\r\n"
						   "Content-Length: %zu\r\n\r\n%s",
						rows[i].method, rows[i].method, rows[i].headers, strlen(rows[i].body), rows[i].body);
		assert_int_equal(sip_msg_parse(&m, a, raw, &sip_limits_default, &fault), 0);
		if (access_media(m) != rows[i].is)
			fail_msg("row %zu", i);
		arena_release(NULL, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outward_octets), cmocka_unit_test(answers_of_another_connection), cmocka_unit_test(record_route_pairs),
		cmocka_unit_test(routes),         cmocka_unit_test(refused),                     cmocka_unit_test(hops),
		cmocka_unit_test(loops),          cmocka_unit_test(invite),                      cmocka_unit_test(cancelled),
		cmocka_unit_test(silence),        cmocka_unit_test(another_way),                 cmocka_unit_test(inward),
		cmocka_unit_test(border),         cmocka_unit_test(asserted_identity),           cmocka_unit_test(rules),
		cmocka_unit_test(secure),         cmocka_unit_test(answers_without_via),         cmocka_unit_test(diagnosed),
		cmocka_unit_test(through_octets),  cmocka_unit_test(through_call),                  cmocka_unit_test(through_strange),
		cmocka_unit_test(shares),          cmocka_unit_test(through_fails),               cmocka_unit_test(media),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
