/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of attempts, its bounds; and who is to blame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "edge/xmpp_history.h"

static void note(void *arg, const struct xmpp_attempt *a)
{
	char *out = arg;
	size_t len = strlen(out);
	snprintf(out + len, 4096 - len, "%llu%s ", (unsigned long long)a->stream, a->over ? "x" : "");
}

static const char *list(struct xmpp_history *h, const char *domain)
{
	static char out[4096];
	*out = 0;
	xmpp_history_each(h, slice_str(domain), note, out);
	return out;
}

static void add(struct xmpp_history *h, const char *domain, uint64_t stream, bool partner)
{
	struct xmpp_attempt a = {.stream = stream, .purpose = "messages", .remote = slice_str(domain), .text = S("why"), .ok = true};
	xmpp_history_add(h, &a, partner);
}

static void newest_first(void **state)
{
	struct xmpp_history *h = xmpp_history_new();
	(void)state;
	for (uint64_t i = 1; i <= 3; i++)
		add(h, "b.test", i, true);
	assert_string_equal(list(h, "b.test"), "3 2 1 ");
	assert_string_equal(list(h, "c.test"), "");
	struct xmpp_attempt end = {.stream = 2, .remote = S("b.test"), .text = S("gone")};
	xmpp_history_end(h, &end);
	assert_string_equal(list(h, "b.test"), "3 2x 1 ");
	end.stream = 77;
	xmpp_history_end(h, &end);
	end.remote = S("c.test");
	xmpp_history_end(h, &end);
	for (uint64_t i = 4; i <= XMPP_HISTORY_KEEP + 2; i++)
		add(h, "b.test", i, true);
	const char *all = list(h, "b.test");
	assert_int_equal(strncmp(all, "22 21 20 ", 9), 0);
	assert_string_equal(strstr(all, "4 3 "), "4 3 "); /* 1 and 2 are forgotten */
	xmpp_history_free(h);
	xmpp_history_free(NULL);
	xmpp_history_add(NULL, &end, true);
	xmpp_history_end(NULL, &end);
	xmpp_history_each(NULL, S("b.test"), note, NULL);
}

/* Strangers push out strangers only. */
static void strangers(void **state)
{
	struct xmpp_history *h = xmpp_history_new();
	char name[64];
	(void)state;
	add(h, "partner.test", 1, true);
	add(h, "first.test", 2, false);
	for (int i = 0; i < 3 * XMPP_HISTORY_STRANGERS; i++) {
		snprintf(name, sizeof name, "s%d.test", i);
		add(h, name, 3, false);
		add(h, "first.test", 2, false); /* used all the time: stays */
	}
	assert_string_equal(list(h, "partner.test"), "1 ");
	assert_true(*list(h, "first.test") != 0);
	assert_string_equal(list(h, "s0.test"), "");
	assert_string_equal(list(h, name), "3 ");
	/* becomes a partner, and is one no longer */
	add(h, name, 4, true);
	add(h, name, 5, false);
	assert_string_equal(list(h, name), "5 4 3 ");
	xmpp_history_free(h);
}

static void blame(void **state)
{
	static const struct {
		enum xmpp_step at;
		bool inbound, received;
		enum xmpp_side side;
		enum reason reason;
		const char *text;
		enum xmpp_who who;
	} rows[] = {
		{XMPP_STEP_DNS, false, false, XMPP_SIDE_NONE, REASON_XMPP_DNS, "no such name", XMPP_WHO_DNS},
		{XMPP_STEP_DNS, false, false, XMPP_SIDE_NONE, REASON_XMPP_UNREACHABLE, "SERVFAIL", XMPP_WHO_DNS},
		{XMPP_STEP_TCP, false, false, XMPP_SIDE_NONE, REASON_XMPP_UNREACHABLE, "Connection refused", XMPP_WHO_PARTNER},
		{XMPP_STEP_TCP, false, false, XMPP_SIDE_NONE, REASON_XMPP_UNREACHABLE, "not connected within 10 s", XMPP_WHO_NETWORK},
		{XMPP_STEP_TCP, false, false, XMPP_SIDE_NONE, REASON_XMPP_UNREACHABLE, "xmpp.private-addresses forbids it", XMPP_WHO_DNS},
		{XMPP_STEP_TLS, false, false, XMPP_SIDE_NONE, REASON_XMPP_TLS, "alert bad certificate", XMPP_WHO_US},
		{XMPP_STEP_TLS, false, false, XMPP_SIDE_NONE, REASON_XMPP_TLS, "wrong version number", XMPP_WHO_UNCLEAR},
		{XMPP_STEP_TLS, false, false, XMPP_SIDE_REMOTE, REASON_XMPP_TLS_REQUIRED, "refused", XMPP_WHO_PARTNER},
		{XMPP_STEP_AUTH, false, false, XMPP_SIDE_REMOTE, REASON_XMPP_CERTIFICATE, "expired", XMPP_WHO_PARTNER},
		{XMPP_STEP_AUTH, true, false, XMPP_SIDE_REMOTE, REASON_XMPP_CERTIFICATE, "expired", XMPP_WHO_PARTNER},
		{XMPP_STEP_AUTH, false, false, XMPP_SIDE_LOCAL, REASON_XMPP_AUTH, "no EXTERNAL", XMPP_WHO_US},
		{XMPP_STEP_AUTH, false, true, XMPP_SIDE_LOCAL, REASON_XMPP_STREAM_ERROR, "ended: policy-violation", XMPP_WHO_PARTNER},
		{XMPP_STEP_AUTH, false, false, XMPP_SIDE_NONE, REASON_XMPP_DIALBACK, "remote-server-not-found: no DNS", XMPP_WHO_US},
		{XMPP_STEP_AUTH, false, false, XMPP_SIDE_NONE, REASON_XMPP_DIALBACK, "item-not-found", XMPP_WHO_PARTNER},
		{XMPP_STEP_AUTH, true, false, XMPP_SIDE_REMOTE, REASON_XMPP_DIALBACK, "does not know this key", XMPP_WHO_PARTNER},
		{XMPP_STEP_STREAM, false, true, XMPP_SIDE_REMOTE, REASON_XMPP_STREAM_ERROR, "host-unknown", XMPP_WHO_PARTNER},
		{XMPP_STEP_STREAM, true, false, XMPP_SIDE_LOCAL, REASON_POLICY_PARTNER_UNKNOWN, "not a partner", XMPP_WHO_US},
		{XMPP_STEP_UP, false, false, XMPP_SIDE_NONE, REASON_XMPP_UNREACHABLE, "reset", XMPP_WHO_UNCLEAR},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct entente_err err;
		err_set(&err, ENTENTE_ENET, rows[i].reason, "%s", rows[i].text);
		enum xmpp_who who = xmpp_blame(rows[i].at, rows[i].inbound, rows[i].received, rows[i].side, &err);
		if (who != rows[i].who)
			print_message("row %zu (%s): %s\n", i, rows[i].text, xmpp_who_text(who));
		assert_int_equal(who, rows[i].who);
	}
	assert_string_equal(xmpp_who_text(XMPP_WHO_UNCLEAR), "unclear");
	assert_string_equal(xmpp_step_text(XMPP_STEP_UP), "up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(newest_first), cmocka_unit_test(strangers), cmocka_unit_test(blame)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
