/* SPDX-License-Identifier: Apache-2.0 */
/* The INVITE that begins a session of ours, its forks, and what comes after it was given up (RFC 3261 13.2, 9.1). */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "sip/session_int.h"

enum { CALL_ID_LEN = 24, TAG_LEN = 12, RING_MS = 180000 };

static void call_free(struct session_call *c)
{
	if (c->session)
		c->session->call = NULL;
	sip_client_drop(c->ct);
	sip_usage_unregister(c->stack, &c->usage);
	mem_free(c);
}

static bool on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	(void)u;
	(void)st;
	(void)m;
	(void)a;
	(void)from;
	return false;
}

static void on_stack_gone(struct sip_usage *u)
{
	call_free(CONTAINER_OF(u, struct session_call, usage));
}

void session_call_forget(struct session_call *c)
{
	c->session = NULL;
}

void session_call_cancel(struct session_call *c)
{
	c->session = NULL;
	sip_client_cancel(c->ct);
}

/* --- writing --- */

static size_t copy(char *mem, size_t at, struct slice v, struct slice *ret)
{
	if (!mem)
		return v.len;
	if (v.len)
		memcpy(mem + at, v.p, v.len);
	*ret = slice_of(mem + at, v.len);
	return v.len;
}

/* Everything in one block; called once to measure it (c NULL). */
static size_t lay_out(struct session_call *c, char *mem, const struct sip_session_call *from, struct slice call_id, struct slice tag)
{
	struct session_call none;
	struct sip_extra *e = c ? c->headers : NULL;
	struct slice ignored;
	size_t n = 0;
	if (!c)
		c = &none;
	const struct {
		struct slice from, *to;
	} parts[] = {
		{from->uri, &c->uri},	    {from->from, &c->from},
		{from->to, &c->to},	    {from->route, &c->route},
		{call_id, &c->call_id},	    {tag, &c->tag},
		{from->content_type, &c->content_type}, {from->body, &c->body},
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		n += copy(mem, n, parts[i].from, parts[i].to);
	for (size_t i = 0; i < from->n_headers; i++) {
		n += copy(mem, n, from->headers[i].name, e ? &e[i].name : &ignored);
		n += copy(mem, n, from->headers[i].value, e ? &e[i].value : &ignored);
	}
	return n;
}

static struct session_call *call_new(struct sip_stack *stack, const struct sip_flow *flow, const struct sip_session_call *from)
{
	char id[CALL_ID_LEN + 1], tag[TAG_LEN + 1];
	struct slice call_id = from->call_id;
	rand_token(tag, TAG_LEN);
	if (slice_empty(call_id)) {
		rand_token(id, CALL_ID_LEN);
		call_id = slice_of(id, CALL_ID_LEN);
	}
	size_t head = sizeof(struct session_call) + from->n_headers * sizeof(struct sip_extra);
	struct session_call *c = mem_calloc(1, head + lay_out(NULL, NULL, from, call_id, slice_of(tag, TAG_LEN)) + 1);
	c->headers = (struct sip_extra *)(void *)(c + 1);
	c->n_headers = from->n_headers;
	lay_out(c, (char *)c + head, from, call_id, slice_of(tag, TAG_LEN));
	c->stack = stack;
	c->flow = *flow;
	c->secure = slice_istarts(c->uri, S("sips:")) && flow->transport == SIP_TLS;
	c->usage.request = on_request;
	c->usage.gone = on_stack_gone;
	return c;
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from);
static void on_done(void *arg, enum sip_done why);
static const struct sip_client_handler handler = {on_response, on_done};

static int send_invite(struct session_call *c, const struct sip_session *s)
{
	struct buf b;
	buf_init(&b, SESSION_REQUEST_MAX);
	sip_build_request(&b, S("INVITE"), c->uri);
	sip_build_header(&b, SIP_H_MAX_FORWARDS, S("70"));
	if (c->route.len)
		sip_build_header(&b, SIP_H_ROUTE, c->route);
	sip_build_header_fmt(&b, SIP_H_FROM, "%.*s;tag=%.*s", SFMT(c->from), SFMT(c->tag));
	if (c->to.len)
		sip_build_header(&b, SIP_H_TO, c->to);
	else
		sip_build_header_fmt(&b, SIP_H_TO, "<%.*s>", SFMT(c->uri));
	sip_build_header(&b, SIP_H_CALL_ID, c->call_id);
	sip_build_header_fmt(&b, SIP_H_CSEQ, "%u INVITE", ++c->cseq);
	session_write_offer_headers(s, &b);
	if (c->expires) {
		char n[16];
		snprintf(n, sizeof n, "%u", c->expires);
		sip_build_header_named(&b, S("Session-Expires"), slice_str(n));
		snprintf(n, sizeof n, "%u", c->min_se);
		if (c->min_se_said || c->min_se > SESSION_MIN_SE)
			sip_build_header_named(&b, S("Min-SE"), slice_str(n));
	}
	for (size_t i = 0; i < c->n_headers; i++)
		sip_build_header_named(&b, c->headers[i].name, c->headers[i].value);
	sip_build_body(&b, c->content_type, c->body);
	int rc = buf_ok(&b) ? sip_client_start(&c->ct, c->stack, &c->flow, buf_slice(&b), &handler, c, NULL) : ENTENTE_EINVAL;
	buf_free(&b);
	return rc;
}

int sip_session_start(struct sip_session **ret, struct sip_stack *stack, const struct sip_flow *flow, const struct sip_session_call *call,
		      const struct sip_session_config *config, const struct sip_session_ops *ops, void *arg)
{
	if (slice_empty(call->body) || slice_empty(call->uri) || slice_empty(call->from) || call->n_headers > SIP_SESSION_HEADERS)
		return ENTENTE_EINVAL;
	struct sip_session *s = session_new(stack, config, ops, arg);
	struct session_call *c = call_new(stack, flow, call);
	s->state = SIP_SESSION_CALLING;
	s->caller = true;
	s->flow = *flow;
	c->expires = s->timer_wanted ? s->asked : 0;
	c->min_se = s->min_se;
	int rc = send_invite(c, s);
	if (rc < 0) {
		mem_free(c);
		s->ops = &session_nobody;
		session_destroy(s);
		return rc;
	}
	s->call = c;
	c->session = s;
	session_describe(&s->local, c->content_type, c->body);
	sip_usage_register(stack, &s->usage, c->call_id, c->tag);
	sip_usage_register(stack, &c->usage, c->call_id, c->tag);
	timer_arm(session_timers(s), &s->t_life, call->ring_ms ? call->ring_ms : RING_MS);
	*ret = s;
	return 0;
}

/* --- answers --- */

static struct sip_dialog_local local_part(const struct session_call *c)
{
	return (struct sip_dialog_local){.call_id = c->call_id, .local_tag = c->tag, .local = c->from, .cseq = c->cseq, .secure = c->secure};
}

/* Another fork, or nobody wants it any more: ACK for each 2xx, BYE once (RFC 3261 13.2.2.4). */
static void lose(struct session_call *c, const struct sip_msg *m)
{
	struct sip_dialog_local l = local_part(c);
	struct sip_dialog d;
	struct buf b;
	uint64_t tag = hash_slice(m->to.tag);
	bool known = false;
	if (sip_dialog_uac(&d, &l, m) < 0)
		return; /* no Contact: it cannot be reached */
	for (size_t i = 0; i < c->n_losers; i++)
		known |= c->losers[i] == tag;
	buf_init(&b, SESSION_REQUEST_MAX);
	sip_dialog_request(&d, &b, SIP_ACK, c->cseq);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	if (buf_ok(&b))
		sip_stack_send(c->stack, &c->flow, buf_slice(&b), NULL);
	if (!known) {
		if (c->n_losers < SESSION_LOSERS_MAX)
			c->losers[c->n_losers++] = tag;
		buf_clear(&b);
		sip_dialog_request(&d, &b, SIP_BYE, 0);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		if (buf_ok(&b))
			sip_client_start(NULL, c->stack, &c->flow, buf_slice(&b), NULL, NULL, NULL);
	}
	buf_free(&b);
	sip_dialog_free(&d);
}

static void win(struct session_call *c, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_session *s = c->session;
	struct sip_dialog_local l = local_part(c);
	c->session = NULL;
	session_enter(s);
	s->call = NULL;
	timer_cancel(session_timers(s), &s->t_life);
	session_flow_seen(s, from);
	if (sip_dialog_uac(&s->dialog, &l, m) < 0) {
		session_over(s, SIP_SESSION_NO_ANSWER, 502, true, m);
		session_leave(s);
		return;
	}
	c->losers[c->n_losers++] = hash_slice(m->to.tag); /* whatever comes of it: its BYE is not this one's affair */
	session_ack(s, c->ct, c->cseq);
	s->state = SIP_SESSION_OPEN;
	s->was_open = true;
	s->remote_hash = hash_slice_stable(m->body, 0);
	session_note_allow(s, m);
	session_timer_by_answer(s, m);
	if (s->ops->established)
		s->ops->established(s->arg, m);
	session_early_run(s);
	session_pump(s);
	session_leave(s);
}

/* True: the INVITE was sent again. */
static bool mend(struct session_call *c, const struct sip_msg *m)
{
	uint32_t min;
	if (m->status != 422 || !c->expires || c->mends >= SESSION_MENDS || !session_peer_min_se(m, &min) || min > SESSION_SE_MAX)
		return false;
	c->mends++;
	c->min_se = min > c->min_se ? min : c->min_se;
	c->min_se_said = true;
	c->expires = c->expires > min ? c->expires : min;
	c->session->asked = c->expires;
	return send_invite(c, c->session) == 0;
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct session_call *c = arg;
	struct sip_session *s = c->session;
	if (m->status < 200) {
		if (s && m->status > 100 && s->ops->progress) {
			session_enter(s);
			s->ops->progress(s->arg, m);
			session_leave(s);
		}
	} else if (m->status < 300) {
		if (s)
			win(c, m, from);
		else
			lose(c, m);
	} else {
		sip_client_drop(ct);
		c->ct = NULL;
		if (s && mend(c, m))
			return;
		if (s) {
			session_enter(s);
			s->call = NULL;
			c->session = NULL;
			session_over(s, SIP_SESSION_REFUSED, m->status, false, m);
			session_leave(s);
		}
		call_free(c);
	}
}

static void on_done(void *arg, enum sip_done why)
{
	struct session_call *c = arg;
	struct sip_session *s = c->session;
	c->ct = NULL;
	if (s) {
		session_enter(s);
		s->call = NULL;
		c->session = NULL;
		session_over(s, SIP_SESSION_NO_ANSWER, why == SIP_DONE_TRANSPORT ? 503 : 408, true, NULL);
		session_leave(s);
	}
	call_free(c);
}
