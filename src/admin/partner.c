/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP partners: what the store holds is changed, what the snapshot holds is shown. */
#include <fnmatch.h>
#include "admin/admin_int.h"
#include "admin/args.h"
#include "base/arena.h"
#include "base/clock.h"
#include "policy/lookalike.h"
#include "policy/way.h"

enum { EDIT_MEMORY = 1 << 20 };

/* ---- a partner as data ---- */
static json_t *outcomes_json(const struct policy_partner *p, enum policy_negotiation_mode mode)
{
	json_t *o = json_object();
	for (enum policy_peer_kind k = 0; k < POLICY_PEER_KINDS; k++)
		json_object_set_new(o, policy_peer_kind_name(k),
				    json_string(policy_way_name(policy_partner_way(p, mode, &policy_peers[k]))));
	return o;
}

static json_t *pins_json(const struct policy_partner *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_pins; i++) {
		struct buf b;
		buf_init(&b, 128);
		policy_pin_print(&b, &p->pins[i]);
		json_array_append_new(list, admin_json_text(buf_slice(&b)));
		buf_free(&b);
	}
	return list;
}

static json_t *partner_json(const struct policy_partner *p, enum policy_negotiation_mode mode)
{
	json_t *additional = json_array(), *methods = json_array();
	unsigned m = policy_partner_methods(p, mode);
	char server[POLICY_DOMAIN_MAX + 16] = "";
	for (size_t i = 0; i < p->n_additional; i++)
		json_array_append_new(additional, admin_json_text(p->additional[i]));
	if (m & POLICY_SASL_TLS)
		json_array_append_new(methods, json_string("sasl-external"));
	if (m & POLICY_DIALBACK_TLS)
		json_array_append_new(methods, json_string("dialback-over-tls"));
	if (m & POLICY_DIALBACK_TCP)
		json_array_append_new(methods, json_string("dialback-in-clear"));
	if (!slice_empty(p->server_host)) {
		bool v6 = slice_find_chr(p->server_host, ':') >= 0 && p->server_port;
		snprintf(server, sizeof server, p->server_port ? "%s%.*s%s:%u" : "%s%.*s%s", v6 ? "[" : "", SFMT(p->server_host),
			 v6 ? "]" : "", p->server_port);
	}
	json_t *o = json_object();
	admin_set_text(o, "domain", p->domain);
	json_object_set_new(o, "type", json_string(policy_partner_type_name(p->type)));
	json_object_set_new(o, "enabled", json_boolean(p->enabled));
	json_object_set_new(o, "additional_domains", additional);
	json_object_set_new(o, "tls", json_string(policy_negotiation_name(p->tls)));
	json_object_set_new(o, "sasl", json_string(policy_negotiation_name(p->sasl)));
	json_object_set_new(o, "dialback", json_boolean(p->dialback));
	json_object_set_new(o, "methods", methods);
	json_object_set_new(o, "server", json_string(server));
	json_object_set_new(o, "connection_limit", json_integer(p->connection_limit));
	json_object_set_new(o, "keep_alive", json_boolean(p->keep_alive));
	json_object_set_new(o, "protocol", json_string(policy_protocol_name(p->protocol)));
	json_object_set_new(o, "client_certificate", json_string(policy_own_certificate_name(p->own_certificate)));
	json_object_set_new(o, "outcomes", outcomes_json(p, mode));
	json_object_set_new(o, "pins", pins_json(p));
	json_object_set_new(o, "pin_mode", json_string(policy_pin_mode_name(p->pin_mode)));
	json_object_set_new(o, "dane", json_boolean(p->dane));
	json_object_set_new(o, "delegation", json_boolean(p->delegation));
	admin_set_text(o, "description", p->description);
	return o;
}

/* "a, b" */
static void list_join(struct buf *out, json_t *list)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) {
		buf_puts(out, i ? ", " : "");
		admin_clean(out, slice_str(json_string_value(one)));
	}
}

static const char *const method_texts[][2] = {
	{"sasl-external", "certificate (SASL EXTERNAL)"},
	{"dialback-over-tls", "dialback inside TLS"},
	{"dialback-in-clear", "dialback without TLS"},
};

static void methods_join(struct buf *out, json_t *list)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
		for (size_t k = 0; k < 3; k++)
			if (slice_eq(slice_str(json_string_value(one)), slice_str(method_texts[k][0])))
				buf_printf(out, "%s%s", i ? " or " : "", method_texts[k][1]);
}

static void partner_print(struct admin_call *c, json_t *p)
{
	struct buf *out = &c->text;
	const char *server = admin_get_text(p, "server"), *note = admin_get_text(p, "description");
	int64_t limit = admin_get_int(p, "connection_limit");
	admin_styled(out, c->color, ADMIN_BOLD, slice_str(admin_get_text(p, "domain")));
	buf_printf(out, "\n  type               %s\n  enabled            %s\n", admin_get_text(p, "type"),
		   json_is_true(json_object_get(p, "enabled")) ? "yes" : "no: everything is refused");
	if (json_array_size(json_object_get(p, "additional_domains"))) {
		buf_puts(out, "  additional domains ");
		list_join(out, json_object_get(p, "additional_domains"));
		buf_putc(out, '\n');
	}
	buf_printf(out, "  tls                %s\n  sasl               %s\n  dialback           %s\n  proves itself by   ",
		   admin_get_text(p, "tls"), admin_get_text(p, "sasl"), json_is_true(json_object_get(p, "dialback")) ? "yes" : "no");
	methods_join(out, json_object_get(p, "methods"));
	buf_puts(out, "\n  server             ");
	admin_clean(out, slice_str(*server ? server : "by DNS SRV"));
	buf_puts(out, "\n  connection limit   ");
	if (limit)
		buf_printf(out, "%jd", (intmax_t)limit);
	else
		buf_puts(out, "as limits.max-connections-per-partner");
	buf_printf(out, "\n  keep-alive         %s\n", json_is_true(json_object_get(p, "keep_alive")) ? "yes" : "no");
	const char *own = admin_get_text(p, "client_certificate"), *protocol = admin_get_text(p, "protocol");
	if (!slice_eq(slice_str(protocol), S("xmpp")))
		buf_printf(out, "  protocol           %s\n", slice_eq(slice_str(protocol), S("sip")) ? "sip: nothing passes by XMPP" : protocol);
	if (!slice_eq(slice_str(own), S("client")))
		buf_printf(out, "  we show it         %s\n",
			   slice_eq(slice_str(own), S("none")) ? "no certificate" : "our server certificate (tls.certificate)");
	json_t *pin, *pins = json_object_get(p, "pins");
	size_t i;
	if (json_array_size(pins))
		buf_printf(out, "  another key than   %s\n",
			   slice_eq(slice_str(admin_get_text(p, "pin_mode")), S("block")) ? "these is refused:" : "these raises an alarm:");
	json_array_foreach(pins, i, pin)
		buf_printf(out, "                     %s\n", json_string_value(pin));
	if (!json_is_true(json_object_get(p, "dane")))
		buf_puts(out, "  dane               no: its TLSA records are not looked at\n");
	if (json_is_true(json_object_get(p, "delegation")))
		buf_puts(out, "  delegation         yes: a DNSSEC-secure SRV target may stand in its certificate\n");
	if (*note) {
		buf_puts(out, "  description        ");
		admin_clean(out, slice_str(note));
		buf_putc(out, '\n');
	}
}

/* ---- reading and editing ---- */
struct edit {
	struct admin_call *c;
	struct arena *a;
	struct snapshot *snapshot;
	struct policy_partner p;
	struct slice wanted, owner; /* owner: of the additional domain `wanted` */
	bool found;
};

static void partner_copy(struct arena *a, struct policy_partner *ret, const struct policy_partner *p)
{
	struct slice *additional = arena_alloc(a, (p->n_additional + 1) * sizeof *additional);
	for (size_t i = 0; i < p->n_additional; i++)
		additional[i] = arena_dup(a, p->additional[i]);
	*ret = *p;
	ret->domain = arena_dup(a, p->domain);
	ret->server_host = arena_dup(a, p->server_host);
	ret->description = arena_dup(a, p->description);
	ret->additional = additional;
	struct policy_pin *pins = arena_alloc(a, (p->n_pins + 1) * sizeof *pins);
	for (size_t i = 0; i < p->n_pins; i++)
		pins[i] = p->pins[i];
	ret->pins = pins;
}

static int find_each(void *arg, const struct policy_partner *p)
{
	struct edit *e = arg;
	if (slice_eq(p->domain, e->wanted)) {
		partner_copy(e->a, &e->p, p);
		e->found = true;
		return 1;
	}
	for (size_t i = 0; i < p->n_additional; i++)
		if (slice_eq(p->additional[i], e->wanted))
			e->owner = arena_dup(e->a, p->domain);
	return 0;
}

static int not_found(struct admin_call *c, struct slice domain, struct slice owner)
{
	char hint[400];
	if (!slice_empty(owner)) {
		snprintf(hint, sizeof hint, "name the partner: %.*s", SFMT(owner));
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", hint, "%.*s is an additional domain of the XMPP partner %.*s",
				  SFMT(domain), SFMT(owner));
	}
	return admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente partner xmpp list` lists all", "%.*s is not an XMPP partner",
			  SFMT(domain));
}

/* Loads the partner of the argument "domain" from the store. */
static int edit_load(struct edit *e)
{
	struct entente_err err = {0};
	e->wanted = admin_arg_text(e->c, "domain");
	int r = store_load_policy(e->c->admin->store, find_each, NULL, e, NULL, &err);
	if (r < 0)
		return admin_fail_err(e->c, "the database cannot be read", &err, NULL);
	return e->found ? ADMIN_EXIT_OK : not_found(e->c, e->wanted, e->owner);
}

static bool list_has(const struct slice *list, size_t n, struct slice one)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(list[i], one))
			return true;
	return false;
}

/* additional-domain replaces, add-domain and remove-domain edit. */
static int edit_domains(struct edit *e)
{
	json_t *replace = admin_arg_list(e->c, "additional-domain"), *add = admin_arg_list(e->c, "add-domain"), *one;
	json_t *remove = admin_arg_list(e->c, "remove-domain");
	size_t i, n = replace ? 0 : e->p.n_additional;
	struct slice *list = arena_alloc(e->a, (n + json_array_size(replace) + json_array_size(add) + 1) * sizeof *list);
	for (i = 0; i < n; i++)
		list[i] = e->p.additional[i];
	json_array_foreach(replace, i, one)
		list[n++] = arena_dup(e->a, slice_str(json_string_value(one)));
	json_array_foreach(add, i, one) {
		struct slice d = slice_str(json_string_value(one));
		if (!list_has(list, n, d))
			list[n++] = arena_dup(e->a, d);
	}
	json_array_foreach(remove, i, one) {
		struct slice d = slice_str(json_string_value(one));
		size_t k = 0;
		while (k < n && !slice_eq(list[k], d))
			k++;
		if (k == n)
			return admin_fail(e->c, ADMIN_EXIT_FINDING, "not-found", NULL, "%.*s is not an additional domain of %.*s", SFMT(d),
					  SFMT(e->p.domain));
		list[k] = list[--n];
	}
	e->p.additional = list;
	e->p.n_additional = n;
	return ADMIN_EXIT_OK;
}

/* --pin replaces the whole list. */
static void edit_pins(struct edit *e)
{
	json_t *list = admin_arg_list(e->c, "pin"), *one;
	struct policy_pin *pins = arena_alloc(e->a, (json_array_size(list) + 1) * sizeof *pins);
	size_t i, n = 0;
	if (!list)
		return;
	json_array_foreach(list, i, one)
		n += policy_pin_parse(&pins[n], slice_str(json_string_value(one)));
	e->p.pins = pins;
	e->p.n_pins = n;
}

/* Puts what the arguments give into the partner; their values have been checked against the table. */
static int edit_apply(struct edit *e)
{
	struct admin_call *c = e->c;
	struct policy_partner *p = &e->p;
	struct admin_server server;
	policy_partner_type_parse(&p->type, admin_arg_text(c, "type"));
	policy_negotiation_parse(&p->tls, admin_arg_text(c, "tls"));
	policy_negotiation_parse(&p->sasl, admin_arg_text(c, "sasl"));
	p->dialback = admin_arg_bool(c, "dialback", p->dialback);
	p->keep_alive = admin_arg_bool(c, "keep-alive", p->keep_alive);
	p->enabled = admin_arg_bool(c, "enabled", p->enabled);
	p->dane = admin_arg_bool(c, "dane", p->dane);
	p->delegation = admin_arg_bool(c, "delegation", p->delegation);
	policy_own_certificate_parse(&p->own_certificate, admin_arg_text(c, "client-certificate"));
	policy_pin_mode_parse(&p->pin_mode, admin_arg_text(c, "pin-mode"));
	policy_protocol_parse(&p->protocol, admin_arg_text(c, "protocol"));
	edit_pins(e);
	p->connection_limit = (uint32_t)admin_arg_uint(c, "connection-limit", p->connection_limit);
	if (admin_arg_given(c, "description"))
		p->description = arena_dup(e->a, admin_arg_text(c, "description"));
	if (admin_arg_given(c, "server")) {
		p->server_host = SLICE_NONE;
		p->server_port = 0;
		if (admin_server_parse(&server, admin_arg_text(c, "server"))) {
			p->server_host = arena_dup(e->a, policy_domain_slice(&server.host));
			p->server_port = server.port;
		}
	}
	return edit_domains(e);
}

static int domain_conflict(struct edit *e, struct slice d)
{
	uint32_t home;
	const struct policy_partner *other = snapshot_partner(e->snapshot, d);
	if (snapshot_local(e->snapshot, d, &home))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "refused",
				  "a domain is either ours or a partner's; the homes are in the configuration",
				  "%.*s is one of our own domains (home %.*s)", SFMT(d), SFMT(snapshot_home(e->snapshot, home)->name));
	if (other && !slice_eq(other->domain, e->p.domain))
		return admin_fail(e->c, ADMIN_EXIT_FINDING, "exists", NULL, "%.*s belongs to the XMPP partner %.*s already", SFMT(d),
				  SFMT(other->domain));
	const struct policy_allowed *sip = snapshot_allowed(e->snapshot, d);
	if (!policy_partner_by_sip(&e->p) && sip && slice_eq(sip->domain, d))
		return admin_fail(e->c, ADMIN_EXIT_REFUSED, "conflict", "--protocol sip-first or xmpp-first: by both networks; or entente allowed-domain remove DOMAIN",
				  "%.*s is an allowed domain of SIP federation", SFMT(d));
	struct slice blocked = snapshot_blocked(e->snapshot, d);
	if (blocked.p)
		admin_warn(e->c, "%.*s is blocked: nothing passes until `entente blocked-domain remove %.*s`", SFMT(d), SFMT(blocked));
	return ADMIN_EXIT_OK;
}

/* A warning and no more: that a domain looks like another is often so because both are somebody's own. */
static void lookalike_warn(struct edit *e, struct slice d)
{
	static const char *const how[] = {[POLICY_LIKE_SKELETON] = "looks like", [POLICY_LIKE_TYPO] = "is one letter away from",
					  [POLICY_LIKE_SUFFIX] = "has another suffix than"};
	struct slice what;
	bool ours;
	enum policy_likeness l = policy_lookalike(e->snapshot, d, e->p.domain, &what, &ours);
	unsigned odd = policy_domain_odd(d);
	if (l)
		admin_warn(e->c, "%.*s %s %.*s, %s: make sure that it is the one that is meant", SFMT(d), how[l], SFMT(what),
			   ours ? "which is ours" : "which is a partner");
	if (odd & POLICY_ODD_SCRIPTS)
		admin_warn(e->c, "%.*s mixes scripts within a label, as imitations do", SFMT(d));
	if (odd & POLICY_ODD_BIDI)
		admin_warn(e->c, "%.*s is written from right to left: compare it letter by letter", SFMT(d));
}

static int edit_check(struct edit *e)
{
	struct entente_err err = {0};
	unsigned warnings = 0;
	if (policy_partner_check(&e->p, snapshot_gateway(e->snapshot)->negotiation, &warnings, &err))
		return admin_fail_err(e->c, "", &err, NULL);
	int exit = domain_conflict(e, e->p.domain);
	for (size_t i = 0; !exit && i < e->p.n_additional; i++)
		exit = domain_conflict(e, e->p.additional[i]);
	for (unsigned bit = 1; !exit && bit && bit <= warnings; bit <<= 1)
		if (warnings & bit)
			admin_warn(e->c, "%s", policy_warning_text(bit));
	return exit;
}

enum save { SAVE_ADD, SAVE_SET, SAVE_REMOVE };

static int edit_save(struct edit *e, enum save how)
{
	struct store *s = e->c->admin->store;
	struct entente_err err = {0};
	struct store_wait w;
	int r;
	store_wait_init(&w);
	if (how == SAVE_ADD)
		r = store_partner_add(s, &e->p, e->c->who, store_wait_done, &w);
	else if (how == SAVE_SET)
		r = store_partner_set(s, &e->p, e->c->who, store_wait_done, &w);
	else
		r = store_partner_remove(s, e->p.domain, e->c->who, store_wait_done, &w);
	if (r == 0)
		r = store_wait(&w, &err);
	else
		err_set(&err, r, REASON_NONE, "%s", entente_strerror(r));
	if (r == ENTENTE_EEXIST)
		return admin_fail_err(e->c, "", &err,
				      how == SAVE_ADD ? "`entente partner xmpp set` changes a partner" : "a domain belongs to one partner only");
	if (r)
		return admin_fail_err(e->c, "nothing was changed", &err, NULL);
	return admin_publish(e->c);
}

static int edit_start(struct edit *e, struct admin_call *c)
{
	*e = (struct edit){.c = c, .snapshot = admin_snapshot(c)};
	if (!e->snapshot)
		return ADMIN_EXIT_UNAVAILABLE;
	e->a = arena_new(EDIT_MEMORY);
	return ADMIN_EXIT_OK;
}

static int edit_end(struct edit *e, int exit)
{
	arena_release(NULL, e->a);
	return exit;
}

static json_t *edit_json(const struct edit *e)
{
	return partner_json(&e->p, snapshot_gateway(e->snapshot)->negotiation);
}

static void what_if_set(struct admin_call *c)
{
	if (admin_arg_bool(c, "what-if", false))
		json_object_set_new(c->data, "what_if", json_true());
}

/* ---- add ---- */
int admin_partner_add(struct admin_call *c)
{
	struct edit e;
	int exit = edit_start(&e, c);
	if (exit)
		return exit;
	e.p.domain = arena_dup(e.a, admin_arg_text(c, "domain"));
	policy_partner_defaults(&e.p);
	const struct policy_partner *same = snapshot_partner(e.snapshot, e.p.domain);
	if (same && slice_eq(same->domain, e.p.domain))
		return edit_end(&e, admin_fail(c, ADMIN_EXIT_FINDING, "exists", "`entente partner xmpp set` changes it",
					       "%.*s is an XMPP partner already", SFMT(e.p.domain)));
	exit = edit_apply(&e);
	if (!exit)
		exit = edit_check(&e);
	for (size_t i = 0; !exit && i <= e.p.n_additional; i++)
		lookalike_warn(&e, i ? policy_pattern_base(e.p.additional[i - 1]) : e.p.domain);
	if (!exit) { /* the snapshot is not the same after publishing */
		json_object_set_new(c->data, "partner", edit_json(&e));
		what_if_set(c);
	}
	if (!exit && !admin_arg_bool(c, "what-if", false))
		exit = edit_save(&e, SAVE_ADD);
	return edit_end(&e, exit);
}

static const char *done(const struct admin_call *c, const char *did, const char *would)
{
	return json_is_true(json_object_get(c->data, "what_if")) ? would : did;
}

void admin_partner_add_print(struct admin_call *c)
{
	json_t *p = json_object_get(c->data, "partner");
	buf_printf(&c->text, "%s %s an XMPP partner.\n", admin_get_text(p, "domain"), done(c, "is now", "would be"));
	partner_print(c, p);
}

/* ---- set ---- */
static json_t *differences(json_t *before, json_t *after)
{
	json_t *list = json_array(), *value;
	const char *key;
	json_object_foreach(after, key, value) {
		json_t *old = json_object_get(before, key);
		if (!json_equal(old, value) && !slice_eq(slice_str(key), S("methods")) && !slice_eq(slice_str(key), S("outcomes")))
			json_array_append_new(list, json_pack("{s:s s:O s:O}", "field", key, "from", old, "to", value));
	}
	return list;
}

int admin_partner_set(struct admin_call *c)
{
	struct edit e;
	int exit = edit_start(&e, c);
	if (exit)
		return exit;
	exit = edit_load(&e);
	json_t *before = exit ? NULL : edit_json(&e);
	if (!exit)
		exit = edit_apply(&e);
	if (!exit)
		exit = edit_check(&e);
	if (!exit) {
		json_t *after = edit_json(&e), *changes = differences(before, after);
		json_object_set_new(c->data, "partner", after);
		json_object_set_new(c->data, "changes", changes);
		what_if_set(c);
		if (json_array_size(changes) && !admin_arg_bool(c, "what-if", false))
			exit = edit_save(&e, SAVE_SET);
	}
	json_decref(before);
	return edit_end(&e, exit);
}

static void value_print(struct buf *out, json_t *v)
{
	if (json_is_array(v) && json_array_size(v))
		list_join(out, v);
	else if (json_is_string(v) && json_string_length(v))
		admin_clean(out, slice_str(json_string_value(v)));
	else if (json_is_integer(v))
		buf_printf(out, "%jd", (intmax_t)json_integer_value(v));
	else if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "yes" : "no");
	else
		buf_puts(out, "none");
}

void admin_partner_set_print(struct admin_call *c)
{
	json_t *changes = json_object_get(c->data, "changes"), *one;
	const char *domain = admin_get_text(json_object_get(c->data, "partner"), "domain");
	size_t i;
	if (!json_array_size(changes)) {
		buf_printf(&c->text, "%s is so already; nothing %s changed.\n", domain, done(c, "was", "would be"));
		return;
	}
	buf_printf(&c->text, "%s: %s\n", domain, done(c, "changed", "would change"));
	json_array_foreach(changes, i, one) {
		struct buf name;
		buf_init(&name, 128);
		for (const char *p = admin_get_text(one, "field"); *p; p++)
			buf_putc(&name, *p == '_' ? ' ' : *p);
		buf_printf(&c->text, "  %-18.*s ", SFMT(buf_slice(&name)));
		buf_free(&name);
		value_print(&c->text, json_object_get(one, "from"));
		buf_puts(&c->text, " -> ");
		value_print(&c->text, json_object_get(one, "to"));
		buf_putc(&c->text, '\n');
	}
}

/* ---- remove ---- */
int admin_partner_remove(struct admin_call *c)
{
	struct edit e;
	int exit = edit_start(&e, c);
	if (exit)
		return exit;
	exit = edit_load(&e);
	if (!exit) {
		json_object_set_new(c->data, "partner", edit_json(&e));
		what_if_set(c);
	}
	if (!exit && !admin_arg_bool(c, "what-if", false))
		exit = edit_save(&e, SAVE_REMOVE);
	return edit_end(&e, exit);
}

void admin_partner_remove_print(struct admin_call *c)
{
	buf_printf(&c->text, "%s %s an XMPP partner.\n", admin_get_text(json_object_get(c->data, "partner"), "domain"),
		   done(c, "is no longer", "would no longer be"));
}

/* ---- show, list ---- */
int admin_partner_show(struct admin_call *c)
{
	struct snapshot *s = admin_snapshot(c);
	struct slice domain = admin_arg_text(c, "domain");
	if (!s)
		return ADMIN_EXIT_UNAVAILABLE;
	const struct policy_partner *p = snapshot_partner(s, domain);
	if (!p)
		return not_found(c, domain, SLICE_NONE);
	json_decref(c->data);
	c->data = partner_json(p, snapshot_gateway(s)->negotiation);
	json_t *seen = json_object();
	if (c->admin->ops->seen && c->admin->ops->seen(c->admin->arg, p->domain, seen))
		json_object_set(c->data, "certificate", seen);
	json_decref(seen);
	return ADMIN_EXIT_OK;
}

/* What will come of it with servers of three kinds. */
static void outcomes_print(struct buf *out, json_t *o)
{
	static const char *const texts[][3] = {
		{"strict", "one that demands TLS and certificates", NULL}, {"lenient", "one that takes what it gets", NULL},
		{"plain", "one without TLS", NULL}};
	static const char *const words[][2] = {{"certificate", "works, by certificates"}, {"dialback-over-tls", "works, by dialback inside TLS"},
		{"dialback-in-clear", "works, by dialback without TLS"}, {"fails-no-tls", "FAILS: TLS is required here and it has none"},
		{"fails-tls-off", "FAILS: it requires TLS, which is switched off here"},
		{"fails-no-method", "FAILS: no method of authentication is left that both allow"}};
	buf_puts(out, "  with a server that would be\n");
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 6; k++)
			if (slice_eq(slice_str(admin_get_text(o, texts[i][0])), slice_str(words[k][0])))
				buf_printf(out, "    %-16s %s (%s)\n", texts[i][0], words[k][1], texts[i][1]);
}

static void seen_print(struct buf *out, json_t *c)
{
	char until[CLOCK_TEXT];
	if (!c)
		return;
	clock_text_at(admin_get_int(c, "not_after"), until);
	buf_printf(out, "  key last seen      %s\n                     at %s, ", admin_get_text(c, "key"), admin_get_text(c, "at"));
	buf_puts(out, slice_eq(slice_str(admin_get_text(c, "direction")), S("in")) ? "when it called us" : "when we called it");
	buf_puts(out, "\n                     ");
	admin_clean(out, slice_str(admin_get_text(c, "subject")));
	buf_puts(out, ", by ");
	admin_clean(out, slice_str(admin_get_text(c, "issuer")));
	buf_printf(out, ", until %.10s%s\n", until, json_is_true(json_object_get(c, "believed")) ? "" : ", NOT BELIEVED by itself");
}

void admin_partner_show_print(struct admin_call *c)
{
	partner_print(c, c->data);
	seen_print(&c->text, json_object_get(c->data, "certificate"));
	outcomes_print(&c->text, json_object_get(c->data, "outcomes"));
}

static bool matches(const char *pattern, struct slice domain)
{
	char z[POLICY_DOMAIN_MAX + 1];
	return slice_cstr(domain, z, sizeof z) && fnmatch(pattern, z, FNM_CASEFOLD) == 0;
}

static bool partner_wanted(const struct admin_call *c, const struct policy_partner *p)
{
	const char *pattern = json_string_value(json_object_get(c->args, "filter"));
	struct slice type = admin_arg_text(c, "type");
	bool ok = !pattern || matches(pattern, p->domain);
	for (size_t i = 0; !ok && i < p->n_additional; i++)
		ok = matches(pattern, p->additional[i]);
	return ok && (!type.p || slice_eq(type, slice_str(policy_partner_type_name(p->type))));
}

int admin_partner_list(struct admin_call *c)
{
	struct snapshot *s = admin_snapshot(c);
	json_t *list = json_array();
	json_object_set_new(c->data, "partners", list);
	if (!s)
		return ADMIN_EXIT_UNAVAILABLE;
	for (size_t i = 0; i < snapshot_partner_count(s); i++) {
		const struct policy_partner *p = snapshot_partner_at(s, i);
		if (partner_wanted(c, p))
			json_array_append_new(list, partner_json(p, snapshot_gateway(s)->negotiation));
	}
	return ADMIN_EXIT_OK;
}

void admin_partner_list_print(struct admin_call *c)
{
	static const struct admin_table_column columns[] = {{"DOMAIN", ADMIN_TABLE_FLEX}, {"TYPE", 0}, {"STATE", 0}, {"TLS", 0},
		{"SASL", 0}, {"DIALBACK", 0}, {"SERVER", ADMIN_TABLE_FLEX}, {"ALSO", ADMIN_TABLE_FLEX}, {"DESCRIPTION", ADMIN_TABLE_FLEX}};
	json_t *list = json_object_get(c->data, "partners"), *p;
	size_t i;
	if (admin_arg_bool(c, "names", false)) {
		json_array_foreach(list, i, p)
			buf_printf(&c->text, "%s\n", admin_get_text(p, "domain"));
		return;
	}
	if (!json_array_size(list)) {
		buf_puts(&c->text, admin_arg_given(c, "filter") || admin_arg_given(c, "type")
			? "No XMPP partner is like that.\n"
			: "There are no XMPP partners: nothing passes. `entente partner xmpp add` lets one in.\n");
		return;
	}
	struct admin_table *t = admin_table_new(columns, sizeof columns / sizeof *columns);
	json_array_foreach(list, i, p) {
		struct buf also;
		buf_init(&also, 1 << 17);
		list_join(&also, json_object_get(p, "additional_domains"));
		admin_table_cell(t, slice_str(admin_get_text(p, "domain")));
		admin_table_cell(t, slice_str(admin_get_text(p, "type")));
		admin_table_cell(t, json_is_true(json_object_get(p, "enabled")) ? S("enabled") : S("DISABLED"));
		admin_table_cell(t, slice_str(admin_get_text(p, "tls")));
		admin_table_cell(t, slice_str(admin_get_text(p, "sasl")));
		admin_table_cell(t, json_is_true(json_object_get(p, "dialback")) ? S("yes") : S("no"));
		admin_table_cell(t, slice_str(admin_get_text(p, "server")));
		admin_table_cell(t, buf_slice(&also));
		admin_table_cell(t, slice_str(admin_get_text(p, "description")));
		buf_free(&also);
	}
	admin_table_print(t, &c->text, c->width, c->color);
	admin_table_free(t);
}
