/* SPDX-License-Identifier: Apache-2.0 */
/* What the peer asks within the session: ACK, BYE, offers (RFC 3261 14.2, RFC 3311 5.2), MESSAGE and INFO, and everything else. */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "sip/options.h"
#include "sip/session_int.h"

static bool lists_tag(struct slice list, struct slice tag)
{
	while (list.p) {
		if (slice_ieq(slice_trim(slice_split(&list, ',')), tag))
			return true;
	}
	return false;
}

bool session_unknown_required(const struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice tag;
	struct buf b;
	buf_init(&b, 4096);
	while (sip_msg_next_value(m, SIP_H_REQUIRE, &it, &tag)) {
		if (slice_ieq(tag, S("timer")) || lists_tag(s->supported, tag))
			continue;
		if (b.len)
			buf_puts(&b, ", ");
		sip_unfold(tag, &b);
	}
	bool bad = b.len || !buf_ok(&b);
	if (bad)
		session_refuse(st, 420, S("Unsupported"), buf_slice(&b));
	buf_free(&b);
	return bad;
}

/* --- too early: before the 2xx, or the ACK, that they have overtaken --- */

static bool keep_early(struct sip_session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	size_t n = 0;
	LIST_EACH(l, &s->early)
		n++;
	if (n >= SESSION_EARLY_MAX)
		return false;
	struct session_early *e = MEM_NEW(struct session_early);
	*e = (struct session_early){.id = sip_server_id(st), .m = m, .a = a, .from = *from};
	list_append(&s->early, &e->node);
	return true;
}

void session_early_run(struct sip_session *s)
{
	struct list *l;
	while ((l = list_head(&s->early))) {
		struct session_early *e = CONTAINER_OF(l, struct session_early, node);
		struct sip_server_trans *st = sip_server_find(s->stack, e->id);
		list_remove(&e->node);
		if (st && !s->over) {
			session_on_request(&s->usage, st, e->m, e->a, &e->from);
		} else {
			if (st)
				sip_server_reply(st, 481);
			sip_stack_release(s->stack, e->a);
		}
		mem_free(e);
	}
}

/* --- offers --- */

static void busy(struct sip_server_trans *st)
{
	char text[8];
	snprintf(text, sizeof text, "%u", (unsigned)rand_below(11)); /* RFC 3261 14.2: 0 to 10 s */
	session_refuse(st, 500, S("Retry-After"), slice_str(text));
}

/* 2xx with a description to a re-INVITE or UPDATE. */
static int confirm(struct sip_session *s, struct sip_server_trans *st, struct slice type, struct slice body)
{
	struct sip_extra e[SESSION_ANSWER_HEADERS];
	char timer[40];
	struct sip_answer an = {.status = 200, .headers = e, .content_type = type, .body = body};
	bool invite = sip_server_method(st) == SIP_INVITE;
	session_timer_adopt(s);
	an.n_headers = session_answer_headers(s, e, 200, timer);
	if (s->watch == WATCH_OFFER)
		session_unwatch(s);
	int rc = sip_server_respond(st, &an);
	if (rc == ENTENTE_EINVAL)
		sip_server_reply(st, 500); /* a description that cannot be written */
	if (rc < 0)
		return rc;
	session_timer_start(s);
	if (invite) {
		session_watch(s, st, WATCH_ACK);
		s->ack_cseq = s->dialog.remote_cseq;
	}
	return 0;
}

static void offered(struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from)
{
	bool invite = m->method == SIP_INVITE, bare = slice_empty(m->body);
	uint64_t hash = hash_slice_stable(m->body, 0);
	if (s->ct_offer && !s->offer_update && (invite || !bare)) { /* glare; an UPDATE of ours offers nothing */
		sip_server_reply(st, 491);
		return;
	}
	if (s->watch == WATCH_OFFER) {
		busy(st);
		return;
	}
	if (s->watch == WATCH_ACK && (invite || !bare)) { /* not settled yet: our answer, or the one to our offer */
		if (s->ack_answers || invite)
			sip_server_reply(st, 491);
		else
			busy(st);
		return;
	}
	if (session_too_brief(s, st, m))
		return;
	sip_dialog_refresh(&s->dialog, m);
	s->flow = *from;
	session_note_allow(s, m);
	session_timer_by_request(s, m);
	if (bare && !invite) { /* a refresh: an INVITE whose ACK is awaited is not touched by it */
		confirm(s, st, SLICE_NONE, SLICE_NONE);
		return;
	}
	s->offer_bare = bare;
	if (!bare && hash == s->remote_hash && s->local) { /* Lync's refresh: nothing changes */
		s->ack_answers = false;
		confirm(s, st, s->local->type, s->local->body);
		return;
	}
	if (!s->ops->offer) {
		sip_server_reply(st, 488);
		return;
	}
	s->offer_hash = hash;
	session_watch(s, st, WATCH_OFFER);
	s->ops->offer(s->arg, m);
}

int sip_session_answer(struct sip_session *s, int status, struct slice content_type, struct slice body)
{
	struct sip_server_trans *st = s->watch == WATCH_OFFER ? sip_server_find(s->stack, s->watched) : NULL;
	if (!st || s->over)
		return ENTENTE_ENOTFOUND;
	session_enter(s);
	int rc;
	if (status >= 300) {
		session_unwatch(s);
		rc = sip_server_reply(st, status);
	} else {
		rc = confirm(s, st, content_type, body);
		if (rc == 0) {
			session_describe(&s->local, content_type, body);
			s->ack_answers = s->offer_bare;
			if (!s->offer_bare)
				s->remote_hash = s->offer_hash;
		}
	}
	session_pump(s);
	session_leave(s);
	return rc;
}

/* --- the others --- */

static void acknowledged(struct sip_session *s, const struct sip_msg *m)
{
	if (s->watch != WATCH_ACK || m->cseq != s->ack_cseq)
		return;
	session_unwatch(s);
	if (s->over) { /* a BYE that had to wait for it */
		session_bye(s);
		if (!s->ct_bye)
			session_destroy(s);
		return;
	}
	if (s->ack_answers && !slice_empty(m->body))
		s->remote_hash = hash_slice_stable(m->body, 0);
	bool answers = s->ack_answers;
	s->ack_answers = false;
	if (s->state == SIP_SESSION_ACCEPTED) {
		s->state = SIP_SESSION_OPEN;
		if (!s->ending) {
			s->was_open = true;
			if (s->ops->established)
				s->ops->established(s->arg, m);
		}
		session_early_run(s);
	} else if (answers && s->ops->changed) {
		s->ops->changed(s->arg, 200, m);
	}
	session_pump(s);
}

static void hung_up(struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m)
{
	sip_server_reply(st, 200);
	if (s->over || s->state == SIP_SESSION_LEAVING)
		return;
	if (s->watch == WATCH_CALLED) { /* an early dialog (RFC 3261 15.1.2) */
		struct sip_server_trans *invite = sip_server_find(s->stack, s->watched);
		session_unwatch(s);
		if (invite)
			sip_server_reply(invite, 487);
		session_over(s, SIP_SESSION_CANCELLED, 0, true, NULL);
		return;
	}
	session_over(s, SIP_SESSION_BYE, 0, false, m);
}

static void answer_options(const struct sip_session *s, struct sip_server_trans *st)
{
	struct sip_options_config c = {.allow = SESSION_ALLOW, .accept = s->accept, .supported = s->supported.len ? s->supported : S("timer")};
	sip_options_answer(st, &c);
}

/* In the dialog, in order, and while it is up. True: the arena went with it. */
static bool dispatch(struct sip_session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	switch (m->method) {
	case SIP_MESSAGE:
	case SIP_INFO:
		if (s->state == SIP_SESSION_CALLED || s->state == SIP_SESSION_ACCEPTED) {
			/* nobody has answered yet; or the ACK is late: established() comes first */
			if (s->state == SIP_SESSION_ACCEPTED && keep_early(s, st, m, a, from))
				return true;
			busy(st);
		} else if (s->ops->request) {
			s->ops->request(s->arg, st, m, a, from);
			return true;
		} else {
			sip_server_reply(st, 488);
		}
		break;
	case SIP_INVITE:
	case SIP_UPDATE:
		if (s->state == SIP_SESSION_CALLED)
			busy(st);
		else
			offered(s, st, m, from);
		break;
	case SIP_OPTIONS: answer_options(s, st); break;
	case SIP_REFER: sip_server_reply(st, 603); break;
	case SIP_METHOD_OTHER: session_refuse(st, 501, S("Allow"), SESSION_ALLOW); break;
	default: session_refuse(st, 405, S("Allow"), SESSION_ALLOW);
	}
	return false;
}

bool session_on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct sip_session *s = CONTAINER_OF(u, struct sip_session, usage);
	struct sip_stack *stack = s->stack;
	bool taken = false;
	session_enter(s);
	if (s->state == SIP_SESSION_CALLING && s->call) {
		if (st && (m->method == SIP_MESSAGE || m->method == SIP_INFO))
			taken = keep_early(s, st, m, a, from);
		if (st && !taken)
			sip_server_reply(st, 481);
	} else if (!s->dialog.mem || !sip_dialog_matches(&s->dialog, m)) {
		if (st)
			sip_server_reply(st, 481); /* another fork */
	} else if (!st) {
		if (m->method == SIP_ACK)
			acknowledged(s, m);
	} else {
		session_flow_seen(s, from);
		if (!sip_dialog_accept(&s->dialog, m))
			sip_server_reply(st, 500);
		else if (m->method == SIP_BYE)
			hung_up(s, st, m);
		else if (s->over || s->state == SIP_SESSION_LEAVING)
			sip_server_reply(st, 481);
		else if (!session_unknown_required(s, st, m))
			taken = dispatch(s, st, m, a, from);
	}
	if (!taken)
		sip_stack_release(stack, a);
	session_leave(s);
	return true;
}
