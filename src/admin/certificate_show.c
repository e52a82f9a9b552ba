/* SPDX-License-Identifier: Apache-2.0 */
/* `entente certificate show`: what the files hold, against the plan; what the daemon knows of partners. */
#include "admin/certificate.h"

#include <dirent.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "config/config.h"
#include "plan/install.h"

enum { KEPT_MAX = 500 };

/* The leaf of a PEM file, and how many certificates follow. */
struct leaf {
	struct tls_peer *facts;
	char key[32];
	size_t chain;
};

static bool read_leaf(struct leaf *ret, const char *certificate, struct entente_err *err)
{
	struct buf b;
	struct slice text, body;
	ptrdiff_t at;
	*ret = (struct leaf){0};
	buf_init(&b, CERTIFICATE_FILE_MAX + 2 * 16384);
	if (plan_file_read(&b, certificate, CERTIFICATE_FILE_MAX, err) == 0) {
		text = buf_slice(&b);
		plan_key_kind(ret->key, text);
		for (body = text; (at = slice_find(body, S("-----BEGIN CERTIFICATE-----"))) >= 0; ret->chain++)
			body = slice_skip(body, (size_t)at + 11);
		if (!plan_leaf(&ret->facts, text))
			err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "%.200s: no certificate in PEM is in it", certificate);
	}
	buf_free(&b);
	return ret->facts != NULL;
}

/* ---- slots */

static json_t *slot_of(struct admin_call *c, const struct certificate_place *p, enum plan_slot s, bool *ret_attention)
{
	struct plan_slot_files f = plan_slot_files(p->config, s);
	json_t *o = json_pack("{s:s s:s}", "usage", plan_slot_name(s), "setting", f.certificate_setting), *list = json_array();
	struct config_errors errs = {0};
	struct entente_err err = {0};
	struct leaf leaf = {0};
	json_object_set_new(o, "findings", list);
	if (!*f.certificate) {
		if (s != PLAN_SLOT_SERVER) {
			json_object_set_new(o, "same_as", json_string(plan_slot_name(PLAN_SLOT_SERVER)));
		} else if (certificate_planned(p, s)) {
			json_array_append_new(list, json_pack("{s:s s:s}", "severity", "warning", "text",
							      "tls.certificate is not set: partners find no TLS. `entente certificate request` begins"));
			*ret_attention = true;
		}
		return o;
	}
	admin_set_text(o, "certificate", slice_str(f.certificate));
	admin_set_text(o, "key_file", slice_str(f.key));
	if (read_leaf(&leaf, f.certificate, &err)) {
		certificate_facts(o, leaf.facts);
		certificate_missing(o, leaf.facts, certificate_planned(p, s));
		json_object_set_new(o, "key", json_string(leaf.key));
		json_object_set_new(o, "chain", json_integer((json_int_t)leaf.chain));
		*ret_attention |= json_array_size(json_object_get(o, "missing")) > 0;
	}
	plan_slot_check(p->config, s, f.certificate, f.key, &errs);
	for (size_t i = 0; i < errs.n; i++) {
		json_t *e = json_pack("{s:s}", "severity", errs.list[i].warning ? "warning" : "error");
		admin_set_text(e, "text", slice_str(errs.list[i].text));
		json_array_append_new(list, e);
		/* that is how public certificates are now: worth a word, no reason to act */
		*ret_attention |= !errs.list[i].warning || !strstr(errs.list[i].text, "lacks clientAuth");
	}
	tls_peer_free(leaf.facts);
	(void)c;
	return o;
}

/* ---- what is kept */

static void add_kept(json_t *kept, const struct certificate_place *p, const char *file, json_t *slots)
{
	char path[CERTIFICATE_PATH_MAX];
	struct entente_err err;
	struct leaf leaf;
	json_t *o, *all, *assigned, *slot;
	size_t i;
	if (!certificate_path(path, p->shelf, file, "") || !read_leaf(&leaf, path, &err))
		return;
	all = json_object();
	assigned = json_array();
	certificate_facts(all, leaf.facts);
	json_array_foreach(slots, i, slot)
		if (!strcmp(admin_get_text(slot, "sha256"), admin_get_text(all, "sha256")))
			json_array_append(assigned, json_object_get(slot, "usage"));
	o = json_pack("{s:O s:O s:O s:O s:o}", "subject", json_object_get(all, "subject"), "not_after", json_object_get(all, "not_after"), "remaining",
		      json_object_get(all, "remaining"), "state", json_object_get(all, "state"), "assigned", assigned);
	admin_set_text(o, "certificate_name", slice_first(slice_str(file), strlen(file) - 4));
	json_array_append_new(kept, o);
	json_decref(all);
	tls_peer_free(leaf.facts);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void look_at_shelf(struct admin_call *c, const struct certificate_place *p, json_t *slots)
{
	json_t *kept = json_array(), *waiting = json_array();
	struct dirent **list = NULL;
	int n = scandir(p->shelf, &list, NULL, by_name);
	for (int i = 0; i < n; i++) {
		struct slice name = slice_str(list[i]->d_name);
		struct stat st;
		char path[CERTIFICATE_PATH_MAX];
		if (slice_ends(name, S(".pem")) && json_array_size(kept) < KEPT_MAX) {
			add_kept(kept, p, list[i]->d_name, slots);
		} else if (slice_ends(name, S("-request.csr")) && certificate_path(path, p->shelf, list[i]->d_name, "") && stat(path, &st) == 0) {
			json_t *o = json_object();
			admin_set_text(o, "usage", slice_first(name, name.len - 12));
			admin_set_text(o, "request_file", slice_str(path));
			json_object_set_new(o, "since", certificate_time(st.st_mtime));
			json_array_append_new(waiting, o);
		}
		free(list[i]);
	}
	free(list);
	json_object_set_new(c->data, "kept", kept);
	json_object_set_new(c->data, "waiting", waiting);
}

/* ---- the daemon's word */

static void ask(struct admin_call *c, json_t *slots)
{
	static const char *const words[] = {"certificate", "list", NULL};
	struct buf why;
	buf_init(&why, 4096);
	json_t *answer = admin_ask(c, words, NULL, &why), *data = json_object_get(answer, "data"), *slot, *own;
	size_t i, k;
	json_object_set_new(c->data, "partners", json_object_get(data, "partners") ? json_incref(json_object_get(data, "partners")) : json_array());
	json_array_foreach(slots, i, slot)
		json_array_foreach(json_object_get(data, "own"), k, own)
			if (*admin_get_text(slot, "sha256") && !strcmp(admin_get_text(slot, "usage"), admin_get_text(own, "usage")))
				json_object_set_new(slot, "in_force", json_boolean(!strcmp(admin_get_text(slot, "sha256"), admin_get_text(own, "sha256"))));
	json_decref(answer);
	buf_free(&why);
}

static int run(struct admin_call *c)
{
	struct certificate_place p;
	enum plan_slot only;
	json_t *slots = json_array();
	bool attention = false, one = plan_slot_parse(&only, admin_arg_text(c, "usage"));
	int exit = certificate_place_open(&p, c);
	json_object_set_new(c->data, "slots", slots);
	if (exit)
		goto out;
	for (int s = 0; s < PLAN_SLOT_COUNT; s++) {
		bool split = p.config->server_role != CONFIG_ALL || s != PLAN_SLOT_INTERNAL;
		if (one ? s == (int)only : split)
			json_array_append_new(slots, slot_of(c, &p, (enum plan_slot)s, &attention));
	}
	look_at_shelf(c, &p, slots);
	ask(c, slots);
	exit = attention ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
out:
	certificate_place_clear(&p);
	return exit;
}

/* ---- for people */

static enum admin_style style_of(const char *state)
{
	return !strcmp(state, "fine") || !strcmp(state, "renew") ? ADMIN_GOOD : ADMIN_BAD_STYLE;
}

static void print_life(struct admin_call *c, json_t *o)
{
	const char *state = admin_get_text(o, "state");
	buf_printf(&c->text, "  %-11s %s to %s, %.0f %% left, ", "valid", admin_get_text(o, "not_before"), admin_get_text(o, "not_after"),
		   100 * json_real_value(json_object_get(o, "remaining")));
	admin_styled(&c->text, c->color, style_of(state), slice_str(state));
	buf_putc(&c->text, '\n');
}

static void print_slot(struct admin_call *c, json_t *o)
{
	json_t *list = json_object_get(o, "findings"), *f, *force = json_object_get(o, "in_force");
	size_t i;
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(admin_get_text(o, "usage")));
	buf_printf(&c->text, " (%s)\n", admin_get_text(o, "setting"));
	if (*admin_get_text(o, "same_as"))
		buf_printf(&c->text, "  shows the certificate of the usage %s\n", admin_get_text(o, "same_as"));
	if (*admin_get_text(o, "certificate"))
		certificate_row(c, "file", json_object_get(o, "certificate"));
	if (*admin_get_text(o, "sha256")) {
		certificate_row(c, "subject", json_object_get(o, "subject"));
		certificate_row(c, "names", json_object_get(o, "names"));
		certificate_row(c, "issuer", json_object_get(o, "issuer"));
		print_life(c, o);
		certificate_row(c, "key", json_object_get(o, "key"));
		if (json_array_size(json_object_get(o, "purposes")))
			certificate_row(c, "purposes", json_object_get(o, "purposes"));
		certificate_row(c, "chain", json_object_get(o, "chain"));
		if (json_array_size(json_object_get(o, "missing")))
			certificate_row(c, "it lacks", json_object_get(o, "missing"));
		certificate_row(c, "pin", json_object_get(o, "pin"));
	}
	json_array_foreach(list, i, f)
		certificate_row(c, admin_get_text(f, "severity"), json_object_get(f, "text"));
	if (json_is_false(force))
		buf_puts(&c->text, "  warning     the daemon shows another certificate: `entente reload`\n");
	buf_putc(&c->text, '\n');
}

static void partners_table(struct admin_call *c, json_t *list)
{
	static const struct admin_table_column columns[] = {{"DOMAIN", 0}, {"PROTOCOL", 0}, {"UNTIL", 0}, {"LEFT", ADMIN_TABLE_RIGHT}, {"STATE", 0}, {"BELIEVED", 0}, {"ISSUER", ADMIN_TABLE_FLEX}};
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_t *o;
	size_t i;
	json_array_foreach(list, i, o) {
		char left[16];
		snprintf(left, sizeof left, "%.0f %%", 100 * json_real_value(json_object_get(o, "remaining")));
		admin_table_cell(t, slice_str(admin_get_text(o, "domain")));
		admin_table_cell(t, slice_str(admin_get_text(o, "protocol")));
		admin_table_cell(t, slice_str(admin_get_text(o, "not_after")));
		admin_table_cell(t, slice_str(left));
		admin_table_cell(t, slice_str(admin_get_text(o, "state")));
		admin_table_cell(t, json_is_true(json_object_get(o, "believed")) ? S("yes") : S("no"));
		admin_table_cell(t, slice_str(admin_get_text(o, "issuer")));
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

void admin_certificates_print_partners(struct admin_call *c, json_t *list)
{
	admin_styled(&c->text, c->color, ADMIN_BOLD, S("Partners"));
	buf_putc(&c->text, '\n');
	partners_table(c, list);
}

static void print(struct admin_call *c)
{
	json_t *list = json_object_get(c->data, "slots"), *o;
	size_t i;
	json_array_foreach(list, i, o)
		print_slot(c, o);
	list = json_object_get(c->data, "kept");
	json_array_foreach(list, i, o) {
		if (!i)
			buf_puts(&c->text, "Kept\n");
		buf_printf(&c->text, "  %s until %s, %s", admin_get_text(o, "certificate_name"), admin_get_text(o, "not_after"), admin_get_text(o, "state"));
		if (json_array_size(json_object_get(o, "assigned"))) {
			buf_puts(&c->text, ", assigned to ");
			admin_value_put(&c->text, json_object_get(o, "assigned"));
		}
		buf_putc(&c->text, '\n');
	}
	list = json_object_get(c->data, "waiting");
	json_array_foreach(list, i, o)
		buf_printf(&c->text, "%sWaiting for its certificate: %s, since %s\n", i ? "" : "\n", admin_get_text(o, "request_file"), admin_get_text(o, "since"));
	list = json_object_get(c->data, "partners");
	if (json_array_size(list)) {
		buf_putc(&c->text, '\n');
		admin_certificates_print_partners(c, list);
	}
}

const struct admin_handler admin_certificate_show = {run, print};
