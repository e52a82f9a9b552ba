/* SPDX-License-Identifier: Apache-2.0 */
/* Who may use the API over the network: the accounts and tokens of the store, kept in memory, and the sessions of those who logged in (in memory
 * alone: a restart ends them). Control thread. */
#pragma once
#include "admin/password.h"
#include "admin/role.h"
#include "store/store_identity.h"

enum {
	IDENTITY_SESSION_S = 3600,    /* a session lives that long */
	IDENTITY_SESSIONS_MAX = 256,  /* in all; the oldest goes */
	IDENTITY_SESSIONS_EACH = 16,  /* of one account; the oldest goes */
	IDENTITY_WHO = 80,
	IDENTITY_SECRET = 64,         /* room for a token, with its NUL */
};

struct identity {
	char who[IDENTITY_WHO]; /* "root" (by the socket), "token/panel", "account/alice" */
	unsigned roles;         /* ADMIN_ROLE_...; 0: none */
	const char *how;        /* "socket" "token" "session" */
	char secret[ADMIN_SECRET_HASH]; /* the hash of what proved it; empty: the kernel did */
};

struct identities;
/* store may be NULL (an edge): there is nobody then. */
struct identities *identities_new(struct store *store);
/* Accepts NULL; returns NULL. */
struct identities *identities_free(struct identities *t);
/* Reads the store anew; what cannot be read leaves nobody. Sessions of accounts that are gone, disabled or have another password end. */
int identities_reload(struct identities *t, struct entente_err *err);

/* Whose secret is this? False: nobody's, or no longer. now: seconds since 1970. */
bool identities_find(struct identities *t, struct slice secret, int64_t now, struct identity *ret);
/* Is somebody still who identities_find said, with the same roles? Of the unix socket: yes. */
bool identities_still(struct identities *t, const struct identity *who, int64_t now);
/* The hash of an account's password; of nobody's, or a disabled one's, a hash that no password fits but that takes as long. */
const char *identities_hash(struct identities *t, struct slice account);
/* A session of the account, whose password was right: `ret` gets its secret. False: the account is gone meanwhile, or disabled, or `hash` (that was
 * verified against) is no longer its. */
bool identities_begin(struct identities *t, struct slice account, const char *hash, int64_t now, char ret[IDENTITY_SECRET], struct identity *who);
/* Ends a session; harmless for other secrets. */
void identities_end(struct identities *t, struct slice secret);
