/* SPDX-License-Identifier: Apache-2.0 */
/* Where a home is (RFC 3263), asked again now and then: its addresses also say whose requests are accepted. What was known is
 * kept as long as DNS gives nothing better: a failing name server must neither cut a home off nor lock it out. */
#include "base/mem.h"
#include "edge/sip_edge_int.h"

enum { AGAIN_MS = 60000, AGAIN_FAILED_MS = 10000 };

static const struct home_address *known(const struct sip_home *h, const struct addr *a)
{
	for (size_t i = 0; i < h->n_addrs; i++)
		if (addr_eq(&h->addrs[i].addr, a))
			return &h->addrs[i];
	return NULL;
}

/* Takes over what was found. */
static void keep(struct sip_home *h, const struct sip_target_entry *e, size_t n)
{
	struct home_address *list = mem_calloc(n ? n : 1, sizeof *list), now = {0};
	size_t m = 0, at = 0;
	if (h->at < h->n_addrs)
		now = h->addrs[h->at];
	for (size_t i = 0; i < n; i++) {
		struct home_address *x = &list[m];
		if (!addr_from_sockaddr((const struct sockaddr *)&e[i].addr, &x->addr))
			continue;
		const struct home_address *old = known(h, &x->addr);
		if (old)
			x->failed_at = old->failed_at;
		slice_cstr(e[i].host, x->host, sizeof x->host);
		if (now.host[0] && addr_eq(&now.addr, &x->addr))
			at = m;
		m++;
	}
	mem_free(h->addrs);
	h->addrs = list;
	h->n_addrs = m;
	h->at = at;
}

void sip_home_locate_end(struct sip_home *h)
{
	h->lookup = sip_lookup_free(h->lookup);
}

static void located(void *arg, const struct sip_target_entry *e, size_t n, bool unsure)
{
	struct sip_home *h = arg;
	struct timers *q = &h->edge->loop->timers;
	bool fixed = addr_is_literal(h->uri.host), good = n && !unsure;
	if (n) {
		keep(h, e, n);
		h->known = true;
	} else if (!unsure) {
		keep(h, e, 0);
		h->known = true;
		err_set(&h->err, ENTENTE_ENOTFOUND, REASON_SIP_HOME_UNREACHABLE, "DNS has no address for %s", h->next_hop);
	} else if (!h->n_addrs) {
		err_set(&h->err, ENTENTE_ENET, REASON_SIP_HOME_UNREACHABLE, "DNS does not answer for %s", h->next_hop);
	}
	sip_home_locate_end(h);
	if (!fixed)
		timer_arm(q, &h->again, good ? AGAIN_MS : AGAIN_FAILED_MS);
	sip_home_located(h, h->n_addrs > 0);
}

void sip_home_locate(struct sip_home *h)
{
	struct sip_target_config c = {
		.transports = {h->transport}, .n_transports = 1, .fallback = h->transport, .ipv4 = true, .ipv6 = true};
	struct sip_lookup_config look = {
		.dns = h->edge->cfg.dns, .worker = h->edge->worker, .uri = &h->uri, .target = &c, .done = located, .arg = h};
	if (h->lookup)
		return;
	if (sip_lookup_new(&h->lookup, &look)) {
		err_set(&h->err, ENTENTE_EINVAL, REASON_SIP_HOME_UNREACHABLE, "the next hop %s cannot be used", h->next_hop);
		h->known = true;
		sip_home_located(h, false);
	}
}

static bool in_network(const struct addr *a, const struct home_sender *s)
{
	const uint8_t *x, *y;
	if (addr_is_v6(a) != addr_is_v6(&s->addr))
		return false;
	x = addr_is_v6(a) ? a->v6.sin6_addr.s6_addr : (const uint8_t *)&a->v4.sin_addr;
	y = addr_is_v6(a) ? s->addr.v6.sin6_addr.s6_addr : (const uint8_t *)&s->addr.v4.sin_addr;
	unsigned whole = s->bits / 8, rest = s->bits % 8;
	return memcmp(x, y, whole) == 0 && (!rest || ((x[whole] ^ y[whole]) & (0xff00 >> rest) & 0xff) == 0);
}

bool sip_home_is(const struct sip_home *h, const struct addr *a)
{
	for (size_t i = 0; i < h->n_addrs; i++)
		if (addr_host_eq(&h->addrs[i].addr, a))
			return true;
	for (size_t i = 0; i < h->n_senders; i++)
		if (in_network(a, &h->senders[i]))
			return true;
	return false;
}
