/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the internal SIP side: sip_edge.c (the whole, its settings), sip_input.c and sip_output.c (messages, between workers
 * too), sip_conn.c (connections), sip_home.c (a home and the way to it), sip_locate.c (its addresses). */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "edge/rate.h"
#include "edge/sip_edge.h"
#include "edge/sip_lookup.h"
#include "edge/sip_stream.h"
#include "net/conn.h"
#include "net/udp.h"
#include "sip/options.h"

enum { SIP_EDGE_UDP_MAX = 8 };

enum home_state { HOME_IDLE, HOME_RESOLVING, HOME_CONNECTING, HOME_UP, HOME_DOWN };

struct sip_conn { /* a TCP or TLS connection */
	struct map_node node; /* key: id */
	uint64_t id;          /* worker + 1 in the upper 16 bits */
	struct sip_edge *edge;
	struct conn *conn;
	struct sip_stream stream;
	enum sip_transport transport;
	struct sip_home *home; /* outbound: whose; inbound: NULL */
	bool stranger;         /* counted in edge->strangers */
	bool outbound;
};

struct home_hop { /* one of its next hops */
	struct sip_home *home;
	char *text;               /* owned */
	struct sip_uri uri;       /* of text */
	struct sip_lookup *lookup; /* while it works */
	struct sip_places found;
	bool unsure;
};

struct home_sender { /* a network that the home sends from */
	struct addr addr;
	unsigned bits;
};

struct waiting { /* a message for a home that is not connected */
	struct list node;
	uint64_t since;
	size_t len;
	char bytes[];
};

struct sip_home {
	struct sip_edge *edge;
	uint32_t index;
	char *name;            /* owned */
	struct home_hop hops[SIP_EDGE_HOPS_MAX];
	size_t n_hops, n_looking; /* n_looking: of them being looked up */
	enum sip_transport transport;
	struct home_sender *senders; /* owned */
	size_t n_senders;
	/* where it is */
	struct timer again;
	struct sip_places places;    /* the last that DNS gave; kept while it gives nothing better */
	size_t at;                   /* the one in use */
	bool known;                  /* DNS has answered at least once */
	/* the way to it */
	enum home_state state;
	struct sip_conn *conn;
	uint64_t began, up_since, down_since; /* began: the round of attempts */
	uint64_t heard;              /* UDP: something came from it */
	struct list queue;           /* of struct waiting */
	size_t n_queue, queue_octets;
	struct timer ping, retry, patience;
	uint32_t backoff_ms;
	bool wanted;                 /* somebody sends to it here: its connection is kept up */
	bool hurt;                   /* the last failure to reach it cost somebody a message */
	bool told;                   /* that it is down has been logged */
	struct entente_err err;
	char address[ADDR_TEXT];
	enum sip_edge_probe how;     /* never AUTO */
	struct sip_probe *probe;     /* OPTIONS */
	uint32_t probe_ms;
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
	size_t strangers;      /* open connections from addresses that are no home's */
	uint64_t second;       /* of the answers to strangers by UDP */
	unsigned answers;
	struct udp *udp[SIP_EDGE_UDP_MAX];
	size_t n_udp;
	struct sip_home **homes; /* NULL: a gap */
	size_t n_homes;
	struct rate *senders;
	bool quiet;
};

/* sip_edge.c */
struct sip_home *sip_edge_home(const struct sip_edge *e, uint32_t index); /* NULL: none */
/* Whose address is it: a home's index; UINT32_MAX - 1: nobody's so far, but DNS has not answered for all homes; UINT32_MAX:
 * nobody's. `m` (may be NULL) helps when several homes share an address. */
enum { HOME_NONE = UINT32_MAX, HOME_UNSURE = UINT32_MAX - 1 };
uint32_t sip_edge_whose(struct sip_edge *e, const struct sip_msg *m, const struct addr *from);
void sip_edge_conn_limits(const struct sip_edge *e, struct conn_limits *ret);

/* sip_input.c */
/* The reason of a refusal that the SIP room decided on, by its status. */
enum reason sip_edge_reason(int status);
/* Answers without a transaction, with Entente-Reason. */
void sip_edge_refuse(struct sip_edge *e, const struct sip_flow *flow, const struct sip_msg *m, int status, struct slice phrase,
		     enum reason reason);
/* One framed message. False: nothing more shall be read from this connection. */
bool sip_edge_input(struct sip_edge *e, struct sip_flow *flow, const struct addr *from, struct slice raw);
extern const struct sip_stack_ops sip_edge_stack_ops;
void sip_edge_trace(const struct sip_edge *e, bool out, const struct sip_flow *flow, const struct sip_msg *m);

/* sip_output.c */
/* Over the connection of the flow, or to its home; also for other workers. 0 or negative. */
int sip_edge_output(struct sip_edge *e, const struct sip_flow *flow, struct slice bytes);
int sip_edge_stack_send(void *arg, const struct sip_flow *to, struct slice bytes);
/* Gives a parsed message with its arena to another worker's stack. ENTENTE_EAGAIN: it has too much to do; the arena stays the
 * caller's. */
int sip_edge_hand_over(struct sip_edge *e, unsigned worker, const struct sip_flow *flow, struct sip_msg *m, struct arena *a);
unsigned sip_edge_workers(const struct sip_edge *e);

/* sip_conn.c */
struct sip_conn *sip_conn_new(struct sip_edge *e, enum sip_transport t, struct sip_home *home);
void sip_conn_free(struct sip_conn *c);
int sip_conn_write(struct sip_conn *c, struct slice bytes); /* as conn_write */
extern const struct conn_ops sip_conn_ops;

/* sip_home.c */
/* "192.0.2.1", "2001:db8::/64" */
bool sip_home_sender_parse(struct slice text, struct home_sender *ret);
struct sip_home *sip_home_new(struct sip_edge *e, uint32_t index, const struct sip_edge_home *h, struct entente_err *err);
/* Silent. */
struct sip_home *sip_home_free(struct sip_home *h);
/* The next hop that is used or tried at present. */
const struct home_hop *sip_home_hop(const struct sip_home *h);
/* It is in the list now: looks for it, and connects where that is wanted. */
void sip_home_ready(struct sip_home *h);
/* Same name, next hop and senders? */
bool sip_home_same(const struct sip_home *h, const struct sip_edge_home *cfg);
/* Everything that waits for the home fails. */
void sip_home_fail(struct sip_home *h);
/* Sends or queues; negative when the home is known to be down or the queue is full. */
int sip_home_send(struct sip_home *h, struct slice bytes);
void sip_home_connected(struct sip_home *h);
/* The connection could not be made, or is gone. */
void sip_home_lost(struct sip_home *h, const struct entente_err *why);
/* sip_locate.c has found addresses (or other ones), or has failed for good (h->err). */
void sip_home_located(struct sip_home *h, bool found);
/* New settings. */
void sip_home_adjust(struct sip_home *h);

/* sip_locate.c */
/* Asks DNS, unless that is under way; ends in sip_home_located, maybe before this returns. */
void sip_home_locate(struct sip_home *h);
void sip_home_locate_end(struct sip_home *h);
/* Is this one of the home's addresses? Port is not looked at. */
bool sip_home_is(const struct sip_home *h, const struct addr *a);
