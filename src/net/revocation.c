/* SPDX-License-Identifier: Apache-2.0 */
/* Everything under one lock, for moments. Workers look and put what is missing on the queue; the home thread fetches, and tells who watches. */
#include "net/revocation.h"

#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn_int.h"
#include "net/crl.h"
#include "net/fetch.h"

enum {
	TIMEOUT_MS = 10000, LIST_MAX = 10 << 20, MEMORY_MAX = 64 << 20,
	QUEUE_MAX = 256,
	DAY_MS = 24 * 3600 * 1000, RETRY_MS = 60000, RETRY_MAX_MS = 3600000, SOON_MS = 60000,
	ROUND_MS = 30000, /* how often it is seen whether a list in use has to be fetched anew */
	KEY = FETCH_URL_MAX + SHA256_DIGEST_LENGTH,
};

struct revocation_chain {
	struct map_node node; /* key: the leaf's hash; in r->chains, or out of it and waiting for its last reference */
	struct list lru;
	unsigned refs;
	bool mapped;
	struct tls_path *chain;
	uint8_t (*by)[SHA256_DIGEST_LENGTH]; /* for each certificate: its issuer's name and key */
};

struct entry { /* a list: of one authority at one URL */
	struct map_node node;
	struct list lru, queue; /* queue: waits to be fetched */
	struct revocation *r;
	char key[KEY];
	struct slice url;
	struct tls_issued of;   /* of the issuer; slices into text */
	char *text;             /* owned */
	struct crl *crl;        /* owned; the last that counted */
	struct fetch *fetch;    /* home's */
	uint64_t next;          /* when to fetch, monotonic ms */
	bool told;              /* that it is time */
	unsigned in_a_row;      /* failures */
	uint64_t fetches, failures;
	char why[160];
};

struct revocation {
	atomic_uint refs; /* the owner's, and one for each message under way */
	pthread_mutex_t lock;
	struct worker *home;
	struct dns *dns;
	struct revocation_settings set;
	bool gone;
	struct map chains, lists;
	struct list chain_lru, list_lru, queue, watches;
	size_t n_queue, octets;
	unsigned fetching;
	bool woken;
	struct timer round;
};

struct wake {
	struct bus_msg msg;
	struct revocation *r;
};

struct revocation_watch {
	struct list node;
	struct revocation *r;
	struct worker *self;
	void (*news)(void *arg);
	void *arg;
	struct bus_msg msg;
	bool posted, dead; /* under the lock */
};

const char *revocation_state_name(enum revocation_state s)
{
	static const char *const names[] = {"none", "good", "pending", "unknown", "revoked"};
	return s <= REVOCATION_REVOKED ? names[s] : "unknown";
}

static void drop_ref(struct revocation *r)
{
	if (atomic_fetch_sub(&r->refs, 1) == 1) {
		pthread_mutex_destroy(&r->lock);
		mem_free(r);
	}
}

/* ---- those who watch */

static void watch_run(struct worker *w, struct bus_msg *m)
{
	struct revocation_watch *x = CONTAINER_OF(m, struct revocation_watch, msg);
	(void)w;
	pthread_mutex_lock(&x->r->lock);
	bool dead = x->dead;
	x->posted = false;
	pthread_mutex_unlock(&x->r->lock);
	if (!dead) {
		x->news(x->arg);
		return;
	}
	drop_ref(x->r);
	mem_free(x);
}

static void watch_drop(struct bus_msg *m)
{
	struct revocation_watch *x = CONTAINER_OF(m, struct revocation_watch, msg);
	drop_ref(x->r);
	mem_free(x);
}

struct revocation_watch *revocation_watch(struct revocation *r, struct worker *self, void (*news)(void *arg), void *arg)
{
	struct revocation_watch *x = MEM_NEW(struct revocation_watch);
	*x = (struct revocation_watch){.r = r, .self = self, .news = news, .arg = arg, .msg = {.run = watch_run, .drop = watch_drop}};
	atomic_fetch_add(&r->refs, 1);
	pthread_mutex_lock(&r->lock);
	list_append(&r->watches, &x->node);
	pthread_mutex_unlock(&r->lock);
	return x;
}

struct revocation_watch *revocation_unwatch(struct revocation_watch *x)
{
	if (!x)
		return NULL;
	struct revocation *r = x->r;
	pthread_mutex_lock(&r->lock);
	bool posted = x->posted;
	list_remove(&x->node);
	x->dead = true;
	pthread_mutex_unlock(&r->lock);
	if (!posted) {
		drop_ref(r);
		mem_free(x);
	}
	return NULL;
}

/* Under the lock. */
static void tell_all(struct revocation *r)
{
	LIST_EACH(n, &r->watches) {
		struct revocation_watch *x = CONTAINER_OF(n, struct revocation_watch, node);
		if (x->posted)
			continue;
		x->posted = true;
		worker_post_always(x->self, &x->msg);
	}
}

/* ---- lists */

/* Under the lock. */
static void entry_free(struct entry *e)
{
	struct revocation *r = e->r;
	if (list_linked(&e->queue))
		r->n_queue--;
	list_remove(&e->queue);
	list_remove(&e->lru);
	map_remove(&r->lists, &e->node);
	r->octets -= e->crl ? crl_octets(e->crl) : 0;
	crl_free(e->crl);
	mem_free(e->text);
	mem_free(e);
}

static bool busy(const struct entry *e)
{
	return e->fetch || list_linked(&e->queue);
}

static void failed(struct entry *e, const char *why);

/* Under the lock: until there is room for one more and for so many octets; `keep` stays. A list that goes for its octets is not fetched again at
 * once: where all that are in use have no room together, they would drive each other out for ever. */
static bool make_room(struct revocation *r, size_t lists, size_t octets, const struct entry *keep)
{
	LIST_EACH(n, &r->list_lru) {
		struct entry *e = CONTAINER_OF(n, struct entry, lru);
		bool many = r->lists.count + lists > REVOCATION_LISTS, large = r->octets + octets > r->set.memory_max;
		if (!many && !large)
			break;
		if (e == keep || busy(e))
			continue;
		if (many) {
			entry_free(e);
		} else if (e->crl) {
			r->octets -= crl_octets(e->crl);
			e->crl = crl_free(e->crl);
			failed(e, "no memory is left for it");
		}
	}
	return r->lists.count + lists <= REVOCATION_LISTS && r->octets + octets <= r->set.memory_max;
}

static struct entry *entry_of(struct revocation *r, const struct tls_issued *of, const uint8_t by[SHA256_DIGEST_LENGTH], struct slice url)
{
	char key[KEY];
	if (!url.len || url.len > FETCH_URL_MAX)
		return NULL;
	memcpy(key, by, SHA256_DIGEST_LENGTH);
	memcpy(key + SHA256_DIGEST_LENGTH, url.p, url.len);
	struct slice k = slice_of(key, SHA256_DIGEST_LENGTH + url.len);
	struct map_node *n = map_find(&r->lists, k);
	struct entry *e = n ? CONTAINER_OF(n, struct entry, node) : NULL;
	if (!e) {
		if (!make_room(r, 1, 0, NULL))
			return NULL;
		e = MEM_NEW(struct entry);
		e->r = r;
		memcpy(e->key, key, k.len);
		e->url = slice_of(e->key + SHA256_DIGEST_LENGTH, url.len);
		e->text = mem_calloc(1, of->issuer.len + of->key.len + of->issuer_text.len + 1);
		memcpy(e->text, of->issuer.p, of->issuer.len);
		memcpy(e->text + of->issuer.len, of->key.p, of->key.len);
		memcpy(e->text + of->issuer.len + of->key.len, of->issuer_text.p, of->issuer_text.len);
		e->of = (struct tls_issued){.issuer = slice_of(e->text, of->issuer.len), .key = slice_of(e->text + of->issuer.len, of->key.len),
					    .issuer_text = slice_of(e->text + of->issuer.len + of->key.len, of->issuer_text.len),
					    .may_sign = of->may_sign};
		list_init(&e->queue);
		map_insert(&r->lists, &e->node, slice_of(e->key, k.len));
		list_append(&r->list_lru, &e->lru);
	}
	list_remove(&e->lru);
	list_append(&r->list_lru, &e->lru);
	return e;
}

/* ---- fetching: home's thread */

static void pump(struct revocation *r);

static uint64_t again_after(const struct crl *c, int64_t now)
{
	int64_t left = crl_next_update(c) - now, ms = left > DAY_MS / 1000 ? DAY_MS : left * 1000 / 8 * 7;
	return (uint64_t)(ms < SOON_MS ? SOON_MS : ms);
}

/* Under the lock. */
static void failed(struct entry *e, const char *why)
{
	uint64_t wait = (uint64_t)RETRY_MS << (e->in_a_row < 6 ? e->in_a_row : 6);
	snprintf(e->why, sizeof e->why, "%.*s", (int)sizeof e->why - 1, why);
	e->failures++;
	e->in_a_row++;
	e->next = clock_ms() + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

/* Under the lock. */
static void keep(struct entry *e, struct crl *c)
{
	struct revocation *r = e->r;
	size_t old = e->crl ? crl_octets(e->crl) : 0;
	if (e->crl && crl_this_update(c) < crl_this_update(e->crl)) { /* somebody plays an old one */
		crl_free(c);
		failed(e, "older than the list that was there before");
		return;
	}
	if (!crl_fresh(c, clock_unix())) {
		crl_free(c);
		failed(e, "the list that is there is out of date");
		return;
	}
	r->octets -= old;
	crl_free(e->crl);
	e->crl = NULL;
	if (!make_room(r, 0, crl_octets(c), e)) {
		crl_free(c);
		failed(e, "no memory is left for it");
		return;
	}
	e->crl = c;
	r->octets += crl_octets(c);
	e->in_a_row = 0;
	*e->why = 0;
	e->next = clock_ms() + again_after(c, clock_unix());
}

static void fetched(void *arg, const struct fetch_result *res)
{
	struct entry *e = arg;
	struct revocation *r = e->r;
	struct crl *c = NULL;
	struct entente_err err = {0};
	loop_touch(r->home->loop);
	int rc = res->why.len ? ENTENTE_ENET : crl_parse(&c, res->body, &e->of, e->url, &err); /* its parts that are read do not change */
	pthread_mutex_lock(&r->lock);
	e->fetch = NULL;
	e->told = false;
	e->fetches++;
	r->fetching--;
	if (rc)
		failed(e, res->why.len ? res->why.p : err.text);
	else
		keep(e, c);
	tell_all(r);
	pthread_mutex_unlock(&r->lock);
	pump(r);
}

static void pump(struct revocation *r)
{
	pthread_mutex_lock(&r->lock);
	while (!list_empty(&r->queue) && r->fetching < REVOCATION_FETCHES) {
		struct entry *e = CONTAINER_OF(list_head(&r->queue), struct entry, queue);
		struct fetch_opts o = {.octets_max = r->set.list_max, .timeout_ms = r->set.timeout_ms, .private_ok = r->set.private_ok};
		list_remove(&e->queue);
		r->n_queue--;
		r->fetching++;
		e->fetch = fetch_start(r->home, r->dns, e->url, &o, fetched, e);
	}
	pthread_mutex_unlock(&r->lock);
}

static void wake_drop(struct bus_msg *m)
{
	struct wake *k = CONTAINER_OF(m, struct wake, msg);
	drop_ref(k->r);
	mem_free(k);
}

static void wake_run(struct worker *w, struct bus_msg *m)
{
	struct revocation *r = CONTAINER_OF(m, struct wake, msg)->r;
	(void)w;
	pthread_mutex_lock(&r->lock);
	r->woken = false;
	bool gone = r->gone;
	pthread_mutex_unlock(&r->lock);
	if (!gone)
		pump(r);
	wake_drop(m);
}

/* Under the lock, any thread. */
static bool want(struct entry *e)
{
	struct revocation *r = e->r;
	if (busy(e))
		return true;
	if (r->n_queue >= QUEUE_MAX) {
		failed(e, "too many lists wait to be fetched");
		return false;
	}
	list_append(&r->queue, &e->queue);
	r->n_queue++;
	if (!r->woken) {
		struct wake *k = MEM_NEW(struct wake);
		*k = (struct wake){.msg = {.run = wake_run, .drop = wake_drop}, .r = r};
		atomic_fetch_add(&r->refs, 1);
		r->woken = true;
		worker_post_always(r->home, &k->msg);
	}
	return true;
}

/* A list that is in use is fetched anew before it is too old: whoever uses it will ask for it when told. */
static void on_round(struct timer *t, uint64_t now)
{
	struct revocation *r = CONTAINER_OF(t, struct revocation, round);
	bool due = false;
	pthread_mutex_lock(&r->lock);
	LIST_EACH(n, &r->list_lru) {
		struct entry *e = CONTAINER_OF(n, struct entry, lru);
		if (e->told || busy(e) || e->next > clock_ms())
			continue;
		due = e->told = true;
	}
	if (due)
		tell_all(r);
	pthread_mutex_unlock(&r->lock);
	(void)now;
	timer_arm(&r->home->loop->timers, t, ROUND_MS);
}

/* ---- chains */

/* Under the lock. */
static void chain_free(struct revocation_chain *k)
{
	tls_path_free(k->chain);
	mem_free(k->by);
	mem_free(k);
}

/* Under the lock: out of the map; it lives on while it is used. */
static void chain_forget(struct revocation *r, struct revocation_chain *k)
{
	map_remove(&r->chains, &k->node);
	list_remove(&k->lru);
	k->mapped = false;
	if (!k->refs)
		chain_free(k);
}

static bool same(const struct tls_path *a, const struct tls_path *b)
{
	bool yes = a->n == b->n;
	for (size_t i = 0; yes && i < a->n; i++) {
		const struct tls_issued *x = &a->list[i], *y = &b->list[i];
		yes = slice_eq(x->serial, y->serial) && slice_eq(x->issuer, y->issuer) && slice_eq(x->key, y->key) && x->n_lists == y->n_lists;
		for (size_t l = 0; yes && l < x->n_lists; l++)
			yes = slice_eq(x->lists[l], y->lists[l]);
	}
	return yes;
}

static struct revocation_chain *chain_new(struct revocation *r, struct tls_path *c)
{
	struct revocation_chain *k = MEM_NEW(struct revocation_chain);
	if (r->chains.count >= REVOCATION_CHAINS)
		chain_forget(r, CONTAINER_OF(list_head(&r->chain_lru), struct revocation_chain, lru));
	k->chain = c;
	k->by = mem_calloc(c->n + 1, sizeof *k->by);
	for (size_t i = 0; i < c->n; i++) {
		uint8_t two[2][SHA256_DIGEST_LENGTH];
		SHA256((const unsigned char *)c->list[i].issuer.p, c->list[i].issuer.len, two[0]);
		SHA256((const unsigned char *)c->list[i].key.p, c->list[i].key.len, two[1]);
		SHA256(two[0], sizeof two, k->by[i]);
	}
	map_insert(&r->chains, &k->node, slice_of((const char *)c->sha256, sizeof c->sha256));
	list_append(&r->chain_lru, &k->lru);
	k->mapped = true;
	return k;
}

struct revocation_chain *revocation_chain_of(struct revocation *r, const struct conn *c)
{
	const struct tls_peer *p = conn_peer(c);
	if (!r || !p || !p->has_cert || !p->chain_ok)
		return NULL;
	pthread_mutex_lock(&r->lock);
	bool off = r->set.off;
	pthread_mutex_unlock(&r->lock);
	if (off)
		return NULL;
	struct tls_path *shown = conn_path(c);
	pthread_mutex_lock(&r->lock);
	struct map_node *n = map_find(&r->chains, slice_of((const char *)p->sha256, sizeof p->sha256));
	struct revocation_chain *k = n ? CONTAINER_OF(n, struct revocation_chain, node) : NULL;
	if (k && shown && !same(k->chain, shown)) { /* the same certificate by another way */
		chain_forget(r, k);
		k = NULL;
	}
	if (!k && shown) {
		k = chain_new(r, shown);
		shown = NULL;
	}
	if (k) {
		k->refs++;
		list_remove(&k->lru);
		list_append(&r->chain_lru, &k->lru);
	}
	pthread_mutex_unlock(&r->lock);
	tls_path_free(shown);
	return k;
}

struct revocation_chain *revocation_chain_unref(struct revocation *r, struct revocation_chain *k)
{
	if (!k)
		return NULL;
	pthread_mutex_lock(&r->lock);
	if (!--k->refs && !k->mapped)
		chain_free(k);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- the question */

static void say(char *why, size_t size, const struct tls_issued *of, const char *text)
{
	if (why && size)
		snprintf(why, size, "%.*s: %s", SFMT(of->subject), text);
}

static void say_when(char *why, size_t size, const struct tls_issued *of, int64_t when)
{
	char text[96];
	struct tm tm;
	time_t t = (time_t)when;
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "its authority has revoked it on %Y-%m-%d at %H:%M UTC", &tm);
	say(why, size, of, text);
}

/* Under the lock. The lists of one certificate are asked in their order; the next one only when one cannot be had. What an old list has
 * revoked stays so until a new one says otherwise: whoever keeps us from the new one must not gain by it. */
static enum revocation_state check_one(struct revocation *r, const struct tls_issued *of, const uint8_t by[SHA256_DIGEST_LENGTH], char *why, size_t size)
{
	int64_t now = clock_unix(), when = 0;
	uint64_t ms = clock_ms();
	bool revoked = false;
	if (!of->n_lists)
		return REVOCATION_NONE;
	say(why, size, of, "no revocation list can be had");
	for (size_t i = 0; i < of->n_lists; i++) {
		struct entry *e = entry_of(r, of, by, of->lists[i]);
		if (!e)
			continue;
		bool coming = busy(e) || (ms >= e->next && want(e)), fresh = e->crl && crl_fresh(e->crl, now);
		enum crl_says s = e->crl ? crl_find(e->crl, of, &when) : CRL_ELSEWHERE;
		if (fresh && s == CRL_GOOD)
			return REVOCATION_GOOD;
		revoked |= s == CRL_REVOKED;
		if (fresh && revoked)
			break;
		if (fresh)
			say(why, size, of, "its revocation list is about other kinds of certificates");
		else if (coming)
			return REVOCATION_PENDING;
		else
			say(why, size, of, *e->why ? e->why : "its revocation list is out of date");
	}
	if (revoked)
		say_when(why, size, of, when);
	return revoked ? REVOCATION_REVOKED : REVOCATION_UNKNOWN;
}

/* Of several certificates the worst counts; but what is known in a moment is worth waiting for, whatever is not known of another one. */
static unsigned weight(enum revocation_state s)
{
	static const unsigned w[] = {[REVOCATION_NONE] = 0, [REVOCATION_GOOD] = 1, [REVOCATION_UNKNOWN] = 2, [REVOCATION_PENDING] = 3,
				     [REVOCATION_REVOKED] = 4};
	return w[s];
}

enum revocation_state revocation_check(struct revocation *r, struct revocation_chain *k, char *why, size_t size)
{
	enum revocation_state ret = REVOCATION_NONE;
	if (why && size)
		*why = 0;
	pthread_mutex_lock(&r->lock);
	if (!r->set.off && !k) {
		ret = REVOCATION_UNKNOWN;
		if (why)
			snprintf(why, size, "its chain of certificates is not remembered");
	}
	for (size_t i = 0; !r->set.off && k && i < k->chain->n; i++) {
		char text[400] = "";
		enum revocation_state s = check_one(r, &k->chain->list[i], k->by[i], text, sizeof text);
		if (weight(s) <= weight(ret))
			continue;
		ret = s;
		if (why && size)
			snprintf(why, size, "%s", s == REVOCATION_UNKNOWN || s == REVOCATION_REVOKED ? text : "");
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* ---- life */

static void take_settings(struct revocation *r, const struct revocation_settings *s)
{
	r->set = *s;
	if (!r->set.timeout_ms)
		r->set.timeout_ms = TIMEOUT_MS;
	if (!r->set.list_max)
		r->set.list_max = LIST_MAX;
	if (!r->set.memory_max)
		r->set.memory_max = MEMORY_MAX;
}

struct revocation *revocation_new(struct worker *home, struct dns *dns, const struct revocation_settings *s)
{
	struct revocation *r = MEM_NEW(struct revocation);
	atomic_store(&r->refs, 1);
	pthread_mutex_init(&r->lock, NULL);
	r->home = home;
	r->dns = dns;
	map_init(&r->chains);
	map_init(&r->lists);
	list_init(&r->chain_lru);
	list_init(&r->list_lru);
	list_init(&r->queue);
	list_init(&r->watches);
	take_settings(r, s);
	timer_init(&r->round, on_round);
	timer_arm(&home->loop->timers, &r->round, ROUND_MS);
	return r;
}

void revocation_set(struct revocation *r, const struct revocation_settings *s)
{
	pthread_mutex_lock(&r->lock);
	take_settings(r, s);
	LIST_EACH(n, &r->list_lru) {
		struct entry *e = CONTAINER_OF(n, struct entry, lru);
		e->next = 0;
		e->in_a_row = 0;
	}
	tell_all(r);
	pthread_mutex_unlock(&r->lock);
}

struct revocation *revocation_free(struct revocation *r)
{
	if (!r)
		return NULL;
	timer_cancel(&r->home->loop->timers, &r->round);
	pthread_mutex_lock(&r->lock);
	r->gone = true;
	LIST_EACH(n, &r->list_lru) {
		struct entry *e = CONTAINER_OF(n, struct entry, lru);
		e->fetch = fetch_cancel(e->fetch);
		entry_free(e);
	}
	LIST_EACH(n, &r->chain_lru)
		chain_forget(r, CONTAINER_OF(n, struct revocation_chain, lru));
	map_free(&r->lists);
	map_free(&r->chains);
	pthread_mutex_unlock(&r->lock);
	drop_ref(r);
	return NULL;
}

/* ---- facts */

void revocation_each(struct revocation *r, void (*fn)(void *arg, const struct revocation_facts *f), void *arg)
{
	pthread_mutex_lock(&r->lock);
	LIST_EACH(n, &r->list_lru) {
		const struct entry *e = CONTAINER_OF(n, struct entry, lru);
		bool fresh = e->crl && crl_fresh(e->crl, clock_unix());
		struct revocation_facts f = {
			.url = e->url, .issuer = e->of.issuer_text, .state = fresh ? "kept" : busy(e) ? "fetching" : e->crl ? "stale" : "failed",
			.why = slice_str(e->why), .this_update = e->crl ? crl_this_update(e->crl) : 0,
			.next_update = e->crl ? crl_next_update(e->crl) : 0, .revoked = e->crl ? crl_count(e->crl) : 0,
			.octets = e->crl ? crl_octets(e->crl) : 0, .fetches = e->fetches, .failures = e->failures};
		fn(arg, &f);
	}
	pthread_mutex_unlock(&r->lock);
}
