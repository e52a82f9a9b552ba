/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a connection: conn.c is its life and interface, conn_io.c moves octets, conn_tls.c is the handshake and
 * OpenSSL's view of the socket. Private to src/net. */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include "base/buf.h"
#include "net/conn.h"
#include "net/tls_int.h"

enum conn_state {
	CONN_CONNECTING,
	CONN_PLAIN,
	CONN_UPGRADING, /* conn_start_tls was called; the plain queue leaves first */
	CONN_HANDSHAKE,
	CONN_SECURED,
	CONN_CLOSED,    /* no socket any more; `closed` may still have to be told */
};

struct conn {
	struct list node;   /* in the loop's list */
	struct list shaker; /* in the loop's queue of handshakes, then nothing is read; or in that of ends to be told */
	struct loop *loop;
	const struct conn_ops *ops;
	void *owner;
	int fd;
	int user_timeout;        /* as the socket has it, ms */
	struct event rd, wr;
	enum conn_state state;
	bool inbound, dead;        /* dead: conn_free was called, memory goes at the end of the turn */
	bool tell_connected, tell_closed, told_eof;
	bool reading, writing;     /* the events are added */
	bool want_input;           /* held input is to be delivered again */
	bool delivering;           /* data() runs: `in` must stay where it is */
	bool fin, close_notify;    /* what the peer has ended */
	bool cut;                  /* FIN without close_notify */
	bool shut_wanted, shut_sent; /* what we have ended */
	bool closing, discard;     /* conn_close; and nobody listens any more */
	bool congested, write_blocks_read; /* SSL_read wants to write first */
	unsigned paused;
	struct conn_limits limits;
	struct buf in, out;
	struct buf early;          /* TLS octets read but not yet given to OpenSSL */
	const char *rx;            /* TLS octets of the present read, in the loop's scratch */
	size_t rx_len;
	struct tls_link tls;
	struct tls_peer *peer;
	struct conn_tls tls_start; /* direct TLS, kept until connected; its slices point into tls_text */
	struct buf tls_text;
	bool tls_at_once;
	struct timer timer;
	struct loop_hook hook, reap;
	struct entente_err *why;
	struct gate_pass *pass;
	struct addr remote, local;
	uint64_t id, born, last_io;
	uint64_t tls_since;        /* when the handshake began */
	uint64_t in_octets, out_octets, in_wire, out_wire;
	uint64_t acked;            /* conn_acknowledged */
	uint64_t mark, mark_wire;  /* when so many of out_wire are acknowledged, so many of out_octets are; mark 0: none */
	bool forsaken;             /* what waited to be sent was thrown away */
};

/* Asks for conn_work at the end of this turn. */
void conn_later(struct conn *c);
/* Adds or removes the read event as the state wants it. */
void conn_watch(struct conn *c);
void conn_watch_write(struct conn *c, bool on);
/* The end for a reason; `closed` is told at the end of the turn. Harmless after the end. */
void conn_end(struct conn *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Arms the one timer for what the present state waits for. */
void conn_arm(struct conn *c);

/* conn_io.c */
void conn_on_readable(struct conn *c);
/* Plain octets to the owner, who may do anything; false when the connection must not be touched further by the caller. */
bool conn_deliver(struct conn *c, struct slice in);
/* Decrypts and delivers what OpenSSL, early and rx hold. */
void conn_decrypt(struct conn *c);
/* Sends what can be sent, tells drained, goes on with an upgrade or the closing. */
void conn_flush(struct conn *c);
/* One silent attempt to send the queue (last words). */
void conn_flush_once(struct conn *c);
/* The peer has ended: tell, or close. */
void conn_on_eof(struct conn *c);
/* Gives the memory of an empty buffer back to the loop's spares. */
void conn_lend(struct conn *c, struct buf *b);
void conn_unlend(struct conn *c, struct buf *b);

/* conn_tls.c */
int conn_tls_open(struct conn *c, const struct conn_tls *t, struct entente_err *err);
void conn_handshake(struct conn *c);
/* The peer makes more key updates than its data could be a reason for: each costs us two derivations, a flood of them all our time. */
bool conn_tls_restless(const struct conn *c);
/* Ends for `text` from the error queue, or for errno when it is empty. */
void conn_tls_fail(struct conn *c, const char *during, const char *text);

/* For loop_free. */
void conn_free_all(struct loop *l);
