/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself, and the documentation made from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "config/schema.h"

/* A reload or restart column, bounds, help and a default that the parser takes, for every row; keys unique and in lower
 * case. */
static void test_table(void **state)
{
	(void)state;
	struct arena *a = arena_new(65536);
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct config_row *r = &config_rows[i];
		assert_true(*r->key && *r->help);
		assert_true(r->help[strlen(r->help) - 1] != '.');
		assert_true(strlen(r->key) < 40);
		if (r->kind == CONFIG_SECTION || r->kind == CONFIG_RECORD)
			continue;
		for (const char *c = r->key; *c; c++)
			assert_true((*c >= 'a' && *c <= 'z') || *c == '.' || *c == '-');
		if (r->kind == CONFIG_SETTING)
			assert_ptr_equal(config_row_find(slice_str(r->key)), r);
		bool number = r->type == CONFIG_TYPE_UINT || r->type == CONFIG_TYPE_SIZE || r->type == CONFIG_TYPE_DURATION;
		assert_int_equal(number, r->max > 0);
		assert_int_equal(r->type == CONFIG_TYPE_ENUM, r->choices != NULL);
		uint64_t v[2];
		char why[160];
		if (r->def && *r->def && !config_value_parse(r, a, slice_str(r->def), v, why, sizeof why))
			fail_msg("%s: the default '%s' %s", r->key, r->def, why);
	}
	arena_release(NULL, a);
}

/* The order of choices is the order of the enumerations. */
static void test_choices(void **state)
{
	(void)state;
	const struct {
		const char *key, *text;
		unsigned value;
	} rows[] = {
		{"log.level", "error", CONFIG_LOG_ERROR},
		{"log.level", "warning", CONFIG_LOG_WARNING},
		{"log.level", "info", CONFIG_LOG_INFO},
		{"log.level", "debug", CONFIG_LOG_DEBUG},
		{"server.role", "all", CONFIG_ALL},
		{"server.role", "edge", CONFIG_EDGE},
		{"server.role", "gateway", CONFIG_GATEWAY},
		{"xmpp.negotiation", "strict", CONFIG_STRICT},
		{"xmpp.negotiation", "lync", CONFIG_LYNC},
		{"im.type", "chat", CONFIG_IM_CHAT},
		{"im.type", "normal", CONFIG_IM_NORMAL},
		{"im.bare-jid-errors", "4xx", CONFIG_BARE_JID_4XX},
		{"im.bare-jid-errors", "6xx", CONFIG_BARE_JID_6XX},
	};
	char why[160];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned v = 99;
		const struct config_row *r = config_row_find(slice_str(rows[i].key));
		assert_true(config_value_parse(r, NULL, slice_str(rows[i].text), &v, why, sizeof why));
		assert_int_equal(v, rows[i].value);
	}
	assert_int_equal(CONFIG_STRICT, POLICY_STRICT);
	assert_int_equal(CONFIG_TCP, POLICY_TCP);
}

static void test_example(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 20);
	config_example(&out);
	struct config *c = NULL;
	struct config_errors errs;
	int rc = config_parse(&c, buf_slice(&out), false, &errs);
	assert_int_equal(rc, 0);
	assert_int_equal(c->n_homes, 1);
	config_free(c);
	for (size_t i = 0; i < config_n_rows; i++) { /* nothing is left out */
		const char *name = strrchr(config_rows[i].key, '.');
		char line[80];
		snprintf(line, sizeof line, "%s:", name ? name + 1 : config_rows[i].key);
		if (config_rows[i].kind == CONFIG_SETTING && slice_find(buf_slice(&out), slice_str(line)) < 0)
			fail_msg("%s is missing", config_rows[i].key);
	}
	/* with every comment sign before a setting taken away, the defaults are valid values */
	struct buf open;
	buf_init(&open, 1 << 20);
	struct slice rest = buf_slice(&out);
	while (rest.p) {
		struct slice line = slice_split(&rest, '\n'), body = slice_trim(line);
		bool sample = slice_find(line, S("/path/of/file")) >= 0;
		if (!sample && body.len > 1 && body.p[0] == '#' && body.p[1] >= 'a' && body.p[1] <= 'z')
			buf_printf(&open, "%.*s%.*s\n", (int)(body.p - line.p), line.p, SFMT(slice_skip(body, 1)));
		else
			buf_printf(&open, "%.*s\n", SFMT(line));
	}
	rc = config_parse(&c, buf_slice(&open), false, &errs);
	if (rc)
		fail_msg("%u:%u %s", errs.list[0].line, errs.list[0].column, errs.list[0].text);
	config_free(c);
	buf_free(&open);
	buf_free(&out);
}

static void explains(const char *key, const char *want)
{
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_int_equal(config_explain(&out, slice_str(key), NULL), 0);
	if (!slice_starts(buf_slice(&out), slice_str(want)))
		fail_msg("%s:\n%.*s", key, SFMT(buf_slice(&out)));
	buf_free(&out);
}

static void test_explain(void **state)
{
	(void)state;
	explains("limits.max-stanza", "limits.max-stanza\n    octets of one XMPP stanza from an authenticated partner\n"
				      "    a size, 10000 to 16MiB, default 262144; takes effect on reload\n");
	explains("log", "log.level\n    the least important events that are written\n"
			"    one of error, warning, info, debug, default info; takes effect on reload\nlog.trace\n");
	explains("homes[].next-hop", "homes[].next-hop\n");
	explains("homes.name", "homes[].name\n    short name, for logs and commands\n    text, required\n");
	explains("xmpp.listen", "xmpp.listen\n");
	explains("", "server.name\n");
	struct buf out;
	struct entente_err err;
	buf_init(&out, 4096);
	assert_int_equal(config_explain(&out, S("limits.max-stanzas"), &err), ENTENTE_ENOTFOUND);
	assert_string_equal(err.text, "there is no setting 'limits.max-stanzas'; did you mean 'limits.max-stanza'?");
	assert_int_equal(config_explain(&out, S("limits.max"), NULL), ENTENTE_ENOTFOUND);
	assert_int_equal(config_explain(&out, S("!!!!"), &err), ENTENTE_ENOTFOUND);
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

static void test_man(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 20);
	config_man(&out);
	assert_true(buf_ok(&out));
	assert_true(slice_find(buf_slice(&out), S("\n.TP\n.B homes[].next\\-hop\n")) >= 0);
	assert_true(slice_find(buf_slice(&out), S("\n.TP\n.B limits.max\\-stanza\\-before\\-auth\n")) >= 0);
	assert_int_equal(memchr(buf_slice(&out).p, 0, out.len) != NULL, false);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_choices),
					   cmocka_unit_test(test_example), cmocka_unit_test(test_explain),
					   cmocka_unit_test(test_man)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
