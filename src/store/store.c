/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread. Callers append requests to a queue under a short lock; the thread takes what is there, up to BATCH,
 * into one transaction (one fsync for all), and calls the completions only after the commit. */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

enum { BATCH = 256 };

int store_submit(struct store *s, struct store_request *r)
{
	if (s->collects) {
		list_append(&s->queue, &r->node);
		s->queued++;
		return 0;
	}
	pthread_mutex_lock(&s->lock);
	bool full = s->queued >= s->opt.queue_max || s->octets + r->octets > STORE_QUEUE_OCTETS;
	if (!full) {
		if (!s->queued)
			pthread_cond_signal(&s->work);
		list_append(&s->queue, &r->node);
		s->queued++;
		s->octets += r->octets;
		s->accepted++;
	}
	pthread_mutex_unlock(&s->lock);
	if (full)
		store_request_free(r);
	return full ? ENTENTE_ELIMIT : 0;
}

static void set_failing(struct store *s, bool failing, const struct entente_err *err)
{
	pthread_mutex_lock(&s->lock);
	bool changed = s->failing != failing;
	s->failing = failing;
	pthread_mutex_unlock(&s->lock);
	if (changed && s->opt.health)
		s->opt.health(s->opt.arg, failing, failing ? err : NULL);
}

/* All or nothing at the end; within, a change that is refused leaves the others be. */
static int transaction(struct store *s, struct store_request **r, size_t n, struct entente_err *errs, struct entente_err *whole)
{
	if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(s->db, "cannot begin", whole);
	for (size_t i = 0; i < n; i++) {
		r[i]->code = r[i]->op < STORE_OP_SIMPLE ? store_request_run(s, r[i], &errs[i])
							: store_change_run(s, r[i], &errs[i]);
		/* a full disk or a read error makes the rest pointless, and may have rolled back what came before */
		if (r[i]->code == ENTENTE_ESTORE) {
			*whole = errs[i];
			if (!sqlite3_get_autocommit(s->db))
				sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
			return ENTENTE_ESTORE;
		}
	}
	if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		store_fail(s->db, "cannot commit", whole);
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		return ENTENTE_ESTORE;
	}
	return 0;
}

static void run_batch(struct store *s, struct store_request **r, size_t n, struct entente_err *errs)
{
	struct entente_err whole = {0};
	s->next_generation = 0;
	int rc = transaction(s, r, n, errs, &whole);
	if (!rc && s->next_generation)
		s->generation = s->next_generation;
	set_failing(s, rc != 0, &whole);
	for (size_t i = 0; i < n; i++) {
		int code = rc ? rc : r[i]->code;
		if (r[i]->done)
			r[i]->done(r[i]->arg, code, code ? (rc ? &whole : &errs[i]) : NULL);
		store_request_free(r[i]);
	}
}

static void *writer(void *arg)
{
	struct store *s = arg;
	struct store_request *batch[BATCH];
	struct entente_err *errs = mem_calloc(BATCH, sizeof *errs);
	pthread_setname_np(pthread_self(), "store");
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (list_empty(&s->queue) && !s->stop)
			pthread_cond_wait(&s->work, &s->lock);
		size_t n = 0;
		for (struct list *l; n < BATCH && (l = list_head(&s->queue)); n++) {
			batch[n] = CONTAINER_OF(l, struct store_request, node);
			list_remove(l);
			s->queued--;
			s->octets -= batch[n]->octets;
		}
		if (!n)
			break; /* stop, and nothing left */
		pthread_mutex_unlock(&s->lock);
		run_batch(s, batch, n, errs);
		pthread_mutex_lock(&s->lock);
		s->finished += n;
		pthread_cond_broadcast(&s->idle);
	}
	pthread_mutex_unlock(&s->lock);
	mem_free(errs);
	return NULL;
}

/* One daemon per database: SQLite itself would let two share it, and each would miss the other's changes. */
static int take_lock(struct store *s, struct entente_err *err)
{
	char path[sizeof s->path + 8];
	snprintf(path, sizeof path, "%s.lock", s->path);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE,
			       "cannot create %s: %s; the directory must exist and belong to the user that runs entented", path,
			       strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE,
			       "%s is in use: another entented runs on this directory", s->path);
	return 0;
}

/* Made by us so that it never exists with another mode, not even for a moment. WAL and index take its mode. */
static int make_file(struct store *s, struct entente_err *err)
{
	struct stat st;
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
	if (fd < 0 || fstat(fd, &st) != 0 || ((st.st_mode & 077) && fchmod(fd, 0600) != 0))
		rc = err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot open %s: %s", s->path, strerror(errno));
	if (fd >= 0)
		close(fd); /* before SQLite opens it: closing drops the process's POSIX locks */
	return rc;
}

static int get_secret(struct store *s, const char *name, unsigned char ret[STORE_SECRET_LEN], struct entente_err *err)
{
	unsigned char fresh[STORE_SECRET_LEN];
	rand_bytes(fresh, sizeof fresh);
	sqlite3_stmt *put = NULL, *get = NULL;
	int rc = ENTENTE_ESTORE;
	if (sqlite3_prepare_v2(s->db, "INSERT OR IGNORE INTO secret(name, value, made_at) VALUES(?1, ?2, ?3)", -1, &put,
			       NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(s->db, "SELECT value FROM secret WHERE name = ?1", -1, &get, NULL) == SQLITE_OK) {
		sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_blob(put, 2, fresh, sizeof fresh, SQLITE_STATIC);
		sqlite3_bind_int64(put, 3, clock_unix());
		sqlite3_bind_text(get, 1, name, -1, SQLITE_STATIC);
		if (sqlite3_step(put) == SQLITE_DONE && sqlite3_step(get) == SQLITE_ROW &&
		    sqlite3_column_bytes(get, 0) == STORE_SECRET_LEN) {
			memcpy(ret, sqlite3_column_blob(get, 0), STORE_SECRET_LEN);
			rc = 0;
		}
	}
	if (rc)
		store_fail(s->db, "cannot make or read the secret", err);
	sqlite3_finalize(put);
	sqlite3_finalize(get);
	explicit_bzero(fresh, sizeof fresh);
	return rc;
}

static int start_thread(struct store *s, struct entente_err *err)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the control thread */
	int rc = pthread_create(&s->thread, NULL, writer, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot start the store thread: %s", strerror(rc));
	s->started = true;
	return 0;
}

int store_open(struct store **ret, const struct store_options *opt, struct entente_err *err)
{
	struct store *s = MEM_NEW(struct store);
	int rc;
	s->opt = *opt;
	s->opt.directory = mem_strndup(opt->directory, strlen(opt->directory)); /* the caller's goes with its configuration */
	if (!s->opt.queue_max)
		s->opt.queue_max = STORE_QUEUE_DEFAULT;
	s->lock_fd = -1;
	list_init(&s->queue);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, NULL);
	int n = snprintf(s->path, sizeof s->path, "%s/entente.db", opt->directory);
	if (n < 0 || (size_t)n >= sizeof s->path) {
		rc = err_set(err, ENTENTE_EINVAL, REASON_SERVER_STORE, "the name of the state directory is too long");
		goto out;
	}
	rc = take_lock(s, err);
	if (!rc)
		rc = make_file(s, err);
	if (!rc)
		rc = store_connect(&s->db, s->path, true, err);
	if (!rc)
		rc = store_schema_prepare(s->db, s->path, opt->checked, err);
	if (!rc)
		rc = get_secret(s, "dialback", s->dialback, err);
	if (!rc) {
		s->generation = store_generation_read(s->db, err);
		rc = s->generation < 0 ? ENTENTE_ESTORE : start_thread(s, err);
	}
out:
	if (rc)
		store_close(s);
	else
		*ret = s;
	return rc;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->work);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	store_statements_free(s);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd); /* the file stays: removing it would race with the next daemon's lock */
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	explicit_bzero(s->dialback, sizeof s->dialback);
	mem_free((char *)(uintptr_t)s->opt.directory);
	return mem_free(s);
}

int store_flush(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t target = s->accepted;
	while (s->finished < target)
		pthread_cond_wait(&s->idle, &s->lock);
	bool failing = s->failing;
	pthread_mutex_unlock(&s->lock);
	return failing ? ENTENTE_ESTORE : 0;
}

void store_dialback_secret(const struct store *s, unsigned char ret[STORE_SECRET_LEN])
{
	memcpy(ret, s->dialback, STORE_SECRET_LEN);
}

void store_wait_init(struct store_wait *w)
{
	*w = (struct store_wait){.done = false};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
}

void store_wait_done(void *arg, int code, const struct entente_err *err)
{
	struct store_wait *w = arg;
	pthread_mutex_lock(&w->lock);
	w->code = code;
	if (err)
		w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->cond); /* under the lock: the waiter destroys w as soon as it has it */
	pthread_mutex_unlock(&w->lock);
}

int store_wait(struct store_wait *w, struct entente_err *err)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	if (err && w->code)
		*err = w->err;
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	return w->code;
}
