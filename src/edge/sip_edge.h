/* SPDX-License-Identifier: Apache-2.0 */
/* The internal SIP side: listeners and connections to the homes, one instance per worker. Received messages are framed, parsed
 * and given to the SIP stack of the worker that owns the local user (ops->shard); what a stack sends finds its way back over the
 * connection of whichever worker. Each worker has its own connection to each home, opened on demand by RFC 3263 and kept alive;
 * worker 0 keeps its one up, so that a home that is down is known before somebody needs it. Requests are accepted only from
 * addresses of a home (docs/adr/0004).
 *
 * Thread: its worker's, except where said. */
#pragma once
#include "base/err.h"
#include "net/dns.h"
#include "net/listener.h"
#include "edge/sip_places.h"
#include "edge/trace.h"
#include "net/tls.h"
#include "sip/trans.h"

struct sip_edge;

enum { SIP_EDGE_HOMES_MAX = 1024, SIP_EDGE_HOPS_MAX = 8 };

/* How it is found out that a home is gone, every keepalive_ms. AUTO: OPTIONS by UDP, else CRLF (RFC 5626 4.4.1). CRLF is not for UDP. NONE: by requests
 * that fail alone. */
enum sip_edge_probe { SIP_EDGE_PROBE_AUTO, SIP_EDGE_PROBE_OPTIONS, SIP_EDGE_PROBE_CRLF, SIP_EDGE_PROBE_NONE };

struct sip_edge_home { /* copied; an empty name is a gap: the place of a home that was removed */
	struct slice name, next_hop;  /* SIP URI */
	const struct slice *senders;  /* further addresses that it sends from: "192.0.2.1", "2001:db8::/64" */
	size_t n_senders;
	const struct slice *further;  /* next hops to fall back to, in this order; all by the same transport */
	size_t n_further;
	enum sip_edge_probe probe;
};
/* Could sip_edge_set_homes use it? ENTENTE_ESYNTAX. Pure. */
int sip_edge_home_check(const struct sip_edge_home *h, struct entente_err *err);

struct sip_edge_ops {
	/* Which worker handles this message; called on the receiving worker. */
	unsigned (*shard)(void *arg, const struct sip_msg *m, struct arena *a);
	/* The home that serves the domain of From, UINT32_MAX for none. */
	uint32_t (*home_of)(void *arg, const struct sip_msg *m);
	/* A request of a home that no dialog took; as sip_stack_ops.request, checked by sip_uas_check. */
	void (*request)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
	/* The instance of this worker; called on its thread. */
	struct sip_edge *(*edge)(struct worker *w);
	/* Will this request be carried on, not answered here? Then only what concerns a proxy is checked (by whom it goes to). May be NULL. */
	bool (*carried)(void *arg, const struct sip_msg *m);
	/* As sip_stack_ops, for transactions with a user pointer. May be NULL together. */
	void (*cancelled)(void *arg, struct sip_server_trans *st);
	void (*gone)(void *arg, struct sip_server_trans *st);
};

struct sip_edge_settings { /* what may change while it runs */
	struct sip_limits limits;
	uint32_t keepalive_ms, connect_ms;
	size_t queue_messages, queue_octets; /* waiting for one home */
	uint32_t queue_ms;                   /* at most so long */
	uint32_t sender_rate;                /* requests a second of one user, on average; 0: no limit */
};

struct sip_edge_config {
	struct worker *worker;
	struct dns *dns;
	struct trace *trace;     /* shared by the workers; NULL: nobody looks */
	struct slice sent_by[3]; /* by enum sip_transport, "192.0.2.1:5060"; kept by the caller */
	struct sip_edge_settings set;
};

struct sip_edge *sip_edge_new(const struct sip_edge_config *cfg, const struct sip_edge_ops *ops, void *arg);
struct sip_edge *sip_edge_free(struct sip_edge *e); /* accepts NULL; users of the stack must be gone */
struct sip_stack *sip_edge_stack(struct sip_edge *e);
void sip_edge_set_tls(struct sip_edge *e, struct tls_ctx *tls);
void sip_edge_set(struct sip_edge *e, const struct sip_edge_settings *set);
/* The list of homes; a place in it is what sip_flow.target says. A home that stays as it was in its place keeps its connections;
 * what waits for the others fails. ENTENTE_ESYNTAX: a next hop is no SIP URI; nothing changes. */
int sip_edge_set_homes(struct sip_edge *e, const struct sip_edge_home *homes, size_t n, struct entente_err *err);

/* Opens a UDP socket here (worker 0 only: every worker sends through it). ret_bound (may be NULL): the address with its port. */
int sip_edge_udp(struct sip_edge *e, const struct addr *at, struct addr *ret_bound, struct entente_err *err);
/* Takes an accepted connection. */
void sip_edge_accept(struct sip_edge *e, int fd, bool tls, struct gate_pass *pass);

/* A flow to a home: transport by its next hop, connection found when sent. *ret_ipv6 (may be NULL): it is reached by IPv6. False:
 * no such home. */
bool sip_edge_home_flow(struct sip_edge *e, uint32_t home, struct sip_flow *ret, bool *ret_ipv6);

/* A request of a test (copied), as if this home had sent it, to whatever worker it belongs to; the answer goes nowhere (SIP_FLOW_TEST). False: no
 * such home, or it is malformed. */
bool sip_edge_inject(struct sip_edge *e, uint32_t home, struct slice raw);

/* What the one who answers a request looks at first (sip/uas_check.h), for one that ops->carried said yes to and that is answered here after all. True: it was
 * answered, with a refusal. `a`: the request's. */
bool sip_edge_answers(struct sip_server_trans *st, const struct sip_msg *m, struct arena *a);

/* Shutting down: new requests are answered 503. */
void sip_edge_quiesce(struct sip_edge *e);

struct sip_edge_facts {
	struct slice name, next_hop, address;
	const char *state; /* "idle" "resolving" "connecting" "up" "down" */
	struct slice error;
	const struct sip_places *places; /* all its addresses, in the order to try */
	uint64_t now;                    /* for sip_place_lately */
};
void sip_edge_each_home(struct sip_edge *e, void (*fn)(void *arg, const struct sip_edge_facts *f), void *arg);
