/* SPDX-License-Identifier: Apache-2.0 */
/* Federation in the store: the Access Edge configuration, allowed domains, providers, external access policies, users; each a kind, a key and its parameters as
 * "name=value" lines (policy/federation.h reads and writes them). Blocked domains are store.h's. Threads and completions as in
 * store.h. That an object may stand beside the others is the caller's to check (the snapshot builder does): changes come from the
 * control thread alone, one after the other. */
#pragma once
#include "store/store.h"

enum store_federation {
	STORE_ACCESS_EDGE, /* one, its key is empty */
	STORE_ALLOWED_DOMAIN, STORE_HOSTING_PROVIDER, STORE_PUBLIC_PROVIDER,
	STORE_EXTERNAL_ACCESS, /* key: policy_external.name: "global", "site:NAME", "tag:NAME" */
	STORE_USER,            /* key: policy_user.address */
	STORE_FEDERATION_COUNT
};
const char *store_federation_name(enum store_federation kind); /* "access-edge" "allowed-domain" ... */

/* Adds or replaces. `what`: what changed, for the history ("add proxy-fqdn=..."). */
int store_federation_put(struct store *s, enum store_federation kind, struct slice key, struct slice fields, struct slice who, struct slice what,
			 store_done *done, void *arg);
/* Completion code ENTENTE_ENOTFOUND. */
int store_federation_remove(struct store *s, enum store_federation kind, struct slice key, struct slice who, store_done *done, void *arg);
/* One object, or all of one kind (key empty and kind not STORE_ACCESS_EDGE), sorted by key. As the other load functions. */
int store_load_objects(struct store *s, enum store_federation kind, struct slice key, int (*each)(void *arg, struct slice key, struct slice fields),
		       void *arg, struct entente_err *err);
/* Puts one object, as loaded, into a snapshot that is being built: after homes, partners and blocked domains, in the order of
 * store_load_federation. What the builder refuses, or a value that cannot be read: its error. */
struct snapshot_builder;
int store_federation_build(struct snapshot_builder *b, enum store_federation kind, struct slice key, struct slice fields, struct entente_err *err);
/* Sorted: the Access Edge configuration first, then by the kind's name and key: policies come before users. As the other load functions. */
int store_load_federation(struct store *s, int (*each)(void *arg, enum store_federation kind, struct slice key, struct slice fields), void *arg,
			  struct entente_err *err);

/* ---- contacts that an administrator sets and takes away: like store_contact_put and _delete (store.h), but in the history ---- */
/* Completion code ENTENTE_EEXIST: it was known already. */
int store_contact_add(struct store *s, struct slice local_user, struct slice remote_user, struct slice who, store_done *done, void *arg);
/* ENTENTE_ENOTFOUND. */
int store_contact_remove(struct store *s, struct slice local_user, struct slice remote_user, struct slice who, store_done *done, void *arg);
