/* SPDX-License-Identifier: Apache-2.0 */
/* The SIP server of the organisation, for the ledger: it loses its connections and comes back, may be closed or stop reading.
 * Until it has answered a request it knows its repetition by the branch (RFC 3261 17.2.2); then it has forgotten it, for Timer J is
 * 0 where connections are reliable, and what comes again with that branch is delivered again.
 * Everything runs on the loop. */
#pragma once
#include "net/conn.h"

struct home;

struct home_opts {
	bool tls;
	unsigned conns;         /* that requests leave on; at most HOME_CONNS */
	struct addr listen;     /* requests to us arrive at its port */
	struct addr target;     /* the server under test */
	const char *sni;
	struct tls_ctx *ctx;
	const char *domain;     /* of our users */
	const char *run;        /* makes branches and Call-IDs of this run unique */
	uint32_t think_ms;      /* a MESSAGE is answered only so long after it came */
	/* A connection that requests leave on is up, or has ended: what was sent over `link` has no answer. Called for each. */
	void (*up)(void *arg, unsigned link);
	void (*down)(void *arg, unsigned link);
	/* A final answer to the request with this number, whenever it comes. */
	void (*answer)(void *arg, uint64_t seq, int status, struct slice reason);
	/* A MESSAGE; not for what is repeated before it was answered. The status to answer, 0 for none. */
	int (*message)(void *arg, struct slice body);
	void *arg;
};
enum { HOME_CONNS = 16 };

int home_new(struct home **ret, struct loop *loop, const struct home_opts *o, struct entente_err *err);
/* Cuts everything. Accepts NULL; returns NULL. */
struct home *home_free(struct home *h);
/* MESSAGE from a user of ours to `to` (user@domain). Returns the link it left on, or -1: none is up, or it takes no more. */
int home_send(struct home *h, unsigned user, const char *to, uint64_t seq, struct slice body);
/* False: every connection is cut, its port is closed, and it connects no more. At first true. */
int home_switch(struct home *h, bool on, struct entente_err *err);
/* Nothing is read any more until it is released. */
void home_hold(struct home *h, bool hold);
void home_think(struct home *h, uint32_t ms);

struct home_counts {
	unsigned up;                /* connections that requests may leave on */
	uint64_t dialled, refused;  /* refused: a connection that could not be had */
	uint64_t repeated;          /* MESSAGEs that came again with the same branch within 32 s, before they were answered or after */
	uint64_t accepted;
	uint64_t watched;           /* SUBSCRIBEs, each answered and followed by one NOTIFY */
};
void home_counts(const struct home *h, struct home_counts *ret);
