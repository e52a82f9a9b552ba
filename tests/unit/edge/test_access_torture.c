/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4475 and RFC 5118 through the proxy core, from homes and from partners: what has to be carried comes out as it went in, but for the
 * headers that a proxy owns; what has to be refused is refused with the right status and reason. What must come out is computed here, by hand,
 * without the product's parser or editor. And streams: however they are cut, the same comes out; and after a lie about Content-Length nothing
 * does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "proxy_rig.h"

enum { INNER = RIG_INNER, OUTER = RIG_OUTER, DROP = -1, MESSAGE_MAX = 65536 };

static const struct access_rules all_rules = {.methods = ~0u, .telephone = true};

/* ---- what must come out */

static size_t line_end(struct slice s, size_t at)
{
	for (; at + 1 < s.len; at++)
		if (s.p[at] == '\r' && s.p[at + 1] == '\n')
			return at + 2;
	return s.len;
}

/* One header field with its folded lines. */
static struct slice field_at(struct slice s, size_t at)
{
	size_t end = line_end(s, at);
	while (end < s.len && (s.p[end] == ' ' || s.p[end] == '\t'))
		end = line_end(s, end);
	return slice_of(s.p + at, end - at);
}

static bool white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool named(struct slice field, const char *name, char compact)
{
	size_t n = 0, len = strlen(name);
	while (n < field.len && field.p[n] != ':')
		n++;
	while (n && white(field.p[n - 1]))
		n--;
	return (n == len && !strncasecmp(field.p, name, n)) || (n == 1 && compact && (field.p[0] | 32) == compact);
}

static struct slice value_of(struct slice field)
{
	size_t a = (size_t)slice_find_chr(field, ':') + 1, b = field.len;
	while (b > a && white(field.p[b - 1]))
		b--;
	while (a < b && white(field.p[a]))
		a++;
	return slice_of(field.p + a, b - a);
}

static struct slice rest_of(struct slice whole, struct slice piece)
{
	const char *end = piece.p + piece.len;
	return slice_of(end, (size_t)(whole.p + whole.len - end));
}

/* Does this Via say that it was sent by `host`? */
static bool sent_by(struct slice via, const char *host)
{
	ptrdiff_t semi = slice_find_chr(via, ';');
	size_t n = semi < 0 ? via.len : (size_t)semi, len = strlen(host);
	return n > len && white(via.p[n - len - 1]) && !memcmp(via.p + n - len, host, len);
}

/* The topmost Via with what the receiver notes in it. */
static void put_via(struct buf *out, struct slice field, int from)
{
	struct slice v = value_of(field);
	size_t n = 0;
	bool quoted = false;
	for (; n < v.len && (quoted || v.p[n] != ','); n++)
		quoted ^= v.p[n] == '"';
	while (n && white(v.p[n - 1]))
		n--;
	struct slice first = slice_first(v, n);
	ptrdiff_t rport = slice_find(first, S(";rport"));
	size_t name = rport < 0 ? 0 : (size_t)rport + 6;
	const char *source = from == INNER ? "192.0.2.1" : "198.51.100.1";
	buf_put(out, slice_of(field.p, (size_t)(v.p - field.p)));
	ptrdiff_t received = slice_find(first, S(";received=")); /* the sender cannot know it */
	if (received >= 0) {
		size_t value = (size_t)received + 10, end = value;
		while (end < first.len && first.p[end] != ';')
			end++;
		buf_put(out, slice_first(first, value));
		buf_puts(out, source);
		buf_put(out, slice_skip(first, end));
	} else if (rport >= 0 && (name == first.len || first.p[name] != '=')) {
		buf_put(out, slice_first(first, name));
		buf_puts(out, "=4321");
		buf_put(out, slice_skip(first, name));
	} else {
		buf_put(out, first);
	}
	if (received < 0 && (rport >= 0 || !sent_by(first, source)))
		buf_printf(out, ";received=%s", source);
	buf_put(out, rest_of(field, first));
}

#define VIA_OUTER "Via: SIP/2.0/TLS edge.ours.test:5061;branch=z9hG4bK"
#define VIA_INNER "Via: SIP/2.0/TCP 10.0.0.2:5060;branch=z9hG4bK"
#define RR_OUTER "Record-Route: <sip:edge.ours.test:5061;transport=tls;lr>\r\n"
#define RR_INNER "Record-Route: <sip:10.0.0.2:5060;transport=tcp;lr>\r\n"

/* A request that came from this side; our branch is "*". */
static void expected(struct buf *out, struct slice in, int from)
{
	bool hops = false, breadth = false, length = false;
	size_t at = 0, body_len = SIZE_MAX;
	while (slice_starts(slice_skip(in, at), S("\r\n")))
		at += 2;
	size_t start = at;
	at = line_end(in, at);
	buf_put(out, slice_of(in.p + start, at - start));
	buf_printf(out, "%s*\r\n", from == INNER ? VIA_OUTER : VIA_INNER);
	for (const char *const *m = (const char *const[]){"INVITE ", "SUBSCRIBE ", "NOTIFY ", "REFER ", NULL}; *m; m++)
		if (slice_starts(slice_skip(in, start), slice_str(*m)))
			buf_puts(out, from == INNER ? RR_OUTER RR_INNER : RR_INNER RR_OUTER);
	bool via = false;
	while (at < in.len && !slice_starts(slice_skip(in, at), S("\r\n"))) {
		struct slice f = field_at(in, at), v = value_of(f);
		at += f.len;
		if (!via && named(f, "Via", 'v')) {
			via = true;
			put_via(out, f, from);
		} else if (named(f, "Max-Forwards", 0)) {
			hops = true;
			long n = strtol(v.p, NULL, 10);
			buf_put(out, slice_of(f.p, (size_t)(v.p - f.p)));
			buf_printf(out, "%ld", n > 255 ? 254 : n - 1);
			buf_put(out, rest_of(f, v));
		} else {
			breadth |= named(f, "Max-Breadth", 0);
			if (named(f, "Content-Length", 'l')) {
				length = true;
				body_len = (size_t)strtoul(v.p, NULL, 10);
			}
			buf_put(out, f);
		}
	}
	struct slice body = slice_first(slice_skip(in, at + 2), body_len);
	if (!hops)
		buf_puts(out, "Max-Forwards: 70\r\n");
	if (!breadth)
		buf_puts(out, "Max-Breadth: 60\r\n");
	if (!length)
		buf_printf(out, "Content-Length: %zu\r\n", body.len);
	buf_puts(out, "\r\n");
	buf_put(out, body);
}

/* Our branches and tags differ from run to run. */
static void starred(struct buf *out, struct slice in)
{
	for (size_t k = 0; k < 2; k++) {
		ptrdiff_t at = slice_find(in, k ? S(VIA_INNER) : S(VIA_OUTER));
		if (at < 0)
			continue;
		size_t n = (size_t)at + (k ? sizeof VIA_INNER : sizeof VIA_OUTER) - 1;
		buf_put(out, slice_first(in, n));
		buf_putc(out, '*');
		buf_put(out, slice_skip(in, n + 16 + 19));
		return;
	}
	ptrdiff_t end = slice_starts(in, S("SIP/2.0 ")) ? slice_find(in, S("\r\nCall-ID")) : -1; /* our To tag stands before it in answers of ours */
	ptrdiff_t tag = end;
	while (tag > 0 && in.p[tag - 1] != '=' && in.p[tag - 1] != '\n')
		tag--;
	buf_put(out, slice_first(in, (size_t)(tag < 0 ? 0 : tag)));
	buf_put(out, slice_skip(in, (size_t)(tag < 0 ? 0 : end)));
}

/* ---- one message */

static int status_of(struct slice s)
{
	return slice_starts(s, S("SIP/2.0 ")) ? (int)strtol(s.p + 8, NULL, 10) : 0;
}

static bool check(const char *name, struct slice in, int from, const struct access_rules *rules, int want, const char *reason)
{
	struct rig r;
	struct buf should, is;
	bool good = true;
	const char *side = from == INNER ? "home" : "partner";
	rig_start_with(&r, rules);
	buf_init(&should, 1 << 20);
	buf_init(&is, 1 << 20);
	rig_feed(&r, from, 1, in);
	struct slice answer = rig_next(&r, from), carried = rig_next(&r, 1 - from);
	int got = carried.p ? 0 : answer.p ? status_of(answer) : DROP;
	if (got != want) {
		print_error("%s from a %s: %d, not %d\n", name, side, got, want);
		good = false;
	} else if (!want) {
		expected(&should, in, from);
		starred(&is, carried);
		if (!slice_eq(buf_slice(&should), buf_slice(&is))) {
			print_error("%s from a %s should become\n%.*s\nand became\n%.*s\n", name, side, SFMT(buf_slice(&should)), SFMT(buf_slice(&is)));
			good = false;
		}
	} else if (want > 0) {
		char line[128];
		snprintf(line, sizeof line, "Entente-Reason: %s\r\n", reason ? reason : "");
		bool told = slice_find(answer, slice_str(line)) >= 0, any = slice_find(answer, S("Entente-Reason")) >= 0;
		if (from == INNER ? told != (reason != NULL) : any || slice_find(answer, S("ms-diagnostics")) >= 0) {
			print_error("%s from a %s: the reason %s: %.*s\n", name, side, any ? "is another one" : "is missing", SFMT(answer));
			good = false;
		}
	}
	if (rig_next(&r, 1 - from).p) {
		print_error("%s from a %s: carried more than once\n", name, side);
		good = false;
	}
	buf_free(&should);
	buf_free(&is);
	rig_end(&r);
	return good;
}

/* ---- RFC 4475 */

#define METHOD "policy/method-not-federated"
#define SCHEME "address/scheme"

static const struct row {
	const char *name;
	int home, partner;  /* 0: carried; a status: refused with it; DROP: nothing is said */
	const char *reason; /* told to the home; NULL: it does not parse, and the answer says so in its reason phrase */
	int any;            /* when all methods and telephone numbers pass */
} rows[] = {
	/* 3.1.1 valid */
	{"wsinv", 0, 0, NULL, 0},
	{"intmeth", 403, 403, METHOD, 0},
	{"esc01", 0, 0, NULL, 0},
	{"escnull", 403, 403, METHOD, 0},
	{"esc02", 403, 403, METHOD, 0},
	{"lwsdisp", 0, 0, NULL, 0},
	{"longreq", 0, 0, NULL, 0},
	{"dblreq", 403, 403, METHOD, 0},
	{"semiuri", 0, 0, NULL, 0},
	{"transports", 0, 0, NULL, 0},
	{"mpart01", 0, 403, NULL, 0},    /* its Route is not ours: partners have no say in where we send */
	{"unreason", DROP, DROP, NULL, DROP}, /* responses to what nobody asked; see `responses` */
	{"noreason", DROP, DROP, NULL, DROP},
	/* 3.1.2 invalid */
	{"badinv01", 400, 400, NULL, 400},
	{"clerr", 400, 400, NULL, 400},
	{"ncl", 400, 400, NULL, 400},
	{"scalar02", 400, 400, NULL, 400},
	{"scalarlg", DROP, DROP, NULL, DROP},
	{"quotbal", 400, 400, NULL, 400},
	{"ltgtruri", 400, 400, NULL, 400},
	{"lwsruri", 400, 400, NULL, 400},
	{"lwsstart", 400, 400, NULL, 400},
	{"trws", 400, 400, NULL, 400},
	{"escruri", 400, 400, NULL, 400},
	{"baddate", 0, 0, NULL, 0},      /* not the proxy's to judge */
	{"regbadct", 403, 403, METHOD, 0},
	{"badaspec", 400, 400, NULL, 400},
	{"baddn", 400, 400, NULL, 400},
	{"badvers", 505, 505, NULL, 505},
	{"mismatch01", 400, 400, NULL, 400},
	{"mismatch02", 501, 501, NULL, 501},
	{"bigcode", DROP, DROP, NULL, DROP},
	/* 3.2 transactions */
	{"badbranch", 0, 0, NULL, 0},
	/* 3.3 application */
	{"insuf", 400, 400, NULL, 400},
	{"unkscm", 416, 416, SCHEME, 416},
	{"novelsc", 416, 416, SCHEME, 416},
	{"unksm2", 403, 403, METHOD, 0},
	{"bext01", 420, 420, "sip/bad-extension", 420},
	{"invut", 0, 0, NULL, 0},
	{"regaut01", 403, 403, METHOD, 0},
	{"multi01", 400, 400, NULL, 400},
	{"mcl01", 400, 400, NULL, 400},
	{"bcast", DROP, DROP, NULL, DROP},
	{"zeromf", 200, 200, NULL, 200}, /* an OPTIONS: answered for the one that it does not reach (RFC 3261 16.3) */
	{"cparam01", 403, 403, METHOD, 0},
	{"cparam02", 403, 403, METHOD, 0},
	{"regescrt", 403, 403, METHOD, 0},
	{"sdp01", 0, 0, NULL, 0},
	/* 3.4 RFC 2543: no tag, no branch, no Max-Forwards, no Content-Length */
	{"inv2543", 0, 0, NULL, 0},
};
enum { ROWS = sizeof rows / sizeof *rows };

static struct slice load(const char *name, char *dst)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s.dat", SIP_TORTURE_DIR, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t n = fread(dst, 1, MESSAGE_MAX, f);
	fclose(f);
	return slice_of(dst, n);
}

static void torture(void **state)
{
	static char octets[MESSAGE_MAX];
	bool good = true;
	size_t files = 0;
	DIR *d = opendir(SIP_TORTURE_DIR);
	(void)state;
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		files += strstr(e->d_name, ".dat") != NULL;
	closedir(d);
	assert_int_equal(files, ROWS);
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *t = &rows[i];
		struct slice in = load(t->name, octets);
		good &= check(t->name, in, INNER, NULL, t->home, t->reason);
		good &= check(t->name, in, OUTER, NULL, t->partner, NULL);
		good &= check(t->name, in, INNER, &all_rules, t->any, t->any == 416 || t->any == 420 ? t->reason : NULL);
	}
	assert_true(good);
}

/* ---- its responses, as answers to a request of ours */

static void responses(void **state)
{
	static const struct {
		const char *name, *method;
		bool carried;
	} cases[] = {{"unreason", "INVITE", true}, {"bcast", "INVITE", true}, {"noreason", "INVITE", false} /* 100: hop by hop */};
	static char octets[MESSAGE_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int from = 0; from < 2; from++) {
			struct rig r;
			struct buf request, answer, should;
			rig_start(&r);
			buf_init(&request, 1 << 16);
			buf_init(&answer, 1 << 16);
			buf_init(&should, 1 << 16);
			buf_printf(&request, "%s sip:x@y.test SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK-q;rport=1;received=192.0.2.10;ms-received-cid=9\r\nMax-Forwards: 9\r\n"
					     "From: <sip:a@b.test>;tag=1\r\nTo: <sip:x@y.test>\r\nCall-ID: c\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
				   cases[i].method, cases[i].method);
			rig_feed(&r, from, 1, buf_slice(&request));
			struct slice sent = rig_next(&r, 1 - from), in = load(cases[i].name, octets);
			assert_non_null(sent.p);
			size_t at = line_end(in, 0), via = line_end(sent, 0);
			struct slice ours = slice_of(sent.p + via, line_end(sent, via) - via);
			buf_put(&answer, slice_first(in, at));
			buf_put(&should, slice_first(in, at));
			buf_put(&answer, ours);
			for (struct buf *b = &answer;; b = &should) {
				buf_puts(b, "v: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK-q;rport=1;received=192.0.2.10;ms-received-cid=9\r\n");
				if (b == &should)
					break;
			}
			for (; at < in.len;) { /* all but its Vias; the body is taken for fields, too */
				struct slice f = field_at(in, at);
				at += f.len;
				if (named(f, "Via", 'v'))
					continue;
				buf_put(&answer, f);
				buf_put(&should, f);
			}
			rig_feed(&r, 1 - from, 1, buf_slice(&answer));
			struct slice got = rig_next(&r, from);
			if (!cases[i].carried)
				assert_null(got.p);
			else if (!slice_eq(got, buf_slice(&should)))
				fail_msg("%s should become\n%.*s\nand became\n%.*s", cases[i].name, SFMT(buf_slice(&should)), SFMT(got));
			buf_free(&request);
			buf_free(&answer);
			buf_free(&should);
			rig_end(&r);
		}
}

/* ---- RFC 5118, written after its descriptions */

#define REST(to, cseq) "To: " to "\r\nFrom: sip:user@example.com;tag=81x2\r\nCall-ID: SSG95@hlau_4100\r\nMax-Forwards: 70\r\nCSeq: " cseq "\r\n"
#define VIA6 "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n"
#define SDP46 "v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video\r\nc=IN IP6 2001:db8::20\r\nt=3338481189 3370017201\r\n" \
	      "m=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\n"
#define SDP48 "v=0\r\no=bob 280744730 28977631 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n" \
	      "m=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\n"
#define SDP49 "v=0\r\no=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2\r\ns=Call me\r\nc=IN IP6 ::ffff:192.0.2.2\r\nt=0 0\r\nm=audio 6000 RTP/AVP 2\r\n"

static void ipv6(void **state)
{
	static const struct {
		const char *section, *text;
		int home;
		const char *reason;
		int any;
	} cases[] = {
		{"4.1 a reference", "REGISTER sip:[2001:db8::10] SIP/2.0\r\n" REST("sip:user@example.com", "98176 REGISTER") VIA6
		 "Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\nContent-Length: 0\r\n\r\n", 403, METHOD, 0},
		{"4.2 no brackets", "REGISTER sip:2001:db8::10 SIP/2.0\r\n" REST("sip:user@example.com", "98176 REGISTER") VIA6 "Content-Length: 0\r\n\r\n", 400, NULL, 400},
		{"4.3 the port inside", "REGISTER sip:[2001:db8::10:5070] SIP/2.0\r\n" REST("sip:user@example.com", "98176 REGISTER") VIA6
		 "Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\nContent-Length: 0\r\n\r\n", 403, METHOD, 0},
		{"4.4 the port outside", "REGISTER sip:[2001:db8::10]:5070 SIP/2.0\r\n" REST("sip:user@example.com", "98176 REGISTER") VIA6
		 "Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\nContent-Length: 0\r\n\r\n", 403, METHOD, 0},
		{"4.5 received in brackets", "BYE sip:[2001:db8::10] SIP/2.0\r\n" REST("sip:user@example.com;tag=bd76ya", "321 BYE")
		 "Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111\r\nContent-Length: 0\r\n\r\n", 0, NULL, 0},
		{"4.5 received without", "OPTIONS sip:[2001:db8::10] SIP/2.0\r\n" REST("sip:user@example.com", "921 OPTIONS")
		 "Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3\r\nContact: \"Caller\" <sip:caller@[2001:db8::9:1]>\r\n"
		 "Content-Length: 0\r\n\r\n", 0, NULL, 0},
		{"4.6 SDP", "INVITE sip:user@[2001:db8::10] SIP/2.0\r\n" REST("sip:user@[2001:db8::10]", "8612 INVITE") "Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111\r\n"
		 "Contact: \"Caller\" <sip:caller@[2001:db8::20]>\r\nContent-Type: application/sdp\r\n\r\n" SDP46, 0, NULL, 0},
		{"4.7 a mixed list", "BYE sip:user@host.example.net SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\r\n"
		 "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144\r\nVia: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200\r\n"
		 REST("sip:user@example.net;tag=9817--94", "89187 BYE") "Content-Length: 0\r\n\r\n", 0, NULL, 0},
		{"4.8 several in SDP", "INVITE sip:user@[2001:db8::10] SIP/2.0\r\n" REST("sip:user@[2001:db8::10]", "8912 INVITE") VIA6
		 "Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>\r\nContent-Type: application/sdp\r\n\r\n" SDP48, 0, NULL, 0},
		{"4.9 mapped addresses", "INVITE sip:user@example.com SIP/2.0\r\n" REST("sip:user@example.com", "612 INVITE")
		 "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\r\nVia: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111\r\n"
		 "Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>\r\nContent-Type: application/sdp\r\n\r\n" SDP49, 0, NULL, 0},
		/* a receiver may mend them; RFC 5954 made them an error, and so do we */
		{"4.10 three colons", "OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0\r\n" REST("sip:user@[2001:db8:::192.0.2.1]", "689 OPTIONS")
		 "Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\nContent-Length: 0\r\n\r\n", 400, NULL, 400},
		{"4.10 two colons", "OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0\r\n" REST("sip:user@[2001:db8::192.0.2.1]", "689 OPTIONS")
		 "Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\nContent-Length: 0\r\n\r\n", 0, NULL, 0},
	};
	bool good = true;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		good &= check(cases[i].section, slice_str(cases[i].text), INNER, NULL, cases[i].home, cases[i].reason);
		good &= check(cases[i].section, slice_str(cases[i].text), OUTER, NULL, cases[i].home, NULL);
		good &= check(cases[i].section, slice_str(cases[i].text), INNER, &all_rules, cases[i].any, NULL);
	}
	assert_true(good);
}

/* ---- streams */

#define HEAD(method, branch)                                                                                                          \
	method " sip:alice@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS far.test;branch=z9hG4bK-" branch "\r\nMax-Forwards: 9\r\nFrom: <sip:bob@far.test>;tag=b\r\n" \
	       "To: <sip:alice@ours.test>\r\nCall-ID: " branch "\r\nCSeq: 4 " method "\r\n"

/* All that leaves on both sides, in order. */
static void all_sent(struct rig *r, struct buf *out)
{
	for (int side = 0; side < 2; side++) {
		struct slice s;
		buf_printf(out, "== %d\n", side);
		while ((s = rig_next(r, side)).p) {
			starred(out, s);
			buf_puts(out, "\n--\n");
		}
	}
}

/* A stream in pieces that end at these places. */
static void in_pieces(struct slice stream, const size_t *ends, size_t n, struct buf *out)
{
	struct rig r;
	struct sip_framer f;
	size_t done = 0, used;
	bool alive = true;
	rig_start(&r);
	sip_framer_init(&f, &sip_limits_default);
	for (size_t i = 0; i <= n && alive; i++) {
		size_t end = i < n ? ends[i] : stream.len;
		alive = rig_stream(&r, OUTER, &f, slice_of(stream.p + done, end - done), &used);
		done += used;
	}
	buf_printf(out, "%s\n", alive ? "alive" : "over");
	all_sent(&r, out);
	rig_end(&r);
}

static void add(struct buf *b, const char *name)
{
	static char octets[MESSAGE_MAX];
	buf_put(b, load(name, octets));
}

static void cut_anywhere(void **state)
{
	struct buf stream, whole, cut;
	(void)state;
	buf_init(&stream, 1 << 20);
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	buf_puts(&stream, "\r\n\r\n" HEAD("MESSAGE", "1") "l: 7\r\n\r\na\r\n\r\nb\r");
	add(&stream, "wsinv");
	buf_puts(&stream, "\r\n\r\n\r\n\r\n");
	add(&stream, "mpart01");
	add(&stream, "bext01");
	buf_puts(&stream, "\r\n");
	buf_puts(&stream, HEAD("INFO", "2") "Content-Length:\r\n 0\r\n\r\n" HEAD("MESSAGE", "3") "Content-Length : 4 \r\n\r\n\r\n\r\n");
	add(&stream, "intmeth");
	buf_puts(&stream, "\r\n\r\n\r\n" HEAD("OPTIONS", "4") "Content-Length: 0\r\n\r\n");
	in_pieces(buf_slice(&stream), NULL, 0, &whole);
	assert_true(slice_starts(buf_slice(&whole), S("alive")));
	for (const char *const *w = (const char *const[]){"MESSAGE sip:alice", "INVITE sip:vivekg", "INFO ", "OPTIONS sip:alice", "a\r\n\r\nb\r", NULL}; *w; w++)
		if (slice_find(buf_slice(&whole), slice_str(*w)) < 0)
			fail_msg("%s is missing: %.*s", *w, SFMT(buf_slice(&whole)));
	for (size_t i = 0; i <= stream.len; i++) {
		buf_clear(&cut);
		in_pieces(buf_slice(&stream), &i, 1, &cut);
		size_t same = 0;
		while (same < whole.len && same < cut.len && buf_slice(&whole).p[same] == buf_slice(&cut).p[same])
			same++;
		if (same < whole.len || same < cut.len)
			fail_msg("cut at %zu of %zu, this comes out:\n%.*s\ninstead of\n%.*s", i, stream.len, SFMT(slice_first(slice_skip(buf_slice(&cut), same), 400)),
				 SFMT(slice_first(slice_skip(buf_slice(&whole), same), 400)));
	}
	size_t *ends = calloc(stream.len, sizeof *ends); /* octet by octet */
	for (size_t i = 0; i < stream.len; i++)
		ends[i] = i;
	buf_clear(&cut);
	in_pieces(buf_slice(&stream), ends, stream.len, &cut);
	assert_true(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	free(ends);
	buf_free(&stream);
	buf_free(&whole);
	buf_free(&cut);
}

/* A short one in three pieces, at each pair of places. */
static void cut_twice(void **state)
{
	static const char text[] = "\r\n\r\n" HEAD("MESSAGE", "1") "l:1\r\n\r\nx\r\n\r\n" HEAD("INFO", "2") "l: 0\r\n\r\n\r\n";
	struct slice stream = slice_str(text);
	struct buf whole, cut;
	(void)state;
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	in_pieces(stream, NULL, 0, &whole);
	for (size_t i = 0; i <= stream.len; i++)
		for (size_t k = i; k <= stream.len; k += 3) {
			buf_clear(&cut);
			in_pieces(stream, (const size_t[]){i, k}, 2, &cut);
			if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
				fail_msg("cut at %zu and %zu", i, k);
		}
	buf_free(&whole);
	buf_free(&cut);
}

/* What lies about its length, in every place where the stream may be cut: the connection ends, and nothing that came after is a request. */
static void traps(void **state)
{
	static const struct {
		const char *lines; /* the end of the header */
		int status;        /* of the answer; 0: the stream goes on */
	} cases[] = {
		{"Content-Length: -1\r\n\r\n", 400},
		{"Content-Length: +0\r\n\r\n", 400},
		{"Content-Length: 0x0\r\n\r\n", 400},
		{"Content-Length: 0\r\nContent-Length: 4\r\n\r\n", 400},
		{"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
		{"Content-Length: 0\r\nl: 4\r\n\r\n", 400},
		{"l: 0\r\nCONTENT-LENGTH\t: 4\r\n\r\n", 400},
		{"Content-Length: 0, 4\r\n\r\n", 400},
		{"Content-Length: 0 4\r\n\r\n", 400},
		{"Content-Length: 0;x\r\n\r\n", 400},
		{"Content-Length: 0\r\n 4\r\n\r\n", 400},
		{"Content-Length:\r\n\r\n", 400},
		{"\r\n", 400},
		{"Content-Length: 4294967296\r\n\r\n", 400},
		{"Content-Length: 4294967328\r\n\r\n", 400},
		{"Content-Length: 18446744073709551616\r\n\r\n", 400},
		{"Content-Length: 99999999999999999999999999999999\r\n\r\n", 400},
		{"Content-Length: 70000\r\n\r\n", 513},
		{"Content-Length : 0\r\n\r\n", 0},
		{"Content-Length:\r\n\t 0 \r\n\r\n", 0},
		{"Content-Length: 000\r\n\r\n", 0},
		{"X-Content-Length: 9\r\nContent-Lengths: 9\r\nContent-Length: 0\r\n\r\n", 0},
		{"Subject: \"\r\n Content-Length: 9\"\r\nContent-Length: 0\r\n\r\n", 0}, /* a folded line is no field */
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 65536);
		buf_puts(&b, HEAD("MESSAGE", "trap"));
		buf_puts(&b, cases[i].lines);
		buf_puts(&b, HEAD("INFO", "after") "Content-Length: 0\r\n\r\n");
		for (size_t at = 0; at <= b.len; at++) {
			struct buf out;
			buf_init(&out, 65536);
			in_pieces(buf_slice(&b), &at, 1, &out);
			bool alive = slice_starts(buf_slice(&out), S("alive")), after = slice_find(buf_slice(&out), S("INFO sip:alice")) >= 0,
			     trap = slice_find(buf_slice(&out), S("MESSAGE sip:alice")) >= 0;
			char status[32];
			snprintf(status, sizeof status, "SIP/2.0 %d ", cases[i].status);
			if (cases[i].status ? alive || after || trap || slice_find(buf_slice(&out), slice_str(status)) < 0 : !alive || !after || !trap)
				fail_msg("%s cut at %zu: %.*s", cases[i].lines, at, SFMT(buf_slice(&out)));
			buf_free(&out);
		}
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torture),   cmocka_unit_test(responses), cmocka_unit_test(ipv6), cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(cut_twice), cmocka_unit_test(traps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
