/* SPDX-License-Identifier: Apache-2.0 */
/* A revocation list as somebody on the way may make it, and, signed anew by an authority of our own, as an authority may: nothing that is in it
 * may do harm, and what was not signed never counts. */
#include <openssl/x509.h>
#include "net/crl.h"

static EVP_PKEY *key;
static X509_NAME *name;
static struct tls_issued of;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static unsigned char *der[2];
	(void)argc, (void)argv;
	key = EVP_EC_gen("P-256");
	name = X509_NAME_new();
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1, -1, 0);
	int n = i2d_X509_NAME(name, &der[0]), k = i2d_PUBKEY(key, &der[1]);
	of = (struct tls_issued){.serial = S("\x12\x34"), .issuer = slice_of((char *)der[0], (size_t)n), .key = slice_of((char *)der[1], (size_t)k),
				 .may_sign = true};
	return 0;
}

static void look(struct slice octets, bool may_count)
{
	struct crl *c = NULL;
	struct entente_err err;
	if (crl_parse(&c, octets, &of, S("http://a.test/x.crl"), &err))
		return;
	if (!may_count)
		__builtin_trap();
	for (int ca = 0; ca < 2; ca++) {
		of.ca = ca;
		crl_find(c, &of, NULL);
	}
	crl_fresh(c, 1800000000);
	crl_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *p = data;
	unsigned char *der = NULL;
	look(slice_of((const char *)data, size), false);
	X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)size);
	if (x && X509_CRL_set_issuer_name(x, name) && X509_CRL_sign(x, key, EVP_sha256())) {
		int n = i2d_X509_CRL(x, &der);
		if (n > 0)
			look(slice_of((char *)der, (size_t)n), true);
		OPENSSL_free(der);
	}
	X509_CRL_free(x);
	return 0;
}
