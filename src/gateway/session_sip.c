/* SPDX-License-Identifier: Apache-2.0 */
/* What a session carries in its dialog: a MESSAGE for each text (RFC 3428 6), one after the other, and for what is no text a MESSAGE or
 * an INFO, which Lync's clients speak for typing. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/session_int.h"

enum { AGAIN_MS = 5000 }; /* the text of an INVITE that comes once more as a MESSAGE is not told twice */

/* What a request of ours was about. */
struct sent {
	struct list node;      /* in leg_data */
	struct outgoing *text; /* NULL: no text */
	bool replaces;
	size_t len;
	char type[];           /* of what is no text */
};

struct leg {
	struct list sent; /* of struct sent: on their way, or waiting in the engine */
};

static struct sent *sent_new(struct session *s, struct outgoing *text, struct slice type)
{
	struct leg *l = s->leg_data;
	struct sent *t = mem_calloc(1, sizeof *t + type.len + 1);
	t->text = text;
	t->len = type.len;
	if (type.len)
		memcpy(t->type, type.p, type.len);
	list_append(&l->sent, &t->node);
	return t;
}

static void sent_free(struct sent *t)
{
	list_remove(&t->node);
	mem_free(t);
}

static void leg_make(struct session *s)
{
	if (s->leg_data)
		return;
	struct leg *l = MEM_NEW(struct leg);
	list_init(&l->sent);
	s->leg_data = l;
}

void session_leg_sip_resume(struct session *s)
{
	leg_make(s);
}

static bool leg_offer(struct session *s, struct sdp_local *local, struct arena *a)
{
	(void)local, (void)a;
	leg_make(s);
	return true;
}

static bool leg_answered(struct session *s, const struct sdp_im_media *peer, struct arena *a)
{
	(void)s, (void)a;
	return peer->can_receive;
}

static int leg_answer(struct session *s, const struct sdp_im_media *peer, struct sdp_local *local, struct arena *a)
{
	(void)peer, (void)local, (void)a;
	leg_make(s);
	return 200;
}

static bool leg_open(struct session *s)
{
	(void)s;
	return true;
}

/* ---- out */

static bool dead(const struct sip_session_result *r)
{
	return r->status == 408 || r->status == 480 || r->status == 481 || (!r->left && !r->expired);
}

/* With its markup where the peer takes that, and the two together are not too much. */
static void pack(struct session *s, struct outgoing *o, struct slice *ret_type, struct slice *ret_body)
{
	struct interwork_im_carrier carrier = {.accept = slice_str(s->accept_types ? s->accept_types : ""),
					       .wrapped = slice_str(s->accept_wrapped_types ? s->accept_wrapped_types : ""),
					       .max = page_text_max(s->g, o)};
	struct slice type, body;
	*ret_type = o->page.content_type;
	*ret_body = o->page.body;
	if (o->page.html.len && interwork_im_pack(&type, &body, o->arena, &o->page, &carrier).action == INTERWORK_IM_PASS) {
		*ret_type = type;
		*ret_body = body;
	}
}

static size_t leg_text_max(struct gateway *g, const struct session *s, const struct outgoing *o)
{
	(void)s;
	return page_text_max(g, o);
}

static void leg_text(struct session *s, struct outgoing *o)
{
	struct sip_extra extra[2];
	struct slice type, body;
	size_t n = 0;
	if (o->page.body.len > page_text_max(s->g, o)) { /* it was meant for another carrier */
		session_text_over(s, o, SESSION_TEXT_REFUSED, 513, SLICE_NONE, NULL);
		return;
	}
	pack(s, o, &type, &body);
	if (o->page.subject.len)
		extra[n++] = (struct sip_extra){S("Subject"), o->page.subject};
	if (o->page.language.len)
		extra[n++] = (struct sip_extra){S("Content-Language"), o->page.language};
	struct sent *t = sent_new(s, o, SLICE_NONE);
	struct sip_session_request r = {.method = SIP_MESSAGE, .content_type = type, .body = body,
					.headers = extra, .n_headers = n, .token = t};
	int rc = sip_session_send(s->sip, &r);
	if (!rc) {
		metric_add(METRIC_SIP_REQUESTS_OUT, 1);
		return;
	}
	sent_free(t);
	if (rc == ENTENTE_ECLOSED)
		session_text_over(s, o, SESSION_TEXT_DEAD, 481, SLICE_NONE, NULL);
	else
		session_text_over(s, o, SESSION_TEXT_REFUSED, rc == ENTENTE_ELIMIT ? 503 : 500, SLICE_NONE, NULL);
}

static void take_back(struct session *s, struct slice type)
{
	struct leg *l = s->leg_data;
	LIST_EACH(n, &l->sent) {
		struct sent *t = CONTAINER_OF(n, struct sent, node);
		if (t->replaces && slice_eq(slice_of(t->type, t->len), type) && sip_session_unsend(s->sip, t))
			sent_free(t);
	}
}

static bool leg_signal(struct session *s, const struct carried *in)
{
	if (!in->info && !sdp_accepts(slice_str(s->accept_types ? s->accept_types : ""), in->content_type))
		return false;
	if (in->info && !(s->conversation->heard & HEARD_KEYBOARD) && s->dialect->typing != DIALECT_KEYBOARD)
		return false;
	if (in->replaces)
		take_back(s, in->content_type);
	struct sent *t = sent_new(s, NULL, in->content_type);
	t->replaces = in->replaces;
	struct sip_session_request r = {.method = in->info ? SIP_INFO : SIP_MESSAGE, .content_type = in->content_type, .body = in->body,
					.headers = in->headers, .n_headers = in->n_headers, .ttl_ms = in->true_ms, .token = t};
	if (sip_session_send(s->sip, &r)) {
		sent_free(t);
		return false;
	}
	metric_add(METRIC_SIP_REQUESTS_OUT, 1);
	return true;
}

static void leg_sent(struct session *s, void *token, const struct sip_session_result *r)
{
	struct sent *t = token;
	struct outgoing *o = t->text;
	struct slice none = SLICE_NONE;
	if (!o) {
		if (!r->expired && r->status)
			signals_carried(s->g, s->conversation, slice_of(t->type, t->len), r->status);
		sent_free(t);
		return;
	}
	sent_free(t);
	if (r->status >= 200 && r->status < 300)
		session_text_over(s, o, SESSION_TEXT_DELIVERED, r->status, none, NULL);
	else if (dead(r))
		session_text_over(s, o, SESSION_TEXT_DEAD, r->status ? r->status : 408, slice_str(sip_status_phrase(r->status ? r->status : 408)), r->msg);
	else
		session_text_over(s, o, SESSION_TEXT_REFUSED, r->status, slice_str(sip_status_phrase(r->status)), r->msg);
}

/* ---- in */

/* The text that came with the INVITE, said again. */
static bool again(struct session *s, const struct sip_msg *m)
{
	bool same = s->first_hash && s->g->cfg.timers->now - s->first_at <= AGAIN_MS && hash_slice(m->body) == s->first_hash;
	s->first_hash = 0;
	return same;
}

/* Who speaks was settled when the session began: a dialog does not change hands, nor does the device. */
static void sender(struct session *s, const struct sip_msg *m, struct arena *a, struct xmpp_jid *ret)
{
	struct slice bare = s->conversation->pair.local;
	struct xmpp_jid j;
	if (!s->instance && !interwork_sender_to_jid(&j, a, m, NULL))
		s->instance = mem_strndup(j.resource.p ? j.resource.p : "", j.resource.len);
	if (!s->instance || !*s->instance || xmpp_jid_parse(ret, a, arena_printf(a, "%.*s/%s", SFMT(bare), s->instance)))
		xmpp_jid_parse(ret, a, bare);
}

static void message(struct session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct conversation *c = s->conversation;
	struct gateway *g = s->g;
	const struct sip_header *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct slice uri = m->uri_text;
	struct xmpp_jid remote;
	struct incoming in = {.way = &incoming_by_request, .id = sip_server_id(st), .msg = m, .content_type = type ? type->value : SLICE_NONE,
			      .body = m->body, .home = from->target, .in_session = true, .from_text = m->from.uri_text, .method = "MESSAGE",
			      .conversation = c};
	if (xmpp_jid_parse(&remote, a, c->pair.remote) || interwork_jid_to_sip(&uri, a, &remote, false, NULL))
		remote = (struct xmpp_jid){.bare = c->pair.remote, .domain = jid_domain(c->pair.remote)};
	in.to_text = uri;
	gateway_record_session(g, st, m, from, uri);
	if (again(s, m)) {
		record_hop(g->cfg.records, g->record, RECORD_DROPPED, 0, REASON_NONE);
		gateway_record_told(g, g->record, 200, RECORD_IGNORED, REASON_NONE);
		sip_server_reply(st, 200);
		return;
	}
	sender(s, m, a, &in.from);
	in.to = remote;
	message_incoming(g, &in, a);
}

static void leg_request(struct session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct gateway *g = s->g;
	metric_add(METRIC_SIP_REQUESTS_IN, 1);
	gateway_home_heard(g, s->home, m);
	if (m->method == SIP_INFO) {
		const struct sip_header *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
		if (slice_find(m->body, S("KeyboardActivity")) >= 0)
			s->conversation->heard |= HEARD_KEYBOARD;
		sip_server_reply(st, signals_info(g, s->conversation, type ? type->value : SLICE_NONE, m->body));
	} else {
		message(s, st, m, a, from);
	}
	g->record = 0;
	sip_stack_release(g->cfg.stack, a);
}

static void leg_close(struct session *s)
{
	struct leg *l = s->leg_data;
	if (!l)
		return;
	LIST_EACH(n, &l->sent)
		sent_free(CONTAINER_OF(n, struct sent, node));
	s->leg_data = mem_free(l);
}

const struct session_leg session_leg_sip = {
	.name = "session", .form = SDP_IM_SIP, .window = 1, .offer = leg_offer, .answered = leg_answered, .answer = leg_answer, .open = leg_open,
	.text_max = leg_text_max, .text = leg_text, .signal = leg_signal, .request = leg_request, .sent = leg_sent, .close = leg_close,
};
