/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS peer that is plain OpenSSL, so that it can do what our own code never would; on one end of a TCP connection whose other end
 * is one of our connections. */
#pragma once
#include <openssl/ssl.h>
#include "net/conn.h"
#include "pair.h"
#include "pki.h"

struct rawtls {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	struct loop *loop;
	struct end ours;
	int error; /* of SSL_do_handshake when it failed */
};

/* The peer is `server` or client, speaks exactly `version`, shows NAME.pem (NULL: nothing). `our`: our side of it; the context
 * matters, the role is the other one. */
void rawtls_open(struct rawtls *r, bool server, int version, const char *name, struct conn_tls our);
/* Turns both until our side is secured or closed and the peer is done. */
void rawtls_shake(struct rawtls *r);
/* One turn of both. */
void rawtls_turn(struct rawtls *r);
void rawtls_close(struct rawtls *r);
