/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and the bus between them. A pool has W workers, each a thread with its own loop, and a control worker whose loop runs
 * on the thread that made the pool (main). Nothing is shared between workers but immutable, reference-counted data inside
 * messages. A message is an intrusive node; its queue is lock-free for producers, wakes the receiver only when it sleeps, keeps
 * the order per producer, and is bounded: a full queue is told to the producer, who stops reading its sockets until worker_wait
 * calls back. W = 1 behaves the same with one worker thread. */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "net/loop.h"

enum { POOL_WORKERS_MAX = 62 };

struct pool;

struct worker {
	struct loop *loop;
	struct pool *pool;
	void *state;  /* of the role that runs here; set in ops->start */
	unsigned id;  /* 0 .. W-1; the control worker has W */
	struct worker_own *own; /* private */
};

struct bus_msg {
	struct bus_msg *next;
	/* Runs on the receiver's thread, which owns the message from then on (frees or forwards it). */
	void (*run)(struct worker *w, struct bus_msg *m);
	/* Instead of run when the receiver has ended; frees the message. Runs in pool_free. NULL: nothing to free. */
	void (*drop)(struct bus_msg *m);
};

/* Any thread. 0, or ENTENTE_EAGAIN when the receiver's queue is full: the message is still the caller's. */
int worker_post(struct worker *to, struct bus_msg *m);
/* Any thread. Ignores the bound: only for answers and releases, whose number the receiver itself bounds. */
void worker_post_always(struct worker *to, struct bus_msg *m);
/* Messages waiting now (roughly). Any thread. */
size_t worker_depth(const struct worker *w);

/* A producer that got ENTENTE_EAGAIN waits here; `ready` runs once on the producer's own thread when the receiver's queue
 * has fallen to half of its bound. Only from a worker's thread (`self` is its own). node zeroed before first use; waiting
 * again while waiting does nothing. */
struct bus_wait {
	struct list node;
	void (*ready)(struct bus_wait *b);
};
void worker_wait(struct worker *self, struct worker *to, struct bus_wait *b);
void worker_unwait(struct bus_wait *b);

/* The worker whose thread this is, or NULL. */
struct worker *worker_self(void);

struct pool_ops {
	/* On the worker's thread, before its loop turns. Not 0: the pool does not start (err goes to pool_start's caller). */
	int (*start)(struct worker *w, struct entente_err *err);
	/* On the worker's thread, loop turning: begin to drain; call worker_stopped when done. NULL: done at once. */
	void (*stop)(struct worker *w);
	/* On the worker's thread after its loop has ended: free everything. May be NULL. Not called if start failed. */
	void (*end)(struct worker *w);
};

struct pool_opts {
	unsigned workers;      /* 0 = number of usable cores */
	size_t queue;          /* messages per worker; 0 = 8192 */
	struct loop_opts loop;
	const struct pool_ops *ops; /* static; may be NULL */
	void *arg;             /* pool_arg */
};

/* Makes loops and queues, no threads yet; the control loop may be used at once. */
int pool_new(struct pool **ret, const struct pool_opts *opts, struct entente_err *err);
/* Starts all threads and waits until each has run ops->start. On failure those that had started have ended again. */
int pool_start(struct pool *p, struct entente_err *err);
/* Runs the control loop until loop_stop(control->loop). */
void pool_run(struct pool *p);
/* On the control thread, outside any callback: asks every worker to stop, turns the control loop until all have called
 * worker_stopped or grace_ms are over, then ends and joins the threads. Returns false when the grace was not enough. */
bool pool_stop(struct pool *p, uint64_t grace_ms);
void worker_stopped(struct worker *w);
/* True from the moment that this worker was asked to stop. Worker's thread. */
bool worker_stopping(const struct worker *w);
/* After pool_stop (or without a start). Drops messages left. Accepts NULL; returns NULL. */
struct pool *pool_free(struct pool *p);

struct worker *pool_control(struct pool *p);
/* i < pool_workers(p) */
struct worker *pool_worker(struct pool *p, unsigned i);
unsigned pool_workers(const struct pool *p);
void *pool_arg(const struct pool *p);
/* The worker that owns a key (remote domain, local user): ASCII case is ignored. */
struct worker *pool_pick(struct pool *p, struct slice key);
