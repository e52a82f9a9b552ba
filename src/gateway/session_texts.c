/* SPDX-License-Identifier: Apache-2.0 */
/* The texts that a session has, in order; the leg has the first of them. */
#include "gateway/session_int.h"

void session_text_add(struct session *s, struct outgoing *o)
{
	struct list *at = &s->texts;
	for (size_t n = s->count - s->n_under_way; n && CONTAINER_OF(at->prev, struct outgoing, node)->serial > o->serial; n--)
		at = at->prev;
	list_append(at, &o->node);
	s->count++;
	s->octets += o->page.body.len;
}

void session_text_remove(struct session *s, struct outgoing *o)
{
	list_remove(&o->node);
	s->count--;
	s->octets -= o->page.body.len;
}

struct outgoing *session_text_next(const struct session *s)
{
	struct list *n = s->texts.next;
	for (unsigned i = 0; i < s->n_under_way && n != &s->texts; i++)
		n = n->next;
	return n == &s->texts ? NULL : CONTAINER_OF(n, struct outgoing, node);
}

void session_texts_move(struct session *s, struct session *to, bool all)
{
	unsigned skip = all ? 0 : s->n_under_way;
	LIST_EACH(n, &s->texts) {
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		if (skip) {
			skip--;
			continue;
		}
		session_text_remove(s, o);
		session_text_add(to, o);
	}
	if (all)
		s->n_under_way = 0;
}

void session_texts_end(struct session *s, void (*end)(struct outgoing *o, const void *how), const void *how)
{
	s->n_under_way = 0;
	for (struct list *n; (n = list_head(&s->texts));) { /* others may leave with this one */
		struct outgoing *o = CONTAINER_OF(n, struct outgoing, node);
		session_text_remove(s, o);
		end(o, how);
	}
}

void session_yield(struct conversation *c, void (*take)(void *arg, struct outgoing *o), void *arg)
{
	size_t left = c->n_sessions; /* of the many that the worker has */
	for (struct list *n = c->g->sessions.next; left && n != &c->g->sessions; n = n->next) {
		struct session *s = CONTAINER_OF(n, struct session, link);
		if (s->conversation != c)
			continue;
		left--;
		if (s->first_offered && s->state == SESSION_INVITING) /* the peer may take it from the INVITE */
			continue;
		for (struct outgoing *o; (o = session_text_next(s));) {
			session_text_remove(s, o);
			take(arg, o);
		}
	}
}

bool session_withdraw(struct outgoing *o)
{
	const struct conversation *c = o->conversation;
	for (struct list *n = c->g->sessions.next; n != &c->g->sessions; n = n->next) {
		struct session *s = CONTAINER_OF(n, struct session, link);
		if (s->conversation != c || (s->first_offered && s->state == SESSION_INVITING))
			continue;
		unsigned i = 0;
		for (struct list *k = s->texts.next; k != &s->texts; k = k->next, i++) {
			if (k != &o->node)
				continue;
			if (i < s->n_under_way)
				return false;
			session_text_remove(s, o);
			return true;
		}
	}
	return false;
}
