/* SPDX-License-Identifier: Apache-2.0 */
/* The receiver against raw XML: openings as real servers write them, every row of odd input, attacks. We are there.example; the
 * peer is here.example. */
#include "stream_rig.h"
#include "base/enc.h"

static const struct slice here_names[] = {{"here.example", 12}};

#define OPEN(attrs)                                                                                                              \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "             \
	"xmlns:db='jabber:server:dialback' " attrs ">"
#define HEADER OPEN("from='here.example' to='there.example' version='1.0' xml:lang='en'")
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define AUTH(x) "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" x "</auth>"
#define AUTHZID "aGVyZS5leGFtcGxl" /* here.example */
#define RESULT "<db:result from='here.example' to='there.example'>K</db:result>"

struct one {
	struct rig rig;
	struct end e;
};

static void one_init_idle(struct one *o)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, "there.example other.example");
	set_names(&o->e, here_names, 1);
	o->e.s = xmpp_stream_new_receiver(&o->rig.cfg, &rig_ops, &o->e);
}

static void one_init(struct one *o)
{
	one_init_idle(o);
	xmpp_stream_start(o->e.s);
}

static void one_free(struct one *o)
{
	end_free(&o->e);
	rig_free(&o->rig);
}

static void secure(struct one *o)
{
	give(&o->e, HEADER STARTTLS);
	assert_wire(&o->e, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	tls_up(&o->e);
	buf_clear(&o->e.events);
}

/* Through TLS and EXTERNAL. */
static void authenticate(struct one *o)
{
	secure(o);
	give(&o->e, HEADER);
	give(&o->e, AUTH(AUTHZID));
	give(&o->e, HEADER);
	assert_events(&o->e, "established there.example here.example external tls");
	buf_clear(&o->e.wire);
}

/* ---- openings */

static void test_features(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, HEADER);
	/* TLS first, and nothing else before it. */
	assert_wire(&o.e,
		    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
		    "xmlns:db='jabber:server:dialback' from='there.example'"
		    " to='here.example' id='",
		    "version='1.0' xml:lang='en'><stream:features><starttls "
		    "xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>");
	give(&o.e, STARTTLS);
	tls_up(&o.e);
	assert_wire(&o.e, "<proceed ");
	assert_silent(&o.e);
	give(&o.e, HEADER);
	assert_wire(&o.e, "<stream:features><mechanisms "
			  "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
			  "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback><limits "
			  "xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes>"
			  "<idle-seconds>1800</idle-seconds></limits></stream:features>");
	give(&o.e, AUTH(AUTHZID));
	assert_wire(&o.e, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
	o.rig.cfg.features = S("<c xmlns='http://jabber.org/protocol/caps'/>");
	give(&o.e, HEADER);
	assert_wire(&o.e, "<stream:features><dialback ", "<limits ",
		    "<c xmlns='http://jabber.org/protocol/caps'/></stream:features>");
	one_free(&o);
}

/* XEP-0368: TLS before the first octet, and no STARTTLS inside. */
static void test_direct(void **state)
{
	(void)state;
	struct one o;
	one_init_idle(&o);
	xmpp_stream_start_direct(o.e.s);
	assert_silent(&o.e);
	assert_events(&o.e, "tls");
	tls_up(&o.e);
	assert_silent(&o.e);
	give(&o.e, HEADER);
	assert_wire(&o.e, "version='1.0' xml:lang='en'><stream:features><mechanisms ");
	give(&o.e, AUTH(AUTHZID) HEADER);
	assert_events(&o.e, "established there.example here.example external tls");
	one_free(&o);

	one_init_idle(&o);
	xmpp_stream_start_direct(o.e.s);
	tls_up(&o.e);
	give(&o.e, HEADER STARTTLS);
	assert_wire(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
	assert_events(&o.e, "failed xmpp/tls", "asked for TLS");
	one_free(&o);
}

/* A partner without TLS gets nothing on a port of direct TLS; who never finishes the handshake is let go, without a plain octet. */
static void test_direct_refused(void **state)
{
	(void)state;
	struct one o;
	one_init_idle(&o);
	o.e.rules.tls = XMPP_OFF;
	xmpp_stream_start_direct(o.e.s);
	tls_up(&o.e);
	give(&o.e, HEADER);
	assert_wire(&o.e, "<stream:error><policy-violation ");
	one_free(&o);

	one_init_idle(&o);
	xmpp_stream_start_direct(o.e.s);
	give(&o.e, HEADER);
	rig_wait(&o.rig, o.rig.cfg.auth_ms + 1);
	assert_silent(&o.e);
	assert_events(&o.e, "tls", "failed xmpp/tls", "close");
	one_free(&o);
}

/* prosody: the initial header has an empty id, other attribute order, EXTERNAL with authzid. */
static void test_prosody(void **state)
{
	(void)state;
	static const char header[] = "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
				     "xmlns:db='jabber:server:dialback' id=''"
				     " to='there.example' version='1.0' xml:lang='en' from='here.example' xmlns='jabber:server'>";
	struct one o;
	one_init(&o);
	give(&o.e, header);
	give(&o.e, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>");
	tls_up(&o.e);
	give(&o.e, header);
	give(&o.e, AUTH(AUTHZID));
	give(&o.e, header);
	assert_events(&o.e, "established there.example here.example external tls");
	one_free(&o);
}

/* ejabberd: asks for EXTERNAL although the certificate will not do, then goes on with dialback on the same stream (S05). */
static void test_ejabberd_falls_to_dialback(void **state)
{
	(void)state;
	static const char header[] =
		"<?xml version='1.0'?><stream:stream to='there.example' from='here.example' xml:lang='en' version='1.0'"
		" xmlns:db='jabber:server:dialback' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
	struct one o;
	one_init(&o);
	o.e.tls.trusted = false;
	o.e.tls.why = S("unable to get local issuer certificate");
	give(&o.e, header);
	give(&o.e, STARTTLS);
	tls_up(&o.e);
	buf_clear(&o.e.wire);
	give(&o.e, header);
	assert_null(strstr(zstr(&o.e.wire), "EXTERNAL"));
	assert_wire(&o.e, "<stream:features><dialback ");
	give(&o.e, AUTH(AUTHZID));
	assert_wire(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>the "
			  "certificate of here.example is not trusted: unable to"
			  " get local issuer certificate</text></failure>");
	give(&o.e, RESULT);
	assert_events(&o.e, "verify there.example here.example");
	assert_slice(o.e.asked.key, "K");
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	assert_wire(&o.e, "<db:result from='there.example' to='here.example' type='valid'/>");
	assert_events(&o.e, "established there.example here.example dialback tls");
	give(&o.e, "<iq from='here.example' to='there.example' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_events(&o.e, "stanza iq here.example->there.example");
	one_free(&o);
}

/* jabberd2 without TLS: no version, from, to (S02); it sends its request twice. */
static void test_jabberd2(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' "
		   "xmlns:db='jabber:server:dialback'>");
	const char *head = zstr(&o.e.wire);
	assert_null(strstr(strstr(head, "<stream:stream"), "version="));
	assert_null(strstr(head, "features"));
	assert_null(strstr(head, " from="));
	assert_wire(&o.e, "<stream:stream", "xmlns:db='jabber:server:dialback'", " id='");
	give(&o.e, "<db:result to='there.example' from='here.example'>0123456789abcdef0123456789abcdef01234567</db:result>");
	give(&o.e, "<db:result to='there.example' from='here.example'>0123456789abcdef0123456789abcdef01234567</db:result>");
	assert_events(&o.e, "verify there.example here.example\n");
	assert_slice(o.e.asked.key, "0123456789abcdef0123456789abcdef01234567");
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	assert_string_equal(zstr(&o.e.wire), "<db:result from='there.example' to='here.example' type='valid'/>");
	struct xmpp_stream_info info;
	xmpp_stream_info(o.e.s, &info);
	assert_slice(info.remote, "here.example");
	give(&o.e, "<message from='u@here.example' to='v@there.example'/>");
	assert_events(&o.e, "established there.example here.example dialback\n", "stanza message");
	one_free(&o);
}

static void test_old_server_but_tls_required(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, OPEN("from='here.example' to='there.example'"));
	assert_events(&o.e, "failed xmpp/tls-required at header sent policy-violation");
	one_free(&o);
	/* Who it is comes only with the request. */
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, OPEN(""));
	o.e.rules.tls = XMPP_REQUIRED;
	give(&o.e, RESULT);
	assert_wire(&o.e,
		    "<db:result from='there.example' to='here.example' type='error'><error type='cancel'><policy-violation ",
		    "TLS is required");
	assert_events(&o.e, "pair_failed there.example here.example");
	one_free(&o);
}

/* ---- the header */

static const struct {
	const char *what, *opening, *condition, *event;
} headers[] = {
	{"foreign stream namespace",
	 "<stream:stream xmlns='jabber:server' xmlns:stream='urn:x' to='there.example' version='1.0'>", "invalid-namespace",
	 "xmpp/malformed"},
	{"client namespace",
	 "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='there.example' version='1.0'>",
	 "invalid-namespace", "xmpp/malformed"},
	{"no default namespace",
	 "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='there.example' version='1.0'>", "invalid-namespace",
	 "xmpp/malformed"},
	{"other element", "<stream:features xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>", "bad-format",
	 "xmpp/malformed"},
	{"HTTP", "GET / HTTP/1.1\r\nHost: there.example\r\n\r\n", "not-well-formed", "xmpp/malformed"},
	{"TLS", "\x16\x03\x01\x02", "not-well-formed", "xmpp/malformed"},
	{"unbound prefix", "<stream:stream xmlns='jabber:server' to='there.example' version='1.0'>", "not-well-formed",
	 "xmpp/malformed"},
	{"unbound attribute prefix", OPEN("x:y='z' to='there.example'"), "not-well-formed", "xmpp/malformed"},
	{"DOCTYPE", "<!DOCTYPE x><stream:stream>", "restricted-xml", "xmpp/malformed"},
	{"other encoding", "<?xml version='1.0' encoding='ISO-8859-1'?>" HEADER, "unsupported-encoding", "xmpp/malformed"},
	{"version", OPEN("from='here.example' to='there.example' version='one'"), "unsupported-version", "xmpp/malformed"},
	{"foreign to", OPEN("from='here.example' to='nowhere.example' version='1.0'"), "host-unknown",
	 "policy/local-domain-unknown"},
	{"impossible to", OPEN("from='here.example' to='a b' version='1.0'"), "improper-addressing", "address/malformed"},
	{"impossible from", OPEN("from='u@here.example' to='there.example' version='1.0'"), "improper-addressing",
	 "address/malformed"},
	{"from is ours", OPEN("from='other.example' to='there.example' version='1.0'"), "invalid-from", "policy/spoofed-domain"},
	{"from is to", OPEN("from='there.example' to='there.example' version='1.0'"), "invalid-from", "policy/spoofed-domain"},
	{"stranger", OPEN("from='stranger.example' to='there.example' version='1.0'"), "policy-violation",
	 "policy/partner-unknown"},
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct one o;
		char error[100], event[100];
		one_init(&o);
		give(&o.e, headers[i].opening);
		snprintf(error, sizeof error, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>",
			 headers[i].condition);
		snprintf(event, sizeof event, "failed %s at header sent %s", headers[i].event, headers[i].condition);
		if (!strstr(zstr(&o.e.wire), error))
			print_message("# %s\n", headers[i].what);
		/* Our own header, the error and the closing tag, in one write. */
		assert_int_equal(o.e.writes, 1);
		assert_wire(&o.e, "<?xml version='1.0'?><stream:stream ", " id='", error, "</stream:error></stream:stream>");
		assert_events(&o.e, event);
		/* What follows is not looked at; the peer's end ends it. */
		give(&o.e, "<message/>" RESULT "</stream:stream>");
		assert_silent(&o.e);
		xmpp_stream_disconnected(o.e.s, SLICE_NONE);
		assert_string_equal(zstr(&o.e.events), "close\n");
		one_free(&o);
	}
}

/* Our name is not given away to who asks for a domain that is not ours. */
static void test_foreign_to_reveals_nothing(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, OPEN("from='here.example' to='nowhere.example' version='1.0'"));
	assert_null(strstr(zstr(&o.e.wire), "from='"));
	one_free(&o);
}

static void test_missing_from_and_to(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, OPEN("version='1.0'"));
	assert_wire(&o.e, "<starttls ");
	give(&o.e, STARTTLS);
	tls_up(&o.e);
	give(&o.e, OPEN("version='1.0'"));
	assert_null(strstr(zstr(&o.e.wire), "EXTERNAL"));
	assert_wire(&o.e, "<stream:features><dialback ");
	give(&o.e, RESULT);
	assert_events(&o.e, "verify there.example here.example");
	one_free(&o);
	/* Said once, in the clear or before SASL, is enough: what the certificate must prove is known. */
	one_init(&o);
	o.e.rules.dialback = false;
	secure(&o);
	give(&o.e, OPEN("version='1.0'"));
	assert_wire(&o.e, "EXTERNAL");
	give(&o.e, AUTH("="));
	give(&o.e, OPEN("version='1.0'"));
	assert_events(&o.e, "established there.example here.example external tls");
	one_free(&o);
	/* Only a certificate would do, and it needs a name. */
	one_init(&o);
	o.e.rules.dialback = false;
	give(&o.e, OPEN("version='1.0'") STARTTLS);
	tls_up(&o.e);
	give(&o.e, OPEN("version='1.0'"));
	assert_events(&o.e, "failed xmpp/certificate at header sent not-authorized: the stream has no 'from'");
	one_free(&o);
}

static void test_version_variants(void **state)
{
	(void)state;
	static const char *const modern[] = {"1.0", "1.1", "2.0", "01.0"};
	for (size_t i = 0; i < 4; i++) {
		struct one o;
		char h[300];
		one_init(&o);
		snprintf(h, sizeof h, OPEN("from='here.example' to='there.example' version='%s'"), modern[i]);
		give(&o.e, h);
		assert_wire(&o.e, "version='1.0'", "<stream:features>");
		one_free(&o);
	}
}

static void test_restart_keeps_names(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, OPEN("from='evil.example' to='there.example' version='1.0'"));
	assert_events(&o.e, "failed policy/spoofed-domain at header sent improper-addressing");
	one_free(&o);
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER);
	give(&o.e, AUTH("="));
	give(&o.e, OPEN("from='here.example' to='other.example' version='1.0'"));
	assert_events(&o.e, "failed policy/spoofed-domain at header sent improper-addressing");
	assert_false(happened(&o.e, "established"));
	one_free(&o);
}

static void test_new_id_after_restart(void **state)
{
	(void)state;
	struct one o;
	struct xmpp_stream_info info;
	char first[64];
	one_init(&o);
	give(&o.e, HEADER);
	xmpp_stream_info(o.e.s, &info);
	slice_cstr(info.id, first, sizeof first);
	give(&o.e, STARTTLS);
	tls_up(&o.e);
	give(&o.e, HEADER);
	xmpp_stream_info(o.e.s, &info);
	assert_false(slice_eq(info.id, slice_str(first)));
	one_free(&o);
}

/* ---- STARTTLS */

/* What an attacker put behind <starttls/> in the clear is gone (S13). */
static void test_injection(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, HEADER STARTTLS HEADER RESULT "<message from='a@here.example' to='b@there.example'/>");
	assert_events(&o.e, "tls\n");
	assert_true(strstr(zstr(&o.e.odd), "in the clear") != NULL);
	give(&o.e, RESULT);
	tls_up(&o.e);
	assert_wire(&o.e, "<proceed ");
	assert_silent(&o.e);
	assert_no_events(&o.e);
	give(&o.e, HEADER);
	assert_wire(&o.e, "<stream:features>");
	assert_no_events(&o.e);
	one_free(&o);
}

static void test_starttls_refused(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OFF;
	give(&o.e, HEADER);
	assert_null(strstr(zstr(&o.e.wire), "starttls"));
	give(&o.e, STARTTLS);
	assert_wire(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
	assert_events(&o.e, "failed xmpp/tls-required", "requires TLS, which is switched off");
	one_free(&o);
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER STARTTLS);
	assert_wire(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	one_free(&o);
}

/* ---- EXTERNAL */

static void test_external_rules(void **state)
{
	(void)state;
	static const struct {
		const char *auth, *answer;
	} rows[] = {
		{AUTH("="), "<success "},
		{AUTH(""), "<success "},
		{AUTH(AUTHZID), "<success "},
		{AUTH("b3RoZXIudGVzdA=="), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/>"},
		{AUTH("***"), "<incorrect-encoding/>"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>", "<invalid-mechanism/>"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<invalid-mechanism/>"},
		{"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<aborted/>"},
		{"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<malformed-request/>"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER);
		buf_clear(&o.e.wire);
		give(&o.e, rows[i].auth);
		assert_wire(&o.e, rows[i].answer);
		assert_no_events(&o.e);
		if (i > 2) {
			/* Not final: a better attempt may follow. */
			give(&o.e, AUTH(AUTHZID));
			assert_wire(&o.e, "<success ");
		}
		one_free(&o);
	}
}

static void test_external_attempts(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER AUTH("eA==") AUTH("eA==") AUTH("eA=="));
	assert_wire(&o.e, "<invalid-authzid/>", "<invalid-authzid/>", "<invalid-authzid/>", "<policy-violation ");
	assert_events(&o.e, "failed xmpp/not-authorized");
	one_free(&o);
}

static void test_external_without_tls(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, HEADER AUTH(AUTHZID));
	assert_wire(&o.e, "<encryption-required/>");
	assert_false(happened(&o.e, "established"));
	one_free(&o);
}

static void test_external_other_name(void **state)
{
	(void)state;
	static const struct slice wrong[] = {{"wrong.example", 13}};
	struct one o;
	one_init(&o);
	set_names(&o.e, wrong, 1);
	secure(&o);
	give(&o.e, HEADER AUTH(AUTHZID));
	assert_wire(&o.e, "<not-authorized/>", "the certificate is not valid for the name here.example");
	one_free(&o);
}

/* ---- elements before authentication */

static void test_before_authentication(void **state)
{
	(void)state;
	static const struct {
		const char *el, *condition;
	} rows[] = {
		{"<message from='a@here.example' to='b@there.example'/>", "not-authorized"},
		{"<iq xmlns='jabber:client' type='get' id='1'/>", "not-authorized"},
		{"<x xmlns='y'/>", "unsupported-stanza-type"},
		{"<stream:features/>", "unsupported-stanza-type"},
		{"<message><!-- c --></message>", "restricted-xml"},
		{"<message>&undefined;</message>", "not-well-formed"},
		{"<message>\xff</message>", "not-well-formed"},
		{"text", "bad-format"},
		{"<db:result to='there.example'>k</db:result>", "improper-addressing"},
		{"<db:result from='a b' to='there.example'>k</db:result>", "improper-addressing"},
		{"<db:verify from='here.example' id='x'>k</db:verify>", "improper-addressing"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char error[100];
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER);
		buf_clear(&o.e.wire);
		give(&o.e, rows[i].el);
		snprintf(error, sizeof error, "<stream:error><%s ", rows[i].condition);
		assert_wire(&o.e, error, "</stream:stream>");
		assert_true(happened(&o.e, "failed"));
		assert_false(happened(&o.e, "stanza message"));
		one_free(&o);
	}
}

static void test_big_before_authentication(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, HEADER);
	char *big = calloc(1, 20001);
	memset(big, 'x', 20000);
	memcpy(big, "<x a='", 6);
	give(&o.e, big);
	assert_wire(&o.e, "<policy-violation ", "<stanza-too-big ");
	assert_events(&o.e, "failed limit/size");
	free(big);
	one_free(&o);
}

/* 9 kB are not too much. */
static void test_medium_before_authentication(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, HEADER "<db:result from='here.example' to='there.example'>");
	char *big = calloc(1, 9001);
	memset(big, 'x', 9000);
	give(&o.e, big);
	give(&o.e, "</db:result>");
	assert_wire(&o.e, "type='error'><error type='cancel'><not-acceptable ");
	assert_false(happened(&o.e, "failed limit"));
	free(big);
	one_free(&o);
}

static void test_peer_errors_and_leaves(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, HEADER
	     "<stream:error><xml-not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
	assert_events(&o.e, "failed xmpp/stream-error at negotiation received not-well-formed", "close");
	one_free(&o);
	one_init(&o);
	give(&o.e, HEADER "</stream:stream>");
	assert_string_equal(zstr(&o.e.events), "close\n");
	assert_wire(&o.e, "</stream:stream>");
	one_free(&o);
}

/* ---- dialback */

static void test_result_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *el, *condition;
	} rows[] = {
		{"<db:result from='here.example' to='nowhere.example'>k</db:result>", "<item-not-found "},
		{"<db:result from='other.example' to='there.example'>k</db:result>", "<policy-violation "},
		{"<db:result from='stranger.example' to='there.example'>k</db:result>", "<policy-violation "},
		{"<db:result from='here.example' to='there.example'/>", "<not-acceptable "},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER);
		buf_clear(&o.e.wire);
		give(&o.e, rows[i].el);
		assert_wire(&o.e, "<db:result from='", "type='error'><error type='cancel'>", rows[i].condition);
		assert_events(&o.e, "pair_failed");
		assert_false(happened(&o.e, "verify"));
		/* The stream goes on. */
		give(&o.e, RESULT);
		assert_events(&o.e, "verify there.example here.example");
		one_free(&o);
	}
}

/* TLS and EXTERNAL are both required for this partner, but its header named another one. */
static void test_result_needs_certificate(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER);
	o.e.rules.sasl = XMPP_REQUIRED;
	buf_clear(&o.e.wire);
	give(&o.e, "<db:result from='strict.example' to='there.example'>k</db:result>");
	assert_wire(&o.e, "<not-authorized ", "certificate");
	one_free(&o);
}

static void test_certificate_instead_of_calling_back(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.sasl = XMPP_OFF;
	o.e.rules.trust_certificate = true;
	secure(&o);
	give(&o.e, HEADER RESULT);
	assert_wire(&o.e, "type='valid'/>");
	assert_events(&o.e, "established there.example here.example certificate tls");
	give(&o.e, "<db:result from='elsewhere.example' to='there.example'>k</db:result>");
	assert_events(&o.e, "verify there.example elsewhere.example");
	one_free(&o);
}

static void test_stale_verdicts(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, HEADER RESULT);
	struct xmpp_verify v = o.e.asked, other = v;
	other.remote = S("evil.example");
	xmpp_stream_verify_done(o.e.s, &other, XMPP_VALID, SLICE_NONE);
	other = v;
	other.id = S("x");
	xmpp_stream_verify_done(o.e.s, &other, XMPP_VALID, SLICE_NONE);
	assert_false(happened(&o.e, "established"));
	/* The stream is secured meanwhile: what was asked in the clear counts no more. */
	char id[64];
	slice_cstr(v.id, id, sizeof id);
	v.id = slice_str(id);
	give(&o.e, STARTTLS);
	tls_up(&o.e);
	give(&o.e, HEADER);
	xmpp_stream_verify_done(o.e.s, &v, XMPP_VALID, SLICE_NONE);
	assert_false(happened(&o.e, "established"));
	one_free(&o);
}

/* The 30 s to authenticate do not cut off an answer that is on its way; but they are put off only once. */
static void test_late_verdict(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, HEADER);
	rig_wait(&o.rig, 20000);
	give(&o.e, RESULT);
	rig_wait(&o.rig, 11000);
	xmpp_stream_verify_done(o.e.s, &o.e.asked, XMPP_VALID, SLICE_NONE);
	assert_events(&o.e, "established");
	rig_wait(&o.rig, 60000);
	assert_no_events(&o.e);
	one_free(&o);
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	give(&o.e, HEADER);
	for (int i = 0; i < 8; i++) {
		rig_wait(&o.rig, 8000);
		give(&o.e, RESULT);
	}
	assert_events(&o.e, "failed xmpp/not-authorized at negotiation sent connection-timeout");
	one_free(&o);
}

/* Answers on a stream that the peer opened were never asked for (S08). */
static void test_unsolicited(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER RESULT);
	buf_clear(&o.e.events);
	char el[300];
	snprintf(el, sizeof el, "<db:verify from='here.example' to='there.example' id='%s' type='valid'/>", o.e.asked.id.p);
	give(&o.e, el);
	give(&o.e, "<db:result from='here.example' to='there.example' type='valid'/><db:strange/>");
	assert_no_events(&o.e);
	assert_true(strstr(zstr(&o.e.odd), "unsolicited db:verify") && strstr(zstr(&o.e.odd), "unsolicited db:result"));
	one_free(&o);
}

/* We are authoritative for there.example (S07). */
static void test_verify_requests(void **state)
{
	(void)state;
	char key[XMPP_DIALBACK_KEY + 1], el[400];
	for (int tls = 0; tls < 2; tls++) {
		struct one o;
		one_init(&o);
		o.e.rules.tls = XMPP_OPTIONAL;
		if (tls)
			secure(&o);
		give(&o.e, HEADER);
		buf_clear(&o.e.wire);
		xmpp_dialback_key(key, &o.rig.cfg.secrets.s[0], S("here.example"), S("there.example"), S("a'<b"));
		snprintf(el, sizeof el, "<db:verify from='Here.Example' to='there.example' id='a&apos;&lt;b'>\n %s </db:verify>",
			 key);
		give(&o.e, el);
		assert_string_equal(zstr(&o.e.wire),
				    "<db:verify from='there.example' to='here.example' id='a&#39;&lt;b' type='valid'/>");
		buf_clear(&o.e.wire);
		give(&o.e, "<db:verify from='here.example' to='there.example' id='b'>00</db:verify>");
		assert_wire(&o.e, "id='b' type='invalid'/>");
		give(&o.e, "<db:verify from='here.example' to='nowhere.example' id='b'>00</db:verify>");
		assert_wire(&o.e, "id='b' type='error'><error type='cancel'><item-not-found ");
		give(&o.e, "<db:verify from='stranger.example' to='there.example' id='b'>00</db:verify>");
		assert_wire(&o.e, "type='error'><error type='cancel'><item-not-found ");
		assert_false(happened(&o.e, "established"));
		/* A stream that only asked ends without a failure. */
		buf_clear(&o.e.events);
		rig_wait(&o.rig, 30100);
		assert_wire(&o.e, "</stream:stream>");
		rig_wait(&o.rig, 5100);
		assert_string_equal(zstr(&o.e.events), "close\n");
		one_free(&o);
	}
}

static void test_verify_needs_tls(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	give(&o.e, HEADER "<db:verify from='here.example' to='there.example' id='b'>00</db:verify>");
	assert_wire(&o.e, "<db:verify ", "type='error'><error type='cancel'><policy-violation ");
	one_free(&o);
}

/* ---- stanzas */

static void test_stanzas(void **state)
{
	(void)state;
	static const struct {
		const char *el, *condition; /* NULL: accepted, and event is what happens */
		const char *event;
	} rows[] = {
		{"<message from='a@here.example/r' to='b@there.example'><body>x</body></message>", NULL,
		 "stanza message a@here.example/r->b@there.example"},
		{"<presence from='A@HERE.example' to='b@There.Example/R'/>", NULL,
		 "stanza presence a@here.example->b@there.example/R"},
		{"<iq type='get' id='1' from='here.example' to='there.example'/>", NULL, "stanza iq here.example->there.example"},
		{"<message from='a@elsewhere.example' to='b@there.example'/>", "invalid-from", "policy/spoofed-domain"},
		{"<message from='a@sub.here.example' to='b@there.example'/>", "invalid-from", "policy/spoofed-domain"},
		{"<message from='a@there.example' to='b@there.example'/>", "invalid-from", "policy/spoofed-domain"},
		{"<message from='a@here.example' to='b@nowhere.example'/>", "host-unknown", "policy/local-domain-unknown"},
		{"<message from='a@here.example' to='b@other.example'/>", "host-unknown", "policy/local-domain-unknown"},
		{"<message to='b@there.example'/>", "improper-addressing", "address/malformed"},
		{"<message from='a@here.example'/>", "improper-addressing", "address/malformed"},
		{"<message from='' to='b@there.example'/>", "improper-addressing", "address/malformed"},
		{"<message from='a@' to='b@there.example'/>", "improper-addressing", "address/malformed"},
		{"<message from='a@here.example' to='@'/>", "improper-addressing", "address/malformed"},
		{"<message from='a@he re.example' to='b@there.example'/>", "improper-addressing", "address/malformed"},
		{"<message from='a b@here.example' to='b@there.example'/>", NULL, "misaddressed from message by here.example"},
		{"<message from='a@here.example' to='@there.example'/>", NULL, "misaddressed to message by here.example"},
		{"<message from='@elsewhere.example' to='b@there.example'/>", "invalid-from", "policy/spoofed-domain"},
		{"<message from='a@elsewhere.example/x@here.example/' to='b@there.example'/>", "invalid-from",
		 "policy/spoofed-domain"},
		{"<message xmlns='jabber:client' from='a@here.example' to='b@there.example'/>",
		 "unsupported-stanza-type", "xmpp/malformed"},
		{"<msg from='a@here.example' to='b@there.example'/>", "unsupported-stanza-type", "xmpp/malformed"},
		{"<enable xmlns='urn:xmpp:sm:2'/>", "unsupported-stanza-type", "xmpp/malformed"},
		{"<message from='a@here.example' to='b@there.example'><?pi x?></message>", "restricted-xml", "xmpp/malformed"},
		{"<message from='a@here.example' to='b@there.example'></msg>", "not-well-formed", "xmpp/malformed"},
		{STARTTLS, NULL, "failed xmpp/tls-failed"},
		{AUTH("="), "unsupported-stanza-type", "xmpp/malformed"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char error[100];
		one_init(&o);
		authenticate(&o);
		give(&o.e, rows[i].el);
		if (!happened(&o.e, rows[i].event))
			print_message("# %s\n", rows[i].el);
		if (rows[i].condition) {
			snprintf(error, sizeof error, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>",
				 rows[i].condition);
			assert_wire(&o.e, error);
			assert_false(happened(&o.e, "stanza message"));
		}
		assert_events(&o.e, rows[i].event);
		one_free(&o);
	}
}

/* After an error nothing more is delivered, though it came in the same read. */
static void test_nothing_after_an_error(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	authenticate(&o);
	give(&o.e, "<message/><message from='a@here.example' to='b@there.example'/>");
	assert_false(happened(&o.e, "stanza message"));
	give(&o.e, "<message from='a@here.example' to='b@there.example'/>");
	assert_false(happened(&o.e, "stanza message"));
	one_free(&o);
}

static void test_many_in_one_read(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	authenticate(&o);
	for (int i = 0; i < 50; i++)
		give(&o.e, " <message from='a@here.example' to='b@there.example'/>\n<presence from='a@here.example' "
			   "to='b@there.example'/>");
	struct xmpp_stream_info info;
	xmpp_stream_info(o.e.s, &info);
	assert_int_equal(info.stanzas_in, 100);
	assert_silent(&o.e);
	one_free(&o);
}

/* The whole of a session, octet by octet, ends as in one piece. */
static void test_octet_by_octet(void **state)
{
	(void)state;
	static const char *const steps[] = {HEADER STARTTLS, HEADER AUTH(AUTHZID), HEADER,
					    "<message from='a@here.example' to='b@there.example'><body>\xc3\xbc</body></message>",
					    "</stream:stream>"};
	struct one o;
	one_init(&o);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		for (const char *p = steps[i]; *p; p++)
			xmpp_stream_input(o.e.s, slice_of(p, 1));
		if (i == 0)
			tls_up(&o.e);
	}
	assert_string_equal(zstr(&o.e.events), "tls\nestablished there.example here.example external tls\nstanza message "
					       "a@here.example->b@there.example by here.example\nclose\n");
	one_free(&o);
}

/* An initiator that does not wait for <success/> before its new header (it need not, inside TLS). */
static void test_pipelined_after_auth(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER AUTH(AUTHZID) HEADER "<message from='a@here.example' to='b@there.example'/>");
	assert_events(&o.e, "established there.example here.example external tls", "stanza message");
	one_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features), cmocka_unit_test(test_direct), cmocka_unit_test(test_direct_refused),
		cmocka_unit_test(test_prosody),
		NAMED("S05 EXTERNAL refused by us, then dialback on the same stream", test_ejabberd_falls_to_dialback),
		NAMED("S02 header without version, from and to", test_jabberd2),
		cmocka_unit_test(test_old_server_but_tls_required),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_foreign_to_reveals_nothing),
		NAMED("S02 header without from or to", test_missing_from_and_to),
		cmocka_unit_test(test_version_variants),
		cmocka_unit_test(test_restart_keeps_names),
		cmocka_unit_test(test_new_id_after_restart),
		NAMED("S13 clear text behind starttls is dropped", test_injection),
		NAMED("S12 starttls though not offered", test_starttls_refused),
		cmocka_unit_test(test_external_rules),
		cmocka_unit_test(test_external_attempts),
		cmocka_unit_test(test_external_without_tls),
		cmocka_unit_test(test_external_other_name),
		cmocka_unit_test(test_before_authentication),
		cmocka_unit_test(test_big_before_authentication),
		cmocka_unit_test(test_medium_before_authentication),
		cmocka_unit_test(test_peer_errors_and_leaves),
		NAMED("S09 type=error, each condition, from us", test_result_refusals),
		cmocka_unit_test(test_result_needs_certificate),
		cmocka_unit_test(test_certificate_instead_of_calling_back),
		cmocka_unit_test(test_stale_verdicts),
		cmocka_unit_test(test_late_verdict),
		NAMED("S08 unsolicited verdicts on a stream of the peer", test_unsolicited),
		NAMED("S07 db:verify on an unauthenticated stream", test_verify_requests),
		NAMED("S07 db:verify before TLS", test_verify_needs_tls),
		cmocka_unit_test(test_stanzas),
		cmocka_unit_test(test_nothing_after_an_error),
		cmocka_unit_test(test_many_in_one_read),
		cmocka_unit_test(test_octet_by_octet),
		cmocka_unit_test(test_pipelined_after_auth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
