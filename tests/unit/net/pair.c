/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include "base/clock.h"

static void on_connected(struct conn *c)
{
	struct end *e = conn_owner(c);
	e->connected++;
	if (e->on_connected)
		e->on_connected(e);
}

static void on_secured(struct conn *c, const struct tls_peer *peer)
{
	struct end *e = conn_owner(c);
	e->secured++;
	e->peer = peer;
	if (e->on_secured)
		e->on_secured(e);
}

static size_t on_data(struct conn *c, struct slice in)
{
	struct end *e = conn_owner(c);
	e->data_calls++;
	if (e->on_data)
		e->on_data(e, in);
	if (e->keep || !e->c)
		return 0;
	if (e->take)
		in = slice_first(in, e->take);
	buf_put(&e->got, in);
	if (e->echo)
		assert_int_equal(conn_write(c, in), 0);
	return in.len;
}

static void on_drained(struct conn *c)
{
	((struct end *)conn_owner(c))->drained++;
}

static void on_eof(struct conn *c, size_t rest)
{
	struct end *e = conn_owner(c);
	e->eof++;
	e->eof_rest = rest;
}

static void on_closed(struct conn *c, const struct entente_err *why)
{
	struct end *e = conn_owner(c);
	e->closed++;
	e->why = *why;
	if (e->on_closed)
		e->on_closed(e);
}

const struct conn_ops end_ops = {on_connected, on_secured, on_data, on_drained, on_eof, on_closed};

static void on_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct pair *p = arg;
	struct conn_opts o = {
		.ops = &end_ops, .owner = &p->server, .limits = p->server_limits, .tls = p->server_tls, .pass = pass};
	(void)w, (void)from;
	p->accepted++;
	assert_int_equal(conn_accept(&p->server.c, p->loop, fd, &o, NULL), 0);
}

void pair_open(struct pair *p)
{
	struct entente_err err = {0};
	struct listener_opts o = {.accepted = on_accepted, .arg = p, .gate = p->gate};
	assert_true(addr_parse(S("127.0.0.1:0"), 0, &o.addr));
	if (!p->loop)
		assert_int_equal(loop_new(&p->loop, NULL, &err), 0);
	assert_int_equal(listener_new(&p->listener, p->loop, &o, &err), 0);
	buf_init(&p->client.got, 64 << 20);
	buf_init(&p->server.got, 64 << 20);
}

void pair_connect(struct pair *p, const struct conn_tls *client_tls)
{
	struct conn_opts o = {.ops = &end_ops, .owner = &p->client, .limits = p->client_limits, .tls = client_tls};
	assert_int_equal(conn_connect(&p->client.c, p->loop, listener_addr(p->listener), &o, NULL), 0);
}

void pair_turn(struct pair *p, int ms)
{
	uint64_t until = clock_ms() + (uint64_t)ms;
	do
		loop_once(p->loop, 1);
	while (clock_ms() < until);
}

void pair_close(struct pair *p)
{
	conn_free(p->client.c);
	conn_free(p->server.c);
	listener_free(p->listener);
	loop_free(p->loop);
	buf_free(&p->client.got);
	buf_free(&p->server.got);
}
