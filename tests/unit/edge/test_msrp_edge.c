/* SPDX-License-Identifier: Apache-2.0 */
/* MSRP connections over real sockets: who may connect and be connected to, what a slow reader comes to. (TLS: tests/e2e/msrp.py.) */
#include "site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/msrp_edge.h"
#include "msrp/message.h"
#include "net/listener.h"

struct side { /* one edge, and what it told */
	struct worker worker;
	struct msrp_edge *edge;
	struct listener *listener;
	struct addr at;
	struct buf told;
	uint64_t line;
};
struct pair {
	struct loop *loop;
	struct side a, b;
	struct sip_edge *sip; /* of nobody: without homes */
};

static void on_input(void *arg, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p)
{
	struct side *s = arg;
	s->line = line;
	buf_printf(&s->told, "input %.*s %.*s %zu %c\n", SFMT(session), SFMT(tid), p->data.len, p->flag ? p->flag : '.');
}
static void on_up(void *arg, uint64_t line)
{
	struct side *s = arg;
	s->line = line;
	buf_puts(&s->told, "up\n");
}
static void on_writable(void *arg, uint64_t line)
{
	struct side *s = arg;
	(void)line;
	buf_puts(&s->told, "writable\n");
}
static void on_lost(void *arg, uint64_t line, const struct entente_err *why)
{
	struct side *s = arg;
	(void)line;
	buf_printf(&s->told, "lost %d\n", why->code);
}
static struct msrp_edge *edge_of(struct worker *w)
{
	(void)w;
	return NULL;
}
static size_t owner(void *arg, struct slice session)
{
	(void)arg, (void)session;
	return SIZE_MAX;
}
static const struct msrp_edge_ops ops = {on_input, on_up, on_writable, on_lost, edge_of, owner};

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct side *s = arg;
	(void)w, (void)from;
	msrp_edge_accept(s->edge, fd, false, pass);
}

static unsigned sip_shard(void *arg, const struct sip_msg *m, struct arena *a)
{
	(void)arg, (void)m, (void)a;
	return 0;
}
static uint32_t home_of(void *arg, const struct sip_msg *m)
{
	(void)arg, (void)m;
	return UINT32_MAX;
}
static const struct sip_edge_ops sip_ops = {.shard = sip_shard, .home_of = home_of};

static void side_make(struct pair *p, struct side *s)
{
	struct msrp_edge_config c = {.worker = &s->worker, .sip = p->sip, .connect_ms = 5000};
	struct listener_opts o = {.accepted = accepted, .arg = s};
	struct entente_err err;
	s->worker.loop = p->loop;
	buf_init(&s->told, 1 << 20);
	s->edge = msrp_edge_new(&c, &ops, s);
	addr_parse(S("127.0.0.1"), 0, &o.addr);
	assert_int_equal(listener_new(&s->listener, p->loop, &o, &err), 0);
	s->at = *listener_addr(s->listener);
}

static int setup(void **state)
{
	struct pair *p = MEM_NEW(struct pair);
	struct slice local = S("127.0.0.0/8");
	struct entente_err err;
	assert_int_equal(loop_new(&p->loop, NULL, &err), 0);
	p->a.worker.loop = p->loop;
	struct sip_edge_config sc = {.worker = &p->a.worker, .set = {.limits = sip_limits_default}};
	p->sip = sip_edge_new(&sc, &sip_ops, p);
	side_make(p, &p->a);
	side_make(p, &p->b);
	msrp_edge_set_clients(p->a.edge, &local, 1, NULL);
	msrp_edge_set_clients(p->b.edge, &local, 1, NULL);
	*state = p;
	return 0;
}

static void side_end(struct side *s)
{
	msrp_edge_free(s->edge);
	listener_free(s->listener);
	buf_free(&s->told);
}

static int teardown(void **state)
{
	struct pair *p = *state;
	side_end(&p->a);
	side_end(&p->b);
	sip_edge_free(p->sip);
	loop_free(p->loop);
	mem_free(p);
	return 0;
}

/* Turns until the text was told, at most 20 s. */
static void until(struct pair *p, struct side *s, const char *text)
{
	for (int i = 0; i < 2000 && slice_find(buf_slice(&s->told), slice_str(text)) < 0; i++)
		loop_once(p->loop, 10);
	if (slice_find(buf_slice(&s->told), slice_str(text)) < 0)
		fail_msg("no '%s' in: %.*s", text, SFMT(buf_slice(&s->told)));
}

static uint64_t call(struct pair *p)
{
	char z[100];
	struct msrp_uri u;
	snprintf(z, sizeof z, "msrp://127.0.0.1:%u/theirs;tcp", addr_port(&p->b.at));
	assert_int_equal(msrp_uri_parse(slice_str(z), &u), 0);
	return msrp_edge_connect(p->a.edge, &u, SLICE_NONE);
}

#define REQUEST "MSRP tttt SEND\r\nTo-Path: msrp://127.0.0.1:1/theirs;tcp\r\nFrom-Path: msrp://127.0.0.1:2/ours;tcp\r\nMessage-ID: m\r\n"

static void test_there_and_back(void **state)
{
	struct pair *p = *state;
	uint64_t line = call(p);
	assert_int_equal(p->a.told.len, 0); /* nothing from inside */
	until(p, &p->a, "up\n");
	assert_int_equal(p->a.line, line);
	assert_true(msrp_edge_write(p->a.edge, line, S(REQUEST "Content-Type: a/b\r\n\r\nhello\r\n-------tttt$\r\n")));
	until(p, &p->b, "input theirs tttt 5 $\n");
	assert_true(msrp_edge_write(p->b.edge, p->b.line, S("MSRP tttt 200 OK\r\nTo-Path: msrp://127.0.0.1:2/ours;tcp\r\nFrom-Path: msrp://127.0.0.1:1/theirs;tcp\r\n"
							 "-------tttt$\r\n")));
	until(p, &p->a, "input ours tttt 0 $\n");
	msrp_edge_close(p->b.edge, p->b.line); /* not ours to close */
	assert_int_equal(msrp_edge_count(p->b.edge), 1);
	msrp_edge_close(p->a.edge, line);
	assert_int_equal(msrp_edge_count(p->a.edge), 0);
	until(p, &p->b, "lost 0\n");
	assert_int_equal(msrp_edge_count(p->b.edge), 0);
}

static void test_strangers(void **state)
{
	struct pair *p = *state;
	struct slice other = S("192.0.2.0/24"), bad = S("192.0.2.0/33");
	assert_int_equal(msrp_edge_set_clients(p->a.edge, &bad, 1, NULL), ENTENTE_ESYNTAX);
	msrp_edge_set_clients(p->b.edge, &other, 1, NULL); /* b takes nobody from here */
	call(p);
	until(p, &p->a, "lost ");
	assert_int_equal(msrp_edge_count(p->b.edge), 0);
	assert_int_equal(p->b.told.len, 0);
	buf_clear(&p->a.told);
	msrp_edge_set_clients(p->a.edge, &other, 1, NULL); /* a calls nobody there */
	call(p);
	char z[20];
	snprintf(z, sizeof z, "lost %d\n", ENTENTE_EREFUSED);
	until(p, &p->a, z);
	assert_int_equal(msrp_edge_count(p->a.edge), 0);
}

static void test_no_msrp(void **state)
{
	struct pair *p = *state;
	uint64_t line = call(p);
	until(p, &p->a, "up\n");
	msrp_edge_write(p->a.edge, line, S("GET / HTTP/1.1\r\n\r\n"));
	until(p, &p->a, "lost ");
	assert_int_equal(msrp_edge_count(p->b.edge), 0);
}

/* A body without end costs the receiver nothing: it comes in pieces. */
static void test_endless(void **state)
{
	struct pair *p = *state;
	char *big = mem_calloc(1, 100000);
	uint64_t line = call(p);
	until(p, &p->a, "up\n");
	msrp_edge_write(p->a.edge, line, S(REQUEST "Content-Type: a/b\r\n\r\n"));
	until(p, &p->b, "input theirs tttt 0 .\n");
	msrp_edge_write(p->a.edge, line, slice_of(big, 100000));
	msrp_edge_write(p->a.edge, line, S("\r\n-------tttt+\r\n"));
	until(p, &p->b, "+\n");
	mem_free(big);
}

/* Who reads more slowly than MSRP_EDGE_OUT_MAX is cut off; before that the writer is told to wait. */
static void test_slow_reader(void **state)
{
	struct pair *p = *state;
	struct addr at;
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	at = p->b.at;
	assert_int_equal(connect(fd, &at.sa, addr_len(&at)), 0);
	assert_true(write(fd, REQUEST "-------tttt$\r\n", sizeof REQUEST + 13) > 0);
	until(p, &p->b, "input theirs tttt 0 $\n");
	char *big = mem_calloc(1, 100000);
	bool waited = false;
	for (int i = 0; i < 200 && msrp_edge_count(p->b.edge); i++) {
		waited |= !msrp_edge_write(p->b.edge, p->b.line, slice_of(big, 100000));
		loop_once(p->loop, 0);
	}
	assert_true(waited);
	until(p, &p->b, "lost ");
	assert_int_equal(msrp_edge_count(p->b.edge), 0);
	close(fd);
	mem_free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown), cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_msrp, setup, teardown),        cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
	};
	journal_open();
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	journal_close();
	return rc;
}
