/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/session.h"

#include "base/mem.h"
#include "base/rand.h"

struct conversation *conversation_find(struct gateway *g, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	struct map_node *n = pair_key(&key, mem, local, remote) ? map_find(&g->conversations, key) : NULL;
	return n ? CONTAINER_OF(n, struct conversation, pair.node) : NULL;
}

static void conversation_free(struct conversation *c)
{
	signals_free(c);
	map_remove(&c->g->conversations, &c->pair.node);
	list_remove(&c->lru);
	mem_free(c->pair.key);
	mem_free(c->resource);
	mem_free(c->thread);
	mem_free(c->ms_conversation_id);
	mem_free(c);
}

/* The longest silent conversation makes room, but not one with messages under way (there is a limit to these): it goes to the end of the
 * line. A session is ended first. */
static void forget_oldest(struct gateway *g)
{
	enum { LOOKS = 16 };
	struct list *n;
	for (int i = 0; i < LOOKS && g->conversations.count >= g->cfg.max_conversations && (n = list_head(&g->recent)); i++) {
		struct conversation *c = CONTAINER_OF(n, struct conversation, lru);
		if (!c->queued && !c->n_sessions) {
			conversation_free(c);
			continue;
		}
		if (!c->queued && c->session && c->session->state != SESSION_LEAVING && !c->session->ending) {
			session_hang_up(c); /* the next one that comes frees it */
			return;
		}
		list_remove(n);
		list_append(&g->recent, n);
	}
}

void conversation_touch(struct conversation *c)
{
	list_remove(&c->lru);
	list_append(&c->g->recent, &c->lru);
	c->last = c->g->cfg.timers->now;
}

struct conversation *conversation_get(struct gateway *g, struct slice local, struct slice remote)
{
	struct conversation *c = conversation_find(g, local, remote);
	if (!c) {
		forget_oldest(g);
		c = MEM_NEW(struct conversation);
		c->g = g;
		c->carrier = &page_carrier;
		c->home = UINT32_MAX;
		pair_init(&c->pair, local, remote);
		rand_token(c->tag, 12);
		list_init(&c->lru);
		map_insert(&g->conversations, &c->pair.node, slice_of(c->pair.key, local.len + 1 + remote.len));
	}
	conversation_touch(c);
	return c;
}

void conversation_lock(struct conversation *c, struct slice resource)
{
	if (c->resource && slice_eq(slice_str(c->resource), resource))
		return;
	mem_free(c->resource);
	c->resource = resource.len ? mem_strndup(resource.p, resource.len) : NULL;
}

void conversation_keep_thread(struct conversation *c, struct slice thread)
{
	enum { THREAD_MAX = 256 };
	if (!thread.len || thread.len > THREAD_MAX || (c->thread && slice_eq(slice_str(c->thread), thread)))
		return;
	mem_free(c->thread);
	c->thread = mem_strndup(thread.p, thread.len);
}

bool conversation_call_id_seen(void *ctx, struct slice call_id, struct slice *thread)
{
	struct conversation *c = ctx;
	uint64_t h = hash_slice(call_id);
	if (c->session) { /* one Call-ID is one conversation */
		conversation_keep_thread(c, c->thread ? SLICE_NONE : call_id);
		*thread = slice_str(c->thread);
		return true;
	}
	for (unsigned i = 0; i < CALL_IDS; i++)
		if (c->seen[i] == h)
			return true;
	c->seen[c->next_seen++ % CALL_IDS] = h;
	return false;
}

enum reason conversation_room(const struct conversation *c, const struct outgoing *o)
{
	return c->carrier->room(c, o);
}

void conversation_send(struct conversation *c, struct outgoing *o)
{
	c->carrier->send(c, o);
}

bool conversation_send_signal(struct conversation *c, const struct carried *s)
{
	return c->carrier->signal(c, s);
}

bool conversation_accepts(const struct conversation *c, struct slice content_type)
{
	return c->carrier->accepts(c, content_type);
}

bool conversation_report(struct conversation *c, struct slice message_id, int status)
{
	return c->carrier->report && c->carrier->report(c, message_id, status);
}

void gateway_each_conversation(struct gateway *g, void (*fn)(void *, const struct gateway_conversation_facts *), void *arg)
{
	for (struct list *n = g->recent.prev; n != &g->recent; n = n->prev) {
		const struct conversation *c = CONTAINER_OF(n, struct conversation, lru);
		struct gateway_home h;
		gateway_home(g, c->home, &h);
		struct gateway_conversation_facts f = {
			.local = c->pair.local, .remote = c->pair.remote, .carrier = c->session ? c->session->leg->name : page_carrier.name, .state = session_state_text(c), .dialect = h.dialect->name,
			.resource = slice_str(c->resource ? c->resource : ""), .to_xmpp = c->to_xmpp, .to_sip = c->to_sip, .failed = c->failed,
			.idle_ms = g->cfg.timers->now - c->last, .queued = c->queued};
		fn(arg, &f);
	}
}

void conversations_free(struct gateway *g)
{
	LIST_EACH(n, &g->recent)
		conversation_free(CONTAINER_OF(n, struct conversation, lru));
	map_free(&g->conversations);
}
