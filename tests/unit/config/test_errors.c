/* SPDX-License-Identifier: Apache-2.0 */
/* Golden errors: the place, the words and the suggestion are part of what the product promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "config/config.h"

#define HEAD                                                                                                                 \
	"server: {name: a.test}\n"                                                                                           \
	"homes: [{name: h, domains: [h.test], next-hop: 'sip:10.0.0.1;transport=tcp'}]\n"
#define HOME "{name: h, domains: [h.test], next-hop: 'sip:10.0.0.1;transport=tcp'}"

/* `want`: one line per error, "line:column text" (warnings are left out). */
static const struct row {
	const char *text, *want;
} rows[] = {
	/* keys */
	{HEAD "lgo: {}\n", "3:1 unknown key 'lgo' at the top; did you mean 'log'?\n"},
	{HEAD "limits:\n  max-stanzas: 1\n", "4:3 unknown key 'max-stanzas' in 'limits'; did you mean 'max-stanza'?\n"},
	{HEAD "limits: {stream-setup: 60s}\n",
	 "3:10 unknown key 'stream-setup' in 'limits'; 'timers.stream-setup' is a setting, does it belong there?\n"},
	{HEAD "log.level: debug\n", "3:1 'log.level' must be written as nested mappings, each part under the one before\n"},
	{HEAD "log: {colour: red}\n", "3:7 unknown key 'colour' in 'log'; known are level, trace\n"},
	{HEAD "log: {\"le\\nvel\": x, '': y}\n", "3:7 unknown key 'le?vel' in 'log'; did you mean 'level'?\n"
						 "3:21 unknown key '' in 'log'; known are level, trace\n"},
	{HEAD "log: {level: info, level: debug}\n", "3:20 'level' is already given on line 3\n"},
	{HEAD "log: {level: info}\nlog: {level: debug}\n", "4:1 'log' is already given on line 3\n"},
	{HEAD "log: {trace: true, trace: {x: y}}\n", "3:20 'trace' is already given on line 3\n"},
	{HEAD "xmpp: {listen: [{address: 127.0.0.1, transport: tls}]}\n",
	 "3:38 unknown key 'transport' in 'xmpp.listen[0]'; known are address, port, tls\n"},
	/* shapes */
	{HEAD "log: info\n", "3:6 log: a mapping is wanted, this is a single value\n"},
	{HEAD "log: ''\n", "3:6 log: a mapping is wanted, this is a single value\n"},
	{HEAD "log: {level: [info]}\n", "3:14 log.level: a choice is wanted, this is a list\n"},
	{HEAD "dns: {servers: 127.0.0.1}\n", "3:16 dns.servers: a list of IP addresses is wanted, this is a single value\n"},
	{HEAD "dns: {servers: [[127.0.0.1]]}\n", "3:17 dns.servers: a list of IP addresses is wanted, this is a list\n"},
	{HEAD "sip: {listen: {address: 127.0.0.1}}\n", "3:15 sip.listen: a list of mappings is wanted, this is a mapping\n"},
	{HEAD "sip: {listen: [5060]}\n", "3:16 sip.listen[0]: a mapping is wanted, this is a single value\n"},
	{"- a\n",
	 "1:1 the file: a mapping is wanted, this is a list\n0:0 'server.name' is missing (host name of this server, as in its "
	 "certificate)\n0:0 homes: there is no home; name the SIP server whose users shall be reached\n"},
	{HEAD "? [a]\n: b\n", "3:3 a key must be text\n"},
	{HEAD "? {a: b}\n: b\n", "3:3 a key must be text\n"},
	/* YAML that we do not take */
	{HEAD "log: &x {level: info}\n", "3:6 anchors (&) are not used here\n"},
	{HEAD "log: *x\n", "3:6 aliases (*) are not used here\n"},
	{HEAD "log: {level: !!str info}\n", "3:14 tags (!) are not used here\n"},
	{HEAD "---\nlog: {}\n", "3:1 a second document starts here; the file must be one document\n"},
	{HEAD "log: {level: info\n",
	 "4:1 not YAML: did not find expected ',' or '}', while parsing a flow mapping (from line 3)\n"},
	{HEAD "log:\n\tlevel: info\n",
	 "4:1 not YAML: found character that cannot start any token, while scanning for the next token (from "
	 "line 4)\n"},
	{HEAD "log: {level: \xff}\n", "3:14 not YAML: this is not UTF-8\n"},
	{HEAD "log: {level: \x01}\n", "3:14 not YAML: control characters are not allowed\n"},
	{HEAD "x: [[[[[[[[[[1]]]]]]]]]]\n", "3:11 lists and mappings are nested too deeply\n"},
	/* values */
	{HEAD "log: {level: inf0}\n",
	 "3:14 log.level: 'inf0' is not one of error, warning, info, debug; did you mean 'info'?\n"},
	{HEAD "log: {level: INFO}\n", "3:14 log.level: 'INFO' is not one of error, warning, info, debug\n"},
	{HEAD "log: {trace: yes}\n", "3:14 log.trace: 'yes' is neither true nor false\n"},
	{HEAD "log: {trace: }\n", "3:14 log.trace: '' is empty; true or false is wanted\n"},
	{HEAD "server: {}\n", "3:1 'server' is already given on line 1\n"},
	{HEAD "timers:\n  stream-setup: 60\n",
	 "4:17 timers.stream-setup: '60' has no unit: write 60s for seconds, or ms, m, h, d\n"},
	{HEAD "timers:\n  stream-setup: 2days\n",
	 "4:17 timers.stream-setup: '2days' has an unknown unit; known are ms, s, m, h, d\n"},
	{HEAD "timers:\n  stream-setup: soon\n",
	 "4:17 timers.stream-setup: 'soon' is not a duration, such as 30s, 500ms, 5m, 1h\n"},
	{HEAD "timers:\n  stream-setup: 1d\n", "4:17 timers.stream-setup: '1d' is out of range; it takes 1s to 10m\n"},
	{HEAD "timers:\n  stream-setup: -5s\n",
	 "4:17 timers.stream-setup: '-5s' is not a duration, such as 30s, 500ms, 5m, 1h\n"},
	{HEAD "timers:\n  stream-setup: 99999999999999999999d\n",
	 "4:17 timers.stream-setup: '99999999999999999999d' is out of range; it takes 1s to 10m\n"},
	{HEAD "limits:\n  max-stanza: 64kb\n",
	 "4:15 limits.max-stanza: '64kb' has an unknown unit; known are B, KiB, MiB, GiB\n"},
	{HEAD "limits:\n  max-stanza: 1GiB\n", "4:15 limits.max-stanza: '1GiB' is out of range; it takes 10000 to 16MiB\n"},
	{HEAD "limits:\n  max-depth: 1e2\n", "4:14 limits.max-depth: '1e2' is not a whole number\n"},
	{HEAD "limits:\n  max-depth: 010\n",
	 "4:14 limits.max-depth: '010' starts with a zero, which some read as octal; write it without\n"},
	{HEAD "limits:\n  max-depth: 0x20\n", "4:14 limits.max-depth: '0x20' is not a whole number\n"},
	{HEAD "tls: {trust: \"/a\\0b\"}\n", "3:14 tls.trust: '/a?b' holds control characters\n"},
	{HEAD "log: {level: 0123456789012345678901234567890123456789012345678901234567890123456789}\n",
	 "3:14 log.level: '012345678901234567890123456789012345678901234567890123456789...' is not one of error, "
	 "warning, info, "
	 "debug\n"},
	{HEAD "tls: {trust: ca.pem}\n", "3:14 tls.trust: 'ca.pem' is not an absolute path\n"},
	{HEAD "dns: {servers: [localhost, '127.0.0.1@0', '::1@53', 127.0.0.1]}\n",
	 "3:17 dns.servers: 'localhost' is not an IP address, nor address@port\n"
	 "3:28 dns.servers: '127.0.0.1@0' has a malformed port after @\n"},
	{HEAD "sip: {listen: [{address: '[::1', port: 70000}]}\n",
	 "3:26 sip.listen[0].address: '[::1' is not an IP address\n"
	 "3:40 sip.listen[0].port: '70000' is out of range; it takes 0 to 65535\n"},
	/* places under UTF-8 are in characters */
	{HEAD "log: {level: '\303\244\303\266\303\274', trace: x}\n",
	 "3:14 log.level: '\303\244\303\266\303\274' is not one of error, warning, info, debug\n"
	 "3:28 log.trace: 'x' is neither true nor false\n"},
	/* what is missing */
	{"", "0:0 'server.name' is missing (host name of this server, as in its certificate)\n"
	     "0:0 homes: there is no home; name the SIP server whose users shall be reached\n"},
	{"server: {name: a.test}\nhomes: []\n",
	 "2:8 homes: there is no home; name the SIP server whose users shall be reached\n"},
	{"server: {name: a.test}\nhomes: [{name: h, domains: []}]\n",
	 "2:9 homes[0]: 'next-hop' is missing (where requests for its users are sent, e.g. \"sip:10.0.0.5:5060;transport=tcp\")\n"
	 "2:28 homes[0].domains: a home needs at least one domain\n"},
	{HEAD "sip: {listen: [{port: 5060}]}\n",
	 "3:16 sip.listen[0]: 'address' is missing (IP address to listen on; 0.0.0.0 or :: for all)\n"},
	/* homes */
	{"server: {name: a.test}\nhomes:\n- " HOME "\n- " HOME "\n",
	 "4:10 homes[1].name: 'h' is already the name of the home on line 3\n"
	 "4:23 homes[1].domains: 'h.test' is already a domain of homes[0] (line 3)\n"},
	{"server: {name: a.test}\nhomes:\n- {name: h, domains: [B.test, b.test.], next-hop: 'sip:h;transport=tcp'}\n",
	 "3:31 homes[0].domains: 'b.test' is already a domain of homes[0] (line 3)\n"},
	{"server: {name: a.test}\nhomes: [{name: h, domains: [bad_domain, 10.0.0.1], next-hop: 'sip:h;transport=tcp'}]\n",
	 "2:29 homes[0].domains: 'bad_domain' is not a domain name\n"
	 "2:41 homes[0].domains: '10.0.0.1' is an address, not a domain name\n"},
	{"server: {name: 10.1.2.3}\nhomes: [" HOME "]\n", "1:16 server.name: '10.1.2.3' is an address, not a domain name\n"},
	{"server: {name: a.test}\nhomes: [{name: h, domains: [h.test], next-hop: 'http://h'}]\n",
	 "2:48 homes[0].next-hop: 'http://h' does not begin with sip: or sips:\n"},
	/* settings against each other */
	{HEAD "sip: {listen: [{address: 127.0.0.1, transport: tls}]}\n",
	 "3:48 sip.listen[0]: transport tls needs tls.certificate and tls.key\n"},
	{HEAD "sip: {listen: [{address: 127.0.0.1}, {address: 127.0.0.1, transport: udp}, {address: 127.0.0.1}]}\n",
	 "3:76 sip.listen[2]: 127.0.0.1 port 5060 is taken already by sip.listen[0]; tcp and tls need different ports\n"},
	{HEAD "sip: {listen: [{address: 127.0.0.1, port: 5269}]}\nxmpp: {listen: [{address: 127.0.0.1}]}\n",
	 "4:17 xmpp.listen[0]: 127.0.0.1 port 5269 is taken already by sip.listen[0]; tcp and tls need different ports\n"},
	{HEAD "xmpp: {listen: [{address: 127.0.0.1, port: 5270, tls: direct}]}\n",
	 "3:55 xmpp.listen[0]: tls direct needs tls.certificate and tls.key\n"},
	{HEAD "xmpp: {listen: [{address: 127.0.0.1, tls: always}]}\n", "3:43 xmpp.listen[0].tls: 'always' is not one of starttls, direct\n"},
	{HEAD "tls: {certificate: /a}\n", "3:20 tls.certificate without tls.key: the private key is missing\n"},
	{HEAD "tls: {key: /a}\n", "3:12 tls.key without tls.certificate: the certificate is missing\n"},
	{HEAD "limits: {max-stanza: 10000, max-stanza-before-auth: 20000}\n",
	 "3:53 limits.max-stanza-before-auth must not be greater than limits.max-stanza\n"},
	{HEAD "timers: {subscription-expires: 60s, subscription-minimum: 61s}\n",
	 "3:59 timers.subscription-minimum must not be greater than timers.subscription-expires\n"},
	{HEAD "timers: {stream-setup: 20s}\n", "3:24 timers.dialback must not be greater than timers.stream-setup\n"},
	{"server: {name: a.test, control-socket: /"
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	 "}\nhomes: [" HOME "]\n",
	 "1:40 server.control-socket: longer than a socket's name may be (107 octets)\n"},
	/* several at once, in the order of the file */
	{HEAD "log: {level: x, trace: y}\nlimits: {nix: 1}\ntimers: {dns: 0}\n",
	 "3:14 log.level: 'x' is not one of error, warning, info, debug\n"
	 "3:24 log.trace: 'y' is neither true nor false\n"
	 "4:10 unknown key 'nix' in 'limits'; known are max-stanza, max-stanza-before-auth, max-depth, max-attributes, "
	 "max-sip-message, max-headers, max-connections, max-connections-per-address, ...\n"
	 "5:15 timers.dns: '0' is out of range; it takes 100ms to 1m\n"},
};

static void test_golden(void **state)
{
	(void)state;
	struct buf got;
	buf_init(&got, 65536);
	size_t wrong = 0;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *c = NULL;
		struct config_errors errs;
		int rc = config_parse(&c, slice_str(rows[i].text), false, &errs);
		assert_int_equal(rc, ENTENTE_ESYNTAX);
		assert_null(c);
		buf_clear(&got);
		/* whole-file errors sort first; the table has them where they read best */
		for (int whole = 0; whole < 2; whole++)
			for (size_t k = 0; k < errs.n; k++)
				if (!errs.list[k].warning && (whole == !errs.list[k].line))
					buf_printf(&got, "%u:%u %s\n", errs.list[k].line, errs.list[k].column, errs.list[k].text);
		if (!slice_eq(buf_slice(&got), slice_str(rows[i].want))) {
			print_error("row %zu:\n%s--- got\n%.*s--- not\n%s\n", i, rows[i].text, SFMT(buf_slice(&got)),
				    rows[i].want);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
	buf_free(&got);
}

static void test_print(void **state)
{
	(void)state;
	struct config *c;
	struct config_errors errs;
	struct buf out;
	buf_init(&out, 65536);
	config_parse(
		&c,
		S(HEAD
		  "log: {level: '\303\244\303\266', trace: maybe}\nxmpp: {listen: [{address: '::'}]}\n"
		  "sip: {listen: [{address: '::'}]}\n"),
		false, &errs);
	config_errors_print(&out, "entente.conf", &errs);
	const char want[] = "entente.conf:3:14: error: log.level: '\303\244\303\266' is not one of error, warning, "
			    "info, debug\n"
			    "    log: {level: '\303\244\303\266', trace: maybe}\n"
			    "                 ^\n"
			    "entente.conf:3:27: error: log.trace: 'maybe' is neither true nor false\n"
			    "    log: {level: '\303\244\303\266', trace: maybe}\n"
			    "                              ^\n"
			    "entente.conf:4:16: warning: xmpp.listen: without tls.certificate only partners with TLS "
			    "not-supported or optional can connect\n"
			    "    xmpp: {listen: [{address: '::'}]}\n"
			    "                   ^\n";
	if (!slice_eq(buf_slice(&out), slice_str(want)))
		fail_msg("got\n%.*s", SFMT(buf_slice(&out)));

	/* a long line is shown around the place */
	buf_clear(&out);
	for (int i = 0; i < 300; i++)
		buf_putc(&out, ' ');
	char text[1024];
	snprintf(text, sizeof text, HEAD "log: {%.*strace: maybe}\n", SFMT(buf_slice(&out)));
	config_parse(&c, slice_str(text), false, &errs);
	const struct config_error *e = &errs.list[errs.n - 1];
	assert_int_equal(e->column, 314);
	assert_int_equal(e->source[e->caret - 1], 'm');
	buf_free(&out);
}

static void test_many(void **state)
{
	(void)state;
	char text[4096];
	size_t n = (size_t)snprintf(text, sizeof text, "%sdns:\n  servers:\n", HEAD);
	for (int i = 0; i < 50; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "  - bad%d\n", i);
	struct config *c;
	struct config_errors errs;
	assert_int_equal(config_parse(&c, slice_str(text), false, &errs), ENTENTE_ESYNTAX);
	assert_int_equal(errs.n_errors, 50);
	assert_int_equal(errs.n, CONFIG_ERRORS_MAX);
	for (unsigned i = 0; i < CONFIG_ERRORS_MAX; i++) { /* the first ones, and the warnings have given way */
		assert_false(errs.list[i].warning);
		assert_int_equal(errs.list[i].line, 5 + i);
	}
	struct buf out;
	buf_init(&out, 65536);
	config_errors_print(&out, "f", &errs);
	assert_true(slice_ends(buf_slice(&out), S("f: error: 30 more errors are not shown\n")));
	buf_free(&out);
}

/* Errors that are found late take the place of warnings; of the errors, the first ones of the file stay. */
static void test_full_list(void **state)
{
	(void)state;
	struct config *c;
	struct config_errors errs;
	for (int bad = 17; bad <= 21; bad++) {
		char text[2048];
		size_t n = (size_t)snprintf(text, sizeof text, "%stls: {certificate: /a}\ntimers: {stream-setup: 20s}\ndns:\n"
							       "  servers:\n",
					    HEAD);
		for (int i = 0; i < bad; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, "  - bad%d\n", i);
		assert_int_equal(config_parse(&c, slice_str(text), false, &errs), ENTENTE_ESYNTAX);
		assert_int_equal(errs.n_errors, (size_t)bad + 2);
		assert_int_equal(errs.n, CONFIG_ERRORS_MAX);
		size_t warnings = 0, early = 0;
		for (size_t i = 0; i < errs.n; i++) {
			warnings += errs.list[i].warning;
			early += errs.list[i].line == 3 || errs.list[i].line == 4;
			assert_true(!i || errs.list[i].line >= errs.list[i - 1].line);
		}
		assert_int_equal(warnings, bad == 17 ? 1 : 0);
		assert_int_equal(early, 2);
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct config *c = NULL;
	struct config_errors errs;
	struct buf b;
	buf_init(&b, CONFIG_FILE_MAX);
	for (int past = 0; past < 2; past++) {
		buf_clear(&b);
		buf_puts(&b, HEAD "dns: {servers: [");
		for (int i = 0; i < CONFIG_LIST_MAX + past; i++)
			buf_puts(&b, "127.0.0.1, ");
		buf_puts(&b, "]}\n");
		assert_int_equal(config_parse(&c, buf_slice(&b), false, &errs), past ? ENTENTE_ESYNTAX : 0);
		c = config_free(c);
	}
	assert_string_equal(errs.list[errs.n - 1].text, "dns.servers: more than 16384 entries");
	buf_clear(&b); /* a list that is too long was not read: nothing is said of what it does not hold */
	buf_puts(&b, "server: {name: a.test}\nhomes: [{name: h, next-hop: 'sip:h;transport=tcp', domains: [");
	for (int i = 0; i <= CONFIG_LIST_MAX; i++)
		buf_printf(&b, "d%d.test, ", i);
	buf_puts(&b, "]}]\n");
	assert_int_equal(config_parse(&c, buf_slice(&b), false, &errs), ENTENTE_ESYNTAX);
	assert_int_equal(errs.n_errors, 1);
	assert_string_equal(errs.list[errs.n - 1].text, "homes[0].domains: more than 16384 entries");
	for (int n = 1024; n <= CONFIG_LIST_MAX + 1; n = n == 1024 ? 1025 : n == 1025 ? CONFIG_LIST_MAX + 1 : n + 1) {
		buf_clear(&b);
		buf_puts(&b, HEAD "sip:\n  listen:\n");
		for (int i = 0; i < n; i++)
			buf_printf(&b, "  - {address: 127.0.0.1, port: %d}\n", i + 1);
		assert_int_equal(config_parse(&c, buf_slice(&b), false, &errs), n > 1024 ? ENTENTE_ESYNTAX : 0);
		c = config_free(c);
		if (n > 1024)
			assert_string_equal(errs.list[errs.n - 1].text,
					    n == 1025 ? "more than 1024 listeners" : "sip.listen: more than 16384 entries");
	}
	buf_free(&b);
}

static void test_warnings(void **state)
{
	(void)state;
	struct config *c = NULL;
	struct config_errors errs;
	assert_int_equal(config_parse(&c, S("server: {name: a.test}\n"
					    "homes: [{name: h, domains: [h.test], next-hop: 'sip:10.0.0.1'}]\n"),
				      false, &errs), 0);
	config_free(c);
	assert_int_equal(errs.n, 3);
	assert_int_equal(errs.n_errors, 0);
	assert_non_null(strstr(errs.list[0].text, "homes cannot send anything"));
	assert_non_null(strstr(errs.list[1].text, "partners cannot connect"));
	assert_int_equal(errs.list[2].line, 2);
	assert_int_equal(errs.list[2].column, 48);
	assert_string_equal(errs.list[2].text, "homes[0].next-hop: no transport is named, so UDP is used; better add "
					       ";transport=tcp or "
					       ";transport=tls");
}

/* Every proper prefix of a good file gives an answer, not a crash; and the limits hold. */
static void test_cut(void **state)
{
	(void)state;
	const char text[] = HEAD "sip: {listen: [{address: 127.0.0.1, port: 5060}]}\n"
				 "tls: {certificate: \"/a\\u00e4\", key: '/b'}\n";
	struct config_errors errs;
	for (size_t n = 0; n < sizeof text; n++) {
		struct config *c = NULL;
		int rc = config_parse(&c, slice_of(text, n), false, &errs);
		assert_int_equal(rc == 0, c != NULL);
		assert_int_equal(rc == 0, errs.n_errors == 0);
		config_free(c);
	}
	char *big = malloc(CONFIG_FILE_MAX + 1);
	struct config *c = NULL;
	memset(big, '[', CONFIG_FILE_MAX);
	assert_int_equal(config_parse(&c, slice_of(big, CONFIG_FILE_MAX + 1), false, &errs), ENTENTE_ELIMIT);
	assert_int_equal(config_parse(&c, slice_of(big, CONFIG_FILE_MAX), false, &errs), ENTENTE_ESYNTAX);
	size_t n = 0;
	for (int i = 0; i < 1000; i++) /* more keys than a mapping may have */
		n += (size_t)snprintf(big + n, 16, "k%d: 1\n", i);
	assert_int_equal(config_parse(&c, slice_of(big, n), false, &errs), ENTENTE_ESYNTAX);
	assert_string_equal(errs.list[errs.n - 1].text, "too many keys");
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_print),
					   cmocka_unit_test(test_many), cmocka_unit_test(test_full_list),
					   cmocka_unit_test(test_limits), cmocka_unit_test(test_warnings),
					   cmocka_unit_test(test_cut)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
