/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/buf.h"
#include "scratch.h"
#include "store/store_identity.h"

static int show_account(void *arg, const struct store_account *a)
{
	buf_printf(arg, "%.*s %.*s %.*s %d %lld %lld\n", SFMT(a->name), SFMT(a->role), SFMT(a->hash), a->enabled, (long long)a->made_at,
		   (long long)a->changed_at);
	return 0;
}

static int show_token(void *arg, const struct store_token *t)
{
	buf_printf(arg, "%.*s %.*s %.*s %lld %lld\n", SFMT(t->name), SFMT(t->role), SFMT(t->hash), (long long)t->expires_at, (long long)t->made_at);
	return slice_eq(t->name, S("stop")) ? 7 : 0;
}

static void expect(struct store *s, const char *accounts, const char *tokens)
{
	struct buf out;
	buf_init(&out, 65536);
	assert_int_equal(store_load_accounts(s, show_account, &out, NULL), 0);
	buf_putc(&out, 0);
	assert_string_equal(buf_slice(&out).p, accounts);
	buf_clear(&out);
	assert_int_equal(store_load_tokens(s, show_token, &out, NULL), 0);
	buf_putc(&out, 0);
	assert_string_equal(buf_slice(&out).p, tokens);
	buf_free(&out);
}

static void kept(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct store_account a = {.name = S("bob"), .role = S("viewer"), .hash = S("$h"), .enabled = true, .changed_at = 10};
	struct store_token t = {.name = S("panel"), .role = S("admin"), .hash = S("ab"), .expires_at = 0, .made_at = 5};
	int64_t generation;
	assert_int_equal(WAIT(NULL, store_account_put(s, &a, done, arg)), 0);
	a.role = S("admin");
	a.enabled = false;
	a.changed_at = 20;
	assert_int_equal(WAIT(NULL, store_account_put(s, &a, done, arg)), 0);
	a.name = S("alice");
	assert_int_equal(WAIT(NULL, store_account_put(s, &a, done, arg)), 0);
	assert_int_equal(WAIT(NULL, store_token_put(s, &t, done, arg)), 0);
	t.name = S("ci");
	t.expires_at = 99;
	assert_int_equal(WAIT(NULL, store_token_put(s, &t, done, arg)), 0);
	s = store_close(s);
	s = scratch_open();
	expect(s, "alice admin $h 0 20 20\nbob admin $h 0 10 20\n", "ci admin ab 99 5\npanel admin ab 0 5\n");
	assert_int_equal(store_load_policy(s, NULL, NULL, NULL, &generation, NULL), 0);
	assert_int_equal(generation, 0); /* no policy was changed */
	assert_int_equal(WAIT(NULL, store_account_delete(s, S("bob"), done, arg)), 0);
	assert_int_equal(WAIT(NULL, store_account_delete(s, S("nobody"), done, arg)), 0);
	assert_int_equal(WAIT(NULL, store_token_delete(s, S("panel"), done, arg)), 0);
	expect(s, "alice admin $h 0 20 20\n", "ci admin ab 99 5\n");
	store_close(s);
}

static void refused(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct buf out;
	struct store_token t = {.name = S("stop"), .role = S("admin"), .hash = S("ab")};
	assert_int_equal(store_token_put(s, &(struct store_token){.role = S("admin")}, NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(store_account_put(s, &(struct store_account){.name = S("a\0b")}, NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(WAIT(NULL, store_token_put(s, &t, done, arg)), 0);
	buf_init(&out, 65536);
	assert_int_equal(store_load_tokens(s, show_token, &out, NULL), 7); /* the caller's word is passed on */
	buf_free(&out);
	store_close(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kept, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(refused, scratch_make, scratch_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
