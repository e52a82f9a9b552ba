/* SPDX-License-Identifier: Apache-2.0 */
/* Many XMPP servers of partners in one process: each has a domain, a certificate and an address of its own, opens one stream to
 * the server under test and takes those that it opens. Our own stream engine (src/xmpp) over our own connections (src/net).
 * Everything runs on the loop; callbacks may call anything here but fleet_free. */
#pragma once
#include "base/err.h"
#include "net/conn.h"
#include "xmpp/stanza.h"
#include "xmpp/stream.h"

struct fleet;

struct fleet_opts {
	unsigned n;                /* domains: PREFIX0000.SUFFIX and up */
	const char *prefix, *suffix;
	const char *server;        /* domain of the server under test */
	const char *certs;         /* directory with the certificate of each domain (see mint.h) */
	const char *trust;         /* file */
	struct addr listen, target;
	struct addr from;          /* connections of the first domain's server leave from it, those of the others from the next networks (/24) */
	bool dialback;             /* prove the domain by dialback instead of EXTERNAL; questions of the other side are not asked back */
	bool acks;                 /* XEP-0198 */
	uint32_t think_ms;         /* a stanza that came counts as taken only so long after */
	int netns;                 /* > 0: descriptor of the network namespace that all its sockets live in (needs root) */
	/* The stream that we opened is authenticated; it ended, or could not be had (then `why` says it). */
	void (*up)(void *arg, unsigned i);
	void (*down)(void *arg, unsigned i, struct slice why);
	/* On a stream that the server under test opened. The stanza stays the fleet's. */
	void (*stanza)(void *arg, unsigned i, const struct xmpp_stanza *st);
	/* The server under test has taken the first n stanzas of the stream that we opened; n as fleet_sent counts. NULL: nobody asks. */
	void (*acked)(void *arg, unsigned i, uint64_t n);
	void *arg;
};

/* Reads all certificates. */
int fleet_new(struct fleet **ret, struct loop *loop, const struct fleet_opts *o, struct entente_err *err);
/* Cuts what is open. Accepts NULL; returns NULL. */
struct fleet *fleet_free(struct fleet *f);

const char *fleet_domain(const struct fleet *f, unsigned i);
/* Opens our stream, unless it is there. */
void fleet_dial(struct fleet *f, unsigned i);
/* False when the stream is not up, or takes no more. */
bool fleet_send(struct fleet *f, unsigned i, struct slice stanza);
/* Stanzas sent on our present stream so far; 0 when it does not count them (XEP-0198). */
uint64_t fleet_sent(const struct fleet *f, unsigned i);
/* Whether connections are taken at all; else its port is closed. ENTENTE_ENET as listener_new. At first they are. */
int fleet_listen(struct fleet *f, bool on, struct entente_err *err);
/* Nothing is read any more, on no connection, until it is released. */
void fleet_hold(struct fleet *f, bool hold);
/* Every connection is cut at once, without good-bye and without callbacks. */
void fleet_cut(struct fleet *f);
/* Every stream is closed as it should be. */
void fleet_close(struct fleet *f);

struct fleet_counts {
	unsigned out, in;       /* streams authenticated now */
	unsigned conns;         /* connections open now, also those that come up */
	uint64_t accepted, dialled, failed; /* since the beginning; failed: ended before they were authenticated, either way */
};
void fleet_counts(const struct fleet *f, struct fleet_counts *ret);
