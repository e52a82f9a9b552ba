/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

static void test_echo(void **state)
{
	(void)state;
	struct pair p = {.server.echo = true};
	pair_open(&p);
	pair_connect(&p, NULL);
	assert_int_equal(conn_write(p.client.c, S("too early")), ENTENTE_EAGAIN);
	assert_int_equal(p.client.connected, 0); /* never from inside the call */
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	assert_int_equal(conn_write(p.client.c, S("hello ")), 0);
	struct slice v[] = {S("wor"), SLICE_NONE, S("ld")};
	assert_int_equal(conn_writev(p.client.c, v, 3), 0);
	PAIR_UNTIL(&p, p.client.got.len == 11);
	assert_memory_equal(p.client.got.mem, "hello world", 11);
	assert_int_equal(p.server.data_calls, 1); /* both writes left as one */

	struct conn_facts f;
	conn_show(p.client.c, &f);
	assert_string_equal(f.state, "plain");
	assert_int_equal(f.out_octets, 11);
	assert_int_equal(f.out_wire, 11);
	assert_int_equal(f.in_octets, 11);
	assert_false(f.inbound);
	assert_true(addr_eq(&f.remote, listener_addr(p.listener)));
	assert_true(addr_is_loopback(&f.local) && addr_port(&f.local));

	conn_close(p.client.c);
	assert_int_equal(conn_write(p.client.c, S("x")), ENTENTE_ECLOSED);
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.client.closed, 0); /* the server has not closed its side */
	conn_close(p.server.c);
	PAIR_UNTIL(&p, p.client.closed && p.server.closed);
	assert_int_equal(p.client.why.code, ENTENTE_OK);
	assert_int_equal(p.server.why.code, ENTENTE_OK);
	conn_show(p.client.c, &f);
	assert_string_equal(f.state, "closed");
	pair_close(&p);
}

static void test_ipv6(void **state)
{
	(void)state;
	struct loop *l;
	struct listener_opts o = {.accepted = NULL};
	assert_true(addr_parse(S("[::1]:0"), 0, &o.addr));
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	struct listener *li;
	if (listener_new(&li, l, &o, NULL)) {
		loop_free(l);
		skip();
	}
	struct end e = {0};
	struct conn_opts co = {.ops = &end_ops, .owner = &e};
	listener_pause(li, true); /* the kernel completes the handshake alone */
	assert_int_equal(conn_connect(&e.c, l, listener_addr(li), &co, NULL), 0);
	for (int i = 0; i < 1000 && !e.connected; i++)
		loop_once(l, 1);
	assert_int_equal(e.connected, 1);
	conn_free(e.c);
	listener_free(li);
	loop_free(l);
}

static void test_leftovers(void **state)
{
	(void)state;
	struct pair p = {.server.take = 3};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("abcde"));
	PAIR_UNTIL(&p, p.server.got.len == 3);
	struct conn_facts f;
	conn_show(p.server.c, &f);
	assert_int_equal(f.in_held, 2);
	conn_write(p.client.c, S("f"));
	PAIR_UNTIL(&p, p.server.got.len == 6); /* "de" comes again in front of "f" */
	assert_memory_equal(p.server.got.mem, "abcdef", 6);
	conn_show(p.server.c, &f);
	assert_int_equal(f.in_held, 0);
	p.server.keep = true;
	conn_write(p.client.c, S("rest"));
	pair_turn(&p, 5);
	conn_shutdown(p.client.c);
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.server.eof_rest, 4);
	pair_close(&p);
}

static void test_message_too_large(void **state)
{
	(void)state;
	struct conn_limits small = CONN_LIMITS_DEFAULT;
	small.in_max = 1000;
	struct pair p = {.server.keep = true, .server_limits = &small};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	char junk[999] = {0};
	conn_write(p.client.c, slice_of(junk, sizeof junk));
	PAIR_UNTIL(&p, p.server.data_calls == 1);
	assert_int_equal(p.server.closed, 0);
	conn_write(p.client.c, S("!"));
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ELIMIT);
	pair_close(&p);
}

static void test_large_transfer(void **state)
{
	(void)state;
	struct conn_limits big = CONN_LIMITS_DEFAULT;
	big.out_max = 32 << 20;
	struct pair p = {.server.echo = true, .client_limits = &big, .server_limits = &big};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	size_t n = 8 << 20;
	char *data = mem_realloc(NULL, n);
	for (size_t i = 0; i < n; i++)
		data[i] = (char)(i * 31 >> 3);
	assert_int_equal(conn_write(p.client.c, slice_of(data, n)), 0);
	assert_true(conn_congested(p.client.c));
	PAIR_UNTIL(&p, p.client.got.len == n);
	assert_memory_equal(p.client.got.mem, data, n);
	assert_int_equal(p.client.drained, 1);
	mem_free(data);
	pair_close(&p);
}

static void fill(struct pair *p)
{
	static char chunk[16384];
	for (int i = 0; i < 4000 && !conn_congested(p->client.c); i++) {
		assert_int_equal(conn_write(p->client.c, slice_of(chunk, sizeof chunk)), 0);
		loop_once(p->loop, 0);
	}
	assert_true(conn_congested(p->client.c));
}

static void test_slow_reader(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_pause(p.server.c);
	conn_pause(p.server.c);
	fill(&p);
	pair_turn(&p, 20);
	assert_int_equal(p.client.drained, 0);
	assert_int_equal(p.server.got.len, 0);
	static char more[1 << 20];
	size_t queued = conn_queued(p.client.c);
	assert_int_equal(conn_write(p.client.c, slice_of(more, sizeof more)), ENTENTE_ELIMIT); /* as a whole */
	assert_int_equal(conn_queued(p.client.c), queued);
	conn_resume(p.server.c); /* counted: still paused */
	pair_turn(&p, 5);
	assert_int_equal(p.server.got.len, 0);
	conn_resume(p.server.c);
	struct conn_facts f;
	conn_show(p.client.c, &f);
	PAIR_UNTIL(&p, p.server.got.len == f.out_octets);
	PAIR_UNTIL(&p, p.client.drained == 1);
	assert_false(conn_congested(p.client.c));
	pair_close(&p);
}

static void pause_here(struct end *e, struct slice in)
{
	(void)in;
	if (e->data_calls == 1)
		conn_pause(e->c);
}

static void test_pause_inside_data(void **state)
{
	(void)state;
	struct pair p = {.server = {.on_data = pause_here, .take = 2}};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("abcdef"));
	conn_shutdown(p.client.c);
	PAIR_UNTIL(&p, p.server.got.len == 2);
	pair_turn(&p, 10);
	assert_int_equal(p.server.data_calls, 1);
	assert_int_equal(p.server.eof, 0); /* not before what is held has been seen */
	p.server.take = 0;
	conn_resume(p.server.c);
	assert_int_equal(p.server.data_calls, 1);
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.server.got.len, 6);
	assert_memory_equal(p.server.got.mem, "abcdef", 6);
	pair_close(&p);
}

static void test_half_close(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("question"));
	conn_shutdown(p.client.c);
	assert_int_equal(conn_write(p.client.c, S("x")), ENTENTE_ECLOSED);
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.server.got.len, 8);
	assert_int_equal(conn_write(p.server.c, S("answer")), 0);
	PAIR_UNTIL(&p, p.client.got.len == 6);
	assert_int_equal(p.client.closed + p.server.closed, 0);
	conn_close(p.server.c);
	PAIR_UNTIL(&p, p.server.closed && p.client.eof);
	conn_close(p.client.c);
	PAIR_UNTIL(&p, p.client.closed);
	assert_int_equal(p.client.why.code, ENTENTE_OK);
	pair_close(&p);
}

static void free_me(struct end *e, struct slice in)
{
	conn_free(e->c);
	e->c = NULL;
	assert_int_equal(in.p[in.len - 1], 'z'); /* input outlives the connection inside the call */
}

static void free_closed(struct end *e)
{
	e->c = conn_free(e->c);
}

static void free_now(struct end *e)
{
	e->c = conn_free(e->c);
}

static void close_me(struct end *e, struct slice in)
{
	(void)in;
	conn_write(e->c, S("bye"));
	conn_close(e->c);
}

static void test_free_in_callbacks(void **state)
{
	(void)state;
	for (int held = 0; held < 2; held++) {
		struct pair p = {.client.on_closed = free_closed};
		pair_open(&p);
		pair_connect(&p, NULL);
		PAIR_UNTIL(&p, p.client.connected && p.server.connected);
		if (held) { /* the input lies in the connection's own buffer */
			p.server.keep = true;
			conn_write(p.client.c, S("abc"));
			PAIR_UNTIL(&p, p.server.data_calls == 1);
			p.server.keep = false;
		}
		p.server.on_data = free_me;
		conn_write(p.client.c, S("xyz"));
		PAIR_UNTIL(&p, p.client.eof || p.client.closed);
		if (p.client.c)
			conn_close(p.client.c);
		PAIR_UNTIL(&p, p.client.closed);
		assert_null(p.client.c);
		assert_int_equal(p.server.closed, 0); /* no event after conn_free */
		pair_close(&p);
	}
	struct pair q = {.server.on_connected = free_now, .client.on_connected = free_now};
	pair_open(&q);
	pair_connect(&q, NULL);
	PAIR_UNTIL(&q, q.client.connected && q.server.connected);
	pair_close(&q);

	struct pair r = {.server.on_data = close_me};
	pair_open(&r);
	pair_connect(&r, NULL);
	PAIR_UNTIL(&r, r.client.connected && r.server.connected);
	conn_write(r.client.c, S("quit"));
	PAIR_UNTIL(&r, r.client.eof);
	assert_memory_equal(r.client.got.mem, "bye", 3);
	conn_close(r.client.c);
	PAIR_UNTIL(&r, r.client.closed && r.server.closed);
	pair_close(&r);
}

static void test_discard(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("last words"));
	conn_discard(p.client.c);
	p.client.c = NULL;
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.server.got.len, 10);
	struct loop_stats s;
	loop_stats(p.loop, &s);
	assert_int_equal(s.conns, 2); /* lingers until the server closes */
	conn_discard(p.server.c);
	p.server.c = NULL;
	for (int i = 0; i < 2000 && s.conns; i++) {
		loop_once(p.loop, 1);
		loop_stats(p.loop, &s);
	}
	assert_int_equal(s.conns, 0);
	assert_int_equal(p.client.closed + p.server.closed, 0);
	pair_close(&p);
}

static void test_linger_over(void **state)
{
	(void)state;
	struct conn_limits quick = CONN_LIMITS_DEFAULT;
	quick.linger_ms = 30;
	struct pair p = {.client_limits = &quick};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_close(p.client.c); /* the server never closes */
	uint64_t start = clock_ms();
	PAIR_UNTIL(&p, p.client.closed);
	assert_in_range(clock_ms() - start, 20, 2000);
	assert_int_equal(p.client.why.code, ENTENTE_OK);
	pair_close(&p);
}

static void test_refused(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	struct addr nobody = *listener_addr(p.listener);
	p.listener = listener_free(p.listener);
	struct conn_opts o = {.ops = &end_ops, .owner = &p.client};
	assert_int_equal(conn_connect(&p.client.c, p.loop, &nobody, &o, NULL), 0);
	assert_int_equal(p.client.closed, 0);
	PAIR_UNTIL(&p, p.client.closed);
	assert_int_equal(p.client.why.code, ENTENTE_ENET);
	assert_non_null(strstr(p.client.why.text, "refused"));
	assert_int_equal(p.client.connected, 0);
	pair_close(&p);
}

static void test_connect_timeout(void **state)
{
	(void)state;
	/* A listener whose backlog is full answers no more SYN. */
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int lfd = socket(AF_INET, SOCK_STREAM, 0), fill_fd[8];
	assert_int_equal(bind(lfd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(lfd, 0), 0);
	getsockname(lfd, (struct sockaddr *)&a, &n);
	for (int i = 0; i < 8; i++) {
		fill_fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill_fd[i], (struct sockaddr *)&a, sizeof a);
	}
	struct conn_limits quick = CONN_LIMITS_DEFAULT;
	quick.connect_ms = 60;
	struct pair p = {.client_limits = &quick};
	pair_open(&p);
	struct addr to;
	addr_from_sockaddr((struct sockaddr *)&a, &to);
	struct conn_opts o = {.ops = &end_ops, .owner = &p.client, .limits = &quick};
	assert_int_equal(conn_connect(&p.client.c, p.loop, &to, &o, NULL), 0);
	PAIR_UNTIL(&p, p.client.closed);
	assert_int_equal(p.client.why.code, ENTENTE_ETIMEOUT);
	/* and closing one that is still connecting needs no time-out */
	struct end e = {0};
	o.owner = &e;
	o.limits = NULL;
	assert_int_equal(conn_connect(&e.c, p.loop, &to, &o, NULL), 0);
	conn_close(e.c);
	PAIR_UNTIL(&p, e.closed);
	assert_int_equal(e.why.code, ENTENTE_OK);
	conn_free(e.c);
	for (int i = 0; i < 8; i++)
		close(fill_fd[i]);
	close(lfd);
	pair_close(&p);
}

static void test_idle(void **state)
{
	(void)state;
	struct conn_limits quick = CONN_LIMITS_DEFAULT;
	quick.idle_ms = 80;
	struct pair p = {.server_limits = &quick};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	uint64_t start = clock_ms();
	for (int i = 0; i < 4; i++) {
		pair_turn(&p, 40);
		conn_write(p.client.c, S(" "));
	}
	assert_int_equal(p.server.closed, 0);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ETIMEOUT);
	assert_true(clock_ms() - start >= 160 + 70);
	pair_close(&p);
}

static void test_reset(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	struct sockaddr_in a = listener_addr(p.listener)->v4;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	PAIR_UNTIL(&p, p.server.connected);
	struct linger hard = {1, 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	assert_int_equal(send(fd, "end", 3, 0), 3);
	close(fd);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ECLOSED);
	pair_close(&p);
}

static void count_conn(void *arg, struct conn *c)
{
	(void)c;
	++*(int *)arg;
}

static void test_loop_free_with_connections(void **state)
{
	(void)state;
	struct pair p = {0};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	int n = 0;
	conn_each(p.loop, count_conn, &n);
	assert_int_equal(n, 2);
	assert_true(conn_id(p.client.c) != conn_id(p.server.c));
	conn_discard(p.client.c);
	p.client.c = p.server.c = NULL; /* the loop frees both */
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_message_too_large),
		cmocka_unit_test(test_large_transfer),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_pause_inside_data),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_free_in_callbacks),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_linger_over),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_loop_free_with_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
