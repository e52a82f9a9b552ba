/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback questions (XEP-0220 2.2): a stranger's db:result makes us ask the authoritative server of the domain it claims. Only for domains
 * that policy allows (the stream engine has asked), one connection per question, never on the stream the request came in on. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

enum { MAX_VERIFICATIONS = 256 };

struct xmpp_verification {
	struct list node;  /* proxy->verifies */
	struct xmpp_proxy *proxy;
	struct s2s *receiver, *asker;
	struct dialer *dialer;
	char *mem; /* owned: the four texts */
	struct xmpp_verify v;
};

static struct slice keep(char **at, struct slice s)
{
	char *p = *at;
	memcpy(p, s.p, s.len);
	*at += s.len;
	return slice_of(p, s.len);
}

static void finish(struct xmpp_verification *x, enum xmpp_verdict verdict, struct slice condition)
{
	struct s2s *receiver = x->receiver, *asker = x->asker;
	list_remove(&x->node);
	x->proxy->n_verifies--;
	dialer_free(x->dialer);
	if (asker)
		asker->verification = NULL;
	if (receiver && receiver->stream && !receiver->stream_over)
		xmpp_stream_verify_done(receiver->stream, &x->v, verdict, condition);
	if (asker && asker->stream && !asker->stream_over)
		xmpp_stream_close(asker->stream);
	mem_free(x->mem);
	mem_free(x);
}

static void exhausted(void *arg, const struct entente_err *err)
{
	struct xmpp_verification *x = arg;
	log_ev(LOG_WARNING, "xmpp/dialback-unreachable", {"partner", x->v.remote}, {"text", slice_str(err->text)});
	finish(x, XMPP_UNDECIDED, S("remote-server-not-found"));
}

static void try_address(void *arg, const struct addr *to, struct slice host)
{
	struct xmpp_verification *x = arg;
	struct entente_err err;
	struct s2s *s = xmpp_s2s_new(x->proxy, false);
	(void)host;
	if (xmpp_s2s_connect(s, to, &err)) {
		xmpp_s2s_free(s);
		dialer_next(x->dialer);
		return;
	}
	xmpp_s2s_initiator(s, x->v.local, x->v.remote, true);
	s->verification = x;
	x->asker = s;
	xmpp_stream_verify(s->stream, &x->v);
}

static const struct dialer_ops dial_ops = {.address = try_address, .exhausted = exhausted};

void xmpp_verify_start(struct s2s *receiver, const struct xmpp_verify *v)
{
	struct xmpp_proxy *p = receiver->proxy;
	struct slice ascii, host = SLICE_NONE;
	uint16_t port = 0;
	struct arena *a = arena_acquire(p->loop->arenas);
	if (p->n_verifies >= MAX_VERIFICATIONS || p->draining || xmpp_domain_ascii(a, v->remote, &ascii)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		xmpp_stream_verify_done(receiver->stream, v, XMPP_UNDECIDED, S("resource-constraint"));
		arena_release(p->loop->arenas, a);
		return;
	}
	struct xmpp_verification *x = MEM_NEW(struct xmpp_verification);
	char *at = x->mem = mem_calloc(1, v->local.len + v->remote.len + v->id.len + v->key.len + 1);
	x->v = (struct xmpp_verify){keep(&at, v->local), keep(&at, v->remote), keep(&at, v->id), keep(&at, v->key)};
	x->proxy = p;
	x->receiver = receiver;
	list_append(&p->verifies, &x->node);
	p->n_verifies++;
	const struct policy_partner *partner = xmpp_proxy_partner(p, a, v->remote);
	if (partner) {
		host = partner->server_host;
		port = partner->server_port;
	}
	x->dialer = dialer_new(p->worker, p->cfg.dns, ascii, host, port, &dial_ops, x);
	arena_release(p->loop->arenas, a);
	dialer_next(x->dialer);
}

void xmpp_verify_answer(struct s2s *asker, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	(void)v;
	if (asker->verification)
		finish(asker->verification, verdict, condition);
}

void xmpp_verify_forget(struct s2s *s)
{
	struct xmpp_verification *x = s->verification;
	if (x) {
		s->verification = NULL;
		x->asker = NULL;
		if (!s->failed && !s->stream_over)
			dialer_next(x->dialer); /* the connection never came up: the next address */
		else
			finish(x, XMPP_UNDECIDED, S("remote-server-timeout"));
		return;
	}
	LIST_EACH(n, &s->proxy->verifies) {
		struct xmpp_verification *y = CONTAINER_OF(n, struct xmpp_verification, node);
		if (y->receiver == s)
			y->receiver = NULL;
	}
}

void xmpp_verify_free_all(struct xmpp_proxy *p)
{
	LIST_EACH(n, &p->verifies) {
		struct xmpp_verification *x = CONTAINER_OF(n, struct xmpp_verification, node);
		x->receiver = NULL;
		finish(x, XMPP_UNDECIDED, SLICE_NONE);
	}
}
