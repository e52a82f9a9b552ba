/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life. Calls of the owner only note what is wanted; conn_work does it at the end of the turn, so that no
 * owner is called back from inside its own call, and all that was written in one turn leaves at once. */
#include "net/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/conn_int.h"
#include "net/listener.h"
#include "net/loop_int.h"

const struct conn_limits CONN_LIMITS_DEFAULT = {
	.in_max = 64 << 10,
	.out_max = 1 << 20,
	.out_high = 256 << 10,
	.out_low = 64 << 10,
	.connect_ms = 10000,
	.handshake_ms = 10000,
	.idle_ms = 0,
	.linger_ms = 5000,
};

/* A handshake step costs as much as a hundred messages. When a thousand partners come at once, the others are served between
 * slices of this length. */
enum { SHAKE_SHARE_NS = 4000000 };
/* The end of a connection costs its owner as much: what hung on it is looked at, logged, freed. So many are told in a turn. */
enum { ENDS_PER_TURN = 24 };

enum { KEEP_IDLE = 120, KEEP_INTERVAL = 30, KEEP_COUNT = 4, USER_TIMEOUT_MS = 120000 };

void conn_later(struct conn *c)
{
	loop_defer(c->loop, &c->hook);
}

void conn_watch(struct conn *c)
{
	bool want = c->state != CONN_CLOSED && c->state != CONN_CONNECTING && c->state != CONN_UPGRADING && !c->fin &&
		!list_linked(&c->shaker) && ((!c->paused && !c->told_eof) || c->closing);
	if (want == c->reading)
		return;
	c->reading = want;
	if (want)
		event_add(&c->rd, NULL);
	else
		event_del(&c->rd);
}

void conn_watch_write(struct conn *c, bool on)
{
	if (on == c->writing)
		return;
	c->writing = on;
	if (on)
		event_add(&c->wr, NULL);
	else
		event_del(&c->wr);
}

static void forget_tls(struct conn *c)
{
	buf_free(&c->tls_text);
	c->tls_start.ctx = tls_ctx_unref(c->tls_start.ctx);
	c->tls_at_once = false;
}

/* Lets go of the socket and all buffers; facts stay. */
static void release(struct conn *c, bool clean)
{
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	list_remove(&c->shaker);
	timer_cancel(&c->loop->timers, &c->timer);
	conn_watch(c);
	conn_watch_write(c, false);
	tls_link_close(&c->tls, clean);
	close(c->fd);
	c->fd = -1;
	c->pass = gate_leave(c->pass);
	buf_clear(&c->out);
	conn_lend(c, &c->out);
	if (!c->delivering) {
		buf_clear(&c->in);
		conn_lend(c, &c->in);
	}
	buf_free(&c->early);
	forget_tls(c);
	c->rx_len = 0;
}

void conn_end(struct conn *c, int code, const char *fmt, ...)
{
	va_list ap;
	if (c->state == CONN_CLOSED)
		return;
	c->why = MEM_NEW(struct entente_err);
	c->why->code = code;
	va_start(ap, fmt);
	vsnprintf(c->why->text, sizeof c->why->text, fmt, ap);
	va_end(ap);
	release(c, code != ENTENTE_ETLS);
	c->tell_closed = true;
	conn_later(c);
}

static void on_timer(struct timer *t, uint64_t now)
{
	struct conn *c = CONTAINER_OF(t, struct conn, timer);
	if (c->closing)
		conn_end(c, ENTENTE_OK, "closed; the peer did not close in time");
	else if (c->state == CONN_CONNECTING)
		conn_end(c, ENTENTE_ETIMEOUT, "no answer to the connection attempt within %u ms", c->limits.connect_ms);
	else if (c->state == CONN_HANDSHAKE || c->state == CONN_UPGRADING)
		conn_end(c, ENTENTE_ETIMEOUT, "the TLS handshake was not done within %u ms", c->limits.handshake_ms);
	else if (c->limits.idle_ms && now - c->last_io >= c->limits.idle_ms)
		conn_end(c, ENTENTE_ETIMEOUT, "idle for %u ms", c->limits.idle_ms);
	else
		conn_arm(c);
}

void conn_arm(struct conn *c)
{
	uint64_t ms;
	if (c->state == CONN_CLOSED)
		return;
	if (c->closing) {
		ms = c->limits.linger_ms;
	} else if (c->state == CONN_CONNECTING) {
		ms = c->limits.connect_ms;
	} else if (c->state == CONN_HANDSHAKE || c->state == CONN_UPGRADING) {
		ms = c->limits.handshake_ms;
	} else if (c->limits.idle_ms) {
		uint64_t quiet = c->loop->timers.now - c->last_io;
		ms = quiet < c->limits.idle_ms ? c->limits.idle_ms - quiet : 0;
	} else {
		timer_cancel(&c->loop->timers, &c->timer);
		return;
	}
	timer_arm(&c->loop->timers, &c->timer, ms);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct conn *c = arg;
	loop_touch(c->loop);
	struct loop_own *o = c->loop->own;
	if (c->state == CONN_HANDSHAKE && !c->closing && (o->shaken_ns >= SHAKE_SHARE_NS || !list_empty(&o->shakers))) {
		list_append(&o->shakers, &c->shaker);
		conn_watch(c);
		return;
	}
	conn_on_readable(c);
}

void conn_shake(struct loop *l)
{
	struct loop_own *o = l->own;
	while (!list_empty(&o->shakers) && o->shaken_ns < SHAKE_SHARE_NS) {
		struct conn *c = CONTAINER_OF(o->shakers.next, struct conn, shaker);
		list_remove(&c->shaker);
		conn_watch(c);
		conn_arm(c); /* the wait was ours */
		conn_on_readable(c);
	}
}

static void finish_connect(struct conn *c)
{
	int error = 0;
	socklen_t n = sizeof error;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error) {
		char text[ADDR_TEXT];
		addr_text(&c->remote, text);
		conn_end(c, ENTENTE_ENET, "connecting to %s: %s", text, strerror(error));
		return;
	}
	conn_watch_write(c, false);
	c->tell_connected = true;
	conn_later(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct conn *c = arg;
	loop_touch(c->loop);
	if (c->state == CONN_CONNECTING) {
		finish_connect(c);
		return;
	}
	conn_watch_write(c, false);
	if (c->state == CONN_HANDSHAKE) {
		conn_handshake(c);
	} else {
		if (c->write_blocks_read) {
			c->write_blocks_read = false;
			conn_decrypt(c);
		}
		if (!c->dead)
			conn_flush(c);
	}
}

static void reap(struct loop_hook *h)
{
	struct conn *c = CONTAINER_OF(h, struct conn, reap);
	buf_free(&c->in);
	tls_peer_free(c->peer);
	mem_free(c->why);
	mem_free(c);
}

static void bury(struct conn *c, bool clean)
{
	c->dead = true;
	release(c, clean);
	list_remove(&c->shaker);
	loop_undefer(&c->hook);
	list_remove(&c->node);
	c->loop->own->stats.conns--;
	loop_reap(c->loop, &c->reap);
}

/* TCP is up. The local address is known only now. */
static void become_connected(struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	struct entente_err err;
	c->tell_connected = false;
	if (getsockname(c->fd, (struct sockaddr *)&ss, &n) == 0)
		addr_from_sockaddr((struct sockaddr *)&ss, &c->local);
	c->state = CONN_PLAIN;
	c->last_io = c->loop->timers.now;
	if (c->tls_at_once) {
		if (conn_tls_open(c, &c->tls_start, &err)) {
			conn_end(c, err.code, "%s", err.text);
			return;
		}
		c->state = CONN_UPGRADING;
		forget_tls(c);
	}
	conn_watch(c);
	conn_arm(c);
	if (c->ops->connected && !c->closing)
		c->ops->connected(c);
}

static void tell_end(struct conn *c)
{
	c->loop->own->ends_told++;
	c->tell_closed = false;
	if (c->discard)
		bury(c, true);
	else
		c->ops->closed(c, c->why);
}

void conn_tell_ends(struct loop *l)
{
	struct loop_own *o = l->own;
	while (!list_empty(&o->eofs) && o->ends_told < ENDS_PER_TURN) {
		struct conn *c = CONTAINER_OF(o->eofs.next, struct conn, shaker);
		o->ends_told++;
		list_remove(&c->shaker);
		conn_watch(c);
		conn_on_eof(c);
	}
	while (!list_empty(&o->ends) && o->ends_told < ENDS_PER_TURN) {
		struct conn *c = CONTAINER_OF(o->ends.next, struct conn, shaker);
		list_remove(&c->shaker);
		tell_end(c);
	}
}

static void work(struct loop_hook *h)
{
	struct conn *c = CONTAINER_OF(h, struct conn, hook);
	if (c->tell_connected && c->state == CONN_CONNECTING)
		become_connected(c);
	if (!c->dead && c->want_input) {
		c->want_input = false;
		bool usable = c->state == CONN_PLAIN || c->state == CONN_SECURED;
		if (usable && conn_deliver(c, SLICE_NONE) && c->state == CONN_SECURED)
			conn_decrypt(c);
		if (!c->dead && (c->fin || c->close_notify))
			conn_on_eof(c);
	}
	if (!c->dead && c->state != CONN_CLOSED)
		conn_flush(c);
	if (c->dead || c->state != CONN_CLOSED || !c->tell_closed || list_linked(&c->shaker))
		return;
	struct loop_own *o = c->loop->own;
	if (o->ends_told >= ENDS_PER_TURN || !list_empty(&o->ends))
		list_append(&o->ends, &c->shaker);
	else
		tell_end(c);
}

static void copy_tls(struct conn *c, const struct conn_tls *t)
{
	c->tls_start = *t;
	c->tls_at_once = true;
	buf_init(&c->tls_text, 4096);
	size_t sni = t->sni.len, alpn = t->alpn.len;
	buf_put(&c->tls_text, t->sni);
	buf_put(&c->tls_text, t->alpn);
	buf_put(&c->tls_text, t->session_key);
	struct slice all = buf_slice(&c->tls_text);
	c->tls_start.sni = slice_first(all, sni);
	c->tls_start.alpn = slice_first(slice_skip(all, sni), alpn);
	c->tls_start.session_key = slice_skip(all, sni + alpn);
	tls_ctx_ref(t->ctx);
}

static struct conn *make(struct loop *l, int fd, const struct conn_opts *o, bool inbound)
{
	struct conn *c = MEM_NEW(struct conn);
	c->loop = l;
	c->fd = fd;
	c->ops = o->ops;
	c->owner = o->owner;
	c->inbound = inbound;
	c->id = (uint64_t)l->own->id << 48 | ++l->own->conn_seq;
	c->born = c->last_io = l->timers.now;
	c->pass = o->pass;
	list_init(&c->shaker);
	list_init(&c->hook.node);
	list_init(&c->reap.node);
	c->hook.run = work;
	c->reap.run = reap;
	timer_init(&c->timer, on_timer);
	conn_set_limits(c, o->limits ? o->limits : &CONN_LIMITS_DEFAULT);
	event_assign(&c->rd, l->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->wr, l->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	list_append(&l->own->conns, &c->node);
	l->own->stats.conns++;
	if (o->tls)
		copy_tls(c, o->tls);
	int one = 1, idle = KEEP_IDLE, interval = KEEP_INTERVAL, count = KEEP_COUNT;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	return c;
}

int conn_connect(struct conn **ret, struct loop *l, const struct addr *to, const struct conn_opts *o, struct entente_err *err)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, ENTENTE_ENET, REASON_NONE, "no socket: %s", strerror(errno));
	if (o->bind) {
		int one = 1;
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(fd, &o->bind->sa, addr_len(o->bind)) < 0) {
			char text[ADDR_TEXT];
			int error = errno;
			addr_text(o->bind, text);
			close(fd);
			return err_set(err, ENTENTE_ENET, REASON_NONE, "local address %s: %s", text, strerror(error));
		}
	}
	struct conn *c = make(l, fd, o, false);
	c->remote = *to;
	c->state = CONN_CONNECTING;
	int rc;
	do
		rc = connect(fd, &to->sa, addr_len(to));
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && errno != EINPROGRESS) {
		char text[ADDR_TEXT];
		int error = errno;
		addr_text(to, text);
		conn_end(c, ENTENTE_ENET, "connecting to %s: %s", text, strerror(error));
	} else if (rc == 0) {
		c->tell_connected = true;
		conn_later(c);
	} else {
		conn_watch_write(c, true);
		conn_arm(c);
	}
	*ret = c;
	return 0;
}

int conn_accept(struct conn **ret, struct loop *l, int fd, const struct conn_opts *o, struct entente_err *err)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	struct addr remote;
	bool there = getpeername(fd, (struct sockaddr *)&ss, &n) == 0, local = there && ss.ss_family == AF_UNIX;
	if (local)
		remote = (struct addr){.v4 = {.sin_family = AF_INET}};
	if (!there || (!local && !addr_from_sockaddr((struct sockaddr *)&ss, &remote))) {
		close(fd);
		gate_leave(o->pass);
		return err_set(err, ENTENTE_ENET, REASON_NONE, "the connection was gone before it could be served");
	}
	evutil_make_socket_nonblocking(fd);
	struct conn *c = make(l, fd, o, true);
	c->remote = remote;
	c->state = CONN_CONNECTING;
	c->tell_connected = true;
	conn_later(c);
	*ret = c;
	return 0;
}

int conn_start_tls(struct conn *c, const struct conn_tls *t, struct entente_err *err)
{
	if (c->state != CONN_PLAIN || c->closing || c->shut_wanted)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "TLS cannot begin in this state of the connection");
	int code = conn_tls_open(c, t, err);
	if (code)
		return code;
	c->state = CONN_UPGRADING;
	/* Held plain input is not plain text any more. Inside data(), conn_deliver sees to the rest of its own. */
	if (c->in.len && !c->delivering) {
		buf_put(&c->early, buf_slice(&c->in));
		buf_clear(&c->in);
	}
	conn_watch(c);
	conn_arm(c);
	conn_later(c);
	return 0;
}

static int may_write(const struct conn *c)
{
	if (c->state == CONN_CLOSED || c->closing || c->shut_wanted)
		return ENTENTE_ECLOSED;
	return c->state == CONN_PLAIN || c->state == CONN_SECURED ? 0 : ENTENTE_EAGAIN;
}

int conn_writev(struct conn *c, const struct slice *v, size_t n)
{
	int code = may_write(c);
	size_t total = 0;
	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		if (v[i].len > c->limits.out_max)
			return ENTENTE_ELIMIT;
		total += v[i].len;
	}
	if (total > c->limits.out_max || c->out.len > c->limits.out_max - total)
		return ENTENTE_ELIMIT;
	conn_unlend(c, &c->out);
	for (size_t i = 0; i < n; i++)
		buf_put(&c->out, v[i]);
	c->out_octets += total;
	if (c->out.len > c->limits.out_high)
		c->congested = true;
	if (!c->writing)
		conn_later(c);
	return 0;
}

int conn_write(struct conn *c, struct slice s)
{
	return conn_writev(c, &s, 1);
}

uint64_t conn_written(const struct conn *c)
{
	return c->out_octets;
}

uint64_t conn_acknowledged(struct conn *c)
{
	int queued;
	if (c->fd < 0 || c->forsaken || ioctl(c->fd, SIOCOUTQ, &queued) || queued < 0)
		return c->acked;
	uint64_t handed = c->out_octets - c->out.len;
	if (!queued) {
		c->acked = handed;
		c->mark = 0;
		return c->acked;
	}
	if (c->mark && c->out_wire - (uint64_t)queued >= c->mark_wire) {
		c->acked = c->mark;
		c->mark = 0;
	}
	if (!c->mark && handed > c->acked) {
		c->mark = handed;
		c->mark_wire = c->out_wire;
	}
	return c->acked;
}

bool conn_congested(const struct conn *c)
{
	return c->congested;
}

size_t conn_queued(const struct conn *c)
{
	return c->out.len;
}

void conn_pause(struct conn *c)
{
	if (c->paused++ == 0)
		conn_watch(c);
}

void conn_resume(struct conn *c)
{
	if (c->paused == 0 || --c->paused)
		return;
	c->want_input = true;
	conn_watch(c);
	if (c->state != CONN_CLOSED)
		conn_later(c);
}

void conn_shutdown(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	c->shut_wanted = true;
	conn_later(c);
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED || c->closing)
		return;
	c->closing = c->shut_wanted = true;
	conn_watch(c);
	conn_arm(c);
	conn_later(c);
}

void conn_discard(struct conn *c)
{
	c->discard = true;
	if (c->state == CONN_CLOSED) {
		c->tell_closed = true;
		conn_later(c);
	} else {
		conn_close(c);
	}
}

struct conn *conn_free(struct conn *c)
{
	if (!c || c->dead)
		return NULL;
	conn_flush_once(c);
	bury(c, true);
	return NULL;
}

void conn_free_all(struct loop *l)
{
	LIST_EACH(n, &l->own->conns)
		conn_free(CONTAINER_OF(n, struct conn, node));
}

void conn_prove(struct conn *c)
{
	gate_prove(c->pass);
}

void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *owner)
{
	c->ops = ops;
	c->owner = owner;
}

void *conn_owner(const struct conn *c)
{
	return c->owner;
}

void conn_set_limits(struct conn *c, const struct conn_limits *limits)
{
	int user = limits->unacked_ms ? (int)limits->unacked_ms : USER_TIMEOUT_MS;
	if (c->fd >= 0 && c->user_timeout != user) {
		setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof user);
		c->user_timeout = user;
	}
	c->limits = *limits;
	c->out.limit = limits->out_max;
	c->in.limit = c->early.limit = limits->in_max + LOOP_PLAIN + LOOP_WIRE;
	if (!c->closing && (c->state == CONN_PLAIN || c->state == CONN_SECURED))
		conn_arm(c);
}

uint64_t conn_handshake_wait(const struct conn *c)
{
	return gate_handshake(c->pass, c->loop->timers.now);
}

const struct tls_peer *conn_peer(const struct conn *c)
{
	return c->peer;
}

const struct addr *conn_remote(const struct conn *c)
{
	return &c->remote;
}

uint64_t conn_id(const struct conn *c)
{
	return c->id;
}

void conn_show(const struct conn *c, struct conn_facts *ret)
{
	static const char *const names[] = {"connecting", "plain", "handshake", "handshake", "secured", "closed"};
	*ret = (struct conn_facts){
		.id = c->id,
		.state = c->closing && c->state != CONN_CLOSED ? "closing" : names[c->state],
		.inbound = c->inbound,
		.congested = c->congested,
		.paused = c->paused > 0,
		.eof = c->fin || c->close_notify,
		.shut = c->shut_sent,
		.remote = c->remote,
		.local = c->local,
		.in_octets = c->in_octets,
		.out_octets = c->out_octets,
		.in_wire = c->in_wire,
		.out_wire = c->out_wire,
		.in_held = c->in.len + c->early.len,
		.out_queued = c->out.len,
		.age_ms = c->loop->timers.now - c->born,
		.idle_ms = c->loop->timers.now - c->last_io,
		.peer = c->peer,
		.owner = c->owner,
	};
}

void conn_each(struct loop *l, void (*fn)(void *arg, struct conn *c), void *arg)
{
	LIST_EACH(n, &l->own->conns)
		fn(arg, CONTAINER_OF(n, struct conn, node));
}
