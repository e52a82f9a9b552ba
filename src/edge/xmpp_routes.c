/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/xmpp_routes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { KEY_MAX = 2 * 1023 + 1 }; /* two domains (RFC 7622 3.2) */

struct route {
	struct map_node node; /* key: local NUL remote, behind the struct */
	unsigned worker;
	bool unusual;
};

struct xmpp_routes {
	pthread_mutex_t lock;
	struct map map;        /* of struct route */
	_Atomic size_t unusual; /* as long as there is none, nobody needs the lock */
};

struct xmpp_routes *xmpp_routes_new(void)
{
	struct xmpp_routes *r = MEM_NEW(struct xmpp_routes);
	pthread_mutex_init(&r->lock, NULL);
	map_init(&r->map);
	return r;
}

struct xmpp_routes *xmpp_routes_free(struct xmpp_routes *r)
{
	size_t i;
	if (!r)
		return NULL;
	MAP_EACH(n, &r->map, i)
		mem_free(CONTAINER_OF(n, struct route, node));
	map_free(&r->map);
	pthread_mutex_destroy(&r->lock);
	return mem_free(r);
}

static bool make_key(struct slice *ret, char dst[KEY_MAX], struct slice local, struct slice remote)
{
	if (local.len + remote.len + 1 > KEY_MAX)
		return false;
	memcpy(dst, local.p, local.len);
	dst[local.len] = '\0';
	memcpy(dst + local.len + 1, remote.p, remote.len);
	*ret = slice_of(dst, local.len + 1 + remote.len);
	return true;
}

unsigned xmpp_routes_pick(struct xmpp_routes *r, struct slice local, struct slice remote, unsigned usual)
{
	char mem[KEY_MAX];
	struct slice key;
	if (!atomic_load_explicit(&r->unusual, memory_order_relaxed) || !make_key(&key, mem, local, remote))
		return usual;
	pthread_mutex_lock(&r->lock);
	struct map_node *n = map_find(&r->map, key);
	unsigned worker = n ? CONTAINER_OF(n, struct route, node)->worker : usual;
	pthread_mutex_unlock(&r->lock);
	return worker;
}

bool xmpp_routes_claim(struct xmpp_routes *r, struct slice local, struct slice remote, unsigned worker, bool unusual)
{
	char mem[KEY_MAX];
	struct slice key;
	if (!make_key(&key, mem, local, remote))
		return false;
	pthread_mutex_lock(&r->lock);
	bool ours = !map_find(&r->map, key);
	if (ours) {
		struct route *t = mem_calloc(1, sizeof *t + key.len);
		memcpy(t + 1, key.p, key.len);
		t->worker = worker;
		t->unusual = unusual;
		r->unusual += unusual;
		map_insert(&r->map, &t->node, slice_of((const char *)(t + 1), key.len));
	}
	pthread_mutex_unlock(&r->lock);
	return ours;
}

void xmpp_routes_release(struct xmpp_routes *r, struct slice local, struct slice remote)
{
	char mem[KEY_MAX];
	struct slice key;
	if (!make_key(&key, mem, local, remote))
		return;
	pthread_mutex_lock(&r->lock);
	struct map_node *n = map_find(&r->map, key);
	if (n) {
		struct route *t = CONTAINER_OF(n, struct route, node);
		r->unusual -= t->unusual;
		map_remove(&r->map, n);
		mem_free(t);
	}
	pthread_mutex_unlock(&r->lock);
}
