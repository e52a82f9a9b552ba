/* SPDX-License-Identifier: Apache-2.0 */
/* Client transactions: RFC 3261 17.1 with RFC 6026 (Accepted, Timer M), CANCEL (RFC 3261 9.1), and the insertion of our Via. */
#include "base/mem.h"
#include "base/rand.h"
#include "sip/trans_int.h"

enum { BRANCH_RANDOM = 16, SUFFIX_MAX = 64, SCRATCH_MAX = 4 << 20, REPEAT_STEP_MS = 500 };

static void fire_send(struct timer *t, uint64_t now);
static void fire_end(struct timer *t, uint64_t now);

/* --- life --- */

static struct sip_client_trans *take(struct sip_stack *s)
{
	struct sip_client_trans *ct = s->free_clients;
	if (ct) {
		s->free_clients = ct->next_free;
		s->n_free_clients--;
	} else {
		ct = MEM_NEW(struct sip_client_trans);
		buf_init(&ct->request, 2 * TRANS_BUF_MAX);
		buf_init(&ct->ack, 2 * TRANS_BUF_MAX);
	}
	ct->stack = s;
	ct->state = TRANS_TRYING;
	ct->failing = ct->cancel_wanted = ct->cancelled = ct->dead = ct->repeat = false;
	ct->repeat_until = 0;
	ct->busy = 0;
	timer_init(&ct->t_send, fire_send);
	timer_init(&ct->t_end, fire_end);
	list_append(&s->client_list, &ct->all);
	s->stats.clients++;
	return ct;
}

static void put(struct sip_client_trans *ct)
{
	struct sip_stack *s = ct->stack;
	trans_buf_return(s, &ct->request);
	trans_buf_return(s, &ct->ack);
	ct->long_key = mem_free(ct->long_key);
	if (s->n_free_clients >= TRANS_FREE_MAX) {
		mem_free(ct);
		return;
	}
	ct->stack = NULL;
	ct->next_free = s->free_clients;
	s->free_clients = ct;
	s->n_free_clients++;
}

static void release(struct sip_client_trans *ct)
{
	if (ct->dead && !ct->busy)
		put(ct);
}

/* Out of the tables; the memory goes when no callback runs on it. */
static void end(struct sip_client_trans *ct)
{
	struct sip_stack *s = ct->stack;
	if (ct->dead)
		return;
	ct->dead = true;
	map_remove(&s->clients, &ct->node);
	list_remove(&ct->all);
	timer_cancel(s->timers, &ct->t_send);
	timer_cancel(s->timers, &ct->t_end);
	s->stats.clients--;
	release(ct);
}

void trans_client_free_all(struct sip_stack *s)
{
	LIST_EACH(l, &s->client_list)
		end(CONTAINER_OF(l, struct sip_client_trans, all));
	LIST_EACH(l, &s->accepted_clients)
		end(CONTAINER_OF(l, struct sip_client_trans, all));
	while (s->free_clients) {
		struct sip_client_trans *ct = s->free_clients;
		s->free_clients = ct->next_free;
		mem_free(ct);
	}
}

/* The one done() of the owner; afterwards it is not ours any more. */
static void tell_done(struct sip_client_trans *ct, enum sip_done why)
{
	const struct sip_client_handler *h = ct->handler;
	ct->handler = NULL;
	if (h && h->done)
		h->done(ct->arg, why);
}

static void finish(struct sip_client_trans *ct, enum sip_done why)
{
	struct sip_stack *s = ct->stack;
	if (why == SIP_DONE_TIMEOUT)
		s->stats.timeouts++;
	else if (why == SIP_DONE_TRANSPORT)
		s->stats.transport_failures++;
	ct->busy++;
	end(ct);
	tell_done(ct, why);
	ct->busy--;
	release(ct);
}

/* Is there, or can there be, room for one more? */
static bool room(struct sip_stack *s)
{
	int tries = 16;
	if (s->stats.clients < s->config.max_client)
		return true;
	LIST_EACH(l, &s->accepted_clients) {
		struct sip_client_trans *ct = CONTAINER_OF(l, struct sip_client_trans, all);
		if (!ct->busy && !ct->ack.len) { /* not one that must repeat its ACK */
			finish(ct, SIP_DONE_ANSWERED);
			return s->stats.clients < s->config.max_client;
		}
		if (!--tries)
			break;
	}
	return false;
}

static void tell_response(struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	ct->busy++;
	if (ct->handler && ct->handler->response)
		ct->handler->response(ct->arg, ct, m, from);
	ct->busy--;
}

/* --- writing --- */

bool trans_insert_via(struct sip_stack *s, struct buf *out, const struct sip_flow *to, struct slice request,
		      const struct sip_client_opts *opts, struct slice *ret_branch)
{
	static const struct sip_client_opts none;
	char token[BRANCH_RANDOM + 1];
	ptrdiff_t line = slice_find_chr(request, '\n');
	if (line < 0 || slice_starts(request, S("SIP/")))
		return false;
	if (!opts)
		opts = &none;
	struct slice by = slice_empty(opts->sent_by) ? s->config.sent_by[to->transport] : opts->sent_by;
	rand_token(token, BRANCH_RANDOM);
	buf_put(out, slice_first(request, (size_t)line + 1));
	buf_puts(out, "Via: SIP/2.0/");
	buf_puts(out, sip_transport_name(to->transport));
	buf_putc(out, ' ');
	buf_put(out, slice_empty(by) ? S("invalid") : by);
	buf_puts(out, ";branch=");
	size_t at = out->len;
	buf_put(out, BRANCH_COOKIE);
	buf_put(out, slice_of(token, BRANCH_RANDOM));
	buf_put(out, slice_first(opts->branch_suffix, SUFFIX_MAX));
	size_t n = out->len - at;
	if (!sip_reliable(to->transport))
		buf_puts(out, ";rport");
	buf_put(out, opts->via_params);
	buf_puts(out, "\r\n");
	buf_put(out, slice_skip(request, (size_t)line + 1));
	if (!buf_ok(out))
		return false;
	*ret_branch = slice_of(out->mem + out->off + at, n);
	return true;
}

int sip_stack_send(struct sip_stack *s, const struct sip_flow *to, struct slice request, const struct sip_client_opts *opts)
{
	struct slice branch;
	buf_clear(&s->out);
	if (!trans_insert_via(s, &s->out, to, request, opts, &branch))
		return ENTENTE_EINVAL;
	s->stats.requests_out++;
	return trans_send(s, to, buf_slice(&s->out)) == 0 ? 0 : ENTENTE_ENET;
}

/* ACK of a non-2xx, or CANCEL: the INVITE's Request-URI, topmost Via, Route, From, Call-ID and CSeq number (RFC 3261
 * 9.1, 17.1.1.3). `to` is the To field line of the response, or empty: the INVITE's. */
static bool write_companion(struct sip_client_trans *ct, struct buf *b, struct slice method, struct slice to)
{
	struct sip_stack *s = ct->stack;
	struct arena *a = s->config.pool ? arena_acquire(s->config.pool) : arena_new(SCRATCH_MAX);
	struct sip_msg *m;
	struct sip_fault fault;
	const struct sip_limits any = {SIZE_MAX / 2, 4096, SIZE_MAX / 2};
	const struct sip_header *h;
	bool ok = sip_msg_parse(&m, a, buf_slice(&ct->request), &any, &fault) == 0;
	if (ok) {
		sip_build_request(b, method, m->uri_text);
		buf_puts(b, "Via: ");
		buf_put(b, m->via.raw);
		buf_puts(b, "\r\nMax-Forwards: 70\r\n");
		for (size_t i = 0; (h = sip_msg_header(m, SIP_H_ROUTE, i)); i++)
			buf_put(b, h->line);
		if ((h = sip_msg_header(m, SIP_H_FROM, 0)))
			buf_put(b, h->line);
		if (slice_empty(to) && (h = sip_msg_header(m, SIP_H_TO, 0)))
			to = h->line;
		buf_put(b, to);
		if ((h = sip_msg_header(m, SIP_H_CALL_ID, 0)))
			buf_put(b, h->line);
		sip_build_header_fmt(b, SIP_H_CSEQ, "%u %.*s", m->cseq, SFMT(method));
		sip_build_body(b, SLICE_NONE, SLICE_NONE);
		ok = buf_ok(b);
	}
	sip_stack_release(s, a);
	return ok;
}

/* --- sending --- */

static void fail(struct sip_client_trans *ct)
{
	/* Told by the timer: the caller may be inside its own bookkeeping. */
	ct->failing = true;
	timer_cancel(ct->stack->timers, &ct->t_send);
	timer_arm(ct->stack->timers, &ct->t_end, 0);
}

/* No way: that is the end, or it goes out again where it did go out before. `sent`: on the connection that is gone now. */
static void fail_or_repeat(struct sip_client_trans *ct, bool sent)
{
	struct timers *q = ct->stack->timers;
	bool first = ct->repeat && sent && !ct->repeat_until;
	if (first)
		ct->repeat_until = q->now + SIP_REPEAT_MS;
	if (!ct->repeat_until || q->now >= ct->repeat_until) {
		fail(ct);
		return;
	}
	ct->to.conn = 0;
	timer_arm(q, &ct->t_send, first ? 0 : REPEAT_STEP_MS);
}

static void key_set(struct sip_client_trans *ct, struct slice branch, struct slice method)
{
	size_t len = branch.len + 1 + method.len;
	char *key = len <= sizeof ct->key ? ct->key : (ct->long_key = mem_realloc(NULL, len));
	memcpy(key, branch.p, branch.len);
	key[branch.len] = '\n';
	memcpy(key + branch.len + 1, method.p, method.len);
	map_insert(&ct->stack->clients, &ct->node, slice_of(key, len));
}

static void launch(struct sip_client_trans *ct, struct slice bytes, uint32_t timeout)
{
	struct sip_stack *s = ct->stack;
	s->stats.requests_out++;
	timer_arm(s->timers, &ct->t_end, timeout); /* B, F */
	if (!ct->reliable) {
		ct->wait = s->config.t1;
		timer_arm(s->timers, &ct->t_send, ct->wait); /* A, E */
	}
	if (trans_send(s, &ct->to, bytes) != 0)
		fail(ct);
}

int sip_client_start(struct sip_client_trans **ret, struct sip_stack *s, const struct sip_flow *to, struct slice request,
		     const struct sip_client_handler *handler, void *arg, const struct sip_client_opts *opts)
{
	if (!room(s)) {
		s->stats.refused_limit++;
		return ENTENTE_ELIMIT;
	}
	ptrdiff_t sp = slice_find_chr(request, ' ');
	struct slice method = slice_first(request, sp < 0 ? 0 : (size_t)sp);
	if (slice_empty(method) || slice_eq(method, S("ACK")) || slice_eq(method, S("BENOTIFY")))
		return ENTENTE_EINVAL;
	struct sip_client_trans *ct = take(s);
	ct->method = sip_method_of(method);
	ct->to = *to;
	ct->reliable = sip_reliable(to->transport);
	ct->handler = handler;
	ct->arg = arg;
	ct->repeat = opts && opts->repeat && ct->reliable && ct->method != SIP_INVITE;
	ct->repeat_until = 0;
	struct buf *b = ct->reliable && ct->method != SIP_INVITE && !ct->repeat ? &s->out : &ct->request;
	struct slice branch;
	buf_clear(b);
	trans_buf_lend(s, b);
	if (!trans_insert_via(s, b, to, request, opts, &branch)) {
		list_remove(&ct->all);
		s->stats.clients--;
		put(ct);
		return ENTENTE_EINVAL;
	}
	key_set(ct, branch, method);
	launch(ct, buf_slice(b), opts && opts->timeout_ms ? opts->timeout_ms : 64 * s->config.t1);
	if (ret)
		*ret = ct;
	return 0;
}

bool sip_client_repeated(const struct sip_client_trans *ct)
{
	return ct->repeat_until != 0;
}

static void send_cancel(struct sip_client_trans *ct)
{
	struct sip_stack *s = ct->stack;
	ct->cancelled = true;
	timer_arm(s->timers, &ct->t_end, 64 * s->config.t1); /* no answer by then: given up (RFC 3261 9.1) */
	struct sip_client_trans *cancel = take(s);
	cancel->method = SIP_CANCEL;
	cancel->to = ct->to;
	cancel->reliable = ct->reliable;
	cancel->repeat = false;
	cancel->handler = NULL;
	trans_buf_lend(s, &cancel->request);
	if (!write_companion(ct, &cancel->request, S("CANCEL"), SLICE_NONE)) {
		list_remove(&cancel->all);
		s->stats.clients--;
		put(cancel);
		return;
	}
	struct slice key = ct->node.key;
	key_set(cancel, slice_first(key, (size_t)slice_find_chr(key, '\n')), S("CANCEL"));
	launch(cancel, buf_slice(&cancel->request), 64 * s->config.t1);
}

void sip_client_cancel(struct sip_client_trans *ct)
{
	if (ct->method != SIP_INVITE || ct->cancelled || ct->dead)
		return;
	if (ct->state == TRANS_PROCEEDING)
		send_cancel(ct);
	else if (ct->state == TRANS_TRYING)
		ct->cancel_wanted = true;
}

int sip_client_ack(struct sip_client_trans *ct, const struct sip_flow *to, struct slice ack)
{
	struct sip_stack *s = ct->stack;
	struct slice branch;
	if (ct->method != SIP_INVITE || ct->state != TRANS_ACCEPTED)
		return ENTENTE_EINVAL;
	if (ct->ack.len)
		return ENTENTE_EEXIST;
	trans_buf_lend(s, &ct->ack);
	if (!trans_insert_via(s, &ct->ack, to, ack, NULL, &branch)) {
		buf_clear(&ct->ack);
		return ENTENTE_EINVAL;
	}
	ct->ack_to = *to;
	s->stats.requests_out++;
	return trans_send(s, to, buf_slice(&ct->ack)) == 0 ? 0 : ENTENTE_ENET;
}

void sip_client_drop(struct sip_client_trans *ct)
{
	if (ct)
		ct->handler = NULL;
}

/* --- timers --- */

static void fire_send(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_client_trans *ct = CONTAINER_OF(t, struct sip_client_trans, t_send);
	struct sip_stack *s = ct->stack;
	if (ct->state > TRANS_PROCEEDING)
		return;
	if (!ct->reliable) {
		ct->wait *= 2;
		if (ct->method != SIP_INVITE && (ct->wait > s->config.t2 || ct->state == TRANS_PROCEEDING))
			ct->wait = s->config.t2;
		timer_arm(s->timers, t, ct->wait);
	}
	s->stats.retransmitted++;
	s->stats.requests_out++;
	if (trans_send(s, &ct->to, buf_slice(&ct->request)) != 0)
		fail_or_repeat(ct, false);
}

static void fire_end(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_client_trans *ct = CONTAINER_OF(t, struct sip_client_trans, t_end);
	if (ct->failing) {
		finish(ct, SIP_DONE_TRANSPORT);
		return;
	}
	switch (ct->state) {
	case TRANS_TRYING:
	case TRANS_PROCEEDING:
		if (ct->method == SIP_INVITE && ct->state == TRANS_PROCEEDING && !ct->cancelled)
			send_cancel(ct); /* Timer C */
		else
			finish(ct, SIP_DONE_TIMEOUT);
		break;
	default: finish(ct, SIP_DONE_ANSWERED); /* D, K; M: only now is the owner told */
	}
}

/* --- input --- */

static void send_ack(struct sip_client_trans *ct)
{
	struct sip_stack *s = ct->stack;
	s->stats.requests_out++;
	trans_send(s, &ct->ack_to, buf_slice(&ct->ack)); /* a lost ACK is asked for again */
}

static void provisional(struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_stack *s = ct->stack;
	bool first = ct->state == TRANS_TRYING;
	ct->state = TRANS_PROCEEDING;
	if (ct->method == SIP_INVITE) {
		timer_cancel(s->timers, &ct->t_send);
		if (!ct->cancelled && !ct->failing && (first || m->status > 100))
			timer_arm(s->timers, &ct->t_end, s->config.ring_ms); /* C */
		if (ct->cancel_wanted && !ct->cancelled)
			send_cancel(ct);
	}
	ct->busy++;
	tell_response(ct, m, from);
	ct->busy--;
	release(ct);
}

static void final(struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_stack *s = ct->stack;
	bool invite = ct->method == SIP_INVITE;
	ct->failing = false; /* an answer is better than a broken way */
	timer_cancel(s->timers, &ct->t_send);
	ct->busy++;
	if (invite && m->status < 300) {
		ct->state = TRANS_ACCEPTED;
		timer_arm(s->timers, &ct->t_end, 64 * s->config.t1); /* M */
		ct->tag = hash_slice(m->to.tag);
		if (ct->reliable) {
			list_remove(&ct->all);
			list_append(&s->accepted_clients, &ct->all);
		}
		trans_buf_return(s, &ct->request); /* half a minute of calls is in this state: nothing is sent again or cancelled in it */
		tell_response(ct, m, from);
	} else {
		ct->state = TRANS_COMPLETED;
		if (invite) {
			const struct sip_header *to = sip_msg_header(m, SIP_H_TO, 0);
			ct->ack_to = ct->to;
			trans_buf_lend(s, &ct->ack);
			if (write_companion(ct, &ct->ack, S("ACK"), to ? to->line : SLICE_NONE))
				send_ack(ct);
		}
		if (ct->reliable)
			end(ct);
		else
			timer_arm(s->timers, &ct->t_end, invite ? 64 * s->config.t1 : s->config.t4); /* D, K */
		tell_response(ct, m, from);
		tell_done(ct, SIP_DONE_ANSWERED);
	}
	ct->busy--;
	release(ct);
}

/* RFC 6026: a further 2xx. */
static void accepted_again(struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	if (ct->ack.len && ct->tag == hash_slice(m->to.tag)) {
		ct->stack->stats.absorbed++;
		send_ack(ct);
		return;
	}
	ct->busy++;
	tell_response(ct, m, from);
	ct->busy--;
	release(ct);
}

void trans_client_input(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m)
{
	buf_clear(&s->key);
	buf_put(&s->key, m->via.branch);
	buf_putc(&s->key, '\n');
	buf_put(&s->key, m->cseq_method_text);
	struct map_node *n = map_find(&s->clients, buf_slice(&s->key));
	struct sip_client_trans *ct = n ? CONTAINER_OF(n, struct sip_client_trans, node) : NULL;
	/* An answer from someone whom we did not ask proves nothing, even with the right branch. */
	if (!ct || (ct->to.target != from->target && ct->to.target != UINT32_MAX && from->target != UINT32_MAX)) {
		s->stats.stray_responses++;
		return;
	}
	bool again = ct->state > TRANS_PROCEEDING;
	if (m->status < 200) {
		if (!again)
			provisional(ct, m, from);
	} else if (!again) {
		final(ct, m, from);
	} else if (ct->state == TRANS_ACCEPTED && m->status < 300) {
		accepted_again(ct, m, from);
	} else {
		s->stats.absorbed++;
		if (ct->method == SIP_INVITE && ct->state == TRANS_COMPLETED && m->status >= 300 && ct->ack.len)
			send_ack(ct);
	}
}

static bool same_address(const union sip_remote *a, const union sip_remote *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
		return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
	}
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
		return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
	}
	return true;
}

void trans_client_flow_failed(struct sip_stack *s, const struct sip_flow *flow)
{
	LIST_EACH(l, &s->client_list) {
		struct sip_client_trans *ct = CONTAINER_OF(l, struct sip_client_trans, all);
		if (ct->state > TRANS_PROCEEDING || ct->failing || ct->to.transport != flow->transport)
			continue;
		if (ct->to.conn ? ct->to.conn == flow->conn
				: ct->to.target == flow->target && same_address(&ct->to.remote, &flow->remote))
			fail_or_repeat(ct, flow->conn != 0);
	}
}
