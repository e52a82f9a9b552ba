/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/suspects.h"

#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/groupchat.h"
#include "gateway/queue.h"

struct suspect {
	struct map_node node; /* key: name */
	uint64_t name;
	unsigned crashes;
	uint64_t journaled_until; /* by the timers: so long the same again is its repetition, as in seen.h */
};

struct suspects {
	struct map map;
	struct gateway_under_way *where; /* NULL: nothing is noted */
	uint16_t free[GATEWAY_UNDER_WAY];
	size_t n_free;
};

struct suspects *suspects_new(struct gateway_under_way *where)
{
	struct suspects *s = MEM_NEW(struct suspects);
	map_init(&s->map);
	s->where = where;
	for (size_t i = 0; where && i < GATEWAY_UNDER_WAY; i++) {
		atomic_store_explicit(&where->names[i], 0, memory_order_relaxed);
		s->free[s->n_free++] = (uint16_t)(GATEWAY_UNDER_WAY - 1 - i);
	}
	return s;
}

struct suspects *suspects_free(struct suspects *s)
{
	size_t i;
	if (!s)
		return NULL;
	MAP_EACH(n, &s->map, i)
		mem_free(CONTAINER_OF(n, struct suspect, node));
	map_free(&s->map);
	return mem_free(s);
}

/* ---- places */

/* Without a place it is not noted; then others are that came before it. */
static uint32_t enter(struct suspects *s, uint64_t name)
{
	if (!s->n_free)
		return 0;
	uint16_t i = s->free[--s->n_free];
	atomic_store_explicit(&s->where->names[i], name, memory_order_relaxed);
	return i + 1u;
}

void suspects_leave(struct gateway *g, uint32_t *place)
{
	struct suspects *s = g->suspects;
	if (!*place)
		return;
	atomic_store_explicit(&s->where->names[*place - 1], 0, memory_order_relaxed);
	s->free[s->n_free++] = (uint16_t)(*place - 1);
	*place = 0;
}

/* ---- who is one */

static struct suspect *find(const struct suspects *s, uint64_t name)
{
	struct map_node *n = s->map.count ? map_find(&s->map, slice_of((const char *)&name, sizeof name)) : NULL;
	return n ? CONTAINER_OF(n, struct suspect, node) : NULL;
}

static struct suspect *get(struct suspects *s, uint64_t name)
{
	struct suspect *x = find(s, name);
	if (x)
		return x;
	x = MEM_NEW(struct suspect);
	x->name = name;
	map_insert(&s->map, &x->node, slice_of((const char *)&x->name, sizeof x->name));
	return x;
}

void gateway_load_suspect(struct gateway *g, uint64_t name, unsigned crashes)
{
	get(g->suspects, name)->crashes = crashes;
}

void suspects_journaled(struct gateway *g, uint64_t name)
{
	get(g->suspects, name)->journaled_until = g->cfg.timers->now + SEEN_WINDOW_S * UINT64_C(1000);
}

static uint64_t name_of_parts(const struct gateway *g, const struct slice *parts, size_t n)
{
	uint64_t name = seen_key(g->seen, parts, n).v[0];
	return name ? name : 1;
}

static void tell(struct slice partner, struct slice from, struct slice to)
{
	metric_refused(REASON_SERVER_CRASHED);
	log_ev_limited(LOG_ERROR, "queue/suspect-refused", partner, {"from", from}, {"to", to}, {"reason", S("server/crashed")},
		       {"text", S("the process has crashed twice while this message was under way, and it could not be brought into the journal")});
}

/* ---- stanzas */

static bool is_text(const struct stanza *st)
{
	return st->type != STANZA_TYPE_ERROR && st->type != STANZA_TYPE_GROUPCHAT && st->to.local.len && xml_child(st->node, S("body"), SLICE_NONE) &&
	       !groupchat_invites(st);
}

static void refuse(struct gateway *g, const struct stanza *st, struct xmpp_receipt *r, enum reason reason)
{
	gateway_bounce(g, st->node, reason, SLICE_NONE, st->to.domain, st->from.domain, r);
	gateway_record_told(g, g->record, 0, RECORD_REFUSED, reason);
}

bool suspects_stanza(struct gateway *g, const struct stanza *st, struct xmpp_stanza *in)
{
	struct suspects *s = g->suspects;
	struct xmpp_receipt *r = &in->receipt;
	if (!s->where || !r->number)
		return false;
	const struct xml_node *body = xml_child(st->node, S("body"), SLICE_NONE);
	const struct slice parts[] = {st->from_text, st->to_text, st->id, body ? xml_text(body, in->arena) : SLICE_NONE};
	uint64_t name = name_of_parts(g, parts, sizeof parts / sizeof *parts);
	struct suspect *x = find(s, name);
	bool repeated = x && g->cfg.timers->now < x->journaled_until;
	r->place = enter(s, name);
	if (!x || (!repeated && x->crashes < QUEUE_CRASHES && (!x->crashes || !is_text(st))))
		return false;
	if (repeated) {
		if (!st->id.len) /* without an id the next one may be another */
			x->journaled_until = 0;
		metric_add(METRIC_MESSAGES_REPEATED, 1);
		record_end(g->cfg.records, g->record, RECORD_IGNORED, REASON_NONE);
	} else if (x->crashes < QUEUE_CRASHES) {
		enum reason reason = queue_suspect(g, st, name, r);
		if (reason)
			refuse(g, st, r, reason);
	} else {
		tell(st->from.domain, st->from.bare, st->to.bare);
		if (x->crashes == QUEUE_CRASHES) /* else even to say so was too much */
			refuse(g, st, r, REASON_SERVER_CRASHED);
	}
	g->record = 0;
	gateway_done(g, r);
	arena_release(g->cfg.arenas, in->arena); /* `in` may lie there */
	return true;
}

/* ---- requests */

void suspects_request(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct suspects *s = g->suspects;
	char cseq[12];
	snprintf(cseq, sizeof cseq, "%u", m->cseq);
	const struct slice parts[] = {m->from.uri_text, m->uri_text, m->call_id, slice_str(cseq), m->body};
	uint64_t name = s->where ? name_of_parts(g, parts, sizeof parts / sizeof *parts) : 0;
	const struct suspect *x = find(s, name);
	g->place = s->where ? enter(s, name) : 0;
	g->suspect = x != NULL;
	if (x && x->crashes >= QUEUE_CRASHES) {
		tell(SLICE_NONE, m->from.uri_text, m->uri_text);
		gateway_refuse(g, st, a, REASON_SERVER_CRASHED, NULL, m->from.uri_text, m->uri_text);
	} else {
		message_from_sip(g, st, m, a, from);
	}
	g->suspect = false;
	suspects_leave(g, &g->place);
}
