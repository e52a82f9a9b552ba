/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/password.h"

#include <sodium.h>
#include "base/enc.h"

_Static_assert((int)ADMIN_PASSWORD_HASH == (int)crypto_pwhash_STRBYTES, "room for the hash");

enum { OPS = 3 };
static const size_t memory = 64 << 20;

static size_t characters(struct slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

bool admin_password_check(struct slice password, struct slice name, struct buf *why)
{
	bool same = true;
	if (!utf8_valid(password) || (password.len && memchr(password.p, 0, password.len))) {
		buf_puts(why, "the password is not UTF-8");
		return false;
	}
	if (password.len > ADMIN_PASSWORD_MAX) {
		buf_printf(why, "the password is longer than %d octets", ADMIN_PASSWORD_MAX);
		return false;
	}
	if (characters(password) < ADMIN_PASSWORD_MIN) {
		buf_printf(why, "the password is too short: at least %d characters, a sentence is easiest to remember", ADMIN_PASSWORD_MIN);
		return false;
	}
	for (size_t i = 1; i < password.len; i++)
		same = same && password.p[i] == password.p[0];
	if (same || slice_ieq(password, name)) {
		buf_puts(why, same ? "the password is one character again and again" : "the password is the name of the account");
		return false;
	}
	return true;
}

bool admin_password_hash(char ret[ADMIN_PASSWORD_HASH], struct slice password)
{
	return sodium_init() >= 0 && crypto_pwhash_str_alg(ret, password.p ? password.p : "", password.len, OPS, memory, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

bool admin_password_verify(const char *hash, struct slice password)
{
	char padded[ADMIN_PASSWORD_HASH] = {0};
	return slice_cstr(slice_str(hash), padded, sizeof padded) && sodium_init() >= 0 && password.len <= ADMIN_PASSWORD_MAX &&
	       crypto_pwhash_str_verify(padded, password.p ? password.p : "", password.len) == 0;
}

bool admin_password_is_hash(struct slice text)
{
	char padded[ADMIN_PASSWORD_HASH] = {0};
	return slice_starts(text, S("$argon2id$")) && slice_cstr(text, padded, sizeof padded) && sodium_init() >= 0 &&
	       crypto_pwhash_str_needs_rehash(padded, OPS, memory) == 0;
}

void admin_secret_hash(char ret[ADMIN_SECRET_HASH], struct slice secret)
{
	unsigned char h[32];
	crypto_generichash(h, sizeof h, (const unsigned char *)(secret.p ? secret.p : ""), secret.len, NULL, 0);
	sodium_bin2hex(ret, ADMIN_SECRET_HASH, h, sizeof h);
}
