/* SPDX-License-Identifier: Apache-2.0 */
/* A change that was made for another generation of the policy is refused. */
#include "rig.h"

static int64_t generation(json_t *j)
{
	json_t *g = json_object_get(j, "generation");
	assert_true(json_is_integer(g));
	return json_integer_value(g);
}

static const char add[] = "{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"%s\"},\"json\":true,\"if_generation\":%s}";

static json_t *block(struct rig *r, const char *domain, const char *wanted, int exit)
{
	char text[300];
	snprintf(text, sizeof text, add, domain, wanted);
	json_t *j = rig_ask(r, text);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), exit);
	return j;
}

static void stale(void **state)
{
	struct rig *r = *state;
	json_t *j = block(r, "one.test", "0", 0), *e;
	assert_int_equal(generation(j), 1); /* the one that it made */
	json_decref(j);
	j = block(r, "two.test", "0", ADMIN_EXIT_REFUSED);
	e = json_object_get(j, "error");
	assert_string_equal(json_string_value(json_object_get(e, "code")), "stale");
	assert_int_equal(generation(e), 1);
	/* who was faster, and with what */
	assert_non_null(strstr(json_string_value(json_object_get(e, "text")), "no longer at 0; the last change, at "));
	assert_non_null(strstr(json_string_value(json_object_get(e, "text")), " by alice: blocked-domain add one.test"));
	json_decref(j);
	j = rig_run(r, true, 0, "blocked-domain list");
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "data"), "blocked")), 1);
	assert_int_equal(generation(j), 1); /* answers to questions have it, too */
	json_decref(j);
	json_decref(block(r, "two.test", "1", 0));
}

static void senseless(void **state)
{
	struct rig *r = *state;
	json_decref(block(r, "one.test", "-1", ADMIN_EXIT_USAGE));
	json_decref(block(r, "one.test", "\"0\"", ADMIN_EXIT_USAGE));
	json_t *j = rig_ask(r, "{\"command\":[\"blocked-domain\",\"list\"],\"if_generation\":0}");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), ADMIN_EXIT_USAGE);
	json_decref(j);
	assert_int_equal(r->published, 0);
}

static void command_line(void **state)
{
	struct admin_line l;
	struct buf why;
	(void)state;
	buf_init(&why, 4096);
	const char *both[] = {"blocked-domain", "add", "one.test", "--if-generation", "12"};
	assert_int_equal(admin_line_parse(&l, 5, both, &why), ADMIN_RUN);
	assert_int_equal(l.if_generation, 12);
	admin_line_free(&l);
	const char *one[] = {"--if-generation=7", "blocked-domain", "list", "--staged"};
	assert_int_equal(admin_line_parse(&l, 4, one, &why), ADMIN_RUN);
	assert_int_equal(l.if_generation, 7);
	assert_true(l.staged);
	admin_line_free(&l);
	const char *bad[] = {"blocked-domain", "list", "--if-generation", "new"};
	assert_int_equal(admin_line_parse(&l, 4, bad, &why), ADMIN_BAD);
	assert_non_null(strstr(buf_slice(&why).p, "--if-generation: a whole number is wanted"));
	admin_line_free(&l);
	assert_int_equal(admin_line_parse(&l, 2, one + 1, &why), ADMIN_RUN);
	assert_int_equal(l.if_generation, -1);
	assert_false(l.staged);
	admin_line_free(&l);
	buf_free(&why);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(stale), FRESH(senseless), FRESH(command_line)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
