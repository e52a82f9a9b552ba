/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses the border: P-Asserted-Identity and trust headers, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "edge/access_headers.h"

static struct arena_pool *pool;

static const struct sip_msg *message(struct arena *a, const char *lines)
{
	struct sip_msg *m = NULL;
	struct sip_fault fault;
	struct slice text = arena_printf(a, "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\r\nFrom: <sip:a@ours.test>;tag=1\r\nTo: <sip:b@far.test>;tag=2\r\n"
					    "Call-ID: 1\r\nCSeq: 1 MESSAGE\r\n%sContent-Length: 0\r\n\r\n", lines);
	assert_int_equal(sip_msg_parse(&m, a, text, &sip_limits_default, &fault), 0);
	return m;
}

/* What is left of the header. */
static bool kept(const char *lines, bool inward, const struct access_marks *marks, const char *what)
{
	struct arena *a = arena_acquire(pool);
	struct sip_edit e;
	struct buf out;
	buf_init(&out, 1 << 20);
	sip_edit_init(&e, a, message(a, lines));
	(inward ? access_edit_inward : access_edit_outward)(&e, marks);
	assert_true(sip_edit_apply(&e, &out));
	bool yes = slice_find(buf_slice(&out), slice_str(what)) >= 0;
	buf_free(&out);
	arena_release(pool, a);
	return yes;
}

#define PAI "P-Asserted-Identity: "

/* An answer of far.test, whose word is taken for its own users only. */
static void t10_identities_in_answers(void **state)
{
	static const struct row {
		const char *lines;
		bool kept;
	} rows[] = {
		{PAI "<sip:b@far.test>\r\n", true}, {PAI "\"B\" <SIP:b@FAR.test>\r\n", true}, {PAI "<sip:b@far.test>, <tel:+491>\r\n", true},
		{PAI "<sip:boss@ours.test>\r\n", false}, {PAI "<sip:b@far.test>, <sip:boss@ours.test>\r\n", false},
		{PAI "<sip:b@far.test>\r\n" PAI "<sip:boss@ours.test>\r\n", false}, {PAI "<sip:b@sub.far.test>\r\n", false}, {PAI "<tel:+491>\r\n", false},
		{PAI "<http://far.test>\r\n", false}, {PAI "nonsense\r\n", false},
	};
	struct access_marks k = {.keep_asserted = true, .remote = S("far.test")};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (kept(rows[i].lines, true, &k, "P-Asserted-Identity") != rows[i].kept)
			fail_msg("%s", rows[i].lines);
	k.keep_asserted = false;
	assert_false(kept(rows[0].lines, true, &k, "P-Asserted-Identity"));
}

/* The ninth identity is one too. */
static void t10_many_identities(void **state)
{
	static const char eight[] = PAI "<sip:b@far.test>, <sip:b@far.test>, <sip:b@far.test>, <sip:b@far.test>, <sip:b@far.test>, <sip:b@far.test>, "
				    "<sip:b@far.test>, <sip:b@far.test>";
	struct slice hosts[8];
	char lines[512];
	struct arena *a = arena_acquire(pool);
	(void)state;
	snprintf(lines, sizeof lines, "%s\r\n", eight);
	assert_int_equal(access_asserted(message(a, lines), hosts, 8), 8);
	assert_true(slice_eq(hosts[7], S("far.test")));
	snprintf(lines, sizeof lines, "%s, <sip:boss@ours.test>\r\n", eight);
	assert_int_equal(access_asserted(message(a, lines), hosts, 8), 8);
	assert_true(slice_eq(hosts[7], S("invalid")));
	arena_release(pool, a);
}

static void t11_trust_headers(void **state)
{
	static const char *const names[] = {
		"ms-edge-proxy-message-trust", "MS-Edge-Proxy-Message-Trust", "ms-asserted-verification-level", "ms-user-data", "Ms-User-Logon-Data",
		"ms-split-domain-info", "ms-application-via", "ms-diagnostics", "ms-keep-alive", "P-Preferred-Identity", "remote-party-id", "Entente-Reason",
		"ms-received-port", "ms-received-anything", "P-Charging-Vector",
	};
	struct access_marks k = {.keep_asserted = true, .local = S("ours.test")};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		static const char *const forms[][2] = {{"", ": forged\r\n"}, {"", ":forged\r\n"}, {"", " \t:\r\n forged\r\n"}, {": x\r\n", ": forged\r\n"}};
		for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
			char lines[256];
			const char *first = *forms[f][0] ? names[i] : "";
			snprintf(lines, sizeof lines, "%s%s%s%s", first, forms[f][0], names[i], forms[f][1]);
			if (kept(lines, true, &k, "forged") || kept(lines, false, &k, "forged"))
				fail_msg("%s", lines);
		}
	}
	assert_true(kept("X-ms-user-data: forged\r\n", true, &k, "forged")); /* just a header */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(t10_identities_in_answers), cmocka_unit_test(t10_many_identities),
					   cmocka_unit_test(t11_trust_headers)};
	pool = arena_pool_new(1 << 22, 8);
	int failed = cmocka_run_group_tests_name("access_headers", tests, NULL, NULL);
	arena_pool_free(pool);
	return failed;
}
