/* SPDX-License-Identifier: Apache-2.0 */
/* What a session carries by MSRP (RFC 4975, mapped by RFC 7573): a message for each text, answered hop by hop, with a REPORT where a receipt
 * was asked for. The connection is the edge's, the protocol is msrp/session.h's; here is which path is said, who connects (RFC 6135), how a
 * text is wrapped for the types that the peer takes, and what the answers mean. */
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/session_int.h"

enum { SIGNALS_MAX = 16 };

struct leg {
	struct session *s;
	struct msrp_session *m;
	char id[MSRP_SESSION_ID_MAX];
	char *path, *peer_path, *fingerprint; /* owned; the peer's: NULL until known */
	uint64_t peer_max;           /* a=max-size; 0: not said */
	char *address;               /* owned */
	uint16_t port;
	bool tls, active, connected; /* active: we connect; connected: we have asked for it */
	uint64_t line;               /* of ours */
	struct outgoing *text;       /* under way, with this number */
	uint64_t number;
	struct {
		uint64_t number;
		char type[64];
		bool replaces;
	} signals[SIGNALS_MAX];
	struct list asked;           /* of struct asked */
};

struct asked { /* a message that came, until it is answered */
	struct map_node node; /* in g->msrp_asked; key: id */
	struct list link;
	struct leg *leg;
	uint64_t id, token, record, since;
};

/* ---- answers to what came in */

static struct asked *find_asked(const struct gateway *g, uint64_t id)
{
	struct map_node *n = map_find(&g->msrp_asked, slice_of((const char *)&id, sizeof id));
	return n ? CONTAINER_OF(n, struct asked, node) : NULL;
}

static void asked_free(struct gateway *g, struct asked *q)
{
	map_remove(&g->msrp_asked, &q->node);
	list_remove(&q->link);
	mem_free(q);
}

/* A status of SIP as one of MSRP (RFC 4975 10), where there are few. */
static int to_msrp(int status)
{
	switch (status) {
	case 200 ... 299: return 200; /* 202, too: it will be delivered, or its sender hears of it */
	case 400: case 415: case 501: return status;
	case 413: case 513: return 413;
	case 405: return 501;
	case 408: case 480: case 500: case 503: case 504: return 408; /* it may be tried again */
	default: return 403;
	}
}

/* The other way: what a SIP response with the meaning would have been (RFC 7573, and 7701 for 424 to 428). */
static int to_sip(int status)
{
	switch (status) {
	case 423: return 400;
	case 424: return 406;
	case 428: return 501;
	case 506: return 481;
	default: return status;
	}
}

static void msrp_answer(struct gateway *g, uint64_t id, const struct sip_answer *answer)
{
	struct asked *q = find_asked(g, id);
	if (!q)
		return;
	if (q->leg->m)
		msrp_session_answer(q->leg->m, q->token, to_msrp(answer->status), answer->status < 300 ? SLICE_NONE : slice_first(answer->reason, 128));
	asked_free(g, q);
}

static bool msrp_known(struct gateway *g, uint64_t id, uint64_t *ret_record, uint64_t *ret_since)
{
	struct asked *q = find_asked(g, id);
	*ret_record = q ? q->record : 0;
	*ret_since = q ? q->since : 0;
	return q != NULL;
}

const struct incoming_way incoming_by_msrp = {.ticket = TICKET_MESSAGE_MSRP, .answer = msrp_answer, .known = msrp_known};

/* ---- what comes in */

static void on_message(void *arg, const struct msrp_message *m)
{
	struct leg *l = arg;
	struct session *s = l->s;
	struct gateway *g = s->g;
	struct conversation *c = s->conversation;
	const struct sip_dialog *d = s->sip ? sip_session_dialog(s->sip) : NULL;
	struct sip_msg of_session = {.is_request = true, .method = SIP_INVITE, .call_id = s->sip ? sip_session_call_id(s->sip) : SLICE_NONE};
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct incoming in = {.way = &incoming_by_msrp, .msg = &of_session, .content_type = m->content_type, .body = m->body,
			      .message_id = m->message_id, .success_report = m->success_report, .home = s->home, .in_session = true,
			      .method = "SEND", .conversation = c};
	struct slice from = c->pair.local, to = c->pair.remote;
	session_used(s);
	if (d)
		of_session.from.tag = d->remote_tag;
	if (!s->sip || xmpp_jid_parse(&in.from, a, c->pair.local) || xmpp_jid_parse(&in.to, a, c->pair.remote)) {
		msrp_session_answer(l->m, m->token, 403, SLICE_NONE); /* it is being hung up */
		arena_release(g->cfg.arenas, a);
		return;
	}
	if (interwork_jid_to_sip(&from, a, &in.from, false, NULL))
		from = c->pair.local;
	if (interwork_jid_to_sip(&to, a, &in.to, false, NULL))
		to = c->pair.remote;
	in.from_text = from;
	in.to_text = to;
	gateway_record_msrp(g, from, to, m->message_id, msrp_session_line(l->m));
	struct asked *q = MEM_NEW(struct asked);
	q->leg = l;
	q->id = in.id = ++g->next_id;
	q->token = m->token;
	q->record = g->record;
	q->since = g->cfg.timers->now;
	map_insert(&g->msrp_asked, &q->node, slice_of((const char *)&q->id, sizeof q->id));
	list_append(&l->asked, &q->link);
	message_incoming(g, &in, a);
	g->record = 0;
	arena_release(g->cfg.arenas, a);
}

/* ---- what became of what went out */

static void text_over(struct leg *l, int status, struct slice comment)
{
	struct session *s = l->s;
	struct outgoing *o = l->text;
	l->text = NULL;
	l->number = 0;
	if (status == 200) {
		session_text_over(s, o, SESSION_TEXT_DELIVERED, 200, SLICE_NONE, NULL);
		return;
	}
	if (status && status != 408 && status != 481 && status != 506) {
		session_text_over(s, o, SESSION_TEXT_REFUSED, to_sip(status), comment.len ? comment : slice_str(msrp_status_text(status)), NULL);
		return;
	}
	session_text_over(s, o, SESSION_TEXT_DEAD, status ? to_sip(status) : 408, slice_str(msrp_status_text(status ? status : 408)), NULL);
	session_broken(s);
}

static void on_sent(void *arg, uint64_t number, int status, struct slice comment)
{
	struct leg *l = arg;
	if (l->text && number == l->number) {
		text_over(l, status, comment);
		return;
	}
	for (size_t i = 0; i < SIGNALS_MAX; i++)
		if (l->signals[i].number == number) {
			l->signals[i].number = 0;
			if (status)
				signals_carried(l->s->g, l->s->conversation, slice_str(l->signals[i].type), to_sip(status));
			return;
		}
}

static void on_report(void *arg, uint64_t number, struct slice message_id, int status, struct slice comment)
{
	struct leg *l = arg;
	(void)number, (void)comment;
	session_used(l->s);
	signals_reported(l->s->g, l->s->conversation, message_id, to_sip(status));
}

static void on_open(void *arg)
{
	struct leg *l = arg;
	session_ready(l->s);
}

static void on_ended(void *arg, enum msrp_end why, int status)
{
	static const char *const texts[] = {"the connection was lost", "nobody has connected", "the other side does not know the session"};
	struct leg *l = arg;
	(void)status;
	log_ev_limited(LOG_INFO, "msrp/session-ended", l->s->conversation->pair.remote, {"from", l->s->conversation->pair.remote},
		       {"to", l->s->conversation->pair.local}, {"text", slice_str(texts[why])});
	l->m = msrp_session_free(l->m);
	session_broken(l->s);
}

static const struct msrp_session_ops msrp_ops = {on_message, on_sent, on_report, on_open, on_ended};

/* ---- descriptions */

static void drop_path(struct leg *l)
{
	struct gateway *g = l->s->g;
	l->m = msrp_session_free(l->m);
	if (l->line)
		g->ops->msrp_close(g->arg, l->line);
	l->line = l->number = 0;
	l->connected = false;
	memset(l->signals, 0, sizeof l->signals);
	LIST_EACH(n, &l->asked) /* who asked will ask again */
		asked_free(g, CONTAINER_OF(n, struct asked, link));
	l->path = mem_free(l->path);
	l->address = mem_free(l->address);
	l->peer_path = mem_free(l->peer_path);
	l->fingerprint = mem_free(l->fingerprint);
}

/* A path of our own. False: there is no way. */
static bool make_path(struct session *s, bool tls)
{
	struct gateway *g = s->g;
	struct leg *l = s->leg_data;
	struct gateway_msrp_place place;
	struct msrp_session_config c = {.max_message = g->cfg.max_msrp_message};
	char path[400];
	if (!g->msrp || !g->ops->msrp_place || !g->ops->msrp_place(g->arg, s->home, tls, &place))
		return false;
	if (!l) {
		l = MEM_NEW(struct leg);
		l->s = s;
		list_init(&l->asked);
		s->leg_data = l;
	}
	msrp_hub_new_id(place.worker, l->id);
	snprintf(path, sizeof path, "%s://%.*s/%s;tcp", tls ? "msrps" : "msrp", SFMT(slice_first(place.authority, 280)), l->id);
	l->path = mem_strndup(path, strlen(path));
	l->address = mem_strndup(place.address.p, place.address.len);
	l->port = place.port;
	l->tls = tls;
	c.id = slice_str(l->id);
	c.from_path = slice_str(l->path);
	l->m = msrp_session_new(g->msrp, &c, &msrp_ops, l);
	return l->m != NULL;
}

static void say(const struct leg *l, struct sdp_local *local, struct slice setup)
{
	local->tls = l->tls;
	local->path = slice_str(l->path);
	local->address = slice_str(l->address);
	local->port = l->port;
	local->setup = setup;
	local->accept_wrapped_types = S("text/plain text/html message/imdn+xml application/im-iscomposing+xml");
	local->max_size = l->s->g->cfg.max_msrp_message;
}

static bool leg_offer(struct session *s, struct sdp_local *local, struct arena *a)
{
	struct leg *l = s->leg_data;
	(void)a;
	if (!l || !l->m) {
		struct gateway_home h;
		bool tls = gateway_home(s->g, s->home, &h) && h.flow.transport == SIP_TLS;
		if (!make_path(s, tls) && !make_path(s, !tls))
			return false;
		l = s->leg_data;
	}
	say(l, local, S("actpass")); /* RFC 6135 4.2.2 */
	return true;
}

/* The peer is there. False: it cannot be reached so. */
static bool use_peer(struct leg *l, const struct sdp_im_media *peer, bool active)
{
	struct msrp_path p;
	if (peer->tls != l->tls || msrp_path_parse(peer->path, &p) || p.uri[0].secure != l->tls || msrp_session_peer(l->m, peer->path))
		return false;
	mem_free(l->peer_path);
	mem_free(l->fingerprint);
	l->peer_path = mem_strndup(peer->path.p, peer->path.len);
	l->fingerprint = mem_strndup(peer->fingerprint.p ? peer->fingerprint.p : "", peer->fingerprint.len);
	l->active = active;
	l->peer_max = peer->max_size;
	return true;
}

static bool same_peer(const struct leg *l, const struct sdp_im_media *peer)
{
	return l->m && l->peer_path && l->tls == peer->tls && slice_eq(slice_str(l->peer_path), peer->path);
}

static bool leg_answered(struct session *s, const struct sdp_im_media *peer, struct arena *a)
{
	struct leg *l = s->leg_data;
	(void)a;
	if (!l || !l->m)
		return false;
	if (l->peer_path)
		return same_peer(l, peer);
	return use_peer(l, peer, !slice_ieq(peer->setup, S("active"))); /* without a word the one who offers connects (RFC 4975 5.4) */
}

static void send_text(struct leg *l);

/* Connects if that is ours to do. A text that was under way by another path goes by this one. */
static void go(struct leg *l)
{
	struct gateway *g = l->s->g;
	struct msrp_path p;
	if (l->active && !l->connected && !msrp_path_parse(slice_str(l->peer_path), &p)) {
		l->connected = true;
		l->line = g->ops->msrp_connect(g->arg, &p.uri[0], p.n == 1 ? slice_str(l->fingerprint) : SLICE_NONE); /* a relay is not the client */
		msrp_session_connect(l->m, l->line);
	}
	if (l->text && !l->number)
		send_text(l);
}

static int leg_answer(struct session *s, const struct sdp_im_media *peer, struct sdp_local *local, struct arena *a)
{
	struct leg *l = s->leg_data;
	bool active = slice_ieq(peer->setup, S("passive"));
	struct slice setup = active ? S("active") : peer->setup.len ? S("passive") : SLICE_NONE;
	bool moved = l && l->peer_path && !same_peer(l, peer); /* a session of its own then (RFC 4975 8.4) */
	struct gateway_msrp_place place;
	struct msrp_path p;
	(void)a;
	if (moved && (msrp_path_parse(peer->path, &p) || p.uri[0].secure != peer->tls || !s->g->ops->msrp_place(s->g->arg, s->home, peer->tls, &place)))
		return 488; /* all stays as it is (RFC 3261 14.2) */
	if (moved)
		drop_path(l);
	if (!l || !l->m) {
		if (!make_path(s, peer->tls))
			return 488;
		l = s->leg_data;
	}
	if (!l->peer_path && !use_peer(l, peer, active))
		return 488;
	say(l, local, setup);
	if (moved && s->state == SESSION_OPEN)
		go(l);
	return 200;
}

static bool leg_open(struct session *s)
{
	struct leg *l = s->leg_data;
	if (!l->m)
		return false;
	go(l);
	return msrp_session_is_open(l->m);
}

/* ---- out */

static size_t leg_text_max(struct gateway *g, const struct session *s, const struct outgoing *o)
{
	const struct leg *l = s ? s->leg_data : NULL;
	(void)o;
	return l && l->peer_max && l->peer_max < g->cfg.max_msrp_message ? (size_t)l->peer_max : g->cfg.max_msrp_message;
}

/* As the peer takes it: by itself, or in message/cpim (RFC 4975 8.6). */
static struct interwork_im_verdict pack(const struct leg *l, struct outgoing *o, struct arena *a, struct slice *ret_type, struct slice *ret_body)
{
	const struct session *s = l->s;
	struct slice accept = slice_str(s->accept_types ? s->accept_types : ""), wrapped = slice_str(s->accept_wrapped_types ? s->accept_wrapped_types : "");
	struct cpim_headers h = {.from = o->from_uri, .to = o->uri, .date = o->page.date, .subject = o->page.subject, .subject_lang = o->page.language};
	struct interwork_im_carrier carrier = {.accept = accept, .wrapped = wrapped, .max = leg_text_max(s->g, s, o)};
	if (!interwork_accepts(accept, o->page.content_type) && interwork_accepts(accept, S("message/cpim")))
		carrier.cpim = &h;
	return interwork_im_pack(ret_type, ret_body, a, &o->page, &carrier);
}

/* The same for each attempt: who has had it knows it again (RFC 4975 5.4). */
static struct slice message_id_of(const struct outgoing *o, struct arena *a)
{
	struct slice key = arena_printf(a, "%.*s %.*s %llu", SFMT(o->remote), SFMT(o->local), (unsigned long long)o->serial);
	return arena_printf(a, "m%016llx", (unsigned long long)hash_slice(key));
}

static void send_text(struct leg *l)
{
	struct outgoing *o = l->text;
	struct arena *a = arena_acquire(l->s->g->cfg.arenas);
	struct msrp_text t = {.success_report = o->report};
	struct interwork_im_verdict v = pack(l, o, a, &t.content_type, &t.body);
	int status = 0, rc;
	if (v.action == INTERWORK_IM_REFUSE) {
		status = reason_info(v.reason)->sip_status;
	} else {
		t.message_id = o->token.len ? o->token : arena_dup(o->arena, message_id_of(o, a));
		rc = msrp_session_send(l->m, &t, &l->number);
		if (rc == ENTENTE_ELIMIT && o->page.html.len) { /* the text alone may not be too much */
			o->page.html = SLICE_NONE;
			if (pack(l, o, a, &t.content_type, &t.body).action == INTERWORK_IM_PASS)
				rc = msrp_session_send(l->m, &t, &l->number);
		}
		status = !rc ? 0 : rc == ENTENTE_ECLOSED ? 481 : rc == ENTENTE_ELIMIT ? 413 : 400;
	}
	if (status)
		text_over(l, status, slice_str(v.why));
	arena_release(l->s->g->cfg.arenas, a);
}

static void leg_text(struct session *s, struct outgoing *o)
{
	struct leg *l = s->leg_data;
	l->text = o;
	if (!l->m)
		text_over(l, 481, SLICE_NONE);
	else
		send_text(l);
}

static bool leg_signal(struct session *s, const struct carried *in)
{
	struct leg *l = s->leg_data;
	struct slice accept = slice_str(s->accept_types ? s->accept_types : ""), wrapped = slice_str(s->accept_wrapped_types ? s->accept_wrapped_types : "");
	struct msrp_text t = {.content_type = in->content_type, .body = in->body, .urgent = in->true_ms > 0};
	struct buf b, headers;
	bool ok = false;
	size_t slot = SIGNALS_MAX;
	if (!l || !l->m || in->info || !msrp_session_is_open(l->m))
		return false;
	for (size_t i = 0; i < SIGNALS_MAX; i++) {
		if (in->replaces && l->signals[i].number && l->signals[i].replaces && slice_eq(slice_str(l->signals[i].type), in->content_type)) {
			msrp_session_cancel(l->m, l->signals[i].number);
			l->signals[i].number = 0;
		}
		if (!l->signals[i].number)
			slot = i;
	}
	if (slot == SIGNALS_MAX)
		return false;
	buf_init(&b, 65536);
	buf_init(&headers, 2048);
	if (!interwork_accepts(accept, in->content_type)) {
		struct arena *a = arena_acquire(s->g->cfg.arenas);
		struct cpim_headers h = {0};
		struct xmpp_jid from, to;
		if (interwork_accepts(accept, S("message/cpim")) && interwork_accepts(wrapped.len ? wrapped : accept, in->content_type) &&
		    !xmpp_jid_parse(&from, a, s->conversation->pair.remote) && !xmpp_jid_parse(&to, a, s->conversation->pair.local) &&
		    !interwork_jid_to_sip(&h.from, a, &from, false, NULL) && !interwork_jid_to_sip(&h.to, a, &to, false, NULL)) {
			cpim_write(&b, &h, in->content_type, in->body);
			t.content_type = S("message/cpim");
			t.body = buf_slice(&b);
		} else {
			b.failed = true;
		}
		arena_release(s->g->cfg.arenas, a);
	} else {
		for (size_t i = 0; i < in->n_headers; i++)
			if (slice_istarts(in->headers[i].name, S("Content-")))
				buf_printf(&headers, "%.*s: %.*s\r\n", SFMT(in->headers[i].name), SFMT(in->headers[i].value));
		t.headers = buf_slice(&headers);
	}
	if (buf_ok(&b) && buf_ok(&headers) && !msrp_session_send(l->m, &t, &l->signals[slot].number)) {
		slice_cstr(in->content_type, l->signals[slot].type, sizeof l->signals[slot].type);
		l->signals[slot].replaces = in->replaces;
		ok = true;
	}
	buf_free(&b);
	buf_free(&headers);
	return ok;
}

static bool leg_report(struct session *s, struct slice message_id, int status)
{
	struct leg *l = s->leg_data;
	return l && l->m && msrp_session_report(l->m, message_id, to_msrp(status), SLICE_NONE);
}

static void leg_close(struct session *s)
{
	struct leg *l = s->leg_data;
	if (!l)
		return;
	drop_path(l);
	s->leg_data = mem_free(l);
}

const struct session_leg session_leg_msrp = {
	.name = "msrp", .form = SDP_IM_MSRP, .window = 1, .offer = leg_offer, .answered = leg_answered, .answer = leg_answer, .open = leg_open,
	.text_max = leg_text_max, .text = leg_text, .signal = leg_signal, .report = leg_report, .close = leg_close,
};

/* ---- of the edge */

static bool hub_write(void *arg, uint64_t line, struct slice octets)
{
	struct gateway *g = arg;
	return g->ops->msrp_write(g->arg, line, octets);
}

static const struct msrp_hub_ops hub_ops = {.write = hub_write};

void msrp_start(struct gateway *g)
{
	map_init(&g->msrp_asked);
	if (g->ops->msrp_place)
		g->msrp = msrp_hub_new(g->cfg.timers, &hub_ops, g);
}

void msrp_stop(struct gateway *g)
{
	g->msrp = msrp_hub_free(g->msrp);
	map_free(&g->msrp_asked);
}

void gateway_msrp_input(struct gateway *g, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p)
{
	if (g->msrp)
		msrp_hub_input(g->msrp, line, session, tid, p);
}

void gateway_msrp_up(struct gateway *g, uint64_t line)
{
	if (g->msrp)
		msrp_hub_up(g->msrp, line);
}

void gateway_msrp_writable(struct gateway *g, uint64_t line)
{
	if (g->msrp)
		msrp_hub_writable(g->msrp, line);
}

void gateway_msrp_lost(struct gateway *g, uint64_t line)
{
	if (g->msrp)
		msrp_hub_lost(g->msrp, line);
}
