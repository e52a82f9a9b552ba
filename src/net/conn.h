/* SPDX-License-Identifier: Apache-2.0 */
/* A stream connection, TCP or TLS, owned by one loop and used only on its thread. Reads go through buffers that the loop's
 * connections share, so an idle connection holds no buffer; writes gather in the send buffer and leave in one system call
 * at the end of the turn. Nothing is allocated per message.
 *
 * Life: conn_connect or conn_accept -> connected -> [secured] -> data ... -> closed, then conn_free by the owner. Every
 * callback comes from the loop, never from inside a call to this interface. Any function, conn_free included, may be
 * called from any callback. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/loop.h"
#include "net/tls.h"

struct conn;
struct gate_pass;

struct conn_ops { /* static; each may be NULL except data and closed */
	/* TCP is up (outbound and accepted alike); plain connections may write from here on. */
	void (*connected)(struct conn *c);
	/* The TLS handshake is done; writes may begin. Decide now from the facts (valid as long as the connection). */
	void (*secured)(struct conn *c, const struct tls_peer *peer);
	/* All input not consumed yet. Returns how many octets it took; the rest comes again in front of new input. Taking
	 * nothing of conn_limits.in_max or more octets ends the connection (ENTENTE_ELIMIT). `in` is valid for the call. */
	size_t (*data)(struct conn *c, struct slice in);
	/* The send queue has fallen to out_low after conn_congested was true. */
	void (*drained)(struct conn *c);
	/* The peer will send no more (FIN or close_notify); `rest` octets were left unconsumed. Writing still works. NULL:
	 * the connection closes. */
	void (*eof)(struct conn *c, size_t rest);
	/* The end, exactly once, unless conn_free or conn_discard came first. code ENTENTE_OK after conn_close or an
	 * orderly end by the peer; ECLOSED reset or cut; ENET connect or socket failure; ETIMEOUT; ETLS; ELIMIT. The
	 * object stays readable until conn_free. */
	void (*closed)(struct conn *c, const struct entente_err *why);
};

struct conn_limits {
	size_t in_max;       /* unconsumed input, octets: the largest message */
	size_t out_max;      /* send queue; a write beyond it fails as a whole */
	size_t out_high, out_low; /* congestion marks */
	uint32_t connect_ms, handshake_ms;
	uint32_t idle_ms;    /* no octet either way; 0 = never */
	uint32_t unacked_ms; /* octets sent that the other system does not acknowledge, or takes none of, for so long end the connection; 0: 120 s */
	uint32_t linger_ms;  /* how long an orderly close waits for the send queue and the peer */
};
/* 64 KiB in, 1 MiB out, 256/64 KiB marks, 10 s, 10 s, never, 5 s. */
extern const struct conn_limits CONN_LIMITS_DEFAULT;

struct conn_tls { /* slices are copied where needed */
	struct tls_ctx *ctx;
	bool server;
	/* As client: */
	struct slice sni;         /* not sent when empty or an IP literal */
	struct slice alpn;        /* one protocol, or empty */
	enum tls_slot slot;       /* which certificate to show */
	/* Resumption: sessions are kept per key; include whatever trust depends on (partner, target). Empty: none. */
	struct slice session_key;
};

struct conn_opts {
	const struct conn_ops *ops;
	void *owner;
	const struct conn_limits *limits; /* copied; NULL = default */
	const struct conn_tls *tls;       /* not NULL: TLS at once */
	const struct addr *bind;          /* outbound: local address, or NULL */
	struct gate_pass *pass;           /* inbound: released when the socket closes */
};

/* Begins a connection; failure to connect is reported through closed, later. ENTENTE_ENET when no socket can be had. */
int conn_connect(struct conn **ret, struct loop *l, const struct addr *to, const struct conn_opts *o, struct entente_err *err);
/* Takes over a connected socket, on failure too (it is then closed and the pass released). A unix socket will do; conn_remote is 0.0.0.0
 * then. */
int conn_accept(struct conn **ret, struct loop *l, int fd, const struct conn_opts *o, struct entente_err *err);

/* TLS from here on (STARTTLS). Usable once per plain connection, from data or elsewhere. What is queued for sending leaves
 * in plain first; input that data() did not consume is treated as TLS records, never as plain text (RFC 6120 5.4.3.3; it
 * makes an injection fail). Until secured, conn_write fails. */
int conn_start_tls(struct conn *c, const struct conn_tls *t, struct entente_err *err);

/* Appends to the send queue; the octets are copied. 0; ENTENTE_EAGAIN before connected or secured (nothing may be queued);
 * ENTENTE_ELIMIT over out_max, nothing appended; ENTENTE_ECLOSED after conn_shutdown, conn_close or the end. */
int conn_write(struct conn *c, struct slice s);
/* All or nothing. */
int conn_writev(struct conn *c, const struct slice *v, size_t n);
/* The send queue is over out_high (until drained): stop producing. */
bool conn_congested(const struct conn *c);
size_t conn_queued(const struct conn *c);
/* How many octets were written so far, and of how many of them it is known that the other system's kernel has them, while the connection
 * lives: one system call. Where much is under way it lags behind, by what was written since it was last asked. Taken by the kernel is not
 * read by the program: what the peer does with it is another question. */
uint64_t conn_written(const struct conn *c);
uint64_t conn_acknowledged(struct conn *c);

/* Backpressure on the peer: no data events until resumed. Octets already read are kept. Counted: as many resumes as pauses. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Half-close: sends what is queued, then close_notify and FIN; reading goes on until eof. */
void conn_shutdown(struct conn *c);
/* Orderly end: sends what is queued, then close_notify and FIN, discards input until the peer has closed or linger_ms are
 * over; then closed (ENTENTE_OK). */
void conn_close(struct conn *c);
/* conn_close for an owner that goes away: no callbacks any more, the connection frees itself. */
void conn_discard(struct conn *c);
/* Ends at once; no callbacks any more. Accepts NULL; returns NULL. Queued octets are lost (one attempt to send them is
 * made). */
struct conn *conn_free(struct conn *c);

/* The peer of an inbound connection is known: its gate counts it no longer among the unproven. */
void conn_prove(struct conn *c);
/* A connection changes hands (protocol sniffing, hand-over after authentication). */
void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *owner);
void *conn_owner(const struct conn *c);
void conn_set_limits(struct conn *c, const struct conn_limits *limits);
/* For a caller's connection: gate_handshake. */
uint64_t conn_handshake_wait(const struct conn *c);
/* NULL before secured. */
const struct tls_peer *conn_peer(const struct conn *c);
/* As tls_peer_dane, with the whole chain that the peer has shown: usages 0 to 3. From `secured` on, while the connection lives.
 * On a resumed session a server does not have the chain any more: then the leaf alone is judged. */
enum tls_dane conn_dane(const struct conn *c, const struct tls_tlsa *records, size_t n);
/* The verified chain that the peer has shown, from `secured` on. NULL when it was not believed, or (on a resumed session) is not known. */
struct tls_path *conn_path(const struct conn *c);
const struct addr *conn_remote(const struct conn *c);
uint64_t conn_id(const struct conn *c);

struct conn_facts {
	uint64_t id; /* unique in the process */
	const char *state; /* connecting plain handshake secured closing closed */
	bool inbound, congested, paused, eof, shut;
	struct addr remote, local;
	uint64_t in_octets, out_octets;   /* application data */
	uint64_t in_wire, out_wire;       /* on the socket */
	size_t in_held, out_queued;
	uint64_t age_ms, idle_ms;
	const struct tls_peer *peer;      /* or NULL */
	void *owner;
};
void conn_show(const struct conn *c, struct conn_facts *ret);
/* Visits every connection of a loop; fn must not free any. */
void conn_each(struct loop *l, void (*fn)(void *arg, struct conn *c), void *arg);
