/* SPDX-License-Identifier: Apache-2.0 */
/* `queue ...`: what is asked of the application, what is printed, who may, and that bodies come only to those who may see them. */
#include "rig.h"

#include "admin/role.h"
#include "fields.h"

static struct {
	int rc, n_entries;
	enum admin_queue_verb verb;
	uint64_t number;
	char partner[64], state[20], user[100];
	size_t most;
	bool body, paused, failing, done, done_all;
} fake;

static void entry(json_t *o, int number)
{
	json_object_set_new(o, "number", json_integer(number));
	json_object_set_new(o, "direction", json_string(number % 2 ? "to-xmpp" : "to-sip"));
	json_object_set_new(o, "from", json_string("romeo@contoso.test"));
	json_object_set_new(o, "to", json_string("juliet\x1b[31m@fabrikam.test"));
	json_object_set_new(o, "partner", json_string("fabrikam.test"));
	json_object_set_new(o, "state", json_string("waiting"));
	json_object_set_new(o, "octets", json_integer(420));
	json_object_set_new(o, "accepted", json_string("2026-11-22T08:00:00Z"));
	json_object_set_new(o, "expires", json_string("2026-11-22T20:00:00Z"));
	json_object_set_new(o, "left", json_integer(3600));
	json_object_set_new(o, "attempts", json_integer(3));
	json_object_set_new(o, "crashes", json_integer(0));
	json_object_set_new(o, "retry", json_null());
}

static int fake_list(void *arg, const struct admin_queue_query *q, json_t *array, json_t *about, struct entente_err *err)
{
	(void)arg;
	slice_cstr(q->partner, fake.partner, sizeof fake.partner);
	slice_cstr(q->state, fake.state, sizeof fake.state);
	slice_cstr(q->user, fake.user, sizeof fake.user);
	fake.most = q->most;
	for (int i = 0; i < fake.n_entries && (size_t)i < q->most; i++) {
		json_t *o = json_object();
		entry(o, 4711 + i);
		json_array_append_new(array, o);
	}
	json_object_set_new(about, "matching", json_integer(fake.n_entries));
	json_object_set_new(about, "total", json_integer(fake.n_entries));
	json_object_set_new(about, "octets", json_integer(fake.n_entries * 480));
	json_object_set_new(about, "oldest", fake.n_entries ? json_integer(90) : json_null());
	json_object_set_new(about, "paused", fake.paused ? json_pack("[s]", fake.partner) : json_array());
	json_object_set_new(about, "failing", json_boolean(fake.failing));
	json_object_set_new(about, "why", fake.failing ? json_string("the disk is full") : json_null());
	json_object_set_new(about, "directory", json_string("/var/lib/entente/queue"));
	return fake.rc ? err_set(err, fake.rc, REASON_NONE, "a worker did not answer within 5 s") : 0;
}

static int fake_show(void *arg, uint64_t number, bool body, json_t *object, struct entente_err *err)
{
	(void)arg;
	fake.number = number;
	fake.body = body;
	if (fake.rc)
		return err_set(err, fake.rc, REASON_NONE, "there is no entry %ju", (uintmax_t)number);
	entry(object, (int)number);
	if (body)
		json_object_set_new(object, "stanza", json_string("<message><body>the secret</body></message>"));
	return 0;
}

static int fake_do(void *arg, uint64_t number, enum admin_queue_verb verb, struct entente_err *err)
{
	(void)arg;
	fake.done = true;
	fake.number = number;
	fake.verb = verb;
	return fake.rc ? err_set(err, fake.rc, REASON_NONE, "no") : 0;
}

static int fake_do_all(void *arg, struct slice partner, enum admin_queue_verb verb, size_t *ret_n, struct entente_err *err)
{
	(void)arg, (void)err;
	fake.done_all = true;
	slice_cstr(partner, fake.partner, sizeof fake.partner);
	fake.verb = verb;
	*ret_n = (size_t)fake.n_entries;
	return 0;
}

static int fake_pause(void *arg, struct slice partner, bool paused, struct entente_err *err)
{
	(void)arg;
	slice_cstr(partner, fake.partner, sizeof fake.partner);
	fake.paused = paused;
	return fake.rc ? err_set(err, fake.rc, REASON_NONE, "cannot be written down") : 0;
}

static struct admin_ops with_queue;

static int setup(void **state)
{
	int rc = rig_setup(state);
	struct rig *r = *state;
	memset(&fake, 0, sizeof fake);
	with_queue = rig_ops;
	with_queue.queue_list = fake_list;
	with_queue.queue_show = fake_show;
	with_queue.queue_do = fake_do;
	with_queue.queue_do_all = fake_do_all;
	with_queue.queue_pause = fake_pause;
	admin_free(r->admin);
	r->admin = admin_new(r->store, &with_queue, r);
	return rc;
}

static void list(void **state)
{
	struct rig *r = *state;
	rig_text(r, "queue list", 0, "Nothing waits.\n");
	fake.n_entries = 3;
	json_decref(rig_data(r, "queue list fabrikam.test --state under-way --user sip:romeo@contoso.test --limit 2", 0));
	assert_string_equal(fake.partner, "fabrikam.test");
	assert_string_equal(fake.state, "under-way");
	assert_string_equal(fake.user, "romeo@contoso.test");
	assert_int_equal(fake.most, 2);
	fake.paused = true;
	fields_check(r, "queue list fabrikam.test", 0);
	fake.failing = true;
	json_t *j = rig_run(r, false, 0, "queue list fabrikam.test --limit 2");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "4711"));
	assert_null(strstr(text, "4713"));
	assert_null(strchr(text, '\x1b')); /* nothing steers the terminal */
	assert_non_null(strstr(text, "1 more like these"));
	assert_non_null(strstr(text, "3 in the journal, 1440 octets, the oldest for"));
	assert_non_null(strstr(text, "Paused: fabrikam.test."));
	assert_non_null(strstr(text, "Nothing can be added: the disk is full"));
	json_decref(j);
	fake.rc = ENTENTE_ETIMEOUT; /* what came in time is shown, and that it is not all */
	j = rig_run(r, true, 0, "queue list");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 69);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "data"), "entries")), 3);
	assert_int_equal(json_array_size(json_object_get(j, "warnings")), 1);
	json_decref(j);
}

static void show(void **state)
{
	struct rig *r = *state;
	json_t *d = rig_data(r, "queue show 4711", 0);
	assert_false(fake.body);
	assert_null(json_object_get(d, "stanza"));
	json_decref(d);
	fields_check(r, "queue show 4711 --body", 0);
	assert_true(fake.body);
	json_t *j = rig_run(r, false, 0, "queue show 4711 --body");
	assert_non_null(strstr(json_string_value(json_object_get(j, "text")), "the secret"));
	json_decref(j);
	fake.rc = ENTENTE_ENOTFOUND;
	rig_error(r, "queue show 9", 1, "not-found", "there is no entry 9");
}

static void verbs(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *word, *text;
		enum admin_queue_verb verb;
	} all[] = {{"hold", "1 entry is held.\n", ADMIN_QUEUE_HOLD}, {"release", "1 entry is released.\n", ADMIN_QUEUE_RELEASE},
		   {"retry", "1 entry is tried now.\n", ADMIN_QUEUE_RETRY}, {"expire", "1 entry is given up.\n", ADMIN_QUEUE_EXPIRE},
		   {"quarantine", "1 entry is in quarantine.\n", ADMIN_QUEUE_QUARANTINE}};
	char command[100];
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		memset(&fake, 0, sizeof fake);
		snprintf(command, sizeof command, "queue %s 4712", all[i].word);
		rig_text(r, command, 0, all[i].text);
		assert_true(fake.done && !fake.done_all && fake.number == 4712 && fake.verb == all[i].verb);
		fake.n_entries = 7;
		snprintf(command, sizeof command, "queue %s --partner fabrikam.test", all[i].word);
		fields_check(r, command, 0);
		assert_true(fake.done_all && fake.verb == all[i].verb);
		assert_string_equal(fake.partner, "fabrikam.test");
		snprintf(command, sizeof command, "queue %s --all", all[i].word);
		json_t *d = rig_data(r, command, 0);
		assert_int_equal(json_integer_value(json_object_get(d, "count")), 7);
		assert_string_equal(fake.partner, "");
		json_decref(d);
		/* what is not said is not guessed */
		memset(&fake, 0, sizeof fake);
		snprintf(command, sizeof command, "queue %s", all[i].word);
		rig_error(r, command, 2, "usage", "which entries?");
		snprintf(command, sizeof command, "queue %s 1 --all", all[i].word);
		rig_error(r, command, 2, "usage", "one number, one partner or all: only one of them can be meant");
		assert_false(fake.done || fake.done_all);
	}
	rig_text(r, "queue hold --all", 0, "There was nothing to do that to.\n");
	fake.rc = ENTENTE_EAGAIN;
	rig_error(r, "queue retry 5", 1, "busy", "no");
	fake.rc = ENTENTE_ENOTFOUND;
	rig_error(r, "queue retry 5", 1, "not-found", "no");
}

static void pause_and_resume(void **state)
{
	struct rig *r = *state;
	rig_text(r, "queue pause Fabrikam.test", 0, "Deliveries to fabrikam.test are paused.\n");
	assert_true(fake.paused);
	assert_string_equal(fake.partner, "fabrikam.test");
	fields_check(r, "queue resume fabrikam.test", 0);
	assert_false(fake.paused);
	fake.rc = ENTENTE_EIO; /* done, but not for ever */
	json_t *j = rig_run(r, true, 0, "queue pause fabrikam.test");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 0);
	assert_int_equal(json_array_size(json_object_get(j, "warnings")), 1);
	json_decref(j);
}

/* Who may look may not read; who runs the service may. Changes are recorded. */
static void rights(void **state)
{
	struct rig *r = *state;
	const struct admin_command *c = admin_command_by_id(ADMIN_CMD_QUEUE_SHOW);
	json_t *body = json_pack("{s:i,s:b}", "number", 4711, "body", 1), *no = json_pack("{s:i}", "number", 4711);
	static const unsigned may_not[] = {ADMIN_ROLE_VIEWER, ADMIN_ROLE_HELPDESK, ADMIN_ROLE_AUDITOR, ADMIN_ROLE_POLICY};
	for (size_t i = 0; i < 4; i++) {
		assert_non_null(admin_may_not_give(may_not[i], c, body));
		assert_null(admin_may_not_give(may_not[i], c, no));
		struct admin_session *s = admin_session_new_as(r->admin, S("someone"), may_not[i]);
		struct buf out;
		buf_init(&out, ADMIN_RESPONSE_MAX);
		admin_session_input(s, S("{\"command\":[\"queue\",\"show\"],\"args\":{\"number\":4711,\"body\":true},\"json\":true}\n"), &out);
		buf_putc(&out, 0);
		assert_non_null(strstr(buf_slice(&out).p, "forbidden"));
		assert_null(strstr(buf_slice(&out).p, "the secret"));
		buf_free(&out);
		admin_session_free(s);
	}
	assert_false(fake.body); /* it was not even asked for */
	assert_null(admin_may_not_give(ADMIN_ROLE_OPERATOR, c, body));
	json_decref(body);
	json_decref(no);
	admin_set_audit(r->admin, r->dir);
	rig_ok(r, "queue expire 4711");
	rig_ok(r, "queue pause fabrikam.test");
	rig_ok(r, "queue list");
	json_t *d = rig_data(r, "audit list", 0), *records = json_object_get(d, "records");
	char *all = json_dumps(records, 0);
	assert_non_null(strstr(all, "queue expire"));
	assert_non_null(strstr(all, "queue pause"));
	assert_null(strstr(all, "queue list"));
	free(all);
	json_decref(d);
}

static void no_queue(void **state)
{
	static const char *const all[] = {"queue list", "queue show 1", "queue hold 1", "queue pause fabrikam.test"};
	for (size_t i = 0; i < 4; i++)
		rig_error(*state, all[i], 69, "unavailable", "this process has no queue");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(list, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(show, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(verbs, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(pause_and_resume, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(rights, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(no_queue, rig_setup, rig_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
