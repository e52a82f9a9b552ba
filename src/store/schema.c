/* SPDX-License-Identifier: Apache-2.0 */
/* The schema as numbered steps. A step that has been released is never edited: a change is a further step. */
#include "base/buf.h"
#include "store/internal.h"
#include "store/store_set.h"

enum { APPLICATION_ID = 0x456e7431 }; /* "Ent1" */

static const char *const steps[] = {
	/* 1 */
	"CREATE TABLE xmpp_partner("
	" domain TEXT PRIMARY KEY,"
	" type TEXT NOT NULL CHECK(type IN ('federated', 'public-verified', 'public-unverified')),"
	" enabled INTEGER NOT NULL,"
	" tls TEXT NOT NULL CHECK(tls IN ('required', 'optional', 'not-supported')),"
	" sasl TEXT NOT NULL CHECK(sasl IN ('required', 'optional', 'not-supported')),"
	" dialback INTEGER NOT NULL,"
	" keep_alive INTEGER NOT NULL,"
	" connection_limit INTEGER NOT NULL,"
	" server_host TEXT NOT NULL,"
	" server_port INTEGER NOT NULL CHECK(server_port BETWEEN 0 AND 65535),"
	" description TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	/* the partner's own domain stands here too, at position 0: so one key keeps all domains apart */
	"CREATE TABLE xmpp_partner_domain("
	" domain TEXT PRIMARY KEY,"
	" partner TEXT NOT NULL REFERENCES xmpp_partner(domain) ON DELETE CASCADE,"
	" position INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX xmpp_partner_domain_of ON xmpp_partner_domain(partner, position);"
	"CREATE TABLE blocked_domain("
	" domain TEXT PRIMARY KEY,"
	" comment TEXT NOT NULL,"
	" since INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE history("
	" generation INTEGER PRIMARY KEY,"
	" at INTEGER NOT NULL,"
	" who TEXT NOT NULL,"
	" what TEXT NOT NULL) STRICT;"
	"CREATE TABLE contact("
	" local_user TEXT NOT NULL,"
	" remote_user TEXT NOT NULL,"
	" learned_at INTEGER NOT NULL,"
	" how INTEGER NOT NULL,"
	" PRIMARY KEY(local_user, remote_user)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE watch("
	" watcher TEXT NOT NULL,"
	" presentity TEXT NOT NULL,"
	" state INTEGER NOT NULL,"
	" since INTEGER NOT NULL,"
	" PRIMARY KEY(watcher, presentity)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE dialog("
	" id TEXT PRIMARY KEY,"
	" local_user TEXT NOT NULL,"
	" remote_user TEXT NOT NULL,"
	" blob BLOB NOT NULL,"
	" expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX dialog_expires ON dialog(expires_at);"
	"CREATE TABLE secret("
	" name TEXT PRIMARY KEY,"
	" value BLOB NOT NULL,"
	" made_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
	/* 2 */
	"ALTER TABLE xmpp_partner ADD COLUMN own_certificate TEXT NOT NULL DEFAULT 'client'"
	" CHECK(own_certificate IN ('client', 'server', 'none'));"
	"ALTER TABLE xmpp_partner ADD COLUMN pins TEXT NOT NULL DEFAULT '';" /* in hex, separated by spaces */
	"ALTER TABLE xmpp_partner ADD COLUMN pin_mode TEXT NOT NULL DEFAULT 'alarm' CHECK(pin_mode IN ('alarm', 'block'));"
	"ALTER TABLE xmpp_partner ADD COLUMN dane INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE xmpp_partner ADD COLUMN delegation INTEGER NOT NULL DEFAULT 0;",
	/* 3: SIP federation; the parameters are lines, name=value, of policy/federation.def */
	"CREATE TABLE federation("
	" kind TEXT NOT NULL CHECK(kind IN ('access-edge', 'allowed-domain', 'hosting-provider', 'public-provider')),"
	" key TEXT NOT NULL,"
	" fields TEXT NOT NULL,"
	" PRIMARY KEY(kind, key)) STRICT, WITHOUT ROWID;",
	/* 4: administrators of the HTTP API */
	"CREATE TABLE admin_account("
	" name TEXT PRIMARY KEY,"
	" role TEXT NOT NULL,"
	" hash TEXT NOT NULL," /* of the password: argon2id */
	" enabled INTEGER NOT NULL,"
	" made_at INTEGER NOT NULL,"
	" changed_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE admin_token("
	" name TEXT PRIMARY KEY,"
	" role TEXT NOT NULL,"
	" hash TEXT NOT NULL," /* of the secret: BLAKE2b, in hex */
	" expires_at INTEGER NOT NULL,"
	" made_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
	/* 5: the policy of past generations as text; and notes, by name */
	"CREATE TABLE document("
	" generation INTEGER PRIMARY KEY,"
	" text BLOB NOT NULL) STRICT;"
	"CREATE TABLE note("
	" name TEXT PRIMARY KEY,"
	" value BLOB NOT NULL) STRICT, WITHOUT ROWID;",
	/* 6: external access policies and users are further kinds. Before, every user could reach every partner: where there are partners it
	 * stays so; a new database begins closed, as Lync does (ADR 38) */
	"CREATE TABLE object("
	" kind TEXT NOT NULL CHECK(kind IN ('access-edge', 'allowed-domain', 'hosting-provider', 'public-provider', 'external-access', 'user')),"
	" key TEXT NOT NULL,"
	" fields TEXT NOT NULL,"
	" PRIMARY KEY(kind, key)) STRICT, WITHOUT ROWID;"
	"INSERT INTO object SELECT kind, key, fields FROM federation;"
	"DROP TABLE federation;"
	"INSERT INTO history(generation, at, who, what)"
	" SELECT (SELECT coalesce(max(generation), 0) + 1 FROM history), unixepoch(), 'upgrade',"
	"  'external-access global set federation=true xmpp=true public-cloud=true public-cloud-audio-video=true: all users could before'"
	" WHERE EXISTS(SELECT 1 FROM xmpp_partner) OR EXISTS(SELECT 1 FROM object);"
	"INSERT INTO object(kind, key, fields)"
	" SELECT 'external-access', 'global', 'federation=true' || char(10) || 'xmpp=true' || char(10) || 'public-cloud=true' || char(10) ||"
	"  'public-cloud-audio-video=true' || char(10)"
	" WHERE EXISTS(SELECT 1 FROM xmpp_partner) OR EXISTS(SELECT 1 FROM object);"
	"ALTER TABLE object RENAME TO federation;",
	/* 7 */
	"ALTER TABLE xmpp_partner ADD COLUMN protocol TEXT NOT NULL DEFAULT 'xmpp'"
	" CHECK(protocol IN ('xmpp', 'sip', 'xmpp-first', 'sip-first'));",
	/* 8 */
	"CREATE TABLE seen(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, records BLOB NOT NULL);"
	"CREATE INDEX seen_at ON seen(at);",
};
enum { VERSION = sizeof steps / sizeof *steps };

static int damaged(const char *path, const char *what, struct entente_err *err)
{
	return err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE,
		       "%.80s is damaged (%.50s): put a backup in its place, or move it away, start, and import policy.yaml, which lies beside it; see "
		       "entented(8)",
		       path, what);
}

int store_fail(sqlite3 *db, const char *what, struct entente_err *err)
{
	int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
	if (path && ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB))
		return damaged(path, sqlite3_errmsg(db), err);
	return err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE, "%s: %s (SQLite %d)", what,
		       db ? sqlite3_errmsg(db) : "out of memory", code);
}

int store_connect(sqlite3 **ret, const char *path, bool writer, struct entente_err *err)
{
	sqlite3 *db = NULL;
	/* Each connection is used by one thread. foreign_keys belongs to the connection, not to the file. What SQLite would put into files below /tmp (a savepoint
	 * with many changes, a large sort) stays in memory: the sandbox lets nobody write there. */
	const char *set = writer ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
				   "PRAGMA trusted_schema=OFF; PRAGMA journal_size_limit=16777216; PRAGMA temp_store=MEMORY;"
				 : "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;";
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(db, 1);
		sqlite3_busy_timeout(db, 5000);
		rc = sqlite3_exec(db, set, NULL, NULL, NULL);
	}
	if (rc != SQLITE_OK) {
		int code = store_fail(db, path, err);
		sqlite3_close(db);
		return code;
	}
	*ret = db;
	return 0;
}

static int one_number(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(st, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(st);
	return rc;
}

static int check_integrity(sqlite3 *db, const char *path, struct entente_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = 0;
	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW) {
		rc = store_fail(db, path, err);
	} else {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		if (!text || strcmp(text, "ok"))
			rc = damaged(path, text ? text : "?", err);
	}
	sqlite3_finalize(st);
	return rc;
}

int store_schema_prepare(sqlite3 *db, const char *path, bool checked, struct entente_err *err)
{
	int64_t id = 0, version = 0, tables = 0;
	if (one_number(db, "PRAGMA application_id", &id) != SQLITE_OK ||
	    one_number(db, "PRAGMA user_version", &version) != SQLITE_OK ||
	    one_number(db, "SELECT count(*) FROM sqlite_schema", &tables) != SQLITE_OK)
		return store_fail(db, path, err);
	if (id != APPLICATION_ID && (tables || version))
		return err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE, "%s is a database of another program", path);
	if (version > VERSION)
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_SERVER_STORE,
			       "%s has schema %lld, made by a newer version of Entente; this one "
			       "knows up to %d: install the newer version again, or restore a backup from before the upgrade",
			       path, (long long)version, VERSION);
	int rc = checked && version == VERSION ? 0 : check_integrity(db, path, err);
	if (rc)
		return rc;
	for (; version < VERSION; version++) {
		char tail[96];
		snprintf(tail, sizeof tail, "PRAGMA user_version=%lld; PRAGMA application_id=%d; COMMIT", (long long)version + 1,
			 APPLICATION_ID);
		if (sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(db, steps[version], NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(db, tail, NULL, NULL, NULL) != SQLITE_OK) {
			store_fail(db, "cannot bring the database to the present schema", err);
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return ENTENTE_ESTORE;
		}
	}
	return 0;
}

int store_inspect(const char *directory, char *damage, size_t size, struct entente_err *err)
{
	char path[4200];
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int n = snprintf(path, sizeof path, "%s/entente.db", directory), ret = 0;
	*damage = 0;
	if (n < 0 || n >= (int)sizeof path)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "%.100s...: the path is too long", directory);
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, 5000);
		rc = sqlite3_exec(db, "PRAGMA trusted_schema=OFF", NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK && (rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL)) == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		if (!text || strcmp(text, "ok") != 0)
			snprintf(damage, size, "%s", text ? text : "?");
	} else if ((rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT) {
		snprintf(damage, size, "%s", sqlite3_errmsg(db));
	} else {
		ret = store_fail(db, path, err);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}

int store_note_read(const char *directory, struct slice name, struct buf *ret, struct entente_err *err)
{
	char path[4200];
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	snprintf(path, sizeof path, "%.4000s/entente.db", directory);
	int code = 0, rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, 5000);
		rc = sqlite3_exec(db, "PRAGMA trusted_schema=OFF", NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "SELECT value FROM note WHERE name = ?1", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 1, name.p, (int)name.len, SQLITE_STATIC);
	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		buf_put(ret, slice_of(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)));
	else if (rc == SQLITE_DONE)
		code = err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "%s has no note of that name", path);
	else
		code = store_fail(db, path, err);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return code;
}
