/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of the policy: the sections, what the store holds as a document, and a document's objects as values and requests. */
#include "admin/document_int.h"

#include <string.h>
#include "admin/args.h"
#include "admin/call.h"
#include "base/arena.h"
#include "base/enc.h"
#include "store/store_set.h"

enum { MEMORY = 64 << 20, VALUE_MAX = 1 << 20 };

#define FEDERATION(kind, table) DOCUMENT_OBJECTS, kind, table
const struct document_section document_sections[] = {
	{"access-edge", "access-edge", DOCUMENT_ACCESS, STORE_ACCESS_EDGE, POLICY_TABLE_ACCESS, NULL, DOCUMENT_TEXT},
	{"xmpp-partners", "xmpp-partner", DOCUMENT_PARTNERS, .key = "domain", .key_type = DOCUMENT_DOMAIN},
	{"blocked-domains", "blocked-domain", DOCUMENT_BLOCKED, .key = "domain", .key_type = DOCUMENT_DOMAIN},
	{"allowed-domains", "allowed-domain", FEDERATION(STORE_ALLOWED_DOMAIN, POLICY_TABLE_ALLOWED), "domain", DOCUMENT_DOMAIN},
	{"hosting-providers", "hosting-provider", FEDERATION(STORE_HOSTING_PROVIDER, POLICY_TABLE_PROVIDER), "name", DOCUMENT_TEXT},
	{"public-providers", "public-provider", FEDERATION(STORE_PUBLIC_PROVIDER, POLICY_TABLE_PROVIDER), "name", DOCUMENT_TEXT},
	{"external-access", "external-access", FEDERATION(STORE_EXTERNAL_ACCESS, POLICY_TABLE_EXTERNAL), "name", DOCUMENT_TEXT},
	{"users", "user", FEDERATION(STORE_USER, POLICY_TABLE_USER), "address", DOCUMENT_TEXT},
};
const size_t document_n_sections = sizeof document_sections / sizeof *document_sections;

/* As the options of `entente partner xmpp add`. */
static const struct document_field partner_fields[] = {
	{"type", DOCUMENT_WORD, NULL, "federated|public-verified|public-unverified", 0, 0},
	{"enabled", DOCUMENT_BOOL, "true", NULL, 0, 0},
	{"additional-domains", DOCUMENT_PATTERNS, "", NULL, 0, POLICY_ADDITIONAL_MAX},
	{"tls", DOCUMENT_WORD, "required", "required|optional|not-supported", 0, 0},
	{"sasl", DOCUMENT_WORD, "optional", "required|optional|not-supported", 0, 0},
	{"dialback", DOCUMENT_BOOL, "true", NULL, 0, 0},
	{"server", DOCUMENT_SERVER, "", NULL, 0, 0},
	{"connection-limit", DOCUMENT_UINT, "0", NULL, 0, 100000},
	{"keep-alive", DOCUMENT_BOOL, "true", NULL, 0, 0},
	{"protocol", DOCUMENT_WORD, "xmpp", "xmpp|sip|xmpp-first|sip-first", 0, 0},
	{"client-certificate", DOCUMENT_WORD, "client", "client|server|none", 0, 0},
	{"pins", DOCUMENT_PINS, "", NULL, 0, POLICY_PINS_MAX},
	{"pin-mode", DOCUMENT_WORD, "alarm", "alarm|block", 0, 0},
	{"dane", DOCUMENT_BOOL, "true", NULL, 0, 0},
	{"delegation", DOCUMENT_BOOL, "false", NULL, 0, 0},
	{"description", DOCUMENT_TEXT, "", NULL, 0, POLICY_DESCRIPTION_MAX},
};
static const struct document_field blocked_fields[] = {{"comment", DOCUMENT_TEXT, "", NULL, 0, 1024}};

bool document_is_list(enum document_type t)
{
	return t == DOCUMENT_DOMAINS || t == DOCUMENT_PATTERNS || t == DOCUMENT_PINS;
}

size_t document_fields(const struct document_section *s, struct document_field ret[DOCUMENT_FIELDS_MAX])
{
	static const enum document_type types[] = {
		[POLICY_FIELD_BOOL] = DOCUMENT_BOOL, [POLICY_FIELD_UINT] = DOCUMENT_UINT, [POLICY_FIELD_VERIFICATION] = DOCUMENT_WORD,
		[POLICY_FIELD_ROUTING] = DOCUMENT_WORD, [POLICY_FIELD_FQDN] = DOCUMENT_DOMAIN, [POLICY_FIELD_DOMAINS] = DOCUMENT_DOMAINS,
		[POLICY_FIELD_TEXT] = DOCUMENT_TEXT};
	size_t n;
	if (s->what == DOCUMENT_PARTNERS || s->what == DOCUMENT_BLOCKED) {
		n = s->what == DOCUMENT_PARTNERS ? sizeof partner_fields / sizeof *partner_fields : 1;
		for (size_t i = 0; i < n; i++)
			ret[i] = s->what == DOCUMENT_PARTNERS ? partner_fields[i] : blocked_fields[i];
		return n;
	}
	const struct policy_field *f = policy_fields(s->table, &n);
	for (size_t i = 0; i < n && i < DOCUMENT_FIELDS_MAX; i++)
		ret[i] = (struct document_field){f[i].name, types[f[i].type], f[i].def,
						 f[i].type == POLICY_FIELD_ROUTING	  ? "dns-srv|default"
						 : f[i].type == POLICY_FIELD_VERIFICATION ? "always-verifiable|always-unverifiable|use-source-verification"
											  : NULL,
						 f[i].min, f[i].max};
	return n;
}

/* Text, as the tables and the store have it, to JSON. */
static json_t *value_of(const struct document_field *f, struct slice text)
{
	uint64_t n = 0;
	if (f->type == DOCUMENT_BOOL)
		return json_boolean(slice_ieq(text, S("true")) || slice_ieq(text, S("yes")));
	if (f->type == DOCUMENT_UINT) {
		slice_u64(text, INT64_MAX, &n);
		return json_integer((json_int_t)n);
	}
	if (!document_is_list(f->type))
		return admin_json_text(text);
	json_t *list = json_array();
	while (text.len) {
		struct slice one = slice_split(&text, ' ');
		if (one.len)
			json_array_append_new(list, admin_json_text(one));
	}
	return list;
}

json_t *document_default(const struct document_field *f)
{
	return value_of(f, slice_str(f->def ? f->def : ""));
}

json_t *admin_document_object(json_t *document, const char *section, const char *key)
{
	json_t *list = json_object_get(document, section), *o;
	size_t low = 0, high = json_array_size(list);
	const char *name = NULL;
	for (size_t i = 0; i < document_n_sections; i++)
		if (!strcmp(document_sections[i].name, section))
			name = document_sections[i].key;
	if (json_is_object(list))
		return list;
	while (name && low < high) { /* it is sorted */
		size_t middle = (low + high) / 2;
		o = json_array_get(list, middle);
		int c = strcmp(json_string_value(json_object_get(o, name)), key);
		if (!c)
			return o;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *admin_document_section(const char *kind)
{
	for (size_t i = 0; i < document_n_sections; i++)
		if (!strcmp(document_sections[i].kind, kind))
			return document_sections[i].name;
	return NULL;
}

/* ---- from the store */

static json_t *partner_json(const struct policy_partner *p)
{
	json_t *o = json_object(), *additional = json_array(), *pins = json_array();
	char server[POLICY_DOMAIN_MAX + 16] = "";
	for (size_t i = 0; i < p->n_additional; i++)
		json_array_append_new(additional, admin_json_text(p->additional[i]));
	for (size_t i = 0; i < p->n_pins; i++) {
		struct buf b;
		buf_init(&b, 128);
		policy_pin_print(&b, &p->pins[i]);
		json_array_append_new(pins, admin_json_text(buf_slice(&b)));
		buf_free(&b);
	}
	if (!slice_empty(p->server_host)) {
		bool v6 = slice_find_chr(p->server_host, ':') >= 0 && p->server_port;
		snprintf(server, sizeof server, p->server_port ? "%s%.*s%s:%u" : "%s%.*s%s", v6 ? "[" : "", SFMT(p->server_host), v6 ? "]" : "",
			 p->server_port);
	}
	admin_set_text(o, "domain", p->domain);
	json_object_set_new(o, "type", json_string(policy_partner_type_name(p->type)));
	json_object_set_new(o, "enabled", json_boolean(p->enabled));
	json_object_set_new(o, "additional-domains", additional);
	json_object_set_new(o, "tls", json_string(policy_negotiation_name(p->tls)));
	json_object_set_new(o, "sasl", json_string(policy_negotiation_name(p->sasl)));
	json_object_set_new(o, "dialback", json_boolean(p->dialback));
	json_object_set_new(o, "server", json_string(server));
	json_object_set_new(o, "connection-limit", json_integer(p->connection_limit));
	json_object_set_new(o, "keep-alive", json_boolean(p->keep_alive));
	json_object_set_new(o, "protocol", json_string(policy_protocol_name(p->protocol)));
	json_object_set_new(o, "client-certificate", json_string(policy_own_certificate_name(p->own_certificate)));
	json_object_set_new(o, "pins", pins);
	json_object_set_new(o, "pin-mode", json_string(policy_pin_mode_name(p->pin_mode)));
	json_object_set_new(o, "dane", json_boolean(p->dane));
	json_object_set_new(o, "delegation", json_boolean(p->delegation));
	admin_set_text(o, "description", p->description);
	return o;
}

static int partner_each(void *arg, const struct policy_partner *p)
{
	json_array_append_new(json_object_get(arg, "xmpp-partners"), partner_json(p));
	return 0;
}

static int block_each(void *arg, const struct store_block *b)
{
	json_t *o = json_object();
	admin_set_text(o, "domain", b->domain);
	admin_set_text(o, "comment", b->comment);
	json_array_append_new(json_object_get(arg, "blocked-domains"), o);
	return 0;
}

/* The "name=value" lines of the store, over the defaults. */
static void fields_set(const struct document_section *s, json_t *o, struct slice lines)
{
	struct document_field f[DOCUMENT_FIELDS_MAX];
	size_t n = document_fields(s, f);
	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, f[i].name, document_default(&f[i]));
	while (lines.len) {
		struct slice value = slice_split(&lines, '\n'), name = slice_split(&value, '=');
		for (size_t i = 0; i < n; i++)
			if (slice_eq(slice_str(f[i].name), name))
				json_object_set_new(o, f[i].name, value_of(&f[i], value.p ? value : S("")));
	}
}

static int object_each(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	for (size_t i = 0; i < document_n_sections; i++) {
		const struct document_section *s = &document_sections[i];
		if ((s->what != DOCUMENT_ACCESS && s->what != DOCUMENT_OBJECTS) || s->store != kind)
			continue;
		json_t *o = s->key ? json_object() : json_object_get(arg, s->name);
		if (s->key)
			admin_set_text(o, s->key, key);
		fields_set(s, o, fields);
		if (s->key)
			json_array_append_new(json_object_get(arg, s->name), o);
	}
	return 0;
}

static const char *sort_key;

static int by_key(const void *a, const void *b)
{
	return strcmp(json_string_value(json_object_get(*(json_t *const *)a, sort_key)), json_string_value(json_object_get(*(json_t *const *)b, sort_key)));
}

static void sort(json_t *list, const char *key)
{
	size_t n = json_array_size(list), i;
	json_t **all = calloc(n + 1, sizeof *all), *one;
	if (!all)
		abort();
	json_array_foreach(list, i, one)
		all[i] = json_incref(one);
	sort_key = key;
	qsort(all, n, sizeof(json_t *), by_key);
	json_array_clear(list);
	for (i = 0; i < n; i++)
		json_array_append_new(list, all[i]);
	free(all);
}

void document_sort(json_t *document)
{
	for (size_t i = 0; i < document_n_sections; i++)
		if (document_sections[i].key)
			sort(json_object_get(document, document_sections[i].name), document_sections[i].key);
}

int admin_document_load(json_t **ret, struct store *s, struct entente_err *err)
{
	json_t *d = json_pack("{s:s}", "format", ADMIN_DOCUMENT_FORMAT);
	for (size_t i = 0; i < document_n_sections; i++) {
		const struct document_section *section = &document_sections[i];
		json_t *o = section->key ? json_array() : json_object();
		if (!section->key)
			fields_set(section, o, S(""));
		json_object_set_new(d, section->name, o);
	}
	int rc = store_load_policy(s, partner_each, block_each, d, NULL, err);
	if (!rc)
		rc = store_load_federation(s, object_each, d, err);
	if (rc) {
		json_decref(d);
		return rc;
	}
	document_sort(d); /* the store's order is that of its own keys */
	*ret = d;
	return 0;
}

/* ---- to values */

static struct slice text_of(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);
	return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : S("");
}

bool document_partner(struct arena *a, json_t *o, struct policy_partner *p)
{
	json_t *list = json_object_get(o, "additional-domains"), *pins = json_object_get(o, "pins"), *one;
	struct slice *additional = arena_alloc(a, (json_array_size(list) + 1) * sizeof *additional);
	struct policy_pin *pin = arena_alloc(a, (json_array_size(pins) + 1) * sizeof *pin);
	struct admin_server server;
	size_t i;
	bool ok = additional && pin;
	*p = (struct policy_partner){.domain = text_of(o, "domain")};
	policy_partner_defaults(p);
	json_array_foreach(list, i, one)
		additional[i] = slice_of(json_string_value(one), json_string_length(one));
	p->additional = additional;
	p->n_additional = json_array_size(list);
	json_array_foreach(pins, i, one)
		ok = policy_pin_parse(&pin[i], slice_str(json_string_value(one))) && ok;
	p->pins = pin;
	p->n_pins = json_array_size(pins);
	ok = policy_partner_type_parse(&p->type, text_of(o, "type")) && policy_negotiation_parse(&p->tls, text_of(o, "tls")) &&
	     policy_negotiation_parse(&p->sasl, text_of(o, "sasl")) && policy_own_certificate_parse(&p->own_certificate, text_of(o, "client-certificate")) &&
	     policy_pin_mode_parse(&p->pin_mode, text_of(o, "pin-mode")) && policy_protocol_parse(&p->protocol, text_of(o, "protocol")) && ok;
	p->enabled = json_is_true(json_object_get(o, "enabled"));
	p->dialback = json_is_true(json_object_get(o, "dialback"));
	p->keep_alive = json_is_true(json_object_get(o, "keep-alive"));
	p->dane = json_is_true(json_object_get(o, "dane"));
	p->delegation = json_is_true(json_object_get(o, "delegation"));
	p->connection_limit = (uint32_t)admin_get_int(o, "connection-limit");
	p->description = text_of(o, "description");
	if (!slice_empty(text_of(o, "server"))) {
		ok = admin_server_parse(&server, text_of(o, "server")) && ok;
		p->server_host = ok ? arena_dup(a, policy_domain_slice(&server.host)) : S("");
		p->server_port = ok ? server.port : 0;
	}
	return ok;
}

/* As the store has it. */
static struct slice as_text(struct arena *a, json_t *v)
{
	struct slice all = S("");
	json_t *one;
	size_t i;
	if (json_is_boolean(v))
		return json_is_true(v) ? S("true") : S("false");
	if (json_is_integer(v))
		return arena_printf(a, "%lld", (long long)json_integer_value(v));
	if (json_is_string(v))
		return slice_of(json_string_value(v), json_string_length(v));
	json_array_foreach(v, i, one)
		all = arena_printf(a, "%.*s%s%s", SFMT(all), i ? " " : "", json_string_value(one));
	return all;
}

int document_object(struct arena *a, const struct document_section *s, json_t *object, union document_object *ret, struct entente_err *err)
{
	size_t n;
	const struct policy_field *f = policy_fields(s->table, &n);
	int rc = 0;
	memset(ret, 0, sizeof *ret);
	policy_fields_defaults(s->table, ret);
	for (size_t i = 0; i < n && !rc; i++)
		rc = policy_field_set(&f[i], ret, as_text(a, json_object_get(object, f[i].name)), err);
	if (s->table == POLICY_TABLE_PROVIDER) {
		ret->provider.name = text_of(object, s->key);
		ret->provider.kind = s->store == STORE_HOSTING_PROVIDER ? POLICY_HOSTING : POLICY_PUBLIC;
		rc = rc ? rc : policy_provider_check(&ret->provider, err);
	}
	return rc;
}

/* ---- differences */

static json_t *fields_diff(const struct document_section *s, json_t *from, json_t *to)
{
	struct document_field f[DOCUMENT_FIELDS_MAX];
	size_t n = document_fields(s, f);
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *a = json_object_get(from, f[i].name), *b = json_object_get(to, f[i].name), *one;
		if (a && b && json_equal(a, b))
			continue;
		one = json_pack("{s:s}", "field", f[i].name);
		if (a)
			json_object_set(one, "from", a);
		if (b)
			json_object_set(one, "to", b);
		json_array_append_new(list, one);
	}
	return list;
}

static void differ(json_t *ret, const struct document_section *s, const char *key, json_t *from, json_t *to)
{
	json_t *fields = fields_diff(s, from, to);
	const char *change = !from ? "add" : !to ? "remove" : "set";
	if ((from && to && !json_array_size(fields)) || (!from && !to)) {
		json_decref(fields);
		return;
	}
	json_array_append_new(ret, json_pack("{s:s s:s s:s s:o}", "section", s->name, "key", key, "change", change, "fields", fields));
}

json_t *admin_document_diff(json_t *from, json_t *to, bool merge)
{
	json_t *ret = json_array();
	for (size_t i = 0; i < document_n_sections; i++) {
		const struct document_section *s = &document_sections[i];
		json_t *a = json_object_get(from, s->name), *b = json_object_get(to, s->name);
		if (!b)
			continue;
		if (!s->key) {
			differ(ret, s, "", a, b);
			continue;
		}
		/* both are sorted: one walk */
		for (size_t x = 0, y = 0; x < json_array_size(a) || y < json_array_size(b);) {
			json_t *p = json_array_get(a, x), *q = json_array_get(b, y);
			const char *kp = json_string_value(json_object_get(p, s->key)), *kq = json_string_value(json_object_get(q, s->key));
			int c = !q ? -1 : !p ? 1 : strcmp(kp, kq);
			if (c > 0 || !c || !merge)
				differ(ret, s, c > 0 ? kq : kp, c > 0 ? NULL : p, c < 0 ? NULL : q);
			x += c <= 0;
			y += c >= 0;
		}
	}
	return ret;
}

static void value_print(struct buf *out, json_t *v)
{
	json_t *one;
	size_t i;
	if (json_is_array(v)) {
		buf_putc(out, '[');
		json_array_foreach(v, i, one) {
			buf_puts(out, i ? ", " : "");
			admin_clean(out, slice_str(json_string_value(one)));
		}
		buf_putc(out, ']');
	} else if (json_is_string(v) && !json_string_length(v)) {
		buf_puts(out, "\"\"");
	} else if (json_is_boolean(v)) {
		buf_puts(out, json_is_true(v) ? "true" : "false");
	} else {
		admin_value_put(out, v);
	}
}

void admin_document_change_print(struct buf *out, json_t *change)
{
	const char *key = admin_get_text(change, "key"), *how = admin_get_text(change, "change");
	json_t *f;
	size_t i;
	buf_puts(out, admin_get_text(change, "section"));
	if (*key) {
		buf_putc(out, ' ');
		admin_clean(out, slice_str(key));
	}
	buf_printf(out, ": %s", how);
	json_array_foreach(json_object_get(change, "fields"), i, f) {
		json_t *from = json_object_get(f, "from"), *to = json_object_get(f, "to");
		if (!strcmp(how, "remove"))
			break;
		buf_printf(out, "%s %s ", i ? "," : "", admin_get_text(f, "field"));
		if (from) {
			value_print(out, from);
			buf_puts(out, " -> ");
		}
		value_print(out, to);
	}
}

/* ---- to requests */

static const struct document_section *section_of(json_t *change)
{
	for (size_t i = 0; i < document_n_sections; i++)
		if (!strcmp(document_sections[i].name, admin_get_text(change, "section")))
			return &document_sections[i];
	return NULL;
}

static bool changes_field(json_t *change, const char *field)
{
	json_t *f;
	size_t i;
	json_array_foreach(json_object_get(change, "fields"), i, f)
		if (!strcmp(admin_get_text(f, "field"), field))
			return true;
	return false;
}

/* Domains may move from one partner to another, in rings, too: who gives or gets one is taken out first and put in again. */
static bool goes_first(const struct document_section *s, json_t *change)
{
	const char *how = admin_get_text(change, "change");
	return !strcmp(how, "remove") || (!strcmp(how, "set") && (s->what == DOCUMENT_BLOCKED || (s->what == DOCUMENT_PARTNERS && changes_field(change, "additional-domains"))));
}

static int take_out(struct store *c, const struct document_section *s, struct slice key, struct slice who)
{
	switch (s->what) {
	case DOCUMENT_PARTNERS: return store_partner_remove(c, key, who, NULL, NULL);
	case DOCUMENT_BLOCKED: return store_block_remove(c, key, who, NULL, NULL);
	case DOCUMENT_ACCESS: return 0; /* it is never gone */
	default: return store_federation_remove(c, s->store, key, who, NULL, NULL);
	}
}

/* What the history says of it, as the commands write it: "add proxy-fqdn=sip.example". */
static struct slice what_of(struct arena *a, json_t *change)
{
	struct slice all = slice_str(admin_get_text(change, "change"));
	json_t *f;
	size_t i;
	json_array_foreach(json_object_get(change, "fields"), i, f)
		all = arena_printf(a, "%.*s %s=%.*s", SFMT(all), admin_get_text(f, "field"), SFMT(as_text(a, json_object_get(f, "to"))));
	return utf8_first(all, 1000); /* the store takes no half character */
}

static int put_in(struct store *c, const struct document_section *s, struct slice key, json_t *change, json_t *object, struct slice who, struct arena *a,
		  struct entente_err *err)
{
	struct policy_partner p;
	union document_object o;
	struct buf fields;
	if (s->what == DOCUMENT_PARTNERS) {
		if (!document_partner(a, object, &p))
			return ENTENTE_EINVAL;
		return goes_first(s, change) || !strcmp(admin_get_text(change, "change"), "add") ? store_partner_add(c, &p, who, NULL, NULL)
												  : store_partner_set(c, &p, who, NULL, NULL);
	}
	if (s->what == DOCUMENT_BLOCKED)
		return store_block_add(c, key, text_of(object, "comment"), who, NULL, NULL);
	int rc = document_object(a, s, object, &o, err);
	if (rc)
		return rc;
	buf_init(&fields, VALUE_MAX);
	policy_fields_write(s->table, &o, &fields);
	rc = store_federation_put(c, s->store, key, buf_slice(&fields), who, what_of(a, change), NULL, NULL);
	buf_free(&fields);
	return rc;
}

int admin_document_requests(struct store *collector, json_t *changes, json_t *to, struct slice who, struct entente_err *err)
{
	struct arena *a = arena_new(MEMORY);
	json_t *change;
	size_t i;
	int rc = 0;
	for (int phase = 0; phase < 2; phase++)
		json_array_foreach(changes, i, change) {
			const struct document_section *s = section_of(change);
			const char *key = admin_get_text(change, "key");
			bool gone = !strcmp(admin_get_text(change, "change"), "remove");
			if (rc || !s || (phase ? gone : !goes_first(s, change)))
				continue;
			*err = (struct entente_err){0};
			arena_reset(a);
			rc = phase ? put_in(collector, s, slice_str(key), change, admin_document_object(to, s->name, key), who, a, err)
				   : take_out(collector, s, slice_str(key), who);
			if (rc && !*err->text)
				err_set(err, rc, REASON_NONE, "%s %s has a value that the database does not take", s->name, key);
		}
	arena_release(NULL, a);
	return rc;
}
