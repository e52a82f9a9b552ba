/* SPDX-License-Identifier: Apache-2.0 */
/* SIP URI <-> JID: every worked example by number, the sender's instance, and a seeded search for addresses that do not come
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <inttypes.h>

#include "base/enc.h"
#include "base/rand.h"
#include "interwork/address.h"

#define URN_INSTANCE "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

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
	arena = arena_release(NULL, arena);
	return 0;
}

/* Row numbers are those of the worked examples; a letter tells several inputs of one row apart. */
static const struct {
	const char *row, *sip, *jid; /* jid NULL: refused */
	int status;
} s2x[] = {
	{"1", "sip:romeo@example.net", "romeo@example.net", 0},
	{"2", "SIP:Romeo@EXAMPLE.NET", "romeo@example.net", 0},
	{"3", "sip:o'malley@sip.example", "o\\27malley@sip.example", 0},
	{"4", "sip:o%27malley@sip.example", "o\\27malley@sip.example", 0},
	{"5", "sip:f%C3%BC@sip.example", "f\xC3\xBC@sip.example", 0},
	{"6", "sip:foo@sip.example;gr=bar", "foo@sip.example/bar", 0},
	{"7a", "sip:m&m@a.example", "m\\26m@a.example", 0},
	{"7b", "sip:m%26m@a.example", "m\\26m@a.example", 0},
	{"8", "sip:a/b@a.example", "a\\2fb@a.example", 0},
	{"9", "sip:alice;day=tuesday@atlanta.com", "alice;day=tuesday@atlanta.com", 0},
	{"10", "sip:bob:secret@a.example:5061;transport=tls;lr", "bob@a.example", 0},
	{"11", "sip:user%40corp.com@a.example", "user\\40corp.com@a.example", 0},
	{"12", "sip:a%20b@a.example", "a\\20b@a.example", 0},
	{"13", "sip:%20a@a.example", NULL, 404},
	{"13 trailing", "sip:a%20@a.example", NULL, 404},
	{"14", "sip:a%22b%3Cc%3E@a.example", "a\\22b\\3cc\\3e@a.example", 0},
	{"15", "sip:a%5C27b@a.example", "a\\5c27b@a.example", 0},
	{"16", "sip:a%5Cxyz@a.example", "a\\xyz@a.example", 0},
	{"17", "sip:a%5C5cb@a.example", "a\\5c5cb@a.example", 0},
	{"18", "sip:a%23b%25c@a.example", "a#b%c@a.example", 0},
	{"19", "sip:+1-212-555-1212:1234@gw.example;user=phone", "+12125551212@gw.example", 0},
	{"20", "sip:+12125551212;phone-context=example.com@gw.example;user=phone", "+12125551212@gw.example", 0},
	{"21a", "sip:x%00y@a.example", NULL, 400},
	{"21b", "sip:x%0D%0AVia@a.example", NULL, 400},
	{"21 DEL", "sip:x%7Fy@a.example", NULL, 400},
	{"21 C1", "sip:x%C2%85y@a.example", NULL, 400},
	{"22", "sip:%C3%28@a.example", NULL, 400},
	{"22 surrogate", "sip:%ED%A0%80@a.example", NULL, 400},
	{"22 overlong", "sip:%C0%AF@a.example", NULL, 400},
	{"23", "sip:50%@a.example", NULL, 400},
	{"23 not hex", "sip:50%zz@a.example", NULL, 400},
	{"24", "sips:bob@a.example", NULL, 480},
	{"25", "sip:a.example", "a.example", 0},
	{"26a", "sip:bob@[2001:db8::1]", NULL, 404},
	{"26b", "sip:bob@192.0.2.1", NULL, 404},
	{"26 dotted, trailing dot", "sip:bob@192.0.2.1.", NULL, 404},
	{"27", "sip:j%C3%BCrgen@xn--bcher-kva.example", "j\xC3\xBCrgen@b\xC3\xBC" "cher.example", 0},
	{"28", "sip:%EF%BC%AA%EF%BC%B5@a.example", "ju@a.example", 0},
	{"29", "sip:%E2%84%A2@a.example", NULL, 404},
	{"30", "sip:bob@a.example;gr", "bob@a.example", 0},
	{"31", "sip:bob@a.example;gr=" URN_INSTANCE, "bob@a.example/" URN_INSTANCE, 0},
	{"32", "sip:bob@a.example;opaque=user:epid:qIGJkJPk5Fa;gruu", "bob@a.example/qIGJkJPk5Fa", 0},
	{"33", "sip:bob@a.example.", "bob@a.example", 0},
	{"34", "sip:%D0%B0lice@a.example", "\xD0\xB0lice@a.example", 0},
	{"35", "sip:juliet@xmpp.example", "juliet@xmpp.example", 0},
	{"36", "sip:tsch%C3%BCss@xmpp.example", "tsch\xC3\xBCss@xmpp.example", 0},
	{"37", "sip:baz@xmpp.example;gr=qux", "baz@xmpp.example/qux", 0},
	{"38", "sip:d'artagnan@x.example", "d\\27artagnan@x.example", 0},
	{"39", "sip:c%3A%5C5commas@x.example", "c\\3a\\5c5commas@x.example", 0},
	{"40", "sip:foo%5Cbar@x.example", "foo\\bar@x.example", 0},
	{"41", "sip:foob%5C41r@x.example", "foob\\41r@x.example", 0},
	{"42", "sip:a%5Eb%7Bd%7Ce%7D@x.example", "a^b{d|e}@x.example", 0},
	{"42 backtick", "sip:a%60b@x.example", "a`b@x.example", 0},
	{"43", "sip:a;b?c@x.example", "a;b?c@x.example", 0},
	{"44", "sip:juliet@x.example;gr=my%20phone%20%C3%A9", "juliet@x.example/my phone \xC3\xA9", 0},
	{"45", "sip:juliet@x.example;gr=a/b%40c%3Bd%3De", "juliet@x.example/a/b@c;d=e", 0},
	{"46", "sip:x@xn--bcher-kva.example", "x@b\xC3\xBC" "cher.example", 0},
	{"48", "sip:stra%C3%9F" "e@x.example", "stra\xC3\x9F" "e@x.example", 0},

	{"scheme im", "im:romeo@example.net", "romeo@example.net", 0},
	{"scheme pres", "PRES:romeo@example.net", "romeo@example.net", 0},
	{"scheme http", "http://a.example/", NULL, 416},
	{"scheme tel", "tel:+12125551212", NULL, 416},
	{"two at", "sip:a@b@c.example", NULL, 400},
	{"phone without digits", "sip:+@gw.example;user=phone", NULL, 484},
	{"phone that is a name", "sip:bob@gw.example;user=phone", NULL, 484},
	{"phone that ends as a name", "sip:123bob@gw.example;user=phone", NULL, 484},
	{"phone with escapes", "sip:%2B1(212)555.1212;ext=7@gw.example;user=PHONE", "+12125551212@gw.example", 0},
	{"phone with control", "sip:12%0D3@gw.example;user=phone", NULL, 400},
	{"user=ip", "sip:bob@a.example;user=ip", "bob@a.example", 0},
	{"upper-case look-alike escape", "sip:a%5C2Fb@a.example", "a\\5c2fb@a.example", 0},
	{"wide backslash makes an escape", "sip:a%EF%BC%BC2fb@a.example", NULL, 404},
	{"wide at", "sip:a%EF%BC%A0b@a.example", NULL, 404},
	{"accent breaks an escape", "sip:a%3E%CC%81@a.example", NULL, 404},
	{"accent breaks a guarded escape", "sip:a%5C3e%CC%81@a.example", NULL, 404},
	{"gr with NUL", "sip:bob@a.example;gr=50%25%00", "bob@a.example", 0},
	{"gr with control", "sip:bob@a.example;gr=a%0Db", "bob@a.example", 0},
	{"gr not UTF-8", "sip:bob@a.example;gr=%FF", "bob@a.example", 0},
	{"gr empty", "sip:bob@a.example;gr=", "bob@a.example", 0},
	{"opaque without gruu", "sip:bob@a.example;opaque=user:epid:x", "bob@a.example", 0},
	{"opaque of a service", "sip:bob@a.example;gruu;opaque=app:conf:focus:id:abc", "bob@a.example", 0},
	{"headers dropped", "sip:bob@a.example?Subject=x", "bob@a.example", 0},
	{"underscore in host", "sip:bob@a_b.example", NULL, 404},
};

static void test_sip_to_jid(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof s2x / sizeof *s2x; i++) {
		struct xmpp_jid j = {0};
		struct entente_err err = {0};
		int r = interwork_uri_to_jid(&j, arena, slice_str(s2x[i].sip), &err);
		if (s2x[i].jid) {
			if (r != 0)
				fail_msg("row %s: %s refused: %s", s2x[i].row, s2x[i].sip, err.text);
			if (!slice_eq(j.full, slice_str(s2x[i].jid)))
				fail_msg("row %s: %s became %.*s, not %s", s2x[i].row, s2x[i].sip, SFMT(j.full), s2x[i].jid);
		} else {
			if (r == 0)
				fail_msg("row %s: %s became %.*s, not %d", s2x[i].row, s2x[i].sip, SFMT(j.full), s2x[i].status);
			if (reason_info(err.reason)->sip_status != s2x[i].status)
				fail_msg("row %s: %s: status %d (%s), not %d", s2x[i].row, s2x[i].sip,
					 reason_info(err.reason)->sip_status, err.text, s2x[i].status);
			assert_null(j.full.p); /* untouched */
		}
		arena_reset(arena);
	}
}

static const struct {
	const char *row, *jid, *sip; /* sip NULL: refused */
} x2s[] = {
	{"1", "romeo@example.net", "sip:romeo@example.net"},
	{"3", "o\\27malley@sip.example", "sip:o'malley@sip.example"},
	{"5", "f\xC3\xBC@sip.example", "sip:f%C3%BC@sip.example"},
	{"6", "foo@sip.example/bar", "sip:foo@sip.example;gr=bar"},
	{"7", "m\\26m@a.example", "sip:m&m@a.example"},
	{"8", "a\\2fb@a.example", "sip:a/b@a.example"},
	{"9", "alice;day=tuesday@atlanta.com", "sip:alice;day=tuesday@atlanta.com"},
	{"11", "user\\40corp.com@a.example", "sip:user%40corp.com@a.example"},
	{"12", "a\\20b@a.example", "sip:a%20b@a.example"},
	{"14", "a\\22b\\3cc\\3e@a.example", "sip:a%22b%3Cc%3E@a.example"},
	{"15", "a\\5c27b@a.example", "sip:a%5C27b@a.example"},
	{"16", "a\\xyz@a.example", "sip:a%5Cxyz@a.example"},
	{"17", "a\\5c5cb@a.example", "sip:a%5C5cb@a.example"},
	{"18", "a#b%c@a.example", "sip:a%23b%25c@a.example"},
	{"19", "+12125551212@gw.example", "sip:+12125551212@gw.example"},
	{"25", "a.example", "sip:a.example"},
	{"27", "j\xC3\xBCrgen@b\xC3\xBC" "cher.example", "sip:j%C3%BCrgen@xn--bcher-kva.example"},
	{"31", "bob@a.example/" URN_INSTANCE, "sip:bob@a.example;gr=" URN_INSTANCE},
	{"34", "\xD0\xB0lice@a.example", "sip:%D0%B0lice@a.example"},
	{"35", "JuLiet@XMPP.example", "sip:juliet@xmpp.example"},
	{"36", "tsch\xC3\xBCss@xmpp.example", "sip:tsch%C3%BCss@xmpp.example"},
	{"37", "baz@xmpp.example/qux", "sip:baz@xmpp.example;gr=qux"},
	{"38", "d\\27artagnan@x.example", "sip:d'artagnan@x.example"},
	{"39", "c\\3a\\5c5commas@x.example", "sip:c%3A%5C5commas@x.example"},
	{"40", "foo\\bar@x.example", "sip:foo%5Cbar@x.example"},
	{"41", "foob\\41r@x.example", "sip:foob%5C41r@x.example"},
	{"42", "a^b{d|e}@x.example", "sip:a%5Eb%7Bd%7Ce%7D@x.example"},
	{"42 backtick", "a`b@x.example", "sip:a%60b@x.example"},
	{"43", "a;b?c@x.example", "sip:a;b?c@x.example"},
	{"44", "juliet@x.example/my phone \xC3\xA9", "sip:juliet@x.example;gr=my%20phone%20%C3%A9"},
	{"45", "juliet@x.example/a/b@c;d=e", "sip:juliet@x.example;gr=a/b%40c%3Bd%3De"},
	{"46", "x@b\xC3\xBC" "cher.example", "sip:x@xn--bcher-kva.example"},
	{"47a", "\\20a@x.example", NULL},
	{"47b", "@x.example", NULL},
	{"47c", "a b@x.example", NULL},
	{"47 trailing", "a\\20@x.example", NULL},
	{"48", "stra\xC3\x9F" "e@x.example", "sip:stra%C3%9F" "e@x.example"},
	{"guard of nothing", "a\\5cxyz@x.example", NULL}, /* would come back as a\xyz, another user */
	{"guard at the end", "a\\5c@x.example", NULL},
	{"guard of a guard", "a\\5c5c27@x.example", "sip:a%5C5c27@x.example"},
	{"escape-like end", "a\\2@x.example", "sip:a%5C2@x.example"},
	{"all escapes", "a\\20\\22\\26\\27\\2f\\3a\\3c\\3e\\40\\5c40@x.example", "sip:a%20%22&'/%3A%3C%3E%40%5C40@x.example"},
};

static void test_jid_to_sip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof x2s / sizeof *x2s; i++) {
		struct xmpp_jid j;
		struct slice uri = SLICE_NONE;
		struct entente_err err = {0};
		int r = xmpp_jid_parse(&j, arena, slice_str(x2s[i].jid));
		if (r == 0)
			r = interwork_jid_to_sip(&uri, arena, &j, true, &err);
		if (x2s[i].sip) {
			if (r != 0)
				fail_msg("row %s: %s refused: %s", x2s[i].row, x2s[i].jid, err.text);
			if (!slice_eq(uri, slice_str(x2s[i].sip)))
				fail_msg("row %s: %s became %.*s, not %s", x2s[i].row, x2s[i].jid, SFMT(uri), x2s[i].sip);
			assert_int_equal(uri.p[uri.len], 0);
		} else if (r == 0) {
			fail_msg("row %s: %s became %.*s, not jid-malformed", x2s[i].row, x2s[i].jid, SFMT(uri));
		} else if (err.code) {
			assert_string_equal(reason_info(err.reason)->xmpp_condition, "jid-malformed");
		}
		arena_reset(arena);
	}
}

static void test_gr_switch(void **state)
{
	(void)state;
	struct xmpp_jid j;
	struct slice uri;
	assert_int_equal(xmpp_jid_parse(&j, arena, S("juliet@example.com/balcony")), 0);
	assert_int_equal(interwork_jid_to_sip(&uri, arena, &j, false, NULL), 0);
	assert_true(slice_eq(uri, S("sip:juliet@example.com")));
}

static void test_limits(void **state)
{
	(void)state;
	char uri[4096];
	struct xmpp_jid j;
	struct entente_err err;
	static const struct {
		const char *unit;
		size_t repeat;
		enum reason reason; /* REASON_NONE: accepted */
	} t[] = {
		{"a", 1023, REASON_NONE},
		{"a", 1024, REASON_ADDRESS_TOO_LONG},
		{"%41", 1023, REASON_NONE},
		{"a", 3070, REASON_ADDRESS_TOO_LONG},
		{"'", 341, REASON_NONE}, /* three octets each after escaping */
		{"'", 342, REASON_ADDRESS_TOO_LONG},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		size_t n = 4;
		memcpy(uri, "sip:", 4);
		for (size_t k = 0; k < t[i].repeat; k++)
			n = (size_t)((char *)mempcpy(uri + n, t[i].unit, strlen(t[i].unit)) - uri);
		n = (size_t)((char *)mempcpy(uri + n, "@a.example", 10) - uri);
		err.reason = REASON_NONE;
		interwork_uri_to_jid(&j, arena, slice_of(uri, n), &err);
		if (err.reason != t[i].reason)
			fail_msg("%zu times %s: %s", t[i].repeat, t[i].unit, reason_info(err.reason)->id);
		arena_reset(arena);
	}
	/* A resource over the limit is forgotten, the user stays. */
	size_t n = (size_t)((char *)mempcpy(uri, "sip:bob@a.example;gr=", 21) - uri);
	memset(uri + n, 'x', 1024);
	assert_int_equal(interwork_uri_to_jid(&j, arena, slice_of(uri, n + 1024), &err), 0);
	assert_true(slice_eq(j.full, S("bob@a.example")));
	assert_int_equal(interwork_uri_to_jid(&j, arena, slice_of(uri, n + 1023), &err), 0);
	assert_int_equal(j.resource.len, 1023);
}

/* However it is spelt, it is the user whom policy has in its table. */
static void test_local(void **state)
{
	static const struct {
		const char *sip, *local; /* NULL: nobody */
	} rows[] = {
		{"sip:romeo@a.example", "romeo"},
		{"sip:Rome%6F@a.example;gr=x", "romeo"},
		{"sips:Rome%6F@a.example", "romeo"},
		{"sips:%EF%BD%92omeo@a.example;gr=%00", "romeo"},
		{"sip:Rome%6F@a.example;user=phone", "romeo"},
		{"sips:Rome%6F:secret@a.example;user=phone", "romeo"},
		{"sip:o'malley@a.example;user=phone", "o\\27malley"},
		{"sips:+1-212@a.example;user=phone", "+1212"},
		{"sip:romeo%00@a.example", NULL},
		{"sip:a.example", NULL},
		{"tel:+1212", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sip_uri u;
		struct slice local;
		assert_int_equal(sip_uri_parse(slice_str(rows[i].sip), &u), 0);
		bool is = interwork_sip_local(&local, arena, &u);
		if (is != !!rows[i].local || (is && !slice_eq(local, slice_str(rows[i].local))))
			fail_msg("%s: %.*s", rows[i].sip, SFMT(is ? local : S("nobody")));
	}
}

static void test_tel(void **state)
{
	(void)state;
	struct sip_uri u;
	struct xmpp_jid j;
	struct entente_err err;
	assert_int_equal(sip_uri_parse(S("tel:+1-212-555-1212;phone-context=x.example"), &u), 0);
	assert_int_equal(interwork_tel_to_jid(&j, arena, &u, S("phones.example"), &err), 0);
	assert_true(slice_eq(j.full, S("+12125551212@phones.example")));
	assert_int_not_equal(interwork_tel_to_jid(&j, arena, &u, SLICE_NONE, &err), 0);
	assert_int_equal(err.reason, REASON_ADDRESS_SCHEME);
}

static void test_sender(void **state)
{
	(void)state;
	static const struct {
		const char *name, *from, *contact, *jid;
	} t[] = {
		{"From gr", "<sip:romeo@example.net;gr=dr4>;tag=1", "<sip:romeo@192.0.2.1;gr=other>", "romeo@example.net/dr4"},
		{"Contact gr", "<sip:romeo@example.net>;tag=1", "<sip:romeo@192.0.2.1;gr=orchard>", "romeo@example.net/orchard"},
		{"Contact gr outside", "<sip:romeo@example.net>;tag=1", "<sip:romeo@192.0.2.1>;gr=orchard",
		 "romeo@example.net/orchard"},
		{"Contact Lync GRUU", "<sip:romeo@example.net>;tag=1", "<sip:romeo@example.net;opaque=user:epid:AbC;gruu>",
		 "romeo@example.net/AbC"},
		{"epid", "<sip:romeo@example.net>;tag=1;epid=5a3f", "<sip:romeo@192.0.2.1>", "romeo@example.net/5a3f"},
		{"epid, no Contact", "<sip:romeo@example.net>;tag=1;epid=5a3f", NULL, "romeo@example.net/5a3f"},
		{"From gr unusable", "<sip:romeo@example.net;gr=%FF>;tag=1", "<sip:romeo@192.0.2.1;gr=orchard>",
		 "romeo@example.net/orchard"},
		{"none", "\"R\" <sip:romeo@example.net>;tag=1", "<sip:romeo@192.0.2.1>", "romeo@example.net"},
		{"Contact star", "<sip:romeo@example.net>;tag=1", "*", "romeo@example.net"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sip_msg *m;
		struct sip_fault fault;
		struct xmpp_jid j;
		struct entente_err err = {0};
		struct slice raw = arena_printf(arena,
						"SUBSCRIBE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TCP "
						"h.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
						"From: %s\r\nTo: <sip:juliet@x.example>\r\nCall-ID: c\r\nCSeq: 1 "
						"SUBSCRIBE\r\nEvent: presence\r\n%s%s%sContent-Length: 0\r\n\r\n",
						t[i].from, t[i].contact ? "Contact: " : "", t[i].contact ? t[i].contact : "",
						t[i].contact ? "\r\n" : "");
		if (sip_msg_parse(&m, arena, raw, &sip_limits_default, &fault) != 0)
			fail_msg("%s: %s", t[i].name, fault.text);
		if (interwork_sender_to_jid(&j, arena, m, &err) != 0)
			fail_msg("%s: %s", t[i].name, err.text);
		if (!slice_eq(j.full, slice_str(t[i].jid)))
			fail_msg("%s: %.*s", t[i].name, SFMT(j.full));
		arena_reset(arena);
	}
}

/* ---- property: whatever is accepted comes back */
static uint64_t seed;

static uint64_t next_random(void) /* splitmix64 */
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return (size_t)(next_random() % n);
}

/* Pieces that meet each other in unlucky ways. */
static const char *const pieces[] = {
	"a", "b", "Z", "0", "2", "5", "c", "C", "e", "f", "F", "7", "\\", "\\", "\\20", "\\22", "\\26", "\\27", "\\2f", "\\2F",
	"\\3a", "\\3c", "\\3e", "\\40", "\\5c", "\\5C", "\\5c5c", "\\41", " ", "\"", "&", "'", "/", ":", "<", ">", "@", "%",
	"#", "?", ";", "=", "+", "$", ",", "~", "^", "`", "{", "|", "}", "[", "]", "(", ")", "*", "!", "-", "_", ".",
	"\xC3\xBC", "\xC3\x9F", "\xC3\x84", "\xD0\xB0", "\xCC\x81", "\xCC\xB8", "\xEF\xBC\xBC", "\xEF\xBC\x92", "\xEF\xBD\x86",
	"\xEF\xBC\xA0", "\xE3\x80\x80", "\xC4\xB0", "\xE2\x84\xAA", "\xD7\x90", "\xD9\xA1", "\xE6\x97\xA5", "\xF0\x9D\x92\x9C",
	"\xE2\x80\x8D", "\xCF\x82", "\xCE\xA3",
};

static struct slice random_text(char *dst, size_t max_pieces)
{
	size_t n = 0, k = 1 + below(max_pieces);
	bool ascii = below(3) != 0;
	while (k--) {
		const char *p;
		do
			p = pieces[below(sizeof pieces / sizeof *pieces)];
		while (ascii && (unsigned char)*p >= 0x80);
		n = (size_t)((char *)mempcpy(dst + n, p, strlen(p)) - dst);
	}
	return slice_of(dst, n);
}

static const char *const hosts[] = {"a.example", "EXAMPLE.NET", "xn--bcher-kva.example", "x.example.", "a-b.c.example"};

static void test_property(void **state)
{
	(void)state;
	const char *given = getenv("ENTENTE_TEST_SEED");
	uint64_t start = given ? strtoull(given, NULL, 0) : rand_u64();
	struct buf uri;
	size_t accepted = 0, jids = 0;
	seed = start;
	buf_init(&uri, 4096);
	for (size_t i = 0; i < 40000; i++) {
		char text[256], res[256];
		struct xmpp_jid j1, j2, j3;
		struct slice back;
		struct entente_err err;
		arena_reset(arena);
		struct slice user = random_text(text, 8);
		struct slice host = slice_str(hosts[below(sizeof hosts / sizeof *hosts)]);
		struct slice resource = below(2) ? random_text(res, 6) : SLICE_NONE;

		/* SIP -> JID -> SIP -> JID is stable. */
		buf_clear(&uri);
		buf_puts(&uri, "sip:");
		if (below(4) == 0) {
			for (size_t k = 0; k < user.len; k++)
				buf_printf(&uri, "%%%02x", (unsigned char)user.p[k]);
		} else {
			sip_escape_user(user, &uri);
		}
		buf_putc(&uri, '@');
		buf_put(&uri, host);
		if (resource.len) {
			buf_puts(&uri, ";gr=");
			sip_escape_param(resource, &uri);
		}
		if (interwork_uri_to_jid(&j1, arena, buf_slice(&uri), &err) == 0) {
			accepted++;
			if (interwork_jid_to_sip(&back, arena, &j1, true, &err) != 0)
				fail_msg("seed %" PRIu64 ": %.*s -> %.*s does not go back: %s", start, SFMT(buf_slice(&uri)),
					 SFMT(j1.full), err.text);
			if (interwork_uri_to_jid(&j2, arena, back, &err) != 0)
				fail_msg("seed %" PRIu64 ": %.*s -> %.*s -> %.*s: %s", start, SFMT(buf_slice(&uri)),
					 SFMT(j1.full), SFMT(back), err.text);
			if (!slice_eq(j1.full, j2.full))
				fail_msg("seed %" PRIu64 ": %.*s -> %.*s -> %.*s -> %.*s", start, SFMT(buf_slice(&uri)),
					 SFMT(j1.full), SFMT(back), SFMT(j2.full));
		}

		/* JID -> SIP -> JID is the identity. */
		if (xmpp_jid_make(&j1, arena, user, host, resource) == 0 &&
		    interwork_jid_to_sip(&back, arena, &j1, true, &err) == 0) {
			jids++;
			if (interwork_uri_to_jid(&j3, arena, back, &err) != 0)
				fail_msg("seed %" PRIu64 ": %.*s -> %.*s: %s", start, SFMT(j1.full), SFMT(back), err.text);
			if (!slice_eq(j1.full, j3.full))
				fail_msg("seed %" PRIu64 ": %.*s -> %.*s -> %.*s", start, SFMT(j1.full), SFMT(back),
					 SFMT(j3.full));
		}
	}
	buf_free(&uri);
	/* The search must not be empty. */
	assert_true(accepted > 10000);
	assert_true(jids > 2000);
}

/* Different users stay different: two texts that are not the same after case folding never meet in one JID (ASCII, where folding
 * is simple). */
static void test_injective(void **state)
{
	(void)state;
	const char *given = getenv("ENTENTE_TEST_SEED");
	uint64_t start = given ? strtoull(given, NULL, 0) : rand_u64();
	struct buf uri;
	seed = start;
	buf_init(&uri, 4096);
	for (size_t i = 0; i < 20000; i++) {
		char text[2][256];
		struct slice user[2];
		struct xmpp_jid j[2];
		int r = 0;
		arena_reset(arena);
		for (size_t k = 0; k < 2; k++) {
			size_t n = 0;
			for (size_t left = 1 + below(5); left; left--) {
				static const char few[] = "\\\\\\25cCfF07/&";
				text[k][n++] = few[below(sizeof few - 1)];
			}
			user[k] = slice_of(text[k], n);
			buf_clear(&uri);
			buf_puts(&uri, "sip:");
			sip_escape_user(user[k], &uri);
			buf_puts(&uri, "@a.example");
			r |= interwork_uri_to_jid(&j[k], arena, buf_slice(&uri), NULL);
		}
		if (r == 0 && !slice_ieq(user[0], user[1]) && slice_eq(j[0].full, j[1].full))
			fail_msg("seed %" PRIu64 ": %.*s and %.*s are both %.*s", start, SFMT(user[0]), SFMT(user[1]),
				 SFMT(j[0].full));
	}
	buf_free(&uri);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local), cmocka_unit_test(test_sip_to_jid), cmocka_unit_test(test_jid_to_sip), cmocka_unit_test(test_gr_switch),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_tel),	      cmocka_unit_test(test_sender),
		cmocka_unit_test(test_property),   cmocka_unit_test(test_injective),
	};
	return cmocka_run_group_tests_name("interwork-address", tests, setup, teardown);
}
