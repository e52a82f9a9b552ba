/* SPDX-License-Identifier: Apache-2.0 */
/* `entente audit verify`: needs no daemon, and believes none. */
#include <unistd.h>
#include "admin/audit.h"
#include "admin/call.h"
#include "config/config.h"
#include "store/store_set.h"

static int run(struct admin_call *c)
{
	json_t *files = json_incref(admin_arg_list(c, "log"));
	struct audit_head head = {0};
	struct audit_report r;
	struct entente_err err = {0};
	int exit = ADMIN_EXIT_OK;
	if (!json_array_size(files)) {
		struct config *config = admin_config_load(c, &exit);
		struct buf note;
		if (!config)
			return exit;
		buf_init(&note, 4096);
		json_decref(files);
		files = audit_files(config->server_state_directory);
		int rc = store_note_read(config->server_state_directory, S(AUDIT_NOTE), &note, &err);
		if (rc == 0 && audit_head_parse(&head, buf_slice(&note)))
			json_object_set_new(c->data, "head", json_integer((json_int_t)head.seq));
		else if (rc != ENTENTE_ENOTFOUND)
			admin_warn(c, "the database was not asked for the last record, so an end that was cut off would not be seen: %s", err.text);
		if (access(config->server_state_directory, R_OK | X_OK))
			exit = admin_fail(c, ADMIN_EXIT_PERMISSION, "permission", "run it as root", "%s cannot be read", config->server_state_directory);
		buf_free(&note);
		config_free(config);
	}
	if (!exit && audit_verify(&r, files, &head, &err))
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-readable", NULL, "%s", err.text);
	if (!exit) {
		exit = r.fault == AUDIT_WHOLE ? ADMIN_EXIT_OK : ADMIN_EXIT_FINDING;
		json_object_set_new(c->data, "whole", json_boolean(r.fault == AUDIT_WHOLE));
		json_object_set_new(c->data, "records", json_integer((json_int_t)r.records));
		json_object_set_new(c->data, "first", json_integer((json_int_t)r.first));
		json_object_set_new(c->data, "last", json_integer((json_int_t)r.last));
		json_object_set_new(c->data, "last_sha256", json_string(r.last_hash));
		json_object_set(c->data, "log_files", files);
	}
	if (!exit && r.first > 1)
		admin_warn(c, "the log begins with record %jd: older files are not here", (intmax_t)r.first);
	if (exit == ADMIN_EXIT_FINDING && !c->error) {
		json_object_set_new(c->data, "fault", json_string(audit_fault_text(r.fault)));
		admin_set_text(c->data, "log_file", slice_str(r.file));
		json_object_set_new(c->data, "line", json_integer((json_int_t)r.line));
	}
	json_decref(files);
	return exit;
}

static void print(struct admin_call *c)
{
	json_t *d = c->data;
	intmax_t records = admin_get_int(d, "records");
	if (json_is_true(json_object_get(d, "whole"))) {
		buf_printf(&c->text, "whole: %jd record%s", records, records == 1 ? "" : "s");
		if (records)
			buf_printf(&c->text, ", %jd to %jd\nlast record: SHA-256 %s\n", (intmax_t)admin_get_int(d, "first"), (intmax_t)admin_get_int(d, "last"), admin_get_text(d, "last_sha256"));
		else
			buf_putc(&c->text, '\n');
		return;
	}
	admin_styled(&c->text, c->color, ADMIN_BAD_STYLE, S("BROKEN"));
	buf_puts(&c->text, " at ");
	admin_clean(&c->text, slice_str(admin_get_text(d, "log_file")));
	buf_printf(&c->text, " line %jd: %s\n", (intmax_t)admin_get_int(d, "line"), admin_get_text(d, "fault"));
	buf_printf(&c->text, "good before it: %jd record%s, the last one has number %jd\n", records, records == 1 ? "" : "s", (intmax_t)admin_get_int(d, "last"));
}

const struct admin_handler admin_audit_verify = {run, print};
