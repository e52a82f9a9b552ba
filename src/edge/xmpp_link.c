/* SPDX-License-Identifier: Apache-2.0 */
/* An outbound link: the stream of one pair of domains, and the stanzas that wait for it. In order, always: while something waits,
 * everything waits. */
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "edge/xmpp_proxy_int.h"

enum {
	RETRY_MIN_MS = 1000,
	STABLE_MS = 5000,        /* a stream that lived so long may be opened again at once */
	TELL_AGAIN_MS = 600000,
	RING_MIN = 16,
	RING_MAX = 16384,        /* unconfirmed stanzas; more wait in the queue */
	CONFIRM_MS = 10,         /* so long the other kernel is given before a stanza is told as handed over */
	LOOK_MIN_MS = 1,
	LOOK_MAX_MS = 250,
};

static void start(struct xmpp_link *l);

static void claim(struct xmpp_link *l)
{
	struct xmpp_proxy *p = l->proxy;
	struct slice local = slice_str(l->local), remote = slice_str(l->remote);
	if (p->cfg.routes && !l->claimed)
		l->claimed = xmpp_routes_claim(p->cfg.routes, local, remote, p->worker->id,
			pool_pick(p->worker->pool, remote) != p->worker);
}

static void unclaim(struct xmpp_link *l)
{
	if (l->claimed)
		xmpp_routes_release(l->proxy->cfg.routes, slice_str(l->local), slice_str(l->remote));
	l->claimed = false;
}

/* ---- the queue */

static void report(struct xmpp_proxy *p, const struct xmpp_ticket *t, enum reason reason, struct slice why)
{
	if (t->id && (reason != REASON_NONE || t->tell_sent))
		p->ops->sent(p->arg, t, reason, why);
}

static void arm_patience(struct xmpp_link *l)
{
	struct timers *q = &l->proxy->loop->timers;
	struct list *n = list_head(&l->queue);
	if (!n) {
		timer_cancel(q, &l->patience);
		return;
	}
	uint64_t due = CONTAINER_OF(n, struct queued, node)->since + l->proxy->cfg.set.queue_ms;
	timer_arm(q, &l->patience, due > q->now ? due - q->now : 0);
}

/* Takes the first one out. */
static struct queued *dequeue(struct xmpp_link *l)
{
	struct list *n = list_head(&l->queue);
	struct queued *q = CONTAINER_OF(n, struct queued, node);
	list_remove(n);
	l->n_queue--;
	l->queue_octets -= q->len;
	arm_patience(l);
	return q;
}

void xmpp_link_bounce(struct xmpp_link *l, enum reason reason, struct slice why)
{
	/* what comes in meanwhile is not meant */
	for (size_t n = l->n_queue; n && l->n_queue; n--) {
		struct queued *q = dequeue(l);
		report(l->proxy, &q->ticket, reason, why);
		mem_free(q);
	}
}


static int enqueue(struct xmpp_link *l, struct slice stanza, const struct xmpp_ticket *t)
{
	const struct xmpp_proxy_settings *c = &l->proxy->cfg.set;
	if (l->n_queue >= c->queue_stanzas || l->queue_octets + stanza.len > c->queue_octets)
		return ENTENTE_ELIMIT;
	struct queued *q = mem_realloc(NULL, sizeof *q + stanza.len);
	*q = (struct queued){.ticket = *t, .since = l->proxy->loop->timers.now, .len = stanza.len};
	memcpy(q->bytes, stanza.p, stanza.len);
	list_append(&l->queue, &q->node);
	l->n_queue++;
	l->queue_octets += stanza.len;
	arm_patience(l);
	return 0;
}

/* ---- handed over, not confirmed */

static struct unacked *unacked_at(struct xmpp_link *l, size_t i)
{
	return &l->ring[(l->ring_head + i) & (l->ring_size - 1)];
}

static void arm_trust(struct xmpp_link *l)
{
	struct timers *q = &l->proxy->loop->timers;
	if (l->ring_told == l->ring_n) {
		timer_cancel(q, &l->trust);
	} else if (!timer_armed(&l->trust)) {
		const struct unacked *u = unacked_at(l, l->ring_told);
		uint64_t due = u->since + (u->by_ack ? l->proxy->cfg.set.ack_wait_ms : CONFIRM_MS);
		timer_arm(q, &l->trust, due > q->now ? due - q->now : 0);
	}
}

/* The kernel of the other side answers within a round trip, or when its program has read: soon, or after a while. */
static void arm_look(struct xmpp_link *l, uint32_t ms)
{
	l->look_ms = ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS;
	timer_arm(&l->proxy->loop->timers, &l->look, l->look_ms);
}

/* Takes the oldest out and reports it. */
static void settle(struct xmpp_link *l, enum reason reason, struct slice why)
{
	struct timers *q = &l->proxy->loop->timers;
	struct xmpp_ticket t = l->ring[l->ring_head].ticket;
	l->ring_head = (l->ring_head + 1) & (l->ring_size - 1);
	l->ring_n--;
	if (l->ring_told)
		l->ring_told--;
	else
		timer_cancel(q, &l->trust);
	if (!l->ring_n)
		timer_cancel(q, &l->look);
	else
		arm_trust(l);
	if (l->n_queue)
		loop_defer(l->proxy->loop, &l->flush);
	report(l->proxy, &t, reason, why);
}

/* What waited behind texts that are lost must not overtake them on the next stream: it goes the same way, back to its owner, who has their order. */
static void give_back(struct xmpp_link *l, enum reason reason, struct slice why)
{
	struct xmpp_proxy *p = l->proxy;
	for (size_t n = l->n_queue; n && l->n_queue; n--) {
		struct queued *q = dequeue(l);
		if (q->ticket.confirm) {
			p->ops->handed(p->arg, &q->ticket, false);
			report(p, &q->ticket, reason, why);
			mem_free(q);
			continue;
		}
		list_append(&l->queue, &q->node);
		l->n_queue++;
		l->queue_octets += q->len;
	}
	arm_patience(l);
}

static void patience_fired(struct timer *t, uint64_t now)
{
	struct xmpp_link *l = CONTAINER_OF(t, struct xmpp_link, patience);
	struct slice why = l->state == LINK_UP ? S("the partner's server reads too slowly") : S("the stream to the partner did not come up in time");
	bool texts = false;
	for (struct list *n; (n = list_head(&l->queue)) && CONTAINER_OF(n, struct queued, node)->since + l->proxy->cfg.set.queue_ms <= now;) {
		struct queued *q = dequeue(l);
		texts = texts || q->ticket.confirm;
		metric_add(METRIC_QUEUE_EXPIRED, 1);
		report(l->proxy, &q->ticket, REASON_XMPP_UNREACHABLE, why);
		mem_free(q);
	}
	arm_patience(l);
	if (texts && l->proxy->cfg.set.kept && l->proxy->ops->handed)
		give_back(l, REASON_XMPP_UNREACHABLE, why);
}

/* The stream is gone. Of what was confirmed we know that it arrived, of this we do not. True: texts are lost. */
static bool lose(struct xmpp_link *l, enum reason reason)
{
	struct slice why = reason ? S("the stream ended before the partner's server acknowledged it") : SLICE_NONE;
	bool texts = false;
	for (size_t n = l->ring_n; n && l->ring_n; n--) {
		texts = texts || unacked_at(l, 0)->ticket.confirm;
		settle(l, reason, why);
	}
	l->ring = mem_free(l->ring);
	l->ring_size = l->ring_head = 0;
	l->ring_over = false;
	return texts && reason;
}

static void lose_all(struct xmpp_link *l, enum reason reason)
{
	if (lose(l, reason) && l->proxy->ops->handed)
		give_back(l, reason, S("the stream ended, and texts that were handed to it before this one are lost"));
}

/* The first step: whoever wants only one has it now. */
static void trust_fired(struct timer *t, uint64_t now)
{
	struct xmpp_link *l = CONTAINER_OF(t, struct xmpp_link, trust);
	struct xmpp_proxy *p = l->proxy;
	if (l->ring_over) {
		lose_all(l, REASON_XMPP_UNREACHABLE);
		return;
	}
	for (size_t n = l->ring_n - l->ring_told; n && l->ring_told < l->ring_n; n--) {
		struct unacked *u = unacked_at(l, l->ring_told);
		struct xmpp_ticket ticket = u->ticket;
		bool by_ack = u->by_ack;
		if (u->since + (by_ack ? p->cfg.set.ack_wait_ms : CONFIRM_MS) > now)
			break;
		if (!ticket.confirm)
			u->ticket.id = 0;
		l->ring_told++;
		if (!ticket.confirm)
			report(p, &ticket, REASON_NONE, SLICE_NONE);
		else if (p->ops->handed)
			p->ops->handed(p->arg, &ticket, by_ack);
	}
	arm_trust(l);
}

static void look(struct xmpp_link *l, bool all)
{
	struct conn *c = l->s2s ? l->s2s->conn : NULL;
	uint64_t now = l->proxy->loop->timers.now, written = c ? conn_written(c) : 0, taken;
	/* what was given to the stream in this turn may not have left it */
	for (size_t i = 0; c && i < l->ring_n; i++) {
		struct unacked *u = unacked_at(l, i);
		if (!u->by_ack && !u->number && (all || u->since < now))
			u->number = written;
	}
	taken = c ? conn_acknowledged(c) : 0;
	while (l->ring_n && !unacked_at(l, 0)->by_ack && unacked_at(l, 0)->number && unacked_at(l, 0)->number <= taken)
		settle(l, REASON_NONE, SLICE_NONE);
}

static void look_fired(struct timer *t, uint64_t now)
{
	struct xmpp_link *l = CONTAINER_OF(t, struct xmpp_link, look);
	size_t before = l->ring_n;
	(void)now;
	look(l, false);
	if (l->ring_n && !unacked_at(l, 0)->by_ack)
		arm_look(l, l->ring_n < before ? LOOK_MIN_MS : l->look_ms * 2);
}

void xmpp_link_look(struct xmpp_link *l)
{
	if (!l->ring_over)
		look(l, true);
}

void xmpp_link_acked(struct xmpp_link *l, uint64_t n)
{
	uint64_t number;
	size_t k = 0;
	if (l->s2s && !xmpp_stream_acks(l->s2s->stream, &number)) { /* it does not do it after all */
		for (size_t i = 0; i < l->ring_n; i++)
			if (unacked_at(l, i)->by_ack)
				*unacked_at(l, i) = (struct unacked){.since = unacked_at(l, i)->since, .ticket = unacked_at(l, i)->ticket};
		if (l->ring_n)
			arm_look(l, LOOK_MIN_MS);
		return;
	}
	while (k < l->ring_n && (!unacked_at(l, k)->by_ack || unacked_at(l, k)->number <= n)) /* what went before them has arrived, too */
		k++;
	for (; k && l->ring_n; k--)
		settle(l, REASON_NONE, SLICE_NONE);
}

static void grow(struct xmpp_link *l)
{
	size_t size = l->ring_size ? l->ring_size * 2 : RING_MIN;
	struct unacked *ring = mem_calloc(size, sizeof *ring);
	for (size_t i = 0; i < l->ring_n; i++)
		ring[i] = *unacked_at(l, i);
	mem_free(l->ring);
	l->ring = ring;
	l->ring_size = size;
	l->ring_head = 0;
}

static void handed_over(struct xmpp_link *l, const struct xmpp_ticket *t)
{
	uint64_t number = 0;
	bool acks = l->s2s && xmpp_stream_acks(l->s2s->stream, &number);
	if (!t->id)
		return;
	if (!acks && (!t->confirm || !l->s2s)) {
		report(l->proxy, t, t->confirm ? REASON_XMPP_UNREACHABLE : REASON_NONE,
		       t->confirm ? S("the stream ended before the partner's server acknowledged it") : SLICE_NONE);
		return;
	}
	if (l->ring_n == l->ring_size)
		grow(l);
	l->ring_n++;
	*unacked_at(l, l->ring_n - 1) =
		(struct unacked){.by_ack = acks, .number = acks ? number : 0, .since = l->proxy->loop->timers.now, .ticket = *t};
	arm_trust(l);
	if (!acks && (!timer_armed(&l->look) || l->look_ms > LOOK_MIN_MS))
		arm_look(l, LOOK_MIN_MS);
}

/* ---- sending */

/* The stream is closing: it ends by itself, and the next one need not wait for that. */
static void part(struct xmpp_link *l)
{
	struct s2s *s = l->s2s;
	l->s2s = NULL;
	l->dialer = dialer_free(l->dialer);
	l->state = LINK_IDLE;
	unclaim(l);
	if (s) {
		l->s2s = s;
		look(l, true);
		l->s2s = NULL;
		xmpp_s2s_let_go(s);
	}
	if (l->ring_n) { /* not from here: whoever hears of it may send, and must not overtake what is being sent */
		l->ring_over = true;
		timer_arm(&l->proxy->loop->timers, &l->trust, 0);
	}
}

/* To the stream. ENTENTE_EAGAIN: not now; ENTENTE_ECLOSED: not on this stream; ENTENTE_EREFUSED: not on one like this. */
static int hand_over(struct xmpp_link *l, const struct xmpp_ticket *t, struct slice stanza)
{
	uint64_t number;
	if (l->state != LINK_UP || !l->s2s || !l->s2s->conn || l->s2s->broken)
		return ENTENTE_ECLOSED;
	if (conn_congested(l->s2s->conn) || (l->ring_n >= RING_MAX && t->id))
		return ENTENTE_EAGAIN;
	if (t->acked_only && !xmpp_stream_acks(l->s2s->stream, &number))
		return ENTENTE_EREFUSED;
	int rc = xmpp_stream_send(l->s2s->stream, stanza);
	if (!rc)
		metric_add(METRIC_XMPP_STANZAS_OUT, 1);
	if (!rc && trace_on(l->proxy->cfg.trace))
		trace_octets(l->proxy->cfg.trace, slice_str(l->remote), l->s2s ? l->s2s->id : 0, stanza);
	return rc;
}

static void told(struct xmpp_link *l, const struct xmpp_ticket *t, int rc)
{
	if (!rc)
		handed_over(l, t);
	else if (rc == ENTENTE_ELIMIT)
		report(l->proxy, t, REASON_LIMIT_SIZE, S("larger than the partner takes"));
	else if (rc == ENTENTE_EREFUSED)
		report(l->proxy, t, REASON_SERVER_QUEUE_FULL, S("the partner's server does not acknowledge what it takes"));
	else
		report(l->proxy, t, REASON_SERVER_INTERNAL, SLICE_NONE);
}

static void flush_run(struct loop_hook *h)
{
	struct xmpp_link *l = CONTAINER_OF(h, struct xmpp_link, flush);
	for (struct list *n; l->state == LINK_UP && (n = list_head(&l->queue));) {
		struct queued *q = CONTAINER_OF(n, struct queued, node);
		int rc = hand_over(l, &q->ticket, slice_of(q->bytes, q->len));
		if (rc == ENTENTE_EAGAIN) /* goes on when the connection has drained */
			return;
		if (rc == ENTENTE_ECLOSED) {
			part(l);
			start(l);
			return;
		}
		dequeue(l);
		told(l, &q->ticket, rc);
		mem_free(q);
	}
}

void xmpp_link_drained(struct xmpp_link *l)
{
	loop_defer(l->proxy->loop, &l->flush);
}

void xmpp_link_up(struct xmpp_link *l)
{
	if (l->state == LINK_UP)
		return;
	if (l->ring_over)
		lose_all(l, REASON_XMPP_UNREACHABLE);
	l->state = LINK_UP;
	l->dialer = dialer_free(l->dialer); /* what it found has served */
	l->since = l->proxy->loop->timers.now;
	l->backoff_ms = 0;
	l->err = (struct entente_err){0};
	l->told = REASON_NONE;
	l->untold = 0;
	loop_defer(l->proxy->loop, &l->flush); /* not from inside the stream, which gathers what it is given */
	l->proxy->ops->link(l->proxy->arg, slice_str(l->local), slice_str(l->remote), true);
}

/* ---- failing */

bool xmpp_link_told(const struct xmpp_link *l, enum reason reason)
{
	return reason && l->told == reason && l->proxy->loop->timers.now - l->told_at < TELL_AGAIN_MS;
}

static void tell(struct xmpp_link *l, const struct entente_err *err)
{
	char times[24] = "";
	if (xmpp_link_told(l, err->reason)) {
		l->untold++;
		return;
	}
	if (l->untold)
		snprintf(times, sizeof times, "%u", l->untold);
	log_ev(LOG_WARNING, "xmpp/link-failed", {"local", slice_str(l->local)}, {"partner", slice_str(l->remote)},
	       {"reason", slice_str(reason_info(err->reason)->id)}, {"text", slice_str(err->text)}, {"hidden", slice_str(times)});
	l->told = err->reason;
	l->told_at = l->proxy->loop->timers.now;
	l->untold = 0;
}

static void fail(struct xmpp_link *l, const struct entente_err *err)
{
	struct xmpp_proxy *p = l->proxy;
	struct entente_err copy = *err; /* may be the dialer's */
	if (!copy.reason)
		copy.reason = REASON_XMPP_UNREACHABLE;
	l->dialer = dialer_free(l->dialer);
	l->state = LINK_BACKOFF;
	unclaim(l);
	l->since = p->loop->timers.now;
	l->err = copy;
	l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : RETRY_MIN_MS;
	if (l->backoff_ms > p->cfg.set.retry_max_ms)
		l->backoff_ms = p->cfg.set.retry_max_ms;
	l->retry_at = l->since + l->backoff_ms * 3 / 4 + rand_below(l->backoff_ms / 2 + 1);
	metric_refused((int)copy.reason);
	tell(l, &copy);
	lose(l, REASON_XMPP_UNREACHABLE); /* they came before what waits */
	xmpp_link_bounce(l, copy.reason, slice_str(copy.text));
	p->ops->link(p->arg, slice_str(l->local), slice_str(l->remote), false);
}

void xmpp_link_down(struct xmpp_link *l, const struct entente_err *err)
{
	struct xmpp_proxy *p = l->proxy;
	bool stable = l->state == LINK_UP && p->loop->timers.now - l->since >= STABLE_MS;
	l->s2s = NULL;
	if (p->draining) {
		l->dialer = dialer_free(l->dialer);
		l->state = LINK_IDLE;
		unclaim(l);
		xmpp_link_bounce(l, REASON_SERVER_SHUTDOWN, SLICE_NONE);
	} else if (err && l->state == LINK_STREAM && l->dialer && xmpp_s2s_worth_another_address(err)) {
		l->state = LINK_RESOLVING;
		dialer_failed(l->dialer, err);
		dialer_next(l->dialer);
	} else if (err && !stable) {
		fail(l, err);
	} else { /* idle close, the partner's orderly end, or a loss after good service: the next stanza opens it again */
		l->dialer = dialer_free(l->dialer);
		l->state = LINK_IDLE;
		unclaim(l);
		l->since = p->loop->timers.now;
		if (err) {
			tell(l, err);
			p->ops->link(p->arg, slice_str(l->local), slice_str(l->remote), false);
		}
		if (l->state == LINK_IDLE && l->n_queue)
			start(l);
	}
	/* a good-bye that is not answered confirms nothing: what is in a journal stays there */
	lose_all(l, p->draining && l->parted ? REASON_NONE : REASON_XMPP_UNREACHABLE);
	l->parted = false;
}

/* ---- coming up */

static void connected(void *arg, struct conn *c, struct slice host)
{
	struct xmpp_link *l = arg;
	struct xmpp_proxy *p = l->proxy;
	struct entente_err err;
	(void)host;
	struct s2s *s = xmpp_s2s_new(p, false);
	if (!xmpp_proxy_admit(p, s, slice_str(l->local), slice_str(l->remote))) {
		metric_add(METRIC_LIMIT_HITS, 1);
		err_set(&err, ENTENTE_ELIMIT, REASON_LIMIT_CONNECTIONS,
			"the partner has as many connections as its limit allows, or all partners together have");
		conn_free(c);
		xmpp_s2s_free(s);
		fail(l, &err);
		return;
	}
	if (!l->tried)
		s->took[XMPP_STEP_DNS] = (uint32_t)(dialer_since(l->dialer) - l->since);
	l->tried = true;
	xmpp_s2s_initiator(s, slice_str(l->local), slice_str(l->remote), false);
	l->s2s = s;
	s->link = l;
	xmpp_s2s_adopt(s, c, l->dialer);
}

static void exhausted(void *arg, const struct entente_err *err)
{
	struct xmpp_link *l = arg;
	if (l->state == LINK_RESOLVING && !l->tried)
		xmpp_attempt_unreached(l->proxy, "messages", slice_str(l->local), slice_str(l->remote), l->since, err);
	fail(l, err);
}

static const struct dialer_ops dial_ops = {.connected = connected, .exhausted = exhausted};

static void start(struct xmpp_link *l)
{
	struct xmpp_proxy *p = l->proxy;
	struct dialer_target to;
	struct conn_limits lim;
	struct entente_err err;
	enum reason reason;
	struct arena *a = arena_acquire(p->loop->arenas);
	claim(l); /* where that fails a partner's stream has just been faster: what waits here goes its own way all the same */
	if (xmpp_proxy_target(p, a, slice_str(l->local), slice_str(l->remote), &to, &reason)) {
		xmpp_s2s_limits(p, &lim);
		to.limits = &lim;
		l->state = LINK_RESOLVING;
		l->since = p->loop->timers.now;
		l->tried = false;
		l->dialer = dialer_new(p->worker, p->cfg.dns, &to, &dial_ops, l);
	} else {
		err_set(&err, ENTENTE_EREFUSED, reason, "%s", reason_info(reason)->text);
	}
	arena_release(p->loop->arenas, a);
	if (l->dialer)
		dialer_next(l->dialer);
	else
		fail(l, &err);
}

void xmpp_link_halt(struct xmpp_link *l)
{
	if (l->state == LINK_RESOLVING && !l->s2s) {
		l->dialer = dialer_free(l->dialer);
		l->state = LINK_IDLE;
		unclaim(l);
	}
}

/* ---- life */

static struct remote *remote_of(struct xmpp_proxy *p, struct slice name)
{
	struct map_node *n = map_find(&p->remotes, name);
	if (n)
		return CONTAINER_OF(n, struct remote, node);
	struct remote *r = mem_calloc(1, sizeof *r + name.len);
	list_init(&r->links);
	memcpy(r->name, name.p, name.len);
	map_insert(&p->remotes, &r->node, slice_of(r->name, name.len));
	return r;
}

static void leave_remote(struct xmpp_link *l)
{
	struct remote *r = l->at;
	list_remove(&l->beside);
	if (list_head(&r->links))
		return;
	map_remove(&l->proxy->remotes, &r->node);
	mem_free(r);
}

/* NULL: there is none, and there cannot be one (*ret_reason). */
static struct xmpp_link *link_of(struct xmpp_proxy *p, struct slice local, struct slice remote, enum reason *ret_reason)
{
	enum { DOMAIN_MAX = 1023 }; /* RFC 7622 3.2 */
	char key[2 * DOMAIN_MAX + 1];
	const struct policy_partner *partner;
	*ret_reason = REASON_ADDRESS_TOO_LONG;
	if (local.len > DOMAIN_MAX || remote.len > DOMAIN_MAX)
		return NULL;
	memcpy(key, local.p, local.len);
	key[local.len] = '\0';
	memcpy(key + local.len + 1, remote.p, remote.len);
	struct slice k = slice_of(key, local.len + 1 + remote.len);
	struct map_node *n = map_find(&p->links, k);
	if (n)
		return CONTAINER_OF(n, struct xmpp_link, node);
	if ((*ret_reason = xmpp_proxy_judge(p, local, remote, &partner)))
		return NULL;
	struct xmpp_link *l = MEM_NEW(struct xmpp_link);
	l->proxy = p;
	l->since = p->loop->timers.now;
	l->key = mem_strndup(k.p, k.len);
	l->local = l->key;
	l->remote = l->key + local.len + 1;
	l->flush.run = flush_run;
	list_init(&l->queue);
	timer_init(&l->patience, patience_fired);
	timer_init(&l->trust, trust_fired);
	timer_init(&l->look, look_fired);
	list_append(&p->all_links, &l->all);
	l->at = remote_of(p, remote);
	list_append(&l->at->links, &l->beside);
	map_insert(&p->links, &l->node, slice_of(l->key, k.len));
	return l;
}

/* Only while no stream of ours is further than TCP: one that negotiates is nearly there. */
void xmpp_link_adopt(struct s2s *s, struct slice local, struct slice remote)
{
	struct xmpp_proxy *p = s->proxy;
	enum reason reason;
	struct xmpp_link *l = s->link || p->quiet ? NULL : link_of(p, local, remote, &reason);
	if (!l || l->state == LINK_STREAM || l->state == LINK_UP)
		return;
	claim(l);
	if (p->cfg.routes && !l->claimed) /* another worker has a stream */
		return;
	if (l->s2s) {
		struct s2s *old = l->s2s;
		l->s2s = NULL;
		old->link = NULL;
		xmpp_s2s_free(old);
	}
	l->dialer = dialer_free(l->dialer);
	l->s2s = s;
	s->link = l;
	xmpp_link_up(l);
}

void xmpp_link_remove(struct xmpp_link *l, enum reason reason)
{
	xmpp_link_bounce(l, reason, slice_str(reason_info(reason)->text));
	lose(l, reason);
	if (l->s2s)
		xmpp_s2s_let_go(l->s2s);
	xmpp_link_free(l);
}

void xmpp_link_free(struct xmpp_link *l)
{
	struct xmpp_proxy *p = l->proxy;
	unclaim(l);
	timer_cancel(&p->loop->timers, &l->patience);
	timer_cancel(&p->loop->timers, &l->trust);
	timer_cancel(&p->loop->timers, &l->look);
	mem_free(l->ring);
	loop_undefer(&l->flush);
	LIST_EACH(n, &l->queue)
		mem_free(CONTAINER_OF(n, struct queued, node));
	dialer_free(l->dialer);
	list_remove(&l->all);
	leave_remote(l);
	map_remove(&p->links, &l->node);
	mem_free(l->key);
	mem_free(l);
}

void xmpp_link_sweep(struct xmpp_proxy *p)
{
	uint64_t now = p->loop->timers.now;
	LIST_EACH(n, &p->all_links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, all);
		bool waits = l->s2s || l->n_queue || l->ring_n;
		if ((l->state != LINK_IDLE && l->state != LINK_BACKOFF) || waits)
			continue;
		if (now >= l->retry_at + TELL_AGAIN_MS && now >= l->told_at + TELL_AGAIN_MS && now >= l->since + TELL_AGAIN_MS)
			xmpp_link_free(l);
	}
}

void xmpp_proxy_send(struct xmpp_proxy *p, struct slice local, struct slice remote, struct slice stanza,
		     const struct xmpp_ticket *t)
{
	enum reason reason = REASON_SERVER_SHUTDOWN;
	struct xmpp_link *l = p->draining ? NULL : link_of(p, local, remote, &reason);
	if (!l) {
		report(p, t, reason, SLICE_NONE);
		return;
	}
	if (l->state == LINK_UP && !l->n_queue) {
		int rc = hand_over(l, t, stanza);
		if (rc != ENTENTE_EAGAIN && rc != ENTENTE_ECLOSED) {
			told(l, t, rc);
			return;
		}
		if (rc == ENTENTE_ECLOSED)
			part(l);
	}
	if (l->state == LINK_BACKOFF && p->loop->timers.now < l->retry_at) {
		report(p, t, l->err.reason, slice_str(l->err.text));
		return;
	}
	if (enqueue(l, stanza, t)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		report(p, t, REASON_LIMIT_QUEUE_FULL, SLICE_NONE);
		return;
	}
	if (l->state == LINK_IDLE || l->state == LINK_BACKOFF)
		start(l);
}

void xmpp_proxy_alive(struct xmpp_proxy *p, struct slice remote)
{
	struct map_node *r = map_find(&p->remotes, remote);
	if (!r)
		return;
	LIST_EACH(n, &CONTAINER_OF(r, struct remote, node)->links) {
		struct xmpp_link *l = CONTAINER_OF(n, struct xmpp_link, beside);
		if (l->state == LINK_BACKOFF)
			l->retry_at = l->backoff_ms = 0;
	}
}
