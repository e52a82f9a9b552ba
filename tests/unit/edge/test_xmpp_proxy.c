/* SPDX-License-Identifier: Apache-2.0 */
/* Two proxies in one process: streams by every method, what waits, what fails and why, the end. */
#include "org.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static void leaf(const char *name, const char *san, const char *eku, const struct pki *ca, long from_s, long to_s)
{
	struct pki p = pki_make(&(struct pki_spec){.cn = name, .san = san, .eku = eku, .from_s = from_s, .to_s = to_s}, ca);
	pki_write(name, &p, NULL);
	pki_free(&p);
}

static struct buf journal;

static void on_log(void *arg, struct slice line)
{
	(void)arg;
	buf_put(&journal, line);
	if (getenv("SHOW_LOG"))
		fprintf(stderr, "%.*s", SFMT(line));
}

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	leaf("a", "DNS:a.test", "serverAuth,clientAuth", &ca, 0, 0);
	leaf("b", "DNS:b.test", "serverAuth,clientAuth", &ca, 0, 0);
	leaf("b2", "DNS:b.test", "serverAuth,clientAuth", &ca, 0, 0);
	leaf("wrong", "DNS:other.test", "serverAuth,clientAuth", &ca, 0, 0);
	leaf("old", "DNS:b.test", "serverAuth,clientAuth", &ca, -7200, -3600);
	leaf("self", "DNS:b.test", "serverAuth,clientAuth", NULL, 0, 0);
	pki_free(&ca);
	buf_init(&journal, 8 << 20);
	log_set_sink(on_log, NULL);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	buf_free(&journal);
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	struct orgs *o = MEM_NEW(struct orgs);
	buf_clear(&journal);
	orgs_setup(o);
	org_tls(&o->a, "a");
	org_tls(&o->b, "b");
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	orgs_teardown(*state);
	mem_free(*state);
	return 0;
}

/* ---- coming up */

static void test_external(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	assert_int_equal(o->a.sent.len, 0); /* it waits */
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
	assert_true(buf_has(&o->a.links, "up a.test b.test\n"));
	assert_true(buf_has(&journal, "proof=external"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	org_send(&o->a, "b.test", "2"); /* up: at once, but not acknowledged yet */
	assert_false(buf_has(&o->a.sent, "2 "));
	UNTIL(o->loop, buf_has(&o->a.sent, "2 none \n"));
	org_send(&o->b, "a.test", "3"); /* the other direction has a stream of its own */
	UNTIL(o->loop, buf_has(&o->a.seen, "u@b.test>v@a.test message 3\n"));
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_int_equal(org_streams(&o->a, "open", false), 1);
}

/* XEP-0368: port 5270 of a partner's own server means direct TLS. */
static void test_direct(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, true);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
	assert_true(buf_has(&journal, ":5270 direct\""));
	assert_true(buf_has(&journal, "how=\"direct TLS\""));
	assert_true(buf_has(&journal, "proof=external"));
	assert_false(buf_has(&journal, "STARTTLS"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
}

/* Without TLS for the partner the port is a port like any other. */
static void test_direct_switched_off(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, false);
	o->a.partner.tls = o->b.partner.tls = POLICY_OPTIONAL;
	o->a.partner.tls = POLICY_NOT_SUPPORTED;
	o->a.partner.sasl = o->b.partner.sasl = POLICY_NOT_SUPPORTED;
	org_publish(&o->a);
	org_publish(&o->b);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "u@a.test>v@b.test message 1\n"));
	assert_true(buf_has(&journal, "proof=dialback"));
	assert_false(buf_has(&journal, ":5270 direct"));
}

/* The two ways do not mix: who begins with TLS where STARTTLS is spoken, or the other way round, gets nowhere and hears why. */
static void test_direct_mixed_up(void **state)
{
	struct orgs *o = *state;
	org_listen_5270(&o->b, &o->a, false);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_lines(&o->a.sent) == 1);
	assert_true(buf_has(&o->a.sent, "1 xmpp/tls-failed "));
	assert_int_equal(o->b.seen.len, 0);
	struct addr to;
	addr_parse(slice_str(o->b.address), 5270, &to);
	listener_free(o->b.second);
	o->b.second = NULL;
	org_listen_5270(&o->b, &o->a, true);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char octets[64];
	assert_int_equal(connect(fd, &to.sa, addr_len(&to)), 0);
	assert_int_equal(send(fd, "<?xml version='1.0'?>", 21, 0), 21);
	UNTIL(o->loop, buf_has(&journal, "direction=in") && buf_has(&journal, "stage=tls"));
	turn(o->loop, 50);
	ssize_t n = recv(fd, octets, sizeof octets, MSG_DONTWAIT);
	assert_true(n <= 0 || octets[0] == 0x15); /* at most a TLS alert */
	close(fd);
}

/* ---- acknowledgements */

static void up(struct orgs *o)
{
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n"));
}

/* The partner's server dies with what it was sent: the sender hears of it. */
static void test_lost(void **state)
{
	struct orgs *o = *state;
	up(o);
	org_send(&o->a, "b.test", "2");
	org_send(&o->a, "b.test", "3");
	assert_false(buf_has(&o->a.sent, "2 "));
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	UNTIL(o->loop, buf_lines(&o->a.sent) == 3);
	assert_true(buf_has(
		&o->a.sent,
		"1 none \n2 xmpp/unreachable the stream ended before the partner's server acknowledged it\n3 xmpp/unreachable "));
}

/* The partner's 200 waits for our receipt; a stream that is gone, or one that never was, does not mind one. */
static void test_receipts(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "10"); /* what waits for the stream goes before anything is counted */
	UNTIL(o->loop, buf_has(&o->a.sent, "10 none \n"));
	o->b.keep = true;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, o->b.n_receipts == 2);
	struct xmpp_receipt one = o->b.receipts[0], two = o->b.receipts[1], odd = two;
	assert_true(one.stream == two.stream && one.stream != 0 && two.number == one.number + 1);
	turn(o->loop, 100);
	assert_false(buf_has(&o->a.sent, "1 none"));
	xmpp_proxy_done(o->b.proxy, &two);
	odd.stream++;
	xmpp_proxy_done(o->b.proxy, &odd);
	odd = (struct xmpp_receipt){.stream = one.stream, .number = 1000000};
	xmpp_proxy_done(o->b.proxy, &odd);
	turn(o->loop, 150);
	assert_false(buf_has(&o->a.sent, "none \n2"));
	xmpp_proxy_done(o->b.proxy, &one);
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n2 none \n"));
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, o->b.n_receipts == 3);
	o->b.partner.enabled = false;
	org_publish(&o->b); /* the stream goes */
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
	UNTIL(o->loop, buf_has(&o->a.sent, "3 xmpp/unreachable the stream ended before"));
	xmpp_proxy_done(o->b.proxy, &o->b.receipts[2]);
}

/* The taker of the stanzas dies: its streams end, and their partners know what was lost. Others live. */
static void test_abandoned(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "10");
	org_send(&o->b, "a.test", "9");
	UNTIL(o->loop, buf_has(&o->a.sent, "10 none \n") && buf_has(&o->b.sent, "9 none \n"));
	o->b.keep = true;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, o->b.n_receipts == 2);
	xmpp_proxy_done(o->b.proxy, &o->b.receipts[0]);
	xmpp_proxy_abandon(o->b.proxy, "reset", S("the gateway was restarted"));
	xmpp_proxy_abandon(o->a.proxy, "reset", S("the gateway was restarted")); /* has nothing to lose */
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none \n2 xmpp/unreachable the stream ended before"));
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_false(org_streams(&o->b, "open", true));
}

/* A server that takes its time: what was handed over counts as sent after a while, and is not taken back. */
static void test_slow_acknowledgement(void **state)
{
	struct orgs *o = *state;
	o->a.set.ack_wait_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.partner_rate = 1;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	for (int i = 2; i <= 9; i++)
		org_send(&o->a, "b.test", (const char[]){(char)('0' + i), 0});
	assert_int_equal(buf_lines(&o->a.sent), 1);
	UNTIL(o->loop, buf_has(&o->a.sent, "9 none \n"));
	assert_int_equal(buf_lines(&o->a.sent), 9);
	o->b.hold = true;
	o->b.proxy = xmpp_proxy_free(o->b.proxy);
	turn(o->loop, 300);
	assert_int_equal(buf_lines(&o->a.sent), 9);
}

/* Neither when the partner does not offer them nor when we do not want them. */
static void test_without_acknowledgements(void **state)
{
	struct orgs *o = *state;
	o->b.set.acks = false;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	up(o);
	org_send(&o->a, "b.test", "2");
	assert_true(buf_has(&o->a.sent, "2 none \n"));
	org_send(&o->b, "a.test", "3"); /* a offers, b does not want */
	UNTIL(o->loop, buf_has(&o->b.sent, "3 none \n"));
	org_send(&o->b, "a.test", "4");
	assert_true(buf_has(&o->b.sent, "4 none \n"));
}

/* More than are remembered, faster than they are acknowledged: each is reported once, in order. */
static void test_many_unacknowledged(void **state)
{
	enum { MANY = 1500 };
	struct orgs *o = *state;
	char id[16];
	up(o);
	for (int i = 2; i <= MANY; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
	}
	assert_true(buf_lines(&o->a.sent) < MANY);
	UNTIL(o->loop, buf_lines(&o->a.sent) == MANY);
	struct slice rest = buf_slice(&o->a.sent);
	for (int i = 1; i <= MANY; i++) {
		snprintf(id, sizeof id, "%d none ", i);
		assert_true(slice_eq(slice_split(&rest, '\n'), slice_str(id)));
	}
}

static void test_order(void **state)
{
	struct orgs *o = *state;
	char id[8], want[1000] = "";
	for (int i = 1; i <= 15; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
		snprintf(want + strlen(want), sizeof want - strlen(want), "u@a.test>v@b.test message %d\n", i);
	}
	UNTIL(o->loop, buf_lines(&o->b.seen) == 15);
	assert_true(slice_eq(buf_slice(&o->b.seen), slice_str(want)));
}

/* What the owner sends when it hears of the first must not overtake those that still wait. */
static void send_more(struct org *o, const struct xmpp_ticket *t, enum reason reason)
{
	assert_int_equal(reason, REASON_NONE);
	if (t->id == 1)
		org_send(o, "b.test", "9");
}

static void test_order_from_inside(void **state)
{
	struct orgs *o = *state;
	o->a.on_sent = send_more;
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_lines(&o->b.seen) == 4);
	assert_true(slice_eq(buf_slice(&o->b.seen), S("u@a.test>v@b.test message 1\nu@a.test>v@b.test message 2\n"
						      "u@a.test>v@b.test message 3\nu@a.test>v@b.test message 9\n")));
}

/* b's certificate proves nothing, but a allows dialback: a asks b back on another connection. */
static void test_dialback(void **state)
{
	struct orgs *o = *state;
	org_tls(&o->b, "self");
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "u@b.test>v@a.test message 1\n"));
	assert_true(buf_has(&journal, "proof=dialback"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false)); /* the connection that asked is closed */
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
}

static void raw_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int raw_connect(const struct org *to)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(org_port(to)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Everything readable now, after some turns. */
static void raw_read(struct orgs *o, int fd, struct buf *b)
{
	char x[4096];
	turn(o->loop, 20);
	for (ssize_t n; (n = recv(fd, x, sizeof x, MSG_DONTWAIT)) > 0;)
		buf_put(b, slice_of(x, (size_t)n));
}

/* Whoever claims a partner's name often makes us call the partner once. */
static void test_one_question_per_name(void **state)
{
	struct orgs *o = *state;
	struct buf got;
	int fd[8];
	buf_init(&got, 1 << 20);
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true; /* b accepts, and says nothing */
	for (size_t i = 0; i < 8; i++) {
		fd[i] = raw_connect(&o->a);
		raw_send(fd[i], "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
				"xmlns:db='jabber:server:dialback' "
				"from='b.test' to='a.test' version='1.0'><db:result from='b.test' to='a.test'>k</db:result>");
	}
	UNTIL(o->loop, o->b.n_held);
	turn(o->loop, 100);
	assert_int_equal(o->b.n_held, 1);
	assert_int_equal(org_streams(&o->a, NULL, true), 8);
	/* nobody answers: all are refused, none is let in */
	for (size_t i = 0; i < 8; i++) {
		for (uint64_t end = clock_ms() + 8000; clock_ms() < end && !buf_has(&got, "remote-server-timeout");)
			raw_read(o, fd[i], &got);
		assert_true(buf_has(&got, "type='error'"));
		assert_true(buf_has(&got, "remote-server-timeout"));
		buf_clear(&got);
		close(fd[i]);
	}
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	assert_int_equal(o->a.seen.len, 0);
	buf_free(&got);
}

/* Who asked is gone: nobody needs the answer, and nobody is called any longer. */
static void test_receiver_gone(void **state)
{
	struct orgs *o = *state;
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true;
	int fd = raw_connect(&o->a);
	raw_send(fd, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
		     "xmlns:db='jabber:server:dialback' "
		     "from='b.test' to='a.test' version='1.0'><db:result from='b.test' to='a.test'>k</db:result>");
	UNTIL(o->loop, o->b.n_held);
	close(fd);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
}

/* A forged key: b is asked, and knows nothing of it. */
static void test_dialback_forged(void **state)
{
	struct orgs *o = *state;
	struct buf got;
	buf_init(&got, 1 << 20);
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	int fd = raw_connect(&o->a);
	raw_send(fd, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
		     "xmlns:db='jabber:server:dialback' "
		     "from='b.test' to='a.test' version='1.0'><db:result from='b.test' to='a.test'>0123456789abcdef</db:result>"
		     "<message from='u@b.test' to='v@a.test' id='1'><body>let me in</body></message>");
	for (int i = 0; i < 200 && !buf_has(&got, "</stream:stream>"); i++)
		raw_read(o, fd, &got);
	assert_true(buf_has(&got, "type='invalid'") || buf_has(&got, "not-authorized"));
	assert_int_equal(o->a.seen.len, 0);
	close(fd);
	buf_free(&got);
}

/* ---- not coming up */

static void expect(struct orgs *o, const char *id, const char *reason)
{
	char want[64];
	snprintf(want, sizeof want, "%s %s ", id, reason);
	UNTIL(o->loop, buf_has(&o->a.sent, want));
}

static void test_refused(void **state)
{
	struct orgs *o = *state;
	o->a.partner.server_port = 1; /* nobody listens there */
	org_publish(&o->a);
	org_send(&o->a, "b.test", "1");
	org_send(&o->a, "b.test", "2");
	expect(o, "1", "xmpp/unreachable");
	expect(o, "2", "xmpp/unreachable");
	assert_true(buf_has(&o->a.sent, "Connection refused")); /* the cause, not "no address" */
	assert_true(buf_has(&o->a.links, "down a.test b.test\n"));
	org_send(&o->a, "b.test", "3"); /* back-off: at once */
	assert_true(buf_has(&o->a.sent, "3 xmpp/unreachable "));
	assert_int_equal(org_streams(&o->a, "backoff", false), 1);
	assert_int_equal(org_streams(&o->a, "connecting", false), 0);
}

static void test_timeout(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	o->a.set.queue_ms = 300;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	uint64_t before = clock_ms();
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/unreachable");
	assert_true(clock_ms() - before >= 290);
	assert_true(buf_has(&o->a.sent, "did not come up in time"));
	/* what comes later gets its own time */
	before = clock_ms();
	org_send(&o->a, "b.test", "2");
	assert_false(buf_has(&o->a.sent, "2 "));
	expect(o, "2", "xmpp/unreachable");
	assert_true(clock_ms() - before >= 290);
}

static void test_certificate(void **state)
{
	static const char *const bad[] = {"wrong", "old", "self"};
	struct orgs *o = *state;
	o->a.partner.dialback = false;
	org_publish(&o->a);
	for (size_t i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof id, "%zu", i + 1);
		org_tls(&o->b, bad[i]);
		org_publish(&o->a); /* forgets the back-off */
		org_send(&o->a, "b.test", id);
		expect(o, id, "xmpp/certificate");
	}
	assert_true(buf_has(&o->a.sent, "expired"));
	assert_int_equal(o->b.seen.len, 0);
	/* and in: the same certificates are no proof either */
	org_send(&o->b, "a.test", "9");
	UNTIL(o->loop, buf_has(&o->b.sent, "9 xmpp/"));
	assert_int_equal(o->a.seen.len, 0);
}

static void test_no_tls_here(void **state)
{
	struct orgs *o = *state;
	xmpp_proxy_set_tls(o->a.proxy, NULL);
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/tls-failed");
	assert_true(buf_has(&o->a.sent, "tls.certificate"));
}

static void test_stranger(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "c.test", "1"); /* nobody is called */
	assert_true(buf_has(&o->a.sent, "1 policy/partner-unknown "));
	assert_int_equal(org_streams(&o->a, NULL, false), 0);
	o->b.partner.domain = SLICE_NONE; /* b does not know a */
	org_publish(&o->b);
	org_send(&o->a, "b.test", "2");
	expect(o, "2", "xmpp/stream-error");
	assert_true(buf_has(&journal, "policy-violation"));
}

static void test_backoff_ends(void **state)
{
	struct orgs *o = *state;
	uint16_t port = o->a.partner.server_port;
	o->a.partner.server_port = 1;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "1");
	expect(o, "1", "xmpp/unreachable");
	/* by time */
	turn(o->loop, 1300);
	org_send(&o->a, "b.test", "2");
	assert_false(buf_has(&o->a.sent, "2 "));
	expect(o, "2", "xmpp/unreachable");
	/* twice as long now; an inbound stream of the partner ends it */
	turn(o->loop, 700);
	org_send(&o->a, "b.test", "3");
	assert_true(buf_has(&o->a.sent, "3 xmpp/unreachable "));
	org_send(&o->b, "a.test", "4");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 4"));
	o->a.partner.server_port = port;
	struct org keep = o->a; /* publishing would end the back-off by itself */
	o->a.proxy = NULL;
	org_publish(&o->a);
	o->a.proxy = keep.proxy;
	org_send(&o->a, "b.test", "5");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 5"));
}

static void test_logged_once(void **state)
{
	struct orgs *o = *state;
	unsigned lines = 0;
	o->a.partner.server_port = 1;
	for (int i = 0; i < 20; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i + 1);
		org_publish(&o->a);
		org_send(&o->a, "b.test", id);
		expect(o, id, "xmpp/unreachable");
	}
	for (struct slice rest = buf_slice(&journal), line; rest.len && (line = slice_split(&rest, '\n')).p;)
		lines += slice_find(line, S("xmpp/link-failed")) >= 0;
	assert_int_equal(lines, 1);
}

/* ---- limits */

static void test_queue_full(void **state)
{
	struct orgs *o = *state;
	char id[8];
	o->b.hold = true;
	for (int i = 1; i <= 21; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
	}
	assert_true(buf_has(&o->a.sent, "21 limit/queue-full "));
	assert_int_equal(buf_lines(&o->a.sent), 1);
}

static void test_queue_octets(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send_octets(&o->a, "b.test", "1", 60000);
	org_send_octets(&o->a, "b.test", "2", 60000);
	org_send_octets(&o->a, "b.test", "3", 60000);
	assert_int_equal(o->a.sent.len, 0);
	org_send_octets(&o->a, "b.test", "4", 60000);
	assert_true(buf_has(&o->a.sent, "4 limit/queue-full "));
}

static void test_stanza_too_large(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	org_send_octets(&o->a, "b.test", "2", 70000); /* over our own limit */
	assert_true(buf_has(&o->a.sent, "2 limit/size "));
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	/* b takes less than a sends, and has said so: the stream lives on */
	o->b.set.max_stanza = 20000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send_octets(&o->b, "a.test", "4", 30000);
	UNTIL(o->loop, buf_has(&o->b.sent, "4 limit/size "));
}

static void test_partner_limit(void **state)
{
	struct orgs *o = *state;
	o->a.partner.connection_limit = 1;
	org_publish(&o->a);
	org_send(&o->b, "a.test", "1"); /* one in */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 1);
	org_send(&o->a, "b.test", "2"); /* so none out */
	expect(o, "2", "limit/connections");
	o->a.partner.connection_limit = 0;
	o->a.partner_limit = 2;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "3");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 2);
	/* a second one in is refused with a reason, and its stanzas do not pass */
	o->b.partner.enabled = false;
	org_publish(&o->b);
	UNTIL(o->loop, !org_streams(&o->b, NULL, false));
	UNTIL(o->loop, xmpp_quota_open(o->a.quota, S("b.test")) == 0);
	o->a.partner_limit = 1;
	o->b.partner.enabled = true;
	org_publish(&o->a);
	org_publish(&o->b);
	org_send(&o->a, "b.test", "4");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 4\n"));
	org_send(&o->b, "a.test", "5");
	UNTIL(o->loop, buf_has(&journal, "xmpp/stream-refused"));
	turn(o->loop, 50);
	assert_false(buf_has(&o->a.seen, "message 5\n"));
	assert_true(buf_has(&journal, "condition=resource-constraint"));
}

static void test_sender_rate(void **state)
{
	struct orgs *o = *state;
	o->a.set.sender_rate = 1; /* sixty at once */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	for (int i = 2; i <= 80; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->b, "a.test", id);
	}
	UNTIL(o->loop, buf_has(&o->b.seen, "v@a.test>u@b.test message 80\n")); /* the error came back */
	assert_in_range(buf_lines(&o->a.seen), 60, 63);
	assert_int_equal(buf_lines(&o->a.seen) + buf_lines(&o->b.seen), 80);
}

static void test_partner_rate(void **state)
{
	struct orgs *o = *state;
	o->a.set.partner_rate = 2; /* twenty at once */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.queue_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	for (int i = 2; i <= 19; i++)
		org_send(&o->b, "a.test", "5");
	UNTIL(o->loop, buf_lines(&o->a.seen) == 19);
	uint64_t before = clock_ms();
	org_send(&o->b, "a.test", "90");
	org_send(&o->b, "a.test", "91");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 91\n"));
	turn(o->loop, 5);
	org_send(&o->b, "a.test", "92"); /* read only when the debt is paid: half a second each */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 92\n"));
	assert_in_range(clock_ms() - before, 300, 3000);
	assert_int_equal(o->b.sent.len && buf_has(&o->b.sent, "limit"), 0);
}

/* Whoever takes the stanzas falls behind: the stream waits, and nothing is lost. */
static void test_busy(void **state)
{
	struct orgs *o = *state;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.busy_ms = 100;
	uint64_t before = clock_ms();
	for (int i = 2; i <= 5; i++) {
		char id[16];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->b, "a.test", id);
		snprintf(id, sizeof id, "message %d\n", i);
		UNTIL(o->loop, buf_has(&o->a.seen, id));
	}
	assert_in_range(clock_ms() - before, 280, 2000);
}

/* The partner's server stops reading: our memory does not grow, the senders hear of it. */
static void test_slow_reader(void **state)
{
	struct orgs *o = *state;
	char id[8];
	o->a.set.queue_ms = 500;
	o->a.set.acks = false; /* to see what is handed over */
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	/* b pays half a second for each of them */
	o->b.set.partner_rate = 1;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	for (int i = 0; i < 12; i++)
		org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&journal, "xmpp/partner-slowed"));
	unsigned full = 0, sent = 0;
	for (int i = 0; i < 400; i++) {
		snprintf(id, sizeof id, "%d", i + 100);
		buf_clear(&o->a.sent);
		org_send_octets(&o->a, "b.test", id, 60000);
		full += buf_has(&o->a.sent, "limit/queue-full");
		sent += buf_has(&o->a.sent, " none ");
		loop_once(o->loop, 0);
	}
	assert_true(full > 0);
	assert_true(sent > 3);
	buf_clear(&o->a.sent);
	UNTIL(o->loop, buf_has(&o->a.sent, "reads too slowly"));
	assert_int_equal(org_streams(&o->a, "open", false), 1); /* slow is not dead */
}

/* ---- changes of policy, keep-alive */

static void test_partner_removed(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n") && buf_has(&o->a.seen, "message 2\n"));
	o->a.partner.domain = SLICE_NONE;
	org_publish(&o->a);
	org_send(&o->a, "b.test", "3");
	assert_true(buf_has(&o->a.sent, "3 policy/partner-unknown "));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true) && !org_streams(&o->a, NULL, false));
	assert_true(buf_has(&journal, "no longer a partner"));
	assert_int_equal(xmpp_quota_open(o->a.quota, S("b.test")), 0);
}

/* Every ticket is answered, also of stanzas that nobody has acknowledged when the partner goes. */
static void test_removed_unacknowledged(void **state)
{
	struct orgs *o = *state;
	char id[8], want[64];
	o->a.set.acks = true;
	o->a.set.ack_wait_ms = 60000;
	o->a.set.queue_stanzas = 1000;
	o->a.set.queue_octets = 1 << 20;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	o->b.set.acks = true;
	o->b.set.partner_rate = 1; /* ten at once, then b hardly reads */
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	for (int i = 1; i <= 60; i++) {
		snprintf(id, sizeof id, "%d", i);
		org_send_octets(&o->a, "b.test", id, 10000);
		loop_once(o->loop, 0);
	}
	UNTIL(o->loop, buf_has(&journal, "xmpp/partner-slowed"));
	turn(o->loop, 50);
	assert_true(buf_lines(&o->a.sent) < 60);
	o->a.partner.enabled = false;
	org_publish(&o->a);
	turn(o->loop, 50);
	for (int i = 1; i <= 60; i++) {
		snprintf(want, sizeof want, "%d ", i);
		assert_true(buf_has(&o->a.sent, want));
	}
	assert_int_equal(buf_lines(&o->a.sent), 60);
	assert_true(buf_has(&o->a.sent, "60 policy/partner-disabled "));
}

static void test_removed_while_coming_up(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, o->b.n_held == 1);
	o->a.partner.enabled = false;
	org_publish(&o->a);
	assert_true(buf_has(&o->a.sent, "1 policy/partner-disabled "));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
}

static void test_rules_changed(void **state)
{
	struct orgs *o = *state;
	org_tls(&o->b, "self");
	org_send(&o->b, "a.test", "1"); /* by dialback */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.partner.description = S("something that does not matter");
	org_publish(&o->a);
	turn(o->loop, 50);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	o->a.partner.dialback = false; /* now only a certificate will do */
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	org_tls(&o->b, "b");
	org_publish(&o->b); /* forgets the back-off of the error */
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
}

static void test_silent_partner(void **state)
{
	struct orgs *o = *state;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 1\n"));
	o->a.set.silence_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_true(buf_has(&journal, "xmpp/stream-silent"));
	assert_false(buf_has(&o->b.links, "down")); /* an orderly end: nothing is lost */
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->a.seen, "message 2\n"));
	o->a.partner.keep_alive = false;
	org_publish(&o->a);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	org_send(&o->b, "a.test", "3"); /* this one was not promised to speak */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
	turn(o->loop, 500);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
}

static void test_idle(void **state)
{
	struct orgs *o = *state;
	o->a.set.idle_ms = 200;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	assert_false(buf_has(&o->a.links, "down"));
	/* a stanza that meets the closing stream opens the next one without waiting */
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	turn(o->loop, 195);
	for (int i = 3; i < 40; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		org_send(&o->a, "b.test", id);
		turn(o->loop, 5 + (unsigned)i % 7 * 40);
		snprintf(id, sizeof id, " %d\n", i);
		UNTIL(o->loop, buf_has(&o->b.seen, id));
	}
	assert_int_equal(buf_lines(&o->b.seen), 39);
}

/* The partner's server is restarted: after good service the next stanza calls again, without a back-off. */
static void test_partner_restart(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	timers_set_now(&o->loop->timers, o->loop->timers.now + 6000); /* it served for a while */
	o->b.partner.enabled = false;
	org_publish(&o->b);
	UNTIL(o->loop, buf_has(&o->a.links, "down a.test b.test\n"));
	o->b.partner.enabled = true;
	org_publish(&o->b);
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_int_equal(buf_lines(&o->a.links), 3); /* up, down, up */
}

static void test_new_certificate(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n"));
	org_tls(&o->b, "b2"); /* open streams stay */
	org_send(&o->a, "b.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 2\n"));
	assert_int_equal(org_streams(&o->b, "open", true), 1);
	org_send(&o->b, "a.test", "3"); /* new ones use it */
	UNTIL(o->loop, buf_has(&o->a.seen, "message 3\n"));
}

/* ---- the end */

static void on_drained(void *arg)
{
	((struct org *)arg)->drained++;
}

static void test_drain(void **state)
{
	struct orgs *o = *state;
	org_send(&o->a, "b.test", "1");
	org_send(&o->b, "a.test", "2");
	UNTIL(o->loop, buf_has(&o->b.seen, "message 1\n") && buf_has(&o->a.seen, "message 2\n"));
	xmpp_proxy_quiesce(o->a.proxy);
	org_send(&o->a, "b.test", "3"); /* what is under way may still go out */
	UNTIL(o->loop, buf_has(&o->b.seen, "message 3\n"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_true(buf_has(&journal, "condition=system-shutdown"));
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_int_equal(o->a.drained, 0);
	org_send(&o->a, "b.test", "4");
	assert_true(buf_has(&o->a.sent, "4 server/shutdown "));
	UNTIL(o->loop, o->a.drained);
	assert_int_equal(org_streams(&o->a, NULL, false), 0);
	turn(o->loop, 50);
	assert_int_equal(o->a.drained, 1);
	int fd = raw_connect(&o->a); /* nobody is let in any more */
	char c;
	turn(o->loop, 50);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
}

/* What came is finished and acknowledged before the good-bye; meanwhile nothing new is taken. */
static void test_drain_finishes(void **state)
{
	struct orgs *o = *state;
	o->b.set.ack_wait_ms = 60000;
	xmpp_proxy_set(o->b.proxy, &o->b.set);
	org_send(&o->b, "a.test", "10");
	UNTIL(o->loop, buf_has(&o->b.sent, "10 none \n"));
	o->a.keep = true;
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, o->a.n_receipts == 1);
	xmpp_proxy_quiesce(o->a.proxy);
	org_send(&o->b, "a.test", "2");
	turn(o->loop, 100);
	assert_int_equal(org_streams(&o->a, "open", true), 1);
	assert_false(buf_has(&o->a.seen, "message 2\n"));
	xmpp_proxy_done(o->a.proxy, &o->a.receipts[0]);
	UNTIL(o->loop, buf_has(&o->b.sent, "1 none \n2 xmpp/unreachable the stream ended before"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	assert_int_equal(o->a.n_receipts, 1);
	/* and what never gets done keeps nobody for ever */
	o->a.keep = false;
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	UNTIL(o->loop, o->a.drained);
}

static void test_drain_while_coming_up(void **state)
{
	struct orgs *o = *state;
	o->b.hold = true;
	org_send(&o->a, "b.test", "1");
	UNTIL(o->loop, o->b.n_held == 1);
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_true(buf_has(&o->a.sent, "1 server/shutdown "));
	UNTIL(o->loop, o->a.drained);
	assert_int_equal(o->a.drained, 1);
}

static void test_drain_nothing(void **state)
{
	struct orgs *o = *state;
	xmpp_proxy_drain(o->a.proxy, on_drained, &o->a);
	assert_int_equal(o->a.drained, 1);
}

/* Freed in every state: the sanitizers judge. */
static void test_free_anywhere(void **state)
{
	(void)state;
	for (int turns = 0; turns < 60; turns += 1 + turns / 8) {
		struct orgs o;
		orgs_setup(&o);
		org_tls(&o.a, "a");
		org_tls(&o.b, turns % 2 ? "self" : "b");
		org_send(&o.a, "b.test", "1");
		org_send(&o.b, "a.test", "2");
		for (int i = 0; i < turns; i++)
			loop_once(o.loop, 1);
		orgs_teardown(&o);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_external),
		{"S16 direct TLS with ALPN", test_direct, setup, teardown, NULL},
		T(test_direct_switched_off),
		{"S16 direct TLS meets something else", test_direct_mixed_up, setup, teardown, NULL},
		T(test_lost),
		T(test_receipts),
		T(test_abandoned),
		T(test_slow_acknowledgement),
		T(test_without_acknowledgements),
		T(test_many_unacknowledged),
		T(test_order),
		T(test_order_from_inside),
		T(test_dialback),
		T(test_one_question_per_name),
		T(test_receiver_gone),
		T(test_dialback_forged),
		T(test_refused),
		T(test_timeout),
		T(test_certificate),
		T(test_no_tls_here),
		T(test_stranger),
		T(test_backoff_ends),
		T(test_logged_once),
		T(test_queue_full),
		T(test_queue_octets),
		T(test_stanza_too_large),
		T(test_partner_limit),
		T(test_sender_rate),
		T(test_partner_rate),
		T(test_busy),
		T(test_slow_reader),
		T(test_partner_removed),
		T(test_removed_while_coming_up),
		T(test_removed_unacknowledged),
		T(test_rules_changed),
		T(test_silent_partner),
		T(test_idle),
		T(test_partner_restart),
		T(test_new_certificate),
		T(test_drain),
		T(test_drain_finishes),
		T(test_drain_while_coming_up),
		T(test_drain_nothing),
		cmocka_unit_test(test_free_anywhere),
	};
	return cmocka_run_group_tests_name("xmpp_proxy", tests, group_setup, group_teardown);
}
