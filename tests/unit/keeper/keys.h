/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates of every kind, in files. Failures abort the test program. */
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum kind { RSA_2048, RSA_PSS_2048, P_256, P_384, P_521, ED_25519, ED_448, KINDS };
extern const char *const kind_names[KINDS];

/* A fresh directory; files lie in it. */
void keys_open(void);
void keys_close(void);
const char *keys_path(const char *name); /* a ring of static buffers */
EVP_PKEY *keys_make(enum kind k);
/* `passphrase`: NULL for none. */
void keys_write(const char *name, EVP_PKEY *key, const char *passphrase);
/* Signed by itself. */
X509 *keys_certify(EVP_PKEY *key);
void keys_write_certificate(const char *name, X509 *x);
void keys_write_text(const char *name, const char *text, size_t len);

/* A handshake in memory. Either certificate may be NULL; keys are of the side's own. */
struct hands {
	int version;
	X509 *server, *client;
	EVP_PKEY *server_key, *client_key;
	int done;                /* both sides say so */
	X509 *seen_by_client, *seen_by_server; /* freed by the caller */
};
void keys_shake(struct hands *h);
