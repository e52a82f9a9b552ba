/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of RFC 5118 (IPv6 torture tests); the messages are written after its descriptions. */
#include "peek.h"

#include "sip/uri.h"

struct row {
	const char *section;
	const char *request, *via, *to, *more; /* Request-URI, Via lines, To, further fields and body */
	int parse;
	const char *fields[20];
};

#define VIA6 "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n"
#define SDP6 "v=0\r\no=a 1 0 IN IP6 2001:db8::20\r\ns=-\r\nc=IN IP6 2001:db8::20\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"

static const struct row rows[] = {
	{"4.1 valid reference",
	 "sip:[2001:db8::10]",
	 VIA6,
	 "sip:user@example.com",
	 "Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\r\n",
	 0,
	 {"uri.host", "[2001:db8::10]", "uri.port", "0", "via.host", "[2001:db8::9:1]", "via.port", "0", "contact1.host",
	  "[2001:db8::1]", "contact1.display", "\"Caller\""}},
	{"4.2 no brackets",
	 "sip:2001:db8::10",
	 VIA6,
	 "sip:user@example.com",
	 "\r\n",
	 400,
	 {"uri", "sip:2001:db8::10", "via.host", "[2001:db8::9:1]"}},
	{"4.3 port swallowed by the address",
	 "sip:[2001:db8::10:5070]",
	 VIA6,
	 "sip:user@example.com",
	 "\r\n",
	 0,
	 {"uri.host", "[2001:db8::10:5070]", "uri.port", "0"}},
	{"4.4 port outside",
	 "sip:[2001:db8::10]:5070",
	 VIA6,
	 "sip:user@example.com",
	 "\r\n",
	 0,
	 {"uri.host", "[2001:db8::10]", "uri.port", "5070"}},
	{"4.5 received in brackets",
	 "sip:[2001:db8::10]",
	 "Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111\r\n",
	 "sip:user@example.com;tag=bd76ya",
	 "\r\n",
	 0,
	 {"via.received", "[2001:db8::9:255]", "via.branch", "z9hG4bKas3-111", "to.tag", "bd76ya"}},
	{"4.5 received without",
	 "sip:[2001:db8::10]",
	 "Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3\r\n",
	 "sip:user@example.com",
	 "\r\n",
	 0,
	 {"via.received", "2001:db8::9:255", "via.branch", "z9hG4bKas3"}},
	{"4.6 addresses in SDP",
	 "sip:user@[2001:db8::10]",
	 VIA6,
	 "sip:user@[2001:db8::10]",
	 "Content-Type: application/sdp\r\nContent-Length: 93\r\n\r\n" SDP6,
	 0,
	 {"body", "93", "uri.user", "user", "to.host", "[2001:db8::10]"}},
	{"4.7 mixed Via list",
	 "sip:user@host.example.net",
	 "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjh\r\n"
	 "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200\r\n",
	 "sip:user@example.net;tag=9817--94",
	 "\r\n",
	 0,
	 {"#via", "3", "via.port", "6050", "via2.host", "192.0.2.1", "via3.host", "[2001:db8::9:255]", "via3.received",
	  "192.0.2.200", "via3.transport", "TCP"}},
	{"4.8 several addresses in SDP",
	 "sip:user@[2001:db8::10]",
	 VIA6,
	 "sip:user@[2001:db8::10]",
	 "Content-Type: application/sdp\r\n\r\nv=0\r\no=b 1 1 IN IP4 h.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP "
	 "0\r\nc=IN IP4 192.0.2.1\r\n"
	 "m=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\n",
	 0,
	 {"=Content-Type", "application/sdp"}},
	{"4.9 mapped addresses",
	 "sip:user@example.com",
	 "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\r\nVia: SIP/2.0/UDP "
	 "[::ffff:192.0.2.2];branch=z9hG4bKas3-111\r\n",
	 "sip:user@example.com",
	 "Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>\r\n\r\n",
	 0,
	 {"via.host", "[::ffff:192.0.2.10]", "via.port", "19823", "via2.host", "[::ffff:192.0.2.2]", "contact1.host",
	  "[::ffff:192.0.2.2]"}},
	/* a receiver may mend the three colons that the grammar of RFC 3261 led to; RFC 5954 made them an error, and so do we */
	{"4.10 three colons",
	 "sip:user@[2001:db8:::192.0.2.1]",
	 "Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\n",
	 "sip:user@example.com",
	 "\r\n",
	 400,
	 {"via.host", "lab1.east.example.com"}},
	{"4.10 two colons",
	 "sip:user@[2001:db8::192.0.2.1]",
	 "Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\n",
	 "sip:user@[2001:db8::192.0.2.1]",
	 "\r\n",
	 0,
	 {"uri.host", "[2001:db8::192.0.2.1]", "to.host", "[2001:db8::192.0.2.1]"}},
};

static void test_rows(void **state)
{
	bool good = true;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct arena *a = arena_new(1 << 20);
		struct sip_msg *m;
		struct sip_fault fault;
		struct slice raw = arena_printf(a,
						"OPTIONS %s SIP/2.0\r\n%sTo: %s\r\nFrom: "
						"sip:user@example.com;tag=81x2\r\nCall-ID: x@y\r\nMax-Forwards: 70\r\n"
						"CSeq: 98176 OPTIONS\r\n%s",
						r->request, r->via, r->to, r->more);
		int rc = sip_msg_parse(&m, a, raw, &sip_limits_default, &fault);
		assert_non_null(m);
		if (fault.status != r->parse || !rc != !r->parse) {
			print_error("%s: %d %s\n", r->section, fault.status, fault.text);
			good = false;
		}
		for (size_t k = 0; r->fields[k]; k += 2) {
			struct slice value = peek(a, m, r->fields[k]);
			if (!slice_eq(value, slice_str(r->fields[k + 1]))) {
				print_error("%s: %s is %.*s\n", r->section, r->fields[k], SFMT(value));
				good = false;
			}
		}
		arena_release(NULL, a);
	}
	assert_true(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
