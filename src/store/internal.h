/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room. */
#pragma once
#include <sqlite3.h>
#include "base/list.h"
#include "store/store.h"

enum store_op {
	/* one statement each: its text is in request.c */
	STORE_OP_CONTACT_PUT, STORE_OP_CONTACT_DELETE, STORE_OP_WATCH_PUT, STORE_OP_WATCH_DELETE, STORE_OP_DIALOG_PUT,
	STORE_OP_DIALOG_DELETE, STORE_OP_DIALOG_PURGE, STORE_OP_ACCOUNT_PUT, STORE_OP_ACCOUNT_DELETE, STORE_OP_TOKEN_PUT, STORE_OP_TOKEN_DELETE,
	STORE_OP_DOCUMENT_PUT, STORE_OP_NOTE_PUT, STORE_OP_NOTE_DELETE, STORE_OP_SEEN_PUT, STORE_OP_SEEN_PURGE,
	STORE_OP_SIMPLE,
	/* several statements in a savepoint: change.c */
	STORE_OP_PARTNER_ADD = STORE_OP_SIMPLE, STORE_OP_PARTNER_SET, STORE_OP_PARTNER_REMOVE, STORE_OP_BLOCK_ADD,
	STORE_OP_BLOCK_REMOVE,
	STORE_OP_FEDERATION_PUT, STORE_OP_FEDERATION_REMOVE, STORE_OP_CONTACT_ADD, STORE_OP_CONTACT_REMOVE, /* federation.c */
	STORE_OP_REMARK, /* only its line: text 0 */
	STORE_OP_SET, /* set.c: others, of both kinds */
};

enum { STORE_VALUES_MAX = 5 };

/* A request is one heap block; all slices in it point into its own tail. */
struct store_request {
	struct list node;
	enum store_op op;
	store_done *done;
	void *arg;
	size_t octets;
	int code;
	struct slice text[STORE_VALUES_MAX]; /* by parameter number; for changes: domain, comment, who */
	int64_t number[STORE_VALUES_MAX];
	struct policy_partner partner;       /* of the two partner operations */
	struct store_set *set;               /* of STORE_OP_SET; owned */
};
/* Accepts NULL; returns NULL. */
struct store_request *store_request_free(struct store_request *r);

/* The statements that changes use, prepared once. */
enum { STORE_CHANGE_STATEMENTS = 12 };

struct store {
	sqlite3 *db; /* the writing connection: store thread only, once it runs */
	sqlite3_stmt *simple[STORE_OP_SIMPLE], *change[STORE_CHANGE_STATEMENTS];
	struct store_options opt;
	bool collects; /* of a set: store_submit only appends to the queue, nothing else of this is used */
	char path[4200];
	int64_t next_generation;   /* store thread: what the transaction under way has written; 0: nothing */
	_Atomic int64_t generation; /* committed */
	int lock_fd;
	unsigned char dialback[STORE_SECRET_LEN];
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work, idle;
	struct list queue;
	size_t queued, octets;
	uint64_t accepted, finished;
	bool stop, failing;
};

/* ---- schema.c ---- */
/* Identity, migrations, integrity. Called before the thread runs. */
int store_schema_prepare(sqlite3 *db, const char *path, bool checked, struct entente_err *err);
/* A connection with our settings. */
int store_connect(sqlite3 **ret, const char *path, bool writer, struct entente_err *err);
/* err filled from the connection's last error; returns ENTENTE_ESTORE. */
int store_fail(sqlite3 *db, const char *what, struct entente_err *err);

/* ---- request.c, change.c: on the store thread, inside the transaction ---- */
int store_request_run(struct store *s, struct store_request *r, struct entente_err *err);
int store_change_run(struct store *s, struct store_request *r, struct entente_err *err);
/* federation.c: text is kind, key, who, what, fields (of contacts: local user, remote user, who).
 * Appends its line of the history to `what`. */
struct buf;
int store_federation_change(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err);
void store_statements_free(struct store *s);
/* set.c: appends the lines of its history. *ret_changes: how many of its requests are changes of policy. */
int store_set_run(struct store *s, struct store_request *r, struct buf *what, size_t *ret_changes, struct entente_err *err);
/* change.c: one change of policy, without its entry in the history. */
int store_change_one(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err);
/* The newest generation of that connection's database; negative with err. */
int64_t store_generation_read(sqlite3 *db, struct entente_err *err);

/* ---- store.c ---- */
/* Takes over the request, or frees it and returns ENTENTE_ELIMIT. */
int store_submit(struct store *s, struct store_request *r);

/* ---- request.c: building ---- */
/* NULL when a text is too long, holds a NUL or is not UTF-8 (the blob may be anything, and of documents and notes large). */
struct store_request *store_request_new(enum store_op op, const struct slice *texts, size_t n, struct slice blob,
					const struct policy_partner *p, store_done *done, void *arg);
