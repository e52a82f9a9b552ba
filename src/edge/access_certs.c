/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_certs.h"

#include <pthread.h>
#include <stdio.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { DOMAINS = 4, DOMAIN_MAX = 254, TEXT_MAX = 256 };

struct entry {
	struct map_node node; /* key: sha256 */
	struct list lru;      /* the longest unseen first */
	bool accepted, inbound;
	uint8_t sha256[32];
	char domains[DOMAINS][DOMAIN_MAX];
	char *text;           /* owned: subject, issuer, serial */
	struct slice subject, issuer, serial;
	char address[64], why[TEXT_MAX];
	const char *revocation;
	int64_t not_before, not_after, first, last;
	uint64_t connections;
};

struct store {
	struct map map;
	struct list lru;
};

struct access_certs {
	pthread_mutex_t lock;
	struct store accepted, rejected;
};

static void store_init(struct store *s)
{
	map_init(&s->map);
	list_init(&s->lru);
}

struct access_certs *access_certs_new(void)
{
	struct access_certs *s = MEM_NEW(struct access_certs);
	pthread_mutex_init(&s->lock, NULL);
	store_init(&s->accepted);
	store_init(&s->rejected);
	return s;
}

static void forget(struct store *s, struct entry *e)
{
	map_remove(&s->map, &e->node);
	list_remove(&e->lru);
	mem_free(e->text);
	mem_free(e);
}

static void clear(struct store *s)
{
	LIST_EACH(n, &s->lru)
		forget(s, CONTAINER_OF(n, struct entry, lru));
	map_free(&s->map);
}

struct access_certs *access_certs_free(struct access_certs *s)
{
	if (!s)
		return NULL;
	clear(&s->accepted);
	clear(&s->rejected);
	pthread_mutex_destroy(&s->lock);
	return mem_free(s);
}

static struct entry *find(const struct store *s, const struct tls_peer *cert)
{
	struct map_node *n = map_find(&s->map, slice_of((const char *)cert->sha256, sizeof cert->sha256));
	return n ? CONTAINER_OF(n, struct entry, node) : NULL;
}

static void put(struct store *s, struct entry *e)
{
	map_insert(&s->map, &e->node, slice_of((const char *)e->sha256, sizeof e->sha256));
	list_append(&s->lru, &e->lru);
}

static void take(struct store *s, struct entry *e)
{
	map_remove(&s->map, &e->node);
	list_remove(&e->lru);
}

/* Also when the bound has become smaller. */
static void make_room(struct store *s, size_t max, uint32_t percent)
{
	if (s->map.count < max)
		return;
	size_t share = max * percent / 100, left = max - (share ? share : 1);
	while (s->map.count > left)
		forget(s, CONTAINER_OF(list_head(&s->lru), struct entry, lru));
}

static struct entry *entry_new(const struct tls_peer *c, int64_t now)
{
	struct entry *e = MEM_NEW(struct entry);
	e->text = mem_calloc(1, c->subject.len + c->issuer.len + c->serial.len + 1);
	char *at = e->text;
	memcpy(e->sha256, c->sha256, sizeof e->sha256);
	const struct slice from[] = {c->subject, c->issuer, c->serial};
	struct slice *to[] = {&e->subject, &e->issuer, &e->serial};
	for (size_t i = 0; i < 3; i++) {
		if (from[i].len)
			memcpy(at, from[i].p, from[i].len);
		*to[i] = slice_of(at, from[i].len);
		at += from[i].len;
	}
	e->not_before = c->not_before;
	e->not_after = c->not_after;
	e->first = now;
	return e;
}

void access_certs_seen(struct access_certs *s, const struct access_certs_bounds *b, const struct tls_peer *cert, bool inbound, struct slice address,
		       const char *state, struct slice why, int64_t now)
{
	bool accepted = !why.len;
	if (!cert->has_cert)
		return;
	pthread_mutex_lock(&s->lock);
	struct store *to = accepted ? &s->accepted : &s->rejected, *other = accepted ? &s->rejected : &s->accepted;
	struct entry *e = find(to, cert), *was = e ? NULL : find(other, cert);
	if (e)
		take(to, e);
	else if (was)
		take(other, e = was);
	else
		e = entry_new(cert, now);
	make_room(to, accepted ? b->accepted : b->rejected, b->evict_percent);
	e->accepted = accepted;
	e->inbound = inbound;
	e->last = now;
	e->revocation = state;
	e->connections++;
	slice_cstr(slice_first(address, sizeof e->address - 1), e->address, sizeof e->address);
	slice_cstr(slice_first(why, sizeof e->why - 1), e->why, sizeof e->why);
	put(to, e);
	pthread_mutex_unlock(&s->lock);
}

void access_certs_proved(struct access_certs *s, const struct tls_peer *cert, struct slice domain)
{
	pthread_mutex_lock(&s->lock);
	struct entry *e = find(&s->accepted, cert);
	size_t i = 0;
	while (e && i < DOMAINS && !slice_ieq(slice_str(e->domains[i]), domain))
		i++;
	if (e && i && domain.len < DOMAIN_MAX) { /* to the front; the last one goes if it is new */
		memmove(e->domains[1], e->domains[0], (i < DOMAINS ? i : DOMAINS - 1) * sizeof *e->domains);
		slice_cstr(domain, e->domains[0], sizeof *e->domains);
	}
	pthread_mutex_unlock(&s->lock);
}

static void tell(const struct store *s, void (*fn)(void *, const struct access_cert_facts *), void *arg)
{
	for (struct list *n = s->lru.prev; n != &s->lru; n = n->prev) {
		const struct entry *e = CONTAINER_OF(n, struct entry, lru);
		char domains[DOMAINS * DOMAIN_MAX] = "";
		struct access_cert_facts f = {.accepted = e->accepted, .inbound = e->inbound, .subject = e->subject, .issuer = e->issuer,
					      .serial = e->serial, .address = slice_str(e->address), .why = slice_str(e->why),
					      .revocation = e->revocation, .not_before = e->not_before, .not_after = e->not_after, .first = e->first, .last = e->last,
					      .connections = e->connections};
		size_t at = 0;
		for (size_t i = 0; i < DOMAINS && *e->domains[i]; i++)
			at += (size_t)snprintf(domains + at, sizeof domains - at, "%s%s", at ? " " : "", e->domains[i]);
		f.domains = slice_of(domains, at);
		for (size_t i = 0; i < sizeof e->sha256; i++)
			snprintf(f.sha256 + 2 * i, 3, "%02x", e->sha256[i]);
		fn(arg, &f);
	}
}

void access_certs_each(struct access_certs *s, void (*fn)(void *, const struct access_cert_facts *), void *arg)
{
	pthread_mutex_lock(&s->lock);
	tell(&s->accepted, fn, arg);
	tell(&s->rejected, fn, arg);
	pthread_mutex_unlock(&s->lock);
}
