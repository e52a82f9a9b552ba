/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that come in (RFC 4975 7.3.1), and what is answered to them. */
#include "base/mem.h"
#include "base/rand.h"
#include "msrp/session_int.h"

/* ---- what was whole */

static struct seen *find_seen(struct msrp_session *s, struct slice id)
{
	for (size_t i = 0; i < MSRP_SEEN; i++)
		if (s->seen[i].id && slice_eq(slice_str(s->seen[i].id), id))
			return &s->seen[i];
	return NULL;
}

static struct seen *remember(struct msrp_session *s, struct slice id)
{
	struct seen *x = &s->seen[s->next_seen++ % MSRP_SEEN];
	mem_free(x->id);
	*x = (struct seen){.id = mem_strndup(id.p, id.len)};
	return x;
}

/* ---- what is not */

static void drop(struct msrp_session *s, struct partial *p)
{
	if (!p)
		return;
	list_remove(&p->node);
	s->n_partials--;
	s->partial_octets -= p->cap;
	s->hub->partial_octets -= p->cap;
	if (s->chunk.partial == p)
		s->chunk.partial = NULL;
	mem_free(p->id);
	mem_free(p->type);
	mem_free(p->mem);
	mem_free(p);
}

static struct partial *find_partial(struct msrp_session *s, struct slice id)
{
	LIST_EACH(n, &s->partials) {
		struct partial *p = CONTAINER_OF(n, struct partial, node);
		if (slice_eq(slice_str(p->id), id))
			return p;
	}
	return NULL;
}

static struct partial *new_partial(struct msrp_session *s, struct slice id)
{
	struct partial *p;
	if (s->n_partials >= s->cfg.max_partial)
		return NULL;
	p = MEM_NEW(struct partial);
	p->id = mem_strndup(id.p, id.len);
	list_append(&s->partials, &p->node);
	s->n_partials++;
	if (!timer_armed(&s->stale))
		timer_arm(s->hub->timers, &s->stale, MSRP_PARTIAL_MS);
	return p;
}

void msrp_receive_stale(struct timer *t, uint64_t now)
{
	struct msrp_session *s = CONTAINER_OF(t, struct msrp_session, stale);
	uint64_t next = UINT64_MAX;
	LIST_EACH(n, &s->partials) {
		struct partial *p = CONTAINER_OF(n, struct partial, node);
		if (p->touched + MSRP_PARTIAL_MS <= now) {
			if (s->chunk.partial == p) { /* in the middle of one: what still comes of it is skipped */
				s->chunk.skip = true;
				s->chunk.status = 408;
			}
			drop(s, p);
		} else if (p->touched + MSRP_PARTIAL_MS < next) {
			next = p->touched + MSRP_PARTIAL_MS;
		}
	}
	if (next != UINT64_MAX)
		timer_arm(s->hub->timers, &s->stale, next - now);
}

/* Marks [from, to) as there; false: in too many places. */
static bool mark(struct partial *p, size_t from, size_t to)
{
	size_t i = 0, j;
	while (i < p->n_spans && p->spans[i].to < from)
		i++;
	for (j = i; j < p->n_spans && p->spans[j].from <= to; j++) { /* those that it touches become one with it */
		if (p->spans[j].from < from)
			from = p->spans[j].from;
		if (p->spans[j].to > to)
			to = p->spans[j].to;
	}
	if (i == j && p->n_spans == MSRP_RANGES)
		return false;
	memmove(&p->spans[i + 1], &p->spans[j], (p->n_spans - j) * sizeof *p->spans);
	p->n_spans = p->n_spans - (j - i) + 1;
	p->spans[i] = (struct span){from, to};
	return true;
}

/* False: more than is held. */
static bool store(struct msrp_session *s, struct partial *p, size_t at, struct slice d)
{
	size_t need = at + d.len, cap = p->cap ? p->cap : 4096;
	p->touched = s->hub->timers->now;
	if (!d.len)
		return true;
	if (need > p->cap) {
		while (cap < need)
			cap *= 2;
		if (cap > s->cfg.max_message)
			cap = s->cfg.max_message;
		if (cap - p->cap > MSRP_PARTIAL_TOTAL - s->hub->partial_octets)
			return false;
		p->mem = mem_realloc(p->mem, cap);
		s->partial_octets += cap - p->cap;
		s->hub->partial_octets += cap - p->cap;
		p->cap = cap;
	}
	if (!mark(p, at, need))
		return false;
	memcpy(p->mem + at, d.p, d.len);
	return true;
}

/* ---- answers */

static void respond(struct msrp_session *s, const char *tid, enum msrp_failure f, int status, struct slice comment)
{
	struct slice rest = slice_str(s->peer_path);
	msrp_hub_respond(s->hub, s->line, slice_str(tid), f, status, comment, slice_split(&rest, ' '), slice_str(s->from_path));
}

/* Answers the request at once; what is left of it is skipped. */
static void refuse(struct msrp_session *s, int status, struct slice comment)
{
	s->chunk.skip = true;
	s->chunk.status = 0;
	respond(s, s->chunk.tid, s->chunk.failure_report, status, comment);
}

/* The message is not wanted: no chunk of it is. */
static void unwanted(struct msrp_session *s, struct slice id, int status, struct slice comment)
{
	struct seen *x = remember(s, id);
	x->status = status;
	drop(s, find_partial(s, id));
	refuse(s, status, comment);
}

void msrp_session_answer(struct msrp_session *s, uint64_t token, int status, struct slice comment)
{
	for (size_t i = 0; token && i < MSRP_SEEN; i++) {
		struct seen *x = &s->seen[i];
		if (x->token != token)
			continue;
		x->token = 0;
		x->status = status;
		respond(s, x->tid, x->failure_report, status, comment);
		return;
	}
}

bool msrp_session_report(struct msrp_session *s, struct slice message_id, int status, struct slice comment)
{
	struct seen *x = find_seen(s, message_id);
	struct msrp_range r;
	char tid[20];
	if (!x || !x->whole || x->reported || x->token || s->over || s->line == MSRP_LINE_NONE)
		return false;
	if (status == 200 ? !x->success_report || x->status != 200 : x->failure_report != MSRP_FAILURE_YES || x->status != 200)
		return false;
	x->reported = true;
	r = (struct msrp_range){1, (int64_t)x->size, (int64_t)x->size};
	rand_token(tid, 16);
	buf_clear(&s->hub->out);
	msrp_put_report(&s->hub->out, slice_str(tid), slice_str(s->peer_path), slice_str(s->from_path), message_id, &r, status, comment);
	msrp_hub_write(s->hub, s->line);
	return true;
}

/* ---- chunks */

static void deliver(struct msrp_session *s, struct slice id, struct slice type, struct slice body)
{
	struct chunk *c = &s->chunk;
	struct seen *x = remember(s, id);
	struct msrp_message m = {++s->next_token, id, type, body, c->success_report, c->failure_report};
	memcpy(x->tid, c->tid, sizeof x->tid);
	x->token = m.token;
	x->status = 200;
	x->size = body.len;
	x->whole = true;
	x->success_report = c->success_report;
	x->failure_report = c->failure_report;
	s->messages_in++;
	s->octets_in += body.len;
	s->ops->message(s->arg, &m);
}

/* All of the chunk is there: is all of the message? */
static void chunk_end(struct msrp_session *s, char flag)
{
	struct chunk *c = &s->chunk;
	struct partial *p = c->partial;
	char *id, *type, *mem;
	c->active = false;
	c->partial = NULL;
	if (flag == '#') {
		drop(s, p);
		respond(s, c->tid, c->failure_report, 200, SLICE_NONE);
		return;
	}
	if (flag == '$') {
		p->ended = true;
		p->size = c->at;
	}
	if (!p->ended || (p->size && (!p->n_spans || p->spans[0].from || p->spans[0].to < p->size))) {
		respond(s, c->tid, c->failure_report, 200, SLICE_NONE);
		return;
	}
	if (!p->type) {
		if (p->size)
			unwanted(s, slice_str(p->id), 400, S("no Content-Type"));
		else
			respond(s, c->tid, c->failure_report, 200, SLICE_NONE), drop(s, p);
		return;
	}
	id = p->id;
	type = p->type;
	mem = p->mem;
	p->id = p->type = p->mem = NULL;
	c->at = p->size;
	drop(s, p);
	deliver(s, slice_str(id), slice_str(type), slice_of(mem, c->at));
	mem_free(id);
	mem_free(type);
	mem_free(mem);
}

static void data(struct msrp_session *s, const struct msrp_piece *p)
{
	struct chunk *c = &s->chunk;
	if (!c->skip && (p->data.len > s->cfg.max_message - c->at || !store(s, c->partial, c->at, p->data))) {
		char *id = mem_strndup(c->partial->id, strlen(c->partial->id));
		unwanted(s, slice_str(id), 413, SLICE_NONE);
		mem_free(id);
	}
	c->at += c->skip ? 0 : p->data.len;
	if (!p->flag)
		return;
	if (!c->skip) {
		chunk_end(s, p->flag);
		return;
	}
	c->active = false;
	if (c->status)
		respond(s, c->tid, c->failure_report, c->status, SLICE_NONE);
}

void msrp_receive_data(struct msrp_session *s, const struct msrp_piece *p)
{
	msrp_session_enter(s);
	data(s, p);
	msrp_session_leave(s);
}

static void begin(struct msrp_session *s, const struct msrp_head *h, const struct msrp_piece *p)
{
	struct chunk *c = &s->chunk;
	const struct seen *x;
	size_t max = s->cfg.max_message;
	bool known;
	*c = (struct chunk){.active = !p->flag, .success_report = h->success_report, .failure_report = h->failure_report};
	slice_cstr(h->tid, c->tid, sizeof c->tid);
	if (!p->body) {
		c->active = false;
		respond(s, c->tid, c->failure_report, 200, SLICE_NONE);
		return;
	}
	if ((x = find_seen(s, h->message_id))) {
		c->skip = true;
		c->status = x->token ? 200 : x->status;
		if (c->status != 200)
			refuse(s, c->status, SLICE_NONE);
		data(s, p);
		return;
	}
	if (h->range.total > (int64_t)max || h->range.start - 1 > (int64_t)max) {
		unwanted(s, h->message_id, 413, SLICE_NONE);
		data(s, p);
		return;
	}
	c->at = (size_t)(h->range.start - 1);
	c->partial = find_partial(s, h->message_id);
	known = c->partial;
	if (!known && p->flag == '$' && !c->at && h->content_type.len && p->data.len <= max) { /* as a rule */
		deliver(s, h->message_id, h->content_type, p->data);
		return;
	}
	if (!known && !(c->partial = new_partial(s, h->message_id))) {
		unwanted(s, h->message_id, 413, S("too many messages at a time"));
		data(s, p);
		return;
	}
	if (!c->partial->type && h->content_type.len)
		c->partial->type = mem_strndup(h->content_type.p, h->content_type.len);
	data(s, p);
}

void msrp_receive_head(struct msrp_session *s, const struct msrp_head *h, const struct msrp_piece *p)
{
	msrp_session_enter(s);
	if (!s->peer_path || !slice_eq(slice_str(s->peer_path), h->from.text)) {
		mem_free(s->peer_path);
		s->peer_path = mem_strndup(h->from.text.p, h->from.text.len);
	}
	if (!s->open && s->to_path)
		msrp_session_opened(s);
	if (!s->dead && !s->over)
		begin(s, h, p);
	msrp_session_leave(s);
}

void msrp_receive_free(struct msrp_session *s)
{
	LIST_EACH(n, &s->partials)
		drop(s, CONTAINER_OF(n, struct partial, node));
	for (size_t i = 0; i < MSRP_SEEN; i++)
		s->seen[i].id = mem_free(s->seen[i].id);
}
