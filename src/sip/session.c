/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a session, being called, and the end. */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "sip/session_int.h"

const struct sip_session_ops session_nobody;

/* --- life --- */

static void on_stack_gone(struct sip_usage *u)
{
	struct sip_session *s = CONTAINER_OF(u, struct sip_session, usage);
	if (s->over) /* nobody else knows of it */
		session_destroy(s);
}

struct packer {
	char *at;
};

static struct slice pack(struct packer *p, struct slice v)
{
	if (v.len)
		memcpy(p->at, v.p, v.len);
	p->at += v.len;
	return slice_of(p->at - v.len, v.len);
}

/* The texts of the configuration in one block, its headers in front. */
static void keep_texts(struct sip_session *s, const struct sip_session_config *c)
{
	size_t n = c->n_headers < SIP_SESSION_HEADERS ? c->n_headers : SIP_SESSION_HEADERS;
	size_t size = n * sizeof(struct sip_extra) + c->contact.len + c->user_agent.len + c->supported.len + c->accept.len;
	for (size_t i = 0; i < n; i++)
		size += c->headers[i].name.len + c->headers[i].value.len;
	s->texts = mem_calloc(1, size + 1);
	struct sip_extra *e = (struct sip_extra *)(void *)s->texts;
	struct packer p = {s->texts + n * sizeof *e};
	s->contact = pack(&p, c->contact);
	s->user_agent = pack(&p, c->user_agent);
	s->supported = pack(&p, c->supported);
	s->accept = pack(&p, c->accept);
	for (size_t i = 0; i < n; i++) {
		e[i].name = pack(&p, c->headers[i].name);
		e[i].value = pack(&p, c->headers[i].value);
	}
	s->headers = e;
	s->n_headers = n;
}

struct sip_session *session_new(struct sip_stack *stack, const struct sip_session_config *c, const struct sip_session_ops *ops, void *arg)
{
	struct sip_session *s = MEM_NEW(struct sip_session);
	s->stack = stack;
	s->ops = ops;
	s->arg = arg;
	keep_texts(s, c);
	s->max_queue = c->max_queue ? c->max_queue : 32;
	s->max_octets = c->max_queue_octets ? c->max_queue_octets : 256 << 10;
	s->min_se = c->min_se > SESSION_MIN_SE ? c->min_se : SESSION_MIN_SE;
	s->timer_wanted = c->session_expires != UINT32_MAX;
	s->asked = c->session_expires && s->timer_wanted ? c->session_expires : 1800;
	if (s->asked < s->min_se)
		s->asked = s->min_se;
	s->usage.request = session_on_request;
	s->usage.gone = on_stack_gone;
	list_init(&s->queue);
	list_init(&s->early);
	timer_init(&s->t_life, session_fire_life);
	timer_init(&s->t_retry, session_fire_retry);
	return s;
}

void session_leave(struct sip_session *s)
{
	if (--s->busy || !s->dead)
		return;
	mem_free(s->texts);
	mem_free(s->local);
	mem_free(s->pending);
	sip_dialog_free(&s->dialog);
	mem_free(s);
}

void session_destroy(struct sip_session *s)
{
	if (s->dead)
		return;
	session_enter(s);
	s->dead = s->over = true;
	s->ops = &session_nobody;
	timer_cancel(session_timers(s), &s->t_life);
	timer_cancel(session_timers(s), &s->t_retry);
	sip_client_drop(s->ct_sent);
	sip_client_drop(s->ct_offer);
	sip_client_drop(s->ct_bye);
	s->ct_sent = s->ct_offer = s->ct_bye = NULL;
	session_unwatch(s);
	if (s->call)
		session_call_forget(s->call);
	session_queue_free(s);
	session_early_run(s);
	sip_usage_unregister(s->stack, &s->usage);
	session_leave(s);
}

/* --- what several need --- */

bool session_fatal(int status)
{
	return status == 404 || status == 408 || status == 410 || status == 416 || (status >= 480 && status <= 485) || status == 502 ||
	       status == 604;
}

void session_describe(struct session_description **d, struct slice type, struct slice body)
{
	struct session_description *n = mem_calloc(1, sizeof *n + type.len + body.len + 1);
	struct packer p = {n->mem};
	n->type = pack(&p, type);
	n->body = pack(&p, body);
	mem_free(*d); /* only now: it may be made of itself */
	*d = n;
}

void session_flow_seen(struct sip_session *s, const struct sip_flow *from)
{
	if (from->transport == s->flow.transport)
		s->flow.conn = from->conn;
}

void session_note_allow(struct sip_session *s, const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice v;
	uint32_t allows = 0;
	if (!sip_msg_header(m, SIP_H_ALLOW, 0))
		return;
	while (sip_msg_next_value(m, SIP_H_ALLOW, &it, &v))
		allows |= 1u << sip_method_of(v);
	s->allows = allows & ~(1u << SIP_METHOD_OTHER);
}

static struct slice supported_text(const struct sip_session *s, char *dst, size_t size)
{
	snprintf(dst, size, "timer%s%.*s", s->supported.len ? ", " : "", SFMT(s->supported));
	return slice_str(dst);
}

enum { SUPPORTED_MAX = 512 };

void session_write_offer_headers(const struct sip_session *s, struct buf *b)
{
	char text[SUPPORTED_MAX];
	sip_build_header(b, SIP_H_CONTACT, s->contact);
	if (s->user_agent.len)
		sip_build_header(b, SIP_H_USER_AGENT, s->user_agent);
	sip_build_header(b, SIP_H_ALLOW, SESSION_ALLOW);
	sip_build_header(b, SIP_H_SUPPORTED, supported_text(s, text, sizeof text));
	for (size_t i = 0; i < s->n_headers; i++)
		sip_build_header_named(b, s->headers[i].name, s->headers[i].value);
}

size_t session_answer_headers(const struct sip_session *s, struct sip_extra *e, int status, char timer[40])
{
	size_t n = 0;
	e[n++] = (struct sip_extra){S("Contact"), s->contact};
	for (size_t i = 0; i < s->n_headers; i++)
		e[n++] = s->headers[i];
	if (status < 200)
		return n;
	e[n++] = (struct sip_extra){S("Allow"), SESSION_ALLOW};
	e[n++] = (struct sip_extra){S("Supported"), S("timer")};
	if (s->supported.len)
		e[n++] = (struct sip_extra){S("Supported"), s->supported};
	if (s->interval) {
		/* We answer: "uas" is us. */
		snprintf(timer, 40, "%u;refresher=%s", s->interval, s->refresh_ours ? "uas" : "uac");
		e[n++] = (struct sip_extra){S("Session-Expires"), slice_str(timer)};
		if (!s->refresh_ours)
			e[n++] = (struct sip_extra){S("Require"), S("timer")};
	}
	return n;
}

void session_refuse(struct sip_server_trans *st, int status, struct slice name, struct slice value)
{
	struct sip_extra e = {name, value};
	struct sip_answer an = {.status = status, .headers = &e, .n_headers = name.len ? 1 : 0};
	sip_server_respond(st, &an);
}

void session_request_begin(struct sip_session *s, struct buf *b, enum sip_method method)
{
	buf_init(b, SESSION_REQUEST_MAX);
	sip_dialog_request(&s->dialog, b, method, 0);
}

int session_request_send(struct sip_session *s, struct buf *b, const struct sip_client_handler *h, struct sip_client_trans **ret)
{
	if (s->ops->route)
		s->ops->route(s->arg, sip_dialog_next_hop(&s->dialog), &s->flow);
	static const struct sip_client_opts opts = {.repeat = true};
	int rc = buf_ok(b) ? sip_client_start(ret, s->stack, &s->flow, buf_slice(b), h, s, &opts) : ENTENTE_EINVAL;
	if (rc < 0)
		s->dialog.local_cseq--; /* nobody saw the number */
	buf_free(b);
	return rc;
}

void session_ack(struct sip_session *s, struct sip_client_trans *ct, uint32_t cseq)
{
	struct buf b;
	buf_init(&b, SESSION_REQUEST_MAX);
	sip_dialog_request(&s->dialog, &b, SIP_ACK, cseq);
	if (s->user_agent.len)
		sip_build_header(&b, SIP_H_USER_AGENT, s->user_agent);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	if (s->ops->route)
		s->ops->route(s->arg, sip_dialog_next_hop(&s->dialog), &s->flow);
	if (buf_ok(&b))
		sip_client_ack(ct, &s->flow, buf_slice(&b)); /* a lost ACK is asked for again */
	buf_free(&b);
}

/* --- the server transaction that is waited for --- */

static void watch_cancelled(void *arg, struct sip_server_trans *st)
{
	struct sip_session *s = arg;
	session_enter(s);
	bool called = s->watch == WATCH_CALLED;
	session_unwatch(s);
	sip_server_reply(st, 487);
	if (called)
		session_over(s, SIP_SESSION_CANCELLED, 487, true, NULL);
	else
		session_pump(s);
	session_leave(s);
}

/* The peer cannot hear us: whoever still listens is told, and a BYE is tried. */
static void watch_unacked(void *arg, struct sip_server_trans *st)
{
	struct sip_session *s = arg;
	(void)st;
	session_enter(s);
	session_unwatch(s);
	if (s->over) {
		session_bye(s);
		if (!s->ct_bye) /* no room for it, and nobody else holds the session */
			session_destroy(s);
	} else if (s->ending) {
		session_bye(s);
		session_over(s, SIP_SESSION_CLOSED, 0, true, NULL);
	} else
		session_lost(s, 408, true, NULL);
	session_leave(s);
}

static void watch_gone(void *arg, struct sip_server_trans *st)
{
	struct sip_session *s = arg;
	enum session_waits what = (enum session_waits)s->watch;
	(void)st;
	session_enter(s);
	s->watch = WATCH_NONE;
	s->watched = 0;
	if (what == WATCH_CALLED)
		session_over(s, SIP_SESSION_CANCELLED, 408, true, NULL);
	else if (what == WATCH_ACK)
		session_lost(s, 503, true, NULL); /* the 2xx found no way back */
	else if (!s->over)
		session_pump(s);
	if (s->over && !s->ct_bye)
		session_destroy(s);
	session_leave(s);
}

static const struct sip_server_watch watch = {watch_cancelled, watch_unacked, watch_gone};

void session_watch(struct sip_session *s, struct sip_server_trans *st, enum session_waits what)
{
	session_unwatch(s);
	sip_server_set_watch(st, &watch, s);
	s->watched = sip_server_id(st);
	s->watch = what;
}

void session_unwatch(struct sip_session *s)
{
	struct sip_server_trans *st = s->watched ? sip_server_find(s->stack, s->watched) : NULL;
	if (st)
		sip_server_set_watch(st, NULL, NULL);
	s->watched = 0;
	s->watch = WATCH_NONE;
}

/* --- the end --- */

static void bye_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_session *s = arg;
	(void)from;
	if (m->status < 200)
		return;
	sip_client_drop(ct);
	s->ct_bye = NULL;
	if (s->over)
		session_destroy(s);
}

static void bye_done(void *arg, enum sip_done why)
{
	struct sip_session *s = arg;
	(void)why;
	s->ct_bye = NULL;
	if (s->over)
		session_destroy(s);
}

void session_bye(struct sip_session *s)
{
	static const struct sip_client_handler handler = {bye_response, bye_done};
	struct buf b;
	s->bye_owed = false;
	if (!s->dialog.mem || s->ct_bye)
		return;
	session_request_begin(s, &b, SIP_BYE);
	if (s->user_agent.len)
		sip_build_header(&b, SIP_H_USER_AGENT, s->user_agent);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	session_request_send(s, &b, &handler, &s->ct_bye); /* no room for it: the peer finds out by itself */
}

/* Stops what is between us and the peer, but for the request on its way. */
static void quiet(struct sip_session *s)
{
	timer_cancel(session_timers(s), &s->t_life);
	timer_cancel(session_timers(s), &s->t_retry);
	sip_client_drop(s->ct_offer);
	s->ct_offer = NULL;
	s->refresh_due = false;
	s->expires_at = 0;
	if (s->watch == WATCH_OFFER) { /* RFC 3261 15.1.2 */
		struct sip_server_trans *st = sip_server_find(s->stack, s->watched);
		session_unwatch(s);
		if (st)
			sip_server_reply(st, 487);
	}
	if (s->watch == WATCH_ACK && !s->bye_owed)
		session_unwatch(s);
}

void session_over(struct sip_session *s, enum sip_session_why why, int status, bool local, const struct sip_msg *m)
{
	if (s->over || s->state == SIP_SESSION_LEAVING)
		return;
	session_enter(s);
	s->state = SIP_SESSION_LEAVING;
	s->end_why = (uint8_t)why;
	s->end_status = status;
	s->end_local = local;
	s->end_retry_after = m && !m->is_request ? sip_retry_after(m) : -1;
	quiet(s);
	if (!s->ct_sent)
		session_finish(s, m);
	session_leave(s);
}

void session_lost(struct sip_session *s, int status, bool local, const struct sip_msg *m)
{
	if (s->over || s->state == SIP_SESSION_LEAVING)
		return;
	if (status != 481)
		session_bye(s);
	session_over(s, SIP_SESSION_LOST, status, local, m);
}

void session_finish(struct sip_session *s, const struct sip_msg *m)
{
	if (s->over)
		return;
	session_enter(s);
	s->ending = true; /* nothing more is taken */
	session_queue_return(s);
	struct sip_session_end e = {
		.why = (enum sip_session_why)s->end_why,
		.status = s->end_status,
		.reason = m && !m->is_request ? m->reason : SLICE_NONE,
		.retry_after = s->end_retry_after,
		.local = s->end_local,
		.was_open = s->was_open,
		.expired = s->end_expired,
		.msg = m,
	};
	const struct sip_session_ops *ops = s->ops;
	s->ops = &session_nobody;
	if (!s->over) {
		s->over = true;
		if (ops->ended)
			ops->ended(s->arg, &e);
	}
	if (!s->ct_bye && !s->bye_owed)
		session_destroy(s);
	session_leave(s);
}

void sip_session_end(struct sip_session *s)
{
	if (s->over || s->ending || s->state == SIP_SESSION_LEAVING)
		return;
	session_enter(s);
	s->ending = true;
	switch ((enum sip_session_state)s->state) {
	case SIP_SESSION_CALLED: sip_session_refuse(s, 480, SLICE_NONE, NULL, 0); break;
	case SIP_SESSION_CALLING:
		session_call_cancel(s->call);
		s->call = NULL;
		session_over(s, SIP_SESSION_CLOSED, 0, true, NULL);
		break;
	default: session_pump(s);
	}
	session_leave(s);
}

void sip_session_abort(struct sip_session *s)
{
	if (s->over)
		return;
	session_enter(s);
	if (s->state == SIP_SESSION_CALLED || s->state == SIP_SESSION_CALLING) {
		sip_session_end(s);
	} else {
		if (s->watch == WATCH_ACK && s->state == SIP_SESSION_ACCEPTED)
			s->bye_owed = true; /* not before the ACK (RFC 3261 15) */
		else if (s->state != SIP_SESSION_LEAVING)
			session_bye(s);
		session_sent_unknown(s);
		if (s->state == SIP_SESSION_LEAVING)
			session_finish(s, NULL);
		else
			session_over(s, SIP_SESSION_CLOSED, 0, true, NULL);
	}
	session_leave(s);
}

struct sip_session *sip_session_free(struct sip_session *s)
{
	if (!s || s->over)
		return NULL;
	s->ops = &session_nobody;
	sip_session_abort(s);
	return NULL;
}

/* --- we are called --- */

int sip_session_take(struct sip_session **ret, struct sip_stack *stack, struct sip_server_trans *st, const struct sip_msg *m,
		     const struct sip_session_config *config, const struct sip_session_ops *ops, void *arg)
{
	struct sip_session *s = session_new(stack, config, ops, arg);
	session_enter(s);
	int rc;
	s->state = SIP_SESSION_CALLED;
	s->flow = *sip_server_flow(st);
	if (session_unknown_required(s, st, m) || session_too_brief(s, st, m)) {
		/* answered */
	} else if (sip_msg_header(m, SIP_H_REPLACES, 0)) {
		session_refuse(st, 603, SLICE_NONE, SLICE_NONE);
	} else if ((rc = sip_dialog_uas(&s->dialog, m, sip_server_tag(st), s->flow.transport == SIP_TLS)) < 0) {
		session_refuse(st, rc == ENTENTE_ELIMIT ? 513 : 400, SLICE_NONE, SLICE_NONE);
	} else {
		session_note_allow(s, m);
		session_timer_by_request(s, m);
		s->ack_answers = slice_empty(m->body);
		s->remote_hash = hash_slice_stable(m->body, 0);
		sip_usage_register(stack, &s->usage, s->dialog.call_id, s->dialog.local_tag);
		session_watch(s, st, WATCH_CALLED);
		*ret = s;
		session_leave(s);
		return 0;
	}
	s->ops = &session_nobody;
	session_destroy(s);
	session_leave(s);
	return ENTENTE_EREFUSED;
}

static struct sip_server_trans *called(struct sip_session *s)
{
	return s->state == SIP_SESSION_CALLED && s->watch == WATCH_CALLED ? sip_server_find(s->stack, s->watched) : NULL;
}

int sip_session_ring(struct sip_session *s, int status)
{
	struct sip_server_trans *st = called(s);
	struct sip_extra e[SESSION_ANSWER_HEADERS];
	char timer[40];
	if (!st || status <= 100 || status >= 200)
		return ENTENTE_ECLOSED;
	session_enter(s);
	struct sip_answer an = {.status = status, .headers = e};
	an.n_headers = session_answer_headers(s, e, status, timer);
	int rc = sip_server_respond(st, &an);
	session_leave(s);
	return rc < 0 ? ENTENTE_ECLOSED : 0;
}

int sip_session_accept(struct sip_session *s, struct slice content_type, struct slice body, const struct sip_extra *headers, size_t n_headers)
{
	struct sip_server_trans *st = called(s);
	struct sip_extra e[SESSION_ANSWER_HEADERS + SIP_SESSION_HEADERS];
	char timer[40];
	if (!st)
		return ENTENTE_ECLOSED;
	if (n_headers > SIP_SESSION_HEADERS)
		return ENTENTE_EINVAL;
	struct sip_answer an = {.status = 200, .headers = e, .content_type = content_type, .body = body};
	session_timer_adopt(s);
	an.n_headers = session_answer_headers(s, e, 200, timer);
	for (size_t i = 0; i < n_headers; i++)
		e[an.n_headers++] = headers[i];
	session_unwatch(s); /* no word about a way back that is not there: the timer tells */
	s->state = SIP_SESSION_ACCEPTED;
	s->ack_cseq = s->dialog.remote_cseq;
	int rc = sip_server_respond(st, &an);
	if (rc == ENTENTE_EINVAL) {
		s->state = SIP_SESSION_CALLED;
		session_watch(s, st, WATCH_CALLED);
		return rc;
	}
	session_describe(&s->local, content_type, body);
	if (rc < 0) {
		timer_arm(session_timers(s), &s->t_life, 0);
		return ENTENTE_ECLOSED;
	}
	session_watch(s, st, WATCH_ACK);
	session_timer_start(s);
	return 0;
}

void sip_session_refuse(struct sip_session *s, int status, struct slice reason, const struct sip_extra *headers, size_t n_headers)
{
	struct sip_server_trans *st = called(s);
	if (s->over || s->state != SIP_SESSION_CALLED)
		return;
	session_enter(s);
	session_unwatch(s);
	struct sip_answer an = {.status = status < 300 ? 480 : status, .reason = reason, .headers = headers, .n_headers = n_headers};
	if (st && sip_server_respond(st, &an) == ENTENTE_EINVAL)
		sip_server_reply(st, 500); /* a header that cannot be written */
	session_over(s, SIP_SESSION_CLOSED, an.status, true, NULL);
	session_leave(s);
}

/* --- looking --- */

enum sip_session_state sip_session_state(const struct sip_session *s)
{
	return (enum sip_session_state)s->state;
}

struct slice sip_session_call_id(const struct sip_session *s)
{
	return s->dialog.mem ? s->dialog.call_id : s->call ? s->call->call_id : SLICE_NONE;
}

const struct sip_dialog *sip_session_dialog(const struct sip_session *s)
{
	return s->dialog.mem ? &s->dialog : NULL;
}

bool sip_session_allows(const struct sip_session *s, enum sip_method method)
{
	return s->allows & 1u << method;
}

uint32_t sip_session_interval(const struct sip_session *s, bool *ret_ours)
{
	if (ret_ours)
		*ret_ours = s->refresh_ours;
	return s->interval;
}

static size_t described(const struct session_description *d)
{
	return d ? sizeof *d + d->type.len + d->body.len + 1 : 0;
}

size_t sip_session_memory(const struct sip_session *s)
{
	const struct sip_dialog *d = &s->dialog;
	size_t n = sizeof *s + s->contact.len + s->user_agent.len + s->supported.len + s->accept.len + s->n_headers * sizeof(struct sip_extra);
	for (size_t i = 0; i < s->n_headers; i++)
		n += s->headers[i].name.len + s->headers[i].value.len;
	n += d->call_id.len + d->local_tag.len + d->remote_tag.len + d->local.len + d->remote.len + d->target.len + d->routes.len;
	return n + described(s->local) + described(s->pending) + s->queued_octets;
}
