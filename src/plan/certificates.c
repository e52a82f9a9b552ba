/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/certificates.h"

#include <time.h>
#include "base/clock.h"
#include "config/schema.h"
#include "xmpp/identity.h"

#define COMPLAIN(x, warning, ...) config_error((x)->errs, (warning), 0, 0, (x)->key, __VA_ARGS__)

struct look {
	const struct config *config;
	struct config_errors *errs;
	const char *key, *file; /* of the certificate */
	const struct tls_peer *facts;
	bool server, client;    /* what the slot is for */
	bool internal;          /* between our own hosts: names as they call each other, any purpose */
};

bool plan_tls_settings(struct tls_settings *ret, const struct config *c)
{
	*ret = (struct tls_settings){.trust_file = *c->tls_trust ? c->tls_trust : NULL, .alpn = {"xmpp-server"}};
	if (*c->tls_certificate) {
		ret->server_chain = c->tls_certificate;
		ret->server_key = c->tls_key;
	}
	if (*c->tls_client_certificate) {
		ret->client_chain = c->tls_client_certificate;
		ret->client_key = c->tls_client_key;
	}
	return ret->server_chain || ret->client_chain;
}

static const struct {
	int64_t part; /* of the lifetime */
	enum plan_expiry level;
} steps[] = {{3, PLAN_EXPIRY_RENEW}, {4, PLAN_EXPIRY_SOON}, {8, PLAN_EXPIRY_CRITICAL}, {12, PLAN_EXPIRY_URGENT}};

enum plan_expiry plan_expiry(int64_t not_before, int64_t not_after, int64_t now)
{
	if (!not_after)
		return PLAN_EXPIRY_FINE;
	if (now >= not_after)
		return PLAN_EXPIRY_OVER;
	enum plan_expiry e = PLAN_EXPIRY_FINE;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if ((not_after - now) * steps[i].part < not_after - not_before)
			e = steps[i].level;
	return e;
}

const char *plan_expiry_text(enum plan_expiry e)
{
	static const char *const names[PLAN_EXPIRY_COUNT] = {"fine", "renew", "soon", "critical", "urgent", "expired"};
	return names[e];
}

double plan_remaining(int64_t not_before, int64_t not_after, int64_t now)
{
	if (now >= not_after)
		return 0;
	return now <= not_before ? 1 : (double)(not_after - now) / (double)(not_after - not_before);
}

int64_t plan_expiry_next(int64_t not_before, int64_t not_after, int64_t now)
{
	if (!not_after || now >= not_after)
		return INT64_MAX;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		/* the first second with (not_after - t) * part < lifetime */
		int64_t lifetime = not_after - not_before, left = (lifetime - 1) / steps[i].part, at = not_after - left;
		if (lifetime > 0 && at > now)
			return at;
	}
	return not_after;
}

static void date(char ret[32], int64_t t)
{
	struct tm tm;
	time_t at = (time_t)t;
	gmtime_r(&at, &tm);
	strftime(ret, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

static void look_at_time(const struct look *x)
{
	int64_t now = clock_unix();
	char when[32];
	if (x->facts->not_before > now) {
		date(when, x->facts->not_before);
		COMPLAIN(x, true, "%s: %s is valid only from %s on: is the clock right?", x->key, x->file, when);
	}
	date(when, x->facts->not_after);
	enum plan_expiry end = plan_expiry(x->facts->not_before, x->facts->not_after, now);
	switch (end) {
	case PLAN_EXPIRY_OVER:
		COMPLAIN(x, true, "%s: %s has expired (%s): partners refuse it; renew it, then `entente reload`", x->key, x->file, when);
		break;
	case PLAN_EXPIRY_SOON:
	case PLAN_EXPIRY_CRITICAL:
	case PLAN_EXPIRY_URGENT:
		COMPLAIN(x, true, "%s: %s ends soon (%s), less than %s of its time is left: renew it, then `entente reload`", x->key, x->file, when,
			 end == PLAN_EXPIRY_SOON ? "a quarter" : end == PLAN_EXPIRY_CRITICAL ? "an eighth" : "a twelfth");
		break;
	default:
		break;
	}
}

static void look_at_purpose(const struct look *x)
{
	const struct tls_peer *f = x->facts;
	if (!f->eku_any_present || x->internal)
		return;
	if (x->server && !f->eku_server)
		COMPLAIN(x, true, "%s: %s is not for servers (its extended key usage lacks serverAuth): partners that connect to us "
			 "refuse it; get one with serverAuth", x->key, x->file);
	else if (x->client && !f->eku_server)
		COMPLAIN(x, true, "%s: %s lacks serverAuth: Prosody and Entente believe no server without it; get one with serverAuth, "
			 "and clientAuth too where an authority still gives that", x->key, x->file);
	else if (x->client && !f->eku_client)
		COMPLAIN(x, true, "%s: %s lacks clientAuth, as all new public certificates do: ejabberd before 25.08 (Debian 12) refuses "
			 "it for SASL EXTERNAL and dialback is used, if allowed; docs/certificates.md", x->key, x->file);
}

static bool covers(const struct tls_peer *f, const char *domain)
{
	struct xmpp_cert_names names = {.dns = f->dns, .n_dns = f->n_dns, .srv = f->srv, .n_srv = f->n_srv};
	return xmpp_identity_match(&names, slice_str(domain)) != XMPP_IDENTITY_NONE;
}

static bool has_wildcard_of(const struct tls_peer *f, const char *domain)
{
	for (size_t i = 0; i < f->n_dns; i++)
		if (slice_starts(f->dns[i], S("*.")) && slice_ieq(slice_skip(f->dns[i], 2), slice_str(domain)))
			return true;
	return false;
}

static void look_at_names(const struct look *x)
{
	const struct tls_peer *f = x->facts;
	if (!f->n_dns && !f->n_srv && !f->n_xmpp && f->cn.len) {
		COMPLAIN(x, true, "%s: %s has its name only in the common name, which nobody should look at: get one with "
			 "subjectAltName dNSName", x->key, x->file);
		return;
	}
	if (f->n_xmpp)
		COMPLAIN(x, true, "%s: %s holds an id-on-xmppAddr name, which crashes streams of ejabberd before 24: get one with dNSName "
			 "only", x->key, x->file);
	if (x->internal && !plan_name_covered(f, slice_str(x->config->server_name)))
		COMPLAIN(x, true, "%s: %s does not name %s (server.name): the other side knows us by link.peers", x->key, x->file, x->config->server_name);
	for (size_t i = 0; !x->internal && i < x->config->n_homes; i++)
		for (size_t k = 0; k < x->config->homes[i].domains.n; k++) {
			const char *d = x->config->homes[i].domains.items[k];
			if (covers(f, d))
				continue;
			if (has_wildcard_of(f, d))
				COMPLAIN(x, true, "%s: the wildcard *.%s in %s covers subdomains only, not %s itself: get one that names %s too",
					 x->key, d, x->file, d, d);
			else
				COMPLAIN(x, true, "%s: %s does not cover our domain %s: partners that want a certificate refuse it there; "
					 "get one with the dNSName %s", x->key, x->file, d, d);
		}
}

static void look_at_chain(const struct look *x, const struct tls_material *m, enum tls_slot slot)
{
	char why[256], top[256];
	size_t n = tls_material_chain(m, slot, top, sizeof top);
	switch (tls_material_verify(m, slot, why, sizeof why)) {
	case TLS_CHAIN_OK:
		break;
	case TLS_CHAIN_INCOMPLETE:
		COMPLAIN(x, true, "%s: %s has %zu certificate%s and ends before \"%s\": most likely the intermediate certificate is missing "
			 "(use the full chain), or the authority is none of tls.trust", x->key, x->file, n, n == 1 ? "" : "s", top);
		break;
	case TLS_CHAIN_SELF_SIGNED:
		COMPLAIN(x, true, "%s: %s is self-signed or from an authority that is none of tls.trust: only partners that trust it, or "
			 "use DANE or dialback, can work with it", x->key, x->file);
		break;
	case TLS_CHAIN_BAD:
		COMPLAIN(x, true, "%s: %s would not be believed here: %s", x->key, x->file, why);
		break;
	}
}

static void look_at_pair(struct look *x, struct tls_settings *s, enum tls_slot slot)
{
	struct tls_material *m = NULL;
	struct entente_err err = {0};
	if (tls_material_load(&m, s, &err)) {
		COMPLAIN(x, false, "%s: %s", x->key, err.text);
		return;
	}
	x->facts = tls_material_facts(m, slot);
	look_at_time(x);
	look_at_purpose(x);
	look_at_names(x);
	look_at_chain(x, m, slot);
	tls_material_unref(m);
}

const char *plan_slot_name(enum plan_slot s)
{
	static const char *const names[PLAN_SLOT_COUNT] = {"server", "client", "internal"};
	return names[s];
}

bool plan_slot_parse(enum plan_slot *ret, struct slice name)
{
	for (int s = 0; s < PLAN_SLOT_COUNT; s++)
		if (slice_eq(name, slice_str(plan_slot_name((enum plan_slot)s)))) {
			*ret = (enum plan_slot)s;
			return true;
		}
	return false;
}

struct plan_slot_files plan_slot_files(const struct config *c, enum plan_slot s)
{
	switch (s) {
	case PLAN_SLOT_CLIENT:
		return (struct plan_slot_files){"tls.client-certificate", "tls.client-key", c->tls_client_certificate, c->tls_client_key};
	case PLAN_SLOT_INTERNAL:
		return (struct plan_slot_files){"link.certificate", "link.key", c->link_certificate, c->link_key};
	default:
		return (struct plan_slot_files){"tls.certificate", "tls.key", c->tls_certificate, c->tls_key};
	}
}

bool plan_name_covered(const struct tls_peer *f, struct slice name)
{
	ptrdiff_t dot = slice_find_chr(name, '.');
	for (size_t i = 0; i < f->n_dns; i++) {
		if (slice_ieq(f->dns[i], name))
			return true;
		if (dot > 0 && slice_starts(f->dns[i], S("*.")) && slice_ieq(slice_skip(f->dns[i], 2), slice_skip(name, (size_t)dot + 1)))
			return true;
	}
	return false;
}

void plan_slot_check(const struct config *c, enum plan_slot slot, const char *certificate, const char *key, struct config_errors *errs)
{
	struct tls_settings s = {.server_chain = certificate, .server_key = key, .trust_file = *c->tls_trust ? c->tls_trust : NULL};
	struct look x = {.config = c, .errs = errs, .key = plan_slot_files(c, slot).certificate_setting, .file = certificate,
			 .server = slot != PLAN_SLOT_CLIENT, .internal = slot == PLAN_SLOT_INTERNAL};
	if (slot == PLAN_SLOT_INTERNAL && *c->link_trust)
		s.trust_file = c->link_trust;
	x.client = slot == PLAN_SLOT_CLIENT || (slot == PLAN_SLOT_SERVER && !*c->tls_client_certificate) || slot == PLAN_SLOT_INTERNAL;
	look_at_pair(&x, &s, TLS_SLOT_SERVER);
}

void plan_certificates(const struct config *c, struct config_errors *errs)
{
	if (*c->tls_certificate)
		plan_slot_check(c, PLAN_SLOT_SERVER, c->tls_certificate, c->tls_key, errs);
	if (*c->tls_client_certificate)
		plan_slot_check(c, PLAN_SLOT_CLIENT, c->tls_client_certificate, c->tls_client_key, errs);
}
