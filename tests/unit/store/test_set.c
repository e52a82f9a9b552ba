/* SPDX-License-Identifier: Apache-2.0 */
/* Many changes as one; documents; notes; copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "sandbox/sandbox.h"
#include "scratch.h"
#include "store/store_federation.h"
#include "store/store_set.h"

static struct policy_partner partner(const char *domain)
{
	struct policy_partner p = {.domain = slice_str(domain)};
	policy_partner_defaults(&p);
	return p;
}

static int count_partner(void *arg, const struct policy_partner *p)
{
	(void)p;
	++*(int *)arg;
	return 0;
}

static int partners(struct store *s, int64_t *ret_generation)
{
	int n = 0;
	assert_int_equal(store_load_policy(s, count_partner, NULL, &n, ret_generation, NULL), 0);
	return n;
}

static int last(void *arg, const struct store_change *c)
{
	snprintf(arg, 4096, "%lld %.*s: %.*s", (long long)c->generation, SFMT(c->who), SFMT(c->what));
	return 1;
}

static int submit(struct store *s, struct store_set *set, int64_t expect, struct entente_err *err)
{
	return WAIT(err, store_set_submit(s, set, expect, S("anna"), S("two things"), done, arg));
}

static void test_all_or_nothing(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct entente_err err = {0};
	struct policy_partner a = partner("a.test"), b = partner("b.test");
	int64_t generation;
	char text[4096];

	assert_int_equal(store_generation(s), 0);
	struct store_set *set = store_set_new();
	assert_int_equal(store_partner_add(store_set_collector(set), &a, S("x"), NULL, NULL), 0);
	assert_int_equal(store_block_add(store_set_collector(set), S("evil.test"), S(""), S("x"), NULL, NULL), 0);
	assert_int_equal(store_federation_put(store_set_collector(set), STORE_ALLOWED_DOMAIN, S("c.test"), S("comment=\n"), S("x"), S("add"), NULL, NULL), 0);
	assert_int_equal(store_set_count(set), 3);
	assert_int_equal(submit(s, set, 0, &err), 0);
	assert_int_equal(partners(s, &generation), 1);
	assert_int_equal(generation, 1); /* three changes, one generation */
	assert_int_equal(store_generation(s), 1);
	store_load_history(s, 1, last, text, NULL);
	assert_non_null(strstr(text, "1 anna: two things\npartner add a.test "));
	assert_non_null(strstr(text, "\nblocked-domain add evil.test\nallowed-domain c.test add"));

	/* the second fails: nothing of the first */
	set = store_set_new();
	assert_int_equal(store_partner_add(store_set_collector(set), &b, S("x"), NULL, NULL), 0);
	assert_int_equal(store_partner_add(store_set_collector(set), &a, S("x"), NULL, NULL), 0);
	assert_int_equal(submit(s, set, -1, &err), ENTENTE_EEXIST);
	assert_non_null(strstr(err.text, "a.test"));
	assert_int_equal(partners(s, &generation), 1);
	assert_int_equal(generation, 1);
	assert_int_equal(store_generation(s), 1);

	/* made for another generation */
	set = store_set_new();
	assert_int_equal(store_partner_add(store_set_collector(set), &b, S("x"), NULL, NULL), 0);
	assert_int_equal(submit(s, set, 0, &err), ENTENTE_EREFUSED);
	assert_int_equal(partners(s, NULL), 1);

	/* what a single request refuses, the set never takes */
	set = store_set_new();
	assert_int_equal(store_block_add(store_set_collector(set), S(""), S(""), S("x"), NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(store_set_count(set), 0);
	store_set_free(set);

	/* only a note: no generation; dropped unsent: nothing */
	set = store_set_new();
	assert_int_equal(store_note_put(store_set_collector(set), S("n"), S("v"), NULL, NULL), 0);
	assert_int_equal(submit(s, set, 1, &err), 0);
	set = store_set_new();
	assert_int_equal(store_partner_add(store_set_collector(set), &b, S("x"), NULL, NULL), 0);
	store_set_free(set);
	store_close(s);
	s = scratch_open();
	assert_int_equal(store_generation(s), 1);
	assert_int_equal(partners(s, NULL), 1);
	store_close(s);
}

static int tail_of(void *arg, const struct store_change *c)
{
	assert_true(c->what.len < STORE_SET_LINES_MAX + 100);
	slice_cstr(slice_skip(c->what, c->what.len - 20), arg, 32);
	return 1;
}

static void test_large(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct store_set *set = store_set_new();
	char name[32], tail[32] = "";
	struct entente_err err = {0};
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "p%d.test", i);
		struct policy_partner p = partner(name);
		assert_int_equal(store_partner_add(store_set_collector(set), &p, S("x"), NULL, NULL), 0);
	}
	assert_int_equal(submit(s, set, 0, &err), 0);
	assert_int_equal(partners(s, NULL), 3000);
	assert_int_equal(store_generation(s), 1);
	store_load_history(s, 1, tail_of, tail, NULL);
	assert_non_null(strstr(tail, "... and ")); /* the history counts what it has no room for */
	store_close(s);
}

static int change_all(struct store *s, int n, bool there)
{
	struct store_set *set = store_set_new();
	struct entente_err err = {0};
	char name[32];
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "p%d.test", i * 7919 % n);
		struct policy_partner p = partner(name);
		p.keep_alive ^= there;
		if ((there ? store_partner_set : store_partner_add)(store_set_collector(set), &p, S("x"), NULL, NULL))
			return -1;
	}
	int rc = submit(s, set, -1, &err);
	if (rc)
		fprintf(stderr, "# %s\n", err.text);
	return rc;
}

/* What SQLite has no room for must not go to where a daemon that has locked itself in cannot write. */
static void test_large_locked_in(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct sandbox_paths *paths = sandbox_paths_new();
		struct sandbox_level level;
		struct store *s = NULL;
		sandbox_paths_system(paths);
		sandbox_paths_write(paths, scratch);
		int rc = sandbox_enter(&(struct sandbox_opts){.mode = SANDBOX_ON, .paths = paths}, &level, NULL);
		if (!rc)
			rc = store_open(&s, &(struct store_options){.directory = scratch}, NULL);
		if (!rc)
			rc = change_all(s, MANY, false);
		if (!rc)
			rc = change_all(s, MANY, true);
		_exit(rc ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int sum(void *arg, int64_t generation, size_t octets)
{
	int64_t *a = arg;
	a[0]++;
	a[1] = generation;
	a[2] += (int64_t)octets;
	return 0;
}

static void test_documents(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct buf b;
	struct entente_err err = {0};
	int64_t all[3] = {0};
	buf_init(&b, STORE_LARGE_MAX);
	for (int i = 1; i <= 105; i++)
		assert_int_equal(WAIT(&err, store_document_put(s, i, S("policy"), done, arg)), 0);
	assert_int_equal(store_load_documents(s, sum, all, &err), 0);
	assert_int_equal(all[0], STORE_DOCUMENTS_MAX);
	assert_int_equal(all[1], 6);
	assert_int_equal(store_document_load(s, 5, &b, &err), ENTENTE_ENOTFOUND);
	assert_int_equal(store_document_load(s, 6, &b, &err), 0);
	assert_true(slice_eq(buf_slice(&b), S("policy")));
	/* by size: 16 MiB each, four are the limit */
	char *big = calloc(1, STORE_LARGE_MAX);
	for (int i = 200; i < 206; i++)
		assert_int_equal(WAIT(&err, store_document_put(s, i, slice_of(big, STORE_LARGE_MAX), done, arg)), 0);
	memset(all, 0, sizeof all);
	assert_int_equal(store_load_documents(s, sum, all, &err), 0);
	assert_int_equal(all[0], 4);
	assert_int_equal(all[1], 202);
	assert_int_equal(store_document_put(s, 300, slice_of(big, STORE_LARGE_MAX + 1), NULL, NULL), ENTENTE_EINVAL);
	free(big);

	buf_clear(&b);
	assert_int_equal(store_note_load(s, S("n"), &b, &err), ENTENTE_ENOTFOUND);
	assert_int_equal(WAIT(&err, store_note_put(s, S("n"), S("1"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_note_put(s, S("n"), S("2"), done, arg)), 0);
	assert_int_equal(store_note_load(s, S("n"), &b, &err), 0);
	assert_true(slice_eq(buf_slice(&b), S("2")));
	assert_int_equal(WAIT(&err, store_note_delete(s, S("n"), done, arg)), 0);
	assert_int_equal(store_note_load(s, S("n"), &b, &err), ENTENTE_ENOTFOUND);
	buf_free(&b);
	store_close(s);
}

/* Every table is either copied with the policy or known not to be policy. */
static void test_every_table_is_decided(void **state)
{
	(void)state;
	static const char *const others[] = {"history", "contact", "watch", "dialog", "seen", "secret", "admin_account", "admin_token", "document", "note"};
	char path[100];
	sqlite3 *db;
	sqlite3_stmt *st;
	store_close(scratch_open());
	snprintf(path, sizeof path, "%s/entente.db", scratch);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'", -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		int n = 0;
		for (size_t i = 0; store_policy_tables[i]; i++)
			n += !strcmp(name, store_policy_tables[i]);
		for (size_t i = 0; i < sizeof others / sizeof *others; i++)
			n += !strcmp(name, others[i]);
		if (n != 1)
			fail_msg("table %s: policy (store/copy.c) or not (here)?", name);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static void test_copy(void **state)
{
	(void)state;
	struct store *s = scratch_open(), *copy = NULL;
	struct entente_err err = {0};
	struct policy_partner a = partner("a.test"), b = partner("b.test");
	struct store_contact c = {S("r"), S("j"), 1, STORE_BY_MESSAGE};
	unsigned char one[STORE_SECRET_LEN], two[STORE_SECRET_LEN];
	char dir[100], file[100];
	int64_t generation;
	struct stat st;
	snprintf(dir, sizeof dir, "%s/draft", scratch);
	snprintf(file, sizeof file, "%s/backup.db", scratch);
	assert_string_equal(store_directory(s), scratch);
	assert_int_equal(WAIT(&err, store_partner_add(s, &a, S("x"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_block_add(s, S("evil.test"), S("why"), S("x"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_contact_put(s, &c, done, arg)), 0);
	assert_int_equal(store_copy_policy(s, dir, &err), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(store_open(&copy, &(struct store_options){.directory = dir}, &err), 0);
	assert_int_equal(store_generation(copy), 2);
	assert_int_equal(WAIT(&err, store_partner_add(copy, &b, S("x"), done, arg)), 0);
	assert_int_equal(partners(copy, &generation), 2);
	assert_int_equal(generation, 3);
	assert_int_equal(partners(s, &generation), 1); /* the original does not notice */
	assert_int_equal(generation, 2);
	store_dialback_secret(s, one);
	store_dialback_secret(copy, two);
	assert_memory_not_equal(one, two, sizeof one);
	store_close(copy);
	assert_int_equal(store_copy_policy(s, dir, &err), 0); /* replaces */
	assert_int_equal(store_open(&copy, &(struct store_options){.directory = dir}, &err), 0);
	assert_int_equal(partners(copy, NULL), 1);
	store_close(copy);
	assert_int_equal(store_copy_remove(dir, &err), 0);
	assert_int_equal(stat(dir, &st), -1);
	assert_int_equal(store_copy_remove(dir, &err), 0);

	assert_int_equal(store_backup(s, file, &err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_backup(s, file, &err), ENTENTE_EIO); /* never over another file */
	assert_int_equal(WAIT(&err, store_partner_remove(s, S("a.test"), S("x"), done, arg)), 0);
	store_close(s);
	/* the way back */
	char db[100], wal[100];
	snprintf(db, sizeof db, "%s/entente.db", scratch);
	snprintf(wal, sizeof wal, "%s/entente.db-wal", scratch);
	unlink(wal);
	assert_int_equal(rename(file, db), 0);
	s = scratch_open();
	assert_int_equal(partners(s, &generation), 1);
	assert_int_equal(generation, 2);
	store_dialback_secret(s, two);
	assert_memory_equal(one, two, sizeof one);
	store_close(s);
}

/* A set of 200 objects under SIGKILL, at many moments: all of it or none. */
static void test_kill(void **state)
{
	(void)state;
	enum { N = 200 };
	struct entente_err err = {0};
	store_close(scratch_open());
	for (int round = 0; round < 12; round++) {
		int fd[2];
		assert_int_equal(pipe(fd), 0);
		pid_t pid = fork();
		if (pid == 0) {
			struct store *s = NULL;
			if (store_open(&s, &(struct store_options){.directory = scratch}, NULL))
				_exit(1);
			for (int64_t k = store_generation(s);; k++) {
				struct store_set *set = store_set_new();
				char name[32];
				for (int i = 0; i < N; i++) { /* in turn all of them are made and removed */
					snprintf(name, sizeof name, "p%d.test", i);
					struct policy_partner p = partner(name);
					if (k & 1)
						store_partner_remove(store_set_collector(set), p.domain, S("x"), NULL, NULL);
					else
						store_partner_add(store_set_collector(set), &p, S("x"), NULL, NULL);
				}
				if (write(fd[1], "", 1) != 1 || store_set_submit(s, set, k, S("x"), S("all"), NULL, NULL) || store_flush(s))
					_exit(1);
			}
		}
		close(fd[1]);
		char c;
		for (int i = 0; i < 3; i++)
			assert_int_equal(read(fd[0], &c, 1), 1);
		usleep((useconds_t)(round * 700));
		kill(pid, SIGKILL);
		int status;
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		close(fd[0]);
		struct store *s = NULL;
		int64_t generation;
		assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch}, &err), 0);
		int found = partners(s, &generation);
		assert_int_equal(found, generation & 1 ? N : 0);
		assert_int_equal(generation, store_generation(s));
		store_close(s);
	}
}

static void damage(const char *name, off_t at, bool cut)
{
	char path[100];
	snprintf(path, sizeof path, "%s/%s", scratch, name);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	char page[600];
	memset(page, 0xa5, sizeof page);
	if (cut)
		assert_int_equal(ftruncate(fd, at), 0);
	else
		assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
	close(fd);
}

/* Whatever is damaged: it is said, and with it the way back; never a crash, never an empty policy. */
static void test_damage(void **state)
{
	(void)state;
	static const struct {
		off_t at;
		bool cut;
	} cases[] = {{0, false}, {60, false}, {4096, false}, {8200, false}, {20, true}, {4096, true}, {6000, true}, {12288, true}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store *s = scratch_open();
		struct entente_err err = {0};
		char path[100];
		for (int k = 0; k < 40; k++) {
			char name[40];
			snprintf(name, sizeof name, "partner-number-%d.test", k);
			struct policy_partner p = partner(name);
			assert_int_equal(WAIT(&err, store_partner_add(s, &p, S("x"), done, arg)), 0);
		}
		store_close(s); /* writes all into the file */
		damage("entente.db", cases[i].at, cases[i].cut);
		s = NULL;
		int rc = store_open(&s, &(struct store_options){.directory = scratch}, &err);
		if (rc != ENTENTE_ESTORE || !strstr(err.text, "damaged") || !strstr(err.text, "policy.yaml"))
			fail_msg("case %zu: %d %s", i, rc, err.text);
		for (const char *const *f = (const char *const[]){"entente.db", "entente.db-wal", "entente.db-shm", NULL}; *f; f++) {
			snprintf(path, sizeof path, "%s/%s", scratch, *f);
			unlink(path);
		}
	}
}

/* Notes are read beside a daemon that has the database open, and without one; and the store needs nothing of its caller's options. */
static void test_notes_from_outside(void **state)
{
	(void)state;
	char place[64];
	struct store *s = NULL;
	struct entente_err err = {0};
	struct buf b;
	buf_init(&b, 4096);
	snprintf(place, sizeof place, "%s", scratch);
	assert_int_equal(store_open(&s, &(struct store_options){.directory = place}, &err), 0);
	memset(place, 'x', sizeof place - 1);
	assert_string_equal(store_directory(s), scratch);
	assert_int_equal(store_note_read(scratch, S("a"), &b, &err), ENTENTE_ENOTFOUND);
	assert_int_equal(WAIT(&err, store_note_put(s, S("a"), S("one"), done, arg)), 0);
	assert_int_equal(store_note_read(scratch, S("a"), &b, &err), 0);
	assert_true(slice_eq(buf_slice(&b), S("one")));
	store_close(s);
	buf_clear(&b);
	assert_int_equal(store_note_read(scratch, S("a"), &b, &err), 0);
	assert_true(slice_eq(buf_slice(&b), S("one")));
	assert_int_equal(store_note_read("/no/such", S("a"), &b, &err), ENTENTE_ESTORE);
	buf_free(&b);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(test_all_or_nothing), FRESH(test_large), FRESH(test_large_locked_in), FRESH(test_documents), FRESH(test_every_table_is_decided),
					   FRESH(test_copy), FRESH(test_kill), FRESH(test_damage), FRESH(test_notes_from_outside)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
