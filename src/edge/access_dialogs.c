/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_dialogs.h"

#include <pthread.h>
#include <stdio.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { ENDING_MS = 32000, EXPIRES_MAX = 86400, KEY_MAX = 1024, ID_MAX = 200, EVENT_MAX = 48, SLACK_MS = 32000, EARLY_MAX = 1000 };

enum state { EARLY, UP, ENDING };

struct dialog {
	struct map_node node; /* key: Call-ID LF the lesser tag LF the other one */
	struct list lru;      /* the one longest silent first */
	struct list early;    /* sessions that are not answered */
	char *key;            /* owned */
	size_t id_len;        /* of the Call-ID in it */
	char *local, *remote; /* owned */
	char event[EVENT_MAX];
	bool outward, session;
	enum state state;
	uint64_t requests_in, requests_out, since, used, until; /* until: 0: no time of its own */
};

struct access_dialogs {
	pthread_mutex_t lock;
	struct map all;
	struct list lru, early;
	size_t max, n_early, max_early;
	uint64_t begun, ended, forgotten;
};

struct access_dialogs *access_dialogs_new(size_t max)
{
	struct access_dialogs *d = MEM_NEW(struct access_dialogs);
	pthread_mutex_init(&d->lock, NULL);
	map_init(&d->all);
	list_init(&d->lru);
	list_init(&d->early);
	d->max = max ? max : ACCESS_DIALOGS_MAX;
	d->max_early = d->max < EARLY_MAX ? d->max : EARLY_MAX;
	return d;
}

static void not_early(struct access_dialogs *d, struct dialog *g)
{
	d->n_early -= list_linked(&g->early);
	list_remove(&g->early);
}

static void drop(struct access_dialogs *d, struct dialog *g, uint64_t *count)
{
	map_remove(&d->all, &g->node);
	list_remove(&g->lru);
	not_early(d, g);
	mem_free(g->key);
	mem_free(g->local);
	mem_free(g->remote);
	mem_free(g);
	++*count;
}

struct access_dialogs *access_dialogs_free(struct access_dialogs *d)
{
	uint64_t n = 0;
	if (!d)
		return NULL;
	LIST_EACH(l, &d->lru)
		drop(d, CONTAINER_OF(l, struct dialog, lru), &n);
	map_free(&d->all);
	pthread_mutex_destroy(&d->lock);
	return mem_free(d);
}

/* False: no dialog has such a name (no tag yet, or absurdly long ones). */
static bool key_of(const struct sip_msg *m, struct slice tag, char dst[KEY_MAX])
{
	struct slice a = m->from.tag, b = tag;
	if (!a.len || !b.len)
		return false;
	if (slice_cmp(a, b) > 0) {
		a = tag;
		b = m->from.tag;
	}
	return m->call_id.len <= ID_MAX && SLICE_JOIN(dst, KEY_MAX, m->call_id, S("\n"), a, S("\n"), b).p;
}

/* Each worker has its own idea of now: that of the last message may be ahead. */
static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

static bool over(const struct dialog *g, uint64_t now)
{
	return (g->until && now >= g->until) || since(g->used, now) >= ACCESS_DIALOG_SILENT_MS;
}

static struct dialog *find(struct access_dialogs *d, uint64_t now, const char *key)
{
	struct map_node *n = map_find(&d->all, slice_str(key));
	struct dialog *g = n ? CONTAINER_OF(n, struct dialog, node) : NULL;
	if (g && over(g, now)) {
		drop(d, g, g->until ? &d->ended : &d->forgotten);
		return NULL;
	}
	if (g) {
		list_remove(&g->lru);
		list_append(&d->lru, &g->lru);
		if (now > g->used)
			g->used = now;
	}
	return g;
}

/* Those that are over are found by looking at the silent end. */
static void sweep(struct access_dialogs *d, uint64_t now)
{
	LIST_EACH(l, &d->lru) {
		struct dialog *g = CONTAINER_OF(l, struct dialog, lru);
		bool gone = over(g, now);
		if (!gone && d->all.count < d->max)
			return;
		drop(d, g, gone && g->until ? &d->ended : &d->forgotten);
	}
}

/* Seconds of a header like "1800;refresher=uac". */
static bool seconds(const struct sip_msg *m, const char *name, uint64_t *ret)
{
	struct slice v = sip_msg_header_named(m, slice_str(name));
	return v.p && slice_u64(slice_trim(slice_split(&v, ';')), EXPIRES_MAX, ret);
}

static char *uri(const struct sip_addr *a)
{
	struct slice u = slice_first(a->uri_text, ACCESS_DIALOG_URI);
	return mem_strndup(u.p ? u.p : "", u.len);
}

static struct dialog *make(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m, const char *key)
{
	struct dialog *g = MEM_NEW(struct dialog);
	struct slice event = sip_msg_header_named(m, S("Event"));
	sweep(d, now);
	g->key = mem_strndup(key, strlen(key));
	g->id_len = m->call_id.len;
	g->local = uri(outward ? &m->from : &m->to);
	g->remote = uri(outward ? &m->to : &m->from);
	g->outward = outward;
	g->session = m->cseq_method == SIP_INVITE;
	g->since = g->used = now;
	slice_cstr(slice_first(m->cseq_method == SIP_REFER ? S("refer") : event, EVENT_MAX - 1), g->event, sizeof g->event);
	*(outward ? &g->requests_out : &g->requests_in) = 1;
	map_insert(&d->all, &g->node, slice_str(g->key));
	list_append(&d->lru, &g->lru);
	if (g->session && m->status < 200) { /* they are searched: a partner that rings without end does not make that long */
		if (d->n_early >= d->max_early)
			drop(d, CONTAINER_OF(list_head(&d->early), struct dialog, early), &d->forgotten);
		list_append(&d->early, &g->early);
		d->n_early++;
	}
	d->begun++;
	return g;
}

static void ending(struct access_dialogs *d, struct dialog *g, uint64_t now)
{
	not_early(d, g);
	g->state = ENDING;
	g->until = now + ENDING_MS;
}

/* Subscription-State: terminated; or active;expires=600. */
static void notified(struct access_dialogs *d, struct dialog *g, uint64_t now, const struct sip_msg *m)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0);
	struct slice v = h ? h->value : SLICE_NONE, expires, event = sip_msg_header_named(m, S("Event"));
	uint64_t n;
	if (!v.p || g->session)
		return;
	if (event.p && !*g->event)
		slice_cstr(slice_first(event, EVENT_MAX - 1), g->event, sizeof g->event);
	if (slice_istarts(v, S("terminated")))
		ending(d, g, now);
	else if (g->state != ENDING && sip_param(v, S("expires"), &expires) && slice_u64(expires, EXPIRES_MAX, &n))
		g->until = now + n * 1000 + SLACK_MS;
}

void access_dialogs_request(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m)
{
	char key[KEY_MAX];
	if (!d || !key_of(m, m->to.tag, key))
		return;
	pthread_mutex_lock(&d->lock);
	struct dialog *g = find(d, now, key);
	if (g) {
		++*(outward ? &g->requests_out : &g->requests_in);
		if (m->method == SIP_NOTIFY || m->method == SIP_BENOTIFY)
			notified(d, g, now, m);
		else if (m->method == SIP_BYE && g->session)
			ending(d, g, now);
	}
	pthread_mutex_unlock(&d->lock);
}

/* A final answer to INVITE other than 2xx ends what its provisional answers have begun, whatever their tags are. */
static void refused(struct access_dialogs *d, const struct sip_msg *m)
{
	LIST_EACH(l, &d->early) {
		struct dialog *g = CONTAINER_OF(l, struct dialog, early);
		if (slice_eq(slice_of(g->key, g->id_len), m->call_id))
			drop(d, g, &d->ended);
	}
}

static void up(struct access_dialogs *d, struct dialog *g)
{
	if (g->state == EARLY)
		g->state = UP;
	not_early(d, g);
}

static void answered(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m)
{
	char key[KEY_MAX];
	bool begins = m->cseq_method == SIP_INVITE || ((m->cseq_method == SIP_SUBSCRIBE || m->cseq_method == SIP_REFER) && m->status >= 200);
	uint64_t n;
	if (!key_of(m, m->to.tag, key))
		return;
	struct dialog *g = find(d, now, key);
	if (!g && m->status < 300 && begins)
		g = make(d, now, outward, m, key);
	if (!g)
		return;
	bool ok = m->status < 300;
	if (m->status < 200)
		return;
	if (ok && begins && g->session) {
		up(d, g);
		if (m->cseq_method == SIP_INVITE && seconds(m, "Session-Expires", &n) && g->state == UP)
			g->until = now + n * 1000 + SLACK_MS;
	} else if (ok && begins) {
		up(d, g);
		if (m->cseq_method == SIP_SUBSCRIBE && seconds(m, "Expires", &n)) {
			if (!n)
				ending(d, g, now);
			else if (g->state == UP)
				g->until = now + n * 1000 + SLACK_MS;
		}
	} else if (m->cseq_method == SIP_BYE && g->session) {
		drop(d, g, &d->ended);
	} else if ((m->cseq_method == SIP_NOTIFY && g->state == ENDING && !g->session) || m->status == 481 || m->status == 408) {
		drop(d, g, &d->ended); /* RFC 3261 12.2.1.2, RFC 6665 4.4.1 */
	}
}

void access_dialogs_response(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m)
{
	if (!d || m->status <= 100 || m->cseq_method == SIP_MESSAGE || m->cseq_method == SIP_OPTIONS)
		return;
	pthread_mutex_lock(&d->lock);
	answered(d, now, outward, m);
	if (m->cseq_method == SIP_INVITE && m->status >= 300)
		refused(d, m);
	pthread_mutex_unlock(&d->lock);
}

struct copy {
	struct access_dialog_facts f;
	char local[ACCESS_DIALOG_URI + 1], remote[ACCESS_DIALOG_URI + 1], event[EVENT_MAX], call_id[ID_MAX + 1];
};

static void copy(struct copy *to, const struct dialog *g, uint64_t now)
{
	static const char *const states[] = {"early", "up", "ending"};
	slice_cstr(slice_str(g->local), to->local, sizeof to->local);
	slice_cstr(slice_str(g->remote), to->remote, sizeof to->remote);
	slice_cstr(slice_str(g->event), to->event, sizeof to->event);
	slice_cstr(slice_of(g->key, g->id_len), to->call_id, sizeof to->call_id);
	to->f = (struct access_dialog_facts){
		.outward = g->outward, .kind = g->session ? "session" : "subscription", .state = states[g->state], .local = slice_str(to->local),
		.remote = slice_str(to->remote), .event = slice_str(to->event), .call_id = slice_str(to->call_id), .requests_in = g->requests_in,
		.requests_out = g->requests_out, .age_ms = since(g->since, now), .idle_ms = since(g->used, now), .left_ms = g->until ? g->until - now : 0};
}

/* What fn makes of twenty thousand takes longer than any message may wait for the lock. */
void access_dialogs_each(struct access_dialogs *d, uint64_t now, void (*fn)(void *, const struct access_dialog_facts *), void *arg)
{
	size_t n = 0;
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	struct copy *all = mem_calloc(d->all.count + 1, sizeof *all);
	LIST_EACH(l, &d->lru) {
		struct dialog *g = CONTAINER_OF(l, struct dialog, lru);
		if (over(g, now))
			drop(d, g, g->until ? &d->ended : &d->forgotten);
		else
			copy(&all[n++], g, now);
	}
	pthread_mutex_unlock(&d->lock);
	for (size_t i = 0; i < n; i++)
		fn(arg, &all[i].f);
	mem_free(all);
}

void access_dialogs_counts(struct access_dialogs *d, struct access_dialog_counts *ret)
{
	pthread_mutex_lock(&d->lock);
	*ret = (struct access_dialog_counts){d->all.count, d->begun, d->ended, d->forgotten};
	pthread_mutex_unlock(&d->lock);
}
