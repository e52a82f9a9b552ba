/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/trial.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { SERIAL_BITS = 120, HOUR = 3600, CN_MAX = 64 /* RFC 5280 A.1, ub-common-name */ };

static bool serial(X509 *x)
{
	BIGNUM *n = BN_new();
	bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static bool name(X509 *x, struct slice cn)
{
	static const char what[] = "self-signed by entente quickstart, to be replaced";
	X509_NAME *n = X509_get_subject_name(x);
	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8, (const unsigned char *)what, -1, -1, 0) &&
	       (cn.len > CN_MAX || X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)cn.p, (int)cn.len, -1, 0)) &&
	       X509_set_issuer_name(x, n);
}

static bool extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

static bool alternatives(X509 *x, const struct slice *names, size_t n)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	bool ok = all;
	for (size_t i = 0; ok && i < n; i++) {
		GENERAL_NAME *one = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();
		ok = one && text && ASN1_STRING_set(text, names[i].p, (int)names[i].len) && sk_GENERAL_NAME_push(all, one) > 0;
		if (ok) {
			GENERAL_NAME_set0_value(one, GEN_DNS, text);
		} else {
			GENERAL_NAME_free(one);
			ASN1_IA5STRING_free(text);
		}
	}
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1;
	GENERAL_NAMES_free(all);
	return ok;
}

static bool fill(X509 *x, EVP_PKEY *k, const struct slice *names, size_t n, unsigned days)
{
	return X509_set_version(x, X509_VERSION_3) && serial(x) && X509_gmtime_adj(X509_getm_notBefore(x), -HOUR) &&
	       X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL) && X509_set_pubkey(x, k) && name(x, names[0]) &&
	       extension(x, NID_basic_constraints, "critical,CA:FALSE") && extension(x, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
	       extension(x, NID_ext_key_usage, "serverAuth,clientAuth") && alternatives(x, names, n) && X509_sign(x, k, EVP_sha256());
}

int plan_trial_make(struct buf *out, struct slice key, const struct slice *names, size_t n_names, unsigned days, struct entente_err *err)
{
	BIO *in = key.len ? BIO_new_mem_buf(key.p, (int)key.len) : NULL, *pem = BIO_new(BIO_s_mem());
	EVP_PKEY *k = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	X509 *x = X509_new();
	int r = 0;
	if (!k || !n_names) {
		r = err_set(err, ENTENTE_EINVAL, REASON_NONE, k ? "a certificate needs a name" : "that is no private key");
	} else if (!x || !pem || !fill(x, k, names, n_names, days) || !PEM_write_bio_X509(pem, x)) {
		r = err_set(err, ENTENTE_ETLS, REASON_NONE, "the certificate could not be made");
	} else {
		char *text;
		long len = BIO_get_mem_data(pem, &text);
		buf_put(out, slice_of(text, (size_t)len));
	}
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(pem);
	BIO_free(in);
	return r;
}
