/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, and what comes back for them: every form, in every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include "../net/pki.h"
#include "plan/bundle.h"
#include "plan/request.h"

static struct pki root, between, leaf, other, lone;
#define NO_PASSWORD ((struct slice){NULL, 0})

static int setup(void **state)
{
	(void)state;
	root = pki_make(&(struct pki_spec){.cn = "Root", .ca = 1}, NULL);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1}, &root);
	leaf = pki_make(&(struct pki_spec){.cn = "leaf", .san = "DNS:im.test", .eku = "serverAuth"}, &between);
	other = pki_make(&(struct pki_spec){.cn = "other", .san = "DNS:other.test", .rsa = 1}, &between);
	lone = pki_make(&(struct pki_spec){.cn = "lone", .san = "DNS:im.test"}, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_free(&root);
	pki_free(&between);
	pki_free(&leaf);
	pki_free(&other);
	pki_free(&lone);
	return 0;
}

/* ---- octets of files */

static void take(struct buf *out, BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);
	buf_put(out, slice_of(p, (size_t)n));
	BIO_free(b);
}

static void put_cert(struct buf *out, const struct pki *p)
{
	BIO *b = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(b, p->cert), 1);
	take(out, b);
}

static void put_key(struct buf *out, const struct pki *p, const char *password)
{
	BIO *b = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, p->key, password ? EVP_aes_256_cbc() : NULL, password, password ? (int)strlen(password) : 0, NULL, NULL), 1);
	take(out, b);
}

static PKCS7 *degenerate(const struct pki *const *list, size_t n)
{
	PKCS7 *p = PKCS7_new();
	PKCS7_set_type(p, NID_pkcs7_signed);
	PKCS7_content_new(p, NID_pkcs7_data);
	for (size_t i = 0; i < n; i++)
		PKCS7_add_certificate(p, list[i]->cert);
	return p;
}

static void put_pkcs7(struct buf *out, bool pem)
{
	const struct pki *const list[] = {&root, &leaf, &between};
	PKCS7 *p = degenerate(list, 3);
	BIO *b = BIO_new(BIO_s_mem());
	assert_int_equal(pem ? PEM_write_bio_PKCS7(b, p) : i2d_PKCS7_bio(b, p), 1);
	take(out, b);
	PKCS7_free(p);
}

static void put_pkcs12(struct buf *out, const char *password)
{
	STACK_OF(X509) *more = sk_X509_new_null();
	sk_X509_push(more, root.cert);
	sk_X509_push(more, between.cert);
	PKCS12 *p = PKCS12_create(password, "x", leaf.key, leaf.cert, more, 0, 0, 0, 0, 0);
	BIO *b = BIO_new(BIO_s_mem());
	assert_int_equal(i2d_PKCS12_bio(b, p), 1);
	take(out, b);
	PKCS12_free(p);
	sk_X509_free(more);
}

static struct buf fresh(void)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	return b;
}

static int add(struct plan_bundle *b, struct buf *octets, const char *password, struct entente_err *err)
{
	return plan_bundle_add(b, buf_slice(octets), "file", password ? slice_str(password) : NO_PASSWORD, err);
}

static void expect_leaf(const struct plan_bundle *b, size_t chain, enum plan_chain_end end, const char *top)
{
	struct plan_pair p;
	struct entente_err err = {0};
	if (plan_bundle_pair(&p, b, &err))
		fail_msg("%s", err.text);
	assert_true(slice_eq(p.facts->dns[0], S("im.test")));
	assert_int_equal(p.n_chain, chain);
	assert_int_equal(p.end, end);
	assert_string_equal(p.top, top);
	assert_string_equal(p.key_kind, "p-256");
	size_t seen = 0;
	struct slice text = buf_slice(&p.chain);
	for (ptrdiff_t at; (at = slice_find(text, S("BEGIN CERTIFICATE"))) >= 0; seen++)
		text = slice_skip(text, (size_t)at + 5);
	assert_int_equal(seen, chain);
	char kind[32];
	assert_true(plan_key_kind(kind, buf_slice(&p.chain)));
	assert_string_equal(kind, "p-256");
	/* the key that is written is the leaf's */
	BIO *in = BIO_new_mem_buf(buf_slice(&p.key).p, (int)p.key.len);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	assert_int_equal(EVP_PKEY_eq(k, leaf.key), 1);
	EVP_PKEY_free(k);
	BIO_free(in);
	plan_pair_clear(&p);
}

/* ---- tests */

/* The members of a PEM file in all their orders, with prose between them. */
static void test_orders(void **state)
{
	(void)state;
	static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}, {3, 0, 1, 2}};
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		struct buf f = fresh();
		struct entente_err err = {0};
		for (int k = 0; k < 4; k++) {
			buf_puts(&f, "subject=something\r\n");
			if (orders[i][k] == 3)
				put_key(&f, &leaf, NULL);
			else
				put_cert(&f, orders[i][k] == 0 ? &leaf : orders[i][k] == 1 ? &between : &root);
		}
		struct plan_bundle *b = plan_bundle_new();
		assert_int_equal(add(b, &f, NULL, &err), 0);
		assert_int_equal(add(b, &f, NULL, &err), 0); /* twice is as once */
		expect_leaf(b, 2, PLAN_CHAIN_ROOT, "CN=Root");
		plan_bundle_free(b);
		buf_free(&f);
	}
}

static void test_forms(void **state)
{
	(void)state;
	static const struct {
		int form; /* 0 PEM, 1 PKCS#7 in PEM, 2 PKCS#7 in DER, 3 PKCS#12, 4 certificates in DER one by one */
		const char *made, *given;
		int rc;
	} rows[] = {
		{0, NULL, NULL, 0},
		{0, "geheim", "geheim", 0},
		{0, "geheim", NULL, ENTENTE_EAUTH},
		{0, "geheim", "falsch", ENTENTE_EAUTH},
		{0, NULL, "needless", 0},
		{1, NULL, NULL, 0},
		{2, NULL, NULL, 0},
		{3, "geheim", "geheim", 0},
		{3, "geheim", "falsch", ENTENTE_EAUTH},
		{3, "geheim", NULL, ENTENTE_EAUTH},
		{3, "", NULL, 0},
		{3, "", "", 0},
		{3, "пароль", "пароль", 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf f = fresh();
		struct entente_err err = {0};
		struct plan_bundle *b = plan_bundle_new();
		if (rows[i].form == 0) {
			put_cert(&f, &leaf);
			put_key(&f, &leaf, rows[i].made);
			put_cert(&f, &between);
			put_cert(&f, &root);
		} else if (rows[i].form == 3) {
			put_pkcs12(&f, rows[i].made);
		} else {
			put_pkcs7(&f, rows[i].form == 1);
		}
		int rc = add(b, &f, rows[i].given, &err);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d %s", i, rc, err.text);
		if (rc == ENTENTE_EAUTH)
			assert_non_null(strstr(err.text, rows[i].given ? "does not open it" : "its password is needed"));
		if (!rc) {
			if (rows[i].form == 1 || rows[i].form == 2) {
				struct buf k = fresh();
				put_key(&k, &leaf, NULL);
				plan_bundle_add_key(b, buf_slice(&k), "pending", NO_PASSWORD);
				buf_free(&k);
			}
			expect_leaf(b, 2, PLAN_CHAIN_ROOT, "CN=Root");
		}
		plan_bundle_free(b);
		buf_free(&f);
	}
}

static void test_der(void **state)
{
	(void)state;
	const struct pki *const list[] = {&between, &leaf};
	struct plan_bundle *b = plan_bundle_new();
	struct entente_err err = {0};
	for (size_t i = 0; i < 3; i++) {
		struct buf f = fresh();
		BIO *bio = BIO_new(BIO_s_mem());
		assert_int_equal(i < 2 ? i2d_X509_bio(bio, list[i]->cert) : i2d_PrivateKey_bio(bio, leaf.key), 1);
		take(&f, bio);
		assert_int_equal(add(b, &f, NULL, &err), 0);
		buf_free(&f);
	}
	expect_leaf(b, 2, PLAN_CHAIN_TRUSTED, "CN=Root");
	plan_bundle_free(b);
}

static void test_missing_intermediate(void **state)
{
	(void)state;
	struct buf f = fresh();
	struct plan_bundle *b = plan_bundle_new();
	struct entente_err err = {0};
	put_cert(&f, &leaf);
	put_cert(&f, &root);
	put_key(&f, &leaf, NULL);
	assert_int_equal(add(b, &f, NULL, &err), 0);
	expect_leaf(b, 1, PLAN_CHAIN_TRUSTED, "CN=Between");
	plan_bundle_free(b);
	buf_free(&f);
}

/* Two authorities that have signed each other: each is in the chain once. */
static void test_cross_signed(void **state)
{
	(void)state;
	struct pki a = pki_make(&(struct pki_spec){.cn = "A", .ca = 1}, NULL), c = pki_make(&(struct pki_spec){.cn = "C", .ca = 1}, NULL);
	struct pki end = pki_make(&(struct pki_spec){.cn = "end", .san = "DNS:im.test"}, &a);
	struct buf f = fresh();
	struct plan_bundle *b = plan_bundle_new();
	struct plan_pair p;
	struct entente_err err = {0};
	X509_set_issuer_name(a.cert, X509_get_subject_name(c.cert));
	assert_true(X509_sign(a.cert, c.key, EVP_sha256()) > 0);
	X509_set_issuer_name(c.cert, X509_get_subject_name(a.cert));
	assert_true(X509_sign(c.cert, a.key, EVP_sha256()) > 0);
	put_cert(&f, &a);
	put_cert(&f, &end);
	put_cert(&f, &c);
	put_key(&f, &end, NULL);
	assert_int_equal(add(b, &f, NULL, &err), 0);
	assert_int_equal(plan_bundle_pair(&p, b, &err), 0);
	assert_int_equal(p.n_chain, 3);
	assert_int_equal(p.left_over, 0);
	assert_int_equal(p.end, PLAN_CHAIN_TRUSTED);
	plan_pair_clear(&p);
	plan_bundle_free(b);
	buf_free(&f);
	pki_free(&a);
	pki_free(&c);
	pki_free(&end);
}

static void test_self_signed(void **state)
{
	(void)state;
	struct buf f = fresh();
	struct plan_bundle *b = plan_bundle_new();
	struct plan_pair p;
	struct entente_err err = {0};
	put_cert(&f, &lone);
	put_key(&f, &lone, NULL);
	assert_int_equal(add(b, &f, NULL, &err), 0);
	assert_int_equal(plan_bundle_pair(&p, b, &err), 0);
	assert_int_equal(p.end, PLAN_CHAIN_SELF);
	assert_int_equal(p.n_chain, 1);
	assert_string_equal(p.top, "");
	plan_pair_clear(&p);
	plan_bundle_free(b);
	buf_free(&f);
}

static int pair_of(const struct pki *cert, const struct pki *key, const struct pki *cert2, const struct pki *key2, char text[256])
{
	struct buf f = fresh();
	struct plan_bundle *b = plan_bundle_new();
	struct plan_pair p;
	struct entente_err err = {0};
	const struct pki *list[] = {cert, key, cert2, key2};
	for (int i = 0; i < 4; i++)
		if (list[i])
			(i % 2) ? put_key(&f, list[i], NULL) : put_cert(&f, list[i]);
	assert_int_equal(add(b, &f, NULL, &err), 0);
	int rc = plan_bundle_pair(&p, b, &err);
	if (!rc)
		plan_pair_clear(&p);
	memcpy(text, err.text, 256);
	plan_bundle_free(b);
	buf_free(&f);
	return rc;
}

static void test_keys_that_do_not_fit(void **state)
{
	(void)state;
	char text[256];
	assert_int_equal(pair_of(&leaf, &leaf, NULL, &other, text), 0); /* a key too many harms nobody */
	assert_int_equal(pair_of(&leaf, &other, NULL, NULL, text), ENTENTE_ENOTFOUND);
	assert_non_null(strstr(text, "CN=leaf"));
	assert_non_null(strstr(text, "others"));
	assert_int_equal(pair_of(&leaf, NULL, NULL, NULL, text), ENTENTE_ENOTFOUND);
	assert_non_null(strstr(text, "none was found"));
	assert_int_equal(pair_of(NULL, &leaf, NULL, NULL, text), ENTENTE_ENOTFOUND);
	assert_non_null(strstr(text, "no certificate"));
	assert_int_equal(pair_of(&leaf, &leaf, &other, &other, text), ENTENTE_EEXIST);
}

static void test_nonsense(void **state)
{
	(void)state;
	static const char *const rows[] = {"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----",
					   "-----BEGIN ", "-----BEGIN X-----\n-----END ", "\x30\x82\xff\xff"};
	struct entente_err err;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct plan_bundle *b = plan_bundle_new();
		assert_int_equal(plan_bundle_add(b, slice_str(rows[i]), "x", NO_PASSWORD, &err), ENTENTE_ESYNTAX);
		plan_bundle_free(b);
	}
	struct buf f;
	buf_init(&f, 2 << 20);
	for (int i = 0; i < (1 << 20) + 1; i++)
		buf_putc(&f, 'x');
	struct plan_bundle *b = plan_bundle_new();
	assert_int_equal(plan_bundle_add(b, buf_slice(&f), "x", NO_PASSWORD, &err), ENTENTE_ELIMIT);
	plan_bundle_free(b);
	buf_free(&f);
}

static void test_too_many(void **state)
{
	(void)state;
	struct plan_bundle *b = plan_bundle_new();
	struct entente_err err = {0};
	int rc = 0;
	for (int i = 0; i <= PLAN_BUNDLE_MAX && !rc; i++) {
		struct pki one = pki_make(&(struct pki_spec){.cn = "one"}, &root);
		struct buf f = fresh();
		put_cert(&f, &one);
		rc = add(b, &f, NULL, &err);
		assert_int_equal(rc, i < PLAN_BUNDLE_MAX ? 0 : ENTENTE_ELIMIT);
		buf_free(&f);
		pki_free(&one);
	}
	plan_bundle_free(b);
}

/* ---- requests */

static X509_REQ *request(const struct plan_request *r, struct buf *key)
{
	struct buf csr = fresh();
	struct entente_err err = {0};
	if (plan_request_make(key, &csr, r, &err))
		fail_msg("%s", err.text);
	BIO *in = BIO_new_mem_buf(buf_slice(&csr).p, (int)csr.len);
	X509_REQ *q = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	assert_non_null(q);
	assert_int_equal(X509_REQ_verify(q, X509_REQ_get0_pubkey(q)), 1);
	BIO_free(in);
	buf_free(&csr);
	return q;
}

static const struct slice names[] = {S("sip.contoso.example"), S("contoso.example"), S("xn--bcher-kva.example"), S("*.contoso.example")};

static void test_request_rows(void **state)
{
	(void)state;
	static const struct {
		enum plan_key key;
		int type, bits;
	} rows[] = {{PLAN_KEY_RSA_2048, EVP_PKEY_RSA, 2048}, {PLAN_KEY_RSA_3072, EVP_PKEY_RSA, 3072}, {PLAN_KEY_P256, EVP_PKEY_EC, 256}, {PLAN_KEY_P384, EVP_PKEY_EC, 384}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool client = i % 2;
		struct buf key = fresh();
		enum plan_key back;
		X509_REQ *q = request(&(struct plan_request){rows[i].key, names[0], names, 4, true, client, SLICE_NONE}, &key);
		EVP_PKEY *k = X509_REQ_get0_pubkey(q);
		assert_int_equal(EVP_PKEY_get_base_id(k), rows[i].type);
		assert_int_equal(EVP_PKEY_get_bits(k), rows[i].bits);
		assert_true(plan_key_parse(&back, slice_str(plan_key_name(rows[i].key))) && back == rows[i].key);
		char cn[100];
		assert_true(X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(q), NID_commonName, cn, sizeof cn) > 0);
		assert_string_equal(cn, "sip.contoso.example");
		STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(q);
		GENERAL_NAMES *san = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
		assert_int_equal(sk_GENERAL_NAME_num(san), 4);
		for (int n = 0; n < 4; n++) {
			const ASN1_IA5STRING *s = sk_GENERAL_NAME_value(san, n)->d.dNSName;
			assert_true(slice_eq(slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), names[n]));
		}
		EXTENDED_KEY_USAGE *eku = X509V3_get_d2i(list, NID_ext_key_usage, NULL, NULL);
		assert_int_equal(sk_ASN1_OBJECT_num(eku), client ? 2 : 1);
		assert_int_equal(OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, 0)), NID_server_auth);
		sk_ASN1_OBJECT_pop_free(eku, ASN1_OBJECT_free);
		GENERAL_NAMES_free(san);
		sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
		/* the same key once more */
		struct buf again = fresh();
		X509_REQ *second = request(&(struct plan_request){.names = names, .n_names = 1, .server = true, .old_key = buf_slice(&key)}, &again);
		assert_int_equal(EVP_PKEY_eq(X509_REQ_get0_pubkey(second), k), 1);
		X509_REQ_free(second);
		X509_REQ_free(q);
		buf_free(&again);
		buf_free(&key);
	}
}

static void test_request_limits(void **state)
{
	(void)state;
	static const struct slice bad[] = {S(""), S("a b"), S("a,DNS:evil.example"), S("a..b"), S(".a"), S("a."), S("a\nb"), S("bücher.example"), S("*"), S("a.*.b")};
	struct buf key = fresh(), csr = fresh();
	struct entente_err err;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(plan_request_make(&key, &csr, &(struct plan_request){PLAN_KEY_P256, S("x"), &bad[i], 1, true, false, SLICE_NONE}, &err), ENTENTE_EINVAL);
	assert_int_equal(plan_request_make(&key, &csr, &(struct plan_request){.key = PLAN_KEY_P256, .server = true}, &err), ENTENTE_EINVAL);
	assert_int_equal(plan_request_make(&key, &csr, &(struct plan_request){.names = names, .n_names = 1, .old_key = S("no key")}, &err), ENTENTE_ETLS);
	assert_int_equal(key.len, 0);
	/* a name that no common name has room for: the subject stays empty, and the names are critical then (RFC 5280 4.2.1.6) */
	static const struct slice longest[] = {S("a-very-long-label-that-goes-on-and-on-and-on.another-long-label.example")};
	X509_REQ *q = request(&(struct plan_request){PLAN_KEY_P256, longest[0], longest, 1, true, false, SLICE_NONE}, &key);
	assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(q)), 0);
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(q);
	int critical = 0;
	GENERAL_NAMES_free(X509V3_get_d2i(list, NID_subject_alt_name, &critical, NULL));
	assert_int_equal(critical, 1);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(q);
	buf_free(&key);
	buf_free(&csr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders), cmocka_unit_test(test_forms), cmocka_unit_test(test_der), cmocka_unit_test(test_missing_intermediate),
		cmocka_unit_test(test_cross_signed), cmocka_unit_test(test_self_signed), cmocka_unit_test(test_keys_that_do_not_fit), cmocka_unit_test(test_nonsense), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_request_rows), cmocka_unit_test(test_request_limits),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
