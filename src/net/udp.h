/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram socket on one loop. Datagrams come and go in batches (recvmmsg, sendmmsg): what is sent in one turn leaves in
 * one system call. Loop's thread only. */
#pragma once
#include "net/addr.h"
#include "net/loop.h"

struct udp;

struct udp_opts {
	struct addr addr; /* local; port 0: any */
	/* One datagram; the slice is valid for the call. Empty ones are passed on too. udp_close may be called from here. */
	void (*data)(struct udp *u, const struct addr *from, struct slice in);
	void *owner;
	bool kept; /* the socket outlives the process where somebody keeps it (kept.h), and is taken from there */
	/* Octets waiting to be sent; 0 = 1 MiB. What does not fit is dropped and counted. */
	size_t queue_max;
};

int udp_open(struct udp **ret, struct loop *l, const struct udp_opts *o, struct entente_err *err);
/* Accepts NULL; returns NULL. Sends what is queued if the socket takes it. */
struct udp *udp_close(struct udp *u);
/* Copied. ENTENTE_ELIMIT when the queue is full or the datagram exceeds 65507 octets; the network's own refusals are only
 * counted. */
int udp_send(struct udp *u, const struct addr *to, struct slice s);
void *udp_owner(const struct udp *u);
const struct addr *udp_addr(const struct udp *u);

struct udp_counts {
	uint64_t in, out, in_octets, out_octets, in_cut, out_dropped;
};
void udp_counts(const struct udp *u, struct udp_counts *ret);
