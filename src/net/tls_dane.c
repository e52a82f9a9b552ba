/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records against what a peer has shown (RFC 6698 2, RFC 7671). Not OpenSSL's own DANE: that wants the records before the
 * handshake and works for clients alone, while a partner that connects to us names itself inside it. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "net/conn_int.h"

enum { PKIX_TA, PKIX_EE, DANE_TA, DANE_EE };

const char *tls_dane_text(enum tls_dane d)
{
	static const char *const text[] = {"none", "mismatch", "pkix", "dane-ta", "dane-ee"};
	return text[d];
}

static size_t digest_len(unsigned matching)
{
	return matching == 1 ? 32 : 64;
}

static bool usable(const struct tls_tlsa *r)
{
	return r->usage <= DANE_EE && r->selector <= 1 && r->matching <= 2 && r->data.len &&
	       (!r->matching || r->data.len == digest_len(r->matching));
}

static bool same(const uint8_t *a, struct slice b)
{
	return !memcmp(a, b.p, b.len);
}

static bool fits_leaf(const struct tls_peer *p, const struct tls_tlsa *r)
{
	uint8_t sum[32];
	switch (r->matching) {
	case 0: /* the whole: by its digest, which is what is kept */
		return EVP_Digest(r->data.p, r->data.len, sum, NULL, EVP_sha256(), NULL) == 1 &&
		       !memcmp(sum, r->selector ? p->spki_sha256 : p->sha256, sizeof sum);
	case 1:
		return same(r->selector ? p->spki_sha256 : p->sha256, r->data);
	default:
		return same(r->selector ? p->spki_sha512 : p->sha512, r->data);
	}
}

static enum tls_dane better(enum tls_dane a, enum tls_dane b)
{
	return b > a ? b : a;
}

enum tls_dane tls_peer_dane(const struct tls_peer *p, const struct tls_tlsa *records, size_t n)
{
	enum tls_dane ret = TLS_DANE_NONE;
	for (size_t i = 0; i < n; i++) {
		if (!usable(&records[i]))
			continue;
		ret = better(ret, TLS_DANE_MISMATCH);
		if (!p->has_cert || (records[i].usage != PKIX_EE && records[i].usage != DANE_EE) || !fits_leaf(p, &records[i]))
			continue;
		if (records[i].usage == DANE_EE)
			ret = TLS_DANE_EE;
		else if (p->chain_ok)
			ret = better(ret, TLS_DANE_PKIX);
	}
	return ret;
}

/* ---- the authorities: usages 0 and 2 */

static bool fits(X509 *x, const struct tls_tlsa *r)
{
	struct tls_peer *p = tls_peer_make(x, NULL);
	bool ok = fits_leaf(p, r);
	tls_peer_free(p);
	return ok;
}

/* Does the leaf lead, in time and for servers, to this one certificate? */
static bool leads_to(X509 *leaf, STACK_OF(X509) *chain, X509 *anchor)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	bool ok = store && sc && X509_STORE_add_cert(store, anchor) == 1 && X509_STORE_CTX_init(sc, store, leaf, chain) == 1;
	if (ok) {
		X509_STORE_CTX_set_flags(sc, X509_V_FLAG_PARTIAL_CHAIN);
		X509_STORE_CTX_set_purpose(sc, X509_PURPOSE_SSL_SERVER);
		ok = X509_verify_cert(sc) == 1;
	}
	X509_STORE_CTX_free(sc);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

/* The record may hold the authority's whole certificate, which the peer then need not show. */
static X509 *whole(const struct tls_tlsa *r)
{
	const unsigned char *p = (const unsigned char *)r->data.p;
	return r->selector == 0 && r->matching == 0 ? d2i_X509(NULL, &p, (long)r->data.len) : NULL;
}

static bool fits_authority(SSL *ssl, const struct tls_tlsa *r)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl), *given;
	STACK_OF(X509) *shown = SSL_get_peer_cert_chain(ssl), *built = SSL_get0_verified_chain(ssl);
	bool ok = false;
	if (r->usage == PKIX_TA) { /* anywhere above the leaf on the path that was verified */
		for (int i = 1; !ok && i < sk_X509_num(built); i++)
			ok = fits(sk_X509_value(built, i), r);
		return ok;
	}
	for (int i = 0; !ok && i < sk_X509_num(shown); i++)
		ok = X509_cmp(sk_X509_value(shown, i), leaf) && fits(sk_X509_value(shown, i), r) &&
		     leads_to(leaf, shown, sk_X509_value(shown, i));
	if (!ok && (given = whole(r))) {
		ok = leads_to(leaf, shown, given);
		X509_free(given);
	}
	ERR_clear_error();
	return ok;
}

enum tls_dane conn_dane(const struct conn *c, const struct tls_tlsa *records, size_t n)
{
	enum tls_dane ret = c->peer ? tls_peer_dane(c->peer, records, n) : TLS_DANE_NONE;
	if (!c->peer || !c->peer->has_cert || !c->tls.ssl || ret == TLS_DANE_EE)
		return ret;
	for (size_t i = 0; i < n; i++) {
		const struct tls_tlsa *r = &records[i];
		if (!usable(r) || (r->usage != PKIX_TA && r->usage != DANE_TA) || (r->usage == PKIX_TA && !c->peer->chain_ok))
			continue;
		if (fits_authority(c->tls.ssl, r))
			ret = better(ret, r->usage == DANE_TA ? TLS_DANE_TA : TLS_DANE_PKIX);
	}
	return ret;
}
