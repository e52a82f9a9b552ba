/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate authority, or an administrator of Windows, sends back: certificates and keys in any of the usual forms, in any order. Finds
 * the leaf that a key belongs to and puts its chain in order. Reads and writes no file. One thread at a time. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "net/tls.h"

struct plan_bundle;
enum { PLAN_BUNDLE_FILE_MAX = 1 << 20, PLAN_BUNDLE_MAX = 64 /* certificates; and keys */ };

struct plan_bundle *plan_bundle_new(void);
/* Accepts NULL; returns NULL. Keys are wiped. */
struct plan_bundle *plan_bundle_free(struct plan_bundle *b);

/* Adds everything that the octets of a file hold: PEM (certificates, keys, PKCS#7 in any order, text between), DER (certificate, PKCS#7,
 * key), PKCS#12. `name`: of the file, for messages; copied. password.p NULL: none was given. What is there already is not added again.
 * ENTENTE_EAUTH: encrypted; err says whether the password is missing or wrong. ENTENTE_ESYNTAX: nothing of this kind is in it.
 * ENTENTE_ELIMIT: too much of it. */
int plan_bundle_add(struct plan_bundle *b, struct slice octets, const char *name, struct slice password, struct entente_err *err);

/* As above for keys that may be the leaf's, when the bundle brings none: certificates are not taken. A file without a key is no error. */
void plan_bundle_add_key(struct plan_bundle *b, struct slice octets, const char *name, struct slice password);

enum plan_chain_end {
	PLAN_CHAIN_ROOT,    /* the bundle has the self-signed authority above the chain */
	PLAN_CHAIN_TRUSTED, /* not decided here: the issuer of the last certificate is not in the bundle */
	PLAN_CHAIN_SELF,    /* the leaf is self-signed */
};
struct plan_pair {
	struct buf chain;       /* PEM, leaf first, without the self-signed authority above */
	struct buf key;         /* PEM, PKCS#8, no passphrase */
	struct tls_peer *facts; /* of the leaf */
	size_t n_chain;
	enum plan_chain_end end;
	char top[256];          /* who issued the last certificate of the chain (RFC 2253), empty when self-signed */
	char fetch[256];        /* where that issuer's certificate may be had (authority information access); empty: it is not said */
	char key_name[256];     /* the file that the key came from */
	char key_kind[32];      /* "rsa-2048", "p-256", else as the library calls it */
	size_t left_over;       /* certificates of the bundle that are not in the chain */
};
/* The pair in the bundle. ENTENTE_ENOTFOUND: no certificate, or no key fits one (err names what certificates there are); ENTENTE_EEXIST:
 * several leaves have keys. *ret is filled on success only; give it to plan_pair_clear. */
int plan_bundle_pair(struct plan_pair *ret, const struct plan_bundle *b, struct entente_err *err);
void plan_pair_clear(struct plan_pair *p);

/* The facts of the first certificate of a PEM text; false: there is none. */
bool plan_leaf(struct tls_peer **ret, struct slice pem);
/* "rsa-2048", "p-256" ... of the first certificate's key; false: there is none in the text. */
bool plan_key_kind(char ret[32], struct slice pem_certificate);
