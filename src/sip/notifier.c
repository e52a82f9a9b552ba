/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/notifier.h"

#include <arpa/inet.h>
#include "base/enc.h"
#include "base/mem.h"
#include "sip/trans_int.h"

enum { REQUEST_MAX = 1 << 20, SERVER_TRIES = 5, RETRY_S = 30, RETRY_MAX_S = 600, BUSY_MS = 1000, CSEQ_GAP = 1000 };

/* What subscriptions have in common: the Contact of a home, its settings, the event. There are few of them in a stack, and many subscriptions. */
struct shared {
	struct list node; /* in stack->shared */
	size_t refs;
	struct sip_notifier_config config; /* owned texts; `initial` is not of it */
	struct sip_extra *headers;
	struct slice event; /* owned */
};

/* What only the last NOTIFY has, and a notifier whose owner gives documents instead of being asked for them. */
struct last {
	struct slice content_type, language, body; /* owned */
	struct slice reason;                       /* owned */
	int64_t retry_after;
};

struct sip_notifier { /* there may be a million: what is rare is kept elsewhere */
	struct sip_stack *stack;
	struct shared *shared;
	const struct sip_notifier_ops *ops; /* NULL: the owner is out of it */
	void *arg;
	struct sip_dialog_kept *dialog;
	struct sip_usage usage;
	struct sip_flow flow;
	struct last *last;   /* or NULL */
	uint64_t told;       /* hash of what was sent last, 0: nothing that the subscriber is known to have */
	struct sip_client_trans *ct;
	uint64_t next_at; /* ms: not before, unless urgent */
	struct timer t_expire, t_send;
	uint32_t transport_tries, server_tries;
	uint16_t busy;
	bool poll : 1, have_state : 1, dirty : 1, urgent : 1, retrying : 1, closing : 1, last_sent : 1, dead : 1;
	bool unpaced : 1; /* the substate has changed: the document after it need not wait either */
	bool active : 1;  /* the substate: active, else pending */
};

static const struct sip_notifier_ops no_ops;

static void fire_expire(struct timer *t, uint64_t now);
static void fire_send(struct timer *t, uint64_t now);
static bool on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		       const struct sip_flow *from);
static void on_stack_gone(struct sip_usage *u);
static void pump(struct sip_notifier *n);

static struct timers *timers_of(const struct sip_notifier *n)
{
	return sip_stack_timers(n->stack);
}

/* --- life --- */

static void shared_unref(struct shared *x)
{
	if (!x || --x->refs)
		return;
	list_remove(&x->node);
	trans_text_free(&x->config.contact);
	trans_extras_free(x->headers, x->config.n_headers);
	trans_text_free(&x->event);
	mem_free(x);
}

static bool same_headers(const struct sip_extra *a, const struct sip_extra *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!slice_eq(a[i].name, b[i].name) || !slice_eq(a[i].value, b[i].value))
			return false;
	return true;
}

static bool same(const struct shared *x, const struct sip_notifier_config *c, struct slice event)
{
	const struct sip_notifier_config *o = &x->config;
	return o->min_expires == c->min_expires && o->default_expires == c->default_expires && o->max_expires == c->max_expires &&
	       o->interval_ms == c->interval_ms && o->patience_ms == c->patience_ms && o->transport_tries == c->transport_tries &&
	       o->n_headers == c->n_headers && slice_eq(o->contact, c->contact) && slice_eq(x->event, event) && same_headers(x->headers, c->headers, c->n_headers);
}

/* One like it, if it is among the latest, else a new one. */
static struct shared *shared_get(struct sip_stack *s, const struct sip_notifier_config *config, struct slice event)
{
	enum { LOOK_AT = 16 };
	struct sip_notifier_config c = *config;
	c.min_expires = c.min_expires ? c.min_expires : 60;
	c.default_expires = c.default_expires ? c.default_expires : 3600;
	c.max_expires = c.max_expires ? c.max_expires : 3600;
	c.interval_ms = c.interval_ms ? c.interval_ms : 5000;
	if (c.interval_ms == UINT32_MAX)
		c.interval_ms = 0;
	unsigned n = 0;
	for (struct list *l = s->shared.next; l != &s->shared && n < LOOK_AT; l = l->next, n++) {
		struct shared *x = CONTAINER_OF(l, struct shared, node);
		if (same(x, &c, event)) {
			x->refs++;
			return x;
		}
	}
	struct shared *x = MEM_NEW(struct shared);
	x->refs = 1;
	x->config = c;
	x->config.contact = trans_text_dup(c.contact);
	x->headers = trans_extras_dup(c.headers, c.n_headers);
	x->event = trans_text_dup(event);
	list_prepend(&s->shared, &x->node);
	return x;
}

static const struct sip_notifier_config *config_of(const struct sip_notifier *n)
{
	return &n->shared->config;
}

static enum sip_substate state_of(const struct sip_notifier *n)
{
	return n->active ? SIP_SUB_ACTIVE : SIP_SUB_PENDING;
}

static struct sip_notifier *make(struct sip_stack *s, const struct sip_notifier_config *config, struct slice event,
				 const struct sip_notifier_ops *ops, void *arg)
{
	struct sip_notifier *n = MEM_NEW(struct sip_notifier);
	n->stack = s;
	n->ops = ops ? ops : &no_ops;
	n->arg = arg;
	n->shared = shared_get(s, config, event);
	n->active = config->initial == SIP_SUB_ACTIVE;
	n->usage.request = on_request;
	n->usage.gone = on_stack_gone;
	timer_init(&n->t_expire, fire_expire);
	timer_init(&n->t_send, fire_send);
	return n;
}

static struct last *last_of(struct sip_notifier *n)
{
	if (!n->last) {
		n->last = MEM_NEW(struct last);
		n->last->retry_after = -1;
	}
	return n->last;
}

static void release(struct sip_notifier *n)
{
	if (n->busy || !n->dead)
		return;
	shared_unref(n->shared);
	mem_free(n->dialog);
	if (n->last) {
		trans_text_free(&n->last->reason);
		trans_text_free(&n->last->content_type);
		trans_text_free(&n->last->language);
		trans_text_free(&n->last->body);
		mem_free(n->last);
	}
	mem_free(n);
}

struct sip_notifier *sip_notifier_free(struct sip_notifier *n)
{
	if (!n || n->dead)
		return NULL;
	timer_cancel(timers_of(n), &n->t_expire);
	timer_cancel(timers_of(n), &n->t_send);
	sip_client_drop(n->ct);
	n->ct = NULL;
	sip_usage_unregister(n->stack, &n->usage);
	n->dead = true;
	release(n);
	return NULL;
}

static void on_stack_gone(struct sip_usage *u)
{
	struct sip_notifier *n = CONTAINER_OF(u, struct sip_notifier, usage);
	if (n->closing) /* nobody else knows of it */
		sip_notifier_free(n);
}

static void store(struct sip_notifier *n, struct slice content_type, struct slice language, struct slice body)
{
	struct last *l = last_of(n);
	trans_text_free(&l->content_type);
	trans_text_free(&l->language);
	trans_text_free(&l->body);
	l->content_type = trans_text_dup(content_type);
	l->language = trans_text_dup(language);
	l->body = trans_text_dup(body);
}

/* The document as it is now: the owner's, or what it gave. */
static void document(struct sip_notifier *n, bool last, struct sip_notifier_document *ret, struct buf *b)
{
	*ret = (struct sip_notifier_document){0};
	if (n->ops->document) {
		n->ops->document(n->arg, last, ret, b);
	} else if (n->last) {
		*ret = (struct sip_notifier_document){n->last->content_type, n->last->language};
		buf_put(b, n->last->body);
	}
}

/* The owner's pointer is about to be void: what it has to say is kept. */
static void keep_document(struct sip_notifier *n, bool last)
{
	struct sip_notifier_document doc;
	struct buf b;
	if (!n->ops->document)
		return;
	buf_init(&b, REQUEST_MAX);
	n->busy++;
	document(n, last, &doc, &b);
	n->busy--;
	store(n, doc.content_type, doc.language, buf_ok(&b) ? buf_slice(&b) : SLICE_NONE);
	buf_free(&b);
}

/* From now on only the last NOTIFY matters; the owner is told nothing more. Returns what it was listening with. */
static const struct sip_notifier_ops *close_with(struct sip_notifier *n, struct slice reason, int64_t retry_after)
{
	const struct sip_notifier_ops *ops = n->ops;
	n->ops = &no_ops;
	n->closing = true;
	trans_text_free(&last_of(n)->reason);
	n->last->reason = trans_text_dup(reason);
	n->last->retry_after = retry_after;
	timer_cancel(timers_of(n), &n->t_expire);
	timer_cancel(timers_of(n), &n->t_send);
	return ops;
}

static void give_up(struct sip_notifier *n, int status, bool local)
{
	const struct sip_notifier_ops *ops = n->ops;
	n->ops = &no_ops;
	n->busy++;
	if (ops->failed)
		ops->failed(n->arg, status, local);
	n->busy--;
	if (n->dead)
		release(n);
	else
		sip_notifier_free(n);
}

/* --- NOTIFY --- */

static uint32_t seconds_left(const struct sip_notifier *n)
{
	uint64_t now = timers_of(n)->now;
	if (!timer_armed(&n->t_expire) || n->t_expire.due <= now)
		return 0;
	return (uint32_t)((n->t_expire.due - now + 999) / 1000);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from);
static void on_done(void *arg, enum sip_done why);
static const struct sip_client_handler handler = {on_response, on_done};

static void write_state(const struct sip_notifier *n, struct buf *b)
{
	if (!n->closing) {
		sip_build_header_fmt(b, SIP_H_SUBSCRIPTION_STATE, "%s;expires=%u",
				     n->active ? "active" : "pending", seconds_left(n));
		return;
	}
	char retry[40] = "";
	if (n->last->retry_after >= 0)
		snprintf(retry, sizeof retry, ";retry-after=%lld", (long long)n->last->retry_after);
	sip_build_header_fmt(b, SIP_H_SUBSCRIPTION_STATE, "terminated%s%.*s%s", n->last->reason.len ? ";reason=" : "", SFMT(n->last->reason),
			     retry);
}

static uint64_t hash_of(const struct sip_notifier *n, const struct sip_notifier_document *doc, struct slice body)
{
	uint64_t h = (hash_slice(body) * 31 + hash_slice(doc->content_type)) * 31 + hash_slice(doc->language) + state_of(n);
	return h ? h : 1;
}

static int write_notify(struct sip_notifier *n, const struct sip_notifier_document *doc, struct slice body)
{
	struct buf b;
	struct sip_dialog dialog;
	buf_init(&b, REQUEST_MAX);
	sip_dialog_look(n->dialog, &dialog);
	sip_dialog_request(&dialog, &b, SIP_NOTIFY, 0);
	sip_build_header(&b, SIP_H_CONTACT, config_of(n)->contact);
	sip_build_header(&b, SIP_H_EVENT, n->shared->event);
	write_state(n, &b);
	for (size_t i = 0; i < config_of(n)->n_headers; i++)
		sip_build_header_named(&b, n->shared->headers[i].name, n->shared->headers[i].value);
	if (body.len && doc->language.len)
		sip_build_header(&b, SIP_H_CONTENT_LANGUAGE, doc->language);
	sip_build_body(&b, body.len ? doc->content_type : SLICE_NONE, body);
	if (n->ops->route)
		n->ops->route(n->arg, sip_dialog_next_hop(&dialog), &n->flow);
	sip_dialog_put_back(&n->dialog, &dialog);
	int rc = buf_ok(&b) ? sip_client_start(&n->ct, n->stack, &n->flow, buf_slice(&b), &handler, n, NULL) : ENTENTE_EINVAL;
	buf_free(&b);
	return rc;
}

enum { SAME = 1 };

/* SAME: the subscriber has exactly that already. */
static int send_notify(struct sip_notifier *n)
{
	struct sip_notifier_document doc;
	struct buf b;
	buf_init(&b, REQUEST_MAX);
	document(n, n->closing, &doc, &b);
	uint64_t hash = hash_of(n, &doc, buf_slice(&b));
	bool again = n->urgent || n->closing || hash != n->told;
	int rc = !buf_ok(&b) ? ENTENTE_EINVAL : again ? write_notify(n, &doc, buf_slice(&b)) : SAME;
	buf_free(&b);
	if (!rc)
		n->told = hash;
	return rc;
}

/* Sends what is due and may be sent; else sets the timer. May free n. */
static void pump(struct sip_notifier *n)
{
	uint64_t now = timers_of(n)->now;
	if (n->ct || n->last_sent || (!n->dirty && !n->closing))
		return;
	if (!n->closing) {
		if (n->retrying && timer_armed(&n->t_send))
			return;
		if (!n->urgent && now < n->next_at) {
			timer_arm(timers_of(n), &n->t_send, n->next_at - now);
			return;
		}
	}
	timer_cancel(timers_of(n), &n->t_send);
	int rc = send_notify(n);
	if (rc == ENTENTE_ELIMIT) {
		n->retrying = true;
		timer_arm(timers_of(n), &n->t_send, BUSY_MS);
	} else if (rc < 0) {
		give_up(n, 500, true); /* the document or a header cannot be written */
	} else if (rc == SAME) {
		n->dirty = n->retrying = false;
	} else {
		n->dirty = n->urgent = n->retrying = false;
		n->last_sent = n->closing;
		n->next_at = n->unpaced ? now : now + config_of(n)->interval_ms;
		n->unpaced = false;
	}
}

/* Contact of a message from the other side. */
static void refresh(struct sip_notifier *n, const struct sip_msg *m)
{
	struct sip_dialog dialog;
	sip_dialog_look(n->dialog, &dialog);
	sip_dialog_refresh(&dialog, m);
	sip_dialog_put_back(&n->dialog, &dialog);
}

static void retry_later(struct sip_notifier *n, int64_t seconds)
{
	n->dirty = n->retrying = true;
	n->told = 0;
	timer_arm(timers_of(n), &n->t_send, (uint64_t)(seconds > RETRY_MAX_S ? RETRY_MAX_S : seconds) * 1000);
}

static void fire_send(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_notifier *n = CONTAINER_OF(t, struct sip_notifier, t_send);
	n->retrying = false;
	if (!n->closing && n->poll) { /* the owner was not in time: nothing is known */
		const struct sip_notifier_ops *ops = close_with(n, S("timeout"), -1);
		n->busy++;
		if (ops->expired)
			ops->expired(n->arg);
		n->busy--;
		if (n->dead) {
			release(n);
			return;
		}
	} else if (!n->have_state) {
		n->dirty = n->urgent = true;
	}
	pump(n);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_notifier *n = arg;
	if (m->status < 200)
		return;
	sip_client_drop(ct);
	n->ct = NULL;
	if (from->transport == n->flow.transport)
		n->flow.conn = from->conn;
	int64_t after = sip_retry_after(m);
	n->transport_tries = 0;
	if (m->status < 300) {
		n->server_tries = 0;
		refresh(n, m);
	} else if (n->closing) {
		n->last_sent = n->last_sent || sip_ends_usage(m->status);
	} else if (sip_ends_usage(m->status) || m->status == 408 || m->status == 401 || m->status == 407) {
		give_up(n, m->status, false);
		return;
	} else if (m->status >= 500 && m->status < 600) {
		if (++n->server_tries >= SERVER_TRIES) {
			give_up(n, m->status, false);
			return;
		}
		retry_later(n, after < 0 ? RETRY_S : after);
	} /* else the body or a header did not please: nothing better can be said before the next change */
	if (n->last_sent)
		sip_notifier_free(n);
	else
		pump(n);
}

static void on_done(void *arg, enum sip_done why)
{
	struct sip_notifier *n = arg;
	n->ct = NULL;
	if (n->closing) {
		sip_notifier_free(n);
	} else if (why == SIP_DONE_TRANSPORT && ++n->transport_tries < config_of(n)->transport_tries) {
		n->flow.conn = 0;
		retry_later(n, RETRY_S);
	} else {
		give_up(n, why == SIP_DONE_TRANSPORT ? 503 : 408, true);
	}
}

/* --- SUBSCRIBE --- */

/* The duration to grant; *ret_poll for 0. False: too brief. */
static bool grant(const struct sip_notifier_config *c, const struct sip_msg *m, uint32_t *ret)
{
	uint32_t asked = c->default_expires;
	const struct sip_header *h = sip_msg_header(m, SIP_H_EXPIRES, 0);
	if (h && !sip_msg_uint(m, SIP_H_EXPIRES, UINT32_MAX, &asked))
		asked = c->default_expires; /* RFC 3261 20.19 has no better advice for a malformed one */
	if (asked && asked < c->min_expires)
		return false;
	*ret = asked < c->max_expires ? asked : c->max_expires;
	return true;
}

static void too_brief(struct sip_server_trans *st, const struct sip_notifier_config *c)
{
	char min[16];
	snprintf(min, sizeof min, "%u", c->min_expires);
	struct sip_extra e = {S("Min-Expires"), slice_str(min)};
	struct sip_answer an = {.status = 423, .headers = &e, .n_headers = 1};
	sip_server_respond(st, &an);
}

static int confirm(struct sip_notifier *n, struct sip_server_trans *st, uint32_t expires)
{
	enum { OWN = 2, MAX = 16 };
	char text[16];
	snprintf(text, sizeof text, "%u", expires);
	struct sip_extra e[OWN + MAX] = {{S("Contact"), config_of(n)->contact}, {S("Expires"), slice_str(text)}};
	size_t more = config_of(n)->n_headers < MAX ? config_of(n)->n_headers : MAX;
	for (size_t i = 0; i < more; i++)
		e[OWN + i] = n->shared->headers[i];
	struct sip_answer an = {.status = 200, .headers = e, .n_headers = OWN + more};
	return sip_server_respond(st, &an);
}

int sip_notifier_accept(struct sip_notifier **ret, struct sip_stack *s, struct sip_server_trans *st, const struct sip_msg *m,
			const struct sip_notifier_config *config, const struct sip_notifier_ops *ops, void *arg)
{
	const struct sip_header *event = sip_msg_header(m, SIP_H_EVENT, 0);
	struct sip_dialog dialog = {0};
	struct buf b;
	uint32_t expires;
	int rc = ENTENTE_EREFUSED;
	buf_init(&b, 4096);
	if (event)
		sip_unfold(event->value, &b);
	struct sip_notifier *n = make(s, config, buf_slice(&b), ops, arg);
	buf_free(&b);
	n->flow = *sip_server_flow(st);
	if (!event || slice_empty(event->value)) {
		sip_server_reply(st, 489);
		goto out;
	}
	if (utf8_has_control(event->value)) { /* a quoted control that no NOTIFY of ours could carry back */
		sip_server_reply(st, 400);
		goto out;
	}
	if (!grant(config_of(n), m, &expires)) {
		too_brief(st, config_of(n));
		goto out;
	}
	if (sip_dialog_uas(&dialog, m, sip_server_tag(st), n->flow.transport == SIP_TLS) < 0) {
		sip_server_reply(st, 400);
		goto out;
	}
	if ((rc = confirm(n, st, expires)) < 0)
		goto out;
	sip_usage_register(s, &n->usage, dialog.call_id, dialog.local_tag);
	n->dialog = sip_dialog_keep(&dialog);
	n->poll = expires == 0;
	if (!n->poll)
		timer_arm(timers_of(n), &n->t_expire, (uint64_t)expires * 1000);
	uint32_t wait = config_of(n)->patience_ms ? config_of(n)->patience_ms : n->poll ? 10000 : 1000;
	timer_arm(timers_of(n), &n->t_send, wait);
	*ret = n;
	return 0;
out:
	sip_dialog_free(&dialog);
	sip_notifier_free(n);
	return rc;
}

/* Is it of this dialog, and in what order? The CSeq of one that is in order is remembered. */
static bool mine(struct sip_notifier *n, const struct sip_msg *m, bool *ret_in_order)
{
	struct sip_dialog dialog;
	sip_dialog_look(n->dialog, &dialog);
	bool yes = sip_dialog_matches(&dialog, m) && sip_event_matches(n->shared->event, m);
	*ret_in_order = yes && (n->closing || sip_dialog_accept(&dialog, m));
	sip_dialog_put_back(&n->dialog, &dialog);
	return yes;
}

static bool on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		       const struct sip_flow *from)
{
	struct sip_notifier *n = CONTAINER_OF(u, struct sip_notifier, usage);
	struct sip_stack *s = n->stack;
	uint32_t expires;
	bool in_order;
	if (m->method != SIP_SUBSCRIBE || !st || !mine(n, m, &in_order))
		return false;
	if (n->closing) {
		sip_server_reply(st, 481);
	} else if (!in_order) {
		sip_server_reply(st, 500);
	} else if (!grant(config_of(n), m, &expires)) {
		too_brief(st, config_of(n));
	} else {
		refresh(n, m);
		n->flow = *from;
		confirm(n, st, expires);
		const struct sip_notifier_ops *ops = n->ops;
		n->busy++;
		if (expires) {
			timer_arm(timers_of(n), &n->t_expire, (uint64_t)expires * 1000);
			n->dirty = n->urgent = true; /* full state after each refresh, whatever was sent before (4.2.1.2) */
			n->retrying = false;
			if (ops->refreshed)
				ops->refreshed(n->arg, expires);
		} else {
			keep_document(n, true);
			close_with(n, S("timeout"), -1);
			if (ops->unsubscribed)
				ops->unsubscribed(n->arg);
		}
		n->busy--;
		if (n->dead)
			release(n);
		else
			pump(n);
	}
	sip_stack_release(s, a);
	return true;
}

static void fire_expire(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_notifier *n = CONTAINER_OF(t, struct sip_notifier, t_expire);
	keep_document(n, true);
	const struct sip_notifier_ops *ops = close_with(n, S("timeout"), -1);
	n->busy++;
	if (ops->expired)
		ops->expired(n->arg);
	n->busy--;
	if (n->dead)
		release(n);
	else
		pump(n);
}

/* --- the owner --- */

void sip_notifier_set(struct sip_notifier *n, enum sip_substate state, struct slice content_type, struct slice body)
{
	if (n->closing || n->dead)
		return;
	/* The first state is waited for; later ones keep the pace. */
	if (!n->have_state)
		n->urgent = true;
	if ((state == SIP_SUB_ACTIVE) != n->active && n->told) {
		n->next_at = 0;
		n->unpaced = true;
	}
	n->have_state = n->dirty = true;
	n->active = state == SIP_SUB_ACTIVE;
	if (!n->ops->document)
		store(n, content_type, SLICE_NONE, body);
	if (n->poll) {
		keep_document(n, false);
		close_with(n, S("timeout"), -1);
	}
	/* Within refreshed() the NOTIFY of the refresh follows anyway. */
	if (!n->busy)
		pump(n);
}

void sip_notifier_terminate(struct sip_notifier *n, struct slice reason, int64_t retry_after, struct slice content_type,
			    struct slice body)
{
	if (n->closing || n->dead)
		return;
	store(n, content_type, SLICE_NONE, body);
	close_with(n, reason, retry_after);
	if (!n->busy)
		pump(n);
}

bool sip_notifier_is_poll(const struct sip_notifier *n)
{
	return n->poll;
}

uint32_t sip_notifier_remaining(const struct sip_notifier *n)
{
	return seconds_left(n);
}

/* --- text --- */

void sip_notifier_save(const struct sip_notifier *n, int64_t now_unix, struct buf *b)
{
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;
	if (n->poll || n->closing)
		return;
	struct slice addr = sip_flow_source(&n->flow, ip, &port);
	buf_printf(b, "notifier 1\nevent %.*s\nexpires-at %lld\nsaved-at %lld\nstate %s\ntransport %s\ntarget %u\n",
		   SFMT(n->shared->event), (long long)(now_unix + seconds_left(n)), (long long)now_unix,
		   n->active ? "active" : "pending", sip_transport_name(n->flow.transport), n->flow.target);
	if (!slice_empty(addr))
		buf_printf(b, "address %.*s\nport %u\n", SFMT(addr), port);
	struct sip_dialog dialog;
	sip_dialog_look(n->dialog, &dialog);
	sip_dialog_save(&dialog, b);
}

static bool restore_flow(struct sip_flow *f, struct slice name, struct slice v)
{
	char ip[INET6_ADDRSTRLEN];
	uint64_t n;
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&f->remote;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)&f->remote;
	if (slice_eq(name, S("transport"))) {
		for (int t = SIP_UDP; t <= SIP_TLS; t++)
			if (slice_eq(v, slice_str(sip_transport_name((enum sip_transport)t)))) {
				f->transport = (enum sip_transport)t;
				return true;
			}
		return false;
	}
	if (slice_eq(name, S("target"))) {
		if (!slice_u64(v, UINT32_MAX, &n))
			return false;
		f->target = (uint32_t)n;
	} else if (slice_eq(name, S("address"))) {
		if (!slice_cstr(v, ip, sizeof ip))
			return false;
		if (inet_pton(AF_INET, ip, &sin->sin_addr) == 1)
			sin->sin_family = AF_INET;
		else if (inet_pton(AF_INET6, ip, &sin6->sin6_addr) == 1)
			sin6->sin6_family = AF_INET6;
		else
			return false;
	} else if (slice_eq(name, S("port"))) {
		if (!slice_u64(v, UINT16_MAX, &n))
			return false;
		sin->sin_port = htons((uint16_t)n); /* the same place in both families */
	}
	return true;
}

int sip_notifier_restore(struct sip_notifier **ret, struct sip_stack *s, struct slice text, int64_t now_unix,
			 const struct sip_notifier_config *config, const struct sip_notifier_ops *ops, void *arg)
{
	uint64_t expires_at = 0, saved_at = 0;
	struct slice event = SLICE_NONE, state = SLICE_NONE;
	struct sip_flow flow = {.target = UINT32_MAX};
	if (!slice_eq(slice_split(&text, '\n'), S("notifier 1")))
		return ENTENTE_ESYNTAX;
	/* Own lines first; the dialog begins with its Call-ID. */
	while (!slice_empty(text) && !slice_starts(text, S("call-id "))) {
		struct slice v = slice_split(&text, '\n'), name = slice_split(&v, ' ');
		bool ok = slice_find_chr(v, '\0') < 0 && slice_find_chr(v, '\r') < 0;
		if (!ok)
			return ENTENTE_ESYNTAX;
		if (slice_eq(name, S("event")))
			event = v;
		else if (slice_eq(name, S("state")))
			state = v;
		else if (slice_eq(name, S("expires-at")))
			ok = slice_u64(v, INT64_MAX, &expires_at);
		else if (slice_eq(name, S("saved-at")))
			ok = slice_u64(v, INT64_MAX, &saved_at);
		else
			ok = restore_flow(&flow, name, v);
		if (!ok)
			return ENTENTE_ESYNTAX;
	}
	if (slice_empty(event) || !saved_at)
		return ENTENTE_ESYNTAX;
	struct sip_dialog dialog;
	int rc = sip_dialog_restore(&dialog, &text);
	if (rc < 0)
		return rc;
	uint64_t now = now_unix > 0 ? (uint64_t)now_unix : 0, since = now > saved_at ? now - saved_at : 0;
	if (expires_at <= now)
		rc = ENTENTE_ETIMEOUT;
	else if (sip_usage_known(s, dialog.call_id, dialog.local_tag))
		rc = ENTENTE_EEXIST;
	if (rc < 0) {
		sip_dialog_free(&dialog);
		return rc;
	}
	struct sip_notifier *n = make(s, config, event, ops, arg);
	/* NOTIFYs were sent after the text was written, at most about one a second; the subscriber must not see an old number. */
	uint64_t cseq = dialog.local_cseq + CSEQ_GAP + since;
	dialog.local_cseq = cseq < INT32_MAX ? (uint32_t)cseq : INT32_MAX - 1;
	n->active = slice_eq(state, S("active"));
	n->flow = flow;
	uint64_t left = expires_at - now;
	if (left > config_of(n)->max_expires)
		left = config_of(n)->max_expires; /* the clock was turned back meanwhile */
	timer_arm(timers_of(n), &n->t_expire, left * 1000);
	sip_usage_register(s, &n->usage, dialog.call_id, dialog.local_tag);
	n->dialog = sip_dialog_keep(&dialog);
	*ret = n;
	return 0;
}
