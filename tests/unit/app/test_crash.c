/* SPDX-License-Identifier: Apache-2.0 */
/* What was under way when the process died is known to the next one, and how often. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "app/crash.h"
#include "base/clock.h"

static char directory[64];
static char found[256];

static void one(void *arg, uint64_t name, unsigned crashes)
{
	(void)arg;
	snprintf(found + strlen(found), sizeof found - strlen(found), "%llu:%u ", (unsigned long long)name, crashes);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order of their names. */
static const char *suspects(const struct crash *c)
{
	char *words[16], text[256] = "";
	size_t n = 0;
	found[0] = '\0';
	crash_each(c, one, NULL);
	for (char *save, *w = strtok_r(found, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	qsort(words, n, sizeof *words, by_text);
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", words[i]);
	snprintf(found, sizeof found, "%s", text);
	return found;
}

/* A process that dies of this signal with these under way; three of two workers. */
static void dies(int signo, uint64_t a, uint64_t b, uint64_t c)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		crash_watch();
		struct crash *x = crash_open(directory, 2, NULL, 0);
		crash_under_way(x, 0)->names[0] = a;
		crash_under_way(x, 0)->names[GATEWAY_UNDER_WAY - 1] = b;
		crash_under_way(x, 1)->names[77] = c;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
		crash_note(x, signo);
		signal(signo, SIG_DFL);
#endif
		raise(signo);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signo);
}

static const char *next(int signo)
{
	struct crash *c = crash_open(directory, 2, NULL, signo);
	suspects(c);
	crash_close(c);
	return found;
}

static int setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/entente-crash-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static void drop(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	unlink(path);
}

static int teardown(void **state)
{
	(void)state;
	drop("suspects");
	drop("suspects.new");
	drop("under-way");
	return rmdir(directory);
}

static void counted(void **state)
{
	(void)state;
	assert_string_equal(next(0), "");
	dies(SIGSEGV, 5, 6, 5);
	assert_string_equal(next(SIGSEGV), "5:1 6:1 ");
	assert_string_equal(next(0), "5:1 6:1 "); /* an end in order changes nothing */
	dies(SIGSYS, 6, 7, 0);
	assert_string_equal(next(SIGSYS), "5:1 6:2 7:1 ");
	dies(SIGABRT, 0, 0, 0);
	assert_string_equal(next(SIGABRT), "5:1 6:2 7:1 ");
}

/* One that was killed has noted nothing, and what is left from before does not count again. */
static void killed(void **state)
{
	(void)state;
	dies(SIGSEGV, 5, 0, 0);
	dies(SIGKILL, 6, 0, 0);
	assert_string_equal(next(0), "");
	dies(SIGSEGV, 5, 0, 0);
	next(SIGSEGV);
	assert_string_equal(next(SIGSEGV), "5:1 ");
}

/* The file has its blocks from the start, so that a full disk does not keep the handler from writing. */
static void has_room(void **state)
{
	char path[128];
	struct stat st;
	(void)state;
	snprintf(path, sizeof path, "%s/under-way", directory);
	dies(SIGSEGV, 5, 0, 0);
	for (int i = 0; i < 2; i++) { /* as it comes, and after one that has noted something */
		struct crash *c = crash_open(directory, 2, NULL, SIGSEGV);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 2 * sizeof(struct gateway_under_way));
		assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
		crash_close(c);
	}
	assert_string_equal(next(SIGSEGV), "5:1 ");
}

/* What was under way does not count again at the next start, also when what was counted cannot be written. */
static void not_saved(void **state)
{
	char path[128];
	(void)state;
	snprintf(path, sizeof path, "%s/suspects.new", directory);
	dies(SIGSEGV, 5, 0, 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_string_equal(next(SIGSEGV), "5:1 ");
	assert_int_equal(rmdir(path), 0);
	assert_string_equal(next(SIGSEGV), "");
}

/* After a day nobody sends it again; a damaged file ends where it is damaged. */
static void forgotten(void **state)
{
	char path[128];
	long long now = clock_unix();
	(void)state;
	snprintf(path, sizeof path, "%s/suspects", directory);
	FILE *f = fopen(path, "w");
	fprintf(f, "0000000000000001 1 %lld\n0000000000000002 1 %lld\n0000000000000000 1 %lld\n000000000000000a 3 %lld\nwhat\n0000000000000004 1 %lld\n",
		now - CRASH_SUSPECTS_S - 5, now - 60, now, now + 7 * 86400, now);
	fclose(f);
	assert_string_equal(next(0), "10:3 2:1 ");
}

/* Where nothing can be written, it goes on all the same. */
static void no_directory(void **state)
{
	(void)state;
	struct crash *c = crash_open("/nonexistent/queue", 1, NULL, SIGSEGV);
	assert_string_equal(suspects(c), "");
	crash_under_way(c, 0)->names[0] = 1;
	crash_note(c, SIGSEGV);
	assert_null(crash_close(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counted, setup, teardown),
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(has_room, setup, teardown),
		cmocka_unit_test_setup_teardown(not_saved, setup, teardown),
		cmocka_unit_test_setup_teardown(forgotten, setup, teardown),
		cmocka_unit_test(no_directory),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
