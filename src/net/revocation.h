/* SPDX-License-Identifier: Apache-2.0 */
/* Has an authority taken a partner's certificate back? Lists are fetched from the distribution points that the certificates name (http
 * only, see net/fetch.h), kept until their next update, shared by all workers; nobody waits in a call. A state that is PENDING becomes
 * another one within the time limit of a fetch, and everybody who watches is told whenever a state may have changed: then ask again
 * for each connection that is open.
 *
 * Looked at: every certificate of the verified chain below its anchor. One of several distribution points is enough. A certificate that
 * names none over http has nothing to be looked at (NONE). What UNKNOWN means is the caller's policy. What a list has revoked stays REVOKED
 * when the list is too old and no newer one can be had.
 *
 * Any thread, except where said. Bounds: REVOCATION_LISTS lists and as many octets of them as the settings say (the longest unused go
 * first), REVOCATION_CHAINS chains, REVOCATION_FETCHES at a time. */
#pragma once
#include "net/conn.h"
#include "net/dns.h"
#include "net/worker.h"

struct revocation;
struct revocation_chain; /* what is known of one chain of certificates; counted references */

enum { REVOCATION_LISTS = 1000, REVOCATION_CHAINS = 2048, REVOCATION_FETCHES = 4 };

struct revocation_settings {
	bool off;                /* then everything is NONE */
	uint32_t timeout_ms;     /* of one fetch; 0: 10 s */
	size_t list_max;         /* octets of one list as fetched; 0: 10 MiB */
	size_t memory_max;       /* of all lists, as kept; 0: 64 MiB */
	bool private_ok;         /* lists may be at private addresses */
};

/* `home` (the control worker) fetches; its thread makes, changes and frees it. `dns` is borrowed. */
struct revocation *revocation_new(struct worker *home, struct dns *dns, const struct revocation_settings *s);
/* Also has every list that is in use fetched anew; those that are there count meanwhile. */
void revocation_set(struct revocation *r, const struct revocation_settings *s);
/* On home's thread; before dns_free. Accepts NULL; returns NULL. Chains must be given back before. */
struct revocation *revocation_free(struct revocation *r);

enum revocation_state {
	REVOCATION_NONE,    /* switched off, or no list is named */
	REVOCATION_GOOD,    /* on no list */
	REVOCATION_PENDING, /* a list is being fetched */
	REVOCATION_UNKNOWN, /* a list could not be had, or is too old */
	REVOCATION_REVOKED,
};
const char *revocation_state_name(enum revocation_state s); /* "none" "good" "pending" "unknown" "revoked" */

/* The chain that a secured connection's peer has shown and that was verified; a reference for the caller. NULL: there is none, or the
 * session was resumed and its chain is not remembered any more. On the connection's thread. */
struct revocation_chain *revocation_chain_of(struct revocation *r, const struct conn *c);
/* Accepts NULL; returns NULL. */
struct revocation_chain *revocation_chain_unref(struct revocation *r, struct revocation_chain *k);
/* Fetches what is missing, by itself. `why` (may be NULL) gets one line for REVOKED and UNKNOWN. A NULL chain is UNKNOWN (NONE when off). */
enum revocation_state revocation_check(struct revocation *r, struct revocation_chain *k, char *why, size_t size);

/* `news` runs on `self`'s thread, now and then, some time after a state may have changed. */
struct revocation_watch;
struct revocation_watch *revocation_watch(struct revocation *r, struct worker *self, void (*news)(void *arg), void *arg);
/* On self's thread: no news any more. Accepts NULL; returns NULL. */
struct revocation_watch *revocation_unwatch(struct revocation_watch *w);

struct revocation_facts { /* one list; valid during the call */
	struct slice url, issuer;
	const char *state;     /* "fetching" "kept" "stale" "failed" */
	struct slice why;      /* of the last failure, or empty */
	int64_t this_update, next_update; /* 0: no list */
	size_t revoked, octets;
	uint64_t fetches, failures;
};
void revocation_each(struct revocation *r, void (*fn)(void *arg, const struct revocation_facts *f), void *arg);
