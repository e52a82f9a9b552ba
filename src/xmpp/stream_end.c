/* SPDX-License-Identifier: Apache-2.0 */
/* How a stream ends: cleanly, by an error of either side, or because the connection is gone. */
#include "xmpp/stream_int.h"

#include <stdio.h>

#include "base/enc.h"
#include "xmpp/error.h"

enum { PEER_TEXT = 160 };

/* Our closing tag, and patience for the peer's, where that makes sense. */
static void part(struct xmpp_stream *s)
{
	bool mute = s->state == XMPP_STREAM_TLS || !s->header_sent;
	if (!mute)
		buf_puts(&s->out, "</stream:stream>");
	s->state = XMPP_STREAM_CLOSING;
	s->fault_told = true;
	timer_cancel(s->cfg->timers, &s->setup);
	timer_cancel(s->cfg->timers, &s->beat);
	timer_cancel(s->cfg->timers, &s->ack);
	timer_cancel(s->cfg->timers, &s->news);
	if (mute || s->peer_closed)
		s->want_close = true;
	else
		timer_arm(s->cfg->timers, &s->patience, s->cfg->close_ms);
}

void stream_finish(struct xmpp_stream *s)
{
	static const struct entente_err closed = {
		.code = ENTENTE_ECLOSED, .reason = REASON_XMPP_STREAM_ERROR, .text = "the stream was closed"};
	if (s->state >= XMPP_STREAM_CLOSING)
		return;
	acks_finish(s);
	part(s);
	dialback_settle(s, &closed);
}

static void write_error(struct xmpp_stream *s, const char *condition, bool too_big, struct slice text)
{
	if (s->state == XMPP_STREAM_TLS)
		return;
	if (!s->header_sent)
		stream_write_header(s);
	acks_finish(s);
	buf_printf(&s->out, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", condition);
	if (!slice_empty(text)) {
		buf_puts(&s->out, "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>");
		xml_escape(&s->out, text);
		buf_puts(&s->out, "</text>");
	}
	if (too_big)
		buf_puts(&s->out, "<stanza-too-big xmlns='urn:xmpp:errors'/>");
	buf_puts(&s->out, "</stream:error>");
}

enum reason stream_cause(const struct xmpp_stream *s, struct slice condition, enum reason otherwise)
{
	static const char *const gave_up[] = {"",			 "connection-timeout",	"not-authorized",
					      "policy-violation",	 "undefined-condition", "unsupported-feature",
					      "unsupported-stanza-type"};
	bool about_this = false;
	for (size_t i = 0; i < sizeof gave_up / sizeof *gave_up; i++)
		about_this |= slice_eq(condition, slice_str(gave_up[i]));
	if (!about_this)
		return otherwise;
	if (s->initiator)
		/* the peer may answer in any way to what it did not offer */
		return s->state == XMPP_STREAM_STARTTLS && !(s->features & FEATURE_STARTTLS) ? REASON_XMPP_TLS_REQUIRED : otherwise;
	if (s->n_valid || s->state != XMPP_STREAM_NEGOTIATE)
		return otherwise;
	if (!s->secured && s->policy.tls != XMPP_OFF && !s->methods.dialback_tcp)
		return REASON_XMPP_TLS_REQUIRED;
	return otherwise == REASON_XMPP_UNREACHABLE ? REASON_XMPP_AUTH : otherwise; /* it reached us, after all */
}

static void fail_with(struct xmpp_stream *s, const struct xmpp_failure *f)
{
	bool tell = !s->fault_told;
	s->discard = true;
	part(s);
	dialback_settle(s, &f->err);
	if (tell)
		TELL(s, failed, f);
}

void stream_fail(struct xmpp_stream *s, const char *condition, int code, enum reason reason, enum xmpp_side fault,
		 const char *fmt, ...)
{
	if (s->state >= XMPP_STREAM_CLOSING) {
		/* It was going to end anyway: do not wait for politeness. */
		s->want_close = s->state == XMPP_STREAM_CLOSING;
		return;
	}
	struct xmpp_failure f = {.stage = xmpp_stream_state_text(s->state), .fault = fault, .condition = slice_str(condition)};
	va_list ap;
	va_start(ap, fmt);
	f.err.code = code;
	f.err.reason = reason;
	vsnprintf(f.err.text, sizeof f.err.text, fmt, ap);
	va_end(ap);
	f.text = slice_str(f.err.text);
	if (condition)
		write_error(s, condition, reason == REASON_LIMIT_SIZE, f.text);
	fail_with(s, &f);
}

void stream_refuse_tls(struct xmpp_stream *s)
{
	buf_puts(&s->out, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	if (s->policy.tls == XMPP_OFF) /* who asks for what is not offered needs it */
		stream_fail(s, NULL, ENTENTE_EREFUSED, REASON_XMPP_TLS_REQUIRED, XMPP_SIDE_LOCAL,
			    "%.*s requires TLS, which is switched off for it here", SFMT(s->remote));
	else
		stream_fail(s, NULL, ENTENTE_EREFUSED, REASON_XMPP_TLS, XMPP_SIDE_REMOTE,
			    "%.*s asked for TLS, which is not offered to it now", SFMT(s->remote));
}

/* Whom a stream error of the peer blames (RFC 6120 4.9.3). */
static enum xmpp_side blamed(struct slice condition)
{
	static const char *const ours[] = {"bad-format",
					   "bad-namespace-prefix",
					   "improper-addressing",
					   "invalid-from",
					   "invalid-namespace",
					   "invalid-xml",
					   "not-authorized",
					   "not-well-formed",
					   "policy-violation",
					   "restricted-xml",
					   "unsupported-encoding",
					   "unsupported-feature",
					   "unsupported-stanza-type",
					   "unsupported-version"};
	static const char *const theirs[] = {
		"host-gone", "host-unknown",	    "internal-server-error", "remote-connection-failed",
		"reset",     "resource-constraint", "system-shutdown"};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (slice_eq(condition, slice_str(ours[i])))
			return XMPP_SIDE_LOCAL;
	for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
		if (slice_eq(condition, slice_str(theirs[i])))
			return XMPP_SIDE_REMOTE;
	return XMPP_SIDE_NONE;
}

void stream_error_received(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	struct xmpp_error e;
	xmpp_stream_error_read(a, el, &e);
	struct slice text = utf8_first(e.text, PEER_TEXT);
	struct xmpp_failure f = {.stage = xmpp_stream_state_text(s->state),
				 .condition = e.condition,
				 .text = text,
				 .received = true,
				 .fault = blamed(e.condition)};
	bool auth = s->state < XMPP_STREAM_OPEN && slice_eq(e.condition, S("not-authorized"));
	enum reason reason = stream_cause(s, e.condition, auth ? REASON_XMPP_AUTH : REASON_XMPP_STREAM_ERROR);
	err_set(&f.err, auth ? ENTENTE_EAUTH : ENTENTE_ECLOSED, reason,
		"%.*s ended the stream: %.*s%s%.*s", SFMT(slice_empty(s->remote) ? S("the peer") : s->remote), SFMT(e.condition),
		slice_empty(text) ? "" : ": ", SFMT(text));
	s->peer_ended = s->peer_ended || s->state < XMPP_STREAM_CLOSING;
	s->peer_closed = s->peer_failed = true; /* it closes after an error, whether it says so or not */
	if (s->state >= XMPP_STREAM_CLOSING) { /* our good-bye crossed it: there is nothing to add */
		stream_trace(s, XMPP_TRACE_ODD, "while closing: %s", f.err.text);
		s->want_close = s->state == XMPP_STREAM_CLOSING;
		return;
	}
	fail_with(s, &f);
}

void xmpp_stream_disconnected(struct xmpp_stream *s, struct slice why)
{
	if (s->state == XMPP_STREAM_CLOSED)
		return;
	stream_enter(s);
	const char *stage = xmpp_stream_state_text(s->state);
	s->peer_ended = s->peer_ended || s->state < XMPP_STREAM_CLOSING;
	s->header_sent = false; /* nothing can be written any more */
	if (s->state == XMPP_STREAM_CLOSING)
		s->want_close = true;
	else if (s->state == XMPP_STREAM_NEW || (s->verify_only && !s->n_questions && s->state == XMPP_STREAM_VERIFY) ||
		 (!s->n_valid && s->answered))
		stream_finish(s);
	else if (s->state == XMPP_STREAM_TLS)
		stream_fail(s, NULL, ENTENTE_ETLS, REASON_XMPP_TLS, XMPP_SIDE_NONE,
			    "%.*s ended the connection during the TLS handshake%s%.*s", SFMT(s->remote),
			    slice_empty(why) ? "" : ": ", SFMT(why));
	else
		stream_fail(s, NULL, ENTENTE_ENET, stream_cause(s, SLICE_NONE, REASON_XMPP_UNREACHABLE), XMPP_SIDE_REMOTE,
			    "%.*s ended the connection (%s)%s%.*s", SFMT(slice_empty(s->remote) ? S("the peer") : s->remote),
			    stage, slice_empty(why) ? "" : ": ", SFMT(why));
	buf_clear(&s->out);
	stream_leave(s);
}

void xmpp_stream_close(struct xmpp_stream *s)
{
	stream_enter(s);
	stream_finish(s);
	stream_leave(s);
}

void xmpp_stream_close_error(struct xmpp_stream *s, const char *condition, struct slice text)
{
	stream_enter(s);
	if (s->state < XMPP_STREAM_CLOSING && s->state != XMPP_STREAM_NEW)
		write_error(s, condition, false, text);
	stream_finish(s);
	stream_leave(s);
}
