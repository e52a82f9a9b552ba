/* SPDX-License-Identifier: Apache-2.0 */
/* Octets in and out. One read(2) per event into the loop's scratch; the owner sees it there, and only what it leaves is
 * copied. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "base/mem.h"
#include "net/conn_int.h"
#include "net/loop_int.h"

enum { SPARE_MAX = 64 << 10, LAST_READS = 4 };

void conn_lend(struct conn *c, struct buf *b)
{
	struct loop_own *o = c->loop->own;
	if (!b->mem)
		return;
	if (b->cap <= SPARE_MAX && o->n_spares < LOOP_SPARES) {
		o->spares[o->n_spares++] = (struct loop_spare){b->mem, b->cap};
		b->mem = NULL;
		b->cap = 0;
	}
	buf_free(b);
}

void conn_unlend(struct conn *c, struct buf *b)
{
	struct loop_own *o = c->loop->own;
	if (b->mem || !o->n_spares)
		return;
	struct loop_spare s = o->spares[--o->n_spares];
	b->mem = s.mem;
	b->cap = s.cap;
}

/* Keeps what is left for the next time. */
static void hold(struct conn *c, struct slice all, size_t used)
{
	struct slice rest = slice_skip(all, used);
	if (c->in.len) {
		buf_consume(&c->in, used);
	} else if (rest.len) {
		conn_unlend(c, &c->in);
		buf_put(&c->in, rest);
	}
	if (!c->in.len)
		conn_lend(c, &c->in);
}

bool conn_deliver(struct conn *c, struct slice in)
{
	if (c->in.len && in.len)
		buf_put(&c->in, in);
	struct slice all = c->in.len ? buf_slice(&c->in) : in;
	if (!buf_ok(&c->in)) {
		conn_end(c, ENTENTE_ELIMIT, "more than %zu octets of input wait to be handled", c->in.limit);
		return false;
	}
	if (!all.len)
		return true;
	if (c->paused) {
		hold(c, all, 0);
		return true;
	}
	c->delivering = true;
	size_t used = c->ops->data(c, all);
	c->delivering = false;
	if (c->dead)
		return false;
	if (c->state == CONN_CLOSED || c->closing) {
		buf_clear(&c->in);
		conn_lend(c, &c->in);
		return false;
	}
	if (used > all.len)
		used = all.len;
	if (c->state == CONN_UPGRADING) { /* begun just now: the rest is TLS */
		buf_put(&c->early, slice_skip(all, used));
		buf_clear(&c->in);
		conn_lend(c, &c->in);
		return true;
	}
	hold(c, all, used);
	if (!used && c->in.len >= c->limits.in_max && !c->paused) {
		conn_end(c, ENTENTE_ELIMIT, "a message larger than %zu octets", c->limits.in_max);
		return false;
	}
	return true;
}

void conn_decrypt(struct conn *c)
{
	struct loop_own *o = c->loop->own;
	if (!o->plain)
		o->plain = mem_realloc(NULL, LOOP_PLAIN);
	while (c->state == CONN_SECURED && !c->paused && !c->closing) {
		size_t n = 0, got;
		int result = SSL_ERROR_NONE;
		ERR_clear_error();
		while (n < LOOP_PLAIN) {
			if (SSL_read_ex(c->tls.ssl, o->plain + n, LOOP_PLAIN - n, &got) != 1) {
				result = SSL_get_error(c->tls.ssl, 0);
				break;
			}
			n += got;
			/* Asking once more only to hear "no" would cost OpenSSL a buffer. */
			if (!c->rx_len && !c->early.len && !SSL_has_pending(c->tls.ssl)) {
				result = SSL_ERROR_WANT_READ;
				break;
			}
		}
		c->in_octets += n;
		if (conn_tls_restless(c)) {
			ERR_clear_error();
			conn_end(c, ENTENTE_ETLS, "the peer changes its TLS keys without need");
			return;
		}
		/* What came before a failure is still heard; the error queue is not the owner's. */
		char text[160] = "";
		if (result == SSL_ERROR_SSL)
			tls_error_text(text, sizeof text);
		if (n && !conn_deliver(c, slice_of(o->plain, n)))
			return;
		switch (result) {
		case SSL_ERROR_NONE: /* the scratch was full */
			break;
		case SSL_ERROR_WANT_READ:
			return;
		case SSL_ERROR_WANT_WRITE:
			c->write_blocks_read = true;
			conn_watch_write(c, true);
			return;
		case SSL_ERROR_ZERO_RETURN:
			c->close_notify = true;
			return;
		default:
			conn_tls_fail(c, "", text);
			return;
		}
	}
}

void conn_on_eof(struct conn *c)
{
	if (c->dead || c->state == CONN_CLOSED || (c->told_eof && !c->closing))
		return;
	if (c->state == CONN_HANDSHAKE) {
		tls_link_failed(&c->tls);
		conn_end(c, ENTENTE_ETLS, "the peer closed the connection during the TLS handshake");
		return;
	}
	if (c->closing) {
		conn_flush(c);
		return;
	}
	if (c->paused) /* comes again when what is held has been delivered */
		return;
	c->told_eof = true;
	c->cut = c->state == CONN_SECURED && !c->close_notify;
	conn_watch(c);
	if (c->ops->eof)
		c->ops->eof(c, c->in.len);
	else
		conn_close(c);
}

/* When all partners go at once, this comes a few at a time: the others are served in between. */
static void ended(struct conn *c)
{
	if (c->closing || (c->state != CONN_PLAIN && c->state != CONN_SECURED)) {
		conn_on_eof(c);
	} else if (!list_linked(&c->shaker)) {
		list_append(&c->loop->own->eofs, &c->shaker);
		conn_watch(c);
	}
}

void conn_on_readable(struct conn *c)
{
	struct loop_own *o = c->loop->own;
	if (!o->wire)
		o->wire = mem_realloc(NULL, LOOP_WIRE);
	ssize_t n = recv(c->fd, o->wire, LOOP_WIRE, 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_end(c, c->closing ? ENTENTE_OK : ENTENTE_ECLOSED, "reading: %s", strerror(errno));
		return;
	}
	if (n == 0) {
		c->fin = true;
		conn_watch(c);
	} else {
		c->in_wire += (uint64_t)n;
		c->last_io = c->loop->timers.now;
	}
	if (n && !c->closing && c->state == CONN_PLAIN) {
		c->in_octets += (uint64_t)n;
		conn_deliver(c, slice_of(o->wire, (size_t)n));
	} else if (n && !c->closing) {
		c->rx = o->wire;
		c->rx_len = (size_t)n;
		if (c->state == CONN_HANDSHAKE)
			conn_handshake(c);
		else
			conn_decrypt(c);
		if (c->rx_len && c->state != CONN_CLOSED)
			buf_put(&c->early, slice_of(c->rx, c->rx_len)); /* paused: at most one read */
		c->rx_len = 0;
	}
	if (!c->dead && (c->fin || c->close_notify))
		ended(c);
}

/* Writing failed. What the peer said before it went away (a stream error, a TLS alert) may still lie in the socket and is
 * the better explanation. */
static void broken(struct conn *c, int error)
{
	c->forsaken = true;
	buf_clear(&c->out);
	for (int i = 0; i < LAST_READS && !c->dead && c->reading && !c->told_eof && c->state != CONN_CLOSED; i++)
		conn_on_readable(c);
	if (!c->dead && list_linked(&c->shaker)) { /* it was the end */
		list_remove(&c->shaker);
		conn_on_eof(c);
	}
	if (!c->dead)
		conn_end(c, c->closing ? ENTENTE_OK : ENTENTE_ECLOSED, "writing: %s", strerror(error));
}

/* One write of the queue's front. > 0 octets taken, 0 blocked, -1 failed (errno; 0 = told already). */
static ssize_t send_some(struct conn *c)
{
	struct slice s = buf_slice(&c->out);
	if (c->state != CONN_SECURED) {
		ssize_t n = send(c->fd, s.p, s.len, MSG_NOSIGNAL);
		if (n > 0)
			c->out_wire += (uint64_t)n;
		return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	size_t n;
	ERR_clear_error();
	if (SSL_write_ex(c->tls.ssl, s.p, s.len, &n) == 1)
		return (ssize_t)n;
	int result = SSL_get_error(c->tls.ssl, 0);
	if (result == SSL_ERROR_WANT_WRITE || result == SSL_ERROR_WANT_READ)
		return 0;
	if (result != SSL_ERROR_SSL)
		return -1;
	char text[160];
	tls_error_text(text, sizeof text);
	conn_tls_fail(c, "", text);
	errno = 0;
	return -1;
}

/* close_notify and FIN. False while the socket takes no more. */
static bool send_end(struct conn *c)
{
	if (c->state == CONN_SECURED) {
		ERR_clear_error();
		int rc = SSL_shutdown(c->tls.ssl);
		if (rc < 0 && SSL_get_error(c->tls.ssl, rc) == SSL_ERROR_WANT_WRITE)
			return false;
		ERR_clear_error();
	}
	shutdown(c->fd, SHUT_WR);
	c->shut_sent = true;
	return true;
}

static void after_queue(struct conn *c)
{
	if (c->state == CONN_UPGRADING) {
		c->state = CONN_HANDSHAKE;
		conn_watch(c);
		conn_handshake(c);
		return;
	}
	if (c->shut_wanted && !c->shut_sent && !send_end(c)) {
		conn_watch_write(c, true);
		return;
	}
	if (c->closing && c->shut_sent && (c->fin || c->close_notify)) {
		if (c->cut)
			conn_end(c, ENTENTE_ECLOSED, "the peer cut the TLS connection without saying so");
		else
			conn_end(c, ENTENTE_OK, "closed");
	}
}

void conn_flush(struct conn *c)
{
	bool unusable = c->state == CONN_CONNECTING || c->state == CONN_HANDSHAKE;
	if (c->closing && (unusable || (c->state == CONN_UPGRADING && !c->out.len))) {
		conn_end(c, ENTENTE_OK, "closed before it was usable");
		return;
	}
	if (unusable)
		return;
	while (c->out.len) {
		ssize_t n = send_some(c);
		if (n < 0) {
			if (errno)
				broken(c, errno);
			return;
		}
		if (n == 0) {
			conn_watch_write(c, true);
			break;
		}
		buf_consume(&c->out, (size_t)n);
		c->last_io = c->loop->timers.now;
	}
	if (!c->out.len)
		conn_lend(c, &c->out);
	if (c->congested && c->out.len <= c->limits.out_low) {
		c->congested = false;
		if (c->ops->drained && !c->closing)
			c->ops->drained(c);
		if (c->dead || c->state == CONN_CLOSED)
			return;
	}
	if (!c->out.len)
		after_queue(c);
}

void conn_flush_once(struct conn *c)
{
	if (c->state != CONN_PLAIN && c->state != CONN_SECURED)
		return;
	if (c->out.len && send_some(c) < 0)
		return;
	if (c->state == CONN_SECURED && !c->shut_sent)
		send_end(c);
}
