/* SPDX-License-Identifier: Apache-2.0 */
/* Odd input on streams, row by row, and what must not cost a domain its stream. */
#include "stream_rig.h"

static const struct slice here_names[] = {{"here.example", 12}};

#define OPEN(attrs)                                                                                                              \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "             \
	"xmlns:db='jabber:server:dialback' " attrs ">"
#define HERE OPEN("from='here.example' to='there.example' version='1.0'")
#define AUTH "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
#define RESULT(from) "<db:result from='" from "' to='there.example'>key</db:result>"
#define FINE "<message from='a@here.example' to='b@there.example'><body>hi</body></message>"

struct one {
	struct rig rig;
	struct end e;
};

static void begin(struct one *o)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, "there.example other.example");
	set_names(&o->e, here_names, 1);
	end_receiver(&o->e);
}

static void authenticated(struct one *o)
{
	begin(o);
	give(&o->e, HERE "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	tls_up(&o->e);
	give(&o->e, HERE AUTH HERE);
	assert_events(&o->e, "established there.example here.example external tls");
	buf_clear(&o->e.wire);
}

static void one_free(struct one *o)
{
	end_free(&o->e);
	rig_free(&o->rig);
}

/* ---- S19 */

enum when { FIRST, UNPROVEN, PROVEN };

struct odd {
	const char *name;
	enum when when;
	const char *input;
	const char *condition; /* of the stream error; NULL: the stream stays */
	const char *event;     /* NULL: nothing comes of it */
};

static const struct odd rows[] = {
	{"S19 a stanza from a foreign domain", PROVEN, "<message from='a@bank.example' to='b@there.example'/>", "invalid-from",
	 "policy/spoofed-domain"},
	{"S19 a stanza from a domain of ours", PROVEN, "<message from='a@other.example' to='b@there.example'/>", "invalid-from",
	 "policy/spoofed-domain"},
	{"S19 a stanza to a domain that is not hosted", PROVEN, "<message from='a@here.example' to='b@nowhere.example'/>",
	 "host-unknown", "policy/local-domain-unknown"},
	{"S19 a stanza without from", PROVEN, "<message to='b@there.example'/>", "improper-addressing", "address/malformed"},
	{"S19 a stanza without to", PROVEN, "<message from='a@here.example'/>", "improper-addressing", "address/malformed"},
	{"S19 a stanza to another hosted domain, not proven", PROVEN, "<message from='a@here.example' to='b@other.example'/>",
	 "host-unknown", "policy/local-domain-unknown"},
	{"S19 a stanza before authentication", UNPROVEN, FINE, "not-authorized", "xmpp/not-authorized"},
	{"S19 not well-formed", PROVEN, "<message from='a@here.example' to='b@there.example'></presence>", "not-well-formed", "xmpp/malformed"},
	{"S19 an undefined entity", PROVEN, "<message from='a@here.example' to='b@there.example'>&nbsp;</message>", "not-well-formed",
	 "xmpp/malformed"},
	{"S19 bad UTF-8", PROVEN, "<message from='a@here.example' to='b@there.example'><body>\xc3\x28</body></message>", "not-well-formed",
	 "xmpp/malformed"},
	{"S19 a DOCTYPE", FIRST, "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>", "restricted-xml", "xmpp/malformed"},
	{"S19 a comment", PROVEN, "<!-- hello -->", "restricted-xml", "xmpp/malformed"},
	{"S19 a comment in a stanza", PROVEN, "<message from='a@here.example' to='b@there.example'><!-- hello --></message>",
	 "restricted-xml", "xmpp/malformed"},
	{"S19 a processing instruction", PROVEN, "<?php exit ?>", "restricted-xml", "xmpp/malformed"},
	{"S19 a stanza in jabber:client", PROVEN, "<message xmlns='jabber:client' from='a@here.example' to='b@there.example'/>",
	 "unsupported-stanza-type", "xmpp/malformed"},
	{"S19 an unknown top-level element", PROVEN, "<jingle xmlns='urn:xmpp:jingle:1'/>", "unsupported-stanza-type", "xmpp/malformed"},
	{"S19 a from that is no address", PROVEN, "<message from='a@here..example' to='b@there.example'/>", "improper-addressing",
	 "address/malformed"},
	/* whose domain is proven: one user's name must not end it */
	{"S19 a from with an impossible user", PROVEN, "<message from='a b@here.example' to='b@there.example'/>", NULL,
	 "misaddressed from message by here.example"},
	{"S19 a to with an impossible user", PROVEN, "<message from='a@here.example' to='b@there.example/\x7f'/>", NULL,
	 "misaddressed to message by here.example"},
	{"S19 a header without to", FIRST, OPEN("from='here.example' version='1.0'"), NULL, NULL},
	{"S19 a header from our own domain", FIRST, OPEN("from='there.example' to='there.example' version='1.0'"), "invalid-from",
	 "policy/spoofed-domain"},
	{"S19 a header to nobody here", FIRST, OPEN("from='here.example' to='nowhere.example' version='1.0'"), "host-unknown",
	 "policy/local-domain-unknown"},
	{"S19 a client's header", FIRST,
	 "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='there.example' version='1.0'>",
	 "invalid-namespace", "xmpp/malformed"},
	{"S19 a wrong stream namespace", FIRST,
	 "<stream:stream xmlns='jabber:server' xmlns:stream='urn:streams' to='there.example' version='1.0'>", "invalid-namespace",
	 "xmpp/malformed"},
	{"S19 an HTTP request", FIRST, "GET / HTTP/1.1\r\nHost: there.example\r\n\r\n", "not-well-formed", "xmpp/malformed"},
	{"S19 a TLS ClientHello", FIRST, "\x16\x03\x01\x02", "not-well-formed", "xmpp/malformed"},
};

static void test_odd(void **state)
{
	const struct odd *r = *state;
	struct one o;
	char want[160];
	if (r->when == PROVEN)
		authenticated(&o);
	else
		begin(&o);
	if (r->when == UNPROVEN) {
		give(&o.e, HERE);
		buf_clear(&o.e.wire);
	}
	give(&o.e, r->input);
	assert_false(happened(&o.e, "stanza message"));
	if (r->event)
		assert_events(&o.e, r->event);
	if (r->condition) {
		if (r->when == FIRST) /* our own header comes before (RFC 6120 4.9.1.2), in one piece */
			assert_int_equal(o.e.writes, 1);
		snprintf(want, sizeof want, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", r->condition);
		assert_wire(&o.e, r->when == FIRST ? "<stream:stream " : "", want, "</stream:error></stream:stream>");
	} else {
		assert_null(strstr(zstr(&o.e.wire), "<stream:error>"));
		assert_false(o.e.closed);
		if (r->when == PROVEN) {
			give(&o.e, FINE);
			assert_events(&o.e, "stanza message a@here.example->b@there.example");
		} else {
			assert_wire(&o.e, "<stream:features>");
		}
	}
	one_free(&o);
}

static void test_nothing_sent(void **state)
{
	(void)state;
	struct one o;
	begin(&o);
	rig_wait(&o.rig, 29000);
	assert_no_events(&o.e);
	rig_wait(&o.rig, 1100);
	assert_events(&o.e, "failed xmpp/not-authorized at header sent connection-timeout");
	assert_wire(&o.e, "<stream:stream ", "<connection-timeout ", "</stream:stream>");
	one_free(&o);
}

static void fill(struct buf *b, size_t n)
{
	buf_init(b, 1 << 22);
	buf_puts(b, "<message from='a@here.example' to='b@there.example'><body>");
	while (b->len + 17 < n)
		buf_putc(b, 'x');
	buf_puts(b, "</body></message>");
}

static void test_large_before_authentication(void **state)
{
	(void)state;
	struct one o;
	struct buf b;
	begin(&o);
	give(&o.e, HERE);
	fill(&b, 20000);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "failed limit/size", "sent policy-violation");
	assert_wire(&o.e, "<policy-violation ", "<stanza-too-big xmlns='urn:xmpp:errors'/>");
	buf_free(&b);
	one_free(&o);
}

/* A limit of 256 KiB: twice as much ends the stream. */
static void test_large_body(void **state)
{
	(void)state;
	struct one o;
	struct buf b;
	authenticated(&o);
	fill(&b, 600000);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "failed limit/size at open sent policy-violation");
	assert_wire(&o.e, "<policy-violation ", "<stanza-too-big xmlns='urn:xmpp:errors'/>", "</stream:error></stream:stream>");
	buf_free(&b);
	one_free(&o);
}

/* ---- one user's monster and the stream of all */

static void test_oversize(void **state)
{
	(void)state;
	struct one o;
	struct buf b;
	authenticated(&o);
	give(&o.e, "<enable xmlns='urn:xmpp:sm:3'/>");
	fill(&b, 300000);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	buf_free(&b);
	assert_events(&o.e, "oversize message a@here.example->b@there.example by here.example");
	give(&o.e, FINE);
	assert_events(&o.e, "stanza message");
	/* too deep */
	buf_init(&b, 1 << 22);
	buf_puts(&b, "<presence from='a@here.example' to='b@there.example'>");
	for (int k = 0; k < 200; k++)
		buf_puts(&b, "<x>");
	for (int k = 0; k < 200; k++)
		buf_puts(&b, "</x>");
	buf_puts(&b, "</presence>" FINE);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "oversize presence a@here.example->b@there.example", "stanza message");
	/* too many attributes, of its own */
	buf_clear(&b);
	buf_puts(&b, "<message");
	for (int k = 0; k < 100; k++)
		buf_printf(&b, " a%d=''", k);
	buf_puts(&b, " from='a@here.example' to='b@there.example'><body/></message>" FINE);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "oversize message a@here.example->b@there.example", "stanza message");
	/* too many children */
	buf_clear(&b);
	buf_puts(&b, "<message from='a@here.example' to='b@there.example'>");
	for (int k = 0; k < 5000; k++)
		buf_puts(&b, "<x/>");
	buf_puts(&b, "</message>" FINE);
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "oversize message a@here.example->b@there.example", "stanza message");
	/* each is a stanza that came and is done */
	buf_clear(&o.e.wire);
	give(&o.e, "<r xmlns='urn:xmpp:sm:3'/>");
	assert_wire(&o.e, "<a xmlns='urn:xmpp:sm:3' h='8'/>");
	/* an address that lies is no better for being large */
	buf_clear(&b);
	buf_puts(&b, "<message from='a@bank.example' to='b@there.example'>");
	for (int k = 0; k < 5000; k++)
		buf_puts(&b, "<x/>");
	buf_puts(&b, "</message>");
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_wire(&o.e, "<stream:error><invalid-from ");
	buf_free(&b);
	one_free(&o);
	/* and a monster that is no stanza is its server's fault */
	authenticated(&o);
	buf_init(&b, 1 << 22);
	buf_puts(&b, "<db:result from='here.example' to='there.example'>");
	for (int k = 0; k < 5000; k++)
		buf_puts(&b, "<x/>");
	buf_puts(&b, "</db:result>");
	xmpp_stream_input(o.e.s, buf_slice(&b));
	assert_events(&o.e, "failed limit/size at open sent policy-violation");
	buf_free(&b);
	one_free(&o);
}

/* Names that a parser remembers for good: no number of stanzas fills it. */
static void test_ever_new_names(void **state)
{
	(void)state;
	struct one o;
	char text[300];
	authenticated(&o);
	for (int k = 0; k < 60000; k++) {
		snprintf(text, sizeof text,
			 "<message from='a@here.example' to='b@there.example'><n%d xmlns='u:%d' a%d='1'/><p%d:x xmlns:p%d='v:%d'/></message>", k,
			 k, k, k, k, k);
		give(&o.e, text);
		buf_clear(&o.e.events);
		assert_false(o.e.closed);
	}
	give(&o.e, FINE "</stream:stream>");
	assert_events(&o.e, "stanza message", "close");
	one_free(&o);
}

/* ---- headers, ends */

static void test_header_without_from_after_sasl(void **state)
{
	(void)state;
	struct one o;
	begin(&o);
	give(&o.e, HERE "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	tls_up(&o.e);
	give(&o.e, OPEN("to='there.example' version='1.0'") AUTH OPEN("version='1.0'"));
	assert_events(&o.e, "established there.example here.example external tls");
	assert_wire(&o.e, "<success ", "from='there.example' to='here.example'", "<stream:features>");
	give(&o.e, FINE);
	assert_events(&o.e, "stanza message");
	one_free(&o);
}

/* Two good-byes would be malformed. */
static void test_error_while_closing(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	xmpp_stream_close(o.e.s);
	give(&o.e, "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
	assert_string_equal(zstr(&o.e.wire), "</stream:stream>");
	assert_string_equal(zstr(&o.e.events), "close\n"); /* and no failure: we had ended it */
	one_free(&o);
	authenticated(&o);
	xmpp_stream_close_error(o.e.s, "reset", SLICE_NONE);
	give(&o.e, "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
	assert_true(o.e.closed);
	const char *first = strstr(zstr(&o.e.wire), "</stream:stream>");
	assert_non_null(first);
	assert_null(strstr(first + 1, "</stream:stream>"));
	one_free(&o);
}

/* ---- the rules change */

static void test_review(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	give(&o.e, RESULT("second.example"));
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	give(&o.e, RESULT("third.example"));
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	buf_clear(&o.e.events);
	assert_int_equal(xmpp_stream_review(o.e.s), 3);
	assert_no_events(&o.e);
	o.e.strangers = "second.example here.example"; /* the first pair too: the stream is not only its header's */
	assert_int_equal(xmpp_stream_review(o.e.s), 1);
	assert_events(&o.e, "pair_failed there.example here.example", "pair_failed there.example second.example");
	give(&o.e, "<message from='a@third.example' to='b@there.example'/>");
	assert_events(&o.e, "stanza message a@third.example->b@there.example");
	give(&o.e, "<message from='a@second.example' to='b@there.example'/>");
	assert_wire(&o.e, "<stream:error><invalid-from ");
	assert_false(happened(&o.e, "stanza message"));
	one_free(&o);
	/* by method */
	authenticated(&o);
	give(&o.e, RESULT("second.example"));
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	buf_clear(&o.e.events);
	o.e.rules.dialback = false;
	assert_int_equal(xmpp_stream_review(o.e.s), 1);
	assert_events(&o.e, "pair_failed there.example second.example second.example is not allowed any more, or not by this method");
	o.e.rules.sasl = XMPP_OFF;
	assert_int_equal(xmpp_stream_review(o.e.s), 0);
	assert_events(&o.e, "pair_failed there.example here.example");
	assert_false(o.e.closed); /* that is for the owner */
	one_free(&o);
}

/* ---- S10, S15 */

/* A second sender domain on a stream that SASL has opened: by dialback, as Prosody and we do it. */
static void test_sender_multiplexing(void **state)
{
	(void)state;
	struct one o;
	authenticated(&o);
	give(&o.e, "<message from='a@second.example' to='b@there.example'/>"); /* not yet */
	assert_wire(&o.e, "<stream:error><invalid-from ");
	one_free(&o);
	authenticated(&o);
	give(&o.e, RESULT("second.example"));
	assert_events(&o.e, "verify there.example second.example");
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	assert_wire(&o.e, "<db:result from='there.example' to='second.example' type='valid'/>");
	give(&o.e, "<message from='a@second.example' to='b@there.example'/>" FINE);
	assert_events(&o.e, "established there.example second.example dialback tls", "stanza message a@second.example->b@there.example",
		      "stanza message a@here.example->b@there.example");
	one_free(&o);
}

/* Whom the peer wants is said by `to` of the header, and by nothing of TLS. */
static void test_without_sni(void **state)
{
	(void)state;
	static const char *const to[] = {"there.example", "other.example"};
	for (int k = 0; k < 2; k++) {
		struct one o;
		char text[300], want[100];
		begin(&o);
		end_free(&o.e);
		end_init(&o.e, &o.rig, "there.example other.example");
		set_names(&o.e, here_names, 1);
		o.e.s = xmpp_stream_new_receiver(&o.rig.cfg, &rig_ops, &o.e);
		xmpp_stream_start_direct(o.e.s);
		tls_up(&o.e);
		snprintf(text, sizeof text,
			 "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='here.example' to='%s' "
			 "version='1.0'>", to[k]);
		give(&o.e, text);
		snprintf(want, sizeof want, "from='%s'", to[k]);
		assert_wire(&o.e, want, "EXTERNAL");
		one_free(&o);
	}
}

enum { ROWS = sizeof rows / sizeof *rows };

int main(void)
{
	struct CMUnitTest tests[ROWS + 12] = {
		NAMED("S10 sender multiplexing on an EXTERNAL stream", test_sender_multiplexing), NAMED("S15 SNI absent", test_without_sni),
		NAMED("S19 nothing sent", test_nothing_sent), NAMED("S19 20 kB before authentication", test_large_before_authentication),
		NAMED("S19 a body of 600 kB", test_large_body), NAMED("S20 one stanza too big, the stream stays", test_oversize),
		cmocka_unit_test(test_ever_new_names), cmocka_unit_test(test_header_without_from_after_sasl),
		NAMED("S27 an error while closing", test_error_while_closing), cmocka_unit_test(test_review),
	};
	size_t n = 10;
	for (size_t i = 0; i < ROWS; i++)
		tests[n++] = (struct CMUnitTest){rows[i].name, test_odd, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	return _cmocka_run_group_tests("stream_odd", tests, n, NULL, NULL);
}
