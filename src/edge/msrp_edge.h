/* SPDX-License-Identifier: Apache-2.0 */
/* MSRP connections (RFC 4975 5.4) with the clients, relays and servers of the homes: one instance per worker. Octets are cut into pieces
 * here; each piece goes to the worker whose session it names (msrp_id_worker), and what that worker writes comes back: a connection may
 * carry sessions of many workers, as a relay's does (RFC 4976). Only addresses of homes, and those of msrp.clients, may connect, and only there
 * do we connect to, whatever a description says (docs/adr/0004).
 *
 * Limits: connections in all (gate, app), input held MSRP_HEAD_MAX and a little, output MSRP_EDGE_OUT_MAX: who reads more slowly than that is
 * cut off; who is silent for 15 s before its first request, for 20 minutes later, too.
 *
 * Thread: its worker's. */
#pragma once
#include "base/err.h"
#include "edge/sip_edge.h"
#include "msrp/frame.h"
#include "msrp/uri.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/tls.h"

struct msrp_edge;

enum { MSRP_EDGE_OUT_MAX = 512 << 10, MSRP_EDGE_NETWORKS_MAX = 64 };

struct msrp_edge_ops {
	/* On the worker that owns the session (the connection's, when nobody does). As msrp_hub_input; valid during the call. */
	void (*input)(void *arg, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p);
	/* A connection of ours is up (on its worker), may be written to again, or is gone. lost(): on every worker that had to do with it. */
	void (*up)(void *arg, uint64_t line);
	void (*writable)(void *arg, uint64_t line);
	void (*lost)(void *arg, uint64_t line, const struct entente_err *why);
	/* The instance and its argument of another worker; called on that worker's thread. */
	struct msrp_edge *(*edge)(struct worker *w);
	/* Which worker owns the session, SIZE_MAX nobody. */
	size_t (*owner)(void *arg, struct slice session);
};

struct msrp_edge_config {
	struct worker *worker;
	struct dns *dns;
	struct sip_edge *sip;    /* knows the homes' addresses */
	uint32_t connect_ms;
};

struct msrp_edge *msrp_edge_new(const struct msrp_edge_config *cfg, const struct msrp_edge_ops *ops, void *arg);
struct msrp_edge *msrp_edge_free(struct msrp_edge *e); /* silent; accepts NULL */
void msrp_edge_set_tls(struct msrp_edge *e, struct tls_ctx *tls);
/* "192.0.2.1", "2001:db8::/32". ENTENTE_ESYNTAX (`e` may be NULL: only checked), nothing changes then. */
int msrp_edge_set_clients(struct msrp_edge *e, const struct slice *networks, size_t n, struct entente_err *err);

/* Takes an accepted connection. */
void msrp_edge_accept(struct msrp_edge *e, int fd, bool tls, struct gate_pass *pass);

/* Opens a connection to the first hop of a path; up() or lost() follows, never from inside. `fingerprint`: of the description, "sha-256
 * AB:CD..." (RFC 4975 14.4); with it the certificate is judged by it, else by our trust and the host of the URI. Never MSRP_LINE_NONE. */
uint64_t msrp_edge_connect(struct msrp_edge *e, const struct msrp_uri *to, struct slice fingerprint);
/* Whole requests and responses, also to connections of other workers; copied. False: no more, please, until writable(). */
bool msrp_edge_write(struct msrp_edge *e, uint64_t line, struct slice octets);
/* The session for which it was opened is over: what is written goes out, then it is closed. Nothing happens to one that was accepted. */
void msrp_edge_close(struct msrp_edge *e, uint64_t line);

size_t msrp_edge_count(const struct msrp_edge *e);
