/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's bytes: split anyhow, too long, not JSON, not a request; and answers that are too large. */
#include "rig.h"

#include "base/mem.h"

static const char ask[] = "{\"command\":[\"version\"],\"json\":true}\n";
static const char answer[] = "{\"exit\":0,\"data\":{\"version\":\"" ENTENTE_VERSION "\"},\"generation\":0}\n";

static void pieces(void **state)
{
	struct rig *r = *state;
	struct admin_session *s = admin_session_new(r->admin, 0);
	struct buf out;
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	for (const char *p = ask; *p; p++)
		assert_int_equal(admin_session_input(s, slice_of(p, 1), &out), 0);
	assert_true(slice_eq(buf_slice(&out), slice_str(answer)));
	buf_clear(&out);
	/* two and a half lines at once, empty ones between */
	char two[512];
	snprintf(two, sizeof two, "%s\r\n\n%s%.10s", ask, ask, ask);
	assert_int_equal(admin_session_input(s, slice_str(two), &out), 0);
	snprintf(two, sizeof two, "%s%s", answer, answer);
	assert_true(slice_eq(buf_slice(&out), slice_str(two)));
	buf_clear(&out);
	assert_int_equal(admin_session_input(s, slice_str(ask + 10), &out), 0);
	assert_true(slice_eq(buf_slice(&out), slice_str(answer)));
	buf_free(&out);
	admin_session_free(s);
	admin_session_free(NULL);
}

static json_t *last_line(struct buf *out)
{
	json_t *j = json_loadb(buf_slice(out).p, out->len, 0, NULL);
	assert_non_null(j);
	return j;
}

/* A line of exactly the limit is a request, one octet more ends the session. */
static void too_long(void **state)
{
	struct rig *r = *state;
	char *line = mem_calloc(1, ADMIN_REQUEST_MAX + 2);
	struct buf out;
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	memset(line, ' ', ADMIN_REQUEST_MAX + 1);
	memcpy(line, ask, sizeof ask - 2);
	line[ADMIN_REQUEST_MAX] = '\n';
	struct admin_session *s = admin_session_new(r->admin, (uint32_t)-1);
	assert_int_equal(admin_session_input(s, slice_of(line, ADMIN_REQUEST_MAX + 1), &out), 0);
	assert_true(slice_eq(buf_slice(&out), slice_str(answer)));
	buf_clear(&out);
	line[ADMIN_REQUEST_MAX] = ' ';
	assert_int_equal(admin_session_input(s, slice_of(line, 1000), &out), 0);
	assert_int_equal(admin_session_input(s, slice_of(line + 1000, ADMIN_REQUEST_MAX + 1 - 1000), &out), ENTENTE_ELIMIT);
	json_t *j = last_line(&out);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "text")), "the request is too long");
	json_decref(j);
	buf_clear(&out);
	assert_int_equal(admin_session_input(s, slice_str(ask), &out), ENTENTE_ELIMIT); /* it stays over */
	assert_int_equal(out.len, 0);
	admin_session_free(s);
	buf_free(&out);
	mem_free(line);
}

static void refused(struct rig *r, const char *request, const char *text)
{
	json_t *j = rig_ask(r, request);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), ADMIN_EXIT_USAGE);
	const char *got = json_string_value(json_object_get(json_object_get(j, "error"), "text"));
	assert_non_null(got);
	if (strncmp(got, text, strlen(text)) != 0)
		print_message("%s: %s\n", request, got);
	assert_int_equal(strncmp(got, text, strlen(text)), 0);
	json_decref(j);
}

static void not_requests(void **state)
{
	struct rig *r = *state;
	refused(r, "", "the request is not JSON");
	refused(r, "GET / HTTP/1.1", "the request is not JSON");
	refused(r, "{\"command\":[\"status\"]", "the request is not JSON");
	refused(r, "{\"command\":[\"status\"],\"command\":[\"reload\"]}", "the request is not JSON");
	refused(r, "{\"command\":[\"\xff\"]}", "the request is not JSON");
	refused(r, "[]", "the request must be an object");
	refused(r, "{}", "\"command\" must be a list of words");
	refused(r, "{\"command\":\"status\"}", "\"command\" must be a list of words");
	refused(r, "{\"command\":[1]}", "\"command\" must be a list of words");
	refused(r, "{\"command\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}", "\"command\" must be a list of words");
	refused(r, "{\"command\":[]}", "no command is given");
	refused(r, "{\"command\":[\"partner\"]}", "the command is not complete");
	refused(r, "{\"command\":[\"status\",\"now\"]}", "too many words");
	refused(r, "{\"command\":[\"partner\",\"xmpp\",\"ad\"]}", "there is no command 'ad' under 'partner xmpp'; did you mean 'add'?");
	refused(r, "{\"command\":[\"status\"],\"args\":[]}", "\"args\" must be an object");
	refused(r, "{\"command\":[\"status\"],\"args\":{\"x\":1}}", "there is no argument 'x'");
	/* the daemon reads no files for a client */
	refused(r, "{\"command\":[\"config\",\"check\"],\"args\":{\"file\":\"/etc/shadow\"}}", "this command is carried out by the program");
}

static void deep(void **state)
{
	char *nested = mem_calloc(1, 60001);
	memset(nested, '[', 60000);
	refused(*state, nested, "the request is not JSON");
	mem_free(nested);
}

/* An answer past the caller's limit becomes a short one that says so. */
static void too_large(void **state)
{
	struct rig *r = *state;
	struct buf out;
	buf_init(&out, 300);
	admin_execute(r->admin, S("alice"), S("{\"command\":[\"reason\"],\"json\":true}"), &out);
	assert_true(buf_ok(&out));
	json_t *j = last_line(&out);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), ADMIN_EXIT_UNAVAILABLE);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "code")), "too-large");
	json_decref(j);
	buf_free(&out);
	buf_init(&out, 40); /* not even that fits */
	struct admin_session *s = admin_session_new(r->admin, 0);
	assert_int_equal(admin_session_input(s, S("{\"command\":[\"reason\"]}\n"), &out), ENTENTE_ELIMIT);
	admin_session_free(s);
	buf_free(&out);
}

/* Who made a change is kept. */
static void who(void **state)
{
	struct rig *r = *state;
	struct buf out;
	struct admin_session *s = admin_session_new(r->admin, 0), *t = admin_session_new(r->admin, 4000000001u);
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	admin_session_input(s, S("{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"a.test\"}}\n"), &out);
	admin_session_input(t, S("{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"b.test\"}}\n"), &out);
	json_t *d = rig_data(r, "history", 0), *list = json_object_get(d, "changes");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "who")), "uid 4000000001");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "who")), "root");
	json_decref(d);
	buf_free(&out);
	admin_session_free(s);
	admin_session_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pieces, rig_setup, rig_teardown),	cmocka_unit_test_setup_teardown(too_long, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(not_requests, rig_setup, rig_teardown), cmocka_unit_test_setup_teardown(deep, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(too_large, rig_setup, rig_teardown),	cmocka_unit_test_setup_teardown(who, rig_setup, rig_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
