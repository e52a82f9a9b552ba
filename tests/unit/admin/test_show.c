/* SPDX-License-Identifier: Apache-2.0 */
/* Status, rows, reload. */
#include "rig.h"

#include "admin/table.h"
#include "fields.h"

static void status(void **state)
{
	struct rig *r = *state;
	rig_text(r, "status", 0,
		 "gw.contoso.test: running, version " ENTENTE_VERSION ", up 1 h 2 min\n"
		 "  listeners      xmpp [::]:5269, sip tcp 10.0.0.1:5060\n"
		 "  workers        3\n"
		 "  our domains    contoso.test, emea.contoso.test\n"
		 "  homes          1\n"
		 "  XMPP partners  0\n"
		 "  policy         0\n"
		 "  store          ok\n"
		 "  streams        0 in, 0 out\n"
		 "  messages       0 to XMPP, 0 to SIP, 0 requests and stanzas refused\n"
		 "  subscriptions  0 of XMPP users, 0 of SIP users\n");
	r->refuse_publish = true;
	json_t *d = rig_data(r, "status", 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(d, "problems"), 0)), "the home main cannot be reached");
	assert_true(json_is_integer(json_object_get(json_object_get(d, "metrics"), "entente_refused_total")));
	json_decref(d);
	fields_check(r, "status", 1);
}

static void streams(void **state)
{
	struct rig *r = *state;
	rig_text(r, "show streams", 0,
		 "ID  DIR  LOCAL         REMOTE         STATE    AUTH      IN  OUT    AGE  ERROR\n"
		 " 1  in   contoso.test  fabrikam.test  up       dialback  12    3  1 min\n"
		 " 2  out  contoso.test  litware.test   backoff                            connection refused\n");
	rig_text(r, "show streams --partner nobody.test", 0, "Nothing is like that.\n");
	json_t *one = rig_data(r, "show streams --partner FABRIKAM.test", 0);
	assert_int_equal(json_array_size(json_object_get(one, "streams")), 1);
	json_decref(one);
	rig_text(r, "show stream 2", 0,
		 "stream 2\n"
		 "  id                 2\n"
		 "  direction          out\n"
		 "  state              backoff\n"
		 "  local              contoso.test\n"
		 "  remote             litware.test\n"
		 "  error              connection refused\n");
	rig_error(r, "show stream 3", 1, "not-found", "there is no stream 3");
	rig_text(r, "show metrics", 0, "entente_build_info 1\n");
	rig_text(r, "show streams --filter nothing", 0, "Nothing is like that.\n");
	json_t *d = rig_data(r, "show streams --filter litware", 0);
	assert_int_equal(json_array_size(json_object_get(d, "streams")), 1);
	json_decref(d);
	rig_text(r, "show subscriptions", 0, "Nobody watches anybody's presence.\n");
	rig_text(r, "show homes", 0,
		 "NAME  STATE      NEXT HOP                    DOMAINS\n"
		 "main  reachable  sip:10.0.0.5;transport=tcp  contoso.test, emea.contoso.test\n");
}

/* A narrow terminal: cut, not wrapped; names from outside cannot steer it. */
static void terminal(void **state)
{
	struct rig *r = *state;
	r->hostile = true;
	json_t *j = rig_run(r, false, 80, "show streams");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(text);
	assert_null(strchr(text, 0x1b));
	assert_null(strchr(text, 0x07));
	assert_non_null(strstr(text, "?]0;owned??"));
	for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1)
		assert_true(admin_table_width(slice_of(p, (size_t)(end - p))) <= 80);
	json_decref(j);
}

static void incomplete(void **state)
{
	struct rig *r = *state;
	r->slow_workers = true;
	json_t *j = rig_run(r, true, 0, "show streams");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 69);
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "warnings"), 0)), "the list is not complete: worker 2 does not answer");
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "data"), "streams")), 2);
	json_decref(j);
}

static void reload(void **state)
{
	struct rig *r = *state;
	json_t *d = rig_data(r, "reload", 0);
	assert_true(json_is_true(json_object_get(d, "reloaded")));
	json_decref(d);
	fields_check(r, "reload", 0);
	r->bad_config = true;
	rig_text(r, "reload", 78, "configuration:3:7: error: log.level: 'loud' is not a level\nNothing was changed: the configuration has errors.\n");
	d = rig_data(r, "reload", 78);
	assert_false(json_is_true(json_object_get(d, "reloaded")));
	json_decref(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(status), TEST(streams), TEST(terminal), TEST(incomplete), TEST(reload)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
