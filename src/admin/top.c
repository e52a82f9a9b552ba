/* SPDX-License-Identifier: Apache-2.0 */
/* `top`: one picture of the present after the other. */
#include "admin/task.h"

static int begin(struct admin_task *t)
{
	struct admin_call *c = &t->call;
	struct entente_err err = {0};
	uint32_t interval = 1000 * (uint32_t)admin_arg_uint(c, "interval", 2);
	uint32_t count = admin_arg_bool(c, "once", false) ? 1 : (uint32_t)admin_arg_uint(c, "count", 0);
	if (!c->admin->ops->top)
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", NULL, "this process has no live view");
	if (c->admin->ops->top(c->admin->arg, interval, count, t, &err))
		return admin_fail_err(c, "the live view cannot begin", &err, NULL);
	return ADMIN_EXIT_OK;
}

static double number(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* "0", "0.4", "12" */
static const char *short_number(double v, char z[32])
{
	snprintf(z, 32, v >= 9.95 || v == 0 ? "%.0f" : "%.1f", v);
	return z;
}

static void cell(struct admin_table *t, double v)
{
	char z[32];
	admin_table_cell(t, slice_str(short_number(v, z)));
}

static void direction(struct admin_call *c, json_t *e, const char *label, const char *key)
{
	json_t *slow = json_object_get(json_object_get(e, "latency"), key);
	char z[32];
	buf_printf(&c->text, "  %-14s %8s/s", label, short_number(number(json_object_get(e, "rates"), key), z));
	if (slow)
		buf_printf(&c->text, "   half within %.0f ms, 95 of 100 within %.0f ms", number(slow, "half_ms"), number(slow, "most_ms"));
	buf_putc(&c->text, '\n');
}

static void partners(struct admin_call *c, json_t *list)
{
	static const struct admin_table_column heads[] = {{"PARTNER", ADMIN_TABLE_FLEX}, {"BY", 0}, {"IN/s", ADMIN_TABLE_RIGHT}, {"OUT/s", ADMIN_TABLE_RIGHT},
							  {"OPEN", ADMIN_TABLE_RIGHT}, {"WAIT", ADMIN_TABLE_RIGHT}};
	struct admin_table *t = admin_table_new(heads, sizeof heads / sizeof *heads);
	json_t *p;
	size_t i;
	json_array_foreach(list, i, p) {
		admin_table_cell(t, slice_str(admin_get_text(p, "partner")));
		admin_table_cell(t, slice_str(admin_get_text(p, "protocol")));
		cell(t, number(p, "in"));
		cell(t, number(p, "out"));
		admin_table_cell_int(t, admin_get_int(p, "connections"));
		admin_table_cell_int(t, admin_get_int(p, "waiting"));
	}
	if (json_array_size(list))
		admin_table_print(t, &c->text, c->width, c->color);
	else
		buf_puts(&c->text, "No partner is connected.\n");
	admin_table_free(t);
}

static void refusals(struct admin_call *c, json_t *list)
{
	static const struct admin_table_column heads[] = {{"REFUSED", ADMIN_TABLE_FLEX}, {"/s", ADMIN_TABLE_RIGHT}, {"TOTAL", ADMIN_TABLE_RIGHT}};
	struct admin_table *t = admin_table_new(heads, sizeof heads / sizeof *heads);
	json_t *r;
	size_t i;
	json_array_foreach(list, i, r) {
		admin_table_cell(t, slice_str(admin_get_text(r, "reason")));
		cell(t, number(r, "rate"));
		admin_table_cell_int(t, admin_get_int(r, "total"));
	}
	if (json_array_size(list)) {
		buf_putc(&c->text, '\n');
		admin_table_print(t, &c->text, c->width, c->color);
	}
	admin_table_free(t);
}

static void print_event(struct admin_call *c, json_t *e)
{
	json_t *rates = json_object_get(e, "rates"), *open = json_object_get(e, "connections");
	char a[32], b[32], d[32], f[32];
	struct buf *out = &c->text;
	admin_styled(out, c->color, ADMIN_BOLD, slice_str(admin_get_text(e, "server")));
	buf_printf(out, "  %.19sZ  up ", admin_get_text(e, "at"));
	admin_duration(out, admin_get_int(e, "uptime"));
	buf_printf(out, "  cpu %.1f %%  memory %jd MiB\n", number(e, "cpu"), (intmax_t)(admin_get_int(e, "memory") >> 20));
	direction(c, e, "SIP to XMPP", "sip_to_xmpp");
	direction(c, e, "XMPP to SIP", "xmpp_to_sip");
	direction(c, e, "SIP to SIP", "sip_to_sip");
	buf_printf(out, "  SIP %s in, %s out; stanzas %s in, %s out", short_number(number(rates, "sip_in"), a), short_number(number(rates, "sip_out"), b),
		   short_number(number(rates, "stanzas_in"), d), short_number(number(rates, "stanzas_out"), f));
	buf_printf(out, "; refused %s, limits hit %s a second\n", short_number(number(rates, "refused"), a), short_number(number(rates, "limits"), b));
	buf_printf(out, "  open: streams %jd in, %jd out; SIP connections %jd; subscriptions %jd\n\n", (intmax_t)admin_get_int(open, "xmpp_in"),
		   (intmax_t)admin_get_int(open, "xmpp_out"), (intmax_t)admin_get_int(open, "sip"), (intmax_t)admin_get_int(open, "subscriptions"));
	partners(c, json_object_get(e, "partners"));
	refusals(c, json_object_get(e, "refusals"));
	buf_putc(out, '\n');
}

static int end(struct admin_call *c)
{
	(void)c;
	return ADMIN_EXIT_OK;
}

static void print(struct admin_call *c)
{
	(void)c;
}

const struct admin_live admin_top_live = {begin, NULL, print_event, end, print};
