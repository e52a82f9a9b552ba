/* SPDX-License-Identifier: Apache-2.0 */
/* Testing a SIP partner: DNS of the test's making, a partner's server on 127.0.0.1 with certificates made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "edge/sip_test.h"
#include "fakedns.h"
#include "net/conn.h"
#include "net/listener.h"
#include "policy/federation.h"
#include "../net/pki.h"
#include "../external.h"

/* ---- the partner's server */

enum { CONNS = 40 };
static struct server {
	struct loop *loop;
	struct listener *listener;
	struct tls_ctx *tls;     /* NULL: it takes connections and says nothing */
	const char *answer[3];   /* to a request, with what must be repeated; NULL ends; nothing: silence */
	struct conn *conns[CONNS];
	size_t n;
	struct buf got;
	unsigned requests;
} server;

static struct slice line_of(struct slice text, struct slice name)
{
	ptrdiff_t at = slice_find(text, name);
	struct slice rest = at < 0 ? SLICE_NONE : slice_skip(text, (size_t)at);
	return at < 0 ? SLICE_NONE : slice_trim(slice_split(&rest, '\n'));
}

static size_t on_data(struct conn *c, struct slice in)
{
	buf_put(&server.got, in);
	server.requests++;
	for (size_t i = 0; i < 3 && server.answer[i]; i++) {
		struct buf b;
		const char *a = server.answer[i];
		buf_init(&b, 8192);
		if (*a == '=') /* as it stands */
			buf_puts(&b, a + 1);
		else if (*a == '!')
			conn_close(c);
		else
			buf_printf(&b, "%s\r\n%.*s\r\n%.*s\r\n%.*s;tag=1\r\n%.*s\r\n%.*s\r\nContent-Length: 0\r\n\r\n", a, SFMT(line_of(in, S("Via:"))),
				   SFMT(line_of(in, S("From:"))), SFMT(line_of(in, S("To:"))), SFMT(line_of(in, S("Call-ID:"))), SFMT(line_of(in, S("CSeq:"))));
		if (b.len)
			conn_write(c, buf_slice(&b));
		buf_free(&b);
	}
	return in.len;
}

static void on_closed(struct conn *c, const struct entente_err *why)
{
	(void)why;
	for (size_t i = 0; i < server.n; i++)
		if (server.conns[i] == c)
			server.conns[i] = conn_free(c);
}

static const struct conn_ops server_ops = {.data = on_data, .closed = on_closed};

static void on_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct entente_err err;
	struct conn_tls t = {.ctx = server.tls, .server = true};
	struct conn_opts o = {.ops = &server_ops, .tls = server.tls ? &t : NULL, .pass = pass};
	(void)arg, (void)w, (void)from;
	assert_true(server.n < CONNS);
	assert_int_equal(conn_accept(&server.conns[server.n++], server.loop, fd, &o, &err), 0);
}

/* ---- we */

static struct worker self;
static struct snapshot_slot policy;
static struct sip_tests *tests;
static struct tls_ctx *ours;
static struct buf told;
static unsigned verdicts;
static uint64_t last_id;

static void on_event(void *arg, uint64_t id, const struct partner_test_event *e)
{
	(void)arg;
	assert_int_equal(id, last_id);
	verdicts += slice_eq(slice_str(e->step), S("verdict"));
	buf_printf(&told, "%s %s %s %s %.*s\n", e->step, e->outcome, reason_info(e->reason)->id, xmpp_who_text(e->who), SFMT(e->text));
	for (size_t i = 0; i < e->n_facts; i++)
		if (e->facts[i].value.len)
			buf_printf(&told, "  %s=%.*s\n", e->facts[i].key, SFMT(e->facts[i].value));
}

static const struct partner_test_ops ops = {.event = on_event};

static void publish(const char *allowed, const char *proxy, bool on)
{
	static const struct slice domains[] = {S("contoso.test")};
	struct policy_home home = {.name = S("main"), .next_hop = S("sip:10.0.0.5;transport=tcp"), .transport = POLICY_TCP, .domains = domains, .n_domains = 1};
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	struct policy_access a;
	struct policy_allowed one = {.domain = slice_str(allowed ? allowed : "")};
	struct entente_err err;
	policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
	policy_fields_defaults(POLICY_TABLE_ALLOWED, &one);
	one.proxy_fqdn = slice_str(proxy ? proxy : "");
	a.federated_users = on;
	assert_int_equal(snapshot_builder_home(b, &home, &err), 0);
	assert_int_equal(snapshot_builder_access(b, &a, &err), 0);
	if (allowed)
		assert_int_equal(snapshot_builder_allow(b, &one, &err), 0);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	snapshot_slot_publish(&policy, s);
	snapshot_unref(s);
}

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL), rogue = pki_make(&(struct pki_spec){.cn = "Rogue", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	const struct {
		const char *name, *cn, *san, *eku;
		long from, to;
		const struct pki *by;
	} leaves[] = {
		{"us", "contoso.test", "DNS:gw.contoso.test", "serverAuth", 0, 0, &ca},
		{"edge", "gw.fabrikam.test", "DNS:gw.fabrikam.test", "serverAuth,clientAuth", 0, 86400 * 90, &ca},
		{"domain", "x", "DNS:nothing.test,URI:sip:fabrikam.test", "serverAuth", 0, 0, &ca},
		{"uri", "x", "DNS:fabrikam.test,URI:sip:other.test", NULL, 0, 86400 * 90, &ca},
		{"cn", "fabrikam.test", NULL, NULL, 0, 86400 * 90, &ca},
		{"other", "other.test", "DNS:gw.other.test", NULL, 0, 86400 * 90, &ca},
		{"expired", "x", "DNS:gw.fabrikam.test", NULL, -7200, -3600, &ca},
		{"client", "x", "DNS:gw.fabrikam.test", "clientAuth", 0, 86400 * 90, &ca},
		{"rogue", "x", "DNS:gw.fabrikam.test", NULL, 0, 86400 * 90, &rogue},
	};
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
		pki_issue(leaves[i].name, &(struct pki_spec){.cn = leaves[i].cn, .san = leaves[i].san, .eku = leaves[i].eku, .from_s = leaves[i].from, .to_s = leaves[i].to},
			  leaves[i].by, NULL);
	pki_free(&ca);
	pki_free(&rogue);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	struct entente_err err;
	struct listener_opts lo = {.accepted = on_accepted};
	(void)state;
	memset(&self, 0, sizeof self);
	assert_int_equal(loop_new(&self.loop, NULL, NULL), 0);
	server = (struct server){.loop = self.loop};
	buf_init(&server.got, 1 << 20);
	buf_init(&told, 1 << 20);
	verdicts = 0;
	assert_true(addr_parse(S("127.0.0.1"), 0, &lo.addr));
	assert_int_equal(listener_new(&server.listener, self.loop, &lo, &err), 0);
	fakedns_reset(false);
	snapshot_slot_init(&policy, NULL);
	publish(NULL, NULL, true);
	struct sip_tests_config c = {.worker = &self, .policy = &policy, .name = S("gw.contoso.test:5061")};
	tests = sip_tests_new(&c);
	ours = pki_context("us", NULL);
	sip_tests_set_tls(tests, ours);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tests = sip_tests_free(tests);
	loop_once(self.loop, 5); /* questions that were taken back go away with their timers */
	listener_free(server.listener);
	for (size_t i = 0; i < server.n; i++)
		conn_free(server.conns[i]);
	tls_ctx_unref(server.tls);
	tls_ctx_unref(ours);
	snapshot_slot_destroy(&policy);
	loop_free(self.loop);
	buf_free(&server.got);
	buf_free(&told);
	return 0;
}

static uint16_t port(void)
{
	return addr_port(listener_addr(server.listener));
}

static void shows(const char *certificate)
{
	tls_ctx_unref(server.tls);
	server.tls = pki_context(certificate, NULL);
}

/* gw.fabrikam.test, where the server is. */
static void in_dns(const char *target)
{
	fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 0, 0, port(), target);
	fakedns_addr(target, "127.0.0.1");
}

static bool has(const char *text)
{
	return slice_find(buf_slice(&told), slice_str(text)) >= 0;
}

#define TOLD(text)                                                                                                     \
	do {                                                                                                           \
		if (!has(text))                                                                                        \
			fprintf(stderr, "%s is missing:\n%.*s", text, SFMT(buf_slice(&told)));                           \
		assert_true(has(text));                                                                                \
	} while (0)

static int begin(const struct sip_test_spec *how)
{
	struct sip_test_spec spec = how ? *how : (struct sip_test_spec){0};
	struct entente_err err;
	spec.id = ++last_id;
	spec.local = spec.local.len ? spec.local : S("contoso.test");
	spec.remote = spec.remote.len ? spec.remote : S("fabrikam.test");
	spec.timeout_ms = spec.timeout_ms ? spec.timeout_ms : 20000;
	return sip_test_start(tests, &spec, &ops, NULL, &err);
}

static void until(bool (*done)(void))
{
	for (uint64_t end = clock_ms() + 30000; !done() && clock_ms() < end;)
		loop_once(self.loop, 2);
	assert_true(done());
}

static bool ended(void)
{
	return verdicts > 0;
}

static void run(const struct sip_test_spec *how, const char *verdict)
{
	verdicts = 0;
	buf_clear(&told);
	assert_int_equal(begin(how), 0);
	until(ended);
	for (int i = 0; i < 5; i++)
		loop_once(self.loop, 1);
	assert_int_equal(verdicts, 1);
	TOLD(verdict);
}

/* ---- */

static void works(void **state)
{
	(void)state;
	publish("fabrikam.test", NULL, true);
	in_dns("gw.fabrikam.test");
	shows("edge");
	server.answer[0] = "SIP/2.0 100 Trying";
	server.answer[1] = "=SIP/2.0 500 Not yours\r\nVia: SIP/2.0/TLS x;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: other\r\n"
			   "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\nOPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS x;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
			   "To: <sip:a@b>\r\nCall-ID: mine\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
	server.answer[2] = "SIP/2.0 200 OK";
	run(NULL, "verdict ok none nobody \n  step=options\n  answered=1 of 1\n");
	TOLD("policy ok none nobody fabrikam.test is let in, as allowed-domain; its server is found by DNS\n");
	TOLD("  partner=yes\n");
	TOLD("dns note none nobody SRV _sipfederationtls._tcp.fabrikam.test: 0 0 gw.fabrikam.test:");
	TOLD("dns note none nobody A gw.fabrikam.test: 127.0.0.1\n");
	TOLD("dns ok none nobody 1 address of gw.fabrikam.test\n");
	TOLD("tcp ok none nobody 127.0.0.1:");
	TOLD("tls ok none nobody TLSv1.3; the certificate is trusted\n");
	TOLD("  usage=serverAuth, clientAuth\n");
	TOLD("tls note none nobody we show CN=contoso.test, for serverAuth: most servers accept that, Lync's and some others want clientAuth too\n");
	TOLD("identity ok none nobody the certificate names the server of the domain's SIP federation record: fabrikam.test (rule edge)\n");
	TOLD("options ok none nobody it answers 200 OK\n");
	assert_false(has("failed"));
	assert_true(slice_starts(buf_slice(&server.got), S("OPTIONS sip:fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TLS gw.contoso.test:5061;branch=z9hG4bK")));
	assert_int_equal(server.requests, 1);
}

/* The rules by which a certificate proves the domain: policy_sip_prove's, so one of each kind is enough. */
static void identities(void **state)
{
	(void)state;
	in_dns("gw.fabrikam.test");
	server.answer[0] = "SIP/2.0 404 Not Found";
	shows("domain");
	run(NULL, "verdict ok");
	TOLD("(rule rfc5922)");
	TOLD("tls warning none nobody TLSv1.3; the certificate is trusted, but ends within two weeks\n");
	TOLD("policy warning none nobody fabrikam.test is not let in: ");
	shows("cn");
	run(NULL, "verdict ok");
	TOLD("(rule rfc5922)");
	shows("uri"); /* where there is a URI, the DNS name is none of the domain's */
	run(NULL, "verdict failed sip/certificate partner ");
	shows("other");
	run(NULL, "verdict failed sip/certificate partner the certificate names neither the domain nor the server of its SIP federation record: gw.fabrikam.test\n"
		  "  step=identity\n");
	run(&(struct sip_test_spec){.host = S("gw.other.test"), .port = 1}, "verdict failed sip/srv-not-found dns DNS has no address of gw.other.test");
	fakedns_addr("gw.other.test", "127.0.0.1")->status = DNS_OK; /* until now it did not exist */
	run(&(struct sip_test_spec){.host = S("gw.other.test"), .port = port()}, "verdict ok");
	TOLD("the certificate names the configured server: gw.other.test (rule fixed)");
	publish("fabrikam.test", "gw.elsewhere.test", true);
	run(NULL, "verdict failed sip/srv-not-found dns DNS has no address of gw.elsewhere.test");
	TOLD("is let in, as allowed-server; its server is the one of the configuration");
	publish("fabrikam.test", NULL, false);
	shows("edge");
	run(NULL, "verdict ok");
	TOLD("is not let in: ");
}

static void certificates(void **state)
{
	(void)state;
	in_dns("gw.fabrikam.test");
	server.answer[0] = "SIP/2.0 200 OK";
	shows("expired");
	run(NULL, "verdict failed sip/certificate partner the certificate of 127.0.0.1:");
	TOLD("certificate has expired");
	TOLD("identity note none nobody the certificate names the server of the domain's SIP federation record: fabrikam.test"); /* all but that */
	shows("client");
	run(NULL, "verdict failed sip/certificate partner ");
	TOLD("is for clientAuth only: a server's is for serverAuth");
	shows("rogue");
	run(NULL, "verdict failed sip/certificate partner ");
	TOLD("is not trusted: ");
	assert_int_equal(server.requests, 0);
}

static void dns_faults(void **state)
{
	(void)state;
	shows("edge");
	run(NULL, "verdict failed sip/srv-not-found dns there is no record _sipfederationtls._tcp.fabrikam.test SRV\n  step=dns\n  answered=0 of 0\n");
	fakedns_reset(false);
	fakedns_fail("_sipfederationtls._tcp.fabrikam.test", DNS_SRV, DNS_SERVFAIL);
	run(NULL, "verdict failed sip/dns-failed dns DNS does not answer for fabrikam.test\n");
	fakedns_reset(false);
	fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 0, 0, 5061, "");
	run(NULL, "verdict failed sip/srv-not-found dns ");
	TOLD("says that it has no such service");
	fakedns_reset(false);
	fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 0, 0, port(), "gw.fabrikam.test");
	run(NULL, "verdict failed sip/srv-not-found dns DNS has no address of gw.fabrikam.test\n");
	fakedns_reset(false);
	in_dns("gw.sub.fabrikam.test"); /* two labels below: Lync does not like that either */
	run(NULL, "verdict failed sip/srv-outside-domain partner ");
	TOLD("dns warning none nobody 1 address of gw.sub.fabrikam.test, which is not directly below the domain");
	fakedns_reset(false);
	in_dns("fabrikam.test");
	run(NULL, "verdict failed sip/srv-outside-domain partner ");
	assert_int_equal(server.requests, 0);
}

static void network_faults(void **state)
{
	(void)state;
	fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 0, 0, port(), "gw1.fabrikam.test");
	fakedns_addr("gw1.fabrikam.test", "127.0.0.2"); /* nobody is there */
	run(NULL, "verdict failed sip/partner-unreachable partner 127.0.0.2:");
	TOLD("refused");
	TOLD("  step=tcp\n");
	fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 5, 0, port(), "gw.fabrikam.test");
	fakedns_addr("gw.fabrikam.test", "127.0.0.1");
	shows("edge");
	server.answer[0] = "SIP/2.0 200 OK";
	run(NULL, "verdict ok none nobody \n  step=options\n  answered=1 of 2\n");
	TOLD("tcp failed sip/partner-unreachable partner 127.0.0.2:");
	tls_ctx_unref(server.tls);
	server.tls = NULL; /* it answers in the clear */
	run(&(struct sip_test_spec){.timeout_ms = 400}, "verdict failed sip/partner-unreachable partner TLS with 127.0.0.1:");
}

/* Who takes the connection and says nothing costs the time of one address. */
static void silent(void **state)
{
	(void)state;
	in_dns("gw.fabrikam.test");
	run(&(struct sip_test_spec){.timeout_ms = 400}, "verdict failed sip/partner-unreachable partner the time of the test is over while waiting for the end of the TLS handshake");
}

static void answers(void **state)
{
	static const struct {
		const char *answer, *verdict;
	} rows[] = {
		{"SIP/2.0 403 Forbidden\r\nms-diagnostics-public: 1002;reason=\"no\"", "verdict failed sip/partner-refuses partner fabrikam.test answers 403 Forbidden (1002;reason=\"no\"): it does not let contoso.test in"},
		{"SIP/2.0 401 Unauthorized", "verdict failed sip/partner-refuses partner "},
		{"SIP/2.0 504 Server time-out", "verdict failed sip/partner-refuses us "},
		{"SIP/2.0 503 Service Unavailable", "verdict failed sip/partner-unreachable partner fabrikam.test answers 503"},
		{"SIP/2.0 500 Server Error", "verdict failed sip/partner-unreachable partner "},
		{"SIP/2.0 483 Too Many Hops", "verdict ok"},
		{"SIP/2.0 405 Method Not Allowed", "verdict ok"},
		{"SIP/2.0 603 Decline", "verdict ok"},
		{"!", "verdict failed sip/partner-refuses unclear 127.0.0.1:"},
		{"=HTTP/1.1 400 Bad Request\r\n\r\n", "verdict failed sip/malformed partner what 127.0.0.1:"},
		{"=\r\n\r\n", "verdict failed sip/partner-silent partner the time of the test is over while waiting for the answer to OPTIONS"},
		{"SIP/2.0 180 Ringing", "verdict failed sip/partner-silent partner "},
	};
	(void)state;
	in_dns("gw.fabrikam.test");
	shows("edge");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		server.answer[0] = rows[i].answer;
		run(&(struct sip_test_spec){.timeout_ms = 600}, rows[i].verdict);
		assert_true(has("  step=options\n"));
	}
}

/* Twenty addresses are not twenty connections. */
static void bounded(void **state)
{
	char name[64], address[32];
	(void)state;
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof name, "gw%d.fabrikam.test", i);
		fakedns_srv("_sipfederationtls._tcp.fabrikam.test", 0, 0, port(), name);
		for (int k = 0; k < 2; k++) {
			snprintf(address, sizeof address, "127.0.%d.%d", 1 + k, 1 + i);
			fakedns_addr(name, address);
		}
	}
	run(NULL, "verdict failed sip/partner-unreachable partner ");
	TOLD("  answered=0 of 16\n");
}

static bool asked(void)
{
	return server.requests > 0;
}

static void begins_and_ends(void **state)
{
	(void)state;
	in_dns("gw.fabrikam.test");
	shows("edge");
	assert_int_equal(begin(&(struct sip_test_spec){.local = S("other.test")}), ENTENTE_EINVAL);
	assert_int_equal(begin(&(struct sip_test_spec){.remote = S("contoso.test")}), ENTENTE_EINVAL);
	assert_int_equal(begin(&(struct sip_test_spec){.remote = S("not a domain")}), ENTENTE_EINVAL);
	assert_int_equal(buf_slice(&told).len, 0);
	assert_int_equal(begin(NULL), 0); /* silence: it waits for an answer */
	until(asked);
	sip_test_cancel(tests, 12345);
	assert_int_equal(verdicts, 0);
	sip_test_cancel(tests, last_id);
	for (int i = 0; i < 20; i++)
		loop_once(self.loop, 1);
	assert_int_equal(verdicts, 0);
	server.requests = 0;
	assert_int_equal(begin(NULL), 0);
	until(asked);
	sip_tests_end(tests);
	assert_int_equal(verdicts, 1);
	TOLD("verdict failed server/shutdown us the server is shutting down\n");
	loop_once(self.loop, 1);
	for (int i = 0; i < SIP_TESTS_MAX; i++)
		assert_int_equal(begin(NULL), 0); /* the loop does not turn: nothing is told but the first step */
	assert_int_equal(begin(NULL), ENTENTE_ELIMIT);
	tests = sip_tests_free(tests); /* with four under way */
	struct sip_tests_config c = {.worker = &self, .policy = &policy, .name = S("gw.contoso.test:5061")};
	tests = sip_tests_new(&c);
	assert_int_equal(begin(NULL), ENTENTE_ETLS); /* no certificate */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest all[] = {CASE(works), CASE(identities), CASE(certificates), CASE(dns_faults), CASE(network_faults), CASE(silent), CASE(answers), CASE(bounded),
					 CASE(begins_and_ends)};
	return cmocka_run_group_tests(all, group_setup, group_teardown);
}
