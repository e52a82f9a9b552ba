/* SPDX-License-Identifier: Apache-2.0 */
/* All calls into libunbound happen on the home thread; its own thread does the work and wakes us through a descriptor. A query
 * travels asker -> home -> asker as bus messages inside itself, so it can always come back, and is freed where it was asked. */
#include "net/dns.h"

#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unbound.h>
#include "base/mem.h"
#include "base/metric.h"
#include "net/dns_int.h"

enum { IN_FLIGHT = 512, WAITING = 16384, ARENA_MAX = 128 << 10 };

struct dns {
	atomic_uint refs; /* the owner's and one per query */
	struct worker *home;
	struct ub_ctx *ctx;
	struct event *ev;
	FILE *silence;
	unsigned timeout_ms, limit, waiting_max;
	bool gone, started;
	struct list open;    /* libunbound has them */
	struct list waiting; /* until it has fewer */
	struct loop_hook next;
	struct dns_counts counts;
};

struct dns_query {
	struct dns *dns;
	struct worker *asker;
	void (*done)(void *arg, const struct dns_answer *a); /* the asker's; NULL when cancelled */
	void *arg;
	struct bus_msg ask, answer;
	struct list node; /* in dns.open or dns.waiting */
	bool open;
	struct timer timer;
	uint64_t since; /* when it was asked */
	int async_id;
	struct arena *arena;
	struct dns_answer ans;
	char name[DNS_NAME_MAX + 2];
};

const char *dns_status_text(enum dns_status s)
{
	static const char *const text[] = {
		[DNS_OK] = "ok",
		[DNS_NODATA] = "no such record",
		[DNS_NXDOMAIN] = "no such name",
		[DNS_SERVFAIL] = "the name servers failed",
		[DNS_BOGUS] = "DNSSEC validation failed",
		[DNS_TIMEOUT] = "no answer in time",
		[DNS_LIMIT] = "too many queries at once, or not a name",
		[DNS_GONE] = "the resolver was stopped",
	};
	return text[s];
}

unsigned dns_patience(const struct dns *d)
{
	return d ? d->timeout_ms : DNS_TIMEOUT_MS;
}

static void drop_ref(struct dns *d)
{
	if (atomic_fetch_sub(&d->refs, 1) == 1)
		mem_free(d);
}

static void query_free(struct dns_query *q)
{
	arena_release(NULL, q->arena);
	drop_ref(q->dns);
	mem_free(q);
}

static void drop_ask(struct bus_msg *m)
{
	query_free(CONTAINER_OF(m, struct dns_query, ask));
}

static void drop_answer(struct bus_msg *m)
{
	query_free(CONTAINER_OF(m, struct dns_query, answer));
}

static void run_answer(struct worker *w, struct bus_msg *m)
{
	(void)w;
	struct dns_query *q = CONTAINER_OF(m, struct dns_query, answer);
	void (*done)(void *, const struct dns_answer *) = q->done;
	if (done)
		done(q->arg, &q->ans);
	query_free(q);
}

static void send_answer(struct dns_query *q, enum dns_status status, const char *why)
{
	q->ans.status = status;
	q->name[q->ans.name.len] = 0; /* its dot was for libunbound */
	if (!q->ans.why.len)
		q->ans.why = slice_str(why ? why : dns_status_text(status));
	worker_post_always(q->asker, &q->answer);
}

static void tally(const struct dns_query *q, enum dns_status status)
{
#define ROW(type) {METRIC_DNS_##type##_OK_INSECURE, METRIC_DNS_##type##_OK_SECURE, METRIC_DNS_##type##_NONE_INSECURE, METRIC_DNS_##type##_NONE_SECURE, \
		   METRIC_DNS_##type##_FAILED, METRIC_DNS_##type##_BOGUS, METRIC_DNS_##type##_TIMEOUT}
	static const enum metric rows[][7] = {ROW(A), ROW(AAAA), ROW(SRV), ROW(TLSA), ROW(OTHER)};
#undef ROW
	unsigned row = q->ans.type == DNS_A ? 0 : q->ans.type == DNS_AAAA ? 1 : q->ans.type == DNS_SRV ? 2 : q->ans.type == DNS_TLSA ? 3 : 4;
	if (status == DNS_GONE)
		return;
	bool none = status == DNS_NODATA || status == DNS_NXDOMAIN;
	unsigned column = status == DNS_OK ? q->ans.secure : none ? 2u + q->ans.secure : status == DNS_BOGUS ? 5 : status == DNS_TIMEOUT ? 6 : 4;
	metric_add(rows[row][column], 1);
	if (q->since)
		metric_observe(HISTOGRAM_DNS, q->dns->home->loop->timers.now - q->since);
}

/* On the home thread. */
static void finish(struct dns_query *q, enum dns_status status, const char *why)
{
	struct dns_counts *n = &q->dns->counts;
	uint64_t *by_status[] = {&n->ok, &n->nodata, &n->nxdomain, &n->failed, &n->bogus, &n->timeout, &n->limit, &n->failed};
	++*by_status[status];
	tally(q, status);
	if (list_linked(&q->node)) {
		timer_cancel(&q->dns->home->loop->timers, &q->timer);
		list_remove(&q->node);
		--*(q->open ? &n->in_flight : &n->waiting);
		if (n->waiting) /* not from inside libunbound's callback */
			loop_defer(q->dns->home->loop, &q->dns->next);
	}
	send_answer(q, status, why);
}

static struct slice keep(struct dns_query *q, const char *z)
{
	struct slice s = arena_dup(q->arena, slice_first(slice_str(z), 512));
	return s.p ? s : SLICE_NONE;
}

static void parse_records(struct dns_query *q, const struct ub_result *r)
{
	struct dns_record *list = NULL;
	size_t n = 0;
	for (int i = 0; r->data[i] && n < DNS_RECORDS_MAX; i++) {
		if (!list)
			list = arena_alloc(q->arena, DNS_RECORDS_MAX * sizeof *list);
		if (list && dns_parse(q->ans.type, slice_of(r->data[i], (size_t)r->len[i]), q->arena, &list[n]))
			n++;
	}
	q->ans.records = list;
	q->ans.n = n;
}

static void on_result(void *arg, int error, struct ub_result *r)
{
	struct dns_query *q = arg;
	char text[32];
	if (error) {
		ub_resolve_free(r);
		finish(q, DNS_SERVFAIL, ub_strerror(error));
		return;
	}
	q->arena = arena_new(ARENA_MAX);
	q->ans.secure = r->secure;
	q->ans.late = q->dns->home->loop->timers.now - q->since >= DNS_STALE_AFTER_MS;
	q->ans.ttl = r->ttl > 0 ? (uint32_t)r->ttl : 0;
	q->ans.cnames = dns_count_type(slice_of(r->answer_packet, r->answer_len > 0 ? (size_t)r->answer_len : 0), 5);
	q->ans.canonical = r->canonname ? keep(q, r->canonname) : q->ans.name;
	if (q->ans.canonical.len && q->ans.canonical.p[q->ans.canonical.len - 1] == '.')
		((char *)(uintptr_t)q->ans.canonical.p)[--q->ans.canonical.len] = 0; /* our own copy */
	enum dns_status status = DNS_SERVFAIL;
	if (r->bogus) {
		status = DNS_BOGUS;
		if (r->why_bogus)
			q->ans.why = keep(q, r->why_bogus);
	} else if (r->nxdomain) {
		status = DNS_NXDOMAIN;
	} else if (r->rcode == 0) {
		if (r->havedata)
			parse_records(q, r);
		status = q->ans.n ? DNS_OK : DNS_NODATA;
	} else if (r->rcode == 2) {
		q->ans.why = S("SERVFAIL: the name servers cannot be reached or fail");
	} else if (r->rcode == 5) {
		q->ans.why = S("REFUSED");
	} else {
		snprintf(text, sizeof text, "RCODE %d", r->rcode);
		q->ans.why = keep(q, text);
	}
	ub_resolve_free(r);
	finish(q, status, NULL);
}

static void on_timeout(struct timer *t, uint64_t now)
{
	(void)now;
	struct dns_query *q = CONTAINER_OF(t, struct dns_query, timer);
	if (q->open)
		ub_cancel(q->dns->ctx, q->async_id);
	finish(q, DNS_TIMEOUT, NULL);
}

static int resolve(struct dns_query *q)
{
	struct dns *d = q->dns;
	sigset_t all, old;
	if (d->started)
		return ub_resolve_async(d->ctx, q->name, (int)q->ans.type, 1, q, on_result, &q->async_id);
	d->started = true; /* the first query starts libunbound's thread, which must not catch our signals */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = ub_resolve_async(d->ctx, q->name, (int)q->ans.type, 1, q, on_result, &q->async_id);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void open_query(struct dns_query *q)
{
	struct dns *d = q->dns;
	q->open = true;
	list_append(&d->open, &q->node);
	d->counts.in_flight++;
	int rc = resolve(q);
	if (rc)
		finish(q, DNS_SERVFAIL, ub_strerror(rc));
}

static void run_next(struct loop_hook *h)
{
	struct dns *d = CONTAINER_OF(h, struct dns, next);
	while (!list_empty(&d->waiting) && d->counts.in_flight < d->limit) {
		struct dns_query *q = CONTAINER_OF(d->waiting.next, struct dns_query, node);
		list_remove(&q->node);
		d->counts.waiting--;
		open_query(q);
	}
}

static void run_ask(struct worker *w, struct bus_msg *m)
{
	struct dns_query *q = CONTAINER_OF(m, struct dns_query, ask);
	struct dns *d = q->dns;
	d->counts.asked++;
	if (d->gone) {
		finish(q, DNS_GONE, NULL);
		return;
	}
	if (d->counts.in_flight >= d->limit && d->counts.waiting >= d->waiting_max) {
		finish(q, DNS_LIMIT, "too many DNS queries at once");
		return;
	}
	q->since = w->loop->timers.now;
	timer_arm(&w->loop->timers, &q->timer, d->timeout_ms);
	if (d->counts.in_flight < d->limit) {
		open_query(q);
		return;
	}
	list_append(&d->waiting, &q->node);
	d->counts.waiting++;
}

struct dns_query *dns_ask(struct dns *d, struct worker *self, struct slice name, enum dns_type type,
	void (*done)(void *arg, const struct dns_answer *a), void *arg)
{
	struct dns_query *q = MEM_NEW(struct dns_query);
	atomic_fetch_add(&d->refs, 1);
	q->dns = d;
	q->asker = self;
	q->done = done;
	q->arg = arg;
	q->ask = (struct bus_msg){.run = run_ask, .drop = drop_ask};
	q->answer = (struct bus_msg){.run = run_answer, .drop = drop_answer};
	q->ans.type = type;
	timer_init(&q->timer, on_timeout);
	list_init(&q->node);
	if (dns_name_clean(name, q->name)) {
		q->ans.name = slice_of(q->name, strlen(q->name) - 1);
		worker_post_always(d->home, &q->ask);
	} else {
		send_answer(q, DNS_LIMIT, "not a domain name");
	}
	return q;
}

struct dns_query *dns_cancel(struct dns_query *q)
{
	if (q)
		q->done = NULL;
	return NULL;
}

/* --- set-up --- */

struct servers { /* what kind of servers will be asked */
	bool loopback, private;
};

static void note_server(struct servers *s, struct slice text)
{
	struct addr a;
	struct slice rest = text, ip = slice_split(&rest, '@');
	if (!addr_parse(ip, 53, &a))
		return;
	s->loopback |= addr_is_loopback(&a);
	s->private |= addr_is_private(&a);
}

static void note_resolv_conf(struct servers *s, const char *path)
{
	char line[256];
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		struct slice rest = slice_trim(slice_str(line));
		if (!slice_starts(rest, S("nameserver")))
			continue;
		rest = slice_trim(slice_skip(rest, 10));
		note_server(s, slice_split(&rest, ' '));
	}
	if (f)
		fclose(f);
}

static int fail(struct entente_err *err, const char *what, const char *which, int rc)
{
	return err_set(err, ENTENTE_EIO, REASON_NONE, "DNS: %s %s: %s", what, which, ub_strerror(rc));
}

static int configure(struct dns *d, const struct dns_opts *o, struct entente_err *err)
{
	const char *conf = o->resolv_conf ? o->resolv_conf : "/etc/resolv.conf";
	const char *hosts = o->hosts ? o->hosts : "/etc/hosts";
	struct servers s = {.private = o->n_servers > 0};
	int rc;
	ub_ctx_async(d->ctx, 1);
	d->silence = fopen("/dev/null", "we"); /* libunbound would write to our standard error */
	if (d->silence)
		ub_ctx_debugout(d->ctx, d->silence);
	for (size_t i = 0; i < o->n_servers; i++) {
		note_server(&s, slice_str(o->servers[i]));
		if ((rc = ub_ctx_set_fwd(d->ctx, o->servers[i])))
			return fail(err, "server", o->servers[i], rc);
	}
	if (!o->n_servers && *conf) {
		note_resolv_conf(&s, conf);
		if ((rc = ub_ctx_resolvconf(d->ctx, conf)))
			return fail(err, "file", conf, rc);
	}
	if (*hosts && (rc = ub_ctx_hosts(d->ctx, hosts)) && o->hosts)
		return fail(err, "file", hosts, rc);
	if (o->trust_anchor_file && (rc = ub_ctx_add_ta_file(d->ctx, o->trust_anchor_file)))
		return fail(err, "trust anchors", o->trust_anchor_file, rc);
	if (s.loopback && (rc = ub_ctx_set_option(d->ctx, "do-not-query-localhost:", "no")))
		return fail(err, "option", "do-not-query-localhost", rc);
	/* A failure must not be remembered for long: partners repair their zones, resolvers come back. What was known is of use for longer. */
	char after[16], age[16];
	snprintf(after, sizeof after, "%d", DNS_STALE_AFTER_MS);
	snprintf(age, sizeof age, "%d", DNS_STALE_FOR_S);
	const char *const options[][2] = {
		{"cache-max-negative-ttl:", "60"},
		{"infra-host-ttl:", "60"},
		{"infra-keep-probing:", "yes"},
		{"serve-expired:", "yes"},
		{"serve-expired-ttl:", age},
		{"serve-expired-client-timeout:", after},
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if ((rc = ub_ctx_set_option(d->ctx, options[i][0], options[i][1])))
			return fail(err, "option", options[i][0], rc);
	/* Without effect but one: libunbound reads its configuration now and not at the first query. */
	if ((rc = ub_ctx_data_remove(d->ctx, "configuration-check.invalid.")))
		return fail(err, o->trust_anchor_file ? "trust anchors" : "configuration", o->trust_anchor_file ?: "", rc);
	/* libunbound answers the special names of RFC 6761 by itself; a private server may well hold them. */
	static const char *const zones[] = {"test.", "home.arpa."};
	for (size_t i = 0; s.private && i < sizeof zones / sizeof *zones; i++)
		if ((rc = ub_ctx_zone_add(d->ctx, zones[i], "transparent")))
			return fail(err, "zone", zones[i], rc);
	return 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct dns *d = arg;
	loop_touch(d->home->loop);
	ub_process(d->ctx);
}

int dns_new(struct dns **ret, struct worker *home, const struct dns_opts *o, struct entente_err *err)
{
	struct dns *d = MEM_NEW(struct dns);
	d->refs = 1;
	d->home = home;
	d->timeout_ms = o->timeout_ms ? o->timeout_ms : DNS_TIMEOUT_MS;
	d->limit = o->in_flight ? o->in_flight : IN_FLIGHT;
	d->waiting_max = o->waiting ? o->waiting : WAITING;
	d->next.run = run_next;
	list_init(&d->open);
	list_init(&d->waiting);
	d->ctx = ub_ctx_create();
	int code = d->ctx ? configure(d, o, err) : err_set(err, ENTENTE_EIO, REASON_NONE, "libunbound does not start");
	if (code) {
		dns_free(d);
		return code;
	}
	d->ev = event_new(home->loop->base, ub_fd(d->ctx), EV_READ | EV_PERSIST, on_ready, d);
	event_add(d->ev, NULL);
	*ret = d;
	return 0;
}

struct dns *dns_free(struct dns *d)
{
	if (!d)
		return NULL;
	d->gone = true;
	while (!list_empty(&d->waiting))
		finish(CONTAINER_OF(d->waiting.next, struct dns_query, node), DNS_GONE, NULL);
	while (!list_empty(&d->open)) {
		struct dns_query *q = CONTAINER_OF(d->open.next, struct dns_query, node);
		ub_cancel(d->ctx, q->async_id);
		finish(q, DNS_GONE, NULL);
	}
	loop_undefer(&d->next);
	if (d->ev)
		event_free(d->ev);
	if (d->ctx)
		ub_ctx_delete(d->ctx);
	if (d->silence)
		fclose(d->silence);
	drop_ref(d);
	return NULL;
}

void dns_counts(const struct dns *d, struct dns_counts *ret)
{
	*ret = d->counts;
}
