/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side: who may come in, what it may do before and after it has proven a domain. */
#include "xmpp/stream_int.h"

#include "xmpp/sasl.h"
#include "xmpp/stanza.h"

enum { AUTH_ATTEMPTS = 3, CERT_TEXT = 256 };

/* ---- the header (RFC 6120 4.7) */

/* A domain of the header, prepared; empty when the attribute is absent. False after a failure. */
static bool header_domain(struct xmpp_stream *s, struct arena *a, const struct xml_node *header, struct slice name,
			  struct slice *ret)
{
	struct slice raw = xml_attr(header, name);
	*ret = SLICE_NONE;
	if (slice_empty(raw) || xmpp_prep_domain(a, raw, ret) == 0)
		return true;
	stream_fail(s, "improper-addressing", ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, XMPP_SIDE_REMOTE,
		    "'%.*s' of the stream is not a domain: %.*s", SFMT(name), SFMT(slice_first(raw, 80)));
	return false;
}

/* The header after TLS or SASL may add what was missing, or leave out what is known, but not change anything. */
static bool same_or_new(struct xmpp_stream *s, struct slice before, struct slice now, const char *which)
{
	if (slice_empty(before) || slice_empty(now) || slice_eq(before, now))
		return true;
	stream_fail(s, "improper-addressing", ENTENTE_EREFUSED, REASON_POLICY_SPOOFED_DOMAIN, XMPP_SIDE_REMOTE,
		    "'%s' changed from %.*s to %.*s when the stream was restarted", which, SFMT(before), SFMT(now));
	return false;
}

static bool check_domains(struct xmpp_stream *s)
{
	const struct xmpp_stream_policy *p = &s->policy;
	if (!slice_empty(s->local) && !p->local_ours)
		stream_fail(s, "host-unknown", ENTENTE_ENOTFOUND, REASON_POLICY_LOCAL_UNKNOWN, XMPP_SIDE_REMOTE,
			    "%.*s is not served here", SFMT(s->local));
	else if (!slice_empty(s->remote) && p->remote_ours)
		stream_fail(s, "invalid-from", ENTENTE_EREFUSED, REASON_POLICY_SPOOFED_DOMAIN, XMPP_SIDE_REMOTE,
			    "%.*s is served here and cannot come from outside", SFMT(s->remote));
	else if (!p->partner && !p->verify && !slice_empty(p->refusal))
		stream_fail(s, "policy-violation", ENTENTE_EREFUSED, REASON_POLICY_PARTNER_UNKNOWN, XMPP_SIDE_LOCAL, "%.*s",
			    SFMT(p->refusal));
	else if (!p->partner && !p->verify)
		stream_fail(s, "policy-violation", ENTENTE_EREFUSED, REASON_POLICY_PARTNER_UNKNOWN, XMPP_SIDE_LOCAL,
			    "%.*s is not a federation partner of %.*s; ask its administrator", SFMT(s->remote),
			    SFMT(slice_empty(s->local) ? S("this server") : s->local));
	else if (p->barred && s->tls.certificate)
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, REASON_XMPP_PIN, XMPP_SIDE_LOCAL,
			    "the key of your certificate is not the one that is expected of %.*s here; ask the administrator", SFMT(s->remote));
	else
		return true;
	return false;
}

/* Without anything left to offer, say so at once and name the cause: the text reaches the other administrator. */
static bool something_left(struct xmpp_stream *s)
{
	char why[CERT_TEXT];
	if (features_offer_dialback(s) || (!s->legacy && (features_offer_external(s) || features_offer_starttls(s))))
		return true;
	if (s->secured && s->methods.external) {
		stream_certificate_text(s, why, sizeof why);
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, REASON_XMPP_CERTIFICATE, XMPP_SIDE_REMOTE,
			    "%s (a certificate that proves the domain is required)",
			    slice_empty(s->remote)  ? "the stream has no 'from'"
			    : slice_empty(s->local) ? "the stream has no 'to'"
						    : why);
	} else if (!s->secured && s->policy.tls != XMPP_OFF) {
		stream_fail(s, "policy-violation", ENTENTE_EAUTH, REASON_XMPP_TLS_REQUIRED, XMPP_SIDE_REMOTE,
			    "encryption is required, and a stream without version 1.0 cannot start it");
	} else {
		stream_fail(s, "policy-violation", ENTENTE_EREFUSED, REASON_XMPP_AUTH, XMPP_SIDE_LOCAL,
			    "%.*s allows no method of authentication here that you could use",
			    SFMT(slice_empty(s->local) ? S("this server") : s->local));
	}
	return false;
}

static void proven_by_certificate(struct xmpp_stream *s)
{
	struct pair *p = pair_find(s, s->local, s->remote);
	if (!p)
		p = pair_add(s, s->local, s->remote);
	stream_write_header(s);
	/* Counted as proven before the features are written: they are those of an authenticated stream. */
	p->valid = true;
	s->n_valid++;
	features_write(s);
	p->valid = false;
	s->n_valid--;
	pair_prove(p, s->tls.dane ? XMPP_PROOF_DANE : XMPP_PROOF_EXTERNAL);
}

static void header_accepted(struct xmpp_stream *s)
{
	stream_judge(s);
	if (s->freed || !check_domains(s))
		return;
	if (s->secured && !slice_empty(s->remote))
		s->identity = xmpp_identity_match(&s->tls.names, s->remote);
	if (s->external_done) {
		proven_by_certificate(s);
		return;
	}
	if (!something_left(s))
		return;
	stream_write_header(s);
	if (!s->legacy)
		features_write(s);
	s->state = XMPP_STREAM_NEGOTIATE;
}

void stream_in_header(struct xmpp_stream *s, const struct xml_node *header)
{
	struct arena *a = arena_acquire(s->cfg->pool);
	struct slice local, remote;
	if (header_domain(s, a, header, S("to"), &local) && header_domain(s, a, header, S("from"), &remote) &&
	    same_or_new(s, s->local, local, "to") && same_or_new(s, s->remote, remote, "from")) {
		if (!slice_empty(local))
			stream_set(&s->local, local);
		if (!slice_empty(remote))
			stream_set(&s->remote, remote);
		stream_trace(s, XMPP_TRACE_STEP, "header from %.*s to %.*s%s", SFMT(remote), SFMT(local),
			     s->legacy ? ", older than 1.0" : "");
		header_accepted(s);
	}
	arena_release(s->cfg->pool, a);
}

/* ---- STARTTLS (RFC 6120 5) */

static void starttls(struct xmpp_stream *s)
{
	if (!features_offer_starttls(s) || s->legacy) {
		stream_refuse_tls(s);
		return;
	}
	buf_puts(&s->out, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	stream_trace(s, XMPP_TRACE_STEP, "STARTTLS");
	s->state = XMPP_STREAM_TLS;
	s->want_tls = true;
	dialback_settle(s, &(struct entente_err){.code = ENTENTE_ECLOSED, .text = "restarted"});
	stream_restart(s);
}

/* ---- SASL (RFC 6120 6) */

static void auth_failure(struct xmpp_stream *s, enum xmpp_sasl condition, const char *text)
{
	stream_trace(s, XMPP_TRACE_STEP, "EXTERNAL refused: %s %s", xmpp_sasl_name(condition), text);
	xmpp_sasl_write_failure(&s->out, condition, slice_str(text));
	if (++s->auth_failures >= AUTH_ATTEMPTS)
		stream_fail(s, "policy-violation", ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_REMOTE,
			    "too many failed attempts to authenticate");
}

static void sasl_auth(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	char why[CERT_TEXT];
	if (!s->secured) {
		auth_failure(s, XMPP_SASL_ENCRYPTION_REQUIRED, "TLS comes first");
		return;
	}
	if (!slice_eq(xml_attr(el, S("mechanism")), S("EXTERNAL")) || !s->methods.external) {
		auth_failure(s, XMPP_SASL_INVALID_MECHANISM, "");
		return;
	}
	if (!features_offer_external(s)) {
		stream_certificate_text(s, why, sizeof why);
		auth_failure(s, XMPP_SASL_NOT_AUTHORIZED, why);
		return;
	}
	struct slice text = xml_text(el, a);
	enum xmpp_sasl verdict = text.p ? xmpp_sasl_check_authzid(a, text, s->remote) : XMPP_SASL_TEMPORARY_AUTH_FAILURE;
	if (verdict != XMPP_SASL_OK) {
		auth_failure(s, verdict,
			     verdict == XMPP_SASL_INVALID_AUTHZID ? "only the domain in 'from' of the stream can be assumed"
								  : "");
		return;
	}
	xmpp_sasl_write_success(&s->out);
	s->external_done = true;
	s->state = XMPP_STREAM_HEADER;
	dialback_settle(s, &(struct entente_err){.code = ENTENTE_ECLOSED, .text = "restarted"});
	stream_restart(s);
}

static void sasl_element(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	if (slice_eq(el->name, S("auth")) && !s->n_valid)
		sasl_auth(s, el, a);
	else if (slice_eq(el->name, S("abort")) && !s->n_valid)
		auth_failure(s, XMPP_SASL_ABORTED, "");
	else if (slice_eq(el->name, S("response")) && !s->n_valid)
		auth_failure(s, XMPP_SASL_MALFORMED_REQUEST, "");
	else
		stream_fail(s, "unsupported-stanza-type", ENTENTE_EUNSUPPORTED, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "SASL <%.*s/> is not expected here", SFMT(slice_first(el->name, 40)));
}

/* ---- stanzas (RFC 6120 8.1) */

/* The domain of an address that does not parse as a whole; empty when even that is impossible. */
static struct slice domain_of(struct arena *a, struct slice address)
{
	struct slice bare = slice_split(&address, '/'), domain;
	ptrdiff_t at = slice_find_chr(bare, '@');
	return xmpp_prep_domain(a, at < 0 ? bare : slice_skip(bare, (size_t)at + 1), &domain) == 0 ? domain : SLICE_NONE;
}

static void improper(struct xmpp_stream *s, const char *which, struct slice value)
{
	stream_fail(s, "improper-addressing", ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, XMPP_SIDE_REMOTE,
		    "a stanza has %s '%s'%s%.*s", slice_empty(value) ? "no" : "an impossible", which,
		    slice_empty(value) ? "" : ": ", SFMT(slice_first(value, 80)));
}

static void not_proven(struct xmpp_stream *s, struct slice local, struct slice remote)
{
	bool known = false;
	LIST_EACH(it, &s->pairs) {
		const struct pair *p = CONTAINER_OF(it, struct pair, link);
		known |= p->valid && slice_eq(p->peer.local, local);
	}
	if (!known)
		stream_fail(s, "host-unknown", ENTENTE_ENOTFOUND, REASON_POLICY_LOCAL_UNKNOWN, XMPP_SIDE_REMOTE,
			    "a stanza to %.*s came on a stream that was not opened to that domain", SFMT(local));
	else
		stream_fail(s, "invalid-from", ENTENTE_EAUTH, REASON_POLICY_SPOOFED_DOMAIN, XMPP_SIDE_REMOTE,
			    "a stanza from %.*s came on a stream that did not prove that domain", SFMT(remote));
}

static struct pair *proven_pair(struct xmpp_stream *s, struct slice local, struct slice remote)
{
	struct pair *p = s->recent;
	if (p && slice_eq(p->peer.remote, remote) && slice_eq(p->peer.local, local))
		return p;
	p = pair_find(s, local, remote);
	if (!p || !p->valid || (s->initiator && !p->delivers))
		return NULL;
	s->recent = p;
	return p;
}

bool stream_in_stanza(struct xmpp_stream *s, struct xml_node *el, struct arena *a, bool oversize)
{
	if (!s->n_valid) {
		stream_fail(s, "not-authorized", ENTENTE_EAUTH, REASON_XMPP_AUTH, XMPP_SIDE_REMOTE,
			    "a stanza came before the stream was authenticated");
		return false;
	}
	struct xmpp_stanza st = {.node = el, .arena = a};
	struct slice from = stanza_from(el), to = stanza_to(el);
	if (slice_empty(from) || slice_empty(to)) {
		improper(s, slice_empty(from) ? "from" : "to", SLICE_NONE);
		return false;
	}
	const char *odd = NULL;
	if (xmpp_jid_parse(&st.to, a, to) != 0) {
		odd = "to";
		st.to.domain = domain_of(a, to);
	}
	if (xmpp_jid_parse(&st.from, a, from) != 0) {
		odd = "from";
		st.from.domain = domain_of(a, from);
	}
	if (slice_empty(st.from.domain) || slice_empty(st.to.domain)) {
		improper(s, slice_empty(st.from.domain) ? "from" : "to", slice_empty(st.from.domain) ? from : to);
		return false;
	}
	struct pair *p = proven_pair(s, st.to.domain, st.from.domain);
	if (!p) {
		not_proven(s, st.to.domain, st.from.domain);
		return false;
	}
	if (!acks_came(s, &st.receipt.number)) {
		stream_fail(s, "resource-constraint", ENTENTE_ELIMIT, REASON_LIMIT_QUEUE_FULL, XMPP_SIDE_LOCAL,
			    "too many stanzas came after one that is still being worked on");
		return false;
	}
	s->stanzas_in++;
	s->last_stanza = s->cfg->timers->now;
	st.peer = &p->peer;
	if (odd || oversize) {
		if (odd)
			TELL(s, misaddressed, &p->peer, el, a, odd);
		else
			TELL(s, oversize, &p->peer, el, a);
		xmpp_stream_done(s, st.receipt.number);
	} else {
		TELL(s, stanza, &st);
	}
	return true;
}

/* XEP-0288 2.2. Whether a pair may go the other way is decided by its proof; so nothing is granted here. */
static void bidi(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	if (!features_offer_bidi(s)) {
		stream_trace(s, XMPP_TRACE_ODD, "<bidi/> ignored: it is not offered");
		return;
	}
	s->bidi = true;
	features_read_bidi(s, el, a);
	stream_trace(s, XMPP_TRACE_STEP, "both directions on this stream");
}

static bool is_stanza_name(struct slice name)
{
	return slice_eq(name, S("message")) || slice_eq(name, S("presence")) || slice_eq(name, S("iq"));
}

void stream_in_element(struct xmpp_stream *s, struct xml_node *el, struct arena *a)
{
	bool passed = false;
	if (stanza_kind(el) != STANZA_NONE && !s->counted) {
		passed = stream_in_stanza(s, el, a, false);
	} else if (s->state == XMPP_STREAM_CLOSING) {
		if (s->cfg->acks && xml_is(el, S("enable"), XMPP_NS_SM))
			s->counted = true; /* it crossed our good-bye: what follows will not be acknowledged, and comes again */
		stream_trace(s, XMPP_TRACE_ODD, "<%.*s/> after the stream was closed", SFMT(slice_first(el->name, 40)));
	} else if (slice_eq(el->ns, XMPP_NS_DIALBACK)) {
		dialback_element(s, el, a);
	} else if (xml_is(el, S("starttls"), XMPP_NS_TLS)) {
		starttls(s);
	} else if (slice_eq(el->ns, XMPP_NS_SASL)) {
		sasl_element(s, el, a);
	} else if (slice_eq(el->ns, XMPP_NS_SM)) {
		acks_element(s, el);
	} else if (slice_eq(el->name, S("bidi")) && (slice_eq(el->ns, XMPP_NS_BIDI) || slice_eq(el->ns, XMPP_NS_BIDI_FEATURE))) {
		bidi(s, el, a);
	} else if (is_stanza_name(el->name)) {
		stream_fail(s, s->n_valid ? "unsupported-stanza-type" : "not-authorized", ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED,
			    XMPP_SIDE_REMOTE, "a stanza in the namespace %.*s: between servers it is jabber:server",
			    SFMT(slice_first(el->ns, 80)));
	} else {
		stream_fail(s, "unsupported-stanza-type", ENTENTE_EUNSUPPORTED, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "<%.*s xmlns='%.*s'/> is not supported", SFMT(slice_first(el->name, 40)),
			    SFMT(slice_first(el->ns, 80)));
	}
	if (!passed)
		arena_release(s->cfg->pool, a);
}
