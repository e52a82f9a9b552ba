/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: every command of the daemon with every role, against a table written here by hand from what each role is for. A new
 * command fails this test until somebody has decided. And that what the table says is what a session is held to. */
#include "rig.h"

#include "admin/role.h"

/* v viewer, h helpdesk, a auditor, o operator, p policy-admin; the role admin may all. */
static const struct {
	const char *command, *who;
} matrix[] = {
	{"status", "vhaop"}, {"explain", "vhaop"}, {"history", "vhaop"},
	{"partner xmpp add", "p"}, {"partner xmpp set", "p"}, {"partner xmpp remove", "p"}, {"partner xmpp show", "vhaop"}, {"partner xmpp list", "vhaop"},
	{"partner test", "ho"}, {"trace", "ho"},
	{"access-edge show", "vhaop"}, {"access-edge set", "p"},
	{"allowed-domain add", "p"}, {"allowed-domain set", "p"}, {"allowed-domain remove", "p"}, {"allowed-domain list", "vhaop"},
	{"blocked-domain add", "p"}, {"blocked-domain remove", "p"}, {"blocked-domain list", "vhaop"},
	{"external-access list", "vhaop"}, {"external-access show", "vhaop"}, {"external-access add", "p"}, {"external-access set", "p"},
	{"external-access remove", "p"}, {"external-access grant", "p"}, {"user list", "vhaop"}, {"user show", "vhaop"}, {"user add", "p"}, {"user set", "p"},
	{"user remove", "p"}, {"contact list", "vhaop"}, {"contact add", "p"}, {"contact remove", "p"},
	{"hosting-provider add", "p"}, {"hosting-provider set", "p"}, {"hosting-provider enable", "p"}, {"hosting-provider disable", "p"},
	{"hosting-provider remove", "p"}, {"hosting-provider list", "vhaop"},
	{"public-provider add", "p"}, {"public-provider set", "p"}, {"public-provider enable", "p"}, {"public-provider disable", "p"},
	{"public-provider remove", "p"}, {"public-provider list", "vhaop"},
	{"show sip connections", "vhaop"}, {"show sip transactions", "vhaop"}, {"show sip dialogs", "vhaop"}, {"show sip watch-list", "vhaop"},
	{"show sip certificates", "vhaop"}, {"show revocation-lists", "vhaop"}, {"show streams", "vhaop"}, {"show subscriptions", "vhaop"},
	{"show conversations", "vhaop"}, {"show homes", "vhaop"}, {"show links", "vhaop"}, {"show stream", "vhaop"}, {"show attempts", "vhaop"},
	{"show metrics", "vhaop"}, {"show messages", "vhaop"}, {"show probes", "vhaop"}, {"top", "vhaop"}, {"test im", "ho"},
	{"queue list", "vhaop"}, {"queue show", "vhaop"}, {"queue hold", "o"}, {"queue release", "o"}, {"queue retry", "o"}, {"queue expire", "o"},
	{"queue quarantine", "o"}, {"queue pause", "o"}, {"queue resume", "o"},
	{"reload", "o"},
	{"certificate list", "vhaop"},
	{"audit list", "a"},
	{"policy export", "vhaop"}, {"policy import", "p"}, {"policy test", "vhaop"}, {"backup", "o"},
	{"config begin", "op"}, {"config set", "o"}, {"config diff", "vhaop"}, {"config commit", "op"}, {"config abort", "op"}, {"config rollback", "p"},
	{"config history", "vhaop"}, {"config apply", "p"},
	{"account add", ""}, {"account set", ""}, {"account password", ""}, {"account remove", ""}, {"account list", "a"},
	{"token add", ""}, {"token remove", ""}, {"token list", "a"},
};

static const struct {
	char letter;
	unsigned bit;
} roles[] = {{'v', ADMIN_ROLE_VIEWER}, {'h', ADMIN_ROLE_HELPDESK}, {'a', ADMIN_ROLE_AUDITOR}, {'o', ADMIN_ROLE_OPERATOR}, {'p', ADMIN_ROLE_POLICY},
	     {'!', ADMIN_ROLE_ADMIN}};

static const char *expected(const struct admin_command *c)
{
	struct buf path;
	const char *who = NULL;
	buf_init(&path, 256);
	admin_path_print(&path, c->path);
	for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
		if (slice_eq(slice_str(matrix[i].command), buf_slice(&path)))
			who = matrix[i].who;
	if (!who && !c->local)
		fail_msg("nobody has said here who may run `%.*s`", SFMT(buf_slice(&path)));
	buf_free(&path);
	return who;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* The code of the refusal, or "" when the command was let through (and complains of its arguments, or was carried out). */
static void ask(struct rig *r, unsigned role, const struct admin_command *c, const char *args, char code[32])
{
	struct admin_session *s = admin_session_new_as(r->admin, S("eve"), role);
	struct buf out;
	json_t *words = json_array();
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	admin_session_output(s, &out, nothing, NULL);
	for (size_t k = 0; c->path[k]; k++)
		json_array_append_new(words, json_string(c->path[k]));
	json_t *request = json_pack("{s:o s:o s:b}", "command", words, "args", json_loads(args, 0, NULL), "json", 1);
	char *text = json_dumps(request, JSON_COMPACT);
	assert_int_equal(admin_session_input(s, slice_str(text), &out), 0);
	assert_int_equal(admin_session_input(s, S("\n"), &out), 0);
	json_t *answer = json_loadb(buf_slice(&out).p, out.len, 0, NULL), *error = json_object_get(answer, "error");
	const char *z = json_string_value(json_object_get(error, "code"));
	snprintf(code, 32, "%s", z ? z : "");
	if (slice_eq(slice_str(code), S("forbidden"))) {
		assert_int_equal(json_integer_value(json_object_get(answer, "exit")), ADMIN_EXIT_REFUSED);
		assert_non_null(strstr(json_string_value(json_object_get(error, "hint")), "admin"));
	}
	json_decref(answer);
	json_decref(request);
	free(text);
	buf_free(&out);
	admin_session_free(s);
}

static void everybody(void **state)
{
	size_t asked = 0;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		const char *who = expected(c);
		for (size_t k = 0; k < sizeof roles / sizeof *roles; k++) {
			char code[32];
			bool may = c->local || roles[k].letter == '!' || strchr(who, roles[k].letter);
			bool changes = c->changes || c->live || c->id == ADMIN_CMD_RELOAD;
			if (admin_may(roles[k].bit, c) != may)
				fail_msg("%s %s: role %c", c->path[0], c->path[1] ? c->path[1] : "", roles[k].letter);
			if (may && changes)
				continue; /* what it does is other tests' matter */
			ask(*state, roles[k].bit, c, "{\"no-such-argument\":1}", code);
			assert_int_equal(slice_eq(slice_str(code), S("forbidden")), !may);
			asked++;
		}
		assert_false(admin_may(0, c));
	}
	assert_true(asked > 200);
	for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) { /* and nothing here is of yesterday */
		bool found = false;
		for (size_t k = 0; k < admin_command_count() && !found; k++) {
			struct buf path;
			buf_init(&path, 256);
			admin_path_print(&path, admin_command(k)->path);
			found = slice_eq(slice_str(matrix[i].command), buf_slice(&path));
			buf_free(&path);
		}
		assert_true(found);
	}
}

static void bodies(void **state)
{
	const struct admin_command *trace = admin_command_by_id(ADMIN_CMD_TRACE);
	char code[32];
	ask(*state, ADMIN_ROLE_HELPDESK, trace, "{\"bodies\":true}", code);
	assert_string_equal(code, "forbidden");
	ask(*state, ADMIN_ROLE_HELPDESK | ADMIN_ROLE_AUDITOR | ADMIN_ROLE_POLICY, trace, "{\"bodies\":true}", code);
	assert_string_equal(code, "forbidden");
	ask(*state, ADMIN_ROLE_OPERATOR, trace, "{\"bodies\":true,\"for\":0}", code);
	assert_string_equal(code, "usage"); /* let through, to a complaint of its own */
	json_t *no = json_pack("{s:b}", "bodies", 0), *yes = json_pack("{s:b}", "bodies", 1);
	assert_null(admin_may_not_give(ADMIN_ROLE_HELPDESK, trace, no));
	assert_non_null(admin_may_not_give(ADMIN_ROLE_HELPDESK, trace, yes));
	assert_null(admin_may_not_give(ADMIN_ROLE_ADMIN, trace, yes));
	json_decref(no);
	json_decref(yes);
}

static void names(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 256);
	assert_int_equal(admin_role_count(), 6);
	for (size_t i = 0; i < admin_role_count(); i++) {
		const struct admin_role *r = admin_role(i);
		assert_int_equal(admin_role_find(slice_str(r->name)), r->bit);
		assert_int_equal(admin_role_find(slice_str(r->lync)), r->bit);
		buf_printf(&b, "%s%s", i ? "|" : "", r->name);
	}
	buf_putc(&b, 0);
	assert_string_equal(buf_slice(&b).p, ADMIN_ROLE_VALUES);
	buf_clear(&b);
	for (size_t i = 0; i < admin_role_count(); i++)
		buf_printf(&b, "%s%s=%s", i ? "|" : "", admin_role(i)->lync, admin_role(i)->name);
	buf_putc(&b, 0);
	assert_string_equal(buf_slice(&b).p, ADMIN_ROLE_LYNC);
	assert_int_equal(admin_role_find(S("csHELPdesk")), ADMIN_ROLE_HELPDESK);
	assert_int_equal(admin_role_find(S("root")), 0);
	assert_int_equal(admin_role_find(SLICE_NONE), 0);
	buf_clear(&b);
	admin_roles_print(&b, ADMIN_ROLE_OPERATOR | ADMIN_ROLE_VIEWER);
	assert_true(slice_eq(buf_slice(&b), S("viewer, operator")));
	buf_free(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everybody, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(bodies, rig_setup, rig_teardown),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
