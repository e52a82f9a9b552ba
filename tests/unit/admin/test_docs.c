/* SPDX-License-Identifier: Apache-2.0 */
/* Help, manuals, local commands. */
#include "rig.h"

static struct buf page;

static const char *made(void (*write)(struct buf *out))
{
	buf_free(&page);
	buf_init(&page, 1 << 24);
	write(&page);
	buf_putc(&page, 0);
	assert_true(buf_ok(&page));
	return buf_slice(&page).p;
}

static const char *help(const char *const words[], bool ok)
{
	buf_free(&page);
	buf_init(&page, 1 << 20);
	assert_int_equal(admin_help(&page, words, false), ok);
	buf_putc(&page, 0);
	return buf_slice(&page).p;
}

static void help_of_all(void **state)
{
	const char *top = help((const char *const[]){NULL}, true);
	(void)state;
	for (size_t i = 0; i < admin_command_count(); i++)
		assert_non_null(strstr(top, admin_command(i)->summary));
	for (const char *p = top, *end; (end = strchr(p, '\n')); p = end + 1)
		assert_true(end - p <= 80);
}

static void help_of_one(void **state)
{
	(void)state;
	assert_string_equal(help((const char *const[]){"history", NULL}, true),
			    "entente history [--limit N]\n"
			    "\n"
			    "List the changes of partners and blocked domains.\n"
			    "\n"
			    "Options\n"
			    "  --limit N                 how many changes, newest first (default: 50)\n"
			    "\n"
			    "General options\n"
			    "  --json                    print JSON instead of text; the names of members are\n"
			    "                            stable\n"
			    "  --socket FILE             control socket of the daemon (default:\n"
			    "                            $ENTENTE_SOCKET, else /run/entente/control.sock)\n"
			    "  --if-generation N         of a command that changes: only if the policy is\n"
			    "                            still at this generation (`entente history`)\n"
			    "  --staged                  of a command that does not change: ask your draft\n"
			    "                            (`config begin`), not what is in force\n"
			    "  --help                    say what the words before it do, and nothing else\n");
	assert_non_null(strstr(help((const char *const[]){"partner", "xmpp", NULL}, true), "partner xmpp remove"));
	assert_null(strstr(help((const char *const[]){"partner", "xmpp", NULL}, true), "show streams"));
	assert_string_equal(help((const char *const[]){"partner", "xmp", NULL}, false), "there is no command 'xmp' under 'partner'; did you mean 'xmpp'?");
}

/* Every option of every command is in its help. */
static void help_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		const char *text = help(c->path, true);
		for (size_t k = 0; k < c->n_args; k++) {
			char option[64];
			snprintf(option, sizeof option, "--%s", c->args[k].name);
			if (!(c->args[k].flags & ADMIN_POSITIONAL))
				assert_non_null(strstr(text, option));
		}
		for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1)
			assert_true(end - p <= 80 || strncmp(p, "  entente ", 10) == 0);
	}
}

static void manuals(void **state)
{
	(void)state;
	const char *man = made(admin_man_entente);
	assert_int_equal(strncmp(man, ".\\\" Generated", 13), 0);
	for (size_t i = 0; i < admin_command_count(); i++) {
		struct buf b;
		buf_init(&b, 256);
		buf_puts(&b, ".SS entente ");
		for (const char *const *word = admin_command(i)->path; *word; word++)
			for (const char *p = *word; *p; p++)
				buf_printf(&b, "%s%s%c", p == *word && word != admin_command(i)->path ? " " : "", *p == '-' ? "\\" : "", *p);
		buf_putc(&b, 0);
		assert_non_null(strstr(man, buf_slice(&b).p));
		buf_free(&b);
	}
	for (size_t i = 0; i < admin_exit_count(); i++)
		assert_non_null(strstr(man, admin_exit_info(i).help));
	man = made(admin_man_reasons);
	int n = 0;
	for (const char *p = strstr(man, "\n.SS "); p; p = strstr(p + 1, "\n.SS "))
		n++;
	assert_int_equal(n, REASON_COUNT - 1);
	assert_non_null(strstr(man, reason_info(REASON_POLICY_PARTNER_DISABLED)->text));
	man = made(admin_man_conf);
	assert_non_null(strstr(man, "limits.max\\-stanza"));
	assert_non_null(strstr(made(admin_markdown_reasons), "`policy/partner-unknown`"));
}

static json_t *local(enum admin_id id, const char *args, bool json, int exit)
{
	json_t *a = json_loads(args, 0, NULL), *j = admin_local(admin_command_by_id(id), a, json, false, 0);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), exit);
	json_decref(a);
	return j;
}

static const char *member(json_t *j, const char *a, const char *b)
{
	const char *z = json_string_value(json_object_get(json_object_get(j, a), b));
	return z ? z : "";
}

static void reasons(void **state)
{
	(void)state;
	json_t *j = local(ADMIN_CMD_REASON, "{}", true, 0);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "data"), "reasons")), REASON_COUNT - 1);
	json_decref(j);
	j = local(ADMIN_CMD_REASON, "{\"id\":\"Policy/Partner-Unknown\"}", false, 0);
	assert_string_equal(json_string_value(json_object_get(j, "text")),
			    "policy/partner-unknown\n"
			    "  meaning    the domain is not a configured partner\n"
			    "  causes     the domain was never added, it is misspelt, or it is a further\n"
			    "             domain of a partner that is not listed among its additional domains\n"
			    "  fixed by   you, the administrator\n"
			    "  next step  if you want to communicate with DOMAIN: entente partner xmpp add\n"
			    "             DOMAIN --type public-unverified (or federated, when you trust the\n"
			    "             organisation; `entente help partner xmpp add` tells the difference)\n"
			    "  SIP        403\n"
			    "  XMPP       not-allowed, type cancel\n");
	json_decref(j);
	j = local(ADMIN_CMD_REASON, "{\"id\":\"policy/partner\"}", true, 1);
	assert_non_null(strstr(member(j, "error", "hint"), "did you mean 'policy/partner-"));
	json_decref(j);
}

static void configuration(void **state)
{
	char path[] = "/tmp/entente-admin-config-XXXXXX", args[256];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	(void)state;
	json_t *j = local(ADMIN_CMD_CONFIG_EXAMPLE, "{}", true, 0);
	fputs("server:\n  name: gw.contoso.test\nlog:\n  levle: info\n", f);
	fclose(f);
	json_decref(j);
	snprintf(args, sizeof args, "{\"file\":\"%s\"}", path);
	j = local(ADMIN_CMD_CONFIG_CHECK, args, true, 1);
	json_t *d = json_object_get(j, "data"), *one = json_array_get(json_object_get(d, "findings"), 0);
	assert_false(json_is_true(json_object_get(d, "valid")));
	assert_true(json_array_size(json_object_get(d, "findings")) >= 1);
	assert_string_equal(json_string_value(json_object_get(one, "severity")), "error");
	json_decref(j);
	j = local(ADMIN_CMD_CONFIG_CHECK, args, false, 1);
	assert_non_null(strstr(json_string_value(json_object_get(j, "text")), ":4:3: error: "));
	json_decref(j);
	j = local(ADMIN_CMD_CONFIG_EFFECTIVE, args, true, 78);
	json_decref(j);
	f = fopen(path, "w");
	fputs("server:\n  name: gw.contoso.test\nsip:\n  listen:\n    - {address: 127.0.0.1}\nxmpp:\n  listen:\n    - {address: 127.0.0.1}\n"
	      "homes:\n  - {name: main, domains: [contoso.test], next-hop: \"sip:10.0.0.5;transport=tcp\"}\n", f);
	fclose(f);
	j = local(ADMIN_CMD_CONFIG_CHECK, args, true, 0);
	assert_true(json_is_true(json_object_get(json_object_get(j, "data"), "valid")));
	json_decref(j);
	j = local(ADMIN_CMD_CONFIG_EFFECTIVE, args, true, 0);
	assert_non_null(strstr(member(j, "data", "text"), "max-stanza:"));
	json_decref(j);
	unlink(path);
	j = local(ADMIN_CMD_CONFIG_CHECK, args, true, 1);
	assert_string_equal(member(j, "error", "code"), "not-found");
	json_decref(j);
	j = local(ADMIN_CMD_CONFIG_EXPLAIN, "{\"key\":\"limits.max-stanza\"}", true, 0);
	assert_non_null(strstr(member(j, "data", "text"), "262144"));
	json_decref(j);
	j = local(ADMIN_CMD_CONFIG_EXPLAIN, "{\"key\":\"limits.max-stanzas\"}", true, 1);
	assert_non_null(strstr(member(j, "error", "text"), "did you mean 'limits.max-stanza'"));
	json_decref(j);
}

static int done(void **state)
{
	(void)state;
	buf_free(&page);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_of_all), cmocka_unit_test(help_of_one), cmocka_unit_test(help_is_whole), cmocka_unit_test(manuals),
		cmocka_unit_test(reasons),     cmocka_unit_test(configuration),
	};
	return cmocka_run_group_tests(tests, NULL, done);
}
