/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/xmpp_history.h"

#include <pthread.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { TEXTS = 9 };

struct entry { /* texts follow */
	struct list node;
	struct xmpp_attempt a;
};

struct domain {
	struct map_node node;
	struct list used;    /* in one of the two lists, the one used last is first */
	char *name;          /* owned */
	bool partner;
	struct list entries; /* newest first */
	size_t n;
};

struct xmpp_history {
	pthread_mutex_t lock;
	struct map domains;
	struct list used[2]; /* strangers, partners */
	size_t n[2];
};

/* ---- words */

const char *xmpp_who_text(enum xmpp_who w)
{
	static const char *const text[] = {"nobody", "us", "partner", "network", "dns", "unclear"};
	return text[w];
}

const char *xmpp_step_text(enum xmpp_step s)
{
	static const char *const text[] = {"dns", "tcp", "stream", "tls", "auth", "up"};
	return text[s];
}

static bool says(const char *text, const char *word)
{
	return slice_find(slice_str(text), slice_str(word)) >= 0;
}

/* Dialback (XEP-0220): it fails where the one server does not reach the other, or where the other does not know its own keys. */
static enum xmpp_who blame_dialback(bool inbound, const struct entente_err *err)
{
	if (inbound) /* we asked their authoritative server */
		return XMPP_WHO_PARTNER;
	if (says(err->text, "item-not-found") || says(err->text, "not-authorized") || says(err->text, "policy-violation"))
		return XMPP_WHO_PARTNER;
	return XMPP_WHO_US; /* they could not find or reach us, or did not get the answer they wanted */
}

enum xmpp_who xmpp_blame(enum xmpp_step at, bool inbound, bool received, enum xmpp_side side, const struct entente_err *err)
{
	switch (err->reason) {
	case REASON_XMPP_DNS:
	case REASON_XMPP_DNS_FAILED:
	case REASON_XMPP_DNSSEC:
		return XMPP_WHO_DNS;
	case REASON_XMPP_DANE:
	case REASON_XMPP_PIN:
	case REASON_XMPP_CERTIFICATE:
		return XMPP_WHO_PARTNER;
	case REASON_XMPP_DIALBACK:
		return blame_dialback(inbound, err);
	case REASON_POLICY_PARTNER_UNKNOWN:
	case REASON_POLICY_PARTNER_DISABLED:
	case REASON_POLICY_OTHER_PROTOCOL:
	case REASON_POLICY_DOMAIN_BLOCKED:
	case REASON_LIMIT_CONNECTIONS:
	case REASON_SERVER_SHUTDOWN:
		return XMPP_WHO_US;
	default:
		break;
	}
	if (at == XMPP_STEP_DNS)
		return XMPP_WHO_DNS;
	if (at == XMPP_STEP_TCP && says(err->text, "private-addresses"))
		return XMPP_WHO_DNS;
	if (at == XMPP_STEP_TCP) /* refused: somebody is there and has no such service; silence: something in between */
		return says(err->text, "refused") ? XMPP_WHO_PARTNER : XMPP_WHO_NETWORK;
	if (received && says(err->text, "policy-violation")) /* they do not let us in */
		return XMPP_WHO_PARTNER;
	/* Before it knows us their server ends a stream for a rule of its own: no such domain there, or we are not let in. */
	if (received && (at == XMPP_STEP_STREAM || at == XMPP_STEP_UP))
		return side == XMPP_SIDE_LOCAL && err->reason == REASON_XMPP_MALFORMED ? XMPP_WHO_US : XMPP_WHO_PARTNER;
	if (at == XMPP_STEP_TLS && (says(err->text, "alert") || says(err->text, "no certificate is configured")))
		return XMPP_WHO_US; /* it did not like what we showed */
	if (side == XMPP_SIDE_LOCAL)
		return XMPP_WHO_US;
	return side == XMPP_SIDE_REMOTE ? XMPP_WHO_PARTNER : XMPP_WHO_UNCLEAR;
}

/* ---- what is kept */

static struct entry *entry_new(const struct xmpp_attempt *a)
{
	const struct slice text[TEXTS] = {a->local, a->remote, a->address, a->how, a->proof, a->tls, a->certificate, a->condition,
		a->text};
	size_t len = 0;
	for (size_t i = 0; i < TEXTS; i++)
		len += text[i].len;
	struct entry *e = mem_calloc(1, sizeof *e + len + 1);
	char *at = (char *)(e + 1);
	e->a = *a;
	struct slice *const to[TEXTS] = {&e->a.local, &e->a.remote, &e->a.address, &e->a.how, &e->a.proof, &e->a.tls,
					 &e->a.certificate, &e->a.condition, &e->a.text};
	for (size_t i = 0; i < TEXTS; i++) {
		if (text[i].len)
			memcpy(at, text[i].p, text[i].len);
		*to[i] = slice_of(at, text[i].len);
		at += text[i].len;
	}
	return e;
}

static void domain_free(struct xmpp_history *h, struct domain *d)
{
	LIST_EACH(n, &d->entries)
		mem_free(CONTAINER_OF(n, struct entry, node));
	map_remove(&h->domains, &d->node);
	list_remove(&d->used);
	h->n[d->partner]--;
	mem_free(d->name);
	mem_free(d);
}

struct xmpp_history *xmpp_history_new(void)
{
	struct xmpp_history *h = MEM_NEW(struct xmpp_history);
	pthread_mutex_init(&h->lock, NULL);
	map_init(&h->domains);
	list_init(&h->used[0]);
	list_init(&h->used[1]);
	return h;
}

struct xmpp_history *xmpp_history_free(struct xmpp_history *h)
{
	if (!h)
		return NULL;
	for (int i = 0; i < 2; i++)
		LIST_EACH(n, &h->used[i])
			domain_free(h, CONTAINER_OF(n, struct domain, used));
	map_free(&h->domains);
	pthread_mutex_destroy(&h->lock);
	return mem_free(h);
}

static struct domain *domain_find(struct xmpp_history *h, struct slice name)
{
	struct map_node *n = map_find(&h->domains, name);
	return n ? CONTAINER_OF(n, struct domain, node) : NULL;
}

/* The domain, as the one used last; made when it is not there. */
static struct domain *domain_of(struct xmpp_history *h, struct slice name, bool partner)
{
	static const size_t most[2] = {XMPP_HISTORY_STRANGERS, XMPP_HISTORY_PARTNERS};
	struct domain *d = domain_find(h, name);
	if (!d) {
		if (h->n[partner] >= most[partner])
			domain_free(h, CONTAINER_OF(h->used[partner].prev, struct domain, used));
		d = MEM_NEW(struct domain);
		d->name = mem_strndup(name.p, name.len);
		list_init(&d->entries);
		map_insert(&h->domains, &d->node, slice_of(d->name, name.len));
	} else {
		list_remove(&d->used);
		h->n[d->partner]--;
	}
	d->partner = partner;
	list_prepend(&h->used[partner], &d->used);
	h->n[partner]++;
	return d;
}

void xmpp_history_add(struct xmpp_history *h, const struct xmpp_attempt *a, bool partner)
{
	if (!h || !a->remote.len)
		return;
	pthread_mutex_lock(&h->lock);
	struct domain *d = domain_of(h, a->remote, partner);
	if (d->n == XMPP_HISTORY_KEEP) {
		struct entry *oldest = CONTAINER_OF(d->entries.prev, struct entry, node);
		list_remove(&oldest->node);
		mem_free(oldest);
		d->n--;
	}
	list_prepend(&d->entries, &entry_new(a)->node);
	d->n++;
	pthread_mutex_unlock(&h->lock);
}

void xmpp_history_end(struct xmpp_history *h, const struct xmpp_attempt *end)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	struct domain *d = domain_find(h, end->remote);
	if (d)
		LIST_EACH(n, &d->entries) {
			struct entry *old = CONTAINER_OF(n, struct entry, node);
			if (old->a.stream != end->stream || !end->stream)
				continue;
			struct xmpp_attempt a = old->a;
			a.over = true;
			a.took[XMPP_STEP_UP] = end->took[XMPP_STEP_UP];
			a.reason = end->reason;
			a.who = end->who;
			a.received = end->received;
			a.condition = end->condition;
			a.text = end->text;
			struct entry *e = entry_new(&a);
			list_prepend(n, &e->node);
			list_remove(n);
			mem_free(old);
			break;
		}
	pthread_mutex_unlock(&h->lock);
}

static void each_of(const struct domain *d, void (*fn)(void *, const struct xmpp_attempt *), void *arg)
{
	LIST_EACH(n, &d->entries)
		fn(arg, &CONTAINER_OF(n, struct entry, node)->a);
}

void xmpp_history_each(struct xmpp_history *h, struct slice remote, void (*fn)(void *, const struct xmpp_attempt *), void *arg)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	struct domain *one = domain_find(h, remote);
	if (one)
		each_of(one, fn, arg);
	for (int i = 1; i >= 0 && !remote.len; i--)
		LIST_EACH(n, &h->used[i])
			each_of(CONTAINER_OF(n, struct domain, used), fn, arg);
	pthread_mutex_unlock(&h->lock);
}
