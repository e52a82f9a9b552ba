/* SPDX-License-Identifier: Apache-2.0 */
#include "app/ways.h"

#include "app/node_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "interwork/address.h"
#include "policy/decide.h"

enum {
	PATIENCE_MS = 8000, /* of those who wait for the ping: less than a transaction's 32 s */
	DOWN_MS = 60000,    /* then the preferred network is tried again */
	UP_MS = 60000,      /* a ping that was sent vouches for so long, unless the stream is lost */
	MAX_WAITING = 1000, /* of one worker */
	MAX_DOMAINS = 4096,
};

enum state { UNKNOWN, UP, DOWN };

struct waiting {
	struct list node;
	uint64_t server; /* of the transaction */
	struct sip_msg *m;
	struct arena *a;
	struct sip_flow from;
};

struct way {
	struct map_node node; /* key: the domain */
	struct map_node by_id;
	struct ways *w;
	uint64_t id;
	enum state state;     /* of the preferred network */
	uint64_t until;       /* UP, DOWN: then it is UNKNOWN */
	struct list queue;    /* of struct waiting: a ping is under way */
	struct timer patience;
	char key[];
};

struct ways {
	struct node *n;
	struct map domains, ids;
	size_t waiting;
	uint64_t next;
};

static const struct policy_partner *both(struct ways *w, const struct sip_msg *m)
{
	struct node *n = w->n;
	struct snapshot *s = n->access && n->gateway && n->xmpp ? snapshot_reader_get(&n->policy) : NULL;
	const struct policy_partner *p = s && snapshot_has_both(s) ? snapshot_partner(s, access_target(m)) : NULL;
	return p && p->enabled && (p->protocol == POLICY_PROTOCOL_XMPP_FIRST || p->protocol == POLICY_PROTOCOL_SIP_FIRST) ? p : NULL;
}

static uint64_t now(const struct ways *w)
{
	return w->n->worker->loop->timers.now;
}

static void by_sip(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	access_request(w->n->access, st, m, a, from);
}

static void by_xmpp(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	if (sip_edge_answers(st, m, a))
		arena_release(w->n->worker->loop->arenas, a);
	else
		gateway_request(w->n->gateway, st, m, a, from);
}

/* ---- what is known of a domain */

static void pass_on(struct way *y);

static void on_patience(struct timer *t, uint64_t at)
{
	struct way *y = CONTAINER_OF(t, struct way, patience);
	y->state = DOWN;
	y->until = at + DOWN_MS;
	pass_on(y);
}

static void way_free(struct way *y)
{
	struct ways *w = y->w;
	LIST_EACH(n, &y->queue) {
		struct waiting *q = CONTAINER_OF(n, struct waiting, node);
		list_remove(n);
		arena_release(w->n->worker->loop->arenas, q->a); /* q lies in it */
		w->waiting--;
	}
	timer_cancel(&w->n->worker->loop->timers, &y->patience);
	map_remove(&w->domains, &y->node);
	map_remove(&w->ids, &y->by_id);
	mem_free(y);
}

static struct way *way_of(struct ways *w, struct slice domain)
{
	struct map_node *n = map_find(&w->domains, domain);
	if (n)
		return CONTAINER_OF(n, struct way, node);
	if (w->domains.count >= MAX_DOMAINS) { /* nobody's who waits; whoever is forgotten is tried anew */
		size_t i;
		MAP_EACH(d, &w->domains, i) {
			struct way *y = CONTAINER_OF(d, struct way, node);
			if (list_empty(&y->queue))
				way_free(y);
		}
	}
	struct way *y = mem_calloc(1, sizeof *y + domain.len);
	*y = (struct way){.w = w, .id = ++w->next};
	memcpy(y->key, domain.p, domain.len);
	list_init(&y->queue);
	timer_init(&y->patience, on_patience);
	map_insert(&w->domains, &y->node, slice_of(y->key, domain.len));
	map_insert(&w->ids, &y->by_id, slice_of((const char *)&y->id, sizeof y->id));
	return y;
}

static enum state state_of(const struct way *y)
{
	return y->until > now(y->w) ? y->state : UNKNOWN;
}

static void learn(struct way *y, enum state s, uint32_t for_ms)
{
	if (s != y->state || state_of(y) == UNKNOWN)
		log_ev(LOG_INFO, s == UP ? "partner/preferred-network-up" : "partner/preferred-network-down", {"partner", y->node.key});
	y->state = s;
	y->until = now(y->w) + for_ms;
}

/* Those who waited go where it is said now. */
static void pass_on(struct way *y)
{
	struct ways *w = y->w;
	struct list all;
	bool up = y->state == UP;
	timer_cancel(&w->n->worker->loop->timers, &y->patience);
	list_init(&all);
	LIST_EACH(n, &y->queue) {
		list_remove(n);
		list_append(&all, n);
	}
	for (struct list *n; (n = list_head(&all));) { /* y may be gone with the first of them */
		struct waiting *q = CONTAINER_OF(n, struct waiting, node);
		struct sip_server_trans *st = sip_server_find(sip_edge_stack(w->n->sip), q->server);
		struct sip_flow from = q->from;
		list_remove(n);
		w->waiting--;
		if (!st || !sip_server_waiting(st)) /* cancelled, or too late */
			arena_release(w->n->worker->loop->arenas, q->a);
		else
			(up ? by_xmpp : by_sip)(w, st, q->m, q->a, &from);
	}
}

/* ---- XMPP first */

static bool wait_for(struct way *y, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct waiting *q = y->w->waiting < MAX_WAITING ? ARENA_NEW(a, struct waiting) : NULL;
	if (!q)
		return false;
	*q = (struct waiting){.server = sip_server_id(st), .m = m, .a = a, .from = *from};
	list_append(&y->queue, &q->node);
	y->w->waiting++;
	return true;
}

static void ping(struct way *y, struct slice local, struct slice remote)
{
	const struct gateway_ticket t = {.kind = WAYS_TICKET, .tell_sent = true, .repeat = true, .id = y->id};
	char id[17];
	struct buf b;
	buf_init(&b, 8192);
	rand_token(id, 16);
	buf_printf(&b, "<iq type='get' id='%s' from='%.*s' to='%.*s'><ping xmlns='urn:xmpp:ping'/></iq>", id, SFMT(local), SFMT(remote));
	timer_arm(&y->w->n->worker->loop->timers, &y->patience, PATIENCE_MS);
	node_gateway_ops.xmpp_send(y->w->n, local, remote, buf_slice(&b), &t); /* the answer may come from inside */
	buf_free(&b);
}

void ways_sent(struct ways *w, uint64_t id, enum reason reason)
{
	struct map_node *n = map_find(&w->ids, slice_of((const char *)&id, sizeof id));
	struct way *y = n ? CONTAINER_OF(n, struct way, by_id) : NULL;
	if (!y)
		return;
	learn(y, reason == REASON_NONE ? UP : DOWN, reason == REASON_NONE ? UP_MS : DOWN_MS);
	pass_on(y);
}

void ways_link(struct ways *w, struct slice remote, bool up)
{
	struct map_node *n = map_find(&w->domains, remote);
	struct way *y = n ? CONTAINER_OF(n, struct way, node) : NULL;
	if (y && list_empty(&y->queue) && y->state == (up ? DOWN : UP))
		y->until = 0; /* it is asked again */
}

static void xmpp_first(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct xmpp_jid f, t;
	struct entente_err err;
	if (interwork_sender_to_jid(&f, a, m, &err) || interwork_sip_to_jid(&t, a, &m->uri, &err) ||
	    !snapshot_local(snapshot_reader_get(&w->n->policy), m->from.uri.host, NULL)) { /* nothing is asked in the name of others */
		by_xmpp(w, st, m, a, from); /* which says what is wrong */
		return;
	}
	struct way *y = way_of(w, t.domain);
	enum state s = state_of(y);
	bool first = list_empty(&y->queue);
	if (s == DOWN)
		by_sip(w, st, m, a, from);
	else if (s == UP || !wait_for(y, st, m, a, from))
		by_xmpp(w, st, m, a, from);
	else if (first)
		ping(y, f.domain, t.domain);
}

/* ---- SIP first */

bool ways_elsewhere(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason)
{
	/* Who shows a wrong certificate, or refuses, has a server: that is an answer. */
	bool nobody = reason == REASON_SIP_SRV_NONE || reason == REASON_SIP_DNS || reason == REASON_SIP_PEER_UNREACHABLE;
	const struct policy_partner *p = nobody && !m->to.tag.len ? both(w, m) : NULL;
	struct xmpp_jid t;
	struct entente_err err;
	if (!p || p->protocol != POLICY_PROTOCOL_SIP_FIRST || interwork_sip_to_jid(&t, a, &m->uri, &err))
		return false;
	learn(way_of(w, t.domain), DOWN, DOWN_MS);
	by_xmpp(w, st, m, a, from);
	return true;
}

static void sip_first(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct xmpp_jid t;
	struct entente_err err;
	if (!interwork_sip_to_jid(&t, a, &m->uri, &err) && state_of(way_of(w, t.domain)) == DOWN)
		by_xmpp(w, st, m, a, from);
	else
		by_sip(w, st, m, a, from);
}

/* ---- both */

bool ways_concern(struct ways *w, const struct sip_msg *m)
{
	return w && both(w, m);
}

void ways_request(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	const struct policy_partner *p = both(w, m);
	if (!p || !st || m->to.tag.len) /* a dialog of the gateway's would have been found */
		by_sip(w, st, m, a, from);
	else if (p->protocol == POLICY_PROTOCOL_XMPP_FIRST)
		xmpp_first(w, st, m, a, from);
	else
		sip_first(w, st, m, a, from);
}

/* ---- life */

struct ways *ways_new(struct node *n)
{
	struct ways *w = MEM_NEW(struct ways);
	w->n = n;
	map_init(&w->domains);
	map_init(&w->ids);
	return w;
}

struct ways *ways_free(struct ways *w)
{
	size_t i;
	if (!w)
		return NULL;
	MAP_EACH(n, &w->domains, i)
		way_free(CONTAINER_OF(n, struct way, node));
	map_free(&w->domains);
	map_free(&w->ids);
	mem_free(w);
	return NULL;
}
