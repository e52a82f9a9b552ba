/* SPDX-License-Identifier: Apache-2.0 */
/* Our re-INVITE and UPDATE (RFC 3261 14.1, RFC 3311 5.1), and the session timer in both roles (RFC 4028). */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "sip/session_int.h"

enum { REFRESH_RETRY_MS = 10000, RETRY_AFTER_MAX_S = 600 };

/* --- what the peer's message says of the timer --- */

bool session_peer_expires(const struct sip_msg *m, uint32_t *ret, struct slice *ret_refresher)
{
	struct slice v = sip_msg_header_named(m, S("Session-Expires")), params;
	uint64_t n;
	if (!v.p)
		v = sip_msg_header_named(m, S("x"));
	if (!v.p || !slice_u64(sip_token(v, &params), UINT32_MAX, &n) || !n)
		return false;
	*ret = (uint32_t)n;
	*ret_refresher = SLICE_NONE;
	sip_param(params, S("refresher"), ret_refresher);
	return true;
}

bool session_peer_min_se(const struct sip_msg *m, uint32_t *ret)
{
	struct slice v = sip_msg_header_named(m, S("Min-SE"));
	uint64_t n;
	if (!v.p || !slice_u64(sip_token(v, NULL), UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool session_too_brief(const struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m)
{
	uint32_t asked;
	struct slice who;
	char min[16];
	/* Who does not know the timer cannot mend it: the interval is raised for him, by a proxy's wish (RFC 4028 9). */
	if (!session_peer_expires(m, &asked, &who) || asked >= s->min_se || !sip_msg_lists(m, SIP_H_SUPPORTED, S("timer")))
		return false;
	snprintf(min, sizeof min, "%u", s->min_se);
	session_refuse(st, 422, S("Min-SE"), slice_str(min));
	return true;
}

/* Table 2 of RFC 4028 9. */
void session_timer_by_request(struct sip_session *s, const struct sip_msg *m)
{
	uint32_t asked, least;
	struct slice who = SLICE_NONE;
	bool stated = session_peer_expires(m, &asked, &who), known = sip_msg_lists(m, SIP_H_SUPPORTED, S("timer"));
	s->next_interval = 0;
	s->next_ours = s->refresh_ours; /* who says nothing leaves the role as it was settled; at first it is the caller's */
	if (!stated && (!known || !s->timer_wanted))
		return;
	if (!session_peer_min_se(m, &least) || least < s->min_se)
		least = s->min_se;
	if (!stated || (s->timer_wanted && asked > s->asked))
		asked = s->asked;
	s->next_interval = asked < least ? least : asked;
	if (!known || slice_ieq(who, S("uas")))
		s->next_ours = true;
	else if (slice_ieq(who, S("uac")))
		s->next_ours = false;
}

void session_timer_adopt(struct sip_session *s)
{
	s->interval = s->next_interval;
	s->refresh_ours = s->next_ours;
}

void session_timer_by_answer(struct sip_session *s, const struct sip_msg *m)
{
	struct slice who;
	uint32_t interval;
	if (!session_peer_expires(m, &interval, &who)) {
		s->interval = 0;
	} else {
		s->interval = interval < SESSION_MIN_SE ? SESSION_MIN_SE : interval;
		s->refresh_ours = !slice_ieq(who, S("uas"));
	}
	session_timer_start(s);
}

void session_timer_start(struct sip_session *s)
{
	struct timers *q = session_timers(s);
	uint64_t ms = (uint64_t)s->interval * 1000;
	s->refresh_due = false;
	timer_cancel(q, &s->t_life);
	s->expires_at = 0;
	if (!ms)
		return;
	if (s->refresh_ours) {
		s->expires_at = q->now + ms;
		timer_arm(q, &s->t_life, ms / 2);
	} else { /* RFC 4028 10: a third of it, 32 s at most, before the end */
		ms -= ms / 3 < 32000 ? ms / 3 : 32000;
		s->expires_at = q->now + ms;
		timer_arm(q, &s->t_life, ms);
	}
}

void session_fire_life(struct timer *t, uint64_t now)
{
	struct sip_session *s = CONTAINER_OF(t, struct sip_session, t_life);
	session_enter(s);
	if (s->state == SIP_SESSION_CALLING) {
		session_call_cancel(s->call);
		s->call = NULL;
		session_over(s, SIP_SESSION_NO_ANSWER, 408, true, NULL);
	} else if (s->state == SIP_SESSION_ACCEPTED && s->watch != WATCH_ACK) {
		session_lost(s, 503, true, NULL); /* the 2xx found no way back */
	} else if (now >= s->expires_at) {
		s->end_expired = true;
		session_lost(s, 408, true, NULL);
	} else {
		s->refresh_due = true;
		timer_arm(session_timers(s), t, s->expires_at - now);
		session_pump(s);
	}
	session_leave(s);
}

/* --- ours --- */

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from);
static void on_done(void *arg, enum sip_done why);
static const struct sip_client_handler handler = {on_response, on_done};

static void not_before(struct sip_session *s, uint64_t ms)
{
	s->offer_from = session_timers(s)->now + ms;
	timer_arm(session_timers(s), &s->t_retry, ms);
}

static void send_offer(struct sip_session *s)
{
	const struct session_description *d = s->pending ? s->pending : s->local;
	bool update = !s->pending && !s->no_update && sip_session_allows(s, SIP_UPDATE);
	uint32_t expires = s->interval ? s->interval : s->asked;
	struct buf b;
	char text[40];
	if (expires < s->asked && s->mends)
		expires = s->asked;
	session_request_begin(s, &b, update ? SIP_UPDATE : SIP_INVITE);
	session_write_offer_headers(s, &b);
	if (s->interval) {
		snprintf(text, sizeof text, "%u;refresher=%s", expires, s->refresh_ours ? "uac" : "uas");
		sip_build_header_named(&b, S("Session-Expires"), slice_str(text));
		if (s->min_se > SESSION_MIN_SE || s->mends) {
			snprintf(text, sizeof text, "%u", s->mends ? expires : s->min_se);
			sip_build_header_named(&b, S("Min-SE"), slice_str(text));
		}
	}
	sip_build_body(&b, update ? SLICE_NONE : d->type, update ? SLICE_NONE : d->body);
	s->offer_update = update;
	s->offer_owner = s->pending != NULL;
	s->offer_seen = false;
	if (session_request_send(s, &b, &handler, &s->ct_offer) < 0)
		not_before(s, SESSION_BUSY_MS);
	else
		s->refresh_due = false;
}

void session_offer_pump(struct sip_session *s)
{
	uint64_t now = session_timers(s)->now;
	if ((!s->pending && !s->refresh_due) || s->ct_offer || s->ct_sent || s->watch == WATCH_OFFER || s->watch == WATCH_ACK || s->ending)
		return;
	if (now < s->offer_from) {
		if (!timer_armed(&s->t_retry))
			timer_arm(session_timers(s), &s->t_retry, s->offer_from - now);
		return;
	}
	send_offer(s);
}

int sip_session_offer(struct sip_session *s, struct slice content_type, struct slice body)
{
	if (s->over || s->state != SIP_SESSION_OPEN || s->ending)
		return ENTENTE_ECLOSED;
	if (s->pending || s->watch == WATCH_OFFER)
		return ENTENTE_EEXIST;
	if (slice_empty(body) || slice_find_chr(content_type, '\r') >= 0 || slice_find_chr(content_type, '\n') >= 0)
		return ENTENTE_EINVAL;
	session_describe(&s->pending, content_type, body);
	s->mends = 0;
	session_pump(s);
	return 0;
}

static void tell_changed(struct sip_session *s, int status, const struct sip_msg *m)
{
	if (s->ops->changed)
		s->ops->changed(s->arg, status, m);
}

/* The offer of ours is over, one way or the other. */
static void offer_settled(struct sip_session *s, int status, const struct sip_msg *m)
{
	if (!s->offer_owner)
		return;
	s->offer_owner = false;
	s->pending = mem_free(s->pending);
	tell_changed(s, status, m);
}

static void succeeded(struct sip_session *s, struct sip_client_trans *ct, const struct sip_msg *m)
{
	uint64_t hash = hash_slice_stable(m->body, 0);
	bool other = !slice_empty(m->body) && hash != s->remote_hash;
	sip_dialog_refresh(&s->dialog, m);
	if (!s->offer_update)
		session_ack(s, ct, m->cseq);
	sip_client_drop(ct);
	s->ct_offer = NULL;
	s->mends = 0;
	session_note_allow(s, m);
	if (!slice_empty(m->body))
		s->remote_hash = hash;
	session_timer_by_answer(s, m);
	if (s->offer_owner) {
		mem_free(s->local);
		s->local = s->pending;
		s->pending = NULL;
		s->offer_owner = false;
		tell_changed(s, m->status, m);
	} else if (other) {
		tell_changed(s, m->status, m);
	}
}

static void failed(struct sip_session *s, const struct sip_msg *m)
{
	uint32_t min;
	int64_t after = sip_retry_after(m);
	if (m->status == 491) { /* RFC 3261 14.1: who made the Call-ID waits longer */
		not_before(s, s->caller ? 2100 + 10 * rand_below(191) : 10 * rand_below(201));
		s->refresh_due |= !s->offer_owner;
		return;
	}
	if (m->status == 422 && s->mends < SESSION_MENDS && session_peer_min_se(m, &min) && min <= SESSION_SE_MAX) {
		s->mends++;
		s->asked = min > s->asked ? min : s->asked;
		s->refresh_due |= !s->offer_owner;
		return;
	}
	if (s->offer_owner) {
		offer_settled(s, m->status, m);
		return;
	}
	if (s->offer_update && (m->status == 405 || m->status == 501)) {
		s->no_update = true;
		s->refresh_due = true;
		return;
	}
	/* The session timer goes on: what is not refreshed by its end is over. */
	s->refresh_due = true;
	not_before(s, after < 0 ? REFRESH_RETRY_MS : (uint64_t)(after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : after) * 1000);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_session *s = arg;
	session_enter(s);
	s->offer_seen = true;
	if (m->status >= 200) {
		session_flow_seen(s, from);
		if (m->status < 300) {
			succeeded(s, ct, m);
		} else {
			sip_client_drop(ct);
			s->ct_offer = NULL;
			if (session_fatal(m->status)) {
				offer_settled(s, m->status, m);
				session_lost(s, m->status, false, m);
			} else {
				failed(s, m);
			}
		}
	}
	session_pump(s);
	session_leave(s);
}

static void on_done(void *arg, enum sip_done why)
{
	struct sip_session *s = arg;
	int status = why == SIP_DONE_TRANSPORT ? 503 : 408;
	session_enter(s);
	s->ct_offer = NULL;
	bool owner = s->offer_owner;
	offer_settled(s, status, NULL);
	if (status == 408) {
		session_lost(s, status, true, NULL);
	} else {
		s->flow.conn = 0;
		if (!owner) {
			s->refresh_due = true;
			not_before(s, REFRESH_RETRY_MS);
		}
	}
	session_pump(s);
	session_leave(s);
}
