/* SPDX-License-Identifier: Apache-2.0 */
/* What the other files of this room need of a loop. Private to src/net. */
#pragma once
#include "net/loop.h"

enum {
	LOOP_WIRE = 32768,                     /* one read(2) */
	LOOP_PLAIN = LOOP_WIRE + 20480 + 12288 /* all that one read and a partial TLS record before it can decrypt to */
};

enum { LOOP_SPARES = 64 };

struct event;

struct loop_spare { /* memory of a buffer that nobody uses now */
	char *mem;
	size_t cap;
};

struct loop_own {
	struct event *tick; /* wakes the wait for the next timer */
	uint64_t tick_due;
	bool stop;
	struct list hooks, reaps, signals;
	struct list conns;
	struct list shakers;     /* connections whose next TLS handshake step waits for its turn */
	uint64_t shaken_ns;      /* spent on handshakes in this turn */
	struct list eofs;        /* connections that the peer has ended, still to be looked at */
	struct list ends;        /* connections whose end is still to be told */
	unsigned ends_told;      /* in this turn */
	struct loop_stats stats;
	uint64_t woke;    /* when this turn began to work, 0 while waiting */
	unsigned short id;
	uint64_t conn_seq;
	char *wire, *plain; /* scratch, made on first use, LOOP_WIRE and LOOP_PLAIN octets */
	struct loop_spare spares[LOOP_SPARES];
	size_t n_spares;
	char *udp;          /* scratch of udp.c */
	/* The bus: `idle` returns true when work waits (do not sleep) or declares the thread asleep; `pump` does the work. */
	bool (*idle)(void *arg);
	void (*pump)(void *arg);
	void *bus_arg;
};

/* conn.c: goes on with the handshakes that wait, until this turn's share is spent. */
void conn_shake(struct loop *l);
/* conn.c: tells the ends that wait, as many as one turn may. */
void conn_tell_ends(struct loop *l);
