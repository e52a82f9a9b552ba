/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake, and the BIO through which OpenSSL sees the socket: it reads from what the loop has read already (so that one
 * system call brings many records, and a connection at rest holds nothing), and writes without raising SIGPIPE. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/metric.h"
#include "net/conn_int.h"
#include "net/loop_int.h"

enum { UPDATES_FREE = 16, UPDATES_OCTETS = 16 << 10 };

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool conn_tls_restless(const struct conn *c)
{
	return c->tls.updates > UPDATES_FREE + c->in_octets / UPDATES_OCTETS;
}

static int bio_read(BIO *b, char *dst, size_t n, size_t *ret)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (conn_tls_restless(c)) /* else OpenSSL goes on as long as there is nothing but key updates */
		return 0;
	if (c->early.len) {
		struct slice s = slice_first(buf_slice(&c->early), n);
		memcpy(dst, s.p, s.len);
		*ret = s.len;
		buf_consume(&c->early, s.len);
		if (!c->early.len)
			buf_free(&c->early);
		return 1;
	}
	if (c->rx_len) {
		size_t take = n < c->rx_len ? n : c->rx_len;
		memcpy(dst, c->rx, take);
		c->rx += take;
		c->rx_len -= take;
		*ret = take;
		return 1;
	}
	BIO_set_retry_read(b); /* an end of the stream is conn_on_eof's business */
	return 0;
}

static int bio_write(BIO *b, const char *src, size_t n, size_t *ret)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t sent;
	do
		sent = send(c->fd, src, n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		if (errno == EAGAIN)
			BIO_set_retry_write(b);
		return 0;
	}
	c->out_wire += (uint64_t)sent;
	*ret = (size_t)sent;
	return 1;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	(void)b, (void)n, (void)p;
	return cmd == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "entente connection");
	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

int conn_tls_open(struct conn *c, const struct conn_tls *t, struct entente_err *err)
{
	pthread_once(&once, make_method);
	int code = tls_link_open(&c->tls, t, err);
	if (code)
		return code;
	c->tls_since = c->loop->timers.now;
	BIO *b = BIO_new(method);
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	SSL_set_bio(c->tls.ssl, b, b);
	return 0;
}

void conn_tls_fail(struct conn *c, const char *during, const char *text)
{
	int error = errno;
	tls_link_failed(&c->tls);
	if (*text)
		conn_end(c, ENTENTE_ETLS, "TLS%s: %s", during, text);
	else
		conn_end(c, ENTENTE_ECLOSED, "TLS%s: %s", during, error ? strerror(error) : "the connection was lost");
}

void conn_handshake(struct conn *c)
{
	ERR_clear_error();
	errno = 0;
	uint64_t began = clock_ns();
	int rc = SSL_do_handshake(c->tls.ssl);
	c->loop->own->shaken_ns += clock_ns() - began;
	if (rc != 1) {
		char text[160] = "";
		switch (SSL_get_error(c->tls.ssl, rc)) {
		case SSL_ERROR_WANT_READ:
			return;
		case SSL_ERROR_WANT_WRITE:
			conn_watch_write(c, true);
			return;
		case SSL_ERROR_SSL:
			tls_error_text(text, sizeof text);
			break;
		default:
			break;
		}
		metric_add(SSL_is_server(c->tls.ssl) ? METRIC_TLS_IN_FAILED : METRIC_TLS_OUT_FAILED, 1);
		conn_tls_fail(c, " handshake", text);
		return;
	}
	c->state = CONN_SECURED;
	c->last_io = c->loop->timers.now;
	bool server = SSL_is_server(c->tls.ssl);
	metric_add(server ? METRIC_TLS_IN_OK : METRIC_TLS_OUT_OK, 1);
	metric_observe(server ? HISTOGRAM_TLS_IN : HISTOGRAM_TLS_OUT, c->last_io - c->tls_since);
	c->peer = tls_link_peer(&c->tls);
	conn_watch(c);
	conn_arm(c);
	if (c->ops->secured && !c->closing)
		c->ops->secured(c, c->peer);
	if (!c->dead && c->state == CONN_SECURED)
		conn_decrypt(c);
}
