/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the internal SIP side: sip_edge.c (input, output, workers), sip_home.c (connections to homes). */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "edge/sip_edge.h"
#include "net/conn.h"
#include "net/udp.h"
#include "sip/frame.h"
#include "sip/target.h"

enum home_state { HOME_IDLE, HOME_RESOLVING, HOME_CONNECTING, HOME_UP, HOME_DOWN };

struct sip_conn { /* a TCP or TLS connection */
	struct map_node node; /* key: id */
	uint64_t id;          /* worker + 1 in the upper 16 bits */
	struct sip_edge *edge;
	struct conn *conn;
	struct sip_framer framer;
	enum sip_transport transport;
	struct sip_home *home; /* outbound: whose; inbound: NULL */
};

struct question {
	struct sip_home *home;
	unsigned id;
	struct dns_query *q;
};

struct sip_home {
	struct sip_edge *edge;
	uint32_t index;
	char *name, *next_hop; /* owned */
	struct sip_uri uri;
	enum sip_transport transport;
	enum home_state state;
	struct sip_target *resolver;
	struct question questions[8];
	const struct sip_target_entry *entries; /* of the resolver, valid while it lives */
	size_t n_entries, entry;
	uint64_t resolved_at;
	struct sip_conn *conn;
	struct buf queue;      /* messages waiting for the connection, one after the other */
	struct timer ping, retry;
	uint32_t backoff_ms;
	struct entente_err err;
	char address[ADDR_TEXT];
};

struct sip_edge {
	struct sip_edge_config cfg;
	const struct sip_edge_ops *ops;
	void *arg;
	struct worker *worker;
	struct loop *loop;
	struct sip_stack *stack;
	struct tls_ctx *tls;
	struct map conns;
	uint64_t next_conn;
	struct udp *udp[8];
	size_t n_udp;
	struct sip_home **homes;
	size_t n_homes;
};

/* sip_edge.c */
/* Over the connection of the flow, or to its home; also for other workers. 0 or negative. */
int sip_edge_output(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes);
struct sip_conn *sip_conn_new(struct sip_edge *e, enum sip_transport t, struct sip_home *home);
void sip_conn_free(struct sip_conn *c);
extern const struct conn_ops sip_conn_ops;
extern const struct conn_limits sip_conn_limits;

/* sip_home.c */
struct sip_home *sip_home_new(struct sip_edge *e, uint32_t index, const struct sip_edge_home *h, struct entente_err *err);
struct sip_home *sip_home_free(struct sip_home *h);
/* Sends or queues; negative when the home is known to be down or the queue is full. */
int sip_home_send(struct sip_home *h, struct slice bytes);
void sip_home_connected(struct sip_home *h);
/* The connection could not be made (up false) or is gone. */
void sip_home_lost(struct sip_home *h, const struct entente_err *why);
/* Is this one of the home's addresses? Port is not looked at. */
bool sip_home_is(const struct sip_home *h, const struct addr *a);
/* Resolve if that was never done. */
void sip_home_prepare(struct sip_home *h);
