/* SPDX-License-Identifier: Apache-2.0 */
/* Documentation from the table: `config explain`, the example file, the manual. */
#include "base/enc.h"
#include "config/schema.h"

static bool is_key(const struct config_row *row)
{
	return row->kind == CONFIG_SETTING || row->kind == CONFIG_RECORD;
}

static void choices_print(struct buf *out, const char *choices)
{
	for (; *choices; choices++)
		if (*choices == '|')
			buf_puts(out, ", ");
		else
			buf_putc(out, *choices);
}

/* "a size, 10000 to 16MiB, default 262144" */
static void facts(struct buf *out, const struct config_row *row)
{
	if (row->kind == CONFIG_RECORD) {
		buf_puts(out, "a list of mappings");
		return;
	}
	buf_puts(out, row->type == CONFIG_TYPE_ENUM ? "one of " : config_type_name(row->type));
	if (row->choices)
		choices_print(out, row->choices);
	if (row->max) {
		buf_puts(out, ", ");
		config_bounds_print(out, row);
	}
	if (!row->def)
		buf_puts(out, ", required");
	else if (*row->def)
		buf_printf(out, ", default %s", row->def);
	else
		buf_puts(out, ", not set by default");
}

static void row_explain(struct buf *out, const struct config_row *row, const char *record)
{
	buf_printf(out, "%s%s%s\n    %s\n    ", record, *record ? "[]." : "", row->key, row->help);
	facts(out, row);
	if (row->kind != CONFIG_FIELD)
		buf_puts(out, row->live ? "; takes effect on reload" : "; takes effect on restart");
	buf_puts(out, "\n");
}

static void key_explain(struct buf *out, const struct config_row *row)
{
	row_explain(out, row, "");
	for (const struct config_row *f = row + 1;
	     row->kind == CONFIG_RECORD && f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++)
		row_explain(out, f, row->key);
}

int config_explain(struct buf *out, struct slice key, struct entente_err *err)
{
	bool section = slice_empty(key) || config_is_section(key), found = false;
	struct config_nearest near;
	config_nearest_init(&near, key);
	const struct config_row *record = NULL;
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *row = &config_rows[i];
		struct slice k = slice_str(row->key);
		record = row->kind == CONFIG_RECORD ? row : record;
		if (row->kind == CONFIG_FIELD) { /* homes.name and homes[].name */
			char path[2][96];
			snprintf(path[0], sizeof path[0], "%s.%s", record->key, row->key);
			snprintf(path[1], sizeof path[1], "%s[].%s", record->key, row->key);
			if (slice_eq(key, slice_str(path[0])) || slice_eq(key, slice_str(path[1]))) {
				row_explain(out, row, record->key);
				found = true;
			}
			continue;
		}
		if (!is_key(row))
			continue;
		config_nearest_try(&near, k);
		if (slice_eq(k, key) || slice_empty(key) ||
		    (section && slice_starts(k, key) && k.len > key.len && k.p[key.len] == '.')) {
			key_explain(out, row);
			found = true;
		}
	}
	if (found)
		return 0;
	if (near.best.p)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no setting '%.*s'; did you mean '%.*s'?",
			       SFMT(utf8_first(key, 64)), SFMT(near.best));
	return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no setting '%.*s'", SFMT(utf8_first(key, 64)));
}

/* What the example says where the table has no default that would do. */
static const char *example_of(const struct config_row *row)
{
	static const struct {
		const char *key, *text;
	} examples[] = {
		{"server.name", "gw.example.org"},
		{"sip.listen", "[{address: 127.0.0.1, port: 5060, transport: tcp}]"},
		{"xmpp.listen", "[{address: \"::\", port: 5269}]"},
		{"homes", "[{name: main, domains: [example.org], next-hop: \"sip:10.0.0.5:5060;transport=tcp\"}]"},
	};
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
		if (strcmp(examples[i].key, row->key) == 0)
			return examples[i].text;
	return NULL;
}

void config_example(struct buf *out)
{
	struct slice section = SLICE_NONE;
	buf_puts(out, "# entente.conf: YAML. What is commented out shows the default.\n"
		      "# `entente config explain KEY` tells more, `entente config check FILE` checks a file.\n");
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *row = &config_rows[i];
		if (row->kind == CONFIG_SECTION)
			buf_printf(out, "\n# ---- %s ----\n", row->help);
		if (!is_key(row))
			continue;
		struct slice rest = slice_str(row->key), first = slice_split(&rest, '.');
		const char *indent = rest.p ? "  " : "", *value = example_of(row);
		if (rest.p && !slice_eq(first, section))
			buf_printf(out, "%.*s:\n", SFMT(first));
		section = first;
		buf_printf(out, "%s# %s\n%s# (", indent, row->help, indent);
		facts(out, row);
		buf_printf(out, ")\n%s%s%.*s: ", indent, value ? "" : "#", SFMT(rest.p ? rest : first));
		if (value || (row->def && *row->def))
			buf_puts(out, value ? value : row->def);
		else
			buf_puts(out, row->kind == CONFIG_RECORD || config_is_list(row->type) ? "[]"
				      : row->type == CONFIG_TYPE_PATH ? "/path/of/file"
								      : "\"\"");
		buf_putc(out, '\n');
	}
}

/* Text in roff: a hyphen in a key must stay one that can be searched for. */
static void roff(struct buf *out, const char *z)
{
	if (*z == '.' || *z == '\'')
		buf_puts(out, "\\&");
	for (; *z; z++)
		if (*z == '-')
			buf_puts(out, "\\-");
		else if (*z == '\\')
			buf_puts(out, "\\e");
		else
			buf_putc(out, *z);
}

static void man_row(struct buf *out, const struct config_row *row, const char *record)
{
	struct buf f;
	buf_init(&f, 1024);
	buf_puts(out, ".TP\n.B ");
	roff(out, record);
	buf_puts(out, *record ? "[]." : "");
	roff(out, row->key);
	buf_putc(out, '\n');
	roff(out, row->help);
	buf_puts(out, ".\n.br\n");
	facts(&f, row);
	if (row->kind != CONFIG_FIELD)
		buf_puts(&f, row->live ? "; takes effect on reload" : "; takes effect on restart");
	buf_putc(&f, '\0');
	roff(out, buf_slice(&f).p);
	buf_puts(out, ".\n");
	buf_free(&f);
}

void config_man(struct buf *out)
{
	const char *record = "";
	buf_puts(out, ".SH SETTINGS\n");
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *row = &config_rows[i];
		if (row->kind == CONFIG_SECTION) {
			buf_puts(out, ".SS ");
			roff(out, row->help);
			buf_putc(out, '\n');
			continue;
		}
		record = row->kind == CONFIG_RECORD ? row->key : record;
		man_row(out, row, row->kind == CONFIG_FIELD ? record : "");
	}
}
