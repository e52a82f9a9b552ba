/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/xmpp_quota.h"

#include <pthread.h>
#include <stdatomic.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct partner { /* stays: there are as many as partners were ever configured */
	struct map_node node;
	char *domain; /* owned */
	size_t open;
	_Atomic uint64_t due; /* microseconds: when the next stanza would be exactly in time */
};

struct xmpp_quota {
	pthread_mutex_t lock;
	struct map partners;
	size_t open;
};

struct xmpp_quota_pass {
	struct xmpp_quota *quota;
	struct partner *partner;
};

struct xmpp_quota *xmpp_quota_new(void)
{
	struct xmpp_quota *q = MEM_NEW(struct xmpp_quota);
	pthread_mutex_init(&q->lock, NULL);
	map_init(&q->partners);
	return q;
}

struct xmpp_quota *xmpp_quota_free(struct xmpp_quota *q)
{
	size_t i;
	if (!q)
		return NULL;
	MAP_EACH(n, &q->partners, i) {
		struct partner *p = CONTAINER_OF(n, struct partner, node);
		mem_free(p->domain);
		mem_free(p);
	}
	map_free(&q->partners);
	pthread_mutex_destroy(&q->lock);
	return mem_free(q);
}

static struct partner *partner_of(struct xmpp_quota *q, struct slice domain)
{
	struct map_node *n = map_find(&q->partners, domain);
	if (n)
		return CONTAINER_OF(n, struct partner, node);
	struct partner *p = MEM_NEW(struct partner);
	p->domain = mem_strndup(domain.p, domain.len);
	map_insert(&q->partners, &p->node, slice_of(p->domain, domain.len));
	return p;
}

struct xmpp_quota_pass *xmpp_quota_enter(struct xmpp_quota *q, struct slice partner, uint32_t per_partner, uint32_t total)
{
	struct xmpp_quota_pass *pass = NULL;
	pthread_mutex_lock(&q->lock);
	struct partner *p = partner_of(q, partner);
	if (p->open < per_partner && q->open < total) {
		p->open++;
		q->open++;
		pass = MEM_NEW(struct xmpp_quota_pass);
		*pass = (struct xmpp_quota_pass){q, p};
	}
	pthread_mutex_unlock(&q->lock);
	return pass;
}

struct xmpp_quota_pass *xmpp_quota_leave(struct xmpp_quota_pass *pass)
{
	if (!pass)
		return NULL;
	pthread_mutex_lock(&pass->quota->lock);
	pass->partner->open--;
	pass->quota->open--;
	pthread_mutex_unlock(&pass->quota->lock);
	return mem_free(pass);
}

uint64_t xmpp_quota_stanza(struct xmpp_quota_pass *pass, uint64_t now, uint32_t per_second)
{
	uint64_t now_us = now * 1000, slack = (uint64_t)XMPP_QUOTA_SLACK_MS * 1000,
		 step = 1000000 / (per_second ? per_second : 1);
	uint64_t due = atomic_load_explicit(&pass->partner->due, memory_order_relaxed), next;
	do
		next = (due > now_us ? due : now_us) + step;
	while (!atomic_compare_exchange_weak_explicit(&pass->partner->due, &due, next, memory_order_relaxed,
						      memory_order_relaxed));
	return next - now_us > slack ? (next - now_us - slack + 999) / 1000 : 0;
}

size_t xmpp_quota_open(struct xmpp_quota *q, struct slice partner)
{
	pthread_mutex_lock(&q->lock);
	struct map_node *n = map_find(&q->partners, partner);
	size_t open = n ? CONTAINER_OF(n, struct partner, node)->open : 0;
	pthread_mutex_unlock(&q->lock);
	return open;
}
