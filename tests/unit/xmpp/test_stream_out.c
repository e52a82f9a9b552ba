/* SPDX-License-Identifier: Apache-2.0 */
/* The initiator against scripted servers. We are here.example and connect to there.example. */
#include "stream_rig.h"

static const struct slice there_names[] = {{"there.example", 13}};

#define OPEN(attrs)                                                                                                              \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "             \
	"xmlns:db='jabber:server:dialback' " attrs ">"
#define HEADER(id) OPEN("from='there.example' to='here.example' id='" id "' version='1.0' xml:lang='en'")
#define FEATURES(x) "<stream:features>" x "</stream:features>"
#define F_TLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define F_TLS_REQUIRED "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
#define F_EXTERNAL "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
#define F_EMPTY "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
#define F_DB "<dialback xmlns='urn:xmpp:features:dialback'/>"
#define F_DB_ERRORS "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
#define PROCEED "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define SUCCESS "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
#define FAILURE(c, text) "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" c "/><text>" text "</text></failure>"
#define VALID "<db:result from='there.example' to='here.example' type='valid'/>"

struct one {
	struct rig rig;
	struct end e;
};

static void one_init(struct one *o)
{
	rig_init(&o->rig);
	end_init(&o->e, &o->rig, "here.example second.example");
	set_names(&o->e, there_names, 1);
	end_initiator(&o->e, "here.example", "there.example", false);
}

static void one_free(struct one *o)
{
	end_free(&o->e);
	rig_free(&o->rig);
}

static void secure(struct one *o)
{
	xmpp_stream_start(o->e.s);
	give(&o->e, HEADER("1") FEATURES(F_TLS_REQUIRED));
	give(&o->e, PROCEED);
	tls_up(&o->e);
	buf_clear(&o->e.events);
	buf_clear(&o->e.wire);
}

static void authenticate(struct one *o)
{
	secure(o);
	give(&o->e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS));
	give(&o->e, SUCCESS HEADER("3") FEATURES(F_DB_ERRORS));
	assert_events(&o->e, "established here.example there.example external tls");
	buf_clear(&o->e.wire);
}

static void test_steps(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start(o.e.s);
	assert_string_equal(
		zstr(&o.e.wire),
		"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
		" xmlns:db='jabber:server:dialback' from='here.example' to='there.example' version='1.0' xml:lang='en'>");
	buf_clear(&o.e.wire);
	give(&o.e, HEADER("1") FEATURES(F_DB F_TLS_REQUIRED));
	assert_string_equal(zstr(&o.e.wire), F_TLS);
	buf_clear(&o.e.wire);
	give(&o.e, PROCEED);
	assert_silent(&o.e);
	tls_up(&o.e);
	assert_wire(&o.e, "<stream:stream ", " from='here.example' to='there.example' version='1.0'");
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS));
	assert_string_equal(zstr(&o.e.wire),
			    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>aGVyZS5leGFtcGxl</auth>");
	buf_clear(&o.e.wire);
	give(&o.e, SUCCESS);
	assert_wire(&o.e, "<stream:stream ", " from='here.example' to='there.example'");
	assert_int_equal(xmpp_stream_send(o.e.s, S("<x/>")), ENTENTE_EAGAIN);
	give(&o.e, HEADER("3") FEATURES(""));
	assert_events(&o.e, "tls", "established here.example there.example external tls");
	assert_int_equal(xmpp_stream_send(o.e.s, S("<message/>")), 0);
	assert_string_equal(zstr(&o.e.wire), "<message/>");
	one_free(&o);
}

/* XEP-0368: TLS before the first octet, no STARTTLS inside, the rest as ever */
static void test_direct(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start_direct(o.e.s);
	assert_silent(&o.e);
	assert_events(&o.e, "tls");
	tls_up(&o.e);
	assert_wire(&o.e, "<stream:stream ", " from='here.example' to='there.example' version='1.0'");
	give(&o.e, HEADER("1") FEATURES(F_TLS F_EXTERNAL F_DB_ERRORS)); /* the offer makes no sense: it is not taken */
	assert_string_equal(zstr(&o.e.wire),
			    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>aGVyZS5leGFtcGxl</auth>");
	give(&o.e, SUCCESS HEADER("2") FEATURES(""));
	assert_events(&o.e, "established here.example there.example external tls");
	one_free(&o);
}

static void test_direct_fails(void **state)
{
	(void)state;
	struct one o;
	/* the handshake: not an octet goes out in the clear */
	one_init(&o);
	xmpp_stream_start_direct(o.e.s);
	xmpp_stream_tls_failed(o.e.s, S("no shared cipher"));
	assert_silent(&o.e);
	assert_events(&o.e, "tls", "failed xmpp/tls", "no shared cipher", "close");
	one_free(&o);
	/* it never ends */
	one_init(&o);
	xmpp_stream_start_direct(o.e.s);
	rig_wait(&o.rig, o.rig.cfg.setup_ms + 1);
	assert_silent(&o.e);
	assert_events(&o.e, "tls", "failed xmpp/tls", "did not end in time", "close");
	one_free(&o);
	/* plain octets are dropped, closing is mute */
	one_init(&o);
	xmpp_stream_start_direct(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_EXTERNAL));
	xmpp_stream_close(o.e.s);
	assert_silent(&o.e);
	assert_events(&o.e, "tls", "close");
	one_free(&o);
	/* a certificate for somebody else, and no dialback to fall to */
	one_init(&o);
	o.e.rules.sasl = XMPP_REQUIRED;
	set_names(&o.e, NULL, 0);
	xmpp_stream_start_direct(o.e.s);
	tls_up(&o.e);
	assert_events(&o.e, "tls", "failed xmpp/certificate");
	one_free(&o);
	/* TLS is switched off */
	one_init(&o);
	o.e.rules.tls = XMPP_OFF;
	xmpp_stream_start_direct(o.e.s);
	assert_silent(&o.e);
	assert_events(&o.e, "failed xmpp/tls", "switched off", "close");
	assert_false(o.e.want_tls);
	one_free(&o);
}

/* dialback is not allowed: its prefix is not declared either */
static void test_header_without_dialback(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.dialback = false;
	xmpp_stream_start(o.e.s);
	assert_null(strstr(zstr(&o.e.wire), "dialback"));
	one_free(&o);
}

/* Features in any order, with unknown ones, comments of servers that we have met (S03, S04). */
static void test_features_anyhow(void **state)
{
	(void)state;
	static const char *const secured[] = {
		FEATURES(F_EXTERNAL F_DB_ERRORS),
		FEATURES(F_DB "<bidi xmlns='urn:xmpp:features:bidi'/><sm xmlns='urn:xmpp:sm:3'><optional/></sm>" F_EXTERNAL),
		FEATURES("<x xmlns='urn:x'><mechanism>EXTERNAL</mechanism></x><mechanisms "
			 "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
			 "<mechanism> EXTERNAL </mechanism></mechanisms>"),
	};
	for (size_t i = 0; i < 3; i++) {
		struct one o;
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER("2"));
		give(&o.e, secured[i]);
		assert_wire(&o.e, "<auth ");
		one_free(&o);
	}
}

/* ejabberd without TLS: an empty list of mechanisms beside dialback (S03). */
static void test_empty_mechanisms(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("sid") FEATURES(F_EMPTY F_DB_ERRORS));
	char want[200], key[XMPP_DIALBACK_KEY + 1];
	xmpp_dialback_key(key, &o.rig.cfg.secrets.s[0], S("there.example"), S("here.example"), S("sid"));
	snprintf(want, sizeof want, "<db:result from='here.example' to='there.example'>%s</db:result>", key);
	assert_wire(&o.e, want);
	give(&o.e, VALID);
	assert_events(&o.e, "established here.example there.example dialback\n");
	one_free(&o);
}

/* The id of the header after TLS counts, not the one before. */
static void test_key_of_current_id(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("second") FEATURES(F_DB));
	char key[XMPP_DIALBACK_KEY + 1];
	xmpp_dialback_key(key, &o.rig.cfg.secrets.s[0], S("there.example"), S("here.example"), S("second"));
	assert_wire(&o.e, key);
	one_free(&o);
}

/* jabberd2: the feature says <required/>, no SASL; and the pre-1.0 answer without features. */
static void test_jabberd2(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES("<dialback xmlns='urn:xmpp:features:dialback'><required></required></dialback>"));
	assert_wire(&o.e, "<db:result ");
	give(&o.e, VALID);
	assert_events(&o.e, "established here.example there.example dialback tls");
	one_free(&o);
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	xmpp_stream_start(o.e.s);
	give(&o.e, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' "
		   "xmlns:db='jabber:server:dialback' id='old'>");
	assert_wire(&o.e, "<db:result ");
	give(&o.e, VALID);
	assert_events(&o.e, "established here.example there.example dialback\n");
	one_free(&o);
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, OPEN("id='old'"));
	assert_events(&o.e, "failed xmpp/tls-required");
	one_free(&o);
}

/* A server that has dialback but no features for it declares the prefix. */
static void test_unannounced_dialback(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(""));
	assert_wire(&o.e, "<db:result ");
	one_free(&o);
	one_init(&o);
	secure(&o);
	give(&o.e, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='2' "
		   "version='1.0'>" FEATURES(""));
	assert_events(&o.e, "failed xmpp/not-authorized",
		      "offers no SASL EXTERNAL; most likely it does not accept our certificate, and it does not offer dialback");
	one_free(&o);
}

/* ---- TLS */

static void test_starttls_not_offered(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start(o.e.s);
	buf_clear(&o.e.wire);
	give(&o.e, HEADER("1") FEATURES(F_DB)); /* perhaps somebody removed the offer (S12) */
	assert_string_equal(zstr(&o.e.wire), F_TLS);
	give(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
	assert_events(&o.e, "failed xmpp/tls-required at starttls", "refused to start TLS, which is required", "close");
	one_free(&o);
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_DB));
	give(&o.e,
	     "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
	assert_events(&o.e, "failed xmpp/tls-required at starttls received policy-violation", "close");
	one_free(&o);
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_DB));
	give(&o.e, "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
	assert_events(&o.e, "failed xmpp/stream-error at starttls received system-shutdown", "close");
	one_free(&o);
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_TLS F_DB)); /* an offer that is not kept is another matter */
	give(&o.e,
	     "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
	assert_events(&o.e, "failed xmpp/stream-error at starttls received policy-violation", "close");
	one_free(&o);
}

static void test_tls_failure_never_falls_to_clear(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OPTIONAL;
	xmpp_stream_start(o.e.s);
	buf_clear(&o.e.wire);
	give(&o.e, HEADER("1") FEATURES(F_TLS F_DB));
	give(&o.e, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	assert_events(&o.e, "failed xmpp/tls-failed");
	assert_null(strstr(zstr(&o.e.wire), "db:result"));
	one_free(&o);
}

static void test_peer_requires_tls(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.tls = XMPP_OFF;
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_TLS_REQUIRED F_DB));
	assert_events(&o.e, "failed xmpp/tls-required at features",
		      "there.example requires TLS, which is switched off for it here");
	one_free(&o);
}

/* What an attacker put behind <proceed/> in the clear is gone (S13). */
static void test_injection(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_TLS));
	give(&o.e, PROCEED HEADER("evil") FEATURES(F_DB) VALID);
	assert_string_equal(zstr(&o.e.events), "tls\n");
	give(&o.e, HEADER("evil") FEATURES(F_DB));
	buf_clear(&o.e.wire);
	tls_up(&o.e);
	assert_null(strstr(zstr(&o.e.wire), "db:result"));
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL));
	assert_wire(&o.e, "<auth ");
	one_free(&o);
}

static void test_bad_certificate(void **state)
{
	(void)state;
	static const struct slice wrong[] = {{"wrong.example", 13}};
	/* No dialback to fall to: the other administrator reads why. */
	struct one o;
	one_init(&o);
	o.e.rules.dialback = false;
	set_names(&o.e, wrong, 1);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") FEATURES(F_TLS));
	give(&o.e, PROCEED);
	buf_clear(&o.e.wire);
	tls_up(&o.e);
	assert_wire(&o.e, "<stream:stream ", "<stream:error><not-authorized ",
		    "the certificate is not valid for the name there.example", "</stream:stream>");
	assert_events(&o.e, "failed xmpp/certificate");
	one_free(&o);
	/* EXTERNAL is offered, but trust must be mutual: dialback. */
	one_init(&o);
	o.e.tls.trusted = false;
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS));
	assert_null(strstr(zstr(&o.e.wire), "<auth"));
	assert_wire(&o.e, "<db:result ");
	one_free(&o);
}

/* ---- EXTERNAL refused */

static void test_refused_then_dialback(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS));
	buf_clear(&o.e.wire);
	give(&o.e, FAILURE("not-authorized", "unsupported certificate purpose"));
	assert_wire(&o.e, "<db:result from='here.example' to='there.example'>");
	assert_no_events(&o.e);
	give(&o.e, VALID);
	assert_events(&o.e, "established here.example there.example dialback tls");
	one_free(&o);
}

static void test_refused_for_good(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.dialback = false;
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS) FAILURE("not-authorized", "unsupported certificate purpose"));
	assert_events(&o.e, "failed xmpp/not-authorized at sasl",
		      "there.example refused our certificate: not-authorized: unsupported certificate purpose", "clientAuth");
	one_free(&o);
	/* ejabberd without its dialback module talks of SASL only: no use in waiting 25 s for an answer. */
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL) FAILURE("not-authorized", "no"));
	assert_events(&o.e, "failed xmpp/not-authorized at sasl");
	one_free(&o);
}

static void test_sasl_required(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	o.e.rules.sasl = XMPP_REQUIRED;
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_DB_ERRORS));
	assert_events(&o.e, "failed xmpp/not-authorized at features",
		      "there.example offers no SASL EXTERNAL; most likely it does not accept our certificate");
	one_free(&o);
}

static void test_challenge(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL F_DB_ERRORS));
	give(&o.e, "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
	assert_wire(&o.e, "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
	give(&o.e, FAILURE("aborted", ""));
	assert_wire(&o.e, "<db:result ");
	one_free(&o);
}

/* ---- dialback answers */

static void test_result_errors(void **state)
{
	(void)state;
	static const char *const conditions[] = {"item-not-found",
						 "remote-connection-failed",
						 "remote-server-not-found",
						 "remote-server-timeout",
						 "policy-violation",
						 "not-authorized",
						 "forbidden",
						 "not-acceptable",
						 "resource-constraint",
						 "internal-server-error"};
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		struct one o;
		char el[400], want[200];
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER("2") FEATURES(F_DB_ERRORS));
		snprintf(el, sizeof el,
			 "<db:result from='there.example' to='here.example' type='error'><error type='cancel'><%s "
			 "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
			 conditions[i]);
		give(&o.e, el);
		snprintf(want, sizeof want,
			 "failed xmpp/dialback-failed at dialback sent : there.example answered our dialback request with %s",
			 conditions[i]);
		assert_events(&o.e, want);
		assert_wire(&o.e, "</stream:stream>");
		one_free(&o);
	}
}

/* Only what was asked for, by whom it was asked of, counts (S08). */
static void test_unsolicited(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") VALID FEATURES(F_DB_ERRORS));
	assert_false(happened(&o.e, "established"));
	give(&o.e, "<db:result from='evil.example' to='here.example' type='valid'/><db:result from='there.example' "
		   "to='second.example' type='valid'/>"
		   "<db:verify from='there.example' to='here.example' id='2' type='valid'/>");
	assert_no_events(&o.e);
	struct xmpp_verify v = {S("here.example"), S("there.example"), S("rid"), S("k")};
	assert_int_equal(xmpp_stream_verify(o.e.s, &v), 0);
	give(&o.e, "<db:verify from='there.example' to='here.example' id='other' type='valid'/><db:verify from='evil.example' "
		   "to='here.example' id='rid' type='valid'/>"
		   "<db:verify from='there.example' to='second.example' id='rid' type='valid'/>");
	assert_no_events(&o.e);
	give(&o.e, "<db:verify from='there.example' to='here.example' id='rid' type='valid'/><db:verify from='there.example' "
		   "to='here.example' id='rid' type='valid'/>");
	assert_string_equal(zstr(&o.e.events), "verified here.example there.example valid \n");
	/* Requests do not come in on a stream that we opened. */
	buf_clear(&o.e.wire);
	give(&o.e, "<db:result from='there.example' to='here.example'>k</db:result><db:verify from='there.example' "
		   "to='here.example' id='x'>k</db:verify>");
	assert_silent(&o.e);
	give(&o.e, VALID VALID);
	assert_events(&o.e, "established here.example there.example dialback tls\n");
	one_free(&o);
}

static void test_verify_error(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_DB_ERRORS));
	struct xmpp_verify v = {S("here.example"), S("there.example"), S("<&'>"), S("<k>")};
	buf_clear(&o.e.wire);
	assert_int_equal(xmpp_stream_verify(o.e.s, &v), 0);
	assert_string_equal(zstr(&o.e.wire),
			    "<db:verify from='here.example' to='there.example' id='&lt;&amp;&#39;&gt;'>&lt;k&gt;</db:verify>");
	give(&o.e, "<db:verify from='there.example' to='here.example' id='&lt;&amp;&apos;>' type='error'><error "
		   "type='cancel'><item-not-found"
		   " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>");
	assert_events(&o.e, "verified here.example there.example undecided item-not-found");
	one_free(&o);
}

static void test_no_id(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, OPEN("from='there.example' version='1.0'") FEATURES(F_DB));
	assert_events(&o.e, "failed xmpp/dialback-failed", "gave the stream no id");
	one_free(&o);
}

static void test_no_target_multiplexing_without_errors(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	authenticate(&o);
	assert_int_equal(xmpp_stream_add(o.e.s, S("here.example"), S("hosted.example")), 0);
	one_free(&o);
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_DB) VALID);
	assert_int_equal(xmpp_stream_add(o.e.s, S("here.example"), S("hosted.example")), ENTENTE_EUNSUPPORTED);
	assert_int_equal(xmpp_stream_add(o.e.s, S("second.example"), S("there.example")), 0);
	one_free(&o);
}

/* ---- the rest */

static void test_stanza_in_the_wrong_direction(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	authenticate(&o);
	give(&o.e, "<message from='b@there.example' to='a@here.example'/>");
	assert_wire(&o.e, "<stream:error><not-authorized ", "open a stream of your own");
	assert_events(&o.e, "failed xmpp/not-authorized at open");
	one_free(&o);
}

static void test_learned_limit(void **state)
{
	(void)state;
	static const struct {
		const char *limit;
		size_t want;
	} rows[] = {{"65536", 65536}, {" 20000 ", 20000}, {"5", 10000}, {"x", 0}, {"-1", 0}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char el[300];
		struct xmpp_stream_info info;
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER("2") FEATURES(F_EXTERNAL) SUCCESS HEADER("3"));
		snprintf(el, sizeof el, FEATURES("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>%s</max-bytes></limits>"),
			 rows[i].limit);
		give(&o.e, el);
		xmpp_stream_info(o.e.s, &info);
		assert_int_equal(info.peer_max_stanza, rows[i].want);
		one_free(&o);
	}
}

/* A larger stanza than the peer takes is not sent; the stream goes on. */
static void test_larger_than_the_peer_takes(void **state)
{
	(void)state;
	static char big[20001];
	struct one o;
	one_init(&o);
	secure(&o);
	give(&o.e, HEADER("2") FEATURES(F_EXTERNAL) SUCCESS HEADER("3")
	     FEATURES("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes></limits>"));
	buf_clear(&o.e.wire);
	memset(big, ' ', sizeof big);
	assert_int_equal(xmpp_stream_send(o.e.s, slice_of(big, 20001)), ENTENTE_ELIMIT);
	assert_silent(&o.e);
	assert_int_equal(xmpp_stream_send(o.e.s, slice_of(big, 20000)), 0);
	assert_int_equal(o.e.wire.len, 20000);
	one_free(&o);
}

/* Who says that it ends silent streams hears from us twice as often; nobody makes us chatter. */
static void test_learned_idle(void **state)
{
	(void)state;
	static const struct {
		const char *idle;
		uint32_t want_ms;
	} rows[] = {{"120", 60000}, {"30", 15000}, {" 1 ", 10000}, {"0", 300000}, {"86400", 300000}, {"86401", 300000}, {"x", 300000}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char el[300];
		one_init(&o);
		secure(&o);
		give(&o.e, HEADER("2") FEATURES(F_EXTERNAL "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>20</idle-seconds></limits>")
		     SUCCESS HEADER("3")); /* what was said before does not count any more */
		snprintf(el, sizeof el, FEATURES("<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>%s</idle-seconds></limits>"),
			 rows[i].idle);
		give(&o.e, el);
		buf_clear(&o.e.wire);
		rig_wait(&o.rig, rows[i].want_ms - 1);
		assert_silent(&o.e);
		rig_wait(&o.rig, 1);
		assert_string_equal(zstr(&o.e.wire), " ");
		one_free(&o);
	}
}

static void test_bad_headers(void **state)
{
	(void)state;
	static const struct {
		const char *opening, *condition;
	} rows[] = {
		{"HTTP/1.1 400 Bad Request\r\n", "not-well-formed"},
		{"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>",
		 "invalid-namespace"},
		{"<stream:stream xmlns='jabber:server' xmlns:stream='x' id='1' version='1.0'>", "invalid-namespace"},
		{"<x/>", "invalid-namespace"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char want[100];
		one_init(&o);
		xmpp_stream_start(o.e.s);
		buf_clear(&o.e.wire);
		give(&o.e, rows[i].opening);
		snprintf(want, sizeof want, "failed xmpp/malformed at header sent %s", rows[i].condition);
		assert_events(&o.e, want);
		assert_true(slice_starts(buf_slice(&o.e.wire), S("<stream:error>")));
		one_free(&o);
	}
}

static void test_closed_without_a_word(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1") "</stream:stream>");
	assert_events(&o.e, "failed xmpp/stream-error at features", "without saying why", "close");
	one_free(&o);
	one_init(&o);
	secure(&o);
	xmpp_stream_disconnected(o.e.s, S("tlsv1 alert unknown ca"));
	assert_events(&o.e, "failed xmpp/unreachable at header", "tlsv1 alert unknown ca", "close");
	one_free(&o);
}

static void test_stream_errors(void **state)
{
	(void)state;
	static const struct {
		const char *condition, *event;
	} rows[] = {
		{"host-unknown", "failed xmpp/stream-error at features received host-unknown"},
		{"not-authorized", "failed xmpp/not-authorized at features received not-authorized"},
		{"xml-not-well-formed", "received not-well-formed"},
		{"something-new", "received undefined-condition"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct one o;
		char el[600];
		one_init(&o);
		xmpp_stream_start(o.e.s);
		snprintf(el, sizeof el,
			 HEADER("1") "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text "
				     "xmlns='urn:ietf:params:xml:ns:xmpp-streams'>why</text>"
				     "</stream:error>",
			 rows[i].condition);
		give(&o.e, el);
		assert_events(&o.e, rows[i].event, ": why", "close");
		one_free(&o);
	}
}

static void test_early_close(void **state)
{
	(void)state;
	struct one o;
	one_init(&o);
	xmpp_stream_start(o.e.s);
	xmpp_stream_close(o.e.s);
	buf_clear(&o.e.wire);
	give(&o.e, HEADER("1") FEATURES(F_DB) "</stream:stream>"); /* the answer crossed our closing tag */
	assert_silent(&o.e);
	assert_string_equal(zstr(&o.e.events), "close\n");
	one_free(&o);
	one_init(&o);
	xmpp_stream_close(o.e.s);
	assert_string_equal(zstr(&o.e.events), "close\n");
	assert_silent(&o.e);
	assert_int_equal(xmpp_stream_send(o.e.s, S("<x/>")), ENTENTE_ECLOSED);
	xmpp_stream_start(o.e.s);
	give(&o.e, HEADER("1"));
	xmpp_stream_disconnected(o.e.s, SLICE_NONE);
	assert_silent(&o.e);
	one_free(&o);
	assert_null(xmpp_stream_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps), cmocka_unit_test(test_direct), cmocka_unit_test(test_direct_fails),
		cmocka_unit_test(test_header_without_dialback),
		NAMED("S04 features in any order, unknown children", test_features_anyhow),
		NAMED("S03 empty mechanisms", test_empty_mechanisms),
		cmocka_unit_test(test_key_of_current_id),
		NAMED("S02 answer to a header without version", test_jabberd2),
		cmocka_unit_test(test_unannounced_dialback),
		NAMED("S12 asking for TLS that is not offered", test_starttls_not_offered),
		cmocka_unit_test(test_tls_failure_never_falls_to_clear),
		cmocka_unit_test(test_peer_requires_tls),
		NAMED("S13 clear text behind proceed is dropped", test_injection),
		cmocka_unit_test(test_bad_certificate),
		NAMED("S05 EXTERNAL refused by the peer, then dialback on the same stream", test_refused_then_dialback),
		cmocka_unit_test(test_refused_for_good),
		cmocka_unit_test(test_sasl_required),
		cmocka_unit_test(test_challenge),
		NAMED("S09 type=error, each condition, from the peer", test_result_errors),
		NAMED("S08 unsolicited verdicts on a stream of ours", test_unsolicited),
		cmocka_unit_test(test_verify_error),
		cmocka_unit_test(test_no_id),
		NAMED("S11 no target multiplexing without errors", test_no_target_multiplexing_without_errors),
		cmocka_unit_test(test_stanza_in_the_wrong_direction),
		NAMED("S20 a learned limit", test_learned_limit), cmocka_unit_test(test_larger_than_the_peer_takes), cmocka_unit_test(test_learned_idle),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_closed_without_a_word),
		NAMED("S26 legacy stream errors of a peer", test_stream_errors),
		cmocka_unit_test(test_early_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
