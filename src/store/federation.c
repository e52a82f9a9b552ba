/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of federation: a kind, a key, and their parameters as text. Which parameters there are is the table
 * policy/federation.def; a further one needs no change here. */
#include "store/store_federation.h"

#include "base/buf.h"
#include "base/clock.h"
#include "policy/external.h"
#include "store/internal.h"

static const char *const kinds[] = {"access-edge", "allowed-domain", "hosting-provider", "public-provider", "external-access", "user"};
_Static_assert(sizeof kinds / sizeof *kinds == STORE_FEDERATION_COUNT, "a name for each kind");

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

static int contact(struct store *s, enum store_op op, struct slice local, struct slice remote, struct slice who, store_done *done, void *arg)
{
	struct slice t[] = {local, remote, who};
	if (slice_empty(local) || slice_empty(remote))
		return ENTENTE_EINVAL;
	struct store_request *r = store_request_new(op, t, 3, SLICE_NONE, NULL, done, arg);
	if (r)
		r->number[0] = clock_unix();
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

int store_contact_add(struct store *s, struct slice local_user, struct slice remote_user, struct slice who, store_done *done, void *arg)
{
	return contact(s, STORE_OP_CONTACT_ADD, local_user, remote_user, who, done, arg);
}

int store_contact_remove(struct store *s, struct slice local_user, struct slice remote_user, struct slice who, store_done *done, void *arg)
{
	return contact(s, STORE_OP_CONTACT_REMOVE, local_user, remote_user, who, done, arg);
}

/* ---- on the store thread */

static const char put_sql[] = "INSERT OR REPLACE INTO federation(kind, key, fields) VALUES(?1, ?2, ?3)";
static const char remove_sql[] = "DELETE FROM federation WHERE kind = ?1 AND key = ?2";

/* Few changes: the statements are not kept. */
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

static int absent(struct slice kind, struct slice key, struct entente_err *err)
{
	return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no %.*s %.*s", SFMT(kind), SFMT(key));
}

static int contact_change(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err)
{
	struct slice t[] = {r->text[0], r->text[1]};
	bool add = r->op == STORE_OP_CONTACT_ADD;
	char sql[160];
	int rows;
	buf_printf(what, "contact %s %.*s %.*s", add ? "add" : "remove", SFMT(t[0]), SFMT(t[1]));
	if (add)
		snprintf(sql, sizeof sql, "INSERT INTO contact(local_user, remote_user, learned_at, how) VALUES(?1, ?2, %lld, %d) ON CONFLICT DO NOTHING",
			 (long long)r->number[0], STORE_BY_ADMIN);
	else
		snprintf(sql, sizeof sql, "DELETE FROM contact WHERE local_user = ?1 AND remote_user = ?2");
	int rc = run(s, sql, t, 2, &rows, err);
	if (rc || rows)
		return rc;
	return add ? err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s has %.*s as contact already", SFMT(t[0]), SFMT(t[1]))
		   : err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "%.*s does not have %.*s as contact", SFMT(t[0]), SFMT(t[1]));
}

int store_federation_change(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err)
{
	struct slice t[] = {r->text[0], r->text[1], r->text[4]};
	int rows;
	if (r->op == STORE_OP_CONTACT_ADD || r->op == STORE_OP_CONTACT_REMOVE)
		return contact_change(s, r, what, err);
	if (r->op == STORE_OP_FEDERATION_PUT) {
		buf_printf(what, "%.*s %.*s%s%.*s", SFMT(r->text[0]), SFMT(r->text[1]), r->text[1].len ? " " : "", SFMT(r->text[3]));
		return run(s, put_sql, t, 3, &rows, err);
	}
	buf_printf(what, "%.*s %.*s remove", SFMT(r->text[0]), SFMT(r->text[1]));
	int rc = run(s, remove_sql, t, 2, &rows, err);
	return rc || rows ? rc : absent(r->text[0], r->text[1], err);
}

/* ---- reading */

static struct slice column(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_blob(st, i);
	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(st, i));
}

typedef int each_fn(void *arg, enum store_federation kind, struct slice key, struct slice fields);

static int load(struct store *s, const char *sql, const struct slice *texts, int n, each_fn *each, void *arg, struct entente_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int ret = 0, rc = store_connect(&db, s->path, false, err);
	if (rc)
		return rc;
	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	for (int i = 0; rc == SQLITE_OK && i < n; i++)
		rc = sqlite3_bind_text(st, i + 1, texts[i].p, (int)texts[i].len, SQLITE_STATIC);
	while (rc == SQLITE_OK && !ret) {
		int next = sqlite3_step(st);
		if (next != SQLITE_ROW) {
			rc = next;
			break;
		}
		for (int k = 0; k < STORE_FEDERATION_COUNT; k++)
			if (slice_eq(column(st, 0), slice_str(kinds[k])))
				ret = each(arg, (enum store_federation)k, column(st, 1), column(st, 2));
	}
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}

int store_load_federation(struct store *s, each_fn *each, void *arg, struct entente_err *err)
{
	return load(s, "SELECT kind, key, fields FROM federation ORDER BY kind, key", NULL, 0, each, arg, err);
}

struct objects {
	int (*each)(void *arg, struct slice key, struct slice fields);
	void *arg;
};

static int objects_each(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct objects *o = arg;
	(void)kind;
	return o->each(o->arg, key, fields);
}

int store_load_objects(struct store *s, enum store_federation kind, struct slice key, int (*each)(void *arg, struct slice key, struct slice fields),
		       void *arg, struct entente_err *err)
{
	struct slice t[] = {slice_str(store_federation_name(kind)), key};
	struct objects o = {each, arg};
	if (slice_empty(key))
		return load(s, "SELECT kind, key, fields FROM federation WHERE kind = ?1 ORDER BY key", t, 1, objects_each, &o, err);
	return load(s, "SELECT kind, key, fields FROM federation WHERE kind = ?1 AND key = ?2", t, 2, objects_each, &o, err);
}

int store_federation_build(struct snapshot_builder *b, enum store_federation kind, struct slice key, struct slice fields, struct entente_err *err)
{
	static const enum policy_table tables[] = {POLICY_TABLE_ACCESS, POLICY_TABLE_ALLOWED, POLICY_TABLE_PROVIDER, POLICY_TABLE_PROVIDER,
						   POLICY_TABLE_EXTERNAL, POLICY_TABLE_USER};
	union {
		struct policy_access access;
		struct policy_allowed allowed;
		struct policy_provider provider;
		struct policy_external external;
		struct policy_user user;
	} o;
	if (kind >= STORE_FEDERATION_COUNT)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "an object of an unknown kind");
	memset(&o, 0, sizeof o);
	policy_fields_defaults(tables[kind], &o);
	int rc = policy_fields_read(tables[kind], &o, fields, err);
	if (rc)
		return rc;
	switch (kind) {
	case STORE_ACCESS_EDGE: return snapshot_builder_access(b, &o.access, err);
	case STORE_ALLOWED_DOMAIN: o.allowed.domain = key; return snapshot_builder_allow(b, &o.allowed, err);
	case STORE_EXTERNAL_ACCESS: o.external.name = key; return snapshot_builder_external(b, &o.external, err);
	case STORE_USER: o.user.address = key; return snapshot_builder_user(b, &o.user, err);
	default: break;
	}
	o.provider.name = key;
	o.provider.kind = kind == STORE_HOSTING_PROVIDER ? POLICY_HOSTING : POLICY_PUBLIC;
	return snapshot_builder_provider(b, &o.provider, err);
}
