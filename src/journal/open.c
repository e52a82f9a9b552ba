/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: the lock, the files, what they hold, the crash marker; and closing. */
#include "journal/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

enum { DAMAGED_KEPT = 4, PIECE = 4096 };

/* ---- directory and lock ---- */
static int open_directory(struct journal *j, struct entente_err *err)
{
	const char *d = j->opt.directory;
	struct stat st;
	if (mkdir(d, 0700) != 0 && errno != EEXIST)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot make the directory %s: %s", d, strerror(errno));
	j->dir = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir < 0 || fstat(j->dir, &st) != 0 || ((st.st_mode & 077) && fchmod(j->dir, 0700) != 0))
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot open the directory %s: %s", d, strerror(errno));
	j->lock_fd = j->io->openat(j->dir, "lock", O_RDWR | O_CREAT, 0600);
	if (j->lock_fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot create %s/lock: %s; the directory must belong to the user that runs entented", d,
			       strerror(errno));
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE, "%s is in use: another entented runs on this directory", d);
	return 0;
}

/* ---- the crash marker: one octet, the signal ---- */
static int marker_open(struct journal *j, struct entente_err *err)
{
	char c = 0;
	j->marker_fd = j->io->openat(j->dir, "crashed", O_RDWR | O_CREAT, 0600);
	if (j->marker_fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot create %s/crashed: %s", j->opt.directory, strerror(errno));
	if (pread(j->marker_fd, &c, 1, 0) == 1 && c > 0)
		return c;
	return 0;
}

void marker_clear(struct journal *j)
{
	if (j->io->ftruncate(j->marker_fd, 0) == 0)
		j->marker_set = false;
}

/* ---- the files ---- */
struct found {
	uint64_t *numbers, *aside;
	size_t n, n_aside;
};

static bool parse_name(const char *name, uint64_t *ret, bool *ret_aside)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 16; i++) {
		char c = name[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	*ret_aside = strcmp(name + 16, ".journal.damaged") == 0;
	return *ret_aside || strcmp(name + 16, ".journal") == 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static int list_files(struct journal *j, struct found *f, struct entente_err *err)
{
	int fd = openat(j->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot read the directory %s: %s", j->opt.directory, strerror(errno));
	}
	for (struct dirent *e; (e = readdir(d));) {
		uint64_t v;
		bool aside;
		if (strlen(e->d_name) < 16 || !parse_name(e->d_name, &v, &aside))
			continue;
		uint64_t **to = aside ? &f->aside : &f->numbers;
		size_t *n = aside ? &f->n_aside : &f->n;
		*to = mem_realloc(*to, (*n + 1) * sizeof **to);
		(*to)[(*n)++] = v;
	}
	closedir(d);
	if (f->n)
		qsort(f->numbers, f->n, sizeof *f->numbers, by_number);
	if (f->n_aside)
		qsort(f->aside, f->n_aside, sizeof *f->aside, by_number);
	return 0;
}

/* All of a file. A piece that the disk does not give reads as zeros: damage like any other. */
static int read_file(struct journal *j, uint64_t number, struct buf *b)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(name, number);
	int fd = j->io->openat(j->dir, name, O_RDONLY, 0), rc = -1;
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > JOURNAL_SEGMENT_MAX)
		goto out;
	buf_init(b, (size_t)st.st_size + 1);
	char *p = buf_reserve(b, (size_t)st.st_size + 1);
	size_t size = (size_t)st.st_size, at = 0;
	while (at < size) {
		ssize_t got = j->io->pread(fd, p + at, size - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			size_t piece = PIECE - at % PIECE;
			piece = piece < size - at ? piece : size - at;
			got = j->io->pread(fd, p + at, piece, (off_t)at);
			if (got < 0) {
				memset(p + at, 0, piece);
				got = (ssize_t)piece;
			}
		}
		if (!got)
			break; /* shorter than it was */
		at += (size_t)got;
	}
	buf_commit(b, at);
	rc = 0;
out:
	if (fd >= 0)
		j->io->close(fd);
	return rc;
}

/* A newer version's file means that nothing here may be touched. */
static int check_versions(struct journal *j, const struct found *f, struct entente_err *err)
{
	for (size_t i = 0; i < f->n; i++) {
		char name[SEGMENT_NAME], head[JOURNAL_SEGMENT_HEAD];
		struct journal_segment_head h;
		segment_name(name, f->numbers[i]);
		int fd = j->io->openat(j->dir, name, O_RDONLY, 0);
		ssize_t n = fd < 0 ? 0 : j->io->pread(fd, head, sizeof head, 0);
		if (fd >= 0)
			j->io->close(fd);
		if (journal_segment_head_read(&h, slice_of(head, n > 0 ? (size_t)n : 0)) == ENTENTE_EUNSUPPORTED)
			return err_set(err, ENTENTE_EUNSUPPORTED, REASON_SERVER_STORE,
				       "%s/%s was written by a newer version of Entente; let that one deliver what is queued, then come back to this one", j->opt.directory, name);
	}
	return 0;
}

/* The newest segment is not written on: it ends here. */
static void finish_last(struct journal *j, struct segment *s, size_t size)
{
	char name[SEGMENT_NAME], rec[JOURNAL_RECORD_HEAD];
	segment_name(name, s->number);
	int fd = j->io->openat(j->dir, name, O_RDWR, 0);
	if (fd < 0)
		return;
	journal_record_write(rec, &(struct journal_record){.type = JOURNAL_SEAL});
	journal_record_finish(rec, s->nonce, s->synced, &(struct journal_marks){0});
	if (j->io->ftruncate(fd, s->used) == 0) {
		size = s->used;
		if (segment_pwrite(j, fd, rec, sizeof rec, s->used) == 0)
			size += sizeof rec;
		j->io->fdatasync(fd);
	}
	s->size = (uint32_t)size;
	j->io->close(fd);
}

static void read_segments(struct journal *j, struct replay *r, const struct found *f, struct journal_report *report)
{
	for (size_t i = 0; i < f->n; i++) {
		struct buf b = {0};
		struct journal_segment_head h = {0};
		struct segment *s = segment_add(j, f->numbers[i]);
		bool last = i + 1 == f->n;
		j->next_number = s->number + 1;
		if (read_file(j, s->number, &b) != 0 || journal_segment_head_read(&h, buf_slice(&b)) != 0 || h.number != s->number) {
			/* cannot be read at all; it is put aside as soon as it is the oldest */
			s->damaged = true;
			s->size = (uint32_t)b.len;
			report->damaged++;
			report->damaged_octets += b.len;
			if (!report->damage[0])
				snprintf(report->damage, sizeof report->damage, "%016llx.journal: its head cannot be read", (unsigned long long)s->number);
		} else {
			s->nonce = h.nonce;
			s->size = (uint32_t)b.len;
			if (h.next_id > j->index.next_id)
				j->index.next_id = h.next_id;
			replay_segment(r, s, buf_slice(&b), last);
			if (last)
				finish_last(j, s, b.len);
		}
		j->files += s->size;
		report->segments++;
		buf_free(&b);
	}
}

/* Who was in flight is so no longer; if the process crashed, it is counted. */
static void count_crashes(struct journal *j, struct journal_report *report)
{
	LIST_EACH(l, &j->index.order)
	{
		struct entry *e = CONTAINER_OF(l, struct entry, order);
		if (!(e->marks.state & JOURNAL_IN_FLIGHT))
			continue;
		if (report->crash_signal) {
			report->crashed++;
			e->marks.crashes += e->marks.crashes < UINT8_MAX;
		}
		writer_dirty(j, e);
	}
}

/* In order; then their marks stand as they will be written. */
static int tell(struct journal *j, struct replay *r)
{
	int rc = 0;
	LIST_EACH(l, &j->index.order)
	{
		struct entry *e = CONTAINER_OF(l, struct entry, order);
		struct replay_head *h = replay_head_of(r, e->id);
		struct journal_entry t = {e->id, h->head, h->octets};
		t.head.marks = e->marks;
		e->marks.state &= (uint8_t)~JOURNAL_IN_FLIGHT;
		if (j->opt.recovered && (rc = j->opt.recovered(j->opt.arg, &t)) < 0)
			return rc;
	}
	return 0;
}

static int recover(struct journal *j, struct journal_report *report, struct entente_err *err)
{
	struct found f = {0};
	struct replay r;
	uint64_t began = clock_ms();
	int rc = list_files(j, &f, err);
	replay_init(&r, &j->index);
	if (!rc)
		rc = check_versions(j, &f, err);
	if (rc)
		goto out;
	rc = marker_open(j, err);
	if (rc < 0)
		goto out;
	report->crash_signal = rc;
	j->marker_set = rc > 0;
	for (size_t i = 0; i + DAMAGED_KEPT < f.n_aside; i++) {
		char name[SEGMENT_NAME + 16];
		snprintf(name, sizeof name, "%016llx.journal.damaged", (unsigned long long)f.aside[i]);
		j->io->unlinkat(j->dir, name);
	}
	read_segments(j, &r, &f, report);
	report->lost = replay_finish(&r);
	report->damaged += r.places;
	report->damaged_octets += r.damaged_octets;
	if (!report->damage[0])
		memcpy(report->damage, r.first, sizeof report->damage);
	report->cut = r.cut;
	report->ended = r.ended;
	report->entries = j->index.entries;
	report->octets = j->index.octets;
	count_crashes(j, report);
	rc = tell(j, &r);
	if (rc)
		err_set(err, rc, REASON_SERVER_STORE, "an entry of %s was not taken", j->opt.directory);
	report->ms = (unsigned)(clock_ms() - began);
out:
	mem_free(f.numbers);
	mem_free(f.aside);
	replay_free(&r);
	return rc;
}

static int start(struct journal *j, struct entente_err *err)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the control thread */
	int rc = pthread_create(&j->thread, NULL, writer_run, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot start the journal thread: %s", strerror(rc));
	j->started = true;
	return 0;
}

static struct journal *make(const struct journal_options *opt)
{
	struct journal *j = MEM_NEW(struct journal);
	j->opt = *opt;
	j->opt.directory = mem_strndup(opt->directory, strlen(opt->directory));
	j->opt.max = opt->max ? opt->max : (uint64_t)1 << 30;
	j->opt.entries_max = opt->entries_max ? opt->entries_max : JOURNAL_ENTRIES_DEFAULT;
	j->opt.segment = opt->segment ? opt->segment : JOURNAL_SEGMENT_DEFAULT;
	j->opt.probe_ms = opt->probe_ms ? opt->probe_ms : JOURNAL_PROBE_MS;
	j->opt.lazy_ms = opt->lazy_ms ? opt->lazy_ms : JOURNAL_LAZY_MS;
	j->opt.pace_ms = opt->pace_ms ? opt->pace_ms : JOURNAL_PACE_MS;
	atomic_init(&j->reserve, opt->reserve);
	j->io = opt->io ? opt->io : &journal_io_system;
	j->dir = j->lock_fd = j->marker_fd = j->active_fd = j->spare_fd = j->read_fd = -1;
	j->next_number = 1;
	j->state = WRITER_BROKEN; /* there is no segment yet */
	atomic_init(&j->closed, true);
	index_init(&j->index);
	list_init(&j->puts);
	list_init(&j->reads);
	list_init(&j->dirty);
	list_init(&j->segments);
	list_init(&j->settling);
	j->group = MEM_NEW(struct group);
	buf_init(&j->out, 2 * GROUP_OCTETS + 2 * COPY_OCTETS + 2 * JOURNAL_OCTETS_MAX);
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, &a);
	pthread_cond_init(&j->idle, NULL);
	pthread_condattr_destroy(&a);
	return j;
}

int journal_open(struct journal **ret, const struct journal_options *opt, struct journal_report *report, struct entente_err *err)
{
	struct journal_report own = {0}, *rep = report ? report : &own;
	*rep = own;
	if (!opt->directory || (opt->segment && (opt->segment < JOURNAL_SEGMENT_MIN || opt->segment > JOURNAL_SEGMENT_MAX)))
		return err_set(err, ENTENTE_EINVAL, REASON_SERVER_STORE, "the journal's options are wrong");
	struct journal *j = make(opt);
	int rc = open_directory(j, err);
	if (!rc)
		rc = recover(j, rep, err);
	if (rc)
		goto out;
	writer_begin(j);
	do
		writer_turn(j);
	while (j->marker_set && j->active && !j->stuck); /* a message that crashes us at once is counted all the same */
	rc = start(j, err);
out:
	if (rc)
		journal_close(j);
	else
		*ret = j;
	return rc;
}

/* ---- closing ---- */
static void free_list(struct list *l)
{
	for (struct list *n; (n = list_head(l));) {
		struct entry *e = CONTAINER_OF(n, struct entry, dirty);
		list_remove(&e->dirty);
		if (!e->over)
			continue; /* the index has it */
		list_remove(&e->in_segment);
		mem_free(e);
	}
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

struct journal *journal_close(struct journal *j)
{
	if (!j)
		return NULL;
	if (j->started) {
		pthread_mutex_lock(&j->lock);
		j->stop = true;
		pthread_cond_signal(&j->work);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->thread, NULL);
	}
	free_list(&j->dirty);
	free_list(&j->settling);
	index_free(&j->index);
	for (struct list *l; (l = list_head(&j->segments));)
		segment_drop(j, CONTAINER_OF(l, struct segment, node));
	close_fd(j->active_fd);
	close_fd(j->spare_fd);
	close_fd(j->read_fd);
	close_fd(j->marker_fd);
	close_fd(j->lock_fd);
	close_fd(j->dir);
	buf_free(&j->out);
	mem_free(j->group);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->idle);
	pthread_mutex_destroy(&j->lock);
	mem_free((char *)(uintptr_t)j->opt.directory);
	return mem_free(j);
}
