/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups of this machine, and what admin.roles makes of them. bin (2) and daemon (1) are on every Debian, with groups of the same numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "api/peer.h"

static unsigned judge(uint32_t uid, uint32_t gid, const char *const *entries, size_t n)
{
	struct peer_identity who;
	struct config_strings list = {entries, n};
	assert_int_equal(peer_check(&list, NULL), 0);
	peer_judge(uid, &gid, 1, &list, &who);
	return who.roles;
}

static void table(void **state)
{
	static const char *const entries[] = {"user:bin=viewer", "group:bin=CsHelpDesk", "group:daemon=operator", "others=none"};
	(void)state;
	assert_int_equal(judge(0, 0, entries, 4), ADMIN_ROLES_ALL);
	assert_int_equal(judge(geteuid(), 12345, entries, 4), ADMIN_ROLES_ALL);
	assert_int_equal(judge(2, 2, entries, 4), ADMIN_ROLE_VIEWER | ADMIN_ROLE_HELPDESK);
	assert_int_equal(judge(2, 12345, entries, 4), ADMIN_ROLE_VIEWER);
	assert_int_equal(judge(12345, 1, entries, 4), ADMIN_ROLE_OPERATOR);
	assert_int_equal(judge(12345, 12345, entries, 4), 0);
	assert_int_equal(judge(12345, 12345, entries, 3), ADMIN_ROLES_ALL); /* whoever may connect may administer */
	assert_int_equal(judge(12345, 12345, NULL, 0), ADMIN_ROLES_ALL);
}

static void malformed(void **state)
{
	static const char *const wrong[] = {"", "alice=viewer", "user:=viewer", "user:alice", "user:alice=", "user:alice=root", "group:x=viewer,admin", "Others=none"};
	struct entente_err err;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct config_strings list = {&wrong[i], 1};
		assert_int_equal(peer_check(&list, &err), ENTENTE_EINVAL);
		assert_non_null(strstr(err.text, "group:support=helpdesk")); /* an example */
	}
}

static void by_the_kernel(void **state)
{
	struct config_strings none = {NULL, 0};
	struct peer_identity who = {.roles = 99};
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	peer_identify(pair[0], &none, &who);
	assert_int_equal(who.roles, ADMIN_ROLES_ALL); /* it is us */
	close(pair[1]);
	close(pair[0]);
	peer_identify(pair[0], &none, &who); /* no socket at all */
	assert_int_equal(who.roles, 0);
	assert_string_equal(who.who, "unknown");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(malformed), cmocka_unit_test(by_the_kernel)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
