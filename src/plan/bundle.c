/* SPDX-License-Identifier: Apache-2.0 */
/* Everything in these files was chosen by a stranger; the library parses it, the amounts are bounded here. */
#include "plan/bundle.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include "base/mem.h"

enum { ROUNDS_MAX = 2000000 };

struct one_key {
	EVP_PKEY *key;
	char name[256];
};

struct plan_bundle {
	X509 *certs[PLAN_BUNDLE_MAX];
	struct one_key keys[PLAN_BUNDLE_MAX];
	size_t n_certs, n_keys;
	bool full;
};

struct reading {
	struct plan_bundle *b;
	const char *name;
	struct slice password;
	bool keys_only, locked; /* locked: something needs a password, or another one */
	size_t found;
};

struct plan_bundle *plan_bundle_new(void)
{
	return MEM_NEW(struct plan_bundle);
}

struct plan_bundle *plan_bundle_free(struct plan_bundle *b)
{
	if (!b)
		return NULL;
	for (size_t i = 0; i < b->n_certs; i++)
		X509_free(b->certs[i]);
	for (size_t i = 0; i < b->n_keys; i++)
		EVP_PKEY_free(b->keys[i].key);
	return mem_free(b);
}

/* Takes the reference over. */
static void take_cert(struct reading *r, X509 *x)
{
	struct plan_bundle *b = r->b;
	bool known = r->keys_only;
	r->found += !r->keys_only;
	for (size_t i = 0; !known && i < b->n_certs; i++)
		known = X509_cmp(b->certs[i], x) == 0;
	if (!known && b->n_certs < PLAN_BUNDLE_MAX) {
		b->certs[b->n_certs++] = x;
		return;
	}
	b->full |= !known;
	X509_free(x);
}

static void take_key(struct reading *r, EVP_PKEY *k)
{
	struct plan_bundle *b = r->b;
	bool known = false;
	r->found++;
	for (size_t i = 0; !known && i < b->n_keys; i++)
		known = EVP_PKEY_eq(b->keys[i].key, k) == 1;
	if (!known && b->n_keys < PLAN_BUNDLE_MAX) {
		slice_cstr(slice_str(r->name), b->keys[b->n_keys].name, sizeof b->keys[b->n_keys].name);
		b->keys[b->n_keys++].key = k;
		return;
	}
	b->full |= !known;
	EVP_PKEY_free(k);
}

static void take_list(struct reading *r, STACK_OF(X509) *list)
{
	for (int i = 0; i < sk_X509_num(list); i++) {
		X509 *x = sk_X509_value(list, i);
		X509_up_ref(x);
		take_cert(r, x);
	}
}

static void take_pkcs7(struct reading *r, PKCS7 *p)
{
	int kind = p ? OBJ_obj2nid(p->type) : NID_undef;
	if (kind == NID_pkcs7_signed && p->d.sign)
		take_list(r, p->d.sign->cert);
	else if (kind == NID_pkcs7_signedAndEnveloped && p->d.signed_and_enveloped)
		take_list(r, p->d.signed_and_enveloped->cert);
	PKCS7_free(p);
}

static int give_password(char *dst, int size, int rw, void *arg)
{
	struct reading *r = arg;
	(void)rw;
	r->locked = true; /* until the key is there */
	if (!r->password.p || size < 0 || r->password.len > (size_t)size)
		return -1;
	memcpy(dst, r->password.p, r->password.len);
	return (int)r->password.len;
}

/* One block of PEM, its headers and octets as they stand. */
static void pem_key(struct reading *r, struct slice block)
{
	BIO *in = BIO_new_mem_buf(block.p, (int)block.len);
	bool before = r->locked;
	EVP_PKEY *k = in ? PEM_read_bio_PrivateKey(in, NULL, give_password, r) : NULL;
	BIO_free(in);
	if (k) {
		r->locked = before;
		take_key(r, k);
	}
}

static void pem_block(struct reading *r, struct slice kind, struct slice block)
{
	BIO *in = BIO_new_mem_buf(block.p, (int)block.len);
	X509 *x;
	if (slice_ends(kind, S("PRIVATE KEY"))) {
		pem_key(r, block);
	} else if (slice_eq(kind, S("CERTIFICATE")) || slice_eq(kind, S("X509 CERTIFICATE")) || slice_eq(kind, S("TRUSTED CERTIFICATE"))) {
		if (in && (x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL)))
			take_cert(r, x);
		else if (in && BIO_reset(in) == 1) { /* some authorities put PKCS#7 under this word */
			PKCS7 *p = PEM_read_bio_PKCS7(in, NULL, NULL, NULL);
			if (p)
				take_pkcs7(r, p);
		}
	} else if (slice_eq(kind, S("PKCS7")) || slice_eq(kind, S("CMS")) || slice_eq(kind, S("PKCS #7 SIGNED DATA"))) {
		PKCS7 *p = in ? PEM_read_bio_PKCS7(in, NULL, NULL, NULL) : NULL;
		if (p)
			take_pkcs7(r, p);
	}
	BIO_free(in);
}

static void read_pem(struct reading *r, struct slice text)
{
	ptrdiff_t at, end;
	while ((at = slice_find(text, S("-----BEGIN "))) >= 0) {
		struct slice block = slice_skip(text, (size_t)at), kind = slice_skip(block, 11);
		if ((end = slice_find(kind, S("-----"))) < 0)
			return;
		kind = slice_first(kind, (size_t)end);
		if ((end = slice_find(block, S("-----END "))) < 0)
			return;
		struct slice rest = slice_skip(block, (size_t)end + 9);
		ptrdiff_t line = slice_find_chr(rest, '\n');
		size_t len = line < 0 ? block.len : (size_t)(rest.p + line + 1 - block.p);
		pem_block(r, kind, slice_first(block, len));
		text = slice_skip(block, len);
	}
}

static void read_pkcs12(struct reading *r, PKCS12 *p)
{
	EVP_PKEY *key = NULL;
	X509 *leaf = NULL;
	STACK_OF(X509) *others = NULL;
	char password[1024];
	bool ok = false;
	const ASN1_INTEGER *rounds = NULL;
	PKCS12_get0_mac(NULL, NULL, NULL, &rounds, p);
	if (rounds && (ASN1_INTEGER_get(rounds) < 0 || ASN1_INTEGER_get(rounds) > ROUNDS_MAX)) { /* the file decides how long it takes */
		PKCS12_free(p);
		return;
	}
	if (!r->password.p) /* no password and the empty one differ there, and people mean either */
		ok = PKCS12_verify_mac(p, NULL, 0) || PKCS12_verify_mac(p, "", 0);
	else if (slice_cstr(r->password, password, sizeof password))
		ok = PKCS12_verify_mac(p, password, (int)r->password.len);
	if (!r->password.p)
		password[0] = 0;
	if (!ok) {
		r->locked = true;
	} else if (PKCS12_parse(p, password, &key, &leaf, &others) == 1) {
		if (key)
			take_key(r, key);
		if (leaf)
			take_cert(r, leaf);
		take_list(r, others);
		sk_X509_pop_free(others, X509_free);
	}
	OPENSSL_cleanse(password, sizeof password);
	PKCS12_free(p);
}

static void read_der(struct reading *r, struct slice octets)
{
	const unsigned char *p = (const unsigned char *)octets.p;
	long n = (long)octets.len;
	X509 *x = d2i_X509(NULL, &p, n);
	if (x) {
		take_cert(r, x);
		return;
	}
	p = (const unsigned char *)octets.p;
	PKCS12 *p12 = d2i_PKCS12(NULL, &p, n);
	if (p12) {
		read_pkcs12(r, p12);
		return;
	}
	p = (const unsigned char *)octets.p;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, n);
	if (p7) {
		take_pkcs7(r, p7);
		return;
	}
	p = (const unsigned char *)octets.p;
	EVP_PKEY *k = d2i_AutoPrivateKey(NULL, &p, n);
	if (k)
		take_key(r, k);
}

static void read_all(struct reading *r, struct slice octets)
{
	if (slice_find(octets, S("-----BEGIN ")) >= 0)
		read_pem(r, octets);
	else if (octets.len)
		read_der(r, octets);
	ERR_clear_error();
}

int plan_bundle_add(struct plan_bundle *b, struct slice octets, const char *name, struct slice password, struct entente_err *err)
{
	struct reading r = {.b = b, .name = name, .password = password};
	if (octets.len > PLAN_BUNDLE_FILE_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%.100s is larger than %d octets: it is no certificate", name, PLAN_BUNDLE_FILE_MAX);
	read_all(&r, octets);
	if (b->full)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%.100s: more than %d certificates or keys", name, PLAN_BUNDLE_MAX);
	if (r.locked)
		return err_set(err, ENTENTE_EAUTH, REASON_NONE, password.p ? "%.150s: the password does not open it" : "%.150s is encrypted: its password is needed", name);
	if (!r.found)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "%.100s holds neither a certificate nor a key (PEM, DER, PKCS#7 or PKCS#12)", name);
	return 0;
}

void plan_bundle_add_key(struct plan_bundle *b, struct slice octets, const char *name, struct slice password)
{
	struct reading r = {.b = b, .name = name, .password = password, .keys_only = true};
	if (octets.len <= PLAN_BUNDLE_FILE_MAX)
		read_all(&r, octets);
}

/* ---- the pair */

static X509 *issuer_of(const struct plan_bundle *b, X509 *x)
{
	X509 *found = NULL;
	for (size_t i = 0; i < b->n_certs; i++)
		if (X509_check_issued(b->certs[i], x) == X509_V_OK && X509_verify(x, X509_get0_pubkey(b->certs[i])) == 1 &&
		    /* of two with the same key (cross-signed) the one that is no root leads on */
		    (!found || X509_self_signed(found, 0) == 1))
			found = b->certs[i];
	return found;
}

static bool ours(X509 *x, EVP_PKEY *k)
{
	EVP_PKEY *public = X509_get0_pubkey(x);
	return public && EVP_PKEY_eq(public, k) == 1;
}

static void subject_of(X509 *x, char *ret, size_t size, bool issuer)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	*ret = 0;
	if (bio && X509_NAME_print_ex(bio, issuer ? X509_get_issuer_name(x) : X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(bio, &p);
		slice_cstr(slice_of(p, n > 0 ? (size_t)n : 0), ret, size);
	}
	BIO_free(bio);
}

static void fetch_of(X509 *x, char *ret, size_t size)
{
	AUTHORITY_INFO_ACCESS *list = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
	*ret = 0;
	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(list) && !*ret; i++) {
		const ACCESS_DESCRIPTION *d = sk_ACCESS_DESCRIPTION_value(list, i);
		if (OBJ_obj2nid(d->method) != NID_ad_ca_issuers || d->location->type != GEN_URI)
			continue;
		const ASN1_IA5STRING *u = d->location->d.uniformResourceIdentifier;
		struct slice s = slice_of((const char *)ASN1_STRING_get0_data(u), (size_t)ASN1_STRING_length(u));
		bool clean = slice_istarts(s, S("http"));
		for (size_t k = 0; k < s.len; k++)
			clean &= s.p[k] > 0x20 && s.p[k] < 0x7f;
		if (clean && s.len < size)
			slice_cstr(s, ret, size);
	}
	AUTHORITY_INFO_ACCESS_free(list);
}

static void kind_of(EVP_PKEY *k, char ret[32])
{
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(k);
	if (EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA)
		snprintf(ret, 32, "rsa-%d", bits);
	else if (EVP_PKEY_get_base_id(k) == EVP_PKEY_EC && EVP_PKEY_get_group_name(k, group, sizeof group, NULL) == 1)
		snprintf(ret, 32, "%s", !strcmp(group, "prime256v1") ? "p-256" : !strcmp(group, "secp384r1") ? "p-384" : group);
	else
		snprintf(ret, 32, "%s", EVP_PKEY_get0_type_name(k) ? EVP_PKEY_get0_type_name(k) : "unknown");
}

static bool put_cert(struct buf *out, X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	bool ok = bio && PEM_write_bio_X509(bio, x) == 1;
	if (ok) {
		long n = BIO_get_mem_data(bio, &p);
		buf_put(out, slice_of(p, n > 0 ? (size_t)n : 0));
	}
	BIO_free(bio);
	return ok && buf_ok(out);
}

static bool put_key(struct buf *out, EVP_PKEY *k)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p = NULL;
	bool ok = bio && PEM_write_bio_PKCS8PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL) == 1;
	if (ok) {
		long n = BIO_get_mem_data(bio, &p);
		ok = n > 0 && buf_reserve(out, (size_t)n);
		buf_put(out, slice_of(p, n > 0 ? (size_t)n : 0));
	}
	BIO_free(bio);
	return ok && buf_ok(out);
}

static int facts_of(X509 *x, struct tls_peer **ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der), rc = n > 0 ? tls_peer_from_der(ret, slice_of((char *)der, (size_t)n)) : ENTENTE_ESYNTAX;
	OPENSSL_free(der);
	return rc;
}

static void follow(struct plan_pair *p, const struct plan_bundle *b, X509 *leaf)
{
	enum { CHAIN_MAX = 16 };
	X509 *x = leaf, *up, *have[CHAIN_MAX];
	p->end = X509_self_signed(leaf, 0) == 1 ? PLAN_CHAIN_SELF : PLAN_CHAIN_TRUSTED;
	for (; p->n_chain < CHAIN_MAX; x = up) {
		put_cert(&p->chain, x);
		have[p->n_chain++] = x;
		if (p->end == PLAN_CHAIN_SELF)
			break;
		up = issuer_of(b, x);
		for (size_t i = 0; i < p->n_chain; i++) /* two that have signed each other */
			up = up == have[i] ? NULL : up;
		if (up && X509_self_signed(up, 0) == 1)
			p->end = PLAN_CHAIN_ROOT;
		if (!up || p->end == PLAN_CHAIN_ROOT)
			break;
	}
	if (p->end != PLAN_CHAIN_SELF) {
		subject_of(x, p->top, sizeof p->top, true);
		fetch_of(x, p->fetch, sizeof p->fetch);
	}
	p->left_over = b->n_certs - p->n_chain - (p->end == PLAN_CHAIN_ROOT);
}

/* More than one leaf may have the key that is there: the old and the new one of a renewal. The newest is meant. */
static bool newer(X509 *a, X509 *b)
{
	return ASN1_TIME_compare(X509_get0_notBefore(a), X509_get0_notBefore(b)) > 0;
}

int plan_bundle_pair(struct plan_pair *ret, const struct plan_bundle *b, struct entente_err *err)
{
	struct plan_pair p = {0};
	X509 *leaf = NULL;
	const struct one_key *key = NULL;
	char what[160] = "";
	for (size_t i = 0; i < b->n_certs; i++)
		for (size_t k = 0; k < b->n_keys; k++) {
			if (!ours(b->certs[i], b->keys[k].key))
				continue;
			if (leaf && key != &b->keys[k])
				return err_set(err, ENTENTE_EEXIST, REASON_NONE, "several certificates with their keys are there: import them one by one");
			if (!leaf || newer(b->certs[i], leaf))
				leaf = b->certs[i];
			key = &b->keys[k];
		}
	if (!leaf && b->n_certs) {
		subject_of(b->certs[0], what, sizeof what, false);
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "no private key belongs to the certificate%s of %.100s: %s", b->n_certs > 1 ? "s, beginning with that" : "", what,
			       b->n_keys ? "the keys that were looked at are others" : "none was found");
	}
	if (!leaf)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "no certificate is there");
	buf_init(&p.chain, 1 << 20);
	buf_init(&p.key, 1 << 16);
	follow(&p, b, leaf);
	kind_of(key->key, p.key_kind);
	slice_cstr(slice_str(key->name), p.key_name, sizeof p.key_name);
	if (!put_key(&p.key, key->key) || !buf_ok(&p.chain) || facts_of(leaf, &p.facts)) {
		plan_pair_clear(&p);
		ERR_clear_error();
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "the certificate or its key cannot be written as PEM");
	}
	ERR_clear_error();
	*ret = p;
	return 0;
}

void plan_pair_clear(struct plan_pair *p)
{
	buf_free(&p->chain);
	buf_wipe(&p->key);
	tls_peer_free(p->facts);
	*p = (struct plan_pair){0};
}

bool plan_key_kind(char ret[32], struct slice pem)
{
	BIO *in = BIO_new_mem_buf(pem.len ? pem.p : "", (int)pem.len);
	X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	EVP_PKEY *k = x ? X509_get0_pubkey(x) : NULL;
	if (k)
		kind_of(k, ret);
	X509_free(x);
	BIO_free(in);
	ERR_clear_error();
	return k != NULL;
}

bool plan_leaf(struct tls_peer **ret, struct slice pem)
{
	BIO *in = BIO_new_mem_buf(pem.len ? pem.p : "", (int)pem.len);
	X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	bool ok = x && facts_of(x, ret) == 0;
	X509_free(x);
	BIO_free(in);
	ERR_clear_error();
	return ok;
}
