/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include "base/enc.h"
#include "xmpp/jid.h"

static struct arena *a;

static int setup(void **state)
{
	(void)state;
	a = arena_new(1 << 22);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(NULL, a);
	return 0;
}

/* What xmpp_jid_parse makes of it; NULL when refused. */
static const char *prepared(const char *text)
{
	struct xmpp_jid j = {.full = S("untouched")};
	int rc = xmpp_jid_parse(&j, a, slice_str(text));
	if (rc) {
		assert_true(rc == ENTENTE_ESYNTAX || rc == ENTENTE_ELIMIT);
		assert_slice(j.full, "untouched");
		return NULL;
	}
	/* the parts are laid out as promised */
	char want[4096];
	int n = snprintf(want, sizeof want, "%.*s%s%.*s%s%.*s", SFMT(j.local), j.local.len ? "@" : "", SFMT(j.domain),
			 j.resource.len ? "/" : "", SFMT(j.resource));
	assert_slice(j.full, want);
	assert_int_equal(j.full.p[j.full.len], 0);
	assert_ptr_equal(j.bare.p, j.full.p);
	assert_int_equal(j.bare.len, (size_t)n - (j.resource.len ? j.resource.len + 1 : 0));
	assert_true(utf8_valid(j.full));
	/* preparing it again changes nothing */
	struct xmpp_jid again;
	assert_int_equal(xmpp_jid_parse(&again, a, j.full), 0);
	assert_true(xmpp_jid_equal(&j, &again));
	return j.full.p;
}

static void check(const char *in, const char *out)
{
	const char *got = prepared(in);
	if (!got != !out || (got && strcmp(got, out) != 0))
		fail_msg("%s gives %s, not %s", in, got ? got : "an error", out ? out : "an error");
}

static void same(const char *in)
{
	check(in, in);
}

static void test_rfc7622_examples(void **state)
{
	(void)state;
	/* 3.5 table 1 */
	same("juliet@example.com");
	same("juliet@example.com/foo");
	same("juliet@example.com/foo bar");
	same("juliet@example.com/foo@bar");
	same("foo\\20bar@example.com");
	same("fussball@example.com");
	same("fu\xc3\x9f" "ball@example.com");
	same("\xcf\x80@example.com");
	check("\xce\xa3@example.com/foo", "\xcf\x83@example.com/foo");
	same("\xcf\x83@example.com/foo");
	same("\xcf\x82@example.com/foo");
	same("king@example.com/\xe2\x99\x9a");
	same("example.com");
	same("example.com/foobar");
	same("a.example.com/b@example.net");
	/* table 2 */
	check("\"juliet\"@example.com", NULL);
	check("foo bar@example.com", NULL);
	check("@example.com/", NULL);
	check("henry\xe2\x85\xa3@example.com", NULL);
	check("\xe2\x99\x9a@example.com", NULL);
	check("juliet@", NULL);
	check("/foobar", NULL);
	/* The table also lists a resource that starts with a space; OpaqueString allows it, and so do we. */
	same("juliet@example.com/ foo");
}

/* The JID column of the project's table of worked examples. */
static void test_interworking_examples(void **state)
{
	(void)state;
	static const char *const plain[] = {
		"romeo@example.net", "o\\27malley@sip.example", "f\xc3\xbc@sip.example", "foo@sip.example/bar",
		"m\\26m@a.example",
		"a\\2fb@a.example", "alice;day=tuesday@atlanta.com", "user\\40corp.com@a.example", "a\\20b@a.example",
		"a\\22b\\3cc\\3e@a.example", "a\\5c27b@a.example", "a\\xyz@a.example", "a\\5c5cb@a.example", "a#b%c@a.example",
		"+12125551212@gw.example", "a.example", "j\xc3\xbcrgen@b\xc3\xbc" "cher.example",
		"bob@a.example/urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "bob@a.example/qIGJkJPk5Fa",
		"\xd0\xb0lice@a.example",
		"tsch\xc3\xbcss@xmpp.example", "c\\3a\\5c5commas@x.example", "foo\\bar@x.example", "foob\\41r@x.example",
		"a^b{d|e}@x.example", "a`b@x.example", "a;b?c@x.example", "juliet@x.example/my phone \xc3\xa9",
		"juliet@x.example/a/b@c;d=e",
		"stra\xc3\x9f" "e@x.example",
	};
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		same(plain[i]);
	check("Romeo@EXAMPLE.NET", "romeo@example.net");
	check("JuLiet@XMPP.example", "juliet@xmpp.example");
	check("x@xn--bcher-kva.example", "x@b\xc3\xbc" "cher.example");
	check("J\xc3\x9cRGEN@B\xc3\x9c" "CHER.example", "j\xc3\xbcrgen@b\xc3\xbc" "cher.example");
	check("\xef\xbc\xaa\xef\xbc\xb5@a.example", "ju@a.example"); /* full width */
	check("\xe2\x84\xa2@a.example", NULL);                       /* trade mark sign */
	check("bob@a.example.", "bob@a.example");
	check("\\20a@x.example", NULL);
	check("a\\20@x.example", NULL);
	check("@x.example", NULL);
	check("a b@x.example", NULL);
	check("bob@192.0.2.1", NULL);
	check("bob@[2001:db8::1]", NULL);
}

static void test_splitting(void **state)
{
	(void)state;
	check("", NULL);
	check("@", NULL);
	check("/", NULL);
	check("a@", NULL);
	check("a@/r", NULL);
	check("@a", NULL);
	check("a/", NULL);
	check("b@a/", NULL);
	check("a@b@c", NULL);
	same("a/@");
	same("a//");
	same("a@b/c/d@e/");
	struct xmpp_jid j;
	assert_int_equal(xmpp_jid_parse(&j, a, S("a@b/c/d@e/")), 0);
	assert_slice(j.local, "a");
	assert_slice(j.domain, "b");
	assert_slice(j.resource, "c/d@e/");
	assert_slice(j.bare, "a@b");
	struct xmpp_jid bare = xmpp_jid_bare(&j);
	assert_slice(bare.full, "a@b");
	assert_slice(bare.bare, "a@b");
	assert_slice(bare.resource, "");
	assert_slice(bare.local, "a");
	assert_false(xmpp_jid_equal(&bare, &j));
	struct xmpp_jid k;
	assert_int_equal(xmpp_jid_make(&k, a, S("A"), S("B."), SLICE_NONE), 0);
	assert_true(xmpp_jid_equal(&bare, &k));
	assert_int_equal(xmpp_jid_make(&k, a, SLICE_NONE, S("b"), S("R")), 0);
	assert_slice(k.full, "b/R");
	assert_slice(k.bare, "b");
	assert_slice(k.local, "");
	assert_int_equal(xmpp_jid_make(&k, a, S("a"), SLICE_NONE, S("R")), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_jid_make(&k, a, S("a@b"), S("c"), SLICE_NONE), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_jid_make(&k, a, S("a"), S("b/c"), SLICE_NONE), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_jid_parse(&j, a, S("a\0b@c")), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_jid_parse(&j, a, S("a@c/\0")), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_jid_parse(&j, a, S("a@c\0")), ENTENTE_ESYNTAX);
}

static void test_every_ascii_octet(void **state)
{
	(void)state;
	for (int c = 0; c < 0x80; c++) {
		char text[] = "x_y";
		struct slice ret;
		text[1] = (char)c;
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		bool local = c > 0x20 && c < 0x7f && !strchr("\"&'/:<>@", c);
		assert_int_equal(xmpp_prep_local(a, slice_of(text, 3), &ret), local ? 0 : ENTENTE_ESYNTAX);
		assert_int_equal(xmpp_prep_domain(a, slice_of(text, 3), &ret), alnum || c == '-' ||
			c == '.' ? 0 : ENTENTE_ESYNTAX);
		assert_int_equal(xmpp_prep_resource(a, slice_of(text, 3), &ret), c >= 0x20 && c < 0x7f ? 0 : ENTENTE_ESYNTAX);
		/* and the same when ICU has to look at it */
		char wide[] = "\xc3\xbc_y";
		wide[2] = (char)c;
		assert_int_equal(xmpp_prep_local(a, slice_of(wide, 4), &ret), local ? 0 : ENTENTE_ESYNTAX);
		assert_int_equal(xmpp_prep_domain(a, slice_of(wide, 4), &ret), alnum || c == '-' ||
			c == '.' ? 0 : ENTENTE_ESYNTAX);
		assert_int_equal(xmpp_prep_resource(a, slice_of(wide, 4), &ret), c >= 0x20 && c < 0x7f ? 0 : ENTENTE_ESYNTAX);
	}
}

static void local(const char *in, const char *out)
{
	struct slice ret = SLICE_NONE;
	int rc = xmpp_prep_local(a, slice_str(in), &ret);
	if (!rc != (out != NULL) || (out && !slice_eq(ret, slice_str(out))))
		fail_msg("%s gives %d %.*s, not %s", in, rc, SFMT(ret), out ? out : "an error");
	if (out) {
		struct slice again;
		assert_int_equal(xmpp_prep_local(a, ret, &again), 0);
		assert_true(slice_eq(again, ret));
	}
}

static void test_local_mappings(void **state)
{
	(void)state;
	local("\xc3\x84\xc3\x96\xc3\x9c", "\xc3\xa4\xc3\xb6\xc3\xbc");     /* case */
	local("u\xcc\x88", "\xc3\xbc");                                     /* NFC */
	local("U\xcc\x88", "\xc3\xbc");
	local("\xc4\xb0", "i\xcc\x87");                                     /* I with dot, root locale */
	local("\xe1\xba\x9e", "\xc3\x9f");                                  /* capital sharp s */
	local("\xce\x91\xce\xa3", "\xce\xb1\xcf\x82");                      /* a sigma at the end of a word */
	local("\xef\xbd\xb1", "\xe3\x82\xa2");                              /* half-width katakana */
	local("\xef\xbc\xa1\xef\xbc\x91", "a1");                            /* full-width letters and digits */
	local("a\xef\xbc\xa0", NULL);                                       /* full-width @ becomes @ */
	local("\xef\xbc\x8f", NULL);                                        /* full-width / */
	local("\xef\xbc\x9a", NULL);                                        /* full-width : */
	local("\xef\xbc\xbc" "20x", NULL);                                  /* a full-width backslash makes an escaped space */
	local("\xe2\x84\xaa", "k");                                         /* Kelvin sign lower-cases to k */
	local("\xef\xac\x81", NULL);                                        /* fi ligature: compatibility character */
	local("\xc2\xaa", NULL);                                            /* feminine ordinal */
	local("\xc2\xb2", NULL);                                            /* superscript two */
	local("\xe2\x82\xac", NULL);                                        /* euro sign: symbol */
	local("\xe2\x80\x94", NULL);                                        /* dash: punctuation */
	local("\xe3\x80\x80", NULL);                                        /* ideographic space */
	local("\xc2\xa0", NULL);                                            /* no-break space */
	local("\xf0\x9f\x98\x80", NULL);                                    /* emoji */
	local("\xf0\x90\x90\x80", "\xf0\x90\x90\xa8");                      /* Deseret, outside the first plane */
	local("\xe7\x8e\x8b", "\xe7\x8e\x8b");                              /* Han */
	local("\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7", "\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7"); /* Devanagari with virama */
	local("\xe3\x80\x87", "\xe3\x80\x87");                              /* exception: ideographic zero */
	local("\xd9\x80", NULL);                                            /* exception: tatweel */
	local("\xc2\xad", NULL);                                            /* soft hyphen: ignorable */
	local("\xe2\x80\x8b", NULL);                                        /* zero width space */
	local("\xe2\x80\xae", NULL);                                        /* right-to-left override */
	local("\xef\xbb\xbf", NULL);                                        /* byte order mark */
	local("\xef\xb7\x90", NULL);                                        /* noncharacter U+FDD0 */
	local("\xee\x80\x80", NULL);                                        /* private use */
	local("\xe1\x84\x80", NULL);                                        /* old Hangul jamo */
	local("\xea\xb0\x80", "\xea\xb0\x80");                              /* Hangul syllable */
	local("\xcd\xb8", NULL);                                            /* unassigned U+0378 */
	local("\xf3\xa0\x84\x80", NULL);                                    /* variation selector */
	local("\xc2\x85", NULL);                                            /* C1 control */
}

static void test_contextual_rules(void **state)
{
	(void)state;
	local("l\xc2\xb7l", "l\xc2\xb7l");
	local("L\xc2\xb7L", "l\xc2\xb7l");
	local("a\xc2\xb7l", NULL);
	local("l\xc2\xb7", NULL);
	local("\xc2\xb7l", NULL);
	local("\xcd\xb5\xce\xb1", "\xcd\xb5\xce\xb1"); /* Greek numeral sign before alpha */
	local("\xcd\xb5" "a", NULL);
	local("\xce\xb1\xcd\xb5", NULL);
	local("\xd7\x90\xd7\xb3", "\xd7\x90\xd7\xb3"); /* Hebrew geresh */
	local("\xd7\x90\xd7\xb4", "\xd7\x90\xd7\xb4");
	local("\xd7\xb3\xd7\x90", NULL);
	local("\xe3\x83\xbb", NULL); /* middle dot alone */
	local("a\xe3\x83\xbb\xe3\x82\xa2", "a\xe3\x83\xbb\xe3\x82\xa2");
	local("a\xe3\x83\xbb" "b", NULL);
	local("\xd8\xa7\xd9\xa0", "\xd8\xa7\xd9\xa0"); /* Arabic-Indic digit after alef */
	local("\xd8\xa7\xdb\xb0", "\xd8\xa7\xdb\xb0");
	local("\xd8\xa7\xd9\xa0\xdb\xb0", NULL); /* the two sets of digits mixed */
	local("\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7");
		/* joiner after virama */
	local("a\xe2\x80\x8d" "b", NULL);
	local("\xe2\x80\x8d", NULL);
	local("\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8c\xe0\xa4\xb7", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8c\xe0\xa4\xb7");
	local("\xd8\xa8\xe2\x80\x8c\xd8\xa8", "\xd8\xa8\xe2\x80\x8c\xd8\xa8"); /* between dual-joining letters */
	local("\xd8\xa8\xd9\x8e\xe2\x80\x8c\xd9\x8e\xd8\xa8", "\xd8\xa8\xd9\x8e\xe2\x80\x8c\xd9\x8e\xd8\xa8");
		/* with marks between */
	local("\xd8\xa7\xe2\x80\x8c\xd8\xa8", NULL); /* alef does not join to the left */
	local("\xd8\xa8\xe2\x80\x8c", NULL);
	local("a\xe2\x80\x8c" "b", NULL);
}

static void test_direction(void **state)
{
	(void)state;
	local("\xd7\x90\xd7\x91", "\xd7\x90\xd7\x91");
	local("\xd7\x90" "1", "\xd7\x90" "1");
	local("\xd7\x90\xcc\x80", "\xd7\x90\xcc\x80"); /* ends in a mark after R */
	local("\xd7\x90-\xd7\x91", "\xd7\x90-\xd7\x91");
	local("\xd7\x90-", NULL);     /* condition 3 */
	local("1\xd7\x90", NULL);     /* condition 1 */
	local("a\xd7\x90", NULL);     /* 5 */
	local("\xd7\x90" "a", NULL);  /* 2 */
	local("\xd9\xa0" "a", NULL);  /* starts with an Arabic number */
	local("\xd8\xa7" "1\xd9\xa0", NULL); /* 4: both kinds of numbers */
	local("\xd8\xa7\xd9\xa0", "\xd8\xa7\xd9\xa0");
	local("-a-", "-a-"); /* no right-to-left code point: no rule */
	/* it is a rule for identifiers only */
	same("x@example.com/a\xd7\x90-");
}

static void resource(const char *in, const char *out)
{
	struct slice ret = SLICE_NONE;
	int rc = xmpp_prep_resource(a, slice_str(in), &ret);
	if (!rc != (out != NULL) || (out && !slice_eq(ret, slice_str(out))))
		fail_msg("%s gives %d %.*s, not %s", in, rc, SFMT(ret), out ? out : "an error");
}

static void test_resource(void **state)
{
	(void)state;
	resource("Home PC <1> \"&'", "Home PC <1> \"&'");
	resource("\xc3\x9c\xe2\x84\xa2\xe2\x99\x9a\xf0\x9f\x98\x80", "\xc3\x9c\xe2\x84\xa2\xe2\x99\x9a\xf0\x9f\x98\x80");
		/* case and symbols stay */
	resource("a\xc2\xa0" "b\xe3\x80\x80" "c\xe1\x9a\x80", "a b c ");  /* all spaces become the plain one */
	resource("u\xcc\x88", "\xc3\xbc");
	resource("\xef\xbc\xa1", "\xef\xbc\xa1"); /* width stays */
	resource("", NULL);
	resource("\t", NULL);
	resource("a\xc2\x85", NULL);
	resource("\xcd\xb8", NULL);
	resource("\xe2\x80\x8b", NULL);
	resource("\xee\x80\x80", NULL);
	resource("\xff", NULL);
	resource("\xc3", NULL);
	resource("\xed\xa0\x80", NULL);
}

static void domain(const char *in, const char *out, const char *ascii)
{
	struct slice ret = SLICE_NONE;
	int rc = xmpp_prep_domain(a, slice_str(in), &ret);
	if (!rc != (out != NULL) || (out && !slice_eq(ret, slice_str(out))))
		fail_msg("%s gives %d %.*s, not %s", in, rc, SFMT(ret), out ? out : "an error");
	if (out) {
		struct slice again, ace;
		assert_int_equal(xmpp_prep_domain(a, ret, &again), 0);
		assert_true(slice_eq(again, ret));
		assert_int_equal(xmpp_domain_ascii(a, ret, &ace), 0);
		assert_slice(ace, ascii);
	}
}

static void test_domain(void **state)
{
	(void)state;
	domain("Example.COM", "example.com", "example.com");
	domain("example.com.", "example.com", "example.com");
	domain("localhost", "localhost", "localhost");
	domain("a-b.c--d.e1", "a-b.c--d.e1", "a-b.c--d.e1");
	domain("1.2.3.4a", "1.2.3.4a", "1.2.3.4a");
	domain("3com.com", "3com.com", "3com.com");
	domain("B\xc3\xbc" "cher.EXAMPLE.", "b\xc3\xbc" "cher.example", "xn--bcher-kva.example");
	domain("XN--BCHER-KVA.example", "b\xc3\xbc" "cher.example", "xn--bcher-kva.example");
	domain("bu\xcc\x88" "cher.example", "b\xc3\xbc" "cher.example", "xn--bcher-kva.example");
	domain("fa\xc3\x9f.de", "fa\xc3\x9f.de", "xn--fa-hia.de"); /* non-transitional */
	domain("\xce\xb2\xcf\x8c\xce\xbb\xce\xbf\xcf\x82.com", "\xce\xb2\xcf\x8c\xce\xbb\xce\xbf\xcf\x82.com",
		"xn--nxasmm1c.com");
	domain("a\xe3\x80\x82" "b\xc3\xbc", "a.b\xc3\xbc", "a.xn--b-eha"); /* ideographic full stop */
	domain("b\xc3\xbc.\xe3\x80\x82", NULL, NULL);
	domain("b\xc3\xbc\xe3\x80\x82", "b\xc3\xbc", "xn--b-eha"); /* as a trailing dot */
	domain("\xef\xbc\xa5xample.com", "example.com", "example.com");

	static const char *const bad[] = {
		"", ".", "..", "a..b", ".a", "a..", "-a", "a-", "a.-b", "a-.b", "a_b", "a b", "a\tb", "a/b", "a@b", "a:5269",
		"[::1]", "*.a", "a%b",
		"127.0.0.1", "1", "127.1", "1.2.3.4.", "0x7f000001", "a.0x1f", "0X7F.1", "example.123", "fe80::1",
		"[2001:db8::1]",
		"xn--", "xn--a", "xn--example-", "xn--bcher-kva-", "xn--zzzzzzzzzz99999", "xn--\xc3\xbc",
		"\xff.example", "\xc3.example", "\xed\xa0\x80.example",
		"\xe2\x84\xa0\xe2\x84\x80.example",           /* maps to a slash */
		"\xef\xbc\x8f.example",                       /* full-width slash */
		"\xe2\x98\x83.example", "\xf0\x9f\x92\xa9.la", /* symbols */
		"\xc2\xad.example", "a\xe2\x80\x8d" "b.example", "\xd7\x90" "a.example", "-\xc3\xbc.example", "\xc3\xbc-.example",
		"\xef\xbc\x91\xef\xbc\x92.\xef\xbc\x91", /* full-width digits */
		"\xcd\xb8.example",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		domain(bad[i], NULL, NULL);

	/* labels of 63, names of 253 octets in their A-label form */
	char l63[64], name[300];
	memset(l63, 'a', 63);
	l63[63] = 0;
	int n = snprintf(name, sizeof name, "%s.%s.%s.%.61s.", l63, l63, l63, l63);
	assert_int_equal(n, 254);
	struct slice ret;
	assert_int_equal(xmpp_prep_domain(a, slice_of(name, 253), &ret), 0);
	assert_int_equal(xmpp_prep_domain(a, slice_of(name, 254), &ret), 0); /* with its trailing dot */
	assert_int_equal(ret.len, 253);
	snprintf(name, sizeof name, "%s.%s.%s.%.62s", l63, l63, l63, l63);
	domain(name, NULL, NULL);
	snprintf(name, sizeof name, "%sa.example", l63);
	domain(name, NULL, NULL);
	snprintf(name, sizeof name, "\xc3\xbc%.58s.example", l63);
	domain(name, NULL, NULL); /* 60 octets, but the A-label has 66 */
	assert_int_equal(xmpp_domain_ascii(a, S("a b"), &ret), ENTENTE_ESYNTAX);
	assert_int_equal(xmpp_domain_ascii(a, S(""), &ret), ENTENTE_ESYNTAX);
}

static void test_lengths(void **state)
{
	(void)state;
	static char text[8192];
	struct slice ret;
	for (int wide = 0; wide < 2; wide++) {
		/* the last character makes ICU look at it */
		memset(text, 'a', sizeof text);
		if (wide)
			memcpy(text, "\xc3\xbc", 2);
		assert_int_equal(xmpp_prep_local(a, slice_of(text, 1023), &ret), 0);
		assert_int_equal(ret.len, 1023);
		assert_int_equal(xmpp_prep_local(a, slice_of(text, 1024), &ret), ENTENTE_ELIMIT);
		assert_int_equal(xmpp_prep_local(a, slice_of(text, 8000), &ret), ENTENTE_ELIMIT);
		assert_int_equal(xmpp_prep_resource(a, slice_of(text, 1023), &ret), 0);
		assert_int_equal(xmpp_prep_resource(a, slice_of(text, 1024), &ret), ENTENTE_ELIMIT);
		assert_int_equal(xmpp_prep_domain(a, slice_of(text, 1024), &ret), ENTENTE_ELIMIT);
		assert_int_equal(xmpp_prep_domain(a, slice_of(text, 8000), &ret), ENTENTE_ELIMIT);
	}
	/* the limit is for what comes out: full width shrinks, decomposition grows */
	for (size_t i = 0; i < 1023; i++)
		memcpy(text + 3 * i, "\xef\xbc\xa1", 3);
	assert_int_equal(xmpp_prep_local(a, slice_of(text, 3069), &ret), 0);
	assert_int_equal(ret.len, 1023);
	assert_int_equal(xmpp_prep_local(a, slice_of(text, 3072), &ret), ENTENTE_ELIMIT);
	for (size_t i = 0; i < 500; i++)
		memcpy(text + 2 * i, "\xc4\xb0", 2); /* three octets each when lower-cased */
	assert_int_equal(xmpp_prep_local(a, slice_of(text, 1000), &ret), ENTENTE_ELIMIT);

	/* a whole address of the largest parts */
	memset(text, 'a', sizeof text);
	text[1023] = '@';
	memcpy(text + 1024, "example.com/", 12);
	struct xmpp_jid j;
	assert_int_equal(xmpp_jid_parse(&j, a, slice_of(text, 1024 + 12 + 1023)), 0);
	assert_int_equal(j.resource.len, 1023);
	assert_int_equal(xmpp_jid_parse(&j, a, slice_of(text, 1024 + 12 + 1024)), ENTENTE_ELIMIT);

	/* an arena without room */
	struct arena *small = arena_new(ARENA_BLOCK);
	assert_non_null(arena_bytes(small, ARENA_BLOCK - 5));
	assert_int_equal(xmpp_jid_parse(&j, small, S("romeo@example.net")), ENTENTE_ELIMIT);
	assert_int_equal(xmpp_jid_parse(&j, small, S("\xc3\xbc@example.net")), ENTENTE_ELIMIT);
	assert_int_equal(xmpp_prep_local(small, S("romeo"), &ret), ENTENTE_ELIMIT);
	assert_int_equal(xmpp_prep_resource(small, S("romeo"), &ret), ENTENTE_ELIMIT);
	assert_int_equal(xmpp_prep_domain(small, S("example.net"), &ret), ENTENTE_ELIMIT);
	assert_int_equal(xmpp_domain_ascii(small, S("example.net"), &ret), ENTENTE_ELIMIT);
	arena_release(NULL, small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rfc7622_examples, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interworking_examples, setup, teardown),
		cmocka_unit_test_setup_teardown(test_splitting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_ascii_octet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_local_mappings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contextual_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_direction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resource, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
