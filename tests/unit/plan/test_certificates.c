/* SPDX-License-Identifier: Apache-2.0 */
/* What `config check` says of certificates: each fault by its own words, on certificates made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "../net/pki.h"
#include "base/clock.h"
#include "plan/certificates.h"
#include "plan/site.h"

static struct pki ca, between;

static int setup(void **state)
{
	(void)state;
	pki_dir_make();
	ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1}, &ca);
	pki_write("ca", &ca, NULL);
	pki_issue("good", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .eku = "serverAuth,clientAuth"}, &ca, NULL);
	pki_issue("other", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .eku = "serverAuth,clientAuth"}, &ca, NULL);
	pki_issue("public", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .eku = "serverAuth"}, &ca, NULL);
	pki_issue("client", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .eku = "clientAuth"}, &ca, NULL);
	pki_issue("noeku", &(struct pki_spec){.cn = "x", .san = "DNS:im.test"}, &ca, NULL);
	pki_issue("srv", &(struct pki_spec){.cn = "x", .san = "otherName:1.3.6.1.5.5.7.8.7;IA5:_xmpp-server.im.test"}, &ca, NULL);
	pki_issue("addr", &(struct pki_spec){.cn = "x", .san = "DNS:im.test,otherName:1.3.6.1.5.5.7.8.5;UTF8:im.test"}, &ca, NULL);
	pki_issue("cn", &(struct pki_spec){.cn = "im.test"}, &ca, NULL);
	pki_issue("wild", &(struct pki_spec){.cn = "x", .san = "DNS:*.im.test"}, &ca, NULL);
	pki_issue("wrong", &(struct pki_spec){.cn = "x", .san = "DNS:other.test"}, &ca, NULL);
	pki_issue("expired", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .from_s = -9000, .to_s = -60}, &ca, NULL);
	pki_issue("soon", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .from_s = -8000, .to_s = 2000}, &ca, NULL);
	pki_issue("future", &(struct pki_spec){.cn = "x", .san = "DNS:im.test", .from_s = 3600, .to_s = 86400}, &ca, NULL);
	pki_issue("self", &(struct pki_spec){.cn = "x", .san = "DNS:im.test"}, NULL, NULL);
	pki_issue("whole", &(struct pki_spec){.cn = "x", .san = "DNS:im.test"}, &between, &between);
	pki_issue("short", &(struct pki_spec){.cn = "x", .san = "DNS:im.test"}, &between, NULL);
	FILE *f = fopen(pki_path("text.pem"), "w");
	fputs("not a certificate\n", f);
	fclose(f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_free(&ca);
	pki_free(&between);
	pki_dir_remove();
	return 0;
}

/* `lines` of the tls section. */
static struct config_errors look(const char *lines)
{
	char text[4096];
	struct config_errors errs = {0};
	struct config *c = NULL;
	snprintf(text, sizeof text,
		 "server:\n  name: gw.im.test\nhomes:\n  - name: h\n    domains: [im.test]\n    next-hop: sip:192.0.2.1;transport=tcp\n"
		 "tls:\n  trust: %s\n%s", pki_path("ca.pem"), lines);
	if (config_parse(&c, slice_str(text), false, &errs))
		fail_msg("%s", errs.list[0].text);
	errs = (struct config_errors){0};
	plan_certificates(c, &errs);
	config_free(c);
	return errs;
}

static struct config_errors look_at(const char *cert, const char *key, const char *client, const char *client_key)
{
	char lines[2048], x[128], y[128];
	snprintf(x, sizeof x, "%s.pem", cert);
	snprintf(y, sizeof y, "%s.key", key);
	int n = snprintf(lines, sizeof lines, "  certificate: %s\n  key: %s\n", pki_path(x), pki_path(y));
	if (client) {
		snprintf(x, sizeof x, "%s.pem", client);
		snprintf(y, sizeof y, "%s.key", client_key);
		snprintf(lines + n, sizeof lines - (size_t)n, "  client-certificate: %s\n  client-key: %s\n", pki_path(x), pki_path(y));
	}
	return look(lines);
}

static void test_rows(void **state)
{
	(void)state;
	static const struct {
		const char *name, *key; /* NULL: its own */
		bool error;
		const char *says;       /* NULL: nothing is wrong */
	} rows[] = {
		{"good", NULL, false, NULL},
		{"noeku", NULL, false, NULL},
		{"srv", NULL, false, NULL},
		{"whole", NULL, false, NULL},
		{"good", "other", true, "does not belong to the first certificate"},
		{"none", "good", true, "No such file"},
		{"good", "none", true, "No such file"},
		{"text", "good", true, "no valid PEM certificate in it"},
		{"public", NULL, false, "lacks clientAuth"},
		{"client", NULL, false, "is not for servers"},
		{"addr", NULL, false, "id-on-xmppAddr"},
		{"cn", NULL, false, "only in the common name"},
		{"wild", NULL, false, "covers subdomains only"},
		{"wrong", NULL, false, "does not cover our domain im.test"},
		{"expired", NULL, false, "has expired"},
		{"soon", NULL, false, "less than a quarter"},
		{"future", NULL, false, "is the clock right?"},
		{"self", NULL, false, "is self-signed"},
		{"short", NULL, false, "intermediate certificate is missing"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config_errors e = look_at(rows[i].name, rows[i].key ? rows[i].key : rows[i].name, NULL, NULL);
		if (e.n != (rows[i].says != NULL) || e.n_errors != rows[i].error)
			fail_msg("%s: %zu findings, %zu errors: %s", rows[i].name, e.n, e.n_errors, e.n ? e.list[0].text : "");
		if (!rows[i].says)
			continue;
		assert_string_equal(e.list[0].key, "tls.certificate");
		assert_int_equal(e.list[0].warning, !rows[i].error);
		if (!strstr(e.list[0].text, rows[i].says))
			fail_msg("%s: '%s' does not say '%s'", rows[i].name, e.list[0].text, rows[i].says);
	}
}

/* Each slot by its own purpose. */
static void test_slots(void **state)
{
	(void)state;
	struct config_errors e = look_at("public", "public", "good", "good");
	assert_int_equal(e.n, 0); /* the server slot needs no clientAuth */
	e = look_at("good", "good", "public", "public");
	assert_int_equal(e.n, 1);
	assert_string_equal(e.list[0].key, "tls.client-certificate");
	assert_non_null(strstr(e.list[0].text, "lacks clientAuth"));
	e = look_at("good", "good", "client", "client");
	assert_int_equal(e.n, 1);
	assert_non_null(strstr(e.list[0].text, "lacks serverAuth"));
	e = look_at("good", "good", "public", "good");
	assert_int_equal(e.n_errors, 1);
	assert_string_equal(e.list[0].key, "tls.client-certificate");
	e = look(""); /* none at all is not this function's business */
	assert_int_equal(e.n, 0);
}

static bool complains(const char *lines, bool fails, const char *says)
{
	char text[1024];
	struct config_errors errs = {0};
	struct config *c = NULL;
	bool found = false;
	snprintf(text, sizeof text, "server:\n  name: gw.im.test\nhomes:\n  - name: h\n    domains: [im.test]\n"
		 "    next-hop: sip:192.0.2.1;transport=tcp\ntls:\n%s", lines);
	assert_int_equal(config_parse(&c, slice_str(text), false, &errs) != 0, fails);
	for (size_t i = 0; i < errs.n; i++)
		found |= strstr(errs.list[i].text, says) && errs.list[i].warning != fails;
	config_free(c);
	return found;
}

static void test_pairs_are_whole(void **state)
{
	(void)state;
	assert_true(complains("  client-certificate: /c.pem\n", true, "tls.client-certificate without tls.client-key"));
	assert_true(complains("  client-key: /c.key\n", true, "tls.client-key without tls.client-certificate"));
	assert_true(complains("  client-certificate: /c.pem\n  client-key: /c.key\n", false, "partners that connect to us find no TLS"));
}

static void test_expiry(void **state)
{
	(void)state;
	enum { DAY = 86400 };
	assert_int_equal(plan_expiry(0, 90 * DAY, 60 * DAY), PLAN_EXPIRY_FINE);
	assert_int_equal(plan_expiry(0, 90 * DAY, 68 * DAY), PLAN_EXPIRY_SOON);
	assert_int_equal(plan_expiry(0, 45 * DAY, 30 * DAY), PLAN_EXPIRY_FINE); /* 15 days left are much here */
	assert_int_equal(plan_expiry(0, 6 * DAY, 5 * DAY), PLAN_EXPIRY_SOON);
	assert_int_equal(plan_expiry(0, 6 * DAY, 6 * DAY), PLAN_EXPIRY_OVER);
	assert_int_equal(plan_expiry(0, 0, 6 * DAY), PLAN_EXPIRY_FINE); /* unreadable */
	assert_true(plan_expiry_next(0, 0, 6 * DAY) == INT64_MAX && plan_expiry_next(0, 6 * DAY, 6 * DAY) == INT64_MAX);
}

/* Each threshold to the second, for lifetimes from seconds to years; and walking from change to change meets every level, and nothing
 * changes between. */
static void test_expiry_table(void **state)
{
	(void)state;
	static const struct {
		int64_t life, left;
		enum plan_expiry want;
	} rows[] = {
		{86400, 28800, PLAN_EXPIRY_FINE},   {86400, 28799, PLAN_EXPIRY_RENEW},    {86400, 21600, PLAN_EXPIRY_RENEW}, {86400, 21599, PLAN_EXPIRY_SOON},
		{86400, 10800, PLAN_EXPIRY_SOON},   {86400, 10799, PLAN_EXPIRY_CRITICAL}, {86400, 7200, PLAN_EXPIRY_CRITICAL}, {86400, 7199, PLAN_EXPIRY_URGENT},
		{86400, 1, PLAN_EXPIRY_URGENT},     {86400, 0, PLAN_EXPIRY_OVER},         {86400, -1, PLAN_EXPIRY_OVER},
		{576000, 144000, PLAN_EXPIRY_RENEW}, {576000, 143999, PLAN_EXPIRY_SOON}, /* 160 hours, Let's Encrypt's shortlived */
		{3888000, 972000, PLAN_EXPIRY_RENEW}, {3888000, 971999, PLAN_EXPIRY_SOON}, /* 45 days */
		{60, 20, PLAN_EXPIRY_FINE}, {60, 19, PLAN_EXPIRY_RENEW}, {60, 14, PLAN_EXPIRY_SOON}, {60, 7, PLAN_EXPIRY_CRITICAL}, {60, 4, PLAN_EXPIRY_URGENT},
		{315360000, 78840000, PLAN_EXPIRY_RENEW}, {315360000, 26280000, PLAN_EXPIRY_CRITICAL}, {315360000, 26279999, PLAN_EXPIRY_URGENT},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum plan_expiry e = plan_expiry(1000, 1000 + rows[i].life, 1000 + rows[i].life - rows[i].left);
		if (e != rows[i].want)
			fail_msg("%jd s of %jd s left: %s", (intmax_t)rows[i].left, (intmax_t)rows[i].life, plan_expiry_text(e));
	}
	static const int64_t lives[] = {1, 7, 12, 60, 61, 3600, 576000, 3888000, 7776001, 315360000};
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		int64_t at = 1000, next, end = 1000 + lives[i];
		enum plan_expiry level = plan_expiry(1000, end, at);
		for (int steps = 0; (next = plan_expiry_next(1000, end, at)) != INT64_MAX; steps++) {
			assert_true(next > at && steps < PLAN_EXPIRY_COUNT);
			assert_int_equal(plan_expiry(1000, end, next - 1), level);
			enum plan_expiry new = plan_expiry(1000, end, next);
			assert_true(new > level);
			level = new;
			at = next;
		}
		assert_int_equal(level, PLAN_EXPIRY_OVER);
	}
	assert_true(plan_remaining(0, 100, 75) == 0.25 && plan_remaining(50, 100, 10) == 1 && plan_remaining(0, 100, 200) == 0);
}

/* The plan warns of a wildcard in the certificate that is there now, and of nothing where there is none or no file. */
static void test_plan_wildcard(void **state)
{
	static const char *const names[] = {"wild", "good", "nowhere"};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char text[1024], x[32], y[32];
		struct arena *a = arena_new(1 << 16);
		struct config_errors errs;
		struct config *c = NULL;
		struct plan_site site;
		struct plan p;
		bool found = false;
		snprintf(x, sizeof x, "%s.pem", names[i]);
		snprintf(y, sizeof y, "%s.key", names[i]);
		snprintf(text, sizeof text, "server:\n  name: gw.im.test\nhomes:\n  - {name: h, domains: [im.test], next-hop: \"sip:192.0.2.1;transport=tcp\"}\n"
					    "tls:\n  certificate: %s\n  key: %s\n", pki_path(x), pki_path(y));
		assert_int_equal(config_parse(&c, slice_str(text), false, &errs), 0);
		assert_int_equal(plan_site_config(&site, a, c), 0);
		assert_int_equal(plan_make(&p, a, &site), 0);
		for (size_t k = 0; k < p.n_warnings; k++)
			if (strcmp(p.warnings[k].id, "plan/wildcard") == 0) {
				found = true;
				assert_true(slice_ends(p.warnings[k].text, S("*.im.test")));
			}
		assert_int_equal(found, i == 0);
		config_free(c);
		arena_release(NULL, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan_wildcard), cmocka_unit_test(test_rows), cmocka_unit_test(test_slots), cmocka_unit_test(test_expiry), cmocka_unit_test(test_expiry_table),
					   cmocka_unit_test(test_pairs_are_whole)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
