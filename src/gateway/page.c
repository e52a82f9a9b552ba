/* SPDX-License-Identifier: Apache-2.0 */
/* Carrier: page mode (RFC 3428). Each text is a MESSAGE of its own. One to the same SIP user at a time, the others wait in order (RFC
 * 3428 8); what is no text goes between texts, and only while it is true. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/session.h"

enum { MAX_SIGNALS = 32 }; /* per SIP user */

/* A SIP user with MESSAGEs waiting, one of them sent. */
struct target {
	struct map_node node; /* key: bare JID */
	struct gateway *g;
	struct list texts;    /* of struct outgoing */
	struct list signals;  /* of struct page_signal */
	size_t count, octets; /* of texts */
	unsigned n_signals;
	struct outgoing *text;      /* the one that was sent, until it is answered: still the first of the list */
	struct page_signal *signal; /* or this one, in no list */
	struct sip_client_trans *trans;
	bool busy;
	bool after_signal; /* the last that was sent was no text: now one that waits has its turn */
	char key[];
};

struct page_signal {
	struct list node;
	struct conversation *conversation;
	struct slice content_type, body;
	uint64_t until; /* by the timers; 0: always */
	bool replaces;
	size_t n_headers;
	struct sip_extra *headers;
	char mem[];
};

static void target_send(struct target *t);

static struct target *target_find(struct gateway *g, struct slice local)
{
	struct map_node *n = map_find(&g->targets, local);
	return n ? CONTAINER_OF(n, struct target, node) : NULL;
}

static struct target *target_of(struct gateway *g, struct slice local)
{
	struct target *t = target_find(g, local);
	if (t)
		return t;
	t = mem_calloc(1, sizeof *t + local.len);
	t->g = g;
	memcpy(t->key, local.p, local.len);
	list_init(&t->texts);
	list_init(&t->signals);
	map_insert(&g->targets, &t->node, slice_of(t->key, local.len));
	return t;
}

static void target_free(struct target *t)
{
	map_remove(&t->g->targets, &t->node);
	mem_free(t);
}

/* The text leaves the queue; whoever asked for it ends it. */
static void text_out_of(struct target *t, struct outgoing *o)
{
	list_remove(&o->node);
	t->count--;
	t->octets -= o->octets;
	if (t->text == o)
		t->text = NULL;
}

static void signal_free(struct target *t, struct page_signal *s)
{
	list_remove(&s->node);
	t->n_signals--;
	if (t->signal == s)
		t->signal = NULL;
	s->conversation->queued--;
	mem_free(s->headers);
	mem_free(s);
}

static void signal_over(struct target *t, int status)
{
	struct page_signal *s = t->signal;
	if (s) {
		signals_carried(t->g, s->conversation, s->content_type, status);
		signal_free(t, s);
	}
}

/* ---- the answer */

/* The home has shown by its refusal that it speaks another way: once more, that way. */
static bool in_session(struct outgoing *o)
{
	struct conversation *c = o->conversation;
	if (o->tries || c->session) /* what came after it may have gone in that session already */
		return false;
	session_choose(c, o->home, true);
	if (c->carrier == &page_carrier || c->carrier->room(c, o))
		return false;
	o->tries++;
	c->carrier->send(c, o);
	return true;
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct target *t = arg;
	struct outgoing *o = t->text;
	(void)ct;
	(void)from;
	if (m->status < 200)
		return;
	signal_over(t, m->status);
	if (!o)
		return;
	if (m->status == 415 && o->marked) { /* another client than we heard: the text alone, once this transaction is done */
		o->conversation->heard &= ~(unsigned)HEARD_ALTERNATIVE;
		o->page.html = SLICE_NONE;
		t->text = NULL;
		return;
	}
	text_out_of(t, o);
	gateway_home_heard(t->g, o->home, m);
	if (m->status < 300 || (m->status == 482 && sip_client_repeated(ct)))
		outgoing_delivered(o, m->status < 300 ? m->status : 200);
	else if (!in_session(o))
		outgoing_answered(o, m);
}

static void on_done(void *arg, enum sip_done why)
{
	struct target *t = arg;
	struct outgoing *o = t->text;
	t->trans = NULL;
	signal_over(t, why == SIP_DONE_TRANSPORT ? 503 : 408);
	if (o) {
		text_out_of(t, o);
		outgoing_failed(o, why == SIP_DONE_TRANSPORT ? REASON_SIP_HOME_UNREACHABLE : REASON_SIP_TIMEOUT);
	}
	target_send(t);
}

static const struct sip_client_handler handler = {.response = on_response, .done = on_done};

/* ---- the request */

static void write_head(struct conversation *c, struct buf *b, struct slice from_uri, struct slice uri, struct slice call_id, int max_forwards)
{
	conversation_touch(c);
	rand_token(c->call_id, 24); /* each its own (RFC 3261 8.1.1.4): linphone throws away the second with the same as a duplicate */
	sip_build_request(b, S("MESSAGE"), uri);
	sip_build_header_uint(b, SIP_H_MAX_FORWARDS, (uint64_t)max_forwards);
	sip_build_header_fmt(b, SIP_H_FROM, "<%.*s>;tag=%s", SFMT(from_uri), c->tag);
	sip_build_header_fmt(b, SIP_H_TO, "<%.*s>", SFMT(uri));
	sip_build_header(b, SIP_H_CALL_ID, call_id.len ? call_id : slice_str(c->call_id));
	sip_build_header_fmt(b, SIP_H_CSEQ, "%u MESSAGE", ++c->cseq);
}

static enum reason send_out(struct target *t, uint32_t home)
{
	struct gateway *g = t->g;
	struct gateway_home h;
	if (!gateway_home(g, home, &h))
		return REASON_SIP_HOME_UNREACHABLE;
	if (!buf_ok(&g->out))
		return REASON_CONTENT_TOO_LARGE;
	static const struct sip_client_opts opts = {.repeat = true};
	int rc = sip_client_start(&t->trans, g->cfg.stack, &h.flow, buf_slice(&g->out), &handler, t, &opts);
	return rc == 0 ? REASON_NONE : rc == ENTENTE_ELIMIT ? REASON_LIMIT_QUEUE_FULL : REASON_SERVER_INTERNAL;
}

void page_write_headers(struct buf *b, const struct interwork_im_page *p)
{
	if (p->subject.len)
		sip_build_header(b, SIP_H_SUBJECT, p->subject);
	if (p->language.len)
		sip_build_header(b, SIP_H_CONTENT_LANGUAGE, p->language);
	if (p->priority.len)
		sip_build_header(b, SIP_H_PRIORITY, p->priority);
	if (p->date.len)
		sip_build_header(b, SIP_H_DATE, p->date);
	if (p->expires >= 0)
		sip_build_header_uint(b, SIP_H_EXPIRES, (uint64_t)p->expires);
}

/* With its markup, where the client has shown that it reads such a thing and the two together are not too much. */
static void pack(struct outgoing *o, struct slice *ret_type, struct slice *ret_body)
{
	struct interwork_im_carrier carrier = {.accept = S("text/plain text/html multipart/alternative"),
					       .max = page_text_max(o->conversation->g, o)};
	struct slice type, body;
	*ret_type = o->page.content_type;
	*ret_body = o->page.body;
	o->marked = carrier.max && o->page.html.len && conversation_accepts(o->conversation, S("multipart/alternative")) &&
		    interwork_im_pack(&type, &body, o->arena, &o->page, &carrier).action == INTERWORK_IM_PASS;
	if (o->marked) {
		*ret_type = type;
		*ret_body = body;
	}
}

static enum reason text_start(struct target *t, struct outgoing *o)
{
	struct buf *b = &t->g->out;
	struct slice type, body;
	pack(o, &type, &body);
	buf_clear(b);
	write_head(o->conversation, b, o->from_uri, o->uri, o->token, o->page.max_forwards);
	page_write_headers(b, &o->page);
	sip_build_body(b, type, body);
	return send_out(t, o->home);
}

static enum reason signal_start(struct target *t, const struct page_signal *s)
{
	struct gateway *g = t->g;
	struct conversation *c = s->conversation;
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct xmpp_jid from, to;
	struct slice from_uri, uri;
	enum reason reason = REASON_SERVER_INTERNAL;
	if (!xmpp_jid_parse(&from, a, c->pair.remote) && !xmpp_jid_parse(&to, a, c->pair.local) &&
	    !interwork_jid_to_sip(&from_uri, a, &from, false, NULL) && !interwork_jid_to_sip(&uri, a, &to, false, NULL)) {
		buf_clear(&g->out);
		write_head(c, &g->out, from_uri, uri, SLICE_NONE, 70);
		for (size_t i = 0; i < s->n_headers; i++)
			sip_build_header_named(&g->out, s->headers[i].name, s->headers[i].value);
		sip_build_body(&g->out, s->content_type, s->body);
		reason = send_out(t, c->home);
	}
	arena_release(g->cfg.arenas, a);
	return reason;
}

/* True: one was sent. */
static bool signals_send(struct target *t)
{
	for (struct list *n; (n = list_head(&t->signals));) {
		struct page_signal *s = CONTAINER_OF(n, struct page_signal, node);
		if (s->until && s->until < t->g->cfg.timers->now) {
			signal_free(t, s);
			continue;
		}
		t->signal = s;
		if (!signal_start(t, s)) {
			t->after_signal = true;
			list_remove(&s->node);
			metric_add(METRIC_SIP_REQUESTS_OUT, 1);
			return true;
		}
		signal_over(t, 503);
	}
	return false;
}

/* Sends what is next; what cannot be sent goes back, and the next one is tried. Frees a target with nothing left. Signals are quick and go
 * first, but never twice before a text that waits: one who types on and off would keep everybody's texts away. */
static void target_send(struct target *t)
{
	t->busy = true; /* what comes in meanwhile only queues */
	if (!(t->after_signal && list_head(&t->texts)) && signals_send(t))
		return;
	t->after_signal = false;
	for (struct list *n; (n = list_head(&t->texts));) {
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		enum reason reason = text_start(t, o);
		if (!reason) {
			t->text = o;
			record_hop(t->g->cfg.records, o->record, RECORD_SENT, 0, REASON_NONE);
			gateway_record_home(t->g, o->record, o->home);
			metric_add(METRIC_SIP_REQUESTS_OUT, 1);
			return;
		}
		text_out_of(t, o);
		outgoing_failed(o, reason);
	}
	if (!signals_send(t))
		target_free(t);
}

/* ---- the carrier */

size_t page_text_max(struct gateway *g, const struct outgoing *o)
{
	struct gateway_home h;
	bool reliable = gateway_home(g, o->home, &h) && sip_reliable(h.flow.transport);
	return interwork_im_message_room(&o->page, o->from_uri, o->uri, reliable, &g->cfg.im);
}

static size_t text_max(const struct conversation *c, const struct outgoing *o)
{
	return page_text_max(c->g, o);
}

static enum reason page_room(const struct conversation *c, const struct outgoing *o)
{
	const struct gateway_config *cfg = &c->g->cfg;
	const struct target *t = target_find(c->g, c->pair.local);
	if (o->page.body.len > page_text_max(c->g, o))
		return REASON_CONTENT_TOO_LARGE;
	return t && (t->count >= cfg->max_queue || (cfg->max_queue_octets && t->octets + o->octets > cfg->max_queue_octets))
		       ? REASON_LIMIT_QUEUE_FULL
		       : REASON_NONE;
}

/* What waits and is not true any more gives way; content_type empty: of any type. */
static void replace(struct target *t, const struct conversation *c, struct slice content_type)
{
	struct list *next;
	for (struct list *n = t->signals.next; n != &t->signals; n = next) {
		struct page_signal *s = CONTAINER_OF(n, struct page_signal, node);
		next = n->next;
		if (s->conversation == c && s->replaces && (!content_type.len || slice_eq(s->content_type, content_type)))
			signal_free(t, s);
	}
}

static void page_send(struct conversation *c, struct outgoing *o)
{
	struct target *t = target_of(c->g, c->pair.local);
	replace(t, c, SLICE_NONE); /* a text ends the typing (RFC 3994 3.3), and may go first */
	list_append(&t->texts, &o->node);
	t->count++;
	t->octets += o->octets;
	if (t->busy)
		record_hop(c->g->cfg.records, o->record, RECORD_WAITS, 0, REASON_NONE);
	else
		target_send(t);
}

bool page_withdraw(struct outgoing *o)
{
	struct target *t = target_find(o->conversation->g, o->conversation->pair.local);
	for (const struct list *n = t ? t->texts.next : NULL; n && n != &t->texts; n = n->next) {
		if (n != &o->node || t->text == o)
			continue;
		text_out_of(t, o);
		return true;
	}
	return false;
}

bool page_waits(const struct conversation *c)
{
	const struct target *t = target_find(c->g, c->pair.local);
	for (const struct list *n = t ? t->texts.next : NULL; n && n != &t->texts; n = n->next)
		if (CONTAINER_OF(n, struct outgoing, node)->conversation == c)
			return true;
	return false;
}

void page_yield(struct conversation *c, void (*take)(void *arg, struct outgoing *o), void *arg)
{
	struct target *t = target_find(c->g, c->pair.local);
	struct list *next;
	for (struct list *n = t ? t->texts.next : NULL; n && n != &t->texts; n = next) {
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		next = n->next;
		if (o->conversation == c && o != t->text) {
			text_out_of(t, o);
			take(arg, o);
		}
	}
}

static struct slice kept(char **mem, struct slice s)
{
	if (s.len)
		memcpy(*mem, s.p, s.len);
	*mem += s.len;
	return slice_of(*mem - s.len, s.len);
}

static bool page_signal(struct conversation *c, const struct carried *in)
{
	if (in->info || c->home == UINT32_MAX)
		return false;
	struct target *t = target_of(c->g, c->pair.local);
	if (in->replaces)
		replace(t, c, in->content_type);
	if (t->n_signals >= MAX_SIGNALS)
		return false; /* it is busy, so it is not left behind */
	size_t n = in->content_type.len + in->body.len;
	for (size_t i = 0; i < in->n_headers; i++)
		n += in->headers[i].name.len + in->headers[i].value.len;
	struct page_signal *s = mem_calloc(1, sizeof *s + n);
	char *mem = s->mem;
	s->conversation = c;
	s->replaces = in->replaces;
	s->until = in->true_ms ? c->g->cfg.timers->now + in->true_ms : 0;
	s->content_type = kept(&mem, in->content_type);
	s->body = kept(&mem, in->body);
	s->headers = mem_calloc(in->n_headers + 1, sizeof *s->headers);
	for (s->n_headers = 0; s->n_headers < in->n_headers; s->n_headers++)
		s->headers[s->n_headers] = (struct sip_extra){kept(&mem, in->headers[s->n_headers].name), kept(&mem, in->headers[s->n_headers].value)};
	list_append(&t->signals, &s->node);
	t->n_signals++;
	c->queued++;
	if (!t->busy)
		target_send(t);
	return true;
}

static bool page_accepts(const struct conversation *c, struct slice content_type)
{
	static const struct {
		struct slice type;
		unsigned heard;
	} rows[] = {
		{S("text/plain"), ~0u},
		{S("text/html"), HEARD_HTML},
		{S("multipart/alternative"), HEARD_ALTERNATIVE},
		{S("message/cpim"), HEARD_CPIM},
		{S("application/im-iscomposing+xml"), HEARD_COMPOSING},
		{S("message/imdn+xml"), HEARD_IMDN},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (slice_ieq(rows[i].type, content_type))
			return rows[i].heard == ~0u || (c->heard & rows[i].heard);
	return false;
}

const struct carrier page_carrier = {.name = "page", .text_max = text_max, .room = page_room, .send = page_send, .signal = page_signal, .accepts = page_accepts};

void pages_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->targets, i) {
		struct target *t = CONTAINER_OF(n, struct target, node);
		sip_client_drop(t->trans);
		LIST_EACH(q, &t->texts)
			outgoing_drop(g, CONTAINER_OF(q, struct outgoing, node));
		while (t->signal)
			signal_free(t, t->signal);
		LIST_EACH(q, &t->signals)
			signal_free(t, CONTAINER_OF(q, struct page_signal, node));
		target_free(t);
	}
	map_free(&g->targets);
}
