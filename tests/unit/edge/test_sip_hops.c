/* SPDX-License-Identifier: Apache-2.0 */
/* A home with several next hops: which one is used, and how it is found out that one is gone. */
#include "site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/sip_stream.h"

static int setup(void **state)
{
	struct site *s = MEM_NEW(struct site);
	if (!getenv("SHOW_LOG"))
		log_set_level(LOG_ERROR);
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

static const char *uri(unsigned port, const char *transport)
{
	static char ring[8][64];
	static unsigned next;
	char *z = ring[next++ % 8];
	snprintf(z, sizeof ring[0], "sip:127.0.0.1:%u;transport=%s", port, transport);
	return z;
}

static int homes(struct site *s, const char *first, const char *second, enum sip_edge_probe probe, struct entente_err *err)
{
	struct slice further = slice_str(second);
	struct sip_edge_home h = {.name = S("first"), .next_hop = slice_str(first), .further = &further, .n_further = 1, .probe = probe};
	return sip_edge_set_homes(s->edge, &h, 1, err);
}

/* Asks until an answer has come; ms that it took. */
static uint64_t asked(struct site *s, const char *id)
{
	uint64_t began = clock_ms();
	char key[32];
	site_ask(s, id);
	snprintf(key, sizeof key, "%s ", id);
	UNTIL(s->loop, buf_has(&s->done, key));
	snprintf(key, sizeof key, "%s 200\n", id);
	assert_true(buf_has(&s->done, key));
	return clock_ms() - began;
}

static unsigned dead_port(struct site *s)
{
	struct base b = {0};
	base_open(&b, s, 0);
	unsigned port = base_port(&b);
	base_close(&b);
	return port;
}

static void test_dead(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base b = {.answer = true};
	base_open(&b, s, 0);
	assert_int_equal(homes(s, uri(dead_port(s), "tcp"), uri(base_port(&b), "tcp"), 0, &err), 0);
	assert_in_range(asked(s, "1"), 0, 1000);
	assert_string_equal(site_state(s), "up");
	base_close(&b);
}

/* SYNs that are not answered: the queue of the first is full. */
static void test_black_hole(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base b = {.answer = true};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd[4];
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd[0], (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd[0], 0), 0);
	getsockname(fd[0], (struct sockaddr *)&a, &len);
	for (int i = 1; i < 4; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd[i], (struct sockaddr *)&a, sizeof a);
	}
	s->set.connect_ms = 60000;
	sip_edge_set(s->edge, &s->set);
	base_open(&b, s, 0);
	assert_int_equal(homes(s, uri(ntohs(a.sin_port), "tcp"), uri(base_port(&b), "tcp"), 0, &err), 0);
	assert_in_range(asked(s, "1"), 0, 5000);
	base_close(&b);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

/* The one in use hangs: it used to answer pings, and neither answers one nor the request. */
static void test_hangs(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base a = {.answer = true, .pong = true}, b = {.answer = true, .pong = true};
	base_open(&a, s, 0);
	base_open(&b, s, 0);
	assert_int_equal(homes(s, uri(base_port(&a), "tcp"), uri(base_port(&b), "tcp"), 0, &err), 0);
	UNTIL(s->loop, a.n && buf_has(&a.peers[0].got, "\r\n\r\n")); /* asked at once whether it knows pings */
	asked(s, "1");
	assert_int_equal(b.n, 0);
	a.peers[0].answer = a.peers[0].pong = false;
	a.answer = a.pong = false;
	site_ask(s, "2");
	UNTIL(s->loop, buf_has(&s->done, "2 2\n")); /* lost: its sender is told, and soon */
	UNTIL(s->loop, b.n == 1);
	assert_in_range(asked(s, "3"), 0, 1000);
	assert_int_equal(a.n, 1);
	base_close(&a);
	base_close(&b);
}

static void test_options(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base a = {.answer = true}, b = {.answer = true};
	s->set.keepalive_ms = 200;
	sip_edge_set(s->edge, &s->set);
	base_open(&a, s, 0);
	base_open(&b, s, 0);
	assert_int_equal(homes(s, uri(base_port(&a), "tcp"), uri(base_port(&b), "tcp"), SIP_EDGE_PROBE_OPTIONS, &err), 0);
	UNTIL(s->loop, a.n && buf_has(&a.peers[0].got, "OPTIONS sip:127.0.0.1"));
	asked(s, "1");
	assert_false(buf_has(&a.peers[0].got, "\r\n\r\n\r\n")); /* no pings between */
	a.peers[0].answer = false;
	UNTIL(s->loop, b.n == 1);
	asked(s, "2");
	UNTIL(s->loop, buf_has(&b.peers[0].got, "OPTIONS sip:127.0.0.1"));
	assert_true(buf_has(&b.peers[0].got, "MESSAGE"));
	base_close(&a);
	base_close(&b);
}

static void test_none(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct base a = {.answer = true}, b = {0};
	s->set.keepalive_ms = 50;
	sip_edge_set(s->edge, &s->set);
	base_open(&a, s, 0);
	base_open(&b, s, 0);
	assert_int_equal(homes(s, uri(base_port(&a), "tcp"), uri(base_port(&b), "tcp"), SIP_EDGE_PROBE_NONE, &err), 0);
	asked(s, "1");
	turn(s->loop, 300);
	assert_false(buf_has(&a.peers[0].got, "OPTIONS"));
	assert_true(slice_starts(buf_slice(&a.peers[0].got), S("MESSAGE")));
	assert_false(buf_has(&a.peers[0].got, "\r\n\r\n\r\n"));
	base_close(&a);
	base_close(&b);
}

static void test_refused(void **state)
{
	struct site *s = *state;
	struct entente_err err;
	struct slice many[SIP_EDGE_HOPS_MAX];
	assert_int_equal(homes(s, "sip:127.0.0.1:1;transport=tcp", "sip:127.0.0.1:2;transport=tls", 0, &err), ENTENTE_ESYNTAX);
	assert_non_null(strstr(err.text, "the same transport"));
	assert_int_equal(homes(s, "sip:127.0.0.1:1;transport=tcp", "mailto:x@y", 0, &err), ENTENTE_ESYNTAX);
	assert_int_equal(homes(s, "sip:127.0.0.1:1", "sip:127.0.0.1:2", SIP_EDGE_PROBE_CRLF, &err), ENTENTE_ESYNTAX);
	for (size_t i = 0; i < SIP_EDGE_HOPS_MAX; i++)
		many[i] = S("sip:127.0.0.1:2;transport=tcp");
	struct sip_edge_home h = {.name = S("first"), .next_hop = many[0], .further = many, .n_further = SIP_EDGE_HOPS_MAX};
	assert_int_equal(sip_edge_set_homes(s->edge, &h, 1, &err), ENTENTE_ESYNTAX);
	h.n_further--;
	assert_int_equal(sip_edge_set_homes(s->edge, &h, 1, &err), 0);
	assert_string_not_equal(site_state(s), "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_dead), T(test_black_hole), T(test_hangs), T(test_options), T(test_none), T(test_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
