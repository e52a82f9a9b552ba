/* SPDX-License-Identifier: Apache-2.0 */
/* Random lives: sequences of valid events on both sides against a gateway in its house, and a model of what the users see. A life is a list
 * of events, so that one that breaks a rule can be cut down; what each event does is a function of its numbers and of the model. */
#pragma once
#include "script.h"

enum { LIFE_EVENTS = 400, LIFE_TEXTS = 400, LIFE_CALLS = 64, LIFE_PENDING = 256, LIFE_USERS = 2, LIFE_CONTACTS = 2, LIFE_KINDS = 24 /* of events */ };

struct event {
	unsigned kind, a, b, c;
};

struct text {
	bool to_xmpp;
	unsigned user, contact;
	uint64_t at;
	struct slice id;          /* of the stanza of a contact, or of the one that came out */
	struct slice call_id;     /* of the request of a user */
	unsigned cseq;
	int finals, status;       /* answers to a user's request */
	int stanzas, failed_on_the_way, errors_sent; /* of what came out; partner's errors */
	int late_errors, notices; /* a partner's error after the answer; the message that tells the user of it */
	unsigned arrived;         /* at the home: place in the order of what came */
	int taken, errors;        /* by the home with 2xx; error stanzas to the contact */
	bool unknown;             /* a crash, or nobody ever told what became of it */
};

struct pending { /* a request of the gateway's without final answer */
	struct talk *talk;
	struct sip_msg *msg;
	uint64_t at;
	unsigned arrived;
	int text; /* -1: none */
};

struct call {
	struct talk *talk;
	bool by_home, open, over;
	unsigned user, contact;
};

struct todo { /* what a well-behaved server of the contact does when it gets it */
	struct slice type;
	int user, contact;
};

struct life {
	struct world *w;
	bool chaos;     /* the home answers when an event says so, the link fails ...; else both sides behave at once */
	bool slow;      /* without chaos: the home takes its time, what it was asked stays under way */
	int again[16];  /* texts whose dialog turned out to be gone: the user's client says them anew */
	int n_again;
	struct text text[LIFE_TEXTS];
	int n_texts;
	struct pending pending[LIFE_PENDING];
	int n_pending;
	struct call call[LIFE_CALLS];
	int n_calls;
	struct talk *looks[LIFE_CALLS]; /* SUBSCRIBE dialogs of users */
	struct slice shown_look[LIFE_CALLS]; /* what its user sees */
	uint64_t look_ends[LIFE_CALLS];
	int n_looks;
	int waiting[64]; /* texts whose stanza the link holds */
	int n_waiting;
	struct todo todo[64];
	int n_todo;
	/* what the users see */
	int last_to_xmpp[LIFE_USERS][LIFE_CONTACTS]; /* text numbers */
	unsigned arrivals;
	struct buf seen[LIFE_USERS][LIFE_CONTACTS]; /* texts that arrived, one a line, ">3" at the contact, "<4" at the user */
	bool asking[LIFE_USERS][LIFE_CONTACTS]; /* the contact's subscribe has no answer */
	struct buf story; /* what happened, to be read */
	unsigned shows[LIFE_USERS], contact_shows[LIFE_CONTACTS]; /* as both sides would tell now */
	struct slice shown_user[LIFE_USERS][LIFE_CONTACTS];    /* to the contact */
};

struct life *life_new(bool chaos);
void life_free(struct life *l);
void life_event(struct life *l, const struct event *e);
/* All becomes calm, and the rules of the end are checked. */
void life_end(struct life *l);
/* What user and contact have seen: texts in order, each way, then what became of each; without those that are unknown in either life.
 * In the world's arena. */
struct slice life_seen(struct life *l, const struct life *other, int user, int contact);
/* The gateway is killed and begins again. */
void life_kill(struct life *l);
void life_random(struct event *ret, unsigned *seed, bool chaos);
/* A rule is broken: the story, then the end of the process. */
void life_wrong(struct life *l, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
