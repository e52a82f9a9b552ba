/* SPDX-License-Identifier: Apache-2.0 */
/* Our own certificates: are the files usable, and what will partners say to them? Reads the files that the configuration names;
 * changes nothing. Any thread. */
#pragma once
#include "config/config.h"
#include "net/tls.h"

/* The slots as the configuration names them; slices of `c`, valid as long as it. False: no certificate is configured. */
bool plan_tls_settings(struct tls_settings *ret, const struct config *c);

/* Adds to *errs what is wrong: an error where the daemon would not start with the files (unreadable, not PEM, key of another
 * certificate), else a warning (expired or soon, not yet valid, for another purpose, domains of ours that it does not cover, a
 * chain that does not lead to an authority, names that partners stumble over). Each text says what to do. */
void plan_certificates(const struct config *c, struct config_errors *errs);

/* How near a certificate's end is, in parts of its lifetime: a fixed number of days is too many for one of 45 days and too few for
 * none. */
enum plan_expiry { PLAN_EXPIRY_FINE, PLAN_EXPIRY_SOON /* less than a quarter is left */, PLAN_EXPIRY_OVER };
enum plan_expiry plan_expiry(int64_t not_before, int64_t not_after, int64_t now);
