/* SPDX-License-Identifier: Apache-2.0 */
/* The internal side: what comes in from homes and strangers, and the way to a home by TCP, TLS and UDP. */
#include "site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sip/build.h"

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	static const struct {
		const char *name, *san;
	} leaf[] = {{"us", "DNS:gw.contoso.test"},
		    {"home", "DNS:localhost"},
		    {"uri", "URI:sip:localhost"},
		    {"wrong", "DNS:other.test"}};
	for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
		struct pki_spec spec = {.cn = leaf[i].name, .san = leaf[i].san, .eku = "serverAuth,clientAuth"};
		pki_issue(leaf[i].name, &spec, &ca, NULL);
	}
	pki_issue("self", &(struct pki_spec){.cn = "self", .san = "DNS:localhost"}, NULL, NULL);
	pki_free(&ca);
	journal_open();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	journal_close();
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	struct site *s = MEM_NEW(struct site);
	buf_clear(&journal);
	site_setup(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	site_teardown(*state);
	mem_free(*state);
	return 0;
}

static const char *hop(const struct base *b, const char *transport)
{
	static char z[64];
	snprintf(z, sizeof z, "sip:127.0.0.1:%u;transport=%s", base_port(b), transport);
	return z;
}

static unsigned times(const struct buf *b, const char *text)
{
	unsigned n = 0;
	for (struct slice rest = buf_slice(b);; n++) {
		ptrdiff_t at = slice_find(rest, slice_str(text));
		if (at < 0)
			return n;
		rest = slice_skip(rest, (size_t)at + 1);
	}
}

/* ---- coming in */

static void test_in(void **state)
{
	struct site *s = *state;
	struct peer p;
	char text[4096];
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, times(&p.got, "SIP/2.0 200") == 1);
	assert_true(buf_has(&s->seen, "MESSAGE sip:romeo@contoso.test sip:juliet@fabrikam.test 0\n"));
	/* two in one piece, then one in many */
	snprintf(text, sizeof text, "%s%s", request("MESSAGE", "romeo@contoso.test", "b"),
		 request("MESSAGE", "romeo@contoso.test", "c"));
	peer_say(&p, text);
	UNTIL(s->loop, times(&p.got, "SIP/2.0 200") == 3);
	snprintf(text, sizeof text, "%s", request("MESSAGE", "romeo@contoso.test", "d"));
	for (size_t i = 0; text[i]; i++) {
		conn_write(p.conn, slice_of(text + i, 1));
		loop_once(s->loop, 0);
	}
	UNTIL(s->loop, times(&p.got, "SIP/2.0 200") == 4);
	peer_free(&p);
}

/* What is refused before anybody looks at it: the packed bodies that clients send are in MESSAGE, RFC 4028 is spoken in sessions. */
static void test_capabilities(void **state)
{
	static const struct {
		const char *method, *more;
		unsigned status;
	} rows[] = {
		{"MESSAGE", "Content-Encoding: deflate\r\n", 200}, {"MESSAGE", "Content-Encoding: gzip, identity\r\n", 200},
		{"MESSAGE", "Content-Encoding: br\r\n", 415},      {"SUBSCRIBE", "Content-Encoding: deflate\r\n", 415},
		{"INVITE", "Require: timer\r\n", 200},	     {"MESSAGE", "Require: timer\r\n", 420},
		{"INVITE", "Require: timer, rare\r\n", 420},
	};
	struct site *s = *state;
	struct peer p;
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[1024], wanted[32];
		snprintf(text, sizeof text,
			 "%s sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKc%zu\r\nMax-Forwards: 70\r\nFrom: "
			 "<sip:romeo@contoso.test>;tag=t\r\nTo: <sip:juliet@fabrikam.test>\r\nCall-ID: c%zu\r\nCSeq: 1 %s\r\nContact: "
			 "<sip:127.0.0.1:9;transport=tcp>\r\n%sContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
			 rows[i].method, i, i, rows[i].method, rows[i].more);
		buf_clear(&p.got);
		peer_say(&p, text);
		snprintf(wanted, sizeof wanted, "SIP/2.0 %u", rows[i].status);
		UNTIL(s->loop, buf_has(&p.got, "\r\n\r\n"));
		if (!buf_has(&p.got, wanted))
			fail_msg("%s %s: %.*s", rows[i].method, rows[i].more, SFMT(buf_slice(&p.got)));
	}
	peer_free(&p);
}

static void test_in_tls(void **state)
{
	struct site *s = *state;
	struct peer p;
	struct tls_ctx *us = pki_context("us", NULL), *home = pki_context("home", NULL);
	sip_edge_set_tls(s->edge, us);
	site_home(s, "sip:127.0.0.1:9;transport=tls");
	site_listen(s);
	peer_connect(&p, s, s->tls, home);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 200"));
	peer_free(&p);
	tls_ctx_unref(us);
	tls_ctx_unref(home);
}

static void test_framing(void **state)
{
	struct site *s = *state;
	struct peer good, bad, garbage;
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&good, s, s->tcp, NULL);
	peer_connect(&bad, s, s->tcp, NULL);
	peer_connect(&garbage, s, s->tcp, NULL);
	peer_say(&good,
		 "MESSAGE sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKgood\r\n"); /* half of it
														      */
	peer_say(&bad, "MESSAGE sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKx\r\nFrom: "
		       "<sip:romeo@contoso.test>;tag=t\r\n"
		       "To: <sip:juliet@fabrikam.test>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\r\n"); /* no Content-Length: the
												      stream is lost */
	peer_say(&garbage, "\x16\x03\x01 this is no SIP\r\n\r\n");
	UNTIL(s->loop, bad.closed && garbage.closed);
	assert_true(buf_has(&bad.got, "SIP/2.0 400"));
	assert_int_equal(garbage.got.len, 0);
	peer_say(&good, "Max-Forwards: 70\r\nFrom: <sip:romeo@contoso.test>;tag=t\r\nTo: <sip:juliet@fabrikam.test>\r\nCall-ID: "
			"y\r\nCSeq: 1 MESSAGE\r\n"
			"Content-Length: 0\r\n\r\n");
	UNTIL(s->loop, buf_has(&good.got, "SIP/2.0 200"));
	assert_false(good.closed);
	peer_free(&good);
	peer_free(&bad);
	peer_free(&garbage);
}

static void test_malformed(void **state)
{
	struct site *s = *state;
	struct peer p;
	char large[20000];
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	/* well framed, but wrong: answered, and the connection goes on */
	peer_say(&p, "MESSAGE sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKm\r\nFrom: "
		     "<sip:romeo@contoso.test>;tag=t\r\n"
		     "To: <sip:juliet@fabrikam.test>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 400"));
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 200"));
	/* too large: answered by its head alone, closed */
	int n = snprintf(large, sizeof large,
			 "MESSAGE sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKl\r\n"
			 "Max-Forwards: 70\r\nFrom: <sip:romeo@contoso.test>;tag=t\r\nTo: <sip:juliet@fabrikam.test>\r\nCall-ID: "
			 "l\r\nCSeq: 1 MESSAGE\r\n"
			 "Content-Length: 1000000\r\n\r\n");
	memset(large + n, 'x', 10000);
	large[n + 10000] = 0;
	peer_say(&p, large);
	UNTIL(s->loop, p.closed);
	assert_true(buf_has(&p.got, "SIP/2.0 513"));
	peer_free(&p);
}

static void test_stranger(void **state)
{
	struct site *s = *state;
	struct peer p, many[80];
	unsigned closed = 0;
	site_home(s, "sip:192.0.2.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, p.closed);
	assert_true(buf_has(&p.got, "SIP/2.0 403"));
	assert_int_equal(s->seen.len, 0);
	assert_true(buf_has(&journal, "sip/stranger"));
	peer_free(&p);
	/* he cannot take all places either */
	for (size_t i = 0; i < 80; i++)
		peer_connect(&many[i], s, s->tcp, NULL);
	turn(s->loop, 30);
	for (size_t i = 0; i < 80; i++)
		closed += many[i].closed;
	assert_int_equal(closed, 80 - 64);
	for (size_t i = 0; i < 80; i++)
		peer_free(&many[i]);
}

static void test_senders(void **state)
{
	struct site *s = *state;
	struct peer p;
	struct entente_err err;
	struct slice nets[] = {S("192.0.2.7"), S("127.0.0.0/9")}, bad[] = {S("127.0.0.0/33")}, worse[] = {S("localhost")};
	struct sip_edge_home h = {
		.name = S("first"), .next_hop = S("sip:192.0.2.1:9;transport=tcp"), .senders = nets, .n_senders = 2};
	assert_int_equal(sip_edge_set_homes(s->edge, &h, 1, &err), 0);
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 200"));
	nets[1] = S("126.0.0.0/8");
	assert_int_equal(sip_edge_set_homes(s->edge, &h, 1, &err), 0);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "b"));
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 403"));
	peer_free(&p);
	h = (struct sip_edge_home){.name = S("x"), .next_hop = S("sip:192.0.2.1"), .senders = bad, .n_senders = 1};
	assert_int_equal(sip_edge_home_check(&h, &err), ENTENTE_ESYNTAX);
	h.senders = worse;
	assert_int_equal(sip_edge_home_check(&h, &err), ENTENTE_ESYNTAX);
	h = (struct sip_edge_home){.name = S("x"), .next_hop = S("tel:+1")};
	assert_int_equal(sip_edge_home_check(&h, &err), ENTENTE_ESYNTAX);
	h.next_hop = S("sip:192.0.2.1;transport=sctp");
	assert_int_equal(sip_edge_home_check(&h, &err), ENTENTE_ESYNTAX);
}

static void test_keepalive_in(void **state)
{
	struct site *s = *state;
	struct peer p;
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	peer_say(&p, "\r\n\r\n");
	UNTIL(s->loop, slice_eq(buf_slice(&p.got), S("\r\n")));
	peer_free(&p);
}

/* The home's connection breaks before the answer is there: it goes over ours. */
static void test_answer_elsewhere(void **state)
{
	struct site *s = *state;
	struct base b = {0};
	struct peer p;
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tcp"));
	site_listen(s);
	UNTIL(s->loop, !strcmp(site_state(s), "up"));
	peer_connect(&p, s, s->tcp, NULL);
	s->hold = true;
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, s->n_held == 1);
	peer_free(&p);
	turn(s->loop, 20);
	struct sip_server_trans *st = sip_server_find(sip_edge_stack(s->edge), s->held[0]);
	assert_non_null(st);
	sip_server_reply(st, 200);
	UNTIL(s->loop, buf_has(&b.peers[0].got, "SIP/2.0 200"));
	base_close(&b);
}

static void test_quiesce(void **state)
{
	struct site *s = *state;
	struct peer p;
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	s->hold = true;
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	UNTIL(s->loop, s->n_held == 1);
	assert_int_equal(sip_stack_waiting(sip_edge_stack(s->edge)), 1);
	sip_edge_quiesce(s->edge);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "b"));
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 503"));
	assert_true(buf_has(&p.got, "Entente-Reason: server/shutdown"));
	assert_true(buf_has(&p.got, "Retry-After: "));
	sip_server_reply(sip_server_find(sip_edge_stack(s->edge), s->held[0]), 200); /* what was under way finishes */
	UNTIL(s->loop, buf_has(&p.got, "SIP/2.0 200"));
	assert_int_equal(sip_stack_waiting(sip_edge_stack(s->edge)), 0);
	peer_free(&p);
}

static void test_sender_rate(void **state)
{
	struct site *s = *state;
	struct peer p;
	s->set.sender_rate = 1;
	sip_edge_set(s->edge, &s->set);
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	for (int i = 0; i < 70; i++) {
		char id[8];
		snprintf(id, sizeof id, "m%d", i);
		peer_say(&p, request("MESSAGE", "romeo@contoso.test", id));
		loop_once(s->loop, 1);
	}
	peer_say(&p, request("MESSAGE", "mercutio@contoso.test", "other"));
	UNTIL(s->loop, times(&p.got, "SIP/2.0 ") == 71);
	assert_in_range(times(&p.got, "Entente-Reason: limit/rate"), 7, 10);
	assert_true(buf_has(&s->seen, "mercutio"));
	peer_free(&p);
}

static bool usage_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	(void)u, (void)from;
	sip_server_reply(st, m->method == SIP_BYE ? 202 : 200);
	arena_release(NULL, a);
	return true;
}

/* Within a dialog, too: but what ends it is always heard. */
static void test_sender_rate_within(void **state)
{
	struct site *s = *state;
	struct peer p;
	struct sip_usage u = {.request = usage_request};
	s->set.sender_rate = 1;
	sip_edge_set(s->edge, &s->set);
	site_home(s, "sip:127.0.0.1:9;transport=tcp");
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	sip_usage_register(sip_edge_stack(s->edge), &u, S("call"), S("ours"));
	for (int i = 0; i < 71; i++) {
		char text[1024];
		const char *method = i == 70 ? "BYE" : i & 1 ? "INFO" : "MESSAGE";
		snprintf(text, sizeof text,
			 "%s sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKw%d\r\nMax-Forwards: 70\r\nFrom: "
			 "<sip:romeo@contoso.test>;tag=t\r\nTo: <sip:juliet@fabrikam.test>;tag=ours\r\nCall-ID: call\r\nCSeq: %d %s\r\n"
			 "Content-Length: 0\r\n\r\n",
			 method, i, i + 1, method);
		peer_say(&p, text);
		loop_once(s->loop, 1);
	}
	UNTIL(s->loop, times(&p.got, "SIP/2.0 ") == 71);
	assert_in_range(times(&p.got, "Entente-Reason: limit/rate"), 7, 10);
	assert_int_equal(times(&p.got, "SIP/2.0 202"), 1);
	sip_usage_unregister(sip_edge_stack(s->edge), &u);
	peer_free(&p);
}

/* ---- UDP */

struct endpoint { /* a datagram socket that plays a home */
	struct udp *u;
	struct buf got;
	struct addr from; /* of the last one */
	bool answer;
};

static void endpoint_data(struct udp *u, const struct addr *from, struct slice in)
{
	struct endpoint *e = udp_owner(u);
	struct sip_msg *m;
	struct sip_fault fault;
	struct arena *a = arena_new(1 << 20);
	buf_put(&e->got, in);
	e->from = *from;
	if (e->answer && !sip_msg_parse(&m, a, in, &sip_limits_default, &fault) && m->is_request) {
		struct buf b;
		buf_init(&b, 65536);
		sip_build_response(&b, m, 200, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		udp_send(u, from, buf_slice(&b));
		buf_free(&b);
	}
	arena_release(NULL, a);
}

static void endpoint_open(struct endpoint *e, struct site *s, const char *address, unsigned port)
{
	struct entente_err err;
	struct udp_opts o = {.data = endpoint_data, .owner = e};
	bool answer = e->answer;
	*e = (struct endpoint){.answer = answer};
	buf_init(&e->got, 1 << 20);
	addr_parse(slice_str(address), (uint16_t)port, &o.addr);
	if (udp_open(&e->u, s->loop, &o, &err))
		fail_msg("%s", err.text);
}

static void endpoint_close(struct endpoint *e)
{
	udp_close(e->u);
	buf_free(&e->got);
}

static struct addr edge_udp(struct site *s, const char *address)
{
	struct entente_err err;
	struct addr at, bound;
	addr_parse(slice_str(address), 0, &at);
	if (sip_edge_udp(s->edge, &at, &bound, &err))
		fail_msg("%s", err.text);
	return bound;
}

static void test_udp(void **state)
{
	struct site *s = *state;
	struct endpoint e = {.answer = true};
	struct addr first = edge_udp(s, "127.0.0.1"), second = edge_udp(s, "127.0.0.1");
	char next_hop[64];
	endpoint_open(&e, s, "127.0.0.1", 0);
	snprintf(next_hop, sizeof next_hop, "sip:127.0.0.1:%u;transport=udp", addr_port(udp_addr(e.u)));
	site_home(s, next_hop);
	assert_string_equal(site_state(s), "up");
	UNTIL(s->loop, buf_has(&e.got, "OPTIONS sip:127.0.0.1")); /* is anybody there? */
	site_ask(s, "1");
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	/* the answer leaves from where the request came in */
	e.answer = false;
	buf_clear(&e.got);
	udp_send(e.u, &second, slice_str(request("MESSAGE", "romeo@contoso.test", "u")));
	UNTIL(s->loop, buf_has(&e.got, "SIP/2.0 200"));
	assert_true(addr_eq(&e.from, &second));
	udp_send(e.u, &first, slice_str(request("MESSAGE", "romeo@contoso.test", "v")));
	buf_clear(&e.got);
	UNTIL(s->loop, buf_has(&e.got, "SIP/2.0 200"));
	assert_true(addr_eq(&e.from, &first));
	udp_send(e.u, &first, S("\r\n\r\n")); /* a keep-alive is no message */
	turn(s->loop, 20);
	assert_false(buf_has(&journal, "sip/malformed"));
	endpoint_close(&e);
}

static void test_udp_stranger(void **state)
{
	struct site *s = *state;
	struct endpoint e = {0};
	struct addr at = edge_udp(s, "127.0.0.1");
	site_home(s, "sip:192.0.2.1;transport=udp");
	endpoint_open(&e, s, "127.0.0.1", 0);
	for (int i = 0; i < 200; i++) {
		char id[8];
		snprintf(id, sizeof id, "s%d", i);
		udp_send(e.u, &at, slice_str(request("MESSAGE", "romeo@contoso.test", id)));
	}
	turn(s->loop, 300);
	unsigned n = times(&e.got, "SIP/2.0 403");
	assert_in_range(n, 1, 41); /* twenty a second: nobody is flooded with our answers to forged senders */
	assert_true(times(&journal, "sip/stranger") <= LOG_PER_KEY);
	udp_send(e.u, &at, S("garbage"));
	buf_clear(&e.got);
	turn(s->loop, 50);
	assert_int_equal(e.got.len, 0);
	endpoint_close(&e);
}

static void test_udp_down(void **state)
{
	struct site *s = *state;
	struct endpoint e = {.answer = true};
	char next_hop[64];
	edge_udp(s, "127.0.0.1");
	endpoint_open(&e, s, "127.0.0.1", 0);
	unsigned port = addr_port(udp_addr(e.u));
	snprintf(next_hop, sizeof next_hop, "sip:127.0.0.1:%u;transport=udp", port);
	s->set.keepalive_ms = 150;
	sip_edge_set(s->edge, &s->set);
	site_home(s, next_hop);
	UNTIL(s->loop, times(&e.got, "OPTIONS") >= 2);
	assert_string_equal(site_state(s), "up");
	e.answer = false;
	s->set.keepalive_ms = 300;
	UNTIL(s->loop, !strcmp(site_state(s), "down"));
	assert_non_null(strstr(site_error(s), "OPTIONS"));
	site_ask(s, "1"); /* at once, not after 32 seconds */
	UNTIL(s->loop, buf_has(&s->done, "1 2\n"));
	assert_int_equal(times(&journal, "sip/home-down"), 1);
	e.answer = true;
	UNTIL(s->loop, !strcmp(site_state(s), "up"));
	site_ask(s, "2");
	UNTIL(s->loop, buf_has(&s->done, "2 200\n"));
	endpoint_close(&e);
}

static void test_udp_ipv6(void **state)
{
	struct site *s = *state;
	struct endpoint e = {.answer = true};
	struct addr at;
	char next_hop[64];
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	addr_parse(S("::1"), 0, &at);
	bool have = fd >= 0 && bind(fd, &at.sa, addr_len(&at)) == 0;
	if (fd >= 0)
		close(fd);
	if (!have)
		skip();
	bool ipv6 = false;
	struct sip_flow flow;
	edge_udp(s, "127.0.0.1");
	edge_udp(s, "::1");
	endpoint_open(&e, s, "::1", 0);
	snprintf(next_hop, sizeof next_hop, "sip:[::1]:%u;transport=udp", addr_port(udp_addr(e.u)));
	site_home(s, next_hop);
	assert_true(sip_edge_home_flow(s->edge, 0, &flow, &ipv6));
	assert_true(ipv6);
	site_ask(s, "1");
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	endpoint_close(&e);
}

/* ---- the way to a home */

static void test_out(void **state)
{
	struct site *s = *state;
	struct base b = {.answer = true};
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tcp"));
	site_ask(s, "1"); /* waits for the connection */
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	site_ask(s, "2");
	UNTIL(s->loop, buf_has(&s->done, "2 200\n"));
	assert_int_equal(b.n, 1); /* one connection for all */
	base_close(&b);
}

static void test_home_restart(void **state)
{
	struct site *s = *state;
	struct base b = {.answer = true};
	base_open(&b, s, 0);
	unsigned port = base_port(&b);
	site_home(s, hop(&b, "tcp"));
	site_ask(s, "1");
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	b.peers[0].answer = false;
	site_ask(s, "2");
	UNTIL(s->loop, buf_has(&b.peers[0].got, "Call-ID: 2@us"));
	timers_set_now(&s->loop->timers, s->loop->timers.now + 6000); /* it served for a while */
	base_close(&b);
	UNTIL(s->loop, buf_has(&s->done, "2 2\n")); /* at once: nobody will answer */
	UNTIL(s->loop, !strcmp(site_state(s), "down"));
	assert_non_null(strstr(site_error(s), "refused"));
	site_ask(s, "3");
	UNTIL(s->loop, buf_has(&s->done, "3 2\n"));
	base_open(&b, s, port);
	UNTIL(s->loop, !strcmp(site_state(s), "up")); /* without anybody asking */
	site_ask(s, "4");
	UNTIL(s->loop, buf_has(&s->done, "4 200\n"));
	assert_int_equal(times(&journal, "sip/home-down"), 1);
	base_close(&b);
}

/* Down for long, so asked seldom: but who sends finds out at once that it is back. */
static void test_home_back(void **state)
{
	struct site *s = *state;
	struct base b = {.answer = true};
	base_open(&b, s, 0);
	unsigned port = base_port(&b);
	site_home(s, hop(&b, "tcp"));
	base_close(&b);
	site_ask(s, "0");
	UNTIL(s->loop, !strcmp(site_state(s), "down"));
	turn(s->loop, 1600); /* 0.5 s, 1 s, then 2 s */
	UNTIL(s->loop, !strcmp(site_state(s), "down"));
	base_open(&b, s, port);
	turn(s->loop, 550);
	assert_string_equal(site_state(s), "down");
	site_ask(s, "1");
	uint64_t before = clock_ms();
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	assert_true(clock_ms() - before < 300);
	base_close(&b);
}

/* A home that closes at once is not called in a circle. */
static void test_home_closes(void **state)
{
	struct site *s = *state;
	struct base b = {0};
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tcp"));
	for (uint64_t end = clock_ms() + 1000; clock_ms() < end;) {
		loop_once(s->loop, 2);
		if (b.n && b.peers[b.n - 1].conn)
			b.peers[b.n - 1].conn = conn_free(b.peers[b.n - 1].conn);
	}
	assert_in_range(b.n, 1, 3);
	base_close(&b);
}

static void test_keepalive_out(void **state)
{
	struct site *s = *state;
	struct base b = {.pong = true};
	s->set.keepalive_ms = 60;
	sip_edge_set(s->edge, &s->set);
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tcp"));
	UNTIL(s->loop, b.n && times(&b.peers[0].got, "\r\n\r\n") >= 3);
	assert_int_equal(b.n, 1);
	b.peers[0].pong = false; /* it hangs */
	UNTIL(s->loop, b.peers[0].closed);
	UNTIL(s->loop, b.n == 2); /* a new one */
	UNTIL(s->loop, !strcmp(site_state(s), "up"));
	assert_true(buf_has(&journal, "no answer to a keep-alive"));
	base_close(&b);
}

/* One that never answers keep-alives is not taken for dead. */
static void test_keepalive_unanswered(void **state)
{
	struct site *s = *state;
	struct base b = {.answer = true};
	s->set.keepalive_ms = 50;
	sip_edge_set(s->edge, &s->set);
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tcp"));
	UNTIL(s->loop, b.n && times(&b.peers[0].got, "\r\n\r\n") >= 5);
	assert_int_equal(b.n, 1);
	site_ask(s, "1");
	UNTIL(s->loop, buf_has(&s->done, "1 200\n"));
	base_close(&b);
}

static void test_queue_limit(void **state)
{
	struct site *s = *state;
	struct tls_ctx *us = pki_context("us", NULL);
	struct base b = {.mute = true}; /* takes the connection, never answers the handshake */
	char id[8];
	sip_edge_set_tls(s->edge, us);
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tls"));
	for (int i = 1; i <= 11; i++) {
		snprintf(id, sizeof id, "%d", i);
		site_ask(s, id);
	}
	turn(s->loop, 100);
	assert_true(slice_eq(buf_slice(&s->done), S("11 2\n"))); /* the one too many */
	UNTIL(s->loop, times(&s->done, "\n") == 11);             /* the others when the handshake has timed out */
	assert_string_equal(site_state(s), "down");
	base_close(&b);
	tls_ctx_unref(us);
}

static void test_queue_time(void **state)
{
	struct site *s = *state;
	struct tls_ctx *us = pki_context("us", NULL), *home = pki_context("home", NULL);
	struct base b = {.mute = true};
	s->set.queue_ms = 100;
	s->set.connect_ms = 5000;
	sip_edge_set(s->edge, &s->set);
	sip_edge_set_tls(s->edge, us);
	base_open(&b, s, 0);
	site_home(s, hop(&b, "tls"));
	site_ask(s, "1");
	turn(s->loop, 300); /* too old to be sent now */
	base_close(&b);
	UNTIL(s->loop, buf_has(&s->done, "1 2\n"));
	tls_ctx_unref(us);
	tls_ctx_unref(home);
}

static void test_tls(void **state)
{
	static const struct {
		const char *certificate, *host, *error;
	} cases[] = {
		{"home", "127.0.0.1", NULL}, /* an address cannot be in a name: the chain must do */
		{"self", "127.0.0.1", "not trusted"},
	};
	struct site *s = *state;
	struct tls_ctx *us = pki_context("us", NULL);
	sip_edge_set_tls(s->edge, us);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct base b = {.answer = true, .tls = pki_context(cases[i].certificate, NULL)};
		char next_hop[64];
		base_open(&b, s, 0);
		snprintf(next_hop, sizeof next_hop, "sip:%s:%u;transport=tls", cases[i].host, base_port(&b));
		buf_clear(&s->done);
		site_home(s, next_hop);
		site_ask(s, "1");
		UNTIL(s->loop, s->done.len);
		assert_true(slice_eq(buf_slice(&s->done), cases[i].error ? S("1 2\n") : S("1 200\n")));
		if (cases[i].error)
			assert_non_null(strstr(site_error(s), cases[i].error));
		tls_ctx_unref(b.tls);
		base_close(&b);
	}
	sip_edge_set_tls(s->edge, NULL);
	site_home(s, "sip:127.0.0.1:9;transport=tls");
	UNTIL(s->loop, !strcmp(site_state(s), "down"));
	assert_non_null(strstr(site_error(s), "tls.certificate"));
	tls_ctx_unref(us);
}

/* ---- the list of homes */

static void test_set_homes(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base a = {.answer = true}, b = {.answer = true}, c = {.answer = true};
	char hops[3][64];
	struct sip_flow flow;
	base_open(&a, s, 0);
	base_open(&b, s, 0);
	base_open(&c, s, 0);
	snprintf(hops[0], sizeof hops[0], "%s", hop(&a, "tcp"));
	snprintf(hops[1], sizeof hops[1], "%s", hop(&b, "tcp"));
	snprintf(hops[2], sizeof hops[2], "%s", hop(&c, "tcp"));
	struct sip_edge_home h[3] = {{.name = S("one"), .next_hop = slice_str(hops[0])},
				     {.name = S("two"), .next_hop = slice_str(hops[1])}};
	assert_int_equal(sip_edge_set_homes(s->edge, h, 2, &err), 0);
	UNTIL(s->loop, a.n == 1 && b.n == 1);
	a.peers[0].answer = false;
	site_ask(s, "1");
	UNTIL(s->loop, buf_has(&a.peers[0].got, "Call-ID: 1@us"));
	/* the first goes, the second stays as it was, a third comes */
	h[0] = (struct sip_edge_home){0};
	h[2] = (struct sip_edge_home){.name = S("three"), .next_hop = slice_str(hops[2])};
	assert_int_equal(sip_edge_set_homes(s->edge, h, 3, &err), 0);
	UNTIL(s->loop, buf_has(&s->done, "1 2\n"));
	UNTIL(s->loop, a.peers[0].closed && c.n == 1);
	assert_int_equal(b.n, 1);
	assert_false(b.peers[0].closed);
	assert_false(sip_edge_home_flow(s->edge, 0, &flow, NULL));
	assert_false(sip_edge_home_flow(s->edge, 3, &flow, NULL));
	assert_true(sip_edge_home_flow(s->edge, 1, &flow, NULL));
	/* nothing changes when one of them is wrong */
	h[1].next_hop = S("nonsense");
	assert_int_equal(sip_edge_set_homes(s->edge, h, 3, &err), ENTENTE_ESYNTAX);
	assert_false(b.peers[0].closed);
	/* another next hop is another home */
	h[1].next_hop = slice_str(hops[0]);
	assert_int_equal(sip_edge_set_homes(s->edge, h, 3, &err), 0);
	UNTIL(s->loop, b.peers[0].closed && a.n == 2);
	assert_int_equal(sip_edge_set_homes(s->edge, NULL, 0, &err), 0);
	UNTIL(s->loop, a.peers[1].closed && c.peers[0].closed);
	base_close(&a);
	base_close(&b);
	base_close(&c);
}

/* Two homes at one address: From says which one it is. */
static void test_same_address(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct peer p;
	struct sip_edge_home h[2] = {{.name = S("one"), .next_hop = S("sip:127.0.0.1:9;transport=tcp")},
				     {.name = S("two"), .next_hop = S("sip:127.0.0.1:10;transport=tcp")}};
	assert_int_equal(sip_edge_set_homes(s->edge, h, 2, &err), 0);
	site_listen(s);
	peer_connect(&p, s, s->tcp, NULL);
	peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
	peer_say(&p, request("MESSAGE", "paris@second.test", "b"));
	UNTIL(s->loop, times(&p.got, "SIP/2.0 200") == 2);
	assert_true(buf_has(&s->seen, "romeo@contoso.test sip:juliet@fabrikam.test 0\n"));
	assert_true(buf_has(&s->seen, "paris@second.test sip:juliet@fabrikam.test 1\n"));
	peer_free(&p);
}

static void test_free_anywhere(void **state)
{
	(void)state;
	for (int turns = 0; turns < 20; turns++) {
		struct site s;
		struct base b = {.answer = true};
		struct peer p;
		site_setup(&s);
		base_open(&b, &s, 0);
		site_listen(&s);
		site_home(&s, hop(&b, "tcp"));
		peer_connect(&p, &s, s.tcp, NULL);
		s.hold = true;
		peer_say(&p, request("MESSAGE", "romeo@contoso.test", "a"));
		for (int i = 0; i < turns; i++)
			loop_once(s.loop, 1);
		base_close(&b);
		peer_free(&p);
		site_teardown(&s);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_in),
		T(test_capabilities),
		T(test_in_tls),
		T(test_framing),
		T(test_malformed),
		T(test_stranger),
		T(test_senders),
		T(test_keepalive_in),
		T(test_answer_elsewhere),
		T(test_quiesce),
		T(test_sender_rate),
		T(test_sender_rate_within),
		T(test_udp),
		T(test_udp_stranger),
		T(test_udp_down),
		T(test_udp_ipv6),
		T(test_out),
		T(test_home_restart),
		T(test_home_back),
		T(test_home_closes),
		T(test_keepalive_out),
		T(test_keepalive_unanswered),
		T(test_queue_limit),
		T(test_queue_time),
		T(test_tls),
		T(test_set_homes),
		T(test_same_address),
		cmocka_unit_test(test_free_anywhere),
	};
	return cmocka_run_group_tests_name("sip_edge", tests, group_setup, group_teardown);
}
