/* SPDX-License-Identifier: Apache-2.0 */
/* Where a home is (RFC 3263), asked again now and then: its addresses also say whose requests are accepted. What was known is
 * kept as long as DNS gives nothing better: a failing name server must neither cut a home off nor lock it out. */
#include "base/mem.h"
#include "edge/sip_edge_int.h"

enum { AGAIN_MS = 60000, AGAIN_FAILED_MS = 10000 };

static void proceed(struct sip_home *h);

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
	for (size_t i = 0; i < sizeof h->questions / sizeof *h->questions; i++)
		h->questions[i].q = dns_cancel(h->questions[i].q);
	h->resolver = sip_target_free(h->resolver);
}

static void done(struct sip_home *h)
{
	struct timers *q = &h->edge->loop->timers;
	size_t n;
	bool unsure;
	const struct sip_target_entry *e = sip_target_entries(h->resolver, &n, &unsure);
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

static void dns_done(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	struct sip_home *h = q->home;
	struct sip_target_record recs[DNS_RECORDS_MAX];
	bool bad = a->status != DNS_OK && a->status != DNS_NODATA && a->status != DNS_NXDOMAIN;
	size_t n = a->status == DNS_OK ? a->n : 0;
	memset(recs, 0, sizeof recs);
	for (size_t i = 0; i < n; i++) {
		const struct dns_record *r = &a->records[i];
		if (r->type == DNS_SRV) {
			recs[i].name = r->srv.target;
			recs[i].priority = r->srv.priority;
			recs[i].weight = r->srv.weight;
			recs[i].port = r->srv.port;
		} else if (r->type == DNS_A) {
			recs[i].a = r->addr.v4.sin_addr;
		} else if (r->type == DNS_AAAA) {
			recs[i].aaaa = r->addr.v6.sin6_addr;
		}
	}
	q->q = NULL;
	sip_target_answer(h->resolver, q->id, bad, recs, n);
	proceed(h);
}

/* Asks all open questions; ends in done(). */
static void proceed(struct sip_home *h)
{
	static const enum dns_type type[] = {
		[SIP_DNS_NAPTR] = DNS_NAPTR, [SIP_DNS_SRV] = DNS_SRV, [SIP_DNS_A] = DNS_A, [SIP_DNS_AAAA] = DNS_AAAA};
	struct sip_target_question ask;
	for (size_t i = 0; i < sizeof h->questions / sizeof *h->questions; i++) {
		struct question *q = &h->questions[i];
		if (q->q)
			continue;
		if (!sip_target_ask(h->resolver, &ask))
			break;
		q->home = h;
		q->id = ask.id;
		q->q = dns_ask(h->edge->cfg.dns, h->edge->worker, ask.name, type[ask.type], dns_done, q);
	}
	if (sip_target_done(h->resolver))
		done(h);
}

void sip_home_locate(struct sip_home *h)
{
	struct sip_target_config c = {
		.transports = {h->transport}, .n_transports = 1, .fallback = h->transport, .ipv4 = true, .ipv6 = true};
	if (h->resolver)
		return;
	if (sip_target_new(&h->resolver, &h->uri, &c)) {
		err_set(&h->err, ENTENTE_EINVAL, REASON_SIP_HOME_UNREACHABLE, "the next hop %s cannot be used", h->next_hop);
		h->known = true;
		sip_home_located(h, false);
		return;
	}
	proceed(h);
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
