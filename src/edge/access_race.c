/* SPDX-License-Identifier: Apache-2.0 */
/* From a partner's name to a connection: its addresses in the order of RFC 2782, those that failed lately last; each gets a head start, and company
 * when it does not answer soon (RFC 8305), so that neither a dead nor a silent one costs the time of a request. */
#include "base/mem.h"
#include "edge/access_int.h"

enum { KNOWN_MS = 60000 };

static uint64_t now_of(const struct access_peer *p)
{
	return p->e->loop->timers.now;
}

static void note(struct access_peer *p, enum reason reason, const char *host, const char *text)
{
	if (!p->err.reason)
		err_set(&p->err, ENTENTE_ENET, reason, "%s: %s", host, text);
}

/* ---- the race */

/* The attempt that began last, or first. */
static struct access_conn *coming(const struct access_peer *p, bool last)
{
	struct access_conn *best = NULL;
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		if (c->coming && (!best || last))
			best = c;
	}
	return best;
}

static void blame(struct access_peer *p, const struct access_conn *c)
{
	sip_places_failed(&p->places, conn_remote(c->conn), SIP_TLS, now_of(p));
}

static void out(struct access_peer *p, struct access_conn *c)
{
	c->coming = false;
	c->peer = NULL;
	p->n_coming--;
	access_conn_free(c);
}

/* True: one more is on its way. */
static bool launch(struct access_peer *p)
{
	struct sip_place *to;
	while ((to = sip_places_next(&p->places, now_of(p), SLICE_NONE))) {
		struct entente_err err = {0};
		if (access_conn_open(p, to, &err)) {
			p->n_coming++;
			timer_arm(&p->e->loop->timers, &p->race, ACCESS_STAGGER_MS);
			return true;
		}
		to->failed_until = now_of(p) + SIP_PLACE_FAILED_MS;
		note(p, REASON_SIP_PEER_UNREACHABLE, to->host, err.text);
	}
	return false;
}

static void go_on(struct access_peer *p)
{
	if (launch(p) || p->n_coming)
		return;
	note(p, REASON_SIP_PEER_UNREACHABLE, p->key + 1, "all addresses were tried");
	access_peer_failed(p);
}

void access_race_fired(struct timer *t, uint64_t now)
{
	struct access_peer *p = CONTAINER_OF(t, struct access_peer, race);
	struct access_conn *c = coming(p, true);
	if (c && c->tcp && now - c->since < ACCESS_SHAKE_MS) {
		timer_arm(&p->e->loop->timers, t, ACCESS_SHAKE_MS - (now - c->since));
		return;
	}
	if (launch(p) && p->n_coming > ACCESS_RACE_MAX) {
		c = coming(p, false);
		note(p, REASON_SIP_PEER_UNREACHABLE, c->host, "no answer to the connection attempt");
		blame(p, c);
		out(p, c);
	}
}

void access_race_failed(struct access_peer *p, struct access_conn *c, enum reason reason, const char *text)
{
	blame(p, c);
	note(p, reason, c->host, text);
	out(p, c);
	go_on(p);
}

/* Those that had their chance are remembered: the next one who looks goes elsewhere first. */
void access_race_won(struct access_peer *p, struct access_conn *winner)
{
	timer_cancel(&p->e->loop->timers, &p->race);
	winner->coming = false;
	p->n_coming--;
	sip_places_good(&p->places, conn_remote(winner->conn), SIP_TLS);
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		if (!c->coming)
			continue;
		if (now_of(p) - c->since >= (c->tcp ? ACCESS_SHAKE_MS : ACCESS_STAGGER_MS))
			blame(p, c);
		out(p, c);
	}
}

/* ---- looking up */

static void start(struct access_peer *p)
{
	sip_places_round(&p->places);
	go_on(p);
}

/* What strangers name in DNS, or in the route of a dialog, must not make us knock at other services: they live on the ports below 1024. And
 * nobody makes us call nobody in particular. */
static bool callable(const struct access_peer *p, const struct addr *a)
{
	uint16_t port = addr_port(a);
	if (addr_is_any(a) || addr_is_multicast(a) || !port)
		return false;
	return access_peer_kind(p) == '=' || port >= 1024 || port == 443;
}

static void only_callable(const struct access_peer *p, struct sip_places *places)
{
	size_t n = 0;
	for (size_t i = 0; i < places->n; i++)
		if (callable(p, &places->list[i].addr))
			places->list[n++] = places->list[i];
	places->n = n;
}

static void located(void *arg, const struct sip_target_entry *x, size_t n, bool unsure)
{
	struct access_peer *p = arg;
	struct sip_places fresh;
	sip_places_init(&fresh);
	sip_places_add(&fresh, x, n, 0);
	only_callable(p, &fresh);
	p->lookup = sip_lookup_free(p->lookup);
	if (fresh.n || !unsure) { /* else what was known is better than nothing */
		sip_places_take(&p->places, &fresh);
		p->known_until = now_of(p) + KNOWN_MS;
	}
	sip_places_free(&fresh);
	if (p->places.n) {
		start(p);
		return;
	}
	err_set(&p->err, ENTENTE_ENET, unsure ? REASON_SIP_DNS : access_peer_kind(p) == '~' ? REASON_SIP_SRV_NONE : REASON_SIP_PEER_UNREACHABLE, "%s",
		unsure ? "DNS does not answer for the partner's server" : "DNS has no address of the partner's server, or none that may be called");
	access_peer_failed(p);
}

void access_race_begin(struct access_peer *p)
{
	struct sip_target_config c = {.transports = {SIP_TLS}, .n_transports = 1, .fallback = SIP_TLS, .ipv4 = true, .ipv6 = true};
	struct sip_lookup_config look = {.dns = p->e->cfg.dns, .worker = p->e->worker, .uri = &p->uri, .target = &c, .done = located, .arg = p};
	if (p->n_coming || p->lookup)
		return;
	p->err = (struct entente_err){0};
	if (p->places.n && p->known_until > now_of(p) && list_empty(&p->conns)) {
		start(p);
		return;
	}
	if (access_peer_kind(p) == '~') {
		c.federation = S("_sipfederationtls._tcp");
		c.federation_fallback = p->e->cfg.set.sips_fallback;
	}
	if (sip_lookup_new(&p->lookup, &look)) {
		err_set(&p->err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "the partner's name cannot be looked up");
		access_peer_failed(p);
	}
}

void access_race_free(struct access_peer *p)
{
	p->lookup = sip_lookup_free(p->lookup);
	timer_cancel(&p->e->loop->timers, &p->race);
	sip_places_free(&p->places);
}
