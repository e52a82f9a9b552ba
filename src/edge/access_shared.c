/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_shared.h"

#include <pthread.h>
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct watched {
	struct map_node node; /* key: issuer LF serial */
	struct list lru;      /* the longest silent first */
	uint64_t id;
	char *key, *subject;  /* owned */
	struct slice issuer, serial;
	char domains[ACCESS_WATCH_DOMAINS * 254];
	unsigned n_domains;
	uint64_t *contacts;   /* owned: a set of hashes, 0 is empty */
	size_t n_contacts, cap_contacts;
	uint64_t due_us, seen;
	uint64_t requests, throttled, refused_contacts, succeeded, failed;
	unsigned recent_good, recent_bad; /* fade by half when they reach RECENT together */
};
enum { RECENT = 200 };

struct access_guest {
	struct map_node node; /* key: as above */
	char *key;            /* owned */
	size_t conns, requests;
};

struct access_shared {
	pthread_mutex_t lock;
	uint64_t *contacts; /* as above */
	size_t n_contacts, cap_contacts, max_contacts;
	struct map watch, guests;
	struct list lru;
	uint64_t next;
	struct access_dialogs *dialogs;
};

/* ---- sets of hashes */

static bool set_has(const uint64_t *set, size_t cap, uint64_t h)
{
	for (size_t i = h & (cap - 1); cap && set[i]; i = (i + 1) & (cap - 1))
		if (set[i] == h)
			return true;
	return false;
}

static void set_put(uint64_t *set, size_t cap, uint64_t h)
{
	size_t i = h & (cap - 1);
	while (set[i])
		i = (i + 1) & (cap - 1);
	set[i] = h;
}

static void set_add(uint64_t **set, size_t *n, size_t *cap, uint64_t h)
{
	if (2 * (*n + 1) > *cap) {
		size_t bigger = *cap ? 2 * *cap : 16;
		uint64_t *copy = mem_calloc(bigger, sizeof *copy);
		for (size_t i = 0; i < *cap; i++)
			if ((*set)[i])
				set_put(copy, bigger, (*set)[i]);
		mem_free(*set);
		*set = copy;
		*cap = bigger;
	}
	set_put(*set, *cap, h);
	++*n;
}

static void set_drop(uint64_t *set, size_t *n, size_t cap, uint64_t h)
{
	size_t i = h & (cap - 1);
	if (!set_has(set, cap, h))
		return;
	while (set[i] != h)
		i = (i + 1) & (cap - 1);
	set[i] = 0;
	--*n;
	for (size_t k = (i + 1) & (cap - 1); set[k]; k = (k + 1) & (cap - 1)) { /* what had gone past it must still be found */
		uint64_t moved = set[k];
		set[k] = 0;
		set_put(set, cap, moved);
	}
}

static uint64_t hash_of(struct slice text)
{
	uint64_t h = hash_slice_nocase(text);
	return h ? h : 1;
}

static uint64_t pair_of(struct slice local, struct slice remote)
{
	uint64_t h = hash_slice_nocase(local) * 31 + hash_slice_nocase(remote);
	return h ? h : 1;
}

/* ---- contacts */

struct access_shared *access_shared_new(size_t max_contacts)
{
	struct access_shared *s = MEM_NEW(struct access_shared);
	pthread_mutex_init(&s->lock, NULL);
	s->max_contacts = max_contacts;
	s->dialogs = access_dialogs_new(0);
	map_init(&s->watch);
	map_init(&s->guests);
	list_init(&s->lru);
	return s;
}

static void forget(struct access_shared *s, struct watched *w)
{
	map_remove(&s->watch, &w->node);
	list_remove(&w->lru);
	mem_free(w->key);
	mem_free(w->subject);
	mem_free(w->contacts);
	mem_free(w);
}

static void guest_free(struct access_shared *s, struct access_guest *g)
{
	map_remove(&s->guests, &g->node);
	mem_free(g->key);
	mem_free(g);
}

struct access_shared *access_shared_free(struct access_shared *s)
{
	size_t i;
	if (!s)
		return NULL;
	LIST_EACH(n, &s->lru)
		forget(s, CONTAINER_OF(n, struct watched, lru));
	MAP_EACH(m, &s->guests, i)
		guest_free(s, CONTAINER_OF(m, struct access_guest, node));
	map_free(&s->guests);
	map_free(&s->watch);
	mem_free(s->contacts);
	access_dialogs_free(s->dialogs);
	pthread_mutex_destroy(&s->lock);
	return mem_free(s);
}

struct access_dialogs *access_shared_dialogs(struct access_shared *s)
{
	return s->dialogs;
}

bool access_contact_learn(struct access_shared *s, struct slice local, struct slice remote)
{
	uint64_t h = pair_of(local, remote);
	pthread_mutex_lock(&s->lock);
	bool new = s->n_contacts < s->max_contacts && !set_has(s->contacts, s->cap_contacts, h);
	if (new)
		set_add(&s->contacts, &s->n_contacts, &s->cap_contacts, h);
	pthread_mutex_unlock(&s->lock);
	return new;
}

void access_contact_forget(struct access_shared *s, struct slice local, struct slice remote)
{
	pthread_mutex_lock(&s->lock);
	set_drop(s->contacts, &s->n_contacts, s->cap_contacts, pair_of(local, remote));
	pthread_mutex_unlock(&s->lock);
}

bool access_contact_known(struct access_shared *s, struct slice local, struct slice remote)
{
	pthread_mutex_lock(&s->lock);
	bool yes = set_has(s->contacts, s->cap_contacts, pair_of(local, remote));
	pthread_mutex_unlock(&s->lock);
	return yes;
}

/* ---- certificates */

static void key_of(const struct tls_peer *cert, struct buf *ret)
{
	buf_init(ret, 4096);
	buf_put(ret, cert->issuer);
	buf_putc(ret, '\n');
	buf_put(ret, cert->serial);
}

struct access_guest *access_guest_enter(struct access_shared *s, const struct tls_peer *cert, uint32_t max)
{
	struct buf key;
	key_of(cert, &key);
	pthread_mutex_lock(&s->lock);
	struct map_node *n = map_find(&s->guests, buf_slice(&key));
	struct access_guest *g = n ? CONTAINER_OF(n, struct access_guest, node) : NULL;
	if (!g && max) {
		g = MEM_NEW(struct access_guest);
		g->key = mem_strndup(buf_slice(&key).p, key.len);
		map_insert(&s->guests, &g->node, slice_of(g->key, key.len));
	}
	if (g && g->conns < max)
		g->conns++;
	else
		g = NULL;
	pthread_mutex_unlock(&s->lock);
	buf_free(&key);
	return g;
}

void access_guest_leave(struct access_shared *s, struct access_guest *g)
{
	pthread_mutex_lock(&s->lock);
	if (--g->conns == 0 && !g->requests)
		guest_free(s, g);
	pthread_mutex_unlock(&s->lock);
}

bool access_guest_ask(struct access_shared *s, struct access_guest *g, size_t max)
{
	pthread_mutex_lock(&s->lock);
	bool room = g->requests < max;
	g->requests += room;
	pthread_mutex_unlock(&s->lock);
	return room;
}

void access_guest_answered(struct access_shared *s, struct access_guest *g)
{
	pthread_mutex_lock(&s->lock);
	if (--g->requests == 0 && !g->conns)
		guest_free(s, g);
	pthread_mutex_unlock(&s->lock);
}

/* ---- the watch list */

static struct watched *watched_of(struct access_shared *s, const struct tls_peer *cert)
{
	struct buf key;
	key_of(cert, &key);
	struct map_node *n = map_find(&s->watch, buf_slice(&key));
	struct watched *w = n ? CONTAINER_OF(n, struct watched, node) : NULL;
	if (!w) {
		if (s->watch.count >= ACCESS_WATCH_MAX)
			forget(s, CONTAINER_OF(list_head(&s->lru), struct watched, lru));
		w = MEM_NEW(struct watched);
		w->id = ++s->next;
		w->key = mem_strndup(buf_slice(&key).p, key.len);
		w->subject = mem_strndup(cert->subject.p ? cert->subject.p : "", cert->subject.len);
		w->issuer = slice_of(w->key, cert->issuer.len);
		w->serial = slice_str(w->key + cert->issuer.len + 1);
		map_insert(&s->watch, &w->node, slice_of(w->key, key.len));
		list_append(&s->lru, &w->lru);
	}
	buf_free(&key);
	list_remove(&w->lru);
	list_append(&s->lru, &w->lru);
	return w;
}

static bool suspicious(const struct watched *w)
{
	return w->recent_good + w->recent_bad >= ACCESS_SUSPECT_AFTER && w->recent_bad > w->recent_good;
}

static void note_domain(struct watched *w, struct slice domain)
{
	struct slice rest = slice_str(w->domains);
	while (rest.len)
		if (slice_ieq(slice_split(&rest, ' '), domain))
			return;
	if (w->n_domains == ACCESS_WATCH_DOMAINS || domain.len > 253)
		return;
	size_t at = strlen(w->domains);
	if (w->n_domains++)
		w->domains[at++] = ' ';
	slice_cstr(domain, w->domains + at, sizeof w->domains - at);
}

/* One second's worth may come at once. */
static bool too_fast(struct watched *w, uint64_t now, uint32_t rate)
{
	uint64_t now_us = now * 1000, step = 1000000 / rate, slack = suspicious(w) ? 0 : 1000000 - step;
	if (w->due_us < now_us)
		w->due_us = now_us;
	if (w->due_us - now_us > slack)
		return true;
	w->due_us += step;
	return false;
}

static enum reason admit(struct watched *w, struct slice domain, struct slice local, uint64_t now, uint32_t rate, uint32_t max_contacts)
{
	uint64_t h = hash_of(local);
	w->seen = now;
	w->requests++;
	note_domain(w, domain);
	if (rate && too_fast(w, now, suspicious(w) ? 1 : rate)) {
		w->throttled++;
		return REASON_LIMIT_RATE;
	}
	if (!max_contacts || set_has(w->contacts, w->cap_contacts, h))
		return REASON_NONE;
	if (w->n_contacts >= max_contacts) {
		w->refused_contacts++;
		return REASON_LIMIT_CONTACTS;
	}
	set_add(&w->contacts, &w->n_contacts, &w->cap_contacts, h);
	return REASON_NONE;
}

enum reason access_watch_admit(struct access_shared *s, const struct tls_peer *cert, struct slice domain, struct slice local, uint64_t now,
			       uint32_t rate, uint32_t max_contacts, uint64_t *ret_id)
{
	pthread_mutex_lock(&s->lock);
	struct watched *w = watched_of(s, cert);
	enum reason r = admit(w, domain, local, now, rate, max_contacts);
	*ret_id = w->id;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static struct watched *by_id(struct access_shared *s, uint64_t id)
{
	for (struct list *n = s->lru.prev; n != &s->lru; n = n->prev) /* it was just seen */
		if (CONTAINER_OF(n, struct watched, lru)->id == id)
			return CONTAINER_OF(n, struct watched, lru);
	return NULL;
}

void access_watch_outcome(struct access_shared *s, uint64_t id, int status)
{
	pthread_mutex_lock(&s->lock);
	struct watched *w = id ? by_id(s, id) : NULL;
	bool good = status >= 200 && status < 300;
	if (w) {
		*(good ? &w->succeeded : &w->failed) += 1;
		*(good ? &w->recent_good : &w->recent_bad) += 1;
		if (w->recent_good + w->recent_bad >= RECENT) {
			w->recent_good /= 2;
			w->recent_bad /= 2;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

struct told {
	struct access_watch_facts f;
	char *text; /* what f points to */
};

static struct slice tell_text(char **at, struct slice s)
{
	char *p = *at;
	if (s.len)
		memcpy(p, s.p, s.len);
	*at += s.len;
	return slice_of(p, s.len);
}

/* Under the lock. */
static void tell_row(struct told *to, const struct watched *w, uint64_t now)
{
	struct slice subject = slice_str(w->subject), domains = slice_str(w->domains);
	char *at = to->text = mem_calloc(1, w->issuer.len + w->serial.len + subject.len + domains.len + 1);
	to->f = (struct access_watch_facts){
		.issuer = tell_text(&at, w->issuer), .serial = tell_text(&at, w->serial), .subject = tell_text(&at, subject),
		.domains = tell_text(&at, domains), .mode = suspicious(w) ? "suspicious" : "standard", .requests = w->requests,
		.throttled = w->throttled, .refused_contacts = w->refused_contacts, .succeeded = w->succeeded, .failed = w->failed,
		.contacts = w->n_contacts, .idle_ms = now > w->seen ? now - w->seen : 0};
}

void access_watch_each(struct access_shared *s, uint64_t now, void (*fn)(void *, const struct access_watch_facts *), void *arg)
{
	size_t n = 0;
	pthread_mutex_lock(&s->lock);
	struct told *all = mem_calloc(s->watch.count + 1, sizeof *all);
	LIST_EACH(l, &s->lru)
		tell_row(&all[n++], CONTAINER_OF(l, struct watched, lru), now);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		fn(arg, &all[i].f);
		mem_free(all[i].text);
	}
	mem_free(all);
}
