/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/receipts.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "interwork/receipt.h"
#include "interwork/text.h"
#include "xmpp/error.h"

enum {
	TOKEN = 20, EXCERPT = 80, MEM = 448,
	TOLD_FAILED = 16, /* beside IMDN_POSITIVE and IMDN_DISPLAY */
};

/* One text. Its strings lie in mem. */
struct tracked {
	struct list node; /* of the conversation, oldest first */
	struct list age;  /* of the gateway, oldest first; unused ones hang here too */
	struct conversation *c;
	uint64_t since, record;
	bool to_sip;
	bool by_imdn;     /* to SIP: asked for in CPIM, so that the answer of the home is none */
	bool report;      /* MSRP: a REPORT is wanted (by us or by the SIP user's client) */
	bool chat;
	unsigned asks;    /* IMDN_POSITIVE ... that its sender wants */
	unsigned told;    /* the same, that were passed; TOLD_FAILED */
	struct slice xmpp_id, sip_id;
	struct slice resource; /* to SIP: of its sender */
	struct slice datetime, excerpt; /* to XMPP */
	char mem[MEM];
};

/* ---- the memory */

static struct list *list_of(struct conversation *c)
{
	struct list *l = &c->signals.tracked;
	if (!l->next)
		list_init(l);
	return l;
}

static void forget(struct tracked *t)
{
	struct gateway *g = t->c->g;
	list_remove(&t->node);
	list_remove(&t->age);
	t->c->signals.n_tracked--;
	g->n_tracked--;
	list_append(&g->tracked_free, &t->age);
}

void receipts_forget(struct conversation *c)
{
	LIST_EACH(n, list_of(c))
		forget(CONTAINER_OF(n, struct tracked, node));
}

void receipts_free(struct gateway *g)
{
	LIST_EACH(n, &g->tracked_free) {
		list_remove(n);
		mem_free(CONTAINER_OF(n, struct tracked, age));
	}
}

/* All live equally long, so the oldest are the first to go. */
static void forget_old(struct gateway *g)
{
	struct list *n;
	while ((n = list_head(&g->tracked))) {
		struct tracked *t = CONTAINER_OF(n, struct tracked, age);
		if (g->cfg.timers->now - t->since < g->cfg.signals.life_ms && g->n_tracked < RECEIPTS_MAX)
			return;
		forget(t);
	}
}

static struct tracked *remember(struct conversation *c)
{
	struct gateway *g = c->g;
	struct list *l = list_of(c), *n;
	forget_old(g);
	if (c->signals.n_tracked >= RECEIPTS_PER_CONVERSATION)
		forget(CONTAINER_OF(list_head(l), struct tracked, node));
	struct tracked *t = (n = list_head(&g->tracked_free)) ? CONTAINER_OF(n, struct tracked, age) : MEM_NEW(struct tracked);
	if (n)
		list_remove(n);
	*t = (struct tracked){.c = c, .since = g->cfg.timers->now};
	list_append(l, &t->node);
	list_append(&g->tracked, &t->age);
	c->signals.n_tracked++;
	g->n_tracked++;
	return t;
}

/* False: no room. */
static bool keep(struct slice *ret, char **mem, const struct tracked *t, struct slice s)
{
	*ret = SLICE_NONE;
	if (s.len > (size_t)(t->mem + MEM - *mem))
		return false;
	if (s.len)
		memcpy(*mem, s.p, s.len);
	*ret = slice_of(*mem, s.len);
	*mem += s.len;
	return true;
}

static struct tracked *find(struct conversation *c, bool to_sip, struct slice sip_id, struct slice xmpp_id)
{
	forget_old(c->g);
	for (struct list *l = list_of(c), *n = l->prev; n != l; n = n->prev) {
		struct tracked *t = CONTAINER_OF(n, struct tracked, node);
		if (t->to_sip == to_sip && (sip_id.len ? slice_eq(t->sip_id, sip_id) : slice_eq(t->xmpp_id, xmpp_id)))
			return t;
	}
	return NULL;
}

/* A notification that belongs to no message that we know: too late, or made up. */
static bool unknown(const struct conversation *c, const char *what, struct slice from, struct slice id)
{
	metric_add(METRIC_SIGNALS_UNKNOWN, 1);
	log_ev_limited(LOG_INFO, "receipt/unknown", from, {"what", slice_str(what)}, {"from", from}, {"to", slice_eq(from, c->pair.local) ? c->pair.remote : c->pair.local},
		       {"id", slice_first(id, 64)});
	return false;
}

/* ---- XMPP to SIP */

/* A receipt tells that somebody is there: only who may see that by presence gets one. */
static bool may_be_seen(struct conversation *c)
{
	struct policy_verdict v;
	gateway_judge(c->g, POLICY_PRESENCE_STATE, c->pair.local, c->pair.remote, &v);
	return v.allow && (contact_known(c->g, c->pair.local, c->pair.remote) || watch_authorised(c->g, c->pair.local, c->pair.remote));
}

/* Puts the text into CPIM, where there is room for that. */
static bool wrap(struct conversation *c, struct outgoing *o, unsigned asks)
{
	struct cpim_headers h = {.from = o->from_uri, .to = o->uri, .date = stanza_time_format(o->arena, clock_unix() * 1000), .imdn_id = o->token,
				 .imdn_wanted = imdn_wanted(asks | IMDN_NEGATIVE)};
	struct interwork_im_carrier carrier = {
		.accept = conversation_accepts(c, S("multipart/alternative")) && conversation_accepts(c, S("text/html"))
				  ? S("text/plain, text/html, multipart/alternative, message/cpim")
				  : S("text/plain, message/cpim"),
		.cpim = &h,
		.max = c->carrier->text_max(c, o),
	};
	struct slice type, body;
	if (interwork_im_pack(&type, &body, o->arena, &o->page, &carrier).action != INTERWORK_IM_PASS || !slice_eq(slice_first(type, 12), CPIM_TYPE))
		return false;
	o->page.content_type = type;
	o->page.body = body;
	o->page.html = SLICE_NONE;
	return true;
}

void receipts_text_out(struct conversation *c, struct outgoing *o)
{
	struct gateway *g = c->g;
	struct receipt_seen r;
	struct gateway_home home;
	char token[TOKEN + 1];
	receipt_read(&r, o->stanza);
	unsigned asks = (r.request ? IMDN_POSITIVE : 0) | (r.markable ? IMDN_DISPLAY : 0);
	enum stanza_type type = stanza_type(o->stanza);
	if (!g->cfg.signals.receipts || !asks || (type != STANZA_TYPE_CHAT && type != STANZA_TYPE_NORMAL) || !may_be_seen(c))
		return;
	struct tracked *t = remember(c);
	char *mem = t->mem;
	struct slice resource = stanza_from(o->stanza);
	slice_split(&resource, '/');
	rand_token(token, TOKEN);
	o->token = arena_dup(o->arena, slice_of(token, TOKEN));
	gateway_home(g, o->home, &home);
	if (!o->token.p || !keep(&t->xmpp_id, &mem, t, stanza_id(o->stanza)) || !keep(&t->sip_id, &mem, t, o->token)) {
		o->token = SLICE_NONE;
		forget(t);
		return;
	}
	keep(&t->resource, &mem, t, resource);
	t->to_sip = true;
	t->record = o->record;
	t->asks = asks;
	t->chat = type == STANZA_TYPE_CHAT;
	t->report = o->report = home.dialect->receipts == DIALECT_REPORT;
	if (conversation_accepts(c, CPIM_TYPE) && (home.dialect->receipts == DIALECT_IMDN || (c->heard & HEARD_IMDN)))
		t->by_imdn = wrap(c, o, asks);
}

/* The answer to the XMPP user's client: it came, or it is read. */
static void answer(struct tracked *t, enum receipt_answer what, const struct xmpp_jid *from)
{
	struct conversation *c = t->c;
	struct gateway *g = c->g;
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct slice to = t->resource.len ? ARENA_JOIN(a, c->pair.remote, S("/"), t->resource) : c->pair.remote;
	char own[SIGNALS_ID + 1];
	unsigned told = what == RECEIPT_RECEIVED ? IMDN_POSITIVE : IMDN_DISPLAY;
	t->told |= told;
	if (t->asks & told) {
		signals_id(own);
		buf_clear(&g->out);
		receipt_put_answer(&g->out, what, from ? from->full : c->pair.local, to.p ? to : c->pair.remote, slice_str(own), t->xmpp_id, t->chat);
		metric_add(METRIC_SIGNALS_RECEIPTS_TO_XMPP, 1);
		gateway_trace_out(jid_domain(c->pair.remote), c->pair.local, c->pair.remote,
				  what == RECEIPT_RECEIVED ? "message/received" : "message/displayed", t->xmpp_id);
		gateway_send_out(g, jid_domain(c->pair.local), jid_domain(c->pair.remote), NULL);
	}
	arena_release(g->cfg.arenas, a);
}

/* The SIP side took the text, and says now that it cannot be delivered. */
static bool fail_to_xmpp(struct tracked *t)
{
	struct conversation *c = t->c;
	struct gateway *g = c->g;
	char z[RECORD_ID_TEXT];
	if (t->told & (IMDN_POSITIVE | IMDN_DISPLAY | TOLD_FAILED))
		return false; /* never both */
	t->told |= TOLD_FAILED;
	c->failed++;
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct slice from = t->resource.len ? ARENA_JOIN(a, c->pair.remote, S("/"), t->resource) : c->pair.remote;
	struct xml_node *n = stanza_new(a, STANZA_MESSAGE, t->chat ? STANZA_TYPE_CHAT : STANZA_TYPE_NORMAL, from, c->pair.local, t->xmpp_id);
	metric_add(METRIC_SIGNALS_FAILURES_TO_XMPP, 1);
	log_ev_limited(LOG_INFO, "message/failed-later", c->pair.remote, {"from", c->pair.remote}, {"to", c->pair.local},
		       {"trace", record_id_text(t->record, z)});
	record_hop(g->cfg.records, t->record, RECORD_TOLD, 0, REASON_SIP_FAILED_LATER);
	record_end(g->cfg.records, t->record, RECORD_FAILED, REASON_SIP_FAILED_LATER);
	if (n)
		gateway_send_node(g, interwork_error_from_reason(a, n, REASON_SIP_FAILED_LATER, SLICE_NONE, &g->cfg.errors), jid_domain(c->pair.local),
				  jid_domain(c->pair.remote));
	arena_release(g->cfg.arenas, a);
	return true;
}

static bool delivered(struct tracked *t, const struct xmpp_jid *from)
{
	if (t->told & (IMDN_POSITIVE | TOLD_FAILED))
		return false;
	answer(t, RECEIPT_RECEIVED, from);
	return true;
}

void receipts_text_done(struct conversation *c, const struct outgoing *o, int status, enum reason reason)
{
	struct tracked *t = o->token.len ? find(c, true, o->token, SLICE_NONE) : NULL;
	enum gateway_by_answer rule = c->g->cfg.signals.by_answer;
	if (!t)
		return;
	if (reason || status >= 300) {
		forget(t); /* its sender is told now */
		return;
	}
	/* 202 is somebody else's promise. Within a session 200 is the word of the client itself, but in page mode maybe that of a server. */
	if (status == 200 && !t->by_imdn && !t->report && (rule == GATEWAY_ANSWER_ALWAYS || (rule == GATEWAY_ANSWER_SESSION && c->session)))
		delivered(t, NULL);
}

bool receipts_notice(struct conversation *c, const struct xmpp_jid *from, const struct imdn *n)
{
	struct tracked *t = find(c, true, n->message_id, SLICE_NONE);
	if (!t)
		return unknown(c, "imdn", c->pair.local, n->message_id);
	if (n->kind == IMDN_DELIVERY && n->status == IMDN_FAILED)
		return fail_to_xmpp(t);
	if (n->status == IMDN_DELIVERED)
		return delivered(t, from);
	if (n->status != IMDN_DISPLAYED || (t->told & (IMDN_DISPLAY | TOLD_FAILED)))
		return false; /* on its way, or it does not say */
	delivered(t, from); /* what is read has come */
	answer(t, RECEIPT_DISPLAYED, from);
	return true;
}

bool receipts_reported(struct conversation *c, struct slice id, int status)
{
	struct tracked *t = find(c, true, id, SLICE_NONE);
	if (!t)
		return unknown(c, "report", c->pair.local, id);
	return status < 300 ? delivered(t, NULL) : fail_to_xmpp(t);
}

/* ---- SIP to XMPP */

struct imdn_request receipts_request(const struct interwork_im_found *found)
{
	struct imdn_request r = {0};
	if (found->wrapped)
		imdn_request_of(&r, &found->cpim);
	return r;
}

void receipts_text_in(struct conversation *c, const struct incoming *in, struct slice stanza_id)
{
	struct gateway *g = c->g;
	struct imdn_request r = receipts_request(&in->found);
	struct tracked *t = remember(c);
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct slice rest = in->found.type, type = slice_trim(slice_split(&rest, ';')), line = SLICE_NONE;
	char *mem = t->mem;
	bool fits = stanza_id.len && keep(&t->xmpp_id, &mem, t, stanza_id) && keep(&t->sip_id, &mem, t, r.asks ? r.message_id : in->message_id);
	if ((type.len == 0 || slice_ieq(type, S("text/plain"))) && utf8_valid(in->found.body))
		line = interwork_line(a, utf8_first(in->found.body, 4 * EXCERPT), EXCERPT);
	if (fits) {
		keep(&t->datetime, &mem, t, r.datetime);
		keep(&t->excerpt, &mem, t, line);
		t->asks = g->cfg.signals.receipts ? r.asks : r.asks & IMDN_NEGATIVE;
		t->report = in->success_report && !r.asks;
		t->record = g->record;
	} else {
		forget(t);
	}
	arena_release(g->cfg.arenas, a);
}

static void uris_of(const struct conversation *c, struct arena *a, struct slice *ret_remote, struct slice *ret_local)
{
	struct xmpp_jid remote, local;
	*ret_remote = *ret_local = SLICE_NONE;
	if (!xmpp_jid_parse(&remote, a, c->pair.remote) && !xmpp_jid_parse(&local, a, c->pair.local)) {
		interwork_jid_to_sip(ret_remote, a, &remote, false, NULL);
		interwork_jid_to_sip(ret_local, a, &local, false, NULL);
	}
}

static bool send_imdn(struct tracked *t, enum imdn_kind kind, enum imdn_status status)
{
	struct conversation *c = t->c;
	struct gateway *g = c->g;
	struct arena *a = arena_acquire(g->cfg.arenas);
	struct imdn n = {.message_id = t->sip_id, .datetime = t->datetime, .kind = kind, .status = status};
	struct carried what = {.content_type = CPIM_TYPE};
	struct slice local = SLICE_NONE;
	struct buf doc, b;
	char token[TOKEN + 1];
	bool sent = false;
	buf_init(&doc, 8192);
	buf_init(&b, 16384);
	rand_token(token, TOKEN);
	uris_of(c, a, &n.recipient, &local);
	struct slice now = stanza_time_format(a, clock_unix() * 1000);
	if (!n.datetime.len)
		n.datetime = now;
	imdn_write(&doc, &n);
	struct cpim_headers h = {.from = n.recipient, .to = local, .date = now, .imdn_id = slice_str(token), .disposition = S("notification")};
	cpim_write(&b, &h, IMDN_TYPE, buf_slice(&doc));
	what.body = buf_slice(&b);
	if (n.recipient.len && local.len && buf_ok(&doc) && buf_ok(&b))
		sent = conversation_send_signal(c, &what);
	if (sent)
		metric_add(METRIC_SIGNALS_RECEIPTS_TO_SIP, 1);
	buf_free(&doc);
	buf_free(&b);
	arena_release(g->cfg.arenas, a);
	return sent;
}

/* Once each, and nothing after a failure. */
static bool tell_sip(struct tracked *t, unsigned what)
{
	if (t->told & (what | TOLD_FAILED))
		return false;
	t->told |= what;
	if (what == IMDN_POSITIVE && t->report)
		return conversation_report(t->c, t->sip_id, 200);
	return (t->asks & what) && send_imdn(t, what == IMDN_DISPLAY ? IMDN_DISPLAYING : IMDN_DELIVERY,
					     what == IMDN_DISPLAY ? IMDN_DISPLAYED : IMDN_DELIVERED);
}

bool receipts_answer(struct conversation *c, struct slice id, bool displayed)
{
	struct tracked *t = find(c, false, SLICE_NONE, id);
	if (!t)
		return unknown(c, displayed ? "displayed" : "received", c->pair.remote, id);
	bool crossed = tell_sip(t, IMDN_POSITIVE);
	return (displayed && tell_sip(t, IMDN_DISPLAY)) || crossed;
}

/* ---- failures after the fact, told to the SIP user */

static bool may_notice(struct conversation *c)
{
	struct signals *s = &c->signals;
	uint64_t now = c->g->cfg.timers->now, gained = (now - s->noticed_at) / NOTICES_EVERY_MS;
	if (gained) {
		s->noticed = gained >= s->noticed ? 0 : s->noticed - (unsigned)gained;
		s->noticed_at = s->noticed ? s->noticed_at + gained * NOTICES_EVERY_MS : now;
	}
	return s->noticed++ < NOTICES_BURST || (s->noticed--, false);
}

/* Not the partner's own words: they would stand there as if the contact had said them. */
static const char *words_for(struct slice condition)
{
	static const struct {
		const char *condition, *words;
	} rows[] = {
		{"item-not-found", "there is no such user"}, {"jid-malformed", "there is no such user"}, {"gone", "the user has moved away"},
		{"recipient-unavailable", "the user cannot be reached"}, {"service-unavailable", "the user cannot be reached"},
		{"remote-server-not-found", "the user's server was not found"}, {"remote-server-timeout", "the user's server does not answer"},
		{"forbidden", "the user's server does not allow it"}, {"not-allowed", "the user's server does not allow it"},
		{"not-authorized", "the user's server does not allow it"}, {"policy-violation", "the user's server does not allow it"},
		{"registration-required", "the user's server does not allow it"}, {"subscription-required", "the user's server does not allow it"},
		{"resource-constraint", "the user's server is overloaded"}, {"internal-server-error", "the user's server has a fault"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (slice_eq(condition, slice_str(rows[i].condition)))
			return rows[i].words;
	return "the user's server refused it";
}

static bool send_notice(struct tracked *t, struct slice condition)
{
	struct conversation *c = t->c;
	struct carried what = {.content_type = S("text/plain;charset=UTF-8")};
	struct buf b;
	if (!c->g->cfg.signals.notices || !may_notice(c))
		return false;
	buf_init(&b, 2048);
	buf_put(&b, S("[not delivered] "));
	if (t->excerpt.len) {
		buf_put(&b, S("\""));
		buf_put(&b, t->excerpt);
		buf_puts(&b, t->excerpt.len >= EXCERPT - 3 ? "...\": " : "\": ");
	}
	buf_puts(&b, words_for(condition));
	what.body = buf_slice(&b);
	bool sent = buf_ok(&b) && conversation_send_signal(c, &what);
	buf_free(&b);
	if (sent)
		metric_add(METRIC_SIGNALS_NOTICES, 1);
	return sent;
}

static void failed(struct tracked *t, struct slice condition, struct slice type, bool by_full)
{
	struct conversation *c = t->c;
	struct gateway *g = c->g;
	bool forbidden = slice_eq(type, S("auth")), fault = slice_eq(condition, S("internal-server-error")), told;
	if (t->told & (IMDN_POSITIVE | IMDN_DISPLAY | TOLD_FAILED))
		return; /* another client of the user's has it */
	t->told |= TOLD_FAILED;
	if (t->asks & IMDN_NEGATIVE)
		told = send_imdn(t, IMDN_DELIVERY, forbidden ? IMDN_FORBIDDEN : fault ? IMDN_ERROR : IMDN_FAILED);
	else
		told = t->report && conversation_report(c, t->sip_id, interwork_status_of_condition(condition, by_full, false, &g->cfg.errors));
	if (!told)
		told = send_notice(t, condition);
	record_hop(g->cfg.records, t->record, RECORD_HEARD, 0, REASON_NONE);
	if (told)
		record_hop(g->cfg.records, t->record, RECORD_TOLD, 0, REASON_NONE);
	record_end(g->cfg.records, t->record, RECORD_FAILED, REASON_XMPP_FAILED_LATER);
}

void receipts_failed(struct conversation *c, const struct stanza *st)
{
	struct gateway *g = c->g;
	struct tracked *t = st->id.len ? find(c, false, SLICE_NONE, st->id) : NULL;
	struct xmpp_error e;
	if (!t)
		return; /* forgotten */
	struct arena *a = arena_acquire(g->cfg.arenas);
	xmpp_error_read(a, st->node, &e);
	if (!(t->told & (IMDN_POSITIVE | IMDN_DISPLAY | TOLD_FAILED)))
		metric_add(METRIC_MSG_SIP_XMPP_FAILED, 1);
	failed(t, e.condition, e.type, st->from.resource.len > 0);
	arena_release(g->cfg.arenas, a);
}

void receipts_unsent(struct conversation *c, struct slice stanza_id, enum reason reason)
{
	struct tracked *t = find(c, false, SLICE_NONE, stanza_id);
	const struct reason_info *r = reason_info(reason);
	if (t)
		failed(t, slice_str(r->xmpp_condition), slice_str(r->xmpp_type), false);
}

void receipts_given_up(struct conversation *c, struct slice stanza_id, struct slice text, enum reason reason)
{
	struct arena *a = arena_acquire(c->g->cfg.arenas);
	struct tracked forgotten = {.c = c};
	if (stanza_id.len && find(c, false, SLICE_NONE, stanza_id)) {
		receipts_unsent(c, stanza_id, reason);
	} else {
		forgotten.excerpt = interwork_line(a, utf8_first(text, 4 * EXCERPT), EXCERPT);
		send_notice(&forgotten, slice_str(reason_info(reason)->xmpp_condition));
	}
	arena_release(c->g->cfg.arenas, a);
}
