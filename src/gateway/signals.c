/* SPDX-License-Identifier: Apache-2.0 */
/* Typing, both ways, and the points at which messages and carriers call in. Each state is said once; what XMPP says once and SIP has to hear
 * again is repeated here, and what SIP stops saying ends here. */
#include "gateway/signals.h"

#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/receipts.h"
#include "interwork/chatstate.h"
#include "interwork/inflate.h"
#include "interwork/iscomposing.h"
#include "interwork/keyboard.h"
#include "interwork/receipt.h"
#include "xmpp/ns.h"

const struct gateway_signals gateway_signals_default = {
	.typing = true, .receipts = true, .notices = true, .by_answer = GATEWAY_ANSWER_SESSION, .life_ms = 86400000,
};

enum {
	STATE_EVERY_MS = 5000,       /* chat states to XMPP (interworking spec 4.4) */
	AGAIN_MS = 80000,            /* before ISCOMPOSING_OURS is over */
	COMPOSING_MAX_MS = 300000,   /* a client that says no more than "composing" for so long has gone away */
	KEYBOARD_MAX_MS = 60000,
	TRUE_MS = 10000,             /* typing that waits longer is not told any more */
};

static void to_xmpp_fired(struct timer *t, uint64_t now);
static void to_sip_fired(struct timer *t, uint64_t now);

static struct signals *ready(struct conversation *c)
{
	struct signals *s = &c->signals;
	if (!s->to_xmpp.fire) {
		timer_init(&s->to_xmpp, to_xmpp_fired);
		timer_init(&s->to_sip, to_sip_fired);
	}
	return s;
}

void signals_free(struct conversation *c)
{
	timer_cancel(c->g->cfg.timers, &c->signals.to_xmpp);
	timer_cancel(c->g->cfg.timers, &c->signals.to_sip);
	receipts_forget(c);
	c->signals.instance = mem_free(c->signals.instance);
}

/* ---- chat states to the XMPP user */

/* The SIP user's client, as it was heard of last. */
static void learn_instance(struct conversation *c, const struct xmpp_jid *from)
{
	struct signals *s = ready(c);
	if (slice_eq(slice_str(s->instance), from->resource))
		return;
	mem_free(s->instance);
	s->instance = from->resource.len ? mem_strndup(from->resource.p, from->resource.len) : NULL;
}

static void put_address(struct buf *b, const char *name, struct slice bare, const char *resource)
{
	buf_printf(b, " %s='", name);
	xml_escape(b, bare);
	if (resource) {
		buf_putc(b, '/');
		xml_escape(b, slice_str(resource));
	}
	buf_putc(b, '\'');
}

static void send_state(struct conversation *c, enum chatstate state)
{
	struct gateway *g = c->g;
	struct signals *s = ready(c);
	struct policy_verdict v;
	char own[SIGNALS_ID + 1];
	s->shown = s->wanted = (unsigned char)state;
	s->shown_at = g->cfg.timers->now;
	gateway_judge(g, POLICY_MESSAGE, c->pair.local, c->pair.remote, &v);
	if (!v.allow)
		return; /* it was allowed when the conversation began */
	signals_id(own);
	buf_clear(&g->out);
	buf_put(&g->out, S("<message"));
	put_address(&g->out, "from", c->pair.local, s->instance);
	put_address(&g->out, "to", c->pair.remote, c->resource);
	buf_printf(&g->out, " id='%s' type='chat'>", own);
	chatstate_put(&g->out, state);
	if (c->thread) {
		buf_put(&g->out, S("<thread>"));
		xml_escape(&g->out, slice_str(c->thread));
		buf_put(&g->out, S("</thread>"));
	}
	buf_put(&g->out, S("<no-store xmlns='urn:xmpp:hints'/></message>"));
	metric_add(METRIC_SIGNALS_TYPING_TO_XMPP, 1);
	gateway_trace_out(jid_domain(c->pair.remote), c->pair.local, c->pair.remote, "message/state", chatstate_name(state));
	gateway_send_out(g, jid_domain(c->pair.local), jid_domain(c->pair.remote), NULL);
}

/* The next thing that time brings: a state that had to wait, or the end of typing that nobody repeats. */
static void to_xmpp_arm(struct conversation *c)
{
	struct signals *s = ready(c);
	uint64_t now = c->g->cfg.timers->now, due = UINT64_MAX;
	if (s->wanted != s->shown)
		due = s->shown_at + STATE_EVERY_MS;
	if (s->typing_until && s->typing_until < due)
		due = s->typing_until;
	if (due == UINT64_MAX)
		timer_cancel(c->g->cfg.timers, &s->to_xmpp);
	else
		timer_arm(c->g->cfg.timers, &s->to_xmpp, due > now ? due - now : 0);
}

static void to_xmpp(struct conversation *c)
{
	struct signals *s = ready(c);
	if (s->wanted == CHATSTATE_ACTIVE && s->shown == CHATSTATE_NONE)
		s->shown = CHATSTATE_ACTIVE; /* nobody was told anything else */
	if (s->wanted != s->shown && (!s->shown_at || c->g->cfg.timers->now >= s->shown_at + STATE_EVERY_MS))
		send_state(c, (enum chatstate)s->wanted);
	to_xmpp_arm(c);
}

static void to_xmpp_fired(struct timer *t, uint64_t now)
{
	struct conversation *c = CONTAINER_OF(CONTAINER_OF(t, struct signals, to_xmpp), struct conversation, signals);
	struct signals *s = &c->signals;
	if (s->typing_until && now >= s->typing_until) {
		s->typing_until = 0;
		s->wanted = CHATSTATE_ACTIVE;
	}
	to_xmpp(c);
}

/* True: the XMPP user is told, now or soon. */
static bool typing_from_sip(struct conversation *c, bool typing, uint32_t holds)
{
	struct signals *s = ready(c);
	if (!c->g->cfg.signals.typing || !s->states_heard)
		return false; /* XEP-0085 5.1: only to a client that speaks of them */
	s->typing_until = typing ? c->g->cfg.timers->now + (uint64_t)holds * 1000 : 0;
	s->wanted = (unsigned char)chatstate_of_typing(typing);
	to_xmpp(c);
	return true;
}

/* ---- typing to the SIP user */

enum form { FORM_NONE, FORM_COMPOSING, FORM_KEYBOARD };

static enum form form_of(struct conversation *c)
{
	struct gateway_home home;
	if (!c->g->cfg.signals.typing)
		return FORM_NONE;
	gateway_home(c->g, c->home, &home);
	if (c->session && (home.dialect->typing == DIALECT_KEYBOARD || (c->heard & HEARD_KEYBOARD)))
		return FORM_KEYBOARD;
	return conversation_accepts(c, ISCOMPOSING_TYPE) ? FORM_COMPOSING : FORM_NONE;
}

static bool tell_sip(struct conversation *c, bool typing)
{
	struct signals *s = ready(c);
	enum form form = form_of(c);
	struct carried what = {.content_type = form == FORM_KEYBOARD ? KEYBOARD_TYPE : ISCOMPOSING_TYPE, .info = form == FORM_KEYBOARD,
			       .replaces = true, .true_ms = TRUE_MS};
	struct buf b;
	timer_cancel(c->g->cfg.timers, &s->to_sip);
	s->told_typing = false;
	if (form == FORM_NONE)
		return false;
	buf_init(&b, 1024);
	if (form == FORM_KEYBOARD)
		keyboard_write(&b, typing);
	else
		iscomposing_write(&b, typing, ISCOMPOSING_OURS);
	what.body = buf_slice(&b);
	bool sent = conversation_send_signal(c, &what);
	buf_free(&b);
	if (!sent)
		return false;
	metric_add(METRIC_SIGNALS_TYPING_TO_SIP, 1);
	s->told_typing = typing;
	if (typing)
		timer_arm(c->g->cfg.timers, &s->to_sip, form == FORM_KEYBOARD ? KEYBOARD_EVERY * 1000 : AGAIN_MS);
	return true;
}

static void to_sip_fired(struct timer *t, uint64_t now)
{
	struct conversation *c = CONTAINER_OF(CONTAINER_OF(t, struct signals, to_sip), struct conversation, signals);
	uint64_t most = form_of(c) == FORM_KEYBOARD ? KEYBOARD_MAX_MS : COMPOSING_MAX_MS;
	tell_sip(c, now < c->signals.composing_since + most);
}

static bool state_from_xmpp(struct conversation *c, enum chatstate state)
{
	struct signals *s = ready(c);
	bool typing = chatstate_typing(state);
	s->states_heard = true;
	if (typing == s->told_typing)
		return false;
	s->composing_since = c->g->cfg.timers->now;
	return tell_sip(c, typing);
}

/* ---- XMPP to SIP */

static bool speaks_of_states(const struct stanza *st)
{
	return st->type == STANZA_TYPE_CHAT || st->type == STANZA_TYPE_NORMAL;
}

bool signals_from_xmpp(struct gateway *g, struct conversation *c, const struct stanza *st, const struct interwork_im_verdict *v)
{
	enum chatstate state = chatstate_of(st->node);
	struct receipt_seen r;
	bool crossed = false;
	(void)g;
	if (v->kind != INTERWORK_IM_EMPTY && v->kind != INTERWORK_IM_COMPOSING && v->kind != INTERWORK_IM_RECEIPT)
		return false;
	receipt_read(&r, st->node);
	if (r.received.p)
		crossed = receipts_answer(c, r.received, false);
	if (r.displayed.p)
		crossed = receipts_answer(c, r.displayed, true) || crossed;
	if (state && speaks_of_states(st))
		crossed = state_from_xmpp(c, state) || crossed;
	return crossed;
}

/* What stands beside a signal and says nothing itself. Anything else may be what the user wrote: a link, something encrypted. */
static bool goes_along(struct slice ns)
{
	static const struct slice known[] = {XMPP_NS_CHATSTATES, XMPP_NS_RECEIPTS, XMPP_NS_MARKERS, XMPP_NS_HINTS, XMPP_NS_SID, XMPP_NS_NICK, XMPP_NS_DELAY};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_eq(ns, known[i]))
			return true;
	return false;
}

bool signals_only(const struct xml_node *message)
{
	struct receipt_seen r;
	receipt_read(&r, message);
	if (!r.received.p && !r.displayed.p && !chatstate_of(message))
		return false;
	for (const struct xml_node *n = xml_first(message); n; n = xml_next(n))
		if (slice_eq(n->ns, message->ns) ? !slice_eq(n->name, S("thread")) : !goes_along(n->ns))
			return false;
	return true;
}

void signals_text_out(struct gateway *g, struct conversation *c, struct outgoing *o)
{
	struct signals *s = ready(c);
	s->states_heard = s->states_heard || chatstate_of(o->stanza);
	s->told_typing = false; /* a text ends it (RFC 3994 3.3) */
	timer_cancel(g->cfg.timers, &s->to_sip);
	receipts_text_out(c, o);
}

void signals_text_done(struct gateway *g, struct conversation *c, const struct outgoing *o, int status, enum reason reason)
{
	(void)g;
	receipts_text_done(c, o, status, reason);
}

void signals_carried(struct gateway *g, struct conversation *c, struct slice content_type, int status)
{
	bool composing = slice_ieq(content_type, ISCOMPOSING_TYPE);
	struct signals *s = ready(c);
	if ((!composing && !slice_ieq(content_type, KEYBOARD_TYPE)) || (status != 405 && status != 415 && status != 488 && status != 501))
		return;
	c->heard &= composing ? ~(unsigned)HEARD_COMPOSING : ~(unsigned)HEARD_KEYBOARD; /* it has changed its mind, or its client */
	s->told_typing = false;
	timer_cancel(g->cfg.timers, &s->to_sip);
}

/* ---- SIP to XMPP */

int signals_look(struct signal *ret, struct arena *a, const struct incoming *in, struct entente_err *err)
{
	struct signal_body b = {.type = in->content_type, .body = in->body, .from = &in->from};
	if (!in->message_id.len) { /* the headers of MSRP are not those of the request */
		const struct sip_header *h = sip_msg_header(in->msg, SIP_H_CONTENT_ENCODING, 0);
		b.encoding = h ? h->value : SLICE_NONE;
	}
	return signal_read(ret, a, &b, err);
}

static void heard(struct conversation *c, const struct signal *sig, bool info)
{
	if (sig->cpim)
		c->heard |= HEARD_CPIM;
	if (sig->kind == SIGNAL_TYPING && sig->refreshed)
		c->heard |= HEARD_COMPOSING;
	if (sig->kind == SIGNAL_TYPING && info && !sig->refreshed)
		c->heard |= HEARD_KEYBOARD;
	if (sig->kind == SIGNAL_IMDN)
		c->heard |= HEARD_IMDN;
}

bool signals_from_sip(struct gateway *g, struct conversation *c, const struct incoming *in, const struct signal *sig)
{
	bool crossed = false;
	(void)g;
	if (in->test)
		return false;
	heard(c, sig, false);
	learn_instance(c, &in->from);
	if (sig->kind == SIGNAL_TYPING)
		return typing_from_sip(c, sig->typing, sig->holds);
	for (size_t i = 0; i < sig->n; i++)
		crossed = (sig->kind == SIGNAL_IMDN ? receipts_notice(c, &in->from, &sig->notices[i]) : receipts_reported(c, sig->ids[i], 480)) || crossed;
	return crossed;
}

int signals_info(struct gateway *g, struct conversation *c, struct slice content_type, struct slice body)
{
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct signal_body b = {.type = content_type, .body = body};
	struct entente_err err = {0};
	struct xmpp_jid from;
	struct signal sig;
	int status = 415;
	if (xmpp_jid_parse(&from, a, c->pair.local) == 0) {
		b.from = &from;
		int r = signal_read(&sig, a, &b, &err);
		if (r && sig.kind != SIGNAL_NONE) {
			status = reason_info(err.reason)->sip_status;
		} else if (!r && sig.kind == SIGNAL_TYPING) {
			heard(c, &sig, true);
			typing_from_sip(c, sig.typing, sig.holds);
			status = 200;
		}
	}
	arena_release(g->cfg.arenas, a);
	return status;
}

/* Could the SIP user see that the XMPP user types? Then its client may say so (XEP-0085 5.1: asked by a first <active/>). */
static bool wants_states(struct conversation *c)
{
	return form_of(c) != FORM_NONE || (c->g->cfg.signals.typing && (c->heard & (HEARD_COMPOSING | HEARD_KEYBOARD)));
}

void signals_children(void *ctx, struct buf *b, const struct interwork_im_found *found)
{
	struct conversation *c = ctx;
	struct imdn_request r = receipts_request(found);
	if (wants_states(c))
		chatstate_put(b, CHATSTATE_ACTIVE);
	if (c->g->cfg.signals.receipts)
		receipt_put_asks(b, (r.asks & IMDN_POSITIVE) || c->signals.report_wanted, r.asks & IMDN_DISPLAY);
}

void signals_text_in(struct gateway *g, struct conversation *c, const struct incoming *in, struct slice stanza_id)
{
	struct signals *s = ready(c);
	s->typing_until = 0;
	s->shown = s->wanted = CHATSTATE_ACTIVE; /* the text says so itself */
	timer_cancel(g->cfg.timers, &s->to_xmpp);
	if (in->test)
		return;
	if (in->found.wrapped)
		c->heard |= HEARD_CPIM;
	learn_instance(c, &in->from);
	receipts_text_in(c, in, stanza_id);
}

bool signals_reported(struct gateway *g, struct conversation *c, struct slice message_id, int status)
{
	(void)g;
	return receipts_reported(c, message_id, status);
}

void signals_error_late(struct gateway *g, struct conversation *c, const struct stanza *st)
{
	(void)g;
	receipts_failed(c, st);
}

void signals_failed_late(struct gateway *g, struct conversation *c, struct slice stanza_id, enum reason reason)
{
	(void)g;
	receipts_unsent(c, stanza_id, reason);
}

void signals_given_up(struct gateway *g, struct conversation *c, struct slice stanza_id, struct slice text, enum reason reason)
{
	(void)g;
	receipts_given_up(c, stanza_id, text, reason);
}

/* ---- what we say ourselves */

#define OWN S("entente-s-")
_Static_assert(SIGNALS_ID == sizeof "entente-s-" - 1 + 16, "room for the id");

void signals_id(char dst[SIGNALS_ID + 1])
{
	memcpy(dst, OWN.p, OWN.len);
	rand_token(dst + OWN.len, 16);
}

bool signals_error(struct conversation *c, const struct stanza *st)
{
	if (!slice_starts(st->id, OWN))
		return false;
	if (c)
		c->signals.states_heard = false; /* whoever refuses them does not want them */
	return true;
}

/* ---- sessions */

void signals_session_over(struct gateway *g, struct conversation *c, bool by_sip)
{
	struct signals *s = ready(c);
	s->told_typing = false;
	s->typing_until = 0;
	timer_cancel(g->cfg.timers, &s->to_sip);
	if (by_sip && s->states_heard && g->cfg.signals.typing && s->shown != CHATSTATE_GONE)
		send_state(c, CHATSTATE_GONE);
	s->wanted = s->shown;
	timer_cancel(g->cfg.timers, &s->to_xmpp);
}

bool signals_gone(const struct stanza *st)
{
	return speaks_of_states(st) && chatstate_of(st->node) == CHATSTATE_GONE;
}
