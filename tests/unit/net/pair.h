/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a connection on one loop, over a real socket on 127.0.0.1, and what happened to each. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/buf.h"
#include "net/conn.h"
#include "net/listener.h"

struct end {
	struct conn *c;
	struct buf got;
	int connected, secured, drained, eof, closed, data_calls;
	size_t eof_rest;
	struct entente_err why;
	const struct tls_peer *peer;
	/* What to do in data: */
	size_t take;      /* octets per call at most; 0 = all */
	bool echo, keep;  /* keep: take nothing */
	void (*on_data)(struct end *e, struct slice in); /* before anything else */
	void (*on_secured)(struct end *e);
	void (*on_closed)(struct end *e);
	void (*on_connected)(struct end *e);
};

extern const struct conn_ops end_ops;

struct pair {
	struct loop *loop;
	struct listener *listener;
	struct end client, server;
	const struct conn_limits *client_limits, *server_limits;
	const struct conn_tls *server_tls;
	struct gate *gate;
	int accepted;
};

void pair_open(struct pair *p);
void pair_connect(struct pair *p, const struct conn_tls *client_tls);
/* Turns the loop until cond or 5 seconds are over. */
#define PAIR_UNTIL(p, cond)                                                                        \
	do {                                                                                       \
		for (int turn_ = 0; !(cond) && turn_ < 5000; turn_++)                              \
			loop_once((p)->loop, 1);                                                   \
		assert_true(cond);                                                                 \
	} while (0)
void pair_turn(struct pair *p, int ms);
void pair_close(struct pair *p);
