/* SPDX-License-Identifier: Apache-2.0 */
/* The thread. A turn takes what waits (puts in their order, then ends and marks, then entries of the oldest segment that are copied forward), writes it as
 * one group into the active segment, syncs when there is a put or a copy in it, and only then tells the callers. */
#include "journal/internal.h"

#include <errno.h>
#include "base/clock.h"
#include "base/mem.h"

enum { READS_A_TURN = 32, COPY_TRIES = 200 };

void writer_dirty(struct journal *j, struct entry *e)
{
	if (e->is_dirty)
		return;
	list_remove(&e->dirty); /* it may be settling */
	list_append(&j->dirty, &e->dirty);
	e->is_dirty = true;
}

/* ---- state ---- */
static bool no_space(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

static void set_state(struct journal *j, enum writer_state to, const char *what, int error)
{
	struct entente_err err;
	bool was = j->state != WRITER_FINE, is = to != WRITER_FINE;
	if (to != j->state) /* else whoever wakes us would put the probe off for ever */
		j->probe_at = clock_ms() + j->opt.probe_ms;
	j->state = to;
	atomic_store(&j->closed, is);
	pthread_mutex_lock(&j->lock);
	j->stats.failing = is;
	pthread_mutex_unlock(&j->lock);
	if (is == was || !j->opt.health)
		return;
	if (is)
		err_set(&err, ENTENTE_EIO, REASON_SERVER_STORE, "the journal in %s cannot %s: %s", j->opt.directory, what,
			no_space(error) ? "the disk is full, but for the reserve" : strerror(error));
	j->opt.health(j->opt.arg, is, is ? &err : NULL);
}

/* The active segment cannot be trusted any more (after a failed sync the kernel may have forgotten what it could not write): what is durable in it stays, the rest is
 * written again into the next. */
static void broken(struct journal *j, const char *what)
{
	int e = errno;
	if (j->active)
		segment_abandon(j);
	pthread_mutex_lock(&j->lock);
	for (struct list *l; (l = list_head(&j->settling));)
		writer_dirty(j, CONTAINER_OF(l, struct entry, dirty));
	pthread_mutex_unlock(&j->lock);
	j->unsynced_since = 0;
	set_state(j, WRITER_BROKEN, what, e);
}

/* ---- space ---- */
static size_t left(const struct journal *j)
{
	return j->active->size - j->active->used - JOURNAL_RECORD_HEAD; /* the seal's */
}

/* Is it time for a spare? It is there before the active segment is full, late enough that an old one has often become free. */
static bool spare_wanted(const struct journal *j)
{
	return !segment_spare_ready(j) && (!j->active || j->active->used > j->active->size / 2 || j->spare_fd >= 0 || j->state == WRITER_FULL);
}

/* 0, or -1 with the state set. */
static int spare_finish(struct journal *j)
{
	int rc;
	while (!(rc = segment_spare_step(j)))
		;
	return rc < 0 ? -1 : 0;
}

/* What was written is durable: ended entries are forgotten. */
static void settle(struct journal *j)
{
	j->unsynced_since = 0;
	pthread_mutex_lock(&j->lock);
	for (struct list *l; (l = list_head(&j->settling));) {
		struct entry *e = CONTAINER_OF(l, struct entry, dirty);
		list_remove(l);
		if (e->over)
			mem_free(e);
	}
	bool all = list_empty(&j->dirty);
	pthread_mutex_unlock(&j->lock);
	if (j->marker_set && all)
		marker_clear(j);
}

/* Goes on in a new segment. */
static bool roll(struct journal *j)
{
	if (spare_finish(j) != 0) {
		set_state(j, WRITER_FULL, "make another file", errno);
		return false;
	}
	if (j->active && segment_seal(j) != 0) {
		broken(j, "write");
		return false;
	}
	settle(j);
	if (segment_activate(j) != 0) {
		broken(j, "begin another file");
		return false;
	}
	return true;
}

void writer_begin(struct journal *j)
{
	while (segment_retire(j))
		;
	j->state = WRITER_FINE;
	if (spare_finish(j) == 0 && segment_activate(j) == 0)
		atomic_store(&j->closed, false);
	else
		set_state(j, WRITER_BROKEN, "begin a file", errno);
}

static void displace(struct entry *e)
{
	if (!e->seg || !list_linked(&e->in_segment))
		return;
	list_remove(&e->in_segment);
	e->seg->live_octets -= e->len;
}

/* Where no end can be written nothing would ever become free. An entry that has ended needs none when the file goes that has it: then the oldest file is over when all of its
 * entries have ended. */
static bool end_oldest(struct journal *j)
{
	struct list *l = list_head(&j->segments);
	struct segment *s = l ? CONTAINER_OF(l, struct segment, node) : NULL;
	bool over = s && s != j->active;
	if (!over || (j->active && !j->stuck))
		return false;
	pthread_mutex_lock(&j->lock);
	LIST_EACH(n, &s->live) {
		over = CONTAINER_OF(n, struct entry, in_segment)->over;
		if (!over)
			break;
	}
	while (over && (l = list_head(&s->live)))
		displace(CONTAINER_OF(l, struct entry, in_segment));
	pthread_mutex_unlock(&j->lock);
	return over;
}

static void probe(struct journal *j)
{
	j->probe_at = clock_ms() + j->opt.probe_ms;
	while (end_oldest(j) && segment_retire(j))
		;
	if (spare_finish(j) != 0 || (!j->active && segment_activate(j) != 0))
		return;
	j->stuck = false;
	set_state(j, WRITER_FINE, NULL, 0);
}

/* ---- taking what waits; with the lock ---- */

/* Lazy puts do not wait for their time. */
static bool hurry(const struct journal *j)
{
	return j->n_urgent || j->waiting >= GROUP_OCTETS || j->flush_wanted != j->flushed || j->stop;
}

/* When the first put is to be taken: 0 at once, UINT64_MAX there is none. */
static uint64_t puts_due(const struct journal *j)
{
	struct list *l = list_head(&j->puts);
	uint64_t due = l ? CONTAINER_OF(l, struct request, node)->due : UINT64_MAX;
	return l && hurry(j) ? 0 : due < j->lazy_at ? j->lazy_at : due;
}

/* When ends and marks are to be written: 0 at once, UINT64_MAX there are none, or no file for them. */
static uint64_t dirty_due(const struct journal *j)
{
	if (list_empty(&j->dirty) || !j->active)
		return UINT64_MAX;
	return hurry(j) ? 0 : j->dirty_at;
}

static bool fits(const struct journal *j, size_t n)
{
	return j->out.len + n <= left(j) && (j->out.len + n <= GROUP_OCTETS || !j->out.len);
}

static void collect_put(struct journal *j, struct group *g, struct request *r)
{
	list_remove(&r->node);
	j->waiting -= r->len;
	j->n_urgent -= !r->due;
	r->e->request = NULL;
	g->at[g->n_puts] = 0;
	g->puts[g->n_puts++] = r;
	if (r->e->over) /* it has ended already */
		return;
	if (j->state != WRITER_FINE) {
		r->code = ENTENTE_EIO;
		index_over(&j->index, r->e);
		j->stats.failed++;
		return;
	}
	g->at[g->n_puts - 1] = j->active->used + (uint32_t)j->out.len;
	journal_record_finish(r->rec, j->active->nonce, j->active->synced, &r->e->marks);
	r->e->writing = true;
	buf_put(&j->out, slice_of(r->rec, r->len));
}

/* True: what comes next needs another segment. */
static bool collect(struct journal *j, struct group *g, uint64_t now)
{
	bool all = hurry(j), some = now >= j->lazy_at;
	uint64_t next = j->lazy_at; /* stays, when this turn has to leave some that are due */
	for (struct list *l; g->n_puts < GROUP_PUTS && (l = list_head(&j->puts));) {
		struct request *r = CONTAINER_OF(l, struct request, node);
		if (!all && !r->e->over && (!some || r->due > now))
			break;
		if (!r->e->over && j->state == WRITER_FINE && !fits(j, r->len))
			return j->out.len + r->len > left(j);
		if (!all && !r->e->over)
			next = now + j->opt.lazy_ms / 2;
		collect_put(j, g, r);
	}
	if (g->n_puts < GROUP_PUTS)
		j->lazy_at = next;
	if (!g->n_puts && dirty_due(j) > now)
		return false;
	while (j->active && g->n_dirty < GROUP_DIRTY && !list_empty(&j->dirty)) {
		struct entry *e = CONTAINER_OF(list_head(&j->dirty), struct entry, dirty);
		char rec[JOURNAL_RECORD_HEAD];
		if (!fits(j, sizeof rec))
			return j->out.len + sizeof rec > left(j);
		journal_record_write(rec, &(struct journal_record){.type = e->over ? JOURNAL_END : JOURNAL_MARK, .id = e->id});
		journal_record_finish(rec, j->active->nonce, j->active->synced, &e->marks);
		buf_put(&j->out, slice_of(rec, sizeof rec));
		list_remove(&e->dirty);
		e->is_dirty = false;
		g->dirty[g->n_dirty++] = e;
	}
	if (g->n_dirty && list_empty(&j->dirty))
		j->dirty_at = now + j->opt.pace_ms;
	return false;
}

/* ---- copying forward ---- */
static struct segment *oldest(const struct journal *j)
{
	struct list *l = list_head(&j->segments);
	struct segment *s = l ? CONTAINER_OF(l, struct segment, node) : NULL;
	return s == j->active ? NULL : s;
}

static bool compaction_wanted(const struct journal *j)
{
	struct segment *s = oldest(j);
	uint64_t segment = j->opt.segment;
	if (!s || !j->active || list_empty(&s->live))
		return false;
	if (j->state == WRITER_FULL) /* what it frees becomes the spare; but the rest of the active segment is the ends' */
		return j->files > j->live + 2 * segment && s->live_octets < left(j) / 4;
	return j->files > j->live + j->live / 2 + 3 * segment || j->n_segments > 16 + 2 * (j->files / segment);
}

/* Reads the record of an entry into the end of `out`, as it is to stand in the active segment. ENTENTE_EIO: not now; ENTENTE_ESTORE: it is not what was written. */
static int copy_record(struct journal *j, const struct entry *e, const struct journal_marks *m)
{
	char *p = buf_reserve(&j->out, e->len);
	struct journal_scan scan = {slice_of(p, e->len), 0, e->seg->nonce};
	struct journal_record rec;
	size_t gap;
	ssize_t got = segment_pread(j, e->seg, p, e->len, e->at);
	if (got < 0)
		return ENTENTE_EIO;
	if ((size_t)got != e->len || !journal_scan_next(&scan, &rec, &gap) || gap || rec.damaged || rec.id != e->id || rec.type != JOURNAL_PUT || rec.len != e->len)
		return ENTENTE_ESTORE;
	journal_record_finish(p, j->active->nonce, j->active->synced, m);
	buf_commit(&j->out, e->len);
	return 0;
}

/* Its record cannot be read any more: it is over, and its file is kept aside. */
static void lose(struct journal *j, struct entry *e)
{
	pthread_mutex_lock(&j->lock);
	j->stats.damaged++;
	index_over(&j->index, e);
	writer_dirty(j, e);
	pthread_mutex_unlock(&j->lock);
	e->seg->damaged = true;
	displace(e);
}

/* True: they need another segment. */
static bool collect_copies(struct journal *j, struct group *g)
{
	size_t from = j->out.len;
	LIST_EACH(l, &oldest(j)->live)
	{
		struct entry *e = CONTAINER_OF(l, struct entry, in_segment);
		if (j->out.len - from >= COPY_OCTETS)
			break;
		if (j->out.len + e->len > left(j))
			return !g->n_copies;
		pthread_mutex_lock(&j->lock);
		struct journal_marks m = e->marks;
		bool over = e->over;
		pthread_mutex_unlock(&j->lock);
		if (over) /* its end leaves with the next turn, and the entry the segment with it */
			continue;
		uint32_t at = j->active->used + (uint32_t)j->out.len;
		int rc = copy_record(j, e, &m);
		if (rc == ENTENTE_EIO && j->copy_errors++ < COPY_TRIES) {
			j->copy_at = clock_ms() + j->opt.probe_ms;
			break;
		}
		j->copy_errors = 0;
		if (rc) {
			lose(j, e);
			continue;
		}
		g->copies[g->n_copies] = e;
		g->copy_at[g->n_copies++] = at;
	}
	return false;
}

/* ---- writing a group ---- */
static int sync_active(struct journal *j)
{
	uint64_t t = clock_ns();
	int rc = j->io->fdatasync(j->active_fd);
	t = clock_ns() - t;
	pthread_mutex_lock(&j->lock);
	j->stats.syncs++;
	j->stats.sync_ns += t;
	if (t > j->stats.sync_max_ns)
		j->stats.sync_max_ns = t;
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int write_group(struct journal *j, bool must_sync)
{
	size_t n = j->out.len;
	struct segment *s = j->active;
	uint32_t before = s->used;
	if (n && segment_pwrite(j, j->active_fd, buf_slice(&j->out).p, n, s->used) != 0)
		return -1;
	s->used += (uint32_t)n;
	if (must_sync && (n || j->unsynced_since)) {
		if (sync_active(j) != 0) {
			s->used = before; /* the group is cut off here */
			return -1;
		}
		s->synced = s->used;
	} else if (n && !j->unsynced_since) {
		j->unsynced_since = clock_ms();
	}
	return 0;
}

static void place(struct journal *j, struct entry *e, uint32_t at)
{
	displace(e);
	e->seg = j->active;
	e->at = at;
	e->seg->live_octets += e->len;
	list_append(&e->seg->live, &e->in_segment);
}

static void group_written(struct journal *j, struct group *g)
{
	size_t n = j->out.len;
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < g->n_puts; i++) {
		struct entry *e = g->puts[i]->e;
		if (!g->at[i])
			continue;
		place(j, e, g->at[i]);
		e->writing = false;
		j->stats.puts++;
	}
	for (size_t i = 0; i < g->n_copies; i++)
		place(j, g->copies[i], g->copy_at[i]);
	for (size_t i = 0; i < g->n_dirty; i++) {
		struct entry *e = g->dirty[i];
		if (e->is_dirty) { /* marks that changed again meanwhile, or the entry ended */
			j->stats.marks++;
			continue;
		}
		if (e->over)
			displace(e);
		*(e->over ? &j->stats.ends : &j->stats.marks) += 1;
		list_append(&j->settling, &e->dirty);
	}
	j->stats.compacted += g->n_copies;
	j->stats.groups += n != 0;
	j->stats.written += n;
	pthread_mutex_unlock(&j->lock);
}

static void group_failed(struct journal *j, struct group *g)
{
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < g->n_puts; i++) {
		struct entry *e = g->puts[i]->e;
		if (!g->at[i])
			continue;
		g->puts[i]->code = ENTENTE_EIO;
		e->writing = false;
		j->stats.failed++;
		if (!e->over)
			index_over(&j->index, e);
		writer_dirty(j, e); /* some of it may be on the disk: then its end has to be there too */
	}
	for (size_t i = 0; i < g->n_dirty; i++)
		writer_dirty(j, g->dirty[i]);
	pthread_mutex_unlock(&j->lock);
}

static void group_complete(struct journal *j, struct group *g)
{
	struct entente_err err = {0};
	for (size_t i = 0; i < g->n_puts; i++) {
		struct request *r = g->puts[i];
		if (r->code && !err.code)
			err_set(&err, r->code, REASON_SERVER_STORE, "the journal in %s cannot be written: the disk is full or fails", j->opt.directory);
		if (r->done)
			r->done(r->arg, r->id, r->code, r->code ? &err : NULL);
		if (!g->at[i])
			mem_free(r->e); /* never written, and over */
		mem_free(r);
	}
}

/* ---- reading ---- */
static int read_record(struct journal *j, uint64_t id, char **ret_mem, struct journal_record *rec)
{
	pthread_mutex_lock(&j->lock);
	struct entry *e = index_find(&j->index, id);
	struct journal_marks marks = e ? e->marks : (struct journal_marks){0};
	bool waits = e && e->request;
	size_t len = e ? e->len : 0, gap;
	if (e)
		*ret_mem = mem_calloc(1, len);
	if (waits) {
		memcpy(*ret_mem, e->request->rec, len);
		journal_record_finish(*ret_mem, 0, 0, &marks);
	}
	pthread_mutex_unlock(&j->lock); /* e stays: only this thread frees entries */
	if (!e)
		return ENTENTE_ENOTFOUND;
	ssize_t got = waits ? (ssize_t)len : segment_pread(j, e->seg, *ret_mem, len, e->at);
	if (got < 0)
		return ENTENTE_EIO;
	struct journal_scan scan = {slice_of(*ret_mem, (size_t)got), 0, waits ? 0 : e->seg->nonce};
	if (!journal_scan_next(&scan, rec, &gap) || gap || rec->damaged || rec->id != id || rec->type != JOURNAL_PUT)
		return ENTENTE_ESTORE;
	rec->head.marks = marks;
	return 0;
}

static bool some_reads(struct journal *j)
{
	for (unsigned i = 0; i < READS_A_TURN; i++) {
		pthread_mutex_lock(&j->lock);
		struct list *l = list_head(&j->reads);
		if (l) {
			list_remove(l);
			j->n_reads--;
		}
		pthread_mutex_unlock(&j->lock);
		if (!l)
			return false;
		struct read_request *r = CONTAINER_OF(l, struct read_request, node);
		struct journal_record rec = {0};
		char *mem = NULL;
		int code = read_record(j, r->id, &mem, &rec);
		struct journal_entry e = {.id = r->id};
		if (!code) {
			e.head = rec.head;
			e.octets = rec.octets.len;
		} else if (code != ENTENTE_ENOTFOUND) {
			pthread_mutex_lock(&j->lock);
			j->stats.damaged++;
			pthread_mutex_unlock(&j->lock);
		}
		r->done(r->arg, code, &e, code ? SLICE_NONE : rec.octets);
		mem_free(mem);
		mem_free(r);
	}
	return true;
}

/* ---- a turn ---- */
static bool housekeeping(struct journal *j)
{
	bool more = segment_over(j) && segment_retire(j);
	if (j->state == WRITER_FULL && segment_spare_ready(j)) {
		probe(j);
		more = true;
	}
	if (j->state == WRITER_FINE && spare_wanted(j)) {
		int rc = segment_spare_step(j);
		if (rc < 0)
			set_state(j, WRITER_FULL, "make another file", errno);
		more = more || rc == 0;
	}
	return more;
}

bool writer_turn(struct journal *j)
{
	struct group *g = j->group;
	uint64_t now = clock_ms();
	bool more = false;
	g->n_puts = g->n_dirty = g->n_copies = 0;
	buf_clear(&j->out);
	if (j->state != WRITER_FINE && now >= j->probe_at)
		probe(j);

	pthread_mutex_lock(&j->lock);
	uint64_t want = j->flush_wanted;
	bool stop = j->stop, roll_over = collect(j, g, now), must_sync = want != j->flushed || stop;
	bool all = list_empty(&j->puts) && (list_empty(&j->dirty) || !j->active || (roll_over && j->state != WRITER_FINE));
	j->live = j->index.octets;
	pthread_mutex_unlock(&j->lock);
	for (size_t i = 0; i < g->n_puts; i++)
		must_sync = must_sync || g->at[i];
	must_sync = must_sync || j->marker_set || (j->unsynced_since && now - j->unsynced_since >= JOURNAL_SYNC_MS);

	if (!roll_over && !stop && now >= j->copy_at && compaction_wanted(j))
		roll_over = collect_copies(j, g);
	if (j->active && write_group(j, must_sync || g->n_copies) != 0) {
		int e = errno;
		group_failed(j, g);
		errno = e;
		broken(j, "write");
	} else if (j->active) {
		group_written(j, g);
		if (j->active->synced == j->active->used)
			settle(j);
	}
	group_complete(j, g);
	more = g->n_copies;
	if (roll_over && j->active)
		more = roll(j) || more;
	j->stuck = roll_over && j->state != WRITER_FINE;
	more = some_reads(j) || more;
	if (!stop)
		more = housekeeping(j) || more;

	pthread_mutex_lock(&j->lock);
	j->stats.files = j->files;
	j->stats.segments = j->n_segments;
	if (all && want != j->flushed) {
		j->flushed = want;
		pthread_cond_broadcast(&j->idle);
	}
	pthread_mutex_unlock(&j->lock);
	return more;
}

/* ---- the thread ---- */
static bool pending(const struct journal *j)
{
	uint64_t now = clock_ms();
	return puts_due(j) <= now || (!j->stuck && dirty_due(j) <= now) || !list_empty(&j->reads) || j->flush_wanted != j->flushed;
}

/* Until something comes, or a deadline. */
static void wait_for_work(struct journal *j)
{
	uint64_t until = puts_due(j), dirty = j->stuck ? UINT64_MAX : dirty_due(j);
	if (dirty < until)
		until = dirty;
	if (j->state != WRITER_FINE && j->probe_at < until)
		until = j->probe_at;
	if (j->unsynced_since && j->unsynced_since + JOURNAL_SYNC_MS < until)
		until = j->unsynced_since + JOURNAL_SYNC_MS;
	if (j->copy_errors && j->copy_at < until)
		until = j->copy_at;
	if (until == UINT64_MAX) {
		pthread_cond_wait(&j->work, &j->lock);
		return;
	}
	struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
	pthread_cond_timedwait(&j->work, &j->lock, &t);
}

void *writer_run(void *journal)
{
	struct journal *j = journal;
	bool more = true;
	pthread_setname_np(pthread_self(), "journal");
	pthread_mutex_lock(&j->lock);
	for (;;) {
		if (!more && !pending(j) && j->stop)
			break;
		if (!more && !pending(j))
			wait_for_work(j);
		pthread_mutex_unlock(&j->lock);
		more = writer_turn(j);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	if (j->active && segment_seal(j) == 0)
		settle(j);
	return NULL;
}
