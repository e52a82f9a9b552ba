/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/kept.h"

enum { BACKLOG = 1024, PER_EVENT = 64, REST_MS = 200 };

struct listener {
	struct loop *loop;
	struct listener_opts o;
	int fd;
	struct event *ev;
	struct timer rest; /* after the process ran out of descriptors */
	struct addr addr;
	unsigned next;     /* worker */
	uint64_t accepted;
	bool paused;
};

struct handover {
	struct bus_msg msg;
	void (*accepted)(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
	void *arg;
	int fd;
	struct addr from;
	struct gate_pass *pass;
};

static void run_handover(struct worker *w, struct bus_msg *m)
{
	struct handover *h = CONTAINER_OF(m, struct handover, msg);
	h->accepted(h->arg, w, h->fd, &h->from, h->pass);
	mem_free(h);
}

static void drop_handover(struct bus_msg *m)
{
	struct handover *h = CONTAINER_OF(m, struct handover, msg);
	close(h->fd);
	gate_leave(h->pass);
	mem_free(h);
}

static void refuse(struct listener *l, const struct addr *from, const char *why)
{
	if (l->o.refused)
		l->o.refused(l->o.arg, from, why);
}

static void deal_out(struct listener *l, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct handover *h = MEM_NEW(struct handover);
	*h = (struct handover){
		.msg = {.run = run_handover, .drop = drop_handover},
		.accepted = l->o.accepted,
		.arg = l->o.arg,
		.fd = fd,
		.from = *from,
		.pass = pass,
	};
	unsigned n = pool_workers(l->o.pool);
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = pool_worker(l->o.pool, l->next++ % n);
		if (worker_post(w, &h->msg) == 0)
			return;
	}
	drop_handover(&h->msg);
	refuse(l, from, "busy");
}

static void take(struct listener *l, int fd, const struct addr *from)
{
	struct gate_pass *pass = NULL;
	const char *why = NULL;
	if (l->o.gate && !(pass = gate_enter(l->o.gate, from, l->loop->timers.now, &why))) {
		close(fd);
		refuse(l, from, why);
		return;
	}
	l->accepted++;
	if (l->o.pool)
		deal_out(l, fd, from, pass);
	else
		l->o.accepted(l->o.arg, NULL, fd, from, pass);
}

static void on_connection(evutil_socket_t lfd, short what, void *arg)
{
	(void)what;
	struct listener *l = arg;
	loop_touch(l->loop);
	for (int i = 0; i < PER_EVENT && !l->paused; i++) {
		struct sockaddr_storage ss;
		socklen_t n = sizeof ss;
		struct addr from;
		int fd = accept4(lfd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0 && addr_from_sockaddr((struct sockaddr *)&ss, &from)) {
			take(l, fd, &from);
			continue;
		}
		if (fd >= 0) {
			close(fd);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR || errno == EPERM || errno == EPROTO)
			continue;
		if (errno != EAGAIN) { /* EMFILE, ENFILE, ENOBUFS, ENOMEM: waiting connections stay in the backlog */
			memset(&from, 0, sizeof from);
			from.sa.sa_family = AF_INET;
			event_del(l->ev);
			timer_arm(&l->loop->timers, &l->rest, REST_MS);
			refuse(l, &from, strerror(errno));
		}
		return;
	}
}

static void on_rested(struct timer *t, uint64_t now)
{
	(void)now;
	struct listener *l = CONTAINER_OF(t, struct listener, rest);
	if (!l->paused)
		event_add(l->ev, NULL);
}

static int open_socket(const struct listener_opts *o, struct entente_err *err)
{
	char text[ADDR_TEXT];
	int one = 1, fd = socket(o->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, ENTENTE_ENET, REASON_NONE, "no listening socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (addr_is_v6(&o->addr))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	int failed = bind(fd, &o->addr.sa, addr_len(&o->addr));
	if (failed && errno == EADDRINUSE && o->kept && kept_make_room(SOCK_STREAM, &o->addr))
		failed = bind(fd, &o->addr.sa, addr_len(&o->addr));
	if (!failed && listen(fd, o->backlog ? o->backlog : BACKLOG) == 0) {
		if (o->kept == LISTENER_KEPT)
			kept_put(fd, SOCK_STREAM, &o->addr);
		return fd;
	}
	const char *hint = "";
	int error = errno;
	if (error == EADDRINUSE)
		hint = " (another program listens there)";
	else if (error == EACCES)
		hint = " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)";
	else if (error == EADDRNOTAVAIL)
		hint = " (this machine does not have the address)";
	addr_text(&o->addr, text);
	close(fd);
	return err_set(err, ENTENTE_ENET, REASON_NONE, "listening on %s: %s%s", text, strerror(error), hint);
}

int listener_socket(const struct listener_opts *o, struct entente_err *err)
{
	int fd = o->fd > 0 ? o->fd : o->kept ? kept_take(SOCK_STREAM, &o->addr) : -1;
	return fd >= 0 ? fd : open_socket(o, err);
}

int listener_new(struct listener **ret, struct loop *loop, const struct listener_opts *o, struct entente_err *err)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	int fd = listener_socket(o, err);
	if (fd < 0)
		return fd;
	struct listener *l = MEM_NEW(struct listener);
	l->loop = loop;
	l->o = *o;
	l->fd = fd;
	if (o->gate)
		gate_ref(o->gate);
	timer_init(&l->rest, on_rested);
	evutil_make_socket_nonblocking(fd);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0 || !addr_from_sockaddr((struct sockaddr *)&ss, &l->addr))
		l->addr = o->addr;
	l->ev = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_connection, l);
	if (!l->ev || event_add(l->ev, NULL)) {
		listener_free(l);
		return err_set(err, ENTENTE_EIO, REASON_NONE, "the listening socket cannot be watched");
	}
	*ret = l;
	return 0;
}

struct listener *listener_free(struct listener *l)
{
	if (!l)
		return NULL;
	timer_cancel(&l->loop->timers, &l->rest);
	if (l->ev)
		event_free(l->ev);
	close(l->fd);
	gate_unref(l->o.gate);
	return mem_free(l);
}

void listener_pause(struct listener *l, bool pause)
{
	if (pause == l->paused)
		return;
	l->paused = pause;
	if (pause)
		event_del(l->ev);
	else
		event_add(l->ev, NULL);
}

const struct addr *listener_addr(const struct listener *l)
{
	return &l->addr;
}

uint64_t listener_accepted(const struct listener *l)
{
	return l->accepted;
}
