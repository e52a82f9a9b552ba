/* SPDX-License-Identifier: Apache-2.0 */
#include "rawtls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void join(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(l, 1), 0);
	getsockname(l, (struct sockaddr *)&a, &len);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof a), 0);
	fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd[1] >= 0);
	close(l);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
}

static int any(int ok, X509_STORE_CTX *sc)
{
	(void)ok, (void)sc;
	return 1;
}

void rawtls_open(struct rawtls *r, bool server, int version, const char *name, struct conn_tls our)
{
	int fd[2];
	char file[128];
	*r = (struct rawtls){.fd = -1};
	join(fd);
	r->fd = fd[0];
	assert_int_equal(loop_new(&r->loop, NULL, NULL), 0);
	buf_init(&r->ours.got, 64 << 20);
	our.server = !server;
	struct conn_opts o = {.ops = &end_ops, .owner = &r->ours, .tls = &our};
	assert_int_equal(conn_accept(&r->ours.c, r->loop, fd[1], &o, NULL), 0);
	r->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_min_proto_version(r->ctx, version);
	SSL_CTX_set_max_proto_version(r->ctx, version);
	SSL_CTX_set_verify(r->ctx, SSL_VERIFY_PEER, any);
	if (name) {
		snprintf(file, sizeof file, "%s.pem", name);
		assert_int_equal(SSL_CTX_use_certificate_chain_file(r->ctx, pki_path(file)), 1);
		snprintf(file, sizeof file, "%s.key", name);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(r->ctx, pki_path(file), SSL_FILETYPE_PEM), 1);
	}
	r->ssl = SSL_new(r->ctx);
	SSL_set_fd(r->ssl, r->fd);
	if (server)
		SSL_set_accept_state(r->ssl);
	else
		SSL_set_connect_state(r->ssl);
}

void rawtls_turn(struct rawtls *r)
{
	if (!SSL_is_init_finished(r->ssl) && !r->error) {
		int rc = SSL_do_handshake(r->ssl);
		int e = rc == 1 ? 0 : SSL_get_error(r->ssl, rc);
		if (e && e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
			r->error = e;
		ERR_clear_error();
	}
	loop_once(r->loop, 1);
}

void rawtls_shake(struct rawtls *r)
{
	for (int i = 0; i < 5000 && !r->ours.closed; i++) {
		if (r->ours.secured && SSL_is_init_finished(r->ssl))
			return;
		rawtls_turn(r);
	}
	assert_true(r->ours.closed);
}

void rawtls_close(struct rawtls *r)
{
	conn_free(r->ours.c);
	loop_free(r->loop);
	buf_free(&r->ours.got);
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	close(r->fd);
}
