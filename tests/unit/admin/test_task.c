/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take time: lines before the response, slow readers, what waits behind them, their end. */
#include "rig.h"

struct talk { /* a connection */
	struct admin_session *session;
	struct buf out;
	unsigned ready;
};

static void on_ready(void *arg)
{
	struct talk *t = arg;
	t->ready++;
}

static void talk_begin(struct talk *t, struct rig *r)
{
	*t = (struct talk){.session = admin_session_new(r->admin, 0)};
	buf_init(&t->out, ADMIN_RESPONSE_MAX + 1024);
	admin_session_output(t->session, &t->out, on_ready, t);
}

static void talk_end(struct talk *t)
{
	admin_session_free(t->session);
	buf_free(&t->out);
}

static void say(struct talk *t, const char *request)
{
	assert_int_equal(admin_session_input(t->session, slice_str(request), &t->out), 0);
	assert_int_equal(admin_session_input(t->session, S("\n"), &t->out), 0);
}

/* Takes the next line off; NULL: there is none. */
static json_t *hear(struct talk *t)
{
	ptrdiff_t n = slice_find_chr(buf_slice(&t->out), '\n');
	if (n < 0)
		return NULL;
	json_t *j = json_loadb(buf_slice(&t->out).p, (size_t)n, 0, NULL);
	assert_non_null(j);
	buf_consume(&t->out, (size_t)n + 1);
	return j;
}

static void step(struct rig *r, const char *json)
{
	json_t *e = json_loads(json, 0, NULL);
	assert_non_null(e);
	admin_task_event(r->task, e);
}

static void finish(struct rig *r)
{
	struct admin_task *t = r->task;
	r->task = NULL;
	admin_task_end(t, NULL);
}

static void expect_text(struct talk *t, const char *key, const char *text)
{
	json_t *j = hear(t);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, key)), text);
	json_decref(j);
}

static const char ask_text[] = "{\"command\":[\"partner\",\"test\"],\"args\":{\"domain\":\"fabrikam.test\"}}";
static const char ask_json[] = "{\"command\":[\"partner\",\"test\"],\"args\":{\"domain\":\"fabrikam.test\",\"tls\":\"optional\",\"dialback\":false,"
			       "\"server\":\"[::1]:5270\",\"timeout\":7},\"json\":true}";

static void works(void **state)
{
	struct rig *r = *state;
	struct talk t;
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	talk_begin(&t, r);
	say(&t, ask_text);
	assert_non_null(r->task);
	assert_string_equal(r->domain, "fabrikam.test");
	assert_string_equal(r->from, "contoso.test");
	assert_int_equal(r->test.timeout_ms, 30000);
	assert_false(r->test.set_tls || r->test.set_sasl || r->test.set_dialback);
	assert_null(hear(&t));
	step(r, "{\"step\":\"policy\",\"outcome\":\"ok\",\"took\":0,\"text\":\"a partner\",\"facts\":{\"partner\":\"yes\"}}");
	json_decref(hear(&t));
	step(r, "{\"step\":\"dns\",\"outcome\":\"note\",\"text\":\"SRV x: 0 0 y:5269\",\"took\":0}");
	assert_int_equal(t.ready, 2);
	expect_text(&t, "line", "                           SRV x: 0 0 y:5269\n");
	step(r, "{\"step\":\"tcp\",\"outcome\":\"ok\",\"text\":\"192.0.2.1:5269\",\"took\":12}");
	expect_text(&t, "line", "ok      tcp         12 ms  192.0.2.1:5269\n");
	step(r, "{\"step\":\"verdict\",\"outcome\":\"ok\",\"took\":40}");
	assert_null(hear(&t));
	finish(r);
	expect_text(&t, "text", "\ninbound      the partner's server has not come to us since the daemon started\nverdict      works\n");
	talk_end(&t);
	assert_int_equal(r->cancelled, 0);
}

static void fails(void **state)
{
	struct rig *r = *state;
	struct talk t;
	talk_begin(&t, r);
	say(&t, ask_json);
	assert_true(r->test.set_tls && r->test.tls == POLICY_OPTIONAL && r->test.set_dialback && !r->test.dialback && !r->test.set_sasl);
	assert_string_equal(r->server, "::1");
	assert_int_equal(r->test.server_port, 5270);
	assert_int_equal(r->test.timeout_ms, 7000);
	step(r, "{\"step\":\"tls\",\"outcome\":\"failed\",\"text\":\"has expired\",\"took\":3,\"reason\":\"xmpp/certificate\",\"who\":\"partner\"}");
	json_t *j = hear(&t);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "event"), "who")), "partner");
	json_decref(j);
	step(r, "{\"step\":\"verdict\",\"outcome\":\"failed\",\"text\":\"has expired\",\"took\":9,\"reason\":\"xmpp/certificate\",\"who\":\"partner\",\"facts\":{\"step\":\"tls\"}}");
	json_decref(hear(&t));
	finish(r);
	j = hear(&t);
	json_t *d = json_object_get(j, "data");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 1);
	assert_string_equal(json_string_value(json_object_get(d, "verdict")), "fails");
	assert_string_equal(json_string_value(json_object_get(d, "failed_step")), "tls");
	assert_string_equal(json_string_value(json_object_get(d, "cause")), "has expired");
	assert_string_equal(json_string_value(json_object_get(d, "who")), "partner");
	assert_non_null(strstr(json_string_value(json_object_get(d, "next_step")), "fabrikam.test"));
	assert_int_equal(json_array_size(json_object_get(d, "steps")), 1);
	assert_true(json_is_null(json_object_get(d, "inbound_last")));
	json_decref(j);
	talk_end(&t);
}

/* We reach them, they do not reach us: why their last attempt failed is the cause. */
static void one_way(void **state)
{
	struct rig *r = *state;
	struct talk t;
	r->attempt = "{\"at\":\"2026-11-21T10:00:00Z\",\"direction\":\"in\",\"result\":\"failed\",\"step\":\"tls\",\"took\":{\"tls\":5},"
		     "\"reason\":\"xmpp/tls-failed\",\"text\":\"their clock is wrong\",\"who\":\"partner\",\"said\":true}";
	talk_begin(&t, r);
	say(&t, ask_text);
	step(r, "{\"step\":\"verdict\",\"outcome\":\"failed\",\"text\":\"no answer\",\"reason\":\"xmpp/unreachable\",\"who\":\"us\",\"facts\":{\"step\":\"ping\"}}");
	finish(r);
	json_t *j = hear(&t);
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "verdict      ONE WAY: we reach them, they do not reach us\ncause        their clock is wrong\n"));
	assert_non_null(strstr(text, "they said    their clock is wrong\n"));
	assert_non_null(strstr(text, "who          the administrator of fabrikam.test\n"));
	json_decref(j);
	talk_end(&t);
}

/* Requests behind it wait; leaving ends it. */
static void queue_and_leave(void **state)
{
	struct rig *r = *state;
	struct talk t;
	talk_begin(&t, r);
	say(&t, ask_text);
	say(&t, "{\"command\":[\"version\"],\"json\":true}");
	assert_null(hear(&t));
	step(r, "{\"step\":\"verdict\",\"outcome\":\"ok\"}");
	finish(r);
	json_t *j = hear(&t);
	assert_non_null(json_object_get(j, "text"));
	json_decref(j);
	j = hear(&t);
	assert_non_null(json_object_get(json_object_get(j, "data"), "version"));
	json_decref(j);
	say(&t, ask_text);
	talk_end(&t);
	assert_int_equal(r->cancelled, 1);
	assert_null(r->task);
}

static void refused(void **state)
{
	struct rig *r = *state;
	struct talk t;
	json_t *j;
	r->busy = true;
	talk_begin(&t, r);
	say(&t, ask_text);
	j = hear(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 69);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "text")), "the test cannot begin: 4 tests run already");
	json_decref(j);
	talk_end(&t);
	rig_error(r, "partner test contoso.test", 69, "unavailable", "this command needs a connection that stays");
	talk_begin(&t, r);
	say(&t, "{\"command\":[\"partner\",\"test\"],\"args\":{\"domain\":\"contoso.test\"}}");
	j = hear(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 2);
	json_decref(j);
	say(&t, "{\"command\":[\"partner\",\"test\"],\"args\":{\"domain\":\"a.test\",\"from\":\"b.test\"}}");
	j = hear(&t);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "text")), "b.test is not a domain of ours");
	json_decref(j);
	talk_end(&t);
}

static void trace(void **state)
{
	struct rig *r = *state;
	struct talk t;
	talk_begin(&t, r);
	say(&t, "{\"command\":[\"trace\"],\"args\":{\"partner\":\"fabrikam.test\",\"user\":\"sip:romeo@contoso.test\",\"for\":60}}");
	assert_string_equal(r->user, "romeo@contoso.test");
	assert_int_equal(r->trace.ms, 60000);
	assert_false(r->trace.bodies);
	step(r, "{\"event\":\"sip\",\"at\":\"2026-11-21T10:00:00.123Z\",\"direction\":\"in\",\"peer\":\"main\",\"what\":\"MESSAGE\",\"from\":\"sip:a@b\",\"to\":\"sip:c@d\","
		"\"size\":400,\"body_size\":12}");
	expect_text(&t, "line", "10:00:00.123  sip  <-- main  MESSAGE  sip:a@b -> sip:c@d  400 octets, body of 12 hidden\n");
	step(r, "{\"event\":\"xmpp\",\"at\":\"2026-11-21T10:00:00.124Z\",\"direction\":\"out\",\"peer\":\"d\",\"what\":\"message chat\",\"from\":\"a@b\",\"to\":\"c@d\","
		"\"size\":100,\"body_size\":14,\"body\":\"one\\n\\u001b[31mtwo\"}");
	expect_text(&t, "line", "10:00:00.124  xmpp --> d  message chat  a@b -> c@d  100 octets\n                   | one\n                   | ?[31mtwo\n");
	finish(r);
	expect_text(&t, "text", "2 events\n");
	/* bodies: not of everybody, not for long */
	say(&t, "{\"command\":[\"trace\"],\"args\":{\"bodies\":true}}");
	json_decref(hear(&t));
	assert_null(r->task);
	say(&t, "{\"command\":[\"trace\"],\"args\":{\"bodies\":true,\"partner\":\"a.test\",\"for\":3601}}");
	json_decref(hear(&t));
	assert_null(r->task);
	say(&t, "{\"command\":[\"trace\"],\"args\":{\"bodies\":true,\"partner\":\"a.test\"}}");
	assert_non_null(r->task);
	assert_true(r->trace.bodies);
	talk_end(&t);
}

/* Who does not read loses events and is told how many; memory stays bounded. */
static void slow(void **state)
{
	struct rig *r = *state;
	struct talk t;
	enum { EVENTS = 20000 };
	talk_begin(&t, r);
	say(&t, "{\"command\":[\"trace\"],\"json\":true}");
	for (int i = 0; i < EVENTS; i++)
		step(r, "{\"event\":\"sip\",\"at\":\"2026-11-21T10:00:00.123Z\",\"what\":\"MESSAGE\"}");
	assert_true(t.out.len < 1 << 20);
	size_t got = 0;
	for (json_t *j; (j = hear(&t)); got++)
		json_decref(j);
	assert_true(got > 1000 && got < EVENTS);
	step(r, "{\"event\":\"lost\",\"lost\":7}"); /* on the way to us */
	step(r, "{\"event\":\"sip\",\"what\":\"MESSAGE\"}");
	json_t *j = hear(&t);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "event"), "lost")), EVENTS - got + 7);
	json_decref(j);
	json_decref(hear(&t));
	finish(r);
	j = hear(&t);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "data"), "lost")), EVENTS - got + 7);
	json_decref(j);
	talk_end(&t);
}

static void durations(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *text;
		int seconds;
	} good[] = {{"30", 30}, {"30s", 30}, {"2m", 120}, {"2min", 120}, {"1h", 3600}, {"1d", 86400}};
	static const char *const bad[] = {"", "s", "0", "-1s", "1.5h", "2d", "1w", "99999999999999999999s"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		const char *words[] = {"trace", "--for", good[i].text};
		struct admin_line l;
		struct buf why;
		buf_init(&why, 4096);
		assert_int_equal(admin_line_parse(&l, 3, words, &why), ADMIN_RUN);
		assert_int_equal(json_integer_value(json_object_get(l.args, "for")), good[i].seconds);
		admin_line_free(&l);
		buf_free(&why);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *words[] = {"trace", "--for", bad[i]};
		struct admin_line l;
		struct buf why;
		buf_init(&why, 4096);
		assert_int_equal(admin_line_parse(&l, 3, words, &why), ADMIN_BAD);
		admin_line_free(&l);
		buf_free(&why);
	}
	(void)r;
}

static void attempts(void **state)
{
	struct rig *r = *state;
	r->attempt = "{\"at\":\"2026-11-21T10:00:00Z\",\"direction\":\"out\",\"result\":\"failed\",\"step\":\"tcp\",\"took\":{\"dns\":3,\"tcp\":5},\"stream\":4,"
		     "\"purpose\":\"messages\",\"address\":\"192.0.2.1:5269\",\"reason\":\"xmpp/unreachable\",\"text\":\"refused\",\"who\":\"partner\",\"said\":false}";
	rig_text(r, "show attempts fabrikam.test", 0,
		 "2026-11-21T10:00:00Z  out  failed at tcp  (dns 3 ms, tcp 5 ms)\n"
		 "             for          messages\n"
		 "             address      192.0.2.1:5269\n"
		 "             why          refused\n"
		 "             reason       xmpp/unreachable\n"
		 "             who          partner\n");
	json_t *d = rig_data(r, "show attempts other.test", 0);
	assert_int_equal(json_array_size(json_object_get(d, "attempts")), 0);
	json_decref(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(works), TEST(fails), TEST(one_way), TEST(queue_and_leave), TEST(refused), TEST(trace),
					   TEST(slow), TEST(durations), TEST(attempts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
