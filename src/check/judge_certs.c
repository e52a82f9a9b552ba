/* SPDX-License-Identifier: Apache-2.0 */
/* Our certificates, against the names of the plan and what partners stumble over. */
#include <stdio.h>
#include <time.h>
#include "check/judge.h"
#include "plan/certificates.h"
#include "xmpp/identity.h"

enum { RSA_BITS_MIN = 2048, EC_BITS_MIN = 224, OTHERS = 07 };

void check_date(char ret[32], int64_t t)
{
	struct tm tm;
	time_t at = (time_t)t;
	gmtime_r(&at, &tm);
	strftime(ret, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

bool check_within(struct slice name, struct slice domain)
{
	if (slice_ieq(name, domain))
		return true;
	return name.len > domain.len && name.p[name.len - domain.len - 1] == '.' && slice_ieq(slice_skip(name, name.len - domain.len), domain);
}

struct look {
	struct check *c;
	const struct check_facts *f;
	const struct check_cert *k;
};

/* Usable at all? */
static bool files(struct look *x)
{
	const struct check_cert *k = x->k;
	bool key = k->fault == CHECK_CERT_NO_KEY || k->fault == CHECK_CERT_BAD_KEY;
	struct slice what = key ? k->key_file : k->file;
	bool bad = check_fails(x->c, CHECK_CERT_UNREADABLE, k->fault == CHECK_CERT_NO_FILE || k->fault == CHECK_CERT_NO_KEY, what);
	if (bad)
		check_remedy(x->c, "correct %s, or let the daemon read it:\nchgrp entente %.*s && chmod g+r %.*s", k->setting, SFMT(what), SFMT(what));
	else if (check_fails(x->c, CHECK_CERT_MALFORMED, k->fault == CHECK_CERT_NO_PEM || k->fault == CHECK_CERT_BAD_KEY, what))
		check_remedy(x->c, key ? "convert it to PEM without a passphrase:\nopenssl pkey -in %.*s -out new.key"
				       : "convert it to PEM:\nopenssl x509 -in %.*s -inform DER -out new.pem", SFMT(what));
	else if (check_fails(x->c, CHECK_CERT_KEY_MISMATCH, k->fault == CHECK_CERT_OTHER_KEY, k->file))
		check_remedy(x->c, "name the key that belongs to it; compare:\nopenssl x509 -in %.*s -noout -pubkey | sha256sum; openssl pkey -in %.*s -pubout | sha256sum",
			     SFMT(k->file), SFMT(k->key_file));
	else
		return true;
	check_evidence(x->c, "%s: %.*s", k->setting, SFMT(k->fault_text));
	return bad ? false : k->leaf != NULL;
}

static void exposed(struct look *x)
{
	const struct check_cert *k = x->k;
	if (k->key_seen && check_fails(x->c, CHECK_CERT_KEY_EXPOSED, k->key_mode & OTHERS, k->key_file)) {
		check_evidence(x->c, "mode %04o, owner uid %u", k->key_mode, k->key_uid);
		check_remedy(x->c, "chown root:entente %.*s && chmod 0640 %.*s\nif strangers had access, renew with a new key and have the old certificate revoked",
			     SFMT(k->key_file), SFMT(k->key_file));
	}
}

static void dates(struct look *x)
{
	const struct tls_peer *l = x->k->leaf;
	enum plan_expiry e = plan_expiry(l->not_before, l->not_after, x->f->now);
	char from[32], to[32], now[32];
	check_date(from, l->not_before);
	check_date(to, l->not_after);
	check_date(now, x->f->now);
	if (check_fails(x->c, CHECK_CERT_NOT_YET, l->not_before > x->f->now, x->k->file))
		check_evidence(x->c, "valid from %s on; the clock of this machine says %s", from, now);
	if (check_fails(x->c, CHECK_CERT_EXPIRED, e == PLAN_EXPIRY_OVER, x->k->file)) {
		check_evidence(x->c, "valid until %s; the clock of this machine says %s", to, now);
		return;
	}
	if (check_fails(x->c, CHECK_CERT_SOON, e >= PLAN_EXPIRY_SOON, x->k->file)) {
		int64_t left = l->not_after - x->f->now, whole = l->not_after - l->not_before;
		check_evidence(x->c, "valid from %s to %s: %jd days are left of %jd", from, to, (intmax_t)(left / 86400), (intmax_t)(whole / 86400));
		if (e >= PLAN_EXPIRY_CRITICAL)
			check_severity(x->c, CHECK_ERROR);
	}
}

static bool server(const struct look *x)
{
	return x->k->role == CHECK_CERT_SERVER;
}

static void purposes(struct look *x)
{
	const struct tls_peer *l = x->k->leaf;
	const char *usage = l->eku_client ? "clientAuth" : "others only";
	if (check_fails(x->c, CHECK_CERT_NOT_SERVER, l->eku_any_present && !l->eku_server, x->k->file))
		check_evidence(x->c, "extended key usage: %s", usage);
	bool client = (x->k->role == CHECK_CERT_CLIENT || x->k->also_client) && l->eku_any_present && l->eku_server && !l->eku_client;
	if ((x->k->role == CHECK_CERT_CLIENT || x->k->also_client) && check_fails(x->c, CHECK_CERT_NOT_CLIENT, client, x->k->file)) {
		check_evidence(x->c, "extended key usage: serverAuth");
		if (x->f->site && x->f->site->sip_client_eku)
			check_severity(x->c, CHECK_WARNING);
	}
}

/* ---- names */

static bool has(const struct tls_peer *l, struct slice name)
{
	for (size_t i = 0; i < l->n_dns; i++)
		if (slice_ieq(l->dns[i], name))
			return true;
	return false;
}

/* The wildcard that stands for exactly this name, one label. */
static struct slice wildcard(const struct tls_peer *l, struct slice name)
{
	ptrdiff_t dot = slice_find_chr(name, '.');
	for (size_t i = 0; i < l->n_dns && dot > 0; i++)
		if (slice_starts(l->dns[i], S("*.")) && slice_ieq(slice_skip(l->dns[i], 2), slice_skip(name, (size_t)dot + 1)))
			return l->dns[i];
	return SLICE_NONE;
}

static void one_name(struct look *x, struct slice name, bool lync)
{
	const struct tls_peer *l = x->k->leaf;
	struct xmpp_cert_names names = {.dns = l->dns, .n_dns = l->n_dns, .srv = l->srv, .n_srv = l->n_srv};
	struct slice star = wildcard(l, name);
	bool covered = has(l, name) || star.len || xmpp_identity_match(&names, name) != XMPP_IDENTITY_NONE;
	struct buf b;
	if (check_fails(x->c, CHECK_CERT_NAME, !covered, name)) {
		buf_init(&b, 2048);
		for (size_t i = 0; i < l->n_dns && i < 12; i++)
			buf_printf(&b, "%s%.*s", i ? ", " : "", SFMT(l->dns[i]));
		check_evidence(x->c, "%.*s names %.*s%s%s", SFMT(x->k->file), SFMT(buf_slice(&b)), l->n_dns > 12 ? ", ..." : "",
			       l->n_dns ? "" : "nothing");
		check_remedy(x->c, "request one with the dNSName %.*s:\nentente plan certificates --format openssl", SFMT(name));
		buf_free(&b);
		return;
	}
	if (lync && check_fails(x->c, CHECK_CERT_WILDCARD, star.len && !has(l, name), name)) {
		check_evidence(x->c, "%.*s names it only by %.*s", SFMT(x->k->file), SFMT(star));
		check_remedy(x->c, "request one with the dNSName %.*s:\nentente plan certificates --format openssl", SFMT(name));
	}
}

/* The internal certificate proves one name to the other half, the external one all of the plan. */
static const struct plan_certificate *planned(const struct look *x)
{
	enum plan_usage usage = x->k->role == CHECK_CERT_LINK ? PLAN_INTERNAL : PLAN_EXTERNAL;
	for (size_t i = 0; x->f->plan && i < x->f->plan->n_certificates; i++)
		if (x->f->plan->certificates[i].usage == usage)
			return &x->f->plan->certificates[i];
	return NULL;
}

static void names(struct look *x)
{
	const struct tls_peer *l = x->k->leaf;
	const struct plan_certificate *p = planned(x);
	bool none = !l->n_dns && !l->n_srv && !l->n_xmpp;
	if (check_fails(x->c, CHECK_CERT_NO_NAMES, none, x->k->file)) {
		check_evidence(x->c, "subject %.*s, no subjectAltName", SFMT(l->subject));
		return;
	}
	if (check_fails(x->c, CHECK_CERT_XMPPADDR, l->n_xmpp > 0, x->k->file))
		check_evidence(x->c, "id-on-xmppAddr %.*s", SFMT(l->xmpp[0]));
	bool sip = x->f->site && x->f->site->sip_federation && server(x);
	for (size_t i = 0; p && i < p->n_names; i++)
		one_name(x, p->names[i], sip);
}

/* ---- strength and chain */

static void strength(struct look *x)
{
	const struct check_cert *k = x->k;
	bool rsa = slice_starts(k->key_type, S("RSA")) || slice_eq(k->key_type, S("DSA"));
	bool weak = k->key_bits && k->key_bits < (rsa ? RSA_BITS_MIN : EC_BITS_MIN);
	if (check_fails(x->c, CHECK_CERT_KEY_WEAK, weak, k->file))
		check_evidence(x->c, "%.*s with %u bits", SFMT(k->key_type), k->key_bits);
	if (check_fails(x->c, CHECK_CERT_SIGNATURE, k->signature_weak, k->file))
		check_evidence(x->c, "%.*s", SFMT(k->signature));
}

static void chain(struct look *x)
{
	const struct check_cert *k = x->k;
	char when[32];
	if (!k->verified)
		return;
	if (check_fails(x->c, CHECK_CERT_INTERMEDIATE, k->chain == TLS_CHAIN_INCOMPLETE, k->file)) {
		check_evidence(x->c, "%zu certificate%s in the file; what is next, \"%.*s\", is neither there nor in tls.trust", k->chain_n, k->chain_n == 1 ? "" : "s",
			       SFMT(k->chain_top));
		check_remedy(x->c, "append the certificate of \"%.*s\" to %.*s (certbot: use fullchain.pem), then:\nentente reload", SFMT(k->chain_top), SFMT(k->file));
	}
	if (check_fails(x->c, CHECK_CERT_SELF_SIGNED, k->chain == TLS_CHAIN_SELF_SIGNED, k->file))
		check_evidence(x->c, "issuer %.*s", SFMT(k->chain_top));
	if (check_fails(x->c, CHECK_CERT_UNTRUSTED, k->chain == TLS_CHAIN_BAD && !k->signature_weak && !k->expired.len, k->file))
		check_evidence(x->c, "%.*s", SFMT(k->chain_why));
	if (check_fails(x->c, CHECK_CERT_CHAIN_EXPIRED, k->expired.len, k->file)) {
		check_date(when, k->expired_at);
		check_evidence(x->c, "%.*s was valid until %s", SFMT(k->expired), when);
	}
}

static void lists(struct look *x)
{
	for (size_t i = 0; i < x->k->n_lists; i++) {
		const struct check_list *l = &x->k->lists[i];
		char when[32];
		if (check_fails(x->c, CHECK_CERT_LIST_UNREACHABLE, !l->fetched || !l->usable, x->k->file)) {
			check_evidence(x->c, "%.*s, which %.*s names: %.*s", SFMT(l->url), SFMT(l->of), SFMT(l->why));
			if (slice_find_chr(l->url, '\'') < 0) /* the certificate chose it, and it is pasted into a shell */
				check_remedy(x->c, "try from here and from outside, then tell the authority, or let TCP port 80 out:\ncurl -o /dev/null '%.*s'", SFMT(l->url));
			continue;
		}
		if (check_fails(x->c, CHECK_CERT_REVOKED, l->revoked, x->k->file))
			check_evidence(x->c, "%.*s is on the list %.*s", SFMT(l->of), SFMT(l->url));
		if (check_fails(x->c, CHECK_CERT_LIST_STALE, !l->fresh, x->k->file)) {
			check_date(when, l->next_update);
			check_evidence(x->c, "%.*s was to be renewed by %s", SFMT(l->url), when);
		}
	}
}

void check_judge_certs(struct check *c, const struct check_facts *f)
{
	const struct config *g = f->config;
	if (!f->certs.have || !g)
		return;
	bool needed = g->n_xmpp_listen || g->n_sip_external_listen || g->server_role != CONFIG_ALL;
	if (needed && check_fails(c, CHECK_CERT_NONE, !f->certs.n, slice_str(g->server_name)))
		check_evidence(c, "tls.certificate is not set in %.*s", SFMT(f->file));
	for (size_t i = 0; i < f->certs.n; i++) {
		struct look x = {c, f, &f->certs.list[i]};
		exposed(&x);
		if (!files(&x) || !x.k->leaf)
			continue;
		dates(&x);
		purposes(&x);
		names(&x);
		strength(&x);
		chain(&x);
		lists(&x);
	}
	if (!f->plan)
		check_skip(c, CHECK_CERTS, "%.*s", SFMT(f->plan_why));
}
