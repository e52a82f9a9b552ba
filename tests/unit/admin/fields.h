/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what a command prints with --json to the members that its row of the table documents. */
#pragma once
#include "rig.h"

static const struct admin_field *fields_find(const struct admin_command *c, const char *name, bool *seen)
{
	for (size_t i = 0; i < c->n_fields; i++) {
		size_t n = strlen(c->fields[i].name);
		bool any = n > 2 && strcmp(c->fields[i].name + n - 2, ".*") == 0;
		if (any ? strncmp(c->fields[i].name, name, n - 1) == 0 : strcmp(c->fields[i].name, name) == 0) {
			seen[i] = true;
			return &c->fields[i];
		}
	}
	return NULL;
}

/* An array as field value documents itself with "[]"; scalars end the walk. "changes[].from" may hold anything. */
static void fields_walk(const struct admin_command *c, json_t *v, const char *name, bool *seen)
{
	const char *key;
	json_t *one;
	size_t i;
	char path[256];
	if (*name && fields_find(c, name, seen))
		return;
	if (json_is_object(v)) {
		json_object_foreach(v, key, one) {
			snprintf(path, sizeof path, "%s%s%s", name, *name ? "." : "", key);
			fields_walk(c, one, path, seen);
		}
		return;
	}
	if (json_is_array(v)) {
		snprintf(path, sizeof path, "%s[]", name);
		json_array_foreach(v, i, one)
			fields_walk(c, one, path, seen);
		if (!json_array_size(v))
			fields_find(c, path, seen);
		return;
	}
	print_message("not documented: %s\n", name);
	fail();
}

/* Runs with --json; every member is documented and, unless `some`, every documented member is there. */
static inline void fields_check(struct rig *r, const char *command, int exit)
{
	bool some = exit != 0, seen[64] = {false};
	char line[1024];
	const char *words[64];
	struct admin_line l;
	struct buf why;
	json_t *data = rig_data(r, command, exit);
	buf_init(&why, 4096);
	slice_cstr(slice_str(command), line, sizeof line);
	assert_int_equal(admin_line_parse(&l, rig_words(line, words, 64), words, &why), ADMIN_RUN);
	assert_true(l.command->n_fields <= 64);
	fields_walk(l.command, data, "", seen);
	for (size_t i = 0; !some && i < l.command->n_fields; i++)
		if (!seen[i]) {
			print_message("%s: documented, but not there: %s\n", command, l.command->fields[i].name);
			fail();
		}
	admin_line_free(&l);
	buf_free(&why);
	json_decref(data);
}
