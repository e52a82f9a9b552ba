/* SPDX-License-Identifier: Apache-2.0 */
/* `entente import lync`: what an exported object becomes here. One row per kind of object; each gives the command that makes the same,
 * the settings that belong into the configuration file, and what has no equivalent. Nothing is changed: the commands are printed. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "admin/args.h"
#include "admin/call.h"
#include "admin/lync_file.h"
#include "policy/partner.h"

struct result {
	json_t *object;        /* what is being translated */
	struct buf command;    /* empty: none */
	json_t *commands, *settings, *findings;
	const char *kind;
	struct slice name;
	bool bad;              /* an error was found: no command */
};

static void find(struct result *r, const char *severity, const char *property, const char *text)
{
	r->bad |= slice_eq(slice_str(severity), S("error"));
	json_array_append_new(r->findings, json_pack("{s:s s:s s:o s:s s:s}", "severity", severity, "object", r->kind, "name",
						     admin_json_text(r->name), "property", property, "text", text));
}

/* ---- properties */

static json_t *property(const struct result *r, const char *name)
{
	json_t *v = json_object_get(r->object, name);
	return json_is_null(v) ? NULL : v;
}

/* Text of any scalar; p == NULL when there is none or it is empty. */
static struct slice text_of(const struct result *r, const char *name)
{
	json_t *v = property(r, name);
	return json_is_string(v) && json_string_length(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

/* Between apostrophes, as a POSIX shell reads it. */
static void quoted(struct buf *out, struct slice s)
{
	bool plain = s.len > 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		plain &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':';
	}
	if (plain && s.p[0] != '-') {
		buf_put(out, s);
		return;
	}
	buf_putc(out, '\'');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i]); /* a comment may have several lines */
	}
	buf_putc(out, '\'');
}

static void option_text(struct result *r, const char *property_name, const char *option)
{
	struct slice v = text_of(r, property_name);
	if (!v.p)
		return;
	buf_printf(&r->command, " --%s ", option);
	quoted(&r->command, v);
}

/* An enumeration: rows of {Lync's word, ours}. What is not a word of it is found. */
struct word {
	const char *lync, *ours;
};

static const char *option_word(struct result *r, const char *name, const char *option, const struct word *words)
{
	json_t *v = property(r, name);
	struct slice s = text_of(r, name);
	if (!v)
		return NULL;
	for (; s.p && words->lync; words++)
		if (slice_ieq(s, slice_str(words->lync))) {
			buf_printf(&r->command, " --%s %s", option, words->ours);
			return words->ours;
		}
	find(r, "error", name, json_is_integer(v) ? "is a number: export with Export-Clixml, or ConvertTo-Json -EnumsAsStrings" : "has a value that is not known");
	return NULL;
}

static void option_bool(struct result *r, const char *name, const char *yes, const char *no)
{
	json_t *v = property(r, name);
	if (json_is_boolean(v))
		buf_puts(&r->command, json_is_true(v) ? yes : no);
	else if (v)
		find(r, "error", name, "should be true or false");
}

/* ---- kinds */

static const struct word negotiation[] = {{"Required", "required"}, {"Optional", "optional"}, {"NotSupported", "not-supported"}, {NULL}};
static const struct word partner_types[] = {
	{"Federated", "federated"}, {"PublicVerified", "public-verified"}, {"PublicUnverified", "public-unverified"}, {NULL}};

/* A domain in the form that the daemon takes. */
static void domain(struct result *r, struct slice text, const char *name)
{
	struct policy_domain d;
	if (policy_domain_import(&d, text))
		buf_puts(&r->command, d.text);
	else
		find(r, "error", name, "is no domain");
}

static void xmpp_partner(struct result *r)
{
	struct slice key = text_of(r, "Domain").p ? text_of(r, "Domain") : text_of(r, "Identity");
	json_t *list = property(r, "AdditionalDomains"), *one;
	size_t i;
	buf_puts(&r->command, "entente partner xmpp add ");
	domain(r, key, "Identity");
	if (!option_word(r, "PartnerType", "type", partner_types))
		buf_puts(&r->command, " --type public-unverified"); /* the default of New-CsXmppAllowedPartner */
	option_word(r, "TlsNegotiation", "tls", negotiation);
	option_word(r, "SaslNegotiation", "sasl", negotiation);
	option_bool(r, "SupportDialbackNegotiation", "", " --no-dialback");
	option_bool(r, "EnableKeepAlive", "", " --no-keep-alive");
	option_text(r, "ProxyFqdn", "server");
	option_text(r, "Description", "description");
	if (json_is_integer(property(r, "ConnectionLimit")))
		buf_printf(&r->command, " --connection-limit %jd", (intmax_t)json_integer_value(property(r, "ConnectionLimit")));
	if (json_is_string(list) && json_string_length(list)) {
		if (slice_starts(slice_str(json_string_value(list)), S("System."))) {
			find(r, "error", "AdditionalDomains", "CSV cannot hold lists: export with Export-Clixml");
			return;
		}
		buf_puts(&r->command, " --additional-domain ");
		domain(r, slice_str(json_string_value(list)), "AdditionalDomains");
	}
	json_array_foreach(list, i, one) {
		buf_puts(&r->command, " --additional-domain ");
		domain(r, slice_str(json_string_value(one)), "AdditionalDomains");
	}
}

static const struct word verification[] = {{"AlwaysVerifiable", "always-verifiable"},
					   {"AlwaysUnverifiable", "always-unverifiable"},
					   {"UseSourceVerification", "use-source-verification"},
					   {NULL}};

static void option_number(struct result *r, const char *name, const char *option)
{
	json_t *v = property(r, name);
	if (json_is_integer(v))
		buf_printf(&r->command, " --%s %jd", option, (intmax_t)json_integer_value(v));
	else if (v)
		find(r, "error", name, "should be a number");
}

/* Yes or no as a value of its own. */
static void option_yes_no(struct result *r, const char *name, const char *option)
{
	json_t *v = property(r, name);
	if (json_is_boolean(v))
		buf_printf(&r->command, " --%s=%s", option, json_is_true(v) ? "true" : "false");
	else if (v)
		find(r, "error", name, "should be true or false");
}

static void allowed_domain(struct result *r)
{
	buf_puts(&r->command, "entente allowed-domain add ");
	domain(r, text_of(r, "Domain").p ? text_of(r, "Domain") : text_of(r, "Identity"), "Identity");
	option_text(r, "ProxyFqdn", "proxy-fqdn");
	option_word(r, "VerificationLevel", "verification-level", verification);
	option_bool(r, "MarkForMonitoring", " --mark-for-monitoring", "");
	option_text(r, "Comment", "comment");
}

static void provider(struct result *r, const char *command)
{
	buf_puts(&r->command, command);
	quoted(&r->command, text_of(r, "Identity"));
	option_text(r, "ProxyFqdn", "proxy-fqdn");
	option_bool(r, "Enabled", " --enabled", "");
	option_word(r, "VerificationLevel", "verification-level", verification);
}

static void hosting_provider(struct result *r)
{
	provider(r, "entente hosting-provider add ");
	option_bool(r, "EnabledSharedAddressSpace", " --shared-address-space", "");
	option_bool(r, "HostsOCSUsers", " --hosts-ocs-users", "");
	option_bool(r, "IsLocal", " --is-local", "");
	if (text_of(r, "AutodiscoverUrl").p)
		find(r, "note", "AutodiscoverUrl", "not needed: clients use it, federation does not");
}

static void public_provider(struct result *r)
{
	provider(r, "entente public-provider add ");
	option_text(r, "NameDecorationRoutingDomain", "name-decoration-routing-domain");
}

static void access_edge(struct result *r)
{
	static const struct {
		const char *lync, *ours;
	} yes_no[] = {
		{"AllowFederatedUsers", "federated-users"},
		{"EnablePartnerDiscovery", "partner-discovery"},
		{"EnableDiscoveredPartnerContactsLimit", "discovered-partner-contacts-limit"},
		{"EnableArchivingDisclaimer", "archiving-disclaimer"},
		{"MarkSourceVerifiableOnOutgoingMessages", "mark-source-verifiable"},
		{"BeClearingHouse", "clearing-house"},
		{"KeepCrlsUpToDateForPeers", "keep-crls-up-to-date"},
	}, numbers[] = {
		{"MaxContactsPerDiscoveredPartner", "max-contacts-per-discovered-partner"},
		{"DiscoveredPartnerStandardRate", "discovered-partner-standard-rate"},
		{"DiscoveredPartnerReportPeriodMinutes", "discovered-partner-report-period"},
		{"OutgoingTlsCountForFederatedPartners", "outgoing-tls-count"},
		{"DnsSrvCacheRecordCount", "srv-cache-records"},
		{"MaxAcceptedCertificatesStored", "max-accepted-certificates"},
		{"MaxRejectedCertificatesStored", "max-rejected-certificates"},
		{"CertificatesDeletedPercentage", "certificates-deleted-percentage"},
	};
	static const char *const outside[] = {"AllowOutsideUsers", "AllowAnonymousUsers"};
	buf_puts(&r->command, "entente access-edge set");
	for (size_t i = 0; i < sizeof yes_no / sizeof *yes_no; i++)
		option_yes_no(r, yes_no[i].lync, yes_no[i].ours);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		option_number(r, numbers[i].lync, numbers[i].ours);
	option_word(r, "DiscoveredPartnerVerificationLevel", "discovered-partner-verification-level", verification);
	if (text_of(r, "DefaultRouteFqdn").p) {
		buf_puts(&r->command, " --routing default");
		option_text(r, "DefaultRouteFqdn", "default-route-fqdn");
		option_word(r, "VerificationLevel", "verification-level", verification);
		option_yes_no(r, "IsPublicProvider", "is-public-provider");
	}
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
		if (json_is_true(property(r, outside[i])))
			find(r, "warning", outside[i], "no equivalent: users of our own who are outside do not come through Entente");
}

static void blocked_domain(struct result *r)
{
	buf_puts(&r->command, "entente blocked-domain add ");
	domain(r, text_of(r, "Domain").p ? text_of(r, "Domain") : text_of(r, "Identity"), "Identity");
	option_text(r, "Comment", "comment");
}

static void setting(struct result *r, const char *name, const char *key, const char *unit)
{
	json_t *v = property(r, name);
	char text[64];
	if (!json_is_integer(v))
		return;
	snprintf(text, sizeof text, "%jd%s", (intmax_t)json_integer_value(v), unit);
	json_array_append_new(r->settings, json_pack("{s:s s:s s:s}", "key", key, "value", text, "from", name));
}

static void gateway_configuration(struct result *r)
{
	setting(r, "ConnectionLimit", "limits.max-connections", "");
	setting(r, "PartnerConnectionLimit", "limits.max-connections-per-partner", "");
	setting(r, "KeepAliveInterval", "timers.keepalive-timeout", "s");
	setting(r, "StreamEstablishmentTimeout", "timers.stream-setup", "s");
	setting(r, "StreamInactivityTimeout", "timers.stream-idle", "s");
	setting(r, "SubscriptionRefreshInterval", "timers.subscription-expires", "s");
	if (text_of(r, "DialbackPassphrase").p)
		find(r, "note", "DialbackPassphrase", "not needed: Entente makes a secret of its own, and partners never see it");
	if (json_is_true(property(r, "EnableLoggingAllMessageBodies")))
		find(r, "warning", "EnableLoggingAllMessageBodies", "no equivalent: bodies are never logged");
}

static void external_access_policy(struct result *r)
{
	if (json_is_boolean(property(r, "EnableXmppAccess")) && slice_ieq(text_of(r, "Identity"), S("Global")))
		json_array_append_new(r->settings, json_pack("{s:s s:s s:s}", "key", "xmpp.access", "value",
							     json_is_true(property(r, "EnableXmppAccess")) ? "true" : "false", "from", "EnableXmppAccess"));
	else
		find(r, "warning", "Identity", "no equivalent: policies of sites and users do not exist here yet");
}

static const struct kind {
	const char *type;      /* last part of the .NET type, without "Display" before it */
	const char *tell_tale; /* a property that only this kind has, where the form does not say the type */
	void (*translate)(struct result *r);
} kinds[] = {
	{"XmppAllowedPartner", "SaslNegotiation", xmpp_partner},
	{"XmppGatewayConfiguration", "StreamEstablishmentTimeout", gateway_configuration},
	{"XmppGatewaySettings", NULL, gateway_configuration},
	{"BlockedDomain", NULL, blocked_domain},
	{"ExternalAccessPolicy", "EnableXmppAccess", external_access_policy},
	{"AllowedDomain", "MarkForMonitoring", allowed_domain},
	{"HostingProvider", "HostsOCSUsers", hosting_provider},
	{"PublicProvider", "NameDecorationRoutingDomain", public_provider},
	{"AccessEdgeConfiguration", "AllowFederatedUsers", access_edge},
	{"AccessEdgeSettings", NULL, access_edge},
};

static const struct kind *kind_of(json_t *object)
{
	struct slice type = slice_str(json_string_value(json_object_get(object, "#type")));
	if (slice_starts(type, S("Display")))
		type = slice_skip(type, 7);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (type.len ? slice_eq(type, slice_str(kinds[i].type)) : kinds[i].tell_tale && json_object_get(object, kinds[i].tell_tale))
			return &kinds[i];
	return NULL;
}

static void translate(struct result *r, json_t *object)
{
	const struct kind *k = kind_of(object);
	r->object = object;
	r->bad = false;
	r->kind = k ? k->type : "object";
	r->name = text_of(r, "Identity").p ? text_of(r, "Identity") : text_of(r, "Domain");
	buf_clear(&r->command);
	if (!k) {
		find(r, "warning", "", "not known: it is none of the objects that this command translates");
		return;
	}
	k->translate(r);
	if (r->bad || !r->command.len)
		return;
	if (buf_ok(&r->command))
		json_array_append_new(r->commands, admin_json_text(buf_slice(&r->command)));
	else
		find(r, "error", "", "its values are too long");
}

/* ---- the command */

static int read_file(struct admin_call *c, const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	while (fd >= 0 && text->len <= LYNC_FILE_MAX) {
		char *room = buf_reserve(text, 65536);
		n = read(fd, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_commit(text, (size_t)n);
	}
	int e = errno;
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && n >= 0)
		return ADMIN_EXIT_OK;
	return admin_fail(c, e == EACCES ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_FINDING, e == EACCES ? "permission" : "not-found", NULL,
			  "%s cannot be read: %s", path, strerror(e));
}

static int run(struct admin_call *c)
{
	struct result r = {.commands = json_array(), .settings = json_array(), .findings = json_array()};
	json_t *files = admin_arg_list(c, "file"), *file, *objects = json_array(), *o;
	struct entente_err err = {0};
	size_t i, k;
	int exit = ADMIN_EXIT_OK;
	buf_init(&r.command, 1 << 20);
	json_array_foreach(files, i, file) {
		struct buf text;
		buf_init(&text, LYNC_FILE_MAX + 65536 * 2);
		const char *path = json_string_value(file);
		exit = read_file(c, path, &text);
		json_array_clear(objects);
		if (!exit && lync_file_read(objects, buf_slice(&text), &err))
			exit = admin_fail(c, ADMIN_EXIT_FINDING, "syntax", "export with: Get-CsXmppAllowedPartner | Export-Clixml partners.xml", "%s: %s",
					  path, err.text);
		buf_free(&text);
		if (exit)
			break;
		json_array_foreach(objects, k, o)
			translate(&r, o);
	}
	json_decref(objects);
	buf_free(&r.command);
	json_array_foreach(r.findings, i, o)
		if (slice_eq(slice_str(admin_get_text(o, "severity")), S("error")) && !exit)
			exit = ADMIN_EXIT_FINDING;
	json_object_set_new(c->data, "commands", r.commands);
	json_object_set_new(c->data, "settings", r.settings);
	json_object_set_new(c->data, "findings", r.findings);
	return exit;
}

/* A shell script: everything that is no command is a comment. */
static void print(struct admin_call *c)
{
	json_t *list, *o;
	size_t i;
	json_array_foreach(json_object_get(c->data, "findings"), i, o) {
		const char *p = admin_get_text(o, "property");
		buf_printf(&c->text, "# %s: %s ", admin_get_text(o, "severity"), admin_get_text(o, "object"));
		admin_clean(&c->text, slice_str(admin_get_text(o, "name")));
		buf_printf(&c->text, "%s%s: %s\n", *p ? ", " : "", p, admin_get_text(o, "text"));
	}
	list = json_object_get(c->data, "settings");
	if (json_array_size(list))
		buf_puts(&c->text, "# for /etc/entente/entente.yaml:\n");
	json_array_foreach(list, i, o)
		buf_printf(&c->text, "#   %s: %s    (%s)\n", admin_get_text(o, "key"), admin_get_text(o, "value"), admin_get_text(o, "from"));
	json_array_foreach(json_object_get(c->data, "commands"), i, o) {
		admin_clean(&c->text, slice_str(json_string_value(o)));
		buf_putc(&c->text, '\n');
	}
}

const struct admin_handler admin_import_handler = {run, print};
