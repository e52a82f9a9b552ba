/* SPDX-License-Identifier: Apache-2.0 */
/* What an exported object becomes here: by the table (lync_table.c), with what the table cannot say. */
#include "admin/args.h"
#include "admin/call.h"
#include "admin/lync.h"
#include "base/mem.h"
#include "policy/domain.h"

struct result {
	enum lync_object kind;
	json_t *object, *args; /* what is being translated, what it becomes */
	json_t *lists[LYNC_OBJECT_COUNT]; /* of commands */
	json_t *settings, *findings;
	const char *noun;
	struct slice name;
	bool bad;              /* an error was found: no command */
};

static void find(struct result *r, const char *severity, const char *property, const char *text)
{
	r->bad |= slice_eq(slice_str(severity), S("error"));
	json_array_append_new(r->findings, json_pack("{s:s s:s s:o s:s s:s}", "severity", severity, "object", r->noun, "name",
						     admin_json_text(r->name), "property", property, "text", text));
}

static json_t *property(const struct result *r, const char *name)
{
	json_t *v = json_object_get(r->object, name);
	return json_is_null(v) ? NULL : v;
}

/* p == NULL when there is none or it is empty. */
static struct slice text_of(const struct result *r, const char *name)
{
	json_t *v = property(r, name);
	return json_is_string(v) && json_string_length(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

/* A comment may have several lines. */
static json_t *one_line(struct slice s)
{
	json_t *j;
	char *copy = mem_strndup(s.p, s.len);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
			copy[i] = ' ';
	j = admin_json_text(slice_trim(slice_of(copy, s.len)));
	mem_free(copy);
	return j;
}

static void key(struct result *r, const struct lync_parameter *p)
{
	static const char *const prefixes[] = {"global", "site:", "tag:"};
	struct slice v = text_of(r, p->name);
	struct policy_domain d;
	if (!v.p || json_object_get(r->args, p->option))
		return;
	if (slice_eq(slice_str(p->option), S("domain"))) {
		if (policy_domain_import(&d, v))
			json_object_set_new(r->args, p->option, json_string(d.text));
		else
			find(r, "error", p->name, "is no domain");
		return;
	}
	if (r->kind == LYNC_EXTERNAL)
		for (size_t i = 0; i < 3; i++) {
			size_t n = strlen(prefixes[i]);
			if (slice_istarts(v, slice_str(prefixes[i]))) {
				json_object_set_new(r->args, p->option, json_sprintf("%s%.*s", prefixes[i], (int)(v.len - n), v.p + n));
				return;
			}
		}
	json_object_set_new(r->args, p->option, one_line(v));
}

static void enumeration(struct result *r, const struct lync_parameter *p)
{
	struct slice s = text_of(r, p->name);
	const char *ours = lync_word(p->form, s);
	if (ours)
		json_object_set_new(r->args, p->option, json_string(ours));
	else if (json_is_integer(property(r, p->name)))
		find(r, "error", p->name, "is a number: export with Export-Clixml, or ConvertTo-Json -EnumsAsStrings");
	else if (s.p)
		find(r, "error", p->name, "has a value that is not known");
}

static void domain_append(struct result *r, const struct lync_parameter *p, json_t *list, struct slice text)
{
	struct policy_domain d;
	text = slice_trim(text);
	if (!text.len)
		return;
	if (policy_domain_import(&d, text))
		json_array_append_new(list, json_string(d.text));
	else
		find(r, "error", p->name, "is no domain");
}

static void domains(struct result *r, const struct lync_parameter *p)
{
	json_t *v = property(r, p->name), *one, *list = json_array();
	struct slice rest = text_of(r, p->name);
	size_t i;
	if (slice_starts(rest, S("System.")))
		find(r, "error", p->name, "CSV cannot hold lists: export with Export-Clixml");
	else
		while (rest.p)
			domain_append(r, p, list, slice_split(&rest, ','));
	json_array_foreach(v, i, one)
		domain_append(r, p, list, slice_str(json_string_value(one)));
	if (json_array_size(list))
		json_object_set(r->args, p->option, list);
	json_decref(list);
}

static void setting(struct result *r, const struct lync_parameter *p)
{
	json_t *v = property(r, p->name);
	if (json_is_integer(v))
		json_array_append_new(r->settings, json_pack("{s:s s:o s:s}", "key", p->option, "value",
							     json_sprintf("%jd%s", (intmax_t)json_integer_value(v), p->form == LYNC_SECONDS ? "s" : ""), "from", p->name));
	else if (v)
		find(r, "error", p->name, "should be a number");
}

/* Something that is not here: said where it was used. */
static void none(struct result *r, const struct lync_parameter *p)
{
	json_t *v = property(r, p->name);
	char text[32] = "";
	if (json_is_integer(v))
		snprintf(text, sizeof text, "%jd", (intmax_t)json_integer_value(v));
	if (json_is_true(v) || text_of(r, p->name).p || (*text && !slice_eq(slice_str(text), slice_str(p->def)) && !slice_eq(slice_str(text), S("0"))))
		find(r, slice_starts(slice_str(p->note), S("not needed")) ? "note" : "warning", p->name, p->note);
}

static void parameter(struct result *r, const struct lync_parameter *p)
{
	json_t *v = property(r, p->name);
	switch (p->form) {
	case LYNC_KEY:
		key(r, p);
		break;
	case LYNC_BOOL:
		if (json_is_boolean(v))
			json_object_set(r->args, p->option, v);
		else if (v)
			find(r, "error", p->name, "should be true or false");
		break;
	case LYNC_UINT:
		if (json_is_integer(v))
			json_object_set(r->args, p->option, v);
		else if (v)
			find(r, "error", p->name, "should be a number");
		break;
	case LYNC_TEXT:
	case LYNC_FQDN:
		if (text_of(r, p->name).p)
			json_object_set_new(r->args, p->option, one_line(text_of(r, p->name)));
		break;
	case LYNC_TYPE:
	case LYNC_NEGOTIATION:
	case LYNC_VERIFICATION:
		enumeration(r, p);
		break;
	case LYNC_DOMAINS:
		domains(r, p);
		break;
	case LYNC_SETTING:
	case LYNC_SECONDS:
		setting(r, p);
		break;
	case LYNC_NONE:
		none(r, p);
		break;
	case LYNC_POLICY_NAME:
	case LYNC_SWITCH:
	case LYNC_IGNORED:
	case LYNC_UNSUPPORTED: /* not of objects */
		break;
	}
}

/* The two methods of routing exclude each other's parameters. */
static void routing(struct result *r)
{
	static const char *const of_default[] = {"is-public-provider", "verification-level"},
				*const of_srv[] = {"partner-discovery", "discovered-partner-verification-level", "clearing-house"};
	bool by_default = json_object_get(r->args, "default-route-fqdn") != NULL;
	if (slice_istarts(text_of(r, "RoutingMethod"), S("UseDefault")) && !by_default)
		find(r, "error", "DefaultRouteFqdn", "is missing, and RoutingMethod is UseDefaultRouting");
	for (size_t i = 0; !by_default && i < 2; i++)
		json_object_del(r->args, of_default[i]);
	for (size_t i = 0; by_default && i < 3; i++) {
		if (json_is_true(json_object_get(r->args, of_srv[i])))
			find(r, "warning", of_srv[i], "has no meaning with UseDefaultRouting: left out");
		json_object_del(r->args, of_srv[i]);
	}
	if (by_default)
		json_object_set_new(r->args, "routing", json_string("default"));
}

/* A user's record says nothing but which policy was granted. */
static const struct admin_command *grant(struct result *r)
{
	const char *why;
	struct slice address = text_of(r, "SipAddress"), policy = text_of(r, "ExternalAccessPolicy");
	const struct admin_command *c = lync_command(LYNC_EXTERNAL, LYNC_GRANT, true, &why);
	r->name = address.p ? address : r->name;
	if (!policy.p)
		return NULL;
	if (!address.p || !c) {
		find(r, "error", "SipAddress", address.p ? why : "is missing");
		return NULL;
	}
	if (slice_istarts(address, S("sip:")))
		address = slice_skip(address, 4);
	if (slice_istarts(policy, S("tag:")))
		policy = slice_skip(policy, 4);
	json_object_update_new(r->args, json_pack("{s:o s:[o]}", "policy", one_line(policy), "user", one_line(address)));
	return c;
}

static const struct admin_command *command_of(struct result *r)
{
	const struct lync_kind *k = lync_kind(r->kind);
	const char *why;
	if (r->kind == LYNC_USER)
		return grant(r);
	if (r->kind == LYNC_GATEWAY)
		return NULL;
	if (r->kind == LYNC_XMPP_PARTNER && !json_object_get(r->args, "type"))
		json_object_set_new(r->args, "type", json_string("public-unverified"));
	if (r->kind == LYNC_ACCESS)
		routing(r);
	bool there = !k->key || (r->kind == LYNC_EXTERNAL && slice_eq(slice_str(admin_get_text(r->args, "name")), S("global")));
	const struct admin_command *c = lync_command(r->kind, there ? LYNC_SET : LYNC_NEW, true, &why);
	if (!c)
		find(r, "warning", "", why);
	else if (k->key && !json_object_get(r->args, k->key) && !r->bad)
		find(r, "error", "Identity", "is missing");
	return c;
}

static bool kind_of(json_t *object, enum lync_object *ret)
{
	struct slice type = slice_str(json_string_value(json_object_get(object, "#type")));
	if (slice_starts(type, S("Display")))
		type = slice_skip(type, 7);
	for (int i = 0; i < LYNC_OBJECT_COUNT; i++) {
		const struct lync_kind *k = lync_kind((enum lync_object)i);
		bool known = type.len && (slice_eq(type, slice_str(k->noun)) || (k->type && slice_eq(type, slice_str(k->type))));
		bool told = k->tell_tale && json_object_get(object, k->tell_tale);
		if (known || (told && (!type.len || slice_eq(type, S("PSCustomObject")) || slice_starts(type, S("Selected"))))) {
			*ret = (enum lync_object)i;
			return true;
		}
	}
	return false;
}

static void translate(struct result *r, json_t *object)
{
	struct buf why;
	r->object = object;
	r->bad = false;
	r->noun = "object";
	r->name = text_of(r, "Identity").p ? text_of(r, "Identity") : text_of(r, "Domain");
	if (!kind_of(object, &r->kind)) {
		find(r, "warning", "", "not known: it is none of the objects that this command translates");
		return;
	}
	const struct lync_kind *k = lync_kind(r->kind);
	r->noun = k->noun;
	r->args = json_object();
	for (size_t i = 0; r->kind != LYNC_USER && i < k->n_parameters; i++)
		parameter(r, &k->parameters[i]);
	const struct admin_command *c = command_of(r);
	buf_init(&why, 4096);
	if (c && !r->bad && !admin_args_check(c, r->args, &why)) {
		char text[512];
		slice_cstr(slice_first(buf_slice(&why), sizeof text - 1), text, sizeof text);
		find(r, "error", "", text);
	}
	buf_free(&why);
	if (c && !r->bad) {
		json_t *words = json_array();
		for (size_t i = 0; c->path[i]; i++)
			json_array_append_new(words, json_string(c->path[i]));
		json_array_append_new(r->lists[r->kind], json_pack("{s:o s:O s:s s:o}", "command", words, "args", r->args, "object", k->noun, "name",
								   admin_json_text(r->name)));
	}
	json_decref(r->args);
}

void lync_translate(json_t *objects, json_t *commands, json_t *settings, json_t *findings)
{
	struct result r = {.settings = settings, .findings = findings};
	json_t *o;
	size_t i;
	for (size_t k = 0; k < LYNC_OBJECT_COUNT; k++)
		r.lists[k] = json_array();
	json_array_foreach(objects, i, o)
		translate(&r, o);
	for (size_t k = 0; k < LYNC_OBJECT_COUNT; k++) {
		json_array_extend(commands, r.lists[k]);
		json_decref(r.lists[k]);
	}
}

/* ---- commands as text */

/* Between apostrophes, as a POSIX shell reads it. */
static void quoted(struct buf *out, struct slice s)
{
	bool plain = s.len > 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		plain &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':' || c == '@';
	}
	if (plain && s.p[0] != '-') {
		buf_put(out, s);
		return;
	}
	buf_putc(out, '\'');
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, s.p[i]);
	buf_putc(out, '\'');
}

static void value_text(struct buf *out, json_t *v)
{
	if (json_is_string(v))
		quoted(out, slice_of(json_string_value(v), json_string_length(v)));
	else if (json_is_boolean(v))
		buf_puts(out, json_is_true(v) ? "true" : "false");
	else
		buf_printf(out, "%jd", (intmax_t)json_integer_value(v));
}

static void option_text(struct buf *out, const struct admin_arg *a, json_t *v)
{
	json_t *one;
	size_t i;
	buf_putc(out, ' ');
	if (a->flags & ADMIN_POSITIONAL) {
		value_text(out, v);
	} else if (json_is_true(v)) {
		buf_printf(out, "--%s", a->name);
	} else if (json_is_boolean(v)) {
		buf_printf(out, "--%s=false", a->name);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, one) {
			buf_printf(out, i ? " --%s " : "--%s ", a->name);
			value_text(out, one);
		}
	} else {
		buf_printf(out, "--%s ", a->name);
		value_text(out, v);
	}
}

void admin_command_text(struct buf *out, const struct admin_command *c, json_t *args)
{
	buf_puts(out, "entente ");
	admin_path_print(out, c->path);
	for (int positional = 1; positional >= 0; positional--)
		for (size_t i = 0; i < c->n_args; i++) {
			json_t *v = json_object_get(args, c->args[i].name);
			if (v && positional == (c->args[i].flags & ADMIN_POSITIONAL ? 1 : 0) && !(json_is_array(v) && !json_array_size(v)))
				option_text(out, &c->args[i], v);
		}
}
