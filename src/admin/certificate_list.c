/* SPDX-License-Identifier: Apache-2.0 */
/* `entente certificate list`: what the daemon shows, and what it was shown. */
#include "admin/admin_int.h"
#include "admin/certificate.h"

static void keep_expiring(json_t *list)
{
	for (size_t i = json_array_size(list); i--;) {
		const char *state = admin_get_text(json_array_get(list, i), "state");
		if (!strcmp(state, "fine") || !strcmp(state, "renew"))
			json_array_remove(list, i);
	}
}

int admin_certificate_list(struct admin_call *c)
{
	json_t *own = json_array(), *partners = json_array();
	if (c->admin->ops->certificates)
		c->admin->ops->certificates(c->admin->arg, own, partners);
	if (admin_arg_bool(c, "expiring", false)) {
		keep_expiring(own);
		keep_expiring(partners);
	}
	json_object_set_new(c->data, "own", own);
	json_object_set_new(c->data, "partners", partners);
	return ADMIN_EXIT_OK;
}

void admin_certificate_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"USAGE", 0}, {"UNTIL", 0}, {"LEFT", ADMIN_TABLE_RIGHT}, {"STATE", 0}, {"NAMES", ADMIN_TABLE_FLEX}};
	json_t *own = json_object_get(c->data, "own"), *partners = json_object_get(c->data, "partners"), *o;
	size_t i;
	if (!json_array_size(own) && !json_array_size(partners)) {
		buf_puts(&c->text, "none\n");
		return;
	}
	if (json_array_size(own)) {
		struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
		json_array_foreach(own, i, o) {
			struct buf names;
			char left[16];
			snprintf(left, sizeof left, "%.0f %%", 100 * json_real_value(json_object_get(o, "remaining")));
			buf_init(&names, 65536);
			admin_value_put(&names, json_object_get(o, "names"));
			admin_table_cell(t, slice_str(admin_get_text(o, "usage")));
			admin_table_cell(t, slice_str(admin_get_text(o, "not_after")));
			admin_table_cell(t, slice_str(left));
			admin_table_cell(t, slice_str(admin_get_text(o, "state")));
			admin_table_cell(t, buf_slice(&names));
			buf_free(&names);
		}
		admin_styled(&c->text, c->color, ADMIN_BOLD, S("Ours"));
		buf_putc(&c->text, '\n');
		admin_table_print(t, &c->text, c->width, c->color);
		admin_table_free(t);
	}
	if (json_array_size(partners)) {
		if (json_array_size(own))
			buf_putc(&c->text, '\n');
		admin_certificates_print_partners(c, partners);
	}
}
