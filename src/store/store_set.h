/* SPDX-License-Identifier: Apache-2.0 */
/* Many changes as one: all or nothing in one transaction, one generation, one entry of the history. And what is kept beside the
 * policy for that: documents of past generations, notes, copies for drafts. Threads and completions as in store.h. */
#pragma once
#include "base/buf.h"
#include "store/store.h"

enum {
	STORE_LARGE_MAX = 16 << 20,       /* octets of a document or note */
	STORE_DOCUMENTS_MAX = 100,        /* documents that are kept */
	STORE_DOCUMENTS_OCTETS = 64 << 20, /* ... and their size together; the newest is kept in any case */
	STORE_SET_LINES_MAX = 65536,      /* octets of what the history says about one set; what is more is counted */
};

/* ---- a set ---- */
struct store_set;
struct store_set *store_set_new(void);
/* Accepts NULL; returns NULL. Not after submit. */
struct store_set *store_set_free(struct store_set *set);
/* Give this in the place of the store to any function of store.h and store_federation.h that queues (completion NULL): it checks and copies
 * as always, but the request waits in the set. Only for that; it lives as long as the set. No other thread meanwhile. */
struct store *store_set_collector(struct store_set *set);
size_t store_set_count(const struct store_set *set);
/* Takes the set over, in any case. The requests run in the order of the calls. `what`: the first line of its entry in the history; one line
 * for each change follows. `expect`: the generation that the change was made for, or -1 for any. Completion codes: as of the request that
 * failed (err says which object); ENTENTE_EREFUSED: the store is at another generation. A set without changes of policy takes no
 * generation. */
int store_set_submit(struct store *s, struct store_set *set, int64_t expect, struct slice who, struct slice what, store_done *done, void *arg);

/* A line of the history that changes nothing in the database: what was changed elsewhere with it. Takes a generation. */
int store_remark(struct store *s, struct slice text, struct slice who, store_done *done, void *arg);
/* The newest generation of the history: of the policy as it is committed. Any thread, no wait. */
int64_t store_generation(const struct store *s);

/* ---- documents: the policy of past generations as text ---- */
/* Replaces; forgets the oldest ones beyond the limits. */
int store_document_put(struct store *s, int64_t generation, struct slice text, store_done *done, void *arg);
/* Appends it to `ret`. ENTENTE_ENOTFOUND: it is not kept; ENTENTE_ESTORE. */
int store_document_load(struct store *s, int64_t generation, struct buf *ret, struct entente_err *err);
/* Newest first. */
int store_load_documents(struct store *s, int (*each)(void *arg, int64_t generation, size_t octets), void *arg, struct entente_err *err);

/* ---- notes: a name and octets ---- */
int store_note_put(struct store *s, struct slice name, struct slice value, store_done *done, void *arg);
/* Deleting what is not there succeeds. */
int store_note_delete(struct store *s, struct slice name, store_done *done, void *arg);
/* As store_document_load. */
int store_note_load(struct store *s, struct slice name, struct buf *ret, struct entente_err *err);
/* The same from a database that a daemon may have open, or nobody; nothing is changed. */
int store_note_read(const char *directory, struct slice name, struct buf *ret, struct entente_err *err);

/* ---- copies and the place ---- */
/* The tables that a copy of the policy has; ends with NULL. A new table of policy belongs on this list (copy.c). */
extern const char *const store_policy_tables[];
const char *store_directory(const struct store *s);
/* Makes a database in `directory` (made 0700 if it is not there; a database in it is replaced) that holds the policy of this one, and its
 * generation: no contacts that were learned, no secrets, no dialogs. For drafts: open it with store_open. Waits for the disk. */
int store_copy_policy(struct store *s, const char *directory, struct entente_err *err);
/* Removes such a database and its directory. 0 also when there is none; ENTENTE_EIO. */
int store_copy_remove(const char *directory, struct entente_err *err);
/* A copy of everything in one file, taken while the daemon works; the file must not exist yet, and is made 0600. Waits for the disk. To go
 * back: stop the daemon, put the file in the place of entente.db, remove entente.db-wal and entente.db-shm, start it. */
int store_backup(struct store *s, const char *path, struct entente_err *err);
