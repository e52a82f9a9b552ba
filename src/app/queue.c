/* SPDX-License-Identifier: Apache-2.0 */
#include "app/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "app/crash.h"
#include "app/node_int.h"
#include "app/queue_clock.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

_Static_assert((int)GATEWAY_QUEUE_HELD == (int)JOURNAL_HELD && (int)GATEWAY_QUEUE_QUARANTINED == (int)JOURNAL_QUARANTINED &&
	       (int)GATEWAY_QUEUE_IN_FLIGHT == (int)JOURNAL_IN_FLIGHT && (int)GATEWAY_QUEUE_KEEP == (int)JOURNAL_STATE_1, "the same marks");

enum { PAUSED_MAX = 4096, READ_S = 5, RESERVE_DEFAULT = 256 << 20 };

struct found { /* at the start: what an earlier process has left */
	struct gateway_queued q;
	char *text; /* owned: partner, pair; NULL: its worker has it */
};

struct stored {
	uint64_t id;
	int code;
};

struct node_queue { /* completions on their way to a worker: all of a group in one message */
	struct bus_msg bus;
	struct node *node;
	pthread_mutex_t lock;
	struct stored *done;
	size_t n_done, room;
	bool posted;
};

struct app_queue {
	struct journal *journal;
	struct crash *crash;
	struct queue_clock clock;
	int64_t youngest; /* the last end of a life that was found */
	struct journal_report report;
	char directory[512];
	struct found *found;
	size_t n_found, found_room;
	struct node_queue *nodes;
	unsigned n_nodes;
	_Atomic bool alone;
	pthread_mutex_t lock; /* for what follows */
	char *paused[PAUSED_MAX]; /* owned; changed by the control thread */
	size_t n_paused;
	bool failing;
	char why[200];
};

/* ---- the worker's ops */

static enum reason reason_of(int code)
{
	return code == 0 ? REASON_NONE : code == ENTENTE_EIO ? REASON_SERVER_QUEUE_DISK : REASON_SERVER_QUEUE_FULL;
}

static struct journal *journal_of(void *arg)
{
	const struct node *n = arg;
	return n->app->queue->journal;
}

enum reason node_queue_room(void *arg, struct slice partner, size_t octets)
{
	return reason_of(journal_room(journal_of(arg), partner, octets));
}

static void done_run(struct worker *w, struct bus_msg *b)
{
	struct node_queue *q = CONTAINER_OF(b, struct node_queue, bus);
	(void)w;
	pthread_mutex_lock(&q->lock);
	struct stored *done = q->done;
	size_t n = q->n_done;
	q->done = NULL;
	q->n_done = q->room = 0;
	q->posted = false;
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < n; i++)
		gateway_queue_stored(q->node->gateway, done[i].id, reason_of(done[i].code));
	mem_free(done);
}

static void done_drop(struct bus_msg *b)
{
	(void)b;
}

/* On the journal's thread. */
static void on_done(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	struct node_queue *q = arg;
	(void)err;
	pthread_mutex_lock(&q->lock);
	if (q->n_done == q->room) {
		q->room = q->room ? q->room * 2 : 64;
		q->done = mem_realloc(q->done, q->room * sizeof *q->done);
	}
	q->done[q->n_done++] = (struct stored){id, code};
	bool post = !q->posted;
	q->posted = true;
	pthread_mutex_unlock(&q->lock);
	if (post)
		worker_post_always(q->node->worker, &q->bus);
	if (!code) /* here the disk is waited for anyway; nobody else may */
		queue_clock_save(&q->node->app->queue->clock, false);
}

static struct journal_marks marks_of(const struct gateway_marks *m)
{
	return (struct journal_marks){.state = m->state, .crashes = m->crashes, .attempts = m->attempts};
}

enum reason node_queue_put(void *arg, struct gateway_queued *q, struct slice octets)
{
	struct node *n = arg;
	struct journal_head h = {.partner = q->partner, .pair = q->pair, .accepted_at = q->accepted_at, .expires_at = q->expires_at,
				 .kind = (uint8_t)q->kind, .marks = marks_of(&q->marks), .lazy = q->lazy};
	return reason_of(journal_put(journal_of(n), &h, octets, on_done, &n->app->queue->nodes[n->worker->id], &q->id));
}

void node_queue_end(void *arg, uint64_t id)
{
	journal_end(journal_of(arg), id);
}

void node_queue_mark(void *arg, uint64_t id, const struct gateway_marks *m)
{
	struct journal_marks marks = marks_of(m);
	journal_mark(journal_of(arg), id, &marks);
}

struct read_msg {
	struct bus_msg bus;
	struct node *node;
	uint64_t id;
	int code;
	size_t n;
	char octets[];
};

static void read_run(struct worker *w, struct bus_msg *b)
{
	struct read_msg *m = CONTAINER_OF(b, struct read_msg, bus);
	(void)w;
	if (m->code == ENTENTE_EIO)
		gateway_queue_unread(m->node->gateway, m->id);
	else
		gateway_queue_octets(m->node->gateway, m->id, !m->code, slice_of(m->octets, m->n));
	mem_free(m);
}

static void read_drop(struct bus_msg *b)
{
	mem_free(CONTAINER_OF(b, struct read_msg, bus));
}

/* On the journal's thread, or on the worker's own. */
static void on_read(void *arg, int code, const struct journal_entry *e, struct slice octets)
{
	struct node *n = arg;
	struct read_msg *m = mem_calloc(1, sizeof *m + octets.len);
	m->bus = (struct bus_msg){.run = read_run, .drop = read_drop};
	m->node = n;
	m->id = e->id;
	m->code = code;
	m->n = octets.len;
	if (octets.len)
		memcpy(m->octets, octets.p, octets.len);
	worker_post_always(n->worker, &m->bus);
}

bool node_queue_read(void *arg, uint64_t id)
{
	int rc = journal_read(journal_of(arg), id, on_read, arg);
	if (rc == ENTENTE_ENOTFOUND)
		on_read(arg, rc, &(struct journal_entry){.id = id}, SLICE_NONE);
	return rc != ENTENTE_ELIMIT;
}

bool node_queue_alone(void *arg, bool begin)
{
	struct node *n = arg;
	bool free = false;
	if (begin)
		return atomic_compare_exchange_strong(&n->app->queue->alone, &free, true);
	atomic_store(&n->app->queue->alone, false);
	return true;
}

int64_t node_queue_now(void *arg)
{
	return queue_clock_now(&((const struct node *)arg)->app->queue->clock);
}

static void load_suspect(void *arg, uint64_t name, unsigned crashes)
{
	gateway_load_suspect(((struct node *)arg)->gateway, name, crashes);
}

struct gateway_under_way *node_queue_under_way(struct node *n)
{
	return crash_under_way(n->app->queue->crash, n->worker->id);
}

void node_queue_load(struct node *n)
{
	struct app_queue *q = n->app->queue;
	crash_each(q->crash, load_suspect, n);
	for (size_t i = 0; i < q->n_found; i++) {
		struct found *f = &q->found[i];
		struct slice rest = f->text ? f->q.pair : SLICE_NONE, local = slice_split(&rest, '\0');
		if (!f->text || pool_pick(n->app->pool, local) != n->worker) /* workers start one after the other */
			continue;
		if (!gateway_queue_load(n->gateway, &f->q))
			journal_end(q->journal, f->q.id);
		f->text = mem_free(f->text);
	}
	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < q->n_paused; i++)
		gateway_queue_pause(n->gateway, slice_str(q->paused[i]), true);
	pthread_mutex_unlock(&q->lock);
}

/* ---- the start and the end */

void app_queue_directory(const struct config *cfg, char *dst, size_t size)
{
	if (*cfg->queue_directory)
		snprintf(dst, size, "%s", cfg->queue_directory);
	else
		snprintf(dst, size, "%s/queue", cfg->server_state_directory);
}

static int on_recovered(void *arg, const struct journal_entry *e)
{
	struct app_queue *q = arg;
	if (q->n_found == q->found_room) {
		q->found_room = q->found_room ? q->found_room * 2 : 256;
		q->found = mem_realloc(q->found, q->found_room * sizeof *q->found);
	}
	struct found *f = &q->found[q->n_found++];
	if (e->head.expires_at > q->youngest)
		q->youngest = e->head.expires_at;
	*f = (struct found){.text = mem_realloc(NULL, e->head.partner.len + e->head.pair.len + 1)};
	memcpy(f->text, e->head.partner.p, e->head.partner.len);
	memcpy(f->text + e->head.partner.len, e->head.pair.p, e->head.pair.len);
	f->q = (struct gateway_queued){
		.id = e->id, .kind = (enum gateway_queue_kind)e->head.kind, .partner = slice_of(f->text, e->head.partner.len),
		.pair = slice_of(f->text + e->head.partner.len, e->head.pair.len), .octets = e->octets,
		.accepted_at = e->head.accepted_at, .expires_at = e->head.expires_at,
		.marks = {.state = e->head.marks.state, .crashes = e->head.marks.crashes, .attempts = e->head.marks.attempts},
	};
	return 0;
}

/* On the journal's thread. */
static void on_health(void *arg, bool failing, const struct entente_err *err)
{
	struct app_queue *q = arg;
	pthread_mutex_lock(&q->lock);
	q->failing = failing;
	slice_cstr(err ? slice_first(slice_str(err->text), sizeof q->why - 1) : SLICE_NONE, q->why, sizeof q->why);
	pthread_mutex_unlock(&q->lock);
	if (failing)
		log_ev(LOG_ERROR, "queue/failing", {"reason", S("server/queue-disk")}, {"directory", slice_str(q->directory)},
		       {"text", err ? slice_str(err->text) : SLICE_NONE});
	else
		log_ev(LOG_INFO, "queue/working", {"directory", slice_str(q->directory)});
}

static void paused_path(const struct app_queue *q, char *dst, size_t size, const char *end)
{
	snprintf(dst, size, "%s/paused%s", q->directory, end);
}

static void load_paused(struct app_queue *q)
{
	char path[560], line[2048];
	paused_path(q, path, sizeof path, "");
	FILE *f = fopen(path, "re");
	while (f && q->n_paused < PAUSED_MAX && fgets(line, sizeof line, f)) {
		struct slice name = slice_trim(slice_str(line));
		if (name.len)
			q->paused[q->n_paused++] = mem_strndup(name.p, name.len);
	}
	if (f)
		fclose(f);
}

static void tell_found(const struct app_queue *q)
{
	const struct journal_report *r = &q->report;
	char n[24], crashed[24], signo[24], lost[24], ms[24];
	if (!r->entries && !r->damaged && !r->lost && !r->crash_signal)
		return;
	snprintf(n, sizeof n, "%llu", (unsigned long long)r->entries);
	snprintf(ms, sizeof ms, "%u", r->ms);
	snprintf(crashed, sizeof crashed, "%llu", (unsigned long long)r->crashed);
	snprintf(signo, sizeof signo, "%d", r->crash_signal);
	snprintf(lost, sizeof lost, "%llu", (unsigned long long)r->lost);
	log_ev(r->damaged || r->lost ? LOG_ERROR : LOG_INFO, "queue/recovered", {"messages", slice_str(n)}, {"ms", slice_str(ms)},
	       {"crash-signal", r->crash_signal ? slice_str(signo) : SLICE_NONE}, {"suspects", r->crash_signal ? slice_str(crashed) : SLICE_NONE},
	       {"lost", r->lost ? slice_str(lost) : SLICE_NONE}, {"damage", slice_str(r->damage)});
}

/* The default is too much for a small disk: there it is 5 % of it. */
static uint64_t reserve_of(const struct config *cfg)
{
	return cfg->queue_reserve == RESERVE_DEFAULT ? UINT64_MAX : cfg->queue_reserve;
}

int app_queue_open(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct app_queue *q = app->queue = MEM_NEW(struct app_queue);
	app_queue_directory(cfg, q->directory, sizeof q->directory);
	pthread_mutex_init(&q->lock, NULL);
	q->n_nodes = pool_workers(app->pool);
	q->nodes = mem_calloc(q->n_nodes, sizeof *q->nodes);
	for (unsigned i = 0; i < q->n_nodes; i++) {
		q->nodes[i].bus = (struct bus_msg){.run = done_run, .drop = done_drop};
		pthread_mutex_init(&q->nodes[i].lock, NULL);
	}
	struct journal_options o = {.directory = q->directory, .max = cfg->queue_max_size, .partner_max = cfg->queue_max_partner,
				    .reserve = reserve_of(cfg), .health = on_health, .recovered = on_recovered, .arg = q};
	int rc = journal_open(&q->journal, &o, &q->report, err);
	if (rc)
		return rc;
	queue_clock_open(&q->clock, q->directory, q->youngest ? q->youngest - (int64_t)(cfg->queue_lifetime / 1000) : 0);
	q->crash = crash_open(q->directory, q->n_nodes, q->journal, q->report.crash_signal);
	load_paused(q);
	tell_found(q);
	return 0;
}

void app_queue_nodes(struct app *app)
{
	for (unsigned i = 0; i < app->queue->n_nodes; i++)
		app->queue->nodes[i].node = &app->nodes[i];
}

void app_queue_close(struct app *app)
{
	struct app_queue *q = app->queue;
	if (!q)
		return;
	q->crash = crash_close(q->crash);
	q->journal = journal_close(q->journal);
	queue_clock_save(&q->clock, true); /* its thread did until here */
}

void app_queue_free(struct app *app)
{
	struct app_queue *q = app->queue;
	if (!q)
		return;
	for (unsigned i = 0; i < q->n_nodes; i++) {
		pthread_mutex_destroy(&q->nodes[i].lock);
		mem_free(q->nodes[i].done);
	}
	for (size_t i = 0; i < q->n_found; i++)
		mem_free(q->found[i].text);
	for (size_t i = 0; i < q->n_paused; i++)
		mem_free(q->paused[i]);
	pthread_mutex_destroy(&q->lock);
	mem_free(q->found);
	mem_free(q->nodes);
	app->queue = mem_free(q);
}

void app_queue_set(struct app *app, const struct config *cfg)
{
	if (app->queue)
		journal_limits(app->queue->journal, cfg->queue_max_size, cfg->queue_max_partner, reserve_of(cfg), 0);
}

/* ---- for administrators */

struct visit {
	void (*fn)(void *arg, const struct gateway_queue_facts *f);
	void *arg;
};

static void visit_node(struct node *n, void *arg)
{
	struct visit *v = arg;
	if (n->gateway)
		gateway_queue_each(n->gateway, v->fn, v->arg);
}

bool app_queue_each(struct app *app, void (*fn)(void *, const struct gateway_queue_facts *), void *arg)
{
	struct visit v = {fn, arg};
	return nodes_call(app, visit_node, &v);
}

struct doing {
	uint64_t id;             /* 0: all */
	struct slice partner;    /* of all: empty, of every partner */
	enum gateway_queue_verb verb;
	bool there;
	size_t n;
	uint64_t *ids;           /* of one node */
	size_t n_ids, room;
};

static void collect(void *arg, const struct gateway_queue_facts *f)
{
	struct doing *d = arg;
	ptrdiff_t at = slice_find_chr(f->remote, '@');
	struct slice domain = at < 0 ? f->remote : slice_skip(f->remote, (size_t)at + 1);
	if (d->id ? f->id != d->id : d->partner.len && !slice_eq(domain, d->partner))
		return;
	if (d->n_ids == d->room) {
		d->room = d->room ? d->room * 2 : 64;
		d->ids = mem_realloc(d->ids, d->room * sizeof *d->ids);
	}
	d->ids[d->n_ids++] = f->id;
}

static void do_node(struct node *n, void *arg)
{
	struct doing *d = arg;
	if (!n->gateway)
		return;
	d->n_ids = 0;
	gateway_queue_each(n->gateway, collect, d);
	d->there |= d->n_ids > 0;
	for (size_t i = 0; i < d->n_ids; i++)
		d->n += gateway_queue_do(n->gateway, d->ids[i], d->verb);
}

static int do_it(struct app *app, struct doing *d, struct entente_err *err)
{
	bool ok = nodes_call(app, do_node, d);
	if (ok) /* else a worker may still be filling it */
		mem_free(d->ids);
	return ok ? 0 : err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
}

int app_queue_do(struct app *app, uint64_t id, enum gateway_queue_verb verb, struct entente_err *err)
{
	struct doing d = {.id = id, .verb = verb};
	int rc = id ? do_it(app, &d, err) : 0;
	if (rc)
		return rc;
	if (!d.there)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "no message with this number waits");
	return d.n ? 0 : err_set(err, ENTENTE_EAGAIN, REASON_NONE, "the message is under way just now, or is held");
}

int app_queue_do_all(struct app *app, struct slice partner, enum gateway_queue_verb verb, size_t *ret_n, struct entente_err *err)
{
	struct doing d = {.partner = partner, .verb = verb};
	int rc = do_it(app, &d, err);
	*ret_n = d.n;
	return rc;
}

struct showing {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned refs;
	bool done;
	int code;
	struct journal_entry e;
	char *text, *octets; /* owned: partner, pair */
	size_t n;
};

static void showing_unref(struct showing *s)
{
	pthread_mutex_lock(&s->lock);
	bool last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
	mem_free(s->text);
	mem_free(s->octets);
	mem_free(s);
}

/* On the journal's thread. */
static void on_shown(void *arg, int code, const struct journal_entry *e, struct slice octets)
{
	struct showing *s = arg;
	const struct slice partner = e->head.partner, pair = e->head.pair;
	pthread_mutex_lock(&s->lock);
	s->code = code;
	s->e = *e;
	s->text = mem_calloc(1, partner.len + pair.len + 1);
	if (partner.len)
		memcpy(s->text, partner.p, partner.len);
	if (pair.len)
		memcpy(s->text + partner.len, pair.p, pair.len);
	s->e.head.partner = slice_of(s->text, partner.len);
	s->e.head.pair = slice_of(s->text + partner.len, pair.len);
	s->octets = mem_strndup(octets.len ? octets.p : "", octets.len);
	s->n = octets.len;
	s->done = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	showing_unref(s);
}

int app_queue_show(struct app *app, uint64_t id, void (*fn)(void *, const struct journal_entry *, struct slice), void *arg, struct entente_err *err)
{
	struct showing *s = MEM_NEW(struct showing);
	pthread_condattr_t steady;
	struct timespec until;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, &steady);
	pthread_condattr_destroy(&steady);
	s->refs = 2;
	int rc = journal_read(app->queue->journal, id, on_shown, s);
	if (rc) {
		s->refs = 1;
		showing_unref(s);
		return err_set(err, rc == ENTENTE_ENOTFOUND ? ENTENTE_ENOTFOUND : ENTENTE_ETIMEOUT, REASON_NONE, "%s",
			       rc == ENTENTE_ENOTFOUND ? "no message with this number waits" : "too much is being read");
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += READ_S;
	pthread_mutex_lock(&s->lock);
	while (!s->done && pthread_cond_timedwait(&s->cond, &s->lock, &until) == 0)
		;
	bool done = s->done;
	int code = s->code;
	pthread_mutex_unlock(&s->lock);
	if (done && !code)
		fn(arg, &s->e, slice_of(s->octets, s->n));
	showing_unref(s);
	if (!done)
		return err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "the disk did not answer within 5 s");
	if (code == ENTENTE_ENOTFOUND)
		return err_set(err, code, REASON_NONE, "no message with this number waits");
	return code ? err_set(err, ENTENTE_EIO, REASON_SERVER_QUEUE_DISK, "the message cannot be read from the disk") : 0;
}

static int save_paused(const struct app_queue *q, struct entente_err *err)
{
	char path[560], fresh[560];
	paused_path(q, path, sizeof path, "");
	paused_path(q, fresh, sizeof fresh, ".new");
	FILE *f = fopen(fresh, "we");
	bool ok = f != NULL;
	for (size_t i = 0; ok && i < q->n_paused; i++)
		ok = fprintf(f, "%s\n", q->paused[i]) > 0;
	ok = ok && fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (f)
		fclose(f);
	ok = ok && rename(fresh, path) == 0;
	return ok ? 0 : err_set(err, ENTENTE_EIO, REASON_SERVER_QUEUE_DISK, "it holds now, but could not be written to %.300s", path);
}

struct pausing {
	struct slice partner;
	bool paused;
};

static void pause_node(struct node *n, void *arg)
{
	struct pausing *p = arg;
	if (n->gateway)
		gateway_queue_pause(n->gateway, p->partner, p->paused);
}

int app_queue_pause(struct app *app, struct slice partner, bool paused, struct entente_err *err)
{
	struct app_queue *q = app->queue;
	struct pausing p = {partner, paused};
	size_t i = 0;
	pthread_mutex_lock(&q->lock);
	while (i < q->n_paused && !slice_eq(slice_str(q->paused[i]), partner))
		i++;
	bool was = i < q->n_paused, full = q->n_paused == PAUSED_MAX;
	if (paused && !was && !full) {
		q->paused[q->n_paused++] = mem_strndup(partner.p, partner.len);
	} else if (!paused && was) {
		mem_free(q->paused[i]);
		q->paused[i] = q->paused[--q->n_paused];
	}
	pthread_mutex_unlock(&q->lock);
	if (paused && !was && full)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%d partners are paused already", PAUSED_MAX);
	if (!nodes_call(app, pause_node, &p))
		return err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
	return paused == was ? 0 : save_paused(q, err);
}

void app_queue_each_paused(struct app *app, void (*fn)(void *arg, struct slice partner), void *arg)
{
	for (size_t i = 0; app->queue && i < app->queue->n_paused; i++)
		fn(arg, slice_str(app->queue->paused[i]));
}

void app_queue_facts(struct app *app, struct app_queue_facts *ret)
{
	struct app_queue *q = app->queue;
	*ret = (struct app_queue_facts){.found = q->report, .directory = q->directory};
	journal_stats(q->journal, &ret->stats);
	pthread_mutex_lock(&q->lock);
	ret->failing = q->failing;
	memcpy(ret->why, q->why, sizeof ret->why);
	pthread_mutex_unlock(&q->lock);
}
