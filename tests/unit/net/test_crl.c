/* SPDX-License-Identifier: Apache-2.0 */
/* Which revocation lists count, and what they say: a table of good and bad ones. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/crl.h"
#include "pki.h"

static struct pki ca, twin, other, leaf, spare, sub;
static const char here[] = "http://crl.test/a.crl";

static int setup(void **state)
{
	(void)state;
	ca = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1, .ku = "critical,keyCertSign,cRLSign"}, NULL);
	twin = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1, .ku = "critical,keyCertSign,cRLSign"}, NULL); /* same name, other key */
	other = pki_make(&(struct pki_spec){.cn = "Other", .ca = 1}, NULL);
	leaf = pki_make(&(struct pki_spec){.cn = "leaf", .san = "DNS:a.test"}, &ca);
	spare = pki_make(&(struct pki_spec){.cn = "spare", .san = "DNS:b.test"}, &ca);
	sub = pki_make(&(struct pki_spec){.cn = "sub", .ca = 1}, &ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_free(&ca), pki_free(&twin), pki_free(&other), pki_free(&leaf), pki_free(&spare), pki_free(&sub);
	return 0;
}

/* The facts of a certificate below `by`, as conn_path gives them. */
static struct tls_issued issued(const struct pki *p, const struct pki *by, bool may_sign)
{
	static unsigned char store[4][8192];
	static unsigned at;
	unsigned char *o = store[at++ % 4], *name = o;
	int n = i2d_X509_NAME(X509_get_subject_name(by->cert), &o);
	unsigned char *key = o;
	int k = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(by->cert), &o);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(p->cert);
	return (struct tls_issued){.serial = slice_of((const char *)ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)),
				   .ca = X509_check_ca(p->cert) != 0, .issuer = slice_of((char *)name, (size_t)n),
				   .key = slice_of((char *)key, (size_t)k), .may_sign = may_sign};
}

static int parse(struct crl **ret, const struct pki_list *s, const struct pki *signer, const struct tls_issued *of, const char *url,
		 struct entente_err *err)
{
	size_t len;
	unsigned char *der = pki_list(s, signer, &len);
	*err = (struct entente_err){0};
	int rc = crl_parse(ret, slice_of((char *)der, len), of, slice_str(url), err);
	OPENSSL_free(der);
	return rc;
}

static void test_says(void **state)
{
	struct tls_issued l = issued(&leaf, &ca, true), s = issued(&spare, &ca, true), d = issued(&sub, &ca, true);
	struct entente_err err;
	struct crl *c = NULL;
	int64_t when = 0;
	(void)state;
	for (int pem = 0; pem < 2; pem++) {
		assert_int_equal(parse(&c, &(struct pki_list){.gone = {&leaf, &sub}, .pem = pem}, &ca, &l, here, &err), 0);
		assert_int_equal(crl_find(c, &l, &when), CRL_REVOKED);
		assert_true(clock_unix() - when > 500 && clock_unix() - when < 700);
		assert_int_equal(crl_find(c, &d, NULL), CRL_REVOKED);
		assert_int_equal(crl_find(c, &s, NULL), CRL_GOOD);
		assert_int_equal(crl_count(c), 2);
		assert_true(crl_fresh(c, clock_unix()) && !crl_fresh(c, clock_unix() + 3601) && !crl_fresh(c, clock_unix() - 7200));
		c = crl_free(c);
	}
	char padded[32] = {0}; /* a serial is a number: zeros in front do not matter */
	memcpy(padded + 3, l.serial.p, l.serial.len);
	assert_int_equal(parse(&c, &(struct pki_list){.gone = {&leaf}}, &ca, &l, here, &err), 0);
	l.serial = slice_of(padded, l.serial.len + 3);
	assert_int_equal(crl_find(c, &l, NULL), CRL_REVOKED);
	c = crl_free(c);
	assert_int_equal(parse(&c, &(struct pki_list){.gone = {&leaf}, .removed = 1}, &ca, &s, here, &err), 0);
	assert_int_equal(crl_find(c, &l, NULL), CRL_GOOD);
	c = crl_free(c);
	assert_int_equal(parse(&c, &(struct pki_list){.from_s = -100, .to_s = LONG_MIN}, &ca, &s, here, &err), 0);
	assert_false(crl_fresh(c, clock_unix())); /* without a next update it is never known to be the last one */
	crl_free(c);
}

static void test_scope(void **state)
{
	struct tls_issued l = issued(&leaf, &ca, true), d = issued(&sub, &ca, true);
	static const struct {
		const char *idp;
		int of_leaf, of_sub; /* -1: the list does not count */
	} rows[] = {
		{"critical,fullname:URI:http://crl.test/a.crl", CRL_REVOKED, CRL_REVOKED},
		{"critical,fullname:URI:http://crl.test/b.crl", -1, -1},
		{"critical,onlyuser:TRUE", CRL_REVOKED, CRL_ELSEWHERE},
		{"critical,onlyCA:TRUE", CRL_ELSEWHERE, CRL_REVOKED},
		{"critical,onlyAA:TRUE", -1, -1},
		{"critical,indirectCRL:TRUE", -1, -1},
		{"critical,onlysomereasons:keyCompromise", -1, -1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct entente_err err;
		struct crl *c = NULL;
		int rc = parse(&c, &(struct pki_list){.gone = {&leaf, &sub}, .idp = rows[i].idp}, &ca, &l, here, &err);
		if (rows[i].of_leaf < 0) {
			assert_int_equal(rc, ENTENTE_ETLS);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(crl_find(c, &l, NULL), rows[i].of_leaf);
		assert_int_equal(crl_find(c, &d, NULL), rows[i].of_sub);
		crl_free(c);
	}
}

static void test_refused(void **state)
{
	struct tls_issued l = issued(&leaf, &ca, true), weak = issued(&leaf, &ca, false);
	const struct {
		struct pki_list s;
		const struct pki *signer;
		const struct tls_issued *of;
		const char *why;
	} rows[] = {
		{{0}, &other, &l, "another authority"},
		{{0}, &twin, &l, "signature"},
		{{0}, &ca, &weak, "may not sign"},
		{{.delta = "x"}, &ca, &l, "delta"},
		{{.critical = "x"}, &ca, &l, "critical"},
		{{.gone = {&spare}, .entry_critical = "x"}, &ca, &l, "entry"},
	};
	struct entente_err err;
	struct crl *c = NULL;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(parse(&c, &rows[i].s, rows[i].signer, rows[i].of, here, &err), ENTENTE_ETLS);
		if (!strstr(err.text, rows[i].why))
			fail_msg("row %zu: %s", i, err.text);
	}
}

static void test_garbage(void **state)
{
	struct tls_issued l = issued(&leaf, &ca, true);
	struct entente_err err;
	struct crl *c = NULL;
	size_t len;
	unsigned char *der = pki_list(&(struct pki_list){.gone = {&leaf}}, &ca, &len), *more = OPENSSL_malloc(len + 1);
	(void)state;
	memcpy(more, der, len);
	more[len] = 0;
	assert_int_equal(crl_parse(&c, slice_of((char *)more, len + 1), &l, slice_str(here), &err), ENTENTE_ESYNTAX);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(crl_parse(&c, slice_of((char *)der, n), &l, slice_str(here), &err), ENTENTE_ESYNTAX);
	assert_int_equal(crl_parse(&c, S("<html>not found</html>"), &l, slice_str(here), &err), ENTENTE_ESYNTAX);
	for (size_t i = 0; i < len; i++) { /* no octet can be changed */
		der[i] ^= 0x11;
		int rc = crl_parse(&c, slice_of((char *)der, len), &l, slice_str(here), &err);
		if (!rc)
			fail_msg("octet %zu of %zu can be changed", i, len);
		der[i] ^= 0x11;
	}
	OPENSSL_free(der);
	OPENSSL_free(more);
}

/* An encrypted block asks nobody for a pass phrase: not the terminal, and not standard input, where OpenSSL turns without one. */
static void test_asks_nobody(void **state)
{
	struct tls_issued l = issued(&leaf, &ca, true);
	struct entente_err err;
	struct crl *c = NULL;
	int end[2], waiting = 0, was = dup(STDIN_FILENO);
	(void)state;
	assert_int_equal(pipe(end), 0);
	assert_int_equal(write(end[1], "secret\n", 7), 7);
	assert_int_equal(dup2(end[0], STDIN_FILENO), STDIN_FILENO);
	int rc = crl_parse(&c, S("-----BEGIN X509 CRL-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
				 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END X509 CRL-----\n"), &l, slice_str(here), &err);
	assert_int_equal(ioctl(STDIN_FILENO, FIONREAD, &waiting), 0);
	dup2(was, STDIN_FILENO);
	close(was), close(end[0]), close(end[1]);
	assert_int_equal(rc, ENTENTE_ESYNTAX);
	assert_int_equal(waiting, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_says), cmocka_unit_test(test_scope), cmocka_unit_test(test_refused),
					   cmocka_unit_test(test_garbage), cmocka_unit_test(test_asks_nobody)};
	return cmocka_run_group_tests_name("crl", tests, setup, teardown);
}
