/* SPDX-License-Identifier: Apache-2.0 */
/* Partners whose stream was lost: presence that was learned from them is kept for a while, and one probe now and then finds out whether they are back. */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway_int.h"

struct partner_down {
	struct map_node node; /* key: domain, owned */
	struct gateway *g;
	char *domain;
	struct timer retry;
};

static void forget(struct partner_down *d)
{
	timer_cancel(d->g->cfg.timers, &d->retry);
	map_remove(&d->g->partners, &d->node);
	mem_free(d->domain);
	mem_free(d);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct partner_down *d = CONTAINER_OF(t, struct partner_down, retry);
	struct gateway *g = d->g;
	struct slice local, remote, domain = slice_str(d->domain);
	(void)now;
	if (!outs_any(g, domain, &local, &remote)) {
		forget(d); /* nobody is waiting for this partner */
		return;
	}
	timer_arm(g->cfg.timers, &d->retry, g->cfg.xmpp_retry_ms);
	buf_clear(&g->out);
	buf_puts(&g->out, "<presence from='");
	xml_escape(&g->out, local);
	buf_puts(&g->out, "' to='");
	xml_escape(&g->out, remote);
	buf_puts(&g->out, "' type='probe'/>");
	gateway_trace_out(domain, local, remote, "presence/probe", S("is the partner back?"));
	gateway_send_out(g, jid_domain(local), domain, NULL);
}

void partner_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up)
{
	struct map_node *n = map_find(&g->partners, remote_domain);
	(void)local_domain;
	if (up) {
		if (!n)
			return; /* a first or an idle link: nothing was lost */
		forget(CONTAINER_OF(n, struct partner_down, node));
		outs_link(g, remote_domain, true);
		watches_link(g, remote_domain, true);
		return;
	}
	outs_link(g, remote_domain, false);
	if (n)
		return;
	struct partner_down *d = MEM_NEW(struct partner_down);
	d->g = g;
	d->domain = mem_strndup(remote_domain.p, remote_domain.len);
	timer_init(&d->retry, retry_fired);
	map_insert(&g->partners, &d->node, slice_str(d->domain));
	timer_arm(g->cfg.timers, &d->retry, g->cfg.xmpp_retry_ms);
}

void partners_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->partners, i)
		forget(CONTAINER_OF(n, struct partner_down, node));
	map_free(&g->partners);
}
