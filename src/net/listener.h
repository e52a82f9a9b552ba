/* SPDX-License-Identifier: Apache-2.0 */
/* TCP listeners, and the gate that all of them share: how many connections there may be, in all and from one source. One
 * acceptor (the loop that made the listener) takes connections and deals them out to the workers in turn: the counts are
 * exact, a worker's death or slowness never leaves connections in a queue of its own, and the cost of a hand-over is
 * nothing beside a handshake. */
#pragma once
#include "net/addr.h"
#include "net/worker.h"

struct gate_limits {
	size_t total;             /* open connections; 0 = no limit */
	size_t per_source;        /* open connections of one source (IPv4 address, IPv6 /64); 0 = no limit */
	unsigned rate_per_minute; /* accepted per source; 0 = no limit */
	unsigned burst;           /* how many at once before the rate counts; 0 = rate_per_minute */
	/* Connections that have proven nothing yet (gate_prove): whoever floods us from many addresses takes these, and not those of
	 * proven peers. 0 = no limit. */
	size_t unproven;             /* in all */
	size_t unproven_per_network; /* of one IPv4 /24 or IPv6 /56 */
	/* TLS handshakes a second that are begun for callers, in all and of one network; twice as many at once. 0 = no limit. */
	unsigned handshakes, handshakes_per_network;
};

struct gate;
struct gate_pass; /* one admitted connection */

/* Thread-safe, reference-counted by its passes and listeners. */
struct gate *gate_new(const struct gate_limits *limits);
/* Drops the maker's reference. Accepts NULL; returns NULL. */
struct gate *gate_unref(struct gate *g);
struct gate *gate_ref(struct gate *g);
void gate_set_limits(struct gate *g, const struct gate_limits *limits);
/* now: monotonic milliseconds. NULL when refused; *ret_why is then "total", "per-source", "rate", "unproven" or
 * "unproven-per-network". */
struct gate_pass *gate_enter(struct gate *g, const struct addr *from, uint64_t now, const char **ret_why);
/* The peer is known now: it no longer counts as unproven. Any thread, any number of times. Accepts NULL. */
void gate_prove(struct gate_pass *p);
/* How long to wait, ms, before a TLS handshake is begun for this connection: the place in the queue is taken, in order of asking.
 * GATE_NEVER: the queue is longer than anybody would wait; give up. Any thread. Accepts NULL (0). */
#define GATE_NEVER UINT64_MAX
uint64_t gate_handshake(struct gate_pass *p, uint64_t now);
/* Any thread. Accepts NULL; returns NULL. */
struct gate_pass *gate_leave(struct gate_pass *p);
struct gate_counts {
	size_t open, sources, unproven, networks; /* networks: with something unproven */
	uint64_t admitted, refused_total, refused_per_source, refused_rate, refused_unproven, refused_network,
		refused_handshakes, delayed_handshakes;
};
void gate_counts(struct gate *g, struct gate_counts *ret);

struct listener;

enum listener_kept {
	LISTENER_OWN,   /* closed with the listener */
	LISTENER_KEPT,  /* outlives the process where somebody keeps it (kept.h), and is taken from there */
	LISTENER_TRIED, /* taken from there, but not handed on */
};

struct listener_opts {
	struct addr addr;     /* port 0: any; see listener_addr */
	int backlog;          /* 0 = 1024 */
	int fd;               /* > 0: a listening socket instead; taken over */
	enum listener_kept kept;
	struct gate *gate;    /* NULL: no limits */
	struct pool *pool;    /* deal out to its workers in turn; NULL: `accepted` runs on `loop` with w = NULL */
	/* On the chosen worker's thread. fd and pass become the callee's (give both to conn_accept). */
	void (*accepted)(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
	/* On the acceptor's thread: a connection was refused by the gate or could not be taken (NULL: nobody is told). */
	void (*refused)(void *arg, const struct addr *from, const char *why);
	void *arg;
};

/* ENTENTE_ENET: the address cannot be bound (the text says why and what to do). IPv6 sockets are v6 only. */
int listener_socket(const struct listener_opts *o, struct entente_err *err); /* only the socket: the descriptor is the caller's */
int listener_new(struct listener **ret, struct loop *loop, const struct listener_opts *o, struct entente_err *err);
/* Loop's thread. Connections already dealt out still reach their worker. Accepts NULL; returns NULL. */
struct listener *listener_free(struct listener *l);
/* Stops and restarts accepting (drain, overload); the socket stays open. */
void listener_pause(struct listener *l, bool pause);
const struct addr *listener_addr(const struct listener *l);
uint64_t listener_accepted(const struct listener *l);
