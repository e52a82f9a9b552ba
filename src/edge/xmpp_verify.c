/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback questions (XEP-0220 2.2): a stranger's db:result makes us ask the authoritative server of the domain it claims. Only
 * for domains that policy allows (the stream engine has asked), never on the stream the request came in on. One connection per
 * pair of domains carries all questions that are open: whoever claims a partner's name a hundred times makes us call that partner
 * once. Nobody can take all places for himself: each source has a few in all, and when the places of a pair run out, a source
 * that has fewer of them takes one of the source that has most. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

enum {
	MAX_ASKERS = 1024, MAX_QUESTIONS = 32, /* of a pair */
	MAX_OF_SOURCE = 16,                    /* of one source, for all pairs */
};

struct question {
	struct list node;     /* asker->questions */
	struct s2s *receiver;
	struct addr_source source;
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

static void connected(void *arg, struct conn *c, struct slice host)
{
	struct xmpp_asker *x = arg;
	struct s2s *s = xmpp_s2s_new(x->proxy, false);
	(void)host;
	s->purpose = "dialback question";
	xmpp_s2s_initiator(s, x->local, x->remote, true);
	s->asker = x;
	x->s2s = s;
	LIST_EACH(n, &x->questions)
		xmpp_stream_verify(s->stream, &CONTAINER_OF(n, struct question, node)->v);
	xmpp_s2s_adopt(s, c, x->dialer);
}

struct dialer *xmpp_verify_dialer(const struct s2s *s)
{
	return s->asker->dialer;
}

static const struct dialer_ops dial_ops = {.connected = connected, .exhausted = exhausted};

void xmpp_verify_started(struct s2s *s)
{
	timer_cancel(&s->proxy->loop->timers, &s->asker->patience); /* each question has its own time on the stream */
}

void xmpp_verify_down(struct s2s *s)
{
	struct xmpp_asker *x = s->asker;
	struct entente_err err = s->err;
	bool elsewhere = s->failed && xmpp_s2s_worth_another_address(&err);
	s->asker = NULL;
	x->s2s = NULL;
	if (!elsewhere) {
		give_up(x, err.code == ENTENTE_ETIMEOUT ? "remote-server-timeout" : "remote-connection-failed");
		return;
	}
	timer_arm(&x->proxy->loop->timers, &x->patience, x->proxy->cfg.set.dialback_ms);
	dialer_failed(x->dialer, &err);
	dialer_next(x->dialer);
}

/* ---- questions */

/* NULL: *ret_reason says why nobody can be asked. */
static struct xmpp_asker *asker_of(struct xmpp_proxy *p, const struct xmpp_verify *v, enum reason *ret_reason)
{
	struct dialer_target to;
	struct conn_limits lim;
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
		xmpp_s2s_limits(p, &lim);
		to.limits = &lim;
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

static struct addr_source source_of(const struct s2s *receiver)
{
	struct addr_source none = {0};
	return receiver->conn ? addr_source(conn_remote(receiver->conn)) : none;
}

static bool same_source(const struct addr_source *a, const struct addr_source *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static size_t count_in(const struct xmpp_asker *x, const struct addr_source *source)
{
	size_t c = 0;
	LIST_EACH(n, &x->questions)
		c += same_source(&CONTAINER_OF(n, struct question, node)->source, source);
	return c;
}

/* Only when a stranger comes near the limit is this more than one pair's list. */
static bool source_full(struct xmpp_proxy *p, const struct addr_source *source)
{
	size_t i, c = 0;
	MAP_EACH(m, &p->askers, i)
		c += count_in(CONTAINER_OF(m, struct xmpp_asker, node), source);
	return c >= MAX_OF_SOURCE;
}

/* A place for a source that has `have`: the youngest question of the source that has most, if that are two more. NULL: everybody
 * has his share. */
static struct question *crowding(struct xmpp_asker *x, size_t have)
{
	struct question *worst = NULL;
	size_t most = have + 1;
	LIST_EACH(n, &x->questions) {
		struct question *q = CONTAINER_OF(n, struct question, node);
		size_t c = count_in(x, &q->source);
		if (c > most || (worst && c == most)) {
			most = c;
			worst = q;
		}
	}
	return worst;
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
	struct addr_source source = source_of(receiver);
	if (!p->quiet && source_full(p, &source)) {
		refuse(receiver, v, REASON_LIMIT_CONNECTIONS);
		return;
	}
	struct xmpp_asker *x = p->quiet ? NULL : asker_of(p, v, &reason);
	struct question *out = x && x->n_questions >= MAX_QUESTIONS ? crowding(x, count_in(x, &source)) : NULL;
	if (!x || (x->n_questions >= MAX_QUESTIONS && !out)) {
		refuse(receiver, v, x ? REASON_LIMIT_CONNECTIONS : reason);
		return;
	}
	if (out) { /* the answer to it, if it still comes, finds nobody */
		list_remove(&out->node);
		x->n_questions--;
		refuse(out->receiver, &out->v, REASON_LIMIT_CONNECTIONS);
		mem_free(out);
	}
	struct question *q = mem_calloc(1, sizeof *q + v->local.len + v->remote.len + v->id.len + v->key.len + 1);
	char *at = (char *)(q + 1);
	q->v = (struct xmpp_verify){keep(&at, v->local), keep(&at, v->remote), keep(&at, v->id), keep(&at, v->key)};
	q->receiver = receiver;
	q->source = source;
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
	struct xmpp_stream_info i;
	if (!x)
		return;
	xmpp_stream_info(s->stream, &i);
	if (verdict == XMPP_UNDECIDED && i.state >= XMPP_STREAM_CLOSING)
		return; /* not an answer but the end of the stream: perhaps another address has one */
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
