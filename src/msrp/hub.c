/* SPDX-License-Identifier: Apache-2.0 */
/* Which session is meant, and who is bound to which line. */
#include "base/mem.h"
#include "base/rand.h"
#include "msrp/session_int.h"

enum { ID_RANDOM = 20 };
static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

void msrp_hub_new_id(unsigned worker, char ret[MSRP_SESSION_ID_MAX])
{
	ret[0] = digits[worker % (sizeof digits - 1)];
	rand_token(ret + 1, ID_RANDOM);
}

size_t msrp_id_worker(struct slice id)
{
	const char *at = id.len == ID_RANDOM + 1 && id.p[0] ? strchr(digits, id.p[0]) : NULL;
	return at ? (size_t)(at - digits) : SIZE_MAX;
}

struct msrp_hub *msrp_hub_new(struct timers *timers, const struct msrp_hub_ops *ops, void *arg)
{
	struct msrp_hub *h = MEM_NEW(struct msrp_hub);
	h->timers = timers;
	h->ops = ops;
	h->arg = arg;
	map_init(&h->sessions);
	map_init(&h->lines);
	buf_init(&h->out, 65536);
	return h;
}

struct msrp_hub *msrp_hub_free(struct msrp_hub *h)
{
	size_t i;
	if (!h)
		return NULL;
	MAP_EACH(n, &h->sessions, i)
		msrp_session_free(CONTAINER_OF(n, struct msrp_session, node));
	map_free(&h->sessions);
	map_free(&h->lines);
	buf_free(&h->out);
	return mem_free(h);
}

size_t msrp_hub_count(const struct msrp_hub *h)
{
	return h->sessions.count;
}

bool msrp_hub_write(struct msrp_hub *h, uint64_t line)
{
	bool more = true;
	if (buf_ok(&h->out) && line != MSRP_LINE_NONE)
		more = h->ops->write(h->arg, line, buf_slice(&h->out));
	buf_clear(&h->out);
	return more;
}

void msrp_hub_respond(struct msrp_hub *h, uint64_t line, struct slice tid, enum msrp_failure f, int status, struct slice comment,
		 struct slice to, struct slice from)
{
	if (f == MSRP_FAILURE_NO || (f == MSRP_FAILURE_PARTIAL && status == 200))
		return;
	buf_clear(&h->out);
	msrp_put_response(&h->out, tid, status, comment, to, from);
	msrp_hub_write(h, line);
}

static struct slice line_key(const uint64_t *id)
{
	return slice_of((const char *)id, sizeof *id);
}

static struct line *find_line(struct msrp_hub *h, uint64_t id)
{
	struct map_node *n = map_find(&h->lines, line_key(&id));
	return n ? CONTAINER_OF(n, struct line, node) : NULL;
}

static void forget(struct msrp_hub *h, struct line *l)
{
	if (l->visited || !list_empty(&l->sessions))
		return;
	map_remove(&h->lines, &l->node);
	mem_free(l);
}

void msrp_hub_bind(struct msrp_session *s, uint64_t id)
{
	struct msrp_hub *h = s->hub;
	struct line *l;
	msrp_hub_unbind(s);
	l = find_line(h, id);
	if (!l) {
		l = MEM_NEW(struct line);
		l->id = id;
		list_init(&l->sessions);
		map_insert(&h->lines, &l->node, line_key(&l->id));
	}
	list_append(&l->sessions, &s->on_line);
	s->line = id;
}

void msrp_hub_unbind(struct msrp_session *s)
{
	struct line *l = s->line ? find_line(s->hub, s->line) : NULL;
	s->line = MSRP_LINE_NONE;
	list_remove(&s->on_line);
	if (l)
		forget(s->hub, l);
}

/* All sessions of a line, each of which may be freed, or free others, on the way. */
static void each_on(struct msrp_hub *h, uint64_t id, void (*fn)(struct msrp_session *s))
{
	struct line *l = find_line(h, id);
	struct list round, *n;
	if (!l)
		return;
	l->visited++;
	list_init(&round);
	while ((n = list_head(&l->sessions))) {
		list_remove(n);
		list_append(&round, n);
	}
	while ((n = list_head(&round))) {
		list_remove(n);
		list_append(&l->sessions, n);
		fn(CONTAINER_OF(n, struct msrp_session, on_line));
	}
	l->visited--;
	forget(h, l);
}

static void lost(struct msrp_session *s)
{
	msrp_session_over(s, MSRP_END_LOST, 0, 0);
}

void msrp_hub_lost(struct msrp_hub *h, uint64_t line)
{
	each_on(h, line, lost);
}

void msrp_hub_up(struct msrp_hub *h, uint64_t line)
{
	each_on(h, line, msrp_session_up);
}

static void writable(struct msrp_session *s)
{
	if (s->open && s->blocked) {
		s->blocked = false;
		msrp_session_opened(s);
	}
}

void msrp_hub_writable(struct msrp_hub *h, uint64_t line)
{
	each_on(h, line, writable);
}

/* A request that is no session's, or not as it should be. */
static void refuse(struct msrp_hub *h, uint64_t line, const struct msrp_head *m, int status, struct slice comment)
{
	if (m->method == MSRP_RESPONSE || m->method == MSRP_REPORT || !m->from.n || !m->to.n)
		return;
	msrp_hub_respond(h, line, m->tid, m->failure_report, status, comment, m->method == MSRP_SEND ? m->from.uri[0].text : m->from.text,
		    m->to.uri[0].text);
}

/* May this request speak to s over this line? Binds it where it is the first. */
static int admit(struct msrp_session *s, uint64_t line, const struct msrp_head *m)
{
	if (s->over || m->to.n != 1)
		return 481;
	if (s->line != MSRP_LINE_NONE)
		return s->line == line ? 0 : 506;
	if (m->method != MSRP_SEND)
		return 481;
	msrp_hub_bind(s, line);
	s->up = true;
	return 0;
}

void msrp_hub_input(struct msrp_hub *h, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p)
{
	struct map_node *n = session.len ? map_find(&h->sessions, session) : NULL;
	struct msrp_session *s = n ? CONTAINER_OF(n, struct msrp_session, node) : NULL;
	struct msrp_head m;
	int status = 0;
	if (!p->head.len) { /* goes on */
		if (s && s->line == line && s->chunk.active && slice_eq(slice_str(s->chunk.tid), tid))
			msrp_receive_data(s, p);
		return;
	}
	msrp_head_parse(p->head, &m);
	if (m.method == MSRP_RESPONSE) {
		if (s && s->line == line && !m.fault)
			msrp_session_response(s, &m);
		return;
	}
	if (m.to.n && m.from.n)
		status = s ? admit(s, line, &m) : 481;
	if (!status && m.fault)
		status = 400;
	else if (!status && m.method == MSRP_OTHER)
		status = 501;
	if (status)
		refuse(h, line, &m, status, m.fault && status == 400 ? slice_str(m.fault) : SLICE_NONE);
	else if (m.method == MSRP_REPORT)
		msrp_session_reported(s, &m);
	else
		msrp_receive_head(s, &m, p);
}
