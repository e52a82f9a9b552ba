/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sip/build.h"
#include "sip/dialog.h"

static struct sip_msg *parse(struct arena *a, const char *text)
{
	struct buf b;
	struct sip_msg *m;
	struct sip_fault fault;
	buf_init(&b, 1 << 20);
	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			buf_putc(&b, '\r');
		buf_putc(&b, *c);
	}
	struct slice s = arena_dup(a, buf_slice(&b));
	buf_free(&b);
	int rc = sip_msg_parse(&m, a, s, &sip_limits_default, &fault);
	if (rc)
		print_message("%s\n", fault.text);
	assert_int_equal(rc, 0);
	return m;
}

#define SUBSCRIBE(uri, routes, contact)                                                                                          \
	"SUBSCRIBE " uri " SIP/2.0\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\n" routes                                                 \
	"From: \"Alice; A\" <sip:alice@a.example>;tag=ftag;epid=0a1b\nTo: <sip:bob@b.example>\nCall-ID: call-1\n"                \
	"CSeq: 17 SUBSCRIBE\n" contact "Event: presence\nContent-Length: 0\n\n"
#define RR                                                                                                                       \
	"Record-Route: <sip:p1.example:5061;transport=tls;ms-fe=fe1;opaque=state:T;lr;ms-route-sig=aaBB>\n"                      \
	"Record-Route: <sip:p2.example;lr>, <sip:p3.example;lr>;x=1\n"
#define GRUU "Contact: <sip:alice@a.example;opaque=user:epid:ABC;gruu>;+sip.instance=\"<urn:x>\"\n"

static void check_request(struct sip_dialog *d, enum sip_method method, uint32_t cseq, const char *want)
{
	struct buf b;
	buf_init(&b, 65536);
	sip_dialog_request(d, &b, method, cseq);
	assert_true(buf_ok(&b));
	struct slice s = buf_slice(&b);
	char *text = mem_strndup(s.p, s.len), *w = text;
	for (char *r = text; *r; r++)
		if (*r != '\r')
			*w++ = *r;
	*w = 0;
	assert_string_equal(text, want);
	mem_free(text);
	buf_free(&b);
}

static void test_uas(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d;
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sip:bob@b.example", RR, GRUU)), S("ltag"), true), 0);
	assert_int_equal(d.remote_cseq, 17);
	assert_false(d.secure);
	/* in the order received; epid and route signatures untouched */
	check_request(&d, SIP_NOTIFY, 0,
		      "NOTIFY sip:alice@a.example;opaque=user:epid:ABC;gruu SIP/2.0\n"
		      "Max-Forwards: 70\n"
		      "Route: <sip:p1.example:5061;transport=tls;ms-fe=fe1;opaque=state:T;lr;ms-route-sig=aaBB>\n"
		      "Route: <sip:p2.example;lr>\n"
		      "Route: <sip:p3.example;lr>;x=1\n"
		      "From: <sip:bob@b.example>;tag=ltag\n"
		      "To: \"Alice; A\" <sip:alice@a.example>;epid=0a1b;tag=ftag\n"
		      "Call-ID: call-1\n"
		      "CSeq: 1 NOTIFY\n");
	assert_true(slice_eq(sip_dialog_next_hop(&d),
			     S("sip:p1.example:5061;transport=tls;ms-fe=fe1;opaque=state:T;lr;ms-route-sig=aaBB")));
	sip_dialog_free(&d);
	sip_dialog_free(&d);
	/* sips over TLS is secure (12.1.1) */
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sips:bob@b.example", "", GRUU)), S("ltag"), true), 0);
	assert_true(d.secure);
	sip_dialog_refresh(&d, parse(a, SUBSCRIBE("sips:bob@b.example", "", "Contact: <sip:a?b@x.example;p=1?subject=hi>\n")));
	assert_true(slice_eq(d.target, S("sip:a?b@x.example;p=1"))); /* headers have no place in a Request-URI */
	sip_dialog_refresh(&d, parse(a, SUBSCRIBE("sips:bob@b.example", "", GRUU)));
	assert_true(slice_eq(sip_dialog_next_hop(&d), S("sip:alice@a.example;opaque=user:epid:ABC;gruu")));
	sip_dialog_free(&d);
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sip:bob@b.example", "", "")), S("ltag"), true), ENTENTE_ESYNTAX);
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sip:bob@b.example", "", "Contact: *\n")), S("ltag"), true),
			 ENTENTE_ESYNTAX);
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sip:bob@b.example", "", "Contact: <tel:+1>\n")), S("ltag"), true),
			 ENTENTE_ESYNTAX);
	arena_release(NULL, a);
}

#define OK(routes, contact)                                                                                                      \
	"SIP/2.0 200 OK\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\n" routes "From: <sip:j@x>;tag=mine\n"                               \
	"To: \"Bob\" <sip:bob@b.example>;epid=77;tag=rtag\nCall-ID: call-2\nCSeq: 3 SUBSCRIBE\n" contact "Content-Length: 0\n\n"

static const struct sip_dialog_local own = {.call_id = {"call-2", 6},
					    .local_tag = {"mine", 4},
					    .local = {"<sip:j@x>", 9},
					    .remote = {"<sip:bob@b.example>", 19},
					    .cseq = 3};

static void test_uac(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d;
	assert_int_equal(sip_dialog_uac(&d, &own, parse(a, OK(RR, "Contact: <sip:bob@192.0.2.2>\n"))), 0);
	/* reversed (12.1.2) */
	check_request(&d, SIP_SUBSCRIBE, 0,
		      "SUBSCRIBE sip:bob@192.0.2.2 SIP/2.0\n"
		      "Max-Forwards: 70\n"
		      "Route: <sip:p3.example;lr>;x=1\n"
		      "Route: <sip:p2.example;lr>\n"
		      "Route: <sip:p1.example:5061;transport=tls;ms-fe=fe1;opaque=state:T;lr;ms-route-sig=aaBB>\n"
		      "From: <sip:j@x>;tag=mine\n"
		      "To: \"Bob\" <sip:bob@b.example>;epid=77;tag=rtag\n"
		      "Call-ID: call-2\n"
		      "CSeq: 4 SUBSCRIBE\n");
	check_request(
		&d, SIP_ACK, 3,
		"ACK sip:bob@192.0.2.2 SIP/2.0\nMax-Forwards: 70\nRoute: <sip:p3.example;lr>;x=1\nRoute: <sip:p2.example;lr>\n"
		"Route: <sip:p1.example:5061;transport=tls;ms-fe=fe1;opaque=state:T;lr;ms-route-sig=aaBB>\n"
		"From: <sip:j@x>;tag=mine\nTo: \"Bob\" <sip:bob@b.example>;epid=77;tag=rtag\nCall-ID: call-2\nCSeq: 3 ACK\n");
	assert_int_equal(d.local_cseq, 4);
	/* the target moves, the route set does not */
	sip_dialog_refresh(&d, parse(a, OK("Record-Route: <sip:other;lr>\n", "Contact: <sip:bob@192.0.2.9>\n")));
	assert_true(slice_eq(d.target, S("sip:bob@192.0.2.9")));
	sip_dialog_refresh(&d, parse(a, OK("", "")));
	assert_true(slice_eq(d.target, S("sip:bob@192.0.2.9")));
	sip_dialog_adopt_routes(&d, parse(a, OK("Record-Route: <sip:other;lr>\n", "")));
	assert_true(slice_eq(sip_dialog_next_hop(&d), S("sip:p3.example;lr")));
	sip_dialog_free(&d);
	assert_int_equal(sip_dialog_uac(&d, &own, parse(a, OK("", "Contact: <sip:bob@192.0.2.2>\n"))), 0);
	sip_dialog_adopt_routes(&d, parse(a, OK("Record-Route: <sip:r1;lr>\nRecord-Route: <sip:r2;lr>\n", "")));
	assert_true(slice_eq(sip_dialog_next_hop(&d), S("sip:r2;lr")));
	sip_dialog_free(&d);
	arena_release(NULL, a);
}

/* 12.2.1.1: the first router is strict. */
static void test_strict_route(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d;
	assert_int_equal(sip_dialog_uac(&d, &own,
					parse(a, OK("Record-Route: <sip:p2;lr>, <sip:strict.example:5070?x=1>\n",
						    "Contact: <sip:bob@192.0.2.2>\n"))),
			 0);
	check_request(&d, SIP_SUBSCRIBE, 0,
		      "SUBSCRIBE sip:strict.example:5070 SIP/2.0\n"
		      "Max-Forwards: 70\n"
		      "Route: <sip:p2;lr>\n"
		      "Route: <sip:bob@192.0.2.2>\n"
		      "From: <sip:j@x>;tag=mine\n"
		      "To: \"Bob\" <sip:bob@b.example>;epid=77;tag=rtag\n"
		      "Call-ID: call-2\n"
		      "CSeq: 4 SUBSCRIBE\n");
	sip_dialog_free(&d);
	arena_release(NULL, a);
}

static void test_notified(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d;
	const char *notify =
		"NOTIFY sip:j@gw SIP/2.0\nVia: SIP/2.0/TLS y;branch=z9hG4bK2\nRecord-Route: <sip:r1;lr>\nRecord-Route: "
		"<sip:r2;lr>\n"
		"From: \"B\"\n <sip:bob@b.example>;tag=rt;epid=5\nTo: <sip:j@x>;tag=mine\nCall-ID: call-2\nCSeq: 9 NOTIFY\n"
		"Contact: <sip:bob@192.0.2.3>\nEvent: presence\nContent-Length: 0\n\n";
	struct sip_msg *m = parse(a, notify);
	assert_int_equal(sip_dialog_notified(&d, &own, m), 0);
	check_request(
		&d, SIP_SUBSCRIBE, 0,
		"SUBSCRIBE sip:bob@192.0.2.3 SIP/2.0\nMax-Forwards: 70\nRoute: <sip:r1;lr>\nRoute: <sip:r2;lr>\n"
		"From: <sip:j@x>;tag=mine\nTo: \"B\" <sip:bob@b.example>;epid=5;tag=rt\nCall-ID: call-2\nCSeq: 4 SUBSCRIBE\n");
	assert_true(sip_dialog_matches(&d, m));
	assert_true(sip_dialog_accept(&d, m)); /* equal: the same again */
	m->cseq = 8;
	assert_false(sip_dialog_accept(&d, m));
	m->cseq = 1000;
	assert_true(sip_dialog_accept(&d, m));
	m->cseq = 999;
	assert_false(sip_dialog_accept(&d, m));
	sip_dialog_free(&d);
	arena_release(NULL, a);
}

static void test_save_restore(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d, e;
	struct buf b, b2;
	buf_init(&b, 65536);
	buf_init(&b2, 65536);
	assert_int_equal(sip_dialog_uas(&d, parse(a, SUBSCRIBE("sips:bob@b.example", RR, GRUU)), S("ltag"), true), 0);
	d.local_cseq = 41;
	sip_dialog_save(&d, &b);
	buf_puts(&b, "more\n");
	struct slice text = buf_slice(&b);
	assert_int_equal(sip_dialog_restore(&e, &text), 0);
	assert_true(slice_eq(text, S("more\n")));
	sip_dialog_save(&e, &b2);
	assert_true(slice_eq(buf_slice(&b2), slice_first(buf_slice(&b), b.len - 5)));
	assert_true(e.secure);
	assert_int_equal(e.local_cseq, 41);
	assert_int_equal(e.remote_cseq, 17);
	sip_dialog_free(&e);
	/* every cut is refused, nothing leaks */
	for (size_t n = 0; n + 6 < b.len; n++) {
		text = slice_first(buf_slice(&b), n);
		assert_int_equal(sip_dialog_restore(&e, &text), ENTENTE_ESYNTAX);
	}
	text = S("call-id x\nlocal-tag t\nlocal a\nremote b\ntarget nonsense\nend\n");
	assert_int_equal(sip_dialog_restore(&e, &text), ENTENTE_ESYNTAX);
	text = S("call-id x\nlocal-tag t\nlocal a\nremote  \ntarget sip:x\nend\n"); /* blank */
	assert_int_equal(sip_dialog_restore(&e, &text), ENTENTE_ESYNTAX);
	text = S("call-id x\r\nlocal-tag t\nlocal a\nremote b\ntarget sip:x\nend\n");
	assert_int_equal(sip_dialog_restore(&e, &text), ENTENTE_ESYNTAX);
	text = S("call-id x\nlocal-tag t\nlocal a\nremote b\ntarget sip:x\nlocal-cseq 2147483648\nend\n");
	assert_int_equal(sip_dialog_restore(&e, &text), ENTENTE_ESYNTAX);
	sip_dialog_free(&d);
	buf_free(&b);
	buf_free(&b2);
	arena_release(NULL, a);
}

static void test_limits(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sip_dialog d = {0};
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "SIP/2.0 200 OK\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\n");
	for (int i = 0; i <= SIP_DIALOG_ROUTES; i++)
		buf_puts(&b, "Record-Route: <sip:p;lr>\n");
	buf_puts(&b, "From: <sip:j@x>;tag=mine\nTo: <sip:b@b>;tag=r\nCall-ID: c\nCSeq: 3 SUBSCRIBE\nContact: "
		     "<sip:b@c>\nContent-Length: 0\n\n");
	buf_putc(&b, 0);
	assert_int_equal(sip_dialog_uac(&d, &own, parse(a, buf_slice(&b).p)), ENTENTE_ELIMIT);
	buf_clear(&b);
	buf_puts(&b, "SIP/2.0 200 OK\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\n");
	for (int i = 0; i < 3; i++) {
		buf_puts(&b, "Record-Route: <sip:p;lr;x=");
		for (int k = 0; k < 7000; k++)
			buf_putc(&b, 'y');
		buf_puts(&b, ">\n");
	}
	buf_puts(&b, "From: <sip:j@x>;tag=mine\nTo: <sip:b@b>;tag=r\nCall-ID: c\nCSeq: 3 SUBSCRIBE\nContact: "
		     "<sip:b@c>\nContent-Length: 0\n\n");
	buf_putc(&b, 0);
	assert_int_equal(sip_dialog_uac(&d, &own, parse(a, buf_slice(&b).p)), ENTENTE_ELIMIT);
	assert_null(d.mem);
	buf_free(&b);
	arena_release(NULL, a);
}

/* White space on either side of the semicolon before the tag leaves no empty parameter behind. */
static void tag_cut_off(void **state)
{
	static const char *const value[] = {"<sip:a@b>;tag=x", "<sip:a@b>; tag=x", "<sip:a@b> ;tag=x", "<sip:a@b> ; tag=x"};
	(void)state;
	for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
		struct sip_addr a;
		struct buf b;
		buf_init(&b, 256);
		assert_int_equal(sip_addr_parse(slice_str(value[i]), &a), 0);
		sip_addr_without_tag(&a, &b);
		assert_true(slice_eq(buf_slice(&b), S("<sip:a@b>")));
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tag_cut_off), cmocka_unit_test(test_uas),      cmocka_unit_test(test_uac),          cmocka_unit_test(test_strict_route),
		cmocka_unit_test(test_notified), cmocka_unit_test(test_save_restore), cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
