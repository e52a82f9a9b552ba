/* SPDX-License-Identifier: Apache-2.0 */
/* A provider of OpenSSL 3 in a library context of its own. Nothing is fetched from there except for our keys, so peers' keys and everybody
 * else never meet it; an EVP_PKEY that was made there takes its signatures along into whatever context uses it (EVP_DigestSignInit tries the
 * key's own provider when the key cannot be exported, and a private half here cannot). */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/mem.h"
#include "keeper/keeper_int.h"

#define PRIVATE_PARAM "entente-keeper-key" /* a struct private_half, by value; only keeper_key_make gives it */
#define PROVIDER "entente-keeper"

struct private_half {
	struct keeper *keeper;
	uint32_t handle;
	EVP_PKEY *pub; /* in OpenSSL's own provider */
};

struct key { /* what OpenSSL calls key data */
	_Atomic int refs;
	const char *type;
	struct private_half half; /* without keeper: a public key that is compared with one of ours */
};

/* ---- key management */

static void *key_new(const char *type)
{
	struct key *k = MEM_NEW(struct key);
	atomic_init(&k->refs, 1);
	k->type = type;
	return k;
}

static void *new_rsa(void *ctx)
{
	(void)ctx;
	return key_new("RSA");
}

static void *new_pss(void *ctx)
{
	(void)ctx;
	return key_new("RSA-PSS");
}

static void *new_ec(void *ctx)
{
	(void)ctx;
	return key_new("EC");
}

static void *new_ed25519(void *ctx)
{
	(void)ctx;
	return key_new("ED25519");
}

static void *new_ed448(void *ctx)
{
	(void)ctx;
	return key_new("ED448");
}

static void key_free(void *data)
{
	struct key *k = data;
	if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
		return;
	if (k->half.keeper) {
		keeper_forget(k->half.keeper, k->half.handle);
		keeper_unref(k->half.keeper);
	}
	EVP_PKEY_free(k->half.pub);
	mem_free(k);
}

static int key_has(const void *data, int selection)
{
	const struct key *k = data;
	return k->half.pub && (!(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || k->half.keeper);
}

static int key_match(const void *one, const void *other, int selection)
{
	const struct key *a = one, *b = other;
	if (!a->half.pub || !b->half.pub)
		return 0;
	if (selection & OSSL_KEYMGMT_SELECT_KEYPAIR)
		return EVP_PKEY_eq(a->half.pub, b->half.pub) == 1;
	return EVP_PKEY_parameters_eq(a->half.pub, b->half.pub) == 1;
}

static EVP_PKEY *public_of(const char *type, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pub = NULL;
	if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &pub, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) != 1)
		pub = NULL;
	EVP_PKEY_CTX_free(c);
	return pub;
}

static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
	struct key *k = data;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PRIVATE_PARAM);
	struct private_half half;
	void *at = &half;
	size_t len = 0;
	(void)selection;
	if (k->half.pub)
		return 0;
	if (!p) {
		k->half.pub = public_of(k->type, params);
		return k->half.pub != NULL;
	}
	if (OSSL_PARAM_get_octet_string(p, &at, sizeof half, &len) != 1 || len != sizeof half)
		return 0;
	k->half = half;
	keeper_ref(half.keeper);
	EVP_PKEY_up_ref(half.pub);
	return 1;
}

/* The private half stays: this is what sends whoever wants to sign to our signatures. */
static int key_export(void *data, int selection, OSSL_CALLBACK *give, void *arg)
{
	const struct key *k = data;
	if (!k->half.pub || selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	return EVP_PKEY_export(k->half.pub, selection, give, arg);
}

static const OSSL_PARAM *key_types(int selection)
{
	/* what any kind of public key consists of */
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END,
	};
	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
	const struct key *k = data;
	return k->half.pub && EVP_PKEY_get_params(k->half.pub, params) == 1;
}

static const OSSL_PARAM *key_gettable(void *ctx)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0), OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_END,
	};
	(void)ctx;
	return list;
}

static const char *ec_operation(int op)
{
	return op == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FN(id, f) {OSSL_FUNC_##id, (void (*)(void))(f)}
#define MANAGEMENT(make)                                                                                                                              \
	FN(KEYMGMT_NEW, make), FN(KEYMGMT_FREE, key_free), FN(KEYMGMT_HAS, key_has), FN(KEYMGMT_MATCH, key_match), FN(KEYMGMT_IMPORT, key_import),     \
		FN(KEYMGMT_IMPORT_TYPES, key_types), FN(KEYMGMT_EXPORT, key_export), FN(KEYMGMT_EXPORT_TYPES, key_types),                               \
		FN(KEYMGMT_GET_PARAMS, key_get_params), FN(KEYMGMT_GETTABLE_PARAMS, key_gettable)
static const OSSL_DISPATCH manage_rsa[] = {MANAGEMENT(new_rsa), {0, NULL}};
static const OSSL_DISPATCH manage_pss[] = {MANAGEMENT(new_pss), {0, NULL}};
static const OSSL_DISPATCH manage_ec[] = {MANAGEMENT(new_ec), FN(KEYMGMT_QUERY_OPERATION_NAME, ec_operation), {0, NULL}};
static const OSSL_DISPATCH manage_ed25519[] = {MANAGEMENT(new_ed25519), {0, NULL}};
static const OSSL_DISPATCH manage_ed448[] = {MANAGEMENT(new_ed448), {0, NULL}};

/* The names of OpenSSL's own provider: TLS looks for them. */
static const OSSL_ALGORITHM management[] = {
	{"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" PROVIDER, manage_rsa, NULL},
	{"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", "provider=" PROVIDER, manage_pss, NULL},
	{"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=" PROVIDER, manage_ec, NULL},
	{"ED25519:1.3.101.112", "provider=" PROVIDER, manage_ed25519, NULL},
	{"ED448:1.3.101.113", "provider=" PROVIDER, manage_ed448, NULL},
	{NULL, NULL, NULL, NULL},
};

/* ---- signatures */

struct signing {
	struct key *key;
	EVP_MD *md;
	enum keeper_digest digest;
	int padding;
};

static void *sig_new(void *ctx, const char *properties)
{
	(void)ctx, (void)properties;
	return MEM_NEW(struct signing);
}

static void sig_free(void *data)
{
	struct signing *s = data;
	if (!s)
		return;
	key_free(s->key);
	EVP_MD_free(s->md);
	mem_free(s);
}

static bool set_digest(struct signing *s, const char *name)
{
	EVP_MD_free(s->md);
	s->md = EVP_MD_fetch(NULL, name, NULL);
	s->digest = KEEPER_DIGEST_NONE;
	for (int d = KEEPER_DIGEST_NONE + 1; s->md && d < KEEPER_DIGESTS; d++)
		if (EVP_MD_is_a(s->md, keeper_digest_name((enum keeper_digest)d)))
			s->digest = (enum keeper_digest)d;
	return s->digest != KEEPER_DIGEST_NONE;
}

static bool is_rsa(const struct signing *s)
{
	return !strncmp(s->key->type, "RSA", 3);
}

static bool is_ed(const struct signing *s)
{
	return !strncmp(s->key->type, "ED", 2);
}

static bool set_padding(struct signing *s, const OSSL_PARAM *p)
{
	const char *name = NULL;
	if (!p)
		return true;
	if (p->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_get_int(p, &s->padding) && (s->padding == RSA_PKCS1_PADDING || s->padding == RSA_PKCS1_PSS_PADDING);
	if (!OSSL_PARAM_get_utf8_string_ptr(p, &name))
		return false;
	bool pss = !strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS);
	s->padding = pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
	return pss || !strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15);
}

/* Only as long as the digest. */
static bool salt_fits(const struct signing *s, const OSSL_PARAM *p)
{
	const char *name = NULL;
	int n = 0;
	if (!p)
		return true;
	if (p->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_get_int(p, &n) && (n == RSA_PSS_SALTLEN_DIGEST || n == (int)keeper_digest_size(s->digest));
	return OSSL_PARAM_get_utf8_string_ptr(p, &name) && !strcmp(name, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST);
}

static int sig_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const OSSL_PARAM *p;
	const char *name = NULL;
	if (!params)
		return 1;
	if (!s->key || is_ed(s))
		return 0;
	if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) && (!OSSL_PARAM_get_utf8_string_ptr(p, &name) || !set_digest(s, name)))
		return 0;
	if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) &&
	    (!OSSL_PARAM_get_utf8_string_ptr(p, &name) || !s->md || !EVP_MD_is_a(s->md, name)))
		return 0;
	return set_padding(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) &&
	       salt_fits(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN));
}

static const OSSL_PARAM *sig_settable(void *data, void *ctx)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0), OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0), OSSL_PARAM_END,
	};
	(void)data, (void)ctx;
	return list;
}

static int sig_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = data;
	struct key *k = key ? key : s->key;
	if (!k || !k->half.keeper)
		return 0;
	if (k != s->key) {
		atomic_fetch_add(&k->refs, 1);
		key_free(s->key);
		s->key = k;
	}
	s->padding = !strcmp(k->type, "RSA-PSS") ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
	if (is_ed(s))
		return !digest || !*digest;
	return set_digest(s, digest && *digest ? digest : "SHA256") && sig_set_params(s, params);
}

static int sig_sign(void *data, unsigned char *sig, size_t *ret_len, size_t size, const unsigned char *text, size_t len)
{
	struct signing *s = data;
	char signature[KEEPER_SIGNATURE_MAX];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n_digest = 0;
	struct keeper_request q = {.verb = KEEPER_SIGN};
	if (!s->key || !s->key->half.keeper)
		return 0;
	if (!sig) {
		*ret_len = (size_t)EVP_PKEY_get_size(s->key->half.pub);
		return 1;
	}
	q.handle = s->key->half.handle;
	if (is_ed(s)) {
		q.scheme = KEEPER_EDDSA;
		q.data = slice_of((const char *)text, len);
	} else {
		if (EVP_Digest(text, len, digest, &n_digest, s->md, NULL) != 1)
			return 0;
		q.scheme = !is_rsa(s) ? KEEPER_ECDSA : s->padding == RSA_PKCS1_PSS_PADDING ? KEEPER_PSS : KEEPER_PKCS1;
		q.digest = s->digest;
		q.data = slice_of((const char *)digest, n_digest);
	}
	size_t n = keeper_sign(s->key->half.keeper, &q, signature);
	if (!n || n > size) {
		ERR_raise_data(ERR_LIB_PROV, ERR_R_OPERATION_FAIL, "the process that keeps the private keys made no signature");
		return 0;
	}
	memcpy(sig, signature, n);
	*ret_len = n;
	return 1;
}

static const OSSL_DISPATCH sign_any[] = {
	FN(SIGNATURE_NEWCTX, sig_new), FN(SIGNATURE_FREECTX, sig_free), FN(SIGNATURE_DIGEST_SIGN_INIT, sig_init), FN(SIGNATURE_DIGEST_SIGN, sig_sign),
	FN(SIGNATURE_SET_CTX_PARAMS, sig_set_params), FN(SIGNATURE_SETTABLE_CTX_PARAMS, sig_settable), {0, NULL},
};
static const OSSL_ALGORITHM signatures[] = {
	{"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" PROVIDER, sign_any, NULL},
	{"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", "provider=" PROVIDER, sign_any, NULL},
	{"ECDSA", "provider=" PROVIDER, sign_any, NULL},
	{"ED25519:1.3.101.112", "provider=" PROVIDER, sign_any, NULL},
	{"ED448:1.3.101.113", "provider=" PROVIDER, sign_any, NULL},
	{NULL, NULL, NULL, NULL},
};

/* ---- the provider */

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *no_cache)
{
	(void)ctx;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT ? management : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **ret_ctx)
{
	static const OSSL_DISPATCH functions[] = {FN(PROVIDER_QUERY_OPERATION, query), {0, NULL}};
	(void)in;
	*out = functions;
	*ret_ctx = (void *)(uintptr_t)handle;
	return 1;
}

static OSSL_LIB_CTX *context; /* for good: keys may live until the end */

static void open_context(void)
{
	context = OSSL_LIB_CTX_new();
	if (!context || OSSL_PROVIDER_add_builtin(context, PROVIDER, provider_init) != 1 || !OSSL_PROVIDER_load(context, PROVIDER)) {
		OSSL_LIB_CTX_free(context);
		context = NULL;
	}
}

EVP_PKEY *keeper_key_make(struct keeper *k, uint32_t handle, EVP_PKEY *pub)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct private_half half = {.keeper = k, .handle = handle, .pub = pub};
	OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(PRIVATE_PARAM, &half, sizeof half), OSSL_PARAM_construct_end()};
	EVP_PKEY *key = NULL;
	pthread_once(&once, open_context);
	EVP_PKEY_CTX *c = context ? EVP_PKEY_CTX_new_from_name(context, EVP_PKEY_get0_type_name(pub), NULL) : NULL;
	if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(c);
	return key;
}

bool keeper_key_is(const EVP_PKEY *key)
{
	const OSSL_PROVIDER *p = key ? EVP_PKEY_get0_provider(key) : NULL;
	return p && !strcmp(OSSL_PROVIDER_get0_name(p), PROVIDER);
}
