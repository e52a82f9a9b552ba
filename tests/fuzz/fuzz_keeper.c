/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody who has taken the server over says to the keeper of the private keys, and the other way round. The first octet chooses: requests
 * to a vault with keys of every kind (frames after one another, each with a length of two octets; files are not opened here), or a reply as the server
 * reads it. What is read must be written again as it came, replies are well-formed, and no octet of a private key is in them. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include "keeper/keeper_int.h"

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 3, SECRET = 24 };
static uint32_t handles[KEYS];
static unsigned char secrets[KEYS][2][SECRET]; /* as it is written, and as it lies in memory */

static void remember(int i, EVP_PKEY *key, const char *name)
{
	unsigned char raw[1024];
	size_t n = sizeof raw;
	BIGNUM *number = NULL;
	if (EVP_PKEY_get_bn_param(key, name, &number) == 1)
		n = (size_t)BN_bn2bin(number, raw);
	else
		MUST(EVP_PKEY_get_raw_private_key(key, raw, &n) == 1);
	MUST(n >= SECRET);
	for (size_t k = 0; k < SECRET; k++) {
		secrets[i][0][k] = raw[k];
		secrets[i][1][k] = raw[n - 1 - k];
	}
	BN_free(number);
}

static struct vault *filled(void)
{
	static struct vault *v;
	static const char *const names[KEYS] = {OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_PRIV_KEY, "-"};
	if (v)
		return v;
	v = vault_new(NULL, 0);
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY *key = i == 0 ? EVP_RSA_gen(1024) : i == 1 ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		char path[] = "/tmp/fuzz-keeper-XXXXXX", frame[KEEPER_REPLY_MAX], reply[KEEPER_REPLY_MAX];
		int fd = mkstemp(path);
		FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
		struct keeper_reply r;
		MUST(f && key && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f));
		size_t n = keeper_request_write(frame, sizeof frame, &(struct keeper_request){.verb = KEEPER_LOAD, .data = slice_str(path)});
		n = vault_answer(v, slice_of(frame, n), reply);
		MUST(!keeper_reply_read(&r, KEEPER_LOAD, slice_of(reply, n)) && r.status == KEEPER_OK);
		handles[i] = r.value;
		remember(i, key, names[i]);
		unlink(path);
		EVP_PKEY_free(key);
	}
	return v;
}

static void reply_of_vault(const struct keeper_request *q, const char *reply, size_t n)
{
	struct keeper_reply r;
	MUST(n >= KEEPER_HEAD && n <= KEEPER_REPLY_MAX);
	MUST(!keeper_reply_read(&r, q ? q->verb : KEEPER_FORGET, slice_of(reply, n)));
	MUST(q || r.status == KEEPER_MALFORMED);
	for (int i = 0; i < KEYS; i++)
		MUST(!memmem(reply, n, secrets[i][0], SECRET) && !memmem(reply, n, secrets[i][1], SECRET));
}

static void request(struct vault *v, struct slice in)
{
	static char again[KEEPER_FRAME_MAX], reply[KEEPER_REPLY_MAX];
	struct keeper_request q;
	bool fine = !keeper_request_read(&q, in);
	if (fine) {
		size_t n = keeper_request_write(again, sizeof again, &q);
		MUST(n == in.len && !memcmp(again, in.p, n));
		if (q.verb == KEEPER_LOAD)
			return;
		if (q.verb == KEEPER_FORGET && (q.handle == handles[0] || q.handle == handles[1] || q.handle == handles[2]))
			return; /* the next input needs it */
		if (q.verb == KEEPER_SIGN && q.handle % 8 < KEYS && q.handle < 8) { /* a handle that an input can hit */
			q.handle = handles[q.handle % 8];
			in = slice_of(again, keeper_request_write(again, sizeof again, &q));
		}
	}
	reply_of_vault(fine ? &q : NULL, reply, vault_answer(v, in, reply));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	struct vault *v = filled();
	if (!size)
		return 0;
	if (data[0] < 3) {
		struct keeper_reply r;
		char again[KEEPER_REPLY_MAX];
		in = slice_skip(in, 1);
		if (!keeper_reply_read(&r, (enum keeper_verb)(data[0] + 1), in)) {
			size_t n = keeper_reply_write(again, sizeof again, &r);
			MUST(n == in.len && !memcmp(again, in.p, n));
		}
		return 0;
	}
	for (in = slice_skip(in, 1); in.len >= 2;) {
		size_t n = (size_t)(unsigned char)in.p[0] << 8 | (unsigned char)in.p[1];
		in = slice_skip(in, 2);
		struct slice one = slice_first(in, n);
		in = slice_skip(in, one.len);
		request(v, one);
	}
	return 0;
}
