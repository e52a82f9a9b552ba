/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "base/mem.h"

enum { SERIAL = 20, REASON_REMOVED = 8 };

struct gone { /* RFC 5280 4.1.2.2: at most 20 octets; longer ones by their hash */
	uint8_t serial[SERIAL];
	uint32_t when;
};

struct crl {
	int64_t this_update, next_update;
	bool users, authorities; /* what it is about */
	size_t n;
	struct gone list[];
};

static void serial_key(uint8_t dst[SERIAL], struct slice s)
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	while (s.len && !*s.p)
		s = slice_skip(s, 1);
	memset(dst, 0, SERIAL);
	if (s.len <= SERIAL) {
		memcpy(dst + SERIAL - s.len, s.p, s.len);
	} else {
		SHA256((const unsigned char *)s.p, s.len, sum);
		memcpy(dst, sum, SERIAL);
	}
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, SERIAL);
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;
	return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- reading */

/* An encrypted PEM block would have OpenSSL ask whoever sits at the terminal, and everything wait for the answer. */
static int no_passphrase(char *dst, int size, int writing, void *arg)
{
	(void)dst, (void)size, (void)writing, (void)arg;
	return -1;
}

static X509_CRL *decode(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	X509_CRL *x = NULL;
	if (s.len && *s.p == 0x30) {
		x = d2i_X509_CRL(NULL, &p, (long)s.len);
		if (x && (const char *)p == s.p + s.len)
			return x;
	} else if (s.len) {
		BIO *bio = BIO_new_mem_buf(s.p, (int)s.len);
		x = bio ? PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL) : NULL;
		BIO_free(bio);
		return x;
	}
	X509_CRL_free(x);
	return NULL;
}

/* ---- is it the one that was asked for, and whole? */

static bool of_issuer(const X509_CRL *x, const struct tls_issued *of)
{
	const unsigned char *p = (const unsigned char *)of->issuer.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)of->issuer.len);
	bool same = name && X509_NAME_cmp(X509_CRL_get_issuer(x), name) == 0;
	X509_NAME_free(name);
	return same;
}

static bool signed_by(X509_CRL *x, const struct tls_issued *of)
{
	const unsigned char *p = (const unsigned char *)of->key.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)of->key.len);
	bool ok = key && X509_CRL_verify(x, key) == 1;
	EVP_PKEY_free(key);
	return ok;
}

static bool names(const DIST_POINT_NAME *where, struct slice url)
{
	if (where->type != 0)
		return false;
	for (int i = 0; i < sk_GENERAL_NAME_num(where->name.fullname); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(where->name.fullname, i);
		const ASN1_STRING *s = g->type == GEN_URI ? g->d.uniformResourceIdentifier : NULL;
		if (s && slice_eq(slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), url))
			return true;
	}
	return false;
}

static const char *scope(const X509_CRL *x, struct slice url, struct crl *ret)
{
	int critical;
	const char *no = NULL;
	ISSUING_DIST_POINT *p = X509_CRL_get_ext_d2i(x, NID_issuing_distribution_point, &critical, NULL);
	ret->users = ret->authorities = true;
	if (!p)
		return critical == -1 ? NULL : "its issuing distribution point cannot be read";
	if (p->distpoint && !names(p->distpoint, url))
		no = "it is the list of another distribution point";
	else if (p->indirectCRL > 0 || p->onlyattr > 0 || p->onlysomereasons)
		no = "it is an indirect list, of attributes, or of some reasons only";
	ret->users = p->onlyCA <= 0;
	ret->authorities = p->onlyuser <= 0;
	ISSUING_DIST_POINT_free(p);
	return no;
}

static const char *extensions(const X509_CRL *x)
{
	for (int i = 0; i < X509_CRL_get_ext_count(x); i++) {
		X509_EXTENSION *e = X509_CRL_get_ext(x, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
		if (nid == NID_delta_crl)
			return "it is a delta list";
		if (X509_EXTENSION_get_critical(e) && nid != NID_issuing_distribution_point)
			return "it has a critical extension that is not understood";
	}
	return NULL;
}

/* ---- what it says */

static const char *take(struct crl *c, STACK_OF(X509_REVOKED) *all)
{
	for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
		X509_REVOKED *r = sk_X509_REVOKED_value(all, i);
		const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(r);
		long why = -1;
		for (int k = 0; k < X509_REVOKED_get_ext_count(r); k++) {
			X509_EXTENSION *e = X509_REVOKED_get_ext(r, k);
			int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
			if (nid == NID_crl_reason) {
				ASN1_ENUMERATED *v = X509V3_EXT_d2i(e);
				why = v ? ASN1_ENUMERATED_get(v) : -1;
				ASN1_ENUMERATED_free(v);
			} else if (X509_EXTENSION_get_critical(e)) {
				return "an entry has a critical extension that is not understood";
			}
		}
		if (why == REASON_REMOVED)
			continue;
		struct gone *g = &c->list[c->n++];
		int64_t when = seconds(X509_REVOKED_get0_revocationDate(r));
		serial_key(g->serial, slice_of((const char *)ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)));
		g->when = when < 0 ? 0 : when > UINT32_MAX ? UINT32_MAX : (uint32_t)when;
	}
	qsort(c->list, c->n, sizeof *c->list, compare);
	return NULL;
}

int crl_parse(struct crl **ret, struct slice octets, const struct tls_issued *of, struct slice url, struct entente_err *err)
{
	struct crl *c = NULL;
	const char *no = NULL;
	int rc = 0;
	if (octets.len > CRL_OCTETS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "the revocation list is too large");
	X509_CRL *x = decode(octets);
	if (!x) {
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "what is there is no revocation list");
		goto out;
	}
	STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(x);
	int n = sk_X509_REVOKED_num(all);
	c = mem_calloc(1, sizeof *c + (n > 0 ? (size_t)n : 0) * sizeof(struct gone));
	c->this_update = seconds(X509_CRL_get0_lastUpdate(x));
	c->next_update = seconds(X509_CRL_get0_nextUpdate(x));
	if (!of->may_sign)
		no = "the authority may not sign revocation lists";
	else if (!of_issuer(x, of))
		no = "it is the list of another authority";
	else if (!signed_by(x, of))
		no = "its signature is not that of the authority";
	else if (!(no = extensions(x)) && !(no = scope(x, url, c)))
		no = take(c, all);
	if (no)
		rc = err_set(err, ENTENTE_ETLS, REASON_NONE, "the revocation list does not count: %s", no);
out:
	X509_CRL_free(x);
	ERR_clear_error();
	if (rc)
		crl_free(c);
	else
		*ret = c;
	return rc;
}

struct crl *crl_free(struct crl *c)
{
	return mem_free(c);
}

enum crl_says crl_find(const struct crl *c, const struct tls_issued *of, int64_t *ret_when)
{
	struct gone key;
	if (of->ca ? !c->authorities : !c->users)
		return CRL_ELSEWHERE;
	serial_key(key.serial, of->serial);
	const struct gone *g = bsearch(&key, c->list, c->n, sizeof *c->list, compare);
	if (g && ret_when)
		*ret_when = g->when;
	return g ? CRL_REVOKED : CRL_GOOD;
}

bool crl_fresh(const struct crl *c, int64_t now)
{
	return c->this_update <= now + CRL_SKEW_S && now < c->next_update;
}

int64_t crl_this_update(const struct crl *c)
{
	return c->this_update;
}

int64_t crl_next_update(const struct crl *c)
{
	return c->next_update;
}

size_t crl_count(const struct crl *c)
{
	return c->n;
}

size_t crl_octets(const struct crl *c)
{
	return sizeof *c + c->n * sizeof *c->list;
}
