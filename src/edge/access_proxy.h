/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy core of the Access Edge: a stateful SIP proxy (RFC 3261 16, RFC 6026, 4320, 5393) between two transaction layers, the inner
 * one towards the homes and the outer one towards partners, which share nothing else. Sans-I/O: requests come in from the stacks'
 * callbacks, ways to partners are asked for by ops->way, everything else goes through the stacks. Messages go on as they came, edited
 * in place (sip/edit.h): our Via is on top, Record-Route twice, once for each side (RFC 5658), Routes that name us are taken off,
 * Max-Forwards counts down, trust headers do not cross (edge/access_headers.h).
 *
 * As a clearing house it carries from one partner to another, too: both legs are on the outer side then, one Record-Route is enough, and what
 * is told and hidden is what any partner is told; nobody's topology is hidden from anybody else.
 *
 * Whether a request may pass at all is decided before: inward by the caller with policy_decide, outward by whoever finds the way.
 * One for each worker, not thread-safe. */
#pragma once
#include "edge/access_headers.h"
#include "edge/access_hide.h"
#include "policy/record.h"
#include "sip/trans.h"

struct access_proxy;
struct access_guest;

enum { ACCESS_ATTEMPTS = 3 }; /* ways that one request is tried on */

struct access_own { /* a name of ours in Route and Request-URI; port 0: any */
	struct slice host;
	uint16_t port;
};

/* What the administrator decides for all requests. */
struct access_rules {
	uint32_t methods;        /* 1u << enum sip_method | ...: those that pass. CANCEL always: it belongs to a request that did */
	bool telephone;          /* Request-URIs that are telephone numbers ("+4930...", user=phone) pass; tel URIs never: they name no domain */
	bool public_diagnostics; /* our refusals tell partners a number and a text (ms-diagnostics-public), as Lync's SendToExternalNetworks */
	bool hide;               /* partners do not see what is behind us; needs keys */
	struct access_hide_keys keys;
};
extern const struct access_rules access_rules_default;

struct access_proxy_ops {
	/* Which outside connection carries this request to a partner? Answered by access_proxy_way or access_proxy_refuse with the same `leg`,
	 * once, now or later. `attempt` counts from 0: the ways given before were of no use; `busy`: the last one led to a server that said
	 * 503, else it broke. The message is valid during the call. */
	void (*way)(void *arg, uint64_t leg, const struct sip_msg *m, struct slice local, struct slice remote, const struct sip_flow *from,
		    unsigned attempt, bool busy);
	/* A home's request has no way (`reason`) and went nowhere: true when somebody else takes it, with its arena, and answers. May be NULL. */
	bool (*elsewhere)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason);
	/* The leg needs no way any more (cancelled). May be NULL. */
	void (*forget)(void *arg, uint64_t leg);
	/* A flow to a home, and the URI that names us there (for Record-Route). False: there is no such home. */
	bool (*home)(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact);
	/* An inward request of `sender` was answered with this status. May be NULL. */
	void (*outcome)(void *arg, uint64_t sender, int status);
	/* A request is answered finally, over, or goes another way: the guest that it was given with, once. May be NULL when no guests are. */
	void (*over)(void *arg, struct access_guest *guest);
	/* Something goes on its way: a request, or an answer to one that went `outward`; as it came. May be NULL. */
	void (*passed)(void *arg, bool outward, const struct sip_msg *m);
};

struct access_proxy_config {
	struct sip_stack *inner, *outer;
	struct arena_pool *pool;
	unsigned worker;            /* written into our branches on the inner side, see access_branch_worker */
	struct slice outer_name;    /* "edge.contoso.com:5061": Via and Record-Route towards partners */
	struct slice route_name;    /* in Record-Route instead of it; may be empty */
	const struct access_own *own; /* all our names, of either side */
	size_t n_own;
	size_t max_legs;            /* requests that wait for an answer; 0: 20000 */
	struct record_log *records; /* the worker's decision log; NULL: none. What a request became is told to the record of its transaction */
};

/* All borrowed until free. */
struct access_proxy *access_proxy_new(const struct access_proxy_config *cfg, const struct access_proxy_ops *ops, void *arg);
/* The rules of the requests that come from now on; a new proxy has access_rules_default. */
void access_proxy_set(struct access_proxy *p, const struct access_rules *rules);
/* Before the stacks. Accepts NULL; returns NULL. */
struct access_proxy *access_proxy_free(struct access_proxy *p);

/* What the decision about an inward request was. */
struct access_terms {
	uint32_t home;
	struct access_marks marks;
	uint64_t sender;   /* for ops->outcome */
	struct access_guest *guest; /* for ops->over, or NULL */
};

/* A request of a home for a partner, as sip_stack_ops.request of the inner stack gives it; the arena is the proxy's from here on. */
void access_proxy_outward(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* ... and the way: the outside connection, and how the request is marked. `guest`: for ops->over, or NULL. */
void access_proxy_way(struct access_proxy *p, uint64_t leg, const struct sip_flow *to, const struct access_marks *marks, struct access_guest *guest);
/* No way, or not allowed: answered with the reason's status. `why`: for ms-diagnostics and the log, may be empty. */
void access_proxy_refuse(struct access_proxy *p, uint64_t leg, enum reason reason, struct slice why);

/* What is known of a leg whose way is being looked for. */
struct access_leg {
	uint64_t record;           /* in the decision log; 0: none */
	uint64_t last;             /* the outside connection that it was given last (sip_flow.conn), 0 for none: what attempt > 0 must not take again */
	bool transit;              /* it is one of access_proxy_transit */
	size_t own_routes, routes; /* Routes on top that name us; all of them */
};
void access_proxy_leg(struct access_proxy *p, uint64_t leg, struct access_leg *ret);

/* A request of a partner that may pass. The arena is the proxy's. */
void access_proxy_inward(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
			 const struct access_terms *terms);

/* A request of a partner for another one that may pass on the sender's side; ops->way finds the other side, and judges it. Of the terms, marks.verified
 * says whether the sender is vouched for; home counts for nothing. The arena is the proxy's. */
void access_proxy_transit(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
			  const struct access_terms *terms);

/* In a dialog, what the mark in our Record-Route says that it was made with: users of ours, or between two partners. A request may not cross over. */
enum access_place { ACCESS_PLACE_ANY, ACCESS_PLACE_HOME, ACCESS_PLACE_PARTNER };

/* Looks at a request before it is judged: what it is about, and what can be answered here. */
struct access_look {
	struct slice local, remote; /* domains */
	enum policy_kind kind;
	bool media;                 /* policy_sip.media */
	enum access_place place;    /* of a partner's request */
	size_t own_routes, routes;  /* as in struct access_leg */
	bool for_us;                /* answered by us: OPTIONS to the edge itself, NEGOTIATE */
	int status;                 /* not 0: to be refused with this status ... */
	enum reason reason;         /* ... for this reason, unless REASON_NONE */
	struct slice header, value; /* ... and this header */
};
void access_proxy_look(struct access_proxy *p, const struct sip_msg *m, struct arena *a, bool outward, struct access_look *ret);

/* Answers as `look` says (for_us or status), with what each side may learn: homes the reason and ms-diagnostics, partners the
 * status alone, or what access_rules.public_diagnostics lets them know. */
void access_proxy_answer(struct access_proxy *p, struct sip_server_trans *st, bool outward, const struct access_look *look);
/* ... and for a reason alone. */
void access_proxy_reject(struct access_proxy *p, struct sip_server_trans *st, bool outward, enum reason reason, struct slice why);
/* Counts a request that was refused before it came to the proxy. */
void access_proxy_rejected(enum sip_method method, enum reason reason);

/* Callbacks of either stack, for transactions whose user pointer is set: they are the proxy's. */
void access_proxy_cancelled(struct access_proxy *p, struct sip_server_trans *st);
void access_proxy_gone(struct access_proxy *p, struct sip_server_trans *st);

/* What a request is to policy. */
enum policy_kind access_kind(enum sip_method m);
/* Does it ask for audio or video, or not say for what: an INVITE without an offer, a body that is encoded? */
bool access_media(const struct sip_msg *m);
/* The domain that a request of a home is for: of the Request-URI; of To inside a dialog. */
struct slice access_target(const struct sip_msg *m);
/* Which worker sent the request that this response answers: true when its topmost Via is of a proxy of ours. */
bool access_branch_worker(const struct sip_msg *m, unsigned *ret);

struct access_leg_facts {
	bool outward, transit; /* transit: outward, too */
	struct slice method, from, to; /* valid during the call; from and to: empty once an answer has come, unless it is an INVITE */
	struct slice domain;           /* the partner's */
	const char *state;             /* "locating" "trying" "proceeding" */
	uint64_t age_ms;
};
void access_proxy_each(struct access_proxy *p, void (*fn)(void *arg, const struct access_leg_facts *f), void *arg);
size_t access_proxy_legs(const struct access_proxy *p);
