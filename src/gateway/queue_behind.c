/* SPDX-License-Identifier: Apache-2.0 */
/* A text to a SIP user that cannot be delivered now waits in its lane; what the carriers have of the same two users and have not sent goes
 * behind it, else it would overtake. */
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

static void gather(void *arg, struct outgoing *o)
{
	list_append(arg, &o->node);
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

bool queue_defers(struct outgoing *o, enum reason reason)
{
	struct conversation *c = o->conversation;
	struct list behind;
	if (!queue_keeps(o, reason))
		return false;
	list_init(&behind);
	if (c->g->cfg.queue_keep) {
		page_yield(c, gather, &behind);
		session_yield(c, gather, &behind);
	}
	put_aside(o, reason);
	for (struct list *n; (n = list_head(&behind));) {
		list_remove(n);
		join(CONTAINER_OF(n, struct outgoing, node), reason);
	}
	return true;
}
