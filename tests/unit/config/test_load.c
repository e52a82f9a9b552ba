/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "config/config.h"

/* The fixed example: this syntax must load for ever. */
static const char example[] =
	"server: {name: gw.contoso.test, workers: 1, state-directory: /var/lib/entente, control-socket: "
	"/run/entente/control.sock}\n"
	"log: {level: info, trace: true}\n"
	"dns: {servers: [127.0.0.53]}\n"
	"tls: {certificate: /path/cert.pem, key: /path/key.pem, trust: /path/ca.pem}\n"
	"sip: {listen: [{address: 127.0.0.12, port: 5060, transport: udp}, {address: 127.0.0.12, port: 5061, "
	"transport: tls}]}\n"
	"xmpp: {listen: [{address: 127.0.0.12, port: 5269}]}\n"
	"homes: [{name: contoso, domains: [contoso.test], next-hop: \"sip:127.0.0.11:5060;transport=tcp\"}]\n";

static const char minimal[] = "server: {name: a.test}\n"
			      "homes: [{name: h, domains: [h.test], next-hop: 'sip:10.0.0.1;transport=tcp'}]\n";

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct config_errors errs;
	int rc = config_parse(&c, slice_str(text), false, &errs);
	if (rc) {
		struct buf b;
		buf_init(&b, 65536);
		config_errors_print(&b, "test", &errs);
		fail_msg("%.*s", SFMT(buf_slice(&b)));
	}
	assert_int_equal(errs.n_errors, 0);
	return c;
}

static void test_example(void **state)
{
	(void)state;
	struct config *c = load(example);
	assert_string_equal(c->server_name, "gw.contoso.test");
	assert_int_equal(c->server_workers, 1);
	assert_string_equal(c->server_control_socket, "/run/entente/control.sock");
	assert_int_equal(c->log_level, LOG_INFO);
	assert_true(c->log_trace);
	assert_int_equal(c->dns_servers.n, 1);
	assert_string_equal(c->dns_servers.items[0], "127.0.0.53");
	assert_string_equal(c->tls_key, "/path/key.pem");
	assert_int_equal(c->n_sip_listen, 2);
	assert_string_equal(c->sip_listen[1].address, "127.0.0.12");
	assert_int_equal(c->sip_listen[1].port, 5061);
	assert_int_equal(c->sip_listen[1].transport, CONFIG_TLS);
	assert_int_equal(c->sip_listen[0].transport, CONFIG_UDP);
	assert_int_equal(c->n_xmpp_listen, 1);
	assert_int_equal(c->xmpp_listen[0].port, 5269);
	assert_int_equal(c->n_homes, 1);
	assert_string_equal(c->homes[0].domains.items[0], "contoso.test");
	assert_string_equal(c->homes[0].next_hop, "sip:127.0.0.11:5060;transport=tcp");
	config_free(c);
	config_free(NULL);
}

static void test_defaults(void **state)
{
	(void)state;
	struct config *c = load(minimal);
	assert_int_equal(c->limits_max_stanza, 262144);
	assert_int_equal(c->limits_max_stanza_before_auth, 10000);
	assert_int_equal(c->limits_max_sip_message, 65536);
	assert_int_equal(c->limits_max_connections, 1000);
	assert_int_equal(c->limits_queue_size, 1048576);
	assert_int_equal(c->timers_stream_setup, 60000);
	assert_int_equal(c->timers_subscription_expires, 3600000);
	assert_int_equal(c->timers_notify_interval, 5000);
	assert_int_equal(c->im_type, CONFIG_IM_CHAT);
	assert_int_equal(c->im_bare_jid_errors, CONFIG_BARE_JID_4XX);
	assert_int_equal(c->log_level, CONFIG_LOG_INFO);
	assert_false(c->log_trace);
	assert_true(c->xmpp_access);
	assert_string_equal(c->tls_certificate, "");
	assert_int_equal(c->dns_servers.n, 0);
	assert_int_equal(c->n_sip_listen, 0);
	config_free(c);
}

static void test_styles(void **state)
{
	(void)state;
	/* the same in block style, with quotes, a BOM, CRLF, comments, an empty section, a document marker */
	struct config *c = load("\xef\xbb\xbf---\r\n# all of it\r\nserver:\r\n  name: \"GW.Contoso.test.\" # upper case\r\n"
				"limits:\r\n"
		 "homes:\r\n  - name: 'one'\r\n    next-hop: sips:[2001:db8::1]:5061\r\n    domains:\r\n"
		 "      - b\303\274cher.test\r\n      - no\r\nlog: {trace: false, level: debug}\r\n"
		 "timers: {dialback: 45 s, notify-interval: 0}\r\n");
	assert_string_equal(c->server_name, "gw.contoso.test");
	assert_string_equal(c->homes[0].domains.items[0], "xn--bcher-kva.test");
	assert_string_equal(c->homes[0].domains.items[1], "no"); /* text, whatever YAML 1.1 thinks of it */
	assert_int_equal(c->timers_dialback, 45000);
	assert_int_equal(c->timers_notify_interval, 0);
	assert_int_equal(c->log_level, CONFIG_LOG_DEBUG);
	config_free(c);
}

static void note(void *arg, const char *key, bool live)
{
	buf_printf(arg, "%s%s ", key, live ? "" : "!");
}

static void test_dump_and_diff(void **state)
{
	(void)state;
	struct config *a = load(example), *b, *c;
	struct buf out;
	buf_init(&out, 1 << 20);
	config_dump(&out, a);
	buf_putc(&out, '\0');
	b = load(buf_slice(&out).p);
	buf_clear(&out);
	config_diff(a, b, note, &out);
	assert_int_equal(out.len, 0);
	c = load("server: {name: gw.contoso.test, workers: 1}\nlog: {level: error, trace: true}\ndns: {servers: [127.0.0.54]}\n"
		 "tls: {certificate: /path/cert.pem, key: /path/key.pem, trust: /path/ca.pem}\n"
		 "sip: {listen: [{address: 127.0.0.12, port: 5060, transport: udp}, {address: 127.0.0.12, port: 5062, "
		 "transport: tls}]}\n"
		 "xmpp: {listen: [{address: 127.0.0.12, port: 5269}]}\n"
		 "homes: [{name: contoso, domains: [contoso.test, b.test], next-hop: \"sip:127.0.0.11:5060;transport=tcp\"}]\n"
		 "timers: {drain: 11s}\n");
	config_diff(a, c, note, &out);
	assert_true(slice_eq(buf_slice(&out), S("log.level dns.servers! sip.listen! homes timers.drain ")));
	buf_free(&out);
	config_free(a);
	config_free(b);
	config_free(c);
}

static void test_snapshot(void **state)
{
	(void)state;
	struct config *c = load("server: {name: a.test}\nhomes:\n"
				"  - {name: x, domains: [one.test, two.test], next-hop: 'sip:10.0.0.1;transport=tcp'}\n"
				"  - {name: y, domains: [three.test], next-hop: 'sips:sip.three.test'}\n"
				"xmpp: {access: false, negotiation: lync}\n"
				"limits: {max-connections: 77, max-connections-per-partner: 5}\n");
	struct snapshot_builder *b = snapshot_builder_new();
	config_build_snapshot(b, c);
	struct snapshot *s = snapshot_builder_freeze(b, 3);
	config_free(c); /* the snapshot has copies */
	uint32_t home;
	assert_int_equal(snapshot_home_count(s), 2);
	assert_true(snapshot_local(s, S("three.test"), &home));
	assert_int_equal(home, 1);
	assert_int_equal(snapshot_home(s, 0)->transport, POLICY_TCP);
	assert_int_equal(snapshot_home(s, 1)->transport, POLICY_TLS);
	assert_false(snapshot_gateway(s)->xmpp_access);
	assert_int_equal(snapshot_gateway(s)->negotiation, POLICY_LYNC);
	assert_int_equal(snapshot_gateway(s)->connection_limit, 77);
	assert_int_equal(snapshot_gateway(s)->partner_connection_limit, 5);
	snapshot_unref(s);
}

/* What the roles need, and what has no meaning for them. */
static void expect_first(const char *text, const char *want)
{
	struct config *c = NULL;
	struct config_errors errs;
	config_parse(&c, slice_str(text), false, &errs);
	config_free(c);
	for (size_t i = 0; i < errs.n; i++)
		if (strstr(errs.list[i].text, want))
			return;
	fail_msg("no complaint has '%s': %s", want, errs.n ? errs.list[0].text : "there is none");
}

#define LINK_FILES "  certificate: /c.pem\n  key: /k.pem\n"

static void test_roles(void **state)
{
	struct slice host;
	uint16_t port;
	(void)state;
	struct config *c = load("server: {name: a.test, role: edge}\nlink:\n  listen: [{address: 127.0.0.1}]\n  peers: [gw.test]\n" LINK_FILES
				"xmpp: {listen: [{address: 127.0.0.1}]}\n");
	assert_int_equal(c->server_role, CONFIG_EDGE);
	assert_int_equal(c->link_listen[0].port, CONFIG_LINK_PORT);
	assert_int_equal(c->n_homes, 0);
	config_free(c);
	c = load("server: {name: a.test, role: gateway}\nlink:\n  edges: [edge.test, '192.0.2.1:7', '[2001:db8::1]:8', '2001:db8::2']\n" LINK_FILES
		 "homes: [{name: h, domains: [h.test], next-hop: 'sip:10.0.0.1;transport=tcp'}]\n");
	assert_int_equal(c->server_role, CONFIG_GATEWAY);
	static const struct {
		const char *host;
		unsigned port;
	} want[] = {{"edge.test", 23456}, {"192.0.2.1", 7}, {"2001:db8::1", 8}, {"2001:db8::2", 23456}};
	for (unsigned i = 0; i < 4; i++) {
		assert_true(config_edge_split(slice_str(c->link_edges.items[i]), &host, &port));
		assert_true(slice_eq(host, slice_str(want[i].host)));
		assert_int_equal(port, want[i].port);
	}
	config_free(c);
	expect_first("server: {name: a.test, role: edge}\n", "link.listen: an edge needs");
	expect_first("server: {name: a.test, role: edge}\n", "link.peers: an edge must know");
	expect_first("server: {name: a.test, role: edge}\n", "link.certificate:");
	expect_first("server: {name: a.test, role: edge}\nsip: {listen: [{address: 127.0.0.1}]}\n", "sip.listen: not used here");
	expect_first("server: {name: a.test, role: gateway}\n", "link.edges: a gateway needs");
	expect_first("server: {name: a.test, role: gateway}\n", "there is no home");
	expect_first("server: {name: a.test, role: gateway}\nlink: {edges: [192.0.2.1]}\n", "link.peers: needed");
	static const char *const bad[] = {"", ":5", "a.test:0", "a.test:65536", "a.test:x", "[2001:db8::1", "[]:5", "-a.test", "a b"};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[200];
		snprintf(text, sizeof text, "server: {name: a.test, role: gateway}\nlink: {edges: ['%s']}\n", bad[i]);
		expect_first(text, "is not a name or an IP address");
	}
	expect_first("server: {name: a.test}\nlink: {peers: [a.test]}\n", "link.peers: not used while server.role is all");
	expect_first("server: {name: a.test, role: edge}\nlink: {certificate: /x}\n", "one without the other");
}

static void put(const char *path, const char *text, size_t n)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static void test_files(void **state)
{
	(void)state;
	char dir[] = "/tmp/entente-config-XXXXXX", path[64], cert[64], text[1024];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/conf", dir);
	snprintf(cert, sizeof cert, "%s/cert", dir);
	struct config *c = NULL;
	struct config_errors errs;
	assert_int_equal(config_load(&c, path, &errs), ENTENTE_EIO);
	assert_int_equal(errs.n_errors, 1);
	assert_string_equal(errs.list[0].text, "cannot open: No such file or directory");
	assert_int_equal(config_load(&c, dir, &errs), ENTENTE_EIO);
	put(path, minimal, sizeof minimal - 1);
	assert_int_equal(config_load(&c, path, &errs), 0);
	c = config_free(c);

	int n = snprintf(text, sizeof text, "%stls: {certificate: %s, key: %s, trust: %s}\n", minimal, cert, cert, cert);
	put(path, text, (size_t)n);
	assert_int_equal(config_load(&c, path, &errs), ENTENTE_ESYNTAX);
	assert_null(c);
	assert_int_equal(errs.n_errors, 3);
	assert_int_equal(errs.list[2].line, 3); /* after the warnings, that no listener is given */
	put(cert, "x", 1);
	chmod(cert, 0600);
	assert_int_equal(config_load(&c, path, &errs), 0);
	c = config_free(c);
	size_t before = errs.n;
	chmod(cert, 0644); /* a key that all may read: a warning */
	assert_int_equal(config_load(&c, path, &errs), 0);
	c = config_free(c);
	assert_int_equal(errs.n, before + 1);
	n = snprintf(text, sizeof text, "%stls: {trust: %s}\n", minimal, dir);
	put(path, text, (size_t)n);
	assert_int_equal(config_load(&c, path, &errs), ENTENTE_ESYNTAX);

	char *big = malloc(CONFIG_FILE_MAX + 1);
	memset(big, '#', CONFIG_FILE_MAX + 1);
	put(path, big, CONFIG_FILE_MAX + 1);
	assert_int_equal(config_load(&c, path, &errs), ENTENTE_ELIMIT);
	memcpy(big, minimal, sizeof minimal - 1);
	put(path, big, CONFIG_FILE_MAX);
	assert_int_equal(config_load(&c, path, &errs), 0);
	config_free(c);
	free(big);
	unlink(cert);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),	      cmocka_unit_test(test_defaults), cmocka_unit_test(test_styles),
		cmocka_unit_test(test_dump_and_diff), cmocka_unit_test(test_snapshot), cmocka_unit_test(test_roles), cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
