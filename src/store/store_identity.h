/* SPDX-License-Identifier: Apache-2.0 */
/* Who may administer by the HTTP API: accounts (a name and the hash of a password) and tokens (a name and the hash of a secret). Neither
 * a password nor a secret ever gets here. They are no policy: no generation, nothing in the history; the caller says in the audit log
 * what was changed. Threads and completions as in store.h. */
#pragma once
#include "store/store.h"

enum { STORE_ACCOUNTS_MAX = 1000, STORE_TOKENS_MAX = 1000 }; /* kept by the caller */

struct store_account {
	struct slice name; /* key */
	struct slice role; /* "viewer" ... */
	struct slice hash; /* as crypto_pwhash_str of libsodium gives it */
	bool enabled;
	int64_t made_at, changed_at; /* seconds since 1970; made_at is not written */
};
/* Adds or replaces; made_at of an existing one stays. */
int store_account_put(struct store *s, const struct store_account *a, store_done *done, void *arg);
/* Deleting what is not there succeeds. */
int store_account_delete(struct store *s, struct slice name, store_done *done, void *arg);
int store_load_accounts(struct store *s, int (*each)(void *arg, const struct store_account *a), void *arg, struct entente_err *err);

struct store_token {
	struct slice name; /* key */
	struct slice role;
	struct slice hash;  /* of the secret, in hex */
	int64_t expires_at; /* seconds since 1970; 0: never */
	int64_t made_at;
};
int store_token_put(struct store *s, const struct store_token *t, store_done *done, void *arg); /* replaces */
int store_token_delete(struct store *s, struct slice name, store_done *done, void *arg);
int store_load_tokens(struct store *s, int (*each)(void *arg, const struct store_token *t), void *arg, struct entente_err *err);
