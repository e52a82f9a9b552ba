/* SPDX-License-Identifier: Apache-2.0 */
/* The end of clientAuth: which extended key usages are believed, whoever connected to whom, in TLS 1.2 and in TLS 1.3. The table
 * is that of the measurement with OpenSSL 3.0 as a server: column "purpose = sslserver" is ours, "any" what private trust
 * allows. */
#include "rawtls.h"

#include <stdio.h>

static const struct row {
	const char *name, *eku, *between; /* between: "" the authority signs itself, else the intermediate's usages ("-": none) */
	bool server, any;
} rows[] = {
	{"both", "serverAuth,clientAuth", "", true, true},
	{"server-only", "serverAuth", "", true, true},
	{"client-only", "clientAuth", "", false, true},
	{"no-eku", NULL, "", true, true},
	{"any-eku", "anyExtendedKeyUsage", "", false, true},
	{"sip-domain", "1.3.6.1.5.5.7.3.20", "", false, true},
	{"both-by-server", "serverAuth,clientAuth", "serverAuth", true, true},
	{"server-by-server", "serverAuth", "serverAuth", true, true},
	{"server-by-plain", "serverAuth", "-", true, true},
	{"both-by-client", "serverAuth,clientAuth", "clientAuth", false, true},
};

static struct tls_ctx *strict, *loose;

static int setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	pki_issue("us", &(struct pki_spec){.cn = "us", .san = "DNS:us.test", .eku = "serverAuth"}, &ca, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct pki between = {0};
		struct pki_spec leaf = {.cn = r->name, .san = "DNS:them.test", .eku = r->eku};
		if (*r->between)
			between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1, .eku = *r->between == '-' ? NULL : r->between}, &ca);
		pki_issue(r->name, &leaf, *r->between ? &between : &ca, *r->between ? &between : NULL);
		pki_free(&between);
	}
	pki_free(&ca);
	strict = pki_context("us", &(struct tls_settings){.purpose = TLS_PURPOSE_SERVER});
	loose = pki_context("us", &(struct tls_settings){.purpose = TLS_PURPOSE_ANY});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(strict);
	tls_ctx_unref(loose);
	pki_dir_remove();
	return 0;
}

static void table(bool inbound, int version)
{
	for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i / 2];
		bool any = i % 2, want = any ? row->any : row->server;
		struct rawtls r;
		rawtls_open(&r, !inbound, version, row->name, (struct conn_tls){.ctx = any ? loose : strict});
		rawtls_shake(&r);
		assert_int_equal(r.ours.secured, 1); /* recorded, never the end of the handshake: dialback may still do */
		const struct tls_peer *p = r.ours.peer;
		assert_string_equal(p->protocol.p, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
		if (!p->has_cert || p->chain_ok != want)
			fail_msg("%s, purpose %s: %s (%s)", row->name, any ? "any" : "server", p->chain_ok ? "believed" : "refused", p->why_not.p);
		if (!want)
			assert_int_equal(p->verify_code, X509_V_ERR_INVALID_PURPOSE);
		rawtls_close(&r);
	}
}

static void test_in_12(void **state)
{
	(void)state;
	table(true, TLS1_2_VERSION);
}

static void test_in_13(void **state)
{
	(void)state;
	table(true, TLS1_3_VERSION);
}

static void test_out_12(void **state)
{
	(void)state;
	table(false, TLS1_2_VERSION);
}

static void test_out_13(void **state)
{
	(void)state;
	table(false, TLS1_3_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_12), cmocka_unit_test(test_in_13), cmocka_unit_test(test_out_12),
					   cmocka_unit_test(test_out_13)};
	return cmocka_run_group_tests_name("tls-purpose", tests, setup, teardown);
}
