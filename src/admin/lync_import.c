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
	return exit;
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
}

const struct admin_handler admin_import_handler = {run, print};
