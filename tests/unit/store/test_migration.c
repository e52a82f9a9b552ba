/* SPDX-License-Identifier: Apache-2.0 */
/* Databases of earlier versions; argv[1]: the directory of their SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "scratch.h"
#include "store/store_federation.h"

static const char *directory;

static void make(const char *sql_file)
{
	char path[512], sql[16384], *why = NULL;
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/%s", directory, sql_file);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(sql, 1, sizeof sql - 1, f);
	fclose(f);
	sql[n] = 0;
	snprintf(path, sizeof path, "%s/entente.db", scratch);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why))
		fail_msg("%s", why);
	sqlite3_close(db);
}

static int partner(void *arg, const struct policy_partner *p)
{
	assert_true(slice_eq(p->domain, S("fabrikam.example")));
	assert_int_equal(p->n_additional, 1);
	assert_true(slice_eq(p->additional[0], S("research.fabrikam.example")));
	assert_int_equal(p->type, POLICY_FEDERATED);
	assert_int_equal(p->tls, POLICY_OPTIONAL);
	assert_int_equal(p->sasl, POLICY_REQUIRED);
	assert_true(p->enabled && p->keep_alive && !p->dialback);
	assert_int_equal(p->connection_limit, 7);
	assert_int_equal(p->server_port, 5270);
	/* what version 1 did not know behaves as it did then, or as a new partner does */
	assert_int_equal(p->own_certificate, POLICY_OWN_CLIENT);
	assert_int_equal(p->n_pins, 0);
	assert_true(p->dane && !p->delegation);
	++*(int *)arg;
	return 0;
}

static int block(void *arg, const struct store_block *b)
{
	assert_true(slice_eq(b->domain, S("evil.example")));
	*(int *)arg += 10;
	return 0;
}

static int contact(void *arg, const struct store_contact *c)
{
	assert_true(slice_eq(c->local_user, S("romeo@contoso.example")));
	*(int *)arg += 100;
	return 0;
}

static int watch(void *arg, const struct store_watch *w)
{
	assert_int_equal(w->state, STORE_WATCH_ACTIVE);
	*(int *)arg += 1000;
	return 0;
}

static void check(struct store *s)
{
	struct entente_err err = {0};
	unsigned char secret[STORE_SECRET_LEN];
	int64_t generation;
	int seen = 0;
	assert_int_equal(store_load_policy(s, partner, block, &seen, &generation, &err), 0);
	assert_int_equal(store_load_contacts(s, contact, &seen, &err), 0);
	assert_int_equal(store_load_watches(s, watch, &seen, &err), 0);
	assert_int_equal(seen, 1111);
	assert_int_equal(generation, 2); /* the upgrade lets everybody go on */
	store_dialback_secret(s, secret);
	for (int i = 0; i < STORE_SECRET_LEN; i++)
		assert_int_equal(secret[i], i);
}

static void version_1(void **state)
{
	(void)state;
	make("version-1.sql");
	struct store *s = scratch_open();
	check(s);
	store_close(s);
	s = scratch_open(); /* and is as good the second time */
	check(s);
	store_close(s);
}

static int global(void *arg, struct slice key, struct slice fields)
{
	assert_true(slice_eq(key, S("global")));
	assert_true(slice_eq(fields, S("federation=true\nxmpp=true\npublic-cloud=true\npublic-cloud-audio-video=true\n")));
	++*(int *)arg;
	return 0;
}

/* What every user could before an upgrade, every user can after it; but a new database, and one that had no partner, is closed. */
static void access_after_upgrade(void **state)
{
	static const struct {
		const char *sql; /* before the upgrade; NULL: a new database */
		int open;
	} rows[] = {
		{"", 1},
		{"DELETE FROM xmpp_partner_domain; DELETE FROM xmpp_partner", 0},
		{NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct entente_err err = {0};
		char path[512];
		sqlite3 *db;
		int found = 0;
		if (rows[i].sql) {
			make("version-1.sql");
			snprintf(path, sizeof path, "%s/entente.db", scratch);
			assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
			assert_int_equal(sqlite3_exec(db, rows[i].sql, NULL, NULL, NULL), SQLITE_OK);
			sqlite3_close(db);
		}
		for (int again = 0; again < 2; again++) {
			struct store *s = scratch_open();
			found = 0;
			assert_int_equal(store_load_objects(s, STORE_EXTERNAL_ACCESS, SLICE_NONE, global, &found, &err), 0);
			assert_int_equal(found, rows[i].open);
			store_close(s);
		}
		scratch_remove(state);
		scratch_make(state);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(version_1, scratch_make, scratch_remove),
						  cmocka_unit_test_setup_teardown(access_after_upgrade, scratch_make, scratch_remove)};
	if (argc < 2)
		return 2;
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
