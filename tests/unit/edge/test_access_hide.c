/* SPDX-License-Identifier: Apache-2.0 */
/* Topology hiding: what partners see, what they can do with it, and that dialogs go on as if nothing were hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/rand.h"
#include "proxy_rig.h"

enum { INNER = RIG_INNER, OUTER = RIG_OUTER };

static struct access_rules hiding(const char *secrets)
{
	struct access_rules r = access_rules_default;
	r.hide = true;
	access_hide_keys(&r.keys, slice_str(secrets));
	return r;
}

#define KEY_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const char *next(struct rig *r, int which)
{
	struct slice s = rig_next(r, which);
	if (!s.p)
		fail_msg("nothing was sent to the %s side", which == INNER ? "inner" : "outer");
	return s.p;
}

/* ---- seals */

static void seals(void **state)
{
	struct access_hide_keys a, b, both;
	struct arena *m = arena_new(1 << 22);
	(void)state;
	access_hide_keys(&a, S(KEY_A));
	access_hide_keys(&b, S(KEY_B));
	access_hide_keys(&both, S(KEY_B KEY_A));
	assert_true(a.n == 1 && both.n == 2);
	for (int i = 0; i < 2000; i++) {
		char text[300];
		size_t n = rand_below(sizeof text);
		rand_bytes(text, n);
		struct slice s = slice_of(text, n), token = access_hide_seal(&a, m, 'r', S("call"), s), open = access_hide_open(&a, m, 'r', S("call"), token);
		assert_true(open.p && slice_eq(open, s));
		assert_true(slice_eq(token, access_hide_seal(&a, m, 'r', S("call"), s))); /* the same again */
		assert_true(slice_eq(access_hide_open(&both, m, 'r', S("call"), token), s));
		assert_null(access_hide_open(&b, m, 'r', S("call"), token).p);
		assert_null(access_hide_open(&a, m, 'c', S("call"), token).p);
		assert_null(access_hide_open(&a, m, 'r', S("calm"), token).p);
		for (size_t k = 0; k < token.len; k++)
			assert_true((token.p[k] >= '0' && token.p[k] <= '9') || (token.p[k] >= 'a' && token.p[k] <= 'z') || (token.p[k] >= 'A' && token.p[k] <= 'Z') ||
				    token.p[k] == '-' || token.p[k] == '_');
		char changed[600];
		memcpy(changed, token.p, token.len);
		size_t at = rand_below(token.len - 1); /* the last one has bits that mean nothing */
		changed[at] = changed[at] == 'A' ? 'B' : 'A';
		assert_null(access_hide_open(&a, m, 'r', S("call"), slice_of(changed, token.len)).p);
		assert_null(access_hide_open(&a, m, 'r', S("call"), slice_first(token, rand_below(token.len - 1))).p);
		arena_release(NULL, m);
		m = arena_new(1 << 22);
	}
	static char huge[(1 << 20) + 1]; /* limits.max-sip-message */
	memset(huge, 'x', sizeof huge);
	struct slice call = slice_of(huge, sizeof huge), token = access_hide_seal(&a, m, 'r', call, S("text"));
	assert_true(slice_eq(access_hide_open(&a, m, 'r', call, token), S("text")));
	assert_null(access_hide_open(&a, m, 'r', slice_first(call, sizeof huge - 1), token).p);
	assert_null(access_hide_open(&a, m, 'r', S("call"), S("")).p);
	assert_null(access_hide_open(&a, m, 'r', S("call"), S("!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!")).p);
	arena_release(NULL, m);
}

static void dialog_marks(void **state)
{
	struct access_hide_keys a, b, both;
	struct arena *m = arena_new(1 << 16);
	(void)state;
	access_hide_keys(&a, S(KEY_A));
	access_hide_keys(&b, S(KEY_B));
	access_hide_keys(&both, S(KEY_B KEY_A));
	struct slice mark = access_hide_mark(&a, m, 'd', S("call"), S("tag")), seal = access_hide_seal(&a, m, 'd', S("call"), S("tag"));
	assert_int_equal(mark.len, 22);
	assert_true(access_hide_marked(&a, 'd', S("call"), S("tag"), mark));
	assert_true(access_hide_marked(&both, 'd', S("call"), S("tag"), mark));
	assert_false(access_hide_marked(&b, 'd', S("call"), S("tag"), mark));
	assert_false(access_hide_marked(&a, 't', S("call"), S("tag"), mark));
	assert_false(access_hide_marked(&a, 'd', S("calm"), S("tag"), mark));
	assert_false(access_hide_marked(&a, 'd', S("call"), S("tah"), mark));
	assert_false(access_hide_marked(&a, 'd', S("callt"), S("ag"), mark)); /* what belongs to which is part of it */
	assert_false(access_hide_marked(&a, 'd', S("call"), S("tag"), seal));
	for (size_t i = 0; i < mark.len; i++) {
		char changed[22];
		memcpy(changed, mark.p, mark.len);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_false(access_hide_marked(&a, 'd', S("call"), S("tag"), slice_of(changed, mark.len)));
		assert_false(access_hide_marked(&a, 'd', S("call"), S("tag"), slice_first(mark, i)));
	}
	arena_release(NULL, m);
}

/* ---- dialogs */

/* Nothing that names what is inside. */
static void nothing_inside(const char *m)
{
	static const char *const inside[] = {"10.0.0.", "192.0.2.", "home.ours", "phone", "Kamailio", "10.7.7.7"};
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
		if (strstr(m, inside[i]))
			fail_msg("%s is seen outside: %s", inside[i], m);
}

/* The n-th value of a header as it stands, one value in a field. */
static char *value(const char *m, const char *name, int n, char *dst, size_t size)
{
	char line[64];
	snprintf(line, sizeof line, "\r\n%s: ", name);
	for (const char *p = m; (p = strstr(p, line)); p++)
		if (!n--) {
			p += strlen(line);
			snprintf(dst, size, "%.*s", (int)(strchr(p, '\r') - p), p);
			return dst;
		}
	fail_msg("no %s in %s", name, m);
	return dst;
}

static int count(const char *m, const char *piece)
{
	int n = 0;
	for (; (m = strstr(m, piece)); m++)
		n++;
	return n;
}

static void feed(struct rig *r, int which, const char *text)
{
	rig_feed(r, which, which == INNER ? 1 : r->conn ? r->conn : 1, slice_str(text));
}

static char *uri_of(const char *v, char *dst, size_t size)
{
	const char *a = strchr(v, '<') + 1;
	snprintf(dst, size, "%.*s", (int)(strchr(a, '>') - a), a);
	return dst;
}

static unsigned branch;

static void in_dialog(struct rig *r, const char *uri, const char *routes, const char *call)
{
	char text[8192];
	snprintf(text, sizeof text, "INFO %s SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-%u\r\nMax-Forwards: 9\r\n%sFrom: <sip:bob@far.test>;tag=b\r\n"
		 "To: <sip:alice@ours.test>;tag=a1\r\nCall-ID: %s\r\nCSeq: 4 INFO\r\nContent-Length: 0\r\n\r\n", uri, ++branch, routes, call);
	feed(r, OUTER, text);
}

static void refused(struct rig *r)
{
	const char *m = next(r, OUTER);
	if (strncmp(m, "SIP/2.0 403 ", 12))
		fail_msg("not refused: %s", m);
	if (rig_next(r, INNER).p)
		fail_msg("passed on");
}

#define HOME_VIAS "Via: SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK-h1;ms-received-cid=AA\r\nv: SIP/2.0/UDP 10.7.7.7;branch=z9hG4bK-p;received=192.0.2.77\r\n"
#define NOTED_VIAS "Via: SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK-h1;ms-received-cid=AA;received=192.0.2.1\r\nv: SIP/2.0/UDP 10.7.7.7;branch=z9hG4bK-p;received=192.0.2.77\r\n"

/* Alice calls; Bob speaks in the dialog. */
static void caller(void **state)
{
	struct rig r;
	struct access_rules rules = hiding(KEY_A);
	char rr[1024], contact[1024], uri[1024], routes[4096], text[8192], via[512];
	(void)state;
	for (int bare = 0; bare < 2; bare++) {
		rig_start_with(&r, &rules);
		snprintf(text, sizeof text, "INVITE sip:bob@far.test SIP/2.0\r\n" HOME_VIAS "Record-Route: <sip:10.0.0.9;lr;x=1>, <sip:home.ours.test;lr>\r\nRecord-Route: <sip:10.0.0.8;lr>\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nUser-Agent: phone/1\r\nServer: Kamailio\r\n"
			 "Contact: %s\r\nX-Odd: v , w\r\nContent-Length: 0\r\n\r\n", bare ? "sip:alice@10.7.7.7:5070;isfocus" : "\"A\" <sip:alice@10.7.7.7:5070;ob>;isfocus");
		feed(&r, INNER, text);
		const char *m = next(&r, OUTER);
		nothing_inside(m);
		assert_int_equal(count(m, "Via:"), 1);
		assert_int_equal(count(m, "Record-Route:"), 1);
		assert_true(strstr(m, "X-Odd: v , w\r\n") && strstr(m, ">;isfocus\r\n"));
		value(m, "Record-Route", 0, rr, sizeof rr);
		value(m, "Contact", 0, contact, sizeof contact);
		value(m, "Via", 0, via, sizeof via);
		uri_of(contact, uri, sizeof uri);
		assert_true(strstr(uri, "@edge.ours.test:5061;transport=tls"));
		snprintf(text, sizeof text, "SIP/2.0 200 OK\r\nVia: %s\r\nRecord-Route: <sip:sip.far.test;lr>\r\nRecord-Route: %s\r\nFrom: <sip:alice@ours.test>;tag=a1\r\n"
			 "To: <sip:bob@far.test>;tag=b\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@far.test;gruu>\r\nContent-Length: 0\r\n\r\n", via, rr);
		feed(&r, OUTER, text);
		m = next(&r, INNER);
		assert_true(!strncmp(m, "SIP/2.0 200 OK\r\n", 16) && strstr(m, NOTED_VIAS));
		assert_int_equal(count(m, "ia:") + count(m, "\nv:"), 2);
		assert_true(strstr(m, "Record-Route: <sip:sip.far.test;lr>\r\nRecord-Route: <sip:edge.ours.test:5061;transport=tls;lr>\r\nRecord-Route: <sip:10.0.0.2:5060;transport=tcp;lr>\r\n"
				      "Record-Route: <sip:10.0.0.9;lr;x=1>, <sip:home.ours.test;lr>, <sip:10.0.0.8;lr>\r\n"));
		/* Bob */
		snprintf(routes, sizeof routes, "Route: %s\r\n", rr);
		in_dialog(&r, uri, routes, "c1");
		m = next(&r, INNER);
		if (strncmp(m, bare ? "INFO sip:alice@10.7.7.7:5070 SIP" : "INFO sip:alice@10.7.7.7:5070;ob SIP", 32) ||
		    !strstr(m, "\r\nRoute: <sip:10.0.0.9;lr;x=1>, <sip:home.ours.test;lr>, <sip:10.0.0.8;lr>\r\n") || count(m, "Route:") != 1)
			fail_msg("%s", m);
		/* what he was not given */
		in_dialog(&r, uri, routes, "c2");                            /* in another dialog */
		refused(&r);
		in_dialog(&r, "sip:alice@10.7.7.7", routes, "c1");
		refused(&r);
		in_dialog(&r, uri, "Route: <sip:edge.ours.test:5061;transport=tls;lr>, <sip:10.0.0.9;lr>\r\n", "c1");
		refused(&r);
		in_dialog(&r, uri, "Route: <sip:10.0.0.9;lr>\r\n", "c1");
		refused(&r);
		in_dialog(&r, "sip:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@edge.ours.test:5061;transport=tls", routes, "c1");
		refused(&r);
		in_dialog(&r, uri, "Route: <sip:edge.ours.test:5061;transport=tls;lr;ent=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA>\r\n", "c1");
		refused(&r);
		snprintf(routes, sizeof routes, "Route: %s, %s\r\n", rr, rr);
		in_dialog(&r, uri, routes, "c1");
		refused(&r);
		in_dialog(&r, "sip:alice@ours.test;gruu;opaque=x", "", "c1"); /* the address of the user is no secret */
		assert_true(!strncmp(next(&r, INNER), "INFO sip:alice@ours.test;gruu;opaque=x ", 39));
		/* switched off, and the secret changed: the dialog goes on */
		snprintf(routes, sizeof routes, "Route: %s\r\n", rr);
		struct access_rules off = hiding(KEY_B KEY_A);
		off.hide = false;
		access_proxy_set(r.proxy, &off);
		in_dialog(&r, uri, routes, "c1");
		assert_true(strstr(next(&r, INNER), "\r\nRoute: <sip:10.0.0.9;lr;x=1>, <sip:home.ours.test;lr>, <sip:10.0.0.8;lr>\r\n"));
		rig_run(&r, 70000);
		assert_int_equal(access_proxy_legs(r.proxy), 0);
		rig_end(&r);
	}
}

/* Bob calls; Alice answers; Bob speaks in the dialog. */
static void callee(void **state)
{
	struct rig r;
	struct access_rules rules = hiding(KEY_A);
	char via0[512], via1[512], rr0[256], rr1[256], rr[1024], contact[1024], uri[1024], routes[4096], text[8192];
	(void)state;
	rig_start_with(&r, &rules);
	feed(&r, OUTER, "INVITE sip:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f1\r\nRecord-Route: <sip:sip.far.test;lr>\r\nMax-Forwards: 9\r\n"
			"From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>\r\nCall-ID: c1\r\nCSeq: 4 INVITE\r\nUser-Agent: theirs\r\nContent-Length: 0\r\n\r\n");
	const char *m = next(&r, INNER);
	assert_true(strstr(m, "Record-Route: <sip:10.0.0.2:5060;transport=tcp;lr>\r\nRecord-Route: <sip:edge.ours.test:5061;transport=tls;lr>\r\n") && strstr(m, "User-Agent: theirs"));
	value(m, "Via", 0, via0, sizeof via0);
	value(m, "Via", 1, via1, sizeof via1);
	value(m, "Record-Route", 0, rr0, sizeof rr0);
	value(m, "Record-Route", 1, rr1, sizeof rr1);
	snprintf(text, sizeof text, "SIP/2.0 200 OK\r\nVia: %s\r\nVia: %s\r\nRecord-Route: <sip:10.0.0.8;lr>, <sip:10.0.0.9;lr>\r\nRecord-Route: %s,%s, <sip:sip.far.test;lr>\r\n"
		 "From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>;tag=a1\r\nCall-ID: c1\r\nCSeq: 4 INVITE\r\nContact: <sip:alice@10.7.7.7>\r\nServer: phone\r\n"
		 "Warning: 399 10.0.0.8 \"x\"\r\nContent-Length: 0\r\n\r\n", via0, via1, rr0, rr1);
	feed(&r, INNER, text);
	m = next(&r, OUTER);
	if (strncmp(m, "SIP/2.0 100", 11) == 0)
		m = next(&r, OUTER);
	nothing_inside(m);
	value(m, "Record-Route", 0, rr, sizeof rr);
	assert_true(strstr(m, ">\r\nRecord-Route: <sip:sip.far.test;lr>\r\n") && count(m, "Record-Route:") == 2);
	value(m, "Contact", 0, contact, sizeof contact);
	uri_of(contact, uri, sizeof uri);
	snprintf(routes, sizeof routes, "Route: %s\r\n", rr);
	in_dialog(&r, uri, routes, "c1");
	m = next(&r, INNER);
	if (strncmp(m, "INFO sip:alice@10.7.7.7 SIP", 27) || !strstr(m, "\r\nRoute: <sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>\r\n")) /* the way back */
		fail_msg("%s", m);
	rig_end(&r);

	rig_start_with(&r, &rules); /* a home that records nothing, a redirection, sips */
	r.tls_home = true;
	feed(&r, OUTER, "INVITE sips:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-f2\r\nMax-Forwards: 9\r\n"
			"From: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>\r\nCall-ID: c1\r\nCSeq: 4 INVITE\r\nContent-Length: 0\r\n\r\n");
	m = next(&r, INNER);
	value(m, "Via", 0, via0, sizeof via0);
	value(m, "Via", 1, via1, sizeof via1);
	value(m, "Record-Route", 0, rr0, sizeof rr0);
	value(m, "Record-Route", 1, rr1, sizeof rr1);
	for (int status = 180; status < 400; status += 122) { /* 180, 302 */
		snprintf(text, sizeof text, "SIP/2.0 %d X\r\nVia: %s\r\nVia: %s\r\nRecord-Route: %s,%s\r\nFrom: <sip:bob@far.test>;tag=b\r\nTo: <sip:alice@ours.test>;tag=a1\r\nCall-ID: c1\r\n"
			 "CSeq: 4 INVITE\r\nContact: %s\r\nContent-Length: 0\r\n\r\n", status, via0, via1, rr0, rr1, status == 302 ? "<sip:carol@ours.test>" : "<sips:alice@10.7.7.7>");
		feed(&r, INNER, text);
		m = next(&r, OUTER);
		nothing_inside(m);
		assert_true(strstr(m, "\r\nRecord-Route: <sips:edge.ours.test:5061;lr>\r\n"));
		assert_true(strstr(m, status == 302 ? "Contact: <sip:carol@ours.test>\r\n" : "@edge.ours.test:5061>\r\n"));
	}
	rig_end(&r);
}

/* What is no dialog, tries again, or is no request that can be answered. */
static void others(void **state)
{
	struct rig r;
	struct access_rules rules = hiding(KEY_A);
	char via[512], text[4096];
	(void)state;
	rig_start_with(&r, &rules);
	feed(&r, INNER, "MESSAGE sip:bob@far.test SIP/2.0\r\n" HOME_VIAS "Record-Route: <sip:10.0.0.9;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>\r\n"
			"Call-ID: c1\r\nCSeq: 1 MESSAGE\r\nUser-Agent: phone\r\nContent-Length: 2\r\n\r\nhi");
	const char *m = next(&r, OUTER);
	nothing_inside(m);
	for (int k = 0; k < 2; k++) { /* 503: the next server */
		value(m, "Via", 0, via, sizeof via);
		snprintf(text, sizeof text, "SIP/2.0 %d X\r\nVia: %s\r\n%sFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>;tag=b\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
			 k ? 200 : 503, via, "");
		feed(&r, OUTER, text);
		if (!k)
			nothing_inside(m = next(&r, OUTER));
	}
	m = next(&r, INNER);
	assert_true(!strncmp(m, "SIP/2.0 200 X\r\n" NOTED_VIAS, 15 + sizeof NOTED_VIAS - 1));
	feed(&r, INNER, "MESSAGE sip:bob@far.test SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK-h2\r\nMax-Forwards: 70\r\nFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>\r\n"
			"Call-ID: c1\r\nCSeq: 2 MESSAGE\r\nContent-Length: 0\r\n\r\n");
	value(next(&r, OUTER), "Via", 0, via, sizeof via); /* Vias of his own making do not come in */
	snprintf(text, sizeof text, "SIP/2.0 200 X\r\nVia: %s\r\nVia: SIP/2.0/TCP 10.0.0.66;branch=z9hG4bK-x\r\nFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>;tag=b\r\n"
		 "Call-ID: c1\r\nCSeq: 2 MESSAGE\r\nContent-Length: 0\r\n\r\n", via);
	feed(&r, OUTER, text);
	assert_true(!strncmp(next(&r, INNER), "SIP/2.0 502 ", 12));
	feed(&r, INNER, "ACK sip:bob@far.test SIP/2.0\r\n" HOME_VIAS "Max-Forwards: 70\r\nFrom: <sip:alice@ours.test>;tag=a1\r\nTo: <sip:bob@far.test>;tag=b\r\nCall-ID: c9\r\nCSeq: 1 ACK\r\n"
			"Content-Length: 0\r\n\r\n");
	nothing_inside(next(&r, OUTER));
	assert_int_equal(access_proxy_legs(r.proxy), 0);
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(seals), cmocka_unit_test(dialog_marks), cmocka_unit_test(caller), cmocka_unit_test(callee), cmocka_unit_test(others)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
