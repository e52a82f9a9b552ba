/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "policy/partner.h"

enum { R = POLICY_REQUIRED, O = POLICY_OPTIONAL, N = POLICY_NOT_SUPPORTED };
enum { SASL = POLICY_SASL_TLS, DTLS = POLICY_DIALBACK_TLS, DTCP = POLICY_DIALBACK_TCP };

/* The complete matrix as Lync documents it, row by row; `strict` is our reading of "required". */
static const struct {
	int tls, sasl;
	bool dialback;
	unsigned lync, strict;
	bool lync_warns_sasl;
} matrix[] = {
	{R, R, true, SASL, SASL, false},
	{R, R, false, SASL, SASL, false},
	{O, R, true, SASL | DTLS | DTCP, SASL, true},
	{O, R, false, SASL, SASL, true},
	{N, R, true, DTCP, 0, true},
	{N, R, false, 0, 0, true},
	{R, O, true, SASL | DTLS, SASL | DTLS, false},
	{R, O, false, SASL, SASL, false},
	{O, O, true, SASL | DTLS | DTCP, SASL | DTLS | DTCP, true},
	{O, O, false, SASL, SASL, true},
	{N, O, true, DTCP, DTCP, true},
	{N, O, false, 0, 0, true},
	{R, N, true, DTLS, DTLS, false},
	{R, N, false, 0, 0, false},
	{O, N, true, DTLS | DTCP, DTLS | DTCP, false},
	{O, N, false, 0, 0, false},
	{N, N, true, DTCP, DTCP, false},
	{N, N, false, 0, 0, false},
};

static struct policy_partner partner(void)
{
	struct policy_partner p = {.domain = S("example.org"), .additional = &p.domain, .n_additional = 7};
	policy_partner_defaults(&p);
	return p;
}

static void test_matrix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
		for (int mode = POLICY_STRICT; mode <= POLICY_LYNC; mode++) {
			struct policy_partner p = partner();
			p.tls = matrix[i].tls;
			p.sasl = matrix[i].sasl;
			p.dialback = matrix[i].dialback;
			unsigned want = mode == POLICY_LYNC ? matrix[i].lync : matrix[i].strict, warn = 0xffff;
			if (policy_partner_methods(&p, mode) != want)
				fail_msg("row %zu mode %d: %x, not %x", i + 1, mode, policy_partner_methods(&p, mode), want);
			struct entente_err err;
			int rc = policy_partner_check(&p, mode, &warn, &err);
			assert_int_equal(rc, want ? 0 : ENTENTE_EINVAL);
			if (rc) {
				assert_int_equal(warn, 0xffff);
				assert_non_null(strstr(err.text, "authenticate"));
				continue;
			}
			assert_int_equal(!!(warn & POLICY_WARN_SASL_NEEDS_TLS), matrix[i].lync_warns_sasl);
			assert_int_equal(!!(warn & POLICY_WARN_CLEARTEXT), !!(want & DTCP));
			assert_int_equal(!!(warn & POLICY_WARN_DIALBACK_IDLE), p.dialback && !(want & (DTLS | DTCP)));
			if (mode == POLICY_LYNC) /* row 1 is the only one where Lync says so */
				assert_int_equal(!!(warn & POLICY_WARN_DIALBACK_IDLE), i == 0);
		}
}

static void test_defaults(void **state)
{
	(void)state;
	struct policy_partner p = partner();
	assert_int_equal(p.type, POLICY_PUBLIC_UNVERIFIED);
	assert_true(p.enabled && p.keep_alive && p.dialback);
	assert_int_equal(p.n_additional, 0);
	assert_true(slice_eq(p.domain, S("example.org")));
	unsigned w = 1;
	assert_int_equal(policy_partner_check(&p, POLICY_STRICT, &w, NULL), 0);
	assert_int_equal(w, 0);
	assert_int_equal(policy_partner_methods(&p, POLICY_STRICT), SASL | DTLS); /* never in clear */
}

static void refused(const struct policy_partner *p, const char *field)
{
	struct entente_err err = {0};
	assert_int_equal(policy_partner_check(p, POLICY_STRICT, NULL, &err), ENTENTE_EINVAL);
	if (strncmp(err.text, field, strlen(field)) != 0)
		fail_msg("'%s' does not name %s", err.text, field);
}

static void test_fields(void **state)
{
	(void)state;
	struct policy_partner p = partner();
	p.domain = S("Example.org");
	refused(&p, "domain");
	p.domain = SLICE_NONE;
	refused(&p, "domain");

	p = partner();
	struct slice more[POLICY_ADDITIONAL_MAX + 1] = {S("a.example"), S("b.example"), S("a.example")};
	p.additional = more;
	p.n_additional = 2;
	assert_int_equal(policy_partner_check(&p, POLICY_STRICT, NULL, NULL), 0);
	p.n_additional = 3;
	refused(&p, "additional");
	more[2] = S("example.org");
	refused(&p, "additional");
	more[2] = S("c..example");
	refused(&p, "additional");
	more[2] = S("*.b.example");
	assert_int_equal(policy_partner_check(&p, POLICY_STRICT, NULL, NULL), 0);
	static const char *const wild[] = {"*.example", "*", "*.", "*.*.example.org", "a*.example.org", "b.*.example.org", "*.B.example", "**.b.example"};
	for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
		more[2] = slice_str(wild[i]);
		refused(&p, "additional");
	}
	p.n_additional = POLICY_ADDITIONAL_MAX + 1;
	refused(&p, "additional");

	p = partner();
	p.server_port = 5269;
	refused(&p, "server port");
	const char *good[] = {"xmpp.example.org", "192.0.2.1", "2001:db8::1"}, *bad[] = {"a b", "[::1]", "192.0.2", "host:5269"};
	for (size_t i = 0; i < 3; i++) {
		p.server_host = slice_str(good[i]);
		assert_int_equal(policy_partner_check(&p, POLICY_STRICT, NULL, NULL), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		p.server_host = slice_str(bad[i]);
		refused(&p, "server host");
	}
	p.server_host = slice_of("192.0.2.1\0x", 11);
	refused(&p, "server host");

	p = partner();
	p.description = S("two\nlines");
	refused(&p, "description");
	p.description = S("\xff");
	refused(&p, "description");
	static char big[POLICY_DESCRIPTION_MAX + 1];
	memset(big, 'x', sizeof big);
	p.description = slice_of(big, sizeof big);
	refused(&p, "description");
	p.description.len--;
	assert_int_equal(policy_partner_check(&p, POLICY_STRICT, NULL, NULL), 0);

	p = partner();
	p.type = 3;
	refused(&p, "type");
	p.type = POLICY_PUBLIC_VERIFIED;
	unsigned w = 0;
	assert_int_equal(policy_partner_check(&p, POLICY_STRICT, &w, NULL), 0);
	assert_int_equal(w, POLICY_WARN_PUBLIC_VERIFIED);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		enum policy_partner_type t = 9;
		assert_true(policy_partner_type_parse(&t, slice_str(policy_partner_type_name(i))));
		assert_int_equal(t, i);
		enum policy_negotiation n = 9;
		assert_true(policy_negotiation_parse(&n, slice_str(policy_negotiation_name(i))));
		assert_int_equal(n, i);
	}
	for (unsigned i = 0; i < 2; i++) {
		enum policy_negotiation_mode m = 9;
		assert_true(policy_negotiation_mode_parse(&m, slice_str(policy_negotiation_mode_name(i))));
		assert_int_equal(m, i);
	}
	enum policy_negotiation n = POLICY_OPTIONAL;
	assert_false(policy_negotiation_parse(&n, S("maybe")));
	assert_int_equal(n, O);
	assert_true(policy_negotiation_parse(&n, S("Not-Supported")));
	for (unsigned b = 1; b <= POLICY_WARN_ONE_PIN; b <<= 1)
		assert_true(*policy_warning_text(b));
}

static void test_pins(void **state)
{
	(void)state;
	static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	const char *good[] = {hex, "sha256:000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f",
			      "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f",
			      "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
	const char *bad[] = {"", "00", "sha256:", "sha256//", "sha256//00", "sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
			     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
			     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1", "sha1:0001",
			     ":000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:"};
	struct policy_pin p;
	struct buf b;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(policy_pin_parse(&p, slice_str(good[i])));
		buf_init(&b, 100);
		policy_pin_print(&b, &p);
		assert_true(slice_eq(buf_slice(&b), slice_str(hex)));
		buf_free(&b);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (policy_pin_parse(&p, slice_str(bad[i])))
			fail_msg("'%s' was taken", bad[i]);
	struct policy_pin two[POLICY_PINS_MAX + 1] = {{{1}}, {{2}}};
	assert_true(policy_pin_match(two, 2, two[1].sha256));
	assert_false(policy_pin_match(two, 1, two[1].sha256));
	struct policy_partner x = partner();
	unsigned w = 0;
	x.pins = two;
	x.n_pins = 2;
	x.pin_mode = POLICY_PIN_BLOCK;
	assert_int_equal(policy_partner_check(&x, POLICY_STRICT, &w, NULL), 0);
	assert_int_equal(w, 0);
	x.n_pins = 1;
	assert_int_equal(policy_partner_check(&x, POLICY_STRICT, &w, NULL), 0);
	assert_int_equal(w, POLICY_WARN_ONE_PIN);
	x.tls = POLICY_OPTIONAL; /* to block, each stream must show a key */
	refused(&x, "pins");
	x.pin_mode = POLICY_PIN_ALARM;
	assert_int_equal(policy_partner_check(&x, POLICY_STRICT, &w, NULL), 0);
	assert_true(w & POLICY_WARN_PIN_WITHOUT_TLS);
	x.n_pins = 2;
	two[1] = two[0];
	refused(&x, "pins");
	x.n_pins = POLICY_PINS_MAX + 1;
	refused(&x, "own certificate or pins");
}

int main(void)
{
	const struct CMUnitTest tests[] = {{"L02 the 18 combinations of TLS, SASL and dialback", test_matrix, NULL, NULL, NULL}, cmocka_unit_test(test_defaults),
					   cmocka_unit_test(test_fields), cmocka_unit_test(test_names), cmocka_unit_test(test_pins)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
