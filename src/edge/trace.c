/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "edge/trace_ring.h"
#include "sip/msg.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

enum { BODY_MAX = 16384 }; /* octets of a body that are shown */

struct watch {
	struct trace_watch w; /* partner and user point to what follows */
	char partner[256], partner_prepared[1024], user[3072];
};

struct trace {
	pthread_rwlock_t lock; /* written when somebody begins or ends to look */
	_Atomic unsigned n;
	struct watch watches[TRACE_WATCHES];
	struct trace_ring *ring; /* NULL: nothing is kept */
};

struct trace *trace_new(size_t keep)
{
	struct trace *t = MEM_NEW(struct trace);
	t->ring = keep ? trace_ring_new(keep) : NULL;
	pthread_rwlock_init(&t->lock, NULL);
	return t;
}

struct trace *trace_free(struct trace *t)
{
	if (!t)
		return NULL;
	pthread_rwlock_destroy(&t->lock);
	trace_ring_free(t->ring);
	return mem_free(t);
}

bool trace_on(const struct trace *t)
{
	return t && atomic_load_explicit(&t->n, memory_order_relaxed);
}

/* Streams know a domain in U-labels. */
static void prepare(struct slice domain, char *ret, size_t size)
{
	struct arena *a = arena_new(1 << 16);
	struct slice out;
	slice_cstr(domain.len && xmpp_prep_domain(a, domain, &out) == 0 ? out : domain, ret, size);
	arena_release(NULL, a);
}

static void watch_set(struct watch *to, const struct trace_watch *w)
{
	to->w = *w;
	slice_cstr(w->partner, to->partner, sizeof to->partner);
	prepare(w->partner, to->partner_prepared, sizeof to->partner_prepared);
	slice_cstr(w->user, to->user, sizeof to->user);
	to->w.partner = slice_str(to->partner);
	to->w.user = slice_str(to->user);
}

bool trace_watch(struct trace *t, const struct trace_watch *w)
{
	bool ok = false;
	pthread_rwlock_wrlock(&t->lock);
	for (int i = 0; i < TRACE_WATCHES && !ok; i++) {
		struct watch *to = &t->watches[i];
		if (to->w.id)
			continue;
		watch_set(to, w);
		atomic_fetch_add(&t->n, 1);
		ok = true;
	}
	pthread_rwlock_unlock(&t->lock);
	return ok;
}

void trace_unwatch(struct trace *t, uint64_t id)
{
	pthread_rwlock_wrlock(&t->lock);
	for (int i = 0; i < TRACE_WATCHES; i++)
		if (t->watches[i].w.id == id) {
			t->watches[i].w.id = 0;
			atomic_fetch_sub(&t->n, 1);
		}
	pthread_rwlock_unlock(&t->lock);
}

/* ---- who wants it */

struct party {
	struct slice bare, domain; /* "romeo@contoso.example", its domain */
};

static bool concerns(const struct watch *w, struct slice remote, const struct party *a, const struct party *b)
{
	struct slice ascii = w->w.partner, prepared = slice_str(w->partner_prepared);
	if (w->w.partner.len) {
		const struct slice domains[] = {remote, a->domain, b->domain};
		bool any = false;
		for (int i = 0; i < 3; i++)
			any = any || slice_ieq(domains[i], ascii) || slice_ieq(domains[i], prepared);
		if (!any)
			return false;
	}
	return !w->w.user.len || slice_ieq(a->bare, w->w.user) || slice_ieq(b->bare, w->w.user);
}

static void tell(struct trace *t, struct trace_event *e, struct slice remote, const struct party *a, const struct party *b, struct slice body, bool failed)
{
	pthread_rwlock_rdlock(&t->lock);
	for (int i = 0; i < TRACE_WATCHES; i++) {
		const struct watch *w = &t->watches[i];
		if (!w->w.id || !concerns(w, remote, a, b) || (e->kind == TRACE_STEP && w->w.user.len) || (w->w.failed && !failed))
			continue;
		e->body = w->w.bodies && body.len ? slice_first(body, BODY_MAX) : SLICE_NONE;
		w->w.event(w->w.arg, w->w.id, e);
	}
	pthread_rwlock_unlock(&t->lock);
}

/* ---- SIP */

static struct party sip_party(const struct sip_addr *a, char *mem, size_t size)
{
	int n = snprintf(mem, size, "%.*s@%.*s", SFMT(a->uri.user), SFMT(a->uri.host));
	return (struct party){slice_of(mem, n > 0 && (size_t)n < size ? (size_t)n : 0), a->uri.host};
}

/* A refusal that is none of these asks for credentials, which is no failure. */
static bool failed(const struct sip_msg *m)
{
	return !m->is_request && m->status >= 400 && m->status != 401 && m->status != 407;
}

struct sip_texts {
	char what[80], detail[300], from[512], to[512];
	struct party a, b;
};

static void sip_event(struct trace_event *e, struct sip_texts *x, const struct sip_msg *m)
{
	const struct sip_header *ss = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0), *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct slice why = m->is_request ? SLICE_NONE : sip_msg_header_named(m, S("Entente-Reason"));
	bool body = type && e->body_size;
	x->a = sip_party(&m->from, x->from, sizeof x->from);
	x->b = sip_party(&m->to, x->to, sizeof x->to);
	if (m->is_request)
		snprintf(x->what, sizeof x->what, "%.*s", SFMT(slice_first(m->method_text, 32)));
	else
		snprintf(x->what, sizeof x->what, "%d %.*s (%.*s)", m->status, SFMT(slice_first(m->reason, 40)), SFMT(slice_first(m->cseq_method_text, 20)));
	snprintf(x->detail, sizeof x->detail, "Call-ID %.*s%s%.*s%s%.*s%s%.*s", SFMT(slice_first(m->call_id, 80)), ss ? ", " : "",
		 SFMT(ss ? slice_first(ss->value, 60) : SLICE_NONE), body ? ", " : "", SFMT(body ? slice_first(type->value, 60) : SLICE_NONE),
		 why.p ? ", " : "", SFMT(slice_first(why, 60)));
	e->kind = TRACE_SIP;
	e->what = slice_str(x->what);
	e->from = m->from.uri_text;
	e->to = m->to.uri_text;
	e->detail = slice_str(x->detail);
}

static void sip_passed(struct trace *t, bool out, bool partner, struct slice peer, const struct sip_msg *m)
{
	struct sip_texts x;
	struct trace_event e = {.out = out, .partner = partner, .peer = peer, .size = m->raw.len, .body_size = m->body.len};
	sip_event(&e, &x, m);
	tell(t, &e, partner ? peer : SLICE_NONE, &x.a, &x.b, m->body, failed(m));
}

void trace_sip(struct trace *t, bool out, struct slice peer, const struct sip_msg *m)
{
	sip_passed(t, out, false, peer, m);
}

void trace_sip_partner(struct trace *t, bool out, struct slice domain, const struct sip_msg *m)
{
	sip_passed(t, out, true, domain, m);
}

/* ---- what has passed */

static int64_t unix_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void trace_keep(struct trace *t, bool out, bool partner, struct slice peer, struct slice raw)
{
	if (t && t->ring)
		trace_ring_add(t->ring, unix_ms(), out, partner, peer, raw);
}

struct transaction { /* that failed; key: Call-ID and number */
	struct map_node node;
	char key[200];
};

struct recall {
	struct watch watch;
	struct map failed;
	size_t matching, skip; /* how many there are; how many are passed over */
	bool telling;
};

/* A header without its body is a message again once it says so. */
static struct sip_msg *parse(struct arena *a, struct slice head, size_t *ret_body)
{
	struct buf b;
	struct sip_msg *m = NULL;
	struct sip_fault fault;
	struct slice rest = head;
	uint64_t n;
	*ret_body = 0;
	buf_init(&b, 2 * TRACE_RING_HEAD);
	while (rest.p) {
		struct slice line = slice_split(&rest, '\n'), value = line, name = slice_trim(slice_split(&value, ':'));
		if (value.p && (slice_ieq(name, S("Content-Length")) || slice_ieq(name, S("l")))) {
			if (slice_u64(slice_trim(value), UINT32_MAX, &n))
				*ret_body = (size_t)n;
			continue;
		}
		if (slice_trim(line).len)
			buf_printf(&b, "%.*s\n", SFMT(line));
	}
	buf_puts(&b, "Content-Length: 0\r\n\r\n");
	struct slice own = arena_dup(a, buf_slice(&b));
	if (own.p && sip_msg_parse(&m, a, own, &sip_limits_default, &fault))
		m = NULL;
	buf_free(&b);
	return m;
}

static struct slice transaction_key(char dst[200], const struct sip_msg *m)
{
	snprintf(dst, 200, "%u %.*s", m->cseq, SFMT(slice_first(m->call_id, 180)));
	return slice_str(dst);
}

static void recall_one(void *arg, const struct trace_kept *k)
{
	struct recall *r = arg;
	struct arena *a = arena_new(1 << 18);
	struct trace_event e = {.out = k->out, .partner = k->partner, .peer = k->peer, .size = k->size, .at_ms = k->at_ms};
	struct sip_texts x;
	char key[200];
	const struct trace_watch *w = &r->watch.w;
	struct sip_msg *m = parse(a, k->head, &e.body_size);
	if (m) {
		struct slice id = transaction_key(key, m);
		sip_event(&e, &x, m);
		bool wanted = concerns(&r->watch, k->partner ? k->peer : SLICE_NONE, &x.a, &x.b);
		bool bad = map_find(&r->failed, id) != NULL;
		if (!r->telling && wanted && w->failed && failed(m) && !bad) {
			struct transaction *t = MEM_NEW(struct transaction);
			memcpy(t->key, key, sizeof t->key);
			map_insert(&r->failed, &t->node, slice_str(t->key));
		} else if (r->telling && wanted && (!w->failed || bad)) {
			if (r->matching++ >= r->skip)
				w->event(w->arg, w->id, &e);
		}
	}
	arena_release(NULL, a);
}

static void count_one(void *arg, uint64_t id, const struct trace_event *e)
{
	(void)arg, (void)id, (void)e;
}

size_t trace_recall(struct trace *t, const struct trace_watch *w, int64_t since_ms, size_t most)
{
	struct recall r = {0};
	int64_t now = unix_ms();
	size_t i, left_out = 0;
	if (!t->ring)
		return 0;
	watch_set(&r.watch, w);
	map_init(&r.failed);
	if (w->failed)
		trace_ring_each(t->ring, now, since_ms, recall_one, &r);
	r.telling = true;
	r.watch.w.event = count_one;
	trace_ring_each(t->ring, now, since_ms, recall_one, &r);
	left_out = r.skip = r.matching > most ? r.matching - most : 0;
	r.matching = 0;
	r.watch.w.event = w->event;
	trace_ring_each(t->ring, now, since_ms, recall_one, &r);
	MAP_EACH(n, &r.failed, i) {
		map_remove(&r.failed, n);
		mem_free(CONTAINER_OF(n, struct transaction, node));
	}
	map_free(&r.failed);
	return left_out;
}

/* ---- XMPP */

static struct party xmpp_party(struct slice address)
{
	struct slice rest = address, bare = slice_split(&rest, '/');
	ptrdiff_t at = slice_find_chr(bare, '@');
	return (struct party){bare, at < 0 ? bare : slice_skip(bare, (size_t)at + 1)};
}

/* What a person wrote: body, subject, status. Their sum counts as the body. */
static void written(struct buf *body, struct arena *a, const struct xml_node *n)
{
	static const char *const names[] = {"subject", "body", "status"};
	for (const struct xml_node *c = xml_first(n); c; c = xml_next(c))
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (c->name.p && slice_eq(c->name, slice_str(names[i]))) {
				buf_puts(body, body->len ? "\n" : "");
				buf_put(body, xml_text(c, a));
			}
}

void trace_stanza(struct trace *t, bool out, struct slice remote, uint64_t stream, const struct xml_node *n, size_t size)
{
	char what[100], detail[200];
	struct slice from = stanza_from(n), to = stanza_to(n), type = xml_attr(n, S("type")), id = stanza_id(n);
	struct party a = xmpp_party(from), b = xmpp_party(to);
	const struct xml_node *payload = NULL, *show = NULL;
	struct arena *arena = arena_new(1 << 20);
	struct buf body;
	for (const struct xml_node *c = xml_first(n); c; c = xml_next(c)) {
		payload = payload || !c->name.p ? payload : c;
		show = c->name.p && slice_eq(c->name, S("show")) ? c : show;
	}
	buf_init(&body, 1 << 20);
	written(&body, arena, n);
	snprintf(what, sizeof what, "%.*s%s%.*s", SFMT(slice_first(n->name, 20)), type.len ? " " : "", SFMT(slice_first(type, 40)));
	bool iq = stanza_kind(n) == STANZA_IQ && payload;
	snprintf(detail, sizeof detail, "%s%.*s%s%.*s%s%.*s", id.len ? "id " : "", SFMT(slice_first(id, 60)), iq ? " " : "",
		 SFMT(iq ? slice_first(payload->ns, 60) : SLICE_NONE), show ? " show " : "",
		 SFMT(show ? slice_first(xml_text(show, arena), 20) : SLICE_NONE));
	struct trace_event e = {.kind = TRACE_XMPP, .out = out, .peer = remote, .what = slice_str(what), .from = from, .to = to,
				.detail = slice_str(detail), .stream = stream, .size = size, .body_size = body.len};
	tell(t, &e, remote, &a, &b, buf_slice(&body), slice_eq(type, S("error")));
	buf_free(&body);
	arena_release(NULL, arena);
}

void trace_octets(struct trace *t, struct slice remote, uint64_t stream, struct slice stanza)
{
	struct arena *a = arena_new(8 << 20);
	struct xml_node *root;
	struct entente_err err;
	struct buf doc;
	buf_init(&doc, 8 << 20);
	buf_puts(&doc, "<x xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>");
	buf_put(&doc, stanza);
	buf_puts(&doc, "</x>");
	struct xml_limits lim = xml_limits_default;
	lim.max_bytes = 8 << 20;
	lim.max_depth++;
	if (buf_ok(&doc) && !xml_parse(&root, a, buf_slice(&doc), &lim, &err) && xml_first(root))
		trace_stanza(t, true, remote, stream, xml_first(root), stanza.len);
	buf_free(&doc);
	arena_release(NULL, a);
}

void trace_step(struct trace *t, bool out, struct slice remote, uint64_t stream, struct slice what, struct slice detail)
{
	static const struct party nobody;
	struct trace_event e = {.kind = TRACE_STEP, .out = out, .peer = remote, .what = what, .detail = detail, .stream = stream};
	tell(t, &e, remote, &nobody, &nobody, SLICE_NONE, slice_find(what, S("failed")) >= 0);
}
