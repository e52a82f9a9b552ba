/* SPDX-License-Identifier: Apache-2.0 */
/* All 18 rows of TLS x SASL x dialback, as documented for Lync Server 2013 (lenient) and in the strict reading. */
#include "unit.h"
#include "xmpp/negotiation.h"

enum { EXT = 1, DTLS = 2, DTCP = 4 };

static const struct row {
	enum xmpp_need tls, sasl;
	bool dialback;
	unsigned lenient, strict;
} rows[] = {
	{XMPP_REQUIRED, XMPP_REQUIRED, true, EXT, EXT},
	{XMPP_REQUIRED, XMPP_REQUIRED, false, EXT, EXT},
	{XMPP_OPTIONAL, XMPP_REQUIRED, true, EXT | DTLS | DTCP, EXT},
	{XMPP_OPTIONAL, XMPP_REQUIRED, false, EXT, EXT},
	{XMPP_OFF, XMPP_REQUIRED, true, DTCP, 0},
	{XMPP_OFF, XMPP_REQUIRED, false, 0, 0},
	{XMPP_REQUIRED, XMPP_OPTIONAL, true, EXT | DTLS, EXT | DTLS},
	{XMPP_REQUIRED, XMPP_OPTIONAL, false, EXT, EXT},
	{XMPP_OPTIONAL, XMPP_OPTIONAL, true, EXT | DTLS | DTCP, EXT | DTLS | DTCP},
	{XMPP_OPTIONAL, XMPP_OPTIONAL, false, EXT, EXT},
	{XMPP_OFF, XMPP_OPTIONAL, true, DTCP, DTCP},
	{XMPP_OFF, XMPP_OPTIONAL, false, 0, 0},
	{XMPP_REQUIRED, XMPP_OFF, true, DTLS, DTLS},
	{XMPP_REQUIRED, XMPP_OFF, false, 0, 0},
	{XMPP_OPTIONAL, XMPP_OFF, true, DTLS | DTCP, DTLS | DTCP},
	{XMPP_OPTIONAL, XMPP_OFF, false, 0, 0},
	{XMPP_OFF, XMPP_OFF, true, DTCP, DTCP},
	{XMPP_OFF, XMPP_OFF, false, 0, 0},
};

static unsigned bits(struct xmpp_methods m)
{
	return (m.external ? EXT : 0) | (m.dialback_tls ? DTLS : 0) | (m.dialback_tcp ? DTCP : 0);
}

static void test_matrix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct xmpp_methods lenient = xmpp_negotiation_methods(r->tls, r->sasl, r->dialback, true);
		struct xmpp_methods strict = xmpp_negotiation_methods(r->tls, r->sasl, r->dialback, false);
		assert_int_equal(bits(lenient), r->lenient);
		assert_int_equal(bits(strict), r->strict);
		assert_int_equal(xmpp_negotiation_possible(lenient), r->lenient != 0);
		assert_int_equal(xmpp_negotiation_possible(strict), r->strict != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
