/* SPDX-License-Identifier: Apache-2.0 */
/* Edits over the original octets: what was not edited is the same, octet for octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sip/edit.h"

struct fixture {
	struct arena *a;
	struct sip_msg *m;
	struct sip_edit e;
	struct buf out;
};

static void start(struct fixture *f, const char *text)
{
	struct sip_fault fault;
	f->a = arena_new(1 << 20);
	assert_int_equal(sip_msg_parse(&f->m, f->a, slice_str(text), &sip_limits_default, &fault), 0);
	sip_edit_init(&f->e, f->a, f->m);
	buf_init(&f->out, 1 << 20);
}

static void finish(struct fixture *f, const char *want)
{
	if (want) {
		assert_true(sip_edit_apply(&f->e, &f->out));
		buf_putc(&f->out, '\0');
		assert_string_equal(buf_slice(&f->out).p, want);
	} else {
		assert_false(sip_edit_apply(&f->e, &f->out));
	}
	buf_free(&f->out);
	arena_release(NULL, f->a);
}

/* folds, odd spaces, compact names, unknown parameters: none of it is ours */
#define START "MESSAGE sip:b@x.test SIP/2.0\r\n"
#define VIAS "v : SIP/2.0/TLS a.test;branch=z9hG4bK1 ,\r\n SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK2;ms-received-cid=AB00\r\nVia: SIP/2.0/UDP c.test;branch=z9hG4bK3\r\n"
#define REST                                                                                                         \
	"Record-Route:<sip:fe.test:5061;transport=tls;ms-fe=x;opaque=state:T;lr>;ms-route-sig=aaBB==\r\n"              \
	"fRoM:  \"A \\\" B\" <sip:a@y.test;user=phone>;epid=0a1B;tag=1\r\nt: <sip:b@x.test>\r\ni: 1\r\nCSeq:   7\r\n   MESSAGE\r\n" \
	"ms-Unknown:\tx ; y\r\nContact: <sip:a@y.test;opaque=user:epid:XYZ;gruu>\r\nl: 3\r\n\r\nhi\n"

static void test_untouched(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, START VIAS REST);
	finish(&f, START VIAS REST);
}

static void test_pop(void **state)
{
	static const struct {
		size_t n;
		const char *want; /* NULL: too few */
	} cases[] = {
		{0, START VIAS REST},
		{1, START "v : SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK2;ms-received-cid=AB00\r\nVia: SIP/2.0/UDP c.test;branch=z9hG4bK3\r\n" REST},
		{2, START "Via: SIP/2.0/UDP c.test;branch=z9hG4bK3\r\n" REST},
		{3, START REST},
		{4, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;
		start(&f, START VIAS REST);
		assert_int_equal(sip_edit_pop(&f.e, SIP_H_VIA, cases[i].n), cases[i].want != NULL);
		finish(&f, cases[i].want ? cases[i].want : START VIAS REST);
	}
}

static void test_push_append_remove(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, START VIAS REST);
	sip_edit_push(&f.e, S("Record-Route"), S("<sip:in.test;lr>"));
	sip_edit_push(&f.e, S("Record-Route"), S("<sip:out.test;lr>"));
	sip_edit_append(&f.e, S("X-One"), S("1"));
	sip_edit_append(&f.e, S("X-Two"), S(""));
	assert_int_equal(sip_edit_remove_named(&f.e, S("MS-UNKNOWN")), 1);
	assert_int_equal(sip_edit_remove_named(&f.e, S("Via")), 2); /* compact form too; at the very place where lines are pushed */
	assert_int_equal(sip_edit_remove_named(&f.e, S("P-Asserted-Identity")), 0);
	finish(&f, START "Record-Route: <sip:out.test;lr>\r\nRecord-Route: <sip:in.test;lr>\r\n"
			 "Record-Route:<sip:fe.test:5061;transport=tls;ms-fe=x;opaque=state:T;lr>;ms-route-sig=aaBB==\r\n"
			 "fRoM:  \"A \\\" B\" <sip:a@y.test;user=phone>;epid=0a1B;tag=1\r\nt: <sip:b@x.test>\r\ni: 1\r\nCSeq:   7\r\n   MESSAGE\r\n"
			 "Contact: <sip:a@y.test;opaque=user:epid:XYZ;gruu>\r\nl: 3\r\nX-One: 1\r\nX-Two: \r\n\r\nhi\n");
}

static void test_replace(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, START VIAS REST);
	sip_edit_replace(&f.e, f.m->uri_text, S("sip:c@z.test;x"));
	sip_edit_insert(&f.e, f.m->via.raw.p + f.m->via.raw.len, S(";received=1.2.3.4"));
	assert_true(sip_edit_apply(&f.e, &f.out));
	assert_true(slice_starts(buf_slice(&f.out), S("MESSAGE sip:c@z.test;x SIP/2.0\r\nv : SIP/2.0/TLS a.test;branch=z9hG4bK1;received=1.2.3.4 ,\r\n SIP/2.0/TCP")));
	assert_int_equal(f.out.len, f.m->raw.len + 2 + 17);
	buf_free(&f.out);
	arena_release(NULL, f.a);
}

static void test_refused(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, START VIAS REST); /* a value cannot start a line of its own */
	sip_edit_append(&f.e, S("X"), S("1\r\nEvil: 2"));
	finish(&f, NULL);
	start(&f, START VIAS REST); /* not of this message */
	sip_edit_remove(&f.e, S("elsewhere"));
	finish(&f, NULL);
	start(&f, START VIAS REST); /* overlapping cuts */
	sip_edit_remove(&f.e, slice_of(f.m->raw.p, 10));
	sip_edit_remove(&f.e, slice_of(f.m->raw.p + 5, 10));
	finish(&f, NULL);
	start(&f, START VIAS REST); /* too many */
	for (int i = 0; i <= SIP_EDITS_MAX; i++)
		sip_edit_append(&f.e, S("X"), S("y"));
	finish(&f, NULL);
	start(&f, START VIAS REST); /* no room to write to */
	buf_free(&f.out);
	buf_init(&f.out, 20);
	finish(&f, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_untouched), cmocka_unit_test(test_pop), cmocka_unit_test(test_push_append_remove),
					   cmocka_unit_test(test_replace), cmocka_unit_test(test_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
