/* SPDX-License-Identifier: Apache-2.0 */
/* What either side may say to the other, and what the vault makes of everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <unistd.h>
#include "keeper/keeper_int.h"
#include "keys.h"

static struct vault *v;
static char frame[KEEPER_FRAME_MAX + 64], reply[KEEPER_REPLY_MAX];

static uint32_t load(const char *name)
{
	struct keeper_reply r;
	size_t n = keeper_request_write(frame, sizeof frame, &(struct keeper_request){.verb = KEEPER_LOAD, .data = slice_str(keys_path(name))});
	assert_true(n > 0);
	n = vault_answer(v, slice_of(frame, n), reply);
	assert_int_equal(keeper_reply_read(&r, KEEPER_LOAD, slice_of(reply, n)), 0);
	assert_int_equal(r.status, KEEPER_OK);
	return r.value;
}

static enum keeper_status ask(const struct keeper_request *q)
{
	struct keeper_reply r;
	size_t n = keeper_request_write(frame, sizeof frame, q);
	assert_true(n > 0);
	n = vault_answer(v, slice_of(frame, n), reply);
	assert_int_equal(keeper_reply_read(&r, q->verb, slice_of(reply, n)), 0);
	return r.status;
}

static enum keeper_status ask_raw(const char *octets, size_t n)
{
	struct keeper_reply r;
	n = vault_answer(v, slice_of(octets, n), reply);
	assert_int_equal(keeper_reply_read(&r, KEEPER_FORGET, slice_of(reply, n)), 0);
	return r.status;
}

static int begin(void **state)
{
	(void)state;
	keys_open();
	for (int i = 0; i < KINDS; i++) {
		EVP_PKEY *key = keys_make((enum kind)i);
		keys_write(kind_names[i], key, NULL);
		EVP_PKEY_free(key);
	}
	v = vault_new(NULL, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	vault_free(v);
	keys_close();
	return 0;
}

struct bad {
	const char *what;
	unsigned char verb, scheme, digest, zero;
	uint32_t handle, length;
	size_t data;         /* octets that are there */
	const char *text;    /* of them, or NULL: all 'x' */
};

static void malformed_requests(void **state)
{
	(void)state;
	static const struct bad table[] = {
		{"verb 0", 0, 0, 0, 0, 1, 0, 0, NULL},
		{"verb beyond", KEEPER_VERBS, 0, 0, 0, 1, 0, 0, NULL},
		{"verb 255", 255, 0, 0, 0, 1, 0, 0, NULL},
		{"reserved octet", KEEPER_FORGET, 0, 0, 1, 1, 0, 0, NULL},
		{"length too small", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_SHA256, 0, 1, 31, 32, NULL},
		{"length too large", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_SHA256, 0, 1, 33, 32, NULL},
		{"length of 2^32 - 1", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_SHA256, 0, 1, UINT32_MAX, 32, NULL},
		{"no digest", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_DIGEST_NONE, 0, 1, 32, 32, NULL},
		{"digest beyond", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_DIGESTS, 0, 1, 32, 32, NULL},
		{"digest of another length", KEEPER_SIGN, KEEPER_PSS, KEEPER_SHA384, 0, 1, 32, 32, NULL},
		{"MD5 and SHA-1 for PSS", KEEPER_SIGN, KEEPER_PSS, KEEPER_MD5_SHA1, 0, 1, 36, 36, NULL},
		{"MD5 and SHA-1 for ECDSA", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_MD5_SHA1, 0, 1, 36, 36, NULL},
		{"digest of a message", KEEPER_SIGN, KEEPER_EDDSA, KEEPER_SHA256, 0, 1, 32, 32, NULL},
		{"scheme 0", KEEPER_SIGN, KEEPER_SCHEME_NONE, KEEPER_SHA256, 0, 1, 32, 32, NULL},
		{"scheme beyond", KEEPER_SIGN, KEEPER_SCHEMES, KEEPER_SHA256, 0, 1, 32, 32, NULL},
		{"signature without handle", KEEPER_SIGN, KEEPER_ECDSA, KEEPER_SHA256, 0, 0, 32, 32, NULL},
		{"message too long", KEEPER_SIGN, KEEPER_EDDSA, 0, 0, 1, KEEPER_MESSAGE_MAX + 1, KEEPER_MESSAGE_MAX + 1, NULL},
		{"relative path", KEEPER_LOAD, 0, 0, 0, 0, 9, 9, "etc/x.key"},
		{"empty path", KEEPER_LOAD, 0, 0, 0, 0, 0, 0, NULL},
		{"only the root", KEEPER_LOAD, 0, 0, 0, 0, 1, 1, "/"},
		{"NUL in a path", KEEPER_LOAD, 0, 0, 0, 0, 9, 9, "/etc\0.key"},
		{"path with a handle", KEEPER_LOAD, 0, 0, 0, 1, 9, 9, "/etc/.key"},
		{"path with a scheme", KEEPER_LOAD, 1, 0, 0, 0, 9, 9, "/etc/.key"},
		{"nothing to forget", KEEPER_FORGET, 0, 0, 0, 0, 0, 0, NULL},
		{"something with forget", KEEPER_FORGET, 0, 0, 0, 1, 1, 1, NULL},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct bad *b = &table[i];
		memset(frame, 'x', sizeof frame);
		frame[0] = (char)b->verb, frame[1] = (char)b->scheme, frame[2] = (char)b->digest, frame[3] = (char)b->zero;
		for (int k = 0; k < 4; k++)
			frame[4 + k] = (char)(b->handle >> 8 * k), frame[8 + k] = (char)(b->length >> 8 * k);
		if (b->text)
			memcpy(frame + KEEPER_HEAD, b->text, b->data);
		if (ask_raw(frame, KEEPER_HEAD + b->data) != KEEPER_MALFORMED)
			fail_msg("%s", b->what);
	}
	for (size_t n = 0; n < KEEPER_HEAD; n++)
		assert_int_equal(ask_raw(frame, n), KEEPER_MALFORMED);
	/* a path of the longest sort, and one octet more */
	memset(frame, 'x', sizeof frame);
	struct keeper_request q = {.verb = KEEPER_LOAD, .data = slice_of(memset(frame + 8192, '/', KEEPER_PATH_MAX + 1), KEEPER_PATH_MAX)};
	char out[8192];
	assert_int_equal(keeper_request_write(out, sizeof out, &q), KEEPER_HEAD + KEEPER_PATH_MAX);
	q.data.len++;
	assert_int_equal(keeper_request_write(out, sizeof out, &q), 0);
}

static void handles(void **state)
{
	(void)state;
	static const char digest[64];
	uint32_t a = load("P-256"), b = load("P-256");
	assert_int_not_equal(a, b);
	struct keeper_request q = {.verb = KEEPER_SIGN, .scheme = KEEPER_ECDSA, .digest = KEEPER_SHA256, .handle = a, .data = slice_of(digest, 32)};
	assert_int_equal(ask(&q), KEEPER_OK);
	q.handle = a ^ 0x200; /* another generation */
	assert_int_equal(ask(&q), KEEPER_UNKNOWN);
	q.handle = 0xffffffff;
	assert_int_equal(ask(&q), KEEPER_UNKNOWN);
	struct keeper_request forget = {.verb = KEEPER_FORGET, .handle = a};
	assert_int_equal(ask(&forget), KEEPER_OK);
	assert_int_equal(ask(&forget), KEEPER_UNKNOWN);
	q.handle = a;
	assert_int_equal(ask(&q), KEEPER_UNKNOWN);
	uint32_t c = load("P-384"); /* into the place that became free: the old handle does not sign with it */
	assert_int_equal(c & 0xff, a & 0xff);
	assert_int_equal(ask(&q), KEEPER_UNKNOWN);
	q.handle = c;
	assert_int_equal(ask(&q), KEEPER_OK);
	forget.handle = b;
	assert_int_equal(ask(&forget), KEEPER_OK);
	forget.handle = c;
	assert_int_equal(ask(&forget), KEEPER_OK);
}

/* Each kind of key signs what TLS has it sign, and nothing else. */
static void schemes(void **state)
{
	(void)state;
	static const char data[64];
	for (int i = 0; i < KINDS; i++) {
		uint32_t handle = load(kind_names[i]);
		for (int s = KEEPER_PKCS1; s < KEEPER_SCHEMES; s++)
			for (int d = KEEPER_MD5_SHA1; d < KEEPER_DIGESTS; d++) {
				bool ed = s == KEEPER_EDDSA;
				bool fits = i == RSA_2048 ? s == KEEPER_PKCS1 || s == KEEPER_PSS : i == RSA_PSS_2048 ? s == KEEPER_PSS : i <= P_521 ? s == KEEPER_ECDSA : ed;
				if (d == KEEPER_MD5_SHA1 && s != KEEPER_PKCS1)
					continue;
				struct keeper_request q = {.verb = KEEPER_SIGN, .scheme = (enum keeper_scheme)s, .digest = ed ? KEEPER_DIGEST_NONE : (enum keeper_digest)d, .handle = handle,
							   .data = slice_of(data, keeper_digest_size((enum keeper_digest)d))};
				if (ask(&q) != (fits ? KEEPER_OK : KEEPER_FAILED))
					fail_msg("%s, scheme %d, %s", kind_names[i], s, keeper_digest_name((enum keeper_digest)d));
			}
		ask(&(struct keeper_request){.verb = KEEPER_FORGET, .handle = handle});
	}
}

static void files(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		enum keeper_status status;
	} table[] = {
		{"/nowhere/at/all", KEEPER_NO_FILE}, {"/etc", KEEPER_NOT_PLAIN}, {"/dev/zero", KEEPER_NOT_PLAIN}, {"/dev/null", KEEPER_NOT_PLAIN},
		{"/etc/passwd", KEEPER_NO_KEY}, {"/proc/self/environ", KEEPER_NO_KEY},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(ask(&(struct keeper_request){.verb = KEEPER_LOAD, .data = slice_str(table[i].path)}), table[i].status);
}

/* A keeper that somebody has taken over tells the server nothing out of order. */
static void malformed_replies(void **state)
{
	(void)state;
	struct keeper_reply r;
	char b[KEEPER_REPLY_MAX + 1] = {0};
	assert_int_equal(keeper_reply_read(&r, KEEPER_FORGET, slice_of(b, KEEPER_HEAD)), 0);
	for (size_t n = 0; n < KEEPER_HEAD; n++)
		assert_int_equal(keeper_reply_read(&r, KEEPER_FORGET, slice_of(b, n)), ENTENTE_ESYNTAX);
	for (int i = 1; i < KEEPER_HEAD; i++) { /* no octet may be another one */
		b[i] = 1;
		assert_int_equal(keeper_reply_read(&r, KEEPER_FORGET, slice_of(b, KEEPER_HEAD)), ENTENTE_ESYNTAX);
		b[i] = 0;
	}
	b[0] = KEEPER_STATUSES;
	assert_int_equal(keeper_reply_read(&r, KEEPER_FORGET, slice_of(b, KEEPER_HEAD)), ENTENTE_ESYNTAX);
	static const struct {
		enum keeper_verb verb;
		struct keeper_reply r;
		bool good;
	} table[] = {
		{KEEPER_SIGN, {KEEPER_OK, 0, {"s", 1}}, true},
		{KEEPER_SIGN, {KEEPER_OK, 0, {NULL, 0}}, false},
		{KEEPER_SIGN, {KEEPER_OK, 1, {"s", 1}}, false},
		{KEEPER_SIGN, {KEEPER_FAILED, 0, {"s", 1}}, false},
		{KEEPER_SIGN, {KEEPER_FAILED, 0, {NULL, 0}}, true},
		{KEEPER_LOAD, {KEEPER_OK, 1, {"s", 1}}, true},
		{KEEPER_LOAD, {KEEPER_OK, 0, {"s", 1}}, false},
		{KEEPER_LOAD, {KEEPER_OK, 1, {NULL, 0}}, false},
		{KEEPER_LOAD, {KEEPER_NO_FILE, 13, {NULL, 0}}, true},
		{KEEPER_LOAD, {KEEPER_NO_FILE, 0, {NULL, 0}}, false},
		{KEEPER_LOAD, {KEEPER_NO_KEY, 13, {NULL, 0}}, false},
		{KEEPER_FORGET, {KEEPER_OK, 0, {"s", 1}}, false},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t n = keeper_reply_write(b, sizeof b, &table[i].r);
		if ((keeper_reply_read(&r, table[i].verb, slice_of(b, n)) == 0) != table[i].good)
			fail_msg("reply %zu", i);
	}
	static char most[KEEPER_PUBLIC_MAX];
	size_t n = keeper_reply_write(b, sizeof b, &(struct keeper_reply){.data = slice_of(most, KEEPER_SIGNATURE_MAX)});
	assert_int_equal(keeper_reply_read(&r, KEEPER_SIGN, slice_of(b, n)), 0);
	n = keeper_reply_write(b, sizeof b, &(struct keeper_reply){.data = slice_of(most, KEEPER_SIGNATURE_MAX + 1)});
	assert_int_equal(keeper_reply_read(&r, KEEPER_SIGN, slice_of(b, n)), ENTENTE_ESYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_requests), cmocka_unit_test(handles), cmocka_unit_test(schemes), cmocka_unit_test(files), cmocka_unit_test(malformed_replies),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
