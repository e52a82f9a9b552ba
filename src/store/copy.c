/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of the database: of its policy for drafts, of everything as a backup. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/internal.h"
#include "store/store_set.h"

/* What the policy is made of. A new table of policy belongs here; tests/unit/store/test_set.c wants every table of the schema either here
 * or on its own list of those that are not policy. */
_Static_assert(STORE_BY_ADMIN == 3, "as in tables_copy");
const char *const store_policy_tables[] = {"xmpp_partner", "xmpp_partner_domain", "blocked_domain", "federation", NULL};

const char *store_directory(const struct store *s)
{
	return s->opt.directory;
}

static int path_make(char *ret, size_t size, const char *directory, const char *name, struct entente_err *err)
{
	int n = snprintf(ret, size, "%s/%s", directory, name);
	return n > 0 && (size_t)n < size ? 0 : err_set(err, ENTENTE_EINVAL, REASON_SERVER_STORE, "the name %s is too long", directory);
}

static const char *const files[] = {"entente.db", "entente.db-wal", "entente.db-shm", "entente.db-journal", "entente.db.lock"};

static int files_remove(const char *directory, struct entente_err *err)
{
	char path[4300];
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		int rc = path_make(path, sizeof path, directory, files[i], err);
		if (rc)
			return rc;
		if (unlink(path) && errno != ENOENT)
			return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot remove %s: %s", path, strerror(errno));
	}
	return 0;
}

int store_copy_remove(const char *directory, struct entente_err *err)
{
	int rc = files_remove(directory, err);
	if (!rc && rmdir(directory) && errno != ENOENT)
		rc = err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot remove %s: %s", directory, strerror(errno));
	return rc;
}

static int statement(sqlite3 *db, const char *sql, const char *text, struct entente_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK && text)
		rc = sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	int code = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_fail(db, "cannot copy", err);
	sqlite3_finalize(st);
	return code;
}

static int tables_copy(sqlite3 *db, const char *from, struct entente_err *err)
{
	char sql[256];
	int rc = statement(db, "ATTACH ?1 AS live", from, err);
	if (!rc)
		rc = statement(db, "BEGIN", NULL, err);
	for (size_t i = 0; !rc && store_policy_tables[i]; i++) {
		snprintf(sql, sizeof sql, "INSERT INTO main.%s SELECT * FROM live.%s", store_policy_tables[i], store_policy_tables[i]);
		rc = statement(db, sql, NULL, err);
	}
	/* of the contacts those that an administrator has set */
	if (!rc)
		rc = statement(db, "INSERT INTO main.contact SELECT * FROM live.contact WHERE how = 3", NULL, err);
	/* so that the copy goes on counting from there */
	if (!rc)
		rc = statement(db, "INSERT INTO main.history SELECT * FROM live.history ORDER BY generation DESC LIMIT 1", NULL, err);
	if (!rc)
		rc = statement(db, "COMMIT", NULL, err);
	return rc;
}

int store_copy_policy(struct store *s, const char *directory, struct entente_err *err)
{
	struct store *fresh = NULL;
	sqlite3 *db = NULL;
	char path[4300];
	if (mkdir(directory, 0700) && errno != EEXIST)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot make %s: %s", directory, strerror(errno));
	int rc = files_remove(directory, err);
	if (!rc)
		rc = path_make(path, sizeof path, directory, "entente.db", err);
	if (!rc)
		rc = store_open(&fresh, &(struct store_options){.directory = directory}, err); /* makes the tables */
	store_close(fresh);
	if (!rc)
		rc = store_connect(&db, path, true, err);
	if (!rc)
		rc = tables_copy(db, s->path, err);
	sqlite3_close(db);
	if (rc)
		store_copy_remove(directory, NULL);
	return rc;
}

int store_backup(struct store *s, const char *path, struct entente_err *err)
{
	sqlite3 *db = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot make %s: %s", path, strerror(errno));
	close(fd); /* VACUUM INTO takes an empty file, and its mode stays */
	int rc = store_connect(&db, s->path, true, err);
	if (!rc)
		rc = statement(db, "VACUUM INTO ?1", path, err);
	sqlite3_close(db);
	fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (!rc && (fd < 0 || fsync(fd)))
		rc = err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (rc)
		unlink(path);
	return rc;
}
