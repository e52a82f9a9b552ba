/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records against what a peer shows: every usage, selector and matching type, and what spoils them. */
#include "rawtls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

static struct pki ca, between, leaf, expired, other;
static struct tls_ctx *ctx;

static int setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki trust = pki_make(&(struct pki_spec){.cn = "Trusted CA", .ca = 1}, NULL);
	pki_write("ca", &trust, NULL);
	pki_issue("us", &(struct pki_spec){.cn = "us", .san = "DNS:us.test"}, &trust, NULL);
	pki_issue("known", &(struct pki_spec){.cn = "known", .san = "DNS:them.test"}, &trust, &trust);
	pki_free(&trust);
	ca = pki_make(&(struct pki_spec){.cn = "Private CA", .ca = 1}, NULL);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1}, &ca);
	leaf = pki_make(&(struct pki_spec){.cn = "leaf", .san = "DNS:them.test"}, &between);
	expired = pki_make(&(struct pki_spec){.cn = "old", .san = "DNS:them.test", .from_s = -7200, .to_s = -3600}, &between);
	other = pki_make(&(struct pki_spec){.cn = "other", .san = "DNS:them.test"}, NULL);
	pki_write("leaf", &leaf, &between);
	pki_write("bare", &leaf, NULL);
	pki_write("expired", &expired, &between);
	ctx = pki_context("us", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(ctx);
	pki_free(&ca), pki_free(&between), pki_free(&leaf), pki_free(&expired), pki_free(&other);
	pki_dir_remove();
	return 0;
}

/* What a zone's owner would publish for a certificate. */
static struct tls_tlsa tlsa(unsigned usage, unsigned selector, unsigned matching, X509 *x)
{
	static unsigned char ring[16][4096];
	static unsigned at;
	unsigned char *der = ring[at++ % 16], *p = der, sum[64];
	unsigned n;
	int len = selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p) : i2d_X509(x, &p);
	assert_in_range(len, 1, 4096);
	if (matching) {
		EVP_Digest(der, (size_t)len, sum, &n, matching == 1 ? EVP_sha256() : EVP_sha512(), NULL);
		memcpy(der, sum, n);
		len = (int)n;
	}
	return (struct tls_tlsa){(uint8_t)usage, (uint8_t)selector, (uint8_t)matching, slice_of((char *)der, (size_t)len)};
}

static enum tls_dane judge(const char *shows, const struct tls_tlsa *r, size_t n, enum tls_dane *ret_leaf)
{
	struct rawtls t;
	rawtls_open(&t, true, TLS1_3_VERSION, shows, (struct conn_tls){.ctx = ctx});
	rawtls_shake(&t);
	assert_int_equal(t.ours.secured, 1);
	enum tls_dane d = conn_dane(t.ours.c, r, n);
	if (ret_leaf)
		*ret_leaf = tls_peer_dane(t.ours.peer, r, n);
	rawtls_close(&t);
	return d;
}

static enum tls_dane one(const char *shows, struct tls_tlsa r)
{
	return judge(shows, &r, 1, NULL);
}

static void test_ee(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2; s++)
		for (unsigned m = 0; m < 3; m++) {
			assert_int_equal(one("leaf", tlsa(3, s, m, leaf.cert)), TLS_DANE_EE);
			assert_int_equal(one("leaf", tlsa(3, s, m, other.cert)), TLS_DANE_MISMATCH);
			assert_int_equal(one("leaf", tlsa(3, s, m, between.cert)), TLS_DANE_MISMATCH);
			assert_int_equal(one("leaf", tlsa(1, s, m, leaf.cert)), TLS_DANE_MISMATCH); /* no authority that we trust */
		}
	assert_int_equal(one("expired", tlsa(3, 1, 1, expired.cert)), TLS_DANE_EE); /* dates do not matter: RFC 7671 5.1 */
}

static void test_ta(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2; s++)
		for (unsigned m = 0; m < 3; m++) {
			assert_int_equal(one("leaf", tlsa(2, s, m, between.cert)), TLS_DANE_TA);
			assert_int_equal(one("bare", tlsa(2, s, m, between.cert)), !s && !m ? TLS_DANE_TA : TLS_DANE_MISMATCH);
			assert_int_equal(one("leaf", tlsa(2, s, m, other.cert)), TLS_DANE_MISMATCH);
			assert_int_equal(one("leaf", tlsa(0, s, m, between.cert)), TLS_DANE_MISMATCH);
		}
	assert_int_equal(one("expired", tlsa(2, 1, 1, between.cert)), TLS_DANE_MISMATCH); /* here dates matter */
	assert_int_equal(one("leaf", tlsa(2, 0, 0, ca.cert)), TLS_DANE_TA); /* the record brings what the peer does not show */
}

static X509 *read_cert(const char *name)
{
	FILE *f = fopen(pki_path(name), "r");
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

static void test_pkix(void **state)
{
	(void)state;
	X509 *known = read_cert("known.pem"), *trust = read_cert("ca.pem");
	assert_int_equal(one("known", tlsa(1, 1, 1, known)), TLS_DANE_PKIX);
	assert_int_equal(one("known", tlsa(0, 1, 1, trust)), TLS_DANE_PKIX);
	assert_int_equal(one("known", tlsa(0, 0, 2, trust)), TLS_DANE_PKIX);
	assert_int_equal(one("known", tlsa(1, 1, 1, other.cert)), TLS_DANE_MISMATCH);
	assert_int_equal(one("known", tlsa(0, 1, 1, ca.cert)), TLS_DANE_MISMATCH);
	X509_free(known);
	X509_free(trust);
}

static void test_several(void **state)
{
	(void)state;
	enum tls_dane alone;
	struct tls_tlsa bad = tlsa(3, 1, 1, other.cert), good = tlsa(3, 1, 1, leaf.cert), ta = tlsa(2, 0, 1, between.cert);
	assert_int_equal(judge("leaf", (struct tls_tlsa[]){bad, good}, 2, &alone), TLS_DANE_EE); /* roll-over */
	assert_int_equal(alone, TLS_DANE_EE);
	assert_int_equal(judge("leaf", (struct tls_tlsa[]){ta, good}, 2, NULL), TLS_DANE_EE);
	assert_int_equal(judge("leaf", (struct tls_tlsa[]){bad, ta}, 2, &alone), TLS_DANE_TA);
	assert_int_equal(alone, TLS_DANE_MISMATCH); /* by the leaf alone an authority cannot be seen */
	assert_int_equal(judge("leaf", NULL, 0, NULL), TLS_DANE_NONE);
}

/* What nobody can use does not count; what is usable and empty-handed is a mismatch. */
static void test_unusable(void **state)
{
	(void)state;
	struct tls_tlsa r = tlsa(3, 1, 1, leaf.cert);
	r.usage = 4;
	assert_int_equal(one("leaf", r), TLS_DANE_NONE);
	r = tlsa(3, 1, 1, leaf.cert);
	r.selector = 2;
	assert_int_equal(one("leaf", r), TLS_DANE_NONE);
	r = tlsa(3, 1, 1, leaf.cert);
	r.matching = 3;
	assert_int_equal(one("leaf", r), TLS_DANE_NONE);
	r = tlsa(3, 1, 1, leaf.cert);
	r.data.len--;
	assert_int_equal(one("leaf", r), TLS_DANE_NONE);
	r.data.len = 0;
	assert_int_equal(one("leaf", r), TLS_DANE_NONE);
	r = (struct tls_tlsa){2, 0, 0, S("not a certificate")};
	assert_int_equal(one("leaf", r), TLS_DANE_MISMATCH);
	struct tls_tlsa both[] = {{255, 0, 0, S("x")}, tlsa(3, 1, 1, leaf.cert)};
	assert_int_equal(judge("leaf", both, 2, NULL), TLS_DANE_EE);
}

/* A partner that connects to us: with a certificate, and with none. */
static void test_inbound(void **state)
{
	(void)state;
	struct tls_tlsa good = tlsa(3, 1, 1, leaf.cert);
	struct rawtls t;
	rawtls_open(&t, false, TLS1_2_VERSION, "leaf", (struct conn_tls){.ctx = ctx});
	rawtls_shake(&t);
	assert_int_equal(tls_peer_dane(t.ours.peer, &good, 1), TLS_DANE_EE);
	rawtls_close(&t);
	rawtls_open(&t, false, TLS1_3_VERSION, NULL, (struct conn_tls){.ctx = ctx});
	rawtls_shake(&t);
	assert_int_equal(tls_peer_dane(t.ours.peer, &good, 1), TLS_DANE_MISMATCH);
	assert_int_equal(conn_dane(t.ours.c, &good, 1), TLS_DANE_MISMATCH);
	rawtls_close(&t);
	assert_string_equal(tls_dane_text(TLS_DANE_EE), "dane-ee");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_ee), cmocka_unit_test(test_ta), cmocka_unit_test(test_pkix),
					   cmocka_unit_test(test_several), cmocka_unit_test(test_unusable), cmocka_unit_test(test_inbound)};
	return cmocka_run_group_tests_name("tls-dane", tests, setup, teardown);
}
