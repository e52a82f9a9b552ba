/* SPDX-License-Identifier: Apache-2.0 */
/* Where a home is (RFC 3263), asked again now and then: its addresses also say whose requests are accepted. What was known is
 * kept as long as DNS gives nothing better: a failing name server must neither cut a home off nor lock it out. */
#include "edge/sip_edge_int.h"

enum { AGAIN_MS = 60000, AGAIN_FAILED_MS = 10000 };

/* Takes over what was found: a next hop of which DNS says nothing for sure keeps what it had. */
static void take(struct sip_home *h)
{
	struct sip_places fresh;
	struct sip_place now = {0};
	if (h->at < h->places.n)
		now = h->places.list[h->at];
	sip_places_init(&fresh);
	for (uint32_t i = 0; i < h->n_hops; i++)
		sip_places_copy(&fresh, h->hops[i].found.n || !h->hops[i].unsure ? &h->hops[i].found : &h->places, i);
	sip_places_take(&h->places, &fresh);
	struct sip_place *same = now.host[0] ? sip_places_find(&h->places, &now.addr, now.transport) : NULL;
	h->at = same ? (size_t)(same - h->places.list) : 0;
}

void sip_home_locate_end(struct sip_home *h)
{
	for (size_t i = 0; i < h->n_hops; i++) {
		h->hops[i].lookup = sip_lookup_free(h->hops[i].lookup);
		sip_places_free(&h->hops[i].found);
	}
	h->n_looking = 0;
}

static void done(struct sip_home *h)
{
	bool fixed = true, sure = true, good = true;
	for (size_t i = 0; i < h->n_hops; i++) {
		const struct home_hop *x = &h->hops[i];
		fixed &= addr_is_literal(x->uri.host);
		sure &= x->found.n || !x->unsure;
		good &= x->found.n && !x->unsure;
	}
	take(h);
	h->known |= sure;
	if (!h->places.n)
		err_set(&h->err, sure ? ENTENTE_ENOTFOUND : ENTENTE_ENET, REASON_SIP_HOME_UNREACHABLE,
			sure ? "DNS has no address for %s%s" : "DNS does not answer for %s%s", h->hops[0].text, h->n_hops > 1 ? " or the others" : "");
	sip_home_locate_end(h);
	if (!fixed)
		timer_arm(&h->edge->loop->timers, &h->again, good ? AGAIN_MS : AGAIN_FAILED_MS);
	sip_home_located(h, h->places.n > 0);
}

static void located(void *arg, const struct sip_target_entry *e, size_t n, bool unsure)
{
	struct home_hop *x = arg;
	struct sip_home *h = x->home;
	sip_places_add(&x->found, e, n, (uint32_t)(x - h->hops));
	x->unsure = unsure;
	x->lookup = sip_lookup_free(x->lookup);
	if (!--h->n_looking)
		done(h);
}

void sip_home_locate(struct sip_home *h)
{
	struct sip_target_config c = {
		.transports = {h->transport}, .n_transports = 1, .fallback = h->transport, .ipv4 = true, .ipv6 = true};
	struct sip_lookup_config look = {.dns = h->edge->cfg.dns, .worker = h->edge->worker, .target = &c, .done = located};
	if (h->n_looking)
		return;
	h->n_looking = h->n_hops;
	for (size_t i = 0, n = h->n_hops; i < n; i++) { /* the last one to answer may end the home's troubles, or begin them */
		look.uri = &h->hops[i].uri;
		look.arg = &h->hops[i];
		if (sip_lookup_new(&h->hops[i].lookup, &look))
			located(&h->hops[i], NULL, 0, false);
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
	for (size_t i = 0; i < h->places.n; i++)
		if (addr_host_eq(&h->places.list[i].addr, a))
			return true;
	for (size_t i = 0; i < h->n_senders; i++)
		if (in_network(a, &h->senders[i]))
			return true;
	return false;
}
