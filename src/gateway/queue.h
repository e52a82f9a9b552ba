/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that were accepted, or are insured, and whose fate is not final: they lie in the journal (gateway_ops.queue_*) and come back after a
 * crash (docs/adr/0053). Private to the gateway.
 *
 *   SIP to XMPP   every text has an entry from the moment it is handed to the edge (queue_text) until it is confirmed. It goes into the
 *                 journal only when the edge says "handed over, not confirmed", or when it has to wait. message_taken answers it once,
 *                 when it is confirmed or durable; message_untaken when it is neither.
 *   XMPP to SIP   a text from a stream without acknowledgements goes into the journal as it comes (queue_insure; lazily, since nobody waits
 *                 for the disk), and out of it with its end. With `queue.unreachable: keep` one that a home cannot be given now waits (queue_keeps).
 *
 * What waits stands in lanes, one for each direction and pair of users: one at a time, in the order of the journal, and what comes
 * meanwhile goes behind it. Lanes that go the same way (a pair of domains) share a target: it backs off when that way is blocked, begins
 * with one lane when it opens again, and may be paused. Files: queue.c (entries and their ends), queue_lane.c (lanes, targets, time),
 * queue_behind.c (what a carrier has behind one that waits), queue_admin.c. */
#pragma once
#include "gateway/conversation.h"

enum {
	QUEUE_PATIENCE_MS = 5000,    /* keep: so long the sender of a text waits for a stream that comes up */
	QUEUE_UNSAFE_MS = 20000,     /* handed over, not confirmed, and the journal takes it not: its sender waits so long for the confirmation */
	QUEUE_RETRY_MIN_MS = 1000,
	QUEUE_RETRY_MAX_MS = 60000,
	QUEUE_WINDOW = 64,           /* lanes of one target that are under way together */
	QUEUE_CRASHES = 2,           /* as many crashes with it under way, and it is left alone */
	QUEUE_ALONE_MS = 50,         /* how often a suspect asks for its turn */
	QUEUE_ALONE_MAX_MS = 2000,   /* so long others wait for the fate of one: poison works at once, and there may be thousands */
	QUEUE_SPARES = 64,
};

struct queue_target;

struct queue_lane {
	struct map_node node; /* key: kind, local NUL remote */
	char *key;            /* owned */
	struct list ready;    /* target->lanes: something waits and nothing is under way */
	struct list entries;  /* of struct queue_entry, by journal number */
	size_t n_waiting;     /* those that are neither held nor in quarantine */
	struct queue_entry *busy; /* of them: the one that is under way */
	struct queue_target *target;
};

struct queue_target {
	struct map_node node; /* key: kind, local domain NUL remote domain */
	char *key;            /* owned */
	struct gateway *g;
	enum gateway_queue_kind kind;
	struct slice local, remote; /* domains, inside key */
	struct list lanes;    /* ready ones */
	size_t n_lanes;       /* all */
	struct timer retry;
	struct later pump;
	uint32_t backoff_ms;  /* 0: the last one went well */
	unsigned window, under_way;
};

struct queue_entry {
	struct map_node by_id, by_journal; /* the latter with `journal` */
	struct list node, expiring;
	struct gateway *g;
	struct queue_lane *lane; /* NULL: it stands in none */
	uint64_t id, journal;    /* journal 0: it is not there */
	enum gateway_queue_kind kind;
	int64_t accepted_at, expires_at; /* by the time of day; by queue_now */
	struct gateway_marks marks;
	bool durable, under_way, handed, reading, keep;
	bool answered;           /* its sender was told that it was taken */
	enum reason ending;      /* it ends with this as soon as its octets are there */
	struct seen_key name;    /* of the text, where it has one */
	bool has_name;
	uint64_t record;
	/* to XMPP */
	const struct incoming_way *way; /* who waits for the answer; NULL: nobody */
	uint64_t asked;
	enum reason room;        /* NONE: the journal had room when it was sent */
	int status;              /* of the answer once it is durable */
	struct timer patience;
	/* to SIP */
	struct outgoing *out;    /* its delivery, while under way */
	struct seen_run *seen;   /* while it is not */
	struct xmpp_receipt receipt; /* to be given back when it is durable */
	uint32_t place;              /* of suspects.c, until it is durable or over */
	/* addresses, then the octets of the stanza as long as they are needed */
	size_t n_local, n_remote, n_octets, octets;
	bool has_octets;
	char *mem;               /* owned; a spare entry keeps it for the next text */
	size_t cap;              /* octets of mem */
};

struct queue {
	struct map entries, journal; /* of struct queue_entry */
	struct map lanes, targets;
	struct map paused;        /* partners' domains */
	struct list expiring;     /* in the journal, by the end of their lives */
	struct timer expiry;
	struct list spares;       /* entries to be used again */
	unsigned n_spares;
	struct queue_entry *alone; /* a suspect that is under way, and no other */
	struct timer alone_limit;
	size_t n_waiting;
};

static inline struct slice queue_local(const struct queue_entry *e)
{
	return slice_of(e->mem, e->n_local);
}
static inline struct slice queue_remote(const struct queue_entry *e)
{
	return slice_of(e->mem + e->n_local, e->n_remote);
}
static inline struct slice queue_octets(const struct queue_entry *e)
{
	return slice_of(e->mem + e->n_local + e->n_remote, e->has_octets ? e->n_octets : 0);
}
static inline bool queue_on(const struct gateway *g)
{
	return g->ops->queue_put != NULL;
}

int64_t queue_now(const struct gateway *g);
void queue_init(struct gateway *g);
/* Everything stays in the journal. */
void queue_free(struct gateway *g);

/* ---- to XMPP, for message.c */
/* The text in g->out, from this request: handed to the edge, or in the journal behind others. */
void queue_text(struct gateway *g, const struct incoming *in);
/* What gateway_handed and gateway_sent say of a TICKET_TEXT. */
void queue_handed(struct gateway *g, const struct gateway_ticket *t, bool acks);
void queue_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why);

/* ---- to SIP, for message.c */
/* Has a text between these two to wait for others? */
bool queue_holds(struct gateway *g, enum gateway_queue_kind kind, struct slice local, struct slice remote);
/* Its stanza waits: journaled, the receipt goes back when it is durable. `seen` goes with it. The reason why not: nothing has happened. */
enum reason queue_stanza(struct gateway *g, struct outgoing *o, struct xmpp_receipt *r);
/* Before anybody has looked into it: it was under way when the process crashed. `name`: of suspects.c. */
enum reason queue_suspect(struct gateway *g, const struct stanza *st, uint64_t name, struct xmpp_receipt *r);
/* Is its name that of a suspect, so that it is not known yet whether it was delivered before? */
static inline bool queue_unread(const struct queue_entry *e)
{
	return e->kind == GATEWAY_TO_SIP && e->has_name && !e->name.v[1];
}
/* It goes on, but is in the journal until it is over. */
enum reason queue_insure(struct gateway *g, struct outgoing *o);
/* It cannot be delivered now for this reason. True: it waits in its lane and is gone. What the carriers had of the same two users and have not
 * sent went the same way, in the order in which it was said; where this one might wait but finds no room (false) it is still the caller's
 * (queue_behind.c). */
bool queue_defers(struct outgoing *o, enum reason reason);
/* queue.c, for queue_behind.c. May it wait for this reason, if the journal has room? */
bool queue_may_keep(const struct outgoing *o, enum reason reason);
/* The same, and this one alone does. True: the caller drops it, without a word. */
bool queue_keeps(struct outgoing *o, enum reason reason);
/* It is over: delivered, or its sender was told. */
void queue_over(struct gateway *g, struct queue_entry *e);
/* message_again could not even begin: later, or its sender is told. */
void queue_not_now(struct queue_entry *e, enum reason reason);
/* A home takes texts: what waits for it may go. */
void queue_home_well(struct gateway *g, struct slice local);

/* The stream between these domains came up. */
void queue_link(struct gateway *g, struct slice local_domain, struct slice remote_domain);

/* ---- message.c, for the queue */
/* Its sender is answered: 200, or 202 for what waits. */
void message_taken(struct gateway *g, const struct incoming_way *way, uint64_t id, int status);
/* It reached the stream. */
void message_handed(struct gateway *g, const struct incoming_way *way, uint64_t id);
/* Its sender is refused. */
void message_untaken(struct gateway *g, const struct incoming_way *way, uint64_t id, enum reason reason, struct slice why);
/* Delivers a stanza out of the journal to the SIP user; queue_over or queue_keeps end it, or queue_not_now. */
void message_again(struct gateway *g, struct queue_entry *e);
/* It was answered and is given up: its sender is told, where it can be. `octets` empty: they are not there any more. */
void message_given_up(struct gateway *g, struct queue_entry *e, enum reason reason);

/* ---- queue_lane.c, for queue.c */
/* Puts it where its turn comes; it is in the journal. */
void queue_wait(struct queue_entry *e);
/* It leaves its lane, which goes on. */
void queue_leave(struct queue_entry *e);
/* The way of this kind and these users is open, or blocked. */
void queue_well(struct queue_entry *e);
void queue_blocked(struct queue_entry *e);
/* A held one, or one in quarantine, does not keep others waiting. */
void queue_recount(struct queue_entry *e, uint8_t state);
void queue_expiry_add(struct queue_entry *e);
/* NULL: all. */
void queue_pump(struct gateway *g, struct queue_target *only);
bool queue_paused(const struct gateway *g, struct slice remote_domain);
void queue_lanes_init(struct gateway *g);
void queue_lanes_free(struct gateway *g);
/* ---- queue.c, for queue_admin.c and queue_lane.c */
/* NULL: it is not there. */
struct queue_entry *queue_in_journal(struct gateway *g, uint64_t id);
/* This is its state from now on. */
void queue_mark(struct queue_entry *e, uint8_t state);
/* Its turn has come. */
void queue_begin(struct queue_entry *e);
void queue_expire(struct queue_entry *e);
/* It is given up: its sender is told, then it is over. */
void queue_give_up(struct queue_entry *e, enum reason reason);
