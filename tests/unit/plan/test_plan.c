/* SPDX-License-Identifier: Apache-2.0 */
/* The planning tables of the reference topologies, compared with golden files. argv[1]: their directory. With GOLDEN=write in the
 * environment the files are made anew: look at the difference before you commit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/err.h"
#include "plan/handout.h"
#include "plan/site.h"

static const char *golden;

struct topology {
	const char *name, *config;
	const char *addresses[4];
	bool sip, eku;
};

#define TLS "tls:\n  certificate: /c\n  key: /k\n"
#define HOMES(domains, hop) "homes:\n  - name: pool\n    domains: " domains "\n    next-hop: " hop "\n"
static const struct topology topologies[] = {
	{"xmpp-only", /* one domain, DNS not yet known */
	 "server:\n  name: xmpp.contoso.com\nsip:\n  listen:\n    - address: 10.1.1.1\n      transport: tls\n      port: 5061\n"
	 "xmpp:\n  listen:\n    - address: 0.0.0.0\n    - address: \"::\"\n      port: 5270\n      tls: direct\n"
	 HOMES("[contoso.com]", "\"sip:pool.contoso.net:5061;transport=tls\"") TLS,
	 {NULL}, false, false},
	{"single-edge", /* the combined access edge of the documentation: two SIP domains, both with XMPP, public IM with AOL */
	 "server:\n  name: xmpp.contoso.com\nsip:\n  listen:\n    - address: 10.1.1.1\n      port: 5061\n      transport: tls\n"
	 "xmpp:\n  listen:\n    - address: 0.0.0.0\n"
	 HOMES("[contoso.com, fabrikam.com]", "\"sips:pool.contoso.net\"") TLS,
	 {"131.107.155.10", NULL}, true, true},
	{"scaled-edge", /* a pool behind DNS load balancing, both families, homes by UDP and IPv6 */
	 "server:\n  name: edge.hosting.example\nsip:\n  listen:\n    - address: 0.0.0.0\n      port: 5060\n      transport: udp\n"
	 "xmpp:\n  listen:\n    - address: 0.0.0.0\n"
	 HOMES("[contoso.com]", "\"sip:[2001:db8:1::5]:5070\"") TLS,
	 {"131.107.155.10", "131.107.155.11", "2001:db8::10", NULL}, true, false},
	{"edge", /* of two hosts the one that partners reach; its domains come from the gateway */
	 "server:\n  name: xmpp.contoso.com\n  role: edge\nxmpp:\n  listen:\n    - address: 0.0.0.0\n"
	 "link:\n  listen:\n    - address: 10.1.1.1\n  peers: [gw.contoso.com]\n" TLS,
	 {"131.107.155.10", NULL}, false, false},
	{"gateway", /* and the other */
	 "server:\n  name: gw.contoso.com\n  role: gateway\nsip:\n  listen:\n    - address: 10.1.1.2\n      port: 5060\n      transport: tcp\n"
	 "link:\n  edges: [xmpp.contoso.com, \"[2001:db8::7]:4000\", 10.1.1.9:23457]\n"
	 HOMES("[contoso.com]", "\"sip:10.1.1.5;transport=tcp\"") TLS,
	 {NULL}, false, false},
};

static void compare(const char *topology, const char *what, const struct buf *text)
{
	char path[512], now[65536];
	snprintf(path, sizeof path, "%s/%s.%s", golden, topology, what);
	assert_true(buf_ok(text));
	if (getenv("GOLDEN")) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(buf_slice(text).p, 1, text->len, f), text->len);
		assert_int_equal(fclose(f), 0);
		return;
	}
	FILE *f = fopen(path, "r");
	if (!f)
		fail_msg("%s is missing", path);
	size_t n = fread(now, 1, sizeof now - 1, f);
	fclose(f);
	now[n] = 0;
	if (n != text->len || memcmp(now, buf_slice(text).p, n) != 0)
		fail_msg("%s differs; now it would be:\n%.*s", path, SFMT(buf_slice(text)));
}

static void table(struct buf *out, const struct plan *p)
{
	for (size_t i = 0; i < p->n_certificates; i++)
		plan_openssl_print(out, &p->certificates[i]);
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct plan_port *o = &p->ports[i];
		buf_printf(out, "%s %s | %.*s %.*s %u | %.*s -> %.*s | %.*s\n", o->inbound ? "in" : "out", o->internal ? "internal" : "external",
			   SFMT(o->protocol), SFMT(o->transport), o->port, SFMT(o->source), SFMT(o->destination), SFMT(o->purpose));
	}
	for (size_t i = 0; i < p->n_warnings; i++)
		buf_printf(out, "%s: %.*s\n", p->warnings[i].id, SFMT(p->warnings[i].text));
}

static void test_topologies(void **state)
{
	const struct slice one = S("contoso.com");
	static const char *const dns[] = {"zone", "nsupdate", "aws", "azure", "gcloud"};
	(void)state;
	for (size_t i = 0; i < sizeof topologies / sizeof *topologies; i++) {
		const struct topology *t = &topologies[i];
		struct arena *a = arena_new(1 << 20);
		struct config *cfg = NULL;
		struct config_errors errs;
		struct plan_site site;
		struct plan p;
		struct slice addresses[4];
		struct buf out;
		buf_init(&out, 65536);
		if (config_parse(&cfg, slice_str(t->config), false, &errs))
			fail_msg("%s: %s", t->name, errs.list[0].text);
		assert_int_equal(plan_site_config(&site, a, cfg), 0);
		for (; t->addresses[site.n_addresses]; site.n_addresses++)
			addresses[site.n_addresses] = slice_str(t->addresses[site.n_addresses]);
		site.addresses = addresses;
		site.sip_federation |= t->sip;
		site.sip_client_eku = t->eku;
		if (!site.n_domains) {
			site.domains = &one;
			site.n_domains = 1;
		}
		assert_int_equal(plan_make(&p, a, &site), 0);
		table(&out, &p);
		compare(t->name, "plan", &out);
		for (int f = PLAN_DNS_BIND; f <= PLAN_DNS_GCLOUD; f++) {
			buf_clear(&out);
			plan_dns_print(&out, &p, (enum plan_dns_format)f);
			compare(t->name, dns[f], &out);
		}
		buf_clear(&out);
		plan_nftables_print(&out, &p);
		compare(t->name, "nft", &out);
		buf_clear(&out);
		assert_true(plan_handout_print(&out, &site, &p, SLICE_NONE));
		compare(t->name, "handout", &out);
		buf_clear(&out);
		assert_false(plan_handout_print(&out, &site, &p, S("prosdy")));
		assert_int_equal(out.len, 0);
		buf_free(&out);
		config_free(cfg);
		arena_release(NULL, a);
	}
}

static void test_limits(void **state)
{
	static struct slice many[PLAN_DOMAINS_MAX + 1];
	struct plan p = {.n_ports = 99};
	struct arena *a = arena_new(4 << 20), *tiny = arena_new(20000);
	struct plan_site s = {.server_name = S("x.example"), .domains = many, .xmpp_port = 5269};
	(void)state;
	assert_int_equal(plan_make(&p, a, &s), ENTENTE_EINVAL);
	for (size_t i = 0; i <= PLAN_DOMAINS_MAX; i++)
		many[i] = arena_printf(a, "d%zu.example", i);
	s.n_domains = PLAN_DOMAINS_MAX + 1;
	assert_int_equal(plan_make(&p, a, &s), ENTENTE_ELIMIT);
	s.n_domains = PLAN_DOMAINS_MAX;
	assert_int_equal(plan_make(&p, tiny, &s), ENTENTE_ELIMIT);
	assert_int_equal(p.n_ports, 99); /* untouched */
	assert_int_equal(plan_make(&p, a, &s), 0);
	assert_int_equal(p.n_records, PLAN_DOMAINS_MAX + 1);
	assert_int_equal(p.certificates[0].n_names, PLAN_DOMAINS_MAX + 1);
	arena_release(NULL, tiny);
	arena_release(NULL, a);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_topologies), cmocka_unit_test(test_limits)};
	if (argc < 2)
		return 2;
	golden = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
