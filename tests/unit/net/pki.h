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
	long from_s, to_s; /* validity, seconds from now; both 0: an hour ago to a day ahead */
	int ca, rsa;
};

struct pki pki_make(const struct pki_spec *s, const struct pki *issuer); /* NULL: self-signed */
void pki_free(struct pki *p);
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
