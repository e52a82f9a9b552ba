/* SPDX-License-Identifier: Apache-2.0 */
/* The 49 messages of RFC 4475. Each goes through the parser as a datagram, through the framer as a stream of its own, and, when
 * it is a request that parses, through the checks of a UAS and of a proxy. Where the RFC leaves a choice, the strict one is ours.
 */
#include "peek.h"

#include <dirent.h>
#include "sip/frame.h"
#include "sip/uas_check.h"

enum { DROP = -1 };

struct row {
	const char *name;     /* file, and section of the RFC */
	const char *section;
	int parse;            /* 0, status of the fault, or DROP */
	int uas, proxy;       /* what sip_uas_check says */
	int stream;           /* 0: a message, else the status of the framing error, DROP: waits for octets that never come */
	const char *fields[40]; /* name, value, name, value ... */
};

static const struct row rows[] = {
	/* 3.1.1 valid messages */
	{"wsinv", "3.1.1.1", 0, 0, 0, 0, {"known",	  "INVITE",
					  "uri",	  "sip:vivekg@chair-dnrc.example.com;unknownparam",
					  "uri.params",	  "unknownparam",
					  "to.uri",	  "sip:vivekg@chair-dnrc.example.com",
					  "to.tag",	  "1918181833n",
					  "from.display", "\"J Rosenberg \\\\\\\"\"",
					  "from.uri",	  "sip:jdrosen@example.com",
					  "from.tag",	  "98asjd8",
					  "max-forwards", "68",
					  "call-id",	  "wsinv.ndaksdj@192.0.2.1",
					  "length",	  "150",
					  "body",	  "150",
					  "cseq",	  "9 INVITE",
					  "#via",	  "3",
					  "via.host",	  "192.0.2.2",
					  "via.branch",	  "390skdjuw",
					  "via2.host",	  "spindle.example.com",
					  "via2.branch",  "z9hG4bK9ikj8"}},
	{"wsinv",
	 "3.1.1.1 more",
	 0,
	 0,
	 0,
	 0,
	 {"via2.transport",
	  "TCP",
	  "via3.host",
	  "192.168.255.111",
	  "via3.branch",
	  "z9hG4bK30239",
	  "=Subject",
	  "",
	  "=NewFangledHeader",
	  "newfangled value\r\n continued newfangled value",
	  "=UnknownHeaderWithUnusualValue",
	  ";;,,;;,;",
	  "=Content-Type",
	  "application/sdp",
	  "route1.uri",
	  "sip:services.example.com;lr;unknownwith=value;unknown-no-value",
	  "route1.lr",
	  "yes",
	  "contact1.display",
	  "\"Quoted string \\\"\\\"\"",
	  "contact1.uri",
	  "sip:jdrosen@example.com",
	  "contact1.params",
	  "newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33"}},
	{"intmeth",
	 "3.1.1.2",
	 0,
	 0,
	 0,
	 0,
	 {"method",
	  "!interesting-Method0123456789_*+`.%indeed'~",
	  "known",
	  "",
	  "uri.user",
	  "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
	  "uri.password",
	  "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
	  "uri.host",
	  "example.com",
	  "via.branch",
	  "z9hG4bK-.!%66*_+`'~",
	  "to.user",
	  "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
	  "from.display",
	  "token1~` token2'+_ token3*%!.-",
	  "from.uri",
	  "sip:mundane@example.com",
	  "from.tag",
	  "_token~1'+`*%!-.",
	  "call-id",
	  "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
	  "cseq",
	  "139122385 !interesting-Method0123456789_*+`.%indeed'~",
	  "max-forwards",
	  "255",
	  "=extensionHeader-!.%*+_`'~",
	  "\xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb"}},
	{"esc01",
	 "3.1.1.3",
	 0,
	 0,
	 0,
	 0,
	 {"uri.user", "sips%3Auser%40example.com", "uri.host", "example.net", "to.user", "%75se%72", "from.user",
	  "I%20have%20spaces", "contact1.lr", "yes", "contact1.user", "cal%6Cer", "contact1.params", "", "cseq", "234234 INVITE",
	  "body", "150"}},
	{"escnull",
	 "3.1.1.4",
	 0,
	 0,
	 0,
	 0,
	 {"known", "REGISTER", "to.user", "null-%00-null", "#contact", "2", "contact1.user", "%00", "contact2.user", "%00%00"}},
	{"esc02",
	 "3.1.1.5",
	 0,
	 0,
	 0,
	 0,
	 {"known", "", "method", "RE%47IST%45R", "cseq", "29344 RE%47IST%45R", "to.display", "\"%Z%45\"", "#contact", "2",
	  "contact2.user", "alias3", "=C%6Fntact", "<sip:alias2@host2.example.com>", "via.branch", "z9hG4bK209%fzsnel234"}},
	{"lwsdisp",
	 "3.1.1.6",
	 0,
	 0,
	 0,
	 0,
	 {"known", "OPTIONS", "from.display", "caller", "from.uri", "sip:caller@example.com", "from.tag", "323"}},
	{"longreq",
	 "3.1.1.7",
	 0,
	 0,
	 0,
	 0,
	 {"known", "INVITE", "#via", "34", "via.host", "sip33.example.com", "to.port", "6000", "cseq", "3882340 INVITE", "body",
	  "150", "max-forwards", "70"}},
	{"dblreq",
	 "3.1.1.8",
	 0,
	 0,
	 0,
	 0,
	 {"known", "REGISTER", "body", "0", "cseq", "8 REGISTER", "contact1.uri", "sip:j.user@host.example.com", "via.host",
	  "192.0.2.125"}},
	{"semiuri",
	 "3.1.1.9",
	 0,
	 0,
	 0,
	 0,
	 {"uri.user", "user;par=u%40example.net", "uri.host", "example.com", "uri.params", "", "#accept", "6"}},
	{"transports",
	 "3.1.1.10",
	 0,
	 0,
	 0,
	 0,
	 {"#via", "5", "via.transport", "UDP", "via2.transport", "SCTP", "via3.transport", "TLS", "via4.transport", "UNKNOWN",
	  "via5.transport", "TCP"}},
	{"mpart01",
	 "3.1.1.11",
	 0,
	 0,
	 0,
	 0,
	 {"known", "MESSAGE", "body", "553", "route1.uri", "sip:127.0.0.1:5080", "=Content-Type",
	  "multipart/mixed;boundary=7a9cbec02ceef655"}},
	{"unreason",
	 "3.1.1.12",
	 0,
	 0,
	 0,
	 0,
	 {"status", "200", "reason",
	  "= 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe "
	  "\xd0\xb4\xd0\xb5\xd0\xb2\xd1\x8f\xd0\xbd\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe "
	  "\xd0\xb4\xd0\xb5\xd0\xb2\xd1\x8f\xd1\x82\xd1\x8c - \xd0\xbf\xd1\x80\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe\xd0\xb5",
	  "to.tag", "2229", "body", "154"}},
	{"noreason", "3.1.1.13", 0, 0, 0, 0, {"status", "100", "reason", "", "cseq", "35 INVITE"}},
	/* 3.1.2 invalid messages */
	{"badinv01", "3.1.2.1", 400, 0, 0, 0, {"via.host", "192.0.2.15", "from.tag", "134161461246"}},
	{"clerr", "3.1.2.2", 400, 0, 0, DROP, {"length", "9999"}},
	{"ncl", "3.1.2.3", 400, 0, 0, 400, {"length", "-1"}},
	{"scalar02", "3.1.2.4", 400, 0, 0, 0, {"max-forwards", "255"}},
	{"scalarlg", "3.1.2.5", DROP, 0, 0, 0, {NULL}},
	{"quotbal", "3.1.2.6", 400, 0, 0, 0, {"to.uri", ""}},
	{"ltgtruri", "3.1.2.7", 400, 0, 0, 0, {"uri", "<sip:user@example.com>"}},
	{"lwsruri", "3.1.2.8", 400, 0, 0, 0, {NULL}},
	{"lwsstart", "3.1.2.9", 400, 0, 0, 0, {NULL}},
	{"trws", "3.1.2.10", 400, 0, 0, 0, {"known", "OPTIONS"}},
	{"escruri", "3.1.2.11", 400, 0, 0, 0, {"uri.headers", "Route=%3Csip:example.com%3E"}},
	{"baddate", "3.1.2.12", 0, 0, 0, 0, {"=Date", "Fri, 01 Jan 2010 16:00:00 EST"}}, /* who does not use it may ignore it */
	{"regbadct", "3.1.2.13", 0, 400, 0, 0, {"contact1.uri", "?"}},
	{"badaspec", "3.1.2.14", 400, 0, 0, 0, {"to.uri", "", "from.display", "\"Bell, Alexander\""}},
	{"baddn", "3.1.2.15", 400, 0, 0, DROP, {"from.uri", ""}}, /* the archive has it without the last CRLF */
	{"badvers", "3.1.2.16", 505, 0, 0, 0, {"known", "OPTIONS"}},
	{"mismatch01", "3.1.2.17", 400, 0, 0, 0, {"cseq", "8 INVITE"}},
	{"mismatch02", "3.1.2.18", 501, 0, 0, 0, {"method", "NEWMETHOD", "cseq", "8 INVITE"}},
	{"bigcode", "3.1.2.19", DROP, 0, 0, 0, {NULL}},
	/* 3.2 transaction layer: no branch but the cookie, to be matched as in RFC 2543 */
	{"badbranch", "3.2.1", 0, 0, 0, 0, {"via.branch", "z9hG4bK"}},
	/* 3.3 application layer */
	{"insuf", "3.3.1", 400, 0, 0, 0, {"call-id", "", "from.uri", "", "to.uri", "", "cseq", "193942 INVITE"}},
	{"unkscm", "3.3.2", 0, 416, 416, 0, {"uri.scheme", "other", "uri.opaque", "totallyopaquecontent"}},
	{"novelsc", "3.3.3", 0, 416, 416, 0, {"uri.scheme", "other", "uri.opaque", "//192.0.2.103:3002"}},
	{"unksm2",
	 "3.3.4",
	 0,
	 0,
	 0,
	 0,
	 {"to.scheme", "other", "to.opaque", "2983792873", "from.uri", "http://www.example.com", "contact1.uri",
	  "name:John_Smith"}},
	{"bext01", "3.3.5", 0, 420, 420, 0, {"#require", "2", "#proxy-require", "2"}},
	{"invut", "3.3.6", 0, 415, 0, 0, {"=Content-Type", "application/unknownformat"}},
	{"regaut01", "3.3.7", 0, 0, 0, 0, {"=Authorization", "NoOneKnowsThisScheme opaque-data=here"}},
	{"multi01", "3.3.8", 400, 0, 0, 0, {NULL}},
	{"mcl01", "3.3.9", 400, 0, 0, 400, {NULL}},
	{"bcast",
	 "3.3.10",
	 0,
	 0,
	 0,
	 0,
	 {"status", "200", "#via", "2", "via.host", "192.0.2.198", "via2.host", "255.255.255.255"}}, /* two Via: not ours */
	{"zeromf", "3.3.11", 0, 0, 483, 0, {"max-forwards", "0"}},
	{"cparam01",
	 "3.3.12",
	 0,
	 0,
	 0,
	 0,
	 {"contact1.uri", "sip:+19725552222@gw1.example.net", "contact1.params", "unknownparam"}},
	{"cparam02",
	 "3.3.13",
	 0,
	 0,
	 0,
	 0,
	 {"contact1.uri", "sip:+19725552222@gw1.example.net;unknownparam", "contact1.params", ""}},
	{"regescrt", "3.3.14", 0, 0, 0, 0, {"contact1.headers", "Route=%3Csip:sip.example.com%3E"}},
	{"sdp01", "3.3.15", 0, 406, 0, 0, {"=Accept", "text/nobodyKnowsThis"}},
	/* 3.4 backward compatibility */
	{"inv2543",
	 "3.4.1",
	 0,
	 0,
	 0,
	 400,
	 {"from.tag", "", "max-forwards", "-1", "length", "-1", "via.branch", "", "to.params", "user=phone", "body", "105"}},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct slice types[] = {{"application/sdp", 15}, {"text/plain", 10}, {"multipart/*", 11}};
static const struct slice produces[] = {{"application/sdp", 15}};
static const struct sip_uas_caps uas = {
	.schemes = 1u << SIP_SCHEME_SIP | 1u << SIP_SCHEME_SIPS, .types = {types, 3}, .produces = {produces, 1}};
static const struct sip_uas_caps proxy = {.proxy = true, .schemes = 1u << SIP_SCHEME_SIP | 1u << SIP_SCHEME_SIPS};

static struct slice load(struct arena *a, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s.dat", SIP_TORTURE_DIR, name);
	FILE *file = fopen(path, "rb");
	char *p = arena_bytes(a, 16384);
	assert_non_null(file);
	size_t n = fread(p, 1, 16384, file);
	fclose(file);
	assert_in_range(n, 1, 16383);
	return slice_of(p, n);
}

/* A stream may bring it at once or octet by octet. */
static void check_stream(struct arena *a, const struct row *r, struct slice raw)
{
	for (size_t step = 0; step < 2; step++) {
		struct sip_framer f;
		struct sip_frame out;
		struct sip_msg *m;
		struct sip_fault fault;
		size_t n = step ? 1 : raw.len;
		sip_framer_init(&f, &sip_limits_default);
		do
			sip_framer_next(&f, slice_first(raw, n), &out);
		while (out.kind == SIP_FRAME_MORE && n++ < raw.len);
		if (r->stream == DROP) {
			assert_int_equal(out.kind, SIP_FRAME_MORE);
		} else if (r->stream) {
			assert_int_equal(out.kind, SIP_FRAME_ERROR);
			assert_int_equal(out.fault.status, r->stream);
			assert_non_null(sip_frame_answerable(&out, a, &sip_limits_default));
		} else {
			assert_int_equal(out.kind, SIP_FRAME_MESSAGE);
			sip_msg_parse(&m, a, out.message, &sip_limits_default, &fault);
			assert_int_equal(fault.status, r->parse == DROP ? 0 : r->parse);
			if (m)
				assert_true(slice_eq(m->raw, out.message));
		}
	}
}

static void check_answer(const struct sip_msg *m, int status)
{
	struct buf b;
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *back;
	struct sip_fault fault;
	buf_init(&b, 65536);
	sip_build_response(&b, m, status ? status : 200, SLICE_NONE, S("ours"), true, S("192.0.2.77"), 5060);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	assert_true(buf_ok(&b));
	int rc = sip_msg_parse(&back, a, buf_slice(&b), &sip_limits_default, &fault);
	if (!status) { /* what we could read, we can answer well */
		assert_int_equal(rc, 0);
		assert_true(slice_eq(back->call_id, m->call_id));
		assert_int_equal(back->cseq, m->cseq);
		assert_true(slice_eq(back->via.branch, m->via.branch));
		assert_true(slice_eq(back->from.tag, m->from.tag));
		assert_true(slice_eq(back->to.uri_text, m->to.uri_text));
		assert_true(back->to.tag.len);
	}
	buf_free(&b);
	arena_release(NULL, a);
}

static bool check_row(const struct row *r)
{
	struct arena *a = arena_new(1 << 20);
	struct slice raw = load(a, r->name);
	struct sip_uas_verdict v;
	struct sip_msg *m;
	struct sip_fault fault;
	bool good = true;
	int rc = sip_msg_parse(&m, a, raw, &sip_limits_default, &fault);
	int got = m ? fault.status : DROP;
	if (got != r->parse || !rc != !r->parse) {
		print_error("%s (%s): parsed as %d %s\n", r->name, r->section, got, fault.text);
		good = false;
	}
	for (size_t i = 0; m && i < sizeof r->fields / sizeof *r->fields && r->fields[i]; i += 2) {
		struct slice value = peek(a, m, r->fields[i]);
		if (!slice_eq(value, slice_str(r->fields[i + 1]))) {
			print_error("%s (%s): %s is \"%.*s\", not \"%s\"\n", r->name, r->section, r->fields[i], SFMT(value),
				    r->fields[i + 1]);
			good = false;
		}
	}
	if (!rc && m->is_request) {
		if (sip_uas_check(m, &uas, a, &v) != r->uas) {
			print_error("%s (%s): a UAS says %d\n", r->name, r->section, v.status);
			good = false;
		}
		if (sip_uas_check(m, &proxy, a, &v) != r->proxy) {
			print_error("%s (%s): a proxy says %d\n", r->name, r->section, v.status);
			good = false;
		}
	}
	if (m && m->is_request)
		check_answer(m, r->parse);
	check_stream(a, r, raw);
	arena_release(NULL, a);
	return good;
}

static void test_each(void **state)
{
	bool good = true;
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++)
		good &= check_row(&rows[i]);
	assert_true(good);
}

/* No file without its row. */
static void test_all_are_there(void **state)
{
	size_t files = 0;
	DIR *dir = opendir(SIP_TORTURE_DIR);
	struct dirent *e;
	(void)state;
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		struct slice name = slice_str(e->d_name);
		bool found = false;
		if (!slice_ends(name, S(".dat")))
			continue;
		name.len -= 4;
		for (size_t i = 0; i < N_ROWS; i++)
			found |= slice_eq(name, slice_str(rows[i].name));
		assert_true(found);
		files++;
	}
	closedir(dir);
	assert_int_equal(files, 49);
}

static void test_extra_headers(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct sip_uas_verdict v;
	(void)state;
	sip_uas_check(must_parse(a, load(a, "bext01")), &uas, a, &v);
	assert_slice(v.header, "Unsupported");
	assert_slice(v.value, "nothingSupportsThis, nothingSupportsThisEither");
	sip_uas_check(must_parse(a, load(a, "bext01")), &proxy, a, &v);
	assert_slice(v.value, "noProxiesSupportThis, norDoAnyProxiesSupportThis");
	sip_uas_check(must_parse(a, load(a, "invut")), &uas, a, &v);
	assert_slice(v.header, "Accept");
	assert_slice(v.value, "application/sdp, text/plain, multipart/*");
	arena_release(NULL, a);
}

/* 3.1.1.2: escaped controls in a quoted string; 3.1.1.8: the second request of the datagram is not a part of the first. */
static void test_odd_octets(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *m = must_parse(a, load(a, "intmeth"));
	(void)state;
	assert_true(slice_eq(m->to.display, S("\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\"")));
	m = must_parse(a, load(a, "dblreq"));
	assert_true(slice_ends(m->raw, S("Content-Length: 0\r\n\r\n")));
	arena_release(NULL, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_there),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_extra_headers),
		cmocka_unit_test(test_odd_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
