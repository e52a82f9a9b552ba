/* SPDX-License-Identifier: Apache-2.0 */
/* The bus is a stack pushed by compare-and-swap and taken whole by its one reader, who turns it over: order per producer
 * holds. Sleep and wake-up follow Dekker: the reader declares itself asleep, then looks once more; a producer pushes, then
 * looks whether the reader sleeps. All four steps are sequentially consistent, so at least one sees the other. */
#include "net/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/map.h"
#include "base/mem.h"
#include "net/loop_int.h"

enum { PUMP = 128, QUEUE_DEFAULT = 8192 };

struct low_msg { /* "my queue is low again", from a receiver to one producer */
	struct bus_msg msg;
	unsigned receiver;
};

struct own_msg {
	struct bus_msg msg;
	struct worker *worker;
};

struct worker_own {
	/* Written by producers: */
	_Atomic(struct bus_msg *) head;
	atomic_size_t depth;
	_Atomic uint64_t waiters; /* producers to tell when the queue is low, one bit each */
	atomic_bool asleep;
	/* The reader's: */
	size_t bound;
	int wake_fd;
	struct event *wake;
	struct bus_msg *batch, **batch_end; /* taken, in order, not run yet */
	struct low_msg *low;    /* [producer]; the taker of the bit may send it */
	struct list *waiting;   /* [receiver]: bus_waits of this worker */
	bool *asked;            /* [receiver]: our bit is set or its answer is on the way */
	/* The thread's: */
	pthread_t thread;
	bool started, stopping, stopped;
	struct own_msg stop, quit, done;
	int start_code;
	struct entente_err start_err;
};

struct pool {
	struct pool_opts opts;
	unsigned n;
	struct worker *workers; /* n, and the control worker */
	pthread_mutex_t lock;   /* start-up only */
	pthread_cond_t ready;
	unsigned n_ready;
	unsigned n_stopped;
};

static _Thread_local struct worker *self_;

struct worker *worker_self(void)
{
	return self_;
}

static void wake(struct worker_own *o)
{
	uint64_t one = 1;
	while (write(o->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void worker_post_always(struct worker *to, struct bus_msg *m)
{
	struct worker_own *o = to->own;
	atomic_fetch_add_explicit(&o->depth, 1, memory_order_relaxed);
	struct bus_msg *old = atomic_load_explicit(&o->head, memory_order_relaxed);
	do
		m->next = old;
	while (!atomic_compare_exchange_weak(&o->head, &old, m));
	if (atomic_load(&o->asleep) && atomic_exchange(&o->asleep, false))
		wake(o);
}

int worker_post(struct worker *to, struct bus_msg *m)
{
	if (worker_depth(to) >= to->own->bound)
		return ENTENTE_EAGAIN;
	worker_post_always(to, m);
	return 0;
}

size_t worker_depth(const struct worker *w)
{
	return atomic_load(&w->own->depth);
}

static void take(struct worker_own *o)
{
	struct bus_msg *m = atomic_exchange(&o->head, NULL), *list = NULL, *last = m;
	while (m) {
		struct bus_msg *next = m->next;
		m->next = list;
		list = m;
		m = next;
	}
	if (list) {
		*o->batch_end = list;
		o->batch_end = &last->next;
	}
}

static bool idle(void *arg)
{
	struct worker_own *o = ((struct worker *)arg)->own;
	if (o->batch || atomic_load(&o->head))
		return true;
	atomic_store(&o->asleep, true);
	if (!atomic_load(&o->head))
		return false;
	atomic_store(&o->asleep, false);
	return true;
}

static void tell_low(struct worker *w)
{
	struct worker_own *o = w->own;
	if (!atomic_load(&o->waiters) || worker_depth(w) > o->bound / 2)
		return;
	uint64_t bits = atomic_exchange(&o->waiters, 0);
	for (unsigned i = 0; bits; i++, bits >>= 1)
		if (bits & 1)
			worker_post_always(&w->pool->workers[i], &o->low[i].msg);
}

static void pump(void *arg)
{
	struct worker *w = arg;
	struct worker_own *o = w->own;
	if (atomic_load_explicit(&o->asleep, memory_order_relaxed))
		atomic_store(&o->asleep, false);
	take(o);
	for (int i = 0; i < PUMP && o->batch; i++) {
		struct bus_msg *m = o->batch;
		o->batch = m->next;
		if (!o->batch)
			o->batch_end = &o->batch;
		atomic_fetch_sub_explicit(&o->depth, 1, memory_order_relaxed);
		m->run(w, m);
	}
	tell_low(w);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	uint64_t n;
	struct worker *w = arg;
	if (read(fd, &n, sizeof n) == sizeof n)
		loop_touch(w->loop);
}

static void run_low(struct worker *w, struct bus_msg *m)
{
	struct low_msg *low = CONTAINER_OF(m, struct low_msg, msg);
	unsigned r = low->receiver;
	struct list now;
	list_init(&now);
	while (!list_empty(&w->own->waiting[r])) {
		struct list *n = w->own->waiting[r].next;
		list_remove(n);
		list_append(&now, n);
	}
	w->own->asked[r] = false; /* from here on the message may be sent again */
	while (!list_empty(&now)) {
		struct bus_wait *b = CONTAINER_OF(now.next, struct bus_wait, node);
		list_remove(&b->node);
		b->ready(b);
	}
}

void worker_wait(struct worker *self, struct worker *to, struct bus_wait *b)
{
	struct worker_own *o = self->own;
	if (list_linked(&b->node))
		return;
	list_append(&o->waiting[to->id], &b->node);
	if (o->asked[to->id])
		return;
	o->asked[to->id] = true;
	uint64_t bit = UINT64_C(1) << self->id;
	atomic_fetch_or(&to->own->waiters, bit);
	/* The receiver may have emptied its queue before it could see the bit: whoever takes the bit away sends the message. */
	if (worker_depth(to) <= to->own->bound / 2 && (atomic_fetch_and(&to->own->waiters, ~bit) & bit))
		worker_post_always(self, &to->own->low[self->id].msg);
}

void worker_unwait(struct bus_wait *b)
{
	list_remove(&b->node);
}

static int worker_init(struct pool *p, unsigned id, struct entente_err *err)
{
	struct worker *w = &p->workers[id];
	struct worker_own *o = MEM_NEW(struct worker_own);
	w->id = id;
	w->pool = p;
	w->own = o;
	o->wake_fd = -1;
	o->batch_end = &o->batch;
	o->bound = p->opts.queue ? p->opts.queue : QUEUE_DEFAULT;
	o->low = mem_calloc(p->n + 1, sizeof *o->low);
	o->waiting = mem_calloc(p->n + 1, sizeof *o->waiting);
	o->asked = mem_calloc(p->n + 1, sizeof *o->asked);
	for (unsigned i = 0; i <= p->n; i++) {
		o->low[i] = (struct low_msg){.msg.run = run_low, .receiver = id};
		list_init(&o->waiting[i]);
	}
	int code = loop_new(&w->loop, &p->opts.loop, err);
	if (code)
		return code;
	o->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (o->wake_fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_NONE, "eventfd: %s", strerror(errno));
	o->wake = event_new(w->loop->base, o->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
	if (!o->wake || event_add(o->wake, NULL))
		return err_set(err, ENTENTE_EIO, REASON_NONE, "the wake-up descriptor of a worker cannot be watched");
	w->loop->own->idle = idle;
	w->loop->own->pump = pump;
	w->loop->own->bus_arg = w;
	return 0;
}

int pool_new(struct pool **ret, const struct pool_opts *opts, struct entente_err *err)
{
	static const struct pool_ops none;
	unsigned n = opts->workers;
	if (!n) {
		cpu_set_t set;
		n = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
	}
	if (n > POOL_WORKERS_MAX)
		n = POOL_WORKERS_MAX;
	struct pool *p = MEM_NEW(struct pool);
	p->opts = *opts;
	if (!p->opts.ops)
		p->opts.ops = &none;
	p->n = n;
	p->workers = mem_calloc(n + 1, sizeof *p->workers);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ready, NULL);
	for (unsigned i = 0; i <= n; i++) {
		int code = worker_init(p, i, err);
		if (code) {
			pool_free(p);
			return code;
		}
	}
	self_ = &p->workers[n];
	*ret = p;
	return 0;
}

/* Handlers of crash signals (SA_ONSTACK) run on a stack of their own, so that they see a thread that has used up its stack, too. ASan has one. */
static void *signal_stack(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return NULL;
#else
	enum { SIGNAL_STACK = 65536 };
	stack_t s = {.ss_sp = mem_calloc(1, SIGNAL_STACK), .ss_size = SIGNAL_STACK};
	sigaltstack(&s, NULL);
	return s.ss_sp;
#endif
}

static void signal_stack_free(void *mem)
{
	if (mem)
		sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
	mem_free(mem);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	void *stack = signal_stack();
	char name[16];
	snprintf(name, sizeof name, "worker-%u", w->id);
	pthread_setname_np(pthread_self(), name);
	self_ = w;
	int code = p->opts.ops->start ? p->opts.ops->start(w, &w->own->start_err) : 0;
	pthread_mutex_lock(&p->lock);
	w->own->start_code = code;
	p->n_ready++;
	pthread_cond_signal(&p->ready);
	pthread_mutex_unlock(&p->lock);
	if (code == 0) {
		loop_run(w->loop);
		if (p->opts.ops->end)
			p->opts.ops->end(w);
	}
	signal_stack_free(stack);
	return NULL;
}

static void run_quit(struct worker *w, struct bus_msg *m)
{
	(void)m;
	loop_stop(w->loop);
}

static void run_done(struct worker *control, struct bus_msg *m)
{
	(void)m;
	control->pool->n_stopped++;
}

static void run_stop(struct worker *w, struct bus_msg *m)
{
	(void)m;
	w->own->stopping = true;
	if (w->pool->opts.ops->stop)
		w->pool->opts.ops->stop(w);
	else
		worker_stopped(w);
}

void worker_stopped(struct worker *w)
{
	if (w->own->stopped)
		return;
	w->own->stopped = true;
	w->own->done.msg.run = run_done;
	worker_post_always(pool_control(w->pool), &w->own->done.msg);
}

bool worker_stopping(const struct worker *w)
{
	return w->own->stopping;
}

static void join_all(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct worker_own *o = p->workers[i].own;
		if (o->started) {
			o->quit.msg.run = run_quit;
			worker_post_always(&p->workers[i], &o->quit.msg);
		}
	}
	for (unsigned i = 0; i < p->n; i++) {
		if (p->workers[i].own->started)
			pthread_join(p->workers[i].own->thread, NULL);
		p->workers[i].own->started = false;
	}
}

int pool_start(struct pool *p, struct entente_err *err)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS};
	for (unsigned i = 0; i < p->n; i++) {
		struct worker *w = &p->workers[i];
		sigset_t all, old;
		sigfillset(&all); /* signals belong to the control thread; but a crash in a thread that blocks its signal reaches no handler */
		for (size_t k = 0; k < sizeof crashes / sizeof *crashes; k++)
			sigdelset(&all, crashes[k]);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		int rc = pthread_create(&w->own->thread, NULL, thread_main, w);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (rc) {
			join_all(p);
			return err_set(err, ENTENTE_EIO, REASON_NONE, "a worker thread cannot be started: %s", strerror(rc));
		}
		pthread_mutex_lock(&p->lock);
		while (p->n_ready <= i)
			pthread_cond_wait(&p->ready, &p->lock);
		pthread_mutex_unlock(&p->lock);
		int code = w->own->start_code;
		if (code) {
			pthread_join(w->own->thread, NULL);
			join_all(p);
			if (err)
				*err = w->own->start_err;
			return code;
		}
		w->own->started = true;
	}
	return 0;
}

void pool_run(struct pool *p)
{
	loop_run(pool_control(p)->loop);
}

bool pool_stop(struct pool *p, uint64_t grace_ms)
{
	struct loop *l = pool_control(p)->loop;
	unsigned running = 0;
	for (unsigned i = 0; i < p->n; i++) {
		struct worker_own *o = p->workers[i].own;
		if (!o->started)
			continue;
		running++;
		o->stop.msg.run = run_stop;
		worker_post_always(&p->workers[i], &o->stop.msg);
	}
	loop_touch(l);
	uint64_t until = l->timers.now + grace_ms;
	while (p->n_stopped < running && l->timers.now < until)
		loop_once(l, until - l->timers.now);
	bool in_time = p->n_stopped >= running;
	join_all(p);
	for (int i = 0; i < 16 && worker_depth(pool_control(p)); i++) /* what they still said */
		loop_once(l, 0);
	return in_time;
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	for (unsigned i = 0; i <= p->n; i++) {
		struct worker_own *o = p->workers[i].own;
		if (!o)
			continue;
		take(o);
		while (o->batch) {
			struct bus_msg *m = o->batch;
			o->batch = m->next;
			if (m->drop)
				m->drop(m);
		}
	}
	for (unsigned i = 0; i <= p->n; i++) {
		struct worker *w = &p->workers[i];
		if (self_ == w)
			self_ = NULL;
		if (!w->own)
			continue;
		if (w->own->wake)
			event_free(w->own->wake);
		loop_free(w->loop);
		if (w->own->wake_fd >= 0)
			close(w->own->wake_fd);
		mem_free(w->own->low);
		mem_free(w->own->waiting);
		mem_free(w->own->asked);
		mem_free(w->own);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->ready);
	mem_free(p->workers);
	return mem_free(p);
}

struct worker *pool_control(struct pool *p)
{
	return &p->workers[p->n];
}

struct worker *pool_worker(struct pool *p, unsigned i)
{
	return &p->workers[i];
}

unsigned pool_workers(const struct pool *p)
{
	return p->n;
}

void *pool_arg(const struct pool *p)
{
	return p->opts.arg;
}

struct worker *pool_pick(struct pool *p, struct slice key)
{
	return &p->workers[hash_slice_nocase(key) % p->n];
}
