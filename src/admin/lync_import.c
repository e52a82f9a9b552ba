/* SPDX-License-Identifier: Apache-2.0 */
/* `entente import lync`: reads exports and prints what they become (admin/lync.h). Nothing is changed. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "admin/call.h"
#include "admin/lync.h"
#include "admin/lync_file.h"

static int read_file(struct admin_call *c, const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	while (fd >= 0 && text->len <= LYNC_FILE_MAX) {
		char *room = buf_reserve(text, 65536);
		n = read(fd, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_commit(text, (size_t)n);
	}
	int e = errno;
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && n >= 0)
		return ADMIN_EXIT_OK;
	return admin_fail(c, e == EACCES ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_FINDING, e == EACCES ? "permission" : "not-found", NULL,
			  "%s cannot be read: %s", path, strerror(e));
}

/* All objects of all files. */
static int read_all(struct admin_call *c, json_t *objects)
{
	json_t *files = admin_arg_list(c, "file"), *file;
	struct entente_err err = {0};
	size_t i;
	int exit = ADMIN_EXIT_OK;
	json_array_foreach(files, i, file) {
		struct buf text;
		buf_init(&text, LYNC_FILE_MAX + 65536 * 2);
		const char *path = json_string_value(file);
		exit = read_file(c, path, &text);
		if (!exit && lync_file_read(objects, buf_slice(&text), &err))
			exit = admin_fail(c, ADMIN_EXIT_FINDING, "syntax", "export with: Get-CsXmppAllowedPartner | Export-Clixml partners.xml", "%s: %s",
					  path, err.text);
		buf_free(&text);
		if (exit)
			break;
	}
	return exit;
}

/* All of them as one change, by the daemon (apply.h). What could not be translated is not left out silently: then nothing is applied. */
static int apply(struct admin_call *c, json_t *commands, int exit)
{
	static const char *const words[] = {"config", "apply", NULL};
	struct buf why;
	if (exit)
		return admin_fail(c, exit, "not-translated", "without --apply it says what; take it out of the export, or set it by hand afterwards",
				  "nothing was changed: not everything could be translated");
	buf_init(&why, 65536);
	char *list = json_dumps(commands, JSON_COMPACT);
	json_t *args = json_pack("{s:s s:s s:b}", "changes", list, "what", "import lync", "what-if", admin_arg_bool(c, "what-if", false));
	json_t *answer = admin_ask(c, words, args, &why), *data = json_object_get(answer, "data"), *error = json_object_get(answer, "error");
	free(list);
	if (!answer) {
		exit = admin_fail(c, ADMIN_EXIT_UNREACHABLE, "unreachable", NULL, "%.*s", SFMT(buf_slice(&why)));
	} else if (error) {
		exit = (int)admin_get_int(answer, "exit");
		json_decref(c->error);
		c->error = json_incref(error);
	} else if (data) {
		json_object_set(c->data, "applied", data);
	}
	json_decref(answer);
	buf_free(&why);
	return exit;
}

static int run(struct admin_call *c)
{
	json_t *objects = json_array(), *commands = json_array(), *settings = json_array(), *findings = json_array(), *o;
	size_t i;
	int exit = read_all(c, objects);
	if (!exit)
		lync_translate(objects, commands, settings, findings);
	json_decref(objects);
	json_array_foreach(commands, i, o) {
		struct slice words[ADMIN_PATH_MAX];
		struct buf text;
		json_t *w, *list = json_object_get(o, "command");
		size_t k, n = 0;
		json_array_foreach(list, k, w)
			words[n++] = slice_str(json_string_value(w));
		buf_init(&text, 1 << 20);
		admin_command_text(&text, admin_command_find(words, n, &text), json_object_get(o, "args"));
		json_object_set_new(o, "text", admin_json_text(buf_slice(&text)));
		buf_free(&text);
	}
	json_array_foreach(findings, i, o)
		if (slice_eq(slice_str(admin_get_text(o, "severity")), S("error")) && !exit)
			exit = ADMIN_EXIT_FINDING;
	json_object_set_new(c->data, "commands", commands);
	json_object_set_new(c->data, "settings", settings);
	json_object_set_new(c->data, "findings", findings);
	return admin_arg_bool(c, "apply", false) ? apply(c, commands, exit) : exit;
}

/* A shell script: everything that is no command is a comment. */
static void print(struct admin_call *c)
{
	json_t *list, *o;
	size_t i;
	json_array_foreach(json_object_get(c->data, "findings"), i, o) {
		const char *p = admin_get_text(o, "property");
		buf_printf(&c->text, "# %s: %s ", admin_get_text(o, "severity"), admin_get_text(o, "object"));
		admin_clean(&c->text, slice_str(admin_get_text(o, "name")));
		buf_printf(&c->text, "%s%s: %s\n", *p ? ", " : "", p, admin_get_text(o, "text"));
	}
	list = json_object_get(c->data, "settings");
	if (json_array_size(list))
		buf_puts(&c->text, "# for /etc/entente/entente.yaml:\n");
	json_array_foreach(list, i, o)
		buf_printf(&c->text, "#   %s: %s    (%s)\n", admin_get_text(o, "key"), admin_get_text(o, "value"), admin_get_text(o, "from"));
	json_array_foreach(json_object_get(c->data, "commands"), i, o) {
		admin_clean(&c->text, slice_str(admin_get_text(o, "text")));
		buf_putc(&c->text, '\n');
	}
	o = json_object_get(c->data, "applied");
	if (o)
		buf_printf(&c->text, "# %s: %zu objects, generation %lld\n", json_is_true(json_object_get(o, "what_if")) ? "would be changed" : "in force",
			   json_array_size(json_object_get(o, "changes")), (long long)admin_get_int(o, "generation"));
}

const struct admin_handler admin_import_handler = {run, print};
