/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and tokens of administrators. */
#include "store/store_identity.h"

#include "store/internal.h"

static int submit(struct store *s, enum store_op op, const struct slice *texts, size_t n, int64_t fourth, int64_t fifth, store_done *done, void *arg)
{
	if (slice_empty(texts[0]))
		return ENTENTE_EINVAL;
	struct store_request *r = store_request_new(op, texts, n, SLICE_NONE, NULL, done, arg);
	if (!r)
		return ENTENTE_EINVAL;
	r->number[3] = fourth;
	r->number[4] = fifth;
	return store_submit(s, r);
}

int store_account_put(struct store *s, const struct store_account *a, store_done *done, void *arg)
{
	struct slice t[] = {a->name, a->role, a->hash};
	return submit(s, STORE_OP_ACCOUNT_PUT, t, 3, a->enabled, a->changed_at, done, arg);
}

int store_account_delete(struct store *s, struct slice name, store_done *done, void *arg)
{
	return submit(s, STORE_OP_ACCOUNT_DELETE, &name, 1, 0, 0, done, arg);
}

int store_token_put(struct store *s, const struct store_token *k, store_done *done, void *arg)
{
	struct slice t[] = {k->name, k->role, k->hash};
	return submit(s, STORE_OP_TOKEN_PUT, t, 3, k->expires_at, k->made_at, done, arg);
}

int store_token_delete(struct store *s, struct slice name, store_done *done, void *arg)
{
	return submit(s, STORE_OP_TOKEN_DELETE, &name, 1, 0, 0, done, arg);
}

/* ---- reading */

static struct slice column(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_blob(st, i);
	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(st, i));
}

struct reading {
	int (*account)(void *arg, const struct store_account *a);
	int (*token)(void *arg, const struct store_token *t);
	void *arg;
};

static int row(sqlite3_stmt *st, const struct reading *r)
{
	if (r->account) {
		struct store_account a = {.name = column(st, 0), .role = column(st, 1), .hash = column(st, 2), .enabled = sqlite3_column_int(st, 3),
					  .made_at = sqlite3_column_int64(st, 4), .changed_at = sqlite3_column_int64(st, 5)};
		return r->account(r->arg, &a);
	}
	struct store_token t = {.name = column(st, 0), .role = column(st, 1), .hash = column(st, 2), .expires_at = sqlite3_column_int64(st, 3),
				.made_at = sqlite3_column_int64(st, 4)};
	return r->token(r->arg, &t);
}

static int load(struct store *s, const char *sql, const struct reading *r, struct entente_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int ret = 0, rc = store_connect(&db, s->path, false, err);
	if (rc)
		return rc;
	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	while (rc == SQLITE_OK && !ret) {
		int step = sqlite3_step(st);
		if (step == SQLITE_ROW)
			ret = row(st, r);
		else
			rc = step;
	}
	if (!ret && rc != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}

int store_load_accounts(struct store *s, int (*each)(void *arg, const struct store_account *a), void *arg, struct entente_err *err)
{
	struct reading r = {.account = each, .arg = arg};
	return load(s, "SELECT name, role, hash, enabled, made_at, changed_at FROM admin_account ORDER BY name", &r, err);
}

int store_load_tokens(struct store *s, int (*each)(void *arg, const struct store_token *t), void *arg, struct entente_err *err)
{
	struct reading r = {.token = each, .arg = arg};
	return load(s, "SELECT name, role, hash, expires_at, made_at FROM admin_token ORDER BY name", &r, err);
}
