/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/dialback.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"

static void hex32(char dst[65], const unsigned char md[32])
{
	static const char digit[] = "0123456789abcdef";
	for (int i = 0; i < 32; i++) {
		dst[2 * i] = digit[md[i] >> 4];
		dst[2 * i + 1] = digit[md[i] & 15];
	}
	dst[64] = 0;
}

void xmpp_dialback_secret_init(struct xmpp_dialback_secret *ret, struct slice secret)
{
	unsigned char md[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)(secret.p ? secret.p : ""), secret.len, md);
	hex32(ret->hex, md);
	OPENSSL_cleanse(md, sizeof md);
}

void xmpp_dialback_secret_random(struct xmpp_dialback_secret *ret)
{
	char secret[32];
	rand_bytes(secret, sizeof secret);
	xmpp_dialback_secret_init(ret, slice_of(secret, sizeof secret));
	OPENSSL_cleanse(secret, sizeof secret);
}

void xmpp_dialback_key(char ret[XMPP_DIALBACK_KEY + 1], const struct xmpp_dialback_secret *secret, struct slice receiving,
		       struct slice originating, struct slice id)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	size_t len = receiving.len + originating.len + id.len + 2, at = 0;
	char *text = mem_calloc(1, len);
	const struct slice part[] = {receiving, S(" "), originating, S(" "), id};
	for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
		if (part[i].len)
			memcpy(text + at, part[i].p, part[i].len);
		at += part[i].len;
	}
	HMAC(EVP_sha256(), secret->hex, 64, (const unsigned char *)text, len, md, &n);
	hex32(ret, md);
	mem_free(text);
}

bool xmpp_dialback_check(const struct xmpp_dialback_secret *secret, struct slice receiving, struct slice originating,
			 struct slice id, struct slice key)
{
	char want[XMPP_DIALBACK_KEY + 1];
	key = slice_trim(key);
	if (key.len != XMPP_DIALBACK_KEY)
		return false;
	xmpp_dialback_key(want, secret, receiving, originating, id);
	return CRYPTO_memcmp(want, key.p, XMPP_DIALBACK_KEY) == 0;
}

bool xmpp_dialback_check_any(const struct xmpp_dialback_secrets *s, struct slice receiving, struct slice originating, struct slice id,
			     struct slice key)
{
	bool ours = false;
	for (unsigned i = 0; i < s->n; i++)
		ours |= xmpp_dialback_check(&s->s[i], receiving, originating, id, key);
	return ours;
}

/* ---- several */

static bool digits(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!((text.p[i] >= '0' && text.p[i] <= '9') || (text.p[i] >= 'a' && text.p[i] <= 'f')))
			return false;
	return text.len && text.len % XMPP_DIALBACK_KEY == 0 && text.len / XMPP_DIALBACK_KEY <= XMPP_DIALBACK_SECRETS;
}

void xmpp_dialback_secrets_init(struct xmpp_dialback_secrets *ret, struct slice text)
{
	*ret = (struct xmpp_dialback_secrets){.n = 1};
	if (!digits(text)) {
		xmpp_dialback_secret_init(&ret->s[0], text);
		return;
	}
	for (ret->n = 0; text.len; text = slice_skip(text, XMPP_DIALBACK_KEY))
		memcpy(ret->s[ret->n++].hex, text.p, XMPP_DIALBACK_KEY);
}

int xmpp_dialback_secrets_parse(struct xmpp_dialback_secrets *ret, struct slice file, struct entente_err *err)
{
	enum { LEAST = 16 };
	struct xmpp_dialback_secrets out = {.n = 0};
	int rc = 0;
	for (unsigned line = 1; file.len && !rc; line++) {
		struct slice one = slice_trim(slice_split(&file, '\n'));
		if (!one.len || one.p[0] == '#')
			continue;
		if (one.len < LEAST)
			rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %u: a secret has at least %d octets", line, LEAST);
		else if (out.n == XMPP_DIALBACK_SECRETS)
			rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "more than %d secrets", XMPP_DIALBACK_SECRETS);
		else
			xmpp_dialback_secret_init(&out.s[out.n++], one);
	}
	if (!rc && !out.n)
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "there is no secret in it");
	if (!rc)
		*ret = out;
	OPENSSL_cleanse(&out, sizeof out);
	return rc;
}

size_t xmpp_dialback_secrets_text(const struct xmpp_dialback_secrets *s, char ret[XMPP_DIALBACK_SECRETS * XMPP_DIALBACK_KEY])
{
	for (unsigned i = 0; i < s->n; i++)
		memcpy(ret + i * XMPP_DIALBACK_KEY, s->s[i].hex, XMPP_DIALBACK_KEY);
	return (size_t)s->n * XMPP_DIALBACK_KEY;
}
