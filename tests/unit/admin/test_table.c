/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: alignment by the width of characters, cuts, and that nothing can steer the terminal. */
#include "rig.h"

#include "admin/call.h"
#include "admin/table.h"

static const struct admin_table_column columns[] = {{"NAME", ADMIN_TABLE_FLEX}, {"N", ADMIN_TABLE_RIGHT}, {"GONE", 0}, {"NOTE", ADMIN_TABLE_FLEX}};

static void row(struct admin_table *t, const char *name, int64_t n, const char *note)
{
	admin_table_cell(t, slice_str(name));
	admin_table_cell_int(t, n);
	admin_table_cell(t, SLICE_NONE);
	admin_table_cell(t, slice_str(note));
}

static void printed(const struct admin_table *t, unsigned width, bool color, const char *text)
{
	struct buf b;
	buf_init(&b, 65536);
	admin_table_print(t, &b, width, color);
	buf_putc(&b, 0);
	assert_string_equal(buf_slice(&b).p, text);
	buf_free(&b);
}

static void aligned(void **state)
{
	struct admin_table *t = admin_table_new(columns, 4);
	(void)state;
	printed(t, 0, false, "");
	row(t, "a", 5, "");
	row(t, "\xe6\x97\xa5\xe6\x9c\xac", 1234, "wide");         /* two wide characters: four columns */
	row(t, "e\xcc\x81" "a", -1, "combining");                   /* e and an accent: one column */
	printed(t, 0, false,
		"NAME     N  NOTE\n"
		"a        5\n"
		"\xe6\x97\xa5\xe6\x9c\xac  1234  wide\n"
		"e\xcc\x81" "a      -1  combining\n");
	printed(t, 0, true,
		"\033[1mNAME     N  NOTE\033[0m\n"
		"a        5\n"
		"\xe6\x97\xa5\xe6\x9c\xac  1234  wide\n"
		"e\xcc\x81" "a      -1  combining\n");
	admin_table_free(t);
}

static void cut(void **state)
{
	struct admin_table *t = admin_table_new(columns, 4);
	(void)state;
	row(t, "a-name-of-thirty-characters-ok", 1, "a note of more than forty characters, to be cut");
	printed(t, 50, false,
		"NAME                    N  NOTE\n"
		"a-name-of-thirty-char\xe2\x80\xa6  1  a note of more than fo\xe2\x80\xa6\n");
	printed(t, 200, false,
		"NAME                            N  NOTE\n"
		"a-name-of-thirty-characters-ok  1  a note of more than forty characters, to be cut\n");
	admin_table_free(t);
}

static void clean(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	admin_clean(&b, S("a\x1b[2J\tb\r\n\xc2\x9b" "c\xff\xe2\x80\xae" "d\xe2\x80\x8d" "e\x7f"));
	assert_true(slice_eq(buf_slice(&b), S("a?[2J?b???c??d\xe2\x80\x8d" "e?")));
	buf_clear(&b);
	admin_styled(&b, true, ADMIN_BAD_STYLE, S("x\x1b"));
	assert_true(slice_eq(buf_slice(&b), S("\033[1;31mx?\033[0m")));
	buf_free(&b);
}

static void wrapped(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	admin_wrap(&b, S("one two three four"), 2, 12, true);
	admin_wrap(&b, S("a-word-that-is-too-long-for-the-line x"), 2, 12, false);
	assert_true(slice_eq(buf_slice(&b), S("  one two\n  three four\na-word-that-is-too-long-for-the-line\n  x\n")));
	buf_free(&b);
}

static void durations(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {{0, "0 s"}, {59, "59 s"}, {61, "1 min"}, {3723, "1 h 2 min"}, {90000, "1 d 1 h"}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b;
		buf_init(&b, 64);
		admin_duration(&b, rows[i].seconds);
		assert_true(slice_eq(buf_slice(&b), slice_str(rows[i].text)));
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned), cmocka_unit_test(cut), cmocka_unit_test(clean), cmocka_unit_test(wrapped), cmocka_unit_test(durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
