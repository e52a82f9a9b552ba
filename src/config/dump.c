/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration as YAML, two configurations compared, and a configuration's part of the policy. */
#include "base/mem.h"
#include "config/schema.h"

enum { VALUE_MAX = 8 << 20 };

static void record_print(struct buf *out, const struct config_row *row, const struct config *c)
{
	const char *items = *(const char *const *)((const char *)c + row->offset);
	size_t n = *(const size_t *)((const char *)c + row->n_offset);
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? ", {" : "{");
		for (const struct config_row *f = row + 1; f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++) {
			buf_printf(out, "%s%s: ", f == row + 1 ? "" : ", ", f->key);
			config_value_print(out, f, items + i * row->size + f->offset);
		}
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

static void row_print(struct buf *out, const struct config_row *row, const struct config *c)
{
	if (row->kind == CONFIG_RECORD)
		record_print(out, row, c);
	else
		config_value_print(out, row, (const char *)c + row->offset);
}

/* Not set, and no text that could say so: left out. */
static bool absent(const struct config_row *row, const struct config *c)
{
	switch (row->type) {
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_DOMAIN:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_ADDRESS:
	case CONFIG_TYPE_SIP_URI:
		return row->kind == CONFIG_SETTING && !**(const char *const *)((const char *)c + row->offset);
	default:
		return false;
	}
}

void config_dump(struct buf *out, const struct config *c)
{
	struct slice section = SLICE_NONE;
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *row = &config_rows[i];
		if ((row->kind != CONFIG_SETTING && row->kind != CONFIG_RECORD) || absent(row, c))
			continue;
		struct slice rest = slice_str(row->key), first = slice_split(&rest, '.');
		if (rest.p && !slice_eq(first, section))
			buf_printf(out, "%.*s:\n", SFMT(first));
		section = first;
		buf_printf(out, "%s%.*s: ", rest.p ? "  " : "", SFMT(rest.p ? rest : first));
		row_print(out, row, c);
		buf_putc(out, '\n');
	}
}

bool config_value(struct buf *out, const struct config *c, struct slice key)
{
	const struct config_row *row = config_row_find(key);
	if (row)
		row_print(out, row, c);
	return row;
}

void config_diff(const struct config *a, const struct config *b, void (*each)(void *arg, const char *key, bool live), void *arg)
{
	struct buf x, y;
	buf_init(&x, VALUE_MAX);
	buf_init(&y, VALUE_MAX);
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *row = &config_rows[i];
		if (row->kind != CONFIG_SETTING && row->kind != CONFIG_RECORD)
			continue;
		buf_clear(&x);
		buf_clear(&y);
		row_print(&x, row, a);
		row_print(&y, row, b);
		if (!slice_eq(buf_slice(&x), buf_slice(&y)))
			each(arg, row->key, row->live);
	}
	buf_free(&x);
	buf_free(&y);
}

void config_build_snapshot(struct snapshot_builder *b, const struct config *c)
{
	for (size_t i = 0; i < c->n_homes; i++) {
		const struct config_homes *in = &c->homes[i];
		struct slice *domains = mem_calloc(in->domains.n, sizeof *domains);
		for (size_t k = 0; k < in->domains.n; k++)
			domains[k] = slice_str(in->domains.items[k]);
		struct policy_home h = {.name = slice_str(in->name), .next_hop = slice_str(in->next_hop), .domains = domains,
					.n_domains = in->domains.n, .site = slice_str(in->site)};
		const char *why;
		config_sip_uri(h.next_hop, &h.transport, NULL, &why);
		snapshot_builder_home(b, &h, NULL); /* config_check found all that could fail */
		mem_free(domains);
	}
	struct policy_gateway g;
	policy_gateway_defaults(&g);
	g.negotiation = (enum policy_negotiation_mode)c->xmpp_negotiation;
	g.connection_limit = (uint32_t)c->limits_max_connections;
	g.partner_connection_limit = (uint32_t)c->limits_max_connections_per_partner;
	g.xmpp_access = c->xmpp_access;
	snapshot_builder_gateway(b, &g);
}
