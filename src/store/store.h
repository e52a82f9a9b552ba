/* SPDX-License-Identifier: Apache-2.0 */
/* What must survive a restart, in one SQLite 3 database `entente.db` of the state directory (mode 0600, WAL,
 * synchronous=FULL: a completed change survives a power cut; group commit makes that cheap). One writer thread owns the
 * writing connection and takes requests from a bounded queue, many into one transaction. Requests are carried out in the
 * order of the calls, so order per key is kept.  Threads: put, delete and partner functions may be called from any thread
 * and never wait for the disk. Load functions read committed data on the caller's thread and may wait for the disk:
 * start-up and the control thread only. */
#pragma once
#include <pthread.h>
#include "base/err.h"
#include "policy/partner.h"

struct store;

enum {
	STORE_QUEUE_DEFAULT = 65536,
	STORE_QUEUE_OCTETS = 64 << 20, /* what waiting requests may hold together */
	STORE_TEXT_MAX = 4096,
	STORE_BLOB_MAX = 65536,
	STORE_SECRET_LEN = 32,
	STORE_HISTORY_MAX = 10000, /* older changes are forgotten */
};

struct store_options {
	const char *directory; /* must exist and be writable */
	size_t queue_max;      /* requests waiting; 0: STORE_QUEUE_DEFAULT */
	bool checked;          /* somebody has found it sound since the machine has started, and only processes have ended: do not look again */
	/* Called on the store thread when writing begins to fail (disk full, I/O error) with failing = true, and with false and
	 * err == NULL when a later transaction succeeds. May be NULL. Must not call into the store. */
	void (*health)(void *arg, bool failing, const struct entente_err *err);
	void *arg;
};

/* Opens or creates, checks integrity (unless `checked`), migrates the schema, makes the secrets of a first start, starts the thread.
 * ENTENTE_ESTORE (damaged, not ours, locked by another daemon), ENTENTE_EUNSUPPORTED (made by a newer version),
 * ENTENTE_EIO; err says what to do. */
int store_open(struct store **ret, const struct store_options *opt, struct entente_err *err);
/* Looks whether the database of the directory is sound, beside a daemon that runs or without one; changes nothing. 0: `damage` has one line, or is
 * empty. ENTENTE_ESTORE, ENTENTE_EIO: it could not be looked at; err. Any process that may read the file. */
int store_inspect(const char *directory, char *damage, size_t size, struct entente_err *err);
/* Carries out what is queued, then stops the thread. Accepts NULL; returns NULL. No other call may be under way. */
struct store *store_close(struct store *s);
/* Waits until everything queued before is committed or has failed. 0, or ENTENTE_ESTORE when the store is failing now. Not
 * on the store thread. */
int store_flush(struct store *s);

/* Completion of a request, on the store thread, after the transaction is durable (code 0) or has failed (err filled). Must
 * be short, must not wait; may queue further requests. A NULL completion is allowed. */
typedef void store_done(void *arg, int code, const struct entente_err *err);

/* Turns a completion into a wait, for the control thread and tests: init, give store_wait_done and the struct as completion,
 * then store_wait once. */
struct store_wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int code;
	struct entente_err err;
};
void store_wait_init(struct store_wait *w);
store_done store_wait_done; /* arg: struct store_wait * */
/* Returns the completion's code and copies its err (may be NULL). Not on the store thread. */
int store_wait(struct store_wait *w, struct entente_err *err);

/* All functions below that queue return 0, or without queueing (done is then not called): ENTENTE_ELIMIT: the queue
 * is full; ENTENTE_EINVAL: a text is too long, is not UTF-8 or holds a NUL, or a key is empty. Texts and blobs are copied. A
 * failure of the disk fails all requests of the same transaction with ENTENTE_ESTORE; they are not tried again. */

/* ---- XMPP partners: transactional, with history ---- */
/* Completion code: ENTENTE_EEXIST when a domain of it belongs to a partner already. `who` made the change (for the
 * history). The caller has run policy_partner_check. */
int store_partner_add(struct store *s, const struct policy_partner *p, struct slice who, store_done *done, void *arg);
/* Replaces all fields of the partner with that domain. ENTENTE_ENOTFOUND, ENTENTE_EEXIST (an additional domain is taken). */
int store_partner_set(struct store *s, const struct policy_partner *p, struct slice who, store_done *done, void *arg);
/* ENTENTE_ENOTFOUND. */
int store_partner_remove(struct store *s, struct slice domain, struct slice who, store_done *done, void *arg);
/* Blocked domains (suffix match is policy's matter). ENTENTE_EEXIST, ENTENTE_ENOTFOUND. */
int store_block_add(struct store *s, struct slice domain, struct slice comment, struct slice who, store_done *done, void *arg);
int store_block_remove(struct store *s, struct slice domain, struct slice who, store_done *done, void *arg);

struct store_block {
	struct slice domain, comment;
	int64_t since; /* seconds since 1970 */
};
/* Every partner or block change takes the next generation, 0 for a new database. */
struct store_change {
	int64_t generation, at; /* at: seconds since 1970 */
	struct slice who, what; /* what: one line, e.g. "partner add example.org type=federated ..." */
};

/* Load functions call `each` per row; its slices are valid during the call; a non-zero return stops and is returned.
 * Negative: ENTENTE_ESTORE with err filled. */
typedef int store_partner_each(void *arg, const struct policy_partner *p);
typedef int store_block_each(void *arg, const struct store_block *b);
/* Partners and blocked domains of one generation, in one read transaction; partners sorted by domain. Any of the last four
 * may be NULL. */
int store_load_policy(struct store *s, store_partner_each *partner, store_block_each *block, void *arg, int64_t *ret_generation,
		      struct entente_err *err);
/* The newest `max` changes, newest first. */
int store_load_history(struct store *s, size_t max, int (*each)(void *arg, const struct store_change *c), void *arg,
		       struct entente_err *err);

/* ---- contacts: which local user has which remote user as contact ---- */
enum store_how { STORE_BY_MESSAGE, STORE_BY_SUBSCRIBE, STORE_BY_INVITE, STORE_BY_ADMIN };
const char *store_how_name(enum store_how how); /* "message" "subscribe" "invite" "admin" */

struct store_contact {
	struct slice local_user, remote_user; /* keys, prepared addresses as the caller writes them */
	int64_t learned_at;
	enum store_how how;
};
/* Keeps the first learned_at and how when it exists already. */
int store_contact_put(struct store *s, const struct store_contact *c, store_done *done, void *arg);
/* Deleting what is not there succeeds. */
int store_contact_delete(struct store *s, struct slice local_user, struct slice remote_user, store_done *done, void *arg);
int store_load_contacts(struct store *s, int (*each)(void *arg, const struct store_contact *c), void *arg,
			struct entente_err *err);

/* ---- watches: XMPP watchers of SIP presentities (RFC 8048 5.2), durable part ---- */
enum store_watch_state { STORE_WATCH_PENDING, STORE_WATCH_ACTIVE };
struct store_watch {
	struct slice watcher, presentity; /* key */
	enum store_watch_state state;
	int64_t since;
};
int store_watch_put(struct store *s, const struct store_watch *w, store_done *done, void *arg); /* replaces */
int store_watch_delete(struct store *s, struct slice watcher, struct slice presentity, store_done *done, void *arg);
int store_load_watches(struct store *s, int (*each)(void *arg, const struct store_watch *w), void *arg, struct entente_err *err);

/* ---- dialogs: subscription dialogs in which we are notifier for a SIP watcher (RFC 8048 5.3) ---- */
struct store_dialog {
	struct slice id; /* key */
	struct slice local_user, remote_user;
	struct slice blob; /* the gateway's own form; STORE_BLOB_MAX */
	int64_t expires_at;
};
int store_dialog_put(struct store *s, const struct store_dialog *d, store_done *done, void *arg); /* replaces */
int store_dialog_delete(struct store *s, struct slice id, store_done *done, void *arg);
/* Deletes all with expires_at <= now. */
int store_dialog_purge(struct store *s, int64_t now, store_done *done, void *arg);
int store_load_dialogs(struct store *s, int (*each)(void *arg, const struct store_dialog *d), void *arg, struct entente_err *err);

/* ---- texts that were taken: gateway/seen.h; in pieces of its own form, at most STORE_BLOB_MAX octets ---- */
int store_seen_put(struct store *s, int64_t at, struct slice records, store_done *done, void *arg);
/* Those of before this moment go. */
int store_seen_purge(struct store *s, int64_t before, store_done *done, void *arg);
/* The oldest first. */
int store_load_seen(struct store *s, int (*each)(void *arg, struct slice records), void *arg, struct entente_err *err);

/* ---- secrets, made at the first start ---- */
/* The dialback secret (XEP-0185). Any thread; the same for the life of the database. */
void store_dialback_secret(const struct store *s, unsigned char ret[STORE_SECRET_LEN]);
