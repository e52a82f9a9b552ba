/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, for tests. Failures abort the test program. */
#pragma once
#include <openssl/x509v3.h>
#include "net/tls.h"

struct pki {
	X509 *cert;
	EVP_PKEY *key;
};

struct pki_spec {
	const char *cn;   /* NULL: an empty subject */
	const char *san;  /* OpenSSL configuration syntax, e.g. "DNS:a.test,URI:sip:a.test"; NULL: no extension */
	GENERAL_NAMES *names; /* instead of san; not taken over */
	const char *eku;  /* "serverAuth,clientAuth"; NULL: no extension */
	const char *ku;   /* "critical,keyCertSign"; NULL: no extension */
	const char *crl;  /* distribution points, "URI:http://a.test/x.crl"; NULL: no extension */
	long from_s, to_s; /* validity, seconds from now; both 0: an hour ago to a day ahead */
	int ca, rsa;
};

struct pki pki_make(const struct pki_spec *s, const struct pki *issuer); /* NULL: self-signed */
void pki_free(struct pki *p);

struct pki_list {
	long from_s, to_s;       /* seconds from now; both 0: an hour ago to an hour ahead; to_s LONG_MIN: no next update */
	const struct pki *gone[4]; /* certificates that are on it */
	int removed;             /* they are on it only to say that they are on hold no more */
	const char *idp, *delta, *entry_critical, *critical; /* extensions: value of issuingDistributionPoint; other ones that are just there */
	int pem;
};
/* A revocation list; *ret_len octets for the caller to free. */
unsigned char *pki_list(const struct pki_list *s, const struct pki *issuer, size_t *ret_len);
/* A fresh directory under the temporary one; pki_path joins into a static ring of buffers. */
void pki_dir_make(void);
void pki_dir_remove(void);
const char *pki_path(const char *name);
/* name.pem (leaf, then chain) and name.key */
void pki_write(const char *name, const struct pki *p, const struct pki *chain);
/* Made, written and forgotten. */
void pki_issue(const char *name, const struct pki_spec *s, const struct pki *issuer, const struct pki *chain);
/* What trusts ca.pem and shows NAME.pem (NULL: nothing). `more`: other settings, or NULL. */
struct tls_ctx *pki_context(const char *name, const struct tls_settings *more);
