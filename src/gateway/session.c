/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: one session of a conversation, from INVITE to BYE, whoever calls. It holds the texts in order and gives them to the leg;
 * what it cannot deliver it takes to another session or to page mode, or back to the sender. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/session_int.h"

static const char *const state_names[] = {"inviting", "answering", "open", "leaving"};

static void give(struct session *s);
static void go_on(struct session *s);
static void fired(struct timer *t, uint64_t now);

/* ---- life */

struct session *session_make(struct conversation *c, const struct gateway_home *h, uint32_t home)
{
	struct session *s = MEM_NEW(struct session);
	s->g = c->g;
	s->conversation = c;
	s->dialect = h->dialect;
	s->guessed = h->setting == GATEWAY_DIALECT_AUTO;
	s->home = home;
	s->version = 1;
	rand_bytes(&s->sdp_id, sizeof s->sdp_id);
	s->sdp_id >>= 2; /* below 2^62: some read it as signed */
	s->used = c->g->cfg.timers->now;
	s->ending = c->g->draining && !c->g->keeping;
	list_init(&s->texts);
	list_append(&c->g->sessions, &s->link);
	timer_init(&s->timer, fired);
	c->n_sessions++;
	return s;
}

void session_free(struct session *s)
{
	struct conversation *c = s->conversation;
	if (c->session == s)
		c->session = NULL;
	c->n_sessions--;
	if (s->called)
		tally_drop(s->g, TALLY_SESSIONS, c->pair.local);
	timer_cancel(s->g->cfg.timers, &s->timer);
	later_cancel(&s->gone);
	list_remove(&s->link);
	if (s->leg)
		s->leg->close(s);
	sip_session_free(s->sip);
	mem_free(s->accept_types);
	mem_free(s->accept_wrapped_types);
	mem_free(s->instance);
	mem_free(s);
}

static void gone_run(struct later *l)
{
	session_free(CONTAINER_OF(l, struct session, gone));
}

/* Nothing is done with it any more; it is freed when nobody is in the middle of it. */
static void session_bury(struct session *s)
{
	s->state = SESSION_LEAVING;
	s->ready = false;
	if (s->conversation->session == s)
		s->conversation->session = NULL;
	timer_cancel(s->g->cfg.timers, &s->timer);
	s->gone.run = gone_run;
	gateway_later(s->g, &s->gone);
}

/* ---- texts */

static void end_answered(struct outgoing *o, const void *msg)
{
	outgoing_answered(o, msg);
}

static void end_failed(struct outgoing *o, const void *reason)
{
	outgoing_failed(o, *(const enum reason *)reason);
}

static void end_status(struct outgoing *o, const void *status)
{
	outgoing_status(o, *(const int *)status, slice_str(sip_status_phrase(*(const int *)status)));
}

static void to_page(struct outgoing *o, const void *unused)
{
	struct conversation *c = o->conversation;
	(void)unused;
	enum reason reason = page_carrier.room(c, o);
	o->tries++; /* and does not come back */
	if (reason)
		outgoing_failed(o, reason);
	else
		page_carrier.send(c, o);
}

/* ---- what the session does not survive */

/* Its texts go out in another session, each of them once: the peer has said that it does not know the dialog, has not answered, or has
 * hung up before they came. */
static void call_again(struct session *s)
{
	struct conversation *c = s->conversation;
	struct session *next;
	const enum reason timeout = REASON_SIP_TIMEOUT;
	s->state = SESSION_LEAVING; /* nothing goes here any more: s->sip is gone */
	s->n_under_way = 0;
	if (s->banned) {
		session_texts_end(s, end_failed, &s->banned);
		return;
	}
	struct list tried;
	list_init(&tried);
	LIST_EACH(n, &s->texts) {
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		if (o->tries++) {
			session_text_remove(s, o);
			list_append(&tried, &o->node);
		}
	}
	for (struct list *n; (n = list_head(&tried));) { /* the others may go with the first */
		list_remove(n);
		end_failed(CONTAINER_OF(n, struct outgoing, node), &timeout);
	}
	if (list_empty(&s->texts))
		return;
	if (c->session && c->session != s) { /* there is another one already */
		session_texts_move(s, c->session, true);
		give(c->session);
		return;
	}
	struct outgoing *o = CONTAINER_OF(list_head(&s->texts), struct outgoing, node);
	c->session = NULL;
	session_choose(c, o->home, true);
	if (c->carrier == &page_carrier) { /* the user called; its home speaks page mode */
		session_texts_end(s, to_page, NULL);
		return;
	}
	enum reason reason = session_call(&next, c, o->home, o);
	if (reason) {
		session_texts_end(s, end_failed, &reason);
		return;
	}
	session_texts_move(s, next, true);
}

static bool not_there(int status)
{
	return status == 404 || status == 480;
}

/* Where the dialect is guessed, this client may be a telephone, busy or declining what looks like a call, or its home may keep texts (and
 * no calls) for who is not there: whatever it says to the INVITE, it has not said it to the text. */
static bool may_fall_back(const struct session *s, int status)
{
	return (s->guessed && status >= 400) || (s->dialect->falls_back && (status == 405 || status == 415 || status == 488 || status == 501));
}

static void fall_back(struct session *s, int status)
{
	struct conversation *c = s->conversation;
	if (!not_there(status)) /* who comes may know sessions */
		c->page_until = s->g->cfg.timers->now + SESSION_PAGE_MS;
	c->carrier = &page_carrier;
	if (c->session == s)
		c->session = NULL;
	session_texts_end(s, to_page, NULL);
}

static void not_opened(struct session *s, const struct sip_session_end *e)
{
	enum reason none = REASON_SIP_TIMEOUT, unreachable = REASON_SIP_HOME_UNREACHABLE;
	if (e->msg)
		gateway_home_heard(s->g, s->home, e->msg);
	if (e->why == SIP_SESSION_REFUSED && e->msg && may_fall_back(s, e->status))
		fall_back(s, e->status);
	else if (e->msg && e->status >= 300)
		session_texts_end(s, end_answered, e->msg);
	else if (e->status == 503)
		session_texts_end(s, end_failed, &unreachable);
	else if (e->status && e->status != 408)
		session_texts_end(s, end_status, &e->status);
	else
		session_texts_end(s, end_failed, &none);
}

/* Answered with something that cannot be used: as if it were refused with 488. */
static void useless(struct session *s)
{
	const int status = 488;
	if (may_fall_back(s, status))
		fall_back(s, status);
	else
		session_texts_end(s, end_status, &status);
	sip_session_end(s->sip);
}

static void on_ended(void *arg, const struct sip_session_end *e)
{
	struct session *s = arg;
	bool was_current = s->conversation->session == s;
	s->sip = NULL;
	if (e->was_open || s->called)
		call_again(s);
	else
		not_opened(s, e);
	if (was_current && s->opened)
		signals_session_over(s->g, s->conversation, e->why == SIP_SESSION_BYE);
	go_on(s);
	session_bury(s);
}

/* ---- giving texts to the leg */

static void leave(struct session *s)
{
	s->state = SESSION_LEAVING;
	sip_session_end(s->sip); /* on_ended may come from inside */
}

/* Another session of the two, that this one has replaced, still has a text: that one comes first. */
static bool behind(const struct session *s)
{
	if (s->conversation->n_sessions < 2 || s->conversation->session != s)
		return false;
	for (const struct list *n = s->g->sessions.next; n != &s->g->sessions; n = n->next) {
		const struct session *other = CONTAINER_OF(n, struct session, link);
		if (other != s && other->conversation == s->conversation && !list_empty(&other->texts))
			return true;
	}
	return false;
}

/* A text of `s` is over, or all of it: what stood behind it may go. */
static void go_on(struct session *s)
{
	struct session *now = s->conversation->session;
	if (now && now != s && list_empty(&s->texts))
		give(now);
}

static void give(struct session *s)
{
	struct outgoing *o;
	if (behind(s))
		return;
	while (s->state == SESSION_OPEN && s->ready && s->n_under_way < s->leg->window && (o = session_text_next(s))) {
		s->n_under_way++;
		record_hop(s->g->cfg.records, o->record, RECORD_SENT, 0, REASON_NONE);
		gateway_record_home(s->g, o->record, s->home);
		conversation_touch(s->conversation);
		session_used(s);
		s->leg->text(s, o);
	}
	if (s->ending && s->state == SESSION_OPEN && list_empty(&s->texts))
		leave(s);
}

void session_ready(struct session *s)
{
	s->ready = true;
	give(s);
}

void session_used(struct session *s)
{
	s->used = s->g->cfg.timers->now;
}

void session_text_over(struct session *s, struct outgoing *o, enum session_text_end end, int status, struct slice phrase,
		       const struct sip_msg *response)
{
	if (!s->sip)
		return; /* it is over, and its texts are elsewhere */
	session_used(s);
	s->n_under_way--;
	if (end == SESSION_TEXT_DEAD && o->tries == 0) {
		s->state = SESSION_LEAVING; /* it stays where it is until on_ended */
		return;
	}
	session_text_remove(s, o);
	if (end == SESSION_TEXT_DELIVERED)
		outgoing_delivered(o, status);
	else if (response)
		outgoing_answered(o, response);
	else if (status == 408 || status == 503 || status == 513) /* nobody said so */
		outgoing_failed(o, status == 408 ? REASON_SIP_TIMEOUT : status == 503 ? REASON_SIP_HOME_UNREACHABLE : REASON_CONTENT_TOO_LARGE);
	else
		outgoing_status(o, status, phrase);
	give(s);
	go_on(s);
}

void session_broken(struct session *s)
{
	s->state = SESSION_LEAVING;
	if (s->sip)
		sip_session_abort(s->sip);
}

/* The glare of two INVITEs, or a peer that has forgotten its dialog: theirs is the one from now on. */
void session_replace(struct session *old, struct session *by)
{
	if (old->state == SESSION_INVITING || old->state == SESSION_ANSWERING) {
		session_texts_move(old, by, true);
		old->sip = sip_session_free(old->sip); /* CANCEL, or 480 */
		session_bury(old);
		return;
	}
	session_texts_move(old, by, false); /* what the leg has, it may still deliver */
	old->ending = true;
	give(old);
}

static void fired(struct timer *t, uint64_t now)
{
	struct session *s = CONTAINER_OF(t, struct session, timer);
	const enum reason timeout = REASON_SIP_TIMEOUT;
	if (s->state == SESSION_INVITING) {
		if (s->guessed && s->rang)
			fall_back(s, 408);
		else
			session_texts_end(s, end_failed, &timeout);
		s->state = SESSION_LEAVING;
		sip_session_abort(s->sip);
	} else if (s->state == SESSION_OPEN) {
		uint64_t due = s->used + SESSION_IDLE_MS;
		if (due <= now && list_empty(&s->texts))
			leave(s);
		else
			timer_arm(s->g->cfg.timers, t, due > now ? due - now : SESSION_IDLE_MS);
	}
}

/* ---- the engine's callbacks */

static void on_progress(void *arg, const struct sip_msg *m)
{
	struct session *s = arg;
	uint64_t due = s->used + SESSION_RING_MS, now = s->g->cfg.timers->now;
	s->rang = s->rang || m->status > 100;
	if (m->status > 100 && s->dialect->ms_headers && s->state == SESSION_INVITING && due > now)
		timer_arm(s->g->cfg.timers, &s->timer, due - now);
}

void session_keep_types(struct session *s, const struct sdp_im_media *im)
{
	mem_free(s->accept_types);
	mem_free(s->accept_wrapped_types);
	s->accept_types = mem_strndup(im->accept_types.p ? im->accept_types.p : "", slice_first(im->accept_types, SESSION_TYPES_MAX).len);
	s->accept_wrapped_types =
		mem_strndup(im->accept_wrapped_types.p ? im->accept_wrapped_types.p : "", slice_first(im->accept_wrapped_types, SESSION_TYPES_MAX).len);
}

/* Is the peer's answer of use to the leg? */
static bool answered(struct session *s, const struct sip_msg *m)
{
	struct arena *a = arena_acquire(s->g->cfg.arenas);
	struct sdp sdp;
	struct sdp_im_media im;
	bool ok = m->body.len && !sdp_parse(&sdp, m->body) && sdp_im_find(&sdp, 1u << s->leg->form, &im) && s->leg->answered(s, &im, a);
	if (ok)
		session_keep_types(s, &im);
	arena_release(s->g->cfg.arenas, a);
	return ok;
}

/* Our first text went with the INVITE, and the peer has taken it from there. */
static void first_taken(struct session *s, const struct sip_msg *m)
{
	struct list *n = list_head(&s->texts);
	if (!s->first_offered || !n || !session_first_supported(m))
		return;
	struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
	session_text_remove(s, o);
	outgoing_delivered(o, m->status);
}

static void on_established(void *arg, const struct sip_msg *m)
{
	struct session *s = arg;
	if (!s->called)
		gateway_home_heard(s->g, s->home, m);
	if ((!s->called || !s->accept_types) && !answered(s, m)) {
		if (s->called)
			sip_session_end(s->sip);
		else
			useless(s);
		return;
	}
	s->state = SESSION_OPEN;
	s->opened = true;
	s->conversation->confirmed = true;
	session_used(s);
	timer_arm(s->g->cfg.timers, &s->timer, SESSION_IDLE_MS);
	first_taken(s, m);
	s->ready |= s->leg->open(s);
	give(s);
}

static void on_offer(void *arg, const struct sip_msg *m)
{
	struct session *s = arg;
	struct arena *a = arena_acquire(s->g->cfg.arenas);
	struct buf b;
	buf_init(&b, SDP_MAX);
	session_used(s);
	int status = session_write_sdp(s, m->body, a, &b);
	sip_session_answer(s->sip, status, status == 200 ? SDP_TYPE : SLICE_NONE, status == 200 ? buf_slice(&b) : SLICE_NONE);
	buf_free(&b);
	arena_release(s->g->cfg.arenas, a);
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct session *s = arg;
	session_used(s);
	if (s->leg->request) {
		s->leg->request(s, st, m, a, from);
		return;
	}
	sip_server_reply(st, 405);
	arena_release(s->g->cfg.arenas, a);
}

static void on_sent(void *arg, void *token, const struct sip_session_result *r)
{
	struct session *s = arg;
	s->leg->sent(s, token, r);
}

/* Everything to a local user goes through its home. */
static void on_route(void *arg, struct slice next_hop, struct sip_flow *flow)
{
	struct session *s = arg;
	struct gateway_home h;
	(void)next_hop;
	if (gateway_home(s->g, s->home, &h))
		*flow = h.flow;
}

const struct sip_session_ops session_ops = {
	.progress = on_progress, .established = on_established, .offer = on_offer, .request = on_request, .sent = on_sent, .ended = on_ended, .route = on_route,
};

/* ---- the carrier */

void session_choose(struct conversation *c, uint32_t home, bool may_open)
{
	struct gateway_home h;
	c->carrier = &session_carrier;
	if (c->session && c->session->state != SESSION_LEAVING)
		return;
	gateway_home(c->g, home, &h);
	if (!may_open || c->page_until > c->g->cfg.timers->now || !session_leg_of(session_form(h.dialect)))
		c->carrier = &page_carrier;
}

static size_t session_text_max(const struct conversation *c, const struct outgoing *o)
{
	const struct session *s = c->session && c->session->state != SESSION_LEAVING ? c->session : NULL;
	const struct session_leg *leg = s ? s->leg : NULL;
	struct gateway_home h;
	if (!leg) {
		gateway_home(c->g, o->home, &h);
		leg = session_leg_of(session_form(h.dialect));
	}
	return leg ? leg->text_max(c->g, s, o) : page_text_max(c->g, o);
}

static enum reason session_room(const struct conversation *c, const struct outgoing *o)
{
	const struct session *s = c->session;
	if (o->page.body.len > session_text_max(c, o))
		return REASON_CONTENT_TOO_LARGE;
	/* a single one may be larger than what may wait */
	return s && s->count && (s->count >= SESSION_QUEUE || s->octets + o->page.body.len > SESSION_QUEUE_OCTETS) ? REASON_LIMIT_QUEUE_FULL : REASON_NONE;
}

static void take_over(void *arg, struct outgoing *o)
{
	session_text_add(arg, o);
}

static void session_send(struct conversation *c, struct outgoing *o)
{
	struct session *s = c->session;
	if (s && s->state != SESSION_LEAVING) {
		page_yield(c, take_over, s); /* none overtakes another */
	} else {
		enum reason reason = session_call(&s, c, o->home, o);
		if (reason) {
			outgoing_failed(o, reason);
			return;
		}
	}
	if (!s->g->draining || s->g->keeping)
		s->ending = false;
	s->banned = REASON_NONE; /* policy was asked */
	session_text_add(s, o);
	page_yield(c, take_over, s);
	if (s->state != SESSION_OPEN || s->n_under_way)
		record_hop(s->g->cfg.records, o->record, RECORD_WAITS, 0, REASON_NONE);
	give(s);
}

static bool session_signal(struct conversation *c, const struct carried *in)
{
	struct session *s = c->session;
	/* what is true at any time need not wait for the ACK */
	bool now = s && (s->state == SESSION_OPEN ? s->ready : s->state == SESSION_ANSWERING && !in->true_ms);
	return now && s->leg->signal && s->leg->signal(s, in);
}

static bool session_report(struct conversation *c, struct slice message_id, int status)
{
	struct session *s = c->session;
	return s && s->state == SESSION_OPEN && s->leg->report && s->leg->report(s, message_id, status);
}

static bool session_accepts(const struct conversation *c, struct slice content_type)
{
	const struct session *s = c->session;
	if (!s || !s->accept_types)
		return slice_ieq(content_type, S("text/plain"));
	return sdp_accepts(slice_str(s->accept_types), content_type);
}

const struct carrier session_carrier = {
	.name = "session", .text_max = session_text_max, .room = session_room, .send = session_send, .signal = session_signal, .accepts = session_accepts,
	.report = session_report,
};

/* ---- what the gateway calls */

void session_hang_up(struct conversation *c)
{
	struct session *s = c->session;
	if (!s || s->state == SESSION_LEAVING)
		return;
	s->ending = true;
	if (s->state == SESSION_INVITING && list_empty(&s->texts))
		leave(s);
	else
		give(s);
}

void sessions_recheck(struct gateway *g)
{
	LIST_EACH(n, &g->sessions) {
		struct session *s = CONTAINER_OF(n, struct session, link);
		struct policy_verdict v;
		if (s->state == SESSION_LEAVING)
			continue;
		gateway_judge(g, POLICY_MESSAGE, s->conversation->pair.local, s->conversation->pair.remote, &v);
		if (v.allow)
			continue;
		s->banned = v.reason;
		if (s->state != SESSION_OPEN) {
			session_texts_end(s, end_failed, &s->banned);
			leave(s);
			continue;
		}
		for (struct outgoing *o; (o = session_text_next(s));) { /* what the leg has may be delivered already: its answer counts */
			session_text_remove(s, o);
			end_failed(o, &s->banned);
		}
		s->ending = true;
		give(s);
	}
}

void gateway_drain(struct gateway *g, bool keep)
{
	g->draining = true;
	g->keeping = keep;
	LIST_EACH(n, &g->sessions) {
		struct session *s = CONTAINER_OF(n, struct session, link);
		if (keep && s->leg == &session_leg_sip)
			continue;
		s->ending = true;
		give(s);
	}
}

const char *session_state_text(const struct conversation *c)
{
	return c->session ? state_names[c->session->state] : "";
}

void sessions_free(struct gateway *g)
{
	LIST_EACH(n, &g->sessions) {
		struct session *s = CONTAINER_OF(n, struct session, link);
		LIST_EACH(t, &s->texts) {
			struct outgoing *o = CONTAINER_OF(t, struct outgoing, node);
			session_text_remove(s, o);
			outgoing_drop(g, o);
		}
		session_free(s);
	}
}
