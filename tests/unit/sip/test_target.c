/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include "sip/target.h"

/* A zone: one line per record, "name TYPE data"; a name that is not in it does not exist, "name TYPE !" fails. */
static const char *zone;
static uint64_t draws[32];
static size_t n_draws, next_draw;

static uint64_t draw(void *arg, uint64_t below)
{
	(void)arg;
	return next_draw < n_draws ? draws[next_draw++] % below : 0;
}

static struct sip_target_config config(void)
{
	return (struct sip_target_config){.transports = {SIP_TLS, SIP_TCP, SIP_UDP},
					  .n_transports = 3,
					  .fallback = SIP_UDP,
					  .ipv4 = true,
					  .ipv6 = true,
					  .draw = draw};
}

static const char *const types[] = {"NAPTR", "SRV", "A", "AAAA"};
static char asked[2000];

/* Answers one question out of the zone. */
static void look_up(struct sip_target *t, const struct sip_target_question *q)
{
	struct sip_target_record r[64] = {0};
	struct slice rest = slice_str(zone);
	size_t n = 0;
	bool failed = false;
	size_t len = strlen(asked);
	snprintf(asked + len, sizeof asked - len, "%s %.*s\n", types[q->type], SFMT(q->name));
	while (!slice_empty(rest)) {
		struct slice line = slice_split(&rest, '\n');
		struct slice name = slice_split(&line, ' '), type = slice_split(&line, ' '), f[8];
		char text[64];
		uint64_t v = 0;
		if (!slice_ieq(name, q->name) || !slice_eq(type, slice_str(types[q->type])))
			continue;
		if (slice_eq(line, S("!"))) {
			failed = true;
			continue;
		}
		assert_true(n < 64);
		slice_cstr(line, text, sizeof text);
		for (int i = 0; i < 8; i++)
			f[i] = slice_split(&line, ' ');
		switch (q->type) {
		case SIP_DNS_A: assert_int_equal(inet_pton(AF_INET, text, &r[n].a), 1); break;
		case SIP_DNS_AAAA: assert_int_equal(inet_pton(AF_INET6, text, &r[n].aaaa), 1); break;
		case SIP_DNS_SRV:
			slice_u64(f[0], 65535, &v);
			r[n].priority = (uint16_t)v;
			slice_u64(f[1], 65535, &v);
			r[n].weight = (uint16_t)v;
			slice_u64(f[2], 65535, &v);
			r[n].port = (uint16_t)v;
			r[n].name = f[3];
			break;
		case SIP_DNS_NAPTR:
			slice_u64(f[0], 65535, &v);
			r[n].priority = (uint16_t)v;
			slice_u64(f[1], 65535, &v);
			r[n].weight = (uint16_t)v;
			r[n].flags = f[2];
			r[n].service = f[3];
			r[n].name = f[4];
			break;
		}
		n++;
	}
	sip_target_answer(t, q->id, failed, r, n);
	sip_target_answer(t, q->id, failed, r, n); /* twice: the second time does nothing */
}

static char result[4000];
static bool lookup_failed;

/* Runs a URI through the machine: "TLS host address:port\n" per entry, or an error. */
static const char *resolve(const char *text, const struct sip_target_config *c, bool backwards)
{
	struct sip_target *t = NULL;
	struct sip_uri uri;
	size_t n, len = 0;
	*asked = *result = 0;
	next_draw = 0;
	assert_int_equal(sip_uri_parse(slice_str(text), &uri), 0);
	int rc = sip_target_new(&t, &uri, c);
	if (rc < 0)
		return rc == ENTENTE_EUNSUPPORTED ? "unsupported" : "invalid";
	for (int round = 0; round < 20 && !sip_target_done(t); round++) {
		struct sip_target_question q[64];
		size_t k = 0;
		while (sip_target_ask(t, &q[k]))
			k++;
		assert_true(k > 0);
		for (size_t i = 0; i < k; i++)
			look_up(t, &q[backwards ? k - 1 - i : i]);
	}
	assert_true(sip_target_done(t));
	const struct sip_target_entry *e = sip_target_entries(t, &n, &lookup_failed);
	for (size_t i = 0; i < n; i++) {
		char ip[INET6_ADDRSTRLEN];
		const struct sockaddr_in *sin = (const void *)&e[i].addr;
		const struct sockaddr_in6 *sin6 = (const void *)&e[i].addr;
		bool v6 = e[i].addr.ss_family == AF_INET6;
		inet_ntop(e[i].addr.ss_family, v6 ? (const void *)&sin6->sin6_addr : &sin->sin_addr, ip, sizeof ip);
		len += (size_t)snprintf(result + len, sizeof result - len, "%s %.*s %s %u\n", sip_transport_name(e[i].transport),
					SFMT(e[i].host), ip, ntohs(v6 ? sin6->sin6_port : sin->sin_port));
	}
	sip_target_free(t);
	return result;
}

static void check(const char *uri, const struct sip_target_config *c, const char *want)
{
	assert_string_equal(resolve(uri, c, false), want);
	assert_string_equal(resolve(uri, c, true), want); /* whatever the order of answers */
}

static void test_no_dns(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	zone = "";
	check("sip:a@192.0.2.7", &c, "UDP 192.0.2.7 192.0.2.7 5060\n");
	check("sip:a@192.0.2.7:5070;transport=tcp", &c, "TCP 192.0.2.7 192.0.2.7 5070\n");
	check("sip:a@192.0.2.7;transport=tls", &c, "TLS 192.0.2.7 192.0.2.7 5061\n");
	check("sips:a@192.0.2.7", &c, "TLS 192.0.2.7 192.0.2.7 5061\n");
	check("sips:a@[2001:db8::1]:99", &c, "TLS [2001:db8::1] 2001:db8::1 99\n");
	check("sip:a@[2001:db8::1];transport=TCP", &c, "TCP [2001:db8::1] 2001:db8::1 5060\n");
	assert_string_equal(asked, "");
	check("sip:a@x;transport=sctp", &c, "unsupported");
	check("sips:a@x;transport=udp", &c, "unsupported");
	check("tel:+1", &c, "invalid");
	c.n_transports = 2; /* no UDP */
	check("sip:a@192.0.2.7;transport=udp", &c, "unsupported");
	check("sip:a@192.0.2.7", &c, "TLS 192.0.2.7 192.0.2.7 5061\n");
	c.n_transports = 0;
	check("sip:a@192.0.2.7", &c, "unsupported");
}

static void test_explicit_port(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	zone = "x.example A 192.0.2.1\nx.example A 192.0.2.2\nx.example AAAA 2001:db8::2\n_sip._udp.x.example SRV 1 1 9 "
	       "y.example\n";
	check("sip:a@x.example:5080", &c,
	      "UDP x.example 2001:db8::2 5080\nUDP x.example 192.0.2.1 5080\nUDP x.example 192.0.2.2 5080\n");
	c.ipv6 = false;
	check("sips:a@x.example.:5080", &c, "TLS x.example 192.0.2.1 5080\nTLS x.example 192.0.2.2 5080\n");
	assert_string_equal(asked, "A x.example\n");
}

static void test_srv(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	c.ipv6 = false;
	zone = "_sip._tcp.b.example SRV 20 0 5062 c.example.\n_sip._tcp.b.example SRV 10 0 5061 d.example\n"
	       "_sip._udp.b.example SRV 1 1 5060 e.example\nc.example A 192.0.2.3\nd.example A 192.0.2.4\ne.example A "
	       "192.0.2.5\n";
	/* the first transport of ours that has records (RFC 3263 4.1) */
	check("sip:b.example", &c, "TCP d.example 192.0.2.4 5061\nTCP c.example 192.0.2.3 5062\n");
	check("sip:b.example;transport=udp", &c, "UDP e.example 192.0.2.5 5060\n");
	/* no SRV for it: the name itself (4.2), which does not exist here */
	check("sips:b.example", &c, "");
	assert_false(lookup_failed);
	assert_string_equal(asked, "SRV _sips._tcp.b.example\nA b.example\n");
	zone = "plain.example A 192.0.2.9\n";
	check("sip:plain.example", &c, "UDP plain.example 192.0.2.9 5060\n");
	check("sips:plain.example", &c, "TLS plain.example 192.0.2.9 5061\n");
	check("sip:plain.example;transport=tls", &c, "TLS plain.example 192.0.2.9 5061\n");
	/* "." : there is no such service (RFC 2782) */
	zone = "_sips._tcp.no.example SRV 0 0 0 .\nno.example A 192.0.2.9\n";
	check("sips:no.example", &c, "");
	/* one name at two ports: asked once */
	zone = "_sips._tcp.two.example SRV 1 0 5061 h.example\n_sips._tcp.two.example SRV 2 0 443 H.example\nh.example A "
	       "192.0.2.9\n";
	check("sips:two.example", &c, "TLS h.example 192.0.2.9 5061\nTLS H.example 192.0.2.9 443\n");
	assert_string_equal(asked, "SRV _sips._tcp.two.example\nA h.example\n");
}

/* A failed look-up must not pass for "no records": a weaker transport would be chosen. */
static void test_failure(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	zone = "_sips._tcp.b.example SRV !\n_sip._tcp.b.example SRV 1 1 5060 c.example\nc.example A 192.0.2.3\nb.example A "
	       "192.0.2.3\n";
	check("sip:b.example", &c, "");
	assert_true(lookup_failed);
	/* but what comes after the choice does not matter */
	zone = "_sips._tcp.b.example SRV 1 1 5061 c.example\n_sip._tcp.b.example SRV !\nc.example A 192.0.2.3\nc.example AAAA "
	       "!\n";
	check("sip:b.example", &c, "TLS c.example 192.0.2.3 5061\n");
}

/* RFC 2782: drawn by weight. */
static void test_weights(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	c.ipv6 = false;
	zone = "_sips._tcp.w SRV 5 10 1 a\n_sips._tcp.w SRV 5 0 2 b\n_sips._tcp.w SRV 5 30 3 c\n_sips._tcp.w SRV 1 0 4 d\n"
	       "a A 192.0.2.1\nb A 192.0.2.2\nc A 192.0.2.3\nd A 192.0.2.4\n";
	n_draws = 4;
	memcpy(draws, (uint64_t[]){0, 0, 0, 0}, 32); /* priority 1 alone; then b (0), then running sums */
	check("sips:w", &c, "TLS d 192.0.2.4 4\nTLS b 192.0.2.2 2\nTLS a 192.0.2.1 1\nTLS c 192.0.2.3 3\n");
	memcpy(draws, (uint64_t[]){0, 11, 5, 0}, 32); /* b 0, a 10, c 40: 11 falls on c; then b 0, a 10: 5 falls on a */
	check("sips:w", &c, "TLS d 192.0.2.4 4\nTLS c 192.0.2.3 3\nTLS a 192.0.2.1 1\nTLS b 192.0.2.2 2\n");
	memcpy(draws, (uint64_t[]){0, 10, 30, 0}, 32);
	check("sips:w", &c, "TLS d 192.0.2.4 4\nTLS a 192.0.2.1 1\nTLS c 192.0.2.3 3\nTLS b 192.0.2.2 2\n");
	n_draws = 0;
	/* by the dice: shares follow the weights */
	c.draw = NULL;
	int first_c = 0;
	zone = "_sips._tcp.w SRV 5 10 1 a\n_sips._tcp.w SRV 5 30 3 c\na A 192.0.2.1\nc A 192.0.2.3\n";
	for (int i = 0; i < 1000; i++)
		first_c += strncmp(resolve("sips:w", &c, false), "TLS c", 5) == 0;
	assert_in_range(first_c, 650, 850);
}

static void test_naptr(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	c.naptr = true;
	c.ipv6 = false;
	zone = "n.example NAPTR 50 50 s SIP+D2T _sip._tcp.real.example\nn.example NAPTR 40 50 s SIPS+D2T "
	       "_sips._tcp.real.example\n"
	       "n.example NAPTR 10 50 s SIP+D2S _sip._sctp.real.example\nn.example NAPTR 1 1 u E2U+sip x\n"
	       "_sips._tcp.real.example SRV 1 1 5061 h.example\nh.example A 192.0.2.8\n";
	check("sip:n.example", &c, "TLS h.example 192.0.2.8 5061\n");
	assert_string_equal(asked, "NAPTR n.example\nSRV _sips._tcp.real.example\nA h.example\n");
	zone = "_sip._tcp.m.example SRV 1 1 5060 h.example\nh.example A 192.0.2.8\n";
	check("sip:m.example", &c, "TCP h.example 192.0.2.8 5060\n");
	zone = "m.example NAPTR !\n";
	check("sip:m.example", &c, "");
	assert_true(lookup_failed);
	check("sip:m.example:5060", &c, "");
}

static void test_federation(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	c.federation = S("_sipfederationtls._tcp");
	c.ipv6 = false;
	zone = "_sipfederationtls._tcp.f.example SRV 0 0 5061 sip.f.example\nsip.f.example A 192.0.2.5\n"
	       "_sips._tcp.g.example SRV 0 0 5061 sip.g.example\nsip.g.example A 192.0.2.6\n";
	check("sip:f.example", &c, "TLS sip.f.example 192.0.2.5 5061\n");
	assert_string_equal(asked, "SRV _sipfederationtls._tcp.f.example\nA sip.f.example\n");
	check("sip:g.example", &c, "");
	c.federation_fallback = true;
	check("sip:g.example", &c, "TLS sip.g.example 192.0.2.6 5061\n");
	check("sip:u@g.example;transport=tls", &c, "TLS sip.g.example 192.0.2.6 5061\n");
	c.naptr = true;
	zone = "_sipfederationtls._tcp.f.example SRV 0 0 0 .\n_sips._tcp.f.example SRV 0 0 5061 sip.f.example\nsip.f.example A "
	       "192.0.2.5\n"
	       "h.example NAPTR 1 1 s SIPS+D2T _sips._tcp.h.example\n_sips._tcp.h.example SRV 0 0 5061 sip.f.example\n";
	check("sip:f.example", &c, "");
	check("sip:h.example", &c, "TLS sip.f.example 192.0.2.5 5061\n");
}

/* More than we hold: the best are kept. */
static void test_limits(void **state)
{
	(void)state;
	struct sip_target_config c = config();
	static char text[20000];
	size_t len = 0;
	c.ipv6 = false;
	for (int i = 0; i < 40; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "_sips._tcp.big SRV %d 0 %d h%d\n", 100 - i, 1000 + i, i);
	for (int i = 0; i < 40; i++)
		for (int k = 0; k < 20; k++)
			len += (size_t)snprintf(text + len, sizeof text - len, "h%d A 192.0.%d.%d\n", i, i, k);
	zone = text;
	const char *r = resolve("sips:big", &c, false);
	assert_int_equal(strncmp(r, "TLS h39 192.0.39.0 1039\n", 24), 0);
	int lines = 0;
	for (const char *p = r; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, SIP_TARGETS_MAX);
	assert_null(strstr(r, "h23"));
	/* a name that is too long, in the URI and in a record */
	static char uri[400] = "sip:";
	memset(uri + 4, 'a', 300);
	check(uri, &c, "invalid");
	len = (size_t)snprintf(text, sizeof text, "_sips._tcp.l SRV 1 1 5061 ");
	memset(text + len, 'b', 300);
	snprintf(text + len + 300, 100, "\n_sips._tcp.l SRV 2 1 5061 ok\nok A 192.0.2.1\n");
	check("sips:l", &c, "TLS ok 192.0.2.1 5061\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_dns),     cmocka_unit_test(test_explicit_port), cmocka_unit_test(test_srv),
		cmocka_unit_test(test_failure),    cmocka_unit_test(test_weights),       cmocka_unit_test(test_naptr),
		cmocka_unit_test(test_federation), cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
