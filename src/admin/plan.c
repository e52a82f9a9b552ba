/* SPDX-License-Identifier: Apache-2.0 */
/* The commands `entente plan ...`: need a configuration file, no daemon. */
#include "admin/call.h"
#include "plan/handout.h"
#include "plan/site.h"

enum { ARENA_MAX = 8 << 20, TEXT_MAX = 4 << 20 };

struct planning {
	struct arena *arena;
	struct config *config;
	struct plan_site site;
	struct plan plan;
};

static json_t *certificates(const struct plan *p)
{
	static const char *const usage[] = {[PLAN_EXTERNAL] = "external", [PLAN_CLIENT] = "client", [PLAN_INTERNAL] = "internal"};
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_certificates; i++) {
		const struct plan_certificate *c = &p->certificates[i];
		json_t *names = json_array();
		for (size_t k = 0; k < c->n_names; k++)
			json_array_append_new(names, admin_json_text(c->names[k]));
		json_array_append_new(list, json_pack("{s:s s:o s:o s:o s:o}", "usage", usage[c->usage], "subject", admin_json_text(c->subject),
						      "names", names, "purposes",
						      c->client_eku ? json_pack("[ss]", "serverAuth", "clientAuth") : json_pack("[s]", "serverAuth"),
						      "issuer", admin_json_text(c->issuer)));
		if (c->note.len)
			admin_set_text(json_array_get(list, i), "note", c->note);
	}
	return list;
}

static json_t *records(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_records; i++) {
		const struct plan_record *r = &p->records[i];
		json_t *o = json_pack("{s:s s:o s:o s:o s:o}", "type", plan_record_type_text(r->type), "name", admin_json_text(r->name),
				      "zone", admin_json_text(r->zone), "target", admin_json_text(r->target), "purpose",
				      admin_json_text(r->purpose));
		if (r->type == PLAN_SRV) {
			json_object_set_new(o, "priority", json_integer(r->priority));
			json_object_set_new(o, "weight", json_integer(r->weight));
			json_object_set_new(o, "port", json_integer(r->port));
		}
		json_object_set_new(o, "internal", json_boolean(r->internal));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *ports(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct plan_port *o = &p->ports[i];
		json_array_append_new(list, json_pack("{s:s s:s s:o s:o s:i s:o s:o s:o}", "direction", o->inbound ? "in" : "out", "side",
						      o->internal ? "internal" : "external", "protocol", admin_json_text(o->protocol),
						      "transport", admin_json_text(o->transport), "port", (int)o->port, "source",
						      admin_json_text(o->source), "destination", admin_json_text(o->destination), "purpose",
						      admin_json_text(o->purpose)));
	}
	return list;
}

static json_t *warnings(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_warnings; i++)
		json_array_append_new(list, json_pack("{s:s s:o}", "id", p->warnings[i].id, "text", admin_json_text(p->warnings[i].text)));
	return list;
}

void admin_plan_data(json_t *data, const struct plan *p)
{
	json_object_set_new(data, "certificates", certificates(p));
	json_object_set_new(data, "records", records(p));
	json_object_set_new(data, "ports", ports(p));
	json_object_set_new(data, "warnings", warnings(p));
}

/* ---- formats of other programs */

static bool format_text(struct buf *out, const struct planning *p, enum admin_id what, struct slice format)
{
	static const struct {
		const char *name;
		enum plan_dns_format format;
	} dns[] = {{"bind", PLAN_DNS_BIND}, {"nsupdate", PLAN_DNS_NSUPDATE}, {"aws", PLAN_DNS_AWS}, {"azure", PLAN_DNS_AZURE}, {"gcloud", PLAN_DNS_GCLOUD}};
	for (size_t i = 0; what == ADMIN_CMD_PLAN_DNS && i < sizeof dns / sizeof *dns; i++)
		if (slice_eq(format, slice_str(dns[i].name))) {
			plan_dns_print(out, &p->plan, dns[i].format);
			return true;
		}
	if (what == ADMIN_CMD_PLAN_PORTS && slice_eq(format, S("nftables"))) {
		plan_nftables_print(out, &p->plan);
		return true;
	}
	if (what == ADMIN_CMD_PLAN_CERTIFICATES && slice_eq(format, S("openssl"))) {
		for (size_t i = 0; i < p->plan.n_certificates; i++)
			plan_openssl_print(out, &p->plan.certificates[i]);
		return true;
	}
	return false;
}

/* ---- run */

int admin_site_add(const struct admin_call *c, struct plan_site *site, struct arena *a)
{
	size_t n;
	struct slice *domains = admin_arg_texts(c, "domain", a, &n);
	int rc = domains ? 0 : ENTENTE_ELIMIT;
	for (size_t i = 0; i < n && !rc; i++)
		rc = plan_site_add_domain(site, a, domains[i]);
	site->addresses = admin_arg_texts(c, "address", a, &site->n_addresses);
	return site->addresses ? rc : ENTENTE_ELIMIT;
}

static int unknown_software(struct admin_call *c)
{
	struct admin_nearest near;
	struct slice word = admin_arg_text(c, "for");
	char hint[200] = "it may be one of:";
	admin_nearest_init(&near, word);
	for (size_t i = 0, n = strlen(hint); i < plan_software_count() && n < sizeof hint; i++) {
		admin_nearest_try(&near, plan_software(i)->id);
		n += (size_t)snprintf(hint + n, sizeof hint - n, " %s", plan_software(i)->id);
	}
	if (near.best)
		snprintf(hint, sizeof hint, "did you mean '%s'?", near.best);
	return admin_fail(c, ADMIN_EXIT_USAGE, "usage", hint, "there is no page for '%.*s'", SFMT(slice_first(word, 40)));
}

static int run(struct admin_call *c)
{
	int exit = ADMIN_EXIT_OK;
	struct planning p = {.config = admin_config_load(c, &exit)};
	if (!p.config)
		return exit;
	p.arena = arena_new(ARENA_MAX);
	int rc = plan_site_config(&p.site, p.arena, p.config);
	if (!rc)
		rc = admin_site_add(c, &p.site, p.arena);
	p.site.sip_federation |= admin_arg_bool(c, "sip-federation", false);
	p.site.load_balancer = admin_arg_text(c, "load-balancer");
	p.site.sip_client_eku = admin_arg_bool(c, "client-eku", false);
	if (!rc)
		rc = plan_make(&p.plan, p.arena, &p.site);
	if (rc == ENTENTE_EINVAL) {
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "no-domains", "name them: --domain contoso.example --domain ...",
				  "the configuration names no domain of ours: an edge learns them from its gateway");
	} else if (rc) {
		exit = admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "limit", NULL, "more domains or addresses than can be planned for (%d and %d)",
				  PLAN_DOMAINS_MAX, PLAN_ADDRESSES_MAX);
	} else {
		enum admin_id id = c->command->id;
		bool all = id == ADMIN_CMD_PLAN_ALL;
		struct slice format = admin_arg_text(c, "format");
		struct buf text;
		buf_init(&text, TEXT_MAX);
		if (all || id == ADMIN_CMD_PLAN_CERTIFICATES)
			json_object_set_new(c->data, "certificates", certificates(&p.plan));
		if (all || id == ADMIN_CMD_PLAN_DNS)
			json_object_set_new(c->data, "records", records(&p.plan));
		if (all || id == ADMIN_CMD_PLAN_PORTS)
			json_object_set_new(c->data, "ports", ports(&p.plan));
		json_object_set_new(c->data, "warnings", warnings(&p.plan));
		if (format_text(&text, &p, id, format))
			admin_set_text(c->data, "text", buf_slice(&text));
		else if (id == ADMIN_CMD_PLAN_HANDOUT && plan_handout_print(&text, &p.site, &p.plan, admin_arg_text(c, "for")))
			admin_set_text(c->data, "text", buf_slice(&text));
		else if (id == ADMIN_CMD_PLAN_HANDOUT)
			exit = unknown_software(c);
		buf_free(&text);
	}
	arena_release(NULL, p.arena);
	config_free(p.config);
	return exit;
}

/* ---- for people */

static void heading(struct admin_call *c, const char *title)
{
	if (buf_slice(&c->text).len)
		buf_putc(&c->text, '\n');
	admin_styled(&c->text, c->color, ADMIN_BOLD, slice_str(title));
	buf_putc(&c->text, '\n');
}

static void cells(struct admin_table *t, json_t *row, const char *const members[])
{
	for (size_t i = 0; members[i]; i++) {
		json_t *v = json_object_get(row, members[i]);
		if (json_is_integer(v))
			admin_table_cell_int(t, json_integer_value(v));
		else
			admin_table_cell(t, slice_str(admin_get_text(row, members[i])));
	}
}

static void table(struct admin_call *c, json_t *list, const struct admin_table_column *columns, size_t n, const char *const members[])
{
	struct admin_table *t = admin_table_new(columns, n);
	json_t *row;
	size_t i;
	json_array_foreach(list, i, row)
		cells(t, row, members);
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}

static void print_certificates(struct admin_call *c, json_t *list)
{
	json_t *o, *name;
	size_t i, k;
	heading(c, "Certificates");
	json_array_foreach(list, i, o) {
		buf_printf(&c->text, "%s certificate, from %s\n  subject   CN=%s\n  purposes  serverAuth%s\n", admin_get_text(o, "usage"),
			   admin_get_text(o, "issuer"), admin_get_text(o, "subject"),
			   json_array_size(json_object_get(o, "purposes")) > 1 ? ", clientAuth" : "");
		json_array_foreach(json_object_get(o, "names"), k, name)
			buf_printf(&c->text, "  %-9s %s\n", k ? "" : "names", json_string_value(name));
		if (*admin_get_text(o, "note"))
			buf_printf(&c->text, "  mind      %s\n", admin_get_text(o, "note"));
	}
}

void admin_plan_print(struct admin_call *c)
{
	static const struct admin_table_column dns[] = {{"TYPE", 0}, {"NAME", 0}, {"PRIO", ADMIN_TABLE_RIGHT}, {"WEIGHT", ADMIN_TABLE_RIGHT},
							{"PORT", ADMIN_TABLE_RIGHT}, {"TARGET", 0}, {"PURPOSE", ADMIN_TABLE_FLEX}};
	static const char *const dns_members[] = {"type", "name", "priority", "weight", "port", "target", "purpose", NULL};
	static const struct admin_table_column port[] = {{"DIR", 0}, {"SIDE", 0}, {"PROTOCOL", 0}, {"PORT", ADMIN_TABLE_RIGHT}, {"IP", 0}, {"FROM", 0},
							 {"TO", 0}, {"PURPOSE", ADMIN_TABLE_FLEX}};
	static const char *const port_members[] = {"direction", "side", "protocol", "port", "transport", "source", "destination", "purpose", NULL};
	json_t *o, *list;
	size_t i;
	if (json_object_get(c->data, "text")) {
		buf_puts(&c->text, admin_get_text(c->data, "text"));
		return;
	}
	if ((list = json_object_get(c->data, "certificates")))
		print_certificates(c, list);
	if ((list = json_object_get(c->data, "records"))) {
		heading(c, "DNS records");
		table(c, list, dns, sizeof dns / sizeof *dns, dns_members);
	}
	if ((list = json_object_get(c->data, "ports"))) {
		heading(c, "Ports");
		table(c, list, port, sizeof port / sizeof *port, port_members);
	}
	json_array_foreach(json_object_get(c->data, "warnings"), i, o) {
		if (!i)
			heading(c, "Mind");
		buf_printf(&c->text, "  %s\n", admin_get_text(o, "id"));
		admin_wrap(&c->text, slice_str(admin_get_text(o, "text")), 4, c->width, true);
	}
}

const struct admin_handler admin_plan_handler = {run, admin_plan_print};
