/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords of administrators: argon2id (RFC 9106) by libsodium. Hashing takes some 100 ms and 64 MiB on purpose: never on a thread that
 * carries anything else. So the daemon is only ever told the hash: the program `entente` makes it after asking for the password, the
 * HTTP API on a thread of its own. Any thread. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

enum {
	ADMIN_PASSWORD_MIN = 12,   /* characters, NIST SP 800-63B 5.1.1 and more */
	ADMIN_PASSWORD_MAX = 1024, /* octets */
	ADMIN_PASSWORD_HASH = 128, /* with its NUL: crypto_pwhash_STRBYTES */
};

/* Good enough? False: `why` (appended, one line) says what is wanted. name: of the account, which must not be the password. */
bool admin_password_check(struct slice password, struct slice name, struct buf *why);
/* False: there is no memory for it. */
bool admin_password_hash(char ret[ADMIN_PASSWORD_HASH], struct slice password);
/* In constant time for one hash. A hash that is not one fits no password. */
bool admin_password_verify(const char *hash, struct slice password);
/* Is the text an argon2id hash with the costs that we ask for? */
bool admin_password_is_hash(struct slice text);

/* ---- secrets of tokens: random, so that a fast hash does */
enum { ADMIN_SECRET_HASH = 65 }; /* hex, with its NUL */
/* BLAKE2b-256. */
void admin_secret_hash(char ret[ADMIN_SECRET_HASH], struct slice secret);
