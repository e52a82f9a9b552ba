/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of changes, documents, notes. A set is filled through a store that only collects (store_submit), so whatever can be changed alone
 * can be changed in a set. */
#include "store/store_set.h"

#include "base/mem.h"
#include "store/internal.h"

struct store_set {
	struct store collector;
	int64_t expect;
};

struct store_set *store_set_new(void)
{
	struct store_set *set = MEM_NEW(struct store_set);
	set->collector.collects = true;
	list_init(&set->collector.queue);
	return set;
}

struct store_set *store_set_free(struct store_set *set)
{
	if (!set)
		return NULL;
	LIST_EACH(l, &set->collector.queue) {
		list_remove(l);
		store_request_free(CONTAINER_OF(l, struct store_request, node));
	}
	return mem_free(set);
}

struct store *store_set_collector(struct store_set *set)
{
	return &set->collector;
}

size_t store_set_count(const struct store_set *set)
{
	return set->collector.queued;
}

int store_remark(struct store *s, struct slice text, struct slice who, store_done *done, void *arg)
{
	struct slice t[] = {text, SLICE_NONE, who};
	struct store_request *r = store_request_new(STORE_OP_REMARK, t, 3, SLICE_NONE, NULL, done, arg);
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

struct store_request *store_request_free(struct store_request *r)
{
	if (r)
		store_set_free(r->set);
	return mem_free(r);
}

int store_set_submit(struct store *s, struct store_set *set, int64_t expect, struct slice who, struct slice what, store_done *done, void *arg)
{
	struct slice t[] = {what, SLICE_NONE, who};
	struct store_request *r = store_request_new(STORE_OP_SET, t, 3, SLICE_NONE, NULL, done, arg);
	if (!r) {
		store_set_free(set);
		return ENTENTE_EINVAL;
	}
	set->expect = expect;
	r->set = set;
	LIST_EACH(l, &set->collector.queue)
		r->octets += CONTAINER_OF(l, struct store_request, node)->octets;
	return store_submit(s, r);
}

/* ---- on the store thread */

int64_t store_generation_read(sqlite3 *db, struct entente_err *err)
{
	sqlite3_stmt *st = NULL;
	int64_t n = -1;
	if (sqlite3_prepare_v2(db, "SELECT coalesce(max(generation), 0) FROM history", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	else
		store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	return n;
}

int store_set_run(struct store *s, struct store_request *r, struct buf *what, size_t *ret_changes, struct entente_err *err)
{
	struct buf line;
	size_t left_out = 0;
	int rc = 0;
	int64_t now = r->set->expect < 0 ? 0 : store_generation_read(s->db, err);
	*ret_changes = 0;
	if (now < 0)
		return ENTENTE_ESTORE;
	if (r->set->expect >= 0 && now != r->set->expect)
		return err_set(err, ENTENTE_EREFUSED, REASON_NONE, "the policy is at generation %lld, and no longer at %lld", (long long)now,
			       (long long)r->set->expect);
	buf_init(&line, 256 * 1024);
	buf_put(what, r->text[0]);
	LIST_EACH(l, &r->set->collector.queue) {
		struct store_request *one = CONTAINER_OF(l, struct store_request, node);
		buf_clear(&line);
		if (one->op < STORE_OP_SIMPLE) {
			rc = store_request_run(s, one, err);
		} else {
			rc = store_change_one(s, one, &line, err);
			++*ret_changes;
		}
		if (rc)
			break;
		if (line.len && (left_out || what->len + line.len >= STORE_SET_LINES_MAX))
			left_out++;
		else if (line.len)
			buf_printf(what, "\n%.*s", SFMT(buf_slice(&line)));
	}
	if (left_out)
		buf_printf(what, "\n... and %zu more", left_out);
	buf_free(&line);
	return rc;
}

int64_t store_generation(const struct store *s)
{
	return s->generation;
}

/* ---- documents and notes */

int store_document_put(struct store *s, int64_t generation, struct slice text, store_done *done, void *arg)
{
	struct slice none = S(""); /* the text is parameter 2 */
	struct store_request *r = store_request_new(STORE_OP_DOCUMENT_PUT, &none, 1, text.p ? text : S(""), NULL, done, arg);
	if (!r)
		return ENTENTE_EINVAL;
	r->number[0] = generation;
	return store_submit(s, r);
}

int store_note_put(struct store *s, struct slice name, struct slice value, store_done *done, void *arg)
{
	struct store_request *r = slice_empty(name) ? NULL : store_request_new(STORE_OP_NOTE_PUT, &name, 1, value.p ? value : S(""), NULL, done, arg);
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

int store_note_delete(struct store *s, struct slice name, store_done *done, void *arg)
{
	struct store_request *r = store_request_new(STORE_OP_NOTE_DELETE, &name, 1, SLICE_NONE, NULL, done, arg);
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

/* One blob by its key. */
static int load(struct store *s, const char *sql, struct slice name, int64_t number, struct buf *ret, struct entente_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int rc = store_connect(&db, s->path, false, err);
	if (rc)
		return rc;
	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK && name.p)
		rc = sqlite3_bind_text(st, 1, name.p, (int)name.len, SQLITE_STATIC);
	else if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 1, number);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *p = (const char *)sqlite3_column_blob(st, 0);
		buf_put(ret, slice_of(p ? p : "", (size_t)sqlite3_column_bytes(st, 0)));
	}
	int code = rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "it is not kept") : store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return code;
}

int store_document_load(struct store *s, int64_t generation, struct buf *ret, struct entente_err *err)
{
	return load(s, "SELECT text FROM document WHERE generation = ?1", SLICE_NONE, generation, ret, err);
}

int store_note_load(struct store *s, struct slice name, struct buf *ret, struct entente_err *err)
{
	return load(s, "SELECT value FROM note WHERE name = ?1", name, 0, ret, err);
}

int store_load_documents(struct store *s, int (*each)(void *arg, int64_t generation, size_t octets), void *arg, struct entente_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int step = SQLITE_ERROR, ret = 0, rc = store_connect(&db, s->path, false, err);
	if (rc)
		return rc;
	if (sqlite3_prepare_v2(db, "SELECT generation, length(text) FROM document ORDER BY generation DESC", -1, &st, NULL) == SQLITE_OK)
		while (!ret && (step = sqlite3_step(st)) == SQLITE_ROW)
			ret = each(arg, sqlite3_column_int64(st, 0), (size_t)sqlite3_column_int64(st, 1));
	if (!ret && step != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}
