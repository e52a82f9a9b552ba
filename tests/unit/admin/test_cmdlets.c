/* SPDX-License-Identifier: Apache-2.0 */
/* Lync's cmdlets and exports against the documentation and against what the objects are here afterwards: the parameters of each object, as
 * documented for Lync Server 2013 and Skype for Business Server 2015, written down here by hand; each by an export and by a cmdlet; the forms of
 * exports; the command line as PowerShell reads it. argv[1]: the directory of exports. */
#include "rig.h"

#include <stdlib.h>
#include "admin/lync.h"
#include "admin/lync_file.h"

static const char *directory;

/* What the pages of the cmdlets list: parameters of New and Set but the usual ones; what is here: "=" as our option of the table says, "-" nothing, "*" a
 * setting of the file. */
static const struct documented {
	enum lync_object object;
	const char *name, *def;
	char here;
} documented[] = {
	{LYNC_XMPP_PARTNER, "Identity", "", '='}, {LYNC_XMPP_PARTNER, "Domain", "", '='}, {LYNC_XMPP_PARTNER, "AdditionalDomains", "none", '='},
	{LYNC_XMPP_PARTNER, "ConnectionLimit", "that of the gateway", '='}, {LYNC_XMPP_PARTNER, "Description", "empty", '='},
	{LYNC_XMPP_PARTNER, "EnableKeepAlive", "True", '='}, {LYNC_XMPP_PARTNER, "PartnerType", "PublicUnverified", '='},
	{LYNC_XMPP_PARTNER, "ProxyFqdn", "none: by DNS SRV", '='}, {LYNC_XMPP_PARTNER, "SaslNegotiation", "Required", '='},
	{LYNC_XMPP_PARTNER, "TlsNegotiation", "Required", '='}, {LYNC_XMPP_PARTNER, "SupportDialbackNegotiation", "True", '='},
	{LYNC_GATEWAY, "Identity", "Global", '-'}, {LYNC_GATEWAY, "ConnectionLimit", "1000", '*'}, {LYNC_GATEWAY, "PartnerConnectionLimit", "20", '*'},
	{LYNC_GATEWAY, "DialbackPassphrase", "", '-'}, {LYNC_GATEWAY, "EnableLoggingAllMessageBodies", "False", '-'},
	{LYNC_GATEWAY, "KeepAliveInterval", "300", '*'}, {LYNC_GATEWAY, "StreamEstablishmentTimeout", "60", '*'},
	{LYNC_GATEWAY, "StreamInactivityTimeout", "600", '*'}, {LYNC_GATEWAY, "SubscriptionRefreshInterval", "28800", '*'},
	{LYNC_ACCESS, "Identity", "Global", '-'}, {LYNC_ACCESS, "AllowFederatedUsers", "False", '='}, {LYNC_ACCESS, "AllowOutsideUsers", "True", '-'},
	{LYNC_ACCESS, "AllowAnonymousUsers", "False", '-'}, {LYNC_ACCESS, "EnablePartnerDiscovery", "False", '='},
	{LYNC_ACCESS, "DiscoveredPartnerVerificationLevel", "", '='}, {LYNC_ACCESS, "EnableDiscoveredPartnerContactsLimit", "True", '='},
	{LYNC_ACCESS, "MaxContactsPerDiscoveredPartner", "1000", '='}, {LYNC_ACCESS, "DiscoveredPartnerStandardRate", "20", '='},
	{LYNC_ACCESS, "DiscoveredPartnerReportPeriodMinutes", "60", '='}, {LYNC_ACCESS, "EnableArchivingDisclaimer", "False", '='},
	{LYNC_ACCESS, "MarkSourceVerifiableOnOutgoingMessages", "True", '='}, {LYNC_ACCESS, "KeepCrlsUpToDateForPeers", "True", '='},
	{LYNC_ACCESS, "OutgoingTlsCountForFederatedPartners", "4", '='}, {LYNC_ACCESS, "MaxAcceptedCertificatesStored", "1000", '='},
	{LYNC_ACCESS, "MaxRejectedCertificatesStored", "500", '='}, {LYNC_ACCESS, "CertificatesDeletedPercentage", "20", '='},
	{LYNC_ACCESS, "EnableUserReplicator", "False", '-'}, {LYNC_ACCESS, "BeClearingHouse", "False", '='},
	{LYNC_ACCESS, "UseDnsSrvRouting", "the method", '='}, {LYNC_ACCESS, "UseDefaultRouting", "", '='}, {LYNC_ACCESS, "DefaultRouteFqdn", "", '='},
	{LYNC_ACCESS, "IsPublicProvider", "", '='}, {LYNC_ACCESS, "VerificationLevel", "", '='}, {LYNC_ACCESS, "DnsSrvCacheRecordCount", "", '='},
	{LYNC_ACCESS, "SkypeSearchUrl", "", '-'},
	{LYNC_ALLOWED, "Identity", "", '='}, {LYNC_ALLOWED, "Domain", "", '='}, {LYNC_ALLOWED, "ProxyFqdn", "none: by DNS SRV", '='},
	{LYNC_ALLOWED, "VerificationLevel", "UseSourceVerification", '='}, {LYNC_ALLOWED, "MarkForMonitoring", "False", '='},
	{LYNC_ALLOWED, "Comment", "empty", '='},
	{LYNC_BLOCKED, "Identity", "", '='}, {LYNC_BLOCKED, "Domain", "", '='}, {LYNC_BLOCKED, "Comment", "empty", '='},
	{LYNC_HOSTING, "Identity", "", '='}, {LYNC_HOSTING, "ProxyFqdn", "", '='}, {LYNC_HOSTING, "Enabled", "False", '='},
	{LYNC_HOSTING, "VerificationLevel", "AlwaysVerifiable", '='}, {LYNC_HOSTING, "EnabledSharedAddressSpace", "False", '='},
	{LYNC_HOSTING, "HostsOCSUsers", "False", '='}, {LYNC_HOSTING, "IsLocal", "False", '='}, {LYNC_HOSTING, "AutodiscoverUrl", "", '-'},
	{LYNC_HOSTING, "SipClientPort", "443", '-'},
	{LYNC_PUBLIC, "Identity", "", '='}, {LYNC_PUBLIC, "ProxyFqdn", "", '='}, {LYNC_PUBLIC, "Enabled", "False", '='},
	{LYNC_PUBLIC, "VerificationLevel", "AlwaysVerifiable", '='}, {LYNC_PUBLIC, "IconUrl", "", '-'}, {LYNC_PUBLIC, "NameDecorationDomain", "", '-'},
	{LYNC_PUBLIC, "NameDecorationRoutingDomain", "", '='}, {LYNC_PUBLIC, "NameDecorationExcludedDomainList", "", '='},
	{LYNC_PUBLIC, "EnableSkypeIdRouting", "", '-'}, {LYNC_PUBLIC, "EnableSkypeDirectorySearch", "", '-'},
	{LYNC_EXTERNAL, "Identity", "Global", '='}, {LYNC_EXTERNAL, "Description", "empty", '='}, {LYNC_EXTERNAL, "EnableFederationAccess", "False", '='},
	{LYNC_EXTERNAL, "EnableXmppAccess", "False", '='}, {LYNC_EXTERNAL, "EnablePublicCloudAccess", "False", '='},
	{LYNC_EXTERNAL, "EnablePublicCloudAudioVideoAccess", "False", '='}, {LYNC_EXTERNAL, "EnableOutsideAccess", "False", '='},
	{LYNC_EXTERNAL, "PolicyName", "", '='}, {LYNC_EXTERNAL, "ApplicableTo", "", '-'}, {LYNC_EXTERNAL, "DomainController", "", '-'},
	{LYNC_EXTERNAL, "PassThru", "", '-'},
	{LYNC_USER, "Identity", "", '='}, {LYNC_USER, "OnLyncServer", "", '-'},
};
enum { DOCUMENTED = sizeof documented / sizeof *documented };

static const struct lync_parameter *parameter(enum lync_object o, const char *name)
{
	const struct lync_kind *k = lync_kind(o);
	for (size_t i = 0; i < k->n_parameters; i++)
		if (strcmp(k->parameters[i].name, name) == 0)
			return &k->parameters[i];
	return NULL;
}

static void every_parameter_is_documented(void **state)
{
	(void)state;
	for (size_t i = 0; i < DOCUMENTED; i++) {
		const struct lync_parameter *p = parameter(documented[i].object, documented[i].name);
		if (!p)
			fail_msg("%s -%s is not in the table", lync_kind(documented[i].object)->noun, documented[i].name);
		char here = p->form == LYNC_SETTING || p->form == LYNC_SECONDS ? '*' : p->option ? '=' : '-';
		if (here != documented[i].here || strcmp(p->def, documented[i].def) != 0)
			fail_msg("%s -%s: %c '%s'", lync_kind(documented[i].object)->noun, p->name, here, p->def);
		assert_true(p->option || p->note); /* an effect, or why there is none */
	}
	for (int o = 0; o < LYNC_OBJECT_COUNT; o++)
		for (size_t i = 0; i < lync_kind((enum lync_object)o)->n_parameters; i++) {
			bool found = false;
			for (size_t k = 0; k < DOCUMENTED; k++)
				found |= documented[k].object == (enum lync_object)o && strcmp(documented[k].name, lync_kind((enum lync_object)o)->parameters[i].name) == 0;
			if (!found)
				fail_msg("%s -%s is not documented", lync_kind((enum lync_object)o)->noun, lync_kind((enum lync_object)o)->parameters[i].name);
		}
}

/* Options of the table exist; so do settings. */
static void every_option_exists(void **state)
{
	(void)state;
	for (int o = 0; o < LYNC_OBJECT_COUNT; o++) {
		const struct lync_kind *k = lync_kind((enum lync_object)o);
		for (size_t i = 0; i < k->n_parameters; i++) {
			const struct lync_parameter *p = &k->parameters[i];
			struct buf b;
			buf_init(&b, 1 << 20);
			if (p->form == LYNC_SETTING || p->form == LYNC_SECONDS)
				assert_int_equal(config_explain(&b, slice_str(p->option), NULL), 0);
			buf_free(&b);
			for (unsigned verb = LYNC_NEW; verb <= LYNC_GRANT && p->option; verb <<= 1) {
				const char *why;
				const struct admin_command *c = p->verbs & verb ? lync_command((enum lync_object)o, verb, true, &why) : NULL;
				struct slice option = slice_str(p->option);
				bool found = !c || verb == LYNC_GET || (verb == LYNC_GRANT && p->form == LYNC_KEY);
				option = slice_split(&option, '=');
				for (size_t a = 0; c && a < c->n_args; a++)
					found |= slice_eq(slice_str(c->args[a].name), option);
				if (!found)
					fail_msg("%s -%s: no --%s", k->noun, p->name, p->option);
			}
		}
	}
}

/* ---- each parameter by an export and by a cmdlet, and what is then there */

static json_t *execute(struct rig *r, json_t *command, int exit)
{
	json_t *request = json_pack("{s:O s:O s:b}", "command", json_object_get(command, "command"), "args", json_object_get(command, "args"), "json", 1);
	char *text = json_dumps(request, 0);
	json_t *j = rig_ask(r, text);
	if (json_integer_value(json_object_get(j, "exit")) != exit)
		fail_msg("%s: %s", text, json_string_value(json_object_get(json_object_get(j, "error"), "text")));
	free(text);
	json_decref(request);
	return j;
}

static json_t *command_of(const struct admin_line *l)
{
	json_t *words = json_array();
	for (size_t i = 0; l->command->path[i]; i++)
		json_array_append_new(words, json_string(l->command->path[i]));
	return json_pack("{s:o s:O}", "command", words, "args", l->args);
}

/* A value that is not the default, as an export has it, as it is typed, and as it is then. */
static void sample(const struct lync_parameter *p, json_t **ret_exported, const char **ret_typed, json_t **ret_after)
{
	bool on = !slice_eq(slice_str(p->def), S("True"));
	switch (p->form) {
	case LYNC_BOOL:
		*ret_exported = json_boolean(on);
		*ret_typed = on ? "$true" : "$false";
		*ret_after = json_boolean(on);
		return;
	case LYNC_UINT:
		*ret_typed = slice_find(slice_str(p->name), S("Tls")) >= 0 ? "2" : "77";
		*ret_exported = json_integer(**ret_typed == '2' ? 2 : 77);
		*ret_after = json_integer(**ret_typed == '2' ? 2 : 77);
		return;
	case LYNC_FQDN:
		*ret_exported = json_string("Sip.Other.Example");
		*ret_typed = "sip.other.example";
		*ret_after = json_string("sip.other.example");
		return;
	case LYNC_TYPE:
		*ret_exported = json_string("PublicVerified");
		*ret_typed = "publicverified";
		*ret_after = json_string("public-verified");
		return;
	case LYNC_NEGOTIATION:
		*ret_exported = json_string("Optional");
		*ret_typed = "Optional";
		*ret_after = json_string("optional");
		return;
	case LYNC_VERIFICATION:
		*ret_exported = json_string("AlwaysVerifiable");
		*ret_typed = "AlwaysVerifiable";
		*ret_after = json_string("always-verifiable");
		return;
	case LYNC_DOMAINS:
		*ret_exported = json_pack("[s s]", "b.example", "c.example");
		*ret_typed = "b.example,c.example";
		*ret_after = json_pack("[s s]", "b.example", "c.example");
		return;
	default:
		*ret_exported = json_string("a \"word\"\nor two");
		*ret_typed = "a \"word\" or two";
		*ret_after = json_string("a \"word\" or two");
	}
}

/* The object as its list or show command has it. */
static json_t *looked_up(struct rig *r, enum lync_object o)
{
	static const char *const commands[LYNC_OBJECT_COUNT][2] = {
		[LYNC_XMPP_PARTNER] = {"partner xmpp show a.example", NULL}, [LYNC_ALLOWED] = {"allowed-domain list", "allowed"},
		[LYNC_BLOCKED] = {"blocked-domain list", "blocked"}, [LYNC_HOSTING] = {"hosting-provider list", "providers"},
		[LYNC_PUBLIC] = {"public-provider list", "providers"}, [LYNC_ACCESS] = {"access-edge show", "access"},
		[LYNC_EXTERNAL] = {"external-access show tag:a.example", "policies"}};
	json_t *d = rig_data(r, commands[o][0], 0), *v = commands[o][1] ? json_object_get(d, commands[o][1]) : d;
	v = json_incref(json_is_array(v) ? json_array_get(v, 0) : v);
	if (!v)
		fail_msg("%s: no %s", commands[o][0], commands[o][1]);
	json_decref(d);
	return v;
}

static void check_object(struct rig *r, enum lync_object o, const struct lync_parameter *p, json_t *after, const char *how)
{
	char member[64];
	json_t *object = looked_up(r, o), *is;
	for (size_t i = 0;; i++) {
		member[i] = (char)(p->option[i] == '-' ? '_' : p->option[i]);
		if (!p->option[i])
			break;
	}
	{
		enum policy_table table = o == LYNC_ACCESS ? POLICY_TABLE_ACCESS : o == LYNC_ALLOWED ? POLICY_TABLE_ALLOWED : POLICY_TABLE_PROVIDER;
		const struct policy_field *f = o != LYNC_XMPP_PARTNER && o != LYNC_BLOCKED && o != LYNC_EXTERNAL ? policy_field_find(table, slice_str(p->option)) : NULL;
		if (f)
			snprintf(member, sizeof member, "%s", f->member);
	}
	if (!strcmp(member, "public_cloud_audio_video"))
		snprintf(member, sizeof member, "public_cloud_av");
	is = json_object_get(object, member);
	if (!is && o == LYNC_XMPP_PARTNER)
		is = json_object_get(object, "additional_domains");
	bool same = json_equal(is, after);
	if (!same && json_is_string(is) && json_is_array(after)) { /* "b.example c.example" */
		struct slice rest = slice_str(json_string_value(is));
		same = slice_eq(slice_split(&rest, ' '), S("b.example")) && slice_eq(rest, S("c.example"));
	}
	if (!same) {
		char *a = json_dumps(object, 0), *b = json_dumps(after, JSON_ENCODE_ANY);
		fail_msg("%s -%s by %s: %s of %s is not %s", lync_kind(o)->noun, p->name, how, member, a, b);
	}
	json_decref(object);
}

static int begin(struct rig **r)
{
	void *state;
	int rc = rig_setup(&state);
	*r = state;
	return rc;
}

static void by_export(enum lync_object o, const struct lync_parameter *p)
{
	const struct lync_kind *k = lync_kind(o);
	struct rig *r;
	const char *typed;
	json_t *exported, *after, *one, *object = json_object(), *commands = json_array(), *settings = json_array(), *findings = json_array();
	size_t i;
	begin(&r);
	sample(p, &exported, &typed, &after);
	json_object_set_new(object, "#type", json_string(k->noun));
	json_object_set_new(object, "Identity", json_string(o == LYNC_EXTERNAL ? "Tag:a.example" : k->key ? "a.example" : "Global"));
	if (o == LYNC_HOSTING || o == LYNC_PUBLIC)
		json_object_set_new(object, "ProxyFqdn", json_string("proxy.example"));
	if (o == LYNC_ACCESS && (!strcmp(p->name, "IsPublicProvider") || !strcmp(p->name, "VerificationLevel")))
		json_object_set_new(object, "DefaultRouteFqdn", json_string("route.example"));
	json_object_set(object, p->name, exported);
	json_t *list = json_pack("[O]", object);
	lync_translate(list, commands, settings, findings);
	json_array_foreach(findings, i, one)
		fail_msg("%s: %s", p->name, json_string_value(json_object_get(one, "text")));
	assert_int_equal(json_array_size(commands), 1);
	json_decref(execute(r, json_array_get(commands, 0), 0));
	check_object(r, o, p, after, "export");
	json_decref(exported);
	json_decref(after);
	json_decref(object);
	json_decref(list);
	json_decref(commands);
	json_decref(settings);
	json_decref(findings);
	rig_teardown((void *[]){r});
}

static json_t *typed_line(const char *const argv[], int argc)
{
	struct admin_line l;
	struct buf why;
	buf_init(&why, 4096);
	if (admin_line_parse(&l, argc, argv, &why) != ADMIN_RUN)
		fail_msg("%s: %.*s", argv[0], SFMT(buf_slice(&why)));
	json_t *c = command_of(&l);
	admin_line_free(&l);
	buf_free(&why);
	return c;
}

static void by_cmdlet(enum lync_object o, const struct lync_parameter *p, bool set)
{
	const struct lync_kind *k = lync_kind(o);
	struct rig *r;
	const char *typed, *argv[16], *key = o == LYNC_EXTERNAL ? "Tag:a.example" : "a.example";
	char name[80], option[80];
	json_t *exported, *after, *c;
	int n = 0;
	begin(&r);
	sample(p, &exported, &typed, &after);
	if (set && k->key) { /* first it has to be */
		snprintf(name, sizeof name, "New-Cs%s", k->noun);
		argv[n++] = name;
		argv[n++] = key;
		if (o == LYNC_HOSTING || o == LYNC_PUBLIC) {
			argv[n++] = "-ProxyFqdn";
			argv[n++] = "proxy.example";
		}
		c = typed_line(argv, n);
		json_decref(execute(r, c, 0));
		json_decref(c);
		n = 0;
	}
	snprintf(name, sizeof name, "%s-cs%s", set ? "set" : "new", k->noun); /* any case */
	argv[n++] = name;
	if (k->key)
		argv[n++] = key;
	if (!set && (o == LYNC_HOSTING || o == LYNC_PUBLIC) && strcmp(p->name, "ProxyFqdn") != 0)
		argv[n++] = "-ProxyFqdn:proxy.example";
	if (o == LYNC_ACCESS && (!strcmp(p->name, "IsPublicProvider") || !strcmp(p->name, "VerificationLevel") || !strcmp(p->name, "DefaultRouteFqdn")))
		argv[n++] = "-UseDefaultRouting";
	if (o == LYNC_ACCESS && (!strcmp(p->name, "IsPublicProvider") || !strcmp(p->name, "VerificationLevel")))
		argv[n++] = "-DefaultRouteFqdn:route.example";
	snprintf(option, sizeof option, "-%s", p->name);
	argv[n++] = option;
	argv[n++] = typed;
	c = typed_line(argv, n);
	json_decref(execute(r, c, 0));
	json_decref(c);
	check_object(r, o, p, after, set ? "Set" : "New");
	json_decref(exported);
	json_decref(after);
	rig_teardown((void *[]){r});
}

static void each_parameter(void **state)
{
	unsigned n = 0;
	const char *why;
	(void)state;
	for (int o = 0; o < LYNC_OBJECT_COUNT; o++) {
		const struct lync_kind *k = lync_kind((enum lync_object)o);
		if (o == LYNC_GATEWAY || o == LYNC_USER || !lync_command((enum lync_object)o, LYNC_SET | (k->verbs & 0), true, &why))
			if (o != LYNC_BLOCKED)
				continue;
		for (size_t i = 0; i < k->n_parameters; i++) {
			const struct lync_parameter *p = &k->parameters[i];
			if (p->form > LYNC_VERIFICATION || p->form == LYNC_KEY)
				continue;
			by_export((enum lync_object)o, p);
			if (p->verbs & LYNC_NEW)
				by_cmdlet((enum lync_object)o, p, false);
			if (p->verbs & LYNC_SET && o != LYNC_BLOCKED)
				by_cmdlet((enum lync_object)o, p, true);
			n++;
		}
	}
	print_message("%u parameters\n", n);
	assert_true(n >= 44);
}

/* ---- whole exports */

static json_t *read_export(const char *name, const char *form)
{
	static char text[1 << 18];
	char path[512];
	struct entente_err err = {0};
	json_t *list = json_array();
	snprintf(path, sizeof path, "%s/%s.%s", directory, name, form);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text, f);
	fclose(f);
	if (lync_file_read(list, slice_of(text, n), &err))
		fail_msg("%s: %s", path, err.text);
	return list;
}

static const char *const names[] = {"xmpp-partners", "xmpp-gateway", "allowed", "blocked", "hosting", "public", "edge", "policies", "users"};
enum { NAMES = sizeof names / sizeof *names };

static void forms(void **state)
{
	static const char *const kinds[] = {"xml", "json", "csv"};
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		json_t *first = NULL;
		for (size_t f = 0; f < 3; f++) {
			json_t *list = read_export(names[i], kinds[f]), *all = json_pack("{s:[] s:[] s:[]}", "c", "s", "f");
			lync_translate(list, json_object_get(all, "c"), json_object_get(all, "s"), json_object_get(all, "f"));
			if (!first)
				first = json_incref(all);
			else if (!json_equal(first, all) && !(f == 2 && i == 0)) /* CSV has no lists: said, and tested elsewhere */
				fail_msg("%s.%s: %s\nbut xml: %s", names[i], kinds[f], json_dumps(all, 0), json_dumps(first, 0));
			json_decref(all);
			json_decref(list);
		}
		json_decref(first);
	}
}

/* Everything at once, in the order that comes out; then it is there. */
static void whole(void **state)
{
	struct rig *r = *state;
	json_t *objects = json_array(), *commands = json_array(), *settings = json_array(), *findings = json_array(), *one;
	size_t i, errors = 0;
	const char *why;
	for (i = NAMES; i-- > 0;) { /* whatever the order of the files */
		json_t *list = read_export(names[i], "xml");
		json_array_extend(objects, list);
		json_decref(list);
	}
	lync_translate(objects, commands, settings, findings);
	bool external = lync_command(LYNC_EXTERNAL, LYNC_SET, true, &why) != NULL;
	json_array_foreach(findings, i, one)
		errors += !strcmp(json_string_value(json_object_get(one, "severity")), "error");
	assert_int_equal(errors, external ? 0 : 1);
	assert_int_equal(json_array_size(commands), external ? 3 + 2 + 2 + 2 + 2 + 1 + 3 + 1 : 3 + 2 + 2 + 2 + 2 + 1);
	assert_int_equal(json_array_size(settings), 6);
	json_array_foreach(commands, i, one)
		json_decref(execute(r, one, 0));
	json_t *d = rig_data(r, "partner xmpp show jabber.org", 0), *p = d;
	assert_string_equal(json_string_value(json_object_get(p, "type")), "public-verified");
	assert_string_equal(json_string_value(json_object_get(p, "description")), "two lines");
	json_decref(d);
	d = rig_data(r, "blocked-domain list", 0);
	assert_int_equal(json_array_size(json_object_get(d, "blocked")), 2);
	json_decref(d);
	d = rig_data(r, "access-edge show", 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(d, "access"), "report_minutes")), 30);
	json_decref(d);
	/* what has no equivalent is said, each by its name */
	static const char *const said[] = {"DialbackPassphrase", "AutodiscoverUrl", "IconUrl", "NameDecorationDomain", "EnableSkypeIdRouting", "EnableSkypeDirectorySearch",
					   "AllowOutsideUsers", "EnableUserReplicator", "SkypeSearchUrl"};
	for (size_t k = 0; k < sizeof said / sizeof *said; k++) {
		bool found = false;
		json_array_foreach(findings, i, one)
			found |= !strcmp(json_string_value(json_object_get(one, "property")), said[k]);
		if (!found)
			fail_msg("nothing is said of %s", said[k]);
	}
	json_decref(objects);
	json_decref(commands);
	json_decref(settings);
	json_decref(findings);
}

/* ---- the command line as PowerShell reads it */

static void expect_line(const char *line, enum admin_parsed want, const char *text)
{
	char copy[512], *words[16];
	const char *argv[16];
	int n = 0;
	struct admin_line l;
	struct buf why, out;
	snprintf(copy, sizeof copy, "%s", line);
	for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	for (int i = 0; i < n; i++)
		argv[i] = words[i];
	buf_init(&why, 4096);
	buf_init(&out, 4096);
	enum admin_parsed p = admin_line_parse(&l, n, argv, &why);
	if (p == ADMIN_RUN)
		admin_command_text(&out, l.command, l.args);
	struct slice is = p == ADMIN_RUN ? buf_slice(&out) : buf_slice(&why);
	if (p != want || !slice_eq(is, slice_str(text)))
		fail_msg("%s\nis:     %d %.*s\nwanted: %d %s", line, p, SFMT(is), want, text);
	admin_line_free(&l);
	buf_free(&why);
	buf_free(&out);
}

static void lines(void **state)
{
	(void)state;
	expect_line("New-CsXmppAllowedPartner -Domain fabrikam.com -PartnerType Federated", ADMIN_RUN, "entente partner xmpp add fabrikam.com --type federated");
	expect_line("new-csxmppallowedpartner fabrikam.com -p Federated", ADMIN_BAD, "'-p' may be -PartnerType or -ProxyFqdn");
	expect_line("NEW-CSXMPPALLOWEDPARTNER FABRIKAM.com -part federated -whatif", ADMIN_RUN, "entente partner xmpp add fabrikam.com --type federated --what-if");
	expect_line("New-CsXmppAllowedPartner fabrikam.com", ADMIN_RUN, "entente partner xmpp add fabrikam.com --type public-unverified");
	expect_line("New-CsXmppAllowedPartner -Identity:fabrikam.com -Domain fabrikam.com", ADMIN_BAD, "-Domain: the object is named twice");
	expect_line("New-CsXmppAllowedPartner", ADMIN_BAD, "DOMAIN is missing: the partner's domain");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -AdditionalDomains @{Add=\"a.example\",\"b.example\";Remove=c.example}", ADMIN_RUN,
		    "entente partner xmpp set fabrikam.com --add-domain a.example --add-domain b.example --remove-domain c.example");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -AdditionalDomains $null -WhatIf:$false", ADMIN_RUN, "entente partner xmpp set fabrikam.com");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -SupportDialback $false -ConnectionLimit 7", ADMIN_RUN,
		    "entente partner xmpp set fabrikam.com --dialback=false --connection-limit 7");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -EnableKeepAlive -Confirm", ADMIN_BAD,
		    "-EnableKeepAlive: $true or $false is wanted; nothing follows it. A shell takes $true and $false for variables of its own: write true, or '$true'");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -ConnectionLimit many", ADMIN_BAD, "-ConnectionLimit: a number is wanted; this is 'many'");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -KeepAlive true", ADMIN_BAD,
		    "'-KeepAlive' is no parameter of Set-CsXmppAllowedPartner; did you mean '-EnableKeepAlive'?");
	expect_line("Set-CsXmppAllowedPartner fabrikam.com -TlsNegotation Required", ADMIN_BAD,
		    "'-TlsNegotation' is no parameter of Set-CsXmppAllowedPartner; did you mean '-TlsNegotiation'?");
	expect_line("Get-CsXmppAllowedPartner", ADMIN_RUN, "entente partner xmpp list");
	expect_line("Get-CsXmppAllowedPartner fabrikam.com -LocalStore", ADMIN_RUN, "entente partner xmpp show fabrikam.com");
	expect_line("Get-CsXmppAllowedPartner -Filter *.org", ADMIN_RUN, "entente partner xmpp list --filter '*.org'");
	expect_line("Remove-CsXmppAllowedPartner -Identity fabrikam.com -Force", ADMIN_RUN, "entente partner xmpp remove fabrikam.com");
	expect_line("New-CsAllowedDomain -Domain litware.com -ProxyFqdn sip.litware.com -Comment partner", ADMIN_RUN,
		    "entente allowed-domain add litware.com --proxy-fqdn sip.litware.com --comment partner");
	expect_line("Set-CsAllowedDomain litware.com -ProxyFqdn $null", ADMIN_RUN, "entente allowed-domain set litware.com --dns-srv");
	expect_line("Get-CsAllowedDomain litware.com", ADMIN_RUN, "entente allowed-domain list --filter litware.com");
	expect_line("Set-CsBlockedDomain evil.example -Comment x", ADMIN_BAD,
		    "Set-CsBlockedDomain: a blocked domain has nothing to change but its comment: remove it and add it again");
	expect_line("Enable-CsHostingProvider LyncOnline", ADMIN_RUN, "entente hosting-provider enable LyncOnline");
	expect_line("Disable-CsPublicProvider -Identity Skype", ADMIN_RUN, "entente public-provider disable Skype");
	expect_line("Set-CsAccessEdgeConfiguration -AllowFederatedUsers $True -EnablePartnerDiscovery 1 -UseDnsSrvRouting", ADMIN_RUN,
		    "entente access-edge set --federated-users --routing dns-srv --partner-discovery");
	expect_line("Set-CsAccessEdgeConfiguration -AllowOutsideUsers $true", ADMIN_BAD,
		    "-AllowOutsideUsers: no equivalent: users of our own who are outside do not come through Entente");
	expect_line("Get-CsAccessEdgeConfiguration global", ADMIN_RUN, "entente access-edge show");
	expect_line("Set-CsXmppGatewayConfiguration -KeepAliveInterval 60", ADMIN_BAD,
		    "-KeepAliveInterval is a setting of the configuration file: write timers.keepalive-timeout: 60s into /etc/entente/entente.yaml, then entente reload");
	expect_line("New-CsAllowedDomain -InMemory a.example", ADMIN_BAD, "-InMemory: make several changes as one instead: entente config begin");
	expect_line("New-CsAlowedDomain a.example", ADMIN_BAD, "there is no cmdlet 'New-CsAlowedDomain'; did you mean 'New-CsAllowedDomain'?");
	expect_line("Get-CsAllowedDomain a b", ADMIN_BAD, "-Identity: the object is named twice");
}

static void help(void **state)
{
	char name[80];
	(void)state;
	assert_true(lync_cmdlet_count() >= 30);
	for (size_t i = 0; i < lync_cmdlet_count(); i++) {
		struct buf out;
		buf_init(&out, 1 << 16);
		lync_cmdlet_name(i, name, sizeof name);
		assert_true(lync_is_cmdlet(slice_str(name)));
		assert_true(admin_help(&out, (const char *const[]){name, NULL}, false));
		assert_true(slice_starts(buf_slice(&out), slice_str(name)));
		buf_free(&out);
	}
	assert_false(lync_is_cmdlet(S("partner")));
	assert_false(lync_is_cmdlet(S("--json")));
	assert_false(lync_is_cmdlet(S("-Cs")));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		{"L01 the table has every documented parameter, and no other", every_parameter_is_documented, NULL, NULL, NULL}, cmocka_unit_test(every_option_exists), {"L01 L09 each parameter by an export, New and Set is what it was", each_parameter, NULL, NULL, NULL}, {"L09 CLIXML, JSON and CSV say the same", forms, NULL, NULL, NULL},
		{"L09 all exports at once become commands that can be carried out", whole, rig_setup, rig_teardown, NULL}, {"L10 the command line as PowerShell reads it", lines, NULL, NULL, NULL}, cmocka_unit_test(help),
	};
	if (argc < 2)
		return 2;
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
