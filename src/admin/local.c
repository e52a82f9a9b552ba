/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that the program carries out itself: they work when no daemon does. */
#include <errno.h>
#include <unistd.h>
#include "admin/args.h"
#include "admin/audit_hook.h"
#include "admin/call.h"
#include "admin/certificate.h"
#include "admin/findings.h"
#include "admin/openapi.h"
#include "config/config.h"
#include "plan/certificates.h"

/* ---- config ---- */
static const char *file_of(const struct admin_call *c)
{
	const char *z = json_string_value(json_object_get(c->args, "file"));
	return z ? z : admin_arg_find(c->command, S("file"))->def;
}

/* Not being permitted to read is not a finding about the file. NULL: the exit code is set. */
static struct config *load(struct admin_call *c, bool check_files, struct config_errors *errs, int *ret_exit)
{
	struct config *config = NULL;
	const char *path = file_of(c);
	if (config_read(&config, path, check_files, errs) == ENTENTE_EIO && access(path, R_OK) < 0) {
		bool permission = errno == EACCES;
		*ret_exit = admin_fail(c, permission ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_FINDING,
				       permission ? "permission" : "not-found",
				       permission ? "run it as root, or as a member of the group that may read the file"
						  : "`entente config example` prints a file to start from",
				       "%s cannot be read: %s", path, permission ? "permission denied" : "no such file");
	}
	return config;
}

static int check_run(struct admin_call *c)
{
	struct config_errors errs = {0};
	int exit = ADMIN_EXIT_OK;
	struct config *config = load(c, true, &errs, &exit);
	if (exit)
		return exit;
	json_object_set_new(c->data, "file", admin_json_text(slice_str(file_of(c))));
	if (config)
		plan_certificates(config, &errs);
	bool valid = config && !errs.n_errors;
	json_object_set_new(c->data, "valid", json_boolean(valid));
	admin_findings(c, &errs);
	if (!c->json) {
		config_errors_print(&c->text, file_of(c), &errs);
		if (valid)
			buf_printf(&c->text, "%s: ok%s\n", file_of(c), errs.n ? ", with warnings" : "");
		else
			buf_printf(&c->text, "%s: %zu error%s; the daemon would not start with it\n", file_of(c), errs.n_errors,
				   errs.n_errors == 1 ? "" : "s");
	}
	exit = valid ? ADMIN_EXIT_OK : ADMIN_EXIT_FINDING;
	config_free(config);
	return exit;
}

struct config *admin_config_load(struct admin_call *c, int *ret_exit)
{
	struct config_errors errs = {0};
	struct config *config = load(c, false, &errs, ret_exit);
	if (!config && !*ret_exit)
		*ret_exit = admin_fail(c, ADMIN_EXIT_CONFIG, "config", "`entente config check` says what is wrong",
				       "%s has %zu error%s", file_of(c), errs.n_errors, errs.n_errors == 1 ? "" : "s");
	return config;
}

static int effective_run(struct admin_call *c)
{
	int exit = ADMIN_EXIT_OK;
	struct config *config = admin_config_load(c, &exit);
	if (!config)
		return exit;
	struct buf text;
	buf_init(&text, 1 << 24);
	config_dump(&text, config);
	admin_set_text(c->data, "text", buf_slice(&text));
	buf_free(&text);
	config_free(config);
	return ADMIN_EXIT_OK;
}

static int config_explain_run(struct admin_call *c)
{
	struct buf text;
	struct entente_err err = {0};
	buf_init(&text, 1 << 20);
	int r = config_explain(&text, admin_arg_text(c, "key"), &err);
	admin_set_text(c->data, "text", buf_slice(&text));
	buf_free(&text);
	return r ? admin_fail_err(c, "", &err, "`entente config explain` lists all settings") : ADMIN_EXIT_OK;
}

static int example_run(struct admin_call *c)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	config_example(&text);
	admin_set_text(c->data, "text", buf_slice(&text));
	buf_free(&text);
	return ADMIN_EXIT_OK;
}

static void text_print(struct admin_call *c)
{
	buf_puts(&c->text, admin_get_text(c->data, "text"));
}

/* ---- reason ---- */
static enum admin_language language(const struct admin_call *c)
{
	enum admin_language l = admin_language_of_environment();
	admin_language_parse(&l, admin_arg_text(c, "language"));
	return l;
}

static int reason_run(struct admin_call *c)
{
	json_t *list = json_array();
	struct slice id = admin_arg_text(c, "id");
	enum admin_language l = language(c);
	enum reason only = REASON_NONE;
	json_object_set_new(c->data, "reasons", list);
	if (id.p && !admin_reason_find(&only, id)) {
		struct admin_nearest near;
		char hint[160] = "`entente reason` lists all";
		admin_nearest_init(&near, id);
		for (int i = 0; i < REASON_COUNT; i++)
			admin_nearest_try(&near, reason_info((enum reason)i)->id);
		if (near.best)
			snprintf(hint, sizeof hint, "did you mean '%s'? `entente reason` lists all", near.best);
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", hint, "there is no reason '%.*s'", SFMT(slice_first(id, 80)));
	}
	for (int i = id.p ? (int)only : 1; i < (id.p ? (int)only + 1 : REASON_COUNT); i++) {
		const struct reason_info *r = reason_info((enum reason)i);
		struct buf next;
		buf_init(&next, 4096);
		admin_remedy_print_in(&next, (enum reason)i, l, NULL);
		const char *cause = admin_reason_cause((enum reason)i, l);
		json_t *o = json_pack("{s:s s:s s:s s:i s:s s:s}", "id", r->id, "text", admin_reason_text((enum reason)i, l), "who", r->who, "sip_status",
				      r->sip_status, "xmpp_condition", r->xmpp_condition, "xmpp_type", r->xmpp_type);
		admin_set_text(o, "next_step", buf_slice(&next));
		admin_set_text(o, "causes", slice_str(cause ? cause : ""));
		json_array_append_new(list, o);
		buf_free(&next);
	}
	return ADMIN_EXIT_OK;
}

static void reason_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {
		{"REASON", 0}, {"SIP", ADMIN_TABLE_RIGHT}, {"XMPP", 0}, {"WHO", 0}, {"MEANING", ADMIN_TABLE_FLEX}};
	json_t *list = json_object_get(c->data, "reasons"), *r;
	size_t i;
	if (admin_arg_given(c, "id")) {
		r = json_array_get(list, 0);
		admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(admin_get_text(r, "id")));
		buf_printf(&c->text, "\n  meaning    ");
		admin_wrap(&c->text, slice_str(admin_get_text(r, "text")), 13, c->width, false);
		buf_puts(&c->text, "  causes     ");
		admin_wrap(&c->text, slice_str(admin_get_text(r, "causes")), 13, c->width, false);
		buf_printf(&c->text, "  fixed by   %s\n  next step  ", admin_who_text(admin_get_text(r, "who"), language(c)));
		admin_wrap(&c->text, slice_str(admin_get_text(r, "next_step")), 13, c->width, false);
		buf_printf(&c->text, "  SIP        %jd\n  XMPP       %s, type %s\n", (intmax_t)admin_get_int(r, "sip_status"),
			   admin_get_text(r, "xmpp_condition"), admin_get_text(r, "xmpp_type"));
		return;
	}
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_array_foreach(list, i, r) {
		admin_table_cell(t, slice_str(admin_get_text(r, "id")));
		admin_table_cell_int(t, admin_get_int(r, "sip_status"));
		admin_table_cell(t, slice_str(admin_get_text(r, "xmpp_condition")));
		admin_table_cell(t, slice_str(admin_get_text(r, "who")));
		admin_table_cell(t, slice_str(admin_get_text(r, "text")));
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

/* ---- version, help ---- */
static int version_run(struct admin_call *c)
{
	json_object_set_new(c->data, "version", json_string(ENTENTE_VERSION));
	return ADMIN_EXIT_OK;
}

static void version_print(struct admin_call *c)
{
	buf_printf(&c->text, "entente %s\n", admin_get_text(c->data, "version"));
}

static int help_run(struct admin_call *c)
{
	const char *words[16] = {NULL};
	json_t *list = admin_arg_list(c, "command");
	struct buf text;
	for (size_t i = 0; i < json_array_size(list) && i < 15; i++)
		words[i] = json_string_value(json_array_get(list, i));
	buf_init(&text, 1 << 20);
	bool ok = admin_help(&text, words, c->color);
	admin_set_text(c->data, "text", buf_slice(&text));
	buf_free(&text);
	return ok ? ADMIN_EXIT_OK
		  : admin_fail(c, ADMIN_EXIT_USAGE, "usage", "`entente help` lists all commands", "%s", admin_get_text(c->data, "text"));
}

const struct admin_handler *admin_local_handler(enum admin_id id)
{
	static const struct admin_handler handlers[ADMIN_CMD_COUNT] = {
		[ADMIN_CMD_CONFIG_CHECK] = {check_run, NULL},
		[ADMIN_CMD_CONFIG_EXPLAIN] = {config_explain_run, text_print},
		[ADMIN_CMD_CONFIG_EXAMPLE] = {example_run, text_print},
		[ADMIN_CMD_CONFIG_EFFECTIVE] = {effective_run, text_print},
		[ADMIN_CMD_REASON] = {reason_run, reason_print},
		[ADMIN_CMD_WHY] = {reason_run, reason_print},
		[ADMIN_CMD_VERSION] = {version_run, version_print},
		[ADMIN_CMD_API_OPENAPI] = {admin_openapi_run, admin_openapi_print},
		[ADMIN_CMD_HELP] = {help_run, text_print},
	};
	if (id == ADMIN_CMD_QUICKSTART)
		return &admin_quickstart_handler;
	if (id == ADMIN_CMD_AUDIT_VERIFY)
		return &admin_audit_verify;
	static const struct admin_handler *const certificate[] = {&admin_certificate_request, &admin_certificate_import, &admin_certificate_assign, &admin_certificate_show};
	if (id >= ADMIN_CMD_CERTIFICATE_REQUEST && id <= ADMIN_CMD_CERTIFICATE_SHOW)
		return certificate[id - ADMIN_CMD_CERTIFICATE_REQUEST];
	if (id == ADMIN_CMD_IMPORT_LYNC)
		return &admin_import_handler;
	if (id >= ADMIN_CMD_PLAN_CERTIFICATES && id <= ADMIN_CMD_PLAN_ALL)
		return &admin_plan_handler;
	if (id >= ADMIN_CMD_CHECK_CONFIG && id <= ADMIN_CMD_CHECK_ALL)
		return &admin_check_handler;
	return (unsigned)id < ADMIN_CMD_COUNT && handlers[id].run ? &handlers[id] : NULL;
}

json_t *admin_local(const struct admin_command *c, json_t *args, bool json, bool color, unsigned width)
{
	return admin_local_run(c, args, &(struct admin_program){.json = json, .color = color, .width = width});
}

json_t *admin_ask(struct admin_call *c, const char *const path[], json_t *args, struct buf *why)
{
	json_t *words = json_array(), *request, *response = NULL;
	for (size_t i = 0; path[i]; i++)
		json_array_append_new(words, json_string(path[i]));
	request = json_pack("{s:o s:o s:b}", "command", words, "args", args ? args : json_object(), "json", 1);
	if (c->program && c->program->ask)
		response = c->program->ask(c->program->arg, request, why);
	else
		buf_puts(why, "no daemon is asked here");
	json_decref(request);
	return response;
}

/* As respond of admin.c does it for the daemon. */
static json_t *run_recorded(struct admin_call *call, const struct admin_handler *h)
{
	struct audit *audit;
	struct entente_err err = {0};
	char who[200];
	int64_t seq = 0;
	audit_local(&audit, call->command, call->args);
	if (!audit)
		return admin_call_run(call, h);
	audit_whoami(who, sizeof who);
	if (audit_begin(audit, slice_str(who), "program", call->command, call->args, -1, &seq, NULL, &err)) {
		audit_free(audit);
		return audit_refusal(&err);
	}
	json_t *response = admin_call_run(call, h);
	if (audit_end(audit, slice_str(who), "program", seq, response, -1, NULL, &err))
		audit_warn(response, &err);
	audit_free(audit);
	return response;
}

json_t *admin_local_run(const struct admin_command *c, json_t *args, const struct admin_program *p)
{
	struct admin_call call = {.command = c, .args = args, .json = p->json, .color = p->color, .width = p->width, .program = p};
	const struct admin_handler *h = admin_local_handler(c->id);
	if (h)
		return run_recorded(&call, h);
	return json_pack("{s:i s:{s:s s:s}}", "exit", ADMIN_EXIT_USAGE, "error", "code", "usage", "text", "not a local command");
}
