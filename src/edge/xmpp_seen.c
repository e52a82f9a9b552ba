/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/xmpp_seen.h"

#include <pthread.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { SEEN_MAX = 100000 }; /* partners that there can be */

struct entry {
	struct map_node node;
	bool tls; /* some proof came inside TLS */
	struct xmpp_sighting last;
	char domain[];
};

struct xmpp_seen {
	pthread_mutex_t lock;
	struct map entries;
};

struct xmpp_seen *xmpp_seen_new(void)
{
	struct xmpp_seen *x = MEM_NEW(struct xmpp_seen);
	pthread_mutex_init(&x->lock, NULL);
	map_init(&x->entries);
	return x;
}

struct xmpp_seen *xmpp_seen_free(struct xmpp_seen *x)
{
	size_t i;
	if (!x)
		return NULL;
	MAP_EACH(n, &x->entries, i)
		mem_free(CONTAINER_OF(n, struct entry, node));
	map_free(&x->entries);
	pthread_mutex_destroy(&x->lock);
	return mem_free(x);
}

static struct entry *entry_of(struct xmpp_seen *x, struct slice domain, bool make)
{
	struct map_node *n = map_find(&x->entries, domain);
	if (n || !make || x->entries.count >= SEEN_MAX)
		return n ? CONTAINER_OF(n, struct entry, node) : NULL;
	struct entry *e = mem_calloc(1, sizeof *e + domain.len + 1);
	memcpy(e->domain, domain.p, domain.len);
	map_insert(&x->entries, &e->node, slice_of(e->domain, domain.len));
	return e;
}

bool xmpp_seen_put(struct xmpp_seen *x, struct slice domain, const struct tls_peer *t, bool inbound, const char *proof,
		   struct xmpp_sighting *ret_before)
{
	struct xmpp_sighting s = {.at = clock_unix(), .not_before = t->not_before, .not_after = t->not_after, .inbound = inbound,
				  .believed = t->chain_ok};
	bool changed = false;
	memcpy(s.spki_sha256, t->spki_sha256, sizeof s.spki_sha256);
	memcpy(s.sha256, t->sha256, sizeof s.sha256);
	slice_cstr(slice_first(t->subject, sizeof s.subject - 1), s.subject, sizeof s.subject);
	slice_cstr(slice_first(t->issuer, sizeof s.issuer - 1), s.issuer, sizeof s.issuer);
	slice_cstr(slice_first(t->protocol, sizeof s.protocol - 1), s.protocol, sizeof s.protocol);
	slice_cstr(slice_str(proof), s.proof, sizeof s.proof);
	pthread_mutex_lock(&x->lock);
	struct entry *e = entry_of(x, domain, true);
	if (e) {
		changed = e->last.at && memcmp(e->last.spki_sha256, s.spki_sha256, sizeof s.spki_sha256);
		if (changed && ret_before)
			*ret_before = e->last;
		e->last = s;
		e->tls |= s.proof[0] != 0;
	}
	pthread_mutex_unlock(&x->lock);
	return changed;
}

bool xmpp_seen_get(struct xmpp_seen *x, struct slice domain, struct xmpp_sighting *ret)
{
	pthread_mutex_lock(&x->lock);
	struct entry *e = entry_of(x, domain, false);
	if (e)
		*ret = e->last;
	pthread_mutex_unlock(&x->lock);
	return e != NULL;
}

bool xmpp_seen_tls(struct xmpp_seen *x, struct slice domain)
{
	pthread_mutex_lock(&x->lock);
	struct entry *e = entry_of(x, domain, false);
	bool tls = e && e->tls;
	pthread_mutex_unlock(&x->lock);
	return tls;
}

void xmpp_seen_each(struct xmpp_seen *x, bool (*fn)(void *arg, struct slice domain, const struct xmpp_sighting *s), void *arg)
{
	size_t i;
	bool more = true;
	pthread_mutex_lock(&x->lock);
	MAP_EACH(n, &x->entries, i) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);
		more = more && (!e->last.at || fn(arg, slice_str(e->domain), &e->last));
	}
	pthread_mutex_unlock(&x->lock);
}
