/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bare ADDRESS PORT CERTS NAME: bare OpenSSL. Accepts connections, shakes hands, demands and verifies a certificate, reads until the
 * end. One thread, epoll, nothing else: what a handshake and an idle connection cost whoever uses the library as entented does. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static SSL_CTX *context(const char *certs, const char *name)
{
	char path[3][1024];
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	snprintf(path[0], sizeof path[0], "%s/%s.pem", certs, name);
	snprintf(path[1], sizeof path[1], "%s/%s.key", certs, name);
	snprintf(path[2], sizeof path[2], "%s/ca.pem", certs);
	if (!c || SSL_CTX_use_certificate_chain_file(c, path[0]) != 1 || SSL_CTX_use_PrivateKey_file(c, path[1], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(c, path[2], NULL) != 1) {
		fprintf(stderr, "bare: cannot use %s\n", path[0]);
		exit(2);
	}
	/* as src/net/tls.c has them */
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_purpose(c, X509_PURPOSE_SSL_SERVER);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_session_id_context(c, (const unsigned char *)"bare", 4);
	return c;
}

static void readable(SSL *ssl)
{
	char data[4096];
	int rc = SSL_is_init_finished(ssl) ? SSL_read(ssl, data, sizeof data) : SSL_accept(ssl);
	int error = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, rc);
	if (error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ)
		return;
	int fd = SSL_get_fd(ssl);
	if (error == SSL_ERROR_ZERO_RETURN)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: bare ADDRESS PORT CERTS NAME\n");
		return 2;
	}
	SSL_CTX *ctx = context(argv[3], argv[4]);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
	inet_pton(AF_INET, argv[1], &at.sin_addr);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, poll = epoll_create1(0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, got[EVENTS];
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024) || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &ev)) {
		perror("bare");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(poll, got, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (got[i].data.ptr) {
				readable(got[i].data.ptr);
				continue;
			}
			for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
				SSL *ssl = SSL_new(ctx);
				SSL_set_fd(ssl, fd);
				SSL_set_accept_state(ssl);
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
				ev = (struct epoll_event){.events = EPOLLIN, .data.ptr = ssl};
				epoll_ctl(poll, EPOLL_CTL_ADD, fd, &ev);
			}
		}
	}
}
