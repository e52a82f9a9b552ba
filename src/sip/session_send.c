/* SPDX-License-Identifier: Apache-2.0 */
/* MESSAGE and INFO of ours within the session: one on its way, the others in order (RFC 3428 8). */
#include "base/mem.h"
#include "sip/session_int.h"

static bool writable(struct slice v)
{
	return slice_find_chr(v, '\r') < 0 && slice_find_chr(v, '\n') < 0 && slice_find_chr(v, '\0') < 0;
}

static size_t put(char *mem, size_t at, struct slice v, struct slice *ret)
{
	if (v.len)
		memcpy(mem + at, v.p, v.len);
	*ret = slice_of(mem + at, v.len);
	return at + v.len;
}

int sip_session_send(struct sip_session *s, const struct sip_session_request *r)
{
	size_t texts = r->content_type.len + r->body.len;
	if (s->over || s->ending)
		return ENTENTE_ECLOSED;
	if ((r->method != SIP_MESSAGE && r->method != SIP_INFO) || r->n_headers > SIP_SESSION_HEADERS || !writable(r->content_type))
		return ENTENTE_EINVAL;
	for (size_t i = 0; i < r->n_headers; i++) {
		if (!writable(r->headers[i].name) || !writable(r->headers[i].value) || slice_empty(r->headers[i].name))
			return ENTENTE_EINVAL;
		texts += r->headers[i].name.len + r->headers[i].value.len;
	}
	size_t head = sizeof(struct session_queued) + r->n_headers * sizeof(struct sip_extra), size = head + texts + 1, at = head;
	if (s->queued >= s->max_queue || s->queued_octets + size > s->max_octets)
		return ENTENTE_ELIMIT;
	struct session_queued *q = mem_calloc(1, size);
	q->method = r->method;
	q->token = r->token;
	q->until = r->ttl_ms ? session_timers(s)->now + r->ttl_ms : 0;
	q->size = size;
	q->n_headers = r->n_headers;
	at = put((char *)q, at, r->content_type, &q->content_type);
	at = put((char *)q, at, r->body, &q->body);
	for (size_t i = 0; i < r->n_headers; i++) {
		at = put((char *)q, at, r->headers[i].name, &q->headers[i].name);
		at = put((char *)q, at, r->headers[i].value, &q->headers[i].value);
	}
	bool first = list_empty(&s->queue);
	list_append(&s->queue, &q->node);
	s->queued++;
	s->queued_octets += size;
	if (first && s->state == SIP_SESSION_OPEN) /* else it waits for what will pump; so nothing is told from inside */
		session_pump(s);
	return 0;
}

static void take_out(struct sip_session *s, struct session_queued *q)
{
	list_remove(&q->node);
	s->queued--;
	s->queued_octets -= q->size;
}

bool sip_session_unsend(struct sip_session *s, const void *token)
{
	LIST_EACH(l, &s->queue) {
		struct session_queued *q = CONTAINER_OF(l, struct session_queued, node);
		if (q->token != token)
			continue;
		take_out(s, q);
		mem_free(q);
		return true;
	}
	return false;
}

size_t sip_session_queued(const struct sip_session *s)
{
	return s->queued;
}

bool sip_session_sending(const struct sip_session *s)
{
	return s->ct_sent != NULL;
}

static void tell(struct sip_session *s, void *token, const struct sip_session_result *r)
{
	if (s->ops->sent)
		s->ops->sent(s->arg, token, r);
}

void session_queue_return(struct sip_session *s)
{
	const struct sip_session_result r = {.local = true, .retry_after = -1};
	struct list *l;
	while ((l = list_head(&s->queue))) {
		struct session_queued *q = CONTAINER_OF(l, struct session_queued, node);
		void *token = q->token;
		take_out(s, q);
		mem_free(q);
		tell(s, token, &r);
	}
}

void session_queue_free(struct sip_session *s)
{
	LIST_EACH(l, &s->queue) {
		struct session_queued *q = CONTAINER_OF(l, struct session_queued, node);
		take_out(s, q);
		mem_free(q);
	}
}

void session_sent_unknown(struct sip_session *s)
{
	const struct sip_session_result r = {.status = 408, .local = true, .left = true, .retry_after = -1};
	if (!s->ct_sent)
		return;
	sip_client_drop(s->ct_sent);
	s->ct_sent = NULL;
	tell(s, s->token, &r);
}

/* --- on the way --- */

/* The one on its way came to this; the next may go. */
static void settled(struct sip_session *s, const struct sip_session_result *r)
{
	bool fatal = session_fatal(r->status);
	session_enter(s);
	s->held = fatal; /* what the owner queues meanwhile must not go into a dialog that is no more */
	tell(s, s->token, r);
	s->held = false;
	if (s->over)
		;
	else if (s->state == SIP_SESSION_LEAVING)
		session_finish(s, NULL);
	else if (fatal)
		session_lost(s, r->status, r->local, r->msg);
	else
		session_pump(s);
	session_leave(s);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_session *s = arg;
	if (m->status < 200)
		return;
	bool arrived = sip_client_repeated(ct) && (m->status == 482 || m->status == 500);
	sip_client_drop(ct);
	s->ct_sent = NULL;
	session_flow_seen(s, from);
	struct sip_session_result r = {.status = arrived ? 200 : m->status, .left = true, .retry_after = sip_retry_after(m), .msg = m};
	settled(s, &r);
}

static void on_done(void *arg, enum sip_done why)
{
	struct sip_session *s = arg;
	struct sip_session_result r = {.status = 408, .local = true, .left = true, .retry_after = -1};
	s->ct_sent = NULL;
	if (why == SIP_DONE_TRANSPORT) {
		r.status = 503;
		s->flow.conn = 0; /* the next one over a new connection */
	}
	settled(s, &r);
}

/* Sends the first that is still of use. False: not now. */
static bool send_next(struct sip_session *s)
{
	static const struct sip_client_handler handler = {on_response, on_done};
	const struct sip_session_result late = {.local = true, .expired = true, .retry_after = -1};
	struct list *l = list_head(&s->queue);
	struct session_queued *q = l ? CONTAINER_OF(l, struct session_queued, node) : NULL;
	struct buf b;
	if (!q)
		return false;
	void *token = q->token;
	if (q->until && session_timers(s)->now > q->until) {
		take_out(s, q);
		mem_free(q);
		tell(s, token, &late);
		return true;
	}
	session_request_begin(s, &b, q->method);
	if (s->user_agent.len)
		sip_build_header(&b, SIP_H_USER_AGENT, s->user_agent);
	for (size_t i = 0; i < q->n_headers; i++)
		sip_build_header_named(&b, q->headers[i].name, q->headers[i].value);
	sip_build_body(&b, q->content_type, q->body);
	if (session_request_send(s, &b, &handler, &s->ct_sent) < 0) {
		timer_arm(session_timers(s), &s->t_retry, SESSION_BUSY_MS);
		return false;
	}
	s->token = token;
	take_out(s, q);
	mem_free(q);
	return false;
}

void session_pump(struct sip_session *s)
{
	session_enter(s);
	if (s->state == SIP_SESSION_OPEN && !s->over && !s->held) {
		session_offer_pump(s);
		/* Nothing may overtake an offer of ours that the peer has not seen: it would get 500 for its number. */
		while (s->state == SIP_SESSION_OPEN && !s->over && !s->ct_sent && (!s->ct_offer || s->offer_seen) && send_next(s))
			;
		if (s->ending && s->state == SIP_SESSION_OPEN && !s->over && !s->ct_sent && list_empty(&s->queue)) {
			session_bye(s);
			session_over(s, SIP_SESSION_CLOSED, 0, true, NULL);
		}
	}
	session_leave(s);
}

void session_fire_retry(struct timer *t, uint64_t now)
{
	(void)now;
	session_pump(CONTAINER_OF(t, struct sip_session, t_retry));
}
