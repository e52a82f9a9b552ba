/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of the management shell and the script that each becomes; argv[1]: the directory of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "admin/command.h"
#include "admin/lync_file.h"

static const char *directory;

static json_t *import(const char *const files[], bool json)
{
	json_t *list = json_array();
	char path[512];
	for (; *files; files++) {
		snprintf(path, sizeof path, "%s/%s", directory, *files);
		json_array_append_new(list, json_string(path));
	}
	json_t *args = json_pack("{s:o}", "file", list);
	json_t *r = admin_local(admin_command_by_id(ADMIN_CMD_IMPORT_LYNC), args, json, false, 0);
	json_decref(args);
	return r;
}

static void compare(const char *export, const char *script, int exit)
{
	char path[512], want[16384];
	snprintf(path, sizeof path, "%s/%s", directory, script);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(want, 1, sizeof want - 1, f);
	fclose(f);
	want[n] = 0;
	json_t *r = import((const char *const[]){export, NULL}, false);
	assert_string_equal(json_string_value(json_object_get(r, "text")), want);
	assert_int_equal(json_integer_value(json_object_get(r, "exit")), exit);
	json_decref(r);
}

static void test_scripts(void **state)
{
	(void)state;
	compare("partners.xml", "partners.sh", ADMIN_EXIT_OK);
	compare("mixed.json", "mixed.sh", ADMIN_EXIT_FINDING);
	compare("blocked.csv", "blocked.sh", ADMIN_EXIT_OK);
}

/* Each command that is printed is one that `entente` accepts. */
static void test_commands_are_commands(void **state)
{
	json_t *r = import((const char *const[]){"partners.xml", "blocked.csv", "mixed.json", NULL}, true), *o;
	size_t i;
	(void)state;
	json_t *commands = json_object_get(json_object_get(r, "data"), "commands");
	assert_int_equal(json_array_size(commands), 7);
	json_array_foreach(commands, i, o) {
		char line[1024], words[32][256];
		const char *argv[32];
		int argc = 0;
		assert_true(slice_cstr(slice_str(json_string_value(json_object_get(o, "text"))), line, sizeof line));
		for (char *p = line; *p;) { /* as a shell splits it */
			size_t k = 0;
			bool in = false;
			for (; *p && (in || *p != ' '); p++) {
				if (*p == '\'')
					in = !in;
				else if (*p == '\\' && p[1])
					words[argc][k++] = *++p;
				else
					words[argc][k++] = *p;
			}
			words[argc][k] = 0;
			argv[argc] = words[argc];
			argc++;
			while (*p == ' ')
				p++;
		}
		struct admin_line l;
		struct buf why;
		buf_init(&why, 4096);
		if (admin_line_parse(&l, argc - 1, argv + 1, &why) != ADMIN_RUN)
			fail_msg("%s: %.*s", json_string_value(json_object_get(o, "text")), SFMT(buf_slice(&why)));
		admin_line_free(&l);
		buf_free(&why);
	}
	json_decref(r);
}

static int read_text(const char *text, size_t len, struct entente_err *err, json_t **ret)
{
	*ret = json_array();
	*err = (struct entente_err){0};
	return lync_file_read(*ret, slice_of(text, len), err);
}

static void test_bad_input(void **state)
{
	static const struct {
		const char *text, *why;
		int rc;
	} rows[] = {
		{"", "the file is empty", ENTENTE_ESYNTAX},
		{"<Objs><Obj>", "line 1: no element found", ENTENTE_ESYNTAX},
		{"<!DOCTYPE x [<!ENTITY a \"b\">]><Objs/>", "a document type declaration does not belong into an export", ENTENTE_ESYNTAX},
		{"[1]", "element 1 is no object", ENTENTE_ESYNTAX},
		{"{\"a\":1,\"a\":2}", "line 1, column 10: duplicate object key near '\"a\"'", ENTENTE_ESYNTAX},
		{"a,b\n1,2,3\n", "line 2: more values than names", ENTENTE_ESYNTAX},
		{"a,b\n1\n", "line 2: 1 values for 2 names", ENTENTE_ESYNTAX},
		{"a,b\n\"1,2\n", "line 2: a quotation mark is never closed", ENTENTE_ESYNTAX},
	};
	struct entente_err err;
	json_t *list;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int rc = read_text(rows[i].text, strlen(rows[i].text), &err, &list);
		if (rc != rows[i].rc || strcmp(err.text, rows[i].why) != 0)
			fail_msg("row %zu: %d %s", i, rc, err.text);
		json_decref(list);
	}
	/* too deep */
	struct buf deep;
	buf_init(&deep, 1 << 16);
	for (int i = 0; i < LYNC_DEPTH_MAX + 1; i++)
		buf_puts(&deep, "<a>");
	assert_int_equal(read_text(buf_slice(&deep).p, deep.len, &err, &list), ENTENTE_ELIMIT);
	json_decref(list);
	buf_free(&deep);
}

static void test_utf16(void **state)
{
	static const char text[] = "a,b\r\nx,\xc3\xbc\r\n";
	char wide[64] = "\xff\xfe";
	size_t n = 2;
	struct entente_err err;
	json_t *list;
	(void)state;
	for (const char *p = text; *p; p++) {
		bool two = (unsigned char)*p >= 0xc0;
		wide[n++] = two ? (char)0xfc : *p;
		wide[n++] = 0;
		p += two;
	}
	assert_int_equal(read_text(wide, n, &err, &list), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "b")), "\xc3\xbc");
	json_decref(list);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts), cmocka_unit_test(test_commands_are_commands), cmocka_unit_test(test_bad_input), cmocka_unit_test(test_utf16)};
	if (argc < 2)
		return 2;
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
