/* SPDX-License-Identifier: Apache-2.0 */
#include "api/hasher.h"

#include <pthread.h>
#include <signal.h>
#include "admin/password.h"
#include "base/list.h"
#include "base/mem.h"

struct job {
	struct bus_msg bus;
	struct list node;
	struct hasher *hasher;
	hasher_done *done;
	void *arg;
	uint64_t id;
	bool verify, ok;
	size_t len;
	char hash[ADMIN_PASSWORD_HASH];
	char password[ADMIN_PASSWORD_MAX];
};

struct hasher {
	struct worker *home;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;
	struct list queue;
	size_t waiting; /* also what is under way or on its way back */
	bool stop;      /* home's thread sets it; then nobody is told */
	size_t refs;    /* the owner, and each job */
};

static void unref(struct hasher *h)
{
	pthread_mutex_lock(&h->lock);
	bool last = --h->refs == 0;
	pthread_mutex_unlock(&h->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->work);
	mem_free(h);
}

static void job_free(struct job *j)
{
	struct hasher *h = j->hasher;
	explicit_bzero(j, sizeof *j);
	mem_free(j);
	unref(h);
}

static void told(struct worker *w, struct bus_msg *m)
{
	struct job *j = CONTAINER_OF(m, struct job, bus);
	(void)w;
	pthread_mutex_lock(&j->hasher->lock);
	bool stop = j->hasher->stop;
	j->hasher->waiting--;
	pthread_mutex_unlock(&j->hasher->lock);
	if (!stop)
		j->done(j->arg, j->id, j->ok, j->ok && !j->verify ? j->hash : NULL);
	job_free(j);
}

static void dropped(struct bus_msg *m)
{
	job_free(CONTAINER_OF(m, struct job, bus));
}

static void carry_out(struct job *j)
{
	struct slice password = slice_of(j->password, j->len);
	j->ok = j->verify ? admin_password_verify(j->hash, password) : admin_password_hash(j->hash, password);
	explicit_bzero(j->password, sizeof j->password);
	worker_post_always(j->hasher->home, &j->bus);
}

static void *run(void *arg)
{
	struct hasher *h = arg;
	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct list *first = list_head(&h->queue);
		if (!first) {
			pthread_cond_wait(&h->work, &h->lock);
			continue;
		}
		list_remove(first);
		pthread_mutex_unlock(&h->lock);
		carry_out(CONTAINER_OF(first, struct job, node));
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

struct hasher *hasher_new(struct worker *home)
{
	struct hasher *h = MEM_NEW(struct hasher);
	sigset_t all, before;
	h->home = home;
	h->refs = 1;
	list_init(&h->queue);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	sigfillset(&all); /* signals are the control thread's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&h->thread, NULL, run, h))
		abort(); /* as an exhausted heap, ADR 2 */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return h;
}

struct hasher *hasher_free(struct hasher *h)
{
	if (!h)
		return NULL;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->work);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	LIST_EACH(n, &h->queue) {
		list_remove(n);
		job_free(CONTAINER_OF(n, struct job, node));
	}
	unref(h);
	return NULL;
}

bool hasher_submit(struct hasher *h, struct slice password, const char *hash, hasher_done *done, void *arg, uint64_t id)
{
	pthread_mutex_lock(&h->lock);
	bool room = h->waiting < HASHER_QUEUE && !h->stop && password.len <= ADMIN_PASSWORD_MAX;
	if (room) {
		struct job *j = MEM_NEW(struct job);
		j->bus = (struct bus_msg){.run = told, .drop = dropped};
		j->hasher = h;
		j->done = done;
		j->arg = arg;
		j->id = id;
		j->verify = hash != NULL;
		j->len = password.len;
		if (password.len)
			memcpy(j->password, password.p, password.len);
		slice_cstr(slice_str(hash), j->hash, sizeof j->hash);
		list_append(&h->queue, &j->node);
		h->waiting++;
		h->refs++;
		pthread_cond_signal(&h->work);
	}
	pthread_mutex_unlock(&h->lock);
	return room;
}
