/* SPDX-License-Identifier: Apache-2.0 */
/* The SIP federation records of domains, for decisions: who comes in must be named there, and who goes out may be a provider's. Remembered
 * for as long as DNS says, within bounds; a failure for a short time only, and for its domain alone. */
#include "base/mem.h"
#include "edge/access_int.h"

enum { KEEP_MIN_S = 30, KEEP_MAX_S = 3600, NONE_S = 60, FAILED_S = 10 };

static void srv_free(struct access_srv *s)
{
	dns_cancel(s->query);
	timer_cancel(&s->e->loop->timers, &s->budget);
	map_remove(&s->e->srvs, &s->node);
	list_remove(&s->lru);
	mem_free(s);
}

void access_srv_free_all(struct access *e)
{
	LIST_EACH(n, &e->srv_lru)
		srv_free(CONTAINER_OF(n, struct access_srv, lru));
}

static struct access_srv *find(struct access *e, struct slice domain, struct policy_domain *ret)
{
	struct map_node *n = policy_domain_make(ret, domain) ? map_find(&e->srvs, policy_domain_slice(ret)) : NULL;
	return n ? CONTAINER_OF(n, struct access_srv, node) : NULL;
}

const struct access_srv *access_srv_known(struct access *e, struct slice domain)
{
	struct policy_domain d;
	struct access_srv *s = find(e, domain, &d);
	if (!s || s->state == POLICY_SRV_UNASKED || s->until <= e->loop->timers.now)
		return NULL;
	return s;
}

static void tell(struct access_srv *s)
{
	struct list waits;
	dns_cancel(s->query);
	s->query = NULL;
	timer_cancel(&s->e->loop->timers, &s->budget);
	list_init(&waits);
	LIST_EACH(n, &s->waits) {
		list_remove(n);
		list_append(&waits, n);
	}
	s->n_waits = 0;
	while (!list_empty(&waits)) { /* whoever is called may end others that wait */
		struct list *n = list_head(&waits);
		list_remove(n);
		struct access_srv_wait *w = CONTAINER_OF(n, struct access_srv_wait, node);
		w->known(w);
	}
}

static void keep(struct access_srv *s, enum policy_srv state, uint32_t seconds)
{
	s->state = state;
	s->until = s->e->loop->timers.now + (uint64_t)seconds * 1000;
	tell(s);
}

static void answered(void *arg, const struct dns_answer *a)
{
	struct access_srv *s = arg;
	s->query = NULL;
	s->n_targets = 0;
	for (size_t i = 0; a->status == DNS_OK && i < a->n && s->n_targets < ACCESS_TARGETS; i++) {
		if (a->records[i].type != DNS_SRV || !a->records[i].srv.target.len)
			continue;
		slice_cstr(a->records[i].srv.target, s->names[s->n_targets], sizeof *s->names);
		s->targets[s->n_targets] = slice_str(s->names[s->n_targets]);
		s->n_targets++;
	}
	if (s->n_targets)
		keep(s, POLICY_SRV_FOUND, a->ttl < KEEP_MIN_S ? KEEP_MIN_S : a->ttl > KEEP_MAX_S ? KEEP_MAX_S : a->ttl);
	else if (a->status == DNS_OK || a->status == DNS_NODATA || a->status == DNS_NXDOMAIN)
		keep(s, POLICY_SRV_NONE, NONE_S);
	else
		keep(s, POLICY_SRV_FAILED, FAILED_S);
}

static void too_late(struct timer *t, uint64_t now)
{
	(void)now;
	keep(CONTAINER_OF(t, struct access_srv, budget), POLICY_SRV_FAILED, FAILED_S);
}

/* The one longest unused goes when there is no room; those that are being asked stay. */
static void make_room(struct access *e, size_t max)
{
	LIST_EACH(n, &e->srv_lru) {
		struct access_srv *s = CONTAINER_OF(n, struct access_srv, lru);
		if (e->srvs.count < max)
			return;
		if (s->state != POLICY_SRV_UNASKED)
			srv_free(s);
	}
}

bool access_srv_ask(struct access *e, struct slice domain, struct access_srv_wait *w)
{
	struct policy_domain d;
	struct access_srv *s = find(e, domain, &d);
	struct snapshot *policy = snapshot_reader_get(&e->policy);
	size_t max = policy ? snapshot_access(policy)->srv_cache : 3000;
	if (!s) {
		make_room(e, max);
		if (e->srvs.count >= max || !policy_domain_make(&d, domain))
			return false;
		s = MEM_NEW(struct access_srv);
		s->e = e;
		s->domain = d;
		list_init(&s->waits);
		timer_init(&s->budget, too_late);
		map_insert(&e->srvs, &s->node, policy_domain_slice(&s->domain));
		list_append(&e->srv_lru, &s->lru);
	}
	list_remove(&s->lru);
	list_append(&e->srv_lru, &s->lru);
	if (s->n_waits >= ACCESS_PARKED)
		return false;
	s->n_waits++;
	list_append(&s->waits, &w->node);
	if (!s->query) {
		char name[DNS_NAME_MAX + 64];
		s->state = POLICY_SRV_UNASKED;
		snprintf(name, sizeof name, "_sipfederationtls._tcp.%s", s->domain.text);
		timer_arm(&e->loop->timers, &s->budget, ACCESS_SRV_MS);
		s->query = dns_ask(e->cfg.dns, e->worker, slice_str(name), DNS_SRV, answered, s);
	}
	return true;
}
