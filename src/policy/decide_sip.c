/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for SIP partners, in the order in which Lync's Access Edge applies them, and stricter: every request, in dialogs too, is
 * judged by all of them. Who is not a partner is refused before our domains are looked at. */
#include "policy/decide_int.h"

/* ---- certificate names: whole names, without case, never a wildcard (RFC 5922 7.2) */

static bool holds(const struct slice *list, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq(list[i], name))
			return true;
	return false;
}

/* RFC 5922 7.1: the DNS names count only when there is no sip URI, the CN only when there is no name at all. */
static bool names_domain(const struct policy_sip *c, struct slice domain)
{
	if (c->n_uris)
		return holds(c->uris, c->n_uris, domain);
	return holds(c->dns, c->n_dns, domain) || (c->cn.len && slice_ieq(c->cn, domain));
}

static bool names_host(const struct policy_sip *c, struct slice host)
{
	return holds(c->dns, c->n_dns, host) || (c->cn.len && slice_ieq(c->cn, host));
}

bool policy_sip_below(struct slice host, struct slice domain)
{
	ptrdiff_t dot = slice_find_chr(host, '.');
	return dot > 0 && slice_ieq(slice_skip(host, (size_t)dot + 1), domain);
}

static bool srv_names(const struct policy_sip *c, struct slice host)
{
	return c->srv == POLICY_SRV_FOUND && holds(c->targets, c->n_targets, host);
}

/* ---- rules */

static enum policy_outcome rule_address(struct judge *j)
{
	if (j->q->kind >= POLICY_KIND_COUNT || j->q->kind == POLICY_STREAM || j->q->kind == POLICY_IQ ||
	    j->q->direction > POLICY_TO_REMOTE)
		return deny(j, REASON_SERVER_INTERNAL, "the question itself is malformed", SLICE_NONE);
	return policy_judge_domains(j);
}

static enum policy_outcome rule_certificate(struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	if (!c->connected)
		return skip(j, "there is no connection yet");
	if (!c->chain_ok)
		return deny(j, inbound(j) ? REASON_POLICY_PEER_IDENTITY : REASON_SIP_CERTIFICATE,
			    "the server's certificate is not trusted", SLICE_NONE);
	if (!c->n_uris && !c->n_dns && !c->cn.len)
		return deny(j, inbound(j) ? REASON_POLICY_PEER_IDENTITY : REASON_SIP_CERTIFICATE,
			    "the server's certificate names nobody", SLICE_NONE);
	return pass(j, "the server's certificate is trusted", SLICE_NONE);
}

/* The hosting provider that has users of our own domains, if the connection is its. */
static const struct policy_provider *shared(const struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	for (size_t i = 0; i < snapshot_provider_count(j->s); i++) {
		const struct policy_provider *p = snapshot_provider_at(j->s, i);
		if (p->kind == POLICY_HOSTING && p->shared_address_space && p->enabled &&
		    (!c->connected || names_host(c, p->proxy_fqdn)))
			return p;
	}
	return NULL;
}

static enum policy_outcome rule_sender(struct judge *j)
{
	bool ours = j->from.ours;
	if (inbound(j) && ours) {
		const struct policy_provider *p = shared(j);
		if (!p || !j->q->sip->connected)
			return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "an outside connection uses one of our own domains",
				    j->q->from.domain);
		j->v->provider = p;
		j->v->cls = POLICY_CLASS_SHARED;
		return pass(j, "one of our own domains, from the provider that shares our address space", p->name);
	}
	if (inbound(j) && !policy_partner_by_sip(j->from.partner))
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "a SIP connection uses the domain of a partner that is reached by XMPP alone", j->q->from.domain);
	if (j->q->transit && !inbound(j) && !ours)
		return pass(j, "the sender is a partner, too, which has been judged", j->q->from.domain);
	if (!inbound(j) && (!ours || j->q->transit))
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "a home sends from a domain that is not ours", j->q->from.domain);
	return pass(j, ours ? "the sender's domain is ours" : "the sender's domain is not ours", j->q->from.domain);
}

static enum policy_outcome rule_home(struct judge *j)
{
	if (inbound(j))
		return skip(j, "concerns only what comes from a home");
	if (j->q->transit)
		return skip(j, "it comes from a partner");
	return policy_judge_home(j);
}

static enum policy_outcome rule_asserted(struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	if (!inbound(j) || !c->n_asserted)
		return skip(j, "no asserted identity is given");
	if (j->v->cls == POLICY_CLASS_SHARED)
		return skip(j, "the provider that shares our address space may assert others");
	for (size_t i = 0; i < c->n_asserted; i++)
		if (!slice_ieq(c->asserted[i], j->q->from.domain))
			return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "the asserted identity is of another domain than the sender",
				    c->asserted[i]);
	return pass(j, "the asserted identity is of the sender's domain", j->q->from.domain);
}

static enum policy_outcome rule_federation(struct judge *j)
{
	if (!snapshot_access(j->s)->federated_users)
		return deny(j, REASON_POLICY_FEDERATION_OFF, "the Access Edge configuration has federated-users false", SLICE_NONE);
	return pass(j, "federation with SIP partners is on", SLICE_NONE);
}

static bool listed(struct slice domains, struct slice one)
{
	while (domains.p)
		if (slice_ieq(slice_split(&domains, ' '), one))
			return true;
	return false;
}

/* Which provider carries the remote domain: its SRV record names the provider's server, or it is the domain under which a public
 * provider's users are reached. Inbound only the provider whose certificate the connection has shown counts. */
static const struct policy_provider *carrier(struct judge *j, bool *ret_unsure)
{
	const struct policy_sip *c = j->q->sip;
	*ret_unsure = false;
	for (size_t i = 0; i < snapshot_provider_count(j->s); i++) {
		const struct policy_provider *p = snapshot_provider_at(j->s, i);
		if (inbound(j) && !names_host(c, p->proxy_fqdn))
			continue;
		if (srv_names(c, p->proxy_fqdn) ||
		    (p->kind == POLICY_PUBLIC && ((p->routing_domain.len && slice_ieq(p->routing_domain, j->remote)) ||
						  listed(p->excluded_domains, j->remote))))
			return p;
		if (c->srv == POLICY_SRV_UNASKED) /* a provider that is disabled is a reason that can be told, too */
			*ret_unsure = true;
	}
	return NULL;
}

static enum policy_outcome ask_dns(struct judge *j)
{
	j->v->need_srv = true;
	return deny(j, REASON_SIP_DNS, "the SIP federation record of the domain is not known yet", j->remote);
}

static void limits(struct judge *j)
{
	const struct policy_access *a = snapshot_access(j->s);
	j->v->rate = a->standard_rate;
	j->v->max_contacts = a->contacts_limit ? a->max_contacts : 0;
}

/* The class of the remote domain: default route; allowed server; provider; allowed domain; discovered. */
static enum policy_outcome rule_partner(struct judge *j)
{
	const struct policy_access *a = snapshot_access(j->s);
	struct policy_verdict *v = j->v;
	bool unsure;
	if (v->cls == POLICY_CLASS_SHARED)
		return pass(j, "the provider that shares our address space", v->provider->name);
	if (!inbound(j) && j->to.ours) {
		const struct policy_provider *p = shared(j);
		if (!p)
			return deny(j, REASON_POLICY_LOOP, "a home sends to one of our own domains", j->remote);
		v->cls = POLICY_CLASS_SHARED;
		v->provider = p;
		v->route = p->proxy_fqdn;
		return pass(j, "one of our own domains: to the provider that shares our address space", p->name);
	}
	if (a->routing == POLICY_ROUTE_DEFAULT) {
		v->cls = POLICY_CLASS_DEFAULT_ROUTE;
		v->route = a->default_route;
		return pass(j, "everything goes by the default route", a->default_route);
	}
	v->allowed = snapshot_allowed(j->s, j->remote);
	if (v->allowed && v->allowed->proxy_fqdn.len) {
		v->cls = POLICY_CLASS_ALLOWED_SERVER;
		v->route = v->allowed->proxy_fqdn;
		return pass(j, "the domain is allowed, with a server of its own", v->allowed->domain);
	}
	const struct policy_provider *p = carrier(j, &unsure);
	if (!p && unsure)
		return ask_dns(j);
	if (p && !p->enabled)
		return deny(j, REASON_POLICY_PARTNER_DISABLED, "the provider of the domain is disabled", p->name);
	if (p && p->kind == POLICY_HOSTING && !v->allowed && !a->discovery)
		return deny(j, REASON_POLICY_PARTNER_UNKNOWN,
			    "a hosting provider carries it, but the domain is not allowed and discovery is off", p->name);
	if (p) {
		v->cls = p->kind == POLICY_HOSTING ? POLICY_CLASS_HOSTING : POLICY_CLASS_PUBLIC;
		v->provider = p;
		v->route = p->proxy_fqdn;
		return pass(j, "a provider carries the domain", p->name);
	}
	if (v->allowed) {
		v->cls = POLICY_CLASS_ALLOWED_DOMAIN;
		return pass(j, "the domain is allowed", v->allowed->domain);
	}
	if (!a->discovery)
		return deny(j, REASON_POLICY_PARTNER_UNKNOWN, "the domain is not allowed, and discovery is off", j->remote);
	v->cls = POLICY_CLASS_DISCOVERED;
	limits(j);
	return pass(j, "the domain is not listed: a discovered partner", j->remote);
}

/* Does the certificate name a server of the domain by Lync's rule? Outbound it must be the very one that was connected to. */
static bool by_edge(const struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	for (size_t i = 0; i < c->n_targets; i++)
		if (policy_sip_below(c->targets[i], j->remote) && names_host(c, c->targets[i]) &&
		    (inbound(j) || slice_ieq(c->targets[i], c->host)))
			return true;
	return false;
}

static bool any_below(const struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	for (size_t i = 0; i < c->n_targets; i++)
		if (policy_sip_below(c->targets[i], j->remote))
			return true;
	return false;
}

static enum policy_outcome proven(struct judge *j, enum policy_identity by, const char *detail, struct slice subject)
{
	j->v->identity = by;
	return pass(j, detail, subject);
}

static enum policy_outcome rule_identity(struct judge *j)
{
	const struct policy_sip *c = j->q->sip;
	struct policy_verdict *v = j->v;
	enum reason no = inbound(j) ? REASON_POLICY_PEER_IDENTITY : REASON_SIP_CERTIFICATE;
	bool by_srv = v->cls == POLICY_CLASS_ALLOWED_DOMAIN || v->cls == POLICY_CLASS_DISCOVERED;
	if (!by_srv && !c->connected)
		return skip(j, "there is no connection yet");
	if (!by_srv && !names_host(c, v->provider ? v->provider->proxy_fqdn : v->route))
		return deny(j, no, "the certificate does not name the configured server",
			    v->provider ? v->provider->proxy_fqdn : v->route);
	if (!by_srv)
		return v->provider ? proven(j, POLICY_ID_PROVIDER, "the certificate names the provider's server", v->provider->proxy_fqdn)
				   : proven(j, POLICY_ID_FIXED, "the certificate names the configured server", v->route);
	if (c->connected && names_domain(c, j->remote))
		return proven(j, POLICY_ID_RFC5922, "the certificate names the domain", j->remote);
	switch (c->srv) {
	case POLICY_SRV_UNASKED: return ask_dns(j);
	case POLICY_SRV_FAILED: return deny(j, REASON_SIP_DNS, "DNS does not answer for the domain's SIP federation record", j->remote);
	case POLICY_SRV_NONE:
		return deny(j, inbound(j) ? no : REASON_SIP_SRV_NONE, "the domain has no SIP federation record", j->remote);
	case POLICY_SRV_FOUND: break;
	}
	if (!c->connected)
		return skip(j, "there is no connection yet");
	if (by_edge(j))
		return proven(j, POLICY_ID_EDGE, "the certificate names the server of the domain's SIP federation record", j->remote);
	if (!any_below(j))
		return deny(j, inbound(j) ? no : REASON_SIP_SRV_DOMAIN,
			    "the server of the SIP federation record is not in the domain, and the certificate does not name the domain",
			    c->n_targets ? c->targets[0] : SLICE_NONE);
	return deny(j, no, "the certificate names neither the domain nor the server of its SIP federation record", c->targets[0]);
}

static enum policy_verification level_of(const struct judge *j)
{
	const struct policy_access *a = snapshot_access(j->s);
	switch (j->v->cls) {
	case POLICY_CLASS_DEFAULT_ROUTE: return a->verification;
	case POLICY_CLASS_HOSTING:
	case POLICY_CLASS_PUBLIC:
	case POLICY_CLASS_SHARED: return j->v->provider->verification;
	case POLICY_CLASS_ALLOWED_SERVER:
	case POLICY_CLASS_ALLOWED_DOMAIN: return j->v->allowed->verification;
	default: return a->discovered_verification;
	}
}

static enum policy_outcome rule_verification(struct judge *j)
{
	enum policy_verification level = level_of(j);
	enum policy_mark mark = j->q->sip->mark;
	struct slice name = slice_str(policy_verification_name(level));
	if (!inbound(j))
		return skip(j, "concerns only what comes from a partner");
	if (level == POLICY_ALWAYS_VERIFIABLE || (level == POLICY_USE_SOURCE && mark == POLICY_MARK_VERIFIED)) {
		j->v->verified = true;
		return pass(j, "the sender counts as verified", name);
	}
	if (level == POLICY_USE_SOURCE && mark == POLICY_MARK_NONE && j->v->cls != POLICY_CLASS_DEFAULT_ROUTE &&
	    j->v->cls != POLICY_CLASS_DISCOVERED)
		return deny(j, REASON_POLICY_UNVERIFIED, "the message does not say whether the partner has verified its sender", name);
	return pass(j, "the sender counts as unverified", name);
}

/* A clearing house carries between two partners that are both listed as allowed, whoever begins; never for an organisation with itself. */
static enum policy_outcome judge_transit(struct judge *j)
{
	const struct policy_allowed *near = snapshot_allowed(j->s, j->local), *far = j->v->allowed;
	if (!far || j->v->cls == POLICY_CLASS_PUBLIC || remote_of(j)->ours)
		return deny(j, REASON_POLICY_LOCAL_UNKNOWN, "we are a clearing house, but only of allowed domains", j->remote);
	if (!near || snapshot_blocked(j->s, j->local).p || !policy_partner_by_sip(local_of(j)->partner))
		return deny(j, REASON_POLICY_LOCAL_UNKNOWN, "we are a clearing house, but only of allowed domains", j->local);
	if (slice_ieq(j->local, j->remote) || (far->proxy_fqdn.len && slice_ieq(far->proxy_fqdn, near->proxy_fqdn)))
		return deny(j, REASON_POLICY_LOOP, "both domains have the same server: it would go back to where it came from", far->proxy_fqdn);
	j->v->transit = true;
	return pass(j, "we are the clearing house of both allowed domains", near->domain);
}

static enum policy_outcome rule_local_known(struct judge *j)
{
	bool transit = !inbound(j) && j->q->transit;
	if (!inbound(j) && !transit)
		return skip(j, "concerns only what comes from a partner");
	if (j->v->home != UINT32_MAX)
		return pass(j, "a home serves the recipient's domain", snapshot_home(j->s, j->v->home)->name);
	if (snapshot_access(j->s)->clearing_house)
		return judge_transit(j);
	return deny(j, REASON_POLICY_LOCAL_UNKNOWN, "no home serves this domain, and we do not carry between others", j->local);
}

/* An unverified sender reaches only who has it as contact; what a dialog brought about by the local user answers is no intrusion, so
 * NOTIFY and the like pass. */
static enum policy_outcome rule_contact(struct judge *j)
{
	if (!inbound(j) || j->v->verified || j->v->transit)
		return skip(j, "concerns only unverified senders");
	if (j->q->kind == POLICY_PRESENCE_STATE)
		return skip(j, "belongs to what the local user began");
	if (j->q->has_contact == POLICY_CONTACT_YES)
		return pass(j, "the local user has the sender as contact", j->q->to.user);
	return deny(j, REASON_POLICY_NO_CONTACT, "the sender is unverified, and the local user does not have it as contact", j->q->to.user);
}

static const struct policy_rule rules[] = {
	{"address", rule_address, "both domains must be well-formed"},
	{"certificate", rule_certificate, "the partner's server must show a certificate that is trusted"},
	{"sender", rule_sender, "outside connections never use our domains, homes only theirs"},
	{"home", rule_home, "a home sends only for the domains that it serves"},
	{"asserted-identity", rule_asserted, "P-Asserted-Identity must be of the sender's domain"},
	{"blocked", policy_judge_blocked, "the remote domain must not be blocked"},
	{"federation", rule_federation, "federation with SIP partners must be switched on"},
	{"partner", rule_partner, "the remote domain must be allowed, carried by a provider, or discovery must be on"},
	{"identity", rule_identity, "the certificate must prove the remote domain, by the rule for its kind of partner"},
	{"verification", rule_verification, "the partner must vouch for the sender, or the sender counts as unverified"},
	{"local-domain", rule_local_known, "a home must serve the local domain"},
	{"external-access", policy_judge_external, "the external access policy of the local user must allow this kind of partner"},
	{"contact", rule_contact, "unverified senders reach only local users who have them as contact"},
};
enum { N_RULES = sizeof rules / sizeof *rules };
_Static_assert(sizeof rules / sizeof *rules <= POLICY_STEPS_MAX, "each rule needs a step");

void policy_decide_sip(struct judge *j)
{
	j->v->allow = policy_judge(j, rules, N_RULES);
}

void policy_decide_request(const struct snapshot *s, struct policy_question *q, bool (*contact)(void *arg), void *arg, struct policy_verdict *ret)
{
	policy_decide(s, q, ret);
	if (ret->reason == REASON_POLICY_NO_CONTACT && q->has_contact == POLICY_CONTACT_UNKNOWN) {
		q->has_contact = contact && contact(arg) ? POLICY_CONTACT_YES : POLICY_CONTACT_NO;
		policy_decide(s, q, ret);
	}
}

void policy_sip_prove(const struct policy_sip *sip, struct slice remote, struct slice fixed, struct policy_verdict *ret)
{
	static const struct policy_rule proof[] = {{"certificate", rule_certificate, ""}, {"identity", rule_identity, ""}};
	struct policy_question q = {.direction = POLICY_TO_REMOTE, .to = {.domain = remote}, .sip = sip};
	*ret = (struct policy_verdict){.cls = fixed.len ? POLICY_CLASS_ALLOWED_SERVER : POLICY_CLASS_ALLOWED_DOMAIN, .home = UINT32_MAX, .route = fixed};
	struct judge j = {.q = &q, .v = ret, .remote = remote};
	ret->allow = policy_judge(&j, proof, 2);
}

size_t policy_sip_rule_count(void)
{
	return N_RULES;
}

struct policy_rule_info policy_sip_rule_info(size_t index)
{
	return (struct policy_rule_info){rules[index].id, rules[index].help};
}

bool policy_is_sip(const struct snapshot *s, struct slice remote)
{
	const struct policy_access *a = snapshot_access(s);
	struct policy_domain d;
	struct policy_whose w = {0};
	if (policy_domain_make(&d, remote))
		w = snapshot_whose(s, &d);
	bool ours = w.ours;
	const struct policy_partner *both = w.partner;
	if (both && (both->protocol == POLICY_PROTOCOL_XMPP || both->protocol == POLICY_PROTOCOL_XMPP_FIRST))
		return false;
	if (both && both->protocol == POLICY_PROTOCOL_SIP)
		return true;
	if (!a->federated_users) /* if somebody has set it up, the switch is what is in the way */
		return !ours && (a->discovery || a->routing == POLICY_ROUTE_DEFAULT || snapshot_provider_count(s) || snapshot_allowed(s, remote));
	if (!ours)
		return true;
	for (size_t i = 0; i < snapshot_provider_count(s); i++) { /* who is unknown to the home is looked for there */
		const struct policy_provider *p = snapshot_provider_at(s, i);
		if (p->kind == POLICY_HOSTING && p->shared_address_space && p->enabled)
			return true;
	}
	return false;
}

const char *policy_class_name(enum policy_class c)
{
	static const char *const names[] = {"none", "default-route", "allowed-server", "allowed-domain", "hosting-provider", "public-provider",
					    "shared-address-space", "discovered"};
	return c <= POLICY_CLASS_DISCOVERED ? names[c] : "unknown";
}

const char *policy_identity_name(enum policy_identity i)
{
	static const char *const names[] = {"none", "rfc5922", "edge", "fixed", "provider"};
	return i <= POLICY_ID_PROVIDER ? names[i] : "unknown";
}
