/* SPDX-License-Identifier: Apache-2.0 */
/* The reference topologies of Lync's planning guide, row by row: reference/README.md says how the files are read. argv[1]: their folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/arena.h"
#include "plan/site.h"

static const char *folder;
enum { ROWS_MAX = 256 };

struct rows {
	struct slice list[ROWS_MAX];
	bool seen[ROWS_MAX];
	size_t n;
};

__attribute__((format(printf, 3, 4))) static void add(struct rows *r, struct arena *a, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	assert_true(r->n < ROWS_MAX);
	r->list[r->n++] = arena_printf(a, "%s", text);
}

/* The plan in the words of the files. */
static void rows_of(struct rows *r, struct arena *a, const struct plan *p)
{
	static const char *const usage[] = {[PLAN_EXTERNAL] = "external", [PLAN_CLIENT] = "client", [PLAN_INTERNAL] = "internal"};
	for (size_t i = 0; i < p->n_certificates; i++) {
		const struct plan_certificate *c = &p->certificates[i];
		add(r, a, "subject %s %.*s", usage[c->usage], SFMT(c->subject));
		add(r, a, "purpose %s serverAuth", usage[c->usage]);
		if (c->client_eku)
			add(r, a, "purpose %s clientAuth", usage[c->usage]);
		for (size_t k = 0; k < c->n_names; k++)
			add(r, a, "name %s %.*s", usage[c->usage], SFMT(c->names[k]));
	}
	for (size_t i = 0; i < p->n_records; i++) {
		const struct plan_record *o = &p->records[i];
		char port[8] = "";
		if (o->type == PLAN_SRV)
			snprintf(port, sizeof port, "%u ", o->port);
		add(r, a, "%s %s %.*s %s%.*s", o->internal ? "internal-dns" : "dns", plan_record_type_text(o->type), SFMT(o->name), port, SFMT(o->target));
	}
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct plan_port *o = &p->ports[i];
		add(r, a, "port %s %s %.*s %u %.*s -> %.*s", o->inbound ? "in" : "out", o->internal ? "internal" : "external", SFMT(o->transport), o->port,
		    SFMT(o->source), SFMT(o->destination));
	}
	for (size_t i = 0; i < p->n_warnings; i++)
		add(r, a, "warning %s", p->warnings[i].id);
}

struct topology {
	struct slice config, addresses[8], load_balancer;
	size_t n_addresses, n_documented;
	bool client_eku;
};

static struct slice read_file(struct arena *a, const char *name)
{
	char path[512];
	static char text[65536];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "r");
	if (!f)
		fail_msg("%s is missing", path);
	size_t n = fread(text, 1, sizeof text, f);
	fclose(f);
	assert_true(n < sizeof text);
	return arena_printf(a, "%.*s", (int)n, text);
}

/* The lines that describe the site; the others begin with one of the words of check(). */
static void site_of(struct topology *ret, struct slice text)
{
	for (struct slice rest = text; rest.len;) {
		struct slice line = slice_split(&rest, '\n'), word = slice_split(&line, ' ');
		if (slice_eq(word, S("config"))) {
			ptrdiff_t end = slice_find(rest, S("\nend\n"));
			assert_true(end > 0);
			ret->config = slice_first(rest, (size_t)end + 1);
			rest = slice_skip(rest, (size_t)end + 5);
		} else if (slice_eq(word, S("address"))) {
			ret->addresses[ret->n_addresses++] = line;
		} else if (slice_eq(word, S("load-balancer"))) {
			ret->load_balancer = line;
		} else if (slice_eq(word, S("client-eku"))) {
			ret->client_eku = true;
		}
	}
}

static bool take(struct rows *r, struct slice row)
{
	bool found = false;
	for (size_t i = 0; i < r->n; i++)
		if (slice_eq(r->list[i], row)) {
			if (r->seen[i])
				fail_msg("twice in the file: %.*s", SFMT(row));
			found = r->seen[i] = true;
		}
	return found;
}

static void check(const char *name, struct topology *t, struct rows *r, struct slice text)
{
	ptrdiff_t end = slice_find(text, S("\nend\n"));
	for (struct slice rest = slice_skip(text, (size_t)end + 5); rest.len;) {
		struct slice line = slice_split(&rest, '\n'), word = line, row = slice_split(&word, ' ');
		ptrdiff_t bar = slice_find(word, S(" | "));
		struct slice what = bar >= 0 ? slice_first(word, (size_t)bar) : word;
		if (slice_eq(row, S("documented")) || slice_eq(row, S("ours"))) {
			if (!take(r, what))
				fail_msg("%s: the plan lacks: %.*s", name, SFMT(line));
			assert_int_equal(bar >= 0, slice_eq(row, S("ours"))); /* a reason for what is ours */
			t->n_documented += slice_eq(row, S("documented"));
		} else if (slice_eq(row, S("warning"))) {
			if (!take(r, line))
				fail_msg("%s: the plan does not warn: %.*s", name, SFMT(line));
		} else if (slice_eq(row, S("absent"))) {
			assert_true(bar > 0);
			for (size_t i = 0; i < r->n; i++)
				if (slice_eq(r->list[i], what))
					fail_msg("%s: the plan has what does not apply: %.*s", name, SFMT(line));
		} else if (line.len && line.p[0] != '#' && !slice_eq(row, S("address")) && !slice_eq(row, S("load-balancer")) && !slice_eq(row, S("client-eku"))) {
			fail_msg("%s: not understood: %.*s", name, SFMT(line));
		}
	}
	for (size_t i = 0; i < r->n; i++)
		if (!r->seen[i])
			fail_msg("%s: the plan has a row that is not in the file: %.*s", name, SFMT(r->list[i]));
}

static void test_topologies(void **state)
{
	static const char *const names[] = {"single-nat", "single-public", "pool-dns-nat", "pool-dns-public", "pool-hlb"};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct arena *a = arena_new(1 << 20);
		struct topology t = {0};
		struct rows rows = {.n = 0};
		struct config *cfg = NULL;
		struct config_errors errs;
		struct plan_site site;
		struct plan p;
		struct slice text = read_file(a, names[i]);
		site_of(&t, text);
		if (config_parse(&cfg, t.config, false, &errs))
			fail_msg("%s: %s", names[i], errs.list[0].text);
		assert_int_equal(plan_site_config(&site, a, cfg), 0);
		site.addresses = t.addresses;
		site.n_addresses = t.n_addresses;
		site.load_balancer = t.load_balancer;
		site.sip_client_eku = t.client_eku;
		assert_int_equal(plan_make(&p, a, &site), 0);
		rows_of(&rows, a, &p);
		check(names[i], &t, &rows, text);
		assert_in_range(t.n_documented, 20, 60); /* the file was read */
		config_free(cfg);
		arena_release(NULL, a);
	}
}

/* The API on TCP is a row, with its own variable for the firewall; on loopback it is none. */
static void test_admin_port(void **state)
{
	static const struct {
		const char *listen;
		size_t rows;
	} cases[] = {{"10.0.0.10:8470", 1}, {"\"[2001:db8::1]:8470\"", 1}, {"0.0.0.0:8470", 1}, {"127.0.0.1:8470", 0}, {"\"[::1]:8470\"", 0}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(1 << 20);
		struct config *cfg = NULL;
		struct config_errors errs;
		struct plan_site site;
		struct plan p;
		struct buf out;
		size_t n = 0;
		struct slice text = arena_printf(a, "server:\n  name: gw.contoso.com\nhomes:\n  - {name: a, domains: [contoso.com], next-hop: \"sip:10.0.0.5;transport=tcp\"}\n"
						    "tls:\n  certificate: /c\n  key: /k\nadmin:\n  listen: %s\n  tls: true\n", cases[i].listen);
		if (config_parse(&cfg, text, false, &errs))
			fail_msg("%s", errs.list[0].text);
		assert_int_equal(plan_site_config(&site, a, cfg), 0);
		assert_int_equal(plan_make(&p, a, &site), 0);
		for (size_t k = 0; k < p.n_ports; k++)
			n += p.ports[k].port == 8470 && p.ports[k].inbound && p.ports[k].internal;
		assert_int_equal(n, cases[i].rows);
		buf_init(&out, 65536);
		plan_nftables_print(&out, &p);
		assert_int_equal(slice_find(buf_slice(&out), S("ip saddr $ADMINS tcp dport 8470")) >= 0, n);
		assert_int_equal(slice_find(buf_slice(&out), S("define ADMINS")) >= 0, n);
		buf_free(&out);
		config_free(cfg);
		arena_release(NULL, a);
	}
}

/* Warnings that no reference topology has. */
static void test_warnings(void **state)
{
	static const struct {
		const char *id, *config;
	} rows[] = {
		{"plan/metrics-open", "metrics:\n  listen: \"0.0.0.0:9464\"\n"},
		{"plan/metrics-open", "metrics:\n  listen: \"[2001:db8::1]:9464\"\n"},
		{NULL, "metrics:\n  listen: 127.0.0.1:9464\n"},
		{NULL, "metrics:\n  listen: \"[::1]:9464\"\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_new(1 << 20);
		struct config *cfg = NULL;
		struct config_errors errs;
		struct plan_site site;
		struct plan p;
		struct slice text = arena_printf(a, "server:\n  name: gw.contoso.com\nhomes:\n  - {name: a, domains: [contoso.com], next-hop: \"sip:10.0.0.5;transport=tcp\"}\n%s",
						 rows[i].config);
		bool found = false;
		assert_int_equal(config_parse(&cfg, text, false, &errs), 0);
		assert_int_equal(plan_site_config(&site, a, cfg), 0);
		assert_int_equal(plan_make(&p, a, &site), 0);
		for (size_t k = 0; k < p.n_warnings; k++)
			found |= rows[i].id && strcmp(p.warnings[k].id, rows[i].id) == 0;
		assert_int_equal(found, rows[i].id != NULL);
		assert_int_equal(site.metrics.port, rows[i].id ? 9464 : 0);
		config_free(cfg);
		arena_release(NULL, a);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_topologies), cmocka_unit_test(test_warnings), cmocka_unit_test(test_admin_port)};
	if (argc < 2)
		return 2;
	folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
