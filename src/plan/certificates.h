/* SPDX-License-Identifier: Apache-2.0 */
/* Our own certificates: are the files usable, and what will partners say to them? Reads the files that the configuration names;
 * changes nothing. Any thread. */
#pragma once
#include "config/config.h"
#include "net/tls.h"

/* The slots as the configuration names them; slices of `c`, valid as long as it. False: no certificate is configured. */
bool plan_tls_settings(struct tls_settings *ret, const struct config *c);

/* What a certificate is for, and which settings name its files. */
enum plan_slot {
	PLAN_SLOT_SERVER,   /* shown to those who connect to us: tls.certificate, tls.key */
	PLAN_SLOT_CLIENT,   /* shown to partners that we connect to: tls.client-certificate, tls.client-key; default: server */
	PLAN_SLOT_INTERNAL, /* between edge and gateway: link.certificate, link.key; default: server */
	PLAN_SLOT_COUNT
};
#define PLAN_SLOT_NAMES "server|client|internal"
const char *plan_slot_name(enum plan_slot s);
bool plan_slot_parse(enum plan_slot *ret, struct slice name);
struct plan_slot_files {
	const char *certificate_setting, *key_setting; /* "tls.certificate", "tls.key" */
	const char *certificate, *key;                 /* paths, of the configuration; empty: not set */
};
struct plan_slot_files plan_slot_files(const struct config *c, enum plan_slot s);
/* Is the name among the certificate's, as partners compare (exactly, or by a wildcard for one label)? */
bool plan_name_covered(const struct tls_peer *certificate, struct slice name);
/* As plan_certificates, for a pair of files that is not in the slot yet. */
void plan_slot_check(const struct config *c, enum plan_slot s, const char *certificate, const char *key, struct config_errors *errs);

/* Adds to *errs what is wrong: an error where the daemon would not start with the files (unreadable, not PEM, key of another
 * certificate), else a warning (expired or soon, not yet valid, for another purpose, domains of ours that it does not cover, a
 * chain that does not lead to an authority, names that partners stumble over). Each text says what to do. */
void plan_certificates(const struct config *c, struct config_errors *errs);

/* How near a certificate's end is, in parts of its lifetime: a fixed number of days is too many for one of 45 days and too few for
 * none. */
enum plan_expiry {
	PLAN_EXPIRY_FINE,
	PLAN_EXPIRY_RENEW,    /* less than a third is left: the time to renew, nothing to warn of */
	PLAN_EXPIRY_SOON,     /* less than a quarter: a renewal did not work, or nobody thought of it */
	PLAN_EXPIRY_CRITICAL, /* less than an eighth */
	PLAN_EXPIRY_URGENT,   /* less than a twelfth */
	PLAN_EXPIRY_OVER,
	PLAN_EXPIRY_COUNT
};
/* Seconds since 1970; not_after 0: unreadable, and fine. Pure. */
enum plan_expiry plan_expiry(int64_t not_before, int64_t not_after, int64_t now);
const char *plan_expiry_text(enum plan_expiry e); /* "fine" "renew" "soon" "critical" "urgent" "expired" */
/* How much of the lifetime is left, 1 to 0. */
double plan_remaining(int64_t not_before, int64_t not_after, int64_t now);
/* The first second at which plan_expiry says something else than now; INT64_MAX: it never will. */
int64_t plan_expiry_next(int64_t not_before, int64_t not_after, int64_t now);
