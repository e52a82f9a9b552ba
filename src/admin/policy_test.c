/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/policy_test.h"

#include <string.h>
#include "admin/args.h"
#include "config/edit.h"

static const char *const kinds[] = {"message", "presence", "presence-subscribe", "presence-probe", "presence-state", "iq", "session", "request"};
static const char *const directions[] = {"auto", "to-local", "to-remote"};
static const char *const networks[] = {NULL, "sip", "xmpp"};
static const char *const marks[] = {"verified", "unverified", "none"};

static json_t *args_of(const struct config_policy_tests *t)
{
	json_t *args = json_pack("{s:s s:s s:s s:s s:s}", "from", t->from, "to", t->to, "kind", kinds[t->kind], "direction", directions[t->direction], "mark",
				 marks[t->mark]);
	if (networks[t->network])
		json_object_set_new(args, "via", json_string(networks[t->network]));
	if (*t->peer)
		json_object_set_new(args, "peer", json_string(t->peer));
	if (*t->srv)
		json_object_set_new(args, "srv", json_string(t->srv));
	return args;
}

/* The rule that refused, or all that were passed. */
static void steps_short(struct buf *out, json_t *data)
{
	json_t *st;
	size_t i;
	json_array_foreach(json_object_get(data, "steps"), i, st) {
		const char *outcome = admin_get_text(st, "outcome"), *subject = admin_get_text(st, "subject"), *object = admin_get_text(st, "object");
		if (!strcmp(outcome, "skip"))
			continue;
		buf_printf(out, "%s%s: %s", out->len ? "; " : "", admin_get_text(st, "rule"), outcome);
		if (!strcmp(outcome, "deny"))
			buf_printf(out, ", %s%s%s%s%s", admin_get_text(st, "detail"), *subject ? ": " : "", subject, *object ? ", by " : "", object);
	}
}

static bool run_one(struct admin *a, const struct config_policy_tests *t, struct snapshot *s, json_t *result)
{
	struct admin asked = *a;
	struct buf why;
	const struct admin_command *explain = admin_command_by_id(ADMIN_CMD_EXPLAIN);
	json_t *args = args_of(t);
	bool ok = false, refuse = t->expect == CONFIG_EXPECT_REFUSE;
	buf_init(&why, 65536);
	asked.draft = NULL;
	asked.fixed = s;
	struct admin_call c = {.admin = &asked, .who = S("policy-test"), .command = explain, .args = args, .json = true};
	if (!admin_args_check(explain, args, &why)) {
		json_object_set_new(result, "got", json_string("nonsense"));
	} else {
		admin_call_init(&c);
		admin_explain(&c);
		json_t *allowed = json_object_get(c.data, "allowed");
		const char *reason = admin_get_text(c.data, "reason");
		if (c.error || !json_is_boolean(allowed)) {
			json_object_set_new(result, "got", json_string("nonsense"));
			buf_puts(&why, admin_get_text(c.error, "text"));
		} else {
			ok = json_is_true(allowed) != refuse && (!refuse || !*t->reason || !strcmp(t->reason, reason));
			json_object_set_new(result, "got", json_string(json_is_true(allowed) ? "allow" : "refuse"));
			json_object_set_new(result, "got_reason", json_string(reason));
			steps_short(&why, c.data);
			if (!why.len)
				buf_puts(&why, admin_get_text(c.data, "text"));
		}
		admin_call_free(&c);
	}
	admin_set_text(result, "why", buf_slice(&why));
	json_decref(args);
	buf_free(&why);
	return ok;
}

size_t policy_tests_run(struct admin *a, const struct config *config, struct slice text, struct snapshot *s, json_t *results)
{
	size_t failed = 0;
	for (size_t i = 0; i < config->n_policy_tests; i++) {
		const struct config_policy_tests *t = &config->policy_tests[i];
		unsigned line = 0, column = 0;
		config_place(text, "policy-tests", i, &line, &column);
		json_t *r = json_pack("{s:i s:i s:b s:s s:s s:s}", "line", (int)line, "column", (int)column, "ok", 0, "kind", kinds[t->kind], "expect",
				      t->expect == CONFIG_EXPECT_ALLOW ? "allow" : "refuse", "reason", t->reason);
		admin_set_text(r, "from", slice_str(t->from));
		admin_set_text(r, "to", slice_str(t->to));
		bool ok = run_one(a, t, s, r);
		json_object_set_new(r, "ok", json_boolean(ok));
		failed += !ok;
		json_array_append_new(results, r);
	}
	return failed;
}

void policy_test_print(struct buf *out, json_t *r)
{
	const char *reason = admin_get_text(r, "reason"), *got = admin_get_text(r, "got_reason"), *why = admin_get_text(r, "why");
	buf_printf(out, "line %lld: %s from ", (long long)admin_get_int(r, "line"), admin_get_text(r, "kind"));
	admin_clean(out, slice_str(admin_get_text(r, "from")));
	buf_puts(out, " to ");
	admin_clean(out, slice_str(admin_get_text(r, "to")));
	buf_printf(out, ": expected %s%s%s", admin_get_text(r, "expect"), *reason ? " " : "", reason);
	if (json_is_true(json_object_get(r, "ok"))) {
		buf_puts(out, ": so it is");
		return;
	}
	buf_printf(out, ", got %s%s%s", admin_get_text(r, "got"), *got ? " " : "", got);
	if (*why) {
		buf_puts(out, " (");
		admin_clean(out, slice_str(why));
		buf_putc(out, ')');
	}
}

int admin_policy_tests(struct admin *a, const struct config *config, struct slice text, struct snapshot *s, struct config_errors *errs)
{
	json_t *results = json_array(), *r;
	size_t i, failed = policy_tests_run(a, config, text, s, results);
	*errs = (struct config_errors){0};
	json_array_foreach(results, i, r) {
		struct buf b;
		if (json_is_true(json_object_get(r, "ok")))
			continue;
		errs->n_errors++;
		if (errs->n == CONFIG_ERRORS_MAX)
			continue;
		struct config_error *e = &errs->list[errs->n++];
		*e = (struct config_error){.line = (unsigned)admin_get_int(r, "line"), .column = (unsigned)admin_get_int(r, "column"), .key = "policy-tests"};
		buf_init(&b, 65536);
		buf_puts(&b, "policy test ");
		policy_test_print(&b, r);
		slice_cstr(slice_first(buf_slice(&b), sizeof e->text - 1), e->text, sizeof e->text);
		buf_free(&b);
	}
	json_decref(results);
	return failed ? ENTENTE_EREFUSED : 0;
}
