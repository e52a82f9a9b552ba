/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates between two proxies: which of ours is shown, pins, DANE, delegation, a new certificate under open streams. DNS is
 * of the test's making. */
#include "org.h"

#include <openssl/pem.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fakedns.h"

static struct tls_peer *facts_b, *facts_self, *facts_a, *facts_self_a, *facts_host;

static struct tls_peer *leaf(const char *name, const char *san, const char *eku, const struct pki *ca)
{
	struct pki p = pki_make(&(struct pki_spec){.cn = name, .san = san, .eku = eku}, ca);
	unsigned char *der = NULL;
	struct tls_peer *facts = NULL;
	int n = i2d_X509(p.cert, &der);
	pki_write(name, &p, NULL);
	assert_int_equal(tls_peer_from_der(&facts, slice_of((char *)der, (size_t)n)), 0);
	OPENSSL_free(der);
	pki_free(&p);
	return facts;
}

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	facts_a = leaf("a", "DNS:a.test", "serverAuth,clientAuth", &ca);
	facts_b = leaf("b", "DNS:b.test", "serverAuth", &ca);
	tls_peer_free(leaf("b2", "DNS:b.test", "serverAuth", &ca));
	tls_peer_free(leaf("a-client", "DNS:a.test", "serverAuth,clientAuth", &ca));
	facts_self = leaf("self", "DNS:elsewhere.test", NULL, NULL); /* names and dates do not matter to DANE-EE */
	facts_self_a = leaf("self-a", "DNS:elsewhere.test", NULL, NULL);
	facts_host = leaf("host", "DNS:xmpp.b.test", "serverAuth", &ca);
	pki_free(&ca);
	journal_open();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	journal_close();
	tls_peer_free(facts_a), tls_peer_free(facts_b), tls_peer_free(facts_self), tls_peer_free(facts_self_a), tls_peer_free(facts_host);
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	fakedns_reset(true);
	orgs_begin(state);
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = false; /* certificates alone */
	org_publish(&o->a);
	org_publish(&o->b);
	return 0;
}

static void passes(struct orgs *o, struct org *from, const char *id)
{
	struct org *to = from == &o->a ? &o->b : &o->a;
	char line[32], done[32];
	org_send(from, to->domain, id);
	snprintf(line, sizeof line, "message %s\n", id);
	snprintf(done, sizeof done, "%s none \n", id);
	UNTIL(o->loop, buf_has(&to->seen, line) || (buf_has(&from->sent, id) && !buf_has(&from->sent, done)));
	if (!buf_has(&to->seen, line))
		fail_msg("%.*s", SFMT(buf_slice(&from->sent)));
	UNTIL(o->loop, buf_has(&from->sent, done));
}

static void refused(struct orgs *o, struct org *from, const char *id, const char *reason)
{
	char line[64];
	snprintf(line, sizeof line, "%s %s ", id, reason);
	org_send(from, from == &o->a ? "b.test" : "a.test", id);
	UNTIL(o->loop, buf_has(&from->sent, id));
	if (!buf_has(&from->sent, line))
		fail_msg("%.*s, not %s", SFMT(buf_slice(&from->sent)), reason);
}

static void afresh(struct orgs *o, struct org *from)
{
	org_publish(from); /* forgets the back-off */
	buf_clear(&from->sent);
	buf_clear(&journal);
	turn(o->loop, 20);
}

/* ---- slots */

static void shown_to_b(struct orgs *o, const char *file)
{
	struct xmpp_sighting s;
	char path[64];
	X509 *x;
	unsigned char sum[32];
	snprintf(path, sizeof path, "%s.pem", file);
	FILE *f = fopen(pki_path(path), "r");
	assert_non_null(x = PEM_read_X509(f, NULL, NULL, NULL));
	fclose(f);
	X509_digest(x, EVP_sha256(), sum, NULL);
	X509_free(x);
	assert_true(xmpp_seen_get(o->b.certificates, S("a.test"), &s));
	assert_memory_equal(s.sha256, sum, 32);
	assert_true(s.inbound && s.believed);
	assert_string_equal(s.proof, "external");
}

static void slot_client_by_default(void **state)
{
	struct orgs *o = *state;
	org_tls_slots(&o->a, "a", "a-client");
	passes(o, &o->a, "1");
	shown_to_b(o, "a-client");
	passes(o, &o->b, "2"); /* who calls us sees the other one */
	struct xmpp_sighting s;
	assert_true(xmpp_seen_get(o->b.certificates, S("a.test"), &s));
	assert_memory_equal(s.sha256, facts_a->sha256, 32);
	assert_false(s.inbound);
}

static void slot_server_where_wanted(void **state)
{
	struct orgs *o = *state;
	org_tls_slots(&o->a, "a", "a-client");
	o->a.partner.own_certificate = POLICY_OWN_SERVER;
	org_publish(&o->a);
	passes(o, &o->a, "1");
	shown_to_b(o, "a");
}

static void slot_none_leaves_dialback(void **state)
{
	struct orgs *o = *state;
	struct xmpp_sighting s;
	o->a.partner.own_certificate = POLICY_OWN_NONE;
	o->a.partner.dialback = o->b.partner.dialback = true;
	org_publish(&o->a);
	org_publish(&o->b);
	passes(o, &o->a, "1");
	assert_true(buf_has(&journal, "proof=dialback"));
	assert_false(buf_has(&journal, "proof=external"));
	assert_true(xmpp_seen_get(o->a.certificates, S("b.test"), &s));
	assert_false(xmpp_seen_get(o->b.certificates, S("a.test"), &s) && s.inbound);
}

/* S30 */
static void s30_new_certificate_drops_no_stream(void **state)
{
	struct orgs *o = *state;
	passes(o, &o->a, "1");
	struct xmpp_sighting before, after;
	assert_true(xmpp_seen_get(o->a.certificates, S("b.test"), &before));
	org_tls(&o->b, "b2");
	org_tls(&o->a, "a-client");
	for (int i = 2; i < 8; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		passes(o, &o->a, id);
	}
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	assert_int_equal(buf_lines(&o->a.links), 1);           /* it came up once and stayed */
	assert_false(buf_has(&journal, "xmpp/stream-down"));
	o->a.partner.enabled = false; /* a new stream shows the new certificate */
	org_publish(&o->a);
	o->a.partner.enabled = true;
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	passes(o, &o->a, "9");
	assert_true(xmpp_seen_get(o->a.certificates, S("b.test"), &after));
	assert_memory_not_equal(before.sha256, after.sha256, 32);
	assert_true(buf_has(&journal, "tls/key-changed"));
}

/* ---- pins (another authority's certificate is good for everybody but them) */

static struct policy_pin pins[2];

static void pin(struct org *o, const struct tls_peer *of, enum policy_pin_mode mode)
{
	memset(pins, 0x55, sizeof pins);
	memcpy(pins[1].sha256, of->spki_sha256, 32);
	o->partner.pins = pins;
	o->partner.n_pins = 2;
	o->partner.pin_mode = mode;
	org_publish(o);
}

static void pin_fits(void **state)
{
	struct orgs *o = *state;
	pin(&o->a, facts_b, POLICY_PIN_BLOCK);
	passes(o, &o->a, "1");
	passes(o, &o->b, "2");
	assert_false(buf_has(&journal, "tls/pin"));
}

static void pin_blocks_out(void **state)
{
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true; /* and dialback does not go round it */
	org_publish(&o->b);
	pin(&o->a, facts_host, POLICY_PIN_BLOCK);
	refused(o, &o->a, "1", "xmpp/pin-mismatch");
	assert_true(buf_has(&journal, "tls/pin-refused"));
	assert_int_equal(o->b.seen.len, 0);
}

static void pin_blocks_in(void **state)
{
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true;
	org_publish(&o->a);
	pin(&o->b, facts_host, POLICY_PIN_BLOCK);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_lines(&o->a.sent) == 1);
	assert_false(buf_has(&o->a.sent, "1 none"));
	assert_int_equal(o->b.seen.len, 0);
	assert_true(buf_has(&journal, "tls/pin-refused"));
}

static void pin_blocks_who_shows_nothing(void **state)
{
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true;
	o->a.partner.own_certificate = POLICY_OWN_NONE;
	org_publish(&o->a);
	pin(&o->b, facts_a, POLICY_PIN_BLOCK);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_lines(&o->a.sent) == 1);
	assert_false(buf_has(&o->a.sent, "1 none"));
	assert_int_equal(o->b.seen.len, 0);
}

static void pin_alarms(void **state)
{
	struct orgs *o = *state;
	pin(&o->a, facts_host, POLICY_PIN_ALARM);
	passes(o, &o->a, "1");
	assert_true(buf_has(&journal, "tls/pin-alarm"));
	assert_false(buf_has(&journal, "tls/pin-refused"));
	pin(&o->b, facts_host, POLICY_PIN_ALARM);
	buf_clear(&journal);
	passes(o, &o->b, "2");
	passes(o, &o->a, "3");
}

/* A pin that comes later ends what is open. */
static void pin_closes_open_streams(void **state)
{
	struct orgs *o = *state;
	passes(o, &o->a, "1");
	pin(&o->b, facts_host, POLICY_PIN_BLOCK);
	UNTIL(o->loop, !org_streams(&o->b, "open", true));
}

/* ---- DANE */

static char ports[2][8];

/* Both are found by DNS, at 127.0.0.1. */
static void by_dns(struct orgs *o)
{
	struct org *x[2] = {&o->a, &o->b};
	for (int i = 0; i < 2; i++) {
		char srv[64], host[64];
		snprintf(srv, sizeof srv, "_xmpp-server._tcp.%s", x[i]->domain);
		snprintf(host, sizeof host, "xmpp.%s", x[i]->domain);
		snprintf(ports[i], sizeof ports[i], "%u", org_port(x[i]));
		fakedns_srv(srv, 0, 0, org_port(x[i]), host);
		fakedns_addr(host, "127.0.0.1");
		x[i]->partner.server_host = SLICE_NONE;
		x[i]->partner.server_port = 0;
		x[i]->set.dane = true;
		xmpp_proxy_set(x[i]->proxy, &x[i]->set);
		org_publish(x[i]);
	}
}

static const char *tlsa_name(int org)
{
	static char name[64];
	snprintf(name, sizeof name, "_%s._tcp.xmpp.%s.test", ports[org], org ? "b" : "a");
	return name;
}

static void dane_proves_a_server(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "self", "b");
	fakedns_tlsa(tlsa_name(1), 3, 1, 1, facts_self->spki_sha256, 32);
	passes(o, &o->a, "1");
	assert_true(buf_has(&journal, "proof=dane"));
	assert_true(buf_has(&journal, "dnssec tlsa"));
	struct xmpp_sighting s;
	assert_true(xmpp_seen_get(o->a.certificates, S("b.test"), &s));
	assert_string_equal(s.proof, "dane");
}

static void dane_missing_is_plain(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	passes(o, &o->a, "1"); /* an authority vouches */
	assert_true(buf_has(&journal, "proof=external"));
	assert_false(buf_has(&journal, "proof=dane"));
	org_tls_slots(&o->a, "self-a", "a");
	refused(o, &o->b, "2", "xmpp/certificate");
}

/* Not by an authority, not by dialback, not at all. */
static void dane_mismatch_is_final(void **state)
{
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true;
	o->a.partner.tls = o->b.partner.tls = POLICY_OPTIONAL;
	by_dns(o);
	fakedns_tlsa(tlsa_name(1), 3, 1, 1, facts_self->spki_sha256, 32); /* b shows a good certificate, but another */
	refused(o, &o->a, "1", "xmpp/dane-mismatch");
	assert_int_equal(o->b.seen.len, 0);
	o->a.partner.dane = false; /* the administrator's way out */
	afresh(o, &o->a);
	passes(o, &o->a, "2");
}

static void dane_bogus_is_final(void **state)
{
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true;
	by_dns(o);
	fakedns_fail(tlsa_name(1), DNS_TLSA, DNS_BOGUS);
	refused(o, &o->a, "1", "xmpp/dnssec-bogus");
	assert_int_equal(o->b.seen.len, 0);
	fakedns(tlsa_name(1), DNS_TLSA)->status = DNS_NODATA; /* repaired */
	afresh(o, &o->a);
	passes(o, &o->a, "2");
}

static void dane_insecure_does_not_count(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "self", "b");
	fakedns_tlsa(tlsa_name(1), 3, 1, 1, facts_self->spki_sha256, 32)->secure = false;
	refused(o, &o->a, "1", "xmpp/certificate");
}

static void dane_switched_off(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "self", "b");
	fakedns_tlsa(tlsa_name(1), 3, 1, 1, facts_self->spki_sha256, 32);
	o->a.set.dane = false;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	refused(o, &o->a, "1", "xmpp/certificate");
}

/* PKIX-EE narrows what authorities may do, and names the server or the domain. */
static void dane_pkix(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	fakedns_tlsa(tlsa_name(1), 1, 1, 1, facts_b->spki_sha256, 32);
	passes(o, &o->a, "1");
	assert_true(buf_has(&journal, "proof=dane"));
}

static void dane_pkix_names_the_server(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "host", "b"); /* for xmpp.b.test only */
	fakedns_tlsa(tlsa_name(1), 1, 1, 1, facts_host->spki_sha256, 32);
	passes(o, &o->a, "1");
	assert_true(buf_has(&journal, "proof=dane"));
}

/* A partner that calls us, with a certificate that nobody but its zone vouches for. */
static void dane_proves_a_caller(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->a, "a", "self-a");
	fakedns_tlsa(tlsa_name(0), 3, 1, 1, facts_self_a->spki_sha256, 32);
	fakedns(tlsa_name(0), DNS_TLSA)->delay_ms = 100; /* its header has come long before */
	passes(o, &o->a, "1");
	struct xmpp_sighting s;
	assert_true(xmpp_seen_get(o->b.certificates, S("a.test"), &s));
	assert_true(s.inbound);
	assert_string_equal(s.proof, "dane");
}

static void dane_of_another_caller(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->a, "a", "self-a");
	fakedns_tlsa(tlsa_name(0), 3, 1, 1, facts_self->spki_sha256, 32);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_lines(&o->a.sent) == 1);
	assert_false(buf_has(&o->a.sent, "1 none"));
	assert_int_equal(o->b.seen.len, 0);
}

/* The caller goes while its records are looked for. */
static void dane_caller_goes(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->a, "a", "self-a");
	fakedns_tlsa(tlsa_name(0), 3, 1, 1, facts_self_a->spki_sha256, 32)->delay_ms = 600;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, fakedns_asked(tlsa_name(0), DNS_TLSA));
	o->a.partner.enabled = false;
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	turn(o->loop, 800);
	assert_int_equal(o->b.seen.len, 0);
}

/* ---- delegation */

static void delegation_by_dnssec(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "host", "b");
	refused(o, &o->a, "1", "xmpp/certificate"); /* off by default */
	o->a.partner.delegation = true;
	afresh(o, &o->a);
	passes(o, &o->a, "2");
	assert_true(buf_has(&journal, "proof=external"));
}

static void delegation_needs_dnssec(void **state)
{
	struct orgs *o = *state;
	by_dns(o);
	org_tls_slots(&o->b, "host", "b");
	fakedns("_xmpp-server._tcp.b.test", DNS_SRV)->secure = false;
	o->a.partner.delegation = true;
	afresh(o, &o->a);
	refused(o, &o->a, "1", "xmpp/certificate");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, orgs_end)
	const struct CMUnitTest tests[] = {
		T(slot_client_by_default),
		T(slot_server_where_wanted),
		T(slot_none_leaves_dialback),
		T(s30_new_certificate_drops_no_stream),
		T(pin_fits),
		T(pin_blocks_out),
		T(pin_blocks_in),
		T(pin_blocks_who_shows_nothing),
		T(pin_alarms),
		T(pin_closes_open_streams),
		T(dane_proves_a_server),
		T(dane_missing_is_plain),
		T(dane_mismatch_is_final),
		T(dane_bogus_is_final),
		T(dane_insecure_does_not_count),
		T(dane_switched_off),
		T(dane_pkix),
		T(dane_pkix_names_the_server),
		T(dane_proves_a_caller),
		T(dane_of_another_caller),
		T(dane_caller_goes),
		T(delegation_by_dnssec),
		T(delegation_needs_dnssec),
	};
	return cmocka_run_group_tests_name("xmpp-cert", tests, group_setup, group_teardown);
}
