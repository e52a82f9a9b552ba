/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_hook.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>
#include "admin/args.h"
#include "admin/call.h"
#include "config/config.h"

bool audit_wanted(const struct admin_command *c, json_t *args)
{
	if (c->id == ADMIN_CMD_TRACE) /* changes nothing, but shows what people write */
		return json_is_true(json_object_get(args, "bodies"));
	if (c->id == ADMIN_CMD_TEST_IM) /* nor does this, but it writes to somebody in another one's name */
		return true;
	return (c->changes || c->id == ADMIN_CMD_RELOAD) && !json_is_true(json_object_get(args, "what-if"));
}

static json_t *hash_of(const char *p, size_t n)
{
	char hash[AUDIT_HASH];
	audit_hash(hash, slice_of(p, n));
	return json_pack("{s:I s:s}", "octets", (json_int_t)n, "sha256", hash);
}

static json_t *value_of(const struct admin_arg *arg, json_t *v)
{
	if (!arg)
		return json_string("(unknown argument, not recorded)");
	if (arg->type == ADMIN_PASSWORD)
		return json_string("(secret, not recorded)");
	if (arg->type == ADMIN_FILE && json_is_string(v))
		return hash_of(json_string_value(v), json_string_length(v));
	return json_incref(v);
}

json_t *audit_args(const struct admin_command *c, json_t *args)
{
	json_t *ret = json_object(), *v;
	const char *name;
	json_object_foreach(args, name, v)
		json_object_set_new(ret, name, value_of(admin_arg_find(c, slice_str(name)), v));
	char *text = json_dumps(ret, JSON_COMPACT);
	if (text && strlen(text) > AUDIT_ARGS_MAX) {
		json_decref(ret);
		ret = hash_of(text, strlen(text));
	}
	free(text);
	return ret;
}

static json_t *record(const char *event, struct slice who, const char *via)
{
	json_t *o = json_object();
	admin_set_text(o, "who", slice_first(who, 256));
	json_object_set_new(o, "via", json_string(via));
	json_object_set_new(o, "event", json_string(event));
	return o;
}

int audit_begin(struct audit *a, struct slice who, const char *via, const struct admin_command *c, json_t *args, int64_t generation, int64_t *ret_seq,
		struct audit_head *ret_head, struct entente_err *err)
{
	json_t *o = record(c->live ? "note" : "begin", who, via), *words = json_array();
	struct audit_head head;
	for (size_t i = 0; c->path[i]; i++)
		json_array_append_new(words, json_string(c->path[i]));
	json_object_set_new(o, "command", words);
	json_object_set_new(o, "args", audit_args(c, args));
	if (generation >= 0)
		json_object_set_new(o, "generation", json_integer((json_int_t)generation));
	int rc = audit_append(a, o, &head, err);
	*ret_seq = rc ? 0 : head.seq;
	if (!rc && ret_head)
		*ret_head = head;
	return rc;
}

int audit_end(struct audit *a, struct slice who, const char *via, int64_t seq, json_t *response, int64_t generation, struct audit_head *ret_head, struct entente_err *err)
{
	json_t *o = record("end", who, via), *error = json_object_get(response, "error");
	json_object_set_new(o, "of", json_integer((json_int_t)seq));
	json_object_set_new(o, "exit", json_integer(json_integer_value(json_object_get(response, "exit"))));
	if (error) {
		admin_set_text(o, "code", slice_first(slice_str(admin_get_text(error, "code")), 64));
		admin_set_text(o, "text", slice_first(slice_str(admin_get_text(error, "text")), 512));
	}
	if (json_is_true(json_object_get(response, "staged")))
		json_object_set_new(o, "staged", json_true());
	if (generation >= 0)
		json_object_set_new(o, "generation", json_integer((json_int_t)generation));
	return audit_append(a, o, ret_head, err);
}

json_t *audit_refusal(const struct entente_err *err)
{
	bool permission = strstr(err->text, "Permission denied") != NULL;
	json_t *error = json_pack("{s:s s:s}", "code", permission ? "permission" : "audit", "hint",
				  permission ? "run it as root: what is changed is recorded there" : "make room or repair the permissions; `entente status` says when it works again");
	char text[400];
	snprintf(text, sizeof text, "nothing was changed, because it could not be recorded: %.300s", err->text);
	admin_set_text(error, "text", slice_str(text));
	return json_pack("{s:i s:o}", "exit", permission ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, "error", error);
}

void audit_warn(json_t *response, const struct entente_err *err)
{
	char text[400];
	json_t *list = json_object_get(response, "warnings");
	if (!list)
		json_object_set_new(response, "warnings", list = json_array());
	snprintf(text, sizeof text, "that it was done is recorded, but not what came of it: %.300s", err->text);
	json_array_append_new(list, admin_json_text(slice_str(text)));
}

void audit_local(struct audit **ret, const struct admin_command *c, json_t *args)
{
	const struct admin_arg *file = admin_arg_find(c, S("file"));
	const char *path = json_string_value(json_object_get(args, "file"));
	struct config_errors errs;
	struct config *config = NULL;
	*ret = NULL;
	if (!c->local || !audit_wanted(c, args) || !file || file->type != ADMIN_PATH)
		return;
	path = path ? path : file->def;
	if (!path || config_read(&config, path, false, &errs))
		return; /* then the command can do nothing, either, or makes the first configuration */
	if (access(config->server_state_directory, F_OK) == 0 || errno != ENOENT)
		*ret = audit_new(config->server_state_directory, 0);
	config_free(config);
}

void audit_whoami(char *ret, size_t size)
{
	char name[96], mem[4096];
	const char *sudo = getenv("SUDO_USER");
	struct passwd pw, *found = NULL;
	if (getpwuid_r(getuid(), &pw, mem, sizeof mem, &found) == 0 && found)
		snprintf(name, sizeof name, "%s", found->pw_name);
	else
		snprintf(name, sizeof name, "uid %u", (unsigned)getuid());
	if (sudo && *sudo)
		snprintf(ret, size, "%s (sudo: %.64s)", name, sudo);
	else
		snprintf(ret, size, "%s", name);
}
