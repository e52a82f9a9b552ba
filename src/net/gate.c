/* SPDX-License-Identifier: Apache-2.0 */
/* Admission. One mutex, held for a few hash operations per connection, never over a callback. */
#include <pthread.h>
#include "base/map.h"
#include "base/mem.h"
#include "net/listener.h"

enum { SHAKE_BUCKETS = 1024, SHAKE_BURST_S = 2, SHAKE_WAIT_S = 5, SECOND = 1000000 /* us */ };
enum { TOKEN = 60000, SWEEP = 4 }; /* a token is one connection; limits.rate_per_minute tokens / 60000 ms makes integers */

struct source {
	struct map_node node;
	struct list idle; /* in gate.idle while nothing is open */
	struct addr_source key;
	size_t open;
	uint64_t tokens, stamp; /* in 1/TOKEN of a connection, at `stamp` ms */
};

struct network { /* there while it has something unproven */
	struct map_node node;
	struct addr_source key;
	size_t unproven;
};

struct gate {
	pthread_mutex_t lock;
	size_t refs; /* its makers, listeners and passes */
	struct gate_limits limits;
	struct map sources, networks;
	struct list idle; /* the longest idle first */
	struct gate_counts counts;
	/* When the next handshake would be exactly in time, us; of networks by their hash, which is keyed: nobody can aim at another's. */
	uint64_t shake_due, network_due[SHAKE_BUCKETS];
};

struct gate_pass {
	struct gate *gate;
	struct source *source;
	struct network *network; /* NULL: proven */
	size_t bucket;           /* of its network */
};

struct gate *gate_new(const struct gate_limits *limits)
{
	struct gate *g = MEM_NEW(struct gate);
	pthread_mutex_init(&g->lock, NULL);
	g->refs = 1;
	g->limits = *limits;
	map_init(&g->sources);
	map_init(&g->networks);
	list_init(&g->idle);
	return g;
}

static void forget(struct gate *g, struct source *s)
{
	list_remove(&s->idle);
	map_remove(&g->sources, &s->node);
	mem_free(s);
}

/* Unlocks. */
static void drop_ref(struct gate *g)
{
	bool last = --g->refs == 0;
	pthread_mutex_unlock(&g->lock);
	if (!last)
		return;
	while (!list_empty(&g->idle))
		forget(g, CONTAINER_OF(g->idle.next, struct source, idle));
	map_free(&g->sources);
	map_free(&g->networks);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

struct gate *gate_unref(struct gate *g)
{
	if (g) {
		pthread_mutex_lock(&g->lock);
		drop_ref(g);
	}
	return NULL;
}

struct gate *gate_ref(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->refs++;
	pthread_mutex_unlock(&g->lock);
	return g;
}

void gate_set_limits(struct gate *g, const struct gate_limits *limits)
{
	pthread_mutex_lock(&g->lock);
	g->limits = *limits;
	pthread_mutex_unlock(&g->lock);
}

static uint64_t full(const struct gate *g)
{
	unsigned burst = g->limits.burst ? g->limits.burst : g->limits.rate_per_minute;
	return (uint64_t)burst * TOKEN;
}

static void refill(const struct gate *g, struct source *s, uint64_t now)
{
	uint64_t most = full(g), passed = now > s->stamp ? now - s->stamp : 0;
	uint64_t gained = passed > 3600000 ? most : passed * g->limits.rate_per_minute;
	s->tokens = s->tokens + gained > most ? most : s->tokens + gained;
	s->stamp = now;
}

/* Sources that have nothing open and nothing to remember go. */
static void sweep(struct gate *g, uint64_t now)
{
	for (int i = 0; i < SWEEP && !list_empty(&g->idle); i++) {
		struct source *s = CONTAINER_OF(g->idle.next, struct source, idle);
		refill(g, s, now);
		if (s->tokens < full(g))
			return;
		forget(g, s);
	}
}

static struct source *source_of(struct gate *g, const struct addr *from, uint64_t now)
{
	struct addr_source key = addr_source(from);
	struct map_node *n = map_find(&g->sources, slice_of((char *)key.octets, sizeof key.octets));
	if (n)
		return CONTAINER_OF(n, struct source, node);
	struct source *s = MEM_NEW(struct source);
	s->key = key;
	s->tokens = full(g);
	s->stamp = now;
	list_append(&g->idle, &s->idle);
	map_insert(&g->sources, &s->node, slice_of((char *)s->key.octets, sizeof s->key.octets));
	return s;
}

static struct addr_source network_key(const struct addr *from)
{
	enum { FAMILY = 1, V4 = 3, V6 = 7 };
	struct addr_source key = addr_source(from);
	size_t keep = FAMILY + (addr_is_v6(from) ? V6 : V4);
	memset(key.octets + keep, 0, sizeof key.octets - keep);
	return key;
}

static struct network *network_find(struct gate *g, const struct addr_source *key)
{
	struct map_node *n = map_find(&g->networks, slice_of((const char *)key->octets, sizeof key->octets));
	return n ? CONTAINER_OF(n, struct network, node) : NULL;
}

static struct network *network_enter(struct gate *g, const struct addr *from)
{
	struct addr_source key = network_key(from);
	struct network *n = network_find(g, &key);
	if (!n) {
		n = MEM_NEW(struct network);
		n->key = key;
		map_insert(&g->networks, &n->node, slice_of((char *)n->key.octets, sizeof n->key.octets));
	}
	n->unproven++;
	g->counts.unproven++;
	return n;
}

static void prove(struct gate_pass *p)
{
	struct gate *g = p->gate;
	if (!p->network)
		return;
	g->counts.unproven--;
	if (--p->network->unproven == 0) {
		map_remove(&g->networks, &p->network->node);
		mem_free(p->network);
	}
	p->network = NULL;
}

static size_t bucket_of(const struct addr *from)
{
	struct addr_source key = network_key(from);
	return hash_slice(slice_of((const char *)key.octets, sizeof key.octets)) % SHAKE_BUCKETS;
}

static bool network_full(struct gate *g, const struct addr *from)
{
	struct addr_source key = network_key(from);
	const struct network *n = g->limits.unproven_per_network ? network_find(g, &key) : NULL;
	return n && n->unproven >= g->limits.unproven_per_network;
}

void gate_prove(struct gate_pass *p)
{
	if (!p)
		return;
	struct gate *g = p->gate; /* `p` is not looked into without the lock, but for this */
	pthread_mutex_lock(&g->lock);
	prove(p);
	pthread_mutex_unlock(&g->lock);
}

struct gate_pass *gate_enter(struct gate *g, const struct addr *from, uint64_t now, const char **ret_why)
{
	struct gate_pass *p = NULL;
	pthread_mutex_lock(&g->lock);
	sweep(g, now);
	if (g->limits.total && g->counts.open >= g->limits.total) {
		g->counts.refused_total++;
		*ret_why = "total";
		goto out;
	}
	if (g->limits.unproven && g->counts.unproven >= g->limits.unproven) {
		g->counts.refused_unproven++;
		*ret_why = "unproven";
		goto out;
	}
	if (network_full(g, from)) {
		g->counts.refused_network++;
		*ret_why = "unproven-per-network";
		goto out;
	}
	struct source *s = source_of(g, from, now);
	refill(g, s, now);
	if (g->limits.per_source && s->open >= g->limits.per_source) {
		g->counts.refused_per_source++;
		*ret_why = "per-source";
		goto out;
	}
	if (g->limits.rate_per_minute) {
		if (s->tokens < TOKEN) {
			g->counts.refused_rate++;
			*ret_why = "rate";
			goto out;
		}
		s->tokens -= TOKEN;
	}
	if (s->open++ == 0)
		list_remove(&s->idle);
	g->counts.open++;
	g->counts.admitted++;
	g->refs++;
	p = MEM_NEW(struct gate_pass);
	*p = (struct gate_pass){g, s, network_enter(g, from), bucket_of(from)};
out:
	pthread_mutex_unlock(&g->lock);
	return p;
}

/* Microseconds until `due`, when bursts are allowed. */
static uint64_t ahead(uint64_t *due, uint64_t now)
{
	if (*due + SHAKE_BURST_S * SECOND < now)
		*due = now - SHAKE_BURST_S * SECOND;
	return *due > now ? *due - now : 0;
}

uint64_t gate_handshake(struct gate_pass *p, uint64_t now)
{
	if (!p)
		return 0;
	struct gate *g = p->gate;
	uint64_t us = now * 1000 + SHAKE_BURST_S * SECOND, wait = 0;
	pthread_mutex_lock(&g->lock);
	const struct gate_limits *l = &g->limits;
	if (l->handshakes)
		wait = ahead(&g->shake_due, us);
	if (l->handshakes_per_network) {
		uint64_t w = ahead(&g->network_due[p->bucket], us);
		wait = w > wait ? w : wait;
	}
	if (wait > SHAKE_WAIT_S * SECOND) {
		g->counts.refused_handshakes++;
		wait = GATE_NEVER;
	} else {
		g->counts.delayed_handshakes += wait > 0;
		if (l->handshakes)
			g->shake_due += SECOND / l->handshakes;
		if (l->handshakes_per_network)
			g->network_due[p->bucket] += SECOND / l->handshakes_per_network;
		wait = (wait + 999) / 1000;
	}
	pthread_mutex_unlock(&g->lock);
	return wait;
}

struct gate_pass *gate_leave(struct gate_pass *p)
{
	if (!p)
		return NULL;
	struct gate *g = p->gate;
	struct source *s = p->source;
	pthread_mutex_lock(&g->lock);
	prove(p);
	mem_free(p);
	g->counts.open--;
	if (--s->open == 0) {
		list_append(&g->idle, &s->idle);
		if (!g->limits.rate_per_minute)
			forget(g, s);
	}
	drop_ref(g);
	return NULL;
}

void gate_counts(struct gate *g, struct gate_counts *ret)
{
	pthread_mutex_lock(&g->lock);
	*ret = g->counts;
	ret->sources = g->sources.count;
	ret->networks = g->networks.count;
	pthread_mutex_unlock(&g->lock);
}
