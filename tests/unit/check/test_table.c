/* SPDX-License-Identifier: Apache-2.0 */
/* The table of findings: whole, and the page made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <ctype.h>
#include "check/check.h"

static void rows_are_whole(void **state)
{
	(void)state;
	for (int i = 0; i < CHECK_COUNT; i++) {
		const struct check_info *r = check_info((enum check_id)i);
		assert_true(slice_starts(slice_str(r->id), S("check/")));
		for (const char *p = check_anchor((enum check_id)i); *p; p++)
			assert_true(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '-');
		assert_in_range(r->area, 0, CHECK_AREAS - 1);
		const char *texts[] = {r->title, r->why, r->remedy};
		for (size_t k = 0; k < 3; k++) {
			size_t n = strlen(texts[k]);
			assert_in_range(n, 15, 300);
			assert_true(k == 2 || texts[k][n - 1] != '.'); /* a record ends with its dot */
			assert_null(strchr(texts[k], '\n'));
		}
		assert_string_not_equal(check_who_text(r->who), r->who); /* a word that has words */
		for (int k = 0; k < i; k++)
			assert_string_not_equal(check_info((enum check_id)k)->id, r->id);
	}
}

static void areas_are_whole(void **state)
{
	(void)state;
	unsigned rows[CHECK_AREAS] = {0};
	for (int i = 0; i < CHECK_COUNT; i++)
		rows[check_info((enum check_id)i)->area]++;
	for (int a = 0; a < CHECK_AREAS; a++) {
		assert_non_null(check_area_text((enum check_area)a));
		assert_non_null(check_area_title((enum check_area)a));
		assert_true(rows[a] > 0);
	}
}

static void page(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 20);
	check_markdown(&b);
	buf_putc(&b, 0);
	assert_true(buf_ok(&b));
	for (int i = 0; i < CHECK_COUNT; i++) {
		char head[100];
		snprintf(head, sizeof head, "\n### %s\n", check_anchor((enum check_id)i));
		assert_non_null(strstr(buf_slice(&b).p, head));
		assert_non_null(strstr(buf_slice(&b).p, check_info((enum check_id)i)->title));
	}
	buf_free(&b);
}

/* More findings than there is room for are counted; questions too. */
static void limits(void **state)
{
	(void)state;
	struct arena *a = arena_new(8 << 20);
	struct check c;
	struct check_counts n;
	check_init(&c, a);
	for (unsigned i = 0; i < CHECK_FINDINGS_MAX + 10; i++) {
		char subject[20];
		snprintf(subject, sizeof subject, "s%u", i);
		assert_true(check_fails(&c, CHECK_CERT_EXPIRED, true, slice_str(subject)));
		check_evidence(&c, "number %u", i);
	}
	assert_false(check_fails(&c, CHECK_DISK_FULL, false, S("x")));
	check_count(&c, &n);
	assert_int_equal(c.n, CHECK_FINDINGS_MAX);
	assert_int_equal(c.lost, 10);
	assert_int_equal(n.made, CHECK_FINDINGS_MAX + 11);
	assert_int_equal(n.passed, 1);
	assert_int_equal(n.findings[CHECK_ERROR], CHECK_FINDINGS_MAX);
	assert_true(slice_eq(c.list[CHECK_FINDINGS_MAX - 1].evidence, S("number 1999")));
	arena_release(NULL, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_whole), cmocka_unit_test(areas_are_whole), cmocka_unit_test(page), cmocka_unit_test(limits)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
