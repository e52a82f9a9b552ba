/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_places.h"

#include "base/mem.h"

void sip_places_init(struct sip_places *p)
{
	*p = (struct sip_places){0};
}

void sip_places_free(struct sip_places *p)
{
	mem_free(p->list);
	sip_places_init(p);
}

struct sip_place *sip_places_find(const struct sip_places *p, const struct addr *a, enum sip_transport t)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].transport == t && addr_eq(&p->list[i].addr, a))
			return &p->list[i];
	return NULL;
}

bool sip_places_has_host(const struct sip_places *p, struct slice host)
{
	for (size_t i = 0; i < p->n; i++)
		if (slice_ieq(slice_str(p->list[i].host), host))
			return true;
	return false;
}

static void append(struct sip_places *p, const struct sip_place *x)
{
	if (!p->list)
		p->list = mem_calloc(SIP_PLACES_MAX, sizeof *p->list);
	if (p->n < SIP_PLACES_MAX && !sip_places_find(p, &x->addr, x->transport))
		p->list[p->n++] = *x;
}

void sip_places_add(struct sip_places *p, const struct sip_target_entry *e, size_t n, uint32_t hop)
{
	for (size_t i = 0; i < n; i++) {
		struct sip_place x = {.transport = e[i].transport, .hop = hop};
		slice_cstr(e[i].host, x.host, sizeof x.host);
		if (addr_from_sockaddr((const struct sockaddr *)&e[i].addr, &x.addr))
			append(p, &x);
	}
}

void sip_places_copy(struct sip_places *p, const struct sip_places *from, uint32_t hop)
{
	for (size_t i = 0; i < from->n; i++)
		if (from->list[i].hop == hop)
			append(p, &from->list[i]);
}

void sip_places_take(struct sip_places *p, struct sip_places *fresh)
{
	for (size_t i = 0; i < fresh->n; i++) {
		const struct sip_place *old = sip_places_find(p, &fresh->list[i].addr, fresh->list[i].transport);
		if (old)
			fresh->list[i].failed_until = old->failed_until;
	}
	mem_free(p->list);
	*p = *fresh;
	sip_places_init(fresh);
}

void sip_places_round(struct sip_places *p)
{
	for (size_t i = 0; i < p->n; i++)
		p->list[i].tried = false;
}

struct sip_place *sip_places_next(struct sip_places *p, uint64_t now, struct slice host)
{
	struct sip_place *best = NULL;
	for (size_t i = 0; i < p->n; i++) {
		struct sip_place *x = &p->list[i];
		if (x->tried || (host.len && !slice_ieq(slice_str(x->host), host)))
			continue;
		if (!sip_place_lately(x, now)) {
			best = x;
			break;
		}
		if (!best || x->failed_until < best->failed_until)
			best = x;
	}
	if (best)
		best->tried = true;
	return best;
}

void sip_places_failed(struct sip_places *p, const struct addr *a, enum sip_transport t, uint64_t now)
{
	struct sip_place *x = sip_places_find(p, a, t);
	if (x)
		x->failed_until = now + SIP_PLACE_FAILED_MS;
}

void sip_places_good(struct sip_places *p, const struct addr *a, enum sip_transport t)
{
	struct sip_place *x = sip_places_find(p, a, t);
	if (x)
		x->failed_until = 0;
}
