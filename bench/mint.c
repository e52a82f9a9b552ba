/* SPDX-License-Identifier: Apache-2.0 */
#include "mint.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "base/mem.h"

enum { LIFETIME = 86400 };

struct mint {
	X509 *ca;
	EVP_PKEY *key;
	long serial;
};

int mint_open(struct mint **ret, const char *ca_dir, struct entente_err *err)
{
	struct mint *m = MEM_NEW(struct mint);
	char path[1024];
	snprintf(path, sizeof path, "%s/ca.pem", ca_dir);
	FILE *f = fopen(path, "r");
	m->ca = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	snprintf(path, sizeof path, "%s/ca.key", ca_dir);
	f = fopen(path, "r");
	m->key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	if (m->ca && m->key) {
		*ret = m;
		return 0;
	}
	mint_close(m);
	return err_set(err, ENTENTE_EIO, REASON_NONE, "%s holds no certification authority", ca_dir);
}

static bool extend(X509 *x, X509 *ca, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, ca, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static X509 *make(struct mint *m, EVP_PKEY *key, const char *domain)
{
	char names[300];
	X509 *x = X509_new();
	snprintf(names, sizeof names, "DNS:%s", domain);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1000000 + ++m->serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), LIFETIME);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)domain, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(m->ca));
	X509_set_pubkey(x, key);
	if (extend(x, m->ca, NID_subject_alt_name, names) && extend(x, m->ca, NID_basic_constraints, "CA:FALSE") &&
	    extend(x, m->ca, NID_key_usage, "digitalSignature") && extend(x, m->ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
	    X509_sign(x, m->key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

int mint_make(struct mint *m, const char *dir, const char *domain, struct entente_err *err)
{
	char path[1024];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? make(m, key, domain) : NULL;
	bool ok = x != NULL;
	snprintf(path, sizeof path, "%s/%s.pem", dir, domain);
	FILE *f = ok ? fopen(path, "w") : NULL;
	ok = f && PEM_write_X509(f, x) == 1;
	if (f)
		ok = fclose(f) == 0 && ok;
	snprintf(path, sizeof path, "%s/%s.key", dir, domain);
	f = ok ? fopen(path, "w") : NULL;
	ok = f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (f)
		ok = fclose(f) == 0 && ok;
	X509_free(x);
	EVP_PKEY_free(key);
	return ok ? 0 : err_set(err, ENTENTE_EIO, REASON_NONE, "a certificate for %s could not be written to %s", domain, dir);
}

struct mint *mint_close(struct mint *m)
{
	if (!m)
		return NULL;
	X509_free(m->ca);
	EVP_PKEY_free(m->key);
	return mem_free(m);
}
