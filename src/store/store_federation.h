/* SPDX-License-Identifier: Apache-2.0 */
/* SIP federation in the store: the Access Edge configuration, allowed domains, providers; each a kind, a key and its parameters as
 * "name=value" lines (policy/federation.h reads and writes them). Blocked domains are store.h's. Threads and completions as in
 * store.h. That an object may stand beside the others is the caller's to check (the snapshot builder does): changes come from the
 * control thread alone, one after the other. */
#pragma once
#include "store/store.h"

enum store_federation {
	STORE_ACCESS_EDGE, /* one, its key is empty */
	STORE_ALLOWED_DOMAIN, STORE_HOSTING_PROVIDER, STORE_PUBLIC_PROVIDER,
	STORE_FEDERATION_COUNT
};
const char *store_federation_name(enum store_federation kind); /* "access-edge" "allowed-domain" ... */

/* Adds or replaces. `what`: what changed, for the history ("add proxy-fqdn=..."). */
int store_federation_put(struct store *s, enum store_federation kind, struct slice key, struct slice fields, struct slice who, struct slice what,
			 store_done *done, void *arg);
/* Completion code ENTENTE_ENOTFOUND. */
int store_federation_remove(struct store *s, enum store_federation kind, struct slice key, struct slice who, store_done *done, void *arg);
/* Sorted: the Access Edge configuration first, then by kind and key. As the other load functions. */
int store_load_federation(struct store *s, int (*each)(void *arg, enum store_federation kind, struct slice key, struct slice fields), void *arg,
			  struct entente_err *err);
