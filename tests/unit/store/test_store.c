/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "scratch.h"

static int show_contact(void *arg, const struct store_contact *c)
{
	buf_printf(arg, "%.*s>%.*s %lld %s\n", SFMT(c->local_user), SFMT(c->remote_user), (long long)c->learned_at,
		   store_how_name(c->how));
	return 0;
}

static int show_watch(void *arg, const struct store_watch *w)
{
	buf_printf(arg, "%.*s>%.*s %d %lld\n", SFMT(w->watcher), SFMT(w->presentity), w->state, (long long)w->since);
	return 0;
}

static int show_dialog(void *arg, const struct store_dialog *d)
{
	buf_printf(arg, "%.*s %.*s %.*s %zu %lld\n", SFMT(d->id), SFMT(d->local_user), SFMT(d->remote_user), d->blob.len,
		   (long long)d->expires_at);
	return d->blob.len == 3 && memcmp(d->blob.p, "a\0b", 3) != 0 ? 7 : 0;
}

#define SHOWS(load, show, want) \
	do { \
		struct buf out_; \
		buf_init(&out_, 65536); \
		assert_int_equal(load(s, show, &out_, NULL), 0); \
		buf_putc(&out_, '\0'); \
		assert_string_equal(buf_slice(&out_).p, want); \
		buf_free(&out_); \
	} while (0)

static void test_round_trip(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct store_contact c = {S("r@a.test"), S("j@b.test"), 100, STORE_BY_SUBSCRIBE};
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), 0);
	c.learned_at = 200; /* the first one stays */
	c.how = STORE_BY_ADMIN;
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), 0);
	c.remote_user = S("k@b.test");
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), 0);
	assert_int_equal(store_contact_delete(s, S("no"), S("body"), NULL, NULL), 0);

	struct store_watch w = {S("j@b.test"), S("r@a.test"), STORE_WATCH_PENDING, 5};
	assert_int_equal(store_watch_put(s, &w, NULL, NULL), 0);
	w.state = STORE_WATCH_ACTIVE;
	w.since = 6;
	assert_int_equal(store_watch_put(s, &w, NULL, NULL), 0);

	struct store_dialog d = {S("id1"), S("r@a.test"), S("j@b.test"), slice_of("a\0b", 3), 1000};
	assert_int_equal(store_dialog_put(s, &d, NULL, NULL), 0);
	d = (struct store_dialog){S("id2"), S("x"), SLICE_NONE, SLICE_NONE, 2000};
	assert_int_equal(store_dialog_put(s, &d, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	for (int round = 0; round < 2; round++) {
		SHOWS(store_load_contacts, show_contact, "r@a.test>j@b.test 100 subscribe\nr@a.test>k@b.test 200 admin\n");
		SHOWS(store_load_watches, show_watch, "j@b.test>r@a.test 1 6\n");
		SHOWS(store_load_dialogs, show_dialog, "id1 r@a.test j@b.test 3 1000\nid2 x  0 2000\n");
		store_close(s);
		s = scratch_open(); /* and again after a restart */
	}
	assert_int_equal(store_dialog_purge(s, 1000, NULL, NULL), 0);
	assert_int_equal(store_contact_delete(s, S("r@a.test"), S("j@b.test"), NULL, NULL), 0);
	assert_int_equal(store_watch_delete(s, w.watcher, w.presentity, NULL, NULL), 0);
	store_flush(s);
	SHOWS(store_load_contacts, show_contact, "r@a.test>k@b.test 200 admin\n");
	SHOWS(store_load_watches, show_watch, "");
	SHOWS(store_load_dialogs, show_dialog, "id2 x  0 2000\n");
	assert_int_equal(store_dialog_delete(s, S("id2"), NULL, NULL), 0);
	store_flush(s);
	SHOWS(store_load_dialogs, show_dialog, "");
	store_close(s);
	store_close(NULL);
}

static int show_seen(void *arg, struct slice records)
{
	buf_printf(arg, "%zu %02x\n", records.len, (unsigned char)records.p[0]);
	return 0;
}

static void test_seen(void **state)
{
	(void)state;
	static char large[STORE_BLOB_MAX + 1];
	struct store *s = scratch_open();
	assert_int_equal(store_seen_put(s, 100, slice_of("\xff\0z", 3), NULL, NULL), 0);
	assert_int_equal(store_seen_put(s, 200, slice_of("\1", 1), NULL, NULL), 0);
	assert_int_equal(store_seen_put(s, 200, slice_of(large, STORE_BLOB_MAX), NULL, NULL), 0);
	assert_int_equal(store_seen_put(s, 200, slice_of(large, sizeof large), NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(store_seen_put(s, 200, SLICE_NONE, NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(store_flush(s), 0);
	for (int round = 0; round < 2; round++) {
		SHOWS(store_load_seen, show_seen, "3 ff\n1 01\n65536 00\n");
		store_close(s);
		s = scratch_open();
	}
	assert_int_equal(store_seen_purge(s, 200, NULL, NULL), 0);
	store_flush(s);
	SHOWS(store_load_seen, show_seen, "1 01\n65536 00\n");
	store_close(s);
}

static int count(void *arg, const struct store_contact *c)
{
	(void)c;
	return ++*(int *)arg == 3 ? 42 : 0;
}

/* Many changes of few keys: the last of each key must win, and completions come in the order of the calls. */
static unsigned order_next;
static bool order_ok = true;

static void in_order(void *arg, int code, const struct entente_err *err)
{
	order_ok = order_ok && code == 0 && !err && (uintptr_t)arg == order_next++;
}

static void test_order(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	enum { N = 3000 };
	for (uintptr_t i = 0; i < N; i++) {
		struct slice key = i % 3 == 0 ? S("a") : i % 3 == 1 ? S("b") : S("c");
		struct store_watch w = {key, S("p"), STORE_WATCH_ACTIVE, (int64_t)i};
		if (i % 7 == 0)
			assert_int_equal(store_watch_delete(s, key, S("p"), in_order, (void *)i), 0);
		else
			assert_int_equal(store_watch_put(s, &w, in_order, (void *)i), 0);
	}
	assert_int_equal(store_flush(s), 0);
	assert_true(order_ok);
	assert_int_equal(order_next, N);
	/* 2997 a, 2998 b, 2999 c: none a multiple of 7 */
	SHOWS(store_load_watches, show_watch, "a>p 1 2997\nb>p 1 2998\nc>p 1 2999\n");
	for (int i = 0; i < 5; i++) {
		char z[8];
		snprintf(z, sizeof z, "c%d", i);
		struct store_contact c = {S("r"), slice_str(z), i, STORE_BY_MESSAGE};
		store_contact_put(s, &c, NULL, NULL);
	}
	store_flush(s);
	int n = 0;
	assert_int_equal(store_load_contacts(s, count, &n, NULL), 42); /* stopped by the callback */
	assert_int_equal(n, 3);
	store_close(s);
}

static void test_bounds(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	static char big[STORE_BLOB_MAX + 1];
	memset(big, 'x', sizeof big);
	struct store_contact c = {slice_of(big, STORE_TEXT_MAX), S("j"), 1, STORE_BY_INVITE};
	assert_int_equal(WAIT(NULL, store_contact_put(s, &c, done, arg)), 0);
	c.local_user.len++;
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), ENTENTE_EINVAL);
	c.local_user = slice_of("a\0b", 3);
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), ENTENTE_EINVAL);
	c.local_user = S("\xff");
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), ENTENTE_EINVAL);
	c.local_user = SLICE_NONE;
	assert_int_equal(store_contact_put(s, &c, NULL, NULL), ENTENTE_EINVAL);
	struct store_dialog d = {S("id"), S("a"), S("b"), slice_of(big, STORE_BLOB_MAX), 1};
	assert_int_equal(WAIT(NULL, store_dialog_put(s, &d, done, arg)), 0);
	d.blob.len++;
	assert_int_equal(store_dialog_put(s, &d, NULL, NULL), ENTENTE_EINVAL);
	store_close(s);
}

static void test_secret(void **state)
{
	(void)state;
	unsigned char a[STORE_SECRET_LEN], b[STORE_SECRET_LEN], zero[STORE_SECRET_LEN] = {0};
	struct store *s = scratch_open();
	store_dialback_secret(s, a);
	store_close(s);
	s = scratch_open();
	store_dialback_secret(s, b);
	store_close(s);
	assert_memory_equal(a, b, sizeof a);
	assert_memory_not_equal(a, zero, sizeof a);
}

static void test_mode(void **state)
{
	(void)state;
	char path[128];
	struct stat st;
	mode_t old = umask(0);
	struct store *s = scratch_open();
	const char *names[] = {"entente.db", "entente.db-wal", "entente.db-shm", "entente.db.lock"};
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", scratch, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	store_close(s);
	snprintf(path, sizeof path, "%s/entente.db", scratch);
	chmod(path, 0644); /* someone was careless */
	store_close(scratch_open());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	umask(old);
}

static void refused(int code, const char *words)
{
	struct store *s = NULL;
	struct entente_err err = {0};
	assert_int_equal(store_open(&s, &(struct store_options){.directory = scratch}, &err), code);
	assert_null(s);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
}

static void sql(const char *text)
{
	char path[128];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/entente.db", scratch);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_two_daemons(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	refused(ENTENTE_ESTORE, "another entented");
	store_close(s);
	store_close(scratch_open());
}

static void test_newer(void **state)
{
	(void)state;
	store_close(scratch_open());
	sql("PRAGMA user_version=999");
	refused(ENTENTE_EUNSUPPORTED, "newer version of Entente");
}

static void test_foreign(void **state)
{
	(void)state;
	sql("CREATE TABLE cats(name TEXT)");
	refused(ENTENTE_ESTORE, "another program");
}

static void write_file(const char *text, size_t n, long at)
{
	char path[128];
	snprintf(path, sizeof path, "%s/entente.db", scratch);
	FILE *f = fopen(path, at ? "r+" : "w");
	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	fwrite(text, 1, n, f);
	fclose(f);
}

static void test_garbage(void **state)
{
	(void)state;
	char junk[8192];
	memset(junk, 'j', sizeof junk);
	write_file(junk, sizeof junk, 0);
	refused(ENTENTE_ESTORE, "damaged (file is not a database)");
}

static void test_damaged(void **state)
{
	(void)state;
	store_close(scratch_open());
	char junk[4096];
	memset(junk, 'j', sizeof junk);
	write_file(junk, sizeof junk, 4096 * 2); /* the root page of a table */
	refused(ENTENTE_ESTORE, "damaged");
}

/* Beside a daemon that runs, after it, and when it is spoiled; nothing is written. */
static void test_inspect(void **state)
{
	(void)state;
	char damage[200], junk[4096];
	struct entente_err err = {0};
	assert_int_equal(store_inspect(scratch, damage, sizeof damage, &err), ENTENTE_ESTORE); /* there is none, and none is made */
	assert_true(err.text[0]);
	struct store *s = scratch_open();
	struct store_contact k = {S("romeo@contoso.example"), S("juliet@fabrikam.example"), 1, STORE_BY_ADMIN};
	assert_int_equal(WAIT(NULL, store_contact_put(s, &k, done, arg)), 0);
	assert_int_equal(store_inspect(scratch, damage, sizeof damage, &err), 0);
	assert_string_equal(damage, "");
	store_close(s);
	assert_int_equal(store_inspect(scratch, damage, sizeof damage, &err), 0);
	assert_string_equal(damage, "");
	memset(junk, 'j', sizeof junk);
	write_file(junk, sizeof junk, 4096 * 2);
	assert_int_equal(store_inspect(scratch, damage, sizeof damage, &err), 0);
	assert_true(damage[0]);
	for (int i = 0; i < 2; i++)
		write_file(junk, sizeof junk, 0);
	assert_int_equal(store_inspect(scratch, damage, sizeof damage, &err), 0);
	assert_non_null(strstr(damage, "not a database"));
}

static void test_directory(void **state)
{
	(void)state;
	struct store *s = NULL;
	struct entente_err err;
	assert_int_equal(store_open(&s, &(struct store_options){.directory = "/nonexistent/place"}, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "must exist"));
	static char longname[5000];
	memset(longname, 'd', sizeof longname - 1);
	assert_int_equal(store_open(&s, &(struct store_options){.directory = longname}, &err), ENTENTE_EINVAL);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(test_round_trip), FRESH(test_seen), FRESH(test_order), FRESH(test_bounds), FRESH(test_secret),
					   FRESH(test_mode), FRESH(test_two_daemons), FRESH(test_newer), FRESH(test_foreign),
					   FRESH(test_garbage), FRESH(test_damaged), FRESH(test_inspect), FRESH(test_directory)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
