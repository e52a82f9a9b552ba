/* SPDX-License-Identifier: Apache-2.0 */
/* A text to a SIP user that cannot be delivered now waits in its lane; what the carriers have of the same two users and have not sent goes
 * there with it, in the order in which it was said, else it would overtake, or be overtaken. */
#include "gateway/queue.h"
#include "gateway/session.h"

/* The carrier's part is over. */
static void put_aside(struct outgoing *o, enum reason reason)
{
	struct gateway *g = o->conversation->g;
	record_hop(g->cfg.records, o->record, RECORD_WAITS, 0, reason);
	signals_text_done(g, o->conversation, o, 0, reason);
	outgoing_drop(g, o);
}

/* A notice is in no order: last. */
static uint64_t turn(const struct outgoing *o)
{
	return o->quiet ? UINT64_MAX : o->serial;
}

/* In the order in which they were said; mostly they come so. */
static void gather(void *arg, struct outgoing *o)
{
	struct list *behind = arg, *at = behind;
	while (at->prev != behind && turn(CONTAINER_OF(at->prev, struct outgoing, node)) > turn(o))
		at = at->prev;
	list_append(at, &o->node);
}

static void join(struct outgoing *o, enum reason reason)
{
	struct gateway *g = o->conversation->g;
	if (queue_keeps(o, reason)) {
		put_aside(o, reason);
	} else if (o->quiet) { /* a notice is in no order */
		conversation_send(o->conversation, o);
	} else {
		reason = g->ops->queue_room(g->arg, o->remote_domain, o->octets);
		outgoing_failed(o, reason ? reason : REASON_SERVER_QUEUE_FULL);
	}
}

static void join_until(struct list *behind, uint64_t last, enum reason reason)
{
	for (struct list *n; (n = list_head(behind)) && turn(CONTAINER_OF(n, struct outgoing, node)) <= last;) {
		list_remove(n);
		join(CONTAINER_OF(n, struct outgoing, node), reason);
	}
}

bool queue_defers(struct outgoing *o, enum reason reason)
{
	struct conversation *c = o->conversation;
	struct list behind;
	if (!queue_may_keep(o, reason))
		return false;
	list_init(&behind);
	if (c->g->cfg.queue_keep) {
		page_yield(c, gather, &behind);
		session_yield(c, gather, &behind);
	}
	join_until(&behind, o->serial, reason); /* it may be the one that found no room behind them */
	bool kept = queue_keeps(o, reason);
	if (kept)
		put_aside(o, reason);
	join_until(&behind, UINT64_MAX, reason);
	return kept;
}
