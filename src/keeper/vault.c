/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/path.h"
#include "keeper/keeper_int.h"

enum { SLOT_BITS = 8, GENERATION_MAX = 0xffffff };
_Static_assert(KEEPER_KEYS == 1 << SLOT_BITS, "a handle is a generation and a slot");

struct slot {
	EVP_PKEY *key;
	uint32_t generation; /* an old handle does not find the key that came after */
};

struct vault {
	pthread_mutex_t lock;
	EVP_MD *digests[KEEPER_DIGESTS];
	struct slot slots[KEEPER_KEYS];
	const char *const *folders;
	size_t n_folders;
};

struct vault *vault_new(const char *const *folders, size_t n)
{
	struct vault *v = MEM_NEW(struct vault);
	v->folders = folders;
	v->n_folders = n;
	pthread_mutex_init(&v->lock, NULL);
	for (int d = KEEPER_DIGEST_NONE + 1; d < KEEPER_DIGESTS; d++)
		v->digests[d] = EVP_MD_fetch(NULL, keeper_digest_name((enum keeper_digest)d), NULL);
	ERR_clear_error();
	return v;
}

struct vault *vault_free(struct vault *v)
{
	if (!v)
		return NULL;
	for (int d = 0; d < KEEPER_DIGESTS; d++)
		EVP_MD_free(v->digests[d]);
	for (size_t i = 0; i < KEEPER_KEYS; i++)
		EVP_PKEY_free(v->slots[i].key);
	pthread_mutex_destroy(&v->lock);
	return mem_free(v);
}

/* ---- slots */

static uint32_t put(struct vault *v, EVP_PKEY *key)
{
	uint32_t handle = 0;
	pthread_mutex_lock(&v->lock);
	for (uint32_t i = 0; i < KEEPER_KEYS && !handle; i++) {
		struct slot *s = &v->slots[i];
		if (s->key)
			continue;
		s->generation = s->generation == GENERATION_MAX ? 1 : s->generation + 1;
		s->key = key;
		handle = s->generation << SLOT_BITS | i;
	}
	pthread_mutex_unlock(&v->lock);
	return handle;
}

/* The caller's reference, or NULL; `take`: the vault's own. */
static EVP_PKEY *get(struct vault *v, uint32_t handle, bool take)
{
	struct slot *s = &v->slots[handle & (KEEPER_KEYS - 1)];
	EVP_PKEY *key = NULL;
	pthread_mutex_lock(&v->lock);
	if (s->key && s->generation == handle >> SLOT_BITS) {
		key = s->key;
		if (take)
			s->key = NULL;
		else
			EVP_PKEY_up_ref(key);
	}
	pthread_mutex_unlock(&v->lock);
	return key;
}

/* The reference that get gave. Under the lock, so that whoever frees the key comes visibly after whoever used it. */
static void give_back(struct vault *v, EVP_PKEY *key)
{
	pthread_mutex_lock(&v->lock);
	EVP_PKEY_free(key);
	pthread_mutex_unlock(&v->lock);
}

/* ---- load */

static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return -1; /* a server cannot ask */
}

static EVP_PKEY *parse(const char *pem, size_t len)
{
	BIO *in = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
	BIO_free(in);
	return key;
}

/* *ret_value: errno of KEEPER_NO_FILE. */
static enum keeper_status read_key(EVP_PKEY **ret, const char *path, uint32_t *ret_value)
{
	enum keeper_status status = KEEPER_NO_FILE;
	/* not to wait for whoever writes into a pipe */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	if (fd < 0 || fstat(fd, &st)) {
		*ret_value = (uint32_t)errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > KEEPER_FILE_MAX) {
		status = KEEPER_NOT_PLAIN;
		goto out;
	}
	text = OPENSSL_secure_malloc(KEEPER_FILE_MAX + 1);
	if (!text) {
		*ret_value = ENOMEM;
		goto out;
	}
	for (ssize_t n = 1; n && len <= KEEPER_FILE_MAX; len += (size_t)n) {
		while ((n = read(fd, text + len, KEEPER_FILE_MAX + 1 - len)) < 0 && errno == EINTR)
			;
		if (n < 0) {
			*ret_value = (uint32_t)errno;
			goto out;
		}
	}
	if (len > KEEPER_FILE_MAX)
		status = KEEPER_NOT_PLAIN;
	else
		status = (*ret = parse(text, len)) ? KEEPER_OK : KEEPER_NO_KEY;
out:
	OPENSSL_secure_clear_free(text, KEEPER_FILE_MAX + 1);
	if (fd >= 0)
		close(fd);
	return status;
}

static bool is(const EVP_PKEY *key, const char *name)
{
	return EVP_PKEY_is_a(key, name);
}

static bool serves(const EVP_PKEY *key, enum keeper_scheme s)
{
	switch (s) {
	case KEEPER_PKCS1:
		return is(key, "RSA");
	case KEEPER_PSS:
		return is(key, "RSA") || is(key, "RSA-PSS");
	case KEEPER_ECDSA:
		return is(key, "EC");
	case KEEPER_EDDSA:
		return is(key, "ED25519") || is(key, "ED448");
	default:
		return false;
	}
}

static bool usable(const EVP_PKEY *key)
{
	for (int s = KEEPER_SCHEME_NONE + 1; s < KEEPER_SCHEMES; s++)
		if (serves(key, (enum keeper_scheme)s))
			return EVP_PKEY_get_size(key) <= KEEPER_SIGNATURE_MAX;
	return false;
}

/* By name: whoever could put a link into one of the folders could put a key there. */
static bool permitted(const struct vault *v, const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);
	struct slice folder = slice_of(path, len);
	for (size_t i = 0; i < v->n_folders; i++) {
		struct slice known = slice_str(v->folders[i]);
		if (slice_eq(known, folder))
			return true;
		if (slice_starts(folder, known) && folder.p[known.len] == '/' && !path_is_wide(v->folders[i]) && !strstr(path, "/../"))
			return true;
	}
	return !v->n_folders;
}

static void load(struct vault *v, const struct keeper_request *q, struct keeper_reply *r, char *scratch)
{
	char path[KEEPER_PATH_MAX + 1];
	unsigned char *at = (unsigned char *)scratch;
	EVP_PKEY *key = NULL;
	slice_cstr(q->data, path, sizeof path);
	r->status = permitted(v, path) ? read_key(&key, path, &r->value) : KEEPER_ELSEWHERE;
	if (r->status)
		return;
	int n = usable(key) ? i2d_PUBKEY(key, NULL) : 0;
	if (n <= 0 || n > KEEPER_PUBLIC_MAX) {
		r->status = KEEPER_ODD_KEY;
	} else if (!(r->value = put(v, key))) {
		r->status = KEEPER_FULL;
	} else {
		i2d_PUBKEY(key, &at);
		r->data = slice_of(scratch, (size_t)n);
		return;
	}
	EVP_PKEY_free(key);
}

/* ---- sign */

/* The length, 0 for none. */
static size_t sign_message(EVP_PKEY *key, struct slice m, char *dst)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t len = KEEPER_SIGNATURE_MAX;
	bool ok = c && EVP_DigestSignInit_ex(c, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
		  EVP_DigestSign(c, (unsigned char *)dst, &len, (const unsigned char *)m.p, m.len) == 1;
	EVP_MD_CTX_free(c);
	return ok ? len : 0;
}

static size_t sign_digest(const struct vault *v, EVP_PKEY *key, const struct keeper_request *q, char *dst)
{
	const EVP_MD *md = v->digests[q->digest];
	EVP_PKEY_CTX *c = md ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
	size_t len = KEEPER_SIGNATURE_MAX;
	bool ok = c && EVP_PKEY_sign_init(c) == 1;
	if (q->scheme == KEEPER_PSS)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1;
	else if (q->scheme == KEEPER_PKCS1)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
	ok = ok && EVP_PKEY_CTX_set_signature_md(c, md) == 1 && EVP_PKEY_sign(c, (unsigned char *)dst, &len, (const unsigned char *)q->data.p, q->data.len) == 1;
	EVP_PKEY_CTX_free(c);
	return ok ? len : 0;
}

static void sign(struct vault *v, const struct keeper_request *q, struct keeper_reply *r, char *scratch)
{
	EVP_PKEY *key = get(v, q->handle, false);
	size_t n = 0;
	if (!key) {
		r->status = KEEPER_UNKNOWN;
		return;
	}
	if (serves(key, q->scheme))
		n = q->scheme == KEEPER_EDDSA ? sign_message(key, q->data, scratch) : sign_digest(v, key, q, scratch);
	give_back(v, key);
	r->status = n ? KEEPER_OK : KEEPER_FAILED;
	r->data = slice_of(scratch, n);
}

size_t vault_answer(struct vault *v, struct slice request, char *dst)
{
	struct keeper_request q;
	struct keeper_reply r = {.status = KEEPER_OK};
	char scratch[KEEPER_PUBLIC_MAX];
	_Static_assert(sizeof scratch >= KEEPER_SIGNATURE_MAX, "both fit");
	if (keeper_request_read(&q, request)) {
		r.status = KEEPER_MALFORMED;
	} else if (q.verb == KEEPER_LOAD) {
		load(v, &q, &r, scratch);
	} else if (q.verb == KEEPER_SIGN) {
		sign(v, &q, &r, scratch);
	} else {
		EVP_PKEY *key = get(v, q.handle, true);
		EVP_PKEY_free(key);
		r.status = key ? KEEPER_OK : KEEPER_UNKNOWN;
	}
	ERR_clear_error();
	return keeper_reply_write(dst, KEEPER_REPLY_MAX, &r);
}
