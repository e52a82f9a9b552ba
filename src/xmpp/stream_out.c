/* SPDX-License-Identifier: Apache-2.0 */
/* The initiating side: what to make of the peer's offers. The order is TLS, EXTERNAL, dialback inside TLS, dialback in the clear;
 * each step only where the policy allows it, and never back from TLS to clear text. */
#include "xmpp/stream_int.h"

#include "base/enc.h"
#include "xmpp/sasl.h"
#include "xmpp/stanza.h"

enum { TEXT = 256, PEER_TEXT = 120 };

/* Old servers do not announce dialback but declare its prefix on the header; who talks of SASL and not of dialback has none. */
static bool peer_does_dialback(const struct xmpp_stream *s)
{
	return s->legacy || (s->features & FEATURE_DIALBACK) || (s->peer_db && !(s->features & FEATURE_MECHANISMS));
}

static void fall_to_dialback(struct xmpp_stream *s)
{
	struct pair *p = pair_find(s, s->local, s->remote);
	if (!p)
		p = pair_add(s, s->local, s->remote);
	s->state = XMPP_STREAM_DIALBACK;
	if (dialback_request(s, p))
		questions_flush(s);
}

static void ready_to_ask(struct xmpp_stream *s)
{
	s->state = XMPP_STREAM_VERIFY;
	questions_flush(s);
}

static void ask_for_tls(struct xmpp_stream *s)
{
	buf_puts(&s->out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	s->state = XMPP_STREAM_STARTTLS;
}

static void negotiate_clear(struct xmpp_stream *s)
{
	unsigned f = s->features;
	if (s->policy.tls != XMPP_OFF && (f & FEATURE_STARTTLS)) {
		ask_for_tls(s);
	} else if (s->policy.tls == XMPP_REQUIRED && !s->legacy) {
		/* A missing offer may be an attacker's work and must not deter (RFC 7590 3.1). */
		stream_trace(s, XMPP_TRACE_STEP, "TLS is not offered; asking for it all the same");
		ask_for_tls(s);
	} else if (s->policy.tls == XMPP_REQUIRED) {
		stream_fail(s, "policy-violation", ENTENTE_ETLS, REASON_XMPP_TLS_REQUIRED, XMPP_SIDE_REMOTE,
			    "%.*s speaks a version before XMPP 1.0, which has no TLS, and TLS is required", SFMT(s->remote));
	} else if (f & FEATURE_STARTTLS_REQUIRED) {
		stream_fail(s, NULL, ENTENTE_ETLS, REASON_XMPP_TLS_REQUIRED, XMPP_SIDE_LOCAL,
			    "%.*s requires TLS, which is switched off for it here", SFMT(s->remote));
	} else if (s->methods.dialback_tcp && s->verify_only) {
		ready_to_ask(s);
	} else if (s->methods.dialback_tcp && peer_does_dialback(s)) {
		fall_to_dialback(s);
	} else if (s->methods.dialback_tcp) {
		stream_fail(s, "policy-violation", ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_REMOTE,
			    "%.*s offers neither TLS nor dialback", SFMT(s->remote));
	} else {
		stream_fail(s, "policy-violation", ENTENTE_EAUTH, REASON_XMPP_TLS_REQUIRED, XMPP_SIDE_REMOTE,
			    "%.*s offers no TLS, and dialback in the clear is not allowed for it here", SFMT(s->remote));
	}
}

static void no_method_left(struct xmpp_stream *s)
{
	char why[TEXT];
	if (s->methods.external && !stream_certificate_good(s)) {
		stream_certificate_text(s, why, sizeof why);
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, REASON_XMPP_CERTIFICATE, XMPP_SIDE_REMOTE, "%s", why);
	} else if (s->methods.external && !(s->features & FEATURE_EXTERNAL)) {
		stream_fail(s, NULL, ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_LOCAL,
			    "%.*s offers no SASL EXTERNAL; most likely it does not accept our certificate%s", SFMT(s->remote),
			    s->methods.dialback_tls ? ", and it does not offer dialback" : "");
	} else {
		stream_fail(s, NULL, ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_NONE,
			    "%.*s offers no method of authentication that is allowed for it here", SFMT(s->remote));
	}
}

/* Before we prove ourselves (XEP-0288 2.2), and only to whom the certificate says it is: it will speak for that domain. */
static void ask_for_both_ways(struct xmpp_stream *s)
{
	if (s->bidi || s->verify_only || !(s->features & FEATURE_BIDI) || !features_offer_bidi(s) || !stream_certificate_good(s))
		return;
	stream_trace(s, XMPP_TRACE_STEP, "both directions on this stream");
	features_write_bidi(s);
	s->bidi = true;
}

static void negotiate_secured(struct xmpp_stream *s)
{
	ask_for_both_ways(s);
	if (s->verify_only && s->methods.dialback_tls) {
		ready_to_ask(s);
	} else if (s->methods.external && (s->features & FEATURE_EXTERNAL) && stream_certificate_good(s) && !s->verify_only) {
		xmpp_sasl_write_auth(&s->out, s->local);
		s->state = XMPP_STREAM_SASL;
	} else if (s->methods.dialback_tls && peer_does_dialback(s)) {
		fall_to_dialback(s);
	} else {
		no_method_left(s);
	}
}

static void proven(struct xmpp_stream *s)
{
	struct pair *p = pair_find(s, s->local, s->remote);
	if (!p)
		p = pair_add(s, s->local, s->remote);
	acks_begin(s); /* before the owner sends the first stanza */
	pair_prove(p, s->tls.dane ? XMPP_PROOF_DANE : XMPP_PROOF_EXTERNAL);
	if (!s->freed)
		questions_flush(s);
}

static void negotiate(struct xmpp_stream *s)
{
	if (s->external_done)
		proven(s);
	else if (s->secured)
		negotiate_secured(s);
	else
		negotiate_clear(s);
}

void stream_out_header(struct xmpp_stream *s, const struct xml_node *header)
{
	struct slice from = xml_attr(header, S("from"));
	/* Who the peer is comes from its certificate or from dialback; here a difference is only worth a line. */
	if (!slice_empty(from) && !slice_ieq(from, s->remote))
		stream_trace(s, XMPP_TRACE_ODD, "%.*s calls itself %.*s", SFMT(s->remote), SFMT(slice_first(from, 80)));
	stream_set(&s->id, xml_attr(header, S("id")));
	if (s->legacy)
		negotiate(s);
	else
		s->state = XMPP_STREAM_FEATURES;
}

void stream_out_secured(struct xmpp_stream *s)
{
	if (!slice_empty(s->tls.barred)) { /* no other method makes up for that */
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, s->tls.barred_reason, XMPP_SIDE_REMOTE, "%.*s: %.*s", SFMT(s->remote),
			    SFMT(s->tls.barred));
		return;
	}
	if (!stream_certificate_good(s) && !s->methods.dialback_tls) {
		/* A header first: the text of the error tells the other administrator what is wrong with the certificate. */
		no_method_left(s);
		return;
	}
	stream_write_header(s);
}

static void tls_answer(struct xmpp_stream *s, const struct xml_node *el)
{
	if (slice_eq(el->name, S("proceed"))) {
		s->state = XMPP_STREAM_TLS;
		s->want_tls = true;
		stream_restart(s);
		return;
	}
	stream_fail(s, NULL, ENTENTE_ETLS, s->policy.tls == XMPP_REQUIRED ? REASON_XMPP_TLS_REQUIRED : REASON_XMPP_TLS,
		    XMPP_SIDE_REMOTE, "%.*s refused to start TLS%s", SFMT(s->remote),
		    s->policy.tls == XMPP_REQUIRED ? ", which is required" : "");
}

/* The condition and text of <failure/>. */
static void refusal_text(const struct xml_node *failure, struct arena *a, char *ret, size_t size)
{
	struct slice condition = S("no reason"), text = SLICE_NONE;
	for (const struct xml_node *c = xml_first(failure); c; c = xml_next(c)) {
		if (slice_eq(c->name, S("text")))
			text = utf8_first(slice_trim(xml_text(c, a)), PEER_TEXT);
		else
			condition = slice_first(c->name, 40);
	}
	snprintf(ret, size, "%.*s%s%.*s", SFMT(condition), slice_empty(text) ? "" : ": ", SFMT(text));
}

static void sasl_answer(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	char why[TEXT];
	if (slice_eq(el->name, S("success"))) {
		s->external_done = true;
		s->state = XMPP_STREAM_HEADER;
		stream_restart(s);
		stream_write_header(s);
	} else if (slice_eq(el->name, S("failure"))) {
		refusal_text(el, a, why, sizeof why);
		stream_trace(s, XMPP_TRACE_STEP, "EXTERNAL refused by %.*s: %s", SFMT(s->remote), why);
		/* Not final (XEP-0178 1.2): the stream stays as it is, without a restart. */
		if (s->methods.dialback_tls && peer_does_dialback(s))
			fall_to_dialback(s);
		else
			stream_fail(s, NULL, ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_LOCAL,
				    "%.*s refused our certificate: %s%s", SFMT(s->remote), why,
				    strstr(why, "purpose")
					    ? " (it wants clientAuth in the certificate, as ejabberd before 25.08 does)"
					    : "");
	} else {
		buf_puts(&s->out, "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"); /* EXTERNAL has no challenge when the
											   response was sent first */
	}
}

void stream_out_element(struct xmpp_stream *s, struct xml_node *el, struct arena *a)
{
	bool passed = false;
	if (s->bidi && stanza_kind(el) != STANZA_NONE && s->state >= XMPP_STREAM_OPEN && !s->counted) {
		passed = stream_in_stanza(s, el, a, false);
	} else if (slice_eq(el->ns, XMPP_NS_SM)) { /* also while closing: the last acknowledgement */
		acks_element(s, el);
	} else if (s->state == XMPP_STREAM_CLOSING) {
		stream_trace(s, XMPP_TRACE_ODD, "<%.*s/> after the stream was closed", SFMT(slice_first(el->name, 40)));
	} else if (slice_eq(el->ns, XMPP_NS_DIALBACK)) {
		dialback_element(s, el, a);
	} else if (s->state == XMPP_STREAM_FEATURES && xml_is(el, S("features"), XMPP_NS_STREAM)) {
		features_read(s, el, a);
		negotiate(s);
	} else if (s->state == XMPP_STREAM_STARTTLS && slice_eq(el->ns, XMPP_NS_TLS)) {
		tls_answer(s, el);
	} else if (s->state == XMPP_STREAM_SASL && slice_eq(el->ns, XMPP_NS_SASL)) {
		sasl_answer(s, el, a);
	} else if (slice_eq(el->ns, XMPP_NS_SERVER)) {
		/* Silence would lose the partner's messages without a trace; the error names the remedy. */
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_REMOTE,
			    "this stream carries stanzas only from %.*s; open a stream of your own for answers", SFMT(s->local));
	} else {
		stream_trace(s, XMPP_TRACE_ODD, "<%.*s xmlns='%.*s'/> ignored (%s)", SFMT(slice_first(el->name, 40)),
			     SFMT(slice_first(el->ns, 80)), xmpp_stream_state_text(s->state));
	}
	if (!passed)
		arena_release(s->cfg->pool, a);
}
