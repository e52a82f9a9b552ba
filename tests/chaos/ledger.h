/* SPDX-License-Identifier: Apache-2.0 */
/* The books of a chaos run (book.c), and who writes into them (ledger.c). One thread. Times are monotonic nanoseconds. */
#pragma once
#include "fleet.h"
#include "home.h"
#include "track.h"

#define OURS "contoso.test"
enum { TO_XMPP, TO_SIP };
/* QUIET_MS: so long nothing came any more, when it ends. */
enum { GROUPS_MAX = 16, MARKS_MAX = 8192, TICK_MS = 2, QUIET_MS = 2000, ENTRIES = 1 << 20, BODY_MAX = 8192, REASONS = 24, COPIES = 4 };

#define ANSWER_NS 40000000000u /* nobody waits longer for an answer */
extern const char *const side_names[2]; /* "to_xmpp" "to_sip" */

struct ledger;
struct group;

/* Stanzas of one partner's server, in order: those that the server under test has not taken yet, then those that were not sent yet. */
struct place {
	uint64_t seq, number; /* number: on the present stream; 0: not sent on it, or nobody counts */
};
struct queue {
	struct place *places; /* ring */
	size_t cap, first, n, unsent;
};
void queue_put(struct queue *q, uint64_t seq);
struct place *queue_at(struct queue *q, size_t i);
void queue_drop(struct queue *q); /* the first */
void queue_rewind(struct queue *q); /* the stream is gone: nothing was sent */

struct member { /* one partner */
	struct group *group;
	unsigned index;
	bool up;
	struct queue queue;
	struct timer again;
};

struct pair { /* of users: romeoN, julietN */
	unsigned number;
	struct member *member;
	uint64_t waits;       /* to XMPP: the message whose answer is awaited; one at a time, as a person writes */
	uint64_t ordinal[2];  /* the last one sent, by direction */
	uint64_t highest[2];  /* the highest one that came */
	uint64_t highest_sent[2]; /* when that was sent */
};

struct side { /* one direction of a group */
	uint64_t step, due;
	/* as they happen */
	uint64_t sent, accepted, refused, arrived, doubled, held_back, again;
	uint64_t repeated_late; /* copies that came after a later text of the same two users */
	struct track_times arrival, answer; /* since the last lap; microseconds in the place of nanoseconds, which end after 4.29 s */
	/* judged, when a message is old or at the end */
	struct {
		uint64_t sent, accepted, refused, unanswered, arrived, failed; /* failed: its sender was told, by error or notice, later */
		uint64_t unanswered_wrong; /* without a deed after which its connection broke */
		uint64_t lost;          /* accepted, never came, nobody was told */
		/* the same, but the partner's server, which acknowledges nothing, was cut off meanwhile: its kernel may have had it */
		uint64_t lost_there;
		uint64_t doubled, doubled_wrong; /* came more than once; without a deed that explains it */
		uint64_t disordered;    /* came after one that was sent when this one was already accepted */
		uint64_t refused_came, refused_came_wrong; /* the sender was told no, and it came all the same; without a deed that explains it */
		uint64_t silent, silent_wrong; /* from a partner that nobody acknowledges anything to: vanished; without a deed */
		uint64_t silent_ns;     /* the longest time from sending to the deed of one that vanished and is explained */
		uint64_t doubled_ns;    /* the longest time from confirmation to the deed of one that was doubled and is explained */
	} j;
	uint64_t lost_first[8];
	unsigned n_lost_first;
	struct { char text[48]; uint64_t n; } reasons[REASONS];
};

struct group {
	struct ledger *ledger;
	const char *name;
	struct fleet *fleet;
	bool acks, on;
	unsigned n, up, n_pairs, next_sip, next_xmpp;
	struct member *members;
	struct pair *pairs;
	unsigned watch_first, watch_next; /* who watches, as numbers of pairs */
	struct side sides[2];
	char trouble[200]; /* why the last stream ended */
};

struct entry { /* one message */
	uint64_t seq, due, sent, accepted, refused;
	uint64_t broken;   /* the connection that its answer had to come on ended */
	uint64_t came[COPIES];
	uint32_t think_ms[COPIES]; /* so long after it came the far side confirms */
	struct group *group;
	struct pair *pair;
	uint64_t ordinal;
	uint16_t status;   /* of SIP; 0: none yet */
	uint16_t arrivals;
	uint8_t side, link;
	bool failed, open, disordered;
	char more[24];
};

/* What is done, and what it may excuse (book.c). */
enum deed {
	DEED_NOTE,    /* nothing; times are counted from it */
	DEED_RESTART, /* ended in order: requests on a connection that it closes have no answer */
	DEED_CUT,     /* the ledger cut connections of a group, or of the home */
	DEED_KILL,    /* a process died at once */
	DEED_POWER,   /* ... and what was not synced with it */
	DEEDS,
};
extern const char *const deed_names[DEEDS];

struct mark {
	uint64_t at;
	enum deed kind;
	const struct group *group; /* of a cut: whose; NULL: the home's */
	char name[24];             /* empty: the ledger's own */
	/* the first time after it; 0: not yet */
	uint64_t sip_up, xmpp_up;
	uint64_t answered, arrived; /* of messages sent after it: 2xx; came to the home */
};

struct ledger {
	struct loop *loop;
	struct home *home;
	struct group groups[GROUPS_MAX];
	unsigned n_groups, users, n_pairs, home_links;
	uint32_t think_ms, home_think_ms, grace_ms, again_ms;
	uint32_t ends_ms; /* so long before a power cut ends of entries may not be on the disk: what was confirmed then may come again */
	size_t body;                  /* octets of a text, at least */
	int home_says;
	char run[16];
	struct timer tick, end;
	uint64_t give_up, last_event; /* milliseconds of the loop */
	struct entry *entries;        /* ring by number */
	uint64_t next, judged;        /* numbers: the next, the first that is not judged */
	struct mark *marks;           /* in the order of their times */
	unsigned n_marks;
	uint64_t deeds[DEEDS], home_cuts;
	uint64_t notices;             /* texts to SIP users that are none of ours */
};

void book_init(struct ledger *l);
void book_free(struct ledger *l);
void times_init(struct side *s);

/* The number in a text of this run, at its beginning; anywhere in it. */
bool text_seq(const struct ledger *l, struct slice text, uint64_t *ret);
bool text_find(const struct ledger *l, struct slice text, uint64_t *ret);

/* A message is about to be sent. The oldest ones are judged when the ring is full. */
struct entry *book_open(struct ledger *l, struct group *g, struct pair *p, unsigned side, uint64_t due);
/* It was not sent after all. */
void book_forget(struct ledger *l, struct entry *e);
/* NULL: judged already, or never ours. */
struct entry *book_find(struct ledger *l, uint64_t seq);
void book_answer(struct ledger *l, struct entry *e, int status, struct slice reason);
void book_acked(struct ledger *l, struct entry *e);
void book_arrived(struct ledger *l, struct entry *e);
void book_failed(struct ledger *l, struct entry *e, struct slice why);
/* `at`: when it was done; it may be told later. `group`: of a cut. */
void book_mark(struct ledger *l, enum deed kind, struct slice name, const struct group *group, uint64_t at);
/* A field of the last marks that is not set yet becomes now. */
void book_event(struct ledger *l, size_t field);
/* How many messages may still come to something. */
unsigned book_unsettled(struct ledger *l);
void book_lap(struct ledger *l);
/* Judges all that is not judged yet. */
void book_judge(struct ledger *l);
/* The same, and prints the account. */
void book_report(struct ledger *l);
