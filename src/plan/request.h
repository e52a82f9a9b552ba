/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh private key and the request for its certificate (PKCS#10, RFC 2986), with the names in subjectAltName. Reads and writes no file.
 * Any thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum plan_key { PLAN_KEY_RSA_2048, PLAN_KEY_RSA_3072, PLAN_KEY_RSA_4096, PLAN_KEY_P256, PLAN_KEY_P384, PLAN_KEY_COUNT };
#define PLAN_KEY_NAMES "rsa-2048|rsa-3072|rsa-4096|p-256|p-384"
const char *plan_key_name(enum plan_key k);
bool plan_key_parse(enum plan_key *ret, struct slice name);

enum { PLAN_REQUEST_NAMES = 1024 };
struct plan_request {
	enum plan_key key;
	struct slice subject; /* common name; left out when it is longer than the 64 characters that RFC 5280 allows (A.1, ub-common-name) */
	const struct slice *names; size_t n_names; /* dNSName each, in A-labels; at least one, at most PLAN_REQUEST_NAMES */
	bool server, client;  /* extended key usages that are asked for */
	struct slice old_key; /* PEM; not empty: this key instead of a fresh one */
};

/* Appends the key (PKCS#8, PEM, no passphrase) and the request (PEM). Wipe `key` after use: give a buffer with room for
 * PLAN_KEY_PEM_MAX octets, so that no copies stay behind. ENTENTE_EINVAL: no name, too many, one that is none; ENTENTE_ETLS: the library
 * failed, or old_key is no key. */
enum { PLAN_KEY_PEM_MAX = 8192 };
int plan_request_make(struct buf *key, struct buf *csr, const struct plan_request *r, struct entente_err *err);
