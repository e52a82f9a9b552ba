/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <dirent.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static char dir[64];

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "pki: %s\n", #x);                                          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void add(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	MUST(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

struct pki pki_make(const struct pki_spec *s, const struct pki *issuer)
{
	static long serial = 1000;
	struct pki p = {X509_new(), s->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")};
	MUST(p.cert && p.key);
	X509_set_version(p.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
	bool plain = !s->from_s && !s->to_s;
	X509_gmtime_adj(X509_getm_notBefore(p.cert), plain ? -3600 : s->from_s);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), plain ? 86400 : s->to_s);
	X509_NAME *name = X509_get_subject_name(p.cert);
	if (s->cn)
		MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->cn, -1, -1, 0));
	X509_set_issuer_name(p.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
	X509_set_pubkey(p.cert, p.key);
	X509 *up = issuer ? issuer->cert : p.cert;
	add(p.cert, up, NID_basic_constraints, s->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add(p.cert, up, NID_subject_key_identifier, "hash");
	if (issuer)
		add(p.cert, up, NID_authority_key_identifier, "keyid");
	if (s->san)
		add(p.cert, up, NID_subject_alt_name, s->san);
	if (s->names)
		MUST(X509_add1_ext_i2d(p.cert, NID_subject_alt_name, s->names, 0, X509V3_ADD_DEFAULT) == 1);
	if (s->eku)
		add(p.cert, up, NID_ext_key_usage, s->eku);
	if (s->ku)
		add(p.cert, up, NID_key_usage, s->ku);
	if (s->crl)
		add(p.cert, up, NID_crl_distribution_points, s->crl);
	MUST(X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()));
	return p;
}

static X509_EXTENSION *unknown(void)
{
	ASN1_OCTET_STRING *v = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *o = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING_set(v, (const unsigned char *)"\5\0", 2);
	X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, o, 1, v);
	MUST(e);
	ASN1_OBJECT_free(o);
	ASN1_OCTET_STRING_free(v);
	return e;
}

static void add_list(X509_CRL *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, x, 0);
	X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	MUST(e);
	X509_CRL_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static void add_gone(X509_CRL *x, const struct pki_list *s, const struct pki *p)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *when = X509_gmtime_adj(NULL, -600);
	X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(p->cert));
	X509_REVOKED_set_revocationDate(r, when);
	ASN1_ENUMERATED *why = ASN1_ENUMERATED_new();
	ASN1_ENUMERATED_set(why, s->removed ? 8 : 1);
	MUST(X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, why, 0, X509V3_ADD_DEFAULT) == 1);
	if (s->entry_critical) {
		X509_EXTENSION *e = unknown();
		X509_REVOKED_add_ext(r, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_CRL_add0_revoked(x, r);
	ASN1_ENUMERATED_free(why);
	ASN1_TIME_free(when);
}

unsigned char *pki_list(const struct pki_list *s, const struct pki *issuer, size_t *ret_len)
{
	X509_CRL *x = X509_CRL_new();
	bool plain = !s->from_s && !s->to_s;
	ASN1_TIME *from = X509_gmtime_adj(NULL, plain ? -3600 : s->from_s), *to = NULL;
	unsigned char *der = NULL;
	X509_CRL_set_version(x, 1);
	X509_CRL_set_issuer_name(x, X509_get_subject_name(issuer->cert));
	X509_CRL_set1_lastUpdate(x, from);
	if (s->to_s != LONG_MIN) {
		to = X509_gmtime_adj(NULL, plain ? 3600 : s->to_s);
		X509_CRL_set1_nextUpdate(x, to);
	}
	for (size_t i = 0; i < 4 && s->gone[i]; i++)
		add_gone(x, s, s->gone[i]);
	if (s->idp)
		add_list(x, NID_issuing_distribution_point, s->idp);
	if (s->delta) {
		ASN1_INTEGER *base = ASN1_INTEGER_new();
		ASN1_INTEGER_set(base, 7);
		MUST(X509_CRL_add1_ext_i2d(x, NID_delta_crl, base, 1, X509V3_ADD_DEFAULT) == 1);
		ASN1_INTEGER_free(base);
	}
	if (s->critical) {
		X509_EXTENSION *e = unknown();
		X509_CRL_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_CRL_sort(x);
	MUST(X509_CRL_sign(x, issuer->key, EVP_sha256()));
	if (s->pem) {
		BIO *b = BIO_new(BIO_s_mem());
		char *p;
		MUST(PEM_write_bio_X509_CRL(b, x) == 1);
		*ret_len = (size_t)BIO_get_mem_data(b, &p);
		der = OPENSSL_memdup(p, *ret_len);
		BIO_free(b);
	} else {
		int n = i2d_X509_CRL(x, &der);
		MUST(n > 0);
		*ret_len = (size_t)n;
	}
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	X509_CRL_free(x);
	return der;
}

void pki_free(struct pki *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	*p = (struct pki){NULL, NULL};
}

void pki_dir_make(void)
{
	snprintf(dir, sizeof dir, "/tmp/entente-test-XXXXXX");
	MUST(mkdtemp(dir));
}

const char *pki_path(const char *name)
{
	static char ring[8][512];
	static unsigned i;
	char *p = ring[i++ % 8];
	snprintf(p, sizeof ring[0], "%s/%s", dir, name);
	return p;
}

void pki_dir_remove(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlink(pki_path(e->d_name));
	if (d)
		closedir(d);
	rmdir(dir);
}

void pki_write(const char *name, const struct pki *p, const struct pki *chain)
{
	char file[128];
	snprintf(file, sizeof file, "%s.pem", name);
	FILE *f = fopen(pki_path(file), "w");
	MUST(f && PEM_write_X509(f, p->cert) && (!chain || PEM_write_X509(f, chain->cert)));
	fclose(f);
	snprintf(file, sizeof file, "%s.key", name);
	f = fopen(pki_path(file), "w");
	MUST(f && PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
}

void pki_issue(const char *name, const struct pki_spec *s, const struct pki *issuer, const struct pki *chain)
{
	struct pki p = pki_make(s, issuer);
	pki_write(name, &p, chain);
	pki_free(&p);
}

struct tls_ctx *pki_context(const char *name, const struct tls_settings *more)
{
	struct entente_err err = {0};
	struct tls_settings s = more ? *more : (struct tls_settings){0};
	struct tls_material *m = NULL;
	struct tls_ctx *t = NULL;
	char chain[128], key[128];
	if (name) {
		snprintf(chain, sizeof chain, "%s.pem", name);
		snprintf(key, sizeof key, "%s.key", name);
		s.server_chain = pki_path(chain);
		s.server_key = pki_path(key);
	}
	if (!s.trust_file)
		s.trust_file = pki_path("ca.pem");
	if (tls_material_load(&m, &s, &err) || tls_ctx_new(&t, m, &err)) {
		fprintf(stderr, "pki: %s: %s\n", name ? name : "no certificate", err.text);
		abort();
	}
	tls_material_unref(m);
	return t;
}
