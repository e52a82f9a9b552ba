/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a session, and the texts that it sends (RFC 4975 7.1). */
#include "base/mem.h"
#include "base/rand.h"
#include "msrp/session_int.h"

enum { DEFAULT_PARTIAL = 8, DEFAULT_QUEUE = 64, DEFAULT_QUEUE_OCTETS = 1 << 20, TID = 16 };

/* ---- the end of a text */

static struct record *find_record(struct msrp_session *s, struct slice id)
{
	for (size_t i = 0; i < MSRP_SEEN; i++)
		if (s->records[i].number && slice_eq(slice_str(s->records[i].id), id))
			return &s->records[i];
	return NULL;
}

static void drop_txs(struct msrp_session *s, const struct text *t)
{
	LIST_EACH(n, &s->txs) {
		struct tx *x = CONTAINER_OF(n, struct tx, node);
		if (x->text != t)
			continue;
		list_remove(n);
		mem_free(x);
	}
}

static void text_free(struct msrp_session *s, struct text *t)
{
	drop_txs(s, t);
	list_remove(&t->node);
	s->n_texts--;
	s->text_octets -= t->body.len;
	mem_free(t);
}

static void text_over(struct msrp_session *s, struct text *t, int status, struct slice comment)
{
	uint64_t number = t->number;
	text_free(s, t);
	s->ops->sent(s->arg, number, status, comment);
}

/* ---- writing */

static struct tx *new_tx(struct msrp_session *s, struct text *t)
{
	struct tx *x = MEM_NEW(struct tx);
	x->text = t;
	x->due = s->hub->timers->now + MSRP_RESPONSE_MS;
	do
		rand_token(x->tid, TID);
	while (t && slice_find(t->body, slice_str(x->tid)) >= 0);
	return x;
}

static void track(struct msrp_session *s, struct tx *x)
{
	if (x->text && x->text->failure_report == MSRP_FAILURE_NO) { /* nobody will answer */
		mem_free(x);
		return;
	}
	if (x->text)
		x->text->pending++;
	list_append(&s->txs, &x->node);
	if (!timer_armed(&s->response))
		timer_arm(s->hub->timers, &s->response, MSRP_RESPONSE_MS);
}

static void write_chunk(struct msrp_session *s, struct text *t)
{
	struct tx *x = new_tx(s, t);
	struct slice data = slice_first(slice_skip(t->body, t->handed), MSRP_CHUNK);
	struct msrp_send m = {.tid = slice_str(x->tid), .to_path = slice_str(s->to_path), .from_path = slice_str(s->from_path),
			      .message_id = slice_str(t->id), .success_report = t->success_report, .failure_report = t->failure_report,
			      .headers = t->headers, .content_type = t->type, .data = data};
	m.range = (struct msrp_range){(int64_t)t->handed + 1, (int64_t)(t->handed + data.len), (int64_t)t->body.len};
	if (!t->begun) {
		struct record *r = &s->records[s->next_record++ % MSRP_SEEN];
		*r = (struct record){.number = t->number, .size = t->body.len};
		memcpy(r->id, t->id, sizeof r->id);
	}
	t->begun = true;
	t->handed += data.len;
	t->complete = t->handed == t->body.len;
	m.flag = t->complete ? '$' : '+';
	buf_clear(&s->hub->out);
	msrp_put_send(&s->hub->out, &m);
	track(s, x);
	s->octets_out += data.len;
	if (t->complete) {
		s->messages_out++;
		list_remove(&t->node);
		list_append(t->failure_report == MSRP_FAILURE_NO ? &s->done : &s->waiting, &t->node);
		if (t->failure_report == MSRP_FAILURE_NO)
			timer_arm(s->hub->timers, &s->turn, 0);
	}
	s->blocked = !msrp_hub_write(s->hub, s->line);
}

static void pump(struct msrp_session *s)
{
	struct list *n;
	while (s->open && !s->blocked && ((n = list_head(&s->urgent)) || (n = list_head(&s->queue))))
		write_chunk(s, CONTAINER_OF(n, struct text, node));
}

/* RFC 4975 5.4: the active side says something at once. */
static void write_bodiless(struct msrp_session *s)
{
	struct tx *x = new_tx(s, NULL);
	char id[20];
	struct msrp_send m = {.tid = slice_str(x->tid), .to_path = slice_str(s->to_path), .from_path = slice_str(s->from_path), .flag = '$'};
	rand_token(id, TID);
	m.message_id = slice_str(id);
	m.range = (struct msrp_range){1, 0, 0};
	buf_clear(&s->hub->out);
	msrp_put_send(&s->hub->out, &m);
	track(s, x);
	s->blocked = !msrp_hub_write(s->hub, s->line);
}

static void write_abort(struct msrp_session *s, const struct text *t)
{
	struct tx *x = new_tx(s, NULL);
	struct msrp_send m = {.tid = slice_str(x->tid), .to_path = slice_str(s->to_path), .from_path = slice_str(s->from_path),
			      .message_id = slice_str(t->id), .success_report = t->success_report, .failure_report = t->failure_report,
			      .headers = t->headers, .content_type = t->type, .flag = '#'};
	m.range = (struct msrp_range){(int64_t)t->handed + 1, (int64_t)t->handed, (int64_t)t->body.len};
	buf_clear(&s->hub->out);
	msrp_put_send(&s->hub->out, &m);
	if (t->failure_report == MSRP_FAILURE_YES)
		track(s, x);
	else
		mem_free(x);
	s->blocked = !msrp_hub_write(s->hub, s->line);
}

/* ---- being answered */

static bool unknown_there(int status)
{
	return status == 481 || status == 506;
}

static struct text *find_id(struct msrp_session *s, struct slice id)
{
	struct list *lists[] = {&s->urgent, &s->queue, &s->waiting};
	for (size_t i = 0; i < 3; i++)
		LIST_EACH(n, lists[i]) {
			struct text *t = CONTAINER_OF(n, struct text, node);
			if (t->begun && slice_eq(slice_str(t->id), id))
				return t;
		}
	return NULL;
}

static void refused(struct msrp_session *s, struct text *t, int status, struct slice comment)
{
	uint64_t number = t ? t->number : 0;
	if (t)
		text_over(s, t, status, comment);
	if (unknown_there(status) && !s->dead)
		msrp_session_over(s, MSRP_END_REFUSED, status, number);
}

void msrp_session_response(struct msrp_session *s, const struct msrp_head *h)
{
	struct tx *x = NULL;
	struct text *t;
	LIST_EACH(n, &s->txs)
		if (!x && slice_eq(slice_str(CONTAINER_OF(n, struct tx, node)->tid), h->tid))
			x = CONTAINER_OF(n, struct tx, node);
	if (!x)
		return;
	msrp_session_enter(s);
	t = x->text;
	list_remove(&x->node);
	mem_free(x);
	if (h->status != 200) {
		refused(s, t, h->status, h->comment);
	} else if (t) {
		t->pending--;
		if (t->complete && !t->pending)
			text_over(s, t, 200, SLICE_NONE);
	}
	msrp_session_leave(s);
}

void msrp_session_reported(struct msrp_session *s, const struct msrp_head *h)
{
	struct record *r = h->status_namespace == 0 ? find_record(s, h->message_id) : NULL;
	struct text *t = r ? find_id(s, h->message_id) : NULL;
	uint64_t number = r ? r->number : 0;
	if (!r || r->told)
		return;
	msrp_session_enter(s);
	if (h->status == 200) {
		if (!h->has_range || h->range.end < 0)
			r->covered = r->size;
		else if (h->range.start - 1 <= (int64_t)r->covered && h->range.end > (int64_t)r->covered)
			r->covered = (size_t)h->range.end;
		if (r->covered >= r->size) {
			r->told = true;
			s->ops->report(s->arg, number, h->message_id, 200, h->comment);
		}
	} else if (t) { /* as a response would say it */
		r->told = true;
		refused(s, t, h->status, h->comment);
	} else {
		r->told = true;
		s->ops->report(s->arg, number, h->message_id, h->status, h->comment);
		if (!s->dead && (unknown_there(h->status) || h->status == 408))
			msrp_session_over(s, MSRP_END_REFUSED, h->status, number);
	}
	msrp_session_leave(s);
}

static void response_due(struct timer *timer, uint64_t now)
{
	struct msrp_session *s = CONTAINER_OF(timer, struct msrp_session, response);
	struct list *n;
	msrp_session_enter(s);
	while (!s->dead && (n = list_head(&s->txs))) {
		struct tx *x = CONTAINER_OF(n, struct tx, node);
		struct text *t = x->text;
		if (x->due > now) {
			timer_arm(s->hub->timers, &s->response, x->due - now);
			break;
		}
		list_remove(n);
		mem_free(x);
		if (t && t->failure_report == MSRP_FAILURE_PARTIAL) {
			t->pending--;
			if (t->complete && !t->pending)
				text_over(s, t, 200, SLICE_NONE);
		} else if (t) {
			text_over(s, t, 408, S("no answer"));
		}
	}
	msrp_session_leave(s);
}

static void turn(struct timer *timer, uint64_t now)
{
	struct msrp_session *s = CONTAINER_OF(timer, struct msrp_session, turn);
	struct list *n;
	(void)now;
	msrp_session_enter(s);
	while (!s->dead && (n = list_head(&s->done)))
		text_over(s, CONTAINER_OF(n, struct text, node), 200, SLICE_NONE);
	msrp_session_leave(s);
}

/* ---- life */

static void bind_due(struct timer *timer, uint64_t now)
{
	(void)now;
	msrp_session_over(CONTAINER_OF(timer, struct msrp_session, bind), MSRP_END_UNBOUND, 0, 0);
}

struct msrp_session *msrp_session_new(struct msrp_hub *h, const struct msrp_session_config *cfg, const struct msrp_session_ops *ops, void *arg)
{
	struct msrp_path path;
	struct msrp_session *s;
	if (!cfg->id.len || map_find(&h->sessions, cfg->id) || (cfg->to_path.len && msrp_path_parse(cfg->to_path, &path)))
		return NULL;
	s = MEM_NEW(struct msrp_session);
	s->hub = h;
	s->ops = ops;
	s->arg = arg;
	s->cfg = *cfg;
	s->cfg.max_partial = cfg->max_partial ? cfg->max_partial : DEFAULT_PARTIAL;
	s->cfg.max_queue = cfg->max_queue ? cfg->max_queue : DEFAULT_QUEUE;
	s->cfg.max_queue_octets = cfg->max_queue_octets ? cfg->max_queue_octets : DEFAULT_QUEUE_OCTETS;
	s->id = mem_strndup(cfg->id.p, cfg->id.len);
	s->from_path = mem_strndup(cfg->from_path.p, cfg->from_path.len);
	if (cfg->to_path.len)
		s->to_path = mem_strndup(cfg->to_path.p, cfg->to_path.len);
	s->cfg.id = s->cfg.from_path = s->cfg.to_path = SLICE_NONE;
	list_init(&s->on_line);
	list_init(&s->urgent);
	list_init(&s->queue);
	list_init(&s->waiting);
	list_init(&s->done);
	list_init(&s->txs);
	list_init(&s->partials);
	timer_init(&s->bind, bind_due);
	timer_init(&s->response, response_due);
	timer_init(&s->stale, msrp_receive_stale);
	timer_init(&s->turn, turn);
	if (s->to_path)
		timer_arm(h->timers, &s->bind, MSRP_BIND_MS);
	map_insert(&h->sessions, &s->node, slice_str(s->id));
	return s;
}

static void stop_timers(struct msrp_session *s)
{
	struct timers *q = s->hub->timers;
	timer_cancel(q, &s->bind);
	timer_cancel(q, &s->response);
	timer_cancel(q, &s->stale);
	timer_cancel(q, &s->turn);
}

struct msrp_session *msrp_session_free(struct msrp_session *s)
{
	struct list *lists[4];
	if (!s || s->dead)
		return NULL;
	s->dead = s->over = true;
	s->open = false;
	stop_timers(s);
	msrp_hub_unbind(s);
	map_remove(&s->hub->sessions, &s->node);
	lists[0] = &s->urgent;
	lists[1] = &s->queue;
	lists[2] = &s->waiting;
	lists[3] = &s->done;
	for (size_t i = 0; i < 4; i++)
		LIST_EACH(n, lists[i])
			text_free(s, CONTAINER_OF(n, struct text, node));
	drop_txs(s, NULL);
	msrp_receive_free(s);
	if (!s->busy) {
		s->busy = 1;
		msrp_session_leave(s);
	}
	return NULL;
}

void msrp_session_enter(struct msrp_session *s)
{
	s->busy++;
}

bool msrp_session_leave(struct msrp_session *s)
{
	bool dead = s->dead;
	if (--s->busy || !dead)
		return !dead;
	mem_free(s->id);
	mem_free(s->from_path);
	mem_free(s->to_path);
	mem_free(s->peer_path);
	mem_free(s);
	return false;
}

void msrp_session_over(struct msrp_session *s, enum msrp_end why, int status, uint64_t number)
{
	struct list *lists[4] = {&s->done, &s->waiting, &s->urgent, &s->queue}, *n;
	if (s->over)
		return;
	s->over = true;
	s->open = false;
	msrp_session_enter(s);
	stop_timers(s);
	msrp_hub_unbind(s);
	for (size_t i = 0; i < 4; i++)
		while (!s->dead && (n = list_head(lists[i]))) {
			struct text *t = CONTAINER_OF(n, struct text, node);
			int fate = !t->complete ? 0 : i == 0 ? 200 : 408;
			if (t->complete && i && why == MSRP_END_REFUSED && number && t->number > number)
				fate = status; /* behind the one that was refused: so is this */
			text_over(s, t, fate, SLICE_NONE);
		}
	if (!s->dead)
		s->ops->ended(s->arg, why, status);
	msrp_session_leave(s);
}

void msrp_session_opened(struct msrp_session *s)
{
	msrp_session_enter(s);
	timer_cancel(s->hub->timers, &s->bind);
	if (!s->open) {
		s->open = true;
		s->ops->open(s->arg);
	}
	pump(s);
	msrp_session_leave(s);
}

int msrp_session_peer(struct msrp_session *s, struct slice to_path)
{
	struct msrp_path path;
	if (msrp_path_parse(to_path, &path))
		return ENTENTE_ESYNTAX;
	mem_free(s->to_path);
	s->to_path = mem_strndup(to_path.p, to_path.len);
	if (s->up && !s->over)
		msrp_session_opened(s);
	else if (!s->over && s->line == MSRP_LINE_NONE)
		timer_arm(s->hub->timers, &s->bind, MSRP_BIND_MS);
	return 0;
}

void msrp_session_connect(struct msrp_session *s, uint64_t line)
{
	timer_cancel(s->hub->timers, &s->bind);
	msrp_hub_bind(s, line);
}

void msrp_session_up(struct msrp_session *s)
{
	if (s->over || s->up || !s->to_path)
		return;
	s->up = true;
	if (list_empty(&s->urgent) && list_empty(&s->queue))
		write_bodiless(s);
	msrp_session_opened(s);
}

bool msrp_session_is_open(const struct msrp_session *s)
{
	return s->open;
}

uint64_t msrp_session_line(const struct msrp_session *s)
{
	return s->line;
}

/* ---- texts */

static bool fit_for_header(struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] == '\r' || v.p[i] == '\n' || !v.p[i])
			return false;
	return v.len > 0 && v.len <= 1024;
}

int msrp_session_send(struct msrp_session *s, const struct msrp_text *in, uint64_t *ret)
{
	struct text *t;
	char *p;
	if (s->over)
		return ENTENTE_ECLOSED;
	if (!fit_for_header(in->content_type) || in->headers.len > 4096 || in->message_id.len >= sizeof t->id)
		return ENTENTE_EINVAL;
	if (s->n_texts >= s->cfg.max_queue || in->body.len > s->cfg.max_queue_octets - s->text_octets)
		return ENTENTE_ELIMIT;
	t = mem_calloc(1, sizeof *t + in->content_type.len + in->headers.len + in->body.len);
	p = (char *)(t + 1);
	t->type = slice_of(memcpy(p, in->content_type.p, in->content_type.len), in->content_type.len);
	p += t->type.len;
	if (in->headers.len)
		t->headers = slice_of(memcpy(p, in->headers.p, in->headers.len), in->headers.len);
	p += t->headers.len;
	t->body = slice_of(p, in->body.len);
	if (in->body.len)
		memcpy(p, in->body.p, in->body.len);
	t->number = ++s->next_number;
	t->success_report = in->success_report;
	t->failure_report = in->failure_report;
	t->urgent = in->urgent;
	if (in->message_id.len)
		slice_cstr(in->message_id, t->id, sizeof t->id);
	else
		rand_token(t->id, TID);
	s->n_texts++;
	s->text_octets += t->body.len;
	list_append(t->urgent ? &s->urgent : &s->queue, &t->node);
	*ret = t->number;
	pump(s);
	return 0;
}

void msrp_session_cancel(struct msrp_session *s, uint64_t number)
{
	struct list *lists[] = {&s->urgent, &s->queue, &s->waiting, &s->done};
	for (size_t i = 0; i < 4; i++)
		LIST_EACH(n, lists[i]) {
			struct text *t = CONTAINER_OF(n, struct text, node);
			if (t->number != number)
				continue;
			if (t->begun && !t->complete && s->open)
				write_abort(s, t);
			text_free(s, t);
			return;
		}
}

void msrp_session_show(const struct msrp_session *s, struct msrp_session_facts *ret)
{
	*ret = (struct msrp_session_facts){.line = s->line, .messages_in = s->messages_in, .messages_out = s->messages_out,
					   .octets_in = s->octets_in, .octets_out = s->octets_out, .queued = s->n_texts,
					   .queued_octets = s->text_octets, .partial = s->n_partials, .partial_octets = s->partial_octets,
					   .open = s->open};
}
