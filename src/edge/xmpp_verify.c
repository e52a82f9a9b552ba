/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback questions (XEP-0220 2.2): a stranger's db:result makes us ask the authoritative server of the domain it claims. Only
 * for domains that policy allows (the stream engine has asked), never on the stream the request came in on. One connection per
 * pair of domains carries all questions that are open: whoever claims a partner's name a hundred times makes us call that partner
 * once. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

enum { MAX_ASKERS = 256, MAX_QUESTIONS = 32 };

struct question {
	struct list node;     /* asker->questions */
	struct s2s *receiver;
	struct xmpp_verify v; /* behind the struct */
};

struct xmpp_asker {
	struct map_node node; /* key: local NUL remote, owned */
	struct xmpp_proxy *proxy;
	char *key;
	struct slice local, remote;
	struct list questions;
	size_t n_questions;
	struct dialer *dialer;
	struct s2s *s2s;
	struct timer patience; /* until a connection is there */
};

static struct slice keep(char **at, struct slice s)
{
	char *p = *at;
	if (s.len)
		memcpy(p, s.p, s.len);
	*at += s.len;
	return slice_of(p, s.len);
}

static void tell(struct s2s *receiver, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	if (receiver->stream && !receiver->stream_over)
		xmpp_stream_verify_done(receiver->stream, v, verdict, condition);
}

static void asker_free(struct xmpp_asker *x)
{
	timer_cancel(&x->proxy->loop->timers, &x->patience);
	dialer_free(x->dialer);
	map_remove(&x->proxy->askers, &x->node);
	mem_free(x->key);
	mem_free(x);
}

/* Forgets the asker, then answers what is open. The stream, if any, ends by itself. */
static void give_up(struct xmpp_asker *x, const char *condition)
{
	struct s2s *s = x->s2s;
	struct list open;
	list_init(&open);
	for (struct list *n; (n = list_head(&x->questions));) {
		list_remove(n);
		list_append(&open, n);
	}
	asker_free(x);
	if (s)
		xmpp_s2s_let_go(s);
	for (struct list *n; (n = list_head(&open));) {
		struct question *q = CONTAINER_OF(n, struct question, node);
		list_remove(n);
		if (condition)
			tell(q->receiver, &q->v, XMPP_UNDECIDED, slice_str(condition));
		mem_free(q);
	}
}

/* ---- the connection */

static void exhausted(void *arg, const struct entente_err *err)
{
	struct xmpp_asker *x = arg;
	bool dns = err->reason == REASON_XMPP_DNS;
	log_ev_limited(LOG_WARNING, "xmpp/dialback-unreachable", x->remote, {"partner", x->remote},
		       {"reason", slice_str(reason_info(err->reason)->id)}, {"text", slice_str(err->text)});
	give_up(x, dns ? "remote-server-not-found" : "remote-connection-failed");
}

static void patience_fired(struct timer *t, uint64_t now)
{
	struct xmpp_asker *x = CONTAINER_OF(t, struct xmpp_asker, patience);
	(void)now;
	log_ev_limited(LOG_WARNING, "xmpp/dialback-unreachable", x->remote, {"partner", x->remote},
		       {"reason", slice_str(reason_info(REASON_XMPP_UNREACHABLE)->id)},
		       {"text", S("no connection to the authoritative server in time")});
	give_up(x, "remote-server-timeout");
}

static void try_address(void *arg, const struct addr *to, struct slice host)
{
	struct xmpp_asker *x = arg;
	struct entente_err err;
	struct s2s *s = xmpp_s2s_new(x->proxy, false);
	(void)host;
	s->direct = dialer_direct(x->dialer);
	if (xmpp_s2s_connect(s, to, &err)) {
		xmpp_s2s_free(s);
		dialer_failed(x->dialer, &err);
		dialer_next(x->dialer);
		return;
	}
	xmpp_s2s_initiator(s, x->local, x->remote, true);
	s->asker = x;
	x->s2s = s;
	LIST_EACH(n, &x->questions)
		xmpp_stream_verify(s->stream, &CONTAINER_OF(n, struct question, node)->v);
}

static const struct dialer_ops dial_ops = {.address = try_address, .exhausted = exhausted};

void xmpp_verify_started(struct s2s *s)
{
	timer_cancel(&s->proxy->loop->timers, &s->asker->patience); /* each question has its own time on the stream */
}

void xmpp_verify_try_next(struct s2s *s, const struct entente_err *why)
{
	struct xmpp_asker *x = s->asker;
	struct entente_err err = *why;
	err.reason = REASON_XMPP_UNREACHABLE;
	s->asker = NULL;
	x->s2s = NULL;
	xmpp_s2s_free(s);
	dialer_failed(x->dialer, &err);
	dialer_next(x->dialer);
}

void xmpp_verify_down(struct s2s *s)
{
	struct xmpp_asker *x = s->asker;
	s->asker = NULL;
	x->s2s = NULL;
	give_up(x, "remote-server-timeout"); /* the stream has answered for all that it carried: nothing should be open */
}

/* ---- questions */

/* NULL: *ret_reason says why nobody can be asked. */
static struct xmpp_asker *asker_of(struct xmpp_proxy *p, const struct xmpp_verify *v, enum reason *ret_reason)
{
	struct dialer_target to;
	char *key = mem_calloc(1, v->local.len + v->remote.len + 2), *at = key;
	keep(&at, v->local);
	at++;
	keep(&at, v->remote);
	struct slice k = slice_of(key, v->local.len + 1 + v->remote.len);
	struct map_node *n = map_find(&p->askers, k);
	if (n) {
		mem_free(key);
		return CONTAINER_OF(n, struct xmpp_asker, node);
	}
	struct arena *a = arena_acquire(p->loop->arenas);
	struct xmpp_asker *x = NULL;
	*ret_reason = REASON_LIMIT_CONNECTIONS;
	if (p->askers.count < MAX_ASKERS && xmpp_proxy_target(p, a, v->local, v->remote, &to, ret_reason)) {
		x = MEM_NEW(struct xmpp_asker);
		x->proxy = p;
		x->key = key;
		x->local = slice_first(k, v->local.len);
		x->remote = slice_skip(k, v->local.len + 1);
		list_init(&x->questions);
		timer_init(&x->patience, patience_fired);
		timer_arm(&p->loop->timers, &x->patience, p->cfg.set.dialback_ms);
		map_insert(&p->askers, &x->node, k);
		x->dialer = dialer_new(p->worker, p->cfg.dns, &to, &dial_ops, x);
		key = NULL;
	}
	mem_free(key);
	arena_release(p->loop->arenas, a);
	return x;
}

static void refuse(struct s2s *receiver, const struct xmpp_verify *v, enum reason reason)
{
	metric_add(METRIC_LIMIT_HITS, 1);
	log_ev_limited(LOG_WARNING, "xmpp/dialback-refused", slice_str(receiver->address), {"partner", v->remote},
		       {"address", slice_str(receiver->address)}, {"reason", slice_str(reason_info(reason)->id)},
		       {"text", slice_str(reason_info(reason)->text)});
	tell(receiver, v, XMPP_UNDECIDED, S("resource-constraint"));
}

void xmpp_verify_start(struct s2s *receiver, const struct xmpp_verify *v)
{
	struct xmpp_proxy *p = receiver->proxy;
	enum reason reason = REASON_SERVER_SHUTDOWN;
	struct xmpp_asker *x = p->quiet ? NULL : asker_of(p, v, &reason);
	if (!x || x->n_questions >= MAX_QUESTIONS) {
		refuse(receiver, v, x ? REASON_LIMIT_CONNECTIONS : reason);
		return;
	}
	struct question *q = mem_calloc(1, sizeof *q + v->local.len + v->remote.len + v->id.len + v->key.len + 1);
	char *at = (char *)(q + 1);
	q->v = (struct xmpp_verify){keep(&at, v->local), keep(&at, v->remote), keep(&at, v->id), keep(&at, v->key)};
	q->receiver = receiver;
	list_append(&x->questions, &q->node);
	x->n_questions++;
	if (!x->s2s && x->n_questions == 1)
		dialer_next(x->dialer);
	else if (x->s2s && xmpp_stream_verify(x->s2s->stream, &q->v)) {
		list_remove(&q->node);
		x->n_questions--;
		mem_free(q);
		refuse(receiver, v, REASON_LIMIT_CONNECTIONS);
	}
}

void xmpp_verify_answer(struct s2s *s, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	struct xmpp_asker *x = s->asker;
	if (!x)
		return;
	LIST_EACH(n, &x->questions) {
		struct question *q = CONTAINER_OF(n, struct question, node);
		if (!slice_eq(q->v.id, v->id))
			continue;
		struct s2s *receiver = q->receiver;
		list_remove(n);
		x->n_questions--;
		if (!x->n_questions) { /* a new question gets a new stream */
			asker_free(x);
			xmpp_s2s_let_go(s);
		}
		tell(receiver, &q->v, verdict, condition);
		mem_free(q);
		return;
	}
}

void xmpp_verify_forget(struct s2s *receiver)
{
	struct xmpp_proxy *p = receiver->proxy;
	size_t i;
	MAP_EACH(m, &p->askers, i) {
		struct xmpp_asker *x = CONTAINER_OF(m, struct xmpp_asker, node);
		LIST_EACH(n, &x->questions) {
			struct question *q = CONTAINER_OF(n, struct question, node);
			if (q->receiver != receiver)
				continue;
			list_remove(n);
			x->n_questions--;
			mem_free(q);
		}
		if (!x->n_questions)
			give_up(x, NULL);
	}
}

void xmpp_verify_end_all(struct xmpp_proxy *p, bool tell_them)
{
	size_t i;
	MAP_EACH(m, &p->askers, i)
		give_up(CONTAINER_OF(m, struct xmpp_asker, node), tell_them ? "remote-server-timeout" : NULL);
}
