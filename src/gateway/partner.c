/* SPDX-License-Identifier: Apache-2.0 */
/* Partners whose stream was lost: presence that was learned from them is kept for a while, and one probe now and then finds out
 * whether they are back. Per pair of domains, as streams are. */
#include "base/mem.h"
#include "gateway/gateway_int.h"

struct down {
	struct pair pair; /* first: the domains */
	struct gateway *g;
	struct timer retry;
};

static void forget(struct down *d)
{
	timer_cancel(d->g->cfg.timers, &d->retry);
	map_remove(&d->g->partners, &d->pair.node);
	mem_free(d->pair.key);
	mem_free(d);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct down *d = CONTAINER_OF(t, struct down, retry);
	struct gateway *g = d->g;
	struct slice local, remote;
	bool active;
	(void)now;
	if (!outs_any(g, d->pair.local, d->pair.remote, &local, &remote, &active)) {
		forget(d); /* nobody is waiting for this partner */
		return;
	}
	timer_arm(g->cfg.timers, &d->retry, g->cfg.xmpp_retry_ms);
	buf_clear(&g->out);
	buf_puts(&g->out, "<presence from='");
	xml_escape(&g->out, local);
	buf_puts(&g->out, "' to='");
	xml_escape(&g->out, remote);
	/* the probe of somebody whom the contact has not approved would end the request */
	buf_puts(&g->out, active ? "' type='probe'/>" : "' type='subscribe'/>");
	gateway_trace_out(d->pair.remote, local, remote, active ? "presence/probe" : "presence/subscribe",
			  S("is the partner back?"));
	gateway_send_out(g, jid_domain(local), jid_domain(remote), NULL);
}

void partner_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	if (!pair_key(&key, mem, local_domain, remote_domain))
		return;
	struct map_node *n = map_find(&g->partners, key);
	if (up) {
		if (!n) { /* a first or an idle link: nothing was lost */
			watches_wake(g, local_domain, remote_domain);
			return;
		}
		forget(CONTAINER_OF(n, struct down, pair.node));
		outs_link(g, local_domain, remote_domain, true);
		watches_link(g, local_domain, remote_domain);
		return;
	}
	outs_link(g, local_domain, remote_domain, false);
	if (n)
		return;
	struct down *d = MEM_NEW(struct down);
	pair_init(&d->pair, local_domain, remote_domain);
	d->g = g;
	timer_init(&d->retry, retry_fired);
	map_insert(&g->partners, &d->pair.node, slice_of(d->pair.key, key.len));
	timer_arm(g->cfg.timers, &d->retry, g->cfg.xmpp_retry_ms);
}

/* ---- all at once */

struct ends { /* a pair of domains */
	struct map_node node;
	char key[];
};

struct gathering {
	struct map map;
	bool (*ours)(void *arg, struct slice remote_domain);
	void *arg;
};

static void gather(struct gathering *c, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	local = jid_domain(local);
	remote = jid_domain(remote);
	if ((c->ours && !c->ours(c->arg, remote)) || !pair_key(&key, mem, local, remote) || map_find(&c->map, key))
		return;
	struct ends *e = mem_calloc(1, sizeof *e + key.len);
	memcpy(e->key, key.p, key.len);
	map_insert(&c->map, &e->node, slice_of(e->key, key.len));
}

static void gather_pairs(struct gathering *c, struct map *records)
{
	size_t i;
	MAP_EACH(n, records, i) {
		const struct pair *p = CONTAINER_OF(n, struct pair, node);
		gather(c, p->local, p->remote);
	}
}

void partners_links(struct gateway *g, bool up, bool (*ours)(void *, struct slice), void *arg)
{
	struct gathering c = {.ours = ours, .arg = arg};
	size_t i;
	map_init(&c.map);
	gather_pairs(&c, &g->outs);
	gather_pairs(&c, &g->watches);
	gather_pairs(&c, &g->partners);
	MAP_EACH(n, &c.map, i) {
		struct slice remote = n->key, local = slice_split(&remote, '\0');
		if (up && !map_find(&g->partners, n->key)) { /* it was not noticed that it was away */
			outs_link(g, local, remote, true);
			watches_link(g, local, remote);
		} else {
			partner_link(g, local, remote, up);
		}
		map_remove(&c.map, n);
		mem_free(CONTAINER_OF(n, struct ends, node));
	}
	map_free(&c.map);
}

void partners_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->partners, i)
		forget(CONTAINER_OF(n, struct down, pair.node));
	map_free(&g->partners);
}
