/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: what becomes of a text from the moment that somebody else has to be waited for. */
#include "gateway/queue.h"
#include "gateway/session.h"
#include "gateway/suspects.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { SPARE_OCTETS = 2048 }; /* what a spare entry may hold on to */
enum { NAME = 2 * sizeof(uint64_t) + 2 }; /* what of a text's name and answer stands behind the pair in the journal */

static struct slice id_key(const uint64_t *id)
{
	return slice_of((const char *)id, sizeof *id);
}

struct queue_entry *queue_in_journal(struct gateway *g, uint64_t id)
{
	struct map_node *n = map_find(&g->queue->journal, id_key(&id));
	return n ? CONTAINER_OF(n, struct queue_entry, by_journal) : NULL;
}

static struct queue_entry *by_ticket(struct gateway *g, uint64_t id)
{
	struct map_node *n = map_find(&g->queue->entries, id_key(&id));
	return n ? CONTAINER_OF(n, struct queue_entry, by_id) : NULL;
}

static void patience_fired(struct timer *t, uint64_t now);

/* For the log. */
static struct slice sender(const struct queue_entry *e)
{
	return e->kind == GATEWAY_TO_XMPP ? queue_local(e) : queue_remote(e);
}

static struct slice recipient(const struct queue_entry *e)
{
	return e->kind == GATEWAY_TO_XMPP ? queue_remote(e) : queue_local(e);
}

/* ---- an entry */

static void make_room(struct queue_entry *e, size_t n)
{
	if (n <= e->cap)
		return;
	e->cap = n;
	e->mem = mem_realloc(e->mem, n);
}

static struct queue_entry *entry_new(struct gateway *g, enum gateway_queue_kind kind, struct slice local, struct slice remote, struct slice octets)
{
	struct queue *q = g->queue;
	struct list *spare = list_head(&q->spares);
	struct queue_entry *e = spare ? CONTAINER_OF(spare, struct queue_entry, node) : MEM_NEW(struct queue_entry);
	if (spare) {
		list_remove(spare);
		q->n_spares--;
		*e = (struct queue_entry){.mem = e->mem, .cap = e->cap};
	}
	list_init(&e->node);
	list_init(&e->expiring);
	e->g = g;
	e->id = ++g->next_id;
	e->kind = kind;
	e->n_local = local.len;
	e->n_remote = remote.len;
	e->n_octets = e->octets = octets.len;
	e->has_octets = octets.len > 0;
	make_room(e, local.len + remote.len + octets.len);
	memcpy(e->mem, local.p, local.len);
	memcpy(e->mem + local.len, remote.p, remote.len);
	if (octets.len)
		memcpy(e->mem + local.len + remote.len, octets.p, octets.len);
	timer_init(&e->patience, patience_fired);
	map_insert(&q->entries, &e->by_id, id_key(&e->id));
	return e;
}

/* It is somebody else's now, or over. In the journal it stays. */
static void entry_free(struct queue_entry *e)
{
	struct gateway *g = e->g;
	struct queue *q = g->queue;
	e->under_way = false;
	queue_leave(e);
	timer_cancel(g->cfg.timers, &e->patience);
	list_remove(&e->expiring);
	map_remove(&q->entries, &e->by_id);
	if (e->journal) {
		map_remove(&q->journal, &e->by_journal);
		metric_add(METRIC_QUEUE_ENTRIES, -1);
	}
	if (e->out)
		e->out->queue = NULL;
	seen_forget(g->seen, e->seen);
	suspects_leave(g, &e->place);
	if (q->n_spares >= QUEUE_SPARES) {
		mem_free(e->mem);
		mem_free(e);
		return;
	}
	if (e->cap > SPARE_OCTETS) {
		e->mem = mem_free(e->mem);
		e->cap = 0;
	}
	q->n_spares++;
	list_append(&q->spares, &e->node);
}

/* What waits does so on the disk alone. */
static void shed(struct queue_entry *e)
{
	if (!e->has_octets || !e->durable || e->under_way)
		return;
	e->has_octets = false;
	e->cap = e->n_local + e->n_remote;
	e->mem = mem_realloc(e->mem, e->cap);
}

static void regain(struct queue_entry *e, struct slice octets)
{
	size_t n = e->n_local + e->n_remote;
	make_room(e, n + octets.len);
	memcpy(e->mem + n, octets.p, octets.len);
	e->n_octets = octets.len;
	e->has_octets = true;
}

/* ---- the journal */

static void put_number(char *dst, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		dst[i] = (char)(v >> (8 * (n - 1 - i)));
}

static uint64_t get_number(const char *src, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v = v << 8 | (unsigned char)src[i];
	return v;
}

/* "local NUL remote NUL", and where the text has a name, that and the status of its answer: so that it is known again after a restart, when
 * it comes again. */
static struct slice pair_text(char dst[PAIR_KEY_MAX + NAME + 1], const struct queue_entry *e)
{
	size_t n = e->n_local + e->n_remote + 2;
	memcpy(dst, e->mem, e->n_local);
	dst[e->n_local] = '\0';
	memcpy(dst + e->n_local + 1, e->mem + e->n_local, e->n_remote);
	dst[n - 1] = '\0';
	if (!e->has_name)
		return slice_of(dst, n);
	put_number(dst + n, e->name.v[0], 8);
	put_number(dst + n + 8, e->name.v[1], 8);
	put_number(dst + n + 16, (uint64_t)e->status, 2);
	return slice_of(dst, n + NAME);
}

static enum reason room(struct gateway *g, struct slice remote, size_t octets)
{
	return g->ops->queue_room(g->arg, jid_domain(remote), octets);
}

static enum reason store(struct queue_entry *e, int status, uint8_t state)
{
	struct gateway *g = e->g;
	char pair[PAIR_KEY_MAX + NAME + 1];
	if (e->n_local + e->n_remote + 1 > PAIR_KEY_MAX)
		return REASON_SERVER_QUEUE_FULL;
	e->status = status;
	e->accepted_at = clock_unix();
	e->expires_at = queue_now(g) + g->cfg.queue_lifetime_s;
	e->marks = (struct gateway_marks){.state = state, .crashes = e->marks.crashes};
	struct gateway_queued q = {.kind = e->kind, .partner = jid_domain(queue_remote(e)), .pair = pair_text(pair, e),
				   .accepted_at = e->accepted_at, .expires_at = e->expires_at, .marks = e->marks,
				   .lazy = e->kind == GATEWAY_TO_SIP && state & GATEWAY_QUEUE_IN_FLIGHT /* queue_insure */};
	enum reason reason = g->ops->queue_put(g->arg, &q, queue_octets(e));
	if (reason) {
		metric_add(METRIC_QUEUE_REFUSED, 1);
		return reason;
	}
	e->journal = q.id;
	map_insert(&g->queue->journal, &e->by_journal, id_key(&e->journal));
	metric_add(METRIC_QUEUE_ENTRIES, 1);
	metric_add(e->kind == GATEWAY_TO_XMPP ? METRIC_QUEUE_TAKEN_XMPP : METRIC_QUEUE_TAKEN_SIP, 1);
	queue_expiry_add(e);
	if (e->marks.crashes) /* it goes nowhere before it is durable */
		suspects_leave(g, &e->place);
	return REASON_NONE;
}

void queue_mark(struct queue_entry *e, uint8_t state)
{
	if (e->marks.state == state || !e->journal)
		return;
	queue_recount(e, state);
	e->marks.state = state;
	e->g->ops->queue_mark(e->g->arg, e->journal, &e->marks);
}

/* Only those that say something about the text itself: an accepted one is not given up for a bad hour of its partner's. */
static bool hopeless(enum reason r)
{
	switch (r) {
	case REASON_LIMIT_SIZE:
	case REASON_XMPP_MALFORMED:
	case REASON_XMPP_UNSUPPORTED:
	case REASON_LIMIT_CONTACTS:
		return true;
	default:
		return slice_starts(slice_str(reason_info(r)->id), S("policy/")) || slice_starts(slice_str(reason_info(r)->id), S("address/")) ||
		       slice_starts(slice_str(reason_info(r)->id), S("content/"));
	}
}

/* With `keep`: for what a text is taken that could be refused, too. What cannot be expected to pass is told at once. */
static bool passing(enum reason r)
{
	switch (r) {
	case REASON_XMPP_UNREACHABLE:
	case REASON_XMPP_DNS_FAILED:
	case REASON_XMPP_STREAM_ERROR:
	case REASON_XMPP_TLS:
	case REASON_LIMIT_QUEUE_FULL:
	case REASON_LIMIT_RATE:
	case REASON_LIMIT_CONNECTIONS:
	case REASON_LINK_DOWN:
	case REASON_LINK_TIMEOUT:
	case REASON_SERVER_SHUTDOWN:
	case REASON_SIP_HOME_UNREACHABLE:
	case REASON_SIP_TIMEOUT:
		return true;
	default:
		return false;
	}
}

/* ---- to XMPP */

static void accept_text(struct queue_entry *e, int status)
{
	if (e->answered)
		return;
	e->answered = true;
	timer_cancel(e->g->cfg.timers, &e->patience);
	if (e->way)
		message_taken(e->g, e->way, e->asked, status);
}

/* Nothing of it has been promised to anybody. */
static void refuse_text(struct queue_entry *e, enum reason reason, struct slice why)
{
	struct gateway *g = e->g;
	const struct incoming_way *way = e->way;
	uint64_t asked = e->asked;
	if (e->journal)
		g->ops->queue_end(g->arg, e->journal);
	entry_free(e);
	if (way)
		message_untaken(g, way, asked, reason, why);
}

static void send_text(struct queue_entry *e)
{
	struct gateway *g = e->g;
	struct gateway_ticket t = {.kind = TICKET_TEXT, .tell_sent = true, .confirm = true, .acked_only = !e->journal && e->room, .id = e->id};
	e->under_way = true;
	e->handed = false;
	g->ops->xmpp_send(g->arg, jid_domain(queue_local(e)), jid_domain(queue_remote(e)), queue_octets(e), &t); /* `e` may be gone */
}

/* A text that waits from the beginning, or from now on. */
static void keep_text(struct queue_entry *e, enum reason why, struct slice text)
{
	enum reason reason = store(e, 202, 0);
	if (reason) {
		refuse_text(e, why ? why : reason, text);
		return;
	}
	queue_wait(e);
	if (why)
		queue_blocked(e);
}

void queue_text(struct gateway *g, const struct incoming *in)
{
	struct queue_entry *e = entry_new(g, GATEWAY_TO_XMPP, in->from.bare, in->to.bare, buf_slice(&g->out));
	e->way = in->way;
	e->asked = in->id;
	e->name = in->name;
	e->has_name = in->has_name;
	e->record = g->record;
	e->place = g->place;
	g->place = 0;
	e->marks.crashes = g->suspect;
	if (g->suspect || queue_holds(g, e->kind, in->from.bare, in->to.bare)) {
		keep_text(e, REASON_NONE, SLICE_NONE);
		return;
	}
	e->room = room(g, queue_remote(e), e->octets);
	if (g->cfg.queue_keep && !e->room)
		timer_arm(g->cfg.timers, &e->patience, QUEUE_PATIENCE_MS);
	send_text(e);
}

static void patience_fired(struct timer *t, uint64_t now)
{
	struct queue_entry *e = CONTAINER_OF(t, struct queue_entry, patience);
	(void)now;
	if (e->answered || e->journal)
		return;
	if (e->handed) /* the journal could not take it, and it is still not known whether it arrived */
		refuse_text(e, e->room ? e->room : REASON_SERVER_QUEUE_DISK, SLICE_NONE);
	else /* its stream is still coming up */
		store(e, 202, GATEWAY_QUEUE_IN_FLIGHT);
}

void queue_handed(struct gateway *g, const struct gateway_ticket *t, bool acks)
{
	struct queue_entry *e = by_ticket(g, t->id);
	(void)acks;
	if (!e || e->handed)
		return;
	e->handed = true;
	record_hop(g->cfg.records, e->record, RECORD_SENT, 0, REASON_NONE);
	if (e->way && !e->answered)
		message_handed(g, e->way, e->asked);
	queue_well(e);
	queue_leave(e); /* the next may follow: they stay in order on the stream */
	if (e->journal)
		return;
	enum reason reason = store(e, 200, GATEWAY_QUEUE_IN_FLIGHT);
	if (!reason)
		return;
	e->room = reason;
	timer_arm(g->cfg.timers, &e->patience, QUEUE_UNSAFE_MS);
}

static void lost(struct queue_entry *e, enum reason reason)
{
	e->handed = false;
	queue_mark(e, 0);
	queue_wait(e);
	queue_blocked(e);
	log_ev_limited(LOG_INFO, "queue/again", queue_remote(e), {"from", queue_local(e)}, {"to", queue_remote(e)},
		       {"reason", slice_str(reason_info(reason)->id)});
	shed(e);
}

void queue_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why)
{
	struct queue_entry *e = by_ticket(g, t->id);
	if (!e)
		return;
	e->under_way = false;
	if (!reason) {
		queue_well(e);
		if (!e->handed)
			record_hop(g->cfg.records, e->record, RECORD_SENT, 0, REASON_NONE);
		if (!e->handed && e->way && !e->answered)
			message_handed(g, e->way, e->asked);
		bool waited = e->answered && e->status == 202;
		accept_text(e, 200);
		if (waited) {
			metric_add(METRIC_MESSAGES_TO_XMPP, 1);
			metric_add(METRIC_MSG_SIP_XMPP_DELIVERED, 1);
			record_end(g->cfg.records, e->record, RECORD_DELIVERED, REASON_NONE);
		}
		queue_over(g, e);
		return;
	}
	if (e->room && reason == REASON_SERVER_QUEUE_FULL) {
		metric_add(METRIC_QUEUE_REFUSED, 1);
		reason = e->room;
	}
	if (!e->journal) {
		if (g->cfg.queue_keep && passing(reason)) {
			keep_text(e, reason, why);
			return;
		}
		queue_leave(e);
		refuse_text(e, reason, why);
	} else if (!hopeless(reason)) {
		lost(e, reason);
	} else if (e->answered) {
		queue_give_up(e, reason);
	} else {
		refuse_text(e, reason, why);
	}
}

/* ---- to SIP */

static struct queue_entry *node_entry(struct gateway *g, const struct xml_node *stanza, struct slice local, struct slice remote)
{
	buf_clear(&g->out);
	xml_write(&g->out, stanza, SLICE_NONE); /* with its namespace: it is read by itself */
	if (!buf_ok(&g->out)) {
		buf_clear(&g->out);
		return NULL;
	}
	return entry_new(g, GATEWAY_TO_SIP, local, remote, buf_slice(&g->out));
}

static struct queue_entry *stanza_entry(struct gateway *g, const struct outgoing *o)
{
	struct queue_entry *e = node_entry(g, o->stanza, o->local, o->remote);
	if (!e)
		return NULL;
	e->name = o->name;
	e->has_name = o->seen != NULL;
	e->record = o->record;
	return e;
}

enum reason queue_suspect(struct gateway *g, const struct stanza *st, uint64_t name, struct xmpp_receipt *r)
{
	struct queue_entry *e = queue_on(g) ? node_entry(g, st->node, st->to.bare, st->from.bare) : NULL;
	if (!e)
		return REASON_SERVER_QUEUE_FULL;
	e->name = (struct seen_key){{name}};
	e->has_name = true;
	e->record = g->record;
	e->marks.crashes = 1;
	e->keep = g->cfg.queue_keep;
	enum reason reason = store(e, 0, e->keep ? GATEWAY_QUEUE_KEEP : 0);
	if (reason) {
		entry_free(e);
		return reason;
	}
	suspects_journaled(g, name);
	suspects_leave(g, &r->place);
	e->receipt = *r;
	r->number = 0;
	queue_wait(e);
	return REASON_NONE;
}

/* Its repetition finds the receipt here. */
static void take_over(struct queue_entry *e, struct outgoing *o)
{
	e->seen = o->seen;
	o->seen = NULL;
	if (e->seen)
		seen_set_owner(e->seen, &e->receipt);
}

enum reason queue_stanza(struct gateway *g, struct outgoing *o, struct xmpp_receipt *r)
{
	struct queue_entry *e = stanza_entry(g, o);
	enum reason reason = e ? store(e, 0, GATEWAY_QUEUE_KEEP) : REASON_SERVER_QUEUE_FULL;
	if (reason) {
		if (e)
			entry_free(e);
		return reason;
	}
	e->keep = true;
	e->receipt = *r;
	r->number = 0;
	take_over(e, o);
	queue_wait(e);
	return REASON_NONE;
}

enum reason queue_insure(struct gateway *g, struct outgoing *o)
{
	struct queue_entry *e = stanza_entry(g, o);
	enum reason reason = e ? store(e, 0, GATEWAY_QUEUE_IN_FLIGHT) : REASON_SERVER_QUEUE_FULL;
	if (reason) {
		if (e)
			entry_free(e);
		return reason;
	}
	e->out = o;
	e->under_way = true;
	o->queue = e;
	return REASON_NONE;
}

bool queue_may_keep(const struct outgoing *o, enum reason reason)
{
	const struct gateway *g = o->conversation->g;
	return queue_on(g) && !o->quiet && passing(reason) && (g->cfg.queue_keep || (o->queue && o->queue->keep));
}

bool queue_keeps(struct outgoing *o, enum reason reason)
{
	struct gateway *g = o->conversation->g;
	struct queue_entry *e = o->queue;
	if (!queue_may_keep(o, reason))
		return false;
	if (!e) {
		e = stanza_entry(g, o);
		if (!e || store(e, 0, GATEWAY_QUEUE_KEEP)) {
			if (e)
				entry_free(e);
			return false;
		}
		e->receipt = o->receipt;
		o->receipt.number = 0;
	}
	take_over(e, o);
	e->out = NULL;
	o->queue = NULL;
	e->under_way = false;
	e->keep = true;
	queue_mark(e, GATEWAY_QUEUE_KEEP);
	queue_wait(e);
	queue_blocked(e);
	shed(e);
	return true;
}

void queue_not_now(struct queue_entry *e, enum reason reason)
{
	e->under_way = false;
	if (!reason || !passing(reason)) {
		queue_give_up(e, reason);
		return;
	}
	queue_mark(e, e->keep ? GATEWAY_QUEUE_KEEP : 0);
	queue_wait(e);
	queue_blocked(e);
}

/* ---- both */

void queue_over(struct gateway *g, struct queue_entry *e)
{
	if (e->kind == GATEWAY_TO_SIP)
		queue_well(e);
	if (e->out)
		e->out->queue = NULL;
	e->out = NULL;
	if (e->journal)
		g->ops->queue_end(g->arg, e->journal);
	gateway_done(g, &e->receipt);
	entry_free(e);
}

static void ended(struct queue_entry *e, bool found)
{
	struct gateway *g = e->g;
	enum reason reason = e->ending;
	if (!found)
		e->has_octets = false;
	metric_add(METRIC_QUEUE_FAILED, 1);
	metric_refused((int)reason);
	log_ev_limited(LOG_WARNING, "queue/given-up", queue_remote(e), {"from", sender(e)}, {"to", recipient(e)},
		       {"reason", slice_str(reason_info(reason)->id)},
		       {"text", slice_str(reason_info(reason)->text)});
	metric_add(e->kind == GATEWAY_TO_XMPP ? METRIC_MSG_SIP_XMPP_FAILED : METRIC_MSG_XMPP_SIP_FAILED, 1);
	record_end(g->cfg.records, e->record, RECORD_FAILED, reason);
	if (reason)
		message_given_up(g, e, reason);
	if (e->seen)
		seen_end(g->seen, e->seen, (struct seen_outcome){.reason = (int)reason});
	e->seen = NULL;
	queue_over(g, e);
}

void queue_give_up(struct queue_entry *e, enum reason reason)
{
	struct gateway *g = e->g;
	queue_leave(e);
	e->ending = reason;
	if (e->has_octets) {
		ended(e, true);
		return;
	}
	if (e->reading)
		return; /* they are coming */
	if (e->marks.crashes > QUEUE_CRASHES) { /* even to look at it was too much */
		ended(e, false);
		return;
	}
	queue_mark(e, e->marks.state | GATEWAY_QUEUE_IN_FLIGHT);
	if (g->ops->queue_read(g->arg, e->journal)) {
		e->reading = true;
		return;
	}
	list_remove(&e->expiring); /* too much is being read: its sender is told a little later */
	e->expires_at = queue_now(g) + 1;
	queue_expiry_add(e);
}

void queue_expire(struct queue_entry *e)
{
	if (e->ending) {
		queue_give_up(e, e->ending);
		return;
	}
	if (e->answered || e->kind == GATEWAY_TO_SIP)
		queue_give_up(e, REASON_SERVER_QUEUE_EXPIRED);
	else
		refuse_text(e, REASON_SERVER_QUEUE_EXPIRED, SLICE_NONE);
}

static void deliver(struct queue_entry *e)
{
	struct policy_verdict v;
	e->under_way = true;
	if (e->kind == GATEWAY_TO_SIP) {
		message_again(e->g, e);
		return;
	}
	gateway_judge(e->g, POLICY_MESSAGE, queue_local(e), queue_remote(e), &v);
	if (!v.allow) {
		e->under_way = false;
		queue_give_up(e, v.reason);
		return;
	}
	send_text(e);
}

void queue_begin(struct queue_entry *e)
{
	struct gateway *g = e->g;
	if (e->marks.attempts < UINT16_MAX)
		e->marks.attempts++;
	queue_mark(e, (e->keep ? GATEWAY_QUEUE_KEEP : 0) | GATEWAY_QUEUE_IN_FLIGHT);
	metric_add(METRIC_QUEUE_AGAIN, 1);
	if (e->has_octets) {
		deliver(e);
	} else if (g->ops->queue_read(g->arg, e->journal)) {
		e->reading = true;
	} else {
		queue_mark(e, e->keep ? GATEWAY_QUEUE_KEEP : 0);
		queue_wait(e);
		queue_blocked(e);
	}
}

void gateway_queue_octets(struct gateway *g, uint64_t id, bool found, struct slice octets)
{
	struct queue_entry *e = queue_in_journal(g, id);
	if (!e || !e->reading)
		return;
	e->reading = false;
	if (found && !e->has_octets)
		regain(e, octets);
	if (!found && !e->ending) {
		log_ev_limited(LOG_ERROR, "queue/unreadable", queue_remote(e), {"from", sender(e)}, {"to", recipient(e)});
		queue_leave(e);
		e->ending = REASON_SERVER_INTERNAL;
	}
	if (e->ending)
		ended(e, found);
	else if (e->lane && e->lane->busy == e)
		deliver(e);
}

void gateway_queue_unread(struct gateway *g, uint64_t id)
{
	struct queue_entry *e = queue_in_journal(g, id);
	if (!e || !e->reading)
		return;
	e->reading = false;
	if (e->ending) {
		ended(e, false);
		return;
	}
	queue_mark(e, e->keep ? GATEWAY_QUEUE_KEEP : 0);
	queue_wait(e);
	queue_blocked(e);
}

void gateway_queue_stored(struct gateway *g, uint64_t id, enum reason reason)
{
	struct queue_entry *e = queue_in_journal(g, id);
	if (!e)
		return;
	if (!reason) {
		e->durable = true;
		suspects_leave(g, &e->place);
		if (e->kind == GATEWAY_TO_XMPP)
			accept_text(e, e->status);
		else
			gateway_done(g, &e->receipt);
		shed(e);
		return;
	}
	metric_add(METRIC_QUEUE_REFUSED, 1);
	map_remove(&g->queue->journal, &e->by_journal);
	list_remove(&e->expiring);
	metric_add(METRIC_QUEUE_ENTRIES, -1);
	e->journal = 0;
	if (e->kind == GATEWAY_TO_XMPP && e->under_way) { /* it may arrive all the same */
		e->room = reason;
		timer_arm(g->cfg.timers, &e->patience, QUEUE_UNSAFE_MS);
	} else if (e->kind == GATEWAY_TO_XMPP) {
		refuse_text(e, reason, SLICE_NONE);
	} else if (e->out) { /* what has gone goes on uninsured; who still has it waits for its end */
		struct outgoing *o = e->out;
		o->queue = NULL;
		if (e->receipt.number)
			o->receipt = e->receipt;
		e->receipt.number = 0;
		e->out = NULL;
		entry_free(e);
		/* Behind others it would wait for as long as they take, and vanish with us: it is refused, as those that come now. */
		if (!o->receipt.number && (page_withdraw(o) || session_withdraw(o)))
			outgoing_failed(o, reason);
	} else {
		queue_leave(e);
		e->ending = reason;
		ended(e, true);
	}
}

/* ---- start-up */

bool gateway_queue_load(struct gateway *g, const struct gateway_queued *in)
{
	struct slice rest = in->pair, local = slice_split(&rest, '\0'), remote = slice_split(&rest, '\0');
	struct seen_outcome outcome;
	struct seen_run *run = NULL;
	if (!local.len || !remote.len || (in->kind != GATEWAY_TO_XMPP && in->kind != GATEWAY_TO_SIP))
		return false;
	bool named = rest.len == NAME;
	struct seen_key name = named ? (struct seen_key){{get_number(rest.p, 8), get_number(rest.p + 8, 8)}} : (struct seen_key){{0}};
	int status = named ? (int)get_number(rest.p + 16, 2) : 200;
	bool raw = named && in->kind == GATEWAY_TO_SIP && !name.v[1];
	if (raw)
		suspects_journaled(g, name.v[0]);
	else if (named && in->kind == GATEWAY_TO_SIP && seen_take(g->seen, name, 0, &run, &outcome) == SEEN_OVER)
		return false; /* its end was noted, if not in the journal */
	if (named && in->kind == GATEWAY_TO_XMPP)
		seen_know(g->seen, name, (struct seen_outcome){.status = status}, in->accepted_at);
	struct queue_entry *e = entry_new(g, in->kind, local, remote, SLICE_NONE);
	e->name = name;
	e->has_name = named;
	e->status = status;
	e->octets = in->octets;
	e->journal = in->id;
	e->accepted_at = in->accepted_at;
	e->expires_at = in->expires_at;
	if (e->expires_at > queue_now(g) + g->cfg.queue_lifetime_s) /* of another clock, or another setting */
		e->expires_at = queue_now(g) + g->cfg.queue_lifetime_s;
	e->marks = in->marks;
	e->keep = in->marks.state & GATEWAY_QUEUE_KEEP;
	e->answered = e->durable = true;
	e->seen = run;
	if (run)
		seen_set_owner(run, &e->receipt);
	map_insert(&g->queue->journal, &e->by_journal, id_key(&e->journal));
	metric_add(METRIC_QUEUE_ENTRIES, 1);
	if (e->marks.crashes >= QUEUE_CRASHES && !(e->marks.state & GATEWAY_QUEUE_QUARANTINED)) {
		metric_add(METRIC_QUEUE_QUARANTINED, 1);
		log_ev(LOG_ERROR, "queue/quarantined", {"from", sender(e)}, {"to", recipient(e)},
		       {"text", S("the process has crashed twice with this message under way: it is left alone")});
		queue_mark(e, e->marks.state | GATEWAY_QUEUE_QUARANTINED);
	}
	queue_mark(e, e->marks.state & (uint8_t)~GATEWAY_QUEUE_IN_FLIGHT);
	queue_expiry_add(e);
	queue_wait(e);
	return true;
}

/* ---- life */

void queue_init(struct gateway *g)
{
	struct queue *q = g->queue = MEM_NEW(struct queue);
	map_init(&q->entries);
	map_init(&q->journal);
	list_init(&q->spares);
	queue_lanes_init(g);
}

void queue_free(struct gateway *g)
{
	struct queue *q = g->queue;
	size_t i;
	MAP_EACH(n, &q->entries, i) {
		struct queue_entry *e = CONTAINER_OF(n, struct queue_entry, by_id);
		e->receipt.number = 0;
		entry_free(e);
	}
	queue_lanes_free(g);
	LIST_EACH(n, &q->spares) {
		struct queue_entry *e = CONTAINER_OF(n, struct queue_entry, node);
		mem_free(e->mem);
		mem_free(e);
	}
	map_free(&q->entries);
	map_free(&q->journal);
	g->queue = mem_free(q);
}
