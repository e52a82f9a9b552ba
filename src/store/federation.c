/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of SIP federation: a kind, a key, and their parameters as text. Which parameters there are is the table
 * policy/federation.def; a further one needs no change here. */
#include "store/store_federation.h"

#include "base/buf.h"
#include "store/internal.h"

static const char *const kinds[] = {"access-edge", "allowed-domain", "hosting-provider", "public-provider"};

const char *store_federation_name(enum store_federation kind)
{
	return kind < STORE_FEDERATION_COUNT ? kinds[kind] : "unknown";
}

static int submit(struct store *s, enum store_op op, enum store_federation kind, struct slice key, struct slice fields, struct slice who,
		  struct slice what, store_done *done, void *arg)
{
	/* text[2] is whom the history names, as for all changes */
	struct slice t[] = {slice_str(store_federation_name(kind)), key, who, what};
	if (kind >= STORE_FEDERATION_COUNT || (slice_empty(key) && kind != STORE_ACCESS_EDGE))
		return ENTENTE_EINVAL;
	struct store_request *r = store_request_new(op, t, 4, fields.p ? fields : S(""), NULL, done, arg);
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

int store_federation_put(struct store *s, enum store_federation kind, struct slice key, struct slice fields, struct slice who, struct slice what,
			 store_done *done, void *arg)
{
	return submit(s, STORE_OP_FEDERATION_PUT, kind, key, fields, who, what, done, arg);
}

int store_federation_remove(struct store *s, enum store_federation kind, struct slice key, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_FEDERATION_REMOVE, kind, key, SLICE_NONE, who, SLICE_NONE, done, arg);
}

/* On the store thread. Few changes: the statements are not kept. */
static int run(struct store *s, const char *sql, const struct slice *texts, int n, int *ret_rows, struct entente_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
	for (int i = 0; rc == SQLITE_OK && i < n; i++)
		rc = sqlite3_bind_text(st, i + 1, texts[i].p ? texts[i].p : "", (int)texts[i].len, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	int code = rc == SQLITE_DONE ? 0 : store_fail(s->db, "cannot write", err);
	*ret_rows = sqlite3_changes(s->db);
	sqlite3_finalize(st);
	return code;
}

int store_federation_change(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err)
{
	struct slice t[] = {r->text[0], r->text[1], r->text[4]};
	int rows;
	if (r->op == STORE_OP_FEDERATION_PUT) {
		buf_printf(what, "%.*s %.*s%s%.*s", SFMT(r->text[0]), SFMT(r->text[1]), r->text[1].len ? " " : "", SFMT(r->text[3]));
		return run(s, "INSERT OR REPLACE INTO federation(kind, key, fields) VALUES(?1, ?2, ?3)", t, 3, &rows, err);
	}
	buf_printf(what, "%.*s %.*s remove", SFMT(r->text[0]), SFMT(r->text[1]));
	int rc = run(s, "DELETE FROM federation WHERE kind = ?1 AND key = ?2", t, 2, &rows, err);
	if (!rc && !rows)
		rc = err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no %.*s %.*s", SFMT(r->text[0]), SFMT(r->text[1]));
	return rc;
}

static struct slice column(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_blob(st, i);
	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(st, i));
}

int store_load_federation(struct store *s, int (*each)(void *arg, enum store_federation kind, struct slice key, struct slice fields), void *arg,
			  struct entente_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int ret = 0, rc = store_connect(&db, s->path, false, err);
	if (rc)
		return rc;
	rc = sqlite3_prepare_v2(db, "SELECT kind, key, fields FROM federation ORDER BY kind, key", -1, &st, NULL);
	while (rc == SQLITE_OK && !ret) {
		int step = sqlite3_step(st);
		if (step != SQLITE_ROW) {
			rc = step;
			break;
		}
		for (int k = 0; k < STORE_FEDERATION_COUNT; k++)
			if (slice_eq(column(st, 0), slice_str(kinds[k])))
				ret = each(arg, (enum store_federation)k, column(st, 1), column(st, 2));
	}
	if (!ret && rc != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}
