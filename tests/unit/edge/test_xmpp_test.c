/* SPDX-License-Identifier: Apache-2.0 */
/* Testing a partner: every way that it can end, and what else must not happen meanwhile; and a trace of what passes. */
#include "org.h"

#include "base/clock.h"
#include "base/mem.h"

static struct buf told;    /* "step outcome reason who text\n" */
static unsigned verdicts;

static void on_event(void *arg, uint64_t id, const struct partner_test_event *e)
{
	(void)arg;
	assert_true(id != 0);
	verdicts += slice_eq(slice_str(e->step), S("verdict"));
	buf_printf(&told, "%s %s %s %s %.*s\n", e->step, e->outcome, reason_info(e->reason)->id, xmpp_who_text(e->who), SFMT(e->text));
	for (size_t i = 0; i < e->n_facts; i++)
		buf_printf(&told, "  %s=%.*s\n", e->facts[i].key, SFMT(e->facts[i].value));
}

static const struct partner_test_ops test_ops = {.event = on_event};

static int group_setup(void **state)
{
	buf_init(&told, 1 << 20);
	return orgs_group_setup(state);
}

static int group_teardown(void **state)
{
	buf_free(&told);
	return orgs_group_teardown(state);
}

static int setup(void **state)
{
	buf_clear(&told);
	verdicts = 0;
	orgs_begin(state);
	((struct orgs *)*state)->b.pong = true;
	return 0;
}

static int begin(struct orgs *o, uint64_t id, const struct xmpp_test_spec *how)
{
	struct xmpp_test_spec spec = how ? *how : (struct xmpp_test_spec){0};
	struct entente_err err;
	spec.id = id;
	spec.local = spec.local.len ? spec.local : S("a.test");
	spec.remote = spec.remote.len ? spec.remote : S("b.test");
	spec.timeout_ms = spec.timeout_ms ? spec.timeout_ms : 8000;
	return xmpp_test_start(o->a.proxy, &spec, &test_ops, NULL, &err);
}

/* Runs one to its verdict, whose line it expects to begin like this. */
static void run(struct orgs *o, const struct xmpp_test_spec *how, const char *verdict)
{
	static uint64_t id;
	unsigned before = verdicts;
	buf_clear(&told);
	assert_int_equal(begin(o, ++id, how), 0);
	UNTIL(o->loop, verdicts > before);
	if (!buf_has(&told, verdict))
		print_message("%.*s", SFMT(buf_slice(&told)));
	assert_true(buf_has(&told, verdict));
	turn(o->loop, 20);
	assert_int_equal(verdicts, before + 1);
}

struct last {
	struct xmpp_attempt a;
	char text[256];
	unsigned n;
};

static void first_only(void *arg, const struct xmpp_attempt *a)
{
	struct last *l = arg;
	if (l->n++)
		return;
	l->a = *a;
	slice_cstr(a->text, l->text, sizeof l->text);
}

static struct last last_of(struct org *o, const char *domain)
{
	struct last l = {.n = 0};
	xmpp_history_each(o->history, slice_str(domain), first_only, &l);
	return l;
}

/* ---- good */

static void test_works(void **state)
{
	struct orgs *o = *state;
	run(o, NULL, "verdict ok none nobody \n");
	static const char *const steps[] = {"policy ok ", "dns ok ", "tcp ok ", "stream ok ", "tls ok ", "auth ok ", "ping ok "};
	ptrdiff_t at = -1;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		ptrdiff_t here = slice_find(buf_slice(&told), slice_str(steps[i]));
		assert_true(here > at || i == 1); /* a fixed server has no DNS step */
		at = here > at ? here : at;
	}
	assert_true(buf_has(&told, "  method=external\n"));
	assert_true(buf_has(&told, "  match=dNSName\n"));
	assert_true(buf_has(&told, "  spki-sha256=sha256//"));
	assert_true(buf_has(&told, "which the partner's server opened"));
	assert_int_equal(o->a.seen.len, 0); /* the answer is no stanza of anybody's */
	assert_int_equal(org_streams(&o->a, "open", false), 0);
	struct last l = last_of(&o->a, "b.test");
	assert_true(l.n == 2); /* the test, and the stream with the answer */
}

static void test_dialback(void **state)
{
	struct orgs *o = *state;
	o->a.partner.sasl = o->b.partner.sasl = POLICY_NOT_SUPPORTED;
	org_publish(&o->a);
	org_publish(&o->b);
	run(o, NULL, "verdict ok ");
	assert_true(buf_has(&told, "  method=dialback\n"));
}

static void test_in_the_clear(void **state)
{
	struct orgs *o = *state;
	o->a.partner.tls = o->b.partner.tls = POLICY_NOT_SUPPORTED;
	o->a.partner.sasl = o->b.partner.sasl = POLICY_NOT_SUPPORTED;
	org_publish(&o->a);
	org_publish(&o->b);
	run(o, NULL, "verdict ok ");
	assert_true(buf_has(&told, "  encrypted=no\n"));
}

/* What carries messages goes on as it was. */
static void test_undisturbed(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	run(o, NULL, "verdict ok ");
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_false(buf_has(&o->a.links, "down"));
	assert_int_equal(buf_lines(&o->a.links), 1);
}

/* ---- bad */

static void test_certificates(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec strict = {.set_dialback = true, .dialback = false};
	static const struct {
		const char *file, *why;
	} bad[] = {{"wrong", "not valid for the name"}, {"old", "expired"}, {"self", "self"}};
	for (size_t i = 0; i < 3; i++) {
		org_tls(&o->b, bad[i].file);
		run(o, &strict, "verdict failed xmpp/certificate partner ");
		assert_true(buf_has(&told, "tls warning "));
		assert_true(buf_has(&told, bad[i].why));
		struct last l = last_of(&o->a, "b.test");
		assert_true(!l.a.ok && l.a.reason == REASON_XMPP_CERTIFICATE && l.a.who == XMPP_WHO_PARTNER);
		assert_true(l.a.took[XMPP_STEP_TLS] != XMPP_NOT_REACHED);
	}
}

/* They do not take our certificate, and nothing else is allowed: ours to change. */
static void test_our_certificate(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec strict = {.set_dialback = true, .dialback = false};
	org_tls(&o->a, "self");
	run(o, &strict, "verdict failed xmpp/not-authorized us ");
}

static void test_port_closed(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec closed = {.host = S("127.0.0.1"), .port = 1};
	run(o, &closed, "verdict failed xmpp/unreachable partner ");
	assert_true(buf_has(&told, "tcp failed "));
	struct last l = last_of(&o->a, "b.test");
	assert_true(!l.a.ok && l.a.step == XMPP_STEP_TCP && l.a.took[XMPP_STEP_TCP] != XMPP_NOT_REACHED);
}

static void test_silence(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec short_one = {.timeout_ms = 300};
	o->b.hold = true;
	run(o, &short_one, "verdict failed xmpp/unreachable partner ");
	assert_true(buf_has(&told, "waiting for the stream"));
}

/* They take our stream, and none comes from them. */
static void test_one_way(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec patient = {.timeout_ms = 1500};
	o->b.partner.server_port = 1;
	org_publish(&o->b);
	run(o, &patient, "verdict failed ");
	assert_true(buf_has(&told, "auth ok "));
	assert_true(buf_has(&told, "ping failed "));
	assert_true(buf_has(&told, "step=ping"));
}

/* ---- no partner */

static void test_stranger(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec there = {.host = S("127.0.0.1"), .port = org_port(&o->b)};
	o->a.partner.domain = SLICE_NONE;
	org_publish(&o->a);
	run(o, &there, "verdict ok ");
	assert_true(buf_has(&told, "policy warning "));
	assert_true(buf_has(&told, "ping skipped "));
	assert_true(buf_has(&told, "  method=external\n"));
	/* that lets nobody in */
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->b.sent, "1 xmpp/"));
	assert_int_equal(o->a.seen.len, 0);
}

/* Its server may ask about our key while the test runs, and never anything else. */
static void test_stranger_dialback(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec there = {.host = S("127.0.0.1"), .port = org_port(&o->b), .set_sasl = true, .sasl = POLICY_NOT_SUPPORTED};
	o->a.partner.domain = SLICE_NONE;
	org_publish(&o->a);
	run(o, &there, "verdict ok ");
	assert_true(buf_has(&told, "  method=dialback\n"));
	/* afterwards not even that */
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->b.sent, "1 xmpp/"));
	assert_int_equal(o->a.seen.len, 0);
}

/* While a test with dialback runs, a stranger's stanzas and its own dialback are still refused. */
static void test_stranger_stays_out(void **state)
{
	struct orgs *o = *state;
	struct xmpp_test_spec there = {.host = S("127.0.0.1"), .port = org_port(&o->b), .set_sasl = true, .sasl = POLICY_NOT_SUPPORTED};
	o->a.partner.domain = SLICE_NONE;
	org_publish(&o->a);
	o->b.hold = true; /* the test hangs */
	assert_int_equal(begin(o, 900, &there), 0);
	turn(o->loop, 50);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->b.sent, "1 xmpp/"));
	assert_int_equal(o->a.seen.len, 0);
	xmpp_test_cancel(o->a.proxy, 900);
	assert_int_equal(verdicts, 0);
}

/* ---- bounds, and ends */

static void test_bounds(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	for (uint64_t i = 1; i <= XMPP_TESTS_MAX; i++)
		assert_int_equal(begin(o, 1000 + i, NULL), 0);
	assert_int_equal(begin(o, 2000, NULL), ENTENTE_ELIMIT);
	xmpp_test_cancel(o->a.proxy, 1001);
	xmpp_test_cancel(o->a.proxy, 4711);
	assert_int_equal(begin(o, 2001, NULL), 0);
	turn(o->loop, 20);
	xmpp_proxy_quiesce(o->a.proxy);
	assert_int_equal(verdicts, XMPP_TESTS_MAX);
	assert_true(buf_has(&told, "verdict failed server/shutdown us "));
	assert_int_equal(begin(o, 2002, NULL), ENTENTE_ECLOSED);
	turn(o->loop, 20);
}

static void test_nonsense(void **state)
{
	struct orgs *o = *state;
	assert_int_equal(begin(o, 1, &(struct xmpp_test_spec){.local = S("c.test")}), ENTENTE_EINVAL);
	assert_int_equal(begin(o, 1, &(struct xmpp_test_spec){.remote = S("a.test")}), ENTENTE_EINVAL);
	assert_int_equal(verdicts, 0);
	/* settings that leave nothing */
	struct xmpp_test_spec none = {.set_tls = true, .tls = POLICY_NOT_SUPPORTED, .set_dialback = true, .dialback = false};
	run(o, &none, "verdict failed xmpp/not-authorized us ");
}

static void test_free_anywhere(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct orgs *o = MEM_NEW(struct orgs);
		orgs_setup(o);
		org_tls(&o->a, "a");
		org_tls(&o->b, "b");
		assert_int_equal(begin(o, 1, NULL), 0);
		for (int i = 0; i < turns; i++)
			loop_once(o->loop, 1);
		orgs_teardown(o);
		mem_free(o);
	}
}

/* ---- traces */

static struct buf traced;

static void on_traced(void *arg, uint64_t id, const struct trace_event *e)
{
	static const char *const kind[] = {"sip", "xmpp", "step"};
	(void)arg;
	buf_printf(&traced, "%u %s %s %.*s|%.*s|%.*s|%.*s|%.*s\n", (unsigned)id, kind[e->kind], e->out ? "out" : "in", SFMT(e->peer), SFMT(e->what),
		   SFMT(e->from), SFMT(e->to), SFMT(e->body));
}

static void test_trace(void **state)
{
	struct orgs *o = *state;
	struct trace_watch plain = {.id = 1, .partner = S("b.test"), .event = on_traced};
	struct trace_watch other = {.id = 2, .partner = S("c.test"), .event = on_traced};
	struct trace_watch user = {.id = 3, .user = S("v@b.test"), .bodies = true, .event = on_traced};
	buf_init(&traced, 1 << 20);
	assert_false(trace_on(o->a.trace));
	assert_true(trace_watch(o->a.trace, &plain) && trace_watch(o->a.trace, &other) && trace_watch(o->a.trace, &user));
	assert_true(trace_on(o->a.trace));
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	assert_true(buf_has(&traced, "1 xmpp out b.test|message|u@a.test|v@b.test|\n"));
	assert_true(buf_has(&traced, "1 step out b.test|stream is up"));
	assert_false(buf_has(&traced, "2 "));
	assert_false(buf_has(&traced, "3 step"));
	assert_true(buf_has(&traced, "3 xmpp out b.test|message|u@a.test|v@b.test|"));
	trace_unwatch(o->a.trace, 1);
	trace_unwatch(o->a.trace, 2);
	trace_unwatch(o->a.trace, 3);
	assert_false(trace_on(o->a.trace));
	buf_clear(&traced);
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_int_equal(traced.len, 0);
	for (uint64_t i = 1; i <= TRACE_WATCHES; i++) {
		plain.id = i;
		assert_true(trace_watch(o->a.trace, &plain));
	}
	plain.id = 99;
	assert_false(trace_watch(o->a.trace, &plain));
	buf_free(&traced);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, orgs_end)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_works), T(test_dialback), T(test_in_the_clear), T(test_undisturbed), T(test_certificates), T(test_our_certificate),
		T(test_port_closed), T(test_silence), T(test_one_way), T(test_stranger), T(test_stranger_dialback), T(test_stranger_stays_out),
		T(test_bounds), T(test_nonsense), cmocka_unit_test(test_free_anywhere), T(test_trace)};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
