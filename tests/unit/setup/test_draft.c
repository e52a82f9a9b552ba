/* SPDX-License-Identifier: Apache-2.0 */
/* Every combination of answers gives a file that loads, and that says what was answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "config/config.h"
#include "setup/draft.h"

static void test_every_answer(void **state)
{
	static const struct slice domains[] = {S("contoso.example"), S("xn--mller-kva.example")};
	static const struct slice hops[] = {S("sip:10.0.0.5:5060;transport=tcp"), S("sips:[2001:db8::5]"), S("sip:pool.contoso.example;transport=udp")};
	static const struct slice insides[] = {S("10.0.0.10"), S("2001:db8::10"), S("0.0.0.0")};
	(void)state;
	for (unsigned i = 0; i < 2 * 3 * 3 * 2 * 3 * 3 * 2 * 2; i++) {
		unsigned k = i;
		unsigned n_domains = 1 + k % 2; k /= 2;
		unsigned hop = k % 3; k /= 3;
		unsigned inside = k % 3; k /= 3;
		bool with_xmpp = k % 2; k /= 2;
		unsigned federation = k % 3; k /= 3;
		unsigned source = k % 3; k /= 3;
		bool dnssec = k % 2; k /= 2;
		bool fixed = k % 2;
		struct setup_answers a = {
			.domains = domains, .n_domains = n_domains, .next_hop = hops[hop], .name = S("gw.contoso.example"), .inside = insides[inside],
			.inside_port = 5062, .outside = fixed ? S("192.0.2.10") : SLICE_NONE, .ipv6 = dnssec, .xmpp = with_xmpp,
			.federation = (enum setup_federation)federation, .source = (enum setup_certificate)source, .certificate = S("/etc/entente/a.pem"),
			.key = S("/etc/entente/a.key"), .dnssec = dnssec, .trust_anchor = S("/usr/share/dns/root.key"), .written = S("a test"),
		};
		struct slice host;
		uint16_t port;
		setup_next_hop_parts(a.next_hop, &host, &port, &a.transport);
		struct buf out;
		struct config *c = NULL;
		struct config_errors errs;
		buf_init(&out, 65536);
		setup_draft(&out, &a);
		assert_true(buf_ok(&out));
		if (config_parse(&c, buf_slice(&out), false, &errs))
			fail_msg("%u: line %u: %s\n%.*s", i, errs.list[0].line, errs.list[0].text, SFMT(buf_slice(&out)));
		for (size_t e = 0; e < errs.n; e++) /* no listener for partners is what was answered */
			if (!(!with_xmpp && strstr(errs.list[e].text, "xmpp.listen: no listener")))
				fail_msg("%u: %s\n%.*s", i, errs.list[e].text, SFMT(buf_slice(&out)));
		assert_string_equal(c->server_name, "gw.contoso.example");
		assert_int_equal(c->n_homes, 1);
		assert_int_equal(c->homes[0].domains.n, n_domains);
		assert_string_equal(c->homes[0].domains.items[n_domains - 1], domains[n_domains - 1].p);
		assert_true(slice_eq(slice_str(c->homes[0].next_hop), hops[hop]));
		assert_int_equal(c->n_sip_listen, 1);
		assert_true(slice_eq(slice_str(c->sip_listen[0].address), insides[inside]));
		assert_int_equal(c->sip_listen[0].port, 5062);
		assert_int_equal(c->sip_listen[0].transport, hop == 0 ? CONFIG_TCP : hop == 1 ? CONFIG_TLS : CONFIG_UDP);
		assert_int_equal(c->n_xmpp_listen, !with_xmpp ? 0 : fixed || !dnssec ? 1 : 2);
		assert_int_equal(c->n_sip_external_listen, federation == SETUP_CLOSED ? 0 : fixed || !dnssec ? 1 : 2);
		assert_string_equal(c->tls_certificate, "/etc/entente/a.pem");
		assert_string_equal(c->dns_trust_anchor, dnssec ? "/usr/share/dns/root.key" : "");
		assert_int_equal(slice_find(buf_slice(&out), S("FOR THE BEGINNING ONLY")) >= 0, source != SETUP_FILES);
		config_free(c);
		buf_free(&out);
	}
}

static void test_next_hop(void **state)
{
	static const struct {
		const char *text, *uri, *host, *transport;
		unsigned port;
	} good[] = {
		{"10.0.0.5", "sip:10.0.0.5:5060;transport=tcp", "10.0.0.5", "tcp", 5060},
		{"10.0.0.5:5070", "sip:10.0.0.5:5070;transport=tcp", "10.0.0.5", "tcp", 5070},
		{"pool.contoso.net:5061", "sip:pool.contoso.net:5061;transport=tls", "pool.contoso.net", "tls", 5061},
		{"pool.contoso.net/tls", "sip:pool.contoso.net:5061;transport=tls", "pool.contoso.net", "tls", 5061},
		{"pool.contoso.net:5061/tcp", "sip:pool.contoso.net:5061;transport=tcp", "pool.contoso.net", "tcp", 5061},
		{" 10.0.0.5/UDP ", "sip:10.0.0.5:5060;transport=udp", "10.0.0.5", "udp", 5060},
		{"2001:db8::5", "sip:[2001:db8::5]:5060;transport=tcp", "2001:db8::5", "tcp", 5060},
		{"[2001:db8::5]", "sip:[2001:db8::5]:5060;transport=tcp", "2001:db8::5", "tcp", 5060},
		{"[2001:db8::5]:5061", "sip:[2001:db8::5]:5061;transport=tls", "2001:db8::5", "tls", 5061},
		{"sip:10.0.0.5;transport=tcp", "sip:10.0.0.5;transport=tcp", "10.0.0.5", "tcp", 5060},
		{"sips:pool.contoso.net", "sips:pool.contoso.net", "pool.contoso.net", "tls", 5061},
		{"sip:[2001:db8::5]:7", "sip:[2001:db8::5]:7", "2001:db8::5", "udp", 7},
	};
	static const char *const bad[] = {"", " ", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:70000", "a b", "x/sctp", "sip:romeo@contoso.net", "sip:x;maddr=y", "[::1",
					  "user@host", "http://x", "10.0.0.5:5060;transport=tcp\nevil: yes", "\"x\""};
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct slice host, transport;
		uint16_t port = 0;
		const char *why = NULL;
		struct buf uri;
		buf_init(&uri, 1024);
		if (!setup_next_hop(&uri, slice_str(good[i].text), &why))
			fail_msg("%s: %s", good[i].text, why);
		if (!slice_eq(buf_slice(&uri), slice_str(good[i].uri)))
			fail_msg("%s: %.*s", good[i].text, SFMT(buf_slice(&uri)));
		setup_next_hop_parts(buf_slice(&uri), &host, &port, &transport);
		assert_true(slice_eq(host, slice_str(good[i].host)));
		assert_true(slice_eq(transport, slice_str(good[i].transport)));
		assert_int_equal(port, good[i].port);
		buf_free(&uri);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *why = NULL;
		struct buf uri;
		buf_init(&uri, 1024);
		if (setup_next_hop(&uri, slice_str(bad[i]), &why))
			fail_msg("taken: %s as %.*s", bad[i], SFMT(buf_slice(&uri)));
		assert_non_null(why);
		assert_int_equal(uri.len, 0);
		buf_free(&uri);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_answer), cmocka_unit_test(test_next_hop)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
