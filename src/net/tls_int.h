/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as conn.c uses it. Private to src/net. */
#pragma once
#include <openssl/ssl.h>
#include "base/buf.h"
#include "base/map.h"
#include "net/conn.h"
#include "net/tls.h"

struct tls_material {
	int refs; /* atomic */
	struct tls_settings set; /* without the paths */
	struct buf server_chain, client_chain, trust; /* PEM */
	EVP_PKEY *server_key, *client_key; /* shared by the contexts of all threads */
	struct tls_peer *facts[2]; /* by enum tls_slot */
	unsigned char alpn[128]; /* wire format, what a server agrees to */
	size_t alpn_len;
	char alpn_text[128], ciphers[512];
	unsigned char ticket_keys[80];
};

struct tls_ctx {
	unsigned refs;
	struct tls_material *material;
	SSL_CTX *server, *client; /* server may be NULL */
	tls_choose_fn choose;
	void *choose_arg;
	struct map sessions;
	struct list lru; /* the oldest first */
	size_t sessions_max;
	struct tls_counts counts;
};

/* The TLS side of one connection. */
struct tls_link {
	SSL *ssl;
	struct tls_ctx *ctx;
	bool server;
	struct buf key; /* of its sessions; empty: none are kept */
	int verify_code; /* the first error, 0 = none */
	char *why;       /* its text */
	uint64_t updates; /* key updates of the peer (TLS 1.3) */
};

/* An SSL without BIO. */
int tls_link_open(struct tls_link *k, const struct conn_tls *t, struct entente_err *err);
/* Ends it; `clean`: no TLS error happened, its session may be resumed. Harmless when not open. */
void tls_link_close(struct tls_link *k, bool clean);
/* After a failed handshake: forget the session that was offered. */
void tls_link_failed(struct tls_link *k);
/* After the handshake. */
struct tls_peer *tls_link_peer(struct tls_link *k);
/* Says what the error queue holds; empties it. */
void tls_error_text(char *dst, size_t size);

/* Copies the facts out of a certificate (NULL: none was shown) and, with k, of its connection. */
struct tls_peer *tls_peer_make(X509 *cert, struct tls_link *k);

/* Leaf first. NULL when there is none or one is malformed. */
STACK_OF(X509) *tls_parse_chain(const struct buf *pem, int max);
enum { TLS_CHAIN_MAX = 16 };
/* Puts the material's trust, or the system's, into a store. */
bool tls_fill_store(X509_STORE *store, const struct tls_material *m);

int tls_sessions_init(struct tls_ctx *t);
void tls_sessions_free(struct tls_ctx *t);
/* A session to offer, owned by the cache, or NULL. */
SSL_SESSION *tls_sessions_find(struct tls_ctx *t, struct slice key);
/* Takes over the reference. */
void tls_sessions_put(struct tls_ctx *t, struct slice key, SSL_SESSION *s);
void tls_sessions_drop(struct tls_ctx *t, struct slice key);
