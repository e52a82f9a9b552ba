/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate that each partner showed last: what an administrator compares when a key has changed, and where pins come from.
 * Kept for as many domains as are partners, in memory only. Any thread. */
#pragma once
#include "base/slice.h"
#include "net/tls.h"

struct xmpp_seen;
struct xmpp_seen *xmpp_seen_new(void);
/* Accepts NULL; returns NULL. */
struct xmpp_seen *xmpp_seen_free(struct xmpp_seen *x);

struct xmpp_sighting {
	unsigned char spki_sha256[32], sha256[32];
	char subject[256], issuer[256], proof[16]; /* proof: xmpp_proof_text; empty: it proved nothing */
	char protocol[16];
	int64_t at, not_before, not_after; /* seconds since 1970 */
	bool inbound, believed;  /* believed: its chain is good */
};

/* Remembers. True when the partner had another key before; *ret_before is then that sighting (may be NULL). Domain in
 * A-labels. */
bool xmpp_seen_put(struct xmpp_seen *x, struct slice domain, const struct tls_peer *t, bool inbound, const char *proof,
		   struct xmpp_sighting *ret_before);
bool xmpp_seen_get(struct xmpp_seen *x, struct slice domain, struct xmpp_sighting *ret);
/* Calls fn for each, in no order, under the lock: it must be short. False from it ends it. */
void xmpp_seen_each(struct xmpp_seen *x, bool (*fn)(void *arg, struct slice domain, const struct xmpp_sighting *s), void *arg);
/* Has the partner proven itself inside TLS before? */
bool xmpp_seen_tls(struct xmpp_seen *x, struct slice domain);
