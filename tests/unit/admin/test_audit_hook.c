/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that changes something passes the audit log: every command of the table, done, refused and tried; and what must not be in it. */
#include <sys/stat.h>
#include "rig.h"

#include "admin/audit.h"
#include "admin/audit_hook.h"
#include "admin/call.h"
#include "admin/role.h"
#include "store/store_set.h"

static bool collect(void *arg, json_t *record)
{
	json_array_append(arg, record);
	return true;
}

static json_t *records(struct rig *r)
{
	json_t *files = audit_files(r->dir), *list = json_array();
	struct entente_err err;
	assert_int_equal(audit_read(files, collect, list, &err), 0);
	json_decref(files);
	return list;
}

static json_t *from_end(json_t *list, size_t n)
{
	return json_array_get(list, json_array_size(list) - n);
}

static struct audit_report verify(struct rig *r)
{
	struct buf note;
	struct audit_head head = {0};
	struct audit_report ret;
	struct entente_err err;
	json_t *files = audit_files(r->dir);
	buf_init(&note, 4096);
	assert_int_equal(store_flush(r->store), 0);
	assert_int_equal(store_note_load(r->store, S(AUDIT_NOTE), &note, &err), 0);
	assert_true(audit_head_parse(&head, buf_slice(&note)));
	assert_int_equal(audit_verify(&ret, files, &head, &err), 0);
	buf_free(&note);
	json_decref(files);
	return ret;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* As `who` with these roles, over a session. The response. */
static json_t *ask_as(struct rig *r, const char *who, unsigned roles, const char *request)
{
	struct admin_session *s = admin_session_new_as(r->admin, slice_str(who), roles);
	struct buf out;
	admin_session_by_api(s);
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	admin_session_output(s, &out, nothing, NULL);
	admin_session_input(s, slice_str(request), &out);
	admin_session_input(s, S("\n"), &out);
	json_t *answer = json_loadb(buf_slice(&out).p ? buf_slice(&out).p : "", out.len, JSON_DISABLE_EOF_CHECK, NULL);
	admin_session_free(s);
	buf_free(&out);
	return answer;
}

static void a_change(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	json_t *list = records(r), *begin = from_end(list, 2), *end = from_end(list, 1);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(admin_get_text(begin, "event"), "begin");
	assert_string_equal(admin_get_text(begin, "who"), "alice");
	assert_string_equal(admin_get_text(begin, "via"), "socket");
	assert_string_equal(json_string_value(json_array_get(json_object_get(begin, "command"), 2)), "add");
	assert_string_equal(admin_get_text(json_object_get(begin, "args"), "domain"), "fabrikam.test");
	assert_string_equal(admin_get_text(end, "event"), "end");
	assert_int_equal(admin_get_int(end, "of"), admin_get_int(begin, "seq"));
	assert_int_equal(admin_get_int(end, "exit"), 0);
	assert_int_equal(admin_get_int(begin, "generation") + 1, admin_get_int(end, "generation"));
	assert_int_equal(verify(r).fault, AUDIT_WHOLE);
	assert_true(verify(r).head_seen);
	json_decref(list);
	/* what fails is there with its reason */
	rig_error(r, "partner xmpp add fabrikam.test --type federated", ADMIN_EXIT_FINDING, "exists", "fabrikam.test is an XMPP partner already");
	list = records(r);
	assert_string_equal(admin_get_text(from_end(list, 1), "code"), "exists");
	assert_int_equal(admin_get_int(from_end(list, 1), "exit"), ADMIN_EXIT_FINDING);
	json_decref(list);
	/* what changes nothing is not */
	rig_ok(r, "partner xmpp list");
	rig_ok(r, "partner xmpp add litware.test --type federated --what-if");
	list = records(r);
	assert_int_equal(json_array_size(list), 4);
	json_decref(list);
}

/* Every command of the table that changes something, tried by somebody who may not, leaves its trace. */
static void every_command(void **state)
{
	struct rig *r = *state;
	size_t n = 0;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		char request[512], words[256] = "";
		if (c->local || !(c->changes || c->id == ADMIN_CMD_RELOAD))
			continue;
		for (size_t k = 0; c->path[k]; k++)
			snprintf(words + strlen(words), sizeof words - strlen(words), "%s\"%s\"", k ? "," : "", c->path[k]);
		snprintf(request, sizeof request, "{\"command\":[%s],\"args\":{\"nonsense\":\"geheim\"}}", words);
		json_t *answer = ask_as(r, "eve", ADMIN_ROLE_VIEWER, request);
		assert_int_equal(json_integer_value(json_object_get(answer, "exit")), ADMIN_EXIT_REFUSED);
		json_decref(answer);
		n++;
		json_t *list = records(r), *begin = from_end(list, 2), *end = from_end(list, 1);
		if (json_array_size(list) != 2 * n)
			fail_msg("%s was not recorded", words);
		assert_string_equal(admin_get_text(begin, "who"), "eve");
		assert_string_equal(admin_get_text(begin, "via"), "api");
		assert_string_equal(admin_get_text(end, "code"), "forbidden");
		char *text = json_dumps(list, 0);
		assert_null(strstr(text, "geheim")); /* a value whose name nobody knows may be anything */
		free(text);
		json_decref(list);
	}
	assert_true(n > 15);
	assert_int_equal(verify(r).fault, AUDIT_WHOLE);
}

/* Who may nothing cannot fill the disk by asking. */
static void flood(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 1000; i++)
		json_decref(ask_as(r, "eve", ADMIN_ROLE_VIEWER, "{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"geheim.test\"}}"));
	json_t *list = records(r);
	size_t n = json_array_size(list);
	char *text = json_dumps(list, 0);
	assert_in_range(n, 2 * 256, 2 * 256 + 3 * 120); /* one a second more */
	assert_null(strstr(text, "geheim"));
	free(text);
	json_decref(list);
	rig_ok(r, "blocked-domain add x.test"); /* who may is recorded as ever */
	list = records(r);
	assert_true(json_array_size(list) >= n + 2);
	json_decref(list);
	assert_int_equal(verify(r).fault, AUDIT_WHOLE);
}

/* Who cuts off the end, and makes the daemon write on, has not made it whole. */
static void cut_and_on(void **state)
{
	struct rig *r = *state;
	char path[128];
	struct stat st;
	snprintf(path, sizeof path, "%s/audit.jsonl", r->dir);
	rig_ok(r, "blocked-domain add a.test");
	assert_int_equal(stat(path, &st), 0);
	rig_ok(r, "blocked-domain add b.test");
	rig_ok(r, "blocked-domain add c.test");
	json_t *list = records(r);
	assert_int_equal(json_array_size(list), 6);
	json_decref(list);
	assert_int_equal(truncate(path, st.st_size), 0);
	rig_ok(r, "blocked-domain add d.test");
	list = records(r);
	assert_int_equal(json_array_size(list), 5);
	assert_int_equal(admin_get_int(json_array_get(list, 2), "missing"), 6);
	json_decref(list);
	/* and with a daemon that was not there when it was done */
	assert_int_equal(truncate(path, st.st_size), 0);
	assert_int_equal(store_flush(r->store), 0);
	admin_set_audit(r->admin, r->dir);
	rig_ok(r, "blocked-domain add e.test");
	list = records(r);
	assert_int_equal(json_array_size(list), 5);
	assert_int_equal(admin_get_int(json_array_get(list, 2), "missing"), 5);
	json_decref(list);
	/* what another process has added is no matter */
	struct audit *other = audit_new(r->dir, 0);
	assert_int_equal(audit_append(other, json_pack("{s:s s:s s:s}", "who", "root", "via", "program", "event", "note"), NULL, NULL), 0);
	audit_free(other);
	rig_ok(r, "blocked-domain add f.test");
	list = records(r);
	assert_int_equal(json_array_size(list), 8);
	json_decref(list);
	assert_int_equal(verify(r).fault, AUDIT_WHOLE);
}

/* No value of an argument that the table calls secret, and no file as a whole. */
static void secrets(void **state)
{
	(void)state;
	size_t passwords = 0;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		json_t *args = json_object();
		for (size_t k = 0; k < c->n_args; k++) {
			bool secret = c->args[k].type == ADMIN_PASSWORD || c->args[k].type == ADMIN_FILE;
			passwords += c->args[k].type == ADMIN_PASSWORD;
			json_object_set_new(args, c->args[k].name, json_string(secret ? "geheim" : "open"));
		}
		json_t *seen = audit_args(c, args);
		char *text = json_dumps(seen, 0);
		assert_null(strstr(text, "geheim"));
		assert_int_equal(json_object_size(seen), c->n_args);
		free(text);
		json_decref(seen);
		json_decref(args);
	}
	assert_true(passwords > 0);
	/* what is very large is there as its hash */
	const struct admin_command *c = admin_command_by_id(ADMIN_CMD_PARTNER_ADD);
	char *big = malloc(AUDIT_ARGS_MAX + 1);
	memset(big, 'x', AUDIT_ARGS_MAX);
	big[AUDIT_ARGS_MAX] = 0;
	json_t *args = json_pack("{s:s}", "description", big), *seen = audit_args(c, args);
	assert_true(admin_get_int(seen, "octets") > AUDIT_ARGS_MAX);
	assert_int_equal(strlen(admin_get_text(seen, "sha256")), 64);
	json_decref(seen);
	json_decref(args);
	free(big);
}

static void cannot(struct rig *r, const char *command)
{
	json_t *e = rig_data(r, command, ADMIN_EXIT_CANNOT_CREATE);
	assert_string_equal(admin_get_text(e, "code"), "audit");
	assert_non_null(strstr(admin_get_text(e, "text"), "nothing was changed, because it could not be recorded: "));
	json_decref(e);
}

/* What cannot be recorded is not done. */
static void unwritable(void **state)
{
	struct rig *r = *state;
	char path[128];
	snprintf(path, sizeof path, "%s/audit.jsonl", r->dir);
	assert_int_equal(mkdir(path, 0700), 0); /* root writes everywhere else */
	cannot(r, "partner xmpp add fabrikam.test --type federated");
	json_t *j = rig_run(r, true, 0, "partner xmpp show fabrikam.test");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), ADMIN_EXIT_FINDING); /* there is none */
	json_decref(j);
	cannot(r, "reload");
	j = rig_run(r, true, 0, "status"); /* looking still works, and says so */
	char *text = json_dumps(j, 0);
	assert_non_null(strstr(text, "changes are refused, because they cannot be recorded"));
	free(text);
	json_decref(j);
	assert_int_equal(rmdir(path), 0);
	rig_ok(r, "partner xmpp add fabrikam.test --type federated"); /* by itself again */
	j = rig_run(r, true, 0, "status");
	text = json_dumps(j, 0);
	assert_null(strstr(text, "cannot be recorded"));
	free(text);
	json_decref(j);
	assert_int_equal(verify(r).records, 2);
}

static json_t *list_of(struct rig *r, const char *command)
{
	return rig_data(r, command, 0);
}

static void listing(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	rig_ok(r, "partner xmpp set fabrikam.test --type public-verified");
	json_decref(ask_as(r, "eve", ADMIN_ROLE_VIEWER, "{\"command\":[\"reload\"]}"));
	json_t *data = list_of(r, "audit list"), *rows = json_object_get(data, "records"), *o = json_array_get(rows, 0);
	assert_int_equal(json_array_size(rows), 3);
	assert_string_equal(admin_get_text(o, "who"), "eve");
	assert_string_equal(admin_get_text(o, "command"), "reload");
	assert_string_equal(admin_get_text(o, "code"), "forbidden");
	o = json_array_get(rows, 1);
	assert_string_equal(admin_get_text(o, "command"), "partner xmpp set");
	assert_true(admin_get_int(o, "exit") == 0 && admin_get_int(o, "after") == admin_get_int(o, "before") + 1);
	json_decref(data);
	data = list_of(r, "audit list --who alice --limit 1");
	rows = json_object_get(data, "records");
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(admin_get_text(json_array_get(rows, 0), "command"), "partner xmpp set");
	json_decref(data);
	data = list_of(r, "audit list --since 1h");
	assert_int_equal(json_array_size(json_object_get(data, "records")), 3);
	json_decref(data);
	/* the table for people says the same */
	json_t *j = rig_run(r, false, 0, "audit list");
	const char *text = json_string_value(json_object_get(j, "text"));
	assert_non_null(strstr(text, "forbidden"));
	assert_non_null(strstr(text, "partner xmpp add {\"domain\":\"fabrikam.test\""));
	json_decref(j);
	/* older files too, and a result that is in the next one */
	char path[128], aside[128];
	snprintf(path, sizeof path, "%s/audit.jsonl", r->dir);
	snprintf(aside, sizeof aside, "%s/audit-000000000001.jsonl", r->dir);
	assert_int_equal(rename(path, aside), 0);
	rig_ok(r, "partner xmpp remove fabrikam.test");
	data = list_of(r, "audit list");
	assert_int_equal(json_array_size(json_object_get(data, "records")), 4);
	json_decref(data);
	assert_int_equal(verify(r).fault, AUDIT_WHOLE);
}

/* `entente audit verify` itself, beside a daemon that has the database open. */
static json_t *verify_local(struct rig *r, int exit)
{
	char config[128], text[512];
	snprintf(config, sizeof config, "%s/entente.yaml", r->dir);
	FILE *f = fopen(config, "w");
	snprintf(text, sizeof text, "server:\n  name: gw.contoso.test\n  state-directory: %s\nhomes:\n  - {name: h, domains: [contoso.test], next-hop: \"sip:192.0.2.1;transport=tcp\"}\n", r->dir);
	fputs(text, f);
	fclose(f);
	json_t *args = json_pack("{s:s}", "file", config);
	json_t *j = admin_local(admin_command_by_id(ADMIN_CMD_AUDIT_VERIFY), args, true, false, 0);
	if (json_integer_value(json_object_get(j, "exit")) != exit)
		fail_msg("%s", json_dumps(j, 0));
	json_decref(args);
	return j;
}

static void command_verify(void **state)
{
	struct rig *r = *state;
	char path[128];
	snprintf(path, sizeof path, "%s/audit.jsonl", r->dir);
	rig_ok(r, "partner xmpp add fabrikam.test --type federated");
	rig_ok(r, "partner xmpp remove fabrikam.test");
	store_flush(r->store);
	json_t *j = verify_local(r, 0), *d = json_object_get(j, "data");
	assert_true(json_is_true(json_object_get(d, "whole")) && admin_get_int(d, "records") == 4 && admin_get_int(d, "head") == 4);
	json_decref(j);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	/* the last two records are cut off, cleanly: nothing in the file tells, but the database does */
	FILE *f = fopen(path, "r");
	off_t two = 0;
	for (int c, lines = 0; lines < 2 && (c = fgetc(f)) != EOF; two++)
		lines += c == '\n';
	fclose(f);
	assert_int_equal(truncate(path, two), 0);
	j = verify_local(r, 1);
	d = json_object_get(j, "data");
	assert_non_null(strstr(admin_get_text(d, "fault"), "the end was cut off"));
	assert_true(admin_get_int(d, "records") == 2 && json_is_false(json_object_get(d, "whole")));
	json_decref(j);
	j = admin_local(admin_command_by_id(ADMIN_CMD_AUDIT_VERIFY), d = json_pack("{s:[s]}", "log", path), false, false, 0);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 0); /* a file alone knows no end */
	assert_non_null(strstr(json_string_value(json_object_get(j, "text")), "whole: 2 records, 1 to 2"));
	json_decref(j);
	json_decref(d);
}

/* What changes nothing, but shows what people write or writes in their name. */
static void also_recorded(void **state)
{
	json_t *none = json_object(), *bodies = json_pack("{s:b}", "bodies", 1);
	(void)state;
	assert_true(audit_wanted(admin_command_by_id(ADMIN_CMD_TEST_IM), none));
	assert_true(audit_wanted(admin_command_by_id(ADMIN_CMD_TRACE), bodies));
	assert_false(audit_wanted(admin_command_by_id(ADMIN_CMD_TRACE), none));
	assert_false(audit_wanted(admin_command_by_id(ADMIN_CMD_STATUS), none));
	json_decref(none);
	json_decref(bodies);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {cmocka_unit_test(also_recorded), T(a_change), T(every_command), T(flood), T(cut_and_on), T(secrets), T(unwritable), T(listing), T(command_verify)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
