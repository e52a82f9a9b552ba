/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/request.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const struct {
	const char *name, *curve; /* curve NULL: RSA */
	unsigned bits;
} keys[PLAN_KEY_COUNT] = {
	[PLAN_KEY_RSA_2048] = {"rsa-2048", NULL, 2048}, [PLAN_KEY_RSA_3072] = {"rsa-3072", NULL, 3072}, [PLAN_KEY_RSA_4096] = {"rsa-4096", NULL, 4096},
	[PLAN_KEY_P256] = {"p-256", "P-256", 0},        [PLAN_KEY_P384] = {"p-384", "P-384", 0},
};

const char *plan_key_name(enum plan_key k)
{
	return keys[k].name;
}

bool plan_key_parse(enum plan_key *ret, struct slice name)
{
	for (int k = 0; k < PLAN_KEY_COUNT; k++)
		if (slice_ieq(name, slice_str(keys[k].name))) {
			*ret = (enum plan_key)k;
			return true;
		}
	return false;
}

/* Letters, digits, hyphens, dots, and a wildcard as the whole first label; nothing that could mean something in a request. */
static bool good_name(struct slice s)
{
	if (slice_starts(s, S("*.")))
		s = slice_skip(s, 2);
	if (!s.len || s.len > 253 || s.p[0] == '.' || s.p[s.len - 1] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!letter && !(c == '.' && s.p[i - 1] != '.'))
			return false;
	}
	return true;
}

static int no_passphrase(char *b, int size, int rw, void *arg)
{
	(void)b;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

static EVP_PKEY *make_key(const struct plan_request *r)
{
	if (!r->old_key.len)
		return keys[r->key].curve ? EVP_EC_gen(keys[r->key].curve) : EVP_RSA_gen(keys[r->key].bits);
	BIO *in = BIO_new_mem_buf(r->old_key.p, (int)r->old_key.len);
	EVP_PKEY *k = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
	BIO_free(in);
	return k;
}

static bool push(STACK_OF(X509_EXTENSION) *list, X509_EXTENSION *e)
{
	if (e && sk_X509_EXTENSION_push(list, e))
		return true;
	X509_EXTENSION_free(e);
	return false;
}

static bool add_names(STACK_OF(X509_EXTENSION) *list, const struct plan_request *r)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool ok = names != NULL;
	for (size_t i = 0; ok && i < r->n_names; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *s = ASN1_IA5STRING_new();
		ok = g && s && ASN1_STRING_set(s, r->names[i].p, (int)r->names[i].len);
		if (ok) {
			GENERAL_NAME_set0_value(g, GEN_DNS, s);
			s = NULL;
			ok = sk_GENERAL_NAME_push(names, g) > 0;
		}
		if (!ok) {
			ASN1_IA5STRING_free(s);
			GENERAL_NAME_free(g);
		}
	}
	ok = ok && push(list, X509V3_EXT_i2d(NID_subject_alt_name, !r->subject.len || r->subject.len > 64, names));
	GENERAL_NAMES_free(names);
	return ok;
}

static bool add_extensions(X509_REQ *q, const struct plan_request *r, bool rsa)
{
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	const char *eku = r->server && r->client ? "serverAuth,clientAuth" : r->client ? "clientAuth" : "serverAuth";
	/* TLS 1.2 with the key exchange of old would want keyEncipherment; we never offer it, but authorities' forms ask for it */
	const char *ku = rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature";
	bool ok = list && add_names(list, r) && push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, ku)) &&
		  push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, eku)) && X509_REQ_add_extensions(q, list) == 1;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return ok;
}

static X509_REQ *make_request(EVP_PKEY *key, const struct plan_request *r)
{
	X509_REQ *q = X509_REQ_new();
	X509_NAME *name = q ? X509_REQ_get_subject_name(q) : NULL;
	bool ok = q && X509_REQ_set_version(q, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(q, key) == 1;
	if (ok && r->subject.len && r->subject.len <= 64)
		ok = X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)r->subject.p, (int)r->subject.len, -1, 0) == 1;
	ok = ok && add_extensions(q, r, EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) &&
	     X509_REQ_sign(q, key, EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256()) > 0;
	if (ok)
		return q;
	X509_REQ_free(q);
	return NULL;
}

static bool take(struct buf *out, BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);
	if (n <= 0)
		return false;
	buf_put(out, slice_of(p, (size_t)n));
	return buf_ok(out);
}

int plan_request_make(struct buf *ret_key, struct buf *ret_csr, const struct plan_request *r, struct entente_err *err)
{
	if (!r->n_names || r->n_names > PLAN_REQUEST_NAMES)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "a request needs between 1 and %d names, not %zu", PLAN_REQUEST_NAMES, r->n_names);
	for (size_t i = 0; i < r->n_names; i++)
		if (!good_name(r->names[i]))
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "'%.*s' is no DNS name; right is for example sip.example.org",
				       SFMT(slice_first(r->names[i], 100)));
	EVP_PKEY *key = make_key(r);
	X509_REQ *q = key ? make_request(key, r) : NULL;
	BIO *k = BIO_new(BIO_s_secmem()), *c = BIO_new(BIO_s_mem());
	int rc = 0;
	if (!q || !k || !c || PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) != 1 || PEM_write_bio_X509_REQ(c, q) != 1 ||
	    !take(ret_key, k) || !take(ret_csr, c))
		rc = err_set(err, ENTENTE_ETLS, REASON_NONE, key ? "the request could not be made" : "the private key could not be %s",
			     r->old_key.len ? "read: it is no PEM key, or has a passphrase" : "made");
	BIO_free(k);
	BIO_free(c);
	X509_REQ_free(q);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return rc;
}
