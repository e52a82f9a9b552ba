/* SPDX-License-Identifier: Apache-2.0 */
/* One subscription that we hold at someone else's notifier (RFC 6665 4.1). Mechanical: it keeps the dialog and the
 * timers and reports what happened; whether and when to subscribe again after an end is its owner's decision, who calls
 * sip_subscriber_start again.
 *
 * Each start leads to exactly one end: rejected() or ended(). Between start and end come accepted() (again after each
 * refresh) and notify(), in any order: a NOTIFY may overtake the answer to its SUBSCRIBE. A callback may start, stop or
 * free the subscriber. The first NOTIFY decides with which fork the dialog is; NOTIFYs of other forks are answered 481
 * (RFC 3856 6.9). Not thread-safe. */
#pragma once
#include "sip/dialog.h"
#include "sip/trans.h"

struct sip_subscriber;

enum sip_substate { SIP_SUB_PENDING, SIP_SUB_ACTIVE, SIP_SUB_TERMINATED };

struct sip_notification {
	enum sip_substate state;
	struct slice reason;      /* of terminated, empty when absent */
	int64_t retry_after;      /* seconds, -1 when absent */
	struct slice content_type, body;
	const struct sip_msg *msg; /* valid during the call */
	const struct sip_flow *from;
};

enum sip_ended {
	SIP_ENDED_TERMINATED,   /* a NOTIFY said so; notify() had it */
	SIP_ENDED_UNSUBSCRIBED, /* we asked for it (sip_subscriber_stop, or a poll), and it is confirmed or timed out */
	SIP_ENDED_NO_NOTIFY,    /* Timer N: accepted, but no NOTIFY came within 64*T1 */
	SIP_ENDED_EXPIRED,      /* could not be refreshed in time */
};

struct sip_subscriber_ops {
	/* A 2xx; `expires` seconds were granted. */
	void (*accepted)(void *arg, uint32_t expires);
	/* The end: a final answer other than 2xx that could not be mended. Timeout is 408, no way to send 503 (then
	 * `local` is true). retry_after in seconds, -1 when absent. */
	void (*rejected)(void *arg, int status, int64_t retry_after, struct slice reason, bool local);
	/* Returns the status for the NOTIFY: 200, or 400, 415 ... when the body is of no use. */
	int (*notify)(void *arg, const struct sip_notification *n);
	void (*ended)(void *arg, enum sip_ended why);
	/* Before each request within the dialog: the owner may change *flow (the last used one) for the URI of the next hop.
	 * May be NULL. */
	void (*route)(void *arg, struct slice next_hop, struct sip_flow *flow);
};

struct sip_subscriber_config {
	struct slice uri;       /* Request-URI and, in <>, To */
	struct slice from;      /* From value without tag: "<sip:juliet@example.net>" */
	struct slice to;        /* To value; empty: "<uri>" */
	struct slice contact;   /* Contact value: "<sip:...>" */
	struct slice event;     /* "presence" */
	struct slice accept;    /* "application/pidf+xml" */
	struct slice route;     /* Route value of the first request (outbound proxy); may be empty */
	const struct sip_extra *headers; /* on every SUBSCRIBE */
	size_t n_headers;
	uint32_t max_expires;   /* the most that a 423 may make us ask (0: 86400) */
};

/* Copies the config. */
struct sip_subscriber *sip_subscriber_new(struct sip_stack *s, const struct sip_subscriber_config *config,
					  const struct sip_subscriber_ops *ops, void *arg);
/* At once and silently: later NOTIFYs get 481 from the owner of the stack. Accepts NULL; returns NULL. */
struct sip_subscriber *sip_subscriber_free(struct sip_subscriber *sub);

/* A new SUBSCRIBE in a new dialog over `flow`. expires 0 polls once (RFC 6665 4.4.3). ENTENTE_EEXIST while one runs;
 * ENTENTE_ELIMIT; ENTENTE_EINVAL when the config cannot be written. */
int sip_subscriber_start(struct sip_subscriber *sub, const struct sip_flow *flow, uint32_t expires);
/* Asks again now, in the dialog (the notifier sends full state). ENTENTE_ENOTFOUND without one. */
int sip_subscriber_refresh(struct sip_subscriber *sub);
/* Unsubscribes in the dialog; ended() follows, after the last notify() as a rule. Without a dialog yet it is done as
 * soon as there is one. Harmless when nothing runs (no callback then). */
void sip_subscriber_stop(struct sip_subscriber *sub);

bool sip_subscriber_running(const struct sip_subscriber *sub);
/* Seconds until it expires, 0 when unknown or over. */
uint32_t sip_subscriber_remaining(const struct sip_subscriber *sub);
