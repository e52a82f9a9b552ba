/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that outlive the process: at a planned end those that carry texts in their dialog and are at rest go into the store, and the next
 * process goes on with them; their peers notice nothing. Who does not come back within SESSION_IDLE_MS hangs up when it comes. */
#include "base/clock.h"
#include "base/enc.h"
#include "base/mem.h"
#include "base/rand.h"
#include "gateway/session_int.h"

enum { KEPT_MAX = 60000, KEPT_S = 86400, ID_LEN = 20 };

#define KEPT_HEAD S("kept-session 1")

/* ---- out */

static void text(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(b, "%s ", name);
	base64_put(b, slice_str(value));
	buf_putc(b, '\n');
}

static bool save(const struct session *s, int64_t now_unix, struct buf *b)
{
	const struct conversation *c = s->conversation;
	uint64_t idle = s->g->cfg.timers->now - s->used;
	buf_printf(b, "%.*s\nused-at %lld\ncalled %d\nheard %u\nsdp-id %llu\nversion %llu\n", SFMT(KEPT_HEAD),
		   (long long)(now_unix - (int64_t)(idle / 1000)), s->called, c->heard, (unsigned long long)s->sdp_id, (unsigned long long)s->version);
	text(b, "accept-types", s->accept_types);
	text(b, "accept-wrapped-types", s->accept_wrapped_types);
	text(b, "instance", s->instance);
	text(b, "resource", c->resource);
	text(b, "thread", c->thread);
	text(b, "ms-conversation-id", c->ms_conversation_id);
	return sip_session_save(s->sip, now_unix, b);
}

static void keep(struct session *s, int64_t now_unix)
{
	struct gateway *g = s->g;
	struct conversation *c = s->conversation;
	struct buf b;
	char id[ID_LEN + 1];
	if (s->leg != &session_leg_sip || s->state != SESSION_OPEN || !s->sip || s->ending || !list_empty(&s->texts) || c->session != s)
		return;
	buf_init(&b, KEPT_MAX);
	if (save(s, now_unix, &b)) {
		rand_token(id, ID_LEN);
		g->ops->dialog_put(g->arg, slice_str(id), c->pair.local, c->pair.remote, buf_slice(&b), now_unix + KEPT_S);
		sip_session_forget(s->sip);
		s->sip = NULL;
		session_free(s);
	}
	buf_free(&b);
}

void gateway_keep_sessions(struct gateway *g)
{
	int64_t now = clock_unix();
	LIST_EACH(n, &g->sessions)
		keep(CONTAINER_OF(n, struct session, link), now);
}

/* ---- in */

struct kept {
	uint64_t used_at, called, heard, sdp_id, version;
	char *accept_types, *accept_wrapped_types, *instance, *resource, *thread, *ms_conversation_id; /* owned */
};

static void kept_free(struct kept *k)
{
	mem_free(k->accept_types);
	mem_free(k->accept_wrapped_types);
	mem_free(k->instance);
	mem_free(k->resource);
	mem_free(k->thread);
	mem_free(k->ms_conversation_id);
}

static bool read_line(struct kept *k, struct slice name, struct slice v)
{
	const struct {
		const char *name;
		uint64_t max, *to;
	} numbers[] = {{"used-at", INT64_MAX, &k->used_at}, {"called", 1, &k->called}, {"heard", UINT32_MAX, &k->heard},
		       {"sdp-id", UINT64_MAX, &k->sdp_id}, {"version", UINT64_MAX, &k->version}};
	const struct {
		const char *name;
		char **to;
	} texts[] = {{"accept-types", &k->accept_types}, {"accept-wrapped-types", &k->accept_wrapped_types}, {"instance", &k->instance},
		     {"resource", &k->resource}, {"thread", &k->thread}, {"ms-conversation-id", &k->ms_conversation_id}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq(name, slice_str(numbers[i].name)))
			return slice_u64(v, numbers[i].max, numbers[i].to);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!slice_eq(name, slice_str(texts[i].name)) || *texts[i].to)
			continue;
		struct buf b;
		buf_init(&b, KEPT_MAX);
		bool ok = base64_get(&b, v) && slice_find_chr(buf_slice(&b), '\0') < 0;
		if (ok)
			*texts[i].to = mem_strndup(b.len ? buf_slice(&b).p : "", b.len);
		buf_free(&b);
		return ok;
	}
	return true; /* of a later version */
}

static void move(char **to, char **from)
{
	if (!*from)
		return;
	mem_free(*to);
	*to = *from;
	*from = NULL;
}

static void resume(struct session *s, struct kept *k, int64_t now_unix)
{
	struct conversation *c = s->conversation;
	uint64_t now = s->g->cfg.timers->now, idle = now_unix > (int64_t)k->used_at ? (uint64_t)(now_unix - (int64_t)k->used_at) * 1000 : 0;
	s->state = SESSION_OPEN;
	s->opened = s->ready = true;
	s->called = k->called;
	s->sdp_id = k->sdp_id;
	s->version = k->version;
	s->used = now > idle ? now - idle : 0;
	move(&s->accept_types, &k->accept_types);
	move(&s->accept_wrapped_types, &k->accept_wrapped_types);
	move(&s->instance, &k->instance);
	move(&c->resource, &k->resource);
	move(&c->thread, &k->thread);
	move(&c->ms_conversation_id, &k->ms_conversation_id);
	c->heard |= (unsigned)k->heard;
	c->home = s->home;
	c->confirmed = true;
	c->carrier = &session_carrier;
	c->session = s;
	if (s->called)
		tally_add(s->g, TALLY_SESSIONS, c->pair.local);
	timer_arm(s->g->cfg.timers, &s->timer, idle < SESSION_IDLE_MS ? SESSION_IDLE_MS - idle : 0);
}

bool session_is_kept(struct slice blob)
{
	return slice_eq(slice_split(&blob, '\n'), KEPT_HEAD);
}

void session_load(struct gateway *g, struct slice local, struct slice remote, struct slice blob)
{
	struct kept k = {0};
	struct gateway_home h;
	struct policy_verdict v;
	struct sip_session *sip;
	int64_t now = clock_unix();
	slice_split(&blob, '\n');
	while (!slice_empty(blob) && !slice_starts(blob, S("session "))) {
		struct slice line = slice_split(&blob, '\n'), name = slice_split(&line, ' ');
		if (!read_line(&k, name, line))
			goto out;
	}
	gateway_judge(g, POLICY_MESSAGE, local, remote, &v);
	if (!v.allow || !gateway_home(g, v.home, &h))
		goto out;
	struct conversation *c = conversation_get(g, local, remote);
	if (c->session)
		goto out;
	struct session *s = session_make(c, &h, v.home);
	if (sip_session_restore(&sip, g->cfg.stack, &blob, now, &session_ops, s)) {
		session_free(s);
		goto out;
	}
	s->sip = sip;
	s->leg = &session_leg_sip;
	session_leg_sip_resume(s);
	resume(s, &k, now);
out:
	kept_free(&k);
}
