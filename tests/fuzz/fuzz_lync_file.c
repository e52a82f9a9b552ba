/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of a management shell: whatever the octets are, objects or an error; and of the objects commands that the table takes. */
#include <stdlib.h>
#include "admin/lync.h"
#include "admin/lync_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct entente_err err = {0};
	json_t *list = json_array(), *one;
	size_t i;
	int rc = lync_file_read(list, slice_of((const char *)data, size), &err);
	if ((rc != 0) != (err.text[0] != 0))
		abort();
	json_array_foreach(list, i, one)
		if (!json_is_string(json_object_get(one, "#type")))
			abort();
	json_t *commands = json_array(), *settings = json_array(), *findings = json_array();
	lync_translate(list, commands, settings, findings);
	json_array_foreach(commands, i, one) {
		struct slice words[ADMIN_PATH_MAX];
		struct buf why;
		json_t *w;
		size_t k, n = 0;
		buf_init(&why, 1 << 20);
		json_array_foreach(json_object_get(one, "command"), k, w)
			words[n++] = slice_str(json_string_value(w));
		const struct admin_command *c = admin_command_find(words, n, &why);
		if (!c || !admin_args_check(c, json_object_get(one, "args"), &why))
			abort();
		admin_command_text(&why, c, json_object_get(one, "args"));
		buf_free(&why);
	}
	json_decref(commands);
	json_decref(settings);
	json_decref(findings);
	json_decref(list);
	return 0;
}
