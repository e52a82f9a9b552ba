/* SPDX-License-Identifier: Apache-2.0 */
/* The dialer with DNS of the test's making and real TCP on 127.0.0.0/8: which address, when, and what DNSSEC says of it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "edge/dialer.h"
#include "fakedns.h"

static struct worker self;

/* ---- places to connect to */

static uint16_t port; /* the same everywhere */

static int listener(const char *address, int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof a;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, address, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, backlog), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	port = ntohs(a.sin_port);
	return fd;
}

/* One that takes no more connections and answers nothing: its queue is full. */
struct hole {
	int fd, fill[3];
};

static struct hole hole(const char *address)
{
	struct hole h = {.fd = listener(address, 0)};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, address, &a.sin_addr);
	for (int i = 0; i < 3; i++) {
		h.fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(h.fill[i], (struct sockaddr *)&a, sizeof a);
	}
	return h;
}

static void hole_close(struct hole *h)
{
	close(h->fd);
	for (int i = 0; i < 3; i++)
		close(h->fill[i]);
}

static unsigned accepted(int fd)
{
	unsigned n = 0;
	for (int c; (c = accept(fd, NULL, NULL)) >= 0; n++)
		close(c);
	return n;
}

/* ---- one who dials */

struct caller {
	struct dialer *d;
	struct conn *c;
	char text[4096];    /* addresses and hosts, in order */
	uint64_t first;     /* when the first came */
	struct entente_err err;
	bool over, go_on;   /* go_on: no address is good enough */
	char how[512];
	size_t n_tlsa;
	char delegate[256];
};

static size_t ignore(struct conn *c, struct slice in)
{
	(void)c;
	return in.len;
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct caller *x = conn_owner(c);
	(void)why;
	x->c = conn_free(c);
}

static const struct conn_ops taken = {.data = ignore, .closed = closed};

static void note(struct caller *x, const struct addr *to, struct slice host)
{
	char z[ADDR_TEXT];
	const struct tls_tlsa *t;
	addr_host_text(to, z);
	snprintf(x->text + strlen(x->text), sizeof x->text - strlen(x->text), "%s=%.*s ", z, SFMT(host));
	if (!x->first)
		x->first = clock_ms();
	snprintf(x->how, sizeof x->how, "%s", dialer_how(x->d));
	x->n_tlsa = dialer_tlsa(x->d, &t);
	slice_cstr(dialer_delegate(x->d), x->delegate, sizeof x->delegate);
}

static void on_connected(void *arg, struct conn *c, struct slice host)
{
	struct caller *x = arg;
	struct entente_err err = {.code = ENTENTE_ETLS, .reason = REASON_XMPP_TLS, .text = "TLS failed"};
	note(x, conn_remote(c), host);
	if (x->go_on) {
		conn_free(c);
		dialer_failed(x->d, &err);
		dialer_next(x->d);
		return;
	}
	x->c = c;
	x->over = true;
	conn_set_ops(c, &taken, x);
}

static void on_address(void *arg, const struct addr *to, struct slice host)
{
	struct caller *x = arg;
	note(x, to, host);
	if (x->go_on)
		dialer_next(x->d);
	else
		x->over = true;
}

static void on_exhausted(void *arg, const struct entente_err *err)
{
	struct caller *x = arg;
	x->err = *err;
	x->over = true;
}

static const struct dialer_ops racing = {.connected = on_connected, .exhausted = on_exhausted},
			       asking = {.address = on_address, .exhausted = on_exhausted};

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		for (uint64_t end_ = clock_ms() + 15000; !(cond) && clock_ms() < end_;)            \
			loop_once(self.loop, 2);                                                   \
		assert_true(cond);                                                                 \
	} while (0)

static void begin(struct caller *x, const struct dialer_ops *ops, struct dialer_target t)
{
	t.domain = S("d.test");
	t.private_addresses = true;
	t.direct = true;
	x->d = dialer_new(&self, NULL, &t, ops, x);
	loop_once(self.loop, 1); /* the loop's clock is now */
	dialer_next(x->d);
}

static void end(struct caller *x)
{
	conn_free(x->c);
	x->d = dialer_free(x->d);
}

static struct caller ask(bool dane)
{
	static struct caller x;
	x = (struct caller){.go_on = true};
	begin(&x, &asking, (struct dialer_target){.dane = dane});
	UNTIL(x.over);
	end(&x);
	return x;
}

static void one_server(const char *address)
{
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, port, "x.d.test");
	if (address)
		fakedns_addr("x.d.test", address);
}

static int group_setup(void **state)
{
	(void)state;
	return loop_new(&self.loop, NULL, NULL);
}

static int group_teardown(void **state)
{
	(void)state;
	loop_free(self.loop);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	fakedns_reset(false);
	port = 0;
	return 0;
}

/* ---- S17: which servers, in which order */

static void s17_order_mixes_direct_and_starttls(void **state)
{
	(void)state;
	fakedns_srv("_xmpp-server._tcp.d.test", 10, 0, 5269, "b.d.test");
	fakedns_srv("_xmpps-server._tcp.d.test", 5, 0, 443, "a.d.test");
	fakedns_srv("_xmpps-server._tcp.d.test", 20, 0, 5270, "c.d.test");
	fakedns_addr("a.d.test", "192.0.2.1");
	fakedns_addr("b.d.test", "192.0.2.2");
	fakedns_addr("c.d.test", "192.0.2.3");
	struct caller x = ask(false);
	assert_string_equal(x.text, "192.0.2.1=a.d.test 192.0.2.2=b.d.test 192.0.2.3=c.d.test ");
	assert_non_null(strstr(x.how, "srv 20 0 c.d.test:5270 direct"));
}

static void s17_weights(void **state)
{
	unsigned first = 0;
	(void)state;
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 90, 5269, "a.d.test");
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 10, 5269, "b.d.test");
	fakedns_addr("a.d.test", "192.0.2.1");
	fakedns_addr("b.d.test", "192.0.2.2");
	for (int i = 0; i < 300; i++)
		first += ask(false).text[8] == '1';
	assert_in_range(first, 225, 297); /* 270 expected; five standard deviations are 26 */
}

static void s17_dot_means_no_service(void **state)
{
	(void)state;
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, 0, "");
	fakedns_srv("_xmpps-server._tcp.d.test", 0, 0, 0, "");
	fakedns_addr("d.test", "192.0.2.9");
	struct caller x = ask(false);
	assert_string_equal(x.text, "");
	assert_int_equal(x.err.reason, REASON_XMPP_DNS);
	fakedns_reset(false); /* only direct TLS is not there */
	fakedns_srv("_xmpps-server._tcp.d.test", 0, 0, 0, "");
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, 5269, "x.d.test");
	fakedns_addr("x.d.test", "192.0.2.1");
	assert_string_equal(ask(false).text, "192.0.2.1=x.d.test ");
}

static void s17_no_fallback_when_srv_answered(void **state)
{
	(void)state;
	int fd = listener("127.0.0.1", 5); /* the domain's own address would do */
	fakedns_addr("d.test", "127.0.0.1");
	one_server(NULL);
	fakedns_addr("x.d.test", "127.0.0.2");
	struct caller x = {0};
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_int_equal(x.err.reason, REASON_XMPP_UNREACHABLE);
	assert_non_null(strstr(x.err.text, "127.0.0.2"));
	assert_int_equal(accepted(fd), 0);
	end(&x);
	assert_int_equal(fakedns_asked("d.test", DNS_A), 0);
	close(fd);
}

static void s17_fallback_without_srv(void **state)
{
	(void)state;
	fakedns_addr("d.test", "192.0.2.7");
	struct caller x = ask(false);
	assert_string_equal(x.text, "192.0.2.7=d.test ");
	assert_string_equal(x.how, "fallback d.test:5269");
}

/* The next server also when TCP was fine and TLS was not. */
static void s17_next_server_after_tls_failed(void **state)
{
	(void)state;
	int a = listener("127.0.0.1", 5), b = listener("127.0.0.2", 5);
	fakedns_srv("_xmpp-server._tcp.d.test", 1, 0, port, "a.d.test");
	fakedns_srv("_xmpp-server._tcp.d.test", 2, 0, port, "b.d.test");
	fakedns_addr("a.d.test", "127.0.0.1");
	fakedns_addr("b.d.test", "127.0.0.2");
	struct caller x = {.go_on = true};
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_string_equal(x.text, "127.0.0.1=a.d.test 127.0.0.2=b.d.test ");
	assert_string_equal(x.err.text, "TLS failed");
	end(&x);
	close(a);
	close(b);
}

static void s17_sixteen_servers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		char host[32];
		snprintf(host, sizeof host, "h%u.d.test", i);
		fakedns_srv("_xmpp-server._tcp.d.test", i, 0, 5269, host);
	}
	struct caller x = ask(false); /* none has an address */
	unsigned asked = 0;
	for (unsigned i = 0; i < 30; i++) {
		char host[32];
		snprintf(host, sizeof host, "h%u.d.test", i);
		asked += fakedns_asked(host, DNS_A);
	}
	assert_int_equal(asked, 16);
	assert_int_equal(x.err.reason, REASON_XMPP_DNS);
}

static void s17_aliases(void **state)
{
	(void)state;
	one_server("192.0.2.1");
	fakedns("_xmpp-server._tcp.d.test", DNS_SRV)->records[0].srv.port = 5269;
	fakedns("x.d.test", DNS_A)->cnames = DIALER_CNAMES;
	assert_string_equal(ask(false).text, "192.0.2.1=x.d.test ");
	fakedns("x.d.test", DNS_A)->cnames = DIALER_CNAMES + 1;
	struct caller x = ask(false);
	assert_string_equal(x.text, "");
	assert_non_null(strstr(x.err.text, "CNAME"));
}

static void s17_ports_of_others(void **state)
{
	(void)state;
	fakedns_srv("_xmpp-server._tcp.d.test", 1, 0, 25, "x.d.test");
	fakedns_addr("x.d.test", "192.0.2.1");
	struct caller x = ask(false);
	assert_string_equal(x.text, "");
	assert_non_null(strstr(x.err.text, "25 belongs to another service"));
	fakedns_srv("_xmpp-server._tcp.d.test", 2, 0, 443, "x.d.test");
	assert_string_equal(ask(false).text, "192.0.2.1=x.d.test ");
}

/* ---- RFC 8305 */

static void families_take_turns(void **state)
{
	(void)state;
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, 5269, "x.d.test");
	fakedns_addr("x.d.test", "192.0.2.1");
	fakedns_addr("x.d.test", "192.0.2.2");
	fakedns_addr("x.d.test", "192.0.2.3");
	fakedns_addr("x.d.test", "2001:db8::1");
	fakedns_addr("x.d.test", "2001:db8::2");
	for (int i = 0; i < 2; i++) { /* whichever answers first */
		fakedns("x.d.test", i ? DNS_A : DNS_AAAA)->delay_ms = 20;
		fakedns("x.d.test", i ? DNS_AAAA : DNS_A)->delay_ms = 0;
		assert_string_equal(ask(false).text, "2001:db8::1=x.d.test 192.0.2.1=x.d.test 2001:db8::2=x.d.test 192.0.2.2=x.d.test "
						     "192.0.2.3=x.d.test ");
	}
}

static unsigned open_conns;

static void count(void *arg, struct conn *c)
{
	(void)arg, (void)c;
	open_conns++;
}

/* A silent address delays the next one by a quarter of a second, not by the time of a connection; then the loser goes. */
static void silence_is_overtaken(void **state)
{
	(void)state;
	struct hole h = hole("127.0.0.1");
	int good = listener("127.0.0.2", 5);
	one_server("127.0.0.1");
	fakedns_addr("x.d.test", "127.0.0.2");
	struct caller x = {0};
	uint64_t t0 = clock_ms();
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_string_equal(x.text, "127.0.0.2=x.d.test ");
	assert_true(x.first - t0 >= DIALER_STAGGER_MS - 10);
	assert_true(x.first - t0 < 1000 * 9); /* CONN_LIMITS_DEFAULT waits 10 s for TCP */
	open_conns = 0;
	conn_each(self.loop, count, NULL);
	assert_int_equal(open_conns, 1);
	end(&x);
	hole_close(&h);
	close(good);
}

/* A refusal is an answer: the next one follows at once. */
static void refusal_is_an_answer(void **state)
{
	(void)state;
	int good = listener("127.0.0.9", 5);
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, port, "x.d.test");
	for (int i = 1; i < 8; i++) {
		char ip[16];
		snprintf(ip, sizeof ip, "127.0.0.%d", i);
		fakedns_addr("x.d.test", ip);
	}
	fakedns_addr("x.d.test", "127.0.0.9");
	struct caller x = {0};
	uint64_t t0 = clock_ms();
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_string_equal(x.text, "127.0.0.9=x.d.test ");
	assert_true(x.first - t0 < 7 * DIALER_STAGGER_MS);
	end(&x);
	close(good);
}

static void slow_family_is_not_awaited(void **state)
{
	(void)state;
	int good = listener("127.0.0.1", 5);
	one_server("127.0.0.1");
	fakedns("x.d.test", DNS_AAAA)->delay_ms = 8000;
	struct caller x = {0};
	uint64_t t0 = clock_ms();
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_true(x.first - t0 < 7000);
	end(&x);
	close(good);
}

/* It may still be the better one. */
static void late_family_is_used(void **state)
{
	(void)state;
	one_server("127.0.0.1"); /* nobody listens */
	port = 1;
	int good = 0;
	port = 0;
	good = listener("127.0.0.2", 5);
	fakedns("_xmpp-server._tcp.d.test", DNS_SRV)->records[0].srv.port = port;
	fakedns("x.d.test", DNS_AAAA)->delay_ms = 400;
	struct fakedns *late = fakedns("x.d.test", DNS_AAAA);
	assert_true(addr_parse(S("127.0.0.2"), 0, &late->records[late->n++].addr)); /* IPv6 may not be there */
	struct caller x = {0};
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_string_equal(x.text, "127.0.0.2=x.d.test ");
	end(&x);
	close(good);
}

static void tries_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		char host[32], ip[32];
		snprintf(host, sizeof host, "h%u.d.test", i);
		fakedns_srv("_xmpp-server._tcp.d.test", i, 0, 5999, host);
		for (unsigned k = 0; k < 4; k++) {
			snprintf(ip, sizeof ip, "127.9.%u.%u", i, k + 1);
			fakedns_addr(host, ip);
		}
	}
	struct caller x = {.go_on = true};
	begin(&x, &racing, (struct dialer_target){0});
	UNTIL(x.over);
	assert_int_equal(x.err.reason, REASON_XMPP_UNREACHABLE);
	assert_int_equal(fakedns_asked("h2.d.test", DNS_A), 1);
	assert_int_equal(fakedns_asked("h3.d.test", DNS_A), 0); /* twelve tries are over */
	end(&x);
}

static void freed_at_any_time(void **state)
{
	(void)state;
	struct hole h = hole("127.0.0.1");
	int good = listener("127.0.0.2", 64);
	one_server("127.0.0.1");
	fakedns_addr("x.d.test", "127.0.0.2");
	fakedns("x.d.test", DNS_AAAA)->delay_ms = 30;
	struct pace *pace = pace_new();
	for (int i = 0; i < 60; i++) {
		struct caller x = {0};
		begin(&x, &racing, (struct dialer_target){.pace = pace});
		for (uint64_t until = clock_ms() + (uint64_t)i * 6; clock_ms() < until && !x.over;)
			loop_once(self.loop, 1);
		end(&x);
		accepted(good);
	}
	for (int i = 0; i < 20; i++)
		loop_once(self.loop, 1);
	assert_int_equal(pace_busy(pace), 0);
	open_conns = 0;
	conn_each(self.loop, count, NULL);
	assert_int_equal(open_conns, 0);
	pace_unref(pace);
	hole_close(&h);
	close(good);
}

/* ---- S28: servers have short backlogs */

static unsigned connected_of(const struct caller *x, size_t n)
{
	unsigned k = 0;
	for (size_t i = 0; i < n; i++)
		k += x[i].c != NULL;
	return k;
}

static void s28_four_at_a_time(void **state)
{
	enum { N = 12 };
	static struct caller x[N];
	int taken_up[N];
	(void)state;
	int fd = listener("127.0.0.1", 5); /* as ejabberd 23.01 */
	one_server("127.0.0.1");
	struct pace *pace = pace_new();
	memset(x, 0, sizeof x);
	for (size_t i = 0; i < N; i++)
		begin(&x[i], &racing, (struct dialer_target){.pace = pace});
	UNTIL(connected_of(x, N) == PACE_PLACES);
	for (uint64_t until = clock_ms() + 300; clock_ms() < until;)
		loop_once(self.loop, 5);
	assert_int_equal(connected_of(x, N), PACE_PLACES); /* the server has said nothing yet */
	assert_int_equal(pace_busy(pace), N);
	for (unsigned i = 0; i < N; i++) {
		UNTIL(x[i].c);
		taken_up[i] = accept(fd, NULL, NULL);
		dialer_heard(x[i].d); /* it has: one more may come */
		unsigned most = i + 1 + PACE_PLACES < N ? i + 1 + PACE_PLACES : N;
		UNTIL(connected_of(x, N) == most);
	}
	for (size_t i = 0; i < N; i++) {
		end(&x[i]);
		close(taken_up[i]);
	}
	assert_int_equal(pace_busy(pace), 0);
	pace_unref(pace);
	close(fd);
}

static void s28_silent_server_does_not_block_for_ever(void **state)
{
	enum { N = 6 };
	static struct caller x[N];
	(void)state;
	int fd = listener("127.0.0.1", 16);
	one_server("127.0.0.1");
	struct pace *pace = pace_new();
	memset(x, 0, sizeof x);
	uint64_t t0 = clock_ms();
	for (size_t i = 0; i < N; i++)
		begin(&x[i], &racing, (struct dialer_target){.pace = pace});
	UNTIL(connected_of(x, N) == N);
	assert_true(clock_ms() - t0 >= PACE_HOLD_MS - 50);
	for (size_t i = 0; i < N; i++)
		end(&x[i]);
	pace_unref(pace);
	close(fd);
}

static void s28_other_servers_are_not_concerned(void **state)
{
	enum { N = 10 };
	static struct caller x[N];
	(void)state;
	int a = listener("127.0.0.1", 16), b = listener("127.0.0.2", 16);
	one_server("127.0.0.1");
	struct pace *pace = pace_new();
	memset(x, 0, sizeof x);
	for (size_t i = 0; i < N - 1; i++)
		begin(&x[i], &racing, (struct dialer_target){.pace = pace});
	UNTIL(connected_of(x, N) == PACE_PLACES);
	begin(&x[N - 1], &racing, (struct dialer_target){.pace = pace, .host = S("127.0.0.2"), .port = port});
	UNTIL(x[N - 1].c);
	assert_int_equal(connected_of(x, N - 1), PACE_PLACES);
	for (size_t i = 0; i < N; i++)
		end(&x[i]);
	pace_unref(pace);
	close(a);
	close(b);
}

/* ---- DNSSEC */

static const char key[32] = "0123456789abcdef0123456789abcdef";

static void secure_server(void)
{
	fakedns_reset(true);
	fakedns_srv("_xmpp-server._tcp.d.test", 0, 0, 5269, "x.d.test");
	fakedns_addr("x.d.test", "192.0.2.1");
}

static void dane_records_come_along(void **state)
{
	(void)state;
	secure_server();
	fakedns_tlsa("_5269._tcp.x.d.test", 3, 1, 1, key, sizeof key);
	fakedns_tlsa("_5269._tcp.x.d.test", 2, 0, 1, key, sizeof key);
	struct caller x = ask(true);
	assert_string_equal(x.text, "192.0.2.1=x.d.test ");
	assert_int_equal(x.n_tlsa, 2);
	assert_string_equal(x.how, "srv 0 0 x.d.test:5269 dnssec tlsa");
	assert_string_equal(x.delegate, "x.d.test");
	x = ask(false); /* switched off */
	assert_int_equal(x.n_tlsa, 0);
	assert_int_equal(fakedns_asked("_5269._tcp.x.d.test", DNS_TLSA), 1);
}

/* One insecure link, and nothing behind it counts; nor may it do harm. */
static void dane_needs_all_of_it_secure(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		secure_server();
		fakedns_tlsa("_5269._tcp.x.d.test", 3, 1, 1, key, sizeof key);
		fakedns(i == 0 ? "_xmpp-server._tcp.d.test" : i == 1 ? "x.d.test" : "_5269._tcp.x.d.test",
			i == 0 ? DNS_SRV : i == 1 ? DNS_A : DNS_TLSA)->secure = false;
		struct caller x = ask(true);
		assert_string_equal(x.text, "192.0.2.1=x.d.test ");
		assert_int_equal(x.n_tlsa, 0);
		assert_string_equal(x.delegate, i == 0 ? "" : "x.d.test");
		assert_int_equal(fakedns_asked("_5269._tcp.x.d.test", DNS_TLSA), i == 2);
	}
}

static void dane_missing_is_plain(void **state)
{
	(void)state;
	secure_server();
	struct caller x = ask(true);
	assert_string_equal(x.text, "192.0.2.1=x.d.test ");
	assert_int_equal(x.n_tlsa, 0);
	fakedns_fail("_5269._tcp.x.d.test", DNS_TLSA, DNS_NODATA);
	assert_string_equal(ask(true).text, "192.0.2.1=x.d.test ");
}

/* Whoever can break an answer gains nothing: that server is not used at all. */
static void dane_bogus_refuses_the_server(void **state)
{
	(void)state;
	static const enum dns_status bad[] = {DNS_BOGUS, DNS_SERVFAIL, DNS_TIMEOUT};
	for (size_t i = 0; i < 3; i++) {
		secure_server();
		fakedns_fail("_5269._tcp.x.d.test", DNS_TLSA, bad[i]);
		struct caller x = ask(true);
		assert_string_equal(x.text, "");
		assert_int_equal(x.err.reason, bad[i] == DNS_BOGUS ? REASON_XMPP_DNSSEC : REASON_XMPP_DNS_FAILED);
		assert_non_null(strstr(x.err.text, "TLSA look-up of x.d.test"));
		fakedns_srv("_xmpp-server._tcp.d.test", 1, 0, 5269, "y.d.test"); /* another may be in order */
		fakedns_addr("y.d.test", "192.0.2.2");
		assert_string_equal(ask(true).text, "192.0.2.2=y.d.test ");
	}
}

/* A bogus answer for one family must not make the other one's records vanish. */
static void dane_survives_a_bogus_family(void **state)
{
	(void)state;
	secure_server();
	fakedns_tlsa("_5269._tcp.x.d.test", 3, 1, 1, key, sizeof key);
	fakedns_fail("x.d.test", DNS_AAAA, DNS_BOGUS);
	struct caller x = ask(true);
	assert_string_equal(x.text, "192.0.2.1=x.d.test ");
	assert_int_equal(x.n_tlsa, 1);
}

static void bogus_addresses_and_srv(void **state)
{
	(void)state;
	secure_server();
	fakedns_fail("x.d.test", DNS_A, DNS_BOGUS);
	struct caller x = ask(true);
	assert_int_equal(x.err.reason, REASON_XMPP_DNSSEC);
	fakedns_reset(true);
	fakedns_fail("_xmpp-server._tcp.d.test", DNS_SRV, DNS_BOGUS);
	fakedns_fail("_xmpps-server._tcp.d.test", DNS_SRV, DNS_BOGUS);
	fakedns_addr("d.test", "192.0.2.9");
	x = ask(true);
	assert_string_equal(x.text, ""); /* no falling back to what nobody vouches for */
	assert_int_equal(x.err.reason, REASON_XMPP_DNSSEC);
}

static void dane_follows_aliases(void **state)
{
	(void)state;
	secure_server();
	struct fakedns *a = fakedns("x.d.test", DNS_A);
	a->cnames = 1;
	a->canonical = "real.host.test";
	fakedns_tlsa("_5269._tcp.real.host.test", 3, 1, 1, key, sizeof key);
	assert_int_equal(ask(true).n_tlsa, 1);
	assert_int_equal(fakedns_asked("_5269._tcp.x.d.test", DNS_TLSA), 0);
	fakedns_reset(true); /* none there: at the name itself */
	secure_server();
	a = fakedns("x.d.test", DNS_A);
	a->cnames = 1;
	a->canonical = "real.host.test";
	fakedns_tlsa("_5269._tcp.x.d.test", 3, 1, 1, key, sizeof key);
	assert_int_equal(ask(true).n_tlsa, 1);
}

static void dane_of_the_domain_itself(void **state)
{
	(void)state;
	fakedns_reset(true); /* no SRV record, and DNSSEC says so */
	fakedns_addr("d.test", "192.0.2.1");
	fakedns_tlsa("_5269._tcp.d.test", 3, 1, 1, key, sizeof key);
	struct caller x = ask(true);
	assert_int_equal(x.n_tlsa, 1);
	assert_string_equal(x.delegate, "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(s17_order_mixes_direct_and_starttls),
		T(s17_weights),
		T(s17_dot_means_no_service),
		T(s17_no_fallback_when_srv_answered),
		T(s17_fallback_without_srv),
		T(s17_next_server_after_tls_failed),
		T(s17_sixteen_servers),
		T(s17_aliases),
		T(s17_ports_of_others),
		T(families_take_turns),
		T(silence_is_overtaken),
		T(refusal_is_an_answer),
		T(slow_family_is_not_awaited),
		T(late_family_is_used),
		T(tries_are_bounded),
		T(freed_at_any_time),
		T(s28_four_at_a_time),
		T(s28_silent_server_does_not_block_for_ever),
		T(s28_other_servers_are_not_concerned),
		T(dane_records_come_along),
		T(dane_needs_all_of_it_secure),
		T(dane_missing_is_plain),
		T(dane_bogus_refuses_the_server),
		T(dane_survives_a_bogus_family),
		T(bogus_addresses_and_srv),
		T(dane_follows_aliases),
		T(dane_of_the_domain_itself),
	};
	return cmocka_run_group_tests_name("race", tests, group_setup, group_teardown);
}
