/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "keeper/keeper_int.h"

enum {
	SECURE_HEAP = 1 << 20, /* the secret numbers of KEEPER_KEYS RSA keys of 4096 bits, and a file */
	SECURE_LEAST = 32,
};

struct lane {
	struct vault *vault;
	int fd;
};

/* The server ends the keeper by closing its end, or by ending. */
static void *serve(void *arg)
{
	const struct lane *l = arg;
	char *in = mem_calloc(1, KEEPER_FRAME_MAX + 1), out[KEEPER_REPLY_MAX];
	for (;;) {
		ssize_t n = recv(l->fd, in, KEEPER_FRAME_MAX + 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		/* one octet too many is one that keeper_request_read refuses */
		size_t len = vault_answer(l->vault, slice_of(in, (size_t)n), out);
		while (send(l->fd, out, len, MSG_NOSIGNAL) < 0)
			if (errno != EINTR)
				_exit(0);
	}
	return NULL;
}

/* Everything that OpenSSL loads, asks the kernel for or builds once: before the system calls for it are gone. */
static void warm(void)
{
	unsigned char some[32];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 0;
	RAND_bytes(some, sizeof some);
	RAND_priv_bytes(some, sizeof some);
	if (key && c && EVP_DigestSignInit_ex(c, NULL, "SHA256", NULL, NULL, key, NULL) == 1)
		EVP_DigestSign(c, NULL, &n, some, sizeof some);
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(key);
	ERR_clear_error();
}

void keeper_child_run(const struct keeper_child *c)
{
	struct lane lanes[KEEPER_LANES];
	char ready = KEEPER_READY;
	if (!keeper_withdraw(c))
		_exit(0);
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST) == 1)
		ready |= KEEPER_LOCKED;
	struct vault *v = vault_new((const char *const *)c->folders, c->n_folders);
	warm();
	for (unsigned i = 0; i < c->n; i++)
		lanes[i] = (struct lane){.vault = v, .fd = c->lanes[i]};
	for (unsigned i = 1; i < c->n; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, serve, &lanes[i]))
			_exit(1);
	}
	if (c->confine && keeper_confine())
		ready |= KEEPER_CONFINED;
	if (write(c->life, &ready, 1) != 1)
		_exit(1);
	serve(&lanes[0]);
	_exit(0);
}
