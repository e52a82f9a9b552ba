/* SPDX-License-Identifier: Apache-2.0 */
/* `entente check ...`: collects what is asked for, has it judged, prints the findings. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "admin/args.h"
#include "admin/check_live.h"
#include "check/collect.h"
#include "plan/site.h"

enum { ARENA_MAX = 64 << 20 };

struct checking {
	struct admin_call *c;
	struct arena *arena;
	struct config *config;
	struct config_errors errors;
	struct plan_site site;
	struct plan plan;
	struct check_facts facts;
	struct check report;
	bool want[CHECK_AREAS];
};

static const char *file_of(const struct admin_call *c)
{
	const char *z = json_string_value(json_object_get(c->args, "file"));
	return z ? z : admin_arg_find(c->command, S("file"))->def;
}

/* Whether the files that it names are there is another area's question: it must not keep the rest from being looked at. */
static int load(struct checking *x)
{
	struct config_errors quiet = {0};
	const char *path = file_of(x->c);
	if (access(path, R_OK)) {
		bool permission = errno == EACCES;
		return admin_fail(x->c, permission ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_FINDING, permission ? "permission" : "not-found",
				  permission ? "run it as root, or as a member of the group that may read the file" : "`entente config example` prints a file to start from",
				  "%s cannot be read: %s", path, permission ? "permission denied" : "no such file");
	}
	struct config *other = NULL;
	config_read(&x->config, path, false, &quiet);
	config_read(&other, path, true, &x->errors);
	config_free(other);
	if (!x->config && !x->want[CHECK_CONFIG])
		return admin_fail(x->c, ADMIN_EXIT_CONFIG, "config", "`entente check config` says what is wrong", "%s has %zu error%s", path, quiet.n_errors,
				  quiet.n_errors == 1 ? "" : "s");
	x->facts.file = slice_str(path);
	x->facts.config = x->config;
	x->facts.errors = &x->errors;
	return ADMIN_EXIT_OK;
}

static int addresses(struct checking *x)
{
	json_t *one;
	size_t i;
	json_array_foreach(admin_arg_list(x->c, "address"), i, one) {
		unsigned char octets[16];
		const char *z = json_string_value(one);
		if (inet_pton(AF_INET, z, octets) != 1 && inet_pton(AF_INET6, z, octets) != 1)
			return admin_fail(x->c, ADMIN_EXIT_USAGE, "usage", "--address 192.0.2.10, or --address 2001:db8::10", "'%.60s' is no IP address", z);
	}
	return ADMIN_EXIT_OK;
}

static void make_plan(struct checking *x)
{
	struct check_facts *f = &x->facts;
	if (!x->config || plan_site_config(&x->site, x->arena, x->config))
		return;
	int rc = admin_site_add(x->c, &x->site, x->arena);
	f->given = x->site.addresses;
	f->n_given = x->site.n_addresses;
	f->site = &x->site;
	if (!rc)
		rc = plan_make(&x->plan, x->arena, &x->site);
	if (!rc)
		f->plan = &x->plan;
	else
		f->plan_why = rc == ENTENTE_EINVAL ? S("the configuration names no domain of ours (an edge learns them from its gateway): name them with --domain")
						   : S("more domains or addresses than can be planned for");
}

static void progress(void *arg, const char *text)
{
	const struct admin_call *c = arg;
	if (c->program && c->program->progress)
		c->program->progress(text);
}

static void collect(struct checking *x)
{
	struct check_facts *f = &x->facts;
	const bool *want = x->want;
	const char *said = x->c->program ? x->c->program->socket : NULL, *socket = said ? said : x->config->server_control_socket;
	struct check_options o = {.socket = socket, .resolver = admin_arg_text(x->c, "resolver"), .progress = progress, .arg = x->c};
	bool net = want[CHECK_DNS] || want[CHECK_PORTS] || want[CHECK_POOL];
	bool live = want[CHECK_PORTS] || want[CHECK_POOL] || want[CHECK_PARTNERS] || want[CHECK_SYSTEM];
	o.clocks = admin_arg_texts(x->c, "clock", x->arena, &o.n_clocks);
	struct check_looking *look = check_look_begin(f, x->arena, &o);
	if (live || want[CHECK_DISK])
		check_look_system(look);
	if (live)
		admin_check_live(x->c, f, x->arena, socket, want[CHECK_PARTNERS], admin_arg_list(x->c, "partner"), admin_arg_bool(x->c, "test", true));
	if (net || want[CHECK_CERTS] || want[CHECK_TIME])
		check_look_certs(look);
	if (want[CHECK_CERTS] || want[CHECK_TIME])
		check_look_lists(look);
	if (net)
		check_look_dns(look);
	if (want[CHECK_PORTS] || want[CHECK_POOL])
		check_look_listeners(look);
	if ((want[CHECK_PORTS] || want[CHECK_POOL]) && !f->live.have && !f->live.forbidden)
		f->ports.probes_skipped = S("the daemon does not answer: nothing was connected to");
	else if (want[CHECK_PORTS] || want[CHECK_POOL])
		check_look_probes(look);
	if (want[CHECK_TIME])
		check_look_time(look);
	if (want[CHECK_DISK])
		check_look_disk(look);
	check_look_end(look);
	progress(x->c, NULL);
}

static json_t *finding(const struct check_finding *f)
{
	const struct check_info *i = check_info(f->id);
	json_t *o = json_pack("{s:s s:s s:s s:s s:s s:s}", "id", i->id, "area", check_area_text(i->area), "severity", check_severity_text(f->severity), "who", f->who,
			      "title", i->title, "why", i->why);
	admin_set_text(o, "subject", f->subject);
	admin_set_text(o, "evidence", f->evidence);
	admin_set_text(o, "remedy", f->remedy);
	json_object_set_new(o, "doc", json_sprintf("docs/checks.md#%s", check_anchor(f->id)));
	return o;
}

static int respond(struct checking *x)
{
	struct check_counts n;
	json_t *areas = json_array(), *findings = json_array(), *d = x->c->data;
	check_count(&x->report, &n);
	json_object_set_new(d, "checks", json_integer(n.made));
	json_object_set_new(d, "passed", json_integer(n.passed));
	json_object_set_new(d, "errors", json_integer(n.findings[CHECK_ERROR]));
	json_object_set_new(d, "warnings", json_integer(n.findings[CHECK_WARNING]));
	json_object_set_new(d, "notes", json_integer(n.findings[CHECK_NOTE]));
	json_object_set_new(d, "areas", areas);
	json_object_set_new(d, "findings", findings);
	for (int a = 0; a < CHECK_AREAS; a++) {
		const struct check_tally *t = &x->report.areas[a];
		if (!t->done)
			continue;
		json_t *o = json_pack("{s:s s:i s:i}", "area", check_area_text((enum check_area)a), "checks", (int)t->made, "passed", (int)(t->made - t->failed));
		admin_set_text(o, "skipped", t->skipped);
		json_array_append_new(areas, o);
		for (int s = CHECK_ERROR; s >= CHECK_NOTE; s--)
			for (size_t i = 0; i < x->report.n; i++)
				if (check_info(x->report.list[i].id)->area == (enum check_area)a && x->report.list[i].severity == (enum check_severity)s)
					json_array_append_new(findings, finding(&x->report.list[i]));
	}
	if (x->report.lost)
		admin_warn(x->c, "%zu more findings are not shown", x->report.lost);
	return n.findings[CHECK_ERROR] || n.findings[CHECK_WARNING] ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

/* Asked for what only the daemon knows, and there is none: that is an answer of its own. */
static int needs_daemon(struct checking *x)
{
	const struct check_live *l = &x->facts.live;
	if (x->c->command->id != ADMIN_CMD_CHECK_PARTNERS || l->have)
		return ADMIN_EXIT_OK;
	return admin_fail(x->c, l->forbidden ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_UNREACHABLE, l->forbidden ? "permission" : "unreachable",
			  "partners are looked at with the daemon's help: systemctl status entented", "%.*s", SFMT(l->why));
}

static int run(struct admin_call *c)
{
	struct checking *x = &(struct checking){.c = c};
	x->arena = arena_new(ARENA_MAX);
	check_init(&x->report, x->arena);
	for (int a = 0; a < CHECK_AREAS; a++)
		x->want[a] = c->command->id == ADMIN_CMD_CHECK_ALL || c->command->id == ADMIN_CMD_CHECK_CONFIG + (enum admin_id)a;
	int exit = addresses(x);
	if (!exit)
		exit = load(x);
	if (!exit) {
		make_plan(x);
		if (x->config)
			collect(x);
		exit = x->config ? needs_daemon(x) : ADMIN_EXIT_OK;
		for (int a = 0; a < CHECK_AREAS && !exit; a++)
			if (x->want[a] && (x->config || a == CHECK_CONFIG))
				check_judge(&x->report, &x->facts, (enum check_area)a);
		if (!exit)
			exit = respond(x);
	}
	check_facts_free(&x->facts);
	arena_release(NULL, x->arena);
	config_free(x->config);
	return exit;
}

/* ---- for people */

static void label(struct admin_call *c, const char *word, const char *text)
{
	if (!*text)
		return;
	buf_printf(&c->text, "  %-6s ", word);
	admin_wrap(&c->text, slice_str(text), 9, c->width > 60 ? c->width : 120, false);
}

/* Words first, then lines to paste, which are not wrapped. */
static void remedy(struct admin_call *c, const char *who, const char *text)
{
	struct slice rest = slice_str(text), first = slice_split(&rest, '\n');
	label(c, "who", check_who_text(who));
	buf_printf(&c->text, "  %-6s ", "fix");
	admin_wrap(&c->text, first, 9, c->width > 60 ? c->width : 120, false);
	while (rest.len) {
		buf_puts(&c->text, "             ");
		admin_clean(&c->text, slice_split(&rest, '\n'));
		buf_putc(&c->text, '\n');
	}
}

static void print_finding(struct admin_call *c, json_t *o)
{
	static const enum admin_style styles[] = {[CHECK_NOTE] = ADMIN_DIM, [CHECK_WARNING] = ADMIN_BOLD, [CHECK_ERROR] = ADMIN_BAD_STYLE};
	const char *severity = admin_get_text(o, "severity");
	enum admin_style style = ADMIN_PLAIN;
	for (int s = CHECK_NOTE; s <= CHECK_ERROR; s++)
		if (slice_eq(slice_str(severity), slice_str(check_severity_text((enum check_severity)s))))
			style = styles[s];
	admin_styled(&c->text, c->color, style, slice_str(severity));
	buf_printf(&c->text, "  %s\n", admin_get_text(o, "id"));
	struct buf b;
	buf_init(&b, 4096);
	buf_printf(&b, "%s: %s", admin_get_text(o, "subject"), admin_get_text(o, "title"));
	buf_puts(&c->text, "  ");
	admin_wrap(&c->text, buf_slice(&b), 2, c->width > 60 ? c->width : 120, false);
	buf_free(&b);
	label(c, "seen", admin_get_text(o, "evidence"));
	label(c, "why", admin_get_text(o, "why"));
	remedy(c, admin_get_text(o, "who"), admin_get_text(o, "remedy"));
	label(c, "more", admin_get_text(o, "doc"));
	buf_putc(&c->text, '\n');
}

static void count(struct admin_call *c, int64_t n, const char *what)
{
	buf_printf(&c->text, ", %jd %s%s", (intmax_t)n, what, n == 1 ? "" : "s");
}

static void print(struct admin_call *c)
{
	json_t *o;
	size_t i;
	int64_t made = admin_get_int(c->data, "checks"), passed = admin_get_int(c->data, "passed");
	json_array_foreach(json_object_get(c->data, "findings"), i, o)
		print_finding(c, o);
	json_array_foreach(json_object_get(c->data, "areas"), i, o) {
		int64_t a = admin_get_int(o, "checks"), p = admin_get_int(o, "passed");
		char cell[16];
		snprintf(cell, sizeof cell, "%-9s", admin_get_text(o, "area"));
		buf_puts(&c->text, cell);
		buf_printf(&c->text, " %4jd of %4jd passed", (intmax_t)p, (intmax_t)a);
		if (*admin_get_text(o, "skipped")) {
			buf_puts(&c->text, "; not looked at: ");
			admin_clean(&c->text, slice_str(admin_get_text(o, "skipped")));
		}
		buf_putc(&c->text, '\n');
	}
	bool fine = made == passed;
	buf_printf(&c->text, "%jd check%s made, ", (intmax_t)made, made == 1 ? "" : "s");
	char words[40];
	snprintf(words, sizeof words, "%jd passed", (intmax_t)passed);
	admin_styled(&c->text, c->color, fine ? ADMIN_GOOD : ADMIN_BOLD, slice_str(words));
	if (!fine) {
		count(c, admin_get_int(c->data, "errors"), "error");
		count(c, admin_get_int(c->data, "warnings"), "warning");
		count(c, admin_get_int(c->data, "notes"), "note");
	}
	buf_putc(&c->text, '\n');
}

const struct admin_handler admin_check_handler = {run, print};
