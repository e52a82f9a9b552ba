/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/quickstart.h"

static void heading(struct admin_call *c, const char *title)
{
	buf_putc(&c->text, '\n');
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(title));
	buf_putc(&c->text, '\n');
}

static void list(struct admin_call *c, json_t *texts, bool numbered)
{
	json_t *one;
	size_t i;
	json_array_foreach(texts, i, one) {
		if (numbered)
			buf_printf(&c->text, "  %zu. ", i + 1);
		else
			buf_puts(&c->text, "  ");
		if (numbered)
			admin_wrap(&c->text, slice_str(json_string_value(one)), 5, c->width, false);
		else /* commands are for pasting: not broken */
			buf_printf(&c->text, "%s\n", json_string_value(one));
	}
}

static void line(struct admin_call *c, const char *what, json_t *value)
{
	buf_printf(&c->text, "  %-13s", what);
	admin_value_put(&c->text, value);
	buf_putc(&c->text, '\n');
}

void admin_quickstart_print(struct admin_call *c)
{
	json_t *a = json_object_get(c->data, "answers"), *m = json_object_get(c->data, "machine");
	bool done = json_is_true(json_object_get(c->data, "done"));
	if (!done) {
		buf_printf(&c->text, "%s would be:\n\n%s", admin_get_text(c->data, "file"), admin_get_text(c->data, "configuration"));
	} else {
		admin_styled(&c->text, c->color, ADMIN_GOOD, json_is_true(json_object_get(c->data, "started")) ? S("Entente runs.") : S("The files are written."));
		buf_putc(&c->text, '\n');
	}
	heading(c, "This machine");
	line(c, "name", json_object_get(a, "name"));
	line(c, "in DNS", json_object_get(m, "dns"));
	line(c, "addresses", json_object_get(m, "addresses"));
	line(c, "behind NAT", json_object_get(m, "nat"));
	line(c, "DNSSEC", json_object_get(m, "dnssec"));
	line(c, "clock", json_object_get(m, "clock"));
	line(c, "for your SIP", json_object_get(a, "listen"));
	buf_putc(&c->text, '\n');
	admin_plan_print(c);
	if (!done)
		return;
	heading(c, "Written");
	list(c, json_object_get(c->data, "written"), false);
	line(c, "log", json_object_get(c->data, "log"));
	heading(c, "To take it back");
	list(c, json_object_get(c->data, "undo"), false);
	heading(c, "What is left");
	list(c, json_object_get(c->data, "next"), true);
}
