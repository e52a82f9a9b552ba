/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates that SIP partners' servers have shown lately, accepted and rejected ones, within Lync's bounds: when a store is full, the
 * given share of it goes, the longest unseen first. For people only (`entente show sip certificates`): no decision rests on it. Shared
 * by all workers; any thread, each call takes a lock for a moment. */
#pragma once
#include "net/tls.h"

struct access_certs;

struct access_certs_bounds {
	uint32_t accepted, rejected; /* entries */
	uint32_t evict_percent;      /* 1 to 100 */
};

struct access_certs *access_certs_new(void);
/* Accepts NULL; returns NULL. */
struct access_certs *access_certs_free(struct access_certs *s);

/* A certificate was shown. `why`: empty when it was accepted. An accepted one that is rejected later changes sides, and back. `address`: of
 * the connection; `state`: of its revocation. */
void access_certs_seen(struct access_certs *s, const struct access_certs_bounds *b, const struct tls_peer *cert, bool inbound, struct slice address,
		       const char *state, struct slice why, int64_t now);
/* ... and has proven this domain. The last ones are kept. */
void access_certs_proved(struct access_certs *s, const struct tls_peer *cert, struct slice domain);

struct access_cert_facts { /* valid during the call */
	bool accepted, inbound;
	struct slice subject, issuer, serial, address, domains /* separated by spaces */, why;
	char sha256[65];
	const char *revocation;
	int64_t not_before, not_after, first, last; /* seconds since 1970 */
	uint64_t connections;
};
/* The last seen first, accepted ones before rejected ones. */
void access_certs_each(struct access_certs *s, void (*fn)(void *arg, const struct access_cert_facts *f), void *arg);
