/* SPDX-License-Identifier: Apache-2.0 */
/* What partners have written (an Event, a Server header, a URI cut short) never makes an answer of the control socket unsendable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "app/json.h"

static void strange_texts(void **state)
{
	static const struct {
		struct slice text;
		const char *shown;
	} rows[] = {
		{S("presence"), "{\"x\":\"presence\"}"},
		{S("gr\xc3\xbc\xc3\x9f"), "{\"x\":\"gr\xc3\xbc\xc3\x9f\"}"},
		{S("pre\xff" "sence"), "{\"x\":\"pre\xef\xbf\xbdsence\"}"},
		{S("cut \xc3"), "{\"x\":\"cut \xef\xbf\xbd\"}"},
		{S("\xed\xa0\x80"), "{\"x\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"}, /* half of a pair */
		{S(""), "{}"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *o = json_object();
		json_put(o, "x", rows[i].text);
		char *text = json_dumps(o, JSON_COMPACT);
		assert_non_null(text);
		assert_string_equal(text, rows[i].shown);
		free(text);
		json_decref(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(strange_texts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
