/* SPDX-License-Identifier: Apache-2.0 */
/* run [--list] [--strict] [--root DIR] [PATTERN...]: runs the scripts whose names contain one of the patterns (all without one), and checks
 * the table of rows. TAP. */
#include "script.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

#ifndef SCRIPT_ROOT
#define SCRIPT_ROOT "."
#endif

enum { MAX_SCRIPTS = 2000 };

static struct script scripts[MAX_SCRIPTS];
static struct CMUnitTest tests[MAX_SCRIPTS + 1];
static size_t n_scripts;
static const char *root = SCRIPT_ROOT;
static bool strict;

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void read_folder(struct arena *a, const char *folder)
{
	char path[1024], name[600];
	struct dirent **list;
	snprintf(path, sizeof path, "%s/tests/script/%s", root, folder);
	int n = scandir(path, &list, visible, by_name);
	for (int i = 0; i < n; i++) {
		struct slice file = slice_str(list[i]->d_name);
		if (slice_ends(file, S(".script")) && n_scripts < MAX_SCRIPTS) {
			snprintf(name, sizeof name, "%s/%.*s", folder, (int)file.len - 7, file.p);
			snprintf(path, sizeof path, "%s/tests/script/%s.script", root, name);
			script_read(&scripts[n_scripts++], a, path, name);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void run_one(void **state)
{
	script_run(*state);
}

static void run_rows(void **state)
{
	(void)state;
	if (!rows_check(root, scripts, n_scripts, strict))
		fail_msg("the table of rows and its proofs do not agree");
}

static bool wanted(const char *name, char **patterns, int n)
{
	for (int i = 0; i < n; i++)
		if (strstr(name, patterns[i]) || fnmatch(patterns[i], name, 0) == 0)
			return true;
	return n == 0;
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new(256 << 20);
	struct dirent **list;
	char path[1024];
	bool only_list = false;
	int i = 1;
	size_t n_tests = 0;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--list"))
			only_list = true;
		else if (!strcmp(argv[i], "--strict"))
			strict = true;
		else if (!strcmp(argv[i], "--root") && i + 1 < argc)
			root = argv[++i];
		else {
			fprintf(stderr, "usage: run [--list] [--strict] [--root DIR] [PATTERN...]\n");
			return 2;
		}
	}
	snprintf(path, sizeof path, "%s/tests/script", root);
	int n = scandir(path, &list, visible, by_name);
	if (n < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 2;
	}
	for (int k = 0; k < n; k++) {
		if (strcmp(list[k]->d_name, "common"))
			read_folder(a, list[k]->d_name);
		free(list[k]);
	}
	free(list);
	if (wanted("rows", argv + i, argc - i))
		tests[n_tests++] = (struct CMUnitTest){.name = "rows", .test_func = run_rows};
	for (size_t k = 0; k < n_scripts; k++)
		if (wanted(scripts[k].name, argv + i, argc - i))
			tests[n_tests++] = (struct CMUnitTest){.name = scripts[k].name, .test_func = run_one, .initial_state = &scripts[k]};
	if (only_list) {
		for (size_t k = 0; k < n_tests; k++) {
			size_t at = 0;
			printf("%s", tests[k].name);
			for (struct slice id; tests[k].initial_state && (id = script_row(tests[k].initial_state, &at)).p;)
				printf("  [%.*s]", SFMT(id));
			printf("\n");
		}
		arena_release(NULL, a);
		return 0;
	}
	if (!n_tests) {
		fprintf(stderr, "no script has such a name\n");
		return 2;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int rc = _cmocka_run_group_tests("scripts", tests, n_tests, NULL, NULL);
	arena_release(NULL, a);
	return rc != 0;
}
