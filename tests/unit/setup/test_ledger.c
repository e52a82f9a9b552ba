/* SPDX-License-Identifier: Apache-2.0 */
/* What is written can be told and taken back; nothing is ever replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "setup/ledger.h"

static char folder[64], path[4][128];

static int begin(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/entente-ledger.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path[0], sizeof path[0], "%s/log/l.log", folder);
	snprintf(path[1], sizeof path[1], "%s/etc", folder);
	snprintf(path[2], sizeof path[2], "%s/etc/a", folder);
	snprintf(path[3], sizeof path[3], "%s/etc/b", folder);
	return 0;
}

static int end(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

static void read_file(const char *name, char *ret, size_t size)
{
	FILE *f = fopen(name, "r");
	assert_non_null(f);
	ret[fread(ret, 1, size - 1, f)] = 0;
	fclose(f);
}

/* The log may lie in the folder of the configuration, and makes it first. */
static void test_folder_of_log(void **state)
{
	struct entente_err err;
	struct stat st;
	char log[160];
	(void)state;
	snprintf(log, sizeof log, "%s/l.log", path[1]);
	struct setup_ledger *l = setup_ledger_new(log, &err);
	assert_non_null(l);
	assert_int_equal(setup_ledger_folder(l, path[1], 0750, (gid_t)-1, &err), 0);
	assert_int_equal(stat(path[1], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(setup_ledger_undo(l), 0);
	assert_int_equal(access(log, F_OK), 0);
	setup_ledger_free(l);
	/* one that somebody else has made stays as it is */
	assert_int_equal(chmod(path[1], 0711), 0);
	l = setup_ledger_new(log, &err);
	assert_non_null(l);
	assert_int_equal(setup_ledger_folder(l, path[1], 0750, (gid_t)-1, &err), 0);
	assert_int_equal(stat(path[1], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	setup_ledger_free(l);
}

static void test_files(void **state)
{
	struct entente_err err;
	struct stat st;
	char text[8192];
	struct setup_ledger *l = setup_ledger_new(path[0], &err);
	(void)state;
	assert_non_null(l);
	assert_int_equal(setup_ledger_folder(l, path[1], 0750, (gid_t)-1, &err), 0);
	assert_int_equal(setup_ledger_file(l, path[2], S("secret"), 0640, (gid_t)-1, &err), 0);
	assert_int_equal(stat(path[2], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* what is there stays, whoever made it, and is no part of what undo removes */
	FILE *f = fopen(path[3], "w");
	assert_non_null(f);
	fputs("theirs", f);
	fclose(f);
	assert_int_equal(setup_ledger_file(l, path[3], S("ours"), 0640, (gid_t)-1, &err), ENTENTE_EEXIST);
	assert_non_null(strstr(err.text, path[3]));
	assert_int_equal(setup_ledger_file(l, "/proc/nowhere/x", S("ours"), 0640, (gid_t)-1, &err), ENTENTE_EIO);
	assert_int_equal(setup_ledger_folder(l, path[1], 0700, (gid_t)-1, &err), 0); /* is there: not ours twice */
	assert_int_equal(setup_ledger_undo(l), 1); /* the folder, which holds their file */
	assert_int_equal(access(path[2], F_OK), -1);
	read_file(path[3], text, sizeof text);
	assert_string_equal(text, "theirs");
	assert_int_equal(setup_ledger_undo(l), 0); /* nothing is left to do */
	setup_ledger_free(l);
	read_file(path[0], text, sizeof text);
	assert_non_null(strstr(text, "wrote "));
	assert_non_null(strstr(text, "removed "));
	assert_null(strstr(text, "secret"));
}

static void test_dangling_link(void **state)
{
	struct entente_err err;
	struct setup_ledger *l = setup_ledger_new(NULL, &err);
	(void)state;
	assert_int_equal(setup_ledger_folder(l, path[1], 0750, (gid_t)-1, &err), 0);
	assert_int_equal(symlink(path[3], path[2]), 0);
	assert_int_equal(setup_ledger_file(l, path[2], S("x"), 0640, (gid_t)-1, &err), ENTENTE_EEXIST);
	assert_int_equal(access(path[3], F_OK), -1);
	setup_ledger_free(l);
}

static void test_commands(void **state)
{
	struct entente_err err;
	struct buf said;
	char text[8192], touched[160];
	struct setup_ledger *l = setup_ledger_new(path[0], &err);
	(void)state;
	buf_init(&said, 65536);
	assert_int_equal(setup_ledger_run(l, (const char *const[]){"sh", "-c", "echo out; echo err >&2; exit 3", NULL}, 20000, &said), 3);
	assert_true(slice_eq(buf_slice(&said), S("out\nerr\n")));
	buf_clear(&said);
	assert_int_equal(setup_ledger_run(l, (const char *const[]){"no-such-program-here", NULL}, 20000, &said), 127);
	assert_true(slice_find(buf_slice(&said), S("no-such-program-here")) >= 0);
	buf_clear(&said);
	/* closes its output, and goes on: the end counts, not the pipe */
	assert_int_equal(setup_ledger_run(l, (const char *const[]){"sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 4", NULL}, 20000, &said), 4);
	/* leaves something behind that holds the pipe */
	uint64_t before = clock_ms();
	assert_int_equal(setup_ledger_run(l, (const char *const[]){"sh", "-c", "sleep 30 & echo $!", NULL}, 20000, &said), 0);
	assert_true(clock_ms() - before < 15000);
	long left = strtol(said.mem + said.off, NULL, 10);
	assert_true(left > 1);
	snprintf(text, sizeof text, "kill %ld", left);
	assert_int_equal(system(text), 0);
	/* does not end at all */
	buf_clear(&said);
	assert_int_equal(setup_ledger_run(l, (const char *const[]){"sleep", "60", NULL}, 100, &said), -1);
	assert_true(slice_find(buf_slice(&said), S("did not end")) >= 0);
	snprintf(touched, sizeof touched, "touch %s/undone", folder);
	setup_ledger_undo_with(l, (const char *const[]){"sh", "-c", touched, NULL});
	assert_int_equal(setup_ledger_undo(l), 0);
	snprintf(touched, sizeof touched, "%s/undone", folder);
	assert_int_equal(access(touched, F_OK), 0);
	setup_ledger_free(l);
	buf_free(&said);
	read_file(path[0], text, sizeof text);
	assert_non_null(strstr(text, "$ sleep 60"));
	assert_non_null(strstr(text, "it ended with 3"));
}

static void test_no_log(void **state)
{
	struct entente_err err = {0};
	(void)state;
	assert_null(setup_ledger_new("/proc/nowhere/deep/log", &err));
	assert_int_equal(err.code, ENTENTE_EIO);
	assert_non_null(strstr(err.text, "/proc/nowhere/deep/log"));
	assert_null(setup_ledger_free(NULL));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, begin, end),
		cmocka_unit_test_setup_teardown(test_folder_of_log, begin, end), cmocka_unit_test_setup_teardown(test_dangling_link, begin, end),
		cmocka_unit_test_setup_teardown(test_commands, begin, end), cmocka_unit_test(test_no_log)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
