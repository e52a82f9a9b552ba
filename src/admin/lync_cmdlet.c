/* SPDX-License-Identifier: Apache-2.0 */
/* Cmdlets on the command line, as PowerShell reads them: names and parameters without regard to case, parameters by any beginning that only
 * one has, -Name value or -Name:value, switches, $true $false $null, lists with commas, @{Add=...}. */
#include "admin/args.h"
#include "admin/call.h"
#include "admin/lync.h"

struct cmdlet {
	enum lync_object object;
	unsigned verb;
};

static bool cmdlet_at(size_t index, struct cmdlet *ret)
{
	for (int o = 0; o < LYNC_OBJECT_COUNT; o++)
		for (unsigned verb = LYNC_NEW; verb <= LYNC_GRANT; verb <<= 1)
			if (lync_kind((enum lync_object)o)->verbs & verb && index-- == 0) {
				*ret = (struct cmdlet){(enum lync_object)o, verb};
				return true;
			}
	return false;
}

size_t lync_cmdlet_count(void)
{
	struct cmdlet c;
	size_t n = 0;
	while (cmdlet_at(n, &c))
		n++;
	return n;
}

void lync_cmdlet_name(size_t index, char *ret, size_t size)
{
	struct cmdlet c;
	*ret = 0;
	if (cmdlet_at(index, &c))
		snprintf(ret, size, "%s-Cs%s", lync_verb_name(c.verb), lync_kind(c.object)->noun);
}

static bool cmdlet_find(struct slice word, struct cmdlet *ret)
{
	char name[80];
	for (size_t i = 0; cmdlet_at(i, ret); i++) {
		lync_cmdlet_name(i, name, sizeof name);
		if (slice_ieq(word, slice_str(name)))
			return true;
	}
	return false;
}

bool lync_is_cmdlet(struct slice word)
{
	ptrdiff_t dash = slice_find_chr(word, '-');
	return dash > 0 && slice_istarts(slice_skip(word, (size_t)dash), S("-Cs"));
}

/* ---- parameters */

static size_t parameters(const struct cmdlet *c, const struct lync_parameter *ret[64])
{
	const struct lync_kind *k = lync_kind(c->object);
	size_t n = 0, n_common;
	const struct lync_parameter *common = lync_common(&n_common);
	for (size_t i = 0; i < k->n_parameters; i++)
		if (k->parameters[i].verbs & c->verb)
			ret[n++] = &k->parameters[i];
	for (size_t i = 0; i < n_common; i++)
		if (common[i].verbs & c->verb)
			ret[n++] = &common[i];
	return n;
}

/* By its name or a beginning that only one has. */
static const struct lync_parameter *parameter_find(const struct cmdlet *c, struct slice name, struct buf *why)
{
	const struct lync_parameter *all[64], *found = NULL;
	size_t n = parameters(c, all), hits = 0;
	struct admin_nearest near;
	char text[80];
	for (size_t i = 0; i < n; i++) {
		if (slice_ieq(slice_str(all[i]->name), name))
			return all[i];
		if (slice_istarts(slice_str(all[i]->name), name)) {
			found = all[i];
			hits++;
		}
	}
	if (hits == 1)
		return found;
	snprintf(text, sizeof text, "-%.*s", SFMT(slice_first(name, 70)));
	admin_quote(why, slice_str(text));
	if (hits) {
		buf_puts(why, " may be");
		for (size_t i = 0, k = 0; i < n; i++)
			if (slice_istarts(slice_str(all[i]->name), name))
				buf_printf(why, "%s -%s", k++ ? " or" : "", all[i]->name);
		return NULL;
	}
	buf_printf(why, " is no parameter of %s-Cs%s", lync_verb_name(c->verb), lync_kind(c->object)->noun);
	admin_nearest_init(&near, name);
	for (size_t i = 0; i < n; i++)
		admin_nearest_try(&near, all[i]->name);
	for (size_t i = 0; !near.best && i < n; i++) /* PowerShell's users know the word, not its place in the name */
		for (size_t k = 0; name.len >= 4 && k + name.len <= strlen(all[i]->name); k++)
			if (slice_ieq(slice_of(all[i]->name + k, name.len), name))
				near.best = all[i]->name;
	admin_nearest_print(&near, "-", why);
	return NULL;
}

/* ---- values */

static bool is_null(struct slice v)
{
	return slice_ieq(v, S("$null"));
}

/* Quotation marks that the shell has left. */
static struct slice unquoted(struct slice v)
{
	v = slice_trim(v);
	if (v.len >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.len - 1] == v.p[0])
		v = slice_of(v.p + 1, v.len - 2);
	return v;
}

static json_t *list_of(struct slice v)
{
	json_t *list = json_array();
	v = slice_trim(v);
	if (slice_starts(v, S("@(")) && v.p[v.len - 1] == ')')
		v = slice_of(v.p + 2, v.len - 3);
	while (v.p) {
		struct slice one = unquoted(slice_split(&v, ','));
		if (one.len)
			json_array_append_new(list, admin_json_text(one));
	}
	return list;
}

struct parser {
	const struct cmdlet *cmdlet;
	json_t *args;
	struct buf *why;
	struct slice identity, policy; /* of Grant */
	bool take_back, named;
};

static bool complain(struct parser *p, const struct lync_parameter *par, struct slice v, const char *want)
{
	buf_printf(p->why, "-%s: %s is wanted", par->name, want);
	if (v.p) {
		buf_puts(p->why, "; this is ");
		admin_quote(p->why, v);
	} else {
		buf_puts(p->why, "; nothing follows it. A shell takes $true and $false for variables of its own: write true, or '$true'");
	}
	return false;
}

/* @{Add="a","b"; Remove="c"}: only XMPP partners have commands for these, as Lync has it for them. */
static bool modifier(struct parser *p, const struct lync_parameter *par, struct slice v)
{
	static const char *const names[][2] = {{"Add", "add-domain"}, {"Remove", "remove-domain"}, {"Replace", NULL}};
	struct slice rest = slice_of(v.p + 2, v.len - 3);
	while (rest.p) {
		struct slice value = slice_split(&rest, ';'), name = slice_trim(slice_split(&value, '='));
		const char *option = NULL;
		if (!name.len && !value.p)
			continue;
		for (size_t i = 0; i < 3; i++)
			if (slice_ieq(name, slice_str(names[i][0])))
				option = names[i][1] ? names[i][1] : par->option;
		if (!option || !value.p || (p->cmdlet->verb == LYNC_NEW && !slice_eq(slice_str(option), slice_str(par->option))) ||
		    (p->cmdlet->object != LYNC_XMPP_PARTNER && !slice_eq(slice_str(option), slice_str(par->option))))
			return complain(p, par, v, "@{Replace=\"a\",\"b\"}, or with Set-CsXmppAllowedPartner @{Add=\"a\"} and @{Remove=\"b\"},");
		json_object_set_new(p->args, option, list_of(value));
	}
	return true;
}

static bool domains(struct parser *p, const struct lync_parameter *par, struct slice v)
{
	if (is_null(v)) {
		json_object_set_new(p->args, par->option, json_array());
		return true;
	}
	if (slice_starts(v, S("@{")) && v.p[v.len - 1] == '}')
		return modifier(p, par, v);
	json_object_set_new(p->args, par->option, list_of(v));
	return true;
}

/* "sip:romeo@contoso.com" -> the address; "Site:Redmond" -> "site:Redmond" */
static bool key(struct parser *p, const struct lync_parameter *par, struct slice v)
{
	static const char *const prefixes[] = {"global", "site:", "tag:"};
	if (p->named && p->cmdlet->verb != LYNC_GRANT) {
		buf_printf(p->why, "-%s: the object is named twice", par->name);
		return false;
	}
	p->named = true;
	if (slice_istarts(v, S("sip:")))
		v = slice_skip(v, 4);
	for (size_t i = 0; p->cmdlet->object == LYNC_EXTERNAL && i < 3; i++)
		if (slice_istarts(v, slice_str(prefixes[i]))) {
			json_object_set_new(p->args, par->option, json_sprintf("%s%.*s", prefixes[i], SFMT(slice_skip(v, strlen(prefixes[i])))));
			return true;
		}
	json_object_set_new(p->args, par->option, admin_json_text(v));
	return true;
}

/* "$null" clears what can be cleared. */
static bool cleared(struct parser *p, const struct lync_parameter *par)
{
	if (p->cmdlet->object == LYNC_ALLOWED && slice_eq(slice_str(par->option), S("proxy-fqdn")))
		json_object_set_new(p->args, "dns-srv", json_true());
	else
		json_object_set_new(p->args, par->option, json_string(""));
	return true;
}

static bool text(struct parser *p, const struct lync_parameter *par, struct slice v)
{
	struct slice none = unquoted(v);
	if (is_null(v) || !none.len)
		return p->cmdlet->verb == LYNC_NEW || cleared(p, par);
	json_object_set_new(p->args, par->option, admin_json_text(none));
	return true;
}

static bool value(struct parser *p, const struct lync_parameter *par, struct slice v)
{
	const char *ours;
	uint64_t n;
	switch (par->form) {
	case LYNC_KEY:
		return key(p, par, unquoted(v));
	case LYNC_BOOL:
		v = slice_starts(v, S("$")) ? slice_skip(v, 1) : unquoted(v);
		if (slice_ieq(v, S("true")) || slice_eq(v, S("1")))
			json_object_set_new(p->args, par->option, json_true());
		else if (slice_ieq(v, S("false")) || slice_eq(v, S("0")))
			json_object_set_new(p->args, par->option, json_false());
		else
			return complain(p, par, v, "$true or $false");
		return true;
	case LYNC_UINT:
		if (!slice_u64(v, INT64_MAX, &n))
			return complain(p, par, v, "a number");
		json_object_set_new(p->args, par->option, json_integer((json_int_t)n));
		return true;
	case LYNC_TYPE:
	case LYNC_NEGOTIATION:
	case LYNC_VERIFICATION:
		if (!(ours = lync_word(par->form, unquoted(v))))
			return complain(p, par, v, lync_words_of(par->form));
		json_object_set_new(p->args, par->option, json_string(ours));
		return true;
	case LYNC_DOMAINS:
		return domains(p, par, v);
	case LYNC_POLICY_NAME:
		p->policy = unquoted(v);
		p->take_back = is_null(v) || !p->policy.len;
		return true;
	case LYNC_SETTING:
	case LYNC_SECONDS:
		buf_printf(p->why, "-%s is a setting of the configuration file: write %s: %.*s%s into /etc/entente/entente.yaml, then entente reload", par->name, par->option,
			   SFMT(v), par->form == LYNC_SECONDS ? "s" : "");
		return false;
	case LYNC_NONE:
	case LYNC_UNSUPPORTED:
		buf_printf(p->why, "-%s: %s", par->name, par->note);
		return false;
	case LYNC_TEXT:
	case LYNC_FQDN:
		return text(p, par, v);
	case LYNC_SWITCH:
	case LYNC_IGNORED:
		return true;
	}
	return false;
}

/* -WhatIf, -WhatIf:$false; "routing=default" */
static void switch_on(struct parser *p, const struct lync_parameter *par, struct slice given)
{
	struct slice v = slice_str(par->option), option = slice_split(&v, '=');
	char name[64];
	if (slice_ieq(given, S("$false")) || slice_ieq(given, S("false")))
		return;
	slice_cstr(option, name, sizeof name);
	json_object_set_new(p->args, name, v.p ? admin_json_text(v) : json_true());
}

static bool global_option(struct admin_line *ret, struct slice w)
{
	struct slice rest = w, name = slice_split(&rest, '=');
	if (slice_ieq(w, S("--json")) || slice_ieq(w, S("-Json")))
		ret->json = true;
	else if (slice_eq(w, S("--staged")))
		ret->staged = true;
	else if (slice_eq(name, S("--socket")) && rest.p)
		ret->socket = rest.p;
	else
		return false;
	return true;
}

/* Grant: the user is Identity, the policy another parameter. */
static bool granted(struct parser *p)
{
	if (!p->named || (!p->policy.p && !p->take_back)) {
		buf_printf(p->why, "-%s is missing", p->named ? "PolicyName" : "Identity");
		return false;
	}
	if (p->take_back)
		json_object_set_new(p->args, "global", json_true());
	else
		json_object_set_new(p->args, "policy", admin_json_text(slice_istarts(p->policy, S("tag:")) ? slice_skip(p->policy, 4) : p->policy));
	json_object_set_new(p->args, "user", json_pack("[o]", admin_json_text(p->identity)));
	return true;
}

static bool positional(struct parser *p, struct slice w)
{
	static const struct lync_parameter identity = {"Identity", LYNC_KEY, NULL, 0, "", NULL};
	const struct lync_kind *k = lync_kind(p->cmdlet->object);
	struct lync_parameter par = identity;
	par.option = k->key;
	if (p->cmdlet->verb == LYNC_GRANT) {
		p->identity = slice_istarts(w, S("sip:")) ? slice_skip(w, 4) : w;
		p->named = true;
		return true;
	}
	if (!k->key)
		return slice_ieq(w, S("global"));
	return key(p, &par, unquoted(w));
}

static bool take(struct parser *p, struct admin_line *ret, int argc, const char *const argv[], int *i, bool *ret_help)
{
	struct slice w = slice_str(argv[*i]), name, v;
	if (global_option(ret, w))
		return true;
	if (slice_ieq(w, S("--help")) || slice_eq(w, S("-?")) || slice_eq(w, S("-h"))) {
		*ret_help = true;
		return true;
	}
	if (w.len < 2 || w.p[0] != '-') {
		if (positional(p, w))
			return true;
		if (!p->why->len) {
			buf_puts(p->why, "one word too many: ");
			admin_quote(p->why, w);
		}
		return false;
	}
	v = slice_skip(w, 1);
	name = slice_split(&v, ':');
	const struct lync_parameter *par = parameter_find(p->cmdlet, name, p->why);
	if (!par)
		return false;
	if (par->form == LYNC_SWITCH) {
		switch_on(p, par, v);
		return true;
	}
	bool bare = slice_eq(slice_str(par->name), S("Force")) || slice_eq(slice_str(par->name), S("LocalStore")) || slice_eq(slice_str(par->name), S("InMemory")) ||
		    slice_eq(slice_str(par->name), S("Confirm")) || slice_eq(slice_str(par->name), S("PassThru")) || slice_eq(slice_str(par->name), S("OnLyncServer"));
	if (!v.p && !bare && *i + 1 < argc && (argv[*i + 1][0] != '-' || !argv[*i + 1][1])) {
		v = slice_str(argv[++*i]);
		if (*i + 1 < argc && v.len && v.p[v.len - 1] == ',') /* "a", "b" */
			return complain(p, par, v, "a list without spaces, or between apostrophes");
	}
	if (!v.p && !bare && par->form != LYNC_UNSUPPORTED)
		return complain(p, par, v, par->form == LYNC_BOOL ? "$true or $false" : "a value");
	if (par->form == LYNC_KEY && p->cmdlet->verb == LYNC_GRANT)
		return positional(p, v);
	return value(p, par, v);
}

/* Get: of one object, by name or pattern, or of all. */
static void listed(struct parser *p, const struct admin_command *c)
{
	const struct lync_kind *k = lync_kind(p->cmdlet->object);
	json_t *name = k->key ? json_object_get(p->args, k->key) : NULL;
	if (name && !admin_arg_find(c, slice_str(k->key))) {
		if (admin_arg_find(c, S("filter")))
			json_object_set(p->args, "filter", name);
		json_object_del(p->args, k->key);
	}
}

enum admin_parsed lync_cmdlet_parse(struct admin_line *ret, int argc, const char *const argv[], struct buf *why)
{
	struct cmdlet c;
	char name[80];
	const char *no;
	bool help = false, ok = true;
	if (!cmdlet_find(slice_str(argv[0]), &c)) {
		struct admin_nearest near;
		admin_nearest_init(&near, slice_str(argv[0]));
		char names[64][80];
		for (size_t i = 0; i < lync_cmdlet_count() && i < 64; i++) {
			lync_cmdlet_name(i, names[i], sizeof names[i]);
			admin_nearest_try(&near, names[i]);
		}
		buf_puts(why, "there is no cmdlet ");
		admin_quote(why, slice_str(argv[0]));
		admin_nearest_print(&near, "", why);
		return ADMIN_BAD;
	}
	struct parser p = {.cmdlet = &c, .args = ret->args, .why = why};
	ret->words[0] = argv[0]; /* where help is */
	for (int i = 1; ok && !help && i < argc; i++)
		ok = take(&p, ret, argc, argv, &i, &help);
	if (help)
		return ADMIN_HELP;
	if (!ok)
		return ADMIN_BAD;
	ret->command = lync_command(c.object, c.verb, p.named, &no);
	snprintf(name, sizeof name, "%s-Cs%s", lync_verb_name(c.verb), lync_kind(c.object)->noun);
	if (!ret->command) {
		buf_printf(why, "%s: %s", name, no);
		return ADMIN_BAD;
	}
	if (c.verb == LYNC_GRANT && !granted(&p))
		return ADMIN_BAD;
	if (c.verb == LYNC_GET)
		listed(&p, ret->command);
	if (c.object == LYNC_XMPP_PARTNER && c.verb == LYNC_NEW && !json_object_get(ret->args, "type"))
		json_object_set_new(ret->args, "type", json_string("public-unverified")); /* as the cmdlet */
	return ADMIN_RUN;
}

/* ---- documentation */

static void form_text(struct buf *out, const struct lync_parameter *p)
{
	switch (p->form) {
	case LYNC_BOOL:
		buf_puts(out, "$true or $false");
		break;
	case LYNC_UINT:
	case LYNC_SETTING:
	case LYNC_SECONDS:
		buf_puts(out, "number");
		break;
	case LYNC_TYPE:
	case LYNC_NEGOTIATION:
	case LYNC_VERIFICATION:
		buf_puts(out, lync_words_of(p->form));
		break;
	case LYNC_DOMAINS:
		buf_puts(out, "list of domains");
		break;
	case LYNC_SWITCH:
	case LYNC_IGNORED:
	case LYNC_UNSUPPORTED:
		buf_puts(out, "switch");
		break;
	default:
		buf_puts(out, "text");
	}
}

static void meaning(struct buf *out, const struct lync_parameter *p)
{
	if (p->form == LYNC_KEY)
		buf_puts(out, p->note);
	else if (p->form == LYNC_SETTING || p->form == LYNC_SECONDS)
		buf_printf(out, "setting %s of the configuration file", p->option);
	else if (p->option)
		buf_printf(out, "--%s%s%s", p->option, p->note ? "; " : "", p->note ? p->note : "");
	else
		buf_printf(out, "%s%s", p->form == LYNC_IGNORED ? "taken, without effect: " : p->form == LYNC_UNSUPPORTED ? "refused: " : "", p->note);
	if (*p->def)
		buf_printf(out, " (Lync's default: %s)", p->def);
}

bool lync_cmdlet_help(struct buf *out, struct slice cmdlet)
{
	const struct lync_parameter *all[64];
	const struct admin_command *command;
	struct cmdlet c;
	const char *why;
	if (!cmdlet_find(cmdlet, &c))
		return false;
	command = lync_command(c.object, c.verb, true, &why);
	buf_printf(out, "%s-Cs%s", lync_verb_name(c.verb), lync_kind(c.object)->noun);
	if (command) {
		buf_puts(out, ": another name of `entente ");
		admin_path_print(out, command->path);
		buf_puts(out, "`\n\n");
	} else {
		buf_printf(out, ": %s\n\n", why);
	}
	size_t n = parameters(&c, all);
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "  -%s\n", all[i]->name);
		struct buf m;
		buf_init(&m, 4096);
		meaning(&m, all[i]);
		admin_wrap(out, buf_slice(&m), 6, 0, true);
		buf_free(&m);
	}
	buf_puts(out, "\nNames are taken in any case, parameters by any beginning that only one has. In a shell write true, or '$true', and lists\nwithout spaces: "
		      "-AdditionalDomains a.example,b.example.\n");
	return true;
}

void lync_markdown(struct buf *out)
{
	buf_puts(out, "# Cmdlets of Lync's management shell\n"
		      "`entente` takes the names that administrators of Lync and Skype for Business Server know: `entente New-CsXmppAllowedPartner -Domain litware.example "
		      "-PartnerType Federated`.\nNames are taken in any case, parameters by any beginning that only one has; the first word without a dash is Identity; "
		      "`-WhatIf` shows what would change. In a shell write `true` or\n`'$true'` (the shell takes `$true` for a variable of its own) and lists without spaces, "
		      "`a.example,b.example`, or between apostrophes, `'@{Add=\"a.example\"}'`.\nThis page is made from the table in `src/admin/lync_table.c`.\n");
	for (int o = 0; o < LYNC_OBJECT_COUNT; o++) {
		const struct lync_kind *k = lync_kind((enum lync_object)o);
		buf_printf(out, "\n## %s\n| cmdlet | here |\n|---|---|\n", k->noun);
		for (unsigned verb = LYNC_NEW; verb <= LYNC_GRANT; verb <<= 1) {
			const char *why;
			const struct admin_command *c = lync_command((enum lync_object)o, verb, true, &why);
			if (!(k->verbs & verb))
				continue;
			buf_printf(out, "| %s-Cs%s | ", lync_verb_name(verb), k->noun);
			if (c) {
				buf_puts(out, "`");
				admin_path_print(out, c->path);
				buf_puts(out, "` |\n");
			} else {
				buf_printf(out, "%s |\n", why);
			}
		}
		buf_puts(out, "\n| parameter | values | here |\n|---|---|---|\n");
		for (size_t i = 0; i < k->n_parameters; i++) {
			buf_printf(out, "| %s | ", k->parameters[i].name);
			form_text(out, &k->parameters[i]);
			buf_puts(out, " | ");
			meaning(out, &k->parameters[i]);
			buf_puts(out, " |\n");
		}
	}
	size_t n;
	const struct lync_parameter *common = lync_common(&n);
	buf_puts(out, "\n## Every cmdlet\n| parameter | here |\n|---|---|\n");
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "| %s | ", common[i].name);
		meaning(out, &common[i]);
		buf_puts(out, " |\n");
	}
}
