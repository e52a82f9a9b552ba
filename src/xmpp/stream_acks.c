/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements (XEP-0198), without resumption. What comes is counted once its fate is final (ack_window.h). A question is answered
 * at once with the present count; when that does not cover what had come by then, the rest follows with the turn in which it is
 * done, unasked-for news more slowly. What goes out: one question at a time, and what is sent meanwhile waits for the next one, so
 * that much traffic costs few questions and a single stanza is asked for at once. */
#include "xmpp/stream_int.h"

enum {
	RETRY_MS = 1000, /* an answer that acknowledged nothing new is not asked for again at once */
	NEWS_MS = 100,   /* done stanzas that nobody asked for are told so late */
	NEWS_MANY = 64,  /* but so many at once */
};

static uint64_t unacked(const struct xmpp_stream *s)
{
	return s->stanzas_out - s->ack_taken;
}

static void tell_acked(struct xmpp_stream *s)
{
	if (s->ops->acked)
		TELL(s, acked, s->ack_taken);
}

static void ask_in(struct xmpp_stream *s, uint32_t ms)
{
	if (s->acks && s->state == XMPP_STREAM_OPEN && !s->ack_awaited && unacked(s) && !timer_armed(&s->ack))
		timer_arm(s->cfg->timers, &s->ack, ms);
}

void acks_begin(struct xmpp_stream *s)
{
	if (!s->cfg->acks || !(s->features & FEATURE_ACKS) || s->acks)
		return;
	buf_puts(&s->out, "<enable xmlns='urn:xmpp:sm:3'/>");
	s->acks = true;
	s->ack_base = s->ack_taken = s->stanzas_out;
}

void acks_sent(struct xmpp_stream *s)
{
	ask_in(s, 0); /* after what else is sent in this turn */
}

void acks_fired(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, ack);
	uint64_t due = s->last_in + s->cfg->ack_ms;
	stream_enter(s);
	if (!s->ack_awaited) {
		buf_puts(&s->out, "<r xmlns='urn:xmpp:sm:3'/>");
		s->ack_awaited = true;
		s->last_in = now; /* its silence counts from here */
		if (s->cfg->ack_ms)
			timer_arm(s->cfg->timers, &s->ack, s->cfg->ack_ms);
	} else if (now < due) {
		timer_arm(s->cfg->timers, &s->ack, due - now);
	} else {
		stream_fail(s, "connection-timeout", ENTENTE_ETIMEOUT, REASON_XMPP_UNREACHABLE, XMPP_SIDE_REMOTE,
			    "%.*s has acknowledged nothing and said nothing for %u s", SFMT(s->remote), s->cfg->ack_ms / 1000);
	}
	stream_leave(s);
}

/* ---- what the peer says */

/* <a h='...'/>: h counts modulo 2^32. */
static void answer(struct xmpp_stream *s, const struct xml_node *el)
{
	uint64_t h;
	if (!s->acks)
		return;
	if (!slice_u64(xml_attr(el, S("h")), UINT32_MAX, &h)) {
		stream_fail(s, "bad-format", ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "an acknowledgement without a number");
		return;
	}
	uint32_t n = (uint32_t)h - (uint32_t)(s->ack_taken - s->ack_base);
	if (n > unacked(s)) {
		stream_fail(s, "undefined-condition", ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "%.*s acknowledges more stanzas than it was sent", SFMT(s->remote));
		return;
	}
	s->ack_awaited = false;
	timer_cancel(s->cfg->timers, &s->ack);
	s->ack_taken += n;
	if (n)
		tell_acked(s);
	ask_in(s, n ? 0 : RETRY_MS);
}

static void refused(struct xmpp_stream *s)
{
	if (!s->acks)
		return;
	stream_trace(s, XMPP_TRACE_STEP, "%.*s offered acknowledgements and does not give them", SFMT(s->remote));
	s->acks = s->ack_awaited = false;
	timer_cancel(s->cfg->timers, &s->ack);
	s->ack_taken = s->stanzas_out;
	tell_acked(s);
}

static void write_failed(struct xmpp_stream *s, const char *condition)
{
	buf_printf(&s->out, "<failed xmlns='urn:xmpp:sm:3'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", condition);
}

/* ---- what we say */

static void write_count(struct xmpp_stream *s)
{
	buf_printf(&s->out, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", (unsigned)(uint32_t)s->came.done);
	s->told = s->came.done;
	timer_cancel(s->cfg->timers, &s->news);
}

void acks_finish(struct xmpp_stream *s)
{
	if (s->counts) {
		s->counts = false;
		s->counted = true;
		write_count(s);
	}
}

bool acks_came(struct xmpp_stream *s, uint64_t *ret_number)
{
	*ret_number = 0;
	return !s->counts || (*ret_number = ack_window_add(&s->came, XMPP_PENDING_MAX));
}

void acks_news_fired(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, news);
	(void)now;
	stream_enter(s);
	if (s->counts && s->told != s->came.done)
		write_count(s);
	stream_leave(s);
}

void xmpp_stream_done(struct xmpp_stream *s, uint64_t number)
{
	if (s->freed || !ack_window_done(&s->came, number) || !s->counts)
		return;
	bool now = s->told < s->asked || s->came.done - s->told >= NEWS_MANY;
	if (!timer_armed(&s->news) || (now && s->news.due > s->cfg->timers->now))
		timer_arm(s->cfg->timers, &s->news, now ? 0 : NEWS_MS);
}

size_t xmpp_stream_pending(const struct xmpp_stream *s)
{
	return s->came.pending;
}

uint64_t xmpp_stream_pending_span(const struct xmpp_stream *s)
{
	return ack_window_span(&s->came);
}

static void enable(struct xmpp_stream *s)
{
	if (!s->n_valid || s->counts || !s->cfg->acks) {
		write_failed(s, "unexpected-request");
		return;
	}
	buf_puts(&s->out, "<enabled xmlns='urn:xmpp:sm:3'/>");
	s->counts = true;
	s->acks = s->bidi; /* of what we sent before nobody will hear */
	s->ack_base = s->ack_taken = s->stanzas_out;
}

void acks_element(struct xmpp_stream *s, const struct xml_node *el)
{
	if (slice_eq(el->name, S("a"))) {
		answer(s, el);
	} else if (slice_eq(el->name, S("r"))) {
		s->asked = s->came.top;
		write_count(s);
	} else if (s->initiator && slice_eq(el->name, S("enabled"))) {
		s->counts = s->acks && s->bidi && s->state == XMPP_STREAM_OPEN;
	} else if (s->initiator && slice_eq(el->name, S("failed"))) {
		refused(s);
	} else if (!s->initiator && slice_eq(el->name, S("enable"))) {
		enable(s);
	} else if (!s->initiator && slice_eq(el->name, S("resume"))) {
		write_failed(s, "item-not-found");
	} else {
		stream_trace(s, XMPP_TRACE_ODD, "<%.*s/> of XEP-0198 ignored", SFMT(slice_first(el->name, 40)));
	}
}

bool xmpp_stream_acks(const struct xmpp_stream *s, uint64_t *ret_n)
{
	*ret_n = s->stanzas_out;
	return s->acks;
}
