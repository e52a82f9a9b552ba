/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from the control thread that run on every worker. */
#include <pthread.h>
#include "app/node_int.h"

#include "base/mem.h"

struct call {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned left, refs;
	void (*fn)(struct node *n, void *arg);
	void *arg;
	bool abandoned;
	struct call_msg {
		struct bus_msg bus;
		struct call *call;
		struct node *node;
	} msgs[];
};

static void call_unref(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	bool last = --c->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (last) {
		pthread_mutex_destroy(&c->lock);
		pthread_cond_destroy(&c->cond);
		mem_free(c);
	}
}

static void call_run(struct worker *w, struct bus_msg *b)
{
	struct call_msg *m = CONTAINER_OF(b, struct call_msg, bus);
	struct call *c = m->call;
	(void)w;
	/* under the lock: the caller's data must not vanish meanwhile, and workers fill it one after the other */
	pthread_mutex_lock(&c->lock);
	if (!c->abandoned)
		c->fn(m->node, c->arg);
	c->left--;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	call_unref(c);
}

static void call_drop(struct bus_msg *b)
{
	call_unref(CONTAINER_OF(b, struct call_msg, bus)->call);
}

bool nodes_call(struct app *app, void (*fn)(struct node *, void *), void *arg)
{
	unsigned n = pool_workers(app->pool);
	struct call *c = mem_calloc(1, sizeof *c + n * sizeof *c->msgs);
	struct timespec until;
	pthread_condattr_t steady;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, &steady);
	pthread_condattr_destroy(&steady);
	c->left = n;
	c->refs = n + 1;
	c->fn = fn;
	c->arg = arg;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 5;
	for (unsigned i = 0; i < n; i++) {
		c->msgs[i] = (struct call_msg){.bus = {.run = call_run, .drop = call_drop}, .call = c, .node = &app->nodes[i]};
		worker_post_always(pool_worker(app->pool, i), &c->msgs[i].bus);
	}
	pthread_mutex_lock(&c->lock);
	while (c->left && pthread_cond_timedwait(&c->cond, &c->lock, &until) == 0)
		;
	bool ok = c->left == 0;
	c->abandoned = true;
	pthread_mutex_unlock(&c->lock);
	call_unref(c);
	return ok;
}

struct post_msg {
	struct bus_msg bus;
	struct node *node;
	void (*fn)(struct node *n, void *arg);
	void *arg;
};

static void post_run(struct worker *w, struct bus_msg *b)
{
	struct post_msg *m = CONTAINER_OF(b, struct post_msg, bus);
	(void)w;
	m->fn(m->node, m->arg);
	mem_free(m);
}

static void post_drop(struct bus_msg *b)
{
	mem_free(CONTAINER_OF(b, struct post_msg, bus));
}

void node_post_call(struct node *n, void (*fn)(struct node *, void *), void *arg)
{
	struct post_msg *m = MEM_NEW(struct post_msg);
	*m = (struct post_msg){.bus = {.run = post_run, .drop = post_drop}, .node = n, .fn = fn, .arg = arg};
	worker_post_always(n->worker, &m->bus);
}
