/* SPDX-License-Identifier: Apache-2.0 */
/* The table of cmdlets and parameters. Names, types and defaults as documented for Lync Server 2013, with those that Skype for Business Server
 * 2015 added. */
#include "admin/lync.h"

enum { N = LYNC_NEW, S_ = LYNC_SET, G = LYNC_GET, R = LYNC_REMOVE, E = LYNC_ENABLE, D = LYNC_DISABLE, A = LYNC_GRANT };

static const struct lync_parameter xmpp_partner[] = {
	{"Identity", LYNC_KEY, "domain", N | S_ | G | R, "", "the partner's first domain"},
	{"Domain", LYNC_KEY, "domain", N, "", "another name of Identity"},
	{"AdditionalDomains", LYNC_DOMAINS, "additional-domain", N | S_, "none", NULL},
	{"ConnectionLimit", LYNC_UINT, "connection-limit", N | S_, "that of the gateway", NULL},
	{"Description", LYNC_TEXT, "description", N | S_, "empty", NULL},
	{"EnableKeepAlive", LYNC_BOOL, "keep-alive", N | S_, "True", NULL},
	{"PartnerType", LYNC_TYPE, "type", N | S_, "PublicUnverified", NULL},
	{"ProxyFqdn", LYNC_FQDN, "server", N | S_, "none: by DNS SRV", NULL},
	{"SaslNegotiation", LYNC_NEGOTIATION, "sasl", N | S_, "Required", "not given: optional here, so that partners with today's certificates can use dialback inside TLS"},
	{"SupportDialbackNegotiation", LYNC_BOOL, "dialback", N | S_, "True", NULL},
	{"TlsNegotiation", LYNC_NEGOTIATION, "tls", N | S_, "Required", NULL},
};
static const struct lync_parameter allowed[] = {
	{"Identity", LYNC_KEY, "domain", N | S_ | G | R, "", "covers the domains below it too"},
	{"Domain", LYNC_KEY, "domain", N, "", "another name of Identity"},
	{"ProxyFqdn", LYNC_FQDN, "proxy-fqdn", N | S_, "none: by DNS SRV", NULL},
	{"VerificationLevel", LYNC_VERIFICATION, "verification-level", N | S_, "UseSourceVerification", "2015 and later"},
	{"MarkForMonitoring", LYNC_BOOL, "mark-for-monitoring", N | S_, "False", "each request is logged"},
	{"Comment", LYNC_TEXT, "comment", N | S_, "empty", NULL},
};
static const struct lync_parameter blocked[] = {
	{"Identity", LYNC_KEY, "domain", N | S_ | G | R, "", "covers the domains below it too; XMPP partners as well"},
	{"Domain", LYNC_KEY, "domain", N, "", "another name of Identity"},
	{"Comment", LYNC_TEXT, "comment", N | S_, "empty", NULL},
};
#define PROVIDER_PARAMETERS                                                                                                                      \
	{"Identity", LYNC_KEY, "name", N | S_ | G | R | E | D, "", "unique among providers of both kinds"},                                         \
	{"ProxyFqdn", LYNC_FQDN, "proxy-fqdn", N, "", "unique, and cannot be changed later"},                                                        \
	{"Enabled", LYNC_BOOL, "enabled", N | S_, "False", NULL},                                                                                     \
	{"VerificationLevel", LYNC_VERIFICATION, "verification-level", N | S_, "AlwaysVerifiable", "not given: always-unverifiable here, as Lync's Control Panel proposes"}
static const struct lync_parameter hosting[] = {
	PROVIDER_PARAMETERS,
	{"EnabledSharedAddressSpace", LYNC_BOOL, "shared-address-space", N | S_, "False", NULL},
	{"HostsOCSUsers", LYNC_BOOL, "hosts-ocs-users", N | S_, "False", NULL},
	{"IsLocal", LYNC_BOOL, "is-local", N | S_, "False", NULL},
	{"AutodiscoverUrl", LYNC_NONE, NULL, N | S_, "", "not needed: clients use it, federation does not"},
	{"SipClientPort", LYNC_NONE, NULL, N | S_, "443", "not needed: clients use it, federation does not"},
};
static const struct lync_parameter public_[] = {
	PROVIDER_PARAMETERS,
	{"NameDecorationRoutingDomain", LYNC_FQDN, "name-decoration-routing-domain", N | S_, "", NULL},
	{"NameDecorationExcludedDomainList", LYNC_DOMAINS, "name-decoration-excluded-domains", N | S_, "", NULL},
	{"NameDecorationDomain", LYNC_NONE, NULL, N | S_, "", "not needed: addresses are decorated with NameDecorationRoutingDomain"},
	{"IconUrl", LYNC_NONE, NULL, N | S_, "", "no equivalent: icons are the clients' matter"},
	{"EnableSkypeIdRouting", LYNC_NONE, NULL, N | S_, "", "no equivalent: names of Skype without a domain are not routed"},
	{"EnableSkypeDirectorySearch", LYNC_NONE, NULL, N | S_, "", "no equivalent: there is no search in the directory of Skype"},
};
static const struct lync_parameter access_edge[] = {
	{"Identity", LYNC_IGNORED, NULL, S_ | G, "Global", "there is only one"},
	{"AllowFederatedUsers", LYNC_BOOL, "federated-users", S_, "False", NULL},
	{"AllowOutsideUsers", LYNC_NONE, NULL, S_, "True", "no equivalent: users of our own who are outside do not come through Entente"},
	{"AllowAnonymousUsers", LYNC_NONE, NULL, S_, "False", "no equivalent: who joins meetings does not come through Entente"},
	{"EnablePartnerDiscovery", LYNC_BOOL, "partner-discovery", S_, "False", NULL},
	{"DiscoveredPartnerVerificationLevel", LYNC_VERIFICATION, "discovered-partner-verification-level", S_, "", NULL},
	{"EnableDiscoveredPartnerContactsLimit", LYNC_BOOL, "discovered-partner-contacts-limit", S_, "True", NULL},
	{"MaxContactsPerDiscoveredPartner", LYNC_UINT, "max-contacts-per-discovered-partner", S_, "1000", NULL},
	{"DiscoveredPartnerStandardRate", LYNC_UINT, "discovered-partner-standard-rate", S_, "20", NULL},
	{"DiscoveredPartnerReportPeriodMinutes", LYNC_UINT, "discovered-partner-report-period", S_, "60", NULL},
	{"EnableArchivingDisclaimer", LYNC_BOOL, "archiving-disclaimer", S_, "False", NULL},
	{"MarkSourceVerifiableOnOutgoingMessages", LYNC_BOOL, "mark-source-verifiable", S_, "True", NULL},
	{"KeepCrlsUpToDateForPeers", LYNC_BOOL, "keep-crls-up-to-date", S_, "True", NULL},
	{"OutgoingTlsCountForFederatedPartners", LYNC_UINT, "outgoing-tls-count", S_, "4", NULL},
	{"MaxAcceptedCertificatesStored", LYNC_UINT, "max-accepted-certificates", S_, "1000", NULL},
	{"MaxRejectedCertificatesStored", LYNC_UINT, "max-rejected-certificates", S_, "500", NULL},
	{"CertificatesDeletedPercentage", LYNC_UINT, "certificates-deleted-percentage", S_, "20", NULL},
	{"EnableUserReplicator", LYNC_NONE, NULL, S_, "False", "not needed: nothing is replicated"},
	{"BeClearingHouse", LYNC_BOOL, "clearing-house", S_, "False", NULL},
	{"UseDnsSrvRouting", LYNC_SWITCH, "routing=dns-srv", S_, "the method", NULL},
	{"UseDefaultRouting", LYNC_SWITCH, "routing=default", S_, "", "needs DefaultRouteFqdn, and no providers"},
	{"DefaultRouteFqdn", LYNC_FQDN, "default-route-fqdn", S_, "", "with UseDefaultRouting"},
	{"IsPublicProvider", LYNC_BOOL, "is-public-provider", S_, "", "with UseDefaultRouting"},
	{"VerificationLevel", LYNC_VERIFICATION, "verification-level", S_, "", "with UseDefaultRouting"},
	{"DnsSrvCacheRecordCount", LYNC_UINT, "srv-cache-records", S_, "", NULL},
	{"SkypeSearchUrl", LYNC_NONE, NULL, S_, "", "no equivalent: there is no search in the directory of Skype"},
};
static const struct lync_parameter gateway[] = {
	{"Identity", LYNC_IGNORED, NULL, S_ | G, "Global", "there is only one"},
	{"ConnectionLimit", LYNC_SETTING, "limits.max-connections", S_, "1000", NULL},
	{"PartnerConnectionLimit", LYNC_SETTING, "limits.max-connections-per-partner", S_, "20", NULL},
	{"DialbackPassphrase", LYNC_NONE, NULL, S_, "", "not needed: Entente makes a secret of its own, and partners never see it"},
	{"EnableLoggingAllMessageBodies", LYNC_NONE, NULL, S_, "False", "no equivalent: bodies are never logged"},
	{"KeepAliveInterval", LYNC_SECONDS, "timers.keepalive-timeout", S_, "300", NULL},
	{"StreamEstablishmentTimeout", LYNC_SECONDS, "timers.stream-setup", S_, "60", NULL},
	{"StreamInactivityTimeout", LYNC_SECONDS, "timers.stream-idle", S_, "600", NULL},
	{"SubscriptionRefreshInterval", LYNC_SECONDS, "timers.subscription-expires", S_, "28800", NULL},
};
static const struct lync_parameter external[] = {
	{"Identity", LYNC_KEY, "name", N | S_ | G | R | A, "Global", "global, site:NAME, tag:NAME or NAME"},
	{"Description", LYNC_TEXT, "description", N | S_, "empty", NULL},
	{"EnableFederationAccess", LYNC_BOOL, "federation", N | S_, "False", NULL},
	{"EnableXmppAccess", LYNC_BOOL, "xmpp", N | S_, "False", "needs EnableFederationAccess"},
	{"EnablePublicCloudAccess", LYNC_BOOL, "public-cloud", N | S_, "False", NULL},
	{"EnablePublicCloudAudioVideoAccess", LYNC_BOOL, "public-cloud-audio-video", N | S_, "False", "needs EnablePublicCloudAccess"},
	{"EnableOutsideAccess", LYNC_BOOL, "outside", N | S_, "False", "kept, without effect: nobody signs in through Entente"},
	{"PolicyName", LYNC_POLICY_NAME, "policy", A, "", "$null takes the grant back; Identity is the user"},
	{"ApplicableTo", LYNC_UNSUPPORTED, NULL, G, "", "entente user show ADDRESS tells which policy holds for a user"},
	{"DomainController", LYNC_IGNORED, NULL, A, "", "there is no directory to ask"},
	{"PassThru", LYNC_IGNORED, NULL, A, "", "there is no pipeline"},
};
static const struct lync_parameter user[] = {
	{"Identity", LYNC_KEY, "address", G, "", "the SIP address"},
	{"OnLyncServer", LYNC_IGNORED, NULL, G, "", "all are"},
};

static const struct lync_parameter common[] = {
	{"WhatIf", LYNC_SWITCH, "what-if", N | S_ | R | E | D | A, "", "shows what would change"},
	{"Filter", LYNC_TEXT, "filter", G, "", "* and ? stand for any characters"},
	{"Confirm", LYNC_IGNORED, NULL, N | S_ | R | E | D | A, "", "nothing is asked"},
	{"Force", LYNC_IGNORED, NULL, N | S_ | R | E | D | A, "", "nothing is asked"},
	{"LocalStore", LYNC_IGNORED, NULL, G, "", "there is one store"},
	{"InMemory", LYNC_UNSUPPORTED, NULL, N, "", "make several changes as one instead: entente config begin"},
	{"Instance", LYNC_UNSUPPORTED, NULL, S_, "", "give the values as parameters"},
};

#define P(p) p, sizeof p / sizeof *p
static const struct lync_kind kinds[LYNC_OBJECT_COUNT] = {
	[LYNC_XMPP_PARTNER] = {"XmppAllowedPartner", NULL, "SaslNegotiation", "domain", N | S_ | G | R, "partner xmpp", P(xmpp_partner)},
	[LYNC_ALLOWED] = {"AllowedDomain", NULL, "MarkForMonitoring", "domain", N | S_ | G | R, "allowed-domain", P(allowed)},
	[LYNC_BLOCKED] = {"BlockedDomain", NULL, "Comment", "domain", N | S_ | G | R, "blocked-domain", P(blocked)},
	[LYNC_HOSTING] = {"HostingProvider", NULL, "HostsOCSUsers", "name", N | S_ | G | R | E | D, "hosting-provider", P(hosting)},
	[LYNC_PUBLIC] = {"PublicProvider", NULL, "IconUrl", "name", N | S_ | G | R | E | D, "public-provider", P(public_)},
	[LYNC_ACCESS] = {"AccessEdgeConfiguration", "AccessEdgeSettings", "AllowFederatedUsers", NULL, S_ | G, "access-edge", P(access_edge)},
	[LYNC_GATEWAY] = {"XmppGatewayConfiguration", "XmppGatewaySettings", "StreamEstablishmentTimeout", NULL, S_ | G, NULL, P(gateway)},
	[LYNC_EXTERNAL] = {"ExternalAccessPolicy", NULL, "EnableXmppAccess", "name", N | S_ | G | R | A, "external-access", P(external)},
	[LYNC_USER] = {"User", "OCSADUser", "SipAddress", "address", G, "user", P(user)},
};

const struct lync_kind *lync_kind(enum lync_object o)
{
	return &kinds[o];
}

const struct lync_parameter *lync_common(size_t *ret_n)
{
	*ret_n = sizeof common / sizeof *common;
	return common;
}

static const struct {
	unsigned verb;
	const char *lync, *ours;
} verbs[] = {{N, "New", "add"}, {S_, "Set", "set"}, {G, "Get", "list"}, {R, "Remove", "remove"}, {E, "Enable", "enable"}, {D, "Disable", "disable"}, {A, "Grant", "grant"}};

const char *lync_verb_name(unsigned verb)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (verbs[i].verb == verb)
			return verbs[i].lync;
	return "";
}

static const struct admin_command *find(struct slice head, const char *verb)
{
	struct slice words[4];
	size_t n = 0;
	while (head.len && n < 3)
		words[n++] = slice_split(&head, ' ');
	words[n++] = slice_str(verb);
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		size_t k = 0;
		while (k < n && c->path[k] && slice_eq(slice_str(c->path[k]), words[k]))
			k++;
		if (k == n && !c->path[k])
			return c;
	}
	return NULL;
}

const struct admin_command *lync_command(enum lync_object o, unsigned verb, bool named, const char **ret_why)
{
	const struct lync_kind *k = &kinds[o];
	const struct admin_command *c = NULL;
	const char *ours = "";
	*ret_why = "there is no such cmdlet";
	if (!(k->verbs & verb))
		return NULL;
	if (o == LYNC_GATEWAY) {
		*ret_why = "these are settings of /etc/entente/entente.yaml: `entente config effective` prints them";
		return NULL;
	}
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (verbs[i].verb == verb)
			ours = verbs[i].ours;
	if (verb == G && (!k->key || named))
		c = find(slice_str(k->head), "show");
	if (!c)
		c = find(slice_str(k->head), ours);
	*ret_why = o == LYNC_BLOCKED ? "a blocked domain has nothing to change but its comment: remove it and add it again" : "there is no such command";
	return c;
}

static const struct {
	enum lync_form form;
	const char *lync, *ours;
} words[] = {
	{LYNC_TYPE, "Federated", "federated"}, {LYNC_TYPE, "PublicVerified", "public-verified"}, {LYNC_TYPE, "PublicUnverified", "public-unverified"},
	{LYNC_NEGOTIATION, "Required", "required"}, {LYNC_NEGOTIATION, "Optional", "optional"}, {LYNC_NEGOTIATION, "NotSupported", "not-supported"},
	{LYNC_VERIFICATION, "AlwaysVerifiable", "always-verifiable"}, {LYNC_VERIFICATION, "AlwaysUnverifiable", "always-unverifiable"},
	{LYNC_VERIFICATION, "UseSourceVerification", "use-source-verification"},
};

const char *lync_word(enum lync_form form, struct slice lync)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i].form == form && slice_ieq(slice_str(words[i].lync), lync))
			return words[i].ours;
	return NULL;
}

const char *lync_words_of(enum lync_form form)
{
	return form == LYNC_TYPE ? "Federated, PublicVerified, PublicUnverified" : form == LYNC_NEGOTIATION ? "Required, Optional, NotSupported"
		: "AlwaysVerifiable, AlwaysUnverifiable, UseSourceVerification";
}
