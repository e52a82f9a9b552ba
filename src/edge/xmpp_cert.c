/* SPDX-License-Identifier: Apache-2.0 */
/* What a partner's certificate is worth beyond its chain and names: TLSA records (RFC 7673), delegation by DNSSEC (RFC 7712 5.1),
 * pins. */
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

enum { PROBE_MS = 4000 };

/* The TLSA records of a partner that connected to us: those of its servers. The stream waits meanwhile. */
struct xmpp_probe {
	struct s2s *s2s;
	struct dialer *dialer;
	struct timer patience;
	bool found;
};

/* ---- pins */

static void hex(char ret[65], const unsigned char *sum)
{
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

bool xmpp_cert_pinned(const struct policy_partner *partner, const struct tls_peer *t)
{
	return !partner->n_pins || (t && t->has_cert && policy_pin_match(partner->pins, partner->n_pins, t->spki_sha256));
}

static void tell_pin(const struct s2s *s, const struct policy_partner *partner, const struct tls_peer *t)
{
	char key[65] = "";
	bool block = partner->pin_mode == POLICY_PIN_BLOCK;
	if (t && t->has_cert)
		hex(key, t->spki_sha256);
	metric_add(METRIC_PIN_ALARMS, 1);
	log_ev_limited(LOG_WARNING, block ? "tls/pin-refused" : "tls/pin-alarm", partner->domain, {"partner", partner->domain},
		       {"address", slice_str(s->address)}, {"key", slice_str(key)}, {"subject", t ? t->subject : SLICE_NONE},
		       {"issuer", t ? t->issuer : SLICE_NONE}, {"reason", slice_str(reason_info(REASON_XMPP_PIN)->id)},
		       {"text", block ? S("the partner's key is none of its pins: refused")
				      : S("the partner's key is none of its pins: ask the partner whether it is new")});
}

/* ---- revocation. A stream does not wait for a list: when it comes, news() of xmpp_proxy.c judges anew. */

enum reason xmpp_cert_revoked(struct s2s *s, char *why, size_t size)
{
	struct xmpp_proxy *p = s->proxy;
	const struct tls_peer *t = s->conn ? conn_peer(s->conn) : NULL;
	if (!p->cfg.revocation || !t || !t->has_cert || !t->chain_ok)
		return REASON_NONE;
	if (!s->chain)
		s->chain = revocation_chain_of(p->cfg.revocation, s->conn);
	switch (revocation_check(p->cfg.revocation, s->chain, why, size)) {
	case REVOCATION_REVOKED: return REASON_TLS_REVOKED;
	case REVOCATION_UNKNOWN: return p->cfg.set.revocation_hard ? REASON_TLS_REVOCATION : REASON_NONE;
	default: return REASON_NONE;
	}
}

bool xmpp_cert_refused(struct s2s *s)
{
	const struct tls_peer *t = s->conn ? conn_peer(s->conn) : NULL;
	char why[300];
	enum reason reason = xmpp_cert_revoked(s, why, sizeof why);
	if (reason == REASON_NONE)
		return false;
	log_ev_limited(LOG_WARNING, "tls/certificate-refused", t->subject, {"address", slice_str(s->address)}, {"subject", t->subject}, {"issuer", t->issuer},
		       {"serial", t->serial}, {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(why)});
	return true;
}

bool xmpp_cert_barred(struct s2s *s, const struct policy_partner *partner)
{
	const struct tls_peer *t = s && s->conn ? conn_peer(s->conn) : NULL;
	if (t && xmpp_cert_refused(s))
		return true;
	if (!partner || !t || partner->pin_mode != POLICY_PIN_BLOCK || xmpp_cert_pinned(partner, t))
		return false;
	if (t->has_cert)
		tell_pin(s, partner, t);
	return true;
}

/* ---- what is known when a partner is proven */

void xmpp_cert_seen(struct s2s *s, struct slice remote, const char *proof)
{
	const struct tls_peer *t = s->conn ? conn_peer(s->conn) : NULL;
	struct xmpp_proxy *p = s->proxy;
	struct xmpp_sighting before;
	char old[65], new[65];
	if (!t || !t->has_cert)
		return;
	struct arena *a = arena_acquire(p->loop->arenas);
	struct slice ascii = remote;
	struct snapshot *snap = snapshot_reader_get(&p->policy);
	xmpp_domain_ascii(a, remote, &ascii);
	const struct policy_partner *partner = snap ? snapshot_partner(snap, ascii) : NULL;
	if (partner && *proof && !xmpp_cert_pinned(partner, t))
		tell_pin(s, partner, t);
	if (partner && p->cfg.seen && xmpp_seen_put(p->cfg.seen, ascii, t, s->inbound, proof, &before)) {
		hex(old, before.spki_sha256);
		hex(new, t->spki_sha256);
		log_ev(LOG_INFO, "tls/key-changed", {"partner", ascii}, {"address", slice_str(s->address)},
			{"before", slice_str(old)},
		       {"now", slice_str(new)}, {"issuer", t->issuer});
	}
	arena_release(p->loop->arenas, a);
}

/* ---- outbound: TLSA and delegation were looked up on the way */

static bool names_host(const struct tls_peer *t, struct slice host)
{
	struct xmpp_cert_names names = {.dns = t->dns, .n_dns = t->n_dns};
	return host.len && xmpp_identity_match(&names, host) == XMPP_IDENTITY_DNS;
}

static bool names_domain(const struct tls_peer *t, struct slice domain)
{
	struct xmpp_cert_names names = {.dns = t->dns, .n_dns = t->n_dns, .srv = t->srv, .n_srv = t->n_srv, .xmpp = t->xmpp,
					.n_xmpp = t->n_xmpp};
	return xmpp_identity_match(&names, domain) != XMPP_IDENTITY_NONE;
}

static void bar(struct xmpp_tls_info *i, enum reason reason, struct slice why)
{
	if (!slice_empty(i->barred))
		return;
	i->barred = why;
	i->barred_reason = reason;
}

static void by_dane(const struct s2s *s, const struct dialer *d, const struct tls_peer *t, struct slice domain,
	struct xmpp_tls_info *i)
{
	const struct tls_tlsa *records;
	size_t n = dialer_tlsa(d, &records);
	bool named = names_domain(t, domain) || names_host(t, dialer_delegate(d));
	switch (conn_dane(s->conn, records, n)) {
	case TLS_DANE_NONE:
		break;
	case TLS_DANE_EE:
		i->dane = true;
		break;
	case TLS_DANE_TA:
	case TLS_DANE_PKIX:
		i->dane = named;
		if (!named)
			bar(i, REASON_XMPP_DANE, S("its TLSA records fit the authority, but the certificate names neither "
						   "the domain nor its server"));
		break;
	case TLS_DANE_MISMATCH:
		bar(i, REASON_XMPP_DANE, t->has_cert ? S("the certificate is not the one that its TLSA records name")
						     : S("TLSA records name a certificate, and none was shown"));
		break;
	}
}

void xmpp_cert_outbound(struct s2s *s, const struct tls_peer *t, struct xmpp_tls_info *i)
{
	const struct dialer *d = xmpp_s2s_dialer(s);
	const struct policy_partner *partner;
	struct xmpp_stream_info info;
	xmpp_stream_info(s->stream, &info);
	xmpp_proxy_judge(s->proxy, info.local, info.remote, &partner);
	if (!partner)
		return;
	if (d) {
		by_dane(s, d, t, info.remote, i);
		i->delegated = partner->delegation && t->chain_ok && names_host(t, dialer_delegate(d));
	}
	enum reason revoked = xmpp_cert_revoked(s, NULL, 0);
	if (revoked)
		bar(i, revoked, slice_str(reason_info(revoked)->text));
	if (xmpp_cert_barred(s, partner) && !revoked)
		bar(i, REASON_XMPP_PIN, S("its key is none of the pinned ones"));
	if (!t->has_cert && partner->n_pins && partner->pin_mode == POLICY_PIN_BLOCK)
		bar(i, REASON_XMPP_PIN, S("it shows no certificate, and its key is pinned"));
	xmpp_cert_seen(s, info.remote, "");
}

/* ---- inbound: DANE-EE of a partner that connected to us */

static void probe_end(struct xmpp_probe *x)
{
	struct s2s *s = x->s2s;
	bool found = x->found;
	xmpp_cert_forget(s);
	conn_resume(s->conn);
	xmpp_s2s_tls_up(s, found);
}

static void probe_address(void *arg, const struct addr *to, struct slice host)
{
	struct xmpp_probe *x = arg;
	const struct tls_tlsa *records;
	size_t n = dialer_tlsa(x->dialer, &records);
	(void)to, (void)host;
	x->found = tls_peer_dane(conn_peer(x->s2s->conn), records, n) == TLS_DANE_EE;
	if (x->found)
		probe_end(x);
	else
		dialer_next(x->dialer);
}

static void probe_exhausted(void *arg, const struct entente_err *err)
{
	(void)err;
	probe_end(arg);
}

static void probe_patience(struct timer *t, uint64_t now)
{
	(void)now;
	probe_end(CONTAINER_OF(t, struct xmpp_probe, patience));
}

static const struct dialer_ops probe_ops = {.address = probe_address, .exhausted = probe_exhausted};

bool xmpp_cert_probe(struct s2s *s, const struct tls_peer *t)
{
	struct xmpp_proxy *p = s->proxy;
	struct xmpp_stream_info i;
	struct dialer_target to;
	enum reason reason;
	xmpp_stream_info(s->stream, &i);
	if (!p->cfg.set.dane || !t->has_cert || !i.local.len || !i.remote.len || (t->chain_ok && names_domain(t, i.remote)))
		return false;
	struct arena *a = arena_acquire(p->loop->arenas);
	bool ok = xmpp_proxy_target(p, a, i.local, i.remote, &to, &reason) && to.dane;
	if (ok) {
		struct xmpp_probe *x = MEM_NEW(struct xmpp_probe);
		x->s2s = s;
		s->probe = x;
		to.private_addresses = true; /* nothing is called there */
		x->dialer = dialer_new(p->worker, p->cfg.dns, &to, &probe_ops, x);
		timer_init(&x->patience, probe_patience);
		timer_arm(&p->loop->timers, &x->patience, PROBE_MS);
		conn_pause(s->conn);
	}
	arena_release(p->loop->arenas, a);
	if (ok)
		dialer_next(s->probe->dialer);
	return ok;
}

void xmpp_cert_forget(struct s2s *s)
{
	struct xmpp_probe *x = s->probe;
	if (!x)
		return;
	s->probe = NULL;
	timer_cancel(&s->proxy->loop->timers, &x->patience);
	dialer_free(x->dialer);
	mem_free(x);
}
