/* SPDX-License-Identifier: Apache-2.0 */
/* One SIP edge on a loop of the test, and peers on real sockets of 127.0.0.1 that play homes, devices and strangers. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/buf.h"
#include "edge/sip_edge.h"
#include "net/conn.h"
#include "net/udp.h"
#include "org.h"

struct site {
	struct loop *loop;
	struct worker worker;
	struct sip_edge *edge;
	struct sip_edge_settings set;
	struct buf seen;         /* "METHOD from uri home\n" */
	bool hold;               /* do not answer */
	uint64_t held[8];        /* transactions, sip_server_id */
	size_t n_held;
	int status;              /* of the answers, 0: 200 */
	struct buf done;         /* of site_ask: "id status\n", status 1 timeout, 2 transport */
	struct listener *tcp, *tls; /* the edge's own */
};

void site_setup(struct site *s);
void site_teardown(struct site *s);
/* One home at this next hop; more with a second call of sip_edge_set_homes. */
void site_home(struct site *s, const char *next_hop);
void site_listen(struct site *s);
/* A request of ours to home 0; its fate is in s->done. */
void site_ask(struct site *s, const char *id);
const char *site_state(struct site *s);
const char *site_error(struct site *s);

struct peer { /* the other end of a TCP or TLS connection */
	struct site *site;
	struct conn *conn;
	struct buf got;
	bool connected, secured, closed;
	bool answer;             /* 200 to every request that comes */
	bool pong;               /* answer keep-alives */
};
void peer_connect(struct peer *p, struct site *s, struct listener *to, struct tls_ctx *tls);
void peer_say(struct peer *p, const char *text);
void peer_free(struct peer *p);

struct base { /* a place where a home listens */
	struct site *site;
	struct listener *listener;
	struct tls_ctx *tls;     /* not NULL: it speaks TLS */
	struct peer peers[8];
	size_t n;
	bool answer, pong, mute; /* mute: takes connections and does nothing with them */
};
void base_open(struct base *b, struct site *s, unsigned port);
void base_close(struct base *b);
unsigned base_port(const struct base *b);

/* A request; `id` is in branch and Call-ID. */
const char *request(const char *method, const char *from, const char *id);
