/* SPDX-License-Identifier: Apache-2.0 */
/* The internal SIP side: listeners and connections to the homes, one instance per worker. Received messages are framed, parsed and given to the SIP stack of
 * the worker that owns the local user (ops->shard); what a stack sends finds its way back over the connection of whichever worker. Each worker
 * keeps its own connection to each home, opened on demand by RFC 3263 and kept alive. Requests are accepted only from addresses of a home.
 *
 * Thread: its worker's, except where said. */
#pragma once
#include "base/err.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/tls.h"
#include "sip/trans.h"

struct sip_edge;

enum { SIP_EDGE_HOMES_MAX = 1024 };

struct sip_edge_home { /* texts are copied */
	struct slice name, next_hop; /* SIP URI */
};

struct sip_edge_ops {
	/* Which worker handles this message; called on the receiving worker. */
	unsigned (*shard)(void *arg, const struct sip_msg *m, struct arena *a);
	/* The home that serves the domain of From, UINT32_MAX for none. */
	uint32_t (*home_of)(void *arg, const struct sip_msg *m);
	/* A request of a home that no dialog took; as sip_stack_ops.request, checked by sip_uas_check. */
	void (*request)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
	/* The instance of another worker. Any thread. */
	struct sip_edge *(*edge)(void *arg, unsigned worker);
};

struct sip_edge_config {
	struct worker *worker;
	struct dns *dns;
	struct slice sent_by[3];   /* by enum sip_transport, "192.0.2.1:5060" */
	struct sip_limits limits;
	uint32_t keepalive_ms, connect_ms;
	size_t queue_octets;       /* waiting for one home's connection */
};

struct sip_edge *sip_edge_new(const struct sip_edge_config *cfg, const struct sip_edge_ops *ops, void *arg);
struct sip_edge *sip_edge_free(struct sip_edge *e); /* accepts NULL; users of the stack must be gone */
struct sip_stack *sip_edge_stack(struct sip_edge *e);
void sip_edge_set_tls(struct sip_edge *e, struct tls_ctx *tls);
/* Replaces the list of homes; index = that of the snapshot. Connections to the old ones end. ENTENTE_ESYNTAX: a next hop is no SIP URI. */
int sip_edge_set_homes(struct sip_edge *e, const struct sip_edge_home *homes, size_t n, struct entente_err *err);

/* Opens a UDP socket here (worker 0 only: every worker sends through it). */
int sip_edge_udp(struct sip_edge *e, const struct addr *at, struct entente_err *err);
/* Takes an accepted connection. */
void sip_edge_accept(struct sip_edge *e, int fd, bool tls, struct gate_pass *pass);

/* A flow to a home: transport by its next hop, connection found when sent. False: no such home. */
bool sip_edge_home_flow(struct sip_edge *e, uint32_t home, struct sip_flow *ret);

struct sip_edge_facts {
	struct slice name, next_hop, address;
	const char *state; /* "idle" "resolving" "connecting" "up" "down" */
	struct slice error;
};
void sip_edge_each_home(struct sip_edge *e, void (*fn)(void *arg, const struct sip_edge_facts *f), void *arg);
