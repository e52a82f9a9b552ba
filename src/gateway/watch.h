/* SPDX-License-Identifier: Apache-2.0 */
/* One XMPP user who watches one SIP user: watch_sip.c, which makes it and joins machine and subscription, and watch_care.c, which says when
 * the home may be asked, and whether anybody looks. Private to the gateway. */
#pragma once
#include "gateway/gateway_int.h"

struct watch {
	struct pair pair; /* first: local = presentity (our user), remote = watcher */
	struct gateway *g;
	struct xmpp_watcher *machine;
	struct sip_subscriber *sub;  /* the present subscription, or NULL */
	char *uri;                   /* of the presentity, owned */
	uint32_t home;
	uint32_t expires;            /* that the machine wants, while it waits for its turn */
	struct list turn;            /* in g->turns */
	struct list mates;           /* all of the same watcher */
	uint64_t judged;             /* generation of the policy that said the following */
	bool allowed, hide_notes;
	bool barred;                 /* asleep because policy said no: a policy that says yes wakes it */
	bool unreachable;            /* asleep because its server was not reached: a stream wakes it */
	bool eager;                  /* somebody is waiting for what is asked now */
	uint64_t record;             /* of the subscription that is being asked for */
	unsigned storing;            /* records on their way to the disk: the watcher is told nothing that a crash could take back */
	bool owed;                   /* "subscribed", when they are there */
	struct later gone;
};

/* ---- watch_sip.c */
struct watch *watch_find(struct gateway *g, struct slice presentity, struct slice watcher);
/* What policy says of this pair now; asked once for each policy. */
void watch_judge(struct watch *w);
/* SUBSCRIBE goes out now. */
void watch_ask(struct watch *w);

/* ---- watch_care.c */
/* The machine wants to subscribe: now, when somebody is waiting for it; else when it is its turn. */
void watch_turn(struct watch *w, uint32_t expires);
/* It does not any more. Harmless when it is not waiting. */
void watch_turn_cancel(struct watch *w);
/* The watcher itself wants something: it is there. */
void watch_heard(struct watch *w);
/* The home has extended the subscription: once a day the watcher's server is asked whether there is anybody to do it for (RFC 8048 8.1). */
void watch_extended(struct watch *w);
