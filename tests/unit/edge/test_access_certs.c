/* SPDX-License-Identifier: Apache-2.0 */
/* The stores of certificates: Lync's bounds, what goes when they are full, and who changes sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "edge/access_certs.h"

static struct tls_peer peer(unsigned n)
{
	static char text[64];
	struct tls_peer p = {.has_cert = true, .issuer = S("CN=CA"), .serial = S("01"), .not_after = 77};
	snprintf(text, sizeof text, "CN=%u", n);
	p.subject = slice_str(text);
	memcpy(p.sha256, &n, sizeof n);
	return p;
}

struct seen {
	size_t accepted, rejected;
	char first[64], last_accepted[64], domains[300], why[64];
};

static void row(void *arg, const struct access_cert_facts *f)
{
	struct seen *s = arg;
	char *subject = s->accepted + s->rejected ? s->last_accepted : s->first;
	if (f->accepted || !(s->accepted + s->rejected))
		slice_cstr(f->subject, subject, 64);
	if (!(s->accepted + s->rejected))
		slice_cstr(f->domains, s->domains, sizeof s->domains);
	slice_cstr(f->why, s->why, sizeof s->why);
	*(f->accepted ? &s->accepted : &s->rejected) += 1;
	assert_true(f->connections > 0 && f->not_after == 77 && f->first <= f->last);
}

static struct seen look(struct access_certs *c)
{
	struct seen s = {0};
	access_certs_each(c, row, &s);
	return s;
}

static const struct access_certs_bounds lync = {1000, 500, 20};

static void put(struct access_certs *c, const struct access_certs_bounds *b, unsigned n, const char *why)
{
	struct tls_peer p = peer(n);
	access_certs_seen(c, b, &p, true, S("192.0.2.1:5061"), "good", slice_str(why), n);
}

static void test_bounds(void **state)
{
	struct access_certs *c = access_certs_new();
	(void)state;
	for (unsigned n = 1; n <= 1000; n++)
		put(c, &lync, n, "");
	for (unsigned n = 10001; n <= 10500; n++)
		put(c, &lync, n, "expired");
	struct seen s = look(c);
	assert_int_equal(s.accepted, 1000);
	assert_int_equal(s.rejected, 500);
	put(c, &lync, 1, ""); /* known: nobody goes */
	assert_int_equal(look(c).accepted, 1000);
	put(c, &lync, 1001, ""); /* a fifth goes, the longest unseen first: not 1, which was just seen */
	s = look(c);
	assert_int_equal(s.accepted, 801);
	assert_string_equal(s.first, "CN=1001");
	assert_string_equal(s.last_accepted, "CN=202");
	put(c, &lync, 10501, "expired");
	assert_int_equal(look(c).rejected, 401);
	put(c, &(struct access_certs_bounds){10, 5, 100}, 2000, ""); /* bounds can shrink */
	put(c, &(struct access_certs_bounds){10, 5, 1}, 20000, "x");
	s = look(c);
	assert_int_equal(s.accepted, 1);
	assert_int_equal(s.rejected, 5);
	access_certs_free(c);
}

static void test_sides(void **state)
{
	struct access_certs *c = access_certs_new();
	struct tls_peer p = peer(7);
	(void)state;
	put(c, &lync, 7, "");
	for (int i = 0; i < 6; i++) {
		char domain[16];
		snprintf(domain, sizeof domain, "d%d.test", i);
		access_certs_proved(c, &p, slice_str(domain));
	}
	access_certs_proved(c, &p, S("D4.test")); /* one of the last four already: to the front */
	assert_string_equal(look(c).domains, "D4.test d5.test d3.test d2.test");
	put(c, &lync, 7, "revoked");
	struct seen s = look(c);
	assert_int_equal(s.accepted, 0);
	assert_int_equal(s.rejected, 1);
	assert_string_equal(s.why, "revoked");
	put(c, &lync, 7, "");
	s = look(c);
	assert_int_equal(s.accepted, 1);
	assert_int_equal(s.rejected, 0);
	assert_string_equal(s.why, "");
	p.has_cert = false;
	access_certs_seen(c, &lync, &p, true, S("x"), "none", S("shows none"), 1);
	assert_int_equal(look(c).rejected, 0);
	access_certs_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds), cmocka_unit_test(test_sides)};
	return cmocka_run_group_tests_name("access-certs", tests, NULL, NULL);
}
