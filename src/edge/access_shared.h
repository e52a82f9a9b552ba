/* SPDX-License-Identifier: Apache-2.0 */
/* What all workers' Access Edges share: which local user has which remote one as contact, and what discovered partners have done. Any
 * thread; each call takes a lock for a moment. Users are named "user@domain", compared without case; names are kept as keyed hashes. */
#pragma once
#include <stdint.h>
#include "base/reason.h"
#include "base/slice.h"
#include "edge/access_dialogs.h"
#include "net/tls.h"

struct access_shared;

struct access_shared *access_shared_new(size_t max_contacts);
/* Accepts NULL; returns NULL. */
struct access_shared *access_shared_free(struct access_shared *s);

/* The dialogs that pass; lives as long as s. */
struct access_dialogs *access_shared_dialogs(struct access_shared *s);

/* True when it was not known before (and there is room). */
bool access_contact_learn(struct access_shared *s, struct slice local, struct slice remote);
void access_contact_forget(struct access_shared *s, struct slice local, struct slice remote);
bool access_contact_known(struct access_shared *s, struct slice local, struct slice remote);

/* Callers by certificate (issuer and serial), so that one partner does not take the place of all others: how many connections it has, and
 * how many requests of it are under way. Lives as long as it has any. */
struct access_guest;
/* Another connection; NULL: it has `max` already. */
struct access_guest *access_guest_enter(struct access_shared *s, const struct tls_peer *cert, uint32_t max);
void access_guest_leave(struct access_shared *s, struct access_guest *g);
/* Another request; false: `max` are under way. */
bool access_guest_ask(struct access_shared *s, struct access_guest *g, size_t max);
void access_guest_answered(struct access_shared *s, struct access_guest *g);

/* The watch list: discovered partners, by certificate (RFC 5280: issuer and serial). */
enum { ACCESS_WATCH_MAX = 4096, ACCESS_WATCH_DOMAINS = 8, ACCESS_SUSPECT_AFTER = 20 };

/* May a request of this partner pass now? REASON_LIMIT_RATE: faster than `rate` a second, or than one a second when it is suspicious: when
 * of its last answers, at least ACCESS_SUSPECT_AFTER, more were failures than successes. REASON_LIMIT_CONTACTS: a further local address
 * beyond `max_contacts` (0: no limit); addresses used before still pass. `now`: monotonic ms. *ret_id names the partner for
 * access_watch_outcome. */
enum reason access_watch_admit(struct access_shared *s, const struct tls_peer *cert, struct slice domain, struct slice local, uint64_t now,
			       uint32_t rate, uint32_t max_contacts, uint64_t *ret_id);
/* A final status of one of its requests (0: none came). */
void access_watch_outcome(struct access_shared *s, uint64_t id, int status);

struct access_watch_facts {
	struct slice issuer, serial, subject, domains; /* domains: the first ones, separated by spaces */
	const char *mode;         /* "standard", "suspicious" */
	uint64_t requests, throttled, refused_contacts, succeeded, failed;
	size_t contacts;
	uint64_t idle_ms;
};
/* Tells from a copy: requests do not wait for fn. */
void access_watch_each(struct access_shared *s, uint64_t now, void (*fn)(void *arg, const struct access_watch_facts *f), void *arg);
