/* SPDX-License-Identifier: Apache-2.0 */
/* Facts in, findings out: a world without a fault, then one fault at a time. Each row of the table of findings must be found here. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "check/facts.h"
#include "plan/site.h"

enum { NOW = 1800000000, DAY = 86400, MIB = 1 << 20 };

static const char yaml[] =
	"server: {name: gw.contoso.test}\n"
	"tls: {certificate: /c.pem, key: /c.key}\n"
	"sip: {listen: [{address: 10.0.0.2, port: 5060, transport: tcp}], external-listen: [{address: 192.0.2.10}]}\n"
	"xmpp: {listen: [{address: 192.0.2.10}]}\n"
	"homes: [{name: h, domains: [contoso.test], next-hop: \"sip:home.contoso.test:5060;transport=tcp\"}]\n";

struct world {
	struct arena *a;
	struct config *config;
	struct config_errors errors;
	struct plan_site site;
	struct plan plan;
	struct check_facts f;
	struct tls_peer leaf, other;
	struct slice names[3], other_names[1], problem, given[1];
	struct check_cert cert;
	struct check_list list;
	struct check_listener listeners[4];
	struct check_probe probes[3];
	struct check_partner partner;
	struct check_edge edges[2];
	struct check_clock clock;
	struct check_lookup lookups[20];
	struct dns_record address, srv_xmpp, srv_sip[2], srv_far, tlsa, six;
	struct addr local[2];
	struct slice others[1];
};

static void add_lookup(struct world *w, const char *name, enum dns_type type, struct dns_record *r)
{
	struct check_dns *d = &w->f.dns;
	w->lookups[d->n++] = (struct check_lookup){.name = slice_str(name), .type = type, .status = r ? DNS_OK : DNS_NODATA, .records = r, .n = r ? 1 : 0,
						   .canonical = slice_str(name)};
	d->list = w->lookups;
}

static struct check_lookup *look(struct world *w, const char *name, enum dns_type type)
{
	struct check_lookup *l = (struct check_lookup *)(uintptr_t)check_lookup(&w->f.dns, slice_str(name), type);
	assert_non_null(l);
	return l;
}

static struct addr address(const char *text)
{
	struct addr a;
	assert_true(addr_parse(slice_str(text), 0, &a));
	return a;
}

static void healthy_dns(struct world *w)
{
	w->address = w->srv_far = w->six = (struct dns_record){.type = DNS_A, .addr = address("192.0.2.10")};
	w->six = (struct dns_record){.type = DNS_AAAA, .addr = address("2001:db8::10")};
	w->srv_xmpp = (struct dns_record){.type = DNS_SRV, .srv = {10, 10, 5269, S("gw.contoso.test")}};
	w->srv_sip[0] = (struct dns_record){.type = DNS_SRV, .srv = {0, 10, 5061, S("sip.contoso.test")}};
	w->srv_far = (struct dns_record){.type = DNS_SRV, .srv = {10, 10, 5269, S("old.far.test")}};
	w->f.dns = (struct check_dns){.have = true, .resolver = S("resolver 127.0.0.53")};
	add_lookup(w, "_xmpp-server._tcp.contoso.test", DNS_SRV, &w->srv_xmpp);
	add_lookup(w, "_sipfederationtls._tcp.contoso.test", DNS_SRV, w->srv_sip);
	add_lookup(w, "gw.contoso.test", DNS_A, &w->address);
	add_lookup(w, "gw.contoso.test", DNS_AAAA, NULL);
	add_lookup(w, "sip.contoso.test", DNS_A, &w->address);
	add_lookup(w, "sip.contoso.test", DNS_AAAA, NULL);
	add_lookup(w, "home.contoso.test", DNS_A, &w->address);
	add_lookup(w, "home.contoso.test", DNS_AAAA, NULL);
	add_lookup(w, "_xmpp-server._tcp.old.test", DNS_SRV, NULL);
	add_lookup(w, "_5269._tcp.gw.contoso.test", DNS_TLSA, NULL);
	w->others[0] = S("old.test");
	w->f.dns.others = w->others;
	w->f.dns.n_others = 1;
}

static void healthy_certificate(struct world *w)
{
	w->names[0] = S("sip.contoso.test");
	w->names[1] = S("contoso.test");
	w->names[2] = S("gw.contoso.test");
	w->leaf = (struct tls_peer){.has_cert = true, .not_before = NOW - 10 * DAY, .not_after = NOW + 80 * DAY, .eku_any_present = true, .eku_server = true,
				    .eku_client = true, .dns = w->names, .n_dns = 3, .sha256 = {1}, .spki_sha256 = {1}, .subject = S("CN=gw"), .serial = S("01")};
	w->other_names[0] = S("stranger.test");
	w->other = w->leaf;
	w->other.dns = w->other_names;
	w->other.n_dns = 1;
	w->other.sha256[0] = 2;
	w->other.serial = S("02");
	w->list = (struct check_list){.url = S("http://ca.test/1.crl"), .of = S("CN=gw"), .fetched = true, .usable = true, .fresh = true};
	w->cert = (struct check_cert){.role = CHECK_CERT_SERVER, .also_client = true, .setting = "tls.certificate", .file = S("/c.pem"), .key_file = S("/c.key"),
				      .leaf = &w->leaf, .key_type = S("EC"), .key_bits = 256, .signature = S("ecdsa-with-SHA256"), .key_seen = true, .key_mode = 0640,
				      .verified = true, .chain = TLS_CHAIN_OK, .chain_top = S("CN=root"), .chain_n = 2, .lists = &w->list, .n_lists = 1};
	w->f.certs = (struct check_certs){true, &w->cert, 1};
}

static void healthy_ports(struct world *w)
{
	static const char *const settings[] = {"xmpp.listen", "sip.external-listen", "sip.listen"};
	static const uint16_t numbers[] = {5269, 5061, 5060};
	for (size_t i = 0; i < 3; i++) {
		w->listeners[i] = (struct check_listener){.setting = settings[i], .transport = S("tcp"), .addr = address(i < 2 ? "192.0.2.10" : "10.0.0.2"), .outside = i < 2,
							  .bound = CHECK_BOUND_OURS, .holder = S("entented (process 7)")};
		addr_set_port(&w->listeners[i].addr, numbers[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		w->probes[i] = (struct check_probe){.host = i ? S("gw.contoso.test") : S("sip.contoso.test"), .addr = address("192.0.2.10"), .here = true,
						    .reach = CHECK_REACHED, .leaf = &w->leaf, .protocol = S("TLSv1.3")};
		addr_set_port(&w->probes[i].addr, i ? 5269 : 5061);
	}
	w->f.ports = (struct check_ports){.have = true, .listeners = w->listeners, .n_listeners = 3, .probes = w->probes, .n_probes = 2};
}

static void healthy(struct world *w)
{
	*w = (struct world){.a = arena_new(4 << 20)};
	assert_int_equal(config_parse(&w->config, slice_str(yaml), false, &w->errors), 0);
	assert_int_equal(plan_site_config(&w->site, w->a, w->config), 0);
	assert_int_equal(plan_make(&w->plan, w->a, &w->site), 0);
	w->local[0] = address("192.0.2.10");
	w->local[1] = address("10.0.0.2");
	w->f = (struct check_facts){.now = NOW, .file = S("/e.yaml"), .config = w->config, .errors = &w->errors, .site = &w->site, .plan = &w->plan, .local = w->local,
				    .n_local = 2};
	healthy_dns(w);
	healthy_certificate(w);
	healthy_ports(w);
	w->partner = (struct check_partner){.domain = S("fabrikam.test"), .protocol = S("xmpp"), .enabled = true, .attempted = true, .not_before = NOW - 10 * DAY,
					    .not_after = NOW + 80 * DAY, .tested = true, .verdict = S("works")};
	w->edges[0] = w->edges[1] = (struct check_edge){.peer = S("edge1"), .state = S("up"), .version = S("1")};
	w->f.live = (struct check_live){.have = true, .pid = 7, .uid = 100, .version = S(ENTENTE_VERSION), .sandbox = S("on"), .have_partners = true, .partners = &w->partner, .n_partners = 1,
					.edges = w->edges, .n_edges = 2};
	w->clock = (struct check_clock){.source = S("http://ca.test/1.crl"), .heard = true, .theirs = NOW, .ours = NOW + 2};
	w->f.time = (struct check_time){.have = true, .release = NOW - 100 * DAY, .sync_known = true, .synchronised = true, .clocks = &w->clock, .n_clocks = 1};
	w->f.disk = (struct check_disk){.have = true, .directory = S("/var/lib/entente"), .state = {true, 100, 100, 0750, 4096}, .database = {true, 100, 100, 0600, 40960},
					.wal = {true, 100, 100, 0600, MIB}, .free = 9000ULL * MIB, .total = 20000ULL * MIB, .inodes = 1000000, .inodes_free = 900000,
					.database_read = true, .user = 100, .user_name = S("entente")};
	w->f.system = (struct check_system){.have = true, .descriptors = 65536, .descriptors_of = S("the running daemon"), .socket = {true, 0, 100, 0660, 0},
					    .socket_path = S("/run/entente/control.sock"), .have_unit = true, .unit_active = S("active"), .unit_result = S("success"),
					    .unit_file = S("enabled")};
}

static void done(struct world *w)
{
	config_free(w->config);
	arena_release(NULL, w->a);
}

static void judge_all(struct world *w, struct check *c)
{
	check_init(c, w->a);
	for (int a = 0; a < CHECK_AREAS; a++)
		check_judge(c, &w->f, (enum check_area)a);
}

static void an_error(struct world *w, bool warning)
{
	w->errors.list[0] = (struct config_error){.warning = warning, .line = 3, .key = "sip.listen", .text = "it is wrong"};
	w->errors.n = 1;
	w->errors.n_errors = !warning;
}

static void another_srv(struct world *w, uint16_t priority, uint16_t ours, uint16_t weight)
{
	static struct dns_record both[2];
	both[0] = w->srv_xmpp;
	both[0].srv.weight = ours;
	both[1] = w->srv_far;
	both[1].srv.priority = priority;
	both[1].srv.weight = weight;
	struct check_lookup *l = look(w, "_xmpp-server._tcp.contoso.test", DNS_SRV);
	l->records = both;
	l->n = 2;
}

static void pool(struct world *w)
{
	w->f.ports.n_probes = 3;
	w->probes[2].addr = address("192.0.2.11:5269");
}

#define XMPP look(w, "_xmpp-server._tcp.contoso.test", DNS_SRV)
#define SIP look(w, "_sipfederationtls._tcp.contoso.test", DNS_SRV)
#define HOST look(w, "sip.contoso.test", DNS_A)
#define SET_ADDRESS(text) do { static struct dns_record r; r = w->address; r.addr = address(text); HOST->records = &r; } while (0)
#define STRINGS(field, text) do { static const char *const items[] = {text}; w->config->field = (struct config_strings){items, 1}; } while (0)

/* name, finding, its subject has this, how many findings there are in all, the fault */
#define FAULTS(X) \
	X(invalid, CONFIG_INVALID, "/e.yaml:3", 1, an_error(w, false)) \
	X(doubtful, CONFIG_WARNING, "/e.yaml:3", 1, an_error(w, true)) \
	X(pool_secret, CONFIG_POOL_SECRET, "xmpp.dialback-secret-file", 1, STRINGS(sip_pool, "10.0.0.3:5060")) \
	X(route_name, CONFIG_POOL_SECRET, "xmpp.dialback-secret-file", 1, w->config->sip_route_name = "a.contoso.test") \
	X(loop, CONFIG_HOME_LOOP, "h", 1, ((struct plan_endpoint *)(uintptr_t)w->site.homes)->host = S("10.0.0.2")) \
	X(keepalive, CONFIG_KEEPALIVE, "timers.keepalive-timeout", 1, w->config->timers_keepalive_timeout = w->config->timers_keepalive) \
	X(revocation, CONFIG_REVOCATION_OFF, "tls.revocation", 1, w->config->tls_revocation = CONFIG_REVOCATION_OFF) \
	X(fetch, CONFIG_FETCH_PRIVATE, "tls.revocation-private", 1, w->config->tls_revocation_private = true) \
	X(sip_port, CONFIG_SIP_PORT, "sip.external-listen", 1, ((struct config_sip_external_listen *)(uintptr_t)w->config->sip_external_listen)->port = 5099) \
	X(udp, CONFIG_INTERNAL_UDP, "sip.listen", 1, ((struct config_sip_listen *)(uintptr_t)w->config->sip_listen)->transport = CONFIG_UDP; \
	  ((struct config_sip_listen *)(uintptr_t)w->config->sip_listen)->address = "0.0.0.0") \
	X(unproven, CONFIG_LIMITS, "limits.max-connections", 1, w->config->limits_max_unproven = 5000) \
	X(volatile_state, CONFIG_VOLATILE, "server.state-directory", 1, w->config->server_state_directory = "/tmp/x") \
	X(resolver, DNS_RESOLVER, "127.0.0.53", 1, for (size_t i = 0; i < w->f.dns.n; i++) w->lookups[i].status = i % 2 ? DNS_TIMEOUT : DNS_SERVFAIL) \
	X(no_resolver, DNS_RESOLVER, "dns.servers", 1, w->f.dns = (struct check_dns){.why = S("the anchor cannot be read")}) \
	X(failed, DNS_FAILED, "_xmpp-server", 1, XMPP->status = DNS_SERVFAIL) \
	X(bogus, DNS_BOGUS, "_sipfederationtls", 1, SIP->status = DNS_BOGUS) \
	X(missing, DNS_SRV_MISSING, "_xmpp-server", 1, XMPP->status = DNS_NXDOMAIN) \
	X(missing_type, DNS_SRV_MISSING, "_sipfederationtls", 1, SIP->status = DNS_NODATA) \
	X(no_service, DNS_SRV_NO_SERVICE, "_xmpp-server", 1, w->srv_xmpp.srv.target = S("")) \
	X(target, DNS_SRV_TARGET, "_xmpp-server", 1, w->srv_xmpp.srv.target = S("old.contoso.test")) \
	X(sip_target, DNS_SRV_TARGET, "_sipfederationtls", 1, w->srv_sip[0].srv.target = S("edge.contoso.test")) \
	X(port, DNS_SRV_PORT, "_xmpp-server", 1, w->srv_xmpp.srv.port = 5222) \
	X(foreign, DNS_SRV_FOREIGN, "_sipfederationtls", 1, w->srv_sip[0].srv.target = S("sip.notcontoso.test")) \
	X(alias, DNS_SRV_ALIAS, "sip.contoso.test", 1, HOST->cnames = 1; HOST->canonical = S("x.test")) \
	X(preferred, DNS_SRV_PRIORITY, "_xmpp-server", 1, another_srv(w, 5, 10, 10)) \
	X(beside, DNS_SRV_OTHER, "_xmpp-server", 1, another_srv(w, 10, 10, 10)) \
	X(backup, DNS_SRV_OTHER, "_xmpp-server", 1, another_srv(w, 20, 10, 10)) \
	X(weightless, DNS_SRV_WEIGHT, "_xmpp-server", 2, another_srv(w, 10, 0, 90)) \
	X(no_address, DNS_ADDRESS_MISSING, "sip.contoso.test", 1, HOST->status = DNS_NODATA; HOST->n = 0) \
	X(loopback, DNS_ADDRESS_LOCAL, "sip.contoso.test", 1, SET_ADDRESS("127.0.1.1")) \
	X(private, DNS_ADDRESS_PRIVATE, "sip.contoso.test", 1, SET_ADDRESS("172.20.1.1")) \
	X(elsewhere, DNS_ADDRESS_OTHER, "sip.contoso.test", 1, SET_ADDRESS("198.51.100.1")) \
	X(unpublished, DNS_ADDRESS_UNPUBLISHED, "contoso.test", 4, w->given[0] = S("198.51.100.9"); w->f.given = w->given; w->f.n_given = 1; w->f.n_local = 0) \
	X(tlsa, DNS_TLSA, "_5269._tcp.gw", 1, w->tlsa = (struct dns_record){.type = DNS_TLSA, .tlsa = {3, 1, 1, S("0123456789abcdef0123456789abcdef")}}; \
	  *look(w, "_5269._tcp.gw.contoso.test", DNS_TLSA) = (struct check_lookup){.name = S("_5269._tcp.gw.contoso.test"), .type = DNS_TLSA, .records = &w->tlsa, .n = 1}) \
	X(tlsa_unsigned, DNS_TLSA_UNSIGNED, "_5269._tcp.gw", 1, w->f.dns.validating = true; \
	  w->tlsa = (struct dns_record){.type = DNS_TLSA, .tlsa = {3, 1, 1, slice_of((const char *)w->leaf.spki_sha256, 32)}}; \
	  *look(w, "_5269._tcp.gw.contoso.test", DNS_TLSA) = (struct check_lookup){.name = S("_5269._tcp.gw.contoso.test"), .type = DNS_TLSA, .records = &w->tlsa, .n = 1}) \
	X(not_ours, DNS_DOMAIN_NOT_OURS, "old.test", 1, look(w, "_xmpp-server._tcp.old.test", DNS_SRV)->status = DNS_OK; \
	  look(w, "_xmpp-server._tcp.old.test", DNS_SRV)->records = &w->srv_xmpp; look(w, "_xmpp-server._tcp.old.test", DNS_SRV)->n = 1) \
	X(no_home, DNS_HOME, "home.contoso.test", 1, look(w, "home.contoso.test", DNS_A)->status = DNS_NXDOMAIN) \
	X(no_cert, CERT_NONE, "gw.contoso.test", 1, w->f.certs.n = 0) \
	X(unreadable, CERT_UNREADABLE, "/c.pem", 1, w->cert.fault = CHECK_CERT_NO_FILE; w->cert.leaf = NULL; w->cert.fault_text = S("no such file")) \
	X(key_unreadable, CERT_UNREADABLE, "/c.key", 1, w->cert.fault = CHECK_CERT_NO_KEY; w->cert.fault_text = S("no such file")) \
	X(rubbish, CERT_MALFORMED, "/c.pem", 1, w->cert.fault = CHECK_CERT_NO_PEM; w->cert.leaf = NULL; w->cert.fault_text = S("no PEM")) \
	X(key_rubbish, CERT_MALFORMED, "/c.key", 1, w->cert.fault = CHECK_CERT_BAD_KEY; w->cert.fault_text = S("no PEM")) \
	X(mismatch, CERT_KEY_MISMATCH, "/c.pem", 1, w->cert.fault = CHECK_CERT_OTHER_KEY; w->cert.fault_text = S("differ")) \
	X(exposed, CERT_KEY_EXPOSED, "/c.key", 1, w->cert.key_mode = 0644) \
	X(expired, CERT_EXPIRED, "/c.pem", 1, w->leaf.not_after = NOW - 1) \
	X(not_yet, CERT_NOT_YET, "/c.pem", 1, w->leaf.not_before = NOW + 1) \
	X(soon, CERT_SOON, "/c.pem", 1, w->leaf.not_after = NOW + 3 * DAY) \
	X(no_names, CERT_NO_NAMES, "/c.pem", 1, w->leaf.n_dns = 0) \
	X(name, CERT_NAME, "sip.contoso.test", 1, w->names[0] = S("sip.other.test")) \
	X(wildcard, CERT_WILDCARD, "sip.contoso.test", 1, w->names[0] = S("*.contoso.test")) \
	X(weak, CERT_KEY_WEAK, "/c.pem", 1, w->cert.key_type = S("RSA"); w->cert.key_bits = 1024) \
	X(signature, CERT_SIGNATURE, "/c.pem", 1, w->cert.signature_weak = true) \
	X(incomplete, CERT_INTERMEDIATE, "/c.pem", 1, w->cert.chain = TLS_CHAIN_INCOMPLETE) \
	X(self_signed, CERT_SELF_SIGNED, "/c.pem", 1, w->cert.chain = TLS_CHAIN_SELF_SIGNED) \
	X(untrusted, CERT_UNTRUSTED, "/c.pem", 1, w->cert.chain = TLS_CHAIN_BAD) \
	X(chain_expired, CERT_CHAIN_EXPIRED, "/c.pem", 1, w->cert.expired = S("CN=middle"); w->cert.expired_at = NOW - DAY) \
	X(not_server, CERT_NOT_SERVER, "/c.pem", 1, w->leaf.eku_server = false) \
	X(not_client, CERT_NOT_CLIENT, "/c.pem", 1, w->leaf.eku_client = false) \
	X(xmppaddr, CERT_XMPPADDR, "/c.pem", 1, w->leaf.xmpp = w->names + 1; w->leaf.n_xmpp = 1) \
	X(list_gone, CERT_LIST_UNREACHABLE, "/c.pem", 1, w->list.fetched = false) \
	X(list_bad, CERT_LIST_UNREACHABLE, "/c.pem", 1, w->list.usable = false) \
	X(list_stale, CERT_LIST_STALE, "/c.pem", 1, w->list.fresh = false) \
	X(revoked, CERT_REVOKED, "/c.pem", 1, w->list.revoked = true) \
	X(unbound, PORT_NOT_BOUND, "sip.listen tcp 10.0.0.2:5060", 1, w->listeners[2].bound = CHECK_UNBOUND) \
	X(taken, PORT_TAKEN, "xmpp.listen tcp 192.0.2.10:5269", 1, w->listeners[0].bound = CHECK_BOUND_OTHER; w->listeners[0].holder = S("nginx (process 5)")) \
	X(refused, PORT_REFUSED, "sip.contoso.test (192.0.2.10:5061)", 1, w->probes[0].reach = CHECK_REFUSED) \
	X(filtered, PORT_FILTERED, "sip.contoso.test (192.0.2.10:5061)", 1, w->probes[0].reach = CHECK_SILENT) \
	X(other, PORT_OTHER, "sip.contoso.test (192.0.2.10:5061)", 1, w->probes[0].leaf = &w->other) \
	X(tls, PORT_TLS, "sip.contoso.test (192.0.2.10:5061)", 1, w->probes[0].leaf = NULL) \
	X(ipv6, PORT_IPV6, "gw.contoso.test port 5269", 1, look(w, "gw.contoso.test", DNS_AAAA)->status = DNS_OK; look(w, "gw.contoso.test", DNS_AAAA)->records = &w->six; \
	  look(w, "gw.contoso.test", DNS_AAAA)->n = 1; w->f.n_given = 0) \
	X(ipv4, PORT_IPV4, "gw.contoso.test port 5269", 1, w->listeners[0].addr = address("[2001:db8::10]:5269")) \
	X(metrics, PORT_METRICS, "metrics.listen", 1, w->listeners[3] = (struct check_listener){.setting = "metrics.listen", .addr = address("0.0.0.0:9464"), \
	  .bound = CHECK_BOUND_OURS}; w->f.ports.n_listeners = 4) \
	X(api, PORT_API, "admin.listen", 1, w->listeners[3] = (struct check_listener){.setting = "admin.listen", .addr = address("192.0.2.10:8443"), .bound = CHECK_BOUND_OURS}; \
	  w->f.ports.n_listeners = 4) \
	X(partner_fails, PARTNER_FAILS, "fabrikam.test", 1, w->partner.verdict = S("fails"); w->partner.step = S("tcp")) \
	X(one_way, PARTNER_ONE_WAY, "fabrikam.test", 1, w->partner.verdict = S("one-way")) \
	X(attempt, PARTNER_ATTEMPT, "fabrikam.test", 1, w->partner.tested = false; w->partner.attempt_failed = true) \
	X(partner_expired, PARTNER_CERT_EXPIRED, "fabrikam.test", 1, w->partner.not_after = NOW - DAY) \
	X(partner_soon, PARTNER_CERT_SOON, "fabrikam.test", 1, w->partner.not_after = NOW + 2 * DAY) \
	X(partner_soon_unknown, PARTNER_CERT_SOON, "fabrikam.test", 1, w->partner.not_before = 0; w->partner.not_after = NOW + 7 * DAY) \
	X(clear, PARTNER_CLEAR, "fabrikam.test", 1, w->partner.clear = true) \
	X(ours, PARTNER_OURS, "fabrikam.test", 1, w->partner.ours = true; w->partner.clear = true) \
	X(pool_down, POOL_DOWN, "gw.contoso.test (192.0.2.11:5269)", 2, pool(w); w->probes[2].reach = CHECK_REFUSED) \
	X(pool_cert, POOL_CERTIFICATE, "gw.contoso.test (192.0.2.11:5269)", 2, pool(w); w->probes[2].leaf = &w->other) \
	X(pool_tls, POOL_PROTOCOL, "gw.contoso.test (192.0.2.11:5269)", 1, pool(w); w->probes[2].protocol = S("TLSv1.2")) \
	X(edge_version, POOL_VERSION, "edge2", 1, w->edges[1].peer = S("edge2"); w->edges[1].version = S("2")) \
	X(edge_down, POOL_LINK, "edge2", 1, w->edges[1].peer = S("edge2"); w->edges[1].state = S("backoff")) \
	X(before, TIME_BEFORE_RELEASE, "clock", 1, w->f.time.release = NOW + 1) \
	X(unsynchronised, TIME_UNSYNCHRONISED, "clock", 1, w->f.time.synchronised = false) \
	X(skew, TIME_SKEW, "http://ca.test/1.crl", 1, w->clock.ours = NOW - 400) \
	X(no_state, DISK_MISSING, "/var/lib/entente", 1, w->f.disk.state.there = false; w->f.disk.fault = S("No such file")) \
	X(owner, DISK_OWNER, "/var/lib/entente/entente.db", 1, w->f.disk.database.uid = 0) \
	X(mode, DISK_MODE, "/var/lib/entente", 1, w->f.disk.state.mode = 0777) \
	X(read_only, DISK_READ_ONLY, "/var/lib/entente", 1, w->f.disk.read_only = true; w->f.disk.free = 0) \
	X(full, DISK_FULL, "/var/lib/entente", 1, w->f.disk.free = MIB) \
	X(low, DISK_FULL, "/var/lib/entente", 1, w->f.disk.free = 200ULL * MIB) \
	X(inodes, DISK_INODES, "/var/lib/entente", 1, w->f.disk.inodes_free = 3) \
	X(damaged, DISK_DATABASE, "/var/lib/entente/entente.db", 1, w->f.disk.damage = S("row 3 missing from index")) \
	X(wal, DISK_WAL, "/var/lib/entente/entente.db-wal", 1, w->f.disk.wal.size = 500ULL * MIB) \
	X(no_daemon, SYSTEM_DAEMON, "/run/entente/control.sock", 1, w->f.live.have = false; w->f.live.why = S("nobody")) \
	X(forbidden, SYSTEM_PERMISSION, "/run/entente/control.sock", 1, w->f.live.have = false; w->f.live.forbidden = true; w->f.live.why = S("permission")) \
	X(problem, SYSTEM_PROBLEM, "entented", 1, w->problem = S("home h cannot be reached"); w->f.live.problems = &w->problem; w->f.live.n_problems = 1) \
	X(version, SYSTEM_VERSION, "entented", 1, w->f.live.version = S("0.0.1")) \
	X(replaced, SYSTEM_VERSION, "entented", 1, w->f.system.replaced = true) \
	X(descriptors, SYSTEM_DESCRIPTORS, "limits.max-connections", 1, w->f.system.descriptors = 1024) \
	X(socket, SYSTEM_SOCKET, "/run/entente/control.sock", 1, w->f.system.socket.mode = 0666) \
	X(sandbox_lacks, SYSTEM_SANDBOX, "server.sandbox", 1, w->f.live.sandbox_lacks = S("the kernel has no Landlock")) \
	X(sandbox_off, SYSTEM_SANDBOX, "server.sandbox", 1, w->f.live.sandbox = S("off")) \
	X(keys_open, SYSTEM_KEYS_OPEN, "server.sandbox", 1, w->f.live.keys_open = true) \
	X(unit_failed, SYSTEM_UNIT_FAILED, "entented.service", 1, w->f.system.unit_active = S("failed")) \
	X(unit_disabled, SYSTEM_UNIT_DISABLED, "entented.service", 1, w->f.system.unit_file = S("disabled")) \
	X(unit_restarts, SYSTEM_UNIT_RESTARTS, "entented.service", 1, w->f.system.unit_restarts = 7)

#define FUNCTION(name, id, subject, count, ...) static void fault_##name(struct world *w) { __VA_ARGS__; }
FAULTS(FUNCTION)

static const struct fault {
	const char *name;
	void (*make)(struct world *w);
	enum check_id id;
	const char *subject;
	size_t n;
} faults[] = {
#define ROW(name, id, subject, count, ...) {#name, fault_##name, CHECK_##id, subject, count},
	FAULTS(ROW)
};

static void no_fault_no_finding(void **state)
{
	(void)state;
	struct world w;
	struct check c;
	struct check_counts n;
	healthy(&w);
	judge_all(&w, &c);
	check_count(&c, &n);
	for (size_t i = 0; i < c.n; i++)
		print_message("%s %.*s: %.*s\n", check_info(c.list[i].id)->id, SFMT(c.list[i].subject), SFMT(c.list[i].evidence));
	assert_int_equal(c.n, 0);
	assert_true(n.made > 80);
	assert_int_equal(n.made, n.passed);
	for (int a = 0; a < CHECK_AREAS; a++) {
		assert_true(c.areas[a].made > 0 && c.areas[a].done);
		assert_int_equal(c.areas[a].skipped.len, 0);
	}
	done(&w);
}

static void each_fault_is_found(void **state)
{
	(void)state;
	bool found[CHECK_COUNT] = {false};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct world w;
		struct check c;
		struct check_counts n;
		bool right = false;
		healthy(&w);
		faults[i].make(&w);
		judge_all(&w, &c);
		check_count(&c, &n);
		for (size_t k = 0; k < c.n; k++) {
			right |= c.list[k].id == faults[i].id && slice_find(c.list[k].subject, slice_str(faults[i].subject)) >= 0 && c.list[k].remedy.len > 0;
			if (c.n != faults[i].n)
				print_message("%s: %s %.*s: %.*s\n", faults[i].name, check_info(c.list[k].id)->id, SFMT(c.list[k].subject), SFMT(c.list[k].evidence));
		}
		if (!right || c.n != faults[i].n)
			fail_msg("%s: %zu findings, %zu expected, %s among them", faults[i].name, c.n, faults[i].n, right ? "the right one" : "not the right one");
		assert_int_equal(n.made - n.passed, c.n);
		found[faults[i].id] = true;
		done(&w);
	}
	for (int i = 0; i < CHECK_COUNT; i++)
		if (!found[i])
			fail_msg("nothing finds %s", check_info((enum check_id)i)->id);
}

/* Who can fix it, and how grave it is, where the facts say more than the table. */
static void weighed(void **state)
{
	(void)state;
	struct world w;
	struct check c;
	healthy(&w);
	w.probes[0].here = false;
	w.probes[0].reach = CHECK_REFUSED;
	judge_all(&w, &c);
	assert_int_equal(c.list[0].id, CHECK_PORT_REFUSED);
	assert_int_equal(c.list[0].severity, CHECK_WARNING); /* it may be the router */
	assert_non_null(strstr(c.list[0].evidence.p, "from outside"));
	done(&w);

	healthy(&w);
	w.partner.verdict = S("fails");
	w.partner.test_who = S("us");
	judge_all(&w, &c);
	assert_string_equal(c.list[0].who, "admin");
	done(&w);

	healthy(&w);
	w.leaf.not_after = NOW + 25 * DAY;
	w.leaf.not_before = NOW - 90 * DAY;
	judge_all(&w, &c);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.list[0].severity, CHECK_WARNING);
	w.leaf.not_after = NOW + 2 * DAY;
	judge_all(&w, &c);
	assert_int_equal(c.list[0].severity, CHECK_ERROR);
	done(&w);

	healthy(&w);
	w.clock.ours = NOW + 60;
	judge_all(&w, &c);
	assert_int_equal(c.list[0].severity, CHECK_WARNING);
	done(&w);
}

/* What is right though it looks odd. */
static void no_false_alarm(void **state)
{
	(void)state;
	struct world w;
	struct check c;
	healthy(&w); /* behind NAT: this machine has private addresses only */
	w.local[0] = address("10.0.0.2");
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	done(&w);

	healthy(&w); /* a load balancer's address, named */
	w.local[0] = address("192.0.2.99");
	w.given[0] = S("192.0.2.10");
	w.f.given = w.given;
	w.f.n_given = 1;
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	done(&w);

	healthy(&w); /* a partner that is switched off may be as it likes */
	w.partner = (struct check_partner){.domain = S("off.test"), .protocol = S("xmpp"), .clear = true, .attempted = true, .attempt_failed = true, .not_after = 1};
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	done(&w);

	healthy(&w); /* who may not see other processes cannot say whose socket it is */
	w.listeners[0].bound = CHECK_BOUND_UNKNOWN;
	w.listeners[0].holder = S("");
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	done(&w);

	healthy(&w); /* a TLSA record of the authority, which is not in our file */
	w.tlsa = (struct dns_record){.type = DNS_TLSA, .tlsa = {2, 0, 1, S("0123456789abcdef0123456789abcdef")}};
	*look(&w, "_5269._tcp.gw.contoso.test", DNS_TLSA) = (struct check_lookup){.name = S("_5269._tcp.gw.contoso.test"), .type = DNS_TLSA, .records = &w.tlsa, .n = 1};
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	done(&w);
}

/* Without a configuration or a plan nothing is judged that cannot be; it is said. */
static void without(void **state)
{
	(void)state;
	struct world w;
	struct check c;
	healthy(&w);
	w.f.plan = NULL;
	w.f.plan_why = S("no domain");
	judge_all(&w, &c);
	assert_int_equal(c.n, 0);
	assert_true(slice_eq(c.areas[CHECK_DNS].skipped, S("no domain")));
	w.f = (struct check_facts){.file = S("/e.yaml"), .errors = &w.errors};
	an_error(&w, false);
	judge_all(&w, &c);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.list[0].id, CHECK_CONFIG_INVALID);
	assert_true(c.areas[CHECK_CONFIG].skipped.len > 0);
	done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(no_fault_no_finding), cmocka_unit_test(each_fault_is_found), cmocka_unit_test(weighed),
					   cmocka_unit_test(no_false_alarm), cmocka_unit_test(without)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
