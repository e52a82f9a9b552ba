/* SPDX-License-Identifier: Apache-2.0 */
/* Who looks at the world for the judges. For a program of its own: functions wait (for DNS, connections, the disk), each some seconds at
 * most; nothing is changed, nothing is sent but look-ups, connections to our own public names, and requests for our own revocation lists.
 * What was found lies in the arena; so do all slices of the facts. One thread. */
#pragma once
#include "check/facts.h"

struct check_options {
	const char *socket;            /* of the daemon; NULL: as configured */
	struct slice resolver;         /* instead of dns.servers: an address, with an optional @port; empty: as configured */
	const struct slice *clocks; size_t n_clocks; /* URLs whose HTTP date is compared with our clock */
	/* What takes long tells how far it is; may be NULL. */
	void (*progress)(void *arg, const char *text);
	void *arg;
};

struct check_looking;
/* Begins: addresses of this machine, then what was asked for below. f->config, site and plan are set already and outlive it. `f` keeps what
 * is found; end with check_look_end. */
struct check_looking *check_look_begin(struct check_facts *f, struct arena *a, const struct check_options *o);
/* Accepts NULL; returns NULL. The facts stay valid (tls_peer facts too, until check_facts_free). */
struct check_looking *check_look_end(struct check_looking *x);

void check_look_certs(struct check_looking *x);     /* files */
void check_look_lists(struct check_looking *x);     /* revocation lists of these, and the clocks of who serves them; after certs */
void check_look_dns(struct check_looking *x);       /* after certs, when there are any */
void check_look_listeners(struct check_looking *x); /* after system */
void check_look_probes(struct check_looking *x);    /* after dns */
void check_look_time(struct check_looking *x);      /* after lists */
void check_look_disk(struct check_looking *x);      /* after system */
void check_look_system(struct check_looking *x);

/* What is on the heap of the facts. */
void check_facts_free(struct check_facts *f);
