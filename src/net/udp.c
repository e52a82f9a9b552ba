/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp.h"

#include <errno.h>
#include <event2/event.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "net/kept.h"
#include "net/loop_int.h"

enum { BATCH = 16, DATAGRAM_MAX = 65507, SLOT = 65536, QUEUE_DEFAULT = 1 << 20, SOCKET_BUFFER = 1 << 20 };

struct head { /* in front of each datagram in the queue */
	struct addr to;
	size_t len;
};

struct udp {
	struct loop *loop;
	struct udp_opts o;
	int fd;
	struct event *rd, *wr;
	struct addr addr;
	struct buf out; /* head, octets, head, octets ... */
	struct loop_hook hook, reap;
	bool closed, writing;
	struct udp_counts counts;
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct udp *u = arg;
	struct mmsghdr mm[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	loop_touch(u->loop);
	if (!u->loop->own->udp) /* only touched pages become memory */
		u->loop->own->udp = mem_realloc(NULL, (size_t)BATCH * SLOT);
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){u->loop->own->udp + (size_t)i * SLOT, SLOT};
		mm[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i], .msg_iovlen = 1};
	}
	int n = recvmmsg(fd, mm, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n && !u->closed; i++) { /* n < 0: nothing, or an ICMP error of an earlier datagram */
		struct addr a;
		u->counts.in++;
		u->counts.in_octets += mm[i].msg_len;
		if (mm[i].msg_hdr.msg_flags & MSG_TRUNC)
			u->counts.in_cut++;
		else if (addr_from_sockaddr((struct sockaddr *)&from[i], &a))
			u->o.data(u, &a, slice_of(iov[i].iov_base, mm[i].msg_len));
	}
}

static void watch_write(struct udp *u, bool on)
{
	if (on == u->writing)
		return;
	u->writing = on;
	if (on)
		event_add(u->wr, NULL);
	else
		event_del(u->wr);
}

static void flush(struct udp *u)
{
	while (u->out.len) {
		struct mmsghdr mm[BATCH];
		struct iovec iov[BATCH];
		struct addr to[BATCH];
		struct slice rest = buf_slice(&u->out);
		unsigned n = 0;
		while (n < BATCH && rest.len) {
			struct head h;
			memcpy(&h, rest.p, sizeof h);
			rest = slice_skip(rest, sizeof h);
			to[n] = h.to;
			iov[n] = (struct iovec){(char *)(uintptr_t)rest.p, h.len};
			mm[n].msg_hdr = (struct msghdr){
				.msg_name = &to[n], .msg_namelen = addr_len(&to[n]), .msg_iov = &iov[n], .msg_iovlen = 1};
			rest = slice_skip(rest, h.len);
			n++;
		}
		int sent = sendmmsg(u->fd, mm, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
			watch_write(u, true);
			return;
		}
		if (sent <= 0) { /* the first one cannot go (no route, refused, too big): it is lost, the others try on */
			u->counts.out_dropped++;
			buf_consume(&u->out, sizeof(struct head) + iov[0].iov_len);
			continue;
		}
		for (int i = 0; i < sent; i++) {
			u->counts.out++;
			u->counts.out_octets += iov[i].iov_len;
			buf_consume(&u->out, sizeof(struct head) + iov[i].iov_len);
		}
	}
	watch_write(u, false);
	buf_shrink(&u->out, 65536);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct udp *u = arg;
	loop_touch(u->loop);
	flush(u);
}

static void work(struct loop_hook *h)
{
	flush(CONTAINER_OF(h, struct udp, hook));
}

static void reap(struct loop_hook *h)
{
	mem_free(CONTAINER_OF(h, struct udp, reap));
}

static int bind_socket(const struct udp_opts *o, struct entente_err *err)
{
	char text[ADDR_TEXT];
	int one = 1, fd = socket(o->addr.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, ENTENTE_ENET, REASON_NONE, "no datagram socket: %s", strerror(errno));
	if (addr_is_v6(&o->addr))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	int failed = bind(fd, &o->addr.sa, addr_len(&o->addr));
	if (failed && errno == EADDRINUSE && o->kept && kept_make_room(SOCK_DGRAM, &o->addr))
		failed = bind(fd, &o->addr.sa, addr_len(&o->addr));
	if (!failed) {
		if (o->kept)
			kept_put(fd, SOCK_DGRAM, &o->addr);
		return fd;
	}
	int error = errno;
	addr_text(&o->addr, text);
	close(fd);
	return err_set(err, ENTENTE_ENET, REASON_NONE, "UDP %s: %s", text, strerror(error));
}

int udp_open(struct udp **ret, struct loop *l, const struct udp_opts *o, struct entente_err *err)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	int size = SOCKET_BUFFER, fd = o->kept ? kept_take(SOCK_DGRAM, &o->addr) : -1;
	if (fd < 0 && (fd = bind_socket(o, err)) < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0) {
		close(fd);
		return err_set(err, ENTENTE_ENET, REASON_NONE, "a datagram socket has no name: %s", strerror(errno));
	}
	struct udp *u = MEM_NEW(struct udp);
	u->loop = l;
	u->o = *o;
	u->fd = fd;
	addr_from_sockaddr((struct sockaddr *)&ss, &u->addr);
	buf_init(&u->out, o->queue_max ? o->queue_max : QUEUE_DEFAULT);
	list_init(&u->hook.node);
	list_init(&u->reap.node);
	u->hook.run = work;
	u->reap.run = reap;
	u->rd = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, u);
	u->wr = event_new(l->base, fd, EV_WRITE | EV_PERSIST, on_writable, u);
	event_add(u->rd, NULL);
	*ret = u;
	return 0;
}

struct udp *udp_close(struct udp *u)
{
	if (!u || u->closed)
		return NULL;
	flush(u);
	u->closed = true;
	event_free(u->rd);
	event_free(u->wr);
	close(u->fd);
	buf_free(&u->out);
	loop_undefer(&u->hook);
	loop_reap(u->loop, &u->reap);
	return NULL;
}

int udp_send(struct udp *u, const struct addr *to, struct slice s)
{
	struct head h = {.to = *to, .len = s.len};
	char *p = s.len > DATAGRAM_MAX || u->closed ? NULL : buf_reserve(&u->out, sizeof h + s.len);
	if (!p) {
		u->out.failed = false;
		u->counts.out_dropped++;
		return ENTENTE_ELIMIT;
	}
	memcpy(p, &h, sizeof h);
	if (s.len)
		memcpy(p + sizeof h, s.p, s.len);
	buf_commit(&u->out, sizeof h + s.len);
	if (!u->writing)
		loop_defer(u->loop, &u->hook);
	return 0;
}

void *udp_owner(const struct udp *u)
{
	return u->o.owner;
}

const struct addr *udp_addr(const struct udp *u)
{
	return &u->addr;
}

void udp_counts(const struct udp *u, struct udp_counts *ret)
{
	*ret = u->counts;
}
