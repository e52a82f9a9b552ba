/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "net/tls.h"
#include "pki.h"

static struct tls_peer *facts(const struct pki_spec *s)
{
	struct pki p = pki_make(s, NULL);
	unsigned char *der = NULL;
	int n = i2d_X509(p.cert, &der);
	struct tls_peer *f = NULL;
	assert_int_equal(tls_peer_from_der(&f, slice_of((char *)der, (size_t)n)), 0);
	/* no prefix and no tail of it is a certificate */
	struct tls_peer *none = NULL;
	assert_int_equal(tls_peer_from_der(&none, slice_of((char *)der, (size_t)n - 1)), ENTENTE_ESYNTAX);
	assert_int_equal(tls_peer_from_der(&none, slice_of((char *)der, (size_t)n + 1)), ENTENTE_ESYNTAX);
	assert_null(none);
	OPENSSL_free(der);
	pki_free(&p);
	return f;
}

static void is(struct slice s, const char *z)
{
	if (!slice_eq(s, slice_str(z)))
		fail_msg("\"%.*s\" is not \"%s\"", SFMT(s), z);
	assert_int_equal(s.p[s.len], 0);
}

static void test_every_kind(void **state)
{
	(void)state;
	struct tls_peer *f = facts(&(struct pki_spec){
		.cn = "im.example.org",
		.san = "DNS:Example.ORG,DNS:*.example.org,otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.example.org,"
		       "otherName:1.3.6.1.5.5.7.8.5;UTF8:example.org,URI:sip:example.org,IP:192.0.2.1,email:a@b,"
		       "otherName:1.2.3.4;UTF8:unknown",
		.eku = "serverAuth,1.3.6.1.5.5.7.3.20",
	});
	assert_true(f->has_cert && f->has_san);
	assert_int_equal(f->n_dns, 2);
	is(f->dns[0], "Example.ORG");
	is(f->dns[1], "*.example.org");
	assert_int_equal(f->n_srv, 1);
	is(f->srv[0], "_xmpp-server.example.org");
	assert_int_equal(f->n_xmpp, 1);
	is(f->xmpp[0], "example.org");
	assert_int_equal(f->n_uri, 1);
	is(f->uri[0], "sip:example.org");
	is(f->cn, "im.example.org");
	is(f->subject, "CN=im.example.org");
	is(f->issuer, "CN=im.example.org");
	assert_true(f->self_signed && f->eku_any_present && f->eku_server && !f->eku_client);
	assert_true(f->not_after - f->not_before == 86400 + 3600);
	assert_true(f->serial.len >= 2);
	assert_int_equal(f->names_bad, 0);
	assert_false(f->names_cut || f->chain_ok);
	is(f->protocol, "");
	uint8_t zero[32] = {0};
	assert_memory_not_equal(f->sha256, zero, 32);
	assert_memory_not_equal(f->spki_sha256, zero, 32);
	tls_peer_free(f);
}

static GENERAL_NAME *dns_name(const char *p, int n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	ASN1_STRING_set(s, p, n);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	return g;
}

static GENERAL_NAME *other_name(int nid, int type, const char *p, int n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = ASN1_STRING_type_new(type);
	ASN1_STRING_set(s, p, n);
	ASN1_TYPE *t = ASN1_TYPE_new();
	ASN1_TYPE_set(t, type, s);
	GENERAL_NAME_set0_othername(g, OBJ_nid2obj(nid), t);
	return g;
}

static void test_hostile_names(void **state)
{
	(void)state;
	char longest[256];
	memset(longest, 'a', sizeof longest);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *rows[] = {
		dns_name("good.test\0.evil.test", 20),  /* embedded NUL */
		dns_name("", 0),
		dns_name("sp ace.test", 11),
		dns_name("tab\t.test", 9),
		dns_name("\xc3\xa4.test", 7),               /* not IA5 */
		dns_name("del\x7f.test", 9),
		dns_name(longest, 256),
		other_name(NID_SRVName, V_ASN1_UTF8STRING, "_xmpp-server.a", 14), /* wrong string type */
		other_name(NID_SRVName, V_ASN1_IA5STRING, "_xmpp-server.a\0b", 16),
		other_name(NID_XmppAddr, V_ASN1_IA5STRING, "a.test", 6),
		other_name(NID_XmppAddr, V_ASN1_UTF8STRING, "\xff\xfe", 2),
		other_name(NID_XmppAddr, V_ASN1_UTF8STRING, "a\0b", 3),
		other_name(NID_XmppAddr, V_ASN1_UTF8STRING, "a\nb", 3),
		other_name(NID_XmppAddr, V_ASN1_UTF8STRING, "ex\xc3\xa4mple.org", 12),
		dns_name(longest, 255), /* the longest that is taken */
		dns_name("good.test", 9),
	};
	size_t n = sizeof rows / sizeof *rows;
	for (size_t i = 0; i < n; i++)
		sk_GENERAL_NAME_push(names, rows[i]);
	struct tls_peer *f = facts(&(struct pki_spec){.cn = "c n", .names = names});
	assert_int_equal(f->names_bad, n - 3);
	assert_int_equal(f->n_dns, 2);
	is(f->dns[1], "good.test");
	assert_int_equal(f->n_xmpp, 1);
	is(f->xmpp[0], "ex\xc3\xa4mple.org"); /* UTF-8 is right in this kind */
	assert_int_equal(f->n_srv + f->n_uri, 0);
	assert_int_equal(f->cn.len, 0); /* not clean */
	is(f->subject, "CN=c n");
	tls_peer_free(f);
	GENERAL_NAMES_free(names);
}

static void test_too_many_names(void **state)
{
	(void)state;
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char name[32];
	for (int i = 0; i < 2000; i++)
		sk_GENERAL_NAME_push(names, dns_name(name, snprintf(name, sizeof name, "n%d.test", i)));
	struct tls_peer *f = facts(&(struct pki_spec){.names = names});
	assert_int_equal(f->n_dns, TLS_NAMES_MAX);
	assert_true(f->names_cut);
	is(f->dns[255], "n255.test");
	is(f->subject, "");
	is(f->cn, "");
	tls_peer_free(f);
	GENERAL_NAMES_free(names);
}

static void test_no_names(void **state)
{
	(void)state;
	struct tls_peer *f = facts(&(struct pki_spec){.cn = "old.example.org"});
	assert_false(f->has_san || f->eku_any_present);
	is(f->cn, "old.example.org");
	assert_int_equal(f->n_dns, 0);
	tls_peer_free(f);
	f = facts(&(struct pki_spec){.cn = "x", .san = "IP:192.0.2.1"});
	assert_true(f->has_san); /* the CN must then not be used */
	tls_peer_free(f);
	/* a quoting trick in the subject stays inside its attribute */
	f = facts(&(struct pki_spec){.cn = "a,CN=bank.example"});
	is(f->subject, "CN=a\\,CN=bank.example");
	is(f->cn, "a,CN=bank.example");
	tls_peer_free(f);
	assert_int_equal(tls_peer_from_der(&f, SLICE_NONE), ENTENTE_ESYNTAX);
	assert_int_equal(tls_peer_from_der(&f, S("0\x82")), ENTENTE_ESYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_too_many_names),
		cmocka_unit_test(test_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
