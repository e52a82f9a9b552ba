/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what loading a configuration found, as data. */
#pragma once
#include "admin/call.h"
#include "config/config.h"

/* Sets "findings" of the data. */
static inline void admin_findings(struct admin_call *c, const struct config_errors *errs)
{
	json_t *list = json_array();
	for (size_t i = 0; i < errs->n; i++) {
		const struct config_error *e = &errs->list[i];
		json_t *o = json_pack("{s:s s:i s:i}", "severity", e->warning ? "warning" : "error", "line", (int)e->line, "column",
				      (int)e->column);
		admin_set_text(o, "key", slice_str(e->key));
		admin_set_text(o, "text", slice_str(e->text));
		json_array_append_new(list, o);
	}
	json_object_set_new(c->data, "findings", list);
}
