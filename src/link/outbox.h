/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over a link and has to be answered, in order: it waits while no link can take it, within limits and for a limited time;
 * then it is on its way until the answer comes, at most a window full. When a link is lost, what was on its way over it is put back to
 * the front (nobody else has it, or twice does no harm) or given up (it may have been sent). One per worker, its
 * thread's alone; no I/O, time by the timer queue. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "base/reason.h"
#include "base/timer.h"

enum { LINK_TRIES = 5 }; /* links on which one item may have been under way when they broke: perhaps it is what breaks them */

struct link_item { /* first in the owner's record; made by link_item_new */
	struct list node;
	struct map_node by_id;
	uint64_t id;      /* never 0 and never twice, unless nobody answers */
	uint64_t via;     /* the link it went over; set by send() */
	uint64_t since;   /* it waits since then, ms */
	size_t octets;
	bool answered;    /* an answer follows: it is kept until then */
	bool again;       /* if its link is lost it waits again; else it fails */
	bool sent;
	bool rests;       /* link_outbox_rest */
	uint8_t lost;     /* links that broke while it was on its way */
};
/* Zeroed, `size` octets in all; the outbox frees it with mem_free, unless link_outbox_take gave it back. */
void *link_item_new(size_t size);

struct link_outbox_config { /* may change while it runs */
	uint32_t wait_ms;
	size_t waiting, waiting_octets; /* that may wait */
	size_t window, window_octets;   /* that may be on their way; one item always may */
};

struct link_outbox_ops {
	/* Hands it to a link and sets item->via. ENTENTE_EAGAIN: none takes it now, it waits (link_outbox_flush says when to try
	 * again); another error: it never can be. */
	int (*send)(void *arg, struct link_item *item);
	/* It could not be sent (in time), or may be lost. The item is freed afterwards. Never from inside link_outbox_put. */
	void (*failed)(void *arg, struct link_item *item, enum reason reason, struct slice why);
};

struct link_outbox {
	struct timers *timers;
	struct link_outbox_config cfg;
	const struct link_outbox_ops *ops;
	void *arg;
	struct list waiting, under_way;
	struct map by_id;
	size_t n_waiting, waiting_octets, n_under_way, under_way_octets;
	struct timer patience;
	bool flushing;
};

void link_outbox_init(struct link_outbox *o, struct timers *timers, const struct link_outbox_config *cfg, const struct link_outbox_ops *ops,
		      void *arg);
/* Silent. */
void link_outbox_free(struct link_outbox *o);
void link_outbox_set(struct link_outbox *o, const struct link_outbox_config *cfg);
/* Takes the item over. ENTENTE_ELIMIT: too much waits already; it is freed then. */
int link_outbox_put(struct link_outbox *o, struct link_item *item);
/* A link can take something again. */
void link_outbox_flush(struct link_outbox *o);
/* The answer came: the item, now the caller's (mem_free). NULL: it is not under way. */
struct link_item *link_outbox_take(struct link_outbox *o, uint64_t id);
/* The same, but only from the link that it went over: who is at the end of another one does not know. */
struct link_item *link_outbox_answer(struct link_outbox *o, uint64_t id, uint64_t via);
/* It is under way over that link, and its answer may take long: it counts in the window no more, or one slow receiver would keep all others
 * waiting. NULL: it is not under way there. */
const struct link_item *link_outbox_rest(struct link_outbox *o, uint64_t id, uint64_t via);
/* The item is there (waiting or under way). */
bool link_outbox_has(const struct link_outbox *o, uint64_t id);
/* This link is gone. What was under way over it waits again, in front and in its order, its time begins anew; or it fails for this
 * reason: when it may not be sent again, or has been lost LINK_TRIES times. */
void link_outbox_lost(struct link_outbox *o, uint64_t via, enum reason reason, struct slice why);
/* Everything that waits fails at once. */
void link_outbox_bounce(struct link_outbox *o, enum reason reason, struct slice why);
