/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../store/scratch.h"
#include "api/identity.h"

static void put_account(struct store *s, struct slice name, struct slice role, struct slice hash, bool enabled)
{
	struct store_account a = {.name = name, .role = role, .hash = hash, .enabled = enabled, .changed_at = 1};
	assert_int_equal(WAIT(NULL, store_account_put(s, &a, done, arg)), 0);
}

static void put_token(struct store *s, struct slice name, struct slice secret, int64_t expires)
{
	char hash[ADMIN_SECRET_HASH];
	admin_secret_hash(hash, secret);
	struct store_token t = {.name = name, .role = S("operator"), .hash = slice_str(hash), .expires_at = expires};
	assert_int_equal(WAIT(NULL, store_token_put(s, &t, done, arg)), 0);
}

static void tokens(void **state)
{
	struct store *s = scratch_open();
	struct identities *t = identities_new(s);
	struct identity who;
	(void)state;
	put_token(s, S("ci"), S("entente_x"), 0);
	put_token(s, S("old"), S("entente_y"), 100);
	assert_false(identities_find(t, S("entente_x"), 50, &who)); /* not read yet */
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_true(identities_find(t, S("entente_x"), 50, &who));
	assert_string_equal(who.who, "token/ci");
	assert_int_equal(who.roles, ADMIN_ROLE_OPERATOR);
	struct identity old, socket = {.how = "socket"}, ci = who;
	assert_true(identities_find(t, S("entente_y"), 99, &who));
	old = who;
	assert_true(identities_still(t, &old, 99));
	assert_false(identities_still(t, &old, 100)); /* what runs ends with it */
	assert_true(identities_still(t, &socket, 100));
	assert_true(identities_still(t, &ci, 100));
	assert_false(identities_find(t, S("entente_y"), 100, &who));
	assert_false(identities_find(t, S("entente_z"), 50, &who));
	assert_false(identities_find(t, S(""), 50, &who));
	assert_int_equal(WAIT(NULL, store_token_delete(s, S("ci"), done, arg)), 0);
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_false(identities_find(t, S("entente_x"), 50, &who));
	assert_false(identities_still(t, &ci, 50));
	identities_free(t);
	store_close(s);
}

static void sessions(void **state)
{
	struct store *s = scratch_open();
	struct identities *t = identities_new(s);
	struct identity who;
	char a[IDENTITY_SECRET], b[IDENTITY_SECRET];
	(void)state;
	put_account(s, S("bob"), S("viewer"), S("hash-1"), true);
	put_account(s, S("eve"), S("admin"), S("hash-2"), false);
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_string_equal(identities_hash(t, S("bob")), "hash-1");
	assert_string_not_equal(identities_hash(t, S("eve")), "hash-2"); /* nobody logs in by it */
	assert_true(admin_password_is_hash(slice_str(identities_hash(t, S("nobody"))))); /* and that takes as long as for somebody */
	assert_string_equal(identities_hash(t, S("eve")), identities_hash(t, S("nobody")));
	assert_false(identities_begin(t, S("eve"), "hash-2", 10, a, &who));
	assert_false(identities_begin(t, S("bob"), "hash-0", 10, a, &who)); /* changed while it was verified */
	assert_true(identities_begin(t, S("bob"), "hash-1", 10, a, &who));
	assert_true(identities_begin(t, S("bob"), "hash-1", 10, b, &who));
	assert_string_not_equal(a, b);
	assert_true(identities_find(t, slice_str(a), 20, &who));
	assert_string_equal(who.who, "account/bob");
	assert_int_equal(who.roles, ADMIN_ROLE_VIEWER);
	assert_false(identities_find(t, slice_str(a), 10 + IDENTITY_SESSION_S, &who));
	identities_end(t, slice_str(b));
	assert_false(identities_find(t, slice_str(b), 20, &who));
	/* another role holds at once, another password ends them */
	assert_true(identities_begin(t, S("bob"), "hash-1", 10, a, &who));
	assert_true(identities_find(t, slice_str(a), 20, &who));
	struct identity before = who;
	put_account(s, S("bob"), S("policy-admin"), S("hash-1"), true);
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_false(identities_still(t, &before, 20)); /* what he began as a viewer is over */
	assert_true(identities_find(t, slice_str(a), 20, &who));
	assert_int_equal(who.roles, ADMIN_ROLE_POLICY);
	put_account(s, S("bob"), S("policy-admin"), S("hash-3"), true);
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_false(identities_find(t, slice_str(a), 20, &who));
	identities_free(t);
	store_close(s);
}

static void bounded(void **state)
{
	struct store *s = scratch_open();
	struct identities *t = identities_new(s);
	struct identity who;
	char first[IDENTITY_SECRET], other[IDENTITY_SECRET], last[IDENTITY_SECRET];
	(void)state;
	put_account(s, S("bob"), S("viewer"), S("hash-1"), true);
	put_account(s, S("amy"), S("viewer"), S("hash-1"), true);
	assert_int_equal(identities_reload(t, NULL), 0);
	assert_true(identities_begin(t, S("amy"), "hash-1", 10, other, &who));
	assert_true(identities_begin(t, S("bob"), "hash-1", 10, first, &who));
	for (int i = 0; i < IDENTITY_SESSIONS_EACH; i++)
		assert_true(identities_begin(t, S("bob"), "hash-1", 10, last, &who));
	assert_false(identities_find(t, slice_str(first), 20, &who)); /* his own oldest */
	assert_true(identities_find(t, slice_str(last), 20, &who));
	assert_true(identities_find(t, slice_str(other), 20, &who));
	identities_free(t);
	store_close(s);
}

static void passwords(void **state)
{
	char hash[ADMIN_PASSWORD_HASH], twice[ADMIN_PASSWORD_HASH];
	struct buf why;
	(void)state;
	assert_true(admin_password_hash(hash, S("correct horse battery")));
	assert_true(admin_password_hash(twice, S("correct horse battery")));
	assert_string_not_equal(hash, twice); /* salted */
	assert_true(admin_password_is_hash(slice_str(hash)));
	assert_true(admin_password_verify(hash, S("correct horse battery")));
	assert_false(admin_password_verify(hash, S("correct horse batterz")));
	assert_false(admin_password_verify("", S("")));
	assert_false(admin_password_is_hash(S("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$dGhpcw"))); /* too cheap */
	assert_false(admin_password_is_hash(S("correct horse battery")));
	buf_init(&why, 4096);
	assert_true(admin_password_check(S("correct horse battery"), S("bob"), &why));
	assert_false(admin_password_check(S("elevenchars"), S("bob"), &why));
	assert_true(admin_password_check(S("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc"), S("bob"), &why)); /* 12 characters */
	assert_false(admin_password_check(S("aaaaaaaaaaaaaaaa"), S("bob"), &why));
	assert_false(admin_password_check(S("bob-the-builder"), S("Bob-The-Builder"), &why));
	assert_false(admin_password_check(S("twelve\0octets"), S("bob"), &why));
	assert_false(admin_password_check(S("\xff\xfe twelve octets"), S("bob"), &why));
	buf_free(&why);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tokens, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(sessions, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(bounded, scratch_make, scratch_remove),
		cmocka_unit_test(passwords),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
