/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy core of the Access Edge between two transaction layers under a virtual clock, without sockets and without cmocka: for unit tests
 * and for the fuzz target. Octets go in on one side (as a message, or as a stream through a framer), octets come out on the other. Our names
 * are edge.ours.test:5061 towards partners and 10.0.0.2:5060 towards the home. */
#pragma once
#include "edge/access_proxy.h"
#include "sip/frame.h"

enum { RIG_INNER, RIG_OUTER, RIG_SENT_MAX = 512 };

struct rig_sent {
	struct slice octets; /* owned; a NUL stands behind them */
	struct sip_flow to;
};

struct rig;
struct rig_side {
	struct rig *rig;
	int which;
	struct sip_stack *stack;
	struct rig_sent sent[RIG_SENT_MAX];
	size_t n, read; /* read: how many rig_next has given */
	bool refuse;    /* nothing can be sent */
};

struct rig {
	struct timers timers;
	struct arena_pool *pool;
	struct rig_side side[2];
	struct access_proxy *proxy;
	struct access_terms terms;   /* of every inward request */
	struct access_marks marks;   /* of every outward one */
	enum { RIG_AT_ONCE, RIG_LATER, RIG_LOST } way; /* LATER: by rig_give_way; LOST: refused, no SRV record */
	uint64_t leg;
	unsigned ways, busy_ways, forgotten, received;
	uint32_t conn;               /* of the last way */
	bool transit;                /* what partners send is for another one */
	bool tls_home, one_conn;     /* the home is reached by TLS; all ways lead over connection 1 */
	bool broken;                 /* what is being sent answers a message that did not parse */
	int last_outcome;
	bool guests;                 /* `terms` and ways come with a guest; how often each was told to be over */
	unsigned over_caller, over_guest;
	void (*on_sent)(struct rig *r, int which, struct slice octets); /* instead of keeping it */
};

void rig_start(struct rig *r);
/* Sets rules that are not the default. */
void rig_start_with(struct rig *r, const struct access_rules *rules);
void rig_end(struct rig *r);

struct sip_flow rig_flow(int which, uint32_t conn);
/* One message. False: it did not parse; what sip_msg_parse says is answered, as the edge does. */
bool rig_feed(struct rig *r, int which, uint32_t conn, struct slice octets);
/* A stream, as the edge reads it: false when a framing error ended it. `*ret_used`: octets that are not needed any more. The framer must have
 * seen nothing else. */
bool rig_stream(struct rig *r, int which, struct sip_framer *f, struct slice in, size_t *ret_used);
void rig_give_way(struct rig *r);
void rig_run(struct rig *r, uint64_t ms);
/* The next message that was sent on this side; p == NULL when there is none. */
struct slice rig_next(struct rig *r, int which);
