/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_test.h"

#include "sip/uas_check.h"

static const struct slice tags[] = {{"100rel", 6}, {"timer", 5}};
static const struct slice types[] = {{"text/plain", 10}, {"multipart/*", 11}};
static const struct slice codings[] = {{"gzip", 4}};
static const struct slice makes[] = {{"application/pidf+xml", 20}};
static const struct sip_uas_caps caps = {.schemes = 1u << SIP_SCHEME_SIP,
					 .extensions = {tags, 2},
					 .types = {types, 2},
					 .encodings = {codings, 1},
					 .produces = {makes, 1}};
static const struct sip_uas_caps proxy = {.proxy = true, .schemes = 1u << SIP_SCHEME_SIP, .extensions = {tags, 2}};

static void test_table(void **state)
{
	static const struct {
		const char *start, *fields, *body;
		int uas, proxy;
		const char *header, *value; /* with the verdict of the UAS */
	} t[] = {
		{"OPTIONS sip:a@b", "", "", 0, 0, "", ""},
		{"OPTIONS sips:a@b", "", "", 416, 416, "", ""},
		{"OPTIONS tel:+1", "", "", 416, 416, "", ""},
		{"OPTIONS sip:a@b", "Max-Forwards: 0\r\n", "", 0, 483, "", ""},
		{"OPTIONS sip:a@b", "Max-Forwards: 1\r\n", "", 0, 0, "", ""},
		{"OPTIONS sip:a@b", "Require: timer, 100REL\r\n", "", 0, 0, "", ""},
		{"OPTIONS sip:a@b", "Require: timer, x\r\nRequire: y\r\n", "", 420, 0, "Unsupported", "x, y"},
		{"OPTIONS sip:a@b", "Require: x y\r\n", "", 400, 0, "", ""},
		{"OPTIONS sip:a@b", "Require: x\r\n y\r\n", "", 400, 0, "", ""},
		{"OPTIONS sip:a@b", "Proxy-Require: x\r\n", "", 0, 420, "", ""},
		{"CANCEL sip:a@b", "Require: x\r\nProxy-Require: x\r\n", "", 0, 0, "", ""},
		{"ACK sip:a@b", "Require: x\r\n", "", 0, 0, "", ""},
		{"OPTIONS sip:a@b", "Contact: <sip:a@b\r\n", "", 400, 0, "", ""},
		{"OPTIONS sip:a@b", "Contact: *\r\n", "", 0, 0, "", ""},
		{"OPTIONS sip:a@b", "Contact: *, <sip:a@b>\r\n", "", 400, 0, "", ""},
		{"OPTIONS sip:a@b", "Route: <sip:a@b;lr>, b\r\n", "", 400, 400, "", ""},
		{"OPTIONS sip:a@b", "Route: *\r\n", "", 400, 400, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: Text/Plain;charset=x\r\n", "x", 0, 0, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: text / plain\r\n", "x", 0, 0, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: multipart/mixed;boundary=\"a;b\"\r\n", "x", 0, 0, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: text/html\r\n", "x", 415, 0, "Accept", "text/plain, multipart/*"},
		{"MESSAGE sip:a@b", "Content-Type: text/plainer\r\n", "x", 415, 0, "Accept", "text/plain, multipart/*"},
		{"MESSAGE sip:a@b", "Content-Type: text/html\r\n", "", 0, 0, "", ""},
		{"MESSAGE sip:a@b", "", "x", 400, 0, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: text/html\r\nContent-Disposition: render; handling=Optional\r\n", "x", 0, 0,
		 "", ""},
		{"MESSAGE sip:a@b", "Content-Type: text/html\r\nContent-Disposition: render;handling=required\r\n", "x", 415, 0,
		 "Accept", "text/plain, multipart/*"},
		{"MESSAGE sip:a@b", "Content-Type: text/plain\r\nContent-Encoding: gzip, identity\r\n", "x", 0, 0, "", ""},
		{"MESSAGE sip:a@b", "Content-Type: text/plain\r\ne: tar\r\n", "x", 415, 0, "Accept-Encoding", "gzip"},
		{"SUBSCRIBE sip:a@b", "Accept: text/xml, application/pidf+xml;q=0.3\r\n", "", 0, 0, "", ""},
		{"SUBSCRIBE sip:a@b", "Accept: application/*\r\n", "", 0, 0, "", ""},
		{"SUBSCRIBE sip:a@b", "Accept: */*\r\n", "", 0, 0, "", ""},
		{"SUBSCRIBE sip:a@b", "Accept: text/*\r\n", "", 406, 0, "", ""},
		{"SUBSCRIBE sip:a@b", "Accept:\r\n", "", 406, 0, "", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct arena *a = arena_new(1 << 20);
		struct slice method = slice_str(t[i].start), rest = method;
		method = slice_split(&rest, ' ');
		struct sip_msg *m = must_parse(
			a, arena_printf(
				   a,
				   "%s SIP/2.0\r\nVia: SIP/2.0/TLS h\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n"
				   "CSeq: 1 %.*s\r\n%s\r\n%s",
				   t[i].start, SFMT(method), t[i].fields, t[i].body));
		struct sip_uas_verdict p, u;
		int as_proxy = sip_uas_check(m, &proxy, a, &p), as_uas = sip_uas_check(m, &caps, a, &u);
		if (as_uas != t[i].uas || as_proxy != t[i].proxy || u.status != as_uas ||
		    !slice_eq(u.header, slice_str(t[i].header)) || !slice_eq(u.value, slice_str(t[i].value))) {
			print_error("%s %s: UAS %d %.*s: %.*s, proxy %d\n", t[i].start, t[i].fields, as_uas, SFMT(u.header),
				    SFMT(u.value), as_proxy);
			fail();
		}
		arena_release(NULL, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
