/* SPDX-License-Identifier: Apache-2.0 */
/* Server transactions: RFC 3261 17.2 with RFC 6026 (Accepted, Timer L) and RFC 4320 (no 408, late 100, no late answers
 * for non-INVITE). */
#include <arpa/inet.h>
#include "base/mem.h"
#include "base/rand.h"
#include "sip/trans_int.h"

enum { INVITE_100_MS = 200, TAG_LEN = 12 };

/* RFC 3261 17.2.3. Writes the key that a request of `method` with this Via has; a branch without the cookie is of RFC 2543 and
 * proves nothing, then the whole request counts. */
static bool write_key(struct buf *b, const struct sip_msg *m, struct slice method)
{
	buf_clear(b);
	bool modern = slice_starts(m->via.branch, BRANCH_COOKIE) && m->via.branch.len > BRANCH_COOKIE.len;
	if (modern) {
		buf_put(b, m->via.branch);
		buf_putc(b, '\n');
		for (size_t i = 0; i < m->via.host.len; i++) {
			char c = m->via.host.p[i];
			buf_putc(b, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
		}
		buf_putc(b, ':');
		buf_u64(b, m->via.port);
	} else {
		buf_put(b, m->uri_text);
		buf_putc(b, '\n');
		buf_put(b, m->from.tag);
		buf_putc(b, '\n');
		buf_put(b, m->call_id);
		buf_putc(b, '\n');
		buf_u64(b, m->cseq);
		buf_putc(b, '\n');
		buf_put(b, m->via.raw);
	}
	buf_putc(b, '\n');
	buf_put(b, method);
	return !modern;
}

static struct sip_server_trans *find(struct sip_stack *s, const struct sip_msg *m, struct slice method)
{
	write_key(&s->key, m, method);
	struct map_node *n = map_find(&s->servers, buf_slice(&s->key));
	return n ? CONTAINER_OF(n, struct sip_server_trans, node) : NULL;
}

static bool creates_dialog(enum sip_method m)
{
	return m == SIP_INVITE || m == SIP_SUBSCRIBE || m == SIP_REFER || m == SIP_NOTIFY;
}

/* When a client's Timer E would reach T2 (RFC 4320 4.1): 3.5 s. */
static uint32_t late_100(const struct sip_stack *s)
{
	uint32_t sum = 0;
	for (uint32_t e = s->config.t1; e < s->config.t2; e *= 2)
		sum += e;
	return sum;
}

static void fire_send(struct timer *t, uint64_t now);
static void fire_end(struct timer *t, uint64_t now);

static struct sip_server_trans *take(struct sip_stack *s)
{
	struct sip_server_trans *st = s->free_servers;
	if (st) {
		s->free_servers = st->next_free;
	} else {
		if (s->n_slots == s->cap_slots) {
			s->cap_slots = s->cap_slots ? s->cap_slots * 2 : 64;
			s->slots = mem_realloc(s->slots, s->cap_slots * sizeof *s->slots);
		}
		st = MEM_NEW(struct sip_server_trans);
		buf_init(&st->text, TRANS_TEXT_MAX);
		buf_init(&st->last, 2 * TRANS_BUF_MAX);
		s->slots[s->n_slots++] = st;
		st->id = s->n_slots;
	}
	st->id += 1ULL << 32;
	s->stats.servers++;
	return st;
}

static void put(struct sip_stack *s, struct sip_server_trans *st)
{
	trans_buf_return(s, &st->text);
	trans_buf_return(s, &st->last);
	st->stack = NULL;
	st->next_free = s->free_servers;
	s->free_servers = st;
	s->stats.servers--;
}

void trans_server_end(struct sip_server_trans *st)
{
	struct sip_stack *s = st->stack;
	st->state = TRANS_CONFIRMED; /* nothing can be answered from within gone() */
	const struct sip_server_watch *w = st->watch;
	st->watch = NULL;
	if (w)
		w->gone(st->watch_arg, st);
	if (st->user && s->ops->gone)
		s->ops->gone(s->arg, st);
	map_remove(&s->servers, &st->node);
	if (st->ack_node.key.p)
		map_remove(&s->acks, &st->ack_node);
	timer_cancel(s->timers, &st->t_send);
	timer_cancel(s->timers, &st->t_end);
	list_remove(&st->of_accepted);
	put(s, st);
}

/* Is there, or can there be, room for one more? */
static bool room(struct sip_stack *s)
{
	struct list *oldest = list_head(&s->accepted_servers);
	if (s->stats.servers >= s->config.max_server && oldest)
		trans_server_end(CONTAINER_OF(oldest, struct sip_server_trans, of_accepted));
	return s->stats.servers < s->config.max_server;
}

void trans_server_free_all(struct sip_stack *s)
{
	for (uint32_t i = 0; i < s->n_slots; i++) {
		struct sip_server_trans *st = s->slots[i];
		if (st->stack)
			trans_server_end(st);
		buf_free(&st->text);
		buf_free(&st->last);
		mem_free(st);
	}
	mem_free(s->slots);
}

/* An ACK finds the INVITE of a 2xx by it, whatever its branch. */
static void put_ack_key(struct buf *b, const struct sip_msg *m, struct slice to_tag)
{
	buf_put(b, m->call_id);
	buf_putc(b, '\n');
	buf_put(b, to_tag);
	buf_putc(b, '\n');
	buf_u64(b, m->cseq);
}

/* Everything that a later answer needs, copied out of the request: its key, and a ready head (Via .. CSeq). */
static bool fill(struct sip_server_trans *st, const struct sip_msg *m, struct slice to_tag)
{
	struct sip_stack *s = st->stack;
	struct buf *b = &st->text;
	char ip[INET6_ADDRSTRLEN], tag[TAG_LEN + 1] = "";
	uint16_t source_port;
	struct slice source = sip_flow_source(&st->from, ip, &source_port);
	struct slice key = buf_slice(&s->key);
	trans_buf_lend(s, b);
	if (!slice_empty(m->to.tag)) {
		to_tag = m->to.tag;
	} else if (slice_empty(to_tag)) {
		rand_token(tag, TAG_LEN);
		to_tag = slice_str(tag);
	}
	buf_put(b, key);
	size_t key_len = b->len;
	sip_build_response(b, m, 200, S("x"), to_tag, false, source, source_port);
	if (!buf_ok(b))
		return false;
	ptrdiff_t line = slice_find_chr(slice_skip(buf_slice(b), key_len), '\n');
	size_t head_at = key_len + (size_t)line + 1, head_end = b->len;
	if (creates_dialog(st->method)) {
		const struct sip_header *h;
		for (size_t i = 0; (h = sip_msg_header(m, SIP_H_RECORD_ROUTE, i)); i++)
			buf_put(b, h->line);
	}
	size_t routes_end = b->len;
	buf_put(b, to_tag);
	size_t tag_end = b->len;
	if (st->method == SIP_INVITE)
		put_ack_key(b, m, to_tag);
	if (!buf_ok(b))
		return false;
	const char *p = b->mem + b->off;
	st->head = slice_of(p + head_at, head_end - head_at);
	st->routes = slice_of(p + head_end, routes_end - head_end);
	st->tag = slice_of(p + routes_end, tag_end - routes_end);
	st->ack_key = slice_of(p + tag_end, b->len - tag_end);
	map_insert(&s->servers, &st->node, slice_of(p, key_len));
	return true;
}

/* The 2xx went by, and only further ones may: no answer of ours needs the head of one. */
static void forget_head(struct sip_server_trans *st)
{
	struct slice key = st->node.key, tag = st->tag;
	if (key.len + tag.len > sizeof st->rest)
		return;
	memcpy(st->rest, key.p, key.len);
	memcpy(st->rest + key.len, tag.p, tag.len);
	st->node.key = slice_of(st->rest, key.len);
	st->tag = slice_of(st->rest + key.len, tag.len);
	st->head = st->routes = st->ack_key = SLICE_NONE;
	trans_buf_return(st->stack, &st->text);
}

/* s->key holds the key of `m`; an empty tag makes a new one. */
static struct sip_server_trans *create(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, bool rfc2543,
				       struct slice tag)
{
	struct sip_server_trans *st = take(s);
	st->stack = s;
	st->state = TRANS_TRYING;
	st->since = s->timers->now;
	st->method = m->method;
	st->from = *from;
	trans_answer_flow(from, &m->via, &st->to, &st->sent_by_port);
	st->reliable = sip_reliable(from->transport);
	st->rfc2543 = rfc2543;
	st->provisional = st->repeat_2xx = st->acked = false;
	st->ack_node = (struct map_node){0};
	st->user = NULL;
	st->watch = NULL;
	st->record = 0;
	timer_init(&st->t_send, fire_send);
	timer_init(&st->t_end, fire_end);
	if (!fill(st, m, tag)) { /* too much to remember */
		put(s, st);
		return NULL;
	}
	if (st->method == SIP_INVITE) {
		timer_arm(s->timers, &st->t_send, INVITE_100_MS);
		timer_arm(s->timers, &st->t_end, (uint64_t)s->config.ring_ms + 64 * s->config.t1);
	} else {
		timer_arm(s->timers, &st->t_send, late_100(s));
		timer_arm(s->timers, &st->t_end, 64 * s->config.t1);
	}
	return st;
}

/* --- sending --- */

/* 0, or negative: no way to the peer, the transaction is over. */
static int transmit(struct sip_server_trans *st, struct slice bytes)
{
	struct sip_stack *s = st->stack;
	s->stats.responses_out++;
	if (trans_send(s, &st->to, bytes) == 0)
		return 0;
	if (st->reliable && st->to.conn) {
		/* The connection is gone: to the source address and the port of sent-by, over a new one (RFC 3261 18.2.2). */
		st->to.conn = 0;
		union sip_remote *ss = &st->to.remote;
		if (ss->ss_family == AF_INET)
			((struct sockaddr_in *)(void *)ss)->sin_port = htons(st->sent_by_port);
		else if (ss->ss_family == AF_INET6)
			((struct sockaddr_in6 *)(void *)ss)->sin6_port = htons(st->sent_by_port);
		if (trans_send(s, &st->to, bytes) == 0)
			return 0;
	}
	s->stats.transport_failures++;
	return ENTENTE_ENET;
}

static void retransmit(struct sip_server_trans *st)
{
	st->stack->stats.retransmitted++;
	if (transmit(st, buf_slice(&st->last)) < 0)
		trans_server_end(st);
}

/* The state machine's side of an answer that is ready in `bytes`. */
static int answer(struct sip_server_trans *st, int status, struct slice bytes, bool repeat)
{
	struct sip_stack *s = st->stack;
	bool invite = st->method == SIP_INVITE, keep = invite || !st->reliable || status < 200;
	int rc = transmit(st, bytes);
	if (rc < 0) {
		trans_server_end(st);
		return rc;
	}
	if (invite && status >= 200 && status < 300 && !repeat) { /* who has forwarded a 2xx does not repeat it, and remembers the call for half a minute */
		trans_buf_return(s, &st->last);
		if (st->text.mem && !st->repeat_2xx) /* one of our own: s->acks has its key in there */
			forget_head(st);
	} else if (keep && !(st->state == TRANS_ACCEPTED)) {
		buf_clear(&st->last);
		trans_buf_lend(s, &st->last);
		buf_put(&st->last, bytes);
	}
	timer_cancel(s->timers, &st->t_send);
	if (status < 200) {
		st->provisional = true;
		return 0;
	}
	if (!invite) {
		st->state = TRANS_COMPLETED;
		if (st->reliable)
			trans_server_end(st);
		else
			timer_arm(s->timers, &st->t_end, 64 * s->config.t1); /* J */
		return 0;
	}
	if (st->state == TRANS_ACCEPTED)
		return 0;
	timer_arm(s->timers, &st->t_end, 64 * s->config.t1); /* H or L */
	st->wait = s->config.t1;
	if (status >= 300) {
		st->state = TRANS_COMPLETED;
		if (!st->reliable)
			timer_arm(s->timers, &st->t_send, st->wait); /* G */
		return 0;
	}
	st->state = TRANS_ACCEPTED;
	if (!repeat && st->reliable)
		list_append(&s->accepted_servers, &st->of_accepted);
	if (repeat && !map_find(&s->acks, st->ack_key)) {
		st->repeat_2xx = true;
		map_insert(&s->acks, &st->ack_node, st->ack_key);
		timer_arm(s->timers, &st->t_send, st->wait);
	}
	return 0;
}

/* May this status still be sent? */
static int admit(struct sip_server_trans *st, int status, bool forward)
{
	if (status < 100 || status > 699)
		return ENTENTE_EINVAL;
	if (st->state == TRANS_ACCEPTED && forward && status >= 200 && status < 300)
		return 0;
	if (st->state != TRANS_TRYING)
		return ENTENTE_EINVAL;
	if (st->method == SIP_INVITE)
		return 0;
	if (status == 408) {
		st->stack->stats.late_responses++;
		trans_server_end(st);
		return ENTENTE_EREFUSED;
	}
	if (status < 200 && status != 100) {
		st->stack->stats.late_responses++;
		return ENTENTE_EREFUSED;
	}
	/* Over UDP an early 100 would silence the retransmissions that the request still needs. */
	if (status == 100 && !st->reliable && timer_armed(&st->t_send))
		return ENTENTE_EREFUSED;
	return 0;
}

int sip_server_respond(struct sip_server_trans *st, const struct sip_answer *an)
{
	int rc = admit(st, an->status, false);
	if (rc < 0)
		return rc;
	struct sip_stack *s = st->stack;
	struct buf *b = &s->out;
	buf_clear(b);
	sip_build_status(b, an->status, an->reason);
	buf_put(b, st->head);
	if (an->status > 100 && an->status < 300)
		buf_put(b, st->routes);
	for (size_t i = 0; i < an->n_headers; i++)
		sip_build_header_named(b, an->headers[i].name, an->headers[i].value);
	if (!slice_empty(s->config.server))
		sip_build_header(b, SIP_H_SERVER, s->config.server);
	sip_build_body(b, an->content_type, an->body);
	if (!buf_ok(b))
		return ENTENTE_EINVAL;
	return answer(st, an->status, buf_slice(b), true);
}

int sip_server_reply(struct sip_server_trans *st, int status)
{
	struct sip_answer an = {.status = status};
	return sip_server_respond(st, &an);
}

int sip_server_forward(struct sip_server_trans *st, int status, struct slice response)
{
	int rc = admit(st, status, true);
	return rc < 0 ? rc : answer(st, status, response, false);
}

/* --- timers --- */

static void fire_send(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_server_trans *st = CONTAINER_OF(t, struct sip_server_trans, t_send);
	struct sip_stack *s = st->stack;
	if (st->state == TRANS_TRYING) {
		if (!st->provisional)
			sip_server_reply(st, 100);
		return;
	}
	st->wait = st->wait * 2 < s->config.t2 ? st->wait * 2 : s->config.t2;
	timer_arm(s->timers, t, st->wait);
	retransmit(st);
}

static void fire_end(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_server_trans *st = CONTAINER_OF(t, struct sip_server_trans, t_end);
	struct sip_stack *s = st->stack;
	switch (st->state) {
	case TRANS_TRYING:
		if (st->method == SIP_INVITE) {
			const struct sip_server_watch *w = st->watch;
			st->watch = NULL;
			void *arg = st->watch_arg;
			sip_server_reply(st, 408);
			if (w)
				w->gone(arg, st); /* nothing can be answered any more */
			return;
		}
		s->stats.late_responses++; /* whatever is said from now on comes too late (RFC 4320 4.2) */
		break;
	case TRANS_ACCEPTED:
		if (st->repeat_2xx && !st->acked && st->watch)
			st->watch->unacked(st->watch_arg, st);
		else if (st->repeat_2xx && !st->acked && s->ops->unacked)
			s->ops->unacked(s->arg, st);
		break;
	default: break;
	}
	trans_server_end(st);
}

/* --- input --- */

static void input_ack(struct sip_stack *s, const struct sip_flow *from, struct sip_msg *m, struct arena *a)
{
	struct sip_server_trans *st = find(s, m, S("INVITE"));
	if (st && st->rfc2543 && !slice_eq(st->tag, m->to.tag))
		st = NULL;
	if (st && st->state == TRANS_COMPLETED) {
		st->state = TRANS_CONFIRMED;
		timer_cancel(s->timers, &st->t_send);
		if (st->reliable)
			trans_server_end(st);
		else
			timer_arm(s->timers, &st->t_end, s->config.t4); /* I */
		sip_stack_release(s, a);
		return;
	}
	if (st && st->state != TRANS_ACCEPTED) {
		s->stats.absorbed++;
		sip_stack_release(s, a);
		return;
	}
	buf_clear(&s->key);
	put_ack_key(&s->key, m, m->to.tag);
	struct map_node *n = map_find(&s->acks, buf_slice(&s->key));
	if (n) {
		st = CONTAINER_OF(n, struct sip_server_trans, ack_node);
		if (st->acked) {
			s->stats.absorbed++;
			sip_stack_release(s, a);
			return;
		}
		st->acked = true;
		timer_cancel(s->timers, &st->t_send);
	}
	trans_route(s, NULL, m, a, from);
}

static void input_cancel(struct sip_stack *s, struct sip_server_trans *cancel, struct sip_server_trans *st)
{
	sip_server_reply(cancel, st ? 200 : 481);
	if (!st || st->state != TRANS_TRYING)
		return;
	if (st->watch)
		st->watch->cancelled(st->watch_arg, st);
	else if (s->ops->cancelled)
		s->ops->cancelled(s->arg, st);
	else
		sip_server_reply(st, 487);
}

void trans_server_input(struct sip_stack *s, const struct sip_flow *from, struct sip_msg *m, struct arena *a)
{
	if (m->method == SIP_ACK) {
		input_ack(s, from, m, a);
		return;
	}
	if (m->method == SIP_BENOTIFY) {
		trans_route(s, NULL, m, a, from);
		return;
	}
	bool rfc2543 = write_key(&s->key, m, m->method_text);
	struct map_node *n = map_find(&s->servers, buf_slice(&s->key));
	if (n) {
		struct sip_server_trans *st = CONTAINER_OF(n, struct sip_server_trans, node);
		s->stats.absorbed++;
		if ((st->state == TRANS_TRYING && st->provisional) || st->state == TRANS_COMPLETED)
			retransmit(st);
		sip_stack_release(s, a);
		return;
	}
	if (!room(s)) {
		s->stats.refused_limit++;
		trans_refuse(s, from, m, 503, SLICE_NONE, s->config.retry_after, NULL);
		sip_stack_release(s, a);
		return;
	}
	struct sip_server_trans *invite = NULL;
	if (m->method == SIP_CANCEL) { /* not earlier: making room may have ended it */
		invite = find(s, m, S("INVITE"));
		write_key(&s->key, m, m->method_text);
	}
	/* RFC 3261 9.2: the same To tag in both answers. */
	struct sip_server_trans *st = create(s, from, m, rfc2543, invite ? invite->tag : SLICE_NONE);
	if (!st) {
		s->stats.refused_limit++;
		trans_refuse(s, from, m, 513, SLICE_NONE, 0, NULL);
		sip_stack_release(s, a);
		return;
	}
	if (m->method == SIP_CANCEL) {
		input_cancel(s, st, invite);
		sip_stack_release(s, a);
		return;
	}
	trans_route(s, st, m, a, from);
}

/* --- what the owner may ask --- */

uint64_t sip_server_since(const struct sip_server_trans *st)
{
	return st->since;
}

uint64_t sip_server_id(const struct sip_server_trans *st)
{
	return st->id;
}

struct sip_server_trans *sip_server_find(struct sip_stack *s, uint64_t id)
{
	uint32_t slot = (uint32_t)id;
	if (!slot || slot > s->n_slots)
		return NULL;
	struct sip_server_trans *st = s->slots[slot - 1];
	if (!st->stack || st->id != id)
		return NULL;
	return st->state == TRANS_TRYING || st->state == TRANS_ACCEPTED ? st : NULL;
}

struct slice sip_server_tag(const struct sip_server_trans *st)
{
	return st->tag;
}

const struct sip_flow *sip_server_flow(const struct sip_server_trans *st)
{
	return &st->from;
}

enum sip_method sip_server_method(const struct sip_server_trans *st)
{
	return st->method;
}

bool sip_server_waiting(const struct sip_server_trans *st)
{
	return st->state == TRANS_TRYING;
}

void sip_server_set_user(struct sip_server_trans *st, void *user)
{
	st->user = user;
}

void sip_server_set_watch(struct sip_server_trans *st, const struct sip_server_watch *watch, void *arg)
{
	st->watch = watch;
	st->watch_arg = arg;
}

void *sip_server_user(const struct sip_server_trans *st)
{
	return st->user;
}

void sip_server_set_record(struct sip_server_trans *st, uint64_t record)
{
	if (st)
		st->record = record;
}

uint64_t sip_server_record(const struct sip_server_trans *st)
{
	return st ? st->record : 0;
}
