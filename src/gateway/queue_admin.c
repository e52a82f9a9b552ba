/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators see of the queue, and do with it. */
#include "base/clock.h"
#include "gateway/queue.h"

bool gateway_queue_do(struct gateway *g, uint64_t id, enum gateway_queue_verb verb)
{
	struct queue_entry *e = queue_in_journal(g, id);
	if (!e || e->ending)
		return false;
	bool waits = e->lane && e->lane->busy != e;
	switch (verb) {
	case GATEWAY_QUEUE_HOLD:
	case GATEWAY_QUEUE_QUARANTINE:
		if (!waits)
			return false;
		queue_mark(e, e->marks.state | (verb == GATEWAY_QUEUE_HOLD ? GATEWAY_QUEUE_HELD : GATEWAY_QUEUE_QUARANTINED));
		return true;
	case GATEWAY_QUEUE_RELEASE:
		if (!waits)
			return false;
		e->marks.crashes = 0;
		queue_mark(e, e->marks.state & (uint8_t)~(GATEWAY_QUEUE_HELD | GATEWAY_QUEUE_QUARANTINED));
		return true;
	case GATEWAY_QUEUE_RETRY:
		if (!waits || (e->marks.state & (GATEWAY_QUEUE_HELD | GATEWAY_QUEUE_QUARANTINED)))
			return false;
		queue_pump(g, e->lane->target);
		return true;
	case GATEWAY_QUEUE_EXPIRE:
		if (!waits)
			return false;
		queue_give_up(e, REASON_SERVER_QUEUE_REMOVED);
		return true;
	}
	return false;
}

void gateway_queue_each(struct gateway *g, void (*fn)(void *arg, const struct gateway_queue_facts *f), void *arg)
{
	size_t i;
	MAP_EACH(n, &g->queue->journal, i) {
		const struct queue_entry *e = CONTAINER_OF(n, struct queue_entry, by_journal);
		bool waits = e->lane && e->lane->busy != e;
		struct gateway_queue_facts f = {
			.id = e->journal, .kind = e->kind, .local = queue_local(e), .remote = queue_remote(e), .octets = e->octets,
			.accepted_at = e->accepted_at, .expires_at = e->expires_at - queue_now(g) + clock_unix(), .attempts = e->marks.attempts, .crashes = e->marks.crashes,
			.state = e->marks.state & GATEWAY_QUEUE_QUARANTINED ? "quarantined" : e->marks.state & GATEWAY_QUEUE_HELD ? "held"
				 : !waits ? "under way" : queue_paused(g, jid_domain(queue_remote(e))) ? "paused" : "waiting",
		};
		if (waits && timer_armed(&e->lane->target->retry))
			f.retry_ms = e->lane->target->retry.due > g->cfg.timers->now ? e->lane->target->retry.due - g->cfg.timers->now : 0;
		fn(arg, &f);
	}
}
