/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "edge/xmpp_proxy_int.h"

enum { RETRY_MIN_MS = 1000 };

static void report(struct xmpp_proxy *p, const struct xmpp_ticket *t, enum reason reason, struct slice why)
{
	if (t->id && (reason != REASON_NONE || t->tell_sent))
		p->ops->sent(p->arg, t, reason, why);
}

static void dequeue(struct xmpp_link *l, struct queued *q)
{
	list_remove(&q->node);
	l->n_queue--;
	l->queue_octets -= q->len;
}

void xmpp_link_bounce(struct xmpp_link *l, enum reason reason, struct slice why)
{
	struct xmpp_proxy *p = l->proxy;
	timer_cancel(&p->loop->timers, &l->patience);
	for (struct list *n; (n = list_head(&l->queue));) {
		struct queued *q = CONTAINER_OF(n, struct queued, node);
		dequeue(l, q);
		report(p, &q->ticket, reason, why);
		mem_free(q);
	}
}

/* Sends what waits, as long as the stream takes it. */
static void flush(struct xmpp_link *l)
{
	struct xmpp_proxy *p = l->proxy;
	timer_cancel(&p->loop->timers, &l->patience);
	for (struct list *n; l->s2s && (n = list_head(&l->queue));) {
		struct queued *q = CONTAINER_OF(n, struct queued, node);
		int rc = xmpp_stream_send(l->s2s->stream, slice_of(q->bytes, q->len));
		if (rc == ENTENTE_EAGAIN || rc == ENTENTE_ECLOSED)
			return;
		dequeue(l, q);
		if (!rc)
			metric_add(METRIC_XMPP_STANZAS_OUT, 1);
		report(p, &q->ticket, rc ? REASON_LIMIT_SIZE : REASON_NONE, rc ? S("larger than the partner takes") : SLICE_NONE);
		mem_free(q);
	}
}

void xmpp_link_up(struct xmpp_link *l)
{
	if (l->state == LINK_UP)
		return;
	l->state = LINK_UP;
	l->since = l->proxy->loop->timers.now;
	l->backoff_ms = 0;
	l->err = (struct entente_err){0};
	flush(l);
	l->was_up = true;
	if (l->proxy->ops->link)
		l->proxy->ops->link(l->proxy->arg, slice_str(l->local), slice_str(l->remote), true);
}

static void start(struct xmpp_link *l);

static void fail(struct xmpp_link *l, const struct entente_err *err)
{
	struct xmpp_proxy *p = l->proxy;
	l->dialer = dialer_free(l->dialer);
	l->state = LINK_BACKOFF;
	l->since = p->loop->timers.now;
	l->was_up = false;
	l->err = *err;
	l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : RETRY_MIN_MS;
	if (l->backoff_ms > p->cfg.retry_max_ms)
		l->backoff_ms = p->cfg.retry_max_ms;
	l->retry_at = l->since + l->backoff_ms * 3 / 4 + rand_below(l->backoff_ms / 2 + 1);
	metric_refused((int)err->reason);
	log_ev(LOG_WARNING, "xmpp/link-failed", {"local", slice_str(l->local)}, {"partner", slice_str(l->remote)},
	       {"reason", slice_str(reason_info(err->reason)->id)}, {"text", slice_str(err->text)});
	xmpp_link_bounce(l, err->reason ? err->reason : REASON_XMPP_UNREACHABLE, slice_str(err->text));
	if (p->ops->link)
		p->ops->link(p->arg, slice_str(l->local), slice_str(l->remote), false);
}

void xmpp_link_down(struct xmpp_link *l, const struct entente_err *err)
{
	l->s2s = NULL;
	if (err) {
		fail(l, err);
		return;
	}
	l->dialer = dialer_free(l->dialer);
	l->state = LINK_IDLE; /* idle close, or the partner's orderly end: the next stanza opens it again */
	l->was_up = false;
	if (l->proxy->draining)
		xmpp_link_bounce(l, REASON_SERVER_SHUTDOWN, SLICE_NONE);
	else if (!list_empty(&l->queue))
		start(l);
}

static void try_address(void *arg, const struct addr *to, struct slice host)
{
	struct xmpp_link *l = arg;
	struct xmpp_proxy *p = l->proxy;
	struct entente_err err;
	(void)host;
	struct s2s *s = xmpp_s2s_new(p, false);
	if (xmpp_s2s_connect(s, to, &err)) {
		xmpp_s2s_free(s);
		dialer_next(l->dialer);
		return;
	}
	xmpp_s2s_initiator(s, slice_str(l->local), slice_str(l->remote), false);
	l->state = LINK_CONNECTING;
	l->s2s = s;
	s->link = l;
}

void xmpp_link_try_next(struct xmpp_link *l)
{
	struct s2s *s = l->s2s;
	l->s2s = NULL;
	s->link = NULL;
	xmpp_s2s_free(s);
	l->state = LINK_RESOLVING;
	dialer_next(l->dialer);
}

static void exhausted(void *arg, const struct entente_err *err)
{
	struct entente_err copy = *err;
	fail(arg, &copy);
}

static const struct dialer_ops dial_ops = {.address = try_address, .exhausted = exhausted};

static void start(struct xmpp_link *l)
{
	struct xmpp_proxy *p = l->proxy;
	struct slice ascii, remote = slice_str(l->remote), host = SLICE_NONE;
	uint16_t port = 0;
	struct entente_err err;
	struct arena *a = arena_acquire(p->loop->arenas);
	if (p->n_s2s >= p->cfg.max_links) {
		err_set(&err, ENTENTE_ELIMIT, REASON_LIMIT_CONNECTIONS, "too many streams");
		metric_add(METRIC_LIMIT_HITS, 1);
		fail(l, &err);
	} else if (xmpp_domain_ascii(a, remote, &ascii)) {
		err_set(&err, ENTENTE_ESYNTAX, REASON_XMPP_DNS, "%s is not a domain name", l->remote);
		fail(l, &err);
	} else {
		const struct policy_partner *partner = xmpp_proxy_partner(p, a, remote);
		if (partner) {
			host = partner->server_host;
			port = partner->server_port;
		}
		l->state = LINK_RESOLVING;
		l->since = p->loop->timers.now;
		l->dialer = dialer_new(p->worker, p->cfg.dns, ascii, host, port, &dial_ops, l);
		dialer_next(l->dialer);
	}
	arena_release(p->loop->arenas, a);
}

static void arm_patience(struct xmpp_link *l)
{
	struct list *n = list_head(&l->queue);
	if (n && !timer_armed(&l->patience)) {
		uint64_t now = l->proxy->loop->timers.now, due = CONTAINER_OF(n, struct queued, node)->since + l->proxy->cfg.queue_ms;
		timer_arm(&l->proxy->loop->timers, &l->patience, due > now ? due - now : 0);
	}
}

static void patience_fired(struct timer *t, uint64_t now)
{
	struct xmpp_link *l = CONTAINER_OF(t, struct xmpp_link, patience);
	for (struct list *n; (n = list_head(&l->queue));) {
		struct queued *q = CONTAINER_OF(n, struct queued, node);
		if (q->since + l->proxy->cfg.queue_ms > now)
			break;
		dequeue(l, q);
		report(l->proxy, &q->ticket, REASON_XMPP_UNREACHABLE, S("the stream to the partner did not come up in time"));
		mem_free(q);
	}
	arm_patience(l);
}

static struct xmpp_link *link_of(struct xmpp_proxy *p, struct slice local, struct slice remote)
{
	char key[2100];
	if (local.len + remote.len + 1 > sizeof key)
		return NULL;
	memcpy(key, local.p, local.len);
	key[local.len] = '\0';
	memcpy(key + local.len + 1, remote.p, remote.len);
	struct slice k = slice_of(key, local.len + 1 + remote.len);
	struct map_node *n = map_find(&p->links, k);
	if (n)
		return CONTAINER_OF(n, struct xmpp_link, node);
	struct xmpp_link *l = MEM_NEW(struct xmpp_link);
	l->proxy = p;
	l->key = mem_strndup(k.p, k.len);
	l->local = l->key;
	l->remote = l->key + local.len + 1;
	list_init(&l->queue);
	timer_init(&l->patience, patience_fired);
	map_insert(&p->links, &l->node, slice_of(l->key, k.len));
	return l;
}

void xmpp_link_free(struct xmpp_link *l)
{
	timer_cancel(&l->proxy->loop->timers, &l->patience);
	LIST_EACH(n, &l->queue)
		mem_free(CONTAINER_OF(n, struct queued, node));
	dialer_free(l->dialer);
	mem_free(l->key);
	mem_free(l);
}

void xmpp_proxy_send(struct xmpp_proxy *p, struct slice local, struct slice remote, struct slice stanza, const struct xmpp_ticket *t)
{
	struct xmpp_link *l = link_of(p, local, remote);
	if (!l) {
		report(p, t, REASON_ADDRESS_TOO_LONG, SLICE_NONE);
		return;
	}
	if (l->state == LINK_UP && l->s2s) {
		int rc = xmpp_stream_send(l->s2s->stream, stanza);
		if (!rc) {
			metric_add(METRIC_XMPP_STANZAS_OUT, 1);
			report(p, t, REASON_NONE, SLICE_NONE);
			return;
		}
		if (rc == ENTENTE_ELIMIT) {
			report(p, t, REASON_LIMIT_SIZE, S("larger than the partner takes"));
			return;
		}
		/* it is closing: wait for the next one */
	}
	if (p->draining) {
		report(p, t, REASON_SERVER_SHUTDOWN, SLICE_NONE);
		return;
	}
	if (l->state == LINK_BACKOFF && p->loop->timers.now < l->retry_at) {
		report(p, t, l->err.reason ? l->err.reason : REASON_XMPP_UNREACHABLE, slice_str(l->err.text));
		return;
	}
	if (l->n_queue >= p->cfg.queue_stanzas || l->queue_octets + stanza.len > p->cfg.queue_octets) {
		metric_add(METRIC_LIMIT_HITS, 1);
		report(p, t, REASON_LIMIT_QUEUE_FULL, SLICE_NONE);
		return;
	}
	struct queued *q = mem_realloc(NULL, sizeof *q + stanza.len);
	*q = (struct queued){.ticket = *t, .since = p->loop->timers.now, .len = stanza.len};
	memcpy(q->bytes, stanza.p, stanza.len);
	list_append(&l->queue, &q->node);
	l->n_queue++;
	l->queue_octets += stanza.len;
	arm_patience(l);
	if (l->state == LINK_IDLE || l->state == LINK_BACKOFF)
		start(l);
}

void xmpp_proxy_clear_backoff(struct xmpp_proxy *p, struct slice remote)
{
	size_t i;
	MAP_EACH(n, &p->links, i) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, node);
		if (l->state == LINK_BACKOFF && slice_eq(slice_str(l->remote), remote))
			l->retry_at = 0;
	}
}
