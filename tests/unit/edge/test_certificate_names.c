/* SPDX-License-Identifier: Apache-2.0 */
/* Name tricks in certificates (NUL octets, wildcards, IDN, common names, IP addresses, case): each row is a real certificate, built
 * octet by octet, parsed as a peer's and asked whether it proves the domain. What is said of a name as dNSName is said by hand; in
 * every other place the same name proves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "../net/pki.h"
#include "base/enc.h"
#include "net/tls.h"
#include "xmpp/identity.h"

#define OCTETS(z) z, sizeof(z) - 1

static const struct row {
	const char *name;
	size_t len;
	const char *domain;
	bool proves;
} rows[] = {
	{OCTETS("example.com"), "example.com", true},
	{OCTETS("EXAMPLE.COM"), "example.com", true},
	{OCTETS("eXaMpLe.CoM"), "example.com", true},
	{OCTETS("example.com."), "example.com", true},
	{OCTETS("example.com.."), "example.com", false},
	{OCTETS(".example.com"), "example.com", false},
	{OCTETS("example.com\0"), "example.com", false},
	{OCTETS("example.com\0.evil.test"), "example.com", false},
	{OCTETS("\0example.com"), "example.com", false},
	{OCTETS("example\0.com"), "example.com", false},
	{OCTETS("*.com\0.evil.test"), "example.com", false},
	{OCTETS("example.com\n"), "example.com", false},
	{OCTETS("example.com\r\nevil.test"), "example.com", false},
	{OCTETS(" example.com"), "example.com", false},
	{OCTETS("example.com "), "example.com", false},
	{OCTETS("example.com\t"), "example.com", false},
	{OCTETS("example.com\x7f"), "example.com", false},
	{OCTETS("example.com\xff"), "example.com", false},
	{OCTETS("example.com/"), "example.com", false},
	{OCTETS("example.com:5269"), "example.com", false},
	{OCTETS("https://example.com"), "example.com", false},
	{OCTETS("xmpp:example.com"), "example.com", false},
	{OCTETS("user@example.com"), "example.com", false},
	{OCTETS("example.com,evil.test"), "example.com", false},
	{OCTETS("DNS:example.com"), "example.com", false},
	{OCTETS("CN=example.com"), "example.com", false},
	{OCTETS("evil.test"), "example.com", false},
	{OCTETS("example.com.evil.test"), "example.com", false},
	{OCTETS("evil-example.com"), "example.com", false},
	{OCTETS("evilexample.com"), "example.com", false},
	{OCTETS("xample.com"), "example.com", false},
	{OCTETS("example.co"), "example.com", false},
	{OCTETS("example.comm"), "example.com", false},
	{OCTETS("im.example.com"), "example.com", false},
	{OCTETS("example.com"), "im.example.com", false},
	{OCTETS("com"), "example.com", false},
	{OCTETS(""), "example.com", false},
	{OCTETS("."), "example.com", false},
	/* wildcards: the whole left label, for exactly one */
	{OCTETS("*.example.com"), "im.example.com", true},
	{OCTETS("*.EXAMPLE.com"), "im.example.com", true},
	{OCTETS("*.example.com."), "im.example.com", true},
	{OCTETS("*.example.com"), "example.com", false},
	{OCTETS("*.example.com"), "a.im.example.com", false},
	{OCTETS("*.example.com"), ".example.com", false},
	{OCTETS("*"), "example.com", false},
	{OCTETS("*"), "localhost", false},
	{OCTETS("*."), "example.com", false},
	{OCTETS("*.com"), "example.com", false},
	{OCTETS("*.*.com"), "im.example.com", false},
	{OCTETS("**.example.com"), "im.example.com", false},
	{OCTETS("i*.example.com"), "im.example.com", false},
	{OCTETS("*m.example.com"), "im.example.com", false},
	{OCTETS("i*m.example.com"), "im.example.com", false},
	{OCTETS("im.*.com"), "im.example.com", false},
	{OCTETS("im.example.*"), "im.example.com", false},
	{OCTETS("*.*.example.com"), "a.im.example.com", false},
	{OCTETS("a.*.example.com"), "a.im.example.com", false},
	{OCTETS("*.example.com\0"), "im.example.com", false},
	{OCTETS("*\0.example.com"), "im.example.com", false},
	{OCTETS("?.example.com"), "a.example.com", false},
	{OCTETS("[a-z].example.com"), "a.example.com", false},
	{OCTETS("xn--*.example.com"), "xn--bcher-kva.example.com", false},
	{OCTETS("*.example.com"), "xn--bcher-kva.example.com", true},
	{OCTETS("*.xn--bcher-kva.example"), "im.xn--bcher-kva.example", true},
	/* IDN: certificates speak A-labels */
	{OCTETS("xn--bcher-kva.example"), "b\xc3\xbc" "cher.example", true},
	{OCTETS("XN--BCHER-KVA.example"), "b\xc3\xbc" "cher.example", true},
	{OCTETS("xn--bcher-kva.example"), "xn--bcher-kva.example", true},
	{OCTETS("b\xc3\xbc" "cher.example"), "b\xc3\xbc" "cher.example", false},
	{OCTETS("b\xfc" "cher.example"), "b\xc3\xbc" "cher.example", false},
	{OCTETS("bucher.example"), "b\xc3\xbc" "cher.example", false},
	{OCTETS("xn--bucher-kva.example"), "b\xc3\xbc" "cher.example", false},
	{OCTETS("xn--xample-9uf.com"), "example.com", false}, /* a Cyrillic e */
	{OCTETS("exampl\xd0\xb5.com"), "example.com", false},
	{OCTETS("example\xe3\x80\x82" "com"), "example.com", false}, /* an ideographic full stop */
	{OCTETS("example\xef\xbc\x8e" "com"), "example.com", false}, /* a fullwidth one */
	/* addresses are not names */
	{OCTETS("192.0.2.1"), "192.0.2.1", false},
	{OCTETS("*.0.2.1"), "192.0.2.1", false},
	{OCTETS("2001:db8::1"), "2001:db8::1", false},
	{OCTETS("0xc0000201"), "192.0.2.1", false},
	/* service names are no host names */
	{OCTETS("_xmpp-server.example.com"), "example.com", false},
	{OCTETS("_xmpp-server._tcp.example.com"), "example.com", false},
};

enum { N = sizeof rows / sizeof *rows };

enum place { AS_DNS, AS_SRV, AS_SRV_CLIENT, AS_ADDR, AS_URI, AS_MAIL, AS_CN, PLACES };

static ASN1_STRING *string(int type, const void *p, size_t n)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type);
	assert_int_equal(ASN1_STRING_set(s, p, (int)n), 1);
	return s;
}

static GENERAL_NAME *other_name(const char *oid, int type, const void *p, size_t n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_TYPE *v = ASN1_TYPE_new();
	ASN1_TYPE_set(v, type, string(type, p, n));
	assert_int_equal(GENERAL_NAME_set0_othername(g, OBJ_txt2obj(oid, 1), v), 1);
	return g;
}

static GENERAL_NAME *plain(int kind, const void *p, size_t n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	GENERAL_NAME_set0_value(g, kind, string(V_ASN1_IA5STRING, p, n));
	return g;
}

static struct pki authority;

/* The certificate as a peer would show it. */
static struct tls_peer *certificate(enum place place, const char *p, size_t n)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char prefixed[512], cn[512];
	struct pki_spec spec = {.names = names};
	switch (place) {
	case AS_DNS:
		sk_GENERAL_NAME_push(names, plain(GEN_DNS, p, n));
		break;
	case AS_SRV:
	case AS_SRV_CLIENT: {
		const char *prefix = place == AS_SRV ? "_xmpp-server." : "_xmpp-client.";
		memcpy(prefixed, prefix, 13);
		memcpy(prefixed + 13, p, n);
		sk_GENERAL_NAME_push(names, other_name("1.3.6.1.5.5.7.8.7", V_ASN1_IA5STRING, prefixed, n + 13));
		break;
	}
	case AS_ADDR:
		sk_GENERAL_NAME_push(names, other_name("1.3.6.1.5.5.7.8.5", V_ASN1_UTF8STRING, p, n));
		break;
	case AS_URI:
		sk_GENERAL_NAME_push(names, plain(GEN_URI, p, n));
		break;
	case AS_MAIL:
		sk_GENERAL_NAME_push(names, plain(GEN_EMAIL, p, n));
		break;
	default:
		snprintf(cn, sizeof cn, "%.*s", n < 64 ? (int)n : 64, p); /* what a C string would make of it */
		spec.cn = *cn && utf8_valid(slice_str(cn)) ? cn : "x";
		spec.names = NULL;
		break;
	}
	if (!spec.cn)
		spec.cn = "leaf";
	struct pki made = pki_make(&spec, &authority);
	unsigned char *der = NULL;
	int len = i2d_X509(made.cert, &der);
	struct tls_peer *t = NULL;
	assert_int_equal(tls_peer_from_der(&t, slice_of((char *)der, (size_t)len)), 0);
	OPENSSL_free(der);
	pki_free(&made);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return t;
}

static bool proves(const struct tls_peer *t, const char *domain)
{
	struct xmpp_cert_names names = {.dns = t->dns, .n_dns = t->n_dns, .srv = t->srv, .n_srv = t->n_srv, .xmpp = t->xmpp,
					.n_xmpp = t->n_xmpp};
	return xmpp_identity_match(&names, slice_str(domain)) != XMPP_IDENTITY_NONE;
}

static unsigned made;

static void check(enum place place, const struct row *r, bool want)
{
	static const char *const text[] = {"dNSName", "SRVName", "SRVName of clients", "xmppAddr", "URI", "mail", "common name"};
	struct tls_peer *t = certificate(place, r->name, r->len);
	made++;
	if (proves(t, r->domain) != want)
		fail_msg("row %zu as %s: '%s' %s %s", (size_t)(r - rows), text[place], r->name, want ? "does not prove" : "proves", r->domain);
	tls_peer_free(t);
}

static void as_dns(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		check(AS_DNS, &rows[i], rows[i].proves);
}

/* A service name has no wildcards and no final dot. */
static void as_srv(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++) {
		const struct row *r = &rows[i];
		check(AS_SRV, r, r->proves && *r->name != '*' && r->name[r->len - 1] != '.');
	}
}

/* An XMPP address is UTF-8, is prepared as one, and has no wildcards. */
static void as_address(void **state)
{
	(void)state;
	static const struct row more[] = {
		{OCTETS("example.com"), "example.com", true},	     {OCTETS("Example.COM"), "example.com", true},
		{OCTETS("b\xc3\xbc" "cher.example"), "b\xc3\xbc" "cher.example", true}, {OCTETS("b\xc3\x9c" "cher.example"), "b\xc3\xbc" "cher.example", true},
		{OCTETS("user@example.com"), "example.com", false},  {OCTETS("example.com/x"), "example.com", false},
		{OCTETS("example.com\0"), "example.com", false},     {OCTETS("example.com\0.evil.test"), "example.com", false},
		{OCTETS("*.example.com"), "im.example.com", false},  {OCTETS("exampl\xd0\xb5.com"), "example.com", false},
		{OCTETS("example.com\xff"), "example.com", false},   {OCTETS("evil.test"), "example.com", false},
	};
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		struct tls_peer *t = certificate(AS_ADDR, more[i].name, more[i].len);
		made++;
		if (proves(t, more[i].domain) != more[i].proves)
			fail_msg("xmppAddr row %zu", i);
		tls_peer_free(t);
	}
}

static void elsewhere_nothing_counts(void **state)
{
	(void)state;
	static const enum place places[] = {AS_CN, AS_URI, AS_MAIL, AS_SRV_CLIENT};
	for (size_t p = 0; p < sizeof places / sizeof *places; p++)
		for (size_t i = 0; i < N; i += p ? 4 : 1) /* each as common name, a quarter in the other places */
			check(places[p], &rows[i], false);
	print_message("# %u certificates\n", made);
	assert_true(made >= 200);
}

static int setup(void **state)
{
	(void)state;
	authority = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1}, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_free(&authority);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_dns), cmocka_unit_test(as_srv), cmocka_unit_test(as_address),
					   cmocka_unit_test(elsewhere_nothing_counts)};
	return cmocka_run_group_tests_name("certificate-names", tests, setup, teardown);
}
